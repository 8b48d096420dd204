//! The store in a folder, as several processes and failures leave it.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use divvy::ingest::{self, LoadError, LoadOptions, Loaded, SameName};
use divvy::model::{Snapshot, SnapshotKind, Station, StationId, System};
use divvy::refresh;
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::conformance::cases::minute;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{Ledger, LedgerEntry, Stations, Trips, Unload};
use futures_executor::block_on;
use jiff::Timestamp;

fn divvy() -> System {
    System::named("divvy").unwrap()
}

/// Writes an archive of invented trips, and returns its path.
fn sample(folder: &Path, name: &str, seed: u64) -> PathBuf {
    let path = folder.join(name);
    let sample = Sample {
        era: Era::Y2024,
        trips: 200,
        seed,
    };
    let file = BufWriter::new(fs::File::create(&path).unwrap());
    sample.write_zip(file, &mut |_| {}).unwrap();
    path
}

fn load(store: &EmbeddedStore, path: &Path, same_name: SameName) -> Result<Loaded, LoadError> {
    let options = LoadOptions {
        system: Some(divvy()),
        day_first: false,
        same_name,
        sample: None,
        now: Timestamp::UNIX_EPOCH,
    };
    let archive = Archive::open(path)?;
    block_on(ingest::load(&archive, store, &options, &(), &()))
}

fn loaded(store: &EmbeddedStore, path: &Path, same_name: SameName) -> LedgerEntry {
    load(store, path, same_name).unwrap().entry.unwrap()
}

fn drain(store: &EmbeddedStore) {
    block_on(refresh::drain(store, refresh::CONSUMER, minute(0))).unwrap();
}

fn faults(store: &EmbeddedStore) -> Vec<String> {
    store.check(&|_, _| ()).unwrap().faults
}

/// Every Parquet file below `trips/`, which is what other engines read.
fn trips_files(root: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root.join("trips"), &mut found);
    found
}

fn snapshot(at: i64) -> Snapshot {
    let stations = (0..30).map(|n| {
        let mut station = Station::unknown(StationId::from(format!("s{n}")));
        station.available.vehicles = Some((at + n) as u32 % 15);
        station
    });
    Snapshot {
        system: divvy(),
        taken_at: minute(at),
        kind: SnapshotKind::Full,
        stations: stations.collect(),
    }
}

/// Loads, polls, refreshes and checks at the same time, each with a connection of its own as
/// another process would have. `DIVVY_OPERATIONS` says how many in all.
#[test]
fn none_fails_beside_the_others() {
    let operations = std::env::var("DIVVY_OPERATIONS").map_or(160, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let archives: Vec<PathBuf> = (0..8)
        .map(|seed| sample(folder.path(), &format!("{seed}.zip"), seed))
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= operations {
                        break;
                    }
                    let store = EmbeddedStore::open(&root).unwrap();
                    match n % 8 {
                        0 | 4 => {
                            let archive = &archives[n / 4 % archives.len()];
                            load(&store, archive, SameName::Replace).unwrap();
                        }
                        1 | 5 => {
                            block_on(store.apply(&snapshot(n as i64), minute(n as i64))).unwrap();
                        }
                        2 | 6 => drain(&store),
                        3 => assert_eq!(faults(&store), [""; 0]),
                        _ => {
                            let system = divvy().id;
                            let entries = block_on(store.entries(&system)).unwrap();
                            let Some(entry) = entries.first() else {
                                continue;
                            };
                            let gone = [entry.id.content];
                            block_on(store.unload(&system, &gone, false)).unwrap();
                        }
                    }
                }
            });
        }
    });
    let store = EmbeddedStore::open(&root).unwrap();
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn superseded_files_stay_while_they_are_read_and_go_with_the_next_writer() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let path = sample(folder.path(), "a.zip", 1);
    let store = EmbeddedStore::open(&root).unwrap();
    loaded(&store, &path, SameName::Refuse);
    let newer = sample(folder.path(), "a.zip", 2);
    let has_loaded = AtomicBool::new(false);
    block_on(store.scan(&divvy().id, &|_| {
        if !has_loaded.swap(true, Ordering::Relaxed) {
            let other = EmbeddedStore::open(&root).unwrap();
            loaded(&other, &newer, SameName::Replace);
        }
        true
    }))
    .unwrap();
    assert_eq!(trips_files(&root).len(), 2, "it was being read");
    // The same command again finds nothing to load, and tidies up.
    let store = EmbeddedStore::open(&root).unwrap();
    assert!(load(&store, &newer, SameName::Replace).unwrap().already);
    assert_eq!(trips_files(&root).len(), 1);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn a_load_that_fails_while_files_are_moved_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let path = sample(folder.path(), "a.zip", 1);
    let store = EmbeddedStore::open(&root).unwrap();
    block_on(store.describe(&divvy(), &[])).unwrap();
    // The index is moved first; the trips have no place to go.
    fs::write(root.join("trips/divvy"), "in the way").unwrap();
    load(&store, &path, SameName::Refuse).unwrap_err();
    let left = fs::read_dir(root.join("index")).unwrap().count();
    assert_eq!(left, 0, "the index that had been moved is gone");
    assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
    fs::remove_file(root.join("trips/divvy")).unwrap();
    assert_eq!(loaded(&store, &path, SameName::Refuse).stored, 200);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn an_archive_of_the_same_name_is_refused_unless_it_is_said_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    let first = sample(folder.path(), "a.zip", 1);
    loaded(&store, &first, SameName::Refuse);
    let second = sample(folder.path(), "a.zip", 2);
    let error = load(&store, &second, SameName::Refuse).unwrap_err();
    assert!(matches!(error, LoadError::SameName { .. }), "{error}");
    loaded(&store, &second, SameName::KeepBoth);
    assert_eq!(block_on(store.entries(&divvy().id)).unwrap().len(), 2);
    let third = sample(folder.path(), "a.zip", 3);
    loaded(&store, &third, SameName::Replace);
    assert_eq!(block_on(store.entries(&divvy().id)).unwrap().len(), 1);
}

#[test]
fn an_archive_whose_file_is_gone_is_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = EmbeddedStore::open(&root).unwrap();
    let path = sample(folder.path(), "a.zip", 1);
    loaded(&store, &path, SameName::Refuse);
    drain(&store);
    for file in trips_files(&root) {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(faults(&store).len(), 1, "{:?}", faults(&store));
    assert!(load(&store, &path, SameName::Refuse).unwrap().already);
    let again = load(&store, &path, SameName::Replace).unwrap();
    assert!(!again.already);
    assert_eq!(again.entry.unwrap().stored, 200);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}
