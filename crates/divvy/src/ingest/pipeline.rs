//! Trip files through all cores: while one thread inflates, one reads rows and tallies, and one
//! stores. Several members go side by side; none needs another to finish.
//!
//! What is on its way is bounded: some blocks of text and a batch of trips for each member.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Mutex;
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

/// How words for riders, kinds of bikes and genders are counted that no list knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// By themselves. Reading ends early where there are too many of them.
    ByThemselves,
    /// All together, as [`OTHER`](crate::model::OTHER).
    Together,
}

/// So many words that no list knows may an archive have to have them counted by themselves: a file
/// with more of them is one whose columns hold something else.
pub(super) const MOST_WORDS: usize = 64;

/// What became of reading an archive.
pub(super) enum ReadTo {
    /// It has been read to its end.
    Whole(Box<Outcome>),
    /// It has more than [`MOST_WORDS`] words that no list knows. What was handed on is to be
    /// forgotten, and the archive read again to count them together.
    TooManyWords,
}

/// An archive to be read.
pub(super) struct Load<'a> {
    pub(super) archive: &'a Archive,
    /// Its members with trips.
    pub(super) members: &'a [TripsMember],
    pub(super) system: &'a System,
    /// Reads a share of the trips. `None` for all.
    pub(super) sample: Option<Share>,
    pub(super) words: Words,
}

/// Who is handed what is read.
pub(super) struct Takers<'a> {
    pub(super) write: &'a dyn Write,
    pub(super) rejects: &'a dyn RejectSink,
    pub(super) progress: &'a dyn Progress,
}

impl Takers<'_> {
    /// Discards everything: for callers that only need the outcome of reading.
    pub(super) fn none() -> Self {
        Self {
            write: &|_: usize, _: TripBatch| Ok(()),
            rejects: &(),
            progress: &(),
        }
    }
}

impl Load<'_> {
    /// Reads every member, and hands its trips on.
    pub(super) fn run(&self, takers: &Takers<'_>) -> Result<ReadTo, LoadError> {
        let sizes = self.members.iter().filter_map(|member| member.size_bytes);
        let running = Running {
            load: self,
            takers,
            bytes_done: AtomicU64::new(0),
            bytes_all: sizes.sum(),
            next: AtomicUsize::new(0),
            other_words: Mutex::default(),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.min(MEMBERS).min(self.members.len());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| scope.spawn(|| running.work()))
                .collect();
            let mut sum = Outcome::default();
            for worker in workers {
                sum.add(worker.join().expect("reading does not panic")?);
            }
            Ok(match running.has_too_many_words() {
                true => ReadTo::TooManyWords,
                false => ReadTo::Whole(Box::new(sum)),
            })
        })
    }
}

/// What all members share while they are read.
struct Running<'a> {
    load: &'a Load<'a>,
    takers: &'a Takers<'a>,
    bytes_done: AtomicU64,
    bytes_all: u64,
    /// The next member to be read.
    next: AtomicUsize,
    /// The words met so far that no list knows, until there are too many.
    other_words: Mutex<BTreeSet<Box<str>>>,
}

impl Running<'_> {
    /// Reads one member after another.
    fn work(&self) -> Result<Outcome, LoadError> {
        let mut sum = Outcome::default();
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(member) = self.load.members.get(place) else {
                return Ok(sum);
            };
            match self.member(member, place) {
                Ok(read) => sum.add(read),
                Err(error) => {
                    self.stop();
                    return Err(error);
                }
            }
        }
    }

    /// Begins no further member: what is read is not kept.
    fn stop(&self) {
        self.next.store(self.load.members.len(), Ordering::Relaxed);
    }

    /// Notes the words of a batch that no list knows. Returns whether there are too many by now.
    fn note_words(&self, batch: &TripBatch) -> bool {
        if self.load.words == Words::Together {
            return false;
        }
        let mut met = self
            .other_words
            .lock()
            .expect("no holder of this lock panics");
        for word in batch.other_words() {
            if met.len() > MOST_WORDS {
                break;
            }
            if !met.contains(word) {
                met.insert(word.into());
            }
        }
        met.len() > MOST_WORDS
    }

    fn has_too_many_words(&self) -> bool {
        let met = self
            .other_words
            .lock()
            .expect("no holder of this lock panics");
        met.len() > MOST_WORDS
    }

    /// Reads one member; the store knows it by its place among those with trips.
    fn member(&self, member: &TripsMember, place: usize) -> Result<Outcome, LoadError> {
        let input = self.load.archive.read(member.place)?;
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
            self.takers
                .progress
                .bytes(done + filled as u64, self.bytes_all);
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
        let mut reader =
            TripReader::new(input, member.plan.clone(), self.load.system, &member.name)?;
        let mut totals = Totals::default();
        // Rows outside the sample are not counted as read: they might as well not be there.
        let mut left_out = 0;
        while let Some(mut batch) = reader.next_batch(self.takers.rejects)? {
            if self.note_words(&batch) {
                self.stop();
                break;
            }
            if self.load.words == Words::Together {
                batch.mark_other_words();
            }
            if let Some(share) = self.load.sample {
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
            self.takers.write.write(member, batch)?;
        }
        self.takers.write.end_member(member)
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
