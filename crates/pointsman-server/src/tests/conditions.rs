//! Rules by who asks, from what, when and for what: over real sockets, by the target that is reached.

use serde_json::{Value, json};

use super::artifact::{CODE, Latencies};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::{PolicySettings, Settings, TargetSettings};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Examplebot/2.1)";

fn rule(name: &str, when: &str) -> PolicySettings {
    PolicySettings { name: name.into(), when: Some(when.into()), ..PolicySettings::default() }
}

fn only(models: &[&str], rule: PolicySettings) -> PolicySettings {
    PolicySettings { allow: models.iter().map(|&model| model.to_owned()).collect(), ..rule }
}

/// A target for each model; the first two are in the US, the last in the EU.
fn targets(fakes: &[Fake; 3]) -> Vec<TargetSettings> {
    let places = [("s", "small", "us"), ("c", "code é", "us"), ("l", "large", "eu")];
    let target = |(fake, (name, model, region)): (&Fake, (&str, &str, &str))| TargetSettings {
        region: Some(region.to_owned()),
        ..fake.target(name, model)
    };
    fakes.iter().zip(places).map(target).collect()
}

fn fakes() -> [Fake; 3] {
    std::array::from_fn(|_| Fake::new([completion("Hi")]))
}

fn serving(policies: Vec<PolicySettings>, fakes: &[Fake; 3]) -> Running {
    Running::with(Latencies::Known, Settings { targets: targets(fakes), policies, ..loopback() })
}

fn chat(server: &Running, headers: &str, more: &Value) -> Reply {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    server.send(&format!("POST /v1/chat/completions HTTP/1.1{headers}"), body.to_string().as_bytes())
}

/// Who answered, or the code of the refusal.
fn came_to(reply: &Reply) -> String {
    reply.header("x-pointsman-target").map_or_else(|| reply.error().1, str::to_owned)
}

#[test]
fn the_same_prompt_goes_where_the_rules_say() {
    let fakes = fakes();
    let policies = vec![
        PolicySettings { refuse: Some("no bots".into()), ..rule("bots", r#"device == "bot""#) },
        only(&["small"], rule("phones", r#"device in ["mobile", "tablet"]"#)),
        only(&["large"], rule("beta", r#""beta" in tags || tags.exists(tag, tag.startsWith("team:"))"#)),
        only(&["code é"], rule("plan", r#"has(metadata.plan) && metadata.plan == "pro""#)),
        PolicySettings { region: Some("eu".into()), ..rule("austria", r#"locale == "de-at""#) },
        PolicySettings { max_cost_usd: Some(5e-3), ..rule("long", "tokens > 100") },
        PolicySettings { min_quality: Some(0.9), ..rule("tools", "tools > 0") },
        PolicySettings { max_latency_ms: Some(350.0), ..rule("json", "json") },
    ];
    let server = serving(policies, &fakes);
    let of = |user_agent: &str| format!("\r\nuser-agent: {user_agent}");
    let long = json!({"model": "auto:quality", "messages": [{"role": "user", "content": "hello ".repeat(100)}]});
    let quality = json!({"model": "auto:quality"});
    let tools = json!({"model": "auto:cheap", "tools": [{"type": "function", "function": {"name": "f"}}]});
    let as_json = json!({"model": "auto:quality", "response_format": {"type": "json_object"}});
    let code = json!([{"role": "user", "content": CODE}]);
    for (headers, more, expected) in [
        (String::new(), quality.clone(), "l"),
        (of("OpenAI/Python 1.109.1"), quality.clone(), "l"),
        (of(PHONE), quality.clone(), "s"),
        (of(PHONE), json!({"model": "auto:quality", "messages": code}), "s"),
        (of(PHONE), json!({"model": "large"}), "constraint_filtered"),
        (of(CRAWLER), quality.clone(), "policy_refused"),
        ("\r\nx-pointsman-tags: x, beta".into(), json!({"model": "auto:cheap"}), "l"),
        ("\r\nx-pointsman-tags: team:search".into(), json!({"model": "auto:cheap"}), "l"),
        ("\r\nx-pointsman-tags: beta2".into(), json!({"model": "auto:cheap"}), "s"),
        (String::new(), json!({"model": "auto:cheap", "metadata": {"plan": "pro"}}), "c"),
        (String::new(), json!({"model": "auto:cheap", "metadata": {"plan": "free", "none": null}}), "s"),
        (String::new(), json!({"model": "auto:cheap", "metadata": null}), "s"),
        ("\r\naccept-language: de-AT, en;q=0.5".into(), json!({"model": "auto:cheap"}), "l"),
        ("\r\naccept-language: en, de-AT;q=0.5".into(), json!({"model": "auto:cheap"}), "s"),
        // A header does not widen what a rule requires, and repeats it at most.
        ("\r\naccept-language: de-AT\r\nx-pointsman-region: us".into(), quality.clone(), "region_restricted"),
        ("\r\naccept-language: de-AT\r\nx-pointsman-region: eu".into(), quality.clone(), "l"),
        (String::new(), long, "s"),
        (String::new(), tools, "l"),
        (String::new(), as_json, "s"),
        // Limits of a request's own count beside a rule's.
        (
            String::new(),
            json!({"response_format": {"type": "json_object"}, "pointsman": {"max_latency_ms": 1}}),
            "constraint_filtered",
        ),
        (
            String::new(),
            json!({"response_format": {"type": "json_object"}, "pointsman": {"max_latency_ms": 9999}}),
            "s",
        ),
    ] {
        assert_eq!(came_to(&chat(&server, &headers, &more)), expected, "{headers} {more}");
    }
}

#[test]
fn metadata_goes_on_as_it_is_and_is_looked_at_only_where_a_rule_asks() {
    let fakes = fakes();
    let odd = json!({"model": "small", "metadata": {"plan": ["not", {"a": "string"}]}});
    let without = serving(vec![rule("turns", "turns > 5 && tools > 3").clone()], &fakes);
    assert_eq!(came_to(&chat(&without, "", &odd)), "s");
    assert_eq!(fakes[0].requests()[0].body["metadata"], odd["metadata"]);

    let asking = serving(vec![only(&["small"], rule("plan", r#"metadata.plan == "free""#))], &fakes);
    let (status, code, param) = chat(&asking, "", &odd).error();
    assert_eq!((status, code.as_str(), param.as_deref()), (400, "invalid_request", Some("metadata")));
    let text = chat(&asking, "", &json!({"metadata": "pro"}));
    assert_eq!(text.json()["error"]["message"], "metadata: expected an object of strings, got a string");
    let plan = json!({"model": "auto:quality", "metadata": {"plan": "pro"}});
    assert_eq!(came_to(&chat(&asking, "", &plan)), "l");
    assert_eq!(fakes[2].requests()[0].body["metadata"], plan["metadata"]);
    // A rule that takes something away holds where the request does not say.
    assert_eq!(came_to(&chat(&asking, "", &json!({"model": "auto:quality"}))), "s");
}

#[test]
fn tags_that_are_none_are_refused() {
    let server = Running::new();
    for path in ["/v1/route", "/v1/route/batch", "/v1/feedback"] {
        for bad in [",", "a,,b", "a b", &"a".repeat(65), &vec!["a"; 33].join(",")] {
            let head = format!("POST {path} HTTP/1.1\r\nx-pointsman-tags: {bad}");
            let (status, code, param) = server.send(&head, br#"{"prompt": "hello"}"#).error();
            assert_eq!((status, code.as_str(), param.as_deref()), (400, "invalid_request", Some("x-pointsman-tags")));
        }
    }
    let head = "POST /v1/route HTTP/1.1\r\nx-pointsman-tags: a\r\nx-pointsman-tags: b , c";
    assert_eq!(server.send(head, br#"{"prompt": "hello"}"#).status, 200);
}

#[test]
fn a_rules_region_holds_for_fallbacks_and_for_embeddings() {
    let fakes = [Fake::new([completion("Hi")]), Fake::new([completion("Hi")]), Fake::new([Act::Hangup])];
    let embedding = |fake: &Fake, name: &str, region: &str| TargetSettings {
        region: Some(region.to_owned()),
        endpoints: vec!["embeddings".into()],
        ..fake.target(name, "embedder")
    };
    let answer = json!({"object": "list", "data": [], "model": "embedder"}).to_string();
    let eu = Fake::new([Act::Reply(200, "", "application/json", answer)]);
    let mut targets = targets(&fakes);
    targets.extend([embedding(&fakes[0], "e-us", "us"), embedding(&eu, "e-eu", "eu")]);
    let policies = vec![PolicySettings { name: "eu".into(), region: Some("eu".into()), ..PolicySettings::default() }];
    let server = Running::with(Latencies::Known, Settings { targets, policies, ..loopback() });
    // The only target of the region is down: nobody else is asked.
    assert_eq!(came_to(&chat(&server, "", &json!({}))), "region_restricted");
    assert_eq!(came_to(&chat(&server, "", &json!({"model": "small"}))), "region_restricted");
    assert!(fakes[0].requests().is_empty() && fakes[1].requests().is_empty());
    let embed = |headers: &str| {
        let head = format!("POST /v1/embeddings HTTP/1.1{headers}");
        server.send(&head, json!({"model": "embedder", "input": "hello"}).to_string().as_bytes())
    };
    assert_eq!(came_to(&embed("")), "e-eu");
    assert_eq!(came_to(&embed("\r\nx-pointsman-region: us")), "region_restricted");
    assert!(fakes[0].requests().is_empty());
}

#[test]
fn a_dry_run_is_told_what_headers_and_clocks_would_say() {
    let policies = vec![
        only(&["small"], rule("phones", r#"device == "mobile""#)),
        PolicySettings {
            max_cost_usd: Some(5e-3),
            region: Some("eu".into()),
            ..rule("night", "weekday < 6 && (hour < 6 || hour >= 22)")
        },
        PolicySettings { objective: Some(pointsman::Objective::Lambda(0.5)), ..rule("beta", r#""beta" in tags"#) },
        PolicySettings {
            split: [("small".to_owned(), 9.0), ("large".to_owned(), 1.0)].into(),
            ..rule("german", r#"locale.startsWith("de")"#)
        },
    ];
    let server = serving(policies, &fakes());
    let test = |more: Value| {
        let mut trial = json!({"request": {"prompt": "hello"}, "time": "2026-11-29T23:30:00Z"});
        trial.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        server.tell("POST /admin/v1/policy/test HTTP/1.1", &trial.to_string())
    };
    for (more, expected) in [
        (json!({}), Value::Null),
        (json!({"user_agent": PHONE}), json!("phones")),
        (json!({"time": "2026-11-30T05:59:59+00:00"}), json!("night")),
        (json!({"time": "2026-11-30T07:30:00+02:00"}), json!("night")),
        (json!({"time": "2026-11-30T06:00:00Z"}), Value::Null),
        (json!({"tags": ["x", "beta"]}), json!("beta")),
        (json!({"locale": "de-AT,en;q=0.5"}), json!("german")),
        (json!({"user_agent": null, "tags": null, "locale": null}), Value::Null),
    ] {
        assert_eq!(test(more.clone()).json()["policy"], expected, "{more}");
    }
    let told = test(json!({"user_agent": PHONE, "tags": ["a"], "locale": "de-AT"})).json();
    let seen = json!({"device": "mobile", "hour": 23, "weekday": 7, "locale": "de-at", "tags": ["a"]});
    assert_eq!(told["variables"], seen, "what no rule asks for is not looked up");
    let sets: Vec<&Value> = told["rules"].as_array().expect("a list").iter().map(|rule| &rule["sets"]).collect();
    assert_eq!(*sets[1], json!({"max_cost_usd": 5e-3, "region": "eu"}));
    assert_eq!((sets[2], sets[3]), (&json!({"objective": 0.5}), &json!({"split": {"small": 9.0, "large": 1.0}})));
    for (bad, param) in [
        (json!({"tags": []}), "tags"),
        (json!({"tags": ["a b"]}), "tags"),
        (json!({"tags": ["a", 1]}), "tags"),
        (json!({"tags": "a"}), "tags"),
        (json!({"user_agent": "a\nb"}), "user_agent"),
        (json!({"user_agent": "a".repeat(1025)}), "user_agent"),
        (json!({"locale": "ä\u{7}"}), "locale"),
        (json!({"time": "2026-11-30"}), "time"),
        (json!({"time": 5}), "time"),
        (json!({"region": "a b"}), "region"),
        (json!({"request": []}), "request"),
    ] {
        let (status, _, at) = test(bad.clone()).error();
        assert_eq!((status, at.as_deref()), (400, Some(param)), "{bad}");
    }
    let unknown = test(json!({"useragent": "x"})).json();
    assert_eq!(unknown["error"]["message"], "body: expected `user_agent`, got the unknown key `useragent`");
}
