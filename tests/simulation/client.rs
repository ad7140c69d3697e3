//! A client of the gateway, and what it makes of an answer.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::target::PIECES;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer, whole, in order, and its own.
    Answered,
    /// A stream that broke off after so many pieces, each its own and in order, with the error that says so and no good end.
    Cut(usize),
    /// A refusal.
    Refused(u16, String),
    /// Anything else, which must not be.
    Wrong(String),
}

/// An outcome, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub outcome: Outcome,
    pub took: Duration,
}

/// Asks the gateway for an answer to a prompt that no other request has.
pub async fn ask(prompt: String, model: &str, streams: bool) -> Heard {
    let begun = Instant::now();
    let body = json!({"model": model, "stream": streams, "messages": [{"role": "user", "content": prompt}]});
    let outcome = match post(&body).await {
        Ok((200, text)) if streams => of_stream(&prompt, &text),
        Ok((200, text)) => of_whole(&prompt, &text),
        Ok((status, text)) => {
            let error: Value = serde_json::from_str(&text).unwrap_or_default();
            Outcome::Refused(status, error["error"]["code"].as_str().unwrap_or_default().to_owned())
        }
        Err(error) => Outcome::Wrong(error.to_string()),
    };
    Heard { outcome, took: begun.elapsed() }
}

async fn post(body: &Value) -> turmoil::Result<(u16, String)> {
    let stream = turmoil::net::TcpStream::connect("gateway:8080").await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let request = Request::post("/v1/chat/completions").header("host", "gateway");
    let reply = sender.send_request(request.body(Full::new(Bytes::from(body.to_string())))?).await?;
    let status = reply.status().as_u16();
    Ok((status, String::from_utf8(reply.into_body().collect().await?.to_bytes().to_vec())?))
}

/// The text of a page of the admin plane.
pub async fn admin(path: &str) -> turmoil::Result<String> {
    let stream = turmoil::net::TcpStream::connect("gateway:8081").await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let request = Request::get(path).header("authorization", "Bearer key").body(Full::new(Bytes::new()))?;
    let reply = sender.send_request(request).await?;
    Ok(String::from_utf8(reply.into_body().collect().await?.to_bytes().to_vec())?)
}

fn of_whole(prompt: &str, text: &str) -> Outcome {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    if answer["choices"][0]["message"]["content"] == prompt {
        Outcome::Answered
    } else {
        Outcome::Wrong(text.to_owned())
    }
}

fn of_stream(prompt: &str, text: &str) -> Outcome {
    let (mut pieces, mut is_done, mut is_cut) = (0, false, false);
    for data in text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        let is_next = event["choices"][0]["delta"]["content"] == format!("{prompt}.{pieces} ");
        match (is_done || is_cut, data) {
            (false, "[DONE]") => is_done = true,
            (false, _) if event["error"].is_object() => is_cut = true,
            (false, _) if is_next => pieces += 1,
            _ => return Outcome::Wrong(text.to_owned()),
        }
    }
    match (is_done, is_cut) {
        (true, false) if pieces == PIECES => Outcome::Answered,
        (false, true) if pieces > 0 => Outcome::Cut(pieces),
        _ => Outcome::Wrong(text.to_owned()),
    }
}
