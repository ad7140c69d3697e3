//! The configuration's texts of late: what runs, and what to go back to.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::form::Form;

/// Texts that are remembered, the one in use among them: a guess at how far back a person goes.
const MOST: usize = 16;

/// Sections that are read at the start alone, and the keys of these that are not.
const AT_START: [&str; 5] = ["server", "sessions", "log", "state", "traces"];
const AT_ONCE: [&str; 1] = ["server.admin_key_sha256"];

/// How a text came into use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConfigOrigin)]
pub(crate) enum Origin {
    /// It was there at the start.
    Start,
    /// A reload found it in the file.
    Reload,
    /// The admin plane took it.
    Put,
    /// The admin plane went back to it.
    Rollback,
}

/// A text that was in use.
#[derive(Debug)]
pub(crate) struct Text {
    /// The first configuration of this text.
    pub(crate) version: u64,
    /// Its SHA-256 in hex.
    pub(crate) etag: String,
    /// When it came into use, in microseconds since 1970.
    pub(crate) at_us: i64,
    pub(crate) from: Origin,
    pub(crate) content: String,
    /// Version of the text that it took the place of; of one gone back to, what it had taken the place of then.
    before: Option<u64>,
}

/// The texts, the one in use last. Empty where there is no file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    all: Vec<Arc<Text>>,
    started: Option<Arc<Text>>,
}

/// Keys that a text changes, as `section.key`, or `section` where it is a list.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Changes {
    /// Keys that are in use as soon as the text is.
    pub(crate) at_once: Vec<String>,
    /// Keys that wait for the next start.
    pub(crate) at_start: Vec<String>,
}

impl Texts {
    /// With this text in use, from this version on. One that is already in use stays what it is.
    pub(crate) fn with(&self, text: String, version: u64, from: Origin, at_us: i64) -> Self {
        let active = self.active();
        if active.is_some_and(|active| active.content == text) {
            return self.clone();
        }
        let gone_back_to = (from == Origin::Rollback).then(|| self.before()).flatten();
        let before = match gone_back_to {
            Some(former) => former.before,
            None => active.map(|active| active.version),
        };
        let text = Arc::new(Text { version, etag: tag(&text), at_us, from, content: text, before });
        let mut all = self.all.clone();
        all.push(Arc::clone(&text));
        all.drain(..all.len().saturating_sub(MOST));
        Self { all, started: self.started.clone().or(Some(text)) }
    }

    /// The text in use.
    pub(crate) fn active(&self) -> Option<&Text> {
        self.all.last().map(|text| &**text)
    }

    /// The text to go back to.
    pub(crate) fn before(&self) -> Option<&Text> {
        let version = self.active()?.before?;
        self.all.iter().find(|text| text.version == version).map(|text| &**text)
    }

    /// All of them, the first one first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Text> {
        self.all.iter().map(|text| &**text)
    }

    /// What another text would change. Keys are told apart by their values, not by how these are written.
    pub(crate) fn changes(&self, text: &str, form: Form) -> Changes {
        let keys = |before: Option<&Text>, waits: bool| {
            let keys = changed(form, before.map_or("", |before| &before.content), text);
            keys.into_iter().filter(|key| waits_for_a_start(key) == waits).collect()
        };
        Changes { at_once: keys(self.active(), false), at_start: keys(self.started.as_deref(), true) }
    }
}

/// The `ETag` of a text, without the quotes.
pub(crate) fn tag(text: &str) -> String {
    pointsman::artifact::identity(text.as_bytes())
}

fn waits_for_a_start(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    AT_START.contains(&section) && !AT_ONCE.contains(&key)
}

/// Keys whose values two texts do not share, sorted. A text that is not of this form has none.
fn changed(form: Form, before: &str, after: &str) -> Vec<String> {
    let (before, after) = (form.values(before), form.values(after));
    let (before, after) = (flat(&before), flat(&after));
    let mut keys: Vec<String> = before
        .iter()
        .filter(|entry| !after.contains(entry))
        .chain(after.iter().filter(|entry| !before.contains(entry)))
        .map(|(key, _)| key.clone())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

fn flat(table: &toml::Table) -> Vec<(String, &toml::Value)> {
    let mut keys = Vec::new();
    for (section, value) in table {
        match value.as_table() {
            Some(table) => keys.extend(table.iter().map(|(key, value)| (format!("{section}.{key}"), value))),
            None => keys.push((section.clone(), value)),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(texts: &Texts) -> Vec<u64> {
        texts.iter().map(|text| text.version).collect()
    }

    #[test]
    fn going_back_twice_goes_back_two_texts() {
        let mut texts = Texts::default();
        for (version, text) in [(1, "a"), (2, "b"), (3, "c")] {
            texts = texts.with(text.into(), version, Origin::Put, 0);
        }
        for (version, expected) in [(4, "b"), (5, "a")] {
            let before = texts.before().expect("there is one").content.clone();
            assert_eq!(before, expected);
            texts = texts.with(before, version, Origin::Rollback, 0);
        }
        assert!(texts.before().is_none());
        assert_eq!(versions(&texts), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_same_text_is_remembered_once_and_the_oldest_goes() {
        let texts = Texts::default().with("a".into(), 1, Origin::Start, 0).with("a".into(), 2, Origin::Reload, 0);
        assert_eq!(versions(&texts), [1]);
        let many = (2..40).fold(texts, |texts, i| texts.with(i.to_string(), i, Origin::Put, 0));
        assert_eq!(versions(&many), (24..40).collect::<Vec<_>>());
    }

    #[test]
    fn what_waits_is_told_from_what_does_not() {
        let started = "[server]\nlisten = \"a\"\n[router]\npath = \"r\"\n";
        let texts = Texts::default().with(started.into(), 1, Origin::Start, 0);
        let next = "[server]\nlisten = 'b' # moved\n[router]\npath = 'r'\n[[targets]]\nname = \"t\"\n";
        let changes = texts.changes(next, Form::Toml);
        assert_eq!((changes.at_once, changes.at_start), (vec!["targets".to_owned()], vec!["server.listen".to_owned()]));
        // What waits does so until the start, however often the text changes.
        let changes = texts.with(next.into(), 2, Origin::Put, 0).changes(next, Form::Toml);
        assert_eq!((changes.at_once, changes.at_start), (vec![], vec!["server.listen".to_owned()]));
    }
}
