//! `RouterBench`: the non-decreasing "convex hull" and the AIQ of its published code.
//!
//! Costs are sums or means as the caller likes, as long as all routers use the same.
//!
//! # References
//!
//! Hu et al., *`RouterBench`*, 2024, arXiv:2403.12031; code:
//! <https://github.com/withmartian/routerbench/blob/30e0925ac07a45108b9ee82086040a5664ea83e6/evaluation/AIQ.py>.
//! The code differs from the paper: see [`aiq_compat`] and [`aiq_paper`].

use crate::deferral::{DeferralCurve, Point, hull_vertices};
use crate::error::MetricsError;

/// The points that `RouterBench`'s hull function returns, by ascending cost.
///
/// All inner costs are kept and their quality raised to the highest chord above them; the first point is kept as
/// it is, and of points with its cost only the first counts; the last point is dropped if it is below the last
/// inner one; finally each point below its predecessor is dropped, in one pass. O(s³).
///
/// DIFFERENCE: points of equal cost are taken in the order given; the original sorts with numpy's default, which
/// keeps that order or not by numpy's version and the machine's instruction set, and its hull changes with it.
///
/// # Errors
///
/// [`MetricsError::TooFewPoints`] if no point lies strictly between the least and the greatest cost (the original
/// raises `IndexError`), [`MetricsError::NotFinite`] if a coordinate is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Point, compat::routerbench::hull};
///
/// let points = [Point::new(1.0, 0.5), Point::new(2.0, 0.9), Point::new(3.0, 0.8)];
/// assert_eq!(hull(&points)?, [Point::new(1.0, 0.5), Point::new(2.0, 0.9)]);
/// assert!(hull(&points[..2]).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn hull(points: &[Point]) -> Result<Vec<Point>, MetricsError> {
    for (position, p) in points.iter().enumerate() {
        for (what, value) in [("point cost", p.cost), ("point quality", p.quality)] {
            if !value.is_finite() {
                return Err(MetricsError::NotFinite { what, position, value });
            }
        }
    }
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let inner = raised_inner_points(&sorted);
    let Some(last_inner) = inner.last() else {
        let mut costs: Vec<f64> = sorted.iter().map(|p| p.cost).collect();
        costs.dedup();
        return Err(MetricsError::TooFewPoints { what: "hull", expected: 3, got: costs.len() });
    };
    let last = sorted[sorted.len() - 1];
    let keeps_last = last.quality >= last_inner.quality;
    let mut hull = vec![sorted[0]];
    hull.extend_from_slice(&inner);
    if keeps_last {
        hull.push(last);
    }
    // One pass: a point is compared with its predecessor even if that one goes too.
    let kept = (0..hull.len()).filter(|&i| i == 0 || hull[i].quality >= hull[i - 1].quality);
    Ok(kept.map(|i| hull[i]).collect())
}

/// AIQ of each router as `RouterBench`'s code computes it, from the points of all routers compared.
///
/// Each hull is extended flat to the greatest hull cost of all routers; AIQ = area / that cost. So the costs
/// below a router's first point contribute nothing, and the figure depends on which routers are compared.
///
/// A router whose hull is undefined (see [`hull`]) is `None` and takes no part in the comparison. All are `None`
/// if the greatest cost is not positive.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Point, compat::routerbench::aiq_compat};
///
/// let a = vec![Point::new(0.1, 0.3), Point::new(1.0, 0.7), Point::new(2.0, 0.8)];
/// let b = vec![Point::new(0.2, 0.4), Point::new(3.0, 0.85), Point::new(1.5, 0.75)];
/// let both = aiq_compat(&[a.clone(), b]);
/// assert_eq!(format!("{:.8} {:.8}", both[0].unwrap(), both[1].unwrap()), "0.66666667 0.64916667");
/// assert_ne!(aiq_compat(&[a])[0], both[0]);
/// ```
pub fn aiq_compat(routers: &[Vec<Point>]) -> Vec<Option<f64>> {
    let hulls: Vec<Option<Vec<Point>>> = routers.iter().map(|points| hull(points).ok()).collect();
    let greatest = hulls.iter().flatten().flatten().map(|p| p.cost).fold(f64::NEG_INFINITY, f64::max);
    hulls
        .into_iter()
        .map(|hull| {
            let mut hull = hull.filter(|_| greatest > 0.0)?;
            let last = hull[hull.len() - 1];
            hull.push(Point::new(greatest, last.quality));
            let area: f64 =
                hull.windows(2).map(|w| (w[1].cost - w[0].cost) * (w[1].quality + w[0].quality) / 2.0).sum();
            Some(area / greatest)
        })
        .collect()
}

/// AIQ as the paper defines it: 1 / (`c_max` − `c_min`) · ∫ of the non-decreasing convex hull of `points`
/// over `[c_min, c_max]`, flat outside the hull.
///
/// The hull is taken on the points given, which on evaluated points rewards noise: see [`crate::deferral`].
/// `None` if no point is finite, or the range is empty or not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Point, compat::routerbench::aiq_paper};
///
/// let points = [Point::new(1.0, 0.5), Point::new(2.0, 0.9), Point::new(3.0, 0.8)];
/// // (0.5 + 0.9)/2 on [1, 2], then flat 0.9.
/// assert!((aiq_paper(&points, 1.0, 3.0).unwrap() - 0.8).abs() < 1e-12);
/// assert_eq!(aiq_paper(&points, 3.0, 3.0), None);
/// ```
pub fn aiq_paper(points: &[Point], c_min: f64, c_max: f64) -> Option<f64> {
    let vertices: Vec<Point> = hull_vertices(points).iter().map(|&i| points[i]).collect();
    DeferralCurve::new(*vertices.first()?, &vertices).ok()?.aiq(c_min, c_max)
}

/// Each distinct cost strictly inside the range, with the highest of its qualities and of all chords above it.
fn raised_inner_points(sorted: &[Point]) -> Vec<Point> {
    let mut inner: Vec<Point> = Vec::new();
    for p in sorted {
        let mut best = f64::NEG_INFINITY;
        for a in sorted.iter().take_while(|a| a.cost < p.cost) {
            for b in sorted.iter().rev().take_while(|b| b.cost > p.cost) {
                // The arithmetic of numpy's interp, so that the last digit agrees.
                let slope = (b.quality - a.quality) / (b.cost - a.cost);
                best = best.max(slope * (p.cost - a.cost) + a.quality).max(p.quality);
            }
        }
        if best == f64::NEG_INFINITY {
            continue; // at one of the ends
        }
        match inner.last_mut() {
            Some(last) if last.cost >= p.cost => last.quality = last.quality.max(best),
            _ => inner.push(Point::new(p.cost, best)),
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(f64, f64)]) -> Vec<Point> {
        list.iter().map(|&(c, q)| Point::new(c, q)).collect()
    }

    /// Rounded to the eight digits of the reference values.
    fn digits(value: Option<f64>) -> String {
        format!("{:.8}", value.expect("defined"))
    }

    fn check(list: &[(f64, f64)], expected_hull: &[(f64, f64)], expected_aiq: &str) {
        let p = points(list);
        let h = hull(&p).expect("three costs");
        assert_eq!(h.len(), expected_hull.len(), "{h:?}");
        for (got, want) in h.iter().zip(expected_hull) {
            assert!((got.cost - want.0).abs() < 1e-12 && (got.quality - want.1).abs() < 5e-7, "{h:?}");
        }
        assert_eq!(digits(aiq_compat(&[p])[0]), expected_aiq);
    }

    // Reference values come from a run of the function linked in the module docs.

    #[test]
    fn last_point_below_the_inner_ones_is_dropped() {
        check(&[(1.0, 0.5), (2.0, 0.9), (3.0, 0.8)], &[(1.0, 0.5), (2.0, 0.9)], "0.35000000");
    }

    #[test]
    fn inner_points_are_raised_not_removed() {
        check(
            &[(0.1, 0.3), (0.5, 0.35), (1.0, 0.7), (2.0, 0.72), (4.0, 0.71)],
            &[(0.1, 0.3), (0.5, 0.477_778), (1.0, 0.7), (2.0, 0.72)],
            "0.58000000",
        );
    }

    #[test]
    fn of_equal_first_costs_the_first_is_kept_and_the_other_serves_as_chord_end() {
        check(&[(1.0, 0.5), (1.0, 0.6), (2.0, 0.7), (3.0, 0.9)], &[(1.0, 0.5), (2.0, 0.75), (3.0, 0.9)], "0.48333333");
    }

    #[test]
    fn two_routers_share_the_greatest_cost() {
        let a = points(&[(0.1, 0.3), (1.0, 0.7), (2.0, 0.8)]);
        let b = points(&[(0.2, 0.4), (3.0, 0.85), (1.5, 0.75)]);
        let both = aiq_compat(&[a, b]);
        assert_eq!((digits(both[0]), digits(both[1])), ("0.66666667".to_owned(), "0.64916667".to_owned()));
    }

    #[test]
    fn flat_tops_and_flat_curves() {
        check(&[(1.0, 0.2), (2.0, 0.9), (3.0, 0.9), (4.0, 0.5)], &[(1.0, 0.2), (2.0, 0.9), (3.0, 0.9)], "0.48333333");
        check(&[(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)], &[(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)], "0.33333333");
    }

    #[test]
    fn curve_from_the_origin() {
        check(
            &[(0.0, 0.0), (1.0, 0.1), (2.0, 0.9), (3.0, 1.0)],
            &[(0.0, 0.0), (1.0, 0.45), (2.0, 0.9), (3.0, 1.0)],
            "0.61666667",
        );
    }

    #[test]
    fn falling_points_give_zero() {
        let p = points(&[(1.0, 0.9), (2.0, 0.5), (3.0, 0.2)]);
        assert_eq!(hull(&p), Ok(points(&[(1.0, 0.9)])));
        assert_eq!(aiq_compat(&[p]), [Some(0.0)]);
    }

    #[test]
    fn two_points_are_too_few() {
        let two = points(&[(1.0, 0.5), (2.0, 0.9)]);
        assert_eq!(hull(&two), Err(MetricsError::TooFewPoints { what: "hull", expected: 3, got: 2 }));
        assert_eq!(hull(&[]), Err(MetricsError::TooFewPoints { what: "hull", expected: 3, got: 0 }));
        let three = points(&[(1.0, 0.5), (2.0, 0.9), (3.0, 0.8)]);
        assert_eq!(aiq_compat(&[two, three.clone()]), [None, aiq_compat(&[three])[0]]);
        assert!(matches!(hull(&points(&[(f64::NAN, 0.5)])), Err(MetricsError::NotFinite { .. })));
    }

    #[test]
    fn free_routers_have_no_compat_value() {
        assert_eq!(aiq_compat(&[points(&[(-2.0, 0.1), (-1.0, 0.2), (0.0, 0.3)])]), [None]);
    }

    #[test]
    fn paper_and_code_differ() {
        let p = points(&[(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)]);
        assert_eq!(aiq_paper(&p, 1.0, 3.0), Some(0.5));
        assert_eq!(digits(aiq_compat(&[p])[0]), "0.33333333");
        assert_eq!(aiq_paper(&[], 1.0, 3.0), None);
    }
}
