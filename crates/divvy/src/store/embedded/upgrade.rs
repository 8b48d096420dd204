//! Upgrades the catalogs of older programs.
//!
//! | version | what changed |
//! |---|---|
//! | 1 | |
//! | 2 | the cube |
//! | 3 | checksums of rows, hashes of files, leftovers; id indexes of version 2 |
//!
//! ```text
//!  old catalog ─► names of stations ─┐
//!  trips files ─► tallies ───────────┴─► one transaction: tables, tallies, checksums, version
//!              └► id indexes, each in its place
//! ```
//!
//! For either version tallies are counted again from the trips: version 2 was written with different
//! packings of the cube. Station names cannot be counted, and are taken from the old catalog.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::catalog::{self, OldArchive, PackedParts};
use super::error::sqlite_error;
use super::folder;
use super::index::Written;
use super::lock::OnWait;
use super::repair::{count_again, count_file, put_system_totals, rebuild_index};
use crate::model::SystemId;
use crate::store::{StoreError, StoreErrorKind};
use crate::tally::{Cube, Tally, Totals};

/// Upgrades a catalog to [`catalog::VERSION`]; calls `on_wait` before. The caller holds the writer
/// lock.
///
/// If it is killed or fails, the catalog keeps its version and the next call repeats the upgrade;
/// some id indexes may be new.
///
/// # Errors
///
/// `Damaged` if a trips file cannot be read: the totals would lack its trips. Only id indexes have
/// been changed then.
pub(super) fn upgrade(
    root: &Path,
    connection: &mut Connection,
    on_wait: &OnWait,
) -> Result<(), StoreError> {
    // Read again under the lock: another process may have upgraded the catalog.
    let version = catalog::version(connection)?;
    if version >= catalog::VERSION {
        return Ok(());
    }
    on_wait(&format!(
        "{} was made by an older divvy: its trips are counted again, to bring it up to date",
        root.display()
    ));
    let rebuilt = Rebuilt::of(root, connection, version)?;
    catalog::in_transaction(connection, |catalog| rebuilt.write(root, catalog, version))
}

/// What is rebuilt before the transaction.
struct Rebuilt {
    /// By the id of their file.
    indexes: Vec<(i64, Written)>,
    archives: Vec<Archive>,
    /// Over all archives of each system.
    sums: BTreeMap<SystemId, Totals>,
}

struct Archive {
    sequence: u64,
    system: SystemId,
    /// Without the cube.
    totals: Totals,
    parts: PackedParts,
}

impl Rebuilt {
    fn of(root: &Path, connection: &Connection, version: i64) -> Result<Self, StoreError> {
        let files = catalog::files_before_checksums(connection)?;
        let mut rebuilt = Self {
            indexes: Vec::new(),
            archives: Vec::new(),
            sums: BTreeMap::new(),
        };
        for old in catalog::archives_before_checksums(connection)? {
            let mut totals = Totals::default();
            for file in files.iter().filter(|file| file.archive == old.sequence) {
                let index = count_file(root, file, &mut totals)
                    .and_then(|()| rebuild_index(root, file))
                    .map_err(|error| unreadable(root, &old, error))?;
                rebuilt.indexes.push((file.id, index.written));
            }
            totals.names = catalog::names_before_checksums(&old, version)?;
            totals.cube.seal();
            let system = SystemId::from(old.system.as_str());
            let sum = rebuilt.sums.entry(system.clone()).or_default();
            sum.merge(&totals);
            let parts = catalog::changed_parts(&totals.cube, &Cube::default());
            totals.cube = Cube::default();
            rebuilt.archives.push(Archive {
                sequence: old.sequence,
                system,
                totals,
                parts,
            });
        }
        Ok(rebuilt)
    }

    fn write(self, root: &Path, catalog: &Connection, version: i64) -> Result<(), StoreError> {
        let failed = sqlite_error("bring the catalog up to date");
        let mut tables = String::new();
        if version == 1 {
            tables += catalog::CUBE_BEFORE_CHECKSUMS;
        }
        tables += "ALTER TABLE file ADD COLUMN hash BLOB;
             ALTER TABLE file ADD COLUMN index_hash BLOB;
             CREATE TABLE leftover (path TEXT PRIMARY KEY) WITHOUT ROWID;
             CREATE TABLE forgotten (
                 system TEXT, origin TEXT, trips_version INTEGER NOT NULL,
                 PRIMARY KEY (system, origin)
             ) WITHOUT ROWID;
             DELETE FROM cube;
             DELETE FROM departures;";
        for table in catalog::CHECKED {
            let (table, columns) = (table.name, table.columns);
            tables += &format!(
                "ALTER TABLE {table} ADD COLUMN checksum INTEGER;
                 UPDATE {table} SET checksum = row_checksum({columns});"
            );
        }
        tables += &format!("PRAGMA user_version = {};", catalog::VERSION);
        catalog.execute_batch(&tables).map_err(&failed)?;
        for (file, index) in self.indexes {
            catalog::put_index(catalog, file, &index)?;
        }
        for mut archive in self.archives {
            catalog::put_archive_totals(catalog, archive.sequence, &mut archive.totals)?;
            catalog::put_parts(catalog, &archive.system, archive.sequence, &archive.parts)?;
        }
        for (system, mut sum) in self.sums {
            put_system_totals(catalog, &system, &mut sum)?;
            count_again(catalog, &system, &sum)?;
        }
        for path in folder::unnamed(root, &catalog::files(catalog, None)?)? {
            catalog::put_leftover(catalog, &path)?;
        }
        Ok(())
    }
}

/// Makes the error of an archive whose trips cannot be counted again.
fn unreadable(root: &Path, archive: &OldArchive, cause: StoreError) -> StoreError {
    let message = format!(
        "{} was made by an older divvy and cannot be brought up to date, because trips of {} cannot \
         be read: bring the file back from a copy, or load the archives again into a new folder",
        root.display(),
        archive.name
    );
    StoreError::with_source(StoreErrorKind::Damaged, message, cause)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Cursor;
    use std::path::PathBuf;

    use futures_executor::block_on;
    use jiff::Timestamp;

    use super::*;
    use crate::ingest::{self, LoadOptions, SameName};
    use crate::model::{Snapshot, SnapshotKind, Station, StationId, StationStatus};
    use crate::sample::{Era, Sample};
    use crate::sources::archive::Archive;
    use crate::store::embedded::EmbeddedStore;
    use crate::store::embedded::repair::tests::contents;
    use crate::store::embedded::testing::{divvy, drain, faults};
    use crate::store::{Ledger, StationTable, Unload};

    /// A store of each past version; see the README beside them.
    const PAST: [(i64, &[u8]); 2] = [
        (1, include_bytes!("past_stores/catalog_1.zip")),
        (2, include_bytes!("past_stores/catalog_2.zip")),
    ];

    /// The archives that they were loaded from.
    const ARCHIVES: &[u8] = include_bytes!("past_stores/archives.zip");

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

    /// Compares line by line, so that a failure shows one line and not all.
    fn expect_same(store: &EmbeddedStore, expected: &EmbeddedStore) {
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
            assert_eq!(faults(&past), [""; 0]);
            drain(&past);
            assert_eq!(faults(&past), [""; 0]);
            expect_same(&past, &new);

            for store in [&past, &new] {
                load(store, &another);
                poll(store, &archives, 9);
                drain(store);
            }
            assert_eq!(faults(&past), [""; 0]);
            expect_same(&past, &new);

            for store in [&past, &new] {
                let entries = block_on(store.entries(&divvy().id)).unwrap();
                let named = |name: &str| entries.iter().find(|entry| entry.id.name == name);
                let removed = named("202406-divvy-tripdata.zip").unwrap().id.content;
                let unloaded = block_on(store.unload(&divvy().id, &[removed], false)).unwrap();
                assert!(unloaded.promoted > Some(0));
                drain(store);
            }
            assert_eq!(faults(&past), [""; 0]);
            expect_same(&past, &new);
        }
    }

    #[test]
    fn a_killed_upgrade_is_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for (version, bytes) in PAST {
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
        for (version, bytes) in PAST {
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
}
