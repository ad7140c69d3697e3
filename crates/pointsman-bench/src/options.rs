//! What a benchmark is told to do.

use pointsman::Router;
use pointsman_evals::{EvalLog, Split};

use crate::error::Error;

/// Settings of a benchmark; [`Default`] gives what the command line gives without flags.
#[derive(Clone, Debug)]
pub struct BenchOptions<'a> {
    /// The split that is evaluated; test by default.
    pub split: Split,
    /// Where training rows for the baselines come from; `None`: the train split of the evaluated log.
    pub train_log: Option<&'a EvalLog>,
    /// Least share of the log's prompts that a model of the pool must have outcomes for, in `[0, 1]`.
    pub min_coverage: f64,
    /// Strong and weak model for APGR and CPT. A pool of two needs no naming.
    pub pair: Option<(String, String)>,
    /// Whether a predictions file may leave out prompts.
    pub coverage: PredictionCoverage,
    /// Number of bootstrap resamples, at least 100 so that a 95 % percentile means something.
    pub resamples: usize,
    /// Seed of the bootstrap and of the simulated calibration floor.
    pub seed: u64,
    /// Whether resamples keep the number of prompts of each task.
    pub strata: Strata,
    /// Whether the report lists every prompt with its text and the routers' choices.
    pub prompts: PromptListing,
}

/// Whether a predictions file may leave out prompts of the evaluated split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PredictionCoverage {
    /// A missing prompt is an error.
    #[default]
    Complete,
    /// Missing prompts go to the best single model (chosen on train), and the report says how many.
    Partial,
}

/// What a resample keeps as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strata {
    /// Nothing: the mix of tasks is a sample too.
    #[default]
    None,
    /// The number of prompts of each task: the mix is given, as in a benchmark of fixed parts.
    Task,
}

/// Whether prompt texts enter the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptListing {
    /// The report holds no text of anyone's.
    #[default]
    Omitted,
    /// The JSON report lists each prompt, its text and where each router sends it at λ → ∞.
    Included,
}

/// A router to be measured, with the name it goes by in the report.
#[derive(Clone, Debug)]
pub struct RouterEntry {
    /// Name, usually the file's stem.
    pub name: String,
    /// The loaded router.
    pub router: Router,
}

/// How far a benchmark has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done, in a few words.
    pub stage: &'a str,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

impl Default for BenchOptions<'_> {
    fn default() -> Self {
        Self {
            split: Split::Test,
            train_log: None,
            min_coverage: 0.9,
            pair: None,
            coverage: PredictionCoverage::Complete,
            resamples: 1_000,
            seed: 1,
            strata: Strata::None,
            prompts: PromptListing::Omitted,
        }
    }
}

impl BenchOptions<'_> {
    /// Checks the domains that the types leave open.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.min_coverage) {
            return Err(Error::BadOption {
                option: "min_coverage",
                expected: "a share in [0, 1]",
                got: self.min_coverage.to_string(),
            });
        }
        if self.resamples < 100 {
            return Err(Error::BadOption {
                option: "resamples",
                expected: "at least 100",
                got: self.resamples.to_string(),
            });
        }
        match &self.pair {
            Some((strong, weak)) if strong == weak => Err(Error::PairOfOne { model: strong.clone() }),
            _ => Ok(()),
        }
    }
}
