//! What a watch has done in all.

use std::fmt;
use std::ops::AddAssign;

use divvy::reports::plural;

/// Numbers of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Snapshots that were read.
    pub snapshots: u64,
    /// Polls of feeds that had not changed.
    pub unchanged: u64,
    /// Stations that were inserted or changed.
    pub changes: u64,
    /// Polls that gave no snapshot.
    pub failures: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.unchanged += other.unchanged;
        self.changes += other.changes;
        self.failures += other.failures;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, noun: &str| plural(count as i64, noun);
        write!(
            f,
            "{}, {}, {}; {} found nothing new",
            count(self.snapshots, "snapshot"),
            count(self.changes, "change"),
            count(self.failures, "failure"),
            count(self.unchanged, "poll"),
        )
    }
}
