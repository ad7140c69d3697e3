//! What an operator may set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pointsman::Objective;

use crate::error::Error;
use crate::regions::RegionSettings;
use crate::routing::causes::Cause;
use crate::routing::policies::PolicySettings;
use crate::routing::sessions::SessionSettings;
use crate::state::StateSettings;
use crate::targets::settings::{HealthSettings, TargetSettings};
use crate::tenants::TenantSettings;
use crate::traces::TraceSettings;

/// Settings as given; [`Server::open`](crate::Server::open) validates them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The artifact's file. No default.
    pub router: PathBuf,
    /// SHA-256 of that file, 64 hexadecimal digits; another file is refused. Default: any.
    pub router_sha256: Option<String>,
    /// Public key of minisign; a file without a signature of it in `<file>.minisig` is refused. Default: none is asked for.
    pub minisign_key: Option<String>,
    /// Name of the target that answers first where the router cannot decide. With it the service starts though its artifact cannot
    /// be used, and the requests that leave the choice to the router go there until a reload finds one that can. Default: none;
    /// the targets are asked in their order, and such an artifact ends the start.
    pub default_target: Option<String>,
    /// What `auto` means. Default: what the artifact was calibrated to.
    pub objective: Objective,
    /// Where models can be reached. Default: nowhere, and chat completions are refused.
    pub targets: Vec<TargetSettings>,
    /// Whether targets are asked how they are. Default: no.
    pub health: HealthSettings,
    /// Time without an answer after which the next target is asked too, where no stream is wanted: whoever answers first
    /// counts. Default: never.
    pub hedge_after: Option<Duration>,
    /// After which failures of a target the next one is asked; after any other the request ends. Default:
    /// [`Cause::DEFAULT`].
    pub fallback_on: Vec<Cause>,
    /// Where requests come from, and what that means. Default: they say so themselves, and are answered there or not at all.
    pub regions: RegionSettings,
    /// Names beside those of the router: each stands for one of its models, or for `auto`, `auto:quality` and so on.
    /// Default: none.
    pub aliases: BTreeMap<String, String>,
    /// Who may use the data plane. Default: everyone.
    pub tenants: Vec<TenantSettings>,
    /// Rules about who may use which models, the first that holds counts. Default: none.
    pub policies: Vec<PolicySettings>,
    /// Which requests are answered by whom the one before was.
    pub sessions: SessionSettings,
    /// Where decisions and feedback are kept. Default: nowhere, and feedback is refused.
    pub state: Option<StateSettings>,
    /// Where traces go. Default: nowhere, and none are made.
    pub traces: Option<TraceSettings>,
    /// Address of the data plane, `host:port`; port 0 takes any free one. Default: `127.0.0.1:8080`.
    pub listen: String,
    /// Address of the admin plane; `None`: there is none, and no metrics. Default: `127.0.0.1:8081`.
    pub admin_listen: Option<String>,
    /// SHA-256 of each key of the admin plane, 64 hexadecimal digits. Default: none, and `admin_listen` has to be on the
    /// loopback.
    pub admin_key_sha256: Vec<String>,
    /// Longest body of a request in bytes, at least 1. Default: 10 MiB.
    pub max_body_bytes: usize,
    /// Longest line of a batch in bytes, at least 1. Default: 1 MiB.
    pub max_line_bytes: usize,
    /// Most messages in a conversation, at least 1. Default: 10,000.
    pub max_messages: usize,
    /// Most requests of the data plane at a time, at least 1; a batch counts as one. Default: 512.
    pub max_in_flight: usize,
    /// Bytes that the bodies of all requests together may hold at a time; at least what one may. Default: 512 MiB.
    pub max_buffered_bytes: usize,
    /// Longest time that a request's headers, and then its body, may take to arrive; above 0. An idle connection
    /// is closed after the same time, and so is one whose client does not read; a batch may take so long for every line
    /// that is not blank. Default: 30 s.
    pub read_timeout: Duration,
    /// Longest time that open connections are given at shutdown; 0 cuts them at once. Default: 30 s.
    pub drain_timeout: Duration,
}

impl Settings {
    /// The defaults, for this artifact's file.
    pub fn new(router: impl Into<PathBuf>) -> Self {
        Self {
            router: router.into(),
            router_sha256: None,
            minisign_key: None,
            default_target: None,
            objective: Objective::Default,
            targets: Vec::new(),
            health: HealthSettings::default(),
            hedge_after: None,
            fallback_on: Cause::DEFAULT.into(),
            regions: RegionSettings::default(),
            aliases: BTreeMap::new(),
            tenants: Vec::new(),
            policies: Vec::new(),
            sessions: SessionSettings::default(),
            state: None,
            traces: None,
            listen: "127.0.0.1:8080".into(),
            admin_listen: Some("127.0.0.1:8081".into()),
            admin_key_sha256: Vec::new(),
            max_body_bytes: 10 << 20,
            max_line_bytes: 1 << 20,
            max_messages: 10_000,
            max_in_flight: 512,
            max_buffered_bytes: 512 << 20,
            read_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// The settings of requests and connections, validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: usize,
    pub(crate) max_line_bytes: usize,
    pub(crate) max_messages: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) max_buffered_bytes: usize,
    pub(crate) read_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        for (field, value) in [
            ("max_body_bytes", settings.max_body_bytes),
            ("max_line_bytes", settings.max_line_bytes),
            ("max_messages", settings.max_messages),
            ("max_in_flight", settings.max_in_flight),
        ] {
            if value == 0 {
                return Err(Error::BadSetting { field, expected: "at least 1", got: "0".into() });
            }
        }
        settings.sessions.check()?;
        if settings.read_timeout.is_zero() {
            return Err(Error::BadSetting { field: "read_timeout_ms", expected: "a time above 0", got: "0".into() });
        }
        Ok(Self {
            max_body_bytes: settings.max_body_bytes,
            max_line_bytes: settings.max_line_bytes,
            max_messages: settings.max_messages,
            max_in_flight: settings.max_in_flight,
            max_buffered_bytes: settings.max_buffered_bytes.max(settings.max_body_bytes).max(settings.max_line_bytes),
            read_timeout: settings.read_timeout,
            drain_timeout: settings.drain_timeout,
        })
    }
}
