//! What is counted and timed. All names and labels stand here; every label set is closed, and none holds text of a
//! request.

pub(crate) mod gen_ai;
mod pace;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::names::Conventions;
use gen_ai::{Answers, GenAi};
use pace::Paces;

use crate::routing::plan::REASONS;
use crate::targets::health::{Standing, Turn};
use crate::targets::quantiles::PaceNow;
use crate::wire::protocol::Protocol;

/// Bounds for the stages of a decision: 1 µs to 10 ms.
const STAGE_SECONDS: [f64; 13] = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2];

/// Bounds for whole requests: 20 µs to 10 s.
const REQUEST_SECONDS: [f64; 12] = [2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1, 0.5, 2.0, 10.0];

/// Bounds for what we add to a call: 10 µs to 100 ms.
const OVERHEAD_SECONDS: [f64; 13] = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1];

/// A stage of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(crate) enum Stage {
    /// Bytes to a query.
    parse,
    /// Text to features.
    embed,
    /// Features to predictions.
    score,
    /// Predictions to a plan.
    policy,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// `POST /v1/route`.
    Decision,
    /// `POST /v1/route/batch`.
    Batch,
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/feedback`.
    Feedback,
    /// `GET /v1/models`.
    Models,
    /// Health and readiness.
    Probe,
    /// Metrics, documents, administration.
    Ops,
    /// A path that does not exist.
    Other,
}

impl Route {
    const ALL: [Self; 11] = [
        Self::Decision,
        Self::Batch,
        Self::Chat,
        Self::Responses,
        Self::Messages,
        Self::Embeddings,
        Self::Feedback,
        Self::Models,
        Self::Probe,
        Self::Ops,
        Self::Other,
    ];

    /// The route of a path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v1/route" => Self::Decision,
            "/v1/route/batch" => Self::Batch,
            "/v1/chat/completions" => Self::Chat,
            "/v1/responses" => Self::Responses,
            "/v1/messages" => Self::Messages,
            "/v1/embeddings" => Self::Embeddings,
            "/v1/feedback" => Self::Feedback,
            "/v1/models" => Self::Models,
            _ if path.starts_with("/v1/routers/") => Self::Models,
            "/health" | "/ready" => Self::Probe,
            "/metrics" | "/openapi.json" => Self::Ops,
            _ if path.starts_with("/admin/") => Self::Ops,
            _ => Self::Other,
        }
    }

    /// The protocol of a request that is carried out.
    pub(crate) fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Chat => Some(Protocol::Chat),
            Self::Responses => Some(Protocol::Responses),
            Self::Messages => Some(Protocol::Messages),
            Self::Embeddings => Some(Protocol::Embeddings),
            _ => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Decision => "route",
            Self::Batch => "batch",
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Embeddings => "embeddings",
            Self::Feedback => "feedback",
            Self::Models => "models",
            Self::Probe => "probe",
            Self::Ops => "ops",
            Self::Other => "other",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    /// Answered.
    Ok,
    /// Its own mistake.
    Refused,
    /// Too much at a time, or too late.
    Overloaded,
    /// Ours.
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Overloaded, Self::Failed];

    fn of(status: u16) -> Self {
        match status {
            503 => Self::Overloaded,
            500.. => Self::Failed,
            400.. => Self::Refused,
            _ => Self::Ok,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// The tenant of a request as metrics call it; an extension of its reply.
#[derive(Clone, Debug)]
pub(crate) struct Tenant(pub(crate) Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// Empty without tenants; of more than a metric should have, `other`.
    tenant: Arc<str>,
    route: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    model: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    target: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    target: String,
    status_class: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FallbackLabels {
    from: String,
    to: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StandingLabels {
    target: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CircuitLabels {
    target: String,
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: String,
}

/// Everything measured, resolved as far as it can be before a request comes.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    gen_ai: GenAi,
    stages: [Histogram; 4],
    requests: Vec<RequestCell>,
    /// The same counters by tenant.
    of_tenants: Family<RequestLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    reloads: Family<ResultLabel, Counter>,
    attempts: Family<CallLabels, Counter>,
    degraded: Family<CauseLabel, Counter>,
    rate_limited: Family<TenantLabel, Counter>,
    router_info: Family<VersionLabel, Gauge>,
    in_flight: Gauge,
    buffered: Gauge,
    panics: Counter,
    ledger_lost: Gauge,
    ledger_waiting: Gauge,
    hedges: Counter,
    probes: Family<AttemptLabels, Counter>,
    fallbacks: Family<FallbackLabels, Counter>,
    standings: Family<StandingLabels, Gauge>,
    circuits: Family<CircuitLabels, Counter>,
    paces: Paces,
    overhead: Histogram,
    spans_lost: Counter,
    budgets: Family<TenantLabel, Gauge<f64, AtomicU64>>,
}

#[derive(Debug)]
struct RequestCell {
    outcomes: Vec<Counter>,
    duration: Histogram,
}

/// Counters of one snapshot's decisions: a cell per model and reason, made when first needed.
#[derive(Debug)]
pub(crate) struct DecisionCells(Vec<OnceLock<Counter>>);

impl Metrics {
    pub(crate) fn new(conventions: Conventions) -> Self {
        let mut root = Registry::default();
        let gen_ai = GenAi::new(conventions, &mut root);
        let registry = root.sub_registry_with_prefix("pointsman");
        let stages =
            Family::<StageLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(STAGE_SECONDS));
        let durations = Family::<RouteLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(REQUEST_SECONDS)
        });
        let requests = Family::<RequestLabels, Counter>::default();
        let decisions = Family::default();
        let reloads = Family::default();
        let attempts = Family::default();
        let degraded = Family::default();
        let rate_limited = Family::default();
        let router_info = Family::default();
        let budgets = Family::default();
        let (in_flight, buffered, panics) = (Gauge::default(), Gauge::default(), Counter::default());
        let (ledger_lost, ledger_waiting) = (Gauge::default(), Gauge::default());
        let hedges = Counter::default();
        let probes = Family::default();
        let fallbacks = Family::default();
        let standings = Family::default();
        let circuits = Family::default();
        let overhead = Histogram::new(OVERHEAD_SECONDS);
        let spans_lost = Counter::default();
        registry.register("decision_duration_seconds", "Time of a decision's stages", stages.clone());
        registry.register("request_duration_seconds", "Time from a request's head to its answer's", durations.clone());
        registry.register("requests", "Requests by route and outcome", requests.clone());
        registry.register("decisions", "Decisions by chosen model and reason", decisions.clone());
        registry.register("config_reload", "Reloads by result", reloads.clone());
        registry.register("upstream_attempts", "Calls to targets by outcome", attempts.clone());
        registry.register("degraded", "Requests answered without a decision, by cause", degraded.clone());
        registry.register("ratelimited", "Requests refused for a tenant's limit", rate_limited.clone());
        registry.register("router_info", "1 for the artifact that decides", router_info.clone());
        registry.register("inflight", "Requests of the data plane being answered", in_flight.clone());
        registry.register("buffered_bytes", "What the bodies of those requests hold in memory", buffered.clone());
        registry.register("hedges", "Second targets asked because the first was slow", hedges.clone());
        registry.register("target_probes", "Questions to targets how they are", probes.clone());
        registry.register("fallbacks", "Targets asked because another one had failed", fallbacks.clone());
        registry.register("target_state", "1 for how a target stands", standings.clone());
        registry.register("breaker_transitions", "Circuits of targets that opened or closed", circuits.clone());
        let paces = Paces::new(registry);
        registry.register("overhead_seconds", "Time of a request carried out that no target took", overhead.clone());
        registry.register("panics", "Requests that met a bug", panics.clone());
        registry.register("budget_remaining_usd", "What a tenant may still spend today", budgets.clone());
        registry.register("ledger_lost", "Rows that could not be kept", ledger_lost.clone());
        registry.register("ledger_waiting", "Rows that are not on file yet", ledger_waiting.clone());
        registry.register("spans_lost", "Spans that did not reach the collector", spans_lost.clone());
        let cell = |route: Route| RequestCell {
            outcomes: Outcome::ALL
                .map(|outcome| {
                    let labels =
                        RequestLabels { tenant: Arc::default(), route: route.label(), outcome: outcome.label() };
                    requests.get_or_create_owned(&labels)
                })
                .to_vec(),
            duration: durations.get_or_create_owned(&RouteLabel { route: route.label() }),
        };
        let metrics = Self {
            stages: [Stage::parse, Stage::embed, Stage::score, Stage::policy]
                .map(|stage| stages.get_or_create_owned(&StageLabel { stage })),
            requests: Route::ALL.map(cell).into(),
            of_tenants: requests.clone(),
            registry: root,
            gen_ai,
            decisions,
            reloads,
            attempts,
            degraded,
            rate_limited,
            router_info,
            in_flight,
            buffered,
            panics,
            ledger_lost,
            ledger_waiting,
            hedges,
            probes,
            fallbacks,
            standings,
            circuits,
            paces,
            overhead,
            spans_lost,
            budgets,
        };
        for result in ["applied", "refused"] {
            metrics.reloads.get_or_create_owned(&ResultLabel { result });
        }
        metrics
    }

    /// Everything in the text format that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }

    pub(crate) fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
    }

    pub(crate) fn request(&self, route: Route, tenant: Option<&Tenant>, status: u16, took: Duration) {
        let cell = &self.requests[route as usize];
        let outcome = Outcome::of(status);
        match tenant {
            None => cell.outcomes[outcome as usize].inc(),
            Some(Tenant(tenant)) => {
                let labels =
                    RequestLabels { tenant: Arc::clone(tenant), route: route.label(), outcome: outcome.label() };
                self.of_tenants.get_or_create_owned(&labels).inc()
            }
        };
        cell.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn decision(&self, cells: &DecisionCells, model: &str, model_idx: usize, reason: &'static str) {
        let reason_idx = REASONS.iter().position(|known| *known == reason).expect("the set of reasons is closed");
        let counter = cells.0[model_idx * REASONS.len() + reason_idx].get_or_init(|| {
            let model = model.to_owned();
            self.decisions.get_or_create_owned(&DecisionLabels { model, reason })
        });
        counter.inc();
    }

    /// Says which artifact decides from now on.
    pub(crate) fn router(&self, version: &str) {
        self.router_info.clear();
        self.router_info.get_or_create_owned(&VersionLabel { version: version.to_owned() }).set(1);
    }

    pub(crate) fn reload(&self, result: &'static str) {
        self.reloads.get_or_create_owned(&ResultLabel { result }).inc();
    }

    /// A call to a target, and how it ended.
    pub(crate) fn attempt(&self, target: &str, outcome: &'static str, status: Option<u16>) {
        let status_class = match status {
            None => "none",
            Some(200..=299) => "2xx",
            Some(300..=399) => "3xx",
            Some(400..=499) => "4xx",
            Some(_) => "5xx",
        };
        self.attempts.get_or_create_owned(&CallLabels { target: target.to_owned(), status_class, outcome }).inc();
    }

    /// A request that went to the default targets because no decision could be made.
    pub(crate) fn degraded(&self, cause: &'static str) {
        self.degraded.get_or_create_owned(&CauseLabel { cause }).inc();
    }

    /// A request refused because its tenant asks too often.
    pub(crate) fn rate_limited(&self, tenant: &str) {
        self.rate_limited.get_or_create_owned(&TenantLabel { tenant: tenant.to_owned() }).inc();
    }

    pub(crate) fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// What bodies of requests hold.
    pub(crate) fn buffered(&self, bytes: usize) {
        self.buffered.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// What tenants may still spend today.
    pub(crate) fn budgets<'t>(&self, left: impl Iterator<Item = (&'t str, f64)>) {
        self.budgets.clear();
        for (tenant, usd) in left {
            self.budgets.get_or_create_owned(&TenantLabel { tenant: tenant.to_owned() }).set(usd);
        }
    }

    /// Rows that the ledger could not keep, since the start.
    pub(crate) fn ledger(&self, lost: u64, waiting: u64) {
        self.ledger_lost.set(i64::try_from(lost).unwrap_or(i64::MAX));
        self.ledger_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A target was asked how it is.
    pub(crate) fn probe(&self, target: &str, outcome: &'static str) {
        self.probes.get_or_create_owned(&AttemptLabels { target: target.to_owned(), outcome }).inc();
    }

    /// A second target was asked because the first was slow.
    pub(crate) fn hedge(&self) {
        self.hedges.inc();
    }

    /// A target is asked because another one has failed.
    pub(crate) fn fallback(&self, from: &str, to: &str, cause: &'static str) {
        self.fallbacks.get_or_create_owned(&FallbackLabels { from: from.to_owned(), to: to.to_owned(), cause }).inc();
    }

    /// How targets stand now.
    pub(crate) fn standings<'t>(&self, standings: impl Iterator<Item = (&'t str, Standing)>) {
        self.standings.clear();
        for (target, standing) in standings {
            let labels = StandingLabels { target: target.to_owned(), state: standing.as_str() };
            self.standings.get_or_create_owned(&labels).set(1);
        }
    }

    /// What a call did to the circuit of its target, if anything.
    pub(crate) fn circuit(&self, target: &str, turn: Option<Turn>) {
        if let Some(turn) = turn {
            let labels = CircuitLabels { target: target.to_owned(), to: turn.as_str() };
            self.circuits.get_or_create_owned(&labels).inc();
        }
    }

    /// How quick targets were of late.
    pub(crate) fn paces<'t>(&self, paces: impl Iterator<Item = (&'t str, PaceNow)>) {
        self.paces.set(paces);
    }

    /// A request was carried out; so much of its time was ours.
    pub(crate) fn overhead(&self, time: Duration) {
        self.overhead.observe(time.as_secs_f64());
    }

    /// The histograms of a model's answers to one kind of request.
    pub(crate) fn answers(&self, protocol: Protocol, model: &str) -> Answers {
        self.gen_ai.answers(protocol, model)
    }

    /// Counts spans that do not reach the collector.
    pub(crate) fn spans_lost(&self) -> Counter {
        self.spans_lost.clone()
    }

    pub(crate) fn panic(&self) {
        self.panics.inc();
    }
}

impl DecisionCells {
    /// Cells for this many models.
    pub(crate) fn new(models: usize) -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(models * REASONS.len()).collect())
    }
}
