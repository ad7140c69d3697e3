//! Offline benchmark of routers: ours, others' from files, and every baseline, on one set of outcomes.
//!
//! ```no_run
//! use pointsman_bench::{BenchOptions, RouterEntry, html, run};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = pointsman_evals::read(&["log.parquet".into()], &Default::default(), &mut |_| {})?;
//! let router = RouterEntry { name: "mine".into(), router: pointsman::Router::load("mine.safetensors")? };
//! let report = run(&log, &BenchOptions::default(), vec![router], &[], &mut |_| {})?;
//! println!("{}", report.verdict);
//! std::fs::write("report.html", html::render(&report)?)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! - Every choice (single models, settings of a curve) is made on training rows; the evaluated split is only
//!   measured. Where that is impossible the figure says so and enters no paired claim.
//! - All routers are measured on the same prompts and the same resamples. Prompts count alike, whatever their
//!   sample weight.
//! - The same inputs and seed give the same report, whatever the number of threads.
//! - No prompt text is in a report unless asked for.
//!
//! # Modules
//!
//! | module | does |
//! |---|---|
//! | [`options`] | what a benchmark is told |
//! | [`report`] | what it found, as JSON |
//! | [`wording`] | numbers as people write them |
//! | [`verdict`](mod@verdict) | the finding in one plain sentence |
//! | [`html`] | the report as one self-contained page |
//! | [`controls`] | whether a result means what it seems to: shuffles, leakage, learning curve, … |
//! | [`slices`] | where a router goes wrong |
//! | [`off_policy`] | estimates from traffic in which only the chosen model was run |
//! | [`export`] | the same as Markdown, CSV and single figures |
//! | [`inspection`] | whether routing can pay, before anything is trained |
//! | `contest` | pool, evaluated and training outcomes |
//! | `baselines`, `router`, `external` | the routers |
//! | `sweep`, `entrant` | beliefs → choices → settings kept |
//! | `measure`, `assemble` | figures with intervals → report |
//! | `wording` | numbers as people write them |
//! | `near_duplicates` | texts that are nearly the same, in linear time |

#![forbid(unsafe_code)]

mod assemble;
mod baselines;
mod contest;
pub mod controls;
mod entrant;
mod error;
pub mod export;
mod external;
pub mod html;
pub mod inspection;
mod measure;
mod near_duplicates;
pub mod off_policy;
pub mod options;
pub mod report;
mod router;
pub mod slices;
mod sweep;
pub mod verdict;
pub mod wording;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pointsman_evals::EvalLog;
use pointsman_metrics::Resampler;

use crate::contest::Contest;
use crate::entrant::Entrant;

pub use entrant::RouterKind;
pub use error::Error;
pub use options::{BenchOptions, PredictionCoverage, Progress, PromptListing, RouterEntry, Strata};
pub use report::{BenchReport, RouterReport};
pub use verdict::verdict;

/// Benchmarks `routers` and the routers behind `predictions` files against every baseline.
///
/// Both lists may be empty: the report then shows the baselines, hence whether routing is worth it at all. Names that
/// occur twice get a number. `progress` is called from this thread.
///
/// # Errors
///
/// Every [`Error`]: options outside their domain, a pool or split without rows, routers or files that do not fit.
pub fn run(
    log: &EvalLog,
    options: &BenchOptions<'_>,
    routers: Vec<RouterEntry>,
    predictions: &[PathBuf],
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<BenchReport, Error> {
    options.validate()?;
    let contest = Contest::new(log, options)?;
    let pair = pair(&contest, options)?;
    let resampler = resampler(&contest, options)?;

    let mut baseline = 0;
    let baselines = baselines::all(&contest, |name| {
        progress(&Progress { stage: name, done: baseline, total: baselines::N_BASELINES });
        baseline += 1;
    })?;
    let mut names = Names::new(&baselines);
    let mut entrants: Vec<Entrant> = Vec::new();
    for mut entry in routers {
        entry.name = names.unique(&entry.name);
        let stage = entry.name.clone();
        let entrant = router::entrant(&contest, &entry, |done, total| {
            progress(&Progress { stage: &stage, done, total });
        })?;
        entrants.push(entrant);
    }
    for (done, path) in predictions.iter().enumerate() {
        progress(&Progress { stage: "predictions", done, total: predictions.len() });
        let name = names.unique(&stem(path));
        entrants.push(external::entrant(&contest, &name, path, options.coverage)?);
    }
    entrants.extend(baselines);

    let measurement =
        measure::measure(&contest, &entrants, pair, &resampler.draws, options.resamples, &mut |done, total| {
            progress(&Progress { stage: "bootstrap", done, total });
        })?;
    assemble::report(&assemble::Inputs {
        contest: &contest,
        options,
        entrants: &entrants,
        measurement: &measurement,
        pair,
        resampled: resampler.unit,
    })
}

/// Positions of the strong and the weak model: those named, or the two of a pool of two by training quality.
fn pair(contest: &Contest<'_>, options: &BenchOptions<'_>) -> Result<Option<(usize, usize)>, Error> {
    let find = |name: &String| {
        contest
            .models
            .iter()
            .position(|m| m == name)
            .ok_or_else(|| Error::PairNotInPool { model: name.clone(), pool: contest.models.clone() })
    };
    match (&options.pair, &contest.train) {
        (Some((strong, weak)), _) => Ok(Some((find(strong)?, find(weak)?))),
        (None, Some(train)) if contest.n_models() == 2 => Ok(Some((train.best_single, 1 - train.best_single))),
        _ => Ok(None),
    }
}

struct Draws {
    draws: Resampler,
    unit: &'static str,
}

/// Prompts are drawn one by one, unless the log groups them (prompts of one conversation are not independent), and within
/// their task where asked.
fn resampler(contest: &Contest<'_>, options: &BenchOptions<'_>) -> Result<Draws, Error> {
    let (draws, unit) = if contest.prompts().all(|p| p.group.is_none()) {
        (Resampler::new(contest.n_queries(), options.seed)?, ["prompts", "prompts within tasks"])
    } else {
        let mut numbers = std::collections::HashMap::new();
        let mut next = 0;
        let groups = contest
            .prompts()
            .map(|prompt| {
                let mut fresh = || {
                    next += 1;
                    next - 1
                };
                match &prompt.group {
                    Some(group) => *numbers.entry(group.as_str()).or_insert_with(fresh),
                    None => fresh(),
                }
            })
            .collect();
        (Resampler::grouped(groups, options.seed)?, ["groups", "groups within tasks"])
    };
    match options.strata {
        Strata::None => Ok(Draws { draws, unit: unit[0] }),
        Strata::Task => {
            // Prompts without a task are a stratum of their own.
            let tasks: Vec<u32> = contest.prompts().map(|p| p.task.unwrap_or(u32::MAX)).collect();
            Ok(Draws { draws: draws.stratified(&tasks)?, unit: unit[1] })
        }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |s| s.to_string_lossy().into_owned())
}

/// Names in use.
struct Names(Vec<String>);

impl Names {
    fn new(baselines: &[Entrant]) -> Self {
        Self(baselines.iter().map(|b| b.name.clone()).collect())
    }

    /// `name`, or `name-2`, `name-3`, … if it is taken.
    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut number = 2;
        while self.0.contains(&unique) {
            unique = format!("{name}-{number}");
            number += 1;
        }
        self.0.push(unique.clone());
        unique
    }
}
