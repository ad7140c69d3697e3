//! How quick targets were over the last five minutes, as gauges: set when they are read.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::targets::quantiles::{PaceNow, SHARES};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimeLabels {
    target: String,
    to: &'static str,
    quantile: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpeedLabels {
    target: String,
    quantile: &'static str,
}

/// The [`SHARES`] as labels.
const QUANTILES: [&str; SHARES.len()] = ["0.5", "0.9", "0.99"];

/// The gauges.
#[derive(Debug, Default)]
pub(super) struct Paces {
    times: Family<TimeLabels, Gauge<f64, AtomicU64>>,
    speeds: Family<SpeedLabels, Gauge<f64, AtomicU64>>,
}

impl Paces {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let paces = Self::default();
        registry.register(
            "target_latency_seconds",
            "Time of a target's calls of the last five minutes, to the first content of a stream or to the end",
            paces.times.clone(),
        );
        registry.register(
            "target_tokens_per_second",
            "Tokens of an answer per second of its call that a share of those of the last five minutes had at least",
            paces.speeds.clone(),
        );
        paces
    }

    /// What there is now; what was not measured is not there.
    pub(super) fn set<'t>(&self, paces: impl Iterator<Item = (&'t str, PaceNow)>) {
        self.times.clear();
        self.speeds.clear();
        for (target, PaceNow { first, whole, speed }) in paces {
            for (at, quantile) in QUANTILES.into_iter().enumerate() {
                let target = || target.to_owned();
                for (to, ms) in [("first_content", first[at]), ("end", whole[at])] {
                    if let Some(ms) = ms {
                        self.times.get_or_create_owned(&TimeLabels { target: target(), to, quantile }).set(ms / 1e3);
                    }
                }
                if let Some(speed) = speed[at] {
                    self.speeds.get_or_create_owned(&SpeedLabels { target: target(), quantile }).set(speed);
                }
            }
        }
    }
}
