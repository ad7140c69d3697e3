//! Wide tables: one row per prompt, one column per model, as RouterBench and RouteLLM publish them.
//!
//! A table is wide if it has neither `model` nor `score`. Its models are, where columns `<model>|<attribute>` exist,
//! those with such a companion; else all columns that are not of the log and hold nothing but numbers and flags in the
//! first rows. Each score that is there becomes one row of the long table, so nothing downstream knows the difference.
//!
//! # References
//!
//! RouterBench, <https://github.com/withmartian/routerbench>: `sample_id`, `prompt`, `eval_name`, `<model>`,
//! `<model>|model_response`, `<model>|total_cost`, `oracle_model_to_route_to`. RouteLLM,
//! <https://github.com/lm-sys/RouteLLM>, `routellm/evals/*/`: `prompt`, `<model>`, `<model>_response`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::columns::{Column, Mapper, Slot};
use crate::error::Error;
use crate::input::Source;
use crate::options::ReadOptions;
use crate::read::Sink;
use crate::row::{Cell, RawRow};
use crate::survey::{Seen, Survey};

/// Names that RouterBench gives to columns of ours.
const ALIASES: [(&str, Column); 2] = [("eval_name", Column::Task), ("sample_id", Column::PromptId)];

/// Columns of one call: in a wide table each belongs to a model.
const PER_CALL: [Column; 6] = [
    Column::CostUsd,
    Column::InputTokens,
    Column::OutputTokens,
    Column::OutputChars,
    Column::LatencyMs,
    Column::Propensity,
];

/// The layout of one wide table.
#[derive(Debug)]
pub(crate) struct Wide {
    slots: BTreeMap<String, Slot>,
    /// In the order of the file.
    models: Vec<String>,
    /// What [`Slot::Extra`] of that index holds: of which model, and what.
    parts: Vec<(usize, Part)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Value(Column),
    /// The text of the answer, of which only the length counts.
    Response,
}

impl Part {
    fn of_attribute(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "total_cost" | "cost_usd" | "cost" => Self::Value(Column::CostUsd),
            "model_response" | "response" => Self::Response,
            "input_tokens" => Self::Value(Column::InputTokens),
            "output_tokens" => Self::Value(Column::OutputTokens),
            "output_chars" => Self::Value(Column::OutputChars),
            "latency_ms" => Self::Value(Column::LatencyMs),
            _ => return None,
        })
    }
}

/// What a column called `name` says of which model, if it says so in its name.
fn companion(name: &str, is_model: impl Fn(&str) -> bool) -> Option<(&str, Option<Part>)> {
    if let Some((model, attribute)) = name.rsplit_once('|') {
        return Some((model, Part::of_attribute(attribute)));
    }
    let model = name.strip_suffix("_response").filter(|model| is_model(model))?;
    Some((model, Some(Part::Response)))
}

/// The columns that stand for others in tables without `model` and `score`.
pub(crate) fn aliases(names: &[String], mapper: &Mapper) -> BTreeMap<String, Slot> {
    let has = |column| names.iter().any(|name| mapper.slot(name) == Slot::Column(column));
    ALIASES
        .iter()
        .filter(|(alias, column)| mapper.slot(alias) == Slot::Unknown && !has(*column))
        .filter(|(alias, _)| names.iter().any(|name| name == alias))
        .map(|(alias, column)| ((*alias).to_owned(), Slot::Column(*column)))
        .collect()
}

impl Wide {
    /// The layout of a table if it is wide, `None` if it is to be read as a long one.
    ///
    /// # Errors
    ///
    /// [`Error::WideColumn`] for a column that could be a model's or not; whatever the file itself is wrong with.
    pub(crate) fn of(source: &Source<'_>, mapper: &Mapper, options: &ReadOptions) -> Result<Option<Self>, Error> {
        let survey = Survey::of(source, mapper)?;
        if survey.is_long {
            return Ok(None);
        }
        let sorted = Sorting { source, mapper, options, survey: &survey };
        let Some(models) = sorted.models()? else {
            return Ok(None);
        };
        mapper.check(source.file, &survey.names(), &[], false)?;
        sorted.check_per_call()?;
        let mut slots = aliases(&survey.names(), mapper);
        let has = |wanted: &[Column], slots: &BTreeMap<String, Slot>| {
            survey.columns.iter().any(|(name, _)| {
                let slot = slots.get(name).cloned().unwrap_or_else(|| mapper.slot(name));
                matches!(slot, Slot::Column(column) if wanted.contains(&column))
            })
        };
        if !has(&[Column::Prompt, Column::Messages], &slots) {
            let joined = options.prompts.is_some();
            if !joined || !has(&[Column::PromptId], &slots) {
                let (column, label) =
                    if joined { (Column::PromptId, "prompt_id") } else { (Column::Prompt, "prompt or messages") };
                return Err(mapper.missing(source.file, column, label, &survey.names()));
            }
        }
        let mut parts = Vec::new();
        for (name, _) in &survey.columns {
            let position = |model: &str| models.iter().position(|known| known == model);
            let part = if let Some(model) = position(name) {
                (model, Part::Value(Column::Score))
            } else if let Some((model, Some(part))) = companion(name, |model| position(model).is_some()) {
                let Some(model) = position(model) else { continue };
                (model, part)
            } else {
                continue;
            };
            slots.insert(name.clone(), Slot::Extra(u32::try_from(parts.len()).expect("fewer than 2^32 columns")));
            parts.push(part);
        }
        Ok(Some(Self { slots, models, parts }))
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).cloned()
    }
}

/// Which columns are models.
struct Sorting<'a> {
    source: &'a Source<'a>,
    mapper: &'a Mapper,
    options: &'a ReadOptions,
    survey: &'a Survey,
}

impl Sorting<'_> {
    fn models(&self) -> Result<Option<Vec<String>>, Error> {
        let names = || self.survey.columns.iter().map(|(name, _)| name.as_str());
        let seen = |model: &str| self.survey.columns.iter().find(|(name, _)| name == model).map(|(_, seen)| *seen);
        let is_score = |model: &str| matches!(seen(model), Some(Seen::Scores { .. }));
        let mut with_companion = Vec::new();
        for name in names().filter(|name| self.mapper.slot(name) == Slot::Unknown) {
            let Some((model, part)) = companion(name, is_score) else { continue };
            match seen(model) {
                Some(Seen::Other) | None if part.is_some() => {
                    let problem = format!("speaks of model `{model}`, which has no column of scores");
                    return Err(self.doubt(name, problem, "name the column of its scores after the model"));
                }
                Some(Seen::Scores { .. } | Seen::Nothing) => with_companion.push(model),
                _ => {}
            }
        }
        let is_free = |name: &&str| self.mapper.slot(name) == Slot::Unknown && !is_index(name) && !name.contains('|');
        if with_companion.is_empty() {
            if names().filter(is_free).any(|name| Column::is_alias(name, &[Column::Model, Column::Score])) {
                return Ok(None);
            }
            let of_log = [Column::Prompt, Column::PromptId];
            let may_be = |name: &&str| seen(name) != Some(Seen::Other) && !Column::is_alias(name, &of_log);
            let models: Vec<&str> = names().filter(is_free).filter(may_be).collect();
            let models = self.on_scale(models)?;
            let is_wide = models.iter().filter(|model| is_score(model)).count() >= 2
                || models.iter().any(|model| self.is_named(model));
            return Ok(is_wide.then_some(models));
        }
        let is_model = |name: &&str| with_companion.contains(name) || (self.is_named(name) && is_free(name));
        for name in names().filter(is_free).filter(|name| !is_model(name) && is_score(name)) {
            if self.options.models.is_none() && aliases(&[name.to_owned()], self.mapper).is_empty() {
                let problem = "may or may not be a model's: other models have columns such as `<model>|total_cost`";
                return Err(self.doubt(
                    name,
                    problem.into(),
                    "name the models with `--models A,B,…`, or leave the column out",
                ));
            }
        }
        Ok(Some(names().filter(is_model).map(str::to_owned).collect()))
    }

    /// Without the columns that `--models` leaves out and whose values cannot be scores.
    fn on_scale(&self, models: Vec<&str>) -> Result<Vec<String>, Error> {
        let (low, high) = self.options.score_range.unwrap_or((0.0, 1.0));
        let off = |model: &str| {
            self.survey.columns.iter().find_map(|(name, seen)| match seen {
                Seen::Scores { least, greatest } if name == model => {
                    [*least, *greatest].into_iter().find(|score| !(low..=high).contains(score))
                }
                _ => None,
            })
        };
        let all_off = models.iter().all(|model| off(model).is_some());
        let mut kept = Vec::new();
        for model in models {
            match off(model) {
                Some(value) if !all_off && !self.is_named(model) => {
                    if self.options.models.is_none() {
                        let problem = format!("is no column of the log, and {value} is no score in [{low}, {high}]");
                        let remedy = "name the models with `--models A,B,…`; or, if these are marks, their scale with \
                                      `--score-range`";
                        return Err(self.doubt(model, problem, remedy));
                    }
                }
                _ => kept.push(model.to_owned()),
            }
        }
        Ok(kept)
    }

    fn check_per_call(&self) -> Result<(), Error> {
        for (name, _) in &self.survey.columns {
            if matches!(self.mapper.slot(name), Slot::Column(column) if PER_CALL.contains(&column)) {
                let problem = "belongs to one call, and a row of a wide table is many".to_owned();
                return Err(self.doubt(name, problem, "name it after its model, as in `<model>|total_cost`"));
            }
        }
        Ok(())
    }

    fn is_named(&self, model: &str) -> bool {
        self.options.models.iter().flatten().any(|named| named == model)
    }

    fn doubt(&self, column: &str, problem: String, remedy: &'static str) -> Error {
        Error::WideColumn { file: self.source.file.to_owned(), column: column.to_owned(), problem, remedy }
    }
}

/// Row numbers that pandas writes along.
fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ") || name.starts_with("__index_level_")
}

/// Takes rows of a wide table and hands them on as rows of the long one.
pub(crate) struct WideSink<'a> {
    pub(crate) wide: &'a Wide,
    pub(crate) inner: &'a mut dyn Sink,
}

impl Sink for WideSink<'_> {
    fn columns(&mut self, found: &[String]) -> Result<(), Error> {
        // What was checked by the survey goes on under the names it has in the log.
        let renamed = |name: &String| match self.wide.slot(name) {
            Some(Slot::Column(column)) => Some(column.name().to_owned()),
            Some(_) => None,
            None => Some(name.clone()),
        };
        let mut columns: Vec<String> = found.iter().filter_map(renamed).collect();
        columns.extend([Column::Model, Column::Score].map(|column| column.name().to_owned()));
        self.inner.columns(&columns)
    }

    fn slot(&self, name: &str) -> Slot {
        self.wide.slot(name).unwrap_or_else(|| self.inner.slot(name))
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        let mut row = raw.clone();
        let extra = std::mem::take(&mut row.extra);
        let mut is_empty = true;
        for (model, name) in self.wide.models.iter().enumerate() {
            for column in PER_CALL.into_iter().chain([Column::Score]) {
                row.set(column, Cell::Missing);
            }
            for (index, cell) in &extra {
                match self.wide.parts[*index as usize] {
                    (of, Part::Value(column)) if of == model && !is_missing(cell) => row.set(column, cell.clone()),
                    (of, Part::Response) if of == model => {
                        if let Cell::Text(text) = cell {
                            row.set(Column::OutputChars, Cell::Number(text.chars().count() as f64));
                        }
                    }
                    _ => {}
                }
            }
            if row.get(Column::Score).is_missing() {
                continue;
            }
            is_empty = false;
            row.set(Column::Model, Cell::Text(Cow::Borrowed(name)));
            self.inner.push(&row, line).map_err(|error| in_column(error, name))?;
        }
        if is_empty {
            self.inner.reject(line, "no score of any model", "");
        }
        Ok(())
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.inner.reject(line, reason, value);
    }

    fn progress(&mut self, bytes: u64) {
        self.inner.progress(bytes);
    }

    fn wants(&self) -> u64 {
        self.inner.wants()
    }
}

/// Data frames say "missing" with what is not a number.
fn is_missing(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Missing => true,
        Cell::Number(number) => number.is_nan(),
        Cell::Text(text) => {
            let text = text.trim();
            text.is_empty() || text.eq_ignore_ascii_case("nan")
        }
        _ => false,
    }
}

/// Names the column too.
fn in_column(error: Error, column: &str) -> Error {
    match error {
        Error::ScoreOutOfRange { place, score, low, high } => {
            Error::ScoreOutOfRange { place: format!("{place}: column `{column}`"), score, low, high }
        }
        other => other,
    }
}
