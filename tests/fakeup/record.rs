//! What reached a fake: a bounded record, and counts of everything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

/// Requests that are remembered unless somebody says otherwise; the oldest are forgotten first.
pub const REMEMBERED: usize = 4_096;

/// A request that reached a fake.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Among all requests of this fake, from 0.
    pub number: u64,
    /// When its last byte had come.
    pub at: Instant,
    /// Request line and headers.
    pub head: String,
    /// As it came.
    pub body: Vec<u8>,
    /// When the client was found to have left before it had its answer.
    pub left: Option<Instant>,
}

impl Seen {
    /// The body, where it is JSON; else null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Counts since the start of a fake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections taken.
    pub connections: u64,
    /// Chat completions asked for.
    pub requests: u64,
    /// Of these, answers sent as the script has them, faults included.
    pub sent: u64,
    /// Of these, clients that left before.
    pub left: u64,
}

/// The record of one fake.
#[derive(Debug)]
pub(super) struct Record {
    started: Instant,
    capacity: usize,
    seen: Mutex<VecDeque<Seen>>,
    connections: AtomicU64,
    requests: AtomicU64,
    sent: AtomicU64,
    left: AtomicU64,
}

impl Record {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            started: Instant::now(),
            capacity,
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            left: AtomicU64::new(0),
        }
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a request; gives its number.
    pub(super) fn begin(&self, head: &[u8], body: &[u8]) -> u64 {
        // Numbered under the lock, so that numbers stand in order.
        let mut seen = self.lock();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.capacity > 0 {
            if seen.len() == self.capacity {
                seen.pop_front();
            }
            let head = String::from_utf8_lossy(head).into_owned();
            seen.push_back(Seen { number, at: Instant::now(), head, body: body.to_vec(), left: None });
        }
        number
    }

    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self, number: u64) {
        let now = Instant::now();
        self.left.fetch_add(1, Ordering::Relaxed);
        if let Some(seen) = self.lock().iter_mut().find(|seen| seen.number == number) {
            seen.left = Some(now);
        }
    }

    /// What is remembered, oldest first.
    pub(super) fn all(&self) -> Vec<Seen> {
        self.lock().iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    pub(super) fn stats(&self) -> Stats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            connections: of(&self.connections),
            requests: of(&self.requests),
            sent: of(&self.sent),
            left: of(&self.left),
        }
    }

    /// What is remembered, for a client; times are milliseconds since the fake began.
    pub(super) fn as_json(&self) -> Value {
        let since = |at: Instant| at.saturating_duration_since(self.started).as_secs_f64() * 1e3;
        let row = |seen: &Seen| {
            json!({"number": seen.number, "at_ms": since(seen.at), "head": seen.head, "body": seen.json(),
                "left_ms": seen.left.map(since)})
        };
        self.lock().iter().map(row).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Seen>> {
        // Nothing is left half changed by a panic.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
