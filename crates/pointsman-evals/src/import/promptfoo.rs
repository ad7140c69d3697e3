//! promptfoo: `promptfoo eval -o results.json` (or `.jsonl`).
//!
//! # References
//!
//! <https://www.promptfoo.dev/docs/configuration/outputs/>; `EvaluateResult` in `src/types/index.ts`.

use std::path::Path;

use serde_json::Value;

use super::record::{at, document, number, records, set, set_content, text};
use super::{Context, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Reads a file into `out`.
pub(super) fn read(file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    if file.extension().is_some_and(|ending| ending == "jsonl") {
        return records(file, out, &mut |result, line, out| row(file, &result, line, context, out));
    }
    let document = document(file)?;
    let results = ["results.results", "results"].iter().find_map(|path| at(&document, path).as_array());
    let Some(results) = results else {
        return Err(Error::not_of(context.format, file, 1, "results.results", &document));
    };
    (1..).zip(results).try_for_each(|(position, result)| row(file, result, position, context, out))
}

fn row(file: &Path, result: &Value, position: u64, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    for path in ["prompt", "provider", "success"] {
        if result.get(path).is_none() {
            return Err(Error::not_of(context.format, file, position, path, result));
        }
    }
    // 2 is an error of the provider or of an assertion; a failed assertion (1) is an outcome.
    if number(at(result, "failureReason")) == Some(2.0) {
        out.reject(position, "the call failed", &text(at(result, "error")).unwrap_or_default());
        return Ok(());
    }
    let mut raw = RawRow::default();
    match &context.options.prompt_field {
        Some(path) => set_content(&mut raw, at(result, path)),
        None => set_content(&mut raw, at(result, "prompt.raw")),
    }
    let provider = ["provider.label", "provider.id", "provider"].iter().find_map(|path| text(at(result, path)));
    if let Some(model) = context.model_or(|| provider) {
        raw.set(Column::Model, Cell::Text(model.into()));
    }
    let score = match &context.options.metric {
        Some(metric) => at(result, "namedScores").get(metric).unwrap_or(&Value::Null),
        None => at(result, "score"),
    };
    raw.set(Column::Score, super::record::cell(score));
    for path in ["testCase.metadata.task", "metadata.task", "testCase.metadata.category", "testCase.description"] {
        if let Some(task) = text(at(result, path)) {
            raw.set(Column::Task, Cell::Text(task.into()));
            break;
        }
    }
    // Of a cached answer neither time nor tokens were spent; the cost at the top is 0 where none is known.
    set(&mut raw, Column::CostUsd, at(result, "response.cost"));
    set(&mut raw, Column::InputTokens, at(result, "response.tokenUsage.prompt"));
    set(&mut raw, Column::OutputTokens, at(result, "response.tokenUsage.completion"));
    if at(result, "response.cached") != true {
        set(&mut raw, Column::LatencyMs, at(result, "latencyMs"));
    }
    if let Some(answer) = at(result, "response.output").as_str() {
        raw.set(Column::OutputChars, Cell::Number(answer.chars().count() as f64));
    }
    out.row(raw, position)
}
