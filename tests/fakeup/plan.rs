//! What a fake sends, when, and how that ends: a pure function of script and request.

use std::time::Duration;

use serde_json::json;

use super::content::{Ask, Voice, content, token};
use super::script::{Fault, Script};

/// Bytes, and how long after the ones before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Time to wait before they are sent.
    pub after: Duration,
    /// What is sent at once.
    pub bytes: Vec<u8>,
}

/// What becomes of the connection when everything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset: the client's next read fails.
    Reset,
    /// Nothing more comes until the client leaves.
    Stall,
}

/// An answer, or what comes in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub pieces: Vec<Piece>,
    /// What then becomes of the connection.
    pub end: End,
}

impl Plan {
    /// What the fake of this name does with its request number `number` under `script`.
    pub fn new(name: &str, script: &Script, number: usize, ask: &Ask, head: &str) -> Self {
        // Every request has its own generator, so that what it meets does not depend on who else asks.
        let mut random = fastrand::Rng::with_seed(script.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut plan = Self { pieces: Vec::new(), end: End::Keep };
        plan.wait(script.latency_ms.draw(&mut random));
        let status = turn(&script.statuses, number).unwrap_or(200);
        let fault = turn(&script.faults, number).unwrap_or(Fault::None);
        let echoed = script.echo.then_some(head);
        match fault {
            Fault::Reset => plan.end = End::Reset,
            Fault::Hangup => plan.end = End::Close,
            Fault::Stall => plan.end = End::Stall,
            _ if status != 200 => {
                let retry = script.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n"));
                plan.say(whole(status, "application/json", &retry.unwrap_or_default(), ERROR));
            }
            Fault::WrongType => plan.say(whole(200, "text/html", "", "<html>A page for people.</html>")),
            _ if ask.streams => plan.stream(&Voice::new(name, ask), script, fault, ask, echoed, &mut random),
            _ => {
                let said = content(&ask.nonce, script.chunks, &script.text);
                plan.whole(&Voice::new(name, ask).completion(&said, script.usage, echoed), fault);
            }
        }
        if let Fault::DripMs(ms) = fault {
            plan.drip(Duration::from_millis(ms));
        }
        plan
    }

    fn whole(&mut self, answer: &str, fault: Fault) {
        const FORM: &str = "application/json";
        let half = &answer[..answer.len() / 2];
        let mut bytes = whole(200, FORM, "", answer);
        let head = bytes.len() - answer.len();
        match fault {
            Fault::MalformedJson => bytes = whole(200, FORM, "", half),
            Fault::MalformedChunk(_) => {
                bytes = chunked_head(FORM).into_bytes();
                bytes.extend(chunk(half));
                bytes.extend_from_slice(b"not a length\r\n");
                self.end = End::Close;
            }
            Fault::ErrorEvent(_) => bytes = whole(200, FORM, "", ERROR),
            Fault::Unterminated | Fault::StallAtEnd => {
                bytes = chunked_head(FORM).into_bytes();
                bytes.extend(chunk(answer));
                self.end = interrupted(fault);
            }
            Fault::StallBeforeContent => {
                bytes.truncate(head + 1);
                self.end = End::Stall;
            }
            Fault::StallAfter(_) | Fault::Cut(_) | Fault::ResetAfter(_) => {
                bytes.truncate(head + half.len());
                self.end = interrupted(fault);
            }
            _ => {}
        }
        self.say(bytes);
    }

    fn stream(
        &mut self,
        voice: &Voice,
        script: &Script,
        fault: Fault,
        ask: &Ask,
        echoed: Option<&str>,
        random: &mut fastrand::Rng,
    ) {
        self.say(chunked_head("text/event-stream").into_bytes());
        if fault == Fault::MalformedJson {
            self.say(chunk("data: {\"choices\":[\n\n"));
            self.say(LAST_CHUNK.to_vec());
            return;
        }
        let mut role = json!({"role": "assistant", "content": ""});
        if let Some(head) = echoed {
            role["request_head"] = head.into();
        }
        self.say(chunk(&voice.event(&role, None)));
        if fault == Fault::StallBeforeContent {
            self.end = End::Stall;
            return;
        }
        let stops_after = match fault {
            Fault::StallAfter(n)
            | Fault::Cut(n)
            | Fault::ResetAfter(n)
            | Fault::MalformedChunk(n)
            | Fault::ErrorEvent(n) => Some(n),
            _ => None,
        };
        for i in 0..script.chunks.min(stops_after.unwrap_or(usize::MAX)) {
            self.wait(if i == 0 { script.first_token_ms } else { script.gap_ms }.draw(random));
            let delta = json!({"content": token(&ask.nonce, i, &script.text)});
            self.say(chunk(&voice.event(&delta, None)));
        }
        match fault {
            Fault::MalformedChunk(_) => self.say(chunk("data: {\"choices\":[\n\n")),
            Fault::ErrorEvent(_) => {
                self.say(chunk(&format!("data: {ERROR}\n\n")));
                self.say(LAST_CHUNK.to_vec());
                return;
            }
            Fault::StallAfter(_) | Fault::Cut(_) | Fault::ResetAfter(_) => {
                self.end = interrupted(fault);
                return;
            }
            _ => {
                self.say(chunk(&voice.event(&json!({}), Some("stop"))));
                if let Some(usage) = script.usage {
                    self.say(chunk(&voice.usage(usage)));
                }
            }
        }
        self.say(chunk("data: [DONE]\n\n"));
        match fault {
            Fault::Unterminated | Fault::StallAtEnd => self.end = interrupted(fault),
            _ => self.say(LAST_CHUNK.to_vec()),
        }
    }

    /// What is said next is said so much later.
    fn wait(&mut self, time: Duration) {
        if !time.is_zero() || self.pieces.is_empty() {
            self.pieces.push(Piece { after: time, bytes: Vec::new() });
        }
    }

    fn say(&mut self, bytes: Vec<u8>) {
        match self.pieces.last_mut() {
            Some(piece) if piece.bytes.is_empty() => piece.bytes = bytes,
            Some(piece) => piece.bytes.extend(bytes),
            None => self.pieces.push(Piece { after: Duration::ZERO, bytes }),
        }
    }

    /// The same bytes one by one.
    fn drip(&mut self, gap: Duration) {
        let pieces = std::mem::take(&mut self.pieces);
        self.pieces = pieces
            .into_iter()
            .flat_map(|Piece { after, bytes }| {
                bytes.into_iter().enumerate().map(move |(i, byte)| {
                    let after = if i == 0 { after + gap } else { gap };
                    Piece { after, bytes: vec![byte] }
                })
            })
            .collect();
    }
}

/// What an upstream says of an error.
const ERROR: &str =
    r#"{"error":{"message":"scripted: of no concern to a client","type":"scripted","param":null,"code":"scripted"}}"#;

/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The entry of a request in a sequence whose last one repeats.
fn turn<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number).or(all.last()).copied()
}

fn interrupted(fault: Fault) -> End {
    match fault {
        Fault::StallAfter(_) | Fault::StallAtEnd => End::Stall,
        Fault::ResetAfter(_) => End::Reset,
        _ => End::Close,
    }
}

/// A reply whose length is known; `headers` are more of them, each with its line's end.
pub(super) fn whole(status: u16, form: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\ncontent-type: {form}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

fn chunked_head(form: &str) -> String {
    format!("HTTP/1.1 200 -\r\ncontent-type: {form}\r\ntransfer-encoding: chunked\r\n\r\n")
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(streams: bool) -> Ask {
        Ask { nonce: "n".into(), model: "m".into(), streams }
    }

    fn sent(script: &Script, number: usize, streams: bool) -> (String, End) {
        let plan = Plan::new("fake", script, number, &ask(streams), "POST /");
        let bytes = plan.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        (String::from_utf8(bytes).expect("text"), plan.end)
    }

    #[test]
    fn an_answer_without_waits_is_one_piece() {
        for streams in [false, true] {
            let plan = Plan::new("fake", &Script::default(), 0, &ask(streams), "");
            assert_eq!((plan.pieces.len(), plan.end), (1, End::Keep));
        }
        let waits = Script { gap_ms: super::super::Span::Fixed(3), chunks: 4, ..Script::default() };
        let plan = Plan::new("fake", &waits, 0, &ask(true), "");
        let times: Vec<u128> = plan.pieces.iter().map(|piece| piece.after.as_millis()).collect();
        assert_eq!(times, [0, 3, 3, 3]);
    }

    #[test]
    fn the_last_of_a_sequence_repeats() {
        let script = Script { statuses: vec![503, 200], retry_after: Some(7), ..Script::default() };
        assert!(sent(&script, 0, false).0.contains("HTTP/1.1 503 -\r\n"));
        assert!(sent(&script, 0, false).0.contains("\r\nretry-after: 7\r\n"));
        assert!((1..4).all(|number| sent(&script, number, false).0.starts_with("HTTP/1.1 200 -\r\n")));
    }

    #[test]
    fn faults_say_as_much_as_they_should() {
        let after = |fault, streams| {
            let (text, end) = sent(&Script::faulty(fault), 0, streams);
            (text.matches("n:").count(), text.contains("[DONE]"), end)
        };
        assert_eq!(after(Fault::None, true), (8, true, End::Keep));
        assert_eq!(after(Fault::Cut(3), true), (3, false, End::Close));
        assert_eq!(after(Fault::ResetAfter(3), true), (3, false, End::Reset));
        assert_eq!(after(Fault::StallAfter(2), true), (2, false, End::Stall));
        assert_eq!(after(Fault::StallBeforeContent, true), (0, false, End::Stall));
        assert_eq!(after(Fault::MalformedChunk(2), true), (2, true, End::Keep));
        assert_eq!(after(Fault::Stall, true), (0, false, End::Stall));
        assert_eq!(after(Fault::Reset, false), (0, false, End::Reset));
        assert_eq!(after(Fault::WrongType, false), (0, false, End::Keep));
        let (text, end) = sent(&Script::faulty(Fault::Cut(0)), 0, false);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length: usize = head.rsplit_once("content-length: ").expect("a length").1.parse().expect("a number");
        assert_eq!((body.len(), end), (length / 2, End::Close));
    }

    #[test]
    fn a_drip_is_the_same_bytes() {
        let script = Script::faulty(Fault::DripMs(2));
        let plan = Plan::new("fake", &script, 0, &ask(true), "");
        assert!(plan.pieces.iter().all(|piece| piece.bytes.len() == 1 && piece.after.as_millis() == 2));
        assert_eq!(sent(&script, 0, true), sent(&Script::default(), 0, true));
    }
}
