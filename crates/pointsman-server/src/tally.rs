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
    /// USD that the model that is best on average would have cost for the same answers: as far from what was expected of it as they
    /// were from what was expected of them, so that answers longer than predicted are no saving and no loss.
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
            if let (Some(predicted), Some(baseline)) = (expected.cost_usd, expected.baseline_usd) {
                let cost = actual.unwrap_or(predicted);
                sums.cost_usd += cost;
                sums.baseline_usd += if predicted > 0.0 { baseline * (cost / predicted) } else { baseline };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_model_alone_saves_nothing_however_long_its_answers_are() {
        let tally = Tally::default();
        let same = Expected { cost_usd: Some(0.5), baseline_usd: Some(0.5) };
        for actual in [None, Some(0.25), Some(3.0)] {
            tally.answered(same, actual);
        }
        let Sums { answered, cost_usd, baseline_usd, .. } = tally.sums();
        assert!(answered == 3 && (cost_usd - baseline_usd).abs() < 1e-12, "{cost_usd} {baseline_usd}");
        // One at half its price saves half, be the answer long or short.
        let tally = Tally::default();
        for actual in [Some(0.1), Some(0.9)] {
            tally.answered(Expected { cost_usd: Some(0.25), baseline_usd: Some(0.5) }, actual);
        }
        assert!((tally.sums().cost_usd / tally.sums().baseline_usd - 0.5).abs() < 1e-12);
        // Nothing to compare with.
        tally.answered(Expected { cost_usd: Some(0.25), baseline_usd: None }, Some(9.0));
        assert!(tally.sums().cost_usd < 2.0 && tally.sums().answered == 3);
    }
}
