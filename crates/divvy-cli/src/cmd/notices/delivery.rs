//! From an outbox to its target, one notice after another, until the target takes each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use divvy::ingest::watch::in_words;

use super::outbox::Outbox;
use super::sender::{Outcome, Sender};

/// How often an empty outbox is checked. A new notice is sent after at most this time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The wait after the first failure. It doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// The longest wait that a target may ask for.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);

/// After what time a target that fails is printed again.
const REMIND_AFTER: Duration = Duration::from_secs(60 * 60);

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

/// A target that fails.
struct Failing {
    since: Instant,
    said: Instant,
    attempts: u32,
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
    /// growing wait, and those behind it wait.
    pub fn run<G>(&self, listener: &Listener<'_, G>) {
        let mut failing: Option<Failing> = None;
        let mut wait = Duration::ZERO;
        while (listener.goes_on_after)(wait) {
            let Some((number, notice)) = self.outbox.oldest() else {
                wait = LOOK_EVERY;
                continue;
            };
            let Some(sending) = (listener.begin_sending)() else {
                return;
            };
            let mut is_sent = false;
            let done = match self.sender.send(&notice) {
                Outcome::Sent => {
                    is_sent = true;
                    self.outbox.remove(number)
                }
                Outcome::Refused { reason } => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    self.say(
                        listener,
                        &format!("{reason}: the notice is moved to the file of refused ones"),
                    );
                    self.outbox.refuse(number, &reason)
                }
                Outcome::Closed => return (listener.on_closed)(),
                Outcome::Later {
                    reason,
                    wait: asked,
                } => {
                    wait = self.note_failure(&mut failing, &reason, asked, listener);
                    continue;
                }
            };
            drop(sending);
            if let Err(error) = done {
                let reason =
                    format!("the notice was sent, and cannot be removed from the outbox: {error}");
                wait = self.note_failure(&mut failing, &reason, None, listener);
                continue;
            }
            if let Some(failing) = failing.take_if(|_| is_sent) {
                let after = in_words(failing.since.elapsed());
                self.say(listener, &format!("notices are taken again after {after}"));
            }
            wait = Duration::ZERO;
        }
    }

    /// Notes a failure, and prints it where it is the first, or the last line is an hour ago. Returns how long
    /// to wait.
    fn note_failure<G>(
        &self,
        failing: &mut Option<Failing>,
        reason: &str,
        asked: Option<Duration>,
        listener: &Listener<'_, G>,
    ) -> Duration {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let is_first = failing.is_none();
        let own = failing.get_or_insert(Failing {
            since: now,
            said: now,
            attempts: 0,
        });
        own.attempts += 1;
        if is_first || now.duration_since(own.said) >= REMIND_AFTER {
            own.said = now;
            let waiting = self.outbox.len();
            self.say(
                listener,
                &format!("{reason}; it is sent again, and {waiting} wait"),
            );
        }
        wait_after(own.attempts).max(asked.unwrap_or_default().min(MAX_ASKED_WAIT))
    }

    fn say<G>(&self, listener: &Listener<'_, G>, sentence: &str) {
        (listener.say)(&format!("target {}: {sentence}", self.target));
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
