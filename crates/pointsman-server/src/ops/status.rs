//! `GET /` and `GET /admin/v1/status`: how the service fares, for people and for machines.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman_ledger::{Timing, Told, by_model};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::clock;
use crate::error::Error;
use crate::live::Live;
use crate::state::now_us;
use crate::targets::quantiles::PaceNow;
use crate::wire::refusal::Refusal;

/// The page; it has no part that comes from elsewhere.
const PAGE: &str = include_str!("status.html");

/// Nothing may be fetched but the page's own data, and no script or style runs but those that stand in it.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash("style"),
        hash("script")
    );
    HeaderValue::try_from(policy).expect("visible ASCII is a valid header value")
});

/// Of how far back a target's answers are counted, and of how many requests at most.
const TIMED_US: i64 = 5 * 60 * 1_000_000;
const MOST_TIMED: u32 = 2_000;

/// Decisions that are shown.
const SHOWN: u32 = 25;

/// How the service fares.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct Status {
    /// `sha256:` and the identity of the artifact that decides.
    router_version: String,
    /// Whether it does so whatever the file holds.
    pinned: bool,
    /// Why nothing is predicted, where the artifact could not be used at the start; null where one decides.
    #[schema(required)]
    stand_in: Option<String>,
    /// 1 at the start, one more with every change of what runs.
    config_version: u64,
    /// Seconds since the start.
    uptime_s: f64,
    /// Whether it is on its way out.
    draining: bool,
    /// Where decisions are kept: `file`, `memory` or `off`.
    state: &'static str,
    /// Since the start.
    decisions: u64,
    /// Since the start, by a target.
    answered: u64,
    /// USD for those answers whose comparison is known.
    cost_usd: f64,
    /// USD that the model that is best on average was expected to cost for the same ones.
    always_best_usd: f64,
    /// The model that is best on average.
    best_model: String,
    /// Decisions of the last five minutes, of the latest 2,000 at most, by model: share of calls.
    #[schema(value_type = Object)]
    traffic: BTreeMap<String, f64>,
    targets: Vec<TargetStatus>,
    /// The latest decisions, the last one first; no texts.
    #[schema(value_type = Vec<Object>)]
    recent: Vec<Told>,
}

/// How a target fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetStatus {
    name: String,
    model: String,
    /// `well`; `probe`: it gets a part of its calls; `outlier`: it fails more often than not; or `down`.
    standing: &'static str,
    /// Calls on their way.
    in_flight: usize,
    /// Requests of the last five minutes that it answered, of the latest 2,000 at most.
    answered: usize,
    /// Of those, cut short.
    cut: usize,
    /// Milliseconds from a call to the end of its answer, in the last five minutes; so are all that follow, to within 5 %, be
    /// there state or not.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// Milliseconds to the end of an answer.
    #[schema(required)]
    p90_ms: Option<f64>,
    /// Milliseconds to the end of an answer.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// Milliseconds to the first content of a stream.
    #[schema(required)]
    first_token_p50_ms: Option<f64>,
    /// Milliseconds to the first content of a stream.
    #[schema(required)]
    first_token_p90_ms: Option<f64>,
    /// Milliseconds to the first content of a stream.
    #[schema(required)]
    first_token_p99_ms: Option<f64>,
    /// Tokens per second, from a call to the end of its answer, that half of the answers had at least.
    #[schema(required)]
    tokens_per_second_p50: Option<f64>,
    /// Tokens per second that nine of ten answers had at least.
    #[schema(required)]
    tokens_per_second_p90: Option<f64>,
    /// Tokens per second that 99 of 100 answers had at least.
    #[schema(required)]
    tokens_per_second_p99: Option<f64>,
}

/// The page.
pub(crate) async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (headers, PAGE).into_response()
}

/// What a policy calls the element of this name in the page.
fn hash(name: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("<{name}>")).expect("the page has one");
    let (text, _) = rest.split_once(&format!("</{name}>")).expect("and its end");
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[utoipa::path(
    get, path = "/admin/v1/status", tag = "operations", operation_id = "status",
    summary = "How the service fares; `/` shows it as a page",
    responses(
        (status = 200, description = "Now", body = Status),
        (status = 503, description = "The ledger is busy", body = Refusal),
    )
)]
pub(crate) async fn status(State(live): State<Arc<Live>>) -> Result<Response, Error> {
    let current = live.current();
    let (timings, calls, recent) = match &live.state {
        None => (Vec::new(), BTreeMap::new(), Vec::new()),
        Some(state) => {
            let since = now_us() - TIMED_US;
            let told = state.ask(move |connection| {
                let timings = Timing::latest(connection, since, MOST_TIMED)?;
                Ok((timings, by_model(connection, since, MOST_TIMED)?, Told::latest(connection, SHOWN)?))
            });
            told.await?
        }
    };
    let all = calls.values().sum::<u64>() as f64;
    let traffic = calls.into_iter().map(|(model, calls)| (model, calls as f64 / all)).collect();
    let snapshot = &current.snapshot;
    let models = snapshot.router().models();
    let now = clock::now();
    let targets = current.targets.iter().map(|target| {
        let of = || timings.iter().filter(|timing| timing.target == target.name);
        let PaceNow { first, whole, speed } = target.pace(now);
        TargetStatus {
            name: target.name.clone(),
            model: target.model.to_string(),
            standing: target.standing(now).as_str(),
            in_flight: target.in_flight(),
            answered: of().count(),
            cut: of().filter(|timing| timing.outcome == "cut").count(),
            p50_ms: whole[0],
            p90_ms: whole[1],
            p99_ms: whole[2],
            first_token_p50_ms: first[0],
            first_token_p90_ms: first[1],
            first_token_p99_ms: first[2],
            tokens_per_second_p50: speed[0],
            tokens_per_second_p90: speed[1],
            tokens_per_second_p99: speed[2],
        }
    });
    let targets = targets.collect();
    let sums = live.tally.sums();
    let status = Status {
        router_version: snapshot.version().to_owned(),
        pinned: current.shelf.is_pinned(),
        stand_in: current.shelf.stands_in().map(str::to_owned),
        config_version: snapshot.config_version(),
        uptime_s: live.started.elapsed().as_secs_f64(),
        draining: live.is_draining(),
        state: live.state.as_ref().map_or("off", |state| state.kept),
        decisions: sums.decisions,
        answered: sums.answered,
        cost_usd: sums.cost_usd,
        always_best_usd: sums.baseline_usd,
        best_model: models[snapshot.best_single()].clone(),
        traffic,
        targets,
        recent,
    };
    Ok(Json(status).into_response())
}
