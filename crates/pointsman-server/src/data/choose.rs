//! Whom a request falls on: the router's choice, the caller's, or where the router itself fails, the operator's order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};

use super::decide::{Made, planned, read};
use super::order::{Ordered, in_order};
use super::record;
use crate::clock;
use crate::error::Error;
use crate::live::{Current, Live};
use crate::routing::plan::{DEGRADED, REQUESTED};
use crate::routing::sessions::Session;
use crate::routing::snapshot::AUTO;
use crate::tally::Expected;
use crate::targets::wish::{Purpose, Wish};
use crate::traces::Decision;
use crate::wire::answer::candidates;
use crate::wire::as_chat::as_chat;
use crate::wire::headers::Hints;
use crate::wire::metadata::Metadata;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;

/// What the core decided.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) decision_id: String,
    pub(super) reason: &'static str,
    pub(super) elapsed_us: u64,
    pub(super) expected: Expected,
    /// Models that may answer, best first, each with the tokens expected of the request.
    pub(super) ranked: Vec<(usize, f32)>,
    pub(super) wish: Wish,
    pub(super) session: Option<Session>,
    /// What the body of the answer will say, where the request asks for that.
    pub(super) metadata: Option<Box<Metadata>>,
}

/// A decision, or where making one meets a mistake of ours, the default targets: a bug of the router must not cost an
/// answer. Names, rules and tenants count all the same; what sets limits that only predictions can keep is refused.
pub(super) fn choose_or_degrade(
    live: &Live,
    current: &Current,
    hints: &Hints,
    bytes: &[u8],
    protocol: Protocol,
) -> Result<Chosen, Error> {
    let started = clock::now();
    if current.targets.is_empty() {
        return Err(Error::NoTargets);
    }
    let bytes = as_chat(bytes, protocol)?;
    let chosen = catch_unwind(AssertUnwindSafe(|| match protocol {
        Protocol::Embeddings => choose_in_order(live, current, hints, &bytes, protocol),
        _ if current.shelf.stands_in().is_some() => choose_in_order(live, current, hints, &bytes, protocol),
        Protocol::Chat | Protocol::Responses | Protocol::Messages => {
            choose(live, current, hints, &bytes, protocol, started)
        }
    }));
    let (cause, error) = match chosen {
        Ok(Err(error)) if error.status() == StatusCode::INTERNAL_SERVER_ERROR => ("error", error),
        Ok(chosen) => return chosen,
        Err(_) => ("panic", Error::Panicked),
    };
    let query = read(live, current, &bytes)?;
    // The mistake may be met again there.
    let ordered = catch_unwind(AssertUnwindSafe(|| in_order(current, hints, &query, protocol)));
    let Ok(ordered) = ordered else { return Err(error) };
    let ordered = Ordered { reason: DEGRADED, ..ordered? };
    live.metrics.degraded(cause);
    tracing::error!(cause = error.chain(), "a decision failed, the request goes to the default targets");
    Ok(Chosen::without_prediction(live, current, hints, &query, ordered))
}

impl Chosen {
    /// Models in an order that nothing was predicted for; there is at least one.
    fn without_prediction(
        live: &Live,
        current: &Current,
        hints: &Hints,
        query: &Query<'_>,
        ordered: Ordered<'_>,
    ) -> Self {
        let Ordered { ranked, reason, wish, rule } = ordered;
        let (model_idx, policy) = (ranked[0].0, rule.map(|rule| rule.name.as_str()));
        let decision_id = live.ids.next("dec");
        record::unpredicted(live, current, hints, query, wish.purpose.protocol(), (&decision_id, reason, model_idx));
        if let Some(trace) = &hints.trace {
            trace.decided(Decision {
                id: &decision_id,
                model: current.name(model_idx),
                reason,
                router_version: current.snapshot.version(),
                config_version: current.snapshot.config_version(),
                routing_us: 0,
                policy,
            });
        }
        let metadata = hints.tells.something().then(|| {
            let route = query.model().unwrap_or(AUTO);
            let none = to_raw_value::<[(); 0]>(&[]).expect("an empty list");
            let session = query.session_id().or(hints.session_id.as_deref());
            Box::new(Metadata {
                reason,
                pinned: reason == REQUESTED,
                policy: policy.map(str::to_owned),
                ..metadata(current, &decision_id, route, session, none)
            })
        });
        Self {
            metadata,
            decision_id,
            reason,
            elapsed_us: 0,
            expected: Expected::default(),
            ranked,
            wish,
            session: None,
        }
    }
}

/// What is known before anybody was asked.
fn metadata(
    current: &Current,
    decision_id: &str,
    route: &str,
    session_id: Option<&str>,
    candidates: Box<RawValue>,
) -> Metadata {
    Metadata {
        decision_id: decision_id.to_owned(),
        model: None,
        target: None,
        attempts: 0,
        route: route.to_owned(),
        reason: "",
        policy: None,
        pinned: false,
        session_id: session_id.map(str::to_owned),
        router_version: current.snapshot.version().to_owned(),
        config_version: current.snapshot.config_version(),
        routing_us: 0,
        cost_usd: None,
        candidates,
        failed: None,
    }
}

fn choose(
    live: &Live,
    current: &Current,
    hints: &Hints,
    bytes: &[u8],
    protocol: Protocol,
    started: Instant,
) -> Result<Chosen, Error> {
    let query = read(live, current, bytes)?;
    if query.is_prompt() {
        return Err(Error::invalid("messages", "an array of messages", "a prompt in their place"));
    }
    planned(live, current, hints, &query, Purpose::Request(protocol), started, |made| {
        let tokens = |model_idx: usize| made.predictions.input_tokens[model_idx];
        let ranked = made.plan.allowed().map(|entry| (entry.model_idx, tokens(entry.model_idx))).collect();
        let expected = record::decided(live, current, hints, &query, &made);
        let Made { id, selection, plan, predictions, wish, elapsed_us, session, rule, .. } = made;
        let told = || -> Result<_, Error> {
            let (_, candidates) = candidates(current.snapshot.router(), plan, predictions, &current.targets, &wish);
            let candidates = to_raw_value(&candidates).map_err(Error::Answer)?;
            let session = query.session_id().or(hints.session_id.as_deref());
            Ok(Box::new(Metadata {
                reason: plan.reason,
                policy: rule.map(|rule| rule.name.clone()),
                pinned: plan.pinned,
                routing_us: elapsed_us,
                ..metadata(current, id, selection.route, session, candidates)
            }))
        };
        let metadata = hints.tells.something().then(told).transpose()?;
        let decision_id = id.to_owned();
        Ok(Chosen { decision_id, reason: plan.reason, elapsed_us, expected, ranked, wish, session, metadata })
    })
}

/// The same where nothing is predicted.
fn choose_in_order(
    live: &Live,
    current: &Current,
    hints: &Hints,
    bytes: &[u8],
    protocol: Protocol,
) -> Result<Chosen, Error> {
    let query = read(live, current, bytes)?;
    let ordered = in_order(current, hints, &query, protocol)?;
    if ordered.reason == DEGRADED {
        live.metrics.degraded("artifact");
    }
    Ok(Chosen::without_prediction(live, current, hints, &query, ordered))
}
