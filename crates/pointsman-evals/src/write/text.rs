//! Rows as lines of CSV and JSON.

use std::fs::File;
use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::{LogRow, TableSchema};
use crate::columns::Column;
use crate::form::Form;
use crate::log::{Content, ContextValue};
use crate::row::narrow;

/// A writer of lines with commas or tabs.
pub(super) fn delimited(open: File, form: Form) -> csv::Writer<File> {
    csv::WriterBuilder::new().delimiter(if form == Form::Tsv { b'\t' } else { b',' }).from_writer(open)
}

pub(super) fn csv_header<W: Write>(writer: &mut csv::Writer<W>, schema: &TableSchema) -> csv::Result<()> {
    for column in &schema.columns {
        writer.write_field(column.name())?;
    }
    for (name, _) in &schema.context {
        writer.write_field(format!("context.{name}"))?;
    }
    writer.write_record(None::<&[u8]>)
}

pub(super) fn csv_row<W: Write>(writer: &mut csv::Writer<W>, row: &LogRow, schema: &TableSchema) -> csv::Result<()> {
    for column in &schema.columns {
        writer.write_field(field(row, *column).unwrap_or_default())?;
    }
    for (name, _) in &schema.context {
        let value = row.context.iter().find(|(known, _)| known == name);
        writer.write_field(match value {
            None => String::new(),
            Some((_, ContextValue::Text(text))) => text.clone(),
            Some((_, ContextValue::Number(number))) => number.to_string(),
            Some((_, ContextValue::Bool(flag))) => flag.to_string(),
        })?;
    }
    writer.write_record(None::<&[u8]>)
}

pub(super) fn json_row<W: Write>(writer: &mut W, row: &LogRow) -> io::Result<()> {
    writer.write_all(b"{")?;
    let mut is_first = true;
    let mut entry = |name: &str, value: &Value| -> io::Result<()> {
        let comma = if std::mem::take(&mut is_first) { "" } else { "," };
        write!(writer, "{comma}\"{name}\":")?;
        serde_json::to_writer(&mut *writer, value).map_err(io::Error::from)
    };
    for column in Column::ALL {
        let Some(text) = field(row, column) else {
            continue;
        };
        let value = if column.is_number() || column == Column::Messages {
            serde_json::from_str(&text).unwrap_or(Value::Null)
        } else {
            Value::String(text)
        };
        entry(column.name(), &value)?;
    }
    if !row.context.is_empty() {
        let fields: Map<String, Value> = row
            .context
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    ContextValue::Text(text) => Value::String(text.clone()),
                    ContextValue::Number(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
                    ContextValue::Bool(flag) => Value::Bool(*flag),
                };
                (name.clone(), value)
            })
            .collect();
        entry("context", &Value::Object(fields))?;
    }
    writer.write_all(b"}\n")
}

/// A value as text: numbers in their shortest form that reads back the same.
fn field(row: &LogRow, column: Column) -> Option<String> {
    let single = |value: Option<f64>| value.map(|value| narrow(value).to_string());
    let whole = |value: Option<u32>| value.map(|value| value.to_string());
    match column {
        Column::Prompt => match &row.content {
            Content::Text(text) => Some(text.clone()),
            Content::Messages(_) => None,
        },
        Column::Messages => match &row.content {
            Content::Text(_) => None,
            Content::Messages(json) => Some(json.clone()),
        },
        Column::Model => Some(row.model.clone()),
        Column::Score => single(Some(row.score)),
        Column::PromptId => row.prompt_id.clone(),
        Column::Group => row.group.clone(),
        Column::CostUsd => row.cost_usd.map(|value| value.to_string()),
        Column::InputTokens => whole(row.input_tokens),
        Column::OutputTokens => whole(row.output_tokens),
        Column::OutputChars => whole(row.output_chars),
        Column::LatencyMs => single(row.latency_ms),
        Column::Task => row.task.clone(),
        Column::Dataset => row.dataset.clone(),
        Column::Split => row.split.map(|split| split.to_string()),
        Column::Weight => single(row.weight),
        Column::Timestamp => {
            row.timestamp_us.and_then(|micros| Timestamp::from_microsecond(micros).ok()).map(|time| time.to_string())
        }
        Column::Repeat => whole(row.repeat),
        Column::Propensity => single(row.propensity),
        Column::Source => row.source.clone(),
    }
}
