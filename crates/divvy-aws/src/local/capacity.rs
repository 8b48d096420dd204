//! What the emulated service lets through: a bucket of units for each table and each index, one
//! for reads and one for writes.
//!
//! A bucket fills by its rate and keeps up to five minutes of what nobody used. A request is let
//! in while its bucket is above zero and may leave it below, as DynamoDB does: a large item on a
//! small table goes through and is waited for afterwards.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How much unused provisioned capacity is kept, in seconds of the rate.
const KEPT_S: f64 = 300.0;

/// What one partition, and so one key, takes a second whatever the table has.
const KEY_WRITE_UNITS: f64 = 1_000.0;
const KEY_READ_UNITS: f64 = 3_000.0;

/// What a new on-demand table takes a second.
const ON_DEMAND_WRITE_UNITS: f64 = 4_000.0;
const ON_DEMAND_READ_UNITS: f64 = 12_000.0;

/// The quota of an account for one on-demand table or index, reads and writes alike.
const ACCOUNT_UNITS: f64 = 40_000.0;

/// How long a new peak must lie back before an on-demand table is ready for its double.
const SCALING: Duration = Duration::from_secs(30 * 60);

/// Reads and writes are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// Returns the middle part of a throttling reason.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }
}

/// How much of the burst store is full when a table is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burst {
    /// One second of the rate: unused capacity is kept from the creation on, as at AWS.
    #[default]
    Empty,
    /// All five minutes, as on a table that has been idle.
    Full,
}

/// What a request ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// The capacity the table or index was given.
    Provisioned,
    /// What one partition takes: one key is hot, or an on-demand table has not scaled yet.
    KeyRange,
    /// The maximum its owner set for an on-demand table.
    OnDemandMaximum,
    /// The quota of the account for an on-demand table.
    Account,
}

impl Limit {
    /// Returns the last part of a throttling reason.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "ProvisionedThroughputExceeded",
            Self::KeyRange => "KeyRangeThroughputExceeded",
            Self::OnDemandMaximum => "MaxOnDemandThroughputExceeded",
            Self::Account => "AccountLimitExceeded",
        }
    }
}

/// How the capacity of a table or index is settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// So many units a second.
    Provisioned(f64),
    /// By the past, up to a maximum in units a second if its owner set one.
    OnDemand(Option<f64>),
}

/// Units that fill by the second and may go into debt.
#[derive(Debug)]
struct Bucket {
    /// Units a second.
    rate: f64,
    /// The most that is kept, in units.
    most: f64,
    balance: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: f64, kept_s: f64, filled_s: f64, now: Instant) -> Self {
        Self {
            rate,
            most: rate * kept_s,
            balance: rate * filled_s,
            at: now,
        }
    }

    fn balance(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.balance = (self.balance + self.rate * elapsed).min(self.most);
        self.at = self.at.max(now);
        self.balance
    }

    fn take(&mut self, units: f64, now: Instant) {
        self.balance = self.balance(now) - units;
    }

    /// Changes the rate from now on; what is kept stays, as far as it may.
    fn settle(&mut self, rate: f64, kept_s: f64, now: Instant) {
        self.balance(now);
        self.rate = rate;
        self.most = rate * kept_s;
    }
}

/// The keys that are not rested, each a partition of its own.
#[derive(Debug)]
struct KeyRanges {
    /// Units a second; `None` when keys are not looked at.
    rate: Option<f64>,
    buckets: HashMap<u64, Bucket>,
    /// How many keys may lie here before the rested ones are removed.
    room: usize,
}

impl KeyRanges {
    const ROOM: usize = 4_096;

    fn open(&mut self, key: u64, now: Instant) -> bool {
        let bucket = self.buckets.get_mut(&key);
        bucket.is_none_or(|bucket| bucket.balance(now) > 0.0)
    }

    fn take(&mut self, key: u64, units: f64, now: Instant) {
        let Some(rate) = self.rate else { return };
        if self.buckets.len() >= self.room {
            self.buckets
                .retain(|_, bucket| bucket.balance(now) < bucket.most);
            self.room = (2 * self.buckets.len()).max(Self::ROOM);
        }
        self.buckets
            .entry(key)
            .or_insert_with(|| Bucket::new(rate, 1.0, 1.0, now))
            .take(units, now);
    }
}

/// How an on-demand table follows its traffic.
#[derive(Debug)]
struct Scaling {
    maximum: Option<f64>,
    /// Units a second it is ready for.
    ready: f64,
    /// When the second being counted began, and what it used.
    second: (Instant, f64),
    /// The busiest second since the window began.
    peak: f64,
    window: Instant,
}

impl Scaling {
    fn new(ready: f64, maximum: Option<f64>, now: Instant) -> Self {
        Self {
            maximum,
            ready,
            second: (now, 0.0),
            peak: 0.0,
            window: now,
        }
    }

    fn rate(&self) -> f64 {
        self.maximum
            .map_or(self.ready, |maximum| self.ready.min(maximum))
    }

    /// Counts what was used. Returns whether the rate changed.
    fn count(&mut self, units: f64, now: Instant) -> bool {
        let (began, used) = self.second;
        if now.saturating_duration_since(began) >= Duration::from_secs(1) {
            self.second = (now, units);
        } else {
            self.second.1 = used + units;
        }
        self.peak = self.peak.max(self.second.1.min(self.ready));
        if now.saturating_duration_since(self.window) < SCALING {
            return false;
        }
        let before = self.ready;
        self.ready = (2.0 * self.peak).clamp(before, ACCOUNT_UNITS.max(before));
        self.peak = 0.0;
        self.window = now;
        self.ready > before
    }
}

/// One direction of one table or index.
#[derive(Debug)]
pub(super) struct Lane {
    bucket: Bucket,
    /// `None`: provisioned.
    scaling: Option<Scaling>,
    keys: KeyRanges,
    direction: Direction,
    /// All the units that ever went through.
    pub(super) used: f64,
}

impl Lane {
    /// Opens a lane. `key_caps` tells whether a key alone is held to what a partition takes.
    pub(super) fn new(
        direction: Direction,
        mode: Mode,
        burst: Burst,
        key_caps: bool,
        now: Instant,
    ) -> Self {
        let (bucket, scaling) = match mode {
            Mode::Provisioned(rate) => {
                let filled_s = match burst {
                    Burst::Empty => 1.0,
                    Burst::Full => KEPT_S,
                };
                (Bucket::new(rate, KEPT_S, filled_s, now), None)
            }
            Mode::OnDemand(maximum) => {
                let scaling = Scaling::new(first_ready(direction), maximum, now);
                (Bucket::new(scaling.rate(), 1.0, 1.0, now), Some(scaling))
            }
        };
        let key_units = match direction {
            Direction::Read => KEY_READ_UNITS,
            Direction::Write => KEY_WRITE_UNITS,
        };
        Self {
            bucket,
            scaling,
            keys: KeyRanges {
                rate: key_caps.then_some(key_units),
                buckets: HashMap::new(),
                room: KeyRanges::ROOM,
            },
            direction,
            used: 0.0,
        }
    }

    /// Changes the capacity from now on.
    pub(super) fn settle(&mut self, mode: Mode, now: Instant) {
        match (mode, &mut self.scaling) {
            (Mode::Provisioned(rate), scaling) => {
                *scaling = None;
                self.bucket.settle(rate, KEPT_S, now);
            }
            (Mode::OnDemand(maximum), Some(scaling)) => {
                scaling.maximum = maximum;
                let rate = scaling.rate();
                self.bucket.settle(rate, 1.0, now);
            }
            (Mode::OnDemand(maximum), scaling @ None) => {
                // A provisioned table that is switched over keeps at least what it had.
                let ready = first_ready(self.direction).max(self.bucket.rate);
                let scaling = scaling.insert(Scaling::new(ready, maximum, now));
                self.bucket.settle(scaling.rate(), 1.0, now);
            }
        }
    }

    /// Tells what keeps a request out. `promised` are units of the same batch that have gone
    /// before it and are not taken yet. `None`: it may go.
    pub(super) fn closed(
        &mut self,
        key: Option<u64>,
        promised: f64,
        now: Instant,
    ) -> Option<Limit> {
        if self.bucket.balance(now) - promised <= 0.0 {
            return Some(self.limit());
        }
        let hot = key.is_some_and(|key| !self.keys.open(key, now));
        hot.then_some(Limit::KeyRange)
    }

    /// Returns what closes the lane when its balance is used up.
    pub(super) fn limit(&self) -> Limit {
        match &self.scaling {
            None => Limit::Provisioned,
            Some(scaling) if scaling.maximum.is_some_and(|most| most <= scaling.ready) => {
                Limit::OnDemandMaximum
            }
            Some(scaling) if scaling.ready >= ACCOUNT_UNITS => Limit::Account,
            // What has scaled to few partitions runs into theirs.
            Some(_) => Limit::KeyRange,
        }
    }

    /// Tells whether the capacity follows the traffic.
    pub(super) fn on_demand(&self) -> bool {
        self.scaling.is_some()
    }

    /// Takes what was used.
    pub(super) fn charge(&mut self, units: f64, now: Instant) {
        if units == 0.0 {
            return;
        }
        self.used += units;
        self.bucket.take(units, now);
        if let Some(scaling) = &mut self.scaling
            && scaling.count(units, now)
        {
            let rate = scaling.rate();
            self.bucket.settle(rate, 1.0, now);
        }
    }

    /// Takes from one key what it used.
    pub(super) fn charge_key(&mut self, key: Option<u64>, units: f64, now: Instant) {
        if let Some(key) = key {
            self.keys.take(key, units, now);
        }
    }
}

fn first_ready(direction: Direction) -> f64 {
    match direction {
        Direction::Read => ON_DEMAND_READ_UNITS,
        Direction::Write => ON_DEMAND_WRITE_UNITS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    fn lane(mode: Mode, burst: Burst, now: Instant) -> Lane {
        Lane::new(Direction::Write, mode, burst, true, now)
    }

    #[test]
    fn five_minutes_of_unused_capacity_are_kept() {
        let now = Instant::now();
        let mut lane = lane(Mode::Provisioned(5.0), Burst::Empty, now);
        assert_eq!(lane.bucket.balance(now), 5.0);
        assert_eq!(lane.bucket.balance(after(now, 60)), 305.0);
        assert_eq!(lane.bucket.balance(after(now, 3_600)), 1_500.0);
    }

    #[test]
    fn a_large_item_is_waited_for_afterwards() {
        let now = Instant::now();
        let mut lane = lane(Mode::Provisioned(5.0), Burst::Empty, now);
        lane.charge(84.0, now);
        assert_eq!(lane.bucket.balance(now), -79.0);
        assert!(lane.bucket.balance(after(now, 15)) < 0.0);
        assert!(lane.bucket.balance(after(now, 16)) > 0.0);
    }

    #[test]
    fn more_capacity_counts_from_now_on() {
        let now = Instant::now();
        let mut lane = lane(Mode::Provisioned(5.0), Burst::Full, now);
        lane.settle(Mode::Provisioned(100.0), now);
        assert_eq!(lane.bucket.balance(now), 1_500.0);
        assert_eq!(lane.bucket.balance(after(now, 1)), 1_600.0);
        lane.settle(Mode::Provisioned(5.0), after(now, 10));
        assert_eq!(lane.bucket.balance(after(now, 10)), 1_500.0);
    }

    #[test]
    fn a_key_takes_a_thousand_units_a_second() {
        let now = Instant::now();
        let mut lane = lane(Mode::Provisioned(40_000.0), Burst::Full, now);
        lane.charge_key(Some(7), 1_000.0, now);
        assert_eq!(lane.closed(Some(7), 0.0, now), Some(Limit::KeyRange));
        assert_eq!(lane.closed(Some(8), 0.0, now), None);
        assert_eq!(
            lane.closed(Some(7), 0.0, now + Duration::from_millis(10)),
            None
        );
    }

    #[test]
    fn rested_keys_are_forgotten() {
        let now = Instant::now();
        let mut lane = lane(Mode::Provisioned(40_000.0), Burst::Full, now);
        for key in 0..20_000 {
            lane.charge_key(Some(key), 1.0, now + Duration::from_millis(key));
        }
        assert!(lane.keys.buckets.len() <= KeyRanges::ROOM);
    }

    #[test]
    fn an_on_demand_table_is_ready_for_twice_its_peak_half_an_hour_later() {
        let now = Instant::now();
        let mut lane = lane(Mode::OnDemand(None), Burst::Empty, now);
        assert_eq!(lane.bucket.balance(now), 4_000.0);
        assert_eq!(lane.limit(), Limit::KeyRange);
        for second in 0..SCALING.as_secs() + 1 {
            lane.charge(4_000.0, after(now, second));
        }
        assert_eq!(lane.bucket.rate, 8_000.0);
        let mut at = after(now, SCALING.as_secs() + 1);
        for _ in 0..4 {
            for _ in 0..SCALING.as_secs() {
                lane.charge(40_000.0, at);
                at += Duration::from_secs(1);
            }
        }
        assert_eq!(lane.bucket.rate, ACCOUNT_UNITS);
        assert_eq!(lane.limit(), Limit::Account);
        lane.settle(Mode::OnDemand(Some(500.0)), at);
        assert_eq!(lane.limit(), Limit::OnDemandMaximum);
    }
}
