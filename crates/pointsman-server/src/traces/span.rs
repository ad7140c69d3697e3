//! The spans of one request.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use opentelemetry::trace::{Span as _, SpanContext, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use serde::Deserialize;

use super::context;
use crate::names;
use crate::targets::Target;
use crate::upstream::{Answer, Failure};
use crate::wire::protocol::Protocol;

/// Parts of an answer that are searched for the name of its model.
const MOST_LOOKS: u8 = 8;

/// Longest name of a model that is taken from an answer, in characters.
const LONGEST_NAME: usize = 256;

/// The SERVER span of a request, which ends with the last of its clones: a stream holds one until it is over.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Server>);

#[derive(Debug)]
struct Server {
    open: Mutex<Open>,
    context: SpanContext,
    tracer: SdkTracer,
    /// Whether the client's trace goes on in it.
    is_continued: bool,
}

#[derive(Debug)]
struct Open {
    span: Span,
    is_replied: bool,
    has_failed: bool,
}

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision<'d> {
    pub(crate) id: &'d str,
    pub(crate) model: &'d str,
    pub(crate) reason: &'static str,
    pub(crate) router_version: &'d str,
    pub(crate) config_version: u64,
    pub(crate) routing_us: u64,
    /// The operator's rule that it follows.
    pub(crate) policy: Option<&'d str>,
}

impl Trace {
    pub(super) fn new(span: Span, tracer: SdkTracer, is_continued: bool) -> Self {
        let context = span.span_context().clone();
        let open = Mutex::new(Open { span, is_replied: false, has_failed: false });
        Self(Arc::new(Server { open, context, tracer, is_continued }))
    }

    /// The trace, in hex.
    pub(crate) fn id(&self) -> String {
        self.0.context.trace_id().to_string()
    }

    /// Notes the decision.
    pub(crate) fn decided(&self, decision: Decision<'_>) {
        if !self.0.context.is_sampled() {
            return;
        }
        let Decision { id, model, reason, router_version, config_version, routing_us, policy } = decision;
        let policy = policy.map(|policy| KeyValue::new(names::DECISION_POLICY, policy.to_owned()));
        let attributes = [
            KeyValue::new(names::DECISION_ID, id.to_owned()),
            KeyValue::new(names::DECISION_MODEL, model.to_owned()),
            KeyValue::new(names::DECISION_REASON, reason),
            KeyValue::new(names::DECISION_ROUTER, router_version.to_owned()),
            KeyValue::new(names::DECISION_CONFIG, integer(config_version)),
            KeyValue::new(names::DECISION_ROUTING_US, integer(routing_us)),
        ];
        self.open().span.set_attributes(attributes.into_iter().chain(policy));
    }

    /// Notes the status of the reply; a stream may have more to come.
    pub(crate) fn replied(&self, status: u16) {
        let mut open = self.open();
        open.is_replied = true;
        open.span.set_attribute(KeyValue::new(names::STATUS, i64::from(status)));
        // By the conventions of HTTP a client's mistake is no error of the server.
        if status >= 500 {
            open.fail(status.to_string());
        }
    }

    /// Begins a call to a target, the `number`th of this request.
    pub(crate) fn attempt(&self, target: &Target, protocol: Protocol, number: usize) -> Attempt {
        let server = &*self.0;
        let mut attributes = Vec::new();
        if server.context.is_sampled() {
            let (address, port) = target.server();
            attributes = vec![
                KeyValue::new(names::OPERATION, names::operation(protocol)),
                KeyValue::new(names::PROVIDER, names::provider(protocol)),
                KeyValue::new(names::REQUEST_MODEL, target.upstream_model.clone()),
                KeyValue::new(names::ADDRESS, address.to_owned()),
                KeyValue::new(names::PORT, i64::from(port)),
                KeyValue::new(names::TARGET, target.name.clone()),
                KeyValue::new(names::ATTEMPT, integer(number as u64)),
            ];
        }
        let parent = Context::new().with_remote_span_context(server.context.clone());
        let span =
            server.tracer.build_with_context(names::client(protocol, &target.upstream_model, attributes), &parent);
        Attempt { span: Box::new(span), request: self.clone(), looks: 0, is_ended: false }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open()
    }
}

impl Server {
    fn open(&self) -> MutexGuard<'_, Open> {
        // A span that is half written is still one.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut open = self.open();
        // Nobody was there any more to be replied to.
        if !open.is_replied {
            open.fail(names::LEFT);
        }
    }
}

impl Open {
    /// Notes the first thing that went wrong.
    fn fail(&mut self, cause: impl Into<Cow<'static, str>>) {
        if !std::mem::replace(&mut self.has_failed, true) {
            fail(&mut self.span, cause);
        }
    }
}

/// The CLIENT span of a call to a target. Where it is dropped before it has ended, the client has left.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Elsewhere, so that a request without one is not the longer for it.
    span: Box<Span>,
    request: Trace,
    /// Parts of the answer that were searched for the name of its model.
    looks: u8,
    is_ended: bool,
}

impl Attempt {
    /// Makes the request to the target a part of this call.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        context::mark(headers, self.span.span_context(), self.request.0.is_continued);
    }

    /// Notes how the call went; gives itself back where there is an answer, whose end it waits for.
    pub(crate) fn heard(mut self, answer: &Result<Answer, Failure>) -> Option<Self> {
        let status = match answer {
            Ok(Answer::Whole { status, .. }) => Some(status.as_u16()),
            Ok(Answer::Stream(_)) => Some(200),
            Err(Failure::Status(status, _)) => Some(*status),
            Err(_) => None,
        };
        if let Some(status) = status {
            self.span.set_attribute(KeyValue::new(names::STATUS, i64::from(status)));
        }
        match (answer, status) {
            (_, Some(status)) if status >= 400 => fail(&mut self.span, status.to_string()),
            (Err(failure), _) => fail(&mut self.span, failure.as_str()),
            _ => {}
        }
        self.is_ended = answer.is_err();
        answer.is_ok().then_some(self)
    }

    /// Notes that the first content of a stream goes to the client.
    pub(crate) fn first_token(&self) {
        self.request.open().span.add_event(names::FIRST_TOKEN, Vec::new());
    }

    /// Looks for the name of the model in an answer, or a part of one.
    pub(crate) fn saw(&mut self, json: &[u8]) {
        #[derive(Deserialize)]
        struct Named<'j> {
            #[serde(borrow)]
            model: Option<Cow<'j, str>>,
        }
        if self.looks >= MOST_LOOKS || !self.span.is_recording() {
            return;
        }
        self.looks += 1;
        if let Ok(Named { model: Some(model) }) = serde_json::from_slice(json) {
            let model: String = model.chars().take(LONGEST_NAME).collect();
            self.span.set_attribute(KeyValue::new(names::RESPONSE_MODEL, model));
            self.looks = MOST_LOOKS;
        }
    }

    /// Notes that the stream broke off, which the client has noticed too.
    pub(crate) fn broke(&mut self, failure: Failure) {
        fail(&mut self.span, failure.as_str());
        self.request.open().fail(failure.as_str());
    }

    /// Ends it, with the target's count of tokens. That stands here alone: whoever adds up spans must not find it twice.
    pub(crate) fn end(mut self, input_tokens: Option<u32>, output_tokens: Option<u32>) {
        self.is_ended = true;
        for (name, tokens) in [(names::INPUT_TOKENS, input_tokens), (names::OUTPUT_TOKENS, output_tokens)] {
            if let Some(tokens) = tokens {
                self.span.set_attribute(KeyValue::new(name, i64::from(tokens)));
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        fail(&mut self.span, names::LEFT);
        // In the middle of a stream this is known here alone.
        let mut open = self.request.open();
        if open.is_replied {
            open.fail(names::LEFT);
        }
    }
}

fn fail(span: &mut Span, cause: impl Into<Cow<'static, str>>) {
    span.set_attribute(KeyValue::new(names::ERROR, cause.into()));
    span.set_status(Status::error(""));
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
