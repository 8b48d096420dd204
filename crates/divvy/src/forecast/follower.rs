//! Follows the history of a system snapshot by snapshot: issues forecasts, and scores them when they are
//! due.

mod steps;

use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::log::{self, Log, Readings};
use super::record::Record;
use super::training::Models;
use super::walk::calendar;
use crate::history::{SnapshotEntry, StateChange};
use crate::model::civil_date::day_of_ms;
use crate::model::{StationId, System};
use crate::outlook::{Calendar, Claim, Event, Reading, Vehicles, minute_of};
use crate::store::{ForecastPart, StationTable, StatusHistory, StoreError};

/// A log that ends so long before the newest snapshot is not followed further: forecasts begin again with
/// the newest.
const MAX_BEHIND: SignedDuration = SignedDuration::from_hours(24);
/// A forecast for a station that has not changed is used again for so many minutes.
const CLAIM_MAX_AGE_MIN: i64 = 5;

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
    /// What each station has now.
    current: Vec<Readings>,
    /// Forecasts that were asked for, by station and horizon, with the minute in which they were made:
    /// those of a station are dropped when it changes.
    claims: FxHashMap<(usize, usize), (i64, Option<Claim>)>,
    /// The hour of the last snapshot when the log was kept last.
    kept_hour: i64,
    /// Whether models were trained that are not kept yet.
    has_new_models: bool,
    may_train: bool,
}

/// The forecasts for one group of the vehicles of a station.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupClaims {
    /// The vehicles.
    pub vehicles: Vehicles,
    /// What the station has now.
    pub now: Reading,
    /// A claim a horizon, in their order.
    pub claims: Vec<Claim>,
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
        let system = self.system.id.clone();
        let Some((number, from)) = self.log.as_ref().map(|log| (log.number, log.taken_at)) else {
            return self.follow_newest(history).await;
        };
        let entries = history.snapshots(&system, from, Timestamp::MAX).await?;
        // A history without the log's last snapshot was repaired, was restored from a backup, or lost what
        // was not on the disk yet when the computer stopped.
        let is_in_history = entries
            .iter()
            .any(|entry| (entry.number, entry.taken_at) == (number, from));
        let is_behind = |newest: &SnapshotEntry| newest.taken_at.duration_since(from) > MAX_BEHIND;
        if !is_in_history || entries.last().is_some_and(is_behind) {
            return self.follow_newest(history).await;
        }
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
        // Models that were lost are trained again, also where no snapshot has come since.
        match self.taken_at().filter(|_| self.models.is_none()) {
            Some(at) if self.is_training_due(at) => self.train(history, at).await,
            _ => Ok(()),
        }
    }

    /// Begins with the newest snapshot. Where that is one that was followed before, it is followed again,
    /// but no forecast is issued twice: see [`Log::issued_until`].
    async fn follow_newest(&mut self, history: &dyn StatusHistory) -> Result<(), StoreError> {
        let newest = history.as_of(&self.system.id, Timestamp::MAX).await?;
        let Some(newest) = newest else {
            return Ok(());
        };
        self.begin(&newest.snapshot);
        for (station, state) in &newest.states {
            self.set(station, Some(state));
        }
        self.snapshot(history, &newest.snapshot).await
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

    /// Returns when the newest snapshot was made. `None` before the first.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.log.as_ref().map(|log| log.taken_at)
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

    /// Forecasts a station at horizons, ascending: what it has now, and a claim a horizon. `None` where it
    /// has no reading, or neither a bike nor a dock, and where the group of vehicles has no model.
    pub fn claims(
        &self,
        station: &StationId,
        vehicles: Vehicles,
        horizons: &[usize],
    ) -> Option<(Reading, Vec<Claim>)> {
        let of_group = self
            .claims_of_groups(station, &[vehicles], horizons)
            .pop()?;
        Some((of_group.now, of_group.claims))
    }

    /// Forecasts a station for groups of vehicles, see [`Self::claims`]. Groups without a forecast are left
    /// out. The claims of a group are bounded by those of all vehicles: see [`Claim::bounded_by`].
    pub fn claims_of_groups(
        &self,
        station: &StationId,
        groups: &[Vehicles],
        horizons: &[usize],
    ) -> Vec<GroupClaims> {
        let all = self.claims_of_model(station, Vehicles::All, horizons);
        let of_group = |vehicles: &Vehicles| {
            let mut of_group = match *vehicles {
                Vehicles::All => return all.clone(),
                vehicles => self.claims_of_model(station, vehicles, horizons)?,
            };
            let all = all.iter().flat_map(|all| &all.claims);
            for (claim, all) in of_group.claims.iter_mut().zip(all) {
                claim.bounded_by(all);
            }
            Some(of_group)
        };
        groups.iter().filter_map(of_group).collect()
    }

    /// Forecasts a station by the model of a group of vehicles alone.
    fn claims_of_model(
        &self,
        station: &StationId,
        vehicles: Vehicles,
        horizons: &[usize],
    ) -> Option<GroupClaims> {
        let log = self.log.as_ref()?;
        let group = self.usable_models()?.group(vehicles)?;
        let index = *self.indexes.get(station)?;
        let now = self.current[index][vehicles as usize]?;
        if group.model.rates(station).places(now) == 0 {
            return None;
        }
        let minute = minute_of(log.taken_at);
        let slot = |ahead: usize| usize::from(self.calendar.slot(minute + ahead as i64));
        let level = log.levels[vehicles as usize].level();
        let claims = group
            .model
            .claims(station, (vehicles, now), level, horizons, slot);
        Some(GroupClaims {
            vehicles,
            now,
            claims,
        })
    }

    /// Returns the probability that an event happens to a station at or within so many minutes from the
    /// newest snapshot on, 1 where it is the case now. `None` where it is not forecast.
    ///
    /// It is calculated when it is asked for, and again when the station has changed, or after five minutes.
    pub fn probability(
        &mut self,
        station: &StationId,
        event: Event,
        minutes: usize,
    ) -> Option<f64> {
        let now = minute_of(self.taken_at()?);
        let index = *self.indexes.get(station)?;
        let key = (index, minutes);
        let is_current = |(made, _): &&(i64, Option<Claim>)| now - *made < CLAIM_MAX_AGE_MIN;
        if self.claims.get(&key).filter(is_current).is_none() {
            let claims = self.claims(station, Vehicles::All, &[minutes]);
            let claim = claims.and_then(|(_, mut claims)| claims.pop());
            self.claims.insert(key, (now, claim));
        }
        let reading = self.current[index][Vehicles::All as usize]?;
        if event.is_within() && event.count(reading) == Some(0) {
            return Some(1.0);
        }
        self.claims.get(&key)?.1.as_ref()?.probability(event)
    }
}

/// Returns the minute of the hour in which forecasts for a station are issued: stations are spread evenly.
pub fn minute_of_hour(station: &StationId) -> i64 {
    (xxh3_64(station.as_str().as_bytes()) % 60) as i64
}
