//! What endpoints see of the running service: the snapshot of the moment, limits, counters; and its replacement.

pub(crate) mod changes;
pub(crate) mod shelf;
mod signature;
mod stand_in;
pub(crate) mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::Extensions;
use pointsman::artifact::{CostTarget, ListPrice};
use pointsman::{Catalog, CatalogEntry, Router};
use tokio::sync::{Mutex, Semaphore};

use crate::admins::Admins;
use crate::error::Error;
use crate::metrics::{DecisionCells, Metrics};
use crate::names::Conventions;
use crate::net::ids::Ids;
use crate::regions::Regions;
use crate::routing::policies::Policies;
use crate::routing::retries::RetryBudget;
use crate::routing::sessions::Sessions;
use crate::routing::snapshot::Snapshot;
use crate::settings::{Limits, Settings};
use crate::source::Source;
use crate::state::{State, now_us};
use crate::tally::Tally;
use crate::targets::Targets;
use crate::targets::settings::{TargetPrice, TargetSettings};
use crate::tenants::Tenants;
use crate::traces::{Collector, Traces};
use shelf::{Shelf, of_file};
use stand_in::stand_in;
use texts::{Origin, Texts};

/// A snapshot and the counters of its decisions.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    /// Where its models can be reached.
    pub(crate) targets: Targets,
    /// Where requests come from.
    pub(crate) regions: Regions,
    /// Who may ask.
    pub(crate) tenants: Tenants,
    /// Who may administer.
    pub(crate) admins: Admins,
    /// The operator's rules.
    pub(crate) policies: Policies,
    /// What it was made from.
    pub(crate) settings: Settings,
    /// The artifact that decides, and those that did.
    pub(crate) shelf: Shelf,
    /// What it was read from, where that is a file, and what was before.
    pub(crate) texts: Texts,
    pub(crate) cells: DecisionCells,
}

impl Current {
    /// The name of a model, be it the router's or not.
    pub(crate) fn name(&self, model_idx: usize) -> &str {
        let models = self.snapshot.router().models();
        models.get(model_idx).unwrap_or_else(|| &self.targets.others()[model_idx - models.len()])
    }
}

/// How the last reload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LastReload {
    None,
    Applied,
    /// Refused, for this reason; what ran before still does.
    Refused(String),
}

/// The running service.
pub(crate) struct Live {
    current: ArcSwap<Current>,
    pub(crate) source: Source,
    /// To tell which changes of a reload wait for the next start.
    started_with: Settings,
    /// Keeps changes one at a time.
    turn: Mutex<()>,
    last_reload: ArcSwap<LastReload>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) ids: Ids,
    /// Pieces of batches that may be worked on at a time, one per core.
    pub(crate) batch_cores: Arc<Semaphore>,
    /// Bounds what is asked of targets a second time.
    pub(crate) retries: RetryBudget,
    /// By whom sessions were answered.
    pub(crate) sessions: Sessions,
    /// Decisions and feedback, where they are kept.
    pub(crate) state: Option<State>,
    pub(crate) tally: Tally,
    /// Spans, where they are exported.
    pub(crate) traces: Option<Traces>,
    /// When the process began to serve.
    pub(crate) started: std::time::Instant,
    in_flight: AtomicUsize,
    buffered: AtomicUsize,
    draining: AtomicBool,
    /// Makes every decision panic, to see what becomes of requests then.
    #[cfg(test)]
    pub(crate) sabotaged: AtomicBool,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("version", &self.current().snapshot.version()).finish_non_exhaustive()
    }
}

impl Live {
    /// Reads the settings and loads their artifact.
    pub(crate) fn open(source: impl Into<Source>) -> Result<(Self, Settings), Error> {
        let source = source.into();
        let (settings, text) = source.read()?;
        let limits = Limits::new(&settings)?;
        let state = settings.state.as_ref().map(State::open).transpose()?;
        let spent = state.as_ref().map(State::spent_today).transpose()?.unwrap_or_default();
        let texts = text.map(|text| Texts::default().with(text, 1, Origin::Start, now_us())).unwrap_or_default();
        let parts = Parts { shelf: shelf_of(&settings)?, settings: settings.clone(), texts, config_version: 1 };
        let current = load(parts, None, &spent)?;
        let metrics = Metrics::new(Conventions::of_environment());
        metrics.router(current.snapshot.version());
        let traces =
            collector(&settings)?.map(|collector| Traces::start(collector, metrics.spans_lost())).transpose()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let live = Self {
            current: ArcSwap::from_pointee(current),
            source,
            started_with: settings.clone(),
            turn: Mutex::new(()),
            last_reload: ArcSwap::from_pointee(LastReload::None),
            limits,
            metrics,
            ids: Ids::default(),
            batch_cores: Arc::new(Semaphore::new(cores)),
            retries: RetryBudget::default(),
            sessions: Sessions::new(settings.sessions),
            state,
            tally: Tally::default(),
            traces,
            started: std::time::Instant::now(),
            in_flight: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            #[cfg(test)]
            sabotaged: AtomicBool::new(false),
        };
        Ok((live, settings))
    }

    /// What this request is answered from; taken once per request.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// What a request is answered from: by what it was let in, where that was asked, though a reload may have come while its body
    /// did.
    pub(crate) fn of(&self, extensions: &Extensions) -> Arc<Current> {
        extensions.get::<Arc<Current>>().cloned().unwrap_or_else(|| self.current())
    }

    /// The same for a look in passing, which must not wait for anything.
    pub(crate) fn peek(&self) -> arc_swap::Guard<Arc<Current>> {
        self.current.load()
    }

    /// How the last reload ended.
    pub(crate) fn last_reload(&self) -> Arc<LastReload> {
        self.last_reload.load_full()
    }

    /// Lets a request of the data plane in, or not.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<InFlight, Error> {
        let limit = self.limits.max_in_flight;
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Overloaded { limit });
        }
        self.metrics.in_flight().inc();
        Ok(InFlight(Arc::clone(self)))
    }

    /// Takes nothing yet of the memory that bodies of requests may have.
    pub(crate) fn room(self: &Arc<Self>) -> Room {
        Room { live: Arc::clone(self), taken: 0 }
    }

    /// Bytes that bodies of requests hold.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    /// Says that the end has begun.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the end has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// A request on its way; leaves when dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Live>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight().dec();
    }
}

/// Time between two looks whether there is room again.
const ROOM_INTERVAL: Duration = Duration::from_millis(5);

/// What the body of a request holds of the memory that there is for all of them; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    live: Arc<Live>,
    taken: usize,
}

impl Room {
    /// Takes so many bytes more, or says that there is no room for them.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let limit = self.live.limits.max_buffered_bytes;
        if self.live.buffered.fetch_add(bytes, Ordering::Relaxed) + bytes > limit {
            self.live.buffered.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::NoRoom { limit });
        }
        self.taken += bytes;
        Ok(())
    }

    /// Waits until there is some, which is then for whoever takes it first.
    pub(crate) async fn wait(&self) {
        while self.live.buffered.load(Ordering::Relaxed) >= self.live.limits.max_buffered_bytes {
            tokio::time::sleep(ROOM_INTERVAL).await;
        }
    }

    /// Holds so many bytes, neither more nor less, be there room or not: they are here already.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.live.buffered.fetch_add(bytes, Ordering::Relaxed);
        self.live.buffered.fetch_sub(std::mem::replace(&mut self.taken, bytes), Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.live.buffered.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// What a snapshot is made from.
struct Parts {
    settings: Settings,
    shelf: Shelf,
    texts: Texts,
    config_version: u64,
}

/// With the artifact of the settings' file; where that cannot be used and a target is named for that, with a stand-in.
fn shelf_of(settings: &Settings) -> Result<Shelf, Error> {
    match of_file(settings) {
        Ok(router) => Ok(Shelf::new(router)),
        Err(error @ (Error::Router(_) | Error::WrongArtifact { .. } | Error::NotSigned { .. }))
            if settings.default_target.is_some() =>
        {
            default_target(settings)?;
            let why = error.chain();
            tracing::error!(
                cause = why,
                "the artifact cannot be used: the default target answers until a reload finds one that can"
            );
            Ok(Shelf::standing_in(stand_in(settings)?, &why))
        }
        Err(error) => Err(error),
    }
}

/// What the models cost: by the router's list, or where targets have prices of their own, by the cheapest of a model's. A model
/// whose cost the router predicts in USD has no price to be counted with.
fn catalog(router: &Router, targets: &[TargetSettings]) -> Catalog {
    let mut catalog = router.default_catalog();
    let document = router.document();
    for (model, head) in document.models.iter().zip(&document.costs) {
        if head.target != CostTarget::OutputTokens {
            continue;
        }
        let of_it = targets.iter().filter(|target| target.model == *model).filter_map(|target| target.price);
        let cheapest = of_it.filter(TargetPrice::is_valid).min_by(|a, b| a.sum().total_cmp(&b.sum()));
        let Some(TargetPrice { input_usd_per_mtok, output_usd_per_mtok, .. }) = cheapest else { continue };
        let price = Some(ListPrice { input_usd_per_mtok, output_usd_per_mtok });
        match catalog.entries.iter_mut().find(|entry| entry.model == *model) {
            Some(entry) => entry.price = price,
            None => catalog.entries.push(CatalogEntry {
                model: model.clone(),
                price,
                context_length: None,
                capabilities: None,
            }),
        }
    }
    catalog
}

/// Checks that chats can go to the default target, where there is one.
fn default_target(settings: &Settings) -> Result<(), Error> {
    let is_it = |name: &String, target: &TargetSettings| {
        target.name == *name && target.endpoints.iter().any(|endpoint| endpoint == "chat")
    };
    match &settings.default_target {
        Some(name) => {
            let bad = |expected, got: &str| {
                Err(Error::BadSetting { field: "router.default_target", expected, got: got.to_owned() })
            };
            let Some(target) = settings.targets.iter().find(|target| is_it(name, target)) else {
                return bad("the name of a target with the endpoint `chat`", name);
            };
            // The router's list of prices is not there when it is needed.
            if target.price.is_none() && settings.tenants.iter().any(|tenant| tenant.budget_usd_per_day.is_some()) {
                return bad("a target with a `price` of its own, for there are tenants with a budget", name);
            }
            Ok(())
        }
        None => Ok(()),
    }
}

fn load(parts: Parts, before: Option<&Current>, spent: &BTreeMap<String, f64>) -> Result<Current, Error> {
    let Parts { settings, shelf, texts, config_version } = parts;
    let router = shelf.active();
    let catalog = catalog(router, &settings.targets);
    let mut snapshot = Snapshot::new(router, catalog, &settings.objective, &settings.aliases, config_version)?;
    prepare(&mut snapshot, &settings)?;
    let list = router.default_catalog();
    let price = |model_idx: usize| list.get(router.models().get(model_idx)?)?.price.map(TargetPrice::from);
    let served = before.map(|before| &before.targets);
    let is_predicted = |model_idx: usize| {
        let head = router.document().costs.get(model_idx);
        shelf.stands_in().is_none() && head.is_some_and(|head| head.target == CostTarget::CostUsd)
    };
    let targets =
        Targets::new(&settings.targets, &settings.health, router.models(), &settings.regions.at, served, price)?
            .predicted(is_predicted);
    default_target(&settings)?;
    let regions = Regions::new(&settings.regions)?;
    let models = [router.models(), targets.others()].concat();
    let tenants = Tenants::new(&settings.tenants, &models, before.map(|before| &before.tenants), spent, now_us())?;
    let uncounted = targets.uncounted();
    if !uncounted.is_empty() && settings.tenants.iter().any(|tenant| tenant.budget_usd_per_day.is_some()) {
        let targets = uncounted.join(", ");
        tracing::warn!(targets, "nobody knows the price of these targets: they answer no tenant that has a budget");
    }
    let policies = Policies::new(&settings.policies, router.models(), targets.others())?;
    warn_of_regions(&settings);
    let admins = Admins::new(&settings.admin_key_sha256)?;
    settings.admin_listen.as_deref().map_or(Ok(()), |address| admins.may_listen(address))?;
    let cells = DecisionCells::new(models.len());
    Ok(Current { snapshot, targets, regions, tenants, admins, policies, settings, shelf, texts, cells })
}

/// Tells the log of regions that tenants or rules name and no target is in: that may be so, and it may be a slip of the pen.
fn warn_of_regions(settings: &Settings) {
    let of_tenants = settings.tenants.iter().filter_map(|tenant| Some((&tenant.name, tenant.region.as_ref()?)));
    let of_rules = settings.policies.iter().filter_map(|rule| Some((&rule.name, rule.region.as_ref()?)));
    let is_there = |region: &String| settings.targets.iter().any(|target| target.region.as_ref() == Some(region));
    for (name, region) in of_tenants.chain(of_rules).filter(|(_, region)| !is_there(region)) {
        if !settings.targets.is_empty() {
            tracing::warn!(name, region, "no target is in this region, which a tenant or a policy names");
        }
    }
}

/// Binds the router to the objectives of tenants and rules, so that one that it cannot weigh refuses the configuration and
/// not its requests.
fn prepare(snapshot: &mut Snapshot, settings: &Settings) -> Result<(), Error> {
    const EXPECTED: &str = "quality, balanced, cheap or a number, for this router was trained without latencies";
    for tenant in &settings.tenants {
        let prepared = tenant.objective.as_ref().map_or(Ok(()), |objective| snapshot.prepare(objective));
        prepared.map_err(|error| match error {
            Error::Router(pointsman::Error::NoLatency) => Error::tenant(&tenant.name, "objective", EXPECTED, "fast"),
            error => error,
        })?;
    }
    for policy in &settings.policies {
        let prepared = policy.objective.as_ref().map_or(Ok(()), |objective| snapshot.prepare(objective));
        prepared.map_err(|error| match error {
            Error::Router(pointsman::Error::NoLatency) => Error::policy(&policy.name, "objective", EXPECTED, "fast"),
            error => error,
        })?;
    }
    Ok(())
}

/// Where traces go, if anywhere.
fn collector(settings: &Settings) -> Result<Option<Collector>, Error> {
    settings.traces.as_ref().map(Collector::new).transpose()
}

/// Whether something changed beside what a reload takes into use.
fn waits_for_a_start(started_with: &Settings, now: &Settings) -> bool {
    let Settings { router, router_sha256, objective, targets, health, hedge_after, aliases, .. } = now.clone();
    let Settings { minisign_key, tenants, policies, admin_key_sha256, fallback_on, regions, default_target, .. } =
        now.clone();
    let used = Settings { router, router_sha256, objective, targets, health, ..started_with.clone() };
    let used = Settings { minisign_key, default_target, fallback_on, regions, ..used };
    Settings { hedge_after, aliases, tenants, policies, admin_key_sha256, ..used } != *now
}
