//! Tools whose files hold one outcome per record, perhaps under a common head: only names differ, so each is a table
//! of names.

use std::path::Path;

use serde_json::Value;

use super::record::{at, cell, micros, number, records, set, set_content, text};
use super::{Context, Format, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Where the columns of the evaluation log are in a record: the first path that leads somewhere counts.
#[derive(Debug)]
pub(super) struct Layout {
    content: &'static [&'static str],
    model: &'static [&'static str],
    score: &'static [&'static str],
    /// Other columns that are copied.
    copied: &'static [(Column, &'static [&'static str])],
    /// Wall time in seconds.
    seconds: &'static [&'static str],
    /// Start and end of the call, where its wall time is not there.
    span: Option<(&'static str, &'static str)>,
    /// When it was asked.
    timestamp: &'static [&'static str],
    /// The answer, of which only the length counts.
    answer: &'static [&'static str],
    /// Records with this value there are no outcomes: path, value, why.
    no_outcome: &'static [(&'static str, &'static str, &'static str)],
    /// The array of records in a document that has a head, whose fields are those of each record.
    records: Option<&'static str>,
    /// Whether a cost of 0 means that none was recorded.
    zero_cost_is_unknown: bool,
    /// Where an outcome's id is, by which scores are joined.
    id: &'static [&'static str],
}

const NOTHING: Layout = Layout {
    content: &[],
    model: &[],
    score: &[],
    copied: &[],
    seconds: &[],
    span: None,
    timestamp: &[],
    answer: &[],
    no_outcome: &[],
    records: None,
    zero_cost_is_unknown: false,
    id: &[],
};

/// `train.csv` and `test.csv` of <https://huggingface.co/datasets/RZ412/EmbedLLM>.
pub(super) const EMBEDLLM: Layout = Layout {
    content: &["prompt"],
    model: &["model_name", "model_id"],
    score: &["label"],
    copied: &[(Column::PromptId, &["prompt_id"]), (Column::Task, &["category"])],
    ..NOTHING
};

/// `*_routing_*_data.jsonl` of <https://github.com/ulab-uiuc/LLMRouter>, `llmrouter/data/README.md`.
pub(super) const LLMROUTER: Layout = Layout {
    content: &["query"],
    model: &["model_name"],
    score: &["performance"],
    copied: &[
        (Column::Task, &["task_name"]),
        (Column::InputTokens, &["input_tokens"]),
        (Column::OutputTokens, &["output_tokens"]),
    ],
    seconds: &["response_time"],
    answer: &["response"],
    ..NOTHING
};

/// `results/bench/…/*.json` of <https://github.com/ynulihao/LLMRouterBench>, `data_collector/storage.py`. Its local models
/// have cost 0, which its own aggregates take for free.
pub(super) const LLMROUTERBENCH: Layout = Layout {
    content: &["origin_query", "prompt"],
    model: &["model_name"],
    score: &["score"],
    copied: &[
        (Column::Task, &["dataset_name"]),
        (Column::CostUsd, &["cost"]),
        (Column::InputTokens, &["prompt_tokens"]),
        (Column::OutputTokens, &["completion_tokens"]),
    ],
    answer: &["prediction"],
    no_outcome: &[("demo", "true", "a run for demonstration")],
    records: Some("records"),
    zero_cost_is_unknown: true,
    ..NOTHING
};

/// `cached_results/*.jsonl` of <https://github.com/RouteWorks/RouterArena>.
pub(super) const ROUTERARENA: Layout = Layout {
    content: &["question"],
    model: &["llm_selected"],
    score: &["evaluation_result.score"],
    copied: &[
        (Column::PromptId, &["global_index"]),
        (Column::CostUsd, &["evaluation_result.inference_cost"]),
        (Column::InputTokens, &["token_usage.input_tokens"]),
        (Column::OutputTokens, &["token_usage.output_tokens"]),
    ],
    answer: &["generated_answer"],
    no_outcome: &[("success", "false", "the call failed")],
    zero_cost_is_unknown: true,
    ..NOTHING
};

/// LiteLLM's `StandardLoggingPayload` (<https://docs.litellm.ai/docs/proxy/logging_spec>), as written by its file and
/// bucket loggers, and rows of its table `LiteLLM_SpendLogs`.
pub(super) const LITELLM: Layout = Layout {
    content: &["messages", "scores.messages", "scores.prompt", "prompt"],
    model: &["model"],
    score: &["scores.score", "score"],
    copied: &[
        (Column::CostUsd, &["response_cost", "spend"]),
        (Column::InputTokens, &["prompt_tokens"]),
        (Column::OutputTokens, &["completion_tokens"]),
        (Column::Group, &["session_id", "metadata.session_id"]),
        (Column::Task, &["scores.task"]),
    ],
    span: Some(("startTime", "endTime")),
    timestamp: &["startTime"],
    no_outcome: &[("status", "failure", "the call failed"), ("cache_hit", "true", "answered from a cache")],
    zero_cost_is_unknown: true,
    id: &["id", "request_id"],
    ..NOTHING
};

/// OpenRouter's generation records, `GET /api/v1/generation`. They hold no text.
pub(super) const OPENROUTER: Layout = Layout {
    content: &["messages", "prompt", "scores.messages", "scores.prompt"],
    model: &["model"],
    score: &["scores.score", "score"],
    copied: &[
        (Column::CostUsd, &["total_cost", "usage"]),
        (Column::InputTokens, &["native_tokens_prompt", "tokens_prompt"]),
        (Column::OutputTokens, &["native_tokens_completion", "tokens_completion"]),
        (Column::LatencyMs, &["generation_time", "latency"]),
        (Column::Group, &["external_user"]),
        (Column::Task, &["scores.task"]),
    ],
    timestamp: &["created_at"],
    no_outcome: &[("cancelled", "true", "the call was cancelled")],
    id: &["id"],
    ..NOTHING
};

impl Layout {
    /// Reads a file into `out`.
    pub(super) fn read(&self, file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
        let mut is_first = true;
        records(file, out, &mut |record, line, out| {
            let record = unwrap(record);
            if let Some(path) = self.records {
                return self.read_parts(file, record, path, context, out);
            }
            if std::mem::take(&mut is_first) {
                self.check(file, &record, line, context)?;
            }
            self.row(record, line, context, out)
        })
    }

    /// A document with a head: each of its records gets the head's fields.
    fn read_parts(
        &self,
        file: &Path,
        mut head: Value,
        path: &'static str,
        context: &Context<'_>,
        out: &mut dyn Visit,
    ) -> Result<(), Error> {
        let parts = head.as_object_mut().and_then(|head| head.remove(path));
        let Some(Value::Array(parts)) = parts else {
            return Err(Error::not_of(context.format, file, 1, path, &head));
        };
        // Older files name neither: they are in `<dataset>/<split>/<model>/<time>.json`.
        let mut folders = file.ancestors().skip(1).filter_map(|folder| folder.file_name());
        let model = folders.next().map(|name| name.to_string_lossy().into_owned());
        let dataset = folders.nth(1).map(|name| name.to_string_lossy().into_owned());
        for (name, found) in [("model_name", model), ("dataset_name", dataset)] {
            if let (Some(found), Some(head)) = (found, head.as_object_mut()) {
                head.entry(name).or_insert(Value::String(found));
            }
        }
        for (position, part) in (1..).zip(parts) {
            let mut record = head.clone();
            merge(&mut record, part);
            if position == 1 {
                self.check(file, &record, position, context)?;
            }
            self.row(record, position, context, out)?;
        }
        Ok(())
    }

    /// Whether the first record is one of this tool at all.
    fn check(&self, file: &Path, record: &Value, line: u64, context: &Context<'_>) -> Result<(), Error> {
        let has = |paths: &[&str]| paths.iter().any(|path| has(record, path));
        let joined = context.scores.is_some();
        let named = context.options.model.is_some();
        for (paths, excused) in [(self.content, joined), (self.model, named), (self.score, joined)] {
            if !has(paths) && !excused {
                if !self.id.is_empty() && paths == self.score && has(self.id) {
                    return Err(Error::NoScores { file: file.to_owned(), format: context.format });
                }
                return Err(Error::not_of(context.format, file, line, paths.last().expect("no list is empty"), record));
            }
        }
        Ok(())
    }

    fn row(&self, mut record: Value, line: u64, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
        for (path, value, why) in self.no_outcome {
            if text(at(&record, path)).is_some_and(|found| found.eq_ignore_ascii_case(value)) {
                out.reject(line, why, value);
                return Ok(());
            }
        }
        if let Some(scores) = &context.scores {
            let id = first(&record, self.id).and_then(text).unwrap_or_default();
            let Some(score) = scores.get(&id) else {
                out.reject(line, "no score for this id", &id);
                return Ok(());
            };
            if let Some(record) = record.as_object_mut() {
                record.insert("scores".into(), score.clone());
            }
        }
        let mut raw = RawRow::default();
        if let Some(content) = first(&record, self.content) {
            set_content(&mut raw, content);
        }
        if let Some(model) = context.model_or(|| first(&record, self.model).and_then(text)) {
            raw.set(Column::Model, Cell::Text(model.into()));
        }
        if let Some(score) = first(&record, self.score) {
            raw.set(Column::Score, cell(score));
        }
        for (column, paths) in self.copied {
            if let Some(value) = first(&record, paths) {
                let is_unknown = *column == Column::CostUsd && self.zero_cost_is_unknown && number(value) == Some(0.0);
                if !is_unknown {
                    set(&mut raw, *column, value);
                }
            }
        }
        if context.format == Format::RouterArena
            && let Some(task) = first(&record, &["global_index"]).and_then(text)
            && let Some((task, _)) = task.rsplit_once('_')
        {
            raw.set(Column::Task, Cell::Text(task.to_owned().into()));
        }
        let latency_ms = match first(&record, self.seconds).and_then(number) {
            Some(seconds) => Some(seconds * 1000.0),
            None => self.span.and_then(|(start, end)| {
                let millis = (micros(at(&record, end))? - micros(at(&record, start))?) as f64 / 1000.0;
                (millis > 0.0).then_some(millis)
            }),
        };
        if let Some(latency_ms) = latency_ms {
            raw.set(Column::LatencyMs, Cell::Number(latency_ms));
        }
        if let Some(time) = first(&record, self.timestamp).and_then(micros) {
            raw.set(Column::Timestamp, Cell::Micros(time));
        }
        if let Some(Value::String(answer)) = first(&record, self.answer) {
            raw.set(Column::OutputChars, Cell::Number(answer.chars().count() as f64));
        }
        out.row(raw, line)
    }
}

/// What the first of the paths that leads somewhere leads to.
fn first<'v>(record: &'v Value, paths: &[&str]) -> Option<&'v Value> {
    paths.iter().map(|path| at(record, path)).find(|value| match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        // What LiteLLM writes where it was told not to keep texts.
        Value::String(text) => text != "{}" && text != "redacted-by-litellm",
        _ => true,
    })
}

/// Whether a path leads to anything, be it null.
fn has(record: &Value, path: &str) -> bool {
    let (mut value, mut parts) = (record, path.split('.'));
    parts.all(|part| match value.get(part) {
        Some(next) => {
            value = next;
            true
        }
        None => false,
    })
}

/// OpenRouter's answers are wrapped in `data`, LiteLLM's payloads in `standard_logging_object`.
fn unwrap(mut record: Value) -> Value {
    for name in ["kwargs", "standard_logging_object", "data"] {
        if let Some(inner @ Value::Object(_)) = record.get_mut(name) {
            record = inner.take();
        }
    }
    record
}

fn merge(record: &mut Value, part: Value) {
    if let (Value::Object(record), Value::Object(part)) = (record, part) {
        record.extend(part);
    }
}
