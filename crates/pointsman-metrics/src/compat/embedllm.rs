//! `EmbedLLM`: accuracy of correctness forecasts, and of the router that follows them.
//!
//! # References
//!
//! Zhuang et al., *`EmbedLLM`: Learning Compact Representations of Large Language Models*, 2024, arXiv:2410.02223; code:
//! `algorithm/mf.py` and `algorithm/knn.py` of its repository.

use crate::error::MetricsError;

/// Its three figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Share of (query, model) cells whose forecast right/wrong is right.
    pub correctness: f64,
    /// Mean score of the model of greatest predicted probability, the first of equals.
    pub router: f64,
    /// Mean over queries of the chosen model's mean score: what the same picks would earn on queries drawn at random.
    pub weighted_baseline: f64,
}

/// Computes them from probabilities of a right answer and outcomes, `[n, n_models]` each. A cell is forecast right at a
/// probability above one half (the original takes the greater of two classes), and is right at a score above one half.
///
/// # Errors
///
/// If the arrays differ in shape, nothing is given, or a value is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::embedllm::accuracy;
///
/// let a = accuracy(&[0.9, 0.4, 0.2, 0.7], &[1.0, 1.0, 0.0, 1.0], 2)?;
/// assert_eq!((a.correctness, a.router), (0.75, 1.0));
/// assert_eq!(a.weighted_baseline, 0.75); // picks each model once; they score 0.5 and 1
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn accuracy(predicted: &[f64], observed: &[f64], n_models: usize) -> Result<Accuracy, MetricsError> {
    super::check_matrices(predicted, observed, n_models)?;
    let n = (observed.len() / n_models) as f64;
    let right = predicted.iter().zip(observed).filter(|(p, o)| (**p > 0.5) == (**o > 0.5)).count();
    let mean = |m: usize| observed.iter().skip(m).step_by(n_models).sum::<f64>() / n;
    let means: Vec<f64> = (0..n_models).map(mean).collect();
    let (mut router, mut baseline) = (0.0, 0.0);
    for (p, o) in predicted.chunks_exact(n_models).zip(observed.chunks_exact(n_models)) {
        let pick = super::first_greatest(p);
        router += o[pick];
        baseline += means[pick];
    }
    Ok(Accuracy {
        correctness: right as f64 / observed.len() as f64,
        router: router / n,
        weighted_baseline: baseline / n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_half_is_no_forecast_of_a_right_answer() {
        let a = accuracy(&[0.5, 0.5], &[1.0, 0.0], 2).expect("valid");
        assert_eq!((a.correctness, a.router), (0.5, 1.0));
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors() {
        assert!(accuracy(&[0.5], &[1.0, 0.0], 2).is_err());
        assert!(accuracy(&[f64::NAN, 0.0], &[1.0, 0.0], 2).is_err());
        assert!(accuracy(&[], &[], 2).is_err());
    }
}
