//! What a request of another protocol amounts to as a chat completion: that is what the router reads. The target gets the
//! request as it came.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::json::kind;
use super::protocol::Protocol;
use crate::error::Error;

/// Fields that mean the same everywhere, ours among them.
const COMMON: [&str; 10] = [
    "model",
    "models",
    "session_id",
    "prompt_cache_key",
    "context",
    "pointsman",
    "provider",
    "metadata",
    "tools",
    "max_tokens",
];

/// The chat completion's body that `bytes` amount to.
pub(crate) fn as_chat(bytes: &[u8], protocol: Protocol) -> Result<Cow<'_, [u8]>, Error> {
    if protocol == Protocol::Chat {
        return Ok(bytes.into());
    }
    let body: Value = serde_json::from_slice(bytes).map_err(|source| Error::InvalidJson {
        line: source.line(),
        column: source.column(),
        source,
    })?;
    let Value::Object(mut body) = body else { return Err(Error::invalid("body", "an object", kind(&body))) };
    let mut chat: Map<String, Value> =
        COMMON.iter().filter_map(|name| Some(((*name).to_owned(), body.remove(*name)?))).collect();
    let messages = match protocol {
        Protocol::Chat | Protocol::Responses => {
            if let Some(most) = body.remove("max_output_tokens") {
                chat.insert("max_completion_tokens".into(), most);
            }
            let form = &body.get("text").map_or(&Value::Null, |text| &text["format"]["type"]);
            if form.as_str().is_some_and(|form| form.starts_with("json")) {
                chat.insert("response_format".into(), json!({"type": form}));
            }
            of_response(body.remove("instructions"), body.remove("input"))?
        }
        Protocol::Messages => {
            let system = body.remove("system").filter(|system| !system.is_null());
            let Some(Value::Array(messages)) = body.remove("messages") else {
                return Err(Error::invalid("messages", "an array of messages", "another value"));
            };
            system.map(|content| json!({"role": "system", "content": content})).into_iter().chain(messages).collect()
        }
        Protocol::Embeddings => {
            let text = match body.remove("input") {
                Some(Value::String(text)) => text,
                Some(Value::Array(inputs)) if !inputs.is_empty() => {
                    inputs.first().and_then(Value::as_str).unwrap_or_default().to_owned()
                }
                _ => return Err(Error::invalid("input", "a string, or an array that is not empty", "another value")),
            };
            vec![json!({"role": "user", "content": text})]
        }
    };
    chat.insert("messages".into(), messages.into());
    Ok(Value::from(chat).to_string().into_bytes().into())
}

/// The messages of a response's request. Items without a text of their own (calls, reasoning, references) are passed over.
fn of_response(instructions: Option<Value>, input: Option<Value>) -> Result<Vec<Value>, Error> {
    let mut messages = Vec::new();
    if let Some(instructions) = instructions.filter(Value::is_string) {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    match input {
        Some(text @ Value::String(_)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => messages.extend(items.into_iter().filter_map(of_item)),
        _ => return Err(Error::invalid("input", "a string or an array of items", "another value")),
    }
    if messages.is_empty() {
        return Err(Error::invalid("input", "an item with a text", "none"));
    }
    Ok(messages)
}

fn of_item(mut item: Value) -> Option<Value> {
    if item["role"].is_string() {
        for part in item["content"].as_array_mut().into_iter().flatten() {
            if part["type"] == "output_text" {
                part["type"] = "text".into();
            }
        }
        return Some(json!({"role": item["role"], "content": item["content"]}));
    }
    // What is no object has no text of its own either; to take by its index would panic.
    let output = item.get_mut("output").map(Value::take);
    (item["type"] == "function_call_output").then(|| json!({"role": "tool", "content": output}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(protocol: Protocol, body: &Value) -> Value {
        serde_json::from_slice(&as_chat(body.to_string().as_bytes(), protocol).expect("valid")).expect("JSON")
    }

    #[test]
    fn items_that_are_no_objects_are_passed_over() {
        let asked = |input: Value| as_chat(json!({"input": input}).to_string().as_bytes(), Protocol::Responses).is_ok();
        for odd in [json!("Hi"), json!(1), json!(null), json!([["x"]]), json!(true)] {
            assert!(!asked(json!([odd])), "{odd}");
            assert!(asked(json!([odd, {"role": "user", "content": "x"}])), "{odd}");
        }
    }

    #[test]
    fn a_response_amounts_to_a_chat() {
        let body = json!({"model": "auto", "instructions": "Be brief.", "max_output_tokens": 9, "stream": true,
            "text": {"format": {"type": "json_schema", "schema": {}}}, "tools": [{"type": "web_search"}],
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "x"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"},
                {"type": "function_call_output", "call_id": "1", "output": "42"}]});
        let expected = json!({"model": "auto", "max_completion_tokens": 9, "response_format": {"type": "json_schema"},
            "tools": [{"type": "web_search"}], "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "x"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
                {"role": "tool", "content": "42"}]});
        assert_eq!(chat(Protocol::Responses, &body), expected);
        let short = chat(Protocol::Responses, &json!({"input": "Hi"}));
        assert_eq!(short, json!({"messages": [{"role": "user", "content": "Hi"}]}));
    }

    #[test]
    fn messages_and_embeddings_amount_to_a_chat() {
        let body = json!({"model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "Be brief."}],
            "messages": [{"role": "user", "content": "Hi"}]});
        let expected = json!({"model": "m", "max_tokens": 5, "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, {"role": "user", "content": "Hi"}]});
        assert_eq!(chat(Protocol::Messages, &body), expected);
        for input in [json!("Hi"), json!(["Hi", "there"])] {
            let expected = json!({"messages": [{"role": "user", "content": "Hi"}]});
            assert_eq!(chat(Protocol::Embeddings, &json!({"input": input})), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (protocol, body, expected) in [
            (Protocol::Responses, json!({}), "input: expected a string or an array of items"),
            (Protocol::Responses, json!({"input": [{"type": "reasoning"}]}), "input: expected an item with a text"),
            (Protocol::Messages, json!({"messages": "Hi"}), "messages: expected an array of messages"),
            (Protocol::Embeddings, json!({"input": []}), "input: expected a string, or an array"),
            (Protocol::Embeddings, json!([]), "body: expected an object"),
        ] {
            let error = as_chat(body.to_string().as_bytes(), protocol).expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
