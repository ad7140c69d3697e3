//! A decision carried out: one target after the other, and again after a while, until one answers.

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio::time::timeout;

use crate::clock;
use crate::error::{Attempted, Error, UpstreamOutcome};
use crate::live::{Current, Live};
use crate::regions::RegionPolicy;
use crate::routing::retries::{ROUNDS, wait};
use crate::targets::Target;
use crate::targets::health::Standing;
use crate::targets::wish::Wish;
use crate::traces::{Attempt, Trace};
use crate::upstream::objection::objection;
use crate::upstream::{self, Answer, Call, Deadlines, Failure};
use crate::wire::forward::Forward;

/// The longest that a request may take, whatever its targets allow.
const LONGEST: Duration = Duration::from_mins(15);

/// A request and whom to ask.
pub(super) struct Carrier<'r> {
    pub(super) live: &'r Live,
    pub(super) current: &'r Current,
    /// Models that may answer, best first, each with the tokens expected of the request.
    pub(super) ranked: &'r [(usize, f32)],
    pub(super) wish: &'r Wish,
    pub(super) forward: &'r Forward<'r>,
    pub(super) headers: HeaderMap,
    /// When the client wants to have its answer.
    pub(super) timeout: Option<Instant>,
    pub(super) trace: Option<&'r Trace>,
}

/// An answer and whose it is.
pub(super) struct Carried<'r> {
    pub(super) target: &'r Target,
    pub(super) answer: Answer,
    /// When it was asked.
    pub(super) asked: Instant,
    /// Targets that were asked.
    pub(super) attempts: usize,
    /// Those of them that came to nothing, where somebody wants to know.
    pub(super) failed: Vec<Attempted>,
    /// Of the call, where traces are on.
    pub(super) span: Option<Attempt>,
}

/// A call: the `number`th of its request, and by when.
#[derive(Clone, Copy)]
struct Asked {
    number: usize,
    by: Deadlines,
}

/// What a target said, when it was asked, and the span of the call.
struct Heard {
    answer: Answer,
    asked: Instant,
    span: Option<Attempt>,
}

/// A call that came to nothing.
#[derive(Clone, Copy)]
struct Lost<'r> {
    target: &'r Target,
    failure: Failure,
    at: Instant,
}

impl<'r> Lost<'r> {
    fn new(target: &'r Target, failure: Failure) -> Self {
        Self { target, failure, at: clock::now() }
    }

    /// Time that the target asked for.
    fn asked(&self) -> Option<Duration> {
        match self.failure {
            Failure::Status(_, wait) => wait,
            _ => None,
        }
    }

    /// Whether the target may be asked again now.
    fn is_due(&self, now: Instant) -> bool {
        self.failure.is_passing() && self.asked().is_none_or(|asked| self.at + asked <= now)
    }

    /// Whether another target may not have against the request what this one had.
    fn is_no_matter_to(&self, other: &Target) -> bool {
        match self.failure {
            Failure::ContextLength => other.may_read_more_than(self.target),
            Failure::Content => other.model_idx != self.target.model_idx,
            _ => true,
        }
    }

    /// Time until it may, after a round; `None` where it may not be waited for.
    fn pause(&self, round: usize, jitter: f64, now: Instant) -> Option<Duration> {
        let left = self.asked().map(|asked| (self.at + asked).saturating_duration_since(now));
        wait(round, left, jitter).filter(|_| self.failure.is_passing())
    }
}

/// The calls that came to nothing.
type Failed<'r> = Vec<Lost<'r>>;

/// What was tried so far.
#[derive(Default)]
struct Tried<'r> {
    failed: Failed<'r>,
    /// What the first target said that had something against the request: where nobody else answers, it is for the client.
    objected: Option<Carried<'r>>,
}

impl<'r> Carrier<'r> {
    /// Asks until somebody answers.
    pub(super) async fn carry_out(&self) -> Result<Carried<'r>, Error> {
        let live = self.live;
        let longest = clock::now() + LONGEST;
        let deadline = self.timeout.map_or(longest, |timeout| timeout.min(longest));
        live.retries.deposit();
        let mut tried = Tried::default();
        let wish = self.wish;
        let rounds = if wish.is_single { 1 } else { ROUNDS };
        for round in 0..rounds {
            let chance = || live.ids.fraction();
            let mut order = self.current.targets.in_order(self.ranked, wish, clock::now(), chance);
            if wish.is_single {
                order.truncate(1);
            }
            if let ControlFlow::Break(ended) = self.ask_all(order, &mut tried, deadline).await {
                match ended {
                    Some(carried) => return Ok(Carried { failed: attempted(&tried.failed), ..carried }),
                    None => break,
                }
            }
            // Nobody waits for a retry that nobody may make.
            if round + 1 == rounds || !live.retries.has_one() {
                break;
            }
            let (now, jitter) = (clock::now(), live.ids.fraction());
            // Of every target what it said last.
            let failed = &tried.failed;
            let is_last =
                |at: usize| !failed[at + 1..].iter().any(|later| std::ptr::eq(later.target, failed[at].target));
            let last = (0..failed.len()).filter(|at| is_last(*at)).map(|at| failed[at]);
            let Some(pause) = last.filter_map(|lost| lost.pause(round, jitter, now)).min() else { break };
            if clock::now() + pause >= deadline {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let Tried { failed, objected } = tried;
        objected
            .map(|carried| Carried { attempts: failed.len(), failed: attempted(&failed), ..carried })
            .ok_or_else(|| self.failure(&failed))
    }

    /// Asks each in turn; one that failed before only where it may do better now and the budget allows it. Breaks with an answer,
    /// or with none where the operator does not want anybody else to be asked.
    async fn ask_all(
        &self,
        order: Vec<&'r Target>,
        tried: &mut Tried<'r>,
        deadline: Instant,
    ) -> ControlFlow<Option<Carried<'r>>> {
        let Tried { failed, objected } = tried;
        let mut order = order.into_iter();
        while let Some(target) = order.next() {
            if !self.may_ask(target, failed) {
                continue;
            }
            // Who has no time left is asked nothing.
            if !failed.is_empty() && clock::now() >= deadline {
                break;
            }
            if let Some(Lost { target: from, failure, .. }) = failed.last()
                && !std::ptr::eq(*from, target)
            {
                self.live.metrics.fallback(&from.name, &target.name, failure.as_str());
            }
            // Somebody else needs time too, before the client goes.
            let now = clock::now();
            let patience = match self.timeout {
                Some(timeout) if !order.as_slice().is_empty() => now + timeout.saturating_duration_since(now) / 2,
                _ => deadline,
            };
            let call = Asked { number: failed.len() + 1, by: Deadlines { answer: patience, all: deadline } };
            let hedge = self.current.settings.hedge_after.filter(|_| !self.forward.streams);
            let answer = match hedge {
                None => self
                    .ask(target, call)
                    .await
                    .map(|heard| (target, heard, 0))
                    .map_err(|failure| vec![Lost::new(target, failure)]),
                Some(after) => self.ask_hedged(target, after, &mut order, failed, call).await,
            };
            let before = failed.len();
            match answer {
                Ok((target, Heard { answer, asked, span }, aside)) => {
                    let failure = self.objection(&answer);
                    let carried =
                        Carried { target, answer, asked, span, attempts: before + 1 + aside, failed: Vec::new() };
                    let Some(failure) = failure else { return ControlFlow::Break(Some(carried)) };
                    failed.push(Lost::new(target, failure));
                    objected.get_or_insert(carried);
                }
                Err(more) => failed.extend(more),
            }
            if failed[before..].iter().any(|lost| !self.goes_on_after(lost.failure)) {
                return ControlFlow::Break(None);
            }
        }
        ControlFlow::Continue(())
    }

    /// What a target has against the request, where somebody else is asked for that.
    fn objection(&self, answer: &Answer) -> Option<Failure> {
        let Answer::Whole { status, body } = answer else { return None };
        objection(*status, body).filter(|failure| !self.wish.is_single && self.goes_on_after(*failure))
    }

    fn goes_on_after(&self, failure: Failure) -> bool {
        self.current.settings.fallback_on.contains(&failure.cause())
    }

    fn may_ask(&self, target: &Target, failed: &Failed<'r>) -> bool {
        if failed.iter().any(|lost| !lost.is_no_matter_to(target)) {
            return false;
        }
        match failed.iter().rev().find(|lost| std::ptr::eq(lost.target, target)) {
            Some(lost) => lost.is_due(clock::now()) && self.live.retries.take(),
            // One that is known to be down is tried where nobody else is left; more of them only as far as there is room for calls
            // that mostly come to nothing.
            None if !failed.is_empty() && target.standing(clock::now()) == Standing::Down => self.live.retries.take(),
            None => true,
        }
    }

    /// Asks a target, and where that has not answered after a while, the next one too; the first answer that is no refusal counts, and
    /// the other call is given up. The second call is of the retries' budget. Gives who answered, and how many calls were
    /// given up or had failed beside it.
    async fn ask_hedged(
        &self,
        first: &'r Target,
        after: Duration,
        order: &mut std::vec::IntoIter<&'r Target>,
        failed: &Failed<'r>,
        call: Asked,
    ) -> Result<(&'r Target, Heard, usize), Failed<'r>> {
        let begun = clock::now();
        let mut asked = pin!(self.ask(first, call));
        let lost = |target, failure| Lost::new(target, failure);
        if let Ok(answer) = timeout(after, &mut asked).await {
            return answer.map(|answer| (first, answer, 0)).map_err(|failure| vec![lost(first, failure)]);
        }
        let may_do = |target: &&'r Target| {
            failed.iter().all(|lost| !std::ptr::eq(lost.target, *target) && lost.is_no_matter_to(target))
        };
        let second = order.as_slice().first().copied().filter(may_do).filter(|_| self.live.retries.take());
        let Some(second) = second else {
            return asked.await.map(|answer| (first, answer, 0)).map_err(|failure| vec![lost(first, failure)]);
        };
        order.next();
        self.live.metrics.hedge();
        let begun = [begun, clock::now()];
        let mut hedged = pin!(self.ask(second, Asked { number: call.number + 1, ..call }));
        let (at, answer) = tokio::select! {
            answer = &mut asked => (0, answer),
            answer = &mut hedged => (1, answer),
        };
        let (targets, other) = ([first, second], 1 - at);
        let told = |at: usize, answer: Result<Heard, Failure>| {
            answer.map(|answer| (targets[at], answer, 1)).map_err(|failure| vec![lost(targets[at], failure)])
        };
        if is_good(&answer) {
            let now = clock::now();
            targets[other].outrun(now - begun[other], now);
            return told(at, answer);
        }
        // One that refuses is quick, and what it has against the request the other one may not have.
        let last = if at == 0 { hedged.await } else { asked.await };
        match (answer, last) {
            (answer @ Ok(_), last) if !is_good(&last) => told(at, answer),
            (Err(failure), Err(last)) => Err(vec![lost(targets[at], failure), lost(targets[other], last)]),
            (_, last) => told(other, last),
        }
    }

    /// What failures come to. Whom the request's region keeps from everybody else was refused for that.
    fn failure(&self, failed: &[Lost<'_>]) -> Error {
        let region = self.wish.region.as_ref().filter(|region| region.policy == RegionPolicy::Require);
        let is_elsewhere = |target: &Target| region.is_some_and(|region| target.region.as_ref() != Some(&region.name));
        match failure(failed) {
            Error::Upstream { attempts, retry_after, .. } if self.current.targets.iter().any(is_elsewhere) => {
                Error::Upstream { outcome: UpstreamOutcome::RegionRestricted, attempts, retry_after }
            }
            error => error,
        }
    }

    async fn ask(&self, target: &Target, Asked { number, by }: Asked) -> Result<Heard, Failure> {
        let begun = clock::now();
        let protocol = self.wish.purpose.protocol();
        let span = self.trace.map(|trace| trace.attempt(target, protocol, number));
        let mut headers = self.headers.clone();
        if let Some(span) = &span {
            span.mark(&mut headers);
        }
        let _busy = target.call(begun);
        let call = Call {
            protocol,
            headers,
            body: Bytes::from(self.forward.body(&target.upstream_model)),
            streams: self.forward.streams,
            by,
        };
        let answer = upstream::call(target, call).await;
        let turn = match &answer {
            Ok(Answer::Whole { .. }) => target.answered(clock::now() - begun, clock::now()),
            // Whether a stream was an answer is known at its end: one that is always cut must open the circuit.
            Ok(Answer::Stream(_)) => {
                target.began(clock::now() - begun, clock::now());
                None
            }
            Err(failure) => target.lost(*failure, clock::now() - begun, self.forward.streams, clock::now()),
        };
        self.live.metrics.circuit(&target.name, turn);
        let (outcome, status) = match &answer {
            Ok(Answer::Whole { status, .. }) => ("answered", Some(status.as_u16())),
            Ok(Answer::Stream(_)) => ("answered", Some(200)),
            Err(failure) => (failure.as_str(), failure.status()),
        };
        self.live.metrics.attempt(&target.name, outcome, status);
        if let Err(failure) = &answer {
            tracing::warn!(target_name = target.name, ?failure, "a target failed");
        }
        let span = span.and_then(|span| span.heard(&answer));
        answer.map(|answer| Heard { answer, asked: begun, span })
    }
}

/// Whether a call came to an answer, and not to a refusal.
fn is_good(answer: &Result<Heard, Failure>) -> bool {
    match answer {
        Ok(Heard { answer: Answer::Whole { status, .. }, .. }) => status.is_success(),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Failures as they are told.
fn attempted(failed: &[Lost<'_>]) -> Vec<Attempted> {
    let attempt = |lost: &Lost<'_>| {
        let (cause, status) = (lost.failure.as_str(), lost.failure.status());
        Attempted { target: lost.target.name.clone(), cause, status }
    };
    failed.iter().map(attempt).collect()
}

/// What failures come to.
fn failure(failed: &[Lost<'_>]) -> Error {
    let all = |is: fn(&Failure) -> bool| failed.iter().all(|lost| is(&lost.failure));
    let outcome = if failed.is_empty() {
        UpstreamOutcome::Failed
    } else if all(|failure| matches!(failure, Failure::Status(429, _))) {
        UpstreamOutcome::RateLimited
    } else if all(|failure| matches!(failure, Failure::Status(401..=403, _))) {
        UpstreamOutcome::CredentialsExhausted
    } else if all(|failure| matches!(failure, Failure::Timeout | Failure::Deadline | Failure::Status(408 | 504, _))) {
        UpstreamOutcome::TimedOut
    } else {
        UpstreamOutcome::Failed
    };
    let waits = failed.iter().filter_map(|lost| match lost.failure {
        Failure::Status(429, wait) => wait,
        _ => None,
    });
    let retry_after = waits.min().map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
    let attempts = attempted(failed);
    Error::Upstream { outcome, attempts, retry_after }
}
