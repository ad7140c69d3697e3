//! Tables in Parquet, read a slice of a row group at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use polars::io::parquet::read::FileMetadata;
use polars::prelude::{
    ArrowDataType, BooleanChunked, DataFrame, DataType, Float64Chunked, Int64Chunked, ParallelStrategy, ParquetReader,
    PlSmallStr, PolarsResult, SerReader, Series, StringChunked, TimeUnit,
};

use polars_parquet::parquet::metadata::RowGroupMetadata;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::parquet::read::PageReader;

use crate::columns::{Column, Slot};
use crate::error::Error;
use crate::quiet;
use crate::read::Sink;
use crate::row::{Cell, RawRow};

/// Rows decoded at a time. Bounds the memory of a text column that the file does not store as a dictionary:
/// 131,072 prompts of a kilobyte are 128 MiB. Smaller slices decompress the pages before them more often.
const SLICE_ROWS: usize = 131_072;

/// Most bytes that a column of one row group may declare, unpacked. A guess: far beyond what writers make (they close
/// a row group at about a million rows), and within what a machine may hold for a moment.
const MOST_CHUNK_BYTES: i64 = 16 << 30;

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
    check_sizes(path, bytes, &metadata)?;

    let names: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    sink.columns(&names)?;
    let slots = names.iter().map(|name| sink.slot(name)).enumerate();
    let mut wanted: Vec<(usize, Slot)> = slots.filter(|(_, slot)| !matches!(slot, Slot::Unknown)).collect();
    let dtype = |index| &schema.get_at_index(index).expect("an index from enumerating the names").1.dtype;
    let mut opaque = Vec::new();
    wanted.retain(|(index, slot)| match slot {
        Slot::Peek(peek) if !is_decodable(dtype(*index)) => {
            // Numbers count as not seen, so that they are refused by name when they are read.
            if !is_number(dtype(*index)) {
                opaque.push(*peek);
            }
            false
        }
        _ => true,
    });
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
        // A first look at the columns wants no rows, and none of the bytes behind them.
        if sink.wants() == 0 {
            break;
        }
        check_pages(path, &mut open()?, &row_group, &projection)?;
        one.num_rows = rows;
        one.row_groups = vec![row_group];
        let part = Arc::new(one.clone());
        let mut start = 0;
        while start < rows && sink.wants() > 0 {
            let wants = usize::try_from(sink.wants()).unwrap_or(usize::MAX);
            let height = wants.min(SLICE_ROWS).min(rows - start);
            let file = open()?;
            let frame = decode(path, || {
                let mut reader = ParquetReader::new(file)
                    .with_slice(Some((start, height)))
                    .with_projection(Some(projection.clone()))
                    .read_parallel(ParallelStrategy::Columns)
                    .set_rechunk(true);
                reader.set_metadata(part.clone());
                reader.finish()
            })?;
            push_frame(path, &frame, (&wanted, &opaque), done + start, sink)?;
            sink.progress(bytes * (done + start) as u64 / n_rows as u64);
            start += height;
        }
        done += rows;
    }
    sink.progress(bytes);
    Ok(())
}

/// Refuses a footer whose sizes cannot be those of this file, before anything is allocated by them.
fn check_sizes(path: &Path, bytes: u64, metadata: &FileMetadata) -> Result<(), Error> {
    let corrupt = |problem: String| Err(Error::CorruptParquet { file: path.to_owned(), problem });
    let mut rows = 0_usize;
    for row_group in &metadata.row_groups {
        rows = rows.saturating_add(row_group.num_rows());
        for column in row_group.parquet_columns() {
            let name =
                || column.descriptor().path_in_schema.iter().map(PlSmallStr::as_str).collect::<Vec<_>>().join(".");
            // Computing the range panics where an offset is negative.
            let range = decode(path, || Ok(column.byte_range()))?;
            if range.start > range.end || range.end > bytes {
                let problem = "a column lies beyond its end";
                return Err(Error::TruncatedParquet { file: path.to_owned(), bytes, problem });
            }
            let is_flat = column.descriptor().path_in_schema.len() == 1;
            if is_flat && usize::try_from(column.num_values()).ok() != Some(row_group.num_rows()) {
                let (values, rows) = (column.num_values(), row_group.num_rows());
                return corrupt(format!("column `{}` declares {values} values in a row group of {rows} rows", name()));
            }
            if !(0..=MOST_CHUNK_BYTES).contains(&column.uncompressed_size()) {
                let declared = column.uncompressed_size();
                return corrupt(format!("column `{}` declares {declared} bytes in one row group", name()));
            }
        }
    }
    if rows != metadata.num_rows {
        return corrupt(format!("it declares {} rows, its row groups {rows}", metadata.num_rows));
    }
    Ok(())
}

/// Refuses pages whose headers cannot be true, of the columns that are read. The decoder allocates what a header says.
///
/// Holds one column of the row group at a time, as it is stored. What a dictionary page claims is not looked at: the
/// page does not tell.
fn check_pages(path: &Path, file: &mut File, row_group: &RowGroupMetadata, projection: &[usize]) -> Result<(), Error> {
    let io = |source| Error::Io { file: path.to_owned(), source };
    let corrupt = |what: &str| Err(Error::CorruptParquet { file: path.to_owned(), problem: format!("a page {what}") });
    let rows = row_group.num_rows();
    for column in projection.iter().filter_map(|&column| row_group.parquet_columns().get(column)) {
        let range = column.byte_range();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(range.start)).map_err(io)?;
        file.take(range.end - range.start).read_to_end(&mut bytes).map_err(io)?;
        let declared = usize::try_from(column.uncompressed_size()).unwrap_or(0);
        let most = bytes.len();
        let mut seen = 0_usize;
        let mut pages = PageReader::new(Cursor::new(bytes.into()), column, Vec::new(), most);
        while let Some(page) = decode(path, || pages.next().transpose().map_err(Into::into))? {
            let CompressedPage::Data(page) = page else { continue };
            seen = seen.saturating_add(page.num_values());
            if seen > rows {
                return corrupt("declares more values than its row group has rows");
            }
            if page.uncompressed_size() > declared {
                return corrupt("declares more bytes than its column");
            }
        }
    }
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

/// Whether a type that is not decoded holds numbers.
fn is_number(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    matches!(
        dtype,
        A::Int8 | A::Int16 | A::UInt8 | A::UInt16 | A::Float16 | A::Decimal(..) | A::Decimal32(..) | A::Decimal64(..)
    )
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
        Slot::Context(_) | Slot::Extra(_) | Slot::Peek(_) | Slot::Unknown => "text, a 32- or 64-bit number, or a flag",
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
    match quiet::catch(piece) {
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
    (wanted, opaque): (&[(usize, Slot)], &[u32]),
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
                Slot::Extra(index) | Slot::Peek(index) => raw.extra.push((*index, cell)),
                Slot::Context(_) | Slot::ContextObject | Slot::Unknown => {}
            }
        }
        raw.extra.extend(opaque.iter().map(|index| (*index, Cell::Json(serde_json::Value::Null))));
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
        (Slot::Context(_) | Slot::Extra(_) | Slot::Peek(_), dtype) if dtype.is_primitive_numeric() => {
            number(path, series)
        }
        (Slot::Column(Column::Score) | Slot::Context(_) | Slot::Extra(_) | Slot::Peek(_), DataType::Boolean) => {
            decode(path, || Ok(series.bool()?.clone())).map(Values::Bool)
        }
        (Slot::Peek(_), _) => Ok(Values::Missing),
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
