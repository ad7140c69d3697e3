//! What a router would have earned on traffic in which only the chosen model was run.
//!
//! A gateway's log holds, per query, the model it chose, the probability with which it did (its *propensity*) and what
//! came of it. A new router's quality is then not the mean of what is there: queries on which the two would have agreed
//! are no fair sample. Three estimators weigh them back:
//!
//! - inverse propensity (IPS): mean of w·r, w = π(logged choice) / propensity. Unbiased if every choice of the router
//!   had a chance; its variance grows with w.
//! - self-normalised (SNIPS): Σ w·r / Σ w. A little bias for much less variance, and it stays in the range of r.
//! - doubly robust (DR): mean of q̂(router's choice) + w·(r − q̂(logged choice)). Unbiased if either the propensities or
//!   the predictions q̂ are right, and of less variance the better q̂ is.
//!
//! [`Diagnostics`] says whether to believe them: a few queries of great weight carry an estimate that nobody should.
//!
//! # References
//!
//! - IPS: Horvitz & Thompson, 1952, doi:10.1080/01621459.1952.10483446.
//! - SNIPS: Swaminathan & Joachims, *The Self-Normalized Estimator for Counterfactual Learning*, `NeurIPS` 2015.
//! - DR: Dudík, Langford & Li, *Doubly Robust Policy Evaluation and Learning*, ICML 2011, arXiv:1103.4601, equation 1.
//! - Effective sample size: Kish, *Survey Sampling*, 1965, section 8.2.

use crate::error::{MetricsError, check_finite, check_length};

/// Logged decisions and a router's view of them; arrays of `[n_queries]`.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// What the logged choice earned.
    pub reward: &'a [f64],
    /// Probability with which the logging policy made that choice, in `(0, 1]`.
    pub propensity: &'a [f64],
    /// Probability with which the evaluated router makes it, in `[0, 1]`; 0 or 1 for one that draws nothing.
    pub agreement: &'a [f64],
}

impl Logged<'_> {
    fn check(&self) -> Result<(), MetricsError> {
        check_finite("reward", self.reward)?;
        check_length("propensity", self.propensity.len(), self.reward.len())?;
        check_length("agreement", self.agreement.len(), self.reward.len())?;
        domain("propensity", self.propensity, "(0, 1]", |p| p > 0.0 && p <= 1.0)?;
        domain("agreement", self.agreement, "[0, 1]", |p| (0.0..=1.0).contains(&p))
    }
}

/// Importance weights π(logged choice) / propensity, `[n_queries]`. Their expected mean is 1.
///
/// # Errors
///
/// If lengths differ, nothing is given, or a value is outside its domain.
pub fn weights(logged: &Logged<'_>) -> Result<Vec<f64>, MetricsError> {
    logged.check()?;
    Ok(logged.agreement.iter().zip(logged.propensity).map(|(a, p)| a / p).collect())
}

/// Inverse propensity estimate: mean of w·r over all queries.
///
/// # Errors
///
/// As [`weights`].
///
/// # Examples
///
/// ```
/// use pointsman_metrics::off_policy::{Logged, inverse_propensity};
///
/// // A coin chose; the router would have agreed on the first and the third query.
/// let logged = Logged { reward: &[1.0, 1.0, 0.0, 0.0], propensity: &[0.5; 4], agreement: &[1.0, 0.0, 1.0, 0.0] };
/// assert_eq!(inverse_propensity(&logged)?, 0.5);
/// let never = Logged { propensity: &[0.0; 4], ..logged };
/// assert!(inverse_propensity(&never).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn inverse_propensity(logged: &Logged<'_>) -> Result<f64, MetricsError> {
    let w = weights(logged)?;
    Ok(w.iter().zip(logged.reward).map(|(w, r)| w * r).sum::<f64>() / w.len() as f64)
}

/// Self-normalised estimate: Σ w·r / Σ w. `None` if the router agrees with no logged choice.
///
/// # Errors
///
/// As [`weights`].
pub fn self_normalised(logged: &Logged<'_>) -> Result<Option<f64>, MetricsError> {
    let w = weights(logged)?;
    let total: f64 = w.iter().sum();
    Ok((total > 0.0).then(|| w.iter().zip(logged.reward).map(|(w, r)| w * r).sum::<f64>() / total))
}

/// Terms of the doubly robust estimate, whose mean it is, `[n_queries]`.
///
/// `chosen` is the predicted reward of the evaluated router's choice, `logged_prediction` that of the logged choice.
///
/// # Errors
///
/// As [`weights`], and if a prediction is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::off_policy::{Logged, doubly_robust_terms};
///
/// // Where predictions are right, weights do not matter.
/// let logged = Logged { reward: &[1.0, 0.0], propensity: &[0.1, 0.9], agreement: &[1.0, 0.0] };
/// let terms = doubly_robust_terms(&logged, &[1.0, 1.0], &[1.0, 0.0])?;
/// assert_eq!(terms, [1.0, 1.0]);
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn doubly_robust_terms(
    logged: &Logged<'_>,
    chosen: &[f64],
    logged_prediction: &[f64],
) -> Result<Vec<f64>, MetricsError> {
    let w = weights(logged)?;
    check_length("prediction of the choice", chosen.len(), w.len())?;
    check_length("prediction of the logged choice", logged_prediction.len(), w.len())?;
    check_finite("prediction of the choice", chosen)?;
    check_finite("prediction of the logged choice", logged_prediction)?;
    Ok((0..w.len()).map(|i| chosen[i] + w[i] * (logged.reward[i] - logged_prediction[i])).collect())
}

/// Whether weights can carry an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnostics {
    /// Share of queries on which the router may make the logged choice.
    pub agreement: f64,
    /// Kish's effective sample size (Σ w)² / Σ w²: so many unweighted queries would be as precise. 0 without agreement.
    pub effective_n: f64,
    /// Greatest weight.
    pub max_weight: f64,
    /// Mean weight: about 1 where propensities are right and every choice had a chance.
    pub mean_weight: f64,
}

impl Diagnostics {
    /// Of importance weights, `[n_queries]`; all zero without queries.
    ///
    /// # Examples
    ///
    /// ```
    /// let d = pointsman_metrics::off_policy::Diagnostics::of(&[2.0, 0.0, 2.0, 0.0]);
    /// assert_eq!((d.effective_n, d.agreement, d.mean_weight), (2.0, 0.5, 1.0));
    /// ```
    pub fn of(weights: &[f64]) -> Self {
        let n = weights.len().max(1) as f64;
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        Self {
            agreement: weights.iter().filter(|w| **w > 0.0).count() as f64 / n,
            effective_n: if squares > 0.0 { sum * sum / squares } else { 0.0 },
            max_weight: weights.iter().copied().fold(0.0, f64::max),
            mean_weight: sum / n,
        }
    }
}

fn domain(
    what: &'static str,
    values: &[f64],
    domain: &'static str,
    inside: impl Fn(f64) -> bool,
) -> Result<(), MetricsError> {
    match values.iter().position(|&v| !inside(v)) {
        None => Ok(()),
        Some(position) => Err(MetricsError::OutOfRange { what, position, value: values[position], domain }),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "expected values are exact in binary")]
mod tests {
    use super::*;

    /// A uniform logging policy over three models, a deterministic router, known rewards.
    struct World {
        reward: Vec<f64>,
        propensity: Vec<f64>,
        agreement: Vec<f64>,
        chosen: Vec<f64>,
        logged_prediction: Vec<f64>,
        truth: f64,
    }

    fn world(n: usize, seed: u64, skill: f64) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut w = World {
            reward: vec![],
            propensity: vec![],
            agreement: vec![],
            chosen: vec![],
            logged_prediction: vec![],
            truth: 0.0,
        };
        for _ in 0..n {
            let hard = rng.f64();
            let quality = [0.9 - 0.6 * hard, 0.7, 0.3 + 0.3 * hard];
            // Prefers the first model more on easy queries, so that plain means of the log mislead.
            let propensity = [0.8 - 0.6 * hard, 0.1 + 0.3 * hard, 0.1 + 0.3 * hard];
            let u = rng.f64();
            let logged = if u < propensity[0] { 0 } else { usize::from(u >= propensity[0] + propensity[1]) + 1 };
            let choice = usize::from(hard > 0.4);
            w.reward.push(f64::from(u8::from(rng.f64() < quality[logged])));
            w.propensity.push(propensity[logged]);
            w.agreement.push(f64::from(u8::from(logged == choice)));
            w.chosen.push(quality[choice] + skill);
            w.logged_prediction.push(quality[logged] + skill);
            w.truth += quality[choice] / n as f64;
        }
        w
    }

    impl World {
        fn logged(&self) -> Logged<'_> {
            Logged { reward: &self.reward, propensity: &self.propensity, agreement: &self.agreement }
        }
    }

    #[test]
    fn estimators_find_the_truth_that_the_plain_mean_misses() {
        let w = world(60_000, 3, 0.0);
        let agreed: Vec<usize> = (0..w.reward.len()).filter(|&i| w.agreement[i] > 0.0).collect();
        let plain = agreed.iter().map(|&i| w.reward[i]).sum::<f64>() / agreed.len() as f64;
        let ips = inverse_propensity(&w.logged()).expect("valid");
        let snips = self_normalised(&w.logged()).expect("valid").expect("agreement");
        let terms = doubly_robust_terms(&w.logged(), &w.chosen, &w.logged_prediction).expect("valid");
        let dr = terms.iter().sum::<f64>() / terms.len() as f64;
        assert!((plain - w.truth).abs() > 0.015, "the log must mislead: {plain} {}", w.truth);
        for (name, estimate) in [("ips", ips), ("snips", snips), ("dr", dr)] {
            assert!((estimate - w.truth).abs() < 0.012, "{name}: {estimate}, true {}", w.truth);
        }
    }

    #[test]
    fn doubly_robust_forgives_predictions_that_are_wrong() {
        let w = world(60_000, 4, 0.25);
        let terms = doubly_robust_terms(&w.logged(), &w.chosen, &w.logged_prediction).expect("valid");
        assert!((terms.iter().sum::<f64>() / terms.len() as f64 - w.truth).abs() < 0.015);
    }

    #[test]
    fn a_router_that_agrees_with_nothing_has_no_estimate() {
        let logged = Logged { reward: &[1.0, 0.0], propensity: &[0.5, 0.5], agreement: &[0.0, 0.0] };
        assert_eq!(self_normalised(&logged), Ok(None));
        assert_eq!(Diagnostics::of(&weights(&logged).expect("valid")).effective_n, 0.0);
    }

    #[test]
    fn values_outside_their_domain_are_named() {
        let good = Logged { reward: &[1.0], propensity: &[0.5], agreement: &[1.0] };
        assert!(matches!(
            weights(&Logged { propensity: &[1.5], ..good }),
            Err(MetricsError::OutOfRange { what: "propensity", domain: "(0, 1]", .. })
        ));
        assert!(matches!(
            weights(&Logged { agreement: &[f64::NAN], ..good }),
            Err(MetricsError::OutOfRange { what: "agreement", .. })
        ));
        assert!(matches!(weights(&Logged { reward: &[], ..good }), Err(MetricsError::Empty { .. })));
        assert!(doubly_robust_terms(&good, &[0.5], &[f64::INFINITY]).is_err());
    }
}
