//! Where an archive waits on its way in: all its rows in a file of their own, gone when the
//! process ends; in memory only their ids.
//!
//! The archive is read to its end before anything is written to DynamoDB, so a bad checksum in
//! its last block costs nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use divvy::model::TripBatch;
use divvy::store::{StoreError, StoreErrorKind};

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

    pub(super) fn rows(&mut self, chunk: Chunk) -> Result<Rows, StoreError> {
        let reading = cannot("read");
        let mut bytes = vec![0; chunk.len];
        self.file
            .seek(SeekFrom::Start(chunk.offset))
            .map_err(&reading)?;
        self.file.read_exact(&mut bytes).map_err(&reading)?;
        blocks::decode(&bytes).map_err(|error| {
            let doing = "a temporary file cannot be read back";
            StoreError::because(StoreErrorKind::Damaged, doing, error)
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
    chunk: Chunk,
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

    /// Tells whether an id stands in the archive.
    pub(super) fn has(&self, id: &[u8]) -> bool {
        self.at.binary_search_by(|at| self.id(at).cmp(id)).is_ok()
    }

    /// Lists the ids that stand there more than once.
    pub(super) fn doubled(&self) -> impl Iterator<Item = &[u8]> {
        let groups = self.at.chunk_by(|a, b| self.id(a) == self.id(b));
        groups
            .filter(|group| group.len() > 1)
            .map(|group| self.id(&group[0]))
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

    /// Hands all rows of some ids to `each`: the rows of their block, and the place in it. The
    /// ids come sorted.
    pub(super) fn find<'a>(
        &mut self,
        ids: impl Iterator<Item = &'a [u8]>,
        each: &mut dyn FnMut(&Rows, usize),
    ) -> Result<(), StoreError> {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for id in ids {
            let from = self.at.partition_point(|at| self.id(at) < id);
            let same = self.at[from..].iter().take_while(|at| self.id(at) == id);
            found.extend(same.map(|at| (at.block, at.row)));
        }
        found.sort_unstable();
        for rows in found.chunk_by(|a, b| a.0 == b.0) {
            let block = self.read(self.blocks[rows[0].0 as usize])?;
            for (_, row) in rows {
                each(&block, *row as usize);
            }
        }
        Ok(())
    }
}
