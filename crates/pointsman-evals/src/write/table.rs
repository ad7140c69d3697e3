//! Tables of any columns, such as predictions: Parquet in row groups, CSV, TSV or JSONL, by the file's name.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use polars::prelude::{DataFrame, DataType, Field, IntoColumn, NamedFrom, Schema, Series};

use super::parquet::Groups;
use super::{BoxError, Target, failed, form_to_write, text};
use crate::error::Error;
use crate::form::Form;

/// Rows of a row group.
const GROUP_ROWS: usize = 65_536;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    /// Text.
    Text,
    /// A 32-bit number.
    Single,
    /// A 64-bit number.
    Double,
}

/// One value. A number that is NaN is written as missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellValue<'a> {
    /// Of a [`CellType::Text`] column.
    Text(&'a str),
    /// Of a [`CellType::Single`] column; written so that it reads back the same.
    Single(f32),
    /// Of a [`CellType::Double`] column.
    Double(f64),
}

/// Writes rows of one fixed set of columns. Like [`super::LogWriter`], the file appears when it is complete.
///
/// # Examples
///
/// ```
/// use pointsman_evals::write::{CellType, CellValue, TableWriter};
///
/// let file = std::env::temp_dir().join(format!("pointsman-table-{}.csv", std::process::id()));
/// let mut writer = TableWriter::create(&file, vec![("id".into(), CellType::Text), ("q".into(), CellType::Single)])?;
/// writer.push(&[CellValue::Text("a"), CellValue::Single(0.1)])?;
/// assert!(writer.push(&[CellValue::Single(0.1)]).is_err(), "two columns, one value");
/// assert_eq!(writer.finish()?, 1);
/// assert_eq!(std::fs::read_to_string(&file)?, "id,q\na,0.1\n");
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableWriter {
    columns: Vec<(String, CellType)>,
    sink: Sink,
    // After the sink, so that its file is closed before the temporary one is removed.
    target: Target,
    rows: u64,
}

#[derive(Debug)]
enum Sink {
    Parquet(Box<Groups>, Vec<Buffer>),
    Delimited(Box<csv::Writer<File>>),
    Jsonl(BufWriter<File>),
}

/// The values of a column of the row group at hand.
#[derive(Debug)]
enum Buffer {
    Text(Vec<String>),
    Single(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
}

impl TableWriter {
    /// Begins a file; its form follows from its name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownForm`] unless the name ends in `.parquet`, `.csv`, `.tsv` or `.jsonl`;
    /// [`Error::DuplicateColumn`]; [`Error::Write`] if the folder is not writable.
    pub fn create(file: &Path, columns: Vec<(String, CellType)>) -> Result<Self, Error> {
        let form = form_to_write(file)?;
        for (index, (name, _)) in columns.iter().enumerate() {
            if columns[..index].iter().any(|(known, _)| known == name) {
                return Err(Error::DuplicateColumn { file: file.to_owned(), column: name.clone() });
            }
        }
        let failed = |source| failed(file, source);
        let (target, open) = Target::create(file).map_err(|error| failed(error.into()))?;
        let sink = match form {
            Form::Parquet => {
                let field = |(name, kind): &(String, CellType)| {
                    let dtype = match kind {
                        CellType::Text => DataType::String,
                        CellType::Single => DataType::Float32,
                        CellType::Double => DataType::Float64,
                    };
                    Field::new(name.as_str().into(), dtype)
                };
                let schema: Schema = columns.iter().map(field).collect();
                Sink::Parquet(Box::new(Groups::new(open, &schema).map_err(failed)?), buffers(&columns))
            }
            Form::Csv | Form::Tsv => {
                let mut writer = text::delimited(open, form);
                writer.write_record(columns.iter().map(|(name, _)| name)).map_err(|error| failed(error.into()))?;
                Sink::Delimited(Box::new(writer))
            }
            Form::Jsonl => Sink::Jsonl(BufWriter::new(open)),
        };
        Ok(Self { columns, sink, target, rows: 0 })
    }

    /// Writes a row: one value per column, of its type.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] if the values are not those of the columns, or writing fails.
    pub fn push(&mut self, row: &[CellValue<'_>]) -> Result<(), Error> {
        let fits = |(value, (_, kind)): (&CellValue<'_>, &(String, CellType))| {
            matches!(
                (value, kind),
                (CellValue::Text(_), CellType::Text)
                    | (CellValue::Single(_), CellType::Single)
                    | (CellValue::Double(_), CellType::Double)
            )
        };
        if row.len() != self.columns.len() || !row.iter().zip(&self.columns).all(fits) {
            let problem = format!("row {}: expected one value of its type for each column", self.rows + 1);
            return Err(failed(&self.target.file, problem.into()));
        }
        self.rows += 1;
        let result = match &mut self.sink {
            Sink::Parquet(groups, buffers) => {
                for (buffer, value) in buffers.iter_mut().zip(row) {
                    buffer.push(*value);
                }
                if self.rows.is_multiple_of(GROUP_ROWS as u64) {
                    write_group(groups, buffers, &self.columns)
                } else {
                    Ok(())
                }
            }
            Sink::Delimited(writer) => writer.write_record(row.iter().map(shown)).map_err(Into::into),
            Sink::Jsonl(writer) => json_row(writer, &self.columns, row).map_err(Into::into),
        };
        result.map_err(|source| failed(&self.target.file, source))
    }

    /// Completes the file and gives it its name. Returns the number of rows.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn finish(self) -> Result<u64, Error> {
        let Self { columns, sink, target, rows } = self;
        let file = target.file.clone();
        let close = || -> Result<File, BoxError> {
            match sink {
                Sink::Parquet(mut groups, mut buffers) => {
                    write_group(&mut groups, &mut buffers, &columns)?;
                    groups.finish()
                }
                Sink::Delimited(writer) => Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?),
                Sink::Jsonl(writer) => Ok(writer.into_inner().map_err(io::IntoInnerError::into_error)?),
            }
        };
        close().and_then(|open| Ok(target.complete(&open)?)).map_err(|source| failed(&file, source))?;
        Ok(rows)
    }
}

fn buffers(columns: &[(String, CellType)]) -> Vec<Buffer> {
    columns
        .iter()
        .map(|(_, kind)| match kind {
            CellType::Text => Buffer::Text(Vec::new()),
            CellType::Single => Buffer::Single(Vec::new()),
            CellType::Double => Buffer::Double(Vec::new()),
        })
        .collect()
}

impl Buffer {
    fn push(&mut self, value: CellValue<'_>) {
        match (self, value) {
            (Self::Text(values), CellValue::Text(text)) => values.push(text.to_owned()),
            (Self::Single(values), CellValue::Single(number)) => values.push(Some(number).filter(|x| !x.is_nan())),
            (Self::Double(values), CellValue::Double(number)) => values.push(Some(number).filter(|x| !x.is_nan())),
            _ => unreachable!("values were checked against the columns"),
        }
    }
}

fn write_group(groups: &mut Groups, buffers: &mut Vec<Buffer>, columns: &[(String, CellType)]) -> Result<(), BoxError> {
    let mut height = 0;
    let full = std::mem::replace(buffers, self::buffers(columns));
    let series = full.into_iter().zip(columns).map(|(buffer, (name, _))| {
        let name = name.as_str().into();
        let series = match buffer {
            Buffer::Text(values) => Series::new(name, values),
            Buffer::Single(values) => Series::new(name, values),
            Buffer::Double(values) => Series::new(name, values),
        };
        height = series.len();
        series.into_column()
    });
    let series = series.collect();
    if height == 0 { Ok(()) } else { groups.write(&DataFrame::new(height, series)?) }
}

fn shown(value: &CellValue<'_>) -> String {
    match value {
        CellValue::Text(text) => (*text).to_owned(),
        CellValue::Single(number) if number.is_nan() => String::new(),
        CellValue::Double(number) if number.is_nan() => String::new(),
        CellValue::Single(number) => number.to_string(),
        CellValue::Double(number) => number.to_string(),
    }
}

fn json_row(writer: &mut impl Write, columns: &[(String, CellType)], row: &[CellValue<'_>]) -> io::Result<()> {
    for (index, (value, (name, _))) in row.iter().zip(columns).enumerate() {
        writer.write_all(if index == 0 { b"{" } else { b"," })?;
        serde_json::to_writer(&mut *writer, name)?;
        writer.write_all(b":")?;
        match value {
            CellValue::Text(text) => serde_json::to_writer(&mut *writer, text)?,
            // Not through a 64-bit number, which would need more digits.
            CellValue::Single(number) if number.is_finite() => write!(writer, "{number}")?,
            CellValue::Double(number) if number.is_finite() => write!(writer, "{number}")?,
            CellValue::Single(_) | CellValue::Double(_) => writer.write_all(b"null")?,
        }
    }
    writer.write_all(b"}\n")
}
