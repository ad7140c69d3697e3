//! Whom a request falls on: the router's choice, the caller's, or where the router itself fails, the operator's order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};

use super::decide::{Made, facts, planned, read};
use super::record;
use crate::error::Error;
use crate::live::{Current, Live};
use crate::regions::{Region, RegionPolicy};
use crate::routing::plan::REQUESTED;
use crate::routing::policies::Rule;
use crate::routing::sessions::Session;
use crate::routing::snapshot::{AUTO, Wanted};
use crate::tally::Expected;
use crate::targets::wish::{Wish, barred};
use crate::traces::Decision;
use crate::wire::answer::candidates;
use crate::wire::as_chat::as_chat;
use crate::wire::headers::Hints;
use crate::wire::metadata::Metadata;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;

/// The reason of a request that went to the default targets.
const DEGRADED: &str = "degraded";

/// The reason of a request for which nothing is predicted, and whose model is left to the operator's order.
const CONFIGURED: &str = "configured";

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
/// answer. A request that limits the choice is refused then, since nothing could be said about the limits.
pub(super) fn choose_or_degrade(
    live: &Live,
    current: &Current,
    hints: &Hints,
    bytes: &[u8],
    protocol: Protocol,
) -> Result<Chosen, Error> {
    let started = Instant::now();
    if current.targets.is_empty() {
        return Err(Error::NoTargets);
    }
    let bytes = as_chat(bytes, protocol)?;
    let chosen = catch_unwind(AssertUnwindSafe(|| match protocol {
        Protocol::Embeddings => choose_by_name(live, current, hints, &bytes),
        Protocol::Chat | Protocol::Responses | Protocol::Messages => {
            choose(live, current, hints, &bytes, protocol, started)
        }
    }));
    let (cause, error) = match chosen {
        Ok(Err(error)) if error.status() == StatusCode::INTERNAL_SERVER_ERROR => ("error", error),
        Ok(chosen) => return chosen,
        Err(_) => ("panic", Error::Panicked),
    };
    let query = Query::parse(&bytes, live.limits.max_messages)?;
    let wish = Wish { protocol, region: hints.region.clone(), ..query.wish() };
    let Some(ranked) = defaults(current, hints, &query, &wish) else { return Err(error) };
    live.metrics.degraded(cause);
    tracing::error!(cause = error.chain(), "a decision failed, the request goes to the default targets");
    // How many tokens that are nobody can say now.
    Ok(Chosen::without_prediction(live, current, hints, &query, DEGRADED, ranked, wish))
}

impl Chosen {
    /// Models in an order that nothing was predicted for; there is at least one.
    fn without_prediction(
        live: &Live,
        current: &Current,
        hints: &Hints,
        query: &Query<'_>,
        reason: &'static str,
        models: Vec<usize>,
        wish: Wish,
    ) -> Self {
        let decision_id = live.ids.next("dec");
        record::unpredicted(live, current, hints, query, wish.protocol, (&decision_id, reason, models[0]));
        if let Some(trace) = &hints.trace {
            trace.decided(Decision {
                id: &decision_id,
                model: current.name(models[0]),
                reason,
                router_version: current.snapshot.version(),
                config_version: current.snapshot.config_version(),
                routing_us: 0,
                policy: None,
            });
        }
        let metadata = hints.wants_metadata.then(|| {
            let route = query.model().unwrap_or(AUTO);
            let none = to_raw_value::<[(); 0]>(&[]).expect("an empty list");
            let session = query.session_id().or(hints.session_id.as_deref());
            Box::new(Metadata {
                reason,
                pinned: reason == REQUESTED,
                ..metadata(current, &decision_id, route, session, none)
            })
        });
        Self {
            metadata,
            decision_id,
            reason,
            elapsed_us: 0,
            expected: Expected::default(),
            ranked: models.into_iter().map(|model_idx| (model_idx, 0.0)).collect(),
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
    }
}

/// The models asked for by name, else every model in the order of its first target; `None` where the request limits the
/// choice, or nobody is left.
fn defaults(current: &Current, hints: &Hints, query: &Query<'_>, wish: &Wish) -> Option<Vec<usize>> {
    let (allow, deny) = query.pool();
    let limits = query.limits();
    let limited = limits.max_cost_usd.is_some() || limits.min_quality.is_some() || limits.max_latency_ms.is_some();
    if limited || !allow.is_empty() || !deny.is_empty() {
        return None;
    }
    // Rules may deny what nobody can look at now: with any, nothing is guessed.
    if !current.policies.is_empty() {
        return None;
    }
    let wanted = Wanted {
        model: query.model(),
        models: query.models(),
        objective: None,
        hinted: None,
        tenants: None,
        ruled: None,
        allow,
        deny,
    };
    let mut ranked = current.snapshot.select(wanted).ok()?.requested;
    if ranked.is_empty() {
        ranked = current.targets.models(wish);
    }
    let models = current.snapshot.router().models();
    ranked.retain(|model_idx| {
        // Models that are not the router's have targets, but not for this.
        let name = models.get(*model_idx);
        current.targets.names(*model_idx).next().is_some() && name.is_some_and(|name| !hints.denied.contains(name))
    });
    (!ranked.is_empty()).then_some(ranked)
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
    planned(live, current, hints, &query, started, |made| {
        let mut wish = Wish { protocol, region: region(hints, made.rule)?, ..query.wish() };
        wish.sort = wish.sort.or(made.selection.sort);
        wish.seat = made.seat.and_then(|seat| seat.target.clone());
        let allowed = made.plan.ranked.iter().filter(|entry| entry.excluded.is_none());
        let ranked = allowed.map(|entry| (entry.model_idx, made.predictions.input_tokens[entry.model_idx])).collect();
        let ranked = reached(current, ranked, &wish)?;
        let expected = record::decided(live, current, hints, &query, &made);
        let Made { id, selection, plan, predictions, elapsed_us, session, rule, .. } = made;
        let told = || -> Result<_, Error> {
            let (_, candidates) = candidates(current.snapshot.router(), plan, predictions, &current.targets);
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
        let metadata = hints.wants_metadata.then(told).transpose()?;
        let decision_id = id.to_owned();
        Ok(Chosen { decision_id, reason: plan.reason, elapsed_us, expected, ranked, wish, session, metadata })
    })
}

/// The model asked for by name, else every model that serves such requests, in the order of the configuration: what the
/// router knows of prompts says nothing of embeddings.
fn choose_by_name(live: &Live, current: &Current, hints: &Hints, bytes: &[u8]) -> Result<Chosen, Error> {
    let query = read(live, current, bytes)?;
    let (turns, context) = (query.turns(), query.context());
    let rule = current.policies.first(&facts(current, &query, hints, &turns, &context));
    if let Some((rule, message)) = rule.and_then(|rule| Some((rule, rule.refuse.as_ref()?))) {
        return Err(Error::PolicyRefused { policy: rule.name.clone(), message: message.clone() });
    }
    let wish = Wish { protocol: Protocol::Embeddings, region: region(hints, rule)?, ..query.wish() };
    let routers = current.snapshot.router().models();
    let requested = match query.model() {
        None => Vec::new(),
        Some(model) => {
            let other = current.targets.others().iter().position(|other| other == model);
            let routers_own = || current.snapshot.select(Wanted { model: Some(model), ..Wanted::default() });
            other.map_or_else(|| Ok(routers_own()?.requested), |other| Ok::<_, Error>(vec![routers.len() + other]))?
        }
    };
    let (mut ranked, reason) =
        if requested.is_empty() { (current.targets.models(&wish), CONFIGURED) } else { (requested, REQUESTED) };
    let ruled_out = rule.map(|rule| rule.denied.as_slice()).unwrap_or_default();
    ranked.retain(|model_idx| {
        ![&hints.denied, ruled_out].iter().any(|denied| denied.iter().any(|name| name == current.name(*model_idx)))
    });
    if ranked.is_empty() {
        return Err(Error::NoCandidate { excluded_by: vec!["allow", "deny"] });
    }
    let ranked = reached(current, ranked.into_iter().map(|model_idx| (model_idx, 0.0)).collect(), &wish)?;
    let models = ranked.into_iter().map(|(model_idx, _)| model_idx).collect();
    Ok(Chosen::without_prediction(live, current, hints, &query, reason, models, wish))
}

/// Where a request comes from, and what that means. A rule's region is required, and the only one: a request that requires
/// another has nowhere to go.
fn region(hints: &Hints, rule: Option<&Rule>) -> Result<Option<Region>, Error> {
    let Some(ruled) = rule.and_then(|rule| rule.region.as_ref()) else { return Ok(hints.region.clone()) };
    match &hints.region {
        Some(Region { name, policy: RegionPolicy::Require }) if name != ruled => {
            Err(Error::NoTarget { excluded_by: vec![barred::REGION] })
        }
        _ => Ok(Some(Region { name: ruled.clone(), policy: RegionPolicy::Require })),
    }
}

/// Those of the models that a request can reach somewhere.
fn reached(current: &Current, mut ranked: Vec<(usize, f32)>, wish: &Wish) -> Result<Vec<(usize, f32)>, Error> {
    let mut excluded_by = Vec::new();
    ranked.retain(|(model_idx, tokens)| match current.targets.reaches(*model_idx, *tokens, wish) {
        Ok(()) => true,
        Err(barred) => {
            excluded_by.extend(barred);
            false
        }
    });
    if !ranked.is_empty() {
        return Ok(ranked);
    }
    excluded_by.sort_unstable();
    excluded_by.dedup();
    if excluded_by.is_empty() {
        excluded_by.push("targets");
    }
    Err(Error::NoTarget { excluded_by })
}
