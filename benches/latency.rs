//! How long a decision takes on real prompts: whole and by stage, at its worst, with cold caches, in batches; and what a
//! router costs to load and to keep.
//!
//! ```text
//! cargo bench --workspace --bench latency
//! cargo bench --workspace --bench latency -- --router ROUTER --log LOG --rounds 20
//! ```
//!
//! Markdown on stdout. Microseconds are for a quiet core; what holds on any machine are ratios of one run and the instruction
//! counts of `instructions`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "latency/adversaries.rs"]
mod adversaries;
#[path = "latency/memory.rs"]
mod memory;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use pointsman::{Bound, Features, Limits, Objective, Policy, Request, Router, Scratch, Turn};
use pointsman_benches::stopwatch::{Contender, Times, fitted, race};
use pointsman_evals::log::Content;
use pointsman_evals::{ReadOptions, read};

/// Bytes of the texts.
const LENGTHS: [usize; 5] = [60, 300, 1_000, 4_000, 100_000];

/// Distinct texts per length, where the log has as many prompts.
const TEXTS: usize = 1_200;

/// Above this length a tenth of the texts does.
const LONG: usize = 10_000;

/// What is written over between two calls to empty the caches.
const EVICTED_BYTES: usize = 96 << 20;

#[derive(Debug, Parser)]
#[command(name = "cargo bench --workspace --bench latency --")]
struct Options {
    /// The router
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/llmrouter-bench.safetensors"))]
    router: PathBuf,
    /// Log whose prompts are timed [default: that of LLMRouter among the real outcomes, else the included log]
    #[arg(long)]
    log: Option<PathBuf>,
    /// Timed rounds over all texts
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by the smoke run of all benchmarks: few texts, one round.
    #[arg(long, hide = true)]
    test: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let (count, rounds) = if options.test { (40, 1) } else { (TEXTS, options.rounds) };
    let log = options.log.clone().unwrap_or_else(default_log);
    let prompts = prompts(&log)?;
    let bound = bound(&Router::load(&options.router)?)?;
    println!(
        "{} models, {} prompts of `{}`, median of {rounds} rounds per prompt, microseconds on one core.\n",
        bound.router().models().len(),
        prompts.len().min(count),
        log.file_stem().unwrap_or_default().to_string_lossy(),
    );
    let count = |bytes: usize| if bytes > LONG { count.div_ceil(10) } else { count };
    stages(&bound, &prompts, count, rounds);
    adversaries::report(&bound, &prompts, count(0), rounds);
    let texts = fitted(&prompts, 300, if options.test { 3 } else { 201 });
    cold(&bound, &self::bound(&Router::load(&options.router)?)?, &texts);
    batch(&bound, &prompts, if options.test { 200 } else { 10_000 });
    memory::report(&options.router, if options.test { 3 } else { 21 })
}

/// Real prompts where they are, else those of the included log.
fn default_log() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let real = std::env::var_os("POINTSMAN_REAL_DATA").map_or_else(|| repository.join("data/real"), PathBuf::from);
    let real = real.join("llmrouter_bench.parquet");
    if real.is_file() { real } else { repository.join("data/demo/log.parquet") }
}

fn prompts(log: &Path) -> anyhow::Result<Vec<String>> {
    let log = read(&[log.to_owned()], &ReadOptions::default(), &mut |_| ())?;
    let text = |content: Content| match content {
        Content::Text(text) | Content::Messages(text) => text,
    };
    Ok(log.prompts.into_iter().map(|prompt| text(prompt.content)).collect())
}

fn bound(router: &Router) -> anyhow::Result<Bound> {
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    Ok(router.bind(&router.default_catalog(), &policy)?)
}

/// Stages and the whole, by length of text.
fn stages(bound: &Bound, prompts: &[String], count: impl Fn(usize) -> usize, rounds: usize) {
    println!("| bytes | decision p50 | p99 | p99 / p50 | features p50 | prediction p50 | choice p50 |");
    println!("|---|---|---|---|---|---|---|");
    let router = bound.router();
    for bytes in LENGTHS {
        let texts = fitted(prompts, bytes, count(bytes));
        let mut features = Features::default();
        let mut featurised = Vec::new();
        for text in &texts {
            router.featurise(&Request::new(&[Turn::user(text)]), &mut features);
            featurised.push(features.clone());
        }
        let (mut scratch, mut predicting, mut choosing) = (Scratch::default(), Scratch::default(), Scratch::default());
        let (mut next, mut seen) = (0, 0);
        let mut contenders = [
            decision(bound, &mut scratch),
            Contender::new("features", |text| {
                router.featurise(&Request::new(&[Turn::user(text)]), &mut features);
                features.main().len()
            }),
            Contender::new("prediction", |_| {
                next = (next + 1) % featurised.len();
                router.predict(&featurised[next], &mut predicting.predictions).quality.len()
            }),
            Contender::new("choice", |_| {
                if seen % 64 == 0 {
                    router.predict(&featurised[seen % featurised.len()], &mut choosing.predictions);
                }
                seen += 1;
                bound.decide(&choosing.predictions, &Limits::default(), &mut choosing.ranking).model_idx
            }),
        ];
        let times = race(&texts, &mut contenders, rounds);
        let [whole, features, prediction, choice] = &times[..] else { unreachable!("four contenders") };
        println!(
            "| {bytes} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            whole.p50(),
            whole.p99(),
            whole.p99() / whole.p50(),
            features.p50(),
            prediction.p50(),
            choice.p50(),
        );
    }
    println!();
}

/// A whole decision on a text.
fn decision<'c>(bound: &'c Bound, scratch: &'c mut Scratch) -> Contender<'c> {
    Contender::new("decision", |text| {
        bound.route(&Request::new(&[Turn::user(text)]), &Limits::default(), scratch).model_idx
    })
}

/// What a call finds in the caches.
#[derive(Clone, Copy, Debug)]
enum Warm {
    /// Nothing: other work has taken them.
    Nothing,
    /// The code, which another copy of the router has just run.
    Code,
    /// The code, and of the router what every prompt needs: it has just decided for another one.
    Router,
}

/// The first call after other work has taken the caches, and what of it is code, router and the prompt's own rows.
fn cold(bound: &Bound, copy: &Bound, texts: &[String]) {
    let (mut scratch, mut other_scratch) = (Scratch::default(), Scratch::default());
    let mut other_work = vec![1_u8; EVICTED_BYTES];
    let decide = |bound: &Bound, text: &str, scratch: &mut Scratch| {
        std::hint::black_box(bound.route(&Request::new(&[Turn::user(text)]), &Limits::default(), scratch));
    };
    let [nothing, code, router] = [Warm::Nothing, Warm::Code, Warm::Router].map(|warm| {
        let micros = texts.iter().enumerate().map(|(at, text)| {
            // Every line is written, so that none of the router's stays.
            for byte in other_work.iter_mut().step_by(64) {
                *byte = byte.wrapping_add(1);
            }
            let before = &texts[(at + texts.len() / 2) % texts.len()];
            match warm {
                Warm::Nothing => {}
                Warm::Code => decide(copy, before, &mut other_scratch),
                Warm::Router => decide(bound, before, &mut scratch),
            }
            let begun = Instant::now();
            decide(bound, text, &mut scratch);
            begun.elapsed().as_nanos() as f64 / 1000.0
        });
        Times::of(micros.collect())
    });
    std::hint::black_box(&other_work);
    println!(
        "Cold caches, 300 bytes: p50 {:.1}, p99 {:.1}; with the code in them {:.1}, after another prompt of the same router {:.1}.\n",
        nothing.p50(),
        nothing.p99(),
        code.p50(),
        router.p50()
    );
}

/// The same prompts on one thread and on two.
fn batch(bound: &Bound, prompts: &[String], count: usize) {
    let texts: Vec<&String> = prompts.iter().cycle().take(count).collect();
    let seconds = |threads: usize| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for part in texts.chunks(texts.len().div_ceil(threads)) {
                scope.spawn(move || {
                    let mut scratch = Scratch::default();
                    for text in part {
                        std::hint::black_box(bound.route(
                            &Request::new(&[Turn::user(text)]),
                            &Limits::default(),
                            &mut scratch,
                        ));
                    }
                });
            }
        });
        begun.elapsed().as_secs_f64()
    };
    // One and two in turn, so that what else the machine does meets both.
    let (one, two): (Vec<f64>, Vec<f64>) = (0..9).map(|_| (seconds(1), seconds(2))).unzip();
    let (one, two) = (Times::of(one).p50(), Times::of(two).p50());
    println!(
        "{count} prompts of the log: {:.0} a second on one core, {:.0} on two ({:.2} times as many).\n",
        count as f64 / one,
        count as f64 / two,
        one / two
    );
}
