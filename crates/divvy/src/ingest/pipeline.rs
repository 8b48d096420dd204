//! Trip files through all cores: while one thread inflates, one reads rows and tallies, and one
//! stores. Several members go side by side; none needs another to finish.
//!
//! What is on its way is bounded: some blocks of text and a batch of trips for each member.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::contents::TripsMember;
use super::{LoadError, Progress, Share, Write};
use crate::issue::{RejectSink, RejectedCounts};
use crate::model::{System, TripBatch};
use crate::sources::archive::Archive;
use crate::sources::trips_csv::{TripReader, TripsError};
use crate::store::StoreError;
use crate::tally::{Tally, Totals};

/// Bytes of unpacked text that are handed on at a time.
const BLOCK: usize = 256 * 1024;
/// Blocks that may wait for the reader of rows.
const BLOCKS: usize = 8;
/// Members read at a time, whatever the number of cores: each holds some batches.
const MEMBERS: usize = 4;

/// What a member, or all of them together, came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) rows_read: u64,
    pub(super) rejected: RejectedCounts,
    pub(super) totals: Totals,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        if self.rows_read == 0 {
            *self = other;
            return;
        }
        self.rows_read += other.rows_read;
        for (reason, n) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += n;
        }
        self.totals.merge(&other.totals);
    }
}

/// What all members share.
struct Load<'a> {
    archive: &'a Archive,
    system: &'a System,
    sample: Option<Share>,
    write: &'a dyn Write,
    rejects: &'a dyn RejectSink,
    progress: &'a dyn Progress,
    bytes_done: AtomicU64,
    bytes_all: u64,
}

/// Reads every member, and hands its trips on.
pub(super) fn run(
    archive: &Archive,
    members: &[TripsMember],
    system: &System,
    sample: Option<Share>,
    write: &dyn Write,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<Outcome, LoadError> {
    let load = Load {
        archive,
        system,
        sample,
        write,
        rejects,
        progress,
        bytes_done: AtomicU64::new(0),
        bytes_all: members.iter().filter_map(|member| member.size_bytes).sum(),
    };
    let next = AtomicUsize::new(0);
    let work = || -> Result<Outcome, LoadError> {
        let mut sum = Outcome::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(member) = members.get(place) else {
                return Ok(sum);
            };
            match load.member(member, place) {
                Ok(read) => sum.add(read),
                Err(error) => {
                    // The other workers need not begin what will not be kept.
                    next.store(members.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(MEMBERS).min(members.len());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = Outcome::default();
        for worker in workers {
            sum.add(worker.join().expect("reading does not panic")?);
        }
        Ok(sum)
    })
}

impl Load<'_> {
    /// Reads one member; the store knows it by its place among those with trips.
    fn member(&self, member: &TripsMember, place: usize) -> Result<Outcome, LoadError> {
        let input = self.archive.read(member.place)?;
        thread::scope(|scope| {
            let (text, blocks) = sync_channel(BLOCKS);
            // Blocks that were read come back to be filled again.
            let (spent, empty) = channel();
            let (batches, stored) = sync_channel(1);
            scope.spawn(move || self.inflate(input, &text, &empty));
            let storing = scope.spawn(move || self.store(place, &stored));
            let read = self.read_rows(member, Blocks::new(blocks, spent), &batches);
            drop(batches);
            // Where storing failed, reading stopped early: its reason is the reason.
            storing.join().expect("storing does not panic")?;
            Ok(read?)
        })
    }

    /// First stage: the bytes as they unpack.
    fn inflate(
        &self,
        mut input: Box<dyn Read + Send>,
        text: &SyncSender<io::Result<Vec<u8>>>,
        empty: &Receiver<Vec<u8>>,
    ) {
        loop {
            let mut block = empty.try_recv().unwrap_or_else(|_| vec![0; BLOCK]);
            let mut filled = 0;
            let failure = loop {
                match input.read(&mut block[filled..]) {
                    Ok(0) => break None,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => break Some(e),
                }
                if filled == BLOCK {
                    break None;
                }
            };
            let end = filled < BLOCK;
            block.truncate(filled);
            let done = self.bytes_done.fetch_add(filled as u64, Ordering::Relaxed);
            self.progress.bytes(done + filled as u64, self.bytes_all);
            // A reader that is gone has failed, and says so itself.
            if filled > 0 && text.send(Ok(block)).is_err() {
                return;
            }
            if let Some(failure) = failure {
                let _ = text.send(Err(failure));
                return;
            }
            if end {
                return;
            }
        }
    }

    /// Second stage: rows to trips, and their tallies.
    fn read_rows(
        &self,
        member: &TripsMember,
        input: Blocks,
        batches: &SyncSender<TripBatch>,
    ) -> Result<Outcome, TripsError> {
        let mut reader = TripReader::new(input, member.plan.clone(), self.system, &member.name)?;
        let mut totals = Totals::default();
        // Rows outside the sample are not counted as read: they might as well not be there.
        let mut left_out = 0;
        while let Some(mut batch) = reader.next_batch(self.rejects)? {
            if let Some(share) = self.sample {
                let rows = batch.len();
                batch = share.pick(batch);
                left_out += (rows - batch.len()) as u64;
            }
            totals.count(&batch, 1);
            if batches.send(batch).is_err() {
                break;
            }
        }
        Ok(Outcome {
            rows_read: reader.rows_read() - left_out,
            rejected: reader.rejected().clone(),
            totals,
        })
    }

    /// Third stage: trips to the store.
    fn store(&self, member: usize, batches: &Receiver<TripBatch>) -> Result<(), StoreError> {
        for batch in batches {
            self.write.write(member, batch)?;
        }
        self.write.end_member(member)
    }
}

/// Blocks from another thread as one input.
struct Blocks {
    blocks: Receiver<io::Result<Vec<u8>>>,
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

impl Blocks {
    fn new(blocks: Receiver<io::Result<Vec<u8>>>, spent: Sender<Vec<u8>>) -> Self {
        Self {
            blocks,
            spent,
            block: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => {
                    let spent = std::mem::replace(&mut self.block, block?);
                    self.at = 0;
                    // Only whole blocks are filled again; where nobody is left to, none is.
                    if spent.len() == BLOCK {
                        let _ = self.spent.send(spent);
                    }
                }
                Err(_) => return Ok(0),
            }
        }
        let n = out.len().min(self.block.len() - self.at);
        out[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
