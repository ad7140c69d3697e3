//! The settings of a training run: raw from TOML and flags, validated once.

use std::sync::Arc;

use pointsman::Embedding;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Above this many prompts three folds do: what a fold leaves out is no longer missed.
const MANY_PROMPTS: usize = 200_000;

/// Steps of the lexical fit times prompts, at most: a step on 200,000 prompts teaches what several on a tenth of them do.
const MOST_VISITS: usize = 8_000_000;

/// Steps of the lexical fit at most; most end sooner, by themselves.
const MOST_STEPS: usize = 50;

/// How much work to put into a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Three folds, half the trees: for trying things out.
    Quick,
    /// Five folds.
    #[default]
    Standard,
    /// A search for settings, then ten folds and twice the trees.
    Thorough,
}

impl std::str::FromStr for Effort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "quick" => Ok(Self::Quick),
            "standard" => Ok(Self::Standard),
            "thorough" => Ok(Self::Thorough),
            _ => Err(Error::BadRecipe { field: "effort", expected: "quick, standard or thorough", got: text.into() }),
        }
    }
}

/// How much a decision may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Everything that makes predictions better.
    #[default]
    Full,
    /// At most 20 trees of depth 6, and a vocabulary of 2^14 slots, which stays in a core's own cache.
    Fast,
}

impl std::str::FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "full" => Ok(Self::Full),
            "fast" => Ok(Self::Fast),
            _ => Err(Error::BadRecipe { field: "profile", expected: "full or fast", got: text.into() }),
        }
    }
}

/// Limits of [`Profile::Fast`]; `training/README.md` says what they cost.
const FAST_TREES: usize = 20;
const FAST_DEPTH: usize = 6;
const FAST_VOCABULARY_BITS: u32 = 14;

/// Raw settings: every field has a documented default, unknown keys are refused.
///
/// Where the defaults come from is told in `training/README.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecipeSettings {
    /// How much work to do; scales folds and trees.
    pub effort: Effort,
    /// How much a decision may cost; `fast` caps trees, depth and vocabulary.
    pub profile: Profile,
    /// Seed of everything random.
    pub seed: u64,
    /// The vocabulary has at most 2 to this power slots, 8 to 20.
    pub vocabulary_bits: u32,
    /// Weight of the surface signals beside the words in the lexical heads, 0 to 10.
    pub surface_weight: f64,
    /// Ridge of the lexical task heads, above 0, against losses summed over prompts.
    pub task_ridge: f64,
    /// Ridge of the lexical outcome heads.
    pub outcome_ridge: f64,
    /// Ridge of the posterior head.
    pub posterior_ridge: f64,
    /// Trees of the forest, 0 to 1000.
    pub trees: usize,
    /// Splits above a leaf at most, 1 to 20.
    pub depth: usize,
    /// Fewest prompts in a leaf, 2 to 1000.
    pub leaf: usize,
    /// Share of prompts to come that are of tasks which the log does not have, 0 to 0.9. More makes the router hold still more
    /// often on prompts that look new.
    pub new_tasks: f64,
    /// Clusters that stand in for tasks where the log has no labels, 2 to 256; 0 for none.
    pub clusters: usize,
}

impl Default for RecipeSettings {
    fn default() -> Self {
        Self {
            effort: Effort::Standard,
            profile: Profile::Full,
            seed: 0,
            vocabulary_bits: 18,
            surface_weight: 0.1,
            task_ridge: 0.1,
            outcome_ridge: 1.0,
            posterior_ridge: 10.0 / 3.0,
            trees: 80,
            depth: 8,
            leaf: 15,
            new_tasks: 0.2,
            clusters: 0,
        }
    }
}

/// Validated settings; the only thing that can fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    settings: RecipeSettings,
    base: Option<Arc<Embedding>>,
}

impl RecipeSettings {
    /// Reads settings from TOML.
    ///
    /// # Errors
    /// [`Error::RecipeSyntax`] with line and column for unknown keys and wrong types.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(Error::RecipeSyntax)
    }

    /// Checks every field against its domain.
    ///
    /// # Errors
    /// [`Error::BadRecipe`] naming the first field outside its domain.
    pub fn validate(self) -> Result<Recipe, Error> {
        let check = |holds: bool, field: &'static str, expected: &'static str, got: String| {
            if holds { Ok(()) } else { Err(Error::BadRecipe { field, expected, got }) }
        };
        let Self { vocabulary_bits, surface_weight, trees, depth, leaf, clusters, .. } = self;
        check((8..=20).contains(&vocabulary_bits), "vocabulary_bits", "8 to 20", vocabulary_bits.to_string())?;
        check((0.0..=10.0).contains(&surface_weight), "surface_weight", "0 to 10", surface_weight.to_string())?;
        check(trees <= 1000, "trees", "0 to 1000", trees.to_string())?;
        check((1..=20).contains(&depth), "depth", "1 to 20", depth.to_string())?;
        check((2..=1000).contains(&leaf), "leaf", "2 to 1000", leaf.to_string())?;
        check(clusters == 0 || (2..=256).contains(&clusters), "clusters", "0, or 2 to 256", clusters.to_string())?;
        check((0.0..=0.9).contains(&self.new_tasks), "new_tasks", "0 to 0.9", self.new_tasks.to_string())?;
        for (field, ridge) in [
            ("task_ridge", self.task_ridge),
            ("outcome_ridge", self.outcome_ridge),
            ("posterior_ridge", self.posterior_ridge),
        ] {
            check(ridge > 0.0 && ridge <= 1e6, field, "above 0, up to 1e6", ridge.to_string())?;
        }
        let settings = match self.profile {
            Profile::Full => self,
            Profile::Fast => Self {
                trees: trees.min(FAST_TREES),
                depth: depth.min(FAST_DEPTH),
                vocabulary_bits: vocabulary_bits.min(FAST_VOCABULARY_BITS),
                ..self
            },
        };
        Ok(Recipe { settings, base: None })
    }
}

impl Recipe {
    /// The settings behind it.
    pub fn settings(&self) -> &RecipeSettings {
        &self.settings
    }

    /// The same with a base embedding, or with none.
    #[must_use]
    pub fn with_base(self, base: Option<Arc<Embedding>>) -> Self {
        Self { base, ..self }
    }

    /// The base embedding that routers get.
    pub fn base(&self) -> Option<&Arc<Embedding>> {
        self.base.as_ref()
    }

    /// Whether to look for better settings first.
    pub(crate) fn searches(&self) -> bool {
        self.settings.effort == Effort::Thorough
    }

    /// The same settings at the effort of one try of a search.
    pub(crate) fn for_search(&self) -> Self {
        Self { settings: RecipeSettings { effort: Effort::Quick, ..self.settings.clone() }, base: self.base.clone() }
    }

    /// Folds of the cross-fitting of `n` prompts.
    pub(crate) fn folds(&self, n: usize) -> usize {
        let folds = match self.settings.effort {
            Effort::Quick => 3,
            Effort::Standard => 5,
            Effort::Thorough => 10,
        };
        if n > MANY_PROMPTS { folds.min(3) } else { folds }
    }

    /// Trees of a forest.
    pub(crate) fn trees(&self) -> usize {
        match self.settings.effort {
            Effort::Quick => self.settings.trees.div_ceil(2),
            Effort::Standard => self.settings.trees,
            Effort::Thorough => self.settings.trees * 2,
        }
    }

    /// Steps of the lexical fit on `n` prompts at most.
    pub(crate) fn steps(n: usize) -> usize {
        MOST_STEPS.min(MOST_VISITS.div_ceil(n.max(1)))
    }
}
