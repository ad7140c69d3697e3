//! Whether a target is worth trying: a circuit breaker. Times are given, never read, so that it is tested without waiting.

use std::time::{Duration, Instant};

/// Failures in a row that open the circuit. Few: there is mostly somebody else to ask, and a target that is well closes it
/// again with one answer.
const FAILURES: u32 = 3;

/// How long a circuit stays open at first; it doubles while probes fail.
const OPEN: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_mins(1);

/// How long a target whose key is refused stays out.
const REFUSED: Duration = Duration::from_mins(1);

/// How long a target that is busy stays out where it does not say so, and at most where it does.
const BUSY: Duration = Duration::from_secs(1);
const LONGEST_BUSY: Duration = Duration::from_mins(1);

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
}

/// How a target stands, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing is known against it.
    Well,
    /// It was down; the next call finds out.
    Probe,
    /// It is down, or does not want to be asked.
    Down,
}

/// What is remembered of a target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// Failures since the last answer.
    failures: u32,
    /// It is left alone until then.
    until: Option<Instant>,
}

impl Health {
    pub(crate) fn standing(self, now: Instant) -> Standing {
        match self.until {
            Some(until) if now < until => Standing::Down,
            Some(_) => Standing::Probe,
            None => Standing::Well,
        }
    }

    /// Called when a call begins. Where it is the one that finds out, the others leave the target alone meanwhile: a target
    /// that comes back is not met by everyone at once. A call that never reports is forgotten after as long as a circuit
    /// stays open at first.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.standing(now) == Standing::Probe {
            self.until = Some(now + OPEN);
        }
    }

    pub(crate) fn note(&mut self, report: Report, now: Instant) {
        match report {
            Report::Answered => *self = Self::default(),
            Report::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    let doublings = (self.failures - FAILURES).min(8);
                    self.until = Some(now + (OPEN * 2_u32.pow(doublings)).min(LONGEST_OPEN));
                }
            }
            Report::Busy(wait) => self.until = Some(now + wait.unwrap_or(BUSY).min(LONGEST_BUSY)),
            Report::KeyRefused => self.until = Some(now + REFUSED),
        }
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
        assert_eq!(health.standing(start + OPEN * 3), Standing::Well);
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
        assert_eq!(health.standing(back + OPEN), Standing::Well);
        let mut well = Health::default();
        well.begin(start);
        assert_eq!(well.standing(start), Standing::Well);
    }

    #[test]
    fn a_busy_target_is_left_alone_as_long_as_it_says() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.note(Report::Busy(Some(Duration::from_secs(7))), start);
        assert_eq!(health.standing(start + Duration::from_secs(6)), Standing::Down);
        assert_eq!(health.standing(start + Duration::from_secs(7)), Standing::Probe);
        health.note(Report::Busy(Some(Duration::from_hours(24))), start);
        assert_eq!(health.standing(start + LONGEST_BUSY), Standing::Probe, "nobody is left alone for a day");
    }
}
