//! How long stations were empty, full, out of service: summed over the changes of their states.

use std::collections::BTreeMap;

use super::watch::{WEEK, Watch};
use crate::history::{StateChange, StationState};
use crate::model::{StationId, StationStatus};

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
}

const KINDS: usize = 10;

/// Milliseconds of each [`Kind`].
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

/// Returns what is true of a station in a state, in time that is observed.
fn kinds(state: &StationState) -> [bool; KINDS] {
    let mut kinds = [false; KINDS];
    let mut set = |kind: Kind, is: bool| kinds[kind as usize] = is;
    set(Kind::Listed, true);
    if !matches!(state.status, None | Some(StationStatus::InService)) {
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
    kinds
}

/// The times of one station.
#[derive(Clone, Debug)]
pub(super) struct StationTimes {
    /// By hour of the week.
    pub(super) hours: Vec<Times>,
    /// The lengths of the spells in which it was empty, in milliseconds.
    pub(super) empty_ms: Vec<i64>,
    /// Those in which it was full.
    pub(super) full_ms: Vec<i64>,
}

/// A station whose changes are being read.
struct Reading {
    /// Its state. `None` while it is not listed.
    state: Option<StationState>,
    /// The snapshot that first had the state.
    since: usize,
    /// The snapshots from which on it has been empty and full. `None` while it is not.
    spells: [Option<usize>; 2],
    times: StationTimes,
}

/// Sums over the changes of all stations.
pub(super) struct Tally<'a> {
    watch: &'a Watch,
    stations: BTreeMap<StationId, Reading>,
}

/// The kinds that have spells.
const SPELLS: [Kind; 2] = [Kind::Empty, Kind::Full];

impl<'a> Tally<'a> {
    /// Begins with the states at the first snapshot.
    pub(super) fn new(
        watch: &'a Watch,
        states: impl IntoIterator<Item = (StationId, StationState)>,
    ) -> Self {
        let mut tally = Self {
            watch,
            stations: BTreeMap::new(),
        };
        for (station, state) in states {
            tally.change(&station, 0, Some(state));
        }
        tally
    }

    /// Adds a change made after the first snapshot. Those of a station are in order.
    pub(super) fn add(&mut self, change: &StateChange) {
        let at = self.watch.index(change.snapshot).min(self.watch.last());
        self.change(&change.station, at, change.state.clone());
    }

    fn change(&mut self, station: &StationId, at: usize, state: Option<StationState>) {
        if !self.stations.contains_key(station) {
            let times = StationTimes {
                hours: vec![Times::default(); WEEK],
                empty_ms: Vec::new(),
                full_ms: Vec::new(),
            };
            let reading = Reading {
                state: None,
                since: at,
                spells: [None; 2],
                times,
            };
            self.stations.insert(station.clone(), reading);
        }
        if let Some(reading) = self.stations.get_mut(station) {
            reading.change(self.watch, at, state);
        }
    }

    /// Ends at the last snapshot. Returns the times of each station that was listed.
    pub(super) fn finish(self) -> BTreeMap<StationId, StationTimes> {
        let watch = self.watch;
        let finish = |(station, mut reading): (StationId, Reading)| {
            reading.change(watch, watch.last(), None);
            (station, reading.times)
        };
        self.stations.into_iter().map(finish).collect()
    }
}

impl Reading {
    fn change(&mut self, watch: &Watch, at: usize, state: Option<StationState>) {
        if let Some(before) = &self.state {
            let kinds = kinds(before);
            watch.each_hour(self.since, at, |span| {
                let times = &mut self.times.hours[span.hour].0;
                for (ms, is) in times.iter_mut().zip(kinds) {
                    *ms += if is { span.observed_ms } else { 0 };
                }
                times[Kind::Listed as usize] += span.all_ms - span.observed_ms;
            });
        }
        let now = state.as_ref().map(kinds).unwrap_or_default();
        for (spell, kind) in SPELLS.into_iter().enumerate() {
            match (self.spells[spell], now[kind as usize]) {
                (None, true) => self.spells[spell] = Some(at),
                (Some(begin), false) => {
                    let lengths = match kind {
                        Kind::Empty => &mut self.times.empty_ms,
                        _ => &mut self.times.full_ms,
                    };
                    lengths.extend(watch.unbroken(begin, at));
                    self.spells[spell] = None;
                }
                _ => {}
            }
        }
        (self.state, self.since) = (state, at);
    }
}
