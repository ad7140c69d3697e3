//! The lexical encoder: an embedding classifier over hashed words, fitted with candle.
//!
//! It learns two things at once from one embedding: which task a prompt belongs to (cross-entropy over the log's
//! labels) and which models answer it well (masked log loss over observed outcomes). The dense part (heads, losses,
//! gradients) is candle's; the lexical table is gathered and updated by row here, since a batch touches a few
//! thousand of its 65,536 rows and a dense gradient would spend the time on zeros. That division of labour is the
//! usual one for sparse embeddings; rows are updated by row-wise Adagrad.
//!
//! # References
//! - Joulin et al. (2017), *Bag of Tricks for Efficient Text Classification*: the mean of hashed word and word-pair
//!   rows under a linear head. We train two heads on it and append surface signals.
//! - Naumov et al. (2019), *Deep Learning Recommendation Model*: row-wise Adagrad for sparse tables.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use pointsman::artifact::Weights;
use pointsman::features::{MAIN_TURN_WEIGHT, SURFACE_SIGNALS};
use pointsman::predictor::{Encoder, standardise};
use pointsman::{Features, Predictions};

use crate::dataset::Dataset;
use crate::error::{Error, tensor};
use crate::recipe::Recipe;

const BATCH: usize = 64;

/// Sets the draws of the heads apart from those of the table.
const HEAD_SEED: u64 = 0x6865_6164;

/// Step size of the heads; Adam's usual order of magnitude for small linear heads (a guess).
const HEAD_RATE: f64 = 5e-3;

/// Decoupled weight decay of the heads, which keeps few labels from driving them to certainty.
const HEAD_DECAY: f64 = 1e-2;

/// A fitted encoder: the lexical, surface, task and outcome tensors, quantised as they will be served.
#[derive(Clone, Debug)]
pub(crate) struct FittedEncoder {
    pub(crate) weights: Weights,
    bucket_bits: u32,
    embedding: usize,
}

impl FittedEncoder {
    /// Encodes one prompt with the online code.
    pub(crate) fn encode(&self, features: &Features, out: &mut Predictions) {
        Encoder::new(&self.weights, self.bucket_bits, self.embedding).encode(features, out);
    }
}

/// Fits on the prompts `rows` of `data`; `labels` are below `n_tasks`.
pub(crate) fn fit(
    data: &Dataset,
    labels: &[Option<u32>],
    n_tasks: usize,
    rows: &[usize],
    recipe: &Recipe,
    seed: u64,
    progress: &dyn Fn(),
) -> Result<FittedEncoder, Error> {
    let settings = recipe.settings();
    let mut weights = Weights::default();
    (weights.surface_mean, weights.surface_scale) = surface_moments(data, rows);
    let table = Table::new(data, rows, settings.bucket_bits, settings.embedding, seed);
    let fit = Fit { data, labels, n_tasks, recipe, seed };
    fit.run(table, rows, &mut weights, progress).map_err(tensor("lexical encoder"))?;
    Ok(FittedEncoder { weights, bucket_bits: settings.bucket_bits, embedding: settings.embedding })
}

/// Mean and one over standard deviation of every surface signal.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn surface_moments(data: &Dataset, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let n = rows.len().max(1) as f64;
    let mut mean = vec![0.0; SURFACE_SIGNALS];
    let mut scale = vec![0.0; SURFACE_SIGNALS];
    for signal in 0..SURFACE_SIGNALS {
        let values = || rows.iter().map(|&row| f64::from(data.features[row].surface()[signal]));
        let average = values().sum::<f64>() / n;
        let variance = values().map(|x| (x - average).powi(2)).sum::<f64>() / n;
        mean[signal] = average as f32;
        scale[signal] = if variance > 1e-10 { (1.0 / variance.sqrt()) as f32 } else { 0.0 };
    }
    (mean, scale)
}

/// The lexical table while it learns, in single precision.
struct Table {
    rows: Vec<f32>,
    accumulated: Vec<f32>,
    bucket_bits: u32,
    width: usize,
}

impl Table {
    /// Small random rows for every bucket that training prompts reach; the others stay zero, now and when served.
    fn new(data: &Dataset, rows: &[usize], bucket_bits: u32, width: usize, seed: u64) -> Self {
        let mut table = Self {
            rows: vec![0.0; width << bucket_bits],
            accumulated: vec![0.0; 1 << bucket_bits],
            bucket_bits,
            width,
        };
        let mut reached = vec![false; 1 << bucket_bits];
        for &row in rows {
            let features = &data.features[row];
            for hash in features.main().iter().chain(features.background()) {
                reached[table.bucket(*hash)] = true;
            }
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let scale = 1.0 / width as f32;
        for (bucket, row) in table.rows.chunks_exact_mut(width).enumerate() {
            for value in row {
                let draw = (random.f32() * 2.0 - 1.0) * scale;
                *value = if reached[bucket] { draw } else { 0.0 };
            }
        }
        table
    }

    #[expect(clippy::cast_possible_truncation, reason = "a bucket number has at most 20 bits")]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> (64 - self.bucket_bits)) as usize
    }

    /// Mean row of a prompt's words, some of them hidden; records (bucket, coefficient) of what was used.
    fn gather(
        &self,
        features: &Features,
        dropout: f32,
        random: &mut fastrand::Rng,
        used: &mut Vec<(usize, f32)>,
        out: &mut [f32],
    ) {
        used.clear();
        let mut total = 0.0;
        for (hashes, weight) in [(features.main(), MAIN_TURN_WEIGHT as f32), (features.background(), 1.0)] {
            for hash in hashes {
                if dropout == 0.0 || random.f32() >= dropout {
                    used.push((self.bucket(*hash), weight));
                    total += weight;
                }
            }
        }
        out.fill(0.0);
        for (bucket, coefficient) in used.iter_mut() {
            *coefficient /= total;
            let row = &self.rows[*bucket * self.width..(*bucket + 1) * self.width];
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += *coefficient * value;
            }
        }
    }

    /// One step of row-wise Adagrad for the rows of one prompt, given the gradient of its mean row.
    fn update(&mut self, used: &[(usize, f32)], gradient: &[f32], rate: f32) {
        let square = gradient.iter().map(|g| g * g).sum::<f32>() / self.width as f32;
        for &(bucket, coefficient) in used {
            let accumulated = &mut self.accumulated[bucket];
            *accumulated += coefficient * coefficient * square;
            let step = rate * coefficient / (accumulated.sqrt() + 1e-8);
            let row = &mut self.rows[bucket * self.width..(bucket + 1) * self.width];
            for (value, g) in row.iter_mut().zip(gradient) {
                *value -= step * g;
            }
        }
    }

    /// Rounds to int8 with one step for the whole table.
    #[expect(clippy::cast_possible_truncation, reason = "values are clamped to the int8 range")]
    fn quantise(&self, weights: &mut Weights) {
        let largest = self.rows.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        weights.table = self.rows.iter().map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8).collect();
        weights.table_scale = vec![scale];
    }
}

struct Fit<'a> {
    data: &'a Dataset,
    labels: &'a [Option<u32>],
    n_tasks: usize,
    recipe: &'a Recipe,
    seed: u64,
}

impl Fit<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "step sizes are single precision in the table")]
    fn run(
        &self,
        mut table: Table,
        rows: &[usize],
        weights: &mut Weights,
        progress: &dyn Fn(),
    ) -> Result<(), candle_core::Error> {
        let settings = self.recipe.settings();
        let device = Device::Cpu;
        let width = settings.embedding + SURFACE_SIGNALS;
        let task_weight = Var::zeros((self.n_tasks, width), DType::F32, &device)?;
        let task_bias = Var::zeros(self.n_tasks, DType::F32, &device)?;
        let outcome_weight = Var::zeros((self.data.k(), width), DType::F32, &device)?;
        let outcome_bias = Var::from_tensor(&Tensor::new(self.mean_logits(rows), &device)?)?;
        // Heads start at small random values: at zero, no gradient would reach the table.
        let mut random = fastrand::Rng::with_seed(self.seed ^ HEAD_SEED);
        for head in [&task_weight, &outcome_weight] {
            let (outputs, _) = head.dims2()?;
            let draws: Vec<f32> = (0..outputs * width)
                .map(|i| if i % width < settings.embedding { random.f32() * 2.0 - 1.0 } else { 0.0 })
                .collect();
            head.set(&Tensor::from_vec(draws, (outputs, width), &device)?)?;
        }
        let heads = vec![task_weight.clone(), task_bias.clone(), outcome_weight.clone(), outcome_bias.clone()];
        let mut optimizer =
            AdamW::new(heads, ParamsAdamW { lr: HEAD_RATE, weight_decay: HEAD_DECAY, ..ParamsAdamW::default() })?;

        let epochs = self.recipe.epochs(settings.encoder_epochs, rows.len());
        let steps = (epochs * rows.len().div_ceil(BATCH)) as f64;
        let mut step = 0.0;
        let mut order = rows.to_vec();
        let mut used = vec![Vec::new(); BATCH];
        for _ in 0..epochs {
            random.shuffle(&mut order);
            for batch in order.chunks(BATCH) {
                // Both rates fall linearly to a tenth, so that the last epochs settle.
                let decay = 1.0 - 0.9 * step / steps;
                step += 1.0;
                optimizer.set_learning_rate(HEAD_RATE * decay);
                let embedded = self.embed(&table, batch, &mut random, &mut used);
                let embedded =
                    Var::from_tensor(&Tensor::from_vec(embedded, (batch.len(), settings.embedding), &device)?)?;
                let surface = Tensor::from_vec(self.surface(batch, weights), (batch.len(), SURFACE_SIGNALS), &device)?;
                let input = Tensor::cat(&[embedded.as_tensor(), &surface], 1)?;
                let task_logits = input.matmul(&task_weight.t()?)?.broadcast_add(&task_bias)?;
                let outcome_logits = input.matmul(&outcome_weight.t()?)?.broadcast_add(&outcome_bias)?;
                let loss = (self.task_loss(&task_logits, batch)?
                    + (self.outcome_loss(&outcome_logits, batch)? * settings.outcome_weight)?)?;
                let gradients = loss.backward()?;
                optimizer.step(&gradients)?;
                if let Some(gradient) = gradients.get(&embedded) {
                    let gradient = gradient.to_vec2::<f32>()?;
                    let rate = (settings.table_rate * decay) as f32;
                    for (used, gradient) in used.iter().zip(&gradient) {
                        table.update(used, gradient, rate);
                    }
                }
            }
            progress();
        }
        table.quantise(weights);
        weights.task_weight = task_weight.flatten_all()?.to_vec1()?;
        weights.task_bias = task_bias.to_vec1()?;
        weights.outcome_weight = outcome_weight.flatten_all()?.to_vec1()?;
        weights.outcome_bias = outcome_bias.to_vec1()?;
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share is single precision in the table")]
    fn embed(
        &self,
        table: &Table,
        batch: &[usize],
        random: &mut fastrand::Rng,
        used: &mut [Vec<(usize, f32)>],
    ) -> Vec<f32> {
        let dropout = self.recipe.settings().word_dropout as f32;
        let mut embedded = vec![0.0; batch.len() * table.width];
        for ((row, out), used) in batch.iter().zip(embedded.chunks_exact_mut(table.width)).zip(used) {
            table.gather(&self.data.features[*row], dropout, random, used, out);
        }
        embedded
    }

    fn surface(&self, batch: &[usize], weights: &Weights) -> Vec<f32> {
        batch.iter().flat_map(|&row| standardise(self.data.features[row].surface(), weights)).collect()
    }

    /// Mean cross-entropy over the labelled prompts of a batch.
    fn task_loss(&self, logits: &Tensor, batch: &[usize]) -> Result<Tensor, candle_core::Error> {
        let mut target = vec![0.0_f32; batch.len() * self.n_tasks];
        let mut labelled = 0.0;
        for (position, &row) in batch.iter().enumerate() {
            if let Some(label) = self.labels[row] {
                target[position * self.n_tasks + label as usize] = self.data.weights[row];
                labelled += f64::from(self.data.weights[row]);
            }
        }
        let target = Tensor::from_vec(target, logits.shape(), logits.device())?;
        let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
        (target * log_probabilities)?.sum_all()? * (-1.0 / f64::max(labelled, 1.0))
    }

    /// Mean log loss over the observed cells of a batch.
    fn outcome_loss(&self, logits: &Tensor, batch: &[usize]) -> Result<Tensor, candle_core::Error> {
        let (scores, mask) = self.data.scores(batch);
        masked_log_loss(logits, scores, mask)
    }

    /// Every model's mean score as a logit: where the outcome head starts.
    #[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
    fn mean_logits(&self, rows: &[usize]) -> Vec<f32> {
        let mut sums = vec![(0.0, 0.0); self.data.k()];
        for cell in rows.iter().flat_map(|&row| &self.data.cells[row]) {
            let (score, count) = &mut sums[cell.model as usize];
            *score += f64::from(cell.score);
            *count += 1.0;
        }
        sums.iter().map(|(score, count)| pointsman::math::logit((score + 0.5) / (count + 1.0)) as f32).collect()
    }
}

/// `Σ mask · (softplus(x) − x · y) / Σ mask`: log loss for scores in `[0, 1]`, in the form that cannot overflow.
pub(crate) fn masked_log_loss(logits: &Tensor, scores: Vec<f32>, mask: Vec<f32>) -> Result<Tensor, candle_core::Error> {
    let total: f64 = mask.iter().map(|x| f64::from(*x)).sum();
    let scores = Tensor::from_vec(scores, logits.shape(), logits.device())?;
    let mask = Tensor::from_vec(mask, logits.shape(), logits.device())?;
    let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    let loss = (softplus - (logits * scores)?)?;
    (loss * mask)?.sum_all()? * (1.0 / total.max(1e-12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};
    use crate::recipe::RecipeSettings;

    #[test]
    fn the_encoder_tells_tasks_and_models_apart() {
        let settings = RecipeSettings { bucket_bits: 10, embedding: 8, ..RecipeSettings::default() };
        let recipe = settings.validate().expect("a valid recipe");
        let data = dataset(&two_kinds(300), 2, |row, model| f32::from(u8::from(row % 2 == model)), |_, _| 1.0);
        let rows: Vec<usize> = (0..200).collect();
        let fitted = fit(&data, &data.labels, 2, &rows, &recipe, 1, &|| ()).expect("a fit");
        let mut out = Predictions::default();
        for row in 200..300 {
            fitted.encode(&data.features[row], &mut out);
            let kind = row % 2;
            assert!(out.tasks[kind] > 0.9, "row {row}: {:?}", out.tasks);
            assert!(out.lexical[kind] > out.lexical[1 - kind], "row {row}: {:?}", out.lexical);
        }
    }
}
