//! What is counted.

use serde_json::json;

use super::artifact::Latencies;
use super::client::{Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::Settings;

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
