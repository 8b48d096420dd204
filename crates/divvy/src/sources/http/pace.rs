//! An end to servers that answer a byte at a time.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Fewer bytes a second are no transfer: a feed would take half an hour.
pub(super) const LEAST_BYTES_A_SECOND: u64 = 1024;

/// Too few bytes came.
#[derive(Debug, thiserror::Error)]
#[error("fewer than {LEAST_BYTES_A_SECOND} bytes a second")]
pub(super) struct TooSlow;

/// A reader that gives up once a stretch of time has brought too few bytes. Silence within a read is
/// for the time limit of the connection to end.
pub(super) struct Paced<R> {
    input: R,
    stretch: Duration,
    began: Instant,
    bytes: u64,
}

impl<R> Paced<R> {
    /// Watches `input` over stretches of that length.
    pub(super) fn new(input: R, stretch: Duration) -> Self {
        Self {
            input,
            stretch,
            began: Instant::now(),
            bytes: 0,
        }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.bytes += n as u64;
        let passed = self.began.elapsed();
        if n > 0 && passed >= self.stretch {
            if (self.bytes as f64) < LEAST_BYTES_A_SECOND as f64 * passed.as_secs_f64() {
                return Err(io::Error::other(TooSlow));
            }
            self.bytes = 0;
            self.began = Instant::now();
        }
        Ok(n)
    }
}
