//! The tables, and what opens a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::Error;
use crate::key::PromptKey;

/// Version of the tables written here.
const SCHEMA_VERSION: u32 = 1;

/// Marks a database as ours, in the bytes that `SQLite` keeps for that: "pntm".
const APPLICATION_ID: i32 = 0x706e_746d;

/// How long a statement waits for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a ledger is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory, gone with the process.
    Memory,
    /// In a file, made where there is none.
    File(PathBuf),
}

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE decision (
    id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, tenant TEXT, session TEXT, prompt_id TEXT NOT NULL, messages TEXT, context TEXT,
    route TEXT NOT NULL, reason TEXT NOT NULL, model TEXT NOT NULL, propensity REAL NOT NULL, quality REAL, cost_usd REAL,
    baseline_cost_usd REAL, router TEXT NOT NULL, config_version INTEGER NOT NULL,
    outcome TEXT, target TEXT, answered_by TEXT, attempts INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    actual_cost_usd REAL, latency_ms REAL, first_token_ms REAL
);
CREATE INDEX decision_at ON decision (at_us);
CREATE TABLE feedback (
    id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, decision_id TEXT NOT NULL REFERENCES decision (id) ON DELETE CASCADE,
    tenant TEXT, metric TEXT NOT NULL, value REAL NOT NULL, tags TEXT, idempotency_key TEXT
);
CREATE INDEX feedback_decision ON feedback (decision_id);
CREATE UNIQUE INDEX feedback_key ON feedback (ifnull(tenant, ''), idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE spend (tenant TEXT NOT NULL, day INTEGER NOT NULL, usd REAL NOT NULL, PRIMARY KEY (tenant, day)) WITHOUT ROWID;
";

/// Opens a ledger for writing, making its tables where it is new.
pub(crate) fn open(place: &Place) -> Result<(Connection, PromptKey), Error> {
    let (connection, path) = match place {
        Place::Memory => (Connection::open_in_memory(), Path::new(":memory:")),
        Place::File(path) => (Connection::open(path), path.as_path()),
    };
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let mut connection = connection.map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    if version(&connection, path)?.is_none() {
        // Another process may be at it, too: only one of the two makes the tables.
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
        if version(&transaction, path)?.is_none() {
            transaction.execute_batch(TABLES).map_err(failed)?;
            // SQLite's own generator is seeded by the operating system.
            transaction.execute("INSERT INTO meta VALUES ('prompt_key', randomblob(32))", []).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
    }
    // With a write-ahead log readers do not wait for writers; what is committed outlives the process, though the last
    // moments may not outlive the machine.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    let key = key(&connection).map_err(failed)?;
    Ok((connection, key))
}

/// Opens a ledger that is there, for reading.
pub(crate) fn open_for_reading(path: &Path) -> Result<(Connection, PromptKey), Error> {
    if !path.is_file() {
        return Err(Error::Missing { path: path.to_owned() });
    }
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    if version(&connection, path)?.is_none() {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let key = key(&connection).map_err(failed)?;
    Ok((connection, key))
}

/// The version of a ledger's tables; `None` for a database that is empty.
fn version(connection: &Connection, path: &Path) -> Result<Option<u32>, Error> {
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
        _ => Error::Open { path: path.to_owned(), source },
    };
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)).map_err(failed);
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let (application, version) = (number("application_id")?, number("user_version")?);
    if tables == 0 && application == 0 && version == 0 {
        return Ok(None);
    }
    if application != APPLICATION_ID.cast_unsigned() || version == 0 {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(Error::Newer { path: path.to_owned(), expected: SCHEMA_VERSION, got: version });
    }
    Ok(Some(version))
}

fn key(connection: &Connection) -> rusqlite::Result<PromptKey> {
    connection.query_row("SELECT value FROM meta WHERE name = 'prompt_key'", [], |row| Ok(PromptKey::new(row.get(0)?)))
}
