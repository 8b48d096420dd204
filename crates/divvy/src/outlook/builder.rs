//! Collects the snapshots of a period.

use std::ops::Range;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::cadence::Cadence;
use super::calendar::Calendar;
use super::faults;
use super::observations::{Observations, Reading, Vehicles};
use crate::model::{Snapshot, SnapshotKind, Station, StationId};

/// A snapshot that is so many minutes after the last one is taken if the next one is not older: a
/// feed's clock may be wrong for one snapshot.
const JUMP_MIN: i64 = 30;
/// A station whose own report is older than this is not observed: it is switched off or has no
/// connection, and the feed repeats its last state. A shorter limit would leave out stations in systems
/// where a station reports only when a vehicle comes or goes.
const MAX_REPORT_AGE_S: i64 = 24 * 3600;
/// Slots are kept for so many minutes after the period, for forecasts at its end.
const SLOTS_BEHIND: usize = 24 * 60;

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is taken, if the next snapshot does not show that its time is wrong.
    Taken,
    /// It has no states.
    Information,
    /// It was made before the period or after it.
    OutsidePeriod,
    /// It is older than the last one.
    Older,
    /// It is taken, and the snapshot before it is not: that one was made more than 30 minutes after the
    /// snapshot before it, and after this one.
    LastRevoked,
}

/// Collects snapshots of a period.
#[derive(Debug)]
pub struct ObservationsBuilder {
    calendar: Calendar,
    start: i64,
    minutes: usize,
    stations: Vec<StationId>,
    indexes: FxHashMap<StationId, usize>,
    /// The times of the snapshots until the last but one.
    taken: Vec<Timestamp>,
    /// For each station its readings in these snapshots.
    readings: Vec<Vec<Reading>>,
    /// The last snapshot, which the next one may revoke.
    last: Option<Row>,
}

/// The minutes that are observed.
#[derive(Debug)]
pub(super) struct Period {
    pub(super) calendar: Calendar,
    /// The first minute, since 1970 (UTC).
    pub(super) start: i64,
    pub(super) minutes: usize,
}

impl Period {
    pub(super) fn new(calendar: Calendar, period: &Range<Timestamp>) -> Self {
        let start = minute_of(period.start);
        Self {
            calendar,
            start,
            minutes: usize::try_from(minute_of(period.end) - start).unwrap_or(0),
        }
    }

    /// Makes the observations of snapshots made at ascending times, with the readings of each station. Snapshots
    /// in which most stations have lost all bikes, or all free docks, at once are left out if `finds_faults`: see
    /// [`faults`].
    pub(super) fn observations(
        self,
        taken: &[Timestamp],
        stations: Vec<StationId>,
        mut readings: Vec<Vec<Reading>>,
        finds_faults: bool,
    ) -> Observations {
        let mut minutes: Vec<i64> = taken.iter().map(|at| minute_of(*at) - self.start).collect();
        let mut faults = Vec::new();
        if finds_faults {
            let is_fault = faults::find(&minutes, &readings);
            let of_faults = minutes
                .iter()
                .zip(&is_fault)
                .filter(|(_, is_fault)| **is_fault);
            faults.extend(of_faults.map(|(minute, _)| *minute as usize));
            for station in &mut readings {
                keep_unless(station, &is_fault);
            }
            keep_unless(&mut minutes, &is_fault);
        }
        let cadence = Cadence::of(&minutes);
        let taken: Vec<usize> = minutes.into_iter().map(|minute| minute as usize).collect();
        let mut taken_until = vec![0; self.minutes];
        taken.iter().for_each(|minute| taken_until[*minute] += 1);
        let mut sum = 0;
        for count in &mut taken_until {
            sum += *count;
            *count = sum;
        }
        let is_dock = |reading: &Reading| *reading != Reading::NONE && reading.docks > 0;
        let minutes = 0..self.minutes + SLOTS_BEHIND;
        Observations {
            minutes: self.minutes,
            has_docks: readings.iter().map(|of| of.iter().any(is_dock)).collect(),
            slots: minutes
                .map(|minute| self.calendar.slot(self.start + minute as i64))
                .collect(),
            cadence,
            faults,
            stations,
            taken,
            taken_until,
            readings,
        }
    }
}

/// Removes the items that are marked.
fn keep_unless<T>(items: &mut Vec<T>, marked: &[bool]) {
    let mut marks = marked.iter();
    items.retain(|_| marks.next() == Some(&false));
}

/// Returns the minute of an instant, since 1970 (UTC).
pub fn minute_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// The readings of one snapshot.
#[derive(Debug)]
struct Row {
    taken_at: Timestamp,
    /// By the index of the station. Stations that are found later are not in it.
    readings: Vec<Reading>,
}

impl ObservationsBuilder {
    /// Begins a period. Snapshots outside of it are left out.
    pub fn new(calendar: Calendar, period: Range<Timestamp>) -> Self {
        let Period {
            calendar,
            start,
            minutes,
        } = Period::new(calendar, &period);
        Self {
            calendar,
            start,
            minutes,
            stations: Vec::new(),
            indexes: FxHashMap::default(),
            taken: Vec::new(),
            readings: Vec::new(),
            last: None,
        }
    }

    /// Adds a snapshot. Snapshots have to be added in the order in which they were fetched.
    ///
    /// A station has no reading if it is not in service, has no number of bikes or docks, has more than
    /// 1,000 of both, or reported last more than a day before. Where the feed states no time of the
    /// report, the time of the snapshot alone counts.
    pub fn add(&mut self, snapshot: &Snapshot) -> Added {
        if snapshot.kind == SnapshotKind::Information {
            return Added::Information;
        }
        let minute = self.minute(snapshot.taken_at);
        if !(0..self.minutes as i64).contains(&minute) {
            return Added::OutsidePeriod;
        }
        let mut added = Added::Taken;
        if let Some(last) = self.last.take() {
            let is_older = snapshot.taken_at < last.taken_at;
            if is_older && !self.is_revoked_by(&last, snapshot.taken_at) {
                self.last = Some(last);
                return Added::Older;
            }
            match is_older {
                true => added = Added::LastRevoked,
                false => self.take(last),
            }
        }
        let mut readings = vec![Reading::NONE; self.stations.len()];
        for station in &snapshot.stations {
            let index = self.index(&station.id);
            if index >= readings.len() {
                readings.resize(index + 1, Reading::NONE);
            }
            readings[index] = reading(station, snapshot.taken_at).unwrap_or(Reading::NONE);
        }
        self.last = Some(Row {
            taken_at: snapshot.taken_at,
            readings,
        });
        added
    }

    /// Returns the time of the newest snapshot that no other one can revoke.
    pub fn last_taken(&self) -> Option<Timestamp> {
        self.taken.last().copied()
    }

    /// Completes the period.
    pub fn finish(mut self) -> Observations {
        if let Some(last) = self.last.take() {
            self.take(last);
        }
        let period = Period {
            calendar: self.calendar,
            start: self.start,
            minutes: self.minutes,
        };
        period.observations(&self.taken, self.stations, self.readings, true)
    }

    /// Returns whether a snapshot of an earlier time shows that the time of `last` is wrong. It does
    /// not if it is older than the snapshot before `last`, too.
    fn is_revoked_by(&self, last: &Row, earlier: Timestamp) -> bool {
        let before = self.last_taken();
        let since = before.map_or(self.start, |before| before.as_second().div_euclid(60));
        let minute = last.taken_at.as_second().div_euclid(60);
        minute - since > JUMP_MIN && before.is_none_or(|before| before <= earlier)
    }

    /// Takes a snapshot. It replaces one of the same minute.
    fn take(&mut self, snapshot: Row) {
        let minute = self.minute(snapshot.taken_at);
        let last = self.last_taken();
        if last.is_some_and(|last| self.minute(last) == minute) {
            self.taken.pop();
        }
        let before = self.taken.len();
        for (station, readings) in self.readings.iter_mut().enumerate() {
            readings.truncate(before);
            let reading = snapshot.readings.get(station);
            readings.push(reading.copied().unwrap_or(Reading::NONE));
        }
        self.taken.push(snapshot.taken_at);
    }

    /// Returns the minute of the period. Below 0 before it.
    fn minute(&self, at: Timestamp) -> i64 {
        at.as_second().div_euclid(60) - self.start
    }

    fn index(&mut self, station: &StationId) -> usize {
        if let Some(index) = self.indexes.get(station) {
            return *index;
        }
        let index = self.stations.len();
        self.indexes.insert(station.clone(), index);
        self.stations.push(station.clone());
        self.readings.push(vec![Reading::NONE; self.taken.len()]);
        index
    }
}

fn reading(station: &Station, taken_at: Timestamp) -> Option<Reading> {
    let age_s = |reported: Timestamp| taken_at.as_second() - reported.as_second();
    let is_current = station
        .reported_at
        .is_none_or(|reported| age_s(reported) <= MAX_REPORT_AGE_S);
    let reading = Reading::of(station.status.as_ref(), &station.available, Vehicles::All);
    reading.filter(|_| is_current)
}
