//! Two models, strong and weak: performance gap recovered against the share of strong calls.
//!
//! Queries are sent to the strong model in the order of predicted quality(strong) − quality(weak), highest
//! first. The curve has one point for every distinct threshold, so nothing depends on a grid; queries with equal
//! scores move together, since no threshold can part them. Between thresholds it is the straight line (mixing at
//! random).
//!
//! # References
//!
//! Ong et al., *`RouteLLM`*, 2024, arXiv:2406.18665, section 3.2 (PGR, APGR, CPT). Their code uses eleven quantiles
//! as thresholds and interpolates a curve that need not rise: [`crate::compat::routellm`].

use crate::error::{MetricsError, check_finite, check_length};

/// Queries ordered by their scores, ready to be evaluated on many resamples.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::DeferralOrder;
///
/// // Three queries; the strong model is right on all, the weak one only on the last.
/// let order = DeferralOrder::new(&[0.9, 0.5, 0.1])?;
/// let curve = order.curve(&[1.0, 1.0, 1.0], &[0.0, 0.0, 1.0], None)?;
/// assert!((curve.cpt(0.5).expect("a gap") - 1.0 / 3.0).abs() < 1e-12);
///
/// // Equal models: there is no gap to recover.
/// let curve = order.curve(&[1.0, 0.0, 1.0], &[1.0, 0.0, 1.0], None)?;
/// assert_eq!(curve.apgr(), None);
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeferralOrder {
    /// Query positions, highest score first.
    order: Vec<u32>,
    /// End of each run of equal scores in `order`, ascending; the last is n.
    ends: Vec<usize>,
}

/// Quality against the share of strong calls, over all thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct PgrCurve {
    /// Share of strong calls, ascending from 0 to 1.
    share: Vec<f64>,
    /// Mean quality at each share; the first is the weak model's, the last the strong model's.
    quality: Vec<f64>,
}

impl DeferralOrder {
    /// Orders queries by `scores` (`[n_queries]`, predicted quality(strong) − quality(weak), any finite values).
    ///
    /// # Errors
    ///
    /// If there is no query or a score is not finite.
    pub fn new(scores: &[f64]) -> Result<Self, MetricsError> {
        check_finite("score", scores)?;
        let n = u32::try_from(scores.len()).map_err(|_| MetricsError::LengthMismatch {
            what: "scores",
            expected: u32::MAX as usize,
            got: scores.len(),
        })?;
        let mut order: Vec<u32> = (0..n).collect();
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let mut ends: Vec<usize> = order
            .windows(2)
            .enumerate()
            // `>`, not the order used for sorting: 0.0 and -0.0 are one score.
            .filter(|(_, w)| scores[w[0] as usize] > scores[w[1] as usize])
            .map(|(i, _)| i + 1)
            .collect();
        ends.push(order.len());
        Ok(Self { order, ends })
    }

    /// The curve for outcomes `strong` and `weak`, `[n_queries]` each; query i counts `counts[i]` times.
    ///
    /// # Errors
    ///
    /// If a length differs from that of the scores, or all counts are zero.
    pub fn curve(&self, strong: &[f64], weak: &[f64], counts: Option<&[f64]>) -> Result<PgrCurve, MetricsError> {
        let n = self.order.len();
        check_length("strong quality", strong.len(), n)?;
        check_length("weak quality", weak.len(), n)?;
        if let Some(c) = counts {
            check_length("counts", c.len(), n)?;
        }
        let count = |i: usize| counts.map_or(1.0, |c| c[i]);
        let total: f64 = (0..n).map(count).sum();
        if total <= 0.0 {
            return Err(MetricsError::Empty { what: "counts" });
        }
        let mut quality_sum: f64 = (0..n).map(|i| count(i) * weak[i]).sum();
        let mut strong_calls = 0.0;
        let mut curve = PgrCurve { share: vec![0.0], quality: vec![quality_sum / total] };
        let mut from = 0;
        for &end in &self.ends {
            for &i in &self.order[from..end] {
                let i = i as usize;
                strong_calls += count(i);
                quality_sum += count(i) * (strong[i] - weak[i]);
            }
            from = end;
            curve.share.push(strong_calls / total);
            curve.quality.push(quality_sum / total);
        }
        Ok(curve)
    }
}

impl PgrCurve {
    /// Shares of strong calls (ascending, 0 to 1) and the mean quality at each.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.share.iter().copied().zip(self.quality.iter().copied())
    }

    /// Mean quality of the weak and of the strong model.
    pub fn ends(&self) -> (f64, f64) {
        (self.quality[0], self.quality[self.quality.len() - 1])
    }

    /// Average performance gap recovered: ∫ (quality(x) − weak) / (strong − weak) dx over the share x of strong
    /// calls.
    ///
    /// 0.5 is a random order. More than 1 is possible, where the weak model is right and the strong one wrong.
    /// `None` if both models are equally good. Where the "strong" model is the worse one the value is that of the
    /// formula, with the gap's sign turned.
    pub fn apgr(&self) -> Option<f64> {
        let gap = self.gap()?;
        let area: f64 =
            self.share.windows(2).zip(self.quality.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum();
        Some((area - self.quality[0]) / gap)
    }

    /// Call-performance threshold: the least share of strong calls at which `recovered` (in `[0, 1]`) of the gap
    /// is first recovered.
    ///
    /// On a curve that dips the level may be lost again further right: see [`Self::is_monotone`]. `None` if both
    /// models are equally good or `recovered` is outside `[0, 1]`.
    pub fn cpt(&self, recovered: f64) -> Option<f64> {
        let gap = self.gap()?;
        if !(0.0..=1.0).contains(&recovered) {
            return None;
        }
        // Differences from the weak model, not levels: at 1 the last point must count as reached.
        let pgr = |i: usize| (self.quality[i] - self.quality[0]) / gap;
        let i = (0..self.share.len()).find(|&i| pgr(i) >= recovered)?;
        if i == 0 {
            return Some(0.0);
        }
        let (low, high) = (pgr(i - 1), pgr(i));
        Some(self.share[i - 1] + (self.share[i] - self.share[i - 1]) * (recovered - low) / (high - low))
    }

    /// Whether more strong calls never lower the recovered gap; if not, a CPT is a first crossing only.
    pub fn is_monotone(&self) -> bool {
        let (weak, strong) = self.ends();
        let sign = if strong < weak { -1.0 } else { 1.0 };
        self.quality.windows(2).all(|w| (w[1] - w[0]) * sign >= 0.0)
    }

    fn gap(&self) -> Option<f64> {
        let (weak, strong) = self.ends();
        let gap = strong - weak;
        // Sums of the same values in another order differ in the last bits; no real gap is that small.
        (gap.abs() > 1e-12).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(scores: &[f64], strong: &[f64], weak: &[f64]) -> PgrCurve {
        DeferralOrder::new(scores).expect("finite").curve(strong, weak, None).expect("same length")
    }

    #[test]
    fn perfect_order_passes_one() {
        // Strong wins on 0 and 1, weak wins on 3: weak 0.5, strong 0.75.
        let c = curve(&[3.0, 2.0, 1.0, 0.0], &[1.0, 1.0, 1.0, 0.0], &[0.0, 0.0, 1.0, 1.0]);
        assert_eq!(c.ends(), (0.5, 0.75));
        // Quality .5, .75, 1, 1, .75: area .25 (.625 + .875 + 1 + .875) = .84375.
        assert_eq!(c.apgr(), Some((0.843_75 - 0.5) / 0.25));
        assert_eq!(c.cpt(0.5), Some(0.125));
        assert_eq!(c.cpt(1.0), Some(0.25));
        assert!(!c.is_monotone());
    }

    #[test]
    fn tied_scores_move_together() {
        // All tied: one straight line, APGR exactly one half, CPT equal to the level.
        let c = curve(&[0.3; 4], &[1.0, 1.0, 1.0, 0.0], &[0.0, 0.0, 1.0, 0.0]);
        assert_eq!(c.points().count(), 2);
        assert_eq!(c.apgr(), Some(0.5));
        assert_eq!(c.cpt(0.2), Some(0.2));
        assert!(c.is_monotone());
        // Zero and minus zero are one score.
        assert_eq!(curve(&[0.0, -0.0], &[1.0, 1.0], &[0.0, 0.0]).points().count(), 2);
    }

    #[test]
    fn cpt_interpolates_and_takes_the_first_crossing() {
        // Gains +1, -1, +1: quality 0, 1/3, 0, 1/3; gap 1/3.
        let c = curve(&[3.0, 2.0, 1.0], &[1.0, 0.0, 1.0], &[0.0, 1.0, 0.0]);
        assert_eq!(c.ends(), (1.0 / 3.0, 2.0 / 3.0));
        assert!((c.cpt(0.5).expect("gap") - 1.0 / 6.0).abs() < 1e-15);
        assert_eq!(c.cpt(0.0), Some(0.0));
        assert_eq!(c.cpt(1.5), None);
        assert_eq!(c.cpt(f64::NAN), None);
    }

    #[test]
    fn counts_equal_repetition() {
        let order = DeferralOrder::new(&[0.9, 0.4, 0.1]).expect("finite");
        let (s, w) = ([1.0, 0.5, 1.0], [0.0, 0.5, 0.5]);
        let counted = order.curve(&s, &w, Some(&[2.0, 0.0, 1.0])).expect("same length");
        let repeated = curve(&[0.9, 0.9, 0.1], &[1.0, 1.0, 1.0], &[0.0, 0.0, 0.5]);
        assert!((counted.apgr().expect("gap") - repeated.apgr().expect("gap")).abs() < 1e-15);
        assert!(order.curve(&s, &w, Some(&[0.0; 3])).is_err());
    }

    #[test]
    fn weaker_strong_turns_the_gap() {
        let c = curve(&[1.0, 0.0], &[0.0, 0.0], &[1.0, 1.0]);
        assert_eq!(c.apgr(), Some(0.5));
        assert!(c.is_monotone());
    }

    #[test]
    fn input_is_checked() {
        assert!(matches!(DeferralOrder::new(&[]), Err(MetricsError::Empty { .. })));
        assert!(matches!(DeferralOrder::new(&[f64::NAN]), Err(MetricsError::NotFinite { .. })));
        let order = DeferralOrder::new(&[1.0]).expect("finite");
        assert!(order.curve(&[1.0, 1.0], &[1.0], None).is_err());
        assert!(order.curve(&[1.0], &[], None).is_err());
        assert!(order.curve(&[1.0], &[0.0], Some(&[])).is_err());
    }
}
