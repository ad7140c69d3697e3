//! What a router cost and achieved, per setting and query.

use crate::bootstrap::dot;
use crate::deferral::Point;
use crate::error::{MetricsError, check_finite, check_length};

/// Realised cost and quality of a router at each of its settings, `[n_settings, n_queries]`.
///
/// Deterministic routers come from [`Behaviour::from_choices`]; a router that draws at random enters with its
/// expected values ([`Behaviour::from_mixture`]), so that no luck of the draw is in its figures.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Behaviour, Point};
///
/// // Two queries, two models; one setting that sends the second query to the second model.
/// let cost = [1.0, 10.0, 2.0, 20.0];
/// let quality = [1.0, 1.0, 0.0, 1.0];
/// let behaviour = Behaviour::from_choices(&[0, 1], &cost, &quality, 2)?;
/// assert_eq!(behaviour.means(), vec![Point::new(10.5, 1.0)]);
///
/// // A choice outside the pool is an error.
/// assert!(Behaviour::from_choices(&[0, 2], &cost, &quality, 2).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    n_queries: usize,
    cost: Vec<f64>,
    quality: Vec<f64>,
}

impl Behaviour {
    /// From arrays `[n_settings, n_queries]` of realised cost and quality.
    ///
    /// # Errors
    ///
    /// If `n_queries` is zero, there is no setting, a length is not a multiple of `n_queries`, the lengths
    /// differ, or a value is not finite.
    pub fn new(cost: Vec<f64>, quality: Vec<f64>, n_queries: usize) -> Result<Self, MetricsError> {
        if n_queries == 0 {
            return Err(MetricsError::Empty { what: "queries" });
        }
        check_length("quality", quality.len(), cost.len())?;
        check_length("cost", cost.len(), cost.len().div_ceil(n_queries) * n_queries)?;
        check_finite("cost", &cost)?;
        check_finite("quality", &quality)?;
        Ok(Self { n_queries, cost, quality })
    }

    /// From the model chosen at each setting for each query.
    ///
    /// `choices` is `[n_settings, n_queries]` of model positions; `cost` and `quality` are `[n_queries,
    /// n_models]`.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit together, a choice is not below `n_models`, or a chosen cell is not finite.
    pub fn from_choices(choices: &[u32], cost: &[f64], quality: &[f64], n_models: usize) -> Result<Self, MetricsError> {
        let n_queries = matrix_rows(cost, quality, n_models)?;
        check_length("choices", choices.len(), choices.len().div_ceil(n_queries) * n_queries)?;
        if let Some(position) = choices.iter().position(|&c| c as usize >= n_models) {
            return Err(MetricsError::OutOfRange {
                what: "choice",
                position,
                value: f64::from(choices[position]),
                domain: "[0, n_models)",
            });
        }
        let gather = |matrix: &[f64]| -> Vec<f64> {
            choices
                .chunks_exact(n_queries)
                .flat_map(|setting| setting.iter().enumerate().map(|(i, &m)| matrix[i * n_models + m as usize]))
                .collect()
        };
        Self::new(gather(cost), gather(quality), n_queries)
    }

    /// One setting that gives each model a fixed share of every query, by expected value.
    ///
    /// `shares` are `[n_models]` and sum to one; `cost` and `quality` are `[n_queries, n_models]`.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit together or a value is not finite.
    pub fn from_mixture(shares: &[f64], cost: &[f64], quality: &[f64]) -> Result<Self, MetricsError> {
        let n_queries = matrix_rows(cost, quality, shares.len())?;
        let mix = |matrix: &[f64]| -> Vec<f64> {
            matrix.chunks_exact(shares.len()).map(|row| row.iter().zip(shares).map(|(v, s)| v * s).sum()).collect()
        };
        Self::new(mix(cost), mix(quality), n_queries)
    }

    /// Number of queries n.
    pub fn n_queries(&self) -> usize {
        self.n_queries
    }

    /// Number of settings s.
    pub fn n_settings(&self) -> usize {
        self.cost.len() / self.n_queries
    }

    /// Realised cost per query at a setting, `[n_queries]`.
    ///
    /// # Panics
    ///
    /// If `setting` is not below [`Self::n_settings`].
    pub fn cost(&self, setting: usize) -> &[f64] {
        &self.cost[setting * self.n_queries..][..self.n_queries]
    }

    /// Realised quality per query at a setting, `[n_queries]`.
    ///
    /// # Panics
    ///
    /// If `setting` is not below [`Self::n_settings`].
    pub fn quality(&self, setting: usize) -> &[f64] {
        &self.quality[setting * self.n_queries..][..self.n_queries]
    }

    /// The same router with only the listed settings, in that order.
    ///
    /// # Panics
    ///
    /// If a setting is not below [`Self::n_settings`].
    #[must_use]
    pub fn select(&self, settings: &[usize]) -> Self {
        Self {
            n_queries: self.n_queries,
            cost: settings.iter().flat_map(|&s| self.cost(s)).copied().collect(),
            quality: settings.iter().flat_map(|&s| self.quality(s)).copied().collect(),
        }
    }

    /// Mean cost and quality at each setting, `[n_settings]`.
    pub fn means(&self) -> Vec<Point> {
        let counts = vec![1.0; self.n_queries];
        self.weighted_means(&counts)
    }

    /// Mean cost and quality at each setting where query i counts `counts[i]` times, `[n_settings]`.
    ///
    /// Counts are those of a bootstrap resample, `[n_queries]`, with a positive sum. O(s·n).
    ///
    /// # Panics
    ///
    /// If `counts` has another length than n.
    pub fn weighted_means(&self, counts: &[f64]) -> Vec<Point> {
        assert_eq!(counts.len(), self.n_queries, "one count per query");
        let total: f64 = counts.iter().sum();
        (0..self.n_settings())
            .map(|s| Point::new(dot(self.cost(s), counts) / total, dot(self.quality(s), counts) / total))
            .collect()
    }
}

fn matrix_rows(cost: &[f64], quality: &[f64], n_models: usize) -> Result<usize, MetricsError> {
    if n_models == 0 {
        return Err(MetricsError::Empty { what: "models" });
    }
    if cost.is_empty() {
        return Err(MetricsError::Empty { what: "cost" });
    }
    check_length("quality", quality.len(), cost.len())?;
    check_length("cost", cost.len(), cost.len().div_ceil(n_models) * n_models)?;
    Ok(cost.len() / n_models)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: [f64; 6] = [1.0, 4.0, 2.0, 6.0, 3.0, 8.0];
    const QUALITY: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 0.5, 1.0];

    #[test]
    fn choices_gather_the_chosen_cells() {
        let b = Behaviour::from_choices(&[0, 0, 0, 1, 1, 1, 0, 1, 0], &COST, &QUALITY, 2).expect("valid");
        assert_eq!((b.n_settings(), b.n_queries()), (3, 3));
        assert_eq!(b.cost(2), [1.0, 6.0, 3.0]);
        assert_eq!(b.quality(2), [1.0, 1.0, 0.5]);
        assert_eq!(b.means()[1], Point::new(6.0, 2.0 / 3.0));
    }

    #[test]
    fn mixture_is_the_expected_value() {
        let b = Behaviour::from_mixture(&[0.5, 0.5], &COST, &QUALITY).expect("valid");
        assert_eq!(b.cost(0), [2.5, 4.0, 5.5]);
        assert_eq!(b.quality(0), [0.5, 0.5, 0.75]);
    }

    #[test]
    fn counts_weigh_queries() {
        let b = Behaviour::from_choices(&[0, 0, 0], &COST, &QUALITY, 2).expect("valid");
        assert_eq!(b.weighted_means(&[2.0, 0.0, 1.0]), vec![Point::new(5.0 / 3.0, 2.5 / 3.0)]);
    }

    #[test]
    fn select_keeps_the_order_given() {
        let b = Behaviour::new(vec![1.0, 2.0, 3.0], vec![0.1, 0.2, 0.3], 1).expect("valid");
        let picked = b.select(&[2, 0]);
        assert_eq!(picked.means(), vec![Point::new(3.0, 0.3), Point::new(1.0, 0.1)]);
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors() {
        assert_eq!(Behaviour::new(vec![], vec![], 0), Err(MetricsError::Empty { what: "queries" }));
        assert_eq!(Behaviour::new(vec![], vec![], 2), Err(MetricsError::Empty { what: "cost" }));
        assert!(matches!(
            Behaviour::new(vec![1.0; 3], vec![1.0; 3], 2),
            Err(MetricsError::LengthMismatch { expected: 4, got: 3, .. })
        ));
        assert!(matches!(
            Behaviour::new(vec![1.0; 2], vec![1.0; 4], 2),
            Err(MetricsError::LengthMismatch { what: "quality", .. })
        ));
        assert!(matches!(
            Behaviour::new(vec![1.0], vec![f64::NAN], 1),
            Err(MetricsError::NotFinite { what: "quality", .. })
        ));
        assert_eq!(Behaviour::from_mixture(&[], &COST, &QUALITY), Err(MetricsError::Empty { what: "models" }));
        assert!(Behaviour::from_choices(&[0, 1], &COST, &QUALITY, 2).is_err());
    }
}
