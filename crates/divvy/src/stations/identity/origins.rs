//! The aliases of trips and station lists, with what is known of each.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::MAX_SAME_NAME;
use super::cells;
use super::position::{Evidence, Placed, SAME_STATION_M, position_evidence};
use crate::model::{Station, StationAlias, StationId, StationSource, comparable_name};
use crate::tally::{NameSeen, Totals};

/// The largest number of days between the trips of two names of an id for which both are taken for one
/// station without knowing where they are.
const MAX_DAYS_BETWEEN_NAMES: i32 = 366;

/// The largest number of positions of an id, or of a name, that are compared with each other.
const MAX_SAME_ORIGIN: usize = 1024;

/// An id and a name of one position: the aliases of neighbouring cells, with their names, position and
/// days.
pub(super) struct Origin<'a> {
    /// They differ in their cells only. Never empty.
    pub(super) aliases: Vec<StationAlias>,
    /// Every name that trips have used for it, as names are compared.
    pub(super) names: Vec<String>,
    pub(super) published_names: Vec<&'a str>,
    /// The mean of the ends of its trips; where these have no coordinates, the position that a feed or a
    /// list states for the same id and name.
    pub(super) placed: Option<Placed>,
    /// First and last day of its trips, days since 1970-01-01. `None` where no trip has a name.
    pub(super) days: Option<(i32, i32)>,
    /// Stored trips or a station list use it. Rows may keep aliases that none uses any more: these follow
    /// others, and no other follows them.
    pub(super) is_used: bool,
}

impl Origin<'_> {
    /// Returns the first of its aliases.
    pub(super) fn alias(&self) -> &StationAlias {
        &self.aliases[0]
    }

    /// Returns the id that trips use.
    pub(super) fn id_str(&self) -> &str {
        self.alias().id_str()
    }

    /// Returns the number of days between the trips of two aliases. 0 where they overlap or a day is
    /// unknown.
    pub(super) fn days_from(&self, other: &Self) -> i32 {
        let Some((mine, theirs)) = self.days.zip(other.days) else {
            return 0;
        };
        (mine.0 - theirs.1).max(theirs.0 - mine.1).max(0)
    }

    /// Returns whether two names of an id whose positions are not known may be one station: only if their
    /// trips are near in time. Publishers rename stations, and give ids to other ones years later.
    pub(super) fn may_be_renamed(&self, other: &Self) -> bool {
        self.days_from(other) <= MAX_DAYS_BETWEEN_NAMES
    }

    /// Compares the positions of two aliases.
    pub(super) fn position_evidence(&self, other: &Self) -> Evidence {
        position_evidence(self.placed, other.placed)
    }
}

/// The aliases in their order, and those that are used by what they share.
pub(super) struct Origins<'a> {
    pub(super) all: Vec<Origin<'a>>,
    by_id: BTreeMap<StationId, Vec<usize>>,
    by_name: FxHashMap<String, Vec<usize>>,
}

impl<'a> Origins<'a> {
    /// Collects the aliases of trips, of the rows, and of station lists. `stations` is StationData.
    pub(super) fn new(stations: &[&'a Station], known: &'a Totals) -> Self {
        let mut used: BTreeSet<StationAlias> = known.stations.0.keys().cloned().collect();
        // Aliases of rows that no trip uses any more.
        let mut kept: BTreeSet<StationAlias> = BTreeSet::new();
        let is_gone = |alias: &&StationAlias| !known.stations.has(alias);
        let mut stated: FxHashMap<StationAlias, Placed> = FxHashMap::default();
        for station in stations {
            kept.extend(station.aliases.iter().filter(is_gone).cloned());
            // The best form comes first.
            for form in station.listed_as.iter().rev() {
                let alias =
                    (form.name.as_deref()).map(|name| StationAlias::new(station.id.as_str(), name));
                stated.extend(alias.zip(Placed::of_list(form)));
            }
            let Some(name) = &station.name else { continue };
            let alias = StationAlias::new(station.id.as_str(), name);
            if station.source == StationSource::List {
                used.insert(alias.clone());
            }
            if let Some(placed) = Placed::of(station) {
                stated.insert(alias, placed);
            }
        }
        let (mut by_id, mut by_name): (BTreeMap<StationId, Vec<usize>>, FxHashMap<_, Vec<usize>>) =
            Default::default();
        let kept = kept.difference(&used).cloned();
        let kept = kept.map(|alias| Origin::new(vec![alias], known, &stated, false));
        let used: Vec<StationAlias> = used.iter().cloned().collect();
        let of_names = used.chunk_by(StationAlias::is_same_name);
        let feeds = FeedPositions::new(stations);
        let used = of_names.flat_map(|aliases| {
            let stated = cells::Stated {
                of_name: stated.get(&aliases[0].in_cell(None)).copied(),
                of_feeds: feeds.of(&aliases[0]),
            };
            cells::by_position(aliases, known, &stated)
        });
        let used = used.map(|aliases| Origin::new(aliases, known, &stated, true));
        let mut all: Vec<Origin<'a>> = used.chain(kept).collect();
        all.sort_by(|a, b| a.aliases.cmp(&b.aliases));
        for (index, origin) in all.iter().enumerate().filter(|(_, origin)| origin.is_used) {
            by_id.entry(origin.alias().id()).or_default().push(index);
            for name in &origin.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        for same in by_id.values_mut().chain(by_name.values_mut()) {
            let mut names: Vec<&StationAlias> = same.iter().map(|at| all[*at].alias()).collect();
            names.dedup_by(|a, b| a.is_same_name(b));
            if names.len() > MAX_SAME_NAME || same.len() > MAX_SAME_ORIGIN {
                same.clear();
            }
        }
        Self {
            all,
            by_id,
            by_name,
        }
    }

    /// Lists those of the same id that are used, itself among them; none for an id with too many names,
    /// which is no id of a station.
    pub(super) fn same_id(&self, index: usize) -> &[usize] {
        let same = self.by_id.get(&self.all[index].alias().id());
        same.map_or(&[], Vec::as_slice)
    }

    /// Returns whether any that is used has the id.
    pub(super) fn has_id(&self, id: &StationId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Lists those of the same name that are used, itself among them; none for a name of too many.
    pub(super) fn same_name(&self, index: usize) -> impl Iterator<Item = usize> {
        let names = self.all[index].names.iter();
        names
            .filter_map(|name| self.by_name.get(name))
            .flatten()
            .copied()
    }
}

/// The positions of stations of feeds, by what may identify them.
struct FeedPositions<'a> {
    by_id: FxHashMap<&'a str, Vec<Placed>>,
    by_name: FxHashMap<String, Vec<Placed>>,
}

impl<'a> FeedPositions<'a> {
    fn new(stations: &[&'a Station]) -> Self {
        let (mut by_id, mut by_name): (FxHashMap<&str, Vec<Placed>>, FxHashMap<_, Vec<Placed>>) =
            Default::default();
        for station in stations
            .iter()
            .filter(|row| row.source == StationSource::Feed)
        {
            let Some(placed) = Placed::of(station) else {
                continue;
            };
            let other_ids = [&station.short_name, &station.legacy_id]
                .into_iter()
                .flatten();
            for id in other_ids.map(String::as_str).chain([station.id.as_str()]) {
                by_id.entry(id).or_default().push(placed);
            }
            let name = station.name.as_deref().and_then(comparable_name);
            if let Some(name) = name {
                by_name.entry(name).or_default().push(placed);
            }
        }
        Self { by_id, by_name }
    }

    fn of(&self, alias: &StationAlias) -> Vec<Placed> {
        let by_id = self.by_id.get(alias.id_str());
        let by_name = alias.name().and_then(|name| self.by_name.get(name));
        let all = by_id.into_iter().chain(by_name).flatten();
        all.take(MAX_SAME_NAME).copied().collect()
    }
}

impl<'a> Origin<'a> {
    fn new(
        aliases: Vec<StationAlias>,
        known: &'a Totals,
        stated: &FxHashMap<StationAlias, Placed>,
        is_used: bool,
    ) -> Self {
        let alias = &aliases[0];
        let seen: Vec<NameSeen<'a>> = (aliases.iter())
            .flat_map(|alias| known.names.of(alias))
            .collect();
        // Without a name in the alias: files of older programs' stores, of which the names are known.
        let mut names: Vec<String> = match alias.name() {
            Some(name) => vec![name.to_owned()],
            None => (seen.iter())
                .filter_map(|seen| comparable_name(seen.name))
                .collect(),
        };
        names.sort();
        names.dedup();
        let published_names = seen.iter().map(|seen| seen.name).collect();
        let by_trips = || {
            let position = known.stations.position(aliases.iter(), SAME_STATION_M);
            position.map(Placed::exactly)
        };
        let by_name = || {
            let mut named = names.iter();
            named.find_map(|name| stated.get(&StationAlias::new(alias.id_str(), name)))
        };
        Self {
            placed: by_trips().or_else(|| by_name().copied()),
            names,
            published_names,
            days: known.names.days_of(aliases.iter()),
            is_used,
            aliases,
        }
    }
}
