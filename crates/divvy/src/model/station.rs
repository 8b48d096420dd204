//! Stations: their properties and what they report at one instant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Degrees, ListedStation, Position, StationAlias, StationId, System, position};

/// A station with the newest values of its feed: one row of StationData.
///
/// A field is `None` where neither a feed nor a station list has stated it yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// The id in the feed; for a station known from trips or lists alone, the id that they use.
    pub id: StationId,
    /// The best source that has named it. Set by the store, not by feeds.
    pub source: StationSource,
    /// Its name, in the feed's chosen language.
    pub name: Option<String>,
    /// The operator's short name, which trips since 2020 use as station id.
    pub short_name: Option<String>,
    /// The id in the previous feed, which trips until 2020 use as station id.
    pub legacy_id: Option<String>,
    /// Degrees north.
    pub latitude: Option<Degrees>,
    /// Degrees east.
    pub longitude: Option<Degrees>,
    /// Number of docks installed.
    pub capacity: Option<u32>,
    /// Whether it can be used. `None` where no status has been read.
    pub status: Option<StationStatus>,
    /// Its vehicles and docks.
    pub available: Availability,
    /// When the station itself last reported. `None` where it never did.
    pub reported_at: Option<Timestamp>,
    /// Every alias that trips use for this station. Set by the store, not by feeds. Rows of older
    /// programs have the ids alone, under the name `origin_ids`.
    #[serde(alias = "origin_ids")]
    pub aliases: BTreeSet<StationAlias>,
    /// The version of its trips: set by each load that changes them, not by feeds.
    pub trips_version: Option<u64>,
    /// When the snapshot was made, by the feed's clock, that names and positions of a row of the feed
    /// come from. `None` if that is the newest one with names and positions, and in rows of programs
    /// that did not keep it; also if no snapshot states any. Set by the store, not by feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_at: Option<Timestamp>,
    /// Each form in which station lists have this id, the best first. Where a feed or the trips use the
    /// id for another station, these are forms of that other one. Set by the store, not by feeds.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub listed_as: BTreeSet<ListedStation>,
    /// Which fields of a row of the feed come from station lists. Set by the store, not by feeds.
    #[serde(default, skip_serializing_if = "FilledByLists::is_nothing")]
    pub filled_by_lists: FilledByLists,
}

/// Which fields of a row of the feed come from station lists, because no snapshot states them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum FilledByLists {
    /// None: what the feed does not state is unknown.
    #[default]
    Nothing,
    /// The capacity.
    Capacity,
    /// Names, position and capacity: the feed has stated states alone.
    Everything,
}

impl FilledByLists {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Capacity, Self::Everything];

    /// Returns the name used in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Capacity => "capacity",
            Self::Everything => "everything",
        }
    }

    /// Finds the value of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filled| filled.as_str() == name)
    }

    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// What has named a station, the best source last: values of a feed replace those of a list, and
/// those of a list replace what trips state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum StationSource {
    /// Trips alone: such a station has an id and a version of its trips.
    #[default]
    Trips,
    /// A published station list.
    List,
    /// A feed.
    Feed,
}

impl StationSource {
    /// Returns the name used in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trips => "trips",
            Self::List => "list",
            Self::Feed => "feed",
        }
    }

    /// Finds the source of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Trips, Self::List, Self::Feed]
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}

/// Vehicles and docks of a station at one instant. `None` where the feed does not state it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// Vehicles that can be rented, e-bikes included.
    pub vehicles: Option<u32>,
    /// E-bikes among them.
    pub ebikes: Option<u32>,
    /// Vehicles out of order.
    pub vehicles_disabled: Option<u32>,
    /// Docks that accept a vehicle.
    pub docks: Option<u32>,
    /// Docks out of order.
    pub docks_disabled: Option<u32>,
}

/// Whether a station can be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum StationStatus {
    /// Rents and takes returns.
    InService,
    /// Takes returns only.
    NotRenting,
    /// Rents only.
    NotReturning,
    /// Does neither.
    NotInService,
    /// Announced, not yet built.
    Planned,
    /// Not on the street.
    NotInstalled,
    /// Another text of the publisher.
    Unknown(Box<str>),
}

impl StationStatus {
    /// Makes the status of the three flags of GBFS.
    pub fn from_flags(is_installed: bool, is_renting: bool, is_returning: bool) -> Self {
        match (is_installed, is_renting, is_returning) {
            (false, ..) => Self::NotInstalled,
            (true, true, true) => Self::InService,
            (true, false, true) => Self::NotRenting,
            (true, true, false) => Self::NotReturning,
            (true, false, false) => Self::NotInService,
        }
    }

    /// Returns whether a station of this status rents bikes and takes returns. `None`, for a status that no
    /// feed states, counts as in service: feeds without a status list the stations that can be used.
    pub fn is_in_service(status: Option<&Self>) -> bool {
        matches!(status, None | Some(Self::InService))
    }

    /// Returns the name used in stores and reports.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InService => "in service",
            Self::NotRenting => "not renting",
            Self::NotReturning => "not returning",
            Self::NotInService => "not in service",
            Self::Planned => "planned",
            Self::NotInstalled => "not installed",
            Self::Unknown(text) => text,
        }
    }
}

impl From<String> for StationStatus {
    fn from(text: String) -> Self {
        [
            Self::InService,
            Self::NotRenting,
            Self::NotReturning,
            Self::NotInService,
            Self::Planned,
            Self::NotInstalled,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .unwrap_or_else(|| Self::Unknown(text.into()))
    }
}

impl From<StationStatus> for String {
    fn from(status: StationStatus) -> Self {
        status.as_str().into()
    }
}

impl fmt::Display for StationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Station {
    /// Returns the ids that trips use for this station. Another station may have the same id under
    /// another name.
    pub fn origin_ids(&self) -> BTreeSet<StationId> {
        self.aliases.iter().map(StationAlias::id).collect()
    }

    /// Lists the ids whose departures are counted for this station: those that trips use for it, or
    /// its own id where there are none, so that it has a count of 0.
    pub fn counted_ids(&self) -> BTreeSet<StationId> {
        if self.aliases.is_empty() {
            return [self.id.clone()].into();
        }
        self.origin_ids()
    }

    /// Makes a station of which only the id is known.
    pub fn unknown(id: StationId) -> Self {
        Self {
            id,
            source: StationSource::default(),
            name: None,
            short_name: None,
            legacy_id: None,
            latitude: None,
            longitude: None,
            capacity: None,
            status: None,
            available: Availability::default(),
            reported_at: None,
            aliases: BTreeSet::new(),
            trips_version: None,
            named_at: None,
            listed_as: BTreeSet::new(),
            filled_by_lists: FilledByLists::default(),
        }
    }

    /// Returns the coordinates. `None` where no feed states them, or states 0, 0.
    pub fn position(&self) -> Option<Position> {
        position::known(self.latitude.as_ref(), self.longitude.as_ref())
    }
}

impl From<&Station> for ListedStation {
    fn from(station: &Station) -> Self {
        Self {
            name: station.name.clone(),
            short_name: station.short_name.clone(),
            legacy_id: station.legacy_id.clone(),
            latitude: station.latitude.clone(),
            longitude: station.longitude.clone(),
            capacity: station.capacity,
        }
    }
}

/// All stations of a feed at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Whose stations these are.
    pub system: System,
    /// When the feed was made, by its own clock.
    pub taken_at: Timestamp,
    /// Which of the two feeds it comes from.
    pub kind: SnapshotKind,
    /// The stations, each id once. Fields that a feed of this kind does not carry are `None`.
    pub stations: Vec<Station>,
    /// Vehicles that can be rented by the publisher's id of their type, of the stations that count them so.
    pub by_type: BTreeMap<StationId, VehiclesByType>,
}

/// Vehicles at a station by the publisher's id of their type.
pub type VehiclesByType = BTreeMap<String, u32>;

/// Which feeds a snapshot was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// Names, coordinates and states: both GBFS feeds, or `stationBeanList`.
    Full,
    /// `station_information` alone: names and coordinates, no states.
    Information,
    /// `station_status` alone: states, no names and coordinates.
    Status,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_not_stated_counts_as_in_service() {
        let is_in_service = |text: &str| {
            let status = StationStatus::from(text.to_owned());
            StationStatus::is_in_service(Some(&status))
        };
        assert!(StationStatus::is_in_service(None));
        assert!(is_in_service("in service"));
        for text in [
            "not renting",
            "not returning",
            "not in service",
            "planned",
            "not installed",
            "winter",
        ] {
            assert!(!is_in_service(text), "{text}");
        }
    }
}
