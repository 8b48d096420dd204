//! Trip files: every CSV form of the publishers, recognised by its header.
//!
//! ```text
//!  ColumnMapping::detect   header → form (forms), columns (column_names, schema); first rows → date
//!                          order, units, evidence of the system (first_rows, duration_unit)
//!  TripReader              bytes → cells (rows, cell_scanner) → values (values, time, offsets)
//!                          → columns of a TripBatch (batch_builder, interner)
//! ```
//!
//! Every row becomes a trip of a batch or a [`Rejected`](crate::issue::Rejected) row. Rows with
//! implausible values are not rejected but get [`Flags`](crate::model::Flags). `docs/FORMATS.md`
//! describes the forms, with an example of each.

mod batch_builder;
mod cell_scanner;
mod column_mapping;
mod column_names;
mod duration_unit;
mod first_rows;
mod forms;
mod interner;
mod offsets;
mod reader;
mod rows;
mod schema;
mod test_stations;
mod time;
mod unread;
mod values;

use std::io;

pub use column_mapping::ColumnMapping;
pub use column_names::COLUMN_FIELDS;
pub use reader::{BATCH_ROWS, TripReader};

/// Why a file cannot be read as trips.
#[derive(Debug, thiserror::Error)]
pub enum TripsError {
    /// The file has no first line.
    #[error("{file} is empty")]
    Empty {
        /// The file, or member of an archive.
        file: String,
    },
    /// The first line is not the header of a trip file.
    #[error(
        "{file} holds no trips: its first line is {first_line:?}, which is the header of no known trip file"
    )]
    NotTrips {
        /// The file, or member of an archive.
        file: String,
        /// Its first line, cut to a readable length.
        first_line: String,
    },
    /// Every line is in quotes as a whole.
    #[error(
        "{file} has every line in quotes, so that each is a single cell: a program saved it \
         twice as CSV; save the original again, or take the outer quotes off each line"
    )]
    QuotedLines {
        /// The file, or member of an archive.
        file: String,
    },
    /// The columns are not separated by commas.
    #[error("{file} separates its columns by {name}: save it as CSV with commas")]
    Separator {
        /// The file, or member of an archive.
        file: String,
        /// The separator, in the plural.
        name: &'static str,
    },
    /// The order of day and month is ambiguous.
    #[error(
        "{file}: {column}: dates like {found:?} can be read in two ways and no row tells which"
    )]
    AmbiguousDates {
        /// The file, or member of an archive.
        file: String,
        /// The column, as its header names it.
        column: String,
        /// One of its dates.
        found: String,
    },
    /// Reading failed: a wrong checksum, a truncated archive, a failing disk.
    #[error("{file}: {source}")]
    Read {
        /// The file, or member of an archive.
        file: String,
        /// The cause.
        source: io::Error,
    },
}
