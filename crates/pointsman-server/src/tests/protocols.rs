//! The other protocols: responses, messages and embeddings go on in the protocol that they came in.

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use super::state::{decision_id, settled};
use crate::{Settings, StateSettings, TargetPrice, TargetSettings, TenantSettings};

fn serving(targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, ..loopback() })
}

fn with(endpoint: &str, target: TargetSettings) -> TargetSettings {
    TargetSettings { endpoints: vec![endpoint.into()], ..target }
}

fn post(server: &Running, path: &str, body: &Value) -> Reply {
    let head =
        format!("POST {path} HTTP/1.1\r\nauthorization: Bearer secret\r\nx-api-key: secret\r\nanthropic-beta: b-1");
    server.send(&head, body.to_string().as_bytes())
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).expect("text")
}

/// An event whose name is also its type.
fn event(kind: &str, more: Value) -> String {
    let mut data = more;
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn error_code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"]["code"].as_str().expect("a code").to_owned())
}

#[test]
fn embeddings_are_never_streams() {
    let fake = Fake::new([completion("")]);
    let server = serving(vec![with("embeddings", fake.target("a", "small"))]);
    let body = json!({"model": "auto", "input": "x", "stream": true});
    assert_eq!(post(&server, "/v1/embeddings", &body).status, 200);
}

#[test]
fn a_response_is_routed_by_what_it_says() {
    let answer =
        json!({"id": "resp_1", "object": "response", "output": [], "usage": {"input_tokens": 3, "output_tokens": 7}});
    let fake = Fake::new([Act::Reply(200, "", "application/json", answer.to_string())]);
    let other = Fake::new([completion("never")]);
    let server = serving(vec![other.target("chat", "large"), with("responses", fake.target("a", "small"))]);
    let body = json!({"model": "auto", "instructions": "Be brief.", "input": [{"role": "user", "content": "Hello"}],
        "pointsman": {"objective": "cheap"}, "store": false});
    let reply = post(&server, "/v1/responses", &body);
    assert_eq!((reply.status, serde_json::from_slice(&reply.body).ok()), (200, Some(answer)), "{}", text(&reply));
    assert_eq!(reply.header("x-pointsman-target"), Some("a"));
    assert_eq!(reply.header("x-pointsman-cost-usd"), Some("0.000017000"), "3 tokens for 1 and 7 for 2 USD a million");
    let [seen] = &fake.requests()[..] else { panic!("one request") };
    assert!(
        seen.head.starts_with("post /v1/responses http/1.1") && seen.head.contains("bearer key-of-a"),
        "{}",
        seen.head
    );
    let expected = json!({"model": "upstream-small", "instructions": "Be brief.", "store": false,
        "input": [{"role": "user", "content": "Hello"}]});
    assert_eq!(seen.body, expected);
    assert!(other.requests().is_empty(), "one that does not speak the protocol is never asked");
}

#[test]
fn what_a_target_has_in_its_cache_costs_what_it_says() {
    let chat = json!({"model": "m", "choices": [{"message": {"content": "Hi"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 800}}});
    let response = json!({"object": "response", "output": [],
        "usage": {"input_tokens": 1000, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 800}}});
    // Here the input is what was neither read from the cache nor put there.
    let usage = json!({"input_tokens": 150, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 50, "output_tokens": 10});
    let message = json!({"type": "message", "content": [], "usage": usage});
    let embeddings = json!({"object": "list", "data": [], "usage": {"prompt_tokens": 1000, "total_tokens": 1000}});
    let stream = [
        event("message_start", json!({"message": {"usage": usage}})),
        event("content_block_delta", json!({"delta": {"type": "text_delta", "text": "Hi"}})),
        event("message_delta", json!({"usage": {"output_tokens": 20}})),
        event("message_stop", json!({})),
    ];
    let whole = |answer: &Value| Act::Reply(200, "", "application/json", answer.to_string());
    // By hand: 200 tokens for 5, 800 for 2.5 and 10 for 15 USD a million, or 800 for 5 where nothing is said of the cache.
    for (endpoint, path, act, cached_usd, expected) in [
        ("chat", "/v1/chat/completions", whole(&chat), Some(2.5), 0.003_15),
        ("chat", "/v1/chat/completions", whole(&chat), None, 0.005_15),
        ("responses", "/v1/responses", whole(&response), Some(2.5), 0.003_15),
        ("messages", "/v1/messages", whole(&message), Some(2.5), 0.003_15),
        ("messages", "/v1/messages", Act::Plain(stream.to_vec()), Some(2.5), 0.003_3),
        ("embeddings", "/v1/embeddings", whole(&embeddings), None, 0.005),
    ] {
        let streams = matches!(act, Act::Plain(_));
        let fake = Fake::new([act]);
        let price =
            TargetPrice { input_usd_per_mtok: 5.0, output_usd_per_mtok: 15.0, cached_input_usd_per_mtok: cached_usd };
        let target = TargetSettings { price: Some(price), ..with(endpoint, fake.target("a", "small")) };
        let state = Some(StateSettings::new(None));
        let server = Running::with(Latencies::Known, Settings { targets: vec![target], state, ..loopback() });
        let body = json!({"model": "small", "input": "Hi", "max_tokens": 9, "stream": streams,
            "messages": [{"role": "user", "content": "Hi"}]});
        let reply = post(&server, path, &body);
        assert_eq!(reply.status, 200, "{}", text(&reply));
        let cost = settled(&server, &decision_id(&reply))["outcome"]["cost_usd"].as_f64().expect("a number");
        assert!((cost - expected).abs() < 1e-12, "{path} {cached_usd:?}: {cost}, not {expected}");
        if !streams {
            let said = reply.header("x-pointsman-cost-usd").map(|cost| cost.parse::<f64>().expect("a number"));
            assert!(said.is_some_and(|said| (said - expected).abs() < 1e-9), "{said:?}");
        }
    }
}

#[test]
fn a_stream_of_a_response_falls_back_before_its_first_content_and_ends_well_after_it() {
    let silent =
        Fake::new([Act::Cut(vec![event("response.created", json!({})), event("response.in_progress", json!({}))])]);
    let events = [
        event("response.created", json!({"response": {"id": "resp_1"}})),
        event("response.output_text.delta", json!({"delta": "Hi"})),
        event("response.completed", json!({"response": {"usage": {"input_tokens": 3, "output_tokens": 1}}})),
    ];
    let speaking = Fake::new([Act::Plain(events.to_vec())]);
    let server = serving(vec![
        with("responses", silent.target("silent", "small")),
        with("responses", speaking.target("speaking", "large")),
    ]);
    let body = json!({"model": "small", "models": ["large"], "input": "Hello", "stream": true});
    let reply = post(&server, "/v1/responses", &body);
    assert_eq!((reply.status, text(&reply)), (200, events.concat()));
    assert_eq!(reply.header("x-pointsman-target"), Some("speaking"));
    assert_eq!(silent.requests().len(), 1);
}

#[test]
fn a_message_brings_the_targets_key_and_the_clients_version() {
    let answer = json!({"type": "message", "content": [], "usage": {"input_tokens": 3, "output_tokens": 7}});
    let fake = Fake::new([Act::Reply(200, "", "application/json", answer.to_string())]);
    let server = serving(vec![with("messages", fake.target("a", "small"))]);
    let body = json!({"model": "small", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]});
    let reply = post(&server, "/v1/messages", &body);
    assert_eq!((reply.status, reply.header("x-pointsman-cost-usd")), (200, Some("0.000017000")), "{}", text(&reply));
    let [seen] = &fake.requests()[..] else { panic!("one request") };
    for part in
        ["post /v1/messages http/1.1", "x-api-key: key-of-a", "anthropic-version: 2023-06-01", "anthropic-beta: b-1"]
    {
        assert!(seen.head.contains(part), "{part}: {}", seen.head);
    }
    assert!(!seen.head.contains("secret") && !seen.head.contains("authorization"), "{}", seen.head);
    assert_eq!(seen.body["system"], "Be brief.");
}

#[test]
fn a_stream_of_a_message_that_is_cut_ends_with_its_own_kind_of_error() {
    let events = [
        event("message_start", json!({"message": {"usage": {"input_tokens": 3, "output_tokens": 1}}})),
        event("content_block_delta", json!({"delta": {"type": "text_delta", "text": "Hi"}})),
    ];
    let fake = Fake::new([Act::Cut(events.to_vec())]);
    let server = serving(vec![with("messages", fake.target("a", "small"))]);
    let body =
        json!({"model": "small", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let reply = text(&post(&server, "/v1/messages", &body));
    let rest = reply.strip_prefix(&events.concat()).expect("all that came");
    let data = rest.strip_prefix("event: error\ndata: ").expect("an error");
    let error: Value = serde_json::from_str(data.trim()).expect("JSON");
    assert_eq!((&error["type"], &error["error"]["code"]), (&json!("error"), &json!("upstream_cut")));
}

#[test]
fn a_target_that_ends_its_stream_with_an_error_has_said_so_itself() {
    let events = [
        event("content_block_delta", json!({"delta": {"type": "text_delta", "text": "Hi"}})),
        event("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}})),
    ];
    let fake = Fake::new([Act::Plain(events.to_vec())]);
    let server = serving(vec![with("messages", fake.target("a", "small"))]);
    let body =
        json!({"model": "small", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(text(&post(&server, "/v1/messages", &body)), events.concat());
    let cut = "pointsman_upstream_attempts_total{target=\"a\",status_class=\"2xx\",outcome=\"cut\"} 1";
    assert!(server.samples("pointsman_upstream_attempts_total").contains(&cut.to_owned()));
}

#[test]
fn embeddings_go_by_name() {
    let answer = json!({"object": "list", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    let reply = || Act::Reply(200, "", "application/json", answer.to_string());
    let (first, second) = (Fake::new([reply()]), Fake::new([reply()]));
    let embedding = |fake: &Fake, name: &str, model: &str| with("embeddings", fake.target(name, model));
    let server = serving(vec![embedding(&first, "a", "embed-1"), embedding(&second, "b", "embed-2")]);
    for (model, target, reason) in
        [("auto", "a", "configured"), ("embed-2", "b", "requested"), ("embed-1", "a", "requested")]
    {
        let reply = post(&server, "/v1/embeddings", &json!({"model": model, "input": ["Hello", "there"]}));
        let header = |name| reply.header(name).map(str::to_owned);
        assert_eq!(header("x-pointsman-target").as_deref(), Some(target), "{}", text(&reply));
        assert_eq!(header("x-pointsman-reason").as_deref(), Some(reason));
    }
    assert_eq!(first.requests()[0].body, json!({"model": "upstream-embed-1", "input": ["Hello", "there"]}));
    let unknown = post(&server, "/v1/embeddings", &json!({"model": "embed-3", "input": "Hello"}));
    assert_eq!(error_code(&unknown), (400, "model_not_found".into()));
    let generation = post(
        &server,
        "/v1/chat/completions",
        &json!({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}),
    );
    assert_eq!(error_code(&generation), (404, "constraint_filtered".into()));
    let list = server.get("/v1/models").json();
    let ids: Vec<&str> =
        list["data"].as_array().expect("a list").iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(ids.ends_with(&["embed-1", "embed-2"]), "{ids:?}");
}

#[test]
fn who_may_not_use_a_model_may_not_embed_with_it() {
    let fake = Fake::new([completion("Hi")]);
    let settings = Settings {
        targets: vec![with("embeddings", fake.target("a", "embed-1")), fake.target("b", "small")],
        tenants: vec![TenantSettings {
            models: vec!["small*".into()],
            ..TenantSettings::new("acme", vec![pointsman::artifact::identity(b"secret")])
        }],
        ..loopback()
    };
    let server = Running::with(Latencies::Known, settings);
    let reply = post(&server, "/v1/embeddings", &json!({"model": "embed-1", "input": "Hello"}));
    assert_eq!(error_code(&reply), (404, "constraint_filtered".into()));
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(post(&server, "/v1/chat/completions", &chat).status, 200, "what is not the router's need not be denied");
}
