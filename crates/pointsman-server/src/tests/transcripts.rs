//! The same exchanges with a target itself and through the gateway: what comes back is the same byte for byte, and what reaches
//! the target differs in what is documented.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback, request};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{Settings, TargetSettings};

const CHEAP: &str = "small";

/// Headers of an answer: the gateway's own, and those of HTTP.
const KNOWN: [&str; 16] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "cache-control",
    "x-request-id",
    "x-pointsman-schema-version",
    "x-pointsman-decision-id",
    "x-pointsman-selected-model",
    "x-pointsman-target",
    "x-pointsman-attempts",
    "x-pointsman-reason",
    "x-pointsman-routing-us",
    "x-pointsman-router-version",
    "x-pointsman-config-version",
    "x-pointsman-cost-usd",
    "date",
];

/// Typed events, as the other protocols have them.
fn events(pieces: &[Value]) -> Vec<String> {
    let event = |piece: &Value| format!("event: {}\ndata: {piece}\n\n", piece["type"].as_str().expect("a type"));
    pieces.iter().map(event).collect()
}

/// Endpoint, request, and what the target does with it.
fn exchanges() -> Vec<(&'static str, Value, Act)> {
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Größe? \u{1f600}"}]);
    let tool = json!({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}});
    let call = json!({"id": "chatcmpl-2", "object": "chat.completion", "model": "served", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{\"a\":1}"}}]},
        "finish_reason": "tool_calls"}]});
    let called = |arguments: &str| {
        format!(
            "data: {}\n\n",
            json!({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [
                {"index": 0, "id": "call_1", "function": {"name": "add", "arguments": arguments}}]}}]})
        )
    };
    let error = json!({"error": {"message": "temperature: expected 0 to 2", "type": "invalid_request_error",
        "param": "temperature", "code": "invalid_value"}});
    let odd = "{ \"id\" : \"x\",\r\n \"n\": 1.000, \"choices\":[{\"message\":{\"content\":\"\\u00e9\\/\"}}] }\n";
    let reply = |status, body: &Value| Act::Reply(status, "", "application/json", body.to_string());
    let responses = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_text.delta", "delta": "Hi"}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": {"input_tokens": 3, "output_tokens": 1}}}),
    ];
    let said = [
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "message_stop"}),
    ];
    let comments = vec![
        ": a comment\n\n".to_owned(),
        role(),
        "data:{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\n".to_owned(),
    ];
    let chat = "/v1/chat/completions";
    let ask = |more: Value| {
        let mut body =
            json!({"messages": messages, "model": CHEAP, "temperature": 0.5, "seed": 12_345_678_901_234_567_890_u64});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        body
    };
    vec![
        (chat, ask(json!({})), completion("Hi")),
        (chat, ask(json!({})), Act::Reply(200, "", "application/json; charset=utf-8", odd.to_owned())),
        (chat, ask(json!({"tools": [tool], "tool_choice": "auto"})), reply(200, &call)),
        (chat, ask(json!({"temperature": 3})), reply(400, &error)),
        (chat, ask(json!({"n": 2})), reply(422, &error)),
        (chat, ask(json!({"stream": true})), Act::Stream(vec![role(), delta("Hi"), delta(" – "), delta("there")])),
        (chat, ask(json!({"stream": true, "stream_options": {"include_usage": true}})), Act::Stream(comments)),
        (
            chat,
            ask(json!({"stream": true, "tools": [tool]})),
            Act::Stream(vec![role(), called("{\"a\""), called(":1}")]),
        ),
        (chat, ask(json!({"stream": true, "temperature": 3})), reply(400, &error)),
        (
            "/v1/responses",
            json!({"model": CHEAP, "input": "x"}),
            reply(200, &json!({"id": "resp_1", "error": null, "output": []})),
        ),
        ("/v1/responses", json!({"model": CHEAP, "input": "x", "stream": true}), Act::Plain(events(&responses))),
        (
            "/v1/messages",
            json!({"model": CHEAP, "max_tokens": 9, "messages": messages}),
            reply(200, &json!({"id": "msg_1", "content": []})),
        ),
        (
            "/v1/messages",
            json!({"model": CHEAP, "max_tokens": 9, "messages": messages, "stream": true}),
            Act::Plain(events(&said)),
        ),
        (
            "/v1/embeddings",
            json!({"model": CHEAP, "input": ["x"]}),
            reply(200, &json!({"data": [{"embedding": [0.1]}]})),
        ),
    ]
}

#[test]
fn nothing_but_what_is_documented_comes_between() {
    let fake = Fake::new([completion("")]);
    let endpoints = ["chat", "responses", "messages", "embeddings"].map(str::to_owned).into();
    let targets = vec![TargetSettings { endpoints, ..fake.target("a", CHEAP) }];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    for (path, body, act) in exchanges() {
        let name = format!("{path} {body}");
        fake.acts([act]);
        let text = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer x");
        let mut direct = TcpStream::connect(fake.address).expect("the fake listens");
        direct.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout above 0");
        direct.write_all(&request(&head, text.as_bytes())).expect("the fake reads");
        let direct = Reply::read(&mut direct);
        let through = server.send(&head, text.as_bytes());

        assert_eq!(through.status, direct.status, "{name}");
        assert_eq!(through.body, direct.body, "{name}: {}", String::from_utf8_lossy(&through.body));
        let form =
            |reply: &Reply| reply.header("content-type").and_then(|form| form.split(';').next()).map(str::to_owned);
        assert_eq!(form(&through), form(&direct), "{name}");
        let unknown: Vec<String> = through.names().into_iter().filter(|name| !KNOWN.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");

        let [.., ours, theirs] = &fake.requests()[..] else { panic!("two requests") };
        assert!(theirs.head.starts_with(&format!("post {path} ")), "{}", theirs.head);
        let mut expected = ours.body.clone();
        expected["model"] = json!(format!("upstream-{CHEAP}"));
        assert_eq!(theirs.body, expected, "{name}: only the model's name differs");
    }
}
