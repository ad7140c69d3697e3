//! From features to predictions: quality, its standard error, tokens, cost and latency of every model at once.
//!
//! ```text
//! words ─► int8 rows, summed ─► lexical heads: task logits, outcome logits z
//! surface ─► standardised ──────────┤
//!                                   ├─► posterior p over tasks ─► task table: mean + Σ p·contrast ──┐
//!                                   └─► (surface, p, mean z, z − mean z) ─► forest: what is left ───┴─► quality
//! ```

use crate::artifact::{Artifact, CostTarget, Document, Weights};
use crate::features::{Features, MAIN_TURN_WEIGHT};
use crate::forest::Forest;
use crate::kernels::dispatch::{Kernel, widest};
use crate::kernels::{add_row, add_scaled, affine, dot, squared_distance};
use crate::math::{LANES, exp, exp_lanes, ln, sigmoid, softmax};
use crate::vocabulary::Vocabulary;

/// Standardised surface signals are held within ± this many standard deviations, so that one odd prompt
/// (a megabyte of digits) cannot drive a linear head to certainty.
const SURFACE_CLAMP: f32 = 4.0;

/// Added to a lexical task probability before its logarithm is taken: no single word settles the task.
const LEAST_PROBABILITY: f64 = 1e-4;

/// Brings the spread of log probabilities near that of the standardised surface signals beside them.
const LOG_PROBABILITY_SCALE: f64 = 0.5;

/// Predicted quality stays this far from 0 and 1: nothing is certain.
const LEAST_DOUBT: f32 = 0.005;

/// Signals that novelty is told by: entropy and doubt of the lexical task heads, share of unknown words and pairs,
/// distance of the surface from its task and from all tasks.
pub const NOVELTY_SIGNALS: usize = 5;

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
    /// Posterior over tasks, `[t]`, summing to 1.
    pub tasks: Vec<f32>,
    /// How unlike the training prompts this one is, in `[0, 1]`: the probability that it is of a task that training did not
    /// have, where the log's labels could teach that; else the share of its words and pairs that are unknown.
    pub novelty: f32,
    /// Logits of the lexical heads: tasks, then outcomes, `[t + o]`.
    lexical: Vec<f32>,
    /// Standardised surface signals, then the embedding where there is one, `[s]`.
    surface: Vec<f32>,
    /// What the forest looks at: surface, posterior, mean outcome logit, and every one's distance from it.
    signals: Vec<f32>,
    novelty_signals: [f32; NOVELTY_SIGNALS],
    sums: [Vec<i32>; 2],
    scratch: Vec<f32>,
}

/// The stages before the task table. Training fits the table and the forest on what this very code computes.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    weights: &'a Weights,
    tasks: usize,
}

impl<'a> Encoder<'a> {
    /// An encoder over the lexical, surface and posterior tensors of `weights`; the others may be empty.
    pub fn new(weights: &'a Weights, tasks: usize) -> Self {
        Self { weights, tasks }
    }

    /// Lexical heads: standardised surface signals and logits.
    pub fn lexical(&self, features: &Features, out: &mut Predictions) {
        widest(Lexical(*self, features, out));
    }

    #[inline(always)]
    fn lexical_heads(&self, features: &Features, out: &mut Predictions) {
        let weights = self.weights;
        let vocabulary = Vocabulary::new(&weights.vocabulary);
        let columns = weights.table_scale.len();
        let mut known = 0;
        for (sum, hashes) in out.sums.iter_mut().zip([&features.main, &features.background]) {
            sum.clear();
            sum.resize(columns, 0);
            for hash in hashes {
                if let Some(slot) = vocabulary.slot(*hash) {
                    add_row(&weights.table[slot * columns..(slot + 1) * columns], sum);
                    known += 1;
                }
            }
        }
        let words = features.main.len() + features.background.len();
        out.novelty = (words - known) as f32 / words.max(1) as f32;
        out.surface.clear();
        out.surface.extend(standardise(features, weights));
        out.lexical.clear();
        out.lexical.resize(columns - 1, 0.0);
        affine(&weights.lexical_surface, &weights.lexical_bias, &out.surface, &mut out.lexical);
        // The text as a vector of length 1: its squared length is summed in the last column.
        let [main, background] = &out.sums;
        let weight = MAIN_TURN_WEIGHT;
        let square =
            (weight * weight * main[columns - 1] + background[columns - 1]) as f32 * weights.table_scale[columns - 1];
        if square > 0.0 {
            let length = square.sqrt();
            let totals = main.iter().zip(background).map(|(main, background)| (weight * main + background) as f32);
            for ((logit, total), scale) in out.lexical.iter_mut().zip(totals).zip(&weights.table_scale) {
                *logit += total * (scale / length);
            }
        }
    }

    /// What the posterior head sees after [`Self::lexical`]: centred log probabilities, then surface; `[t + s]`.
    #[expect(clippy::cast_possible_truncation, reason = "signals are single precision")]
    #[inline(always)]
    pub fn posterior_input<'p>(&self, out: &'p mut Predictions) -> &'p [f32] {
        out.tasks.clear();
        out.tasks.extend_from_slice(&out.lexical[..self.tasks]);
        softmax(&mut out.tasks);
        self.novelty_signals(out);
        out.scratch.clear();
        out.scratch.extend(out.tasks.iter().map(|p| ln(f64::from(*p) + LEAST_PROBABILITY) as f32));
        let mean = out.scratch.iter().sum::<f32>() / self.tasks as f32;
        for value in &mut out.scratch {
            *value = (*value - mean) * LOG_PROBABILITY_SCALE as f32;
        }
        out.scratch.extend_from_slice(&out.surface);
        &out.scratch
    }

    /// Fills in the signals of novelty, while `tasks` holds what the lexical heads say.
    #[expect(clippy::cast_possible_truncation, reason = "signals are single precision")]
    #[inline(always)]
    fn novelty_signals(&self, out: &mut Predictions) {
        let weights = self.weights;
        let surface = &out.surface;
        let (mut entropy, mut most, mut from_task) = (0.0, 0.0_f32, 0.0);
        let rows = weights.novelty_center.chunks_exact(surface.len());
        for (p, (center, precision)) in
            out.tasks.iter().zip(rows.zip(weights.novelty_precision.chunks_exact(surface.len())))
        {
            entropy -= f64::from(*p) * ln(f64::from(*p).max(1e-12));
            most = most.max(*p);
            from_task += p * (squared_distance(surface, center, precision) / surface.len() as f32);
        }
        let from_all = surface.iter().map(|u| u * u).sum::<f32>() / surface.len() as f32;
        out.novelty_signals = [
            (entropy / ln(out.tasks.len().max(2) as f64)) as f32,
            1.0 - most,
            out.novelty,
            ln(1.0 + f64::from(from_task)) as f32,
            ln(1.0 + f64::from(from_all)) as f32,
        ];
        if let Some((bias, weight)) = weights.novelty_weight.split_last() {
            out.novelty = sigmoid(f64::from(dot(weight, &out.novelty_signals) + bias)) as f32;
        }
    }

    /// Posterior over tasks, and the forest's signals, after [`Self::lexical`].
    #[inline(always)]
    pub fn posterior(&self, out: &mut Predictions) {
        self.posterior_input(out);
        affine(&self.weights.posterior_weight, &self.weights.posterior_bias, &out.scratch, &mut out.tasks);
        softmax(&mut out.tasks);
        out.signals.clear();
        out.signals.extend_from_slice(&out.surface);
        out.signals.extend_from_slice(&out.tasks);
        let outcomes = &out.lexical[self.tasks..];
        let mean = outcomes.iter().sum::<f32>() / outcomes.len().max(1) as f32;
        out.signals.push(mean);
        out.signals.extend(outcomes.iter().map(|z| z - mean));
    }
}

struct Lexical<'a>(Encoder<'a>, &'a Features, &'a mut Predictions);

impl Kernel for Lexical<'_> {
    #[inline(always)]
    fn run(self) {
        self.0.lexical_heads(self.1, self.2);
    }
}

/// Surface signals, and the embedding, as every head sees them: standardised, within ± 4 standard deviations.
pub fn standardise<'a>(features: &'a Features, weights: &'a Weights) -> impl Iterator<Item = f32> + 'a {
    let moments = weights.surface_mean.iter().zip(&weights.surface_scale);
    let signals = features.dense().zip(moments);
    signals.map(|(x, (mean, scale))| ((x - mean) * scale).clamp(-SURFACE_CLAMP, SURFACE_CLAMP))
}

impl Predictions {
    /// Logits of the lexical heads: tasks, then outcomes; `[t + o]`.
    pub fn lexical(&self) -> &[f32] {
        &self.lexical
    }

    /// What novelty is told by.
    pub fn novelty_signals(&self) -> &[f32; NOVELTY_SIGNALS] {
        &self.novelty_signals
    }

    /// What the forest looks at: surface, task posterior, mean outcome logit, every outcome logit less that mean;
    /// `[s + t + 1 + o]`.
    pub fn signals(&self) -> &[f32] {
        &self.signals
    }
}

/// Predicts with an artifact's weights.
#[derive(Clone, Debug)]
pub(crate) struct Predictor {
    document: Document,
    weights: Weights,
    forest: Forest,
}

impl Predictor {
    pub(crate) fn new(artifact: Artifact) -> Self {
        let forest = Forest::new(&artifact.weights);
        Self { document: artifact.document, weights: artifact.weights, forest }
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Fills `out` for all models. Never allocates once `out` has grown, never panics.
    pub(crate) fn predict(&self, features: &Features, out: &mut Predictions) {
        widest(Predict(self, features, out));
    }

    /// Task table plus forest.
    #[inline(always)]
    fn quality(&self, out: &mut Predictions) {
        let weights = &self.weights;
        let k = weights.mean.len();
        out.quality.clear();
        out.quality.extend_from_slice(&weights.mean);
        out.quality_se.clear();
        out.quality_se.resize(k, 0.0);
        for (task, p) in out.tasks.iter().enumerate() {
            add_scaled(&weights.contrast[task * k..(task + 1) * k], *p, &mut out.quality);
            add_scaled(&weights.contrast_variance[task * k..(task + 1) * k], p * p, &mut out.quality_se);
        }
        let sums = &mut out.sums[0];
        sums.clear();
        sums.resize(k, 0);
        let mut rarity = 0.0;
        self.forest.for_each_leaf(&out.signals, |leaf| {
            add_row(&weights.leaf[leaf * k..(leaf + 1) * k], sums);
            rarity += weights.leaf_rarity[leaf];
        });
        let share = 1.0 / weights.root.len().max(1) as f32;
        rarity *= share;
        for (model, (quality, se)) in out.quality.iter_mut().zip(&mut out.quality_se).enumerate() {
            *quality = (*quality + sums[model] as f32 * (weights.leaf_scale[model] * share))
                .clamp(LEAST_DOUBT, 1.0 - LEAST_DOUBT);
            *se = (*se + weights.residual_variance[model] * rarity).sqrt();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "predictions are stored in single precision")]
    #[inline(always)]
    fn costs(&self, features: &Features, out: &mut Predictions) {
        // The regressions see surface and posterior, and a 1 for the bias.
        let width = out.surface.len() + out.tasks.len();
        let x = &out.signals[..width];
        let exponent = |row: &[f32], least: f64| f64::from(dot(&row[..width], x) + row[width]).clamp(least, 30.0);
        out.input_tokens.clear();
        out.output_tokens.clear();
        out.direct_cost_usd.clear();
        out.latency_ms.clear();
        let rows = self.weights.cost_weight.chunks((width + 1) * LANES);
        for (heads, rows) in self.document.costs.chunks(LANES).zip(rows) {
            let mut exponents = [0.0; LANES];
            for (place, row) in exponents.iter_mut().zip(rows.chunks_exact(width + 1)) {
                *place = exponent(row, -60.0);
            }
            for (head, value) in heads.iter().zip(exp_lanes(exponents)) {
                let value = value as f32;
                let tokens = head.base_tokens + head.tokens_per_char * features.chars as f64;
                out.input_tokens.push(tokens.max(0.0) as f32);
                let (output_tokens, cost) = match head.target {
                    CostTarget::OutputTokens => (value, f32::NAN),
                    CostTarget::CostUsd => (f32::NAN, value),
                    CostTarget::Unknown => (f32::NAN, f32::NAN),
                };
                out.output_tokens.push(output_tokens);
                out.direct_cost_usd.push(cost);
            }
        }
        let latencies = self.weights.latency_weight.chunks_exact(width + 1);
        out.latency_ms.extend(latencies.map(|row| exp(exponent(row, -30.0)) as f32));
    }
}

struct Predict<'a>(&'a Predictor, &'a Features, &'a mut Predictions);

impl Kernel for Predict<'_> {
    #[inline(always)]
    fn run(self) {
        let Self(predictor, features, out) = self;
        let encoder = Encoder::new(&predictor.weights, predictor.document.tasks.len());
        encoder.lexical_heads(features, out);
        encoder.posterior(out);
        predictor.quality(out);
        predictor.costs(features, out);
    }
}
