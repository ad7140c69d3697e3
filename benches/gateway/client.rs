//! A client: connections that are kept, answers that are checked.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use pointsman_tests::fakeup::content;
use serde_json::{Value, json};

/// A chat completion.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What its answer is made of.
    pub(crate) nonce: String,
    pub(crate) streams: bool,
    /// Tokens of its answer.
    pub(crate) chunks: usize,
    pub(crate) key: Option<HeaderValue>,
    body: Value,
}

impl Ask {
    /// One whose message is this text.
    pub(crate) fn new(text: &str, number: u64, streams: bool, chunks: usize) -> Self {
        let nonce = format!("n{number:x}");
        let body = json!({"model": "auto", "stream": streams, "messages": [{"role": "user", "content": format!("{text} {nonce}")}]});
        Self { body, nonce, streams, chunks, key: None }
    }

    /// Lets only models answer that this pattern fits.
    pub(crate) fn allow(&mut self, pattern: &str) {
        self.body["pointsman"] = json!({"allow": [pattern]});
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// When the first token had come.
    pub(crate) first: Option<Instant>,
    /// Times between its pieces from then on.
    pub(crate) gaps: Vec<Duration>,
    /// When everything had come.
    pub(crate) ended: Instant,
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer to its request, complete and in order.
    Whole,
    /// A stream with so many tokens of it, in order, and then the error event that is documented.
    Cut(usize),
    /// An error, before any content: status and code.
    Refused(u16, String),
    /// Anything else, which should not be.
    Wrong(String),
}

impl Answer {
    /// A header as text; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Looks at everything it says.
    pub(crate) fn verdict(&self, ask: &Ask) -> Verdict {
        let text = String::from_utf8_lossy(&self.body);
        if self.status != 200 {
            let code = serde_json::from_str::<Value>(&text).unwrap_or_default()["error"]["code"].clone();
            return Verdict::Refused(self.status, code.as_str().unwrap_or("none").to_owned());
        }
        let checked = if ask.streams { stream(&text, ask) } else { whole(&text, ask) };
        checked.unwrap_or_else(Verdict::Wrong)
    }

    /// Whether it is a success that has the last token, where there is no time to look at everything.
    pub(crate) fn seems_whole(&self, ask: &Ask) -> bool {
        let last = format!("{}:{} ", ask.nonce, ask.chunks - 1);
        self.status == 200 && contains(&self.body, last.as_bytes())
    }
}

fn whole(text: &str, ask: &Ask) -> Result<Verdict, String> {
    let answer: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    content::check(said, &ask.nonce, ask.chunks, "")?;
    Ok(Verdict::Whole)
}

fn stream(text: &str, ask: &Ask) -> Result<Verdict, String> {
    let (mut said, mut n_tokens, mut error, mut is_done) = (String::new(), 0, None, false);
    for event in text.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("an event is `{event}`"))?;
        if is_done || error.is_some() {
            return Err(format!("after the end: `{event}`"));
        }
        if data == "[DONE]" {
            is_done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| format!("an event is `{event}`"))?;
        if chunk["error"].is_object() {
            error = Some(chunk);
        } else if let Some(token) = chunk["choices"][0]["delta"]["content"].as_str().filter(|token| !token.is_empty()) {
            said.push_str(token);
            n_tokens += 1;
        }
    }
    match error {
        None if is_done => content::check(&said, &ask.nonce, ask.chunks, "").map(|()| Verdict::Whole),
        None => Err(format!("no end after {n_tokens} tokens")),
        Some(chunk) => {
            content::check(&said, &ask.nonce, n_tokens, "")?;
            let is_documented =
                chunk["error"]["code"] == "upstream_cut" && chunk["choices"][0]["finish_reason"] == "error";
            if is_documented && n_tokens > 0 { Ok(Verdict::Cut(n_tokens)) } else { Err(chunk.to_string()) }
        }
    }
}

/// Connections to one server; there are as many as requests at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    to: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Pool {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, idle: Mutex::default() }
    }

    /// One request, on a connection that nobody uses.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
        let request = request.header("host", "localhost").body(Full::new(Bytes::from(ask.body.to_string())));
        let mut request = request.expect("a valid request");
        if let Some(key) = &ask.key {
            request.headers_mut().insert("authorization", key.clone());
        }
        let token = format!("{}:0", ask.nonce);
        self.send(request, token.as_bytes()).await
    }

    /// Any other request, with a body of JSON or none.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Full::new(body.to_owned().into()));
        self.send(request.expect("a valid request"), b"").await
    }

    async fn send(&self, request: Request<Full<Bytes>>, token: &[u8]) -> Result<Answer, String> {
        let mut sender = self.take().await?;
        let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let answer = read(response, token).await?;
        self.idle.lock().expect("no panic").push(sender);
        Ok(answer)
    }

    async fn take(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        loop {
            let idle = self.idle.lock().expect("no panic").pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream =
            tokio::net::TcpStream::connect(self.to).await.map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

async fn read(response: Response<Incoming>, token: &[u8]) -> Result<Answer, String> {
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut first, mut gaps) = (Vec::new(), None, Vec::new());
    let mut latest = Instant::now();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| format!("half an answer: {error:?}"))?;
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(data);
            let now = Instant::now();
            if first.is_some() {
                gaps.push(now - latest);
            } else if contains(&body, token) {
                first = Some(now);
            }
            latest = now;
        }
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, first, gaps, ended: Instant::now() })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}
