//! `[[policies]]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::server::ObjectiveKey;
use crate::error::Error;
use crate::routing::policies::PolicySettings;

/// One of `[[policies]]`; for domains see [`PolicySettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// Unique.
    pub name: String,
    /// A condition in CEL; absent: always.
    pub when: Option<String>,
    /// Names or patterns of the only models.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Names or patterns of models that are out.
    #[serde(default)]
    pub deny: Vec<String>,
    /// What the router weighs.
    pub objective: Option<ObjectiveKey>,
    /// Most a call may be expected to cost.
    pub max_cost_usd: Option<f64>,
    /// Least expected quality.
    pub min_quality: Option<f64>,
    /// Longest expected latency.
    pub max_latency_ms: Option<f64>,
    /// The only region.
    pub region: Option<String>,
    /// Weights by names of models.
    #[serde(default)]
    pub split: BTreeMap<String, f64>,
    /// Refuses the request, with this sentence.
    pub refuse: Option<String>,
}

impl PolicySection {
    pub(super) fn into_settings(self) -> Result<PolicySettings, Error> {
        let Self {
            name,
            when,
            allow,
            deny,
            objective,
            max_cost_usd,
            min_quality,
            max_latency_ms,
            region,
            split,
            refuse,
        } = self;
        Ok(PolicySettings {
            name,
            when,
            allow,
            deny,
            objective: objective.map(ObjectiveKey::into_objective).transpose()?,
            max_cost_usd,
            min_quality,
            max_latency_ms,
            region,
            split,
            refuse,
        })
    }
}
