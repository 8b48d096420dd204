//! When a system is polled next.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest time between two polls, whatever a feed or its server states.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The shortest time between two polls, unless the user names another.
pub const DEFAULT_FLOOR: Duration = Duration::from_secs(60);

/// The longest time between two polls of a server that answers with errors, unless its feed is to be
/// polled less often in any case.
const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Polls are late by up to this part of their interval, so that many programs that were started in the
/// same second do not send their requests in the same second for ever.
const JITTER_PARTS: u32 = 20;

/// A poll never begins before this part of the interval has passed since the end of the last one.
const PAUSE_PARTS: u32 = 4;

/// What the outcome of a poll means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The feed was read.
    Success {
        /// The `ttl` of the feed. `None` where it states none.
        ttl: Option<Duration>,
    },
    /// The server was not reached. It is not spared by longer waits.
    Unreachable,
    /// The server answered with an error, or with a body that is no feed.
    Refusal {
        /// For how long it asks not to be asked again.
        retry_after: Option<Duration>,
    },
}

/// Plans the polls of one system. Times are counted from the start of the watch on a clock that is never
/// set.
#[derive(Clone, Debug)]
pub struct Schedule {
    floor: Duration,
    interval: Duration,
    /// When the next poll is due, without jitter: delays do not add up.
    planned: Duration,
    refusals: u32,
    seed: u64,
    polls: u64,
}

impl Schedule {
    /// Makes a schedule whose first poll is at `first`. Polls are at least `floor` apart; systems with
    /// different `seed`s have different delays.
    pub fn new(first: Duration, floor: Duration, seed: u64) -> Self {
        let floor = floor.min(MAX_INTERVAL);
        Self {
            floor,
            interval: floor,
            planned: first,
            refusals: 0,
            seed,
            polls: 0,
        }
    }

    /// Returns the time between two polls of a feed that works.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns when the next poll is due.
    pub fn next_poll_at(&self) -> Duration {
        match self.polls {
            0 => self.planned,
            _ => self.planned + self.jitter(),
        }
    }

    /// Plans the next poll after one that ended at `now`.
    pub fn plan(&mut self, after: After, now: Duration) {
        self.polls += 1;
        let wait = match after {
            After::Success { ttl } => {
                self.refusals = 0;
                self.interval = ttl.map_or(self.floor, |ttl| self.of_ttl(ttl));
                self.interval
            }
            After::Unreachable => self.interval,
            After::Refusal { retry_after } => {
                self.refusals += 1;
                self.backoff().max(retry_after.unwrap_or_default())
            }
        };
        let wait = wait.min(MAX_INTERVAL);
        let pause = now + self.interval / PAUSE_PARTS;
        self.planned = match after {
            // The server counts from its answer.
            After::Refusal { .. } => now + wait,
            _ => (self.planned + wait).max(pause),
        };
    }

    /// Returns the interval of a feed with that `ttl`.
    fn of_ttl(&self, ttl: Duration) -> Duration {
        ttl.min(MAX_INTERVAL).max(self.floor)
    }

    /// Returns the wait after the refusals so far: doubled from one to the next.
    fn backoff(&self) -> Duration {
        let doubled = self.refusals.saturating_sub(1).min(10);
        let wait = self.interval.saturating_mul(1 << doubled);
        wait.min(MAX_BACKOFF.max(self.interval))
    }

    /// Returns by how much the next poll is late. The same for the same seed and number of polls.
    fn jitter(&self) -> Duration {
        let parts = 1_000;
        let part = xxh3_64_with_seed(&self.polls.to_le_bytes(), self.seed) % parts;
        let longest = self.interval / JITTER_PARTS;
        longest.mul_f64(part as f64 / parts as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns the seconds from one planned poll to the next, where each poll takes a second.
    fn waits(floor: Duration, outcomes: &[After]) -> Vec<u64> {
        let mut schedule = Schedule::new(s(0), floor, 7);
        let plan = |after: &After| {
            let before = schedule.planned;
            schedule.plan(*after, before + s(1));
            (schedule.planned - before).as_secs()
        };
        outcomes.iter().map(plan).collect()
    }

    const fn ttl(seconds: u64) -> After {
        After::Success {
            ttl: Some(s(seconds)),
        }
    }

    #[test]
    fn the_interval_is_the_ttl_within_limits() {
        let outcomes = [
            ttl(0),
            ttl(10),
            ttl(90),
            ttl(86_400),
            ttl(u64::MAX),
            After::Success { ttl: None },
        ];
        assert_eq!(waits(s(60), &outcomes), [60, 60, 90, 3600, 3600, 60]);
        assert_eq!(waits(s(5), &outcomes), [5, 10, 90, 3600, 3600, 5]);
        assert_eq!(waits(s(300), &outcomes)[..3], [300, 300, 300]);
    }

    #[test]
    fn refusals_are_followed_by_longer_waits_and_lost_networks_are_not() {
        let refusal = After::Refusal { retry_after: None };
        let refused = waits(
            s(60),
            &[refusal, refusal, refusal, refusal, ttl(60), refusal],
        );
        assert_eq!(refused, [61, 121, 241, 301, 60, 61]);
        assert_eq!(waits(s(60), &[After::Unreachable; 3]), [60, 60, 60]);
    }

    #[test]
    fn a_server_that_names_a_time_is_not_asked_before_it_but_within_an_hour() {
        let retry = |seconds| After::Refusal {
            retry_after: Some(s(seconds)),
        };
        assert_eq!(waits(s(60), &[retry(600)]), [601]);
        assert_eq!(waits(s(60), &[retry(1)]), [61]);
        assert_eq!(waits(s(60), &[retry(86_400)]), [3601]);
    }

    #[test]
    fn a_slow_poll_is_followed_by_a_pause_and_missed_polls_are_not_made_up_for() {
        let mut schedule = Schedule::new(s(0), s(60), 7);
        schedule.plan(ttl(60), s(3_000));
        assert_eq!(schedule.planned, s(3_015));
        schedule.plan(ttl(60), s(3_016));
        assert_eq!(schedule.planned, s(3_075));
    }

    #[test]
    fn jitter_differs_between_systems_and_does_not_add_up() {
        let nexts = |seed| {
            let mut schedule = Schedule::new(s(0), s(60), seed);
            let mut next = |minute: u64| {
                schedule.plan(ttl(60), s(60 * minute + 1));
                schedule.next_poll_at() - s(60 * (minute + 1))
            };
            (0..500).map(&mut next).collect::<Vec<_>>()
        };
        let (one, other) = (nexts(1), nexts(2));
        assert!(one != other);
        assert!(one.iter().all(|late| *late < s(3)), "{one:?}");
    }
}
