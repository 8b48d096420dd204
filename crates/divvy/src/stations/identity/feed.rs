//! The stations of a feed by what identifies them.

use rustc_hash::FxHashMap;

use super::origins::Origin;
use super::position::{Evidence, Placed, position_evidence};
use super::{MAX_SAME_NAME, MatchKey};
use crate::model::{Station, StationId, comparable_name};

/// A station of the feed.
pub(super) struct Candidate<'a> {
    pub(super) id: &'a StationId,
    name: Option<String>,
    /// As published, for the choice between stations whose names are compared as the same.
    published_name: Option<&'a str>,
    pub(super) placed: Option<Placed>,
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

    /// Returns the distance to the origin in metres. `None` if either position is unknown.
    fn distance_m(&self, origin: &Origin<'_>) -> Option<f64> {
        Some(self.placed?.position.distance_m(origin.placed?.position))
    }

    /// Returns whether both are the same station, if the key is equal.
    fn is_match(&self, origin: &Origin<'_>, key: MatchKey) -> bool {
        use Evidence::{Agrees, Contradicts};
        let name = self.name_evidence(origin);
        let position = position_evidence(self.placed, origin.placed);
        match key {
            MatchKey::StationId => match (name, position) {
                (_, Contradicts) => false,
                (Agrees, _) | (_, Agrees) => true,
                (Contradicts, _) => false,
                // Nothing is known but the id.
                _ => true,
            },
            MatchKey::ShortName | MatchKey::LegacyId => {
                position == Agrees || name == Agrees && position != Contradicts
            }
            MatchKey::Name => position != Contradicts,
            MatchKey::Alias | MatchKey::Correction => false,
        }
    }
}

/// The stations of the feed, by each key.
#[derive(Default)]
pub(super) struct Feed<'a> {
    stations: Vec<Candidate<'a>>,
    by_id: FxHashMap<&'a str, Vec<usize>>,
    by_short_name: FxHashMap<&'a str, Vec<usize>>,
    by_legacy_id: FxHashMap<&'a str, Vec<usize>>,
    by_name: FxHashMap<String, Vec<usize>>,
}

impl<'a> Feed<'a> {
    pub(super) fn add(&mut self, station: &'a Station) {
        let index = self.stations.len();
        let published_name = station.name.as_deref();
        let name = published_name.and_then(comparable_name);
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
            placed: Placed::of(station),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// Returns the station with an id of the feed.
    pub(super) fn with_id(&self, id: &StationId) -> Option<&Candidate<'a>> {
        let index = *self.by_id.get(id.as_str())?.first()?;
        self.stations.get(index)
    }

    /// Finds the station by the strongest key that matches any; of several one whose published name
    /// trips use, then the nearest one, and of equally near ones that with the smallest id.
    pub(super) fn station_of(&self, origin: &Origin<'_>) -> Option<(&'a StationId, MatchKey)> {
        MatchKey::ALL.into_iter().find_map(|key| {
            let indices = self.with_key(origin, key).into_iter().flatten();
            let candidates = indices.map(|index| &self.stations[*index]);
            let nearest = candidates
                .filter(|candidate| candidate.is_match(origin, key))
                .min_by(|a, b| {
                    let is_named_so = |c: &Candidate<'_>| {
                        c.published_name
                            .is_some_and(|name| origin.published_names.contains(&name))
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
        let id = origin.id_str();
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
            MatchKey::Alias | MatchKey::Correction => Vec::new(),
        }
    }
}
