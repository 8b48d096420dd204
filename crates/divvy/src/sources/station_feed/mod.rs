//! Station feeds: `stationBeanList` and GBFS 1.0 to 3.0, recognised by content.
//!
//! ```text
//!  read       bytes → Document: a discovery file, or one Feed (entry → value → gbfs | bean_list)
//!  snapshot   one Feed, or a pair of GBFS → Snapshot (joined by station id, times made instants)
//!  plausibility   positions and lists that cannot be right → mended or left, and Faults
//! ```
//!
//! Publishers depart from the specification in many small ways. Each departure that can be read
//! becomes a [`Fault`]; stations without an id and test stations are left out. `docs/FORMATS.md`
//! lists the departures.
//!
//! Coordinates are [`Degrees`](crate::model::Degrees), which keep the digits of the feed.

mod bean_list;
mod discovery;
mod entry;
mod error;
mod fault;
mod gbfs;
mod plausibility;
mod replace;
mod snapshot;
mod stations;
mod time;
mod value;
mod vehicle_types;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use discovery::Discovery;
pub use error::FeedError;
pub(super) use fault::Faults;
pub use fault::{Fault, in_short};
pub use plausibility::{compare_lists, mend_positions, mend_states};
pub use snapshot::snapshot;
pub use time::FeedTime;
pub use vehicle_types::VehicleTypes;

use crate::model::{
    BoundingBox, Position, Station, StationId, System, SystemId, Systems, VehiclesByType,
};
use entry::Entry;

/// One JSON file of a feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// `gbfs.json`: the addresses of the others.
    Discovery(Discovery),
    /// A file with stations.
    Feed(Feed),
    /// `vehicle_types`: which of the types that stations count are e-bikes.
    VehicleTypes(VehicleTypes),
}

/// The stations of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The file or address it was read from, for messages.
    pub file: String,
    /// Which feed it is.
    pub kind: FeedKind,
    /// The version of GBFS. `None` where the file does not state it: GBFS 1.0 and
    /// `stationBeanList`.
    pub version: Option<String>,
    /// When the publisher made it.
    pub time: FeedTime,
    /// The stations, each id once, in the order of the file.
    pub stations: Vec<Station>,
    /// Departures from the specification, and stations left out.
    pub faults: Vec<Fault>,
    /// The program that made the file, if it has a field `made_by`. Those of publishers have none.
    pub made_by: Option<String>,
    /// After how many seconds the publisher makes it anew, by its field `ttl`. `None` where the file
    /// has no such field, or one that is no number from 0 on.
    pub ttl_s: Option<u64>,
    /// Times of the stations' reports that lack an offset, with the index in `stations`.
    local_reports: Vec<(usize, i64)>,
    /// Vehicles by the id of their type, with the index in `stations`.
    by_type: BTreeMap<usize, Vec<(String, u32)>>,
}

/// The feeds that hold stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// The feed before GBFS: names, coordinates and states.
    StationBeanList,
    /// GBFS: names and coordinates.
    StationInformation,
    /// GBFS: states.
    StationStatus,
}

impl FeedKind {
    /// Returns the name of the feed in its specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StationBeanList => "stationBeanList",
            Self::StationInformation => "station_information",
            Self::StationStatus => "station_status",
        }
    }

    /// Returns the field with the time at which a feed of this kind was made.
    fn time_field(self) -> &'static str {
        match self {
            Self::StationBeanList => "executionTime",
            Self::StationInformation | Self::StationStatus => "last_updated",
        }
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Feed {
    /// Returns the system in whose area most of the stations lie: several where areas overlap. Empty
    /// where no station lies in a known area, as in a `station_status`, which has no coordinates.
    pub fn systems(&self, known: &Systems) -> Vec<System> {
        let positions = self.stations.iter().filter_map(Station::position);
        let found = most_common(positions.clone(), known);
        if found.is_empty() {
            // Some publishers exchange latitude and longitude.
            most_common(positions.map(plausibility::exchanged), known)
        } else {
            found
        }
    }

    /// Returns whether more than half of the positions lie in an area.
    pub fn is_mostly_in(&self, area: BoundingBox) -> bool {
        let positions = self.stations.iter().filter_map(Station::position);
        let inside = |position: &Position| {
            area.contains(*position) || area.contains(plausibility::exchanged(*position))
        };
        2 * positions.clone().filter(inside).count() > positions.count()
    }

    /// Returns whether a list of vehicle types would show how many e-bikes there are.
    pub fn needs_vehicle_types(&self) -> bool {
        let mut indexes = self.by_type.keys();
        indexes.any(|index| self.stations[*index].available.ebikes.is_none())
    }

    /// Returns the vehicles of the stations that count them by type.
    fn by_type(&self) -> BTreeMap<StationId, VehiclesByType> {
        let with_id = |(index, counts): (&usize, &Vec<(String, u32)>)| {
            let mut by_type = VehiclesByType::new();
            for (vehicle_type, count) in counts {
                let sum = by_type.entry(vehicle_type.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
            (self.stations[*index].id.clone(), by_type)
        };
        self.by_type.iter().map(with_id).collect()
    }

    /// Counts the e-bikes of stations that count vehicles by type.
    pub fn set_vehicle_types(&mut self, types: &VehicleTypes) {
        for (index, counts) in &self.by_type {
            let ebikes = &mut self.stations[*index].available.ebikes;
            *ebikes = ebikes.or_else(|| types.ebikes(counts));
        }
    }
}

/// Returns the systems in whose areas the most positions lie, or nearly as many: a test station may lie
/// outside. Empty where none lies in a known area.
fn most_common(positions: impl Iterator<Item = Position>, known: &Systems) -> Vec<System> {
    let mut found: BTreeMap<&SystemId, (&System, usize)> = BTreeMap::new();
    for position in positions {
        for system in known.containing(position) {
            found.entry(&system.id).or_insert((system, 0)).1 += 1;
        }
    }
    let most = found.values().map(|(_, n)| *n).max().unwrap_or(0);
    let found = found.into_values().filter(|(_, n)| 10 * n >= 9 * most);
    found.map(|(system, _)| system.clone()).collect()
}

/// The outer fields of the files of GBFS and `stationBeanList`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow, rename = "stationBeanList")]
    station_bean_list: Option<Vec<Entry<'a>>>,
    #[serde(borrow, rename = "executionTime")]
    execution_time: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    last_updated: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    made_by: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
}

/// Returns the JSON of a value that may be absent.
fn raw(value: Option<&RawValue>) -> &str {
    value.map_or("null", RawValue::get)
}

/// The `data` of a GBFS file with stations.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    stations: Option<Vec<Entry<'a>>>,
}

/// Reads one JSON file of a feed. `file` is its name or address, for messages; it decides only
/// whether an empty list is one of information or of status.
///
/// # Errors
///
/// [`FeedError`] where the file is no feed, or one without stations ([`FeedError::is_other_feed`]).
pub fn read(bytes: &[u8], file: &str) -> Result<Document, FeedError> {
    let text = error::json_text(bytes, file)?;
    // A file with stations is parsed directly into them; any other is parsed a second time, to find
    // out what it is.
    match serde_json::from_str::<Envelope>(text) {
        Ok(mut envelope) => {
            if let Some(entries) = envelope.station_bean_list.take() {
                return bean_list::read(raw(envelope.execution_time), &entries, file)
                    .map(Document::Feed);
            }
            if let Some(entries) = envelope.data.take().and_then(|data| data.stations) {
                return gbfs::read(&envelope, &entries, file).map(Document::Feed);
            }
        }
        Err(error) if error.is_data() => {}
        Err(error) => return Err(FeedError::damaged(file, error)),
    }
    let json: Value =
        serde_json::from_str(text).map_err(|error| FeedError::damaged(file, error))?;
    let discovery = Discovery::of(&json).map(Document::Discovery);
    discovery
        .or_else(|| VehicleTypes::of(&json).map(Document::VehicleTypes))
        .ok_or_else(|| FeedError::not_stations(file, &json))
}

#[cfg(test)]
mod tests;
