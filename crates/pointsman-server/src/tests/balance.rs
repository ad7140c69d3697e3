//! Which of a model's targets is asked, how it is found out that one is back, and second calls for slow ones.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion, delta};
use crate::{HealthSettings, Settings, TargetSettings};

fn ask(server: &Running, stream: bool) -> Reply {
    let body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}], "stream": stream});
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn late(milliseconds: u64) -> Act {
    Act::Late(milliseconds, Box::new(completion("late")))
}

#[test]
fn a_slow_target_is_not_waited_for_where_hedging_is_on() {
    let (slow, quick) = (Fake::new([late(2_000)]), Fake::new([completion("quick")]));
    let targets: Vec<TargetSettings> = vec![slow.target("slow", "small"), quick.target("quick", "large")];
    let hedged = Settings { targets: targets.clone(), hedge_after: Some(Duration::from_millis(50)), ..loopback() };
    let server = Running::with(Latencies::Known, hedged);
    let body = json!({"model": "small", "models": ["large"], "messages": [{"role": "user", "content": "hello"}]});
    let begun = Instant::now();
    let reply = server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes());
    assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("quick")));
    assert_eq!(reply.header("x-pointsman-attempts"), Some("2"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(server.samples("pointsman_hedges_total"), ["pointsman_hedges_total 1"]);
    // By itself it is waited for.
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    let reply = server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes());
    assert_eq!(reply.header("x-pointsman-target"), Some("slow"));
}

#[test]
fn the_first_of_two_calls_counts_even_where_the_other_fails() {
    for (first, second, winner) in [
        (late(300), Act::Reply(500, "", "application/json", "{}".into()), "a"),
        (Act::Late(300, Box::new(Act::Hangup)), late(500), "b"),
    ] {
        let (first, second) = (Fake::new([first]), Fake::new([second]));
        let settings = Settings {
            targets: vec![first.target("a", "small"), second.target("b", "large")],
            hedge_after: Some(Duration::from_millis(50)),
            ..loopback()
        };
        let server = Running::with(Latencies::Known, settings);
        let body = json!({"model": "small", "models": ["large"], "messages": [{"role": "user", "content": "hello"}]});
        let reply = server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes());
        assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some(winner)));
    }
}

#[test]
fn hedging_keeps_to_the_budget_of_retries() {
    let (slow, slower) = (Fake::new([late(60)]), Fake::new([late(120)]));
    let settings = Settings {
        targets: vec![slow.target("a", "small"), slower.target("b", "large")],
        hedge_after: Some(Duration::from_millis(5)),
        ..loopback()
    };
    let server = Running::with(Latencies::Known, settings);
    let body =
        json!({"model": "small", "models": ["large"], "messages": [{"role": "user", "content": "hello"}]}).to_string();
    for _ in 0..30 {
        assert_eq!(server.send("POST /v1/chat/completions HTTP/1.1", body.as_bytes()).status, 200);
    }
    let seconds = slower.requests().len();
    assert!((10..=16).contains(&seconds), "ten saved up and one for every five: {seconds}");
}

#[test]
fn a_dead_target_is_found_out_without_a_request_and_its_return_too() {
    let fake = Fake::new([Act::Hangup]);
    let health = HealthSettings { interval: Duration::from_millis(50), ..HealthSettings::default() };
    let server =
        Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], health, ..loopback() });
    let standing = || server.administer("GET", "/admin/v1/status").json()["targets"][0]["standing"].clone();
    let until = |expected: &str| {
        let begun = Instant::now();
        while standing() != expected {
            assert!(begun.elapsed() < Duration::from_secs(5), "{} is not {expected}", standing());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("down");
    fake.acts([Act::Reply(200, "", "application/json", "{\"data\":[]}".into())]);
    until("probe");
    fake.acts([completion("Hi")]);
    assert_eq!(ask(&server, false).status, 200);
    let probes: Vec<_> = server.samples("pointsman_target_probes_total");
    assert!(probes.iter().any(|line| line.contains("lives")), "{probes:?}");
    let seen = fake.requests();
    let probe = seen.iter().find(|seen| seen.head.starts_with("get")).expect("a probe");
    assert!(
        probe.head.starts_with("get /v1/models http/1.1") && probe.head.contains("bearer key-of-a"),
        "{}",
        probe.head
    );
}

#[test]
fn one_of_four_dies_and_nobody_notices() {
    let dead = Fake::new([Act::Hangup]);
    let well: [Fake; 3] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let mut targets = vec![dead.target("dead", "small")];
    targets.extend(well.iter().enumerate().map(|(number, fake)| fake.target(&format!("well-{number}"), "small")));
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    for _ in 0..100 {
        assert_eq!(ask(&server, false).status, 200);
    }
    assert_eq!(dead.requests().len(), 3, "three failures, and no more");
    assert_eq!(well.iter().map(|fake| fake.requests().len()).sum::<usize>(), 100, "the others have them all");
    assert!(well.iter().filter(|fake| fake.requests().len() > 10).count() > 1, "and share them");
}

#[test]
fn who_says_how_long_it_waits_is_answered_in_time() {
    for stream in [false, true] {
        let quick = if stream { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") };
        let (stuck, quick) = (Fake::new([Act::Silence]), Fake::new([quick]));
        let server = Running::with(
            Latencies::Known,
            Settings { targets: vec![stuck.target("stuck", "small"), quick.target("quick", "large")], ..loopback() },
        );
        let ask = |body: &Value| {
            let begun = Instant::now();
            let head = "POST /v1/chat/completions HTTP/1.1\r\nx-pointsman-timeout-ms: 400";
            (server.send(head, body.to_string().as_bytes()), begun.elapsed())
        };
        let mut body = json!({"model": "small", "models": ["large"], "messages": [{"role": "user", "content": "hello"}], "stream": stream});
        let (reply, took) = ask(&body);
        assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("quick")));
        assert!(took < Duration::from_millis(400), "half of the time is the next one's: {took:?}");
        let fallbacks = server.samples("pointsman_fallbacks_total");
        assert_eq!(fallbacks, ["pointsman_fallbacks_total{from=\"stuck\",to=\"quick\",cause=\"deadline\"} 1"]);
        body.as_object_mut().expect("an object").remove("models");
        let (reply, took) = ask(&body);
        assert_eq!((reply.status, reply.error().1.as_str()), (504, "upstream_timeout"));
        assert!((Duration::from_millis(395)..Duration::from_millis(900)).contains(&took), "{took:?}");
    }
    let server = Running::with(Latencies::Known, loopback());
    for bad in ["0", "-1", "900001", "1.5", "soon", ""] {
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nx-pointsman-timeout-ms: {bad}");
        assert_eq!(server.send(&head, b"{}").error().2.as_deref(), Some("x-pointsman-timeout-ms"), "{bad}");
    }
}

#[test]
fn settings_of_health_are_checked() {
    for health in [
        HealthSettings { path: "models".into(), ..HealthSettings::default() },
        HealthSettings { path: "/mod els".into(), ..HealthSettings::default() },
        HealthSettings { timeout: Duration::ZERO, ..HealthSettings::default() },
    ] {
        let settings = Settings { health, ..loopback() };
        assert!(crate::Server::open(move || Ok(settings.clone())).is_err());
    }
}
