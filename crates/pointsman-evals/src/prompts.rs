//! The distinct prompts of a table, one chunk at a time: for predicting, with or without outcomes beside them.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::assemble::derived_id;
use crate::builder::{content_key, show};
use crate::columns::{Column, Mapper, Slot};
use crate::error::Error;
use crate::form::{Form, detect};
use crate::input::Source;
use crate::log::{Content, ContextValue, Rejected};
use crate::options::{Progress, ReadOptions};
use crate::paths::resolve_paths;
use crate::read::{Sink, lengths, read_source};
use crate::row::{self, Kind, RawRow, Refusal};
use crate::survey::Survey;
use crate::text::{excerpt, sha256};
use crate::wide::aliases;

/// Prompts handed over at a time: enough work to share among cores, a few megabytes of text.
const CHUNK: usize = 8_192;

/// Most bytes of text handed over at a time, for prompts of the length of books.
const CHUNK_BYTES: usize = 32 << 20;

/// A prompt to predict for.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptRow {
    /// As in the table, else derived as [`crate::read`] derives it.
    pub id: String,
    /// What a router would be shown.
    pub content: Content,
    /// Request context by name, without the prefix, sorted by name.
    pub context: Vec<(String, ContextValue)>,
}

/// Counts from reading prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PromptReading {
    /// Files read, in order.
    pub files: Vec<String>,
    /// Data rows seen.
    pub rows: u64,
    /// Distinct prompts handed over.
    pub prompts: u64,
    /// Rows without a usable prompt by reason, with the first few of each.
    pub rejected: BTreeMap<String, Rejected>,
}

/// Reads the distinct prompts of `files`, in the order of their first row, and hands them over in chunks.
///
/// Any form that [`crate::read`] takes will do, and a table that has only `prompt` or `messages` beside what helps:
/// `prompt_id`, `group`, `context.*`. Ids are those that [`crate::read`] gives to the same rows; of rows with the same
/// id the first that has a text counts. Of `options` only `map` matters. `take` returns whether it wants more.
///
/// Memory: a chunk (8,192 prompts or 32 MiB of text), and 16 bytes for each distinct id.
///
/// # Errors
///
/// Any [`Error`] about files and columns; [`Error::NothingUsable`] if there was no prompt.
///
/// # Examples
///
/// ```
/// use pointsman_evals::{ReadOptions, prompts};
///
/// let file = std::env::temp_dir().join(format!("pointsman-prompts-{}.csv", std::process::id()));
/// std::fs::write(&file, "prompt\nWhat is 2 + 2?\nwhat is  2 + 2?\n")?;
/// let mut ids = Vec::new();
/// let reading = prompts(&[file.clone()], &ReadOptions::default(), &mut |chunk, _| {
///     ids.extend(chunk.into_iter().map(|prompt| prompt.id));
///     true
/// })?;
/// assert_eq!((reading.rows, ids.len()), (2, 1));
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prompts(
    files: &[PathBuf],
    options: &ReadOptions,
    take: &mut dyn FnMut(Vec<PromptRow>, &Progress) -> bool,
) -> Result<PromptReading, Error> {
    options.validate()?;
    if files.is_empty() {
        return Err(Error::NoFiles);
    }
    let files = resolve_paths(files)?;
    let lengths = lengths(&files)?;
    let mapper = Mapper::new(options);
    let now = Progress::start(&lengths);
    let mut chunks = Chunks {
        seen: HashSet::new(),
        last: None,
        chunk: Vec::new(),
        chunk_bytes: 0,
        reading: PromptReading::default(),
        now,
        before: 0,
        take,
        is_stopped: false,
    };
    for (file_idx, file) in files.iter().enumerate() {
        let source = detect(file)?;
        chunks.now.file = file.display().to_string();
        chunks.now.file_idx = file_idx;
        chunks.reading.files.push(file.display().to_string());
        let aliases = aliases_of(&source, &mapper)?;
        read_source(
            &source,
            &mut PromptsSink { file, form: source.form, mapper: &mapper, aliases, chunks: &mut chunks },
        )?;
        chunks.before += lengths[file_idx];
        chunks.now.bytes_done = chunks.before;
        if chunks.is_stopped {
            return Ok(chunks.reading);
        }
    }
    chunks.hand_over();
    let reading = chunks.reading;
    if reading.prompts == 0 {
        return Err(Error::NothingUsable { rows: reading.rows, filtered: 0, rejected: reading.rejected });
    }
    Ok(reading)
}

/// What RouterBench's names mean in a table that is not long.
fn aliases_of(source: &Source<'_>, mapper: &Mapper) -> Result<BTreeMap<String, Slot>, Error> {
    let survey = Survey::of(source, mapper)?;
    Ok(if survey.is_long { BTreeMap::new() } else { aliases(&survey.names(), mapper) })
}

/// What an id is derived from.
#[derive(PartialEq)]
struct Known {
    kind: Kind,
    text: String,
    context: Vec<(String, ContextValue)>,
    group: Option<String>,
}

/// Distinct prompts on their way.
struct Chunks<'t> {
    /// The first 16 bytes of the SHA-256 of every id.
    seen: HashSet<[u8; 16]>,
    /// The row before, where its id was derived: in long tables the same prompt comes several times in a row, and
    /// deriving an id takes longer than everything else.
    last: Option<Known>,
    chunk: Vec<PromptRow>,
    chunk_bytes: usize,
    reading: PromptReading,
    now: Progress,
    /// Bytes of the files before this one.
    before: u64,
    take: &'t mut dyn FnMut(Vec<PromptRow>, &Progress) -> bool,
    is_stopped: bool,
}

impl Chunks<'_> {
    fn add(&mut self, raw: &RawRow<'_>) -> Result<(), Refusal> {
        let id = row::text(raw.get(Column::PromptId));
        if let Some(id) = &id
            && self.seen.contains(&short_hash(id))
        {
            return Ok(());
        }
        let Some((kind, text)) = row::content(raw)? else {
            return Err(Refusal::Reject { reason: "empty prompt", value: id.unwrap_or_default().into_owned() });
        };
        let context = row::context(raw)?;
        let id = if let Some(id) = id {
            id.into_owned()
        } else {
            let group = row::text(raw.get(Column::Group)).map(std::borrow::Cow::into_owned);
            let is_same = |known: &Known| {
                known.kind == kind && known.text == *text && known.context == context && known.group == group
            };
            if self.last.as_ref().is_some_and(is_same) {
                return Ok(());
            }
            let id = derived_id(&content_key(kind, &text), &context, group.as_deref());
            self.last = Some(Known { kind, text: text.to_string(), context: context.clone(), group });
            id
        };
        if !self.seen.insert(short_hash(&id)) {
            return Ok(());
        }
        self.reading.prompts += 1;
        self.chunk_bytes += text.len();
        self.chunk.push(PromptRow { id, content: Content::of(kind, text.into_owned()), context });
        if self.chunk.len() == CHUNK || self.chunk_bytes >= CHUNK_BYTES {
            self.hand_over();
        }
        Ok(())
    }

    fn hand_over(&mut self) {
        if !self.chunk.is_empty() {
            self.now.rows = self.reading.rows;
            self.is_stopped |= !(self.take)(std::mem::take(&mut self.chunk), &self.now);
            self.chunk_bytes = 0;
        }
    }
}

fn short_hash(id: &str) -> [u8; 16] {
    *sha256(id.as_bytes()).first_chunk().expect("a SHA-256 has 32 bytes")
}

/// Takes what makes a request, and passes over outcomes.
struct PromptsSink<'a, 't> {
    file: &'a Path,
    form: Form,
    mapper: &'a Mapper,
    aliases: BTreeMap<String, Slot>,
    chunks: &'a mut Chunks<'t>,
}

impl PromptsSink<'_, '_> {
    fn count_rejected(&mut self, line: u64, reason: &'static str, value: &str) {
        let rejected = self.chunks.reading.rejected.entry(reason.to_owned()).or_default();
        let place = || show(&self.file.display().to_string(), self.form == Form::Parquet, line);
        rejected.add(1, || format!("{}: {}", place(), excerpt(value, 80)));
    }
}

impl Sink for PromptsSink<'_, '_> {
    fn columns(&mut self, found: &[String]) -> Result<(), Error> {
        self.mapper.check(self.file, found, &[], false)?;
        let is_text = |name: &String| matches!(self.mapper.slot(name), Slot::Column(Column::Prompt | Column::Messages));
        if found.iter().any(is_text) {
            Ok(())
        } else {
            Err(self.mapper.missing(self.file, Column::Prompt, "prompt", found))
        }
    }

    fn slot(&self, name: &str) -> Slot {
        match self.aliases.get(name).cloned().unwrap_or_else(|| self.mapper.slot(name)) {
            slot @ (Slot::Column(Column::Prompt | Column::Messages | Column::PromptId | Column::Group)
            | Slot::Context(_)
            | Slot::ContextObject) => slot,
            _ => Slot::Unknown,
        }
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        self.chunks.reading.rows += 1;
        if let Err(Refusal::Reject { reason, value }) = self.chunks.add(raw) {
            self.count_rejected(line, reason, &value);
        }
        Ok(())
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.chunks.reading.rows += 1;
        self.count_rejected(line, reason, value);
    }

    fn progress(&mut self, bytes: u64) {
        self.chunks.now.bytes_done = self.chunks.before + bytes;
    }

    fn wants(&self) -> u64 {
        if self.chunks.is_stopped { 0 } else { u64::MAX }
    }
}
