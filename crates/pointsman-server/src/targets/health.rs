//! Whether a target is worth trying: a circuit breaker, a watch on the share of calls that fail, and a slow start. Times
//! are given, never read, so that it is tested without waiting.

use std::time::{Duration, Instant};

use super::quantiles::Pace;

/// Failures in a row that open the circuit. Few: there is mostly somebody else to ask, and a target that is well closes it
/// again with one answer.
const FAILURES: u32 = 3;

/// How long a circuit stays open at first; it doubles while probes fail.
const OPEN: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_mins(1);
const MOST_DOUBLINGS: u32 = 8;

/// How long a target whose key is refused stays out.
const REFUSED: Duration = Duration::from_mins(1);

/// How long a target that is busy stays out where it does not say so, and at most where it does.
const BUSY: Duration = Duration::from_secs(1);
const LONGEST_BUSY: Duration = Duration::from_mins(1);

/// Time over which the share of failures is counted: between one and two of these.
const WINDOW: Duration = Duration::from_secs(10);

/// Calls below which a share says nothing, and the share of failures from which a target is an outlier. The circuit is for
/// those that are down; this is for those that answer now and then.
const ENOUGH: u32 = 20;
const OUTLIER: f64 = 0.5;

/// A target that is back gets a tenth of its calls at first, and all of them after this time.
const SLOW_START: Duration = Duration::from_secs(10);
const FIRST_SHARE: f64 = 0.1;

/// Time after which a third of a slow answer still counts.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It was answered, be it that the request was refused for its own sake.
    Answered,
    /// It was not: no connection, no answer in time, an answer that is none, a status of 500 and above.
    Failed,
    /// Too much was asked of it; it says when to come again, or not.
    Busy(Option<Duration>),
    /// It does not know our key.
    KeyRefused,
    /// It was asked how it is, and answered.
    Lives,
}

/// What becomes of a circuit. While a call finds out whether its target is back it has not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The target is left alone from now on.
    Opened,
    /// It is asked again.
    Closed,
}

impl Turn {
    /// For labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "open",
            Self::Closed => "closed",
        }
    }
}

/// How a target stands, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing is known against it.
    Well,
    /// It is back since a moment, or was down and the next call finds out.
    Probe,
    /// It answers, but fails more often than not.
    Outlier,
    /// It is down, or does not want to be asked.
    Down,
}

/// How a target fares at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fares {
    pub(crate) standing: Standing,
    /// Share of the calls of late that failed.
    pub(crate) failed_share: f64,
    /// Share of its calls that it should get.
    pub(crate) share: f64,
    /// Milliseconds to an answer of late.
    pub(crate) latency_ms: f64,
    /// Tokens per second of late, where the request sorts by that; else 0.
    pub(crate) tokens_per_second: f64,
    /// Whether it is slower than the request prefers.
    pub(crate) misses: bool,
}

/// Milliseconds to an answer of late: at once as high as the slowest, and falling by and by, with its answers and with
/// time alone, for one that nobody asks because it was slow once would never be known to be quick again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    ms: f64,
    noted: Option<Instant>,
}

impl Latency {
    /// 0 before the first answer: somebody has to find out.
    pub(super) fn at(&self, now: Instant) -> f64 {
        self.ms * self.weight(now)
    }

    pub(super) fn note(&mut self, ms: f64, now: Instant) {
        let weight = self.weight(now);
        self.ms = ms.max(self.ms * weight + ms * (1.0 - weight));
        self.noted = Some(now);
    }

    /// How much of what is known still counts.
    fn weight(&self, now: Instant) -> f64 {
        let age = self.noted.map_or(Duration::ZERO, |noted| now.saturating_duration_since(noted));
        (-age.div_duration_f64(FORGOTTEN)).exp()
    }
}

impl Standing {
    /// For replies and labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Probe => "probe",
            Self::Outlier => "outlier",
            Self::Down => "down",
        }
    }
}

/// Calls of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u32,
    failed: u32,
}

/// What is remembered of a target.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures since the last answer.
    failures: u32,
    /// It is left alone until then.
    until: Option<Instant>,
    /// Whether that is because calls failed, and not because of its own word.
    is_broken: bool,
    /// How often in a row it was found out that it is not back.
    reopened: u32,
    /// Whether a call is finding out.
    is_probed: bool,
    /// Since when it is back.
    back: Option<Instant>,
    /// When the present stretch began; calls of that and of the one before.
    since: Option<Instant>,
    calls: [Calls; 2],
    /// When a call or a question last came to something.
    pub(super) heard: Option<Instant>,
    pub(super) latency: Latency,
    pub(super) pace: Pace,
}

impl Health {
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match self.until {
            Some(until) if now < until => Standing::Down,
            Some(_) => Standing::Probe,
            None if self.failed_share(now) >= OUTLIER => Standing::Outlier,
            None if self.share(now) < 1.0 => Standing::Probe,
            None => Standing::Well,
        }
    }

    /// Share of its calls that it should get, in `(0, 1]`: less while it is found out whether it is back, and for a while
    /// after that, so that it is not met by everyone at once.
    pub(crate) fn share(&self, now: Instant) -> f64 {
        if self.until.is_some() {
            return FIRST_SHARE;
        }
        let Some(back) = self.back else { return 1.0 };
        let passed = now.saturating_duration_since(back).div_duration_f64(SLOW_START);
        (FIRST_SHARE + (1.0 - FIRST_SHARE) * passed).min(1.0)
    }

    /// Share of the calls of late that failed; 0 where they are few.
    pub(crate) fn failed_share(&self, now: Instant) -> f64 {
        let Some(since) = self.since.filter(|since| now.saturating_duration_since(*since) < 2 * WINDOW) else {
            return 0.0;
        };
        let [present, before] = self.calls;
        // In the stretch after the last call that one is the one before, and its own predecessor is past.
        let before = if now.saturating_duration_since(since) < WINDOW { before } else { Calls::default() };
        let (all, failed) = (present.all + before.all, present.failed + before.failed);
        if all < ENOUGH { 0.0 } else { f64::from(failed) / f64::from(all) }
    }

    /// Called when a call begins. Where it is the one that finds out, the others leave the target alone meanwhile: a target
    /// that comes back is not met by everyone at once. A call that never reports is forgotten after as long as a circuit
    /// stays open at first.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = Some(now + OPEN);
            self.is_probed = true;
        }
    }

    pub(crate) fn note(&mut self, report: Report, now: Instant) {
        self.heard = Some(now);
        match report {
            Report::Answered => {
                self.count(false, now);
                if self.until.is_some() {
                    // It begins anew: what was counted was of another time.
                    self.calls = <[Calls; 2]>::default();
                    self.back = self.is_broken.then_some(now);
                }
                (self.failures, self.until, self.is_broken) = (0, None, false);
                (self.reopened, self.is_probed) = (0, false);
                self.back = self.back.filter(|back| now.saturating_duration_since(*back) < SLOW_START);
            }
            Report::Failed => {
                self.count(true, now);
                self.failures = self.failures.saturating_add(1);
                let is_found_out = self.is_probed || self.until.is_some_and(|until| until <= now);
                if self.is_broken && self.until.is_some() {
                    // Calls that were on their way when it opened say nothing new: ten that break at once are one fault.
                    if is_found_out {
                        self.reopened = (self.reopened + 1).min(MOST_DOUBLINGS);
                        self.until = Some(now + (OPEN * 2_u32.pow(self.reopened)).min(LONGEST_OPEN));
                        self.is_probed = false;
                    }
                } else if self.failures >= FAILURES {
                    self.until = self.until.max(Some(now + OPEN));
                    (self.is_broken, self.reopened, self.is_probed) = (true, 0, false);
                }
            }
            Report::Busy(wait) => {
                self.until = Some(now + wait.unwrap_or(BUSY).min(LONGEST_BUSY));
                self.is_broken = false;
            }
            Report::KeyRefused => {
                self.until = Some(now + REFUSED);
                self.is_broken = false;
            }
            // Living is not answering, so the next call finds out; and what it said itself of when to come again stands.
            Report::Lives => {
                if self.is_broken {
                    self.until = self.until.map(|until| until.min(now));
                }
            }
        }
    }

    /// The same, and what it did to the circuit, if anything.
    pub(super) fn turned(&mut self, report: Report, now: Instant) -> Option<Turn> {
        let was_out = self.until.is_some();
        self.note(report, now);
        match (was_out, self.until.is_some()) {
            (false, true) => Some(Turn::Opened),
            (true, false) => Some(Turn::Closed),
            _ => None,
        }
    }

    /// Notes that somebody waited so long in vain, as long as they wanted to. That is its failure where it is known to be quicker, or
    /// where nothing is known and it was longer than `patience`; otherwise it is theirs. In any case it is at least so slow.
    pub(super) fn overdue(&mut self, time: Duration, streams: bool, patience: Duration, now: Instant) -> Option<Turn> {
        self.latency.note(time.as_secs_f64() * 1e3, now);
        let usual = self.pace.usual(streams, now);
        let is_overdue = usual.map_or(time >= patience, |usual| time > usual * 2);
        if is_overdue { self.turned(Report::Failed, now) } else { None }
    }

    fn count(&mut self, is_failure: bool, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= WINDOW {
            let before = if passed < 2 * WINDOW { self.calls[0] } else { Calls::default() };
            (self.calls, self.since) = ([Calls::default(), before], Some(now));
        }
        self.calls[0].all += 1;
        self.calls[0].failed += u32::from(is_failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_open_the_circuit_and_one_answer_closes_it() {
        let (mut health, start) = (Health::default(), Instant::now());
        for _ in 0..2 {
            health.note(Report::Failed, start);
            assert_eq!(health.standing(start), Standing::Well);
        }
        health.note(Report::Failed, start);
        assert_eq!(health.standing(start + OPEN / 2), Standing::Down);
        assert_eq!(health.standing(start + OPEN), Standing::Probe);
        health.note(Report::Failed, start + OPEN);
        assert_eq!(health.standing(start + OPEN + OPEN), Standing::Down, "a failed probe doubles the wait");
        health.note(Report::Answered, start + OPEN * 3);
        assert_eq!(health.standing(start + OPEN * 3), Standing::Probe, "its start is slow");
        assert_eq!(health.standing(start + OPEN * 3 + SLOW_START), Standing::Well);
    }

    #[test]
    fn a_circuit_turns_once_each_way() {
        let (mut health, start) = (Health::default(), Instant::now());
        let turns = [Report::Failed, Report::Failed, Report::Failed, Report::Failed, Report::Lives, Report::Answered]
            .map(|report| health.turned(report, start));
        assert_eq!(turns, [None, None, Some(Turn::Opened), None, None, Some(Turn::Closed)]);
        let turns = [Report::Busy(None), Report::KeyRefused, Report::Answered, Report::Answered]
            .map(|report| health.turned(report, start));
        assert_eq!(turns, [Some(Turn::Opened), None, Some(Turn::Closed), None]);
    }

    #[test]
    fn calls_that_break_at_once_are_one_fault() {
        let (mut health, start) = (Health::default(), Instant::now());
        (0..20).for_each(|_| health.note(Report::Failed, start));
        assert_eq!(health.standing(start + OPEN), Standing::Probe, "as after three");
        health.begin(start + OPEN);
        health.note(Report::Failed, start + OPEN);
        (0..20).for_each(|_| health.note(Report::Failed, start + OPEN));
        assert_eq!(health.standing(start + OPEN * 2), Standing::Down);
        assert_eq!(health.standing(start + OPEN * 3), Standing::Probe, "twice as long after one that found out");
    }

    #[test]
    fn one_call_at_a_time_finds_out() {
        let (mut health, start) = (Health::default(), Instant::now());
        (0..3).for_each(|_| health.note(Report::Failed, start));
        let back = start + OPEN;
        assert_eq!(health.standing(back), Standing::Probe);
        health.begin(back);
        assert_eq!(health.standing(back), Standing::Down, "somebody is finding out");
        assert_eq!(health.standing(back + OPEN), Standing::Probe, "who never came back");
        health.begin(back + OPEN);
        health.note(Report::Answered, back + OPEN);
        assert_eq!(health.standing(back + OPEN + SLOW_START), Standing::Well);
        let mut well = Health::default();
        well.begin(start);
        assert_eq!(well.standing(start), Standing::Well);
    }

    #[test]
    fn a_target_that_is_back_gets_its_calls_by_and_by() {
        let (mut health, start) = (Health::default(), Instant::now());
        (0..3).for_each(|_| health.note(Report::Failed, start));
        let back = start + OPEN;
        health.note(Report::Answered, back);
        for (seconds, share) in [(0, 0.1), (5, 0.55), (10, 1.0), (20, 1.0)] {
            assert!((health.share(back + Duration::from_secs(seconds)) - share).abs() < 1e-9);
        }
        health.note(Report::Answered, back + SLOW_START);
        assert_eq!(health.standing(back + SLOW_START), Standing::Well);
    }

    #[test]
    fn a_busy_target_is_left_alone_as_long_as_it_says() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.note(Report::Busy(Some(Duration::from_secs(7))), start);
        assert_eq!(health.standing(start + Duration::from_secs(6)), Standing::Down);
        health.note(Report::Lives, start + Duration::from_secs(6));
        assert_eq!(health.standing(start + Duration::from_secs(6)), Standing::Down, "its own word stands");
        assert_eq!(health.standing(start + Duration::from_secs(7)), Standing::Probe);
        health.note(Report::Answered, start + Duration::from_secs(7));
        assert_eq!(health.standing(start + Duration::from_secs(7)), Standing::Well, "it was never down");
        health.note(Report::Busy(Some(Duration::from_hours(24))), start);
        assert_eq!(health.standing(start + LONGEST_BUSY), Standing::Probe, "nobody is left alone for a day");
    }

    #[test]
    fn one_that_fails_more_often_than_not_is_an_outlier_for_a_while() {
        let (mut health, start) = (Health::default(), Instant::now());
        for call in 0..ENOUGH {
            assert_eq!(health.standing(start), Standing::Well, "few calls say nothing");
            health.note(if call % 2 == 0 { Report::Failed } else { Report::Answered }, start);
        }
        assert_eq!(health.standing(start), Standing::Outlier);
        assert_eq!(health.standing(start + WINDOW), Standing::Outlier);
        assert_eq!(health.standing(start + 2 * WINDOW), Standing::Well, "that was long ago");
        // Answers of the next stretch count together with the failures of this one.
        for _ in 0..ENOUGH {
            health.note(Report::Answered, start + WINDOW);
        }
        assert_eq!(health.standing(start + WINDOW), Standing::Well);
    }

    #[test]
    fn latency_rises_at_once_and_falls_by_and_by() {
        let (mut latency, start) = (Latency::default(), Instant::now());
        for (ms, expected) in [(20.0, 20.0), (400.0, 400.0), (20.0, 400.0)] {
            latency.note(ms, start);
            assert!((latency.at(start) - expected).abs() < 1e-9);
        }
        let later = start + FORGOTTEN;
        assert!((latency.at(later) - 400.0 * (-1.0_f64).exp()).abs() < 1e-9, "with time alone");
        latency.note(20.0, later);
        assert!((latency.at(later) - (400.0 * (-1.0_f64).exp() + 20.0 * (1.0 - (-1.0_f64).exp()))).abs() < 1e-9);
    }

    #[test]
    fn a_sign_of_life_ends_the_wait_but_is_no_answer() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.note(Report::Lives, start);
        assert_eq!(health.standing(start), Standing::Well);
        (0..3).for_each(|_| health.note(Report::Failed, start));
        assert_eq!(health.standing(start), Standing::Down);
        health.note(Report::Lives, start);
        assert_eq!(health.standing(start), Standing::Probe);
    }
}
