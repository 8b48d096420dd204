//! The rules of StationData, which are the same for every store: which rows a snapshot, a load or a
//! station list writes, and which of these writes are changes.
//!
//! A store reads the rows of a system into a [`StationData`], calls one of its methods, and writes
//! the returned rows, and nothing else, in one transaction.
//!
//! - A feed has *information* (names and positions) and *states*. Each has its own time, and neither
//!   erases the other. Stations that a snapshot lacks are kept.
//! - Any order of loads, lists and snapshots ends in the same rows: an older snapshot still names the
//!   stations that no newer one names, but its states and its list of stations are not taken, and a row
//!   keeps each form in which lists have its id. This does not hold for report times, which are written
//!   late; for the states of rows that are not listed; for snapshots of one time that differ, of which
//!   the last one read counts; and for rows that older programs wrote.
//! - A station has changed if anything but its report time, and the time of its names, is different. A
//!   newer report time alone is written with the next change, or when the row is 15 minutes old.
//! - Every alias that trips use, or have used, belongs to exactly one row: that of its station of the
//!   feed ([`identity`]), otherwise a row of its id, which exists until a feed names the station.
//! - An alias that moves to another row takes its `trips_version` along, so that a stored count is
//!   never newer than the row.

mod fields;
mod lists;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fields::information;
use jiff::Timestamp;
use snapshots::listed;

use super::corrections::Corrections;
use super::{Applied, FeedState, identity};
use crate::model::{
    ListedStation, Snapshot, SnapshotKind, Station, StationAlias, StationId, StationSource,
};
use crate::tally::Totals;

/// One row of StationData, as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The station.
    pub station: Station,
    /// The time of the last snapshot that wrote the row and has the station, by the feed's clock. `None`
    /// if there is none.
    pub written_at: Option<Timestamp>,
}

/// A row to be written or deleted. Every write but a deletion is appended to the change stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new station.
    Insert(Row),
    /// Something besides the report time changed.
    Change(Row),
    /// Nothing but the report time, or the time of the names, changed.
    Report(Row),
    /// Removes the row of an id whose station a feed has named: the id belongs to the station's row.
    Delete(StationId),
}

impl Write {
    /// Returns the row to be written. `None` for a deletion.
    pub fn row(&self) -> Option<&Row> {
        match self {
            Self::Insert(row) | Self::Change(row) | Self::Report(row) => Some(row),
            Self::Delete(_) => None,
        }
    }

    /// Returns whether this makes ids of trips belong to another station: after a write of this kind
    /// the same snapshot or list finds nothing to be resolved. `before` is the row that it replaces.
    ///
    /// A store that writes row by row writes these after other rows, so that a process that ends before
    /// has its work done again by the next.
    pub fn names_station(&self, before: Option<&Row>) -> bool {
        let Some(row) = self.row() else {
            return false;
        };
        let is_of_feed = row.station.source == StationSource::Feed;
        let listed_as = before.map(|before| &before.station.listed_as);
        let is_named_otherwise = |before: &Row| {
            before.station.source != row.station.source
                || information(&before.station) != information(&row.station)
        };
        is_of_feed && before.is_none_or(is_named_otherwise)
            || *listed_as.unwrap_or(&BTreeSet::new()) != row.station.listed_as
    }
}

/// The rows of one system, and the state of its feed.
#[derive(Clone, Debug, Default)]
pub struct StationData {
    rows: BTreeMap<StationId, Row>,
    feed: Option<FeedState>,
    /// The rows that have been edited since the last [`take_writes`](Self::take_writes), as they were
    /// before. `None` for a row that is new.
    before: BTreeMap<StationId, Option<Row>>,
    /// The next snapshot assigns the ids that trips use, even if no name is new.
    is_unresolved: bool,
}

impl StationData {
    /// Makes it of a store's rows.
    ///
    /// Rows of lists that older programs wrote get what they show as their form.
    pub fn new(rows: impl IntoIterator<Item = Row>, feed: Option<FeedState>) -> Self {
        let with_form = |mut row: Row| {
            let station = &mut row.station;
            if station.source == StationSource::List && station.listed_as.is_empty() {
                station.listed_as = [ListedStation::from(&*station)].into();
            }
            (station.id.clone(), row)
        };
        let rows: BTreeMap<StationId, Row> = rows.into_iter().map(with_form).collect();
        // Of a process that ended between its writes.
        let mut known = HashSet::new();
        let mut aliases = rows.values().flat_map(|row| &row.station.aliases);
        let is_unresolved = !aliases.all(|alias| known.insert(alias));
        Self {
            rows,
            feed,
            before: BTreeMap::new(),
            is_unresolved,
        }
    }

    /// Declares that some of the writes of an earlier attempt have been done and others not, so that
    /// ids of trips may belong to no row, or to two.
    pub fn with_partial_writes(mut self) -> Self {
        self.is_unresolved = true;
        self
    }

    /// Lists the stations by id.
    pub fn stations(&self) -> impl Iterator<Item = &Station> {
        self.rows.values().map(|row| &row.station)
    }

    /// Returns the state of the feed. `None` before its first snapshot.
    pub fn feed(&self) -> Option<&FeedState> {
        self.feed.as_ref()
    }

    /// Returns whether the states of a snapshot, which has just been applied, are those of the feed now. `false`
    /// for one that is repeated, older, or has no states.
    pub fn has_taken_states(&self, snapshot: &Snapshot, applied: &Applied) -> bool {
        let status_at = self.feed.as_ref().and_then(|feed| feed.status_at);
        snapshot.kind != SnapshotKind::Information
            && status_at == Some(snapshot.taken_at)
            && matches!(applied, Applied::Accepted { .. })
    }

    /// Returns a version newer than that of every row, for the next load.
    pub fn next_version(&self) -> u64 {
        let newest = self.stations().filter_map(|row| row.trips_version).max();
        newest.map_or(1, |newest| newest + 1)
    }

    /// Updates the rows after a load: every row with one of `origins`, the ids whose trips changed,
    /// gets the new version, and new ids get a row.
    ///
    /// `totals` are those of all stored trips, including the load; `version` is newer than that of
    /// every row ([`next_version`](Self::next_version)).
    pub fn trips_changed(
        &mut self,
        origins: &BTreeSet<StationId>,
        version: u64,
        totals: &Totals,
    ) -> Vec<Write> {
        self.resolve(totals);
        let has_changed = |row: &&Station| {
            let mut aliases = row.aliases.iter();
            aliases.any(|alias| origins.contains(&alias.id()))
        };
        let ids: Vec<StationId> = self
            .stations()
            .filter(has_changed)
            .map(|row| row.id.clone())
            .collect();
        self.bump_version(ids, version)
    }

    /// Removes the ids that no stored trip uses any more from the rows, and returns them. Rows that
    /// had no other id are deleted by [`trips_changed`](Self::trips_changed), which has to be called
    /// next; the others get the version, so that their stored counts are outdated.
    ///
    /// `totals` are those of all stored trips; `version` is newer than that of every row.
    pub fn forget_unused(&mut self, totals: &Totals, version: u64) -> BTreeSet<StationId> {
        let is_unused = |alias: &StationAlias| !totals.stations.has(alias);
        let concerned: Vec<StationId> = self
            .stations()
            .filter(|row| row.aliases.iter().any(is_unused))
            .map(|row| row.id.clone())
            .collect();
        let mut unused = BTreeSet::new();
        for id in concerned {
            let row = self.edit(&id);
            let aliases = std::mem::take(&mut row.aliases);
            let (gone, used): (BTreeSet<_>, _) = aliases.into_iter().partition(is_unused);
            row.aliases = used;
            row.trips_version = row.trips_version.max(Some(version));
            unused.extend(gone.iter().map(StationAlias::id));
        }
        unused.retain(|id| totals.stations.of_id(id).next().is_none());
        // The id may also be the feed's own id of a station, which then has to be counted again.
        for id in &unused {
            if (self.rows.get(id)).is_some_and(|row| row.station.aliases.is_empty()) {
                let row = self.edit(id);
                row.trips_version = row.trips_version.max(Some(version));
            }
        }
        unused
    }

    /// Gives every row a new version, as if all trips had changed.
    pub fn republish_all(&mut self, version: u64) -> Vec<Write> {
        let ids: Vec<StationId> = self.rows.keys().cloned().collect();
        self.bump_version(ids, version)
    }

    /// Sets the version of rows whose version is older.
    fn bump_version(&mut self, ids: Vec<StationId>, version: u64) -> Vec<Write> {
        for id in ids {
            let row = self.edit(&id);
            row.trips_version = row.trips_version.max(Some(version));
        }
        self.take_writes(None)
    }

    /// Assigns every alias that trips use to the row of its station.
    fn resolve(&mut self, totals: &Totals) {
        let none = BTreeSet::new();
        let listed = listed(&self.feed).unwrap_or(&none);
        let matches = identity::resolve(self.stations(), listed, totals, &Corrections::default());
        let used: BTreeSet<&StationAlias> = (self.stations())
            .flat_map(|row| &row.aliases)
            .chain(totals.stations.0.keys())
            .collect();
        let mut aliases_of: BTreeMap<StationId, BTreeSet<StationAlias>> = BTreeMap::new();
        let of_feed = matches.iter().map(|(row, alias, _)| (row.clone(), alias));
        let others = matches
            .unmatched()
            .map(|alias| (self.own_row(&alias.id()), alias));
        // Station lists have aliases that no trip uses.
        for (row, alias) in of_feed
            .chain(others)
            .filter(|(_, alias)| used.contains(alias))
        {
            aliases_of.entry(row).or_default().insert(alias.clone());
        }
        let mut aliases_of = identity::shortened(aliases_of);
        let mut versions: HashMap<StationAlias, Option<u64>> = HashMap::new();
        for row in self.stations() {
            let aliases = row.aliases.iter().cloned();
            for alias in aliases {
                let version = versions.entry(alias.in_cell(None)).or_default();
                *version = (*version).max(row.trips_version);
            }
        }

        let ids: BTreeSet<StationId> = self.rows.keys().chain(aliases_of.keys()).cloned().collect();
        for id in ids {
            let aliases = aliases_of.remove(&id).unwrap_or_default();
            let row = self.rows.get(&id).map(|row| &row.station);
            // The row of a list stays, also where a station of the feed has its id now: trips that
            // show this may be unloaded, or never be committed. `identity::in_use` leaves it out.
            let is_obsolete =
                row.is_some_and(|row| row.source == StationSource::Trips && aliases.is_empty());
            if is_obsolete {
                self.remove(&id);
            } else if row.is_none_or(|row| row.aliases != aliases) {
                let row = self.edit(&id);
                let new = aliases.difference(&row.aliases);
                let before = |alias: &StationAlias| *versions.get(&alias.in_cell(None))?;
                let version = new.filter_map(before).max();
                row.trips_version = row.trips_version.max(version);
                row.aliases = aliases;
            }
        }
    }

    /// Returns the row id for an id of trips that belongs to no station of the feed. If the feed uses
    /// the same id for another station, `(trips)` is appended.
    fn own_row(&self, origin: &StationId) -> StationId {
        let mut id = origin.clone();
        let taken = |id: &StationId| {
            self.rows
                .get(id)
                .is_some_and(|row| row.station.source == StationSource::Feed)
        };
        while taken(&id) {
            id = StationId::from(format!("{id} (trips)"));
        }
        id
    }

    /// Keeps a copy of a row before its first edit.
    fn remember(&mut self, id: &StationId) {
        if !self.before.contains_key(id) {
            self.before.insert(id.clone(), self.rows.get(id).cloned());
        }
    }

    /// Returns a row for editing, and inserts it if there is none.
    fn edit(&mut self, id: &StationId) -> &mut Station {
        self.remember(id);
        let row = self.rows.entry(id.clone()).or_insert_with(|| Row {
            station: Station::unknown(id.clone()),
            written_at: None,
        });
        &mut row.station
    }

    fn remove(&mut self, id: &StationId) {
        self.remember(id);
        self.rows.remove(id);
    }

    /// Returns the edited rows that are different from before. `snapshot` is the one that caused the
    /// edits. `None` if none did, or an older one.
    fn take_writes(&mut self, snapshot: Option<&Snapshot>) -> Vec<Write> {
        let edited = std::mem::take(&mut self.before);
        let reported: HashSet<&StationId> = snapshot
            .filter(|_| !edited.is_empty())
            .map(|snapshot| snapshot.stations.iter().map(|it| &it.id).collect())
            .unwrap_or_default();
        let mut writes = Vec::new();
        for (id, before) in edited {
            let Some(row) = self.rows.get_mut(&id) else {
                writes.extend(before.map(|_| Write::Delete(id)));
                continue;
            };
            let before = before.map(|before| before.station);
            if before.as_ref() == Some(&row.station) {
                continue;
            }
            let written_by = snapshot.filter(|_| reported.contains(&id));
            row.written_at = written_by.map(|it| it.taken_at).or(row.written_at);
            let Some(mut before) = before else {
                writes.push(Write::Insert(row.clone()));
                continue;
            };
            before.reported_at = row.station.reported_at;
            before.named_at = row.station.named_at;
            writes.push(if before == row.station {
                Write::Report(row.clone())
            } else {
                Write::Change(row.clone())
            });
        }
        writes
    }
}

#[cfg(test)]
mod tests;
