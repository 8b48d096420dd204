//! A history of states that keeps every snapshot as it was, against which others are held.

use std::collections::BTreeSet;

use divvy::history::{AsOf, SnapshotEntry, StateChange, States, states_of};
use divvy::model::{Snapshot, StationId};
use jiff::Timestamp;

/// The snapshots of one system whose states were taken, in order.
#[derive(Debug, Default)]
pub(crate) struct MemoryHistory(Vec<AsOf>);

impl MemoryHistory {
    pub(crate) fn push(&mut self, snapshot: &Snapshot, fetched_at: Timestamp) {
        let entry = SnapshotEntry {
            number: self.0.len() as u64 + 1,
            taken_at: snapshot.taken_at,
            fetched_at: Some(fetched_at),
            stations: Some(snapshot.stations.len() as u64),
        };
        self.0.push(AsOf {
            snapshot: entry,
            states: states_of(snapshot),
        });
    }

    pub(crate) fn as_of(&self, at: Timestamp) -> Option<AsOf> {
        let mut newest_first = self.0.iter().rev();
        newest_first
            .find(|held| held.snapshot.taken_at <= at)
            .cloned()
    }

    pub(crate) fn changes(&self, station: &StationId) -> Vec<StateChange> {
        let none = States::new();
        let before = std::iter::once(&none).chain(self.0.iter().map(|held| &held.states));
        let pairs = before.zip(&self.0);
        let changed = pairs.filter(|(before, now)| before.get(station) != now.states.get(station));
        let change = |now: &AsOf| StateChange {
            station: station.clone(),
            snapshot: now.snapshot.number,
            taken_at: now.snapshot.taken_at,
            state: now.states.get(station).cloned(),
        };
        changed.map(|(_, now)| change(now)).collect()
    }

    pub(crate) fn snapshots(&self) -> Vec<SnapshotEntry> {
        self.0.iter().map(|held| held.snapshot.clone()).collect()
    }

    pub(crate) fn first_snapshot_from(&self, from: Timestamp) -> Option<SnapshotEntry> {
        let mut entries = self.0.iter().map(|held| &held.snapshot);
        entries.find(|entry| entry.taken_at >= from).cloned()
    }

    /// Lists the stations that any snapshot lists.
    pub(crate) fn stations(&self) -> BTreeSet<StationId> {
        let stations = self.0.iter().flat_map(|held| held.states.keys());
        stations.cloned().collect()
    }

    pub(crate) fn count_changes(&self) -> u64 {
        let stations = self.stations().into_iter();
        let changes = stations.map(|id| self.changes(&id).len());
        changes.sum::<usize>() as u64
    }
}
