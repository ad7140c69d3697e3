//! One trial: routers are fitted to the training prompts of a log and measured on its evaluated prompts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use pointsman::Router;
use pointsman::artifact::{Artifact, Mode};
use pointsman_bench::{BenchOptions, BenchReport, RouterEntry, RouterKind, RouterReport};
use pointsman_evals::EvalLog;
use pointsman_training::{Recipe, fit};
use serde::Serialize;

use crate::cases::Case;

/// Fewest resamples that the benchmark takes. Trials are repeated, so their own intervals are not used.
const FEW_RESAMPLES: usize = 100;

/// Length of answers of which nothing is known: what the command line assumes.
const ASSUMED_OUTPUT_TOKENS: f64 = 150.0;

/// A router just trained.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) router: Router,
    /// Whether training found nothing worth routing for.
    pub(crate) is_static: bool,
    /// What training took, on the wall.
    pub(crate) seconds: f64,
    artifact: Artifact,
}

impl Fitted {
    /// The same predictions followed wherever they lead: never static, no confidence asked for, nothing too unfamiliar.
    pub(crate) fn unrestrained(&self) -> Router {
        let mut artifact = self.artifact.clone();
        let rule = &mut artifact.document.decision;
        (rule.mode, rule.confidence, rule.novelty_limit) = (Mode::Learned, 0.0, 1.0);
        Router::from_artifact(artifact)
    }
}

/// Trains on the train split of `log`.
pub(crate) fn train(log: &EvalLog, recipe: &Recipe) -> anyhow::Result<Fitted> {
    let start = Instant::now();
    let trained = fit(log, recipe, ASSUMED_OUTPUT_TOKENS, &|_| ())?;
    let seconds = start.elapsed().as_secs_f64();
    let router = Router::from_bytes(&trained.bytes)?;
    let is_static = router.document().decision.mode == Mode::Static;
    Ok(Fitted { router, is_static, seconds, artifact: trained.artifact })
}

/// How routers are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure<'a> {
    pub(crate) pair: Option<&'a (String, String)>,
    /// Predictions of other routers.
    pub(crate) rivals: &'a [PathBuf],
    /// Bootstrap resamples behind every interval.
    pub(crate) resamples: usize,
}

impl<'a> Measure<'a> {
    /// How a case is measured inside an experiment that repeats itself.
    pub(crate) fn of(case: &'a Case) -> Self {
        Self { pair: case.pair.as_ref(), rivals: &[], resamples: FEW_RESAMPLES }
    }

    /// Measures routers on the evaluated prompts of `log`, beside every baseline fitted to its training prompts.
    pub(crate) fn run(&self, log: &EvalLog, routers: &[(&str, &Router)]) -> anyhow::Result<BenchReport> {
        let options = BenchOptions { pair: self.pair.cloned(), resamples: self.resamples, ..BenchOptions::default() };
        let entry = |(name, router): &(&str, &Router)| RouterEntry { name: (*name).into(), router: (*router).clone() };
        pointsman_bench::run(log, &options, routers.iter().map(entry).collect(), self.rivals, &mut |_| ())
            .context("measuring")
    }
}

/// What a trial says of one router. What is undefined is null.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) n_train: usize,
    pub(crate) n_evaluated: usize,
    pub(crate) aiq: Option<f64>,
    pub(crate) aiq_zero_router: Option<f64>,
    pub(crate) aiq_task_table: Option<f64>,
    pub(crate) aiq_knn: Option<f64>,
    pub(crate) gap_closed: Option<f64>,
    pub(crate) gap_closed_knn: Option<f64>,
    pub(crate) quality_max: Option<f64>,
    pub(crate) quality_best_single: Option<f64>,
    pub(crate) quality_oracle: Option<f64>,
    pub(crate) brier: Option<f64>,
    pub(crate) auc: Option<f64>,
    pub(crate) ece: Option<f64>,
    pub(crate) ece_floor: Option<f64>,
    pub(crate) apgr: Option<f64>,
    pub(crate) is_static: bool,
    /// Share of evaluated prompts left to the best single model for lack of evidence, at λ = ∞.
    pub(crate) abstained: Option<f64>,
    pub(crate) training_seconds: f64,
    /// Routers from files of predictions, by name.
    pub(crate) rivals: BTreeMap<String, RivalFigures>,
}

/// What the same trial says of a rival.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct RivalFigures {
    pub(crate) aiq: Option<f64>,
    pub(crate) gap_closed: Option<f64>,
    pub(crate) brier: Option<f64>,
    pub(crate) apgr: Option<f64>,
}

impl Figures {
    /// The figures of the router called `name`.
    pub(crate) fn of(report: &BenchReport, name: &str, fitted: &Fitted) -> Self {
        let find = |name: &str| report.routers.iter().find(|router| router.name == name);
        let router = find(name).expect("every router entered is in the report");
        let aiq = |name: &str| find(name).and_then(|router| value(router, |r| r.aiq));
        let quality = |name: &str| find(name).and_then(|router| value(router, |r| r.quality_max));
        let gap = |name: &str| find(name).and_then(|router| value(router, |r| r.gap_closed));
        Self {
            n_train: report.n_train,
            n_evaluated: report.n_queries,
            aiq: aiq(name),
            aiq_zero_router: aiq("zero_router"),
            aiq_task_table: aiq("task_table"),
            aiq_knn: aiq("knn"),
            gap_closed: value(router, |r| r.gap_closed),
            gap_closed_knn: gap("knn"),
            quality_max: quality(name),
            quality_best_single: quality("best_single"),
            quality_oracle: quality("oracle"),
            brier: router.brier,
            auc: router.auc_mean,
            ece: router.ece,
            ece_floor: router.ece_floor,
            apgr: value(router, |r| r.apgr),
            is_static: fitted.is_static,
            abstained: router.abstained,
            training_seconds: fitted.seconds,
            rivals: report
                .routers
                .iter()
                .filter(|router| router.kind == RouterKind::External)
                .map(|router| (router.name.clone(), RivalFigures::of(router)))
                .collect(),
        }
    }

    /// AIQ over the best mix of single models.
    pub(crate) fn gain(&self) -> Option<f64> {
        Some(self.aiq? - self.aiq_zero_router?)
    }
}

impl RivalFigures {
    fn of(router: &RouterReport) -> Self {
        Self {
            aiq: value(router, |r| r.aiq),
            gap_closed: value(router, |r| r.gap_closed),
            brier: router.brier,
            apgr: value(router, |r| r.apgr),
        }
    }
}

fn value(
    router: &RouterReport,
    figure: impl Fn(&RouterReport) -> Option<pointsman_bench::report::IntervalReport>,
) -> Option<f64> {
    figure(router).map(|interval| interval.value)
}
