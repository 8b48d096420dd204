//! A token bucket for one capacity: the write or read units of a table or of an index.
//!
//! A request waits until the balance covers its expected units and is charged these; when the
//! response states the consumed units, the difference is charged or given back. So items of unequal
//! size keep the rate, and an item larger than the bucket makes the balance negative instead of
//! waiting forever. Waiting for a positive balance alone would be enough for single items; of a
//! batch the service would take the first item and return the others as unprocessed.
//!
//! A throttled request changes the bucket in one of two ways. Where the balance still held unused
//! burst seconds, the assumed burst was wrong and the balance is set to zero; the requests sent on
//! that assumption may have overdrawn the service's own bucket, so for one minute further throttles
//! only delay. Otherwise the service grants less than it states: the rate falls by 30 % and rises
//! again step by step while no request is throttled (additive increase, multiplicative decrease).

use std::sync::Mutex;

use tokio::time::{Duration, Instant, sleep};

use crate::tables::Grant;

/// Seconds of unused provisioned capacity that the service keeps at most (not guaranteed):
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html>.
pub const BURST_S: f64 = 300.0;
/// The factor of the rate after a throttle.
const DECREASE: f64 = 0.7;
/// The increase of the rate after a step without throttles, as a fraction of the granted rate.
const INCREASE: f64 = 0.1;
/// The length of a step.
const STEP: Duration = Duration::from_secs(10);
/// The time for which the service's bucket may stay overdrawn after a wrong assumption about its
/// burst.
const OVERDRAWN: Duration = Duration::from_secs(60);
/// Throttles within this time count as one: those of requests that were sent together.
const ONE_EVENT: Duration = Duration::from_secs(1);

/// Limits the requests of one capacity to its rate.
#[derive(Debug)]
pub struct CapacityLimiter {
    /// Held while waiting: requests pass one at a time, first come, first served.
    queue: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// The bucket, in units and units a second.
#[derive(Debug)]
struct State {
    granted: f64,
    ceiling: f64,
    rate: f64,
    balance: f64,
    max_balance: f64,
    refilled_at: Instant,
    /// The last change of the rate, or the last throttle.
    stepped_at: Instant,
    throttled_at: Option<Instant>,
    /// The time at which the assumed burst proved wrong.
    emptied_at: Option<Instant>,
    used: f64,
    throttles: u64,
}

impl State {
    fn refill(&mut self) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        self.balance = (self.balance + elapsed * self.rate).min(self.max_balance);
        while now.duration_since(self.stepped_at) >= STEP {
            self.stepped_at += STEP;
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

impl CapacityLimiter {
    /// Makes a limiter with a full bucket.
    pub fn new(grant: Grant) -> Self {
        let now = Instant::now();
        let seconds = if grant.burst { BURST_S } else { 1.0 };
        Self {
            queue: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                granted: grant.rate,
                ceiling: grant.ceiling.max(grant.rate),
                rate: grant.rate,
                balance: grant.rate * seconds,
                max_balance: grant.rate * seconds,
                refilled_at: now,
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

    /// Waits until the bucket covers the expected units of a request, and charges them.
    pub async fn acquire(&self, units: f64) {
        let _turn = self.queue.lock().await;
        loop {
            let wait = {
                let mut state = self.state();
                state.refill();
                let enough = units.min(state.max_balance);
                if state.balance >= enough {
                    state.balance -= units;
                    return;
                }
                ((enough - state.balance) / state.rate).max(0.001)
            };
            sleep(Duration::from_secs_f64(wait)).await;
        }
    }

    /// Replaces the charged units of a request by those that it consumed.
    pub fn correct(&self, charged: f64, actual: f64) {
        let mut state = self.state();
        state.balance += charged - actual;
        state.used += actual;
    }

    /// Adapts the bucket to a request that was throttled for this capacity.
    pub fn record_throttle(&self) {
        let mut state = self.state();
        state.refill();
        state.throttles += 1;
        let now = Instant::now();
        let is_same_event = state
            .throttled_at
            .is_some_and(|at| now.duration_since(at) < ONE_EVENT);
        state.throttled_at = Some(now);
        state.stepped_at = now;
        if is_same_event {
            return;
        }
        let is_overdrawn = state
            .emptied_at
            .is_some_and(|at| now.duration_since(at) < OVERDRAWN);
        if state.balance > state.rate {
            state.balance = 0.0;
            state.emptied_at = Some(now);
        } else if is_overdrawn {
            state.balance = state.balance.min(-state.rate);
        } else {
            state.rate = (state.rate * DECREASE).max(state.granted / 20.0);
            state.balance = state.balance.min(0.0);
        }
    }

    /// Sets the rate after the capacity was changed.
    pub fn set_rate(&self, rate: f64) {
        let mut state = self.state();
        state.refill();
        let seconds = state.max_balance / state.granted;
        state.max_balance = rate * seconds;
        state.balance = state.balance.min(state.max_balance);
        (state.granted, state.ceiling, state.rate) = (rate, rate, rate);
    }

    /// Raises the rate, up to the ceiling, after an on-demand table was warmed.
    pub fn raise_rate(&self, rate: f64) {
        let mut state = self.state();
        state.refill();
        let rate = rate.min(state.ceiling);
        if rate > state.granted {
            let seconds = state.max_balance / state.granted;
            state.max_balance = rate * seconds;
            (state.granted, state.rate) = (rate, rate);
        }
    }

    /// Returns the rate in units a second.
    pub fn rate(&self) -> f64 {
        self.state().rate
    }

    /// Returns the units consumed so far.
    pub fn used(&self) -> f64 {
        self.state().used
    }

    /// Returns the number of throttled requests.
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
    async fn the_rate_is_that_of_the_capacity() {
        let limiter = CapacityLimiter::new(five(false));
        let start = Instant::now();
        for _ in 0..1000 {
            limiter.acquire(10.0).await;
            limiter.correct(10.0, 10.0);
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((1990.0..2000.0).contains(&seconds), "{seconds}");
        assert_eq!((limiter.used(), limiter.throttles()), (10_000.0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn consumed_units_beyond_the_expected_delay_later_requests() {
        let limiter = CapacityLimiter::new(five(false));
        let start = Instant::now();
        limiter.acquire(1.0).await;
        limiter.correct(1.0, 84.0);
        limiter.acquire(1.0).await;
        let seconds = start.elapsed().as_secs_f64();
        assert!((15.0..17.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_burst_empties_the_bucket_and_a_slow_service_lowers_the_rate() {
        let limiter = CapacityLimiter::new(five(true));
        limiter.acquire(100.0).await;
        limiter.record_throttle();
        assert_eq!(limiter.rate(), 5.0);
        sleep(Duration::from_secs(2)).await;
        limiter.record_throttle();
        assert_eq!(limiter.rate(), 5.0, "overdrawn");
        sleep(Duration::from_secs(61)).await;
        limiter.acquire(315.0).await;
        limiter.record_throttle();
        assert_eq!(limiter.rate(), 3.5);
        limiter.record_throttle();
        assert_eq!(limiter.rate(), 3.5, "one event");
        sleep(Duration::from_secs(61)).await;
        limiter.acquire(1.0).await;
        assert_eq!(limiter.rate(), 5.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_of_an_on_demand_table_grows() {
        let limiter = CapacityLimiter::new(Grant {
            rate: 4000.0,
            ceiling: 40_000.0,
            burst: false,
        });
        sleep(Duration::from_secs(600)).await;
        limiter.acquire(1.0).await;
        assert_eq!(limiter.rate(), 40_000.0);
    }
}
