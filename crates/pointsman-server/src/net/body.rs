//! Reads a request's body within a limit on its size and on the time it takes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;

use crate::error::Error;
use crate::live::{Live, Room};

/// Bytes beyond the limit that are read and thrown away before a refusal. A client that is still sending when the
/// connection closes may lose the answer, so one that is not far beyond the limit is heard out.
const HEARD_OUT: u64 = 16 << 20;

/// Longest wait for more of what is thrown away.
const PAUSE: Duration = Duration::from_millis(500);

/// First allocation at most: a length that is only announced costs no memory.
const FIRST_BYTES: usize = 64 << 10;

/// A whole body, and the room that it takes up.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Room,
}

/// The whole body of a request of the data plane, or why not.
pub(crate) async fn read(body: Body, live: &Arc<Live>) -> Result<Received, Error> {
    let mut room = live.room();
    let bytes = within(body, live, Some(&mut room)).await?;
    Ok(Received { bytes, room })
}

/// The same on the admin plane, whose few requests do not stand behind those of the other.
pub(crate) async fn read_freely(body: Body, live: &Live) -> Result<Vec<u8>, Error> {
    within(body, live, None).await
}

async fn within(body: Body, live: &Live, room: Option<&mut Room>) -> Result<Vec<u8>, Error> {
    let patience = live.limits.read_timeout;
    let arrived = tokio::time::timeout(patience, collect(body, live.limits.max_body_bytes, room)).await;
    arrived.unwrap_or(Err(Error::BodyTimeout { seconds: patience.as_secs_f64() }))
}

async fn collect(mut body: Body, limit: usize, mut room: Option<&mut Room>) -> Result<Vec<u8>, Error> {
    let longest = limit as u64 + HEARD_OUT;
    let announced = body.size_hint().lower();
    if announced > longest {
        return Err(Error::BodyTooLarge { limit });
    }
    let first = usize::try_from(announced).unwrap_or(limit).min(limit).min(FIRST_BYTES);
    let mut bytes = Vec::with_capacity(first);
    let mut length = 0_u64;
    let mut refused = None;
    loop {
        let frame = match refused {
            None => body.frame().await,
            // Who is refused and sends no more waits for the answer.
            Some(_) => tokio::time::timeout(PAUSE, body.frame()).await.unwrap_or_default(),
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(Error::BodyIncomplete)?.into_data() else { continue };
        length += data.len() as u64;
        if length > longest {
            break;
        }
        if refused.is_none() {
            refused = if length > limit as u64 {
                Some(Error::BodyTooLarge { limit })
            } else {
                room.as_mut().and_then(|room| room.take(data.len()).err())
            };
        }
        if refused.is_none() {
            bytes.extend_from_slice(&data);
        } else {
            // Heard out, but not kept.
            bytes = Vec::new();
            if let Some(room) = &mut room {
                room.hold(0);
            }
        }
    }
    match refused {
        // What turned out to be too long would not have been taken with room either.
        Some(_) if length > limit as u64 => Err(Error::BodyTooLarge { limit }),
        Some(error) => Err(error),
        None => Ok(bytes),
    }
}
