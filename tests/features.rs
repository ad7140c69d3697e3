//! Training and serving compute the same features, bit for bit, and predict the same from them.
//!
//! Every prompt of the demonstration log, and of the real logs where they are at hand, is taken two ways: from the
//! log, as training takes it; and written out as the JSON of a chat request, parsed again, and featurised into used
//! buffers, as a server would. What training then leaves in an artifact shows that it saw these very features.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use pointsman::vocabulary::Vocabulary;
use pointsman::{Features, Featuriser, Predictions, Router};
use pointsman_evals::{EvalLog, Outcome, ReadOptions, Split, read};
use pointsman_tests::fixture::{ARTIFACT, bits};
use pointsman_tests::{logs, requests};
use rayon::prelude::*;

/// Every bit of the features, and of what is predicted from them.
fn assert_same(router: &Router, offline: &Features, online: &Features, used: &mut Predictions, id: &str) -> Result<()> {
    ensure!(offline.main() == online.main(), "`{id}`: words differ");
    ensure!(offline.background() == online.background(), "`{id}`: earlier words differ");
    ensure!(offline.chars() == online.chars(), "`{id}`: characters differ");
    let mut fresh = Predictions::default();
    router.predict(offline, &mut fresh);
    router.predict(online, used);
    ensure!(bits(offline, &fresh) == bits(online, used), "`{id}`: surface signals or predictions differ");
    Ok(())
}

/// Compares all prompts of a log and gives their number.
fn compare(log: &EvalLog) -> Result<usize> {
    let router = Router::from_bytes(ARTIFACT)?;
    let featuriser = Featuriser::new();
    log.prompts.par_iter().try_for_each_init(
        || (Features::default(), Predictions::default()),
        |(online, predictions), prompt| {
            let offline = requests::offline(&featuriser, prompt)?;
            requests::online(&featuriser, &requests::body(prompt)?, online)?;
            assert_same(&router, &offline, online, predictions, &prompt.id)
        },
    )?;
    Ok(log.prompts.len())
}

#[test]
fn of_the_demonstration_log() -> Result<()> {
    assert_eq!(compare(&logs::demo()?)?, 2_000);
    Ok(())
}

#[test]
fn of_real_logs() -> Result<()> {
    for file in logs::real_files() {
        let name = file.display().to_string();
        let log = read(&[PathBuf::from(&file)], &ReadOptions::default(), &mut |_| ()).context(name.clone())?;
        assert!(compare(&log).context(name)? > 100);
    }
    Ok(())
}

#[test]
fn an_artifact_holds_the_features_of_its_training_prompts() -> Result<()> {
    let log = logs::log_of(logs::synthetic_rows(120, 3, 5))?;
    let artifact = pointsman_training::fit(&log, &logs::tiny_recipe(5), 150.0, &|_| ())?.artifact;
    let featuriser = Featuriser::new();
    let is_known = |prompt: usize| log.outcomes.iter().any(|outcome: &Outcome| outcome.prompt as usize == prompt);
    let trained: Vec<Features> = log
        .prompts
        .iter()
        .enumerate()
        .filter(|(position, prompt)| prompt.split == Split::Train && is_known(*position))
        .map(|(_, prompt)| {
            let mut features = Features::default();
            requests::online(&featuriser, &requests::body(prompt)?, &mut features)?;
            Ok(features)
        })
        .collect::<Result<_>>()?;
    assert_eq!(trained.len(), artifact.document.provenance.n_prompts);

    let vocabulary = Vocabulary::new(&artifact.weights.vocabulary);
    let mut prompts_with: BTreeMap<u64, usize> = BTreeMap::new();
    for features in &trained {
        for hash in features.main().iter().chain(features.background()).collect::<BTreeSet<_>>() {
            *prompts_with.entry(*hash).or_default() += 1;
        }
    }
    let learned = prompts_with.iter().filter(|(hash, _)| vocabulary.slot(**hash).is_some());
    assert!(learned.clone().count() > 50);
    assert!(learned.clone().all(|(_, prompts)| *prompts >= 2), "a word of one prompt alone is not learned");

    for (signal, mean) in artifact.weights.surface_mean.iter().enumerate() {
        let sum: f64 = trained.iter().map(|features| f64::from(features.surface()[signal])).sum();
        let expected = sum / trained.len() as f64;
        assert!(
            (f64::from(*mean) - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "signal {signal}: {mean} {expected}"
        );
    }
    Ok(())
}
