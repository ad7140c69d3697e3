//! Headers of requests and replies.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use pointsman::Objective;

use super::options::{OBJECTIVES, objective_named};
use crate::error::Error;
use crate::live::{Current, Live};
use crate::net::guard::Peer;
use crate::regions::{Region, is_region};
use crate::tenants::Admitted;
use crate::tenants::budget::Budget;
use crate::tenants::tokens::TokenLimit;
use crate::traces::Trace;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const SCHEMA: HeaderName = HeaderName::from_static("x-pointsman-schema-version");
pub(crate) const DECISION_ID: HeaderName = HeaderName::from_static("x-pointsman-decision-id");
pub(crate) const SELECTED_MODEL: HeaderName = HeaderName::from_static("x-pointsman-selected-model");
pub(crate) const REASON: HeaderName = HeaderName::from_static("x-pointsman-reason");
pub(crate) const ROUTING_US: HeaderName = HeaderName::from_static("x-pointsman-routing-us");
pub(crate) const ROUTER_VERSION: HeaderName = HeaderName::from_static("x-pointsman-router-version");
pub(crate) const CONFIG_VERSION: HeaderName = HeaderName::from_static("x-pointsman-config-version");

pub(crate) const TARGET: HeaderName = HeaderName::from_static("x-pointsman-target");
pub(crate) const COST_USD: HeaderName = HeaderName::from_static("x-pointsman-cost-usd");
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-pointsman-attempts");

const OBJECTIVE: &str = "x-pointsman-objective";
const SESSION: &str = "x-session-id";
const REGION: &str = "x-pointsman-region";
const TIMEOUT: &str = "x-pointsman-timeout-ms";
const METADATA: &str = "x-pointsman-metadata";
const DEBUG: &str = "x-pointsman-debug";
pub(crate) const TAGS: &str = "x-pointsman-tags";

/// Version of the replies and headers; it rises when one of them changes its meaning.
pub(crate) const SCHEMA_VERSION: HeaderValue = HeaderValue::from_static("1");

/// Longest that a client may say it waits: what a request may take at most.
const LONGEST_TIMEOUT_MS: u64 = 900_000;

/// Most tags of a request, and the longest.
const MOST_TAGS: usize = 32;
const LONGEST_TAG: usize = 64;

/// What tags may be, for errors.
pub(crate) const TAGS_EXPECTED: &str = "1 to 32 tags of 1 to 64 visible ASCII characters each";

/// Longest request identifier that is taken over from the client.
const LONGEST_REQUEST_ID: usize = 128;

/// The client's own identifier, where it is short visible ASCII.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let sane = |id: &&HeaderValue| {
        let id = id.as_bytes();
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(sane).cloned()
}

/// What a request says of its decision outside its body.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// The objective, where neither `model` nor the body's options name one.
    pub(crate) objective: Option<Objective>,
    /// The session, where the body names none.
    pub(crate) session_id: Option<String>,
    /// Where the request comes from, and what that means.
    pub(crate) region: Option<Region>,
    /// How long the client waits for the end of its answer.
    pub(crate) timeout: Option<Duration>,
    /// What the answer's body is to say of itself.
    pub(crate) tells: Tells,
    /// The trace that the request belongs to, in hex.
    pub(crate) trace_id: Option<String>,
    /// Its span, where traces are on.
    pub(crate) trace: Option<Trace>,
    /// Who asks, where there are tenants.
    pub(crate) tenant: Option<Arc<str>>,
    /// What metrics call it.
    pub(crate) label: Arc<str>,
    /// What whoever asks may spend, where that is limited.
    pub(crate) budget: Option<Budget>,
    /// How many tokens whoever asks may use, where that is limited.
    pub(crate) tokens: Option<TokenLimit>,
    /// Whether it counts who answered the session before: not for what is only tried, nor for lines of a batch.
    pub(crate) has_session: bool,
    /// Whether it is only tried: nothing is counted or kept.
    pub(crate) is_trial: bool,
    /// Models that whoever asks may not use.
    pub(crate) denied: Arc<[String]>,
    /// What the router weighs for whoever asks, where the request does not say.
    pub(crate) tenants_objective: Option<Objective>,
    /// Words of the client's own for the operator's rules.
    pub(crate) tags: Vec<String>,
    /// The moment that rules are told, in microseconds since 1970; `None` is now.
    pub(crate) at_us: Option<i64>,
    /// All headers, for rules that ask for one.
    pub(crate) client: ClientHeaders,
}

/// What an answer's body says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tells {
    #[default]
    Nothing,
    /// What had been decided, and who answered.
    Metadata,
    /// The same, and every call that came to nothing.
    Calls,
}

impl Tells {
    fn new(metadata: bool, calls: bool) -> Self {
        match (metadata, calls) {
            (_, true) => Self::Calls,
            (true, false) => Self::Metadata,
            (false, false) => Self::Nothing,
        }
    }

    pub(crate) fn something(self) -> bool {
        self != Self::Nothing
    }
}

/// Headers as the client sent them, credentials among them; so they are not for a log.
#[derive(Default)]
pub(crate) struct ClientHeaders(pub(crate) HeaderMap);

impl std::fmt::Debug for ClientHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClientHeaders").finish_non_exhaustive()
    }
}

impl ClientHeaders {
    /// The first of this name; empty without one.
    pub(crate) fn get(&self, name: HeaderName) -> &[u8] {
        self.0.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
    }
}

impl Hints {
    /// Reads the headers, and what became of them on the way.
    pub(crate) fn new(head: Parts, live: &Live, current: &Current) -> Result<Self, Error> {
        let headers = &head.headers;
        if headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Error::UnsupportedEncoding);
        }
        let admitted = head.extensions.get::<Admitted>();
        let asked = headers.get(REGION).map(region).transpose()?;
        let regions = &current.regions;
        let address = head.extensions.get::<Peer>().map(|peer| regions.client(peer.0, headers));
        let own = admitted.map(|admitted| Arc::clone(&admitted.region)).unwrap_or_default();
        let asks = |name| headers.get(name).map_or(Ok(false), |value| is_enabled(name, value));
        let trace = live.traces.as_ref().and_then(|_| head.extensions.get::<Trace>().cloned());
        Ok(Self {
            tenant: admitted.map(|admitted| Arc::clone(&admitted.name)),
            label: admitted.map(|admitted| Arc::clone(&admitted.label)).unwrap_or_default(),
            has_session: true,
            is_trial: false,
            budget: admitted.and_then(|admitted| admitted.budget.clone()),
            tokens: admitted.and_then(|admitted| admitted.tokens.clone()),
            objective: headers.get(OBJECTIVE).map(objective).transpose()?,
            session_id: headers.get(SESSION).map(session).transpose()?,
            region: regions.of(asked, &own, address)?,
            timeout: headers.get(TIMEOUT).map(timeout).transpose()?,
            tells: Tells::new(asks(METADATA)?, asks(DEBUG)?),
            trace_id: trace.as_ref().map(Trace::id).or_else(|| headers.get("traceparent").and_then(trace_id)),
            trace,
            denied: admitted.map(|admitted| Arc::clone(&admitted.denied)).unwrap_or_default(),
            tenants_objective: admitted.and_then(|admitted| admitted.objective.clone()),
            tags: tags(headers)?,
            at_us: None,
            client: ClientHeaders(head.headers),
        })
    }
}

fn objective(value: &HeaderValue) -> Result<Objective, Error> {
    let text = value.to_str().unwrap_or_default();
    objective_named(text)
        .or_else(|| lambda(text).map(Objective::Lambda))
        .ok_or_else(|| Error::invalid(OBJECTIVE, OBJECTIVES, "another value"))
}

/// A plain decimal number. Of exponents, infinities and the like that `f64` reads too, none is meant here.
fn lambda(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) { text.parse().ok() } else { None }
}

fn session(value: &HeaderValue) -> Result<String, Error> {
    let session = value.to_str().ok().filter(|id| id.len() <= 256 && id.bytes().all(|byte| byte.is_ascii_graphic()));
    session.map(str::to_owned).ok_or_else(|| Error::invalid(SESSION, "at most 256 visible ASCII characters", "others"))
}

fn region(value: &HeaderValue) -> Result<String, Error> {
    let region = value.to_str().ok().filter(|region| is_region(region));
    region.map(str::to_owned).ok_or_else(|| Error::invalid(REGION, "1 to 64 visible ASCII characters", "others"))
}

/// Tags, with a comma between two; blanks around one are not of it. The header may be there more than once.
fn tags(headers: &HeaderMap) -> Result<Vec<String>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(TAGS) {
        tags.extend(value.to_str().unwrap_or_default().split(',').map(|tag| tag.trim().to_owned()));
    }
    if !headers.contains_key(TAGS) || are_tags(&tags) {
        return Ok(tags);
    }
    Err(Error::invalid(TAGS, TAGS_EXPECTED, "others"))
}

/// Whether these can be the tags of a request.
pub(crate) fn are_tags(tags: &[impl AsRef<str>]) -> bool {
    let is_tag = |tag: &str| {
        (1..=LONGEST_TAG).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
    };
    (1..=MOST_TAGS).contains(&tags.len()) && tags.iter().all(|tag| is_tag(tag.as_ref()))
}

fn timeout(value: &HeaderValue) -> Result<Duration, Error> {
    let milliseconds = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let milliseconds =
        milliseconds.and_then(|text| text.parse().ok()).filter(|ms| (1..=LONGEST_TIMEOUT_MS).contains(ms));
    let milliseconds =
        milliseconds.ok_or_else(|| Error::invalid(TIMEOUT, "an integer from 1 to 900000", "another value"))?;
    Ok(Duration::from_millis(milliseconds))
}

/// Whether something is asked for.
fn is_enabled(name: &'static str, value: &HeaderValue) -> Result<bool, Error> {
    match value.as_bytes() {
        b"enabled" => Ok(true),
        b"disabled" => Ok(false),
        _ => Err(Error::invalid(name, "enabled or disabled", "another value")),
    }
}

/// The trace of a W3C `traceparent`; one that is malformed is no trace, as its specification says.
fn trace_id(value: &HeaderValue) -> Option<String> {
    let mut parts = value.to_str().ok()?.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let valid = version.len() == 2 && hex(version) && version != "ff" && trace.len() == 32 && hex(trace);
    (valid && trace.bytes().any(|byte| byte != b'0')).then(|| trace.to_owned())
}

/// A name as a header's value: `%` and bytes that are not visible ASCII are percent-encoded.
pub(crate) fn encoded(name: &str) -> HeaderValue {
    let mut value = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            value.push(byte.into());
        } else {
            write!(value, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    HeaderValue::try_from(value).expect("visible ASCII is a valid header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_header_is_plain() {
        assert_eq!((lambda("0.5"), lambda("12")), (Some(0.5), Some(12.0)));
        for bad in ["", ".5", "5.", "-1", "1e5", "inf", "NaN", "1.2.3", "1234567890"] {
            assert_eq!(lambda(bad), None, "{bad}");
        }
    }

    #[test]
    fn tags_are_few_and_short() {
        let read_all = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(TAGS, HeaderValue::try_from(*text).expect("a value"));
            }
            tags(&headers)
        };
        let read = |text: &str| read_all(&[text]);
        assert_eq!(read_all(&[]).expect("none"), [""; 0]);
        assert_eq!(read_all(&["a,b", "c"]).expect("valid"), ["a", "b", "c"]);
        assert_eq!(read("beta, team:search ,x").expect("valid"), ["beta", "team:search", "x"]);
        assert_eq!(read(&"a".repeat(64)).expect("valid").len(), 1);
        assert_eq!(read(&vec!["a"; 32].join(",")).expect("valid").len(), 32);
        for bad in ["", ",", "a,,b", "a b", "é", &"a".repeat(65), &vec!["a"; 33].join(",")] {
            let error = read(bad).expect_err(bad).to_string();
            assert_eq!(
                error,
                "x-pointsman-tags: expected 1 to 32 tags of 1 to 64 visible ASCII characters each, got others"
            );
        }
    }

    #[test]
    fn a_trace_is_taken_from_a_valid_parent_only() {
        let trace = |text: &'static str| trace_id(&HeaderValue::from_static(text));
        let valid = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(), Some(valid));
        for bad in ["", "00", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-XY-1-01"] {
            assert_eq!(trace(bad), None, "{bad}");
        }
        assert_eq!(trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    }
}
