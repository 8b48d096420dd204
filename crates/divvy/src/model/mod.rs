//! Systems, stations, trips, and the time zones of their wall clocks.
//!
//! The names are those of GBFS 3. Nothing here depends on a file format or a store.

mod alias;
mod batch;
mod cell;
pub mod civil_date;
mod id_shape;
mod ids;
mod listed_station;
mod position;
mod sample_fraction;
mod station;
mod system;
mod systems;
mod trip;
mod zone;

pub use alias::{StationAlias, comparable_name};
pub use batch::{Dictionary, NONE_I16, NONE_I32, StationName, TripBatch};
pub use cell::Cell;
pub use id_shape::IdShape;
pub use ids::{MAX_STATION_ID_BYTES, StationId, SystemId, TripId, VehicleId};
pub use listed_station::ListedStation;
pub use position::{Degrees, Position};
pub use sample_fraction::{InvalidSampleFraction, SampleFraction};
pub use station::{
    Availability, FilledByLists, Snapshot, SnapshotKind, Station, StationSource, StationStatus,
    VehiclesByType,
};
pub use system::{BoundingBox, System, SystemNameError};
pub use systems::{ColumnNames, KnownSystem, Systems};
pub use trip::{Flag, Flags, OTHER, Rider, Trip};
pub use zone::{Fold, Resolved, SteadyPeriod, Zone};
