//! The least that a gateway can be: it parses a request, passes it on over connections that are kept, streams the answer
//! back, and writes a record of it.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

struct Bare {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: SocketAddr,
    log: Mutex<File>,
}

/// Serves until the process ends; the upstream's address is in the file.
pub(crate) async fn serve(upstream: &Path) {
    let text = std::fs::read_to_string(upstream).expect("the address is there");
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let log = File::create(upstream.with_extension("log")).expect("the folder is writable");
    let bare = Arc::new(Bare {
        client: Client::builder(TokioExecutor::new()).build(connector),
        upstream: text.trim().parse().expect("an address"),
        log: Mutex::new(log),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", json!({"listen": listener.local_addr().expect("bound"), "admin_listen": null}));
    let endpoints = Router::new().route("/v1/chat/completions", post(pass)).with_state(bare);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, endpoints).await.expect("serving");
}

async fn pass(State(bare): State<Arc<Bare>>, body: Bytes) -> Response {
    let started = Instant::now();
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let asked = value["model"].take();
    value["model"] = json!("upstream-model");
    let body = serde_json::to_vec(&value).expect("a value always serialises");
    let request = Request::post(format!("http://{}/v1/chat/completions", bare.upstream))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("a valid request");
    let Ok(reply) = bare.client.request(request).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (head, incoming) = reply.into_parts();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = json!({"at_us": at.as_micros().to_string(), "model": asked, "status": head.status.as_u16(),
        "latency_ms": started.elapsed().as_secs_f64() * 1e3});
    // A record that cannot be written is not worth an answer.
    let _ = writeln!(bare.log.lock().expect("no panic"), "{record}");
    let form = head.headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("application/json"));
    (head.status, [(CONTENT_TYPE, form)], Body::new(incoming)).into_response()
}
