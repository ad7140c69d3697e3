//! A decision made into a plan: what to call, what to try after it, and why.

use std::borrow::Cow;

use pointsman::decision::{Exclusion, Ranked};
use pointsman::{Decision, Reason};

use super::snapshot::Selection;
use crate::error::Error;

/// The reason of a plan whose model the client named.
pub(crate) const REQUESTED: &str = "requested";

/// The reason of a plan whose model answered the session before.
pub(crate) const SESSION: &str = "session";

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
}

/// The plan for a decision. Limits are hard: where no model keeps within them there is no plan. The model that answered
/// the `session` before goes first where the choice is the router's and the limits allow it.
pub(crate) fn plan<'a>(
    selection: &Selection<'_>,
    decision: &Decision<'a>,
    session: Option<usize>,
) -> Result<Plan<'a>, Error> {
    if selection.requested.is_empty() {
        if decision.ranked[0].excluded.is_some() {
            return Err(no_candidate(decision.ranked));
        }
        let is_of_session = |entry: &Ranked| Some(entry.model_idx) == session && entry.excluded.is_none();
        if let Some(position) = decision.ranked.iter().position(is_of_session) {
            let mut ranked = decision.ranked.to_vec();
            ranked[..=position].rotate_right(1);
            let (model_idx, ranked) = (ranked[0].model_idx, Cow::Owned(ranked));
            return Ok(Plan { model_idx, reason: SESSION, ranked, pinned: false });
        }
        return Ok(Plan {
            model_idx: decision.model_idx,
            reason: decision.reason.as_str(),
            ranked: Cow::Borrowed(decision.ranked),
            pinned: false,
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
        Some(first) => {
            Ok(Plan { model_idx: first.model_idx, reason: REQUESTED, ranked: Cow::Owned(ranked), pinned: true })
        }
    }
}

/// All reasons, for a closed set of labels.
pub(crate) const REASONS: [&str; 8] = [
    Reason::Utility.as_str(),
    Reason::Uncertain.as_str(),
    Reason::Unfamiliar.as_str(),
    Reason::Static.as_str(),
    Reason::OnlyCandidate.as_str(),
    Reason::LimitsUnmet.as_str(),
    REQUESTED,
    SESSION,
];

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
