//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use pointsman_ledger::Ledger;

use crate::clock;
use crate::live::Live;
use crate::state::now_us;

/// The format's name, as Prometheus asks for it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    summary = "Counters and times, for Prometheus",
    responses((status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"))
)]
pub(crate) async fn metrics(State(live): State<Arc<Live>>) -> Response {
    let ledger = live.state.as_ref().map(|state| &state.ledger);
    live.metrics.ledger(ledger.map_or(0, Ledger::lost), ledger.map_or(0, Ledger::waiting));
    live.metrics.buffered(live.buffered());
    let current = live.current();
    live.metrics.budgets(current.tenants.left(now_us()));
    let now = clock::now();
    live.metrics.standings(current.targets.iter().map(|target| (target.name.as_str(), target.standing(now))));
    live.metrics.paces(current.targets.iter().map(|target| (target.name.as_str(), target.pace(now))));
    ([(CONTENT_TYPE, OPENMETRICS)], live.metrics.text()).into_response()
}
