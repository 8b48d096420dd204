//! Trips files: Parquet files of trips, one row group for each batch.
//!
//! The pages are encoded here, and only the footer by the library: its writers take each value by
//! itself and copy a column several times, while a [`TripBatch`](crate::model::TripBatch) has whole
//! columns; and with them two columns cannot share pages.
//!
//! Beside `ArrowWriter` of parquet 60 with the same encodings (2026-11-27, April 2020 and January 2021,
//! layout 2; `scripts/alternatives`): it takes 2.2 to 2.3 times the processor time to write and 1 % more bytes, and
//! has no checksums of pages; with its defaults and zstd 1 three times, and 11 to 18 %. Arrow reads times
//! of the same file as fast, and stations of its own file in 0.6 to 0.8 of the time: docs/BENCHMARKS.md.

mod aliases;
mod checksums;
mod delta;
mod dictionary;
mod pages;
mod reader;
mod row_groups;
mod schema;
mod writer;

pub(super) use self::reader::TripsFile;
pub(super) use self::row_groups::{SCAN_THREADS, for_each_row_group};
pub(super) use self::writer::{Finished, TripsWriter};

#[cfg(test)]
mod tests;
