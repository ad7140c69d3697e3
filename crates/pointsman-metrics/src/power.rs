//! How small a paired difference a number of queries can show.
//!
//! Two routers are compared on the same queries; `sd` is the standard deviation of their per-query difference (for
//! figures that are no means, such as AIQ: standard error × √n). A two-sided test at 5 % finds a true difference δ
//! four times in five if δ = (z.975 + z.8) · sd / √n = 2.80 · sd / √n.
//!
//! # References
//!
//! Any text on sample sizes, as Lehr, 1992, doi:10.1002/sim.4780110811 ("sixteen s-squared over d-squared", which is
//! 2 · 2.80² for two independent groups; paired data need half of one group).

/// z.975 + z.8: two-sided 5 %, power 80 %.
const Z_SUM: f64 = 1.959_963_984_540_054 + 0.841_621_233_572_914_2;

/// The true difference that `n` queries show four times in five. `None` unless `sd` is finite and not negative, and
/// there are queries.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::power::detectable_difference;
///
/// assert!((detectable_difference(0.5, 400).expect("defined") - 0.0700).abs() < 1e-4);
/// assert_eq!(detectable_difference(0.5, 0), None);
/// ```
pub fn detectable_difference(sd: f64, n: usize) -> Option<f64> {
    (sd >= 0.0 && sd.is_finite() && n > 0).then(|| Z_SUM * sd / (n as f64).sqrt())
}

/// The number of queries that show a true difference of `difference` four times in five, at least 1. `None` unless
/// `sd` is finite and not negative and `difference` positive.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::power::queries_needed;
///
/// assert_eq!(queries_needed(0.5, 0.01), Some(19_623));
/// assert_eq!(queries_needed(0.5, 0.0), None);
/// ```
pub fn queries_needed(sd: f64, difference: f64) -> Option<u64> {
    let n = (Z_SUM * sd / difference).powi(2).ceil();
    let valid = sd >= 0.0 && difference > 0.0 && n.is_finite();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    valid.then(|| (n as u64).max(1))
}

/// Holm's adjusted p-values of several tests, in the order given: the least level at which each is still significant with
/// the chance of any false finding kept below it. NaN stays NaN and counts as no test.
///
/// # References
///
/// Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, 1979.
///
/// # Examples
///
/// ```
/// assert_eq!(pointsman_metrics::power::holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| !p_values[i].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = p_values.to_vec();
    let mut floor: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max((p_values[i] * (order.len() - rank) as f64).min(1.0));
        adjusted[i] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_are_inverse() {
        let n = queries_needed(0.31, 0.02).expect("defined");
        let n = usize::try_from(n).expect("small");
        assert!(detectable_difference(0.31, n).expect("defined") <= 0.02);
        assert!(detectable_difference(0.31, n - 1).expect("defined") > 0.02);
    }

    #[test]
    fn adjusted_p_values_never_fall_and_stay_below_one() {
        let adjusted = holm(&[0.5, 0.001, f64::NAN, 0.6]);
        assert_eq!((adjusted[0], adjusted[1], adjusted[3]), (1.0, 0.003, 1.0));
        assert!(adjusted[2].is_nan());
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_undefined() {
        assert_eq!(detectable_difference(f64::NAN, 10), None);
        assert_eq!(queries_needed(-1.0, 0.01), None);
        assert_eq!(queries_needed(0.0, 0.01), Some(1));
    }
}
