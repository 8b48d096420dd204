//! Rebuilds what can be rebuilt from the trips, and lists what has to be loaded again.
//!
//! Rows, id indexes and tallies are mended in one transaction: a dry run does the same and takes it
//! back. Files are removed after it, as those of a killed process are. Trips that are stored twice
//! are decided about behind it, one system at a time, and go as a load would have made them go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::catalog::{self, ArchiveRow, FileRow, Kind, Which};
use super::check::read_file;
use super::commit::Again;
use super::index::Rebuilt;
use super::lock::Staging;
use super::trips_file::TripsFile;
use super::{
    EmbeddedStore, Shared, cannot, catalog_failed, folder, index, index_path, is_in_memory, sweep,
};
use crate::model::{System, SystemId};
use crate::store::{DamagedArchive, Repaired, StoreError};
use crate::tally::{Parts, Tally, Totals};

impl EmbeddedStore {
    /// Mends what [`check`](Self::check) finds, as far as the trips allow it: removes files that
    /// no ledger names, rebuilds id indexes, tallies and departures, makes duplicates of trips that
    /// are stored twice, and has every count made again with the next
    /// [`drain`](crate::refresh::drain). With `dry_run` nothing is changed.
    ///
    /// # Errors
    ///
    /// Where the catalog cannot be read even without its damaged rows: nothing is changed then.
    /// Where trips that are stored twice cannot be moved, the rest is mended.
    pub fn repair(&self, dry_run: bool) -> Result<Repaired, StoreError> {
        let shared = &*self.shared;
        if is_in_memory(&*shared.catalog()?) {
            return Ok(Repaired::default());
        }
        let _lock = shared.writer_lock()?;
        let mut connection = shared.catalog()?;
        folder::make_folder(&shared.root.join(folder::STAGING))?;
        let staging = Staging::make(&shared.root)?;
        let transaction = catalog::begin(&mut connection)?;
        let mut repair = Repair {
            shared,
            catalog: &transaction,
            staging: &staging,
            dry_run,
            repaired: Repaired::default(),
            unreadable: BTreeSet::new(),
            rebuilt: BTreeMap::new(),
        };
        repair.drop_damaged_rows()?;
        repair.note_unnamed_files()?;
        let systems = catalog::systems(&transaction)?;
        for system in &systems {
            repair.system(system)?;
        }
        let Repair {
            mut repaired,
            unreadable,
            rebuilt,
            ..
        } = repair;
        let decide = |catalog: &Connection, system: &System, repaired: &mut Repaired| {
            let again = Again::decide(shared, catalog, &staging, system, &unreadable, &rebuilt)?;
            let going = again.going();
            for key in catalog::archive_keys(catalog, &system.id)? {
                if let Some(n) = going.get(&key.sequence) {
                    repaired.done.push(format!(
                        "{}: {n} of its trips were stored twice and are duplicates now",
                        key.name
                    ));
                }
            }
            Ok::<_, StoreError>((!going.is_empty()).then_some(again))
        };
        if dry_run {
            for system in &systems {
                decide(&transaction, system, &mut repaired)?;
            }
            return Ok(repaired);
        }
        transaction
            .commit()
            .map_err(catalog_failed("write the catalog"))?;
        sweep::sweep(&shared.root, &mut connection)?;
        for system in &systems {
            if let Some(again) = decide(&connection, system, &mut repaired)? {
                again.publish(&mut connection)?;
            }
        }
        Ok(repaired)
    }
}

struct Repair<'a> {
    shared: &'a Shared,
    catalog: &'a Connection,
    staging: &'a Staging,
    dry_run: bool,
    repaired: Repaired,
    /// The archives, by sequence, that have a trips file which cannot be read.
    unreadable: BTreeSet<u64>,
    /// The indexes that a dry run has built in `staging`, by the row of their file.
    rebuilt: BTreeMap<i64, PathBuf>,
}

impl Repair<'_> {
    fn done(&mut self, what: String) {
        self.repaired.done.push(what);
    }

    fn damaged(&mut self, system: SystemId, name: String) {
        let archive = DamagedArchive {
            system,
            name,
            unload_first: false,
        };
        if !self.repaired.to_load_again.contains(&archive) {
            self.repaired.to_load_again.push(archive);
        }
    }

    /// Removes rows that are not what was written: what they held is rebuilt, or comes with the
    /// next poll; an archive has to be loaded again.
    fn drop_damaged_rows(&mut self) -> Result<(), StoreError> {
        for (name, system) in catalog::damaged_archives(self.catalog)? {
            self.damaged(SystemId::from(system.as_str()), name);
        }
        for (table, n) in catalog::drop_damaged(self.catalog)? {
            self.done(format!(
                "catalog.db: {n} damaged rows of its table {table} removed"
            ));
        }
        Ok(())
    }

    fn note_unnamed_files(&mut self) -> Result<(), StoreError> {
        let files = catalog::files(self.catalog, None)?;
        let known: BTreeSet<String> = catalog::leftovers(self.catalog)?.into_iter().collect();
        for path in folder::unnamed(&self.shared.root, &files)? {
            if !known.contains(&path) {
                catalog::put_leftover(self.catalog, &path)?;
                self.done(format!("{path} removed: it was in no ledger"));
            }
        }
        Ok(())
    }

    fn system(&mut self, system: &System) -> Result<(), StoreError> {
        let id = &system.id;
        let files = catalog::files(self.catalog, Some(id))?;
        let mut before = catalog::totals(self.catalog, id)?;
        before.cube = catalog::cube(self.catalog, id, catalog::ALL_ARCHIVES, Parts::ALL)?;
        let mut sum = Totals::default();
        for mut archive in catalog::archives(self.catalog, id, Which::All)? {
            let sequence = archive.entry.sequence;
            archive.totals.cube = catalog::cube(self.catalog, id, sequence, Parts::ALL)?;
            let files: Vec<&FileRow> = (files.iter())
                .filter(|file| file.archive == sequence)
                .collect();
            self.archive(system, &mut archive, &files)?;
            sum.merge(&archive.totals);
        }
        let departures: BTreeMap<_, _> = (sum.stations.origins())
            .map(|origin| {
                let n = sum.stations.departures(&origin) as u64;
                (origin, n)
            })
            .collect();
        let kept = catalog::all_departures(self.catalog, id)?;
        if sum != before || kept != departures {
            put_system_totals(self.catalog, id, &mut sum)?;
            self.done(format!("{id}: totals added up again"));
        }
        count_again(self.catalog, id, &sum)
    }

    /// Counts an archive's trips again, and rebuilds the id indexes that are not what was written.
    fn archive(
        &mut self,
        system: &System,
        archive: &mut ArchiveRow,
        files: &[&FileRow],
    ) -> Result<(), StoreError> {
        let name = &archive.entry.id.name;
        let mut recount = Totals::default();
        for file in files {
            let faults = file.faults(&self.shared.root);
            let counted = count_file(&self.shared.root, file, &mut recount);
            let trips = self.shared.root.join(&file.path).display().to_string();
            if counted.is_err() || faults.iter().any(|fault| fault.starts_with(&trips)) {
                self.damaged(system.id.clone(), name.clone());
                self.unreadable.insert(file.archive);
                return Ok(());
            }
            if !faults.is_empty() {
                self.rebuild_index(file)?;
            }
        }
        recount.names = archive.totals.names.clone();
        if recount == archive.totals {
            return Ok(());
        }
        self.done(format!("{name}: its tallies counted again from its trips"));
        recount.cube.seal();
        let cells = catalog::cells(&recount.cube, &archive.totals.cube);
        archive.totals = recount;
        let sequence = archive.entry.sequence;
        catalog::put_cells(self.catalog, &system.id, sequence, &cells)?;
        catalog::put_archive_totals(self.catalog, sequence, &mut archive.totals)
    }

    fn rebuild_index(&mut self, file: &FileRow) -> Result<(), StoreError> {
        let path = index_path(&self.shared.root, &file.path);
        let rebuilt = if self.dry_run {
            let beside = self.staging.path.join(format!("rebuilt-{}.index", file.id));
            let rebuilt = rebuild_beside(&self.shared.root, file, &beside)?;
            self.rebuilt.insert(file.id, beside);
            rebuilt
        } else {
            rebuild_index(&self.shared.root, file)?
        };
        let lost = rebuilt.lines_lost;
        let lines = if lost > 0 {
            format!("; the lines of {lost} rows in their archive are not known any more")
        } else {
            String::new()
        };
        self.done(format!(
            "{} built again from its trips{lines}",
            path.display()
        ));
        catalog::put_index(self.catalog, file.id, &rebuilt.written)
    }
}

/// Reads a file whole, and counts its trips if they are stored ones.
pub(super) fn count_file(
    root: &Path,
    file: &FileRow,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    read_file(root, file, &mut |batch| {
        if file.kind == Kind::Trips {
            totals.count(batch, 1);
        }
    })
}

/// Writes the totals of a system, its cube and its departures in place of those that it has.
pub(super) fn put_system_totals(
    catalog: &Connection,
    system: &SystemId,
    sum: &mut Totals,
) -> Result<(), StoreError> {
    sum.cube.seal();
    // As if there had been none before, so that every row is written.
    catalog::clear_totals(catalog, system)?;
    catalog::put_totals(catalog, system, sum, &Totals::default())?;
    let cells = catalog::cells(&sum.cube, &Default::default());
    catalog::put_cells(catalog, system, catalog::ALL_ARCHIVES, &cells)
}

/// Has every count of a system made again with the next [`drain`](crate::refresh::drain).
pub(super) fn count_again(
    catalog: &Connection,
    system: &SystemId,
    sum: &Totals,
) -> Result<(), StoreError> {
    let mut stations = catalog::station_data(catalog, system)?;
    let version = catalog::next_version(catalog, system, &stations)?;
    let all: BTreeSet<_> = sum.stations.origins().collect();
    let mut writes = stations.trips_changed(&all, version, sum);
    writes.extend(stations.republish_all(version));
    catalog::write_stations(catalog, system, &writes, None)
}

/// Makes the id index of a trips file anew, at `to`. Lines are taken from the index that it has.
fn rebuild_beside(root: &Path, file: &FileRow, to: &Path) -> Result<Rebuilt, StoreError> {
    let trips = TripsFile::open(&root.join(&file.path))?;
    index::rebuild(&trips, &index_path(root, &file.path), to)
}

/// Makes the id index of a trips file anew: beside the old one first, which it takes the lines of
/// rows from, then in its place.
pub(super) fn rebuild_index(root: &Path, file: &FileRow) -> Result<Rebuilt, StoreError> {
    let path = index_path(root, &file.path);
    let staging = Staging::make(root)?;
    let beside = staging.path.join("rebuilt.index");
    let rebuilt = rebuild_beside(root, file, &beside)?;
    if let Some(folder) = path.parent() {
        folder::make_folder(folder)?;
    }
    std::fs::rename(&beside, &path).map_err(|e| cannot("move to", &path, e))?;
    folder::make_names_durable(root, [path.as_path()])?;
    Ok(rebuilt)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use futures_executor::block_on;
    use jiff::Timestamp;
    use xxhash_rust::xxh3::xxh3_128;

    use super::super::trips_file::tests::trip;
    use super::*;
    use crate::model::{StationId, Trip, TripBatch};
    use crate::refresh;
    use crate::reports::{self, Filters, REPORTS};
    use crate::store::{
        ArchiveId, ArchiveRead, ContentHash, CountsTable, Ledger, StationTable, TotalsReader, Trips,
    };

    fn divvy() -> System {
        System::named("divvy").unwrap()
    }

    /// Lists what a store of one system answers, versions and times of its rows aside: every report,
    /// trips, tallies, counts, stations and the ledger.
    pub(in crate::store::embedded) fn holdings(store: &EmbeddedStore) -> Vec<String> {
        let system = divvy();
        let mut held = Vec::new();
        let all = Filters::default();
        let narrowed = [
            all.clone(),
            Filters {
                rider: Some(crate::model::Rider::parse("member")),
                ..all
            },
        ];
        for report in REPORTS {
            for filters in &narrowed {
                let name = report.name();
                let answer = block_on(reports::report(name, store, &system, filters));
                held.push(format!("{name}: {answer:#?}"));
            }
        }
        let trips = Mutex::new(Vec::new());
        let visit = |batch: TripBatch| {
            let texts = batch.trips().map(|trip| format!("{trip:?}"));
            trips.lock().unwrap().extend(texts.collect::<Vec<_>>());
            true
        };
        block_on(store.scan(&system.id, &visit)).unwrap();
        let mut trips = trips.into_inner().unwrap();
        trips.sort();
        held.extend(trips);
        held.push(format!("{:?}", block_on(store.totals(&system.id)).unwrap()));
        for count in block_on(store.counts(&system.id)).unwrap() {
            held.push(format!("{}: {}", count.from_station_id, count.from_count));
        }
        for mut station in block_on(store.stations(&system.id)).unwrap() {
            station.trips_version = None;
            held.push(format!("{station:?}"));
        }
        for entry in block_on(store.entries(&system.id)).unwrap() {
            let content = entry.id.content;
            let (name, read) = (&entry.id.name, entry.rows_read);
            let (stored, rejected) = (entry.stored, &entry.rejected);
            let flagged = &entry.flagged;
            held.push(format!(
                "{name} {content}: {read} {stored} {rejected:?} {flagged:?}"
            ));
        }
        held
    }

    pub(in crate::store::embedded) fn drain(store: &EmbeddedStore) {
        block_on(refresh::drain(
            store,
            refresh::CONSUMER,
            Timestamp::UNIX_EPOCH,
        ))
        .unwrap();
    }

    pub(in crate::store::embedded) fn faults(store: &EmbeddedStore) -> Vec<String> {
        store.check(&|_, _| ()).unwrap().faults
    }

    fn load(store: &EmbeddedStore, name: &str, members: &[&[Trip]]) {
        let id = ArchiveId {
            system: divvy(),
            name: name.into(),
            content: ContentHash(xxh3_128(name.as_bytes())),
        };
        let incoming = block_on(store.begin(&id)).unwrap();
        let mut totals = Totals::default();
        for (member, trips) in members.iter().enumerate() {
            let mut batch: TripBatch = trips.iter().cloned().collect();
            batch.line = (2..).take(trips.len()).collect();
            totals.count(&batch, 1);
            incoming.write(member, batch).unwrap();
            incoming.end_member(member).unwrap();
        }
        let read = ArchiveRead {
            id,
            members: vec!["a.csv".into(), "b.csv".into()],
            rows_read: members.iter().map(|trips| trips.len() as u64).sum(),
            rejected: Default::default(),
            totals,
            loaded_at: Timestamp::UNIX_EPOCH,
            replace: false,
        };
        block_on(incoming.commit(read, &())).unwrap();
    }

    /// Makes the catalog say that no file has a key that another has: later loads then find no
    /// copies. Returns what stood there.
    fn hide_keys(store: &EmbeddedStore) -> Vec<FileRow> {
        let catalog = store.shared.catalog().unwrap();
        let files = catalog::files(&catalog, None).unwrap();
        for file in &files {
            put_keys(&catalog, file, (0, 0));
        }
        files
    }

    fn put_keys(catalog: &Connection, file: &FileRow, keys: (u64, u64)) {
        let index = super::super::index::Written {
            keys: super::super::index::Keys {
                bounds: keys,
                twice: false,
            },
            hash: file.index_hash.unwrap(),
        };
        catalog::put_index(catalog, file.id, &index).unwrap();
    }

    /// Trips of which each archive has some that others have, too: equal ones, and ones that differ
    /// so that now the earlier, now the later archive has the better copy.
    fn archives() -> Vec<(&'static str, Vec<Vec<Trip>>)> {
        let some = |first: usize, behind: usize, variant: usize| -> Vec<Trip> {
            (first..behind)
                .map(|n| Trip {
                    precision_ms: if (n + variant).is_multiple_of(3) {
                        1
                    } else {
                        1000
                    },
                    origin: Some(StationId::from(format!("s{}", (n + variant) % 5))),
                    ..trip(&format!("R{n}"), n as i64 * 60_000)
                })
                .collect()
        };
        vec![
            ("1.zip", vec![some(0, 40, 0), some(30, 60, 1)]),
            ("2.zip", vec![some(20, 80, 0)]),
            ("3.zip", vec![some(50, 70, 2), some(90, 95, 0)]),
            ("4.zip", vec![some(200, 210, 0)]),
        ]
    }

    fn fill(store: &EmbeddedStore, between: &dyn Fn(&EmbeddedStore)) {
        for (name, members) in archives() {
            let members: Vec<&[Trip]> = members.iter().map(Vec::as_slice).collect();
            load(store, name, &members);
            between(store);
        }
        drain(store);
    }

    #[test]
    fn of_trips_that_are_stored_twice_the_better_copy_stays() {
        let folder = tempfile::tempdir().unwrap();
        let right = EmbeddedStore::open(&folder.path().join("right")).unwrap();
        fill(&right, &|_| ());
        assert_eq!(faults(&right), [""; 0]);

        let root = folder.path().join("wrong");
        let wrong = EmbeddedStore::open(&root).unwrap();
        let hidden = Mutex::new(BTreeMap::new());
        fill(&wrong, &|store| {
            for file in hide_keys(store) {
                hidden.lock().unwrap().entry(file.id).or_insert(file);
            }
        });
        for file in hidden.into_inner().unwrap().values() {
            put_keys(&wrong.shared.catalog().unwrap(), file, file.keys);
        }
        let found: HashSet<String> = faults(&wrong).into_iter().collect();
        let twice = |n: usize| format!("divvy: trip R{n} is stored twice");
        let expected: HashSet<String> = (20..40).chain(40..70).map(twice).collect();
        assert_eq!(found, expected);
        // An index that is damaged, too, is not needed to decide.
        let index = catalog::files(&wrong.shared.catalog().unwrap(), None).unwrap();
        let index = index_path(&root, &index[1].path);
        std::fs::write(&index, "no index").unwrap();

        let dry = wrong.repair(true).unwrap();
        assert!(
            faults(&wrong).len() > expected.len(),
            "a dry run changes nothing"
        );
        let repaired = wrong.repair(false).unwrap();
        assert_eq!(repaired, dry);
        assert_eq!(repaired.to_load_again, []);
        drain(&wrong);
        assert_eq!(faults(&wrong), [""; 0]);
        assert_eq!(holdings(&wrong), holdings(&right));
        assert_eq!(wrong.repair(false).unwrap(), Repaired::default());
    }
}
