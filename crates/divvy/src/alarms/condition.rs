//! Whether a station is empty, full, or likely to be.

use jiff::SignedDuration;

use super::rule::When;
use crate::history::StationState;
use crate::model::{StationId, StationStatus, SystemId};

/// What may happen to a station within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expectation {
    /// It has no bike at some time.
    Empty,
    /// It has no free dock at some time.
    Full,
}

/// Forecasts of the states of stations.
pub trait Forecasts: Send + Sync {
    /// Returns the probability, from 0 to 1, that something happens to a station within a time from its
    /// newest state on. `None` where there is no forecast of it.
    fn probability(
        &self,
        system: &SystemId,
        station: &StationId,
        expected: Expectation,
        within: SignedDuration,
    ) -> Option<f64>;

    /// Returns whether the newest states of a system are a fault of its feed, which no forecast begins with. Rules
    /// about what is likely are not evaluated then.
    fn is_paused(&self, _system: &SystemId) -> bool {
        false
    }
}

impl<F> Forecasts for F
where
    F: Fn(&SystemId, &StationId, Expectation, SignedDuration) -> Option<f64> + Send + Sync,
{
    fn probability(
        &self,
        system: &SystemId,
        station: &StationId,
        expected: Expectation,
        within: SignedDuration,
    ) -> Option<f64> {
        self(system, station, expected, within)
    }
}

/// Whether a rule's condition holds in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Whether the station is in service: it rents bikes and takes them back, and has a bike or a dock.
    pub(super) is_in_service: bool,
    /// Whether the condition holds. Never where the station is not in service.
    pub(super) holds: bool,
    /// Whether what the condition expects is so already. Never for conditions that expect nothing.
    pub(super) came_true: bool,
    /// The probability of what is likely.
    pub(super) probability: Option<f64>,
}

/// Looks whether the condition of a rule holds for a station. The states of service are those of the
/// report on the service level: out of service, or with neither a bike nor a dock, a station is neither
/// empty nor full.
pub(super) fn find(
    when: When,
    state: &StationState,
    forecast: &dyn Fn(Expectation, SignedDuration) -> Option<f64>,
) -> Found {
    let is_open = StationStatus::is_in_service(state.status.as_ref());
    let Some(bikes) = state.available.vehicles.filter(|_| is_open) else {
        return Found::default();
    };
    let is_empty = bikes == 0;
    let is_full = state.available.docks == Some(0);
    if is_empty && is_full {
        return Found::default();
    }
    let mut found = Found {
        is_in_service: true,
        ..Found::default()
    };
    let likely = |is_so: bool, expected, within| (!is_so).then(|| forecast(expected, within));
    match when {
        When::Empty => found.holds = is_empty,
        When::Full => found.holds = is_full,
        When::LikelyEmpty {
            within,
            probability,
        } => {
            found.came_true = is_empty;
            found.probability = likely(is_empty, Expectation::Empty, within).flatten();
            found.holds = found.probability.is_some_and(|it| it >= probability);
        }
        When::LikelyFull {
            within,
            probability,
        } => {
            found.came_true = is_full;
            found.probability = likely(is_full, Expectation::Full, within).flatten();
            found.holds = found.probability.is_some_and(|it| it >= probability);
        }
        When::FeedStale { .. }
        | When::FeedDown { .. }
        | When::FeedMoved
        | When::StationsChanged => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Availability;

    fn state(
        status: Option<StationStatus>,
        bikes: Option<u32>,
        docks: Option<u32>,
    ) -> StationState {
        StationState {
            status,
            available: Availability {
                vehicles: bikes,
                docks,
                ..Availability::default()
            },
            ..StationState::default()
        }
    }

    #[test]
    fn stations_out_of_service_are_neither_empty_nor_full() {
        let in_service = Some(StationStatus::InService);
        let is = |when, status: &Option<StationStatus>, bikes, docks| {
            find(when, &state(status.clone(), bikes, docks), &|_, _| None).holds
        };
        assert!(is(When::Empty, &in_service, Some(0), Some(5)));
        assert!(is(When::Empty, &None, Some(0), None));
        assert!(is(When::Full, &in_service, Some(5), Some(0)));
        assert!(!is(When::Empty, &in_service, Some(1), Some(5)));
        assert!(!is(When::Full, &in_service, Some(5), None));
        assert!(!is(When::Empty, &in_service, None, Some(5)));
        for status in [StationStatus::NotRenting, StationStatus::NotInstalled] {
            assert!(!is(When::Empty, &Some(status.clone()), Some(0), Some(5)));
            assert!(!is(When::Full, &Some(status), Some(5), Some(0)));
        }
        // A rack that has neither.
        assert!(!is(When::Empty, &in_service, Some(0), Some(0)));
        assert!(!is(When::Full, &in_service, Some(0), Some(0)));
    }

    #[test]
    fn what_is_so_already_is_not_likely() {
        let when = When::LikelyEmpty {
            within: SignedDuration::from_mins(30),
            probability: 0.5,
        };
        let is = |bikes, probability: Option<f64>| {
            let forecast = move |expected, within: SignedDuration| {
                assert_eq!((expected, within.as_mins()), (Expectation::Empty, 30));
                probability
            };
            find(when, &state(None, Some(bikes), Some(5)), &forecast).holds
        };
        assert!(is(2, Some(0.5)));
        assert!(!is(2, Some(0.49)));
        assert!(!is(2, None));
        assert!(!is(0, Some(1.0)));
    }
}
