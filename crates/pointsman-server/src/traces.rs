//! Traces: who a request came from, what was decided, whom it went to; handed to a collector over OTLP.
//!
//! A request of the data plane has a SERVER span, the child of its client's, and every call to a target a CLIENT span below
//! that, which is what the target is told. Nothing of a request's text is in them. Without `[traces]` there is none of this.
//!
//! ```text
//! request ─► SERVER span ─┬─► CLIENT span ─► target        ended spans ─► queue ─► thread ─► collector
//!                         └─► CLIENT span ─► next target
//! ```

mod context;
mod export;
mod settings;
mod span;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, Method};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use prometheus_client::metrics::counter::Counter;

use crate::error::Error;
use crate::metrics::Route;
use crate::names;
use export::Exports;
pub(crate) use settings::Collector;
pub use settings::{TraceProtocol, TraceSettings};
pub(crate) use span::{Attempt, Decision, Trace};

/// The maker of spans, and where they go.
#[derive(Debug)]
pub(crate) struct Traces {
    tracer: SdkTracer,
    /// Taken when it ends.
    exports: Mutex<Option<Exports>>,
}

impl Traces {
    /// Begins; spans that do not reach the collector are counted.
    pub(crate) fn start(collector: Collector, lost: Counter) -> Result<Self, Error> {
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(collector.sample)));
        let (queue, exports) = export::start(collector, lost)?;
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(queue).build();
        Ok(Self { tracer: provider.tracer(names::SCOPE), exports: Mutex::new(Some(exports)) })
    }

    /// The span of a request; probes, documents and paths that do not exist have none.
    pub(crate) fn request(&self, route: Route, method: &Method, path: &str, headers: &HeaderMap) -> Option<Trace> {
        if matches!(route, Route::Probe | Route::Ops | Route::Other) {
            return None;
        }
        let parent = context::parent(headers);
        let is_continued = parent.is_some();
        let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let mut span = self.tracer.build_with_context(names::server(method, path), &context);
        if let Some(protocol) = route.protocol() {
            span.set_attribute(KeyValue::new(names::OPERATION, names::operation(protocol)));
        }
        Some(Trace::new(span, self.tracer.clone(), is_continued))
    }

    /// Hands over what has ended so far; what the collector has not taken by then is left behind.
    pub(crate) async fn flush(&self, until: Instant) {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(exports) = exports
            && !exports.end(until).await
        {
            tracing::warn!("the collector did not take the last traces in time");
        }
    }
}
