//! What a caller may ask of [`crate::read`], and what it is told on the way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::columns::Column;
use crate::error::Error;
use crate::nearest::nearest;

/// How to read an evaluation log. The default reads a log that has the standard columns and scale.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// `--map`: name in the evaluation log → name in the file. See [`ReadOptions::add_map`].
    pub map: BTreeMap<String, String>,
    /// `--models`: the pool; rows of other models are left out. `None` takes all.
    pub models: Option<Vec<String>>,
    /// `--task`: a pattern with `*` and `?`; rows of other tasks, or of none, are left out.
    pub task: Option<String>,
    /// `--prices`: a CSV of list prices, see [`crate::prices`].
    pub prices: Option<PathBuf>,
    /// `--assume-output-tokens`: answer length where nothing is known of it, in tokens, finite, not negative.
    ///
    /// The default of 150 is a guess: a short paragraph. It scales every cost marked `assumed`.
    pub assume_output_tokens: f64,
    /// `--min-coverage`: least share of prompts a model of a comparison must have, in `[0, 1]`.
    ///
    /// Reading only checks the domain; it is for [`crate::matrix::pool`].
    pub min_coverage: f64,
    /// `--score-range`: the scale of the file's scores, brought to `[0, 1]` linearly. `None` is `0..1`.
    pub score_range: Option<(f64, f64)>,
    /// `--prompts`: a file with `prompt_id` and `prompt` (or `messages`), joined to rows without a text.
    pub prompts: Option<PathBuf>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            map: BTreeMap::new(),
            models: None,
            task: None,
            prices: None,
            assume_output_tokens: 150.0,
            min_coverage: 0.9,
            score_range: None,
            prompts: None,
        }
    }
}

impl ReadOptions {
    /// Adds one `--map` argument, such as `prompt=question`: the log's name, then the file's.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] if the argument is not `NAME=COLUMN` or names a target twice;
    /// [`Error::UnknownMapTarget`] if the left side is not a column of the evaluation log.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut options = pointsman_evals::ReadOptions::default();
    /// options.add_map("prompt=question")?;
    /// assert!(options.add_map("promt=question").is_err());
    /// # Ok::<(), pointsman_evals::Error>(())
    /// ```
    pub fn add_map(&mut self, argument: &str) -> Result<(), Error> {
        let invalid = || Error::InvalidOption {
            option: "--map",
            expected: "NAME=COLUMN, each name once",
            got: argument.to_owned(),
        };
        let (target, column) = argument.split_once('=').ok_or_else(invalid)?;
        let (target, column) = (target.trim(), column.trim());
        if target.is_empty() || column.is_empty() {
            return Err(invalid());
        }
        check_target(target, column)?;
        if self.map.insert(target.to_owned(), column.to_owned()).is_some() {
            return Err(invalid());
        }
        Ok(())
    }

    /// Checks what the types leave open.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (target, column) in &self.map {
            check_target(target, column)?;
        }
        let invalid = |option, expected, got: String| Err(Error::InvalidOption { option, expected, got });
        if !(self.assume_output_tokens.is_finite() && self.assume_output_tokens >= 0.0) {
            return invalid(
                "--assume-output-tokens",
                "a finite number, not negative",
                self.assume_output_tokens.to_string(),
            );
        }
        if !(0.0..=1.0).contains(&self.min_coverage) {
            return invalid("--min-coverage", "a share in [0, 1]", self.min_coverage.to_string());
        }
        if let Some((low, high)) = self.score_range
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            return invalid("--score-range", "LOW..HIGH with LOW < HIGH", format!("{low}..{high}"));
        }
        if let Some(models) = &self.models
            && (models.is_empty() || models.iter().any(|model| model.trim().is_empty()))
        {
            return invalid("--models", "names separated by commas", models.join(","));
        }
        Ok(())
    }
}

/// Parses the argument of `--score-range`, such as `1..10` or `-1..1`.
///
/// # Errors
///
/// [`Error::InvalidOption`] unless it is two finite numbers, the lower one first.
///
/// # Examples
///
/// ```
/// use pointsman_evals::parse_score_range;
///
/// assert_eq!(parse_score_range("1..10")?, (1.0, 10.0));
/// assert!(parse_score_range("10..1").is_err());
/// # Ok::<(), pointsman_evals::Error>(())
/// ```
pub fn parse_score_range(argument: &str) -> Result<(f64, f64), Error> {
    argument
        .split_once("..")
        .and_then(|(low, high)| {
            let low: f64 = low.trim().parse().ok()?;
            let high: f64 = high.trim().parse().ok()?;
            (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
        })
        .ok_or_else(|| Error::InvalidOption {
            option: "--score-range",
            expected: "LOW..HIGH with LOW < HIGH",
            got: argument.to_owned(),
        })
}

/// How far reading has come; given to the callback about every 65,536 rows and at the end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file being read.
    pub file: String,
    /// Its position among the files, from 0.
    pub file_idx: usize,
    /// Number of files.
    pub n_files: usize,
    /// Rows read so far, of all files.
    pub rows: u64,
    /// Bytes read so far, of all files; an estimate within a Parquet file.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

impl Progress {
    /// Before the first of files of these lengths.
    pub(crate) fn start(lengths: &[u64]) -> Self {
        let bytes_total = lengths.iter().sum();
        Self { file: String::new(), file_idx: 0, n_files: lengths.len(), rows: 0, bytes_done: 0, bytes_total }
    }
}

fn check_target(target: &str, column: &str) -> Result<(), Error> {
    let known = Column::from_name(target).is_some()
        || target == "context"
        || target.strip_prefix("context.").is_some_and(|name| !name.is_empty());
    if known {
        return Ok(());
    }
    Err(Error::UnknownMapTarget {
        target: target.to_owned(),
        column: column.to_owned(),
        nearest: nearest(target, Column::ALL.map(Column::name), 1).pop(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_target_is_a_column_or_a_context_name() {
        let mut options = ReadOptions::default();
        options.add_map("score=correct").expect("a column");
        options.add_map("context.plan=tier").expect("a context name");
        let error = options.add_map("scor=correct").expect_err("no column");
        assert_eq!(error.hint().as_deref(), Some("did you mean `--map score=correct`?"));
        assert!(options.add_map("score=again").is_err(), "twice");
        assert!(options.add_map("score").is_err(), "no equals sign");
        assert!(options.add_map("context.=x").is_err(), "no name");
    }

    #[test]
    fn score_ranges() {
        assert_eq!(parse_score_range("-1 .. 1").expect("valid"), (-1.0, 1.0));
        for bad in ["1", "1..", "..2", "a..b", "2..2", "0..inf", "NaN..1"] {
            assert!(parse_score_range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_outside_their_domain_are_errors() {
        let with = |change: fn(&mut ReadOptions)| {
            let mut options = ReadOptions::default();
            change(&mut options);
            options.validate()
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|o| o.assume_output_tokens = -1.0).is_err());
        assert!(with(|o| o.min_coverage = 1.5).is_err());
        assert!(with(|o| o.score_range = Some((1.0, 0.0))).is_err());
        assert!(with(|o| o.models = Some(vec![])).is_err());
        assert!(with(|o| drop(o.map.insert("x".into(), "y".into()))).is_err());
    }
}
