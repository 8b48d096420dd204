//! Bikes and free docks of each station in each snapshot of a period, whatever they were read from.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Event;
use super::cadence::Cadence;
use super::calendar::HALF_HOURS;
use crate::model::{Availability, StationId, StationStatus};

/// More bikes and free docks than this are no station.
const MAX_PLACES: u32 = 1_000;

/// Which vehicles are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vehicles {
    /// All that can be rented.
    All,
    /// E-bikes.
    Ebike,
    /// Those that are no e-bikes.
    Classic,
}

impl Vehicles {
    /// All groups.
    pub const ALL: [Self; 3] = [Self::All, Self::Ebike, Self::Classic];

    /// Returns its name, which is stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ebike => "ebike",
            Self::Classic => "classic",
        }
    }

    /// Counts the vehicles of the group. `None` where the feed does not.
    pub fn count(self, available: &Availability) -> Option<u32> {
        match self {
            Self::All => available.vehicles,
            Self::Ebike => available.ebikes,
            Self::Classic => available.vehicles?.checked_sub(available.ebikes?),
        }
    }
}

/// The bikes and free docks of a station in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Vehicles that can be rented.
    pub bikes: u16,
    /// Docks that take a vehicle.
    pub docks: u16,
}

impl Reading {
    /// Takes the reading of what a station reports. `None` for a station that is not in service, whose
    /// bikes or docks are not counted, or that has more than 1,000 of both.
    pub fn of(
        status: Option<&StationStatus>,
        available: &Availability,
        vehicles: Vehicles,
    ) -> Option<Self> {
        let is_in_service = StationStatus::is_in_service(status);
        let (bikes, docks) = vehicles.count(available).zip(available.docks)?;
        let is_plausible = bikes.saturating_add(docks) <= MAX_PLACES;
        (is_in_service && is_plausible).then_some(Self {
            bikes: bikes as u16,
            docks: docks as u16,
        })
    }

    /// Returns bikes and free docks together.
    pub fn places(self) -> usize {
        usize::from(self.bikes) + usize::from(self.docks)
    }

    /// Stands for a snapshot without a reading.
    pub(super) const NONE: Self = Self {
        bikes: u16::MAX,
        docks: u16::MAX,
    };

    pub(super) fn known(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// The snapshots of a period. Stations that were out of service or not listed in a snapshot have no
/// reading there.
#[derive(Clone, Debug)]
pub struct Observations {
    pub(super) minutes: usize,
    pub(super) stations: Vec<StationId>,
    /// The minutes of the snapshots, ascending.
    pub(super) taken: Vec<usize>,
    /// For each minute the number of snapshots until its end.
    pub(super) taken_until: Vec<u32>,
    /// For each station its readings, one a snapshot.
    pub(super) readings: Vec<Vec<Reading>>,
    /// Whether a station had a free dock in any snapshot.
    pub(super) has_docks: Vec<bool>,
    /// The slot of each minute, to a day after the end.
    pub(super) slots: Vec<u8>,
    pub(super) cadence: Cadence,
    /// The minutes of the snapshots that were left out because of a fault of the feed.
    pub(super) faults: Vec<usize>,
}

impl Observations {
    /// Returns the number of minutes of the period.
    pub fn minutes(&self) -> usize {
        self.minutes
    }

    /// Returns the stations. Their order is that of `station` in the other methods.
    pub fn stations(&self) -> &[StationId] {
        &self.stations
    }

    /// Returns the median interval between snapshots in minutes, at least 1.
    pub fn interval(&self) -> usize {
        self.cadence.interval
    }

    /// Returns how often snapshots come.
    pub fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// Returns what a station had in the last snapshot until the end of a minute. `None` where it was
    /// out of service, or the snapshot is older than 3 minutes or, where snapshots come more rarely,
    /// one and a half intervals.
    pub fn reading(&self, station: usize, minute: usize) -> Option<Reading> {
        let snapshot = self.last_until(minute)?;
        if minute - self.taken[snapshot] > self.max_age() {
            return None;
        }
        self.readings[station][snapshot].known()
    }

    /// Returns the slot of a minute of the period, or of up to a day after it.
    pub fn slot(&self, minute: usize) -> usize {
        usize::from(self.slots[minute.min(self.slots.len() - 1)])
    }

    /// Counts the snapshots.
    pub fn count_snapshots(&self) -> usize {
        self.taken.len()
    }

    /// Returns the minutes of the snapshots that were left out, because most stations have lost all bikes, or
    /// all free docks, at once.
    pub fn faults(&self) -> &[usize] {
        &self.faults
    }

    /// Counts the local days that have readings.
    pub fn count_days(&self) -> usize {
        self.days().len()
    }

    /// Counts the readings: one for each snapshot and station in service.
    pub fn count_readings(&self) -> usize {
        let readings = self.readings.iter().flatten();
        readings.filter(|reading| reading.known().is_some()).count()
    }

    /// Returns whether an event happened until `horizon` minutes after `minute`. Snapshots after
    /// `minute` alone decide, and changes between two snapshots are not seen.
    ///
    /// `None` where it is not known:
    ///
    /// - the station has no reading at the start;
    /// - an event at the horizon: no reading in the snapshot nearest to it, or that one is further away
    ///   than [`Self::tolerance`];
    /// - an event within the horizon: it had happened at the start already, or the station has readings
    ///   in fewer than 4 of 5 of the snapshots that are usual in this time;
    /// - an event of docks, at a station that never has free docks, or in a snapshot in which it has
    ///   neither bikes nor docks.
    pub fn outcome(
        &self,
        station: usize,
        minute: usize,
        horizon: usize,
        event: Event,
    ) -> Option<bool> {
        if event.is_of_docks() && !self.has_docks[station] {
            return None;
        }
        let counted = |reading: Reading| event.count(reading);
        let now = counted(self.reading(station, minute)?)?;
        if minute + horizon >= self.minutes {
            return None;
        }
        if !event.is_within() {
            let snapshot = self.nearest(minute, minute + horizon)?;
            let then = self.readings[station][snapshot].known()?;
            return Some(counted(then)? == 0);
        }
        if now == 0 {
            return None;
        }
        let window = self.snapshots(minute + 1..minute + horizon + 1);
        let (mut observed, mut happened) = (0_usize, false);
        let readings = self.readings[station][window].iter();
        for count in readings.filter_map(|reading| reading.known().and_then(counted)) {
            observed += 1;
            happened |= count == 0;
        }
        let is_covered = self.cadence.is_covered(observed, horizon);
        is_covered.then_some(happened)
    }

    /// Returns how many minutes before or after a horizon a snapshot may be that decides on an event
    /// at it: 3, or half an interval.
    pub fn tolerance(&self) -> usize {
        self.cadence.tolerance()
    }

    /// Returns how many minutes a reading holds.
    pub(super) fn max_age(&self) -> usize {
        self.cadence.max_age()
    }

    /// Returns the indexes of the snapshots of some minutes.
    pub(super) fn snapshots(&self, minutes: Range<usize>) -> Range<usize> {
        let until = |minute: usize| match minute.min(self.minutes).checked_sub(1) {
            Some(minute) => self.taken_until[minute] as usize,
            None => 0,
        };
        until(minutes.start)..until(minutes.end)
    }

    /// Returns the last snapshot until the end of a minute of the period.
    fn last_until(&self, minute: usize) -> Option<usize> {
        (*self.taken_until.get(minute)? as usize).checked_sub(1)
    }

    /// Returns the snapshot after minute `after` that is nearest to minute `at`.
    fn nearest(&self, after: usize, at: usize) -> Option<usize> {
        let tolerance = self.tolerance();
        let near = self.snapshots((at - tolerance.min(at)).max(after + 1)..at + tolerance + 1);
        near.min_by_key(|snapshot| self.taken[*snapshot].abs_diff(at))
    }

    /// Returns the minutes of each local day that has readings, in order.
    pub(super) fn days(&self) -> Vec<Range<usize>> {
        let is_first = |minute: &usize| {
            let half_hour = |minute: usize| self.slot(minute) % HALF_HOURS;
            half_hour(*minute) == 0 && half_hour(minute - 1) == HALF_HOURS - 1
        };
        let starts: Vec<usize> = std::iter::once(0)
            .chain((1..self.minutes).filter(is_first))
            .chain([self.minutes])
            .collect();
        let days = starts.windows(2).map(|two| two[0]..two[1]);
        let has_readings = |day: &Range<usize>| {
            let snapshots = self.snapshots(day.clone());
            let mut readings = self.readings.iter();
            readings.any(|of| of[snapshots.clone()].iter().any(|r| r.known().is_some()))
        };
        days.filter(has_readings).collect()
    }

    /// Returns the minute of a snapshot.
    pub(super) fn minute_of(&self, snapshot: usize) -> usize {
        self.taken[snapshot]
    }

    /// Returns the minute of a snapshot, and what a station had in it. `None` without a reading.
    pub(super) fn at_snapshot(&self, station: usize, snapshot: usize) -> Option<(usize, Reading)> {
        let reading = self.readings[station][snapshot].known()?;
        Some((self.taken[snapshot], reading))
    }
}
