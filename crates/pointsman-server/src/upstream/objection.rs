//! What a target has against a request that another target may not have: that it is too long for its model, or what it is
//! about. There is no standard for saying so; these are the forms in use.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Failure;

/// Longest refusal that is looked at.
const LONGEST: usize = 64 << 10;

/// Codes and types of errors, and parts of messages where servers have no code of their own for it.
const TOO_LONG: [&str; 3] = ["context_length_exceeded", "string_above_max_length", "exceed_context_size_error"];
const TOO_LONG_SAID: [&str; 5] = [
    // vLLM, and OpenAI beside its code; Mistral.
    "maximum context length",
    // Anthropic.
    "prompt is too long",
    // llama.cpp.
    "exceeds the available context size",
    // Gemini.
    "exceeds the maximum number of tokens",
    // Groq, Together.
    "reduce the length of the messages",
];
const CONTENT: [&str; 4] =
    ["content_filter", "content_policy_violation", "moderation_blocked", "ResponsibleAIPolicyViolation"];

/// A refusal: the error inside an envelope, or itself one.
#[derive(Deserialize)]
struct Refusal {
    error: Option<Fault>,
    #[serde(flatten)]
    bare: Fault,
}

#[derive(Default, Deserialize)]
struct Fault {
    code: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    message: Option<Value>,
    innererror: Option<Inner>,
    metadata: Option<Moderation>,
}

/// What `OpenRouter` says of a request that was flagged, under 403.
#[derive(Deserialize)]
struct Moderation {
    reasons: Option<IgnoredAny>,
    flagged_input: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Inner {
    code: Option<Value>,
}

/// What such an answer objects to; `None` where it is anything else, which is for the client to read.
pub(crate) fn objection(status: StatusCode, body: &[u8]) -> Option<Failure> {
    let is_too_long = matches!(status.as_u16(), 413 | 414 | 431);
    let may_object = is_too_long || matches!(status.as_u16(), 400 | 403 | 422);
    if !may_object {
        return None;
    }
    let told = if body.len() > LONGEST { None } else { serde_json::from_slice(body).ok() };
    let Some(Refusal { error, bare }) = told else { return is_too_long.then_some(Failure::ContextLength) };
    let Fault { code, kind, message, innererror, metadata } = error.unwrap_or(bare);
    let is_flagged = metadata.is_some_and(|told| told.reasons.is_some() || told.flagged_input.is_some());
    let inner = innererror.and_then(|inner| inner.code);
    let names = [&code, &kind, &inner].map(|name| name.as_ref().and_then(Value::as_str).unwrap_or_default());
    let is_one_of = |known: &[&str]| names.iter().any(|name| known.contains(name));
    let message = message.as_ref().and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if is_one_of(&CONTENT) || is_flagged {
        Some(Failure::Content)
    } else if is_too_long || is_one_of(&TOO_LONG) || TOO_LONG_SAID.iter().any(|part| message.contains(part)) {
        Some(Failure::ContextLength)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_a_request_that_is_too_long() {
        for body in [
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"Invalid 'messages[0].content': string too long.","code":"string_above_max_length"}}"#,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 215000 tokens > 200000 maximum"}}"#,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
            r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error"}}"#,
        ] {
            assert_eq!(objection(StatusCode::BAD_REQUEST, body.as_bytes()), Some(Failure::ContextLength), "{body}");
        }
    }

    #[test]
    fn what_servers_say_of_what_a_request_is_about() {
        for body in [
            r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            r#"{"error":{"message":"x","code":"400","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            r#"{"error":{"message":"Your request was rejected.","type":"image_generation_user_error","code":"moderation_blocked"}}"#,
            r#"{"error":{"message":"x","type":"content_policy_violation"}}"#,
        ] {
            assert_eq!(objection(StatusCode::BAD_REQUEST, body.as_bytes()), Some(Failure::Content), "{body}");
        }
    }

    #[test]
    fn a_flagged_request_is_told_from_a_key_that_may_not() {
        let flagged = br#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"p","model_slug":"m"}}}"#;
        assert_eq!(objection(StatusCode::FORBIDDEN, flagged), Some(Failure::Content));
        for body in
            [&br#"{"error":{"code":403,"message":"no access","metadata":{"provider_name":"p"}}}"#[..], b"", b"<html>"]
        {
            assert_eq!(objection(StatusCode::FORBIDDEN, body), None);
        }
    }

    #[test]
    fn a_body_that_is_too_large_for_whatever_stands_before_a_target_is_too_long_for_it() {
        for status in [413, 414, 431].map(|status| StatusCode::from_u16(status).expect("a status")) {
            for body in [&b"<html>413</html>"[..], b"", br#"{"error":{"message":"too large"}}"#] {
                assert_eq!(objection(status, body), Some(Failure::ContextLength), "{status}");
            }
        }
        assert_eq!(objection(StatusCode::BAD_REQUEST, b"<html>"), None);
    }

    #[test]
    fn anything_else_is_for_the_client() {
        let too_long = br#"{"error":{"code":"context_length_exceeded"}}"#;
        assert_eq!(objection(StatusCode::PAYLOAD_TOO_LARGE, too_long), Some(Failure::ContextLength));
        assert_eq!(objection(StatusCode::NOT_FOUND, too_long), None);
        assert_eq!(objection(StatusCode::OK, too_long), None);
        let bodies: [&[u8]; 8] = [
            b"",
            b"null",
            b"[]",
            b"{}",
            br#"{"error":"context_length_exceeded"}"#,
            br#"{"error":{"code":400,"message":"temperature: expected 0 to 2"}}"#,
            br#"{"error":{"code":{"a":1},"message":["maximum context length"]}}"#,
            b"\xff",
        ];
        for body in bodies {
            assert_eq!(objection(StatusCode::BAD_REQUEST, body), None, "{}", String::from_utf8_lossy(body));
        }
        let long = format!(r#"{{"error":{{"code":"content_filter","message":"{}"}}}}"#, "x".repeat(LONGEST));
        assert_eq!(objection(StatusCode::BAD_REQUEST, long.as_bytes()), None);
    }
}
