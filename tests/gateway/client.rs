//! A client that blocks, with HTTP taken apart by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// A chat completion whose answer has this nonce.
pub(crate) fn asking(model: &str, nonce: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": format!("Say it again: {nonce}")}]})
}

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
    /// Whether the body ended as HTTP says it must.
    pub(crate) is_whole: bool,
}

/// Opens a connection and sends a chat completion with more headers, each with its line's end.
pub(crate) fn send(address: SocketAddr, headers: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout above 0");
    let body = body.to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the gateway reads");
    stream
}

/// One request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, headers: &str, body: &Value) -> Reply {
    read(send(address, headers, body))
}

/// The value of a sample of `/metrics` of an admin plane; `None` where it is not there.
pub(crate) fn sample(admin: SocketAddr, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(admin).expect("the admin plane listens");
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the admin plane reads");
    let metrics = read(stream).body;
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn read(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer in time");
    let text = String::from_utf8(bytes).expect("text");
    let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
    let mut reply = Reply {
        status: head[9..12].parse().expect("a status"),
        head: head.to_owned(),
        body: String::new(),
        is_whole: false,
    };
    if reply.header("transfer-encoding") == Some("chunked") {
        let mut rest = rest;
        while let Some((length, more)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).expect("a chunk's length");
            reply.is_whole = length == 0;
            let Some(chunk) = more.get(..length) else { break };
            reply.body.push_str(chunk);
            rest = more.get(length + 2..).unwrap_or_default();
        }
    } else {
        rest.clone_into(&mut reply.body);
        reply.is_whole = reply.header("content-length") == Some(rest.len().to_string().as_str());
    }
    reply
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The data of its events, each as JSON, but for `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::from(data))).collect()
    }

    /// What it says, be it a stream or not.
    pub(crate) fn content(&self) -> String {
        let said = |choice: &Value, part: &str| choice[part]["content"].as_str().unwrap_or_default().to_owned();
        if self.header("content-type") == Some("text/event-stream") {
            self.events().iter().map(|event| said(&event["choices"][0], "delta")).collect()
        } else {
            said(&self.json()["choices"][0], "message")
        }
    }
}
