//! A server under test and a client that shares no code with it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::artifact::{Latencies, router};
use crate::{Server, Settings};

/// A server in a thread of its own, with a runtime of its own.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<usize>,
}

/// Settings for a free port of the loopback.
pub(super) fn loopback() -> Settings {
    Settings { listen: "127.0.0.1:0".into(), ..Settings::default() }
}

impl Running {
    pub(super) fn new() -> Self {
        Self::with(Latencies::Known, loopback())
    }

    pub(super) fn with(latencies: Latencies, settings: Settings) -> Self {
        let server = Server::new(&router(latencies), settings).expect("valid settings");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listening = runtime.block_on(server.bind()).expect("a free port");
        let address = listening.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let thread = std::thread::spawn(move || runtime.block_on(listening.serve(shutdown)));
        Self { address, stop, thread }
    }

    /// Begins the shutdown; the handle gives the number of connections cut.
    pub(super) fn stop(self) -> JoinHandle<usize> {
        self.stop.send(()).expect("the server runs");
        self.thread
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout above 0");
        stream
    }

    /// One request on a connection of its own; `head` is the request line and headers but for the length.
    pub(super) fn send(&self, head: &str, body: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&request(head, body)).expect("the server reads");
        Reply::read(&mut stream)
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1"), b"")
    }

    pub(super) fn route(&self, body: &str) -> Reply {
        self.send("POST /v1/route HTTP/1.1", body.as_bytes())
    }
}

/// The bytes of a request.
pub(super) fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{head}\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A reply, read to the end that its length announces.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn read(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("an ASCII head");
        let mut reply = Self { status: head[9..12].parse().expect("a status"), head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        reply.body.resize(length, 0);
        stream.read_exact(&mut reply.body).expect("a whole body");
        reply
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Status, code and param of an error, having checked the rest of the envelope.
    pub(super) fn error(&self) -> (u16, String, Option<String>) {
        let error = self.json()["error"].clone();
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(error["metadata"]["error_type"].is_string());
        assert!(self.header("x-request-id").is_some());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        (self.status, text(&error["code"]).expect("a code"), text(&error["param"]))
    }
}
