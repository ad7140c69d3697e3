//! How far off predicted costs are, on prompts that the predicting part never saw.

use pointsman::artifact::Document;

use crate::rehearsal::Rehearsal;

/// Errors of predicted costs as shares of what was paid; means over the models whose costs are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CostError {
    /// Sum predicted over sum paid, less 1: what a monthly bill is off by.
    pub(crate) bias: f64,
    /// Sum of absolute errors over sum paid: what one call is off by.
    pub(crate) error: f64,
    /// The same for a model's mean cost in place of a prediction.
    pub(crate) error_of_mean: f64,
}

impl CostError {
    /// All NaN where no cost is known.
    pub(crate) fn new(rehearsal: &Rehearsal<'_>, document: &Document) -> Self {
        let mut sums = vec![Sums::default(); document.models.len()];
        rehearsal.for_each_cost(document, |model, predicted, paid| {
            let mean = document.statics[model].cost_usd.unwrap_or(f64::NAN);
            sums[model].add(predicted, paid, mean);
        });
        let mean = |share: fn(&Sums) -> f64| {
            let shares = sums.iter().filter(|sums| sums.paid > 0.0).map(share).filter(|share| share.is_finite());
            let (sum, count) = shares.fold((0.0, 0.0), |(sum, count), share| (sum + share, count + 1.0));
            sum / count
        };
        Self {
            bias: mean(|sums| sums.predicted / sums.paid - 1.0),
            error: mean(|sums| sums.off / sums.paid),
            error_of_mean: mean(|sums| sums.mean_off / sums.paid),
        }
    }
}

/// Of one model, in USD.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    paid: f64,
    predicted: f64,
    off: f64,
    mean_off: f64,
}

impl Sums {
    fn add(&mut self, predicted: f64, paid: f64, mean: f64) {
        self.paid += paid;
        self.predicted += predicted;
        self.off += (predicted - paid).abs();
        self.mean_off += (mean - paid).abs();
    }
}
