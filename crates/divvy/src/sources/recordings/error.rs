//! Errors of recordings.

use std::io;

use jiff::civil::Date;

use crate::sources::station_feed::FeedError;

/// Why a snapshot of a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A file or folder cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Read {
        /// The file or folder.
        file: String,
        /// Why. It is part of the message, and therefore not named `source`.
        reason: io::Error,
    },
    /// A folder without recorded feeds.
    #[error(
        "{folder} has no recorded feeds: expected files such as station_status_20220808T002342Z.json, \
         2013-10-01.json with 2013-10-01.patches, or tables (CSV) of station_status"
    )]
    Nothing {
        /// The folder.
        folder: String,
    },
    /// No file of a recording may have snapshots of a period.
    #[error(
        "{folder} has no recorded feeds from {first} to {last}, by the dates in the names of its files"
    )]
    NothingBetween {
        /// The folder.
        folder: String,
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
    },
    /// A file is longer than a feed may be.
    #[error("{file} has more than {limit} bytes: no station feed is that large")]
    TooLarge {
        /// The file.
        file: String,
        /// The most bytes that are read.
        limit: u64,
    },
    /// The first state of a day cannot be read, and patches need it.
    #[error("the day is left out, because its first state cannot be read: {reason}")]
    FirstState {
        /// What is wrong with it.
        reason: Box<RecordingError>,
    },
    /// A line of patches cannot be read or applied. The minutes of the day after it are left out, since
    /// each patch changes the state that the one before has made.
    #[error("line {line} of {file} is damaged, and the day ends there: {reason}")]
    Patch {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A table without the columns of `station_status`.
    #[error("{file} is no table of station_status: expected {lacking} among its columns")]
    Columns {
        /// The file.
        file: String,
        /// The columns that are not there.
        lacking: String,
    },
    /// A table without any time.
    #[error(
        "{file} states no time: expected a date and clock time in its name, such as 2024_01_01_0107PM, or a \
         column last_reported"
    )]
    NoTime {
        /// The file.
        file: String,
    },
    /// A row of a table is damaged.
    #[error("line {line} of {file} is damaged: {reason}")]
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The body is no station feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
}
