//! Names that `OpenTelemetry`'s conventions give to spans and metrics. Those for generative AI are in development and change:
//! here, and nowhere else.

use axum::http::Method;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use prometheus_client::encoding::EncodeLabelSet;

use crate::wire::protocol::Protocol;

/// Who makes the spans.
pub(crate) const SCOPE: &str = "pointsman-server";

pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// An event: the first content of a stream is on its way to the client.
pub(crate) const FIRST_TOKEN: &str = "gen_ai.first_token";

/// The environment's variable that chooses between versions of the conventions.
const OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// Which version of the conventions metrics of calls to models follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conventions {
    /// `gen_ai.client.token.usage` and its like, which dashboards know.
    Usual,
    /// Their successors, `gen_ai.client.inference.*`, in the place of those.
    Latest,
}

impl Conventions {
    /// As the environment asks.
    pub(crate) fn of_environment() -> Self {
        Self::chosen(&std::env::var(OPT_IN).unwrap_or_default())
    }

    fn chosen(opt_in: &str) -> Self {
        let is_latest = opt_in.split(',').any(|word| word.trim() == "gen_ai_latest_experimental");
        if is_latest { Self::Latest } else { Self::Usual }
    }
}

/// Prefix of the metrics of calls to models.
pub(crate) const GEN_AI: &str = "gen_ai";
/// Those metrics: time of a call to a model.
pub(crate) const CALL_SECONDS: &str = "client_operation_duration_seconds";
pub(crate) const LATEST_CALL_SECONDS: &str = "client_inference_duration_seconds";
/// Tokens of a call, as histograms.
pub(crate) const CALL_TOKENS: &str = "client_token_usage";
pub(crate) const LATEST_CALL_INPUT_TOKENS: &str = "client_inference_operation_input_tokens";
pub(crate) const LATEST_CALL_OUTPUT_TOKENS: &str = "client_inference_operation_output_tokens";
/// Tokens of all calls, as counters.
pub(crate) const LATEST_INPUT_TOKENS: &str = "client_inference_usage_input_tokens";
pub(crate) const LATEST_OUTPUT_TOKENS: &str = "client_inference_usage_output_tokens";
/// The same of embeddings, which have no sums.
pub(crate) const LATEST_EMBEDDING_SECONDS: &str = "client_embeddings_duration_seconds";
pub(crate) const LATEST_EMBEDDING_TOKENS: &str = "client_embeddings_operation_input_tokens";
/// What requests saw.
pub(crate) const SERVED_SECONDS: &str = "server_request_duration_seconds";
pub(crate) const FIRST_TOKEN_SECONDS: &str = "server_time_to_first_token_seconds";
pub(crate) const TOKEN_SECONDS: &str = "server_time_per_output_token_seconds";

/// Labels of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the conventions'")]
pub(crate) struct CallLabels {
    pub(crate) gen_ai_operation_name: &'static str,
    pub(crate) gen_ai_provider_name: &'static str,
    /// The router's name of the model that answered.
    pub(crate) gen_ai_response_model: String,
}

/// The same of a number of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the conventions'")]
pub(crate) struct TokenLabels {
    pub(crate) gen_ai_operation_name: &'static str,
    pub(crate) gen_ai_provider_name: &'static str,
    pub(crate) gen_ai_response_model: String,
    pub(crate) gen_ai_token_type: &'static str,
}

/// The same of a counter of tokens, which no target tells by text, image and sound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the conventions'")]
pub(crate) struct ModalityLabels {
    pub(crate) gen_ai_operation_name: &'static str,
    pub(crate) gen_ai_provider_name: &'static str,
    pub(crate) gen_ai_response_model: String,
    pub(crate) gen_ai_token_modality: &'static str,
}

impl CallLabels {
    /// Of calls of a model by a protocol.
    pub(crate) fn new(protocol: Protocol, model: &str) -> Self {
        Self {
            gen_ai_operation_name: operation(protocol),
            gen_ai_provider_name: provider(protocol),
            gen_ai_response_model: model.to_owned(),
        }
    }

    /// Of their tokens: `input` or `output`.
    pub(crate) fn tokens(&self, gen_ai_token_type: &'static str) -> TokenLabels {
        let Self { gen_ai_operation_name, gen_ai_provider_name, gen_ai_response_model } = self.clone();
        TokenLabels { gen_ai_operation_name, gen_ai_provider_name, gen_ai_response_model, gen_ai_token_type }
    }

    /// Of the sum of them.
    pub(crate) fn modality(&self) -> ModalityLabels {
        let Self { gen_ai_operation_name, gen_ai_provider_name, gen_ai_response_model } = self.clone();
        ModalityLabels {
            gen_ai_operation_name,
            gen_ai_provider_name,
            gen_ai_response_model,
            gen_ai_token_modality: "unknown",
        }
    }
}

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
pub(crate) const STATUS: &str = "http.response.status_code";
pub(crate) const ADDRESS: &str = "server.address";
pub(crate) const PORT: &str = "server.port";
pub(crate) const ERROR: &str = "error.type";
/// The value of [`ERROR`] where the client left before the end; as in the ledger.
pub(crate) const LEFT: &str = "left";

pub(crate) const DECISION_ID: &str = "pointsman.decision.id";
pub(crate) const DECISION_MODEL: &str = "pointsman.decision.model";
pub(crate) const DECISION_REASON: &str = "pointsman.decision.reason";
pub(crate) const DECISION_ROUTER: &str = "pointsman.decision.router_version";
pub(crate) const DECISION_CONFIG: &str = "pointsman.decision.config_version";
pub(crate) const DECISION_ROUTING_US: &str = "pointsman.decision.routing_us";
pub(crate) const DECISION_POLICY: &str = "pointsman.decision.policy";
pub(crate) const TARGET: &str = "pointsman.target";
pub(crate) const ATTEMPT: &str = "pointsman.attempt";

/// What the conventions call such a request.
pub(crate) const fn operation(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Messages => "chat",
        Protocol::Embeddings => "embeddings",
    }
}

/// Whose wire the target speaks. Who is behind it a base address does not say.
pub(crate) const fn provider(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Embeddings => "openai",
        Protocol::Messages => "anthropic",
    }
}

/// A request to an endpoint that exists.
pub(crate) fn server(method: &Method, path: &str) -> SpanBuilder {
    let path = if path.starts_with("/v1/routers/") { "/v1/routers/{version}/explain" } else { path };
    // Whatever a client calls a method must not become a name of ours.
    let known = matches!(*method, Method::GET | Method::POST | Method::HEAD | Method::OPTIONS | Method::PUT);
    let (name, value) = if known { (method.as_str(), method.as_str()) } else { ("HTTP", "_OTHER") };
    let attributes = [KeyValue::new(METHOD, value.to_owned()), KeyValue::new(ROUTE, path.to_owned())];
    SpanBuilder::from_name(format!("{name} {path}")).with_kind(SpanKind::Server).with_attributes(attributes)
}

/// A call to a target.
pub(crate) fn client(protocol: Protocol, model: &str, attributes: Vec<KeyValue>) -> SpanBuilder {
    let name = format!("{} {model}", operation(protocol));
    SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_among_others() {
        for (opt_in, expected) in [
            ("", Conventions::Usual),
            ("http,database/dup", Conventions::Usual),
            ("http, gen_ai_latest_experimental", Conventions::Latest),
            ("gen_ai_latest_experimental", Conventions::Latest),
        ] {
            assert_eq!(Conventions::chosen(opt_in), expected, "{opt_in}");
        }
    }
}
