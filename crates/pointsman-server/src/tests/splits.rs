//! Traffic split by weight: over real sockets.

use serde_json::{Value, json};

use super::artifact::{CODE, Latencies, trained_on};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::{PolicySettings, Settings, StateSettings, TenantSettings};

const SESSIONS: usize = 10_000;

fn split(weights: &[(&str, f64)]) -> PolicySettings {
    let split = weights.iter().map(|(model, weight)| ((*model).to_owned(), *weight)).collect();
    PolicySettings { name: "trial".into(), split, ..PolicySettings::default() }
}

fn serving(policy: PolicySettings) -> Running {
    Running::with(Latencies::Known, Settings { policies: vec![policy], ..loopback() })
}

/// What each of so many sessions is given.
fn models(server: &Running, sessions: usize) -> Vec<String> {
    let line = |session: usize| json!({"prompt": "hello", "session_id": format!("s-{session}")}).to_string() + "\n";
    let answers = server.batch(&(0..sessions).map(line).collect::<String>());
    let model = |answer: &Value| {
        assert_eq!((&answer["reason"], &answer["policy"]), (&json!("split"), &json!("trial")));
        assert_eq!(answer["models"].as_array().map(Vec::len), Some(3), "the others are fallbacks");
        assert_eq!(answer["models"][0], answer["model"]);
        answer["model"].as_str().expect("a name").to_owned()
    };
    answers.iter().map(model).collect()
}

fn route(server: &Running, body: &Value) -> Value {
    server.route(&body.to_string()).json()
}

fn model(answer: &Value) -> &str {
    answer["model"].as_str().expect("a name")
}

#[test]
fn shares_are_as_the_weights_are_and_a_session_keeps_its_model() {
    let weights = [("small", 60.0), ("code é", 10.0), ("large", 30.0)];
    let server = serving(split(&weights));
    let first = models(&server, SESSIONS);
    for (name, weight) in weights {
        let share = weight / 100.0;
        let (expected, sigma) = (share * SESSIONS as f64, (share * (1.0 - share) * SESSIONS as f64).sqrt());
        let count = first.iter().filter(|model| *model == name).count() as f64;
        assert!((count - expected).abs() < 3.0 * sigma, "{name}: {count} of {expected} ± {sigma}");
    }
    // Neither another artifact nor a new process moves one.
    server.rewrite(&trained_on(Latencies::Known, 7));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(models(&server, 500), first[..500]);
    server.stop().join().expect("stopped");
    assert_eq!(models(&serving(split(&weights)), 500), first[..500]);
    let salted = PolicySettings { name: "other".into(), ..split(&weights) };
    let line = |session: usize| json!({"prompt": "hello", "session_id": format!("s-{session}")}).to_string() + "\n";
    let other = serving(salted).batch(&(0..500).map(line).collect::<String>());
    assert!((0..500).any(|session| model(&other[session]) != first[session]), "another rule draws anew");
}

#[test]
fn a_unit_is_a_session_else_the_beginning_of_a_conversation_of_a_tenant() {
    let server = serving(split(&[("small", 50.0), ("large", 50.0)]));
    let turns = |first: &str, last: &str| json!({"messages": [{"role": "user", "content": first}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": last}]});
    let distinct = |answers: Vec<Value>| {
        let mut models: Vec<String> = answers.iter().map(|answer| model(answer).to_owned()).collect();
        models.sort();
        models.dedup();
        models.len()
    };
    assert_eq!(distinct((0..20).map(|last| route(&server, &turns("hello", &last.to_string()))).collect()), 1);
    assert_eq!(distinct((0..40).map(|first| route(&server, &turns(&first.to_string(), "on"))).collect()), 2);
    // Three ways to name a session, and one for whoever says nothing at all.
    let prompts = ["hello", CODE];
    for name in ["session_id", "prompt_cache_key"] {
        assert_eq!(distinct(prompts.map(|prompt| route(&server, &json!({"prompt": prompt, name: "s-1"}))).into()), 1);
    }
    let of_header = |session: usize| {
        let head = format!("POST /v1/route HTTP/1.1\r\nx-session-id: s-{session}");
        server.send(&head, br#"{"prompt": "hello"}"#).json()
    };
    assert_eq!(model(&of_header(3)), model(&route(&server, &json!({"prompt": "x", "session_id": "s-3"}))));
    assert_eq!(distinct((0..40).map(|_| route(&server, &json!({"prompt": ""}))).collect()), 2);

    let key = |key: &str| pointsman::artifact::identity(key.as_bytes());
    let tenants = (0..40).map(|number| TenantSettings::new(format!("t{number}"), vec![key(&format!("k{number}"))]));
    let policies = vec![split(&[("small", 50.0), ("large", 50.0)])];
    let server = Running::with(Latencies::Known, Settings { tenants: tenants.collect(), policies, ..loopback() });
    let of_tenant = |number: usize| {
        let head = format!("POST /v1/route HTTP/1.1\r\nauthorization: Bearer k{number}");
        server.send(&head, br#"{"prompt": "hello", "session_id": "s-1"}"#).json()
    };
    assert_eq!(distinct((0..40).map(of_tenant).collect()), 2, "a session is its tenant's own");
}

#[test]
fn it_binds_only_what_leaves_the_choice_to_the_router_and_what_may_answer() {
    let server = serving(split(&[("small", 50.0), ("large", 50.0)]));
    let ask = |session: usize, more: Value| {
        let mut body = json!({"prompt": "hello", "session_id": format!("s-{session}")});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        route(&server, &body)
    };
    let told = |answer: &Value| (model(answer).to_owned(), answer["reason"].as_str().expect("a reason").to_owned());
    for session in 0..20 {
        assert_eq!(told(&ask(session, json!({"model": "code é"}))), ("code é".into(), "requested".into()));
        assert_eq!(told(&ask(session, json!({"models": ["code é", "small"]}))), ("code é".into(), "requested".into()));
        assert_eq!(told(&ask(session, json!({"model": "auto:cheap"}))).1, "split");
        let without = ask(session, json!({"pointsman": {"deny": ["large"]}}));
        assert_eq!(told(&without), ("small".into(), "split".into()));
        let cheap = ask(session, json!({"pointsman": {"max_cost_usd": 5e-3}}));
        assert_eq!(told(&cheap), ("small".into(), "split".into()), "a limit is hard");
        // Where none of its models may answer, the router decides.
        let neither = ask(session, json!({"pointsman": {"deny": ["large", "small"]}}));
        assert_eq!(told(&neither), ("code é".into(), "only_candidate".into()));
        assert_eq!(neither["policy"], "trial");
    }
}

#[test]
fn a_completion_goes_to_what_was_drawn_and_falls_back_from_it() {
    let (small, large) = (Fake::new([Act::Hangup]), Fake::new([completion("Hi")]));
    let targets = vec![small.target("s", "small"), large.target("l", "large")];
    let policies = vec![split(&[("small", 3.0), ("code é", 1.0)])];
    let state = Some(StateSettings::new(None));
    let server = Running::with(Latencies::Known, Settings { targets, policies, state, ..loopback() });
    let chat = |session: usize| -> Reply {
        let body = json!({"session_id": format!("s-{session}"), "messages": [{"role": "user", "content": "hello"}]});
        server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
    };
    let drawn = |session: usize| {
        model(&route(&server, &json!({"prompt": "hello", "session_id": format!("s-{session}")}))).to_owned()
    };
    let session = (0..100).find(|session| drawn(*session) == "small").expect("one of a hundred");
    // A session that was answered by a fallback goes on with what was drawn once that is back.
    let fallen = chat(session);
    assert_eq!((fallen.header("x-pointsman-target"), fallen.header("x-pointsman-reason")), (Some("l"), Some("split")));
    small.acts([completion("Hi")]);
    let back = chat(session);
    assert_eq!((back.header("x-pointsman-target"), back.header("x-pointsman-attempts")), (Some("s"), Some("1")));
    let split = server.samples("pointsman_decisions_total{").into_iter().filter(|line| line.contains("\"split\""));
    assert!(split.count() >= 1, "the reason is of the closed set");
}
