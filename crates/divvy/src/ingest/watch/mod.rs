//! Polls a system again and again, through the same path as [`poll`](super::poll()).
//!
//! ```text
//!  schedule   when the next poll is due: the feed's ttl, what servers ask for, delays
//!  request    one document, fetched only where it has changed
//!  documents  the feeds of a system; discovery again when they move
//!  system     one poll: documents ─► snapshot ─► apply; system/snapshot_notes, what is printed about it
//!  failure    what kind of failure an error is, and what it means for the next poll
//!  health     conditions that last, and when a line is printed about them
//!  recorder   bodies as they came, in a folder with a manifest
//! ```
//!
//! Nothing here reads a clock or waits: the caller passes each [`Moment`], so that tests run at any
//! speed. [`SystemWatch`] is one system; a program that watches several has one each.

mod documents;
mod failure;
mod health;
mod recorder;
mod request;
mod schedule;
mod system;

use std::time::Duration;

use jiff::Timestamp;

pub use failure::FailureKind;
pub use health::{Condition, Finding, Health};
pub use recorder::{MANIFEST, RecordError, Recorder};
pub use request::{Content, Exchange};
pub use schedule::{DEFAULT_FLOOR, MAX_INTERVAL};
pub use system::{Answers, Outcome, PollReport, Stores, SystemWatch, WatchOptions};

pub use crate::numerals::in_words;

/// A moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time since the start of the watch, by a clock that is never set: for waits and for lengths of
    /// time.
    pub since_start: Duration,
    /// The time of day, by a clock that may be set: for what is stored.
    pub wall: Timestamp,
}

/// Finds steps of the clock of a computer.
#[derive(Clone, Copy, Debug)]
pub struct ClockSteps {
    last: Moment,
}

impl ClockSteps {
    /// The smallest difference between the clocks that counts as a step.
    const MIN_STEP: Duration = Duration::from_secs(5);

    /// Begins to compare the two clocks.
    pub fn new(now: Moment) -> Self {
        Self { last: now }
    }

    /// Returns a sentence about the step of the clock since the last call. `None` where it has only
    /// gone on.
    pub fn since_last(&mut self, now: Moment) -> Option<String> {
        let passed = now.since_start.saturating_sub(self.last.since_start);
        let by_wall = now.wall.duration_since(self.last.wall);
        let is_back = by_wall < jiff::SignedDuration::try_from(passed).unwrap_or_default();
        let difference = (by_wall.as_secs_f64() - passed.as_secs_f64()).abs();
        let step = Duration::try_from_secs_f64(difference).unwrap_or_default();
        self.last = now;
        if step < Self::MIN_STEP {
            return None;
        }
        let direction = if is_back { "back" } else { "forward" };
        Some(format!(
            "the clock of this computer was set {direction} by {}; polls go on as planned",
            in_words(step)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_the_clock_are_found_and_its_drift_is_not() {
        let moment = |since_start: u64, wall: i64| Moment {
            since_start: Duration::from_secs(since_start),
            wall: Timestamp::from_second(1_700_000_000 + wall).unwrap(),
        };
        let mut clock = ClockSteps::new(moment(0, 0));
        assert_eq!(clock.since_last(moment(60, 61)), None);
        let forward = clock.since_last(moment(120, 3_721)).unwrap();
        assert!(forward.contains("forward by 1 h;"), "{forward}");
        let back = clock.since_last(moment(180, -3_500)).unwrap();
        assert!(back.contains("back by 2 h 1 min;"), "{back}");
        assert_eq!(clock.since_last(moment(240, -3_440)), None);
    }
}
