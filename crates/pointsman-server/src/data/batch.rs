//! `POST /v1/route/batch`: JSON lines in, JSON lines out, in order, both ways at once and in bounded memory.
//!
//! ```text
//! body ─► lines ─► pieces ─► one job per core ─► in order ─► reply's body
//! ```
//!
//! A piece is what one read of the body gave, at most [`PIECE_LINES`] of it, and never waits for more: a client that
//! sends a line and waits for its answer gets it. Jobs run on threads of their own, as many as there are cores over
//! all batches, so that single requests share the cores with them and never queue behind them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::ToSchema;

use super::decide::{Form, decide};
use crate::error::Error;
use crate::live::{Current, InFlight, Live};
use crate::net::lines::{Line, Lines};
use crate::net::stream;
use crate::traces::Trace;
use crate::wire::answer::Answer;
use crate::wire::headers::{CONFIG_VERSION, Hints, ROUTER_VERSION};
use crate::wire::query::{Query, id_of};
use crate::wire::refusal::Refusal;

/// Most lines in a piece: a millisecond or two of work.
const PIECE_LINES: usize = 32;

/// Most pieces of a batch that are worked on or wait to be sent.
const PIECES_AHEAD: usize = 16;

/// The form of NDJSON.
const NDJSON: &str = "application/x-ndjson";

/// The answer to a line that cannot be routed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineRefusal {
    /// The `id` of the line, where it could be read.
    id: Value,
    #[serde(flatten)]
    refusal: Refusal,
}

/// One line in.
#[derive(ToSchema)]
#[schema(as = BatchLine)]
#[expect(dead_code, reason = "names the form of a line in the OpenAPI document")]
pub(crate) struct BatchLine(Query<'static>);

/// One line out.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = BatchAnswer)]
#[expect(dead_code, reason = "names the form of a line in the OpenAPI document")]
pub(crate) enum BatchAnswer {
    Decided(Answer<'static>),
    Refused(LineRefusal),
}

#[utoipa::path(
    post, path = "/v1/route/batch", tag = "decisions", operation_id = "route_batch",
    summary = "A decision for every line",
    description = "NDJSON in and out: each line of the request is a BatchLine, each line of the reply a BatchAnswer, \
        one for every line that is not blank, in the same order. A line that cannot be routed is answered with an \
        error and the run goes on. The reply streams while the request is still being sent: read while you write. All \
        answers of one batch come from one artifact.",
    params(
        ("x-pointsman-objective" = Option<String>, Header, description = "Objective of lines that name none: \
            quality, balanced, cheap, fast, or USD per unit of quality", pattern = "^(quality|balanced|cheap|fast|[0-9]{1,9}([.][0-9]{1,9})?)$"),
        ("x-session-id" = Option<String>, Header, description = "Session, where a line names none", max_length = 256,
            pattern = "^[!-~]*$"),
        ("x-pointsman-tags" = Option<String>, Header, description = "Words of your own for the operator's rules: at most 32, \
            with commas between them", max_length = 2111, pattern = "^[!-+\\--~]{1,64}(,[!-+\\--~]{1,64}){0,31}$"),
    ),
    request_body(content = Option<String>, content_type = "application/x-ndjson", description = "One BatchLine per line"),
    responses(
        (status = 200, description = "One BatchAnswer per line", body = String, content_type = "application/x-ndjson",
            headers(("x-request-id" = String), ("x-pointsman-schema-version" = String),
                ("x-pointsman-router-version" = String), ("x-pointsman-config-version" = u64))),
        (status = 401, description = "No key of this server, or one that has expired, where it has tenants", body = Refusal),
        (status = 400, description = "A header is not valid", body = Refusal),
        (status = 415, description = "The body is compressed", body = Refusal),
        (status = 429, description = "The tenant asks too often, or too much at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
        (status = 431, description = "The headers are too long", body = Refusal),
        (status = 503, description = "Too many requests at a time", body = Refusal,
            headers(("retry-after" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn batch(State(live): State<Arc<Live>>, request: Request) -> Result<Response, Error> {
    let in_flight = live.enter()?;
    let (head, body) = request.into_parts();
    let current = live.of(&head.extensions);
    let mut hints = Hints { has_session: false, ..Hints::new(head, &live, &current)? };
    // The span is of all lines and waits for the last one; no line's decision stands in it.
    let trace = hints.trace.take();
    let batch = Arc::new(Batch { hints, current, live, _in_flight: in_flight, _trace: trace });
    let limits = batch.live.limits;
    let lines = Lines::new(body, limits.max_line_bytes, limits.read_timeout, Some(batch.live.room()));
    let (jobs, results) = mpsc::channel(PIECES_AHEAD);
    let (sink, body) = stream::body();
    let snapshot = &batch.current.snapshot;
    let headers = [(ROUTER_VERSION, snapshot.version_header()), (CONFIG_VERSION, snapshot.config_version().into())];
    tokio::spawn(Arc::clone(&batch).work(lines, jobs));
    tokio::spawn(send(results, sink));
    Ok(([(CONTENT_TYPE, NDJSON)], headers, body).into_response())
}

/// What all lines of a batch share; one artifact above all.
#[derive(Debug)]
struct Batch {
    live: Arc<Live>,
    current: Arc<Current>,
    hints: Hints,
    _in_flight: InFlight,
    _trace: Option<Trace>,
}

impl Batch {
    /// Reads the lines and starts a job for every piece. Ends early when nobody waits for results any more.
    async fn work(self: Arc<Self>, mut lines: Lines, jobs: mpsc::Sender<JoinHandle<Vec<u8>>>) {
        loop {
            let piece = lines.next(PIECE_LINES).await;
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => return,
                Err(error) => {
                    // The reply has begun: what went wrong is its last line.
                    let last = async move { refused(Value::Null, &error) };
                    let _ = jobs.send(tokio::spawn(last)).await;
                    return;
                }
            };
            let mut room = self.live.room();
            room.hold(piece.iter().map(Line::len).sum());
            // A place in the order first, then a core: the oldest piece of a batch never waits for a newer one.
            let Ok(place) = jobs.reserve().await else { return };
            let cores = Arc::clone(&self.live.batch_cores);
            let core = cores.acquire_owned().await.expect("the semaphore is never closed");
            let batch = Arc::clone(&self);
            place.send(tokio::task::spawn_blocking(move || {
                let answers = batch.answer(&piece);
                drop((core, room));
                answers
            }));
        }
    }

    fn answer(&self, piece: &[Line]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in piece {
            let error = match line {
                Line::TooLong => Some(Error::LineTooLong { limit: self.live.limits.max_line_bytes }),
                Line::Whole(line) => self.answer_line(line, &mut out).err(),
            };
            match (error, line) {
                (None, _) => out.push(b'\n'),
                (Some(error), Line::Whole(line)) => out.extend(refused(id_of(line), &error)),
                (Some(error), Line::TooLong) => out.extend(refused(Value::Null, &error)),
            }
        }
        out
    }

    fn answer_line(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let length = out.len();
        let decided = catch_unwind(AssertUnwindSafe(|| {
            decide(&self.live, &self.current, &self.hints, line, Form::Line, out).map(drop)
        }));
        decided.unwrap_or_else(|_| {
            self.live.metrics.panic();
            out.truncate(length);
            Err(Error::Panicked)
        })
    }
}

fn refused(id: Value, error: &Error) -> Vec<u8> {
    let answer = LineRefusal { id, refusal: error.refusal() };
    let mut line = serde_json::to_vec(&answer).expect("a refusal always serialises");
    line.push(b'\n');
    line
}

/// Sends results in order, until they end or nobody reads them.
async fn send(mut results: mpsc::Receiver<JoinHandle<Vec<u8>>>, mut sink: stream::Sink) {
    while let Some(job) = results.recv().await {
        // A job that was lost cannot be answered line by line: the reply breaks off, which the client sees.
        let Ok(bytes) = job.await else { return };
        if !sink.send(bytes).await {
            return;
        }
    }
    sink.finish().await;
}
