//! Trip files: every CSV form that the publishers ever used, told by its header.
//!
//! ```text
//!  Plan::make     header → columns (schema), first rows → date order, units, system
//!  TripReader     rows (rows) → cells → times (time), ids, places → TripBatch
//! ```
//!
//! Law: every row becomes a trip of a batch or a [`Rejected`](crate::issue::Rejected) row.
//! Nothing here drops a row for being odd; odd ones are flagged. `docs/FORMATS.md` describes the
//! forms with an example each.

mod marks;
mod plan;
mod reader;
mod rows;
mod schema;
mod test_stations;
mod time;

use std::io;

pub use plan::Plan;
pub use reader::{BATCH_ROWS, LONGEST_ID, TripReader};

/// Why a file cannot be read as trips.
#[derive(Debug, thiserror::Error)]
pub enum TripsError {
    /// There is no first line.
    #[error("{file} is empty")]
    Empty {
        /// The file, or member of an archive.
        file: String,
    },
    /// The header is none of a trip file.
    #[error(
        "{file} holds no trips: its first line is {first_line:?}, which is the header of no known trip file"
    )]
    NotTrips {
        /// The file, or member of an archive.
        file: String,
        /// How it begins.
        first_line: String,
    },
    /// Every line stands in quotes as a whole.
    #[error(
        "{file} has every line in quotes, so that each is a single cell: a program saved it \
         twice as CSV; save the original again, or take the outer quotes off each line"
    )]
    QuotedLines {
        /// The file, or member of an archive.
        file: String,
    },
    /// The columns are separated by something else.
    #[error("{file} separates its columns by {name}: save it as CSV with commas")]
    Separator {
        /// The file, or member of an archive.
        file: String,
        /// What it uses.
        name: &'static str,
    },
    /// Day and month cannot be told apart.
    #[error(
        "{file}: {column}: dates like {found:?} can be read in two ways and no row tells which: \
         say --day-first if the day comes first, or save the dates as YYYY-MM-DD"
    )]
    AmbiguousDates {
        /// The file, or member of an archive.
        file: String,
        /// The column.
        column: String,
        /// A date of it.
        found: String,
    },
    /// The bytes cannot be had: a bad checksum, a truncated archive, a failing disk.
    #[error("{file}: {source}")]
    Read {
        /// The file, or member of an archive.
        file: String,
        /// What went wrong.
        source: io::Error,
    },
}
