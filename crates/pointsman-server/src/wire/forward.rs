//! A request on its way to a target: every field untouched but those that are ours.

use std::borrow::Cow;
use std::fmt;

use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::headers::{REQUEST_ID, request_id};
use super::json::Text;
use super::protocol::{ANTHROPIC_VERSION, DEFAULT_VERSION, Protocol};
use crate::error::Error;

/// Fields that are for us and mean nothing to a target.
const OURS: [&str; 5] = ["pointsman", "session_id", "context", "models", "provider"];

/// Headers of the client that go on; of credentials there are none.
const HANDED_ON: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    ANTHROPIC_VERSION,
    HeaderName::from_static("anthropic-beta"),
];

/// A body taken apart: fields in their order, values as they are written.
#[derive(Debug)]
pub(crate) struct Forward<'b> {
    fields: Vec<(Cow<'b, str>, &'b RawValue)>,
    /// Whether the answer is to be a stream.
    pub(crate) streams: bool,
}

impl<'b> Forward<'b> {
    /// Takes a body apart that is known to be an object.
    pub(crate) fn new(body: &'b [u8]) -> Result<Self, Error> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let fields = json.deserialize_map(Fields).map_err(|source| Error::InvalidJson {
            line: source.line(),
            column: source.column(),
            source,
        })?;
        // Some servers read names in any letters, and the last one counts: it would be another model than was chosen.
        if let Some((name, _)) = fields.iter().find(|(name, _)| name != "model" && name.eq_ignore_ascii_case("model")) {
            return Err(Error::AlmostModel { name: name.to_string() });
        }
        let streams = match fields.iter().rev().find(|(name, _)| name == "stream").map(|(_, value)| value.get()) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => return Err(Error::invalid("stream", "true or false", "another value")),
        };
        Ok(Self { fields, streams })
    }

    /// The body for a target that calls the model so.
    pub(crate) fn body(&self, upstream_model: &str) -> Vec<u8> {
        let length: usize = self.fields.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        let mut body = Vec::with_capacity(length + upstream_model.len() + 16);
        let quoted = |body: &mut Vec<u8>, text: &str| {
            serde_json::to_writer(body, text).expect("a string always serialises");
        };
        body.extend_from_slice(b"{\"model\":");
        quoted(&mut body, upstream_model);
        for (name, value) in &self.fields {
            if name == "model" || OURS.contains(&name.as_ref()) {
                continue;
            }
            body.push(b',');
            quoted(&mut body, name);
            body.push(b':');
            body.extend_from_slice(value.get().as_bytes());
        }
        body.push(b'}');
        body
    }

    /// The headers for any target; the request is known there by the client's own identifier, else by `decision_id`.
    pub(crate) fn headers(&self, clients: &HeaderMap, decision_id: &HeaderValue, protocol: Protocol) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        for name in HANDED_ON {
            if let Some(value) = clients.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        if protocol == Protocol::Messages {
            headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_VERSION);
        }
        headers.insert(REQUEST_ID, request_id(clients).unwrap_or_else(|| decision_id.clone()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accepted = if self.streams { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION"))));
        headers
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some(Text(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_changed() {
        let body = br#"{ "messages" : [ {"role":"user", "content":"\u00e9 1.0"} ], "model":"auto", "temperature": 1.00, "pointsman":{"deny":["x"]}, "session_id":"s", "seed": 12345678901234567890 }"#;
        let forward = Forward::new(body).expect("an object");
        assert!(!forward.streams);
        assert_eq!(
            String::from_utf8(forward.body("own \"name\"")).expect("text"),
            r#"{"model":"own \"name\"","messages":[ {"role":"user", "content":"\u00e9 1.0"} ],"temperature":1.00,"seed":12345678901234567890}"#
        );
    }

    #[test]
    fn stream_is_a_flag() {
        for (value, expected) in [("true", Some(true)), ("false", Some(false)), ("null", Some(false)), ("1", None)] {
            let body = format!("{{\"stream\":{value}}}");
            assert_eq!(Forward::new(body.as_bytes()).ok().map(|forward| forward.streams), expected, "{value}");
        }
    }
}
