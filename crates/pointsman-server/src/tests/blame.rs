//! Whose fault it is that a call came to nothing: a target's, the client's, the request's. Only the first is held against the
//! target, and what one client does costs no other.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback, request};
use super::fake::{Act, Fake, completion, delta};
use crate::{Settings, TargetSettings, Timeouts};

fn serving(targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, ..loopback() })
}

fn chat(server: &Running, head: &str, body: &Value) -> Reply {
    server.send(&format!("POST /v1/chat/completions HTTP/1.1{head}"), body.to_string().as_bytes())
}

fn asking(model: &str, stream: bool) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream})
}

fn reply(status: u16, form: &'static str, body: &str) -> Act {
    Act::Reply(status, "", form, body.to_owned())
}

fn standing(server: &Running) -> Vec<Value> {
    let status = server.administer("GET", "/admin/v1/status").json();
    status["targets"].as_array().expect("a list").iter().map(|target| target["standing"].clone()).collect()
}

#[test]
fn who_does_not_wait_takes_the_target_from_nobody() {
    for stream in [false, true] {
        let answer = if stream { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") };
        let slow = Fake::new([Act::Late(150, Box::new(answer))]);
        let server = serving(vec![slow.target("slow", "small")]);
        for _ in 0..6 {
            let impatient = chat(&server, "\r\nx-pointsman-timeout-ms: 30", &asking("small", stream));
            assert_eq!(impatient.error().1, "upstream_timeout");
        }
        assert_eq!(standing(&server), ["well"], "stream {stream}");
        assert_eq!(chat(&server, "", &asking("small", stream)).status, 200);
        assert_eq!(server.samples("pointsman_breaker_transitions_total"), [""; 0]);
    }
}

#[test]
fn a_target_that_is_known_to_be_quick_and_hangs_is_found_out_by_those_who_do_not_wait_long() {
    let stuck = Fake::new([completion("Hi"), completion("Hi"), Act::Silence]);
    let server = serving(vec![stuck.target("stuck", "small")]);
    for _ in 0..2 {
        assert_eq!(chat(&server, "", &asking("small", false)).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(chat(&server, "\r\nx-pointsman-timeout-ms: 200", &asking("small", false)).status, 504);
    }
    assert_eq!(standing(&server), ["down"]);
}

#[test]
fn a_flagged_request_is_the_clients_and_a_key_that_may_not_the_targets() {
    const FLAGGED: &str =
        r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#;
    let strict = Fake::new([reply(403, "application/json", FLAGGED)]);
    let other = Fake::new([completion("Hi")]);
    let server = serving(vec![strict.target("strict", "small"), other.target("other", "large")]);
    let mut body = asking("small", false);
    body["models"] = json!(["large"]);
    for _ in 0..4 {
        let answer = chat(&server, "", &body);
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (403, FLAGGED));
    }
    assert!(other.requests().is_empty(), "`content` is no cause unless the operator says so");
    assert_eq!(standing(&server)[0], "well");

    strict.acts([reply(403, "application/json", r#"{"error":{"message":"your key may not use this model"}}"#)]);
    let answer = chat(&server, "", &body);
    assert_eq!((answer.status, answer.header("x-pointsman-target")), (200, Some("other")));
    assert_eq!(standing(&server)[0], "down", "a minute, for keys do not change by themselves");
}

#[test]
fn a_request_that_is_too_dear_is_not_the_keys_end() {
    let dear = reply(402, "application/json", r#"{"error":{"message":"more credits, or fewer max_tokens"}}"#);
    let empty = reply(402, "application/json", r#"{"error":{"message":"no credits are left"}}"#);
    let fake = Fake::new([dear, completion("Hi"), empty]);
    let (other, server) = {
        let other = Fake::new([completion("Hello")]);
        let targets = vec![fake.target("a", "small"), other.target("b", "large")];
        (other, serving(targets))
    };
    let ask =
        || chat(&server, "", &json!({"models": ["small", "large"], "messages": [{"role": "user", "content": "Hi"}]}));
    let by = |reply: &Reply| reply.header("x-pointsman-target").map(str::to_owned);
    assert_eq!([by(&ask()), by(&ask())], [Some("b".into()), Some("a".into())], "the next one is not too dear");
    // One after another, though: there is nothing left, and it is left alone.
    for _ in 0..3 {
        assert_eq!(by(&ask()), Some("b".into()));
    }
    let calls = fake.requests().len();
    assert_eq!((by(&ask()), fake.requests().len()), (Some("b".into()), calls));
    assert_eq!((standing(&server), other.requests().len()), (vec![json!("down"), json!("well")], 5));
}

#[test]
fn what_stands_before_a_target_refuses_a_request_and_not_the_target() {
    let small = Fake::new([reply(413, "text/html", "<html>secret words of a proxy</html>")]);
    let other = Fake::new([completion("Hi")]);
    let server = serving(vec![small.target("small-a", "small"), other.target("large-a", "large")]);
    for _ in 0..4 {
        let refused = chat(&server, "", &asking("small", false));
        assert_eq!((refused.status, refused.error().1.as_str()), (413, "upstream_refused"));
        assert!(!String::from_utf8_lossy(&refused.body).contains("secret"));
        assert_eq!(refused.header("x-pointsman-target"), Some("small-a"));
    }
    assert_eq!(standing(&server), ["well", "well"]);
    let mut body = asking("small", false);
    body["models"] = json!(["large"]);
    let answer = chat(&server, "", &body);
    assert_eq!((answer.status, answer.header("x-pointsman-target")), (200, Some("large-a")), "it may take more");
    // A page in the place of the endpoint is a wrong address, which is the target's.
    small.acts([reply(404, "text/html", "<html>")]);
    assert_eq!(chat(&server, "", &body).header("x-pointsman-target"), Some("large-a"));
    assert_eq!(chat(&server, "", &asking("small", false)).status, 502);
}

#[test]
fn a_quick_refusal_does_not_outrun_an_answer() {
    let slow = Fake::new([Act::Late(200, Box::new(completion("Hi")))]);
    let picky = Fake::new([reply(400, "application/json", r#"{"error":{"message":"temperature"}}"#)]);
    let targets = vec![slow.target("slow", "small"), picky.target("picky", "large")];
    let settings = Settings { targets, hedge_after: Some(Duration::from_millis(30)), ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let mut body = asking("small", false);
    body["models"] = json!(["large"]);
    let answer = chat(&server, "", &body);
    assert_eq!((answer.status, answer.header("x-pointsman-target")), (200, Some("slow")));
    assert_eq!(answer.header("x-pointsman-attempts"), Some("2"));
    assert_eq!(picky.requests().len(), 1);

    // Where the other one fails too, the refusal is an answer all the same.
    slow.acts([Act::Late(100, Box::new(reply(500, "application/json", "{}")))]);
    let answer = chat(&server, "", &body);
    assert_eq!((answer.status, answer.header("x-pointsman-target")), (400, Some("picky")));
}

#[test]
fn a_connection_that_says_nothing_is_none() {
    // It takes connections and never speaks TLS.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = mute.local_addr().expect("bound");
    let well = Fake::new([completion("Hi")]);
    let target = TargetSettings {
        timeouts: Timeouts { connect: Duration::from_millis(200), ..Timeouts::default() },
        ca_pem: Some(super::tls::AUTHORITY.to_owned()),
        ..TargetSettings::new("mute", "small", format!("https://{address}/v1"))
    };
    let server = serving(vec![target, well.target("well", "large")]);
    let mut body = asking("small", false);
    body["models"] = json!(["large"]);
    let begun = Instant::now();
    let answer = chat(&server, "", &body);
    assert_eq!((answer.status, answer.header("x-pointsman-target")), (200, Some("well")));
    assert!(begun.elapsed() < Duration::from_secs(2), "as long as `connect_ms`, not as `total_ms`");
    let fallbacks = server.samples("pointsman_fallbacks_total");
    assert_eq!(fallbacks, ["pointsman_fallbacks_total{from=\"mute\",to=\"well\",cause=\"connect\"} 1"]);
}

#[test]
fn a_target_may_not_send_us_away_for_ever() {
    for wait in ["retry-after: 9999999999999999999\r\n", "retry-after: 18446744073709551615\r\n"] {
        let busy = Fake::new([Act::Reply(429, wait, "application/json", "{}".to_owned())]);
        let server = serving(vec![busy.target("busy", "small")]);
        let refused = chat(&server, "", &asking("small", false));
        assert_eq!((refused.status, refused.error().1.as_str()), (429, "upstream_rate_limited"));
    }
}

#[test]
fn no_other_model_is_asked_for_in_other_letters() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", "small")]);
    for name in ["MODEL", "Model", "mOdel"] {
        let mut body = asking("small", false);
        body[name] = json!("large");
        let refused = chat(&server, "", &body);
        assert_eq!(refused.error(), (400, "unknown_key".into(), Some(name.into())));
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn who_does_not_read_keeps_its_place_no_longer_than_an_answer_may_take() {
    let piece = delta(&"word ".repeat(40_000));
    let fake = Fake::new([Act::Plain(vec![piece; 200])]);
    let server = serving(vec![fake.target("a", "small")]);
    let mut client = server.connect();
    let body = asking("small", true).to_string();
    client.write_all(&request("POST /v1/chat/completions HTTP/1.1", body.as_bytes())).expect("the server reads");
    client.read_exact(&mut [0; 64]).expect("the stream has begun");
    assert_eq!(server.samples("pointsman_inflight"), ["pointsman_inflight 1"]);
    let begun = Instant::now();
    while server.samples("pointsman_inflight") != ["pointsman_inflight 0"] {
        assert!(begun.elapsed() < Duration::from_secs(8), "the target may take 3 s in all");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Requests of the next test.
const REQUESTS: usize = 200;

#[test]
fn many_targets_that_are_down_are_not_all_asked_by_everybody() {
    let fakes: [Fake; 4] = std::array::from_fn(|_| Fake::new([reply(500, "application/json", "{}")]));
    let targets = fakes.iter().enumerate().map(|(at, fake)| fake.target(&format!("t{at}"), "small")).collect();
    let server = serving(targets);
    for _ in 0..REQUESTS {
        assert_eq!(chat(&server, "", &asking("small", false)).status, 502);
    }
    let calls: usize = fakes.iter().map(|fake| fake.requests().len()).sum();
    // What opens the circuits, three calls each, and the retries that are saved up come on top of a fifth.
    assert!(calls <= REQUESTS * 12 / 10 + 4 * 3 + 10, "{calls} calls for {REQUESTS} requests");
    assert!(calls >= REQUESTS, "and nobody is refused untried");
}

#[test]
fn nobody_is_sent_elsewhere() {
    let elsewhere = Fake::new([completion("never")]);
    let to = format!("http://{}/v1/chat/completions", elsewhere.address);
    for status in [301, 302, 303, 307, 308] {
        let location: &'static str = Box::leak(format!("location: {to}\r\n").into_boxed_str());
        let fake = Fake::new([Act::Reply(status, location, "application/json", "{}".to_owned())]);
        let server = serving(vec![fake.target("a", "small")]);
        assert_eq!(chat(&server, "", &asking("small", false)).status, 502, "{status}");
    }
    // Nor by what a request says.
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![fake.target("a", "small")]);
    for name in ["base_url", "api_base", "custom_host", "url", "host"] {
        let mut body = asking("small", false);
        body[name] = json!(to);
        assert_eq!(chat(&server, "", &body).status, 200, "{name}");
    }
    for header in [
        "x-portkey-custom-host",
        "x-forwarded-host",
        "x-litellm-api-base",
        "helicone-target-url",
        "x-gateway-destination-endpoint",
    ] {
        assert_eq!(chat(&server, &format!("\r\n{header}: {to}"), &asking("small", false)).status, 200, "{header}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn what_was_decided_is_said_though_nobody_answered() {
    let fake = Fake::new([reply(500, "application/json", "{}")]);
    let server = serving(vec![fake.target("a", "small")]);
    let refused = chat(&server, "", &asking("small", false));
    assert_eq!((refused.status, refused.header("x-pointsman-reason")), (502, Some("requested")));
    let attempts: usize = refused.header("x-pointsman-attempts").and_then(|n| n.parse().ok()).expect("a number");
    assert_eq!(attempts, fake.requests().len());
    for name in ["decision-id", "routing-us", "router-version", "config-version"] {
        assert!(refused.header(&format!("x-pointsman-{name}")).is_some(), "{name}");
    }
}
