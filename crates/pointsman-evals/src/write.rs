//! Writing the long table: Parquet (zstd), CSV, TSV or JSONL, by the file's name.
//!
//! A file appears under its name only when it is complete: rows go to a temporary sibling that is renamed at the
//! end, and removed if the writer is dropped before.

mod parquet;
mod table;
mod text;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use crate::columns::Column;
use crate::error::Error;
use crate::form::{Compression, Form};
use crate::log::{Content, ContextValue};
use crate::split::Split;

pub use table::{CellType, CellValue, TableWriter};

/// One row of the long table: one run of one model on one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// What a router would be shown; an empty text where it is elsewhere, to be joined by `prompt_id`.
    pub content: Content,
    /// Target name.
    pub model: String,
    /// Quality, in `[0, 1]`; kept as `f32`.
    pub score: f64,
    /// Groups rows; derived from the text where absent.
    pub prompt_id: Option<String>,
    /// Conversation, user or document.
    pub group: Option<String>,
    /// USD for this call, finite, not negative.
    pub cost_usd: Option<f64>,
    /// Input tokens as reported.
    pub input_tokens: Option<u32>,
    /// Output tokens as reported.
    pub output_tokens: Option<u32>,
    /// Unicode characters of the answer.
    pub output_chars: Option<u32>,
    /// Wall time of the call in milliseconds; kept as `f32`.
    pub latency_ms: Option<f64>,
    /// Kind of work.
    pub task: Option<String>,
    /// Source benchmark or log.
    pub dataset: Option<String>,
    /// Which split the prompt belongs to.
    pub split: Option<Split>,
    /// Sample weight, positive; kept as `f32`.
    pub weight: Option<f64>,
    /// Microseconds since 1970-01-01 UTC.
    pub timestamp_us: Option<i64>,
    /// Index of a repeated run.
    pub repeat: Option<u32>,
    /// Probability with which the logging policy chose this model, in `(0, 1]`; kept as `f32`.
    pub propensity: Option<f64>,
    /// Where the row came from.
    pub source: Option<String>,
    /// Request context by name, without the prefix.
    pub context: Vec<(String, ContextValue)>,
}

impl LogRow {
    /// A row with the required columns only.
    #[must_use]
    pub fn new(content: Content, model: String, score: f64) -> Self {
        Self {
            content,
            model,
            score,
            prompt_id: None,
            group: None,
            cost_usd: None,
            input_tokens: None,
            output_tokens: None,
            output_chars: None,
            latency_ms: None,
            task: None,
            dataset: None,
            split: None,
            weight: None,
            timestamp_us: None,
            repeat: None,
            propensity: None,
            source: None,
            context: Vec::new(),
        }
    }

    /// Whether the row has something for `column`.
    fn has(&self, column: Column) -> bool {
        match column {
            // A row may be known by its `prompt_id` alone, its text being elsewhere.
            Column::Prompt => matches!(&self.content, Content::Text(text) if !text.is_empty()),
            Column::Messages => matches!(self.content, Content::Messages(_)),
            Column::Model | Column::Score => true,
            Column::PromptId => self.prompt_id.is_some(),
            Column::Group => self.group.is_some(),
            Column::CostUsd => self.cost_usd.is_some(),
            Column::InputTokens => self.input_tokens.is_some(),
            Column::OutputTokens => self.output_tokens.is_some(),
            Column::OutputChars => self.output_chars.is_some(),
            Column::LatencyMs => self.latency_ms.is_some(),
            Column::Task => self.task.is_some(),
            Column::Dataset => self.dataset.is_some(),
            Column::Split => self.split.is_some(),
            Column::Weight => self.weight.is_some(),
            Column::Timestamp => self.timestamp_us.is_some(),
            Column::Repeat => self.repeat.is_some(),
            Column::Propensity => self.propensity.is_some(),
            Column::Source => self.source.is_some(),
        }
    }
}

/// The type of a `context.*` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextType {
    /// [`ContextValue::Text`].
    Text,
    /// [`ContextValue::Number`].
    Number,
    /// [`ContextValue::Bool`].
    Bool,
}

impl ContextType {
    const fn of(value: &ContextValue) -> Self {
        match value {
            ContextValue::Text(_) => Self::Text,
            ContextValue::Number(_) => Self::Number,
            ContextValue::Bool(_) => Self::Bool,
        }
    }
}

/// Which columns a file gets. Tables are written in one pass, so this has to be known before the first row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSchema {
    /// Columns in the order of [`Column::ALL`].
    columns: Vec<Column>,
    /// Context columns, sorted by name.
    context: Vec<(String, ContextType)>,
}

impl TableSchema {
    /// The required columns, and `optional` and `context` beside them.
    #[must_use]
    pub fn new(optional: &[Column], context: &[(&str, ContextType)]) -> Self {
        let mut context: Vec<_> = context.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        context.sort_by(|a, b| a.0.cmp(&b.0));
        context.dedup_by(|a, b| a.0 == b.0);
        let needs_prompt = !optional.contains(&Column::Messages);
        Self {
            columns: Column::ALL
                .into_iter()
                .filter(|column| {
                    matches!(column, Column::Model | Column::Score)
                        || (*column == Column::Prompt && needs_prompt)
                        || optional.contains(column)
                })
                .collect(),
            context,
        }
    }

    /// Exactly the columns that `rows` fill.
    #[must_use]
    pub fn of(rows: &[LogRow]) -> Self {
        let columns: Vec<Column> =
            Column::ALL.into_iter().filter(|column| rows.iter().any(|row| row.has(*column))).collect();
        let context: Vec<(&str, ContextType)> = rows
            .iter()
            .flat_map(|row| &row.context)
            .map(|(name, value)| (name.as_str(), ContextType::of(value)))
            .collect();
        Self { columns, ..Self::new(&[], &context) }
    }

    /// Adds what a row fills.
    pub fn include(&mut self, row: &LogRow) {
        for column in Column::ALL {
            if row.has(column)
                && let Err(place) = self.columns.binary_search(&column)
            {
                self.columns.insert(place, column);
            }
        }
        for (name, value) in &row.context {
            if let Err(place) = self.context.binary_search_by(|(known, _)| known.cmp(name)) {
                self.context.insert(place, (name.clone(), ContextType::of(value)));
            }
        }
    }

    /// What keeps a row from being written whole, if anything.
    fn refuses(&self, row: &LogRow) -> Option<String> {
        let lost = Column::ALL.into_iter().find(|column| row.has(*column) && !self.columns.contains(column));
        if let Some(column) = lost {
            return Some(format!("column `{}` is not in the schema", column.name()));
        }
        row.context.iter().find_map(|(name, value)| {
            let known = self.context.iter().find(|(known, _)| known == name);
            match known {
                None => Some(format!("column `context.{name}` is not in the schema")),
                Some((_, kind)) if *kind != ContextType::of(value) => {
                    Some(format!("column `context.{name}` has values of two types"))
                }
                Some(_) => None,
            }
        })
    }
}

/// Writes rows of the long table to a file.
///
/// # Examples
///
/// ```
/// use pointsman_evals::write::{LogRow, LogWriter, TableSchema};
/// use pointsman_evals::{Content, ReadOptions, read};
///
/// let file = std::env::temp_dir().join(format!("pointsman-write-{}.parquet", std::process::id()));
/// let row = LogRow::new(Content::Text("What is 2 + 2?".into()), "aster".into(), 1.0);
/// let mut writer = LogWriter::create(&file, TableSchema::of(&[row.clone()]))?;
/// writer.push(row)?;
/// assert_eq!(writer.finish()?, 1);
/// assert_eq!(read(&[file.clone()], &ReadOptions::default(), &mut |_| ())?.outcomes.len(), 1);
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogWriter {
    schema: TableSchema,
    sink: Sink,
    // After the sink, so that its file is closed before the temporary one is removed.
    target: Target,
    rows: u64,
}

#[derive(Debug)]
enum Sink {
    Parquet(Box<parquet::Writer>),
    Csv(Box<csv::Writer<File>>),
    Jsonl(BufWriter<File>),
}

impl LogWriter {
    /// Begins a file; its form follows from its name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownForm`] unless the name ends in `.parquet`, `.csv`, `.tsv` or `.jsonl`; [`Error::Write`]
    /// if the folder is not writable.
    pub fn create(file: &Path, schema: TableSchema) -> Result<Self, Error> {
        let form = form_to_write(file)?;
        let failed = |source| failed(file, source);
        let (target, open) = Target::create(file).map_err(|error| failed(error.into()))?;
        let sink = match form {
            Form::Parquet => Sink::Parquet(Box::new(parquet::Writer::new(open, &schema).map_err(failed)?)),
            Form::Csv | Form::Tsv => {
                let mut writer = text::delimited(open, form);
                text::csv_header(&mut writer, &schema).map_err(|error| failed(error.into()))?;
                Sink::Csv(Box::new(writer))
            }
            Form::Jsonl => Sink::Jsonl(BufWriter::new(open)),
        };
        Ok(Self { schema, sink, target, rows: 0 })
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] if the row has a value the schema has no column for, or writing fails.
    pub fn push(&mut self, row: LogRow) -> Result<(), Error> {
        if let Some(problem) = self.schema.refuses(&row) {
            return Err(failed(&self.target.file, problem.into()));
        }
        self.rows += 1;
        let result = match &mut self.sink {
            Sink::Parquet(writer) => writer.push(row, &self.schema),
            Sink::Csv(writer) => text::csv_row(writer, &row, &self.schema).map_err(Into::into),
            Sink::Jsonl(writer) => text::json_row(writer, &row).map_err(Into::into),
        };
        result.map_err(|source| failed(&self.target.file, source))
    }

    /// Completes the file and gives it its name. Returns the number of rows.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn finish(self) -> Result<u64, Error> {
        let Self { schema, sink, target, rows } = self;
        let file = target.file.clone();
        let close = || -> Result<File, BoxError> {
            match sink {
                Sink::Parquet(writer) => writer.finish(&schema),
                Sink::Csv(writer) => Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?),
                Sink::Jsonl(writer) => Ok(writer.into_inner().map_err(io::IntoInnerError::into_error)?),
            }
        };
        close().and_then(|open| Ok(target.complete(&open)?)).map_err(|source| failed(&file, source))?;
        Ok(rows)
    }
}

/// The form that the name of an output says. Nothing is compressed on the way out but Parquet, by itself.
fn form_to_write(file: &Path) -> Result<Form, Error> {
    match (Form::of_name(file), Compression::of_name(file)) {
        (Some(form), Compression::None) => Ok(form),
        _ => Err(Error::UnknownForm { file: file.to_owned() }),
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn failed(file: &Path, source: BoxError) -> Error {
    Error::Write { file: file.to_owned(), source }
}

/// A file to be, and the temporary sibling that becomes it.
#[derive(Debug)]
struct Target {
    file: PathBuf,
    temporary: Option<PathBuf>,
}

impl Target {
    fn create(file: &Path) -> io::Result<(Self, File)> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let temporary = file.with_file_name(hidden);
        let open = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        Ok((Self { file: file.to_owned(), temporary: Some(temporary) }, open))
    }

    fn complete(mut self, open: &File) -> io::Result<()> {
        open.sync_all()?;
        let temporary = self.temporary.as_ref().expect("only completing takes it");
        std::fs::rename(temporary, &self.file)?;
        self.temporary = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing useful can be done about a failure here.
            let _ = std::fs::remove_file(temporary);
        }
    }
}
