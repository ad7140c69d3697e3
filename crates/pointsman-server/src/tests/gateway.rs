//! Chat completions, carried out: over real sockets, against targets that answer and targets that fail in every way.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback, request};
use super::fake::{Act, Fake, completion, delta, role};
use crate::{Settings, TargetSettings};

/// The fixture's models: cheap, as cheap and good at code, dear and good.
const CHEAP: &str = "small";
const DEAR: &str = "large";

fn serving(targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, ..loopback() })
}

fn chat(server: &Running, body: &Value) -> Reply {
    server.send("POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer client-secret\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", body.to_string().as_bytes())
}

fn asking(model: &str, stream: bool) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream, "temperature": 0.5})
}

/// The same with a target that goes first.
fn asking_first(target: &str, stream: bool) -> Value {
    let mut body = asking(CHEAP, stream);
    body["provider"] = json!({"order": [target]});
    body
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).expect("text")
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[test]
fn a_request_reaches_its_target_and_the_answer_its_client() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", CHEAP)]);
    let mut body = asking("auto", false);
    body["pointsman"] = json!({"objective": "cheap"});
    body["session_id"] = json!("s-1");
    let reply = chat(&server, &body);
    assert_eq!(reply.status, 200, "{}", text(&reply));
    assert_eq!(json_of(&reply)["choices"][0]["message"]["content"], "Hi");
    assert_eq!(reply.header("x-pointsman-target"), Some("a"));
    assert_eq!(reply.header("x-pointsman-selected-model"), Some(CHEAP));
    assert_eq!(reply.header("x-pointsman-attempts"), Some("1"));
    assert!(reply.header("x-pointsman-decision-id").is_some_and(|id| id.starts_with("dec-")));

    let [seen] = &fake.requests()[..] else { panic!("one request") };
    assert!(seen.head.starts_with("post /v1/chat/completions http/1.1"), "{}", seen.head);
    assert!(seen.head.contains("authorization: bearer key-of-a"), "{}", seen.head);
    assert!(!seen.head.contains("client-secret"), "the client's key stays here");
    assert!(seen.head.contains("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{}", seen.head);
    let expected = json!({"model": format!("upstream-{CHEAP}"), "messages": [{"role": "user", "content": "Hello"}],
        "stream": false, "temperature": 0.5});
    assert_eq!(seen.body, expected);
    assert_eq!(
        server.samples("pointsman_upstream_attempts_total"),
        ["pointsman_upstream_attempts_total{target=\"a\",status_class=\"2xx\",outcome=\"answered\"} 1"]
    );
}

#[test]
fn answers_are_counted_by_the_names_of_the_conventions() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n".to_owned();
    let fake = Fake::new([completion("Hi"), Act::Stream(vec![delta("Hi"), usage])]);
    let server = serving(vec![TargetSettings { region: Some("eu".into()), ..fake.target("a", CHEAP) }]);
    assert_eq!(chat(&server, &asking(CHEAP, false)).status, 200);
    assert_eq!(text(&chat(&server, &asking(CHEAP, true))).matches("Hi").count(), 1);
    let labels = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_response_model=\"small\"";
    for (sample, value) in [
        (format!("gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type=\"input\"}}"), "6.0"),
        (format!("gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type=\"output\"}}"), "6.0"),
        (format!("gen_ai_client_operation_duration_seconds_count{{{labels}}}"), "2"),
        (format!("gen_ai_server_time_to_first_token_seconds_count{{{labels}}}"), "1"),
        (format!("gen_ai_server_time_per_output_token_seconds_count{{{labels}}}"), "1"),
        ("pointsman_overhead_seconds_count".to_owned(), "2"),
        ("pointsman_target_state{target=\"a\",state=\"well\"}".to_owned(), "1"),
    ] {
        assert_eq!(server.samples(&sample), [format!("{sample} {value}")]);
    }
    let models = server.get("/v1/models").json();
    let model = models["data"].as_array().expect("a list").iter().find(|model| model["id"] == CHEAP).expect("listed");
    assert_eq!((&model["regions"], &model["endpoints"]), (&json!(["eu"]), &json!(["chat"])));
}

#[test]
fn a_stream_arrives_event_by_event_as_it_came() {
    let events = vec![role(), delta("He"), delta("llo"), ": keep-alive\n\n".to_owned(), delta("!")];
    let fake = Fake::new([Act::Stream(events.clone())]);
    let server = serving(vec![fake.target("a", CHEAP)]);
    let reply = chat(&server, &asking("auto", true));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(text(&reply), events.concat() + "data: [DONE]\n\n");
}

/// Faults, and whether a stream or a whole answer is asked for.
fn faults(streams: bool) -> Vec<(&'static str, Act)> {
    let reply = |status, headers, body: &str| Act::Reply(status, headers, "application/json", body.to_owned());
    let mut faults = vec![
        ("hangup", Act::Hangup),
        ("silence", Act::Silence),
        ("500", reply(500, "", "{\"secret\":\"stack trace\"}")),
        ("503", reply(503, "", "{}")),
        ("429", reply(429, "", "{}")),
        ("429 with a wait", reply(429, "retry-after: 1\r\n", "{}")),
        ("401", reply(401, "", "{}")),
        ("wrong type", Act::Reply(200, "", "text/html", "<html>".into())),
    ];
    if streams {
        faults.extend([
            ("cut before content", Act::Cut(vec![role()])),
            ("stall before content", Act::Stall(vec![role()])),
            ("malformed chunk", Act::Stream(vec![role(), "data: {\"choices\":[\n\n".into()])),
            (
                "an error in the place of content",
                Act::Stream(vec!["data: {\"error\":{\"message\":\"no\"}}\n\n".into()]),
            ),
            ("nothing at all", Act::Cut(vec![])),
        ]);
    } else {
        faults.extend([("malformed JSON", reply(200, "", "{\"choices\":[")), ("cut", Act::Cut(vec![delta("x")]))]);
    }
    faults
}

#[test]
fn every_fault_before_content_is_made_good_by_another_target() {
    for streams in [false, true] {
        for (name, fault) in faults(streams) {
            let bad = Fake::new([fault]);
            let good = Fake::new([if streams { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") }]);
            let server = serving(vec![bad.target("bad", CHEAP), good.target("good", CHEAP)]);
            let reply = chat(&server, &asking_first("bad", streams));
            assert_eq!(reply.status, 200, "{name}, stream {streams}: {}", text(&reply));
            assert_eq!(reply.header("x-pointsman-target"), Some("good"), "{name}, stream {streams}");
            assert_eq!(reply.header("x-pointsman-attempts"), Some("2"), "{name}, stream {streams}");
            assert_eq!(text(&reply).matches("Hi").count(), 1, "{name}, stream {streams}");
            assert!(!text(&reply).contains("secret"));
        }
    }
}

#[test]
fn a_passing_fault_of_the_only_target_is_tried_again() {
    for streams in [false, true] {
        for (name, fault) in faults(streams) {
            let good = if streams { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") };
            let fake = Fake::new([fault, good]);
            let server = serving(vec![fake.target("only", CHEAP)]);
            let reply = chat(&server, &asking("auto", streams));
            if name == "401" {
                assert_eq!(reply.status, 502, "{name}");
                assert_eq!(json_of(&reply)["error"]["code"], "upstream_credentials_exhausted");
            } else {
                assert_eq!(reply.status, 200, "{name}, stream {streams}: {}", text(&reply));
                assert_eq!(fake.requests().len(), 2, "{name}");
            }
        }
    }
}

#[test]
fn a_name_for_a_private_address_is_followed_only_where_that_is_said() {
    let fake = Fake::new([completion("Hi")]);
    // A name, as far as anybody knows who does not look it up.
    let base_url = format!("http://0x7f000001:{}/v1", fake.address.port());
    let named = TargetSettings { base_url, ..fake.target("a", CHEAP) };
    let reply = chat(&serving(vec![named.clone()]), &asking("auto", false));
    assert_eq!(reply.status, 502);
    assert_eq!(json_of(&reply)["error"]["metadata"]["attempts"], json!([{"target": "a", "cause": "address_refused"}]));
    assert!(fake.requests().is_empty());
    let allowed = TargetSettings { private_addresses: true, ..named };
    assert_eq!(chat(&serving(vec![allowed]), &asking("auto", false)).status, 200);
}

#[test]
fn where_nobody_answers_the_error_says_who_was_tried() {
    let (first, second) = (Fake::new([Act::Hangup]), Fake::new([completion("")]));
    // Nobody listens where this one was.
    let gone = second.target("gone", DEAR);
    let gone = TargetSettings { base_url: "http://127.0.0.1:9/v1".into(), ..gone };
    let server = serving(vec![first.target("broken", CHEAP), gone]);
    let reply = chat(&server, &asking("auto", true));
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("application/json")));
    let error = &json_of(&reply)["error"];
    assert_eq!((&error["code"], &error["metadata"]["retryable"]), (&json!("upstream_failed"), &json!(true)));
    let attempts = error["metadata"]["attempts"].as_array().expect("attempts");
    assert!(attempts.contains(&json!({"target": "broken", "cause": "broken"})), "{attempts:?}");
    assert!(attempts.contains(&json!({"target": "gone", "cause": "connect"})), "{attempts:?}");
    assert!(first.requests().len() <= 3);

    let busy = Fake::new([Act::Reply(429, "retry-after: 30\r\n", "application/json", "{}".into())]);
    let server = serving(vec![busy.target("busy", CHEAP)]);
    let reply = chat(&server, &asking("auto", false));
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("30")), "{}", text(&reply));
    assert_eq!(busy.requests().len(), 1, "who asks for half a minute is not asked again at once");

    let slow = Fake::new([Act::Silence]);
    let server = serving(vec![slow.target("slow", CHEAP)]);
    assert_eq!(chat(&server, &asking("auto", true)).status, 504);
}

#[test]
fn a_request_that_the_target_refuses_is_not_tried_elsewhere() {
    let body = r#"{"error":{"message":"temperature: too high","code":"bad"}}"#;
    let picky = Fake::new([Act::Reply(400, "", "application/json", body.into())]);
    let other = Fake::new([completion("Hi")]);
    let server = serving(vec![picky.target("picky", CHEAP), other.target("other", CHEAP)]);
    let reply = chat(&server, &asking_first("picky", true));
    assert_eq!((reply.status, text(&reply).as_str()), (400, body));
    assert!(other.requests().is_empty());
}

#[test]
fn a_stream_cut_after_content_ends_with_an_error_and_without_done() {
    for act in [
        Act::Cut(vec![delta("Hel")]),
        Act::Stall(vec![delta("Hel")]),
        Act::Stream(vec![delta("Hel"), "data: {nonsense\n\n".into()]),
    ] {
        let fake = Fake::new([act.clone()]);
        let other = Fake::new([Act::Stream(vec![delta("again")])]);
        let server = serving(vec![fake.target("a", CHEAP), other.target("b", CHEAP)]);
        let reply = chat(&server, &asking_first("a", true));
        let text = text(&reply);
        assert_eq!(reply.status, 200, "{act:?}");
        assert!(text.starts_with(&delta("Hel")), "{act:?}: {text}");
        assert!(!text.contains("[DONE]") && !text.contains("again"), "{act:?}: {text}");
        let last = text.trim_end().rsplit("data: ").next().expect("an event");
        let last: Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(last["error"]["code"], "upstream_cut", "{act:?}");
        assert_eq!(last["choices"][0]["finish_reason"], "error", "{act:?}");
    }
}

/// How often a target may be asked that always fails: three times, and on a machine that is slow once more every five seconds, to
/// find out whether it is back.
fn most_asked(started: Instant) -> usize {
    3 + usize::try_from(started.elapsed().as_secs() / 5).expect("a short test")
}

#[test]
fn a_target_that_fails_is_left_alone_and_then_tried_last() {
    let bad = Fake::new([Act::Hangup]);
    let good = Fake::new([completion("Hi")]);
    let server = serving(vec![bad.target("bad", CHEAP), good.target("good", CHEAP)]);
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(chat(&server, &asking(CHEAP, false)).status, 200);
    }
    assert!((3..=most_asked(started)).contains(&bad.requests().len()), "the circuit opens after three failures");
    assert_eq!(good.requests().len(), 10);
}

#[test]
fn a_target_whose_streams_are_always_cut_is_left_alone_too() {
    let bad = Fake::new([Act::Cut(vec![delta("Hel")])]);
    let good = Fake::new([Act::Stream(vec![delta("Hi")])]);
    let server = serving(vec![bad.target("bad", CHEAP), good.target("good", CHEAP)]);
    let started = Instant::now();
    let mut body = asking(CHEAP, true);
    body["provider"] = json!({"order": ["bad"]});
    for _ in 0..8 {
        assert_eq!(chat(&server, &body).status, 200);
    }
    assert!((3..=most_asked(started)).contains(&bad.requests().len()), "the circuit opens after three cut streams");
}

#[test]
fn the_total_time_ends_a_stream_that_keeps_talking() {
    let fake = Fake::new([Act::Stall(vec![delta("Hi")])]);
    let target = fake.target("a", CHEAP);
    let timeouts =
        crate::Timeouts { total: Duration::from_millis(1500), idle: Duration::from_secs(20), ..target.timeouts };
    let server = serving(vec![TargetSettings { timeouts, ..target }]);
    let begun = Instant::now();
    let reply = chat(&server, &asking("auto", true));
    assert!(text(&reply).contains("upstream_cut"), "{}", text(&reply));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_long_conversation_goes_through_and_keeps_its_identifier() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", CHEAP)]);
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "word ".repeat(100_000)}]}).to_string();
    let reply = server.send("POST /v1/chat/completions HTTP/1.1\r\nx-request-id: my-own-7", body.as_bytes());
    assert_eq!((reply.status, reply.header("x-request-id")), (200, Some("my-own-7")));
    assert!(fake.requests()[0].head.contains("x-request-id: my-own-7"), "{}", fake.requests()[0].head);
}

#[test]
fn the_next_best_model_answers_where_the_best_cannot() {
    let bad = Fake::new([Act::Reply(503, "", "application/json", "{}".into())]);
    let good = Fake::new([completion("Hi")]);
    let server = serving(vec![bad.target("small-a", CHEAP), good.target("large-a", DEAR)]);
    let reply = chat(&server, &asking("auto:cheap", false));
    assert_eq!((reply.status, reply.header("x-pointsman-selected-model")), (200, Some(DEAR)));
    assert_eq!(good.requests()[0].body["model"], format!("upstream-{DEAR}"));

    // Who names a model gets that one or none.
    let reply = chat(&server, &asking(CHEAP, false));
    assert_eq!(reply.status, 502, "{}", text(&reply));
}

#[test]
fn a_callers_own_order_is_followed_and_kept_from_the_target() {
    let bad = Fake::new([Act::Reply(503, "", "application/json", "{}".into())]);
    let good = Fake::new([completion("Hi")]);
    let server = serving(vec![good.target("large-a", DEAR), bad.target("small-a", CHEAP)]);
    let mut body = asking(CHEAP, false);
    body["models"] = json!([DEAR]);
    let reply = chat(&server, &body);
    assert_eq!((reply.status, reply.header("x-pointsman-selected-model")), (200, Some(DEAR)));
    assert_eq!(reply.header("x-pointsman-reason"), Some("requested"));
    assert!(!bad.requests().is_empty(), "the caller's first choice is asked first");
    assert!(good.requests()[0].body.get("models").is_none());
}

#[test]
fn a_router_that_fails_does_not_cost_the_answer() {
    let (first, second) = (Fake::new([completion("Hi")]), Fake::new([completion("Hi")]));
    let server = serving(vec![first.target("large-a", DEAR), second.target("small-a", CHEAP)]);
    server.reloader.sabotage();
    let reply = chat(&server, &asking("auto:cheap", false));
    assert_eq!((reply.status, reply.header("x-pointsman-reason")), (200, Some("degraded")), "{}", text(&reply));
    assert_eq!(reply.header("x-pointsman-target"), Some("large-a"), "the first target of the configuration");
    let named = chat(&server, &asking(CHEAP, false));
    assert_eq!((named.status, named.header("x-pointsman-selected-model")), (200, Some(CHEAP)));
    let samples = server.samples("pointsman_degraded_total");
    assert_eq!(samples, ["pointsman_degraded_total{cause=\"panic\"} 2"]);

    // What the request forbids is not done for want of a decision.
    let mut limited = asking("auto", false);
    limited["pointsman"] = json!({"max_cost_usd": 0.001});
    assert_eq!(chat(&server, &limited).status, 503);
    assert_eq!(server.samples("pointsman_panics_total"), ["pointsman_panics_total 0"]);
}

#[test]
fn a_client_that_leaves_takes_its_call_with_it() {
    for streams in [false, true] {
        let fake = Fake::new([if streams { Act::Stall(vec![delta("Hi")]) } else { Act::Silence }]);
        let target = fake.target("a", CHEAP);
        let long = Duration::from_secs(20);
        let timeouts = crate::Timeouts { first_token: long, idle: long, total: long, ..target.timeouts };
        let server = serving(vec![TargetSettings { timeouts, ..target }]);
        let mut client = server.connect();
        let body = asking("auto", streams).to_string();
        client.write_all(&request("POST /v1/chat/completions HTTP/1.1", body.as_bytes())).expect("the server reads");
        if streams {
            let mut piece = [0; 64];
            client.read_exact(&mut piece).expect("the stream has begun");
        } else {
            while fake.requests().is_empty() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let gone = Instant::now();
        drop(client);
        let left = loop {
            if let Some(left) = *fake.left.lock().expect("no panic") {
                break left;
            }
            assert!(gone.elapsed() < Duration::from_secs(5), "stream {streams}: the call goes on");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(
            left.duration_since(gone) < Duration::from_millis(500),
            "stream {streams}: {:?}",
            left.duration_since(gone)
        );
    }
}

#[test]
fn without_targets_the_error_says_how_to_add_one() {
    let server = Running::new();
    let reply = chat(&server, &asking("auto", false));
    assert_eq!((reply.status, &json_of(&reply)["error"]["code"]), (404, &json!("no_targets")));

    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", CHEAP)]);
    let reply = chat(&server, &asking(DEAR, false));
    assert_eq!((reply.status, &json_of(&reply)["error"]["metadata"]["excluded_by"]), (404, &json!(["targets"])));
    for (body, param) in [
        (json!({"model": "auto", "prompt": "x"}), "messages"),
        (json!({"messages": [{"role": "user", "content": "x"}], "stream": "yes"}), "stream"),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "pointsman": {"objectiv": "cheap"}}),
            "pointsman.objectiv",
        ),
    ] {
        let reply = chat(&server, &body);
        assert_eq!((reply.status, &json_of(&reply)["error"]["param"]), (400, &json!(param)), "{body}");
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn targets_are_checked_before_anything_is_served() {
    let fake = Fake::new([completion("Hi")]);
    let good = fake.target("a", CHEAP);
    for (bad, expected) in [
        (TargetSettings { model: "nobody".into(), ..good.clone() }, "model expected a model of the router"),
        (TargetSettings { base_url: "ftp://x".into(), ..good.clone() }, "base_url expected http:// or https://"),
        (TargetSettings { base_url: "http://u:p@x/".into(), ..good.clone() }, "base_url expected neither"),
        (TargetSettings { base_url: "/v1".into(), ..good.clone() }, "base_url expected http:// or https://"),
        (
            TargetSettings { base_url: "http://169.254.169.254/".into(), ..good.clone() },
            "base_url expected a host that",
        ),
        (TargetSettings { name: String::new(), ..good.clone() }, "name expected"),
        (TargetSettings { api_key: Some("a\nb".into()), ..good.clone() }, "api_key expected"),
    ] {
        let error = crate::targets::Targets::new(
            &[bad],
            &crate::HealthSettings::default(),
            &[CHEAP.to_owned()],
            &BTreeMap::default(),
            None,
            |_| None,
        )
        .expect_err("refused")
        .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let twice = crate::targets::Targets::new(
        &[good.clone(), good],
        &crate::HealthSettings::default(),
        &[CHEAP.to_owned()],
        &BTreeMap::default(),
        None,
        |_| None,
    )
    .expect_err("refused");
    assert!(twice.to_string().contains("no other target"), "{twice}");
}
