//! `GET /v1/models`: what `model` may be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::live::Live;
use crate::wire::models::ModelList;

#[utoipa::path(
    get, path = "/v1/models", tag = "decisions", operation_id = "models",
    summary = "What `model` of a request may be",
    responses((status = 200, description = "OpenAI's list, with prices", body = ModelList<'static>))
)]
pub(crate) async fn models(State(live): State<Arc<Live>>) -> Response {
    let current = live.current();
    Json(ModelList { object: "list", data: current.snapshot.list() }).into_response()
}
