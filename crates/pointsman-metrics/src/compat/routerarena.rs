//! `RouterArena`: its score of accuracy and cost, optimality of selections, and robustness.
//!
//! # References
//!
//! *`RouterArena`*, 2025; code: `router_evaluation/compute_scores.py` at
//! <https://github.com/RouteWorks/RouterArena/tree/4714a9ad73e897a1241e73a86c9297fed2e871d8>; optimality as in its pull
//! request 97.

use crate::error::{MetricsError, check_finite, check_length};

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

/// Its input to [`score_compat`]: mean accuracy, and cost per 1,000 queries, the sum of positive costs over *all* queries.
///
/// `None` without queries.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routerarena::accuracy_and_cost;
///
/// assert_eq!(accuracy_and_cost(&[1.0, 0.5], &[0.002, 0.0]), Some((0.75, 1.0)));
/// ```
pub fn accuracy_and_cost(accuracy: &[f64], cost: &[f64]) -> Option<(f64, f64)> {
    let n = accuracy.len() as f64;
    let total: f64 = cost.iter().filter(|c| **c > 0.0).sum();
    (n > 0.0).then(|| (accuracy.iter().sum::<f64>() / n, 1_000.0 * total / n))
}

/// How near a router's choices come to the oracle's, the cheapest model that is wholly right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimality {
    /// `Opt.Sel`: share of the queries with an oracle on which the router was right and chose the oracle's model.
    pub selection: f64,
    /// `Opt.Acc`: the router's summed accuracy / the oracle's, on those queries.
    pub accuracy: f64,
    /// `Opt.Cost`: the oracle's cost / the router's, summed over those where the router was right; `None` if it never
    /// was, or at no cost.
    pub cost: Option<f64>,
}

/// Computes them from outcomes `[n, n_models]` and the chosen model of each query, `[n]`. Queries that the router answered
/// with neither accuracy nor cost are passed over. `Ok(None)` if no query has an oracle.
///
/// # Errors
///
/// If lengths differ, nothing is given, a value is not finite, or a choice is no model.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::routerarena::optimality;
///
/// let (accuracy, cost) = ([1.0, 1.0, 0.0, 1.0], [0.1, 0.4, 0.1, 0.4]);
/// let o = optimality(&accuracy, &cost, &[1, 1], 2)?.expect("both have an oracle");
/// assert_eq!((o.selection, o.accuracy, o.cost), (0.5, 1.0, Some(0.625)));
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn optimality(
    accuracy: &[f64],
    cost: &[f64],
    choices: &[u32],
    n_models: usize,
) -> Result<Option<Optimality>, MetricsError> {
    super::check_matrices(accuracy, cost, n_models)?;
    check_length("choices", choices.len(), accuracy.len() / n_models)?;
    check_finite("cost", cost)?;
    if let Some(position) = choices.iter().position(|&c| c as usize >= n_models) {
        let value = f64::from(choices[position]);
        return Err(MetricsError::OutOfRange { what: "choice", position, value, domain: "[0, n_models)" });
    }
    let (mut n, mut hits, mut ours, mut oracles, mut paid, mut needed) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (row, &choice) in choices.iter().enumerate() {
        let (a, c) = (&accuracy[row * n_models..(row + 1) * n_models], &cost[row * n_models..(row + 1) * n_models]);
        let chosen = choice as usize;
        let oracle = (0..n_models).filter(|&m| a[m] >= 1.0).min_by(|&x, &y| c[x].total_cmp(&c[y]));
        let Some(oracle) = oracle.filter(|_| a[chosen] != 0.0 || c[chosen] != 0.0) else { continue };
        n += 1.0;
        ours += a[chosen];
        oracles += a[oracle];
        if a[chosen] >= 1.0 {
            hits += f64::from(u8::from(chosen == oracle));
            paid += c[chosen];
            needed += c[oracle];
        }
    }
    Ok((n > 0.0).then(|| Optimality {
        selection: hits / n,
        accuracy: ours / oracles,
        cost: (paid > 0.0).then(|| needed / paid),
    }))
}

/// Robustness: share of queries whose choice stays the same when the prompt is perturbed. `None` without queries.
///
/// # Panics
///
/// If the lists differ in length.
pub fn robustness(choices: &[u32], perturbed: &[u32]) -> Option<f64> {
    assert_eq!(choices.len(), perturbed.len(), "one perturbed choice per choice");
    let same = choices.iter().zip(perturbed).filter(|(a, b)| a == b).count();
    (!choices.is_empty()).then(|| same as f64 / choices.len() as f64)
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
    fn a_point_of_accuracy_is_worth_the_documented_multiple_of_cost() {
        for (cost, multiple) in [(0.1, 2.3), (0.3, 1.9), (1.0, 1.5)] {
            let base = score_compat(0.75, cost).expect("finite");
            let better_at = |x: f64| score_compat(0.76, cost * x).expect("finite") > base;
            assert!(better_at(multiple - 0.05) && !better_at(multiple + 0.05), "{cost}");
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
    fn queries_nobody_solves_or_that_failed_are_passed_over() {
        // No oracle; a failed call (no accuracy, no cost); wrong at a cost; right and cheapest.
        let accuracy = [0.5, 0.5, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        let cost = [0.1, 0.2, 0.0, 0.2, 0.1, 0.2, 0.1, 0.2];
        let o = optimality(&accuracy, &cost, &[0, 0, 0, 0], 2).expect("valid").expect("an oracle");
        assert_eq!(o, Optimality { selection: 0.5, accuracy: 0.5, cost: Some(1.0) });
        assert_eq!(optimality(&[0.5], &[0.1], &[0], 1), Ok(None));
        assert!(optimality(&[0.5], &[0.1], &[1], 1).is_err());
    }

    #[test]
    fn robustness_counts_what_stays() {
        assert_eq!(robustness(&[0, 1, 1, 0], &[0, 1, 0, 0]), Some(0.75));
        assert_eq!(robustness(&[], &[]), None);
    }

    #[test]
    fn values_outside_the_domain_have_no_score() {
        assert_eq!(score(f64::NAN, 1.0), None);
        assert_eq!(score(0.5, f64::NAN), None);
        assert_eq!(score(0.5, -1.0), None);
        assert_eq!(score_compat(0.5, -1.0), None);
    }
}
