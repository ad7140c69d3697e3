//! The thread that owns the connection: rows from a bounded queue, many to a transaction; questions in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::error::Error;
use crate::key::PromptKey;
use crate::record::{Decision, Feedback, Outcome};
use crate::schema::{self, Place};

/// Rows wait at most this long before they are written.
pub const WINDOW: Duration = Duration::from_millis(100);

/// Rows of one transaction at most.
const BATCH: usize = 1_000;

/// Rows and questions that may wait. A busy disk has five seconds of 10,000 decisions a second to come back.
const QUEUE: usize = 50_000;

/// How often old rows are looked for.
const SWEEP: Duration = Duration::from_mins(10);

/// Rows deleted at a time, so that a sweep holds nobody up for long.
const SWEPT: u32 = 5_000;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// How a ledger is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub place: Place,
    /// Days after which decisions and feedback are deleted; `None`: never.
    pub retention_days: Option<u32>,
    /// Decisions beyond which the oldest are deleted; `None`: no limit.
    pub most_decisions: Option<u64>,
}

/// Takes the answer to a question, on the ledger's thread: it should only hand it on.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

enum Message {
    Decision(Box<Decision>),
    Outcome(Box<Outcome>),
    Spend { tenant: String, at_us: i64, usd: f64 },
    Feedback(Box<Feedback>, Reply<Result<String, Error>>),
    Ask(Box<dyn FnOnce(&Connection) + Send>),
    Close,
}

/// A ledger that is being kept. Dropping it writes what is left and ends its thread.
#[derive(Debug)]
pub struct Ledger {
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
    key: PromptKey,
}

impl Ledger {
    /// Opens a ledger and starts its thread.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Foreign`], [`Error::Newer`].
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let (connection, key) = schema::open(&settings.place)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            connection,
            settings: settings.clone(),
            lost: Arc::clone(&lost),
            pending: Vec::new(),
            swept: None,
        };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&receiver)).ok();
        Ok(Self { sender, thread, lost, key })
    }

    /// The key of this ledger's prompts.
    pub fn key(&self) -> &PromptKey {
        &self.key
    }

    /// Records a decision; where the queue is full it is lost, and counted.
    pub fn decide(&self, decision: Decision) {
        self.send(Message::Decision(Box::new(decision)));
    }

    /// Records what came of a decision; where the queue is full it is lost, and counted.
    pub fn settle(&self, outcome: Outcome) {
        self.send(Message::Outcome(Box::new(outcome)));
    }

    /// Adds to what a tenant has spent on the day of `at_us`.
    pub fn spend(&self, tenant: &str, at_us: i64, usd: f64) {
        self.send(Message::Spend { tenant: tenant.to_owned(), at_us, usd });
    }

    /// Records feedback; `reply` has its identifier once it is on file: the same one again where the idempotency key was
    /// seen before.
    pub fn judge(&self, feedback: Feedback, reply: Reply<Result<String, Error>>) {
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.sender.try_send(Message::Feedback(Box::new(feedback), reply))
            && let Message::Feedback(_, reply) = message
        {
            reply(Err(Error::Closed));
        }
        self.wake();
    }

    /// Asks something of the tables, behind everything recorded so far; the answer is lost where the queue is full.
    pub fn ask(&self, question: impl FnOnce(&Connection) + Send + 'static) {
        let _ = self.sender.try_send(Message::Ask(Box::new(question)));
        self.wake();
    }

    /// Rows that could not be recorded.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Has a question looked at now.
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn send(&self, message: Message) {
        if self.sender.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Where the queue is full there is room once it is looked at.
        self.wake();
        let _ = self.sender.send(Message::Close);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    connection: Connection,
    settings: Settings,
    lost: Arc<AtomicU64>,
    /// Rows that are not written yet.
    pending: Vec<Message>,
    swept: Option<Instant>,
}

impl Writer {
    /// Waits for a first row, then for the window to pass while others gather: rows do not wake this thread one by one, which
    /// would cost whoever records them more than the rows themselves. Questions do.
    fn run(mut self, receiver: &Receiver<Message>) {
        self.sweep();
        loop {
            match receiver.recv_timeout(SWEEP) {
                Ok(message) => {
                    let due = Instant::now() + WINDOW;
                    if !self.take(message) || !self.gather(receiver, due) {
                        return;
                    }
                    self.flush();
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.close();
                    return;
                }
            }
            if self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                self.sweep();
            }
        }
    }

    /// Takes what comes until `due`; false at the end of the ledger.
    fn gather(&mut self, receiver: &Receiver<Message>, due: Instant) -> bool {
        loop {
            while let Ok(message) = receiver.try_recv() {
                if !self.take(message) {
                    return false;
                }
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || self.pending.is_empty() {
                return true;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Takes a message; false at the end of the ledger.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Feedback(feedback, reply) => {
                self.flush();
                reply(self.feedback(&feedback));
            }
            Message::Ask(question) => {
                self.flush();
                question(&self.connection);
            }
            Message::Close => {
                self.close();
                return false;
            }
            row => {
                self.pending.push(row);
                if self.pending.len() >= BATCH {
                    self.flush();
                }
            }
        }
        true
    }

    fn close(&mut self) {
        self.flush();
        let left = self.pending.len() as u64;
        self.lost.fetch_add(left, Ordering::Relaxed);
        // What is in the log goes into the file, which then can be copied alone.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Writes what is pending. Where that fails it stays pending, up to a queue's length: a disk that was full may have
    /// room again.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if write(&mut self.connection, &self.pending).is_ok() {
            self.pending.clear();
        } else if self.pending.len() > QUEUE {
            self.lost.fetch_add(self.pending.len() as u64, Ordering::Relaxed);
            self.pending.clear();
        }
    }

    fn feedback(&mut self, feedback: &Feedback) -> Result<String, Error> {
        let transaction = self.connection.transaction()?;
        if let Some(key) = &feedback.idempotency_key {
            let before = transaction
                .query_row(
                    "SELECT id, decision_id, metric, value FROM feedback WHERE ifnull(tenant, '') = ifnull(?1, '') AND \
                     idempotency_key = ?2",
                    params![feedback.tenant, key],
                    |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, f64>(3)?)),
                )
                .optional()?;
            if let Some((id, decision_id, metric, value)) = before {
                let same = decision_id == feedback.decision_id
                    && metric == feedback.metric
                    && value.to_bits() == feedback.value.to_bits();
                return if same { Ok(id) } else { Err(Error::KeyReused) };
            }
        }
        let known = transaction
            .query_row(
                "SELECT 1 FROM decision WHERE id = ?1 AND tenant IS ?2",
                params![feedback.decision_id, feedback.tenant],
                |_| Ok(()),
            )
            .optional()?;
        if known.is_none() {
            return Err(Error::NoDecision { id: feedback.decision_id.clone() });
        }
        transaction.execute(
            "INSERT INTO feedback VALUES (:id, :at, :decision, :tenant, :metric, :value, :tags, :key)",
            named_params! {
                ":id": feedback.id, ":at": feedback.at_us, ":decision": feedback.decision_id, ":tenant": feedback.tenant,
                ":metric": feedback.metric, ":value": feedback.value, ":tags": feedback.tags, ":key": feedback.idempotency_key,
            },
        )?;
        transaction.commit()?;
        Ok(feedback.id.clone())
    }

    /// Deletes what is older than it may be, or beyond the number that is kept. A failure is the next sweep's business.
    fn sweep(&mut self) {
        self.swept = Some(Instant::now());
        let Settings { retention_days, most_decisions, .. } = self.settings;
        if let Some(days) = retention_days {
            let oldest = now_us().saturating_sub(i64::from(days).saturating_mul(DAY_US));
            let delete = "DELETE FROM decision WHERE id IN (SELECT id FROM decision WHERE at_us < ?1 LIMIT ?2)";
            while self.connection.execute(delete, params![oldest, SWEPT]).is_ok_and(|deleted| deleted == SWEPT as usize)
            {
            }
            let _ = self.connection.execute("DELETE FROM spend WHERE day < ?1", [oldest / DAY_US]);
        }
        if let Some(most) = most_decisions {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let delete = "DELETE FROM decision WHERE at_us <= \
                          (SELECT at_us FROM decision ORDER BY at_us DESC LIMIT 1 OFFSET ?1)";
            let _ = self.connection.execute(delete, [most]);
        }
    }
}

fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Writes rows in one transaction. A decision whose outcome is among them is written once with it, and what a tenant spent is
/// added up first: most requests end within the window, and one statement is half the work of two.
fn write(connection: &mut Connection, rows: &[Message]) -> rusqlite::Result<()> {
    let mut outcomes: HashMap<&str, &Outcome> = HashMap::new();
    let mut spent: BTreeMap<(&str, i64), f64> = BTreeMap::new();
    for row in rows {
        match row {
            Message::Outcome(outcome) => drop(outcomes.insert(&outcome.id, outcome)),
            Message::Spend { tenant, at_us, usd } => *spent.entry((tenant, at_us / DAY_US)).or_default() += usd,
            // The last three are never pending.
            Message::Decision(_) | Message::Feedback(..) | Message::Ask(_) | Message::Close => {}
        }
    }
    let transaction = connection.transaction()?;
    {
        let mut decide = transaction.prepare_cached(
            "INSERT OR IGNORE INTO decision (id, at_us, tenant, session, prompt_id, messages, context, route, reason, model, \
             propensity, quality, cost_usd, baseline_cost_usd, router, config_version, outcome, target, answered_by, attempts, \
             input_tokens, output_tokens, actual_cost_usd, latency_ms, first_token_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
             ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)",
        )?;
        for row in rows {
            let Message::Decision(decision) = row else { continue };
            let of = outcomes.remove(decision.id.as_str());
            decide.execute(params![
                decision.id,
                decision.at_us,
                decision.tenant,
                decision.session,
                decision.prompt_id,
                decision.messages,
                decision.context,
                decision.route,
                decision.reason,
                decision.model,
                decision.propensity,
                decision.quality,
                decision.cost_usd,
                decision.baseline_cost_usd,
                decision.router,
                i64::try_from(decision.config_version).unwrap_or(i64::MAX),
                of.map(|of| &of.outcome),
                of.map(|of| &of.target),
                of.map(|of| &of.model),
                of.map(|of| of.attempts),
                of.map(|of| of.input_tokens),
                of.map(|of| of.output_tokens),
                of.map(|of| of.cost_usd),
                of.map(|of| of.latency_ms),
                of.map(|of| of.first_token_ms),
            ])?;
        }
        let mut settle = transaction.prepare_cached(
            "UPDATE decision SET outcome = ?2, target = ?3, answered_by = ?4, attempts = ?5, input_tokens = ?6, \
             output_tokens = ?7, actual_cost_usd = ?8, latency_ms = ?9, first_token_ms = ?10 WHERE id = ?1",
        )?;
        // In the order in which they came, for the table's sake.
        for row in rows {
            let Message::Outcome(of) = row else { continue };
            if outcomes.contains_key(of.id.as_str()) {
                settle.execute(params![
                    of.id,
                    of.outcome,
                    of.target,
                    of.model,
                    of.attempts,
                    of.input_tokens,
                    of.output_tokens,
                    of.cost_usd,
                    of.latency_ms,
                    of.first_token_ms,
                ])?;
            }
        }
        let mut spend = transaction.prepare_cached(
            "INSERT INTO spend VALUES (?1, ?2, ?3) ON CONFLICT (tenant, day) DO UPDATE SET usd = usd + excluded.usd",
        )?;
        for ((tenant, day), usd) in spent {
            spend.execute(params![tenant, day, usd])?;
        }
    }
    transaction.commit()
}
