//! A gateway in a process of its own, and what is sent to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workbench::Workbench;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process, which ends with this at the latest.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
}

impl Gateway {
    /// Serves by `gateway.toml` of the folder.
    pub(crate) fn start(bench: &Workbench) -> Self {
        Self::start_with(bench, &["serve", "--config", "gateway.toml"], &[])
    }

    /// Serves with these arguments and variables of the environment.
    pub(crate) fn start_with(bench: &Workbench, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(bench.path("."))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let addresses: Value = serde_json::from_str(&line).expect("JSON");
        let address = |plane: &str| addresses[plane].as_str().map(|address| address.parse().expect("an address"));
        Self { child, address: address("listen").expect("a data plane"), admin: address("admin_listen") }
    }

    /// Sends a request on a connection of its own, and leaves the answer unread.
    pub(crate) fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above 0");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        stream
    }

    /// The whole answer to a request.
    pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
        let mut reply = Vec::new();
        // A connection that is cut has said what it has said.
        let _ = Self::send(address, method, path, body).read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// The JSON of an answer that is as it should be.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let reply = Self::ask(self.address, "POST", path, &body.to_string());
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        serde_json::from_str(reply.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// How it ended, and how long that took.
    pub(crate) fn ended(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its child") {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Memory that it has now, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes << 10
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
