//! Every name in a span. Those of `OpenTelemetry`'s conventions for generative AI are in development and may change: here, and
//! nowhere else.

use axum::http::Method;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

use crate::wire::protocol::Protocol;

/// Who makes the spans.
pub(super) const SCOPE: &str = "pointsman-server";

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// An event: the first content of a stream is on its way to the client.
pub(super) const FIRST_TOKEN: &str = "gen_ai.first_token";

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const ADDRESS: &str = "server.address";
pub(super) const PORT: &str = "server.port";
pub(super) const ERROR: &str = "error.type";
/// The value of [`ERROR`] where the client left before the end; as in the ledger.
pub(super) const LEFT: &str = "left";

pub(super) const DECISION_ID: &str = "pointsman.decision.id";
pub(super) const DECISION_MODEL: &str = "pointsman.decision.model";
pub(super) const DECISION_REASON: &str = "pointsman.decision.reason";
pub(super) const DECISION_ROUTER: &str = "pointsman.decision.router_version";
pub(super) const DECISION_CONFIG: &str = "pointsman.decision.config_version";
pub(super) const DECISION_ROUTING_US: &str = "pointsman.decision.routing_us";
pub(super) const DECISION_POLICY: &str = "pointsman.decision.policy";
pub(super) const TARGET: &str = "pointsman.target";
pub(super) const ATTEMPT: &str = "pointsman.attempt";

/// What the conventions call such a request.
pub(super) const fn operation(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Messages => "chat",
        Protocol::Embeddings => "embeddings",
    }
}

/// Whose wire the target speaks. Who is behind it a base address does not say.
pub(super) const fn provider(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Embeddings => "openai",
        Protocol::Messages => "anthropic",
    }
}

/// A request to an endpoint that exists.
pub(super) fn server(method: &Method, path: &str) -> SpanBuilder {
    let path = if path.starts_with("/v1/routers/") { "/v1/routers/{version}/explain" } else { path };
    // Whatever a client calls a method must not become a name of ours.
    let known = matches!(*method, Method::GET | Method::POST | Method::HEAD | Method::OPTIONS | Method::PUT);
    let (name, value) = if known { (method.as_str(), method.as_str()) } else { ("HTTP", "_OTHER") };
    let attributes = [KeyValue::new(METHOD, value.to_owned()), KeyValue::new(ROUTE, path.to_owned())];
    SpanBuilder::from_name(format!("{name} {path}")).with_kind(SpanKind::Server).with_attributes(attributes)
}

/// A call to a target.
pub(super) fn client(protocol: Protocol, model: &str, attributes: Vec<KeyValue>) -> SpanBuilder {
    let name = format!("{} {model}", operation(protocol));
    SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes)
}
