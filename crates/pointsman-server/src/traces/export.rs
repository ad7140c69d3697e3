//! Spans on their way to the collector: a queue, and a thread that empties it.
//!
//! A request does no more than put a span into the queue, and never waits: where the queue is full, the span is lost and counted.
//! Everything else, from protobuf to the collector's answer, is the business of a thread with a runtime of its own. The SDK's
//! batch processor would do the same with a thread without one, in which neither client of the collector works.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Limited};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout, timeout_at};

use super::{Collector, TraceProtocol};
use crate::clock;
use crate::error::Error;
use crate::upstream::Failure;
use crate::upstream::addresses::Reach;
use crate::upstream::client::{Client, Trust};

/// Spans that wait at most, and that go out together at most: the SDK's own defaults.
const WAITING: usize = 2048;
const BATCH: usize = 512;

/// How long the first span of a batch waits for more.
const LINGER: Duration = Duration::from_secs(1);

/// To reach the collector, and for its answer. Batches are tried again within that, as the exporter thinks fit.
const CONNECT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Losses are told of so often at most.
const QUIET: Duration = Duration::from_mins(1);

/// Longest answer of a collector, in bytes.
const LONGEST_REPLY: usize = 1 << 20;

/// The queue's end that spans are put into.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    lost: Counter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.lost.inc();
        }
    }

    /// The server waits for the end of [`Exports`] instead, without blocking.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The thread's life. Where this is dropped, the thread hands over what there is and ends.
#[derive(Debug)]
pub(super) struct Exports {
    close: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl Exports {
    /// Takes no more spans and waits until those there are have gone; false where they have not by then.
    pub(super) async fn end(self, until: Instant) -> bool {
        // An error is a thread that has ended already.
        let _ = self.close.send(());
        timeout_at(until.into(), self.done).await.is_ok()
    }
}

/// Starts the thread; it ends with what is returned.
pub(super) fn start(collector: Collector, lost: Counter) -> Result<(Queue, Exports), Error> {
    let (spans, queue) = mpsc::channel(WAITING);
    let (close, closed) = oneshot::channel();
    let (ended, done) = oneshot::channel();
    let (report, ready) = std_mpsc::channel();
    let losses = Losses { collector: collector.endpoint.to_string(), lost: lost.clone(), said: 0, last: None };
    let run = move || {
        let _ended: oneshot::Sender<()> = ended;
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(report.send(Err(error.into()))),
        };
        runtime.block_on(async {
            match exporter(collector) {
                Ok(exporter) => {
                    let _ = report.send(Ok(()));
                    export(&exporter, queue, closed, losses).await;
                }
                Err(error) => drop(report.send(Err(error))),
            }
        });
    };
    std::thread::Builder::new().name("traces".into()).spawn(run).map_err(|error| Error::Traces(error.into()))?;
    let ready: Result<(), Cause> = ready.recv().unwrap_or_else(|_| Err("the thread that exports them ended".into()));
    ready.map_err(Error::Traces)?;
    Ok((Queue { spans, lost }, Exports { close, done }))
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What speaks to the collector; has to be made in the runtime that will drive it.
fn exporter(collector: Collector) -> Result<SpanExporter, Cause> {
    let Collector { endpoint, protocol, service_name, ca_pem, headers, .. } = collector;
    let is_https = endpoint.scheme_str() == Some("https");
    let mut exporter = match protocol {
        TraceProtocol::Http => {
            // A collector stands beside the service more often than not.
            let trust = ca_pem.as_deref().and_then(Trust::authorities).map_or_else(|| Trust::new(is_https), Ok)?;
            let client = Client::new(&trust, CONNECT, Reach::Private);
            let client = Post { client, headers };
            // Said in so many words, for the environment may say something else.
            let builder =
                SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
            builder.with_endpoint(endpoint.to_string()).with_timeout(PATIENCE).build()?
        }
        TraceProtocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic().with_metadata(MetadataMap::from_headers(headers));
            // The exporter's own default trusts nobody.
            let tls = || match ca_pem {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            let builder = if is_https { builder.with_tls_config(tls()) } else { builder };
            builder.with_endpoint(endpoint.to_string()).with_timeout(PATIENCE).build()?
        }
    };
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    exporter.set_resource(&Resource::builder().with_service_name(service_name).with_attribute(version).build());
    Ok(exporter)
}

/// Exports until the queue is closed and empty.
async fn export(
    exporter: &SpanExporter,
    mut queue: mpsc::Receiver<SpanData>,
    mut closed: oneshot::Receiver<()>,
    mut losses: Losses,
) {
    let mut is_open = true;
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return },
            _ = &mut closed, if is_open => {
                is_open = false;
                queue.close();
                continue;
            }
        }
        if is_open {
            let full = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if queue.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            let ends = tokio::select! {
                () = full => false,
                () = sleep(LINGER) => false,
                _ = &mut closed => true,
            };
            if ends {
                is_open = false;
                queue.close();
            }
        }
        let spans = batch.len() as u64;
        let cause = match timeout(PATIENCE, exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it did not answer in time".to_owned()),
        };
        if cause.is_some() {
            losses.lost.inc_by(spans);
        }
        losses.tell(cause.as_deref());
    }
}

/// Spans that were lost, and what was said of them.
struct Losses {
    collector: String,
    lost: Counter,
    /// Of which the log knows.
    said: u64,
    last: Option<Instant>,
}

impl Losses {
    /// Logs what was lost since the last time, but not too often.
    fn tell(&mut self, cause: Option<&str>) {
        let lost = self.lost.get();
        if lost == self.said || self.last.is_some_and(|last| last.elapsed() < QUIET) {
            return;
        }
        let cause = cause.unwrap_or("it takes them more slowly than they come");
        tracing::warn!(lost = lost - self.said, collector = self.collector, cause, "traces are lost");
        (self.said, self.last) = (lost, Some(clock::now()));
    }
}

/// The server's own client in the form that the exporter wants. The headers are added here because the exporter would take
/// their values for percent-encoded.
#[derive(Debug)]
struct Post {
    client: Client,
    headers: axum::http::HeaderMap,
}

impl HttpClient for Post {
    // As the trait's attribute macro would write it.
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            head.headers.extend(self.headers.clone());
            let reply = self.client.post(head.uri, head.headers, body).await;
            let (head, body) = reply.map_err(Failure::as_str)?.into_parts();
            let body = Limited::new(body, LONGEST_REPLY).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn what_the_queue_cannot_hold_is_lost_and_counted() {
        let (spans, mut queue) = mpsc::channel(2);
        let lost = Counter::default();
        let provider = SdkTracerProvider::builder().with_span_processor(Queue { spans, lost: lost.clone() }).build();
        for _ in 0..5 {
            drop(provider.tracer("test").start("request"));
        }
        assert_eq!((queue.len(), lost.get()), (2, 3));
        queue.close();
        drop(provider.tracer("test").start("request"));
        assert_eq!(lost.get(), 4);
    }
}
