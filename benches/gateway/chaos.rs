//! Targets die and come back, the configuration is reloaded every second and the artifact swapped every five, all under
//! load: what clients see of it, and whether every answer is of exactly one configuration.
//!
//! Two artifacts with different models take turns. Every model has two targets, of which one is always well; the other may
//! refuse, reset, stall, cut or answer nonsense. So a request must be answered, and a stream too unless its own target fails
//! after it has begun to speak, which ends with the error event that is documented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_benches::tally::Tally;
use pointsman_benches::{artifact, texts};
use pointsman_tests::fakeup::setup::{Listener, Setup, Started};
use pointsman_tests::fakeup::{Fault, Script, Span};
use serde_json::Value;
use tokio::sync::watch;

use crate::Options;
use crate::client::{Answer, Ask, Pool, Verdict};
use crate::config::Configuration;
use crate::pace;
use crate::process::{Served, busy, machine};

/// Models of each artifact.
const MODELS: usize = 4;

/// Tokens of an answer.
const CHUNKS: usize = 6;

/// Between two steps of the one who kills and revives.
const STEP: Duration = Duration::from_millis(100);

/// A dead target stays so at least this long.
const DEAD: Duration = Duration::from_millis(700);

/// For as long after its return nobody of its model dies: longer than a request may be held by a target that stalls, or it would
/// meet the end of the other one with nobody left to go to.
const CALM: Duration = Duration::from_millis(1_600);

/// Milliseconds to the first content, between two pieces, and to the end.
const TIMEOUTS_MS: [u64; 3] = [600, 600, 1_000];

/// Between two reloads, and reloads between two swaps.
const RELOAD: Duration = Duration::from_secs(1);
const SWAP: u64 = 5;

/// An artifact, its models, and the configuration under which it serves.
struct Side {
    version: String,
    models: Vec<String>,
    configuration: Configuration,
}

/// What came of the requests.
#[derive(Default)]
struct Seen {
    plain: BTreeMap<&'static str, usize>,
    streams: BTreeMap<&'static str, usize>,
    /// Configuration, router, model and target of answers.
    answers: BTreeSet<(u64, String, String, String)>,
    examples: Vec<String>,
    latency: Tally,
}

pub(crate) async fn run(options: &Options, folder: &Path) {
    let n_requests = options.requests.unwrap_or(if options.is_test { 400 } else { 100_000 });
    let rate = options.rate.unwrap_or(if options.is_test { 200.0 } else { 500.0 });
    let time = Duration::from_secs_f64(n_requests as f64 / rate);
    let names: Vec<String> = (0..2)
        .flat_map(|side| (0..MODELS).map(move |model| (side, model)))
        .flat_map(|(side, model)| (0..2).map(move |target| name(side, model, target)))
        .collect();
    let listeners = names.iter().map(|name| Listener::new(name, well())).collect();
    let (_fakes, started) = Served::fakes(folder, &Setup::new(listeners));
    let sides: Arc<Vec<Side>> = Arc::new((0..2).map(|side| Side::new(side, folder, &started)).collect());
    let config = folder.join("gateway.toml");
    sides[0].configuration.write(&config);
    let (gateway, at) = Served::gateway(&config);
    let (stop, stopped) = watch::channel(false);
    let mayhem = tokio::spawn(mayhem(started.panel, options.seed, stopped.clone()));
    let admin = at.admin_listen.expect("an admin plane");
    let reloads = tokio::spawn(reload(admin, config, Arc::clone(&sides), stopped));
    let texts = texts(300, 1_024, 3);
    let pool = Arc::new(Pool::new(at.listen));
    let (mut seen, before) = (Seen::default(), machine());
    let each = |number: u64, due: Instant| {
        let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
        let mut ask = Ask::new(text, number, number.is_multiple_of(2), CHUNKS);
        // Random weights prefer one model. Of ten requests nine are for one that is chosen in turn, so that all are asked and
        // none of them has more than its own two targets to go to.
        if !number.is_multiple_of(10) {
            ask.allow(&format!("?-model-{:03}", number / 2 % MODELS as u64));
        }
        let pool = Arc::clone(&pool);
        async move {
            let answer = pool.ask(&ask).await;
            (due, ask, answer)
        }
    };
    pace::open(rate, time, each, |(due, ask, answer)| seen.note(due, &ask, answer)).await;
    let busy = busy(before, machine());
    stop.send_replace(true);
    let (n_kills, versions) = (mayhem.await.expect("no panic"), reloads.await.expect("no panic"));
    let inconsistent = seen.inconsistent(&versions, &sides);
    let metrics = Pool::new(admin).call("GET", "/metrics", "").await.expect("the admin plane answers");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for none in ["pointsman_inflight 0", "pointsman_panics_total 0"] {
        assert!(metrics.lines().any(|line| line == none), "afterwards: `{none}`");
    }
    drop(gateway);
    println!(
        "chaos/rate={rate}: {n_requests} requests in {:.0} s, {n_kills} deaths, {} reloads; plain: {:?}; streams: {:?}; \
         {} kinds of answers, {} of them inconsistent; plain p50 {} µs, p99 {} µs; machine {:.0} % busy",
        time.as_secs_f64(),
        versions.len() - 1,
        seen.plain,
        seen.streams,
        seen.answers.len(),
        inconsistent.len(),
        seen.latency.quantile_us(0.5),
        seen.latency.quantile_us(0.99),
        100.0 * busy,
    );
    for example in seen.examples.iter().chain(&inconsistent).take(8) {
        println!("chaos: {example}");
    }
    assert!(seen.examples.is_empty() && inconsistent.is_empty(), "clients must see nothing but documented cuts");
}

fn name(side: usize, model: usize, target: usize) -> String {
    format!("{}-{model}-{target}", ["a", "b"][side])
}

/// A target that is well.
fn well() -> Script {
    Script {
        chunks: CHUNKS,
        latency_ms: Span::Uniform { from: 1, to: 4 },
        gap_ms: Span::Uniform { from: 1, to: 5 },
        ..Script::default()
    }
}

/// How a target dies.
fn death(random: &mut fastrand::Rng) -> Script {
    let faulty = |fault| Script { faults: vec![fault], ..well() };
    match random.usize(..12) {
        0..3 => Script { refuses: true, ..well() },
        3 => faulty(Fault::Reset),
        4 => faulty(Fault::Hangup),
        5 => faulty(Fault::Stall),
        6 => faulty(Fault::StallBeforeContent),
        7 => faulty(Fault::Cut(2)),
        8 => faulty(Fault::MalformedJson),
        9 => Script { statuses: vec![500], ..well() },
        10 => Script { statuses: vec![503], ..well() },
        _ => Script { statuses: vec![429], retry_after: Some(1), ..well() },
    }
}

impl Side {
    fn new(side: usize, folder: &Path, started: &Started) -> Self {
        let mut artifact = artifact(MODELS, 7 + side as u64);
        // Models of its own, so that an answer under the other artifact cannot pass for one under this.
        let rename = |model: &String| format!("{}-{model}", ["a", "b"][side]);
        let document = &mut artifact.document;
        document.prices = document.prices.iter().map(|(model, price)| (rename(model), *price)).collect();
        document.models = document.models.iter().map(rename).collect();
        let models = document.models.clone();
        let bytes = artifact.to_bytes().expect("a valid artifact");
        let router = folder.join(format!("router-{side}.safetensors"));
        std::fs::write(&router, &bytes).expect("the folder is writable");
        let mut targets = Vec::new();
        for (model, of) in models.iter().enumerate() {
            for target in 0..2 {
                let name = name(side, model, target);
                let at = started.listeners[&name];
                targets.push((name, of.clone(), at));
            }
        }
        Self {
            version: format!("sha256:{}", pointsman::artifact::identity(&bytes)),
            models,
            configuration: Configuration {
                router,
                targets,
                timeouts_ms: Some(TIMEOUTS_MS),
                max_in_flight: Some(4_096),
                ..Configuration::default()
            },
        }
    }
}

/// Kills and revives targets, one of each model at a time; gives the number of deaths.
async fn mayhem(panel: std::net::SocketAddr, seed: u64, stopped: watch::Receiver<bool>) -> usize {
    let panel = Pool::new(panel);
    let mut random = fastrand::Rng::with_seed(seed);
    // Of every model, the target that is dead, and since when things are as they are.
    let mut models: Vec<(Option<usize>, Instant)> = vec![(None, Instant::now()); 2 * MODELS];
    let mut n_deaths = 0;
    while !*stopped.borrow() {
        tokio::time::sleep(STEP).await;
        let at = random.usize(..models.len());
        let (dead, since) = models[at];
        if since.elapsed() < if dead.is_some() { DEAD } else { CALM } {
            continue;
        }
        let (target, script, now_dead) = if let Some(target) = dead {
            (target, well(), None)
        } else {
            n_deaths += 1;
            let target = random.usize(..2);
            (target, death(&mut random), Some(target))
        };
        let path = format!("/_fakeup/{}/script", name(at / MODELS, at % MODELS, target));
        let answer = panel.call("PUT", &path, &serde_json::to_string(&script).expect("plain values")).await;
        assert!(answer.is_ok_and(|answer| answer.status == 200), "the panel takes a script");
        models[at] = (now_dead, Instant::now());
    }
    n_deaths
}

/// Reloads every second, and swaps the artifact with every fifth; gives the router of every configuration.
async fn reload(
    admin: std::net::SocketAddr,
    config: PathBuf,
    sides: Arc<Vec<Side>>,
    mut stopped: watch::Receiver<bool>,
) -> BTreeMap<u64, String> {
    let admin = Pool::new(admin);
    let mut versions = BTreeMap::from([(1, sides[0].version.clone())]);
    for turn in 1_u64.. {
        if tokio::time::timeout(RELOAD, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
            break;
        }
        let side = usize::from((turn / SWAP) % 2 == 1);
        sides[side].configuration.write(&config);
        let answer = admin.call("POST", "/admin/v1/reload", "").await.expect("the admin plane answers");
        let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, said["router_version"].as_str()),
            (200, Some(sides[side].version.as_str())),
            "{said}"
        );
        versions.insert(said["config_version"].as_u64().expect("a number"), sides[side].version.clone());
    }
    versions
}

impl Seen {
    fn note(&mut self, due: Instant, ask: &Ask, answer: Result<Answer, String>) {
        let verdict = match &answer {
            Ok(answer) => answer.verdict(ask),
            Err(error) => Verdict::Wrong(error.clone()),
        };
        let word = match &verdict {
            Verdict::Whole => "whole",
            Verdict::Cut(_) => "cut after content, as documented",
            Verdict::Refused(..) => "failed",
            Verdict::Wrong(_) => "wrong",
        };
        let kind = if ask.streams { &mut self.streams } else { &mut self.plain };
        *kind.entry(word).or_default() += 1;
        if matches!(verdict, Verdict::Refused(..) | Verdict::Wrong(_)) {
            let body = answer.as_ref().map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            self.examples.push(format!("stream {}: {verdict:?}: {}", ask.streams, body.unwrap_or_default()));
        }
        let Ok(answer) = answer else { return };
        if !ask.streams {
            self.latency.record(answer.ended.saturating_duration_since(due));
        }
        if answer.status == 200 {
            let of = |name| answer.header(name).to_owned();
            self.answers.insert((
                of("x-pointsman-config-version").parse().unwrap_or(0),
                of("x-pointsman-router-version"),
                of("x-pointsman-selected-model"),
                of("x-pointsman-target"),
            ));
        }
    }

    /// Answers that are of no single configuration.
    fn inconsistent(&self, versions: &BTreeMap<u64, String>, sides: &[Side]) -> Vec<String> {
        let is_one = |(config, router, model, target): &&(u64, String, String, String)| {
            let side = sides.iter().find(|side| side.version == *router);
            versions.get(config) == Some(router)
                && side.is_some_and(|side| {
                    let is_target = |(name, of, _): &(String, String, _)| name == target && of == model;
                    side.models.contains(model) && side.configuration.targets.iter().any(is_target)
                })
        };
        self.answers.iter().filter(|answer| !is_one(answer)).map(|answer| format!("inconsistent: {answer:?}")).collect()
    }
}
