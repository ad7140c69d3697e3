//! Can routing pay on this log? Figures that need no training, and one sentence.
//!
//! ```no_run
//! use pointsman_bench::inspection::{InspectOptions, inspect};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = pointsman_evals::read(&["log.parquet".into()], &Default::default(), &mut |_| {})?;
//! let report = inspect(&log, &InspectOptions::default(), &mut |_| {})?;
//! println!("{}", report.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! - Outcomes of the test split are not looked at (its prompts are counted, its texts compared), so inspecting as
//!   often as one likes does not use it up. A log that is all test is inspected whole.
//! - Models are compared on the same prompts: the pool is chosen by coverage, then prompts with a missing cell leave,
//!   as in the benchmark. Where that leaves no prompt, figures are over observed cells and take cells to be missing at
//!   random within a task; there is no oracle then. A log without any cost is compared by quality alone.
//! - Prompts count alike, whatever their sample weight.
//!
//! # References
//!
//! Each module says what its figures are: `strata` (what tasks are worth), `noise` (the oracle's luck), `prompts`,
//! `duplicates` and `near_duplicates`, `verdict`; [`pointsman_metrics::power`] (the smallest difference).

mod duplicates;
mod ground;
mod noise;
mod prompts;
mod report;
mod strata;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use pointsman_evals::EvalLog;
use pointsman_metrics::mean_interval::wilson;
use pointsman_metrics::power::{detectable_difference, queries_needed};
use pointsman_metrics::{Point, hull_vertices};

use crate::error::Error;
use crate::options::PromptListing;
use crate::report::IntervalReport;
use ground::Ground;
use prompts::{PromptSums, Roles};
use strata::{CrossValidated, Strata};

pub use report::{
    AgreementReport, CeilingReport, DuplicateExample, DuplicateReport, Finding, InspectionReport, ModelReport,
    OracleReport, PowerReport, SizeReport, TaskInspection, TaskTableReport,
};

/// Settings of an inspection.
#[derive(Clone, Copy, Debug)]
pub struct InspectOptions {
    /// Least share of the log's prompts that a model of the pool must have outcomes for, in `[0, 1]`.
    pub min_coverage: f64,
    /// Whether examples of duplicates come with their texts.
    pub prompts: PromptListing,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self { min_coverage: 0.9, prompts: PromptListing::Omitted }
    }
}

/// Inspects a log. `progress` is told what is next, from this thread.
///
/// Time is linear in cells and in the length of the texts; memory beyond the log is about 300 bytes per prompt.
///
/// # Errors
///
/// If `min_coverage` is outside `[0, 1]`, or the messages of a prompt do not parse.
pub fn inspect(
    log: &EvalLog,
    options: &InspectOptions,
    progress: &mut dyn FnMut(&'static str),
) -> Result<InspectionReport, Error> {
    if !(0.0..=1.0).contains(&options.min_coverage) {
        return Err(Error::BadOption {
            option: "min_coverage",
            expected: "a share in [0, 1]",
            got: options.min_coverage.to_string(),
        });
    }
    progress("scores");
    let ground = Ground::new(log, options.min_coverage);
    let strata = Strata::new(&ground);
    let singles = strata.means(None);
    let order = by_quality(&singles);
    let tasks_named = !log.tasks.is_empty();
    let task_means: Vec<Vec<Option<Point>>> = (0..=log.tasks.len()).map(|t| strata.means(Some(t))).collect();
    let task_best = task_means.iter().map(|means| by_quality(means).first().copied()).collect();
    let known: Option<Vec<Point>> = singles.iter().copied().collect();
    let lambdas = match &known {
        Some(points) if ground.costed && ground.k() > 1 => {
            Roles::lambdas(&points.iter().map(|p| p.cost).collect::<Vec<_>>())
        }
        _ => Vec::new(),
    };
    let roles = Roles { order, task_best, lambdas };
    progress("prompts");
    let sums = PromptSums::new(&ground, &roles);
    progress("tasks");
    let validated = (ground.k() > 1).then(|| strata.cross_validate(ground.costed)).flatten();
    progress("duplicates");
    let duplicates = duplicates::duplicates(log, options.prompts)?;

    let best_single = roles.order.first().copied();
    let mut report = InspectionReport {
        size: size(log),
        dense: ground.dense,
        splits: ground.splits.iter().map(ToString::to_string).collect(),
        n_compared: ground.rows.len(),
        pool: (0..ground.k()).map(|m| ground.name(m)).collect(),
        dropped: ground.dropped.clone(),
        cost_shares: cost_shares(log),
        models: models(&ground, &singles, &sums),
        best_single: best_single.map(|m| ground.name(m)),
        agreement: (ground.k() > 1 && sums.complete > 0).then(|| {
            let share = |n: usize| n as f64 / sums.complete as f64;
            AgreementReport {
                n: sums.complete,
                all_right: share(sums.all_right),
                none_right: share(sums.none_right),
                all_equal: share(sums.all_equal),
            }
        }),
        tasks: tasks(&ground, &strata, &task_means, &roles, &sums),
        task_table: validated.filter(|_| tasks_named).map(|v| TaskTableReport {
            quality: v.table_quality,
            best_single_quality: v.single_quality,
            quality_gain: v.quality_gain,
            aiq: v.table_aiq,
            aiq_gain: v.aiq_gain,
            saving: v.saving,
            quality_change: v.change,
        }),
        zero_router_aiq: validated.and_then(|v| v.zero_aiq),
        oracle: oracle(&ground, known.as_deref(), best_single, &sums),
        duplicates,
        power: power(&ground, validated.as_ref().filter(|_| tasks_named), &sums),
        finding: Finding::Open,
        verdict: String::new(),
    };
    (report.finding, report.verdict) = verdict::decide(log, &report);
    Ok(report)
}

/// Positions of models with any outcome, best first; of equally good ones the cheapest.
fn by_quality(means: &[Option<Point>]) -> Vec<usize> {
    let mut order: Vec<(usize, Point)> = means.iter().enumerate().filter_map(|(m, p)| Some((m, (*p)?))).collect();
    order.sort_by(|(a, p), (b, q)| q.quality.total_cmp(&p.quality).then(p.cost.total_cmp(&q.cost)).then(a.cmp(b)));
    order.into_iter().map(|(m, _)| m).collect()
}

fn size(log: &EvalLog) -> SizeReport {
    let mut splits = BTreeMap::new();
    for prompt in &log.prompts {
        *splits.entry(prompt.split.to_string()).or_insert(0) += 1;
    }
    let (mut repeated, mut runs) = (0_usize, 0.0);
    for outcome in log.outcomes.iter().filter(|o| o.runs > 1) {
        repeated += 1;
        runs += f64::from(outcome.runs);
    }
    SizeReport {
        prompts: log.prompts.len(),
        models: log.models.len(),
        outcomes: log.outcomes.len(),
        cells: log.outcomes.len() as f64 / (log.prompts.len() * log.models.len()).max(1) as f64,
        splits,
        split_source: log.reading.split_source.clone(),
        tasks: log.tasks.len(),
        prompts_with_task: log.prompts.iter().filter(|p| p.task.is_some()).count(),
        groups: log.prompts.iter().filter_map(|p| p.group.as_deref()).collect::<BTreeSet<_>>().len(),
        repeated: repeated as f64 / log.outcomes.len().max(1) as f64,
        mean_runs: (repeated > 0).then(|| runs / repeated as f64),
    }
}

fn cost_shares(log: &EvalLog) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for outcome in &log.outcomes {
        *shares.entry(outcome.cost_source.as_str().to_owned()).or_insert(0.0) += 1.0;
    }
    for n in shares.values_mut() {
        *n /= log.outcomes.len() as f64;
    }
    shares
}

/// Every model of the log, best first; those outside the pool by what was observed of them.
fn models(ground: &Ground<'_>, singles: &[Option<Point>], sums: &PromptSums) -> Vec<ModelReport> {
    let log = ground.log;
    // Number, Σ score, number with a cost, Σ cost on the inspected splits; number on all.
    let mut observed = vec![(0_usize, 0.0_f64, 0_usize, 0.0_f64, 0_usize); log.models.len()];
    for outcome in &log.outcomes {
        let place = &mut observed[outcome.model as usize];
        place.4 += 1;
        if ground.splits.contains(&log.prompts[outcome.prompt as usize].split) {
            place.0 += 1;
            place.1 += f64::from(outcome.score);
            if !outcome.cost_usd.is_nan() {
                place.2 += 1;
                place.3 += outcome.cost_usd;
            }
        }
    }
    let on_hull: Vec<usize> = match singles.iter().copied().collect::<Option<Vec<Point>>>() {
        Some(points) if ground.costed => hull_vertices(&points),
        _ => Vec::new(),
    };
    let share = |n: usize| (sums.complete > 0 && ground.k() > 1).then(|| n as f64 / sums.complete as f64);
    let mut models: Vec<ModelReport> = (0_u32..)
        .zip(&log.models)
        .map(|(index, name)| {
            let (n, score, n_cost, cost, n_all) = observed[index as usize];
            let place = ground.pool.binary_search(&index).ok();
            let single = place.and_then(|m| singles[m]).filter(|_| ground.dense);
            let (n, quality, cost) = match single {
                Some(point) => (ground.rows.len(), Some(point.quality), ground.costed.then_some(point.cost)),
                None => (n, (n > 0).then(|| score / n as f64), (n_cost > 0).then(|| cost / n_cost as f64)),
            };
            ModelReport {
                model: name.clone(),
                in_pool: place.is_some(),
                coverage: n_all as f64 / log.prompts.len() as f64,
                n,
                quality: quality.and_then(|q| wilson(q.clamp(0.0, 1.0), n as f64)).map(Into::into),
                cost,
                only_right: place.and_then(|m| share(sums.only_right[m])),
                among_best: place.and_then(|m| share(sums.among_best[m])),
                on_hull: place.filter(|_| ground.costed && !on_hull.is_empty()).map(|m| on_hull.contains(&m)),
            }
        })
        .collect();
    let key = |m: &ModelReport| m.quality.map_or(-1.0, |q| q.value);
    models.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.model.cmp(&b.model)));
    models
}

fn tasks(
    ground: &Ground<'_>,
    strata: &Strata,
    means: &[Vec<Option<Point>>],
    roles: &Roles,
    sums: &PromptSums,
) -> Vec<TaskInspection> {
    let Some(&single) = roles.order.first() else { return Vec::new() };
    let report = |(task, name): (usize, &String)| {
        let best = roles.task_best[task]?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let n = strata.n_prompts(task) as usize;
        Some(TaskInspection {
            task: name.clone(),
            n,
            best: ground.name(best),
            quality: means[task][best]?.quality,
            best_single_quality: means[task][single].map_or(f64::NAN, |p| p.quality),
            margin: {
                let [n, sum, squares] = sums.margins[task];
                IntervalReport::of_mean(n, sum, squares)
            },
        })
    };
    ground.log.tasks.iter().enumerate().filter_map(report).collect()
}

fn oracle(
    ground: &Ground<'_>,
    singles: Option<&[Point]>,
    best_single: Option<usize>,
    sums: &PromptSums,
) -> Option<OracleReport> {
    let (singles, best) = (singles?, best_single?);
    if !ground.dense || ground.k() < 2 || sums.complete == 0 {
        return None;
    }
    let noise = sums.noise;
    Some(OracleReport {
        quality: sums.oracle / sums.complete as f64,
        best_single_quality: singles[best].quality,
        aiq: ground.costed.then(|| sums.oracle_aiq(singles)).flatten(),
        ceiling: (noise.n > 0).then(|| {
            let mean = |sum: f64| sum / noise.n as f64;
            CeilingReport {
                n: noise.n,
                best_single_quality: mean(noise.best_single),
                one_run: mean(noise.one_run),
                at_least: mean(noise.at_least),
                at_most: mean(noise.at_most),
                run_variance: mean(noise.variance),
            }
        }),
    })
}

fn power(ground: &Ground<'_>, validated: Option<&CrossValidated>, sums: &PromptSums) -> Option<PowerReport> {
    if ground.k() < 2 {
        return None;
    }
    let scale = (ground.rows.len() as f64).sqrt();
    let table = validated.map(|v| match v.aiq_se {
        Some(se) => ("aiq", se * scale),
        None => ("quality", v.quality_se * scale),
    });
    // Every other prompt to the runner-up: half of the mean squared difference.
    let [n, _, squares] = sums.runner_up;
    let runner_up = (n > 1.5).then(|| ("quality", (0.5 * squares / n).sqrt()));
    let positive = |(_, sd): &(&str, f64)| *sd > 0.0;
    let (spread_of, (metric, sd)) = match (table.filter(positive), runner_up.filter(positive)) {
        (Some(table), _) => ("task_table", table),
        (None, Some(runner_up)) => ("runner_up", runner_up),
        (None, None) => return None,
    };
    Some(PowerReport {
        metric,
        spread_of,
        sd,
        n_test: ground.n_test,
        detectable: detectable_difference(sd, ground.n_test),
        needed_for_one_point: queries_needed(sd, 0.01)?,
    })
}
