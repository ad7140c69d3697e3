//! Calls to models, by the names of OpenTelemetry's conventions for generative AI, which are still in development: all of
//! them stand here.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::wire::protocol::Protocol;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    gen_ai_operation_name: &'static str,
    /// The router's name of the model that answered.
    gen_ai_response_model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the conventions'")]
struct TokenLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_response_model: String,
    gen_ai_token_type: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The families.
#[derive(Debug)]
pub(super) struct GenAi {
    tokens: Histograms<TokenLabels>,
    duration: Histograms<CallLabels>,
    served: Histograms<CallLabels>,
    first_token: Histograms<CallLabels>,
    per_token: Histograms<CallLabels>,
}

/// The histograms of one model's answers to one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    input: Histogram,
    output: Histogram,
    duration: Histogram,
    served: Histogram,
    first_token: Histogram,
    per_token: Histogram,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    /// From the call of the target that answered to the end of the answer.
    pub(crate) duration: Duration,
    /// From the request to that end.
    pub(crate) served: Duration,
    /// To the first content, of a stream.
    pub(crate) first_token: Option<Duration>,
    /// By the target's count.
    pub(crate) input_tokens: Option<u32>,
    pub(crate) output_tokens: Option<u32>,
}

fn seconds() -> Histogram {
    // 10 ms to 82 s, doubling.
    Histogram::new(exponential_buckets(0.01, 2.0, 14))
}

fn first_token_seconds() -> Histogram {
    Histogram::new([
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    ])
}

fn token_seconds() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5])
}

fn tokens() -> Histogram {
    // 1 to 67,108,864, each four times the one before.
    Histogram::new(exponential_buckets(1.0, 4.0, 14))
}

impl GenAi {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            tokens: Family::new_with_constructor(tokens),
            duration: Family::new_with_constructor(seconds),
            served: Family::new_with_constructor(seconds),
            first_token: Family::new_with_constructor(first_token_seconds),
            per_token: Family::new_with_constructor(token_seconds),
        };
        let registry = registry.sub_registry_with_prefix("gen_ai");
        registry.register("client_token_usage", "Tokens of requests and answers", families.tokens.clone());
        registry.register(
            "client_operation_duration_seconds",
            "Time from a call of a target to the end of its answer",
            families.duration.clone(),
        );
        registry.register(
            "server_request_duration_seconds",
            "Time from a request to the end of its answer",
            families.served.clone(),
        );
        registry.register(
            "server_time_to_first_token_seconds",
            "Time from a request to the first content of its stream",
            families.first_token.clone(),
        );
        registry.register(
            "server_time_per_output_token_seconds",
            "Time from the first content of a stream to its end, per token after the first",
            families.per_token.clone(),
        );
        families
    }

    pub(super) fn answers(&self, protocol: Protocol, model: &str) -> Answers {
        let gen_ai_operation_name = if protocol == Protocol::Embeddings { "embeddings" } else { "chat" };
        let call = CallLabels { gen_ai_operation_name, gen_ai_response_model: model.to_owned() };
        let tokens = |gen_ai_token_type| {
            let gen_ai_response_model = model.to_owned();
            self.tokens.get_or_create_owned(&TokenLabels {
                gen_ai_operation_name,
                gen_ai_response_model,
                gen_ai_token_type,
            })
        };
        Answers {
            input: tokens("input"),
            output: tokens("output"),
            duration: self.duration.get_or_create_owned(&call),
            served: self.served.get_or_create_owned(&call),
            first_token: self.first_token.get_or_create_owned(&call),
            per_token: self.per_token.get_or_create_owned(&call),
        }
    }
}

impl Answers {
    pub(crate) fn note(&self, answered: &Answered) {
        let Answered { duration, served, first_token, input_tokens, output_tokens } = *answered;
        self.duration.observe(duration.as_secs_f64());
        self.served.observe(served.as_secs_f64());
        if let Some(tokens) = input_tokens {
            self.input.observe(tokens.into());
        }
        if let Some(tokens) = output_tokens {
            self.output.observe(tokens.into());
        }
        if let Some(first) = first_token {
            self.first_token.observe(first.as_secs_f64());
            if let Some(after) = output_tokens.filter(|tokens| *tokens > 1) {
                self.per_token.observe(served.saturating_sub(first).as_secs_f64() / f64::from(after - 1));
            }
        }
    }
}
