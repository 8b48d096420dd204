//! Paced access to one table: every request waits for the capacity that it will consume, and what
//! the service throttled is sent again. Callers get no ThrottlingException.
//!
//! ```text
//!  writes ─► 25 at a time ─► limiter of the table ─► limiter of the index ─► BatchWriteItem
//!               ▲                                                               │
//!               └──────── back off (full jitter) ◄── unprocessed, throttled ◄───┘
//! ```

mod capacity_limiter;
mod condition;
mod consumption;
mod failures;
mod pages;
mod stalls;
mod table;
mod writes;

pub use capacity_limiter::{BURST_S, CapacityLimiter};
pub use condition::{Condition, unchanged};
pub use consumption::Used;
pub use pages::{Consistency, IndexQuery, Scan};
pub use table::{Key, MAX_BATCH_KEYS, MAX_TRANSACTION_ACTIONS, PacedTable};
pub use writes::{BATCH_BYTES, Batch, Write, Writer};
