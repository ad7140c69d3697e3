//! Budgets: what a tenant may spend on a day, counted from midnight UTC.
//!
//! What a request is expected to cost is reserved before it is carried out and settled afterwards, so that requests under way
//! count, too; a reservation is given back however the request ends. Times are given, never read.

use std::sync::{Arc, Mutex, PoisonError};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// What a tenant has spent and reserved; it outlives a reload.
#[derive(Debug, Default)]
pub(crate) struct Account(Mutex<Books>);

#[derive(Clone, Copy, Debug, Default)]
struct Books {
    /// Days since 1970-01-01 UTC.
    day: i64,
    spent_usd: f64,
    reserved_usd: f64,
}

/// A limit on an account.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) limit_usd: f64,
    pub(crate) account: Arc<Account>,
}

/// Money put aside for a request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    account: Arc<Account>,
    usd: f64,
}

impl Account {
    /// One on which so much was spent on the day of `now_us` already.
    pub(crate) fn new(spent_usd: f64, now_us: i64) -> Self {
        Self(Mutex::new(Books { day: now_us / DAY_US, spent_usd, reserved_usd: 0.0 }))
    }

    fn books<R>(&self, now_us: i64, change: impl FnOnce(&mut Books) -> R) -> R {
        // Nothing is left half changed by a panic.
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that is set back a little spends no day twice; one that was far ahead would otherwise have spent all days until it
        // is there again.
        let today = now_us / DAY_US;
        if books.day < today || books.day > today + 1 {
            (books.day, books.spent_usd) = (today, 0.0);
        }
        change(&mut books)
    }
}

impl Budget {
    /// Puts aside what a request is expected to cost; where that is more than is left, the seconds to the next day.
    pub(crate) fn reserve(&self, usd: f64, now_us: i64) -> Result<Reservation, u32> {
        let is_free = self.account.books(now_us, |books| {
            let committed = books.spent_usd + books.reserved_usd;
            let is_free = committed < self.limit_usd && committed + usd <= self.limit_usd;
            if is_free {
                books.reserved_usd += usd;
            }
            is_free
        });
        if is_free {
            return Ok(Reservation { account: Arc::clone(&self.account), usd });
        }
        let left_us = DAY_US - now_us.rem_euclid(DAY_US);
        Err(u32::try_from(left_us / 1_000_000 + 1).unwrap_or(u32::MAX))
    }

    /// What may still be spent today.
    pub(crate) fn left_usd(&self, now_us: i64) -> f64 {
        self.account.books(now_us, |books| (self.limit_usd - books.spent_usd - books.reserved_usd).max(0.0))
    }
}

impl Reservation {
    /// Notes what the request really cost.
    pub(crate) fn settle(self, usd: f64, now_us: i64) {
        self.account.books(now_us, |books| books.spent_usd += usd);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut books = self.account.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.reserved_usd = (books.reserved_usd - self.usd).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit_usd: f64) -> Budget {
        Budget { limit_usd, account: Arc::new(Account::new(0.0, 0)) }
    }

    #[test]
    fn what_is_under_way_counts_and_what_is_not_spent_comes_back() {
        let budget = budget(1.0);
        let first = budget.reserve(0.6, 0).expect("enough is there");
        assert!(budget.reserve(0.6, 0).is_err(), "the first is still under way");
        first.settle(0.1, 0);
        assert!((budget.left_usd(0) - 0.9).abs() < 1e-12, "what was reserved is given back, what was spent is not");
        drop(budget.reserve(0.8, 0).expect("enough is left"));
        assert!((budget.left_usd(0) - 0.9).abs() < 1e-12, "a request that failed costs nothing");
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_keep_a_budget_spent() {
        let budget = Budget { limit_usd: 1.0, account: Arc::new(Account::new(1.0, 400 * DAY_US)) };
        assert!(budget.reserve(0.1, 400 * DAY_US).is_err());
        budget.reserve(0.6, DAY_US).expect("a year earlier it is another day").settle(0.6, DAY_US);
        assert!((budget.left_usd(0) - 0.4).abs() < 1e-12, "set back over midnight no day is spent twice");
    }

    #[test]
    fn a_budget_that_is_spent_is_there_again_the_next_day() {
        let budget = budget(1.0);
        budget.reserve(0.0, 0).expect("nothing is known of its cost").settle(5.0, 0);
        assert_eq!(budget.reserve(0.0, DAY_US - 10_000_000).err(), Some(11), "ten seconds before midnight");
        assert!(budget.reserve(1.0, DAY_US).is_ok());
        let before = Budget { limit_usd: 1.0, account: Arc::new(Account::new(0.95, 0)) };
        assert!(before.reserve(0.1, 0).is_err(), "what was spent before a restart counts");
    }
}
