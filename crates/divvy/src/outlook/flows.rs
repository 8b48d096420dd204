//! Departures and arrivals between two snapshots.

use super::observations::{Observations, Reading};

/// A change of this many bikes or more in a minute is counted as a truck.
const TRUCK: f64 = 5.0;

/// Returns whether a change of the number of bikes within some minutes is counted as a truck.
///
/// The net change by riders in `n` minutes spreads with the square root of `n`, and so does the change
/// that is counted as a truck.
pub fn is_truck(change: i64, minutes: f64) -> bool {
    change.abs() as f64 >= TRUCK * minutes.max(1.0).sqrt()
}

/// What happened at a station between two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flow {
    /// The minute of the earlier snapshot.
    pub(super) from: usize,
    /// The minute of the later snapshot.
    pub(super) until: usize,
    pub(super) departures: u32,
    pub(super) arrivals: u32,
    /// Whether a bike was there to depart with. At an empty station the absence of departures is no
    /// evidence of low demand.
    pub(super) may_depart: bool,
    /// Whether an arrival was possible: a dock was free, or the station has none at all.
    pub(super) may_arrive: bool,
}

impl Flow {
    /// Returns the minutes between the snapshots.
    pub(super) fn minutes(&self) -> f64 {
        (self.until - self.from) as f64
    }
}

/// Returns the flow from the snapshot before to `snapshot`. `None` where one of the two has no reading,
/// where they are further apart than a reading holds, or where a truck came.
pub(super) fn flow(
    observations: &Observations,
    station: usize,
    has_docks: bool,
    snapshot: usize,
) -> Option<Flow> {
    let before = observations.at_snapshot(station, snapshot.checked_sub(1)?)?;
    let now = observations.at_snapshot(station, snapshot)?;
    let is_current = now.0 - before.0 <= observations.max_age();
    is_current
        .then(|| flow_between(before, now, has_docks))
        .flatten()
}

/// Returns the flow between two minutes with a reading each. `None` where a truck came.
pub(super) fn flow_between(
    (from, before): (usize, Reading),
    (until, now): (usize, Reading),
    has_docks: bool,
) -> Option<Flow> {
    let left = i32::from(before.bikes) - i32::from(now.bikes);
    (!is_truck(left.into(), (until - from) as f64)).then(|| Flow {
        from,
        until,
        departures: left.max(0).unsigned_abs(),
        arrivals: left.min(0).unsigned_abs(),
        may_depart: before.bikes > 0,
        may_arrive: before.docks > 0 || !has_docks,
    })
}
