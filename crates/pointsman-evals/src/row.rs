//! One row of a file, as found and as judged: the only place where values are validated.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::columns::Column;
use crate::log::ContextValue;
use crate::messages;
use crate::split::Split;
use crate::text::excerpt;

/// Characters of a rejected value that a message shows.
const SHOWN: usize = 60;

/// One value as a file form delivers it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Null, empty or not there.
    #[default]
    Missing,
    /// Text; numbers and flags of CSV too.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// A flag.
    Bool(bool),
    /// Microseconds since 1970-01-01 UTC.
    Micros(i64),
    /// A nested value of JSONL.
    Json(serde_json::Value),
}

impl Cell<'_> {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    fn own(&self) -> Cell<'static> {
        match self {
            Self::Missing => Cell::Missing,
            Self::Text(text) => Cell::Text(Cow::Owned(text.clone().into_owned())),
            Self::Number(number) => Cell::Number(*number),
            Self::Bool(flag) => Cell::Bool(*flag),
            Self::Micros(micros) => Cell::Micros(*micros),
            Self::Json(value) => Cell::Json(value.clone()),
        }
    }

    /// The value for a message.
    fn show(&self) -> String {
        match self {
            Self::Missing => "nothing".into(),
            Self::Text(text) => excerpt(text, SHOWN),
            Self::Number(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::Micros(micros) => micros.to_string(),
            Self::Json(value) => excerpt(&value.to_string(), SHOWN),
        }
    }
}

/// One row before validation: a cell per column, and the context by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawRow<'a> {
    cells: [Cell<'a>; Column::COUNT],
    /// `context.*` without the prefix, in the order of the file.
    pub(crate) context: Vec<(Cow<'a, str>, Cell<'a>)>,
    /// Columns of a wide table, by the index of their slot.
    pub(crate) extra: Vec<(u32, Cell<'a>)>,
}

impl<'a> RawRow<'a> {
    pub(crate) fn set(&mut self, column: Column, cell: Cell<'a>) {
        self.cells[column as usize] = cell;
    }

    pub(crate) fn get(&self, column: Column) -> &Cell<'a> {
        &self.cells[column as usize]
    }

    /// The same row, borrowing nothing; without the columns of a wide table.
    pub(crate) fn own(&self) -> RawRow<'static> {
        let context = self.context.iter().map(|(name, cell)| (Cow::Owned(name.clone().into_owned()), cell.own()));
        RawRow { cells: self.cells.each_ref().map(Cell::own), context: context.collect(), extra: Vec::new() }
    }
}

/// Whether the text is plain or chat messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Messages,
}

/// A validated row. Numbers that are not there are NaN.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) prompt_id: Option<Cow<'a, str>>,
    /// Absent only where `prompt_id` is there: the text may come from another row or file.
    pub(crate) content: Option<(Kind, Cow<'a, str>)>,
    pub(crate) score: f32,
    pub(crate) group: Option<Cow<'a, str>>,
    pub(crate) cost_usd: f64,
    pub(crate) input_tokens: f32,
    /// As reported, else characters ÷ 4.
    pub(crate) output_tokens: f32,
    pub(crate) latency_ms: f32,
    pub(crate) task: Option<Cow<'a, str>>,
    pub(crate) dataset: Option<Cow<'a, str>>,
    pub(crate) split: Option<Split>,
    pub(crate) weight: f32,
    pub(crate) timestamp_us: Option<i64>,
    pub(crate) repeat: Option<u32>,
    pub(crate) propensity: f32,
    pub(crate) source: Option<Cow<'a, str>>,
    /// Sorted by name.
    pub(crate) context: Vec<(String, ContextValue)>,
}

/// Why a row does not enter the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// It is counted under `reason`; `value` is shown.
    Reject { reason: &'static str, value: String },
    /// The whole log is on another scale.
    OutOfRange { score: f64 },
}

fn reject<T>(reason: &'static str, cell: &Cell<'_>) -> Result<T, Refusal> {
    Err(Refusal::Reject { reason, value: cell.show() })
}

/// Text of a cell; numbers and flags are written out. `None` where missing or blank.
pub(crate) fn text<'c>(cell: &'c Cell<'_>) -> Option<Cow<'c, str>> {
    match cell {
        Cell::Text(text) if text.trim().is_empty() => None,
        Cell::Text(text) => Some(Cow::Borrowed(text)),
        Cell::Number(number) => Some(Cow::Owned(number.to_string())),
        Cell::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        Cell::Missing | Cell::Micros(_) | Cell::Json(_) => None,
    }
}

/// Judges a row, `model` and `task` apart (they decide earlier whether the row is wanted at all).
pub(crate) fn validate<'r>(raw: &'r RawRow<'_>, scale: (f64, f64)) -> Result<Row<'r>, Refusal> {
    let cell = |column| raw.get(column);
    let score = score(cell(Column::Score), scale)?;
    let content = content(raw)?;
    let prompt_id = text(cell(Column::PromptId));
    if content.is_none() && prompt_id.is_none() {
        return reject("empty prompt", cell(Column::Prompt));
    }
    let output_tokens = amount(cell(Column::OutputTokens), "output_tokens is not a number", "negative output_tokens")?;
    let output_chars = amount(cell(Column::OutputChars), "output_chars is not a number", "negative output_chars")?;
    Ok(Row {
        prompt_id,
        content,
        score,
        group: text(cell(Column::Group)),
        cost_usd: amount(cell(Column::CostUsd), "cost_usd is not a number", "negative cost_usd")?,
        input_tokens: narrow(amount(
            cell(Column::InputTokens),
            "input_tokens is not a number",
            "negative input_tokens",
        )?),
        output_tokens: narrow(if output_tokens.is_nan() {
            output_chars / crate::cost::CHARS_PER_TOKEN
        } else {
            output_tokens
        }),
        latency_ms: narrow(amount(cell(Column::LatencyMs), "latency_ms is not a number", "negative latency_ms")?),
        task: text(cell(Column::Task)),
        dataset: text(cell(Column::Dataset)),
        split: split(cell(Column::Split))?,
        weight: weight(cell(Column::Weight))?,
        timestamp_us: timestamp(cell(Column::Timestamp))?,
        repeat: repeat(cell(Column::Repeat))?,
        propensity: propensity(cell(Column::Propensity))?,
        source: text(cell(Column::Source)),
        context: context(raw)?,
    })
}

/// The text of a row: `messages` where it is there, else `prompt`.
pub(crate) fn content<'r>(raw: &'r RawRow<'_>) -> Result<Option<(Kind, Cow<'r, str>)>, Refusal> {
    const REASON: &str = "messages is not chat JSON";
    let cell = raw.get(Column::Messages);
    let json = match cell {
        Cell::Json(value) => Some(Cow::Owned(value.to_string())),
        Cell::Number(_) | Cell::Bool(_) | Cell::Micros(_) => return reject(REASON, cell),
        Cell::Missing | Cell::Text(_) => text(cell),
    };
    if let Some(json) = json {
        // Parsed once here and again when the log is put together: most rows repeat a known prompt.
        return match messages::parse(&json) {
            Ok(chat) if chat.is_blank() => reject("empty prompt", cell),
            Ok(_) => Ok(Some((Kind::Messages, json))),
            Err(_) => reject(REASON, cell),
        };
    }
    let cell = raw.get(Column::Prompt);
    match cell {
        Cell::Json(_) => reject("prompt is not text", cell),
        _ => Ok(text(cell).map(|text| (Kind::Text, text))),
    }
}

fn score(cell: &Cell<'_>, (low, high): (f64, f64)) -> Result<f32, Refusal> {
    const REASON: &str = "score is not a number";
    let score = match score_value(cell) {
        Numeric::Value(score) if !score.is_nan() => score,
        Numeric::Missing => return reject("missing score", cell),
        Numeric::Value(_) | Numeric::Other => return reject(REASON, cell),
    };
    if !(low..=high).contains(&score) {
        return Err(Refusal::OutOfRange { score });
    }
    Ok(narrow((score - low) / (high - low)))
}

/// A cell seen as a score, on whatever scale: flags and their words are 1 and 0.
pub(crate) fn score_value(cell: &Cell<'_>) -> Numeric {
    let is_one_of = |word: &str, words: &[&str]| words.iter().any(|known| word.trim().eq_ignore_ascii_case(known));
    match cell {
        Cell::Bool(flag) => Numeric::Value(f64::from(u8::from(*flag))),
        Cell::Text(word) if is_one_of(word, &["true", "t", "yes", "y"]) => Numeric::Value(1.0),
        Cell::Text(word) if is_one_of(word, &["false", "f", "no", "n"]) => Numeric::Value(0.0),
        _ => number(cell),
    }
}

/// A number not below zero; NaN where missing.
fn amount(cell: &Cell<'_>, not_a_number: &'static str, negative: &'static str) -> Result<f64, Refusal> {
    match number(cell) {
        Numeric::Missing => Ok(f64::NAN),
        Numeric::Value(value) if value.is_finite() && value >= 0.0 => Ok(value.abs()),
        Numeric::Value(value) if value < 0.0 => reject(negative, cell),
        _ => reject(not_a_number, cell),
    }
}

fn weight(cell: &Cell<'_>) -> Result<f32, Refusal> {
    match number(cell) {
        Numeric::Missing => Ok(f32::NAN),
        Numeric::Value(value) if narrow(value) > 0.0 && narrow(value).is_finite() => Ok(narrow(value)),
        _ => reject("weight is not a positive number", cell),
    }
}

fn propensity(cell: &Cell<'_>) -> Result<f32, Refusal> {
    match number(cell) {
        Numeric::Missing => Ok(f32::NAN),
        Numeric::Value(value) if value > 0.0 && value <= 1.0 => Ok(narrow(value)),
        _ => reject("propensity is not in (0, 1]", cell),
    }
}

fn repeat(cell: &Cell<'_>) -> Result<Option<u32>, Refusal> {
    match number(cell) {
        Numeric::Missing => Ok(None),
        Numeric::Value(value) if value >= 0.0 && value < f64::from(u32::MAX) && value.fract() == 0.0 =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be whole and within range"
            )]
            Ok(Some(value as u32))
        }
        _ => reject("repeat is not a whole number", cell),
    }
}

fn split(cell: &Cell<'_>) -> Result<Option<Split>, Refusal> {
    match text(cell) {
        None if matches!(cell, Cell::Missing | Cell::Text(_)) => Ok(None),
        Some(name) => match name.trim().parse() {
            Ok(split) => Ok(Some(split)),
            Err(_) => reject("unknown split", cell),
        },
        None => reject("unknown split", cell),
    }
}

fn timestamp(cell: &Cell<'_>) -> Result<Option<i64>, Refusal> {
    match cell {
        Cell::Missing => Ok(None),
        Cell::Micros(micros) => Ok(Some(*micros)),
        Cell::Text(text) if text.trim().is_empty() => Ok(None),
        Cell::Text(text) => match text.trim().parse::<Timestamp>() {
            Ok(time) => Ok(Some(time.as_microsecond())),
            Err(_) => reject("timestamp is not RFC 3339", cell),
        },
        _ => reject("timestamp is not RFC 3339", cell),
    }
}

/// The context of a row, sorted by name.
pub(crate) fn context(raw: &RawRow<'_>) -> Result<Vec<(String, ContextValue)>, Refusal> {
    let mut context = Vec::with_capacity(raw.context.len());
    for (name, cell) in &raw.context {
        let value = match cell {
            Cell::Missing => continue,
            Cell::Text(text) => ContextValue::Text(text.clone().into_owned()),
            // Adding zero turns -0 into 0, so that equal values have equal bits.
            Cell::Number(number) if number.is_finite() => ContextValue::Number(number + 0.0),
            Cell::Bool(flag) => ContextValue::Bool(*flag),
            Cell::Number(_) | Cell::Micros(_) | Cell::Json(_) => {
                return reject("context value is not text, number or flag", cell);
            }
        };
        context.push((name.clone().into_owned(), value));
    }
    context.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    context.dedup_by(|a, b| a.0 == b.0);
    Ok(context)
}

/// A cell seen as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Numeric {
    Missing,
    Value(f64),
    Other,
}

fn number(cell: &Cell<'_>) -> Numeric {
    match cell {
        Cell::Missing => Numeric::Missing,
        Cell::Number(value) => Numeric::Value(*value),
        Cell::Text(text) if text.trim().is_empty() => Numeric::Missing,
        Cell::Text(text) => text.trim().parse().map_or(Numeric::Other, Numeric::Value),
        Cell::Bool(_) | Cell::Micros(_) | Cell::Json(_) => Numeric::Other,
    }
}

/// The nearest `f32`.
pub(crate) fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest single is what is wanted")]
    let narrow = value as f32;
    narrow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(Column, Cell<'static>)]) -> RawRow<'static> {
        let mut row = RawRow::default();
        row.set(Column::Prompt, Cell::Text("hello".into()));
        row.set(Column::Score, Cell::Number(1.0));
        for (column, cell) in cells {
            row.set(*column, cell.clone());
        }
        row
    }

    fn reason(cells: &[(Column, Cell<'static>)]) -> String {
        match validate(&row(cells), (0.0, 1.0)) {
            Ok(_) => "accepted".into(),
            Err(Refusal::Reject { reason, .. }) => reason.into(),
            Err(Refusal::OutOfRange { score }) => format!("out of range {score}"),
        }
    }

    fn words(text: &'static str) -> Cell<'static> {
        Cell::Text(text.into())
    }

    #[test]
    fn every_rejection_has_its_reason() {
        use Column::*;
        for (column, cell, expected) in [
            (Prompt, words("  "), "empty prompt"),
            (Prompt, Cell::Missing, "empty prompt"),
            (Prompt, Cell::Json(serde_json::json!(["a"])), "prompt is not text"),
            (Messages, words("[]"), "messages is not chat JSON"),
            (Messages, words("{}"), "messages is not chat JSON"),
            (Messages, Cell::Number(1.0), "messages is not chat JSON"),
            (Messages, words(r#"[{"role":"user","content":" "}]"#), "empty prompt"),
            (Score, Cell::Missing, "missing score"),
            (Score, words(""), "missing score"),
            (Score, words("good"), "score is not a number"),
            (Score, words("NaN"), "score is not a number"),
            (Score, Cell::Number(f64::NAN), "score is not a number"),
            (Score, words("2"), "out of range 2"),
            (Score, Cell::Number(-0.5), "out of range -0.5"),
            (Score, Cell::Number(f64::INFINITY), "out of range inf"),
            (CostUsd, words("-1"), "negative cost_usd"),
            (CostUsd, words("$1"), "cost_usd is not a number"),
            (CostUsd, Cell::Number(f64::INFINITY), "cost_usd is not a number"),
            (InputTokens, Cell::Number(-1.0), "negative input_tokens"),
            (InputTokens, words("many"), "input_tokens is not a number"),
            (OutputTokens, Cell::Number(-1.0), "negative output_tokens"),
            (OutputTokens, words("many"), "output_tokens is not a number"),
            (OutputChars, Cell::Number(-1.0), "negative output_chars"),
            (OutputChars, words("many"), "output_chars is not a number"),
            (LatencyMs, Cell::Number(-1.0), "negative latency_ms"),
            (LatencyMs, Cell::Bool(true), "latency_ms is not a number"),
            (Split, words("dev"), "unknown split"),
            (Split, Cell::Json(serde_json::json!({})), "unknown split"),
            (Weight, Cell::Number(0.0), "weight is not a positive number"),
            (Weight, words("heavy"), "weight is not a positive number"),
            (Timestamp, words("yesterday"), "timestamp is not RFC 3339"),
            (Timestamp, words("2026-01-31 12:00"), "timestamp is not RFC 3339"),
            (Timestamp, Cell::Number(1.0), "timestamp is not RFC 3339"),
            (Repeat, Cell::Number(0.5), "repeat is not a whole number"),
            (Repeat, Cell::Number(-1.0), "repeat is not a whole number"),
            (Propensity, Cell::Number(0.0), "propensity is not in (0, 1]"),
            (Propensity, Cell::Number(1.5), "propensity is not in (0, 1]"),
        ] {
            assert_eq!(reason(&[(column, cell.clone())]), expected, "{column:?} {cell:?}");
        }
    }

    #[test]
    fn optional_values_may_be_missing_or_blank() {
        for column in Column::ALL {
            if matches!(column, Column::Prompt | Column::Score) {
                continue;
            }
            assert_eq!(reason(&[(column, Cell::Missing)]), "accepted", "{column:?}");
            assert_eq!(reason(&[(column, words(" "))]), "accepted", "{column:?}");
        }
    }

    #[test]
    fn flags_and_their_words_are_scores() {
        for (cell, score) in [
            (Cell::Bool(true), 1.0),
            (words("False"), 0.0),
            (words("YES"), 1.0),
            (words(" n"), 0.0),
            (words(" 0.25 "), 0.25),
        ] {
            let raw = row(&[(Column::Score, cell)]);
            assert_eq!(validate(&raw, (0.0, 1.0)).expect("valid").score, score);
        }
    }

    #[test]
    fn another_scale_is_brought_to_the_unit_interval() {
        let raw = row(&[(Column::Score, Cell::Number(5.5))]);
        assert_eq!(validate(&raw, (1.0, 10.0)).expect("in range").score, 0.5);
        let raw = row(&[(Column::Score, Cell::Number(0.0))]);
        assert!(validate(&raw, (1.0, 10.0)).is_err());
    }

    #[test]
    fn answer_characters_stand_in_for_tokens() {
        let raw = row(&[(Column::OutputChars, Cell::Number(10.0))]);
        assert_eq!(validate(&raw, (0.0, 1.0)).expect("valid").output_tokens, 2.5);
        let raw = row(&[(Column::OutputChars, Cell::Number(10.0)), (Column::OutputTokens, Cell::Number(7.0))]);
        assert_eq!(validate(&raw, (0.0, 1.0)).expect("valid").output_tokens, 7.0);
    }

    #[test]
    fn context_is_sorted_and_typed() {
        let mut raw = row(&[]);
        raw.context =
            vec![("plan".into(), words("free")), ("age".into(), Cell::Number(3.0)), ("gone".into(), Cell::Missing)];
        let row = validate(&raw, (0.0, 1.0)).expect("valid");
        assert_eq!(
            row.context,
            [("age".to_owned(), ContextValue::Number(3.0)), ("plan".to_owned(), ContextValue::Text("free".into())),]
        );
        raw.context = vec![("list".into(), Cell::Json(serde_json::json!([1])))];
        assert!(validate(&raw, (0.0, 1.0)).is_err());
    }

    #[test]
    fn a_time_is_kept_to_the_microsecond() {
        let raw = row(&[(Column::Timestamp, words("1970-01-01T01:00:01.5+01:00"))]);
        let row = validate(&raw, (0.0, 1.0)).expect("valid");
        assert_eq!(row.timestamp_us, Some(1_500_000));
    }
}
