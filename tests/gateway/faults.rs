//! The faults, and what each must come to.

use pointsman_tests::fakeup::{Fault, Script};

/// What becomes of a request whose only target has a fault, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    /// To an error, of this status, code, and cause of every attempt. Another target makes it good.
    Error(u16, &'static str, &'static str),
    /// To a whole answer all the same.
    Answer,
    /// To a stream with this many tokens and one error event of this cause. No other target may go on with it.
    Cut(usize, &'static str),
}

/// How the faulty target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// One row of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) scheme: Scheme,
    pub(crate) plain: Comes,
    pub(crate) stream: Comes,
    /// How often the only target is tried.
    pub(crate) tries: usize,
    /// Whether a try reaches the target as a request.
    pub(crate) is_seen: bool,
}

const CONNECT: Comes = Comes::Error(502, "upstream_failed", "connect");
const BROKEN: Comes = Comes::Error(502, "upstream_failed", "broken");
const MALFORMED: Comes = Comes::Error(502, "upstream_failed", "malformed");
const STATUS: Comes = Comes::Error(502, "upstream_failed", "status");
const TIMEOUT: Comes = Comes::Error(504, "upstream_timeout", "timeout");
const BUSY: Comes = Comes::Error(429, "upstream_rate_limited", "rate_limited");
const KEY: Comes = Comes::Error(502, "upstream_credentials_exhausted", "key_refused");

/// Every fault.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name, script, plain, stream| Row {
        name,
        script,
        scheme: Scheme::Http,
        plain,
        stream,
        tries: 3,
        is_seen: true,
    };
    let fault = |name, fault, plain, stream| row(name, Script::faulty(fault), plain, stream);
    let status = |name, status, comes| row(name, Script::failing(status), comes, comes);
    let busy = |name, seconds| Row {
        script: Script { retry_after: Some(seconds), ..Script::failing(429) },
        ..status(name, 429, BUSY)
    };
    let unseen = |name, script| Row { is_seen: false, ..row(name, script, CONNECT, CONNECT) };
    vec![
        unseen("refuse", Script { refuses: true, ..Script::default() }),
        fault("reset", Fault::Reset, BROKEN, BROKEN),
        fault("hangup", Fault::Hangup, BROKEN, BROKEN),
        Row { scheme: Scheme::Https, ..unseen("no TLS", Script::default()) },
        Row { scheme: Scheme::Https, ..unseen("untrusted TLS", Script { tls: true, ..Script::default() }) },
        Row { tries: 1, ..status("401", 401, KEY) },
        status("429", 429, BUSY),
        busy("429, after 1 s", 1),
        // Longer than anybody waits.
        Row { tries: 1, ..busy("429, after 30 s", 30) },
        status("500", 500, STATUS),
        status("503", 503, STATUS),
        fault("stall", Fault::Stall, TIMEOUT, TIMEOUT),
        fault("stall before content", Fault::StallBeforeContent, TIMEOUT, TIMEOUT),
        fault("stall after content", Fault::StallAfter(3), TIMEOUT, Comes::Cut(3, "timeout")),
        fault("cut before content", Fault::Cut(0), BROKEN, BROKEN),
        fault("cut after content", Fault::Cut(3), BROKEN, Comes::Cut(3, "broken")),
        fault("reset after content", Fault::ResetAfter(3), BROKEN, Comes::Cut(3, "broken")),
        fault("malformed JSON", Fault::MalformedJson, MALFORMED, MALFORMED),
        fault("malformed chunk", Fault::MalformedChunk(3), BROKEN, Comes::Cut(3, "malformed")),
        fault("error before content", Fault::ErrorEvent(0), MALFORMED, MALFORMED),
        fault("error after content", Fault::ErrorEvent(3), MALFORMED, Comes::Cut(3, "malformed")),
        fault("no end", Fault::Unterminated, BROKEN, Comes::Answer),
        fault("stall at the end", Fault::StallAtEnd, TIMEOUT, Comes::Answer),
        fault("wrong content type", Fault::WrongType, MALFORMED, MALFORMED),
        fault("slow drip", Fault::DripMs(25), TIMEOUT, TIMEOUT),
    ]
}
