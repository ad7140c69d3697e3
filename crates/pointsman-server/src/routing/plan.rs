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
    /// All that was considered, the model to call first.
    pub(crate) ranked: Cow<'a, [Ranked]>,
    /// Whether the client named the model.
    pub(crate) pinned: bool,
    /// How likely this model was, in `(0, 1]`: only a split leaves that to chance.
    pub(crate) propensity: f64,
}

/// What may go before the router's own choice, where it is the router's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preferred<'a> {
    /// A rule's split, and what is drawn for.
    pub(crate) split: Option<(&'a Split, Unit)>,
    /// The model that answered the session before.
    pub(crate) session: Option<usize>,
}

/// The plan for a decision. Limits are hard: where no model keeps within them there is no plan. Where the choice is the
/// router's, what a split draws goes first, among the models that the limits allow; without one the model that answered
/// the session before, where they allow it.
pub(crate) fn plan<'a>(
    selection: &Selection<'_>,
    decision: &Decision<'a>,
    preferred: Preferred<'_>,
) -> Result<Plan<'a>, Error> {
    if selection.requested.is_empty() {
        if decision.ranked[0].excluded.is_some() {
            return Err(no_candidate(decision.ranked));
        }
        let may =
            |model_idx| decision.ranked.iter().any(|entry| entry.model_idx == model_idx && entry.excluded.is_none());
        let drawn = preferred.split.and_then(|(split, unit)| split.draw(&unit, may));
        let first = match (drawn, preferred.session) {
            (Some(drawn), _) => Some((drawn.model_idx, SPLIT, drawn.propensity)),
            (None, Some(model_idx)) if may(model_idx) => Some((model_idx, SESSION, 1.0)),
            (None, _) => None,
        };
        if let Some((model_idx, reason, propensity)) = first {
            let mut ranked = decision.ranked.to_vec();
            let position = ranked.iter().position(|entry| entry.model_idx == model_idx).unwrap_or_default();
            ranked[..=position].rotate_right(1);
            return Ok(Plan { model_idx, reason, ranked: Cow::Owned(ranked), pinned: false, propensity });
        }
        return Ok(Plan {
            model_idx: decision.model_idx,
            reason: decision.reason.as_str(),
            ranked: Cow::Borrowed(decision.ranked),
            pinned: false,
            propensity: 1.0,
        });
    }
    // The caller's order; what the limits exclude comes after what may be tried, as it does in the router's own order.
    // Models that the request itself denied are not among the ranked.
    let find = |model_idx: &usize| decision.ranked.iter().find(|entry| entry.model_idx == *model_idx).copied();
    let mut ranked: Vec<Ranked> = selection.requested.iter().filter_map(find).collect();
    ranked.sort_by_key(|entry| entry.excluded.is_some());
    match ranked.first() {
        None => Err(Error::NoCandidate { excluded_by: vec!["allow", "deny"] }),
        Some(first) if first.excluded.is_some() => Err(no_candidate(&ranked)),
        Some(first) => Ok(Plan {
            model_idx: first.model_idx,
            reason: REQUESTED,
            ranked: Cow::Owned(ranked),
            pinned: true,
            propensity: 1.0,
        }),
    }
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

fn no_candidate(ranked: &[Ranked]) -> Error {
    let mut excluded_by: Vec<&'static str> = ranked
        .iter()
        .filter_map(|entry| {
            Some(match entry.excluded? {
                Exclusion::MaxCost => "max_cost_usd",
                Exclusion::MinQuality => "min_quality",
                Exclusion::MaxLatency => "max_latency_ms",
                Exclusion::Capabilities => "capabilities",
                Exclusion::ContextLength => "context_length",
            })
        })
        .collect();
    excluded_by.sort_unstable();
    excluded_by.dedup();
    Error::NoCandidate { excluded_by }
}
