//! What the quality benchmark does to logs, on the included log: it has groups, tasks and missing cells. And how it
//! takes means.
#![forbid(unsafe_code)]

mod mean;
mod relabel;

use std::collections::{BTreeMap, BTreeSet};

use pointsman_evals::log::{EvalLog, Outcome, Prompt};
use pointsman_evals::split::Split;
use pointsman_evals::{ReadOptions, read};

use mean::Mean;

fn demo() -> EvalLog {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/demo/log.parquet");
    read(&[path.into()], &ReadOptions::default(), &mut |_| ()).expect("the included log is valid")
}

fn of_split(log: &EvalLog, split: Split) -> impl Iterator<Item = &Prompt> {
    log.prompts.iter().filter(move |prompt| prompt.split == split)
}

fn ids(log: &EvalLog, split: Split) -> BTreeSet<&str> {
    of_split(log, split).map(|prompt| prompt.id.as_str()).collect()
}

fn groups(log: &EvalLog, split: Split) -> BTreeSet<&str> {
    of_split(log, split).filter_map(|prompt| prompt.group.as_deref()).collect()
}

/// Score, cost and model by prompt id.
fn cells(log: &EvalLog) -> BTreeMap<(&str, u32), (f32, f64)> {
    let cell = |outcome: &Outcome| {
        let id = log.prompts[outcome.prompt as usize].id.as_str();
        ((id, outcome.model), (outcome.score, outcome.cost_usd))
    };
    log.outcomes.iter().map(cell).collect()
}

/// What holds of every log made here.
fn check(made: &EvalLog, original: &EvalLog) {
    let kept = made.outcomes.iter().map(|outcome| (outcome.prompt, outcome.model));
    assert!(kept.clone().is_sorted(), "outcomes are sorted");
    assert_eq!(kept.clone().collect::<BTreeSet<_>>().len(), made.outcomes.len(), "no cell occurs twice");
    assert!(made.prompts.is_sorted_by(|a, b| a.id < b.id), "prompts are sorted");
    assert!(groups(made, Split::Train).is_disjoint(&groups(made, Split::Test)), "no group is on both sides");
    let train = ids(original, Split::Train);
    assert!(made.prompts.iter().all(|prompt| train.contains(prompt.id.as_str())), "test prompts of the log are out");
    assert_eq!(made.models, original.models);
}

/// Whether every prompt of `made` has the cells that it has in `original`.
fn keeps_cells(made: &EvalLog, original: &EvalLog) -> bool {
    let ids: BTreeSet<&str> = made.prompts.iter().map(|prompt| prompt.id.as_str()).collect();
    let mut all = cells(original);
    all.retain(|(id, _), _| ids.contains(id));
    cells(made) == all
}

#[test]
fn folds_evaluate_every_training_prompt_once() {
    let log = demo();
    let folds = relabel::folds(&log, 5, 1);
    let mut evaluated = Vec::new();
    for fold in &folds {
        check(fold, &log);
        assert!(keeps_cells(fold, &log));
        assert_eq!(fold.prompts.len(), ids(&log, Split::Train).len());
        evaluated.extend(ids(fold, Split::Test));
    }
    let n = evaluated.len();
    assert_eq!((n, evaluated.into_iter().collect::<BTreeSet<_>>()), (n, ids(&log, Split::Train)));
    assert!(folds.iter().all(|fold| of_split(fold, Split::Test).count() > n / 7), "folds are about as large");
}

#[test]
fn a_seed_decides() {
    let log = demo();
    let evaluated = |seed| ids(&relabel::folds(&log, 5, seed)[0], Split::Test).len();
    let first = |seed| -> Vec<String> {
        relabel::folds(&log, 5, seed)[0].prompts.iter().map(|p| format!("{} {}", p.id, p.split)).collect()
    };
    assert!(evaluated(1) > 0);
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}

#[test]
fn subsamples_of_one_seed_are_nested_and_evaluated_alike() {
    let log = demo();
    let [small, large, all] = [Some(100), Some(300), None].map(|n| relabel::subsample(&log, n, 4).expect("enough"));
    for made in [&small, &large, &all] {
        check(made, &log);
        assert!(keeps_cells(made, &log));
        assert_eq!(ids(made, Split::Test), ids(&all, Split::Test));
    }
    assert!(ids(&small, Split::Train).is_subset(&ids(&large, Split::Train)));
    assert!((100..150).contains(&ids(&small, Split::Train).len()));
    assert_eq!(all.prompts.len(), ids(&log, Split::Train).len());
    assert!(relabel::subsample(&log, Some(5_000), 4).is_none(), "there are not that many");
}

#[test]
fn tasks_left_out_are_not_trained_on() {
    let log = demo();
    let folds = relabel::tasks_left_out(&log, 5, 2);
    assert_eq!(folds.len(), 5);
    let mut evaluated = BTreeSet::new();
    for fold in &folds {
        check(fold, &log);
        assert!(keeps_cells(fold, &log));
        let tasks = |split| of_split(fold, split).filter_map(|prompt| prompt.task).collect::<BTreeSet<u32>>();
        assert!(tasks(Split::Train).is_disjoint(&tasks(Split::Test)));
        assert!(evaluated.is_disjoint(&tasks(Split::Test)), "every task is left out once");
        evaluated.extend(tasks(Split::Test));
    }
    assert_eq!(evaluated.len(), log.tasks.len());
    assert!(relabel::tasks_left_out(&relabel::unlabelled(&log), 5, 2).is_empty());
    assert_eq!(relabel::tasks_left_out(&log, 50, 2).len(), log.tasks.len());
}

#[test]
fn without_labels_all_else_is_there() {
    let log = demo();
    let bare = relabel::unlabelled(&log);
    assert!(bare.tasks.is_empty() && bare.prompts.iter().all(|prompt| prompt.task.is_none()));
    assert_eq!(cells(&bare), cells(&log));
}

#[test]
fn sparse_logs_lose_training_cells_alone() {
    let log = relabel::folds(&demo(), 5, 1).remove(0);
    let sparse = relabel::sparse(&log, 0.3, 7);
    let count = |log: &EvalLog, split| {
        log.outcomes.iter().filter(|outcome| log.prompts[outcome.prompt as usize].split == split).count()
    };
    assert_eq!(count(&sparse, Split::Test), count(&log, Split::Test));
    let share = count(&sparse, Split::Train) as f64 / count(&log, Split::Train) as f64;
    assert!((0.27..0.33).contains(&share), "{share}");
    let dense = cells(&log);
    assert!(cells(&sparse).iter().all(|(cell, value)| dense[cell] == *value));
    assert_eq!(sparse.prompts, log.prompts);
}

#[test]
fn shuffled_outcomes_move_as_rows_within_their_split() {
    let log = relabel::folds(&demo(), 5, 1).remove(0);
    let shuffled = relabel::outcomes_shuffled(&log, 3);
    check(&shuffled, &demo());
    assert_eq!(shuffled.prompts, log.prompts);
    let rows = |log: &EvalLog, split: Split| {
        let mut rows: Vec<String> = log
            .outcomes
            .chunk_by(|a, b| a.prompt == b.prompt)
            .filter(|row| log.prompts[row[0].prompt as usize].split == split)
            .map(|row| format!("{:?}", row.iter().map(|o| (o.model, o.score, o.cost_usd)).collect::<Vec<_>>()))
            .collect();
        rows.sort_unstable();
        rows
    };
    for split in [Split::Train, Split::Test] {
        assert_eq!(rows(&shuffled, split), rows(&log, split));
    }
    assert_ne!(cells(&shuffled), cells(&log));
}

#[test]
fn resized_logs_have_as_many_prompts_as_asked_for() {
    let log = demo();
    let n_train = ids(&log, Split::Train).len();
    for n in [100, n_train, n_train + 50, 3 * n_train] {
        let made = relabel::resized(&log, n);
        assert_eq!(made.prompts.len(), n);
        assert!(made.prompts.iter().all(|prompt| prompt.split == Split::Train));
        assert!(made.prompts.is_sorted_by(|a, b| a.id < b.id), "sorted and distinct");
        assert!(made.outcomes.is_sorted_by_key(|outcome| (outcome.prompt, outcome.model)));
        assert!(made.outcomes.len() > 5 * n, "prompts keep their cells");
        let tasks: BTreeSet<Option<u32>> = made.prompts.iter().map(|prompt| prompt.task).collect();
        assert_eq!(tasks.len(), log.tasks.len(), "prompts come from everywhere");
    }
}

#[test]
fn means_over_runs_know_how_much_runs_share() {
    let half = |values: &[f64], overlap| Mean::of(values.iter().copied().map(Some), overlap).and_then(|m| m.half_width);
    // Two runs 2 apart: s² = 2, standard error 1, 12.706 of them.
    assert!((half(&[1.0, 3.0], 0.0).expect("two runs") - 12.706).abs() < 1e-9);
    // With five folds: s² · (1/2 + 1/4).
    assert!((half(&[1.0, 3.0], 0.25).expect("two runs") - 12.706 * 1.5_f64.sqrt()).abs() < 1e-9);
    assert_eq!(half(&[1.0], 0.0), None);
    assert_eq!(Mean::of([None, Some(2.0), None], 0.0).map(|mean| mean.value), Some(2.0));
    assert_eq!(Mean::of([None], 0.0), None);
}

#[test]
fn few_runs_are_trusted_less() {
    // s² = 1 and a variance of the mean of 1: half the width is the 97.5 % point of Student's t itself.
    let point = |n: usize| {
        let spread = ((n - 1) as f64 / n as f64).sqrt();
        let values = (0..n).map(|i| Some(if i % 2 == 0 { spread } else { -spread }));
        Mean::of(values, 1.0 - 1.0 / n as f64).and_then(|mean| mean.half_width).expect("several runs")
    };
    for (n, expected) in [(4, 3.182), (10, 2.262), (20, 2.093), (100, 1.984)] {
        assert!((point(n) - expected).abs() < 5e-3, "{n}: {}", point(n));
    }
}
