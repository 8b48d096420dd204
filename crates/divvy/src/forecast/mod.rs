//! Forecasts that are issued live from a store's own history, and how good they were.
//!
//! ```text
//!  walk       a period of the history → observations
//!  training   the last weeks → a model for each group of vehicles
//!  follower   each new snapshot: scores forecasts that are due, issues others, trains when it is time
//!  log        forecasts that are not due yet, sums of those before: what is kept between two runs
//!  issue      one forecast that is not due yet, scored by the snapshots after it
//!  record     sums by day, horizon, event and probability → scores
//! ```
//!
//! What a follower does follows from the history and from the models alone. So its log needs to be kept
//! only now and then: after a restart the snapshots since then are followed again, with the same result.

mod follower;
mod issue;
mod log;
mod record;
mod training;
mod walk;

pub use follower::{Follower, GroupClaims, minute_of_hour};
pub use record::{BinSum, BinSums, Key, Record, bin};
pub use training::{DAYS, End, Group, LEAST_DAYS, Models, Untrained, train};
pub use walk::{Walked, walk};

/// The horizons that models are trained for, in minutes.
pub const HORIZONS: [usize; 4] = [15, 30, 60, 120];
