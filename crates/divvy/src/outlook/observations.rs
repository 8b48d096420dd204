//! Bikes and free docks of each station in each minute, whatever they were read from.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use rustc_hash::FxHashMap;

use crate::model::{Snapshot, SnapshotKind, StationId, StationStatus, Zone};

/// The half hours of a weekday and of a day off.
pub const SLOTS: usize = 2 * HALF_HOURS;
/// The half hours of a day.
pub(super) const HALF_HOURS: usize = 48;

/// How long a reading holds, in minutes, where snapshots come every minute.
const MAX_AGE_MIN: usize = 3;
/// How many intervals between snapshots a reading holds where they come more rarely.
const MAX_AGE_INTERVALS: f64 = 1.5;

/// The clock and the days off of a system.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// The time zone.
    pub zone: Zone,
    /// Holidays, which are like weekends.
    pub holidays: BTreeSet<Date>,
}

impl Calendar {
    /// Returns the slot of a minute since 1970 (UTC): 0 to 47 are the half hours of weekdays, 48 to 95
    /// those of weekends and holidays.
    pub fn slot(&self, minute: i64) -> u8 {
        let instant = Timestamp::from_second(60 * minute).unwrap_or_default();
        let local_s = 60 * minute + i64::from(self.zone.offset_at(instant));
        let half_hour = (local_s.rem_euclid(86_400) / 1800) as u8;
        let days = local_s.div_euclid(86_400) as i32;
        let date = Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(days));
        let is_off = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
            || self.holidays.contains(&date);
        half_hour + if is_off { HALF_HOURS as u8 } else { 0 }
    }
}

/// The bikes and free docks of a station in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Vehicles that can be rented.
    pub bikes: u16,
    /// Docks that take a vehicle.
    pub docks: u16,
}

impl Reading {
    /// Returns bikes and free docks together: the most bikes that the station can have now.
    pub fn places(self) -> usize {
        usize::from(self.bikes) + usize::from(self.docks)
    }

    /// Stands for a minute without a reading.
    const NONE: Self = Self {
        bikes: u16::MAX,
        docks: u16::MAX,
    };
}

/// Readings of a period. Minutes in which a station was out of service or not observed have none.
#[derive(Clone, Debug)]
pub struct Observations {
    start: i64,
    minutes: usize,
    stations: Vec<StationId>,
    /// For each station its readings, one a minute.
    readings: Vec<Vec<Reading>>,
    /// The slot of each minute, to the longest horizon behind the end.
    slots: Vec<u8>,
}

impl Observations {
    /// Returns the number of minutes of the period.
    pub fn minutes(&self) -> usize {
        self.minutes
    }

    /// Returns the instant of the first minute.
    pub fn start(&self) -> Timestamp {
        Timestamp::from_second(60 * self.start).unwrap_or_default()
    }

    /// Returns the stations. Their order is that of `station` in the other methods.
    pub fn stations(&self) -> &[StationId] {
        &self.stations
    }

    /// Returns what a station had in a minute of the period. `None` where it was out of service or was
    /// not observed.
    pub fn reading(&self, station: usize, minute: usize) -> Option<Reading> {
        let reading = *self.readings[station].get(minute)?;
        (reading != Reading::NONE).then_some(reading)
    }

    /// Returns the slot of a minute of the period, or of up to a day after it.
    pub fn slot(&self, minute: usize) -> usize {
        usize::from(self.slots[minute.min(self.slots.len() - 1)])
    }

    /// Counts the minutes of all stations that have a reading.
    pub fn station_minutes(&self) -> usize {
        let readings = self.readings.iter().flatten();
        readings
            .filter(|reading| **reading != Reading::NONE)
            .count()
    }

    /// Returns whether an event happened until `horizon` minutes after `minute`. `None` where that is
    /// not known: no reading at the start, none at the horizon (for an event at it), or readings in
    /// fewer than 4 of 5 minutes (for an event within it); also for an event within a horizon that had
    /// happened at the start already.
    pub fn outcome(
        &self,
        station: usize,
        minute: usize,
        horizon: usize,
        event: super::Event,
    ) -> Option<bool> {
        let now = self.reading(station, minute)?;
        if !event.is_within() {
            let then = self.reading(station, minute + horizon)?;
            return Some(event.count(then) == 0);
        }
        if event.count(now) == 0 || minute + horizon >= self.minutes {
            return None;
        }
        let window = &self.readings[station][minute + 1..=minute + horizon];
        let known = window.iter().filter(|reading| **reading != Reading::NONE);
        let (mut observed, mut happened) = (0, false);
        for reading in known {
            observed += 1;
            happened |= event.count(*reading) == 0;
        }
        (5 * observed >= 4 * horizon).then_some(happened)
    }
}

/// Collects snapshots of a period.
#[derive(Debug)]
pub struct ObservationsBuilder {
    calendar: Calendar,
    start: i64,
    minutes: usize,
    stations: Vec<StationId>,
    indexes: FxHashMap<StationId, usize>,
    readings: Vec<Vec<Reading>>,
    /// The minutes of snapshots, in ascending order.
    taken: Vec<usize>,
}

impl ObservationsBuilder {
    /// Begins a period. Snapshots outside of it are left out.
    pub fn new(calendar: Calendar, period: Range<Timestamp>) -> Self {
        let start = period.start.as_second().div_euclid(60);
        let end = period.end.as_second().div_euclid(60);
        Self {
            calendar,
            start,
            minutes: usize::try_from(end - start).unwrap_or(0),
            stations: Vec::new(),
            indexes: FxHashMap::default(),
            readings: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Adds a snapshot, unless it is older than the last one. Stations that are not in service, without
    /// a number of bikes or docks, or with neither, have no reading.
    pub fn add(&mut self, snapshot: &Snapshot) {
        let minute = snapshot.taken_at.as_second().div_euclid(60) - self.start;
        let Ok(minute) = usize::try_from(minute) else {
            return;
        };
        let is_older = self.taken.last().is_some_and(|last| *last > minute);
        if minute >= self.minutes || is_older || snapshot.kind == SnapshotKind::Information {
            return;
        }
        if self.taken.last() != Some(&minute) {
            self.taken.push(minute);
        }
        for station in &snapshot.stations {
            let index = *self.indexes.entry(station.id.clone()).or_insert_with(|| {
                self.stations.push(station.id.clone());
                self.readings.push(vec![Reading::NONE; self.minutes]);
                self.stations.len() - 1
            });
            let count = |n: Option<u32>| Some(u16::try_from(n?).ok()?.min(u16::MAX - 1));
            let is_in_service = matches!(station.status, None | Some(StationStatus::InService));
            let counts = count(station.available.vehicles).zip(count(station.available.docks));
            self.readings[index][minute] = match counts.filter(|(b, d)| is_in_service && b + d > 0)
            {
                Some((bikes, docks)) => Reading { bikes, docks },
                None => Reading::NONE,
            };
        }
    }

    /// Fills the minutes between snapshots: a reading holds for 3 minutes, or, where snapshots come more
    /// rarely, for one and a half times the median interval between them.
    pub fn finish(mut self) -> Observations {
        let mut intervals: Vec<usize> = self.taken.windows(2).map(|two| two[1] - two[0]).collect();
        intervals.sort_unstable();
        let median = intervals.get(intervals.len() / 2).copied().unwrap_or(1);
        let max_age = MAX_AGE_MIN.max((MAX_AGE_INTERVALS * median as f64).ceil() as usize);
        for readings in &mut self.readings {
            for (index, taken) in self.taken.iter().enumerate() {
                let next = self.taken.get(index + 1).copied().unwrap_or(self.minutes);
                let until = next.min(taken + 1 + max_age).min(self.minutes);
                let reading = readings[*taken];
                readings[taken + 1..until].fill(reading);
            }
        }
        let behind = 24 * 60;
        let slots = (0..self.minutes + behind)
            .map(|minute| self.calendar.slot(self.start + minute as i64))
            .collect();
        Observations {
            start: self.start,
            minutes: self.minutes,
            stations: self.stations,
            readings: self.readings,
            slots,
        }
    }
}

impl Observations {
    /// Returns the minutes at which local days begin after the first, as far as slots tell.
    pub(super) fn first_minutes_of_days(&self) -> Vec<usize> {
        let is_first = |minute: &usize| {
            let half_hour = |minute: usize| self.slot(minute) % HALF_HOURS;
            half_hour(*minute) == 0 && half_hour(minute - 1) == HALF_HOURS - 1
        };
        (1..self.minutes).filter(is_first).collect()
    }
}
