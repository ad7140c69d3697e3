//! The gateway between clients and upstreams, over loopback sockets: what it adds, what it withstands, what it keeps apart.
//!
//! ```text
//! cargo bench --workspace --bench gateway -- added                            latency, throughput and CPU beside a bare proxy
//! cargo bench --workspace --bench gateway -- streams --streams 1000           streams at a time, every token checked
//! cargo bench --workspace --bench gateway -- chaos --requests 100000 --rate 500   targets die and come back, artifacts are swapped
//! cargo bench --workspace --bench gateway -- tenants --seconds 20             a tenant far above its limit beside a thousand
//! cargo bench --workspace --bench gateway -- crash --rate 300 --seconds 10    SIGKILL, and what the ledger has afterwards
//! cargo bench --workspace --bench gateway -- soak --rate 300 --seconds 1800   resident memory, with its slope
//! ```
//!
//! Servers and upstreams are processes of their own (this program again, told which to be), so that CPU time and memory are
//! each one's alone; they share the cores with the generator. Upstreams are `fakeup`s, whose answers are made of their
//! requests, so that every answer is checked. Where latency is claimed the generator is open-loop: requests are due at a
//! constant rate, and latency counts from when one was due. Routers have random weights: speed only. The gateway runs as
//! `pointsman serve` does, but for its log, which is off.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "gateway/added.rs"]
mod added;
#[path = "gateway/bare.rs"]
mod bare;
#[path = "gateway/chaos.rs"]
mod chaos;
#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/config.rs"]
mod config;
#[path = "gateway/crash.rs"]
mod crash;
#[path = "gateway/pace.rs"]
mod pace;
#[path = "gateway/process.rs"]
mod process;
#[path = "gateway/site.rs"]
mod site;
#[path = "gateway/soak.rs"]
mod soak;
#[path = "gateway/streams.rs"]
mod streams;
#[path = "gateway/tenants.rs"]
mod tenants;

use std::path::Path;
use std::time::Duration;

/// What to measure and how long; what a mode does not use it passes over.
#[derive(Clone, Debug)]
struct Options {
    modes: Vec<String>,
    seconds: Option<f64>,
    rounds: usize,
    rate: Option<f64>,
    requests: Option<usize>,
    streams: Option<usize>,
    seed: u64,
    /// Whether everything is as small as it can be, to see that it runs.
    is_test: bool,
}

const MODES: [&str; 6] = ["added", "chaos", "streams", "tenants", "crash", "soak"];

impl Options {
    fn read() -> Self {
        let mut options = Self {
            modes: Vec::new(),
            seconds: None,
            rounds: 7,
            rate: None,
            requests: None,
            streams: None,
            seed: 1,
            is_test: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> f64 {
                let value = arguments.next().unwrap_or_default();
                value.parse().unwrap_or_else(|_| panic!("{argument}: expected a number, got `{value}`"))
            };
            match argument.as_str() {
                "--test" => options.is_test = true,
                "--seconds" => options.seconds = Some(number()),
                "--rounds" => options.rounds = whole(number()),
                "--rate" => options.rate = Some(number()),
                "--requests" => options.requests = Some(whole(number())),
                "--streams" => options.streams = Some(whole(number())),
                "--seed" => options.seed = whole(number()) as u64,
                mode if MODES.contains(&mode) => options.modes.push(mode.to_owned()),
                // `--bench`, and filters of other benchmarks in the same run.
                _ => {}
            }
        }
        if options.is_test {
            options.modes = MODES.map(str::to_owned).to_vec();
            options.rounds = 1;
        }
        options
    }

    /// The time given, else `default`; in a test `test` seconds.
    fn time(&self, default: f64, test: f64) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.is_test { test } else { default }))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts on a command line are small")]
fn whole(number: f64) -> usize {
    number as usize
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, which, argument] = &arguments[..]
        && role == process::ROLE
    {
        return process::be(which, Path::new(argument));
    }
    let options = Options::read();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if options.modes.is_empty() {
        println!("gateway: which of {}?", MODES.join(", "));
        return;
    }
    println!("servers, upstreams and generator share {} cores", process::cores());
    for mode in &options.modes {
        let place = folder.path().join(mode);
        std::fs::create_dir_all(&place).expect("the temporary folder is writable");
        match mode.as_str() {
            "added" => runtime.block_on(added::run(&options, &place)),
            "chaos" => runtime.block_on(chaos::run(&options, &place)),
            "streams" => runtime.block_on(streams::run(&options, &place)),
            "tenants" => runtime.block_on(tenants::run(&options, &place)),
            "crash" => runtime.block_on(crash::run(&options, &place)),
            "soak" => runtime.block_on(soak::run(&options, &place)),
            _ => unreachable!("modes are checked when they are read"),
        }
    }
}
