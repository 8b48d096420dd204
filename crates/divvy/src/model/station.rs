//! Stations: where they are and what they report at this minute.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Degrees, Position, StationId, System};

/// A place with docks, with the newest that its feed says: one row of StationData.
///
/// Every field but the id is `None` where no feed has said it (yet).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// The feed's id; for a station known from trips or lists alone, the id that they use.
    pub id: StationId,
    /// The best that has named it. Kept by the store, never by a feed.
    pub source: StationSource,
    /// Its name, in the feed's chosen language.
    pub name: Option<String>,
    /// The operator's short name: what Lyft-era trips use as station id.
    pub short_name: Option<String>,
    /// The id of the feed before it: what trips until 2020 use as station id.
    pub legacy_id: Option<String>,
    /// Degrees north.
    pub latitude: Option<Degrees>,
    /// Degrees east.
    pub longitude: Option<Degrees>,
    /// Number of docks installed.
    pub capacity: Option<u32>,
    /// Whether it can be used. `None` where no status has been seen.
    pub status: Option<StationStatus>,
    /// What stands there.
    pub available: Availability,
    /// When the station itself last reported. `None` where it never did.
    pub reported_at: Option<Timestamp>,
    /// Every id that trips use for this station. Kept by the store, never by a feed.
    pub origin_ids: BTreeSet<StationId>,
    /// The version of its trips: set by each load that changed them, and never by a feed.
    pub trips_version: Option<u64>,
}

/// What has named a station, the best last: a feed's word replaces a list's, and a list's fills
/// what trips leave open.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum StationSource {
    /// Trips alone: a stub that carries their id through the change stream.
    #[default]
    Trips,
    /// A published station list.
    List,
    /// A feed.
    Feed,
}

impl StationSource {
    /// Returns the word used in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trips => "trips",
            Self::List => "list",
            Self::Feed => "feed",
        }
    }

    /// Finds the source of that word.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Trips, Self::List, Self::Feed]
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

/// Vehicles and docks of a station at one instant. `None` where the feed does not say.
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
    /// Announced, not yet there.
    Planned,
    /// Not on the street.
    NotInstalled,
    /// A word of the publisher's that this list lacks.
    Unknown(Box<str>),
}

impl StationStatus {
    /// Tells the status from the three flags of GBFS.
    pub fn from_flags(is_installed: bool, is_renting: bool, is_returning: bool) -> Self {
        match (is_installed, is_renting, is_returning) {
            (false, ..) => Self::NotInstalled,
            (true, true, true) => Self::InService,
            (true, false, true) => Self::NotRenting,
            (true, true, false) => Self::NotReturning,
            (true, false, false) => Self::NotInService,
        }
    }

    /// Returns the words used in stores and reports.
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
    /// Lists the ids whose departures are counted for it: those that trips use for it, and where
    /// there are none its own, so that it has a count of 0.
    pub fn counted_ids(&self) -> impl Iterator<Item = &StationId> {
        let own = self.origin_ids.is_empty().then_some(&self.id);
        self.origin_ids.iter().chain(own)
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
            origin_ids: BTreeSet::new(),
            trips_version: None,
        }
    }

    /// Returns where it is. `None` where no feed says so, or says 0, 0.
    pub fn position(&self) -> Option<Position> {
        let (latitude, longitude) = (
            self.latitude.as_ref()?.to_f64(),
            self.longitude.as_ref()?.to_f64(),
        );
        let somewhere = latitude != 0.0 || longitude != 0.0;
        somewhere.then_some(Position {
            latitude,
            longitude,
        })
    }
}

/// What a feed says of all its stations at one instant, told apart from what earlier ones said.
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
}

/// Which feeds a snapshot was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// Names, places and states: both GBFS feeds, or `stationBeanList`.
    Full,
    /// `station_information` alone: names and places. Says nothing of the state.
    Information,
    /// `station_status` alone: states. Says nothing of names and places.
    Status,
}
