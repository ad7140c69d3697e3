//! What the decision costs over the framework: `POST /v1/route` beside an axum handler that parses the same body into the
//! same parts and serialises a reply of the same shape and headers with constants in it.
//!
//! Each server is a process of its own (this program again, told which to be), so that its CPU time is its alone. Rounds
//! alternate between the two under the same generator; ratios are medians over rounds, which is what a noisy machine
//! leaves standing. Neither writes a log record per request.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pointsman_benches::tally::Tally;
use serde::{Deserialize, Serialize};

use crate::{Load, MODELS, Place, serve};

/// The argument that makes this program a server.
pub(crate) const SERVE: &str = "serve-for-floor";

const ROUNDS: usize = 10;

/// A server as a process, ended when dropped.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(which: &str, router: &Path) -> Self {
        let program = std::env::current_exe().expect("a running program has a file");
        let mut child = Command::new(program)
            .args([SERVE, which])
            .arg(router)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("the server says where it is");
        Self { address: line.trim().parse().expect("an address"), child }
    }

    /// CPU time so far, user and system, in seconds; `None` where the system does not tell.
    fn cpu_seconds(&self) -> Option<f64> {
        /// Ticks of `/proc` per second: 100 on every Linux that has not been built otherwise.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is a server until it is killed.
pub(crate) fn be_served(which: &str, router: &Path) {
    if which == "constant" {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            println!("{}", listener.local_addr().expect("bound"));
            axum::serve(listener, Router::new().route("/v1/route", post(constant))).await.expect("serving");
        });
    } else {
        println!("{}", serve(router.to_owned()).0);
        std::thread::park();
    }
}

/// Runs both and prints the table.
pub(crate) async fn floor(place: &Place, connections: &[usize], seconds: f64) {
    let servers = [Served::start("constant", &place.router), Served::start("pointsman", &place.router)];
    let rounds = if seconds < 1.0 { 1 } else { ROUNDS };
    let time = Duration::from_secs_f64((seconds / rounds as f64).max(0.2));
    for &connections in connections {
        let mut figures: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            // Who goes first alternates too.
            for which in [round % 2, 1 - round % 2] {
                let server = &servers[which];
                let load = Load { place, to: server.address, connections, rate: None };
                let before = server.cpu_seconds();
                let tally = load.run(time).await;
                assert_eq!(tally.failures, 0, "every request is answered");
                figures[which].push(Figures::new(&tally, before.zip(server.cpu_seconds())));
            }
        }
        for (name, figures) in ["constant", "pointsman"].into_iter().zip(&figures) {
            let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
            println!(
                "floor/c={connections}/{name}: {:.0} requests/s, p50 {:.0} µs, p99 {:.0} µs, CPU {:.1} µs per request",
                of(|f| f.rate),
                of(|f| f.p50),
                of(|f| f.p99),
                of(|f| f.cpu_us),
            );
        }
        let ratio = |figure: fn(&Figures) -> f64| {
            median(figures[1].iter().zip(&figures[0]).map(|(ours, floor)| figure(ours) / figure(floor)).collect())
        };
        println!(
            "floor/c={connections}: p50 {:.2} times, CPU per request {:.2} times the constant handler's (medians of {rounds} rounds)",
            ratio(|f| f.p50),
            ratio(|f| f.cpu_us),
        );
    }
}

/// One round.
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    /// NaN where the system does not tell.
    cpu_us: f64,
}

impl Figures {
    fn new(tally: &Tally, cpu: Option<(f64, f64)>) -> Self {
        let n = tally.n() as f64;
        Self {
            rate: tally.rate(),
            p50: tally.quantile_us(0.5) as f64,
            p99: tally.quantile_us(0.99) as f64,
            cpu_us: cpu.map_or(f64::NAN, |(before, after)| 1e6 * (after - before) / n),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The parts of a request that a decision looks at.
#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    tools: Option<Vec<serde_json::Value>>,
    max_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

#[derive(Serialize)]
struct Reply {
    decision_id: &'static str,
    model: &'static str,
    models: [&'static str; MODELS[0]],
    route: &'static str,
    reason: &'static str,
    candidates: [Candidate; MODELS[0]],
    router_version: &'static str,
    config_version: u32,
    experiment: Option<&'static str>,
    pinned: bool,
    session_id: Option<&'static str>,
    trace_id: Option<&'static str>,
    elapsed_us: u32,
}

#[derive(Clone, Copy, Serialize)]
struct Candidate {
    model: &'static str,
    target: Option<&'static str>,
    p_success: f64,
    cost_usd: f64,
    latency_ms: Option<f64>,
    utility: f64,
    excluded_by: Option<&'static str>,
}

const MODEL: &str = "a-model-of-some-name";
const ID: &str = "dec-454df5fc4e95e61a3da49091203f85e3";
const VERSION: &str = "sha256:9a54c068022cb769e2462519ed5904b334ef1ed170baef2a2ea083ba8456a98b";

async fn constant(body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Body>(&body) else {
        return axum::http::StatusCode::BAD_REQUEST.into_response();
    };
    let read = body.prompt.map_or(0, |p| p.len())
        + body.messages.iter().flatten().map(|m| m.role.len() + m.content.len()).sum::<usize>()
        + body.tools.map_or(0, |t| t.len())
        + body.model.map_or(0, |m| m.len());
    std::hint::black_box((read, body.max_tokens));
    let candidate = Candidate {
        model: MODEL,
        target: None,
        p_success: 0.418_278_218,
        cost_usd: 0.000_137_700_01,
        latency_ms: None,
        utility: 0.004_078_844_948,
        excluded_by: None,
    };
    let reply = Reply {
        decision_id: ID,
        model: MODEL,
        models: [MODEL; MODELS[0]],
        route: "auto",
        reason: "utility",
        candidates: [candidate; MODELS[0]],
        router_version: VERSION,
        config_version: 1,
        experiment: None,
        pinned: false,
        session_id: None,
        trace_id: None,
        elapsed_us: 10,
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("x-pointsman-decision-id"), ID),
        (HeaderName::from_static("x-pointsman-selected-model"), MODEL),
        (HeaderName::from_static("x-pointsman-reason"), "utility"),
        (HeaderName::from_static("x-pointsman-routing-us"), "10"),
        (HeaderName::from_static("x-pointsman-router-version"), VERSION),
        (HeaderName::from_static("x-pointsman-config-version"), "1"),
        (HeaderName::from_static("x-request-id"), "req-17f31c7dccc8cc5f3ae69e1a9e4f15c8"),
        (HeaderName::from_static("x-pointsman-schema-version"), "1"),
    ];
    (headers, serde_json::to_vec(&reply).expect("plain values")).into_response()
}
