//! What can keep a benchmark from running.

use std::path::PathBuf;

use thiserror::Error;

/// Why a benchmark cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No model has a cost and enough coverage.
    #[error("pool: expected at least one model with a cost and a coverage of {min_coverage}, got none")]
    EmptyPool {
        /// Least coverage asked for.
        min_coverage: f64,
    },
    /// The evaluated split holds no prompt with an outcome for every model of the pool.
    #[error("split `{split}`: expected prompts with an outcome for each of {n_models} models, got none")]
    EmptySplit {
        /// Name of the split.
        split: String,
        /// Size of the pool.
        n_models: usize,
    },
    /// A model named for the strong/weak pair is not in the pool.
    #[error("pair: model `{model}` is not in the pool of {}", list(pool))]
    PairNotInPool {
        /// The name given.
        model: String,
        /// The pool.
        pool: Vec<String>,
    },
    /// The pair names one model twice.
    #[error("pair: expected two different models, got `{model}` twice")]
    PairOfOne {
        /// The name given.
        model: String,
    },
    /// An option is outside its domain.
    #[error("option `{option}`: expected {expected}, got {got}")]
    BadOption {
        /// Which option.
        option: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// No logged decision says with which probability it was made.
    #[error("split `{split}`: expected outcomes with a `propensity` in (0, 1] and a cost, got none among {rows} rows")]
    NoPropensity {
        /// Name of the split.
        split: String,
        /// Rows of it.
        rows: usize,
    },
    /// A PNG needs a font, and the system has none.
    #[error("png: expected a font on this system, got none")]
    NoFont,
    /// A control cannot be run on this log; becomes a note of the report.
    #[error("control: {needs}")]
    NoControl {
        /// What it needs.
        needs: &'static str,
    },
    /// A control's router could not be trained.
    #[error("a router cannot be trained")]
    Training(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A router knows no model of the pool.
    #[error("router `{router}`: expected at least one model of the pool, it knows {}", list(models))]
    NoCommonModel {
        /// The router's name.
        router: String,
        /// The models it knows.
        models: Vec<String>,
    },
    /// A router refused the policy that the benchmark needs.
    #[error("router `{router}`: cannot be bound to the pool")]
    Bind {
        /// The router's name.
        router: String,
        /// Its own words.
        source: Box<pointsman::Error>,
    },
    /// The messages of a prompt do not parse.
    #[error("prompt `{prompt_id}`: its messages cannot be read")]
    Messages {
        /// The prompt.
        prompt_id: String,
        /// What is wrong with them.
        source: Box<pointsman::Error>,
    },
    /// A predictions file cannot be read.
    #[error("predictions `{}`: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A predictions file has another extension than those known.
    #[error("predictions `{}`: expected .jsonl, .json, .csv or .parquet", path.display())]
    UnknownForm {
        /// The file.
        path: PathBuf,
    },
    /// A predictions file misses a column or has one too many.
    #[error("predictions `{}`: expected {expected}, got {}", path.display(), list(got))]
    Columns {
        /// The file.
        path: PathBuf,
        /// What a file must have.
        expected: &'static str,
        /// The columns found.
        got: Vec<String>,
    },
    /// A predictions file names a model that the log does not know, or that is not in the pool.
    #[error("predictions `{}`{}: model `{model}` is not in the pool of {}", path.display(), at(*row), list(pool))]
    UnknownModel {
        /// The file.
        path: PathBuf,
        /// Data row, from 1; `None` for a column name.
        row: Option<usize>,
        /// The name found.
        model: String,
        /// The pool.
        pool: Vec<String>,
    },
    /// A value of a predictions file has the wrong type or is not finite.
    #[error("predictions `{}`, row {row}, column `{column}`: expected {expected}, got {got}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Data row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// What it must hold.
        expected: &'static str,
        /// The value found.
        got: String,
    },
    /// A prompt has two predictions for one setting.
    #[error("predictions `{}`, row {row}: prompt `{prompt_id}` was predicted before{}", path.display(), under(setting.as_deref()))]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Data row of the second, from 1.
        row: usize,
        /// The prompt.
        prompt_id: String,
        /// The setting, where the file has several.
        setting: Option<String>,
    },
    /// Prompts of the evaluated split have no prediction.
    #[error("predictions `{}`{}: expected all {expected} prompts of the split, {missing} are missing, first `{first}`", path.display(), under(setting.as_deref()))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The setting, where the file has several.
        setting: Option<String>,
        /// Prompts of the split.
        expected: usize,
        /// Prompts without a prediction.
        missing: usize,
        /// The first of them.
        first: String,
    },
    /// Numbers that no metric can be computed from.
    #[error(transparent)]
    Metrics(#[from] pointsman_metrics::MetricsError),
    /// The report's chart could not be drawn.
    #[error("chart: cannot be drawn: {0}")]
    Chart(String),
}

impl Error {
    /// What to do about it, where one thing helps most.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::EmptyPool { .. } => Some(
                "give prices with --prices, or lower --min-coverage; --off-policy estimates from a log in which only the \
                 chosen model was run",
            ),
            Self::EmptySplit { .. } => Some("narrow the pool with --models, or name another --split"),
            Self::NoFont => Some("install a font, or ask for SVG alone: it carries its texts as texts"),
            Self::NoPropensity { .. } => Some(
                "the probability with which the logging policy chose the model belongs in the column `propensity`; without \
                 it nothing can be estimated from choices alone",
            ),
            Self::Missing { .. } => Some("--allow-partial fills the gaps with the best single model"),
            Self::UnknownModel { .. } => Some("restrict the pool with --models, or rename the model in the file"),
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{text} and {} more", n - SHOWN),
        _ => text,
    }
}

fn at(row: Option<usize>) -> String {
    row.map_or_else(|| ", header".to_owned(), |row| format!(", row {row}"))
}

fn under(setting: Option<&str>) -> String {
    setting.map_or_else(String::new, |s| format!(", setting `{s}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_what_where_expected_and_got() {
        let path = || PathBuf::from("p.csv");
        let name = || "m".to_owned();
        let pool = || vec!["a".to_owned(), "b".to_owned()];
        let texts = [
            (
                Error::EmptyPool { min_coverage: 0.9 },
                "pool: expected at least one model with a cost and a coverage of 0.9, got none",
            ),
            (
                Error::NoPropensity { split: "test".to_owned(), rows: 7 },
                "split `test`: expected outcomes with a `propensity` in (0, 1] and a cost, got none among 7 rows",
            ),
            (
                Error::EmptySplit { split: "test".to_owned(), n_models: 3 },
                "split `test`: expected prompts with an outcome for each of 3 models, got none",
            ),
            (Error::PairNotInPool { model: name(), pool: pool() }, "pair: model `m` is not in the pool of `a`, `b`"),
            (Error::PairOfOne { model: name() }, "pair: expected two different models, got `m` twice"),
            (
                Error::BadOption { option: "resamples", expected: "at least 100", got: "1".to_owned() },
                "option `resamples`: expected at least 100, got 1",
            ),
            (
                Error::NoCommonModel { router: "r".to_owned(), models: Vec::new() },
                "router `r`: expected at least one model of the pool, it knows none",
            ),
            (
                Error::Bind { router: "r".to_owned(), source: Box::new(pointsman::Error::EmptyPool) },
                "router `r`: cannot be bound to the pool",
            ),
            (
                Error::Messages { prompt_id: "p".to_owned(), source: Box::new(pointsman::Error::NoMessages) },
                "prompt `p`: its messages cannot be read",
            ),
            (Error::Read { path: path(), source: "gone".into() }, "predictions `p.csv`: cannot be read"),
            (Error::UnknownForm { path: path() }, "predictions `p.csv`: expected .jsonl, .json, .csv or .parquet"),
            (
                Error::Columns { path: path(), expected: "a column `prompt_id`", got: pool() },
                "predictions `p.csv`: expected a column `prompt_id`, got `a`, `b`",
            ),
            (
                Error::UnknownModel { path: path(), row: Some(2), model: name(), pool: pool() },
                "predictions `p.csv`, row 2: model `m` is not in the pool of `a`, `b`",
            ),
            (
                Error::BadValue {
                    path: path(),
                    row: 3,
                    column: "a".to_owned(),
                    expected: "a finite number",
                    got: "nothing".to_owned(),
                },
                "predictions `p.csv`, row 3, column `a`: expected a finite number, got nothing",
            ),
            (
                Error::Duplicate { path: path(), row: 4, prompt_id: "p".to_owned(), setting: Some("s".to_owned()) },
                "predictions `p.csv`, row 4: prompt `p` was predicted before, setting `s`",
            ),
            (
                Error::Missing { path: path(), setting: None, expected: 9, missing: 2, first: "p".to_owned() },
                "predictions `p.csv`: expected all 9 prompts of the split, 2 are missing, first `p`",
            ),
            (
                Error::Metrics(pointsman_metrics::MetricsError::Empty { what: "queries" }),
                "queries: expected at least one value, got none",
            ),
            (Error::Chart("no room".to_owned()), "chart: cannot be drawn: no room"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..20).map(|i| format!("m{i}")).collect();
        assert!(list(&names).ends_with("`m11` and 8 more"));
    }

    #[test]
    fn hints_are_given_where_one_thing_helps() {
        assert!(Error::EmptyPool { min_coverage: 0.9 }.hint().is_some());
        assert!(Error::PairOfOne { model: "m".to_owned() }.hint().is_none());
    }
}
