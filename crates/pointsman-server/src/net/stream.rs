//! A reply's body that is written while it is sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout_at;

/// Pieces that wait in the channel at most; the sockets' buffers come on top.
const WAITING: usize = 2;

/// The end that is written to. Dropped without [`Sink::finish`], it breaks the reply off, and the client can tell.
#[derive(Debug)]
pub(crate) struct Sink(mpsc::Sender<Option<Bytes>>);

struct Source(mpsc::Receiver<Option<Bytes>>);

/// A sink, and the body that gives what is put in.
pub(crate) fn body() -> (Sink, Body) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Sink(sender), Body::new(Source(receiver)))
}

impl Sink {
    /// Sends a piece, once there is room; false when the connection is gone.
    pub(crate) async fn send(&mut self, bytes: Vec<u8>) -> bool {
        self.0.send(Some(bytes.into())).await.is_ok()
    }

    /// The same; false also where there was no room by then.
    pub(crate) async fn send_by(&mut self, piece: Bytes, until: Instant) -> bool {
        // Mostly there is room, and a timer would cost more than the piece.
        match self.0.try_send(Some(piece)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(piece)) => {
                timeout_at(until.into(), self.0.send(piece)).await.is_ok_and(|sent| sent.is_ok())
            }
        }
    }

    /// Waits until nobody reads the body any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Ends the body well.
    pub(crate) async fn finish(self) {
        // Nobody is left to be told where the connection is gone.
        let _ = self.0.send(None).await;
    }
}

impl HttpBody for Source {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match ready!(self.0.poll_recv(context)) {
            Some(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(None) => None,
            None => Some(Err(std::io::Error::other("the reply was broken off"))),
        })
    }
}
