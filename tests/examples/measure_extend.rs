//! How close a model learned from a few labels comes to one learned from all.
//!
//! ```text
//! cargo run --release -p pointsman-tests --example measure_extend -- LOG PRICES [LABELS [DRAWS]]
//! ```
//!
//! Works inside the train split alone, four fifths of which train and one fifth of which judges; the test split is never
//! looked at. Each model in turn is left out, the router trained without it, then extended with labels of prompts
//! drawn at random, and its AIQ compared with that of a router trained on everything.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pointsman::Router;
use pointsman::artifact::Artifact;
use pointsman_bench::{BenchOptions, RouterEntry};
use pointsman_evals::{EvalLog, ReadOptions, Split, read};
use pointsman_training::{Changes, RecipeSettings, extend, fit};

/// Answer length where the log says nothing of it, as on the command line.
const ASSUMED: f64 = 150.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = PathBuf::from(arguments.first().context("usage: measure_extend LOG PRICES [LABELS [DRAWS]]")?);
    let prices = arguments.get(1).map(PathBuf::from);
    let labels = arguments.get(2).map_or(Ok(50), |text| text.parse())?;
    let draws: u64 = arguments.get(3).map_or(Ok(5), |text| text.parse())?;
    let options = ReadOptions { prices, ..ReadOptions::default() };
    let log = inside_train(read(&[file], &options, &mut |_| ())?);
    let mut out = std::io::stdout();

    let full = aiq(&log, &train(&log)?)?;
    writeln!(out, "retrained on everything: AIQ {full:.4}")?;
    let mut all = Vec::new();
    for left_out in 0..log.models.len().min(MOST_MODELS) {
        let model = u32::try_from(left_out)?;
        let name = &log.models[left_out];
        let known = train(&keep(&log, |outcome, _| outcome.model != model))?;
        let before = aiq(&log, &known)?;
        for (what, others) in [("with the others' outcomes", true), ("its labels alone", false)] {
            let mut diffs = Vec::new();
            for seed in 0..draws {
                let drawn = draw(&log, model, labels, seed);
                let few = keep(&log, |outcome, train| {
                    train && if outcome.model == model { drawn.contains(&outcome.prompt) } else { others }
                });
                let changes = Changes { add: Some(name.clone()), ..Changes::default() };
                let extended = extend(known.clone(), Some(&few), &changes, ASSUMED)?;
                let quality = extended.summary.added.as_ref().map_or(f64::NAN, |added| added.quality.value);
                let extended = aiq(&log, &extended.artifact)?;
                diffs.push(extended - full);
                all.push(extended - full);
                write!(out, "  {extended:.4} ({quality:.3})")?;
                out.flush()?;
            }
            writeln!(out)?;
            let mean = diffs.iter().sum::<f64>() / diffs.len() as f64;
            writeln!(out, "{name}, {what}: without it {:+.4}, extended {mean:+.4}", before - full)?;
        }
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let worst = all.iter().copied().fold(f64::INFINITY, f64::min);
    let near = all.iter().filter(|diff| **diff >= -0.01).count();
    writeln!(out, "mean {mean:+.4}, worst {worst:+.4}, within 0.01: {near} of {}", all.len())?;
    Ok(())
}

/// Models left out in turn, at most.
const MOST_MODELS: usize = 12;

/// The train split as a log of its own, one prompt in five of which is for judging.
fn inside_train(mut log: EvalLog) -> EvalLog {
    let was: Vec<Split> = log.prompts.iter().map(|prompt| prompt.split).collect();
    log.outcomes.retain(|outcome| was[outcome.prompt as usize] == Split::Train);
    let mut random = fastrand::Rng::with_seed(11);
    for prompt in &mut log.prompts {
        // What was not of the train split has no outcomes left.
        prompt.split = if random.u32(..5) == 0 { Split::Test } else { Split::Train };
    }
    log
}

fn keep(log: &EvalLog, holds: impl Fn(&pointsman_evals::Outcome, bool) -> bool) -> EvalLog {
    let mut kept = log.clone();
    let train = |outcome: &pointsman_evals::Outcome| log.prompts[outcome.prompt as usize].split == Split::Train;
    kept.outcomes.retain(|outcome| holds(outcome, train(outcome)));
    kept
}

/// Prompts of the train split on which the model was run, drawn at random.
fn draw(log: &EvalLog, model: u32, labels: usize, seed: u64) -> Vec<u32> {
    let of = log.outcomes.iter().filter(|outcome| outcome.model == model);
    let mut prompts: Vec<u32> = of.map(|outcome| outcome.prompt).collect();
    prompts.retain(|prompt| log.prompts[*prompt as usize].split == Split::Train);
    fastrand::Rng::with_seed(seed).shuffle(&mut prompts);
    prompts.truncate(labels);
    prompts
}

fn train(log: &EvalLog) -> Result<Artifact> {
    Ok(fit(log, &RecipeSettings::default().validate()?, ASSUMED, &|_| ())?.artifact)
}

/// AIQ on the prompts for judging, over the whole pool of the log.
fn aiq(log: &EvalLog, artifact: &Artifact) -> Result<f64> {
    let entry = RouterEntry { name: "router".into(), router: Router::from_artifact(artifact.clone()) };
    // What was of the test split has no outcomes left, and must not count as gaps.
    let options = BenchOptions { resamples: 100, min_coverage: 0.5, ..BenchOptions::default() };
    let report = pointsman_bench::run(log, &options, vec![entry], &[], &mut |_| ())?;
    let router = report.routers.iter().find(|router| router.name == "router").context("the router is reported")?;
    Ok(router.aiq.context("costs differ")?.value)
}
