//! Prices and abilities of models: what changes without retraining.

use serde::{Deserialize, Serialize};

use crate::artifact::{Document, ListPrice};

/// What is known of the models apart from their quality; the order of entries does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// One entry per model; models without one have no price and no known limits.
    pub entries: Vec<CatalogEntry>,
}

/// One model of a catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// The router's name for the model.
    pub model: String,
    /// List price; `None` for a model whose cost the router predicts in USD directly, or not at all.
    #[serde(default)]
    pub price: Option<ListPrice>,
    /// Longest input it takes, in tokens.
    #[serde(default)]
    pub context_length: Option<u32>,
    /// What it can do; `None` where unknown, which excludes nothing.
    #[serde(default)]
    pub capabilities: Option<Capabilities>,
}

/// What a model can do, or what a request needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Tool (function) calls.
    pub tools: bool,
    /// Images in the conversation.
    pub vision: bool,
    /// Answers in JSON on demand.
    pub json: bool,
}

impl Capabilities {
    /// Whether these cover everything in `needed`.
    pub fn cover(self, needed: Self) -> bool {
        (self.tools || !needed.tools) && (self.vision || !needed.vision) && (self.json || !needed.json)
    }
}

impl Catalog {
    /// The prices an artifact was trained with.
    pub fn of_training(document: &Document) -> Self {
        let entry = |(model, price): (&String, &ListPrice)| CatalogEntry {
            model: model.clone(),
            price: Some(*price),
            context_length: None,
            capabilities: None,
        };
        Self { entries: document.prices.iter().map(entry).collect() }
    }

    /// The entry of a model.
    pub fn get(&self, model: &str) -> Option<&CatalogEntry> {
        self.entries.iter().find(|entry| entry.model == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_must_be_covered() {
        let text_only = Capabilities::default();
        let needs_tools = Capabilities { tools: true, ..Capabilities::default() };
        assert!(text_only.cover(Capabilities::default()));
        assert!(!text_only.cover(needs_tools));
        assert!(needs_tools.cover(needs_tools));
    }
}
