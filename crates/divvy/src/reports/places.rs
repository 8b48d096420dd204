//! Places: physical stations, each with all the names that trips use for it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::civil_date::date_of;
use crate::model::{Degrees, Station, StationAlias, StationId, StationSource, comparable_name};
use crate::stations::corrections::Corrections;
use crate::stations::identity::{self, MatchKey, SAME_STATION_M};
use crate::tally::Totals;

/// A physical station with all its aliases.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// No other place has it: the station id; if another place has that, with an addition in brackets.
    pub id: StationId,
    /// The feed's id; for a station in no feed the newest id that trips or station lists use.
    pub station_id: StationId,
    /// Its row of StationData. `None` if only trips name it.
    pub station: Option<Station>,
    /// The aliases that trips and station lists use for it, the newest first, and what identified each. No
    /// key for a place in no feed.
    pub aliases: Vec<(StationAlias, Option<MatchKey>)>,
}

impl Place {
    /// Returns its name: the feed's, otherwise the latest in the trips.
    pub fn name<'a>(&'a self, known: &'a Totals) -> Option<&'a str> {
        let named = self.station.as_ref().and_then(|row| row.name.as_deref());
        let mut aliases = self.aliases();
        named.or_else(|| aliases.find_map(|alias| known.names.latest(alias)))
    }

    /// Returns its position: that of the feed or a station list, otherwise the mean of its trip ends.
    pub fn position(&self, known: &Totals) -> Option<(Degrees, Degrees)> {
        let stated = |row: &Station| {
            row.position()?;
            row.latitude.clone().zip(row.longitude.clone())
        };
        let by_trips = || {
            let (latitude, longitude) =
                (known.stations.position(self.aliases(), SAME_STATION_M))?.to_micro();
            Some((
                Degrees::from_micro(latitude),
                Degrees::from_micro(longitude),
            ))
        };
        self.station.as_ref().and_then(stated).or_else(by_trips)
    }

    /// Returns the first and the last day on which a trip names it, days since 1970-01-01.
    pub fn days(&self, known: &Totals) -> Option<(i32, i32)> {
        known.names.days_of(self.aliases())
    }

    /// Returns whether a feed has named it.
    pub fn is_of_feed(&self) -> bool {
        let source = self.station.as_ref().map(|row| row.source);
        source == Some(StationSource::Feed)
    }

    /// Lists its ids and names in stored trips, the newest first.
    pub fn names<'a>(&'a self, known: &Totals) -> Vec<PlaceName<'a>> {
        let mut names: Vec<PlaceName<'a>> = Vec::new();
        let mut at: HashMap<(&str, &str), usize> = HashMap::new();
        let is_used = |alias: &StationAlias| known.stations.0.contains_key(alias);
        for (alias, key) in self.aliases.iter().filter(|(alias, _)| is_used(alias)) {
            let next = names.len();
            let index = *at.entry(alias.id_and_name()).or_insert(next);
            if index == next {
                let aliases = Vec::new();
                names.push(PlaceName { aliases, key: *key });
            }
            let name = &mut names[index];
            name.aliases.push(alias);
            name.key = name.key.min(*key);
        }
        names
    }

    /// Lists its aliases, the newest first.
    pub fn aliases(&self) -> impl Iterator<Item = &StationAlias> + Clone {
        self.aliases.iter().map(|(alias, _)| alias)
    }
}

/// An id and a name of a place.
pub(super) struct PlaceName<'a> {
    /// Its aliases, the newest first; they differ in their cells. Never empty.
    pub aliases: Vec<&'a StationAlias>,
    /// The strongest key that identified one of them. `None` for a place in no feed.
    pub key: Option<MatchKey>,
}

/// Orders aliases, the newest first. `None` for the days of an alias that no trip has a name for.
fn newest_first(alias: &StationAlias, known: &Totals) -> impl Ord + use<> {
    let days = known.names.days(alias).map(|(first, last)| (last, first));
    (Reverse(days), alias.clone())
}

/// Lists every place that trips, station lists or the newest snapshot name. `listed` are the stations of
/// that snapshot, `known` the totals over all trips.
pub(super) fn places(
    stations: Vec<Station>,
    listed: &BTreeSet<StationId>,
    known: &Totals,
    corrections: &Corrections,
) -> Vec<Place> {
    let stations = identity::in_use(stations, known);
    let matches = identity::resolve(&stations, listed, known, corrections);
    // The rows of StationData for what no feed has named, by alias: those of lists, then those of trips.
    let mut own_rows: BTreeMap<StationAlias, Station> = BTreeMap::new();
    let mut places = Vec::new();
    for station in stations {
        if station.source == StationSource::Feed {
            let aliases = matches.of(&station.id);
            // Neither the newest snapshot nor any trip has others.
            if listed.contains(&station.id) || !aliases.is_empty() {
                let aliases = aliases.iter();
                let aliases = aliases.map(|(alias, key)| (alias.clone(), Some(*key)));
                places.push(Place {
                    id: station.id.clone(),
                    station_id: station.id.clone(),
                    aliases: aliases.collect(),
                    station: Some(station),
                });
            }
            continue;
        }
        let mut station = station;
        let aliases = std::mem::take(&mut station.aliases);
        let is_list = station.source == StationSource::List;
        let name = station.name.as_deref().filter(|_| is_list);
        let listed_as = name.map(|name| StationAlias::new(station.id.as_str(), name));
        for alias in aliases {
            own_rows.entry(alias).or_insert_with(|| station.clone());
        }
        if let Some(alias) = listed_as {
            own_rows.insert(alias, station);
        }
    }
    let of_feed: BTreeSet<StationId> = places.iter().map(|place| place.id.clone()).collect();
    let others = matches.other_places().iter();
    let others = others.map(|aliases| unlisted_place(aliases, &own_rows, known));
    let is_used = |alias: &StationAlias| known.stations.0.contains_key(alias);
    // Corrections and unloads leave aliases that nothing uses.
    places.extend(others.filter(|place| place.station.is_some() || place.aliases().any(is_used)));
    for place in &mut places {
        place
            .aliases
            .sort_by_cached_key(|(alias, _)| newest_first(alias, known));
    }
    give_own_ids(&mut places, &of_feed, known);
    places.sort_by(|a, b| a.id.cmp(&b.id));
    places
}

/// Makes the place of aliases that belong to no station of the feed.
fn unlisted_place(
    aliases: &[StationAlias],
    own_rows: &BTreeMap<StationAlias, Station>,
    known: &Totals,
) -> Place {
    let mut newest: Vec<&StationAlias> = aliases.iter().collect();
    newest.sort_by_cached_key(|alias| newest_first(alias, known));
    let row_of = |alias: &StationAlias| {
        let row = own_rows.get(alias);
        row.or_else(|| own_rows.get(&alias.in_cell(None)))
    };
    // A list may have the id and the name elsewhere.
    let mean = known.stations.position(aliases.iter(), SAME_STATION_M);
    let is_near = |row: &&Station| {
        let stated = row.position();
        mean.zip(stated)
            .is_none_or(|(a, b)| a.distance_m(b) <= SAME_STATION_M)
    };
    let rows = || {
        newest
            .iter()
            .filter_map(|alias| row_of(alias))
            .filter(is_near)
    };
    // A row whose name is that of an alias is of this place; another may be of another place with its id.
    let is_named = |row: &&Station| {
        let name = row.name.as_deref().and_then(comparable_name);
        name.is_some_and(|name| newest.iter().any(|alias| alias.name() == Some(&*name)))
    };
    let has_no_name =
        |row: &&Station| row.name.is_none() || newest.iter().all(|alias| alias.name().is_none());
    let station = rows().find(is_named).or_else(|| rows().find(has_no_name));
    let id = newest.first().expect("places have aliases").id();
    // Rows have not all aliases of an id: any of the same id will do.
    let mut of_id = newest.iter().filter(|alias| alias.id_str() == id.as_str());
    let first_row = of_id.find_map(|alias| row_of(alias));
    let newest = *newest.first().expect("places have aliases");
    Place {
        id: first_row.map_or_else(|| newest.id(), |row| row.id.clone()),
        station_id: newest.id(),
        station: station.cloned(),
        aliases: aliases.iter().map(|alias| (alias.clone(), None)).collect(),
    }
}

/// Makes the ids of places distinct: of several with the same id the newest keeps it, and the others get
/// the day of their last trip. `of_feed` are the ids of the feed, which stay.
fn give_own_ids(places: &mut [Place], of_feed: &BTreeSet<StationId>, known: &Totals) {
    let mut taken: BTreeSet<StationId> = of_feed.clone();
    // Of many places with one id each is numbered after the last.
    let mut numbers: HashMap<StationId, usize> = HashMap::new();
    let mut order: Vec<usize> = (0..places.len())
        .filter(|at| !places[*at].is_of_feed())
        .collect();
    order.sort_by_cached_key(|at| {
        let place = &places[*at];
        let newest = place.aliases().next().cloned();
        (
            Reverse(place.days(known).map(|(first, last)| (last, first))),
            newest,
        )
    });
    for at in order {
        let place = &mut places[at];
        let base = place.id.clone();
        let mut id = base.clone();
        if taken.contains(&id) {
            let until = place.days(known).map(|(_, last)| date_of(last));
            let addition = until.map_or_else(|| "earlier".into(), |date| format!("until {date}"));
            id = StationId::from(format!("{base} ({addition})"));
        }
        while !taken.insert(id.clone()) {
            let number = numbers.entry(base.clone()).or_insert(2);
            id = StationId::from(format!("{base} ({number})"));
            *number += 1;
        }
        place.id = id;
    }
}

/// Returns the indexes of the places with that id or name. The first of these that matches any place
/// decides: the place's id, an id of trips, the feed's `short_name` or `legacy_id`, the name, a name of
/// former days. Several places may have the same name.
pub(super) fn resolve_places(places: &[Place], text: &str, known: &Totals) -> Vec<usize> {
    let feed_states = |place: &Place, get: fn(&Station) -> &Option<String>| {
        let stated = place.station.as_ref().and_then(|row| get(row).as_deref());
        stated == Some(text)
    };
    let name = comparable_name(text);
    let rules: [&dyn Fn(&Place) -> bool; 5] = [
        &|place| place.id.as_str() == text,
        &|place| place.aliases().any(|alias| alias.id_str() == text),
        &|place| {
            feed_states(place, |row| &row.short_name) || feed_states(place, |row| &row.legacy_id)
        },
        &|place| {
            let name = place.name(known).map(str::to_lowercase);
            name == Some(text.to_lowercase())
        },
        &|place| name.is_some() && place.aliases().any(|alias| alias.name() == name.as_deref()),
    ];
    rules
        .iter()
        .map(|rule| (0..places.len()).filter(|at| rule(&places[*at])).collect())
        .find(|found: &Vec<usize>| !found.is_empty())
        .unwrap_or_default()
}
