//! Many decisions in one request.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::artifact::{CODE, Latencies, bytes};
use super::client::{Reply, Running, loopback};
use crate::Settings;

const HEAD: &[u8] = b"POST /v1/route/batch HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[test]
fn every_line_is_answered_in_order() {
    let server = Running::new();
    let mut lines = String::new();
    for i in 0..2_000 {
        let prompt = if i % 3 == 0 { CODE } else { "hello" };
        writeln!(lines, "{}", json!({ "id": i, "prompt": prompt })).expect("a string takes it");
    }
    let answers = server.batch(&lines);
    assert_eq!(answers.len(), 2_000);
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["id"], &answer["model"]), (&json!(i), &json!(if i % 3 == 0 { "code é" } else { "large" })));
    }
}

#[test]
fn a_bad_line_is_answered_and_the_run_goes_on() {
    let server = Running::with(Latencies::Known, Settings { max_line_bytes: 200, ..loopback() });
    let long = json!({ "id": 3, "prompt": "x".repeat(300) });
    let lines = format!(
        "{{\"id\": \"a\", \"prompt\": \"hello\"}}\n\n{{\"id\": 1, \"promt\": \"hello\"}}\nhello\n{long}\n\
         {{\"id\": [2], \"prompt\": \"hello\", \"model\": \"gpt-9\"}}\n{{\"prompt\": \"\"}}"
    );
    let answers = server.batch(&lines);
    let seen: Vec<(&Value, &Value)> = answers.iter().map(|line| (&line["id"], &line["error"]["code"])).collect();
    let expected = [
        (json!("a"), Value::Null),
        (json!(1), json!("invalid_request")),
        (Value::Null, json!("invalid_json")),
        (Value::Null, json!("line_too_long")),
        (json!([2]), json!("model_not_found")),
        (Value::Null, Value::Null),
    ];
    assert_eq!(seen, expected.iter().map(|(id, code)| (id, code)).collect::<Vec<_>>());
    assert!(server.batch("").is_empty());
}

#[test]
fn a_line_is_answered_while_the_next_is_not_yet_sent() {
    let server = Running::new();
    let mut stream = server.connect();
    stream.write_all(HEAD).expect("the server reads");
    for i in 0..3 {
        stream.write_all(&chunk(&format!("{{\"id\": {i}, \"prompt\": \"hello\"}}\n"))).expect("the server reads");
        if i == 0 {
            assert!(Reply::head(&mut stream).starts_with("HTTP/1.1 200"));
        }
        let line = Reply::chunk(&mut stream).expect("an answer");
        assert_eq!(serde_json::from_slice::<Value>(&line).expect("JSON")["id"], i);
    }
    stream.write_all(b"0\r\n\r\n").expect("the server reads");
    assert_eq!(Reply::chunk(&mut stream), None);
}

#[test]
fn one_batch_is_answered_from_one_artifact() {
    let server = Running::new();
    let mut stream = server.connect();
    stream.write_all(&[HEAD, &chunk("{\"prompt\": \"hello\"}\n")].concat()).expect("the server reads");
    Reply::head(&mut stream);
    let version = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("JSON")["router_version"].clone();
    let before = version(&Reply::chunk(&mut stream).expect("an answer"));
    server.rewrite(&bytes(Latencies::Unknown));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    stream.write_all(&chunk("{\"prompt\": \"hello\"}\n")).expect("the server reads");
    assert_eq!(version(&Reply::chunk(&mut stream).expect("an answer")), before);
    assert_ne!(server.route(r#"{"prompt": "hello"}"#).json()["router_version"], before);
}

#[test]
fn a_batch_that_stalls_ends_with_an_error() {
    let server = Running::with(Latencies::Known, Settings { read_timeout: Duration::from_millis(200), ..loopback() });
    let mut stream = server.connect();
    stream.write_all(&[HEAD, &chunk("{\"prompt\": \"hello\"}\n{\"prompt\"")].concat()).expect("the server reads");
    let reply = Reply::read(&mut stream);
    let lines: Vec<Value> = std::str::from_utf8(&reply.body)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["error"]["code"], "body_timeout");
}

#[test]
fn a_client_that_reads_nothing_holds_bounded_memory_and_is_given_up() {
    let server = Running::with(Latencies::Known, Settings { read_timeout: Duration::from_millis(300), ..loopback() });
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_secs(10))).expect("a timeout above 0");
    stream.write_all(HEAD).expect("the server reads");
    let piece = chunk(&"{\"prompt\": \"hello\"}\n".repeat(1_000));
    // The server stops reading once its buffers and the sockets' are full, and then breaks off.
    let written = (0..10_000).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(written < 10_000, "200 MB of lines were taken from a client that reads nothing");
    assert_eq!(server.get("/health").status, 200);
}
