//! Everything that can go wrong, at the start and in a request, and what the client is told of it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What this crate reports. The first four variants end the server's start; a client sees the others, as an OpenAI
/// error envelope with a stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The router cannot be used, or cannot be bound to the objective.
    #[error("the router cannot be served")]
    Router(#[from] pointsman::Error),
    /// The router has no identity: it was never an artifact's file.
    #[error("router: expected one loaded from an artifact, got one without identity")]
    NoIdentity,
    /// A setting is outside its domain.
    #[error("settings: `{field}` expected {expected}, got {got}")]
    BadSetting {
        /// The setting.
        field: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// The address cannot be listened on.
    #[error("listen: `{address}` cannot be bound")]
    Listen {
        /// The address given.
        address: String,
        /// The operating system's word on it.
        source: std::io::Error,
    },

    /// The body is not JSON, or nested too deeply.
    #[error("body: expected JSON, at most 127 levels deep; it stops being that at line {line}, column {column}")]
    InvalidJson {
        /// Line of the body, from 1.
        line: usize,
        /// Column of that line, in bytes.
        column: usize,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A field of the body has a form that cannot be used.
    #[error("{param}: expected {expected}, got {got}")]
    InvalidRequest {
        /// The field, or `body`.
        param: &'static str,
        /// The form it should have.
        expected: &'static str,
        /// The form it has; never its content.
        got: &'static str,
    },
    /// A field of the body asks for what this server does not do; passing over it would change what was asked.
    #[error("{param}: not supported by this server")]
    Unsupported {
        /// The field.
        param: &'static str,
    },
    /// The messages are no conversation.
    #[error(transparent)]
    BadMessages(pointsman::Error),
    /// No model and no alias has this name.
    #[error("model: `{model}` does not exist; GET /v1/models lists those that do")]
    ModelNotFound {
        /// The name, shortened.
        model: String,
    },
    /// The router was trained without latencies.
    #[error("model: `auto:fast` needs latencies, which this router was trained without")]
    NoLatency,
    /// No endpoint has this path.
    #[error("path: no such endpoint")]
    NotFound,
    /// The endpoint does not take this method.
    #[error("method: not one that this endpoint takes")]
    MethodNotAllowed,
    /// The body is too long.
    #[error("body: expected at most {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body took too long to arrive.
    #[error("body: expected within {seconds} s")]
    BodyTimeout {
        /// The limit.
        seconds: f64,
    },
    /// The connection broke before the body was complete.
    #[error("body: ended before it was complete")]
    BodyIncomplete(#[source] axum::Error),
    /// An answer could not be written as JSON: our mistake.
    #[error("an answer cannot be written")]
    Answer(#[source] serde_json::Error),
}

impl Error {
    /// What to do about it, for people; `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Router(error) => error.hint(),
            Self::Listen { .. } => Some("give a free address as host:port; port 0 takes any free port"),
            _ => None,
        }
    }

    fn public(&self) -> Public {
        let invalid =
            |param, code| Public { status: StatusCode::BAD_REQUEST, param, code, error_type: "invalid_request" };
        let other = |status, code| Public { status, param: None, code, error_type: code };
        match self {
            Self::InvalidJson { .. } => invalid(None, "invalid_json"),
            Self::InvalidRequest { param, .. } | Self::Unsupported { param } => {
                invalid(Some(*param).filter(|param| *param != "body"), "invalid_request")
            }
            Self::BadMessages(_) => invalid(Some("messages"), "invalid_request"),
            Self::BodyIncomplete(_) => invalid(None, "invalid_request"),
            Self::ModelNotFound { .. } | Self::NoLatency => invalid(Some("model"), "model_not_found"),
            Self::NotFound => other(StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => other(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTooLarge { .. } => other(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTimeout { .. } => other(StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::Router(_) | Self::NoIdentity | Self::BadSetting { .. } | Self::Listen { .. } | Self::Answer(_) => {
                other(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
            }
        }
    }
}

/// What a client learns of an error beside the sentence.
struct Public {
    status: StatusCode,
    param: Option<&'static str>,
    code: &'static str,
    error_type: &'static str,
}

#[derive(Serialize)]
struct Envelope {
    error: Body,
}

#[derive(Serialize)]
struct Body {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: &'static str,
    metadata: Metadata,
}

#[derive(Serialize)]
struct Metadata {
    error_type: &'static str,
    retryable: bool,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Public { status, param, code, error_type } = self.public();
        let (message, kind) = if status.is_server_error() {
            ("the server made a mistake".into(), "server_error")
        } else {
            (self.to_string(), "invalid_request_error")
        };
        let metadata = Metadata { error_type, retryable: status == StatusCode::REQUEST_TIMEOUT };
        let envelope = Envelope { error: Body { message, kind, param, code, metadata } };
        (status, Json(envelope)).into_response()
    }
}
