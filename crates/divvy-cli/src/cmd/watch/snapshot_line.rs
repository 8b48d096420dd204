//! One snapshot as a line of JSON. The names of fields are a contract.

use divvy::ingest::Polled;
use divvy::store::Applied;
use jiff::Timestamp;
use serde::Serialize;

/// A snapshot that was read and passed to the store.
#[derive(Debug, Serialize)]
pub struct SnapshotLine {
    system: String,
    /// When the poll began.
    fetched_at: String,
    /// When the feed was made, by its own clock.
    taken_at: String,
    stations: u64,
    outcome: &'static str,
    /// New stations.
    inserted: u64,
    /// Stations of which more than the time of the report changed.
    changed: u64,
    /// Stations of which only the time of the report changed.
    reported: u64,
    /// Seconds from the beginning of the poll until the snapshot was stored.
    duration_s: f64,
}

impl SnapshotLine {
    /// Makes the line. Times have the offset of the system's zone.
    pub fn new(polled: &Polled, fetched_at: Timestamp, duration_s: f64) -> Self {
        let zone = polled.system.zone();
        let (inserted, changed, reported) = counts(&polled.applied);
        Self {
            system: polled.system.id.to_string(),
            fetched_at: zone.rfc3339(fetched_at).to_string(),
            taken_at: zone.rfc3339(polled.time.taken_at).to_string(),
            stations: polled.stations as u64,
            outcome: outcome(&polled.applied),
            inserted,
            changed,
            reported,
            duration_s: (duration_s * 1000.0).round() / 1000.0,
        }
    }
}

/// Returns what the store did, in a word.
pub fn outcome(applied: &Applied) -> &'static str {
    match applied {
        Applied::Accepted { .. } => "accepted",
        Applied::Repeated => "repeated",
        Applied::Refused { .. } => "refused",
    }
}

/// Returns how many stations are new, changed and only reported anew.
pub fn counts(applied: &Applied) -> (u64, u64, u64) {
    match applied {
        Applied::Accepted {
            inserted,
            changed,
            reported,
        } => (*inserted, *changed, *reported),
        Applied::Repeated => (0, 0, 0),
        Applied::Refused { added, .. } => (*added, 0, 0),
    }
}
