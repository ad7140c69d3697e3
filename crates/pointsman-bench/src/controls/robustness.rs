//! How many decisions flip where nothing of substance changes, and what the flips cost.

use rayon::prelude::*;

use pointsman::{Limits, Objective, Policy, Scratch};
use pointsman_evals::{Content, EvalLog, Prompt};
use serde::Serialize;

use super::perturb::Perturbation;
use crate::contest::Contest;
use crate::error::Error;
use crate::options::{BenchOptions, RouterEntry};
use crate::report::IntervalReport;

/// One perturbation.
#[derive(Clone, Debug, Serialize)]
pub struct RobustnessReport {
    /// What was changed.
    pub perturbation: &'static str,
    /// Evaluated prompts it was tried on: those given as text.
    pub n_queries: usize,
    /// Share of them that go to another model at the objective `balanced`.
    pub flipped: f64,
    /// The same for quality alone.
    pub flipped_quality: f64,
    /// Mean quality of the changed decisions − of the unchanged ones at `balanced`, over all prompts, if models answer the
    /// changed prompt as they answered the original.
    pub quality_change: Option<IntervalReport>,
}

/// Perturbs the evaluated prompts of a log and counts what flips.
pub(super) fn run(
    log: &EvalLog,
    bench: &BenchOptions<'_>,
    entry: &RouterEntry,
) -> Result<Vec<RobustnessReport>, Error> {
    let contest = Contest::new(log, bench)?;
    let router = &entry.router;
    let allow: Vec<String> = router.models().iter().filter(|m| contest.models.contains(m)).cloned().collect();
    if allow.is_empty() {
        return Err(Error::NoCommonModel { router: entry.name.clone(), models: router.models().to_vec() });
    }
    let catalog = crate::router::catalog(log, entry);
    let bind = |objective| {
        let policy = Policy { objective, allow: allow.clone(), ..Policy::default() };
        router
            .bind(&catalog, &policy)
            .map_err(|source| Error::Bind { router: entry.name.clone(), source: Box::new(source) })
    };
    let bounds = [bind(Objective::Balanced)?, bind(Objective::Quality)?];
    let column: Vec<Option<usize>> =
        router.models().iter().map(|name| contest.models.iter().position(|m| m == name)).collect();
    let decide = |prompt: &Prompt, scratch: &mut Scratch| -> Result<[usize; 2], Error> {
        prompt
            .with_request(|request| {
                router.featurise(request, &mut scratch.features);
                router.predict(&scratch.features, &mut scratch.predictions);
                [0, 1].map(|b: usize| {
                    let decision = bounds[b].decide(&scratch.predictions, &Limits::default(), &mut scratch.ranking);
                    column[decision.model_idx].expect("only models of the pool are allowed")
                })
            })
            .map_err(|source| Error::Messages { prompt_id: prompt.id.clone(), source: Box::new(source) })
    };

    let texts: Vec<(usize, &Prompt, &str)> = contest
        .prompts()
        .enumerate()
        .filter_map(|(i, p)| match &p.content {
            Content::Text(text) => Some((i, p, text.as_str())),
            Content::Messages(_) => None,
        })
        .collect();
    if texts.is_empty() {
        return Err(Error::NoControl { needs: "needs prompts given as text, not as messages" });
    }
    let before: Vec<[usize; 2]> = texts
        .par_iter()
        .map_init(Scratch::default, |scratch, (_, prompt, _)| decide(prompt, scratch))
        .collect::<Result<_, Error>>()?;
    let k = contest.n_models();
    Perturbation::ALL
        .iter()
        .map(|&perturbation| {
            let after: Vec<[usize; 2]> = texts
                .par_iter()
                .map_init(Scratch::default, |scratch, (i, prompt, text)| {
                    let text = perturbation.apply(text, bench.seed ^ *i as u64);
                    decide(&Prompt { content: Content::Text(text), ..(*prompt).clone() }, scratch)
                })
                .collect::<Result<_, Error>>()?;
            let n = texts.len() as f64;
            let flips = |b: usize| before.iter().zip(&after).filter(|(x, y)| x[b] != y[b]).count() as f64 / n;
            let differences = texts.iter().zip(before.iter().zip(&after)).map(|((i, ..), (x, y))| {
                let quality = &contest.test.quality[i * k..(i + 1) * k];
                quality[y[0]] - quality[x[0]]
            });
            let (sum, squares) = differences.fold((0.0, 0.0), |(s, q), d| (s + d, q + d * d));
            Ok(RobustnessReport {
                perturbation: perturbation.name(),
                n_queries: texts.len(),
                flipped: flips(0),
                flipped_quality: flips(1),
                quality_change: IntervalReport::of_mean(n, sum, squares),
            })
        })
        .collect()
}
