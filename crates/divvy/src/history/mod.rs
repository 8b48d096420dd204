//! The history of what stations report: changes only, and a row for each snapshot.
//!
//! ```text
//!  snapshot ─► diff with the newest states ─► changes of states ─► recent rows ─► sealed parts
//!           └► one SnapshotEntry
//! ```
//!
//! A snapshot is in the history if its states were taken: one that is older than the last, or that
//! repeats it, is not. Snapshots of a system are numbered from 1. Gaps between snapshots are not filled:
//! whether a station was watched at a time follows from the times of the snapshots.

mod diff;
#[cfg(feature = "embedded")]
pub(crate) mod part_file;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use diff::{States, apply_change, diff, states_of};

use crate::model::{Availability, Station, StationId, StationStatus, VehiclesByType};

/// What a station reports at one instant, but for the time of its report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationState {
    /// Whether it can be used. `None` where the feed does not state it.
    pub status: Option<StationStatus>,
    /// Its vehicles and docks.
    pub available: Availability,
    /// Vehicles that can be rented, by type. Empty where the feed does not count them so.
    pub by_type: VehiclesByType,
}

impl StationState {
    /// Takes the state from a station of a snapshot.
    pub fn of(station: &Station, by_type: Option<&VehiclesByType>) -> Self {
        Self {
            status: station.status.clone(),
            available: station.available,
            by_type: by_type.cloned().unwrap_or_default(),
        }
    }
}

/// A change of what a station reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The station.
    pub station: StationId,
    /// The number of the snapshot that first had it.
    pub snapshot: u64,
    /// When that snapshot was made, by the feed's clock.
    pub taken_at: Timestamp,
    /// The state since then. `None`: the station is not in the list any more.
    pub state: Option<StationState>,
}

/// A snapshot in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// Its number. Numbers of a system grow with the times of its snapshots.
    pub number: u64,
    /// When it was made, by the feed's clock. Not before the snapshots with smaller numbers.
    pub taken_at: Timestamp,
    /// When it was fetched. `None` in rows that were made from a store of an older program.
    pub fetched_at: Option<Timestamp>,
    /// The number of stations listed. `None` in rows that were made from a store of an older program.
    pub stations: Option<u64>,
}

/// The states of all stations at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// The snapshot that they are from: the last one made at the instant or before.
    pub snapshot: SnapshotEntry,
    /// The stations that it lists.
    pub states: BTreeMap<StationId, StationState>,
}
