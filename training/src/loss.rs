//! Losses and their gradients with respect to logits, by candle's differentiation.

use candle_core::{Device, Tensor, Var};

use crate::error::{Error, tensor};

/// What logits are compared with, `[rows, columns]`.
pub(crate) enum Target {
    /// Weight of every class; a row of zeros does not count. Loss: `−Σ target · log softmax`.
    Classes(Vec<f32>),
    /// Scores in `[0, 1]` and the weight of each, 0 where it was not observed. Loss: `−Σ weight · log likelihood`.
    Scores(Vec<f32>, Vec<f32>),
}

/// Elements that candle works on with one thread. Above, it has threads of its own, which would wait for each other on the cores that
/// the parts of a cross-fit already keep busy.
const ONE_THREAD: usize = 1 << 15;

/// Rows of so many columns to hand to [`loss`] at a time.
pub(crate) fn rows_at_once(columns: usize) -> usize {
    (ONE_THREAD / columns.max(1)).clamp(1, 2048)
}

/// The summed loss of `logits` `[rows, columns]`, whose gradient takes their place.
pub(crate) fn loss(logits: &mut Vec<f32>, columns: usize, target: Target) -> Result<f64, Error> {
    let rows = logits.len() / columns;
    run(logits, (rows, columns), target).map_err(tensor("lexical heads"))
}

fn run(logits: &mut Vec<f32>, shape: (usize, usize), target: Target) -> Result<f64, candle_core::Error> {
    let device = Device::Cpu;
    let variable = Var::from_tensor(&Tensor::from_vec(std::mem::take(logits), shape, &device)?)?;
    let x = variable.as_tensor();
    let loss = match target {
        Target::Classes(target) => {
            let target = Tensor::from_vec(target, shape, &device)?;
            (target * candle_nn::ops::log_softmax(x, 1)?)?.sum_all()?.neg()?
        }
        Target::Scores(scores, weights) => {
            let scores = Tensor::from_vec(scores, shape, &device)?;
            let weights = Tensor::from_vec(weights, shape, &device)?;
            // softplus(x) − x·y, in the form that cannot overflow.
            let softplus = (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
            ((softplus - (x * scores)?)? * weights)?.sum_all()?
        }
    };
    let gradients = loss.backward()?;
    *logits = match gradients.get(x) {
        Some(gradient) => gradient.flatten_all()?.to_vec1()?,
        None => vec![0.0; shape.0 * shape.1],
    };
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_probability_less_target() {
        let mut logits = vec![0.0, 0.0, 0.0, 0.0];
        let value = loss(&mut logits, 2, Target::Classes(vec![1.0, 0.0, 0.0, 0.0])).expect("no tensor error");
        assert!((value - 2_f64.ln()).abs() < 1e-6);
        assert_eq!(logits, [-0.5, 0.5, 0.0, 0.0]);

        let mut logits = vec![0.0, 100.0];
        let value = loss(&mut logits, 2, Target::Scores(vec![1.0, 0.0], vec![2.0, 1.0])).expect("no tensor error");
        assert!((value - (2.0 * 2_f64.ln() + 100.0)).abs() < 1e-4, "{value}");
        assert!((logits[0] + 1.0).abs() < 1e-6 && (logits[1] - 1.0).abs() < 1e-6, "{logits:?}");
    }
}
