//! The tree of what the parser finds, a list or a mapping at a time.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Levels of lists and mappings: a guess at several times what a configuration needs. Whatever walks a tree recurses so often.
const DEEPEST: usize = 32;

/// Most that aliases may add to a text, in bytes, with [`NODE`] for each value: a guess at far more than people repeat.
const MOST_REPEATED: usize = 1 << 20;
const NODE: usize = 64;

/// What is wrong with a text that is something else.
const NO_SECTIONS: &str = "expected sections by name";

/// A list or a mapping that has not ended.
struct Open<'i> {
    offset: usize,
    /// The anchor's number, 0 for none.
    anchor: usize,
    node: Node<'i>,
}

enum Node<'i> {
    List(DeArray<'i>),
    /// With the key whose value comes next.
    Mapping(DeTable<'i>, Option<Spanned<Cow<'i, str>>>),
}

/// What an alias stands for.
struct Anchored<'i> {
    value: Spanned<DeValue<'i>>,
    size: Size,
}

/// Lists and mappings one in another, and what a copy weighs.
#[derive(Clone, Copy, Default)]
struct Size {
    levels: usize,
    weight: usize,
}

/// A tree that has not ended.
pub(super) struct Builder<'i> {
    text: &'i str,
    open: Vec<Open<'i>>,
    root: Option<Spanned<DeTable<'i>>>,
    documents: usize,
    anchored: HashMap<usize, Anchored<'i>>,
    repeated: usize,
}

impl<'i> Builder<'i> {
    pub(super) fn new(text: &'i str) -> Self {
        Self { text, open: Vec::new(), root: None, documents: 0, anchored: HashMap::new(), repeated: 0 }
    }

    /// Takes what comes next, of the text from `offset` to `end`.
    pub(super) fn take(&mut self, event: Event<'i>, offset: usize, end: usize) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err("expected one document, got a second one".into()) } else { Ok(()) }
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                let tag: String = tag.to_string().chars().take(40).collect();
                Err(format!("tag `{tag}` is not read; what is text is put into quotes"))
            }
            Event::Scalar(text, style, anchor, None) => {
                if let Some(key) = self.next_key() {
                    *key = Some(at(offset, text));
                    return self.is_new_key();
                }
                self.place(at(offset, self.scalar(text, style, end)?), anchor)
            }
            Event::SequenceStart(anchor, None) => self.open(offset, anchor, Node::List(DeArray::new())),
            Event::MappingStart(anchor, None) => self.open(offset, anchor, Node::Mapping(DeTable::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { offset, anchor, node } = self.open.pop().expect("the parser pairs what begins and ends");
                let value = match node {
                    Node::List(list) => DeValue::Array(list),
                    Node::Mapping(table, _) => DeValue::Table(table),
                };
                self.place(at(offset, value), anchor)
            }
            Event::Alias(anchor) => self.repeat(anchor),
        }
    }

    /// The tree, which is empty where the text is.
    pub(super) fn end(self) -> Spanned<DeTable<'i>> {
        self.root.unwrap_or_else(|| at(0, DeTable::new()))
    }

    /// Where the next value is a key, its place.
    fn next_key(&mut self) -> Option<&mut Option<Spanned<Cow<'i, str>>>> {
        match &mut self.open.last_mut()?.node {
            Node::Mapping(_, key @ None) => Some(key),
            Node::Mapping(..) | Node::List(_) => None,
        }
    }

    fn is_new_key(&self) -> Result<(), String> {
        match self.open.last().map(|open| &open.node) {
            Some(Node::Mapping(table, Some(key))) if table.contains_key(key.get_ref().as_ref()) => {
                Err(format!("duplicate key `{}`", key.get_ref().chars().take(80).collect::<String>()))
            }
            _ => Ok(()),
        }
    }

    /// What a scalar stands for. Only one without quotes is ever anything but text.
    fn scalar(&self, scalar: Cow<'i, str>, style: ScalarStyle, end: usize) -> Result<DeValue<'i>, String> {
        if style != ScalarStyle::Plain {
            return Ok(DeValue::String(scalar));
        }
        // What is on one line stands in the text as it is, and lives as long as the tree.
        let written = self.text[..end].get(end.saturating_sub(scalar.len())..).filter(|written| *written == scalar);
        Ok(match &*scalar {
            "true" | "True" | "TRUE" => DeValue::Boolean(true),
            "false" | "False" | "FALSE" => DeValue::Boolean(false),
            // A document without content.
            "" if self.open.is_empty() => DeValue::Table(DeTable::new()),
            "" | "~" | "null" | "Null" | "NULL" => {
                return Err("expected a value, got none; a key that is left out has its default".into());
            }
            _ => written.and_then(number).unwrap_or(DeValue::String(scalar)),
        })
    }

    fn open(&mut self, offset: usize, anchor: usize, node: Node<'i>) -> Result<(), String> {
        if self.next_key().is_some() {
            return Err("expected a key of text, got a list or a mapping".into());
        }
        if self.open.is_empty() && matches!(node, Node::List(_)) {
            return Err(NO_SECTIONS.into());
        }
        self.may_hold(1)?;
        self.open.push(Open { offset, anchor, node });
        Ok(())
    }

    /// Whether that many levels fit here.
    fn may_hold(&self, levels: usize) -> Result<(), String> {
        let deep = self.open.len() + levels;
        if deep > DEEPEST { Err(format!("expected at most {DEEPEST} levels of lists and mappings")) } else { Ok(()) }
    }

    fn repeat(&mut self, anchor: usize) -> Result<(), String> {
        if self.next_key().is_some() {
            return Err("expected a key of text, got an alias".into());
        }
        let Some(Anchored { value, size }) = self.anchored.get(&anchor) else {
            return Err("an alias stands within what it stands for".into());
        };
        let (value, size) = (value.clone(), *size);
        self.may_hold(size.levels)?;
        self.weigh(size.weight)?;
        self.place(value, 0)
    }

    /// Counts a copy before it is made.
    fn weigh(&mut self, weight: usize) -> Result<(), String> {
        self.repeated += weight;
        if self.repeated > MOST_REPEATED {
            return Err(format!("aliases repeat more than {} KiB", MOST_REPEATED >> 10));
        }
        Ok(())
    }

    /// Puts a value that has ended where it belongs.
    fn place(&mut self, value: Spanned<DeValue<'i>>, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let size = size(value.get_ref());
            self.weigh(size.weight)?;
            self.anchored.insert(anchor, Anchored { value: value.clone(), size });
        }
        match self.open.last_mut().map(|open| &mut open.node) {
            None => {
                let offset = value.span().start;
                let DeValue::Table(table) = value.into_inner() else { return Err(NO_SECTIONS.into()) };
                self.root = Some(at(offset, table));
            }
            Some(Node::List(list)) => list.push(value),
            Some(Node::Mapping(table, key)) => {
                let key = key.take().expect("a value follows its key");
                table.insert(key, value);
            }
        }
        Ok(())
    }
}

fn size(value: &DeValue<'_>) -> Size {
    let within = |size: Size, levels: usize, weight: usize| Size {
        levels: size.levels.max(levels + 1),
        weight: size.weight + weight,
    };
    let begin = |levels| Size { levels, weight: NODE };
    match value {
        DeValue::String(text) => Size { levels: 0, weight: NODE + text.len() },
        DeValue::Array(list) => list
            .iter()
            .map(|value| size(value.get_ref()))
            .fold(begin(1), |sum, value| within(sum, value.levels, value.weight)),
        DeValue::Table(table) => table.iter().fold(begin(1), |sum, (key, value)| {
            let value = size(value.get_ref());
            within(sum, value.levels, value.weight + key.get_ref().len())
        }),
        _ => begin(0),
    }
}

/// A number as TOML writes it. What looks like one and does not fit 64 bits, as a digest may, is none.
fn number(text: &str) -> Option<DeValue<'_>> {
    if !text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let value = DeValue::parse(text).ok()?.into_inner();
    let fits = match &value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).is_ok(),
        DeValue::Float(float) => float.as_str().parse().is_ok_and(f64::is_finite),
        _ => false,
    };
    fits.then_some(value)
}

/// A value, and where it begins.
fn at<T>(offset: usize, value: T) -> Spanned<T> {
    Spanned::new(offset..offset, value)
}
