//! Identifiers that do not repeat, not even across restarts, and that nobody can guess.

use std::hash::BuildHasher;
#[cfg(not(simulation))]
use std::hash::RandomState as Keyed;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that everybody knows: what is simulated twice is the same twice.
#[cfg(simulation)]
type Keyed = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// A counter under two keyed hashes, whose keys the process draws at its start: 128 bits per identifier.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    keys: [Keyed; 2],
    next: AtomicU64,
}

impl Ids {
    /// A number in `[0, 1)` that nobody can guess, for spreading things in time.
    pub(crate) fn fraction(&self) -> f64 {
        let hash = self.keys[0].hash_one((self.next.fetch_add(1, Ordering::Relaxed), "fraction"));
        (hash >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next identifier.
    pub(crate) fn next(&self, prefix: &str) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:016x}{:016x}", self.keys[0].hash_one(count), self.keys[1].hash_one(count))
    }
}
