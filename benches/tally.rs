//! Latencies of many requests, in a size that does not grow with them, so that a soak sees the server's memory and not
//! the generator's.

use std::fmt;
use std::time::Duration;

/// Buckets of latency: every microsecond up to 128, then 64 to each doubling, up to 35 minutes and more.
const BUCKETS: usize = 26 * 64;

/// Latencies, failures, and how long it took.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests per bucket of latency.
    counts: Vec<usize>,
    /// Requests that were not answered as they should be.
    pub failures: usize,
    /// From the first request to the end of the last.
    pub took: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], failures: 0, took: Duration::ZERO }
    }
}

impl Tally {
    /// Notes a request.
    pub fn record(&mut self, latency: Duration) {
        let us = usize::try_from(latency.as_micros()).unwrap_or(usize::MAX);
        let shift = (us.max(1).ilog2() as usize).saturating_sub(6);
        self.counts[(shift * 64 + (us >> shift)).min(BUCKETS - 1)] += 1;
    }

    /// Adds the requests of another one; `took` stays.
    pub fn add(&mut self, other: &Self) {
        for (total, count) in self.counts.iter_mut().zip(&other.counts) {
            *total += count;
        }
        self.failures += other.failures;
    }

    /// Requests.
    pub fn n(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.n() as f64 / self.took.as_secs_f64()
    }

    /// The latency below which this share of the requests stayed, in microseconds, to 1.6 %.
    pub fn quantile_us(&self, share: f64) -> usize {
        let rank = self.n() as f64 * share;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 > rank
        });
        let bucket = bucket.unwrap_or(BUCKETS - 1);
        let shift = (bucket / 64).saturating_sub(1);
        (bucket - shift * 64) << shift
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} requests/s", self.rate())?;
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            write!(f, ", {name} {} µs", self.quantile_us(share))?;
        }
        write!(f, ", {} requests, {} failures", self.n(), self.failures)
    }
}
