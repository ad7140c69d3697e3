//! Experiments on how much there is to learn from: prompts, cells, and the time that learning takes.

use std::thread::available_parallelism;

use crate::experiment::Bench;
use crate::mean::Mean;
use crate::relabel;
use crate::section::{Section, missing, plain, share, signed};
use crate::trial::{self, Figures, Measure};
use crate::validation::HARM;

/// Numbers of training prompts of the learning curve; after them, all there are.
const SIZES: [usize; 4] = [100, 300, 1_000, 3_000];

/// Share of cells that a sparse log keeps.
const OBSERVED: f64 = 0.3;

/// Training prompts of the run that is timed.
const TIMED: usize = 10_000;

const INTERVALS: &str = "± is half a 95 % interval over the subsamples: it covers the luck of the draw from this file.";

/// Learning curve.
pub(crate) fn curve(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "curve",
        "how many labelled prompts it takes",
        format!(
            "{} times a fifth of the training prompts is set aside to evaluate on, and routers are trained on \
             more and more of the others; a smaller set is part of the next. Gap closed: quality at any price, \
             from the best single model, chosen on the prompts trained on (0), to the oracle (1); harm: share of runs \
             below −0.02. {INTERVALS}",
            bench.subsamples
        ),
        [
            "case",
            "train",
            "runs",
            "AIQ over zero router",
            "gap closed",
            "worst",
            "harm",
            "static",
            "kNN gap closed",
            "Brier",
            "AUC",
            "APGR",
        ],
    );
    let sizes = SIZES.into_iter().take(if bench.is_quick { 2 } else { SIZES.len() });
    let sizes: Vec<Option<usize>> = sizes.map(Some).chain([None]).collect();
    for case in &bench.cases {
        for &size in &sizes {
            let mut runs = Vec::new();
            for seed in 0..bench.subsamples {
                let Some(log) = relabel::subsample(&case.log, size, seed) else { continue };
                let fitted = trial::train(&log, &bench.recipe)?;
                let report = Measure::of(case).run(&log, &[("router", &fitted.router)])?;
                let figures = Figures::of(&report, "router", &fitted);
                section.push(&case.name, seed, size.unwrap_or(figures.n_train), "router", &figures);
                runs.push(figures);
            }
            if runs.is_empty() {
                continue;
            }
            let mean = |figure: fn(&Figures) -> Option<f64>| Mean::of(runs.iter().map(figure), 0.0);
            let worst = runs.iter().filter_map(|f| f.gap_closed).min_by(f64::total_cmp);
            section.rows.push(vec![
                case.name.clone(),
                size.map_or_else(|| format!("all ({})", plain(mean(|f| Some(f.n_train as f64)), 0)), |n| n.to_string()),
                runs.len().to_string(),
                signed(mean(Figures::gain), 4),
                signed(mean(|f| f.gap_closed), 3),
                worst.map_or_else(missing, |gap| format!("{gap:+.3}")),
                share(runs.iter().map(|f| f.gap_closed.is_some_and(|gap| gap < HARM))),
                share(runs.iter().map(|f| f.is_static)),
                signed(mean(|f| f.gap_closed_knn), 3),
                plain(mean(|f| f.brier), 4),
                plain(mean(|f| f.auc), 3),
                plain(mean(|f| f.apgr), 3),
            ]);
        }
    }
    Ok(section)
}

/// Missing cells.
pub(crate) fn sparse(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "sparse",
        "most outcomes missing",
        format!(
            "{} times a fifth of the training prompts is set aside to evaluate on; one router is trained on all outcomes \
             of the others, one on a random {:.0} % of them. Loss: AIQ with all outcomes less AIQ with the few, on the \
             same evaluated prompts. {INTERVALS}",
            bench.subsamples,
            100.0 * OBSERVED
        ),
        ["case", "runs", "AIQ dense", "AIQ sparse", "loss", "gap closed dense", "gap closed sparse", "static sparse"],
    );
    for case in &bench.cases {
        let (mut dense, mut few) = (Vec::new(), Vec::new());
        for seed in 0..bench.subsamples {
            let Some(log) = relabel::subsample(&case.log, None, seed) else { continue };
            let all = trial::train(&log, &bench.recipe)?;
            let some = trial::train(&relabel::sparse(&log, OBSERVED, seed), &bench.recipe)?;
            let report = Measure::of(case).run(&log, &[("dense", &all.router), ("sparse", &some.router)])?;
            for (name, fitted, runs) in [("dense", &all, &mut dense), ("sparse", &some, &mut few)] {
                let figures = Figures::of(&report, name, fitted);
                section.push(&case.name, seed, figures.n_train, name, &figures);
                runs.push(figures);
            }
        }
        let mean = |runs: &[Figures], figure: fn(&Figures) -> Option<f64>| Mean::of(runs.iter().map(figure), 0.0);
        let loss = dense.iter().zip(&few).map(|(dense, few)| Some(dense.aiq? - few.aiq?));
        section.rows.push(vec![
            case.name.clone(),
            dense.len().to_string(),
            plain(mean(&dense, |f| f.aiq), 4),
            plain(mean(&few, |f| f.aiq), 4),
            signed(Mean::of(loss, 0.0), 4),
            signed(mean(&dense, |f| f.gap_closed), 3),
            signed(mean(&few, |f| f.gap_closed), 3),
            share(few.iter().map(|f| f.is_static)),
        ]);
    }
    Ok(section)
}

/// What training takes.
pub(crate) fn time(bench: &Bench) -> anyhow::Result<Section> {
    let n = if bench.is_quick { TIMED / 10 } else { TIMED };
    let threads = available_parallelism().map_or(1, usize::from);
    let mut section = Section::new(
        "time",
        "what training takes",
        format!(
            "Training prompts of each case brought to {n} (an even sample, or some of them twice) and trained on once, with \
             {:?} effort, on {threads} threads of this machine; wall time, so only an idle machine shows what it can do.",
            bench.recipe.settings().effort
        ),
        ["case", "prompts", "models", "outcomes", "seconds"],
    );
    for case in &bench.cases {
        let log = relabel::resized(&case.log, n);
        let fitted = trial::train(&log, &bench.recipe)?;
        crate::say(&format!("time {}: {:.1} s", case.name, fitted.seconds));
        let (n_prompts, n_models) = (log.prompts.len(), fitted.router.models().len());
        section.runs.push(serde_json::json!({
            "case": case.name, "prompts": n_prompts, "models": n_models, "outcomes": log.outcomes.len(),
            "threads": threads, "training_seconds": fitted.seconds,
        }));
        section.rows.push(vec![
            case.name.clone(),
            n_prompts.to_string(),
            n_models.to_string(),
            log.outcomes.len().to_string(),
            format!("{:.1}", fitted.seconds),
        ]);
    }
    Ok(section)
}
