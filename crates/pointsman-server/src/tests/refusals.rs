//! What is refused, and how.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::json;

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use crate::Settings;

#[test]
fn what_is_not_json_is_refused() {
    let server = Running::new();
    for body in ["", "{", "hello", r#"{"prompt": "a" "model": "b"}"#, "{} {}", r#"{"prompt": "\ud800"}"#] {
        assert_eq!(server.route(body).error(), (400, "invalid_json".into(), None), "{body}");
    }
    let not_utf8 = server.send("POST /v1/route HTTP/1.1", b"{\"prompt\": \"\xff\"}");
    assert_eq!(not_utf8.error(), (400, "invalid_json".into(), None));
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    let server = Running::new();
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for body in [
        deep.clone(),
        format!(r#"{{"messages": {deep}}}"#),
        format!(r#"{{"prompt": "hello", "metadata": {deep}}}"#),
        r#"{"a":"#.repeat(1_000_000),
    ] {
        let (status, code, _) = server.route(&body).error();
        assert_eq!(status, 400);
        assert!(["invalid_json", "invalid_request"].contains(&code.as_str()));
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn unusable_fields_are_named() {
    let server = Running::new();
    let hello = |field: &str, value| {
        let mut body = json!({ "prompt": "hello" });
        body[field] = value;
        body
    };
    for (body, param) in [
        (json!({}), "messages"),
        (hello("messages", json!([{ "role": "user", "content": "hello" }])), "prompt"),
        (json!({ "prompt": ["hello"] }), "prompt"),
        (json!({ "messages": "hello" }), "messages"),
        (json!({ "messages": [] }), "messages"),
        (json!({ "messages": [{ "role": "robot", "content": "hello" }] }), "messages"),
        (json!({ "messages": [{ "role": "user", "content": 3 }] }), "messages"),
        (hello("model", json!(3)), "model"),
        (hello("tools", json!(3)), "tools"),
        (hello("response_format", json!("json")), "response_format"),
        (hello("response_format", json!({ "type": "xml" })), "response_format"),
        (hello("max_tokens", json!(0)), "max_tokens"),
        (hello("max_completion_tokens", json!(1.5)), "max_completion_tokens"),
        (hello("context", json!([])), "context"),
        (hello("context", json!({ "plan": { "name": "free" } })), "context"),
        (hello("models", json!("small")), "models"),
        (hello("models", json!(["small", 1])), "models"),
        (hello("models", json!(vec!["small"; 65])), "models"),
        (hello("models", json!(["small", "auto:cheap"])), "models"),
        (hello("provider", json!({ "max_price": 1 })), "provider.max_price"),
        (hello("pointsman", json!([])), "pointsman"),
        (hello("pointsman", json!({ "max_cost_usd": "1" })), "pointsman.max_cost_usd"),
        (hello("pointsman", json!({ "max_cost_usd": -1 })), "pointsman.max_cost_usd"),
        (hello("pointsman", json!({ "min_quality": 1.5 })), "pointsman.min_quality"),
        (hello("pointsman", json!({ "objective": "best" })), "pointsman.objective"),
        (hello("pointsman", json!({ "objective": -1 })), "pointsman.objective"),
        (hello("pointsman", json!({ "allow": "small" })), "pointsman.allow"),
        (hello("pointsman", json!({ "deny": vec!["a*"; 257] })), "pointsman.deny"),
        (hello("pointsman", json!({ "context": { "a": [] } })), "pointsman.context"),
        (hello("session_id", json!("x".repeat(257))), "session_id"),
    ] {
        let reply = server.route(&body.to_string());
        assert_eq!(reply.error(), (400, "invalid_request".into(), Some(param.into())), "{body}");
    }
    for body in ["[]", "null", r#""hello""#] {
        assert_eq!(server.route(body).error(), (400, "invalid_request".into(), None), "{body}");
    }
}

#[test]
fn the_prompt_is_not_echoed() {
    let server = Running::new();
    let body = json!({ "messages": [{ "role": "user", "content": "top secret" }], "max_tokens": "top secret" });
    let reply = server.route(&body.to_string());
    assert_eq!(reply.status, 400);
    assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
}

#[test]
fn unknown_models_are_refused() {
    let server = Running::new();
    for model in ["gpt-9", "auto:best", "AUTO", ""] {
        let reply = server.route(&json!({ "prompt": "hello", "model": model }).to_string());
        assert_eq!(reply.error(), (400, "model_not_found".into(), Some("model".into())), "{model}");
    }
    let long = server.route(&json!({ "prompt": "hello", "model": "x".repeat(100_000) }).to_string());
    assert!(long.body.len() < 1000);
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let server = Running::new();
    assert_eq!(server.get("/v1/chat").error(), (404, "not_found".into(), None));
    let reply = server.get("/v1/route");
    assert_eq!(reply.error(), (405, "method_not_allowed".into(), None));
    assert_eq!(reply.header("allow"), Some("POST"));
    assert_eq!(server.send("POST /health HTTP/1.1", b"").error(), (405, "method_not_allowed".into(), None));
}

#[test]
fn a_body_of_the_limit_is_taken_and_a_longer_one_is_not() {
    let server = Running::with(Latencies::Known, Settings { max_body_bytes: 1000, ..loopback() });
    let body = |length: usize| format!(r#"{{"prompt":"{}"}}"#, "x".repeat(length - 13));
    assert_eq!(body(1000).len(), 1000);
    assert_eq!(server.route(&body(1000)).status, 200);
    assert_eq!(server.route(&body(1001)).error(), (413, "body_too_large".into(), None));
    assert_eq!(server.route(&body(5_000_000)).error(), (413, "body_too_large".into(), None));
    // Without an announced length, too.
    let mut stream = server.connect();
    let head = "POST /v1/route HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    stream.write_all(chunked.as_bytes()).expect("the server reads");
    assert_eq!(Reply::read(&mut stream).error(), (413, "body_too_large".into(), None));
    // An announcement far beyond the limit is not waited for.
    let mut stream = server.connect();
    stream
        .write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999999\r\n\r\n")
        .expect("the server reads");
    assert_eq!(Reply::read(&mut stream).error(), (413, "body_too_large".into(), None));
}

#[test]
fn the_default_limit_is_ten_mebibytes() {
    let server = Running::new();
    let body = |length: usize| format!(r#"{{"prompt":"{}"}}"#, "x".repeat(length - 13));
    assert_eq!(server.route(&body(10 << 20)).status, 200);
    assert_eq!(server.route(&body((10 << 20) + 1)).status, 413);
}

#[test]
fn a_slow_body_times_out() {
    let server = Running::with(Latencies::Known, Settings { read_timeout: Duration::from_millis(200), ..loopback() });
    let mut stream = server.connect();
    stream
        .write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"prompt\"")
        .expect("the server reads");
    let reply = Reply::read(&mut stream);
    assert_eq!(reply.error(), (408, "body_timeout".into(), None));
    assert_eq!(reply.json()["error"]["metadata"]["retryable"], true);
}

#[test]
fn slow_headers_end_the_connection() {
    let server = Running::with(Latencies::Known, Settings { read_timeout: Duration::from_millis(200), ..loopback() });
    let mut stream = server.connect();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost:").expect("the server reads");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("closed in time");
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn long_headers_are_refused() {
    let server = Running::new();
    let head = |length| format!("GET /health HTTP/1.1\r\nx-long: {}", "x".repeat(length));
    assert_eq!(server.send(&head(60_000), b"").status, 200);
    assert_eq!(server.send(&head(70_000), b"").error(), (431, "headers_too_large".into(), None));
    assert_eq!(server.send(&head(700_000), b"").status, 431);
}

#[test]
fn a_client_that_goes_away_harms_nobody() {
    let server = Running::new();
    for bytes in
        ["", "GET", "POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{", "\x16\x03\x01"]
    {
        server.connect().write_all(bytes.as_bytes()).expect("the server reads");
    }
    assert_eq!(server.get("/health").status, 200);
}
