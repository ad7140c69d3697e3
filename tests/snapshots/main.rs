//! What errors say, every variant of every library, with causes and hints, as the command line prints them.
//!
//! After a deliberate change of a text: `INSTA_UPDATE=always cargo test -p pointsman-tests --test snapshots`, and
//! read the difference.
#![forbid(unsafe_code)]

mod bench;
mod evals;
mod metrics;
mod online;
mod training;

use std::error::Error as StdError;
use std::fmt::Write;

/// An error as a person sees it: the sentence, its causes, the hint.
fn shown(error: &dyn StdError, hint: Option<&str>) -> String {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        writeln!(text, "  because: {error}").expect("writing to a string cannot fail");
        cause = error.source();
    }
    if let Some(hint) = hint {
        writeln!(text, "hint: {hint}").expect("writing to a string cannot fail");
    }
    text
}

/// The names of the variants that `errors` hold, as their `Debug` form begins.
fn variants(errors: &[impl std::fmt::Debug]) -> Vec<String> {
    let mut names: Vec<String> = errors
        .iter()
        .map(|error| {
            format!("{error:?}").split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The names of the variants that an error's source declares: what stands after each `#[error(…)]`.
///
/// The enums are open to new variants, so no `match` outside their crates can prove that a list is complete.
fn declared(source: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut lines = source.lines().take_while(|line| !line.contains("mod tests"));
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[error(") {
            let next = lines.find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_uppercase()));
            let name = next.unwrap_or_default().trim().split(|c: char| !c.is_ascii_alphanumeric()).next();
            names.push(name.unwrap_or_default().to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Rules of the style: a message begins in lower case or with a name, and ends without a period.
fn assert_style(text: &str) {
    let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    assert!(!sentence.ends_with('.'), "{sentence}");
    assert!(!sentence.contains("failed to"), "{sentence}");
    assert!(!sentence.starts_with(|c: char| c.is_uppercase()), "{sentence}");
}

/// All texts, one after the other.
fn all(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().collect();
    for text in &texts {
        assert_style(text);
    }
    texts.join("\n")
}
