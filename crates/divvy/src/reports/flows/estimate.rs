//! Departures and arrivals between two snapshots, from the difference of their states.

use std::collections::HashMap;

use jiff::SignedDuration;

use crate::history::StationState;
use crate::model::{StationId, StationStatus};
use crate::outlook;
use crate::reports::observed_time::{LocalHour, ObservedTime};

/// Departures and arrivals, and bikes that trucks moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::reports) struct Flow {
    pub departures: i64,
    pub arrivals: i64,
    /// Those of e-bikes. `None` where the feed does not count them.
    pub ebike_departures: Option<i64>,
    pub ebike_arrivals: Option<i64>,
    /// Bikes that trucks took away.
    pub removed: i64,
    /// Bikes that trucks brought.
    pub added: i64,
    /// How often trucks came.
    pub moves: i64,
}

impl Flow {
    pub(in crate::reports) fn add(&mut self, other: &Self) {
        let sum = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.departures += other.departures;
        self.arrivals += other.arrivals;
        self.ebike_departures = sum(self.ebike_departures, other.ebike_departures);
        self.ebike_arrivals = sum(self.ebike_arrivals, other.ebike_arrivals);
        self.removed += other.removed;
        self.added += other.added;
        self.moves += other.moves;
    }
}

/// Estimates the flow between two states with some time between them. `None` where the station was out of service
/// in one of them, or does not count its bikes.
///
/// What leaves and what comes in the same time cancel each other out: so both are at least so many. E-bikes and
/// classic bikes are compared by themselves where the feed counts both. A bike that is out of order afterwards, or
/// was before, has not moved.
fn estimate(before: &StationState, now: &StationState, step: SignedDuration) -> Option<Flow> {
    let is_in_service = |state: &StationState| StationStatus::is_in_service(state.status.as_ref());
    if !is_in_service(before) || !is_in_service(now) {
        return None;
    }
    let (before, now) = (before.available, now.available);
    let left = |before: Option<u32>, now: Option<u32>| Some(i64::from(before?) - i64::from(now?));
    let all = left(before.vehicles, now.vehicles)?;
    let ebikes = left(before.ebikes, now.ebikes);
    // Bikes that are out of order now, less those that were.
    let broken = -left(before.vehicles_disabled, now.vehicles_disabled).unwrap_or(0);
    let mut by_type = [
        ebikes.map_or(all, |ebikes| all - ebikes),
        ebikes.unwrap_or(0),
    ];
    stay(&mut by_type, broken);
    let [classic, ebike] = by_type;
    let left = classic + ebike;
    if outlook::is_truck(left, step.as_secs_f64() / 60.0) {
        return Some(Flow {
            removed: left.max(0),
            added: -left.min(0),
            moves: 1,
            ..Flow::default()
        });
    }
    Some(Flow {
        departures: classic.max(0) + ebike.max(0),
        arrivals: -classic.min(0) - ebike.min(0),
        ebike_departures: ebikes.map(|_| ebike.max(0)),
        ebike_arrivals: ebikes.map(|_| -ebike.min(0)),
        ..Flow::default()
    })
}

/// Takes bikes that changed between usable and out of order out of what left, or came, by type.
fn stay(left: &mut [i64; 2], mut broken: i64) {
    let order = match left[0].abs() >= left[1].abs() {
        true => [0, 1],
        false => [1, 0],
    };
    for of_type in order {
        let stayed = match broken > 0 {
            true => broken.min(left[of_type].max(0)),
            false => broken.max(left[of_type].min(0)),
        };
        left[of_type] -= stayed;
        broken -= stayed;
    }
}

/// What one station did in one step.
pub(in crate::reports) enum Step {
    /// It was in service for a time within an hour.
    InService {
        /// How long, in milliseconds.
        ms: i64,
        /// How many bikes it had.
        bikes: u32,
    },
    /// Bikes left or came, at the middle of the time between two snapshots.
    Flow(Flow),
}

/// Estimates flows from the changes of all stations.
pub(in crate::reports) struct Estimator<'a, F> {
    observed: &'a ObservedTime,
    /// The newest state of each station that is listed, and the index of its snapshot.
    states: HashMap<StationId, (StationState, usize)>,
    pass: F,
}

impl<'a, F: FnMut(&StationId, LocalHour, Step)> Estimator<'a, F> {
    /// Begins to pass the steps of stations.
    pub(in crate::reports) fn new(observed: &'a ObservedTime, pass: F) -> Self {
        Self {
            observed,
            states: HashMap::new(),
            pass,
        }
    }

    /// Adds the state of a station from a snapshot on, by its index. Those of a station are in order.
    pub(in crate::reports) fn change(
        &mut self,
        station: &StationId,
        at: usize,
        state: Option<StationState>,
    ) {
        if let Some((before, since)) = self.states.remove(station) {
            self.add_time(station, &before, since, at);
            let step = self.observed.step(at).zip(state.as_ref());
            if let Some(((length, hour), now)) = step
                && let Some(flow) = estimate(&before, now, length)
            {
                (self.pass)(station, hour, Step::Flow(flow));
            }
        }
        if let Some(state) = state {
            self.states.insert(station.clone(), (state, at));
        }
    }

    fn add_time(&mut self, station: &StationId, state: &StationState, since: usize, until: usize) {
        let Some(bikes) = state
            .available
            .vehicles
            .filter(|_| StationStatus::is_in_service(state.status.as_ref()))
        else {
            return;
        };
        let pass = &mut self.pass;
        self.observed.each_hour(since, until, |span| {
            let ms = span.observed_ms;
            pass(station, span.hour, Step::InService { ms, bikes });
        });
    }

    /// Ends at the last snapshot.
    pub(in crate::reports) fn finish(mut self) {
        for (station, (state, since)) in std::mem::take(&mut self.states) {
            self.add_time(&station, &state, since, self.observed.last());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Availability;

    fn state(vehicles: u32, ebikes: Option<u32>, broken: u32) -> StationState {
        StationState {
            status: Some(StationStatus::InService),
            available: Availability {
                vehicles: Some(vehicles),
                ebikes,
                vehicles_disabled: Some(broken),
                ..Availability::default()
            },
            ..StationState::default()
        }
    }

    fn flow(before: StationState, now: StationState, minutes: i64) -> [i64; 6] {
        let flow = estimate(&before, &now, SignedDuration::from_mins(minutes)).unwrap();
        [
            flow.departures,
            flow.arrivals,
            flow.ebike_departures.unwrap_or(-1),
            flow.ebike_arrivals.unwrap_or(-1),
            flow.removed,
            flow.added,
        ]
    }

    #[test]
    fn types_are_compared_by_themselves() {
        let one = flow(state(5, None, 0), state(3, None, 0), 1);
        assert_eq!(one, [2, 0, -1, -1, 0, 0]);
        // An e-bike left and a classic bike came.
        let both = flow(state(5, Some(2), 0), state(5, Some(1), 0), 1);
        assert_eq!(both, [1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_bike_that_is_out_of_order_has_not_left() {
        let broken = flow(state(5, Some(2), 0), state(4, Some(1), 1), 1);
        assert_eq!(broken, [0, 0, 0, 0, 0, 0]);
        let repaired = flow(state(4, Some(1), 2), state(6, Some(2), 0), 1);
        assert_eq!(repaired, [0, 0, 0, 0, 0, 0]);
        // One bike broke and another came: the difference shows neither.
        let hidden = flow(state(5, None, 0), state(5, None, 1), 1);
        assert_eq!(hidden, [0, 0, -1, -1, 0, 0]);
    }

    #[test]
    fn large_changes_are_trucks_and_longer_times_allow_larger_ones() {
        assert_eq!(
            flow(state(9, None, 0), state(2, None, 0), 1),
            [0, 0, -1, -1, 7, 0]
        );
        assert_eq!(
            flow(state(2, None, 0), state(9, None, 0), 1),
            [0, 0, -1, -1, 0, 7]
        );
        assert_eq!(
            flow(state(9, None, 0), state(2, None, 0), 4),
            [7, 0, -1, -1, 0, 0]
        );
    }

    #[test]
    fn stations_out_of_service_have_no_flow() {
        let mut closed = state(0, None, 0);
        closed.status = Some(StationStatus::NotInService);
        let step = SignedDuration::from_mins(1);
        assert_eq!(estimate(&state(5, None, 0), &closed, step), None);
        assert_eq!(estimate(&closed, &state(5, None, 0), step), None);
    }
}
