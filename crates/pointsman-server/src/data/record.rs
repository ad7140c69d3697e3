//! Decisions and what came of them, on their way to the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use pointsman::{ContextValue, Turn};
use pointsman_ledger::{Decision, EMBEDDINGS, Outcome};
use serde_json::{Value, json};

use super::decide::Made;
use crate::clock;
use crate::error::Error;
use crate::live::{Current, Live};
use crate::metrics::gen_ai::{Answered, Answers};
use crate::routing::snapshot::AUTO;
use crate::state::now_us;
use crate::tally::Expected;
use crate::targets::Target;
use crate::targets::settings::TargetPrice;
use crate::tenants::OF_TOKENS;
use crate::tenants::budget::Reservation;
use crate::tenants::tokens::Held;
use crate::traces::{Attempt, Decision as Traced};
use crate::upstream::Failure;
use crate::upstream::sse::Event;
use crate::wire::headers::Hints;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;
use crate::wire::usage::{Usage, said, tokens_of};

/// Counts a decision, and records it where there is state; gives what it is expected to cost.
pub(super) fn decided(live: &Live, current: &Current, hints: &Hints, query: &Query<'_>, made: &Made<'_>) -> Expected {
    if !hints.is_trial {
        live.tally.decided();
    }
    let snapshot = &current.snapshot;
    if let Some(trace) = &hints.trace {
        trace.decided(Traced {
            id: made.id,
            model: &snapshot.router().models()[made.plan.model_idx],
            reason: made.plan.reason,
            router_version: snapshot.version(),
            config_version: snapshot.config_version(),
            routing_us: made.elapsed_us,
            policy: made.rule.map(|rule| rule.name.as_str()),
        });
    }
    let ranked = |model_idx: usize| made.plan.ranked.iter().find(|entry| entry.model_idx == model_idx);
    let cost = |model_idx| ranked(model_idx).map(|entry| entry.cost_usd).filter(|cost| cost.is_finite());
    let expected = Expected { cost_usd: cost(made.plan.model_idx), baseline_usd: cost(snapshot.best_single()) };
    let Some(state) = live.state.as_ref().filter(|_| !hints.is_trial) else { return expected };
    let turns = made.turns.iter().map(|turn| (turn.role.as_str(), turn.text));
    state.ledger.decide(Decision {
        id: made.id.to_owned(),
        at_us: now_us(),
        tenant: hints.tenant.as_deref().map(str::to_owned),
        session: query.session_id().or(hints.session_id.as_deref()).map(str::to_owned),
        prompt_id: query.prompt_id().map_or_else(|| state.ledger.key().id(turns), str::to_owned),
        messages: state.stores_prompts.then(|| messages(made.turns)),
        context: context(made.context),
        route: made.selection.route.to_owned(),
        reason: made.plan.reason.to_owned(),
        model: snapshot.router().models()[made.plan.model_idx].clone(),
        propensity: made.plan.propensity,
        quality: ranked(made.plan.model_idx).map(|entry| entry.quality),
        cost_usd: expected.cost_usd,
        baseline_cost_usd: expected.baseline_usd,
        router: snapshot.version().to_owned(),
        config_version: snapshot.config_version(),
    });
    expected
}

/// The same of one that nothing was predicted for: its identifier, its reason, the position of its model.
pub(super) fn unpredicted(
    live: &Live,
    current: &Current,
    hints: &Hints,
    query: &Query<'_>,
    protocol: Protocol,
    (id, reason, model_idx): (&str, &'static str, usize),
) {
    if hints.is_trial {
        return;
    }
    live.tally.decided();
    live.metrics.decision(&current.cells, current.name(model_idx), model_idx, reason);
    let Some(state) = live.state.as_ref() else { return };
    let route = if protocol == Protocol::Embeddings { EMBEDDINGS } else { query.model().unwrap_or(AUTO) };
    let turns = query.turns();
    let told = turns.iter().map(|turn| (turn.role.as_str(), turn.text));
    state.ledger.decide(Decision {
        id: id.to_owned(),
        at_us: now_us(),
        tenant: hints.tenant.as_deref().map(str::to_owned),
        session: query.session_id().or(hints.session_id.as_deref()).map(str::to_owned),
        prompt_id: query.prompt_id().map_or_else(|| state.ledger.key().id(told), str::to_owned),
        messages: state.stores_prompts.then(|| messages(&turns)),
        context: context(&query.context()),
        route: route.to_owned(),
        reason: reason.to_owned(),
        model: current.name(model_idx).to_owned(),
        propensity: 1.0,
        quality: None,
        cost_usd: None,
        baseline_cost_usd: None,
        router: current.snapshot.version().to_owned(),
        config_version: current.snapshot.config_version(),
    });
}

fn messages(turns: &[Turn<'_>]) -> String {
    let message = |turn: &Turn<'_>| json!({ "role": turn.role.as_str(), "content": turn.text });
    turns.iter().map(message).collect::<Value>().to_string()
}

fn context(context: &[(&str, ContextValue<'_>)]) -> Option<String> {
    let value = |value: &ContextValue<'_>| match value {
        ContextValue::Text(text) => json!(text),
        ContextValue::Number(number) => json!(number),
        ContextValue::Bool(flag) => json!(flag),
    };
    let object: serde_json::Map<String, Value> =
        context.iter().map(|(name, given)| ((*name).to_owned(), value(given))).collect();
    (!object.is_empty()).then(|| Value::from(object).to_string())
}

/// A decision that is being carried out. However that ends, the ledger hears of it: where it is dropped before it was
/// finished, the client has left.
#[derive(Debug)]
pub(super) struct Errand {
    live: Arc<Live>,
    started: Instant,
    /// When the target that answers was asked.
    asked: Instant,
    /// Where the answer is counted.
    counted: Option<Answers>,
    /// Of the target that answers.
    price: Option<TargetPrice>,
    /// As far as it has told.
    usage: Usage,
    /// Whether answers are told by tokens at all; those of embeddings are not.
    has_output: bool,
    /// Where somebody pays, for those who do not count: tokens that the request is expected to have, and bytes of the answer.
    input_tokens: f32,
    said: usize,
    expected: Expected,
    outcome: Outcome,
    /// Who pays, and what was put aside.
    account: Option<(Arc<str>, Option<Reservation>)>,
    /// What was taken of a limit on tokens.
    held: Option<Held>,
    /// The call that is being answered, where traces are on.
    span: Option<Attempt>,
    is_settled: bool,
}

impl Errand {
    /// One that begins.
    pub(super) fn new(live: &Arc<Live>, decision_id: &str, expected: Expected, started: Instant) -> Self {
        let outcome = Outcome { id: decision_id.to_owned(), outcome: "left".into(), ..Outcome::default() };
        Self {
            live: Arc::clone(live),
            started,
            asked: started,
            counted: None,
            price: None,
            usage: Usage::default(),
            has_output: true,
            input_tokens: 0.0,
            said: 0,
            expected,
            outcome,
            account: None,
            held: None,
            span: None,
            is_settled: false,
        }
    }

    /// Notes who pays, and puts aside what that is expected to be, in tokens and in money.
    pub(super) fn charge(&mut self, live: &Live, hints: &Hints, tokens: f32) -> Result<(), Error> {
        let Some(tenant) = &hints.tenant else { return Ok(()) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is too large becomes the largest"
        )]
        let held = hints.tokens.as_ref().map(|limit| limit.take(tokens.ceil() as u32, clock::now()));
        self.input_tokens = tokens;
        self.held = held.transpose().inspect_err(|_| live.metrics.rate_limited(&hints.label))?;
        let usd = self.expected.cost_usd.unwrap_or_default();
        let reserved = hints.budget.as_ref().map(|budget| budget.reserve(usd, now_us()));
        let reserved = reserved.transpose().map_err(|retry_after| Error::BudgetExceeded { retry_after })?;
        self.account = Some((Arc::clone(tenant), reserved));
        Ok(())
    }

    /// Notes who answers, and when it was asked.
    pub(super) fn answered_by(&mut self, target: &Target, asked: Instant, protocol: Protocol, attempts: usize) {
        self.asked = asked;
        self.counted = Some(target.answers(&self.live.metrics, protocol).clone());
        self.price = target.price;
        self.has_output = protocol != Protocol::Embeddings;
        self.outcome.target = Some(target.name.clone());
        self.outcome.model = Some(target.model.to_string());
        self.outcome.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    }

    /// Notes the span of the call that is being answered.
    pub(super) fn spanned_by(&mut self, span: Option<Attempt>) {
        self.span = span;
    }

    /// Notes that the stream broke off.
    pub(super) fn broke(&mut self, failure: Failure) {
        if let Some(span) = &mut self.span {
            span.broke(failure);
        }
    }

    /// Notes that a stream has begun to say something.
    pub(super) fn first_token(&mut self) {
        if let Some(span) = &self.span {
            span.first_token();
        }
        self.outcome.first_token_ms = Some((clock::now() - self.started).as_secs_f64() * 1e3);
    }

    /// Looks for the target's count of tokens in an answer, or a part of one.
    pub(super) fn saw(&mut self, json: &[u8]) {
        if let Some(span) = &mut self.span {
            span.saw(json);
        }
        if self.account.is_some() {
            self.said += said(json);
        }
        if !self.usage.take(json) {
            return;
        }
        let (input, output) = (self.usage.input(), self.usage.output());
        (self.outcome.input_tokens, self.outcome.output_tokens) = (input, output);
        let output = output.or((!self.has_output).then_some(0));
        if let (Some(input), Some(output), Some(price)) = (input, output, self.price) {
            self.outcome.cost_usd = Some(price.cost_usd(input, self.usage.cached(), output));
        }
    }

    /// The same of an event of a stream.
    pub(super) fn saw_event(&mut self, event: &Event) {
        // What stands behind `data:`, which is all of it but for comments and names of events.
        let bytes = event.bytes();
        if let Some(start) = bytes.iter().position(|byte| *byte == b'{') {
            let end = bytes.iter().rposition(|byte| *byte == b'}').map_or(start, |end| end + 1);
            self.saw(&bytes[start..end.max(start)]);
        }
    }

    /// Says in a reply what is left of a limit on tokens.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if let Some(held) = &self.held {
            held.quota.mark(headers, &OF_TOKENS);
        }
    }

    /// How many tokens the answer had, where the target counts them.
    pub(super) fn output_tokens(&self) -> Option<u32> {
        self.outcome.output_tokens
    }

    /// What it cost, where that is known.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.outcome.cost_usd
    }

    /// What it cost, as a header's value.
    pub(super) fn cost_header(&self) -> Option<HeaderValue> {
        let cost = self.outcome.cost_usd?;
        HeaderValue::try_from(format!("{cost:.9}")).ok()
    }

    /// Ends it.
    pub(super) fn settle(mut self, outcome: &str) {
        outcome.clone_into(&mut self.outcome.outcome);
        if let Some(span) = self.span.take() {
            span.end(self.outcome.input_tokens, self.outcome.output_tokens);
        }
        self.report();
    }

    /// Tokens of the request and of the answer, as counted or else about.
    fn tokens(&self) -> (u32, u32) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is too large becomes the largest"
        )]
        let input = self.usage.input().unwrap_or(self.input_tokens.ceil() as u32);
        let output = self.usage.output().unwrap_or_else(|| if self.has_output { tokens_of(self.said) } else { 0 });
        (input, output)
    }

    fn report(&mut self) {
        self.is_settled = true;
        if self.outcome.outcome == "answered" {
            self.live.tally.answered(self.expected, self.outcome.cost_usd);
        }
        if self.outcome.outcome == "answered"
            && let Some(answers) = &self.counted
        {
            let Outcome { input_tokens, output_tokens, first_token_ms, .. } = self.outcome;
            answers.note(&Answered {
                duration: clock::now() - self.asked,
                served: clock::now() - self.started,
                first_token: first_token_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)),
                input_tokens,
                output_tokens,
            });
        }
        let was_answered = self.outcome.target.is_some() && self.outcome.outcome != "refused";
        // Who was answered pays, be it that the answer was cut short or that they left in its middle: by the target's count where there
        // is one, else by what was heard.
        let (input, output) = self.tokens();
        if let Some(held) = self.held.take()
            && was_answered
        {
            held.settle(input.saturating_add(output), clock::now());
        }
        if let Some((tenant, reserved)) = self.account.take()
            && was_answered
        {
            let cost = |price: TargetPrice| price.cost_usd(input, self.usage.cached().min(input), output);
            let usd =
                self.outcome.cost_usd.or_else(|| self.price.map(cost)).or(self.expected.cost_usd).unwrap_or_default();
            if let Some(reserved) = reserved {
                reserved.settle(usd, now_us());
            }
            if let Some(state) = &self.live.state {
                state.ledger.spend(&tenant, now_us(), usd);
            }
        }
        if let Some(state) = &self.live.state {
            self.outcome.latency_ms = Some((clock::now() - self.started).as_secs_f64() * 1e3);
            state.ledger.settle(std::mem::take(&mut self.outcome));
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if !self.is_settled {
            self.report();
        }
    }
}
