//! A body that arrives a byte at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes with a pause before each.
#[derive(Debug)]
pub(crate) struct Trickle {
    bytes: Bytes,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl Trickle {
    pub(crate) fn new(bytes: Vec<u8>, pause: Duration) -> Self {
        Self {
            bytes: bytes.into(),
            pause,
            next: Box::pin(sleep(pause)),
        }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.next.as_mut().poll(context));
        let next = Instant::now() + self.pause;
        self.next.as_mut().reset(next);
        let byte = self.bytes.split_to(1);
        Poll::Ready(Some(Ok(Frame::data(byte))))
    }
}
