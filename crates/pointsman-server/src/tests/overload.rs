//! Too much at a time, and bugs.

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::TokioIo;

use super::artifact::{Latencies, bytes};
use super::client::{Reply, Running, loopback, request};
use crate::Settings;
use crate::live::Live;
use crate::net::guard::Guarded;

#[test]
fn requests_above_the_cap_are_told_to_come_back() {
    let server = Running::with(Latencies::Known, Settings { max_in_flight: 1, ..loopback() });
    let mut slow = server.connect();
    slow.write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 19\r\n\r\n{")
        .expect("the server reads");
    while server.samples("pointsman_inflight") != ["pointsman_inflight 1"] {
        std::thread::yield_now();
    }
    let reply = server.route(r#"{"prompt": "hello"}"#);
    assert_eq!(reply.error(), (503, "overloaded".into(), None));
    assert_eq!(reply.header("retry-after"), Some("1"));
    let metadata = reply.json()["error"]["metadata"].clone();
    assert_eq!((&metadata["retryable"], &metadata["retry_after"]), (&true.into(), &1.into()));
    assert_eq!(server.get("/health").status, 200, "probes are not counted");
    drop(slow);
    while server.samples("pointsman_inflight") != ["pointsman_inflight 0"] {
        std::thread::yield_now();
    }
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).status, 200);
}

#[test]
fn bodies_share_the_memory_that_there_is_for_them() {
    let settings = Settings { max_body_bytes: 1_000, max_line_bytes: 1_000, max_buffered_bytes: 1_500, ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let whole = format!("{{\"prompt\": \"{}\"}}", "x".repeat(880));
    let mut slow = server.connect();
    let sent = request("POST /v1/route HTTP/1.1", whole.as_bytes());
    let (first, last) = sent.split_at(sent.len() - 10);
    slow.write_all(first).expect("the server reads");
    while server.samples("pointsman_buffered_bytes") != [format!("pointsman_buffered_bytes {}", whole.len() - 10)] {
        std::thread::yield_now();
    }
    let refused = server.route(&whole);
    assert_eq!(refused.error(), (503, "overloaded".into(), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.route(r#"{"prompt": "a short one"}"#).status, 200);
    // An operator is not kept out by what clients do.
    let admin = server.tell("POST /admin/v1/policy/test HTTP/1.1", &format!("{{\"request\": {whole}}}"));
    assert_eq!(admin.status, 200);
    slow.write_all(last).expect("the server reads");
    assert_eq!(Reply::read(&mut slow).status, 200);
    assert_eq!(server.route(&whole).status, 200);
    // A batch takes its turn: it is read as there is room, and every line is answered.
    let mut batch = server.connect();
    let lines = format!("{whole}\n").repeat(20);
    batch.write_all(&request("POST /v1/route/batch HTTP/1.1", lines.as_bytes())).expect("the server reads");
    let answers = Reply::read(&mut batch);
    assert_eq!((answers.status, String::from_utf8_lossy(&answers.body).matches("\"decision_id\"").count()), (200, 20));
    while server.samples("pointsman_buffered_bytes") != ["pointsman_buffered_bytes 0"] {
        std::thread::yield_now();
    }
    assert_eq!(server.route(&whole).status, 200);
}

#[test]
fn compressed_bodies_are_refused() {
    let server = Running::new();
    for path in ["/v1/route", "/v1/route/batch"] {
        let send = |coding: &str| {
            server.send(&format!("POST {path} HTTP/1.1\r\ncontent-encoding: {coding}"), br#"{"prompt":""}"#)
        };
        assert_eq!(send("gzip").error(), (415, "unsupported_encoding".into(), None));
        assert_eq!(send("Identity").status, 200);
    }
}

#[test]
fn long_conversations_are_refused() {
    let server = Running::with(Latencies::Known, Settings { max_messages: 3, ..loopback() });
    let chat =
        |n: usize| serde_json::json!({ "messages": vec![serde_json::json!({ "role": "user", "content": "a" }); n] });
    assert_eq!(server.route(&chat(3).to_string()).status, 200);
    assert_eq!(server.route(&chat(4).to_string()).error(), (400, "invalid_request".into(), Some("messages".into())));
}

async fn bug() {
    panic!("a bug");
}

#[test]
fn a_panic_is_an_answer_and_is_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("r.safetensors");
    std::fs::write(&path, bytes(Latencies::Known)).expect("the folder is writable");
    let (live, _) = Live::open(Box::new(move || Ok(Settings::new(&path)))).expect("a valid artifact");
    let live = Arc::new(live);
    let guarded = Guarded::new(Router::new().route("/", get(bug)), Arc::clone(&live));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.expect("the client comes");
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), guarded).await;
    });
    let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
    for _ in 0..2 {
        stream.write_all(&request("GET / HTTP/1.1", b"")).expect("the connection survives");
        assert_eq!(Reply::read(&mut stream).error(), (500, "internal_error".into(), None));
    }
    assert!(live.metrics.text().contains("pointsman_panics_total 2"));
}
