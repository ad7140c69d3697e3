//! The columns of the evaluation log, and which column of a file is which.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;
use crate::nearest::nearest;
use crate::options::ReadOptions;

/// A column of the evaluation log, `context.*` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Text the router would see.
    Prompt,
    /// Chat messages as JSON, instead of `prompt`.
    Messages,
    /// Target name.
    Model,
    /// Quality of the model's answer, in `[0, 1]` unless another scale is named.
    Score,
    /// Groups rows; derived where absent.
    PromptId,
    /// Conversation, user or document.
    Group,
    /// USD for this one call.
    CostUsd,
    /// Input tokens as reported.
    InputTokens,
    /// Output tokens as reported.
    OutputTokens,
    /// Unicode characters of the answer.
    OutputChars,
    /// Wall time of the call in milliseconds.
    LatencyMs,
    /// Kind of work: supervision and reports, never an input of the router.
    Task,
    /// Source benchmark or log.
    Dataset,
    /// `train`, `validation`, `calibration` or `test`.
    Split,
    /// Sample weight, positive.
    Weight,
    /// RFC 3339.
    Timestamp,
    /// Index of a repeated run.
    Repeat,
    /// Probability with which the logging policy chose this model, in `(0, 1]`.
    Propensity,
    /// Where the row came from.
    Source,
}

impl Column {
    /// Number of columns.
    pub const COUNT: usize = 19;

    /// All columns, in the order they are written.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Prompt,
        Self::Messages,
        Self::Model,
        Self::Score,
        Self::PromptId,
        Self::Group,
        Self::CostUsd,
        Self::InputTokens,
        Self::OutputTokens,
        Self::OutputChars,
        Self::LatencyMs,
        Self::Task,
        Self::Dataset,
        Self::Split,
        Self::Weight,
        Self::Timestamp,
        Self::Repeat,
        Self::Propensity,
        Self::Source,
    ];

    /// The name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Messages => "messages",
            Self::Model => "model",
            Self::Score => "score",
            Self::PromptId => "prompt_id",
            Self::Group => "group",
            Self::CostUsd => "cost_usd",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::OutputChars => "output_chars",
            Self::LatencyMs => "latency_ms",
            Self::Task => "task",
            Self::Dataset => "dataset",
            Self::Split => "split",
            Self::Weight => "weight",
            Self::Timestamp => "timestamp",
            Self::Repeat => "repeat",
            Self::Propensity => "propensity",
            Self::Source => "source",
        }
    }

    /// The column of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// Whether the column holds numbers (else text).
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Score
                | Self::CostUsd
                | Self::InputTokens
                | Self::OutputTokens
                | Self::OutputChars
                | Self::LatencyMs
                | Self::Weight
                | Self::Repeat
                | Self::Propensity
        )
    }

    /// Names other tools give the required columns; used only to suggest a `--map`.
    const fn also_called(self) -> &'static [&'static str] {
        match self {
            Self::Prompt => &["question", "query", "instruction", "input", "text", "user_prompt", "request"],
            Self::Model => &["model_name", "model_id", "llm", "engine", "deployment"],
            Self::Score => {
                &["correct", "is_correct", "quality", "performance", "rating", "grade", "reward", "accuracy", "pass"]
            }
            Self::PromptId => &["id", "sample_id", "question_id", "query_id", "example_id"],
            _ => &[],
        }
    }
}

impl Column {
    /// Whether other tools give this name to one of `columns`.
    pub(crate) fn is_alias(name: &str, columns: &[Self]) -> bool {
        columns.iter().any(|column| column.also_called().iter().any(|alias| name.eq_ignore_ascii_case(alias)))
    }
}

/// What one column of a file means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A column of the log.
    Column(Column),
    /// `context.<name>`, without the prefix.
    Context(String),
    /// JSONL's nested `context` object.
    ContextObject,
    /// A column of a wide table: handed on as it is, under this index.
    Extra(u32),
    /// The same for a column that is only looked at, whatever its type.
    Peek(u32),
    /// None of ours.
    Unknown,
}

/// Column names of files → their meaning, after `--map`.
#[derive(Clone, Debug)]
pub(crate) struct Mapper {
    /// Name in the file → name in the log.
    renamed: BTreeMap<String, String>,
    /// Names in the log that `--map` filled from elsewhere: a column of that name is not itself any more.
    replaced: Vec<String>,
}

impl Mapper {
    pub(crate) fn new(options: &ReadOptions) -> Self {
        Self {
            renamed: options.map.iter().map(|(target, column)| (column.clone(), target.clone())).collect(),
            replaced: options.map.keys().cloned().collect(),
        }
    }

    /// What the column `name` of a file means.
    pub(crate) fn slot(&self, name: &str) -> Slot {
        let target = match self.renamed.get(name) {
            Some(target) => target.as_str(),
            None if self.replaced.iter().any(|target| target == name) => return Slot::Unknown,
            None => name,
        };
        if let Some(column) = Column::from_name(target) {
            Slot::Column(column)
        } else if target == "context" {
            Slot::ContextObject
        } else {
            match target.strip_prefix("context.") {
                Some(name) if !name.is_empty() => Slot::Context(name.to_owned()),
                _ => Slot::Unknown,
            }
        }
    }

    /// Checks the columns found in one file: the required ones, and those that `--map` names.
    pub(crate) fn check(
        &self,
        file: &Path,
        found: &[String],
        required: &[Column],
        need_text: bool,
    ) -> Result<(), Error> {
        for (index, column) in found.iter().enumerate() {
            if found[..index].contains(column) {
                return Err(Error::DuplicateColumn { file: file.to_owned(), column: column.clone() });
            }
        }
        for (column, target) in &self.renamed {
            if !found.contains(column) {
                return Err(Error::MissingMappedColumn {
                    file: file.to_owned(),
                    target: target.clone(),
                    column: column.clone(),
                    nearest: nearest(column, found.iter().map(String::as_str), 1).pop(),
                    found: found.to_vec(),
                });
            }
        }
        let has = |column| found.iter().any(|name| self.slot(name) == Slot::Column(column));
        for column in required {
            if !has(*column) {
                return Err(self.missing(file, *column, column.name(), found));
            }
        }
        if need_text && !has(Column::Prompt) && !has(Column::Messages) {
            return Err(self.missing(file, Column::Prompt, "prompt or messages", found));
        }
        Ok(())
    }

    pub(crate) fn missing(&self, file: &Path, column: Column, label: &str, found: &[String]) -> Error {
        let free = || found.iter().map(String::as_str).filter(|name| self.slot(name) == Slot::Unknown);
        let alias = column.also_called().iter().find_map(|alias| free().find(|name| name.eq_ignore_ascii_case(alias)));
        Error::MissingColumn {
            file: file.to_owned(),
            column: label.to_owned(),
            nearest: alias.map(str::to_owned).or_else(|| nearest(column.name(), free(), 1).pop()),
            found: found.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapper(arguments: &[&str]) -> Mapper {
        let mut options = ReadOptions::default();
        for argument in arguments {
            options.add_map(argument).expect("valid");
        }
        Mapper::new(&options)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_are_all_different_and_found_again() {
        for column in Column::ALL {
            assert_eq!(Column::from_name(column.name()), Some(column));
        }
    }

    #[test]
    fn a_mapped_column_replaces_its_namesake() {
        let mapper = mapper(&["prompt=question"]);
        assert_eq!(mapper.slot("question"), Slot::Column(Column::Prompt));
        assert_eq!(mapper.slot("prompt"), Slot::Unknown);
        assert_eq!(mapper.slot("model"), Slot::Column(Column::Model));
        assert_eq!(mapper.slot("context.plan"), Slot::Context("plan".into()));
        assert_eq!(mapper.slot("context"), Slot::ContextObject);
        assert_eq!(mapper.slot("colour"), Slot::Unknown);
    }

    #[test]
    fn a_missing_column_names_the_one_that_was_meant() {
        let file = Path::new("x.csv");
        let found = names(&["question", "model", "correct"]);
        let required = [Column::Model, Column::Score];
        let error = mapper(&[]).check(file, &found, &required, true).expect_err("no score");
        assert_eq!(error.to_string(), "`x.csv`: column `score` is missing, found `question`, `model`, `correct`");
        assert_eq!(error.hint().as_deref(), Some("if `correct` holds it, say `--map score=correct`"));
        let error = mapper(&["score=correct"]).check(file, &found, &required, true).expect_err("no text");
        assert_eq!(error.hint().as_deref(), Some("if `question` holds it, say `--map prompt=question`"));
        assert!(mapper(&["score=correct", "prompt=question"]).check(file, &found, &required, true).is_ok());
    }

    #[test]
    fn a_mapped_column_has_to_exist_and_names_are_unique() {
        let file = Path::new("x.csv");
        assert!(matches!(
            mapper(&["task=kind"]).check(file, &names(&["prompt"]), &[], true),
            Err(Error::MissingMappedColumn { column, .. }) if column == "kind"
        ));
        assert!(matches!(
            mapper(&[]).check(file, &names(&["prompt", "prompt"]), &[], true),
            Err(Error::DuplicateColumn { .. })
        ));
    }
}
