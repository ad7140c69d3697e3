//! Traces from a client over the gateway to its targets, and what of them reaches a collector.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback, request};
use super::collector::{CLIENT, Collector, SERVER, Traced};
use super::fake::{Act, Fake, completion, delta, role};
use crate::TraceProtocol::{Grpc, Http};
use crate::{Settings, TargetSettings, TraceSettings};

const CHEAP: &str = "small";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What must not be in a trace.
const PROMPT: &str = "Zanzibar-marmalade";

fn traced(traces: TraceSettings, targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { traces: Some(traces), targets, ..loopback() })
}

/// Sends a chat completion, with these headers.
fn chat(server: &Running, headers: &str, stream: bool) -> Reply {
    let body = json!({"model": "auto:cheap", "messages": [{"role": "user", "content": PROMPT}], "stream": stream,
        "provider": {"order": ["bad"]}});
    server.send(&format!("POST /v1/chat/completions HTTP/1.1{headers}"), body.to_string().as_bytes())
}

/// The headers of a client that has a trace, sampled or not.
fn client(flags: &str) -> String {
    format!("\r\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\r\ntracestate: vendor=a1")
}

/// Stops the server, which hands over the last spans.
fn ended(server: Running, collector: &Collector) -> Vec<Traced> {
    assert_eq!(server.stop().join().expect("no panic"), 0);
    collector.spans()
}

fn of(kind: i32, spans: &[Traced]) -> Vec<&Traced> {
    let mut spans: Vec<&Traced> = spans.iter().filter(|span| span.kind == kind).collect();
    spans.sort_by_key(|span| span.attributes.get("pointsman.attempt").and_then(Value::as_i64));
    spans
}

fn failing() -> Act {
    Act::Reply(503, "", "application/json", "{}".into())
}

#[test]
fn one_trace_leads_from_the_client_to_the_targets() {
    for (protocol, collector) in [(Http, Collector::http()), (Grpc, Collector::grpc())] {
        let (bad, good) = (Fake::new([failing()]), Fake::new([completion("Hi")]));
        let headers = BTreeMap::from([("authorization".to_owned(), "Bearer 100%25".to_owned())]);
        let traces = TraceSettings { headers, protocol: Some(protocol), ..TraceSettings::new(collector.endpoint()) };
        let server = traced(traces, vec![bad.target("bad", CHEAP), good.target("good", CHEAP)]);
        let reply = chat(&server, &client("01"), false);
        assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("good")));
        let text = |name| json!(reply.header(name).expect("a header"));
        let number = |name| json!(reply.header(name).expect("a header").parse::<i64>().expect("a number"));

        let spans = ended(server, &collector);
        assert!(spans.iter().all(|span| span.trace == TRACE && span.service == "pointsman"), "{spans:?}");
        assert!(spans.iter().all(|span| span.state == "vendor=a1"), "{spans:?}");
        let [request] = of(SERVER, &spans)[..] else { panic!("one request: {spans:?}") };
        assert_eq!((request.name.as_str(), request.parent.as_str()), ("POST /v1/chat/completions", PARENT));
        assert_eq!(request.status, 0);
        let expected = json!({
            "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
            "gen_ai.operation.name": "chat",
            "pointsman.decision.id": text("x-pointsman-decision-id"),
            "pointsman.decision.model": text("x-pointsman-selected-model"),
            "pointsman.decision.reason": text("x-pointsman-reason"),
            "pointsman.decision.router_version": text("x-pointsman-router-version"),
            "pointsman.decision.config_version": number("x-pointsman-config-version"),
            "pointsman.decision.routing_us": number("x-pointsman-routing-us"),
        });
        assert_eq!(json!(request.attributes), expected);

        let [first, second] = of(CLIENT, &spans)[..] else { panic!("two calls: {spans:?}") };
        let call = |fake: &Fake, number: i64, target: &str| {
            json!({
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                "gen_ai.request.model": format!("upstream-{CHEAP}"),
                "server.address": "127.0.0.1", "server.port": fake.address.port(),
                "pointsman.target": target, "pointsman.attempt": number,
            })
        };
        let with = |mut call: Value, more: Value| {
            call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            call
        };
        let failed = with(call(&bad, 1, "bad"), json!({"http.response.status_code": 503, "error.type": "503"}));
        assert_eq!((json!(first.attributes), first.status), (failed, 2));
        let answered = json!({"http.response.status_code": 200, "gen_ai.response.model": "served",
            "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 1});
        assert_eq!((json!(second.attributes), second.status), (with(call(&good, 2, "good"), answered), 0));
        for (span, fake) in [(first, &bad), (second, &good)] {
            assert_eq!((span.name.as_str(), &span.parent), ("chat upstream-small", &request.id));
            let head = &fake.requests()[0].head;
            assert!(head.contains(&format!("traceparent: 00-{TRACE}-{}-01", span.id)), "{head}");
            assert!(head.contains("tracestate: vendor=a1"), "{head}");
        }

        for sent in collector.sent() {
            assert!(sent.head.contains("authorization: bearer 100%25"), "{}", sent.head);
            let path = if protocol == Http { "post /v1/traces " } else { "post /opentelemetry.proto." };
            assert!(sent.head.starts_with(path), "{}", sent.head);
            let holds = |text: &str| sent.body.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(holds(CHEAP) && !holds(PROMPT) && !holds("Bearer"));
        }
    }
}

#[test]
fn the_span_of_a_stream_ends_with_the_stream() {
    let usage = format!(
        "data: {}\n\n",
        json!({"model": "served", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
    );
    let whole = Act::Stream(vec![role(), delta("He"), delta("llo"), usage]);
    for (act, failure) in [(whole, None), (Act::Stall(vec![delta("He")]), Some("timeout"))] {
        let collector = Collector::http();
        let fake = Fake::new([act]);
        let server = traced(TraceSettings::new(collector.endpoint()), vec![fake.target("a", CHEAP)]);
        let reply = chat(&server, &client("01"), true);
        assert_eq!(reply.status, 200);
        let spans = ended(server, &collector);
        let ([request], [call]) = (&of(SERVER, &spans)[..], &of(CLIENT, &spans)[..]) else { panic!("{spans:?}") };
        assert_eq!(request.events, ["gen_ai.first_token"]);
        assert_eq!((call.parent.as_str(), &call.attributes["gen_ai.response.model"]), (&*request.id, &json!("served")));
        for span in [request, call] {
            assert_eq!(span.attributes.get("error.type"), failure.map(|cause| json!(cause)).as_ref());
            assert_eq!(span.status, if failure.is_some() { 2 } else { 0 });
            // The target's pause is a second.
            assert!(failure.is_none() || span.nanoseconds > 900_000_000, "{}", span.nanoseconds);
        }
        let tokens = failure.is_none().then(|| json!(2));
        assert_eq!(call.attributes.get("gen_ai.usage.output_tokens"), tokens.as_ref());
        assert_eq!(request.attributes.get("gen_ai.usage.output_tokens"), None, "tokens are counted once");
    }
}

#[test]
fn a_client_that_leaves_ends_its_spans() {
    for (stream, act) in [(false, Act::Silence), (true, Act::Stall(vec![delta("Hi")]))] {
        let collector = Collector::http();
        let fake = Fake::new([act]);
        let long = Duration::from_secs(20);
        let target = fake.target("a", CHEAP);
        let timeouts = crate::Timeouts { first_token: long, idle: long, total: long, ..target.timeouts };
        let server = traced(TraceSettings::new(collector.endpoint()), vec![TargetSettings { timeouts, ..target }]);
        let body = json!({"messages": [{"role": "user", "content": PROMPT}], "stream": stream}).to_string();
        let mut leaving = server.connect();
        leaving.write_all(&request("POST /v1/chat/completions HTTP/1.1", body.as_bytes())).expect("the server reads");
        if stream {
            leaving.read_exact(&mut [0; 64]).expect("the stream has begun");
        }
        while fake.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(leaving);
        // Nothing tells when the server has noticed but the spans.
        let begun = Instant::now();
        while collector.spans().len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", collector.spans());
            std::thread::sleep(Duration::from_millis(20));
        }
        for span in collector.spans() {
            assert_eq!((span.attributes.get("error.type"), span.status), (Some(&json!("left")), 2), "{span:?}");
        }
    }
}

#[test]
fn what_the_client_does_not_sample_is_handed_on_and_not_exported() {
    let collector = Collector::http();
    let fake = Fake::new([completion("Hi")]);
    let server = traced(TraceSettings::new(collector.endpoint()), vec![fake.target("a", CHEAP)]);
    assert_eq!(chat(&server, &client("00"), false).status, 200);
    let head = &fake.requests()[0].head;
    let given = head.split("traceparent: ").nth(1).and_then(|rest| rest.lines().next()).expect("a parent");
    assert!(given.starts_with(&format!("00-{TRACE}-")) && given.ends_with("-00"), "{given}");
    assert!(!given.contains(PARENT), "a call of ours, not the client's");
    assert_eq!(ended(server, &collector).len(), 0);
    assert!(collector.sent().is_empty());
}

#[test]
fn the_sampled_share_is_of_traces_that_begin_here() {
    let collector = Collector::http();
    let server = traced(TraceSettings { sample: 0.0, ..TraceSettings::new(collector.endpoint()) }, Vec::new());
    for _ in 0..5 {
        assert_eq!(server.route(r#"{"prompt": "hello"}"#).status, 200);
    }
    let head = format!("POST /v1/route HTTP/1.1{}", client("01"));
    assert_eq!(server.send(&head, br#"{"prompt": "hello"}"#).status, 200);
    let spans = ended(server, &collector);
    assert_eq!(spans.iter().map(|span| span.trace.as_str()).collect::<Vec<_>>(), [TRACE]);
}

#[test]
fn a_request_without_a_trace_begins_one() {
    let collector = Collector::http();
    let fake = Fake::new([completion("Hi")]);
    let server = traced(
        TraceSettings { service_name: "gate".into(), ..TraceSettings::new(collector.endpoint()) },
        vec![fake.target("a", CHEAP)],
    );
    let trace = server.route(r#"{"prompt": "hello"}"#).json()["trace_id"].as_str().expect("a trace").to_owned();
    let head = format!("POST /v1/route HTTP/1.1{}", client("01"));
    assert_eq!(server.send(&head, br#"{"prompt": "hello"}"#).json()["trace_id"], TRACE);
    // A state without its trace belongs to nobody.
    assert_eq!(chat(&server, "\r\ntraceparent: 00-nonsense\r\ntracestate: vendor=a1", false).status, 200);
    let head = &fake.requests()[0].head;
    assert!(head.contains("traceparent: 00-") && !head.contains("nonsense") && !head.contains("tracestate"), "{head}");

    let lines = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n";
    assert_eq!(server.batch(lines).len(), 2);
    assert_eq!(server.route("{}").status, 400);
    for path in ["/health", "/nowhere", "/openapi.json"] {
        server.get(path);
    }
    let spans = ended(server, &collector);
    let names: Vec<&str> = of(SERVER, &spans).iter().map(|span| span.name.as_str()).collect();
    let route = "POST /v1/route";
    assert_eq!(names, [route, route, "POST /v1/chat/completions", "POST /v1/route/batch", route]);
    let first = &spans[0];
    assert_eq!((&first.trace, first.parent.as_str(), &first.service), (&trace, "", &json!("gate")));
    assert_eq!(first.attributes["pointsman.decision.reason"], "only_candidate");
    let refused = spans.last().expect("spans");
    assert_eq!((refused.status, refused.attributes["http.response.status_code"].as_i64()), (0, Some(400)));
    assert!(!refused.attributes.contains_key("error.type"), "the client's mistake is no error of the server");
}

#[test]
fn a_decision_that_fails_is_traced_as_degraded() {
    let collector = Collector::http();
    let fake = Fake::new([completion("Hi")]);
    let server = traced(TraceSettings::new(collector.endpoint()), vec![fake.target("a", CHEAP)]);
    server.reloader.sabotage();
    assert_eq!(chat(&server, "", false).status, 200);
    let panicked = server.route(r#"{"prompt": "hello"}"#);
    assert_eq!(panicked.status, 500);
    let spans = ended(server, &collector);
    let [degraded, broken] = of(SERVER, &spans)[..] else { panic!("{spans:?}") };
    assert_eq!(degraded.attributes["pointsman.decision.reason"], "degraded");
    assert_eq!((degraded.status, broken.status, &broken.attributes["error.type"]), (0, 2, &json!("500")));
}

#[test]
fn a_collector_that_is_down_costs_nothing_but_the_spans() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let gone = format!("http://{}", gone.expect("a free port"));
    for protocol in [Http, Grpc] {
        let fake = Fake::new([completion("Hi")]);
        let traces = TraceSettings { protocol: Some(protocol), ..TraceSettings::new(&gone) };
        let server = traced(traces, vec![fake.target("a", CHEAP)]);
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(chat(&server, "", false).status, 200);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "requests do not wait");
        while server.samples("pointsman_spans_lost_total") != ["pointsman_spans_lost_total 40"] {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", server.samples("pointsman_spans_lost_total"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let collector = Collector::silent();
    let settings = Settings {
        traces: Some(TraceSettings::new(collector.endpoint())),
        drain_timeout: Duration::from_millis(300),
        ..loopback()
    };
    let server = Running::with(Latencies::Known, settings);
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).status, 200);
    let begun = Instant::now();
    server.stop().join().expect("no panic");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
