//! The settings of a training run: raw from TOML and flags, validated once.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Above this many prompts three folds do: what a fold leaves out is no longer missed.
const MANY_PROMPTS: usize = 200_000;

/// Prompts that one fit goes through at most, in all epochs together: a pass over a million prompts teaches what ten
/// passes over a tenth of them do. A guess; logs of up to 200,000 prompts do not notice it.
const MOST_VISITS: usize = 2_500_000;

/// How much work to put into a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Three folds, half the epochs: for trying things out.
    Quick,
    /// Five folds.
    #[default]
    Standard,
    /// Ten folds, twice the epochs.
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

/// Raw settings: every field has a documented default, unknown keys are refused.
///
/// The defaults are a first setting, not the result of a search (see `training/README.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecipeSettings {
    /// How much work to do; scales folds and epochs.
    pub effort: Effort,
    /// Seed of everything random.
    pub seed: u64,
    /// The lexical table has 2 to this power rows, 8 to 20.
    pub bucket_bits: u32,
    /// Width of the lexical embedding, 4 to 256.
    pub embedding: usize,
    /// Passes over the prompts when fitting the lexical encoder, 1 to 200.
    pub encoder_epochs: usize,
    /// Weight of the outcome loss beside the task loss in the encoder, 0 to 100.
    pub outcome_weight: f64,
    /// Share of words hidden in every step, which keeps the encoder from leaning on single words; 0 to 0.9.
    pub word_dropout: f64,
    /// Step size of the lexical table, above 0.
    pub table_rate: f64,
    /// Hidden units of the level model, 1 to 1024.
    pub hidden: usize,
    /// Passes over the prompts when fitting the level model, 1 to 200.
    pub level_epochs: usize,
    /// Clusters that stand in for tasks where the log has no labels, 2 to 256.
    pub clusters: usize,
}

impl Default for RecipeSettings {
    fn default() -> Self {
        Self {
            effort: Effort::Standard,
            seed: 0,
            bucket_bits: 16,
            embedding: 32,
            encoder_epochs: 12,
            outcome_weight: 1.0,
            word_dropout: 0.3,
            table_rate: 0.1,
            hidden: 24,
            level_epochs: 20,
            clusters: 16,
        }
    }
}

/// Validated settings; the only thing that can fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    settings: RecipeSettings,
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
        let Self { bucket_bits, embedding, hidden, clusters, encoder_epochs, level_epochs, .. } = self;
        check((8..=20).contains(&bucket_bits), "bucket_bits", "8 to 20", bucket_bits.to_string())?;
        check((4..=256).contains(&embedding), "embedding", "4 to 256", embedding.to_string())?;
        check((1..=1024).contains(&hidden), "hidden", "1 to 1024", hidden.to_string())?;
        check((2..=256).contains(&clusters), "clusters", "2 to 256", clusters.to_string())?;
        check((1..=200).contains(&encoder_epochs), "encoder_epochs", "1 to 200", encoder_epochs.to_string())?;
        check((1..=200).contains(&level_epochs), "level_epochs", "1 to 200", level_epochs.to_string())?;
        let Self { outcome_weight, word_dropout, table_rate, .. } = self;
        check((0.0..=100.0).contains(&outcome_weight), "outcome_weight", "0 to 100", outcome_weight.to_string())?;
        check((0.0..=0.9).contains(&word_dropout), "word_dropout", "0 to 0.9", word_dropout.to_string())?;
        check(table_rate > 0.0 && table_rate <= 10.0, "table_rate", "above 0, up to 10", table_rate.to_string())?;
        Ok(Recipe { settings: self })
    }
}

impl Recipe {
    /// The settings behind it.
    pub fn settings(&self) -> &RecipeSettings {
        &self.settings
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

    /// Passes over `n` prompts: `base`, scaled by effort, but no more than [`MOST_VISITS`] prompts in all.
    pub(crate) fn epochs(&self, base: usize, n: usize) -> usize {
        let epochs = match self.settings.effort {
            Effort::Quick => base.div_ceil(2),
            Effort::Standard => base,
            Effort::Thorough => base * 2,
        };
        epochs.min(MOST_VISITS.div_ceil(n.max(1)))
    }
}
