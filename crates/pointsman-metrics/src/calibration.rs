//! The reliability diagram: predicted against observed quality, bin by bin.

use crate::bootstrap::Interval;
use crate::error::{MetricsError, check_length, check_unit_interval};
use crate::mean_interval::wilson;

/// Number of equal-width bins: fewer than for the calibration error, since each is shown with its interval.
pub const RELIABILITY_BINS: usize = 10;

/// One bin of a reliability diagram that holds any prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower edge, belonging to the bin.
    pub from: f64,
    /// Upper edge, belonging to the last bin only.
    pub to: f64,
    /// Predictions in the bin.
    pub n: usize,
    /// Their mean.
    pub predicted: f64,
    /// Mean outcome with its 95 % interval.
    pub observed: Interval,
}

/// Bins predictions of several models for the same queries: `predictions` and `outcomes` are `[n_queries, n_models]`
/// in `[0, 1]`; NaN predictions are left out. Empty bins are left out.
///
/// Outcomes of one query are not independent, so the interval is Wilson's with an effective number of outcomes: that
/// at which the variance of a mean of independent ones is the variance between queries (Taylor linearisation of the
/// ratio Σ outcomes / Σ counts), and at most the number there is.
///
/// # Errors
///
/// If the lengths differ, nothing is given, or a value is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::calibration::reliability;
///
/// let bins = reliability(&[0.15, 0.95, 0.18, 1.0], &[0.0, 1.0, 0.5, 1.0], 2)?;
/// assert_eq!(bins.len(), 2);
/// assert_eq!((bins[0].n, bins[0].observed.value), (2, 0.25));
/// assert_eq!((bins[1].from, bins[1].to, bins[1].predicted), (0.9, 1.0, 0.975));
/// assert!(reliability(&[0.5], &[2.0], 1).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
///
/// # References
///
/// `DeGroot` & Fienberg, 1983, doi:10.2307/2987588. Effective sample size: Korn & Graubard, *Analysis of Health Surveys*,
/// 1999, section 5.2.
pub fn reliability(
    predictions: &[f64],
    outcomes: &[f64],
    n_models: usize,
) -> Result<Vec<ReliabilityBin>, MetricsError> {
    check_length("outcomes", outcomes.len(), predictions.len())?;
    check_unit_interval("outcome", outcomes)?;
    let known: Vec<f64> = predictions.iter().copied().filter(|p| !p.is_nan()).collect();
    check_unit_interval("prediction", &known)?;
    let rows = || predictions.chunks(n_models.max(1)).zip(outcomes.chunks(n_models.max(1)));
    let mut sums = [(0_usize, 0.0_f64, 0.0_f64); RELIABILITY_BINS];
    for (&p, &y) in rows().flat_map(|(p, y)| p.iter().zip(y)).filter(|(p, _)| !p.is_nan()) {
        let sum = &mut sums[bin_of(p)];
        *sum = (sum.0 + 1, sum.1 + p, sum.2 + y);
    }
    let observed = sums.map(|(n, _, y)| y / n.max(1) as f64);
    let mut variance = [0.0_f64; RELIABILITY_BINS];
    for (p, y) in rows() {
        let mut deviation = [0.0_f64; RELIABILITY_BINS];
        for (&p, &y) in p.iter().zip(y).filter(|(p, _)| !p.is_nan()) {
            let bin = bin_of(p);
            deviation[bin] += y - observed[bin];
        }
        for (sum, d) in variance.iter_mut().zip(deviation) {
            *sum += d * d;
        }
    }
    let width = RELIABILITY_BINS as f64;
    let bins = (0..RELIABILITY_BINS).filter_map(|b| {
        let (n, p, _) = sums[b];
        let mean = observed[b].clamp(0.0, 1.0);
        let spread = variance[b] / (n as f64).powi(2);
        let n_effective = if spread > 0.0 { (mean * (1.0 - mean) / spread).min(n as f64) } else { n as f64 };
        Some(ReliabilityBin {
            from: b as f64 / width,
            to: (b + 1) as f64 / width,
            n,
            predicted: p / n.max(1) as f64,
            observed: wilson(mean, n_effective)?,
        })
    });
    Ok(bins.collect())
}

fn bin_of(p: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= p <= 1")]
    let bin = (p * RELIABILITY_BINS as f64) as usize;
    bin.min(RELIABILITY_BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bins_and_unknown_predictions_are_left_out() {
        let bins = reliability(&[f64::NAN, 0.25, 0.21, f64::NAN], &[1.0, 0.0, 1.0, 1.0], 2).expect("valid");
        assert_eq!(bins.len(), 1);
        assert_eq!(bins[0].n, 2);
        assert!((bins[0].predicted - 0.23).abs() < 1e-12);
    }

    #[test]
    fn repeated_columns_do_not_narrow_the_interval() {
        // Outcomes of each query are the same for all models, so four models tell no more than one.
        let one: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let four: Vec<f64> = one.iter().flat_map(|&y| [y; 4]).collect();
        let single = reliability(&[0.55; 100], &one, 1).expect("valid")[0].observed;
        let fourfold = reliability(&[0.55; 400], &four, 4).expect("valid")[0].observed;
        assert!((single.half_width() - fourfold.half_width()).abs() < 1e-9, "{single:?} {fourfold:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(reliability(&[0.5], &[0.5, 0.5], 1).is_err());
        assert!(reliability(&[1.5], &[0.5], 1).is_err());
        assert!(reliability(&[], &[], 1).is_err());
    }
}
