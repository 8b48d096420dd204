//! From an outbox to its target, one notice after another, until the target takes each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::sender::{Outcome, Sender};
use super::target_health::TargetHealth;

/// How often an empty outbox is checked. A new notice is sent after at most this time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The wait after the first failure. It doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// The longest wait that a target may ask for.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);

/// The notices of one target.
pub struct Delivery {
    /// The name of the target.
    pub target: String,
    /// What waits.
    pub outbox: Outbox,
    /// What sends.
    pub sender: Sender,
    failures: AtomicU64,
}

/// What a delivery calls.
pub struct Listener<'a, G> {
    /// Waits for a time. Returns whether the delivery goes on; `false` at once where it is to stop.
    pub goes_on_after: &'a dyn Fn(Duration) -> bool,
    /// Begins to send a notice, which ends when the result is dropped. `None` where the delivery is to stop.
    pub begin_sending: &'a dyn Fn() -> Option<G>,
    /// Prints a sentence.
    pub say: &'a dyn Fn(&str),
    /// Is called when the reader of stdout has closed it.
    pub on_closed: &'a dyn Fn(),
}

/// The attempts of one run.
struct Attempts {
    start: Instant,
    health: TargetHealth,
    /// How many have failed in succession.
    failed: u32,
}

impl Delivery {
    /// Makes the delivery of one target.
    pub fn new(target: &str, outbox: Outbox, sender: Sender) -> Self {
        Self {
            target: target.to_owned(),
            outbox,
            sender,
            failures: AtomicU64::new(0),
        }
    }

    /// Returns the number of attempts that have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Sends what waits, the oldest first, until it is to stop. A notice that fails is sent again after a
    /// growing wait, and those behind it wait. What a target does is printed as [`TargetHealth`] describes.
    pub fn run<G>(&self, listener: &Listener<'_, G>) {
        let mut attempts = Attempts {
            start: Instant::now(),
            health: TargetHealth::default(),
            failed: 0,
        };
        let mut wait = Duration::ZERO;
        while (listener.goes_on_after)(wait) {
            let due = attempts.health.refusals_due(attempts.start.elapsed());
            self.say(listener, due);
            match self.send_oldest(&mut attempts, listener) {
                Some(next) => wait = next,
                None => break,
            }
        }
        self.say(listener, attempts.health.end());
    }

    /// Sends the oldest notice, if any waits. Returns how long to wait for the next attempt. `None` where the
    /// delivery is to stop.
    fn send_oldest<G>(
        &self,
        attempts: &mut Attempts,
        listener: &Listener<'_, G>,
    ) -> Option<Duration> {
        let Some((number, notice)) = self.outbox.oldest() else {
            return Some(LOOK_EVERY);
        };
        let sending = (listener.begin_sending)()?;
        let outcome = self.sender.send(&notice);
        let now = attempts.start.elapsed();
        let done = match &outcome {
            Outcome::Sent => self.outbox.remove(number),
            Outcome::Refused { reason } => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.say(listener, attempts.health.note_refusal(reason, now));
                self.outbox.refuse(number, reason)
            }
            Outcome::Closed => {
                (listener.on_closed)();
                return None;
            }
            Outcome::Later { reason, wait } => {
                return Some(self.note_failure(attempts, reason, *wait, listener));
            }
        };
        drop(sending);
        if let Err(error) = done {
            let reason =
                format!("the notice was sent, and cannot be removed from the outbox: {error}");
            return Some(self.note_failure(attempts, &reason, None, listener));
        }
        if outcome == Outcome::Sent {
            attempts.failed = 0;
            self.say(listener, attempts.health.note_taken(now));
        }
        Some(Duration::ZERO)
    }

    /// Notes a failure. Returns how long to wait.
    fn note_failure<G>(
        &self,
        attempts: &mut Attempts,
        reason: &str,
        asked: Option<Duration>,
        listener: &Listener<'_, G>,
    ) -> Duration {
        self.failures.fetch_add(1, Ordering::Relaxed);
        attempts.failed += 1;
        let now = attempts.start.elapsed();
        let waiting = self.outbox.len();
        let line = attempts.health.note_failure(reason, waiting, now);
        self.say(listener, line);
        wait_after(attempts.failed).max(asked.unwrap_or_default().min(MAX_ASKED_WAIT))
    }

    fn say<G>(&self, listener: &Listener<'_, G>, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            (listener.say)(&format!("target {}: {line}", self.target));
        }
    }
}

/// Returns the wait after a number of failures in succession.
fn wait_after(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_minutes() {
        let waits = [1, 2, 3, 8, 9, 10, 1_000].map(|failures| wait_after(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 128, 256, 300, 300]);
    }
}
