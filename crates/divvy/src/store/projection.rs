//! The columns of stored trips that a scan reads.

use crate::model::{StationId, TripBatch};

/// Which columns, and which trips, a scan has to read. Starts are always read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// Local start times, in milliseconds since 1970-01-01T00:00: from the first up to the last,
    /// excluding it. `None` for all. Trips outside may be passed on as well.
    pub started_ms: Option<(i64, i64)>,
    /// Ids of the stations at which trips start. `None` for all. Trips of others may be passed on as
    /// well.
    pub origins: Option<Vec<StationId>>,
    /// Origins and destinations.
    pub stations: bool,
    /// End times, and reported durations.
    pub ends: bool,
    /// Riders.
    pub riders: bool,
    /// Bike types.
    pub bikes: bool,
    /// Genders and years of birth.
    pub people: bool,
    /// Coordinates.
    pub positions: bool,
    /// Flags.
    pub flags: bool,
}

impl Projection {
    /// Removes all other columns from a batch: they become empty vectors, so that reading a column
    /// which was not requested panics instead of returning a wrong value.
    pub fn apply(&self, batch: TripBatch) -> TripBatch {
        fn keep<T>(column: Vec<T>, is_kept: bool) -> Vec<T> {
            if is_kept { column } else { Vec::new() }
        }
        TripBatch {
            started_ms: batch.started_ms,
            started_offset_s: keep(batch.started_offset_s, self.ends),
            ended_ms: keep(batch.ended_ms, self.ends),
            ended_offset_s: keep(batch.ended_offset_s, self.ends),
            reported_s: keep(batch.reported_s, self.ends),
            origin: keep(batch.origin, self.stations),
            destination: keep(batch.destination, self.stations),
            bike: keep(batch.bike, self.bikes),
            rider: keep(batch.rider, self.riders),
            gender: keep(batch.gender, self.people),
            birth_year: keep(batch.birth_year, self.people),
            from_latitude: keep(batch.from_latitude, self.positions),
            from_longitude: keep(batch.from_longitude, self.positions),
            to_latitude: keep(batch.to_latitude, self.positions),
            to_longitude: keep(batch.to_longitude, self.positions),
            flags: keep(batch.flags, self.flags),
            stations: batch.stations,
            words: batch.words,
            ..TripBatch::default()
        }
    }
}
