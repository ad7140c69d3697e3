//! A decision made into a plan: what to call, what to try after it, and why.

use pointsman::decision::{Exclusion, Ranked};
use pointsman::{Decision, Reason};

use super::snapshot::Selection;
use crate::error::Error;

/// The reason of a plan whose model the client named.
pub(crate) const REQUESTED: &str = "requested";

/// What to do with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// Position of the model to call.
    pub(crate) model_idx: usize,
    /// Why, in one word of a closed set.
    pub(crate) reason: &'static str,
    /// All that was considered, the model to call first.
    pub(crate) ranked: &'a [Ranked],
    /// Whether the client named the model.
    pub(crate) pinned: bool,
}

/// The plan for a decision. Limits are hard: where no model keeps within them there is no plan.
pub(crate) fn plan<'a>(selection: &Selection<'_>, decision: &Decision<'a>) -> Result<Plan<'a>, Error> {
    let Some(model_idx) = selection.requested else {
        if decision.ranked[0].excluded.is_some() {
            return Err(no_candidate(decision.ranked));
        }
        return Ok(Plan {
            model_idx: decision.model_idx,
            reason: decision.reason.as_str(),
            ranked: decision.ranked,
            pinned: false,
        });
    };
    let position = decision.ranked.iter().position(|entry| entry.model_idx == model_idx);
    // A model that the request itself denied is not among the ranked.
    let Some(position) = position else { return Err(Error::NoCandidate { excluded_by: vec!["allow", "deny"] }) };
    let ranked = &decision.ranked[position..=position];
    if ranked[0].excluded.is_some() {
        return Err(no_candidate(ranked));
    }
    Ok(Plan { model_idx, reason: REQUESTED, ranked, pinned: true })
}

/// All reasons, for a closed set of labels.
pub(crate) const REASONS: [&str; 7] = [
    Reason::Utility.as_str(),
    Reason::Uncertain.as_str(),
    Reason::Unfamiliar.as_str(),
    Reason::Static.as_str(),
    Reason::OnlyCandidate.as_str(),
    Reason::LimitsUnmet.as_str(),
    REQUESTED,
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
