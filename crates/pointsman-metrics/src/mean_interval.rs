//! The interval of a mean of scores in `[0, 1]`, without resampling.

use crate::bootstrap::Interval;

/// The normal quantile of a two-sided 95 % interval.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % score interval of a mean of `n` independent scores in `[0, 1]`.
///
/// It stays within `[0, 1]` and has a width even where all scores are equal. For scores between 0 and 1, which vary
/// less than successes and failures do, it is wider than need be. `n` may be fractional: an effective number of
/// independent scores. `None` unless `mean` is in `[0, 1]` and `n` is positive and finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::mean_interval::wilson;
///
/// let half = wilson(0.5, 100.0).expect("defined");
/// assert!((half.low - 0.4038).abs() < 1e-4 && (half.high - 0.5962).abs() < 1e-4);
/// assert!(wilson(1.0, 10.0).expect("defined").low < 0.75); // ten of ten prove little
/// assert_eq!(wilson(0.5, 0.0), None);
/// ```
///
/// # References
///
/// Wilson, 1927, doi:10.1080/01621459.1927.10502953; recommended for small n by Brown, Cai & `DasGupta`, 2001,
/// doi:10.1214/ss/1009213286.
pub fn wilson(mean: f64, n: f64) -> Option<Interval> {
    if !((0.0..=1.0).contains(&mean) && n > 0.0 && n.is_finite()) {
        return None;
    }
    let z2 = Z_95 * Z_95;
    let centre = (mean + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 * (mean * (1.0 - mean) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // The ends meet 0 and 1 exactly where the mean does, up to rounding.
    Some(Interval { value: mean, low: (centre - half).clamp(0.0, mean), high: (centre + half).clamp(mean, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_the_textbook() {
        // 8 of 10: 0.4902 to 0.9433 (Brown, Cai & DasGupta's formula 4).
        let interval = wilson(0.8, 10.0).expect("defined");
        assert!((interval.low - 0.4902).abs() < 1e-4 && (interval.high - 0.9433).abs() < 1e-4, "{interval:?}");
    }

    #[test]
    fn ends_stay_in_the_unit_interval() {
        for mean in [0.0, 1.0] {
            let interval = wilson(mean, 3.0).expect("defined");
            assert!(interval.low >= 0.0 && interval.high <= 1.0 && interval.half_width() > 0.1);
        }
        assert_eq!(wilson(1.2, 3.0), None);
        assert_eq!(wilson(f64::NAN, 3.0), None);
    }
}
