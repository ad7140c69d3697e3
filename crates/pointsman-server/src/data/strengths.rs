//! `GET /v1/routers/{version}/explain`: what an artifact has learned each model to be good at.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use pointsman::Router;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::live::{Current, Live};
use crate::tenants::Admitted;
use crate::wire::refusal::Refusal;

/// In the place of a version: the artifact that decides.
const ACTIVE: &str = "active";

/// What an artifact has learned, over the models that whoever asks may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RouterExplanation)]
pub(crate) struct Explanation<'a> {
    /// `sha256:` and its identity.
    version: String,
    models: Vec<Known<'a>>,
    tasks: Vec<Learned<'a>>,
}

/// A model over all training prompts, and where it can be reached.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnownModel)]
struct Known<'a> {
    model: &'a str,
    /// Mean quality, from 0 to 1.
    quality: f64,
    /// Mean USD per call.
    #[schema(required)]
    cost_usd: Option<f64>,
    /// Outcomes that it was learned from.
    outcomes: usize,
    targets: Vec<Able<'a>>,
}

/// A target, and what it is declared to be able to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AbleTarget)]
struct Able<'a> {
    name: &'a str,
    /// Null: everything.
    #[schema(value_type = Option<Vec<String>>, required)]
    capabilities: Option<&'a [String]>,
}

/// A kind of prompts, as the training log named it or as it was found there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LearnedTask)]
struct Learned<'a> {
    task: &'a str,
    /// Share of the training prompts.
    share: f64,
    /// The models, the best one first.
    strengths: Vec<Strength<'a>>,
}

/// A model at a task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Strength)]
struct Strength<'a> {
    model: &'a str,
    /// Expected quality of a prompt that is surely of this task, before what else the prompt says, from 0 to 1.
    quality: f32,
    /// Its standard error against the other models.
    se: f32,
}

#[utoipa::path(
    get, path = "/v1/routers/{version}/explain", tag = "decisions", operation_id = "explain_router",
    summary = "What each model was learned to be good at",
    params(("version" = String, Path, description = "`active`, or `sha256:` and the identity of an artifact that decides or did so of late",
        pattern = "^(active|sha256:[0-9a-f]{64})$")),
    responses(
        (status = 200, description = "Models by task", body = Explanation<'static>),
        (status = 401, description = "No key of this server, where it has tenants", body = Refusal),
        (status = 404, description = "No such artifact is remembered", body = Refusal),
        (status = 429, description = "The tenant asks too often", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn explain(
    State(live): State<Arc<Live>>,
    Path(version): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let current = live.of(request.extensions());
    let denied = request.extensions().get::<Admitted>().map(|admitted| Arc::clone(&admitted.denied));
    let shelf = &current.shelf;
    if shelf.stands_in().is_some() {
        return Err(Error::NoPredictions);
    }
    let is_it = |router: &&Router| version.strip_prefix("sha256:") == Some(router.identity());
    let router = Some(shelf.active()).filter(|router| version == ACTIVE || is_it(router));
    let router = router.or_else(|| shelf.former().find(is_it));
    let router = router.ok_or_else(|| Error::NoRouterVersion { version: version.chars().take(80).collect() })?;
    Ok(Json(explanation(&current, router, denied.as_deref())).into_response())
}

fn explanation<'a>(current: &'a Current, router: &'a Router, denied: Option<&[String]>) -> Explanation<'a> {
    let (document, weights) = (router.document(), router.weights());
    let k = document.models.len();
    // What a tenant may use is said of the models of today: of others it does not learn.
    let todays = current.snapshot.router().models();
    let may = |model: &String| denied.is_none_or(|denied| !denied.contains(model) && todays.contains(model));
    let models = || document.models.iter().enumerate().filter(|(_, model)| may(model));
    let targets = |model: &str| {
        let of_it = current.settings.targets.iter().filter(|target| target.model == *model);
        of_it.map(|target| Able { name: &target.name, capabilities: target.capabilities.as_deref() }).collect()
    };
    let known = |(model_idx, model): (usize, &'a String)| Known {
        model,
        quality: document.statics[model_idx].quality,
        cost_usd: document.statics[model_idx].cost_usd,
        outcomes: document.statics[model_idx].outcomes,
        targets: targets(model),
    };
    let learned = |(task_idx, task): (usize, &'a String)| {
        let strength = |(model_idx, model): (usize, &'a String)| Strength {
            model,
            quality: (weights.mean[model_idx] + weights.contrast[task_idx * k + model_idx]).clamp(0.0, 1.0),
            se: weights.contrast_variance[task_idx * k + model_idx].sqrt(),
        };
        let mut strengths: Vec<Strength<'_>> = models().map(strength).collect();
        strengths.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        Learned { task, share: document.task_profiles[task_idx].share, strengths }
    };
    Explanation {
        version: format!("sha256:{}", router.identity()),
        models: models().map(known).collect(),
        tasks: document.tasks.iter().enumerate().map(learned).collect(),
    }
}
