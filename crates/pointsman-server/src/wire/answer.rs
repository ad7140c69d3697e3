//! A plan as JSON: the reply of `POST /v1/route`, and a line of a batch's reply.

use pointsman::decision::Ranked;
use pointsman::{Predictions, Router};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::routing::plan::Plan;
use crate::targets::Targets;
use crate::targets::wish::Wish;

/// Where the request should go, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RouteAnswer)]
pub(crate) struct Answer<'a> {
    /// In a batch: the `id` of the line that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub(crate) id: Option<&'a Value>,
    /// Names this decision; no two are alike.
    pub(crate) decision_id: &'a str,
    /// The model to call.
    pub(crate) model: &'a str,
    /// The same, then what else may be tried, best first. Where there are targets: what one of them may answer.
    pub(crate) models: Vec<&'a str>,
    /// The alias or the model that was asked for.
    pub(crate) route: &'a str,
    /// `utility`, `uncertain`, `unfamiliar`, `static`, `only_candidate`, `requested`, `session`, `split`, or `degraded`, where nothing can be predicted.
    #[schema(example = "utility")]
    pub(crate) reason: &'static str,
    /// All models considered: the chosen one, then the others by falling utility, then the excluded; none where nothing is predicted.
    pub(crate) candidates: Vec<Candidate<'a>>,
    /// `sha256:` and the identity of the artifact that decided.
    pub(crate) router_version: &'a str,
    /// 1 at the start, one more with every reload.
    pub(crate) config_version: u64,
    /// Null: there are no experiments.
    #[schema(value_type = Option<String>, required)]
    pub(crate) experiment: Option<&'a str>,
    /// The operator's rule that it follows, if any.
    #[schema(required)]
    pub(crate) policy: Option<&'a str>,
    /// Whether the request named the model itself.
    pub(crate) pinned: bool,
    /// The session, if the request named one.
    #[schema(required)]
    pub(crate) session_id: Option<&'a str>,
    /// The trace of the request's `traceparent`, if it had one; else the one that begins here, where traces are made.
    #[schema(required)]
    pub(crate) trace_id: Option<&'a str>,
    /// Microseconds for features, prediction and decision; reading the request and writing the reply not counted.
    pub(crate) elapsed_us: u64,
}

/// One model as the decision saw it. Null stands for what is unknown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Candidate)]
pub(crate) struct Candidate<'a> {
    model: &'a str,
    /// The first of its targets that may be asked, by `provider.order`, else as they are configured; null where there is none.
    #[schema(value_type = Option<String>, required)]
    target: Option<&'a str>,
    /// Expected quality, from 0 to 1.
    p_success: f64,
    /// Expected cost of the call in USD.
    #[schema(value_type = Option<f64>, required)]
    cost_usd: f64,
    /// Expected latency in milliseconds.
    #[schema(required)]
    latency_ms: Option<f32>,
    /// λ · quality − cost, or quality alone where cost does not matter; higher is better.
    #[schema(value_type = Option<f64>, required)]
    utility: f64,
    /// The limit that excluded it: `max_cost`, `min_quality`, `max_latency`, `capabilities` or `context_length`; where there
    /// are targets, also what keeps the request from the first of its own (`region`, `provider.only` and the like), or
    /// `targets`, if it has none.
    #[schema(value_type = Option<String>, required)]
    excluded_by: Option<&'static str>,
}

/// The candidates of a plan and the names of those that may be tried.
pub(crate) fn candidates<'a>(
    router: &'a Router,
    plan: &Plan<'_>,
    predictions: &Predictions,
    targets: &'a Targets,
    wish: &Wish,
) -> (Vec<&'a str>, Vec<Candidate<'a>>) {
    let models = router.models();
    let name = |entry: &Ranked| models[entry.model_idx].as_str();
    let candidate = |entry: &Ranked| Candidate {
        model: name(entry),
        target: targets.first(entry.model_idx, predictions.input_tokens[entry.model_idx], wish),
        p_success: entry.quality,
        cost_usd: entry.cost_usd,
        latency_ms: predictions.latency_ms.get(entry.model_idx).copied(),
        utility: entry.utility,
        excluded_by: plan.excluded(entry),
    };
    (plan.allowed().map(name).collect(), plan.ranked.iter().map(candidate).collect())
}
