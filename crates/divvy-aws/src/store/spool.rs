//! Where an archive waits on its way in: all its rows in a file of their own, gone when the
//! process ends; in memory only their ids, 16 bytes for each and a bit for what is decided of it.
//!
//! The archive is read to its end before anything is written to DynamoDB, so a bad checksum in
//! its last block costs nothing.
//!
//! Copies of trips that are decided one by one lie in such a file too ([`Copies`]): there may be
//! as many as the archive has rows, and one in memory takes half a kilobyte.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use divvy::model::TripBatch;
use divvy::store::{StoreError, StoreErrorKind};

use super::plan::{Copy, rows_of};
use crate::blocks::{self, Rows, SPOOL_LEVEL};

/// Bytes one after another in a file without a name.
#[derive(Debug)]
pub(super) struct Chunks {
    file: File,
    end: u64,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    offset: u64,
    len: usize,
}

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| {
        let doing = format!("cannot {what} a temporary file");
        StoreError::because(StoreErrorKind::Unreachable, doing, error)
    }
}

impl Chunks {
    pub(super) fn new() -> Result<Self, StoreError> {
        let file = tempfile::tempfile().map_err(cannot("make"))?;
        Ok(Self { file, end: 0 })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Chunk, StoreError> {
        let chunk = Chunk {
            offset: self.end,
            len: bytes.len(),
        };
        let writing = cannot("write");
        self.file
            .seek(SeekFrom::Start(self.end))
            .map_err(&writing)?;
        self.file.write_all(bytes).map_err(&writing)?;
        self.end += bytes.len() as u64;
        Ok(chunk)
    }

    fn bytes(&mut self, chunk: Chunk) -> Result<Vec<u8>, StoreError> {
        let reading = cannot("read");
        let mut bytes = vec![0; chunk.len];
        self.file
            .seek(SeekFrom::Start(chunk.offset))
            .map_err(&reading)?;
        self.file.read_exact(&mut bytes).map_err(&reading)?;
        Ok(bytes)
    }

    pub(super) fn rows(&mut self, chunk: Chunk) -> Result<Rows, StoreError> {
        blocks::decode(&self.bytes(chunk)?).map_err(|error| {
            let doing = "a temporary file cannot be read back";
            StoreError::because(StoreErrorKind::Damaged, doing, error)
        })
    }
}

/// A file of chunks that several lists share. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub(super) struct Scratch(Arc<Mutex<Chunks>>);

impl Scratch {
    pub(super) fn new() -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Mutex::new(Chunks::new()?))))
    }

    fn chunks(&self) -> MutexGuard<'_, Chunks> {
        self.0.lock().expect("no holder of this lock panics")
    }

    pub(super) fn push(&self, bytes: &[u8]) -> Result<Chunk, StoreError> {
        self.chunks().push(bytes)
    }

    pub(super) fn bytes(&self, chunk: Chunk) -> Result<Vec<u8>, StoreError> {
        self.chunks().bytes(chunk)
    }

    pub(super) fn push_copies(&self, copies: &[Copy]) -> Result<Chunk, StoreError> {
        self.push(&blocks::encode(&rows_of(copies), SPOOL_LEVEL))
    }

    pub(super) fn rows(&self, chunk: Chunk) -> Result<Rows, StoreError> {
        self.chunks().rows(chunk)
    }
}

/// Copies of the trips of one archive, on disk but for the chunk that is read.
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

    /// Adds a chunk.
    pub(super) fn push(&mut self, copies: &[Copy]) -> Result<(), StoreError> {
        if !copies.is_empty() {
            self.chunks.push(self.scratch.push_copies(copies)?);
            self.n += copies.len() as u64;
        }
        Ok(())
    }

    /// Counts the copies.
    pub(super) fn len(&self) -> u64 {
        self.n
    }

    /// Reads them, chunk by chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Result<Rows, StoreError>> {
        self.chunks.iter().map(|chunk| self.scratch.rows(*chunk))
    }
}

/// A set of small numbers: a bit for each that may be in it.
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

    /// Counts the numbers in the set.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Lists the numbers in the set, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(place, word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| place * 64 + bit)
        })
    }
}

/// Some rows of one member, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpoolBlock {
    /// The member.
    pub member: u32,
    /// The place of the first row among the member's.
    first: u32,
    /// The place of the first row among all, as they came.
    base: usize,
    rows: u32,
    chunk: Chunk,
}

impl SpoolBlock {
    /// Returns the places of its rows among all, as they came.
    pub(super) fn places(&self) -> Range<usize> {
        self.base..self.base + self.rows as usize
    }
}

/// Where an id stands.
#[derive(Clone, Copy, Debug)]
struct IdAt {
    start: u32,
    len: u32,
    block: u32,
    row: u32,
}

/// The rows of an archive as they come.
#[derive(Debug)]
pub(super) struct Spool {
    chunks: Chunks,
    blocks: Vec<SpoolBlock>,
    ids: Vec<u8>,
    at: Vec<IdAt>,
    /// Rows so far, by member.
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

    /// Takes a batch; those of one member come in the order of its rows.
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

    /// Ends the coming in: from here on ids can be found.
    pub(super) fn sorted(self) -> Sorted {
        let Self {
            chunks,
            blocks,
            ids,
            mut at,
            ..
        } = self;
        let id = |at: &IdAt| &ids[at.start as usize..(at.start + at.len) as usize];
        let place = |at: &IdAt| {
            let block = blocks[at.block as usize];
            (block.member, block.first + at.row)
        };
        at.sort_unstable_by(|a, b| id(a).cmp(id(b)).then_with(|| place(a).cmp(&place(b))));
        Sorted {
            chunks,
            blocks,
            ids,
            at,
        }
    }
}

/// The rows of an archive that has been read to its end.
#[derive(Debug)]
pub(super) struct Sorted {
    chunks: Chunks,
    blocks: Vec<SpoolBlock>,
    ids: Vec<u8>,
    at: Vec<IdAt>,
}

impl Sorted {
    fn id(&self, at: &IdAt) -> &[u8] {
        &self.ids[at.start as usize..(at.start + at.len) as usize]
    }

    /// Counts the rows.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Lists the ids in their order, one as often as it stands there.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.at.iter().map(|at| self.id(at))
    }

    /// Returns the smallest and the largest id.
    pub(super) fn range(&self) -> Option<(&[u8], &[u8])> {
        Some((self.id(self.at.first()?), self.id(self.at.last()?)))
    }

    /// Finds an id: its place among the sorted ids, the first where it stands there several times.
    pub(super) fn rank(&self, id: &[u8]) -> Option<usize> {
        let rank = self.at.partition_point(|at| self.id(at) < id);
        (self.at.get(rank).is_some_and(|at| self.id(at) == id)).then_some(rank)
    }

    /// Tells whether an id stands in the archive.
    pub(super) fn has(&self, id: &[u8]) -> bool {
        self.rank(id).is_some()
    }

    /// Returns the id at a place among the sorted ids.
    pub(super) fn id_at(&self, rank: usize) -> &[u8] {
        self.id(&self.at[rank])
    }

    /// Lists the rows of the id that stands first at a place among the sorted ids: their places
    /// among all rows, as they came.
    pub(super) fn rows_at(&self, rank: usize) -> impl Iterator<Item = usize> {
        let id = self.id_at(rank);
        let same = self.at[rank..]
            .iter()
            .take_while(move |at| self.id(at) == id);
        same.map(|at| self.blocks[at.block as usize].base + at.row as usize)
    }

    /// Lists the ids that stand there more than once, by their places among the sorted ids.
    pub(super) fn doubled(&self) -> impl Iterator<Item = usize> {
        let same = |a: usize, b: usize| self.id_at(a) == self.id_at(b);
        let with_next = (1..self.at.len()).filter(move |rank| same(rank - 1, *rank));
        let firsts = with_next.map(|rank| rank - 1);
        firsts.filter(move |rank| *rank == 0 || !same(rank - 1, *rank))
    }

    /// Lists the blocks by members and rows, whichever thread was faster.
    pub(super) fn in_order(&self) -> Vec<SpoolBlock> {
        let mut blocks = self.blocks.clone();
        blocks.sort_by_key(|block| (block.member, block.first));
        blocks
    }

    /// Reads a block back.
    pub(super) fn read(&mut self, block: SpoolBlock) -> Result<Rows, StoreError> {
        self.chunks.rows(block.chunk)
    }
}
