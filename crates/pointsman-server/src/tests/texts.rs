//! The text of every error, and what a client is told of those that are not its own.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use crate::Error;

#[test]
fn texts_for_operators() {
    let io = || std::io::Error::other("cause");
    for (error, text) in [
        (Error::Router(pointsman::Error::EmptyPool), "the router cannot be served"),
        (Error::Traces(io().into()), "traces cannot be exported"),
        (Error::NoRouter, "router: expected the path of an artifact, got none"),
        (Error::ConfigRead { path: "p.toml".into(), source: io() }, "configuration `p.toml`: cannot be read"),
        (
            Error::Config { path: "p.toml".into(), line: 3, message: "unknown key `x` in [log]".into() },
            "configuration `p.toml`, line 3: unknown key `x` in [log]",
        ),
        (Error::ConfigWrite { path: "p.toml".into(), source: io() }, "configuration `p.toml`: cannot be replaced"),
        (
            Error::NoConfigFile,
            "no configuration file: this service was started without one; start it with `--config FILE` to show and change it here",
        ),
        (Error::ConfigRefused(Box::new(Error::NoRouter)), "the configuration cannot be used"),
        (
            Error::OtherForm { expected: "application/yaml" },
            "content-type: expected application/yaml, the form of the configuration's file",
        ),
        (Error::PreconditionRequired, "if-match: expected the ETag that GET /admin/v1/config gave, got none"),
        (
            Error::PreconditionFailed { etag: "4ac6".into() },
            "if-match: the configuration is another one by now, see the header `etag`",
        ),
        (
            Error::WrongArtifact { path: "r.safetensors".into(), expected: "4ac6".into(), got: "93ab".into() },
            "artifact `r.safetensors`: expected sha256:4ac6, got sha256:93ab",
        ),
        (
            Error::NoRouterVersion { version: "sha256:4ac6".into() },
            "version: `sha256:4ac6` does not decide here and is not remembered; GET /admin/v1/routers lists those that are",
        ),
        (
            Error::NothingBefore { what: "configuration" },
            "nothing to go back to: no configuration before the one in use is remembered",
        ),
        (
            Error::BadSetting { field: "read_timeout_ms", expected: "a time above 0", got: "0".into() },
            "settings: `read_timeout_ms` expected a time above 0, got 0",
        ),
        (Error::Listen { address: "here:80".into(), source: io() }, "listen: `here:80` cannot be bound"),
        (
            Error::OpenAdmin { address: "0.0.0.0:8081".into() },
            "admin_listen: `0.0.0.0:8081` is open to other machines, and no key is asked for there",
        ),
        (
            Error::NotAdmin,
            "authorization: expected a key of the admin plane, as a bearer token or as the password of any user",
        ),
        (Error::CrossSite, "origin: a page from elsewhere changes nothing here"),
        (Error::ReloadLost, "the reload did not come to an end"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn texts_for_clients() {
    let io = || std::io::Error::other("cause");
    let json = || serde_json::from_str::<u8>("x").expect_err("not a number");
    for (error, text) in [
        (
            Error::InvalidJson { line: 1, column: 2, source: json() },
            "body: expected JSON, at most 127 levels deep; it stops being that at line 1, column 2",
        ),
        (Error::NotUtf8 { offset: 7 }, "body: expected UTF-8; it stops being that at byte 7"),
        (Error::invalid("tools", "an array", "a string"), "tools: expected an array, got a string"),
        (
            Error::UnknownOption { key: "alow".into(), nearest: Some("allow"), known: "allow, deny".into() },
            "pointsman: unknown key `alow`; did you mean `allow`?",
        ),
        (
            Error::UnknownOption { key: "x".into(), nearest: None, known: "allow, deny".into() },
            "pointsman: unknown key `x`, expected allow, deny",
        ),
        (
            Error::Contradiction { param: "pointsman.objective", other: "a `model` that names an objective" },
            "pointsman.objective: not together with a `model` that names an objective",
        ),
        (
            Error::BadTenant { tenant: "acme".into(), field: "models", expected: "patterns", got: "x".into() },
            "tenant `acme`: models expected patterns, got `x`",
        ),
        (Error::Unauthorized, "authorization: expected a key of this server as a bearer token"),
        (Error::KeyExpired, "authorization: this key has expired; ask the operator for another one"),
        (
            Error::TenantBusy { limit: 8 },
            "busy: 8 requests of this tenant are being answered, as many as it may have at a time",
        ),
        (Error::RateLimited { retry_after: 3 }, "too many requests: the next one is taken in 3 s"),
        (
            Error::Alias { name: "chat".into(), expected: "a model of the router", got: "gpt-9".into() },
            "alias `chat`: expected a model of the router, got `gpt-9`",
        ),
        (
            Error::BadMessages(pointsman::Error::NoMessages),
            "messages: expected at least one message, got an empty array",
        ),
        (
            Error::ModelNotFound { param: "model", model: "gpt-9".into() },
            "model: `gpt-9` does not exist; GET /v1/models lists those that do",
        ),
        (Error::NoLatency { param: "model" }, "model: `fast` needs latencies, which this router was trained without"),
        (
            Error::NoCandidate { excluded_by: vec!["max_cost_usd", "min_quality"] },
            "no model keeps within the limits of the request: max_cost_usd, min_quality",
        ),
        (
            Error::NotFound,
            "path: no such endpoint here; `/openapi.json` lists them, and metrics are on the admin listener",
        ),
        (Error::MethodNotAllowed, "method: not one that this endpoint takes, see the header `allow`"),
        (Error::UnsupportedEncoding, "content-encoding: expected identity"),
        (Error::HeadersTooLarge { limit: 10 }, "headers: expected at most 10 bytes with the request line"),
        (Error::BodyTooLarge { limit: 10 }, "body: expected at most 10 bytes"),
        (Error::LineTooLong { limit: 10 }, "line: expected at most 10 bytes"),
        (Error::BodyTimeout { seconds: 0.5 }, "body: expected within 0.5 s"),
        (Error::BodyIncomplete(axum::Error::new(io())), "body: ended before it was complete"),
        (Error::Overloaded { limit: 8 }, "busy: 8 requests are being answered, as many as this server takes at a time"),
        (Error::Draining, "the server is shutting down"),
        (Error::Answer(json()), "an answer cannot be written"),
        (Error::Panicked, "a handler panicked"),
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
