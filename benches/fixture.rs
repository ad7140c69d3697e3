//! Routers of any size with random weights, and texts of any length, for measuring speed alone.
#![forbid(unsafe_code)]

pub mod stopwatch;
pub mod tally;

use std::collections::BTreeMap;

use pointsman::artifact::{
    Artifact, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, LEAF, ListPrice, Mode, Provenance,
    SCHEMA_VERSION, StaticMeans, TaskProfile, TaskSource, Weights,
};
use pointsman::features::{FEATURE_VERSION, SURFACE_SIGNALS};
use pointsman::predictor::NOVELTY_SIGNALS;
use pointsman::vocabulary::Vocabulary;
use pointsman::{Features, Featuriser, Request, Turn};

/// Tasks of the artifacts made here: what the real multi-task logs have.
pub const TASKS: usize = 14;

/// Slots of the vocabulary: 2 to this power, three quarters of them full.
const VOCABULARY_BITS: u32 = 17;

/// Trees, and the depth of every one of them.
const TREES: usize = 80;
const DEPTH: u32 = 8;

/// A valid artifact over `k` models with random weights: it predicts nonsense at the speed of a real one.
pub fn artifact(k: usize, seed: u64) -> Artifact {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut floats = |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| (random.f32() - 0.5) * scale).collect() };
    let document = document(k);
    let signals = SURFACE_SIGNALS + TASKS;
    let columns = TASKS + k + 1;
    let mut weights = Weights {
        table_scale: vec![0.01; columns],
        surface_mean: floats(SURFACE_SIGNALS, 1.0),
        surface_scale: vec![1.0; SURFACE_SIGNALS],
        lexical_surface: floats((TASKS + k) * SURFACE_SIGNALS, 0.1),
        lexical_bias: floats(TASKS + k, 1.0),
        posterior_weight: floats(TASKS * signals, 1.0),
        posterior_bias: floats(TASKS, 1.0),
        contrast: floats(TASKS * k, 0.2),
        novelty_weight: floats(NOVELTY_SIGNALS + 1, 1.0),
        novelty_center: floats(TASKS * SURFACE_SIGNALS, 1.0),
        novelty_precision: vec![1.0; TASKS * SURFACE_SIGNALS],
        contrast_variance: vec![0.001; TASKS * k],
        residual_variance: vec![0.1; k],
        leaf_scale: vec![0.001; k],
        cost_weight: floats(k * (signals + 1), 0.1),
        ..Weights::neutral(&document)
    };
    // The vocabulary holds the words of the texts below, and as many more as fill it.
    let mut features = Features::default();
    let mut known: Vec<u64> = (0..3 << (VOCABULARY_BITS - 2)).map(|_| random.u64(..)).collect();
    for (place, text) in texts(4_000, 40, seed).iter().enumerate() {
        Featuriser::new().featurise(&Request::new(&[Turn::user(text)]), &mut features);
        let room = known.len() / 40;
        for (slot, hash) in known[place * room..(place + 1) * room].iter_mut().zip(features.main()) {
            *slot = *hash;
        }
    }
    weights.vocabulary = Vocabulary::build(&known);
    weights.vocabulary.truncate(1 << VOCABULARY_BITS);
    weights.table = (0..columns << VOCABULARY_BITS).map(|_| random.i8(..)).collect();
    for row in weights.table.chunks_exact_mut(columns) {
        row[columns - 1] = random.i8(10..);
    }
    for tree in 0..TREES {
        weights.root.push(number(tree * NODES));
        for node in 0..NODES {
            let inner = node < (1 << DEPTH) - 1;
            weights.node_signal.push(if inner { random.u16(..number_of_signals()) } else { LEAF });
            weights.node_threshold.push(if inner { random.f32() - 0.5 } else { 0.0 });
            let leaf = (tree << DEPTH) + node - if inner { 0 } else { (1 << DEPTH) - 1 };
            weights.node_child.push(number(if inner { tree * NODES + 2 * node + 1 } else { leaf }));
        }
    }
    weights.leaf = (0..(TREES << DEPTH) * k).map(|_| random.i8(..)).collect();
    weights.leaf_rarity = vec![0.02; TREES << DEPTH];
    Artifact { document, weights }
}

/// Nodes of one tree.
const NODES: usize = (2 << DEPTH) - 1;

/// Signals that nodes look at: surface, tasks, mean outcome logit.
fn number_of_signals() -> u16 {
    u16::try_from(SURFACE_SIGNALS + TASKS + 1).expect("fewer than 100 signals")
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("a forest of fewer than 2^32 nodes")
}

fn document(k: usize) -> Document {
    let price = ListPrice { input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0 };
    let models: Vec<String> = (0..k).map(|model| format!("model-{model:03}")).collect();
    Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        tasks: (0..TASKS).map(|task| format!("task-{task:02}")).collect(),
        task_source: TaskSource::Labels,
        dimensions: Dimensions {
            vocabulary_bits: VOCABULARY_BITS,
            outcomes: k,
            trees: TREES,
            nodes: TREES * NODES,
            leaves: TREES << DEPTH,
        },
        decision: DecisionRule {
            mode: Mode::Learned,
            trust: 0.75,
            confidence: 0.5,
            novelty_weight: 1.0,
            novelty_limit: 0.9,
            default_lambda: None,
        },
        costs: vec![CostHead { target: CostTarget::OutputTokens, base_tokens: 0.0, tokens_per_char: 0.25 }; k],
        prices: models.iter().map(|model| (model.clone(), price)).collect(),
        statics: vec![StaticMeans { quality: 0.5, cost_usd: Some(0.001), latency_ms: None, outcomes: 1 }; k],
        curve: vec![CurvePoint { lambda: Some(0.01), cost: 0.001, quality: 0.5, shares: vec![1.0 / k as f64; k] }],
        latency_curve: Vec::new(),
        task_profiles: vec![TaskProfile { share: 0.1, weight: vec![1.0; k], score: vec![0.5; k] }; TASKS],
        base: None,
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
