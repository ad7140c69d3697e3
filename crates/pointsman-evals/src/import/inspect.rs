//! Inspect AI: `.eval` files (a zip archive with one JSON document per sample) and `.json` logs.
//!
//! # References
//!
//! <https://inspect.aisi.org.uk/eval-logs.html>; values of scores: `value_to_float` in `inspect_ai/scorer/_metric.py`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;
use zip::ZipArchive;

use super::record::{asked, at, document, from_slice, micros, number, set, set_content, text};
use super::{Context, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Largest sample, in bytes, unpacked. Transcripts of agents are long.
const LARGEST_SAMPLE: u64 = 256 << 20;

/// Reads a file into `out`.
pub(super) fn read(file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eval")) {
        return read_archive(file, context, out);
    }
    let log = document(file)?;
    let head = Head::of(&log, file, context)?;
    let Some(samples) = at(&log, "samples").as_array() else {
        return Err(Error::not_of(context.format, file, 1, "samples", &log));
    };
    (1..).zip(samples).try_for_each(|(position, sample)| head.row(sample, position, context, out))
}

fn read_archive(file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    let open = File::open(file).map_err(|source| Error::Io { file: file.to_owned(), source })?;
    let corrupt = |problem: String| Error::Corrupt { file: file.to_owned(), form: "zip", problem };
    let mut archive = ZipArchive::new(BufReader::new(open)).map_err(|error| corrupt(error.to_string()))?;
    // Of a run that was cut off only the start is written.
    let header = ["header.json", "_journal/start.json"]
        .into_iter()
        .find(|name| archive.index_for_name(name).is_some())
        .ok_or_else(|| corrupt("it has no header.json".into()))?;
    let header = entry(&mut archive, header).map_err(corrupt)?;
    let head = Head::of(&header, file, context)?;
    let mut samples: Vec<String> = archive
        .file_names()
        .flatten()
        .filter(|name| name.starts_with("samples/") && Path::new(&**name).extension().is_some_and(|end| end == "json"))
        .map(std::borrow::Cow::into_owned)
        .collect();
    samples.sort();
    for (position, name) in (1..).zip(samples) {
        match entry(&mut archive, &name) {
            Ok(sample) => head.row(&sample, position, context, out)?,
            Err(problem) => out.reject(position, "damaged sample", &format!("{name}: {problem}")),
        }
    }
    Ok(())
}

/// One JSON document of the archive.
fn entry(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Value, String> {
    let entry = archive.by_name(name).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    entry.take(LARGEST_SAMPLE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST_SAMPLE {
        return Err(format!("`{name}` is longer than {} MiB", LARGEST_SAMPLE >> 20));
    }
    from_slice(&bytes).map_err(|error| error.to_string())
}

/// What all samples of a log have in common.
struct Head {
    model: String,
    task: Option<String>,
    created: Option<i64>,
    scorer: Option<String>,
}

impl Head {
    fn of(log: &Value, file: &Path, context: &Context<'_>) -> Result<Self, Error> {
        let model = context.model_or(|| text(at(log, "eval.model")));
        let Some(model) = model else {
            return Err(Error::not_of(context.format, file, 1, "eval.model", log));
        };
        // Scores of a sample have no order; the results list the scorers as the task does.
        let scorer = ["results.scores.0.scorer", "results.scores.0.name", "eval.scorers.0.name"]
            .iter()
            .find_map(|path| text(at(log, path)));
        Ok(Self {
            model,
            task: text(at(log, "eval.task")).map(|task| task.rsplit('/').next().unwrap_or(&task).to_owned()),
            created: micros(at(log, "eval.created")),
            scorer,
        })
    }

    fn row(&self, sample: &Value, position: u64, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
        if !at(sample, "error").is_null() {
            let message = text(at(sample, "error.message")).unwrap_or_default();
            out.reject(position, "the sample ended in an error", &message);
            return Ok(());
        }
        let mut raw = RawRow::default();
        // A solver may have put the question into other words: the turns hold what was really asked.
        match (&context.options.prompt_field, asked(at(sample, "messages"))) {
            (Some(path), _) => set_content(&mut raw, at(sample, path)),
            (None, Some(asked)) => set_content(&mut raw, &asked),
            (None, None) => set_content(&mut raw, at(sample, "input")),
        }
        raw.set(Column::Model, Cell::Text(self.model.clone().into()));
        if let Some(score) = self.score(sample, context) {
            raw.set(Column::Score, score);
        }
        if let Some(task) = &self.task {
            raw.set(Column::Task, Cell::Text(task.clone().into()));
        }
        let usage = at(sample, "model_usage").get(&self.model).unwrap_or(at(sample, "output.usage"));
        // Tokens read from or written to a cache are not among the input tokens.
        let input: f64 = ["input_tokens", "input_tokens_cache_read", "input_tokens_cache_write"]
            .iter()
            .filter_map(|name| number(at(usage, name)))
            .sum();
        if input > 0.0 {
            raw.set(Column::InputTokens, Cell::Number(input));
        }
        set(&mut raw, Column::OutputTokens, at(usage, "output_tokens"));
        set(&mut raw, Column::CostUsd, at(usage, "total_cost"));
        if let Some(seconds) =
            ["output.time", "working_time", "total_time"].iter().find_map(|path| number(at(sample, path)))
        {
            raw.set(Column::LatencyMs, Cell::Number(seconds * 1000.0));
        }
        // Epochs count from 1.
        if let Some(epoch) = number(at(sample, "epoch")) {
            raw.set(Column::Repeat, Cell::Number((epoch - 1.0).max(0.0)));
        }
        if let Some(created) = self.created {
            raw.set(Column::Timestamp, Cell::Micros(created));
        }
        out.row(raw, position)
    }

    /// The score of the scorer asked for, else of the first; `name.key` for one value of many.
    fn score(&self, sample: &Value, context: &Context<'_>) -> Option<Cell<'static>> {
        let scores = at(sample, "scores").as_object()?;
        let value = if let Some(metric) = &context.options.metric {
            let (name, key) = metric.split_once('.').map_or((metric.as_str(), None), |(name, key)| (name, Some(key)));
            let value = at(scores.get(name)?, "value");
            key.map_or(value, |key| at(value, key))
        } else {
            let first = self.scorer.as_deref().and_then(|name| scores.get(name)).or_else(|| scores.values().next())?;
            at(first, "value")
        };
        Some(match value.as_str() {
            Some("C") => Cell::Number(1.0),
            Some("P") => Cell::Number(0.5),
            Some("I" | "N") => Cell::Number(0.0),
            _ => super::record::cell(value),
        })
    }
}
