//! What repeated runs say about the oracle: how much of its headroom is luck.
//!
//! The score of a cell (prompt i, model m) is a mean of R runs, its true quality plus noise. An oracle that picks the best
//! observed score also picks the luckiest run. What a router could reach at the very most is the *ceiling*
//!
//! ```text
//! C = mean over i of max over m of μ(i, m)        μ: true quality, ȳ: observed mean of R runs
//! ```
//!
//! which nobody can observe, but it lies between two figures that can be:
//!
//! - **at most** the mean over i of max over m of ȳ(i, m), the oracle of mean scores. Its bias is upward (Jensen) and
//!   shrinks as R grows.
//! - **at least** the oracle that picks by the means of R − 1 runs and is scored on the run left out. That run is
//!   independent of the pick, so its expectation is the pick's true quality, at most the best one's. Averaged over which
//!   run of each model is left out, exactly and without drawing: every model has a few (mean of the others, run left
//!   out) pairs, independent of the other models', and the chance that one of them is the greatest is a product.
//!
//! Assumptions: runs of a cell are independent and alike, models are run independently of each other, and scores are
//! not systematically higher where a prompt was repeated. A log keeps number, mean and variance of the runs; the runs
//! follow from them for two runs and for scores of 0 and 1. Graded scores of three or more runs are taken as two equally
//! frequent values with that mean and variance, an approximation.
//!
//! # References
//!
//! The pair of a low- and a high-biased estimate of an expected maximum is Broadie & Glasserman's, 1997,
//! doi:10.1016/S0165-1889(97)00029-8; that the maximum of noisy means flatters is Smith & Winkler's "optimizer's curse",
//! 2006, doi:10.1287/mnsc.1050.0451.

use pointsman_evals::Outcome;

/// Sums over the prompts every model of the pool was run on twice or more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NoiseSums {
    pub(super) n: usize,
    /// Expected score of an oracle that sees one run of each and is scored on that same run.
    pub(super) one_run: f64,
    pub(super) at_most: f64,
    pub(super) at_least: f64,
    /// The best single model on the same prompts.
    pub(super) best_single: f64,
    /// Mean over cells of the variance of one run.
    pub(super) variance: f64,
}

/// One way in which the runs of a cell may be split.
#[derive(Clone, Copy, Debug)]
struct Way {
    model: usize,
    chance: f64,
    /// Mean of the other runs, by which the model is picked.
    rest: f64,
    /// The run left out, by which the pick is scored.
    left_out: f64,
}

impl NoiseSums {
    /// Adds a prompt if every cell was repeated; `rank` orders models for ties, the best overall first.
    pub(super) fn add(&mut self, cells: &[Option<&Outcome>], rank: &[usize]) {
        let repeated = |o: &&Outcome| o.runs > 1 && o.score_variance.is_finite();
        if !cells.iter().all(|c| c.as_ref().is_some_and(repeated)) {
            return;
        }
        let cells: Vec<&Outcome> = cells.iter().flatten().copied().collect();
        let ways: Vec<Way> = cells.iter().enumerate().flat_map(|(m, cell)| ways(m, cell)).collect();
        self.n += 1;
        self.best_single += rank.iter().position(|&r| r == 0).map_or(0.0, |m| f64::from(cells[m].score));
        self.at_most += cells.iter().map(|c| f64::from(c.score)).fold(0.0, f64::max);
        self.variance += cells.iter().map(|c| f64::from(c.score_variance)).sum::<f64>() / cells.len() as f64;
        self.at_least += expected(&ways, cells.len(), rank, |w| w.rest, |w| w.left_out);
        self.one_run += expected(&ways, cells.len(), rank, |w| w.left_out, |w| w.left_out);
    }
}

/// The runs of a cell as (mean of the others, run left out) with their chances.
fn ways(model: usize, cell: &Outcome) -> Vec<Way> {
    let (runs, mean, variance) = (f64::from(cell.runs), f64::from(cell.score), f64::from(cell.score_variance));
    let binary = (variance - runs / (runs - 1.0) * mean * (1.0 - mean)).abs() < 1e-4;
    let values = if binary {
        [(1.0, mean), (0.0, 1.0 - mean)]
    } else {
        // Two values half the runs each: (a − b)² / 4 is the variance about the mean, (R − 1)/R of the unbiased one.
        let half = (variance * (runs - 1.0) / runs).sqrt();
        [(mean + half, 0.5), (mean - half, 0.5)]
    };
    let way = |(value, chance)| Way { model, chance, rest: (runs * mean - value) / (runs - 1.0), left_out: value };
    values.into_iter().filter(|(_, chance)| *chance > 0.0).map(way).collect()
}

/// Expected `score` of the way of greatest `key`, one way per model drawn by its chance, ties to the better rank.
fn expected(ways: &[Way], k: usize, rank: &[usize], key: impl Fn(&Way) -> f64, score: impl Fn(&Way) -> f64) -> f64 {
    // Means of the same runs in another order differ in the last bits, which must not decide ties.
    #[expect(clippy::cast_possible_truncation, reason = "scores are in [0, 1]")]
    let place = |w: &Way| (-(key(w) * 1e6).round() as i64, rank[w.model]);
    let mut order: Vec<&Way> = ways.iter().collect();
    order.sort_by_key(|w| place(w));
    // Downwards: a way is picked if no other model has drawn one of those already passed.
    let mut passed = vec![0.0_f64; k];
    let mut sum = 0.0;
    for way in order {
        let others: f64 = (0..k).filter(|&m| m != way.model).map(|m| 1.0 - passed[m]).product();
        sum += way.chance * others * score(way);
        passed[way.model] += way.chance;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_evals::CostSource;

    fn cell(runs: &[f64]) -> Outcome {
        let n = runs.len() as f64;
        let mean = runs.iter().sum::<f64>() / n;
        let variance = runs.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (n - 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
        let (score, score_variance) = (mean as f32, variance as f32);
        Outcome {
            prompt: 0,
            model: 0,
            runs: u32::try_from(runs.len()).expect("few"),
            score,
            score_variance,
            cost_usd: 1.0,
            cost_source: CostSource::Observed,
            input_tokens: f32::NAN,
            output_tokens: f32::NAN,
            latency_ms: f32::NAN,
            propensity: f32::NAN,
        }
    }

    /// Sums over `n` prompts whose true chances `truth` draws; also mean max μ.
    fn simulate(runs: usize, n: usize, truth: impl Fn(&mut fastrand::Rng) -> Vec<f64>) -> (NoiseSums, f64) {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut sums = NoiseSums::default();
        let mut ceiling = 0.0;
        for _ in 0..n {
            let mu = truth(&mut rng);
            ceiling += mu.iter().copied().fold(0.0, f64::max) / n as f64;
            let cells: Vec<Outcome> = mu
                .iter()
                .map(|p| cell(&(0..runs).map(|_| f64::from(u8::from(rng.f64() < *p))).collect::<Vec<_>>()))
                .collect();
            let cells: Vec<Option<&Outcome>> = cells.iter().map(Some).collect();
            sums.add(&cells, &[0, 1, 2, 3]);
        }
        (sums, ceiling)
    }

    #[test]
    fn the_true_ceiling_lies_between_the_two() {
        for runs in [2, 3, 8] {
            let (sums, ceiling) = simulate(runs, 4_000, |rng| (0..4).map(|_| rng.f64()).collect());
            let n = sums.n as f64;
            let (low, high, naive) = (sums.at_least / n, sums.at_most / n, sums.one_run / n);
            assert!(low < ceiling && ceiling < high, "{runs}: {low} {ceiling} {high}");
            assert!(naive > high - 0.01, "{naive} {high}");
        }
    }

    #[test]
    fn more_runs_close_the_bracket() {
        let width = |runs| {
            let (sums, _) = simulate(runs, 2_000, |rng| (0..4).map(|_| rng.f64()).collect());
            (sums.at_most - sums.at_least) / sums.n as f64
        };
        assert!(width(16) < 0.5 * width(3), "{} {}", width(16), width(3));
    }

    #[test]
    fn pure_luck_leaves_no_headroom() {
        // Every model is right half the time on every prompt: the oracle of one run scores 1 − 2⁻⁴, truth is 0.5.
        let (sums, _) = simulate(2, 6_000, |_| vec![0.5; 4]);
        let n = sums.n as f64;
        assert!((sums.one_run / n - 15.0 / 16.0).abs() < 0.01, "{}", sums.one_run / n);
        assert!((sums.at_least / n - 0.5).abs() < 0.02, "{}", sums.at_least / n);
        assert!((sums.variance / n - 0.25).abs() < 0.01);
    }

    #[test]
    fn two_graded_runs_are_recovered() {
        // Runs .2/.8 and .5/.5: the left-out run of the first is .8 when the rest is .2, and the other way round.
        let (a, b) = (cell(&[0.2, 0.8]), cell(&[0.5, 0.5]));
        let mut sums = NoiseSums::default();
        sums.add(&[Some(&a), Some(&b)], &[0, 1]);
        assert!((sums.at_least - (0.5 * 0.2 + 0.5 * 0.5)).abs() < 1e-6, "{}", sums.at_least);
        assert!((sums.one_run - (0.5 * 0.8 + 0.5 * 0.5)).abs() < 1e-6, "{}", sums.one_run);
    }

    #[test]
    fn prompts_with_a_single_run_do_not_count() {
        let once = Outcome { runs: 1, score_variance: f32::NAN, ..cell(&[1.0, 1.0]) };
        let mut sums = NoiseSums::default();
        sums.add(&[Some(&cell(&[1.0, 0.0])), Some(&once)], &[0, 1]);
        assert_eq!(sums.n, 0);
    }
}
