//! Start and end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pointsman::Objective;

use super::artifact::{Latencies, bytes};
use super::client::{Reply, Running, loopback, request};
use super::fake::{Act, Fake, delta};
use crate::{Error, Server, Settings};

#[test]
fn a_request_in_flight_is_finished() {
    let server = Running::new();
    let address = server.address;
    let mut idle = server.connect();
    let mut stream = server.connect();
    stream
        .write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 19\r\n\r\n{\"prompt\"")
        .expect("the server reads");
    // A reply on another connection shows that the server has had time to accept these.
    assert_eq!(server.get("/health").status, 200);
    std::thread::sleep(Duration::from_millis(50));
    let ended = server.stop();
    assert_eq!(idle.read(&mut [0]).expect("closed, not reset"), 0, "an idle connection is closed at once");
    // The port is free at once, and may for a moment be somebody else's: of another test, whose server has just been given it.
    let refused = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        TcpStream::connect(address).is_err()
    });
    assert!(refused, "no new connection is taken");
    stream.write_all(b": \"hello\"}").expect("the server still reads");
    let reply = Reply::read(&mut stream);
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(ended.join().expect("no panic"), 0);
}

#[test]
fn a_stream_is_finished_while_nobody_else_comes_in() {
    let fake = Fake::new([Act::Late(300, Box::new(Act::Stream(vec![delta("one"), delta("two")])))]);
    let server = Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], ..loopback() });
    let mut client = server.connect();
    let body = r#"{"model": "small", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}"#;
    client.write_all(&request("POST /v1/chat/completions HTTP/1.1", body.as_bytes())).expect("the server reads");
    while fake.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = server.stop();
    let reply = Reply::read(&mut client);
    let text = String::from_utf8(reply.body).expect("text");
    assert_eq!((reply.status, text), (200, format!("{}{}data: [DONE]\n\n", delta("one"), delta("two"))));
    assert_eq!(ended.join().expect("no panic"), 0, "nothing was cut");
}

#[test]
fn what_is_open_after_the_drain_timeout_is_cut() {
    let settings = Settings { drain_timeout: Duration::from_millis(100), ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let mut stream = server.connect();
    stream
        .write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        .expect("the server reads");
    assert_eq!(server.get("/health").status, 200);
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    assert_eq!(server.stop().join().expect("no panic"), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn readiness_ends_at_once_and_the_admin_plane_last() {
    let server = Running::new();
    let mut stream = server.connect();
    stream.write_all(b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 19\r\n\r\n{").expect("it reads");
    assert_eq!(server.administer("GET", "/ready").status, 200);
    std::thread::sleep(Duration::from_millis(50));
    server.begin_stop();
    std::thread::sleep(Duration::from_millis(50));
    let reply = server.administer("GET", "/ready");
    assert_eq!(reply.error(), (503, "shutting_down".into(), None));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(server.administer("GET", "/health").status, 200);
    drop(stream);
    assert_eq!(server.join(), 0);
}

#[test]
fn bad_settings_end_the_start() {
    let start = |settings: Settings| Server::open(move || Ok(settings.clone())).expect_err("refused");
    let error = start(Settings { max_body_bytes: 0, ..loopback() });
    assert_eq!(error.to_string(), "settings: `max_body_bytes` expected at least 1, got 0");
    let error = start(Settings { read_timeout: Duration::ZERO, ..loopback() });
    assert_eq!(error.to_string(), "settings: `read_timeout_ms` expected a time above 0, got 0");
    let error = start(Settings::new("nowhere.safetensors"));
    assert!(matches!(error, Error::Router(pointsman::Error::Read { .. })));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("r.safetensors");
    std::fs::write(&path, bytes(Latencies::Unknown)).expect("the folder is writable");
    let error = start(Settings { objective: Objective::Fast, ..Settings::new(path) });
    assert!(matches!(error, Error::Router(pointsman::Error::NoLatency)));
    assert!(error.hint().is_some());
}

#[test]
fn an_address_that_cannot_be_bound_is_named() {
    let running = Running::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let router = folder.path().join("r.safetensors");
    std::fs::write(&router, bytes(Latencies::Known)).expect("the folder is writable");
    for listen in [running.address.to_string(), "127.0.0.1".into(), "127.0.0.1:99999".into()] {
        let settings = Settings { listen: listen.clone(), router: router.clone(), ..loopback() };
        let server = Server::open(move || Ok(settings.clone())).expect("not looked at yet");
        let error = runtime.block_on(server.bind()).expect_err("not an address to listen on");
        assert_eq!(error.to_string(), format!("listen: `{listen}` cannot be bound"));
    }
}
