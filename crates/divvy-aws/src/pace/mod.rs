//! Paced access to one table: every request waits for the capacity that it will consume, and what
//! the service throttled is sent again. Callers never see a ThrottlingException.
//!
//! ```text
//!  writes ─► 25 at a time ─► limiter of the table ─► limiter of the index ─► BatchWriteItem
//!               ▲                                                               │
//!               └──────── back off (full jitter) ◄── unprocessed, throttled ◄───┘
//! ```

mod capacity_limiter;
mod failures;
mod table;
mod writes;

pub use capacity_limiter::{BURST_S, CapacityLimiter};
pub use table::{Condition, Key, PacedTable, Scan, Used};
pub use writes::{BATCH_BYTES, Batch, Write, Writer};
