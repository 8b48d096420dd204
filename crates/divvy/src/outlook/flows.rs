//! Departures and arrivals of a minute, from two readings.

use super::observations::Observations;

/// The change in a minute from which it is the work of a truck, not of riders.
const TRUCK: i32 = 5;

/// What happened at a station between two minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flow {
    pub(super) departures: u32,
    pub(super) arrivals: u32,
    /// Whether a bike was there to depart with. Without one, no departure says nothing of the demand.
    pub(super) may_depart: bool,
    /// Whether a dock was free to arrive at.
    pub(super) may_arrive: bool,
}

/// Returns the flow from the minute before to `minute`. `None` where one of the two has no reading, or
/// a truck came.
pub(super) fn flow(observations: &Observations, station: usize, minute: usize) -> Option<Flow> {
    let before = observations.reading(station, minute.checked_sub(1)?)?;
    let now = observations.reading(station, minute)?;
    let left = i32::from(before.bikes) - i32::from(now.bikes);
    (left.abs() < TRUCK).then(|| Flow {
        departures: left.max(0).unsigned_abs(),
        arrivals: left.min(0).unsigned_abs(),
        may_depart: before.bikes > 0,
        may_arrive: before.docks > 0,
    })
}
