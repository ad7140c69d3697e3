//! What an answer says: a nonce of the request and numbered tokens.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::script::Usage;

/// What a request asks, as far as an answer depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The last word of the last message.
    pub nonce: String,
    /// The model's name.
    pub model: String,
    /// Whether the answer is a stream.
    pub streams: bool,
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow, default)]
    model: Cow<'b, str>,
    #[serde(borrow, default)]
    messages: Vec<Message<'b>>,
    #[serde(default)]
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Message<'b> {
    #[serde(borrow, default)]
    content: Cow<'b, str>,
}

impl Ask {
    /// The request of a body; `None` where that is no chat completion whose messages are texts.
    pub fn of(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        let nonce = body.messages.last().and_then(|message| message.content.split_whitespace().next_back());
        Some(Self {
            nonce: nonce.unwrap_or_default().to_owned(),
            model: body.model.into_owned(),
            streams: body.stream == Some(true),
        })
    }
}

/// One token: `nonce:i`, the script's text, and a space.
pub fn token(nonce: &str, i: usize, text: &str) -> String {
    format!("{nonce}:{i}{text} ")
}

/// All of an answer.
pub fn content(nonce: &str, chunks: usize, text: &str) -> String {
    let mut content = String::with_capacity(chunks * (nonce.len() + text.len() + 6));
    for i in 0..chunks {
        // Writing to a string cannot fail.
        let _ = write!(content, "{nonce}:{i}{text} ");
    }
    content
}

/// Checks that `said` is the answer to the request with this nonce, its first `chunks` tokens, each once and in order.
///
/// # Errors
/// The first place where it is something else.
pub fn check(said: &str, nonce: &str, chunks: usize, text: &str) -> Result<(), String> {
    let mut rest = said;
    for i in 0..chunks {
        let expected = token(nonce, i, text);
        rest = rest.strip_prefix(expected.as_str()).ok_or_else(|| {
            let got: String = rest.chars().take(expected.len() + 8).collect();
            format!("token {i}: expected `{expected}`, got `{got}`")
        })?;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("after {chunks} tokens: `{rest}`")) }
}

/// What all parts of an answer have in common, written once.
#[derive(Debug)]
pub(super) struct Voice {
    /// Fields before the choices; both kinds of answer put their own `object` before them.
    common: String,
}

impl Voice {
    /// The fake of this name answers this.
    pub(super) fn new(name: &str, ask: &Ask) -> Self {
        let id = Value::from(format!("chatcmpl-{}", ask.nonce));
        let (model, name) = (Value::from(ask.model.as_str()), Value::from(name));
        Self { common: format!(r#""id":{id},"created":0,"model":{model},"system_fingerprint":{name}"#) }
    }

    /// A whole answer, as JSON.
    pub(super) fn completion(&self, content: &str, usage: Option<Usage>, head: Option<&str>) -> String {
        let Self { common } = self;
        let content = Value::from(content);
        let mut answer = format!(
            r#"{{"object":"chat.completion",{common},"choices":[{{"index":0,"message":{{"role":"assistant","content":{content}}},"finish_reason":"stop"}}]"#
        );
        // Writing to a string cannot fail.
        if let Some(usage) = usage {
            let _ = write!(answer, r#","usage":{}"#, counted(usage));
        }
        if let Some(head) = head {
            let _ = write!(answer, r#","request_head":{}"#, Value::from(head));
        }
        answer.push('}');
        answer
    }

    /// One event of a stream.
    pub(super) fn event(&self, delta: &Value, finish: Option<&str>) -> String {
        let Self { common } = self;
        let finish = Value::from(finish);
        format!(
            "data: {{\"object\":\"chat.completion.chunk\",{common},\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    }

    /// The event that counts tokens.
    pub(super) fn usage(&self, usage: Usage) -> String {
        let Self { common } = self;
        let usage = counted(usage);
        format!("data: {{\"object\":\"chat.completion.chunk\",{common},\"choices\":[],\"usage\":{usage}}}\n\n")
    }
}

fn counted(usage: Usage) -> Value {
    let Usage { prompt_tokens, completion_tokens } = usage;
    json!({"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_answer_in_order_is_one() {
        let whole = content("n", 3, "");
        assert_eq!(whole, "n:0 n:1 n:2 ");
        assert_eq!(check(&whole, "n", 3, ""), Ok(()));
        for (said, expected) in [
            ("n:0 n:1 ", "token 2: expected `n:2 `, got ``"),
            ("n:0 n:0 n:1 n:2 ", "token 1: expected `n:1 `, got `n:0 n:1 n:2 `"),
            ("n:0 n:2 n:1 ", "token 1: expected `n:1 `, got `n:2 n:1 `"),
            ("m:0 n:1 n:2 ", "token 0: expected `n:0 `, got `m:0 n:1 n:2 `"),
            ("n:0 n:1 n:2 n:3 ", "after 3 tokens: `n:3 `"),
        ] {
            assert_eq!(check(said, "n", 3, "").expect_err(said), expected);
        }
    }

    #[test]
    fn the_nonce_is_the_last_word_said() {
        let ask =
            Ask::of(br#"{"model": "m", "stream": true, "messages": [{"role": "user", "content": "a \"b\" nonce-7"}]}"#);
        assert_eq!(ask, Some(Ask { nonce: "nonce-7".into(), model: "m".into(), streams: true }));
        assert_eq!(Ask::of(b"{\"messages\":"), None);
    }
}
