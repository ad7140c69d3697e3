//! A predictions file as rows of cells, whatever its form.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use polars::prelude::{AnyValue, ParquetReader, SerReader};
use serde_json::Value;

use crate::error::Error;

/// One value as found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Missing,
    Number(f64),
    Text(String),
}

/// Columns by name and rows in file order; every row has a cell per column.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// The value as text: an id or a name may have been written as a number.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The value as a finite number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
        .filter(|n: &f64| n.is_finite())
    }

    /// The value for a message.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Missing => "nothing".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>()),
        }
    }
}

/// Reads a file by its extension.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl" | "ndjson") => json_lines(path),
        Some("json") => json(path),
        Some("csv") => delimited(path, b','),
        Some("tsv") => delimited(path, b'\t'),
        Some("parquet") => parquet(path),
        _ => Err(Error::UnknownForm { path: path.to_owned() }),
    }
}

fn unreadable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Read { path: path.to_owned(), source: source.into() }
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|e| unreadable(path, e))
}

fn json_lines(path: &Path) -> Result<Table, Error> {
    let mut objects = Vec::new();
    for (number, line) in BufReader::new(open(path)?).lines().enumerate() {
        let line = line.map_err(|e| unreadable(path, e))?;
        if line.trim().is_empty() {
            continue;
        }
        objects.push(match serde_json::from_str(&line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(unreadable(path, format!("line {}: expected a JSON object", number + 1))),
            Err(e) => return Err(unreadable(path, format!("line {}: {e}", number + 1))),
        });
    }
    Ok(of_objects(objects))
}

/// One list of objects, or a prediction file of `RouterArena`: its `global index` is the prompt's id, its `prediction` the
/// model; entries made only for its optimality score and the columns it fills in later are left out.
fn json(path: &Path) -> Result<Table, Error> {
    let list: Vec<serde_json::Map<String, Value>> =
        serde_json::from_reader(BufReader::new(open(path)?)).map_err(|e| unreadable(path, e))?;
    if !list.iter().all(|o| o.contains_key("global index") && o.contains_key("prediction")) {
        return Ok(of_objects(list));
    }
    let objects = list
        .into_iter()
        .filter(|o| o.get("for_optimality") != Some(&Value::Bool(true)))
        .map(|mut o| {
            let mut kept = serde_json::Map::new();
            for (theirs, ours) in [("global index", "prompt_id"), ("prediction", "model")] {
                kept.extend(o.remove(theirs).map(|value| (ours.to_owned(), value)));
            }
            kept
        })
        .collect();
    Ok(of_objects(objects))
}

/// Rows of objects, columns in the order they are met.
fn of_objects(objects: Vec<serde_json::Map<String, Value>>) -> Table {
    let mut table = Table { columns: Vec::new(), rows: Vec::new() };
    for object in objects {
        let mut row = vec![Cell::Missing; table.columns.len()];
        for (name, value) in object {
            let cell = match value {
                Value::Null => Cell::Missing,
                Value::Number(n) => n.as_f64().map_or_else(|| Cell::Text(n.to_string()), Cell::Number),
                Value::String(text) => Cell::Text(text),
                other => Cell::Text(other.to_string()),
            };
            if let Some(column) = table.columns.iter().position(|c| *c == name) {
                row[column] = cell;
            } else {
                table.columns.push(name);
                row.push(cell);
            }
        }
        table.rows.push(row);
    }
    for row in &mut table.rows {
        row.resize(table.columns.len(), Cell::Missing);
    }
    table
}

fn delimited(path: &Path, delimiter: u8) -> Result<Table, Error> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(BufReader::new(open(path)?));
    let header = reader.headers().map_err(|e| unreadable(path, e))?;
    // A byte order mark is no part of the first name.
    let columns: Vec<String> = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let rows = reader
        .records()
        .map(|record| {
            let record = record.map_err(|e| unreadable(path, e))?;
            let cell = |field: &str| if field.is_empty() { Cell::Missing } else { Cell::Text(field.to_owned()) };
            Ok(record.iter().map(cell).collect())
        })
        .collect::<Result<_, Error>>()?;
    Ok(Table { columns, rows })
}

fn parquet(path: &Path) -> Result<Table, Error> {
    let frame = ParquetReader::new(open(path)?).finish().map_err(|e| unreadable(path, e))?;
    let columns: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let mut rows = vec![Vec::with_capacity(columns.len()); frame.height()];
    for column in frame.columns() {
        let series = column.as_materialized_series();
        for (row, value) in rows.iter_mut().zip(series.iter()) {
            row.push(match value {
                AnyValue::Null => Cell::Missing,
                AnyValue::String(text) => Cell::Text(text.to_owned()),
                AnyValue::StringOwned(text) => Cell::Text(text.to_string()),
                other => match other.extract::<f64>() {
                    Some(number) => Cell::Number(number),
                    None => Cell::Text(other.to_string()),
                },
            });
        }
    }
    Ok(Table { columns, rows })
}
