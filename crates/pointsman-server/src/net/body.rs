//! Reads a request's body within a limit on its size and on the time it takes.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;

use crate::error::Error;
use crate::live::{Live, Room};

/// Bytes beyond the limit that are read and thrown away before a refusal. A client that is still sending when the
/// connection closes may lose the answer, so one that is not far beyond the limit is heard out.
const HEARD_OUT: u64 = 16 << 20;

/// First allocation at most: a length that is only announced costs no memory.
const FIRST_BYTES: usize = 64 << 10;

/// A whole body, and the room that it takes up.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Room,
}

/// The whole body, or why not.
pub(crate) async fn read(body: Body, live: &Arc<Live>) -> Result<Received, Error> {
    let patience = live.limits.read_timeout;
    let arrived = tokio::time::timeout(patience, collect(body, live.limits.max_body_bytes, live.room())).await;
    arrived.unwrap_or(Err(Error::BodyTimeout { seconds: patience.as_secs_f64() }))
}

async fn collect(mut body: Body, limit: usize, mut room: Room) -> Result<Received, Error> {
    let longest = limit as u64 + HEARD_OUT;
    let announced = body.size_hint().lower();
    if announced > longest {
        return Err(Error::BodyTooLarge { limit });
    }
    let first = usize::try_from(announced).unwrap_or(limit).min(limit).min(FIRST_BYTES);
    let mut bytes = Vec::with_capacity(first);
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::BodyIncomplete)?.into_data() else { continue };
        length += data.len() as u64;
        if length <= limit as u64 {
            room.take(data.len())?;
            bytes.extend_from_slice(&data);
        } else if length <= longest {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if length <= limit as u64 { Ok(Received { bytes, room }) } else { Err(Error::BodyTooLarge { limit }) }
}
