//! Cost and latency: ridge regressions on the log scale, corrected for the bias that the logarithm brings.

use ndarray::{Array1, Array2};

use pointsman::artifact::{CostHead, CostTarget};
use pointsman_evals::log::{CostSource, Outcome, Price};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::linear::{BLOCK, add_gram, solve};

/// Ridge on standardised inputs, in rows: as if this many prompts had said "no effect".
const RIDGE: f64 = 10.0;

/// Characters per token where the log reports no token counts (the rule of the evaluation log).
const TOKENS_PER_CHAR: f64 = 0.25;

/// One regression of `ln value` on the inputs `[f]`; the last input is the constant 1.
pub(crate) struct Regression {
    /// `[f]`.
    pub(crate) weight: Vec<f32>,
    /// Fraction of the variance of `ln value` explained on the rows fitted; NaN where it does not vary.
    pub(crate) r_squared: f64,
}

/// What is predicted for a model's cost, and how input tokens follow from characters.
pub(crate) fn head(data: &Dataset, model: usize, rows: &[usize], price: Option<&Price>) -> CostHead {
    let cells = || cells_of(data, model, rows);
    let with_usd = cells().filter(|(_, cell)| cell.cost_source == CostSource::Observed).count();
    let with_tokens = cells().filter(|(_, cell)| !cell.output_tokens.is_nan()).count();
    let unknown = cells().all(|(_, cell)| cell.cost_source == CostSource::Unknown);
    let target = if price.is_none() && unknown {
        CostTarget::Unknown
    } else if price.is_some() && (with_tokens > 0 || with_usd == 0) {
        CostTarget::OutputTokens
    } else {
        CostTarget::CostUsd
    };
    let reported: Vec<(f64, f64)> = cells()
        .filter(|(_, cell)| !cell.input_tokens.is_nan())
        .map(|(row, cell)| (data.features[row].chars() as f64, f64::from(cell.input_tokens)))
        .collect();
    let (base_tokens, tokens_per_char) = line(&reported).unwrap_or((0.0, TOKENS_PER_CHAR));
    CostHead { target, base_tokens, tokens_per_char }
}

/// Least-squares line with a slope of at least 0; `None` below ten points.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    if points.len() < 10 {
        return None;
    }
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let xy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let slope = if xx > 0.0 { (xy / xx).max(0.0) } else { 0.0 };
    Some((mean_y - slope * mean_x, slope))
}

/// Fits `ln` of `value` on `rows` for one model; inputs `[n, width]`. `assumed` stands in where nothing was observed.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
pub(crate) fn regress(
    data: &Dataset,
    model: usize,
    inputs: &[f32],
    width: usize,
    rows: &[usize],
    assumed: f64,
    value: impl Fn(&Outcome) -> f64,
) -> Result<Regression, Error> {
    let observed: Vec<(usize, f64)> = cells_of(data, model, rows)
        .map(|(row, cell)| (row, value(cell)))
        .filter(|(_, value)| value.is_finite() && *value > 0.0)
        .map(|(row, value)| (row, value.ln()))
        .collect();
    let mut weight = vec![0.0; width];
    let n = observed.len() as f64;
    let mean = if observed.is_empty() { assumed.ln() } else { observed.iter().map(|(_, y)| y).sum::<f64>() / n };
    let spread: f64 = observed.iter().map(|(_, y)| (y - mean).powi(2)).sum();
    if spread < 1e-9 * n.max(1.0) {
        weight[width - 1] = mean as f32;
        return Ok(Regression { weight, r_squared: f64::NAN });
    }
    let mut gram = Array2::zeros((width, width));
    let mut moment = Array1::zeros(width);
    for block in observed.chunks(BLOCK) {
        let (x, y) = design(block, inputs, width, mean);
        add_gram(&mut gram, x.view(), x.view());
        moment += &x.t().dot(&y);
    }
    let mut ridge = vec![RIDGE; width];
    ridge[width - 1] = 1e-6;
    let beta = solve(gram, &ridge, moment, "cost")?;
    // Smearing (Duan 1983): the mean of e^residual makes the prediction unbiased in the original unit. Residuals
    // beyond e^±4 are held there: one runaway answer must not price every other.
    let (mut smear, mut unexplained) = (0.0, 0.0);
    for block in observed.chunks(BLOCK) {
        let (x, y) = design(block, inputs, width, mean);
        for residual in y - x.dot(&beta) {
            smear += residual.clamp(-4.0, 4.0).exp() / n;
            unexplained += residual * residual;
        }
    }
    for (out, beta) in weight.iter_mut().zip(&beta) {
        *out = *beta as f32;
    }
    weight[width - 1] = (beta[width - 1] + mean + smear.ln()) as f32;
    Ok(Regression { weight, r_squared: 1.0 - unexplained / spread })
}

/// Inputs `[rows, width]` with the constant last, and what `ln value` differs from its mean, `[rows]`.
fn design(observed: &[(usize, f64)], inputs: &[f32], width: usize, mean: f64) -> (Array2<f64>, Array1<f64>) {
    let mut x = Array2::zeros((observed.len(), width));
    for (mut out, (row, _)) in x.rows_mut().into_iter().zip(observed) {
        for (out, input) in out.iter_mut().zip(&inputs[row * width..(row + 1) * width]) {
            *out = f64::from(*input);
        }
        out[width - 1] = 1.0;
    }
    (x, observed.iter().map(|(_, y)| y - mean).collect())
}

fn cells_of<'a>(data: &'a Dataset, model: usize, rows: &'a [usize]) -> impl Iterator<Item = (usize, &'a Outcome)> {
    rows.iter().flat_map(move |&row| {
        data.cells[row].iter().filter(move |cell| cell.model as usize == model).map(move |cell| (row, cell))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};

    fn fitted(cost: impl Fn(usize, usize) -> f64, inputs: &[f32]) -> Regression {
        let n = inputs.len() / 2;
        let data = dataset(&two_kinds(n), 1, |_, _| 1.0, cost);
        let rows: Vec<usize> = (0..n).collect();
        regress(&data, 0, inputs, 2, &rows, 1.0, |cell| cell.cost_usd).expect("a regular system")
    }

    #[test]
    fn predictions_are_unbiased_in_the_original_unit() {
        // Noise that no input explains: the mean must come out, not the median.
        let inputs: Vec<f32> = (0..2_000).flat_map(|row| [if row % 2 == 0 { 1.0 } else { -1.0 }, 1.0]).collect();
        let cost = |row: usize, _: usize| {
            let kind = if row.is_multiple_of(2) { 0.02 } else { 0.001 };
            kind * if (row / 2).is_multiple_of(2) { 4.0 } else { 0.25 }
        };
        let regression = fitted(cost, &inputs);
        let predicted = (f64::from(regression.weight[0]) + f64::from(regression.weight[1])).exp();
        assert!((predicted / (0.02 * 2.125) - 1.0).abs() < 0.05, "{predicted}");
        assert!(regression.r_squared > 0.2 && regression.r_squared < 1.0);
    }

    #[test]
    fn a_constant_cost_is_predicted_exactly() {
        let inputs = [0.3, 1.0].repeat(50);
        let regression = fitted(|_, _| 0.004, &inputs);
        assert!((f64::from(regression.weight[1]).exp() - 0.004).abs() < 1e-8);
        assert!(regression.weight[0].abs() < 1e-12 && regression.r_squared.is_nan());
    }

    #[test]
    fn input_tokens_follow_characters() {
        let points: Vec<(f64, f64)> = (0..40).map(|i| (f64::from(i) * 10.0, 7.0 + f64::from(i) * 3.0)).collect();
        let (base, slope) = line(&points).expect("enough points");
        assert!((base - 7.0).abs() < 1e-9 && (slope - 0.3).abs() < 1e-9);
        assert_eq!(line(&points[..5]), None);
    }
}
