//! Servers as processes: started, watched, ended.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pointsman_server::{Config, Server};
use pointsman_tests::fakeup::setup::{Setup, Started};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::bare;

/// The argument that makes this program a server.
pub(crate) const ROLE: &str = "serve-for-gateway";

/// A server as a process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
}

/// Where a gateway is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Gateway {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: Option<SocketAddr>,
}

impl Served {
    /// Starts a server and reads its first line.
    fn start<T: DeserializeOwned>(which: &str, argument: &Path) -> (Self, T) {
        let program = std::env::current_exe().expect("a running program has a file");
        let mut child = Command::new(program)
            .args([ROLE, which])
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("the server says where it is");
        let said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{which}: did not start"));
        (Self { child }, said)
    }

    /// Fakes of upstreams.
    pub(crate) fn fakes(folder: &Path, setup: &Setup) -> (Self, Started) {
        let file = folder.join("fakes.json");
        let text = serde_json::to_string(setup).expect("plain values");
        std::fs::write(&file, text).expect("the folder is writable");
        Self::start("fakes", &file)
    }

    /// A proxy that does nothing but pass on, to the upstream whose address is in this file.
    pub(crate) fn bare(upstream: &Path) -> (Self, Gateway) {
        Self::start("bare", upstream)
    }

    /// A gateway under this configuration.
    pub(crate) fn gateway(config: &Path) -> (Self, Gateway) {
        Self::start("gateway", config)
    }

    /// Ends it at once, by SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Resident memory in kB; NaN where the system does not tell.
    pub(crate) fn resident_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(f64::NAN)
    }

    /// CPU time so far, user and system, in seconds; NaN where the system does not tell.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        /// Ticks of `/proc` per second: 100 on every Linux that has not been built otherwise.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse().ok()).unwrap_or(f64::NAN);
        (ticks(11) + ticks(12)) / TICKS
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Is a server until it is killed, or whoever started it has gone.
pub(crate) fn be(which: &str, argument: &Path) {
    std::thread::spawn(|| {
        // Nothing is ever written there: reading ends with the one who started this.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match which {
        "fakes" => {
            let text = std::fs::read_to_string(argument).expect("the script is there");
            let setup: Setup = serde_json::from_str(&text).expect("a script");
            let started = runtime.block_on(setup.start()).expect("free ports");
            println!("{}", serde_json::to_string(&started).expect("plain values"));
            runtime.block_on(std::future::pending::<()>());
        }
        "bare" => runtime.block_on(bare::serve(argument)),
        _ => {
            let config = argument.to_owned();
            let server = Server::open(move || Config::read(&config)?.into_settings()).expect("a valid configuration");
            runtime.block_on(async {
                let listening = server.bind().await.expect("free ports");
                println!("{}", json!({"listen": listening.address(), "admin_listen": listening.admin_address()}));
                listening.serve(std::future::pending()).await;
            });
        }
    }
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's CPU time so far: busy, and all of it, in ticks. Zeros where the system does not tell.
pub(crate) fn machine() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests use is in the first two.
    let all: f64 = ticks.iter().take(8).sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The share of the machine that was busy between two moments.
pub(crate) fn busy(before: (f64, f64), after: (f64, f64)) -> f64 {
    (after.0 - before.0) / (after.1 - before.1).max(1.0)
}

/// The middle one; NaN of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
