//! Tenants over real sockets: who is let in, to which models, and how often.

use serde_json::json;

use super::artifact::{Latencies, MODELS};
use super::client::{Reply, Running, loopback};
use super::fake::{Fake, completion};
use crate::{Settings, StateSettings, TargetSettings, TenantSettings};

fn tenant(name: &str, models: &[&str], requests_per_minute: Option<u32>) -> TenantSettings {
    let digest = pointsman::artifact::identity(format!("key-of-{name}").as_bytes());
    let models = models.iter().map(|&model| model.to_owned()).collect();
    TenantSettings { models, requests_per_minute, ..TenantSettings::new(name, vec![digest]) }
}

fn serving(targets: Vec<TargetSettings>) -> Running {
    let tenants = vec![tenant("all", &["*"], None), tenant("few", &["s*"], Some(3))];
    Running::with(Latencies::Known, Settings { targets, tenants, ..loopback() })
}

fn ask(server: &Running, line: &str, name: &str, body: &serde_json::Value) -> Reply {
    server.send(&format!("{line} HTTP/1.1\r\nauthorization: Bearer key-of-{name}"), body.to_string().as_bytes())
}

#[test]
fn without_a_key_nothing_is_told() {
    let server = serving(Vec::new());
    let body = json!({ "prompt": "hello" });
    for line in ["POST /v1/route", "POST /v1/route/batch", "POST /v1/chat/completions", "GET /v1/models"] {
        let reply = ask(&server, line, "nobody", &body);
        assert_eq!(reply.error(), (401, "invalid_api_key".into(), None), "{line}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(server.route(&body.to_string()).status, 401);
    assert_eq!(server.get("/health").status, 200, "a probe has no key");
    let reply = ask(&server, "POST /v1/route", "all", &body);
    assert_eq!((reply.status, reply.header("x-ratelimit-limit-requests")), (200, None));
}

#[test]
fn a_tenant_gets_its_own_models_and_no_others() {
    let fakes = (Fake::new([completion("Hi")]), Fake::new([completion("Hi")]));
    let server = serving(vec![fakes.0.target("large-a", "large"), fakes.1.target("small-a", "small")]);
    let listed = ask(&server, "GET /v1/models", "few", &json!({})).json();
    let ids: Vec<&str> = listed["data"].as_array().expect("a list").iter().filter_map(|m| m["id"].as_str()).collect();
    assert!(ids.contains(&"small") && ids.contains(&"auto") && !ids.contains(&"large"), "{ids:?}");

    let body = json!({ "model": "auto:quality", "messages": [{ "role": "user", "content": "hello" }] });
    let chosen = ask(&server, "POST /v1/chat/completions", "few", &body);
    assert_eq!((chosen.status, chosen.header("x-pointsman-selected-model")), (200, Some("small")));
    let named =
        ask(&server, "POST /v1/chat/completions", "few", &json!({ "model": "large", "messages": body["messages"] }));
    assert_eq!(named.status, 404);
    assert!(fakes.0.requests().is_empty());
    let all = ask(&server, "POST /v1/route", "all", &json!({ "prompt": "hello" })).json();
    assert_eq!(all["candidates"].as_array().map(Vec::len), Some(MODELS.len()));

    // Nor where the router fails and the defaults answer.
    server.reloader.sabotage();
    let degraded = ask(&server, "POST /v1/chat/completions", "all", &body);
    assert_eq!(degraded.header("x-pointsman-target"), Some("large-a"));
}

#[test]
fn a_limit_is_exact_and_says_when_to_come_again() {
    let server = serving(Vec::new());
    let body = json!({ "prompt": "hello" });
    for remaining in ["2", "1", "0"] {
        let reply = ask(&server, "POST /v1/route", "few", &body);
        assert_eq!((reply.status, reply.header("x-ratelimit-remaining-requests")), (200, Some(remaining)));
        assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("3"));
        assert!(reply.header("x-ratelimit-reset-requests").is_some_and(|reset| reset.ends_with('s')));
    }
    let reply = ask(&server, "POST /v1/route", "few", &body);
    assert_eq!(reply.error(), (429, "rate_limit_exceeded".into(), None));
    let wait: u32 = reply.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds");
    assert!((1..=20).contains(&wait), "a third of a minute, not {wait} s");
    assert_eq!(server.samples("pointsman_ratelimited_total"), ["pointsman_ratelimited_total{tenant=\"few\"} 1"]);
    assert_eq!(ask(&server, "POST /v1/route", "all", &body).status, 200, "others are not held up");
}

#[test]
fn tokens_are_taken_as_expected_and_settled_as_they_were() {
    let fake = Fake::new([completion("Hi")]);
    let tenants = vec![TenantSettings { tokens_per_minute: Some(10), ..tenant("few", &["*"], None) }];
    let settings = Settings { targets: vec![fake.target("a", "small")], tenants, ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let chat = || {
        let body = json!({ "model": "small", "messages": [{ "role": "user", "content": "hello" }] });
        ask(&server, "POST /v1/chat/completions", "few", &body)
    };
    // Four by the target's count; three are expected of the request alone.
    let first = chat();
    assert_eq!((first.status, first.header("x-ratelimit-limit-tokens")), (200, Some("10")));
    assert_eq!(first.header("x-ratelimit-remaining-tokens"), Some("7"));
    let second = chat();
    assert_eq!(second.header("x-ratelimit-remaining-tokens"), Some("3"));
    let third = chat();
    assert_eq!((third.status, third.error().1.as_str()), (429, "rate_limit_exceeded"));
    assert!(
        third.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|s| (1..=60).contains(&s)))
    );
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn a_budget_is_spent_by_answers_and_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.db");
    // Three tokens in, one out: five millionths of a dollar each.
    let fake = Fake::new([completion("Hi")]);
    let start = |budget: f64| {
        let tenants = vec![TenantSettings { budget_usd_per_day: Some(budget), ..tenant("poor", &["*"], None) }];
        let state = Some(StateSettings::new(Some(path.clone())));
        Running::with(
            Latencies::Known,
            Settings { targets: vec![fake.target("a", "small")], tenants, state, ..loopback() },
        )
    };
    let chat = |server: &Running| {
        let body = json!({ "model": "small", "messages": [{ "role": "user", "content": "hello" }] });
        ask(server, "POST /v1/chat/completions", "poor", &body)
    };
    // What the router expects of a call is a ten-thousandth: with less than that left nothing is begun.
    let server = start(1.1e-4);
    assert_eq!(chat(&server).status, 200);
    assert_eq!(chat(&server).status, 200);
    let left = server.samples("pointsman_budget_remaining_usd{");
    assert_eq!(left, ["pointsman_budget_remaining_usd{tenant=\"poor\"} 0.0001"]);
    assert_eq!(chat(&server).status, 200);
    let refused = chat(&server);
    assert_eq!(refused.error().1, "budget_exceeded");
    assert_eq!(refused.status, 402);
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|s| s <= 86_400)));
    assert_eq!(
        ask(&server, "POST /v1/route", "poor", &json!({ "prompt": "hello" })).status,
        200,
        "deciding costs nothing"
    );
    assert_eq!(fake.requests().len(), 3);
    server.stop().join().expect("stopped");
    let again = start(1.1e-4);
    assert_eq!(chat(&again).error().1, "budget_exceeded", "what was spent is remembered");
    again.stop().join().expect("stopped");
    assert_eq!(chat(&start(1.0)).status, 200);
}
