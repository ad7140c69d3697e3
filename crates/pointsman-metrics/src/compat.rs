//! Numbers as public implementations compute them, quirks included.
//!
//! Use these to compare with published figures, the strict forms for everything else. Each module names the code
//! it follows; what could not be followed is marked `DIFFERENCE`. `tests/conformance` holds them against recorded runs of
//! that code.

pub mod carrot;
pub mod embedllm;
pub mod llmrouterbench;
pub mod routellm;
pub mod routerarena;
pub mod routerbench;
pub mod routereval;

use crate::error::{MetricsError, check_finite, check_length};

/// Checks two `[n, n_models]` arrays of the same shape.
fn check_matrices(predicted: &[f64], observed: &[f64], n_models: usize) -> Result<(), MetricsError> {
    if n_models == 0 {
        return Err(MetricsError::Empty { what: "models" });
    }
    check_finite("prediction", predicted)?;
    check_finite("outcome", observed)?;
    check_length("prediction", predicted.len(), predicted.len().div_ceil(n_models) * n_models)?;
    check_length("outcome", observed.len(), predicted.len())
}

/// Position of the greatest value, the first of equals.
fn first_greatest(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, m| if row[m] > row[best] { m } else { best })
}
