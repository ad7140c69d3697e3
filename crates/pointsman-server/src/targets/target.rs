//! One place where a model can be reached: what is configured, checked, and how it fares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderName, HeaderValue, Uri};
use pointsman::Capabilities;

use super::health::{Fares, Health, Report, Standing, Turn};
use super::quantiles::PaceNow;
use super::settings::{TargetPrice, TargetSettings, Timeouts};
use super::terms::Terms;
use super::wish::{Counted, MaxPrice, Purpose, Sort, Wish, barred};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::metrics::gen_ai::Answers;
use crate::regions::{PLACE, RegionPolicy, distance_km, is_place, is_region};
use crate::routing::sessions::Seat;
use crate::upstream::Failure;
use crate::upstream::addresses::{Reach, reach};
use crate::upstream::client::{Client, Trust};
use crate::wire::headers::encoded;
use crate::wire::protocol::Protocol;

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
    /// Its model's name, and the same as a header's value.
    pub(crate) model: Arc<str>,
    pub(crate) model_header: HeaderValue,
    /// Its key, as a protocol sends it.
    credentials: Vec<(Protocol, HeaderName, HeaderValue)>,
    pub(crate) timeouts: Timeouts,
    scheme: Scheme,
    authority: Authority,
    /// Path of the base, without a slash at the end.
    base_path: String,
    protocols: Vec<Protocol>,
    pub(crate) region: Option<String>,
    /// Kilometres from every region whose place is known.
    distances: BTreeMap<String, f64>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) context_length: Option<u32>,
    pub(crate) price: Option<TargetPrice>,
    /// Whether the router predicts in USD what its model costs.
    pub(super) is_predicted: bool,
    terms: Terms,
    /// Where its answers are counted, by protocol.
    answers: [OnceLock<Answers>; Protocol::ALL.len()],
    life: Arc<Life>,
}

/// What changes of a target while it serves, and its connections. A reload that leaves its settings as they were leaves this
/// too: what is known to be down stays so, and nobody has to connect anew.
#[derive(Debug)]
struct Life {
    settings: TargetSettings,
    client: Client,
    health: Mutex<Health>,
    in_flight: AtomicUsize,
}

impl Life {
    /// The one of `before` where that is the same target, else a new one.
    fn of(before: Option<&Target>, settings: &TargetSettings, trust: &Trust, reach: Reach) -> Arc<Self> {
        let same = before.map(|before| Arc::clone(&before.life)).filter(|life| life.settings == *settings);
        same.unwrap_or_else(|| {
            Arc::new(Self {
                settings: settings.clone(),
                client: Client::new(trust, settings.timeouts.connect, reach),
                health: Mutex::default(),
                in_flight: AtomicUsize::new(0),
            })
        })
    }
}

/// Kilometres to a target from every region whose place is known; nothing where its own is not.
fn distances(settings: &TargetSettings, regions: &BTreeMap<String, [f64; 2]>) -> BTreeMap<String, f64> {
    let own = settings.at.or_else(|| settings.region.as_ref().and_then(|region| regions.get(region)).copied());
    let from = |at| regions.iter().map(move |(name, from)| (name.clone(), distance_km(*from, at)));
    own.into_iter().flat_map(from).collect()
}

/// The form of a base address.
const BASE: &str = "http:// or https:// with a host, and perhaps a path";

impl Target {
    pub(super) fn new(
        settings: &TargetSettings,
        position: usize,
        model_idx: usize,
        trust: &Trust,
        regions: &BTreeMap<String, [f64; 2]>,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let TargetSettings { name, model, base_url, upstream_model, api_key, timeouts, .. } = settings;
        let bad = |field, expected, got: &str| Error::target(name, field, expected, got);
        let name_header = HeaderValue::from_str(name).ok().filter(|_| !name.is_empty() && name.len() <= 128);
        let name_header = name_header.ok_or_else(|| bad("name", "1 to 128 visible characters", name))?;
        let mut protocols = Vec::new();
        for endpoint in &settings.endpoints {
            let known = Protocol::named(endpoint);
            protocols.push(known.ok_or_else(|| bad("endpoints", "chat, responses, messages, embeddings", endpoint))?);
        }
        if protocols.is_empty() {
            return Err(bad("endpoints", "at least one", "none"));
        }
        let uri: Uri = base_url.trim_end_matches('/').parse().map_err(|_| bad("base_url", BASE, base_url))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err(bad("base_url", BASE, base_url));
        };
        let Some(reach) = reach(authority.host(), settings.private_addresses) else {
            return Err(bad(
                "base_url",
                "a host that is no address of the link, of many or of nobody",
                authority.host(),
            ));
        };
        let path = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        if path.query().is_some() || authority.as_str().contains('@') {
            return Err(bad("base_url", "neither a query nor credentials in it", "one that has"));
        }
        let mut credentials = Vec::new();
        for protocol in protocols.iter().filter(|_| api_key.is_some()) {
            let key = protocol.credential(api_key.as_deref().unwrap_or_default());
            let (name, value) = key.ok_or_else(|| bad("api_key", "visible characters in it", "others"))?;
            credentials.push((*protocol, name, value));
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
        if price.is_some_and(|price| !price.is_valid()) {
            return Err(bad("price", "0 or more USD per million tokens", "a number outside that"));
        }
        if let Some(at) = settings.at.filter(|at| !is_place(*at)) {
            return Err(bad("at", PLACE, &format!("{at:?}")));
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
        let terms = Terms::new(settings)?;
        let own = own_trust(settings, &scheme)?;
        let life = Life::of(before, settings, own.as_ref().unwrap_or(trust), reach);
        Ok(Self {
            terms,
            region: settings.region.clone(),
            distances: distances(settings, regions),
            capabilities,
            context_length: settings.context_length,
            price,
            is_predicted: false,
            position,
            model: model.as_str().into(),
            model_header: encoded(model),
            protocols,
            name: name.clone(),
            name_header,
            model_idx,
            upstream_model: upstream_model.clone().unwrap_or_else(|| model.clone()),
            credentials,
            timeouts: *timeouts,
            scheme,
            authority,
            base_path: path.path().trim_end_matches('/').to_owned(),
            answers: Default::default(),
            life,
        })
    }

    /// The address of an endpoint, such as `/chat/completions`.
    pub(crate) fn uri(&self, endpoint: &str) -> Uri {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(format!("{}{endpoint}", self.base_path)).build().expect("checked when configured")
    }

    /// Host and port.
    pub(crate) fn server(&self) -> (&str, u16) {
        let usual = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(usual))
    }

    /// Where its answers to one kind of request are counted.
    pub(crate) fn answers(&self, metrics: &Metrics, protocol: Protocol) -> &Answers {
        self.answers[protocol as usize].get_or_init(|| metrics.answers(protocol, &self.model))
    }

    /// What speaks to it.
    pub(crate) fn client(&self) -> &Client {
        &self.life.client
    }

    /// Calls on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.life.in_flight.load(Ordering::Relaxed)
    }

    /// How it stands now.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.health().standing(now)
    }

    /// Whether it answers prompts, in whatever protocol.
    pub(super) fn answers_prompts(&self) -> bool {
        [Protocol::Chat, Protocol::Responses, Protocol::Messages].iter().any(|protocol| self.serves(*protocol))
    }

    /// What keeps a request of so many tokens from this target.
    pub(super) fn barred(&self, wish: &Wish, tokens: f32) -> Option<&'static str> {
        let above = |price: f64, most: Option<f64>| most.is_some_and(|most| price > most);
        // Servers refuse what does not fit with all the answer that it asks for.
        let room = f64::from(wish.output_tokens.unwrap_or_default());
        let most = &wish.max_price;
        let is_limited = *most != MaxPrice::default();
        let is_dear = match self.price {
            Some(price) => {
                above(price.input_usd_per_mtok, most.input_usd_per_mtok)
                    || above(price.output_usd_per_mtok, most.output_usd_per_mtok)
            }
            None => is_limited,
        };
        let is_uncounted = self.price.is_none()
            && match wish.counted {
                None => false,
                Some(Counted::ByPrice) => true,
                Some(Counted::ByPrediction) => !self.is_predicted,
            };
        let is_served = match wish.purpose {
            Purpose::Decision => self.answers_prompts(),
            Purpose::Request(protocol) => self.serves(protocol),
        };
        if !is_served {
            Some(barred::ENDPOINT)
        } else if self.capabilities.is_some_and(|able| !able.cover(wish.needs)) {
            Some(barred::CAPABILITIES)
        } else if self.context_length.is_some_and(|length| f64::from(tokens) + room > f64::from(length)) {
            Some(barred::CONTEXT_LENGTH)
        } else if wish
            .region
            .as_ref()
            .is_some_and(|region| region.policy == RegionPolicy::Require && self.region.as_ref() != Some(&region.name))
        {
            Some(barred::REGION)
        } else if !wish.only.is_empty() && !wish.only.iter().any(|name| self.goes_by(name)) {
            Some(barred::ONLY)
        } else if wish.ignore.iter().any(|name| self.goes_by(name)) {
            Some(barred::IGNORE)
        } else if is_dear {
            Some(barred::MAX_PRICE)
        } else if is_uncounted {
            Some(barred::BUDGET)
        } else {
            self.terms.barred(wish)
        }
    }

    /// Whether a request that names this means it: by its own name, or by its provider's.
    pub(super) fn goes_by(&self, name: &str) -> bool {
        self.name == name || self.terms.are_of(name)
    }

    /// How it fares now, as far as that matters to a request.
    pub(super) fn fares(&self, wish: &Wish, now: Instant) -> Fares {
        let mut health = self.health();
        let pace = &mut health.pace;
        let is_sorted = wish.sort == Some(Sort::Throughput);
        Fares {
            tokens_per_second: if is_sorted { pace.tokens_per_second(now) } else { 0.0 },
            misses: !wish.preferred.is_none() && pace.misses(&wish.preferred, wish.streams, now),
            standing: health.standing(now),
            failed_share: health.failed_share(now),
            share: health.share(now),
            latency_ms: health.latency.at(now),
        }
    }

    /// What a million tokens in and a million out cost; infinite where nobody knows.
    pub(super) fn price_sum(&self) -> f64 {
        self.price.map_or(f64::INFINITY, |price| price.sum())
    }

    /// Whether it answers such requests.
    pub(crate) fn serves(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Its key as this protocol sends it.
    pub(crate) fn credential(&self, protocol: Protocol) -> Option<(HeaderName, HeaderValue)> {
        let (_, name, value) = self.credentials.iter().find(|(of, ..)| *of == protocol)?;
        Some((name.clone(), value.clone()))
    }

    /// The protocol of its first endpoint.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocols[0]
    }

    /// How far a request has to go, in kilometres; where that is not known, nothing within its region and for ever beyond. 0 where
    /// it does not matter.
    pub(super) fn far(&self, wish: &Wish) -> f64 {
        let Some(region) = &wish.region else { return 0.0 };
        let beyond = if self.region.as_ref() == Some(&region.name) { 0.0 } else { f64::INFINITY };
        match region.policy {
            RegionPolicy::Require => 0.0,
            RegionPolicy::Prefer => beyond,
            RegionPolicy::Nearest => self.distances.get(&region.name).copied().unwrap_or(beyond),
        }
    }

    /// Whether a request that is too long for another target may be short enough for this one, as far as is declared.
    pub(crate) fn may_read_more_than(&self, other: &Self) -> bool {
        match (self.context_length, other.context_length) {
            (Some(length), Some(too_short)) => length > too_short,
            (None, Some(_)) => true,
            (_, None) => self.model_idx != other.model_idx,
        }
    }

    /// What a session that it answered remembers.
    pub(crate) fn seat(&self) -> Seat {
        Seat { model: Arc::clone(&self.model), target: Some(self.name.as_str().into()) }
    }

    /// Whether nothing was heard of it for so long, or nothing good.
    pub(crate) fn is_in_doubt(&self, interval: Duration, now: Instant) -> bool {
        let health = self.health();
        health.heard.is_none_or(|heard| now.saturating_duration_since(heard) >= interval)
            || health.standing(now) != Standing::Well
    }

    /// How quick it was over the last five minutes.
    pub(crate) fn pace(&self, now: Instant) -> PaceNow {
        self.health().pace.at(now)
    }

    /// Notes that a stream has begun to say something, so long after it was asked for.
    pub(crate) fn began(&self, time: Duration, now: Instant) {
        let mut health = self.health();
        health.latency.note(time.as_secs_f64() * 1e3, now);
        health.pace.began(time, now);
    }

    /// Notes an answer that is no stream, or a refusal of the request for its own sake, and how long it took.
    pub(crate) fn answered(&self, time: Duration, now: Instant) -> Option<Turn> {
        let mut health = self.health();
        health.latency.note(time.as_secs_f64() * 1e3, now);
        health.turned(Report::Answered, now)
    }

    /// Notes an answer that was read to its good end, so long after it was asked for, and its tokens where they are known. Of
    /// a stream only then it is known that it was one.
    pub(crate) fn ended(&self, Ended { time, tokens, was_stream }: Ended, now: Instant) -> Option<Turn> {
        let mut health = self.health();
        health.pace.ended(time, tokens, now);
        if was_stream { health.turned(Report::Answered, now) } else { None }
    }

    /// Notes that a call came to nothing after so long; what that did to its circuit, if anything.
    pub(crate) fn lost(&self, failure: Failure, time: Duration, streams: bool, now: Instant) -> Option<Turn> {
        match failure.report() {
            Some(report) => self.report(report, now),
            None => self.health().overdue(time, streams, self.timeouts.first_token / 4, now),
        }
    }

    /// Notes that it had not answered after so long, when another one had.
    pub(crate) fn outrun(&self, time: Duration, now: Instant) {
        self.health().latency.note(time.as_secs_f64() * 1e3, now);
    }

    /// Notes what became of a call; what that did to its circuit, if anything.
    pub(crate) fn report(&self, report: Report, now: Instant) -> Option<Turn> {
        self.health().turned(report, now)
    }

    /// Notes that a call begins, and that it finds out where that is to be found out.
    pub(crate) fn call(&self, now: Instant) -> Busy<'_> {
        self.health().begin(now);
        self.begin()
    }

    /// Notes that something is being done; it has ended when what is returned is dropped.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.life.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // Nothing is left half changed by a panic.
        self.life.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a target trusts that has authorities of its own.
fn own_trust(settings: &TargetSettings, scheme: &Scheme) -> Result<Option<Trust>, Error> {
    let Some(pem) = &settings.ca_pem else { return Ok(None) };
    let bad = |expected, got: &str| Err(Error::target(&settings.name, "ca_file", expected, got));
    if *scheme != Scheme::HTTPS {
        return bad("https:// in base_url", &settings.base_url);
    }
    Trust::authorities(pem).map_or_else(|| bad("certificates in PEM", "others, or none"), |trust| Ok(Some(trust)))
}

/// A good end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) time: Duration,
    /// Of the answer, by the target's count.
    pub(crate) tokens: Option<u32>,
    pub(crate) was_stream: bool,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Busy<'t>(&'t Target);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.life.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
