//! Settings of loads, and their progress.

use crate::pace::Used;

/// Settings of loads.
#[derive(Clone, Debug, Default)]
pub struct LoadSettings {
    /// Whether the trips are in the table already, imported from S3: then they are verified, not
    /// written.
    pub imported: bool,
    /// Write units to which the table and its index are raised with the first load, until
    /// [`end_boost`](crate::store::DynamoStore::end_boost).
    pub boost: Option<u32>,
    /// Write units a second for which the table, paid by request, and its index are warmed before the first load:
    /// their warm throughput is raised, which is paid for once, and never falls. `None` leaves it.
    pub warm: Option<u32>,
}

/// The progress of writing trips.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The archive.
    pub archive: String,
    /// Trips that are written.
    pub done: u64,
    /// Trips in all.
    pub of: u64,
    /// The consumed units of TripData since the load began.
    pub used: Used,
    /// The current rate in write units a second.
    pub rate: f64,
    /// The estimated remaining time in seconds. `None` before anything was written, and at the end.
    pub rest_s: Option<f64>,
}

/// The progress of reading stored copies of trips that the archive shares with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The archive.
    pub archive: String,
    /// Copies that have been read.
    pub done: u64,
    /// Copies in all.
    pub of: u64,
}

/// Receives the progress of a load.
pub trait Listener: Send + Sync {
    /// Called when some stored copies have been read, before anything is written.
    fn compared(&self, _: &Compared) {}

    /// Called when some trips are written.
    fn written(&self, written: &Written);

    /// Called with a sentence for the user, such as that the load waits.
    fn note(&self, note: &str);
}

/// Ignores the progress.
impl Listener for () {
    fn written(&self, _: &Written) {}
    fn note(&self, _: &str) {}
}
