//! What answers say of their tokens, in the words of every protocol.

use serde::Deserialize;

/// A target's counts, as far as it has told them: of a stream some come at the beginning and others at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tokens of the request, those that the protocol counts apart aside.
    input: Option<u32>,
    /// Of these, those that the target had in its cache.
    cached_within: Option<u32>,
    /// Beside these, those that it had in its cache, and those that it put there.
    cached_beside: Option<u32>,
    written_beside: Option<u32>,
    output: Option<u32>,
}

/// `usage` of an answer. OpenAI counts what was cached among the input, Anthropic beside it.
#[derive(Debug, Deserialize)]
struct Told {
    prompt_tokens: Option<u32>,
    input_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    output_tokens: Option<u32>,
    prompt_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u32>,
    cache_creation_input_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Details {
    cached_tokens: Option<u32>,
}

/// Where it stands in an answer of any protocol, or in an event of one.
#[derive(Debug, Deserialize)]
struct Holder {
    usage: Option<Told>,
    response: Option<Inner>,
    message: Option<Inner>,
}

#[derive(Debug, Deserialize)]
struct Inner {
    usage: Option<Told>,
}

impl Usage {
    /// Takes what an answer, or a part of one, says; whether that was anything. What was said last counts.
    pub(crate) fn take(&mut self, json: &[u8]) -> bool {
        // Most parts of a stream have none, and are not worth a parser's time.
        if !json.windows(b"\"usage\"".len()).any(|window| window == b"\"usage\"") {
            return false;
        }
        let Ok(Holder { usage, response, message }) = serde_json::from_slice(json) else { return false };
        let (has_begun, told) = match usage.or_else(|| response?.usage) {
            Some(told) => (false, Some(told)),
            None => (true, message.and_then(|message| message.usage)),
        };
        let Some(told) = told else { return false };
        let is_apart = told.prompt_tokens.is_none();
        let details = told.prompt_tokens_details.or(told.input_tokens_details);
        *self = Self {
            input: told.prompt_tokens.or(told.input_tokens).or(self.input),
            cached_within: details.and_then(|details| details.cached_tokens).or(self.cached_within),
            // Who counts in OpenAI's words has them within, even where they are said in Anthropic's too.
            cached_beside: told.cache_read_input_tokens.filter(|_| is_apart).or(self.cached_beside),
            written_beside: told.cache_creation_input_tokens.filter(|_| is_apart).or(self.written_beside),
            // What a message says of its output when it begins stands for nothing yet.
            output: told.completion_tokens.or(told.output_tokens).filter(|_| !has_begun).or(self.output),
        };
        true
    }

    /// Tokens of the request, all of them.
    pub(crate) fn input(&self) -> Option<u32> {
        let beside = self.cached_beside.unwrap_or_default().saturating_add(self.written_beside.unwrap_or_default());
        Some(self.input?.saturating_add(beside))
    }

    /// Those of them that the target had in its cache.
    pub(crate) fn cached(&self) -> u32 {
        let cached = self.cached_within.unwrap_or_default().saturating_add(self.cached_beside.unwrap_or_default());
        cached.min(self.input().unwrap_or_default())
    }

    /// Tokens of the answer.
    pub(crate) fn output(&self) -> Option<u32> {
        self.output
    }
}

/// Keys whose texts are what an answer says, in every protocol, calls of tools and thoughts among them.
const SAID: [&[u8]; 8] =
    [b"content", b"text", b"delta", b"arguments", b"partial_json", b"thinking", b"reasoning", b"reasoning_content"];

/// Bytes per token, where nobody counts: of English prose and of code about four.
const BYTES_PER_TOKEN: usize = 4;

/// About how many tokens so many bytes are.
pub(crate) fn tokens_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// Bytes of what an answer, or a part of one, says, as they are written. Of what is no JSON something or nothing.
pub(crate) fn said(json: &[u8]) -> usize {
    let (mut at, mut said, mut counts) = (0, 0, false);
    while let Some(start) = json[at..].iter().position(|byte| *byte == b'"').map(|offset| at + offset + 1) {
        let mut end = start;
        while end < json.len() && json[end] != b'"' {
            end += 1 + usize::from(json[end] == b'\\');
        }
        let end = end.min(json.len());
        let text = &json[start..end];
        at = (end + 1).min(json.len());
        let is_key = json[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        if is_key {
            counts = SAID.contains(&text);
        } else if counts {
            said += text.len();
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> (Option<u32>, u32, Option<u32>) {
        let mut usage = Usage::default();
        for part in parts {
            usage.take(part.as_bytes());
        }
        (usage.input(), usage.cached(), usage.output())
    }

    #[test]
    fn tokens_are_counted_as_each_protocol_counts_them() {
        for (parts, expected) in [
            (&[r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 2}}"#][..], (Some(9), 0, Some(2))),
            (
                &[
                    r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}"#,
                ],
                (Some(9), 4, Some(2)),
            ),
            (
                &[
                    r#"{"response": {"usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2}}}"#,
                ],
                (Some(9), 4, Some(2)),
            ),
            (
                &[
                    r#"{"type": "message_start", "message": {"usage": {"input_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 1}}}"#,
                    r#"{"type": "message_delta", "usage": {"output_tokens": 7}}"#,
                ],
                (Some(9), 5, Some(7)),
            ),
            // Its end was not seen: nobody knows how long it was.
            (&[r#"{"message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}"#], (Some(1), 0, None)),
            (
                &[
                    r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}}"#,
                ],
                (Some(9), 4, Some(2)),
            ),
            // Some servers say everything in both ways.
            (
                &[r#"{"usage": {"prompt_tokens": 9, "input_tokens": 9, "output_tokens": 2, "completion_tokens": 2}}"#],
                (Some(9), 0, Some(2)),
            ),
            (&[r#"{"usage": null}"#], (None, 0, None)),
            (&[r#"{"usage": {"prompt_tokens": -1}}"#], (None, 0, None)),
            (
                &[r#"{"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}}"#],
                (Some(3), 3, None),
            ),
            (
                &[r#"{"usage": {"input_tokens": 4294967295, "cache_read_input_tokens": 4294967295}}"#],
                (Some(u32::MAX), u32::MAX, None),
            ),
            (&[r#"{"choices": []}"#, "no JSON with \"usage\""], (None, 0, None)),
        ] {
            assert_eq!(of(parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_an_answer_says_is_told_from_what_is_around_it() {
        for (json, expected) in [
            (r#"{"id": "chatcmpl-1", "choices": [{"delta": {"role": "assistant", "content": "Hello"}}]}"#, 5),
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"a\"b\\","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#,
                8,
            ),
            (r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi there"}}"#, 8),
            (r#"{"type":"response.output_text.delta","item_id":"msg_1","delta":"Hi"}"#, 2),
            (r#"{"content": null, "model": "m"}"#, 0),
            (r#"{"content": "never ends"#, 10),
            (r#"{"content": "\"#, 1),
            ("", 0),
            ("\"", 0),
        ] {
            assert_eq!(said(json.as_bytes()), expected, "{json}");
        }
        assert_eq!([0, 1, 4, 5].map(tokens_of), [0, 1, 1, 2]);
    }
}
