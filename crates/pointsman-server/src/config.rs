//! The configuration file: TOML, or YAML of the same shape, to [`Settings`]. Every key is optional but the router's path;
//! unknown keys are refused.

pub(crate) mod form;
mod keys;
mod regions;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman::Objective;
use serde::Deserialize;

pub use regions::RegionsSection;

use self::form::{Flaw, Form};
use crate::error::Error;
use crate::regions::RegionPolicy;
use crate::routing::causes::Cause;
use crate::routing::policies::PolicySettings;
use crate::routing::sessions::{SessionSettings, Stick};
use crate::settings::Settings;
use crate::state::StateSettings;
use crate::targets::settings::{HealthSettings, TargetPrice, TargetSettings, Timeouts};
use crate::tenants::{KeySettings, TenantSettings};
use crate::traces::{TraceProtocol, TraceSettings};

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
}

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

/// `[server]`; for domains and defaults see [`Settings`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Address of the data plane.
    pub listen: Option<String>,
    /// Address of the admin plane, or `off`.
    pub admin_listen: Option<String>,
    /// SHA-256 of each key of the admin plane, in hexadecimal.
    pub admin_key_sha256: Vec<String>,
    /// Longest body of a request, in bytes.
    pub max_body_bytes: Option<usize>,
    /// Longest line of a batch, in bytes.
    pub max_line_bytes: Option<usize>,
    /// Most messages in a conversation.
    pub max_messages: Option<usize>,
    /// Most requests at a time.
    pub max_in_flight: Option<usize>,
    /// Longest time for headers, and then for a body, to arrive, in milliseconds.
    pub read_timeout_ms: Option<u64>,
    /// Longest time to finish open requests at shutdown, in milliseconds.
    pub drain_timeout_ms: Option<u64>,
}

/// `[router]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouterSection {
    /// The artifact's file; a relative path starts at the configuration file's folder.
    pub path: Option<PathBuf>,
    /// SHA-256 of that file.
    pub sha256: Option<String>,
    /// What `auto` means: `quality`, `balanced`, `cheap`, `fast`, or USD per unit of quality.
    pub objective: Option<ObjectiveKey>,
}

/// An objective by name or by λ.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected quality, balanced, cheap, fast, or a number")]
pub enum ObjectiveKey {
    /// USD per unit of quality.
    Lambda(f64),
    /// A name.
    Name(String),
}

/// `[log]`; it is the program's business, not the server's, which only emits events.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Form of a record; default: human on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
    /// The least grave records that are written; default: info. `debug` has one record per request.
    pub level: Option<LogLevel>,
    /// Whether the texts of requests are stored with their decisions; nothing else ever writes them. Default: `off`.
    pub prompts: Option<Prompts>,
}

/// What becomes of the texts of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompts {
    /// They are kept with their decisions.
    Store,
    /// They are kept nowhere.
    Off,
}

/// Form of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text.
    Human,
    /// A line of JSON.
    Json,
}

/// How grave a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something works, but should be looked at.
    Warn,
    /// Start, reload, end.
    Info,
    /// One record per request.
    Debug,
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
            let authorities = config.targets.iter_mut().filter_map(|target| target.ca_file.as_mut());
            let collectors = config.traces.iter_mut().filter_map(|traces| traces.ca_file.as_mut());
            for file in config.router.path.iter_mut().chain(authorities).chain(collectors) {
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
        set(&mut settings.read_timeout, server.read_timeout_ms.map(Duration::from_millis));
        set(&mut settings.drain_timeout, server.drain_timeout_ms.map(Duration::from_millis));
        Ok(settings)
    }
}

impl ObjectiveKey {
    fn into_objective(self) -> Result<Objective, Error> {
        Ok(match self {
            Self::Name(name) => name.parse()?,
            Self::Lambda(lambda) => lambda.to_string().parse()?,
        })
    }
}

impl PolicySection {
    fn into_settings(self) -> Result<PolicySettings, Error> {
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

impl HealthSection {
    fn into_settings(self) -> HealthSettings {
        let mut settings = HealthSettings::default();
        set(&mut settings.interval, self.interval_ms.map(Duration::from_millis));
        set(&mut settings.path, self.path);
        set(&mut settings.timeout, self.timeout_ms.map(Duration::from_millis));
        settings
    }
}

impl SessionsSection {
    fn into_settings(self) -> SessionSettings {
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
    fn into_settings(self, stores_prompts: bool) -> Option<StateSettings> {
        let path = self.path.filter(|path| path.as_os_str() != OFF)?;
        let mut settings = StateSettings::new((path.as_os_str() != MEMORY).then_some(path));
        set(&mut settings.retention_days, self.retention_days);
        set(&mut settings.most_decisions, self.most_decisions);
        settings.stores_prompts = stores_prompts;
        Some(settings)
    }
}

impl TracesSection {
    fn into_settings(self) -> Result<TraceSettings, Error> {
        let Self { endpoint, protocol, sample, service_name, ca_file, headers_env } = self;
        let mut settings = TraceSettings { protocol, ..TraceSettings::new(endpoint) };
        set(&mut settings.sample, sample);
        set(&mut settings.service_name, service_name);
        let unreadable = |got| Error::BadSetting { field: "traces.ca_file", expected: CERTIFICATES, got };
        settings.ca_pem = ca_file.map(|file| certificates(&file).map_err(unreadable)).transpose()?;
        for (name, variable) in headers_env {
            let value = std::env::var(&variable).map_err(|_| Error::BadSetting {
                field: "traces.headers_env",
                expected: "names of environment variables that are set",
                got: variable,
            })?;
            settings.headers.insert(name, value);
        }
        Ok(settings)
    }
}

impl TenantSection {
    fn into_settings(self) -> Result<TenantSettings, Error> {
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
    fn into_settings(self) -> KeySettings {
        let expires = self.expires.map(|moment| match moment {
            MomentKey::Own(moment) => moment.to_string(),
            MomentKey::Text(text) => text,
        });
        KeySettings { sha256: self.sha256, expires }
    }
}

impl TargetSection {
    fn into_settings(self) -> Result<TargetSettings, Error> {
        let Self { name, model, base_url, upstream_model, api_key_env, ca_file, timeouts: given, .. } = self;
        let key = |variable: String| {
            std::env::var(&variable).map_err(|_| {
                Error::target(&name, "api_key_env", "the name of an environment variable that is set", &variable)
            })
        };
        let api_key = api_key_env.map(key).transpose()?;
        let unreadable = |got: String| Error::target(&name, "ca_file", CERTIFICATES, &got);
        let ca_pem = ca_file.map(|file| certificates(&file).map_err(unreadable)).transpose()?;
        let mut timeouts = Timeouts::default();
        set(&mut timeouts.connect, given.connect_ms.map(Duration::from_millis));
        set(&mut timeouts.first_token, given.first_token_ms.map(Duration::from_millis));
        set(&mut timeouts.idle, given.idle_ms.map(Duration::from_millis));
        set(&mut timeouts.total, given.total_ms.map(Duration::from_millis));
        let price = self.price.map(|price| TargetPrice {
            input_usd_per_mtok: price.input_usd_per_mtok,
            output_usd_per_mtok: price.output_usd_per_mtok,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text, Path::new("p.toml")).expect_err("refused").to_string()
    }

    #[test]
    fn every_key_is_taken() {
        let text = r#"
            [server]
            listen = "127.0.0.1:1"
            admin_listen = "off"
            admin_key_sha256 = ["00"]
            max_body_bytes = 1
            max_line_bytes = 2
            max_messages = 3
            max_in_flight = 4
            read_timeout_ms = 5
            drain_timeout_ms = 6
            [router]
            path = "r.safetensors"
            sha256 = "00"
            objective = 0.5
            [log]
            format = "json"
            level = "debug"
            [traces]
            endpoint = "http://localhost:4318"
            protocol = "grpc"
            sample = 0.25
            service_name = "gate"
            headers_env = { "x-package" = "CARGO_PKG_NAME" }
        "#;
        let config = Config::parse(text, Path::new("p.toml")).expect("every key is known");
        assert_eq!(config.log.format, Some(LogFormat::Json));
        let settings = config.into_settings().expect("valid");
        assert_eq!((settings.listen.as_str(), settings.admin_listen), ("127.0.0.1:1", None));
        assert_eq!(settings.admin_key_sha256, ["00"]);
        assert_eq!((settings.max_body_bytes, settings.max_line_bytes), (1, 2));
        assert_eq!((settings.max_messages, settings.max_in_flight), (3, 4));
        assert_eq!(settings.read_timeout, Duration::from_millis(5));
        assert_eq!(settings.drain_timeout, Duration::from_millis(6));
        assert_eq!(settings.router_sha256.as_deref(), Some("00"));
        assert_eq!(settings.objective, Objective::Lambda(0.5));
        let traces = settings.traces.expect("given");
        assert_eq!((traces.endpoint.as_str(), traces.service_name.as_str()), ("http://localhost:4318", "gate"));
        assert_eq!((traces.protocol, traces.sample), (Some(TraceProtocol::Grpc), 0.25));
        assert_eq!(traces.headers["x-package"], "pointsman-server");
    }

    #[test]
    fn traces_need_an_address_and_the_headers_that_are_named() {
        assert!(refusal("[traces]\nsample = 1.0\n").contains("missing field `endpoint`"));
        assert!(refusal("[traces]\nendpoint = \"http://a\"\nsampel = 1.0\n").contains("line 3: unknown key `sampel`"));
        let unset =
            "[router]\npath = \"r\"\n[traces]\nendpoint = \"http://a\"\nheaders_env = { a = \"NOT_SET_ANYWHERE\" }\n";
        let error = Config::parse(unset, Path::new("p.toml")).and_then(Config::into_settings).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "settings: `traces.headers_env` expected names of environment variables that are set, got NOT_SET_ANYWHERE"
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        assert_eq!(
            refusal("[server]\nlisten = \"a\"\nmax_body = 3\n"),
            "configuration `p.toml`, line 3: unknown key `max_body` in [server]; did you mean `max_body_bytes`?"
        );
        assert_eq!(
            refusal("[[targets]]\nquantisation = \"fp8\"\n"),
            "configuration `p.toml`, line 2: unknown key `quantisation` in [targets]; did you mean `quantization`?"
        );
        assert_eq!(
            refusal("[log]\ncolour = true\n"),
            "configuration `p.toml`, line 2: unknown key `colour` in [log], which takes format, level, prompts"
        );
        assert_eq!(
            refusal("\n[sever]\n"),
            "configuration `p.toml`, line 2: unknown section `sever`; did you mean `server`?"
        );
    }

    #[test]
    fn sections_that_are_planned_are_refused_as_such() {
        assert_eq!(
            refusal("[[experiments]]\nname = \"x\"\n"),
            "configuration `p.toml`, line 1: section `experiments` is planned and not there yet; remove it to serve decisions"
        );
    }

    #[test]
    fn rules_and_tenants_are_read() {
        let digest = "0".repeat(64);
        let text = format!(
            r#"
            [router]
            path = "r"
            [[policies]]
            name = "p"
            when = "hour < 6"
            allow = ["a*"]
            deny = ["b"]
            objective = "cheap"
            max_cost_usd = 1
            min_quality = 0.5
            max_latency_ms = 900
            region = "eu"
            split = {{ "small" = 90, "large" = 9.5 }}
            refuse = "no"
            [[tenants]]
            name = "t"
            keys = [{{ sha256 = "{digest}", expires = "2027-01-31T00:00:00Z" }},
                {{ sha256 = "1", expires = 2027-01-31T01:00:00+01:00 }}, {{ sha256 = "2" }}]
            models = ["a*"]
            objective = 0.5
            max_in_flight = 4
            requests_per_minute = 5
            tokens_per_minute = 6
            budget_usd_per_day = 7
            "#
        );
        let settings = Config::parse(&text, Path::new("p.toml")).and_then(Config::into_settings).expect("valid");
        let policy = &settings.policies[0];
        assert_eq!(
            (policy.max_cost_usd, policy.min_quality, policy.max_latency_ms),
            (Some(1.0), Some(0.5), Some(900.0))
        );
        assert_eq!((policy.region.as_deref(), policy.refuse.as_deref()), (Some("eu"), Some("no")));
        assert_eq!(policy.split, BTreeMap::from([("large".to_owned(), 9.5), ("small".to_owned(), 90.0)]));
        let tenant = &settings.tenants[0];
        let expires: Vec<_> = tenant.keys.iter().map(|key| key.expires.as_deref()).collect();
        assert_eq!(expires, [Some("2027-01-31T00:00:00Z"), Some("2027-01-31T01:00:00+01:00"), None]);
        assert_eq!((&tenant.objective, tenant.max_in_flight), (&Some(Objective::Lambda(0.5)), Some(4)));
        assert!(tenant.key_sha256.is_empty());
        let refused = |more: &str| refusal(&format!("[[tenants]]\nname = 't'\n{more}"));
        assert!(refused("keys = [{ sha256 = '1', expire = 1 }]").contains("line 3: unknown field `expire`"));
        assert!(refused("keys = [{ sha256 = '1', expires = 1 }]").contains("expected a moment in RFC 3339"));
        assert!(refused("max_inflight = 1").contains("did you mean `max_in_flight`?"));
        assert!(refusal("[[policies]]\nname = 'p'\nspit = { a = 1 }").contains("did you mean `split`?"));
        assert!(refusal("[[policies]]\nname = 'p'\nsplit = { a = 'x' }").contains("line 3"));
    }

    #[test]
    fn aliases_have_names_of_the_operators_own() {
        let text = "[router]\npath = \"r\"\n[aliases]\n\"chat-fast\" = \"small\"\nsmart = \"auto:quality\"\n";
        let settings = Config::parse(text, Path::new("p.toml")).and_then(Config::into_settings).expect("valid");
        assert_eq!(settings.aliases["chat-fast"], "small");
        assert!(refusal("[aliases]\na = 1\n").contains("line 2"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        assert_eq!(
            refusal("[server]\n\nmax_messages = \"many\"\n"),
            "configuration `p.toml`, line 3: invalid type: string \"many\", expected usize"
        );
        assert!(refusal("[router]\nobjective = true\n").contains("line 2: expected quality, balanced, cheap, fast"));
        assert!(refusal("[server\n").starts_with("configuration `p.toml`, line 1: "));
    }

    #[test]
    fn the_path_of_the_router_is_needed() {
        assert!(matches!(Config::default().into_settings(), Err(Error::NoRouter)));
    }
}
