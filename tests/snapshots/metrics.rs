//! Errors of `pointsman-metrics`.

use pointsman_metrics::MetricsError;

use crate::{all, declared, shown, variants};

#[test]
fn every_text() {
    let errors = [
        MetricsError::LengthMismatch { what: "quality", expected: 3, got: 2 },
        MetricsError::Empty { what: "score" },
        MetricsError::NotFinite { what: "cost", position: 4, value: f64::NAN },
        MetricsError::OutOfRange { what: "prediction", position: 0, value: 1.5, domain: "[0, 1]" },
        MetricsError::TooFewPoints { what: "hull", expected: 3, got: 2 },
    ];
    assert_eq!(variants(&errors), declared(include_str!("../../crates/pointsman-metrics/src/error.rs")));
    insta::assert_snapshot!("metrics", all(errors.iter().map(|error| shown(error, None))));
}
