//! `[server]`, `[router]` and `[log]`.

use std::path::PathBuf;

use pointsman::Objective;
use serde::Deserialize;

use crate::error::Error;

/// `[server]`; for domains and defaults see [`Settings`](crate::Settings).
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
    /// Bytes that the bodies of all requests together may hold at a time.
    pub max_buffered_bytes: Option<usize>,
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
    /// Public key of minisign, whose signature the file has to have.
    pub minisign_key: Option<String>,
    /// Name of the target that answers first where the router cannot decide, be it that its artifact cannot be used at the start.
    pub default_target: Option<String>,
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

impl ObjectiveKey {
    pub(super) fn into_objective(self) -> Result<Objective, Error> {
        Ok(match self {
            Self::Name(name) => name.parse()?,
            Self::Lambda(lambda) => lambda.to_string().parse()?,
        })
    }
}
