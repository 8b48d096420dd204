//! Station feeds: `stationBeanList` and GBFS 1.0 to 3.0, told by content and never by name.
//!
//! ```text
//!  read       bytes → Document: a discovery file, or one Feed (entry → value → gbfs | bean_list)
//!  snapshot   one Feed, or a pair of GBFS → Snapshot (joined by station id, times made instants)
//! ```
//!
//! Publishers depart from the specification in many small ways. Whatever can be understood is
//! read, and each departure becomes a [`Fault`]; a station without an id is left out, and so is
//! one that serves tests. `docs/FORMATS.md` lists the departures.
//!
//! Coordinates are [`Degrees`](crate::model::Degrees): the digits of the feed, never a float.

mod bean_list;
mod discovery;
mod entry;
mod error;
mod fault;
mod gbfs;
mod snapshot;
mod stations;
mod time;
mod value;

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use discovery::Discovery;
pub use error::FeedError;
pub(super) use fault::Faults;
pub use fault::{Fault, in_short};
pub use snapshot::snapshot;
pub use time::FeedTime;

use crate::model::{BoundingBox, Station, System};
use entry::Entry;

/// One JSON file of a feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// `gbfs.json`: says where the others are.
    Discovery(Discovery),
    /// One with stations.
    Feed(Feed),
}

/// Stations as one file gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The file or address it was read from, for messages.
    pub file: String,
    /// Which feed it is.
    pub kind: FeedKind,
    /// The version of GBFS. `None` where the file does not say: GBFS 1.0 and `stationBeanList`.
    pub version: Option<String>,
    /// When the publisher made it.
    pub time: FeedTime,
    /// Seconds until the publisher makes the next. `None` where the file does not say.
    pub ttl_s: Option<u32>,
    /// The stations, each id once, in the order of the file.
    pub stations: Vec<Station>,
    /// Departures from the specification, and stations left out.
    pub faults: Vec<Fault>,
    /// What made the file, where it says `made_by`. No publisher's does.
    pub made_by: Option<String>,
    /// Times of the stations' reports that lack an offset, by place in `stations`.
    local_reports: Vec<(usize, i64)>,
}

/// The feeds that hold stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// The feed before GBFS: names, places and states in one.
    StationBeanList,
    /// GBFS: names and places.
    StationInformation,
    /// GBFS: states.
    StationStatus,
}

impl FeedKind {
    /// Returns the publishers' name of the feed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StationBeanList => "stationBeanList",
            Self::StationInformation => "station_information",
            Self::StationStatus => "station_status",
        }
    }

    /// Returns the field that says when a feed of this kind was made.
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
    /// Tells whose stations these are: the system in whose area most of them lie. `None` where
    /// none lies in a known area, as in a `station_status`, which has no places.
    pub fn system(&self) -> Option<System> {
        let mut found: Vec<(System, BoundingBox, usize)> = Vec::new();
        for position in self.stations.iter().filter_map(Station::position) {
            if let Some((.., n)) = found
                .iter_mut()
                .find(|(_, area, _)| area.contains(position))
            {
                *n += 1;
            } else if let Some(system) = System::at(position)
                && let Some(area) = system.area
            {
                found.push((system, area, 1));
            }
        }
        let most = found.into_iter().max_by_key(|(.., n)| *n)?;
        Some(most.0)
    }
}

/// What every file of GBFS and `stationBeanList` has around its stations.
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
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    made_by: Option<&'a RawValue>,
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

/// Reads one JSON file of a feed. `file` is its name or address: it is told in messages, and it
/// decides which feed an empty list of stations belongs to, nothing else.
///
/// # Errors
///
/// [`FeedError`] where the file is none of a feed, or one without stations
/// ([`FeedError::is_other_feed`]).
pub fn read(bytes: &[u8], file: &str) -> Result<Document, FeedError> {
    let text = error::json_text(bytes, file)?;
    // A file with stations is read straight into them; any other is read a second time, to say
    // what it is.
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
    match Discovery::of(&json) {
        Some(discovery) => Ok(Document::Discovery(discovery)),
        None => Err(FeedError::not_stations(file, &json)),
    }
}

#[cfg(test)]
mod tests;
