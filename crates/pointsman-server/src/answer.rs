//! Query and snapshot to a decision, its JSON and its headers.

use std::cell::RefCell;
use std::time::Instant;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use pointsman::decision::{Exclusion, Ranked};
use pointsman::{Predictions, Scratch};
use serde::Serialize;

use crate::error::Error;
use crate::query::Query;
use crate::snapshot::{Snapshot, Target};

/// The reason of a decision that the client made by naming a model.
const REQUESTED: &str = "requested";

/// Hashed words above which a thread's buffers are given back: 8 MiB, a thousand times a usual conversation. Without
/// this the longest one ever seen would stay in every thread's memory.
const LARGEST_KEPT: usize = 1 << 20;

thread_local! {
    /// One set of buffers per worker, so that routing allocates nothing after warm-up.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The reply of `POST /v1/route`. Numbers that are not finite, that is unknown, become null.
#[derive(Serialize)]
struct Answer<'a> {
    decision_id: &'a str,
    model: &'a str,
    /// The model, then what else may be tried, best first.
    models: Vec<&'a str>,
    route: &'a str,
    reason: &'static str,
    candidates: Vec<Candidate<'a>>,
    router_version: &'a str,
    /// Features, prediction and decision; reading the request and writing the reply are not in it.
    elapsed_us: u64,
}

#[derive(Serialize)]
struct Candidate<'a> {
    model: &'a str,
    p_success: f64,
    cost_usd: f64,
    latency_ms: Option<f32>,
    utility: f64,
    excluded_by: Option<Exclusion>,
}

/// Decides and answers.
pub(crate) fn answer(snapshot: &Snapshot, query: &Query<'_>, decision_id: &str) -> Result<Response, Error> {
    let target = snapshot.target(query.model)?;
    let turns = query.turns();
    let request = query.request(&turns);
    let limits = query.limits();
    SCRATCH.with_borrow_mut(|scratch| {
        let started = Instant::now();
        let Scratch { features, predictions, ranking } = scratch;
        let router = target.bound.router();
        router.featurise(&request, features);
        router.predict(features, predictions);
        let decision = target.bound.decide(predictions, &limits, ranking);
        let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);

        let chosen = target.requested.unwrap_or(decision.model_idx);
        let reason = if target.requested.is_some() { REQUESTED } else { decision.reason.as_str() };
        let answer = Answer {
            decision_id,
            model: &router.models()[chosen],
            models: ranked(&target, decision.ranked)
                .filter(|entry| entry.excluded.is_none() || entry.model_idx == chosen)
                .map(|entry| router.models()[entry.model_idx].as_str())
                .collect(),
            route: target.route,
            reason,
            candidates: ranked(&target, decision.ranked)
                .map(|entry| candidate(router.models(), entry, predictions))
                .collect(),
            router_version: snapshot.version(),
            elapsed_us,
        };
        let body = serde_json::to_vec(&answer).map_err(Error::Answer)?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("x-pointsman-decision-id", HeaderValue::try_from(decision_id).expect("an identifier is ASCII")),
            ("x-pointsman-selected-model", snapshot.model_header(chosen)),
            ("x-pointsman-reason", HeaderValue::from_static(reason)),
            ("x-pointsman-router-version", snapshot.version_header()),
            ("x-pointsman-routing-us", HeaderValue::from(elapsed_us)),
        ] {
            headers.insert(HeaderName::from_static(name), value);
        }
        if features.main().len() + features.background().len() > LARGEST_KEPT {
            *scratch = Scratch::default();
        }
        Ok((headers, body).into_response())
    })
}

/// The candidates of a decision, best first: all of them, or the one asked for by name.
fn ranked<'a>(target: &Target<'_>, ranked: &'a [Ranked]) -> impl Iterator<Item = &'a Ranked> {
    let requested = target.requested;
    ranked.iter().filter(move |entry| requested.is_none_or(|idx| entry.model_idx == idx))
}

fn candidate<'a>(models: &'a [String], entry: &Ranked, predictions: &Predictions) -> Candidate<'a> {
    Candidate {
        model: &models[entry.model_idx],
        p_success: entry.quality,
        cost_usd: entry.cost_usd,
        latency_ms: predictions.latency_ms.get(entry.model_idx).copied(),
        utility: entry.utility,
        excluded_by: entry.excluded,
    }
}
