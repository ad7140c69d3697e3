//! Reading: which form a file has, and the way of its rows into the log.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::builder::Builder;
use crate::columns::{Column, Slot};
use crate::error::Error;
use crate::log::EvalLog;
use crate::options::{Progress, ReadOptions};
use crate::prices::PriceList;
use crate::row::{self, RawRow, Refusal};
use crate::{delimited, jsonl, parquet};

/// Rows between two calls of the progress callback.
const PROGRESS_ROWS: u64 = 65_536;

/// Reads evaluation logs in the long form (one row per prompt and model) as one log.
///
/// The form follows from the name: `.parquet` or `.pq`, `.csv`, `.jsonl` or `.ndjson`; any other name is judged
/// by the first bytes. Columns and rules are those of the crate docs. Rows that cannot be used are counted in
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
    let lengths = files.iter().map(|file| length(file)).collect::<Result<Vec<u64>, Error>>()?;
    let mut builder = Builder::new(options, prices);
    let mut progress_now = Progress {
        file: String::new(),
        file_idx: 0,
        n_files: files.len(),
        rows: 0,
        bytes_done: 0,
        bytes_total: lengths.iter().sum(),
    };
    let mut before = 0;
    for (file_idx, file) in files.iter().enumerate() {
        progress_now.file = file.display().to_string();
        progress_now.file_idx = file_idx;
        let form = form(file)?;
        builder.begin_file(file, form == Form::Parquet);
        let mut sink = LogSink { file, builder: &mut builder, before, now: &mut progress_now, progress };
        read_form(file, form, &mut sink)?;
        before += lengths[file_idx];
        progress_now.rows = builder.reading.rows;
        progress_now.bytes_done = before;
        progress(&progress_now);
    }
    if let Some(file) = &options.prompts {
        let form = form(file)?;
        let mut sink = PromptSink { file, builder: &mut builder };
        read_form(file, form, &mut sink)?;
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
}

/// The form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Parquet,
    Csv,
    Jsonl,
}

impl Form {
    /// By the name's ending.
    pub(crate) fn of_name(file: &Path) -> Option<Self> {
        let ending = file.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// By the name's ending, else by the first bytes.
fn form(file: &Path) -> Result<Form, Error> {
    if let Some(form) = Form::of_name(file) {
        return Ok(form);
    }
    let mut first = Vec::with_capacity(16);
    open(file)?.take(16).read_to_end(&mut first).map_err(|source| Error::Io { file: file.to_owned(), source })?;
    if first.starts_with(b"PAR1") {
        Ok(Form::Parquet)
    } else if first.trim_ascii_start().starts_with(b"{") {
        Ok(Form::Jsonl)
    } else if first.is_empty() {
        Err(Error::EmptyFile { file: file.to_owned() })
    } else {
        Err(Error::UnknownForm { file: file.to_owned() })
    }
}

fn read_form(file: &Path, form: Form, sink: &mut dyn Sink) -> Result<(), Error> {
    match form {
        Form::Parquet => parquet::read(file, sink),
        Form::Csv => delimited::read(file, open(file)?, b',', sink),
        Form::Jsonl => jsonl::read(file, open(file)?, sink),
    }
}

fn open(file: &Path) -> Result<File, Error> {
    File::open(file).map_err(|source| Error::Io { file: file.to_owned(), source })
}

fn length(file: &Path) -> Result<u64, Error> {
    let io = |source| Error::Io { file: file.to_owned(), source };
    let metadata = std::fs::metadata(file).map_err(io)?;
    if metadata.is_dir() {
        return Err(io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    Ok(metadata.len())
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
