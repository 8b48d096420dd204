//! Observations of a period of a store's history.

use std::ops::Range;

use jiff::Timestamp;

use crate::history::{SnapshotEntry, StationState};
use crate::model::System;
use crate::outlook::{
    Cadence, Calendar, ColumnsBuilder, Observations, Reading, Vehicles, minute_of,
};
use crate::store::{StatusHistory, StoreError};

/// The first and the last year whose holidays are looked up.
const YEARS: (i16, i16) = (2000, 2100);

/// A period of the history.
#[derive(Debug)]
pub struct Walked {
    /// The readings of its snapshots, as far as they are taken.
    pub observations: Observations,
    /// The snapshots in the history: those of `observations` may be fewer.
    pub snapshots: usize,
    /// How often these come.
    pub cadence: Cadence,
    /// The minutes, since 1970 (UTC), of snapshots that were left out because most stations have lost all bikes,
    /// or all free docks, at once.
    pub faults: Vec<i64>,
}

/// Reads a period of the history: the readings of a group of vehicles. Of the snapshots of a minute the
/// first is taken, and none that is less than `step_min` minutes after the one before. The history has no
/// times of reports.
///
/// Faults are found for [`Vehicles::All`] only. Pass its [`Walked::faults`] as `without` for the other groups:
/// snapshots in these minutes, which ascend, are left out.
///
/// The memory is that of the observations, 4 bytes a reading, and of the changes of about a day.
///
/// # Errors
///
/// Those of the store.
pub async fn walk(
    history: &dyn StatusHistory,
    system: &System,
    period: &Range<Timestamp>,
    vehicles: Vehicles,
    step_min: usize,
    without: &[i64],
) -> Result<Walked, StoreError> {
    let entries = history
        .snapshots(&system.id, period.start, period.end)
        .await?;
    let mut taken = thinned(&entries, step_min);
    taken.retain(|entry| without.binary_search(&minute_of(entry.taken_at)).is_err());
    let times: Vec<Timestamp> = taken.iter().map(|entry| entry.taken_at).collect();
    let numbers: Vec<u64> = taken.iter().map(|entry| entry.number).collect();
    let mut columns = ColumnsBuilder::new(calendar(system), period, &times);
    let reading =
        |state: &StationState| Reading::of(state.status.as_ref(), &state.available, vehicles);
    if let Some(before) = history.as_of(&system.id, period.start).await? {
        for (station, state) in &before.states {
            columns.set(station, 0, reading(state));
        }
    }
    let mut pass = |change: &crate::history::StateChange| {
        let since = numbers.partition_point(|number| *number < change.snapshot);
        if since < numbers.len() {
            columns.set(
                &change.station,
                since,
                change.state.as_ref().and_then(reading),
            );
        }
    };
    history
        .each_state_change(&system.id, period.start, period.end, &mut pass)
        .await?;
    let observations = columns.finish(vehicles == Vehicles::All);
    let start = minute_of(period.start);
    let faults = observations.faults().iter();
    let faults: Vec<i64> = faults.map(|minute| start + *minute as i64).collect();
    let mut minutes: Vec<i64> = thinned(&entries, 1)
        .iter()
        .map(|entry| minute_of(entry.taken_at))
        .collect();
    minutes.retain(|minute| faults.binary_search(minute).is_err());
    Ok(Walked {
        faults,
        observations,
        snapshots: entries.len(),
        cadence: Cadence::of(&minutes),
    })
}

/// Returns the clock of a system, and its days off.
pub(super) fn calendar(system: &System) -> Calendar {
    let first_of = |year| jiff::civil::Date::constant(year, 1, 1);
    Calendar::of(system, first_of(YEARS.0), first_of(YEARS.1))
}

/// Returns the snapshots that are at least so many minutes after the one that is taken before.
fn thinned(entries: &[SnapshotEntry], step_min: usize) -> Vec<&SnapshotEntry> {
    let mut next = i64::MIN;
    let is_taken = |entry: &&SnapshotEntry| {
        let minute = minute_of(entry.taken_at);
        let is_taken = minute >= next;
        if is_taken {
            next = minute + step_min.max(1) as i64;
        }
        is_taken
    };
    entries.iter().filter(is_taken).collect()
}
