//! The operator's rules over real sockets: what they deny, set and refuse, and the dry run that says why.

use serde_json::{Value, json};

use super::artifact::{Latencies, MODELS};
use super::client::{Reply, Running, loopback, request};
use super::fake::{Fake, completion};
use crate::{PolicySettings, Settings, StateSettings};

fn rule(name: &str, when: &str) -> PolicySettings {
    PolicySettings { name: name.into(), when: Some(when.into()), ..PolicySettings::default() }
}

fn serving(policies: Vec<PolicySettings>, fakes: &[(&Fake, &str)]) -> Running {
    let targets = fakes.iter().map(|(fake, model)| fake.target(model, model)).collect();
    let state = Some(StateSettings::new(None));
    Running::with(Latencies::Known, Settings { targets, policies, state, ..loopback() })
}

fn test(server: &Running, body: &Value) -> Reply {
    let mut stream = std::net::TcpStream::connect(server.admin).expect("the server listens");
    let bytes = request("POST /admin/v1/policy/test HTTP/1.1", body.to_string().as_bytes());
    std::io::Write::write_all(&mut stream, &bytes).expect("the server reads");
    Reply::read(&mut stream)
}

fn rules() -> Vec<PolicySettings> {
    vec![
        PolicySettings {
            refuse: Some("not from here".into()),
            ..rule("embargo", r#"has(context.country) && context.country == "xx""#)
        },
        PolicySettings { deny: vec!["large".into()], ..rule("free-plan", r#"context.plan == "free""#) },
        PolicySettings {
            objective: Some(pointsman::Objective::Quality),
            ..rule("pro-plan", r#"context.plan == "pro""#)
        },
    ]
}

#[test]
fn a_rule_denies_sets_and_refuses_for_decisions_and_completions() {
    let fakes = (Fake::new([completion("Hi")]), Fake::new([completion("Hi")]));
    let server = serving(rules(), &[(&fakes.0, "small"), (&fakes.1, "large")]);
    let route = |context: Value| {
        server.route(&json!({"model": "auto:quality", "prompt": "hello", "context": context}).to_string()).json()
    };
    let free = route(json!({"plan": "free"}));
    assert_eq!((free["policy"].as_str(), free["model"].as_str()), (Some("free-plan"), Some("small")));
    assert!(free["candidates"].as_array().expect("a list").iter().all(|entry| entry["model"] != "large"));
    // The rule's objective goes before the request's.
    let body = json!({"model": "auto:cheap", "prompt": "hello", "context": {"plan": "pro"}});
    let pro = server.route(&body.to_string()).json();
    assert_eq!((pro["policy"].as_str(), pro["model"].as_str()), (Some("pro-plan"), Some(MODELS[2])));
    // Who says nothing of a plan is not let off: a rule that denies holds where it cannot be evaluated.
    assert_eq!(route(json!({}))["policy"], "free-plan");
    let embargo =
        json!({"model": "small", "messages": [{"role": "user", "content": "x"}], "context": {"country": "xx"}});
    let refused = server.send("POST /v1/chat/completions HTTP/1.1", embargo.to_string().as_bytes());
    assert_eq!(refused.error().1, "policy_refused");
    assert_eq!(refused.status, 403);
    assert!(refused.json()["error"]["message"].as_str().expect("text").contains("not from here"));
    let dear = json!({"model": "large", "messages": [{"role": "user", "content": "x"}], "context": {"plan": "free"}});
    assert_eq!(server.send("POST /v1/chat/completions HTTP/1.1", dear.to_string().as_bytes()).status, 404);
    let auto = json!({"messages": [{"role": "user", "content": "x"}], "context": {"plan": "pro"}});
    let answered = server.send("POST /v1/chat/completions HTTP/1.1", auto.to_string().as_bytes());
    assert_eq!(answered.header("x-pointsman-target"), Some("large"));
    assert_eq!(fakes.0.requests().len(), 0);
}

#[test]
fn a_dry_run_says_which_rule_counts_and_why_and_keeps_nothing() {
    let server = serving(rules(), &[]);
    let tried =
        test(&server, &json!({"request": {"prompt": "hello", "context": {"plan": "free"}}, "region": "eu"})).json();
    assert_eq!(tried["policy"], "free-plan");
    let held: Vec<bool> = tried["rules"].as_array().expect("a list").iter().map(|rule| rule["holds"] == true).collect();
    assert_eq!(held, [false, true, false]);
    assert_eq!(
        (tried["rules"][1]["denies"].clone(), tried["decision"]["policy"].as_str()),
        (json!(["large"]), Some("free-plan"))
    );
    let missing = test(&server, &json!({"request": {"prompt": "hello"}})).json();
    assert!(missing["rules"][1]["error"].as_str().is_some_and(|why| why.contains("plan")), "{missing}");
    assert_eq!(
        missing["rules"][2]["holds"], false,
        "what only sets an objective does not hold where it cannot be evaluated"
    );
    let refused = test(&server, &json!({"request": {"prompt": "hello", "context": {"country": "xx"}}})).json();
    assert_eq!(refused["decision"]["error"]["code"], "policy_refused");
    assert_eq!(server.administer("GET", "/admin/v1/decisions").json()["decisions"], json!([]));
    assert_eq!(server.administer("GET", "/admin/v1/status").json()["decisions"], 0);
    let invalid = test(&server, &json!({"request": {"prompt": 1}})).json();
    assert_eq!(invalid["decision"]["error"]["param"], "prompt");
    let nobody = test(&server, &json!({"request": {"prompt": "x"}, "tenant": "nobody"}));
    assert_eq!(nobody.error(), (404, "tenant_not_found".into(), Some("tenant".into())));
    for bad in [json!([]), json!({}), json!([{}, null, null]), json!({"request": []}), json!({"request": {}, "x": 1})] {
        assert_eq!(test(&server, &bad).status, 400, "{bad}");
    }
}

#[test]
fn a_field_that_is_left_out_lets_nobody_past_a_refusal() {
    let policies = vec![
        PolicySettings { deny: vec!["large".into()], ..rule("free-plan", r#"context.plan == "free""#) },
        PolicySettings {
            refuse: Some("not from here".into()),
            ..rule("embargo", r#"has(context.country) && context.country == "xx""#)
        },
    ];
    let server = Running::with(Latencies::Known, Settings { policies, ..loopback() });
    let ask = |context: Value| server.route(&json!({"prompt": "hello", "context": context}).to_string());
    for context in [json!({"country": "xx", "plan": "pro"}), json!({"country": "xx"})] {
        assert_eq!(ask(context.clone()).status, 403, "{context}");
    }
    let narrowed = ask(json!({"country": "de"}));
    assert_eq!((narrowed.status, &narrowed.json()["policy"]), (200, &json!("free-plan")), "nobody knows the plan");
}
