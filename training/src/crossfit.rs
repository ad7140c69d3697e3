//! Cross-fitting: every prompt is judged by models that never saw its outcomes.
//!
//! ```text
//! folds ─► lexical heads ─► posterior ─► task table ─► forest on what is left ─► costs     one part per fold
//!      └─► the same on all rows ──────────────────────────────────────────────────► the artifact
//! ```
//! Every stage is fitted on what the stages before say of prompts held out of them, also for the artifact: in-sample
//! posteriors and residuals would look surer than those of new prompts ever are.

use std::collections::BTreeMap;

use pointsman::Predictions;
use pointsman::artifact::{CostHead, CostTarget, Dimensions, Weights};
use pointsman::predictor::{Encoder, NOVELTY_SIGNALS};
use pointsman_evals::log::{CostSource, Price};
use rayon::prelude::*;

use crate::costs;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::forest::{self, Forest, Plot};
use crate::lexical::{self, Heads, Lexical};
use crate::novelty;
use crate::posterior;
use crate::recipe::{Recipe, RecipeSettings};
use crate::table::{self, Table};

/// Everything that is fitted on one set of rows.
pub(crate) struct Part {
    /// Rows it may be judged on: the held-out fold; empty for the artifact itself.
    pub(crate) held_out: Vec<usize>,
    /// All tensors.
    pub(crate) weights: Weights,
    /// Sizes of them.
    pub(crate) dimensions: Dimensions,
    /// Cost heads, `[k]`.
    pub(crate) costs: Vec<CostHead>,
    /// Share of the log-variance of cost explained in sample, `[k]`; NaN where it does not vary.
    pub(crate) cost_r_squared: Vec<f64>,
}

/// The outcome of cross-fitting.
pub(crate) struct CrossFit {
    /// One part per fold, then the one fitted on all rows.
    pub(crate) parts: Vec<Part>,
    /// Out-of-fold task posteriors, `[n, t]`.
    pub(crate) posteriors: Vec<f32>,
    /// Whether novelty was learned.
    pub(crate) knows_novelty: bool,
}

/// What costs are reckoned with.
pub(crate) struct Pricing<'a> {
    /// List prices by model.
    pub(crate) prices: &'a BTreeMap<String, Price>,
    /// Answer length where nothing is known of it.
    pub(crate) assume_output_tokens: f64,
}

/// Labels that the posterior tells apart.
pub(crate) struct Labels {
    /// `[n]`, below `n_tasks`.
    pub(crate) of_row: Vec<Option<u32>>,
    /// At least 1.
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
    let settings = recipe.settings();
    let (n, k, t, s) = (data.n(), data.k(), labels.n_tasks, data.dense_signals());
    let count = recipe.folds(n);
    let fold = folds(data, count, settings.seed);
    let all: Vec<usize> = (0..n).collect();
    // Part `count` is no fold: nothing is held out of it.
    let train_rows = |part: usize| -> Vec<usize> { all.iter().copied().filter(|&row| fold[row] != part).collect() };
    let held_out = |part: usize| -> Vec<usize> { all.iter().copied().filter(|&row| fold[row] == part).collect() };

    let mut lexicals: Vec<Lexical> = (0..=count)
        .into_par_iter()
        .map(|part| {
            let seed = settings.seed.wrapping_add(part as u64 * 7919);
            let lexical = lexical::fit(data, &labels.of_row, t, &train_rows(part), Heads::All, recipe, seed);
            progress();
            lexical
        })
        .collect::<Result<_, _>>()?;

    let seen_by = |row: usize, out: &mut Predictions| {
        let lexical = &lexicals[fold[row]];
        lexical.encode(&data.features[row], out);
        Encoder::new(&lexical.weights, t).posterior_input(out).to_vec()
    };
    let inputs = by_row(data, t + s, |row, out, target| target.copy_from_slice(&seen_by(row, out)));
    let familiar = by_row(data, NOVELTY_SIGNALS, |row, out, target| {
        seen_by(row, out);
        target.copy_from_slice(out.novelty_signals());
    });
    let novelty = novelty::fit(data, &labels.of_row, t, &familiar, recipe)?.unwrap_or_default();
    let posteriors = (0..=count)
        .into_par_iter()
        .map(|part| posterior::fit(data, &labels.of_row, t, &inputs, &train_rows(part), settings.posterior_ridge))
        .collect::<Result<Vec<_>, _>>()?;
    for (lexical, posterior) in lexicals.iter_mut().zip(posteriors) {
        (lexical.weights.posterior_weight, lexical.weights.posterior_bias) = (posterior.weight, posterior.bias);
        lexical.weights.novelty_weight.clone_from(&novelty);
    }
    progress();

    let width = s + t + 1 + k;
    let signals = by_row(data, width, |row, out, target| {
        let lexical = &lexicals[fold[row]];
        lexical.encode(&data.features[row], out);
        Encoder::new(&lexical.weights, t).posterior(out);
        target.copy_from_slice(out.signals());
    });
    let tables = (0..=count)
        .into_par_iter()
        .map(|part| table::fit(data, &labels.of_row, t, &train_rows(part)))
        .collect::<Result<Vec<Table>, _>>()?;
    let residuals = residuals(data, &signals, width, t, &tables, &fold);
    progress();

    // With tasks, which model answers what is in the table and the forest sees how hard the words are for all; without, it sees every
    // model's own logit.
    let tried = if t > 1 { s + t + 1 } else { width };
    let plot = Plot { signals: &signals, width, tried, residuals: &residuals, k, weights: &data.weights };
    // Surface and posterior, and a place for the constant.
    let cost_width = s + t + 1;
    let cost_inputs: Vec<f32> = signals.chunks_exact(width).flat_map(|row| row[..cost_width].iter().copied()).collect();
    let parts: Vec<Part> = lexicals
        .into_par_iter()
        .enumerate()
        .map(|(part, lexical)| {
            let rows = train_rows(part);
            let seed = settings.seed ^ 0x666f_7265_7374 ^ part as u64;
            let forest = forest::grow(&plot, &rows, &forest_settings(settings, t), recipe.trees(), seed);
            let mut weights = lexical.weights;
            assemble(&mut weights, &tables[part], &forest, k);
            weights.base.clone_from(&data.base);
            weights.residual_variance = centred_variance(&residuals, k, &rows);
            let (costs, cost_r_squared) = fit_costs(data, &cost_inputs, cost_width, pricing, &rows, &mut weights)?;
            let dimensions = Dimensions {
                vocabulary_bits: weights.vocabulary.len().trailing_zeros(),
                outcomes: k,
                trees: forest.trees(),
                nodes: forest.nodes(),
                leaves: forest.leaves(),
            };
            progress();
            Ok(Part { held_out: held_out(part), weights, dimensions, costs, cost_r_squared })
        })
        .collect::<Result<_, Error>>()?;
    let posteriors = signals.chunks_exact(width).flat_map(|row| row[s..][..t].iter().copied()).collect();
    Ok(CrossFit { parts, posteriors, knows_novelty: !novelty.is_empty() })
}

/// Without a task table the forest carries all, and needs finer leaves for it.
fn forest_settings(settings: &RecipeSettings, t: usize) -> RecipeSettings {
    if t > 1 {
        return settings.clone();
    }
    RecipeSettings { depth: settings.depth * 3 / 2, leaf: settings.leaf.div_ceil(2), ..settings.clone() }
}

/// A matrix `[n, width]`, each row written by `fill`.
fn by_row(data: &Dataset, width: usize, fill: impl Fn(usize, &mut Predictions, &mut [f32]) + Sync) -> Vec<f32> {
    let mut matrix = vec![0.0; data.n() * width];
    matrix
        .par_chunks_exact_mut(width)
        .enumerate()
        .for_each_init(Predictions::default, |out, (row, target)| fill(row, out, target));
    matrix
}

/// What the tables that never saw a prompt leave over of its scores, `[n, k]`; NaN where not observed.
#[expect(clippy::cast_possible_truncation, reason = "residuals are single precision")]
fn residuals(data: &Dataset, signals: &[f32], width: usize, t: usize, tables: &[Table], fold: &[usize]) -> Vec<f32> {
    let k = data.k();
    let mut residuals = vec![f32::NAN; data.n() * k];
    let mut quality = vec![0.0; k];
    for (row, out) in residuals.chunks_exact_mut(k).enumerate() {
        let posterior = &signals[row * width + data.dense_signals()..][..t];
        tables[fold[row]].quality(posterior, &mut quality);
        for cell in &data.cells[row] {
            out[cell.model as usize] = (f64::from(cell.score) - quality[cell.model as usize]) as f32;
        }
    }
    residuals
}

/// Variance of the residuals `[n, k]` on `rows`, centred within the prompt: what sets a model apart, `[k]`.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn centred_variance(residuals: &[f32], k: usize, rows: &[usize]) -> Vec<f32> {
    let mut sums = vec![(0.0, 0.0); k];
    for &row in rows {
        let observed = || residuals[row * k..(row + 1) * k].iter().enumerate().filter(|(_, r)| !r.is_nan());
        let (sum, count) = observed().fold((0.0, 0.0), |(sum, count), (_, r)| (sum + f64::from(*r), count + 1.0));
        for (model, r) in observed() {
            sums[model].0 += (f64::from(*r) - sum / count).powi(2);
            sums[model].1 += 1.0;
        }
    }
    sums.iter().map(|(sum, count)| if *count > 0.0 { (sum / count) as f32 } else { 0.25 }).collect()
}

/// Puts table and forest into the tensors.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn assemble(weights: &mut Weights, table: &Table, forest: &Forest, k: usize) {
    let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
    weights.mean = single(&table.mean);
    weights.contrast = single(&table.contrast);
    weights.contrast_variance = single(&table.variance);
    forest.store(k, weights);
}

fn fit_costs(
    data: &Dataset,
    inputs: &[f32],
    width: usize,
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
            costs::regress(data, model, inputs, width, rows, nothing_known(head, pricing), |cell| match head.target {
                CostTarget::OutputTokens => f64::from(cell.output_tokens),
                CostTarget::CostUsd if cell.cost_source == CostSource::Unknown => f64::NAN,
                CostTarget::CostUsd => cell.cost_usd,
                CostTarget::Unknown => f64::NAN,
            })?;
        weights.cost_weight.extend(regression.weight);
        explained.push(regression.r_squared);
        if has_latency {
            let latency = |cell: &pointsman_evals::log::Outcome| f64::from(cell.latency_ms);
            let regression = costs::regress(data, model, inputs, width, rows, 1e6, latency)?;
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
}
