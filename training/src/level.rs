//! The level model: how hard a prompt is for everybody, fitted with candle jointly with every model's intercept.
//!
//! `logit q_im = α_m + L(x_i)` under the masked log loss over all observed cells, so that a prompt seen only by weak
//! models is not taken for hard. `L` is a small network with a linear path beside its hidden layer.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::dataset::Dataset;
use crate::encoder::masked_log_loss;
use crate::error::{Error, tensor};
use crate::recipe::Recipe;

const BATCH: usize = 128;

/// Step size and weight decay: guesses of the usual order for small networks on standardised inputs, not searched.
const RATE: f64 = 3e-3;
const DECAY: f64 = 3e-2;

/// A fitted level model and intercepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    /// `[h, f]`, row-major.
    pub(crate) hidden_weight: Vec<f32>,
    /// `[h]`.
    pub(crate) hidden_bias: Vec<f32>,
    /// `[h]`.
    pub(crate) output_weight: Vec<f32>,
    /// `[f]`.
    pub(crate) linear_weight: Vec<f32>,
    /// α, `[k]`.
    pub(crate) intercept: Vec<f32>,
}

impl Level {
    /// `L(x)` for one input `[f]`.
    pub(crate) fn evaluate(&self, x: &[f32]) -> f32 {
        let hidden = self.hidden_weight.chunks_exact(x.len()).zip(&self.hidden_bias).zip(&self.output_weight);
        let bent: f32 = hidden.map(|((row, bias), weight)| weight * (dot(row, x) + bias).max(0.0)).sum();
        bent + dot(&self.linear_weight, x)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fits on `rows`; `inputs` are `[n, f]`, row-major, with out-of-fold posteriors and lexical logits.
pub(crate) fn fit(
    data: &Dataset,
    inputs: &[f32],
    width: usize,
    rows: &[usize],
    recipe: &Recipe,
    seed: u64,
) -> Result<Level, Error> {
    run(data, inputs, width, rows, recipe, seed).map_err(tensor("level model"))
}

fn run(
    data: &Dataset,
    inputs: &[f32],
    width: usize,
    rows: &[usize],
    recipe: &Recipe,
    seed: u64,
) -> Result<Level, candle_core::Error> {
    let device = Device::Cpu;
    let hidden = recipe.settings().hidden;
    let mut random = fastrand::Rng::with_seed(seed);
    let scale = (2.0 / width as f32).sqrt();
    let draws: Vec<f32> = (0..hidden * width).map(|_| (random.f32() * 2.0 - 1.0) * scale).collect();
    let hidden_weight = Var::from_tensor(&Tensor::from_vec(draws, (hidden, width), &device)?)?;
    let hidden_bias = Var::zeros(hidden, DType::F32, &device)?;
    let draws: Vec<f32> = (0..hidden).map(|_| (random.f32() * 2.0 - 1.0) * 0.1).collect();
    let output_weight = Var::from_tensor(&Tensor::from_vec(draws, (hidden, 1), &device)?)?;
    let linear_weight = Var::zeros((width, 1), DType::F32, &device)?;
    let intercept = Var::zeros((1, data.k()), DType::F32, &device)?;
    // The intercepts are the one part without decay: a strong model is not to be pulled towards a coin flip.
    let shaped = vec![hidden_weight.clone(), hidden_bias.clone(), output_weight.clone(), linear_weight.clone()];
    let parameters = ParamsAdamW { lr: RATE, weight_decay: DECAY, ..ParamsAdamW::default() };
    let mut shape_optimizer = AdamW::new(shaped, parameters.clone())?;
    let mut intercept_optimizer =
        AdamW::new(vec![intercept.clone()], ParamsAdamW { lr: 10.0 * RATE, weight_decay: 0.0, ..parameters })?;

    // Few prompts give few steps an epoch: never fewer than 400 in all.
    let batches = rows.len().div_ceil(BATCH);
    let epochs = recipe.epochs(recipe.settings().level_epochs, rows.len()).max(400_usize.div_ceil(batches));
    let steps = (epochs * batches) as f64;
    let mut step = 0.0;
    let mut order = rows.to_vec();
    for _ in 0..epochs {
        random.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            let decay = 1.0 - 0.95 * step / steps;
            step += 1.0;
            shape_optimizer.set_learning_rate(RATE * decay);
            intercept_optimizer.set_learning_rate(10.0 * RATE * decay);
            let x: Vec<f32> = batch.iter().flat_map(|&row| &inputs[row * width..(row + 1) * width]).copied().collect();
            let x = Tensor::from_vec(x, (batch.len(), width), &device)?;
            let bent = x.matmul(&hidden_weight.t()?)?.broadcast_add(&hidden_bias)?.relu()?.matmul(&output_weight)?;
            let level = (bent + x.matmul(&linear_weight)?)?;
            let logits = level.broadcast_add(&intercept)?;
            let (scores, mask) = data.scores(batch);
            let gradients = masked_log_loss(&logits, scores, mask)?.backward()?;
            shape_optimizer.step(&gradients)?;
            intercept_optimizer.step(&gradients)?;
        }
    }
    Ok(Level {
        hidden_weight: hidden_weight.flatten_all()?.to_vec1()?,
        hidden_bias: hidden_bias.to_vec1()?,
        output_weight: output_weight.flatten_all()?.to_vec1()?,
        linear_weight: linear_weight.flatten_all()?.to_vec1()?,
        intercept: intercept.flatten_all()?.to_vec1()?,
    })
}
