//! A limit for servers that send too slowly.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The lowest accepted rate, at which a feed takes half an hour.
pub(super) const MIN_BYTES_PER_SECOND: u64 = 1024;

/// Fewer bytes than [`MIN_BYTES_PER_SECOND`] came.
#[derive(Debug, thiserror::Error)]
#[error("fewer than {MIN_BYTES_PER_SECOND} bytes a second")]
pub(super) struct TooSlow;

/// A reader that fails with [`TooSlow`] after a period with too few bytes. A read that waits too
/// long is ended by the time limit of the connection.
pub(super) struct RateLimited<R> {
    input: R,
    period: Duration,
    began: Instant,
    bytes: u64,
}

impl<R> RateLimited<R> {
    /// Measures the rate of `input` over periods of that length.
    pub(super) fn new(input: R, period: Duration) -> Self {
        Self {
            input,
            period,
            began: Instant::now(),
            bytes: 0,
        }
    }
}

impl<R: Read> Read for RateLimited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.bytes += n as u64;
        let passed = self.began.elapsed();
        if n > 0 && passed >= self.period {
            if (self.bytes as f64) < MIN_BYTES_PER_SECOND as f64 * passed.as_secs_f64() {
                return Err(io::Error::other(TooSlow));
            }
            self.bytes = 0;
            self.began = Instant::now();
        }
        Ok(n)
    }
}
