//! The rest of a stream, on its way to the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::record::Errand;
use crate::clock;
use crate::live::{Current, InFlight, Live};
use crate::net::stream;
use crate::targets::Ended;
use crate::targets::health::Report;
use crate::upstream::sse::{Event, Says};
use crate::upstream::{Failure, Stream, Until};
use crate::wire::metadata::Metadata;
use crate::wire::protocol::Protocol;

/// How long the end of a body is waited for behind the end of its stream.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A stream that has begun. It is dropped, and with it the call, when the client leaves.
pub(super) struct Relay {
    pub(super) live: Arc<Live>,
    /// Keeps the target alive.
    pub(super) current: Arc<Current>,
    /// The target's position.
    pub(super) position: usize,
    /// When it was asked.
    pub(super) asked: Instant,
    pub(super) protocol: Protocol,
    /// What a chunk before the end says, where the request asks for that.
    pub(super) metadata: Option<Box<Metadata>>,
    pub(super) idle: Duration,
    /// When all is over.
    pub(super) until: Until,
    pub(super) errand: Errand,
    pub(super) _in_flight: InFlight,
}

/// How a stream ended.
enum End {
    Well,
    /// The target said itself that something went wrong.
    Told,
    Broken(Failure),
}

impl Relay {
    pub(super) async fn run(self, stream: Stream, mut sink: stream::Sink) {
        let Self { live, current, position, asked, protocol, metadata, idle, until, mut errand, _in_flight } = self;
        let target = current.targets.get(position);
        let _busy = target.begin();
        let Stream { begun, mut rest, .. } = stream;
        let mut done = false;
        let mut telling = metadata.map(|metadata| (metadata, begun.iter().find_map(Event::json)));
        for event in begun {
            done |= event.says(protocol) == Says::Done;
            errand.saw_event(&event);
            if done
                && let Some(chunk) = told(&mut telling, &errand)
                && !sink.send_by(chunk.into(), until.at).await
            {
                return;
            }
            if !sink.send_by(event.bytes().clone(), until.at).await {
                return;
            }
        }
        let end = loop {
            // The end is what the target calls the end, whatever becomes of its connection.
            if done {
                break End::Well;
            }
            let now = clock::now();
            if now >= until.at {
                break End::Broken(until.late);
            }
            let (latest, late) =
                if now + idle < until.at { (now + idle, Failure::Timeout) } else { (until.at, until.late) };
            let next = tokio::select! {
                // The client left: nobody needs the rest.
                () = sink.closed() => return,
                next = tokio::time::timeout_at(latest.into(), rest.next()) => next,
            };
            let event = match next {
                Err(_) => break End::Broken(late),
                Ok(Err(failure)) => break End::Broken(failure),
                Ok(Ok(None)) => break End::Broken(Failure::Broken),
                Ok(Ok(Some(event))) => event,
            };
            let says = event.ends(protocol);
            match says {
                Says::Malformed => break End::Broken(Failure::Malformed),
                // A chat has no form for it but ours; the other protocols have one of their own.
                Says::Error if protocol == Protocol::Chat => break End::Broken(Failure::Malformed),
                Says::Done => done = true,
                _ => {}
            }
            errand.saw_event(&event);
            if done
                && let Some(chunk) = told(&mut telling, &errand)
                && !sink.send_by(chunk.into(), until.at).await
            {
                return;
            }
            if !sink.send_by(event.bytes().clone(), until.at).await {
                return;
            }
            if says == Says::Error {
                break End::Told;
            }
        };
        let now = clock::now();
        let turn = match end {
            End::Well => {
                target.ended(Ended { time: now - asked, tokens: errand.output_tokens(), was_stream: true }, now)
            }
            End::Told => target.report(Report::Failed, now),
            // Who had begun to answer is not slow to begin.
            End::Broken(failure) => failure.report().and_then(|report| target.report(report, now)),
        };
        live.metrics.circuit(&target.name, turn);
        if let End::Broken(failure) = end {
            errand.broke(failure);
        }
        errand.settle(if matches!(end, End::Well) { "answered" } else { "cut" });
        if !matches!(end, End::Well) {
            live.metrics.attempt(&target.name, "cut", Some(200));
        }
        if let End::Broken(failure) = end {
            tracing::warn!(target_name = target.name, ?failure, "a stream was cut");
            // What was said cannot be unsaid: the stream ends with an error, and without its good end.
            if !sink.send(protocol.cut(failure.as_str()).into_bytes()).await {
                return;
            }
        }
        sink.finish().await;
        if done {
            // Read to its end the connection can be used again.
            let _ = tokio::time::timeout(LAST_BYTES, rest.next()).await;
        }
    }
}

/// The chunk that is asked for, once: with it a chunk of the stream that it is to be like.
fn told(telling: &mut Option<(Box<Metadata>, Option<Value>)>, errand: &Errand) -> Option<Vec<u8>> {
    let (mut metadata, like) = telling.take()?;
    metadata.cost_usd = errand.cost_usd();
    Some(metadata.chunk(like.as_ref()))
}
