//! A limit on requests or tokens per minute: a bucket that holds a minute's worth and fills evenly. Times are given, never read.

use std::time::{Duration, Instant};

/// What a request or a token is, in units of which the bucket regains `limit` a nanosecond: so nothing is ever rounded.
const ONE: u128 = 60_000_000_000;

/// What may still be taken, as of some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    limit: u32,
    /// What is missing to a full bucket, and since when; more than it holds where more was owed than there was.
    missing: (u128, Option<Instant>),
}

/// What is left after something was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Per minute.
    pub(crate) limit: u32,
    /// What could be taken at once.
    pub(crate) remaining: u32,
    /// Time until the bucket is full again.
    pub(crate) reset: Duration,
}

impl Bucket {
    /// A full one; `limit` is at least 1.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, missing: (0, None) }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes so many, at most the limit; the error is the time until there are that many.
    pub(crate) fn take(&mut self, n: u32, now: Instant) -> Result<Quota, Duration> {
        let limit = u128::from(self.limit);
        let missing = self.missing_now(now) + u128::from(n) * ONE;
        if let Some(over) = missing.checked_sub(limit * ONE).filter(|over| *over > 0) {
            return Err(nanos(over.div_ceil(limit)));
        }
        self.missing = (missing, Some(now));
        let remaining = u32::try_from(limit - missing.div_ceil(ONE)).expect("at most the limit");
        Ok(Quota { limit: self.limit, remaining, reset: nanos(missing.div_ceil(limit)) })
    }

    /// Takes so many, whether there are or not.
    pub(crate) fn owe(&mut self, n: u32, now: Instant) {
        self.missing = (self.missing_now(now) + u128::from(n) * ONE, Some(now));
    }

    /// Puts so many back.
    pub(crate) fn give_back(&mut self, n: u32) {
        self.missing.0 = self.missing.0.saturating_sub(u128::from(n) * ONE);
    }

    fn missing_now(&self, now: Instant) -> u128 {
        let (missing, since) = self.missing;
        let passed = since.map_or(0, |since| now.saturating_duration_since(since).as_nanos());
        missing.saturating_sub(passed * u128::from(self.limit))
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        let start = Instant::now();
        for limit in [1, 3, 7, 60, 600, 1_000_003] {
            let mut bucket = Bucket::new(limit);
            let mut taken = 0;
            while bucket.take(1, start).is_ok() {
                taken += 1;
            }
            assert_eq!(taken, limit);
            let wait = bucket.take(1, start).expect_err("used up");
            assert!(wait <= MINUTE / limit + Duration::from_nanos(1), "{wait:?}");
            assert!(bucket.take(1, start + wait).is_ok() && bucket.take(1, start + wait).is_err());
            // A minute of rest fills it, and no more than that.
            let later = start + 10 * MINUTE;
            assert_eq!((0..=limit).filter(|_| bucket.take(1, later).is_ok()).count(), limit as usize);
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let (start, mut bucket) = (Instant::now(), Bucket::new(4));
        let first = bucket.take(1, start).expect("full");
        assert_eq!(first, Quota { limit: 4, remaining: 3, reset: Duration::from_secs(15) });
        assert_eq!(bucket.take(1, start).expect("half").remaining, 2);
        assert_eq!(bucket.take(1, start + Duration::from_secs(30)).expect("full again").remaining, 3);
    }
}
