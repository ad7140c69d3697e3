//! What can go wrong in training.

/// What this crate reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too little to learn from.
    #[error("training needs at least {expected} {what} in the train split, got {got}")]
    TooFew {
        /// `prompts`, `models` or the like.
        what: &'static str,
        /// The least number.
        expected: usize,
        /// The number found.
        got: usize,
    },
    /// The recipe is not valid TOML of the known keys.
    #[error("recipe: not valid")]
    RecipeSyntax(#[source] toml::de::Error),
    /// A setting is outside its domain.
    #[error("recipe: `{field}` expected {expected}, got {got}")]
    BadRecipe {
        /// The setting.
        field: &'static str,
        /// Its domain.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// A prompt of the log cannot be read as a conversation.
    #[error("prompt `{prompt_id}`: not a conversation")]
    Prompt {
        /// The prompt.
        prompt_id: String,
        /// Why.
        source: pointsman::Error,
    },
    /// The tensor library refused an operation: a defect of ours.
    #[error("fitting the {stage}")]
    Tensor {
        /// What was being fitted.
        stage: &'static str,
        /// What it said.
        source: candle_core::Error,
    },
    /// Clustering failed.
    #[error("clustering the prompts: {0}")]
    Clustering(String),
    /// A system of equations could not be solved: a defect of ours, since every one is regularised.
    #[error("solving for the {stage}")]
    Singular {
        /// What was being fitted.
        stage: &'static str,
        /// What the solver said.
        source: linfa_linalg::LinalgError,
    },
    /// The artifact does not pass its own validation: a defect of ours.
    #[error("the trained router is not valid")]
    Artifact(#[source] pointsman::Error),
    /// A metric could not be computed: a defect of ours.
    #[error("measuring the trained router")]
    Metrics(#[source] pointsman_metrics::MetricsError),
}

impl Error {
    /// What to do about it, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooFew { what: "prompts", .. } => {
                Some("add outcomes, or check `--task`, `--models` and the `split` column")
            }
            Self::TooFew { .. } => Some(
                "a router chooses from two models or more; those with fewer than 10 outcomes do not count, nor those \
                 without a cost where others have one: see `pointsman inspect` and `--prices`",
            ),
            _ => None,
        }
    }
}

/// Names the stage of a tensor error.
pub(crate) fn tensor(stage: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |source| Error::Tensor { stage, source }
}
