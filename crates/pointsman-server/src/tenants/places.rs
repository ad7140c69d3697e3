//! A limit on requests at a time: each has a place until its answer has been read to the end, or nobody reads it any more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// The places of a tenant; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<AtomicUsize>);

/// One that is taken; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Places);

impl Places {
    /// Takes one, where fewer than so many are taken.
    pub(crate) fn take(&self, limit: usize) -> Option<Place> {
        // Dropped, and so given back, where it is one too many.
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        (taken < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Keeps the place as long as the response's body is being read.
    pub(crate) fn hold(self, response: Response) -> Response {
        response.map(|body| if body.is_end_stream() { body } else { Body::new(Held { body, place: Some(self) }) })
    }
}

/// A body, and the place that it holds.
struct Held {
    body: Body,
    place: Option<Place>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let is_over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream();
        if is_over {
            // Before the last bytes are written: who has read them all may ask again.
            self.place = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_there_are_and_they_come_back() {
        let places = Places::default();
        let taken: Vec<Place> = (0..3).filter_map(|_| places.take(3)).collect();
        assert_eq!(taken.len(), 3);
        assert!(places.clone().take(3).is_none(), "a clone is the same");
        assert!(places.take(4).is_some(), "a larger limit leaves room");
        drop(taken);
        assert_eq!((0..4).filter_map(|_| places.take(3)).count(), 4, "each came back at once");
        assert_eq!(places.0.load(Ordering::Relaxed), 0);
    }
}
