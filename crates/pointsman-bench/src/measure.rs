//! From entrants to figures with intervals: one pass per resample over all routers at once.
//!
//! Every figure that has an interval is a function of weighted sums of per-query arrays, so the point estimate and
//! each replicate go through the same code, with counts of one and with the counts of the resample. The curve, its
//! start, both ends of the cost range and the best single model's figures are recomputed in every resample; which
//! settings and which single models enter was decided on train and is not.

use rayon::prelude::*;

use pointsman_metrics::bootstrap::weighted_sums;
use pointsman_metrics::{DeferralCurve, DeferralOrder, Interval, Point, Resampler, gap_closed};

use crate::contest::Contest;
use crate::entrant::Entrant;
use crate::error::Error;

/// Level of all intervals.
pub(crate) const LEVEL: f64 = 0.95;

/// Resamples that share one pass over the arrays. A guess: enough to hide memory traffic, few enough that eight count
/// vectors of a large split stay in cache.
const BATCH: usize = 8;

/// Everything with an interval, of one router under one weighting of the queries. Undefined is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) aiq: Option<f64>,
    pub(crate) quality_max: Option<f64>,
    pub(crate) gap_closed: Option<f64>,
    pub(crate) quality_at_best_single_cost: Option<f64>,
    pub(crate) apgr: Option<f64>,
    pub(crate) saving: Option<f64>,
    pub(crate) quality_change: Option<f64>,
}

/// Point estimates and replicates of all routers.
pub(crate) struct Measurement {
    /// Per entrant.
    pub(crate) base: Vec<Figures>,
    /// Per resample and entrant.
    pub(crate) replicates: Vec<Vec<Figures>>,
    /// Curve of each entrant on the data as they are.
    pub(crate) curves: Vec<Option<DeferralCurve>>,
    pub(crate) c_lo: f64,
    pub(crate) c_hi: f64,
    /// Evaluated cost and quality of the best single model.
    pub(crate) best_single: Option<Point>,
}

impl Measurement {
    /// The interval of one figure of one router.
    pub(crate) fn interval(&self, entrant: usize, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Interval> {
        let value = figure(&self.base[entrant])?;
        Interval::percentile(value, self.replicates.iter().map(|r| figure(&r[entrant])), LEVEL)
    }

    /// The interval of the difference a − b on the same resamples.
    pub(crate) fn paired(&self, a: usize, b: usize, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Interval> {
        let difference = |f: &[Figures]| Some(figure(&f[a])? - figure(&f[b])?);
        Interval::percentile(difference(&self.base)?, self.replicates.iter().map(|r| difference(r)), LEVEL)
    }
}

impl Measurement {
    /// Two-sided p-value of the difference a − b being zero: a normal test with the resamples' standard deviation. (The share
    /// of resamples beyond zero would do where there is one comparison; among dozens, which are adjusted for, its least
    /// value of 2 / resamples would hide what is plain.) `None` where the difference is undefined or does not vary.
    pub(crate) fn p_value(&self, a: usize, b: usize, figure: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        let difference = |f: &[Figures]| Some(figure(&f[a])? - figure(&f[b])?);
        let value = difference(&self.base)?;
        let replicates = self.replicates.iter().filter_map(|r| difference(r)).filter(|d| d.is_finite());
        let (n, sum, squares) = replicates.fold((0.0, 0.0, 0.0), |(n, s, q), d| (n + 1.0, s + d, q + d * d));
        let sd = (squares / n - (sum / n).powi(2)).max(0.0).sqrt();
        (sd > 0.0).then(|| libm::erfc(value.abs() / sd * std::f64::consts::FRAC_1_SQRT_2))
    }
}

/// Measures all entrants. `pair` is (strong, weak).
pub(crate) fn measure(
    contest: &Contest<'_>,
    entrants: &[Entrant],
    pair: Option<(usize, usize)>,
    resampler: &Resampler,
    resamples: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Measurement, Error> {
    let plan = Plan::new(contest, entrants, pair)?;
    let rows = plan.rows(entrants);
    let ones = vec![1.0; contest.n_queries()];
    let sums = weighted_sums(&rows, std::slice::from_ref(&ones));
    let base = plan.figures(&sums, &ones);
    let base_means = plan.means(&sums, contest.n_queries() as f64);
    let curves = base_means.curves.clone();

    let mut replicates = Vec::with_capacity(resamples);
    let indices: Vec<u64> = (0..resamples as u64).collect();
    // In a few large parts, so that progress can be told from this thread.
    for part in indices.chunks(resamples.div_ceil(20).next_multiple_of(BATCH)) {
        progress(replicates.len(), resamples);
        let figures: Vec<Vec<Figures>> = part
            .par_chunks(BATCH)
            .flat_map_iter(|batch| {
                let counts: Vec<Vec<f64>> = batch.iter().map(|&b| resampler.counts(b)).collect();
                let sums = weighted_sums(&rows, &counts);
                let n_rows = rows.len();
                let plan = &plan;
                counts.into_iter().enumerate().map(move |(b, c)| plan.figures(&sums[b * n_rows..(b + 1) * n_rows], &c))
            })
            .collect();
        replicates.extend(figures);
    }
    Ok(Measurement {
        base,
        replicates,
        curves,
        c_lo: base_means.c_lo,
        c_hi: base_means.c_hi,
        best_single: base_means.best_single,
    })
}

/// Which rows are summed and what is made of the sums.
struct Plan {
    /// Columns of single models and the oracle, computed once: cheapest cost and quality, dearest cost, oracle quality,
    /// then best single cost and quality where there is one.
    shared: Vec<Vec<f64>>,
    has_best_single: bool,
    entrants: Vec<EntrantPlan>,
    /// Quality of the strong and of the weak model.
    pair: Option<(Vec<f64>, Vec<f64>)>,
}

struct EntrantPlan {
    n_settings: Option<usize>,
    /// Position of the setting chosen on train for the best single model's quality.
    equal_quality: Option<usize>,
    order: Option<DeferralOrder>,
}

struct Means {
    curves: Vec<Option<DeferralCurve>>,
    points: Vec<Vec<Point>>,
    quality_max: Vec<Option<f64>>,
    c_lo: f64,
    c_hi: f64,
    oracle: f64,
    best_single: Option<Point>,
}

impl Plan {
    fn new(contest: &Contest<'_>, entrants: &[Entrant], pair: Option<(usize, usize)>) -> Result<Self, Error> {
        let (cost, quality) = (&contest.test.cost, &contest.test.quality);
        let mut shared = vec![
            contest.column(cost, contest.cheapest),
            contest.column(quality, contest.cheapest),
            contest.column(cost, contest.dearest),
            quality.chunks_exact(contest.n_models()).map(|q| q.iter().copied().fold(0.0, f64::max)).collect(),
        ];
        if let Some(train) = &contest.train {
            shared.push(contest.column(cost, train.best_single));
            shared.push(contest.column(quality, train.best_single));
        }
        let plans = entrants
            .iter()
            .map(|entrant| {
                Ok(EntrantPlan {
                    n_settings: entrant.choices.as_ref().map(|c| c.behaviour.n_settings()),
                    equal_quality: equal_quality_setting(contest, entrant).map(|(setting, _)| setting),
                    order: match (pair, &entrant.quality) {
                        (Some((strong, weak)), Some(q)) => pair_order(q, contest.n_models(), strong, weak)?,
                        _ => None,
                    },
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            shared,
            has_best_single: contest.train.is_some(),
            entrants: plans,
            pair: pair.map(|(s, w)| (contest.column(quality, s), contest.column(quality, w))),
        })
    }

    /// All rows to be summed, in the order that [`Self::means`] reads.
    fn rows<'r>(&'r self, entrants: &'r [Entrant]) -> Vec<&'r [f64]> {
        let mut rows: Vec<&[f64]> = self.shared.iter().map(Vec::as_slice).collect();
        for choices in entrants.iter().filter_map(|e| e.choices.as_ref()) {
            for s in 0..choices.behaviour.n_settings() {
                rows.push(choices.behaviour.cost(s));
                rows.push(choices.behaviour.quality(s));
            }
            rows.push(choices.max.quality(0));
        }
        rows
    }

    fn means(&self, sums: &[f64], total: f64) -> Means {
        let mut values = sums.iter().map(|s| s / total);
        let mut next = || values.next().expect("one sum per row");
        let start = Point::new(next(), next());
        let (c_hi, oracle) = (next(), next());
        let best_single = self.has_best_single.then(|| Point::new(next(), next()));
        let mut means = Means {
            curves: Vec::new(),
            points: Vec::new(),
            quality_max: Vec::new(),
            c_lo: start.cost,
            c_hi,
            oracle,
            best_single,
        };
        for entrant in &self.entrants {
            let points: Vec<Point> = (0..entrant.n_settings.unwrap_or(0)).map(|_| Point::new(next(), next())).collect();
            means.quality_max.push(entrant.n_settings.map(|_| next()));
            means.curves.push(entrant.n_settings.and_then(|_| DeferralCurve::new(start, &points).ok()));
            means.points.push(points);
        }
        means
    }

    fn figures(&self, sums: &[f64], counts: &[f64]) -> Vec<Figures> {
        let means = self.means(sums, counts.iter().sum());
        let best = means.best_single;
        self.entrants
            .iter()
            .enumerate()
            .map(|(e, entrant)| {
                let (curve, quality_max) = (means.curves[e].as_ref(), means.quality_max[e]);
                let equal = entrant.equal_quality.map(|s| means.points[e][s]);
                Figures {
                    aiq: curve.and_then(|c| c.aiq(means.c_lo, means.c_hi)),
                    quality_max,
                    gap_closed: quality_max.and_then(|q| gap_closed(q, best?.quality, means.oracle)),
                    quality_at_best_single_cost: curve.and_then(|c| Some(c.quality_at(best?.cost))),
                    apgr: entrant.order.as_ref().and_then(|order| {
                        let (strong, weak) = self.pair.as_ref()?;
                        order.curve(strong, weak, Some(counts)).ok()?.apgr()
                    }),
                    saving: equal.and_then(|p| Some(1.0 - p.cost / best?.cost).filter(|s| s.is_finite())),
                    quality_change: equal.and_then(|p| Some(p.quality - best?.quality)),
                }
            })
            .collect()
    }
}

/// The cheapest setting (on train) that reached the best single model's training quality, else the best one.
///
/// The second value says whether it did reach it.
pub(crate) fn equal_quality_setting(contest: &Contest<'_>, entrant: &Entrant) -> Option<(usize, bool)> {
    let target = contest.train.as_ref().map(|t| t.quality[t.best_single])?;
    let points = entrant.choices.as_ref()?.train_points.as_ref()?;
    // Ascending by training cost. The target is itself a mean of the same kind, hence the tolerance.
    match points.iter().position(|p| p.quality >= target - 1e-9) {
        Some(setting) => Some((setting, true)),
        None => Some((points.len().checked_sub(1)?, false)),
    }
}

/// Queries by predicted quality(strong) − quality(weak); those without a prediction stand at the mean of the others.
pub(crate) fn pair_order(
    quality: &[f64],
    n_models: usize,
    strong: usize,
    weak: usize,
) -> Result<Option<DeferralOrder>, Error> {
    let mut scores: Vec<f64> = quality.chunks_exact(n_models).map(|q| q[strong] - q[weak]).collect();
    let known: Vec<f64> = scores.iter().copied().filter(|s| s.is_finite()).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    for score in scores.iter_mut().filter(|s| !s.is_finite()) {
        *score = mean;
    }
    Ok(Some(DeferralOrder::new(&scores)?))
}
