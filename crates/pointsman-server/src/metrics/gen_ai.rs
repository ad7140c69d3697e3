//! Calls to models, as OpenTelemetry's conventions for generative AI count them; their names are in [`names`].

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::names::{self, CallLabels, Conventions, ModalityLabels, TokenLabels};
use crate::wire::protocol::Protocol;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The families.
#[derive(Debug)]
pub(super) struct GenAi {
    tokens: Tokens,
    duration: Histograms<CallLabels>,
    /// Where the conventions have embeddings apart.
    embedding: Option<Embeddings>,
    served: Histograms<CallLabels>,
    first_token: Histograms<CallLabels>,
    per_token: Histograms<CallLabels>,
}

/// Tokens, by either version of the conventions.
#[derive(Debug)]
enum Tokens {
    Usual(Histograms<TokenLabels>),
    /// Of input and output: those of a call, and the sum of all.
    Latest([(Histograms<CallLabels>, Family<ModalityLabels, Counter>); 2]),
}

/// What the latest conventions count of embeddings.
#[derive(Debug)]
struct Embeddings {
    duration: Histograms<CallLabels>,
    input: Histograms<CallLabels>,
}

/// One kind of tokens of one model's answers to one kind of request.
#[derive(Clone, Debug)]
struct Counted {
    of_call: Histogram,
    all: Option<Counter>,
}

/// The histograms of one model's answers to one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    input: Counted,
    /// None of embeddings where the conventions have them apart.
    output: Option<Counted>,
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

impl Tokens {
    fn new(conventions: Conventions, registry: &mut Registry) -> Self {
        match conventions {
            Conventions::Usual => {
                let family = Family::new_with_constructor(tokens as fn() -> Histogram);
                registry.register(names::CALL_TOKENS, "Tokens of requests and answers", family.clone());
                Self::Usual(family)
            }
            Conventions::Latest => Self::Latest(
                [
                    (names::LATEST_CALL_INPUT_TOKENS, names::LATEST_INPUT_TOKENS, "Tokens of requests"),
                    (names::LATEST_CALL_OUTPUT_TOKENS, names::LATEST_OUTPUT_TOKENS, "Tokens of answers"),
                ]
                .map(|(of_call, all, help)| {
                    let families = (Family::new_with_constructor(tokens as fn() -> Histogram), Family::default());
                    registry.register(of_call, format!("{help}, of a call"), families.0.clone());
                    registry.register(all, format!("{help}, of all calls"), families.1.clone());
                    families
                }),
            ),
        }
    }

    fn of(&self, call: &CallLabels) -> [Counted; 2] {
        match self {
            Self::Usual(family) => ["input", "output"]
                .map(|kind| Counted { of_call: family.get_or_create_owned(&call.tokens(kind)), all: None }),
            Self::Latest(families) => [&families[0], &families[1]].map(|(of_call, all)| Counted {
                of_call: of_call.get_or_create_owned(call),
                all: Some(all.get_or_create_owned(&call.modality())),
            }),
        }
    }
}

impl Embeddings {
    fn new(registry: &mut Registry) -> Self {
        let duration = Family::new_with_constructor(seconds as fn() -> Histogram);
        let input = Family::new_with_constructor(tokens as fn() -> Histogram);
        let help = "Time from a call of a target to the end of its embeddings";
        registry.register(names::LATEST_EMBEDDING_SECONDS, help, duration.clone());
        registry.register(names::LATEST_EMBEDDING_TOKENS, "Tokens of a request for embeddings", input.clone());
        Self { duration, input }
    }
}

impl Counted {
    fn note(&self, tokens: u32) {
        self.of_call.observe(tokens.into());
        if let Some(all) = &self.all {
            all.inc_by(tokens.into());
        }
    }
}

impl GenAi {
    pub(super) fn new(conventions: Conventions, registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix(names::GEN_AI);
        let embedding = (conventions == Conventions::Latest).then(|| Embeddings::new(registry));
        let families = Self {
            tokens: Tokens::new(conventions, registry),
            duration: Family::new_with_constructor(seconds),
            embedding,
            served: Family::new_with_constructor(seconds),
            first_token: Family::new_with_constructor(first_token_seconds),
            per_token: Family::new_with_constructor(token_seconds),
        };
        let call_seconds = match conventions {
            Conventions::Usual => names::CALL_SECONDS,
            Conventions::Latest => names::LATEST_CALL_SECONDS,
        };
        for (name, help, family) in [
            (call_seconds, "Time from a call of a target to the end of its answer", &families.duration),
            (names::SERVED_SECONDS, "Time from a request to the end of its answer", &families.served),
            (
                names::FIRST_TOKEN_SECONDS,
                "Time from a request to the first content of its stream",
                &families.first_token,
            ),
            (
                names::TOKEN_SECONDS,
                "Time from the first content of a stream to its end, per token after the first",
                &families.per_token,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        families
    }

    pub(super) fn answers(&self, protocol: Protocol, model: &str) -> Answers {
        let call = CallLabels::new(protocol, model);
        let apart = self.embedding.as_ref().filter(|_| protocol == Protocol::Embeddings);
        let (input, output, duration) = if let Some(Embeddings { duration, input }) = apart {
            let input = Counted { of_call: input.get_or_create_owned(&call), all: None };
            (input, None, duration)
        } else {
            let [input, output] = self.tokens.of(&call);
            (input, Some(output), &self.duration)
        };
        Answers {
            input,
            output,
            duration: duration.get_or_create_owned(&call),
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
            self.input.note(tokens);
        }
        if let (Some(output), Some(tokens)) = (&self.output, output_tokens) {
            output.note(tokens);
        }
        if let Some(first) = first_token {
            self.first_token.observe(first.as_secs_f64());
            if let Some(after) = output_tokens.filter(|tokens| *tokens > 1) {
                self.per_token.observe(served.saturating_sub(first).as_secs_f64() / f64::from(after - 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(conventions: Conventions) -> String {
        let mut registry = Registry::default();
        let families = GenAi::new(conventions, &mut registry);
        let answered = Answered { input_tokens: Some(7), output_tokens: Some(3), ..Answered::default() };
        for _ in 0..2 {
            families.answers(Protocol::Messages, "m").note(&answered);
        }
        families.answers(Protocol::Embeddings, "m").note(&answered);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).expect("a string takes everything");
        page
    }

    #[test]
    fn one_version_of_the_names_or_the_other() {
        let call = r#"gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_response_model="m""#;
        let usual = format!(r#"gen_ai_client_token_usage_sum{{{call},gen_ai_token_type="input"}} 14.0"#);
        let latest = [
            format!("gen_ai_client_inference_duration_seconds_count{{{call}}} 2"),
            format!("gen_ai_client_inference_operation_output_tokens_sum{{{call}}} 6.0"),
            format!(r#"gen_ai_client_inference_usage_input_tokens_total{{{call},gen_ai_token_modality="unknown"}} 14"#),
            format!(r#"gen_ai_client_inference_usage_output_tokens_total{{{call},gen_ai_token_modality="unknown"}} 6"#),
        ];
        let (now, then) = (page(Conventions::Usual), page(Conventions::Latest));
        assert!(now.contains(&usual) && !now.contains("inference"), "{now}");
        assert!(latest.iter().all(|line| then.contains(line)), "{then}");
        assert!(!then.contains("token_usage") && !then.contains("client_operation"));
        // Embeddings are apart there, and have no output.
        let call = call.replace("chat", "embeddings").replace("anthropic", "openai");
        let embeddings = [
            format!("gen_ai_client_embeddings_duration_seconds_count{{{call}}} 1"),
            format!("gen_ai_client_embeddings_operation_input_tokens_sum{{{call}}} 7.0"),
        ];
        assert!(embeddings.iter().all(|line| then.contains(line)), "{then}");
        assert!(!then.contains(&format!("inference_duration_seconds_count{{{call}}}")));
    }
}
