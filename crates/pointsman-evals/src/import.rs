//! Importers: other tools' logs of evaluations, and gateways' logs of calls, become the table of the evaluation log.
//!
//! Every importer turns what it finds into rows that are judged as those of any log are; what cannot be used is
//! counted by reason. `data/README.md` says which field becomes which column.
//!
//! # Examples
//!
//! ```
//! use pointsman_evals::import::{Format, ImportOptions, import};
//!
//! let folder = std::env::temp_dir().join(format!("pointsman-import-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let battles = "prompt,model_a,model_b,winner\nWho wrote Faust?,aster,birch,model_a\n";
//! std::fs::write(folder.join("battles.csv"), battles)?;
//! let output = folder.join("log.jsonl");
//! let inputs = [folder.join("battles.csv")];
//! let done = import(Format::Battles, &inputs, &output, &ImportOptions::default(), &mut |_| ())?;
//! assert_eq!((done.written, done.models.len()), (2, 2));
//!
//! let other_shape = import(Format::RouterArena, &inputs, &output, &ImportOptions::default(), &mut |_| ());
//! assert!(other_shape.unwrap_err().to_string().contains("expected `question`"));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod battles;
mod flat;
mod inspect;
mod lm_eval;
mod openai_evals;
mod promptfoo;
mod record;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::builder::content_key;
use crate::columns::Column;
use crate::error::Error;
use crate::log::{Content, Rejected};
use crate::nearest::nearest;
use crate::options::Progress;
use crate::paths::resolve;
use crate::read::lengths;
use crate::row::{self, Cell, RawRow, Refusal, Row};
use crate::text::excerpt;
use crate::write::{LogRow, LogWriter, TableSchema};

/// A tool whose logs can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// lm-evaluation-harness, samples.
    LmEval,
    /// Inspect AI.
    Inspect,
    /// promptfoo, results.
    Promptfoo,
    /// OpenAI Evals, events.
    OpenaiEvals,
    /// RouterBench's wide tables.
    RouterBench,
    /// RouteLLM's wide tables.
    RouteLlm,
    /// EmbedLLM.
    EmbedLlm,
    /// LLMRouter, routing data.
    LlmRouter,
    /// LLMRouterBench, results.
    LlmRouterBench,
    /// RouterArena, cached results.
    RouterArena,
    /// Pairwise preferences.
    Battles,
    /// LiteLLM's logs of calls.
    LiteLlm,
    /// OpenRouter's records of generations.
    OpenRouter,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 13] = [
        Self::LmEval,
        Self::Inspect,
        Self::Promptfoo,
        Self::OpenaiEvals,
        Self::RouterBench,
        Self::RouteLlm,
        Self::EmbedLlm,
        Self::LlmRouter,
        Self::LlmRouterBench,
        Self::RouterArena,
        Self::Battles,
        Self::LiteLlm,
        Self::OpenRouter,
    ];

    /// The name on the command line, which rows carry as their `source`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LmEval => "lm-eval",
            Self::Inspect => "inspect",
            Self::Promptfoo => "promptfoo",
            Self::OpenaiEvals => "openai-evals",
            Self::RouterBench => "routerbench",
            Self::RouteLlm => "routellm",
            Self::EmbedLlm => "embedllm",
            Self::LlmRouter => "llmrouter",
            Self::LlmRouterBench => "llmrouterbench",
            Self::RouterArena => "routerarena",
            Self::Battles => "battles",
            Self::LiteLlm => "litellm",
            Self::OpenRouter => "openrouter",
        }
    }

    /// What of it is read, for help texts.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::LmEval => "lm-evaluation-harness: samples_*.jsonl, of folders that hold one model each",
            Self::Inspect => "Inspect AI: .eval and .json logs",
            Self::Promptfoo => "promptfoo: results as JSON or JSONL",
            Self::OpenaiEvals => "OpenAI Evals: events as JSONL",
            Self::RouterBench => "RouterBench: wide tables",
            Self::RouteLlm => "RouteLLM: wide tables of a strong and a weak model",
            Self::EmbedLlm => "EmbedLLM: train.csv and test.csv",
            Self::LlmRouter => "LLMRouter: routing data as JSONL",
            Self::LlmRouterBench => "LLMRouterBench: results as JSON",
            Self::RouterArena => "RouterArena: cached results as JSONL",
            Self::Battles => "pairwise preferences (model_a, model_b, winner): JSONL, JSON or CSV",
            Self::LiteLlm => "LiteLLM: logs of calls, scores from --scores",
            Self::OpenRouter => "OpenRouter: generation records, texts and scores from --scores",
        }
    }

    /// Names of files, as patterns, that a folder is searched for.
    #[must_use]
    pub const fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::LmEval => &["samples_*.jsonl", "samples_*.jsonl.gz", "samples_*.jsonl.zst"],
            Self::Inspect => &["*.eval", "*.json"],
            Self::Promptfoo => &["*.json", "*.jsonl"],
            Self::RouterBench | Self::RouteLlm => &["*.csv", "*.csv.gz", "*.tsv", "*.parquet"],
            Self::EmbedLlm => &["*.csv", "*.csv.gz", "*.parquet"],
            Self::LlmRouterBench => &["*.json", "*.json.gz"],
            Self::OpenaiEvals | Self::RouterArena | Self::LlmRouter => &["*.jsonl", "*.jsonl.gz", "*.jsonl.zst"],
            Self::Battles | Self::LiteLlm | Self::OpenRouter => {
                &["*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json", "*.csv", "*.csv.gz", "*.parquet"]
            }
        }
    }

    fn accepts(self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.patterns().iter().any(|pattern| crate::wildcard::matches(pattern, &name))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| Error::UnknownFormat {
            name: name.to_owned(),
            nearest: nearest(name, Self::ALL.map(Self::name), 3),
        })
    }
}

/// What a user may say about logs to be imported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportOptions {
    /// The model of all rows, where files do not say or say it badly.
    pub model: Option<String>,
    /// Which of several metrics or scorers is the score; by default the tool's first.
    pub metric: Option<String>,
    /// Path of the text in a record, as in `doc.question`; by default what the model was shown.
    pub prompt_field: Option<String>,
    /// The scale of the scores, brought to `[0, 1]` linearly. `None` is `0..1`.
    pub score_range: Option<(f64, f64)>,
    /// Scores, and perhaps texts, of a gateway's calls: a table with `id`, `score` and perhaps `prompt`, `messages`, `task`.
    pub scores: Option<PathBuf>,
}

/// How an import went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Imported {
    /// Files read, in order.
    pub files: Vec<String>,
    /// Outcomes found.
    pub rows: u64,
    /// Outcomes written.
    pub written: u64,
    /// Distinct prompts.
    pub prompts: u64,
    /// Rows by model.
    pub models: BTreeMap<String, u64>,
    /// Names of the tasks.
    pub tasks: BTreeSet<String>,
    /// Rows with a cost of their own.
    pub with_cost: u64,
    /// Rows with token counts or lengths, of which a cost can be estimated by list prices.
    pub with_length: u64,
    /// Outcomes left out, by reason, with the first few of each.
    pub rejected: BTreeMap<String, Rejected>,
}

/// Reads logs of `format` and writes them as one evaluation log, whose form follows from the name of `output`.
///
/// `inputs` may be folders, searched for [`Format::patterns`], and patterns. Files are read twice: once to learn which
/// columns the table needs. Memory grows with the distinct prompts (8 bytes each) and with the largest JSON document.
///
/// # Errors
///
/// [`Error::WrongShape`] if a file is not of that tool; [`Error::NothingUsable`] if no row is left; anything that reading
/// or writing can meet. Nothing is left under the name of `output` then.
pub fn import(
    format: Format,
    inputs: &[PathBuf],
    output: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Imported, Error> {
    if inputs.is_empty() {
        return Err(Error::NoFiles);
    }
    if let Some((low, high)) = options.score_range
        && !(low.is_finite() && high.is_finite() && low < high)
    {
        return Err(Error::InvalidOption {
            option: "--score-range",
            expected: "LOW..HIGH, LOW below HIGH",
            got: format!("{low}..{high}"),
        });
    }
    let files = resolve(inputs, &|file| format.accepts(file)).map_err(|error| match error {
        Error::NothingFound { named, is_folder: true } => Error::NothingToImport { named, format },
        other => other,
    })?;
    let scores = options.scores.as_deref().map(read_scores).transpose()?;
    let context = Context { format, options, scores };
    let reader = Reader::new(&files, &context)?;
    let lengths = lengths(&files)?;
    let mut now = Progress::start(&lengths);
    now.bytes_total *= 2;

    let mut survey = Survey {
        schema: TableSchema::default(),
        done: Imported::default(),
        seen: HashSet::new(),
        hasher: RandomState::new(),
    };
    survey.done.files = files.iter().map(|file| file.display().to_string()).collect();
    for (file, length) in files.iter().zip(&lengths) {
        now.file = file.display().to_string();
        progress(&now);
        reader.read(file, &context, &mut Judge { file, context: &context, next: &mut survey })?;
        now.bytes_done += length;
    }
    let Survey { schema, mut done, .. } = survey;
    if done.written == 0 {
        return Err(Error::NothingUsable { rows: done.rows, filtered: 0, rejected: done.rejected });
    }
    let mut writing = Writing { writer: LogWriter::create(output, schema)? };
    for (file, length) in files.iter().zip(&lengths) {
        now.file = file.display().to_string();
        progress(&now);
        reader.read(file, &context, &mut Judge { file, context: &context, next: &mut writing })?;
        now.bytes_done += length;
    }
    progress(&now);
    done.written = writing.writer.finish()?;
    Ok(done)
}

/// What every importer knows.
struct Context<'o> {
    format: Format,
    options: &'o ImportOptions,
    /// Records by id.
    scores: Option<HashMap<String, Value>>,
}

impl Context<'_> {
    /// The model that the user names, else the one found.
    fn model_or(&self, found: impl FnOnce() -> Option<String>) -> Option<String> {
        self.options.model.clone().or_else(found)
    }
}

/// The reader of one format, with what it has to know of all files.
enum Reader {
    LmEval(lm_eval::LmEval),
    Inspect,
    Promptfoo,
    OpenaiEvals,
    Table,
    Flat(&'static flat::Layout),
    Battles(battles::Battles),
}

impl Reader {
    fn new(files: &[PathBuf], context: &Context<'_>) -> Result<Self, Error> {
        Ok(match context.format {
            Format::LmEval => Self::LmEval(lm_eval::LmEval::default()),
            Format::Inspect => Self::Inspect,
            Format::Promptfoo => Self::Promptfoo,
            Format::OpenaiEvals => Self::OpenaiEvals,
            Format::RouterBench | Format::RouteLlm => Self::Table,
            Format::EmbedLlm => Self::Flat(&flat::EMBEDLLM),
            Format::LlmRouter => Self::Flat(&flat::LLMROUTER),
            Format::LlmRouterBench => Self::Flat(&flat::LLMROUTERBENCH),
            Format::RouterArena => Self::Flat(&flat::ROUTERARENA),
            Format::LiteLlm => Self::Flat(&flat::LITELLM),
            Format::OpenRouter => Self::Flat(&flat::OPENROUTER),
            Format::Battles => Self::Battles(battles::Battles::fit(files, context)?),
        })
    }

    fn read(&self, file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
        match self {
            Self::LmEval(reader) => reader.read(file, context, out),
            Self::Inspect => inspect::read(file, context, out),
            Self::Promptfoo => promptfoo::read(file, context, out),
            Self::OpenaiEvals => openai_evals::read(file, context, out),
            Self::Table => tables::read(file, context, out),
            Self::Flat(layout) => layout.read(file, context, out),
            Self::Battles(battles) => battles.read(file, out),
        }
    }
}

/// Where importers put what they find.
trait Visit {
    /// Takes an outcome; `line` is its line or position in the file, from 1.
    fn row(&mut self, raw: RawRow<'static>, line: u64) -> Result<(), Error>;
    /// Counts something that is no outcome.
    fn reject(&mut self, line: u64, reason: &'static str, value: &str);
}

/// For passes that make no rows: what is wrong is counted when they are made.
struct Unseen;

impl Visit for Unseen {
    fn row(&mut self, _raw: RawRow<'static>, _line: u64) -> Result<(), Error> {
        Ok(())
    }

    fn reject(&mut self, _line: u64, _reason: &'static str, _value: &str) {}
}

/// Judges rows as those of any log, and hands on the good ones.
struct Judge<'j, 'o> {
    file: &'j Path,
    context: &'j Context<'o>,
    next: &'j mut dyn Judged,
}

/// What is done with judged rows.
trait Judged {
    fn good(&mut self, row: LogRow) -> Result<(), Error>;
    fn bad(&mut self, reason: &str, example: &dyn Fn() -> String);
}

impl Visit for Judge<'_, '_> {
    fn row(&mut self, mut raw: RawRow<'static>, line: u64) -> Result<(), Error> {
        if raw.get(Column::Source).is_missing() {
            raw.set(Column::Source, Cell::Text(self.context.format.name().into()));
        }
        let Some(model) = row::text(raw.get(Column::Model)).map(String::from) else {
            self.reject(line, "empty model", "");
            return Ok(());
        };
        let (low, high) = self.context.options.score_range.unwrap_or((0.0, 1.0));
        match row::validate(&raw, (low, high)) {
            Ok(row) => {
                if let Some(row) = log_row(&raw, row, model) {
                    return self.next.good(row);
                }
                self.reject(line, "prompt_id without a text", "");
                Ok(())
            }
            Err(Refusal::Reject { reason, value }) => {
                self.reject(line, reason, &value);
                Ok(())
            }
            Err(Refusal::OutOfRange { score }) => {
                let place = format!("{}:{line}", self.file.display());
                Err(Error::ScoreOutOfRange { place, score, low, high })
            }
        }
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        let file = self.file;
        self.next.bad(reason, &|| format!("{}:{line}: {}", file.display(), excerpt(value, 80)));
    }
}

/// A judged row as it is written; `None` without a text.
fn log_row(raw: &RawRow<'_>, row: Row<'_>, model: String) -> Option<LogRow> {
    let (kind, text) = row.content?;
    let content = Content::of(kind, text.into_owned());
    let own = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
    let known = |number: f32| (!number.is_nan()).then(|| f64::from(number));
    let counts_tokens = !raw.get(Column::OutputTokens).is_missing();
    let chars = row::score_value(raw.get(Column::OutputChars));
    Some(LogRow {
        prompt_id: own(row.prompt_id),
        group: own(row.group),
        cost_usd: (!row.cost_usd.is_nan()).then_some(row.cost_usd),
        input_tokens: known(row.input_tokens).map(count),
        output_tokens: known(row.output_tokens).filter(|_| counts_tokens).map(count),
        output_chars: match chars {
            row::Numeric::Value(chars) if !counts_tokens => Some(count(chars)),
            _ => None,
        },
        latency_ms: known(row.latency_ms),
        task: own(row.task),
        dataset: own(row.dataset),
        split: row.split,
        weight: known(row.weight),
        timestamp_us: row.timestamp_us,
        repeat: row.repeat,
        propensity: known(row.propensity),
        source: own(row.source),
        context: row.context,
        ..LogRow::new(content, model, f64::from(row.score))
    })
}

/// A count that is a float in the tool's file, to the nearest whole number.
fn count(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, which is what is wanted"
    )]
    let count = number.round() as u32;
    count
}

/// First pass: which columns there are, and what will be told.
struct Survey {
    schema: TableSchema,
    done: Imported,
    /// Hashes of the texts.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Judged for Survey {
    fn good(&mut self, row: LogRow) -> Result<(), Error> {
        self.schema.include(&row);
        let done = &mut self.done;
        done.rows += 1;
        done.written += 1;
        let (kind, text) = match &row.content {
            Content::Text(text) => (row::Kind::Text, text),
            Content::Messages(json) => (row::Kind::Messages, json),
        };
        if self.seen.insert(self.hasher.hash_one(content_key(kind, text))) {
            done.prompts += 1;
        }
        done.with_cost += u64::from(row.cost_usd.is_some());
        done.with_length += u64::from(row.output_tokens.is_some() || row.output_chars.is_some());
        done.tasks.extend(row.task);
        *done.models.entry(row.model).or_default() += 1;
        Ok(())
    }

    fn bad(&mut self, reason: &str, example: &dyn Fn() -> String) {
        self.done.rows += 1;
        self.done.rejected.entry(reason.to_owned()).or_default().add(1, example);
    }
}

/// Second pass.
struct Writing {
    writer: LogWriter,
}

impl Judged for Writing {
    fn good(&mut self, row: LogRow) -> Result<(), Error> {
        self.writer.push(row)
    }

    fn bad(&mut self, _reason: &str, _example: &dyn Fn() -> String) {}
}

/// Scores by id.
fn read_scores(file: &Path) -> Result<HashMap<String, Value>, Error> {
    const IDS: [&str; 4] = ["id", "request_id", "generation_id", "call_id"];
    let mut scores = HashMap::new();
    record::records(file, &mut Unseen, &mut |record, _, _| {
        let id = IDS.iter().find_map(|name| record::text(record::at(&record, name)));
        let Some(id) = id.filter(|_| record.get("score").is_some()) else {
            let found = record.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            let column = if record.get("score").is_some() { "id" } else { "score" };
            return Err(Error::MissingColumn { file: file.to_owned(), column: column.into(), found, nearest: None });
        };
        scores.insert(id, record);
        Ok(())
    })?;
    Ok(scores)
}
