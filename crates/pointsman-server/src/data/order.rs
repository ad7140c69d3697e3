//! Whom a request falls on where nothing is predicted: the models that it names, else those of the operator's targets in their
//! order. That is so of embeddings, and of everything while the router cannot decide.

use std::sync::Arc;

use pointsman::policy::matches;

use super::decide::{emptied_by, facts};
use crate::error::Error;
use crate::live::Current;
use crate::regions::{Region, RegionPolicy};
use crate::routing::plan::{CONFIGURED, DEGRADED, REQUESTED};
use crate::routing::policies::Rule;
use crate::routing::snapshot::Wanted;
use crate::targets::wish::{Counted, Purpose, Wish, barred};
use crate::wire::headers::Hints;
use crate::wire::protocol::Protocol;
use crate::wire::query::Query;
use crate::wire::usage::tokens_of;

/// An order that nothing was predicted for.
#[derive(Debug)]
pub(super) struct Ordered<'c> {
    /// Models that may answer, best first, each with about the tokens of the request; there is at least one.
    pub(super) ranked: Vec<(usize, f32)>,
    pub(super) reason: &'static str,
    pub(super) wish: Wish,
    /// The operator's rule that it follows.
    pub(super) rule: Option<&'c Rule>,
}

/// The order of a request by its names and the operator's rules. Where it, or a rule, sets limits that only predictions can keep
/// it is refused, but for embeddings, of which there never are any.
pub(super) fn in_order<'c>(
    current: &'c Current,
    hints: &Hints,
    query: &Query<'_>,
    protocol: Protocol,
) -> Result<Ordered<'c>, Error> {
    let (turns, context) = (query.turns(), query.context());
    let rule = current.policies.first(&facts(current, query, hints, &turns, &context));
    if let Some((rule, message)) = rule.and_then(|rule| Some((rule, rule.refuse.as_ref()?))) {
        return Err(Error::PolicyRefused { policy: rule.name.clone(), message: message.clone() });
    }
    let is_embedding = protocol == Protocol::Embeddings;
    let limits = rule.map_or_else(|| query.limits(), |rule| rule.tighten(query.limits()));
    if !is_embedding
        && (limits.max_cost_usd.is_some() || limits.min_quality.is_some() || limits.max_latency_ms.is_some())
    {
        return Err(Error::NoPredictions);
    }
    let counted = hints.budget.as_ref().map(|_| Counted::ByPrice);
    let mut wish = Wish { purpose: Purpose::Request(protocol), region: region(hints, rule)?, counted, ..query.wish() };
    let other = query.model().filter(|_| is_embedding);
    let other = other.and_then(|model| current.targets.others().iter().position(|other| other == model));
    let requested = match other {
        Some(other) => vec![current.snapshot.router().models().len() + other],
        None if is_embedding && query.model().is_none() => Vec::new(),
        None => {
            let models = if is_embedding { &[] } else { query.models() };
            let selection = current.snapshot.select(Wanted { model: query.model(), models, ..Wanted::default() })?;
            wish.sort = wish.sort.or(selection.sort);
            selection.requested
        }
    };
    let (mut models, reason) = match (requested.is_empty(), is_embedding) {
        (false, _) => (requested, REQUESTED),
        (true, true) => (current.targets.models(&wish), CONFIGURED),
        (true, false) => (defaulted(current, &mut wish), DEGRADED),
    };
    if models.is_empty() {
        return Err(Error::no_target(vec![barred::ENDPOINT], std::iter::empty()));
    }
    let (allow, deny) = query.pool();
    let fits = |patterns: &[String], name: &str| patterns.iter().any(|pattern| matches(pattern, name));
    let ruled_out = rule.map(|rule| rule.denied.as_slice()).unwrap_or_default();
    models.retain(|model_idx| {
        let name = current.name(*model_idx);
        let is_of_pool = is_embedding || ((allow.is_empty() || fits(allow, name)) && !fits(deny, name));
        is_of_pool && ![&hints.denied, ruled_out].iter().any(|denied| denied.iter().any(|denied| denied == name))
    });
    if models.is_empty() {
        return Err(Error::NoCandidate { excluded_by: emptied_by(query, hints, ruled_out) });
    }
    // Of embeddings nothing is known; of the rest at least that a long one is long.
    let bytes = if is_embedding { 0 } else { turns.iter().map(|turn| turn.text.len()).sum() };
    #[expect(clippy::cast_precision_loss, reason = "it is a guess")]
    let tokens = tokens_of(bytes) as f32;
    let ranked = reached(current, models.into_iter().map(|model_idx| (model_idx, tokens)).collect(), &wish)?;
    Ok(Ordered { ranked, reason, wish, rule })
}

/// Every model in the order of its first target, but that of the default target first, and of its targets that one.
fn defaulted(current: &Current, wish: &mut Wish) -> Vec<usize> {
    let mut models = current.targets.models(wish);
    let default = current.settings.default_target.as_deref().and_then(|name| current.targets.default(name));
    if let Some(default) = default {
        wish.seat = Some(Arc::from(default.name.as_str()));
        // Stable: the others stay in their order.
        models.sort_by_key(|model_idx| *model_idx != default.model_idx);
    }
    models
}

/// Where a request comes from, and what that means. A rule's region is required, and the only one: a request that requires
/// another has nowhere to go.
pub(super) fn region(hints: &Hints, rule: Option<&Rule>) -> Result<Option<Region>, Error> {
    let Some(ruled) = rule.and_then(|rule| rule.region.as_ref()) else { return Ok(hints.region.clone()) };
    match &hints.region {
        Some(Region { name, policy: RegionPolicy::Require }) if name != ruled => {
            Err(Error::no_target(vec![barred::REGION], std::iter::empty()))
        }
        _ => Ok(Some(Region { name: ruled.clone(), policy: RegionPolicy::Require })),
    }
}

/// Those of the models that a request can reach somewhere.
fn reached(current: &Current, mut ranked: Vec<(usize, f32)>, wish: &Wish) -> Result<Vec<(usize, f32)>, Error> {
    let mut excluded_by = Vec::new();
    ranked.retain(|(model_idx, tokens)| match current.targets.reaches(*model_idx, *tokens, wish) {
        Ok(()) => true,
        Err(by) => {
            excluded_by.extend(by);
            false
        }
    });
    if !ranked.is_empty() {
        return Ok(ranked);
    }
    Err(Error::no_target(excluded_by, std::iter::empty()))
}
