//! A target under a script: it answers, or fails in the way that is wanted, and remembers what reached it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::TargetSettings;

/// What a target does with a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A status, more headers, and a body of that type.
    Reply(u16, &'static str, &'static str, String),
    /// These pieces of a stream; then `[DONE]` and the end.
    Stream(Vec<String>),
    /// These pieces of a stream and its good end.
    Plain(Vec<String>),
    /// These pieces of a stream; then the connection breaks.
    Cut(Vec<String>),
    /// These pieces of a stream; then nothing more, for as long as the client waits.
    Stall(Vec<String>),
    /// The connection breaks at once.
    Hangup,
    /// Nothing, for as long as the client waits.
    Silence,
    /// Something else, after so many milliseconds.
    Late(u64, Box<Act>),
}

/// A request that reached the target.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) head: String,
    pub(super) body: Value,
}

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    acts: Arc<Mutex<Vec<Act>>>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    /// When a client left while it was kept waiting.
    pub(super) left: Arc<Mutex<Option<Instant>>>,
}

/// An answer as OpenAI gives it.
pub(super) fn completion(text: &str) -> Act {
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "served", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    Act::Reply(200, "", "application/json", body.to_string())
}

/// A piece of a streamed answer.
pub(super) fn delta(text: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "served",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    )
}

/// What a stream begins with, before it says anything.
pub(super) fn role() -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))
}

impl Fake {
    /// A target that does these things, one a request, and the last one from then on.
    pub(super) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let fake = Self {
            address: listener.local_addr().expect("bound"),
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            seen: Arc::default(),
            left: Arc::default(),
        };
        let (acts, seen, left) = (Arc::clone(&fake.acts), Arc::clone(&fake.seen), Arc::clone(&fake.left));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acts, seen, left) = (Arc::clone(&acts), Arc::clone(&seen), Arc::clone(&left));
                std::thread::spawn(move || serve(stream, &acts, &seen, &left));
            }
        });
        fake
    }

    /// Its place in the configuration.
    pub(super) fn target(&self, name: &str, model: &str) -> TargetSettings {
        TargetSettings {
            upstream_model: Some(format!("upstream-{model}")),
            api_key: Some(format!("key-of-{name}")),
            timeouts: crate::Timeouts {
                // Long enough for a busy machine, short enough to wait for.
                first_token: Duration::from_secs(1),
                idle: Duration::from_secs(1),
                total: Duration::from_secs(3),
                ..crate::Timeouts::default()
            },
            ..TargetSettings::new(name, model, format!("http://{}/v1/", self.address))
        }
    }

    /// Does these things from now on.
    pub(super) fn acts(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().expect("no panic") = acts.into_iter().collect();
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn serve(mut stream: TcpStream, acts: &Mutex<Vec<Act>>, seen: &Mutex<Vec<Seen>>, left: &Mutex<Option<Instant>>) {
    let Some(request) = read(&mut stream) else { return };
    seen.lock().expect("no panic").push(request);
    let act = {
        let mut acts = acts.lock().expect("no panic");
        if acts.len() > 1 { acts.remove(0) } else { acts[0].clone() }
    };
    let act = match act {
        Act::Late(milliseconds, act) => {
            std::thread::sleep(Duration::from_millis(milliseconds));
            *act
        }
        act => act,
    };
    let begin = |stream: &mut TcpStream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())
    };
    let say = |stream: &mut TcpStream, pieces: &[String]| {
        pieces.iter().try_for_each(|piece| stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()))
    };
    let wait = |stream: &mut TcpStream| {
        // Reading ends when the client goes.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.read(&mut [0; 16]);
        *left.lock().expect("no panic") = Some(Instant::now());
    };
    let _ = match act {
        Act::Reply(status, headers, form, body) => stream.write_all(
            format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {form}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
                body.len()
            )
            .as_bytes(),
        ),
        Act::Stream(pieces) => begin(&mut stream)
            .and_then(|()| say(&mut stream, &pieces))
            .and_then(|()| say(&mut stream, &["data: [DONE]\n\n".to_owned()]))
            .and_then(|()| stream.write_all(b"0\r\n\r\n")),
        Act::Plain(pieces) => begin(&mut stream)
            .and_then(|()| say(&mut stream, &pieces))
            .and_then(|()| stream.write_all(b"0\r\n\r\n")),
        Act::Cut(pieces) => begin(&mut stream).and_then(|()| say(&mut stream, &pieces)),
        Act::Stall(pieces) => begin(&mut stream).and_then(|()| say(&mut stream, &pieces)).map(|()| wait(&mut stream)),
        Act::Hangup => Ok(()),
        Act::Late(..) => unreachable!("taken apart above"),
        Act::Silence => {
            wait(&mut stream);
            Ok(())
        }
    };
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none() && head.starts_with("get") {
                return Some(Seen { head, body: Value::Null });
            }
            let length: usize = length?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).ok()?;
                return Some(Seen { head, body });
            }
        }
        let read = stream.read(&mut piece).ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&piece[..read]);
    }
}
