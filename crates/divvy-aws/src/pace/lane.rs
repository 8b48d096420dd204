//! One lane of capacity: the writes or the reads of a table or of an index.
//!
//! A post-paid bucket: a request waits until the balance is what it is expected to cost, is charged
//! that, and settles the difference when the service has said what it did cost. So items of unequal
//! size keep the pace, and one that is larger than the bucket goes into debt instead of waiting for
//! ever. To wait for a positive balance alone would do for single items; of a batch the service
//! would take the first and hand the others back, which costs requests and is taken for a throttle.
//!
//! A throttle has two remedies. Where the bucket still held a store of unused seconds, the store
//! was a wrong guess and is emptied; what was sent on the strength of it may have left the service in
//! debt, so for a minute more throttles only make the lane wait. Where it held none, the service
//! gives less than it says, and the rate falls by three tenths, to rise again step by step while all
//! is quiet (AIMD).

use std::sync::Mutex;

use tokio::time::{Duration, Instant, sleep};

/// Seconds of unused capacity that the service keeps (not guaranteed).
pub const BURST_S: f64 = 300.0;
/// What is left of a rate after a throttle.
const DECREASE: f64 = 0.7;
/// What a quiet step gives back, as a share of the granted rate.
const INCREASE: f64 = 0.1;
/// A quiet step.
const QUIET: Duration = Duration::from_secs(10);
/// How long the service may be in debt for what was sent on a wrong guess.
const DEBT: Duration = Duration::from_secs(60);
/// Throttles within this time are one: those of requests that were under way together.
const ONE_EVENT: Duration = Duration::from_secs(1);

/// What the service grants to a lane, in units a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// At first.
    pub rate: f64,
    /// At most, where it follows the demand (on-demand tables); else the same.
    pub ceiling: f64,
    /// Whether a store of unused seconds may be hoped for.
    pub burst: bool,
}

/// One lane.
#[derive(Debug)]
pub struct Lane {
    /// Requests pass one at a time, in the order of coming.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    granted: f64,
    ceiling: f64,
    rate: f64,
    balance: f64,
    cap: f64,
    at: Instant,
    /// When the rate was last changed or a throttle seen.
    stepped_at: Instant,
    throttled_at: Option<Instant>,
    /// When a store of unused seconds proved to be a wrong guess.
    emptied_at: Option<Instant>,
    used: f64,
    throttles: u64,
}

impl State {
    fn refill(&mut self) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.balance = (self.balance + elapsed * self.rate).min(self.cap);
        while now.duration_since(self.stepped_at) >= QUIET {
            self.stepped_at += QUIET;
            if self.rate >= self.granted && self.granted < self.ceiling {
                self.granted = (self.granted * (1.0 + INCREASE)).min(self.ceiling);
            }
            let step = self.granted * INCREASE;
            self.rate = (self.rate + step).min(self.granted);
            if self.rate >= self.ceiling {
                self.stepped_at = now;
            }
        }
    }
}

impl Lane {
    /// Opens a lane.
    pub fn new(grant: Grant) -> Self {
        let now = Instant::now();
        let seconds = if grant.burst { BURST_S } else { 1.0 };
        Self {
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                granted: grant.rate,
                ceiling: grant.ceiling.max(grant.rate),
                rate: grant.rate,
                balance: grant.rate * seconds,
                cap: grant.rate * seconds,
                at: now,
                stepped_at: now,
                throttled_at: None,
                emptied_at: None,
                used: 0.0,
                throttles: 0,
            }),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Waits for its turn and charges what the request is expected to cost.
    pub async fn take(&self, units: f64) {
        let _turn = self.turn.lock().await;
        loop {
            let wait = {
                let mut state = self.state();
                state.refill();
                let enough = units.min(state.cap);
                if state.balance >= enough {
                    state.balance -= units;
                    return;
                }
                ((enough - state.balance) / state.rate).max(0.001)
            };
            sleep(Duration::from_secs_f64(wait)).await;
        }
    }

    /// Corrects what was charged to what the service says it was.
    pub fn settle(&self, charged: f64, actual: f64) {
        let mut state = self.state();
        state.balance += charged - actual;
        state.used += actual;
    }

    /// Learns that the service refused for want of capacity in this lane.
    pub fn throttled(&self) {
        let mut state = self.state();
        state.refill();
        state.throttles += 1;
        let now = Instant::now();
        let known = state
            .throttled_at
            .is_some_and(|at| now.duration_since(at) < ONE_EVENT);
        state.throttled_at = Some(now);
        state.stepped_at = now;
        if known {
            return;
        }
        let in_debt = state
            .emptied_at
            .is_some_and(|at| now.duration_since(at) < DEBT);
        if state.balance > state.rate {
            state.balance = 0.0;
            state.emptied_at = Some(now);
        } else if in_debt {
            state.balance = state.balance.min(-state.rate);
        } else {
            state.rate = (state.rate * DECREASE).max(state.granted / 20.0);
            state.balance = state.balance.min(0.0);
        }
    }

    /// Learns that the capacity has been changed.
    pub fn regrant(&self, rate: f64) {
        let mut state = self.state();
        state.refill();
        let seconds = state.cap / state.granted;
        state.cap = rate * seconds;
        state.balance = state.balance.min(state.cap);
        (state.granted, state.ceiling, state.rate) = (rate, rate, rate);
    }

    /// Returns the rate in units a second.
    pub fn rate(&self) -> f64 {
        self.state().rate
    }

    /// Returns the units that the service has charged.
    pub fn used(&self) -> f64 {
        self.state().used
    }

    /// Returns how often the service refused.
    pub fn throttles(&self) -> u64 {
        self.state().throttles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five(burst: bool) -> Grant {
        Grant {
            rate: 5.0,
            ceiling: 5.0,
            burst,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_that_of_the_capacity() {
        let lane = Lane::new(five(false));
        let start = Instant::now();
        for _ in 0..1000 {
            lane.take(10.0).await;
            lane.settle(10.0, 10.0);
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((1990.0..2000.0).contains(&seconds), "{seconds}");
        assert_eq!((lane.used(), lane.throttles()), (10_000.0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_did_cost_is_paid_by_those_behind_it() {
        let lane = Lane::new(five(false));
        let start = Instant::now();
        lane.take(1.0).await;
        lane.settle(1.0, 84.0);
        lane.take(1.0).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((15.0..17.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_not_there_is_forgotten_and_a_slow_service_is_followed() {
        let lane = Lane::new(five(true));
        lane.take(100.0).await;
        lane.throttled();
        assert_eq!(lane.rate(), 5.0);
        sleep(Duration::from_secs(2)).await;
        lane.throttled();
        assert_eq!(lane.rate(), 5.0, "in debt");
        sleep(Duration::from_secs(61)).await;
        lane.take(315.0).await;
        lane.throttled();
        assert_eq!(lane.rate(), 3.5);
        lane.throttled();
        assert_eq!(lane.rate(), 3.5, "one event");
        sleep(Duration::from_secs(61)).await;
        lane.take(1.0).await;
        assert_eq!(lane.rate(), 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn on_demand_follows_the_demand() {
        let lane = Lane::new(Grant {
            rate: 4000.0,
            ceiling: 40_000.0,
            burst: false,
        });
        sleep(Duration::from_secs(600)).await;
        lane.take(1.0).await;
        assert_eq!(lane.rate(), 40_000.0);
    }
}
