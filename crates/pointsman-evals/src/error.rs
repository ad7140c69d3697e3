//! Everything that can go wrong while reading, judging or writing an evaluation log.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::import::Format;
use crate::log::Rejected;
use crate::split::Split;

/// Why a log, price list or prompt file cannot be used.
///
/// The message says what, where, expected and got; [`Error::hint`] gives the remedy where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or listed.
    #[error("`{}`: cannot be read", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("`{}`: cannot be written", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the operating system or the encoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No file was given.
    #[error("no evaluation log was named: expected at least one file")]
    NoFiles,
    /// A file has no bytes, or a table has no header.
    #[error("`{}`: the file is empty", file.display())]
    EmptyFile {
        /// The file.
        file: PathBuf,
    },
    /// Neither the name nor the first bytes of a file tell its form.
    #[error("`{}`: unknown form, expected .parquet, .csv, .tsv or .jsonl", file.display())]
    UnknownForm {
        /// The file.
        file: PathBuf,
    },
    /// A whole JSON document does not parse.
    #[error("`{}:{line}`: malformed JSON: {problem}", file.display())]
    BadJson {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What the parser said.
        problem: String,
    },
    /// There is no importer of that name.
    #[error("`{name}` is not a format that can be imported")]
    UnknownFormat {
        /// What was asked for.
        name: String,
        /// Formats with a name like it.
        nearest: Vec<String>,
    },
    /// A folder holds no file of the tool.
    #[error("`{}`: the folder holds no log of {format}", named.display())]
    NothingToImport {
        /// The folder.
        named: PathBuf,
        /// The format asked for.
        format: Format,
    },
    /// A file is not of the tool it is said to be of.
    #[error("`{}:{line}`: not a log of {format}: expected `{expected}`, found {}", file.display(), list(found))]
    WrongShape {
        /// The file.
        file: PathBuf,
        /// Line, or position among the records, from 1.
        line: u64,
        /// The format asked for.
        format: Format,
        /// What every record of that tool has.
        expected: String,
        /// What this one has.
        found: Vec<String>,
    },
    /// A table is not wide.
    #[error("`{}`: not a table of {format}: expected one row per prompt and one column per model", file.display())]
    NotWide {
        /// The file.
        file: PathBuf,
        /// The format asked for.
        format: Format,
    },
    /// A gateway's log of calls has no scores.
    #[error("`{}`: a log of {format} says what was called, not how good the answers were", file.display())]
    NoScores {
        /// The file.
        file: PathBuf,
        /// The format asked for.
        format: Format,
    },
    /// Neither files nor folders say which model was run.
    #[error("`{}`: nothing says which model this is", file.display())]
    ModelUnknown {
        /// The file.
        file: PathBuf,
    },
    /// Two models were shown different texts for one question.
    #[error("task `{task}`: `{}` and `{}` show their models different texts for one question", first.display(), second.display())]
    TextsDiffer {
        /// The task.
        task: String,
        /// A file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A pattern matches no file, or a folder holds none of a known form.
    #[error("`{}`: {}", named.display(), if *is_folder { "the folder holds no evaluation log" } else { "no file matches" })]
    NothingFound {
        /// The pattern or folder.
        named: PathBuf,
        /// Whether it is a folder.
        is_folder: bool,
    },
    /// A compressed file ends in the middle.
    #[error("`{}`: the {form} stream is cut short", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// `gzip` or `zstd`.
        form: &'static str,
    },
    /// A compressed file holds something else than its form allows, or something after its end.
    #[error("`{}`: the {form} stream is damaged: {problem}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// `gzip` or `zstd`.
        form: &'static str,
        /// What the decoder said.
        problem: String,
    },
    /// A Parquet file was compressed as a whole.
    #[error("`{}`: expected Parquet as it is, got a compressed file", file.display())]
    CompressedParquet {
        /// The file.
        file: PathBuf,
    },
    /// A file named as JSONL is one JSON array.
    #[error("`{}`: expected one JSON object a line, got a JSON array", file.display())]
    JsonArray {
        /// The file.
        file: PathBuf,
    },
    /// A record of a text form does not end.
    #[error("`{}:{line}`: the record that begins here is longer than {} MiB", file.display(), most >> 20)]
    RecordTooLong {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Most bytes of a record.
        most: u64,
    },
    /// A file named as Parquet does not begin like one.
    #[error("`{}`: not a Parquet file, expected it to begin with `PAR1`, got {got}", file.display())]
    NotParquet {
        /// The file.
        file: PathBuf,
        /// Its first bytes, escaped.
        got: String,
    },
    /// A Parquet file begins well but its footer is missing or points outside the file.
    #[error("`{}`: the Parquet file is cut short ({bytes} bytes): {problem}", file.display())]
    TruncatedParquet {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// What is missing.
        problem: &'static str,
    },
    /// A Parquet file has the right frame and damaged content.
    #[error("`{}`: the Parquet file is damaged: {problem}", file.display())]
    CorruptParquet {
        /// The file.
        file: PathBuf,
        /// What the decoder said.
        problem: String,
    },
    /// A required column is not there.
    #[error("`{}`: column `{column}` is missing, found {}", file.display(), list(found))]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// The column that was expected.
        column: String,
        /// The columns found.
        found: Vec<String>,
        /// The found column that most likely was meant.
        nearest: Option<String>,
    },
    /// `--map` names a column the file does not have.
    #[error("`{}`: `--map {target}={column}`: there is no column `{column}`, found {}", file.display(), list(found))]
    MissingMappedColumn {
        /// The file.
        file: PathBuf,
        /// Left of the `=`.
        target: String,
        /// Right of the `=`.
        column: String,
        /// The columns found.
        found: Vec<String>,
        /// The found column that most likely was meant.
        nearest: Option<String>,
    },
    /// Two columns of a file have the same name.
    #[error("`{}`: column `{column}` occurs twice", file.display())]
    DuplicateColumn {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
    },
    /// A column of a wide table cannot be told to be a model's or not.
    #[error("`{}`: wide table: column `{column}` {problem}", file.display())]
    WideColumn {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// What is unclear about it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A column has a type that cannot hold what it should.
    #[error("`{}`: column `{column}`: expected {expected}, got type {got}", file.display())]
    ColumnType {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// What it may hold.
        expected: &'static str,
        /// The type found.
        got: String,
    },
    /// `--map` renames to a name that is no column of the evaluation log.
    #[error("`--map {target}={column}`: `{target}` is not a column of the evaluation log")]
    UnknownMapTarget {
        /// Left of the `=`.
        target: String,
        /// Right of the `=`.
        column: String,
        /// The column that most likely was meant.
        nearest: Option<String>,
    },
    /// An option has a value it cannot have.
    #[error("`{option}`: expected {expected}, got `{got}`")]
    InvalidOption {
        /// The option, as on the command line.
        option: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// A score lies outside the scale of the log.
    #[error("{place}: score {score} is outside [{low}, {high}]")]
    ScoreOutOfRange {
        /// File and line.
        place: String,
        /// The score.
        score: f64,
        /// Least score of the scale.
        low: f64,
        /// Greatest score of the scale.
        high: f64,
    },
    /// `--models` names a model the log does not have.
    #[error("model `{model}` does not occur in the log")]
    UnknownModel {
        /// The name asked for.
        model: String,
        /// The most similar names that occur.
        nearest: Vec<String>,
    },
    /// Every row was rejected or left out.
    #[error("the log has no usable row: {}", nothing(*rows, *filtered, rejected))]
    NothingUsable {
        /// Data rows seen.
        rows: u64,
        /// Rows left out by `--models` or `--task`.
        filtered: u64,
        /// Rejected rows by reason.
        rejected: BTreeMap<String, Rejected>,
    },
    /// The `split` column puts one prompt, or one group, on two sides.
    #[error("{what} `{name}` is in split `{first}` and in split `{second}`")]
    SplitConflict {
        /// `prompt` or `group`.
        what: &'static str,
        /// The `prompt_id` or the group.
        name: String,
        /// One split.
        first: Split,
        /// The other.
        second: Split,
    },
    /// A price list has a bad row.
    #[error("`{}:{line}`: {column}: expected {expected}, got `{got}`", file.display())]
    BadPrice {
        /// The price list.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was there.
        got: String,
    },
    /// A price list has two prices for one model, and nothing to choose by.
    #[error("`{}`: model `{model}` has different prices: {}", file.display(), choices.join(", "))]
    AmbiguousPrice {
        /// The price list.
        file: PathBuf,
        /// The model.
        model: String,
        /// The choices, as `dataset: input/output`.
        choices: Vec<String>,
    },
}

impl Error {
    /// A record without something that every record of the tool has.
    pub(crate) fn not_of(format: Format, file: &Path, line: u64, expected: &str, record: &Value) -> Self {
        let found = record.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        Self::WrongShape { file: file.to_owned(), line, format, expected: expected.to_owned(), found }
    }

    /// The remedy, as one sentence without `hint:` in front, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownForm { .. } => {
                Some("name the file *.parquet, *.csv, *.tsv or *.jsonl after what it holds; a router is no log".into())
            }
            Self::UnknownFormat { nearest, .. } if !nearest.is_empty() => {
                Some(format!("did you mean {}?", list(nearest)))
            }
            Self::UnknownFormat { .. } => Some(format!("known are {}", Format::ALL.map(Format::name).join(", "))),
            Self::NothingToImport { format, .. } => Some(format!(
                "it is searched for {}; other names can be given one by one",
                format.patterns().join(", ")
            )),
            Self::WrongShape { format, .. } => Some(format!("{format} reads {}", format.describe())),
            Self::NotWide { .. } => {
                Some("a long table needs no import: `pointsman inspect` and `train` read it".into())
            }
            Self::NoScores { .. } => {
                Some("give scores by the calls' ids with `--scores FILE`, a table with `id` and `score`".into())
            }
            Self::ModelUnknown { .. } => Some("name it with `--model NAME`".into()),
            Self::TextsDiffer { .. } => {
                Some("take the question itself with `--prompt-field`, as in `--prompt-field doc.question`".into())
            }
            Self::NothingFound { is_folder: true, .. } => Some(
                "it is searched for *.parquet, *.csv, *.tsv and *.jsonl, the last three also as .gz and .zst".into(),
            ),
            Self::NothingFound { .. } => Some("`*` stands for any part of one name, `**` for any folders".into()),
            Self::Corrupt { problem, .. } if problem.starts_with("it begins") => {
                Some("if it is not compressed, leave the last ending off its name".into())
            }
            Self::CompressedParquet { .. } => Some("unpack it: Parquet is compressed inside".into()),
            Self::JsonArray { file } => Some(format!("write one object a line: `jq -c '.[]' {}`", file.display())),
            Self::RecordTooLong { .. } => Some("look for a quote that is not closed, or a missing line break".into()),
            Self::NotParquet { .. } => Some("if it is CSV or JSONL, name it *.csv or *.jsonl".into()),
            Self::Truncated { .. } | Self::TruncatedParquet { .. } => Some("copy or download the file again".into()),
            Self::MissingMappedColumn { target, nearest, .. } => {
                nearest.as_ref().map(|nearest| format!("did you mean `--map {target}={nearest}`?"))
            }
            Self::MissingColumn { column, nearest: None, found, .. }
                if column.starts_with("prompt or") && found.iter().any(|name| name == "prompt_id") =>
            {
                Some("join the texts by prompt_id with `--prompts FILE`".into())
            }
            Self::MissingColumn { column, .. } if column.ends_with("_usd_per_mtok") => {
                Some("a price list has the columns model,input_usd_per_mtok,output_usd_per_mtok".into())
            }
            Self::MissingColumn { column, nearest, .. } => Some(match nearest {
                Some(nearest) => format!(
                    "if `{nearest}` holds it, say `--map {}={nearest}`",
                    column.split(' ').next().unwrap_or(column)
                ),
                None => format!(
                    "say which column holds it with `--map {}=COLUMN`",
                    column.split(' ').next().unwrap_or(column)
                ),
            }),
            Self::WideColumn { remedy, .. } => Some((*remedy).to_owned()),
            Self::UnknownMapTarget { column, nearest, .. } => Some(match nearest {
                Some(nearest) => format!("did you mean `--map {nearest}={column}`?"),
                None => "write the log's name left of `=` and the file's name right of it".into(),
            }),
            Self::ScoreOutOfRange { score, low, high, .. } => Some(if (*low, *high) == (0.0, 1.0) {
                format!(
                    "if the scores are marks on another scale, name it, for example `--score-range {}`",
                    guess_range(*score)
                )
            } else {
                "widen `--score-range` to the whole scale of the log".into()
            }),
            Self::UnknownModel { nearest, .. } if !nearest.is_empty() => Some(format!("the log has {}", list(nearest))),
            Self::NothingUsable { rejected, filtered, .. } => {
                if let Some(hint) = rejected.keys().find_map(|reason| reason_hint(reason)) {
                    Some(hint)
                } else if *filtered > 0 {
                    Some("`--models` and `--task` together leave nothing: widen one of them".into())
                } else {
                    None
                }
            }
            Self::SplitConflict { what: "group", .. } => Some(
                "rows of a group stay together: correct the `split` column, or leave it out and let it be made".into(),
            ),
            Self::SplitConflict { .. } => Some("give every row of a prompt the same split".into()),
            Self::AmbiguousPrice { .. } => {
                Some("give the log a `dataset` column, or a price list with one price per model".into())
            }
            _ => None,
        }
    }
}

/// The remedy for a reason of rejection, where one exists.
fn reason_hint(reason: &str) -> Option<String> {
    let text = match reason {
        "unknown split" => "the split names are train, validation, calibration and test",
        "timestamp is not RFC 3339" => "write timestamps as 2026-01-31T12:00:00Z",
        "prompt_id without a text" => "join the texts with `--prompts FILE`",
        "ragged line" => "quote fields that hold commas or line breaks",
        _ => return None,
    };
    Some(text.into())
}

/// The usual scale on which `score` is a mark.
fn guess_range(score: f64) -> &'static str {
    if score < 0.0 {
        "-1..1"
    } else if score <= 5.0 {
        "1..5"
    } else if score <= 10.0 {
        "1..10"
    } else {
        "0..100"
    }
}

/// The counts behind [`Error::NothingUsable`].
fn nothing(rows: u64, filtered: u64, rejected: &BTreeMap<String, Rejected>) -> String {
    let mut parts = vec![format!("{rows} rows read")];
    if filtered > 0 {
        parts.push(format!("{filtered} left out by `--models` or `--task`"));
    }
    for (reason, rows) in rejected {
        let example = rows.examples.first().map(|example| format!(" ({example})")).unwrap_or_default();
        parts.push(format!("{} rejected: {reason}{example}", rows.count));
    }
    parts.join(", ")
}

/// Names in backticks, the first dozen.
fn list(names: &[String]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return "none".into();
    }
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let rest = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    shown.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> PathBuf {
        Path::new("log.csv").to_owned()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn missing(nearest: Option<&str>, found: &[&str]) -> Error {
        Error::MissingColumn {
            file: file(),
            column: "prompt or messages".into(),
            found: names(found),
            nearest: nearest.map(Into::into),
        }
    }

    fn nothing(reason: &str, filtered: u64) -> Error {
        let rejected = Rejected { count: 2, examples: names(&["log.csv:2: x"]) };
        Error::NothingUsable { rows: 3, filtered, rejected: BTreeMap::from([(reason.to_owned(), rejected)]) }
    }

    fn conflict(what: &'static str) -> Error {
        Error::SplitConflict { what, name: "7".into(), first: Split::Train, second: Split::Test }
    }

    fn off_scale(score: f64, high: f64) -> Error {
        Error::ScoreOutOfRange { place: "log.csv:2".into(), score, low: 0.0, high }
    }

    /// Every variant's text and hint.
    #[test]
    fn messages_and_hints() {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        #[rustfmt::skip]
        let cases: Vec<(Error, &str, Option<&str>)> = vec![
            (Error::Io { file: file(), source: not_found() }, "`log.csv`: cannot be read", None),
            (Error::Write { file: file(), source: Box::new(not_found()) }, "`log.csv`: cannot be written", None),
            (Error::NoFiles, "no evaluation log was named: expected at least one file", None),
            (Error::EmptyFile { file: file() }, "`log.csv`: the file is empty", None),
            (Error::UnknownForm { file: file() }, "`log.csv`: unknown form, expected .parquet, .csv, .tsv or .jsonl", Some("name the file *.parquet, *.csv, *.tsv or *.jsonl after what it holds; a router is no log")),
            (Error::BadJson { file: file(), line: 3, problem: "bad".into() }, "`log.csv:3`: malformed JSON: bad", None),
            (Error::UnknownFormat { name: "lmeval".into(), nearest: names(&["lm-eval"]) }, "`lmeval` is not a format that can be imported", Some("did you mean `lm-eval`?")),
            (Error::NothingToImport { named: "l".into(), format: Format::OpenaiEvals }, "`l`: the folder holds no log of openai-evals", Some("it is searched for *.jsonl, *.jsonl.gz, *.jsonl.zst; other names can be given one by one")),
            (Error::WrongShape { file: file(), line: 2, format: Format::RouterArena, expected: "question".into(), found: names(&["a"]) }, "`log.csv:2`: not a log of routerarena: expected `question`, found `a`", Some("routerarena reads RouterArena: cached results as JSONL")),
            (Error::NotWide { file: file(), format: Format::RouteLlm }, "`log.csv`: not a table of routellm: expected one row per prompt and one column per model", Some("a long table needs no import: `pointsman inspect` and `train` read it")),
            (Error::NoScores { file: file(), format: Format::LiteLlm }, "`log.csv`: a log of litellm says what was called, not how good the answers were", Some("give scores by the calls' ids with `--scores FILE`, a table with `id` and `score`")),
            (Error::ModelUnknown { file: file() }, "`log.csv`: nothing says which model this is", Some("name it with `--model NAME`")),
            (Error::TextsDiffer { task: "t".into(), first: file(), second: "b.csv".into() }, "task `t`: `log.csv` and `b.csv` show their models different texts for one question", Some("take the question itself with `--prompt-field`, as in `--prompt-field doc.question`")),
            (Error::NothingFound { named: "l*".into(), is_folder: false }, "`l*`: no file matches", Some("`*` stands for any part of one name, `**` for any folders")),
            (Error::NothingFound { named: "l".into(), is_folder: true }, "`l`: the folder holds no evaluation log", Some("it is searched for *.parquet, *.csv, *.tsv and *.jsonl, the last three also as .gz and .zst")),
            (Error::Truncated { file: file(), form: "gzip" }, "`log.csv`: the gzip stream is cut short", Some("copy or download the file again")),
            (Error::Corrupt { file: file(), form: "zstd", problem: "bad".into() }, "`log.csv`: the zstd stream is damaged: bad", None),
            (Error::Corrupt { file: file(), form: "zstd", problem: "it begins with `a`".into() }, "`log.csv`: the zstd stream is damaged: it begins with `a`", Some("if it is not compressed, leave the last ending off its name")),
            (Error::CompressedParquet { file: file() }, "`log.csv`: expected Parquet as it is, got a compressed file", Some("unpack it: Parquet is compressed inside")),
            (Error::JsonArray { file: file() }, "`log.csv`: expected one JSON object a line, got a JSON array", Some("write one object a line: `jq -c '.[]' log.csv`")),
            (Error::RecordTooLong { file: file(), line: 3, most: 64 << 20 }, "`log.csv:3`: the record that begins here is longer than 64 MiB", Some("look for a quote that is not closed, or a missing line break")),
            (Error::NotParquet { file: file(), got: "`abc`".into() }, "`log.csv`: not a Parquet file, expected it to begin with `PAR1`, got `abc`", Some("if it is CSV or JSONL, name it *.csv or *.jsonl")),
            (Error::TruncatedParquet { file: file(), bytes: 9, problem: "no end" }, "`log.csv`: the Parquet file is cut short (9 bytes): no end", Some("copy or download the file again")),
            (Error::CorruptParquet { file: file(), problem: "bad page".into() }, "`log.csv`: the Parquet file is damaged: bad page", None),
            (missing(Some("question"), &["question"]), "`log.csv`: column `prompt or messages` is missing, found `question`", Some("if `question` holds it, say `--map prompt=question`")),
            (missing(None, &["prompt_id"]), "`log.csv`: column `prompt or messages` is missing, found `prompt_id`", Some("join the texts by prompt_id with `--prompts FILE`")),
            (missing(None, &[]), "`log.csv`: column `prompt or messages` is missing, found none", Some("say which column holds it with `--map prompt=COLUMN`")),
            (Error::MissingMappedColumn { file: file(), target: "task".into(), column: "kid".into(), found: names(&["kind"]), nearest: Some("kind".into()) }, "`log.csv`: `--map task=kid`: there is no column `kid`, found `kind`", Some("did you mean `--map task=kind`?")),
            (Error::DuplicateColumn { file: file(), column: "model".into() }, "`log.csv`: column `model` occurs twice", None),
            (Error::WideColumn { file: file(), column: "year".into(), problem: "is odd".into(), remedy: "drop it" }, "`log.csv`: wide table: column `year` is odd", Some("drop it")),
            (Error::ColumnType { file: file(), column: "score".into(), expected: "numbers", got: "date".into() }, "`log.csv`: column `score`: expected numbers, got type date", None),
            (Error::UnknownMapTarget { target: "x".into(), column: "y".into(), nearest: None }, "`--map x=y`: `x` is not a column of the evaluation log", Some("write the log's name left of `=` and the file's name right of it")),
            (Error::InvalidOption { option: "--min-coverage", expected: "a share in [0, 1]", got: "2".into() }, "`--min-coverage`: expected a share in [0, 1], got `2`", None),
            (off_scale(4.0, 1.0), "log.csv:2: score 4 is outside [0, 1]", Some("if the scores are marks on another scale, name it, for example `--score-range 1..5`")),
            (off_scale(12.0, 10.0), "log.csv:2: score 12 is outside [0, 10]", Some("widen `--score-range` to the whole scale of the log")),
            (Error::UnknownModel { model: "a".into(), nearest: names(&["b", "c"]) }, "model `a` does not occur in the log", Some("the log has `b`, `c`")),
            (Error::UnknownModel { model: "a".into(), nearest: vec![] }, "model `a` does not occur in the log", None),
            (nothing("ragged line", 0), "the log has no usable row: 3 rows read, 2 rejected: ragged line (log.csv:2: x)", Some("quote fields that hold commas or line breaks")),
            (nothing("empty model", 1), "the log has no usable row: 3 rows read, 1 left out by `--models` or `--task`, 2 rejected: empty model (log.csv:2: x)", Some("`--models` and `--task` together leave nothing: widen one of them")),
            (conflict("prompt"), "prompt `7` is in split `train` and in split `test`", Some("give every row of a prompt the same split")),
            (conflict("group"), "group `7` is in split `train` and in split `test`", Some("rows of a group stay together: correct the `split` column, or leave it out and let it be made")),
            (Error::BadPrice { file: file(), line: 3, column: "model", expected: "a name", got: String::new() }, "`log.csv:3`: model: expected a name, got ``", None),
            (Error::AmbiguousPrice { file: file(), model: "a".into(), choices: names(&["d: 1/2", "e: 3/4"]) }, "`log.csv`: model `a` has different prices: d: 1/2, e: 3/4", Some("give the log a `dataset` column, or a price list with one price per model")),
        ];
        for (error, text, hint) in cases {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.hint().as_deref(), hint, "{text}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        assert!(list(&many).ends_with("`11` and 8 more"));
    }
}
