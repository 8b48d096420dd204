//! The rules of StationData, which are the same for every store: which rows a snapshot, a load or a
//! station list writes, and which of these writes are changes.
//!
//! A store reads the rows of a system into a [`StationData`], calls one of its methods, and writes
//! the returned rows, and nothing else, in one transaction.
//!
//! - A feed has *information* (names and positions) and *states*. Each has its own time, and neither
//!   erases the other. Stations that a snapshot lacks are kept.
//! - A station has changed if anything but its report time is different. A newer report time alone
//!   is written with the next change, or when the row is 15 minutes old.
//! - Every alias that trips use, or have used, belongs to exactly one row: that of its station of the
//!   feed ([`identity`]), otherwise a row of its id, which exists until a feed names the station.
//! - An alias that moves to another row takes its `trips_version` along, so that a stored count is
//!   never newer than the row.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::corrections::Corrections;
use super::{Applied, FeedState, identity};
use crate::model::{
    Availability, Snapshot, SnapshotKind, Station, StationAlias, StationId, StationSource,
};
use crate::tally::Totals;

/// The age of a row at which a newer report time alone is written.
const REPORT_TIME_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// One row of StationData, as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The station.
    pub station: Station,
    /// The time of the snapshot that wrote the row last, by the feed's clock. `None` if no snapshot
    /// has.
    pub written_at: Option<Timestamp>,
}

/// A row to be written or deleted. Every write but a deletion is appended to the change stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new station.
    Insert(Row),
    /// Something besides the report time changed.
    Change(Row),
    /// Nothing but the report time changed.
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
    /// the same snapshot finds nothing to be resolved. `before` is the row that it replaces.
    ///
    /// A store that writes row by row writes these after other rows, so that a process that ends before
    /// has its work done again by the next.
    pub fn names_station(&self, before: Option<&Row>) -> bool {
        let Some(row) = self.row() else {
            return false;
        };
        let is_other = |before: &Row| {
            before.station.source != row.station.source
                || information(&before.station) != information(&row.station)
        };
        row.station.source == StationSource::Feed && before.is_none_or(is_other)
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

/// Which halves of a snapshot are at least as new as the stored ones.
#[derive(Clone, Copy)]
struct CurrentHalves {
    information: bool,
    states: bool,
}

impl StationData {
    /// Makes it of a store's rows.
    pub fn new(rows: impl IntoIterator<Item = Row>, feed: Option<FeedState>) -> Self {
        let rows: BTreeMap<StationId, Row> = rows
            .into_iter()
            .map(|row| (row.station.id.clone(), row))
            .collect();
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

    /// Returns a version newer than that of every row, for the next load.
    pub fn next_version(&self) -> u64 {
        let newest = self.stations().filter_map(|row| row.trips_version).max();
        newest.map_or(1, |newest| newest + 1)
    }

    /// Updates the rows from a snapshot. If it is accepted, the store has to write
    /// [`feed`](Self::feed) as well.
    ///
    /// A snapshot of the same time as the last is applied too: feeds exist whose time stands still,
    /// and of two processes that apply snapshots of one time each one's is applied as a whole. It
    /// is repeated if it changes nothing.
    ///
    /// `totals` are those of all stored trips; they are read only if a name, a position or the list of
    /// stations is new, because only then can an id belong to another station.
    ///
    /// # Errors
    ///
    /// Those of `totals`. The rows are then incomplete and must be dropped.
    pub fn apply<T: Borrow<Totals>, E>(
        &mut self,
        snapshot: &Snapshot,
        totals: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Applied, Vec<Write>), E> {
        let (current, last) = self.compare_times(snapshot);
        if let Some(last) = last.filter(|_| !current.information && !current.states) {
            if self.is_unresolved {
                self.resolve(totals()?.borrow());
            }
            return Ok((Applied::Refused { last }, self.take_writes(None)));
        }
        let before = self.feed.clone();
        self.record_feed_times(snapshot, current);
        // A station that is listed takes trips from rows that are not, see `identity`.
        let mut named = self.is_unresolved || listed(&before) != listed(&self.feed);
        for reported in &snapshot.stations {
            named |= self.merge_report(reported, current);
        }
        if named {
            self.resolve(totals()?.borrow());
        }
        let reported = if current.states {
            self.report_times(snapshot)
        } else {
            0
        };
        let writes = self.take_writes(Some(snapshot.taken_at));
        if let Some(last) = last.filter(|_| writes.is_empty() && self.feed == before) {
            let outcome = if last == snapshot.taken_at {
                Applied::Repeated
            } else {
                Applied::Refused { last }
            };
            return Ok((outcome, writes));
        }
        let count = |is_counted: fn(&Write) -> bool| {
            writes.iter().filter(|write| is_counted(write)).count()
        };
        let applied = Applied::Accepted {
            inserted: count(|write| matches!(write, Write::Insert(_))) as u64,
            changed: count(|write| matches!(write, Write::Change(_))) as u64,
            reported,
        };
        Ok((applied, writes))
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
        let is_unused = |alias: &StationAlias| !totals.stations.0.contains_key(alias);
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

    /// Sets names, positions and capacities from a published station list, for stations that no feed
    /// has named. Lists have no time, so the list that is read last takes precedence.
    pub fn describe(&mut self, listed: &[Station]) -> Vec<Write> {
        for listed in listed {
            let is_of_feed = |row: &Row| row.station.source == StationSource::Feed;
            if self.rows.get(&listed.id).is_some_and(is_of_feed) {
                continue;
            }
            let row = self.edit(&listed.id);
            row.source = StationSource::List;
            set_if_known(&mut row.name, &listed.name);
            set_if_known(&mut row.short_name, &listed.short_name);
            set_if_known(&mut row.legacy_id, &listed.legacy_id);
            set_if_known(&mut row.latitude, &listed.latitude);
            set_if_known(&mut row.longitude, &listed.longitude);
            set_if_known(&mut row.capacity, &listed.capacity);
        }
        self.take_writes(None)
    }

    /// Returns which halves of a snapshot are at least as new as the stored ones, and the time of the
    /// newest stored half that is at least as new as the snapshot. `None` for the time if one half
    /// of the snapshot is newer.
    fn compare_times(&self, snapshot: &Snapshot) -> (CurrentHalves, Option<Timestamp>) {
        let (information, states) = match snapshot.kind {
            SnapshotKind::Full => (true, true),
            SnapshotKind::Information => (true, false),
            SnapshotKind::Status => (false, true),
        };
        let feed = self.feed.as_ref();
        let information_at = feed.and_then(|feed| feed.information_at.filter(|_| information));
        let status_at = feed.and_then(|feed| feed.status_at.filter(|_| states));
        let taken_at = Some(snapshot.taken_at);
        let current = CurrentHalves {
            information: information && taken_at >= information_at,
            states: states && taken_at >= status_at,
        };
        let is_newer = information && taken_at > information_at || states && taken_at > status_at;
        (current, information_at.max(status_at).filter(|_| !is_newer))
    }

    /// Sets the fields of one station from the current halves of a snapshot, except its report time.
    /// Returns whether ids of trips may now belong to another station.
    fn merge_report(&mut self, reported: &Station, current: CurrentHalves) -> bool {
        // A station that only the status feed lists has no information, and must not erase any.
        let has_information = current.information && information(reported) != Default::default();
        let stored = self.rows.get(&reported.id).map(|row| &row.station);
        let stored = stored.filter(|row| row.source == StationSource::Feed);
        let same_information = stored.is_some_and(|row| information(row) == information(reported));
        let same_states = stored.is_some_and(|row| states(row) == states(reported));
        let named = stored.is_none() || (has_information && !same_information);
        let changed = named || (current.states && !same_states);
        if !changed {
            return false;
        }
        let row = self.edit(&reported.id);
        row.source = StationSource::Feed;
        if has_information {
            row.name.clone_from(&reported.name);
            row.short_name.clone_from(&reported.short_name);
            row.legacy_id.clone_from(&reported.legacy_id);
            row.latitude.clone_from(&reported.latitude);
            row.longitude.clone_from(&reported.longitude);
            row.capacity = reported.capacity;
        }
        if current.states {
            row.status.clone_from(&reported.status);
            row.available = reported.available;
        }
        named
    }

    /// Sets the report times of rows that are written anyway, and of those that are old enough.
    /// Returns the number of stations of which only the report time is new.
    fn report_times(&mut self, snapshot: &Snapshot) -> u64 {
        let mut report_time_only = 0;
        for reported in &snapshot.stations {
            let row = &self.rows[&reported.id];
            if row.station.reported_at == reported.reported_at {
                continue;
            }
            let written_anyway = self.before.contains_key(&reported.id);
            let is_due = row
                .written_at
                .is_none_or(|at| snapshot.taken_at.duration_since(at) >= REPORT_TIME_AFTER);
            report_time_only += u64::from(!written_anyway);
            if written_anyway || is_due {
                self.edit(&reported.id).reported_at = reported.reported_at;
            }
        }
        report_time_only
    }

    fn record_feed_times(&mut self, snapshot: &Snapshot, current: CurrentHalves) {
        let feed = self.feed.get_or_insert_with(|| FeedState {
            status_at: None,
            information_at: None,
            listed: BTreeSet::new(),
        });
        if current.information {
            feed.information_at = Some(snapshot.taken_at);
        }
        if current.states {
            feed.status_at = Some(snapshot.taken_at);
        }
        if current.states || current.information && feed.status_at.is_none() {
            feed.listed = snapshot.stations.iter().map(|s| s.id.clone()).collect();
        }
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
        let mut versions: HashMap<StationAlias, Option<u64>> = HashMap::new();
        for row in self.stations() {
            let aliases = row.aliases.iter().cloned();
            versions.extend(aliases.map(|alias| (alias, row.trips_version)));
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
                let version = new.filter_map(|alias| *versions.get(alias)?).max();
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

    /// Returns the edited rows that are different from before. `snapshot_at` is the time of the
    /// snapshot that caused the edits. `None` if no snapshot did.
    fn take_writes(&mut self, snapshot_at: Option<Timestamp>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (id, before) in std::mem::take(&mut self.before) {
            let Some(row) = self.rows.get_mut(&id) else {
                writes.extend(before.map(|_| Write::Delete(id)));
                continue;
            };
            let before = before.map(|before| before.station);
            if before.as_ref() == Some(&row.station) {
                continue;
            }
            row.written_at = snapshot_at.or(row.written_at);
            let Some(mut before) = before else {
                writes.push(Write::Insert(row.clone()));
                continue;
            };
            before.reported_at = row.station.reported_at;
            writes.push(if before == row.station {
                Write::Report(row.clone())
            } else {
                Write::Change(row.clone())
            });
        }
        writes
    }
}

/// Returns the stations of the newest snapshot. `None` before the first.
fn listed(feed: &Option<FeedState>) -> Option<&BTreeSet<StationId>> {
    feed.as_ref().map(|feed| &feed.listed)
}

fn set_if_known<T: Clone>(field: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        field.clone_from(value);
    }
}

/// The fields of a station that come from `station_information`.
#[derive(Default, PartialEq)]
struct Information<'a> {
    name: Option<&'a str>,
    short_name: Option<&'a str>,
    legacy_id: Option<&'a str>,
    latitude: Option<&'a str>,
    longitude: Option<&'a str>,
    capacity: Option<u32>,
}

fn information(station: &Station) -> Information<'_> {
    Information {
        name: station.name.as_deref(),
        short_name: station.short_name.as_deref(),
        legacy_id: station.legacy_id.as_deref(),
        latitude: station.latitude.as_ref().map(|degrees| degrees.as_str()),
        longitude: station.longitude.as_ref().map(|degrees| degrees.as_str()),
        capacity: station.capacity,
    }
}

/// Returns the fields of a station that come from `station_status`, except its report time.
fn states(station: &Station) -> (Option<&str>, Availability) {
    (
        station.status.as_ref().map(|status| status.as_str()),
        station.available,
    )
}

#[cfg(test)]
mod tests;
