//! Decisions on file: what is recorded, told and judged, over real sockets.

use serde_json::{Value, json};

use super::artifact::{Latencies, MODELS};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{Settings, StateSettings, TargetSettings, TenantSettings};

fn serving(targets: Vec<TargetSettings>, tenants: Vec<TenantSettings>) -> Running {
    let state = Some(StateSettings::new(None));
    Running::with(Latencies::Known, Settings { targets, tenants, state, ..loopback() })
}

fn chat(server: &Running, stream: bool) -> Reply {
    ask(server, "small", stream)
}

fn ask(server: &Running, model: &str, stream: bool) -> Reply {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "secret words"}], "stream": stream});
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn judge(server: &Running, head: &str, body: &Value) -> Reply {
    server.send(&format!("POST /v1/feedback HTTP/1.1{head}"), body.to_string().as_bytes())
}

pub(super) fn decision_id(reply: &Reply) -> String {
    reply.header("x-pointsman-decision-id").expect("a decision").to_owned()
}

fn told(server: &Running, id: &str) -> Value {
    server.administer("GET", &format!("/admin/v1/decisions/{id}")).json()
}

/// What is told of a decision once it is settled: a stream's end reaches the ledger a moment after the client.
pub(super) fn settled(server: &Running, id: &str) -> Value {
    for _ in 0..100 {
        let told = told(server, id);
        if !told["outcome"].is_null() {
            return told;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("never settled: {id}")
}

#[test]
fn a_completion_is_told_with_its_tokens_its_cost_and_what_was_said_of_it() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", "small")], Vec::new());
    let reply = chat(&server, false);
    let id = decision_id(&reply);
    // Three tokens in, one out, at the fixture's prices.
    let cost: f64 = reply.header("x-pointsman-cost-usd").expect("a cost").parse().expect("a number");
    assert!((cost - 5e-6).abs() < 1e-12, "{cost}");
    let judged =
        judge(&server, "", &json!({"decision_id": id, "metric": "helpful", "value": true, "tags": {"who": "me"}}));
    assert_eq!(judged.status, 200);
    assert!(judged.json()["feedback_id"].as_str().is_some_and(|id| id.starts_with("fb-")));
    let told = told(&server, &id);
    assert_eq!(
        (told["model"].as_str(), told["reason"].as_str(), told["route"].as_str()),
        (Some("small"), Some("requested"), Some("small"))
    );
    let outcome = &told["outcome"];
    assert_eq!((outcome["outcome"].as_str(), outcome["target"].as_str()), (Some("answered"), Some("a")));
    assert_eq!((outcome["input_tokens"].as_u64(), outcome["output_tokens"].as_u64()), (Some(3), Some(1)));
    assert!((outcome["cost_usd"].as_f64().expect("a number") - cost).abs() < 1e-9);
    assert_eq!(told["feedback"][0]["value"], 1.0);
    assert!(!told.to_string().contains("secret"), "texts are not told: {told}");
    let listed = server.administer("GET", "/admin/v1/decisions?limit=5").json();
    assert_eq!(listed["decisions"].as_array().expect("a list").len(), 1);
}

#[test]
fn streams_are_told_whole_cut_and_failed() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n".to_owned();
    let fake = Fake::new([
        Act::Stream(vec![role(), delta("Hi"), usage]),
        Act::Cut(vec![role(), delta("Hi")]),
        Act::Reply(400, "", "application/json", "{\"error\":{}}".into()),
    ]);
    let server = serving(vec![fake.target("a", "small")], Vec::new());
    let told = settled(&server, &decision_id(&chat(&server, true)));
    let outcome = &told["outcome"];
    assert_eq!((outcome["outcome"].as_str(), outcome["input_tokens"].as_u64()), (Some("answered"), Some(7)));
    assert!(outcome["first_token_ms"].as_f64() <= outcome["latency_ms"].as_f64());
    assert_eq!(settled(&server, &decision_id(&chat(&server, true)))["outcome"]["outcome"], "cut");
    assert_eq!(settled(&server, &decision_id(&chat(&server, false)))["outcome"]["outcome"], "refused");
    let nobody = serving(vec![Fake::new([Act::Hangup]).target("a", "small")], Vec::new());
    assert_eq!(chat(&nobody, false).status, 502);
    let listed = nobody.administer("GET", "/admin/v1/decisions").json();
    assert_eq!(listed["decisions"][0]["outcome"]["outcome"], "upstream_failed");
}

#[test]
fn a_decision_alone_is_told_and_judged_too() {
    let server = serving(Vec::new(), Vec::new());
    let reply = server.route(
        r#"{"prompt": "hello", "context": {"plan": "free"}, "session_id": "s", "pointsman": {"prompt_id": "my-1"}}"#,
    );
    let told = told(&server, &decision_id(&reply));
    assert_eq!((told["prompt_id"].as_str(), told["session"].as_str()), (Some("my-1"), Some("s")));
    assert!(told["outcome"].is_null() && told["baseline_cost_usd"].is_f64());
    let lines = server.batch("{\"prompt\":\"one\"}\n{\"prompt\":\"one\"}\n{\"prompt\":\"two\"}\n");
    let prompt_id =
        |line: &Value| self::told(&server, line["decision_id"].as_str().expect("an id"))["prompt_id"].clone();
    assert_eq!(prompt_id(&lines[0]), prompt_id(&lines[1]));
    assert_ne!(prompt_id(&lines[0]), prompt_id(&lines[2]));
    assert_eq!(
        judge(&server, "", &json!({"decision_id": decision_id(&reply), "metric": "m", "value": 0.25})).status,
        200
    );
}

#[test]
fn feedback_that_makes_no_sense_is_refused() {
    let server = serving(Vec::new(), Vec::new());
    let id = decision_id(&server.route(r#"{"prompt": "hello"}"#));
    let good = json!({"decision_id": id, "metric": "m", "value": 1});
    for (key, value, code, param) in [
        ("value", json!(2), "invalid_request", "value"),
        ("value", json!(-0.1), "invalid_request", "value"),
        ("value", json!("1"), "invalid_request", "value"),
        ("value", Value::Null, "invalid_request", "value"),
        ("metric", json!("a b"), "invalid_request", "metric"),
        ("metric", json!(""), "invalid_request", "metric"),
        ("tags", json!([1]), "invalid_request", "tags"),
        ("dryrun", json!("yes"), "invalid_request", "dryrun"),
        ("decision_id", json!("dec-0"), "decision_not_found", "decision_id"),
    ] {
        let mut body = good.clone();
        body[key] = value;
        let (_, found, at) = judge(&server, "", &body).error();
        assert_eq!((found.as_str(), at.as_deref()), (code, Some(param)), "{body}");
    }
    let mut unknown = good.clone();
    unknown["metrics"] = json!(1);
    assert!(judge(&server, "", &unknown).json()["error"]["message"].as_str().expect("text").contains("`metric`"));
    assert_eq!(judge(&server, "", &json!([])).status, 400);
    let mut dry = good.clone();
    dry["dryrun"] = json!(true);
    assert!(judge(&server, "", &dry).json()["feedback_id"].is_null());
    assert_eq!(told(&server, &id)["feedback"], json!([]));
    // The same key means the same feedback.
    let keyed = "\r\nidempotency-key: k-1";
    let first = judge(&server, keyed, &good).json()["feedback_id"].clone();
    assert_eq!(judge(&server, keyed, &good).json()["feedback_id"], first);
    let mut other = good.clone();
    other["value"] = json!(0);
    assert_eq!(judge(&server, keyed, &other).error().1, "idempotency_key_reused");
    assert_eq!(told(&server, &id)["feedback"].as_array().expect("a list").len(), 1);
}

#[test]
fn a_tenant_judges_its_own_decisions_alone() {
    let tenant = |name: &str| {
        TenantSettings::new(name, vec![pointsman::artifact::identity(format!("key-of-{name}").as_bytes())])
    };
    let server = serving(Vec::new(), vec![tenant("one"), tenant("two")]);
    let ask = |line: &str, name: &str, body: &Value| {
        server.send(&format!("{line} HTTP/1.1\r\nauthorization: Bearer key-of-{name}"), body.to_string().as_bytes())
    };
    let id = decision_id(&ask("POST /v1/route", "one", &json!({"prompt": "hello"})));
    let body = json!({"decision_id": id, "metric": "m", "value": 1});
    assert_eq!(ask("POST /v1/feedback", "two", &body).error().1, "decision_not_found");
    assert_eq!(ask("POST /v1/feedback", "one", &body).status, 200);
    assert_eq!(told(&server, &id)["tenant"], "one");
}

#[test]
fn without_state_feedback_is_refused_and_the_page_says_so() {
    let server = Running::new();
    let reply = judge(&server, "", &json!({"decision_id": "d", "metric": "m", "value": 1}));
    assert_eq!(reply.error().1, "no_state");
    assert_eq!(server.administer("GET", "/admin/v1/decisions").error().1, "no_state");
    let status = server.administer("GET", "/admin/v1/status").json();
    assert_eq!((status["state"].as_str(), status["recent"].as_array().map(Vec::len)), (Some("off"), Some(0)));
}

#[test]
fn texts_are_kept_where_the_operator_wants_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.db");
    let stored = |stores_prompts: bool| {
        let state = Some(StateSettings { stores_prompts, ..StateSettings::new(Some(path.clone())) });
        let server = Running::with(Latencies::Known, Settings { state, ..loopback() });
        server.route(
            r#"{"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hello"}]}"#,
        );
        server.stop().join().expect("stopped");
        let mut messages = Vec::new();
        let archive = pointsman_ledger::Archive::open(&path).expect("opens");
        archive
            .each(|row| {
                messages.push(row.decision.messages);
                Ok::<_, pointsman_ledger::Error>(())
            })
            .expect("told");
        messages.pop().expect("a decision")
    };
    assert_eq!(stored(false), None);
    let text = r#"[{"content":"Be brief","role":"system"},{"content":"hello","role":"user"}]"#;
    assert_eq!(stored(true).as_deref(), Some(text));
}

#[test]
fn the_status_tells_how_targets_fare_and_what_was_saved() {
    let fakes = (Fake::new([completion("Hi")]), Fake::new([Act::Hangup]));
    let server = serving(vec![fakes.0.target("a", "small"), fakes.1.target("b", "large")], Vec::new());
    for model in ["auto:cheap", "large"] {
        for _ in 0..3 {
            ask(&server, model, false);
        }
    }
    let status = server.administer("GET", "/admin/v1/status").json();
    assert_eq!((status["decisions"].as_u64(), status["answered"].as_u64()), (Some(6), Some(3)));
    assert_eq!(status["best_model"], MODELS[2]);
    assert!(status["cost_usd"].as_f64() < status["always_best_usd"].as_f64(), "{status}");
    let [a, b] = &status["targets"].as_array().expect("a list")[..] else { panic!("two targets") };
    assert_eq!((a["standing"].as_str(), a["answered"].as_u64()), (Some("well"), Some(3)));
    assert!(a["p50_ms"].as_f64() <= a["p99_ms"].as_f64());
    assert_eq!((b["standing"].as_str(), b["answered"].as_u64()), (Some("down"), Some(0)));
    assert!((status["traffic"]["small"].as_f64().expect("a share") - 0.5).abs() < 1e-9);
    let page = server.administer("GET", "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
}
