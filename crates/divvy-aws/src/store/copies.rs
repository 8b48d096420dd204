//! Copies of trips: the same trip may stand in several archives, and several times in one.

use std::cmp::Ordering;

use divvy::model::{Trip, TripBatch};
use divvy::store::StoreError;

use super::temp_file::{Chunk, Scratch};
use crate::blocks::{self, Rows, SPOOL_LEVEL};

/// One copy of a trip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copy {
    /// The index of its archive among the archives that stay; their number for the incoming one.
    pub archive: usize,
    pub trip: Trip,
    pub member: u32,
    pub line: u64,
}

impl Copy {
    /// Makes the copy of a row of an archive.
    pub(super) fn of_row(rows: &Rows, row: usize, archive: usize) -> Self {
        Self {
            archive,
            trip: rows.batch.trip(row),
            member: rows.member[row],
            line: rows.batch.line[row],
        }
    }

    /// Orders copies of a trip: the best one first. Equal ones by archive, member and line.
    pub(super) fn cmp_copies(&self, other: &Self) -> Ordering {
        let location = |copy: &Self| (copy.archive, copy.member, copy.line);
        self.trip
            .cmp_copies(&other.trip)
            .then_with(|| location(self).cmp(&location(other)))
    }

    /// Returns member and line.
    pub(super) fn location(&self) -> (u32, u64) {
        (self.member, self.line)
    }
}

/// Makes rows of copies, in their order.
pub(super) fn rows_of(copies: &[Copy]) -> Rows {
    let mut batch: TripBatch = copies.iter().map(|copy| copy.trip.clone()).collect();
    batch.line = copies.iter().map(|copy| copy.line).collect();
    Rows {
        batch,
        member: copies.iter().map(|copy| copy.member).collect(),
    }
}

/// Makes copies of the rows of an archive.
pub(super) fn copies_of(rows: &Rows, archive: usize) -> impl Iterator<Item = Copy> {
    (0..rows.len()).map(move |row| Copy::of_row(rows, row, archive))
}

impl Scratch {
    /// Appends copies as one chunk.
    pub(super) fn push_copies(&self, copies: &[Copy]) -> Result<Chunk, StoreError> {
        self.push(&blocks::encode(&rows_of(copies), SPOOL_LEVEL))
    }
}

/// A list of copies of trips of one archive, in a temporary file.
#[derive(Debug)]
pub(super) struct Copies {
    scratch: Scratch,
    chunks: Vec<Chunk>,
    n: u64,
}

impl Copies {
    pub(super) fn new(scratch: &Scratch) -> Self {
        Self {
            scratch: scratch.clone(),
            chunks: Vec::new(),
            n: 0,
        }
    }

    /// Appends copies as one chunk.
    pub(super) fn push(&mut self, copies: &[Copy]) -> Result<(), StoreError> {
        if !copies.is_empty() {
            self.chunks.push(self.scratch.push_copies(copies)?);
            self.n += copies.len() as u64;
        }
        Ok(())
    }

    /// Returns the number of copies.
    pub(super) fn len(&self) -> u64 {
        self.n
    }

    /// Reads the copies, chunk by chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Result<Rows, StoreError>> {
        self.chunks.iter().map(|chunk| self.scratch.rows(*chunk))
    }
}
