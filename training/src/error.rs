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
    /// A model to be added or renamed to is already there.
    #[error("model `{model}` is already in the router")]
    ModelTaken {
        /// Its name.
        model: String,
    },
    /// A model to be retired, renamed or counted is not in the router.
    #[error("model `{model}` is not in the router, which knows {}", known.join(", "))]
    UnknownModel {
        /// The name asked for.
        model: String,
        /// The router's models.
        known: Vec<String>,
    },
    /// Every model would be retired.
    #[error("no model would be left in the router")]
    NoModelLeft,
    /// The log has no outcome of the model to be learned.
    #[error("model `{model}` is not in the log, which has {}", found.join(", "))]
    NotInLog {
        /// The name asked for.
        model: String,
        /// The log's models.
        found: Vec<String>,
    },
    /// Too few outcomes of the model to be learned.
    #[error("model `{model}`: expected at least {expected} outcomes in the log's train split, got {got}")]
    TooFewLabels {
        /// Its name.
        model: String,
        /// The least number.
        expected: usize,
        /// The number found.
        got: usize,
    },
    /// Nothing is known of the cost of the model to be learned, while the router weighs costs.
    #[error("model `{model}`: the log has no cost of it, and there is no price, but the router weighs costs")]
    NoCost {
        /// Its name.
        model: String,
    },
    /// A target of calibration cannot be read.
    #[error("target `{target}`: expected {expected}, got `{got}`")]
    BadTarget {
        /// The target.
        target: String,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        got: String,
    },
    /// A target that needs costs, of a router that knows none.
    #[error("target `{target}`: the router was trained without costs")]
    NoCosts {
        /// The target.
        target: String,
    },
    /// No setting meets the target.
    #[error("target `{target}`: no setting reaches it, the closest is {closest}")]
    Unreachable {
        /// The target.
        target: String,
        /// The nearest that can be had.
        closest: String,
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
            Self::BadTarget { .. } => Some(
                "the forms are quality>=AMOUNT, cost<=AMOUNT, share<=NUMBER and share(MODEL)<=NUMBER; AMOUNT is a NUMBER, or \
                 NUMBER*best for that part of the best single model's; a NUMBER may end in %",
            ),
            Self::NoCosts { .. } => Some("train on a log with costs, or with `--prices`"),
            Self::NoCost { .. } => Some("give its list price with `--prices`"),
            Self::TooFewLabels { .. } => Some(
                "rows of other splits do not count; a log without a `split` column is split by a hash of the text, 80 to 20",
            ),
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
