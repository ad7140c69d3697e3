//! What the gateway adds: latency over the upstream itself, throughput, and CPU time per request, beside a proxy that does
//! nothing but pass on. Rounds go over all subjects in turn; figures are medians over rounds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_benches::tally::Tally;
use pointsman_benches::{artifact, texts};
use pointsman_tests::fakeup::setup::{Listener, Setup};
use pointsman_tests::fakeup::{Script, Usage};

use crate::Options;
use crate::client::{Ask, Pool};
use crate::config::Configuration;
use crate::pace;
use crate::process::{Served, median};

/// Models of the router, each with a target.
const MODELS: usize = 11;

/// Tokens of an answer.
const CHUNKS: usize = 8;

/// Whose figures are taken.
struct Subject {
    name: &'static str,
    at: SocketAddr,
    /// Whose CPU time counts; the upstream's is nobody's.
    process: Option<Served>,
}

/// How requests come.
#[derive(Clone, Copy)]
enum Load {
    /// From so many clients, each of which waits for its answer.
    Closed(u64),
    /// So many a second, whatever becomes of them.
    Open(f64),
}

/// One round of one subject.
#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

pub(crate) async fn run(options: &Options, folder: &Path) {
    let script =
        Script { chunks: CHUNKS, usage: Some(Usage { prompt_tokens: 60, completion_tokens: 8 }), ..Script::default() };
    let (_fakes, started) = Served::fakes(folder, &Setup::new(vec![Listener::new("fake", script)]));
    let fake = started.listeners["fake"];
    let upstream = folder.join("bare.upstream");
    std::fs::write(&upstream, fake.to_string()).expect("the folder is writable");
    let artifact = artifact(MODELS, 7);
    let router = folder.join("router.safetensors");
    std::fs::write(&router, artifact.to_bytes().expect("a valid artifact")).expect("the folder is writable");
    let models = &artifact.document.models;
    let gateway = |state: Option<&str>| {
        let file = folder.join(state.unwrap_or("stateless")).with_extension("toml");
        let configuration = Configuration {
            router: router.clone(),
            targets: models.iter().map(|model| (format!("at-{model}"), model.clone(), fake)).collect(),
            state: state.map(|state| folder.join(state)),
            ..Configuration::default()
        };
        configuration.write(&file);
        Served::gateway(&file)
    };
    let (bare, bare_at) = Served::bare(&upstream);
    let (stateless, stateless_at) = gateway(None);
    let (stateful, stateful_at) = gateway(Some("ledger.db"));
    let subjects = [
        Subject { name: "direct", at: fake, process: None },
        Subject { name: "bare proxy", at: bare_at.listen, process: Some(bare) },
        Subject { name: "pointsman", at: stateless_at.listen, process: Some(stateless) },
        Subject { name: "pointsman, state on file", at: stateful_at.listen, process: Some(stateful) },
    ];
    let (time, rate) = (options.time(2.0, 0.2), options.rate.unwrap_or(500.0));
    for (load, streams) in [
        (Load::Closed(1), false),
        (Load::Closed(8), false),
        (Load::Closed(16), false),
        (Load::Open(rate), false),
        (Load::Closed(1), true),
        (Load::Closed(8), true),
        (Load::Open(rate), true),
    ] {
        let figures = measure(&subjects, load, streams, time, options.rounds).await;
        report(&subjects, &figures, load, streams);
    }
}

async fn measure(subjects: &[Subject], load: Load, streams: bool, time: Duration, rounds: usize) -> Vec<Vec<Figures>> {
    let texts = Arc::new(texts(300, 1_024, 3));
    let pools: Vec<Arc<Pool>> = subjects.iter().map(|subject| Arc::new(Pool::new(subject.at))).collect();
    let mut figures = vec![Vec::new(); subjects.len()];
    for round in 0..rounds {
        // Who goes first alternates too.
        for turn in 0..subjects.len() {
            let which = (round + turn) % subjects.len();
            let cpu = || subjects[which].process.as_ref().map_or(f64::NAN, Served::cpu_seconds);
            let texts = Arc::clone(&texts);
            let ask = move |number: u64| {
                let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
                Ask::new(text, number, streams, CHUNKS)
            };
            let before = cpu();
            let tally = match load {
                Load::Closed(connections) => pace::closed(&pools[which], connections, time, ask).await,
                Load::Open(rate) => open(&pools[which], rate, time, ask).await,
            };
            let cpu_us = 1e6 * (cpu() - before) / tally.n() as f64;
            assert_eq!(tally.failures, 0, "{}: every request is answered", subjects[which].name);
            figures[which].push(Figures {
                rate: tally.rate(),
                p50_us: tally.quantile_us(0.5) as f64,
                p99_us: tally.quantile_us(0.99) as f64,
                cpu_us,
            });
        }
    }
    figures
}

/// Requests at a constant rate; latency counts from when one was due.
async fn open(pool: &Arc<Pool>, rate: f64, time: Duration, ask: impl Fn(u64) -> Ask) -> Tally {
    let (mut tally, started) = (Tally::default(), Instant::now());
    let each = |number: u64, due: Instant| {
        let (ask, pool) = (ask(number), Arc::clone(pool));
        async move {
            let is_whole = pool.ask(&ask).await.is_ok_and(|answer| answer.seems_whole(&ask));
            (due.elapsed(), is_whole)
        }
    };
    pace::open(rate, time, each, |(latency, is_whole)| {
        tally.record(latency);
        tally.failures += usize::from(!is_whole);
    })
    .await;
    tally.took = started.elapsed();
    tally
}

fn report(subjects: &[Subject], figures: &[Vec<Figures>], load: Load, streams: bool) {
    let load = match load {
        Load::Closed(connections) => format!("c={connections}"),
        Load::Open(rate) => format!("rate={rate}"),
    };
    let name = format!("added/{}/{load}", if streams { "stream" } else { "plain" });
    let rounds = figures[0].len();
    let of = |figures: &[Figures], figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
    // Of each round against another subject of the same round.
    let against = |which: usize, other: usize, compare: fn(&Figures, &Figures) -> f64| {
        median(figures[which].iter().zip(&figures[other]).map(|(a, b)| compare(a, b)).collect())
    };
    for (which, subject) in subjects.iter().enumerate() {
        let all = &figures[which];
        println!(
            "{name}/{}: p50 {:.0} µs (added {:.0}), p99 {:.0} µs (added {:.0}), {:.0} requests/s, CPU {:.1} µs per request",
            subject.name,
            of(all, |f| f.p50_us),
            against(which, 0, |a, b| a.p50_us - b.p50_us),
            of(all, |f| f.p99_us),
            against(which, 0, |a, b| a.p99_us - b.p99_us),
            of(all, |f| f.rate),
            of(all, |f| f.cpu_us),
        );
    }
    for which in [2, 3] {
        println!(
            "{name}: {} takes {:.2} times the CPU of the bare proxy (goal 1.30), and does {:.2} times its requests; medians of {rounds} rounds",
            subjects[which].name,
            against(which, 1, |a, b| a.cpu_us / b.cpu_us),
            against(which, 1, |a, b| a.rate / b.rate),
        );
    }
}
