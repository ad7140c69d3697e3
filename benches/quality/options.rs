//! The command line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use pointsman_training::{Effort, Recipe, RecipeSettings};

use crate::cases;

/// Quality of the routers that `pointsman train` makes: against every baseline, on real outcomes or on a log of yours.
///
/// One markdown table per experiment goes to stdout, progress to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "cargo bench --workspace --bench quality --",
    after_help = "Examples:
  cargo bench --workspace --bench quality -- --quick
  cargo bench --workspace --bench quality -- cv --seeds 1 --cases mmlu_pro,routerbench3
  cargo bench --workspace --bench quality -- test curve --log mine.parquet --prices prices.csv --json mine.json

Real outcomes are looked for in $POINTSMAN_REAL_DATA, else in data/real (see data/README.md); without them, and with
--quick, the included synthetic log is used."
)]
pub(crate) struct Options {
    /// What to run; everything if nothing is named
    #[arg(value_enum, value_name = "EXPERIMENT")]
    pub(crate) experiments: Vec<Experiment>,
    /// Everything at its smallest, with quick training; on the included log unless another is named
    #[arg(long)]
    pub(crate) quick: bool,
    /// Files to run on, separated by commas; all real ones if none is named
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = case_name, conflicts_with = "log")]
    pub(crate) cases: Vec<String>,
    /// Run on this evaluation log instead; several are one log
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Vec<PathBuf>,
    /// List prices of the models in --log
    #[arg(long, value_name = "CSV", requires = "log")]
    pub(crate) prices: Option<PathBuf>,
    /// Models of --log to compare, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "log")]
    pub(crate) models: Option<Vec<String>>,
    /// Tasks of --log to keep, a pattern with * and ?
    #[arg(long, value_name = "PATTERN", requires = "log")]
    pub(crate) task: Option<String>,
    /// Strong and weak model of --log, for APGR; a pool of two needs no naming
    #[arg(long, value_name = "STRONG,WEAK", requires = "log")]
    pub(crate) pair: Option<String>,
    /// Repeats of every cross-validation, each with five folds [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    /// Subsamples behind every point of `curve` and `sparse` [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) subsamples: Option<u64>,
    /// Training effort: quick, standard or thorough [default: standard]
    #[arg(long, value_name = "EFFORT")]
    pub(crate) effort: Option<Effort>,
    /// Training settings, TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// Base embedding to train with
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// Folder with other routers' predictions for `test` and `cv`: <case>.<router>.csv, as `bench --predictions` takes
    #[arg(long, value_name = "DIR")]
    pub(crate) rivals: Option<PathBuf>,
    /// Write everything measured, run by run
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by the smoke run of all benchmarks.
    #[arg(long, hide = true)]
    test: bool,
}

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Experiment {
    /// Repeated cross-validation inside train: the figures to choose by
    Cv,
    /// Trained on train, evaluated on test once, beside baselines and rivals
    Test,
    /// The same log with and without its task and dataset columns
    Unlabelled,
    /// 100, 300, 1,000, 3,000 and all training prompts
    Curve,
    /// 30 % of the outcomes observed
    Sparse,
    /// Whole tasks held out of training
    LeaveTaskOut,
    /// Outcomes dealt anew to the prompts: a control that must show nothing
    Shuffle,
    /// The predictor without each of its parts
    Ablation,
    /// Seconds to train on 10,000 prompts
    Time,
}

impl Options {
    pub(crate) fn read() -> Self {
        let mut options = Self::parse();
        options.quick |= options.test;
        if options.experiments.is_empty() {
            options.experiments = Experiment::value_variants().to_vec();
        }
        options
    }

    /// Repeats of cross-validation.
    pub(crate) fn repeats(&self) -> u64 {
        self.seeds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    /// Subsamples of curve and sparse.
    pub(crate) fn subsamples(&self) -> u64 {
        self.subsamples.unwrap_or(if self.quick { 2 } else { 20 })
    }

    /// How routers are trained; the experiments set the seed.
    pub(crate) fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut settings = match &self.recipe {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                RecipeSettings::from_toml(&text)?
            }
            None if self.quick => RecipeSettings { effort: Effort::Quick, ..RecipeSettings::default() },
            None => RecipeSettings::default(),
        };
        settings.effort = self.effort.unwrap_or(settings.effort);
        let base = self.base.as_ref().map(pointsman::Embedding::load).transpose()?;
        Ok(settings.validate()?.with_base(base))
    }

    pub(crate) fn pair(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(text) = &self.pair else { return Ok(None) };
        match text.split_once(',') {
            Some((strong, weak)) if !strong.is_empty() && !weak.is_empty() => Ok(Some((strong.into(), weak.into()))),
            _ => bail!("--pair: expected STRONG,WEAK, got `{text}`"),
        }
    }
}

fn case_name(name: &str) -> Result<String, String> {
    if cases::names().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = cases::names().collect();
    Err(format!("expected some of {}", known.join(", ")))
}
