//! Trip files: every CSV form of the publishers, recognised by its header.
//!
//! ```text
//!  ColumnMapping::detect   header → form (forms), columns (column_names, schema); first rows → date
//!                          order, units, evidence of the system (first_rows, date_order,
//!                          duration_unit)
//!  TripReader              bytes → cells (rows, cell_scanner) → values (values, time, offsets)
//!                          → columns of a TripBatch (batch_builder, interner)
//! ```
//!
//! Every row becomes a trip of a batch or a [`Rejected`] row. Rows with
//! implausible values are not rejected but get [`Flags`](crate::model::Flags). `docs/FORMATS.md`
//! describes the forms, with an example of each.

mod batch_builder;
mod cell_scanner;
mod cell_splitter;
mod column_mapping;
mod column_names;
mod columns;
mod date_order;
mod duration_unit;
mod first_rows;
mod forms;
mod found_header;
mod interner;
mod offsets;
mod reader;
mod rows;
mod schema;
mod test_stations;
mod time;
mod unread;
mod values;
mod zoned;

use std::io;

pub use column_mapping::ColumnMapping;
pub use column_names::COLUMN_FIELDS;
pub use found_header::Open;
pub use reader::{BATCH_ROWS, DetectAt, TripReader};
pub use zoned::{TimeHints, UtcTimes};

use crate::issue::{Rejected, Skipped};
use crate::numerals::plural;

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
        "{file} holds no trips: unrecognised header {first_line:?}; expected columns such as ride_id, \
         started_at"
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
    /// The first line is a row.
    #[error(
        "{file} has no header: its first line, {first_line:?}, is a row; put the header before it"
    )]
    NoHeader {
        /// The file, or member of an archive.
        file: String,
        /// Its first line, cut to a readable length.
        first_line: String,
    },
    /// A header like that of a trip file, without a column that every trip needs.
    #[error("{file} has the header of a trip file, but no column with {missing}")]
    MissingColumn {
        /// The file, or member of an archive.
        file: String,
        /// What is missing.
        missing: &'static str,
    },
    /// A header and nothing after it.
    #[error("{file} has a header and no rows: download or save it again")]
    NoRows {
        /// The file, or member of an archive.
        file: String,
    },
    /// The times have neither date nor hour.
    #[error(
        "{file}: {column}: times like {found:?} have lost their date and hour, as a spreadsheet saves \
         them: load the original file"
    )]
    LostTimes {
        /// The file, or member of an archive.
        file: String,
        /// The column, as its header names it.
        column: String,
        /// One of its times.
        found: String,
    },
    /// The times end in `Z`, and are in UTC or local.
    #[error(
        "{file}: {column}: times like {found:?} may be in UTC, or local times that a program has marked \
         so"
    )]
    UtcTimes {
        /// The file, or member of an archive.
        file: String,
        /// The column, as its header names it.
        column: String,
        /// One of its times.
        found: String,
    },
    /// No row is a trip.
    #[error("{file}: none of its {} can be read: {}", plural(*.rows as i64, "row"), cause(.first))]
    NothingReadable {
        /// The file, or member of an archive.
        file: String,
        /// How many rows it has.
        rows: u64,
        /// The first of them.
        first: Box<Rejected>,
    },
    /// Rows after a second header are those of another system.
    #[error(
        "{file} holds trips of {first}, and from line {line} on trips of {second}: split it there, and \
         load the two files"
    )]
    TwoSystems {
        /// The file, or member of an archive.
        file: String,
        /// The line of the second header.
        line: u64,
        /// The system of the rows before it.
        first: String,
        /// The system of the rows after it.
        second: String,
    },
    /// None of the times can be read.
    #[error(
        "{file}: {column}: none of the first {rows} times can be read: expected such as \
         2024-05-31 08:15:00 or 5/31/2024 8:15, found {found:?}"
    )]
    UnreadableTimes {
        /// The file, or member of an archive.
        file: String,
        /// The column, as its header names it.
        column: String,
        /// How many were tried.
        rows: usize,
        /// One of its times.
        found: String,
    },
    /// Some dates have the day first and others the month.
    #[error(
        "{file}: {column}: some dates have the month first and others the day, such as {first:?} and \
         {second:?}: load files in which all are written alike"
    )]
    MixedDates {
        /// The file, or member of an archive.
        file: String,
        /// The column, as its header names it.
        column: String,
        /// A date of the more frequent order.
        first: String,
        /// A date of the other order.
        second: String,
    },
    /// The order of day and month is ambiguous.
    #[error(
        "{file}: {column}: dates like {found:?} can be read in two ways and no row decides which"
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

fn cause(rejected: &Rejected) -> String {
    let Rejected {
        column,
        expected,
        found,
        ..
    } = rejected;
    let place = if column.is_empty() {
        String::new()
    } else {
        format!("{column}: ")
    };
    format!("{place}expected {expected}, found {found:?}")
}

impl TripsError {
    /// Returns the file, or member of an archive, that it concerns.
    pub fn member(&self) -> &str {
        match self {
            Self::Empty { file }
            | Self::NotTrips { file, .. }
            | Self::QuotedLines { file }
            | Self::NoHeader { file, .. }
            | Self::MissingColumn { file, .. }
            | Self::NoRows { file }
            | Self::LostTimes { file, .. }
            | Self::UtcTimes { file, .. }
            | Self::NothingReadable { file, .. }
            | Self::TwoSystems { file, .. }
            | Self::AmbiguousDates { file, .. }
            | Self::MixedDates { file, .. }
            | Self::UnreadableTimes { file, .. }
            | Self::Read { file, .. } => file,
        }
    }

    /// Returns the entry of `skipped` for a member with this error, if the archive is loaded without
    /// it. `None` for errors for which the archive as a whole is refused.
    pub fn skipped(&self, member: &str) -> Option<Skipped> {
        const SAVE_AGAIN: &str = "download or save the file again";
        let (why, what_to_do) = match self {
            Self::Empty { .. } => ("empty".into(), SAVE_AGAIN),
            Self::NoRows { .. } => ("a header without rows".into(), SAVE_AGAIN),
            Self::NotTrips { first_line, .. } => (
                format!("a table with the unknown header {first_line:?}"),
                "if it holds trips, name its columns as a known form does",
            ),
            Self::NoHeader { first_line, .. } => (
                format!("a table without a header, its first line is {first_line:?}"),
                "put the header before its first row",
            ),
            Self::MissingColumn { missing, .. } => (
                format!("a trip file without a column with {missing}"),
                "load a file that has it",
            ),
            Self::QuotedLines { .. } => (
                "a table with every line in quotes".into(),
                "save the original again, or take the outer quotes off each line",
            ),
            Self::LostTimes { column, found, .. } => (
                format!("a trip file whose times lost date and hour ({column}: {found:?})"),
                "load the original file",
            ),
            Self::NothingReadable { rows, first, .. } => (
                format!(
                    "a trip file with {} of which none can be read ({})",
                    plural(*rows as i64, "row"),
                    cause(first)
                ),
                "load the original file",
            ),
            Self::UnreadableTimes { column, found, .. } => (
                format!("a trip file of whose times none can be read ({column}: {found:?})"),
                "load the original file",
            ),
            Self::AmbiguousDates { .. }
            | Self::MixedDates { .. }
            | Self::UtcTimes { .. }
            | Self::TwoSystems { .. }
            | Self::Read { .. } => return None,
        };
        Some(Skipped {
            member: member.into(),
            why,
            what_to_do: what_to_do.into(),
        })
    }
}
