//! The endpoints whose requests are carried out: chat completions, responses, messages, embeddings.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::forwarded::forwarded;
use crate::error::Error;
use crate::live::Live;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;
use crate::wire::refusal::Refusal;

#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "completions", operation_id = "chat_completions",
    summary = "A decision, carried out",
    description = "OpenAI's chat completion. `model` is `auto`, an objective, or a model; the request goes to a target of the \
        chosen model and, where that fails before it has said anything, to the next best. All fields but `pointsman`, \
        `session_id`, `context`, `models` and `provider` reach the target as they are, `model` with the target's own name.",
    request_body(content = Query<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The target's answer as it came: JSON, or a stream of events", body = Object, headers(
            ("x-pointsman-decision-id" = String), ("x-pointsman-selected-model" = String),
            ("x-pointsman-target" = String), ("x-pointsman-attempts" = u64), ("x-pointsman-reason" = String),
            ("x-pointsman-routing-us" = u64), ("x-pointsman-router-version" = String),
            ("x-pointsman-config-version" = u64))),
        (status = 401, description = "No key of this server, or one that has expired, where it has tenants", body = Refusal),
        (status = 400, description = "The request is not valid; or the target finds it so, in its own words", body = Refusal),
        (status = 402, description = "The tenant's budget for today is spent", body = Refusal),
        (status = 404, description = "No target is configured, or none may answer", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is compressed", body = Refusal),
        (status = 429, description = "The tenant asks too often or too much at a time, or every target is over its rate limit", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 431, description = "The headers are too long", body = Refusal),
        (status = 502, description = "No target answered", body = Refusal),
        (status = 503, description = "Too many requests at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 504, description = "No target answered in time", body = Refusal),
    )
)]
pub(crate) async fn chat(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    forwarded(live, request, Protocol::Chat).await
}

#[utoipa::path(
    post, path = "/v1/responses", tag = "completions", operation_id = "responses",
    summary = "The same for OpenAI's responses",
    description = "`instructions` and the texts of `input` are what the router reads; the request goes to targets with the \
        endpoint `responses`, as it is but for what `/v1/chat/completions` takes out. What an earlier response holds \
        (`previous_response_id`) is not seen, and only its own target knows it: name the session.",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "The target's answer as it came", body = Object))
)]
pub(crate) async fn responses(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    forwarded(live, request, Protocol::Responses).await
}

#[utoipa::path(
    post, path = "/v1/messages", tag = "completions", operation_id = "messages",
    summary = "The same for Anthropic's messages",
    description = "The request goes to targets with the endpoint `messages`, with their own key in `x-api-key`; \
        `anthropic-version` and `anthropic-beta` are handed on.",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "The target's answer as it came", body = Object))
)]
pub(crate) async fn messages(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    forwarded(live, request, Protocol::Messages).await
}

#[utoipa::path(
    post, path = "/v1/embeddings", tag = "completions", operation_id = "embeddings",
    summary = "OpenAI's embeddings, by the name of their model",
    description = "Nothing is predicted: `model` is a name, or `auto` for the first target with the endpoint `embeddings`. \
        Vectors of different models do not go together, so that fallbacks stay within a model that was named.",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "The target's answer as it came", body = Object))
)]
pub(crate) async fn embeddings(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    forwarded(live, request, Protocol::Embeddings).await
}
