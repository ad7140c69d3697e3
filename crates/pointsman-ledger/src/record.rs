//! The rows.

use serde::Serialize;

/// A decision, as it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Decision {
    /// Its identifier.
    pub id: String,
    /// Microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Whose it is, where there are tenants.
    pub tenant: Option<String>,
    /// The session, where the request named one.
    pub session: Option<String>,
    /// [`PromptKey::id`](crate::PromptKey::id), or the caller's own name of the prompt.
    pub prompt_id: String,
    /// The messages as JSON, where texts are stored.
    #[serde(skip)]
    pub messages: Option<String>,
    /// The request's context as a JSON object, where it has one.
    #[serde(skip)]
    pub context: Option<String>,
    /// What was asked for: an alias or a model.
    pub route: String,
    /// Why the model was chosen.
    pub reason: String,
    /// The model that was chosen.
    pub model: String,
    /// Probability with which it was chosen, in `(0, 1]`.
    pub propensity: f64,
    /// Its predicted quality, in `[0, 1]`.
    pub quality: Option<f64>,
    /// Its predicted cost in USD.
    pub cost_usd: Option<f64>,
    /// What the model that is best on average was predicted to cost.
    pub baseline_cost_usd: Option<f64>,
    /// `sha256:` and the identity of the router.
    pub router: String,
    /// Which configuration of the process.
    pub config_version: u64,
}

/// The route of a decision about embeddings: nothing is predicted of them, and no evaluation log has them.
pub const EMBEDDINGS: &str = "/v1/embeddings";

/// What came of a decision that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// The decision.
    pub id: String,
    /// `answered`, `cut`, `left`, or the error's code.
    pub outcome: String,
    /// The target that answered.
    pub target: Option<String>,
    /// The model that answered, which is not the chosen one where that failed.
    pub model: Option<String>,
    /// Targets asked.
    pub attempts: u32,
    /// Tokens as the target counted them.
    pub input_tokens: Option<u32>,
    /// Tokens as the target counted them.
    pub output_tokens: Option<u32>,
    /// Tokens times the price.
    pub cost_usd: Option<f64>,
    /// Milliseconds to the end of the answer.
    pub latency_ms: Option<f64>,
    /// Milliseconds to the first content of a stream.
    pub first_token_ms: Option<f64>,
}

/// What somebody thought of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Feedback {
    /// Its identifier.
    pub id: String,
    /// Microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Who says so; only their own decisions are found.
    pub tenant: Option<String>,
    /// The decision.
    pub decision_id: String,
    /// What is judged.
    pub metric: String,
    /// From 0 to 1.
    pub value: f64,
    /// Whatever the caller wants to keep with it, as a JSON object.
    pub tags: Option<String>,
    /// The same key means the same feedback.
    pub idempotency_key: Option<String>,
}
