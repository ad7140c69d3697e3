//! OpenAI Evals and what imitates it: one event per line, `spec` first, then `sampling` and its verdict.
//!
//! # References
//!
//! <https://github.com/openai/evals>, `evals/record.py`: `record_sampling`, `record_match`, `record_metrics`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::record::{asked, at, cell, micros, number, records, set, set_content, text};
use super::{Context, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Reads a file into `out`.
pub(super) fn read(file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    let mut run = Run::default();
    records(file, out, &mut |event, line, out| {
        if let Some(spec) = event.get("spec") {
            run.model = text(at(spec, "completion_fns.0")).or_else(|| text(at(spec, "model")));
            // `test-match.s1.simple-v0`: the eval, its version and split.
            run.task = text(at(spec, "base_eval")).or_else(|| text(at(spec, "eval_name")));
            return Ok(());
        }
        if event.get("final_report").is_some() {
            return Ok(());
        }
        let (Some(kind), Some(sample)) = (at(&event, "type").as_str(), text(at(&event, "sample_id"))) else {
            return Err(Error::not_of(context.format, file, line, "type", &event));
        };
        let data = at(&event, "data");
        match kind {
            "sampling" => {
                // The first call is the one under test; later ones are those of a grader.
                run.calls.entry(sample).or_insert_with(|| (event.clone(), line));
            }
            "match" if context.options.metric.is_none() => {
                run.verdict(&sample, at(data, "correct"), context, out)?;
            }
            "metrics" | "match" => {
                let score = match &context.options.metric {
                    Some(metric) => at(data, metric),
                    None => {
                        METRICS.iter().map(|name| at(data, name)).find(|value| !value.is_null()).unwrap_or(&Value::Null)
                    }
                };
                if !score.is_null() {
                    run.verdict(&sample, score, context, out)?;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut left: Vec<(String, u64)> = run.calls.into_iter().map(|(sample, (_, line))| (sample, line)).collect();
    left.sort();
    for (sample, line) in left {
        out.reject(line, "no verdict on this sample", &sample);
    }
    Ok(())
}

/// Metrics of the evals that come with the tool, which are scores in `[0, 1]`.
const METRICS: [&str; 6] = ["accuracy", "score", "correct", "includes_answer", "f1_score", "choice"];

#[derive(Debug, Default)]
struct Run {
    model: Option<String>,
    task: Option<String>,
    /// Calls without a verdict yet, by sample.
    calls: HashMap<String, (Value, u64)>,
}

impl Run {
    fn verdict(
        &mut self,
        sample: &str,
        score: &Value,
        context: &Context<'_>,
        out: &mut dyn Visit,
    ) -> Result<(), Error> {
        let Some((call, line)) = self.calls.remove(sample) else {
            return Ok(());
        };
        let mut raw = RawRow::default();
        let prompt = at(&call, "data.prompt");
        match asked(prompt) {
            Some(asked) => set_content(&mut raw, &asked),
            None => set_content(&mut raw, prompt),
        }
        let named = text(at(&call, "data.model")).or_else(|| self.model.clone());
        if let Some(model) = context.model_or(|| named) {
            raw.set(Column::Model, Cell::Text(model.into()));
        }
        raw.set(Column::Score, cell(score));
        if let Some(task) = &self.task {
            raw.set(Column::Task, Cell::Text(task.clone().into()));
        }
        set(&mut raw, Column::InputTokens, at(&call, "data.usage.prompt_tokens"));
        set(&mut raw, Column::OutputTokens, at(&call, "data.usage.completion_tokens"));
        if number(at(&call, "data.usage.completion_tokens")).is_none()
            && let Some(answer) = at(&call, "data.sampled.0").as_str().or(at(&call, "data.sampled").as_str())
        {
            raw.set(Column::OutputChars, Cell::Number(answer.chars().count() as f64));
        }
        if let Some(time) = micros(at(&call, "created_at")) {
            raw.set(Column::Timestamp, Cell::Micros(time));
        }
        out.row(raw, line)
    }
}
