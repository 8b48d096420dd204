//! Searches ids that are stored twice, and duplicates of none that is stored.

use std::collections::BTreeSet;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::TripBatch;
use crate::store::embedded::catalog::{FileKind, FileRow};
use crate::store::embedded::trips_file::TripsFile;

/// Hashes of ids in memory at a time, when trips stored twice are searched: 128 MiB.
const MAX_HASHES: u64 = 16 << 20;

/// Finds ids that are stored in two rows, and those of duplicates that are stored in none: by hash
/// first, one partition of all hashes at a time.
pub(super) struct IdCheck {
    /// The number of partitions: a hash belongs to that of its remainder.
    partitions: u64,
    /// Those of the first partition.
    hashes: IdHashes,
}

/// Hashes of ids.
#[derive(Default)]
struct IdHashes {
    stored: Vec<u64>,
    duplicates: Vec<u64>,
}

/// What [`IdCheck::find`] found: ids, in order.
pub(super) struct WrongIds {
    pub(super) repeated: BTreeSet<String>,
    pub(super) without_stored_copy: BTreeSet<String>,
}

impl IdHashes {
    fn of(&mut self, kind: FileKind) -> &mut Vec<u64> {
        match kind {
            FileKind::Trips => &mut self.stored,
            FileKind::Duplicates => &mut self.duplicates,
        }
    }
}

impl IdCheck {
    pub(super) fn new(files: &[FileRow]) -> Self {
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        Self {
            partitions: rows.div_ceil(MAX_HASHES).max(1),
            hashes: IdHashes::default(),
        }
    }

    /// Adds the ids of the first partition.
    pub(super) fn add(&mut self, kind: FileKind, batch: &TripBatch) {
        let partitions = self.partitions;
        let of_first = hashes_of(batch).filter(|hash| hash % partitions == 0);
        self.hashes.of(kind).extend(of_first);
    }

    /// Finds the ids. The files are read again for each further partition, and if a hash is wrong.
    /// Unless all files can be read (`is_whole`), it is not known which ids are stored.
    pub(super) fn find(self, root: &Path, files: &[FileRow], is_whole: bool) -> WrongIds {
        let (mut suspects, mut missing) = (BTreeSet::new(), BTreeSet::<u64>::new());
        let Self {
            partitions,
            mut hashes,
        } = self;
        for partition in 0..partitions {
            if partition > 0 {
                hashes.stored.clear();
                hashes.duplicates.clear();
                for_each_file(root, files, &mut |kind, batch| {
                    let of_this = hashes_of(batch).filter(|hash| hash % partitions == partition);
                    hashes.of(kind).extend(of_this);
                });
            }
            let IdHashes { stored, duplicates } = &mut hashes;
            stored.sort_unstable();
            let equal = stored.windows(2).filter(|pair| pair[0] == pair[1]);
            suspects.extend(equal.map(|pair| pair[0]));
            let is_missing = |hash: &&u64| stored.binary_search(hash).is_err();
            missing.extend(duplicates.iter().filter(|_| is_whole).filter(is_missing));
        }
        drop(hashes);
        let mut once = BTreeSet::new();
        let mut wrong = WrongIds {
            repeated: BTreeSet::new(),
            without_stored_copy: BTreeSet::new(),
        };
        if suspects.is_empty() && missing.is_empty() {
            return wrong;
        }
        for_each_file(root, files, &mut |kind, batch| {
            for id in ids_of(batch) {
                let hash = xxh3_64(id.as_bytes());
                if kind == FileKind::Duplicates {
                    if missing.contains(&hash) {
                        wrong.without_stored_copy.insert(id.to_owned());
                    }
                } else if suspects.contains(&hash) && !once.insert(id.to_owned()) {
                    wrong.repeated.insert(id.to_owned());
                }
            }
        });
        wrong
    }
}

fn hashes_of(batch: &TripBatch) -> impl Iterator<Item = u64> {
    ids_of(batch).map(|id| xxh3_64(id.as_bytes()))
}

/// Returns the ids of a batch, which may have no other column.
fn ids_of(batch: &TripBatch) -> impl Iterator<Item = &str> {
    (0..batch.id_ends.len()).map(|row| batch.id(row))
}

/// Visits the ids of every file that can be read: the others have been reported.
fn for_each_file(root: &Path, files: &[FileRow], visit: &mut dyn FnMut(FileKind, &TripBatch)) {
    for file in files {
        let Ok(trips) = TripsFile::open(&root.join(&file.path)) else {
            continue;
        };
        for group in 0..trips.groups().len() {
            if let Ok(batch) = trips.read_ids(group) {
                visit(file.kind, &batch);
            }
        }
    }
}
