//! Reads the trip files of an archive in three stages: a thread inflates, one parses rows and tallies
//! trips, and one writes them. Several members are read at the same time, independently.
//!
//! Memory is bounded: a few blocks of text and a batch of trips for each member.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::LoadError;
use super::contents::{TripsMember, other_encoding_warning};
use crate::issue::{RejectSink, RejectedCounts, Skipped};
use crate::model::{OTHER, SampleFraction, System, TripBatch};
use crate::sources::archive::Archive;
use crate::sources::trips_csv::{ColumnMapping, TimeHints, TripReader, TripsError};
use crate::store::StoreError;
use crate::tally::{Tally, Totals};

/// Receives the progress of reading. Called from several threads.
pub trait Progress: Sync {
    /// `done` of `total` unpacked bytes have been read; `total` is 0 where it is not known.
    fn bytes(&self, done: u64, total: u64);

    /// So many more trips have been read.
    fn trips(&self, _more: u64) {}

    /// All trips have been read, and are now put into the store.
    fn storing(&self) {}
}

/// Ignores the progress.
impl Progress for () {
    fn bytes(&self, _: u64, _: u64) {}
}

/// Receives the trips of an archive, from several threads. The batches of one member come in the
/// order of its rows. A function of a member and a batch is a sink.
pub trait TripSink: Sync {
    /// Receives a batch. `member` is the index of its member among those with trips.
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError>;

    /// Called after the last batch of a member.
    fn end_member(&self, _member: usize) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<F: Fn(usize, TripBatch) -> Result<(), StoreError> + Sync> TripSink for F {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self(member, batch)
    }
}

/// Bytes of unpacked text in a block that passes between threads.
const BLOCK_BYTES: usize = 256 * 1024;
/// How many blocks may wait for the parser.
const MAX_WAITING_BLOCKS: usize = 8;
/// How many members are read at a time, whatever the number of cores: each holds some batches.
const MAX_PARALLEL_MEMBERS: usize = 4;

/// The totals of a member, or of all members.
#[derive(Default)]
pub(super) struct ReadTotals {
    pub(super) rows_read: u64,
    pub(super) rejected: RejectedCounts,
    pub(super) totals: Totals,
    /// Members without a row that can be read: their indexes, and why.
    unreadable: Vec<(usize, TripsError)>,
    /// Warnings for the user, one sentence each.
    pub(super) warnings: Vec<String>,
}

impl ReadTotals {
    fn add(&mut self, other: Self) {
        self.unreadable.extend(other.unreadable);
        self.warnings.extend(other.warnings);
        if self.rows_read == 0 {
            self.rows_read = other.rows_read;
            self.rejected = other.rejected;
            self.totals = other.totals;
            return;
        }
        self.rows_read += other.rows_read;
        for (reason, n) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += n;
        }
        self.totals.merge(&other.totals);
    }

    /// Returns the members of which no row can be read.
    pub(super) fn skipped(&self) -> Vec<Skipped> {
        let errors = self.unreadable.iter();
        errors
            .filter_map(|(_, error)| error.skipped(error.member()))
            .collect()
    }
}

/// How unlisted words for riders, types of bikes and genders are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherWords {
    /// Each separately. Reading ends early where there are too many.
    Separately,
    /// All together, as [`OTHER`].
    Together,
}

/// How many unlisted words of an archive are counted separately at most. In a file with more of them
/// the column holds something else.
pub(super) const MAX_OTHER_WORDS: usize = 64;

/// The result of reading an archive.
pub(super) enum ReadOutcome {
    /// It has been read to the end.
    Complete(Box<ReadTotals>),
    /// It has more than [`MAX_OTHER_WORDS`] unlisted words. Its output so far is to be dropped, and
    /// the archive to be read again with [`OtherWords::Together`].
    TooManyOtherWords,
}

/// The trips of an archive that is to be read.
pub(super) struct TripSource<'a> {
    pub(super) archive: &'a Archive,
    /// Its members with trips.
    pub(super) members: &'a [TripsMember],
    pub(super) system: &'a System,
    /// Reads a fraction of the trips. `None` for all.
    pub(super) sample: Option<SampleFraction>,
    pub(super) other_words: OtherWords,
    pub(super) hints: TimeHints,
}

/// What receives the output of reading.
pub(super) struct Outputs<'a> {
    pub(super) trips: &'a dyn TripSink,
    pub(super) rejects: &'a dyn RejectSink,
    pub(super) progress: &'a dyn Progress,
}

impl Outputs<'_> {
    /// Drops everything, for callers that need only the outcome.
    pub(super) fn none() -> Self {
        Self {
            trips: &|_: usize, _: TripBatch| Ok(()),
            rejects: &(),
            progress: &(),
        }
    }
}

impl TripSource<'_> {
    /// Reads every member.
    ///
    /// # Errors
    ///
    /// [`TripsError::NothingReadable`] where no member has a row that can be read.
    pub(super) fn read(&self, outputs: &Outputs<'_>) -> Result<ReadOutcome, LoadError> {
        let sizes = self.members.iter().filter_map(|member| member.size_bytes);
        let run = Run {
            source: self,
            outputs,
            bytes_done: AtomicU64::new(0),
            bytes_total: sizes.sum(),
            next: AtomicUsize::new(0),
            other_words: Mutex::default(),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.min(MAX_PARALLEL_MEMBERS).min(self.members.len());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| scope.spawn(|| run.read_members()))
                .collect();
            let mut sum = ReadTotals::default();
            for worker in workers {
                sum.add(worker.join().expect("reading does not panic")?);
            }
            sum.unreadable.sort_by_key(|(member, _)| *member);
            sum.warnings.sort();
            if sum.unreadable.len() == self.members.len() && !self.members.is_empty() {
                let (_, first) = sum.unreadable.swap_remove(0);
                return Err(first.into());
            }
            Ok(if run.has_too_many_words() {
                ReadOutcome::TooManyOtherWords
            } else {
                ReadOutcome::Complete(Box::new(sum))
            })
        })
    }
}

/// The state that all members share while they are read.
struct Run<'a> {
    source: &'a TripSource<'a>,
    outputs: &'a Outputs<'a>,
    bytes_done: AtomicU64,
    bytes_total: u64,
    /// The next member to be read.
    next: AtomicUsize,
    /// The unlisted words found so far, until there are too many.
    other_words: Mutex<BTreeSet<Box<str>>>,
}

impl Run<'_> {
    /// Reads one member after another.
    fn read_members(&self) -> Result<ReadTotals, LoadError> {
        let mut sum = ReadTotals::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(member) = self.source.members.get(index) else {
                return Ok(sum);
            };
            match self.read_member(member, index) {
                Ok(read) => sum.add(read),
                Err(error) => {
                    self.stop();
                    return Err(error);
                }
            }
        }
    }

    /// Makes other threads begin no further member, since the output will be dropped.
    fn stop(&self) {
        self.next
            .store(self.source.members.len(), Ordering::Relaxed);
    }

    /// Records the unlisted words of a batch. Returns whether there are too many by now.
    fn record_words(&self, batch: &TripBatch) -> bool {
        if self.source.other_words == OtherWords::Together {
            return false;
        }
        let mut words = self
            .other_words
            .lock()
            .expect("no holder of this lock panics");
        for word in batch.other_words() {
            if words.len() > MAX_OTHER_WORDS {
                break;
            }
            if !words.contains(word) {
                words.insert(word.into());
            }
        }
        words.len() > MAX_OTHER_WORDS
    }

    fn has_too_many_words(&self) -> bool {
        let words = self
            .other_words
            .lock()
            .expect("no holder of this lock panics");
        words.len() > MAX_OTHER_WORDS
    }

    /// Reads one member. `index` is that among the members with trips.
    fn read_member(&self, member: &TripsMember, index: usize) -> Result<ReadTotals, LoadError> {
        let input = self.source.archive.read(member.index)?;
        thread::scope(|scope| {
            let (text, blocks) = sync_channel(MAX_WAITING_BLOCKS);
            // Blocks that were parsed return to be filled again.
            let (used, empty) = channel();
            let (batches, parsed) = sync_channel(1);
            scope.spawn(move || self.inflate(input, &text, &empty));
            let writing = scope.spawn(move || self.write(index, &parsed));
            let read = self.parse(member, index, BlockReader::new(blocks, used), &batches);
            drop(batches);
            // Where writing failed, parsing stopped early, so that error comes first.
            writing.join().expect("writing does not panic")?;
            Ok(read?)
        })
    }

    /// First stage: unpacks the bytes.
    fn inflate(
        &self,
        mut input: Box<dyn Read + Send>,
        text: &SyncSender<io::Result<Vec<u8>>>,
        empty: &Receiver<Vec<u8>>,
    ) {
        loop {
            let mut block = empty.try_recv().unwrap_or_else(|_| vec![0; BLOCK_BYTES]);
            let mut filled = 0;
            let failure = loop {
                match input.read(&mut block[filled..]) {
                    Ok(0) => break None,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => break Some(e),
                }
                if filled == BLOCK_BYTES {
                    break None;
                }
            };
            let end = filled < BLOCK_BYTES;
            block.truncate(filled);
            let done = self.bytes_done.fetch_add(filled as u64, Ordering::Relaxed);
            self.outputs
                .progress
                .bytes(done + filled as u64, self.bytes_total);
            // The parser ends early only where it or the writer has failed.
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

    /// Second stage: parses rows to trips, and tallies them.
    fn parse(
        &self,
        member: &TripsMember,
        index: usize,
        input: BlockReader,
        batches: &SyncSender<TripBatch>,
    ) -> Result<ReadTotals, TripsError> {
        let mapping = member.mapping.clone();
        let reader = TripReader::new(input, mapping, self.source.system, &member.name)?;
        let mut reader = reader.detecting_with(Box::new(|offset| self.detect_at(member, offset)));
        let mut totals = Totals::default();
        // Trips outside the sample are not counted as rows read.
        let mut left_out = 0;
        let mut has_trips = false;
        while let Some(mut batch) = reader.next_batch(self.outputs.rejects)? {
            has_trips = true;
            if self.record_words(&batch) {
                self.stop();
                break;
            }
            if self.source.other_words == OtherWords::Together {
                batch.flag_other_words();
            }
            if let Some(fraction) = self.source.sample {
                let rows = batch.len();
                batch = select(batch, fraction);
                left_out += (rows - batch.len()) as u64;
            }
            self.outputs.progress.trips(batch.len() as u64);
            totals.count(&batch, 1);
            if batches.send(batch).is_err() {
                break;
            }
        }
        let first_rejected = reader.first_rejected().filter(|_| !has_trips);
        let unreadable = first_rejected.map(|first| TripsError::NothingReadable {
            file: member.name.clone(),
            rows: reader.rows_read(),
            first: Box::new(first.clone()),
        });
        let of_headers = reader.warnings().iter();
        let of_headers = of_headers.map(|warning| format!("{}: {warning}", member.name));
        let of_encoding = reader.has_other_encoding();
        let of_encoding = of_encoding.then(|| other_encoding_warning(&member.name));
        Ok(ReadTotals {
            rows_read: reader.rows_read() - left_out,
            rejected: reader.rejected().clone(),
            totals,
            unreadable: unreadable.map(|error| (index, error)).into_iter().collect(),
            warnings: of_headers.chain(of_encoding).collect(),
        })
    }

    /// Decides how to read the rows after a header at an offset of a member.
    fn detect_at(&self, member: &TripsMember, offset: u64) -> Result<ColumnMapping, TripsError> {
        let mut open = || -> io::Result<Box<dyn Read + Send>> {
            let archive = self.source.archive;
            let mut input = archive.read(member.index).map_err(io::Error::other)?;
            io::copy(&mut input.by_ref().take(offset), &mut io::sink())?;
            Ok(input)
        };
        let systems = member.mapping.systems();
        ColumnMapping::detect_among(systems, &mut open, &member.name, self.source.hints)
    }

    /// Third stage: writes the trips.
    fn write(&self, member: usize, batches: &Receiver<TripBatch>) -> Result<(), StoreError> {
        for batch in batches {
            self.outputs.trips.write(member, batch)?;
        }
        self.outputs.trips.end_member(member)
    }
}

/// Keeps the trips of a batch that belong to a sample, and all names of stations.
fn select(batch: TripBatch, fraction: SampleFraction) -> TripBatch {
    let rows = 0..batch.len() as u32;
    let rows: Vec<u32> = rows
        .filter(|row| fraction.includes(batch.id_raw(*row as usize)))
        .collect();
    let mut selected = batch.select(&rows);
    selected.names = batch.names;
    selected
}

/// Reads the blocks of another thread as one input.
struct BlockReader {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Returns blocks that were read.
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    /// How many bytes of `block` were read.
    read: usize,
}

impl BlockReader {
    fn new(blocks: Receiver<io::Result<Vec<u8>>>, used: Sender<Vec<u8>>) -> Self {
        Self {
            blocks,
            used,
            block: Vec::new(),
            read: 0,
        }
    }
}

impl Read for BlockReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => {
                    let used = std::mem::replace(&mut self.block, block?);
                    self.read = 0;
                    // Only whole blocks are filled again. The first stage may have ended.
                    if used.len() == BLOCK_BYTES {
                        let _ = self.used.send(used);
                    }
                }
                Err(_) => return Ok(0),
            }
        }
        let n = out.len().min(self.block.len() - self.read);
        out[..n].copy_from_slice(&self.block[self.read..self.read + n]);
        self.read += n;
        Ok(n)
    }
}

/// Returns a note for the user on unlisted words that are counted together.
pub(super) fn other_words_note(other_words: OtherWords) -> Option<String> {
    (other_words == OtherWords::Together).then(|| {
        format!(
            "it has more than {MAX_OTHER_WORDS} words of its own for riders, kinds of bikes and genders: \
             they are counted together, as {OTHER}; the stored trips keep them"
        )
    })
}
