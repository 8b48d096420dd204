//! Archives read to their ends, and each of their trips once: what an export writes, and what a
//! plan counts.
//!
//! ```text
//!  archives ─► ingest::read ─► buckets by the hash of the id ─► of equal ids, the better copy
//! ```
//!
//! Nothing is known of a trip before all archives have been read: a bad checksum leaves nothing.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use divvy::ingest::{self, LoadError, LoadOptions, Progress, ReadThrough};
use divvy::issue::RejectSink;
use divvy::model::System;
use divvy::sources::archive::Archive;
use divvy::store::{StoreError, StoreErrorKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::blocks::Rows;
use crate::buckets::Buckets;
use crate::item::trip::archive_tag;

/// Unpacked bytes of an archive that make a bucket: of 2016, 64 MB of JSON come from a third of
/// that in CSV.
const BUCKET_BYTES: u64 = 20 << 20;
/// As many files as a process may surely open.
const MOST_BUCKETS: u64 = 512;
/// How many times its size a file of gzip is taken to be, since it does not say.
const GZIP_FACTOR: u64 = 6;
/// Archives, and members of one, at most: a row's place is the archive's times this, and the
/// member's.
const MEMBERS: u32 = 1 << 16;

/// Why archives could not be sifted.
#[derive(Debug, thiserror::Error)]
pub enum SiftError {
    /// One of them cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no room for what was read.
    #[error("cannot keep the rows in a file of the folder for temporary files: {0}")]
    Spool(#[from] io::Error),
    /// They are of two systems.
    #[error(
        "{archive} is of {found}, and the archives before it are of {system}: name those of one \
         system at a time"
    )]
    TwoSystems {
        /// The archive.
        archive: String,
        /// Its system.
        found: String,
        /// That of the others.
        system: String,
    },
    /// More than rows can tell apart.
    #[error("{what} more than {MEMBERS} {of}: split them over several runs")]
    TooMany {
        /// Who has too many.
        what: String,
        /// Of what.
        of: &'static str,
    },
    /// None of them holds a trip.
    #[error("there are no trips in {archives}")]
    NoTrips {
        /// Their names.
        archives: String,
    },
}

/// One archive's part.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it came to, copies not looked for.
    pub read: ReadThrough,
    /// What its items carry as `archive`.
    pub tag: String,
}

/// Archives that have been read.
pub struct Sifted {
    /// They, in the order given.
    pub sources: Vec<Source>,
    /// Whose trips these are.
    pub system: System,
    buckets: Buckets,
}

/// Some of the trips.
pub(crate) struct Share {
    /// Rows, with copies among them.
    pub(crate) rows: Rows,
    /// The rows to keep, in an order that has nothing to do with their ids or times: that of their
    /// ids' hashes.
    pub(crate) kept: Vec<u32>,
}

/// Reads archives, one after another; `progress` hears of each from its beginning.
///
/// # Errors
///
/// [`SiftError`]: nothing is kept then.
pub fn sift(
    archives: &[Archive],
    options: &LoadOptions,
    rejects: &dyn RejectSink,
    progress: &dyn Progress,
) -> Result<Sifted, SiftError> {
    let too_many = |what: &str, of| SiftError::TooMany {
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
    let buckets = Buckets::new(buckets_for(archives))?;
    let mut sources: Vec<Source> = Vec::new();
    let mut rows = 0;
    for (place, archive) in archives.iter().enumerate() {
        let first = place as u32 * MEMBERS;
        let write = |member: usize, batch| {
            let batch = Rows::of_member(batch, first + member as u32);
            let all = 0..batch.len() as u32;
            let hash = |row: u32| xxh3_64(batch.batch.id_raw(row as usize));
            buckets.put(&batch, all, hash).map_err(|error| {
                let doing = "cannot keep the rows in a file of the folder for temporary files";
                StoreError::because(StoreErrorKind::Unreachable, doing, error)
            })
        };
        let read = ingest::read(archive, options, &write, rejects, progress)?;
        let system = sources.first().map(|first| &first.read.id.system);
        if let Some(system) = system.filter(|system| system.id != read.id.system.id) {
            return Err(SiftError::TwoSystems {
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
        Some(first) if rows > 0 => Ok(Sifted {
            system: first.read.id.system.clone(),
            sources,
            buckets,
        }),
        _ => Err(SiftError::NoTrips {
            archives: archives
                .iter()
                .map(Archive::name)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn buckets_for(archives: &[Archive]) -> usize {
    let unpacked = |archive: &Archive| {
        let of = |member: &divvy::sources::archive::Member| {
            let packed = archive.size_bytes().saturating_mul(GZIP_FACTOR);
            member.size_bytes.unwrap_or(packed)
        };
        archive.members().iter().map(of).sum::<u64>()
    };
    let bytes: u64 = archives.iter().map(unpacked).sum();
    bytes.div_ceil(BUCKET_BYTES).clamp(1, MOST_BUCKETS) as usize
}

impl Sifted {
    /// Counts the buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Tells the archive of a row, by its place among those given, and the member of that archive.
    pub(crate) fn origin_of(member: u32) -> (usize, u32) {
        ((member / MEMBERS) as usize, member % MEMBERS)
    }

    /// Reads a bucket, and decides about its copies: the better one stays; of equal ones, that of
    /// the archive given first.
    pub(crate) fn share(&self, bucket: usize) -> io::Result<Share> {
        let rows = self.buckets.read(bucket)?;
        let batch = &rows.batch;
        let id = |row: u32| batch.id_raw(row as usize);
        let mut order: Vec<(u64, u32)> = (0..rows.len() as u32)
            .map(|row| (xxh3_64(id(row)), row))
            .collect();
        let place = |row: u32| (rows.member[row as usize], batch.line[row as usize], row);
        order.sort_unstable_by(|(hash, row), (other_hash, other)| {
            hash.cmp(other_hash)
                .then_with(|| id(*row).cmp(id(*other)))
                .then_with(|| place(*row).cmp(&place(*other)))
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
        Ok(Share { rows, kept })
    }
}

/// Does the work of each of `n` places on all cores, and returns what came of it by place.
///
/// # Errors
///
/// The first that came; the rest is then left undone.
pub(crate) fn on_all_cores<T: Send, E: Send>(
    n: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= n {
                return Ok(done);
            }
            match work(place) {
                Ok(result) => done.push((place, result)),
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
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
