//! `POST /v1/chat/completions`: a decision, carried out.
//!
//! ```text
//! body ─► plan ─► targets in order ─► call ─┬─► a whole answer
//!                      ▲                    ├─► a stream that has said something: from here on it belongs to its target
//!                      └────── next ◄───────┘ a failure of the target's
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::decide::planned;
use super::record::{self, Errand};
use super::route::LONGEST_INLINE;
use crate::error::{Error, UpstreamOutcome};
use crate::live::{Current, InFlight, Live};
use crate::net::{body, stream};
use crate::routing::retries::{ROUNDS, wait};
use crate::routing::snapshot::Wanted;
use crate::tally::Expected;
use crate::targets::Target;
use crate::targets::health::Report;
use crate::targets::wish::Wish;
use crate::upstream::sse::Says;
use crate::upstream::{self, Answer, Call, Failure, Stream};
use crate::wire::forward::Forward;
use crate::wire::headers::{
    ATTEMPTS, CONFIG_VERSION, COST_USD, DECISION_ID, Hints, REASON, ROUTER_VERSION, ROUTING_US, SELECTED_MODEL, TARGET,
};
use crate::wire::query::Query;
use crate::wire::refusal::Refusal;

/// The endpoint below a target's base.
const ENDPOINT: &str = "/chat/completions";

/// The reason of a request that went to the default targets.
const DEGRADED: &str = "degraded";

/// The longest that a request may take, whatever its targets allow.
const LONGEST: Duration = Duration::from_mins(15);

#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "completions", operation_id = "chat_completions",
    summary = "A decision, carried out",
    description = "OpenAI's chat completion. `model` is `auto`, an objective, or a model; the request goes to a target of the \
        chosen model and, where that fails before it has said anything, to the next best. All fields but `pointsman`, \
        `session_id`, `context`, `models` and `provider` reach the target as they are, `model` with the target's own name.",
    request_body(content = Query<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The target's answer as it came: JSON, or a stream of events", body = Object, headers(
            ("x-pointsman-decision-id" = String), ("x-pointsman-selected-model" = String),
            ("x-pointsman-target" = String), ("x-pointsman-attempts" = u64), ("x-pointsman-reason" = String),
            ("x-pointsman-routing-us" = u64), ("x-pointsman-router-version" = String),
            ("x-pointsman-config-version" = u64))),
        (status = 401, description = "No key of this server, where it has tenants", body = Refusal),
        (status = 400, description = "The request is not valid; or the target finds it so, in its own words", body = Refusal),
        (status = 402, description = "The tenant's budget for today is spent", body = Refusal),
        (status = 404, description = "No target is configured, or none may answer", body = Refusal),
        (status = 408, description = "The body took too long to arrive", body = Refusal),
        (status = 413, description = "The body is too long", body = Refusal),
        (status = 415, description = "The body is compressed", body = Refusal),
        (status = 429, description = "The tenant asks too often, or every target is over its rate limit", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 431, description = "The headers are too long", body = Refusal),
        (status = 502, description = "No target answered", body = Refusal),
        (status = 503, description = "Too many requests at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 504, description = "No target answered in time", body = Refusal),
    )
)]
pub(crate) async fn chat(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let in_flight = live.enter()?;
    let (head, body) = request.into_parts();
    let hints = Hints::new(&head)?;
    let bytes = body::read(body, live.limits.max_body_bytes, live.limits.read_timeout).await?;
    let started = Instant::now();
    let current = live.current();
    let hints = Arc::new(hints);
    let chosen = if bytes.len() <= LONGEST_INLINE {
        choose_or_degrade(&live, &current, &hints, &bytes)?
    } else {
        let (live, current, hints, bytes) =
            (Arc::clone(&live), Arc::clone(&current), Arc::clone(&hints), bytes.clone());
        let task = tokio::task::spawn_blocking(move || choose_or_degrade(&live, &current, &hints, &bytes));
        task.await.unwrap_or(Err(Error::Panicked))?
    };
    let forward = Forward::new(&bytes)?;
    let decision_id = HeaderValue::try_from(&chosen.decision_id).expect("an identifier is ASCII");
    let headers = forward.headers(&head.headers, &decision_id);
    let carried = Carrier { live: &live, current: &current, chosen: &chosen, forward: &forward, headers };
    let mut errand = Errand::new(&live, &chosen.decision_id, chosen.expected, started);
    if let Err(error) = errand.charge(&hints) {
        errand.settle(error.code());
        return Err(error);
    }
    let Carried { target, answer, attempts } = match carried.carry_out().await {
        Ok(carried) => carried,
        Err(error) => {
            errand.settle(error.code());
            return Err(error);
        }
    };
    errand.answered_by(&current, target, attempts);
    let mut headers = chosen.headers(&current, target, attempts);
    match answer {
        Answer::Whole { status, body } => {
            errand.saw(&body);
            if let Some(cost) = errand.cost_header() {
                headers.insert(COST_USD, cost);
            }
            errand.settle(if status.is_success() { "answered" } else { "refused" });
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok((status, headers, body).into_response())
        }
        Answer::Stream(begun) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            errand.first_token();
            let (sink, body) = stream::body();
            let relay = Relay {
                errand,
                current: Arc::clone(&current),
                live: Arc::clone(&live),
                position: target.position,
                idle: target.timeouts.idle,
                until: begun.until,
                _in_flight: in_flight,
            };
            tokio::spawn(relay.run(begun, sink));
            Ok((StatusCode::OK, headers, body).into_response())
        }
    }
}

/// What the core decided.
#[derive(Debug)]
struct Chosen {
    decision_id: String,
    reason: &'static str,
    elapsed_us: u64,
    expected: Expected,
    /// Models that may answer, best first, each with the tokens expected of the request.
    ranked: Vec<(usize, f32)>,
    wish: Wish,
}

/// A decision, or where making one meets a mistake of ours, the default targets: a bug of the router must not cost an
/// answer. A request that limits the choice is refused then, since nothing could be said about the limits.
fn choose_or_degrade(live: &Live, current: &Current, hints: &Hints, bytes: &[u8]) -> Result<Chosen, Error> {
    let chosen = catch_unwind(AssertUnwindSafe(|| choose(live, current, hints, bytes)));
    let (cause, error) = match chosen {
        Ok(Err(error)) if error.status() == StatusCode::INTERNAL_SERVER_ERROR => ("error", error),
        Ok(chosen) => return chosen,
        Err(_) => ("panic", Error::Panicked),
    };
    let query = Query::parse(bytes, live.limits.max_messages)?;
    let Some(ranked) = defaults(current, hints, &query) else { return Err(error) };
    live.metrics.degraded(cause);
    tracing::error!(cause = error.chain(), "a decision failed, the request goes to the default targets");
    Ok(Chosen {
        decision_id: live.ids.next("dec"),
        reason: DEGRADED,
        elapsed_us: 0,
        expected: Expected::default(),
        // How many tokens that are nobody can say now.
        ranked: ranked.into_iter().map(|model_idx| (model_idx, 0.0)).collect(),
        wish: Wish { region: hints.region.clone(), ..query.wish() },
    })
}

/// The models asked for by name, else every model in the order of its first target; `None` where the request limits the
/// choice, or nobody is left.
fn defaults(current: &Current, hints: &Hints, query: &Query<'_>) -> Option<Vec<usize>> {
    let (allow, deny) = query.pool();
    let limits = query.limits();
    let limited = limits.max_cost_usd.is_some() || limits.min_quality.is_some() || limits.max_latency_ms.is_some();
    if limited || !allow.is_empty() || !deny.is_empty() {
        return None;
    }
    // Rules may deny what nobody can look at now: with any, nothing is guessed.
    if !current.policies.is_empty() {
        return None;
    }
    let wanted = Wanted {
        model: query.model(),
        models: query.models(),
        objective: None,
        hinted: None,
        ruled: None,
        allow,
        deny,
    };
    let mut ranked = current.snapshot.select(wanted).ok()?.requested;
    if ranked.is_empty() {
        ranked = current.targets.models();
    }
    let models = current.snapshot.router().models();
    ranked.retain(|model_idx| {
        current.targets.names(*model_idx).next().is_some() && !hints.denied.contains(&models[*model_idx])
    });
    (!ranked.is_empty()).then_some(ranked)
}

fn choose(live: &Live, current: &Current, hints: &Hints, bytes: &[u8]) -> Result<Chosen, Error> {
    let started = Instant::now();
    if current.targets.is_empty() {
        return Err(Error::NoTargets);
    }
    let query = Query::parse(bytes, live.limits.max_messages)?;
    if query.is_prompt() {
        return Err(Error::invalid("messages", "an array of messages", "a prompt in their place"));
    }
    planned(live, current, hints, &query, started, |made| {
        let mut wish = Wish { region: hints.region.clone(), ..query.wish() };
        wish.sort = wish.sort.or(made.selection.sort);
        let allowed = made.plan.ranked.iter().filter(|entry| entry.excluded.is_none());
        let (mut ranked, mut excluded_by) = (Vec::new(), Vec::new());
        for entry in allowed {
            let tokens = made.predictions.input_tokens[entry.model_idx];
            match current.targets.reaches(entry.model_idx, tokens, &wish) {
                Ok(()) => ranked.push((entry.model_idx, tokens)),
                Err(barred) => excluded_by.extend(barred),
            }
        }
        if ranked.is_empty() {
            excluded_by.sort_unstable();
            excluded_by.dedup();
            if excluded_by.is_empty() {
                excluded_by.push("targets");
            }
            return Err(Error::NoTarget { excluded_by });
        }
        let decision_id = live.ids.next("dec");
        let expected = record::decided(live, current, hints, &query, &made, &decision_id);
        Ok(Chosen { decision_id, reason: made.plan.reason, elapsed_us: made.elapsed_us, expected, ranked, wish })
    })
}

impl Chosen {
    fn headers(&self, current: &Current, target: &Target, attempts: usize) -> HeaderMap {
        let snapshot = &current.snapshot;
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(DECISION_ID, HeaderValue::try_from(&self.decision_id).expect("an identifier is ASCII"));
        headers.insert(SELECTED_MODEL, snapshot.model_header(target.model_idx));
        headers.insert(TARGET, target.name_header.clone());
        headers.insert(ATTEMPTS, HeaderValue::from(attempts));
        headers.insert(REASON, HeaderValue::from_static(self.reason));
        headers.insert(ROUTING_US, HeaderValue::from(self.elapsed_us));
        headers.insert(ROUTER_VERSION, snapshot.version_header());
        headers.insert(CONFIG_VERSION, HeaderValue::from(snapshot.config_version()));
        headers
    }
}

/// A request and whom to ask.
struct Carrier<'r> {
    live: &'r Live,
    current: &'r Current,
    chosen: &'r Chosen,
    forward: &'r Forward<'r>,
    headers: HeaderMap,
}

/// An answer and whose it is.
struct Carried<'r> {
    target: &'r Target,
    answer: Answer,
    attempts: usize,
}

impl<'r> Carrier<'r> {
    /// Asks one target after the other, and again after a while, until one answers.
    async fn carry_out(&self) -> Result<Carried<'r>, Error> {
        let live = self.live;
        let deadline = Instant::now() + LONGEST;
        live.retries.deposit();
        let mut failed: Vec<(&Target, Failure)> = Vec::new();
        let wish = &self.chosen.wish;
        let rounds = if wish.is_single { 1 } else { ROUNDS };
        for round in 0..rounds {
            let mut order = self.current.targets.in_order(&self.chosen.ranked, wish, Instant::now());
            if wish.is_single {
                order.truncate(1);
            }
            for target in order {
                let already = failed.iter().rev().find(|(other, _)| std::ptr::eq(*other, target));
                if let Some((_, failure)) = already
                    && (!failure.is_passing() || !live.retries.take())
                {
                    continue;
                }
                match self.ask(target, deadline).await {
                    Ok(answer) => return Ok(Carried { target, answer, attempts: failed.len() + 1 }),
                    Err(failure) => failed.push((target, failure)),
                }
            }
            let asked = failed.iter().filter_map(|(_, failure)| match failure {
                Failure::Status(_, wait) => *wait,
                _ => None,
            });
            let passing = failed.iter().any(|(_, failure)| failure.is_passing());
            let Some(pause) = wait(round, asked.min(), live.ids.fraction()).filter(|_| passing && round + 1 < rounds)
            else {
                break;
            };
            if Instant::now() + pause >= deadline {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Err(failure(&failed))
    }

    async fn ask(&self, target: &Target, deadline: Instant) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let _busy = target.call(begun);
        let call = Call {
            endpoint: ENDPOINT,
            headers: self.headers.clone(),
            body: Bytes::from(self.forward.body(&target.upstream_model)),
            streams: self.forward.streams,
            deadline,
        };
        let answer = upstream::call(target, call).await;
        if answer.is_ok() {
            target.took(begun.elapsed());
        }
        let (report, outcome) = match &answer {
            Ok(Answer::Whole { .. }) => (Some(Report::Answered), "answered"),
            // Whether a stream was an answer is known at its end: one that is always cut must open the circuit.
            Ok(Answer::Stream(_)) => (None, "answered"),
            Err(failure) => (Some(failure.report()), failure.as_str()),
        };
        if let Some(report) = report {
            target.report(report, Instant::now());
        }
        self.live.metrics.attempt(&target.name, outcome);
        if let Err(failure) = &answer {
            tracing::warn!(target_name = target.name, ?failure, "a target failed");
        }
        answer
    }
}

/// What failures come to.
fn failure(failed: &[(&Target, Failure)]) -> Error {
    let all = |is: fn(&Failure) -> bool| failed.iter().all(|(_, failure)| is(failure));
    let outcome = if all(|failure| matches!(failure, Failure::Status(429, _))) {
        UpstreamOutcome::RateLimited
    } else if all(|failure| !failure.is_passing()) {
        UpstreamOutcome::CredentialsExhausted
    } else if all(|failure| matches!(failure, Failure::Timeout | Failure::Status(408 | 504, _))) {
        UpstreamOutcome::TimedOut
    } else {
        UpstreamOutcome::Failed
    };
    let waits = failed.iter().filter_map(|(_, failure)| match failure {
        Failure::Status(429, wait) => *wait,
        _ => None,
    });
    let retry_after = waits.min().map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
    let attempts = failed.iter().map(|(target, failure)| (target.name.clone(), failure.as_str())).collect();
    Error::Upstream { outcome, attempts, retry_after }
}

/// The rest of a stream, on its way to the client. It is dropped, and with it the call, when the client leaves.
struct Relay {
    live: Arc<Live>,
    /// Keeps the target alive.
    current: Arc<Current>,
    /// The target's position.
    position: usize,
    idle: Duration,
    /// When all is over.
    until: Instant,
    errand: Errand,
    _in_flight: InFlight,
}

impl Relay {
    async fn run(self, stream: Stream, mut sink: stream::Sink) {
        let Self { live, current, position, idle, until, mut errand, _in_flight } = self;
        let target = current.targets.get(position);
        let _busy = target.begin();
        let Stream { begun, mut rest, .. } = stream;
        let mut done = false;
        for event in begun {
            done |= event.says() == Says::Done;
            errand.saw_event(&event);
            if !sink.send(event.bytes().to_vec()).await {
                return;
            }
        }
        let broken = loop {
            let latest = until.min(Instant::now() + idle);
            let next = tokio::select! {
                // The client left: nobody needs the rest.
                () = sink.closed() => return,
                next = tokio::time::timeout_at(latest.into(), rest.next()) => next,
            };
            let event = match next {
                Err(_) => break Some(Failure::Timeout),
                Ok(Err(failure)) => break Some(failure),
                Ok(Ok(None)) if done => break None,
                Ok(Ok(None)) => break Some(Failure::Broken),
                Ok(Ok(Some(event))) => event,
            };
            match event.ends() {
                Says::Malformed => break Some(Failure::Malformed),
                Says::Done => done = true,
                _ => errand.saw_event(&event),
            }
            if !sink.send(event.bytes().to_vec()).await {
                return;
            }
        };
        target.report(broken.map_or(Report::Answered, Failure::report), Instant::now());
        errand.settle(if broken.is_some() { "cut" } else { "answered" });
        if let Some(failure) = broken {
            live.metrics.attempt(&target.name, "cut");
            tracing::warn!(target_name = target.name, ?failure, "a stream was cut");
            // What was said cannot be unsaid: the stream ends with an error, and without its `[DONE]`.
            let error = json!({
                "error": {"message": "the target broke the stream off", "type": "server_error", "param": null,
                    "code": "upstream_cut", "metadata": {"error_type": failure.as_str(), "retryable": true}},
                "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
            });
            if !sink.send(format!("data: {error}\n\n").into_bytes()).await {
                return;
            }
        }
        sink.finish().await;
    }
}
