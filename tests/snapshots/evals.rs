//! Errors of `pointsman-evals`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pointsman_evals::import::Format;
use pointsman_evals::{Error, Rejected, Split};

use crate::{all, declared, shown, variants};

fn file() -> PathBuf {
    "log.csv".into()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Errors about files and their form.
fn of_files() -> Vec<Error> {
    vec![
        Error::Io { file: file(), source: std::io::ErrorKind::NotFound.into() },
        Error::Write { file: file(), source: "the disk is full".into() },
        Error::NoFiles,
        Error::EmptyFile { file: file() },
        Error::UnknownForm { file: file() },
        Error::NotParquet { file: file(), got: "`prom`".into() },
        Error::TruncatedParquet { file: file(), bytes: 9, problem: "its footer is missing" },
        Error::CorruptParquet { file: file(), problem: "bad page".into() },
        Error::NothingFound { named: "logs/*.csv".into(), is_folder: false },
        Error::NothingFound { named: "logs".into(), is_folder: true },
        Error::Truncated { file: "log.csv.gz".into(), form: "gzip" },
        Error::Corrupt { file: "log.csv.zst".into(), form: "zstd", problem: "bad block".into() },
        Error::CompressedParquet { file: "log.parquet.gz".into() },
        Error::JsonArray { file: "log.jsonl".into() },
        Error::RecordTooLong { file: file(), line: 3, most: 64 << 20 },
    ]
}

/// Errors about other tools' files.
fn of_imports() -> Vec<Error> {
    vec![
        Error::BadJson { file: file(), line: 3, problem: "expected value at line 3 column 1".into() },
        Error::UnknownFormat { name: "lmeval".into(), nearest: names(&["lm-eval"]) },
        Error::UnknownFormat { name: "excel".into(), nearest: Vec::new() },
        Error::NothingToImport { named: "logs".into(), format: Format::Inspect },
        Error::WrongShape {
            file: file(),
            line: 1,
            format: Format::RouterArena,
            expected: "question".into(),
            found: names(&["query", "performance"]),
        },
        Error::NotWide { file: file(), format: Format::RouterBench },
        Error::NoScores { file: file(), format: Format::LiteLlm },
        Error::ModelUnknown { file: file() },
        Error::TextsDiffer { task: "gsm8k".into(), first: "a/samples.jsonl".into(), second: "b/samples.jsonl".into() },
    ]
}

/// Errors about columns and options.
fn of_columns() -> Vec<Error> {
    let found = || names(&["question", "model", "score"]);
    vec![
        Error::MissingColumn {
            file: file(),
            column: "prompt or messages".into(),
            found: found(),
            nearest: Some("question".into()),
        },
        Error::MissingColumn {
            file: file(),
            column: "score".into(),
            found: names(&["prompt", "model"]),
            nearest: None,
        },
        Error::MissingMappedColumn {
            file: file(),
            target: "prompt".into(),
            column: "questoin".into(),
            found: found(),
            nearest: Some("question".into()),
        },
        Error::WideColumn {
            file: "wide.csv".into(),
            column: "notes".into(),
            problem: "is neither a known column nor scores".into(),
            remedy: "name the models with `--models A,B`",
        },
        Error::DuplicateColumn { file: file(), column: "model".into() },
        Error::ColumnType { file: file(), column: "score".into(), expected: "numbers", got: "date".into() },
        Error::UnknownMapTarget { target: "promt".into(), column: "question".into(), nearest: Some("prompt".into()) },
        Error::InvalidOption { option: "--min-coverage", expected: "a share in [0, 1]", got: "2".into() },
    ]
}

/// Errors about rows and what they add up to.
fn of_rows() -> Vec<Error> {
    let rejected = Rejected { count: 2, examples: names(&["log.csv:2: x"]) };
    vec![
        Error::ScoreOutOfRange { place: "log.csv:2".into(), score: 7.0, low: 0.0, high: 1.0 },
        Error::UnknownModel { model: "gpt".into(), nearest: names(&["aster", "briar"]) },
        Error::NothingUsable { rows: 3, filtered: 1, rejected: BTreeMap::from([("ragged line".to_owned(), rejected)]) },
        Error::SplitConflict { what: "prompt", name: "p-17".into(), first: Split::Train, second: Split::Test },
        Error::BadPrice { file: "prices.csv".into(), line: 3, column: "model", expected: "a name", got: String::new() },
        Error::AmbiguousPrice {
            file: "prices.csv".into(),
            model: "aster".into(),
            choices: names(&["news: 1/2", "law: 3/4"]),
        },
    ]
}

#[test]
fn every_text() {
    let errors: Vec<Error> = [of_files(), of_imports(), of_columns(), of_rows()].into_iter().flatten().collect();
    assert_eq!(variants(&errors), declared(include_str!("../../crates/pointsman-evals/src/error.rs")));
    insta::assert_snapshot!("evals", all(errors.iter().map(|error| shown(error, error.hint().as_deref()))));
}
