//! `RouterEval`: mean score of the selection, its ratios to references, entropy of the selection, and `r_o`.
//!
//! # References
//!
//! Huang et al., *`RouterEval`*, 2025, arXiv:2503.10657; code: `test_router.py` and `router/R_o/r_o_router.py` of its
//! repository.

use crate::error::{MetricsError, check_finite};

/// μ: mean observed score of the model of greatest predicted score, the first of equals. Arrays are `[n, n_models]`.
///
/// # Errors
///
/// If the arrays differ in shape, nothing is given, or a value is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routereval::{mean_selected, ratio_to_best};
///
/// let (predicted, observed) = ([0.2, 0.8, 0.6, 0.4], [1.0, 0.5, 1.0, 0.0]);
/// assert_eq!(mean_selected(&predicted, &observed, 2)?, 0.75);
/// assert_eq!(ratio_to_best(&predicted, &observed, 2)?, Some(0.75)); // the first model alone has 1
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn mean_selected(predicted: &[f64], observed: &[f64], n_models: usize) -> Result<f64, MetricsError> {
    super::check_matrices(predicted, observed, n_models)?;
    let n = observed.len() / n_models;
    let selected: f64 = predicted
        .chunks_exact(n_models)
        .zip(observed.chunks_exact(n_models))
        .map(|(p, o)| o[super::first_greatest(p)])
        .sum();
    Ok(selected / n as f64)
}

/// `V_B`: μ / the greatest mean observed score of one model. `None` if that is not finite. The reference is the best
/// model of the *evaluated* outcomes, so a ratio of 1 is more than a choice on train can expect.
///
/// # Errors
///
/// As [`mean_selected`].
pub fn ratio_to_best(predicted: &[f64], observed: &[f64], n_models: usize) -> Result<Option<f64>, MetricsError> {
    let mu = mean_selected(predicted, observed, n_models)?;
    let n = (observed.len() / n_models) as f64;
    let best = (0..n_models)
        .map(|m| observed.iter().skip(m).step_by(n_models).sum::<f64>() / n)
        .fold(f64::NEG_INFINITY, f64::max);
    Ok(Some(mu / best).filter(|v| v.is_finite()))
}

/// `E_p`: mean entropy, in bits, of the softmax of the predicted scores of each query; at most `log2(n_models)`.
///
/// # Errors
///
/// If nothing is given, the shape is no matrix, or a value is not finite.
pub fn selection_entropy(predicted: &[f64], n_models: usize) -> Result<f64, MetricsError> {
    super::check_matrices(predicted, predicted, n_models)?;
    let n = predicted.len() / n_models;
    let entropy = |row: &[f64]| {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = row.iter().map(|p| (p - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).filter(|p| *p > 0.0).map(|p| 0.0 - p * p.log2()).sum::<f64>()
    };
    Ok(predicted.chunks_exact(n_models).map(entropy).sum::<f64>() / n as f64)
}

/// `r_o(p)`: with probability p the best model of each query, else one at random.
///
/// DIFFERENCE: the expected value; the original averages 1,000 runs.
///
/// # Errors
///
/// As [`selection_entropy`].
pub fn r_o(observed: &[f64], n_models: usize, p: f64) -> Result<f64, MetricsError> {
    super::check_matrices(observed, observed, n_models)?;
    check_finite("p", &[p])?;
    let n = (observed.len() / n_models) as f64;
    let oracle: f64 =
        observed.chunks_exact(n_models).map(|o| o.iter().copied().fold(f64::NEG_INFINITY, f64::max)).sum();
    let mean = observed.iter().sum::<f64>() / observed.len() as f64;
    Ok(p * oracle / n + (1.0 - p) * mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_greatest_where_predictions_are_equal() {
        assert!((selection_entropy(&[0.3; 3], 3).expect("valid") - 3_f64.log2()).abs() < 1e-12);
        assert!((selection_entropy(&[0.3; 5], 5).expect("valid") - 2.322).abs() < 1e-3);
        assert_eq!(selection_entropy(&[1_000.0, 0.0], 2), Ok(0.0));
    }

    #[test]
    fn r_o_goes_from_random_to_oracle() {
        let observed = [1.0, 0.0, 0.0, 0.5];
        assert_eq!(r_o(&observed, 2, 1.0), Ok(0.75));
        assert_eq!(r_o(&observed, 2, 0.0), Ok(0.375));
        assert_eq!(r_o(&observed, 2, 0.5), Ok(0.562_5));
        assert!(r_o(&observed, 3, 0.5).is_err());
    }

    #[test]
    fn nothing_observed_has_no_ratio() {
        assert_eq!(ratio_to_best(&[0.1, 0.2], &[0.0, 0.0], 2), Ok(None));
    }
}
