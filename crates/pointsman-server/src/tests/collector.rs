//! A collector of traces: OTLP over HTTP or gRPC, and what came in.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

/// What was sent to the collector in one request.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Request line and headers, in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) struct Collector {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    /// One that speaks HTTP/1.1.
    pub(super) fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let collector = Self { address: listener.local_addr().expect("bound"), sent: Arc::default() };
        let sent = Arc::clone(&collector.sent);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sent = Arc::clone(&sent);
                std::thread::spawn(move || while serve(&stream, &sent).is_some() {});
            }
        });
        collector
    }

    /// One that speaks gRPC, which is what the service makes of HTTP/2.
    pub(super) fn grpc() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let collector = Self { address: listener.local_addr().expect("bound"), sent: Arc::default() };
        let sent = Arc::clone(&collector.sent);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(called(stream, Arc::clone(&sent)));
                }
            });
        });
        collector
    }

    /// One that takes requests and never answers them.
    pub(super) fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let collector = Self { address: listener.local_addr().expect("bound"), sent: Arc::default() };
        std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
        collector
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address behind TLS, which only [`AUTHORITY`](super::tls::AUTHORITY) vouches for.
    pub(super) fn secure_endpoint(&self) -> String {
        format!("https://{}", super::tls::before(self.address))
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no panic").clone()
    }

    /// All spans so far, and the names of who sent them.
    pub(super) fn spans(&self) -> Vec<Traced> {
        let mut spans = Vec::new();
        for sent in self.sent() {
            let request = ExportTraceServiceRequest::decode(&sent.body[..]).expect("protobuf");
            for resource in request.resource_spans {
                let service = resource.resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
                let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(all.map(|span| Traced::new(span, service["service.name"].clone())));
            }
        }
        spans
    }
}

/// A span as it arrived.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) name: String,
    /// 2 for SERVER, 3 for CLIENT.
    pub(super) kind: i32,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) state: String,
    pub(super) attributes: BTreeMap<String, Value>,
    pub(super) events: Vec<String>,
    /// 2 for an error.
    pub(super) status: i32,
    pub(super) nanoseconds: u64,
    pub(super) service: Value,
}

pub(super) const SERVER: i32 = 2;
pub(super) const CLIENT: i32 = 3;

impl Traced {
    fn new(span: Span, service: Value) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            attributes: attributes(&span.attributes),
            events: span.events.into_iter().map(|event| event.name).collect(),
            status: span.status.map_or(0, |status| status.code),
            nanoseconds: span.end_time_unix_nano - span.start_time_unix_nano,
            name: span.name,
            kind: span.kind,
            state: span.trace_state,
            service,
        }
    }
}

fn attributes(given: &[KeyValue]) -> BTreeMap<String, Value> {
    let mut attributes = BTreeMap::new();
    for KeyValue { key, value, .. } in given {
        let value = match value.as_ref().and_then(|AnyValue { value }| value.as_ref()) {
            Some(Any::StringValue(text)) => json!(text),
            Some(Any::IntValue(number)) => json!(number),
            other => panic!("{key}: {other:?}"),
        };
        assert!(attributes.insert(key.clone(), value).is_none(), "{key} twice");
    }
    attributes
}

/// One request of a connection that is kept; `None` at its end.
fn serve(mut stream: &TcpStream, sent: &Mutex<Vec<Sent>>) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("an ASCII head").to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).expect("a length");
    let mut body = vec![0; length.parse().expect("a length")];
    stream.read_exact(&mut body).ok()?;
    sent.lock().expect("no panic").push(Sent { head, body });
    let reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(reply).ok()
}

/// The calls of one connection.
async fn called(stream: tokio::net::TcpStream, sent: Arc<Mutex<Vec<Sent>>>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let sent = Arc::clone(&sent);
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.expect("a whole body");
                body.flow_control().release_capacity(data.len()).expect("what was used");
                bytes.extend_from_slice(&data);
            }
            // A message: whether it is compressed, its length in four bytes, itself.
            assert_eq!((bytes[0], usize::from(bytes[3]) << 8 | usize::from(bytes[4])), (0, bytes.len() - 5));
            let lines = head
                .headers
                .iter()
                .map(|(name, value)| format!("\r\n{name}: {}", value.to_str().unwrap_or_default().to_lowercase()));
            let lines: String = lines.collect();
            let head = format!("{} {}{lines}", head.method, head.uri.path()).to_lowercase();
            sent.lock().expect("no panic").push(Sent { head, body: bytes.split_off(5) });
            let mut reply = Response::new(());
            reply.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            let mut reply = respond.send_response(reply, false).expect("an open stream");
            reply.send_data(vec![0; 5].into(), false).expect("an open stream");
            let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from(0))]);
            reply.send_trailers(trailers).expect("an open stream");
        });
    }
}
