//! Which trips of some archives a load would store, without a store: reads the archives to their
//! ends and finds the copies of each trip among them. An export writes these trips, a plan counts
//! them.
//!
//! ```text
//!  archives ─► ingest::read ─► partitions by the hash of the id ─► of equal ids, the best copy
//! ```

mod partition_files;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use divvy::ingest::{self, LoadError, LoadOptions, Progress, ReadThrough};
use divvy::issue::RejectSink;
use divvy::model::System;
use divvy::sources::archive::Archive;
use divvy::store::{StoreError, StoreErrorKind};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::partition_files::PartitionFiles;
use crate::blocks::Rows;
use crate::item::trip::archive_tag;

/// Unpacked CSV bytes of a partition; as JSON about three times as many.
const PARTITION_BYTES: u64 = 20 << 20;
/// A number of files that every process may open.
const MAX_PARTITIONS: u64 = 512;
/// The assumed expansion of gzip files, whose unpacked size is not known.
const GZIP_FACTOR: u64 = 6;
/// The most archives, and the most members of one: rows carry the index of the archive times this
/// number, plus the index of the member.
const MEMBERS: u32 = 1 << 16;

/// The reason for which there is no estimate.
#[derive(Debug, thiserror::Error)]
pub enum DuplicateEstimateError {
    /// An archive cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The temporary files cannot be written or read.
    #[error("cannot keep the rows in a file of the folder for temporary files: {0}")]
    Spool(#[from] io::Error),
    /// The archives belong to two systems.
    #[error(
        "{archive} is of {found}, and the archives before it are of {system}: name those of one \
         system at a time"
    )]
    TwoSystems {
        /// The archive.
        archive: String,
        /// Its system.
        found: String,
        /// The system of the others.
        system: String,
    },
    /// There are more archives or members than rows can refer to.
    #[error("{what} more than {MEMBERS} {of}: split them over several runs")]
    TooMany {
        /// The archive, or `there are`.
        what: String,
        /// The kind of which there are too many.
        of: &'static str,
    },
    /// None of the archives has a trip.
    #[error("there are no trips in {archives}")]
    NoTrips {
        /// Their names.
        archives: String,
    },
}

/// An archive that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its contents, duplicates included.
    pub read: ReadThrough,
    /// The attribute `archive` of its items.
    pub tag: String,
}

/// The rows of archives, partitioned by their ids in temporary files.
pub struct DuplicateEstimate {
    /// The archives, in the order given.
    pub sources: Vec<Source>,
    /// Their system.
    pub system: System,
    files: PartitionFiles,
}

/// All copies of some of the trips.
pub(crate) struct Partition {
    /// The rows, duplicates included.
    pub(crate) rows: Rows,
    /// The rows that a load would store, in the order of the hashes of their ids.
    pub(crate) kept: Vec<u32>,
}

/// Reads archives, one after another.
///
/// # Errors
///
/// [`DuplicateEstimateError`]; the temporary files are then deleted.
pub fn estimate_duplicates(
    archives: &[Archive],
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<DuplicateEstimate, DuplicateEstimateError> {
    let too_many = |what: &str, of| DuplicateEstimateError::TooMany {
        what: what.into(),
        of,
    };
    if archives.len() > MEMBERS as usize {
        return Err(too_many("there are", "archives"));
    }
    if let Some(archive) = archives
        .iter()
        .find(|archive| archive.members().len() > MEMBERS as usize)
    {
        return Err(too_many(&format!("{} has", archive.name()), "files"));
    }
    let files = PartitionFiles::new(partitions_for(archives))?;
    let mut sources: Vec<Source> = Vec::new();
    let mut rows = 0;
    for (index, archive) in archives.iter().enumerate() {
        let first = index as u32 * MEMBERS;
        let write = |member: usize, batch| {
            let batch = Rows::of_member(batch, first + member as u32);
            let all = 0..batch.len() as u32;
            let hash = |row: u32| xxh3_64(batch.batch.id_raw(row as usize));
            files.put(&batch, all, hash).map_err(|error| {
                let doing = "cannot keep the rows in a file of the folder for temporary files";
                StoreError::with_source(StoreErrorKind::Unreachable, doing, error)
            })
        };
        let read = ingest::read(archive, options, &write, rejects, progress)?;
        let system = sources.first().map(|first| &first.read.id.system);
        if let Some(system) = system.filter(|system| system.id != read.id.system.id) {
            return Err(DuplicateEstimateError::TwoSystems {
                archive: archive.name().into(),
                found: read.id.system.id.to_string(),
                system: system.id.to_string(),
            });
        }
        rows += read.totals.trips;
        sources.push(Source {
            tag: archive_tag(read.id.content),
            read,
        });
    }
    match sources.first() {
        Some(first) if rows > 0 => Ok(DuplicateEstimate {
            system: first.read.id.system.clone(),
            sources,
            files,
        }),
        _ => Err(DuplicateEstimateError::NoTrips {
            archives: archives
                .iter()
                .map(Archive::name)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn partitions_for(archives: &[Archive]) -> usize {
    let unpacked = |archive: &Archive| {
        let of = |member: &divvy::sources::archive::Member| {
            let packed = archive.size_bytes().saturating_mul(GZIP_FACTOR);
            member.size_bytes.unwrap_or(packed)
        };
        archive.members().iter().map(of).sum::<u64>()
    };
    let bytes: u64 = archives.iter().map(unpacked).sum();
    bytes.div_ceil(PARTITION_BYTES).clamp(1, MAX_PARTITIONS) as usize
}

impl DuplicateEstimate {
    /// Returns the number of partitions.
    pub(crate) fn partitions(&self) -> usize {
        self.files.len()
    }

    /// Splits the member of a row in a partition: the index of the archive among the sources, and
    /// the member of that archive.
    pub(crate) fn source_of(member: u32) -> (usize, u32) {
        ((member / MEMBERS) as usize, member % MEMBERS)
    }

    /// Reads a partition, and chooses the copy of each trip that is kept: the better one; of equal
    /// ones, that of the archive given first.
    pub(crate) fn partition(&self, index: usize) -> io::Result<Partition> {
        let rows = self.files.read(index)?;
        let batch = &rows.batch;
        let id = |row: u32| batch.id_raw(row as usize);
        let mut order: Vec<(u64, u32)> = (0..rows.len() as u32)
            .map(|row| (xxh3_64(id(row)), row))
            .collect();
        let location = |row: u32| (rows.member[row as usize], batch.line[row as usize], row);
        order.sort_unstable_by(|(hash, row), (other_hash, other)| {
            hash.cmp(other_hash)
                .then_with(|| id(*row).cmp(id(*other)))
                .then_with(|| location(*row).cmp(&location(*other)))
        });
        let mut kept = Vec::with_capacity(order.len());
        for copies in order.chunk_by(|(_, a), (_, b)| id(*a) == id(*b)) {
            let mut best = copies[0].1;
            for (_, copy) in &copies[1..] {
                let better = batch
                    .trip(*copy as usize)
                    .cmp_copies(&batch.trip(best as usize));
                if better.is_lt() {
                    best = *copy;
                }
            }
            kept.push(best);
        }
        Ok(Partition { rows, kept })
    }
}

/// Calls `work` with each number below `n` on all cores, and returns the results in that order.
///
/// # Errors
///
/// The first error; remaining calls are then skipped.
pub(crate) fn on_all_cores<T: Send, E: Send>(
    n: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= n {
                return Ok(done);
            }
            match work(index) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    next.store(n, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Vec::with_capacity(n);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(n)).map(|_| scope.spawn(run)).collect();
        for worker in workers {
            all.extend(worker.join().expect("the work does not panic")?);
        }
        Ok(())
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
