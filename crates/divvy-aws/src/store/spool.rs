//! The rows of an incoming archive in a temporary file; in memory are only their ids, 16 bytes for
//! each, and a bit for each row.
//!
//! The archive is read to its end before anything is written to DynamoDB, so that a bad checksum in
//! its last block is found before.

use std::collections::BTreeSet;
use std::ops::Range;

use divvy::model::TripBatch;
use divvy::store::{StoreError, StoreErrorKind};

use super::temp_file::{Chunk, Chunks};
use crate::blocks::{self, Rows, SPOOL_LEVEL};

/// A set of numbers below a bound, with a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Makes the empty set of numbers below `n`.
    pub(super) fn below(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, n: usize) {
        self.0[n / 64] |= 1 << (n % 64);
    }

    pub(super) fn has(&self, n: usize) -> bool {
        let word = self.0.get(n / 64);
        word.is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    /// Returns the number of elements.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Iterates over the elements in rising order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(index, word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| index * 64 + bit)
        })
    }
}

/// Consecutive rows of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpoolBlock {
    /// The member.
    pub member: u32,
    /// The index of the first row among those of the member.
    first: u32,
    /// The index of the first row among all, in the order of arrival.
    base: usize,
    rows: u32,
    chunk: Chunk,
}

impl SpoolBlock {
    /// Returns the indexes of its rows among all, in the order of arrival.
    pub(super) fn row_indexes(&self) -> Range<usize> {
        self.base..self.base + self.rows as usize
    }
}

/// An id and its row.
#[derive(Clone, Copy, Debug)]
struct IdAt {
    start: u32,
    len: u32,
    block: u32,
    row: u32,
}

/// Collects the rows of an archive.
#[derive(Debug)]
pub(super) struct Spool {
    chunks: Chunks,
    blocks: Vec<SpoolBlock>,
    ids: Vec<u8>,
    at: Vec<IdAt>,
    /// The number of rows of each member so far.
    rows: Vec<u32>,
}

impl Spool {
    pub(super) fn new() -> Result<Self, StoreError> {
        Ok(Self {
            chunks: Chunks::new()?,
            blocks: Vec::new(),
            ids: Vec::new(),
            at: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Adds a batch. Batches of one member arrive in the order of its rows.
    pub(super) fn push(&mut self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        let too_large = || {
            StoreError::new(
                StoreErrorKind::Damaged,
                "the ids of one archive take more than 4 GB: load it in parts",
            )
        };
        if self.rows.len() <= member {
            self.rows.resize(member + 1, 0);
        }
        let n = batch.len() as u32;
        let first = self.rows[member];
        self.rows[member] += n;
        let block = self.blocks.len() as u32;
        let start = u32::try_from(self.ids.len()).map_err(|_| too_large())?;
        u32::try_from(self.ids.len() + batch.id_bytes.len()).map_err(|_| too_large())?;
        self.ids.extend_from_slice(&batch.id_bytes);
        let base = self.at.len();
        let mut begin = 0;
        for (row, end) in batch.id_ends.iter().enumerate() {
            self.at.push(IdAt {
                start: start + begin,
                len: end - begin,
                block,
                row: row as u32,
            });
            begin = *end;
        }
        let member = member as u32;
        let rows = Rows::of_member(batch, member);
        let chunk = self.chunks.push(&blocks::encode(&rows, SPOOL_LEVEL))?;
        self.blocks.push(SpoolBlock {
            member,
            first,
            base,
            rows: n,
            chunk,
        });
        Ok(())
    }

    /// Ends the collecting, and sorts the ids.
    pub(super) fn sorted(self) -> SpooledRows {
        let Self {
            chunks,
            blocks,
            ids,
            mut at,
            ..
        } = self;
        let id = |at: &IdAt| &ids[at.start as usize..(at.start + at.len) as usize];
        let location = |at: &IdAt| {
            let block = blocks[at.block as usize];
            (block.member, block.first + at.row)
        };
        at.sort_unstable_by(|a, b| id(a).cmp(id(b)).then_with(|| location(a).cmp(&location(b))));
        SpooledRows {
            chunks,
            blocks,
            ids,
            at,
        }
    }
}

/// All rows of an archive, with its sorted ids.
#[derive(Debug)]
pub(super) struct SpooledRows {
    chunks: Chunks,
    blocks: Vec<SpoolBlock>,
    ids: Vec<u8>,
    at: Vec<IdAt>,
}

impl SpooledRows {
    fn id(&self, at: &IdAt) -> &[u8] {
        &self.ids[at.start as usize..(at.start + at.len) as usize]
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Iterates over the sorted ids, repeated ones included.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.at.iter().map(|at| self.id(at))
    }

    /// Returns the smallest and the largest id. `None` without rows.
    pub(super) fn range(&self) -> Option<(&[u8], &[u8])> {
        Some((self.id(self.at.first()?), self.id(self.at.last()?)))
    }

    /// Returns the rank of an id: its first index among the sorted ids. `None` for another id.
    pub(super) fn rank(&self, id: &[u8]) -> Option<usize> {
        let rank = self.at.partition_point(|at| self.id(at) < id);
        (self.at.get(rank).is_some_and(|at| self.id(at) == id)).then_some(rank)
    }

    /// Returns whether the archive has an id.
    pub(super) fn has(&self, id: &[u8]) -> bool {
        self.rank(id).is_some()
    }

    /// Returns the id of a rank.
    pub(super) fn id_at(&self, rank: usize) -> &[u8] {
        self.id(&self.at[rank])
    }

    /// Iterates over the rows of the id of a rank: their indexes among all, in the order of arrival.
    pub(super) fn rows_at(&self, rank: usize) -> impl Iterator<Item = usize> {
        let id = self.id_at(rank);
        let same = self.at[rank..]
            .iter()
            .take_while(move |at| self.id(at) == id);
        same.map(|at| self.blocks[at.block as usize].base + at.row as usize)
    }

    /// Iterates over the ranks of the ids that the archive has more than once.
    pub(super) fn repeated(&self) -> impl Iterator<Item = usize> {
        let same = |a: usize, b: usize| self.id_at(a) == self.id_at(b);
        let with_next = (1..self.at.len()).filter(move |rank| same(rank - 1, *rank));
        let firsts = with_next.map(|rank| rank - 1);
        firsts.filter(move |rank| *rank == 0 || !same(rank - 1, *rank))
    }

    /// Lists the blocks by member and row, independent of the order of arrival.
    pub(super) fn in_order(&self) -> Vec<SpoolBlock> {
        let mut blocks = self.blocks.clone();
        blocks.sort_by_key(|block| (block.member, block.first));
        blocks
    }

    /// Reads a block.
    pub(super) fn read(&mut self, block: SpoolBlock) -> Result<Rows, StoreError> {
        self.chunks.rows(block.chunk)
    }
}

/// The ids that an incoming archive shares with others.
pub(super) struct SharedIds<'a> {
    /// The incoming archive.
    pub(super) rows: &'a SpooledRows,
    /// The ranks of the shared ids.
    pub(super) ranks: &'a Bits,
    /// The indexes of the other archives that have some of them.
    pub(super) archives: &'a BTreeSet<usize>,
}

impl SharedIds<'_> {
    /// Returns whether an id is shared.
    pub(super) fn has(&self, id: &[u8]) -> bool {
        let rank = self.rows.rank(id);
        rank.is_some_and(|rank| self.ranks.has(rank))
    }

    /// Returns the number of shared ids.
    pub(super) fn len(&self) -> u64 {
        self.ranks.len()
    }

    /// Iterates over the shared ids in rising order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.ranks.iter().map(|rank| self.rows.id_at(rank))
    }
}
