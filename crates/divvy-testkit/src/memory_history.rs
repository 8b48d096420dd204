//! A history of states that keeps every snapshot as it was, against which others are held.

use async_trait::async_trait;
use divvy::history::{AsOf, SnapshotEntry, StateChange, States, StatusHistory, states_of};
use divvy::model::{Snapshot, StationId, SystemId};
use divvy::store::StoreError;
use jiff::Timestamp;

use crate::memory::MemoryStore;

/// The snapshots of one system whose states were taken, in order.
#[derive(Debug, Default)]
pub(crate) struct MemoryHistory(Vec<AsOf>);

impl MemoryHistory {
    pub(crate) fn push(&mut self, snapshot: &Snapshot, fetched_at: Timestamp) {
        let snapshot_entry = SnapshotEntry {
            number: self.0.len() as u64 + 1,
            taken_at: snapshot.taken_at,
            fetched_at: Some(fetched_at),
            stations: Some(snapshot.stations.len() as u64),
        };
        self.0.push(AsOf {
            snapshot: snapshot_entry,
            states: states_of(snapshot),
        });
    }

    fn changes(&self, station: &StationId) -> Vec<StateChange> {
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
}

#[async_trait]
impl StatusHistory for MemoryStore {
    async fn as_of(&self, system: &SystemId, at: Timestamp) -> Result<Option<AsOf>, StoreError> {
        Ok(self.ask_history(system, |history| {
            let mut newest_first = history.0.iter().rev();
            newest_first
                .find(|held| held.snapshot.taken_at <= at)
                .cloned()
        }))
    }

    async fn state_changes(
        &self,
        system: &SystemId,
        station: &StationId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StateChange>, StoreError> {
        let mut changes = self.ask_history(system, |history| history.changes(station));
        changes.retain(|change| change.taken_at >= from && change.taken_at < to);
        Ok(changes)
    }

    async fn snapshots(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SnapshotEntry>, StoreError> {
        let mut entries: Vec<SnapshotEntry> = self.ask_history(system, |history| {
            history.0.iter().map(|held| held.snapshot.clone()).collect()
        });
        entries.retain(|entry| entry.taken_at >= from && entry.taken_at < to);
        Ok(entries)
    }
}
