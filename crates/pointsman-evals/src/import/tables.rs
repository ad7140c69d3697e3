//! Tables that the reader of evaluation logs knows already: RouterBench's and RouteLLM's wide ones.

use std::borrow::Cow;
use std::path::Path;

use super::{Context, Format, Visit};
use crate::columns::{Column, Mapper, Slot};
use crate::error::Error;
use crate::form::detect;
use crate::options::ReadOptions;
use crate::read::{Sink, read_source};
use crate::row::{Cell, RawRow};
use crate::wide::{Wide, WideSink};

/// Reads a wide table into `out`.
pub(super) fn read(file: &Path, context: &Context<'_>, out: &mut dyn Visit) -> Result<(), Error> {
    let options = ReadOptions { score_range: context.options.score_range, ..ReadOptions::default() };
    let source = detect(file)?;
    let mapper = Mapper::new(&options);
    let Some(wide) = Wide::of(&source, &mapper, &options)? else {
        return Err(Error::NotWide { file: file.to_owned(), format: context.format });
    };
    let mut sink = TableSink { file, mapper, format: context.format, out };
    read_source(&source, &mut WideSink { wide: &wide, inner: &mut sink })
}

struct TableSink<'t> {
    file: &'t Path,
    mapper: Mapper,
    format: Format,
    out: &'t mut dyn Visit,
}

impl Sink for TableSink<'_> {
    fn columns(&mut self, _found: &[String]) -> Result<(), Error> {
        Ok(())
    }

    fn slot(&self, name: &str) -> Slot {
        self.mapper.slot(name)
    }

    fn push(&mut self, raw: &RawRow<'_>, line: u64) -> Result<(), Error> {
        let mut own = raw.own();
        if self.format == Format::RouterBench
            && let Cell::Text(text) = raw.get(Column::Prompt)
            && let Some(joined) = python_strings(text)
        {
            own.set(Column::Prompt, Cell::Text(Cow::Owned(joined)));
        }
        if self.format == Format::RouteLlm && own.get(Column::Task).is_missing() {
            // `routellm/evals/mmlu/responses/mmlu_<subject>.csv`, `…/gsm8k/gsm8k_responses.csv`.
            let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
            let stem = stem.trim_end_matches("_responses").to_owned();
            own.set(Column::Task, Cell::Text(Cow::Owned(stem)));
        }
        self.out.row(own, line)
    }

    fn reject(&mut self, line: u64, reason: &'static str, value: &str) {
        self.out.reject(line, reason, value);
    }

    fn progress(&mut self, _bytes: u64) {}
}

/// The strings of a list as Python writes it, `['…', "…"]`, joined by line breaks: RouterBench's prompts are such lists.
fn python_strings(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut joined: Vec<String> = Vec::new();
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || (*c == ',' && !joined.is_empty())).is_some() {}
        let Some(quote) = chars.next() else { break };
        if quote != '\'' && quote != '"' {
            return None;
        }
        let mut string = String::new();
        loop {
            match chars.next()? {
                end if end == quote => break,
                '\\' => match chars.next()? {
                    'n' => string.push('\n'),
                    't' => string.push('\t'),
                    'r' => string.push('\r'),
                    'x' => string.push(code(&mut chars, 2)?),
                    'u' => string.push(code(&mut chars, 4)?),
                    'U' => string.push(code(&mut chars, 8)?),
                    escaped @ ('\\' | '\'' | '"') => string.push(escaped),
                    other => string.extend(['\\', other]),
                },
                other => string.push(other),
            }
        }
        joined.push(string);
    }
    (!joined.is_empty()).then(|| joined.join("\n"))
}

fn code(chars: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let hex: String = chars.by_ref().take(digits).collect();
    char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_python_become_text() {
        for (list, expected) in [
            (r"['What is 2 + 2?']", Some("What is 2 + 2?")),
            (r#"["It's\n", 'a \'quote\'', 'caf\xe9 \u2192 \\n']"#, Some("It's\n\na 'quote'\ncafé → \\n")),
            ("What is [x]?", None),
            ("[1, 2]", None),
            ("['cut", None),
            ("[]", None),
        ] {
            assert_eq!(python_strings(list).as_deref(), expected, "{list}");
        }
    }
}
