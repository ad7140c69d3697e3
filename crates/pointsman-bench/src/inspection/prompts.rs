//! What only single prompts tell: who alone is right, the oracle, how far models differ on the same prompts.

use rayon::prelude::*;

use pointsman_evals::Outcome;
use pointsman_metrics::{DeferralCurve, Point, hull_vertices};

use super::ground::Ground;
use super::noise::NoiseSums;
use crate::sweep::{choose, lambda_grid};

/// Score from which an answer counts as right, for shares of prompts. Graded scores are cut here; nothing else is.
pub(super) const RIGHT_FROM: f64 = 0.5;

/// Prompts a thread takes at a time; partial sums are added in order, so threads do not change a bit.
const CHUNK: usize = 16_384;

/// Scores nearer than this are equal.
const EQUAL: f64 = 1e-6;

/// Counts and sums over prompts.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptSums {
    pub(super) n: usize,
    /// Prompts that every model of the pool was run on.
    pub(super) complete: usize,
    pub(super) all_right: usize,
    pub(super) none_right: usize,
    pub(super) all_equal: usize,
    /// Per model: prompts that it alone has right, prompts where nobody scores higher.
    pub(super) only_right: Vec<usize>,
    pub(super) among_best: Vec<usize>,
    /// Σ of the best score.
    pub(super) oracle: f64,
    /// Oracle's Σ cost and quality per λ; empty without costs.
    pub(super) sweep: Vec<Point>,
    pub(super) noise: NoiseSums,
    /// Prompts with both, Σ d and Σ d² of the two best single models.
    pub(super) runner_up: [f64; 3],
    /// The same of best model there − best overall, per task.
    pub(super) margins: Vec<[f64; 3]>,
}

/// What the pass is told: by position in the pool.
#[derive(Debug)]
pub(super) struct Roles {
    /// Best first.
    pub(super) order: Vec<usize>,
    /// Best model per task; `None` where nobody was run.
    pub(super) task_best: Vec<Option<usize>>,
    /// λ of the oracle's sweep; empty without costs.
    pub(super) lambdas: Vec<f64>,
}

impl Roles {
    pub(super) fn lambdas(costs: &[f64]) -> Vec<f64> {
        lambda_grid(costs)
    }
}

impl PromptSums {
    pub(super) fn new(ground: &Ground<'_>, roles: &Roles) -> Self {
        let mut rank = vec![0; ground.k()];
        roles.order.iter().enumerate().for_each(|(place, &m)| rank[m] = place);
        let starts: Vec<usize> = (0..ground.rows.len()).step_by(CHUNK).collect();
        let parts: Vec<Self> = starts
            .par_iter()
            .map(|&from| {
                let mut sums = Self::empty(ground.k(), roles);
                let mut row = Row::default();
                for i in from..ground.rows.len().min(from + CHUNK) {
                    row.read(ground, i);
                    sums.add(&row, ground.task(i), roles, &rank);
                }
                sums
            })
            .collect();
        parts.iter().fold(Self::empty(ground.k(), roles), Self::joined)
    }

    fn empty(k: usize, roles: &Roles) -> Self {
        Self {
            only_right: vec![0; k],
            among_best: vec![0; k],
            sweep: vec![Point::new(0.0, 0.0); roles.lambdas.len()],
            margins: vec![[0.0; 3]; roles.task_best.len()],
            ..Self::default()
        }
    }

    fn add(&mut self, row: &Row<'_>, task: usize, roles: &Roles, rank: &[usize]) {
        self.n += 1;
        let difference = |sums: &mut [f64; 3], a: usize, b: usize| {
            let d = row.quality[a] - row.quality[b];
            if !d.is_nan() {
                *sums = [sums[0] + 1.0, sums[1] + d, sums[2] + d * d];
            }
        };
        if let [first, second, ..] = roles.order[..] {
            difference(&mut self.runner_up, first, second);
            if let Some(best) = roles.task_best[task] {
                difference(&mut self.margins[task], best, first);
            }
        }
        if row.quality.iter().any(|q| q.is_nan()) {
            return;
        }
        self.complete += 1;
        let (least, most) = row.quality.iter().fold((1.0_f64, 0.0_f64), |(l, h), &q| (l.min(q), h.max(q)));
        self.oracle += most;
        self.all_right += usize::from(least >= RIGHT_FROM);
        self.none_right += usize::from(most < RIGHT_FROM);
        self.all_equal += usize::from(most - least < EQUAL);
        let mut right = (0..row.quality.len()).filter(|&m| row.quality[m] >= RIGHT_FROM);
        if let (Some(only), None) = (right.next(), right.next()) {
            self.only_right[only] += 1;
        }
        for (n, q) in self.among_best.iter_mut().zip(&row.quality) {
            *n += usize::from(most - q < EQUAL);
        }
        for (point, &lambda) in self.sweep.iter_mut().zip(&roles.lambdas) {
            if let Some(m) = choose(&row.quality, &row.cost, lambda) {
                point.cost += row.cost[m as usize];
                point.quality += row.quality[m as usize];
            }
        }
        self.noise.add(&row.cells, rank);
    }

    fn joined(mut self, other: &Self) -> Self {
        fn each<T: Copy>(a: &mut [T], b: &[T], add: impl Fn(T, T) -> T) {
            a.iter_mut().zip(b).for_each(|(a, &b)| *a = add(*a, b));
        }
        let triple = |a: [f64; 3], b: [f64; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        self.n += other.n;
        self.complete += other.complete;
        self.all_right += other.all_right;
        self.none_right += other.none_right;
        self.all_equal += other.all_equal;
        self.oracle += other.oracle;
        each(&mut self.only_right, &other.only_right, |a, b| a + b);
        each(&mut self.among_best, &other.among_best, |a, b| a + b);
        each(&mut self.sweep, &other.sweep, |a, b| Point::new(a.cost + b.cost, a.quality + b.quality));
        each(&mut self.margins, &other.margins, triple);
        self.runner_up = triple(self.runner_up, other.runner_up);
        self.noise.n += other.noise.n;
        self.noise.best_single += other.noise.best_single;
        self.noise.one_run += other.noise.one_run;
        self.noise.at_most += other.noise.at_most;
        self.noise.at_least += other.noise.at_least;
        self.noise.variance += other.noise.variance;
        self
    }

    /// AIQ of the oracle between the cheapest and the dearest single model.
    pub(super) fn oracle_aiq(&self, singles: &[Point]) -> Option<f64> {
        let by_cost = |a: &&Point, b: &&Point| a.cost.total_cmp(&b.cost);
        let (start, end) = (singles.iter().min_by(by_cost)?, singles.iter().max_by(by_cost)?);
        let n = self.complete as f64;
        let points: Vec<Point> = self.sweep.iter().map(|p| Point::new(p.cost / n, p.quality / n)).collect();
        let kept: Vec<Point> = hull_vertices(&points).into_iter().map(|v| points[v]).collect();
        DeferralCurve::new(*start, &kept).ok()?.aiq(start.cost, end.cost)
    }
}

/// One prompt over the pool.
#[derive(Default)]
struct Row<'a> {
    cells: Vec<Option<&'a Outcome>>,
    quality: Vec<f64>,
    cost: Vec<f64>,
}

impl<'a> Row<'a> {
    fn read(&mut self, ground: &Ground<'a>, i: usize) {
        ground.row(i, &mut self.cells);
        self.quality.clear();
        self.quality.extend(self.cells.iter().map(|c| c.map_or(f64::NAN, |c| f64::from(c.score))));
        self.cost.clear();
        self.cost.extend(self.cells.iter().map(|c| c.map_or(f64::NAN, |c| c.cost_usd)));
    }
}
