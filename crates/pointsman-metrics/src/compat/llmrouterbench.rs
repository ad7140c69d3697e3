//! `LLMRouterBench`: averages over datasets, its oracle, and gains relative to them.
//!
//! # References
//!
//! *`LLMRouterBench`*, 2026; code: `baselines/aggregators.py` at
//! <https://github.com/ynulihao/LLMRouterBench/tree/0e267fb1a3c469d33f1b738b50975680f14fae30>.

use crate::error::{MetricsError, check_finite, check_length};

/// Outcomes of every model on every query of several datasets.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes<'a> {
    /// Quality, `[n, n_models]`.
    pub quality: &'a [f64],
    /// Cost, USD, `[n, n_models]`.
    pub cost: &'a [f64],
    /// Dataset of each query, numbered from 0 without holes, `[n]`.
    pub dataset: &'a [u32],
    /// k.
    pub n_models: usize,
}

/// The rows of its summary table. Quality is the unweighted mean over datasets, cost the sum over all queries in USD.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Quality of each model alone, `[n_models]`.
    pub quality: Vec<f64>,
    /// Cost of each model alone, `[n_models]`.
    pub cost: Vec<f64>,
    /// Quality of a uniform choice.
    ///
    /// DIFFERENCE: the expected value; the original draws once with a seed.
    pub random: f64,
    /// Cost of a uniform choice, as [`Self::random`].
    pub random_cost: f64,
    /// Best model of each dataset (chosen on the same outcomes), averaged.
    pub max_expert: f64,
    /// Its cost; of equally good models that of the first.
    pub max_expert_cost: f64,
    /// What the original prints as its cost over all datasets: the cost of the dearest model, whichever is the expert.
    pub max_expert_cost_printed: f64,
    /// Share of queries that any model scored above 0 on: partial credit counts as a whole.
    pub oracle: f64,
    /// Cost of the cheapest model that scored above 0, of the cheapest of all where none did.
    pub oracle_cost: f64,
}

/// Computes the summary table.
///
/// # Errors
///
/// If lengths differ, nothing is given, a value is not finite or a dataset has no query.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::llmrouterbench::{Outcomes, summary};
///
/// let s = summary(&Outcomes {
///     quality: &[1.0, 0.0, 0.2, 0.0, 0.0, 1.0],
///     cost: &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0],
///     dataset: &[0, 0, 1],
///     n_models: 2,
/// })?;
/// assert_eq!(s.quality, [0.3, 0.5]); // (0.6 + 0) / 2 and (0 + 1) / 2: datasets count alike
/// assert_eq!((s.max_expert, s.oracle), (0.8, 1.0)); // 0.2 counts as right
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn summary(outcomes: &Outcomes<'_>) -> Result<Summary, MetricsError> {
    let Outcomes { quality, cost, dataset, n_models: k } = *outcomes;
    if k == 0 {
        return Err(MetricsError::Empty { what: "models" });
    }
    check_length("quality", quality.len(), dataset.len() * k)?;
    check_length("cost", cost.len(), dataset.len() * k)?;
    check_finite("quality", quality)?;
    check_finite("cost", cost)?;
    let n_datasets = dataset.iter().max().map_or(0, |&d| d as usize + 1);
    let mut n = vec![0.0; n_datasets];
    let mut sums = vec![0.0; n_datasets * k];
    let mut costs = vec![0.0; n_datasets * k];
    let mut solved = vec![0.0; n_datasets];
    let mut oracle_cost = 0.0;
    for (row, &d) in dataset.iter().enumerate() {
        let d = d as usize;
        let (q, c) = (&quality[row * k..(row + 1) * k], &cost[row * k..(row + 1) * k]);
        n[d] += 1.0;
        for m in 0..k {
            sums[d * k + m] += q[m];
            costs[d * k + m] += c[m];
        }
        let any = q.iter().any(|&q| q > 0.0);
        solved[d] += f64::from(u8::from(any));
        let least = (0..k).filter(|&m| !any || q[m] > 0.0).map(|m| c[m]).fold(f64::INFINITY, f64::min);
        oracle_cost += least;
    }
    if let Some(empty) = n.iter().position(|&n| n == 0.0) {
        return Err(MetricsError::OutOfRange {
            what: "queries of a dataset",
            position: empty,
            value: 0.0,
            domain: "[1, ∞)",
        });
    }
    let mean = |d: usize, m: usize| sums[d * k + m] / n[d];
    let over_datasets = |f: &dyn Fn(usize) -> f64| (0..n_datasets).map(f).sum::<f64>() / n_datasets as f64;
    let expert = |d: usize| (1..k).fold(0, |best, m| if mean(d, m) > mean(d, best) { m } else { best });
    let model_cost: Vec<f64> = (0..k).map(|m| (0..n_datasets).map(|d| costs[d * k + m]).sum()).collect();
    Ok(Summary {
        quality: (0..k).map(|m| over_datasets(&|d| mean(d, m))).collect(),
        random: over_datasets(&|d| (0..k).map(|m| mean(d, m)).sum::<f64>() / k as f64),
        random_cost: model_cost.iter().sum::<f64>() / k as f64,
        max_expert_cost_printed: model_cost.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        cost: model_cost,
        max_expert: over_datasets(&|d| mean(d, expert(d))),
        max_expert_cost: (0..n_datasets).map(|d| costs[d * k + expert(d)]).sum(),
        oracle: over_datasets(&|d| solved[d] / n[d]),
        oracle_cost,
    })
}

/// Gain@R and Gain@B: how far `quality` is above a reference (random, best single), as a share of the reference.
/// `None` if that is not finite.
pub fn gain(quality: f64, reference: f64) -> Option<f64> {
    Some(quality / reference - 1.0).filter(|g| g.is_finite())
}

/// Gap@O: how far `quality` is below the oracle, as a share of the oracle. `None` if that is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::compat::llmrouterbench::{gain, gap_to_oracle};
///
/// assert_eq!(gain(0.75, 0.5), Some(0.5));
/// assert_eq!(gap_to_oracle(0.75, 1.0), Some(0.25));
/// assert_eq!(gain(0.0, 0.0), None);
/// ```
pub fn gap_to_oracle(quality: f64, oracle: f64) -> Option<f64> {
    gain(quality, oracle).map(|g| 0.0 - g)
}

/// `CostSave`: 1 − cost of the cheapest configuration at least as good as the best single model / that model's cost.
/// `points` are (cost, quality) of the configurations. `None` if no configuration is that good, or the cost is 0.
pub fn cost_save(points: &[crate::Point], best_single: crate::Point) -> Option<f64> {
    let cheapest = points.iter().filter(|p| p.quality >= best_single.quality).map(|p| p.cost).min_by(f64::total_cmp)?;
    Some(1.0 - cheapest / best_single.cost).filter(|s| s.is_finite())
}

/// `PerfGain`: quality of the best configuration / quality of the best single model − 1. `None` if that is not finite.
pub fn perf_gain(points: &[crate::Point], best_single: crate::Point) -> Option<f64> {
    gain(points.iter().map(|p| p.quality).max_by(f64::total_cmp)?, best_single.quality)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "expected values are exact in binary")]
mod tests {
    use super::*;
    use crate::Point;

    #[test]
    fn costs_are_sums_and_the_oracle_pays_for_the_cheapest_right_answer() {
        let s = summary(&Outcomes {
            quality: &[0.0, 1.0, 0.0, 0.0],
            cost: &[1.0, 5.0, 2.0, 3.0],
            dataset: &[0, 0],
            n_models: 2,
        })
        .expect("valid");
        assert_eq!((s.cost, s.oracle_cost), (vec![3.0, 8.0], 7.0));
        assert_eq!((s.random_cost, s.max_expert_cost, s.oracle), (5.5, 8.0, 0.5));
    }

    #[test]
    fn equally_good_experts_cost_what_the_first_costs() {
        let outcomes = Outcomes { quality: &[0.5, 0.5], cost: &[2.0, 1.0], dataset: &[0], n_models: 2 };
        assert_eq!(summary(&outcomes).expect("valid").max_expert_cost, 2.0);
    }

    #[test]
    fn the_printed_cost_of_the_expert_is_the_dearest_models() {
        let outcomes = Outcomes { quality: &[1.0, 0.5], cost: &[1.0, 9.0], dataset: &[0], n_models: 2 };
        let s = summary(&outcomes).expect("valid");
        assert_eq!((s.max_expert_cost, s.max_expert_cost_printed), (1.0, 9.0));
    }

    #[test]
    fn savings_count_configurations_that_are_good_enough() {
        let points = [Point::new(1.0, 0.4), Point::new(2.0, 0.6), Point::new(3.0, 0.9)];
        assert_eq!(cost_save(&points, Point::new(4.0, 0.6)), Some(0.5));
        assert_eq!(cost_save(&points, Point::new(4.0, 0.95)), None);
        assert!((perf_gain(&points, Point::new(4.0, 0.6)).expect("defined") - 0.5).abs() < 1e-12);
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors() {
        let good = Outcomes { quality: &[0.5, 0.5], cost: &[2.0, 1.0], dataset: &[0], n_models: 2 };
        assert!(summary(&Outcomes { dataset: &[1], ..good }).is_err());
        assert!(summary(&Outcomes { n_models: 0, ..good }).is_err());
        assert!(summary(&Outcomes { quality: &[0.5], ..good }).is_err());
        assert!(summary(&Outcomes { cost: &[0.5, f64::NAN], ..good }).is_err());
    }
}
