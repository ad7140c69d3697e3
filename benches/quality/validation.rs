//! Experiments by cross-validation inside train.

use pointsman_evals::EvalLog;

use crate::cases::Case;
use crate::experiment::Bench;
use crate::mean::Mean;
use crate::relabel;
use crate::section::{Section, missing, plain, share, signed};
use crate::trial::{self, Figures, Measure, RivalFigures};

/// A run that loses more than this share of the way from the best single model to the oracle has done harm.
pub(crate) const HARM: f64 = -0.02;

const LEGEND: &str = "AIQ is the mean quality over the cost range of the pool; the zero router mixes single models, the \
                      task table is told the task of every prompt. Gap closed: quality at any price, from the best single \
                      model, chosen on train (0), to the oracle (1); worst: of one run; harm: share of runs below −0.02. \
                      Static: share of runs in which training decided not to route; abstained: share of prompts left to \
                      the best single model.";

const INTERVALS: &str = "± is half a 95 % interval over runs, corrected for the training prompts that they share.";

/// Columns that every cross-validation shows of a router, after those of its own.
const HEADINGS: [&str; 7] = ["AIQ", "over zero router", "over task table", "gap closed", "worst", "harm", "static"];

/// Repeated cross-validation inside train.
pub(crate) fn cv(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "cv",
        "repeated cross-validation inside train",
        format!(
            "{} × {} folds of the training prompts, groups kept together; test prompts are not touched. {LEGEND} Best \
             rival: of the files of `--rivals`, by mean AIQ over the runs; their predictions for training prompts must be \
             out-of-fold. {INTERVALS}",
            bench.repeats, bench.folds
        ),
        ["case", "runs", "train"].into_iter().chain(HEADINGS).chain([
            "over kNN",
            "abstained",
            "Brier",
            "AUC",
            "ECE − floor",
            "APGR",
            "best rival",
            "AIQ over it",
            "APGR over it",
            "training s",
        ]),
    );
    for case in &bench.cases {
        let rivals = bench.rivals(&case.name)?;
        let measure = Measure { rivals: &rivals, ..Measure::of(case) };
        let mut runs = Vec::new();
        for repeat in 0..bench.repeats {
            for (fold, log) in relabel::folds(&case.log, bench.folds, repeat).iter().enumerate() {
                let figures = single(bench, &measure, log)?;
                section.push(&case.name, repeat, fold, "router", &figures);
                runs.push(figures);
            }
        }
        let mean = |figure: fn(&Figures) -> Option<f64>| Mean::of(runs.iter().map(figure), overlap(&runs));
        let mut row = start(case, &runs);
        row.extend(shared(&runs));
        row.extend([
            signed(mean(|f| Some(f.aiq? - f.aiq_knn?)), 4),
            plain(mean(|f| f.abstained), 2),
            plain(mean(|f| f.brier), 4),
            plain(mean(|f| f.auc), 3),
            plain(mean(|f| Some(f.ece? - f.ece_floor?)), 3),
            plain(mean(|f| f.apgr), 3),
        ]);
        row.extend(over_best_rival(case, &runs));
        row.push(plain(mean(|f| Some(f.training_seconds)), 1));
        section.rows.push(row);
    }
    Ok(section)
}

/// The same with and without the names of tasks and datasets, on the same folds.
pub(crate) fn unlabelled(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "unlabelled",
        "the same log without its tasks",
        format!(
            "{} × {} folds inside train, each trained on twice: with the task and dataset columns and without. Kept: \
             mean AIQ over the zero router without them, as a share of that with them. {INTERVALS}",
            bench.repeats, bench.folds
        ),
        [
            "case",
            "runs",
            "gain with tasks",
            "gain without",
            "kept",
            "gap closed with",
            "gap closed without",
            "static without",
        ],
    );
    for case in bench.cases.iter().filter(|case| has_labels(case)) {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for repeat in 0..bench.repeats {
            for (fold, log) in relabel::folds(&case.log, bench.folds, repeat).iter().enumerate() {
                let [labelled, bare] =
                    [trial::train(log, &bench.recipe)?, trial::train(&relabel::unlabelled(log), &bench.recipe)?];
                let report = Measure::of(case).run(log, &[("with", &labelled.router), ("without", &bare.router)])?;
                for (name, fitted, runs) in [("with", &labelled, &mut with), ("without", &bare, &mut without)] {
                    let figures = Figures::of(&report, name, fitted);
                    section.push(&case.name, repeat, fold, name, &figures);
                    runs.push(figures);
                }
            }
        }
        let gain = |runs: &[Figures]| Mean::of(runs.iter().map(Figures::gain), overlap(runs));
        let gap = |runs: &[Figures]| Mean::of(runs.iter().map(|f| f.gap_closed), overlap(runs));
        section.rows.push(vec![
            case.name.clone(),
            with.len().to_string(),
            signed(gain(&with), 4),
            signed(gain(&without), 4),
            kept(gain(&with), gain(&without)),
            signed(gap(&with), 3),
            signed(gap(&without), 3),
            share(without.iter().map(|f| f.is_static)),
        ]);
    }
    Ok(section)
}

/// Tasks that training never saw.
pub(crate) fn leave_task_out(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "leave-task-out",
        "tasks that training never saw",
        format!(
            "The tasks of the training prompts dealt to up to {} folds, {} times; each fold is evaluated by a router \
             trained on the other tasks, whose best single model need not be the best here. {LEGEND} Unrestrained: gap \
             closed if the same router followed every predicted gain; rightly: of the runs in which that differs, the \
             share in which holding still was better. {INTERVALS}",
            bench.folds, bench.repeats
        ),
        ["case", "runs", "train"].into_iter().chain(HEADINGS).chain(["abstained", "unrestrained", "rightly", "kNN"]),
    );
    for case in bench.cases.iter().filter(|case| has_labels(case)) {
        let (mut runs, mut unrestrained) = (Vec::new(), Vec::new());
        for repeat in 0..bench.repeats {
            for (fold, log) in relabel::tasks_left_out(&case.log, bench.folds, repeat).iter().enumerate() {
                let fitted = trial::train(log, &bench.recipe)?;
                let routers = [("router", &fitted.router), ("unrestrained", &fitted.unrestrained())];
                let report = Measure::of(case).run(log, &routers)?;
                for (name, runs) in [("router", &mut runs), ("unrestrained", &mut unrestrained)] {
                    let figures = Figures::of(&report, name, &fitted);
                    section.push(&case.name, repeat, fold, name, &figures);
                    runs.push(figures);
                }
            }
        }
        let differ = runs.iter().zip(&unrestrained).filter(|(held, free)| held.gap_closed != free.gap_closed);
        let mut row = start(case, &runs);
        row.extend(shared(&runs));
        row.extend([
            plain(Mean::of(runs.iter().map(|f| f.abstained), overlap(&runs)), 2),
            signed(Mean::of(unrestrained.iter().map(|f| f.gap_closed), overlap(&runs)), 3),
            share(differ.map(|(held, free)| held.gap_closed > free.gap_closed)),
            signed(Mean::of(runs.iter().map(|f| f.gap_closed_knn), overlap(&runs)), 3),
        ]);
        section.rows.push(row);
    }
    Ok(section)
}

/// Outcomes that have nothing to do with the prompts.
pub(crate) fn shuffle(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "shuffle",
        "outcomes that have nothing to do with the prompts",
        format!(
            "{} × {} folds inside train with the rows of outcomes dealt anew to the prompts, within training and \
             evaluated prompts: there is nothing to learn, and a router that gains or loses is fooled by chance. {LEGEND} \
             {INTERVALS}",
            bench.repeats, bench.folds
        ),
        ["case", "runs", "train"].into_iter().chain(HEADINGS),
    );
    for case in &bench.cases {
        let mut runs = Vec::new();
        for repeat in 0..bench.repeats {
            for (fold, log) in relabel::folds(&case.log, bench.folds, repeat).iter().enumerate() {
                let figures = single(bench, &Measure::of(case), &relabel::outcomes_shuffled(log, repeat))?;
                section.push(&case.name, repeat, fold, "router", &figures);
                runs.push(figures);
            }
        }
        let mut row = start(case, &runs);
        row.extend(shared(&runs));
        section.rows.push(row);
    }
    Ok(section)
}

/// One router on one log.
fn single(bench: &Bench, measure: &Measure<'_>, log: &EvalLog) -> anyhow::Result<Figures> {
    let fitted = trial::train(log, &bench.recipe)?;
    let report = measure.run(log, &[("router", &fitted.router)])?;
    Ok(Figures::of(&report, "router", &fitted))
}

/// Evaluated share over training share, which says how much the runs of a cross-validation have in common.
pub(crate) fn overlap(runs: &[Figures]) -> f64 {
    let total = |size: fn(&Figures) -> usize| runs.iter().map(size).sum::<usize>() as f64;
    total(|f| f.n_evaluated) / total(|f| f.n_train).max(1.0)
}

fn has_labels(case: &Case) -> bool {
    case.log.tasks.len() > 1
}

fn start(case: &Case, runs: &[Figures]) -> Vec<String> {
    let train = Mean::of(runs.iter().map(|f| Some(f.n_train as f64)), 0.0);
    vec![case.name.clone(), runs.len().to_string(), plain(train, 0)]
}

/// The cells under [`HEADINGS`].
fn shared(runs: &[Figures]) -> [String; 7] {
    let mean = |figure: fn(&Figures) -> Option<f64>| Mean::of(runs.iter().map(figure), overlap(runs));
    let worst = runs.iter().filter_map(|f| f.gap_closed).min_by(f64::total_cmp);
    [
        plain(mean(|f| f.aiq), 4),
        signed(mean(Figures::gain), 4),
        signed(mean(|f| Some(f.aiq? - f.aiq_task_table?)), 4),
        signed(mean(|f| f.gap_closed), 3),
        worst.map_or_else(missing, |gap| format!("{gap:+.3}")),
        share(runs.iter().map(|f| f.gap_closed.is_some_and(|gap| gap < HARM))),
        share(runs.iter().map(|f| f.is_static)),
    ]
}

/// The rival of the best mean AIQ, and our lead over it in AIQ and in APGR.
fn over_best_rival(case: &Case, runs: &[Figures]) -> [String; 3] {
    let mean = |name: &str| Mean::of(runs.iter().map(|f| f.rivals[name].aiq), 0.0).map(|mean| mean.value);
    let names = runs.first().map(|run| run.rivals.keys()).into_iter().flatten();
    let best = names.filter_map(|name| Some((name, mean(name)?))).max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((name, _)) = best else { return [missing(), missing(), missing()] };
    let lead = |figure: fn(&Figures, &RivalFigures) -> Option<f64>| {
        Mean::of(runs.iter().map(|run| figure(run, &run.rivals[name])), overlap(runs))
    };
    [
        name.strip_prefix(&format!("{}.", case.name)).unwrap_or(name).to_owned(),
        signed(lead(|ours, rival| Some(ours.aiq? - rival.aiq?)), 4),
        signed(lead(|ours, rival| Some(ours.apgr? - rival.apgr?)), 3),
    ]
}

/// One mean as a share of another; nothing where there was nothing to keep.
fn kept(of: Option<Mean>, part: Option<Mean>) -> String {
    match (of, part) {
        (Some(of), Some(part)) if of.value > 0.0 => format!("{:.0} %", 100.0 * part.value / of.value),
        _ => missing(),
    }
}
