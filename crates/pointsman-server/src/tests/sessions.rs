//! Sessions stay with whom they were answered by: over real sockets.

use std::time::Duration;

use serde_json::{Value, json};

use super::artifact::{CODE, Latencies};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::{SessionSettings, Settings, Stick, TenantSettings};

/// A server whose models all have a target of their own.
fn serving(fakes: &[Fake], stick: Stick) -> Running {
    let targets = fakes
        .iter()
        .zip([("a", "small"), ("b", "code é"), ("c", "large")])
        .map(|(fake, (name, model))| fake.target(name, model));
    let sessions = SessionSettings { stick, ..SessionSettings::default() };
    Running::with(Latencies::Known, Settings { targets: targets.collect(), sessions, ..loopback() })
}

fn fakes() -> [Fake; 3] {
    std::array::from_fn(|_| Fake::new([completion("Hi")]))
}

/// A chat whose choice is the cheapest model, which is another one for code.
fn chat(server: &Running, text: &str, more: &Value) -> Reply {
    let mut body = json!({"messages": [{"role": "user", "content": text}], "pointsman": {"objective": "cheap"}});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn answered(reply: &Reply) -> (&str, &str) {
    let header = |name| reply.header(name).unwrap_or("none");
    (header("x-pointsman-target"), header("x-pointsman-reason"))
}

#[test]
fn a_named_session_stays_with_its_target() {
    let fakes = fakes();
    let server = serving(&fakes, Stick::Named);
    let session = json!({"session_id": "s-1"});
    let first = chat(&server, "hello", &session);
    let (target, reason) = answered(&first);
    assert_ne!(reason, "session");
    assert_ne!(answered(&chat(&server, CODE, &json!({}))).0, target, "alone it would go elsewhere");
    assert_eq!(answered(&chat(&server, CODE, &session)), (target, "session"));
    // A cache key names the session too, and stays in the body; a session of one name is not that of the other.
    assert_ne!(answered(&chat(&server, CODE, &json!({"prompt_cache_key": "s-2"}))).0, target);
    assert_eq!(answered(&chat(&server, "hello", &json!({"prompt_cache_key": "s-2"}))).1, "session");
    let seen: Vec<Value> =
        fakes.iter().flat_map(Fake::requests).map(|seen| seen.body["prompt_cache_key"].clone()).collect();
    assert_eq!(seen.iter().filter(|key| **key == json!("s-2")).count(), 2);
    // A model of the caller's own, and limits, go before it.
    assert_eq!(answered(&chat(&server, CODE, &json!({"session_id": "s-1", "model": "large"}))), ("c", "requested"));
    let denied = json!({"session_id": "s-1", "pointsman": {"objective": "cheap", "deny": ["small"]}});
    assert_ne!(answered(&chat(&server, "hello", &denied)).0, target);
}

#[test]
fn decisions_alone_stick_too_but_lines_of_a_batch_do_not() {
    let server = serving(&fakes(), Stick::Named);
    let route = |prompt: &str| {
        let body = json!({"prompt": prompt, "session_id": "s-1", "pointsman": {"objective": "cheap"}});
        server.route(&body.to_string()).json()
    };
    let (first, second) = (route("hello"), route(CODE));
    assert_eq!((&second["model"], &second["reason"]), (&first["model"], &json!("session")));
    assert_eq!(second["models"][0], first["model"]);
    let line = json!({"prompt": CODE, "session_id": "s-1", "pointsman": {"objective": "cheap"}});
    assert_ne!(server.batch(&format!("{line}\n"))[0]["model"], first["model"]);
}

#[test]
fn a_conversation_sticks_where_that_is_wanted() {
    let turns = |last: &str| json!([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": last}]);
    for (stick, sticks) in [(Stick::Conversation, true), (Stick::Named, false), (Stick::Off, false)] {
        let server = serving(&fakes(), stick);
        chat(&server, "hello", &json!({}));
        assert_ne!(answered(&chat(&server, "hello", &json!({}))).1, "session", "two that begin alike are two");
        let reply = chat(&server, "", &json!({"messages": turns(CODE)}));
        assert_eq!(answered(&reply).1 == "session", sticks, "{stick:?}");
    }
    let server = serving(&fakes(), Stick::Off);
    chat(&server, "hello", &json!({"session_id": "s-1"}));
    assert_ne!(answered(&chat(&server, CODE, &json!({"session_id": "s-1"}))).1, "session");
}

#[test]
fn a_session_moves_on_when_its_target_is_down_and_stays_there() {
    let fakes =
        [Fake::new([completion("Hi"), Act::Hangup]), Fake::new([completion("Hi")]), Fake::new([completion("Hi")])];
    let server = serving(&fakes, Stick::Named);
    let session = json!({"session_id": "s-1"});
    assert_eq!(answered(&chat(&server, "hello", &session)).0, "a");
    let moved = chat(&server, "hello", &session);
    assert_eq!((moved.status, answered(&moved).0 == "a"), (200, false));
    assert_eq!(answered(&chat(&server, "hello", &session)), (answered(&moved).0, "session"));
}

#[test]
fn a_session_is_its_tenants_own() {
    let key = |key: &str| pointsman::artifact::identity(key.as_bytes());
    let tenant = |name: &str| TenantSettings::new(name, vec![key(name)]);
    let fakes = fakes();
    let targets = vec![fakes[0].target("a", "small"), fakes[1].target("b", "code é")];
    let server = Running::with(
        Latencies::Known,
        Settings { targets, tenants: vec![tenant("acme"), tenant("other")], ..loopback() },
    );
    let ask = |key: &str, prompt: &str| {
        let body = json!({"prompt": prompt, "session_id": "s-1", "pointsman": {"objective": "cheap"}});
        let head = format!("POST /v1/route HTTP/1.1\r\nauthorization: Bearer {key}");
        server.send(&head, body.to_string().as_bytes()).json()["reason"].as_str().expect("a reason").to_owned()
    };
    ask("acme", "hello");
    assert_eq!(ask("acme", CODE), "session");
    assert_ne!(ask("other", CODE), "session");
}

#[test]
fn settings_of_sessions_are_checked() {
    for sessions in [
        SessionSettings { idle: Duration::ZERO, ..SessionSettings::default() },
        SessionSettings { most: 1, ..SessionSettings::default() },
    ] {
        let settings = Settings { sessions, ..loopback() };
        assert!(crate::Server::open(move || Ok(settings.clone())).is_err());
    }
}
