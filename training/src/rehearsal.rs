//! The rehearsal: the router's own decisions on prompts that the deciding part never saw.
//!
//! Predictions and decisions come from the online code. From them follow the out-of-fold curve, the confidence that
//! a gain must reach before the best static choice is left, and whether there is anything to gain at all.

use pointsman::artifact::{Artifact, CurvePoint, DecisionRule, Document, Mode};
use pointsman::policy::Currency;
use pointsman::{Catalog, Limits, Objective, Policy, Predictions, Ranked, Ranking, Router};
use pointsman_evals::log::CostSource;
use pointsman_metrics::{Behaviour, DeferralCurve, Interval, Point, Resampler, hull_vertices};
use rayon::prelude::*;

use crate::crossfit::Part;
use crate::dataset::Dataset;
use crate::error::Error;

/// Shares of a predicted difference tried: how far to believe what is predicted.
const TRUSTS: [f64; 4] = [1.0, 0.75, 0.5, 0.25];

/// Confidences tried, once the trust is chosen: standard errors by which a gain must be positive.
const CONFIDENCES: [f64; 3] = [0.0, 0.5, 1.0];

/// Least gain in AIQ that is worth deciding prompt by prompt for: a tenth of a point. A smaller one can be clear of
/// chance and still be nothing that anybody would see.
const LEAST_GAIN: f64 = 1e-3;

/// Resamples behind the decision whether to route at all.
const RESAMPLES: u64 = 400;

/// Settings of the λ sweep: 8 per decade over 7 decades around the spread of costs, then quality alone.
const LAMBDAS_PER_DECADE: i32 = 8;

/// Prompts rehearsed on at most. The figures of 50,000 prompts are exact to a fifth of a point, and what a rehearsal
/// remembers (every setting's choice on every prompt) grows with them.
const MOST_REHEARSED: usize = 50_000;

/// Out-of-fold predictions and what choosing each model would have brought, `[n, k]` for the `n` prompts rehearsed on.
pub(crate) struct Rehearsal<'a> {
    data: &'a Dataset,
    /// The prompts, as rows of `data`: all of them, or an even sample.
    pub(crate) rows: Vec<usize>,
    /// Sample weights, `[n]`.
    weights: Vec<f64>,
    routers: Vec<Router>,
    part_of: Vec<usize>,
    pub(crate) predictions: Vec<Predictions>,
    /// Observed score, or the prediction where the cell is missing.
    pub(crate) quality: Vec<f64>,
    /// Observed cost, or the prediction; 0 where costs are not known at all.
    pub(crate) cost: Vec<f64>,
    /// Observed latency, or the prediction; empty where not known.
    latency: Vec<f64>,
    lambdas: Vec<f64>,
}

/// What a rule would have brought.
pub(crate) struct Trial {
    /// Settings on the train hull, by rising λ.
    pub(crate) lambdas: Vec<f64>,
    /// Cost and quality per setting and prompt.
    pub(crate) behaviour: Behaviour,
    /// Model chosen, `[settings, n]`.
    pub(crate) choices: Vec<u32>,
    /// Share of prompts on which the router held on to the static choice for lack of evidence, at λ = ∞.
    pub(crate) abstained: f64,
}

impl<'a> Rehearsal<'a> {
    pub(crate) fn new(data: &'a Dataset, document: &Document, parts: &[Part]) -> Self {
        let folds: Vec<&Part> = parts.iter().filter(|part| !part.held_out.is_empty()).collect();
        let routers: Vec<Router> = folds
            .iter()
            .map(|part| {
                let document = Document { costs: part.costs.clone(), dimensions: part.dimensions, ..document.clone() };
                Router::from_artifact(Artifact { document, weights: part.weights.clone() })
            })
            .collect();
        let mut fold_of = vec![0; data.n()];
        for (position, part) in folds.iter().enumerate() {
            for &row in &part.held_out {
                fold_of[row] = position;
            }
        }
        let rows = sample(data.n(), document.provenance.seed);
        let part_of: Vec<usize> = rows.iter().map(|&row| fold_of[row]).collect();
        let predictions: Vec<Predictions> = rows
            .par_iter()
            .map(|&row| {
                let mut predictions = Predictions::default();
                routers[fold_of[row]].predict(&data.features[row], &mut predictions);
                predictions
            })
            .collect();
        let weights = rows.iter().map(|&row| f64::from(data.weights[row])).collect();
        let mut rehearsal = Self {
            data,
            rows,
            weights,
            routers,
            part_of,
            predictions,
            quality: Vec::new(),
            cost: Vec::new(),
            latency: Vec::new(),
            lambdas: Vec::new(),
        };
        rehearsal.fill(document);
        rehearsal
    }

    fn n(&self) -> usize {
        self.rows.len()
    }

    /// Observed outcomes where there are any, predictions elsewhere; to an observed quality is added what its prediction
    /// was short by, once for every like prompt on which the model was not run.
    ///
    /// Taken as they are, predictions would judge themselves. So corrected, means are right whatever the predictions are,
    /// if what was run does not depend on the outcome (augmented inverse propensity weighting; Robins, Rotnitzky & Zhao,
    /// 1994, doi:10.1080/01621459.1994.10476818). Single values may leave `[0, 1]`.
    fn fill(&mut self, document: &Document) {
        let k = self.data.k();
        self.quality = vec![0.0; self.n() * k];
        self.cost = vec![0.0; self.n() * k];
        let has_latency = self.predictions.iter().any(|predictions| !predictions.latency_ms.is_empty());
        self.latency = vec![0.0; if has_latency { self.n() * k } else { 0 }];
        for_each_entry(&self.routers[0], document, &self.predictions, |row, entry| {
            let at = row * k + entry.model_idx;
            self.quality[at] = entry.quality;
            self.cost[at] = if entry.cost_usd.is_finite() { entry.cost_usd } else { 0.0 };
            if has_latency {
                self.latency[at] = f64::from(self.predictions[row].latency_ms[entry.model_idx]);
            }
        });
        let mut runs = vec![0_u32; k];
        for cell in self.rows.iter().flat_map(|&row| &self.data.cells[row]) {
            runs[cell.model as usize] += 1;
        }
        let n = self.n() as f64;
        for row in 0..self.n() {
            for cell in &self.data.cells[self.rows[row]] {
                let at = row * k + cell.model as usize;
                let score = f64::from(cell.score);
                let without = n / f64::from(runs[cell.model as usize]) - 1.0;
                self.quality[at] = score + (score - self.quality[at]) * without;
                if cell.cost_usd.is_finite() {
                    self.cost[at] = cell.cost_usd;
                }
                if has_latency && cell.latency_ms.is_finite() {
                    self.latency[at] = f64::from(cell.latency_ms);
                }
            }
        }
    }

    /// Predicted and known cost of every outcome whose cost was observed or estimated from what was, with its model: `visit(model, predicted, known)`.
    pub(crate) fn for_each_cost(&self, document: &Document, mut visit: impl FnMut(usize, f64, f64)) {
        for_each_entry(&self.routers[0], document, &self.predictions, |row, entry| {
            let cells = self.data.cells[self.rows[row]].iter();
            let is_known = |source| matches!(source, CostSource::Observed | CostSource::Estimated);
            for cell in cells.filter(|cell| cell.model as usize == entry.model_idx && is_known(cell.cost_source)) {
                visit(entry.model_idx, entry.cost_usd, cell.cost_usd);
            }
        });
    }

    /// Squared errors of the predictions, centred within the prompt, mean over its observed models, `[n]`: what a choice
    /// between models can be wrong by. NaN where fewer than two were observed.
    pub(crate) fn centred_errors(&self) -> Vec<f64> {
        let rows = self.rows.iter().zip(&self.predictions);
        rows.map(|(&row, predictions)| {
            let errors: Vec<f64> = self.data.cells[row]
                .iter()
                .map(|cell| f64::from(cell.score) - f64::from(predictions.quality[cell.model as usize]))
                .collect();
            if errors.len() < 2 {
                return f64::NAN;
            }
            let n = errors.len() as f64;
            let mean = errors.iter().sum::<f64>() / n;
            errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / n
        })
        .collect()
    }

    /// Mean quality and cost of always choosing each model, `[k]`.
    pub(crate) fn singles(&self) -> Vec<Point> {
        self.singles_with(&self.cost)
    }

    fn singles_with(&self, cost: &[f64]) -> Vec<Point> {
        let k = self.data.k();
        let total: f64 = self.weights.iter().sum();
        let mean = |values: &[f64], model: usize| -> f64 {
            let rows = values.chunks_exact(k).zip(&self.weights);
            rows.map(|(row, weight)| row[model] * weight).sum::<f64>() / total
        };
        (0..k).map(|model| Point::new(mean(cost, model), mean(&self.quality, model))).collect()
    }

    /// Sweeps λ under `rule` and keeps the settings on the hull of the train points.
    pub(crate) fn trial(
        &mut self,
        document: &Document,
        rule: DecisionRule,
        currency: Currency,
    ) -> Result<Trial, Error> {
        let cost = if currency == Currency::Cost { &self.cost } else { &self.latency };
        self.lambdas = lambda_grid(&self.singles_with(cost));
        let catalog = Catalog::of_training(document);
        let limits = Limits::default();
        let mut settings: Vec<(Vec<u32>, usize)> = Vec::new();
        for &lambda in &self.lambdas {
            let policy = Policy { objective: Objective::Lambda(lambda), ..Policy::default() };
            let bounds: Vec<_> = self
                .routers
                .iter()
                .map(|router| Ok(router.bind(&catalog, &policy)?.with_rule(rule).with_currency(currency)))
                .collect::<Result<_, pointsman::Error>>()
                .map_err(Error::Artifact)?;
            let decided: Vec<(u32, bool)> = (0..self.n())
                .into_par_iter()
                .map_init(Ranking::default, |ranking, row| {
                    let decision = bounds[self.part_of[row]].decide(&self.predictions[row], &limits, ranking);
                    (u32::try_from(decision.model_idx).unwrap_or(0), decision.reason.is_abstention())
                })
                .collect();
            let abstained = decided.iter().filter(|(_, abstained)| *abstained).count();
            settings.push((decided.into_iter().map(|(choice, _)| choice).collect(), abstained));
        }
        let abstained = settings.last().map_or(0.0, |(_, count)| *count as f64 / self.n() as f64);
        let choices: Vec<u32> = settings.into_iter().flat_map(|(choices, _)| choices).collect();
        let behaviour =
            Behaviour::from_choices(&choices, cost, &self.quality, self.data.k()).map_err(Error::Metrics)?;
        // The last setting, quality alone, is kept even where it is off the hull: users ask for it by name.
        let last = self.lambdas.len() - 1;
        let mut kept = hull_vertices(&behaviour.means());
        kept.sort_unstable();
        kept.dedup();
        if kept.last() != Some(&last) {
            kept.push(last);
        }
        let n = self.n();
        Ok(Trial {
            lambdas: kept.iter().map(|&setting| self.lambdas[setting]).collect(),
            behaviour: behaviour.select(&kept),
            choices: kept.iter().flat_map(|&setting| &choices[setting * n..(setting + 1) * n]).copied().collect(),
            abstained,
        })
    }

    /// The best that mixing single models can do: the trial of a router that never looks at the prompt.
    pub(crate) fn zero(&self) -> Result<Behaviour, Error> {
        let k = self.data.k();
        let kept = hull_vertices(&self.singles());
        let choices: Vec<u32> =
            kept.iter().flat_map(|&model| std::iter::repeat_n(u32::try_from(model).unwrap_or(0), self.n())).collect();
        Behaviour::from_choices(&choices, &self.cost, &self.quality, k).map_err(Error::Metrics)
    }

    /// Figures of a trial against the static choices, with bootstrap intervals.
    pub(crate) fn compare(&self, trial: &Trial, seed: u64) -> Result<Comparison, Error> {
        let zero = self.zero()?;
        let k = self.data.k();
        let every_model: Vec<u32> =
            (0..u32::try_from(k).unwrap_or(0)).flat_map(|model| std::iter::repeat_n(model, self.n())).collect();
        let singles = Behaviour::from_choices(&every_model, &self.cost, &self.quality, k).map_err(Error::Metrics)?;
        let means = singles.means();
        let by = |key: &dyn Fn(&Point) -> f64| {
            (0..k).max_by(|&a, &b| key(&means[a]).total_cmp(&key(&means[b]))).unwrap_or(0)
        };
        let best = (0..k)
            .max_by(|&a, &b| {
                means[a].quality.total_cmp(&means[b].quality).then(means[b].cost.total_cmp(&means[a].cost))
            })
            .unwrap_or(0);
        let (cheapest, dearest) = (by(&|point| -point.cost), by(&|point| point.cost));
        let statistic = |counts: Option<&[f64]>| -> Option<[f64; 6]> {
            let points = |behaviour: &Behaviour| match counts {
                Some(counts) => behaviour.weighted_means(counts),
                None => behaviour.means(),
            };
            let single = points(&singles);
            let curve = points(&trial.behaviour);
            let last = *curve.last()?;
            let router = DeferralCurve::new(single[cheapest], &curve).ok()?;
            let zero = DeferralCurve::new(single[cheapest], &points(&zero)).ok()?;
            let (lo, hi) = (single[cheapest].cost, single[dearest].cost);
            let gain = match (router.aiq(lo, hi), zero.aiq(lo, hi)) {
                (Some(router), Some(zero)) => router - zero,
                // One price for all: only quality is left to gain.
                _ => last.quality - single[best].quality,
            };
            let saving = router.cost_at(single[best].quality).map_or(f64::NAN, |cost| 1.0 - cost / single[best].cost);
            let aiq = router.aiq(lo, hi).unwrap_or(f64::NAN);
            let zero_aiq = zero.aiq(lo, hi).unwrap_or(f64::NAN);
            let quality_gain = last.quality - single[best].quality;
            // The gain along the whole curve counts, and a loss at its end counts against it.
            let merit = gain + quality_gain.min(0.0);
            Some([gain, quality_gain, saving, aiq, zero_aiq, merit])
        };
        let value = statistic(None).unwrap_or([f64::NAN; 6]);
        let resampler = Resampler::new(self.n(), seed).map_err(Error::Metrics)?;
        let replicates: Vec<Option<[f64; 6]>> =
            (0..RESAMPLES).into_par_iter().map(|index| statistic(Some(&resampler.counts(index)))).collect();
        let interval = |position: usize, coverage: f64| {
            // A resample in which the router never reaches the best single model's quality saves nothing at all.
            let values = replicates.iter().map(|r| r.map(|r| if r[position].is_nan() { 0.0 } else { r[position] }));
            Interval::percentile(value[position], values, coverage)
        };
        Ok(Comparison {
            best_single: best,
            gain: interval(0, 0.95),
            quality_gain: interval(1, 0.95),
            // One-sided: chance takes a useless router for a useful one in one case of twenty.
            merit: interval(5, 0.9),
            saving: if value[2].is_nan() { None } else { interval(2, 0.95) },
            aiq: value[3],
            zero_aiq: value[4],
            best_quality: means[best].quality,
            best_cost: means[best].cost,
        })
    }

    /// A trial as the artifact's curve.
    pub(crate) fn curve(&self, trial: &Trial) -> Vec<CurvePoint> {
        let n = self.n();
        let means = trial.behaviour.means();
        let settings = trial.lambdas.iter().zip(&means).zip(trial.choices.chunks_exact(n));
        settings
            .map(|((lambda, point), choices)| {
                let mut shares = vec![0.0; self.data.k()];
                for &choice in choices {
                    shares[choice as usize] += 1.0 / n as f64;
                }
                let lambda = lambda.is_finite().then_some(*lambda);
                CurvePoint { lambda, cost: point.cost, quality: point.quality.clamp(0.0, 1.0), shares }
            })
            .collect()
    }

    /// Chooses how far predictions are believed, how sure the router must be, and whether it should route at all.
    pub(crate) fn choose_rule(
        &mut self,
        document: &Document,
        seed: u64,
    ) -> Result<(DecisionRule, Trial, Comparison), Error> {
        let learned = DecisionRule { mode: Mode::Learned, confidence: 0.0, ..document.decision };
        let mut best: Option<(f64, DecisionRule, Trial, Comparison)> = None;
        for trust in TRUSTS {
            self.consider(DecisionRule { trust, ..learned }, document, seed, &mut best)?;
        }
        if let Some((_, rule, ..)) = best {
            for confidence in CONFIDENCES.into_iter().skip(1) {
                self.consider(DecisionRule { confidence, ..rule }, document, seed, &mut best)?;
            }
        }
        if let Some((_, rule, trial, comparison)) = best {
            return Ok((rule, trial, comparison));
        }
        let rule = DecisionRule { mode: Mode::Static, trust: 1.0, confidence: 0.0, ..document.decision };
        let trial = self.trial(document, rule, Currency::Cost)?;
        let comparison = self.compare(&trial, seed)?;
        Ok((rule, trial, comparison))
    }

    /// Tries a rule, and keeps it if it is clear of chance and better than the best so far.
    fn consider(
        &mut self,
        rule: DecisionRule,
        document: &Document,
        seed: u64,
        best: &mut Option<(f64, DecisionRule, Trial, Comparison)>,
    ) -> Result<(), Error> {
        let trial = self.trial(document, rule, Currency::Cost)?;
        let comparison = self.compare(&trial, seed)?;
        let Some(merit) = comparison.merit else { return Ok(()) };
        let supported = merit.low > 0.0 && comparison.gain.is_some_and(|gain| gain.value >= LEAST_GAIN);
        if supported && best.as_ref().is_none_or(|(most, ..)| merit.value > *most) {
            *best = Some((merit.value, rule, trial, comparison));
        }
        Ok(())
    }
}

/// A trial against the static choices; intervals are 95 %, paired over prompts.
pub(crate) struct Comparison {
    /// Position of the model of the best mean quality.
    pub(crate) best_single: usize,
    /// AIQ over the zero router's, out-of-fold.
    pub(crate) gain: Option<Interval>,
    /// Quality at λ = ∞ over the best single model's.
    pub(crate) quality_gain: Option<Interval>,
    /// What a rule is chosen by: the gain, less any loss of quality at λ = ∞; 90 % interval.
    merit: Option<Interval>,
    /// Share of the best single model's cost saved at its quality; `None` where that is never reached.
    pub(crate) saving: Option<Interval>,
    pub(crate) aiq: f64,
    pub(crate) zero_aiq: f64,
    pub(crate) best_quality: f64,
    pub(crate) best_cost: f64,
}

/// What `router` expects of every model of the pool on every prompt, under no restriction: `visit(prompt, entry)`.
fn for_each_entry(
    router: &Router,
    document: &Document,
    predictions: &[Predictions],
    mut visit: impl FnMut(usize, &Ranked),
) {
    let policy = Policy { objective: Objective::Quality, ..Policy::default() };
    let bound =
        router.bind(&Catalog::of_training(document), &policy).expect("the whole pool under no restriction binds");
    let mut ranking = Ranking::default();
    for (row, predictions) in predictions.iter().enumerate() {
        for entry in bound.decide(predictions, &Limits::default(), &mut ranking).ranked {
            visit(row, entry);
        }
    }
}

/// All of `n` rows, or an even sample in order.
fn sample(n: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).collect();
    if n > MOST_REHEARSED {
        fastrand::Rng::with_seed(seed).shuffle(&mut rows);
        rows.truncate(MOST_REHEARSED);
        rows.sort_unstable();
    }
    rows
}

/// λ from a thousandth to ten thousand times the spread of mean costs, then infinity; 0 first.
pub(crate) fn lambda_grid(singles: &[Point]) -> Vec<f64> {
    let costs = || singles.iter().map(|point| point.cost);
    let spread = costs().fold(0.0, f64::max) - costs().fold(f64::INFINITY, f64::min);
    let mut lambdas = vec![0.0];
    if spread > 0.0 {
        let steps = -3 * LAMBDAS_PER_DECADE..=4 * LAMBDAS_PER_DECADE;
        lambdas.extend(steps.map(|step| spread * 10_f64.powf(f64::from(step) / f64::from(LAMBDAS_PER_DECADE))));
    }
    lambdas.push(f64::INFINITY);
    lambdas
}
