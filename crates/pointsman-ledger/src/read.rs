//! Rows back out: one decision with all that is known of it, the latest ones, sums, and everything for export.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::error::Error;
use crate::key::PromptKey;
use crate::record::{Decision, Outcome};
use crate::schema;

/// A decision, what came of it, and what was said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// What came of it; `None` where it was not carried out, or is under way.
    pub outcome: Option<Outcome>,
    /// What was said of it, in order.
    pub feedback: Vec<Judgement>,
}

/// One word of feedback.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// What is judged.
    pub metric: String,
    /// From 0 to 1.
    pub value: f64,
    /// Microseconds since 1970-01-01 UTC.
    pub at_us: i64,
}

/// How a target did of late.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The target.
    pub target: String,
    /// `answered`, `cut`, and so on.
    pub outcome: String,
    /// Milliseconds to the end of the answer.
    pub latency_ms: f64,
    /// Milliseconds to the first content of a stream.
    pub first_token_ms: Option<f64>,
}

/// A decision for export.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The decision, with its texts where those are stored.
    pub decision: Decision,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The last word on every metric.
    pub scores: BTreeMap<String, f64>,
}

const COLUMNS: &str = "id, at_us, tenant, session, prompt_id, messages, context, route, reason, model, propensity, quality, \
                       cost_usd, baseline_cost_usd, router, config_version, outcome, target, answered_by, attempts, \
                       input_tokens, output_tokens, actual_cost_usd, latency_ms, first_token_ms";

fn decision(row: &Row<'_>) -> rusqlite::Result<(Decision, Option<Outcome>)> {
    let decision = Decision {
        id: row.get(0)?,
        at_us: row.get(1)?,
        tenant: row.get(2)?,
        session: row.get(3)?,
        prompt_id: row.get(4)?,
        messages: row.get(5)?,
        context: row.get(6)?,
        route: row.get(7)?,
        reason: row.get(8)?,
        model: row.get(9)?,
        propensity: row.get(10)?,
        quality: row.get(11)?,
        cost_usd: row.get(12)?,
        baseline_cost_usd: row.get(13)?,
        router: row.get(14)?,
        config_version: row.get::<_, i64>(15)?.unsigned_abs(),
    };
    let outcome = match row.get::<_, Option<String>>(16)? {
        None => None,
        Some(outcome) => Some(Outcome {
            id: decision.id.clone(),
            outcome,
            target: row.get(17)?,
            model: row.get(18)?,
            attempts: row.get(19)?,
            input_tokens: row.get(20)?,
            output_tokens: row.get(21)?,
            cost_usd: row.get(22)?,
            latency_ms: row.get(23)?,
            first_token_ms: row.get(24)?,
        }),
    };
    Ok((decision, outcome))
}

fn feedback(connection: &Connection, id: &str) -> rusqlite::Result<Vec<Judgement>> {
    let mut statement = connection
        .prepare_cached("SELECT metric, value, at_us FROM feedback WHERE decision_id = ?1 ORDER BY at_us, rowid")?;
    let rows = statement
        .query_map([id], |row| Ok(Judgement { metric: row.get(0)?, value: row.get(1)?, at_us: row.get(2)? }))?;
    rows.collect()
}

impl Told {
    /// One decision by its identifier.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn find(connection: &Connection, id: &str) -> Result<Option<Self>, Error> {
        let found = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM decision WHERE id = ?1"))?
            .query_row([id], decision)
            .optional()?;
        let Some((decision, outcome)) = found else { return Ok(None) };
        Ok(Some(Self { feedback: feedback(connection, id)?, decision, outcome }))
    }

    /// The latest decisions, the last one first.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn latest(connection: &Connection, most: u32) -> Result<Vec<Self>, Error> {
        let mut statement =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM decision ORDER BY at_us DESC LIMIT ?1"))?;
        let rows = statement.query_map([most], decision)?.collect::<Result<Vec<_>, _>>()?;
        let told = |(decision, outcome): (Decision, Option<Outcome>)| {
            Ok(Self { feedback: feedback(connection, &decision.id)?, decision, outcome })
        };
        rows.into_iter().map(told).collect()
    }
}

/// Decisions by model among the latest, since some time.
///
/// # Errors
/// [`Error::Statement`].
pub fn by_model(connection: &Connection, since_us: i64, most: u32) -> Result<BTreeMap<String, u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT model, count(*) FROM (SELECT model FROM decision WHERE at_us >= ?1 ORDER BY at_us DESC LIMIT ?2) GROUP BY model",
    )?;
    let rows =
        statement.query_map(params![since_us, most], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Timing {
    /// Of the latest requests that a target answered, since some time.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn latest(connection: &Connection, since_us: i64, most: u32) -> Result<Vec<Self>, Error> {
        let mut statement = connection.prepare_cached(
            "SELECT target, outcome, latency_ms, first_token_ms FROM decision WHERE at_us >= ?1 AND target IS NOT NULL AND \
             latency_ms IS NOT NULL ORDER BY at_us DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![since_us, most], |row| {
            Ok(Self { target: row.get(0)?, outcome: row.get(1)?, latency_ms: row.get(2)?, first_token_ms: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// What every tenant has spent on a day, counted from 1970-01-01 UTC.
///
/// # Errors
/// [`Error::Statement`].
pub fn spent(connection: &Connection, day: i64) -> Result<BTreeMap<String, f64>, Error> {
    let mut statement = connection.prepare("SELECT tenant, usd FROM spend WHERE day = ?1")?;
    let rows = statement.query_map(params![day], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A ledger that is only read, while a gateway may be writing it.
#[derive(Debug)]
pub struct Archive {
    connection: Connection,
    key: PromptKey,
}

impl Archive {
    /// Opens a ledger that is there.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Foreign`], [`Error::Newer`], [`Error::Open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (connection, key) = schema::open_for_reading(path)?;
        Ok(Self { connection, key })
    }

    /// The key of this ledger's prompts.
    pub fn key(&self) -> &PromptKey {
        &self.key
    }

    /// The metrics that feedback was given on, with their numbers.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn metrics(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut statement = self.connection.prepare("SELECT metric, count(*) FROM feedback GROUP BY metric")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every decision in the order of time, one by one.
    ///
    /// # Errors
    /// [`Error::Statement`], and those of `each`.
    pub fn each<E: From<Error>>(&self, mut each: impl FnMut(Exported) -> Result<(), E>) -> Result<(), E> {
        let failed = |error: rusqlite::Error| E::from(Error::Statement(error));
        let mut statement =
            self.connection.prepare(&format!("SELECT {COLUMNS} FROM decision ORDER BY at_us, id")).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (decision, outcome) = decision(row).map_err(failed)?;
            let said = feedback(&self.connection, &decision.id).map_err(failed)?;
            // Later words replace earlier ones.
            let scores = said.into_iter().map(|judgement| (judgement.metric, judgement.value)).collect();
            each(Exported { decision, outcome, scores })?;
        }
        Ok(())
    }
}
