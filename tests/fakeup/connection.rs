//! One connection: requests in, planned answers out.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::content::Ask;
use super::control;
use super::fake::Shared;
use super::plan::{End, Plan, whole};
use super::wire::Wire;

/// Longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;

/// Longer than any client waits.
const FOR_EVER: Duration = Duration::from_hours(24);

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// Request line and headers, without the blank line.
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Method and path.
    pub(super) fn line(&self) -> (&str, &str) {
        let end = self.head.iter().position(|byte| *byte == b'\r').unwrap_or(self.head.len());
        let mut words = std::str::from_utf8(&self.head[..end]).unwrap_or_default().split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

/// Serves a connection until one side has enough.
pub(super) async fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    // A delayed answer is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let wire = if shared.current().0.tls { Wire::untrusted(stream).await } else { Ok(Wire::Plain(stream)) };
    // A client that does not trust it leaves here.
    let Ok(wire) = wire else { return };
    let mut connection = Connection { wire, pending: Vec::new() };
    while let Some(request) = connection.receive().await {
        let (method, path) = request.line();
        let goes_on = match (method, path) {
            (_, path) if path.starts_with(control::PREFIX) => {
                let answer = control::answer(shared, method, path, &request.body);
                let written = connection.write(&answer.reply).await.is_ok();
                // Behind the reply: the script may close this connection.
                answer.script.into_iter().for_each(|script| shared.set(script));
                written
            }
            ("POST", path) if path.ends_with("/chat/completions") => {
                match connection.complete(shared, &request).await {
                    End::Keep => true,
                    End::Reset => return connection.wire.reset(),
                    End::Close | End::Stall => false,
                }
            }
            ("GET", path) if path.ends_with("/models") => {
                let list =
                    r#"{"object":"list","data":[{"id":"fake","object":"model","created":0,"owned_by":"fakeup"}]}"#;
                connection.write(&whole(200, "application/json", "", list)).await.is_ok()
            }
            _ => connection.write(&whole(404, "application/json", "", "{}")).await.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

pub(super) struct Connection {
    wire: Wire,
    /// What has come and was not looked at yet.
    pending: Vec<u8>,
}

impl Connection {
    /// A plain one.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { wire: Wire::Plain(stream), pending: Vec::new() }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.wire.write(bytes).await
    }

    /// The next request; `None` where there is none, or something that is not HTTP.
    pub(super) async fn receive(&mut self) -> Option<Request> {
        let head = loop {
            if let Some(end) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            // A client that wants to speak TLS is told that this is not how it is done here.
            if self.pending.first().is_some_and(|byte| !byte.is_ascii_uppercase()) || self.pending.len() > LONGEST_HEAD
            {
                let _ = self.wire.write(b"HTTP/1.1 400 -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
                return None;
            }
            if !self.more().await {
                return None;
            }
        };
        let (start, end) = (head + 4, head + 4 + length(&self.pending[..head]));
        while self.pending.len() < end {
            if !self.more().await {
                return None;
            }
        }
        let rest = self.pending.split_off(end);
        let mut head = std::mem::replace(&mut self.pending, rest);
        let body = head.split_off(start);
        head.truncate(start - 4);
        Some(Request { head, body })
    }

    /// Reads on; false where nothing more will come.
    async fn more(&mut self) -> bool {
        self.wire.read(&mut self.pending).await.is_ok_and(|read| read > 0)
    }

    /// Carries out the plan for a chat completion.
    async fn complete(&mut self, shared: &Shared, request: &Request) -> End {
        let begun = Instant::now();
        let number = shared.record.begin(&request.head, &request.body);
        let (script, first) = shared.current();
        let Some(ask) = Ask::of(&request.body) else {
            let refusal =
                r#"{"error":{"message":"messages: expected texts","type":"invalid_request_error","code":"fakeup"}}"#;
            let written = self.wire.write(&whole(400, "application/json", "", refusal)).await;
            return if written.is_ok() { End::Keep } else { End::Close };
        };
        let turn = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        let plan = Plan::new(&shared.name, &script, turn, &ask, &String::from_utf8_lossy(&request.head));
        let mut due = begun;
        for piece in &plan.pieces {
            due += piece.after;
            let is_there = piece.after.is_zero() || self.wait(due).await;
            if !is_there || self.wire.write(&piece.bytes).await.is_err() {
                shared.record.left(number);
                return End::Close;
            }
        }
        if plan.end == End::Stall {
            self.wait(begun + FOR_EVER).await;
            shared.record.left(number);
        } else {
            shared.record.sent();
        }
        plan.end
    }

    /// Waits; false where the client leaves meanwhile.
    async fn wait(&mut self, until: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                // What comes early is kept for its turn.
                is_there = self.more() => if !is_there { return false },
            }
        }
    }
}

/// What `content-length` says; 0 where it says nothing.
fn length(head: &[u8]) -> usize {
    let lines = head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
