//! What can be wrong with the numbers given to a metric.

use thiserror::Error;

/// Input that no metric can be computed from.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MetricsError {
    /// Two arrays that describe the same queries differ in length.
    #[error("{what}: expected {expected} values, got {got}")]
    LengthMismatch {
        /// Which array.
        what: &'static str,
        /// Length that the other arguments imply.
        expected: usize,
        /// Length found.
        got: usize,
    },
    /// An array that must hold at least one value is empty.
    #[error("{what}: expected at least one value, got none")]
    Empty {
        /// Which array.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error("{what} at position {position}: expected a finite number, got {value}")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// Position in it.
        position: usize,
        /// Value found.
        value: f64,
    },
    /// A value lies outside its domain.
    #[error("{what} at position {position}: expected a value in {domain}, got {value}")]
    OutOfRange {
        /// Which array.
        what: &'static str,
        /// Position in it.
        position: usize,
        /// Value found.
        value: f64,
        /// The domain, as an interval.
        domain: &'static str,
    },
    /// Too few points for a construction that needs inner points.
    #[error("{what}: expected at least {expected} distinct costs, got {got}")]
    TooFewPoints {
        /// Which construction.
        what: &'static str,
        /// Fewest that work.
        expected: usize,
        /// Number found.
        got: usize,
    },
}

/// Checks that `values` has `expected` entries.
pub(crate) fn check_length(what: &'static str, values: usize, expected: usize) -> Result<(), MetricsError> {
    if values == expected { Ok(()) } else { Err(MetricsError::LengthMismatch { what, expected, got: values }) }
}

/// Checks that there is at least one value and that all are finite.
pub(crate) fn check_finite(what: &'static str, values: &[f64]) -> Result<(), MetricsError> {
    if values.is_empty() {
        return Err(MetricsError::Empty { what });
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(position) => Err(MetricsError::NotFinite { what, position, value: values[position] }),
    }
}

/// Checks that there is at least one value and that all are in `[0, 1]`.
pub(crate) fn check_unit_interval(what: &'static str, values: &[f64]) -> Result<(), MetricsError> {
    check_finite(what, values)?;
    match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
        None => Ok(()),
        Some(position) => Err(MetricsError::OutOfRange { what, position, value: values[position], domain: "[0, 1]" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_where_expected_and_got() {
        let texts = [
            (
                MetricsError::LengthMismatch { what: "quality", expected: 3, got: 2 },
                "quality: expected 3 values, got 2",
            ),
            (MetricsError::Empty { what: "score" }, "score: expected at least one value, got none"),
            (
                MetricsError::NotFinite { what: "cost", position: 4, value: f64::NAN },
                "cost at position 4: expected a finite number, got NaN",
            ),
            (
                MetricsError::OutOfRange { what: "prediction", position: 0, value: 1.5, domain: "[0, 1]" },
                "prediction at position 0: expected a value in [0, 1], got 1.5",
            ),
            (
                MetricsError::TooFewPoints { what: "hull", expected: 3, got: 2 },
                "hull: expected at least 3 distinct costs, got 2",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn checks_name_the_first_bad_value() {
        assert_eq!(check_length("x", 2, 2), Ok(()));
        assert_eq!(check_finite("x", &[0.0, 1.0]), Ok(()));
        assert_eq!(check_finite("x", &[]), Err(MetricsError::Empty { what: "x" }));
        assert!(matches!(check_finite("x", &[0.0, f64::INFINITY]), Err(MetricsError::NotFinite { position: 1, .. })));
        assert!(matches!(
            check_unit_interval("x", &[0.0, 1.0, -0.1]),
            Err(MetricsError::OutOfRange { position: 2, .. })
        ));
    }
}
