//! What an operator may set.

use std::time::Duration;

use pointsman::Objective;

use crate::error::Error;

/// Settings as given; [`Server::new`](crate::Server::new) validates them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Address to listen on, `host:port`; port 0 takes any free one. Default: `127.0.0.1:8080`.
    pub listen: String,
    /// What `auto` means. Default: what the artifact was calibrated to.
    pub objective: Objective,
    /// Longest body of a request in bytes, at least 1. Default: 10 MiB.
    pub max_body_bytes: usize,
    /// Longest time that a request's headers, and then its body, may take to arrive; above 0. An idle connection
    /// is closed after the same time. Default: 30 s.
    pub read_timeout: Duration,
    /// Longest time that open connections are given at shutdown; 0 cuts them at once. Default: 30 s.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            objective: Objective::Default,
            max_body_bytes: 10 << 20,
            read_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// The settings of requests and connections, validated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: usize,
    pub(crate) read_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        if settings.max_body_bytes == 0 {
            return Err(Error::BadSetting { field: "max_body_bytes", expected: "at least 1", got: "0".into() });
        }
        if settings.read_timeout.is_zero() {
            return Err(Error::BadSetting { field: "read_timeout", expected: "a time above 0", got: "0".into() });
        }
        Ok(Self {
            max_body_bytes: settings.max_body_bytes,
            read_timeout: settings.read_timeout,
            drain_timeout: settings.drain_timeout,
        })
    }
}
