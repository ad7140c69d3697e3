//! The deferral curve: quality against cost as the policy parameter sweeps.
//!
//! A hull taken over points measured on the evaluated outcomes rewards noise, since it keeps whatever happened
//! to come out high. So the choice is made elsewhere: [`hull_vertices`] picks settings from points measured on
//! training outcomes, and [`DeferralCurve`] joins the same settings' evaluated points without pruning any.
//!
//! # References
//!
//! - AIQ: Hu et al., *`RouterBench`*, 2024, arXiv:2403.12031, section 4. There the hull is taken on the evaluated
//!   points; here it is not (see above). [`crate::compat::routerbench`] has the published construction.
//! - QNC and area: Jitkrittum et al., *Universal Model Routing for Efficient LLM Inference*, 2025,
//!   arXiv:2502.08773. There the curve is cleaned of dominated points first; here it is not, for the same reason.

use crate::error::MetricsError;

/// One point of the cost–quality plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Mean cost, USD per query.
    pub cost: f64,
    /// Mean quality, in `[0, 1]`.
    pub quality: f64,
}

impl Point {
    /// A point from its coordinates.
    pub const fn new(cost: f64, quality: f64) -> Self {
        Self { cost, quality }
    }

    fn is_finite(self) -> bool {
        self.cost.is_finite() && self.quality.is_finite()
    }
}

/// Positions of the vertices of the non-decreasing upper hull of `points`, by ascending cost.
///
/// The first vertex is the cheapest point (of equally cheap ones the best), the last is the best point (of
/// equally good ones the cheapest); slopes between vertices are positive and strictly falling. Points on a chord
/// are not vertices; of identical points the first is. Points with a coordinate that is not finite are passed
/// over, so the result is empty only if nothing finite is given. O(s log s).
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Point, hull_vertices};
///
/// let points = [Point::new(3.0, 0.9), Point::new(1.0, 0.2), Point::new(2.0, 0.4), Point::new(4.0, 0.8)];
/// assert_eq!(hull_vertices(&points), [1, 0]); // the third is under the chord, the fourth past the best
/// assert!(hull_vertices(&[]).is_empty());
/// ```
pub fn hull_vertices(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).filter(|&i| points[i].is_finite()).collect();
    order.sort_by(|&a, &b| {
        points[a].cost.total_cmp(&points[b].cost).then(points[b].quality.total_cmp(&points[a].quality)).then(a.cmp(&b))
    });
    let mut hull: Vec<usize> = Vec::new();
    for i in order {
        let p = points[i];
        if hull.last().is_some_and(|&top| points[top].quality >= p.quality) {
            continue;
        }
        while let [.., a, b] = hull[..] {
            let (a, b) = (points[a], points[b]);
            // b lies on or under the chord from a to p.
            let cross = (b.quality - a.quality) * (p.cost - a.cost) - (p.quality - a.quality) * (b.cost - a.cost);
            if cross > 0.0 {
                break;
            }
            hull.pop();
        }
        hull.push(i);
    }
    hull
}

/// The evaluated points of chosen settings, joined by straight lines.
///
/// Between two points the router mixes the two settings at random, which is the straight line. Left of its first
/// point the curve starts at `start`, the cheapest single model; right of its last point it is flat.
///
/// `start` anchors only the part left of every point. If a point costs no more than `start` (a router may find
/// someone cheaper per query than the model that is cheapest on average), nothing is missing on the left, and
/// `start` is left out unless it costs the same as the first point, where it comes before it. Left of all points
/// the curve is flat.
#[derive(Clone, Debug, PartialEq)]
pub struct DeferralCurve {
    /// Ascending by cost, not empty, finite.
    points: Vec<Point>,
}

impl DeferralCurve {
    /// Joins `points`, given by ascending *training* cost, in the order of their own cost.
    ///
    /// Of points with equal cost the one given later (dearer on train) comes later: the curve jumps there, and
    /// the later one is its value.
    ///
    /// # Errors
    ///
    /// If a coordinate is not finite. An empty `points` gives the flat curve through `start`.
    pub fn new(start: Point, points: &[Point]) -> Result<Self, MetricsError> {
        for (position, p) in std::iter::once(&start).chain(points).enumerate() {
            for (what, value) in [("point cost", p.cost), ("point quality", p.quality)] {
                if !value.is_finite() {
                    return Err(MetricsError::NotFinite { what, position, value });
                }
            }
        }
        let mut joined = Vec::with_capacity(points.len() + 1);
        if points.iter().all(|p| p.cost >= start.cost) {
            joined.push(start);
        }
        joined.extend_from_slice(points);
        joined.sort_by(|a, b| a.cost.total_cmp(&b.cost)); // stable: equal costs keep the training order
        Ok(Self { points: joined })
    }

    /// The points of the curve, ascending by cost, `start` included where it is used; never empty.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Quality at a cost in USD per query; flat outside the curve. NaN gives the first point's quality.
    pub fn quality_at(&self, cost: f64) -> f64 {
        let right = self.points.partition_point(|p| p.cost <= cost);
        if right == 0 {
            return self.points[0].quality;
        }
        let a = self.points[right - 1];
        self.points.get(right).map_or(a.quality, |&b| between(a, b, cost))
    }

    /// The least cost at which the curve first reaches `quality`, in USD per query; `None` if it never does.
    ///
    /// If its first point already does, that is the first point's cost.
    pub fn cost_at(&self, quality: f64) -> Option<f64> {
        let first = self.points[0];
        if first.quality >= quality {
            return Some(first.cost);
        }
        self.points.windows(2).find(|w| w[1].quality >= quality).map(|w| {
            let (a, b) = (w[0], w[1]);
            a.cost + (b.cost - a.cost) * (quality - a.quality) / (b.quality - a.quality)
        })
    }

    /// ∫ quality d cost over `[from, to]`, exact; zero if `to <= from`.
    pub fn integral(&self, from: f64, to: f64) -> f64 {
        if to.partial_cmp(&from) != Some(std::cmp::Ordering::Greater) {
            return 0.0;
        }
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        let mut sum = (to.min(first.cost) - from).max(0.0) * first.quality;
        for w in self.points.windows(2) {
            let (left, right) = (from.max(w[0].cost), to.min(w[1].cost));
            if right > left {
                sum += (right - left) * (between(w[0], w[1], left) + between(w[0], w[1], right)) / 2.0;
            }
        }
        sum + (to - from.max(last.cost)).max(0.0) * last.quality
    }

    /// Mean quality over the cost range `[c_lo, c_hi]`: AIQ in its strict form.
    ///
    /// `c_lo` and `c_hi` are the evaluated mean costs of the cheapest and the dearest single model of the pool
    /// (by training cost). `None` if either is not finite or the range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use pointsman_metrics::{DeferralCurve, Point};
    ///
    /// let start = Point::new(1.0, 0.5);
    /// let curve = DeferralCurve::new(start, &[Point::new(2.0, 0.9), Point::new(3.0, 0.8)])?;
    /// // (0.5 + 0.9)/2 on [1, 2], (0.9 + 0.8)/2 on [2, 3], flat 0.8 on [3, 5]
    /// assert!((curve.aiq(1.0, 5.0).expect("a range") - (0.7 + 0.85 + 1.6) / 4.0).abs() < 1e-12);
    /// assert_eq!(curve.aiq(1.0, 1.0), None);
    /// # Ok::<(), pointsman_metrics::MetricsError>(())
    /// ```
    pub fn aiq(&self, c_lo: f64, c_hi: f64) -> Option<f64> {
        (c_lo.is_finite() && c_hi.is_finite() && c_lo < c_hi).then(|| self.integral(c_lo, c_hi) / (c_hi - c_lo))
    }

    /// Quality-neutral cost: the least cost at which the curve reaches the reference model's quality, divided by
    /// the reference's cost.
    ///
    /// `None` where the curve never does (print it as more than 100 %) or the reference costs nothing.
    pub fn qnc(&self, reference: Point) -> Option<f64> {
        if !(reference.cost > 0.0 && reference.cost.is_finite()) {
            return None;
        }
        Some(self.cost_at(reference.quality)? / reference.cost)
    }

    /// Mean quality over costs from nothing to `share` of the dearest model's cost, flat outside the curve.
    ///
    /// `None` unless `share` and `dearest_cost` are positive and finite.
    pub fn area(&self, share: f64, dearest_cost: f64) -> Option<f64> {
        let to = share * dearest_cost;
        (share > 0.0 && to > 0.0 && to.is_finite()).then(|| self.integral(0.0, to) / to)
    }
}

/// Share of the distance from the best single model to the oracle that a router covers.
///
/// (quality − best single) / (oracle − best single); negative if the router is worse than the best single model.
/// `None` if there is no distance to cover, or a value is not finite.
///
/// # Examples
///
/// ```
/// assert_eq!(pointsman_metrics::gap_closed(0.75, 0.5, 1.0), Some(0.5));
/// assert_eq!(pointsman_metrics::gap_closed(0.75, 1.0, 1.0), None);
/// ```
pub fn gap_closed(quality: f64, best_single: f64, oracle: f64) -> Option<f64> {
    let closed = (quality - best_single) / (oracle - best_single);
    (oracle > best_single && closed.is_finite()).then_some(closed)
}

/// Value at `cost` of the line from `a` to `b`; the later point where both cost the same.
fn between(a: Point, b: Point, cost: f64) -> f64 {
    let width = b.cost - a.cost;
    if width <= 0.0 { b.quality } else { a.quality + (b.quality - a.quality) * ((cost - a.cost) / width) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "expected values are exact in binary")]
mod tests {
    use super::*;

    fn points(list: &[(f64, f64)]) -> Vec<Point> {
        list.iter().map(|&(c, q)| Point::new(c, q)).collect()
    }

    fn curve(start: (f64, f64), list: &[(f64, f64)]) -> DeferralCurve {
        DeferralCurve::new(Point::new(start.0, start.1), &points(list)).expect("finite")
    }

    #[test]
    fn hull_of_one_point_is_itself() {
        assert_eq!(hull_vertices(&points(&[(1.0, 0.5)])), [0]);
    }

    #[test]
    fn hull_keeps_vertices_only() {
        // The second is on the chord from the first to the third.
        assert_eq!(hull_vertices(&points(&[(0.0, 0.0), (1.0, 0.25), (2.0, 0.5)])), [0, 2]);
        // Concave: all stay, whatever their order.
        assert_eq!(hull_vertices(&points(&[(3.0, 1.0), (0.0, 0.0), (1.0, 0.75)])), [1, 2, 0]);
    }

    #[test]
    fn hull_ends_at_the_cheapest_of_the_best() {
        assert_eq!(hull_vertices(&points(&[(1.0, 0.5), (2.0, 0.9), (3.0, 0.9), (4.0, 0.1)])), [0, 1]);
        assert_eq!(hull_vertices(&points(&[(1.0, 0.9), (2.0, 0.5)])), [0]);
    }

    #[test]
    fn hull_of_equal_costs_takes_the_best_and_of_equal_points_the_first() {
        assert_eq!(hull_vertices(&points(&[(1.0, 0.5), (1.0, 0.6), (1.0, 0.6), (3.0, 0.9)])), [1, 3]);
    }

    #[test]
    fn hull_passes_over_points_that_are_not_finite() {
        assert_eq!(hull_vertices(&points(&[(f64::NAN, 1.0), (1.0, 0.5), (2.0, f64::INFINITY)])), [1]);
    }

    #[test]
    fn hull_of_its_vertices_is_itself() {
        let mut rng = fastrand::Rng::with_seed(7);
        let cloud: Vec<Point> = (0..200).map(|_| Point::new(rng.f64(), rng.f64())).collect();
        let vertices: Vec<Point> = hull_vertices(&cloud).iter().map(|&i| cloud[i]).collect();
        let again = hull_vertices(&vertices);
        assert_eq!(again, (0..vertices.len()).collect::<Vec<_>>());
        let hull = DeferralCurve::new(vertices[0], &vertices).expect("finite");
        for p in &cloud {
            assert!(hull.quality_at(p.cost) >= p.quality - 1e-12);
        }
    }

    #[test]
    fn curve_starts_at_the_cheapest_single_model() {
        let c = curve((1.0, 0.4), &[(2.0, 0.8)]);
        assert_eq!(c.quality_at(1.0), 0.4);
        assert!((c.quality_at(1.5) - 0.6).abs() < 1e-15);
        assert_eq!(c.quality_at(9.0), 0.8);
        assert_eq!(c.quality_at(0.0), 0.4);
    }

    #[test]
    fn start_is_left_out_where_a_point_is_cheaper() {
        let c = curve((1.0, 0.9), &[(0.5, 0.4), (1.5, 0.6)]);
        assert_eq!(c.points(), points(&[(0.5, 0.4), (1.5, 0.6)]));
        assert_eq!(c.quality_at(1.0), 0.5);
        assert_eq!(c.aiq(1.0, 1.5), Some(0.55));
    }

    #[test]
    fn equal_costs_jump_to_the_one_dearer_on_train() {
        let c = curve((1.0, 0.3), &[(1.0, 0.5), (2.0, 0.7), (2.0, 0.6)]);
        assert_eq!(c.points()[0].quality, 0.3);
        assert_eq!(c.quality_at(1.0), 0.5);
        assert_eq!(c.quality_at(2.0), 0.6);
        assert_eq!(c.aiq(1.0, 2.0), Some(0.6));
    }

    #[test]
    fn points_are_not_pruned() {
        let c = curve((1.0, 0.5), &[(2.0, 0.3), (3.0, 0.5)]);
        assert_eq!(c.aiq(1.0, 3.0), Some(0.4));
    }

    #[test]
    fn constant_curve_has_its_height_as_aiq() {
        let c = curve((1.0, 0.5), &[]);
        assert_eq!(c.aiq(1.0, 4.0), Some(0.5));
        assert_eq!(c.aiq(4.0, 1.0), None);
        assert_eq!(c.aiq(f64::NAN, 1.0), None);
        assert_eq!(c.aiq(0.0, f64::INFINITY), None);
    }

    #[test]
    fn integral_clips_at_both_ends() {
        let c = curve((1.0, 0.0), &[(3.0, 1.0)]);
        assert_eq!(c.integral(1.5, 2.5), 0.5);
        assert_eq!(c.integral(0.0, 1.0), 0.0);
        assert_eq!(c.integral(3.0, 5.0), 2.0);
        assert_eq!(c.integral(4.0, 5.0), 1.0);
        assert_eq!(c.integral(0.0, 0.5), 0.0);
        assert_eq!(c.integral(2.0, 2.0), 0.0);
    }

    #[test]
    fn cost_at_is_the_first_crossing() {
        let c = curve((1.0, 0.2), &[(2.0, 0.6), (3.0, 0.4), (4.0, 0.8)]);
        assert_eq!(c.cost_at(0.1), Some(1.0));
        assert!((c.cost_at(0.5).expect("reached") - 1.75).abs() < 1e-12);
        assert!((c.cost_at(0.7).expect("reached") - 3.75).abs() < 1e-12);
        assert_eq!(c.cost_at(0.9), None);
    }

    #[test]
    fn qnc_is_relative_to_the_reference() {
        let c = curve((1.0, 0.2), &[(2.0, 0.6)]);
        assert_eq!(c.qnc(Point::new(4.0, 0.6)), Some(0.5));
        assert_eq!(c.qnc(Point::new(4.0, 0.7)), None);
        assert_eq!(c.qnc(Point::new(0.0, 0.6)), None);
    }

    #[test]
    fn area_averages_from_nothing_to_a_share_of_the_dearest() {
        let c = curve((1.0, 0.2), &[(2.0, 0.6)]);
        // 0.2 on [0, 1], mean 0.4 on [1, 2], 0.6 on [2, 4]
        assert!((c.area(1.0, 4.0).expect("defined") - 0.45).abs() < 1e-12);
        assert!((c.area(0.5, 4.0).expect("defined") - 0.3).abs() < 1e-12);
        assert_eq!(c.area(0.0, 4.0), None);
        assert_eq!(c.area(1.0, 0.0), None);
    }

    #[test]
    fn coordinates_must_be_finite() {
        let error = DeferralCurve::new(Point::new(0.0, 0.0), &points(&[(1.0, f64::NAN)])).expect_err("NaN");
        assert!(matches!(error, MetricsError::NotFinite { what: "point quality", position: 1, .. }));
    }

    #[test]
    fn gap_closed_has_no_value_without_a_gap() {
        assert_eq!(gap_closed(0.25, 0.5, 1.0), Some(-0.5));
        assert_eq!(gap_closed(0.5, 0.5, 0.5), None);
        assert_eq!(gap_closed(f64::NAN, 0.5, 1.0), None);
    }
}
