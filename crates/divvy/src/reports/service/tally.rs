//! How long stations were empty, full, out of service: summed over the changes of their states.

use std::collections::BTreeMap;

use crate::history::StationState;
use crate::model::civil_date::HOUR_MS;
use crate::model::{StationId, StationStatus};
use crate::reports::observed_time::{ObservedTime, WEEK};

/// What is true of a station at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is listed, whether observed or not.
    Listed,
    /// It is observed: in no gap, and out of service or with a number of bikes.
    Observed,
    /// It does not both rent bikes and accept them: closed, planned, not installed.
    OutOfService,
    /// It is in service, and has a dock or a bike.
    InService,
    /// In service, without a bike to rent.
    Empty,
    /// In service, without a free dock.
    Full,
    /// In service, with neither a bike nor a free dock.
    WithoutDocks,
    /// In service, and e-bikes are counted by themselves.
    EbikesCounted,
    /// Among these: without an e-bike.
    NoEbikes,
    /// Among these: without a classic bike.
    NoClassicBikes,
    /// In service, and the number of docks installed is known.
    CapacityKnown,
    /// Among these: each dock that is in no count, neither free nor out of order nor with a bike.
    UncountedDocks,
}

const KINDS: usize = 12;

/// Milliseconds of each [`Kind`]; for docks, of each dock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times([i64; KINDS]);

impl Times {
    pub(super) fn ms(&self, kind: Kind) -> i64 {
        self.0[kind as usize]
    }

    /// Returns the time in which no bike could be rented, or none returned.
    pub(super) fn unusable_ms(&self) -> i64 {
        [
            Kind::Empty,
            Kind::Full,
            Kind::OutOfService,
            Kind::WithoutDocks,
        ]
        .map(|kind| self.ms(kind))
        .iter()
        .sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, ms) in self.0.iter_mut().zip(other.0) {
            *sum += ms;
        }
    }
}

/// Returns how often each millisecond of a state counts as each kind, in time that is observed. `capacity` is the
/// number of docks installed, if it is known.
fn kinds(state: &StationState, capacity: Option<u32>) -> [u32; KINDS] {
    let mut kinds = [0; KINDS];
    let mut set = |kind: Kind, is: bool| kinds[kind as usize] = u32::from(is);
    set(Kind::Listed, true);
    if !StationStatus::is_in_service(state.status.as_ref()) {
        set(Kind::Observed, true);
        set(Kind::OutOfService, true);
        return kinds;
    }
    let available = state.available;
    let Some(bikes) = available.vehicles else {
        return kinds;
    };
    set(Kind::Observed, true);
    if bikes == 0 && available.docks == Some(0) {
        set(Kind::WithoutDocks, true);
        return kinds;
    }
    set(Kind::InService, true);
    set(Kind::Empty, bikes == 0);
    set(Kind::Full, available.docks == Some(0));
    if let Some(ebikes) = available.ebikes {
        set(Kind::EbikesCounted, true);
        set(Kind::NoEbikes, ebikes == 0);
        set(Kind::NoClassicBikes, ebikes >= bikes);
    }
    if let Some((capacity, docks)) = capacity.zip(available.docks) {
        let disabled = [available.vehicles_disabled, available.docks_disabled];
        let counted = disabled.into_iter().flatten();
        let counted = counted.fold(bikes.saturating_add(docks), u32::saturating_add);
        set(Kind::CapacityKnown, true);
        kinds[Kind::UncountedDocks as usize] = capacity.saturating_sub(counted);
    }
    kinds
}

/// A station is stuck if it is unchanged for this many times its usual time between two changes. If changes are
/// independent, one such time in 160,000 is so long.
const STUCK: i64 = 12;
/// A shorter busy time without a change, in milliseconds, is not stuck.
pub(super) const LEAST_STUCK_MS: i64 = 24 * HOUR_MS;

/// The times of one station.
#[derive(Clone, Debug)]
pub(super) struct StationTimes {
    /// By hour of the week.
    pub(super) hours: Vec<Times>,
    /// The lengths of the spells in which it was empty, in milliseconds.
    pub(super) empty_ms: Vec<i64>,
    /// Those in which it was full.
    pub(super) full_ms: Vec<i64>,
    /// The busy part of the longest time in service without a change: see [`Tally::finish`].
    pub(super) unchanged_busy_ms: i64,
    /// Whether that is much longer than the station's changes are usually apart.
    pub(super) is_stuck: bool,
}

/// A station whose changes are being read.
struct Reading {
    /// Its state. `None` while it is not listed.
    state: Option<StationState>,
    /// The snapshot that first had the state.
    since: usize,
    /// The snapshots from which on it has been empty and full. `None` while it is not.
    spells: [Option<usize>; 2],
    /// The snapshots between which it was in service without a change for the longest time.
    unchanged: (usize, usize),
    /// How often it changed while it was in service.
    changes: i64,
    capacity: Option<u32>,
    times: StationTimes,
}

/// Sums over the changes of all stations.
pub(super) struct Tally<'a> {
    observed: &'a ObservedTime,
    /// The number of docks of stations that a feed states it for.
    capacities: BTreeMap<StationId, u32>,
    stations: BTreeMap<StationId, Reading>,
    /// How many changes of all stations each hour of the week has.
    changes: Vec<u64>,
}

/// The kinds that have spells.
const SPELLS: [Kind; 2] = [Kind::Empty, Kind::Full];

impl<'a> Tally<'a> {
    /// Begins to count.
    pub(super) fn new(observed: &'a ObservedTime, capacities: BTreeMap<StationId, u32>) -> Self {
        Self {
            observed,
            capacities,
            stations: BTreeMap::new(),
            changes: vec![0; WEEK],
        }
    }

    /// Adds the state of a station from a snapshot on, by the snapshot's index. Those of a station are in order.
    pub(super) fn change(&mut self, station: &StationId, at: usize, state: Option<StationState>) {
        if !self.stations.contains_key(station) {
            let times = StationTimes {
                hours: vec![Times::default(); WEEK],
                empty_ms: Vec::new(),
                full_ms: Vec::new(),
                unchanged_busy_ms: 0,
                is_stuck: false,
            };
            let reading = Reading {
                state: None,
                since: at,
                spells: [None; 2],
                unchanged: (at, at),
                changes: 0,
                capacity: self.capacities.get(station).copied(),
                times,
            };
            self.stations.insert(station.clone(), reading);
        }
        if let Some(reading) = self.stations.get_mut(station) {
            reading.change(self.observed, at, state);
        }
        if let Some((_, hour)) = self.observed.step(at) {
            self.changes[hour.of_week] += 1;
        }
    }

    /// Ends at the last snapshot. Returns the times of each station that was listed.
    ///
    /// Busy are the hours of the week in which the stations change at least as often as on average.
    pub(super) fn finish(self) -> BTreeMap<StationId, StationTimes> {
        let observed = self.observed;
        let mut observed_ms = vec![0; WEEK];
        observed.each_hour(0, observed.last(), |span| {
            observed_ms[span.hour.of_week] += span.observed_ms;
        });
        let rate = |changes: u64, ms: i64| changes as f64 / ms.max(1) as f64;
        let average = rate(self.changes.iter().sum(), observed_ms.iter().sum());
        let hours = self.changes.iter().zip(&observed_ms);
        let is_busy: Vec<bool> = hours
            .map(|(changes, ms)| *changes > 0 && rate(*changes, *ms) >= average)
            .collect();
        let finish = |(station, mut reading): (StationId, Reading)| {
            reading.change(observed, observed.last(), None);
            let (from, to) = reading.unchanged;
            observed.each_hour(from, to, |span| {
                if is_busy[span.hour.of_week] {
                    reading.times.unchanged_busy_ms += span.observed_ms;
                }
            });
            let hours = reading.times.hours.iter().zip(&is_busy);
            let in_service = hours.map(|(times, is_busy)| match is_busy {
                true => times.ms(Kind::InService),
                false => 0,
            });
            let usual_ms = in_service.sum::<i64>() / reading.changes.max(1);
            let times = &mut reading.times;
            times.is_stuck = times.unchanged_busy_ms >= LEAST_STUCK_MS
                && (reading.changes == 0 || times.unchanged_busy_ms >= STUCK * usual_ms);
            (station, reading.times)
        };
        self.stations.into_iter().map(finish).collect()
    }
}

impl Reading {
    fn change(&mut self, observed: &ObservedTime, at: usize, state: Option<StationState>) {
        if let Some(before) = &self.state {
            let kinds = kinds(before, self.capacity);
            observed.each_hour(self.since, at, |span| {
                let times = &mut self.times.hours[span.hour.of_week].0;
                for (ms, weight) in times.iter_mut().zip(kinds) {
                    *ms += i64::from(weight) * span.observed_ms;
                }
                times[Kind::Listed as usize] += span.all_ms - span.observed_ms;
            });
            if kinds[Kind::InService as usize] > 0 {
                let both = [self.unchanged, (self.since, at)];
                let longest = both
                    .into_iter()
                    .max_by_key(|(from, to)| observed.without_gaps(*from, *to));
                self.unchanged = longest.unwrap_or(self.unchanged);
                self.changes += i64::from(at < observed.last());
            }
        }
        let now = state.as_ref().map(|state| kinds(state, self.capacity));
        let now = now.unwrap_or_default();
        for (spell, kind) in SPELLS.into_iter().enumerate() {
            match (self.spells[spell], now[kind as usize] > 0) {
                (None, true) => self.spells[spell] = Some(at),
                (Some(begin), false) => {
                    let lengths = match kind {
                        Kind::Empty => &mut self.times.empty_ms,
                        _ => &mut self.times.full_ms,
                    };
                    let parts = observed.unbroken(begin, at).into_iter();
                    lengths.extend(parts.map(|(from, to)| observed.between(from, to)));
                    self.spells[spell] = None;
                }
                _ => {}
            }
        }
        (self.state, self.since) = (state, at);
    }
}
