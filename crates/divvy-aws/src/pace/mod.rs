//! Paced access to one table: every request waits for the capacity it will use, and what the
//! service could not take is asked again. Nothing above this room sees a throttle.
//!
//! ```text
//!  writes ─► 25 at a time ─► lane of the table ─► lane of the index ─► BatchWriteItem
//!               ▲                                                          │
//!               └────── back off (full jitter) ◄── unprocessed, throttled ◄┘
//! ```

mod calls;
mod lane;
mod paced;
mod writes;

pub use calls::{Failure, Trouble};
pub use lane::{BURST_S, Grant, Lane};
pub use paced::{Consumed, Key, PacedTable, Scanned, Used};
pub use writes::{BATCH_BYTES, Batch, Write, Writer};

use crate::item::size;

/// Bytes of a read unit where reads need not see the newest write: half a unit is 4 KB.
pub const READ_UNIT_EVENTUAL: f64 = 8192.0;

/// Returns the write units of an item of that size.
pub fn write_units(bytes: u64) -> f64 {
    size::write_units(bytes) as f64
}
