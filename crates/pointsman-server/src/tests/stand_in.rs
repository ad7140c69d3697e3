//! An artifact that cannot be used at the start: with a default target the gateway serves all the same, and says so.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::artifact::{Latencies, MODELS, bytes};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use super::state::{decision_id, settled};
use crate::{Error, PolicySettings, Server, Settings, StateSettings, TargetSettings, TenantSettings};

fn chat(server: &Running, body: &Value) -> Reply {
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn asking(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

fn error_code(reply: &Reply) -> (u16, String) {
    let (status, code, _) = reply.error();
    (status, code)
}

#[test]
fn without_a_default_target_it_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = folder.path().join("router.safetensors");
    let fake = Fake::new([completion("Hi")]);
    for damage in [None, Some(&b"no artifact"[..]), Some(b"")] {
        if let Some(damage) = damage {
            std::fs::write(&router, damage).expect("written");
        }
        let settings = Settings { router: router.clone(), targets: vec![fake.target("a", "small")], ..loopback() };
        let named = Settings { default_target: Some("a".into()), ..settings.clone() };
        let error = Server::open(move || Ok(settings.clone())).expect_err("refused");
        assert!(matches!(error, Error::Router(_)), "{error}");
        assert!(Server::open(move || Ok(named.clone())).is_ok());
    }
    let settings = Settings { router: router.clone(), default_target: Some("b".into()), ..loopback() };
    let error = Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
    assert!(error.contains("router.default_target") && error.contains("got b"), "{error}");
    // Where a budget pays, its price may not be the artifact's.
    let poor = TenantSettings { budget_usd_per_day: Some(1.0), ..TenantSettings::new("poor", vec!["00".repeat(32)]) };
    let targets = vec![fake.target("a", "small")];
    let settings = Settings { router, targets, default_target: Some("a".into()), tenants: vec![poor], ..loopback() };
    let error = Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
    assert!(error.contains("a target with a `price` of its own"), "{error}");
}

#[test]
fn the_default_target_answers_until_a_reload_finds_an_artifact() {
    let fakes: [Fake; 3] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let targets =
        vec![fakes[0].target("one", "large"), fakes[1].target("two", "small"), fakes[2].target("three", "small")];
    let settings = Settings {
        targets,
        default_target: Some("three".into()),
        aliases: BTreeMap::from([("mine".into(), MODELS[1].into()), ("smart".into(), "auto:quality".into())]),
        objective: "fast".parse().expect("an objective"),
        state: Some(StateSettings::new(None)),
        ..loopback()
    };
    let server = Running::damaged(b"{}", settings);
    for model in ["auto", "auto:cheap", "auto:fast", "smart"] {
        let reply = chat(&server, &asking(model));
        assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("three")), "{model}");
        assert_eq!(reply.header("x-pointsman-reason"), Some("degraded"));
        let told = settled(&server, &decision_id(&reply));
        assert_eq!(
            (&told["reason"], &told["model"], &told["outcome"]["target"]),
            (&json!("degraded"), &json!("small"), &json!("three"))
        );
    }
    assert_eq!(server.samples("pointsman_degraded_total"), ["pointsman_degraded_total{cause=\"artifact\"} 4"]);
    // A name means what it means, and where the default fails the next one answers.
    let named = chat(&server, &asking("large"));
    assert_eq!(
        (named.header("x-pointsman-target"), named.header("x-pointsman-reason")),
        (Some("one"), Some("requested"))
    );
    fakes[2].acts([Act::Reply(500, "", "application/json", "{}".into())]);
    assert_eq!(chat(&server, &asking("auto")).header("x-pointsman-target"), Some("two"));
    fakes[1].acts([Act::Reply(500, "", "application/json", "{}".into())]);
    assert_eq!(chat(&server, &asking("auto")).header("x-pointsman-target"), Some("one"));
    assert_eq!(error_code(&chat(&server, &asking("mine"))), (404, "constraint_filtered".into()), "nobody serves it");
    assert_eq!(error_code(&chat(&server, &asking("unknown"))), (400, "model_not_found".into()));

    // Nothing is made up: limits that need predictions are not kept by guessing, and decisions have no numbers.
    let mut limited = asking("auto");
    limited["pointsman"] = json!({"max_cost_usd": 1});
    assert_eq!(error_code(&chat(&server, &limited)), (503, "router_unavailable".into()));
    let decided = server.route(r#"{"prompt": "hello"}"#);
    assert_eq!((decided.status, decided.header("x-pointsman-reason")), (200, Some("degraded")));
    let decided = decided.json();
    assert_eq!(
        (&decided["model"], &decided["models"], &decided["candidates"]),
        (&json!("small"), &json!(["small", "large"]), &json!([]))
    );
    let lines = server.batch("{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"pointsman\":{\"min_quality\":0.5}}\n");
    assert_eq!((&lines[0]["model"], &lines[1]["error"]["code"]), (&json!("small"), &json!("router_unavailable")));
    assert_eq!(error_code(&server.get("/v1/routers/active/explain")), (503, "router_unavailable".into()));
    let test = server.tell("POST /admin/v1/policy/test HTTP/1.1", r#"{"request": {"prompt": "x"}}"#);
    let decision = &test.json()["decision"];
    assert_eq!((&decision["model"], &decision["reason"]), (&json!("small"), &json!("degraded")));
    assert_eq!(server.get("/ready").status, 200);
    let routers = server.administer("GET", "/admin/v1/routers").json();
    assert!(routers["stand_in"].as_str().is_some_and(|why| why.contains("artifact")), "{routers}");
    assert!(server.administer("GET", "/admin/v1/status").json()["stand_in"].is_string());
    let version = routers["routers"][0]["version"].as_str().expect("a version");
    let pin = server.tell("POST /admin/v1/routers/pin HTTP/1.1", &json!({"version": version}).to_string());
    assert_eq!(pin.status, 404, "it is no artifact");

    // A reload that finds none changes nothing; one that does ends it.
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 409);
    assert_eq!(chat(&server, &asking("auto")).header("x-pointsman-reason"), Some("degraded"));
    server.rewrite(&bytes(Latencies::Known));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(chat(&server, &asking("auto:cheap")).header("x-pointsman-reason"), Some("utility"));
    let routers = server.administer("GET", "/admin/v1/routers").json();
    assert_eq!((&routers["stand_in"], &routers["former"]), (&Value::Null, &json!([])));
}

#[test]
fn what_rules_and_tenants_deny_stays_denied() {
    let fakes: [Fake; 2] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let digest = pointsman::artifact::identity(b"key");
    let settings = Settings {
        targets: vec![
            fakes[0].target("one", "large"),
            TargetSettings { context_length: Some(50), ..fakes[1].target("two", "small") },
        ],
        default_target: Some("one".into()),
        tenants: vec![TenantSettings {
            models: vec!["small".into(), "gone-*".into()],
            ..TenantSettings::new("few", vec![digest])
        }],
        policies: vec![
            PolicySettings { deny: vec!["lost?*".into()], ..policy("lost", "context.plan == \"x\"") },
            PolicySettings { refuse: Some("no".into()), ..policy("refused", "\"no\" in tags") },
            PolicySettings { max_cost_usd: Some(1.0), ..policy("limited", "\"dear\" in tags") },
        ],
        ..loopback()
    };
    let server = Running::damaged(b"", settings);
    let ask = |head: &str, text: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}], "context": {"plan": "y"}});
        server.send(
            &format!("POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer key{head}"),
            body.to_string().as_bytes(),
        )
    };
    let reply = ask("", "Hello");
    assert_eq!(
        (reply.status, reply.header("x-pointsman-target")),
        (200, Some("two")),
        "the default is not this tenant's"
    );
    assert_eq!(error_code(&ask("\r\nx-pointsman-tags: no", "Hello")), (403, "policy_refused".into()));
    assert_eq!(error_code(&ask("\r\nx-pointsman-tags: dear", "Hello")), (503, "router_unavailable".into()));
    assert_eq!(error_code(&ask("", &"long ".repeat(100))), (404, "constraint_filtered".into()), "about 125 tokens");
    assert!(fakes[0].requests().is_empty());
}

fn policy(name: &str, when: &str) -> PolicySettings {
    PolicySettings { name: name.into(), when: Some(when.into()), ..PolicySettings::default() }
}

#[test]
fn a_decision_that_fails_goes_to_the_default_target_too() {
    let fakes: [Fake; 2] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let targets = vec![fakes[0].target("one", "large"), fakes[1].target("two", "small")];
    let server =
        Running::with(Latencies::Known, Settings { targets, default_target: Some("two".into()), ..loopback() });
    server.reloader.sabotage();
    let reply = chat(&server, &asking("auto"));
    assert_eq!(
        (reply.header("x-pointsman-target"), reply.header("x-pointsman-reason")),
        (Some("two"), Some("degraded"))
    );
}

#[test]
fn rules_count_after_a_decision_that_failed() {
    let fakes: [Fake; 2] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let targets = vec![fakes[0].target("one", "large"), fakes[1].target("two", "small")];
    let policies = vec![
        PolicySettings { refuse: Some("no".into()), ..policy("refused", "\"no\" in tags") },
        PolicySettings { deny: vec!["large".into()], ..policy("small alone", "true") },
    ];
    let server = Running::with(Latencies::Known, Settings { targets, policies, ..loopback() });
    server.reloader.sabotage();
    let reply = chat(&server, &asking("auto"));
    assert_eq!(
        (reply.header("x-pointsman-target"), reply.header("x-pointsman-reason")),
        (Some("two"), Some("degraded"))
    );
    let body = asking("auto").to_string();
    let refused = server.send("POST /v1/chat/completions HTTP/1.1\r\nx-pointsman-tags: no", body.as_bytes());
    assert_eq!(error_code(&refused), (403, "policy_refused".into()));
    assert!(fakes[0].requests().is_empty());
}
