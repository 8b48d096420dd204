//! Stores of past versions are upgraded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use jiff::Timestamp;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::ingest::{self, LoadOptions, SameName};
use crate::model::{Snapshot, SnapshotKind, Station, StationAlias, StationId, StationStatus};
use crate::sample::{Era, Sample};
use crate::sources::archive::Archive;
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::repair::tests::contents;
use crate::store::embedded::testing::{divvy, drain, faults, stored};
use crate::store::{Ledger, StationTable, TotalsReader, Unload};

/// A store of each past version; see the README beside them.
const PAST: [(i64, &[u8]); 4] = [
    (1, include_bytes!("../past_stores/catalog_1.zip")),
    (2, include_bytes!("../past_stores/catalog_2.zip")),
    (3, include_bytes!("../past_stores/catalog_3.zip")),
    (4, include_bytes!("../past_stores/catalog_4.zip")),
];

/// The archives that they were loaded from.
const ARCHIVES: &[u8] = include_bytes!("../past_stores/archives.zip");

fn unpacked(bytes: &[u8], folder: &Path, name: &str) -> PathBuf {
    let to = folder.join(name);
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    zip.extract(&to).unwrap();
    to
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millisecond(1_725_000_000_000 + 60_000 * minute).unwrap()
}

fn load(store: &EmbeddedStore, path: &Path) {
    let options = LoadOptions {
        system: Some(divvy()),
        same_name: SameName::Replace,
        ..LoadOptions::new(at(0))
    };
    let archive = Archive::open(path).unwrap();
    block_on(ingest::load(&archive, store, &options, &(), &())).unwrap();
}

fn poll(store: &EmbeddedStore, archives: &Path, minute: i64) {
    let text = fs::read_to_string(archives.join("stations.txt")).unwrap();
    let stations = text.lines().zip(0..).map(|(line, n)| {
        let cells: Vec<&str> = line.split('|').collect();
        let mut station = Station::unknown(StationId::from(cells[0]));
        station.name = Some(cells[1].into());
        station.latitude = Some(cells[2].parse().unwrap());
        station.longitude = Some(cells[3].parse().unwrap());
        station.status = Some(StationStatus::InService);
        station.available.vehicles = Some((minute as u32 + n) % 15);
        station.available.docks = Some(7);
        station.reported_at = Some(at(minute));
        station
    });
    let snapshot = Snapshot {
        system: divvy(),
        taken_at: at(minute),
        kind: SnapshotKind::Full,
        stations: stations.collect(),
        by_type: Default::default(),
    };
    block_on(store.apply(&snapshot, at(minute))).unwrap();
}

/// Fills a new store as the past ones were.
fn fill(store: &EmbeddedStore, archives: &Path) {
    load(
        store,
        &archives.join("superseded/202406-divvy-tripdata.zip"),
    );
    poll(store, archives, 0);
    drain(store);
    for name in [
        "202406-divvy-tripdata.zip",
        "202407-divvy-tripdata.zip",
        "Divvy_Trips_2016_Q3Q4.zip",
    ] {
        load(store, &archives.join(name));
    }
    poll(store, archives, 5);
    drain(store);
}

fn version_of(root: &Path) -> i64 {
    catalog::version(&Connection::open(root.join(folder::CATALOG)).unwrap()).unwrap()
}

/// Lists the distinct columns and layouts of all Parquet files of a store, and how many files it
/// has.
fn schemas(root: &Path) -> (BTreeSet<String>, usize) {
    let (mut schemas, mut files) = (BTreeSet::new(), 0);
    folder::walk(root, &mut |path| {
        if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
            let metadata = file.metadata().file_metadata();
            let mut pairs = metadata.key_value_metadata().unwrap().iter();
            let layout = pairs.find(|pair| pair.key == "divvy.layout").unwrap();
            schemas.insert(format!("{:?} {:?}", layout.value, metadata.schema()));
            files += 1;
        }
    })
    .unwrap();
    (schemas, files)
}

/// Compares line by line, so that a failure shows one line and not all.
fn expect_same(store: &EmbeddedStore, expected: &EmbeddedStore) {
    let (found, expected) = (contents(store), contents(expected));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// Compares what does not depend on the names of stations in single trips, which older programs did not
/// keep.
fn expect_same_by_id(store: &EmbeddedStore, expected: &EmbeddedStore) {
    let contents = |store: &EmbeddedStore| {
        let by_name = [
            "stations:",
            "routes:",
            "balance:",
            "places:",
            // Counts are compared without the times of their refresh below.
            "from-counts:",
            "Trip {",
            "Totals {",
            "Station {",
        ];
        let mut contents = contents(store);
        contents.retain(|line| !by_name.iter().any(|start| line.starts_with(start)));
        for mut trip in stored(store) {
            for end in [&mut trip.origin, &mut trip.destination] {
                *end = end.take().map(|alias| StationAlias::from(&alias.id()));
            }
            contents.push(format!("{trip:?}"));
        }
        let totals = block_on(store.totals(&divvy().id)).unwrap();
        contents.push(format!("{:?}", totals.stations.departures_by_id()));
        contents
    };
    let (found, expected) = (contents(store), contents(expected));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn an_upgraded_store_equals_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let archives = unpacked(ARCHIVES, folder, "archives");
    let another = folder.join("another.zip");
    let sample = Sample {
        era: Era::Y2024,
        trips: 50,
        seed: 9,
    };
    let file = fs::File::create(&another).unwrap();
    sample.write_zip(file, &mut |_| {}).unwrap();
    for (version, bytes) in PAST {
        let new = EmbeddedStore::open(&folder.join(format!("new-{version}"))).unwrap();
        fill(&new, &archives);
        let root = unpacked(bytes, folder, &format!("past-{version}"));
        assert_eq!(version_of(&root), version);
        let past = EmbeddedStore::open(&root).unwrap();
        assert_eq!(version_of(&root), catalog::VERSION);
        assert_eq!(
            schemas(&root),
            schemas(&folder.join(format!("new-{version}")))
        );
        assert_eq!(faults(&past), [""; 0]);
        drain(&past);
        assert_eq!(faults(&past), [""; 0]);
        expect_same_by_id(&past, &new);

        for store in [&past, &new] {
            load(store, &another);
            poll(store, &archives, 9);
            drain(store);
        }
        assert_eq!(faults(&past), [""; 0]);
        expect_same_by_id(&past, &new);

        for store in [&past, &new] {
            let entries = block_on(store.entries(&divvy().id)).unwrap();
            let named = |name: &str| entries.iter().find(|entry| entry.id.name == name);
            let removed = named("202406-divvy-tripdata.zip").unwrap().id.content;
            let unloaded = block_on(store.unload(&divvy().id, &[removed], false)).unwrap();
            assert!(unloaded.promoted > Some(0));
            drain(store);
        }
        assert_eq!(faults(&past), [""; 0]);
        expect_same_by_id(&past, &new);
    }
}

#[test]
fn a_killed_upgrade_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for (version, bytes) in PAST.into_iter().filter(|(version, _)| *version < CHECKSUMS) {
        let right = unpacked(bytes, folder.path(), &format!("right-{version}"));
        let right = EmbeddedStore::open(&right).unwrap();
        let root = unpacked(bytes, folder.path(), &format!("killed-{version}"));
        for _ in 0..2 {
            folder::create(&root).unwrap();
            let mut connection = catalog::open(&root.join(folder::CATALOG)).unwrap();
            let rebuilt = Rebuilt::of(&root, &connection, version).unwrap();
            let transaction = catalog::begin(&mut connection).unwrap();
            rebuilt.write(&root, &transaction, version).unwrap();
            drop(transaction);
            drop(connection);
            assert_eq!(version_of(&root), version);
        }
        let killed = EmbeddedStore::open(&root).unwrap();
        assert_eq!(faults(&killed), [""; 0]);
        expect_same(&killed, &right);
    }
}

#[test]
fn a_rewrite_that_was_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let right = unpacked(PAST[2].1, folder.path(), "right");
    let right_store = EmbeddedStore::open(&right).unwrap();
    let root = unpacked(PAST[2].1, folder.path(), "killed");
    folder::create(&root).unwrap();
    let mut connection = catalog::open(&root.join(folder::CATALOG)).unwrap();
    create_history_tables(&mut connection).unwrap();
    // A file that was moved into place and is not named, and all others before the version is set.
    let leftover = "trips/divvy/202407-divvy-tripdata-e76402ac/202407-divvy-tripdata-r2.parquet";
    catalog::put_leftover(&connection, leftover).unwrap();
    fs::write(root.join(leftover), "not whole").unwrap();
    let rewritten = rewrite_old_files(&root, &mut connection).unwrap();
    assert_eq!((rewritten.files, rewritten.left), (6, Vec::new()));
    drop(connection);
    assert_eq!(version_of(&root), 3);
    let killed = EmbeddedStore::open(&root).unwrap();
    assert_eq!(version_of(&root), catalog::VERSION);
    assert_eq!(schemas(&root), schemas(&right));
    assert_eq!(faults(&killed), [""; 0]);
    expect_same(&killed, &right_store);
}

/// The archive can be loaded again, or the file brought back: a repair then writes it again.
#[test]
fn an_unreadable_file_keeps_its_layout() {
    let folder = tempfile::tempdir().unwrap();
    let root = unpacked(PAST[2].1, folder.path(), "past");
    let connection = Connection::open(root.join(folder::CATALOG)).unwrap();
    let select = "SELECT path FROM file WHERE path LIKE 'trips/%202407%'";
    let path: String = connection.query_row(select, [], |row| row.get(0)).unwrap();
    drop(connection);
    let path = root.join(path);
    let sound = fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    damaged[100] ^= 1;
    for bytes in [&damaged[..], &sound[..sound.len() / 2]] {
        fs::write(&path, bytes).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let told = messages.clone();
        let on_wait = move |message: &str| told.lock().unwrap().push(message.to_owned());
        let copy = folder.path().join("copy");
        copy_folder(&root, &copy);
        let store = EmbeddedStore::open_with(&copy, Box::new(on_wait)).unwrap();
        let messages = messages.lock().unwrap();
        assert!(
            messages[1].contains("could not be written again"),
            "{messages:?}"
        );
        assert_eq!(messages.len(), 2);
        assert!(faults(&store).iter().any(|fault| fault.contains("202407")));

        fs::write(copy.join(path.strip_prefix(&root).unwrap()), &sound).unwrap();
        let checked = store.check(&|_, _| ()).unwrap();
        assert_eq!(checked.faults, [""; 0]);
        assert!(
            checked
                .notes
                .iter()
                .any(|note| note.contains("older layout"))
        );
        for dry_run in [true, false] {
            let repaired = store.repair(dry_run).unwrap();
            let done = "trips/divvy/202407-divvy-tripdata-e76402ac/202407-divvy-tripdata.parquet \
                        written again: it had an older layout";
            assert_eq!(repaired.done, [done]);
        }
        assert_eq!(schemas(&copy).0.len(), 1);
        let mut notes = store.check(&|_, _| ()).unwrap().notes;
        notes.retain(|note| !note.contains("did not keep the names or positions of stations"));
        assert_eq!(notes, [""; 0]);
        fs::remove_dir_all(&copy).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    folder::walk(from, &mut |path| {
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    })
    .unwrap();
}

#[test]
fn a_read_only_past_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (version, bytes) in PAST {
        let root = unpacked(bytes, folder.path(), &format!("past-{version}"));
        let before = fs::read(root.join(folder::CATALOG)).unwrap();
        let error = EmbeddedStore::open_read_only(&root).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Damaged);
        let expected = "was made by an older divvy: it is brought up to date where it can be \
                        written to";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(fs::read(root.join(folder::CATALOG)).unwrap(), before);
    }
}

#[test]
fn a_past_store_with_unreadable_trips_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    for (version, bytes) in PAST.into_iter().filter(|(version, _)| *version < CHECKSUMS) {
        let root = unpacked(bytes, folder.path(), &format!("past-{version}"));
        let connection = Connection::open(root.join(folder::CATALOG)).unwrap();
        let files = catalog::files_before_checksums(&connection).unwrap();
        drop(connection);
        let names: BTreeMap<&str, &str> = [
            ("202407", "202407-divvy-tripdata.zip"),
            ("2016", "Divvy_Trips_2016_Q3Q4.zip"),
        ]
        .into();
        for (word, archive) in names {
            let file = files.iter().find(|file| file.path.contains(word)).unwrap();
            let path = root.join(&file.path);
            let sound = fs::read(&path).unwrap();
            fs::write(&path, &sound[..sound.len() / 2]).unwrap();
            let error = EmbeddedStore::open(&root).err().unwrap();
            assert_eq!(error.kind, StoreErrorKind::Damaged);
            let expected = format!("because trips of {archive} cannot be read");
            assert!(error.to_string().contains(&expected), "{error}");
            assert_eq!(version_of(&root), version);
            fs::write(&path, sound).unwrap();
        }
        let store = EmbeddedStore::open(&root).unwrap();
        assert_eq!(faults(&store), [""; 0]);
    }
}
