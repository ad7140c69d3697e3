//! Where models can be reached: the configured targets, and how each of them fares.
//!
//! What is configured is immutable; what is live (health, requests on their way) changes behind it. Nothing here calls
//! anybody: `upstream` does, and reports what became of it.

pub(crate) mod health;
pub(crate) mod wish;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderValue, Uri};

use crate::error::Error;
use crate::upstream::client::{Client, Trust};
use health::{Health, Standing};
use pointsman::Capabilities;
use wish::{Sort, Wish, barred};

/// A target as configured; [`Settings::targets`](crate::Settings::targets).
#[derive(Clone, PartialEq)]
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
    /// Where it is, such as `eu`; default: not said.
    pub region: Option<String>,
    /// What it can do: `tools`, `vision`, `json`. Requests that need something else never reach it. Default: everything.
    pub capabilities: Option<Vec<String>>,
    /// Tokens that fit, request and answer; longer requests never reach it. Default: any number.
    pub context_length: Option<u32>,
    /// What it asks, where that is not what the router's catalogue says of the model.
    pub price: Option<TargetPrice>,
}

impl TargetSettings {
    /// A target of this name that reaches this model here, with the defaults.
    pub fn new(name: impl Into<String>, model: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            base_url: base_url.into(),
            upstream_model: None,
            api_key: None,
            timeouts: Timeouts::default(),
            region: None,
            capabilities: None,
            context_length: None,
            price: None,
        }
    }
}

/// What a target asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetPrice {
    /// USD per million tokens of a request.
    pub input_usd_per_mtok: f64,
    /// USD per million tokens of an answer.
    pub output_usd_per_mtok: f64,
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
    region: Option<String>,
    capabilities: Option<Capabilities>,
    context_length: Option<u32>,
    pub(crate) price: Option<TargetPrice>,
    health: Mutex<Health>,
    in_flight: AtomicUsize,
    /// Milliseconds to an answer of late, as the bits of an `f64`: quick to rise, slow to fall.
    latency: AtomicU64,
}

/// All targets, validated against a router's models.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    all: Vec<Target>,
    /// Positions in `all`, by model.
    by_model: Vec<Vec<usize>>,
}

impl Targets {
    /// Checks what is configured; a target without a price has the catalogue's for its model.
    pub(crate) fn new(
        settings: &[TargetSettings],
        models: &[String],
        catalogue: impl Fn(usize) -> Option<TargetPrice>,
    ) -> Result<Self, Error> {
        let mut targets = Self { all: Vec::new(), by_model: vec![Vec::new(); models.len()] };
        let trust = Trust::new(settings.iter().any(|setting| setting.base_url.starts_with("https:")))?;
        for setting in settings {
            if targets.all.iter().any(|known| known.name == setting.name) {
                return Err(Error::target(&setting.name, "name", "one that no other target has", &setting.name));
            }
            let mut target = Target { position: targets.all.len(), ..Target::new(setting, models, &trust)? };
            target.price = target.price.or_else(|| catalogue(target.model_idx));
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

    /// The targets of a ranked list of models, each with the tokens expected of the request, in the order in which to try them: by
    /// rank; within a model those the request wishes first, those that are well, and of those the one that is soonest done by
    /// the latency of late and the calls on their way (peak EWMA); what is known to be down comes last of all, for trying it
    /// beats refusing. Whom the request may not reach is not among them.
    pub(crate) fn in_order(&self, ranked: &[(usize, f32)], wish: &Wish, now: Instant) -> Vec<&Target> {
        let mut order: Vec<(Place, &Target)> = Vec::new();
        for (rank, (model_idx, tokens)) in ranked.iter().enumerate() {
            for position in self.by_model.get(*model_idx).into_iter().flatten() {
                let target = &self.all[*position];
                if target.barred(wish, *tokens).is_none() {
                    order.push((target.place(rank, wish, now), target));
                }
            }
        }
        order.sort_by(|(a, _), (b, _)| {
            a.key()
                .cmp(&b.key())
                .then(a.wished.total_cmp(&b.wished))
                .then(a.standing.cmp(&b.standing))
                .then(a.load.total_cmp(&b.load))
        });
        order.into_iter().map(|(_, target)| target).collect()
    }

    /// Whether a request may reach a target of a model; what keeps it from each, where it reaches none.
    pub(crate) fn reaches(&self, model_idx: usize, tokens: f32, wish: &Wish) -> Result<(), Vec<&'static str>> {
        let mut barred = Vec::new();
        for position in self.by_model.get(model_idx).into_iter().flatten() {
            match self.all[*position].barred(wish, tokens) {
                None => return Ok(()),
                Some(reason) => barred.push(reason),
            }
        }
        Err(barred)
    }
}

/// Where a target stands in the order, and why.
struct Place {
    is_down: bool,
    rank: usize,
    /// Among those that the request names first.
    named: usize,
    /// By what the request sorts; 0 where it does not.
    wished: f64,
    standing: Standing,
    load: f64,
}

impl Place {
    fn key(&self) -> (bool, usize, usize) {
        (self.is_down, self.rank, self.named)
    }
}

/// The form of a base address.
const BASE: &str = "http:// or https:// with a host, and perhaps a path";

impl Target {
    fn new(settings: &TargetSettings, models: &[String], trust: &Trust) -> Result<Self, Error> {
        let TargetSettings { name, model, base_url, upstream_model, api_key, timeouts, .. } = settings;
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
        let price = settings.price;
        if price.is_some_and(|price| {
            [price.input_usd_per_mtok, price.output_usd_per_mtok].iter().any(|usd| !(*usd >= 0.0 && usd.is_finite()))
        }) {
            return Err(bad("price", "0 or more USD per million tokens", "a number outside that"));
        }
        if settings.region.as_ref().is_some_and(|region| !is_region(region)) {
            return Err(bad(
                "region",
                "1 to 64 visible ASCII characters",
                settings.region.as_deref().unwrap_or_default(),
            ));
        }
        let mut capabilities = None;
        for able in settings.capabilities.iter().flatten() {
            let known: &mut Capabilities = capabilities.get_or_insert_default();
            match able.as_str() {
                "tools" => known.tools = true,
                "vision" => known.vision = true,
                "json" => known.json = true,
                _ => return Err(bad("capabilities", "tools, vision, json", able)),
            }
        }
        // An empty list says that it can do nothing beside text.
        if settings.capabilities.is_some() {
            capabilities.get_or_insert_default();
        }
        Ok(Self {
            region: settings.region.clone(),
            capabilities,
            context_length: settings.context_length,
            price,
            latency: AtomicU64::new(0),
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

    /// What keeps a request of so many tokens from this target.
    fn barred(&self, wish: &Wish, tokens: f32) -> Option<&'static str> {
        let above = |price: f64, most: Option<f64>| most.is_some_and(|most| price > most);
        let most = wish.max_price;
        let is_limited = most.input_usd_per_mtok.is_some() || most.output_usd_per_mtok.is_some();
        let is_dear = match self.price {
            Some(price) => {
                above(price.input_usd_per_mtok, most.input_usd_per_mtok)
                    || above(price.output_usd_per_mtok, most.output_usd_per_mtok)
            }
            None => is_limited,
        };
        if self.capabilities.is_some_and(|able| !able.cover(wish.needs)) {
            Some(barred::CAPABILITIES)
        } else if self.context_length.is_some_and(|length| f64::from(tokens) > f64::from(length)) {
            Some(barred::CONTEXT_LENGTH)
        } else if wish.region.is_some() && wish.region != self.region {
            Some(barred::REGION)
        } else if !wish.only.is_empty() && !wish.only.contains(&self.name) {
            Some(barred::ONLY)
        } else if wish.ignore.contains(&self.name) {
            Some(barred::IGNORE)
        } else if is_dear {
            Some(barred::MAX_PRICE)
        } else {
            None
        }
    }

    fn place(&self, rank: usize, wish: &Wish, now: Instant) -> Place {
        let standing = self.standing(now);
        let named = wish.order.iter().position(|name| *name == self.name).unwrap_or(wish.order.len());
        let price = self.price.map_or(f64::INFINITY, |price| price.input_usd_per_mtok + price.output_usd_per_mtok);
        let latency = f64::from_bits(self.latency.load(Ordering::Relaxed));
        Place {
            is_down: standing == Standing::Down,
            rank,
            named,
            wished: match wish.sort {
                None => 0.0,
                Some(Sort::Price) => price,
                Some(Sort::Latency) => latency,
            },
            standing,
            // One that was never asked counts as quick: somebody has to find out.
            load: (latency + 1.0) * (self.in_flight() + 1) as f64,
        }
    }

    /// Notes how long an answer took, to its end or to its first content.
    pub(crate) fn took(&self, time: Duration) {
        let now = time.as_secs_f64() * 1e3;
        let before = f64::from_bits(self.latency.load(Ordering::Relaxed));
        // A lost update is one answer less in a mean.
        let mean = if now > before { now } else { before + PEAK_DECAY * (now - before) };
        self.latency.store(mean.to_bits(), Ordering::Relaxed);
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

/// Share of the way that the latency of late goes towards a quicker answer.
const PEAK_DECAY: f64 = 0.3;

/// Whether a text can name a region.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Busy<'t>(&'t Target);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
