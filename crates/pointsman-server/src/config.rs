//! The configuration file: TOML, or YAML of the same shape, to [`Settings`]. Every key is optional but the router's path;
//! unknown keys are refused.

pub(crate) mod form;
mod keys;
mod policies;
mod regions;
mod secrets;
mod server;
mod state;
mod targets;
mod tenants;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

pub use policies::PolicySection;
pub use regions::RegionsSection;
pub use server::{LogFormat, LogLevel, LogSection, ObjectiveKey, Prompts, RouterSection, ServerSection};
pub use state::{SessionsSection, StateSection, StickKey, TracesSection};
pub use targets::{FallbackSection, HealthSection, HedgingSection, PriceSection, TargetSection, TimeoutsSection};
pub use tenants::{KeySection, MomentKey, TenantSection};

use self::form::{Flaw, Form};
use crate::error::Error;
use crate::settings::Settings;

/// Where state is kept unless the configuration says otherwise, beside it.
const STATE_FILE: &str = "pointsman.db";

/// What a file of certificates has to be. The system's own bundles have a fifth of that.
const CERTIFICATES: &str = "a file of certificates in PEM that can be read, at most 1 MiB";
const LONGEST: u64 = 1 << 20;

/// In the place of a file.
const MEMORY: &str = "memory";
const OFF: &str = "off";

/// A configuration as its file gives it; a field that is absent has the default of [`Settings`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses, limits and times.
    pub server: ServerSection,
    /// The router and what to want from it.
    pub router: RouterSection,
    /// What is written about the running service.
    pub log: LogSection,
    /// Where models can be reached.
    pub targets: Vec<TargetSection>,
    /// Whether targets are asked how they are.
    pub health: HealthSection,
    /// Whether a second target is asked when the first is slow.
    pub hedging: HedgingSection,
    /// After what the next target is asked.
    pub fallback: FallbackSection,
    /// Where requests come from.
    pub regions: RegionsSection,
    /// Names of the operator's own: each stands for a model of the router, or for `auto` with or without an objective.
    pub aliases: BTreeMap<String, String>,
    /// Who may use the data plane.
    pub tenants: Vec<TenantSection>,
    /// Which requests are answered by whom the one before was.
    pub sessions: SessionsSection,
    /// Where decisions and feedback are kept.
    pub state: StateSection,
    /// Where traces go.
    pub traces: Option<TracesSection>,
    /// Rules, the first that holds counts.
    pub policies: Vec<PolicySection>,
}

impl Config {
    /// Reads a file: YAML where its name ends in `.yaml` or `.yml`, else TOML.
    ///
    /// # Errors
    /// [`Error::ConfigRead`] where it cannot be read, [`Error::Config`] with line, key and nearest known key where it
    /// is not valid.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::ConfigRead { path: path.to_owned(), source })?;
        Self::beside(&text, path)
    }

    /// Reads a text as if it stood in this file.
    pub(crate) fn beside(text: &str, path: &Path) -> Result<Self, Error> {
        let mut config = Self::parse(text, path)?;
        if let Some(folder) = path.parent() {
            let of_targets = config.targets.iter_mut().flat_map(|target| {
                let TargetSection { ca_file, api_key_file, .. } = target;
                ca_file.iter_mut().chain(api_key_file)
            });
            let of_traces = config.traces.iter_mut().flat_map(|traces| {
                let TracesSection { ca_file, headers_file, .. } = traces;
                ca_file.iter_mut().chain(headers_file.values_mut())
            });
            for file in config.router.path.iter_mut().chain(of_targets).chain(of_traces) {
                *file = folder.join(&*file);
            }
        }
        // A gateway with a configuration remembers what it decided, beside that configuration, unless told otherwise.
        let state = config.state.path.get_or_insert_with(|| STATE_FILE.into());
        if ![MEMORY, OFF].iter().any(|word| state.as_os_str() == *word)
            && let Some(folder) = path.parent()
        {
            *state = folder.join(&*state);
        }
        if let (Some(networks), Some(folder)) = (&mut config.regions.networks, path.parent()) {
            *networks = folder.join(&*networks);
        }
        Ok(config)
    }

    /// Reads a text; `path` is what errors call it, and says the form as for [`Self::read`]. Relative paths stay as they are.
    ///
    /// # Errors
    /// [`Error::Config`], as [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let refused = |Flaw { offset, message }| {
            let line = 1 + text[..offset].matches('\n').count();
            Error::Config { path: path.to_owned(), line, message }
        };
        let tree = Form::of(path).tree(text).map_err(refused)?;
        if let Some(unknown) = keys::first_unknown(tree.get_ref()) {
            return Err(refused(unknown));
        }
        Self::deserialize(toml::Deserializer::from(tree)).map_err(|error| refused(error.into()))
    }

    /// The settings.
    ///
    /// # Errors
    /// [`Error::NoRouter`] without a path, [`Error::Router`] for an objective that does not exist.
    pub fn into_settings(self) -> Result<Settings, Error> {
        let Self {
            server,
            router,
            log,
            targets,
            health,
            hedging,
            fallback,
            regions,
            aliases,
            tenants,
            sessions,
            state,
            traces,
            policies,
        } = self;
        let mut settings = Settings::new(router.path.ok_or(Error::NoRouter)?);
        if let Some(objective) = router.objective {
            settings.objective = objective.into_objective()?;
        }
        settings.router_sha256 = router.sha256;
        settings.minisign_key = router.minisign_key;
        settings.default_target = router.default_target;
        settings.policies = policies.into_iter().map(PolicySection::into_settings).collect::<Result<_, _>>()?;
        settings.state = state.into_settings(log.prompts == Some(Prompts::Store));
        settings.sessions = sessions.into_settings();
        settings.health = health.into_settings();
        settings.hedge_after = hedging.after_ms.filter(|after| *after > 0).map(Duration::from_millis);
        set(&mut settings.fallback_on, fallback.on);
        settings.regions = regions.into_settings();
        settings.traces = traces.map(TracesSection::into_settings).transpose()?;
        settings.aliases = aliases;
        settings.tenants = tenants.into_iter().map(TenantSection::into_settings).collect::<Result<_, _>>()?;
        settings.targets = targets.into_iter().map(TargetSection::into_settings).collect::<Result<_, _>>()?;
        if let Some(admin) = server.admin_listen {
            settings.admin_listen = (admin != "off").then_some(admin);
        }
        settings.admin_key_sha256 = server.admin_key_sha256;
        set(&mut settings.listen, server.listen);
        set(&mut settings.max_body_bytes, server.max_body_bytes);
        set(&mut settings.max_line_bytes, server.max_line_bytes);
        set(&mut settings.max_messages, server.max_messages);
        set(&mut settings.max_in_flight, server.max_in_flight);
        set(&mut settings.max_buffered_bytes, server.max_buffered_bytes);
        set(&mut settings.read_timeout, server.read_timeout_ms.map(Duration::from_millis));
        set(&mut settings.drain_timeout, server.drain_timeout_ms.map(Duration::from_millis));
        Ok(settings)
    }
}

/// The text of a file of certificates; its name where that cannot be had.
fn certificates(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 <= LONGEST => Ok(text),
        _ => Err(file.display().to_string()),
    }
}

fn set<T>(target: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *target = given;
    }
}
