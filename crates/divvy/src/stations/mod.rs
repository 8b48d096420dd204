//! The rules of stations, which are the same for every store.
//!
//! [`data`] decides which rows of StationData are written, [`identity`] to which station an id of
//! the trips belongs, and [`recount`] which counts of FromStationCounts are outdated. All of it is
//! synchronous and reads no store: stores call `data`, and [`refresh`](crate::refresh) calls
//! `recount`.

pub mod corrections;
pub mod data;
pub mod identity;
pub mod recount;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Station, StationId, SystemId};

/// The outcome of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// StationData has been updated.
    Accepted {
        /// New stations.
        inserted: u64,
        /// Stations of which something besides the report time changed.
        changed: u64,
        /// Stations of which nothing but the report time changed.
        reported: u64,
    },
    /// The last snapshot had the same time.
    Repeated,
    /// The last snapshot is newer: no states were taken.
    Refused {
        /// Its time.
        last: Timestamp,
        /// Stations that got a row, or the name and position of this snapshot, because no newer one
        /// names them.
        added: u64,
    },
}

/// The state of a system's feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedState {
    /// When the newest snapshot with stations' states was made, by the feed's clock. `None` if
    /// only `station_information` has been applied.
    pub status_at: Option<Timestamp>,
    /// When the newest snapshot with names and positions was made.
    pub information_at: Option<Timestamp>,
    /// The stations of the newest snapshot with states, or of the newest one if none has states.
    pub listed: BTreeSet<StationId>,
}

/// A station that was inserted or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number in the stream. Numbers grow, and may have gaps.
    pub sequence: u64,
    /// The system of the station.
    pub system: SystemId,
    /// The station as it is now, or as it was right after the change.
    pub station: Station,
    /// Nothing but the report time, or the time of the names, changed.
    pub report_time_only: bool,
}

/// One row of FromStationCounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromStationCount {
    /// The id as the trips use it.
    pub from_station_id: StationId,
    /// Stored trips that start there.
    pub from_count: u64,
    /// The version of the station's trips that was counted. `None` for a station without trips.
    pub trips_version: Option<u64>,
    /// When it was counted.
    pub refreshed_at: Timestamp,
}
