//! The list of models, in OpenAI's form.

use serde::Serialize;
use utoipa::ToSchema;

/// What `model` of a request may be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList<'s> {
    /// Always `list`.
    pub(crate) object: &'static str,
    /// The aliases, then the models.
    #[schema(value_type = Vec<Model<'static>>)]
    pub(crate) data: Vec<Model<'s>>,
}

/// A model, or an alias for what the router chooses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct Model<'s> {
    pub(crate) id: &'s str,
    /// Always `model`.
    pub(crate) object: &'static str,
    /// Always 0: nobody knows when a model was created.
    pub(crate) created: u64,
    /// `pointsman` for an alias, `upstream` for a model.
    pub(crate) owned_by: &'static str,
    /// The list price that decisions count with; null where the router predicts costs directly, and for an alias.
    #[schema(required)]
    pub(crate) pricing: Option<Pricing>,
    /// The most tokens that fit into a target of it; null where no limit is known.
    #[schema(required)]
    pub(crate) context_length: Option<u32>,
    /// What its targets can do: `tools`, `vision`, `json`; null where one of them declares nothing, and may do all, or where it has none.
    #[schema(value_type = Option<Vec<String>>, required)]
    pub(crate) capabilities: Option<Vec<&'static str>>,
    /// Regions of its targets.
    #[schema(value_type = Vec<String>)]
    pub(crate) regions: Vec<&'s str>,
    /// What its targets answer: `chat`, `responses`, `messages`, `embeddings`; empty where it has none.
    #[schema(value_type = Vec<String>)]
    pub(crate) endpoints: Vec<&'static str>,
}

impl<'s> Model<'s> {
    /// One of which the router knows nothing.
    pub(crate) fn other(id: &'s str) -> Self {
        Self {
            id,
            object: "model",
            created: 0,
            owned_by: "upstream",
            pricing: None,
            context_length: None,
            capabilities: None,
            regions: Vec::new(),
            endpoints: Vec::new(),
        }
    }
}

/// A list price.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Pricing {
    /// USD per million input tokens.
    pub(crate) input_usd_per_mtok: f64,
    /// USD per million output tokens.
    pub(crate) output_usd_per_mtok: f64,
}
