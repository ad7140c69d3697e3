//! Server-sent events out of a body, one by one, however its pieces are cut.

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Failure;
use crate::wire::protocol::Protocol;

/// Longest event, in bytes.
const LONGEST_EVENT: usize = 4 << 20;

/// One event as it came, the blank line at its end included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event(Bytes);

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A part of the answer, or that it is over: from here on the stream belongs to this target.
    Content,
    /// Nothing that the client would miss.
    Nothing,
    /// The end.
    Done,
    /// That something went wrong.
    Error,
    /// Something that is no JSON.
    Malformed,
}

/// What tells an answer, or a part of one, that is none.
#[derive(Deserialize)]
pub(crate) struct Failed {
    pub(crate) error: Option<IgnoredAny>,
}

/// What is looked at of a chunk.
#[derive(Deserialize)]
struct Chunk {
    error: Option<IgnoredAny>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    finish_reason: Option<IgnoredAny>,
}

impl Event {
    /// As it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// What stands behind `data:`; lines of several are rare and joined by line breaks.
    fn data(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        let mut data: Option<String> = None;
        for line in text.split(['\n', '\r']) {
            if let Some(part) = line.strip_prefix("data:") {
                let part = part.strip_prefix(' ').unwrap_or(part);
                match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(part);
                    }
                    None => data = Some(part.to_owned()),
                }
            }
        }
        data
    }

    /// The JSON that it carries, if it does.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.data()?).ok()
    }

    /// What it says, before the stream belongs to its target.
    pub(crate) fn says(&self, protocol: Protocol) -> Says {
        let Some(data) = self.data() else { return Says::Nothing };
        match protocol {
            Protocol::Chat | Protocol::Embeddings => chunk_says(&data),
            Protocol::Responses | Protocol::Messages => typed_says(&data),
        }
    }

    /// The same with a quicker look, afterwards: only the end, and what cannot be handed on, matter.
    pub(crate) fn ends(&self, protocol: Protocol) -> Says {
        let Some(data) = self.data() else { return Says::Nothing };
        match protocol {
            Protocol::Chat | Protocol::Embeddings if data.trim() == "[DONE]" => Says::Done,
            Protocol::Chat | Protocol::Embeddings => match serde_json::from_str::<Failed>(&data) {
                Ok(Failed { error: None }) => Says::Content,
                Ok(Failed { error: Some(_) }) => Says::Error,
                Err(_) => Says::Malformed,
            },
            Protocol::Responses | Protocol::Messages => typed_says(&data),
        }
    }
}

/// What a chunk of a chat completion says.
fn chunk_says(data: &str) -> Says {
    if data.trim() == "[DONE]" {
        return Says::Done;
    }
    let Ok(chunk) = serde_json::from_str::<Chunk>(data) else { return Says::Malformed };
    if chunk.error.is_some() {
        return Says::Error;
    }
    let says = |choice: &Choice| {
        choice.finish_reason.is_some()
            || choice.delta.iter().flatten().any(|(name, value)| {
                name != "role"
                    && !value.is_null()
                    && value.as_str() != Some("")
                    && value.as_array().is_none_or(|v| !v.is_empty())
            })
    };
    if chunk.choices.iter().any(says) { Says::Content } else { Says::Nothing }
}

/// What an event of a response or a message says, by its `type`. Of types that are not known here it is assumed that they
/// would be missed.
fn typed_says(data: &str) -> Says {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    }
    let Ok(Typed { kind }) = serde_json::from_str(data) else { return Says::Malformed };
    match kind.as_ref() {
        "error" | "response.failed" => Says::Error,
        "response.completed" | "response.incomplete" | "message_stop" => Says::Done,
        "response.created"
        | "response.queued"
        | "response.in_progress"
        | "response.output_item.added"
        | "response.content_part.added"
        | "message_start"
        | "content_block_start"
        | "ping" => Says::Nothing,
        _ => Says::Content,
    }
}

/// The events of a body.
#[derive(Debug)]
pub(crate) struct Events<B> {
    body: B,
    /// What has come and is no whole event yet.
    pending: Vec<u8>,
    /// Bytes of it that were searched for an end.
    searched: usize,
}

impl<B: HttpBody<Data = Bytes> + Unpin> Events<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, pending: Vec::new(), searched: 0 }
    }

    /// The next event; `None` at the end of the body. Bytes after the last whole event are dropped: half an event is none.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(end) = self.end() {
                let event: Vec<u8> = self.pending.drain(..end).collect();
                self.searched = 0;
                return Ok(Some(Event(event.into())));
            }
            if self.pending.len() > LONGEST_EVENT {
                return Err(Failure::Malformed);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Failure::Broken),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// Where the first event ends: behind a blank line, of LF, CRLF or CR.
    fn end(&mut self) -> Option<usize> {
        let bytes = &self.pending;
        let mut at = self.searched.saturating_sub(3);
        while at < bytes.len() {
            let line_end = |at: usize| match bytes.get(at..) {
                Some([b'\r', b'\n', ..]) => 2,
                Some([b'\n' | b'\r', ..]) => 1,
                _ => 0,
            };
            let first = line_end(at);
            if first > 0 {
                // A CR at the very end may be the first half of a CRLF.
                if bytes[at] == b'\r' && at + 1 == bytes.len() {
                    break;
                }
                let second = line_end(at + first);
                if second > 0 && !(bytes[at + first] == b'\r' && at + first + 1 == bytes.len()) {
                    return Some(at + first + second);
                }
            }
            at += 1;
        }
        self.searched = bytes.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// A body in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// The events of `text`, cut into pieces of `size` bytes.
    fn events(text: &str, size: usize) -> Vec<String> {
        let pieces = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut events = Events::new(Pieces(pieces));
            let mut found = Vec::new();
            while let Some(event) = events.next().await.expect("well formed") {
                found.push(String::from_utf8(event.bytes().to_vec()).expect("text"));
            }
            found
        })
    }

    #[test]
    fn events_are_the_same_however_the_pieces_are_cut() {
        let text = "data: {\"a\":1}\n\n: comment\n\ndata: b\r\n\r\nevent: x\ndata: c\ndata: d\n\ndata: half";
        let whole = events(text, text.len());
        assert_eq!(
            whole,
            ["data: {\"a\":1}\n\n", ": comment\n\n", "data: b\r\n\r\n", "event: x\ndata: c\ndata: d\n\n"]
        );
        for size in 1..text.len() {
            assert_eq!(events(text, size), whole, "pieces of {size}");
        }
    }

    #[test]
    fn what_an_event_says() {
        let says = |data: &str| Event(Bytes::from(format!("data: {data}\n\n"))).says(Protocol::Chat);
        for (data, expected) in [
            (r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, Says::Nothing),
            (r#"{"choices":[{"delta":{"content":"Hi"}}]}"#, Says::Content),
            (r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, Says::Content),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, Says::Content),
            (r#"{"choices":[],"usage":{"total_tokens":3}}"#, Says::Nothing),
            (r#"{"error":{"message":"no"}}"#, Says::Error),
            ("[DONE]", Says::Done),
            ("{\"choices\":[", Says::Malformed),
        ] {
            assert_eq!(says(data), expected, "{data}");
        }
    }

    #[test]
    fn what_a_typed_event_says() {
        for (kind, expected) in [
            ("response.created", Says::Nothing),
            ("response.output_text.delta", Says::Content),
            ("response.completed", Says::Done),
            ("response.failed", Says::Error),
            ("message_start", Says::Nothing),
            ("ping", Says::Nothing),
            ("content_block_delta", Says::Content),
            ("message_delta", Says::Content),
            ("message_stop", Says::Done),
            ("error", Says::Error),
            ("something.new", Says::Content),
        ] {
            let event = Event(Bytes::from(format!("event: {kind}\ndata: {{\"type\":\"{kind}\"}}\n\n")));
            assert_eq!(
                (event.says(Protocol::Messages), event.ends(Protocol::Responses)),
                (expected, expected),
                "{kind}"
            );
        }
        assert_eq!(Event(Bytes::from_static(b"data: {}\n\n")).says(Protocol::Messages), Says::Malformed);
        assert_eq!(Event(Bytes::from_static(b": ping\n\n")).says(Protocol::Messages), Says::Nothing);
    }
}
