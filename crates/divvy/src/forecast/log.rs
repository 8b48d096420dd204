//! What a follower keeps between two runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::issue::Issue;
use super::record::Record;
use crate::model::{StationId, SystemId};
use crate::outlook::{LevelTracker, Reading, RecentTracker};
use crate::store::{ForecastPart, Forecasts, StoreError};

/// The version of both files. Another version is not read.
const VERSION: u32 = 3;

/// The readings of a station, one for each group of vehicles.
pub(super) type Readings = [Option<Reading>; 3];

/// What a follower keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Log {
    /// When the first snapshot that was followed was made.
    pub(super) since: Timestamp,
    /// The number and the time of the last snapshot that was followed.
    pub(super) number: u64,
    pub(super) taken_at: Timestamp,
    /// Until which minute forecasts have been issued by a log that the history did not contain. None is
    /// issued again for a minute until then: the record has them already.
    pub(super) issued_until: Option<i64>,
    /// The stations. Others name them by their index.
    pub(super) stations: Vec<StationId>,
    /// What each had in the last snapshot that was followed.
    pub(super) readings: Vec<Readings>,
    /// How busy the system is, by group of vehicles.
    pub(super) levels: [LevelTracker; 3],
    /// The last day and hour of each station, by group of vehicles.
    pub(super) recents: Vec<[RecentTracker; 3]>,
    /// The minute until which levels and stations were followed, and what stations had then. `None` before
    /// models are trained.
    pub(super) followed_minute: Option<i64>,
    pub(super) followed_readings: Vec<Readings>,
    /// When models were last tried to be trained, and why there are none.
    pub(super) tried: Option<(Timestamp, String)>,
    /// Forecasts that are not due yet.
    pub(super) issues: Vec<Issue>,
    /// Those that were.
    pub(super) record: Record,
}

/// Reads what is kept. `None` if nothing is, or what is kept cannot be read.
pub(super) async fn read<T: DeserializeOwned>(
    forecasts: &dyn Forecasts,
    system: &SystemId,
    part: ForecastPart,
) -> Result<Option<T>, StoreError> {
    let kept = forecasts.kept_forecasts(system, part).await?;
    let read = kept.and_then(|bytes| postcard::from_bytes::<(u32, T)>(&bytes).ok());
    Ok(read.and_then(|(version, kept)| (version == VERSION).then_some(kept)))
}

/// Replaces what is kept.
pub(super) async fn write<T: Serialize>(
    forecasts: &dyn Forecasts,
    system: &SystemId,
    part: ForecastPart,
    kept: &T,
) -> Result<(), StoreError> {
    let bytes = postcard::to_stdvec(&(VERSION, kept)).expect("these types have a form in postcard");
    forecasts.keep_forecasts(system, part, &bytes).await
}
