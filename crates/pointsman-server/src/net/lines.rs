//! A request's body as lines, read as it arrives.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;

use crate::error::Error;
use crate::live::Room;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// Longer than the limit; thrown away.
    TooLong,
}

impl Line {
    /// Bytes that it takes up.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(line) => line.len(),
            Self::TooLong => 0,
        }
    }
}

/// The lines of a body. Holds the unfinished line, at most as long as the limit, and one frame of the body.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Body,
    limit: usize,
    patience: Duration,
    /// What is held of the memory for bodies; nothing in tests.
    room: Option<Room>,
    ready: VecDeque<Line>,
    /// What has not been looked at of the last frame.
    rest: Bytes,
    partial: Vec<u8>,
    too_long: bool,
    ended: bool,
}

impl Lines {
    /// The lines of `body`, each of at most `limit` bytes; none that is not blank may take longer than `patience`. What is held of
    /// the next ones is noted in `room`, and no more is read while there is none.
    pub(crate) fn new(body: Body, limit: usize, patience: Duration, room: Option<Room>) -> Self {
        let (ready, rest, partial) = (VecDeque::new(), Bytes::new(), Vec::new());
        Self { body, limit, patience, room, ready, rest, partial, too_long: false, ended: false }
    }

    /// The next lines, at least one and at most `most`, as soon as there are any; blank ones are left out. `None` at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Option<Vec<Line>>, Error> {
        let patience = self.patience;
        let next = tokio::time::timeout(patience, self.read(most)).await;
        next.unwrap_or(Err(Error::BodyTimeout { seconds: patience.as_secs_f64() }))
    }

    async fn read(&mut self, most: usize) -> Result<Option<Vec<Line>>, Error> {
        loop {
            while self.ready.len() < most && !self.rest.is_empty() {
                self.split();
            }
            if let Some(room) = &mut self.room {
                room.hold(self.partial.len() + self.rest.len());
            }
            if !self.ready.is_empty() {
                let count = most.min(self.ready.len());
                return Ok(Some(self.ready.drain(..count).collect()));
            }
            if self.ended {
                return Ok(None);
            }
            if let Some(room) = &self.room {
                room.wait().await;
            }
            if let Some(frame) = self.body.frame().await {
                self.rest = frame.map_err(Error::BodyIncomplete)?.into_data().unwrap_or_default();
            } else {
                self.ended = true;
                self.end_line();
            }
        }
    }

    /// Takes from `rest` up to the end of a line.
    fn split(&mut self) {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let taken = self.rest.split_to(end.map_or(self.rest.len(), |end| end + 1));
        let text = &taken[..end.unwrap_or(taken.len())];
        if self.partial.len() + text.len() > self.limit {
            self.too_long = true;
            self.partial = Vec::new();
        } else if !self.too_long {
            self.partial.extend_from_slice(text);
        }
        if end.is_some() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.too_long) {
            self.ready.push_back(Line::TooLong);
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            self.ready.push_back(Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream;

    async fn lines(text: &'static str, limit: usize) -> Vec<String> {
        let mut lines = Lines::new(Body::from(text), limit, Duration::from_secs(1), None);
        let mut all = Vec::new();
        while let Some(piece) = lines.next(2).await.expect("a whole body") {
            assert!((1..=2).contains(&piece.len()));
            all.extend(piece.into_iter().map(|line| match line {
                Line::Whole(line) => String::from_utf8(line).expect("text"),
                Line::TooLong => "too long".into(),
            }));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_split_and_blank_ones_left_out() {
        assert_eq!(lines("a\n\nb\r\n \nc", 10).await, ["a", "b\r", "c"]);
        assert!(lines("", 10).await.is_empty());
    }

    #[tokio::test]
    async fn a_long_line_is_thrown_away_and_the_next_is_not() {
        assert_eq!(lines("abcd\nabcde\nabc\n", 4).await, ["abcd", "too long", "abc"]);
        assert_eq!(lines("abcdefgh", 4).await, ["too long"]);
    }

    #[tokio::test]
    async fn a_line_that_drips_is_waited_for_no_longer_than_any() {
        let drip = |text: &'static str| {
            let (mut sink, body) = stream::body();
            tokio::spawn(async move {
                for byte in text.bytes() {
                    if !sink.send(vec![byte]).await {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(60)).await;
                }
            });
            Lines::new(body, 10, Duration::from_millis(200), None)
        };
        let mut lines = drip("ab\nlonger\n");
        assert_eq!(lines.next(2).await.expect("in time"), Some(vec![Line::Whole(b"ab".to_vec())]));
        assert!(matches!(lines.next(2).await, Err(Error::BodyTimeout { .. })));
        assert!(matches!(drip("\n\n\n\n\n").next(2).await, Err(Error::BodyTimeout { .. })), "blank ones are none");
    }
}
