//! The decision: predictions × policy → one model, the others in order, and why.

use serde::Serialize;

use crate::artifact::{DecisionRule, Document, Mode};
use crate::catalog::Capabilities;
use crate::policy::{Currency, Limits, Tradeoff};
use crate::predictor::Predictions;

/// Why a model was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It has the best predicted utility, by enough evidence where that means leaving the best static choice.
    Utility,
    /// Another model looked better, but not by enough to leave the best static choice.
    Uncertain,
    /// Too unlike the prompts of training: the best static choice.
    Unfamiliar,
    /// Training found nothing to gain on its data: the best static choice.
    Static,
    /// Only one model may be chosen.
    OnlyCandidate,
    /// No model keeps within the request's limits: the best static choice regardless.
    LimitsUnmet,
}

impl Reason {
    /// The reason as it stands in JSON, headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::Uncertain => "uncertain",
            Self::Unfamiliar => "unfamiliar",
            Self::Static => "static",
            Self::OnlyCandidate => "only_candidate",
            Self::LimitsUnmet => "limits_unmet",
        }
    }

    /// Whether the router held on to the best static choice for lack of evidence.
    pub fn is_abstention(self) -> bool {
        matches!(self, Self::Uncertain | Self::Unfamiliar | Self::Static)
    }
}

/// Why a model was out of the question for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// It would cost more than `max_cost_usd`, or its cost is unknown.
    MaxCost,
    /// Its expected quality is below `min_quality`.
    MinQuality,
    /// It would take longer than `max_latency_ms`, or its latency is unknown.
    MaxLatency,
    /// It cannot do what the request needs.
    Capabilities,
    /// The conversation is longer than its context.
    ContextLength,
}

impl Exclusion {
    /// The exclusion as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxCost => "max_cost",
            Self::MinQuality => "min_quality",
            Self::MaxLatency => "max_latency",
            Self::Capabilities => "capabilities",
            Self::ContextLength => "context_length",
        }
    }
}

/// One model as the decision saw it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// Position in the artifact's list of models.
    pub model_idx: usize,
    /// Expected quality in `(0, 1)`.
    pub quality: f64,
    /// Its standard error (see [`Predictions::quality_se`]).
    pub quality_se: f64,
    /// Expected cost in USD per call; NaN where unknown.
    pub cost_usd: f64,
    /// λ · believed quality − cost, or believed quality alone for an infinite λ; higher is better. What is believed of a
    /// difference between models is the artifact's to say ([`crate::artifact::DecisionRule::trust`]).
    pub utility: f64,
    /// Why it was out of the question, if it was.
    pub excluded: Option<Exclusion>,
}

/// The buffer a decision is written to; reusable.
#[derive(Clone, Debug, Default)]
pub struct Ranking(Vec<Ranked>);

/// Where a request should go.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Name of the chosen model.
    pub model: &'a str,
    /// Its position in the artifact's list.
    pub model_idx: usize,
    /// Why.
    pub reason: Reason,
    /// All candidates: the chosen one, then the others by falling utility, then the excluded.
    pub ranked: &'a [Ranked],
    /// Predicted gain in utility over the best static choice; 0 where that was chosen.
    pub margin: f64,
}

/// One model that may be chosen, with everything about it that does not change between requests.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) model_idx: usize,
    /// USD per token, (input, output); `None` where the router predicts USD directly or there is no price.
    pub(crate) price: Option<(f64, f64)>,
    pub(crate) context_length: Option<u32>,
    pub(crate) capabilities: Option<Capabilities>,
    /// Utility of always choosing this model.
    pub(crate) static_utility: f64,
}

/// Decides; never allocates once `ranking` has grown, never panics. `candidates` must not be empty.
pub(crate) fn decide<'a>(
    document: &'a Document,
    rule: DecisionRule,
    candidates: &[Candidate],
    tradeoff: Tradeoff,
    predictions: &Predictions,
    limits: &Limits,
    ranking: &'a mut Ranking,
) -> Decision<'a> {
    let ranked = &mut ranking.0;
    ranked.clear();
    let believed = Believed::new(document, rule, predictions);
    ranked.extend(candidates.iter().map(|candidate| rank(candidate, tradeoff, predictions, &believed, limits)));

    // The null: the best static choice among those within the limits, else among all.
    let limits_met = ranked.iter().any(|entry| entry.excluded.is_none());
    let eligible = |entry: &Ranked| !limits_met || entry.excluded.is_none();
    let mut null = None;
    for (position, entry) in ranked.iter().enumerate() {
        let better = |best: usize| candidates[position].static_utility > candidates[best].static_utility;
        if eligible(entry) && null.is_none_or(better) {
            null = Some(position);
        }
    }
    let null = null.unwrap_or(0);

    let (chosen, reason) = if candidates.len() == 1 {
        (null, Reason::OnlyCandidate)
    } else if !limits_met {
        (null, Reason::LimitsUnmet)
    } else if rule.mode == Mode::Static {
        (null, Reason::Static)
    } else if f64::from(predictions.novelty) > rule.novelty_limit {
        (null, Reason::Unfamiliar)
    } else {
        best_supported(ranked, null, tradeoff, rule.confidence)
    };

    let margin = ranked[chosen].utility - ranked[null].utility;
    let winner = ranked[chosen].model_idx;
    ranked.sort_unstable_by(|a, b| {
        (b.model_idx == winner)
            .cmp(&(a.model_idx == winner))
            .then(a.excluded.is_some().cmp(&b.excluded.is_some()))
            .then(b.utility.total_cmp(&a.utility))
            .then(a.model_idx.cmp(&b.model_idx))
    });
    Decision { model: &document.models[winner], model_idx: winner, reason, ranked, margin }
}

/// The model of the best utility among those whose gain over the null is positive by `confidence` standard errors.
#[expect(clippy::float_cmp, reason = "a tie is two equal numbers, nothing near it")]
#[expect(clippy::imprecise_flops, reason = "the platform's hypot is not specified to the bit, a root is")]
fn best_supported(ranked: &[Ranked], null: usize, tradeoff: Tradeoff, confidence: f64) -> (usize, Reason) {
    let mut best = null;
    let mut tempted = false;
    let scale = if tradeoff.lambda.is_finite() { tradeoff.lambda } else { 1.0 };
    for (position, entry) in ranked.iter().enumerate() {
        if entry.excluded.is_some() || position == null {
            continue;
        }
        let gain = entry.utility - ranked[null].utility;
        if !(gain > 0.0 || (gain == 0.0 && entry.cost_usd < ranked[null].cost_usd)) {
            continue;
        }
        tempted = true;
        let gap_se = (entry.quality_se * entry.quality_se + ranked[null].quality_se * ranked[null].quality_se).sqrt();
        let supported = gain >= confidence * scale * gap_se;
        let better = best == null
            || entry.utility > ranked[best].utility
            || (entry.utility == ranked[best].utility && entry.cost_usd < ranked[best].cost_usd);
        if supported && better {
            best = position;
        }
    }
    let reason = if best == null && tempted { Reason::Uncertain } else { Reason::Utility };
    (best, reason)
}

/// What the decision makes of the predictions: differences between models count as far as they are trusted.
struct Believed<'a> {
    document: &'a Document,
    predictions: &'a Predictions,
    /// What this prompt adds to the quality of all models alike.
    level: f64,
    trust: f64,
}

impl<'a> Believed<'a> {
    fn new(document: &'a Document, rule: DecisionRule, predictions: &'a Predictions) -> Self {
        let pairs = document.statics.iter().zip(&predictions.quality);
        let sum: f64 = pairs.map(|(means, quality)| f64::from(*quality) - means.quality).sum();
        let trust = rule.trust * (1.0 - rule.novelty_weight * f64::from(predictions.novelty));
        Self { document, predictions, level: sum / document.statics.len().max(1) as f64, trust }
    }

    fn quality(&self, model: usize) -> f64 {
        let expected = self.document.statics[model].quality + self.level;
        expected + self.trust * (f64::from(self.predictions.quality[model]) - expected)
    }
}

fn rank(
    candidate: &Candidate,
    tradeoff: Tradeoff,
    predictions: &Predictions,
    believed: &Believed<'_>,
    limits: &Limits,
) -> Ranked {
    let model = candidate.model_idx;
    let quality = f64::from(predictions.quality[model]);
    let input_tokens = f64::from(predictions.input_tokens[model]);
    let direct = f64::from(predictions.direct_cost_usd[model]);
    let cost_usd = match candidate.price {
        Some((input, output)) if direct.is_nan() => {
            input * input_tokens + output * f64::from(predictions.output_tokens[model])
        }
        _ => direct,
    };
    let latency_ms = predictions.latency_ms.get(model).map_or(f64::NAN, |latency| f64::from(*latency));
    let price = match tradeoff.currency {
        Currency::Cost => cost_usd,
        Currency::Latency => latency_ms,
    };
    let utility = if tradeoff.lambda.is_infinite() {
        believed.quality(model)
    } else if price.is_nan() {
        f64::NEG_INFINITY
    } else {
        tradeoff.lambda * believed.quality(model) - price
    };
    let beyond = |value: f64, limit: Option<f64>| limit.is_some_and(|limit| value.is_nan() || value > limit);
    let excluded = if candidate.capabilities.is_some_and(|able| !able.cover(limits.needs)) {
        Some(Exclusion::Capabilities)
    } else if candidate.context_length.is_some_and(|length| input_tokens > f64::from(length)) {
        Some(Exclusion::ContextLength)
    } else if beyond(cost_usd, limits.max_cost_usd) {
        Some(Exclusion::MaxCost)
    } else if beyond(latency_ms, limits.max_latency_ms) {
        Some(Exclusion::MaxLatency)
    } else if limits.min_quality.is_some_and(|limit| quality < limit) {
        Some(Exclusion::MinQuality)
    } else {
        None
    };
    let quality_se = f64::from(predictions.quality_se[model]);
    Ranked { model_idx: model, quality, quality_se, cost_usd, utility, excluded }
}
