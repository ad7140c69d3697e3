//! How often a target may be asked a second time: a budget over all requests, so that retries never make a bad time worse.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// What a request adds to the budget, and what a retry takes: one retry for every five requests.
const DEPOSIT: i64 = 1;
const COST: i64 = 5;

/// What may be saved up: ten retries, so that a quiet service may retry at all.
const MOST: i64 = 10 * COST;

/// Rounds over the targets of a request at most.
pub(crate) const ROUNDS: usize = 3;

/// The wait before the second round, doubled before the third; and the longest that a target may ask for.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Retries saved up.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicI64);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicI64::new(MOST))
    }
}

impl RetryBudget {
    /// Notes a request.
    pub(crate) fn deposit(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| Some((saved + DEPOSIT).min(MOST)));
    }

    /// Whether there is a retry to take.
    pub(crate) fn has_one(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= COST
    }

    /// Takes a retry, if there is one.
    pub(crate) fn take(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved >= COST).then_some(saved - COST))
            .is_ok()
    }
}

/// How long to wait before the round after `round` (from 0): what a target asked for, else doubling, with `jitter` in `[0, 1)`
/// spreading it by half; `None` where it asks for too much.
pub(crate) fn wait(round: usize, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
    match asked {
        Some(asked) => (asked <= LONGEST_WAIT).then_some(asked),
        None => Some((FIRST_WAIT * 2_u32.pow(u32::try_from(round).unwrap_or(0).min(8))).mul_f64(0.75 + jitter / 2.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_requests_that_all_fail_a_fifth_is_retried() {
        let budget = RetryBudget::default();
        let retried = (0..10_000).filter(|_| {
            budget.deposit();
            budget.take()
        });
        assert!((2_000..=2_012).contains(&retried.count()));
    }

    #[test]
    fn waits_grow_and_what_is_asked_for_counts_within_reason() {
        assert_eq!(wait(0, None, 0.5), Some(FIRST_WAIT));
        assert_eq!(wait(1, None, 0.5), Some(FIRST_WAIT * 2));
        assert_eq!(wait(0, Some(Duration::from_secs(2)), 0.0), Some(Duration::from_secs(2)));
        assert_eq!(wait(0, Some(Duration::from_mins(1)), 0.0), None);
    }
}
