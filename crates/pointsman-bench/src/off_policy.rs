//! What a router would have earned on traffic in which only the chosen model was run.
//!
//! A gateway's log has one outcome per prompt, and the probability with which the logging policy chose that model
//! (`propensity`). No matrix can be made of it, so none of the other figures exist; [`run`] estimates mean quality and cost
//! of a router, and of each model alone, by weighing the prompts on which the two agree. Definitions, and when not to
//! believe them: [`pointsman_metrics::off_policy`].

use std::collections::HashMap;

use pointsman::{Bound, Limits, Objective, Policy, Scratch};
use pointsman_evals::{EvalLog, Outcome, Split};
use pointsman_metrics::bootstrap::weighted_sums;
use pointsman_metrics::off_policy::{Diagnostics, Logged, doubly_robust_terms, weights};
use pointsman_metrics::{Interval, Resampler};
use serde::Serialize;

use crate::error::Error;
use crate::measure::LEVEL;
use crate::options::RouterEntry;
use crate::report::IntervalReport;

/// Below so many effective queries the interval of a weighted mean is itself unsure: a rule of thumb.
const FEW: f64 = 100.0;

/// Mean weight outside of 1 ± this part: propensities are wrong, or some choices never had a chance. A guess.
const MEAN_WEIGHT_SLACK: f64 = 0.2;

/// Settings of an off-policy estimate.
#[derive(Clone, Copy, Debug)]
pub struct OffPolicyOptions {
    /// Which split's rows are used; `None`: all.
    pub split: Option<Split>,
    /// Bootstrap resamples behind every interval, at least 100.
    pub resamples: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Off-policy estimates of routers and of single models.
#[derive(Clone, Debug, Serialize)]
pub struct OffPolicyReport {
    /// Logged decisions with a propensity.
    pub n_decisions: usize,
    /// Decisions left out for want of a propensity or a cost.
    pub n_without: usize,
    /// Models that were chosen at least once, in order of name.
    pub models: Vec<String>,
    /// The logging policy itself: what did happen.
    pub logged: LoggedReport,
    /// Routers at their objectives, then single models.
    pub policies: Vec<PolicyReport>,
    /// Level of every interval.
    pub level: f64,
    /// Bootstrap resamples behind every interval.
    pub resamples: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// What the logging policy earned and paid.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoggedReport {
    /// Mean quality.
    pub quality: IntervalReport,
    /// Mean cost, USD per query.
    pub cost: IntervalReport,
}

/// Estimates for one policy.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// Name of the router or model.
    pub name: String,
    /// `cheap`, `balanced` or `quality` for a router, `always` for a model.
    pub setting: &'static str,
    /// Inverse propensity estimate of mean quality.
    pub ips: Option<IntervalReport>,
    /// Self-normalised estimate: the one to read for a single model.
    pub snips: Option<IntervalReport>,
    /// Doubly robust estimate, with the router's own predictions: the one to read for a router; null for a model.
    pub dr: Option<IntervalReport>,
    /// Estimated mean cost, USD per query: doubly robust where predictions exist, else self-normalised.
    pub cost: Option<IntervalReport>,
    /// Estimated quality (doubly robust, else self-normalised) − what was logged, on the same resamples.
    pub gain: Option<IntervalReport>,
    /// Share of decisions on which the policy would have chosen the logged model.
    pub agreement: f64,
    /// Kish's effective number of decisions behind the estimate.
    pub effective_n: f64,
    /// Greatest weight of a decision.
    pub max_weight: f64,
    /// Mean weight; about 1 where propensities are right.
    pub mean_weight: f64,
    /// What speaks against believing the estimate.
    pub note: Option<String>,
}

/// One logged decision.
struct Decision<'a> {
    prompt: u32,
    outcome: &'a Outcome,
}

/// Estimates every router at three objectives, and every model of the log alone.
///
/// # Errors
///
/// [`Error::NoPropensity`] if no decision of the split has a propensity and a cost; an option outside its domain; a router
/// that knows none of the models.
pub fn run(log: &EvalLog, options: &OffPolicyOptions, routers: &[RouterEntry]) -> Result<OffPolicyReport, Error> {
    if options.resamples < 100 {
        let got = options.resamples.to_string();
        return Err(Error::BadOption { option: "resamples", expected: "at least 100", got });
    }
    let of_split = |o: &&Outcome| options.split.is_none_or(|s| log.prompts[o.prompt as usize].split == s);
    let (usable, without): (Vec<&Outcome>, Vec<&Outcome>) =
        log.outcomes.iter().filter(of_split).partition(|o| o.propensity.is_finite() && o.cost_usd.is_finite());
    if usable.is_empty() {
        let split = options.split.map_or_else(|| "any".to_owned(), |s| s.to_string());
        return Err(Error::NoPropensity { split, rows: without.len() });
    }
    let decisions: Vec<Decision<'_>> =
        usable.into_iter().map(|outcome| Decision { prompt: outcome.prompt, outcome }).collect();
    let estimator = Estimator::new(log, &decisions, options)?;
    let mut policies = Vec::new();
    for entry in routers {
        for (setting, objective) in
            [("cheap", Objective::Cheap), ("balanced", Objective::Balanced), ("quality", Objective::Quality)]
        {
            let view = view(log, &decisions, entry, objective)?;
            policies.push(estimator.policy(entry.name.clone(), setting, &view)?);
        }
    }
    let mut models: Vec<u32> = decisions.iter().map(|d| d.outcome.model).collect();
    models.sort_unstable();
    models.dedup();
    for &model in &models {
        let view = View {
            agreement: decisions.iter().map(|d| f64::from(u8::from(d.outcome.model == model))).collect(),
            predictions: None,
        };
        policies.push(estimator.policy(log.models[model as usize].clone(), "always", &view)?);
    }
    Ok(OffPolicyReport {
        n_decisions: decisions.len(),
        n_without: without.len(),
        models: models.iter().map(|&m| log.models[m as usize].clone()).collect(),
        logged: estimator.logged()?,
        policies,
        level: LEVEL,
        resamples: options.resamples,
        seed: options.seed,
    })
}

/// A policy's view of the logged decisions.
struct View {
    /// Whether it would have made the logged choice, `[n]`.
    agreement: Vec<f64>,
    predictions: Option<Predictions>,
}

/// Predicted quality and cost of the policy's choice and of the logged choice, `[n]` each.
#[derive(Default)]
struct Predictions {
    quality: [Vec<f64>; 2],
    cost: [Vec<f64>; 2],
}

/// Routes every decision's prompt among the models that both sides know.
fn view(log: &EvalLog, decisions: &[Decision<'_>], entry: &RouterEntry, objective: Objective) -> Result<View, Error> {
    let router = &entry.router;
    let allow: Vec<String> = router.models().iter().filter(|m| log.models.contains(m)).cloned().collect();
    if allow.is_empty() {
        return Err(Error::NoCommonModel { router: entry.name.clone(), models: router.models().to_vec() });
    }
    let log_model: HashMap<&str, u32> = (0_u32..).zip(&log.models).map(|(m, name)| (name.as_str(), m)).collect();
    let of_log: Vec<Option<u32>> = router.models().iter().map(|m| log_model.get(m.as_str()).copied()).collect();
    let catalog = crate::router::catalog(log, entry);
    let policy = Policy { objective, allow, ..Policy::default() };
    let bound: Bound = router
        .bind(&catalog, &policy)
        .map_err(|source| Error::Bind { router: entry.name.clone(), source: Box::new(source) })?;

    let mut view = View { agreement: Vec::with_capacity(decisions.len()), predictions: None };
    let mut predictions = Predictions::default();
    let mut scratch = Scratch::default();
    for decision in decisions {
        let prompt = &log.prompts[decision.prompt as usize];
        let logged = decision.outcome.model;
        let (chosen, of_chosen, of_logged) = prompt
            .with_request(|request| {
                router.featurise(request, &mut scratch.features);
                router.predict(&scratch.features, &mut scratch.predictions);
                let decided = bound.decide(&scratch.predictions, &Limits::default(), &mut scratch.ranking);
                let find = |wanted: Option<u32>| {
                    decided.ranked.iter().find(|r| of_log[r.model_idx] == wanted).map(|r| (r.quality, r.cost_usd))
                };
                let chosen = of_log[decided.model_idx];
                (chosen, find(chosen), find(Some(logged)))
            })
            .map_err(|source| Error::Messages { prompt_id: prompt.id.clone(), source: Box::new(source) })?;
        view.agreement.push(f64::from(u8::from(chosen == Some(logged))));
        // A model the router does not know is predicted as the outcome itself: its term is then the prediction alone.
        let fallback = (f64::from(decision.outcome.score), decision.outcome.cost_usd);
        for (side, values) in [of_chosen.unwrap_or(fallback), of_logged.unwrap_or(fallback)].into_iter().enumerate() {
            predictions.quality[side].push(values.0);
            predictions.cost[side].push(values.1);
        }
    }
    view.predictions = Some(predictions);
    Ok(view)
}

/// Logged rewards, and the resamples that all policies share.
struct Estimator {
    quality: Vec<f64>,
    cost: Vec<f64>,
    propensity: Vec<f64>,
    /// Counts of each resample, after one of the data as they are.
    counts: Vec<Vec<f64>>,
}

impl Estimator {
    fn new(log: &EvalLog, decisions: &[Decision<'_>], options: &OffPolicyOptions) -> Result<Self, Error> {
        // Decisions on one prompt, or in one conversation, are drawn together.
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let groups: Vec<u32> = decisions
            .iter()
            .map(|d| {
                let prompt = &log.prompts[d.prompt as usize];
                let next = u32::try_from(numbers.len()).expect("fewer than 2^32 decisions");
                *numbers.entry(prompt.group.as_deref().unwrap_or(&prompt.id)).or_insert(next)
            })
            .collect();
        let draws = Resampler::grouped(groups, options.seed)?;
        let mut counts = vec![vec![1.0; decisions.len()]];
        counts.extend((0..options.resamples as u64).map(|i| draws.counts(i)));
        Ok(Self {
            quality: decisions.iter().map(|d| d.outcome.score.into()).collect(),
            cost: decisions.iter().map(|d| d.outcome.cost_usd).collect(),
            propensity: decisions.iter().map(|d| d.outcome.propensity.into()).collect(),
            counts,
        })
    }

    /// The interval of a function of weighted sums of `rows` and of the sum of counts.
    fn interval(&self, rows: &[&[f64]], figure: impl Fn(&[f64], f64) -> Option<f64>) -> Option<IntervalReport> {
        let sums = weighted_sums(rows, &self.counts);
        let mut values = sums.chunks_exact(rows.len()).zip(&self.counts).map(|(s, c)| figure(s, c.iter().sum::<f64>()));
        let value = values.next()??;
        Interval::percentile(value, values, LEVEL).map(Into::into)
    }

    fn mean(&self, row: &[f64]) -> Option<IntervalReport> {
        self.interval(&[row], |s, n| Some(s[0] / n))
    }

    fn logged(&self) -> Result<LoggedReport, Error> {
        let mean = |row: &[f64]| {
            self.mean(row).ok_or(Error::Metrics(pointsman_metrics::MetricsError::Empty { what: "decisions" }))
        };
        Ok(LoggedReport { quality: mean(&self.quality)?, cost: mean(&self.cost)? })
    }

    fn policy(&self, name: String, setting: &'static str, view: &View) -> Result<PolicyReport, Error> {
        let of = |reward| Logged { reward, propensity: &self.propensity, agreement: &view.agreement };
        let w = weights(&of(&self.quality))?;
        let diagnostics = Diagnostics::of(&w);
        let weighted = |reward: &[f64]| -> Vec<f64> { w.iter().zip(reward).map(|(w, r)| w * r).collect() };
        let (wq, wc) = (weighted(&self.quality), weighted(&self.cost));
        let ratio = |s: &[f64]| Some(s[0] / s[1]).filter(|r| r.is_finite());
        let snips = self.interval(&[&wq, &w], |s, _| ratio(s));
        let (dr, cost, gain);
        if let Some(p) = &view.predictions {
            let terms = doubly_robust_terms(&of(&self.quality), &p.quality[0], &p.quality[1])?;
            let cost_terms = doubly_robust_terms(&of(&self.cost), &p.cost[0], &p.cost[1])?;
            dr = self.mean(&terms);
            cost = self.mean(&cost_terms);
            gain = self.interval(&[&terms, &self.quality], |s, n| Some((s[0] - s[1]) / n));
        } else {
            dr = None;
            cost = self.interval(&[&wc, &w], |s, _| ratio(s));
            gain = self.interval(&[&wq, &w, &self.quality], |s, n| Some(ratio(s)? - s[2] / n));
        }
        Ok(PolicyReport {
            name,
            setting,
            ips: self.mean(&wq),
            snips,
            dr,
            cost,
            gain,
            agreement: diagnostics.agreement,
            effective_n: diagnostics.effective_n,
            max_weight: diagnostics.max_weight,
            mean_weight: diagnostics.mean_weight,
            note: note(&diagnostics),
        })
    }
}

fn note(d: &Diagnostics) -> Option<String> {
    if d.agreement == 0.0 {
        return Some("never chooses what was logged: the estimate is its own prediction, or none".to_owned());
    }
    let mut notes = Vec::new();
    if d.effective_n < FEW {
        notes.push(format!("only {:.0} effective decisions", d.effective_n));
    }
    if (d.mean_weight - 1.0).abs() > MEAN_WEIGHT_SLACK {
        notes.push(format!("mean weight {:.2}, expected about 1: check the propensities", d.mean_weight));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

#[cfg(test)]
mod tests {
    use pointsman::artifact::Mode;

    use super::*;
    use crate::testing;

    /// A log of full outcomes, reduced to one drawn choice a prompt with its propensity; true means per model beside it.
    fn logged(n: u32, seed: u64) -> (EvalLog, Vec<f64>) {
        let mut log = testing::log(0, n, seed);
        let k = log.models.len();
        let mut means = vec![0.0; k];
        for o in &log.outcomes {
            means[o.model as usize] += f64::from(o.score) / f64::from(n);
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        let propensity = [0.4, 0.3, 0.2, 0.1];
        let draws: Vec<u32> = (0..n)
            .map(|_| {
                let u = rng.f64();
                (0_u32..).zip([0.4, 0.7, 0.9, 1.0]).find(|(_, top)| u < *top).map_or(3, |(m, _)| m)
            })
            .collect();
        log.outcomes.retain(|o| draws[o.prompt as usize] == o.model);
        for o in &mut log.outcomes {
            o.propensity = propensity[o.model as usize];
        }
        (log, means)
    }

    fn options() -> OffPolicyOptions {
        OffPolicyOptions { split: Some(Split::Test), resamples: 200, seed: 1 }
    }

    #[test]
    fn single_models_are_estimated_from_the_part_that_ran() {
        let (log, means) = logged(6_000, 5);
        let report = run(&log, &options(), &[]).expect("propensities");
        assert_eq!((report.n_decisions, report.models.len()), (6_000, 4));
        for (policy, truth) in report.policies.iter().zip(&means) {
            let snips = policy.snips.expect("every model ran");
            assert!(
                snips.low - 0.01 <= *truth && *truth <= snips.high + 0.01,
                "{}: {snips:?}, true {truth}",
                policy.name
            );
            assert!((policy.mean_weight - 1.0).abs() < 0.15 && policy.note.is_none(), "{policy:?}");
            assert!(policy.dr.is_none());
        }
    }

    #[test]
    fn a_router_is_estimated_with_its_own_predictions() {
        let (log, means) = logged(6_000, 6);
        let router = testing::constant_router(
            &[("big", 0.8, 0.01), ("medium", 0.7, 0.004), ("odd", 0.45, 0.006), ("small", 0.55, 0.001)],
            Mode::Static,
        );
        let entry = RouterEntry { name: "constant".to_owned(), router };
        let report = run(&log, &options(), &[entry]).expect("propensities");
        let quality = report.policies.iter().find(|p| p.setting == "quality").expect("three objectives");
        let dr = quality.dr.expect("predictions");
        assert!((dr.value - means[0]).abs() < 0.03, "{dr:?}, true {}", means[0]);
        assert!((quality.cost.expect("costs").value - 0.01).abs() < 5e-4);
        let gain = quality.gain.expect("both");
        assert!(gain.low > 0.05, "the best model is better than the mix that was logged: {gain:?}");
    }

    #[test]
    fn a_log_without_propensities_is_refused() {
        let log = testing::log(10, 10, 1);
        let error = run(&log, &options(), &[]).expect_err("none");
        assert!(error.to_string().contains("propensity"), "{error}");
    }

    #[test]
    fn wrong_propensities_are_told() {
        let (mut log, _) = logged(2_000, 7);
        for o in &mut log.outcomes {
            o.propensity = (o.propensity * 2.0).min(1.0);
        }
        let report = run(&log, &options(), &[]).expect("propensities");
        assert!(report.policies[0].note.as_deref().is_some_and(|n| n.contains("check the propensities")));
    }
}
