//! Rebuilds what can be rebuilt from the trips, and lists the archives to load again.
//!
//! Rows, id indexes and tallies are repaired in one transaction, which a dry run rolls back. Files
//! are removed afterwards, like those of a killed process. Last, trips that are stored twice are
//! resolved, one system at a time, as a load would have done it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;

use super::catalog::{self, ArchiveFilter, ArchiveRow, FileKind, FileRow};
use super::check::read_file;
use super::commit::{Deduplication, DeduplicationInput};
use super::error::{io_error, sqlite_error};
use super::folder::{self, index_path};
use super::history_repair::repair_history;
use super::index_rebuild::{Rebuilt, rebuild};
use super::rewrite::{OldFiles, rewrite_old_files};
use super::shared::Shared;
use super::staging::Staging;
use super::trips_file::TripsFile;
use super::verify;
use crate::model::{System, SystemId};
use crate::store::{DamagedArchive, Repaired, StoreError};
use crate::tally::{Parts, Tally, Totals};

/// Repairs a store, see [`EmbeddedStore::repair`](super::EmbeddedStore::repair).
pub(super) fn repair(shared: &Shared, dry_run: bool) -> Result<Repaired, StoreError> {
    if shared.is_absent()? {
        return Ok(Repaired::default());
    }
    let _lock = shared.writer_lock()?;
    let mut connection = shared.catalog()?;
    folder::create_folder(&shared.root.join(folder::STAGING))?;
    let staging = Staging::create(&shared.root)?;
    let malformed = !catalog::malformed_pages(&connection).is_empty();
    let written = if malformed && !dry_run {
        catalog::write_anew(&connection)
    } else {
        Ok(())
    };
    let transaction = catalog::begin(&mut connection)?;
    let mut repair = Repair {
        shared,
        catalog: &transaction,
        staging: &staging,
        dry_run,
        repaired: Repaired::default(),
        for_deduplication: DeduplicationInput::default(),
    };
    if malformed {
        repair.done(match written {
            Ok(()) => "catalog.db: pages were malformed, and are written anew".into(),
            Err(error) => format!("catalog.db: malformed pages stay: {error}"),
        });
    }
    let (lost_rows, lost_changes) = repair.remove_damaged_rows()?;
    let lost_rows = lost_rows || malformed;
    repair.note_unnamed_files(lost_rows)?;
    let systems = catalog::systems(&transaction)?;
    let of_history = repair_history(shared, &transaction, &systems, lost_changes, dry_run)?;
    repair.repaired.done.extend(of_history);
    for system in &systems {
        repair.system(system)?;
    }
    let Repair {
        mut repaired,
        for_deduplication,
        ..
    } = repair;
    let deduplicate = |catalog: &Connection, system: &System, repaired: &mut Repaired| {
        let deduplication =
            Deduplication::plan(shared, catalog, &staging, system, &for_deduplication)?;
        let demoted = deduplication.moving(FileKind::Trips);
        let promoted = deduplication.moving(FileKind::Duplicates);
        for key in catalog::archive_keys(catalog, &system.id)? {
            if let Some(n) = demoted.get(&key.sequence) {
                repaired.done.push(format!(
                    "{}: {n} of its trips were stored twice and are duplicates now",
                    key.name
                ));
            }
            if let Some(n) = promoted.get(&key.sequence) {
                repaired.done.push(format!(
                    "{}: {n} of its duplicates had no stored copy and are stored now",
                    key.name
                ));
            }
        }
        let is_needed = !demoted.is_empty() || !promoted.is_empty();
        Ok::<_, StoreError>(is_needed.then_some(deduplication))
    };
    for (_, file) in OldFiles::find(&shared.root, &transaction)?.files {
        if !for_deduplication.unreadable.contains(&file.archive) {
            let done = format!("{} written again: it had an older layout", file.path);
            repaired.done.push(done);
        }
    }
    if dry_run {
        for system in &systems {
            deduplicate(&transaction, system, &mut repaired)?;
        }
        return Ok(repaired);
    }
    transaction
        .commit()
        .map_err(sqlite_error("write the catalog"))?;
    // Sweeps, too. Files that cannot be read are among the archives to load again.
    rewrite_old_files(&shared.root, &mut connection)?;
    for system in &systems {
        if let Some(deduplication) = deduplicate(&connection, system, &mut repaired)? {
            deduplication.publish(&mut connection)?;
        }
    }
    Ok(repaired)
}

struct Repair<'a> {
    shared: &'a Shared,
    catalog: &'a Connection,
    staging: &'a Staging,
    dry_run: bool,
    repaired: Repaired,
    /// The archives with a trips file that cannot be read, and the indexes that a dry run has built
    /// in `staging`.
    for_deduplication: DeduplicationInput,
}

impl Repair<'_> {
    fn done(&mut self, what: String) {
        self.repaired.done.push(what);
    }

    fn add_damaged(&mut self, system: SystemId, name: String) {
        let archive = DamagedArchive {
            system,
            name,
            unload_first: false,
        };
        if !self.repaired.to_load_again.contains(&archive) {
            self.repaired.to_load_again.push(archive);
        }
    }

    /// Removes damaged rows. Their content is rebuilt or comes with the next poll; archives have to be
    /// loaded again.
    ///
    /// Returns whether the catalog had lost rows of archives or files, and whether it had lost changes of
    /// states.
    fn remove_damaged_rows(&mut self) -> Result<(bool, bool), StoreError> {
        for archive in catalog::archives_with_damage(self.catalog)? {
            self.add_damaged(archive.system.into(), archive.name);
        }
        let mut lost_rows = !self.repaired.to_load_again.is_empty();
        let mut lost_changes = false;
        for (table, n) in catalog::remove_damaged(self.catalog)? {
            lost_changes |= table == "status_change";
            lost_rows |= ["archive", "file"].contains(&table);
            self.done(format!(
                "catalog.db: {n} damaged rows of its table {table} removed"
            ));
        }
        Ok((lost_rows, lost_changes))
    }

    /// Makes leftovers of files that the catalog does not name. Where it has lost rows, it may have
    /// named them: then they stay until a repair of an intact catalog, after the archives have been
    /// loaded again.
    fn note_unnamed_files(&mut self, lost_rows: bool) -> Result<(), StoreError> {
        let files = catalog::files(self.catalog, None)?;
        let known: BTreeSet<String> = catalog::leftovers(self.catalog)?.into_iter().collect();
        for path in folder::unnamed(&self.shared.root, &files)? {
            if known.contains(&path) {
                continue;
            }
            if lost_rows {
                self.done(format!(
                    "{path} left where it is: a lost row may have named it (load its archive again, then \
                     repair once more)"
                ));
            } else {
                catalog::put_leftover(self.catalog, &path)?;
                self.done(format!("{path} removed: it was in no ledger"));
            }
        }
        Ok(())
    }

    fn system(&mut self, system: &System) -> Result<(), StoreError> {
        let id = &system.id;
        let files = catalog::files(self.catalog, Some(id))?;
        let before = catalog::totals_with_cube(self.catalog, id)?;
        let mut sum = Totals::default();
        for mut archive in catalog::archives(self.catalog, id, ArchiveFilter::All)? {
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
                let n = sum.stations.departures(&origin);
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

    /// Counts the trips of an archive again, and rebuilds its damaged id indexes.
    fn archive(
        &mut self,
        system: &System,
        archive: &mut ArchiveRow,
        files: &[&FileRow],
    ) -> Result<(), StoreError> {
        let name = &archive.entry.id.name;
        let mut recount = Totals::default();
        for file in files {
            let faults = verify::faults(&self.shared.root, file);
            let counted = count_file(&self.shared.root, file, &mut recount);
            let trips = self.shared.root.join(&file.path).display().to_string();
            if counted.is_err() || faults.iter().any(|fault| fault.starts_with(&trips)) {
                self.add_damaged(system.id.clone(), name.clone());
                self.for_deduplication.unreadable.insert(file.archive);
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
        let parts = catalog::changed_parts(&recount.cube, &archive.totals.cube);
        archive.totals = recount;
        let sequence = archive.entry.sequence;
        catalog::put_parts(self.catalog, &system.id, sequence, &parts)?;
        catalog::put_archive_totals(self.catalog, sequence, &mut archive.totals)
    }

    fn rebuild_index(&mut self, file: &FileRow) -> Result<(), StoreError> {
        let path = index_path(&self.shared.root, &file.path);
        let rebuilt = if self.dry_run {
            let beside = self.staging.path.join(format!("rebuilt-{}.index", file.id));
            let rebuilt = rebuild_to(&self.shared.root, file, &beside)?;
            self.for_deduplication.indexes.insert(file.id, beside);
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

/// Reads a whole file, and counts its trips unless they are duplicates.
pub(super) fn count_file(
    root: &Path,
    file: &FileRow,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    read_file(root, file, &mut |batch| {
        if file.kind == FileKind::Trips {
            totals.count(batch, 1);
        }
    })
}

/// Replaces the totals of a system, its cube and its departures.
pub(super) fn put_system_totals(
    catalog: &Connection,
    system: &SystemId,
    sum: &mut Totals,
) -> Result<(), StoreError> {
    sum.cube.seal();
    // Compared with empty totals, so that every row is written.
    catalog::clear_totals(catalog, system)?;
    catalog::put_totals(catalog, system, sum, &Totals::default())?;
    let parts = catalog::changed_parts(&sum.cube, &Default::default());
    catalog::put_parts(catalog, system, catalog::ALL_ARCHIVES, &parts)
}

/// Appends every station of a system to the change stream, so that all counts are made again.
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

/// Writes a new id index of a trips file to `to`. Lines are taken from its present index.
fn rebuild_to(root: &Path, file: &FileRow, to: &Path) -> Result<Rebuilt, StoreError> {
    let trips = TripsFile::open(&root.join(&file.path))?;
    rebuild(&trips, &index_path(root, &file.path), to)
}

/// Replaces the id index of a trips file by a new one, which has the lines of the old one.
pub(super) fn rebuild_index(root: &Path, file: &FileRow) -> Result<Rebuilt, StoreError> {
    let path = index_path(root, &file.path);
    let staging = Staging::create(root)?;
    let beside = staging.path.join("rebuilt.index");
    let rebuilt = rebuild_to(root, file, &beside)?;
    if let Some(folder) = path.parent() {
        folder::create_folder(folder)?;
    }
    std::fs::rename(&beside, &path).map_err(|e| io_error("move to", &path, e))?;
    folder::sync_names(root, [path.as_path()])?;
    Ok(rebuilt)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use futures_executor::block_on;

    use super::*;
    use crate::model::{StationAlias, Trip};
    use crate::reports::{self, Filters, REPORTS};
    use crate::store::embedded::EmbeddedStore;
    use crate::store::embedded::index::{Keys, Written};
    use crate::store::embedded::testing::{divvy, drain, faults, load, stored, trip};
    use crate::store::{CountsTable, Ledger, StationTable, TotalsReader};

    /// Lists the contents of a store of one system, without versions and times: every report, trips,
    /// tallies, counts, stations and the ledger.
    pub(in crate::store::embedded) fn contents(store: &EmbeddedStore) -> Vec<String> {
        let system = divvy();
        let mut contents = Vec::new();
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
                contents.push(format!("{name}: {answer:#?}"));
            }
        }
        contents.extend(stored(store).iter().map(|trip| format!("{trip:?}")));
        contents.push(format!("{:?}", block_on(store.totals(&system.id)).unwrap()));
        for count in block_on(store.counts(&system.id)).unwrap() {
            contents.push(format!("{}: {}", count.from_station_id, count.from_count));
        }
        for mut station in block_on(store.stations(&system.id)).unwrap() {
            station.trips_version = None;
            contents.push(format!("{station:?}"));
        }
        for entry in block_on(store.entries(&system.id)).unwrap() {
            let content = entry.id.content;
            let (name, read) = (&entry.id.name, entry.rows_read);
            let (stored, rejected) = (entry.stored, &entry.rejected);
            let flagged = &entry.flagged;
            contents.push(format!(
                "{name} {content}: {read} {stored} {rejected:?} {flagged:?}"
            ));
        }
        contents
    }

    /// Sets the key ranges of all files so that later loads find no copies. Returns the files as they
    /// were.
    fn hide_keys(store: &EmbeddedStore) -> Vec<FileRow> {
        let catalog = store.shared.catalog().unwrap();
        let files = catalog::files(&catalog, None).unwrap();
        for file in &files {
            put_keys(&catalog, file, (0, 0));
        }
        files
    }

    fn put_keys(catalog: &Connection, file: &FileRow, keys: (u64, u64)) {
        let index = Written {
            keys: Keys {
                bounds: keys,
                has_repeated: false,
            },
            hash: file.index_hash.unwrap(),
        };
        catalog::put_index(catalog, file.id, &index).unwrap();
    }

    /// Archives with common trips: equal copies, and differing ones of which the better is now in the
    /// earlier and now in the later archive.
    fn archives() -> Vec<(&'static str, Vec<Vec<Trip>>)> {
        let some = |start: usize, end: usize, variant: usize| -> Vec<Trip> {
            (start..end)
                .map(|n| Trip {
                    precision_ms: if (n + variant).is_multiple_of(3) {
                        1
                    } else {
                        1000
                    },
                    origin: Some(StationAlias::from(format!("s{}", (n + variant) % 5))),
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

    fn fill(store: &EmbeddedStore, after_each: &dyn Fn(&EmbeddedStore)) {
        for (name, members) in archives() {
            let members: Vec<&[Trip]> = members.iter().map(Vec::as_slice).collect();
            load(store, name, &members, false);
            after_each(store);
        }
        drain(store);
    }

    #[test]
    fn the_better_copy_of_a_trip_stored_twice_stays() {
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
        // A damaged index is not needed to decide.
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
        assert_eq!(contents(&wrong), contents(&right));
        assert_eq!(wrong.repair(false).unwrap(), Repaired::default());
    }
}
