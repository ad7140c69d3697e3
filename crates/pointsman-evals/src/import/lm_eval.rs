//! lm-evaluation-harness: `samples_<task>_<time>.jsonl`, written by `lm_eval --log_samples --output_path FOLDER`.
//!
//! The files do not name the model: it is in `results_<time>.json` beside them, else the folder's name.
//!
//! # References
//!
//! <https://github.com/EleutherAI/lm-evaluation-harness>, `lm_eval/loggers/evaluation_tracker.py` (names, files) and
//! `lm_eval/evaluator.py` (the samples).

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{at, cell, document, records, set_content, text};
use super::{Context, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Remembers the text of every question, to notice where a chat template makes it differ between models.
#[derive(Debug, Default)]
pub(super) struct LmEval {
    /// (task, document) → hash of the text, and the file it was first met in.
    texts: RefCell<HashMap<(String, String), (u64, PathBuf)>>,
}

impl LmEval {
    /// Reads a file into `out`.
    pub(super) fn read(&self, file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
        let model = match &context.options.model {
            Some(model) => model.clone(),
            None => model(file)?,
        };
        let task = task(file);
        let mut filter = None;
        let mut first = true;
        records(file, out, &mut |record, line, out| {
            if std::mem::take(&mut first) {
                for path in ["doc", "arguments"] {
                    if record.get(path).is_none() {
                        return Err(Error::not_of(context.format, file, line, path, &record));
                    }
                }
            }
            // One question is scored once for every filter of the answer; runs of the same model are no repeats.
            let of = text(at(&record, "filter")).unwrap_or_default();
            let wanted = context.options.metric.as_deref().and_then(|metric| metric.split_once(','));
            let wanted = match wanted {
                Some((_, filter)) => filter.to_owned(),
                None => filter.get_or_insert_with(|| of.clone()).clone(),
            };
            if of != wanted {
                out.reject(line, "scored under another filter", &of);
                return Ok(());
            }
            let mut raw = RawRow::default();
            match &context.options.prompt_field {
                Some(path) => set_content(&mut raw, at(&record, path)),
                None => set_content(&mut raw, prompt(&record)),
            }
            self.compare(&task, &record, &raw, file)?;
            raw.set(Column::Model, Cell::Text(model.clone().into()));
            raw.set(Column::Task, Cell::Text(task.clone().into()));
            let metric = metric(&record, context.options.metric.as_deref());
            match &metric {
                Some(metric) => raw.set(Column::Score, cell(at(&record, metric))),
                None => return Err(Error::not_of(context.format, file, line, "metrics", &record)),
            }
            if let Some(answer) = at(&record, "filtered_resps.0").as_str().or(at(&record, "resps.0.0").as_str())
                && at(&record, "output_type").as_str() != Some("loglikelihood")
            {
                raw.set(Column::OutputChars, Cell::Number(answer.chars().count() as f64));
            }
            out.row(raw, line)
        })
    }

    /// One question, one text: else no two models have a prompt in common, and nothing can be learned.
    fn compare(&self, task: &str, record: &Value, raw: &RawRow<'_>, file: &Path) -> Result<(), Error> {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let Some(document) = text(at(record, "doc_hash")).or_else(|| text(at(record, "doc_id"))) else {
            return Ok(());
        };
        let mut hasher = DefaultHasher::new();
        format!("{:?}{:?}", raw.get(Column::Prompt), raw.get(Column::Messages)).hash(&mut hasher);
        let hash = hasher.finish();
        let mut texts = self.texts.borrow_mut();
        let (known, other) = texts.entry((task.to_owned(), document)).or_insert_with(|| (hash, file.to_owned()));
        if *known == hash || other == file {
            return Ok(());
        }
        Err(Error::TextsDiffer { task: task.to_owned(), first: other.clone(), second: file.to_owned() })
    }
}

/// What the model was shown: the first argument of the first request; messages are JSON within a list of one text.
fn prompt(record: &Value) -> &Value {
    let arguments = at(record, "arguments");
    let of_names = at(arguments, "gen_args_0.arg_0");
    let shown = if of_names.is_null() { at(arguments, "0.0") } else { of_names };
    match shown.as_array().map(Vec::as_slice) {
        Some([only @ Value::String(_)]) => only,
        _ => shown,
    }
}

/// The metric asked for, else the first that the harness lists, else the one that is there.
fn metric(record: &Value, wanted: Option<&str>) -> Option<String> {
    /// In order of preference, where a file of an older release does not list its metrics.
    const KNOWN: [&str; 7] = ["exact_match", "acc_norm", "acc", "pass@1", "pass_at_1", "em", "f1"];
    if let Some(wanted) = wanted {
        let name = wanted.split(',').next().unwrap_or(wanted);
        return record.get(name).map(|_| name.to_owned());
    }
    let listed = at(record, "metrics").as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.chain(KNOWN).find(|name| record.get(*name).is_some()).map(str::to_owned)
}

/// `samples_gsm8k_2026-01-31T12-00-00.123456.jsonl` → `gsm8k`.
fn task(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split(".jsonl").next().unwrap_or(&name);
    let name = name.strip_prefix("samples_").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((task, _)) if time(name).is_some() => task.to_owned(),
        _ => name.to_owned(),
    }
}

/// The time at the end of a name.
fn time(name: &str) -> Option<&str> {
    let (_, time) = name.rsplit_once('_')?;
    let is_time = time.len() >= 19 && time.as_bytes()[4] == b'-' && time.as_bytes().get(10) == Some(&b'T');
    is_time.then_some(time)
}

/// The model of a file of samples: by the results of the same run beside it, else of the same folder, else by the
/// folder's name, in which the harness writes `/` as `__`.
fn model(file: &Path) -> Result<String, Error> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = stem.split(".jsonl").next().unwrap_or(&stem).to_owned();
    let mut results: Vec<PathBuf> =
        std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("results_") && Path::new(&*name).extension().is_some_and(|ending| ending == "json")
            })
            .collect();
    results.sort();
    let of_run = time(&stem).and_then(|time| {
        results.iter().find(|path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(time)))
    });
    for results in of_run.into_iter().chain(results.last()) {
        let results = document(results)?;
        let named = ["model_name", "config.model_args.model", "config.model_args.pretrained"];
        if let Some(name) = named.iter().find_map(|path| text(at(&results, path))) {
            return Ok(name);
        }
        if let Some(arguments) = at(&results, "config.model_args").as_str()
            && let Some(name) = arguments
                .split(',')
                .find_map(|part| part.trim().strip_prefix("model=").or_else(|| part.trim().strip_prefix("pretrained=")))
        {
            return Ok(name.to_owned());
        }
    }
    match folder.file_name() {
        Some(name) => Ok(name.to_string_lossy().replace("__", "/")),
        None => Err(Error::ModelUnknown { file: file.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_tasks() {
        for (name, expected) in [
            ("samples_gsm8k_2026-01-31T12-00-00.123456.jsonl", "gsm8k"),
            ("samples_mmlu_abstract_algebra_2026-01-31T12-00-00.123456.jsonl", "mmlu_abstract_algebra"),
            ("samples_arc_easy.jsonl", "arc_easy"),
            ("own.jsonl.gz", "own"),
        ] {
            assert_eq!(task(Path::new(name)), expected);
        }
    }
}
