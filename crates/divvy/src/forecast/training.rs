//! Models of a system, trained on the last weeks of its history.

use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::HORIZONS;
use super::walk::walk;
use crate::history::AsOf;
use crate::model::{StationId, System};
use crate::numerals::plural;
use crate::outlook::{
    Cadence, LevelTracker, Model, Observations, OutlookError, RecentTracker, Vehicles, minute_of,
};
use crate::store::{StatusHistory, StoreError};

/// How many days of history models are trained on, if there are as many.
pub const DAYS: i64 = 28;
/// The fewest days with readings that models are trained on.
pub const LEAST_DAYS: usize = 2;
/// The most readings of a training: of more, snapshots are left out. A reading has 4 bytes.
const MAX_READINGS: usize = 32 << 20;
/// How many readings calibration is fitted to.
const SAMPLES: usize = 150_000;
/// The seed of the draw of these readings.
const SEED: u64 = 1;
/// How many minutes before its end a training is read for the level of the system then: older flows
/// weigh less than 1/20.
const LEVEL_MIN: usize = 3 * 24 * 60;

/// The models of a system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// The last minute of the training ends here.
    pub until: Timestamp,
    /// The days of the training that have readings.
    pub days: usize,
    /// The snapshots of the period of the training.
    pub snapshots: usize,
    /// How often these come.
    pub cadence: Cadence,
    /// Snapshots less than so many minutes after the one before are not used. 1: all are, but for several
    /// in one minute.
    pub step_min: usize,
    /// Each group of vehicles that the feed counts, with its model.
    pub groups: Vec<Group>,
}

/// The model of one group of vehicles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The vehicles.
    pub vehicles: Vehicles,
    /// What was trained.
    pub model: Model,
}

/// What forecasts of a group of vehicles depend on, beside its model, at the end of the training.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// How busy the system is.
    pub level: LevelTracker,
    /// The last day and hour of each station.
    pub recents: FxHashMap<StationId, RecentTracker>,
}

/// Why there are no models.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrained {
    /// The history is too short.
    #[error("forecasts need readings on {LEAST_DAYS} days, the last for at least 12 hours: the history has {}", plural(*days as i64, "day"))]
    TooFewDays {
        /// The days with readings that begin 12 hours before the end or earlier.
        days: usize,
    },
    /// No horizon has enough outcomes to be calibrated by.
    #[error("the history is too short for forecasts: {0}")]
    NoHorizon(OutlookError),
}

impl Models {
    /// Returns the model of a group of vehicles. `None` where the feed does not count them.
    pub fn group(&self, vehicles: Vehicles) -> Option<&Group> {
        self.groups.iter().find(|group| group.vehicles == vehicles)
    }

    /// Returns the age after which models are trained again: a quarter of the length of the training, and
    /// at least a day. That is a week once there are 28 days.
    pub fn max_age(&self) -> SignedDuration {
        SignedDuration::from_hours((self.days as i64 * 6).max(24))
    }
}

/// Trains the models of a system on the 28 days until the end of the minute of `last`. With them it returns the
/// end of the training for each of their groups.
///
/// # Errors
///
/// Those of the store.
pub async fn train(
    history: &dyn StatusHistory,
    system: &System,
    last: Timestamp,
) -> Result<Result<(Models, Vec<End>), Untrained>, StoreError> {
    let until = Timestamp::from_second(60 * (minute_of(last) + 1)).unwrap_or(last);
    let period = until - SignedDuration::from_hours(24 * DAYS)..until;
    let entries = history
        .snapshots(&system.id, period.start, period.end)
        .await?;
    let now = history.as_of(&system.id, last).await?;
    let stations = now.as_ref().map_or(0, |now| now.states.len());
    let step_min = (entries.len() * stations).div_ceil(MAX_READINGS).max(1);
    drop(entries);
    let mut models = Models {
        until,
        days: 0,
        snapshots: 0,
        cadence: Cadence::of(&[]),
        step_min,
        groups: Vec::new(),
    };
    let mut ends = Vec::new();
    let mut faults = Vec::new();
    for vehicles in counted(now.as_ref()) {
        let walked = walk(history, system, &period, vehicles, step_min, &faults).await?;
        let observations = walked.observations;
        let days = observations.count_days();
        let model = match train_group(&observations) {
            Ok(model) => model,
            Err(untrained) if vehicles == Vehicles::All => return Ok(Err(untrained)),
            Err(_) => continue,
        };
        if vehicles == Vehicles::All {
            models.days = days;
            models.snapshots = walked.snapshots;
            models.cadence = walked.cadence;
            faults = walked.faults;
        }
        let from = observations.minutes().saturating_sub(LEVEL_MIN);
        ends.push(End {
            level: model.level_tracker(&observations, from),
            recents: model.recent_trackers(&observations),
        });
        models.groups.push(Group { vehicles, model });
    }
    Ok(Ok((models, ends)))
}

fn train_group(observations: &Observations) -> Result<Model, Untrained> {
    let trained = Model::train(observations, &HORIZONS, SAMPLES, SEED);
    let model = trained.map_err(|error| match error {
        OutlookError::TooFewDays { days } => Untrained::TooFewDays { days },
        OutlookError::NoHorizon { .. } => Untrained::NoHorizon(error),
    })?;
    if model.horizons().is_empty() {
        return Err(Untrained::NoHorizon(OutlookError::NoHorizon {
            left_out: model.left_out().to_vec(),
        }));
    }
    Ok(model)
}

/// Returns the groups of vehicles that any station counts.
fn counted(now: Option<&AsOf>) -> Vec<Vehicles> {
    let states = || now.into_iter().flat_map(|now| now.states.values());
    let is_counted = |vehicles: &Vehicles| {
        *vehicles == Vehicles::All
            || states().any(|state| vehicles.count(&state.available).is_some())
    };
    Vehicles::ALL.into_iter().filter(is_counted).collect()
}
