//! What stands in for an artifact that cannot be used: it knows the models that the configuration names, and nothing of them.
//! So targets are served, names mean what they mean, and rules deny what they deny, while nothing is predicted.

use std::collections::BTreeMap;

use pointsman::Router;
use pointsman::artifact::{
    Artifact, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, Mode, Provenance, SCHEMA_VERSION,
    StaticMeans, TaskProfile, TaskSource, Weights,
};
use pointsman::features::FEATURE_VERSION;
use pointsman::policy::matches;

use crate::error::Error;
use crate::routing::snapshot::AUTO;
use crate::settings::Settings;

/// A router for these settings, to decide nothing by.
pub(super) fn stand_in(settings: &Settings) -> Result<Router, Error> {
    let models = models(settings);
    let k = models.len();
    let point = || CurvePoint { lambda: None, cost: 0.0, quality: 0.0, shares: vec![0.0; k] };
    let document = Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        models,
        tasks: vec!["any".into()],
        task_source: TaskSource::Labels,
        dimensions: Dimensions { vocabulary_bits: 4, outcomes: k, trees: 0, nodes: 0, leaves: 0 },
        decision: DecisionRule {
            mode: Mode::Static,
            trust: 0.0,
            confidence: 0.0,
            novelty_weight: 0.0,
            novelty_limit: 1.0,
            default_lambda: None,
        },
        // What rules call `tokens` is about right all the same.
        costs: vec![CostHead { target: CostTarget::CostUsd, base_tokens: 0.0, tokens_per_char: 0.25 }; k],
        prices: BTreeMap::new(),
        statics: vec![StaticMeans { quality: 0.0, cost_usd: None, latency_ms: None, outcomes: 0 }; k],
        curve: vec![point()],
        // With a latency, or an objective of the configuration that needs one would be refused.
        latency_curve: vec![point()],
        task_profiles: vec![TaskProfile { share: 1.0, weight: vec![1.0; k], score: vec![0.0; k] }],
        base: None,
        provenance: Provenance::default(),
        tensors_sha256: String::new(),
    };
    let weights = Weights::neutral(&document);
    Ok(Router::from_bytes(&Artifact { document, weights }.to_bytes()?)?)
}

/// The models of the targets, in their order, then what else the configuration names. A pattern that fits none of them was for
/// one that only the artifact knew.
fn models(settings: &Settings) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    let mut know = |name: &str| {
        if !name.is_empty() && !models.iter().any(|known| known == name) {
            models.push(name.to_owned());
        }
    };
    let chats =
        settings.targets.iter().filter(|target| target.endpoints.iter().any(|endpoint| endpoint != "embeddings"));
    chats.for_each(|target| know(&target.model));
    let is_auto = |name: &&String| *name == AUTO || name.starts_with("auto:");
    let is_alias = |name: &&String| settings.aliases.contains_key(*name);
    settings.aliases.values().filter(|name| !is_auto(name) && !is_alias(name)).for_each(|name| know(name));
    settings.policies.iter().flat_map(|policy| policy.split.keys()).for_each(|name| know(name));
    let ruled = settings.policies.iter().flat_map(|policy| policy.allow.iter().chain(&policy.deny));
    for pattern in ruled.chain(settings.tenants.iter().flat_map(|tenant| &tenant.models)) {
        let of_targets = settings.targets.iter().map(|target| &target.model);
        if !models.iter().chain(of_targets).any(|model| matches(pattern, model)) {
            let name = pattern.replace('*', "").replace('?', "_");
            models.extend((!name.is_empty() && !models.contains(&name)).then_some(name));
        }
    }
    models
}
