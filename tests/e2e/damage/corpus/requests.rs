//! Requests to the decision service that are no good.

use super::Expected::{self, Either, Refused};
use super::{damaged, lines};

/// One damaged request to the decision service, as it goes over the wire after the request line and `Host`.
#[derive(Debug)]
pub(crate) struct DamagedRequest {
    pub(crate) name: String,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    pub(crate) expected: Expected,
}

const CHAT: &str = r#"{"model":"auto","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"What is 2 + 2?"},{"type":"image_url","image_url":{"url":"data:,x"}}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"max_tokens":50,"temperature":0.5,"response_format":{"type":"json_object"},"stream":false,"pointsman":{"objective":"balanced","max_cost_usd":0.01,"context":{"plan":"free","seats":3}}}"#;

const JSON: &str = "content-type: application/json\r\n";
const GOOD: &str = r#"{"messages":[{"role":"user","content":"a"}]}"#;

/// Requests to `POST /v1/route` and its batch sibling.
pub(crate) fn requests() -> Vec<DamagedRequest> {
    let mut cases = Vec::new();
    for (path, amount, seed) in [("/v1/route", 200, 11), ("/v1/route/batch", 50, 12)] {
        for case in damaged("request", CHAT.as_bytes(), amount, seed) {
            cases.push(post(path, &case.name, case.bytes, Either));
        }
    }
    for (name, body) in bodies() {
        cases.push(post("/v1/route", name, body, Refused));
    }
    let not_text = b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}";
    cases.push(post("/v1/route", "invalid UTF-8", not_text, Refused));
    cases.extend(on_the_wire());
    cases
}

fn post(path: &'static str, name: &str, body: impl Into<Vec<u8>>, expected: Expected) -> DamagedRequest {
    let body = body.into();
    let headers = format!("{JSON}content-length: {}\r\n", body.len());
    DamagedRequest { name: format!("{path} {name}"), method: "POST", path, headers, body, expected }
}

/// Bodies that are wrong in what they say.
fn bodies() -> Vec<(&'static str, String)> {
    vec![
        ("nothing", String::new()),
        ("null", "null".into()),
        ("an array", "[]".into()),
        ("a string", "\"hello\"".into()),
        ("an empty object", "{}".into()),
        ("no messages", r#"{"model":"auto"}"#.into()),
        ("empty messages", r#"{"messages":[]}"#.into()),
        ("messages that are text", r#"{"messages":"hi"}"#.into()),
        ("messages that are null", r#"{"messages":null}"#.into()),
        ("a message that is a number", r#"{"messages":[1]}"#.into()),
        ("a message without a role", r#"{"messages":[{"content":"a"}]}"#.into()),
        ("an unknown role", r#"{"messages":[{"role":"robot","content":"a"}]}"#.into()),
        ("content that is a number", r#"{"messages":[{"role":"user","content":1}]}"#.into()),
        ("a model that is a number", r#"{"model":1,"messages":[{"role":"user","content":"a"}]}"#.into()),
        ("a model nobody knows", r#"{"model":"gpt-99","messages":[{"role":"user","content":"a"}]}"#.into()),
        ("an unknown objective", r#"{"model":"auto:best","messages":[{"role":"user","content":"a"}]}"#.into()),
        (
            "an unknown key of ours",
            r#"{"messages":[{"role":"user","content":"a"}],"pointsman":{"objektive":1}}"#.into(),
        ),
        ("options that are text", r#"{"messages":[{"role":"user","content":"a"}],"pointsman":"cheap"}"#.into()),
        (
            "a budget below nothing",
            r#"{"messages":[{"role":"user","content":"a"}],"pointsman":{"max_cost_usd":-1}}"#.into(),
        ),
        (
            "a budget beyond numbers",
            r#"{"messages":[{"role":"user","content":"a"}],"pointsman":{"max_cost_usd":1e999}}"#.into(),
        ),
        ("NaN", r#"{"messages":[{"role":"user","content":"a"}],"pointsman":{"max_cost_usd":NaN}}"#.into()),
        ("a nested context", r#"{"messages":[{"role":"user","content":"a"}],"pointsman":{"context":{"a":{}}}}"#.into()),
        ("two documents", r#"{"messages":[{"role":"user","content":"a"}]}{}"#.into()),
        ("a lone surrogate", r#"{"messages":[{"role":"user","content":"\ud800"}]}"#.into()),
        ("100,000 arrays deep", "[".repeat(100_000)),
        ("100,000 objects deep", format!("{{\"messages\":{}", "{\"a\":".repeat(100_000))),
        (
            "a deep unknown field",
            format!(
                "{{\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],\"x\":{}{}}}",
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
        ),
        (
            "100,000 messages",
            format!("{{\"messages\":[{}]}}", vec![r#"{"role":"user","content":"a"}"#; 100_000].join(",")),
        ),
        ("11 MiB", format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}", "a".repeat(11 << 20))),
    ]
}

/// Requests that are wrong before their body is looked at.
fn on_the_wire() -> Vec<DamagedRequest> {
    let request = |name: &str, method, path: &'static str, headers, body: &str, expected| DamagedRequest {
        name: format!("{path} {name}"),
        method,
        path,
        headers,
        body: body.as_bytes().to_vec(),
        expected,
    };
    vec![
        request("an unknown path", "POST", "/v1/rout", format!("{JSON}content-length: 2\r\n"), "{}", Refused),
        request("a wrong method", "DELETE", "/v1/route", String::new(), "", Refused),
        request("a method of nobody", "BREW", "/v1/route", String::new(), "", Refused),
        request(
            "a text type",
            "POST",
            "/v1/route",
            format!("content-type: text/plain\r\ncontent-length: {}\r\n", GOOD.len()),
            GOOD,
            Either,
        ),
        request(
            "a length below the body's",
            "POST",
            "/v1/route",
            format!("{JSON}content-length: 5\r\n"),
            GOOD,
            Refused,
        ),
        request(
            "a length that is no number",
            "POST",
            "/v1/route",
            format!("{JSON}content-length: lots\r\n"),
            GOOD,
            Refused,
        ),
        request(
            "two lengths",
            "POST",
            "/v1/route",
            format!("{JSON}content-length: 5\r\ncontent-length: 6\r\n"),
            GOOD,
            Refused,
        ),
        request(
            "broken chunks",
            "POST",
            "/v1/route",
            format!("{JSON}transfer-encoding: chunked\r\n"),
            "zz\r\nhello\r\n0\r\n\r\n",
            Refused,
        ),
        request(
            "gzip",
            "POST",
            "/v1/route",
            format!("{JSON}content-encoding: gzip\r\ncontent-length: 3\r\n"),
            "\x1f\x0b\x08",
            Refused,
        ),
        request("a header without a colon", "POST", "/v1/route", "nonsense\r\n".into(), "", Refused),
        request(
            "a header of 100 KiB",
            "POST",
            "/v1/route",
            format!("x-long: {}\r\ncontent-length: 2\r\n", "a".repeat(100 << 10)),
            "{}",
            Refused,
        ),
        request("2,000 headers", "POST", "/v1/route", lines(2_000, |i| format!("x-{i}: 1\r\n")), "", Refused),
    ]
}
