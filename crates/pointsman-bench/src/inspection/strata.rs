//! What a table of tasks would gain, by cross-validation on sums.
//!
//! Everything is a function of sums over strata: block × task × model hold number, quality and cost. A *policy* sends
//! each task to the model of greatest λ·q − c, both means over the other folds (a fold is every fifth block); its
//! value is measured on the fold itself: Σ share of the stratum × mean of the chosen model there. Every prompt is so
//! judged by a table that has not seen it, and no curve is pruned on what it is measured by. With one task for all,
//! the same procedure gives the zero router (at λ → ∞ the best single model), so differences are paired.
//!
//! Where cells are missing the means are over the observed ones, which takes them to be missing at random within a
//! task. A stratum in which nobody ran the chosen model stands at that model's mean over the other folds.
//!
//! Standard errors are the delete-one-block jackknife's with the choices held fixed; groups are never cut by blocks.
//! Work and memory do not grow with the prompts once the sums are made: O(blocks × tasks × models × λ).
//!
//! # References
//!
//! Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, 1982, chapter 3.

use pointsman_evals::Outcome;
use pointsman_metrics::mean_interval::Z_95;
use pointsman_metrics::{DeferralCurve, Point, hull_vertices};

use super::ground::{BLOCKS, Ground};
use crate::contest::N_FOLDS;
use crate::report::IntervalReport;
use crate::sweep::{choose, lambda_grid};

#[expect(clippy::cast_possible_truncation, reason = "five")]
const FOLDS: usize = N_FOLDS as usize;

/// One stratum of one model.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n: f64,
    quality: f64,
    cost: f64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.quality += other.quality;
        self.cost += other.cost;
    }

    fn without(mut self, other: Self) -> Self {
        self.n -= other.n;
        self.quality -= other.quality;
        self.cost -= other.cost;
        self
    }

    fn mean(self) -> Option<Point> {
        // Counts are whole numbers, so what is left after subtraction is zero or at least one.
        (self.n > 0.5).then(|| Point::new(self.cost / self.n, self.quality / self.n))
    }
}

/// Sums over block × task × model. The last task is that of prompts without one.
#[derive(Debug)]
pub(super) struct Strata {
    k: usize,
    n_tasks: usize,
    /// `[BLOCKS, n_tasks, k]`
    sums: Vec<Sum>,
    /// Prompts, `[BLOCKS, n_tasks]`.
    prompts: Vec<f64>,
}

/// What always the same model, the best mix and the table realise.
#[derive(Clone, Copy, Debug, Default)]
struct Realised {
    single: f64,
    table: f64,
    zero_aiq: Option<f64>,
    table_aiq: Option<f64>,
    /// 1 − cost of the table set for the best single model's quality / that model's cost.
    saving: Option<f64>,
    /// Quality of that setting − the best single model's.
    change: Option<f64>,
}

/// Cross-validated figures with 95 % intervals.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrossValidated {
    pub(super) quality_gain: IntervalReport,
    pub(super) table_quality: f64,
    pub(super) single_quality: f64,
    pub(super) aiq_gain: Option<IntervalReport>,
    pub(super) table_aiq: Option<f64>,
    pub(super) zero_aiq: Option<IntervalReport>,
    pub(super) saving: Option<IntervalReport>,
    pub(super) change: Option<IntervalReport>,
    pub(super) quality_se: f64,
    pub(super) aiq_se: Option<f64>,
}

impl Strata {
    pub(super) fn new(ground: &Ground<'_>) -> Self {
        let (k, n_tasks) = (ground.k(), ground.log.tasks.len() + 1);
        let mut sums = vec![Sum::default(); BLOCKS * n_tasks * k];
        let mut prompts = vec![0.0; BLOCKS * n_tasks];
        let mut cells: Vec<Option<&Outcome>> = Vec::with_capacity(k);
        for i in 0..ground.rows.len() {
            let stratum = ground.blocks[i] as usize * n_tasks + ground.task(i);
            prompts[stratum] += 1.0;
            ground.row(i, &mut cells);
            for (m, cell) in cells.iter().enumerate() {
                if let Some(cell) = cell {
                    let cost = if ground.costed { cell.cost_usd } else { 0.0 };
                    sums[stratum * k + m].add(Sum { n: 1.0, quality: cell.score.into(), cost });
                }
            }
        }
        Self { k, n_tasks, sums, prompts }
    }

    fn at(&self, block: usize, task: usize, model: usize) -> Sum {
        self.sums[(block * self.n_tasks + task) * self.k + model]
    }

    /// Mean cost and quality per model over all tasks, or one.
    pub(super) fn means(&self, task: Option<usize>) -> Vec<Option<Point>> {
        let tasks = task.map_or(0..self.n_tasks, |t| t..t + 1);
        (0..self.k)
            .map(|m| {
                let mut sum = Sum::default();
                for block in 0..BLOCKS {
                    tasks.clone().for_each(|t| sum.add(self.at(block, t, m)));
                }
                sum.mean()
            })
            .collect()
    }

    /// Prompts of one task.
    pub(super) fn n_prompts(&self, task: usize) -> f64 {
        (0..BLOCKS).map(|b| self.prompts[b * self.n_tasks + task]).sum()
    }

    /// `None` with fewer than two folds that hold prompts: nothing can be held out.
    pub(super) fn cross_validate(&self, costed: bool) -> Option<CrossValidated> {
        let plan = Plan::new(self, costed)?;
        let all = plan.realise(None);
        let blocks: Vec<usize> = (0..BLOCKS).filter(|&b| self.block_prompts(b) > 0.0).collect();
        let replicates: Vec<Realised> = blocks.iter().map(|&b| plan.realise(Some(b))).collect();
        let se = |figure: &dyn Fn(&Realised) -> Option<f64>| -> Option<f64> {
            let values: Vec<f64> = replicates.iter().map(figure).collect::<Option<_>>()?;
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            Some(((n - 1.0) / n * values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()).sqrt())
        };
        let interval = |figure: &dyn Fn(&Realised) -> Option<f64>| -> Option<IntervalReport> {
            let (value, se) = (figure(&all)?, se(figure)?);
            Some(IntervalReport { value, low: value - Z_95 * se, high: value + Z_95 * se })
        };
        let aiq_gain = |r: &Realised| Some(r.table_aiq? - r.zero_aiq?);
        Some(CrossValidated {
            quality_gain: interval(&|r| Some(r.table - r.single))?,
            table_quality: all.table,
            single_quality: all.single,
            aiq_gain: interval(&aiq_gain),
            table_aiq: all.table_aiq,
            zero_aiq: interval(&|r| r.zero_aiq),
            saving: interval(&|r| r.saving),
            change: interval(&|r| r.change),
            quality_se: se(&|r| Some(r.table - r.single))?,
            aiq_se: se(&aiq_gain),
        })
    }

    fn block_prompts(&self, block: usize) -> f64 {
        self.prompts[block * self.n_tasks..(block + 1) * self.n_tasks].iter().sum()
    }
}

/// The usual grid, and for every vertex of the hull of single models a λ that chooses it: the zero router must not lose
/// by a coarse grid.
fn lambdas(singles: &[Point]) -> Vec<f64> {
    let costs: Vec<f64> = singles.iter().map(|p| p.cost).collect();
    let mut lambdas = lambda_grid(&costs);
    let hull = hull_vertices(singles);
    let turns: Vec<f64> = hull
        .windows(2)
        .map(|w| (singles[w[1]].cost - singles[w[0]].cost) / (singles[w[1]].quality - singles[w[0]].quality))
        .collect();
    lambdas.extend(turns.windows(2).map(|w| (w[0] * w[1]).sqrt()).filter(|l| l.is_finite()));
    lambdas.sort_by(f64::total_cmp);
    lambdas
}

/// Choices of every fold, made on the other folds.
struct Plan<'s> {
    strata: &'s Strata,
    costed: bool,
    /// Sums and prompts of the fold itself: `[FOLDS][n_tasks * k]`, `[FOLDS][n_tasks]`.
    held_out: Vec<Vec<Sum>>,
    shares: Vec<Vec<f64>>,
    /// Beliefs of the other folds, `[FOLDS][n_tasks * k]`.
    beliefs: Vec<Vec<Point>>,
    /// Model per λ, fold and task: of the table, and of one for all.
    table: Vec<Vec<Vec<usize>>>,
    single: Vec<Vec<usize>>,
    /// Per fold the λ set for the best single model's quality.
    equal: Vec<usize>,
    cheapest: usize,
    dearest: usize,
}

impl<'s> Plan<'s> {
    fn new(strata: &'s Strata, costed: bool) -> Option<Self> {
        let (k, n_tasks) = (strata.k, strata.n_tasks);
        let overall: Vec<Point> = strata.means(None).into_iter().collect::<Option<_>>()?;
        let costs: Vec<f64> = overall.iter().map(|p| p.cost).collect();
        let by_cost = |a: &usize, b: &usize| costs[*a].total_cmp(&costs[*b]);
        // Without costs only λ → ∞ means anything.
        let lambdas = if costed { lambdas(&overall) } else { vec![f64::INFINITY] };
        let mut plan = Self {
            strata,
            costed,
            held_out: Vec::new(),
            shares: Vec::new(),
            beliefs: Vec::new(),
            table: vec![Vec::new(); lambdas.len()],
            single: vec![Vec::new(); lambdas.len()],
            equal: Vec::new(),
            cheapest: (0..k).min_by(by_cost)?,
            dearest: (0..k).rev().max_by(by_cost)?,
        };
        for fold in 0..FOLDS {
            let (mut held_out, mut other) = (vec![Sum::default(); n_tasks * k], vec![Sum::default(); n_tasks * k]);
            let (mut shares, mut weights) = (vec![0.0; n_tasks], vec![0.0; n_tasks]);
            for block in 0..BLOCKS {
                let is_held_out = block % FOLDS == fold;
                let target = if is_held_out { &mut held_out } else { &mut other };
                for (sum, s) in target.iter_mut().zip(&strata.sums[block * n_tasks * k..]) {
                    sum.add(*s);
                }
                let target = if is_held_out { &mut shares } else { &mut weights };
                for (sum, n) in target.iter_mut().zip(&strata.prompts[block * n_tasks..]) {
                    *sum += n;
                }
            }
            let total: f64 = weights.iter().sum();
            if total == 0.0 {
                return None;
            }
            let all: Vec<Point> = (0..k)
                .map(|m| {
                    let mut sum = Sum::default();
                    (0..n_tasks).for_each(|t| sum.add(other[t * k + m]));
                    // A model that the other folds never saw is believed to be useless and dear.
                    sum.mean().unwrap_or(Point::new(costs[m], 0.0))
                })
                .collect();
            // A task that the other folds do not know, and prompts without a task, go by the means of all. A model
            // that nobody ran on a known task is not chosen there.
            let beliefs: Vec<Point> = (0..n_tasks * k)
                .map(|at| {
                    let (t, m) = (at / k, at % k);
                    let known = t + 1 < n_tasks && other[t * k..(t + 1) * k].iter().any(|s| s.n > 0.5);
                    if known { other[at].mean().unwrap_or(Point::new(f64::NAN, f64::NAN)) } else { all[m] }
                })
                .collect();
            let (quality, cost): (Vec<f64>, Vec<f64>) = beliefs.iter().map(|p| (p.quality, p.cost)).unzip();
            let (all_quality, all_cost): (Vec<f64>, Vec<f64>) = all.iter().map(|p| (p.quality, p.cost)).unzip();
            for (l, &lambda) in lambdas.iter().enumerate() {
                let single = choose(&all_quality, &all_cost, lambda)? as usize;
                let tasks = quality.chunks_exact(k).zip(cost.chunks_exact(k));
                plan.table[l].push(tasks.map(|(q, c)| choose(q, c, lambda).map_or(single, |m| m as usize)).collect());
                plan.single[l].push(single);
            }
            let best = all[*plan.single.last()?.last()?].quality;
            let believed = |l: usize| -> f64 {
                let choice = &plan.table[l][fold];
                (0..n_tasks).map(|t| weights[t] / total * beliefs[t * k + choice[t]].quality.max(0.0)).sum()
            };
            plan.equal.push((0..lambdas.len()).find(|&l| believed(l) >= best - 1e-9).unwrap_or(lambdas.len() - 1));
            plan.held_out.push(held_out);
            plan.shares.push(shares);
            // For strata without the chosen model.
            plan.beliefs.push(
                (0..n_tasks * k).map(|at| if quality[at].is_nan() { all[at % k] } else { beliefs[at] }).collect(),
            );
        }
        Some(plan)
    }

    /// What the choices realise with one block left out.
    fn realise(&self, left_out: Option<usize>) -> Realised {
        let (k, n_tasks) = (self.strata.k, self.strata.n_tasks);
        // Per fold the realised point of every task and model, and the number of its prompts.
        let mut points: Vec<Vec<Point>> = Vec::with_capacity(FOLDS);
        let mut counts: Vec<Vec<f64>> = Vec::with_capacity(FOLDS);
        for fold in 0..FOLDS {
            let gone = left_out.filter(|b| b % FOLDS == fold);
            let point = |at: usize| {
                let mut sum = self.held_out[fold][at];
                if let Some(block) = gone {
                    sum = sum.without(self.strata.sums[block * n_tasks * k + at]);
                }
                sum.mean().unwrap_or(self.beliefs[fold][at])
            };
            points.push((0..n_tasks * k).map(point).collect());
            let count = |t: usize| self.shares[fold][t] - gone.map_or(0.0, |b| self.strata.prompts[b * n_tasks + t]);
            counts.push((0..n_tasks).map(count).collect());
        }
        let total: f64 = counts.iter().flatten().sum();
        if total <= 0.0 {
            return Realised::default();
        }
        let value = |choice: &dyn Fn(usize, usize) -> usize| -> Point {
            let mut sum = Point::new(0.0, 0.0);
            for fold in 0..FOLDS {
                for t in (0..n_tasks).filter(|&t| counts[fold][t] > 0.0) {
                    let (p, share) = (points[fold][t * k + choice(fold, t)], counts[fold][t] / total);
                    sum = Point::new(sum.cost + share * p.cost, sum.quality + share * p.quality);
                }
            }
            sum
        };
        let top = self.table.len() - 1;
        let single = value(&|fold, _| self.single[top][fold]);
        let table = value(&|fold, t| self.table[top][fold][t]);
        let mut realised = Realised { single: single.quality, table: table.quality, ..Realised::default() };
        if !self.costed {
            return realised;
        }
        let (start, end) = (value(&|_, _| self.cheapest), value(&|_, _| self.dearest));
        let aiq = |points: &[Point]| DeferralCurve::new(start, points).ok()?.aiq(start.cost, end.cost);
        let zero: Vec<Point> = (0..=top).map(|l| value(&|fold, _| self.single[l][fold])).collect();
        let tables: Vec<Point> = (0..=top).map(|l| value(&|fold, t| self.table[l][fold][t])).collect();
        realised.zero_aiq = aiq(&zero);
        realised.table_aiq = aiq(&tables);
        let equal = value(&|fold, t| self.table[self.equal[fold]][fold][t]);
        realised.saving = Some(1.0 - equal.cost / single.cost).filter(|s| s.is_finite());
        realised.change = Some(equal.quality - single.quality);
        realised
    }
}
