//! A limit on tokens per minute: a bucket from which a request takes what it is expected to bring, and at its end what it
//! really was. Answers are not guessed: what is under way may overshoot by them, and the next requests wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::bucket::{Bucket, Quota};
use crate::error::Error;

/// A tenant's limit; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct TokenLimit(Arc<Mutex<Bucket>>);

/// Tokens taken for a request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    limit: TokenLimit,
    tokens: u32,
    /// What was left then.
    pub(crate) quota: Quota,
}

impl TokenLimit {
    /// A full bucket of so many tokens a minute, at least 1.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self(Arc::new(Mutex::new(Bucket::new(per_minute))))
    }

    pub(crate) fn per_minute(&self) -> u32 {
        self.with(|bucket| bucket.limit())
    }

    /// Takes what a request is expected to bring; of one that is larger than the limit, the limit.
    pub(crate) fn take(&self, tokens: u32, now: Instant) -> Result<Held, Error> {
        self.with(|bucket| {
            let tokens = tokens.clamp(1, bucket.limit());
            let quota = bucket.take(tokens, now).map_err(Error::rate_limited)?;
            Ok(Held { limit: self.clone(), tokens, quota })
        })
    }

    /// What is left.
    pub(crate) fn left(&self, now: Instant) -> Option<Quota> {
        self.with(|bucket| bucket.take(0, now)).ok()
    }

    fn with<R>(&self, change: impl FnOnce(&mut Bucket) -> R) -> R {
        // Nothing is left half changed by a panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// Notes what the request really was.
    pub(crate) fn settle(self, tokens: u32, now: Instant) {
        self.limit.with(|bucket| bucket.owe(tokens, now));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.limit.with(|bucket| bucket.give_back(self.tokens));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_expected_is_replaced_by_what_was() {
        let (limit, now) = (TokenLimit::new(100), Instant::now());
        let held = limit.take(10, now).expect("full");
        assert_eq!((held.quota.limit, held.quota.remaining), (100, 90));
        held.settle(40, now);
        assert_eq!(limit.take(10, now).expect("enough").quota.remaining, 50, "and what was taken is given back");
        limit.take(10, now).expect("enough").settle(200, now);
        let error = limit.take(1, now).expect_err("140 too many");
        assert!(matches!(error, Error::RateLimited { retry_after: 85 }), "{error}");
        assert!(limit.take(1, now + Duration::from_secs(85)).is_ok());
    }

    #[test]
    fn what_failed_costs_nothing() {
        let (limit, now) = (TokenLimit::new(100), Instant::now());
        drop(limit.take(50, now).expect("full"));
        limit.take(1, now).expect("full again").settle(1, now);
        assert!(limit.take(1_000, now).is_err(), "one that is larger waits for a full bucket");
        assert!(limit.take(1_000, now + Duration::from_mins(1)).is_ok());
    }
}
