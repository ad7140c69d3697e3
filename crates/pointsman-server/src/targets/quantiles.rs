//! How quick a target was over the last five minutes: quantiles of its times and of its tokens per second, in constant
//! memory. Times are given, never read.

use std::time::{Duration, Instant};

/// Stretches of time that are forgotten as one, and how long each is: the window is between four and a half and five
/// minutes. `OpenRouter`'s percentiles are of five.
const SLICES: usize = 10;
const SLICE: Duration = Duration::from_secs(30);

/// Buckets of a histogram, each 2^(1/8) times as wide as the one before: what is told is within 4.5 % of what was. From a
/// quarter to a million, be it milliseconds (17 minutes; a call may take 15) or tokens per second.
const BUCKETS: usize = 176;
const PER_DOUBLING: f64 = 8.0;
const LEAST: f64 = 0.25;

/// Tokens below which an answer says nothing of its speed: most of its time passed before the first one. A guess; a larger
/// one tells less of those that answer shortly, a smaller one takes a slow start for slow writing.
const ENOUGH_TOKENS: u32 = 16;

/// Numbers of the last five minutes.
#[derive(Debug)]
struct Rolling {
    slices: Box<[[u32; BUCKETS]; SLICES]>,
    /// All slices together.
    all: Box<[u32; BUCKETS]>,
    /// The present slice, and when it began.
    at: usize,
    since: Option<Instant>,
}

impl Default for Rolling {
    fn default() -> Self {
        Self { slices: Box::new([[0; BUCKETS]; SLICES]), all: Box::new([0; BUCKETS]), at: 0, since: None }
    }
}

impl Rolling {
    /// Forgets what is too long ago.
    fn turn(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let slices = now.saturating_duration_since(since).as_secs() / SLICE.as_secs();
        for _ in 0..slices.min(SLICES as u64) {
            self.at = (self.at + 1) % SLICES;
            for (all, past) in self.all.iter_mut().zip(&mut self.slices[self.at]) {
                *all = all.saturating_sub(std::mem::take(past));
            }
        }
        self.since = Some(since + Duration::from_secs(slices * SLICE.as_secs()));
    }

    fn note(&mut self, value: f64, now: Instant) {
        self.since.get_or_insert(now);
        self.turn(now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and so it should"
        )]
        let bucket = (((value / LEAST).log2() * PER_DOUBLING) as usize).min(BUCKETS - 1);
        for count in [&mut self.slices[self.at][bucket], &mut self.all[bucket]] {
            *count = count.saturating_add(1);
        }
    }

    /// The value that a share of all, in `[0, 1]`, does not exceed; `None` where there is none. Linear in the buckets.
    fn quantile(&mut self, share: f64, now: Instant) -> Option<f64> {
        self.turn(now);
        let n: u64 = self.all.iter().map(|count| u64::from(*count)).sum();
        let rank = (n as f64 * share).ceil().max(1.0);
        let mut below = 0;
        let bucket = self.all.iter().position(|count| {
            below += u64::from(*count);
            below as f64 >= rank
        })?;
        Some(LEAST * ((bucket as f64 + 0.5) / PER_DOUBLING).exp2())
    }
}

/// Limits for shares of the calls, in the order of [`Cutoffs::SHARES`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cutoffs(pub(crate) [Option<f64>; 4]);

impl Cutoffs {
    const SHARES: [f64; 4] = [0.5, 0.75, 0.9, 0.99];

    fn is_none(&self) -> bool {
        self.0 == [None; 4]
    }

    /// Whether every limit holds of the share that it is for.
    fn all(&self, mut holds: impl FnMut(f64, f64) -> bool) -> bool {
        self.0.iter().zip(Self::SHARES).all(|(limit, share)| limit.is_none_or(|limit| holds(share, limit)))
    }
}

/// How quick a target should be; it goes after the others where it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Preferred {
    /// At most, for so many of its answers.
    pub(crate) latency_ms: Cutoffs,
    /// At least, for so many of its answers.
    pub(crate) tokens_per_second: Cutoffs,
}

/// Values for each of [`SHARES`].
pub(crate) type Quantiles = [Option<f64>; 3];

/// p50, p90 and p99.
pub(crate) const SHARES: [f64; 3] = [0.5, 0.9, 0.99];

/// A target's times and speed at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaceNow {
    /// Milliseconds to the first content of a stream.
    pub(crate) first: Quantiles,
    /// Milliseconds to the end of an answer.
    pub(crate) whole: Quantiles,
    /// Tokens per second that so many of the answers had at least.
    pub(crate) speed: Quantiles,
}

/// How quick a target was of late. What was never measured has no quantiles.
#[derive(Debug, Default)]
pub(super) struct Pace {
    first: Rolling,
    whole: Rolling,
    speed: Rolling,
}

impl Pace {
    /// A stream has begun to say something.
    pub(super) fn began(&mut self, time: Duration, now: Instant) {
        self.first.note(time.as_secs_f64() * 1e3, now);
    }

    /// An answer has ended well, so long after it was asked for.
    pub(super) fn ended(&mut self, time: Duration, tokens: Option<u32>, now: Instant) {
        self.whole.note(time.as_secs_f64() * 1e3, now);
        if let Some(tokens) = tokens.filter(|tokens| *tokens >= ENOUGH_TOKENS) {
            self.speed.note(f64::from(tokens) / time.as_secs_f64(), now);
        }
    }

    /// Whether it is known to be slower than a request prefers: than it waits for the first content of a stream, or else for
    /// the end.
    pub(super) fn misses(&mut self, preferred: &Preferred, streams: bool, now: Instant) -> bool {
        let Preferred { latency_ms, tokens_per_second } = preferred;
        let times = if streams { &mut self.first } else { &mut self.whole };
        !latency_ms.all(|share, most| times.quantile(share, now).is_none_or(|ms| ms <= most))
            || !tokens_per_second.all(|share, least| self.speed.quantile(1.0 - share, now).is_none_or(|x| x >= least))
    }

    /// Tokens per second of the answer in the middle. Of one that nobody asked of late as many as can be, for somebody has to
    /// find out; 0 where its answers do not say how long they are.
    pub(super) fn tokens_per_second(&mut self, now: Instant) -> f64 {
        let is_unknown = |pace: &mut Self| pace.whole.quantile(0.5, now).is_none();
        self.speed.quantile(0.5, now).unwrap_or_else(|| if is_unknown(self) { f64::INFINITY } else { 0.0 })
    }

    /// Time within which nine of ten came to their first content, or to their end where they are no streams; `None` where there was none.
    pub(super) fn usual(&mut self, streams: bool, now: Instant) -> Option<Duration> {
        let times = if streams { &mut self.first } else { &mut self.whole };
        times.quantile(0.9, now).map(|ms| Duration::from_secs_f64(ms / 1e3))
    }

    /// All of it at this moment.
    pub(super) fn at(&mut self, now: Instant) -> PaceNow {
        let Self { first, whole, speed } = self;
        PaceNow {
            first: SHARES.map(|share| first.quantile(share, now)),
            whole: SHARES.map(|share| whole.quantile(share, now)),
            speed: SHARES.map(|share| speed.quantile(1.0 - share, now)),
        }
    }
}

impl Preferred {
    /// Whether it makes no difference how quick a target is.
    pub(super) fn is_none(&self) -> bool {
        self.latency_ms.is_none() && self.tokens_per_second.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_about(found: Option<f64>, expected: f64) {
        let found = found.expect("something was noted");
        assert!((found / expected).ln().abs() <= 0.045, "{found} is not {expected}");
    }

    #[test]
    fn quantiles_are_those_of_what_was_noted() {
        let (mut rolling, now) = (Rolling::default(), Instant::now());
        assert_eq!(rolling.quantile(0.5, now), None);
        (1..=1000).for_each(|ms| rolling.note(f64::from(ms), now));
        for (share, expected) in [(0.0, 1.0), (0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            is_about(rolling.quantile(share, now), expected);
        }
    }

    #[test]
    fn what_is_five_minutes_old_is_forgotten_and_not_before_four_and_a_half() {
        let (mut rolling, start) = (Rolling::default(), Instant::now());
        rolling.note(10.0, start);
        let later = start + Duration::from_secs(269);
        (0..9).for_each(|_| rolling.note(1000.0, later));
        is_about(rolling.quantile(0.1, later), 10.0);
        is_about(rolling.quantile(0.1, start + Duration::from_mins(5)), 1000.0);
        assert_eq!(rolling.quantile(0.5, start + Duration::from_hours(100_000)), None);
        rolling.note(20.0, start + Duration::from_hours(100_000));
        is_about(rolling.quantile(0.5, start + Duration::from_hours(100_000)), 20.0);
    }

    #[test]
    fn no_number_is_too_large_or_too_small() {
        let (mut rolling, now) = (Rolling::default(), Instant::now());
        for value in [0.0, -1.0, f64::MIN_POSITIVE, f64::NAN] {
            rolling.note(value, now);
        }
        is_about(rolling.quantile(1.0, now), LEAST);
        for value in [f64::MAX, f64::INFINITY] {
            rolling.note(value, now);
        }
        assert!(rolling.quantile(1.0, now).is_some_and(|value| value > 1e6));
    }

    #[test]
    fn every_limit_has_to_hold_and_what_is_unknown_is_not_held_against_it() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let latency = |limits| Preferred { latency_ms: Cutoffs(limits), ..Preferred::default() };
        let speed = |limits| Preferred { tokens_per_second: Cutoffs(limits), ..Preferred::default() };
        assert!(!pace.misses(&latency([Some(0.0); 4]), false, now));
        for second in 1..=10 {
            // A thousand tokens a second, then five hundred, down to a hundred.
            pace.ended(Duration::from_secs(second), Some(1000), now);
        }
        for (limits, misses) in [
            ([None; 4], false),
            ([Some(5_500.0), None, None, None], false),
            ([Some(4_500.0), None, None, None], true),
            ([Some(5_500.0), None, Some(8_000.0), None], true),
            ([Some(5_500.0), Some(8_500.0), Some(9_500.0), Some(10_500.0)], false),
        ] {
            assert_eq!(pace.misses(&latency(limits), false, now), misses, "{limits:?}");
        }
        assert!(!pace.misses(&latency([Some(0.0); 4]), true, now), "nothing is known of its streams");
        for (limits, misses) in [
            ([Some(150.0), None, None, Some(90.0)], false),
            ([Some(250.0), None, None, None], true),
            ([None, None, Some(150.0), None], true),
        ] {
            assert_eq!(pace.misses(&speed(limits), false, now), misses, "{limits:?}");
        }
    }

    #[test]
    fn short_answers_say_nothing_of_the_speed() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert!(pace.tokens_per_second(now).is_infinite(), "somebody has to find out");
        pace.ended(Duration::from_secs(1), Some(ENOUGH_TOKENS - 1), now);
        pace.ended(Duration::from_secs(1), None, now);
        assert_eq!(pace.tokens_per_second(now).to_bits(), 0.0_f64.to_bits(), "its answers do not tell");
        pace.ended(Duration::from_secs(1), Some(ENOUGH_TOKENS), now);
        is_about(Some(pace.tokens_per_second(now)), 16.0);
        let PaceNow { first, whole, speed } = pace.at(now);
        assert_eq!(first, [None; 3]);
        for (ms, speed) in whole.into_iter().zip(speed) {
            is_about(ms, 1000.0);
            is_about(speed, 16.0);
        }
    }
}
