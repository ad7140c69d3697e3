//! Where models can be reached: the configured targets, and how each of them fares.
//!
//! What is configured is immutable; what is live (health, requests on their way) changes behind it. Nothing here calls
//! anybody: `upstream` does, and reports what became of it.

pub(crate) mod health;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderValue, Uri};

use crate::error::Error;
use crate::upstream::client::{Client, Trust};
use health::{Health, Standing};

/// A target as configured; [`Settings::targets`](crate::Settings::targets).
#[derive(Clone, PartialEq, Eq)]
pub struct TargetSettings {
    /// Unique; in replies, logs and metrics.
    pub name: String,
    /// The router's name of the model that is reached here.
    pub model: String,
    /// Address of an OpenAI-compatible service, such as `https://api.example.com/v1`.
    pub base_url: String,
    /// The service's name of the model; default: `model`.
    pub upstream_model: Option<String>,
    /// The key, sent as a bearer token; `None` sends none.
    pub api_key: Option<String>,
    /// Times.
    pub timeouts: Timeouts,
}

/// How long a target may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect. Default: 2 s.
    pub connect: Duration,
    /// To the first content of a stream. Default: 20 s.
    pub first_token: Duration,
    /// Between two pieces of a stream. Default: 30 s.
    pub idle: Duration,
    /// To the end of the answer. Default: 10 min.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_token: Duration::from_secs(20),
            idle: Duration::from_secs(30),
            total: Duration::from_mins(10),
        }
    }
}

impl std::fmt::Debug for TargetSettings {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetSettings")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// One place where a model can be reached.
#[derive(Debug)]
pub(crate) struct Target {
    /// Among all targets.
    pub(crate) position: usize,
    pub(crate) name: String,
    pub(crate) name_header: HeaderValue,
    /// Position of its model in the router.
    pub(crate) model_idx: usize,
    /// What the service calls the model.
    pub(crate) upstream_model: String,
    /// Marked sensitive.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) timeouts: Timeouts,
    pub(crate) client: Client,
    scheme: Scheme,
    authority: Authority,
    /// Path of the base, without a slash at the end.
    base_path: String,
    health: Mutex<Health>,
    in_flight: AtomicUsize,
}

/// All targets, validated against a router's models.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    all: Vec<Target>,
    /// Positions in `all`, by model.
    by_model: Vec<Vec<usize>>,
}

impl Targets {
    /// Checks what is configured.
    pub(crate) fn new(settings: &[TargetSettings], models: &[String]) -> Result<Self, Error> {
        let mut targets = Self { all: Vec::new(), by_model: vec![Vec::new(); models.len()] };
        let trust = Trust::new(settings.iter().any(|setting| setting.base_url.starts_with("https:")))?;
        for setting in settings {
            if targets.all.iter().any(|known| known.name == setting.name) {
                return Err(Error::target(&setting.name, "name", "one that no other target has", &setting.name));
            }
            let target = Target { position: targets.all.len(), ..Target::new(setting, models, &trust)? };
            targets.by_model[target.model_idx].push(targets.all.len());
            targets.all.push(target);
        }
        Ok(targets)
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.iter()
    }

    /// The target at a position.
    pub(crate) fn get(&self, position: usize) -> &Target {
        &self.all[position]
    }

    /// Models in the order of their first target.
    pub(crate) fn models(&self) -> Vec<usize> {
        let mut models = Vec::new();
        for target in &self.all {
            if !models.contains(&target.model_idx) {
                models.push(target.model_idx);
            }
        }
        models
    }

    /// Names of the targets of a model.
    pub(crate) fn names(&self, model_idx: usize) -> impl Iterator<Item = &str> {
        self.by_model.get(model_idx).into_iter().flatten().map(|position| self.all[*position].name.as_str())
    }

    /// The targets of a ranked list of models, in the order in which to try them: by rank; within a model those that are
    /// well first, of those the least busy; what is known to be down comes last of all, for trying it beats refusing.
    pub(crate) fn in_order(&self, ranked: &[usize], now: Instant) -> Vec<&Target> {
        let mut order: Vec<(Standing, usize, usize, &Target)> = Vec::new();
        for (rank, model_idx) in ranked.iter().enumerate() {
            for position in self.by_model.get(*model_idx).into_iter().flatten() {
                let target = &self.all[*position];
                order.push((target.standing(now), rank, target.in_flight.load(Ordering::Relaxed), target));
            }
        }
        order.sort_by_key(|(standing, rank, busy, _)| (*standing == Standing::Down, *rank, *standing, *busy));
        order.into_iter().map(|(.., target)| target).collect()
    }
}

/// The form of a base address.
const BASE: &str = "http:// or https:// with a host, and perhaps a path";

impl Target {
    fn new(settings: &TargetSettings, models: &[String], trust: &Trust) -> Result<Self, Error> {
        let TargetSettings { name, model, base_url, upstream_model, api_key, timeouts } = settings;
        let bad = |field, expected, got: &str| Error::target(name, field, expected, got);
        let name_header = HeaderValue::from_str(name).ok().filter(|_| !name.is_empty() && name.len() <= 128);
        let name_header = name_header.ok_or_else(|| bad("name", "1 to 128 visible characters", name))?;
        let Some(model_idx) = models.iter().position(|known| known == model) else {
            return Err(bad("model", "a model of the router (`pointsman show` lists them)", model));
        };
        let uri: Uri = base_url.trim_end_matches('/').parse().map_err(|_| bad("base_url", BASE, base_url))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err(bad("base_url", BASE, base_url));
        };
        let path = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        if path.query().is_some() || authority.as_str().contains('@') {
            return Err(bad("base_url", "neither a query nor credentials in it", "one that has"));
        }
        let authorization = api_key.as_ref().map(|key| {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            value.map_err(|_| bad("api_key_env", "a key of visible characters", "others"))
        });
        let mut authorization = authorization.transpose()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        for (field, time) in [
            ("timeouts.connect_ms", timeouts.connect),
            ("timeouts.first_token_ms", timeouts.first_token),
            ("timeouts.idle_ms", timeouts.idle),
            ("timeouts.total_ms", timeouts.total),
        ] {
            if time.is_zero() {
                return Err(bad(field, "a time above 0", "0"));
            }
        }
        Ok(Self {
            position: 0,
            name: name.clone(),
            name_header,
            model_idx,
            upstream_model: upstream_model.clone().unwrap_or_else(|| model.clone()),
            authorization,
            timeouts: *timeouts,
            client: Client::new(trust, timeouts.connect),
            scheme,
            authority,
            base_path: path.path().trim_end_matches('/').to_owned(),
            health: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// The address of an endpoint, such as `/chat/completions`.
    pub(crate) fn uri(&self, endpoint: &'static str) -> Uri {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(format!("{}{endpoint}", self.base_path)).build().expect("checked when configured")
    }

    /// Calls on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How it stands now.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.health().standing(now)
    }

    /// Notes what became of a call.
    pub(crate) fn report(&self, report: health::Report, now: Instant) {
        self.health().note(report, now);
    }

    /// Notes that a call begins, and that it finds out where that is to be found out.
    pub(crate) fn call(&self, now: Instant) -> Busy<'_> {
        self.health().begin(now);
        self.begin()
    }

    /// Notes that something is being done; it has ended when what is returned is dropped.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // Nothing is left half changed by a panic.
        self.health.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Busy<'t>(&'t Target);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
