//! The result of a benchmark, as it is written to JSON.

use std::collections::BTreeMap;

use pointsman_evals::matrix::Dropped;
use pointsman_metrics::Interval;
use pointsman_metrics::mean_interval::Z_95;
use serde::Serialize;

use crate::controls::ControlsReport;
use crate::entrant::RouterKind;
use crate::slices::{FailureReport, SliceReport};

/// Everything a benchmark found. Numbers that are undefined are null.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Evaluated prompts.
    pub n_queries: usize,
    /// Training prompts that the baselines saw; 0 where there were none.
    pub n_train: usize,
    /// Evaluated prompts whose normalised text is also among the training prompts: they flatter every router that
    /// learned from those.
    pub train_overlap: usize,
    /// What repeated runs say about the noise of the outcomes; null where nothing was repeated.
    pub noise: Option<NoiseReport>,
    /// The pool, in catalogue order.
    pub models: Vec<String>,
    /// Name of the evaluated split.
    pub split: String,
    /// What left the comparison and why.
    pub dropped: Dropped,
    /// `observed`, `estimated`, `assumed` or `mixed`.
    pub cost: String,
    /// Share of evaluated cells by the source of their cost.
    pub cost_shares: BTreeMap<String, f64>,
    /// Cheapest model by mean cost (on train, where there is any).
    pub cheapest: String,
    /// Dearest model.
    pub dearest: String,
    /// Best single model, chosen on train; null without training rows.
    pub best_single: Option<String>,
    /// Evaluated mean cost of the cheapest model, USD per query: where AIQ begins.
    pub c_lo: f64,
    /// Evaluated mean cost of the dearest model: where AIQ ends.
    pub c_hi: f64,
    /// Strong and weak model of APGR and CPT.
    pub pair: Option<Pair>,
    /// Bootstrap resamples behind every interval.
    pub resamples: usize,
    /// What is resampled: `prompts` or `groups`.
    pub resampled: &'static str,
    /// Level of every interval.
    pub level: f64,
    /// Seed of bootstrap and simulation.
    pub seed: u64,
    /// About the smallest difference in AIQ these data can show: half the width of the interval of the first compared
    /// router against the zero router.
    pub smallest_detectable: Option<f64>,
    /// How many prompts it would take to see a difference of one point; null where nothing is compared.
    pub power: Option<PowerReport>,
    /// Evaluated mean cost and quality of every single model.
    pub singles: Vec<SingleReport>,
    /// Every router measured: ours, others', baselines.
    pub routers: Vec<RouterReport>,
    /// Every router of ours or others' against every baseline, and ours against others'.
    pub paired: Vec<PairedReport>,
    /// Quality per task at λ → ∞; empty where the log has fewer than two tasks.
    pub tasks: Vec<TaskReport>,
    /// Kinds of prompts, the first router's worst first; empty without training rows.
    pub slices: Vec<SliceReport>,
    /// Prompts on which the first router left the best single model and lost, the surest mistakes first.
    pub failures: Vec<FailureReport>,
    /// The log that was read.
    pub data: DataReport,
    /// Prompts with their texts, only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Vec<PromptReport>>,
    /// Controls, only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls: Option<ControlsReport>,
    /// The finding in plain words.
    pub verdict: String,
}

/// Where the outcomes came from, and what was wrong with them.
#[derive(Clone, Debug, Serialize)]
pub struct DataReport {
    /// Version of the tool that measured.
    pub tool_version: &'static str,
    /// File names read, without their folders.
    pub files: Vec<String>,
    /// Rows seen.
    pub rows: u64,
    /// Rows used.
    pub accepted: u64,
    /// Rows rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Rows that most likely repeat another.
    pub duplicate_runs: u64,
    /// Texts on more than one side of the split.
    pub texts_across_splits: u64,
    /// Whether splits came from a `column`, were made by `hash`, or both.
    pub split_source: String,
    /// SHA-256 of the content, whatever its form and order.
    pub data_sha256: String,
    /// SHA-256 of ids and splits.
    pub split_sha256: String,
}

/// What an artifact says of its making.
#[derive(Clone, Debug, Serialize)]
pub struct OriginReport {
    /// SHA-256 of the artifact.
    pub identity: String,
    /// Version of the tool that trained it.
    pub tool_version: String,
    /// SHA-256 of the log it was trained on.
    pub data_sha256: String,
    /// Whether that is the log, or the training log, of this report.
    pub same_data: bool,
    /// Prompts trained on.
    pub n_prompts: usize,
    /// Seed.
    pub seed: u64,
}

/// Noise of the evaluated outcomes, from cells that were run more than once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseReport {
    /// Share of evaluated cells with more than one run.
    pub repeated: f64,
    /// Mean over those cells of variance / runs: the Brier score that perfect predictions would still have.
    pub brier_floor: f64,
}

/// Strong and weak model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Name of the strong model.
    pub strong: String,
    /// Name of the weak model.
    pub weak: String,
}

/// A value with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IntervalReport {
    /// On the data as they are.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<Interval> for IntervalReport {
    fn from(interval: Interval) -> Self {
        Self { value: interval.value, low: interval.low, high: interval.high }
    }
}

impl IntervalReport {
    /// Mean ± 1.96 standard errors from number, sum and sum of squares; `None` for fewer than two.
    pub(crate) fn of_mean(n: f64, sum: f64, squares: f64) -> Option<Self> {
        let value = sum / n;
        let se = ((squares / n - value * value).max(0.0) / (n - 1.0)).sqrt();
        (n > 1.5).then_some(Self { value, low: value - Z_95 * se, high: value + Z_95 * se })
    }
}

/// One model alone.
#[derive(Clone, Debug, Serialize)]
pub struct SingleReport {
    /// Its name.
    pub model: String,
    /// Mean cost, USD per query.
    pub cost: f64,
    /// Mean quality.
    pub quality: f64,
}

/// One point of a curve.
#[derive(Clone, Debug, Serialize)]
pub struct CurvePointReport {
    /// USD per unit of quality; null for λ = ∞ and for settings that are no λ.
    pub lambda: Option<f64>,
    /// The setting for people: `λ → ∞`, a model's name, a setting's name.
    pub setting: String,
    /// Evaluated mean cost, USD per query.
    pub cost: f64,
    /// Evaluated mean quality.
    pub quality: f64,
    /// Share of calls per model that gets any.
    pub call_share: BTreeMap<String, f64>,
}

/// What a setting chosen on train for the best single model's quality does on the evaluated split.
#[derive(Clone, Debug, Serialize)]
pub struct EqualQualityReport {
    /// The setting: the cheapest that reached the best single model's quality on train, or the best if none did.
    pub setting: String,
    /// Whether it did reach it on train.
    pub reached: bool,
    /// 1 − cost / cost of the best single model.
    pub saving: IntervalReport,
    /// Quality − quality of the best single model.
    pub quality_change: IntervalReport,
}

/// One router, measured.
#[derive(Clone, Debug, Serialize)]
pub struct RouterReport {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub kind: RouterKind,
    /// Mean quality over the cost range of the pool, settings chosen on train.
    pub aiq: Option<IntervalReport>,
    /// AIQ as `RouterBench`'s code computes it, over the routers compared here.
    pub aiq_compat: Option<f64>,
    /// AIQ as `RouterBench`'s paper defines it, hull on the evaluated points.
    pub aiq_paper: Option<f64>,
    /// Mean over models of the AUC of predicted quality.
    pub auc_mean: Option<f64>,
    /// Mean over models of the Brier score.
    pub brier: Option<f64>,
    /// Mean over models of the calibration error.
    pub ece: Option<f64>,
    /// The calibration error that perfect predictions of these values would show.
    pub ece_floor: Option<f64>,
    /// Predicted against observed quality over all models, ten bins, empty ones left out; empty where nothing is
    /// predicted.
    pub reliability: Vec<ReliabilityReport>,
    /// Quality at λ → ∞.
    pub quality_max: Option<IntervalReport>,
    /// Share of the distance from best single to oracle covered at λ → ∞.
    pub gap_closed: Option<IntervalReport>,
    /// Quality of the curve at the best single model's cost.
    pub quality_at_best_single_cost: Option<IntervalReport>,
    /// Cost at which the curve first reaches the best single model's quality; null if never.
    pub cost_at_best_single_quality: Option<f64>,
    /// That cost / the best single model's cost.
    pub qnc: Option<f64>,
    /// Mean quality of the curve from no cost to the dearest model's.
    pub area: Option<f64>,
    /// Average performance gap recovered between the pair.
    pub apgr: Option<IntervalReport>,
    /// Share of strong calls for 20 % of the gap.
    pub cpt20: Option<f64>,
    /// Share of strong calls for 50 % of the gap.
    pub cpt50: Option<f64>,
    /// Share of strong calls for 80 % of the gap.
    pub cpt80: Option<f64>,
    /// Whether the pair's curve never falls; if it does, the CPTs are first crossings.
    pub cpt_monotone: Option<bool>,
    /// The honest figure for "same quality, how much cheaper".
    pub equal_quality: Option<EqualQualityReport>,
    /// The settings joined to the curve, by ascending training cost.
    pub curve: Vec<CurvePointReport>,
    /// Share of calls per model at λ → ∞.
    pub call_share: Option<BTreeMap<String, f64>>,
    /// Share of prompts left to the best static choice at λ → ∞; null where a router cannot abstain.
    pub abstained: Option<f64>,
    /// Mean over models of |mean predicted cost / mean observed cost − 1|.
    pub cost_error: Option<f64>,
    /// How an artifact was made; null for all others.
    pub origin: Option<OriginReport>,
    /// What a reader should know.
    pub note: Option<String>,
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReliabilityReport {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Predictions in the bin, over all models.
    pub n: usize,
    /// Their mean.
    pub predicted: f64,
    /// Mean observed quality; the interval knows that models share prompts.
    pub observed: IntervalReport,
}

/// A difference between two routers on the same resamples.
#[derive(Clone, Debug, Serialize)]
pub struct PairedReport {
    /// A router of ours or others'.
    pub a: String,
    /// A baseline, or somebody else's router.
    pub b: String,
    /// `aiq` or `quality_max`.
    pub metric: &'static str,
    /// a − b; null where either is undefined.
    pub diff: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// Half the width of the interval: about the smallest difference these data can show.
    pub smallest_detectable: Option<f64>,
    /// Two-sided p-value by a normal test with the bootstrap's standard error, of this comparison alone.
    pub p: Option<f64>,
    /// The same by Holm's procedure over all comparisons of this metric in the report: where it is below 0.05, the chance
    /// that *any* such finding is false stays below 5 %.
    pub p_adjusted: Option<f64>,
}

/// What it takes to see a difference in AIQ between the first router and the best mix of single models, two-sided at 5 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PowerReport {
    /// True difference that these prompts show four times in five.
    pub detectable: f64,
    /// Difference asked about: one point.
    pub difference: f64,
    /// Prompts that show it four times in five, if more prompts are like these.
    pub queries_needed: u64,
}

/// One task at λ → ∞.
#[derive(Clone, Debug, Serialize)]
pub struct TaskReport {
    /// Name of the task.
    pub task: String,
    /// Its evaluated prompts.
    pub n_queries: usize,
    /// Mean quality per router.
    pub quality: BTreeMap<String, f64>,
    /// Per router of ours or others': mean paired difference to the best single model, ± 1.96 standard errors; left
    /// out for tasks of one prompt.
    pub gain: BTreeMap<String, IntervalReport>,
}

/// One prompt at λ → ∞.
#[derive(Clone, Debug, Serialize)]
pub struct PromptReport {
    /// Its id.
    pub prompt_id: String,
    /// Its text.
    pub prompt: String,
    /// Model per router.
    pub choice: BTreeMap<String, String>,
    /// Observed quality per model.
    pub quality: BTreeMap<String, f64>,
}
