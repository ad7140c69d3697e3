//! `POST /v1/route`: one decision.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::decide::{Form, decide};
use crate::error::Error;
use crate::live::{Current, Live};
use crate::net::body;
use crate::wire::answer::Answer;
use crate::wire::headers::{CONFIG_VERSION, DECISION_ID, Hints, REASON, ROUTER_VERSION, ROUTING_US, SELECTED_MODEL};
use crate::wire::query::Query;
use crate::wire::refusal::Refusal;

/// Longest body that is worked on by the thread that read it; a longer one, which takes milliseconds, goes to a
/// thread where nobody else waits.
pub(super) const LONGEST_INLINE: usize = 256 << 10;

/// First allocation for an answer: what eleven models need.
const ANSWER_BYTES: usize = 2048;

#[utoipa::path(
    post, path = "/v1/route", tag = "decisions", operation_id = "route",
    summary = "Where should this request go?",
    params(
        ("x-pointsman-objective" = Option<String>, Header, description = "Objective of a request that names none: \
            quality, balanced, cheap, fast, or USD per unit of quality", pattern = "^(quality|balanced|cheap|fast|[0-9]{1,9}([.][0-9]{1,9})?)$"),
        ("x-session-id" = Option<String>, Header, description = "Session, where the body names none", max_length = 256,
            pattern = "^[!-~]*$"),
        ("x-pointsman-tags" = Option<String>, Header, description = "Words of your own for the operator's rules: at most 32, \
            with commas between them", max_length = 2111, pattern = "^[!-+\\--~]{1,64}(,[!-+\\--~]{1,64}){0,31}$"),
        ("x-request-id" = Option<String>, Header, description = "Given back if it is 1 to 128 visible ASCII characters"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    request_body(content = Query<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The decision", body = Answer<'static>, headers(
            ("x-request-id" = String), ("x-pointsman-schema-version" = String), ("x-pointsman-decision-id" = String),
            ("x-pointsman-selected-model" = String, description = "Percent-encoded where it is not visible ASCII"),
            ("x-pointsman-reason" = String), ("x-pointsman-routing-us" = u64),
            ("x-pointsman-router-version" = String), ("x-pointsman-config-version" = u64))),
        (status = 401, description = "No key of this server, or one that has expired, where it has tenants", body = Refusal),
        (status = 400, description = "The request is not valid", body = Refusal),
        (status = 404, description = "No model keeps within the limits", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is compressed", body = Refusal),
        (status = 429, description = "The tenant asks too often, or too much at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 431, description = "The headers are too long", body = Refusal),
        (status = 503, description = "Too many requests at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn route(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let in_flight = live.enter()?;
    let (head, body) = request.into_parts();
    let current = live.of(&head.extensions);
    let hints = Hints::new(head, &live, &current)?;
    let body::Received { bytes, room } = body::read(body, &live).await?;
    if bytes.len() <= LONGEST_INLINE {
        return answer(&live, &current, &hints, &bytes);
    }
    let task = tokio::task::spawn_blocking(move || {
        let _held = (in_flight, room);
        answer(&live, &current, &hints, &bytes)
    });
    task.await.unwrap_or(Err(Error::Panicked))
}

fn answer(live: &Live, current: &Current, hints: &Hints, body: &[u8]) -> Result<Response, Error> {
    let mut json = Vec::with_capacity(ANSWER_BYTES);
    let decided = decide(live, current, hints, body, Form::Single, &mut json).map_err(|error| error.asking(body))?;
    let snapshot = &current.snapshot;
    // Twelve: these, what every reply carries, and those of the connection.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(DECISION_ID, HeaderValue::try_from(decided.id).expect("an identifier is ASCII"));
    headers.insert(SELECTED_MODEL, snapshot.model_header(decided.model_idx));
    headers.insert(REASON, HeaderValue::from_static(decided.reason));
    headers.insert(ROUTING_US, HeaderValue::from(decided.elapsed_us));
    headers.insert(ROUTER_VERSION, snapshot.version_header());
    headers.insert(CONFIG_VERSION, HeaderValue::from(snapshot.config_version()));
    Ok((headers, json).into_response())
}
