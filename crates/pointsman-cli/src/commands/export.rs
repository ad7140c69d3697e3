//! `pointsman export`: what a gateway decided and what people thought of it becomes an evaluation log.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use pointsman_evals::write::{LogRow, LogWriter, TableSchema};
use pointsman_evals::{Content, ContextValue, ReadOptions, prompts, resolve_paths};
use pointsman_ledger::{Archive, EMBEDDINGS, Exported, PromptKey};
use serde::Serialize;
use serde_json::Value;

use crate::args::Export;
use crate::failure::{Unusable, unusable};
use crate::files::check_writable;
use crate::terminal::{print, say};

/// Where the rows come from.
const SOURCE: &str = "pointsman";

pub(crate) fn run(args: &Export) -> anyhow::Result<()> {
    let texts = args.prompts.iter().cloned().collect::<Vec<_>>();
    let inputs: Vec<&Path> = texts.iter().chain([&args.ledger]).map(PathBuf::as_path).collect();
    check_writable(&args.output, &inputs)?;
    let archive = Archive::open(&args.ledger)?;
    let metric = metric(&archive, args)?;
    let known = match &args.prompts {
        Some(file) => known_texts(file, archive.key())?,
        None => HashMap::new(),
    };
    // Tables are written in one pass, so that their columns have to be known first. A gateway that goes on deciding in between
    // adds rows of the same columns, or is told so.
    let (mut types, mut schema) = (Types::default(), TableSchema::default());
    rows(&archive, &metric, &known, &mut |row| {
        types.see(&row);
        Ok(())
    })?;
    rows(&archive, &metric, &known, &mut |row| {
        schema.include(&types.settle(row));
        Ok(())
    })?;
    let mut writer = LogWriter::create(&args.output, schema)?;
    let done = rows(&archive, &metric, &known, &mut |row| Ok(writer.push(types.settle(row))?))?;
    if done.written == 0 {
        return Err(Unusable {
            message: format!("ledger `{}`: of {} decisions none has feedback", args.ledger.display(), done.decisions),
            hint: Some("POST /v1/feedback with the decision_id of an answer".into()),
        }
        .into());
    }
    writer.finish()?;
    tell(args, &done);
    if args.json {
        let mut summary = serde_json::to_value(&done)?;
        summary["log"] = args.output.display().to_string().into();
        print(format!("{summary:#}"));
    }
    Ok(())
}

/// Hands on every decision that has a score, as a row.
fn rows(
    archive: &Archive,
    metric: &str,
    known: &HashMap<String, Content>,
    each: &mut dyn FnMut(LogRow) -> anyhow::Result<()>,
) -> anyhow::Result<Done> {
    let mut done = Done { metric: metric.to_owned(), ..Done::default() };
    archive.each(|exported| match done.row(exported, known)? {
        Some(row) => each(row),
        None => Ok(()),
    })?;
    Ok(done)
}

/// The metric that is the score.
fn metric(archive: &Archive, args: &Export) -> anyhow::Result<String> {
    let metrics = archive.metrics()?;
    let listed = || metrics.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ");
    let file = args.ledger.display();
    match &args.metric {
        Some(name) if metrics.contains_key(name) => Ok(name.clone()),
        Some(name) if metrics.is_empty() => {
            Err(unusable(format!("ledger `{file}`: no feedback at all, nor on `{name}`")))
        }
        Some(name) => Err(unusable(format!("ledger `{file}`: no feedback on `{name}`; there is {}", listed()))),
        None if metrics.len() > 1 => Err(Unusable {
            message: format!("ledger `{file}`: feedback on several metrics: {}", listed()),
            hint: Some("choose the score with --metric NAME".into()),
        }
        .into()),
        None => Ok(metrics.into_keys().next().unwrap_or_default()),
    }
}

/// The texts of a file by the names that the ledger has for them.
fn known_texts(file: &Path, key: &PromptKey) -> anyhow::Result<HashMap<String, Content>> {
    let files = resolve_paths(&[file.to_owned()])?;
    let mut known = HashMap::new();
    prompts(&files, &ReadOptions::default(), &mut |chunk, _| {
        for prompt in chunk {
            let id =
                prompt.with_request(|request| key.id(request.turns.iter().map(|turn| (turn.role.as_str(), turn.text))));
            if let Ok(id) = id {
                known.insert(id, prompt.content);
            }
        }
        true
    })?;
    Ok(known)
}

/// What was exported.
#[derive(Debug, Default, Serialize)]
struct Done {
    metric: String,
    decisions: u64,
    written: u64,
    /// Decisions without feedback on the metric.
    without_score: u64,
    /// Rows whose text is not known here.
    without_text: u64,
    models: BTreeMap<String, u64>,
}

impl Done {
    /// A decision as a row, where it has a score.
    fn row(&mut self, exported: Exported, known: &HashMap<String, Content>) -> anyhow::Result<Option<LogRow>> {
        let Exported { decision, outcome, scores } = exported;
        if decision.route == EMBEDDINGS {
            return Ok(None);
        }
        self.decisions += 1;
        let Some(score) = scores.get(&self.metric) else {
            self.without_score += 1;
            return Ok(None);
        };
        self.written += 1;
        let content = match decision.messages {
            Some(messages) => Content::Messages(messages),
            None => known.get(&decision.prompt_id).cloned().unwrap_or_else(|| Content::Text(String::new())),
        };
        if content == Content::Text(String::new()) {
            self.without_text += 1;
        }
        let answered_by = outcome.as_ref().and_then(|outcome| outcome.model.clone());
        // A model that stood in for the one that was chosen was not chosen by the logging policy's chances.
        let was_chosen = answered_by.as_ref().is_none_or(|model| *model == decision.model);
        let model = answered_by.unwrap_or(decision.model);
        *self.models.entry(model.clone()).or_default() += 1;
        let context: serde_json::Map<String, Value> = match &decision.context {
            Some(context) => serde_json::from_str(context)?,
            None => serde_json::Map::new(),
        };
        let value = |value: Value| match value {
            Value::String(text) => Some(ContextValue::Text(text)),
            Value::Bool(flag) => Some(ContextValue::Bool(flag)),
            Value::Number(number) => number.as_f64().map(ContextValue::Number),
            _ => None,
        };
        let mut row = LogRow::new(content, model, *score);
        row.prompt_id = Some(decision.prompt_id);
        row.group = decision.session.map(|session| match &decision.tenant {
            Some(tenant) => format!("{tenant}/{session}"),
            None => session,
        });
        row.timestamp_us = Some(decision.at_us);
        row.propensity = was_chosen.then_some(decision.propensity);
        row.source = Some(SOURCE.to_owned());
        row.context = context.into_iter().filter_map(|(name, given)| Some((name, value(given)?))).collect();
        if let Some(outcome) = outcome {
            row.cost_usd = outcome.cost_usd;
            row.input_tokens = outcome.input_tokens;
            row.output_tokens = outcome.output_tokens;
            row.latency_ms = outcome.latency_ms.filter(|_| outcome.outcome == "answered");
        }
        Ok(Some(row))
    }
}

/// Context columns in which requests disagree about the type: they become text.
#[derive(Debug, Default)]
struct Types {
    seen: BTreeMap<String, std::mem::Discriminant<ContextValue>>,
    mixed: Vec<String>,
}

impl Types {
    fn see(&mut self, row: &LogRow) {
        for (name, value) in &row.context {
            let kind = std::mem::discriminant(value);
            if *self.seen.entry(name.clone()).or_insert(kind) != kind && !self.mixed.contains(name) {
                self.mixed.push(name.clone());
            }
        }
    }

    fn settle(&self, mut row: LogRow) -> LogRow {
        for (_, value) in row.context.iter_mut().filter(|(name, _)| self.mixed.contains(name)) {
            *value = ContextValue::Text(match &*value {
                ContextValue::Text(text) => text.clone(),
                ContextValue::Number(number) => number.to_string(),
                ContextValue::Bool(flag) => flag.to_string(),
            });
        }
        row
    }
}

fn tell(args: &Export, done: &Done) {
    let Done { metric, decisions, written, without_score, without_text, models } = done;
    say(format_args!("wrote {}: {written} of {decisions} decisions, scored by `{metric}`", args.output.display()));
    for (model, rows) in models {
        say(format_args!("  {model}: {rows}"));
    }
    if *without_score > 0 {
        say(format_args!("  {without_score} left out: no feedback on `{metric}`"));
    }
    if *without_text == 0 {
        say(format_args!("next: pointsman train {} -o router.safetensors", args.output.display()));
    } else {
        say(format_args!(
            "  {without_text} without their text: give --prompts FILE here, or join them by prompt_id with `train --prompts FILE`"
        ));
    }
}
