//! Files that cannot be read, and Parquet columns of odd types.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series, TimeUnit};

use super::*;
use crate::Content;

/// A valid Parquet log of some length.
fn good(folder: &TempDir) -> PathBuf {
    let rows: Vec<LogRow> = (0..5_000)
        .map(|i| LogRow::new(Content::Text(format!("prompt number {i}")), "a".into(), f64::from(i % 2)))
        .collect();
    table(folder, "good.parquet", &rows)
}

fn error(path: &Path) -> Error {
    read_with(path, &ReadOptions::default()).expect_err("damaged")
}

#[test]
fn files_that_are_no_tables() {
    let folder = folder();
    for name in ["a.parquet", "a.csv", "a.jsonl", "a"] {
        let error = error(&file(&folder, name, ""));
        assert!(matches!(error, Error::EmptyFile { .. }), "{name}: {error}");
    }
    let error_of_text = error(&file(&folder, "b.parquet", "prompt,model,score\n"));
    assert!(matches!(error_of_text, Error::NotParquet { .. }), "{error_of_text}");
    assert!(error_of_text.hint().is_some());
    assert!(matches!(error(&folder.path().join("none.csv")), Error::Io { .. }));
}

#[test]
fn a_parquet_file_cut_anywhere_is_a_typed_error() {
    let folder = folder();
    let bytes = std::fs::read(good(&folder)).expect("just written");
    for keep in [4, 8, 11, 12, 100, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
        let error = error(&file(&folder, "cut.parquet", &bytes[..keep]));
        assert!(matches!(error, Error::TruncatedParquet { .. }), "{keep}: {error}");
    }
}

#[test]
fn damaged_parquet_is_a_typed_error_and_never_a_panic() {
    let folder = folder();
    let bytes = std::fs::read(good(&folder)).expect("just written");
    let mut footer = bytes.clone();
    let from = bytes.len() - 200;
    footer[from..from + 150].fill(0xff);
    let mut pages = bytes.clone();
    pages[4..bytes.len() / 2].fill(0);
    let mut length = bytes.clone();
    let at = bytes.len() - 8;
    length[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    for (name, bytes) in [("footer", footer), ("pages", pages), ("length", length)] {
        let error = error(&file(&folder, "bad.parquet", &bytes));
        assert!(matches!(error, Error::CorruptParquet { .. } | Error::TruncatedParquet { .. }), "{name}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

fn write(folder: &TempDir, columns: Vec<Series>) -> PathBuf {
    let path = folder.path().join("typed.parquet");
    let open = std::fs::File::create(&path).expect("temporary folder is writable");
    let height = columns[0].len();
    let columns: Vec<Column> = columns.into_iter().map(IntoColumn::into_column).collect();
    let mut frame = DataFrame::new(height, columns).expect("equal lengths");
    ParquetWriter::new(open).finish(&mut frame).expect("temporary folder is writable");
    path
}

fn base() -> Vec<Series> {
    vec![Series::new("prompt".into(), ["x", "y"]), Series::new("model".into(), ["a", "a"])]
}

#[test]
fn ids_may_be_numbers_scores_flags_and_times_of_any_unit() {
    let folder = folder();
    for unit in [TimeUnit::Nanoseconds, TimeUnit::Microseconds, TimeUnit::Milliseconds] {
        let time = match unit {
            TimeUnit::Nanoseconds => 1_500_000_000_i64,
            TimeUnit::Microseconds => 1_500_000,
            TimeUnit::Milliseconds => 1_500,
        };
        let mut columns = base();
        columns.push(Series::new("score".into(), [true, false]));
        columns.push(Series::new("prompt_id".into(), [7_i64, 8]));
        columns.push(Series::new("timestamp".into(), [time, time]).into_datetime(unit, None));
        columns.push(Series::new("context.seats".into(), [3_i32, 4]));
        columns.push(Series::new("output_tokens".into(), [Some(10_u32), None]));
        columns.push(Series::new("task".into(), [None::<&str>, None]));
        let log = read_with(&write(&folder, columns), &ReadOptions::default()).expect("valid");
        assert_eq!(log.prompts[0].id, "7");
        assert_eq!(log.prompts[0].timestamp_us, Some(1_500_000));
        assert_eq!((log.outcomes[0].score, log.outcomes[1].score), (1.0, 0.0));
        assert_eq!(log.outcomes[0].output_tokens, 10.0);
        assert!(log.outcomes[1].output_tokens.is_nan());
    }
}

#[test]
fn a_number_as_text_is_read_and_rows_are_named_as_rows() {
    let folder = folder();
    let mut columns = base();
    columns.push(Series::new("score".into(), ["1", "bad"]));
    let log = read_with(&write(&folder, columns), &ReadOptions::default()).expect("one row is usable");
    let example = &log.reading.rejected["score is not a number"].examples[0];
    assert!(example.ends_with("typed.parquet:row 2: bad"), "{example}");
}

#[test]
fn a_column_of_a_wrong_type_is_an_error() {
    let folder = folder();
    for wrong in [
        Series::new("score".into(), [1_i64, 2]).into_datetime(TimeUnit::Microseconds, None),
        Series::new("cost_usd".into(), [true, false]),
        Series::new("task".into(), [0.5, 1.5]),
        Series::new("timestamp".into(), [1_i64, 2]),
    ] {
        let mut columns = base();
        if wrong.name().as_str() != "score" {
            columns.push(Series::new("score".into(), [1.0, 0.0]));
        }
        let name = wrong.name().to_string();
        columns.push(wrong);
        let error = error(&write(&folder, columns));
        assert!(matches!(&error, Error::ColumnType { column, .. } if *column == name), "{error}");
    }
}
