//! Decides which copy of a trip is stored, if it is in several archives or twice in one.
//!
//! ```text
//!  indexes ─► rows with repeated keys ─► a hash of each row's content, sorted by key
//!          ─► equal copies: the first stays ─► copies that differ: compared whole, sorted by id
//! ```
//!
//! Each row group with such rows is read once, and once more if copies differ. Sorting uses disk
//! beyond a fixed amount of memory, so neither time nor memory depends on how often a trip has been
//! published before.
//!
//! A stored trip is better than all its copies among the duplicates: these matter only if stored
//! trips are removed.

mod contested;
mod copies;
mod files;

use std::collections::BTreeSet;
use std::path::Path;

use self::contested::{IndexRange, contested_rows};
use self::copies::Comparison;
use self::files::Role;
pub(super) use self::files::{CommitFile, Resolution};
use super::index::Index;
use crate::store::StoreError;

/// Decides which copy of each trip is stored, and thereby which rows of `files` move between trips
/// and duplicates. `removed` has the sequences of archives that are removed. Temporary files are
/// written to `staging`.
pub(super) fn resolve_duplicates(
    files: &mut [CommitFile],
    removed: &BTreeSet<u64>,
    staging: &Path,
) -> Result<(), StoreError> {
    let roles: Vec<Role> = (files.iter()).map(|file| Role::of(file, removed)).collect();
    let mut indexes = Vec::new();
    for file in 0..files.len() {
        if let Some(keys) = shared_keys(files, &roles, file) {
            indexes.push(IndexRange {
                role: roles[file],
                kind: files[file].row.kind,
                file,
                index: Index::open(&files[file].index_path)?,
                keys,
            });
        }
    }
    let contested = contested_rows(&indexes, files.len())?;
    let moving = {
        let mut comparison = Comparison::new(files, &indexes, staging);
        let differing = comparison.resolve_equal_copies(&contested)?;
        comparison.resolve_differing_copies(&differing)?;
        comparison.into_moving_rows()
    };
    for (file, moving) in files.iter_mut().zip(moving) {
        file.moving = moving;
    }
    Ok(())
}

/// Returns the range of keys that a file may share with others, or have twice. `None` if there are
/// none, as for most months: ids that are in no other file need no decision.
fn shared_keys(files: &[CommitFile], roles: &[Role], index: usize) -> Option<(u64, u64)> {
    let file = &files[index];
    if file.row.rows == 0 {
        return None;
    }
    let has_repeated_keys = matches!(
        file.resolution,
        Resolution::Unresolved {
            has_repeated_keys: true
        }
    );
    if has_repeated_keys && roles[index] == Role::New {
        return Some(file.row.keys);
    }
    (files.iter().zip(roles).enumerate())
        .filter(|(other, (_, role))| *other != index && roles[index].is_compared_with(**role))
        .filter(|(_, (other, _))| other.row.rows > 0 && file.overlaps(other))
        .map(|(_, (other, _))| (file.row.keys, other.row.keys))
        .map(|(own, other)| (own.0.max(other.0), own.1.min(other.1)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issue::Reason;
    use crate::model::Trip;
    use crate::store::embedded::index::key_of;
    use crate::store::embedded::testing::{faults, load, stored, trip};
    use crate::store::embedded::{EmbeddedStore, catalog, folder};

    #[test]
    fn a_repeated_publication_stores_only_new_trips() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let trips: Vec<Trip> = (0..60)
            .map(|n| trip(&format!("R{n}"), n * 60_000))
            .collect();
        for n in 1..=6 {
            let entry = load(&store, &format!("{n}.zip"), &[&trips[..n * 10]], false);
            assert_eq!(entry.stored, 10);
            let duplicates = entry.rejected.get(&Reason::Duplicate).copied();
            assert_eq!(duplicates.unwrap_or(0), (n as u64 - 1) * 10);
        }
        let mut expected = trips.clone();
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(stored(&store), expected);
        // The first one is replaced: the second now stores the trips that only it has.
        load(&store, "1.zip", &[&trips[..3]], true);
        assert_eq!(stored(&store), expected);
        assert_eq!(faults(&store), [""; 0]);
    }

    #[test]
    fn ids_that_share_a_key_are_not_copies_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        assert_eq!(key_of(b"7"), key_of(b"007"));
        let seven = trip("7", 5_000);
        let mut better = trip("7", 5_000);
        better.precision_ms = 1;
        load(&store, "a.zip", &[&[trip("007", 1), seven.clone()]], false);
        let entry = load(&store, "b.zip", &[&[trip("07", 2), better.clone()]], false);
        assert_eq!(entry.stored, 2);
        let expected = [trip("007", 1), trip("07", 2), better];
        assert_eq!(stored(&store), expected);
        load(&store, "b.zip", &[&[trip("07", 3)]], true);
        assert_eq!(stored(&store), [trip("007", 1), trip("07", 3), seven]);
        assert_eq!(faults(&store), [""; 0]);
    }

    #[test]
    fn the_first_of_equal_rows_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let mut better = trip("A", 1);
        better.precision_ms = 1;
        let worse = trip("A", 1);
        // In several row groups.
        let mut rows = vec![worse.clone(); 20];
        rows.push(better.clone());
        rows.extend(vec![worse; 10]);
        rows.extend(vec![better.clone(); 3]);
        let entry = load(&store, "a.zip", &[&rows], false);
        assert_eq!((entry.stored, entry.rejected[&Reason::Duplicate]), (1, 33));
        assert_eq!(stored(&store), [better]);
    }

    #[test]
    fn a_damaged_index_hides_no_keys() {
        let root = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(root.path()).unwrap();
        let trips: Vec<Trip> = (0..50).map(|n| trip(&format!("R{n}"), n)).collect();
        load(&store, "a.zip", &[&trips], false);
        let files = catalog::files(&store.shared.catalog().unwrap(), None).unwrap();
        let index = folder::index_path(root.path(), &files[0].path);
        let sound = std::fs::read(&index).unwrap();
        for offset in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[offset] ^= 1 << (offset % 8);
            std::fs::write(&index, bytes).unwrap();
            let opened = Index::open(&index).and_then(|index| {
                let keys: BTreeSet<u64> = trips
                    .iter()
                    .map(|t| key_of(t.id.as_str().as_bytes()))
                    .collect();
                let mut found = 0;
                index.join(&keys.into_iter().collect::<Vec<_>>(), |_, _| found += 1)?;
                Ok(found)
            });
            // The line blocks are not read here.
            if let Ok(found) = opened {
                assert_eq!(found, 50, "byte {offset}");
            }
        }
    }
}
