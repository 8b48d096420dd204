//! Finds the station of a feed to which an id of the trips belongs.
//!
//! Trips of 2013-2020 have small integers as station ids, later ones short names, and feeds have
//! UUIDs that no trip has. Ids are also reused: `517` was a rack at Pulaski & Armitage and later one
//! at Clark & Jarvis, 12 km away. So an equal id is a match only if name and position do not
//! contradict, and an equal `short_name` or `legacy_id` only if the name or the position agrees.
//!
//! Feeds renew their ids, and StationData keeps the rows of the old ones. A station of the newest
//! snapshot takes the trips that are its own before a row that is not listed any more keeps any.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::model::{Degrees, Position, Station, StationId, StationSource, comparable_name};
use crate::tally::Totals;

/// The largest distance between a station of the feed and the mean of its trip ends, in metres.
/// Beyond it they are different stations.
const SAME_STATION_M: f64 = 500.0;

/// The largest error of a position of two decimals, in metres: half of a hundredth of a degree in each
/// direction, at the equator 0.79 km.
const COARSE_M: f64 = 790.0;

/// The largest number of stations of a feed with the same name for which the name alone is a match.
/// A name of more stations identifies none (in a feed that gives all its stations one name), and
/// comparing each of them with each id of that name would take days.
const MAX_SAME_NAME: usize = 64;

/// What identified an id of the trips as a station of the feed, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchKey {
    /// The feed's own id, unless the position or the name contradicts.
    StationId,
    /// The feed's `short_name`, and the name or the position agrees.
    ShortName,
    /// The feed's `legacy_id`, and the name or the position agrees.
    LegacyId,
    /// The name, if few stations of the feed have it and the position does not contradict.
    Name,
}

impl MatchKey {
    /// Every key, the strongest first.
    pub const ALL: [Self; 4] = [Self::StationId, Self::ShortName, Self::LegacyId, Self::Name];

    /// Returns the word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StationId => "station_id",
            Self::ShortName => "short_name",
            Self::LegacyId => "legacy_id",
            Self::Name => "name",
        }
    }
}

/// The ids of each station. No id belongs to two stations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    of: BTreeMap<StationId, Vec<(StationId, MatchKey)>>,
    unmatched: BTreeSet<StationId>,
}

impl Matches {
    /// Lists the ids that trips use for a station of the feed, in their order.
    pub fn of(&self, station: &StationId) -> &[(StationId, MatchKey)] {
        self.of.get(station).map_or(&[], Vec::as_slice)
    }

    /// Lists every match: station of the feed, id that trips use, and what identified it.
    pub fn iter(&self) -> impl Iterator<Item = (&StationId, &StationId, MatchKey)> {
        self.of
            .iter()
            .flat_map(|(station, ids)| ids.iter().map(move |(origin, key)| (station, origin, *key)))
    }

    /// Returns the ids that trips use for a station that no feed has named.
    pub fn unmatched(&self) -> &BTreeSet<StationId> {
        &self.unmatched
    }
}

/// Returns the rows of StationData that stand for stations, with the ids that stored trips use.
///
/// Left out are rows and ids of which no trip is stored (any more), and rows of station lists whose
/// id belongs to a station of the feed. Stores may keep all of these.
pub fn in_use(mut stations: Vec<Station>, known: &Totals) -> Vec<Station> {
    let is_used = |id: &StationId| known.stations.0.contains_key(id);
    stations.retain(|station| {
        station.source != StationSource::Trips || station.origin_ids.iter().any(is_used)
    });
    for station in &mut stations {
        station.origin_ids.retain(is_used);
    }
    let is_of_feed = |station: &&Station| station.source == StationSource::Feed;
    let ids_of_feed: BTreeSet<StationId> = stations
        .iter()
        .filter(is_of_feed)
        .flat_map(|station| station.origin_ids.iter().cloned())
        .collect();
    stations.retain(|station| {
        station.source != StationSource::List || !ids_of_feed.contains(&station.id)
    });
    stations
}

/// Finds the station of every id that trips use, or have used.
///
/// `stations` is StationData, and `listed` the stations of the newest snapshot ([`FeedState::listed`]).
/// Ids can belong to the stations of the feed; the ids of all rows are looked up even if no stored
/// trip uses them any more.
///
/// [`FeedState::listed`]: super::FeedState::listed
pub fn resolve<'a>(
    stations: impl IntoIterator<Item = &'a Station>,
    listed: &BTreeSet<StationId>,
    known: &Totals,
) -> Matches {
    let mut ids: BTreeSet<&StationId> = known.stations.0.keys().collect();
    let (mut current, mut retired) = (Feed::default(), Feed::default());
    for station in stations {
        ids.extend(&station.origin_ids);
        if station.source == StationSource::Feed {
            let feed = if listed.contains(&station.id) {
                &mut current
            } else {
                &mut retired
            };
            feed.add(station);
        }
    }
    let mut matches = Matches::default();
    if current.stations.is_empty() && retired.stations.is_empty() {
        matches.unmatched = ids.into_iter().cloned().collect();
        return matches;
    }
    for id in ids {
        let origin = Origin::new(id, known);
        let station = current.station_of(&origin);
        match station.or_else(|| retired.station_of(&origin)) {
            Some((station, key)) => matches
                .of
                .entry(station.clone())
                .or_default()
                .push((id.clone(), key)),
            None => {
                matches.unmatched.insert(id.clone());
            }
        }
    }
    matches
}

/// An id of the trips, with its names and position.
struct Origin<'a> {
    id: &'a StationId,
    /// Every name that trips have used for it, as names are compared.
    names: Vec<String>,
    published_names: Vec<&'a str>,
    position: Option<Position>,
}

impl<'a> Origin<'a> {
    fn new(id: &'a StationId, known: &'a Totals) -> Self {
        let names = known.names.of(id);
        let totals = known.stations.0.get(id);
        Self {
            id,
            names: names
                .iter()
                .filter_map(|seen| comparable_name(seen.name))
                .collect(),
            published_names: names.iter().map(|seen| seen.name).collect(),
            position: totals.and_then(|totals| totals.position()),
        }
    }
}

/// A station of the feed.
struct Candidate<'a> {
    id: &'a StationId,
    name: Option<String>,
    /// As published, for the choice between stations whose names are compared as the same.
    published_name: Option<&'a str>,
    position: Option<Position>,
    /// The position has no more than two decimals.
    is_coarse: bool,
}

/// What one property of a station and of an id states about their being the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    Agrees,
    Contradicts,
    /// One of the two is unknown, or not exact enough.
    Unknown,
}

impl Candidate<'_> {
    /// Compares the names.
    fn name_evidence(&self, origin: &Origin<'_>) -> Evidence {
        match &self.name {
            Some(name) if origin.names.contains(name) => Evidence::Agrees,
            Some(_) if !origin.names.is_empty() => Evidence::Contradicts,
            _ => Evidence::Unknown,
        }
    }

    /// Compares the positions. One of two decimals contradicts others, but confirms none.
    fn position_evidence(&self, origin: &Origin<'_>) -> Evidence {
        match self.distance_m(origin) {
            None => Evidence::Unknown,
            Some(m) if self.is_coarse && m <= SAME_STATION_M + COARSE_M => Evidence::Unknown,
            Some(m) if m <= SAME_STATION_M => Evidence::Agrees,
            Some(_) => Evidence::Contradicts,
        }
    }

    /// Returns the distance to the origin in metres. `None` if either position is unknown.
    fn distance_m(&self, origin: &Origin<'_>) -> Option<f64> {
        Some(self.position?.distance_m(origin.position?))
    }

    /// Returns whether both are the same station, if the key is equal.
    fn is_match(&self, origin: &Origin<'_>, key: MatchKey) -> bool {
        use Evidence::{Agrees, Contradicts};
        let (name, position) = (self.name_evidence(origin), self.position_evidence(origin));
        match key {
            MatchKey::StationId => match (name, position) {
                (Agrees, _) | (_, Agrees) => true,
                (Contradicts, _) | (_, Contradicts) => false,
                // Nothing is known but the id.
                _ => true,
            },
            MatchKey::ShortName | MatchKey::LegacyId => name == Agrees || position == Agrees,
            MatchKey::Name => position != Contradicts,
        }
    }
}

/// Returns whether a coordinate is written with no more than two decimals.
fn is_coarse(degrees: &Degrees) -> bool {
    let decimals = degrees
        .as_str()
        .split_once('.')
        .map_or("", |(_, decimals)| decimals);
    decimals.trim_end_matches('0').len() <= 2
}

/// The stations of the feed, by each key.
#[derive(Default)]
struct Feed<'a> {
    stations: Vec<Candidate<'a>>,
    by_id: FxHashMap<&'a str, Vec<usize>>,
    by_short_name: FxHashMap<&'a str, Vec<usize>>,
    by_legacy_id: FxHashMap<&'a str, Vec<usize>>,
    by_name: FxHashMap<String, Vec<usize>>,
}

impl<'a> Feed<'a> {
    fn add(&mut self, station: &'a Station) {
        let index = self.stations.len();
        let published_name = station.name.as_deref();
        let name = published_name.and_then(comparable_name);
        let coordinates = [&station.latitude, &station.longitude];
        let is_coarse = coordinates.into_iter().flatten().all(is_coarse);
        self.by_id
            .entry(station.id.as_str())
            .or_default()
            .push(index);
        if let Some(short_name) = &station.short_name {
            self.by_short_name
                .entry(short_name)
                .or_default()
                .push(index);
        }
        if let Some(legacy_id) = &station.legacy_id {
            self.by_legacy_id.entry(legacy_id).or_default().push(index);
        }
        if let Some(name) = &name {
            self.by_name.entry(name.clone()).or_default().push(index);
        }
        self.stations.push(Candidate {
            id: &station.id,
            name,
            published_name,
            position: station.position(),
            is_coarse,
        });
    }

    /// Finds the station by the strongest key that matches any; of several one whose published name
    /// trips use, then the nearest one, and of equally near ones that with the smallest id.
    fn station_of(&self, origin: &Origin<'_>) -> Option<(&'a StationId, MatchKey)> {
        MatchKey::ALL.into_iter().find_map(|key| {
            let indices = self.with_key(origin, key).into_iter().flatten();
            let candidates = indices.map(|index| &self.stations[*index]);
            let nearest = candidates
                .filter(|candidate| candidate.is_match(origin, key))
                .min_by(|a, b| {
                    let is_named_so = |c: &Candidate<'_>| {
                        let name = c.published_name;
                        name.is_some_and(|name| origin.published_names.contains(&name))
                    };
                    let distance_m = |c: &Candidate<'_>| c.distance_m(origin).unwrap_or(f64::MAX);
                    (is_named_so(b).cmp(&is_named_so(a)))
                        .then_with(|| distance_m(a).total_cmp(&distance_m(b)))
                        .then_with(|| a.id.cmp(b.id))
                })?;
            Some((nearest.id, key))
        })
    }

    fn with_key(&self, origin: &Origin<'_>, key: MatchKey) -> Vec<&Vec<usize>> {
        let id = origin.id.as_str();
        match key {
            MatchKey::StationId => self.by_id.get(id).into_iter().collect(),
            MatchKey::ShortName => self.by_short_name.get(id).into_iter().collect(),
            MatchKey::LegacyId => self.by_legacy_id.get(id).into_iter().collect(),
            MatchKey::Name => origin
                .names
                .iter()
                .filter_map(|name| self.by_name.get(name))
                .filter(|same_name| same_name.len() <= MAX_SAME_NAME)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
