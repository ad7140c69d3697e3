//! Our routers: predictions of an artifact for every prompt, and its decisions along its own curve.

use rayon::prelude::*;

use pointsman::{Bound, Catalog, CatalogEntry, Limits, Objective, Policy, Scratch};
use pointsman_evals::{EvalLog, Prompt};
use pointsman_metrics::Point;

use crate::contest::Contest;
use crate::entrant::{Choices, Entrant, RouterKind, Setting};
use crate::error::Error;
use crate::options::RouterEntry;
use crate::report::OriginReport;
use crate::sweep::lambda_grid;

/// Prompts between two progress reports.
const CHUNK: usize = 4_096;

/// What one prompt yields: a model per setting, the predicted quality and cost per model of the pool, and whether the
/// router abstained at λ → ∞.
struct Routed {
    choices: Vec<u32>,
    quality: Vec<f64>,
    cost: Vec<f64>,
    abstained: bool,
}

/// Runs a router over the evaluated prompts, at the λ of its own out-of-fold curve and at λ → ∞.
///
/// The curve's hull is taken on its out-of-fold points, hence on train. Where the pool is not the artifact's whole
/// list of models those points do not apply, and every λ of the curve is kept.
pub(crate) fn entrant(
    contest: &Contest<'_>,
    entry: &RouterEntry,
    mut progress: impl FnMut(usize, usize),
) -> Result<Entrant, Error> {
    let router = &entry.router;
    let pool_of: Vec<Option<usize>> =
        router.models().iter().map(|name| contest.models.iter().position(|m| m == name)).collect();
    let known: Vec<usize> = (0..pool_of.len()).filter(|&m| pool_of[m].is_some()).collect();
    if known.is_empty() {
        return Err(Error::NoCommonModel { router: entry.name.clone(), models: router.models().to_vec() });
    }
    let whole_pool = known.len() == router.models().len() && known.len() == contest.n_models();

    // λ and, where they apply, out-of-fold points by rising λ; quality alone is always the last.
    let mut curve: Vec<(f64, Option<Point>)> = router
        .document()
        .curve
        .iter()
        .map(|p| (p.lambda.unwrap_or(f64::INFINITY), Some(Point::new(p.cost, p.quality))))
        .collect();
    if curve.is_empty() {
        curve = lambda_grid(&known_costs(contest, &pool_of)).into_iter().map(|l| (l, None)).collect();
    }
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    if curve.last().is_none_or(|(l, _)| l.is_finite()) {
        curve.push((f64::INFINITY, None));
    }
    let train_points: Option<Vec<Point>> = curve.iter().map(|(_, p)| p.filter(|_| whole_pool)).collect();

    let allow: Vec<String> = known.iter().map(|&m| router.models()[m].clone()).collect();
    let catalog = catalog(contest.log, entry);
    let bounds = curve
        .iter()
        .map(|&(lambda, _)| {
            let objective = if lambda.is_infinite() { Objective::Quality } else { Objective::Lambda(lambda) };
            let policy = Policy { objective, allow: allow.clone(), ..Policy::default() };
            router
                .bind(&catalog, &policy)
                .map_err(|source| Error::Bind { router: entry.name.clone(), source: Box::new(source) })
        })
        .collect::<Result<Vec<Bound>, _>>()?;

    let prompts: Vec<&Prompt> = contest.prompts().collect();
    let mut routed = Vec::with_capacity(prompts.len());
    for chunk in prompts.chunks(CHUNK) {
        progress(routed.len(), prompts.len());
        let part = chunk
            .par_iter()
            .map_init(Scratch::default, |scratch, prompt| {
                route(prompt, entry, &bounds, &pool_of, contest.n_models(), scratch)
            })
            .collect::<Result<Vec<Routed>, Error>>()?;
        routed.extend(part);
    }

    let settings: Vec<Setting> = curve.iter().map(|&(l, _)| Setting::lambda(l)).collect();
    let choices: Vec<Vec<u32>> = (0..curve.len()).map(|s| routed.iter().map(|r| r.choices[s]).collect()).collect();
    let top = curve.len() - 1;
    let choices = match &train_points {
        Some(points) => Choices::select(contest, &settings, &choices, Some(points), top)?,
        None => Choices::all(contest, &settings, &choices, None, top)?,
    };
    let mut entrant = Entrant::new(entry.name.as_str(), RouterKind::Pointsman, Some(choices));
    entrant.quality = Some(routed.iter().flat_map(|r| &r.quality).copied().collect());
    entrant.abstained = Some(routed.iter().filter(|r| r.abstained).count() as f64 / routed.len() as f64);
    entrant.cost_error = cost_error(contest, &routed);
    entrant.origin = Some(origin(contest, router));
    if !whole_pool {
        let unknown: Vec<&str> =
            contest.models.iter().filter(|m| !router.models().contains(m)).map(String::as_str).collect();
        if !unknown.is_empty() {
            entrant.notes.push(format!("does not know {}", unknown.join(", ")));
        }
        entrant.notes.push("every λ of its curve kept: the pool is not the one it was trained with".to_owned());
    }
    Ok(entrant)
}

fn route(
    prompt: &Prompt,
    entry: &RouterEntry,
    bounds: &[Bound],
    pool_of: &[Option<usize>],
    n_models: usize,
    scratch: &mut Scratch,
) -> Result<Routed, Error> {
    let routed = prompt.with_request(|request| {
        let router = &entry.router;
        router.featurise(request, &mut scratch.features);
        router.predict(&scratch.features, &mut scratch.predictions);
        let mut routed = Routed {
            choices: Vec::with_capacity(bounds.len()),
            quality: vec![f64::NAN; n_models],
            cost: vec![f64::NAN; n_models],
            abstained: false,
        };
        for bound in bounds {
            let decision = bound.decide(&scratch.predictions, &Limits::default(), &mut scratch.ranking);
            let chosen = pool_of[decision.model_idx].expect("only models of the pool are allowed");
            routed.choices.push(u32::try_from(chosen).expect("pools are small"));
            // The last setting is λ → ∞.
            routed.abstained = decision.reason.is_abstention();
            for ranked in decision.ranked {
                if let Some(m) = pool_of[ranked.model_idx] {
                    routed.quality[m] = ranked.quality;
                    routed.cost[m] = ranked.cost_usd;
                }
            }
        }
        routed
    });
    routed.map_err(|source| Error::Messages { prompt_id: prompt.id.clone(), source: Box::new(source) })
}

fn origin(contest: &Contest<'_>, router: &pointsman::Router) -> OriginReport {
    let made = &router.document().provenance;
    let train_log = contest.train.as_ref().map(|t| &t.log.reading.data_sha256);
    OriginReport {
        identity: router.identity().to_string(),
        tool_version: made.tool_version.clone(),
        data_sha256: made.data_sha256.clone(),
        same_data: train_log == Some(&made.data_sha256) || contest.log.reading.data_sha256 == made.data_sha256,
        n_prompts: made.n_prompts,
        seed: made.seed,
    }
}

/// The artifact's catalogue, with the log's list prices where it has some: those are what outcomes were priced with.
pub(crate) fn catalog(log: &EvalLog, entry: &RouterEntry) -> Catalog {
    let mut catalog = entry.router.default_catalog();
    for (model, price) in &log.prices {
        let price = pointsman::artifact::ListPrice {
            input_usd_per_mtok: price.input_usd_per_mtok,
            output_usd_per_mtok: price.output_usd_per_mtok,
        };
        match catalog.entries.iter_mut().find(|e| &e.model == model) {
            Some(known) => known.price = Some(price),
            None => catalog.entries.push(CatalogEntry {
                model: model.clone(),
                price: Some(price),
                context_length: None,
                capabilities: None,
            }),
        }
    }
    catalog
}

/// Training mean costs (evaluated ones without training rows) of the models a router knows.
fn known_costs(contest: &Contest<'_>, pool_of: &[Option<usize>]) -> Vec<f64> {
    let evaluated = crate::contest::column_means(&contest.test.cost, contest.n_models());
    let costs = contest.train.as_ref().map_or(&evaluated, |t| &t.cost);
    pool_of.iter().flatten().map(|&m| costs[m]).collect()
}

/// Mean over models of |mean predicted cost / mean observed cost − 1|.
fn cost_error(contest: &Contest<'_>, routed: &[Routed]) -> Option<f64> {
    let errors: Vec<f64> = (0..contest.n_models())
        .filter_map(|m| {
            let predicted: f64 = routed.iter().map(|r| r.cost[m]).sum();
            let observed: f64 = contest.column(&contest.test.cost, m).iter().sum();
            let error = (predicted / observed - 1.0).abs();
            error.is_finite().then_some(error)
        })
        .collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}
