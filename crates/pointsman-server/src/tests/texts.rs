//! The text of every error, and what a client is told of those that are not its own.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use crate::Error;

#[test]
fn texts() {
    let io = || std::io::Error::other("cause");
    let json = || serde_json::from_str::<u8>("x").expect_err("not a number");
    for (error, text) in [
        (Error::Router(pointsman::Error::EmptyPool), "the router cannot be served"),
        (Error::NoIdentity, "router: expected one loaded from an artifact, got one without identity"),
        (
            Error::BadSetting { field: "read_timeout", expected: "a time above 0", got: "0".into() },
            "settings: `read_timeout` expected a time above 0, got 0",
        ),
        (Error::Listen { address: "here:80".into(), source: io() }, "listen: `here:80` cannot be bound"),
        (
            Error::InvalidJson { line: 1, column: 2, source: json() },
            "body: expected JSON, at most 127 levels deep; it stops being that at line 1, column 2",
        ),
        (
            Error::InvalidRequest { param: "tools", expected: "an array", got: "a string" },
            "tools: expected an array, got a string",
        ),
        (Error::Unsupported { param: "provider" }, "provider: not supported by this server"),
        (
            Error::BadMessages(pointsman::Error::NoMessages),
            "messages: expected at least one message, got an empty array",
        ),
        (
            Error::ModelNotFound { model: "gpt-9".into() },
            "model: `gpt-9` does not exist; GET /v1/models lists those that do",
        ),
        (Error::NoLatency, "model: `auto:fast` needs latencies, which this router was trained without"),
        (Error::NotFound, "path: no such endpoint"),
        (Error::MethodNotAllowed, "method: not one that this endpoint takes"),
        (Error::BodyTooLarge { limit: 10 }, "body: expected at most 10 bytes"),
        (Error::BodyTimeout { seconds: 0.5 }, "body: expected within 0.5 s"),
        (Error::BodyIncomplete(axum::Error::new(io())), "body: ended before it was complete"),
        (Error::Answer(json()), "an answer cannot be written"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn our_own_mistakes_keep_their_cause() {
    let reply = Error::Router(pointsman::Error::EmptyPool).into_response();
    assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let body = runtime.block_on(axum::body::to_bytes(reply.into_body(), 1000)).expect("a short body");
    let error: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(error["error"]["message"], "the server made a mistake");
    assert_eq!(error["error"]["type"], "server_error");
    assert_eq!(error["error"]["code"], "internal_error");
}
