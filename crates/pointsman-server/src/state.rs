//! State: what was decided, what came of it and what people thought of it, on file.
//!
//! The ledger has a thread of its own and takes rows without waiting; a request never waits for a disk, but one that gives
//! feedback, which is acknowledged when it is on file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use pointsman_ledger::{Error as LedgerError, Feedback, Ledger, Place};
use tokio::sync::oneshot;

use crate::error::Error;

/// How state is kept; [`Settings::state`](crate::Settings::state).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The file; `None` keeps state in memory, and loses it with the process.
    pub path: Option<PathBuf>,
    /// Days after which decisions and feedback are deleted; 0 keeps them. Default: 30.
    pub retention_days: u32,
    /// Decisions beyond which the oldest are deleted; 0: no limit. Default: 10,000,000.
    pub most_decisions: u64,
    /// Whether the texts of requests are stored with their decisions. Default: no.
    pub stores_prompts: bool,
}

impl StateSettings {
    /// The defaults, for this file.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, retention_days: 30, most_decisions: 10_000_000, stores_prompts: false }
    }
}

/// The open ledger.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) stores_prompts: bool,
    /// For people: where it is kept.
    pub(crate) kept: &'static str,
}

impl State {
    /// Opens the ledger.
    pub(crate) fn open(settings: &StateSettings) -> Result<Self, Error> {
        let StateSettings { path, retention_days, most_decisions, stores_prompts } = settings;
        let ledger = Ledger::open(&pointsman_ledger::Settings {
            place: path.clone().map_or(Place::Memory, Place::File),
            retention_days: (*retention_days > 0).then_some(*retention_days),
            most_decisions: (*most_decisions > 0).then_some(*most_decisions),
        })?;
        Ok(Self { ledger, stores_prompts: *stores_prompts, kept: if path.is_some() { "file" } else { "memory" } })
    }

    /// Records feedback, and waits until it is on file.
    pub(crate) async fn judge(&self, feedback: Feedback) -> Result<String, Error> {
        let (reply, answer) = oneshot::channel();
        self.ledger.judge(feedback, Box::new(move |answer| drop(reply.send(answer))));
        match answer.await.unwrap_or(Err(LedgerError::Closed)) {
            Ok(id) => Ok(id),
            Err(LedgerError::NoDecision { id }) => Err(Error::NoDecision { id }),
            Err(LedgerError::KeyReused) => Err(Error::KeyReused),
            Err(LedgerError::Closed) => Err(Error::StateBusy),
            Err(error) => Err(error.into()),
        }
    }

    /// What every tenant has spent today; for the start, which may wait.
    pub(crate) fn spent_today(&self) -> Result<BTreeMap<String, f64>, Error> {
        let (reply, answer) = std::sync::mpsc::channel();
        let today = now_us() / 86_400_000_000;
        self.ledger.ask(move |connection| drop(reply.send(pointsman_ledger::spent(connection, today))));
        Ok(answer.recv().unwrap_or(Err(LedgerError::Closed))?)
    }

    /// Asks something of the ledger.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&pointsman_ledger::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.ledger.ask(move |connection| drop(reply.send(question(connection))));
        match answer.await.unwrap_or(Err(LedgerError::Closed)) {
            Ok(answer) => Ok(answer),
            Err(LedgerError::Closed) => Err(Error::StateBusy),
            Err(error) => Err(error.into()),
        }
    }
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
