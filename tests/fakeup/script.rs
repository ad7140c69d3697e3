//! What a fake does with its requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything a fake does, until the next script. Requests are counted from 0 under each script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Nobody listens, and connections that are open are closed. Default: no.
    pub refuses: bool,
    /// It speaks TLS, under a certificate that nobody trusts. Default: no.
    pub tls: bool,
    /// Before the first byte of an answer. Default: 0.
    pub latency_ms: Span,
    /// Of a stream, between its role event and its first content. Default: 0.
    pub first_token_ms: Span,
    /// Of a stream, between two pieces of content; without one they leave in as few packets as they fit. Default: 0.
    pub gap_ms: Span,
    /// Tokens of an answer; each is an event of a stream. Default: 8.
    pub chunks: usize,
    /// Follows every token, for longer ones. Default: nothing.
    pub text: String,
    /// What is said of tokens. Default: nothing.
    pub usage: Option<Usage>,
    /// The status of every request in turn; the last one from then on. Default: 200.
    pub statuses: Vec<u16>,
    /// Seconds that a status of 400 and above comes with. Default: none.
    pub retry_after: Option<u32>,
    /// The fault of every request in turn; the last one from then on. Default: none.
    pub faults: Vec<Fault>,
    /// The head of the request stands in the answer, as `request_head`. Default: no.
    pub echo: bool,
    /// What the times above are drawn with. Default: 0.
    pub seed: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            refuses: false,
            tls: false,
            latency_ms: Span::Fixed(0),
            first_token_ms: Span::Fixed(0),
            gap_ms: Span::Fixed(0),
            chunks: 8,
            text: String::new(),
            usage: None,
            statuses: vec![200],
            retry_after: None,
            faults: vec![Fault::None],
            echo: false,
            seed: 0,
        }
    }
}

impl Script {
    /// One whose every request meets this fault.
    pub fn faulty(fault: Fault) -> Self {
        Self { faults: vec![fault], ..Self::default() }
    }

    /// One that answers every request with this status.
    pub fn failing(status: u16) -> Self {
        Self { statuses: vec![status], ..Self::default() }
    }
}

/// A time in whole milliseconds, which is what the timer counts: always the same, or anything in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Always so many.
    Fixed(u64),
    /// Drawn evenly, both ends included.
    Uniform {
        /// At least.
        from: u64,
        /// At most.
        to: u64,
    },
}

impl Span {
    /// The time, drawn where there is a choice.
    pub fn draw(self, random: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(match self {
            Self::Fixed(ms) => ms,
            Self::Uniform { from, to } => random.u64(from..=to.max(from)),
        })
    }
}

/// A target's count of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Of the request.
    pub prompt_tokens: u32,
    /// Of the answer.
    pub completion_tokens: u32,
}

/// How an answer fails. Numbers are tokens said before; of an answer that is no stream, any number means half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Not at all.
    None,
    /// The connection is reset in the place of an answer.
    Reset,
    /// The connection is closed in the place of an answer.
    Hangup,
    /// Nothing, for as long as the client waits.
    Stall,
    /// The head and, of a stream, its role event; of a whole answer one byte. Then nothing.
    StallBeforeContent,
    /// So many tokens; then nothing.
    StallAfter(usize),
    /// So many tokens; then the connection is closed.
    Cut(usize),
    /// So many tokens; then the connection is reset.
    ResetAfter(usize),
    /// Half a JSON document in the place of a whole one; in a stream in the place of the first event.
    MalformedJson,
    /// So many tokens; then an event that is no JSON, and the end. An answer that is no stream comes in chunks of HTTP, of
    /// which one is none.
    MalformedChunk(usize),
    /// So many tokens; then an event with an error, and the end without `[DONE]`. Otherwise the status is 200 and the body an error.
    ErrorEvent(usize),
    /// Everything; then the connection is closed before the end that HTTP wants.
    Unterminated,
    /// Everything; then nothing, not even the end that HTTP wants.
    StallAtEnd,
    /// A page for people.
    WrongType,
    /// The whole answer one byte at a time, with so many milliseconds in between.
    DripMs(u64),
}
