//! `GET /admin/v1/decisions` and `/admin/v1/decisions/{id}`: what was decided, and what became of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use pointsman_ledger::Told;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::live::Live;
use crate::wire::refusal::Refusal;

/// Decisions that are listed unless a number is asked for, and at most.
const LISTED: u32 = 50;
const MOST_LISTED: u32 = 1_000;

/// The latest decisions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decisions)]
pub(crate) struct Decisions {
    /// The last one first, each with its outcome and feedback; no texts.
    #[schema(value_type = Vec<Object>)]
    decisions: Vec<Told>,
}

#[utoipa::path(
    get, path = "/admin/v1/decisions", tag = "operations", operation_id = "decisions",
    summary = "The latest decisions, with what came of them",
    params(("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 1000)),
    responses(
        (status = 200, description = "The last one first", body = Decisions),
        (status = 400, description = "The limit is no number from 1 to 1000", body = Refusal),
        (status = 404, description = "No state is kept", body = Refusal),
        (status = 503, description = "The ledger is busy", body = Refusal),
    )
)]
pub(crate) async fn latest(State(live): State<Arc<Live>>, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let Some(state) = &live.state else { return Err(Error::NoState) };
    let mut most = LISTED;
    for (name, value) in query.as_deref().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        if name == "limit" {
            let given = value.parse().ok().filter(|most| (1..=MOST_LISTED).contains(most));
            most = given.ok_or_else(|| Error::invalid("limit", "a number from 1 to 1000", "another text"))?;
        }
    }
    let decisions = state.ask(move |connection| Told::latest(connection, most)).await?;
    Ok(Json(Decisions { decisions }).into_response())
}

#[utoipa::path(
    get, path = "/admin/v1/decisions/{id}", tag = "operations", operation_id = "decision",
    summary = "One decision, with what came of it",
    params(("id" = String, Path, description = "As in `x-pointsman-decision-id`")),
    responses(
        (status = 200, description = "The decision; no texts", body = Object),
        (status = 404, description = "There is no such decision, or no state is kept", body = Refusal),
        (status = 503, description = "The ledger is busy", body = Refusal),
    )
)]
pub(crate) async fn one(State(live): State<Arc<Live>>, Path(id): Path<String>) -> Result<Response, Error> {
    let Some(state) = &live.state else { return Err(Error::NoState) };
    let asked = id.clone();
    let told = state.ask(move |connection| Told::find(connection, &asked)).await?;
    let id = id.chars().take(80).collect();
    told.map(|told| Json(told).into_response()).ok_or(Error::NoDecision { id })
}
