//! A limit on requests per minute: a bucket that holds a minute's worth and fills evenly. Times are given, never read.

use std::time::{Duration, Instant};

/// What a request costs, in units of which the bucket regains `limit` a nanosecond: so nothing is ever rounded.
const REQUEST: u128 = 60_000_000_000;

/// Requests that may still be made, as of some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    limit: u32,
    /// What is missing to a full bucket, and since when.
    missing: (u128, Option<Instant>),
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Requests per minute.
    pub(crate) limit: u32,
    /// Requests that could follow at once.
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

    /// Takes one request; the error is the time until there is one to take.
    pub(crate) fn take(&mut self, now: Instant) -> Result<Quota, Duration> {
        let (missing, since) = self.missing;
        let limit = u128::from(self.limit);
        let regained = since.map_or(0, |since| now.saturating_duration_since(since).as_nanos() * limit);
        let missing = missing.saturating_sub(regained) + REQUEST;
        if let Some(over) = missing.checked_sub(limit * REQUEST).filter(|over| *over > 0) {
            return Err(nanos(over.div_ceil(limit)));
        }
        self.missing = (missing, Some(now));
        let remaining = u32::try_from(limit - missing.div_ceil(REQUEST)).expect("at most the limit");
        Ok(Quota { limit: self.limit, remaining, reset: nanos(missing.div_ceil(limit)) })
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
            while bucket.take(start).is_ok() {
                taken += 1;
            }
            assert_eq!(taken, limit);
            let wait = bucket.take(start).expect_err("used up");
            assert!(wait <= MINUTE / limit + Duration::from_nanos(1), "{wait:?}");
            assert!(bucket.take(start + wait).is_ok() && bucket.take(start + wait).is_err());
            // A minute of rest fills it, and no more than that.
            let later = start + 10 * MINUTE;
            assert_eq!((0..=limit).filter(|_| bucket.take(later).is_ok()).count(), limit as usize);
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let (start, mut bucket) = (Instant::now(), Bucket::new(4));
        let first = bucket.take(start).expect("full");
        assert_eq!(first, Quota { limit: 4, remaining: 3, reset: Duration::from_secs(15) });
        assert_eq!(bucket.take(start).expect("half").remaining, 2);
        assert_eq!(bucket.take(start + Duration::from_secs(30)).expect("full again").remaining, 3);
    }
}
