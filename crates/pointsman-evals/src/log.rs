//! The evaluation log in memory: distinct prompts, models, and one outcome per observed cell.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::messages;
use crate::row::Kind;
use crate::split::Split;

/// An evaluation log after validation: what every offline stage works on.
///
/// Prompts are stored once, however many models answered them, so memory grows with the distinct prompts and
/// cells, not with the file. Nothing depends on the order of rows in the file: prompts are sorted by
/// `prompt_id`, models, tasks and datasets by name, outcomes by (prompt, model).
#[derive(Clone, Debug)]
pub struct EvalLog {
    /// The distinct prompts, sorted by id.
    pub prompts: Vec<Prompt>,
    /// Names of the models, sorted.
    pub models: Vec<String>,
    /// Names of the tasks that occur, sorted; empty where the log has no `task` column.
    pub tasks: Vec<String>,
    /// Names of the datasets that occur, sorted; empty where the log has no `dataset` column.
    pub datasets: Vec<String>,
    /// Observed cells, sorted by (prompt, model); a missing cell has no entry.
    pub outcomes: Vec<Outcome>,
    /// List prices of the models that have one (from `--prices`), by model name.
    pub prices: BTreeMap<String, Price>,
    /// How the reading went: rows, rejections, where splits and costs came from.
    pub reading: Reading,
}

/// One distinct prompt and what the log says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Unique within the log; derived from the normalised prompt where the log names none.
    pub id: String,
    /// What a router would be shown.
    pub content: Content,
    /// Request context (`context.*` columns) by name, without the prefix, sorted by name.
    pub context: Vec<(String, ContextValue)>,
    /// Conversation, user or document: rows of a group never straddle a split.
    pub group: Option<String>,
    /// Index into [`EvalLog::tasks`].
    pub task: Option<u32>,
    /// Index into [`EvalLog::datasets`].
    pub dataset: Option<u32>,
    /// Which split the prompt belongs to.
    pub split: Split,
    /// Sample weight, positive and finite; 1 where the log says nothing.
    pub weight: f32,
    /// When it was asked, in microseconds since 1970-01-01 UTC (the earliest row's).
    pub timestamp_us: Option<i64>,
}

/// The text of a prompt, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Plain text (`prompt` column).
    Text(String),
    /// Chat messages as JSON (`messages` column), already checked to parse; keys sorted, no white space.
    Messages(String),
}

impl Content {
    /// A text as found, checked to parse where it is messages.
    pub(crate) fn of(kind: Kind, text: String) -> Self {
        match kind {
            Kind::Text => Self::Text(text),
            Kind::Messages => Self::Messages(messages::canonical(&text).expect("checked to parse")),
        }
    }
}

/// The value of one `context.*` column for one prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum ContextValue {
    /// A category such as a plan or a locale.
    Text(String),
    /// A finite number.
    Number(f64),
    /// A flag.
    Bool(bool),
}

/// What was observed of one model on one prompt; repeated runs are pooled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Index into [`EvalLog::prompts`].
    pub prompt: u32,
    /// Index into [`EvalLog::models`].
    pub model: u32,
    /// Number of runs pooled here, at least 1.
    pub runs: u32,
    /// Mean score of the runs, in `[0, 1]`.
    pub score: f32,
    /// Unbiased variance of the runs' scores; NaN for a single run.
    pub score_variance: f32,
    /// Mean cost in USD per call, by the cost rules of the crate docs; NaN where nothing is known.
    pub cost_usd: f64,
    /// Where [`Self::cost_usd`] came from.
    pub cost_source: CostSource,
    /// Mean input tokens as reported; NaN where not reported.
    pub input_tokens: f32,
    /// Mean output tokens: as reported, else answer characters ÷ 4; NaN where neither is known.
    pub output_tokens: f32,
    /// Mean wall time of the call in milliseconds; NaN where not observed.
    pub latency_ms: f32,
    /// Probability with which the logging policy chose this model; NaN where not logged.
    pub propensity: f32,
}

/// How the cost of an outcome is known, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// `cost_usd` was in the log.
    Observed,
    /// Reported tokens, or characters ÷ 4, times the list price.
    Estimated,
    /// List price, with an assumed answer length.
    Assumed,
    /// No cost and no price.
    Unknown,
}

impl CostSource {
    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Estimated => "estimated",
            Self::Assumed => "assumed",
            Self::Unknown => "unknown",
        }
    }
}

/// List price of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Price {
    /// USD per million input tokens, finite, not negative.
    pub input_usd_per_mtok: f64,
    /// USD per million output tokens, finite, not negative.
    pub output_usd_per_mtok: f64,
}

/// Counts and notes from reading a log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// Files read, in order.
    pub files: Vec<String>,
    /// Data rows seen.
    pub rows: u64,
    /// Rows that entered the log.
    pub accepted: u64,
    /// Rows left out by `--models` or `--task`; not errors.
    pub filtered: u64,
    /// Rejected rows by reason, with the first few of each.
    pub rejected: BTreeMap<String, Rejected>,
    /// Columns of the files that mean nothing here, each once, in the order they were met.
    pub ignored_columns: Vec<String>,
    /// Accepted rows that repeat another's prompt, model and `repeat` index: most likely the same run twice.
    pub duplicate_runs: u64,
    /// Distinct texts that fall on more than one side, because the `split` column or their groups say so.
    pub texts_across_splits: u64,
    /// Groups that share a `prompt_id` with another group, and so its split.
    pub joined_groups: u64,
    /// Accepted rows by `source`; after the first hundred values, the rest under `(others)`.
    pub sources: BTreeMap<String, u64>,
    /// Whether splits came from the log (`column`), were made here (`hash`) or both (`mixed`).
    pub split_source: String,
    /// SHA-256, in hex, over the accepted content in canonical order: the same data give the same hash
    /// whatever the file form and row order.
    pub data_sha256: String,
    /// SHA-256, in hex, over `prompt_id` and split of every prompt.
    pub split_sha256: String,
}

/// Rows rejected for one reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rejected {
    /// How many.
    pub count: u64,
    /// The first few: file, line (or row) and value.
    pub examples: Vec<String>,
}

impl Rejected {
    /// Examples kept of each reason.
    const EXAMPLES: usize = 5;

    /// Counts `rows` rows; `example` is asked for only while examples are kept.
    pub(crate) fn add(&mut self, rows: u64, example: impl FnOnce() -> String) {
        self.count += rows;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(example());
        }
    }
}

impl Reading {
    /// Columns that were passed over, each with the column of the evaluation log that may have been meant.
    pub fn ignored(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.ignored_columns.iter().map(|name| {
            let known = crate::columns::Column::ALL.map(crate::columns::Column::name);
            let meant = crate::nearest::nearest(name, known, 1).pop();
            (name.as_str(), meant)
        })
    }
}
