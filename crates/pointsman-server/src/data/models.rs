//! `GET /v1/models`: what `model` may be.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use crate::live::Live;
use crate::tenants::Admitted;
use crate::wire::models::{Model, ModelList};
use crate::wire::refusal::Refusal;

#[utoipa::path(
    get, path = "/v1/models", tag = "decisions", operation_id = "models",
    summary = "What `model` of a request may be",
    responses(
        (status = 200, description = "OpenAI's list, with prices", body = ModelList<'static>),
        (status = 401, description = "No key of this server, or one that has expired, where it has tenants", body = Refusal),
        (status = 429, description = "The tenant asks too often, or too much at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn models(State(live): State<Arc<Live>>, request: Request) -> Response {
    let current = live.of(request.extensions());
    let mut data = current.snapshot.list();
    data.extend(current.targets.others().iter().map(|name| Model::other(name)));
    for model in &mut data {
        current.targets.describe(model);
    }
    if let Some(admitted) = request.extensions().get::<Admitted>() {
        data.retain(|model| !admitted.denied.iter().any(|denied| denied == model.id));
    }
    Json(ModelList { object: "list", data }).into_response()
}
