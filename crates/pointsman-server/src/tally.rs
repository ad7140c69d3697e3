//! What the decisions since the start came to: how many, whose, and for how much.

use std::sync::{Mutex, PoisonError};

/// What one decision is expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Expected {
    /// The chosen model, in USD.
    pub(crate) cost_usd: Option<f64>,
    /// The model that is best on average, in USD.
    pub(crate) baseline_usd: Option<f64>,
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) decisions: u64,
    pub(crate) answered: u64,
    /// USD for answers whose baseline is known: by the target's count of tokens where it gave one, else as expected.
    pub(crate) cost_usd: f64,
    /// USD that the model that is best on average was expected to cost for the same answers.
    pub(crate) baseline_usd: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Sums>);

impl Tally {
    pub(crate) fn decided(&self) {
        self.change(|sums| sums.decisions += 1);
    }

    /// A request was answered, for `actual` USD where that is known.
    pub(crate) fn answered(&self, expected: Expected, actual: Option<f64>) {
        self.change(|sums| {
            sums.answered += 1;
            if let (Some(cost), Some(baseline)) = (actual.or(expected.cost_usd), expected.baseline_usd) {
                sums.cost_usd += cost;
                sums.baseline_usd += baseline;
            }
        });
    }

    pub(crate) fn sums(&self) -> Sums {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Sums)) {
        // Nothing is left half changed by a panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
