//! The expected contents of a store, computed from all archives and snapshots.

use std::collections::{BTreeMap, BTreeSet};

use divvy::issue::Reason;
use divvy::model::{Flag, Snapshot, SnapshotKind, Station, StationId, StationSource, Trip, TripId};
use divvy::store::{Applied, LedgerEntry};
use divvy::tally::{FlagCounts, Tally, Totals};
use jiff::Timestamp;

use crate::cases::{Archive, Row, minute};

/// The archives of a store in the order of loading.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) archives: Vec<Archive>,
}

/// The index of an archive in the model, and of a row in the archive.
pub(crate) type RowIndex = (usize, usize);

impl Model {
    pub(crate) fn contains(&self, archive: &Archive) -> bool {
        let content = archive.id().content;
        self.archives
            .iter()
            .any(|other| other.id().content == content)
    }

    pub(crate) fn load(&mut self, archive: &Archive) {
        if self.contains(archive) {
            return;
        }
        if archive.replace {
            self.archives.retain(|other| other.name != archive.name);
        }
        self.archives.push(archive.clone());
    }

    /// Returns the copy of each trip that must be stored.
    pub(crate) fn kept(&self) -> BTreeMap<&TripId, (RowIndex, &Trip)> {
        let mut kept: BTreeMap<&TripId, (RowIndex, &Trip)> = BTreeMap::new();
        for (index, archive) in self.archives.iter().enumerate() {
            for (row, (_, Row { trip, .. })) in archive.rows().enumerate() {
                let best = kept.entry(&trip.id).or_insert(((index, row), trip));
                if trip.cmp_copies(best.1).is_lt() {
                    *best = ((index, row), trip);
                }
            }
        }
        kept
    }

    pub(crate) fn trips(&self) -> Vec<Trip> {
        self.kept()
            .values()
            .map(|(_, trip)| (*trip).clone())
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.count(&self.trips().into_iter().collect(), 1);
        for archive in &self.archives {
            for (_, batch) in archive.batches() {
                totals.names.count(&batch, 1);
            }
        }
        totals
    }

    /// Returns the expected ledger entries as lines.
    pub(crate) fn entries(&self) -> Vec<String> {
        let kept = self.kept();
        let entry = |(index, archive): (usize, &Archive)| {
            let rows: Vec<Trip> = kept
                .values()
                .filter(|((kept, _), _)| *kept == index)
                .map(|(_, trip)| (*trip).clone())
                .collect();
            let mut flagged = FlagCounts::default();
            flagged.count(&rows.iter().cloned().collect(), 1);
            let read = archive.read(minute(0));
            let mut rejected = read.rejected;
            let duplicates = archive.rows().count() - rows.len();
            if duplicates > 0 {
                rejected.insert(Reason::Duplicate, duplicates as u64);
            }
            entry_line(&LedgerEntry {
                id: read.id,
                sequence: index as u64 + 1,
                loaded_at: read.loaded_at,
                rows_read: read.rows_read,
                stored: rows.len() as u64,
                rejected,
                flagged,
                skipped: read.skipped,
                forced_from: read.forced_from,
            })
        };
        self.archives.iter().enumerate().map(entry).collect()
    }
}

/// Writes what is compared of a ledger entry as one line.
pub(crate) fn entry_line(entry: &LedgerEntry) -> String {
    let LedgerEntry {
        id,
        rows_read,
        stored,
        rejected,
        skipped,
        forced_from,
        ..
    } = entry;
    let flagged: Vec<(Flag, i64)> = entry.flagged.iter().collect();
    format!(
        "{} {}: {rows_read} = {stored} + {rejected:?}, {flagged:?}, {skipped:?}, {forced_from:?}",
        id.name, id.content
    )
}

/// The expected outcome of all snapshots of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FeedModel {
    pub(crate) information_at: Option<Timestamp>,
    pub(crate) status_at: Option<Timestamp>,
    pub(crate) listed: BTreeSet<StationId>,
    /// The last reported values of each station of the feed, and when the snapshot was made that its
    /// names come from.
    pub(crate) reported: BTreeMap<StationId, (Station, Option<Timestamp>)>,
}

impl FeedModel {
    pub(crate) fn assert_applied(&mut self, snapshot: &Snapshot, applied: &Applied) {
        let informs = snapshot.kind != SnapshotKind::Status;
        let has_states = snapshot.kind != SnapshotKind::Information;
        let taken_at = Some(snapshot.taken_at);
        let current_information = informs && self.information_at <= taken_at;
        let current_states = has_states && self.status_at <= taken_at;
        let clocks = [
            self.information_at.filter(|_| informs),
            self.status_at.filter(|_| has_states),
        ];
        let last = clocks.into_iter().flatten().max();
        let before = self.clone();
        if current_information {
            self.information_at = taken_at;
        }
        if current_states {
            self.status_at = taken_at;
        }
        if current_states || current_information && self.status_at.is_none() {
            self.listed = snapshot.stations.iter().map(|s| s.id.clone()).collect();
        }
        for station in &snapshot.stations {
            let blank = || (Station::unknown(station.id.clone()), None);
            let (reported, named_at) = self
                .reported
                .entry(station.id.clone())
                .or_insert_with(blank);
            if informs && station.capacity.is_some() && *named_at <= taken_at {
                *named_at = taken_at;
                reported.name.clone_from(&station.name);
                reported.short_name.clone_from(&station.short_name);
                reported.legacy_id.clone_from(&station.legacy_id);
                reported.latitude.clone_from(&station.latitude);
                reported.longitude.clone_from(&station.longitude);
                reported.capacity = station.capacity;
            }
            if current_states {
                reported.status.clone_from(&station.status);
                reported.available = station.available;
            }
        }
        let expects_change = *self != before;
        let is_older = !current_information && !current_states;
        match applied {
            Applied::Accepted { .. } => assert!(expects_change && !is_older),
            Applied::Repeated => assert!(!expects_change && last == taken_at),
            Applied::Refused { last: newer, added } => {
                assert!(last == Some(*newer) && last > taken_at);
                assert!(is_older || !expects_change);
                let is_other = |(station, _): &&(Station, _)| {
                    let before = before.reported.get(&station.id);
                    before.map(|(station, _)| station) != Some(station)
                };
                let expected = self.reported.values().filter(is_other).count();
                assert_eq!(*added, expected as u64);
            }
        }
    }

    /// Asserts that rows of the feed have the reported values. Columns that feeds do not have are
    /// left out, and so are report times, which may lag behind.
    pub(crate) fn assert_reported(&self, stations: &[Station]) {
        let rows = stations
            .iter()
            .filter(|row| row.source == StationSource::Feed);
        let mut named = 0;
        for row in rows {
            let (reported, named_at) = self
                .reported
                .get(&row.id)
                .expect("the feed has reported it");
            named += 1;
            if reported.capacity.is_none() {
                // Its name and position may come from a station list.
                continue;
            }
            let expected = Station {
                source: StationSource::Feed,
                reported_at: row.reported_at,
                aliases: row.aliases.clone(),
                trips_version: row.trips_version,
                named_at: named_at.filter(|at| Some(*at) != self.information_at),
                listed_as: row.listed_as.clone(),
                ..reported.clone()
            };
            assert_eq!(*row, expected);
        }
        assert_eq!(named, self.reported.len(), "stations of the feed are kept");
    }
}
