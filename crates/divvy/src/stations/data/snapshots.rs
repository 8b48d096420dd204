//! Which rows a snapshot of the feed writes.
//!
//! Every snapshot is taken, the older ones too, so that the order in which they arrive does not
//! matter: each row has the names and the position that the newest snapshot which states any has for
//! it. The states, the list of stations and the times of the feed are those of the newest snapshot
//! alone.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::fields::{feed_information, information, show_lists, states};
use super::{StationData, Write};
use crate::model::{FilledByLists, Snapshot, SnapshotKind, Station, StationId, StationSource};
use crate::stations::{Applied, FeedState};
use crate::tally::Totals;

/// The age of a row at which a newer report time alone is written.
const REPORT_TIME_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// Which halves of a snapshot are at least as new as the stored ones.
#[derive(Clone, Copy)]
struct CurrentHalves {
    information: bool,
    states: bool,
}

impl StationData {
    /// Updates the rows from a snapshot. The store has to write [`feed`](Self::feed) as well, unless
    /// the snapshot is refused.
    ///
    /// A snapshot of the same time as the last is applied too: feeds exist whose time stands still,
    /// and of two processes that apply snapshots of one time each one's is applied as a whole. It
    /// is repeated if it changes nothing.
    ///
    /// One that is older than the last is refused: none of its states is taken. Its stations get rows,
    /// though, and those that no newer snapshot names get its names and positions.
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
        let is_current = current.information || current.states;
        let before = self.feed.clone();
        if is_current {
            self.record_feed_times(snapshot, current);
        }
        // A station that is listed takes trips from rows that are not, see `identity`.
        let mut named = self.is_unresolved || listed(&before) != listed(&self.feed);
        let mut added = 0;
        for reported in &snapshot.stations {
            let is_named = self.merge_report(reported, snapshot, current);
            named |= is_named;
            added += u64::from(is_named);
        }
        if current.information {
            let last = before.as_ref().and_then(|feed| feed.information_at);
            self.date_unnamed(snapshot, last);
        }
        if named {
            self.resolve(totals()?.borrow());
        }
        let reported = if current.states {
            self.report_times(snapshot)
        } else {
            0
        };
        let writes = self.take_writes(Some(snapshot).filter(|_| is_current));
        let is_same = writes.is_empty() && self.feed == before;
        if let Some(last) = last.filter(|_| is_same || !is_current) {
            let outcome = if last == snapshot.taken_at {
                Applied::Repeated
            } else {
                Applied::Refused { last, added }
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

    /// Sets the fields of one station from a snapshot, except its report time. Returns whether ids of
    /// trips may now belong to another station.
    fn merge_report(
        &mut self,
        reported: &Station,
        snapshot: &Snapshot,
        current: CurrentHalves,
    ) -> bool {
        let stored = self.rows.get(&reported.id).map(|row| &row.station);
        let stored = stored.filter(|row| row.source == StationSource::Feed);
        // A station that only the status feed lists has no information, and must not erase any.
        let has_information =
            snapshot.kind != SnapshotKind::Status && information(reported) != Default::default();
        let is_newest = |row: &Station| match row.named_at {
            Some(named_at) => named_at <= snapshot.taken_at,
            None => current.information || feed_information(row) == Default::default(),
        };
        let takes_information = has_information && stored.is_none_or(is_newest);
        let named_at = Some(snapshot.taken_at).filter(|_| !current.information);

        let same_information =
            stored.is_some_and(|row| feed_information(row) == information(reported));
        let same_time = stored.is_some_and(|row| row.named_at == named_at);
        let same_states = stored.is_some_and(|row| states(row) == states(reported));
        let named = stored.is_none() || takes_information && !same_information;
        let changed = named || takes_information && !same_time || current.states && !same_states;
        if !changed {
            return false;
        }
        let row = self.edit(&reported.id);
        if row.source != StationSource::Feed {
            row.source = StationSource::Feed;
            // What it has is of lists.
            row.filled_by_lists = FilledByLists::Everything;
        }
        if takes_information {
            row.name.clone_from(&reported.name);
            row.short_name.clone_from(&reported.short_name);
            row.legacy_id.clone_from(&reported.legacy_id);
            row.latitude.clone_from(&reported.latitude);
            row.longitude.clone_from(&reported.longitude);
            row.capacity = reported.capacity;
            row.named_at = named_at;
            row.filled_by_lists = FilledByLists::Nothing;
        }
        show_lists(row);
        if current.states {
            row.status.clone_from(&reported.status);
            row.available = reported.available;
        }
        named
    }

    /// Notes at the rows that the last snapshot with names and positions had and the current one has
    /// not, which it is that their names come from. `last` is its time.
    fn date_unnamed(&mut self, snapshot: &Snapshot, last: Option<Timestamp>) {
        // Of two snapshots of one time neither is the later one.
        let Some(last) = last.filter(|last| *last < snapshot.taken_at) else {
            return;
        };
        let named: HashSet<&StationId> = snapshot
            .stations
            .iter()
            .filter(|reported| information(reported) != Default::default())
            .map(|reported| &reported.id)
            .collect();
        let is_unnamed = |row: &&Station| {
            row.source == StationSource::Feed
                && row.named_at.is_none()
                && !named.contains(&row.id)
                && feed_information(row) != Default::default()
        };
        let unnamed: Vec<StationId> = self
            .stations()
            .filter(is_unnamed)
            .map(|row| row.id.clone())
            .collect();
        for id in unnamed {
            self.edit(&id).named_at = Some(last);
        }
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
}

/// Returns the stations of the newest snapshot. `None` before the first.
pub(super) fn listed(feed: &Option<FeedState>) -> Option<&BTreeSet<StationId>> {
    feed.as_ref().map(|feed| &feed.listed)
}
