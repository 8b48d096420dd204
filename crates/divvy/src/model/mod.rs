//! What the program talks about: systems, stations, trips, and the clocks they live by.
//!
//! The words are those of GBFS 3. Nothing here knows a file format or a store.

mod batch;
mod ids;
mod position;
mod station;
mod system;
mod trip;
mod zone;

pub use batch::{Dictionary, NONE_I16, NONE_I32, StationName, TripBatch};
pub use ids::{StationId, SystemId, TripId, VehicleId};
pub use position::{Degrees, Position};
pub use station::{Availability, Snapshot, SnapshotKind, Station, StationSource, StationStatus};
pub use system::{BoundingBox, SYSTEMS, System, UnknownSystem};
pub use trip::{Flag, Flags, OTHER, Rider, Trip};
pub use zone::{Fold, Resolved, Zone};
