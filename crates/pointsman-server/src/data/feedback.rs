//! `POST /v1/feedback`: what somebody thinks of an answer, by the decision it came from.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use pointsman_ledger::{Feedback, Told};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Error;
use crate::live::Live;
use crate::nearest::nearest;
use crate::net::body;
use crate::state::now_us;
use crate::wire::headers::Hints;
use crate::wire::json::{Object, kind};
use crate::wire::refusal::Refusal;

/// Keys of the body.
const KEYS: [&str; 5] = ["decision_id", "metric", "value", "tags", "dryrun"];

/// Longest idempotency key, and longest name of a metric.
const LONGEST_KEY: usize = 255;
const LONGEST_METRIC: usize = 64;

/// Longest tags, as JSON.
const LONGEST_TAGS: usize = 4096;

/// What somebody thinks of an answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeedbackRequest)]
pub(crate) struct Body<'b> {
    /// `x-pointsman-decision-id` of the answer.
    #[schema(value_type = String, max_length = 64, pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    decision_id: Cow<'b, str>,
    /// What is judged, such as `helpful`: letters, digits, `_`, `-` and `.`.
    #[schema(value_type = String, max_length = 64, pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    metric: Cow<'b, str>,
    /// From 0 to 1; false and true are 0 and 1. The last word on a metric counts.
    #[schema(value_type = ValueSchema)]
    value: Judged,
    /// Whatever should be kept with it.
    #[schema(value_type = Option<Object>)]
    tags: Option<Map<String, Value>>,
    /// Checks everything and keeps nothing.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    dryrun: Option<bool>,
}

/// A number or a flag.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Judged {
    Number(f64),
    Flag(bool),
}

#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(as = FeedbackValue)]
#[expect(dead_code, reason = "the form of a value for the OpenAPI document")]
enum ValueSchema {
    Number(ShareSchema),
    Flag(bool),
}

/// From 0 to 1.
#[derive(Debug, ToSchema)]
#[schema(as = Share, minimum = 0, maximum = 1)]
#[expect(dead_code, reason = "the form of a number for the OpenAPI document")]
struct ShareSchema(f64);

/// Feedback that is on file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedbackAnswer)]
pub(crate) struct Answer {
    /// Names it; null where nothing was kept.
    #[schema(required)]
    feedback_id: Option<String>,
}

#[utoipa::path(
    post, path = "/v1/feedback", tag = "feedback", operation_id = "feedback",
    summary = "What somebody thinks of an answer",
    description = "Kept with the decision, for `pointsman export` to turn into an evaluation log. It is on file when it is \
        answered. The header `idempotency-key` makes asking again safe.",
    params(("idempotency-key" = Option<String>, Header, description = "The same key means the same feedback", max_length = 255,
        pattern = "^[!-~]{1,255}$")),
    request_body(content = Body<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "It is on file", body = Answer),
        (status = 400, description = "The request is not valid", body = Refusal),
        (status = 401, description = "No key of this server, or one that has expired, where it has tenants", body = Refusal),
        (status = 404, description = "There is no such decision of yours, or no state is kept", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 409, description = "The idempotency key was used for other feedback", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is compressed", body = Refusal),
        (status = 429, description = "The tenant asks too often, or too much at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 431, description = "The headers are too long", body = Refusal),
        (status = 503, description = "Too many requests at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn feedback(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let _in_flight = live.enter()?;
    let (head, body) = request.into_parts();
    let current = live.of(&head.extensions);
    let hints = Hints::new(head, &live, &current)?;
    let body::Received { bytes, room: _room } = body::read(body, &live).await?;
    let Some(state) = &live.state else { return Err(Error::NoState) };
    let given = read(&bytes)?;
    let value = match given.value {
        Judged::Number(number) if (0.0..=1.0).contains(&number) => number + 0.0,
        Judged::Number(_) => {
            return Err(Error::invalid("value", "a number from 0 to 1, or a boolean", "another number"));
        }
        Judged::Flag(flag) => f64::from(u8::from(flag)),
    };
    let is_name = |text: &str| {
        (1..=LONGEST_METRIC).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    if !is_name(&given.metric) {
        return Err(Error::invalid("metric", "1 to 64 letters, digits, `_`, `-` and `.`", "another text"));
    }
    if !is_name(&given.decision_id) {
        return Err(Error::invalid("decision_id", "an identifier from `x-pointsman-decision-id`", "another text"));
    }
    let tags = given.tags.map(|tags| Value::from(tags).to_string());
    if tags.as_ref().is_some_and(|tags| tags.len() > LONGEST_TAGS) {
        return Err(Error::invalid("tags", "at most 4096 bytes of JSON", "more"));
    }
    let idempotency_key = match hints.client.0.get("idempotency-key") {
        None => None,
        Some(value) => {
            let key = value.to_str().ok().filter(|key| {
                (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
            });
            let key =
                key.ok_or_else(|| Error::invalid("idempotency-key", "1 to 255 visible ASCII characters", "others"))?;
            Some(key.to_owned())
        }
    };
    let decision_id = given.decision_id.into_owned();
    let tenant = hints.tenant.as_deref().map(str::to_owned);
    if given.dryrun == Some(true) {
        let id = decision_id.clone();
        let known = state.ask(move |connection| Told::find(connection, &id)).await?;
        return match known.filter(|told| told.decision.tenant == tenant) {
            Some(_) => Ok(Json(Answer { feedback_id: None }).into_response()),
            None => Err(Error::NoDecision { id: decision_id }),
        };
    }
    let feedback = Feedback {
        id: live.ids.next("fb"),
        at_us: now_us(),
        tenant,
        decision_id,
        metric: given.metric.into_owned(),
        value,
        tags,
        idempotency_key,
    };
    let feedback_id = state.judge(feedback).await?;
    Ok(Json(Answer { feedback_id: Some(feedback_id) }).into_response())
}

fn read(bytes: &[u8]) -> Result<Body<'_>, Error> {
    serde_json::from_slice::<Object<_>>(bytes).map(|body| body.0).map_err(|source| {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return Error::InvalidJson { line: source.line(), column: source.column(), source };
        };
        let Some(object) = value.as_object() else { return Error::invalid("body", "an object", kind(&value)) };
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let key: String = key.chars().take(40).collect();
            let near = nearest(&key, &KEYS).map_or_else(|| KEYS.join(", "), |near| format!("`{near}`"));
            return Error::invalid("body", near, format!("the unknown key `{key}`"));
        }
        for (key, expected) in [
            ("decision_id", "a string"),
            ("metric", "a string"),
            ("value", "a number from 0 to 1, or a boolean"),
            ("tags", "an object"),
            ("dryrun", "a boolean"),
        ] {
            let given = object.get(key).unwrap_or(&Value::Null);
            let fits = match key {
                "decision_id" | "metric" => given.is_string(),
                "value" => given.is_number() || given.is_boolean(),
                "tags" => given.is_object() || given.is_null(),
                _ => given.is_boolean() || given.is_null(),
            };
            if !fits {
                return Error::invalid(key, expected, kind(given));
            }
        }
        Error::invalid("body", "every key at most once", "one twice")
    })
}
