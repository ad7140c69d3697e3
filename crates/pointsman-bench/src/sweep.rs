//! Beliefs about quality and cost, swept over λ.

use rayon::prelude::*;

use pointsman_metrics::{Behaviour, Point, hull_vertices};

use crate::contest::Contest;
use crate::entrant::{Choices, Setting};
use crate::error::Error;

/// Values of λ per decade of the grid, and decades either side of the cost spread. λ trades USD for quality, and the
/// λ at which a router changes from one model to another is their cost difference / their predicted quality
/// difference: from the whole spread / 1 down to a ten-thousandth of it (two cheap models beside a dear one), and up
/// to the spread / 0.0001. Wider changes nothing; coarser loses vertices of the hull.
const PER_DECADE: i32 = 8;
const DECADES: i32 = 4;

/// What a router believes, `[n, n_models]` each. NaN quality: the model is not known to the router.
#[derive(Clone, Debug)]
pub(crate) struct Beliefs {
    pub(crate) quality: Vec<f64>,
    pub(crate) cost: Vec<f64>,
}

/// λ = 0 (always the cheapest by belief), a geometric grid scaled by the spread of the models' mean costs, and
/// λ = ∞ (quality alone).
pub(crate) fn lambda_grid(mean_costs: &[f64]) -> Vec<f64> {
    let low = mean_costs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = mean_costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = if high > low { high - low } else { 1.0 };
    let steps = -DECADES * PER_DECADE..=DECADES * PER_DECADE;
    let grid = steps.map(|i| spread * 10_f64.powf(f64::from(i) / f64::from(PER_DECADE)));
    std::iter::once(0.0).chain(grid).chain(std::iter::once(f64::INFINITY)).collect()
}

/// The model of greatest λ·quality − cost (for λ = ∞ of greatest quality); of equals the cheapest by belief, then the
/// first in catalogue order. Models of NaN quality are passed over; `None` if all are.
pub(crate) fn choose(quality: &[f64], cost: &[f64], lambda: f64) -> Option<u32> {
    let mut best: Option<(usize, f64)> = None;
    for m in 0..quality.len() {
        if quality[m].is_nan() {
            continue;
        }
        let utility = if lambda.is_infinite() { quality[m] } else { lambda * quality[m] - cost[m] };
        let better = best.is_none_or(|(b, top)| match utility.total_cmp(&top) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => cost[m] < cost[b],
            std::cmp::Ordering::Less => false,
        });
        if better {
            best = Some((m, utility));
        }
    }
    best.and_then(|(m, _)| u32::try_from(m).ok())
}

impl Beliefs {
    /// Choices at each λ, `[n_lambdas, n]`; a prompt without any belief goes to `fallback`.
    pub(crate) fn sweep(&self, lambdas: &[f64], n_models: usize, fallback: usize) -> Vec<Vec<u32>> {
        let fallback = u32::try_from(fallback).expect("pools are small");
        lambdas
            .par_iter()
            .map(|&lambda| {
                self.quality
                    .chunks_exact(n_models)
                    .zip(self.cost.chunks_exact(n_models))
                    .map(|(q, c)| choose(q, c, lambda).unwrap_or(fallback))
                    .collect()
            })
            .collect()
    }
}

/// Evaluates beliefs over the grid on the evaluated split. The settings kept are the hull vertices of `train_points`
/// (one per λ); without them, those of the evaluated points themselves.
pub(crate) fn swept_choices(
    contest: &Contest<'_>,
    beliefs: &Beliefs,
    lambdas: &[f64],
    train_points: Option<&[Point]>,
) -> Result<Choices, Error> {
    let choices = beliefs.sweep(lambdas, contest.n_models(), contest.fallback());
    let settings: Vec<Setting> = lambdas.iter().map(|&l| Setting::lambda(l)).collect();
    let top = lambdas.len() - 1; // λ = ∞ by construction of the grid
    Choices::select(contest, &settings, &choices, train_points, top)
}

/// Mean cost and quality of each list of choices over a dense matrix.
pub(crate) fn points(
    choices: &[Vec<u32>],
    cost: &[f64],
    quality: &[f64],
    n_models: usize,
) -> Result<Vec<Point>, Error> {
    choices.par_iter().map(|c| Ok(Behaviour::from_choices(c, cost, quality, n_models)?.means()[0])).collect()
}

/// Positions of the settings worth keeping, by ascending cost.
pub(crate) fn kept(points: &[Point]) -> Vec<usize> {
    hull_vertices(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_cheapest_then_to_the_first() {
        assert_eq!(choose(&[0.5, 0.5, 0.4], &[2.0, 1.0, 0.5], f64::INFINITY), Some(1));
        assert_eq!(choose(&[0.5, 0.5], &[1.0, 1.0], f64::INFINITY), Some(0));
        // λ = 2: utilities 0, 0 and −0.2.
        assert_eq!(choose(&[1.0, 0.5, 0.4], &[2.0, 1.0, 1.0], 2.0), Some(1));
    }

    #[test]
    fn no_weight_on_quality_means_the_cheapest() {
        assert_eq!(choose(&[0.9, 0.1], &[2.0, 1.0], 0.0), Some(1));
    }

    #[test]
    fn unknown_models_are_passed_over() {
        assert_eq!(choose(&[f64::NAN, 0.1], &[1.0, 2.0], 0.0), Some(1));
        assert_eq!(choose(&[f64::NAN], &[1.0], 1.0), None);
    }

    #[test]
    fn grid_spans_from_cost_alone_to_quality_alone() {
        let grid = lambda_grid(&[0.5, 0.1, 1.1]);
        assert!(grid[0] == 0.0 && grid[grid.len() - 1].is_infinite());
        assert!(grid.windows(2).all(|w| w[0] < w[1]));
        assert!((grid[1] - 1e-4).abs() < 1e-12);
        assert_eq!(grid.len(), 67);
        assert!(lambda_grid(&[1.0]).iter().skip(1).all(|l| *l > 0.0));
    }
}
