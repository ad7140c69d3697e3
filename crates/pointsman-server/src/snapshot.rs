//! A router bound to every objective that a client may name: what a request is answered from, as one piece.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use pointsman::{Bound, Objective, Policy, Router};
use serde::Serialize;

use crate::error::Error;

/// The name that means the operator's objective.
pub(crate) const AUTO: &str = "auto";

/// A router under every objective; immutable.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Alias and policy; the first is [`AUTO`].
    policies: Vec<(&'static str, Bound)>,
    version: String,
    version_header: HeaderValue,
    model_headers: Vec<HeaderValue>,
}

/// What the `model` of a request stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'s> {
    /// The alias or the model's name.
    pub(crate) route: &'s str,
    /// The policy that judges the candidates.
    pub(crate) bound: &'s Bound,
    /// Position of the model asked for by name.
    pub(crate) requested: Option<usize>,
}

/// An entry of OpenAI's list of models.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<'s> {
    id: &'s str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl Snapshot {
    /// Binds `router` to `objective` and to every named one that it can serve.
    pub(crate) fn new(router: &Router, objective: Objective) -> Result<Self, Error> {
        if router.identity().is_empty() {
            return Err(Error::NoIdentity);
        }
        let catalog = router.default_catalog();
        let bind = |objective| router.bind(&catalog, &Policy { objective, ..Policy::default() });
        let mut policies = vec![(AUTO, bind(objective)?)];
        for (alias, objective) in [
            ("auto:quality", Objective::Quality),
            ("auto:balanced", Objective::Balanced),
            ("auto:cheap", Objective::Cheap),
            ("auto:fast", Objective::Fast),
        ] {
            match bind(objective) {
                Ok(bound) => policies.push((alias, bound)),
                Err(pointsman::Error::NoLatency) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let version = format!("sha256:{}", router.identity());
        Ok(Self {
            version_header: header(&version),
            model_headers: router.models().iter().map(|name| header(name)).collect(),
            policies,
            version,
        })
    }

    /// What `model` stands for; aliases go before models of the same name.
    pub(crate) fn target(&self, model: &str) -> Result<Target<'_>, Error> {
        if let Some((alias, bound)) = self.policies.iter().find(|(alias, _)| *alias == model) {
            return Ok(Target { route: alias, bound, requested: None });
        }
        let bound = &self.policies[0].1;
        let models = bound.router().models();
        match models.iter().position(|name| name == model) {
            Some(idx) => Ok(Target { route: &models[idx], bound, requested: Some(idx) }),
            None if model == "auto:fast" => Err(Error::NoLatency),
            None => Err(Error::ModelNotFound { model: model.chars().take(80).collect() }),
        }
    }

    /// Everything that `model` may be: the aliases, then the models. Nobody knows when a model was created.
    pub(crate) fn list(&self) -> Vec<Listed<'_>> {
        let listed = |id, owned_by| Listed { id, object: "model", created: 0, owned_by };
        let aliases = self.policies.iter().map(|(alias, _)| listed(*alias, "pointsman"));
        let models = self.policies[0].1.router().models();
        aliases.chain(models.iter().map(|name| listed(name, "upstream"))).collect()
    }

    /// `sha256:` and the artifact's identity.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn version_header(&self) -> HeaderValue {
        self.version_header.clone()
    }

    pub(crate) fn model_header(&self, model_idx: usize) -> HeaderValue {
        self.model_headers[model_idx].clone()
    }
}

/// A name as a header's value: `%` and bytes that are not visible ASCII are percent-encoded.
fn header(name: &str) -> HeaderValue {
    let mut value = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            value.push(byte.into());
        } else {
            write!(value, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    HeaderValue::try_from(value).expect("visible ASCII is a valid header value")
}
