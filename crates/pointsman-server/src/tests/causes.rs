//! After what somebody else is asked: requests that are too long for one model, or not to another's taste, and what the operator
//! makes of it.

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion, delta};
use crate::{Cause, Settings, TargetSettings};

const CHEAP: &str = "small";
const DEAR: &str = "large";

const TOO_LONG: &str = r#"{"error": {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"}}"#;
const FILTERED: &str = r#"{"error":{"message":"filtered","code":"content_filter"}}"#;

fn refusing(body: &str) -> Fake {
    Fake::new([Act::Reply(400, "", "application/json", body.to_owned())])
}

fn serving(fallback_on: &[Cause], targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, fallback_on: fallback_on.into(), ..loopback() })
}

fn asking(models: &[&str], stream: bool) -> Value {
    json!({"models": models, "messages": [{"role": "user", "content": "Hello"}], "stream": stream})
}

fn chat(server: &Running, body: &Value) -> Reply {
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).expect("text")
}

#[test]
fn a_request_that_is_too_long_for_a_model_goes_to_the_next() {
    for stream in [false, true] {
        let full = refusing(TOO_LONG);
        let other = Fake::new([if stream { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") }]);
        let targets = vec![full.target("full", CHEAP), other.target("other", DEAR)];
        let server = serving(&Cause::DEFAULT, targets);
        for _ in 0..5 {
            let reply = chat(&server, &asking(&[CHEAP, DEAR], stream));
            assert_eq!(reply.status, 200, "{}", text(&reply));
            assert_eq!(reply.header("x-pointsman-target"), Some("other"));
            assert_eq!(reply.header("x-pointsman-attempts"), Some("2"));
        }
        assert_eq!(full.requests().len(), 5, "such a refusal says nothing of the target's health");
        assert_eq!(
            server.samples("pointsman_fallbacks_total"),
            ["pointsman_fallbacks_total{from=\"full\",to=\"other\",cause=\"context_length\"} 5"]
        );
    }
}

#[test]
fn only_targets_that_may_read_more_are_asked() {
    let fakes = ["full", "shorter", "longer", "any"].map(|name| (name, refusing(TOO_LONG)));
    let target = |at: usize, length: Option<u32>| TargetSettings {
        context_length: length,
        ..fakes[at].1.target(fakes[at].0, CHEAP)
    };
    let targets = vec![target(0, Some(8_000)), target(1, Some(4_000)), target(2, Some(16_000)), target(3, None)];
    let server = serving(&Cause::DEFAULT, targets);
    let mut body = asking(&[CHEAP], false);
    body["provider"] = json!({"order": ["full", "shorter", "longer", "any"]});
    let reply = chat(&server, &body);
    assert_eq!((reply.status, text(&reply).as_str()), (400, TOO_LONG), "the first's own words where nobody answers");
    assert_eq!(reply.header("x-pointsman-target"), Some("full"));
    assert_eq!(reply.header("x-pointsman-attempts"), Some("3"));
    assert_eq!(fakes.each_ref().map(|(_, fake)| fake.requests().len()), [1, 0, 1, 1]);
}

#[test]
fn two_of_one_model_that_say_nothing_of_their_length_have_the_same() {
    let (one, two) = (refusing(TOO_LONG), refusing(TOO_LONG));
    let server = serving(&Cause::DEFAULT, vec![one.target("one", CHEAP), two.target("two", CHEAP)]);
    assert_eq!(chat(&server, &asking(&[CHEAP], false)).status, 400);
    assert_eq!(one.requests().len() + two.requests().len(), 1);
}

#[test]
fn what_a_model_will_not_talk_about_goes_to_another_model_if_the_operator_says_so() {
    let fakes = || (refusing(FILTERED), refusing(FILTERED), Fake::new([completion("Hi")]));
    let (one, two, other) = fakes();
    let targets = || vec![one.target("one", CHEAP), two.target("two", CHEAP), other.target("other", DEAR)];
    let server = serving(&Cause::DEFAULT, targets());
    let reply = chat(&server, &asking(&[CHEAP, DEAR], false));
    assert_eq!((reply.status, text(&reply).as_str()), (400, FILTERED));
    assert_eq!(other.requests().len(), 0);

    let server = serving(&[Cause::Content], targets());
    let reply = chat(&server, &asking(&[CHEAP, DEAR], false));
    assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("other")));
    assert_eq!(one.requests().len() + two.requests().len(), 2, "one call each time: the model is the same");
}

#[test]
fn nobody_else_is_asked_after_a_cause_that_the_operator_has_not_named() {
    let down = Fake::new([Act::Reply(500, "", "application/json", "{}".to_owned())]);
    let busy = Fake::new([Act::Reply(429, "retry-after: 0\r\n", "application/json", "{}".to_owned())]);
    let well = Fake::new([completion("Hi")]);
    let targets = vec![down.target("down", CHEAP), busy.target("busy", CHEAP), well.target("well", DEAR)];
    let server = serving(&[Cause::RateLimit], targets);
    let reply = chat(&server, &asking(&["small", DEAR], false));
    // Whichever of the two comes first by lot: a busy one is gone past, the one that is down ends it.
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!((reply.status, &body["error"]["code"]), (502, &json!("upstream_failed")));
    assert_eq!((down.requests().len(), well.requests().len()), (1, 0), "neither retried nor gone past");

    let server = serving(&[], vec![well.target("well", CHEAP)]);
    assert_eq!(chat(&server, &asking(&[CHEAP], false)).status, 200);
}

#[test]
fn causes_are_named_in_the_configuration() {
    let config = |on: &str| {
        let text = format!("[router]\npath = \"r\"\n[fallback]\non = {on}\n");
        crate::Config::parse(&text, std::path::Path::new("p.toml")).map_err(|error| error.to_string())
    };
    let settings = config(r#"["timeout", "content"]"#).expect("valid").into_settings().expect("valid");
    assert_eq!(settings.fallback_on, [Cause::Timeout, Cause::Content]);
    let error = config(r#"["timeouts"]"#).expect_err("refused");
    assert!(
        error.starts_with("configuration `p.toml`, line 4: unknown variant `timeouts`, expected one of"),
        "{error}"
    );
}
