//! The same log, recipe and seed give the same artifact: run again, on other numbers of threads, from shuffled rows.
#![forbid(unsafe_code)]

use anyhow::Result;
use pointsman::artifact::Artifact;
use pointsman_evals::EvalLog;
use pointsman_evals::write::LogRow;
use pointsman_tests::logs::{log_of, synthetic_rows, tiny_recipe};
use pointsman_training::{Trained, fit};

fn rows() -> Vec<LogRow> {
    synthetic_rows(150, 3, 11)
}

/// Trains on this many threads.
fn train(log: &EvalLog, threads: usize, seed: u64) -> Result<Trained> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| Ok(fit(log, &tiny_recipe(seed), 150.0, &|_| ())?))
}

/// The bytes the artifact would have had on one thread: the number of threads is recorded in it.
fn as_if_on_one_thread(mut artifact: Artifact) -> Result<Vec<u8>> {
    artifact.document.provenance.threads = 1;
    Ok(artifact.to_bytes()?)
}

#[test]
fn the_same_bytes_again() -> Result<()> {
    let log = log_of(rows())?;
    let (first, second) = (train(&log, 2, 3)?, train(&log, 2, 3)?);
    assert_eq!(first.identity, second.identity);
    assert!(first.bytes == second.bytes);
    assert_ne!(first.identity, train(&log, 2, 4)?.identity, "the seed matters, or the test shows nothing");
    Ok(())
}

#[test]
fn the_same_but_for_the_recorded_number_on_other_numbers_of_threads() -> Result<()> {
    let log = log_of(rows())?;
    let one = train(&log, 1, 3)?;
    assert_eq!(one.artifact.document.provenance.threads, 1);
    let two = train(&log, 2, 3)?;
    assert_eq!(two.artifact.document.provenance.threads, 2);
    assert!(two.artifact.weights == one.artifact.weights);
    assert!(as_if_on_one_thread(two.artifact)? == one.bytes);
    Ok(())
}

#[test]
fn the_same_bytes_from_shuffled_rows() -> Result<()> {
    let mut shuffled = rows();
    fastrand::Rng::with_seed(7).shuffle(&mut shuffled);
    assert!(shuffled != rows());
    let (sorted, shuffled) = (log_of(rows())?, log_of(shuffled)?);
    assert_eq!(sorted.reading.data_sha256, shuffled.reading.data_sha256);
    assert!(train(&sorted, 2, 3)?.bytes == train(&shuffled, 2, 3)?.bytes);
    Ok(())
}
