//! The JSON document in an artifact's header: everything about a router that is not a weight.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::features::SURFACE_SIGNALS;

/// Version of the document and tensor layout written here.
pub const SCHEMA_VERSION: u32 = 2;

impl Document {
    /// Signals that are no words, `s`: of the surface, then the dimensions of the base embedding.
    pub fn dense_signals(&self) -> usize {
        SURFACE_SIGNALS + self.base.as_ref().map_or(0, |base| base.dimensions)
    }
}

/// What an artifact says of itself. Unknown fields are refused: they would mean a layout we do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// [`crate::features::FEATURE_VERSION`] at the time of writing.
    pub feature_version: u32,
    /// Model names, in the order of every tensor's model axis; `k` of them.
    pub models: Vec<String>,
    /// Names of the tasks that the posterior is over; `t` of them, a single one where the log names none.
    pub tasks: Vec<String>,
    /// Where the tasks come from.
    pub task_source: TaskSource,
    /// Sizes of the tensors' other axes.
    pub dimensions: Dimensions,
    /// How members are combined and when the router may leave the best static choice.
    pub decision: DecisionRule,
    /// Per model: what is regressed, and how input tokens follow from characters.
    pub costs: Vec<CostHead>,
    /// List prices given at training, by model; a catalogue given at bind time replaces them.
    pub prices: BTreeMap<String, ListPrice>,
    /// Mean quality and cost of every model over the training prompts.
    pub statics: Vec<StaticMeans>,
    /// Out-of-fold curve over the training prompts, by rising λ.
    pub curve: Vec<CurvePoint>,
    /// The same with latency (milliseconds) in the place of cost; empty where latency was not observed.
    pub latency_curve: Vec<CurvePoint>,
    /// What was seen of every task at training.
    pub task_profiles: Vec<TaskProfile>,
    /// The base embedding, where the router has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Where the router comes from.
    pub provenance: Provenance,
    /// SHA-256, in hex, over name, type, shape and bytes of all tensors, sorted by name.
    pub tensors_sha256: String,
}

/// The base embedding that a router uses; its file is the tensor `base`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// Its dimensions, which follow the surface signals.
    pub dimensions: usize,
}

/// Where tasks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskSource {
    /// The log's `task` (or `dataset`) column.
    Labels,
    /// Clusters of prompts.
    Clusters,
    /// Nowhere: all prompts are one task.
    None,
}

/// Sizes of tensor axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// The vocabulary has `2^vocabulary_bits` slots.
    pub vocabulary_bits: u32,
    /// Lexical outcome heads: as many as there were models at training. A model added later has none.
    pub outcomes: usize,
    /// Trees of the forest.
    pub trees: usize,
    /// Nodes of all trees, leaves among them.
    pub nodes: usize,
    /// Leaves of all trees.
    pub leaves: usize,
}

/// How predictions become a choice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRule {
    /// Whether the router found anything worth acting on.
    pub mode: Mode,
    /// Share of a predicted difference between models that is believed, in `[0, 1]`; the rest is as the training means
    /// say.
    pub trust: f64,
    /// Standard errors by which a gain must be positive before the best static choice is left; at least 0.
    pub confidence: f64,
    /// By how much novelty lowers the trust, in `[0, 1]`: `trust · (1 − novelty_weight · novelty)` is believed; 0 where
    /// novelty was not learned.
    pub novelty_weight: f64,
    /// Novelty above which predictions are no longer acted on, in `[0, 1]`.
    pub novelty_limit: f64,
    /// λ that `auto` or no objective means, in USD per unit of quality; `None`: the balanced point.
    pub default_lambda: Option<f64>,
}

/// Whether predictions are acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By prediction.
    Learned,
    /// Validation showed no gain: the best static choice for each objective.
    Static,
}

/// How the cost of one model is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostHead {
    /// What the regression predicts the logarithm of.
    pub target: CostTarget,
    /// Input tokens = `base_tokens + tokens_per_char × characters`.
    pub base_tokens: f64,
    /// See [`Self::base_tokens`]; at least 0.
    pub tokens_per_char: f64,
}

/// What a cost regression predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostTarget {
    /// Output tokens, to be multiplied by a price.
    OutputTokens,
    /// USD per call, where the log held costs but no tokens or no price.
    CostUsd,
    /// Nothing: the log knew no model's cost, and the router weighs quality alone.
    Unknown,
}

/// A list price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListPrice {
    /// USD per million input tokens, finite, not negative.
    pub input_usd_per_mtok: f64,
    /// USD per million output tokens, finite, not negative.
    pub output_usd_per_mtok: f64,
}

/// Means of one model over the training prompts, weighted as the log says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticMeans {
    /// Mean quality in `[0, 1]`, adjusted for the prompts on which the model was not observed.
    pub quality: f64,
    /// Mean cost in USD per call; `None` for a model without cost.
    pub cost_usd: Option<f64>,
    /// Mean latency in milliseconds, where observed.
    pub latency_ms: Option<f64>,
    /// Observed outcomes.
    pub outcomes: usize,
}

/// One setting on a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// USD (or milliseconds) per unit of quality; `None` stands for infinity: quality alone.
    pub lambda: Option<f64>,
    /// Mean cost (or latency) per call at this setting.
    pub cost: f64,
    /// Mean observed quality at this setting.
    pub quality: f64,
    /// Share of calls per model, in model order.
    pub shares: Vec<f64>,
}

/// What was seen of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskProfile {
    /// Share of the training prompts.
    pub share: f64,
    /// Sum over observed cells of posterior weight, per model.
    pub weight: Vec<f64>,
    /// Sum over observed cells of posterior weight × score, per model.
    pub score: Vec<f64>,
}

/// Where a router comes from and what was measured of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of the tool.
    pub tool_version: String,
    /// SHA-256 of the evaluation log's content.
    pub data_sha256: String,
    /// SHA-256 of its splits.
    pub split_sha256: String,
    /// The settings it was trained with, as JSON.
    pub recipe: BTreeMap<String, serde_json::Value>,
    /// The seed.
    pub seed: u64,
    /// Threads used.
    pub threads: usize,
    /// Instruction set of the machine.
    pub instruction_set: String,
    /// Prompts trained on.
    pub n_prompts: usize,
    /// Outcomes trained on.
    pub n_outcomes: usize,
    /// Out-of-fold figures on the training prompts, by name.
    pub metrics: BTreeMap<String, f64>,
}
