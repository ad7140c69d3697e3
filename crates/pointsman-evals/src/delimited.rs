//! The long table as text with a delimiter: CSV (RFC 4180, UTF-8, a header line).

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use crate::columns::Slot;
use crate::error::Error;
use crate::read::Sink;
use crate::row::{Cell, RawRow};

/// Reads all rows of `input` into `sink`; lines are counted from 1, the header's.
pub(crate) fn read(path: &Path, input: impl Read, delimiter: u8, sink: &mut dyn Sink) -> Result<(), Error> {
    let io = |error: csv::Error| Error::Io { file: path.to_owned(), source: error.into() };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
    let names: Vec<String> = reader
        .byte_headers()
        .map_err(io)?
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().trim_start_matches('\u{feff}').to_owned())
        .collect();
    if names.iter().all(String::is_empty) {
        return Err(Error::EmptyFile { file: path.to_owned() });
    }
    sink.columns(&names)?;
    let slots: Vec<Slot> = names.iter().map(|name| sink.slot(name)).collect();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(io)? {
        let (line, byte) = record.position().map_or((0, 0), |position| (position.line(), position.byte()));
        if record.len() != names.len() {
            let counts = format!("{} fields, the header has {}", record.len(), names.len());
            sink.reject(line, "ragged line", &counts);
            continue;
        }
        match row(&record, &slots) {
            Ok(raw) => sink.push(&raw, line)?,
            Err(field) => sink.reject(line, "invalid UTF-8", &String::from_utf8_lossy(field)),
        }
        sink.progress(byte);
    }
    Ok(())
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
