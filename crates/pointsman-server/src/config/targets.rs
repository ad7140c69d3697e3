//! `[[targets]]`, and what is asked of them: `[health]`, `[hedging]`, `[fallback]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{CERTIFICATES, certificates, secrets, set};
use crate::error::Error;
use crate::routing::causes::Cause;
use crate::targets::settings::{HealthSettings, TargetPrice, TargetSettings, Timeouts};

/// `[health]`; for domains and defaults see [`HealthSettings`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSection {
    /// Milliseconds between two questions; 0: none.
    pub interval_ms: Option<u64>,
    /// Below a target's base.
    pub path: Option<String>,
    /// Longest wait for an answer, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// `[hedging]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HedgingSection {
    /// Milliseconds without an answer after which the next target is asked too, where no stream is wanted; 0: never.
    pub after_ms: Option<u64>,
}

/// `[fallback]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackSection {
    /// Failures of a target after which the next one is asked. Default: all but `content`.
    pub on: Option<Vec<Cause>>,
}

/// One of `[[targets]]`; for domains and defaults see [`TargetSettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSection {
    /// Unique.
    pub name: String,
    /// The router's name of the model.
    pub model: String,
    /// Address of an OpenAI-compatible service.
    pub base_url: String,
    /// Whether the host's name may stand for an address of this machine or network.
    #[serde(default)]
    pub private_addresses: bool,
    /// The service's name of the model.
    pub upstream_model: Option<String>,
    /// Name of the environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// File that holds the key, in its place; a relative path starts at the configuration file's folder.
    pub api_key_file: Option<PathBuf>,
    /// File of the authorities to trust; a relative path starts at the configuration file's folder.
    pub ca_file: Option<PathBuf>,
    /// Times.
    #[serde(default)]
    pub timeouts: TimeoutsSection,
    /// Where it is.
    pub region: Option<String>,
    /// Latitude and longitude, in degrees.
    pub at: Option<[f64; 2]>,
    /// What it answers: `chat`, `responses`, `messages`, `embeddings`.
    pub endpoints: Option<Vec<String>>,
    /// What it can do beside text: `tools`, `vision`, `json`.
    pub capabilities: Option<Vec<String>>,
    /// Tokens that fit.
    pub context_length: Option<u32>,
    /// What it asks.
    pub price: Option<PriceSection>,
    /// Whose it is.
    pub provider: Option<String>,
    /// Whether its service may collect what it is sent: `allow` or `deny`.
    pub data_collection: Option<String>,
    /// Whether its service keeps nothing of what it is sent.
    #[serde(default)]
    pub zdr: bool,
    /// Whether others may be trained on its answers.
    #[serde(default)]
    pub distillable_text: bool,
    /// How its model's weights are kept.
    pub quantization: Option<String>,
}

/// `price` of a target, in USD per million tokens.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceSection {
    /// Of a request.
    pub input_usd_per_mtok: f64,
    /// Of an answer.
    pub output_usd_per_mtok: f64,
    /// Of a request, as far as the target has it in its cache.
    pub cached_input_usd_per_mtok: Option<f64>,
}

/// `timeouts` of a target, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsSection {
    /// To connect.
    pub connect_ms: Option<u64>,
    /// To the first content of a stream.
    pub first_token_ms: Option<u64>,
    /// Between two pieces of a stream.
    pub idle_ms: Option<u64>,
    /// To the end of the answer.
    pub total_ms: Option<u64>,
}

impl HealthSection {
    pub(super) fn into_settings(self) -> HealthSettings {
        let mut settings = HealthSettings::default();
        set(&mut settings.interval, self.interval_ms.map(Duration::from_millis));
        set(&mut settings.path, self.path);
        set(&mut settings.timeout, self.timeout_ms.map(Duration::from_millis));
        settings
    }
}

impl TargetSection {
    pub(super) fn into_settings(self) -> Result<TargetSettings, Error> {
        let Self { name, model, base_url, upstream_model, api_key_env, api_key_file, ca_file, .. } = self;
        let bad = |field, expected, got: &str| Error::target(&name, field, expected, got);
        let api_key = match (api_key_env, api_key_file) {
            (None, None) => None,
            (Some(variable), None) => Some(
                secrets::of_variable(&variable)
                    .ok_or_else(|| bad("api_key_env", secrets::VARIABLE, &secrets::variable_told(&variable)))?,
            ),
            (None, Some(file)) => Some(
                secrets::of_file(&file)
                    .ok_or_else(|| bad("api_key_file", secrets::FILE, &secrets::file_told(&file)))?,
            ),
            (Some(_), Some(_)) => return Err(bad("api_key_file", "one place for the key", "`api_key_env` too")),
        };
        let given = self.timeouts;
        let unreadable = |got: String| bad("ca_file", CERTIFICATES, &got);
        let ca_pem = ca_file.map(|file| certificates(&file).map_err(unreadable)).transpose()?;
        let mut timeouts = Timeouts::default();
        set(&mut timeouts.connect, given.connect_ms.map(Duration::from_millis));
        set(&mut timeouts.first_token, given.first_token_ms.map(Duration::from_millis));
        set(&mut timeouts.idle, given.idle_ms.map(Duration::from_millis));
        set(&mut timeouts.total, given.total_ms.map(Duration::from_millis));
        let price = self.price.map(|price| TargetPrice {
            input_usd_per_mtok: price.input_usd_per_mtok,
            output_usd_per_mtok: price.output_usd_per_mtok,
            cached_input_usd_per_mtok: price.cached_input_usd_per_mtok,
        });
        Ok(TargetSettings {
            private_addresses: self.private_addresses,
            upstream_model,
            api_key,
            ca_pem,
            timeouts,
            region: self.region,
            at: self.at,
            endpoints: self.endpoints.unwrap_or_else(|| vec!["chat".into()]),
            capabilities: self.capabilities,
            context_length: self.context_length,
            price,
            provider: self.provider,
            data_collection: self.data_collection,
            zdr: self.zdr,
            distillable_text: self.distillable_text,
            quantization: self.quantization,
            ..TargetSettings::new(name, model, base_url)
        })
    }
}
