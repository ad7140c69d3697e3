//! The thread that owns the connection: rows from a bounded queue, many to a transaction; questions in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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

/// Bytes of texts that may wait, in the queue and behind it.
const MOST_BYTES: usize = 256 << 20;

/// After a write that failed, the time until the next one: whoever holds the disk gets it no sooner for being asked all the time.
const AGAIN: Duration = Duration::from_secs(1);

/// How often it is said that nothing can be written.
const SAID_AGAIN: Duration = Duration::from_mins(1);

/// How often old rows are looked for.
const SWEEP: Duration = Duration::from_mins(10);

/// Rows deleted at a time, and the time between two pieces: a sweep holds up neither what is to be written nor the start.
const SWEPT: u32 = 5_000;
const BREATH: Duration = Duration::from_millis(20);

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
    counts: Arc<Counts>,
    key: PromptKey,
}

/// What is known from outside of rows on their way.
#[derive(Debug, Default)]
struct Counts {
    lost: AtomicU64,
    waiting: AtomicU64,
    /// Of the texts of those that wait.
    bytes: AtomicUsize,
}

impl Counts {
    /// Notes that these rows wait no more.
    fn gone(&self, rows: &[Message]) {
        self.waiting.fetch_sub(rows.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_sub(rows.iter().map(Message::bytes).sum(), Ordering::Relaxed);
    }
}

impl Ledger {
    /// Opens a ledger and starts its thread.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Foreign`], [`Error::Newer`].
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let (connection, key) = schema::open(&settings.place)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            connection,
            settings: settings.clone(),
            counts: Arc::clone(&counts),
            pending: Vec::new(),
            trouble: None,
            swept: None,
            sweeping: None,
        };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&receiver)).ok();
        Ok(Self { sender, thread, counts, key })
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
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Rows that are not on file yet: those of the last [`WINDOW`], and more where nothing can be written.
    pub fn waiting(&self) -> u64 {
        self.counts.waiting.load(Ordering::Relaxed)
    }

    /// Has a question looked at now.
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn send(&self, message: Message) {
        let (counts, bytes) = (&self.counts, message.bytes());
        // Counted first: it may be written before this goes on.
        let waiting = counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        counts.waiting.fetch_add(1, Ordering::Relaxed);
        if (bytes > 0 && waiting + bytes > MOST_BYTES) || self.sender.try_send(message).is_err() {
            counts.bytes.fetch_sub(bytes, Ordering::Relaxed);
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Message {
    /// Bytes of its texts, as far as they can be many.
    fn bytes(&self) -> usize {
        let Self::Decision(decision) = self else { return 0 };
        [&decision.messages, &decision.context].into_iter().flatten().map(String::len).sum()
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
    counts: Arc<Counts>,
    /// Rows that are not written yet.
    pending: Vec<Message>,
    /// Since writing fails.
    trouble: Option<Trouble>,
    /// When the last sweep began.
    swept: Option<Instant>,
    /// The youngest decision that a sweep which is under way deletes.
    sweeping: Option<i64>,
}

/// Writing that fails.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// When it did last.
    at: Instant,
    /// When that was said last.
    said: Instant,
}

impl Writer {
    /// Waits for a first row, then for the window to pass while others gather: rows do not wake this thread one by one, which
    /// would cost whoever records them more than the rows themselves. Questions do.
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            // Rows that could not be written are tried again though no others come.
            let idle = match (&self.trouble, self.is_swept()) {
                (Some(_), _) => AGAIN,
                (None, false) => BREATH,
                (None, true) => SWEEP,
            };
            match receiver.recv_timeout(idle) {
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
            if !self.is_swept() {
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
                // Its decision may be among those that cannot be written now.
                reply(if self.pending.is_empty() { self.feedback(&feedback) } else { Err(Error::Closed) });
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
        self.trouble = None;
        self.flush();
        self.lose();
        // What is in the log goes into the file, which then can be copied alone.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Writes what is pending. Where that fails it stays pending, up to a queue's length: a disk that was full may have
    /// room again.
    fn flush(&mut self) {
        if self.pending.is_empty() || self.trouble.is_some_and(|trouble| trouble.at.elapsed() < AGAIN) {
            return;
        }
        match write(&mut self.connection, &self.pending) {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!(rows = self.pending.len(), "the ledger can be written again");
                }
                self.counts.gone(&self.pending);
                self.pending.clear();
            }
            Err(error) => {
                let at = Instant::now();
                let said = self.trouble.map(|trouble| trouble.said).filter(|said| at - *said < SAID_AGAIN);
                if said.is_none() {
                    let cause = error.to_string();
                    tracing::error!(
                        cause,
                        rows = self.pending.len(),
                        "the ledger cannot be written; its rows wait in memory"
                    );
                }
                self.trouble = Some(Trouble { at, said: said.unwrap_or(at) });
                if self.pending.len() > QUEUE {
                    self.lose();
                }
            }
        }
    }

    /// Gives up what is pending.
    fn lose(&mut self) {
        self.counts.gone(&self.pending);
        self.counts.lost.fetch_add(self.pending.len() as u64, Ordering::Relaxed);
        self.pending.clear();
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

    /// Whether the last sweep is over and the next one not due.
    fn is_swept(&self) -> bool {
        self.sweeping.is_none() && self.swept.is_some_and(|swept| swept.elapsed() < SWEEP)
    }

    /// Deletes a piece of what is older than it may be, or beyond the number that is kept. A failure is the next sweep's business.
    fn sweep(&mut self) {
        if self.sweeping.is_none() {
            self.swept = Some(Instant::now());
            self.sweeping = self.expired();
        }
        let Some(youngest) = self.sweeping else { return };
        let delete = "DELETE FROM decision WHERE id IN (SELECT id FROM decision WHERE at_us <= ?1 LIMIT ?2)";
        let deleted = self.connection.execute(delete, params![youngest, SWEPT]);
        if !deleted.is_ok_and(|deleted| deleted == SWEPT as usize) {
            self.sweeping = None;
        }
    }

    /// The youngest decision that may go, if any. What tenants spent goes at once: it is a row a day.
    fn expired(&self) -> Option<i64> {
        let Settings { retention_days, most_decisions, .. } = self.settings;
        let by_age = retention_days.map(|days| now_us().saturating_sub(i64::from(days).saturating_mul(DAY_US)));
        if let Some(oldest) = by_age {
            let _ = self.connection.execute("DELETE FROM spend WHERE day < ?1", [oldest.div_euclid(DAY_US)]);
        }
        let by_number = most_decisions.and_then(|most| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let surplus = "SELECT at_us FROM decision ORDER BY at_us DESC LIMIT 1 OFFSET ?1";
            self.connection.query_row(surplus, [most], |row| row.get(0)).optional().ok().flatten()
        });
        by_age.map(|oldest| oldest.saturating_sub(1)).max(by_number)
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
