use std::path::PathBuf;
use std::sync::mpsc;

use super::*;

fn settings(place: Place) -> Settings {
    Settings { place, retention_days: None, most_decisions: None }
}

fn decision(id: &str, at_us: i64) -> Decision {
    Decision {
        id: id.into(),
        at_us,
        tenant: Some("acme".into()),
        prompt_id: "p".into(),
        messages: Some(r#"[{"role":"user","content":"hi"}]"#.into()),
        route: "auto".into(),
        reason: "utility".into(),
        model: "small".into(),
        propensity: 1.0,
        cost_usd: Some(0.25),
        baseline_cost_usd: Some(1.0),
        router: "sha256:0".into(),
        config_version: 1,
        ..Decision::default()
    }
}

fn outcome(id: &str) -> Outcome {
    Outcome {
        id: id.into(),
        outcome: "answered".into(),
        target: Some("a".into()),
        model: Some("small".into()),
        attempts: 1,
        cost_usd: Some(0.5),
        latency_ms: Some(7.0),
        ..Outcome::default()
    }
}

fn feedback(id: &str, decision_id: &str, value: f64) -> Feedback {
    Feedback {
        id: id.into(),
        at_us: 5,
        tenant: Some("acme".into()),
        decision_id: decision_id.into(),
        metric: "helpful".into(),
        value,
        ..Feedback::default()
    }
}

fn judged(ledger: &Ledger, feedback: Feedback) -> Result<String, Error> {
    let (sender, receiver) = mpsc::channel();
    ledger.judge(feedback, Box::new(move |answer| sender.send(answer).expect("somebody waits")));
    receiver.recv().expect("an answer")
}

fn asked<T: Send + 'static>(
    ledger: &Ledger,
    question: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    ledger.ask(move |connection| sender.send(question(connection)).expect("somebody waits"));
    receiver.recv().expect("an answer").expect("it can be told")
}

#[test]
fn what_is_recorded_is_told_with_its_outcome_and_feedback() {
    let ledger = Ledger::open(&settings(Place::Memory)).expect("opens");
    ledger.decide(decision("d1", 10));
    ledger.settle(outcome("d1"));
    ledger.decide(decision("d2", 20));
    assert_eq!(judged(&ledger, feedback("f1", "d1", 1.0)).expect("known"), "f1");
    let told = asked(&ledger, |connection| Told::find(connection, "d1")).expect("there");
    assert_eq!((told.decision, told.outcome), (decision("d1", 10), Some(outcome("d1"))));
    assert_eq!(told.feedback, [Judgement { metric: "helpful".into(), value: 1.0, at_us: 5 }]);
    assert_eq!(asked(&ledger, |connection| by_model(connection, 0, 10))["small"], 2);
    assert!(asked(&ledger, |connection| by_model(connection, 21, 10)).is_empty());
    let latest = asked(&ledger, |connection| Told::latest(connection, 1));
    assert_eq!((latest.len(), latest[0].decision.id.as_str()), (1, "d2"));
    let timings = asked(&ledger, |connection| Timing::latest(connection, 0, 10));
    assert_eq!(timings.len(), 1, "of two decisions one was carried out");
    assert_eq!((timings[0].target.as_str(), timings[0].latency_ms.to_bits()), ("a", 7.0_f64.to_bits()));
    assert!(asked(&ledger, |connection| Told::find(connection, "nobody")).is_none());
}

#[test]
fn an_outcome_is_told_whether_it_came_with_its_decision_or_later() {
    let ledger = Ledger::open(&settings(Place::Memory)).expect("opens");
    // Whoever asks has everything written that came before.
    ledger.decide(decision("early", 10));
    assert!(asked(&ledger, |connection| Told::find(connection, "early")).expect("there").outcome.is_none());
    ledger.settle(outcome("early"));
    ledger.decide(decision("together", 20));
    ledger.settle(outcome("together"));
    ledger.settle(outcome("nobody's"));
    for id in ["early", "together"] {
        let told = asked(&ledger, move |connection| Told::find(connection, id)).expect("there");
        assert_eq!(told.outcome, Some(outcome(id)), "{id}");
    }
    assert!(asked(&ledger, |connection| Told::find(connection, "nobody's")).is_none());
}

#[test]
fn feedback_finds_only_decisions_of_its_own_tenant_and_is_kept_once_per_key() {
    let ledger = Ledger::open(&settings(Place::Memory)).expect("opens");
    ledger.decide(decision("d1", 10));
    let stranger = Feedback { tenant: Some("other".into()), ..feedback("f1", "d1", 1.0) };
    assert!(matches!(judged(&ledger, stranger), Err(Error::NoDecision { .. })));
    assert!(matches!(
        judged(&ledger, Feedback { tenant: None, ..feedback("f1", "d1", 1.0) }),
        Err(Error::NoDecision { .. })
    ));
    assert!(matches!(judged(&ledger, feedback("f1", "d9", 1.0)), Err(Error::NoDecision { .. })));
    let keyed = |id: &str, value| Feedback { idempotency_key: Some("k".into()), ..feedback(id, "d1", value) };
    assert_eq!(judged(&ledger, keyed("f1", 1.0)).expect("new"), "f1");
    assert_eq!(judged(&ledger, keyed("f2", 1.0)).expect("seen"), "f1");
    assert!(matches!(judged(&ledger, keyed("f3", 0.5)), Err(Error::KeyReused)));
    let told = asked(&ledger, |connection| Told::find(connection, "d1")).expect("there");
    assert_eq!(told.feedback.len(), 1);
}

#[test]
fn a_file_outlives_the_process_and_is_read_while_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let key = {
        let ledger = Ledger::open(&settings(Place::File(path.clone()))).expect("opens");
        ledger.decide(decision("d1", 10));
        judged(&ledger, feedback("f1", "d1", 1.0)).expect("known");
        judged(&ledger, feedback("f2", "d1", 0.0)).expect("known");
        // Acknowledged feedback is on file while the gateway goes on.
        assert_eq!(Archive::open(&path).expect("opens").metrics().expect("told")["helpful"], 2);
        ledger.decide(decision("d2", 20));
        ledger.key().clone()
    };
    let archive = Archive::open(&path).expect("opens");
    assert_eq!(archive.key(), &key);
    let mut exported = Vec::new();
    archive
        .each(|row| {
            exported.push(row);
            Ok::<_, Error>(())
        })
        .expect("told");
    assert_eq!(exported.len(), 2, "what was pending is written at the end");
    assert_eq!(exported[0].scores["helpful"].to_bits(), 0.0_f64.to_bits(), "the last word counts");
    assert!(exported[1].scores.is_empty());
    let again = Ledger::open(&settings(Place::File(path))).expect("opens");
    assert_eq!(again.key(), &key);
}

#[test]
fn what_a_tenant_spends_is_summed_by_day() {
    let ledger = Ledger::open(&settings(Place::Memory)).expect("opens");
    for (at_us, usd) in [(0, 0.5), (1, 0.25), (86_400_000_000, 4.0)] {
        ledger.spend("acme", at_us, usd);
    }
    let spent = asked(&ledger, |connection| read::spent(connection, 0));
    assert!((spent["acme"] - 0.75).abs() < 1e-12);
}

#[test]
fn old_and_surplus_rows_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::File(folder.path().join("ledger.db"));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros()).expect("fits");
    {
        let ledger = Ledger::open(&settings(place.clone())).expect("opens");
        ledger.decide(decision("old", now - 3 * 86_400_000_000));
        for place in 0..5 {
            ledger.decide(decision(&format!("new{place}"), now + place));
        }
        judged(&ledger, feedback("f1", "old", 1.0)).expect("known");
    }
    let left = |settings: &Settings, expected: usize| {
        let ledger = Ledger::open(settings).expect("opens");
        let count = || asked(&ledger, |connection| Told::latest(connection, 100)).len();
        // What goes goes behind the first questions.
        let soon = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while count() != expected && std::time::Instant::now() < soon {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert_eq!(count(), expected);
    };
    left(&settings(place.clone()), 6);
    left(&Settings { retention_days: Some(u32::MAX), ..settings(place.clone()) }, 6);
    left(&Settings { retention_days: Some(2), ..settings(place.clone()) }, 5);
    left(&Settings { most_decisions: Some(3), ..settings(place.clone()) }, 3);
    let Place::File(path) = place else { unreachable!("it is a file") };
    assert!(
        Archive::open(&path).expect("opens").metrics().expect("told").is_empty(),
        "feedback goes with its decision"
    );
}

#[test]
fn a_long_sweep_holds_up_neither_the_start_nor_what_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::File(folder.path().join("ledger.db"));
    {
        let ledger = Ledger::open(&settings(place.clone())).expect("opens");
        (0..30_000).for_each(|at| ledger.decide(decision(&format!("old{at}"), at)));
    }
    let ledger = Ledger::open(&Settings { retention_days: Some(1), ..settings(place) }).expect("opens");
    let count = || asked(&ledger, |connection| Told::latest(connection, 100_000)).len();
    assert!(count() >= 25_000, "asked before more than a piece was gone");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros()).expect("fits");
    ledger.decide(decision("new", now));
    let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while count() > 1 && std::time::Instant::now() < soon {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((count(), ledger.lost(), ledger.waiting()), (1, 0, 0));
}

#[test]
fn what_cannot_be_written_waits_is_said_to_wait_and_is_written_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&settings(Place::File(path.clone()))).expect("opens");
    ledger.decide(decision("before", 1));
    assert_eq!(asked(&ledger, |connection| Told::latest(connection, 10)).len(), 1);
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    (0..2_500).for_each(|at| ledger.decide(decision(&format!("d{at}"), at)));
    // The lock is waited for, then given up for a while.
    assert!(matches!(judged(&ledger, feedback("f", "d1", 1.0)), Err(Error::Closed)));
    assert_eq!((ledger.waiting(), ledger.lost()), (2_500, 0));
    other.execute_batch("COMMIT").expect("released");
    let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ledger.waiting() > 0 && std::time::Instant::now() < soon {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(asked(&ledger, |connection| Told::latest(connection, 10_000)).len(), 2_501);
    assert_eq!(judged(&ledger, feedback("f", "d1", 1.0)).expect("on file"), "f");
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let refused = |path: PathBuf| Ledger::open(&settings(Place::File(path))).expect_err("refused");
    std::fs::write(
        path("text"),
        "not a database, by any means, and long enough to have a header of its own: a hundred bytes",
    )
    .expect("written");
    assert!(matches!(refused(path("text")), Error::Foreign { .. }), "{:?}", refused(path("text")));
    let other = rusqlite::Connection::open(path("other")).expect("opens");
    other.execute_batch("CREATE TABLE theirs (x)").expect("made");
    assert!(matches!(refused(path("other")), Error::Foreign { .. }));
    drop(Ledger::open(&settings(Place::File(path("newer")))).expect("opens"));
    rusqlite::Connection::open(path("newer")).expect("opens").pragma_update(None, "user_version", 99).expect("set");
    assert!(matches!(refused(path("newer")), Error::Newer { got: 99, .. }));
    assert!(matches!(refused(path("no/such/folder")), Error::Open { .. }));
    assert!(matches!(Archive::open(&path("missing")), Err(Error::Missing { .. })));
    std::fs::write(path("empty"), "").expect("written");
    assert!(matches!(Archive::open(&path("empty")), Err(Error::Foreign { .. })));
}

#[test]
fn a_burst_is_written_whole() {
    let ledger = Ledger::open(&settings(Place::Memory)).expect("opens");
    for place in 0..20_000 {
        ledger.decide(decision(&format!("d{place}"), place));
    }
    let written = asked(&ledger, |connection| Told::latest(connection, 100_000)).len() as u64;
    assert_eq!((written, ledger.lost()), (20_000, 0));
}
