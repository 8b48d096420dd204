//! The match of the trips' stations to those of the feed.

use std::collections::{BTreeMap, HashMap};

use crate::model::{StationAlias, StationId};
use crate::reports::places::Place;
use crate::reports::{Note, Question, grouped, plural};
use crate::stations::identity::MatchKey;
use crate::store::FeedState;
use crate::tally::Totals;

/// Which station ids of the trips were matched to the feed, and how many trips start there.
pub(super) struct Matched {
    /// By the key that matched: pairs of id and name, and trips. `None` for those not matched.
    pairs: BTreeMap<Option<MatchKey>, (i64, i64)>,
    /// Each id of the trips, and whether any name of it was matched.
    ids: BTreeMap<StationId, bool>,
}

impl Matched {
    pub(super) fn of(
        places: &[Place],
        known: &Totals,
        ends: &HashMap<StationAlias, [i64; 2]>,
    ) -> Self {
        let mut matched = Self {
            pairs: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        for name in places.iter().flat_map(|place| place.names(known)) {
            let id = matched.ids.entry(name.aliases[0].id()).or_default();
            *id |= name.key.is_some();
            let (pairs, trips) = matched.pairs.entry(name.key).or_default();
            *pairs += 1;
            let starts = |alias| ends.get(alias).map_or(0, |ends| ends[0]);
            *trips += name.aliases.into_iter().map(starts).sum::<i64>();
        }
        matched
    }

    /// Returns how many trips start at matched stations, and at any.
    fn trips(&self) -> (i64, i64) {
        let trips = |(_, (_, trips)): (&Option<MatchKey>, &(i64, i64))| *trips;
        let all = self.pairs.iter().map(trips).sum();
        let matched = self.pairs.iter().filter(|(key, _)| key.is_some());
        (matched.map(trips).sum(), all)
    }

    /// Writes how many ids of the trips were matched.
    pub(super) fn notes(&self, question: &Question<'_>, feed: &FeedState) -> Vec<Note> {
        let at = feed.status_at.max(feed.information_at);
        let of = at.map_or(String::new(), |at| format!(" of {}", question.instant(at)));
        // The states of an instant are stated by a note of their own.
        let status = match question.filters.as_of {
            None => "Live status",
            Some(_) => "Status",
        };
        let stations = plural(feed.listed.len() as i64, "station");
        if self.ids.is_empty() {
            let text = format!("{status}{of}: {stations}; no trip names a station yet");
            return vec![Note::Scope(text)];
        }
        let matched = self.ids.values().filter(|matched| **matched).count() as i64;
        let (trips, all_trips) = self.trips();
        let percent = 100 * trips / all_trips.max(1);
        let mut notes = vec![Note::Scope(format!(
            "{status}{of} ({stations}) matched for {} of {} ({percent} % of trips)",
            grouped(matched),
            plural(self.ids.len() as i64, "station id"),
        ))];
        if 2 * trips < all_trips {
            notes.push(Note::Warning(format!(
                "only {percent} % of the trips start at a station of this feed: the live columns \
                 say little about them; a feed of the same years would match more",
            )));
        }
        notes
    }

    /// Lists how many pairs of id and name were matched by each key: `-v` prints it.
    pub(super) fn by_key(&self) -> String {
        let matched = self.pairs.iter().map(|(key, (pairs, trips))| {
            let pairs = plural(*pairs, "pair");
            let trips = plural(*trips, "trip");
            let by = key.map_or("not matched".into(), |key| format!("by {}", key.as_str()));
            format!("; {pairs} of id and name {by} ({trips})")
        });
        matched.collect()
    }
}
