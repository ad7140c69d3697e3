//! A decision with the operator's rules, without a network: what a gateway of this configuration would do, and why.

use serde_json::Value;

use crate::error::Error;
use crate::live::Live;
use crate::ops::policies::{Trial, tried};
use crate::settings::Settings;

/// A configuration that answers requests in process; nothing is counted, kept or sent.
#[derive(Debug)]
pub struct Explainer(Live);

impl Explainer {
    /// Validates the settings and loads their router.
    ///
    /// # Errors
    /// As [`Server::open`](crate::Server::open).
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let settings = Settings { state: None, admin_listen: None, traces: None, ..settings };
        let (live, _) = Live::open(Box::new(move || Ok(settings.clone())))?;
        Ok(Self(live))
    }

    /// What `POST /admin/v1/policy/test` answers for the body of a request: `policy`, `rules`, `decision`.
    ///
    /// # Errors
    /// Whatever is wrong with the body.
    pub fn explain(&self, body: &str) -> Result<Value, Error> {
        let request = serde_json::from_str(body).map_err(|source| Error::InvalidJson {
            line: source.line(),
            column: source.column(),
            source,
        })?;
        self.tried(&Trial::of(request))
    }

    /// What `POST /admin/v1/policy/test` answers for its own body: `request`, and who would send it from where and when.
    ///
    /// # Errors
    /// Whatever is wrong with the body.
    pub fn explain_trial(&self, trial: &str) -> Result<Value, Error> {
        self.tried(&Trial::read(trial.as_bytes())?)
    }

    fn tried(&self, trial: &Trial<'_>) -> Result<Value, Error> {
        let answer = tried(&self.0, &self.0.current(), trial)?;
        serde_json::to_value(answer).map_err(Error::Answer)
    }
}
