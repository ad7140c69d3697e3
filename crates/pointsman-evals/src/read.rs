//! Reading: which form a file has, and the way of its rows into the log.

use std::path::{Path, PathBuf};

use crate::builder::Builder;
use crate::columns::{Column, Slot};
use crate::error::Error;
use crate::form::{Form, detect};
use crate::input::Source;
use crate::log::EvalLog;
use crate::options::{Progress, ReadOptions};
use crate::paths::resolve_paths;
use crate::prices::PriceList;
use crate::row::{self, RawRow, Refusal};
use crate::wide::{Wide, WideSink};
use crate::{delimited, jsonl, parquet};

/// Rows between two calls of the progress callback.
const PROGRESS_ROWS: u64 = 65_536;

/// Reads evaluation logs as one log.
///
/// `files` may be patterns and folders, see [`resolve_paths`]. The form follows from the name: `.parquet` or `.pq`,
/// `.csv`, `.tsv` or `.tab`, `.jsonl` or `.ndjson`; any other name is judged by the first bytes. Text forms may be
/// packed with gzip or zstd, which the first bytes tell. A table with neither `model` nor `score` is wide: one row per
/// prompt, one column per model; each of its scores counts as a row. Columns and rules are those of the crate docs. Rows that cannot be used are counted in
/// [`EvalLog::reading`], with the first few places. Neither the order of rows nor that of files reaches the
/// result, except in those examples.
///
/// Memory grows with distinct prompts and accepted rows (40 bytes each), not with the length of the files.
///
/// # Errors
///
/// Any [`Error`] about files, columns, options, prices, splits; [`Error::ScoreOutOfRange`] at the first such
/// score; [`Error::NothingUsable`] if no row is left.
///
/// # Examples
///
/// ```
/// use pointsman_evals::{ReadOptions, read};
///
/// let dir = std::env::temp_dir();
/// let file = dir.join(format!("pointsman-read-{}.csv", std::process::id()));
/// std::fs::write(&file, "prompt,model,score\nWhat is 2 + 2?,aster,1\nWhat is 2 + 2?,birch,good\n")?;
/// let log = read(&[file.clone()], &ReadOptions::default(), &mut |_| ())?;
/// assert_eq!(log.prompts.len(), 1);
/// assert_eq!(log.models, ["aster"]);
/// assert_eq!(log.reading.rejected["score is not a number"].count, 1);
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(files: &[PathBuf], options: &ReadOptions, progress: &mut dyn FnMut(&Progress)) -> Result<EvalLog, Error> {
    options.validate()?;
    if files.is_empty() {
        return Err(Error::NoFiles);
    }
    let prices = options.prices.as_deref().map(PriceList::read).transpose()?;
    let files = resolve_paths(files)?;
    let lengths = lengths(&files)?;
    let mut builder = Builder::new(options, prices);
    let mut progress_now = Progress::start(&lengths);
    let mut before = 0;
    for (file_idx, file) in files.iter().enumerate() {
        progress_now.file = file.display().to_string();
        progress_now.file_idx = file_idx;
        let source = detect(file)?;
        builder.begin_file(file, source.form == Form::Parquet);
        let wide = Wide::of(&source, &builder.mapper, options)?;
        let mut sink = LogSink { file, builder: &mut builder, before, now: &mut progress_now, progress };
        match &wide {
            Some(wide) => read_source(&source, &mut WideSink { wide, inner: &mut sink })?,
            None => read_source(&source, &mut sink)?,
        }
        before += lengths[file_idx];
        progress_now.rows = builder.reading.rows;
        progress_now.bytes_done = before;
        progress(&progress_now);
    }
    if let Some(file) = &options.prompts {
        let mut sink = PromptSink { file, builder: &mut builder };
        read_source(&detect(file)?, &mut sink)?;
    }
    builder.finish()
}

/// Where the rows of a file go.
pub(crate) trait Sink {
    /// Told once per file which columns it has: before the rows, or for JSONL after them.
    fn columns(&mut self, found: &[String]) -> Result<(), Error>;
    /// What a column means.
    fn slot(&self, name: &str) -> Slot;
    /// Takes a row; `line` from 1.
    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error>;
    /// Counts a row that cannot be parsed.
    fn reject(&mut self, line: u64, reason: &'static str, value: &str);
    /// Bytes of this file read so far.
    fn progress(&mut self, bytes: u64);
    /// How many more rows it takes.
    fn wants(&self) -> u64 {
        u64::MAX
    }
}

pub(crate) fn read_source(source: &Source<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    match source.form {
        Form::Parquet => parquet::read(source.file, sink),
        Form::Csv => delimited::read(source, b',', sink),
        Form::Tsv => delimited::read(source, b'\t', sink),
        Form::Jsonl => jsonl::read(source, sink),
    }
}

/// Bytes of every file.
pub(crate) fn lengths(files: &[PathBuf]) -> Result<Vec<u64>, Error> {
    let length = |file: &PathBuf| match std::fs::metadata(file) {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(Error::Io { file: file.clone(), source }),
    };
    files.iter().map(length).collect()
}

/// Rows of an evaluation log.
struct LogSink<'a, 'o> {
    file: &'a Path,
    builder: &'a mut Builder<'o>,
    /// Bytes of the files before this one.
    before: u64,
    now: &'a mut Progress,
    progress: &'a mut dyn FnMut(&Progress),
}

impl Sink for LogSink<'_, '_> {
    fn columns(&mut self, found: &[String]) -> Result<(), Error> {
        self.builder.columns(self.file, found)
    }

    fn slot(&self, name: &str) -> Slot {
        self.builder.mapper.slot(name)
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        self.builder.push(raw, line)
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.builder.reject(line, reason, value);
    }

    fn progress(&mut self, bytes: u64) {
        let rows = self.builder.reading.rows;
        if rows >= self.now.rows + PROGRESS_ROWS {
            self.now.rows = rows;
            self.now.bytes_done = self.before + bytes;
            (self.progress)(self.now);
        }
    }
}

/// Rows of the file of `--prompts`. Rows without an id or a text are passed over: what they leave open is
/// counted with the rows of the log.
struct PromptSink<'a, 'o> {
    file: &'a Path,
    builder: &'a mut Builder<'o>,
}

impl Sink for PromptSink<'_, '_> {
    fn columns(&mut self, found: &[String]) -> Result<(), Error> {
        // `--map` is for the log; here it renames what is there.
        let mapper = &self.builder.mapper;
        let relaxed: Vec<String> = found.to_vec();
        let has = |wanted| relaxed.iter().any(|name| mapper.slot(name) == Slot::Column(wanted));
        for (column, is_there) in
            [(Column::PromptId, has(Column::PromptId)), (Column::Prompt, has(Column::Prompt) || has(Column::Messages))]
        {
            if !is_there {
                return Err(mapper.missing(self.file, column, column.name(), found));
            }
        }
        Ok(())
    }

    fn slot(&self, name: &str) -> Slot {
        match self.builder.mapper.slot(name) {
            slot @ Slot::Column(Column::PromptId | Column::Prompt | Column::Messages) => slot,
            _ => Slot::Unknown,
        }
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        let _ = line;
        let Some(id) = row::text(raw.get(Column::PromptId)) else {
            return Ok(());
        };
        match row::content(raw) {
            Ok(Some((kind, text))) => self.builder.join(&id, (kind, &text)),
            Ok(None) | Err(Refusal::Reject { .. } | Refusal::OutOfRange { .. }) => {}
        }
        Ok(())
    }

    fn reject(&mut self, _line: u64, _reason: &'static str, _value: &str) {}

    fn progress(&mut self, _bytes: u64) {}
}
