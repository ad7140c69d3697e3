//! The search within `effort = "thorough"`: which settings predict differences between models best.
//!
//! One setting after the other is moved up and down from where it is. A move is kept where the error on prompts held
//! out falls by more than one standard error of the difference, paired over prompts: settings that are as good as the
//! defaults leave the defaults. The error is centred within the prompt, for routing lives on differences between models.

use pointsman::artifact::Document;
use serde::Serialize;

use crate::crossfit::{self, CrossFit, Labels, Pricing};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::recipe::{Recipe, RecipeSettings};
use crate::rehearsal::Rehearsal;

/// A move is kept where the error falls by more standard errors of the difference than this.
const LEAST_EVIDENCE: f64 = 1.0;

/// Settings that are tried, each move by itself.
const MOVES: [Move; 10] = [
    Move { setting: "outcome_ridge", change: |s| s.outcome_ridge *= 0.3 },
    Move { setting: "outcome_ridge", change: |s| s.outcome_ridge *= 3.0 },
    Move { setting: "task_ridge", change: |s| s.task_ridge *= 0.3 },
    Move { setting: "task_ridge", change: |s| s.task_ridge *= 3.0 },
    Move { setting: "surface_weight", change: |s| s.surface_weight *= 0.5 },
    Move { setting: "surface_weight", change: |s| s.surface_weight *= 2.0 },
    Move { setting: "leaf", change: |s| s.leaf = (s.leaf / 2).max(2) },
    Move { setting: "leaf", change: |s| s.leaf *= 2 },
    Move { setting: "depth", change: |s| s.depth = s.depth.saturating_sub(2).max(1) },
    Move { setting: "depth", change: |s| s.depth += 4 },
];

/// How many configurations a search fits.
pub(crate) const CONFIGURATIONS: u64 = MOVES.len() as u64 + 1;

struct Move {
    setting: &'static str,
    change: fn(&mut RecipeSettings),
}

/// One configuration that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// The setting moved, as the recipe calls it; `defaults` for where the search starts.
    pub setting: String,
    /// What it was moved to.
    pub value: f64,
    /// Mean squared error on prompts held out, centred within the prompt.
    pub error: f64,
    /// What that is above the best so far, and the standard error of it; both 0 at the start.
    pub difference: f64,
    /// See `difference`.
    pub standard_error: f64,
    /// Whether it was kept.
    pub kept: bool,
}

/// Searches from `recipe`; returns the settings kept and everything tried, in order.
pub(crate) fn run(
    data: &Dataset,
    labels: &Labels,
    pricing: &Pricing<'_>,
    recipe: &Recipe,
    draft: &dyn Fn(&CrossFit) -> Document,
    progress: &(dyn Fn() + Sync),
) -> Result<(Recipe, Vec<Tried>), Error> {
    let errors = |recipe: &Recipe| -> Result<Vec<f64>, Error> {
        let cross = crossfit::run(data, labels, pricing, &recipe.for_search(), &|| ())?;
        let errors = Rehearsal::new(data, &draft(&cross), &cross.parts).centred_errors();
        progress();
        Ok(errors)
    };
    let mut best = recipe.clone();
    let mut least = errors(&best)?;
    let start = Tried {
        setting: "defaults".to_owned(),
        value: 0.0,
        error: mean(&least),
        difference: 0.0,
        standard_error: 0.0,
        kept: true,
    };
    let mut tried = vec![start];
    for candidate in &MOVES {
        let mut settings = best.settings().clone();
        (candidate.change)(&mut settings);
        let value = value_of(&settings, candidate.setting);
        // A setting at the end of its domain has nowhere to go.
        let Ok(moved) = settings.validate() else { continue };
        let moved = moved.with_base(recipe.base().cloned());
        if moved == best {
            continue;
        }
        let found = errors(&moved)?;
        let (difference, standard_error) = paired(&found, &least);
        let kept = difference < -LEAST_EVIDENCE * standard_error;
        tried.push(Tried {
            setting: candidate.setting.to_owned(),
            value,
            error: mean(&found),
            difference,
            standard_error,
            kept,
        });
        if kept {
            (best, least) = (moved, found);
        }
    }
    Ok((best, tried))
}

fn value_of(settings: &RecipeSettings, name: &str) -> f64 {
    let json = serde_json::to_value(settings).unwrap_or_default();
    json.get(name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN)
}

fn mean(errors: &[f64]) -> f64 {
    let (sum, n) = errors.iter().filter(|e| e.is_finite()).fold((0.0, 0.0), |(sum, n), e| (sum + e, n + 1.0));
    sum / n
}

/// Mean of `a − b` and its standard error; not a number where fewer than two prompts count.
fn paired(a: &[f64], b: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).filter(|d| d.is_finite()).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_paired_over_the_prompts_that_count() {
        let (difference, error) = paired(&[1.0, 2.0, f64::NAN, 5.0], &[0.0, 2.0, 1.0, 3.0]);
        assert!((difference - 1.0).abs() < 1e-12);
        assert!((error - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{error}");
    }

    #[test]
    fn every_move_is_of_a_setting_and_valid_from_the_defaults() {
        let defaults = RecipeSettings::default();
        for candidate in &MOVES {
            let mut settings = defaults.clone();
            (candidate.change)(&mut settings);
            let moved = (value_of(&settings, candidate.setting) - value_of(&defaults, candidate.setting)).abs();
            assert!(moved > 0.0, "{}", candidate.setting);
            assert!(settings.validate().is_ok(), "{}", candidate.setting);
        }
    }
}
