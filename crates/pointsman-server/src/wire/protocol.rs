//! The endpoints whose requests are carried out, and what is different about each: where a target has it, how it is told
//! its key, how its streams begin, end and break off.

use axum::http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};

/// An endpoint, with the protocol that is spoken there. A request goes on in the protocol it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OpenAI's chat completions.
    #[default]
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's embeddings, which are never streams and for which nothing is predicted.
    Embeddings,
}

/// Anthropic's name for the header with the key, and the version that is meant where a client names none.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(crate) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
pub(crate) const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::Embeddings];

    /// Its name in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Embeddings => "embeddings",
        }
    }

    /// The protocol of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The endpoint below a target's base.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::Embeddings => "/embeddings",
        }
    }

    /// The header that tells a target its key; `None` where a key cannot stand in a header.
    pub(crate) fn credential(self, key: &str) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Messages => (API_KEY, HeaderValue::from_str(key)),
            Self::Chat | Self::Responses | Self::Embeddings => {
                (header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}")))
            }
        };
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    /// What ends a stream that was cut after it had said something.
    pub(crate) fn cut(self, cause: &'static str) -> String {
        const MESSAGE: &str = "the target broke the stream off";
        let metadata = json!({"error_type": cause, "retryable": true});
        let event = |event: &Value| format!("event: error\ndata: {event}\n\n");
        match self {
            Self::Responses => event(&json!({
                "type": "error", "code": "upstream_cut", "message": MESSAGE, "param": null, "metadata": metadata})),
            Self::Messages => event(&json!({
                "type": "error", "error": {"type": "api_error", "message": MESSAGE, "code": "upstream_cut", "metadata": metadata}})),
            Self::Chat | Self::Embeddings => format!(
                "data: {}\n\n",
                json!({
                "error": {"message": MESSAGE, "type": "server_error", "param": null, "code": "upstream_cut",
                    "metadata": metadata},
                "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]})
            ),
        }
    }
}
