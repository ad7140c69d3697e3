//! Contrasts: which model is better *here*, in the few dimensions of the task posterior.
//!
//! With the level fixed, every model has its own ridge-penalised logistic regression of what the level leaves over
//! on the centred task posterior: `logit q_im = o_im + a_m + B_m · (p_i − p̄)`, with prior `B_mt ~ N(0, 1/κ)`. A task with
//! few rows stays near zero: evidence decides. The curvature at the optimum gives the posterior variance (Laplace).

use ndarray::{Array1, Array2};

use pointsman::math::sigmoid;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::linear::{inverse_diagonal, solve, weighted_gram};

/// Prior precisions tried, from hardly any shrinkage to none left of the contrast.
pub(crate) const PRECISIONS: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 15.0, 50.0, 200.0];

/// Prior precision of a model's own intercept: weak, since every model has many rows.
const INTERCEPT_PRECISION: f64 = 0.1;

const NEWTON_STEPS: usize = 8;

/// Fitted contrasts, before they are made to sum to zero.
#[derive(Clone, Debug)]
pub(crate) struct Contrasts {
    /// `a`, `[k]`.
    pub(crate) intercept: Vec<f64>,
    /// Its posterior variance, `[k]`.
    pub(crate) intercept_variance: Vec<f64>,
    /// `B`, `[k, t]`, row-major.
    pub(crate) weight: Vec<f64>,
    /// Its posterior variance, `[k, t]`.
    pub(crate) variance: Vec<f64>,
}

/// Fits on `rows`: `posteriors` `[n, t]` and `center` `[t]`, `offsets` the level + intercept logits `[n, k]`.
pub(crate) fn fit(
    data: &Dataset,
    posteriors: &[f32],
    center: &[f32],
    offsets: &[f32],
    rows: &[usize],
    precision: f64,
) -> Result<Contrasts, Error> {
    let (k, t) = (data.k(), center.len());
    let mut by_model: Vec<Vec<(usize, f32)>> = vec![Vec::new(); k];
    for &row in rows {
        for cell in &data.cells[row] {
            by_model[cell.model as usize].push((row, cell.score));
        }
    }
    let mut contrasts = Contrasts {
        intercept: Vec::with_capacity(k),
        intercept_variance: Vec::with_capacity(k),
        weight: Vec::with_capacity(k * t),
        variance: Vec::with_capacity(k * t),
    };
    for (model, cells) in by_model.iter().enumerate() {
        let mut x = Array2::<f64>::ones((cells.len(), t + 1));
        for (mut out, (row, _)) in x.rows_mut().into_iter().zip(cells) {
            for (task, center) in center.iter().enumerate() {
                out[task] = f64::from(posteriors[row * t + task] - center);
            }
        }
        let offset: Vec<f64> = cells.iter().map(|(row, _)| f64::from(offsets[row * k + model])).collect();
        let score: Vec<f64> = cells.iter().map(|(_, score)| f64::from(*score)).collect();
        let weight: Vec<f64> = cells.iter().map(|(row, _)| f64::from(data.weights[*row])).collect();
        let (beta, variance) = newton(&x, &offset, &score, &weight, precision)?;
        contrasts.intercept.push(beta[t]);
        contrasts.intercept_variance.push(variance[t]);
        contrasts.weight.extend(beta.iter().take(t));
        contrasts.variance.extend(variance.iter().take(t));
    }
    Ok(contrasts)
}

/// Newton's method for a ridge logistic regression with offsets; the last column of `x` is the intercept.
fn newton(
    x: &Array2<f64>,
    offset: &[f64],
    score: &[f64],
    weight: &[f64],
    precision: f64,
) -> Result<(Array1<f64>, Vec<f64>), Error> {
    const STAGE: &str = "contrasts";
    let width = x.ncols();
    let mut ridge = vec![precision; width];
    ridge[width - 1] = INTERCEPT_PRECISION;
    let mut beta = Array1::<f64>::zeros(width);
    let mut curvature = vec![0.0; score.len()];
    for _ in 0..NEWTON_STEPS {
        let logits = x.dot(&beta);
        let mut residual = Array1::<f64>::zeros(score.len());
        for i in 0..score.len() {
            let q = sigmoid(offset[i] + logits[i]);
            residual[i] = weight[i] * (score[i] - q);
            curvature[i] = weight[i] * (q * (1.0 - q)).max(1e-6);
        }
        let gradient = x.t().dot(&residual) - &beta * &Array1::from(ridge.clone());
        let step = solve(weighted_gram(x, &curvature), &ridge, gradient, STAGE)?;
        beta += &step;
        if step.iter().all(|change| change.abs() < 1e-6) {
            break;
        }
    }
    let variance = inverse_diagonal(weighted_gram(x, &curvature), &ridge, STAGE)?;
    Ok((beta, variance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};

    /// Model 0 is right on task 0 and wrong on task 1, model 1 the other way round; one row in ten is the reverse.
    fn fitted(n: usize, precision: f64) -> Contrasts {
        let right = |row: usize, model: usize| (row % 2 == model) != (row % 10 == 9);
        let data = dataset(&two_kinds(n), 2, |row, model| f32::from(u8::from(right(row, model))), |_, _| 1.0);
        let posteriors: Vec<f32> = (0..n).flat_map(|row| if row % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let rows: Vec<usize> = (0..n).collect();
        fit(&data, &posteriors, &[0.5, 0.5], &vec![0.0; n * 2], &rows, precision).expect("a regular system")
    }

    #[test]
    fn each_model_is_better_where_it_was_right() {
        let contrasts = fitted(400, 1.0);
        let (first, second) = contrasts.weight.split_at(2);
        assert!(first[0] > 1.0 && first[1] < -1.0, "{first:?}");
        assert!(second[0] < -1.0 && second[1] > 1.0, "{second:?}");
    }

    #[test]
    fn little_evidence_stays_near_zero_and_is_unsure() {
        let (few, many) = (fitted(20, 5.0), fitted(2_000, 5.0));
        assert!(few.weight[0].abs() < many.weight[0].abs());
        assert!(few.variance[0] > many.variance[0]);
    }
}
