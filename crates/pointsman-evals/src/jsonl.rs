//! Tables as JSON Lines: one object a line, `context` nested or as `context.<name>`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{BufRead, BufReader};

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::columns::Slot;
use crate::error::Error;
use crate::input::Source;
use crate::read::Sink;
use crate::row::{Cell, RawRow};

/// Reads the lines of `source` into `sink`; blank lines are passed over.
pub(crate) fn read(source: &Source<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    let mut input = BufReader::with_capacity(1 << 16, source.open()?);
    let mut keys = Keys::default();
    let mut buffer = Vec::new();
    let mut line = 0;
    let mut is_first = true;
    while sink.wants() > 0 {
        buffer.clear();
        input.get_mut().next_record();
        line += 1;
        if input.read_until(b'\n', &mut buffer).map_err(|error| source.error(line, error))? == 0 {
            break;
        }
        let text = if line == 1 { buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&buffer) } else { &buffer };
        if text.trim_ascii_start().is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) && text.trim_ascii_start().starts_with(b"[") {
            return Err(Error::JsonArray { file: source.file.to_owned() });
        }
        let Ok(text) = std::str::from_utf8(text) else {
            sink.reject(line, "invalid UTF-8", &String::from_utf8_lossy(text));
            continue;
        };
        match parse(text.trim(), &mut keys, sink) {
            Ok(raw) => sink.push(&raw, line)?,
            Err(error) => sink.reject(line, "malformed JSON", &error.to_string()),
        }
        sink.progress(input.get_ref().bytes());
    }
    if line == 1 && buffer.is_empty() {
        return Err(Error::EmptyFile { file: source.file.to_owned() });
    }
    // Only now is it known which keys occur at all.
    if keys.found.is_empty() {
        return Ok(());
    }
    sink.columns(&keys.found)
}

/// The keys met so far and their meaning.
#[derive(Default)]
struct Keys {
    slots: HashMap<String, Slot>,
    found: Vec<String>,
}

fn parse<'t>(text: &'t str, keys: &mut Keys, sink: &dyn Sink) -> Result<RawRow<'t>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let raw = json.deserialize_map(RowVisitor { keys, sink })?;
    json.end()?;
    Ok(raw)
}

struct RowVisitor<'k, 's> {
    keys: &'k mut Keys,
    sink: &'s dyn Sink,
}

impl<'de> Visitor<'de> for RowVisitor<'_, '_> {
    type Value = RawRow<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRow<'de>, A::Error> {
        let mut raw = RawRow::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let slot = if let Some(slot) = self.keys.slots.get(key.as_ref()) {
                slot
            } else {
                let slot = self.sink.slot(&key);
                self.keys.found.push(key.as_ref().to_owned());
                self.keys.slots.entry(key.as_ref().to_owned()).or_insert(slot)
            };
            match slot {
                Slot::Unknown => drop(map.next_value::<IgnoredAny>()?),
                Slot::Column(column) => {
                    let column = *column;
                    raw.set(column, map.next_value_seed(CellSeed)?);
                }
                Slot::Extra(index) | Slot::Peek(index) => {
                    let index = *index;
                    raw.extra.push((index, map.next_value_seed(CellSeed)?));
                }
                Slot::Context(name) => {
                    let name = name.clone();
                    let cell = map.next_value_seed(CellSeed)?;
                    raw.context.push((Cow::Owned(name), cell));
                }
                Slot::ContextObject => match map.next_value::<Value>()? {
                    Value::Null => {}
                    Value::Object(fields) => {
                        raw.context.extend(fields.into_iter().map(|(name, value)| (Cow::Owned(name), cell(value))));
                    }
                    other => raw.context.push((Cow::Borrowed("context"), Cell::Json(other))),
                },
            }
        }
        Ok(raw)
    }
}

/// Makes a cell of a value; text without escapes is borrowed from the line.
struct CellSeed;

impl<'de> DeserializeSeed<'de> for CellSeed {
    type Value = Cell<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Cell<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Cell<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Cell::Json(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Cell<'de>, A::Error> {
        // Through an ordered map, so that equal objects are equal texts.
        let mut object = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, Value>()? {
            object.insert(name, value);
        }
        Ok(Cell::Json(Value::Object(object.into_iter().collect())))
    }
}

/// The cell of a parsed value.
pub(crate) fn cell(value: Value) -> Cell<'static> {
    match value {
        Value::Null => Cell::Missing,
        Value::Bool(flag) => Cell::Bool(flag),
        Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        Value::String(text) => Cell::Text(Cow::Owned(text)),
        nested => Cell::Json(nested),
    }
}
