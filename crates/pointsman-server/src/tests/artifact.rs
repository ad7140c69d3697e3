//! The smallest router that decides by prompt: two tasks, told apart by how many words sound like code.

use std::collections::BTreeMap;

use pointsman::artifact::{
    Artifact, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, ListPrice, Mode, Provenance,
    SCHEMA_VERSION, StaticMeans, TaskProfile, TaskSource, Weights,
};
use pointsman::features::{FEATURE_VERSION, SURFACE_NAMES, SURFACE_SIGNALS};

/// Cheap and fair, good at code, and good at everything for a hundred times the money. The second name cannot
/// stand in a header as it is.
pub(super) const MODELS: [&str; 3] = ["small", "code é", "large"];

/// A prompt of the code task, which goes to the second model.
pub(super) const CODE: &str = "fix this function: def class import return null void struct int string array loop";

/// Whether the router knows latencies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Latencies {
    Known,
    Unknown,
}

/// Bytes of the artifact's file.
pub(super) fn bytes(latencies: Latencies) -> Vec<u8> {
    trained_on(latencies, 0)
}

/// The same, trained on so many prompts: decisions are the same, identities are not.
pub(super) fn trained_on(latencies: Latencies, n_prompts: usize) -> Vec<u8> {
    let (k, t, s) = (MODELS.len(), 2, SURFACE_SIGNALS);
    let x = s + t + 1;
    let known = latencies == Latencies::Known;
    let point = |lambda, cost, quality| CurvePoint { lambda, cost, quality, shares: vec![0.5, 0.25, 0.25] };
    let document = Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        models: MODELS.map(str::to_owned).to_vec(),
        tasks: vec!["code".into(), "other".into()],
        task_source: TaskSource::Labels,
        dimensions: Dimensions { vocabulary_bits: 4, outcomes: k, trees: 0, nodes: 0, leaves: 0 },
        decision: DecisionRule {
            mode: Mode::Learned,
            trust: 1.0,
            confidence: 0.0,
            novelty_weight: 0.0,
            novelty_limit: 1.0,
            default_lambda: Some(1.0),
        },
        costs: vec![CostHead { target: CostTarget::CostUsd, base_tokens: 1.0, tokens_per_char: 0.25 }; k],
        prices: BTreeMap::from([(
            MODELS[0].to_owned(),
            ListPrice { input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0 },
        )]),
        statics: [(0.7, 1e-4), (0.6, 2e-4), (0.9, 1e-2)]
            .map(|(quality, cost)| StaticMeans { quality, cost_usd: Some(cost), latency_ms: None, outcomes: 9 })
            .to_vec(),
        curve: vec![point(Some(1e-3), 1e-4, 0.87), point(Some(1.0), 1e-3, 0.895), point(None, 1e-2, 0.9)],
        latency_curve: if known { vec![point(Some(1e6), 300.0, 0.9)] } else { Vec::new() },
        task_profiles: vec![TaskProfile { share: 0.5, weight: vec![1.0; k], score: vec![0.5; k] }; t],
        base: None,
        provenance: Provenance { n_prompts, ..Provenance::default() },
        tensors_sha256: String::new(),
    };
    let code_words = SURFACE_NAMES.iter().position(|name| *name == "ln_code_words").expect("a signal");
    let mut surface_scale = vec![0.0; s];
    surface_scale[code_words] = 1.0;
    let mut posterior_weight = vec![0.0; t * (t + s)];
    posterior_weight[t + code_words] = 20.0;
    // One row per model; the last input is the constant.
    let constants = |values: [f32; 3]| values.iter().flat_map(|v| [vec![0.0; x - 1], vec![v.ln()]].concat()).collect();
    let weights = Weights {
        surface_scale,
        posterior_weight,
        posterior_bias: vec![0.0, 8.0],
        mean: vec![0.69, 0.62, 0.9],
        contrast: vec![-0.15, 0.31, -0.03, 0.15, -0.31, 0.03],
        cost_weight: constants([1e-4, 2e-4, 1e-2]),
        latency_weight: if known { constants([300.0, 400.0, 2000.0]) } else { Vec::new() },
        ..Weights::neutral(&document)
    };
    Artifact { document, weights }.to_bytes().expect("a valid artifact")
}
