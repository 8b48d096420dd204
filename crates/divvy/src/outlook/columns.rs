//! Collects the readings of a period by station, from the changes of each.

use std::ops::Range;

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::builder::{self, minute_of};
use super::calendar::Calendar;
use super::observations::{Observations, Reading};
use crate::model::StationId;

/// Collects the readings of snapshots whose times are known before, from the changes of each station: in
/// the memory that the observations need, whatever the number of changes.
#[derive(Debug)]
pub struct ColumnsBuilder {
    period: builder::Period,
    /// The times of the snapshots, ascending and each of another minute.
    taken: Vec<Timestamp>,
    stations: Vec<StationId>,
    indexes: FxHashMap<StationId, usize>,
    /// For each station its readings until the last change.
    readings: Vec<Vec<Reading>>,
    /// What each station has had since then.
    current: Vec<Reading>,
}

impl ColumnsBuilder {
    /// Begins a period with snapshots made at `taken`, ascending. Those outside of the period, and all
    /// but the first of a minute, are left out, and the indexes of snapshots are those of the others.
    pub fn new(calendar: Calendar, period: &Range<Timestamp>, taken: &[Timestamp]) -> Self {
        let within = period.start..period.end;
        let mut taken: Vec<Timestamp> = taken.to_vec();
        taken.retain(|at| within.contains(at) && minute_of(*at) < minute_of(period.end));
        taken.dedup_by_key(|at| minute_of(*at));
        Self {
            period: builder::Period::new(calendar, period),
            taken,
            stations: Vec::new(),
            indexes: FxHashMap::default(),
            readings: Vec::new(),
            current: Vec::new(),
        }
    }

    /// Sets what a station has had since a snapshot, by its index: `None` for no reading. The changes of
    /// a station have to come in order.
    pub fn set(&mut self, station: &StationId, since: usize, reading: Option<Reading>) {
        let index = self.index(station);
        let readings = &mut self.readings[index];
        if since > readings.len() {
            readings.resize(since.min(self.taken.len()), self.current[index]);
        }
        readings.truncate(since);
        self.current[index] = reading.unwrap_or(Reading::NONE);
    }

    /// Completes the period. Snapshots in which most stations have lost all bikes, or all free docks, at once
    /// are left out if `finds_faults`.
    pub fn finish(mut self, finds_faults: bool) -> Observations {
        for (readings, current) in self.readings.iter_mut().zip(&self.current) {
            readings.resize(self.taken.len(), *current);
        }
        self.period
            .observations(&self.taken, self.stations, self.readings, finds_faults)
    }

    fn index(&mut self, station: &StationId) -> usize {
        if let Some(index) = self.indexes.get(station) {
            return *index;
        }
        let index = self.stations.len();
        self.indexes.insert(station.clone(), index);
        self.stations.push(station.clone());
        self.readings.push(Vec::with_capacity(self.taken.len()));
        self.current.push(Reading::NONE);
        index
    }
}
