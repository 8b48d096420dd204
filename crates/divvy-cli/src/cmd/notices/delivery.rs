//! From an outbox to its target, one notice after another, until the target takes each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::folder::refused_file;
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
    /// How many have failed in succession: since a notice was taken, or refused for good.
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
            health: TargetHealth::new(&self.target),
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
        self.say(listener, attempts.health.unprinted_refusals());
    }

    /// Sends the oldest notice, if any waits. Returns how long to wait for the next attempt. `None` where the
    /// delivery is to stop.
    fn send_oldest<G>(
        &self,
        attempts: &mut Attempts,
        listener: &Listener<'_, G>,
    ) -> Option<Duration> {
        let Some((number, notice)) = self.outbox.oldest() else {
            let now = attempts.start.elapsed();
            self.say(listener, attempts.health.note_idle(now));
            return Some(LOOK_EVERY);
        };
        let sending = (listener.begin_sending)()?;
        let (done, asked) = match self.sender.send(&notice) {
            Outcome::Sent => (self.remove_taken(number, attempts, listener), None),
            Outcome::Refused { reason } => {
                let moved = self.move_refused(number, &reason, attempts, listener);
                (moved, None)
            }
            Outcome::Closed => {
                (listener.on_closed)();
                return None;
            }
            Outcome::Later { reason, wait } => (Err(reason), wait),
        };
        drop(sending);
        if let Err(reason) = done {
            return Some(self.note_failure(attempts, &reason, asked, listener));
        }
        attempts.failed = 0;
        Some(Duration::ZERO)
    }

    /// Removes a notice that the target has taken.
    ///
    /// # Errors
    ///
    /// A sentence: the notice is still in the outbox.
    fn remove_taken<G>(
        &self,
        number: u64,
        attempts: &mut Attempts,
        listener: &Listener<'_, G>,
    ) -> Result<(), String> {
        self.outbox.remove(number).map_err(|error| {
            format!("the notice was sent, and cannot be removed from the outbox: {error}")
        })?;
        let now = attempts.start.elapsed();
        self.say(listener, attempts.health.note_taken(now));
        Ok(())
    }

    /// Moves a notice that the target has refused to the file of refused ones.
    ///
    /// # Errors
    ///
    /// A sentence: the notice is still in the outbox.
    fn move_refused<G>(
        &self,
        number: u64,
        reason: &str,
        attempts: &mut Attempts,
        listener: &Listener<'_, G>,
    ) -> Result<(), String> {
        self.outbox.refuse(number, reason).map_err(|error| {
            let file = refused_file(&self.target);
            format!("{reason}, and the notice cannot be moved to {file}: {error}")
        })?;
        self.failures.fetch_add(1, Ordering::Relaxed);
        let now = attempts.start.elapsed();
        self.say(listener, attempts.health.note_refusal(reason, now));
        Ok(())
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
    use std::cell::RefCell;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use divvy::alarms::Target;

    use super::*;

    /// Answers a request for each status, in turn. Returns the address of the server.
    fn serve(statuses: &'static [u16]) -> String {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for status in statuses {
                let (mut stream, _) = server.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap() > 2 {
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
                write!(stream, "{head}content-length: 0\r\n\r\n").unwrap();
            }
        });
        url
    }

    #[test]
    fn a_refusal_is_printed_and_counted_when_the_notice_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let refused = folder.path().join("ops.ndjson");
        let outbox = Outbox::open(&folder.path().join("ops"), &refused).unwrap();
        let notice = |id: &str| {
            let notice = serde_json::json!({
                "id": id, "rule": "empty", "when": "empty", "system": "divvy", "subject": "s0",
                "state": "raised", "since": "", "at": "", "text": "", "values": {}
            });
            serde_json::from_value(notice).unwrap()
        };
        outbox.add(&[&notice("a"), &notice("b")]).unwrap();
        let target = Target {
            name: "ops".into(),
            delivery: divvy::alarms::Delivery::Webhook {
                url: serve(&[400, 400, 400, 500, 204]),
                secret_env: None,
            },
        };
        let delivery = Delivery::new("ops", outbox, Sender::new(&target).unwrap());
        // A file that cannot be written: there is a folder of its name, until two attempts were made.
        std::fs::create_dir(&refused).unwrap();
        let (waits, lines) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        delivery.run(&Listener {
            goes_on_after: &|wait| {
                waits.borrow_mut().push(wait.as_secs());
                if waits.borrow().len() == 3 {
                    std::fs::remove_dir(&refused).unwrap();
                }
                waits.borrow().len() <= 5
            },
            begin_sending: &|| Some(()),
            say: &|line| lines.borrow_mut().push(line.to_owned()),
            on_closed: &|| {},
        });
        let lines = lines.into_inner();
        let [first, second, third, fourth] = &lines[..] else {
            panic!("{lines:?}");
        };
        let cannot = "target ops: the webhook answers 400, and the notice cannot be moved to refused/ops.ndjson: ";
        assert!(first.starts_with(cannot), "{first}");
        assert!(first.ends_with("; it is sent again, and 2 wait"), "{first}");
        assert_eq!(
            second,
            "target ops: the webhook answers 400: 1 notice moved to refused/ops.ndjson"
        );
        assert!(
            third.starts_with("target ops: notices are taken again after "),
            "{third}"
        );
        let end = "target ops: notices are no longer refused after ";
        assert!(fourth.starts_with(end), "{fourth}");
        // The refusal ends the succession of failures: the wait after the next one is the first wait.
        assert_eq!(waits.into_inner(), [0, 1, 2, 0, 1, 0]);
        assert_eq!(delivery.failures(), 4);
        assert_eq!(delivery.outbox.len(), 0);
        assert_eq!(
            std::fs::read_to_string(&refused).unwrap().lines().count(),
            1
        );
    }

    #[test]
    fn waits_grow_to_five_minutes() {
        let waits = [1, 2, 3, 8, 9, 10, 1_000].map(|failures| wait_after(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 128, 256, 300, 300]);
    }
}
