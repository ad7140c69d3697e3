//! Paths to answers, and what every answer carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::answer::answer;
use crate::body;
use crate::error::Error;
use crate::ids::Ids;
use crate::query::{self, Query};
use crate::settings::Limits;
use crate::snapshot::Snapshot;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SCHEMA: HeaderName = HeaderName::from_static("x-pointsman-schema-version");

/// Version of the replies and headers; it rises when one of them changes its meaning.
const SCHEMA_VERSION: HeaderValue = HeaderValue::from_static("1");

/// Longest request identifier that is taken over from the client.
const LONGEST_REQUEST_ID: usize = 128;

/// What every endpoint sees.
#[derive(Debug)]
pub(crate) struct Shared {
    snapshot: Arc<Snapshot>,
    limits: Limits,
    ids: Ids,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, limits: Limits) -> Self {
        Self { snapshot: Arc::new(snapshot), limits, ids: Ids::default() }
    }

    /// What this request is answered from; taken once per request.
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
}

/// All endpoints.
pub(crate) fn endpoints(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/route", post(route))
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), stamp))
        .with_state(shared)
}

async fn route(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Error> {
    let Limits { max_body_bytes, read_timeout, .. } = shared.limits;
    let bytes = body::read(request.into_body(), max_body_bytes, read_timeout).await?;
    let body = query::parse(&bytes)?;
    drop(bytes);
    answer(&shared.snapshot(), &Query::new(&body)?, &shared.ids.next("dec"))
}

async fn models(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "object": "list", "data": shared.snapshot().list() }))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "status": "ready", "router_version": shared.snapshot().version() }))
}

/// Marks every reply with the request's identifier, the client's own where it is short visible ASCII.
async fn stamp(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    });
    let id = given
        .cloned()
        .unwrap_or_else(|| HeaderValue::try_from(shared.ids.next("req")).expect("an identifier is ASCII"));
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response.headers_mut().insert(SCHEMA, SCHEMA_VERSION);
    response
}
