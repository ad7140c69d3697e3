//! Rows into Parquet row groups.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::{
    Column as Values, DataFrame, DataType, Field, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter, Schema,
    Series, TimeUnit, TimeZone,
};

use super::{BoxError, ContextType, LogRow, TableSchema};
use crate::columns::Column;
use crate::log::{Content, ContextValue};
use crate::row::narrow;

/// Rows of a row group: what a reader has to hold decoded at most, and what this writer holds.
const GROUP_ROWS: usize = 65_536;

/// A file that can be had back from a writer that keeps its writer to itself.
#[derive(Clone)]
struct Shared(Arc<Mutex<BufWriter<File>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// A Parquet file that grows by row groups.
pub(super) struct Groups {
    file: Shared,
    batches: BatchedWriter<Shared>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl Groups {
    pub(super) fn new(file: File, schema: &Schema) -> Result<Self, BoxError> {
        let file = Shared(Arc::new(Mutex::new(BufWriter::new(file))));
        let batches =
            ParquetWriter::new(file.clone()).with_compression(ParquetCompression::Zstd(None)).batched(schema)?;
        Ok(Self { file, batches })
    }

    pub(super) fn write(&mut self, frame: &DataFrame) -> Result<(), BoxError> {
        Ok(self.batches.write_batch(frame)?)
    }

    pub(super) fn finish(self) -> Result<File, BoxError> {
        self.batches.finish()?;
        let mut file = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush()?;
        Ok(file.get_ref().try_clone()?)
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    groups: Groups,
    rows: Vec<LogRow>,
}

impl Writer {
    pub(super) fn new(file: File, schema: &TableSchema) -> Result<Self, BoxError> {
        let fields = schema.columns.iter().map(|column| Field::new(column.name().into(), dtype(*column))).chain(
            schema.context.iter().map(|(name, kind)| {
                let dtype = match kind {
                    ContextType::Text => DataType::String,
                    ContextType::Number => DataType::Float64,
                    ContextType::Bool => DataType::Boolean,
                };
                Field::new(format!("context.{name}").into(), dtype)
            }),
        );
        Ok(Self { groups: Groups::new(file, &fields.collect::<Schema>())?, rows: Vec::new() })
    }

    pub(super) fn push(&mut self, row: LogRow, schema: &TableSchema) -> Result<(), BoxError> {
        self.rows.push(row);
        if self.rows.len() == GROUP_ROWS {
            self.write_group(schema)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, schema: &TableSchema) -> Result<File, BoxError> {
        self.write_group(schema)?;
        self.groups.finish()
    }

    fn write_group(&mut self, schema: &TableSchema) -> Result<(), BoxError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = schema
            .columns
            .iter()
            .map(|column| values(*column, &self.rows))
            .chain(schema.context.iter().map(|(name, kind)| context(name, *kind, &self.rows)))
            .map(IntoColumn::into_column)
            .collect::<Vec<Values>>();
        self.groups.write(&DataFrame::new(self.rows.len(), columns)?)?;
        self.rows.clear();
        Ok(())
    }
}

fn dtype(column: Column) -> DataType {
    match column {
        Column::Prompt
        | Column::Messages
        | Column::Model
        | Column::PromptId
        | Column::Group
        | Column::Task
        | Column::Dataset
        | Column::Split
        | Column::Source => DataType::String,
        Column::Score | Column::LatencyMs | Column::Weight | Column::Propensity => DataType::Float32,
        Column::CostUsd => DataType::Float64,
        Column::InputTokens | Column::OutputTokens | Column::OutputChars | Column::Repeat => DataType::Int64,
        Column::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
    }
}

fn values(column: Column, rows: &[LogRow]) -> Series {
    let text = |of: fn(&LogRow) -> Option<&str>| {
        Series::new(column.name().into(), rows.iter().map(of).collect::<Vec<Option<&str>>>())
    };
    let whole = |of: fn(&LogRow) -> Option<u32>| {
        let values: Vec<Option<i64>> = rows.iter().map(|row| of(row).map(i64::from)).collect();
        Series::new(column.name().into(), values)
    };
    let single = |of: fn(&LogRow) -> Option<f64>| {
        let values: Vec<Option<f32>> = rows.iter().map(|row| of(row).map(narrow)).collect();
        Series::new(column.name().into(), values)
    };
    match column {
        Column::Prompt => text(|row| match &row.content {
            Content::Text(text) => Some(text),
            Content::Messages(_) => None,
        }),
        Column::Messages => text(|row| match &row.content {
            Content::Text(_) => None,
            Content::Messages(json) => Some(json),
        }),
        Column::Model => text(|row| Some(&row.model)),
        Column::Score => single(|row| Some(row.score)),
        Column::PromptId => text(|row| row.prompt_id.as_deref()),
        Column::Group => text(|row| row.group.as_deref()),
        Column::CostUsd => {
            let values: Vec<Option<f64>> = rows.iter().map(|row| row.cost_usd).collect();
            Series::new(column.name().into(), values)
        }
        Column::InputTokens => whole(|row| row.input_tokens),
        Column::OutputTokens => whole(|row| row.output_tokens),
        Column::OutputChars => whole(|row| row.output_chars),
        Column::LatencyMs => single(|row| row.latency_ms),
        Column::Task => text(|row| row.task.as_deref()),
        Column::Dataset => text(|row| row.dataset.as_deref()),
        Column::Split => text(|row| row.split.map(crate::Split::as_str)),
        Column::Weight => single(|row| row.weight),
        Column::Timestamp => {
            let values: Vec<Option<i64>> = rows.iter().map(|row| row.timestamp_us).collect();
            Series::new(column.name().into(), values).into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
        }
        Column::Repeat => whole(|row| row.repeat),
        Column::Propensity => single(|row| row.propensity),
        Column::Source => text(|row| row.source.as_deref()),
    }
}

fn context(name: &str, kind: ContextType, rows: &[LogRow]) -> Series {
    let find = |row: &LogRow| row.context.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let name = format!("context.{name}").into();
    match kind {
        ContextType::Text => {
            let values = rows.iter().map(|row| match find(row) {
                Some(ContextValue::Text(text)) => Some(text),
                _ => None,
            });
            Series::new(name, values.collect::<Vec<Option<String>>>())
        }
        ContextType::Number => {
            let values = rows.iter().map(|row| match find(row) {
                Some(ContextValue::Number(number)) => Some(number),
                _ => None,
            });
            Series::new(name, values.collect::<Vec<Option<f64>>>())
        }
        ContextType::Bool => {
            let values = rows.iter().map(|row| match find(row) {
                Some(ContextValue::Bool(flag)) => Some(flag),
                _ => None,
            });
            Series::new(name, values.collect::<Vec<Option<bool>>>())
        }
    }
}
