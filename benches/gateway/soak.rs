//! A fixed rate for long: resident memory of the gateway, and its slope.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_benches::tally::Tally;
use pointsman_benches::texts;
use pointsman_tests::fakeup::{Script, Span, Usage};

use crate::Options;
use crate::client::{Ask, Pool, Verdict};
use crate::pace;
use crate::site::Site;

/// Tokens of an answer.
const CHUNKS: usize = 8;

/// Samples of memory; those of the first third are warm-up.
const SAMPLES: u32 = 60;

pub(crate) async fn run(options: &Options, folder: &Path) {
    let script = Script {
        chunks: CHUNKS,
        latency_ms: Span::Uniform { from: 1, to: 20 },
        gap_ms: Span::Fixed(2),
        usage: Some(Usage { prompt_tokens: 60, completion_tokens: 8 }),
        ..Script::default()
    };
    let site = Site::start(folder, script, |configuration| configuration.state = Some(folder.join("ledger.db")));
    let rate = options.rate.unwrap_or(if options.is_test { 100.0 } else { 300.0 });
    let time = options.time(600.0, 1.0);
    let (pool, texts) = (Arc::new(Pool::new(site.at.listen)), texts(300, 1_024, 3));
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let started = Instant::now();
    let load = async {
        let each = |number: u64, due: Instant| {
            let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
            let (ask, pool) = (Ask::new(text, number, number.is_multiple_of(2), CHUNKS), Arc::clone(&pool));
            async move {
                let answer = pool.ask(&ask).await;
                (due, answer.map(|answer| (answer.ended, answer.verdict(&ask))))
            }
        };
        pace::open(rate, time, each, |(due, answer)| match answer {
            Ok((ended, Verdict::Whole)) => tally.record(ended.saturating_duration_since(due)),
            other => {
                tally.failures += 1;
                wrong.push(format!("{other:?}"));
            }
        })
        .await;
    };
    let watch = async {
        let mut samples = Vec::new();
        while started.elapsed() < time {
            tokio::time::sleep((time / SAMPLES).max(Duration::from_millis(20))).await;
            samples.push((started.elapsed().as_secs_f64(), site.process.resident_kib()));
        }
        samples
    };
    let ((), samples) = tokio::join!(load, watch);
    tally.took = started.elapsed();
    let warm = &samples[samples.len() / 3..];
    let (first, last) = (warm.first().copied().unwrap_or_default(), warm.last().copied().unwrap_or_default());
    println!(
        "soak/rate={rate}: {tally}; resident {:.0} kB after {:.0} s, {:.0} kB after {:.0} s, slope {:+.1} kB/min over {} samples",
        first.1,
        first.0,
        last.1,
        last.0,
        60.0 * slope(warm),
        warm.len(),
    );
    for wrong in wrong.iter().take(5) {
        println!("soak: {wrong}");
    }
    assert!(wrong.is_empty(), "{} answers are wrong", wrong.len());
}

/// Least-squares slope; 0 for fewer than two samples.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let covariance: f64 = samples.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let variance: f64 = samples.iter().map(|(x, _)| (x - mx) * (x - mx)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}
