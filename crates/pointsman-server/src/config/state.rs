//! `[sessions]`, `[state]` and `[traces]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{CERTIFICATES, MEMORY, OFF, certificates, secrets, set};
use crate::error::Error;
use crate::routing::sessions::{SessionSettings, Stick};
use crate::state::StateSettings;
use crate::traces::{TraceProtocol, TraceSettings};

/// `[sessions]`; for domains and defaults see [`SessionSettings`].
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsSection {
    /// Which requests are one session.
    pub stick: Option<StickKey>,
    /// Seconds without a request after which one is forgotten.
    pub idle_s: Option<u64>,
    /// Most that are remembered.
    pub most: Option<usize>,
}

/// Which requests are one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StickKey {
    /// None.
    Off,
    /// Those that name it.
    Named,
    /// Those too that continue a conversation.
    Conversation,
}

/// `[state]`; for domains and defaults see [`StateSettings`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSection {
    /// A file, which starts at the configuration file's folder where it is relative; `memory`; or `off`.
    pub path: Option<PathBuf>,
    /// Days after which decisions are deleted; 0 keeps them.
    pub retention_days: Option<u32>,
    /// Decisions that are kept; 0: no limit.
    pub most_decisions: Option<u64>,
}

/// `[traces]`; for domains and defaults see [`TraceSettings`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesSection {
    /// Address of the collector.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: Option<TraceProtocol>,
    /// Share of requests that are traced.
    pub sample: Option<f64>,
    /// The server's name.
    pub service_name: Option<String>,
    /// File of the authorities to trust; a relative path starts at the configuration file's folder.
    pub ca_file: Option<PathBuf>,
    /// Names of environment variables that hold the values of headers.
    #[serde(default)]
    pub headers_env: BTreeMap<String, String>,
    /// Files that hold the values of headers; a relative path starts at the configuration file's folder.
    #[serde(default)]
    pub headers_file: BTreeMap<String, PathBuf>,
}

impl SessionsSection {
    pub(super) fn into_settings(self) -> SessionSettings {
        let mut settings = SessionSettings::default();
        set(
            &mut settings.stick,
            self.stick.map(|stick| match stick {
                StickKey::Off => Stick::Off,
                StickKey::Named => Stick::Named,
                StickKey::Conversation => Stick::Conversation,
            }),
        );
        set(&mut settings.idle, self.idle_s.map(Duration::from_secs));
        set(&mut settings.most, self.most);
        settings
    }
}

impl StateSection {
    /// Without a path there is no state: a service without a configuration leaves no file behind.
    pub(super) fn into_settings(self, stores_prompts: bool) -> Option<StateSettings> {
        let path = self.path.filter(|path| path.as_os_str() != OFF)?;
        let mut settings = StateSettings::new((path.as_os_str() != MEMORY).then_some(path));
        set(&mut settings.retention_days, self.retention_days);
        set(&mut settings.most_decisions, self.most_decisions);
        settings.stores_prompts = stores_prompts;
        Some(settings)
    }
}

impl TracesSection {
    pub(super) fn into_settings(self) -> Result<TraceSettings, Error> {
        let Self { endpoint, protocol, sample, service_name, ca_file, headers_env, headers_file } = self;
        let mut settings = TraceSettings { protocol, ..TraceSettings::new(endpoint) };
        set(&mut settings.sample, sample);
        set(&mut settings.service_name, service_name);
        let unreadable = |got| Error::BadSetting { field: "traces.ca_file", expected: CERTIFICATES, got };
        settings.ca_pem = ca_file.map(|file| certificates(&file).map_err(unreadable)).transpose()?;
        let bad = |field, expected, got| Error::BadSetting { field, expected, got };
        for (name, variable) in headers_env {
            let value = secrets::of_variable(&variable);
            let value =
                value.ok_or_else(|| bad("traces.headers_env", secrets::VARIABLE, secrets::variable_told(&variable)))?;
            settings.headers.insert(name, value);
        }
        for (name, file) in headers_file {
            let unreadable = || bad("traces.headers_file", secrets::FILE, secrets::file_told(&file));
            if settings.headers.insert(name, secrets::of_file(&file).ok_or_else(unreadable)?).is_some() {
                return Err(bad("traces.headers_file", "one place for each header", "`headers_env` too".into()));
            }
        }
        Ok(settings)
    }
}
