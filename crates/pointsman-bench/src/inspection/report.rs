//! What an inspection found, as it is written to JSON.

use std::collections::BTreeMap;

use pointsman_evals::matrix::Dropped;
use serde::Serialize;

use crate::report::IntervalReport;

/// Everything an inspection found. What is undefined is null; quality is in `[0, 1]`, cost in USD per call.
#[derive(Clone, Debug, Serialize)]
pub struct InspectionReport {
    /// How much there is.
    pub size: SizeReport,
    /// Whether figures are over prompts that every model of the pool was run on; else over observed cells, models being
    /// compared on different prompts.
    pub dense: bool,
    /// Splits whose outcomes are looked at: all but test, where there are others.
    pub splits: Vec<String>,
    /// Prompts compared.
    pub n_compared: usize,
    /// The models compared, in catalogue order.
    pub pool: Vec<String>,
    /// What leaves the comparison and why.
    pub dropped: Dropped,
    /// Share of observed cells by the source of their cost: observed, estimated, assumed, unknown.
    pub cost_shares: BTreeMap<String, f64>,
    /// Every model, best first.
    pub models: Vec<ModelReport>,
    /// The pool's best model alone; of equally good ones the cheapest.
    pub best_single: Option<String>,
    /// Prompts where the choice of a model matters, or cannot.
    pub agreement: Option<AgreementReport>,
    /// Every task, in the order of the log; empty where it has no task column.
    pub tasks: Vec<TaskInspection>,
    /// What knowing the task of a prompt is worth, cross-validated.
    pub task_table: Option<TaskTableReport>,
    /// Mean quality over the range of costs of the best mix of single models, cross-validated.
    pub zero_router_aiq: Option<IntervalReport>,
    /// What a perfect choice per prompt would gain.
    pub oracle: Option<OracleReport>,
    /// Texts that stand in the log more than once.
    pub duplicates: DuplicateReport,
    /// The smallest difference the test split can show.
    pub power: Option<PowerReport>,
    /// What follows.
    pub finding: Finding,
    /// The finding in one or two sentences.
    pub verdict: String,
}

/// How much there is.
#[derive(Clone, Debug, Serialize)]
pub struct SizeReport {
    /// Distinct prompts.
    pub prompts: usize,
    /// Models.
    pub models: usize,
    /// Observed cells.
    pub outcomes: usize,
    /// Share of prompt × model cells that are observed.
    pub cells: f64,
    /// Prompts per split.
    pub splits: BTreeMap<String, usize>,
    /// Whether splits came from the log (`column`), were made by hashing (`hash`) or both (`mixed`).
    pub split_source: String,
    /// Tasks named.
    pub tasks: usize,
    /// Prompts with a task.
    pub prompts_with_task: usize,
    /// Groups (conversations, users, documents).
    pub groups: usize,
    /// Share of observed cells with more than one run.
    pub repeated: f64,
    /// Mean runs of those cells; null where none is repeated.
    pub mean_runs: Option<f64>,
}

/// One model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub model: String,
    /// Whether it is compared.
    pub in_pool: bool,
    /// Share of the log's prompts it was run on.
    pub coverage: f64,
    /// Prompts behind the figures below: those compared, for models outside the pool those it was run on.
    pub n: usize,
    /// Mean score with Wilson's interval.
    pub quality: Option<IntervalReport>,
    /// Mean cost.
    pub cost: Option<f64>,
    /// Share of prompts it alone has right.
    pub only_right: Option<f64>,
    /// Share of prompts where nobody scores higher.
    pub among_best: Option<f64>,
    /// Whether it is on the hull of single models: no mix of others is as good for the money. Null outside the pool and
    /// without costs.
    pub on_hull: Option<bool>,
}

/// Shares of prompts; a score counts as right from 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AgreementReport {
    /// Prompts that every model of the pool was run on.
    pub n: usize,
    /// All models are right: the cheapest will do.
    pub all_right: f64,
    /// No model is right: no router helps.
    pub none_right: f64,
    /// All scores are equal.
    pub all_equal: f64,
}

/// One task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInspection {
    /// Its name.
    pub task: String,
    /// Prompts compared.
    pub n: usize,
    /// Best model there by mean score, on the same prompts it is judged by.
    pub best: String,
    /// Its mean score.
    pub quality: f64,
    /// Mean score of the best model overall.
    pub best_single_quality: f64,
    /// Mean difference of the two on the same prompts, ± 1.96 standard errors. Of many models the best looks better than
    /// it is; the cross-validated figure does not.
    pub margin: Option<IntervalReport>,
}

/// What a table of the best model per task gains on prompts it has not seen; it is told the task.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TaskTableReport {
    /// Its quality at λ → ∞.
    pub quality: f64,
    /// Quality of the best single model, chosen on the same folds.
    pub best_single_quality: f64,
    /// The difference.
    pub quality_gain: IntervalReport,
    /// Its mean quality over the range of costs.
    pub aiq: Option<f64>,
    /// The difference to the best mix of single models (the zero router).
    pub aiq_gain: Option<IntervalReport>,
    /// Set for the best single model's quality: 1 − cost / that model's cost.
    pub saving: Option<IntervalReport>,
    /// Quality of that setting − the best single model's.
    pub quality_change: Option<IntervalReport>,
}

/// A perfect choice per prompt, by the outcomes themselves.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OracleReport {
    /// Its quality.
    pub quality: f64,
    /// Best single model's quality on the same prompts.
    pub best_single_quality: f64,
    /// Its mean quality over the range of costs.
    pub aiq: Option<f64>,
    /// What repeated runs leave of it; null where no prompt was repeated on every model.
    pub ceiling: Option<CeilingReport>,
}

/// Bounds, in expectation, of what any router could reach on the prompts that every model was run on repeatedly.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CeilingReport {
    /// Such prompts.
    pub n: usize,
    /// Best single model's quality on them.
    pub best_single_quality: f64,
    /// The oracle of one run, scored on that run: luck included.
    pub one_run: f64,
    /// An oracle that picks on all runs but one and is scored on the one left out.
    pub at_least: f64,
    /// The oracle of mean scores.
    pub at_most: f64,
    /// Mean variance of one run of a cell.
    pub run_variance: f64,
}

/// Texts that stand in the log more than once, compared after normalisation.
#[derive(Clone, Debug, Serialize)]
pub struct DuplicateReport {
    /// Texts with more than one prompt id.
    pub exact_texts: usize,
    /// Prompts that have them.
    pub exact_prompts: usize,
    /// Test prompts.
    pub test: usize,
    /// Test prompts whose text is also in another split.
    pub test_exact: usize,
    /// Further test prompts with a near-duplicate in another split.
    pub test_near: usize,
    /// Jaccard similarity of three-word runs from which texts are near-duplicates.
    pub threshold: f64,
    /// The first few.
    pub examples: Vec<DuplicateExample>,
}

/// A test prompt and its twin.
#[derive(Clone, Debug, Serialize)]
pub struct DuplicateExample {
    /// Id of the test prompt.
    pub test_id: String,
    /// Id of the other.
    pub twin_id: String,
    /// The other's split.
    pub twin_split: String,
    /// Their similarity, 1 for equal texts.
    pub similarity: f64,
    /// Both texts, only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<[String; 2]>,
}

/// The smallest true difference that is found four times in five by a two-sided test at 5 %.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PowerReport {
    /// `aiq` or `quality`.
    pub metric: &'static str,
    /// What the spread was taken from: `task_table` against the zero router (or best single model), else `runner_up`:
    /// a router that sends every other prompt to the second-best model.
    pub spread_of: &'static str,
    /// Paired standard deviation per prompt.
    pub sd: f64,
    /// Test prompts that can be compared.
    pub n_test: usize,
    /// Smallest difference they show; null without any.
    pub detectable: Option<f64>,
    /// Prompts needed for a difference of 0.01.
    pub needed_for_one_point: u64,
}

/// What follows from an inspection; the module `verdict` has the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// There are not two models to choose from.
    NeedsTwoModels,
    /// Knowing the task alone is worth something, beyond chance.
    CanPay,
    /// Whatever a router does, it gains next to nothing.
    NothingToGain,
    /// What tasks are worth lies within chance, and may be much.
    TooLittleData,
    /// There is headroom, but nothing cheap shows that it can be reached.
    Open,
}
