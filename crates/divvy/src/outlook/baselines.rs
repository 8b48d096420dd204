//! Simpler forecasts, which the model has to beat.

use rustc_hash::FxHashMap;

use super::Event;
use super::calendar::SLOTS;
use super::observations::{Observations, Reading};
use crate::model::StationId;

/// One snapshot in so many minutes of the training is an observation of the baselines.
const STEP_MIN: usize = 5;
/// The weight of the more general frequency against the observations of a slot: that of four hours.
const WEIGHT: f64 = 240.0 / STEP_MIN as f64;
/// Numbers of bikes or docks from here on are taken as one.
const MAX_COUNT: usize = 60;

/// The forecasts for one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Baseline {
    /// The present state persists.
    pub(super) persistence: f64,
    /// How often it happened at this station in this half hour of weekdays or days off.
    pub(super) climatology: f64,
    /// How often it happened at stations with as many bikes (docks), whatever the hour.
    pub(super) bikes_table: f64,
}

/// Observations, and those in which the event happened.
#[derive(Clone, Copy, Debug, Default)]
struct Frequency {
    observed: f64,
    happened: f64,
}

impl Frequency {
    fn add(&mut self, happened: bool) {
        self.observed += 1.0;
        self.happened += f64::from(u8::from(happened));
    }

    /// Returns the frequency, shrunk to `prior` with a weight.
    fn shrunk(self, prior: f64, weight: f64) -> f64 {
        (self.happened + weight * prior) / (self.observed + weight)
    }
}

/// The frequencies of one event at one horizon.
#[derive(Clone, Debug)]
struct Table {
    event: Event,
    by_count: Vec<Frequency>,
    by_station: Vec<Frequency>,
    by_slot: Vec<[Frequency; SLOTS]>,
    all: Frequency,
}

/// What happened in training.
#[derive(Clone, Debug)]
pub(super) struct Baselines {
    /// For each horizon, the tables of all events.
    tables: Vec<Vec<Table>>,
    indexes: FxHashMap<StationId, usize>,
}

impl Baselines {
    pub(super) fn of(observations: &Observations, horizons: &[usize]) -> Self {
        let table = |horizon: &usize| {
            let of = |event| Table::of(observations, *horizon, event);
            Event::ALL.into_iter().map(of).collect()
        };
        Self {
            tables: horizons.iter().map(table).collect(),
            indexes: observations.stations().iter().cloned().zip(0..).collect(),
        }
    }

    /// Returns the forecasts for a station, by the index of the horizon.
    pub(super) fn forecast(
        &self,
        horizon: usize,
        event: Event,
        station: &StationId,
        now: Reading,
        slot: usize,
    ) -> Baseline {
        let table = &self.tables[horizon][event as usize];
        let overall = table.all.shrunk(0.0, 1.0);
        let climatology = match self.indexes.get(station) {
            None => overall,
            Some(index) => {
                let usual = table.by_station[*index].shrunk(overall, WEIGHT);
                table.by_slot[*index][slot].shrunk(usual, WEIGHT)
            }
        };
        let count = usize::from(event.count(now).unwrap_or(0));
        Baseline {
            persistence: f64::from(u8::from(count == 0)),
            climatology,
            bikes_table: table.by_count[count.min(MAX_COUNT)].shrunk(overall, 1.0),
        }
    }
}

impl Table {
    fn of(observations: &Observations, horizon: usize, event: Event) -> Self {
        let stations = observations.stations().len();
        let mut table = Self {
            event,
            by_count: vec![Frequency::default(); MAX_COUNT + 1],
            by_station: vec![Frequency::default(); stations],
            by_slot: vec![[Frequency::default(); SLOTS]; stations],
            all: Frequency::default(),
        };
        for station in 0..stations {
            for minutes in (0..observations.minutes()).step_by(STEP_MIN) {
                let first = observations.snapshots(minutes..minutes + STEP_MIN).next();
                if let Some(snapshot) = first {
                    table.add(observations, station, snapshot, horizon);
                }
            }
        }
        table
    }

    fn add(
        &mut self,
        observations: &Observations,
        station: usize,
        snapshot: usize,
        horizon: usize,
    ) {
        let Some((minute, now)) = observations.at_snapshot(station, snapshot) else {
            return;
        };
        let Some(happened) = observations.outcome(station, minute, horizon, self.event) else {
            return;
        };
        let count = usize::from(self.event.count(now).unwrap_or(0)).min(MAX_COUNT);
        let slot = observations.slot(minute);
        for frequency in [
            &mut self.by_count[count],
            &mut self.by_station[station],
            &mut self.by_slot[station][slot],
            &mut self.all,
        ] {
            frequency.add(happened);
        }
    }
}
