//! `GET /health` and `GET /ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::live::{LastReload, Live};
use crate::wire::refusal::Refusal;

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// The service takes requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct Ready<'a> {
    /// Always `ready`.
    status: &'static str,
    /// `sha256:` and the identity of the artifact that decides.
    router_version: &'a str,
    /// 1 at the start, one more with every change of what runs.
    config_version: u64,
    /// `applied`, `refused` (what ran before still does; `GET /admin/v1/routers` says why), or null before the first.
    #[schema(value_type = Option<String>, required)]
    last_reload: Option<&'static str>,
}

#[utoipa::path(
    get, path = "/health", tag = "probes", operation_id = "health", summary = "Does the process live?",
    responses((status = 200, description = "It does", body = Health))
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[utoipa::path(
    get, path = "/ready", tag = "probes", operation_id = "ready", summary = "Does the service take requests?",
    responses(
        (status = 200, description = "It does", body = Ready<'static>),
        (status = 503, description = "It is shutting down", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn ready(State(live): State<Arc<Live>>) -> Result<Response, Error> {
    if live.is_draining() {
        return Err(Error::Draining);
    }
    let snapshot = &live.current().snapshot;
    let last_reload = match *live.last_reload() {
        LastReload::None => None,
        LastReload::Applied => Some("applied"),
        LastReload::Refused(_) => Some("refused"),
    };
    let (router_version, config_version) = (snapshot.version(), snapshot.config_version());
    Ok(Json(Ready { status: "ready", router_version, config_version, last_reload }).into_response())
}
