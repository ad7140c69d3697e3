//! The artifacts of late, in memory: which one decides, and whether it goes on doing so whatever the file holds.

use std::sync::Arc;

use pointsman::Router;

use super::signature;
use crate::error::Error;
use crate::settings::Settings;

/// Artifacts that are kept, the one that decides among them: a few megabytes each.
const MOST: usize = 4;

/// Artifacts that came from the file, the first one first. They share nothing with it any more.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    all: Vec<Router>,
    /// Position of the one that decides.
    active: usize,
    is_pinned: bool,
    /// Why there is only a stand-in, where that is so.
    stands_in: Option<Arc<str>>,
}

impl Shelf {
    /// With the file's artifact alone.
    pub(crate) fn new(router: Router) -> Self {
        Self { all: vec![router], active: 0, is_pinned: false, stands_in: None }
    }

    /// With a stand-in, for the file's artifact cannot be used.
    pub(crate) fn standing_in(router: Router, why: &str) -> Self {
        Self { stands_in: Some(why.into()), ..Self::new(router) }
    }

    /// Why nothing can be predicted, where that is so.
    pub(crate) fn stands_in(&self) -> Option<&str> {
        self.stands_in.as_deref()
    }

    /// With the file's artifact, which decides from now on and is the last that came.
    pub(crate) fn with(&self, router: Router) -> Self {
        if self.stands_in.is_some() {
            return Self::new(router);
        }
        let mut all: Vec<Router> =
            self.all.iter().filter(|known| known.identity() != router.identity()).cloned().collect();
        all.push(router);
        all.drain(..all.len().saturating_sub(MOST));
        Self { active: all.len() - 1, all, is_pinned: false, stands_in: None }
    }

    /// With an artifact that decides from now on, whatever the file holds; `None` where it is not here.
    pub(crate) fn pinned_to(&self, version: &str) -> Option<Self> {
        if self.stands_in.is_some() {
            return None;
        }
        let identity = version.strip_prefix("sha256:").unwrap_or(version);
        let active = self.all.iter().position(|router| router.identity() == identity)?;
        Some(Self { active, is_pinned: true, ..self.clone() })
    }

    /// With the artifact that came before the one that decides, pinned.
    pub(crate) fn rolled_back(&self) -> Option<Self> {
        Some(Self { active: self.active.checked_sub(1)?, is_pinned: true, ..self.clone() })
    }

    /// The artifact that decides.
    pub(crate) fn active(&self) -> &Router {
        &self.all[self.active]
    }

    /// Whether it decides whatever the file holds.
    pub(crate) fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// The others, the last that came first.
    pub(crate) fn former(&self) -> impl Iterator<Item = &Router> {
        let others = self.all.iter().enumerate().filter(|(position, _)| *position != self.active);
        others.map(|(_, router)| router).rev()
    }
}

/// The artifact of the settings' file, which has the identity and the signature that they ask for, if they do.
pub(crate) fn of_file(settings: &Settings) -> Result<Router, Error> {
    let expected = settings.router_sha256.as_deref().map(identity).transpose()?;
    let key = settings.minisign_key.as_deref().map(signature::key).transpose()?;
    let router = Router::load(&settings.router)?;
    if let Some(key) = &key {
        signature::check(&settings.router, router.identity(), key)?;
    }
    match expected {
        Some(expected) if expected != router.identity() => {
            Err(Error::WrongArtifact { path: settings.router.clone(), expected, got: router.identity().to_owned() })
        }
        _ => Ok(router),
    }
}

/// An identity as routers have it, of one that may be written as versions are.
fn identity(text: &str) -> Result<String, Error> {
    let identity = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    if identity.len() == 64 && identity.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(identity);
    }
    let got = text.chars().take(80).collect();
    Err(Error::BadSetting { field: "router.sha256", expected: "64 hexadecimal digits", got })
}
