//! How good predictions of quality are, one model at a time: ranking, squared error, calibration.
//!
//! Outcomes may be fractional (graded answers, means of repeated runs): no threshold is applied anywhere.

use crate::error::{MetricsError, check_finite, check_length, check_unit_interval};

/// Number of equal-width bins of [`ece`]: that of Guo et al. 2017.
pub const ECE_BINS: usize = 15;

/// Area under the ROC curve of predictions (any finite values) for outcomes in `[0, 1]`, both `[n_queries]`.
///
/// A fractional outcome y counts as y of a success and 1 − y of a failure at the same prediction; with outcomes 0
/// and 1 this is the ordinary AUC. Ties count one half. `None` if there are no successes or no failures.
/// O(n log n).
///
/// # Errors
///
/// If the lengths differ, nothing is given, a prediction is not finite or an outcome is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::classification::auc;
///
/// assert_eq!(auc(&[0.1, 0.4, 0.4, 0.8], &[0.0, 0.0, 1.0, 1.0])?, Some(0.875));
/// assert_eq!(auc(&[0.1, 0.4], &[1.0, 1.0])?, None);
/// assert!(auc(&[0.1, f64::NAN], &[0.0, 1.0]).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
///
/// # References
///
/// Fawcett, *An introduction to ROC analysis*, 2006, doi:10.1016/j.patrec.2005.10.010, section 7; on 0/1
/// outcomes equal to scikit-learn's `roc_auc_score`, on fractional ones to it with both classes of each row given
/// by sample weight.
pub fn auc(predictions: &[f64], outcomes: &[f64]) -> Result<Option<f64>, MetricsError> {
    check_length("outcomes", outcomes.len(), predictions.len())?;
    check_finite("prediction", predictions)?;
    check_unit_interval("outcome", outcomes)?;
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| predictions[a].total_cmp(&predictions[b]));
    let (mut failures_below, mut successes, mut wins) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| predictions[a] >= predictions[b]) {
        let up: f64 = tied.iter().map(|&i| outcomes[i]).sum();
        let down = tied.len() as f64 - up;
        wins += up * (failures_below + down / 2.0);
        failures_below += down;
        successes += up;
    }
    Ok((successes > 0.0 && failures_below > 0.0).then(|| wins / (successes * failures_below)))
}

/// Brier score: mean squared difference of predictions and outcomes, both `[n_queries]` in `[0, 1]`.
///
/// # Errors
///
/// If the lengths differ, nothing is given, or a value is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::classification::brier;
///
/// assert_eq!(brier(&[0.5, 1.0], &[1.0, 1.0])?, 0.125);
/// assert!(brier(&[1.5], &[1.0]).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
///
/// # References
///
/// Brier, 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, in the one-class form now usual.
pub fn brier(predictions: &[f64], outcomes: &[f64]) -> Result<f64, MetricsError> {
    check_pair(predictions, outcomes)?;
    let sum: f64 = predictions.iter().zip(outcomes).map(|(p, y)| (p - y).powi(2)).sum();
    Ok(sum / predictions.len() as f64)
}

/// Expected calibration error over [`ECE_BINS`] equal-width bins: mean over queries of |mean prediction − mean
/// outcome| of their bin. Both arrays are `[n_queries]` in `[0, 1]`.
///
/// A bin holds its lower edge, the last one both edges. With few queries even perfect predictions score well
/// above zero: compare with [`ece_floor`].
///
/// # Errors
///
/// If the lengths differ, nothing is given, or a value is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::classification::ece;
///
/// // Two bins: |0.9 − 1| once, |0.2 − 0.5| twice.
/// let error = ece(&[0.9, 0.2, 0.2], &[1.0, 0.0, 1.0])?;
/// assert!((error - (0.1 + 2.0 * 0.3) / 3.0).abs() < 1e-12);
/// assert!(ece(&[], &[]).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
///
/// # References
///
/// Guo et al., *On Calibration of Modern Neural Networks*, 2017, arXiv:1706.04599, equation 3. There bins hold
/// their upper edge.
pub fn ece(predictions: &[f64], outcomes: &[f64]) -> Result<f64, MetricsError> {
    check_pair(predictions, outcomes)?;
    Ok(binned_gap(predictions, |i| outcomes[i]))
}

/// The ECE that perfectly calibrated predictions of these values would show: the mean over `draws` simulations in
/// which outcome i is a success with probability `predictions[i]`, `[n_queries]` in `[0, 1]`.
///
/// Seeded. For fractional outcomes, which vary less than successes and failures do, it is an upper estimate.
/// Zero draws give zero.
///
/// # Errors
///
/// If nothing is given, or a prediction is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::classification::ece_floor;
///
/// assert_eq!(ece_floor(&[0.0, 1.0], 10, 1)?, 0.0); // certain predictions leave nothing to chance
/// assert!(ece_floor(&[0.5; 10], 10, 1)? > 0.05);
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn ece_floor(predictions: &[f64], draws: u32, seed: u64) -> Result<f64, MetricsError> {
    check_unit_interval("prediction", predictions)?;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut sum = 0.0;
    for _ in 0..draws {
        sum += binned_gap(predictions, |i| f64::from(u8::from(rng.f64() < predictions[i])));
    }
    Ok(if draws == 0 { 0.0 } else { sum / f64::from(draws) })
}

fn check_pair(predictions: &[f64], outcomes: &[f64]) -> Result<(), MetricsError> {
    check_length("outcomes", outcomes.len(), predictions.len())?;
    check_unit_interval("prediction", predictions)?;
    check_unit_interval("outcome", outcomes)
}

fn binned_gap(predictions: &[f64], mut outcome: impl FnMut(usize) -> f64) -> f64 {
    let mut gaps = [0.0_f64; ECE_BINS];
    for (i, &p) in predictions.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= p <= 1")]
        let bin = ((p * ECE_BINS as f64) as usize).min(ECE_BINS - 1);
        gaps[bin] += p - outcome(i);
    }
    // (n_b / n) · |sum_b / n_b| = |sum_b| / n
    gaps.iter().map(|g| g.abs()).sum::<f64>() / predictions.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_of_perfect_reversed_and_constant_predictions() {
        let y = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(auc(&[1.0, 2.0, 3.0, 4.0], &y), Ok(Some(1.0)));
        assert_eq!(auc(&[4.0, 3.0, 2.0, 1.0], &y), Ok(Some(0.0)));
        assert_eq!(auc(&[7.0; 4], &y), Ok(Some(0.5)));
    }

    #[test]
    fn auc_counts_pairs() {
        // Successes at .35 and .8, failures at .1 and .4: three of four pairs are in order.
        assert_eq!(auc(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0]), Ok(Some(0.75)));
    }

    #[test]
    fn auc_of_fractional_outcomes_is_weighted() {
        // Success weights .25 at .2 and 1 at .9; failure weight .75 at .2.
        // Pairs: .25·.75·½ + 1·.75 = .84375 of 1.25·.75 = .9375.
        assert_eq!(auc(&[0.2, 0.9], &[0.25, 1.0]), Ok(Some(0.9)));
        assert_eq!(auc(&[0.1, 0.5, 0.9], &[0.5; 3]), Ok(Some(0.5)));
    }

    #[test]
    fn auc_needs_both_classes_and_valid_input() {
        assert_eq!(auc(&[0.5], &[0.0]), Ok(None));
        assert!(auc(&[], &[]).is_err());
        assert!(auc(&[0.5], &[0.5, 0.5]).is_err());
        assert!(auc(&[0.5], &[2.0]).is_err());
    }

    #[test]
    fn brier_of_a_coin_is_a_quarter() {
        assert_eq!(brier(&[0.5; 4], &[0.0, 1.0, 1.0, 0.0]), Ok(0.25));
        assert!(brier(&[0.5], &[]).is_err());
        assert!(brier(&[f64::NAN], &[1.0]).is_err());
    }

    #[test]
    fn ece_puts_one_into_the_last_bin() {
        assert_eq!(ece(&[1.0, 0.95], &[1.0, 0.95]), Ok(0.0));
        assert_eq!(ece(&[1.0, 0.0], &[0.0, 1.0]), Ok(1.0));
        // 0.3 and 0.32 share the bin [4/15, 5/15): their gaps cancel.
        assert!(ece(&[0.3, 0.32], &[0.32, 0.3]).expect("valid") < 1e-15);
    }

    #[test]
    fn ece_floor_matches_the_mean_absolute_deviation_of_a_bin() {
        // n = 400 in one bin, p = 0.5: E|mean − ½| = sqrt(2/π) · 0.025 = 0.01995.
        let floor = ece_floor(&[0.5; 400], 2_000, 9).expect("valid");
        assert!((floor - 0.019_95).abs() < 0.001, "{floor}");
        assert_eq!(ece_floor(&[0.5; 400], 20, 9), ece_floor(&[0.5; 400], 20, 9));
        assert_eq!(ece_floor(&[0.5], 0, 9), Ok(0.0));
        assert!(ece_floor(&[], 5, 9).is_err());
    }
}
