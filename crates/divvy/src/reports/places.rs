//! Places: physical stations, each with all the ids that trips use for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Degrees, Station, StationId, StationSource};
use crate::stations::identity::{self, MatchKey};
use crate::tally::Totals;

/// A physical station with all its ids.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The feed's id; the trips' id for a station in no feed.
    pub id: StationId,
    /// Its row of StationData. `None` if only trips name it.
    pub station: Option<Station>,
    /// The ids that trips use for it, and what identified each. No key for a place in no feed.
    pub ids: Vec<(StationId, Option<MatchKey>)>,
}

impl Place {
    /// Returns its name: the feed's, otherwise the latest in the trips.
    pub fn name<'a>(&'a self, known: &'a Totals) -> Option<&'a str> {
        let named = self.station.as_ref().and_then(|row| row.name.as_deref());
        named.or_else(|| self.ids.iter().find_map(|(id, _)| known.names.latest(id)))
    }

    /// Returns its position: that of the feed or a station list, otherwise the mean of its trip ends.
    pub fn position(&self, known: &Totals) -> Option<(Degrees, Degrees)> {
        let said = |row: &Station| {
            row.position()?;
            row.latitude.clone().zip(row.longitude.clone())
        };
        let by_trips = || {
            let micro = |id| known.stations.0.get(id)?.position_micro();
            let (latitude, longitude) = self.ids.iter().find_map(|(id, _)| micro(id))?;
            Some((
                Degrees::from_micro(latitude),
                Degrees::from_micro(longitude),
            ))
        };
        self.station.as_ref().and_then(said).or_else(by_trips)
    }

    /// Returns the first and the last day on which a trip names it, days since 1970-01-01.
    pub fn days(&self, known: &Totals) -> Option<(i32, i32)> {
        let seen = self.ids.iter().flat_map(|(id, _)| known.names.of(id));
        seen.map(|seen| (seen.first_day, seen.last_day))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Returns whether a feed has named it.
    pub fn is_of_feed(&self) -> bool {
        let source = self.station.as_ref().map(|row| row.source);
        source == Some(StationSource::Feed)
    }
}

/// Lists every place that trips, station lists or the newest snapshot name. `listed` are the stations of
/// that snapshot, `known` the totals over all trips.
pub(super) fn places(
    stations: Vec<Station>,
    listed: &BTreeSet<StationId>,
    known: &Totals,
) -> Vec<Place> {
    let stations = identity::in_use(stations, known);
    let matches = identity::resolve(&stations, listed, known);
    let matched: BTreeSet<&StationId> = matches.iter().map(|(_, id, _)| id).collect();
    let mut places: BTreeMap<StationId, Place> = BTreeMap::new();
    // If the feed uses an id of the trips for another place, StationData has the trips under a row id
    // of their own.
    let mut own_ids: BTreeMap<StationId, StationId> = BTreeMap::new();
    for station in stations {
        let of_feed = station.source == StationSource::Feed;
        if !of_feed && matched.contains(&station.id) {
            continue; // a feed has named it since
        }
        if of_feed && !listed.contains(&station.id) && matches.of(&station.id).is_empty() {
            continue; // neither the newest snapshot nor any trip has it
        }
        if !of_feed {
            let origins = station.origin_ids.iter();
            own_ids.extend(origins.map(|origin| (origin.clone(), station.id.clone())));
        }
        let ids = if of_feed {
            matches.of(&station.id).iter()
        } else {
            [].iter()
        };
        let place = Place {
            id: station.id.clone(),
            ids: ids.map(|(id, key)| (id.clone(), Some(*key))).collect(),
            station: Some(station),
        };
        places.insert(place.id.clone(), place);
    }
    let mut apart = Vec::new();
    for id in matches.unmatched() {
        let own = places.get_mut(own_ids.get(id).unwrap_or(id));
        match own.filter(|place| !place.is_of_feed()) {
            Some(place) => place.ids.push((id.clone(), None)),
            // The feed may use the same id for another place, so this one is listed separately.
            None => apart.push(Place {
                id: id.clone(),
                station: None,
                ids: vec![(id.clone(), None)],
            }),
        }
    }
    places.into_values().chain(apart).collect()
}

/// Returns the indexes of the places with that id or name. The first of these that matches any place
/// decides: the feed's id, an id of trips, the feed's `short_name` or `legacy_id`, the name. Several
/// places may have the same id.
pub(super) fn resolve_places(places: &[Place], text: &str, known: &Totals) -> Vec<usize> {
    let feed_says = |place: &Place, get: fn(&Station) -> &Option<String>| {
        let said = place.station.as_ref().and_then(|row| get(row).as_deref());
        said == Some(text)
    };
    let rules: [&dyn Fn(&Place) -> bool; 4] = [
        &|place| place.id.as_str() == text,
        &|place| place.ids.iter().any(|(id, _)| id.as_str() == text),
        &|place| feed_says(place, |row| &row.short_name) || feed_says(place, |row| &row.legacy_id),
        &|place| {
            let name = place.name(known).map(str::to_lowercase);
            name == Some(text.to_lowercase())
        },
    ];
    rules
        .iter()
        .map(|rule| (0..places.len()).filter(|at| rule(&places[*at])).collect())
        .find(|found: &Vec<usize>| !found.is_empty())
        .unwrap_or_default()
}
