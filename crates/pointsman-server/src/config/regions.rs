//! `[regions]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::regions::{RegionPolicy, RegionSettings};

/// `[regions]`; for domains and defaults see [`RegionSettings`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionsSection {
    /// What the region of a request means.
    pub policy: Option<RegionPolicy>,
    /// Latitude and longitude of regions, in degrees.
    pub at: BTreeMap<String, [f64; 2]>,
    /// File with the regions of clients' networks; a relative path starts at the configuration file's folder.
    pub networks: Option<PathBuf>,
    /// Networks of proxies that are believed.
    pub trusted_proxies: Vec<String>,
}

impl RegionsSection {
    pub(super) fn into_settings(self) -> RegionSettings {
        let Self { policy, at, networks, trusted_proxies } = self;
        RegionSettings { policy: policy.unwrap_or_default(), at, networks, trusted_proxies }
    }
}
