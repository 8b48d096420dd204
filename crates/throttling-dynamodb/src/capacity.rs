//! The limits of the service: token buckets of capacity units for each table and each index, one
//! for reads and one for writes.
//!
//! A bucket fills at its rate and keeps up to five minutes of unused capacity. A request is
//! admitted while the balance is above zero and may make it negative, as in DynamoDB: a large item
//! in a small table is written, and later requests wait until the bucket has filled up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::meter::Units;

/// The unused provisioned capacity that is kept at most, in seconds of the rate.
const BURST_S: f64 = 300.0;

/// The units a second of one partition, and so of one partition key.
const KEY_WRITE_UNITS: f64 = 1_000.0;
const KEY_READ_UNITS: f64 = 3_000.0;

/// The units a second of a new on-demand table.
const ON_DEMAND_WRITE_UNITS: f64 = 4_000.0;
const ON_DEMAND_READ_UNITS: f64 = 12_000.0;

/// The units a second that an account may use of one on-demand table or index, for reads and for
/// writes alike.
const ACCOUNT_UNITS: f64 = 40_000.0;

/// The time over which an on-demand table measures its peak before it scales to twice that.
const SCALING: Duration = Duration::from_secs(30 * 60);

/// Reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// Returns the middle part of a throttling reason.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }
}

/// The burst capacity of a provisioned table when the emulator first reads its description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burst {
    /// One second of the rate: unused capacity is kept from the creation on, as at AWS.
    #[default]
    Empty,
    /// All five minutes, as of a table that has been idle.
    Full,
}

/// The limit that a request has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The provisioned capacity of the table or index.
    Provisioned,
    /// The capacity of one partition: a hot key, or an on-demand table that has not scaled yet.
    KeyRange,
    /// The maximum that the owner of an on-demand table has set.
    OnDemandMaximum,
    /// The account's quota for an on-demand table.
    Account,
}

impl Limit {
    /// Returns the last part of a throttling reason.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "ProvisionedThroughputExceeded",
            Self::KeyRange => "KeyRangeThroughputExceeded",
            Self::OnDemandMaximum => "MaxOnDemandThroughputExceeded",
            Self::Account => "AccountLimitExceeded",
        }
    }
}

/// The way in which the capacity of a table or index is determined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// A fixed count of units a second.
    Provisioned(f64),
    /// By past traffic, up to a maximum in units a second. `None`: no maximum.
    OnDemand(Option<f64>),
}

/// The ways in which the capacities for reads and for writes are determined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Modes {
    pub(crate) read: Mode,
    pub(crate) write: Mode,
}

/// Options of all limiters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimiterOptions {
    pub(crate) burst: Burst,
    /// Whether each partition key is limited to the capacity of one partition.
    pub(crate) key_caps: bool,
}

/// A token bucket whose balance may be negative.
#[derive(Debug)]
struct Bucket {
    /// Units a second.
    rate: f64,
    /// The highest balance, in units.
    most: f64,
    /// The balance at `updated`, in units.
    balance: f64,
    updated: Instant,
}

impl Bucket {
    fn new(rate: f64, kept_s: f64, filled_s: f64, now: Instant) -> Self {
        Self {
            rate,
            most: rate * kept_s,
            balance: rate * filled_s,
            updated: now,
        }
    }

    fn balance(&mut self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.balance = (self.balance + self.rate * elapsed).min(self.most);
        self.updated = self.updated.max(now);
        self.balance
    }

    fn take(&mut self, units: f64, now: Instant) {
        self.balance = self.balance(now) - units;
    }

    /// Changes the rate from now on. The balance stays, up to the new highest.
    fn set_rate(&mut self, rate: f64, kept_s: f64, now: Instant) {
        self.balance(now);
        self.rate = rate;
        self.most = rate * kept_s;
    }
}

/// Buckets of partition keys, each regarded as a partition of its own. A key without a bucket has
/// its full capacity.
#[derive(Debug)]
struct KeyRanges {
    /// Units a second. `None`: keys are not limited.
    rate: Option<f64>,
    buckets: HashMap<u64, Bucket>,
    /// The count of buckets at which the full ones are removed.
    cleanup_len: usize,
}

impl KeyRanges {
    const MIN_CLEANUP_LEN: usize = 4_096;

    fn has_capacity(&mut self, key: u64, now: Instant) -> bool {
        let bucket = self.buckets.get_mut(&key);
        bucket.is_none_or(|bucket| bucket.balance(now) > 0.0)
    }

    fn take(&mut self, key: u64, units: f64, now: Instant) {
        let Some(rate) = self.rate else { return };
        if self.buckets.len() >= self.cleanup_len {
            self.buckets
                .retain(|_, bucket| bucket.balance(now) < bucket.most);
            self.cleanup_len = (2 * self.buckets.len()).max(Self::MIN_CLEANUP_LEN);
        }
        self.buckets
            .entry(key)
            .or_insert_with(|| Bucket::new(rate, 1.0, 1.0, now))
            .take(units, now);
    }
}

/// The growth of an on-demand table with its traffic.
#[derive(Debug)]
struct Scaling {
    /// The owner's maximum, in units a second.
    maximum: Option<f64>,
    /// The units a second to which the table has scaled.
    scaled_to: f64,
    /// The beginning of the current second, and the units used in it.
    second: (Instant, f64),
    /// The units of the busiest second since `window_start`.
    peak: f64,
    window_start: Instant,
}

impl Scaling {
    fn new(scaled_to: f64, maximum: Option<f64>, now: Instant) -> Self {
        Self {
            maximum,
            scaled_to,
            second: (now, 0.0),
            peak: 0.0,
            window_start: now,
        }
    }

    fn rate(&self) -> f64 {
        self.maximum
            .map_or(self.scaled_to, |maximum| self.scaled_to.min(maximum))
    }

    /// Counts used units. Returns whether the rate has changed.
    fn count(&mut self, units: f64, now: Instant) -> bool {
        let (began, used) = self.second;
        if now.saturating_duration_since(began) >= Duration::from_secs(1) {
            self.second = (now, units);
        } else {
            self.second.1 = used + units;
        }
        self.peak = self.peak.max(self.second.1.min(self.scaled_to));
        if now.saturating_duration_since(self.window_start) < SCALING {
            return false;
        }
        let before = self.scaled_to;
        self.scaled_to = (2.0 * self.peak).clamp(before, ACCOUNT_UNITS.max(before));
        self.peak = 0.0;
        self.window_start = now;
        self.scaled_to > before
    }
}

/// The limits on reads, or on writes, of one table or index.
#[derive(Debug)]
pub(crate) struct CapacityLimiter {
    bucket: Bucket,
    /// `None`: provisioned.
    scaling: Option<Scaling>,
    keys: KeyRanges,
    direction: Direction,
    /// All units charged so far.
    pub(crate) used: f64,
}

impl CapacityLimiter {
    pub(crate) fn new(
        direction: Direction,
        mode: Mode,
        options: LimiterOptions,
        now: Instant,
    ) -> Self {
        let (bucket, scaling) = match mode {
            Mode::Provisioned(rate) => {
                let filled_s = match options.burst {
                    Burst::Empty => 1.0,
                    Burst::Full => BURST_S,
                };
                (Bucket::new(rate, BURST_S, filled_s, now), None)
            }
            Mode::OnDemand(maximum) => {
                let scaling = Scaling::new(initial_units(direction), maximum, now);
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
                rate: options.key_caps.then_some(key_units),
                buckets: HashMap::new(),
                cleanup_len: KeyRanges::MIN_CLEANUP_LEN,
            },
            direction,
            used: 0.0,
        }
    }

    /// Changes the capacity from now on.
    pub(crate) fn set_mode(&mut self, mode: Mode, now: Instant) {
        match (mode, &mut self.scaling) {
            (Mode::Provisioned(rate), scaling) => {
                *scaling = None;
                self.bucket.set_rate(rate, BURST_S, now);
            }
            (Mode::OnDemand(maximum), Some(scaling)) => {
                scaling.maximum = maximum;
                let rate = scaling.rate();
                self.bucket.set_rate(rate, 1.0, now);
            }
            (Mode::OnDemand(maximum), scaling @ None) => {
                // A provisioned table keeps at least its rate when it becomes on-demand.
                let scaled_to = initial_units(self.direction).max(self.bucket.rate);
                let scaling = scaling.insert(Scaling::new(scaled_to, maximum, now));
                self.bucket.set_rate(scaling.rate(), 1.0, now);
            }
        }
    }

    /// Raises the units a second that an on-demand table takes at once. `None` leaves them.
    pub(crate) fn warm(&mut self, units: Option<u64>, now: Instant) {
        if let (Some(units), Some(scaling)) = (units, &mut self.scaling) {
            scaling.scaled_to = scaling.scaled_to.max(units as f64);
            let rate = scaling.rate();
            self.bucket.set_rate(rate, 1.0, now);
        }
    }

    /// Returns the limit that throttles a request for a partition key. `reserved` are the units of
    /// requests in the same batch that were admitted before and are not charged yet. `None`: the
    /// request is admitted.
    pub(crate) fn exceeded(
        &mut self,
        key: Option<u64>,
        reserved: f64,
        now: Instant,
    ) -> Option<Limit> {
        if self.bucket.balance(now) - reserved <= 0.0 {
            return Some(self.limit());
        }
        let hot = key.is_some_and(|key| !self.keys.has_capacity(key, now));
        hot.then_some(Limit::KeyRange)
    }

    /// Returns the limit that applies when the balance is used up.
    pub(crate) fn limit(&self) -> Limit {
        match &self.scaling {
            None => Limit::Provisioned,
            Some(scaling)
                if scaling
                    .maximum
                    .is_some_and(|most| most <= scaling.scaled_to) =>
            {
                Limit::OnDemandMaximum
            }
            Some(scaling) if scaling.scaled_to >= ACCOUNT_UNITS => Limit::Account,
            // A table that has not scaled further has few partitions, and reaches their limits.
            Some(_) => Limit::KeyRange,
        }
    }

    /// Returns whether the capacity follows the traffic.
    pub(crate) fn on_demand(&self) -> bool {
        self.scaling.is_some()
    }

    /// Charges used units to the table or index.
    pub(crate) fn charge(&mut self, units: f64, now: Instant) {
        if units == 0.0 {
            return;
        }
        self.used += units;
        self.bucket.take(units, now);
        if let Some(scaling) = &mut self.scaling
            && scaling.count(units, now)
        {
            let rate = scaling.rate();
            self.bucket.set_rate(rate, 1.0, now);
        }
    }

    /// Charges used units to a partition key.
    pub(crate) fn charge_key(&mut self, key: Option<u64>, units: f64, now: Instant) {
        if let Some(key) = key {
            self.keys.take(key, units, now);
        }
    }
}

/// The limits on reads and on writes of one table or index.
#[derive(Debug)]
pub(crate) struct Limiters {
    pub(crate) read: CapacityLimiter,
    pub(crate) write: CapacityLimiter,
}

impl Limiters {
    pub(crate) fn new(modes: Modes, options: LimiterOptions, now: Instant) -> Self {
        let limiter = |direction, mode| CapacityLimiter::new(direction, mode, options, now);
        Self {
            read: limiter(Direction::Read, modes.read),
            write: limiter(Direction::Write, modes.write),
        }
    }

    /// Changes the capacity from now on.
    pub(crate) fn set_modes(&mut self, modes: Modes, now: Instant) {
        self.read.set_mode(modes.read, now);
        self.write.set_mode(modes.write, now);
    }

    pub(crate) fn used(&self) -> Units {
        Units {
            read: self.read.used,
            write: self.write.used,
        }
    }

    pub(crate) fn of(&self, direction: Direction) -> &CapacityLimiter {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    pub(crate) fn of_mut(&mut self, direction: Direction) -> &mut CapacityLimiter {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

fn initial_units(direction: Direction) -> f64 {
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

    fn limiter(mode: Mode, burst: Burst, now: Instant) -> CapacityLimiter {
        let options = LimiterOptions {
            burst,
            key_caps: true,
        };
        CapacityLimiter::new(Direction::Write, mode, options, now)
    }

    #[test]
    fn five_minutes_of_unused_capacity_are_kept() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::Provisioned(5.0), Burst::Empty, now);
        assert_eq!(limiter.bucket.balance(now), 5.0);
        assert_eq!(limiter.bucket.balance(after(now, 60)), 305.0);
        assert_eq!(limiter.bucket.balance(after(now, 3_600)), 1_500.0);
    }

    #[test]
    fn a_large_item_makes_the_balance_negative() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::Provisioned(5.0), Burst::Empty, now);
        limiter.charge(84.0, now);
        assert_eq!(limiter.bucket.balance(now), -79.0);
        assert!(limiter.bucket.balance(after(now, 15)) < 0.0);
        assert!(limiter.bucket.balance(after(now, 16)) > 0.0);
    }

    #[test]
    fn a_new_rate_applies_from_now_on() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::Provisioned(5.0), Burst::Full, now);
        limiter.set_mode(Mode::Provisioned(100.0), now);
        assert_eq!(limiter.bucket.balance(now), 1_500.0);
        assert_eq!(limiter.bucket.balance(after(now, 1)), 1_600.0);
        limiter.set_mode(Mode::Provisioned(5.0), after(now, 10));
        assert_eq!(limiter.bucket.balance(after(now, 10)), 1_500.0);
    }

    #[test]
    fn a_key_is_limited_to_a_thousand_units_a_second() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::Provisioned(40_000.0), Burst::Full, now);
        limiter.charge_key(Some(7), 1_000.0, now);
        assert_eq!(limiter.exceeded(Some(7), 0.0, now), Some(Limit::KeyRange));
        assert_eq!(limiter.exceeded(Some(8), 0.0, now), None);
        assert_eq!(
            limiter.exceeded(Some(7), 0.0, now + Duration::from_millis(10)),
            None
        );
    }

    #[test]
    fn keys_with_full_capacity_are_removed() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::Provisioned(40_000.0), Burst::Full, now);
        for key in 0..20_000 {
            limiter.charge_key(Some(key), 1.0, now + Duration::from_millis(key));
        }
        assert!(limiter.keys.buckets.len() <= KeyRanges::MIN_CLEANUP_LEN);
    }

    #[test]
    fn an_on_demand_table_scales_to_twice_its_peak_in_half_an_hour() {
        let now = Instant::now();
        let mut limiter = limiter(Mode::OnDemand(None), Burst::Empty, now);
        assert_eq!(limiter.bucket.balance(now), 4_000.0);
        assert_eq!(limiter.limit(), Limit::KeyRange);
        for second in 0..SCALING.as_secs() + 1 {
            limiter.charge(4_000.0, after(now, second));
        }
        assert_eq!(limiter.bucket.rate, 8_000.0);
        let mut at = after(now, SCALING.as_secs() + 1);
        for _ in 0..4 {
            for _ in 0..SCALING.as_secs() {
                limiter.charge(40_000.0, at);
                at += Duration::from_secs(1);
            }
        }
        assert_eq!(limiter.bucket.rate, ACCOUNT_UNITS);
        assert_eq!(limiter.limit(), Limit::Account);
        limiter.set_mode(Mode::OnDemand(Some(500.0)), at);
        assert_eq!(limiter.limit(), Limit::OnDemandMaximum);
    }
}
