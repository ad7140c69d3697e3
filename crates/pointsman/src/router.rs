//! The router: an artifact ready to predict, and its binding to a catalogue and a policy.

use std::path::Path;
use std::sync::Arc;

use crate::artifact::{self, Artifact, DecisionRule, Document, Weights};
use crate::catalog::Catalog;
use crate::decision::{self, Candidate, Decision, Ranking};
use crate::error::Error;
use crate::features::{Features, Featuriser};
use crate::policy::{Currency, Limits, Policy, Tradeoff, matches};
use crate::predictor::{Predictions, Predictor};
use crate::request::Request;

/// A loaded artifact. Immutable and cheap to clone: clones share the weights.
#[derive(Clone, Debug)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: String,
    featuriser: Featuriser,
    predictor: Predictor,
}

/// The caller's buffers for one decision at a time; keep one per thread and nothing is allocated after warm-up.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Filled by [`Router::featurise`].
    pub features: Features,
    /// Filled by [`Router::predict`].
    pub predictions: Predictions,
    /// Filled by [`Bound::decide`].
    pub ranking: Ranking,
}

impl Router {
    /// Loads and validates an artifact's file, in one read.
    ///
    /// # Errors
    /// Every [`Error`] whose text starts with `artifact`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (artifact, identity) = Artifact::load(path.as_ref())?;
        Ok(Self::new(artifact, identity))
    }

    /// Validates an artifact's bytes.
    ///
    /// # Errors
    /// As [`Self::load`], but for reading.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self::new(Artifact::from_bytes(bytes, "from memory")?, artifact::identity(bytes)))
    }

    /// A router straight from an artifact, for training: valid as long as the artifact is, with no identity.
    pub fn from_artifact(artifact: Artifact) -> Self {
        Self::new(artifact, String::new())
    }

    fn new(artifact: Artifact, identity: String) -> Self {
        let featuriser = Featuriser::with_base(artifact.weights.base.clone());
        Self(Arc::new(Inner { identity, featuriser, predictor: Predictor::new(artifact) }))
    }

    /// Everything about the router that is not a weight.
    pub fn document(&self) -> &Document {
        self.0.predictor.document()
    }

    /// The weights, for tools that make one artifact from another.
    pub fn weights(&self) -> &Weights {
        self.0.predictor.weights()
    }

    /// Names of the models, in the order of every prediction.
    pub fn models(&self) -> &[String] {
        &self.document().models
    }

    /// SHA-256 of the artifact's file, in hex.
    pub fn identity(&self) -> &str {
        &self.0.identity
    }

    /// The prices the router was trained with.
    pub fn default_catalog(&self) -> Catalog {
        Catalog::of_training(self.document())
    }

    /// First stage: text to features. Never fails, whatever the text.
    pub fn featurise(&self, request: &Request<'_>, features: &mut Features) {
        self.0.featuriser.featurise(request, features);
    }

    /// Second stage: features to predictions for all models.
    pub fn predict<'p>(&self, features: &Features, predictions: &'p mut Predictions) -> &'p Predictions {
        self.0.predictor.predict(features, predictions);
        predictions
    }

    /// Resolves names, wildcards, prices and λ once, for many decisions.
    ///
    /// # Errors
    /// [`Error`]s whose text starts with `policy`: an unknown model, an empty pool, a number outside its domain, a
    /// target that cannot be reached.
    pub fn bind(&self, catalog: &Catalog, policy: &Policy) -> Result<Bound, Error> {
        let document = self.document();
        let tradeoff = policy.objective.resolve(document)?;
        for pattern in policy.allow.iter().chain(&policy.deny) {
            if !pattern.contains(['*', '?']) {
                document.model_idx(pattern)?;
            }
        }
        let allowed = |name: &str| {
            (policy.allow.is_empty() || policy.allow.iter().any(|pattern| matches(pattern, name)))
                && !policy.deny.iter().any(|pattern| matches(pattern, name))
        };
        let mut candidates = Vec::new();
        for (model_idx, name) in document.models.iter().enumerate().filter(|(_, name)| allowed(name)) {
            let entry = catalog.get(name);
            let price = entry.and_then(|entry| entry.price);
            if let Some(price) = price {
                for (field, value) in [
                    ("input_usd_per_mtok", price.input_usd_per_mtok),
                    ("output_usd_per_mtok", price.output_usd_per_mtok),
                ] {
                    if !(value >= 0.0 && value.is_finite()) {
                        return Err(Error::BadPolicy { field, expected: "0 or more USD", got: value.to_string() });
                    }
                }
            }
            candidates.push(Candidate {
                model_idx,
                price: price.map(|price| (price.input_usd_per_mtok * 1e-6, price.output_usd_per_mtok * 1e-6)),
                context_length: entry.and_then(|entry| entry.context_length),
                capabilities: entry.and_then(|entry| entry.capabilities),
                static_utility: static_utility(document, model_idx, tradeoff),
            });
        }
        if candidates.is_empty() {
            return Err(Error::EmptyPool);
        }
        Ok(Bound { router: self.clone(), tradeoff, rule: document.decision, candidates: candidates.into() })
    }
}

/// λ · quality − cost of always choosing one model, by training means; −∞ where its cost is unknown.
fn static_utility(document: &Document, model_idx: usize, tradeoff: Tradeoff) -> f64 {
    let means = &document.statics[model_idx];
    let price = match tradeoff.currency {
        Currency::Cost => means.cost_usd,
        Currency::Latency => means.latency_ms,
    };
    match price {
        _ if tradeoff.lambda.is_infinite() => means.quality,
        Some(price) => tradeoff.lambda * means.quality - price,
        None => f64::NEG_INFINITY,
    }
}

/// A router bound to a catalogue and a policy: one immutable snapshot, swapped as a whole.
#[derive(Clone, Debug)]
pub struct Bound {
    router: Router,
    tradeoff: Tradeoff,
    rule: DecisionRule,
    candidates: Arc<[Candidate]>,
}

impl Bound {
    /// The router behind it.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The objective as a number.
    pub fn tradeoff(&self) -> Tradeoff {
        self.tradeoff
    }

    /// The same binding under another decision rule than the artifact's, for training and calibration.
    #[must_use]
    pub fn with_rule(self, rule: DecisionRule) -> Self {
        Self { rule, ..self }
    }

    /// The same binding with λ counted in another currency.
    #[must_use]
    pub fn with_currency(mut self, currency: Currency) -> Self {
        self.tradeoff.currency = currency;
        let document = self.router.document();
        let recount = |candidate: &Candidate| Candidate {
            static_utility: static_utility(document, candidate.model_idx, self.tradeoff),
            ..candidate.clone()
        };
        self.candidates = self.candidates.iter().map(recount).collect();
        self
    }

    /// Third stage: predictions to a decision, borrowed from the ranking.
    ///
    /// Same artifact, predictions, policy and limits: same decision. Ties go to the cheaper model, then to the one
    /// that stands earlier in the artifact.
    pub fn decide<'a>(&'a self, predictions: &Predictions, limits: &Limits, ranking: &'a mut Ranking) -> Decision<'a> {
        decision::decide(
            self.router.document(),
            self.rule,
            &self.candidates,
            self.tradeoff,
            predictions,
            limits,
            ranking,
        )
    }

    /// All three stages.
    pub fn route<'a>(&'a self, request: &Request<'_>, limits: &Limits, scratch: &'a mut Scratch) -> Decision<'a> {
        self.router.featurise(request, &mut scratch.features);
        self.router.predict(&scratch.features, &mut scratch.predictions);
        self.decide(&scratch.predictions, limits, &mut scratch.ranking)
    }
}
