//! A request carried out: a choice, and the answer of whom it fell on.
//!
//! ```text
//! body ─► plan ─► targets in order ─► call ─┬─► a whole answer
//!                      ▲                    ├─► a stream that has said something: from here on it belongs to its target
//!                      └────── next ◄───────┘ a failure of the target's
//! ```

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::carry::{Carried, Carrier};
use super::choose::{Chosen, choose_or_degrade};
use super::record::Errand;
use super::relay::Relay;
use super::route::LONGEST_INLINE;
use crate::clock;
use crate::error::Error;
use crate::live::{Current, InFlight, Live};
use crate::net::{body, stream};
use crate::targets::{Ended, Target};
use crate::tenants::OF_TOKENS;
use crate::upstream::Answer;
use crate::wire::forward::Forward;
use crate::wire::headers::{
    ATTEMPTS, CONFIG_VERSION, COST_USD, DECISION_ID, Hints, REASON, ROUTER_VERSION, ROUTING_US, SELECTED_MODEL, TARGET,
    Tells,
};
use crate::wire::metadata::Metadata;
use crate::wire::protocol::Protocol;
use crate::wire::refusal::Attempt;

/// Carries a request out in the protocol that it came in.
pub(super) async fn forwarded(live: Arc<Live>, request: Request, protocol: Protocol) -> Result<Response, Error> {
    let in_flight = live.enter()?;
    let (head, body) = request.into_parts();
    let current = live.of(&head.extensions);
    let hints = Hints::new(head, &live, &current)?;
    let body::Received { bytes, room: _room } = body::read(body, &live).await?;
    let bytes = Bytes::from(bytes);
    let started = clock::now();
    let hints = Arc::new(hints);
    let (mut chosen, in_flight) = chosen(&live, &current, &hints, &bytes, protocol, in_flight).await?;
    let mut forward = Forward::new(&bytes)?;
    // Embeddings are never streams, whatever the request says.
    forward.streams &= protocol != Protocol::Embeddings;
    chosen.wish.streams = forward.streams;
    let decision_id = HeaderValue::try_from(&chosen.decision_id).expect("an identifier is ASCII");
    let headers = forward.headers(&hints.client.0, &decision_id, protocol);
    let (ranked, wish) = (&chosen.ranked, &chosen.wish);
    let timeout = hints.timeout.map(|timeout| started + timeout);
    let trace = hints.trace.as_ref();
    let carrier = Carrier { live: &live, current: &current, ranked, wish, forward: &forward, headers, timeout, trace };
    let mut errand = Errand::new(&live, &chosen.decision_id, chosen.expected, started);
    let tokens = chosen.ranked.first().map_or(0.0, |(_, tokens)| *tokens);
    if let Err(error) = errand.charge(&live, &hints, tokens) {
        errand.settle(error.code());
        let mut reply = error.into_response();
        if let Some(quota) = hints.tokens.as_ref().and_then(|limit| limit.left(clock::now())) {
            quota.mark(reply.headers_mut(), &OF_TOKENS);
        }
        reply.headers_mut().extend(decided(&chosen, &current, 0));
        return Ok(reply);
    }
    let sent = clock::now();
    let Carried { target, answer, asked, attempts, failed, span } = match carrier.carry_out().await {
        Ok(carried) => carried,
        Err(error) => {
            let error = error.asking(&bytes);
            errand.settle(error.code());
            let attempts = error.attempts();
            let metadata = chosen.metadata.take().map(|mut metadata| {
                metadata.attempts = attempts;
                metadata.json()
            });
            let mut reply = error.reply(metadata);
            reply.headers_mut().extend(decided(&chosen, &current, attempts));
            return Ok(reply);
        }
    };
    let answered = clock::now();
    errand.answered_by(target, asked, protocol, attempts);
    errand.spanned_by(span);
    if let Some(session) = chosen.session {
        live.sessions.keep(session, target.seat(), started);
    }
    let mut headers = said(&chosen, &current, target, attempts);
    errand.mark(&mut headers);
    let mut metadata = chosen.metadata.take();
    if let Some(metadata) = &mut metadata {
        metadata.model = Some(target.model.to_string());
        metadata.target = Some(target.name.clone());
        metadata.attempts = attempts;
        metadata.failed = (hints.tells == Tells::Calls).then(|| failed.iter().map(Attempt::new).collect());
    }
    match answer {
        Answer::Whole { status, body } => {
            errand.saw(&body);
            if status.is_success() {
                let ended = Ended { time: answered - asked, tokens: errand.output_tokens(), was_stream: false };
                target.ended(ended, answered);
            }
            if let Some(cost) = errand.cost_header() {
                headers.insert(COST_USD, cost);
            }
            let body = with(metadata, &errand, body);
            errand.settle(if status.is_success() { "answered" } else { "refused" });
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            live.metrics.overhead((sent - started) + (clock::now() - answered));
            Ok((status, headers, body).into_response())
        }
        Answer::Stream(begun) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            errand.first_token();
            let (sink, body) = stream::body();
            let relay = Relay {
                errand,
                current: Arc::clone(&current),
                live: Arc::clone(&live),
                position: target.position,
                asked,
                protocol,
                // The other protocols' clients know every event there is.
                metadata: metadata.filter(|_| protocol == Protocol::Chat),
                idle: target.timeouts.idle,
                until: begun.until,
                _in_flight: in_flight,
            };
            tokio::spawn(relay.run(begun, sink));
            live.metrics.overhead((sent - started) + (clock::now() - answered));
            Ok((StatusCode::OK, headers, body).into_response())
        }
    }
}

/// The choice, away from the threads that answer others where the body is long. That work holds the request's place, be it that
/// the client leaves meanwhile.
async fn chosen(
    live: &Arc<Live>,
    current: &Arc<Current>,
    hints: &Arc<Hints>,
    bytes: &Bytes,
    protocol: Protocol,
    in_flight: InFlight,
) -> Result<(Chosen, InFlight), Error> {
    let chosen = move |live: &Live, current: &Current, hints: &Hints, bytes: &[u8]| {
        choose_or_degrade(live, current, hints, bytes, protocol).map_err(|error| error.asking(bytes))
    };
    if bytes.len() <= LONGEST_INLINE {
        return Ok((chosen(live, current, hints, bytes)?, in_flight));
    }
    let (live, current, hints, bytes) = (Arc::clone(live), Arc::clone(current), Arc::clone(hints), bytes.clone());
    let task = tokio::task::spawn_blocking(move || Ok((chosen(&live, &current, &hints, &bytes)?, in_flight)));
    task.await.unwrap_or(Err(Error::Panicked))
}

/// A whole answer with what it is to say of itself, where the request asks for that.
fn with(metadata: Option<Box<Metadata>>, errand: &Errand, body: Bytes) -> Bytes {
    let Some(mut metadata) = metadata else { return body };
    metadata.cost_usd = errand.cost_usd();
    metadata.within(&body).into()
}

/// What the headers say of a choice, whatever came of it.
fn decided(chosen: &Chosen, current: &Current, attempts: usize) -> HeaderMap {
    let snapshot = &current.snapshot;
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(DECISION_ID, HeaderValue::try_from(&chosen.decision_id).expect("an identifier is ASCII"));
    headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    headers.insert(REASON, HeaderValue::from_static(chosen.reason));
    headers.insert(ROUTING_US, HeaderValue::from(chosen.elapsed_us));
    headers.insert(ROUTER_VERSION, snapshot.version_header());
    headers.insert(CONFIG_VERSION, HeaderValue::from(snapshot.config_version()));
    headers
}

/// The same, and of who answered.
fn said(chosen: &Chosen, current: &Current, target: &Target, attempts: usize) -> HeaderMap {
    let mut headers = decided(chosen, current, attempts);
    headers.insert(SELECTED_MODEL, target.model_header.clone());
    headers.insert(TARGET, target.name_header.clone());
    headers
}
