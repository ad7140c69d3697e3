//! Errors of `pointsman-bench`.

use pointsman_bench::Error;
use pointsman_metrics::MetricsError;

use crate::{all, declared, shown, variants};

#[test]
fn every_text() {
    let path = || "theirs.csv".into();
    let name = || "aster".to_owned();
    let pool = || vec!["aster".to_owned(), "briar".to_owned()];
    let setting = || Some("0.3".to_owned());
    let errors = [
        Error::EmptyPool { min_coverage: 0.9 },
        Error::EmptySplit { split: "test".into(), n_models: 3 },
        Error::PairNotInPool { model: "gpt".into(), pool: pool() },
        Error::PairOfOne { model: name() },
        Error::BadOption { option: "resamples", expected: "at least 100", got: "1".into() },
        Error::NoCommonModel { router: "mine".into(), models: pool() },
        Error::Bind { router: "mine".into(), source: Box::new(pointsman::Error::EmptyPool) },
        Error::Messages { prompt_id: "p-17".into(), source: Box::new(pointsman::Error::NoMessages) },
        Error::Read { path: path(), source: "permission denied".into() },
        Error::UnknownForm { path: path() },
        Error::Columns { path: path(), expected: "a column `prompt_id`", got: pool() },
        Error::UnknownModel { path: path(), row: None, model: "gpt".into(), pool: pool() },
        Error::UnknownModel { path: path(), row: Some(2), model: "gpt".into(), pool: pool() },
        Error::BadValue { path: path(), row: 3, column: name(), expected: "a finite number", got: "nothing".into() },
        Error::Duplicate { path: path(), row: 4, prompt_id: "p-17".into(), setting: setting() },
        Error::Missing { path: path(), setting: setting(), expected: 9, missing: 2, first: "p-17".into() },
        Error::Metrics(MetricsError::Empty { what: "queries" }),
        Error::Chart("no room".into()),
        Error::NoPropensity { split: "test".into(), rows: 12 },
        Error::NoFont,
        Error::NoControl { needs: "needs 100 training prompts or more" },
        Error::Training("no outcomes".into()),
    ];
    assert_eq!(variants(&errors), declared(include_str!("../../crates/pointsman-bench/src/error.rs")));
    insta::assert_snapshot!("bench", all(errors.iter().map(|error| shown(error, error.hint()))));
}
