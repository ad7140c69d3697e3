//! From features to predictions: quality, its standard error, tokens, cost and latency of every model at once.
//!
//! ```text
//! words ─► int8 rows, summed ─► embedding e ─┬─► task posterior p ──┬─► level L(surface, p, lexical) ──┐
//! surface ─► standardised z ─────────────────┴─► lexical logits ────┘   α + L + B·(p − p̄) ─────────────┴─► quality
//! ```

use crate::artifact::{Artifact, CostTarget, Document, Weights};
use crate::features::{Features, MAIN_TURN_WEIGHT, SURFACE_SIGNALS};
use crate::kernels::{add_rows, affine, dot};
use crate::math::{exp, sigmoid, softmax};

/// Standardised surface signals are held within ± this many standard deviations, so that one odd prompt
/// (a megabyte of digits) cannot drive a linear head to certainty.
const SURFACE_CLAMP: f32 = 4.0;

/// What is predicted for one request, for all `k` models in the artifact's order; a reusable buffer.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// Expected quality in `(0, 1)`, `[k]`.
    pub quality: Vec<f32>,
    /// Standard error of what sets a model apart from the others on this prompt, in units of quality, `[k]`.
    ///
    /// The level, which all models share, cancels in every comparison and is not part of it; the standard error
    /// of the gap between two models is the root of the sum of their squares.
    pub quality_se: Vec<f32>,
    /// Expected input tokens, `[k]`.
    pub input_tokens: Vec<f32>,
    /// Expected output tokens, `[k]`; NaN for a model whose cost is predicted in USD directly, or not at all.
    pub output_tokens: Vec<f32>,
    /// Expected USD per call, `[k]`; NaN for a model whose cost follows from tokens and price.
    pub direct_cost_usd: Vec<f32>,
    /// Expected latency in milliseconds, `[k]`; empty where the router knows none.
    pub latency_ms: Vec<f32>,
    /// Posterior over the contrast coordinates (tasks), `[t]`, summing to 1.
    pub tasks: Vec<f32>,
    /// The lexical member's logits, `[k]`.
    pub lexical: Vec<f32>,
    /// Share of the prompt's words that training never saw, in `[0, 1]`; 0 for a prompt without words.
    pub novelty: f32,
    sum: Vec<i32>,
    input: Vec<f32>,
    level_input: Vec<f32>,
    hidden: Vec<f32>,
}

/// The lexical encoder: words and surface to task posterior and lexical logits.
///
/// Training fits the later heads on what this very code computes, with quantised weights.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    weights: &'a Weights,
    bucket_bits: u32,
    embedding: usize,
    models: usize,
    tasks: usize,
}

impl<'a> Encoder<'a> {
    /// An encoder over the lexical, surface, task and outcome tensors of `weights`; the others may be empty.
    pub fn new(weights: &'a Weights, bucket_bits: u32, embedding: usize) -> Self {
        Self { weights, bucket_bits, embedding, models: weights.outcome_bias.len(), tasks: weights.task_bias.len() }
    }

    /// Fills `tasks` and `lexical` of `out`, and the standardised surface signals.
    pub fn encode(&self, features: &Features, out: &mut Predictions) {
        let weights = self.weights;
        out.sum.clear();
        out.sum.resize(self.embedding, 0);
        let row = |hash: &u64| high_bits(*hash, self.bucket_bits);
        add_rows(&weights.table, features.main.iter().map(row), MAIN_TURN_WEIGHT, &mut out.sum);
        add_rows(&weights.table, features.background.iter().map(row), 1, &mut out.sum);
        let rows = features.main.len() * MAIN_TURN_WEIGHT as usize + features.background.len();
        let scale = weights.table_scale[0] / rows.max(1) as f32;
        out.input.clear();
        out.input.extend(out.sum.iter().map(|&total| total as f32 * scale));
        out.input.extend(standardise(&features.surface, weights));
        out.tasks.clear();
        out.tasks.resize(self.tasks, 0.0);
        affine(&weights.task_weight, &weights.task_bias, &out.input, &mut out.tasks);
        softmax(&mut out.tasks);
        out.lexical.clear();
        out.lexical.resize(self.models, 0.0);
        affine(&weights.outcome_weight, &weights.outcome_bias, &out.input, &mut out.lexical);
    }
}

/// Surface signals as every head sees them: standardised, within ± 4 standard deviations.
pub fn standardise<'a>(surface: &'a [f32; SURFACE_SIGNALS], weights: &'a Weights) -> impl Iterator<Item = f32> + 'a {
    let moments = weights.surface_mean.iter().zip(&weights.surface_scale);
    let signals = surface.iter().zip(moments);
    signals.map(|(x, (mean, scale))| ((x - mean) * scale).clamp(-SURFACE_CLAMP, SURFACE_CLAMP))
}

impl Predictions {
    /// The standardised surface signals, as the heads see them.
    pub fn standardised_surface(&self) -> &[f32] {
        &self.input[self.input.len() - SURFACE_SIGNALS..]
    }

    /// Input of the level model: surface, task posterior, mean lexical logit; `[s + t + 1]`.
    pub fn level_input(&mut self) -> &[f32] {
        self.level_input.clear();
        self.level_input.extend_from_slice(&self.input[self.input.len() - SURFACE_SIGNALS..]);
        self.level_input.extend_from_slice(&self.tasks);
        let mean = self.lexical.iter().sum::<f32>() / self.lexical.len().max(1) as f32;
        self.level_input.push(mean);
        &self.level_input
    }
}

/// The row or bit that a hash chooses: its `bits` high bits, at most 28.
#[expect(clippy::cast_possible_truncation, reason = "28 bits fit every usize")]
fn high_bits(hash: u64, bits: u32) -> usize {
    (hash >> (64 - bits)) as usize
}

/// Predicts with an artifact's weights.
#[derive(Clone, Debug)]
pub(crate) struct Predictor {
    document: Document,
    weights: Weights,
}

impl Predictor {
    pub(crate) fn new(artifact: Artifact) -> Self {
        Self { document: artifact.document, weights: artifact.weights }
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Fills `out` for all models. Never allocates once `out` has grown, never panics.
    pub(crate) fn predict(&self, features: &Features, out: &mut Predictions) {
        let dimensions = self.document.dimensions;
        Encoder::new(&self.weights, dimensions.bucket_bits, dimensions.embedding).encode(features, out);
        out.novelty = self.novelty(features);
        let level = self.level(out);
        self.quality(level, out);
        self.costs(features, out);
    }

    fn novelty(&self, features: &Features) -> f32 {
        let bits = self.document.dimensions.seen_bits;
        let unseen = features.words.iter().filter(|hash| {
            let bit = high_bits(**hash, bits);
            self.weights.seen[bit / 8] >> (bit % 8) & 1 == 0
        });
        unseen.count() as f32 / features.words.len().max(1) as f32
    }

    fn level(&self, out: &mut Predictions) -> f32 {
        let hidden = self.document.dimensions.hidden;
        out.level_input();
        out.hidden.clear();
        out.hidden.resize(hidden, 0.0);
        affine(&self.weights.level_hidden_weight, &self.weights.level_hidden_bias, &out.level_input, &mut out.hidden);
        for unit in &mut out.hidden {
            *unit = unit.max(0.0);
        }
        dot(&self.weights.level_output_weight, &out.hidden) + dot(&self.weights.level_linear_weight, &out.level_input)
    }

    #[expect(clippy::cast_possible_truncation, reason = "predictions are stored in single precision")]
    fn quality(&self, level: f32, out: &mut Predictions) {
        let rule = self.document.decision;
        let weights = &self.weights;
        let t = out.tasks.len();
        // `input` is free again and holds the centred task posterior from here on.
        out.level_input.clear();
        out.level_input.extend(out.tasks.iter().zip(&weights.contrast_center).map(|(p, center)| p - center));
        let centred = &out.level_input;
        out.quality.clear();
        out.quality_se.clear();
        for (model, lexical) in out.lexical.iter().enumerate() {
            let row = model * t..(model + 1) * t;
            let contrast = dot(&weights.contrast_weight[row.clone()], centred);
            let spread: f32 =
                weights.contrast_variance[row].iter().zip(centred).map(|(variance, x)| variance * x * x).sum();
            let variance = weights.intercept_variance[model] + spread;
            let structured = f64::from(weights.intercept[model] + level + contrast);
            let logit = rule.blend * structured + (1.0 - rule.blend) * f64::from(*lexical);
            let quality = sigmoid(logit);
            out.quality.push(quality as f32);
            out.quality_se.push((quality * (1.0 - quality)) as f32 * variance.sqrt());
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "predictions are stored in single precision")]
    fn costs(&self, features: &Features, out: &mut Predictions) {
        // The regressions see what the level model sees, with a 1 for the bias in the place of the lexical logit.
        out.level_input();
        *out.level_input.last_mut().expect("the level input is never empty") = 1.0;
        let x = &out.level_input;
        out.input_tokens.clear();
        out.output_tokens.clear();
        out.direct_cost_usd.clear();
        out.latency_ms.clear();
        for (head, row) in self.document.costs.iter().zip(self.weights.cost_weight.chunks_exact(x.len())) {
            let tokens = head.base_tokens + head.tokens_per_char * features.chars as f64;
            out.input_tokens.push(tokens.max(0.0) as f32);
            let value = exp(f64::from(dot(row, x)).clamp(-60.0, 30.0)) as f32;
            let (output_tokens, cost) = match head.target {
                CostTarget::OutputTokens => (value, f32::NAN),
                CostTarget::CostUsd => (f32::NAN, value),
                CostTarget::Unknown => (f32::NAN, f32::NAN),
            };
            out.output_tokens.push(output_tokens);
            out.direct_cost_usd.push(cost);
        }
        let latencies = self.weights.latency_weight.chunks_exact(x.len());
        out.latency_ms.extend(latencies.map(|row| exp(f64::from(dot(row, x)).clamp(-30.0, 30.0)) as f32));
    }
}
