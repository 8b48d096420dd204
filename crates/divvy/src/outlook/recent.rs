//! The last day and hour of a station: the share of the day in which it had no bike or no free dock, and how many
//! bikes departed and arrived in the hour, compared with its rates.
//!
//! Rates are means of weeks. A station that was empty yesterday, or that is much busier than usual, runs
//! empty more often than they show.

use serde::{Deserialize, Serialize};

use super::Event;
use super::cadence::Cadence;
use super::flows;
use super::observations::{Observations, Reading};
use super::rates::StationRates;

/// The minutes after which a reading weighs 1/e in the share of the time without bikes, or docks.
const SHARE_MIN: f64 = 24.0 * 60.0;
/// The minutes after which a departure or an arrival weighs 1/e.
const FLOWS_MIN: f64 = 60.0;
/// Added to the departures and arrivals of the last hour, and to the usual ones: their ratio is 1 without any.
const PRIOR_FLOWS: f64 = 2.0;
/// Added to the minutes with a reading: shares are 0 without any, and small in the first minutes.
const PRIOR_MIN: f64 = 60.0;

/// The last day and hour of a station, until a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recent {
    /// The share of about the last day in which it had no bike. 0 where it is not known.
    pub without_bikes: f64,
    /// The share of about the last day in which it had no free dock. 0 where it is not known.
    pub without_docks: f64,
    /// Departures and arrivals of about the last hour, as a multiple of those by its rates: 1 is as usual.
    pub flows: f64,
}

impl Recent {
    /// Neither empty nor full, and as busy as usual.
    pub const USUAL: Self = Self {
        without_bikes: 0.0,
        without_docks: 0.0,
        flows: 1.0,
    };

    /// Returns the share of the time in which the number was 0 that an event is about.
    pub(super) fn share_without(self, event: Event) -> f64 {
        match event.is_of_docks() {
            true => self.without_docks,
            false => self.without_bikes,
        }
    }
}

/// The time between two snapshots, with what older minutes weigh after it: the same for all stations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    minutes: usize,
    of_share: f64,
    of_flows: f64,
}

impl Elapsed {
    /// Makes the time of so many minutes.
    pub fn of(minutes: usize) -> Self {
        Self {
            minutes,
            of_share: (-(minutes as f64) / SHARE_MIN).exp(),
            of_flows: (-(minutes as f64) / FLOWS_MIN).exp(),
        }
    }
}

/// Follows a station snapshot by snapshot: it depends on the past alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecentTracker {
    /// Minutes with a reading, without bikes, and without docks, weighted by `exp(-age / SHARE_MIN)`.
    observed: f64,
    without_bikes: f64,
    without_docks: f64,
    /// Departures and arrivals, and the usual ones, weighted by `exp(-age / FLOWS_MIN)`.
    flows: f64,
    usual: f64,
}

impl RecentTracker {
    /// Adds a snapshot so long after the one before, with the readings in the two. `slot` is the slot of a
    /// number of minutes after the first.
    pub fn add(
        &mut self,
        elapsed: Elapsed,
        cadence: Cadence,
        rates: &StationRates,
        (before, now): (Option<Reading>, Option<Reading>),
        slot: impl Fn(usize) -> usize,
    ) {
        let minutes = elapsed.minutes;
        self.observed *= elapsed.of_share;
        self.without_bikes *= elapsed.of_share;
        self.without_docks *= elapsed.of_share;
        self.flows *= elapsed.of_flows;
        self.usual *= elapsed.of_flows;
        let Some(now) = now else { return };
        let held = minutes.min(cadence.max_age()) as f64;
        self.observed += held;
        if Event::EmptyAt.count(now) == Some(0) {
            self.without_bikes += held;
        }
        if Event::FullAt.count(now) == Some(0) {
            self.without_docks += held;
        }
        let before = before.filter(|_| minutes <= cadence.max_age());
        let flow = before
            .and_then(|before| flows::flow_between((0, before), (minutes, now), rates.has_docks));
        let Some(flow) = flow else { return };
        if flow.may_depart {
            self.flows += f64::from(flow.departures);
        }
        if flow.may_arrive {
            self.flows += f64::from(flow.arrivals);
        }
        for minute in 0..minutes {
            let usual = rates.at(slot(minute));
            if flow.may_depart {
                self.usual += usual.departures;
            }
            if flow.may_arrive {
                self.usual += usual.arrivals;
            }
        }
    }

    /// Returns the last day and hour before the last snapshot.
    pub fn recent(&self) -> Recent {
        Recent {
            without_bikes: self.without_bikes / (PRIOR_MIN + self.observed),
            without_docks: self.without_docks / (PRIOR_MIN + self.observed),
            flows: (PRIOR_FLOWS + self.flows) / (PRIOR_FLOWS + self.usual),
        }
    }
}

/// Follows each station of a period to the snapshots that are asked for.
pub(super) struct Recents<'a> {
    observations: &'a Observations,
    /// By station.
    rates: Vec<&'a StationRates>,
    /// Before each snapshot, since the one before it.
    elapsed: Vec<Elapsed>,
    /// For each station the number of snapshots that were added.
    trackers: Vec<(usize, RecentTracker)>,
}

impl<'a> Recents<'a> {
    /// `rates` are those of the stations of the period.
    pub(super) fn new(observations: &'a Observations, rates: Vec<&'a StationRates>) -> Self {
        let snapshots = 0..observations.count_snapshots();
        let elapsed = snapshots.map(|snapshot| {
            let before = observations.minute_of(snapshot.saturating_sub(1));
            Elapsed::of(observations.minute_of(snapshot) - before)
        });
        Self {
            observations,
            elapsed: elapsed.collect(),
            trackers: vec![Default::default(); rates.len()],
            rates,
        }
    }

    /// Returns the rates of a station.
    pub(super) fn rates(&self, station: usize) -> &'a StationRates {
        self.rates[station]
    }

    /// Returns the tracker of a station after the last snapshot until the end of a minute. Calls with ascending
    /// minutes go on from the last one; for an earlier minute the station is followed from the start.
    pub(super) fn until(&mut self, station: usize, minute: usize) -> RecentTracker {
        let observations = self.observations;
        let snapshots = observations.snapshots(0..minute + 1).end;
        let (added, tracker) = &mut self.trackers[station];
        if *added > snapshots {
            (*added, *tracker) = Default::default();
        }
        let (cadence, rates) = (observations.cadence(), self.rates[station]);
        let reading = |snapshot| Some(observations.at_snapshot(station, snapshot)?.1);
        for snapshot in *added..snapshots {
            let elapsed = self.elapsed[snapshot];
            let from = observations.minute_of(snapshot) - elapsed.minutes;
            let before = snapshot.checked_sub(1).and_then(reading);
            let slot = |ahead| observations.slot(from + ahead);
            tracker.add(elapsed, cadence, rates, (before, reading(snapshot)), slot);
        }
        *added = snapshots;
        *tracker
    }
}
