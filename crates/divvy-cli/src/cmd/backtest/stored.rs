//! Snapshots of the history that a store keeps.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use anyhow::bail;
use divvy::history::StationState;
use divvy::model::{Snapshot, SnapshotKind, Station, StationId, System};
use divvy::store::StatusHistory;
use jiff::Timestamp;

use crate::open::ManagedStore;
use crate::runtime::block_on;

/// A change of a station: the number of the snapshot, the index of the station, and its state from then
/// on.
type Change = (u64, usize, Option<StationState>);

/// Passes each snapshot of a period with the states of all stations then. The history has no times of
/// reports.
pub fn visit(
    store: &dyn ManagedStore,
    system: &System,
    period: &Range<Timestamp>,
    mut pass: impl FnMut(&Snapshot),
) -> anyhow::Result<()> {
    let Some(history) = store.history() else {
        bail!("the store keeps no history of stations: name a recorded feed with --recording");
    };
    let entries = block_on(history.snapshots(&system.id, period.start, period.end))?;
    let mut indexes = HashMap::default();
    let mut states = Vec::new();
    if let Some(before) = block_on(history.as_of(&system.id, period.start))? {
        for (station, state) in before.states {
            indexes.insert(station.clone(), states.len());
            states.push((station, Some(state)));
        }
    }
    let known = block_on(store.stations(&system.id))?;
    let stations: BTreeSet<StationId> = known
        .into_iter()
        .map(|station| station.id)
        .chain(indexes.keys().cloned())
        .collect();
    for station in stations {
        indexes.entry(station.clone()).or_insert_with(|| {
            states.push((station, None));
            states.len() - 1
        });
    }
    let changes = changes(history, system, period, &indexes)?;
    let mut changes = changes.into_iter().peekable();
    for entry in entries {
        while let Some((_, index, state)) = changes.next_if(|change| change.0 <= entry.number) {
            states[index].1 = state;
        }
        let listed = states.iter().filter_map(|(id, state)| {
            let state = state.as_ref()?;
            Some(Station {
                status: state.status.clone(),
                available: state.available,
                ..Station::unknown(id.clone())
            })
        });
        pass(&Snapshot {
            system: system.clone(),
            taken_at: entry.taken_at,
            kind: SnapshotKind::Status,
            stations: listed.collect(),
            by_type: Default::default(),
        });
    }
    Ok(())
}

/// Lists the changes of a period in the order of its snapshots.
fn changes(
    history: &dyn StatusHistory,
    system: &System,
    period: &Range<Timestamp>,
    indexes: &HashMap<StationId, usize>,
) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (station, index) in indexes {
        let of = history.state_changes(&system.id, station, period.start, period.end);
        let of = block_on(of)?.into_iter();
        changes.extend(of.map(|change| (change.snapshot, *index, change.state)));
    }
    changes.sort_by_key(|(snapshot, index, _)| (*snapshot, *index));
    Ok(changes)
}
