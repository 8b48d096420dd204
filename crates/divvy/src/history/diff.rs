//! Which changes of states a snapshot makes.

use std::collections::BTreeMap;

use super::{StateChange, StationState};
use crate::model::{Snapshot, StationId};

/// The states of the stations that are listed.
pub type States = BTreeMap<StationId, StationState>;

/// Returns the states of the stations of a snapshot.
pub fn states_of(snapshot: &Snapshot) -> States {
    let with_id = |station: &crate::model::Station| {
        let by_type = snapshot.by_type.get(&station.id);
        (station.id.clone(), StationState::of(station, by_type))
    };
    snapshot.stations.iter().map(with_id).collect()
}

/// Lists the changes that lead from the states `before` to those of a snapshot, by station. `number` is
/// that of the snapshot.
pub fn diff(before: &States, snapshot: &Snapshot, number: u64) -> Vec<StateChange> {
    let now = states_of(snapshot);
    let change = |station: &StationId, state: Option<&StationState>| StateChange {
        station: station.clone(),
        snapshot: number,
        taken_at: snapshot.taken_at,
        state: state.cloned(),
    };
    let gone = before.keys().filter(|station| !now.contains_key(*station));
    let mut changes: Vec<StateChange> = gone.map(|station| change(station, None)).collect();
    let changed = now
        .iter()
        .filter(|(station, state)| before.get(*station) != Some(*state));
    changes.extend(changed.map(|(station, state)| change(station, Some(state))));
    changes.sort_by(|a, b| a.station.cmp(&b.station));
    changes
}

/// Changes the state of a station.
pub fn apply_change(states: &mut States, change: StateChange) {
    match change.state {
        Some(state) => _ = states.insert(change.station, state),
        None => _ = states.remove(&change.station),
    }
}
