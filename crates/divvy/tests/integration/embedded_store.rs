//! The store in a folder with several processes, after failures, and with damaged files.
#![cfg(feature = "embedded")]

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use divvy::ingest::{self, LoadError, LoadOptions, Loaded, SameName};
use divvy::model::{Snapshot, SnapshotKind, Station, StationId, StationStatus, System};
use divvy::refresh;
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{
    ChangeStream, CountsTable, Ledger, LedgerEntry, StationTable, TotalsReader, Trips, Unload,
};
use divvy_testkit::cases::minute;
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
        same_name,
        ..LoadOptions::new(Timestamp::UNIX_EPOCH)
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

/// Lists the files below `trips/`, which other programs read.
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
        station.status = Some(StationStatus::InService);
        station
    });
    Snapshot {
        system: divvy(),
        taken_at: minute(at),
        kind: SnapshotKind::Full,
        stations: stations.collect(),
        by_type: Default::default(),
    }
}

/// Loads, polls, refreshes and checks at the same time, each with a connection of its own, as
/// separate processes have. `DIVVY_OPERATIONS` sets their number.
#[test]
fn concurrent_operations_succeed() {
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
fn superseded_files_are_removed_when_no_reader_is_left() {
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
    assert_eq!(trips_files(&root).len(), 2, "a reader was open");
    // The same load again stores nothing, and sweeps.
    let store = EmbeddedStore::open(&root).unwrap();
    assert!(load(&store, &newer, SameName::Replace).unwrap().already);
    assert_eq!(trips_files(&root).len(), 1);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn a_load_that_fails_while_files_are_moved_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let path = sample(folder.path(), "a.zip", 1);
    let store = EmbeddedStore::open(&root).unwrap();
    block_on(store.describe(&divvy(), &[])).unwrap();
    // The index is moved first; the trips file cannot be.
    fs::write(root.join("trips/divvy"), "not a folder").unwrap();
    load(&store, &path, SameName::Refuse).unwrap_err();
    let left = fs::read_dir(root.join("index")).unwrap().count();
    assert_eq!(left, 0, "the moved index has been removed");
    assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
    fs::remove_file(root.join("trips/divvy")).unwrap();
    assert_eq!(loaded(&store, &path, SameName::Refuse).stored, 200);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
}

#[test]
fn an_archive_of_the_same_name_is_refused_by_default() {
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
fn an_archive_without_its_file_is_loaded_again() {
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

/// Lists the files of a store without locks, the marker file, and SQLite's temporary files.
fn all_files(root: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, found);
            } else if name == "catalog.db" || name.ends_with(".parquet") || name.ends_with(".index")
            {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    found.sort();
    found
}

fn all_trips(store: &EmbeddedStore) -> Result<Vec<String>, String> {
    let rows = std::sync::Mutex::new(Vec::new());
    let scanned = block_on(store.scan(&divvy().id, &|batch| {
        let texts: Vec<String> = batch.trips().map(|trip| trip.row_text()).collect();
        rows.lock().unwrap().extend(texts);
        true
    }));
    scanned.map_err(|error| error.to_string())?;
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    Ok(rows)
}

/// Prints the rows of the tables of the change stream and of the history.
fn stream_and_history(root: &Path) -> rusqlite::Result<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let catalog = rusqlite::Connection::open_with_flags(root.join("catalog.db"), flags)?;
    let mut text = String::new();
    for table in ["change", "status_change", "status_snapshot", "checkpoint"] {
        let mut statement = catalog.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                text += &format!("{:?} ", row.get_ref(column)?);
            }
        }
    }
    Ok(text)
}

/// Flips one bit anywhere in the files of a store: either `check` finds it, or the store's answers
/// stay the same. `DIVVY_FLIPS` sets the number of flips.
#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let flips = std::env::var("DIVVY_FLIPS").map_or(60, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    {
        let store = EmbeddedStore::open(&root).unwrap();
        for seed in [1, 2] {
            loaded(
                &store,
                &sample(folder.path(), &format!("{seed}.zip"), seed),
                SameName::Refuse,
            );
        }
        block_on(store.apply(&snapshot(1), minute(1))).unwrap();
        drain(&store);
        assert_eq!(faults(&store), [""; 0]);
        // Changes that have not been acknowledged.
        block_on(store.apply(&snapshot(2), minute(2))).unwrap();
    }
    let state = |store: &EmbeddedStore| -> Result<String, String> {
        let id = divvy().id;
        let text = |error: divvy::store::StoreError| error.to_string();
        let counts = block_on(store.counts(&id)).map_err(text)?;
        let totals = block_on(store.totals(&id)).map_err(text)?;
        let entries = block_on(store.entries(&id)).map_err(text)?;
        let stations = block_on(store.stations(&id)).map_err(text)?;
        let trips = all_trips(store)?;
        let changes = block_on(store.changes(refresh::CONSUMER, 1000)).map_err(text)?;
        let rest = stream_and_history(store.root()).map_err(|error| error.to_string())?;
        Ok(format!(
            "{counts:?}{totals:?}{entries:?}{stations:?}{trips:?}{changes:?}{rest}"
        ))
    };
    let sound = state(&EmbeddedStore::open(&root).unwrap()).unwrap();
    let files = all_files(&root);
    let sizes: Vec<u64> = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .collect();
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut found, mut harmless) = (0, 0);
    for flip in 0..flips {
        let file = flip as usize % files.len();
        let (offset, bit) = (random(sizes[file]), random(8));
        let copy = folder.path().join("copy");
        copy_all(&root, &copy);
        let path = copy.join(files[file].strip_prefix(&root).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset as usize] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let checked = EmbeddedStore::open(&copy).map_err(|error| error.to_string());
        let checked = checked.and_then(|store| {
            let checked = store.check(&|_, _| ()).map_err(|error| error.to_string())?;
            Ok((checked, state(&store)))
        });
        match checked {
            Ok((checked, answers)) if checked.faults.is_empty() => {
                let shown = path.display();
                assert_eq!(
                    answers.as_ref(),
                    Ok(&sound),
                    "byte {offset}, bit {bit} of {shown}"
                );
                harmless += 1;
            }
            _ => found += 1,
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    println!("{flips} flips: {found} found, {harmless} changed nothing");
    assert!(found > harmless);
}

/// Changes a value of a row in each table with checksums: `check` names the table, and a repair
/// leaves an intact store.
#[test]
fn a_changed_value_is_found_in_every_table() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    {
        let store = EmbeddedStore::open(&root).unwrap();
        loaded(&store, &sample(folder.path(), "1.zip", 1), SameName::Refuse);
        block_on(store.apply(&snapshot(1), minute(1))).unwrap();
        drain(&store);
        block_on(store.apply(&snapshot(2), minute(2))).unwrap();
    }
    for (table, change) in [
        ("system", "name = 'Divvx'"),
        ("archive", "rows_read = rows_read + 1"),
        ("cube", "month = month + 1"),
        ("file", "member = member + 1"),
        ("departures", "trips = trips + 1"),
        ("station", "written_at = written_at + 1"),
        ("feed", "status_at = status_at + 1"),
        ("from_station_count", "from_count = from_count + 1"),
        ("change", "made_at = made_at + 1"),
        ("change", "sequence = sequence + 1024"),
        ("status_change", "vehicles = vehicles + 1"),
        ("status_snapshot", "taken_at = taken_at + 1"),
        ("status_states", "moment = 'before'"),
        ("checkpoint", "sequence = sequence + 1024"),
    ] {
        let copy = folder.path().join(format!("{table}-{}", change.len()));
        copy_all(&root, &copy);
        let catalog = rusqlite::Connection::open(copy.join("catalog.db")).unwrap();
        let update = format!("UPDATE {table} SET {change}");
        assert!(catalog.execute(&update, []).unwrap() > 0, "{table}");
        drop(catalog);
        let store = EmbeddedStore::open(&copy).unwrap();
        let expected = format!("rows of its table {table} are not what was written");
        let faults_of = faults(&store);
        let found = faults_of.iter().any(|fault| fault.ends_with(&expected));
        assert!(found, "{faults_of:?}");
        let changes = block_on(store.changes(refresh::CONSUMER, 1000));
        let is_stream = ["change", "checkpoint"].contains(&table);
        assert_eq!(changes.is_err(), is_stream, "{table}");
        let repaired = store.repair(false).unwrap();
        let again = !repaired.to_load_again.is_empty();
        assert_eq!(again, ["archive", "file"].contains(&table), "{table}");
        if again {
            // A file that a lost row may have named stays until the catalog is intact.
            store.repair(false).unwrap();
        }
        drain(&store);
        assert_eq!(faults(&store), [""; 0], "{table}");
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn repair_rebuilds_indexes_and_counts_and_lists_what_to_load_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let first = sample(folder.path(), "1.zip", 1);
    {
        let store = EmbeddedStore::open(&root).unwrap();
        loaded(&store, &first, SameName::Refuse);
        loaded(&store, &sample(folder.path(), "2.zip", 2), SameName::Refuse);
        drain(&store);
    }
    let mut indexes = all_files(&root);
    indexes.retain(|path| path.extension().is_some_and(|ending| ending == "index"));
    fs::write(&indexes[0], "no index").unwrap();
    fs::remove_file(&indexes[1]).unwrap();
    let stray = root.join("trips/divvy/x-0a1b2c3d/x.parquet");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::copy(&trips_files(&root)[0], &stray).unwrap();
    let store = EmbeddedStore::open(&root).unwrap();
    assert!(faults(&store).len() >= 3, "{:?}", faults(&store));
    let dry = store.repair(true).unwrap();
    assert!(faults(&store).len() >= 3, "a dry run changes nothing");
    let repaired = store.repair(false).unwrap();
    assert_eq!(dry.done.len(), repaired.done.len());
    assert_eq!(repaired.to_load_again, []);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert!(!stray.exists());

    // Trips that cannot be read have to be loaded again.
    let gone = trips_files(&root)
        .into_iter()
        .find(|path| path.to_string_lossy().contains("/1-"))
        .unwrap();
    fs::write(&gone, "no trips").unwrap();
    let repaired = store.repair(false).unwrap();
    assert_eq!(repaired.to_load_again.len(), 1);
    assert_eq!(repaired.to_load_again[0].name, "1.zip");
    loaded(&store, &first, SameName::Replace);
    drain(&store);
    assert_eq!(faults(&store), [""; 0]);
    assert_eq!(store.repair(false).unwrap().done, [""; 0]);
}

/// Reads the paths and contents of all files of a folder.
fn contents(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    found.sort();
    found
}

#[test]
fn a_store_is_read_and_checked_without_writing_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a store");
    let writing = EmbeddedStore::open(&root).unwrap();
    loaded(
        &writing,
        &sample(folder.path(), "1.zip", 1),
        SameName::Refuse,
    );
    drain(&writing);
    // With a write-ahead log, and then without.
    let mut writing = Some(writing);
    for has_log in [true, false] {
        if !has_log {
            writing.take();
        }
        assert_eq!(root.join("catalog.db-wal").exists(), has_log);
        let before = contents(&root);
        let store = EmbeddedStore::open_read_only(&root).unwrap();
        assert_eq!(all_trips(&store).unwrap().len(), 200);
        assert_eq!(faults(&store), [""; 0]);
        assert_eq!(block_on(store.entries(&divvy().id)).unwrap().len(), 1);
        let again = sample(folder.path(), "2.zip", 2);
        assert!(load(&store, &again, SameName::Refuse).is_err());
        block_on(store.apply(&snapshot(1), minute(1))).unwrap_err();
        drop(store);
        let after = contents(&root);
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(path, _)| path.clone()).collect()
        };
        assert_eq!(names(&after), names(&before));
        let changed = after.iter().zip(&before).filter(|(a, b)| a.1 != b.1);
        assert_eq!(changed.map(|(a, _)| &a.0).collect::<Vec<_>>(), [""; 0]);
    }
}
