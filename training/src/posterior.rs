//! The posterior over tasks: what the lexical task heads say, together with the surface, made honest on prompts they have not
//! seen.
//!
//! A multinomial logistic regression on the centred log probabilities of the lexical heads and the standardised surface
//! signals, fitted on out-of-fold probabilities: in-sample ones would look surer than those of new prompts ever are.

use crate::dataset::Dataset;
use crate::error::Error;
use crate::loss::{Target, loss, rows_at_once};
use crate::minimise::minimise;

const STEPS: usize = 60;

/// A fitted head.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    /// `[t, t + s]`, row-major.
    pub(crate) weight: Vec<f32>,
    /// `[t]`.
    pub(crate) bias: Vec<f32>,
}

/// Fits on `rows`; `inputs` are `[n, t + s]`.
#[expect(clippy::cast_possible_truncation, reason = "gradients are single precision")]
pub(crate) fn fit(
    data: &Dataset,
    labels: &[Option<u32>],
    n_tasks: usize,
    inputs: &[f32],
    rows: &[usize],
    ridge: f64,
) -> Result<Posterior, Error> {
    let width = n_tasks + data.dense_signals();
    let mut parameters = vec![0.0; n_tasks * (width + 1)];
    let labelled: Vec<usize> = rows.iter().copied().filter(|&row| labels[row].is_some()).collect();
    let weights = n_tasks * width;
    if n_tasks > 1 {
        minimise(&mut parameters, STEPS, |x, gradient| {
            let mut value = 0.5 * ridge * x[..weights].iter().map(|w| f64::from(w * w)).sum::<f64>();
            for (gradient, w) in gradient.iter_mut().zip(x) {
                *gradient = ridge as f32 * w;
            }
            gradient[weights..].fill(0.0);
            for block in labelled.chunks(rows_at_once(n_tasks)) {
                let mut logits = Vec::with_capacity(block.len() * n_tasks);
                let mut target = vec![0.0; block.len() * n_tasks];
                for (target, &row) in target.chunks_exact_mut(n_tasks).zip(block) {
                    let first = logits.len();
                    logits.extend_from_slice(&x[weights..]);
                    for (input, w) in inputs[row * width..][..width].iter().zip(x[..weights].chunks_exact(n_tasks)) {
                        add(&mut logits[first..], *input, w);
                    }
                    if let Some(label) = labels[row] {
                        target[label as usize] = data.weights[row];
                    }
                }
                value += loss(&mut logits, n_tasks, Target::Classes(target))?;
                let (w_gradient, b_gradient) = gradient.split_at_mut(weights);
                for (g, &row) in logits.chunks_exact(n_tasks).zip(block) {
                    add(b_gradient, 1.0, g);
                    for (input, out) in inputs[row * width..][..width].iter().zip(w_gradient.chunks_exact_mut(n_tasks))
                    {
                        add(out, *input, g);
                    }
                }
            }
            Ok(value)
        })?;
    }
    let bias = parameters.split_off(weights);
    // Fitted by input, served by task.
    let weight = (0..n_tasks).flat_map(|task| parameters.iter().skip(task).step_by(n_tasks).copied()).collect();
    Ok(Posterior { weight, bias })
}

fn add(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}
