//! A target under a script that can be changed while it runs.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Pieces of a streamed answer.
pub const PIECES: usize = 8;

/// Time between two of them.
const GAP: Duration = Duration::from_millis(20);

/// What a target does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    #[default]
    Well,
    /// It answers with this status.
    Status(u16),
    /// It takes the request and says nothing.
    Silent,
    /// It breaks the connection off, a stream after so many pieces.
    Cut(usize),
}

/// How a target does and what it was asked; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Script(Rc<RefCell<(Mood, usize)>>);

impl Script {
    pub fn set(&self, mood: Mood) {
        self.0.borrow_mut().0 = mood;
    }

    /// Requests that reached it.
    pub fn asked(&self) -> usize {
        self.0.borrow().1
    }
}

/// Takes connections for ever.
pub async fn serve(script: Script) -> turmoil::Result {
    let listener = turmoil::net::TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let script = script.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(request, script.clone()));
            // Errors are the other side's: it left.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The body of an answer: whole, or piece by piece.
#[derive(Debug)]
enum Answer {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Result<Bytes, std::io::Error>>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => bytes.take().map(Ok),
            Self::Pieces(pieces) => ready!(pieces.poll_recv(context)),
        };
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }
}

async fn answer(request: Request<Incoming>, script: Script) -> Result<Response<Answer>, std::io::Error> {
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&body)?;
    let prompt = body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    let mood = {
        let mut script = script.0.borrow_mut();
        script.1 += 1;
        script.0
    };
    tokio::time::sleep(GAP).await;
    let streams = body["stream"] == true;
    match mood {
        Mood::Status(status) => Ok(whole(status, &json!({"error": {"message": "as told"}}))),
        Mood::Silent => std::future::pending().await,
        Mood::Cut(_) if !streams => Err(std::io::Error::other("as told")),
        Mood::Cut(after) => Ok(stream(prompt, Some(after))),
        Mood::Well if streams => Ok(stream(prompt, None)),
        Mood::Well => {
            let message = json!({"role": "assistant", "content": prompt});
            let usage = json!({"prompt_tokens": 3, "completion_tokens": 1});
            Ok(whole(200, &json!({"choices": [{"index": 0, "message": message}], "usage": usage})))
        }
    }
}

fn whole(status: u16, body: &Value) -> Response<Answer> {
    let body = Answer::Whole(Some(body.to_string().into()));
    let reply = Response::builder().status(status).header("content-type", "application/json").body(body);
    reply.expect("a valid reply")
}

/// The prompt's own pieces, one after the other, so that a client can tell that they are its own, complete and in order.
fn stream(prompt: String, cut_after: Option<usize>) -> Response<Answer> {
    let (sender, pieces) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        for piece in 0..PIECES {
            if cut_after == Some(piece) {
                let _ = sender.send(Err(std::io::Error::other("as told"))).await;
                return;
            }
            let chunk = json!({"choices": [{"index": 0, "delta": {"content": format!("{prompt}.{piece} ")}}]});
            if sender.send(Ok(format!("data: {chunk}\n\n").into())).await.is_err() {
                return;
            }
            tokio::time::sleep(GAP).await;
        }
        let _ = sender.send(Ok("data: [DONE]\n\n".into())).await;
    });
    let reply = Response::builder().header("content-type", "text/event-stream").body(Answer::Pieces(pieces));
    reply.expect("a valid reply")
}
