//! Finds the station of a feed to which an alias of the trips belongs.
//!
//! Trips of 2013-2020 have small integers as station ids, later ones short names, and feeds have
//! UUIDs that no trip has. Ids are also reused: `517` was a rack at Pulaski & Armitage and later one
//! at Clark & Jarvis, 12 km away. So each position of an id and a name ([`StationAlias`]) is looked up by
//! itself. An equal id is a match only if name and position do not contradict, and an equal
//! `short_name` or `legacy_id` only if the name or the position agrees.
//!
//! Feeds renew their ids, and StationData keeps the rows of the old ones. A station of the newest
//! snapshot takes the trips that are its own before a row that is not listed any more keeps any.

mod cells;
mod clusters;
mod feed;
mod groups;
mod origins;
mod position;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use self::clusters::clusters;
use self::feed::Feed;
use self::origins::Origins;
pub use self::position::SAME_STATION_M;
use self::position::{Evidence, position_evidence};
use super::corrections::{Correction, Corrections};
use crate::model::{Station, StationAlias, StationId, StationSource};
use crate::tally::Totals;

/// The largest number of stations or aliases with the same name for which the name alone is a match.
/// A name of more identifies none (in a feed that gives all its stations one name), and comparing each
/// of them with each alias of that name would take days.
const MAX_SAME_NAME: usize = 64;

/// The most aliases of an id that a row of StationData has. An item of DynamoDB has 400 KB at most; with
/// aliases of 500 bytes these take 128 KB.
pub const MAX_ALIASES_OF_ROW: usize = 256;

/// What identified an alias of the trips as a station of the feed, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchKey {
    /// A correction by hand.
    Correction,
    /// The feed's own id, unless the position or the name contradicts.
    StationId,
    /// The feed's `short_name`, and the name or the position agrees.
    ShortName,
    /// The feed's `legacy_id`, and the name or the position agrees.
    LegacyId,
    /// The name, if few stations of the feed have it and the position does not contradict.
    Name,
    /// Another alias of the station has the same id or the same name, and the position does not
    /// contradict.
    Alias,
}

impl MatchKey {
    /// Every key, the strongest first.
    pub const ALL: [Self; 6] = [
        Self::Correction,
        Self::StationId,
        Self::ShortName,
        Self::LegacyId,
        Self::Name,
        Self::Alias,
    ];

    /// Returns the word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correction => "correction",
            Self::StationId => "station_id",
            Self::ShortName => "short_name",
            Self::LegacyId => "legacy_id",
            Self::Name => "name",
            Self::Alias => "alias",
        }
    }
}

/// The aliases of each station. No alias belongs to two stations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    of: BTreeMap<StationId, Vec<(StationAlias, MatchKey)>>,
    unmatched: Vec<Vec<StationAlias>>,
}

impl Matches {
    /// Lists the aliases that trips use for a station of the feed, in their order.
    pub fn of(&self, station: &StationId) -> &[(StationAlias, MatchKey)] {
        self.of.get(station).map_or(&[], Vec::as_slice)
    }

    /// Lists every match: station of the feed, alias, and what identified it.
    pub fn iter(&self) -> impl Iterator<Item = (&StationId, &StationAlias, MatchKey)> {
        self.of.iter().flat_map(|(station, aliases)| {
            let aliases = aliases.iter();
            aliases.map(move |(alias, key)| (station, alias, *key))
        })
    }

    /// Lists the aliases that belong to no station of the feed.
    pub fn unmatched(&self) -> impl Iterator<Item = &StationAlias> {
        self.unmatched.iter().flatten()
    }

    /// Lists the places that no feed has named: the aliases of each, in their order.
    pub fn other_places(&self) -> &[Vec<StationAlias>] {
        &self.unmatched
    }
}

/// Returns the rows of StationData that stand for stations, with the aliases that stored trips use.
///
/// Left out are rows and aliases of which no trip is stored (any more), and rows of station lists whose
/// id and name belong to a station of the feed. Stores may keep all of these.
pub fn in_use(mut stations: Vec<Station>, known: &Totals) -> Vec<Station> {
    let is_used = |alias: &StationAlias| known.stations.has(alias);
    stations.retain(|station| {
        station.source != StationSource::Trips || station.aliases.iter().any(is_used)
    });
    for station in &mut stations {
        station.aliases.retain(is_used);
    }
    let of_feed = |station: &&Station| station.source == StationSource::Feed;
    let of_feed: BTreeSet<StationAlias> = (stations.iter().filter(of_feed))
        .flat_map(|station| station.aliases.iter().cloned())
        .collect();
    let ids_of_feed: BTreeSet<StationId> = of_feed.iter().map(StationAlias::id).collect();
    stations.retain(|station| {
        let is_of_feed = || match &station.name {
            Some(name) => of_feed.contains(&StationAlias::new(station.id.as_str(), name)),
            None => ids_of_feed.contains(&station.id),
        };
        station.source != StationSource::List || !station.aliases.is_empty() || !is_of_feed()
    });
    stations
}

/// Finds the station of every alias that trips use or have used, and of those of station lists.
///
/// `stations` is StationData, and `listed` the stations of the newest snapshot ([`FeedState::listed`]).
/// Aliases can belong to the stations of the feed; the aliases of all rows are looked up even if no
/// stored trip uses them any more.
///
/// [`FeedState::listed`]: super::FeedState::listed
pub fn resolve<'a>(
    stations: impl IntoIterator<Item = &'a Station>,
    listed: &BTreeSet<StationId>,
    known: &Totals,
    corrections: &Corrections,
) -> Matches {
    let stations: Vec<&Station> = stations.into_iter().collect();
    let (mut current, mut retired) = (Feed::default(), Feed::default());
    for station in stations
        .iter()
        .filter(|row| row.source == StationSource::Feed)
    {
        let feed = if listed.contains(&station.id) {
            &mut current
        } else {
            &mut retired
        };
        feed.add(station);
    }
    let origins = Origins::new(&stations, known);
    let mut join = Join {
        matched: vec![None; origins.all.len()],
        decided: decisions(&origins, [&current, &retired], corrections),
        origins: &origins,
        feeds: [&current, &retired],
    };
    join.link_to_stations();
    join.match_directly(&current);
    join.follow(|evidence| evidence == Evidence::Agrees);
    join.match_directly(&retired);
    join.follow(|evidence| evidence != Evidence::Contradicts);
    join.link_to_aliases();
    join.finish()
}

/// Shortens the aliases of rows: where all or most cells of an id and a name belong to a row, this one has
/// the alias without a cell, which stands for all that no other row has. Of rows with equally many the
/// first has it.
///
/// Trips of one station lie in a few cells usually. Trips of what is no station, under one id and name, may
/// lie in every cell of a city, and others have an address as the name: no row has more than
/// [`MAX_ALIASES_OF_ROW`] aliases of an id.
pub fn shortened(
    aliases_of: BTreeMap<StationId, BTreeSet<StationAlias>>,
) -> BTreeMap<StationId, BTreeSet<StationAlias>> {
    let pairs = aliases_of.iter().flat_map(|(row, aliases)| {
        let of_name: Vec<_> = aliases.iter().collect();
        let of_name = of_name.chunk_by(|a, b| a.is_same_name(b));
        let counted = of_name.map(|same| ((same[0].in_cell(None), same.len()), row));
        counted.collect::<Vec<_>>()
    });
    let mut most: BTreeMap<StationAlias, (usize, &StationId)> = BTreeMap::new();
    for ((name, cells), row) in pairs {
        let known = most.entry(name).or_insert((cells, row));
        if known.0 < cells {
            *known = (cells, row);
        }
    }
    let shorten = |row: &StationId, alias: &StationAlias| {
        let name = alias.in_cell(None);
        let is_most = most[&name].1 == row;
        // Without a cell, and in another row: the row with the most stands for it.
        (is_most || alias.has_cell()).then(|| if is_most { name } else { alias.clone() })
    };
    let rows = aliases_of.iter().map(|(row, aliases)| {
        let aliases = aliases.iter().filter_map(|alias| shorten(row, alias));
        let aliases: BTreeSet<StationAlias> = aliases.collect();
        let aliases: Vec<StationAlias> = aliases.into_iter().collect();
        let of_ids = aliases.chunk_by(|a, b| a.id_str() == b.id_str());
        let of_ids = of_ids.flat_map(|same| same.iter().take(MAX_ALIASES_OF_ROW).cloned());
        (row.clone(), of_ids.collect())
    });
    rows.collect()
}

/// The search for the stations of aliases.
struct Join<'j, 'a> {
    origins: &'j Origins<'a>,
    /// The stations that are listed, and those that are not any more.
    feeds: [&'j Feed<'a>; 2],
    /// By index of the alias, the correction by hand.
    decided: Vec<Option<Correction<'j>>>,
    /// By index of the alias, its station.
    matched: Vec<Option<(&'a StationId, MatchKey)>>,
}

/// Returns the correction of each alias. A link to a place that nothing names decides nothing.
fn decisions<'c>(
    origins: &Origins<'_>,
    feeds: [&Feed<'_>; 2],
    corrections: &'c Corrections,
) -> Vec<Option<Correction<'c>>> {
    let exists = |correction: &Correction<'_>| match correction {
        Correction::Link(place) => {
            origins.has_id(place) || feeds.iter().any(|feed| feed.with_id(place).is_some())
        }
        Correction::Split { .. } => true,
    };
    let origins = origins.all.iter();
    origins
        .map(|origin| corrections.of(origin.alias()).filter(exists))
        .collect()
}

impl<'a> Join<'_, 'a> {
    /// Lists the aliases that have no station yet and that no correction concerns.
    fn open(&self) -> Vec<usize> {
        let is_open =
            |index: &usize| self.matched[*index].is_none() && self.decided[*index].is_none();
        (0..self.matched.len()).filter(is_open).collect()
    }

    /// Matches aliases that are linked by hand to a station of the feed.
    fn link_to_stations(&mut self) {
        for index in 0..self.matched.len() {
            let Some(Correction::Link(place)) = self.decided[index] else {
                continue;
            };
            let station = self.feeds.iter().find_map(|feed| feed.with_id(place));
            self.matched[index] = station.map(|station| (station.id, MatchKey::Correction));
        }
    }

    /// Matches aliases that are linked by hand to the id of other trips, if these have a station, until no
    /// more are found: those may be linked themselves.
    fn link_to_aliases(&mut self) {
        loop {
            let mut found = Vec::new();
            for index in 0..self.matched.len() {
                let (Some(Correction::Link(place)), None) =
                    (self.decided[index], self.matched[index])
                else {
                    continue;
                };
                let all = self.origins.all.iter().zip(&self.matched);
                let mut stations = all
                    .filter(|(other, _)| other.id_str() == place.as_str())
                    .filter_map(|(_, station)| *station);
                found.extend(stations.next().map(|(station, _)| (index, station)));
            }
            if found.is_empty() {
                return;
            }
            for (index, station) in found {
                self.matched[index] = Some((station, MatchKey::Correction));
            }
        }
    }

    /// Matches aliases by what stations of a feed state.
    fn match_directly(&mut self, feed: &Feed<'a>) {
        if feed.is_empty() {
            return;
        }
        let open = self.open();
        for index in open.iter().copied() {
            self.matched[index] = feed.station_of(&self.origins.all[index]);
        }
        self.keep_newest_positions(feed, open);
    }

    /// Of several positions of an id and name that belong to one station, leaves those that agree with the
    /// station's own; where it states none, the newest. The others belong to no station yet.
    fn keep_newest_positions(&mut self, feed: &Feed<'a>, open: Vec<usize>) {
        let of_station = |index: &usize| {
            let (station, _) = self.matched[*index]?;
            let origin = &self.origins.all[*index];
            Some((station, origin.alias().id_and_name()))
        };
        let mut newest: BTreeMap<_, usize> = BTreeMap::new();
        for index in open.iter().copied() {
            let Some(key) = of_station(&index) else {
                continue;
            };
            let known = newest.entry(key).or_insert(index);
            let order = |index: usize| {
                let origin = &self.origins.all[index];
                (
                    origin.days.map(|(first, last)| (last, first)),
                    Reverse(index),
                )
            };
            if order(index) > order(*known) {
                *known = index;
            }
        }
        let is_elsewhere = |index: &usize| {
            let placed =
                (self.matched[*index]).and_then(|(station, _)| feed.with_id(station)?.placed);
            let origin = &self.origins.all[*index];
            if position_evidence(placed, origin.placed) == Evidence::Agrees {
                return false;
            }
            let newest = of_station(index).and_then(|key| newest.get(&key));
            newest.is_some_and(|newest| {
                let [mine, other] = [*index, *newest].map(|at| &self.origins.all[at]);
                mine.position_evidence(other) == Evidence::Contradicts
            })
        };
        let elsewhere: Vec<usize> = open.into_iter().filter(is_elsewhere).collect();
        for index in elsewhere {
            self.matched[index] = None;
        }
    }

    /// Matches aliases by others of the same id or name that have a station, until no more are found.
    fn follow(&mut self, is_enough: impl Fn(Evidence) -> bool) {
        loop {
            let found: Vec<(usize, &StationId)> = (self.open().into_iter())
                .filter_map(|index| Some((index, self.station_of_others(index, &is_enough)?)))
                .collect();
            if found.is_empty() {
                return;
            }
            for (index, station) in found {
                self.matched[index] = Some((station, MatchKey::Alias));
            }
        }
    }

    /// Returns the station of another alias of the same name or id: a listed one first, then by an agreeing
    /// position, by the name, and by the days of the trips.
    fn station_of_others(
        &self,
        index: usize,
        is_enough: &impl Fn(Evidence) -> bool,
    ) -> Option<&'a StationId> {
        let origin = &self.origins.all[index];
        let by_name = self.origins.same_name(index).map(|other| (other, true));
        let by_id = self
            .origins
            .same_id(index)
            .iter()
            .map(|other| (*other, false));
        let found = by_name.chain(by_id).filter_map(|(other, is_name)| {
            let (station, _) = self.matched[other]?;
            let other = &self.origins.all[other];
            let mut feeds = (0..).zip(self.feeds);
            let (retired, candidate) =
                feeds.find_map(|(at, feed)| Some((at, feed.with_id(station)?)))?;
            let evidence = match position_evidence(candidate.placed, origin.placed) {
                Evidence::Unknown => origin.position_evidence(other),
                known => known,
            };
            let is_far = evidence != Evidence::Agrees;
            if is_far && !is_name && !origin.may_be_renamed(other) {
                return None;
            }
            let order = (retired, is_far, !is_name, origin.days_from(other), station);
            is_enough(evidence).then_some(order)
        });
        found.min().map(|(.., station)| station)
    }

    fn finish(self) -> Matches {
        let mut matches = Matches::default();
        let mut unmatched = Vec::new();
        for (index, station) in self.matched.iter().enumerate() {
            let Some((station, key)) = station else {
                unmatched.push(index);
                continue;
            };
            let aliases = matches.of.entry((*station).clone()).or_default();
            let origin = &self.origins.all[index];
            aliases.extend(origin.aliases.iter().map(|alias| (alias.clone(), *key)));
        }
        // Of an id and a name there may be several, with their cells mixed.
        matches.of.values_mut().for_each(|aliases| aliases.sort());
        let aliases = |index: usize| self.origins.all[index].aliases.iter().cloned();
        for place in clusters(self.origins, &unmatched, &self.decided) {
            let mut aliases: Vec<StationAlias> = place.into_iter().flat_map(aliases).collect();
            aliases.sort_unstable();
            matches.unmatched.push(aliases);
        }
        matches
    }
}

#[cfg(test)]
mod tests;
