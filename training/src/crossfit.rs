//! Cross-fitting: every prompt is judged by models that never saw its outcomes.
//!
//! ```text
//! folds ─► encoder per fold ─► out-of-fold posteriors, lexical logits ─► level, contrasts, costs per fold
//!      └─► encoder on all ───────────────────────────────────────────► level, contrasts, costs on all = the artifact
//! ```
//! The later heads are fitted on out-of-fold inputs, also for the artifact: in-sample posteriors would look surer than
//! those of new prompts ever are.

use std::collections::BTreeMap;

use pointsman::Predictions;
use pointsman::artifact::{CostHead, CostTarget, Weights};
use pointsman::features::SURFACE_SIGNALS;
use pointsman::math::sigmoid;
use pointsman_evals::log::{CostSource, Price};
use rayon::prelude::*;

use crate::contrast::{self, Contrasts};
use crate::costs;
use crate::dataset::Dataset;
use crate::encoder::{self, FittedEncoder};
use crate::error::Error;
use crate::level::{self, Level};
use crate::recipe::Recipe;

/// Bits of the set of seen words: 32 KiB, 7 % full at 20,000 distinct words and a third full at 100,000.
pub(crate) const SEEN_BITS: u32 = 18;

/// Everything that is fitted on one set of rows.
pub(crate) struct Part {
    /// Rows it may be judged on: the held-out fold; empty for the artifact itself.
    pub(crate) held_out: Vec<usize>,
    /// All tensors.
    pub(crate) weights: Weights,
    /// Cost heads, `[k]`.
    pub(crate) costs: Vec<CostHead>,
    /// Share of the log-variance of cost explained in sample, `[k]`; NaN where it does not vary.
    pub(crate) cost_r_squared: Vec<f64>,
}

/// The outcome of cross-fitting.
pub(crate) struct CrossFit {
    /// One part per fold, then the one fitted on all rows.
    pub(crate) parts: Vec<Part>,
    /// Prior precision of the contrasts, chosen out-of-fold.
    pub(crate) precision: f64,
    /// Weight of the structured member, chosen out-of-fold.
    pub(crate) blend: f64,
    /// Out-of-fold task posteriors, `[n, t]`.
    pub(crate) posteriors: Vec<f32>,
}

/// What every later fit sees of the prompts: out-of-fold, `n` rows.
struct Inputs {
    width: usize,
    /// Level inputs `[n, width]`.
    level: Vec<f32>,
    /// `[n, t]`.
    posteriors: Vec<f32>,
    /// `[n, k]`.
    lexical: Vec<f32>,
}

/// What costs are reckoned with.
pub(crate) struct Pricing<'a> {
    /// List prices by model.
    pub(crate) prices: &'a BTreeMap<String, Price>,
    /// Answer length where nothing is known of it.
    pub(crate) assume_output_tokens: f64,
}

/// Labels that the encoder learns to tell apart.
pub(crate) struct Labels {
    /// `[n]`, below `n_tasks`.
    pub(crate) of_row: Vec<Option<u32>>,
    pub(crate) n_tasks: usize,
}

/// Assigns rows to folds by the hash of their unit, so that a group stays together.
pub(crate) fn folds(data: &Dataset, count: usize, seed: u64) -> Vec<usize> {
    // Units in the order of their names, shuffled by the seed, dealt in turn: balanced and independent of row order.
    let n_units = data.units.iter().max().map_or(0, |last| *last + 1);
    let mut units: Vec<u32> = (0..n_units).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut units);
    let mut fold = vec![0; units.len()];
    for (dealt, unit) in units.iter().enumerate() {
        fold[*unit as usize] = dealt % count;
    }
    data.units.iter().map(|unit| fold[*unit as usize]).collect()
}

pub(crate) fn run(
    data: &Dataset,
    labels: &Labels,
    pricing: &Pricing<'_>,
    recipe: &Recipe,
    progress: &(dyn Fn() + Sync),
) -> Result<CrossFit, Error> {
    let seed = recipe.settings().seed;
    let count = recipe.folds(data.n());
    let fold = folds(data, count, seed);
    let all: Vec<usize> = (0..data.n()).collect();
    let train_rows = |part: usize| -> Vec<usize> { all.iter().copied().filter(|&row| fold[row] != part).collect() };
    let held_out = |part: usize| -> Vec<usize> { all.iter().copied().filter(|&row| fold[row] == part).collect() };

    // Part `count` is no fold: nothing is held out of it.
    let encoders: Vec<FittedEncoder> = (0..=count)
        .into_par_iter()
        .map(|part| {
            let rows = train_rows(part);
            let seed = seed.wrapping_add(part as u64 * 7919);
            encoder::fit(data, &labels.of_row, labels.n_tasks, &rows, recipe, seed, &|| progress())
        })
        .collect::<Result<_, _>>()?;
    let inputs = Inputs::new(data, labels.n_tasks, &encoders, &fold);

    let levels: Vec<Level> = (0..=count)
        .into_par_iter()
        .map(|part| {
            let level = level::fit(data, &inputs.level, inputs.width, &train_rows(part), recipe, seed ^ 0x6c65_7665);
            progress();
            level
        })
        .collect::<Result<_, _>>()?;
    let centers: Vec<Vec<f32>> = (0..=count).map(|part| inputs.center(labels.n_tasks, &train_rows(part))).collect();
    let offsets: Vec<Vec<f32>> = levels.iter().map(|level| inputs.offsets(level)).collect();

    let fit_contrasts = |part: usize, precision: f64| {
        contrast::fit(data, &inputs.posteriors, &centers[part], &offsets[part], &train_rows(part), precision)
    };
    let grid: Vec<(f64, usize)> =
        contrast::PRECISIONS.iter().flat_map(|&precision| (0..count).map(move |part| (precision, part))).collect();
    let tried: Vec<(f64, usize, Contrasts)> = grid
        .into_par_iter()
        .map(|(precision, part)| Ok((precision, part, fit_contrasts(part, precision)?)))
        .collect::<Result<_, Error>>()?;
    progress();
    let structured = |precision: f64| {
        let mut logits = vec![0.0; data.n() * data.k()];
        for (_, part, contrasts) in tried.iter().filter(|(tried, ..)| tried.total_cmp(&precision).is_eq()) {
            inputs.structured(contrasts, &centers[*part], &offsets[*part], &held_out(*part), data.k(), &mut logits);
        }
        logits
    };
    let mut precision = contrast::PRECISIONS[0];
    let mut least = f64::INFINITY;
    for candidate in contrast::PRECISIONS {
        let error = centred_error(data, &structured(candidate));
        if error < least {
            (least, precision) = (error, candidate);
        }
    }
    let blend = choose_blend(data, &structured(precision), &inputs.lexical);

    let parts: Vec<Part> = (0..=count)
        .into_par_iter()
        .map(|part| {
            let contrasts = fit_contrasts(part, precision)?;
            let rows = train_rows(part);
            let mut weights = encoders[part].weights.clone();
            assemble(&mut weights, &levels[part], &contrasts, &centers[part], data.k(), labels.n_tasks);
            weights.seen = seen_words(data, &rows);
            let (costs, cost_r_squared) = fit_costs(data, &inputs, pricing, &rows, &mut weights)?;
            progress();
            Ok(Part { held_out: held_out(part), weights, costs, cost_r_squared })
        })
        .collect::<Result<_, Error>>()?;
    Ok(CrossFit { parts, precision, blend, posteriors: inputs.posteriors })
}

impl Inputs {
    fn new(data: &Dataset, n_tasks: usize, encoders: &[FittedEncoder], fold: &[usize]) -> Self {
        let (n, k, width) = (data.n(), data.k(), SURFACE_SIGNALS + n_tasks + 1);
        let mut inputs =
            Self { width, level: vec![0.0; n * width], posteriors: vec![0.0; n * n_tasks], lexical: vec![0.0; n * k] };
        let levels = inputs.level.par_chunks_exact_mut(width);
        let posteriors = inputs.posteriors.par_chunks_exact_mut(n_tasks);
        let lexical = inputs.lexical.par_chunks_exact_mut(k);
        levels.zip(posteriors).zip(lexical).enumerate().for_each_init(
            Predictions::default,
            |out, (row, ((level, posterior), lexical))| {
                encoders[fold[row]].encode(&data.features[row], out);
                level.copy_from_slice(out.level_input());
                posterior.copy_from_slice(&out.tasks);
                lexical.copy_from_slice(&out.lexical);
            },
        );
        inputs
    }

    /// Mean posterior over `rows`, `[t]`.
    fn center(&self, t: usize, rows: &[usize]) -> Vec<f32> {
        let mut center = vec![0.0; t];
        for &row in rows {
            for (sum, p) in center.iter_mut().zip(&self.posteriors[row * t..(row + 1) * t]) {
                *sum += p;
            }
        }
        center.iter().map(|sum| sum / rows.len().max(1) as f32).collect()
    }

    /// `α_m + L(x_i)`, `[n, k]`.
    fn offsets(&self, level: &Level) -> Vec<f32> {
        let rows = self.level.par_chunks_exact(self.width);
        rows.flat_map_iter(|x| {
            let height = level.evaluate(x);
            level.intercept.iter().map(move |alpha| alpha + height)
        })
        .collect()
    }

    /// Logits of the level + contrast member on `rows`, written into `[n, k]`.
    #[expect(clippy::cast_possible_truncation, reason = "logits are single precision")]
    fn structured(
        &self,
        contrasts: &Contrasts,
        center: &[f32],
        offsets: &[f32],
        rows: &[usize],
        k: usize,
        logits: &mut [f32],
    ) {
        let t = center.len();
        for &row in rows {
            let posterior = &self.posteriors[row * t..(row + 1) * t];
            for model in 0..k {
                let weight = &contrasts.weight[model * t..(model + 1) * t];
                let contrast: f64 =
                    weight.iter().zip(posterior).zip(center).map(|((b, p), c)| b * f64::from(p - c)).sum();
                logits[row * k + model] = offsets[row * k + model] + (contrasts.intercept[model] + contrast) as f32;
            }
        }
    }
}

/// Puts level and contrasts into the tensors; what all contrasts share moves into the level, so that they sum to zero.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn assemble(weights: &mut Weights, level: &Level, contrasts: &Contrasts, center: &[f32], k: usize, t: usize) {
    let mut shared = vec![0.0; t];
    for row in contrasts.weight.chunks_exact(t) {
        for (sum, b) in shared.iter_mut().zip(row) {
            *sum += b / k as f64;
        }
    }
    let moved: f64 = shared.iter().zip(center).map(|(b, c)| b * f64::from(*c)).sum();
    weights.level_hidden_weight.clone_from(&level.hidden_weight);
    weights.level_hidden_bias.clone_from(&level.hidden_bias);
    weights.level_output_weight.clone_from(&level.output_weight);
    weights.level_linear_weight.clone_from(&level.linear_weight);
    for (weight, b) in weights.level_linear_weight[SURFACE_SIGNALS..].iter_mut().zip(&shared) {
        *weight += *b as f32;
    }
    let intercepts = level.intercept.iter().zip(&contrasts.intercept);
    weights.intercept = intercepts.map(|(alpha, a)| alpha + (a - moved) as f32).collect();
    weights.intercept_variance = contrasts.intercept_variance.iter().map(|v| *v as f32).collect();
    weights.contrast_center = center.to_vec();
    weights.contrast_weight =
        contrasts.weight.chunks_exact(t).flat_map(|row| row.iter().zip(&shared).map(|(b, s)| (b - s) as f32)).collect();
    weights.contrast_variance = contrasts.variance.iter().map(|v| *v as f32).collect();
}

/// Mean squared error of scores against predictions, both centred within the prompt: what routing lives on.
fn centred_error(data: &Dataset, logits: &[f32]) -> f64 {
    let k = data.k();
    let mut sum = 0.0;
    let mut count = 0.0;
    for (row, cells) in data.cells.iter().enumerate().filter(|(_, cells)| cells.len() > 1) {
        let residuals: Vec<f64> = cells
            .iter()
            .map(|cell| f64::from(cell.score) - sigmoid(f64::from(logits[row * k + cell.model as usize])))
            .collect();
        let mean = residuals.iter().sum::<f64>() / residuals.len() as f64;
        sum += residuals.iter().map(|r| (r - mean).powi(2)).sum::<f64>() * f64::from(data.weights[row]);
        count += residuals.len() as f64 * f64::from(data.weights[row]);
    }
    sum / count.max(1.0)
}

/// Weight of the structured member in logit space: least centred error, in tenths.
#[expect(clippy::cast_possible_truncation, reason = "logits are single precision")]
fn choose_blend(data: &Dataset, structured: &[f32], lexical: &[f32]) -> f64 {
    let error = |blend: f64| {
        let mixed: Vec<f32> = structured
            .iter()
            .zip(lexical)
            .map(|(a, b)| (blend * f64::from(*a) + (1.0 - blend) * f64::from(*b)) as f32)
            .collect();
        centred_error(data, &mixed)
    };
    let tried = (0..=10).map(|tenths| f64::from(tenths) / 10.0).map(|blend| (error(blend), blend));
    tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, blend)| blend)
}

fn fit_costs(
    data: &Dataset,
    inputs: &Inputs,
    pricing: &Pricing<'_>,
    rows: &[usize],
    weights: &mut Weights,
) -> Result<(Vec<CostHead>, Vec<f64>), Error> {
    let has_latency = data.cells.all().iter().any(|cell| cell.latency_ms.is_finite());
    let mut heads = Vec::new();
    let mut explained = Vec::new();
    for (model, name) in data.models.iter().enumerate() {
        let head = costs::head(data, model, rows, pricing.prices.get(name));
        let regression =
            costs::regress(data, model, &inputs.level, inputs.width, rows, nothing_known(head, pricing), |cell| {
                match head.target {
                    CostTarget::OutputTokens => f64::from(cell.output_tokens),
                    CostTarget::CostUsd if cell.cost_source == CostSource::Unknown => f64::NAN,
                    CostTarget::CostUsd => cell.cost_usd,
                    CostTarget::Unknown => f64::NAN,
                }
            })?;
        weights.cost_weight.extend(regression.weight);
        explained.push(regression.r_squared);
        if has_latency {
            let latency = |cell: &pointsman_evals::log::Outcome| f64::from(cell.latency_ms);
            let regression = costs::regress(data, model, &inputs.level, inputs.width, rows, 1e6, latency)?;
            weights.latency_weight.extend(regression.weight);
        }
        heads.push(head);
    }
    Ok((heads, explained))
}

/// Stand-in for a target that was never observed: the assumed answer length, or a cost too small to matter.
fn nothing_known(head: CostHead, pricing: &Pricing<'_>) -> f64 {
    match head.target {
        CostTarget::OutputTokens => pricing.assume_output_tokens.max(1e-3),
        CostTarget::CostUsd | CostTarget::Unknown => 1e-12,
    }
}

fn seen_words(data: &Dataset, rows: &[usize]) -> Vec<u8> {
    let mut seen = vec![0_u8; (1 << SEEN_BITS) / 8];
    for hash in rows.iter().flat_map(|&row| data.features[row].words()) {
        let bit = (hash >> (64 - SEEN_BITS)) as usize;
        seen[bit / 8] |= 1 << (bit % 8);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};

    #[test]
    fn a_unit_never_straddles_folds_and_folds_are_balanced() {
        let data = dataset(&two_kinds(100), 2, |_, _| 1.0, |_, _| 1.0);
        let fold = folds(&data, 5, 1);
        assert!(fold.chunks_exact(2).all(|unit| unit[0] == unit[1]));
        assert!((0..5).all(|part| fold.iter().filter(|fold| **fold == part).count() == 20));
        assert_ne!(fold, folds(&data, 5, 2));
    }

    #[test]
    fn contrasts_sum_to_zero_without_changing_a_prediction() {
        let level = Level {
            hidden_weight: vec![0.0; SURFACE_SIGNALS + 3],
            hidden_bias: vec![0.0],
            output_weight: vec![0.0],
            linear_weight: vec![0.0; SURFACE_SIGNALS + 3],
            intercept: vec![0.5, -0.5],
        };
        let contrasts = Contrasts {
            intercept: vec![0.1, 0.2],
            intercept_variance: vec![0.0; 2],
            weight: vec![1.0, 2.0, 3.0, 6.0],
            variance: vec![0.0; 4],
        };
        let (center, p) = ([0.25_f32, 0.75], [0.9_f32, 0.1]);
        let mut weights = Weights::default();
        assemble(&mut weights, &level, &contrasts, &center, 2, 2);
        for model in 0..2 {
            let before: f64 = f64::from(level.intercept[model])
                + contrasts.intercept[model]
                + (0..2).map(|t| contrasts.weight[model * 2 + t] * f64::from(p[t] - center[t])).sum::<f64>();
            let shared: f32 = (0..2).map(|t| weights.level_linear_weight[SURFACE_SIGNALS + t] * p[t]).sum();
            let own: f32 = (0..2).map(|t| weights.contrast_weight[model * 2 + t] * (p[t] - center[t])).sum();
            assert!((f64::from(weights.intercept[model] + shared + own) - before).abs() < 1e-5);
        }
        assert!((0..2).all(|t| (weights.contrast_weight[t] + weights.contrast_weight[2 + t]).abs() < 1e-6));
    }
}
