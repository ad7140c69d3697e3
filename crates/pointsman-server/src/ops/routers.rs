//! `/admin/v1/routers`: the artifacts of late, and which one decides; `POST /admin/v1/reload`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Error;
use crate::live::{Current, LastReload, Live};
use crate::net::body;
use crate::wire::json::{Object, kind};
use crate::wire::refusal::Refusal;

/// The artifacts in use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Routers)]
pub(crate) struct Artifacts<'a> {
    /// One entry: the artifact that decides.
    #[schema(value_type = Vec<ActiveRouter<'static>>)]
    routers: [ActiveRouter<'a>; 1],
    /// Those that did before and can again, the last that came first; 3 at most.
    former: Vec<FormerRouter<'a>>,
    /// Version of the artifact that decides whatever the file holds; null where the file's does.
    #[schema(required)]
    pinned: Option<&'a str>,
    /// Why nothing is predicted, where the file could not be used at the start; null where an artifact decides.
    #[schema(required)]
    stand_in: Option<&'a str>,
    /// How the last reload ended; null before the first.
    #[schema(value_type = Option<Reload>, required)]
    last_reload: Option<Reload>,
}

/// An artifact that decides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActiveRouter)]
struct ActiveRouter<'a> {
    /// `sha256:` and its identity.
    version: &'a str,
    /// 1 at the start, one more with every change of what runs.
    config_version: u64,
    /// Names of its models.
    models: &'a [String],
    /// Names of its tasks.
    tasks: &'a [String],
    /// Prompts that it was trained on.
    n_prompts: usize,
}

/// An artifact that decided.
#[derive(Debug, Serialize, ToSchema)]
struct FormerRouter<'a> {
    /// `sha256:` and its identity.
    version: String,
    /// Names of its models.
    models: &'a [String],
    /// Names of its tasks.
    tasks: &'a [String],
    /// Prompts that it was trained on.
    n_prompts: usize,
}

/// Which artifact should decide.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Pin)]
pub(crate) struct Pin {
    /// One of `routers` or `former`.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    version: String,
}

/// How a reload ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reload {
    /// `applied`, or `refused`: what ran before keeps running.
    result: &'static str,
    /// The artifact that decides now.
    router_version: String,
    /// 1 at the start, one more with every change of what runs.
    config_version: u64,
    /// Why it was refused.
    #[schema(required)]
    error: Option<String>,
}

impl Reload {
    fn new(current: &Current, error: Option<String>) -> Self {
        Self {
            result: if error.is_some() { "refused" } else { "applied" },
            router_version: current.snapshot.version().to_owned(),
            config_version: current.snapshot.config_version(),
            error,
        }
    }
}

#[utoipa::path(
    get, path = "/admin/v1/routers", tag = "operations", operation_id = "routers",
    summary = "Which artifact decides, and how the last reload ended",
    responses((status = 200, description = "The artifacts in use", body = Artifacts<'static>))
)]
pub(crate) async fn routers(State(live): State<Arc<Live>>) -> Response {
    let current = live.current();
    let last_reload = match &*live.last_reload() {
        LastReload::None => None,
        LastReload::Applied => Some(Reload::new(&current, None)),
        LastReload::Refused(reason) => Some(Reload::new(&current, Some(reason.clone()))),
    };
    let snapshot = &current.snapshot;
    let document = snapshot.router().document();
    let router = ActiveRouter {
        version: snapshot.version(),
        config_version: snapshot.config_version(),
        models: &document.models,
        tasks: &document.tasks,
        n_prompts: document.provenance.n_prompts,
    };
    let former = current.shelf.former().map(|router| {
        let document = router.document();
        FormerRouter {
            version: format!("sha256:{}", router.identity()),
            models: &document.models,
            tasks: &document.tasks,
            n_prompts: document.provenance.n_prompts,
        }
    });
    let (former, pinned) = (former.collect(), current.shelf.is_pinned().then(|| snapshot.version()));
    let stand_in = current.shelf.stands_in();
    Json(Artifacts { routers: [router], former, pinned, stand_in, last_reload }).into_response()
}

#[utoipa::path(
    post, path = "/admin/v1/reload", tag = "operations", operation_id = "reload",
    summary = "Read configuration and artifact again, and use them",
    responses(
        (status = 200, description = "They are in use", body = Reload),
        (status = 409, description = "They cannot be used; what ran before keeps running", body = Reload),
    )
)]
pub(crate) async fn reload(State(live): State<Arc<Live>>) -> Response {
    told(&live, live.reload().await)
}

#[utoipa::path(
    post, path = "/admin/v1/routers/pin", tag = "operations", operation_id = "router_pin",
    summary = "Let an artifact that decides or did so decide, through reloads, until another word",
    request_body(content = Pin, content_type = "application/json"),
    responses(
        (status = 200, description = "It decides", body = Reload),
        (status = 400, description = "The request is not valid", body = Refusal),
        (status = 404, description = "It is not remembered", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 409, description = "The settings cannot be used with it; what ran before keeps running", body = Reload),
        (status = 413, description = "The body is too long", body = Refusal),
    )
)]
pub(crate) async fn pin(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    const EXPECTED: &str = "an object with `version`, a text";
    let bytes = body::read_freely(request.into_body(), &live).await?;
    let read = serde_json::from_slice::<Object<Pin>>(&bytes);
    let Object(pin) = read.map_err(|source| match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) if !value.is_object() => Error::invalid("body", EXPECTED, kind(&value)),
        Ok(_) => Error::invalid("body", EXPECTED, "other keys or values"),
        Err(_) => Error::InvalidJson { line: source.line(), column: source.column(), source },
    })?;
    match live.pin(pin.version).await {
        Err(error @ Error::NoRouterVersion { .. }) => Err(error),
        pinned => Ok(told(&live, pinned)),
    }
}

#[utoipa::path(
    post, path = "/admin/v1/routers/rollback", tag = "operations", operation_id = "router_rollback",
    summary = "Pin the artifact that came before the one that decides",
    responses(
        (status = 200, description = "It decides", body = Reload),
        (status = 409, description = "There is none, or the settings cannot be used with it", body = Reload),
    )
)]
pub(crate) async fn rollback(State(live): State<Arc<Live>>) -> Response {
    told(&live, live.unpromote().await)
}

#[utoipa::path(
    post, path = "/admin/v1/routers/unpin", tag = "operations", operation_id = "router_unpin",
    summary = "Let the file's artifact decide again",
    responses(
        (status = 200, description = "It decides", body = Reload),
        (status = 409, description = "It cannot be used; what ran before keeps running", body = Reload),
    )
)]
pub(crate) async fn unpin(State(live): State<Arc<Live>>) -> Response {
    told(&live, live.unpin().await)
}

fn told(live: &Live, changed: Result<Arc<Current>, Error>) -> Response {
    match changed {
        Ok(current) => Json(Reload::new(&current, None)).into_response(),
        Err(error) => (StatusCode::CONFLICT, Json(Reload::new(&live.current(), Some(error.chain())))).into_response(),
    }
}
