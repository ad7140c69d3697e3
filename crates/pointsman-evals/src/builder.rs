//! The one sink of all file forms: rows go in, are judged, and are stored once per distinct prompt.
//!
//! Rows refer to *drafts*, one per `prompt_id` (where the row has one) or per distinct text and context. Only
//! [`crate::assemble`] settles which drafts are the same prompt, so the order of rows cannot matter.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::columns::{Column, Mapper};
use crate::error::Error;
use crate::log::{ContextValue, Reading};
use crate::options::ReadOptions;
use crate::prices::PriceList;
use crate::row::{self, Cell, Kind, RawRow, Refusal, Row};
use crate::split::Split;
use crate::text::{excerpt, normalise};
use crate::wildcard;

/// Distinct `source` values counted one by one; the rest is counted together.
const SOURCES: usize = 100;

/// "None" among indices.
pub(crate) const NONE: u32 = u32::MAX;

/// Where a row stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Index into [`Builder::files`].
    pub(crate) file: u32,
    /// Line of a text form, row of Parquet; from 1.
    pub(crate) line: u64,
}

/// A prompt as rows have described it so far.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: Option<Box<str>>,
    /// Text or JSON as in the file; `None` until a row brings it.
    pub(crate) content: Option<(Kind, Box<str>)>,
    pub(crate) context: Box<[(String, ContextValue)]>,
    /// Index into [`Builder::groups`]; further groups are in [`Builder::more_groups`].
    pub(crate) group: u32,
    pub(crate) task: u32,
    pub(crate) dataset: u32,
    pub(crate) split: Option<Split>,
    /// NaN where no row says.
    pub(crate) weight: f32,
    pub(crate) timestamp_us: Option<i64>,
    /// Accepted rows.
    pub(crate) rows: u32,
    pub(crate) first: Place,
    /// Why none of its rows can be used after all.
    pub(crate) conflict: Option<(&'static str, Place)>,
}

/// One accepted row. Numbers that are not there are NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) draft: u32,
    pub(crate) model: u32,
    pub(crate) score: f32,
    pub(crate) input_tokens: f32,
    pub(crate) output_tokens: f32,
    pub(crate) latency_ms: f32,
    pub(crate) propensity: f32,
    pub(crate) repeat: u32,
    pub(crate) cost_usd: f64,
}

/// Distinct names in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = u32::try_from(self.names.len()).expect("2^32 names do not fit the memory");
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), index);
        index
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }
}

/// Collects the rows of all files.
#[derive(Debug)]
pub(crate) struct Builder<'o> {
    pub(crate) options: &'o ReadOptions,
    pub(crate) mapper: Mapper,
    pub(crate) prices: Option<PriceList>,
    pub(crate) files: Vec<String>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) records: Vec<Record>,
    /// All models that occur, those left out by `--models` too.
    pub(crate) models: Names,
    pub(crate) tasks: Names,
    pub(crate) datasets: Names,
    pub(crate) groups: Names,
    /// Drafts seen in further groups.
    pub(crate) more_groups: Vec<(u32, u32)>,
    pub(crate) reading: Reading,
    /// Drafts whose rows name two splits.
    pub(crate) split_conflicts: Vec<(u32, Split, Split)>,
    /// Whether rows are of Parquet, for messages.
    rows_not_lines: Vec<bool>,
    /// Whether model `i` is in the pool; grows with [`Builder::models`].
    wanted: Vec<bool>,
    hasher: RandomState,
    /// For [`crate::resolve::TextKey`].
    pub(crate) hashes: [RandomState; 2],
    by_id: Index,
    by_text: Index,
}

/// Hash → draft. The caller compares; on another draft's hash the next number is tried, as in open addressing.
#[derive(Debug, Default)]
struct Index(HashMap<u64, u32>);

impl Index {
    /// The draft that `is_same` accepts, or the key under which to insert a new one.
    fn find(&self, mut hash: u64, is_same: impl Fn(u32) -> bool) -> Result<u32, u64> {
        while let Some(draft) = self.0.get(&hash) {
            if is_same(*draft) {
                return Ok(*draft);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }
}

impl<'o> Builder<'o> {
    pub(crate) fn new(options: &'o ReadOptions, prices: Option<PriceList>) -> Self {
        Self {
            options,
            mapper: Mapper::new(options),
            prices,
            files: Vec::new(),
            drafts: Vec::new(),
            records: Vec::new(),
            models: Names::default(),
            tasks: Names::default(),
            datasets: Names::default(),
            groups: Names::default(),
            more_groups: Vec::new(),
            reading: Reading::default(),
            split_conflicts: Vec::new(),
            rows_not_lines: Vec::new(),
            wanted: Vec::new(),
            hasher: RandomState::new(),
            hashes: [RandomState::new(), RandomState::new()],
            by_id: Index::default(),
            by_text: Index::default(),
        }
    }

    /// Starts a file; rows are pushed for it until the next call.
    pub(crate) fn begin_file(&mut self, file: &Path, rows_not_lines: bool) {
        self.files.push(file.display().to_string());
        self.rows_not_lines.push(rows_not_lines);
    }

    /// Checks the columns of a file, and notes those that are not used.
    pub(crate) fn columns(&mut self, file: &Path, found: &[String]) -> Result<(), Error> {
        let joined = self.options.prompts.is_some();
        let mut required = vec![Column::Model, Column::Score];
        let has_text = found.iter().any(|name| {
            matches!(self.mapper.slot(name), crate::columns::Slot::Column(Column::Prompt | Column::Messages))
        });
        if joined && !has_text {
            required.push(Column::PromptId);
        }
        self.mapper.check(file, found, &required, !joined)?;
        for name in found {
            if self.mapper.slot(name) == crate::columns::Slot::Unknown && !self.reading.ignored_columns.contains(name) {
                self.reading.ignored_columns.push(name.clone());
            }
        }
        Ok(())
    }

    /// Counts a row that no [`RawRow`] can be made of.
    pub(crate) fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.reading.rows += 1;
        let place = self.place(line);
        self.count_rejected(place, reason, value, 1);
    }

    /// Takes one row.
    ///
    /// # Errors
    ///
    /// [`Error::ScoreOutOfRange`]; everything else that is wrong with a row is counted.
    pub(crate) fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        self.reading.rows += 1;
        let place = self.place(line);
        let Some(model) = row::text(raw.get(Column::Model)) else {
            self.count_rejected(place, "empty model", "", 1);
            return Ok(());
        };
        let model = self.models.intern(&model);
        if !self.is_wanted(model) || !self.is_wanted_task(raw.get(Column::Task)) {
            self.reading.filtered += 1;
            return Ok(());
        }
        let scale = self.options.score_range.unwrap_or((0.0, 1.0));
        match row::validate(raw, scale) {
            Ok(row) => {
                let group = row.group.as_deref().map_or(NONE, |name| self.groups.intern(name));
                let draft = self.draft(&row, group, place);
                self.describe(draft, group, &row);
                self.records.push(Record {
                    draft,
                    model,
                    score: row.score,
                    input_tokens: row.input_tokens,
                    output_tokens: row.output_tokens,
                    latency_ms: row.latency_ms,
                    propensity: row.propensity,
                    repeat: row.repeat.unwrap_or(NONE),
                    cost_usd: row.cost_usd,
                });
                Ok(())
            }
            Err(Refusal::Reject { reason, value }) => {
                self.count_rejected(place, reason, &value, 1);
                Ok(())
            }
            Err(Refusal::OutOfRange { score }) => {
                Err(Error::ScoreOutOfRange { place: self.show(place), score, low: scale.0, high: scale.1 })
            }
        }
    }

    /// Gives a text to the rows of `prompt_id` that have none. Ids the log does not have are passed over.
    pub(crate) fn join(&mut self, prompt_id: &str, content: (Kind, &str)) {
        let hash = self.hasher.hash_one(prompt_id);
        let drafts = &self.drafts;
        if let Ok(draft) = self.by_id.find(hash, |draft| drafts[draft as usize].id.as_deref() == Some(prompt_id)) {
            let place = self.drafts[draft as usize].first;
            self.add_content(draft, content.0, content.1, place);
        }
    }

    /// Counts `rows` rejected rows and keeps the first few places.
    pub(crate) fn count_rejected(&mut self, place: Place, reason: &'static str, value: &str, rows: u64) {
        let shown = self.show(place);
        let rejected = self.reading.rejected.entry(reason.to_owned()).or_default();
        rejected.add(rows, || format!("{shown}: {}", excerpt(value, 80)));
    }

    /// `file:line`.
    pub(crate) fn show(&self, place: Place) -> String {
        let file = place.file as usize;
        show(&self.files[file], self.rows_not_lines[file], place.line)
    }

    fn place(&self, line: u64) -> Place {
        let file = self.files.len().checked_sub(1).expect("a file was begun");
        Place { file: u32::try_from(file).expect("fewer than 2^32 files"), line }
    }

    fn is_wanted(&mut self, model: u32) -> bool {
        let model = model as usize;
        if let Some(models) = &self.options.models {
            for name in &self.models.names[self.wanted.len()..] {
                self.wanted.push(models.contains(name));
            }
            self.wanted[model]
        } else {
            true
        }
    }

    fn is_wanted_task(&self, task: &Cell<'_>) -> bool {
        match &self.options.task {
            None => true,
            Some(pattern) => row::text(task).is_some_and(|task| wildcard::matches(pattern, &task)),
        }
    }

    /// The draft of a row, new or known.
    fn draft(&mut self, row: &Row<'_>, group: u32, place: Place) -> u32 {
        let drafts = &self.drafts;
        let found = if let Some(id) = &row.prompt_id {
            let hash = self.hasher.hash_one(id.as_ref());
            self.by_id.find(hash, |draft| drafts[draft as usize].id.as_deref() == Some(id.as_ref()))
        } else {
            let (kind, text) = row.content.as_ref().expect("a row without an id has a text");
            let hash = self.hasher.hash_one((kind == &Kind::Text, text.as_ref(), group));
            self.by_text.find(hash, |draft| {
                let draft = &drafts[draft as usize];
                draft.group == group
                    && *draft.context == *row.context
                    && draft.content.as_ref().is_some_and(|known| known.0 == *kind && *known.1 == **text)
            })
        };
        let hash = match found {
            Ok(draft) => {
                if let Some((kind, text)) = &row.content {
                    self.add_content(draft, *kind, text, place);
                }
                return draft;
            }
            Err(hash) => hash,
        };
        let draft = u32::try_from(self.drafts.len()).expect("2^32 prompts do not fit the memory");
        let index = if row.prompt_id.is_some() { &mut self.by_id } else { &mut self.by_text };
        index.0.insert(hash, draft);
        self.drafts.push(Draft {
            id: row.prompt_id.as_deref().map(Into::into),
            content: row.content.as_ref().map(|(kind, text)| (*kind, text.as_ref().into())),
            context: row.context.clone().into(),
            group,
            task: NONE,
            dataset: NONE,
            split: None,
            weight: f32::NAN,
            timestamp_us: None,
            rows: 0,
            first: place,
            conflict: None,
        });
        draft
    }

    /// Brings together the texts that rows give to one `prompt_id`.
    fn add_content(&mut self, draft: u32, kind: Kind, text: &str, place: Place) {
        let draft = &mut self.drafts[draft as usize];
        match &mut draft.content {
            None => draft.content = Some((kind, text.into())),
            Some(known) if known.0 == kind && *known.1 == *text => {}
            Some(known) => {
                if content_key(known.0, &known.1) != content_key(kind, text) {
                    draft.conflict.get_or_insert((CONFLICTING_TEXT, place));
                } else if (kind, text) < (known.0, &known.1) {
                    // The least of equivalent texts, so that the order of rows does not matter.
                    *known = (kind, text.into());
                }
            }
        }
    }

    /// Merges what a row says about its prompt.
    fn describe(&mut self, draft: u32, group: u32, row: &Row<'_>) {
        let task = row.task.as_deref().map_or(NONE, |name| self.tasks.intern(name));
        let dataset = row.dataset.as_deref().map_or(NONE, |name| self.datasets.intern(name));
        if let Some(source) = &row.source {
            count_source(&mut self.reading.sources, source);
        }
        let index = draft;
        let draft = &mut self.drafts[index as usize];
        draft.rows += 1;
        draft.task = least(draft.task, task, &self.tasks.names);
        draft.dataset = least(draft.dataset, dataset, &self.datasets.names);
        if draft.group == NONE {
            draft.group = group;
        } else if group != NONE && group != draft.group {
            self.more_groups.push((index, group));
        }
        match (draft.split, row.split) {
            (None, split) => draft.split = split,
            (Some(known), Some(split)) if known != split => {
                // Told as an error when the log is put together, where the prompt's id is known.
                self.split_conflicts.push((index, known.min(split), known.max(split)));
            }
            _ => {}
        }
        draft.weight = draft.weight.max(row.weight);
        draft.timestamp_us = match (draft.timestamp_us, row.timestamp_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if *draft.context != *row.context {
            if let Some(context) = merge_context(&draft.context, &row.context) {
                draft.context = context.into();
            } else {
                draft.conflict.get_or_insert((CONFLICTING_CONTEXT, draft.first));
            }
        }
    }
}

/// `file:line`, or `file:row n` where rows have no lines.
pub(crate) fn show(file: &str, rows_not_lines: bool, line: u64) -> String {
    let row = if rows_not_lines { "row " } else { "" };
    format!("{file}:{row}{line}")
}

/// Reason: the rows of one `prompt_id` show different texts.
pub(crate) const CONFLICTING_TEXT: &str = "conflicting texts for one prompt_id";
/// Reason: the rows of one `prompt_id` have different values of one `context.*` column.
pub(crate) const CONFLICTING_CONTEXT: &str = "conflicting context for one prompt_id";

/// The normalised text by which two contents are the same.
pub(crate) fn content_key(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Text => normalise(text),
        Kind::Messages => normalise(&crate::messages::parse(text).expect("checked to parse").transcript()),
    }
}

/// Both contexts together, or `None` where they give one name two values.
pub(crate) fn merge_context(
    a: &[(String, ContextValue)],
    b: &[(String, ContextValue)],
) -> Option<Vec<(String, ContextValue)>> {
    let mut merged: BTreeMap<&String, &ContextValue> = a.iter().map(|(name, value)| (name, value)).collect();
    for (name, value) in b {
        if *merged.entry(name).or_insert(value) != value {
            return None;
        }
    }
    Some(merged.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The index whose name comes first; [`NONE`] comes last.
pub(crate) fn least(a: u32, b: u32, names: &[String]) -> u32 {
    if a == NONE || a == b {
        b
    } else if b == NONE || names[a as usize] <= names[b as usize] {
        a
    } else {
        b
    }
}

fn count_source(sources: &mut BTreeMap<String, u64>, source: &str) {
    if let Some(count) = sources.get_mut(source) {
        *count += 1;
    } else if sources.len() < SOURCES {
        sources.insert(source.to_owned(), 1);
    } else {
        *sources.entry("(others)".to_owned()).or_default() += 1;
    }
}
