//! Small dense systems: symmetric, regularised, solved by Cholesky factors.

use linfa_linalg::cholesky::SolveCInplace;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::error::Error;

/// Solves `(A + diag(ridge)) x = b` for a symmetric positive semi-definite `A`.
pub(crate) fn solve(
    mut a: Array2<f64>,
    ridge: &[f64],
    b: Array1<f64>,
    stage: &'static str,
) -> Result<Array1<f64>, Error> {
    add_diagonal(&mut a, ridge);
    let solution = a.solvec_into(b.insert_axis(Axis(1))).map_err(|source| Error::Singular { stage, source })?;
    Ok(solution.remove_axis(Axis(1)))
}

/// Rows that are scaled or copied at a time: what a million rows would take is never held at once.
pub(crate) const BLOCK: usize = 4096;

/// Adds `AᵀB` to `gram`, for `a` and `b` `[rows, width]`.
pub(crate) fn add_gram(gram: &mut Array2<f64>, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
    general_mat_mul(1.0, &a.t(), &b, 1.0, gram);
}

fn add_diagonal(a: &mut Array2<f64>, ridge: &[f64]) {
    for (value, ridge) in a.diag_mut().iter_mut().zip(ridge) {
        *value += ridge;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_regularised_system_is_solved() {
        let x = array![[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]];
        let mut gram = Array2::zeros((2, 2));
        add_gram(&mut gram, x.view(), x.view());
        let moment = x.t().dot(&array![1.0, 3.0, 5.0]);
        let solution = solve(gram, &[0.0, 0.0], moment, "test").expect("a regular system");
        assert!((solution[0] - 1.0).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_singular_system_is_an_error() {
        let singular = array![[1.0, 1.0], [1.0, 1.0]];
        assert!(solve(singular, &[0.0, 0.0], array![1.0, 1.0], "test").is_err());
    }
}
