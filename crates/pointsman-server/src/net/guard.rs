//! What stands around every request of both planes: its identifier, the limit on its headers, the net under its
//! handler, and its count.

use std::future::Future;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::clock;
use crate::error::Error;
use crate::live::Live;
use crate::metrics::Route;
use crate::wire::headers::{REQUEST_ID, SCHEMA, SCHEMA_VERSION, request_id};

/// Longest head of a request: method, path and headers.
pub(crate) const LONGEST_HEAD: usize = 64 << 10;

/// Who has connected; said to handlers where regions go by addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A plane's endpoints, guarded.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    peer: Option<IpAddr>,
    endpoints: TowerToHyperService<Router>,
    live: Arc<Live>,
}

impl Guarded {
    pub(crate) fn new(endpoints: Router, live: Arc<Live>) -> Self {
        // Without this the router's middleware would be built anew for every connection.
        Self { peer: None, endpoints: TowerToHyperService::new(endpoints.with_state(())), live }
    }

    /// The same for one connection.
    pub(crate) fn with_peer(self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self }
    }

    async fn answer(self, request: hyper::Request<Incoming>) -> Response {
        let started = clock::now();
        let live = &self.live;
        let id = request_id(request.headers())
            .unwrap_or_else(|| HeaderValue::try_from(live.ids.next("req")).expect("an identifier is ASCII"));
        let route = Route::of(request.uri().path());
        let trace = live
            .traces
            .as_ref()
            .and_then(|traces| traces.request(route, request.method(), request.uri().path(), request.headers()));
        let mut request: Request = request.map(Body::new);
        if let Some(trace) = &trace {
            request.extensions_mut().insert(trace.clone());
        }
        if let Some(peer) = self.peer.filter(|_| live.peek().regions.looks_at_addresses()) {
            request.extensions_mut().insert(Peer(peer));
        }
        let mut response = if head_length(&request) > LONGEST_HEAD {
            Error::HeadersTooLarge { limit: LONGEST_HEAD }.into_response()
        } else {
            let Ok(response) = Caught(Box::pin(self.endpoints.call(request))).await.unwrap_or_else(|Panic| {
                live.metrics.panic();
                Ok(Error::Panicked.into_response())
            });
            response
        };
        let took = clock::now() - started;
        let status = response.status().as_u16();
        live.metrics.request(route, response.extensions().get(), status, took);
        if let Some(trace) = trace {
            trace.replied(status);
        }
        tracing::debug!(
            request_id = id.to_str().unwrap_or_default(),
            ?route,
            status,
            us = took.as_micros(),
            "answered"
        );
        response.headers_mut().insert(REQUEST_ID, id);
        response.headers_mut().insert(SCHEMA, SCHEMA_VERSION);
        response
    }
}

impl Service<hyper::Request<Incoming>> for Guarded {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let guarded = self.clone();
        Box::pin(async move { Ok(guarded.answer(request).await) })
    }
}

/// About what the head took on the wire.
fn head_length(request: &Request) -> usize {
    fn uri_length(uri: &Uri) -> usize {
        uri.path_and_query().map_or(1, |path| path.as_str().len())
    }
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    uri_length(request.uri()) + headers.sum::<usize>()
}

/// A future that ends in [`Panic`] where the one within panics.
struct Caught<F>(Pin<Box<F>>);

/// A handler panicked. What it said may hold text of the request and is not looked at.
struct Panic;

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A future that panicked is not polled again, so nothing sees it half changed.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panic)),
        }
    }
}
