//! `pointsman_metadata`: what the headers say of a decision and of who answered, in the body of an answer whose request asks
//! for it by `x-pointsman-metadata: enabled`.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::Candidate;
use super::refusal::Attempt;

/// What a body says of its decision.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PointsmanMetadata)]
pub(crate) struct Metadata {
    /// The decision, by which feedback names it.
    pub(crate) decision_id: String,
    /// The model that answered; null where none did.
    #[schema(required)]
    pub(crate) model: Option<String>,
    /// The target that answered; null where none did.
    #[schema(required)]
    pub(crate) target: Option<String>,
    /// Targets that were asked.
    pub(crate) attempts: usize,
    /// The alias or the model that was asked for.
    pub(crate) route: String,
    /// Why the decision is what it is, as in `/v1/route`; or `configured`, `degraded`, where nothing was predicted.
    pub(crate) reason: &'static str,
    /// The operator's rule that it follows, if any.
    #[schema(required)]
    pub(crate) policy: Option<String>,
    /// Whether the request named the model itself.
    pub(crate) pinned: bool,
    /// The session, if the request named one.
    #[schema(required)]
    pub(crate) session_id: Option<String>,
    /// `sha256:` and the identity of the artifact that decided.
    pub(crate) router_version: String,
    /// 1 at the start, one more with every reload.
    pub(crate) config_version: u64,
    /// Microseconds for features, prediction and decision.
    pub(crate) routing_us: u64,
    /// What it cost, where the target counts tokens and their price is known.
    #[schema(required)]
    pub(crate) cost_usd: Option<f64>,
    /// The models considered, as in `/v1/route`; empty where nothing was predicted.
    #[schema(value_type = Vec<Candidate<'static>>)]
    pub(crate) candidates: Box<RawValue>,
    /// Calls that came to nothing, in order, where `x-pointsman-debug` asks for them; of an error they stand in its own `metadata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<super::refusal::Attempt>>)]
    pub(crate) failed: Option<Vec<Attempt>>,
}

impl Metadata {
    pub(crate) const FIELD: &'static str = "pointsman_metadata";

    /// Itself as JSON.
    pub(crate) fn json(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).expect("strings, numbers and what was JSON before")
    }

    /// A whole answer with this behind its last field, every other byte as it was; an answer that is no object stays as it is.
    pub(crate) fn within(&self, body: &[u8]) -> Vec<u8> {
        let end = body.trim_ascii_end();
        let Some(fields) = end.strip_suffix(b"}").filter(|fields| fields.trim_ascii_start().starts_with(b"{")) else {
            return body.to_vec();
        };
        let comma = if fields.trim_ascii_end().ends_with(b"{") { "" } else { "," };
        let added = format!("{comma}\"{}\":{}", Self::FIELD, self.json());
        [fields, added.as_bytes(), b"}", &body[end.len()..]].concat()
    }

    /// One more chunk of a streamed chat completion, with no choices as the one with `usage` has none; `like` is a chunk
    /// of the same stream.
    pub(crate) fn chunk(&self, like: Option<&Value>) -> Vec<u8> {
        let field = |name: &str| like.and_then(|chunk| chunk.get(name)).cloned().unwrap_or_default();
        let chunk = json!({"id": field("id"), "object": "chat.completion.chunk", "created": field("created"),
            "model": field("model"), "choices": []});
        let mut event = b"data: ".to_vec();
        event.extend(self.within(chunk.to_string().as_bytes()));
        event.extend_from_slice(b"\n\n");
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            decision_id: "dec-1".into(),
            model: None,
            target: None,
            attempts: 0,
            route: "auto".into(),
            reason: "utility",
            policy: None,
            pinned: false,
            session_id: None,
            router_version: "sha256:0".into(),
            config_version: 1,
            routing_us: 5,
            cost_usd: None,
            candidates: RawValue::from_string("[]".into()).expect("JSON"),
            failed: None,
        }
    }

    #[test]
    fn nothing_else_of_an_answer_changes() {
        let added = format!("\"pointsman_metadata\":{}", metadata().json());
        for (before, after) in [
            ("{\"a\": 1.0, \"b\":\"\\u00e9}\" }\n", format!("{{\"a\": 1.0, \"b\":\"\\u00e9}}\" ,{added}}}\n")),
            (" { } ", format!(" {{ {added}}} ")),
            ("[{}]", "[{}]".to_owned()),
            ("\"}\"", "\"}\"".to_owned()),
            ("", String::new()),
        ] {
            let found = String::from_utf8(metadata().within(before.as_bytes())).expect("text");
            assert_eq!(found, after);
            assert!(before.is_empty() || serde_json::from_str::<Value>(&found).is_ok(), "{found}");
        }
    }

    #[test]
    fn a_chunk_is_of_its_stream() {
        let like = json!({"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [{}]});
        let event = String::from_utf8(metadata().chunk(Some(&like))).expect("text");
        let data = event.strip_prefix("data: ").and_then(|event| event.strip_suffix("\n\n")).expect("an event");
        let chunk: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&chunk["id"], &chunk["created"], &chunk["choices"]), (&json!("chatcmpl-1"), &json!(7), &json!([])));
        assert_eq!(chunk["pointsman_metadata"]["decision_id"], "dec-1");
    }
}
