//! Routers of any size with random weights, and texts of any length, for measuring speed alone.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use pointsman::artifact::{
    Artifact, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, ListPrice, Mode, Provenance,
    SCHEMA_VERSION, StaticMeans, TaskProfile, TaskSource, Weights,
};
use pointsman::features::{FEATURE_VERSION, SURFACE_SIGNALS};

/// Tasks of the artifacts made here: what the real multi-task logs have.
pub const TASKS: usize = 14;

const BUCKET_BITS: u32 = 16;
const EMBEDDING: usize = 32;
const HIDDEN: usize = 24;
const SEEN_BITS: u32 = 18;

/// A valid artifact over `k` models with random weights: it predicts nonsense at the speed of a real one.
pub fn artifact(k: usize, seed: u64) -> Artifact {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut floats = |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| (random.f32() - 0.5) * scale).collect() };
    let level = SURFACE_SIGNALS + TASKS + 1;
    let encoder = EMBEDDING + SURFACE_SIGNALS;
    let weights = Weights {
        table_scale: vec![0.01],
        surface_mean: floats(SURFACE_SIGNALS, 1.0),
        surface_scale: vec![1.0; SURFACE_SIGNALS],
        task_weight: floats(TASKS * encoder, 1.0),
        task_bias: floats(TASKS, 1.0),
        outcome_weight: floats(k * encoder, 0.5),
        outcome_bias: floats(k, 1.0),
        level_hidden_weight: floats(HIDDEN * level, 0.5),
        level_hidden_bias: floats(HIDDEN, 0.5),
        level_output_weight: floats(HIDDEN, 0.5),
        level_linear_weight: floats(level, 0.2),
        intercept: floats(k, 1.0),
        intercept_variance: vec![0.001; k],
        contrast_center: vec![1.0 / TASKS as f32; TASKS],
        contrast_weight: floats(k * TASKS, 1.0),
        contrast_variance: vec![0.01; k * TASKS],
        cost_weight: floats(k * level, 0.1),
        latency_weight: Vec::new(),
        seen: vec![0xff; (1 << SEEN_BITS) / 8],
        table: (0..EMBEDDING << BUCKET_BITS).map(|_| random.i8(..)).collect(),
    };
    Artifact { document: document(k), weights }
}

fn document(k: usize) -> Document {
    let price = ListPrice { input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0 };
    let models: Vec<String> = (0..k).map(|model| format!("model-{model:03}")).collect();
    Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        tasks: (0..TASKS).map(|task| format!("task-{task:02}")).collect(),
        task_source: TaskSource::Labels,
        dimensions: Dimensions { bucket_bits: BUCKET_BITS, embedding: EMBEDDING, hidden: HIDDEN, seen_bits: SEEN_BITS },
        decision: DecisionRule {
            mode: Mode::Learned,
            confidence: 0.5,
            novelty_limit: 0.9,
            blend: 0.7,
            default_lambda: None,
        },
        costs: vec![CostHead { target: CostTarget::OutputTokens, base_tokens: 0.0, tokens_per_char: 0.25 }; k],
        prices: models.iter().map(|model| (model.clone(), price)).collect(),
        statics: vec![StaticMeans { quality: 0.5, cost_usd: Some(0.001), latency_ms: None, outcomes: 1 }; k],
        curve: vec![CurvePoint { lambda: Some(0.01), cost: 0.001, quality: 0.5, shares: vec![1.0 / k as f64; k] }],
        latency_curve: Vec::new(),
        task_profiles: vec![TaskProfile { share: 0.1, weight: vec![1.0; k], score: vec![0.5; k] }; TASKS],
        provenance: Provenance { metrics: BTreeMap::new(), ..Provenance::default() },
        tensors_sha256: String::new(),
        models,
    }
}

/// `count` different texts of about `bytes` bytes, of words from a vocabulary of 5,000 with the usual skew.
pub fn texts(bytes: usize, count: usize, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let vocabulary: Vec<String> =
        (0..5_000).map(|_| (0..random.usize(1..11)).map(|_| random.lowercase()).collect()).collect();
    let text = |random: &mut fastrand::Rng| {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            // The lesser of two draws prefers the front of the vocabulary.
            let word = &vocabulary[random.usize(..5_000).min(random.usize(..5_000))];
            text.push_str(word);
            text.push_str(match random.u8(..20) {
                0 => ". ",
                1 => ", ",
                2 => "\n",
                3 => " 42 ",
                _ => " ",
            });
        }
        text
    };
    (0..count).map(|_| text(&mut random)).collect()
}
