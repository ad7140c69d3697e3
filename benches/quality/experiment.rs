//! What every experiment is given.

use std::path::PathBuf;

use pointsman_training::Recipe;

use crate::cases::{self, Case};
use crate::options::Options;

/// Parts of a cross-validation: the usual compromise of cost and bias.
const FOLDS: usize = 5;

/// Cases and settings, ready to run on.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) cases: Vec<Case>,
    pub(crate) recipe: Recipe,
    /// Repeats of every cross-validation.
    pub(crate) repeats: u64,
    /// Subsamples behind every point of a curve.
    pub(crate) subsamples: u64,
    /// Whether everything is to be at its smallest.
    pub(crate) is_quick: bool,
    /// Parts of a cross-validation.
    pub(crate) folds: usize,
    /// Folder with other routers' predictions.
    rivals: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        Ok(Self {
            cases: cases::load(options)?,
            recipe: options.recipe()?,
            repeats: options.repeats(),
            subsamples: options.subsamples(),
            is_quick: options.quick,
            folds: if options.quick { 2 } else { FOLDS },
            rivals: options.rivals.clone(),
        })
    }

    /// Files of other routers' predictions for a case: `<case>.<router>.csv`.
    pub(crate) fn rivals(&self, case: &str) -> anyhow::Result<Vec<PathBuf>> {
        crate::test::rivals(self.rivals.as_deref(), case)
    }
}
