//! Creating and opening a store in a folder, and what is left alone there.

use std::path::PathBuf;

use futures_executor::block_on;
use rusqlite::Connection;

use super::testing::{divvy, load};
use super::*;
use crate::model::{Station, TripBatch};
use crate::store::{ArchiveId, ChangeStream, ContentHash, Ledger, StationTable, Trips};

/// Reads from a new store, and begins an archive without committing it.
fn begin_without_commit(root: &Path) {
    let store = EmbeddedStore::open(root).unwrap();
    assert_eq!(block_on(store.systems()).unwrap(), []);
    assert_eq!(block_on(store.changes("refresh", 10)).unwrap(), []);
    let archive = ArchiveId {
        system: divvy(),
        name: "trips.zip".into(),
        content: ContentHash(1),
    };
    let incoming = block_on(store.begin(&archive)).unwrap();
    incoming.write(0, TripBatch::default()).unwrap();
    assert!(root.exists());
}

#[test]
fn a_store_without_a_commit_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("divvy-data");
    begin_without_commit(&root);
    assert!(!root.exists());

    let is_empty = |folder: &Path| std::fs::read_dir(folder).unwrap().next().is_none();
    assert!(is_empty(folder.path()));
    begin_without_commit(folder.path());
    assert!(is_empty(folder.path()), "the folder was there before");
}

/// Creates a store with a station, and a file in it that a killed load left.
fn with_a_leftover(root: &Path) -> PathBuf {
    let store = EmbeddedStore::open(root).unwrap();
    block_on(store.describe(&divvy(), &[Station::unknown("35".into())])).unwrap();
    let left = root.join("trips/divvy/a-0a1b2c3d/a.parquet");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, "half a file").unwrap();
    let path = "trips/divvy/a-0a1b2c3d/a.parquet";
    catalog::put_leftover(&store.shared.catalog().unwrap(), path).unwrap();
    left
}

fn commit_empty_archive(root: &Path) {
    load(&EmbeddedStore::open(root).unwrap(), "trips.zip", &[], false);
}

#[test]
fn files_of_other_programs_are_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let left = with_a_leftover(root);
    let others = [
        "trips/202004-divvy-tripdata.zip",
        "trips/2020/04/mine.parquet",
        "trips/divvy/a-0a1b2c3d/notes.txt",
        "duplicates/mine.csv",
        "index/mine.csv",
        "staging/mine.zip",
        "staging/17-mine/mine.zip",
        "staging/17-4/mine.zip",
    ]
    .map(|name| root.join(name));
    for path in &others {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "mine").unwrap();
    }
    commit_empty_archive(root);
    let store = EmbeddedStore::open(root).unwrap();
    let checked = store.check(&|_, _| ()).unwrap();
    for path in &others {
        assert_eq!(std::fs::read(path).unwrap(), b"mine", "{}", path.display());
    }
    assert!(!left.exists());
    assert_eq!(checked.faults, [""; 0]);
    assert_eq!(checked.notes.len(), 3, "{:?}", checked.notes);
}

#[test]
fn a_folder_with_other_files_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("trips")).unwrap();
    std::fs::write(root.join("trips/a.zip"), "mine").unwrap();
    std::fs::write(root.join("letter.txt"), "mine").unwrap();
    let kind = |root: &Path| EmbeddedStore::open(root).err().map(|error| error.kind);
    assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
    assert_eq!(
        kind(&root.join("letter.txt")),
        Some(StoreErrorKind::NotAStore)
    );
    std::fs::write(root.join("catalog.db"), "").unwrap();
    assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
    std::fs::write(root.join("catalog.db"), "another program's").unwrap();
    assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
    std::fs::remove_file(root.join("catalog.db")).unwrap();
    let others = Connection::open(root.join("catalog.db")).unwrap();
    others.execute_batch("CREATE TABLE pictures (id)").unwrap();
    assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
}

#[test]
fn an_interrupted_creation_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::write(root.join(folder::MARKER), "").unwrap();
    std::fs::create_dir(root.join("trips")).unwrap();
    std::fs::write(root.join("catalog.db"), "").unwrap();
    assert!(EmbeddedStore::open_existing(root).unwrap().is_none());
    commit_empty_archive(root);
    assert!(EmbeddedStore::open_existing(root).unwrap().is_some());
}

#[test]
fn a_store_without_its_catalog_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let trips = with_a_leftover(root);
    std::fs::remove_file(root.join("catalog.db")).unwrap();
    let error = EmbeddedStore::open(root).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Damaged);
    std::fs::write(root.join("catalog.db"), "overwritten").unwrap();
    let error = EmbeddedStore::open(root).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Damaged, "{error}");
    assert!(trips.exists());
}

#[test]
fn two_handles_that_create_a_store_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("divvy-data");
    let (one, other) = (
        EmbeddedStore::open(&root).unwrap(),
        EmbeddedStore::open(&root).unwrap(),
    );
    let listed = |id: &str| [Station::unknown(id.into())];
    block_on(one.describe(&divvy(), &listed("35"))).unwrap();
    block_on(other.describe(&divvy(), &listed("76"))).unwrap();
    drop(one);
    let stations = block_on(other.stations(&divvy().id)).unwrap();
    assert_eq!(stations.len(), 2);
}
