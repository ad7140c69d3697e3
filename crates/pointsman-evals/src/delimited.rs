//! Tables as text with a delimiter: CSV (RFC 4180, UTF-8, a header line), and the same with tabs.

use crate::columns::Slot;
use crate::error::Error;
use crate::input::Source;
use crate::read::Sink;
use crate::row::{Cell, RawRow};
use std::borrow::Cow;
use std::io;

/// Reads the rows of `source` into `sink`; lines are counted from 1, the header's.
pub(crate) fn read(source: &Source<'_>, delimiter: u8, sink: &mut dyn Sink) -> Result<(), Error> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(source.open()?);
    let names: Vec<String> = reader
        .byte_headers()
        .map_err(|error| source.error(1, io(error)))?
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().trim_start_matches('\u{feff}').to_owned())
        .collect();
    if names.iter().all(String::is_empty) {
        return Err(Error::EmptyFile { file: source.file.to_owned() });
    }
    sink.columns(&names)?;
    let slots: Vec<Slot> = names.iter().map(|name| sink.slot(name)).collect();
    // The line feed of a CRLF is only counted with the record that follows it.
    let breaks = names.iter().map(|name| name.matches('\n').count() as u64).sum::<u64>();
    let uncounted = (breaks + 2).saturating_sub(reader.position().line());
    let mut record = csv::ByteRecord::new();
    while sink.wants() > 0 {
        reader.get_mut().next_record();
        let line = reader.position().line() + uncounted;
        if !reader.read_byte_record(&mut record).map_err(|error| source.error(line, io(error)))? {
            break;
        }
        let line = record.position().map_or(line, |position| position.line() + uncounted);
        if record.len() != names.len() {
            let counts = format!("{} fields, the header has {}", record.len(), names.len());
            sink.reject(line, "ragged line", &counts);
            continue;
        }
        match row(&record, &slots) {
            Ok(raw) => sink.push(&raw, line)?,
            Err(field) => sink.reject(line, "invalid UTF-8", &String::from_utf8_lossy(field)),
        }
        sink.progress(reader.get_ref().bytes());
    }
    Ok(())
}

/// What reading said, without the parser's wrapping.
fn io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The cells of a line, or the first field that is not UTF-8.
fn row<'r>(record: &'r csv::ByteRecord, slots: &'r [Slot]) -> Result<RawRow<'r>, &'r [u8]> {
    let mut raw = RawRow::default();
    for (field, slot) in record.iter().zip(slots) {
        if field.is_empty() || *slot == Slot::Unknown {
            continue;
        }
        let text = std::str::from_utf8(field).map_err(|_| field)?;
        match slot {
            Slot::Column(column) => raw.set(*column, Cell::Text(Cow::Borrowed(text))),
            Slot::Context(name) => raw.context.push((Cow::Borrowed(name), typed(text))),
            Slot::Extra(index) | Slot::Peek(index) => raw.extra.push((*index, Cell::Text(Cow::Borrowed(text)))),
            Slot::ContextObject => {
                if let Some(fields) = object(text) {
                    raw.context.extend(fields);
                } else {
                    raw.context.push((Cow::Borrowed("context"), unusable(text)));
                }
            }
            Slot::Unknown => {}
        }
    }
    Ok(raw)
}

/// CSV has no types: a context value that reads as a JSON number or flag is one.
fn typed(text: &str) -> Cell<'_> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Bool(flag)) => Cell::Bool(flag),
        Ok(serde_json::Value::Number(number)) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        _ => Cell::Text(Cow::Borrowed(text)),
    }
}

fn object(text: &str) -> Option<Vec<(Cow<'static, str>, Cell<'static>)>> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(fields.into_iter().map(|(name, value)| (Cow::Owned(name), crate::jsonl::cell(value))).collect())
}

fn unusable(text: &str) -> Cell<'static> {
    Cell::Json(serde_json::Value::String(text.to_owned()))
}
