//! `[[tenants]]`.

use serde::Deserialize;

use super::server::ObjectiveKey;
use super::set;
use crate::error::Error;
use crate::regions::RegionPolicy;
use crate::tenants::{KeySettings, TenantSettings};

/// One of `[[tenants]]`; for domains and defaults see [`TenantSettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSection {
    /// Unique.
    pub name: String,
    /// SHA-256 of each key, in hexadecimal.
    #[serde(default)]
    pub key_sha256: Vec<String>,
    /// Further keys, of which more is said.
    #[serde(default)]
    pub keys: Vec<KeySection>,
    /// Names or patterns of models.
    pub models: Option<Vec<String>>,
    /// Where its requests come from.
    pub region: Option<String>,
    /// What that means.
    pub region_policy: Option<RegionPolicy>,
    /// What the router weighs where a request does not say.
    pub objective: Option<ObjectiveKey>,
    /// Most requests at a time.
    pub max_in_flight: Option<usize>,
    /// Most requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Most tokens in a minute.
    pub tokens_per_minute: Option<u32>,
    /// Most USD on a day.
    pub budget_usd_per_day: Option<f64>,
}

/// One of `keys` of a tenant; for domains and defaults see [`KeySettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySection {
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// From when on it opens nothing.
    pub expires: Option<MomentKey>,
}

/// A moment: RFC 3339 in a string, or TOML's own of the same form.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a moment in RFC 3339, such as 2027-01-31T00:00:00Z")]
pub enum MomentKey {
    /// As TOML has it.
    Own(toml::value::Datetime),
    /// As a string.
    Text(String),
}

impl TenantSection {
    pub(super) fn into_settings(self) -> Result<TenantSettings, Error> {
        let Self { requests_per_minute, tokens_per_minute, budget_usd_per_day, max_in_flight, .. } = self;
        let (region, region_policy) = (self.region, self.region_policy);
        let mut settings = TenantSettings {
            keys: self.keys.into_iter().map(KeySection::into_settings).collect(),
            objective: self.objective.map(ObjectiveKey::into_objective).transpose()?,
            region,
            region_policy,
            max_in_flight,
            requests_per_minute,
            tokens_per_minute,
            budget_usd_per_day,
            ..TenantSettings::new(self.name, self.key_sha256)
        };
        set(&mut settings.models, self.models);
        Ok(settings)
    }
}

impl KeySection {
    pub(super) fn into_settings(self) -> KeySettings {
        let expires = self.expires.map(|moment| match moment {
            MomentKey::Own(moment) => moment.to_string(),
            MomentKey::Text(text) => text,
        });
        KeySettings { sha256: self.sha256, expires }
    }
}
