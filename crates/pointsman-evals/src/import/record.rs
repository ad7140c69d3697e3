//! Records of other tools: objects out of JSONL, JSON, CSV, TSV or Parquet, and what can be asked of them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;

use serde_json::{Map, Value};

use super::Visit;
use crate::columns::{Column, Slot};
use crate::error::Error;
use crate::form::{Form, detect};
use crate::input::Source;
use crate::read::{Sink, read_source};
use crate::row::{Cell, RawRow};

/// Largest JSON document that is read as a whole, in bytes, unpacked. The parsed document takes several times as much.
const LARGEST_DOCUMENT: u64 = 1 << 30;

/// Takes a record and the line (or position) where it stands, and puts what it makes of it into the visitor.
pub(super) type Take<'t> = &'t mut dyn FnMut(Value, u64, &mut dyn Visit) -> Result<(), Error>;

/// Hands every record of a file to `take`: lines of JSONL, rows of a table, or items of one JSON array.
pub(super) fn records(file: &Path, out: &mut dyn Visit, take: Take<'_>) -> Result<(), Error> {
    if is_document(file) {
        return match document(file)? {
            Value::Array(items) => each(items, out, take),
            record => take(record, 1, out),
        };
    }
    let source = detect(file)?;
    if source.form == Form::Jsonl && source.first_bytes()?.trim_ascii_start().starts_with(b"[") {
        return match parse(&source)? {
            Value::Array(items) => each(items, out, take),
            record => take(record, 1, out),
        };
    }
    let mut sink = RecordSink { names: RefCell::default(), out, take };
    read_source(&source, &mut sink)
}

/// Items of an array.
fn each(items: Vec<Value>, out: &mut dyn Visit, take: Take<'_>) -> Result<(), Error> {
    (1..).zip(items).try_for_each(|(position, item)| {
        if item.is_object() {
            return take(item, position, out);
        }
        out.reject(position, "not an object", &item.to_string());
        Ok(())
    })
}

/// Whether the name says that the file is one JSON document.
fn is_document(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    Path::new(name).extension().is_some_and(|ending| ending == "json")
}

/// A whole JSON document, perhaps packed.
pub(super) fn document(file: &Path) -> Result<Value, Error> {
    let source = detect(file)?;
    match parse(&source) {
        // Lines of JSON under the name of a document.
        Err(Error::BadJson { .. }) if source.form == Form::Jsonl => {
            let (mut items, mut broken) = (Vec::new(), Broken(None));
            let mut take = |value, _, _: &mut dyn Visit| {
                items.push(value);
                Ok(())
            };
            let mut sink = RecordSink { names: RefCell::default(), out: &mut broken, take: &mut take };
            read_source(&source, &mut sink)?;
            match broken.0 {
                None => Ok(Value::Array(items)),
                Some((line, problem)) => Err(Error::BadJson { file: file.to_owned(), line, problem }),
            }
        }
        parsed => parsed,
    }
}

fn parse(source: &Source<'_>) -> Result<Value, Error> {
    use std::io::Read;

    let mut text = Vec::new();
    let mut input = source.open()?;
    let mut part = vec![0; 1 << 16];
    loop {
        let read = input.read(&mut part).map_err(|error| source.error(1, error))?;
        if read == 0 {
            break;
        }
        text.extend_from_slice(&part[..read]);
        input.next_record();
        if text.len() as u64 > LARGEST_DOCUMENT {
            return Err(Error::RecordTooLong { file: source.file.to_owned(), line: 1, most: LARGEST_DOCUMENT });
        }
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    from_slice(text).map_err(|error| Error::BadJson {
        file: source.file.to_owned(),
        line: error.line() as u64,
        problem: error.to_string(),
    })
}

/// Parses JSON as Python writes it: `NaN` and infinities are nulls.
pub(super) fn from_slice(text: &[u8]) -> Result<Value, serde_json::Error> {
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(error) => match without_nan(text) {
            Some(text) => serde_json::from_slice(&text),
            None => Err(error),
        },
    }
}

/// The text with bare `NaN`, `Infinity` and `-Infinity` as `null`, or `None` if it has none.
fn without_nan(text: &[u8]) -> Option<Vec<u8>> {
    let mut clean = Vec::with_capacity(text.len());
    let mut found = false;
    let (mut in_string, mut at) = (false, 0);
    while at < text.len() {
        let rest = &text[at..];
        if in_string {
            if rest[0] == b'\\' && rest.len() > 1 {
                clean.extend_from_slice(&rest[..2]);
                at += 2;
                continue;
            }
            in_string = rest[0] != b'"';
        } else if let Some(word) = [&b"NaN"[..], b"Infinity", b"-Infinity"].iter().find(|word| rest.starts_with(word)) {
            clean.extend_from_slice(b"null");
            at += word.len();
            found = true;
            continue;
        } else {
            in_string = rest[0] == b'"';
        }
        clean.push(rest[0]);
        at += 1;
    }
    found.then_some(clean)
}

/// The first line that does not parse.
struct Broken(Option<(u64, String)>);

impl Visit for Broken {
    fn row(&mut self, _raw: RawRow<'static>, _line: u64) -> Result<(), Error> {
        Ok(())
    }

    fn reject(&mut self, line: u64, _reason: &'static str, value: &str) {
        self.0.get_or_insert_with(|| (line, value.to_owned()));
    }
}

/// Makes objects of rows, whatever their columns.
struct RecordSink<'t> {
    /// By the index of their slot.
    names: RefCell<Vec<String>>,
    out: &'t mut dyn Visit,
    take: Take<'t>,
}

impl Sink for RecordSink<'_> {
    fn columns(&mut self, _found: &[String]) -> Result<(), Error> {
        Ok(())
    }

    fn slot(&self, name: &str) -> Slot {
        let mut names = self.names.borrow_mut();
        names.push(name.to_owned());
        Slot::Extra(u32::try_from(names.len() - 1).expect("fewer than 2^32 columns"))
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        let names = self.names.borrow();
        let fields: Map<String, Value> =
            raw.extra.iter().map(|(index, cell)| (names[*index as usize].clone(), value(cell))).collect();
        drop(names);
        (self.take)(Value::Object(fields), line, self.out)
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.out.reject(line, reason, value);
    }

    fn progress(&mut self, _bytes: u64) {}
}

fn value(cell: &Cell<'_>) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => Value::String(text.clone().into_owned()),
        Cell::Number(number) => serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Cell::Bool(flag) => Value::Bool(*flag),
        Cell::Micros(micros) => Value::from(*micros as f64 / 1e6),
        Cell::Json(value) => value.clone(),
    }
}

/// The value at a path such as `usage.input_tokens` or `records.0.score`; null where it leads nowhere.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    // A column of a table may have dots in its name.
    if let Some(found) = value.get(path) {
        return found;
    }
    path.split('.').fold(value, |value, part| {
        match value {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|position| items.get(position)),
            _ => value.get(part),
        }
        .unwrap_or(&Value::Null)
    })
}

/// Text, or a number or flag written out; `None` where null, blank or nested.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        // Whole numbers of a table arrive as floats.
        Value::Number(number) => Some(match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 9e15 => format!("{whole:.0}"),
            _ => number.to_string(),
        }),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A number, also where it is written as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// The cell that judging sees.
pub(super) fn cell(value: &Value) -> Cell<'static> {
    crate::jsonl::cell(value.clone())
}

/// Microseconds since 1970: of RFC 3339, of a time without a zone (taken as UTC), of seconds since 1970.
pub(super) fn micros(value: &Value) -> Option<i64> {
    match value {
        Value::Number(seconds) => {
            let micros = seconds.as_f64()? * 1e6;
            #[expect(clippy::cast_possible_truncation, reason = "checked to be within range")]
            (micros.abs() < 9e18).then_some(micros as i64)
        }
        Value::String(text) => {
            let text = text.trim();
            text.parse::<jiff::Timestamp>()
                .ok()
                .or_else(|| {
                    let civil = text.trim_end_matches(" UTC").parse::<jiff::civil::DateTime>().ok()?;
                    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
                })
                .map(jiff::Timestamp::as_microsecond)
        }
        _ => None,
    }
}

/// Puts what a router would see into a row: chat messages (as JSON, or as JSON within text), or text.
pub(super) fn set_content(raw: &mut RawRow<'static>, content: &Value) {
    match content {
        Value::Array(_) => raw.set(Column::Messages, Cell::Json(content.clone())),
        Value::String(text) if is_chat(text) => raw.set(Column::Messages, Cell::Text(Cow::Owned(text.clone()))),
        other => {
            if let Some(text) = text(other) {
                raw.set(Column::Prompt, Cell::Text(Cow::Owned(text)));
            }
        }
    }
}

/// Whether a text is an array of messages; a prompt may well begin with a bracket.
fn is_chat(text: &str) -> bool {
    text.trim_start().starts_with('[') && text.contains("\"role\"") && crate::messages::parse(text).is_ok()
}

/// Sets a column where there is a value for it.
pub(super) fn set(raw: &mut RawRow<'static>, column: Column, value: &Value) {
    if column.is_number() {
        if let Some(number) = number(value) {
            raw.set(column, Cell::Number(number));
        }
    } else if let Some(text) = text(value) {
        raw.set(column, Cell::Text(Cow::Owned(text)));
    }
}

/// The turns before the first answer: what was asked.
pub(super) fn asked(messages: &Value) -> Option<Value> {
    let turns = messages.as_array()?;
    let asked: Vec<Value> =
        turns.iter().take_while(|turn| at(turn, "role").as_str() != Some("assistant")).map(plain).collect();
    (!asked.is_empty()).then_some(Value::Array(asked))
}

/// Role and content alone: other keys of a turn are the tool's own.
fn plain(turn: &Value) -> Value {
    let mut kept = Map::new();
    for key in ["role", "content"] {
        if let Some(value) = turn.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_through_objects_and_arrays() {
        let value = json!({"a": {"b": [1, {"c": "x"}]}, "a.b": 7});
        assert_eq!(at(&value, "a.b.1.c"), "x");
        assert_eq!(at(&value, "a.b"), 7, "a key with a dot comes first");
        assert_eq!(at(&value, "a.b.9.c"), &Value::Null);
        assert_eq!(at(&value, "z"), &Value::Null);
    }

    #[test]
    fn pythons_numbers_are_read() {
        assert_eq!(
            from_slice(br#"{"a": NaN, "b": [-Infinity, "NaN \" NaN"]}"#).expect("lenient"),
            json!({"a": null, "b": [null, "NaN \" NaN"]})
        );
        assert!(from_slice(b"{\"a\": NaN").is_err());
    }

    #[test]
    fn times_are_read_in_three_ways() {
        for value in [json!("2026-01-31T12:00:00Z"), json!("2026-01-31 12:00:00"), json!(1_769_860_800)] {
            assert_eq!(micros(&value), Some(1_769_860_800_000_000), "{value}");
        }
        assert_eq!(micros(&json!("yesterday")), None);
    }

    #[test]
    fn what_was_asked_ends_where_the_answer_begins() {
        let turns = json!([{"role": "user", "content": "a", "id": "1"}, {"role": "assistant", "content": "b"}]);
        assert_eq!(asked(&turns), Some(json!([{"role": "user", "content": "a"}])));
        assert_eq!(asked(&json!([{"role": "assistant", "content": "b"}])), None);
    }
}
