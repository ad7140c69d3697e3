//! What a request may want of its decision.

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};

/// The reply to a plain prompt with these options of ours.
fn with(server: &Running, options: &Value) -> Reply {
    server.route(&json!({ "prompt": "hello", "pointsman": options }).to_string())
}

#[test]
fn an_objective_is_a_name_or_a_number() {
    let server = Running::new();
    for (objective, model) in
        [(json!("cheap"), "small"), (json!("quality"), "large"), (json!(1e-4), "small"), (json!(1), "large")]
    {
        assert_eq!(with(&server, &json!({ "objective": objective })).json()["model"], model, "{objective}");
    }
}

#[test]
fn the_body_goes_before_the_header_and_the_header_before_the_operator() {
    let server = Running::new();
    let send = |body: Value| {
        server.send("POST /v1/route HTTP/1.1\r\nx-pointsman-objective: cheap", body.to_string().as_bytes())
    };
    assert_eq!(send(json!({ "prompt": "hello" })).json()["model"], "small");
    assert_eq!(send(json!({ "prompt": "hello", "model": "auto:quality" })).json()["model"], "large");
    assert_eq!(send(json!({ "prompt": "hello", "pointsman": { "objective": "quality" } })).json()["model"], "large");
    let reply = server.send("POST /v1/route HTTP/1.1\r\nx-pointsman-objective: best", br#"{"prompt": "hello"}"#);
    assert_eq!(reply.error(), (400, "invalid_request".into(), Some("x-pointsman-objective".into())));
}

#[test]
fn two_objectives_contradict_each_other() {
    let server = Running::new();
    let body = json!({ "prompt": "hello", "model": "auto:cheap", "pointsman": { "objective": "quality" } });
    let reply = server.route(&body.to_string());
    assert_eq!(reply.error(), (400, "invalid_request".into(), Some("pointsman.objective".into())));
}

#[test]
fn pools_take_wildcards_and_deny_goes_after_allow() {
    let server = Running::new();
    assert_eq!(with(&server, &json!({ "allow": ["s*", "code ?"], "deny": ["c*"] })).json()["models"], json!(["small"]));
    assert_eq!(with(&server, &json!({ "deny": ["large"] })).json()["model"], "small");
    assert_eq!(with(&server, &json!({ "allow": [], "deny": [] })).json()["model"], "large");
    let reply = with(&server, &json!({ "deny": ["*"] }));
    assert_eq!(reply.error(), (404, "constraint_filtered".into(), None));
    assert_eq!(reply.json()["error"]["metadata"]["excluded_by"], json!(["deny"]));
    assert_eq!(
        with(&server, &json!({ "allow": ["small", "lrge"] })).error(),
        (400, "model_not_found".into(), Some("pointsman.allow".into()))
    );
}

#[test]
fn limits_are_hard() {
    let server = Running::new();
    let answer = with(&server, &json!({ "max_cost_usd": 0.001 })).json();
    assert_eq!(answer["model"], "small");
    assert_eq!(answer["candidates"][2]["excluded_by"], "max_cost");
    let reply = with(&server, &json!({ "max_cost_usd": 0 }));
    assert_eq!(reply.error(), (404, "constraint_filtered".into(), None));
    assert_eq!(reply.json()["error"]["metadata"]["excluded_by"], json!(["max_cost_usd"]));
    assert_eq!(with(&server, &json!({ "min_quality": 1 })).status, 404);
    assert_eq!(with(&server, &json!({ "max_latency_ms": 350 })).json()["models"], json!(["small"]));
    let unknown = Running::with(Latencies::Unknown, loopback());
    assert_eq!(with(&unknown, &json!({ "max_latency_ms": 350 })).status, 404);
    assert_eq!(
        with(&unknown, &json!({ "objective": "fast" })).error(),
        (400, "model_not_found".into(), Some("pointsman.objective".into()))
    );
}

#[test]
fn a_model_asked_for_by_name_keeps_within_the_limits_too() {
    let server = Running::new();
    let ask = |options: Value| {
        server.route(&json!({ "prompt": "hello", "model": "large", "pointsman": options }).to_string())
    };
    assert_eq!(ask(json!({ "max_cost_usd": 0.001 })).status, 404);
    assert_eq!(ask(json!({ "deny": ["large"] })).status, 404);
    let answer = ask(json!({ "objective": "cheap" })).json();
    assert_eq!((&answer["model"], &answer["pinned"]), (&json!("large"), &json!(true)));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let server = Running::new();
    let reply = with(&server, &json!({ "max_cost": 1 }));
    assert_eq!(reply.error(), (400, "unknown_key".into(), Some("pointsman.max_cost".into())));
    let message = reply.json()["error"]["message"].clone();
    assert_eq!(message, "pointsman: unknown key `max_cost`; did you mean `max_cost_usd`?");
}

#[test]
fn sessions_and_traces_are_given_back() {
    let server = Running::new();
    let head = "POST /v1/route HTTP/1.1\r\nx-session-id: s-1\r\n\
                traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = server.send(head, br#"{"prompt": "hello"}"#).json();
    assert_eq!(
        (&answer["session_id"], &answer["trace_id"]),
        (&json!("s-1"), &json!("4bf92f3577b34da6a3ce929d0e0e4736"))
    );
    let answer = server.send(head, br#"{"prompt": "hello", "session_id": "s-2"}"#).json();
    assert_eq!(answer["session_id"], "s-2");
    let reply = server.send("POST /v1/route HTTP/1.1\r\nx-session-id: two words", br#"{"prompt": "hello"}"#);
    assert_eq!(reply.error(), (400, "invalid_request".into(), Some("x-session-id".into())));
}
