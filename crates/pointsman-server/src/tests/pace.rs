//! How quick targets are, and what a request may prefer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, delta};
use crate::{Settings, TargetPrice, TargetSettings};

/// An answer of so many tokens, after so many milliseconds.
fn after(milliseconds: u64, tokens: u32) -> Act {
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "served", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}});
    Act::Late(milliseconds, Box::new(Act::Reply(200, "", "application/json", body.to_string())))
}

fn chat(server: &Running, more: &Value) -> Reply {
    let mut body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let reply = server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply
}

fn answers(server: &Running, more: &Value) -> String {
    chat(server, more).header("x-pointsman-target").expect("a target").to_owned()
}

fn price(usd: f64) -> TargetPrice {
    TargetPrice { input_usd_per_mtok: usd, output_usd_per_mtok: usd, cached_input_usd_per_mtok: None }
}

/// A cheap target that takes 300 ms for 30 tokens, a dear one that takes none, and what is known of both of them.
fn cheap_and_quick() -> (Running, [Fake; 2]) {
    let fakes = [Fake::new([after(300, 30)]), Fake::new([after(0, 30)])];
    let targets = vec![
        TargetSettings { price: Some(price(1.0)), ..fakes[0].target("cheap", "small") },
        TargetSettings { price: Some(price(2.0)), ..fakes[1].target("quick", "small") },
    ];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    for name in ["cheap", "quick"] {
        assert_eq!(answers(&server, &json!({"provider": {"only": [name]}})), name);
    }
    (server, fakes)
}

#[test]
fn one_that_slows_down_loses_its_share_at_once() {
    let fakes = [Fake::new([after(20, 1)]), Fake::new([after(20, 1)])];
    let targets = vec![fakes[0].target("0", "small"), fakes[1].target("1", "small")];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    for _ in 0..10 {
        answers(&server, &json!({}));
    }
    assert!(fakes.iter().all(|fake| !fake.requests().is_empty()), "both are asked");
    // The one that would be asked next, be it that the machine held the other up.
    let slows = answers(&server, &json!({}));
    fakes[slows.parse::<usize>().expect("a number")].acts([after(400, 1)]);
    let begun = Instant::now();
    let slow = (0..40).filter(|_| answers(&server, &json!({})) == slows).count();
    assert!(slow < 4, "less than a tenth: {slow} of 40 in {:?}", begun.elapsed());
}

#[test]
fn what_a_request_prefers_goes_first_and_excludes_nobody() {
    let (server, _fakes) = cheap_and_quick();
    let sorted = |more: Value| {
        let mut provider = json!({"sort": "price"});
        provider.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        answers(&server, &json!({ "provider": provider }))
    };
    assert_eq!(sorted(json!({})), "cheap");
    // The quick one takes a few milliseconds, or some more on a busy machine: a hundred are between it and the other.
    for (preferred, expected) in [
        (json!({"preferred_max_latency": 0.15}), "quick"),
        (json!({"preferred_max_latency": {"p50": 0.15}}), "quick"),
        (json!({"preferred_max_latency": {"p50": 5, "p99": 0.15}}), "quick"),
        (json!({"preferred_max_latency": {"p75": 5, "p90": 5}}), "cheap"),
        (json!({"preferred_max_latency": 0}), "cheap"),
        (json!({"preferred_min_throughput": 150}), "quick"),
        (json!({"preferred_min_throughput": {"p90": 150}}), "quick"),
        (json!({"preferred_min_throughput": {"p90": 1, "p50": 10}}), "cheap"),
        (json!({"preferred_min_throughput": 1e9}), "cheap"),
        (json!({"preferred_max_latency": 0.15, "order": ["cheap"]}), "cheap"),
    ] {
        assert_eq!(sorted(preferred.clone()), expected, "{preferred}");
    }
}

#[test]
fn the_most_tokens_per_second_is_not_the_soonest_end() {
    let fakes = [Fake::new([after(300, 3000)]), Fake::new([after(100, 100)])];
    let targets = vec![fakes[0].target("fluent", "small"), fakes[1].target("brief", "small")];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    for name in ["fluent", "brief"] {
        answers(&server, &json!({"provider": {"only": [name]}}));
    }
    for (more, expected) in [
        (json!({"provider": {"sort": "latency"}}), "brief"),
        (json!({"provider": {"sort": "throughput"}}), "fluent"),
        (json!({"provider": {"sort": {"by": "throughput"}}}), "fluent"),
        (json!({"model": "small:nitro"}), "fluent"),
    ] {
        assert_eq!(answers(&server, &more), expected, "{more}");
    }
}

#[test]
fn a_sort_goes_across_models_where_the_request_says_so() {
    let fakes = [0, 1].map(|_| Fake::new([after(0, 1)]));
    let targets = vec![
        TargetSettings { price: Some(price(9.0)), ..fakes[0].target("first", "small") },
        TargetSettings { price: Some(price(1.0)), ..fakes[1].target("second", "large") },
    ];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    let ask = |sort: Value| answers(&server, &json!({"models": ["large"], "provider": {"sort": sort}}));
    assert_eq!(ask(json!("price")), "first");
    assert_eq!(ask(json!({"by": "price", "partition": "model"})), "first");
    assert_eq!(ask(json!({"partition": "none"})), "first", "it sorts by nothing");
    assert_eq!(ask(json!({"by": "price", "partition": "none"})), "second");
    fakes[1].acts([Act::Hangup]);
    assert_eq!(ask(json!({"by": "price", "partition": "none"})), "first", "who is after it is asked next");
}

#[test]
fn status_and_metrics_tell_how_quick_targets_are() {
    let (server, fakes) = cheap_and_quick();
    fakes[0].acts([Act::Late(100, Box::new(Act::Stream(vec![delta("Hi"), delta(" there")])))]);
    let reply = chat(&server, &json!({"stream": true, "provider": {"only": ["cheap"]}}));
    assert!(String::from_utf8_lossy(&reply.body).ends_with("[DONE]\n\n"));
    let begun = Instant::now();
    let status = loop {
        let status = server.administer("GET", "/admin/v1/status").json()["targets"][0].clone();
        // The end of a stream is noted behind its last byte.
        if status["p50_ms"].as_f64().is_some_and(|ms| ms < 250.0) || begun.elapsed() > Duration::from_secs(5) {
            break status;
        }
    };
    let ms = |key: &str| status[key].as_f64().unwrap_or_else(|| panic!("{key} in {status}"));
    assert!((95.0..250.0).contains(&ms("p50_ms")), "the stream: {status}");
    assert!(ms("p99_ms") >= 285.0 && ms("p90_ms") >= 285.0, "the answer: {status}");
    for key in ["first_token_p50_ms", "first_token_p90_ms", "first_token_p99_ms"] {
        assert!((95.0..250.0).contains(&ms(key)), "{status}");
    }
    for key in ["tokens_per_second_p50", "tokens_per_second_p90", "tokens_per_second_p99"] {
        assert!((10.0..105.0).contains(&ms(key)), "30 in 300 ms: {status}");
    }
    let latencies = server.samples("pointsman_target_latency_seconds");
    assert_eq!(latencies.len(), 9, "three for each that was measured: {latencies:?}");
    let whole = "pointsman_target_latency_seconds{target=\"cheap\",to=\"end\",quantile=\"0.99\"} 0.";
    assert!(latencies.iter().any(|line| line.starts_with(whole)), "{latencies:?}");
    assert_eq!(server.samples("pointsman_target_tokens_per_second{target=\"quick\"").len(), 3);
}

#[test]
fn refusals_and_streams_that_break_off_are_no_measure() {
    let fake = Fake::new([Act::Reply(400, "", "application/json", "{\"error\":{\"message\":\"no\"}}".into())]);
    let server = Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], ..loopback() });
    let ask = |stream: bool| {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}], "stream": stream});
        server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
    };
    assert_eq!(ask(false).status, 400);
    fake.acts([Act::Cut(vec![delta("Hi")])]);
    assert!(String::from_utf8_lossy(&ask(true).body).contains("\"finish_reason\":\"error\""));
    let status = server.administer("GET", "/admin/v1/status").json()["targets"][0].clone();
    assert_eq!(status["p50_ms"], Value::Null);
    assert!(status["first_token_p50_ms"].is_number(), "its first content did come: {status}");
}
