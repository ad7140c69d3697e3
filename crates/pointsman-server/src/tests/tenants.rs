//! Tenants over real sockets: who is let in, to which models, and how often.

use std::io::Write;

use serde_json::json;

use super::artifact::{Latencies, MODELS};
use super::client::{Reply, Running, loopback, request};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{KeySettings, Settings, StateSettings, TargetPrice, TargetSettings, TenantSettings};

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
fn requests_are_counted_by_tenant() {
    let server = serving(Vec::new());
    let body = json!({ "prompt": "hello" });
    for _ in 0..4 {
        ask(&server, "POST /v1/route", "few", &body);
    }
    ask(&server, "POST /v1/route", "all", &body);
    ask(&server, "POST /v1/route", "nobody", &body);
    let counted = |tenant: &str| {
        let mut samples = server.samples(&format!("pointsman_requests_total{{tenant=\"{tenant}\",route=\"route\""));
        samples.retain(|sample| !sample.ends_with(" 0"));
        samples.sort_unstable();
        samples
            .into_iter()
            .map(|sample| sample.split_once("outcome=").expect("a label").1.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(counted("few"), ["\"ok\"} 3", "\"refused\"} 1"]);
    assert_eq!((counted("all"), counted("")), (vec!["\"ok\"} 1".to_owned()], vec!["\"refused\"} 1".to_owned()]));
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
    let left = ["limit", "remaining"].map(|what| reply.header(&format!("x-ratelimit-{what}-requests")));
    assert_eq!(left, [Some("3"), Some("0")], "a refusal says so, too");
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

#[test]
fn what_has_no_price_is_not_for_a_budget() {
    let answer = json!({"object": "list", "data": [], "usage": {"prompt_tokens": 1000, "total_tokens": 1000}});
    let fakes = [0, 1].map(|_| Fake::new([Act::Reply(200, "", "application/json", answer.to_string())]));
    let embedding = |fake: &Fake, name: &str, price| TargetSettings {
        endpoints: vec!["embeddings".into()],
        price,
        ..fake.target(name, "embed")
    };
    let price = TargetPrice { input_usd_per_mtok: 5.0, output_usd_per_mtok: 0.0, cached_input_usd_per_mtok: None };
    let targets = vec![embedding(&fakes[0], "unpriced", None), embedding(&fakes[1], "priced", Some(price))];
    let tenants = |budget| {
        vec![
            TenantSettings { budget_usd_per_day: Some(budget), ..tenant("poor", &["*"], None) },
            tenant("rich", &["*"], None),
        ]
    };
    let embed = |server: &Running, name: &str| {
        ask(server, "POST /v1/embeddings", name, &json!({"model": "embed", "input": "hello"}))
    };
    // Five thousandths of a dollar each, all by the one whose price is known.
    let settings = Settings { targets: targets.clone(), tenants: tenants(0.012), ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let statuses = [0, 1, 2, 3].map(|_| embed(&server, "poor").status);
    assert_eq!((statuses, fakes[0].requests().len()), ([200, 200, 200, 402], 0));
    assert_eq!(embed(&server, "rich").status, 200);
    // With nobody else left the reply says why.
    let settings = Settings { targets: targets[..1].to_vec(), tenants: tenants(1.0), ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let refused = embed(&server, "poor");
    assert_eq!(refused.error(), (404, "constraint_filtered".into(), None));
    assert_eq!(refused.json()["error"]["metadata"]["excluded_by"], json!(["budget"]));
    assert_eq!((embed(&server, "rich").status, fakes[0].requests().is_empty()), (200, false));
}

#[test]
fn a_ledger_holds_no_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.db");
    let fake = Fake::new([completion("Hi")]);
    let target = TargetSettings { api_key: Some("sk-of-the-target".into()), ..fake.target("a", "small") };
    let settings = Settings {
        targets: vec![target],
        tenants: vec![TenantSettings { budget_usd_per_day: Some(1.0), ..tenant("acme", &["*"], Some(9)) }],
        state: Some(StateSettings { stores_prompts: true, ..StateSettings::new(Some(path)) }),
        ..loopback()
    };
    let server = Running::with(Latencies::Known, settings);
    let body = json!({ "model": "small", "messages": [{ "role": "user", "content": "words of theirs" }] });
    assert_eq!(ask(&server, "POST /v1/chat/completions", "acme", &body).status, 200);
    server.stop().join().expect("stopped");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        all.extend(std::fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    let holds = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("words of theirs") && holds("acme"), "this is where things would be");
    let digest = pointsman::artifact::identity(b"key-of-acme");
    for secret in ["key-of-acme", "sk-of-the-target", &digest] {
        assert!(!holds(secret), "{secret}");
    }
}

#[test]
fn a_tenants_objective_goes_behind_the_requests_own() {
    let cheap = TenantSettings { objective: Some(pointsman::Objective::Cheap), ..tenant("cheap", &["*"], None) };
    let exact = TenantSettings { objective: Some(pointsman::Objective::Lambda(1e9)), ..tenant("exact", &["*"], None) };
    let plain = tenant("plain", &["*"], None);
    let settings = Settings { objective: pointsman::Objective::Quality, ..loopback() };
    let server = Running::with(Latencies::Known, Settings { tenants: vec![cheap, exact, plain], ..settings });
    let model = |name: &str, head: &str, body: serde_json::Value| {
        let line = format!("POST /v1/route HTTP/1.1\r\nauthorization: Bearer key-of-{name}{head}");
        let reply = server.send(&line, body.to_string().as_bytes()).json();
        reply["model"].as_str().expect("a model").to_owned()
    };
    for (name, head, body, expected) in [
        ("plain", "", json!({"prompt": "hello"}), "large"),
        ("cheap", "", json!({"prompt": "hello"}), "small"),
        ("cheap", "", json!({"prompt": "hello", "model": "auto"}), "small"),
        ("exact", "", json!({"prompt": "hello"}), "large"),
        ("cheap", "\r\nx-pointsman-objective: quality", json!({"prompt": "hello"}), "large"),
        ("cheap", "", json!({"prompt": "hello", "model": "auto:quality"}), "large"),
        ("cheap", "", json!({"prompt": "hello", "pointsman": {"objective": "quality"}}), "large"),
    ] {
        assert_eq!(model(name, head, body.clone()), expected, "{name}{head} {body}");
    }
    let trial = json!({"request": {"prompt": "hello"}, "tenant": "cheap"}).to_string();
    let tried = server.tell("POST /admin/v1/policy/test HTTP/1.1", &trial).json();
    assert_eq!(tried["decision"]["model"], "small");
}

#[test]
fn an_objective_that_the_router_cannot_weigh_refuses_the_configuration() {
    let text = |more: &str| format!("[router]\npath = \"router.safetensors\"\n{more}");
    let server = Running::configured(&text(""));
    server.rewrite(&super::artifact::bytes(Latencies::Unknown));
    let fast = "objective = \"fast\"\n";
    let tenant = format!("[[tenants]]\nname = \"t\"\nkey_sha256 = [\"{}\"]\n{fast}", "0".repeat(64));
    for (more, named) in [(tenant, "tenant `t`"), (format!("[[policies]]\nname = \"p\"\n{fast}"), "policy `p`")] {
        server.edit(&text(&more));
        assert_eq!(server.administer("POST", "/admin/v1/reload").status, 409);
        let refused = server.tell("POST /admin/v1/config/validate HTTP/1.1", &text(&more)).json();
        let message = refused["error"]["message"].as_str().expect("text").to_owned();
        assert!(
            message.contains(&format!("{named}: objective expected quality, balanced, cheap or a number")),
            "{message}"
        );
    }
}

/// A tenant that may have one request at a time.
fn one_at_a_time(fake: &Fake) -> Running {
    let tenants =
        vec![TenantSettings { max_in_flight: Some(1), ..tenant("one", &["*"], None) }, tenant("all", &["*"], None)];
    Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], tenants, ..loopback() })
}

fn streaming(name: &str) -> Vec<u8> {
    let body = json!({ "model": "small", "stream": true, "messages": [{ "role": "user", "content": "hello" }] });
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer key-of-{name}");
    request(&head, body.to_string().as_bytes())
}

#[test]
fn requests_at_a_time_are_a_tenants_own_and_end_with_the_answer() {
    let fake = Fake::new([Act::Stall(vec![role(), delta("Hi")])]);
    let server = one_at_a_time(&fake);
    let mut stream = server.connect();
    stream.write_all(&streaming("one")).expect("the server reads");
    Reply::head(&mut stream);
    assert!(Reply::chunk(&mut stream).is_some(), "the answer has begun");
    let body = json!({ "prompt": "hello" });
    for path in ["POST /v1/route", "POST /v1/chat/completions", "GET /v1/models"] {
        let refused = ask(&server, path, "one", &body);
        assert_eq!(refused.error(), (429, "too_many_at_a_time".into(), None), "{path}");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(ask(&server, "POST /v1/route", "all", &body).status, 200, "others are not held up");
    assert_eq!(server.samples("pointsman_ratelimited_total"), ["pointsman_ratelimited_total{tenant=\"one\"} 3"]);
    // A reload forgets nobody who is being answered.
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(ask(&server, "POST /v1/route", "one", &body).status, 429);
    // The target goes silent and the stream is cut: that is an end, too.
    while Reply::chunk(&mut stream).is_some() {}
    for _ in 0..20 {
        assert_eq!(ask(&server, "POST /v1/route", "one", &body).status, 200, "who has read all may ask again at once");
    }
}

#[test]
fn who_leaves_gives_the_place_back() {
    let fake = Fake::new([Act::Stall(vec![role(), delta("Hi")])]);
    let server = one_at_a_time(&fake);
    let mut reading = server.connect();
    reading.write_all(&streaming("one")).expect("the server reads");
    Reply::head(&mut reading);
    drop(reading);
    let is_free = || ask(&server, "POST /v1/route", "one", &json!({ "prompt": "hello" })).status == 200;
    assert!((0..5_000).any(|_| is_free()), "in the middle of an answer");
    fake.acts([Act::Silence]);
    let mut waiting = server.connect();
    waiting.write_all(&streaming("one")).expect("the server reads");
    while fake.requests().len() < 2 {
        std::thread::yield_now();
    }
    assert!(!is_free());
    drop(waiting);
    assert!((0..5_000).any(|_| is_free()), "before there was one");
}

#[test]
fn a_key_that_has_expired_is_told_so() {
    let digest = |key: &str| pointsman::artifact::identity(key.as_bytes());
    let key = |name: &str, expires: &str| KeySettings { sha256: digest(name), expires: Some(expires.into()) };
    let keys = vec![key("key-of-old", "2020-01-01T00:00:00Z"), key("key-of-new", "2999-01-01T00:00:00+01:00")];
    let tenants = vec![TenantSettings { keys, ..TenantSettings::new("acme", Vec::new()) }];
    let server = Running::with(Latencies::Known, Settings { tenants, ..loopback() });
    let body = json!({ "prompt": "hello" });
    assert_eq!(ask(&server, "POST /v1/route", "new", &body).status, 200);
    let expired = ask(&server, "POST /v1/route", "old", &body);
    assert_eq!(expired.error(), (401, "invalid_api_key".into(), None));
    assert_eq!(expired.header("www-authenticate"), Some("Bearer"));
    assert!(expired.json()["error"]["message"].as_str().is_some_and(|message| message.contains("has expired")));
    let unknown = ask(&server, "POST /v1/route", "nobody", &body).json();
    assert!(unknown["error"]["message"].as_str().is_some_and(|message| !message.contains("expired")));
}

#[test]
fn a_key_that_is_left_out_opens_nothing_from_the_very_next_request() {
    let digest = |key: &str| pointsman::artifact::identity(key.as_bytes());
    let text = |keys: &[&str]| {
        let digests: Vec<String> = keys.iter().map(|key| format!("{{ sha256 = \"{}\" }}", digest(key))).collect();
        format!(
            "[router]\npath = \"router.safetensors\"\n[[tenants]]\nname = \"acme\"\nkeys = [{}]\n",
            digests.join(", ")
        )
    };
    let server = Running::configured(&text(&["key-of-a", "key-of-b"]));
    let status = |name: &str| ask(&server, "POST /v1/route", name, &json!({ "prompt": "hello" })).status;
    assert_eq!((status("a"), status("b")), (200, 200));
    let etag = server.administer("GET", "/admin/v1/config").header("etag").expect("an ETag").to_owned();
    let put = server.tell(&format!("PUT /admin/v1/config HTTP/1.1\r\nif-match: {etag}"), &text(&["key-of-b"]));
    assert_eq!((put.status, status("a"), status("b")), (200, 401, 200));
    server.edit(&text(&["key-of-a"]));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!((status("a"), status("b")), (200, 401));
}
