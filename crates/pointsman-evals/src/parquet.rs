//! The long table in Parquet, read a slice of a row group at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    ArrowDataType, BooleanChunked, DataFrame, DataType, Float64Chunked, Int64Chunked, ParallelStrategy, ParquetReader,
    PolarsResult, SerReader, Series, StringChunked, TimeUnit,
};

use crate::columns::{Column, Slot};
use crate::error::Error;
use crate::read::Sink;
use crate::row::{Cell, RawRow};

/// Rows decoded at a time. Bounds the memory of a text column that the file does not store as a dictionary:
/// 131,072 prompts of a kilobyte are 128 MiB. Smaller slices decompress the pages before them more often.
const SLICE_ROWS: usize = 131_072;

/// The bytes a Parquet file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Reads all rows of a file into `sink`.
pub(crate) fn read(path: &Path, sink: &mut dyn Sink) -> Result<(), Error> {
    let bytes = check_frame(path)?;
    let open = || File::open(path).map_err(|source| Error::Io { file: path.to_owned(), source });
    let mut reader = ParquetReader::new(open()?);
    let (schema, metadata) = decode(path, || {
        let schema = reader.schema()?;
        Ok((schema, reader.get_metadata()?.clone()))
    })?;
    let inside = decode(path, || {
        let mut inside = true;
        for row_group in &metadata.row_groups {
            inside &= row_group.byte_ranges_iter().all(|range| range.start <= range.end && range.end <= bytes);
        }
        Ok(inside)
    })?;
    if !inside {
        return Err(Error::TruncatedParquet { file: path.to_owned(), bytes, problem: "a column lies beyond its end" });
    }

    let names: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    sink.columns(&names)?;
    let wanted: Vec<(usize, Slot)> = names
        .iter()
        .map(|name| sink.slot(name))
        .enumerate()
        .filter(|(_, slot)| !matches!(slot, Slot::Unknown))
        .collect();
    for (index, slot) in &wanted {
        let (name, field) = schema.get_at_index(*index).expect("an index from enumerating the names");
        if !is_decodable(&field.dtype) {
            return Err(Error::ColumnType {
                file: path.to_owned(),
                column: name.to_string(),
                expected: expected(slot),
                got: format!("{:?}", field.dtype),
            });
        }
    }
    let projection: Vec<usize> = wanted.iter().map(|(index, _)| *index).collect();

    // One row group at a time, as a file of its own: polars would walk through all those before a slice.
    let mut one = (*metadata).clone();
    let row_groups = std::mem::take(&mut one.row_groups);
    let n_rows = metadata.num_rows.max(1);
    let mut done = 0;
    for row_group in row_groups {
        let rows = row_group.num_rows();
        one.num_rows = rows;
        one.row_groups = vec![row_group];
        let part = Arc::new(one.clone());
        for start in (0..rows).step_by(SLICE_ROWS) {
            let file = open()?;
            let frame = decode(path, || {
                let mut reader = ParquetReader::new(file)
                    .with_slice(Some((start, SLICE_ROWS.min(rows - start))))
                    .with_projection(Some(projection.clone()))
                    .read_parallel(ParallelStrategy::Columns)
                    .set_rechunk(true);
                reader.set_metadata(part.clone());
                reader.finish()
            })?;
            push_frame(path, &frame, &wanted, done + start, sink)?;
            sink.progress(bytes * (done + start) as u64 / n_rows as u64);
        }
        done += rows;
    }
    sink.progress(bytes);
    Ok(())
}

/// Whether polars decodes a type with the features it is built with here: 8- and 16-bit integers, dates, decimals
/// and nested types are not among them, and some of those it meets with a panic.
fn is_decodable(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    match dtype {
        A::Dictionary(_, values, _) => matches!(**values, A::Utf8 | A::LargeUtf8 | A::Utf8View),
        A::Null
        | A::Boolean
        | A::Int32
        | A::Int64
        | A::UInt32
        | A::UInt64
        | A::Float32
        | A::Float64
        | A::Timestamp(_, _)
        | A::Utf8
        | A::LargeUtf8
        | A::Utf8View => true,
        _ => false,
    }
}

/// What a column may hold, for messages.
fn expected(slot: &Slot) -> &'static str {
    match slot {
        Slot::Column(Column::Score) => "32- or 64-bit numbers, or flags",
        Slot::Column(Column::Messages) => "chat messages as JSON text",
        Slot::Column(Column::Timestamp) => "a time, or RFC 3339 text",
        Slot::Column(column) if column.is_number() => "32- or 64-bit numbers",
        Slot::Column(_) => "text",
        Slot::ContextObject => "one column `context.<name>` for each name",
        Slot::Context(_) | Slot::Unknown => "text, a 32- or 64-bit number, or a flag",
    }
}

/// Checks first and last bytes; returns the length.
fn check_frame(path: &Path) -> Result<u64, Error> {
    let io = |source| Error::Io { file: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut first = Vec::with_capacity(16);
    file.by_ref().take(16).read_to_end(&mut first).map_err(io)?;
    if first.is_empty() {
        return Err(Error::EmptyFile { file: path.to_owned() });
    }
    if !first.starts_with(MAGIC) {
        return Err(Error::NotParquet { file: path.to_owned(), got: format!("`{}`", first.escape_ascii()) });
    }
    let mut last = [0; 4];
    if bytes >= 12 {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::End(-4)).map_err(io)?;
        file.read_exact(&mut last).map_err(io)?;
    }
    if last != *MAGIC {
        return Err(Error::TruncatedParquet { file: path.to_owned(), bytes, problem: "it does not end with `PAR1`" });
    }
    Ok(bytes)
}

/// Runs a piece of decoding. Damaged bytes make the decoder fail in either of its ways, error or panic.
fn decode<T>(path: &Path, piece: impl FnOnce() -> PolarsResult<T>) -> Result<T, Error> {
    let corrupt = |problem: String| Error::CorruptParquet {
        file: path.to_owned(),
        problem: problem.lines().next().unwrap_or_default().to_owned(),
    };
    match catch_unwind(AssertUnwindSafe(piece)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(corrupt(error.to_string())),
        Err(panic) => Err(corrupt(
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "the decoder gave up".into()),
        )),
    }
}

/// One column of a slice, typed.
enum Values {
    Text(StringChunked),
    Number(Float64Chunked),
    Bool(BooleanChunked),
    Micros(Int64Chunked),
    Missing,
}

impl Values {
    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Text(values) => values.get(row).map(|text| Cell::Text(Cow::Borrowed(text))),
            Self::Number(values) => values.get(row).map(Cell::Number),
            Self::Bool(values) => values.get(row).map(Cell::Bool),
            Self::Micros(values) => values.get(row).map(Cell::Micros),
            Self::Missing => None,
        }
        .unwrap_or_default()
    }
}

fn push_frame(
    path: &Path,
    frame: &DataFrame,
    wanted: &[(usize, Slot)],
    first_row: usize,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let columns = frame
        .columns()
        .iter()
        .zip(wanted)
        .map(|(column, (_, slot))| {
            let series = column.as_materialized_series();
            Ok((slot, values(path, series, slot)?))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    for row in 0..frame.height() {
        let mut raw = RawRow::default();
        for (slot, values) in &columns {
            let cell = values.cell(row);
            match slot {
                Slot::Column(column) => raw.set(*column, cell),
                Slot::Context(name) if !cell.is_missing() => {
                    raw.context.push((Cow::Borrowed(name), cell));
                }
                Slot::Context(_) | Slot::ContextObject | Slot::Unknown => {}
            }
        }
        sink.push(&raw, (first_row + row + 1) as u64)?;
    }
    Ok(())
}

/// Brings a column to one of the few types a cell has.
fn values(path: &Path, series: &Series, slot: &Slot) -> Result<Values, Error> {
    let wrong = || {
        Err(Error::ColumnType {
            file: path.to_owned(),
            column: series.name().to_string(),
            expected: expected(slot),
            got: series.dtype().to_string(),
        })
    };
    let dtype = series.dtype();
    let is_text = matches!(dtype, DataType::String) || dtype.is_categorical() || dtype.is_enum();
    match (slot, dtype) {
        (_, DataType::Null) => Ok(Values::Missing),
        (Slot::ContextObject, _) => wrong(),
        (Slot::Column(Column::Timestamp), DataType::Datetime(unit, _)) => {
            decode(path, || micros(series, *unit)).map(Values::Micros)
        }
        _ if is_text => decode(path, || text(series)).map(Values::Text),
        // Ids and names may be whole numbers.
        (Slot::Column(column), dtype) if dtype.is_integer() && !column.is_number() && *column != Column::Timestamp => {
            decode(path, || text(series)).map(Values::Text)
        }
        (Slot::Column(column), dtype) if dtype.is_primitive_numeric() && column.is_number() => number(path, series),
        (Slot::Context(_), dtype) if dtype.is_primitive_numeric() => number(path, series),
        (Slot::Column(Column::Score) | Slot::Context(_), DataType::Boolean) => {
            decode(path, || Ok(series.bool()?.clone())).map(Values::Bool)
        }
        _ => wrong(),
    }
}

fn number(path: &Path, series: &Series) -> Result<Values, Error> {
    decode(path, || Ok(series.cast(&DataType::Float64)?.f64()?.clone())).map(Values::Number)
}

fn text(series: &Series) -> PolarsResult<StringChunked> {
    Ok(series.cast(&DataType::String)?.str()?.clone())
}

fn micros(series: &Series, unit: TimeUnit) -> PolarsResult<Int64Chunked> {
    let physical = series.to_physical_repr();
    let values = physical.i64()?;
    Ok(match unit {
        TimeUnit::Nanoseconds => values.iter().map(|v| v.map(|v| v.div_euclid(1000))).collect(),
        TimeUnit::Microseconds => values.clone(),
        TimeUnit::Milliseconds => values.iter().map(|v| v.and_then(|v| v.checked_mul(1000))).collect(),
    })
}
