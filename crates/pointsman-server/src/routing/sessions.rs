//! What a session was answered by, so that it is answered by the same again: a conversation keeps its voice, and the
//! target its cache of what was said before.
//!
//! Best effort: in memory, of bounded size, forgotten after a while without use. Times are given, never read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::digest::digest;
use crate::error::Error;

/// Which requests are one session; [`Settings::sessions`](crate::Settings::sessions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stick {
    /// None: every request is decided by itself.
    Off,
    /// Those that name one session: `session_id`, the header `x-session-id`, or `prompt_cache_key`.
    Named,
    /// Those too that continue a conversation with the same beginning: its first system and first other message.
    Conversation,
}

/// How sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Which requests are one. Default: those that name it. What the router learned is about single prompts, and a
    /// conversation that begins with an easy one may come to a hard one.
    pub stick: Stick,
    /// How long one is remembered after its last request, above 0. Default: an hour.
    pub idle: Duration,
    /// Most that are remembered, at least 2; those used last stay. Default: 100,000.
    pub most: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { stick: Stick::Named, idle: Duration::from_hours(1), most: 100_000 }
    }
}

impl SessionSettings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.idle.is_zero() {
            return Err(Error::BadSetting { field: "idle_s", expected: "a time above 0", got: "0".into() });
        }
        if self.most < 2 {
            return Err(Error::BadSetting { field: "most", expected: "at least 2", got: self.most.to_string() });
        }
        Ok(())
    }
}

/// A session: tenant, route and what names it, as a digest, so that what is kept of one does not depend on its length
/// and says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session([u8; 32]);

impl Session {
    /// The session of these parts; the same parts in another order are another one.
    pub(crate) fn of(parts: &[&str]) -> Self {
        Self(digest(parts))
    }
}

/// By whom a session was answered: names, for positions change with a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) model: Arc<str>,
    pub(crate) target: Option<Arc<str>>,
}

/// The sessions of late.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) stick: Stick,
    idle: Duration,
    /// Sessions of a generation.
    half: usize,
    /// Those used lately, and those used before them. When the first are many they become the second, and the second
    /// are forgotten: what is used keeps moving to the first.
    generations: Mutex<[HashMap<Session, (Seat, Instant)>; 2]>,
}

impl Sessions {
    pub(crate) fn new(settings: SessionSettings) -> Self {
        let SessionSettings { stick, idle, most } = settings;
        Self { stick, idle, half: most / 2, generations: Mutex::default() }
    }

    /// By whom a session was answered, if that was not too long ago.
    pub(crate) fn seat(&self, session: Session, now: Instant) -> Option<Seat> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let (seat, used) = generations.iter().find_map(|generation| generation.get(&session))?;
        (now.saturating_duration_since(*used) < self.idle).then(|| seat.clone())
    }

    /// Notes by whom a session was answered.
    pub(crate) fn keep(&self, session: Session, seat: Seat, now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        old.remove(&session);
        young.insert(session, (seat, now));
        if young.len() >= self.half {
            *old = std::mem::take(young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(model: &str) -> Seat {
        Seat { model: model.into(), target: None }
    }

    fn sessions(most: usize) -> Sessions {
        Sessions::new(SessionSettings { most, ..SessionSettings::default() })
    }

    #[test]
    fn a_session_is_remembered_for_a_while() {
        let (sessions, start) = (sessions(100), Instant::now());
        let session = Session::of(&["acme", "auto", "s-1"]);
        assert_eq!(sessions.seat(session, start), None);
        sessions.keep(session, seat("a"), start);
        let hour = Duration::from_hours(1);
        assert_eq!(sessions.seat(session, start + hour / 2), Some(seat("a")));
        assert_eq!(sessions.seat(session, start + hour), None);
        sessions.keep(session, seat("b"), start + hour);
        assert_eq!(sessions.seat(session, start + hour), Some(seat("b")), "the last answer counts");
        assert_eq!(sessions.seat(Session::of(&["other", "auto", "s-1"]), start + hour), None, "another tenant's");
        assert_ne!(Session::of(&["ab", "c"]), Session::of(&["a", "bc"]));
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let (sessions, now) = (sessions(100), Instant::now());
        let named = |number: usize| Session::of(&[&number.to_string()]);
        for number in 0..10_000 {
            sessions.keep(named(number), seat("a"), now);
            sessions.keep(named(0), seat("used"), now);
        }
        let kept = (0..10_000).filter(|number| sessions.seat(named(*number), now).is_some()).count();
        assert!((50..=100).contains(&kept), "{kept}");
        assert_eq!(sessions.seat(named(0), now), Some(seat("used")));
    }
}
