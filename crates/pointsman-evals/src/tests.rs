//! Whole logs through the public functions.

mod damaged;
mod demo;
mod forms;
mod packed;
mod prices;
mod prompts;
mod real;
mod rules;
mod splits;
mod wide;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::write::{LogRow, LogWriter, TableSchema};
use crate::{Error, EvalLog, ReadOptions, read};

/// A folder that goes away with its value.
fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folder is writable")
}

/// A file with that content in that folder.
fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("temporary folder is writable");
    path
}

/// Writes rows in the form the name says.
fn table(folder: &TempDir, name: &str, rows: &[LogRow]) -> PathBuf {
    let path = folder.path().join(name);
    let mut writer = LogWriter::create(&path, TableSchema::of(rows)).expect("a known form");
    for row in rows {
        writer.push(row.clone()).expect("the schema is that of the rows");
    }
    assert_eq!(writer.finish().expect("temporary folder is writable"), rows.len() as u64);
    path
}

fn read_with(path: &Path, options: &ReadOptions) -> Result<EvalLog, Error> {
    read(&[path.to_owned()], options, &mut |_| ())
}

/// Reads a table given as text.
fn read_text(name: &str, content: impl AsRef<[u8]>, options: &ReadOptions) -> Result<EvalLog, Error> {
    let folder = folder();
    read_with(&file(&folder, name, content), options)
}

fn csv(content: &str) -> Result<EvalLog, Error> {
    read_text("log.csv", content, &ReadOptions::default())
}

fn jsonl(content: &str) -> Result<EvalLog, Error> {
    read_text("log.jsonl", content, &ReadOptions::default())
}

/// Reasons of rejection with their counts.
fn rejected(log: &EvalLog) -> Vec<(&str, u64)> {
    log.reading.rejected.iter().map(|(reason, rows)| (reason.as_str(), rows.count)).collect()
}
