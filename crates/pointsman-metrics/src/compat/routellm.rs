//! `RouteLLM`: APGR and CPT of its published evaluation, on eleven quantile thresholds.
//!
//! # References
//!
//! Ong et al., *`RouteLLM`*, 2024, arXiv:2406.18665; code: `routellm/evals/evaluate.py` at
//! <https://github.com/lm-sys/RouteLLM/tree/0b64fdafe049e596a3f5657c219329f24af24198>.

use crate::error::{MetricsError, check_finite, check_length};

/// Its upper bound at a share of strong calls: mean quality if calls went first where the strong model alone is right.
///
/// It never charges the queries that only the weak model gets right, so an APGR computed from it passes 1. Quality is 0 or
/// 1 (a value counts as right at 1), `[n_queries]` each; `share` is in `[0, 1]`.
///
/// # Errors
///
/// If lengths differ or nothing is given.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routellm::optimal_quality;
///
/// let (strong, weak) = ([1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]);
/// assert_eq!(optimal_quality(&strong, &weak, 0.25)?, 0.75);
/// assert_eq!(optimal_quality(&strong, &weak, 1.0)?, 1.0); // though the strong model alone has 0.75
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn optimal_quality(strong: &[f64], weak: &[f64], share: f64) -> Result<f64, MetricsError> {
    check_finite("strong quality", strong)?;
    check_finite("weak quality", weak)?;
    check_finite("share", &[share])?;
    check_length("weak quality", weak.len(), strong.len())?;
    let n = strong.len() as f64;
    let right = weak.iter().filter(|w| **w >= 1.0).count() as f64;
    let gained = strong.iter().zip(weak).filter(|(s, w)| **s >= 1.0 && **w < 1.0).count() as f64;
    Ok((right + gained.min(n * share)) / n)
}

/// APGR and CPT as `RouteLLM`'s evaluation prints them.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileCurve {
    /// Share of strong calls, ascending.
    share: Vec<f64>,
    /// Mean quality at each share, in percent as the original counts it: [`Self::cpt`] depends on the last bit.
    quality: Vec<f64>,
    weak: f64,
    strong: f64,
}

impl QuantileCurve {
    /// Evaluates the eleven thresholds at the quantiles 0, 0.1, … 1 of `scores` (predicted strength of the strong
    /// model's win, `[n_queries]`), given outcomes `strong` and `weak`, `[n_queries]` each.
    ///
    /// A query is strong at or above the threshold, except that the last threshold (the greatest score) sends
    /// none to the strong model.
    ///
    /// DIFFERENCE: quantiles that coincide are merged; the original raises `ValueError`.
    ///
    /// # Errors
    ///
    /// If lengths differ, nothing is given, or a score is not finite.
    pub fn new(scores: &[f64], strong: &[f64], weak: &[f64]) -> Result<Self, MetricsError> {
        check_finite("score", scores)?;
        check_length("strong quality", strong.len(), scores.len())?;
        check_length("weak quality", weak.len(), scores.len())?;
        let n = scores.len() as f64;
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut thresholds: Vec<f64> = (0_u8..=10).map(|tenth| quantile(&sorted, level(tenth))).collect();
        thresholds.dedup();
        let last = thresholds.len() - 1;
        let mut points: Vec<(f64, f64)> = thresholds
            .iter()
            .enumerate()
            .map(|(t, &threshold)| {
                let mut sums = (0.0, 0.0);
                for (i, &s) in scores.iter().enumerate() {
                    let is_strong = if t == last && t > 0 { s > threshold } else { s >= threshold };
                    sums.0 += f64::from(u8::from(is_strong));
                    sums.1 += if is_strong { strong[i] } else { weak[i] };
                }
                (sums.0 / n, percent(sums.1, n))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (share, quality) = points.into_iter().unzip();
        let mean = |v: &[f64]| percent(v.iter().sum::<f64>(), n);
        Ok(Self { share, quality, weak: mean(weak), strong: mean(strong) })
    }

    /// (area − weak's area) / (strong's area − weak's area) by the trapezoid rule; `None` if both models are
    /// equally good or there is one threshold only (the original divides by zero).
    ///
    /// # Examples
    ///
    /// ```
    /// use pointsman_metrics::compat::routellm::QuantileCurve;
    ///
    /// let scores: Vec<f64> = (0..11).map(f64::from).collect();
    /// let curve = QuantileCurve::new(&scores, &[1.0; 11], &[0.0; 11])?;
    /// assert!((curve.apgr().unwrap() - 0.5).abs() < 1e-12);
    /// let flat = QuantileCurve::new(&scores, &[1.0; 11], &[1.0; 11])?;
    /// assert_eq!(flat.apgr(), None);
    /// # Ok::<(), pointsman_metrics::MetricsError>(())
    /// ```
    pub fn apgr(&self) -> Option<f64> {
        let pairs = || self.share.windows(2).zip(self.quality.windows(2));
        let area: f64 = pairs().map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum();
        let width = self.share[self.share.len() - 1] - self.share[0];
        let apgr = (area - width * self.weak) / (width * (self.strong - self.weak));
        apgr.is_finite().then_some(apgr)
    }

    /// Share of strong calls at which `recovered` of the gap is reached, by numpy's `interp` of share against
    /// quality, whose result is arbitrary where the curve is not rising; clamped to the ends of the curve.
    ///
    /// The search for the interval is numpy's own, so that the arbitrary result is the same one. `None` if both
    /// models are equally good.
    pub fn cpt(&self, recovered: f64) -> Option<f64> {
        let gap = self.strong - self.weak;
        if gap == 0.0 || !recovered.is_finite() {
            return None;
        }
        let level = recovered * gap + self.weak;
        let (x, y) = (&self.quality, &self.share);
        let last = x.len() - 1;
        if level > x[last] {
            return Some(y[last]);
        }
        if level < x[0] {
            return Some(y[0]);
        }
        let j = interval_of(level, x);
        #[expect(clippy::float_cmp, reason = "numpy asks just that")]
        if j == last || x[j] == level {
            return Some(y[j]);
        }
        let slope = (y[j + 1] - y[j]) / (x[j + 1] - x[j]);
        Some(slope * (level - x[j]) + y[j])
    }
}

/// The position numpy's `interp` takes for `key` in `x[0] <= key <= x[last]`, where `x` need not ascend: a look at
/// the first few values and the ninth, then bisection.
fn interval_of(key: f64, x: &[f64]) -> usize {
    let n = x.len();
    if n <= 4 {
        return (1..n).find(|&i| key < x[i]).unwrap_or(n) - 1;
    }
    if let Some(i) = (1..=3).find(|&i| key < x[i]) {
        return i - 1;
    }
    let mut low = 3;
    let mut high = if n > 10 && key < x[9] { 9 } else { n };
    while low < high {
        let middle = low + (high - low) / 2;
        if key >= x[middle] {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low - 1
}

fn percent(sum: f64, n: f64) -> f64 {
    sum / n * 100.0
}

/// The level of `pd.qcut`'s k-th of eleven quantiles: k · 0.1, raised to the next float where that is no exact tenth.
fn level(tenth: u8) -> f64 {
    let level = f64::from(tenth) * 0.1;
    #[expect(clippy::float_cmp, reason = "pandas asks just that")]
    let exact = level * 10.0 == f64::from(tenth);
    if exact { level } else { level.next_up() }
}

/// numpy's linear quantile to the last bit: a query whose score *is* the threshold falls on one side or the other by it.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = (level * last as f64).min(last as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= position <= last")]
    let below = position.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let t = position - position.floor();
    if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_deciles() {
        let scores: Vec<f64> = (0..=10).map(f64::from).collect();
        let c = QuantileCurve::new(&scores, &[1.0; 11], &[0.0; 11]).expect("valid");
        let shares: Vec<f64> = c.share.iter().map(|s| (s * 11.0).round()).collect();
        // The last threshold sends none, the one before still two: one strong call is never evaluated. Three tenths, six
        // and seven lie a bit above, so the scores 3, 6 and 7 miss their own threshold.
        assert_eq!(shares, [0.0, 2.0, 3.0, 3.0, 4.0, 6.0, 7.0, 7.0, 9.0, 10.0, 11.0]);
    }

    #[test]
    fn strict_and_compat_agree_on_a_fine_rising_curve() {
        let scores: Vec<f64> = (0..1_000).map(f64::from).collect();
        let strong = vec![1.0; 1_000];
        let weak: Vec<f64> = (0..1_000).map(|i| f64::from(u8::from(i < 500))).collect();
        let c = QuantileCurve::new(&scores, &strong, &weak).expect("valid");
        assert!((c.apgr().expect("gap") - 0.75).abs() < 0.01);
        assert!((c.cpt(0.5).expect("gap") - 0.25).abs() < 0.005);
        assert_eq!(c.cpt(2.0), Some(1.0));
        assert_eq!(c.cpt(-1.0), Some(0.0));
    }

    #[test]
    fn repeated_scores_are_merged_where_the_original_fails() {
        let c = QuantileCurve::new(&[1.0, 1.0, 2.0, 2.0], &[1.0; 4], &[0.0; 4]).expect("valid");
        assert_eq!(c.share.first(), Some(&0.0));
        assert_eq!(c.share.last(), Some(&1.0));
        let one = QuantileCurve::new(&[1.0; 4], &[1.0; 4], &[0.0; 4]).expect("valid");
        assert_eq!((one.share.len(), one.apgr()), (1, None));
    }

    #[test]
    fn interval_search_on_a_curve_that_dips() {
        assert_eq!(interval_of(0.5, &[0.0, 0.6, 0.4, 0.8]), 0);
        assert_eq!(interval_of(0.8, &[0.0, 0.6, 0.4, 0.8]), 3);
        // Eleven values: the first three are looked at, then bisection skips the dip at position 4.
        let x = [0.0, 0.1, 0.2, 0.3, 0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0];
        assert_eq!(interval_of(0.25, &x), 2);
        assert_eq!(interval_of(0.35, &x), 4);
        assert_eq!(interval_of(0.9, &x), 9);
    }

    #[test]
    fn input_is_checked() {
        assert!(QuantileCurve::new(&[], &[], &[]).is_err());
        assert!(QuantileCurve::new(&[1.0], &[1.0, 1.0], &[1.0]).is_err());
        let equal = QuantileCurve::new(&[1.0, 2.0], &[1.0; 2], &[1.0; 2]).expect("valid");
        assert_eq!((equal.apgr(), equal.cpt(0.5)), (None, None));
    }
}
