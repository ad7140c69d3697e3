//! CARROT: its sweep of λ over predicted quality and predicted cost.
//!
//! # References
//!
//! Somerstep et al., *CARROT: A Cost Aware Rate Optimal Router*, 2025, arXiv:2502.03261; code: `route` in
//! `carrot/utils.py` at <https://github.com/somerstep/CARROT/tree/2d47d1fd4e7870d095fcd3b4f8aa87185b5d8e3d>.

use crate::deferral::Point;
use crate::error::{MetricsError, check_finite, check_length};

/// Settings of λ: 0, 0.001, … 1.
pub const SETTINGS: u16 = 1_001;

/// Mean cost and quality at each λ, `[SETTINGS]`: every query goes to the first model of greatest
/// (1 − λ)·predicted quality − λ·predicted cost.
///
/// All arrays are `[n, n_models]`, row-major. λ weighs a cost in whatever unit it is given against a quality, so the
/// same predictions in cents give another curve; the original multiplies costs by 100 for its plots. The strict form
/// ([`DeferralCurve`](crate::DeferralCurve)) has λ in USD per unit of quality and does not depend on the unit.
///
/// # Errors
///
/// If lengths differ, nothing is given, or a value is not finite.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::{Point, compat::carrot::sweep};
///
/// let curve = sweep(&[0.4, 0.9], &[0.1, 0.5], &[1.0, 5.0], &[0.0, 1.0], 2)?;
/// assert_eq!(curve[0], Point::new(5.0, 1.0)); // λ = 0: quality alone
/// assert_eq!(curve[1_000], Point::new(1.0, 0.0)); // λ = 1: cost alone
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
pub fn sweep(
    predicted_quality: &[f64],
    predicted_cost: &[f64],
    cost: &[f64],
    quality: &[f64],
    n_models: usize,
) -> Result<Vec<Point>, MetricsError> {
    let arrays = [
        ("predicted quality", predicted_quality),
        ("predicted cost", predicted_cost),
        ("cost", cost),
        ("quality", quality),
    ];
    if n_models == 0 {
        return Err(MetricsError::Empty { what: "models" });
    }
    for (what, values) in arrays {
        check_length(what, values.len(), predicted_quality.len().div_ceil(n_models) * n_models)?;
        check_finite(what, values)?;
    }
    let n = predicted_quality.len() / n_models;
    let point = |setting: u16| {
        let lambda = f64::from(setting) * 0.001;
        let (mut total_cost, mut total_quality) = (0.0, 0.0);
        for row in 0..n {
            let cells = row * n_models..(row + 1) * n_models;
            let mut best = (cells.start, f64::NEG_INFINITY);
            for cell in cells {
                let utility = (1.0 - lambda) * predicted_quality[cell] - lambda * predicted_cost[cell];
                if utility > best.1 {
                    best = (cell, utility);
                }
            }
            total_cost += cost[best.0];
            total_quality += quality[best.0];
        }
        Point::new(total_cost / n as f64, total_quality / n as f64)
    };
    Ok((0..SETTINGS).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_model() {
        let curve = sweep(&[0.5, 0.5], &[0.2, 0.2], &[1.0, 2.0], &[0.0, 1.0], 2).expect("valid");
        assert!(curve.iter().all(|p| *p == Point::new(1.0, 0.0)));
    }

    #[test]
    fn the_unit_of_cost_changes_the_curve() {
        let usd = sweep(&[0.4, 0.9], &[0.001, 0.005], &[1.0, 5.0], &[0.0, 1.0], 2).expect("valid");
        let cents = sweep(&[0.4, 0.9], &[0.1, 0.5], &[1.0, 5.0], &[0.0, 1.0], 2).expect("valid");
        assert_ne!(usd, cents);
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors() {
        assert!(sweep(&[], &[], &[], &[], 2).is_err());
        assert!(sweep(&[0.1; 3], &[0.1; 3], &[0.1; 3], &[0.1; 3], 2).is_err());
        assert!(sweep(&[0.1; 2], &[0.1], &[0.1; 2], &[0.1; 2], 2).is_err());
        assert!(sweep(&[0.1; 2], &[f64::NAN; 2], &[0.1; 2], &[0.1; 2], 2).is_err());
        assert!(sweep(&[0.1; 2], &[0.1; 2], &[0.1; 2], &[0.1; 2], 0).is_err());
    }
}
