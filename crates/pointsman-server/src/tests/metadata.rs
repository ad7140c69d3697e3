//! `pointsman_metadata`: in the body where the request asks for it, and not a byte otherwise.

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{Settings, TargetSettings};

const CHEAP: &str = "small";

fn ask(server: &Running, path: &str, wanted: &str, body: &Value) -> Reply {
    let header = if wanted.is_empty() { String::new() } else { format!("\r\nx-pointsman-metadata: {wanted}") };
    server.send(&format!("POST {path} HTTP/1.1{header}"), body.to_string().as_bytes())
}

fn chat(server: &Running, wanted: &str, stream: bool) -> Reply {
    let body = json!({"model": "auto", "session_id": "s-1", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
    ask(server, "/v1/chat/completions", wanted, &body)
}

fn serving(targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, ..loopback() })
}

fn text(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).expect("text")
}

/// What headers and body say must be the same.
fn agree(reply: &Reply, metadata: &Value) {
    for (header, field) in [
        ("decision-id", "decision_id"),
        ("selected-model", "model"),
        ("target", "target"),
        ("attempts", "attempts"),
        ("reason", "reason"),
        ("router-version", "router_version"),
        ("config-version", "config_version"),
        ("routing-us", "routing_us"),
    ] {
        let said = match &metadata[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(reply.header(&format!("x-pointsman-{header}")), Some(said.as_str()), "{field}: {metadata}");
    }
    assert_eq!((&metadata["route"], &metadata["session_id"]), (&json!("auto"), &json!("s-1")));
    let candidates = metadata["candidates"].as_array().expect("a list");
    assert_eq!((candidates.len(), &candidates[0]["target"]), (3, &json!("a")));
    assert!(candidates[0]["p_success"].as_f64().is_some_and(|p| (0.0..=1.0).contains(&p)));
}

#[test]
fn a_whole_answer_has_it_behind_its_last_field() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", CHEAP)]);
    let plain = chat(&server, "", false);
    assert_eq!(text(&plain), text(&chat(&server, "disabled", false)));
    assert!(!text(&plain).contains("pointsman"), "{}", text(&plain));

    let reply = chat(&server, "enabled", false);
    let fields = text(&plain).strip_suffix('}').expect("an object");
    assert!(text(&reply).starts_with(fields), "every byte before it is the target's: {}", text(&reply));
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    agree(&reply, &body["pointsman_metadata"]);
    let cost = reply.header("x-pointsman-cost-usd").map(|cost| cost.parse::<f64>().expect("a number"));
    let said = body["pointsman_metadata"]["cost_usd"].as_f64();
    assert!(cost.zip(said).is_some_and(|(a, b)| (a - b).abs() < 1e-9), "{cost:?} {said:?}");
}

#[test]
fn a_stream_has_it_in_a_chunk_before_its_end() {
    let usage =
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n";
    for pieces in [vec![role(), delta("Hi"), delta("!"), usage.to_owned()], vec![delta("Hi"), usage.to_owned()]] {
        let fake = Fake::new([Act::Stream(pieces)]);
        let server = serving(vec![fake.target("a", CHEAP)]);
        let plain = chat(&server, "", true);
        let said = text(&plain).strip_suffix("data: [DONE]\n\n").expect("a good end");
        let reply = chat(&server, "enabled", true);
        let rest = text(&reply).strip_prefix(said).expect("everything before it is the target's");
        let chunk = rest.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\ndata: [DONE]\n\n"));
        let chunk: Value = serde_json::from_str(chunk.expect("one chunk and the end")).expect("JSON");
        assert_eq!((&chunk["object"], &chunk["choices"]), (&json!("chat.completion.chunk"), &json!([])));
        agree(&reply, &chunk["pointsman_metadata"]);
        assert!(chunk["pointsman_metadata"]["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{chunk}");
    }
}

#[test]
fn every_call_that_came_to_nothing_is_told_to_who_looks_for_a_fault() {
    let down = Fake::new([Act::Reply(503, "", "application/json", "{}".to_owned())]);
    let gone = Fake::new([Act::Hangup]);
    let well = Fake::new([completion("Hi")]);
    let server = serving(vec![down.target("down", CHEAP), gone.target("gone", "code é"), well.target("well", "large")]);
    let ask = |header: &str| {
        let body =
            json!({"model": CHEAP, "models": ["code é", "large"], "messages": [{"role": "user", "content": "Hi"}]});
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\n{header}");
        let reply = server.send(&head, body.to_string().as_bytes());
        serde_json::from_slice::<Value>(&reply.body).expect("JSON")["pointsman_metadata"].clone()
    };
    let told = ask("x-pointsman-debug: enabled");
    let failed = json!([{"target": "down", "status": 503, "cause": "status"}, {"target": "gone", "cause": "broken"}]);
    assert_eq!((&told["target"], &told["attempts"], &told["failed"]), (&json!("well"), &json!(3), &failed));
    assert!(ask("x-pointsman-metadata: enabled").get("failed").is_none());
    assert!(ask("x-pointsman-debug: disabled").is_null());
}

#[test]
fn an_error_has_it_beside_the_error() {
    let down = Fake::new([Act::Reply(401, "", "application/json", "{}".to_owned())]);
    let server = serving(vec![down.target("a", CHEAP)]);
    let body: Value = serde_json::from_slice(&chat(&server, "enabled", false).body).expect("JSON");
    assert_eq!(body["error"]["code"], "upstream_credentials_exhausted");
    let attempts = json!([{"target": "a", "status": 401, "cause": "key_refused"}]);
    assert_eq!(body["error"]["metadata"]["attempts"], attempts);
    assert!(body["error"]["metadata"]["requested_models"].as_array().is_some_and(|models| models.len() == 1), "{body}");
    let metadata = &body["pointsman_metadata"];
    assert_eq!((&metadata["target"], &metadata["attempts"]), (&Value::Null, &json!(1)));
    assert!(metadata["decision_id"].as_str().is_some_and(|id| id.starts_with("dec-")), "{metadata}");
    let body: Value = serde_json::from_slice(&chat(&server, "", false).body).expect("JSON");
    assert!(body.get("pointsman_metadata").is_none(), "{body}");

    let reply = chat(&server, "yes", false);
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!((reply.status, &body["error"]["param"]), (400, &json!("x-pointsman-metadata")));
}

#[test]
fn the_other_protocols_have_it_in_whole_answers() {
    let all = ["chat", "responses", "messages", "embeddings"].map(str::to_owned);
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![TargetSettings { endpoints: all.into(), ..fake.target("a", CHEAP) }]);
    for (path, mut body) in [
        ("/v1/responses", json!({"input": "x"})),
        ("/v1/messages", json!({"messages": [{"role": "user", "content": "x"}]})),
        ("/v1/embeddings", json!({"input": "x"})),
    ] {
        body["model"] = json!("auto");
        let reply = ask(&server, path, "enabled", &body);
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(answer["pointsman_metadata"]["target"], "a", "{path}: {answer}");
    }
    let typed =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";
    let end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n";
    fake.acts([Act::Plain(vec![typed.to_owned(), end.to_owned()])]);
    let body = json!({"model": "auto", "input": "x", "stream": true});
    let reply = ask(&server, "/v1/responses", "enabled", &body);
    assert_eq!(text(&reply), format!("{typed}{end}"), "their clients know every event there is");
}
