//! One decision with everything around it: body to query, the timed stages of the core, plan to JSON.

use std::cell::RefCell;
use std::time::Instant;

use axum::http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use pointsman::{ContextValue, Objective, Predictions, Role, Scratch, Turn};
use serde_json::Value;

use super::order::{Ordered, in_order, region};
use super::record;
use crate::clock;
use crate::error::Error;
use crate::live::{Current, Live};
use crate::metrics::Stage;
use crate::routing::plan::{DEGRADED, Plan, Preferred, REQUESTED, plan};
use crate::routing::policies::Rule;
use crate::routing::policies::facts::{Facts, Variable};
use crate::routing::policies::split::Unit;
use crate::routing::sessions::{Seat, Session, Stick};
use crate::routing::snapshot::{AUTO, Selection, Wanted};
use crate::state::now_us;
use crate::targets::wish::{Counted, Purpose, Wish};
use crate::wire::answer::{Answer, candidates};
use crate::wire::headers::Hints;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;

/// Hashed words above which a thread's buffers are given back: 8 MiB, a thousand times a usual conversation. Without
/// this the longest one ever seen would stay in every thread's memory.
const LARGEST_KEPT: usize = 1 << 20;

thread_local! {
    /// One set of buffers per thread, so that the core allocates nothing after warm-up.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What the shell needs to know of a decision that it has written.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(super) id: String,
    pub(super) model_idx: usize,
    pub(super) reason: &'static str,
    pub(super) elapsed_us: u64,
}

/// Whether the answer names its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The answer to a request.
    Single,
    /// The answer to a line of a batch, with its `id`.
    Line,
}

/// Decides for `body` and appends the JSON of the answer to `out`. Where there is an error, `out` is as it was.
pub(crate) fn decide(
    live: &Live,
    current: &Current,
    hints: &Hints,
    body: &[u8],
    form: Form,
    out: &mut Vec<u8>,
) -> Result<Decided, Error> {
    let started = clock::now();
    let query = read(live, current, body)?;
    if current.shelf.stands_in().is_some() {
        return undecided(live, current, hints, &query, form, out);
    }
    planned(live, current, hints, &query, Purpose::Decision, started, |made| {
        let snapshot = &current.snapshot;
        let router = snapshot.router();
        record::decided(live, current, hints, &query, &made);
        let Made { selection, plan, predictions, wish, elapsed_us, rule, session, id, .. } = made;
        if let Some(session) = session {
            live.sessions.keep(
                session,
                Seat { model: router.models()[plan.model_idx].as_str().into(), target: None },
                started,
            );
        }
        let (models, candidates) = candidates(router, plan, predictions, &current.targets, &wish);
        let answer = Answer {
            id: (form == Form::Line).then(|| query.id().unwrap_or(&Value::Null)),
            decision_id: id,
            model: &router.models()[plan.model_idx],
            models,
            route: selection.route,
            reason: plan.reason,
            candidates,
            router_version: snapshot.version(),
            config_version: snapshot.config_version(),
            experiment: None,
            policy: rule.map(|rule| rule.name.as_str()),
            pinned: plan.pinned,
            session_id: query.session_id().or(hints.session_id.as_deref()),
            trace_id: hints.trace_id.as_deref(),
            elapsed_us,
        };
        serde_json::to_writer(&mut *out, &answer).map_err(Error::Answer)?;
        Ok(Decided { model_idx: plan.model_idx, reason: plan.reason, elapsed_us, id: id.to_owned() })
    })
}

/// The answer while nothing can be predicted: who would be asked, and no numbers.
fn undecided(
    live: &Live,
    current: &Current,
    hints: &Hints,
    query: &Query<'_>,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<Decided, Error> {
    let Ordered { ranked, reason, rule, .. } = in_order(current, hints, query, Protocol::Chat)?;
    let (snapshot, model_idx) = (&current.snapshot, ranked[0].0);
    if reason == DEGRADED && !hints.is_trial {
        live.metrics.degraded("artifact");
    }
    let id = live.ids.next("dec");
    record::unpredicted(live, current, hints, query, Protocol::Chat, (&id, reason, model_idx));
    let answer = Answer {
        id: (form == Form::Line).then(|| query.id().unwrap_or(&Value::Null)),
        decision_id: &id,
        model: current.name(model_idx),
        models: ranked.iter().map(|(model_idx, _)| current.name(*model_idx)).collect(),
        route: query.model().unwrap_or(AUTO),
        reason,
        candidates: Vec::new(),
        router_version: snapshot.version(),
        config_version: snapshot.config_version(),
        experiment: None,
        policy: rule.map(|rule| rule.name.as_str()),
        pinned: reason == REQUESTED,
        session_id: query.session_id().or(hints.session_id.as_deref()),
        trace_id: hints.trace_id.as_deref(),
        elapsed_us: 0,
    };
    serde_json::to_writer(&mut *out, &answer).map_err(Error::Answer)?;
    Ok(Decided { model_idx, reason, elapsed_us: 0, id })
}

/// Reads a body, as much of it as the operator's rules ask for.
pub(crate) fn read<'b>(live: &Live, current: &Current, body: &'b [u8]) -> Result<Query<'b>, Error> {
    let max_messages = live.limits.max_messages;
    if current.policies.asked().has(Variable::Metadata) {
        Query::parse_with_metadata(body, max_messages)
    } else {
        Query::parse(body, max_messages)
    }
}

/// What a request says of itself, for the operator's rules.
pub(crate) fn facts<'f>(
    current: &'f Current,
    query: &'f Query<'_>,
    hints: &'f Hints,
    turns: &'f [Turn<'f>],
    context: &'f [(&'f str, ContextValue<'f>)],
) -> Facts<'f> {
    let needs = query.limits().needs;
    let asked = current.policies.asked();
    let is_timed = asked.has(Variable::Hour) || asked.has(Variable::Weekday);
    Facts {
        context,
        tenant: hints.tenant.as_deref().unwrap_or_default(),
        session: query.session_id().or(hints.session_id.as_deref()).unwrap_or_default(),
        region: hints.region.as_ref().map_or("", |region| region.name.as_str()),
        model: query.model().or(query.models().first().map(|model| model.0.as_ref())).unwrap_or(AUTO),
        tools: query.tools(),
        images: query.images(),
        json: needs.json,
        turns,
        costs: &current.snapshot.router().document().costs,
        tags: &hints.tags,
        metadata: query.metadata(),
        user_agent: hints.client.get(USER_AGENT),
        accept_language: hints.client.get(ACCEPT_LANGUAGE),
        at_us: if is_timed { hints.at_us.unwrap_or_else(now_us) } else { 0 },
    }
}

/// A session that a request belongs to.
#[derive(Clone, Copy)]
struct Belongs {
    session: Session,
    /// Whether it goes on with what was said before, or may be the first.
    goes_on: bool,
}

impl Belongs {
    fn seat(self, live: &Live, now: Instant) -> Option<Seat> {
        live.sessions.seat(self.session, now).filter(|_| self.goes_on)
    }
}

/// The session of a request that leaves the choice to the router.
fn session(
    live: &Live,
    hints: &Hints,
    query: &Query<'_>,
    selection: &Selection<'_>,
    turns: &[Turn<'_>],
) -> Option<Belongs> {
    if !hints.has_session || !selection.requested.is_empty() || live.sessions.stick == Stick::Off {
        return None;
    }
    let tenant = hints.tenant.as_deref().unwrap_or_default();
    let named = query.session_id().or(hints.session_id.as_deref()).or(query.prompt_cache_key());
    if let Some(name) = named {
        return Some(Belongs { session: Session::of(&[tenant, selection.route, name]), goes_on: true });
    }
    if live.sessions.stick == Stick::Named {
        return None;
    }
    let [system, first] = beginning(turns);
    Some(Belongs {
        session: Session::of(&[tenant, selection.route, system, first]),
        goes_on: turns.iter().any(|turn| turn.role == Role::Assistant),
    })
}

/// How a conversation begins: the first system message and the first other one.
fn beginning<'t>(turns: &[Turn<'t>]) -> [&'t str; 2] {
    let text = |is: fn(Role) -> bool| turns.iter().find(|turn| is(turn.role)).map_or("", |turn| turn.text);
    [text(|role| role == Role::System), text(|role| role != Role::System)]
}

/// What a rule's split draws for: the session where the request names one, else the beginning of the conversation, else
/// this decision alone; of every tenant its own.
fn unit(rule: &Rule, hints: &Hints, query: &Query<'_>, turns: &[Turn<'_>], id: &str) -> Unit {
    let tenant = hints.tenant.as_deref().unwrap_or_default();
    let named = query.session_id().or(hints.session_id.as_deref()).or(query.prompt_cache_key());
    let [system, first] = beginning(turns);
    match named {
        Some(session) => Unit::of(&rule.name, &["session", tenant, session]),
        None if system.is_empty() && first.is_empty() => Unit::of(&rule.name, &["decision", id]),
        None => Unit::of(&rule.name, &["conversation", tenant, system, first]),
    }
}

/// A plan, and what it was made from.
pub(super) struct Made<'m> {
    /// Names the decision.
    pub(super) id: &'m str,
    pub(super) selection: &'m Selection<'m>,
    pub(super) plan: &'m Plan<'m>,
    pub(super) predictions: &'m Predictions,
    pub(super) turns: &'m [Turn<'m>],
    pub(super) context: &'m [(&'m str, ContextValue<'m>)],
    /// What is wanted of targets; nothing where there are none.
    pub(super) wish: Wish,
    /// Microseconds for features, prediction and decision.
    pub(super) elapsed_us: u64,
    /// The session, where it counts who answered it before.
    pub(super) session: Option<Session>,
    /// The operator's rule that the decision follows.
    pub(super) rule: Option<&'m Rule>,
}

/// What left no model, in the words of replies: lists of the request's own, the tenant's models, a rule.
pub(super) fn emptied_by(query: &Query<'_>, hints: &Hints, ruled_out: &[String]) -> Vec<&'static str> {
    let (allow, deny) = query.pool();
    let lists = [("allow", allow), ("deny", deny), ("tenant", &hints.denied[..]), ("policy", ruled_out)];
    lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(word, _)| word).collect()
}

/// What is wanted of targets; nothing where the decision is not about them: there are none, or none that answers prompts.
fn wish(
    current: &Current,
    hints: &Hints,
    query: &Query<'_>,
    rule: Option<&Rule>,
    purpose: Purpose,
) -> Result<Option<Wish>, Error> {
    if purpose == Purpose::Decision && !current.targets.answer_prompts() {
        return Ok(None);
    }
    let counted = hints.budget.as_ref().map(|_| Counted::ByPrediction);
    Ok(Some(Wish { purpose, region: region(hints, rule)?, counted, ..query.wish() }))
}

/// Runs the core's stages for a query, times and counts them; `finish` sees the plan while the buffers hold it.
pub(super) fn planned<R>(
    live: &Live,
    current: &Current,
    hints: &Hints,
    query: &Query<'_>,
    purpose: Purpose,
    started: Instant,
    finish: impl FnOnce(Made<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let snapshot = &current.snapshot;
    if current.shelf.stands_in().is_some() {
        return Err(Error::NoPredictions);
    }
    let (allow, deny) = query.pool();
    let (turns, context) = (query.turns(), query.context());
    let rule = if current.policies.is_empty() {
        None
    } else {
        current.policies.first(&facts(current, query, hints, &turns, &context))
    };
    if let Some((rule, message)) = rule.and_then(|rule| Some((rule, rule.refuse.as_ref()?))) {
        return Err(Error::PolicyRefused { policy: rule.name.clone(), message: message.clone() });
    }
    let ruled_out = rule.map(|rule| rule.denied.as_slice()).unwrap_or_default();
    let joined;
    let deny = if hints.denied.is_empty() && ruled_out.is_empty() {
        deny
    } else {
        // What is not the router's cannot be chosen, and need not be denied.
        let others = current.targets.others();
        let all = deny.iter().chain(hints.denied.iter()).chain(ruled_out);
        joined = all.filter(|model| !others.contains(model)).cloned().collect::<Vec<_>>();
        &joined[..]
    };
    let objective: Option<&Objective> = query.objective();
    let hinted = hints.objective.as_ref();
    let tenants = hints.tenants_objective.as_ref();
    let ruled = rule.and_then(|rule| rule.objective.as_ref());
    let wanted =
        Wanted { model: query.model(), models: query.models(), objective, hinted, tenants, ruled, allow, deny };
    let explain = |error| match error {
        Error::EmptyPool => Error::NoCandidate { excluded_by: emptied_by(query, hints, ruled_out) },
        error => error,
    };
    let selection = snapshot.select(wanted).map_err(explain)?;
    let session = session(live, hints, query, &selection, &turns);
    let seat = session.as_ref().and_then(|session| session.seat(live, started));
    let seated = |seat: &Seat| snapshot.router().models().iter().position(|model| **model == *seat.model);
    let request = query.request(&turns, &context);
    let limits = rule.map_or_else(|| query.limits(), |rule| rule.tighten(query.limits()));
    let wish = wish(current, hints, query, rule, purpose)?.map(|wish| Wish {
        sort: wish.sort.or(selection.sort),
        seat: seat.as_ref().and_then(|seat| seat.target.clone()),
        ..wish
    });
    let id = live.ids.next("dec");
    let split = rule.and_then(|rule| Some((rule.split.as_ref()?, unit(rule, hints, query, &turns, &id))));
    let parsed = clock::now();

    #[cfg(test)]
    assert!(!live.sabotaged.load(std::sync::atomic::Ordering::Relaxed), "sabotaged");
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { features, predictions, ranking } = scratch;
        let router = snapshot.router();
        router.featurise(&request, features);
        let embedded = clock::now();
        router.predict(features, predictions);
        let scored = clock::now();
        let decision = selection.bound.decide(predictions, &limits, ranking);
        let preferred = Preferred { split, session: seat.as_ref().and_then(seated) };
        let reach = |model_idx| match &wish {
            Some(wish) => current.targets.reaches(model_idx, predictions.input_tokens[model_idx], wish),
            None => Ok(()),
        };
        let plan = plan(&selection, &decision, preferred, reach).map_err(explain)?;
        let ended = clock::now();

        let elapsed_us = u64::try_from((ended - parsed).as_micros()).unwrap_or(u64::MAX);
        let (model_idx, reason) = (plan.model_idx, plan.reason);
        let finished = finish(Made {
            id: &id,
            selection: &selection,
            plan: &plan,
            predictions,
            turns: &turns,
            context: &context,
            wish: wish.unwrap_or_default(),
            elapsed_us,
            session: session.map(|session| session.session),
            rule,
        })?;

        if hints.is_trial {
            return Ok(finished);
        }
        live.metrics.stage(Stage::parse, parsed - started);
        live.metrics.stage(Stage::embed, embedded - parsed);
        live.metrics.stage(Stage::score, scored - embedded);
        live.metrics.stage(Stage::policy, ended - scored);
        live.metrics.decision(&current.cells, &router.models()[model_idx], model_idx, reason);
        if features.main().len() + features.background().len() > LARGEST_KEPT {
            *scratch = Scratch::default();
        }
        Ok(finished)
    })
}
