//! Follows the history of a system snapshot by snapshot: issues forecasts, and scores them when they are
//! due.

mod beginning;
mod claims;
mod steps;

pub use claims::GroupClaims;

use jiff::Timestamp;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::log::{self, Log, Readings};
use super::record::Record;
use super::training::Models;
use super::walk::calendar;
use crate::history::{SnapshotEntry, StateChange};
use crate::model::civil_date::day_of_ms;
use crate::model::{StationId, System};
use crate::outlook::faults::FaultFilter;
use crate::outlook::{Calendar, Claim, minute_of};
use crate::store::{ForecastPart, StationTable, StatusHistory, StoreError};

/// Follows the history of a system.
pub struct Follower {
    system: System,
    calendar: Calendar,
    /// `None` before the first snapshot.
    log: Option<Log>,
    models: Option<Models>,
    indexes: FxHashMap<StationId, usize>,
    /// The minute of the hour in which forecasts for each station are issued.
    minutes_of_hour: Vec<i64>,
    /// What each station has in the newest snapshot, also where that one is not followed.
    current: Vec<Readings>,
    /// Forecasts that were asked for, by station and horizon, with the minute in which they were made:
    /// those of a station are dropped when it changes.
    claims: FxHashMap<(usize, usize), (i64, Option<Claim>)>,
    /// The hour of the last snapshot when the log was kept last.
    kept_hour: i64,
    /// Whether models were trained that are not kept yet.
    has_new_models: bool,
    may_train: bool,
    /// Finds snapshots that are not followed, because most stations have lost all bikes at once.
    faults: FaultFilter,
    /// How many of the newest snapshots are such.
    left_out: usize,
}

impl Follower {
    /// Continues where the log that is kept ends. Without one it begins with the newest snapshot.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn open(store: &dyn StationTable, system: &System) -> Result<Self, StoreError> {
        let mut follower = Self {
            system: system.clone(),
            calendar: calendar(system),
            log: None,
            models: None,
            indexes: FxHashMap::default(),
            minutes_of_hour: Vec::new(),
            current: Vec::new(),
            claims: FxHashMap::default(),
            kept_hour: i64::MIN,
            has_new_models: false,
            may_train: true,
            faults: FaultFilter::default(),
            left_out: 0,
        };
        if let Some(forecasts) = store.forecasts() {
            let log: Option<Log> = log::read(forecasts, &system.id, ForecastPart::Log).await?;
            follower.models = log::read(forecasts, &system.id, ForecastPart::Models).await?;
            if let Some(log) = log {
                follower.current.clone_from(&log.readings);
                follower.kept_hour = minute_of(log.taken_at).div_euclid(60);
                for (index, station) in log.stations.iter().enumerate() {
                    follower.indexes.insert(station.clone(), index);
                    follower.minutes_of_hour.push(minute_of_hour(station));
                }
                follower.log = Some(log);
            }
        }
        Ok(follower)
    }

    /// Follows the history to its end, and keeps what came of it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn update(store: &dyn StationTable, system: &System) -> Result<(), StoreError> {
        let mut follower = Self::open(store, system).await?;
        follower.follow(store).await?;
        follower.keep(store).await
    }

    /// Allows models to be trained, or not. They may in the beginning.
    pub fn allow_training(&mut self, may_train: bool) {
        self.may_train = may_train;
    }

    /// Follows the snapshots that were made since the last call, and trains models where there are none or
    /// they are too old: that takes seconds. Nothing is kept. Without effect on a store without a history.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn follow(&mut self, store: &dyn StationTable) -> Result<(), StoreError> {
        let Some(history) = store.history() else {
            return Ok(());
        };
        let entries = match self.entries_from_last(history).await? {
            Some(entries) => entries,
            None => {
                self.follow_newest(history).await?;
                self.entries_from_last(history).await?.unwrap_or_default()
            }
        };
        self.follow_later(history, entries).await?;
        // Models that were lost are trained again, also where no snapshot has come since.
        match self.taken_at().filter(|_| self.models.is_none()) {
            Some(at) if self.is_training_due(at) => self.train(history, at).await,
            _ => Ok(()),
        }
    }

    /// Follows the snapshots after the last one that was followed, with which `entries` begin.
    async fn follow_later(
        &mut self,
        history: &dyn StatusHistory,
        entries: Vec<SnapshotEntry>,
    ) -> Result<(), StoreError> {
        let Some((number, from)) = self.log.as_ref().map(|log| (log.number, log.taken_at)) else {
            return Ok(());
        };
        let system = self.system.id.clone();
        let mut changes: Vec<StateChange> = Vec::new();
        let mut collect = |change: &StateChange| {
            if change.snapshot > number {
                changes.push(change.clone());
            }
        };
        history
            .each_state_change(&system, from, Timestamp::MAX, &mut collect)
            .await?;
        changes.sort_by_key(|change| change.snapshot);
        // Snapshots that were not followed are read again.
        self.faults = FaultFilter::default();
        self.left_out = 0;
        let mut changes = changes.into_iter().peekable();
        for entry in entries {
            if entry.number <= number {
                continue;
            }
            while let Some(change) = changes.next_if(|change| change.snapshot <= entry.number) {
                self.set(&change.station, change.state.as_ref());
            }
            self.snapshot(history, &entry).await?;
        }
        Ok(())
    }

    /// Follows, and keeps the log once an hour of the feed's time, and new models at once.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn follow_and_keep(&mut self, store: &dyn StationTable) -> Result<(), StoreError> {
        self.follow(store).await?;
        let hour = self
            .log
            .as_ref()
            .map(|log| minute_of(log.taken_at).div_euclid(60));
        match hour.is_some_and(|hour| hour != self.kept_hour) || self.has_new_models {
            true => self.keep(store).await,
            false => Ok(()),
        }
    }

    /// Keeps the log, and models that are new. The log comes first: models that it does not end before are
    /// used only for later snapshots.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn keep(&mut self, store: &dyn StationTable) -> Result<(), StoreError> {
        let (Some(forecasts), Some(log)) = (store.forecasts(), &mut self.log) else {
            return Ok(());
        };
        log.record.fold(day_of_ms(log.taken_at.as_millisecond()));
        log::write(forecasts, &self.system.id, ForecastPart::Log, log).await?;
        self.kept_hour = minute_of(log.taken_at).div_euclid(60);
        if self.has_new_models
            && let Some(models) = &self.models
        {
            log::write(forecasts, &self.system.id, ForecastPart::Models, models).await?;
            self.has_new_models = false;
        }
        Ok(())
    }

    /// Returns when the newest snapshot was made that is followed. `None` before the first.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.log.as_ref().map(|log| log.taken_at)
    }

    /// Returns how many of the newest snapshots are not followed, because most stations have lost all bikes, or all
    /// free docks, at once. Forecasts are those from the snapshot before them.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns when the first snapshot that was followed was made. `None` before that.
    pub fn since(&self) -> Option<Timestamp> {
        self.log.as_ref().map(|log| log.since)
    }

    /// Returns the models. `None` before they are trained.
    pub fn models(&self) -> Option<&Models> {
        self.models.as_ref()
    }

    /// Returns why the last training made no models. `None` if there are models.
    pub fn untrained(&self) -> Option<&str> {
        let tried = self.log.as_ref()?.tried.as_ref()?;
        Some(&tried.1)
    }

    /// Returns how good the forecasts were that are due. `None` before the first snapshot.
    pub fn record(&self) -> Option<&Record> {
        self.log.as_ref().map(|log| &log.record)
    }
}

/// Returns the minute of the hour in which forecasts for a station are issued: stations are spread evenly.
pub fn minute_of_hour(station: &StationId) -> i64 {
    (xxh3_64(station.as_str().as_bytes()) % 60) as i64
}
