//! Logs made from logs: which prompts are trained on, which are evaluated, and what of their outcomes is shown.
//!
//! Every function is pure: same log and seed, same result. Prompts of the original test split are in none of them.
//! What moves together is a *unit*: the prompts of one group, or those of one request where there are no groups. The hashes in
//! [`EvalLog::reading`] stay those of the log that was read.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use pointsman_evals::log::{Content, EvalLog, Outcome, Prompt};
use pointsman_evals::split::Split;

/// A hundred training prompts must not be judged on fewer than a fifth of the file: the usual 80 to 20.
const HELD_OUT: f64 = 0.2;

/// The prompts that `side` gives a split, under that split, with all their outcomes.
pub(crate) fn select(log: &EvalLog, mut side: impl FnMut(usize, &Prompt) -> Option<Split>) -> EvalLog {
    let mut renumbered = vec![None; log.prompts.len()];
    let mut prompts = Vec::new();
    for (old, prompt) in log.prompts.iter().enumerate() {
        if let Some(split) = side(old, prompt) {
            renumbered[old] = Some(u32::try_from(prompts.len()).expect("prompts are numbered by u32"));
            prompts.push(Prompt { split, ..prompt.clone() });
        }
    }
    let mut outcomes = log.outcomes.clone();
    outcomes.retain_mut(|outcome| {
        let new = renumbered[outcome.prompt as usize];
        outcome.prompt = new.unwrap_or_default();
        new.is_some()
    });
    with_rows(log, prompts, outcomes)
}

/// Cross-validation inside train: `n_folds` logs, each of which evaluates another part of the training prompts.
///
/// Units are dealt at random, so that every prompt is evaluated once and no group is on both sides.
pub(crate) fn folds(log: &EvalLog, n_folds: usize, seed: u64) -> Vec<EvalLog> {
    let mut fold_of = BTreeMap::new();
    for (position, unit) in shuffled_units(log, seed).into_iter().enumerate() {
        fold_of.insert(unit, position % n_folds);
    }
    let held_out = |fold: usize| {
        select(log, |_, prompt| {
            let side = if fold_of.get(unit(prompt)) == Some(&fold) { Split::Test } else { Split::Train };
            (prompt.split == Split::Train).then_some(side)
        })
    };
    (0..n_folds).map(held_out).collect()
}

/// A fifth of the training units to be evaluated, and of the rest as many whole units as make `n` training prompts
/// or a few more; all of them for `None`. `None` is returned where there are not that many.
///
/// With one seed, the evaluated prompts are the same for every `n`, and a smaller training set is part of a larger.
pub(crate) fn subsample(log: &EvalLog, n: Option<usize>, seed: u64) -> Option<EvalLog> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for prompt in train(log) {
        *sizes.entry(unit(prompt)).or_default() += 1;
    }
    let n_train: usize = sizes.values().sum();
    let mut sides = BTreeMap::new();
    let (mut n_evaluated, mut n_taken) = (0, 0);
    for unit in shuffled_units(log, seed) {
        if (n_evaluated as f64) < HELD_OUT * n_train as f64 {
            n_evaluated += sizes[unit];
            sides.insert(unit, Split::Test);
        } else if n.is_none_or(|n| n_taken < n) {
            n_taken += sizes[unit];
            sides.insert(unit, Split::Train);
        }
    }
    let enough = n.is_none_or(|n| n_taken >= n);
    enough.then(|| select(log, |_, prompt| sides.get(unit(prompt)).copied().filter(|_| prompt.split == Split::Train)))
}

/// Whole tasks held out: the training prompts of some tasks are evaluated, those of the others trained on.
///
/// Tasks are dealt from the largest to the smallest, each to the fold with the fewest prompts, after a shuffle that
/// settles ties. Prompts without a task are always trained on; those whose group is being evaluated leave. Empty where
/// there are fewer than two tasks; never more folds than tasks.
pub(crate) fn tasks_left_out(log: &EvalLog, n_folds: usize, seed: u64) -> Vec<EvalLog> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    for task in train(log).filter_map(|prompt| prompt.task) {
        *sizes.entry(task).or_default() += 1;
    }
    if sizes.len() < 2 {
        return Vec::new();
    }
    let mut order: Vec<u32> = sizes.keys().copied().collect();
    Rng::with_seed(seed).shuffle(&mut order);
    order.sort_by_key(|task| std::cmp::Reverse(sizes[task]));
    let mut filled = vec![0; n_folds.min(sizes.len())];
    let mut fold_of = BTreeMap::new();
    for task in order {
        let fold = (0..filled.len()).min_by_key(|&fold| filled[fold]).expect("at least one fold");
        filled[fold] += sizes[&task];
        fold_of.insert(task, fold);
    }
    let left_out = |fold: usize| {
        let evaluated = |prompt: &Prompt| prompt.task.is_some_and(|task| fold_of.get(&task) == Some(&fold));
        let units: BTreeSet<&str> = train(log).filter(|prompt| evaluated(prompt)).map(unit).collect();
        select(log, |_, prompt| match prompt.split {
            Split::Train if evaluated(prompt) => Some(Split::Test),
            Split::Train if !units.contains(unit(prompt)) => Some(Split::Train),
            _ => None,
        })
    };
    (0..filled.len()).map(left_out).collect()
}

/// The same log without the names of tasks and datasets.
pub(crate) fn unlabelled(log: &EvalLog) -> EvalLog {
    let mut log = log.clone();
    log.tasks.clear();
    log.datasets.clear();
    for prompt in &mut log.prompts {
        (prompt.task, prompt.dataset) = (None, None);
    }
    log
}

/// The same log, but each training cell is kept with probability `share`; evaluated prompts keep all of theirs.
pub(crate) fn sparse(log: &EvalLog, share: f64, seed: u64) -> EvalLog {
    let mut random = Rng::with_seed(seed);
    let mut log = log.clone();
    let prompts = &log.prompts;
    // Drawn for every cell, so that what one side keeps does not depend on the other.
    log.outcomes.retain(|outcome| random.f64() < share || prompts[outcome.prompt as usize].split != Split::Train);
    log
}

/// The same prompts, tasks and splits, but the outcomes of every prompt belong to another one of the same split.
///
/// Rows move whole, so models keep their means and what they have in common; only the texts and tasks no longer say
/// anything.
pub(crate) fn outcomes_shuffled(log: &EvalLog, seed: u64) -> EvalLog {
    let mut random = Rng::with_seed(seed);
    let mut moved: Vec<u32> = (0_u32..).take(log.prompts.len()).collect();
    for split in Split::ALL {
        let members: Vec<usize> = (0..log.prompts.len()).filter(|&i| log.prompts[i].split == split).collect();
        let mut targets = members.clone();
        random.shuffle(&mut targets);
        for (from, to) in members.into_iter().zip(targets) {
            moved[from] = u32::try_from(to).expect("prompts are numbered by u32");
        }
    }
    let mut log = log.clone();
    for outcome in &mut log.outcomes {
        outcome.prompt = moved[outcome.prompt as usize];
    }
    log.outcomes.sort_by_key(|outcome| (outcome.prompt, outcome.model));
    log
}

/// Exactly `n` training prompts and nothing to evaluate: an even sample, or all of them and some once more, under ids
/// of their own, as often as it takes. For measuring time and memory; such a log says nothing about quality.
pub(crate) fn resized(log: &EvalLog, n: usize) -> EvalLog {
    let train: Vec<usize> = (0..log.prompts.len()).filter(|&i| log.prompts[i].split == Split::Train).collect();
    let n_train = train.len().max(1);
    let mut taken: Vec<(String, usize)> = (0..n)
        .filter_map(|i| {
            let round = i / n_train;
            // Rounds that are filled go through all; the last one, of the rest, takes evenly spaced ones.
            let rest = if round < n / n_train { n_train } else { n % n_train };
            let old = *train.get(i % n_train * n_train / rest)?;
            Some((format!("{}/{round}", log.prompts[old].id), old))
        })
        .collect();
    taken.sort_unstable();
    let starts: Vec<usize> = (0_u32..)
        .take(log.prompts.len() + 1)
        .map(|prompt| log.outcomes.partition_point(|outcome| outcome.prompt < prompt))
        .collect();
    let mut prompts = Vec::with_capacity(n);
    let mut outcomes = Vec::new();
    for (new, (id, old)) in (0_u32..).zip(taken) {
        let cells = &log.outcomes[starts[old]..starts[old + 1]];
        outcomes.extend(cells.iter().map(|outcome| Outcome { prompt: new, ..*outcome }));
        prompts.push(Prompt { id, ..log.prompts[old].clone() });
    }
    with_rows(log, prompts, outcomes)
}

/// The same catalogue with other prompts and outcomes.
fn with_rows(log: &EvalLog, prompts: Vec<Prompt>, outcomes: Vec<Outcome>) -> EvalLog {
    EvalLog {
        prompts,
        outcomes,
        models: log.models.clone(),
        tasks: log.tasks.clone(),
        datasets: log.datasets.clone(),
        prices: log.prices.clone(),
        reading: log.reading.clone(),
    }
}

fn train(log: &EvalLog) -> impl Iterator<Item = &Prompt> {
    log.prompts.iter().filter(|prompt| prompt.split == Split::Train)
}

/// What a prompt moves with: its group, else what is asked. `bfcl_v1` asks some requests with several lists of tools
/// behind them, and its own split keeps those together.
fn unit(prompt: &Prompt) -> &str {
    match (&prompt.group, &prompt.content) {
        (Some(group), _) => group,
        (None, Content::Text(text)) => text.split("Tools:").next().unwrap_or(text).trim(),
        (None, Content::Messages(_)) => &prompt.id,
    }
}

/// The units of the train split in random order.
fn shuffled_units(log: &EvalLog, seed: u64) -> Vec<&str> {
    let units: BTreeSet<&str> = train(log).map(unit).collect();
    let mut units: Vec<&str> = units.into_iter().collect();
    Rng::with_seed(seed).shuffle(&mut units);
    units
}
