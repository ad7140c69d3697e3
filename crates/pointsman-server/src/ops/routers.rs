//! `GET /admin/v1/routers` and `POST /admin/v1/reload`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::live::{Current, LastReload, Live};

/// The artifacts in use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Routers)]
pub(crate) struct Routers<'a> {
    /// One entry: the artifact that decides.
    #[schema(value_type = Vec<ActiveRouter<'static>>)]
    routers: [ActiveRouter<'a>; 1],
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
    /// 1 at the start, one more with every reload.
    config_version: u64,
    /// Names of its models.
    models: &'a [String],
    /// Names of its tasks.
    tasks: &'a [String],
    /// Prompts that it was trained on.
    n_prompts: usize,
}

/// How a reload ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reload {
    /// `applied`, or `refused`: what ran before keeps running.
    result: &'static str,
    /// The artifact that decides now.
    router_version: String,
    /// 1 at the start, one more with every reload.
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
    responses((status = 200, description = "The artifacts in use", body = Routers<'static>))
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
    Json(Routers { routers: [router], last_reload }).into_response()
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
    match live.reload().await {
        Ok(current) => Json(Reload::new(&current, None)).into_response(),
        Err(error) => (StatusCode::CONFLICT, Json(Reload::new(&live.current(), Some(error.chain())))).into_response(),
    }
}
