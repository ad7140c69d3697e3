//! `RouterArena`: its score of accuracy and cost.
//!
//! # References
//!
//! *`RouterArena`*, 2025, `router_evaluation/compute_scores.py` of its repository.

/// Cost at which the cost term is 0, USD per 1,000 queries.
pub const COST_MAX: f64 = 200.0;

/// Cost at which the cost term is 1, USD per 1,000 queries.
pub const COST_MIN: f64 = 0.0044;

/// Weight of accuracy against cost.
pub const BETA: f64 = 0.1;

/// The published formula: `S = (1 + β)·A·C / (β·A + C)` with
/// `C = (log₂ c_max − log₂ c) / (log₂ c_max − log₂ c_min)`.
///
/// `accuracy` A is in `[0, 1]`, `cost` c in USD per 1,000 queries. Past `COST_MAX` C is negative and S meaningless
/// (negative, then above 1): that is the original's, for the bounded form see [`score`]. `None` where the result
/// is not finite (no cost, no accuracy and cost `COST_MAX`).
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routerarena::score_compat;
///
/// assert_eq!(format!("{:.3}", score_compat(0.75, 1.0).unwrap()), "0.716");
/// assert_eq!(format!("{:.3}", score_compat(0.70, 1_000.0).unwrap()), "1.443");
/// assert_eq!(score_compat(0.75, 0.0), None);
/// ```
pub fn score_compat(accuracy: f64, cost: f64) -> Option<f64> {
    combine(accuracy, cost_term(cost))
}

/// The same with C clamped to `[0, 1]`, so that S stays in `[0, 1]` and never rises with cost. `None` if an argument is
/// NaN, the cost is negative or the accuracy is outside `[0, 1]`.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routerarena::score;
///
/// assert_eq!(score(0.7, 1_000.0), Some(0.0));
/// assert_eq!(score(0.7, 0.0), score(0.7, 0.0044));
/// assert_eq!(score(1.7, 1.0), None);
/// ```
pub fn score(accuracy: f64, cost: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&accuracy) || cost.is_nan() || cost < 0.0 {
        return None;
    }
    let c = cost_term(cost).clamp(0.0, 1.0);
    if c == 0.0 { Some(0.0) } else { combine(accuracy, c) }
}

fn cost_term(cost: f64) -> f64 {
    (COST_MAX.log2() - cost.log2()) / (COST_MAX.log2() - COST_MIN.log2())
}

fn combine(accuracy: f64, c: f64) -> Option<f64> {
    let s = (1.0 + BETA) * accuracy * c / (BETA * accuracy + c);
    s.is_finite().then_some(s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_values() {
        let table = [(0.01, "0.763"), (0.1, "0.746"), (1.0, "0.716"), (10.0, "0.650"), (100.0, "0.382")];
        for (cost, expected) in table {
            assert_eq!(format!("{:.3}", score_compat(0.75, cost).expect("finite")), expected);
            assert_eq!(score(0.75, cost), score_compat(0.75, cost));
        }
    }

    #[test]
    fn ends_of_the_cost_range() {
        assert_eq!(score_compat(0.7, COST_MAX), Some(0.0));
        assert_eq!(score(0.0, COST_MAX), Some(0.0));
        assert_eq!(score(1.0, COST_MIN), Some(1.0));
        assert!(score_compat(0.7, 300.0).expect("finite") < 0.0);
    }

    #[test]
    fn values_outside_the_domain_have_no_score() {
        assert_eq!(score(f64::NAN, 1.0), None);
        assert_eq!(score(0.5, f64::NAN), None);
        assert_eq!(score(0.5, -1.0), None);
        assert_eq!(score_compat(0.5, -1.0), None);
    }
}
