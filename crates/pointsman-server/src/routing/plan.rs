//! A decision made into a plan: what to call, what to try after it, and why.

use std::borrow::Cow;

use pointsman::decision::{Exclusion, Ranked};
use pointsman::{Decision, Reason};

use super::policies::split::{Split, Unit};
use super::snapshot::Selection;
use crate::error::Error;

/// The reason of a plan whose model the client named.
pub(crate) const REQUESTED: &str = "requested";

/// The reason of a plan whose model answered the session before.
pub(crate) const SESSION: &str = "session";

/// The reason of a plan whose model a rule's split drew.
pub(crate) const SPLIT: &str = "split";

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    /// Position of the model to call.
    pub(crate) model_idx: usize,
    /// Why, in one word of a closed set.
    pub(crate) reason: &'static str,
    /// All that was considered: the model to call, then what else may be called, then the rest.
    pub(crate) ranked: Cow<'a, [Ranked]>,
    /// Those among them that the limits allow and no target may answer.
    pub(crate) barred: Vec<Barred>,
    /// Whether the client named the model.
    pub(crate) pinned: bool,
    /// How likely this model was, in `(0, 1]`: only a split leaves that to chance.
    pub(crate) propensity: f64,
}

/// A model that no target may answer this request with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Barred {
    pub(crate) model_idx: usize,
    /// What keeps the request from each of its targets; `targets` where there is none.
    pub(crate) by: Vec<&'static str>,
}

impl Plan<'_> {
    /// What may be called, best first.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = &Ranked> {
        self.ranked.iter().filter(|entry| self.excluded(entry).is_none())
    }

    /// What excludes a model, in the words of replies: a limit, or else the first of its targets.
    pub(crate) fn excluded(&self, entry: &Ranked) -> Option<&'static str> {
        let barred = || self.barred.iter().find(|barred| barred.model_idx == entry.model_idx);
        entry.excluded.map(Exclusion::as_str).or_else(|| barred().map(|barred| barred.by[0]))
    }
}

/// What may go before the router's own choice, where it is the router's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preferred<'a> {
    /// A rule's split, and what is drawn for.
    pub(crate) split: Option<(&'a Split, Unit)>,
    /// The model that answered the session before.
    pub(crate) session: Option<usize>,
}

/// The plan for a decision. Limits are hard, and so is what `reach` says of a model's targets: where no model keeps within
/// them there is no plan. Where the choice is the router's, what a split draws goes first, among the models that may answer;
/// without one the model that answered the session before, where it may.
pub(crate) fn plan<'a>(
    selection: &Selection<'_>,
    decision: &Decision<'a>,
    preferred: Preferred<'_>,
    reach: impl Fn(usize) -> Result<(), Vec<&'static str>>,
) -> Result<Plan<'a>, Error> {
    let pinned = !selection.requested.is_empty();
    let mut ranked = if pinned {
        // The caller's order. Models that the request itself denied are not among the ranked.
        let find = |model_idx: &usize| decision.ranked.iter().find(|entry| entry.model_idx == *model_idx).copied();
        Cow::Owned(selection.requested.iter().filter_map(find).collect())
    } else {
        Cow::Borrowed(decision.ranked)
    };
    let bar = |entry: &Ranked| {
        let by = reach(entry.model_idx).err()?;
        Some(Barred { model_idx: entry.model_idx, by })
    };
    let barred: Vec<Barred> = ranked.iter().filter(|entry| entry.excluded.is_none()).filter_map(bar).collect();
    let may =
        |entry: &Ranked| entry.excluded.is_none() && barred.iter().all(|barred| barred.model_idx != entry.model_idx);
    let Some(best) = ranked.iter().find(|entry| may(entry)).map(|entry| entry.model_idx) else {
        return Err(nobody(&ranked, &barred));
    };
    let may_idx = |model_idx| ranked.iter().any(|entry| entry.model_idx == model_idx && may(entry));
    let drawn = preferred.split.filter(|_| !pinned).and_then(|(split, unit)| split.draw(&unit, may_idx));
    let (model_idx, reason, propensity) = match (drawn, preferred.session) {
        _ if pinned => (best, REQUESTED, 1.0),
        (Some(drawn), _) => (drawn.model_idx, SPLIT, drawn.propensity),
        (None, Some(model_idx)) if may_idx(model_idx) => (model_idx, SESSION, 1.0),
        (None, _) if best != decision.model_idx && ranked.iter().filter(|entry| may(entry)).count() == 1 => {
            (best, Reason::OnlyCandidate.as_str(), 1.0)
        }
        (None, _) => (best, decision.reason.as_str(), 1.0),
    };
    // In their order otherwise, for the sort is stable; it mostly is so already.
    let place = |entry: &Ranked| (!may(entry), entry.model_idx != model_idx, entry.excluded.is_some());
    if !ranked.is_sorted_by_key(place) {
        ranked.to_mut().sort_by_key(place);
    }
    Ok(Plan { model_idx, reason, ranked, barred, pinned, propensity })
}

/// All reasons, for a closed set of labels.
pub(crate) const REASONS: [&str; 11] = [
    Reason::Utility.as_str(),
    Reason::Uncertain.as_str(),
    Reason::Unfamiliar.as_str(),
    Reason::Static.as_str(),
    Reason::OnlyCandidate.as_str(),
    Reason::LimitsUnmet.as_str(),
    REQUESTED,
    SESSION,
    SPLIT,
    DEGRADED,
    CONFIGURED,
];

/// The reason of a request that went to the default targets, for the router could not decide.
pub(crate) const DEGRADED: &str = "degraded";

/// The reason of a request for which nothing is predicted, and whose model is left to the operator's order.
pub(crate) const CONFIGURED: &str = "configured";

/// Why nobody may answer.
fn nobody(ranked: &[Ranked], barred: &[Barred]) -> Error {
    if ranked.is_empty() {
        return Error::EmptyPool;
    }
    let limit = |exclusion| match exclusion {
        Exclusion::MaxCost => "max_cost_usd",
        Exclusion::MinQuality => "min_quality",
        Exclusion::MaxLatency => "max_latency_ms",
        Exclusion::Capabilities => "capabilities",
        Exclusion::ContextLength => "context_length",
    };
    let limits = ranked.iter().filter_map(|entry| entry.excluded.map(limit));
    if !barred.is_empty() {
        return Error::no_target(barred.iter().flat_map(|barred| barred.by.clone()).collect(), limits);
    }
    let mut excluded_by: Vec<&'static str> = limits.collect();
    excluded_by.sort_unstable();
    excluded_by.dedup();
    Error::NoCandidate { excluded_by }
}
