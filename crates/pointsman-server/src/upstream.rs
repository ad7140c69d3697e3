//! Calls to targets: one request, one answer or the reason why there is none. Which target to call, and whom after it, is
//! decided elsewhere.

#[cfg_attr(simulation, allow(dead_code, reason = "names are the simulation's"))]
pub(crate) mod addresses;
pub(crate) mod client;
pub(crate) mod objection;
mod sockets;
pub(crate) mod sse;
pub(crate) mod watch;

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::timeout_at;

use crate::clock;
use crate::routing::causes::Cause;
use crate::targets::Target;
use crate::targets::health::Report;
use crate::wire::protocol::Protocol;
use objection::objection;
use sse::{Event, Events};

/// Longest answer that is not a stream, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Most of a stream that is kept back while no content has come: events, and bytes.
const HELD_EVENTS: usize = 64;
const HELD_BYTES: usize = 256 << 10;

/// What is understood of `Retry-After`: further ahead nothing is planned, and moments run out.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The form of a stream.
const EVENT_STREAM: &str = "text/event-stream";

/// What a target said.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole JSON document; of success, or a refusal of the request for its own sake.
    Whole { status: StatusCode, body: Bytes },
    /// A stream that has begun to say something.
    Stream(Stream),
}

/// A stream, from its first event on.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Events that have come, first content among them.
    pub(crate) begun: Vec<Event>,
    /// What comes after.
    pub(crate) rest: Events<Incoming>,
    pub(crate) until: Until,
}

/// When a stream has to have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) at: Instant,
    /// What it is when it has not.
    pub(crate) late: Failure,
}

/// Why a call came to nothing, in words of a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Connect,
    /// Its name stands for an address that is not reached.
    AddressRefused,
    /// No answer, or none of its parts, in time.
    Timeout,
    /// None within the time that the client waits, which is shorter.
    Deadline,
    /// The connection broke.
    Broken,
    /// The answer is not what it should be: its type, its JSON, its length.
    Malformed,
    /// A status that is the target's fault or ours, and when to come again.
    Status(u16, Option<Duration>),
    /// The request is longer than the target's model can read.
    ContextLength,
    /// The target does not answer requests about such things.
    Content,
}

impl Failure {
    /// For labels and replies.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::AddressRefused => "address_refused",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::Status(401..=403, _) => "key_refused",
            Self::Status(429, _) => "rate_limited",
            Self::ContextLength => "context_length",
            Self::Content => "content",
            Self::Status(..) => "status",
        }
    }

    /// The status of the target's answer, where there was one.
    pub(crate) const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// What it says of the target's health; nothing by itself where the client did not wait.
    pub(crate) const fn report(self) -> Option<Report> {
        Some(match self {
            Self::Deadline => return None,
            Self::Status(429, wait) => Report::Busy(wait),
            // Credit that one request is too dear for may be enough for the next: only several in a row say that it is used up.
            Self::Status(401 | 403, _) => Report::KeyRefused,
            Self::ContextLength | Self::Content => Report::Answered,
            _ => Report::Failed,
        })
    }

    /// Whether the same target may do better in a moment.
    pub(crate) const fn is_passing(self) -> bool {
        !matches!(self, Self::Status(401..=403, _) | Self::AddressRefused | Self::ContextLength | Self::Content)
    }

    /// What the operator calls it.
    pub(crate) const fn cause(self) -> Cause {
        match self {
            Self::Connect | Self::AddressRefused | Self::Broken => Cause::Connection,
            Self::Timeout | Self::Deadline => Cause::Timeout,
            Self::Status(429, _) => Cause::RateLimit,
            Self::Status(401..=403, _) => Cause::Credentials,
            Self::Status(..) | Self::Malformed => Cause::Server,
            Self::ContextLength => Cause::Context,
            Self::Content => Cause::Content,
        }
    }
}

/// A request as it goes out.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    /// Ours and the client's, without credentials.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether a stream is wanted.
    pub(crate) streams: bool,
    pub(crate) by: Deadlines,
}

/// When things have to have happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The answer, or of a stream its first content.
    pub(crate) answer: Instant,
    /// The end of a stream.
    pub(crate) all: Instant,
}

/// Calls a target once.
pub(crate) async fn call(target: &Target, call: Call) -> Result<Answer, Failure> {
    let Call { protocol, mut headers, body, streams, by } = call;
    if let Some((name, value)) = target.credential(protocol) {
        headers.insert(name, value);
    }
    let now = clock::now();
    let own = now + target.timeouts.total;
    let total = Until::first(own, by.all);
    // Of an answer that is no stream everything comes at once, at the end.
    let first = if streams { own.min(now + target.timeouts.first_token) } else { own };
    let first = Until::first(first, by.answer.min(by.all));
    let reply = timeout_at(first.at.into(), target.client().post(target.uri(protocol.path()), headers, body)).await;
    let reply = reply.map_err(|_| first.late)??;
    let status = reply.status();
    if matches!(status.as_u16(), 401 | 402 | 408 | 429) || !(status.is_success() || status.is_client_error()) {
        return Err(Failure::Status(status.as_u16(), wait(reply.headers())));
    }
    if streams && status.is_success() {
        let stream = timeout_at(first.at.into(), begin(reply, protocol, total)).await;
        return stream.map_err(|_| first.late)?.map(Answer::Stream);
    }
    let latest = if streams { total } else { first };
    let whole = timeout_at(latest.at.into(), whole(reply)).await.map_err(|_| latest.late)?;
    match whole {
        // A response has a field of that name for what it answers itself.
        Ok((_, IsError(true))) if status.is_success() && protocol != Protocol::Responses => Err(Failure::Malformed),
        // What a key may not do is mostly the key's matter, but some say so of what a request is about.
        Ok((body, _)) if status == StatusCode::FORBIDDEN && objection(status, &body).is_none() => {
            Err(Failure::Status(403, None))
        }
        Ok((body, _)) => Ok(Answer::Whole { status, body }),
        Err(_) if status == StatusCode::FORBIDDEN => Err(Failure::Status(403, None)),
        // What stands before a target says in its own words that it does not take the request.
        Err(Failure::Malformed) if matches!(status.as_u16(), 400 | 413 | 414 | 422 | 431) => {
            Ok(Answer::Whole { status, body: refusal(status) })
        }
        Err(failure) => Err(failure),
    }
}

impl Until {
    /// The earlier of a target's own time and the client's.
    fn first(own: Instant, clients: Instant) -> Self {
        if clients < own {
            Self { at: clients, late: Failure::Deadline }
        } else {
            Self { at: own, late: Failure::Timeout }
        }
    }
}

/// For a refusal that is no JSON: the words of whatever stands before a target are not handed on.
fn refusal(status: StatusCode) -> Bytes {
    let message = format!("the target does not take the request: {status}");
    let metadata = json!({ "error_type": "invalid_request", "retryable": false, "retry_after": null });
    let error = json!({
        "message": message, "type": "invalid_request_error", "param": null, "code": "upstream_refused", "metadata": metadata,
    });
    json!({ "type": "error", "error": error }).to_string().into()
}

/// Seconds of `Retry-After`; dates are not understood, and count as nothing.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn is_of(reply: &Response<Incoming>, form: &str) -> bool {
    let value = reply.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    value.len() >= form.len() && value[..form.len()].eq_ignore_ascii_case(form.as_bytes())
}

/// Whether an answer says that it is none.
#[derive(Debug)]
struct IsError(bool);

/// The whole answer, which has to be JSON.
async fn whole(reply: Response<Incoming>) -> Result<(Bytes, IsError), Failure> {
    if !is_of(&reply, "application/json") {
        return Err(Failure::Malformed);
    }
    let mut body = reply.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > LONGEST_ANSWER {
            return Err(Failure::Malformed);
        }
        bytes.extend_from_slice(&data);
    }
    let is_error = match serde_json::from_slice::<sse::Failed>(&bytes) {
        Ok(answer) => answer.error.is_some(),
        // Something else than an object, which may be JSON all the same.
        Err(error) if error.is_data() && serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() => false,
        Err(_) => return Err(Failure::Malformed),
    };
    Ok((bytes.into(), IsError(is_error)))
}

/// A stream up to its first content: until then another target can take its place and nobody notices.
async fn begin(reply: Response<Incoming>, protocol: Protocol, until: Until) -> Result<Stream, Failure> {
    if !is_of(&reply, EVENT_STREAM) {
        return Err(Failure::Malformed);
    }
    let mut rest = Events::new(reply.into_body());
    let (mut begun, mut held) = (Vec::new(), 0);
    while let Some(event) = rest.next().await? {
        let says = event.says(protocol);
        held += event.bytes().len();
        begun.push(event);
        match says {
            sse::Says::Malformed | sse::Says::Error => return Err(Failure::Malformed),
            sse::Says::Content | sse::Says::Done => return Ok(Stream { begun, rest, until }),
            sse::Says::Nothing if begun.len() >= HELD_EVENTS || held >= HELD_BYTES => {
                return Ok(Stream { begun, rest, until });
            }
            sse::Says::Nothing => {}
        }
    }
    // It ended without having said anything.
    Err(Failure::Broken)
}
