//! What is counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::artifact::Latencies;
use super::client::{Running, loopback};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{Settings, StateSettings, TenantSettings};

#[test]
fn requests_and_decisions_are_counted() {
    let server = Running::new();
    server.route(r#"{"prompt": "hello"}"#);
    server.route(r#"{"prompt": "hello", "model": "small"}"#);
    server.route("{");
    server.batch("{\"prompt\": \"hello\"}\n{");
    server.get("/nowhere");
    assert_eq!(
        server.samples("pointsman_requests_total{tenant=\"\",route=\"route\""),
        [
            "pointsman_requests_total{tenant=\"\",route=\"route\",outcome=\"failed\"} 0",
            "pointsman_requests_total{tenant=\"\",route=\"route\",outcome=\"ok\"} 2",
            "pointsman_requests_total{tenant=\"\",route=\"route\",outcome=\"overloaded\"} 0",
            "pointsman_requests_total{tenant=\"\",route=\"route\",outcome=\"refused\"} 1",
        ]
    );
    assert_eq!(
        server.samples("pointsman_decisions_total"),
        [
            "pointsman_decisions_total{model=\"large\",reason=\"utility\"} 2",
            "pointsman_decisions_total{model=\"small\",reason=\"requested\"} 1",
        ]
    );
    for stage in ["parse", "embed", "score", "policy"] {
        let count = format!("pointsman_decision_duration_seconds_count{{stage=\"{stage}\"}}");
        assert_eq!(server.samples(&count), [format!("{count} 3")]);
    }
    assert!(!server.samples("pointsman_requests_total{tenant=\"\",route=\"other\",outcome=\"refused\"} 1").is_empty());
}

#[test]
fn circuits_that_open_and_close_are_counted() {
    let fake = Fake::new([Act::Reply(503, "", "application/json", "{}".into())]);
    let server = Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], ..loopback() });
    let ask = || {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "Hello"}]});
        server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes()).status
    };
    assert!(server.samples("pointsman_breaker_transitions_total").is_empty());
    for _ in 0..4 {
        assert_eq!(ask(), 502);
    }
    let opened = "pointsman_breaker_transitions_total{target=\"a\",to=\"open\"} 1";
    assert_eq!(server.samples("pointsman_breaker_transitions_total"), [opened]);
    // Nobody else is there, so it is asked all the same.
    fake.acts([completion("Hi")]);
    assert_eq!([ask(), ask()], [200, 200]);
    let closed = "pointsman_breaker_transitions_total{target=\"a\",to=\"closed\"} 1";
    assert_eq!(server.samples("pointsman_breaker_transitions_total"), [closed, opened]);
}

#[test]
fn the_text_is_what_a_scraper_reads() {
    let server = Running::new();
    server.route(r#"{"prompt": "a secret word", "session_id": "a secret word"}"#);
    let reply = server.administer("GET", "/metrics");
    assert!(reply.header("content-type").is_some_and(|form| form.starts_with("application/openmetrics-text")));
    let text = String::from_utf8(reply.body).expect("text");
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("secret"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(server.get("/metrics").status, 404, "not on the data plane");
    assert_eq!(server.get("/admin/v1/routers").status, 404, "not on the data plane");
}

/// What a family's samples may be called.
fn ends(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        "info" => &["_info"],
        "gauge" => &[""],
        _ => panic!("no such type: {kind}"),
    }
}

/// Checks a page by the rules of `OpenMetrics` that scrapers and `promtool` hold it to; gives the number of series.
fn check(page: &str) -> usize {
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let (mut buckets, mut counts) = (BTreeMap::<String, Vec<(f64, f64)>>::new(), BTreeMap::new());
    let (mut family, mut kind, mut helps) = ("", "", 0);
    let body = page.strip_suffix("# EOF\n").expect("an end");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next(), words.next().expect("a name"), words.next().expect("more"));
            match what {
                Some("HELP") => {
                    assert!(families.insert(name), "{name} stands twice");
                    assert!(rest.ends_with('.') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
                    (family, helps) = (name, helps + 1);
                }
                Some("TYPE") => {
                    assert_eq!(name, family, "the help before the type");
                    kind = rest;
                }
                Some("UNIT") => assert!(name == family && name.ends_with(rest)),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (id, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = id.split_once('{').unwrap_or((id, "}"));
        let end = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
        assert!(ends(kind).contains(&end), "{name} is no {kind}");
        assert!(series.insert(id), "{id} stands twice");
        if kind == "counter" {
            assert!(value >= 0.0);
        }
        if end == "_bucket" {
            let (before, bound) = labels.split_once("le=\"").expect("a bound");
            let (bound, after) = bound.split_once('"').expect("its end");
            let others = [before, after].map(|labels| labels.trim_matches([',', '}'])).concat();
            let bound = bound.parse().expect("a number");
            buckets.entry(format!("{family} {others}")).or_default().push((bound, value));
        } else if end == "_count" {
            counts.insert(format!("{family} {}", labels.trim_end_matches('}')), value);
        }
    }
    assert_eq!((helps, counts.len()), (families.len(), buckets.len()));
    for (name, of_it) in &buckets {
        assert_eq!(of_it.last(), Some(&(f64::INFINITY, counts[name])), "{name}");
        assert!(of_it.is_sorted_by(|(a, x), (b, y)| a < b && x <= y), "{name}: {of_it:?}");
    }
    series.len()
}

#[test]
fn a_page_with_everything_on_it_is_open_metrics() {
    let stream = Act::Stream(vec![role(), delta("Hi"), "[DONE]".into()]);
    let (good, bad) = (Fake::new([completion("Hi"), stream, completion("Hi")]), Fake::new([Act::Hangup]));
    let digest = |key: &str| pointsman::artifact::identity(key.as_bytes());
    let tenants = (0..250).map(|at| TenantSettings {
        budget_usd_per_day: Some(1.0),
        requests_per_minute: Some(2),
        ..TenantSettings::new(format!("tenant \"{at}\" \\ \u{e9}"), vec![digest(&format!("key-{at}"))])
    });
    let server = Running::with(
        Latencies::Known,
        Settings {
            targets: vec![bad.target("bad \"one\"", "small"), good.target("good", "large")],
            tenants: tenants.collect(),
            state: Some(StateSettings::new(None)),
            ..loopback()
        },
    );
    let ask = |at: usize, stream: bool| {
        let body =
            json!({"models": ["small", "large"], "messages": [{"role": "user", "content": "hi"}], "stream": stream});
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer key-{at}");
        server.send(&head, body.to_string().as_bytes()).status
    };
    assert_eq!([ask(0, false), ask(0, true), ask(0, false), ask(249, false)], [200, 200, 429, 200]);
    for at in 1..249 {
        assert_eq!(ask(at, false), 200);
    }
    let page = String::from_utf8(server.administer("GET", "/metrics").body).expect("text");
    assert!(check(&page) > 500, "{}", check(&page));
    // However many tenants there are, the page names two hundred, and the rest as one.
    let mut names: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("pointsman_requests_total{"))
        .filter_map(|line| line.split("tenant=\"").nth(1)?.split("\",").next())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), names.contains(&"other")), (201, true), "{names:?}");
}
