//! Load on the decision service over loopback sockets: throughput, latency, swaps of the artifact, memory over time.
//!
//! ```text
//! cargo bench --workspace --bench load                              closed loop with 1 and 8 connections, then open loop
//! cargo bench --workspace --bench load -- closed --connections 8 --seconds 10
//! cargo bench --workspace --bench load -- open --rate 2000 --connections 8
//! cargo bench --workspace --bench load -- swap --swaps 1000        two artifacts in turn, under load
//! cargo bench --workspace --bench load -- soak --seconds 300       resident memory, with its slope
//! cargo bench --workspace --bench load -- floor --seconds 20       beside a handler that answers a constant
//! ```
//!
//! Closed loop: every connection sends its next request when it has its answer. Open loop: requests are due at a
//! constant rate, and latency counts from when one was due, so that a stall is not hidden by the requests it kept from
//! being sent. The server runs in this process, on a runtime of its own, and shares the cores with the generator;
//! `POINTSMAN_URL=host:port` puts the load on another one instead, and `--pid` names whose memory a soak watches.
//! Random weights over eleven models, texts of 300 bytes: speed only.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "load/floor.rs"]
mod floor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pointsman_benches::tally::Tally;
use pointsman_benches::{artifact, texts};
use pointsman_server::{Server, Settings};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Models of the two artifacts: their answers are told apart by the number of candidates.
const MODELS: [usize; 2] = [11, 9];

#[derive(Clone, Debug)]
struct Options {
    modes: Vec<String>,
    seconds: f64,
    connections: Option<usize>,
    rate: f64,
    swaps: usize,
    pid: u32,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            modes: Vec::new(),
            seconds: 5.0,
            connections: None,
            rate: 2_000.0,
            swaps: 1_000,
            pid: std::process::id(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> f64 {
                let value = arguments.next().unwrap_or_default();
                value.parse().unwrap_or_else(|_| panic!("{argument}: expected a number, got `{value}`"))
            };
            match argument.as_str() {
                "--bench" => {}
                "--test" => {
                    options.seconds = 0.25;
                    options.swaps = 10;
                    options.modes = ["closed", "open", "swap", "soak", "floor"].map(str::to_owned).to_vec();
                }
                "--seconds" => options.seconds = number(),
                "--connections" => options.connections = Some(whole(number())),
                "--rate" => options.rate = number(),
                "--swaps" => options.swaps = whole(number()),
                "--pid" => options.pid = u32::try_from(whole(number())).expect("a process id"),
                mode if ["closed", "open", "swap", "soak", "floor"].contains(&mode) => {
                    options.modes.push(mode.to_owned());
                }
                // Filters of other benchmarks in the same run.
                _ => {}
            }
        }
        if options.modes.is_empty() {
            options.modes = vec!["closed".into(), "open".into()];
        }
        options
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts on a command line are small")]
fn whole(number: f64) -> usize {
    number as usize
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, which, router] = &arguments[..]
        && serve == floor::SERVE
    {
        return floor::be_served(which, Path::new(router));
    }
    let options = Options::read();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = Place::new(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("server and generator share {} cores", std::thread::available_parallelism().map_or(1, usize::from));
    for mode in &options.modes {
        let counts = options.connections.map_or_else(|| vec![1, 8], |count| vec![count]);
        match mode.as_str() {
            "closed" => {
                for connections in counts {
                    let load = Load { place: &place, to: place.data, connections, rate: None };
                    let tally = runtime.block_on(load.run(Duration::from_secs_f64(options.seconds)));
                    println!("closed/c={connections}: {tally}");
                }
            }
            "open" => {
                let connections = options.connections.unwrap_or(8);
                let load = Load { place: &place, to: place.data, connections, rate: Some(options.rate) };
                let tally = runtime.block_on(load.run(Duration::from_secs_f64(options.seconds)));
                println!("open/c={connections}/rate={}: {tally}", options.rate);
            }
            "floor" => runtime.block_on(floor::floor(&place, &counts, options.seconds)),
            "swap" => runtime.block_on(swap(&place, options.connections.unwrap_or(4), options.swaps)),
            _ => runtime.block_on(soak(&place, &options)),
        }
    }
}

/// Where the load goes.
struct Place {
    data: SocketAddr,
    admin: Option<SocketAddr>,
    router: PathBuf,
    /// The two artifacts' files, and what their answers must say.
    artifacts: [(Vec<u8>, String, Vec<String>); 2],
    bodies: Arc<Vec<Bytes>>,
}

impl Place {
    fn new(folder: &Path) -> Self {
        let artifacts = [0, 1].map(|i| {
            let artifact = artifact(MODELS[i], 7 + i as u64);
            let bytes = artifact.to_bytes().expect("a valid artifact");
            let version = format!("sha256:{}", pointsman::artifact::identity(&bytes));
            let mut models = artifact.document.models;
            models.sort();
            (bytes, version, models)
        });
        let router = folder.join("router.safetensors");
        std::fs::write(&router, &artifacts[0].0).expect("the folder is writable");
        let message = |text: &String| serde_json::json!({ "messages": [{ "role": "user", "content": text }] });
        let bodies = texts(300, 1_024, 3).iter().map(|text| message(text).to_string().into()).collect();
        let (data, admin) = match std::env::var("POINTSMAN_URL") {
            Ok(url) => (url.parse().expect("POINTSMAN_URL: expected host:port"), None),
            Err(_) => serve(router.clone()),
        };
        Self { data, admin, router, artifacts, bodies: Arc::new(bodies) }
    }
}

/// Starts a server in this process for as long as it lives.
fn serve(router: PathBuf) -> (SocketAddr, Option<SocketAddr>) {
    let any = "127.0.0.1:0".to_owned();
    let settings = Settings { listen: any.clone(), admin_listen: Some(any), ..Settings::new(router) };
    let server = Server::open(move || Ok(settings.clone())).expect("a valid artifact");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listening = runtime.block_on(server.bind()).expect("free ports");
    let addresses = (listening.address(), listening.admin_address());
    std::thread::spawn(move || runtime.block_on(listening.serve(std::future::pending())));
    addresses
}

/// Requests over keep-alive connections: one after the other on each, or at a constant rate over all.
struct Load<'a> {
    place: &'a Place,
    to: SocketAddr,
    connections: usize,
    /// Requests per second; without it, as fast as answers come.
    rate: Option<f64>,
}

impl Load<'_> {
    async fn run(&self, time: Duration) -> Tally {
        let started = Instant::now();
        let due = self.rate.map(|rate| Arc::new(Mutex::new(clock(started, rate, time))));
        let connections: Vec<_> = (0..self.connections)
            .map(|connection| {
                let (data, bodies, due) = (self.to, Arc::clone(&self.place.bodies), due.clone());
                tokio::spawn(async move {
                    let mut sender = connect(data).await;
                    let mut tally = Tally::default();
                    for turn in connection.. {
                        let intended = match &due {
                            None => Some(Instant::now()).filter(|now| *now - started < time),
                            Some(due) => due.lock().await.recv().await,
                        };
                        let Some(intended) = intended else { break };
                        let response = post(&mut sender, "/v1/route", bodies[turn % bodies.len()].clone()).await;
                        let status = response.status();
                        let body = response.into_body().collect().await;
                        tally.record(intended.elapsed());
                        tally.failures += usize::from(status != 200 || body.is_err());
                    }
                    tally
                })
            })
            .collect();
        let mut total = Tally::default();
        for connection in connections {
            total.add(&connection.await.expect("no panic"));
        }
        total.took = started.elapsed();
        total
    }
}

/// Gives the moments at which requests are due, when they are. A thread of its own: tokio's timer counts milliseconds.
fn clock(started: Instant, rate: f64, time: Duration) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for turn in 0_u64.. {
            let due = started + Duration::from_secs_f64(turn as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if due - started >= time || sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("an open socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("the server speaks HTTP");
    tokio::spawn(connection);
    sender
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, path: &str, body: Bytes) -> Response<hyper::body::Incoming> {
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    let request = request.body(Full::new(body)).expect("a valid request");
    sender.ready().await.expect("the connection lives");
    sender.send_request(request).await.expect("an answer")
}

/// Rewrites the artifact and reloads, many times, under load; every answer must be of exactly one artifact.
async fn swap(place: &Place, connections: usize, swaps: usize) {
    let Some(admin) = place.admin else {
        println!("swap: passed over, it needs the server in this process");
        return;
    };
    let ended = Arc::new(AtomicBool::new(false));
    let expected = place.artifacts.each_ref().map(|(_, version, models)| (version.clone(), models.clone()));
    let expected = Arc::new(expected);
    let asking: Vec<_> = (0..connections)
        .map(|connection| {
            let (data, bodies, ended, expected) =
                (place.data, Arc::clone(&place.bodies), Arc::clone(&ended), Arc::clone(&expected));
            tokio::spawn(async move {
                let mut sender = connect(data).await;
                let (mut requests, mut failures) = (0_usize, 0_usize);
                for turn in connection.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let response = post(&mut sender, "/v1/route", bodies[turn % bodies.len()].clone()).await;
                    requests += 1;
                    failures += usize::from(!is_consistent(response, &expected[..]).await);
                }
                (requests, failures)
            })
        })
        .collect();
    let started = Instant::now();
    let mut operator = connect(admin).await;
    let mut refused = 0;
    for turn in 0..swaps {
        // Written beside and moved into place, as an operator would.
        let beside = place.router.with_extension("new");
        std::fs::write(&beside, &place.artifacts[(turn + 1) % 2].0).expect("the folder is writable");
        std::fs::rename(&beside, &place.router).expect("the folder is writable");
        let response = post(&mut operator, "/admin/v1/reload", Bytes::new()).await;
        refused += usize::from(response.status() != 200);
        response.into_body().collect().await.expect("a whole answer");
    }
    ended.store(true, Ordering::Relaxed);
    let (mut requests, mut failures) = (0, 0);
    for task in asking {
        let (asked, failed) = task.await.expect("no panic");
        requests += asked;
        failures += failed;
    }
    println!(
        "swap/c={connections}: {swaps} swaps in {:.1} s, {refused} refused; {requests} requests, {failures} failures",
        started.elapsed().as_secs_f64()
    );
    assert_eq!((refused, failures), (0, 0), "a swap must not show");
}

/// Whether an answer is a 200 and its header, version and candidates are those of one artifact.
async fn is_consistent(response: Response<hyper::body::Incoming>, expected: &[(String, Vec<String>)]) -> bool {
    let ok = response.status() == 200;
    let header = response.headers().get("x-pointsman-router-version").cloned();
    let Ok(body) = response.into_body().collect().await else { return false };
    let Ok(answer) = serde_json::from_slice::<Value>(&body.to_bytes()) else { return false };
    let candidates = answer["candidates"].as_array().into_iter().flatten();
    let mut models: Vec<&str> = candidates.filter_map(|candidate| candidate["model"].as_str()).collect();
    models.sort_unstable();
    let version = answer["router_version"].as_str().unwrap_or_default();
    ok && header.is_some_and(|header| header.as_bytes() == version.as_bytes())
        && expected.iter().any(|(known, names)| known == version && *names == models)
}

/// Load for long, with the resident memory every few seconds and its slope over the second half.
async fn soak(place: &Place, options: &Options) {
    let time = Duration::from_secs_f64(options.seconds);
    let every = (time / 20).max(Duration::from_millis(100));
    let load = Load { place, to: place.data, connections: options.connections.unwrap_or(8), rate: Some(options.rate) };
    let started = Instant::now();
    let watch = async {
        let mut samples = Vec::new();
        while started.elapsed() < time {
            tokio::time::sleep(every).await;
            let Some(mib) = resident_mib(options.pid) else { return samples };
            let at = started.elapsed().as_secs_f64();
            println!("soak: {at:.0} s, {mib:.1} MiB resident");
            samples.push((at, mib));
        }
        samples
    };
    let (tally, samples) = tokio::join!(load.run(time), watch);
    let half = &samples[samples.len() / 2..];
    println!("soak/rate={}: {tally}; slope {:+.3} MiB/min over the second half", options.rate, 60.0 * slope(half));
}

/// Resident memory of a process; `None` where the system does not tell.
fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Least-squares slope; 0 for fewer than two samples.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let covariance: f64 = samples.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let variance: f64 = samples.iter().map(|(x, _)| (x - mx) * (x - mx)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}
