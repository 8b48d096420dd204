//! Checks the laws on a store: reads every file, and counts every tally again.
//!
//! Everything is compared with one snapshot of the catalog, so that other processes may write
//! meanwhile.

mod ids;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ids::IdCheck;
use rusqlite::Connection;

use super::catalog::{self, ArchiveFilter, FileKind, FileRow};
use super::error::sqlite_error;
use super::folder::{self, index_path};
use super::forecasts_file::Verified;
use super::index_rebuild::compare;
use super::lock::{ReadersLock, WriterLock};
use super::places_file;
use super::rewrite::OldFiles;
use super::shared::Shared;
use super::sweep::sweep;
use super::trips_file::TripsFile;
use super::verify;
use crate::issue::Reason;
use crate::model::{StationId, System, TripBatch};
use crate::numerals::plural;
use crate::store::{COUNTS_CONSUMER, Checked, LedgerEntry, StoreError, StoreErrorKind};
use crate::tally::{Parts, Tally, Totals};

/// Checks a store, see [`EmbeddedStore::check`](super::EmbeddedStore::check).
pub(super) fn check(shared: &Shared, on_rows: &dyn Fn(u64, u64)) -> Result<Checked, StoreError> {
    if shared.is_absent()? {
        let mut checked = Checked::default();
        checked.facts.push("the store is empty".into());
        return Ok(checked);
    }
    if !shared.is_read_only()
        && let Some(_lock) = WriterLock::attempt(&shared.root)?
    {
        sweep(&shared.root, &mut *shared.catalog()?)?;
    }
    let _reading = ReadersLock::share(&shared.root)?;
    // Listed before the snapshot is taken: the catalog then has every file that is added meanwhile.
    let found = found_files(shared)?;
    let path = shared.root.join(folder::CATALOG);
    // A connection of its own, so that other threads may write meanwhile.
    let (mut connection, _copy) = if shared.is_read_only() {
        let opened = catalog::open_read_only_copy(&path)?;
        (opened.connection, opened.copy)
    } else {
        (catalog::open(&path)?, None)
    };
    let snapshot = connection
        .transaction()
        .map_err(sqlite_error("read the catalog"))?;
    let mut check = Check {
        shared,
        catalog: &snapshot,
        checked: Checked::default(),
        rows_read: 0,
        rows_in_all: 0,
        on_rows,
    };
    check.catalog_is_intact();
    if let Err(error) = check.everything(&found) {
        check.checked.faults.push(error.to_string());
    }
    Ok(check.checked)
}

/// Lists all files below `trips/`, `duplicates/` and `history/`.
fn found_files(shared: &Shared) -> Result<BTreeSet<PathBuf>, StoreError> {
    let mut found = BTreeSet::new();
    for folder in [folder::TRIPS, folder::DUPLICATES, folder::HISTORY] {
        folder::walk(&shared.root.join(folder), &mut |path| {
            found.insert(path.to_path_buf());
        })?;
    }
    Ok(found)
}

struct Check<'a> {
    shared: &'a Shared,
    /// The snapshot.
    catalog: &'a Connection,
    checked: Checked,
    rows_read: u64,
    rows_in_all: u64,
    /// Called with the rows read so far, and the rows in all.
    on_rows: &'a dyn Fn(u64, u64),
}

impl Check<'_> {
    /// Checks the catalog's pages by SQLite's rules, and its rows by their checksums.
    fn catalog_is_intact(&mut self) {
        let faults = catalog::faults(self.catalog);
        if faults.is_empty() {
            let fact = "catalog.db: every page is well formed, every row is what was written";
            self.checked.facts.push(fact.into());
        }
        let faults = faults
            .into_iter()
            .map(|fault| format!("catalog.db: {fault}"));
        self.checked.faults.extend(faults);
    }

    fn everything(&mut self, found: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        let systems = catalog::systems(self.catalog)?;
        let files = catalog::files(self.catalog, None)?;
        self.rows_in_all = files.iter().map(|file| file.rows).sum();
        self.files_are_named(found, &files)?;
        self.forecasts_are_intact(&systems);
        let old = OldFiles::find(&self.shared.root, self.catalog)?;
        for (_, file) in old.files {
            let note = format!(
                "{} has an older layout, without some columns: a repair writes it again",
                file.path
            );
            self.checked.notes.push(note);
        }
        for system in &systems {
            if let Err(error) = self.system(system) {
                self.checked.faults.push(format!("{}: {error}", system.id));
            }
        }
        for system in catalog::systems_without_row(self.catalog)? {
            let fault = format!("catalog.db: {system} has archives, and no row of its own");
            self.checked.faults.push(fault);
        }
        if systems.is_empty() && files.is_empty() {
            self.checked.facts.push("the store is empty".into());
        }
        self.corrections_have_trips()
    }

    /// Notes corrections of places that concern no trip, where the totals are sound.
    fn corrections_have_trips(&mut self) -> Result<(), StoreError> {
        let by_system = places_file::read(&self.shared.root)?;
        if !self.checked.faults.is_empty() {
            return Ok(());
        }
        for (system, corrections) in by_system {
            let totals = catalog::totals(self.catalog, &system)?;
            let unused = corrections.without_trips(&totals).into_iter();
            let notes = unused.map(|sentence| format!("{}: {system}: {sentence}", folder::PLACES));
            self.checked.notes.extend(notes);
        }
        Ok(())
    }

    /// Compares the files of the folder with those of the catalog.
    fn files_are_named(
        &mut self,
        found: &BTreeSet<PathBuf>,
        files: &[FileRow],
    ) -> Result<(), StoreError> {
        let root = &self.shared.root;
        let mut faults: Vec<String> = files
            .iter()
            .flat_map(|file| verify::faults(root, file))
            .collect();
        let leftovers = catalog::leftovers(self.catalog)?;
        let parts = catalog::history_parts(self.catalog, None)?;
        faults.extend(
            parts
                .iter()
                .filter_map(|part| verify::part_fault(root, part)),
        );
        let known: BTreeSet<PathBuf> = (files.iter().map(|file| &file.path))
            .chain(parts.iter().map(|part| &part.path))
            .chain(&leftovers)
            .map(|path| root.join(path))
            .collect();
        for path in found.difference(&known).filter(|path| path.exists()) {
            let shown = path.display();
            if path.strip_prefix(root).is_ok_and(folder::is_store_file) {
                faults.push(format!(
                    "{shown} is in no ledger, and other engines count it"
                ));
            } else if path.starts_with(root.join(folder::TRIPS)) {
                let note = format!("{shown} is no file of the store: it is left alone");
                self.checked.notes.push(note);
            }
        }
        if faults.is_empty() {
            let n = files.len();
            let hashed = files.iter().filter(|file| file.hash.is_some()).count();
            let unknown = match n - hashed {
                0 => String::new(),
                unknown => format!(" ({unknown} of an older divvy have no hash to compare)"),
            };
            self.checked.facts.push(match n {
                0 => "files: none in the ledger".into(),
                n => format!(
                    "files: {n} in the ledger, each is there and is what was written{unknown}"
                ),
            });
            if !parts.is_empty() {
                let n = parts.len();
                let rows: u64 = parts.iter().map(|part| part.rows).sum();
                self.checked.facts.push(format!(
                    "history: {} in {}, each is there and is what was written",
                    plural(rows as i64, "change"),
                    plural(n as i64, "file"),
                ));
            }
        }
        self.checked.faults.extend(faults);
        Ok(())
    }

    /// Compares what is kept of forecasts with its hashes. What is damaged is no fault of the store: it is
    /// made anew from the history. What cannot be read is a fault.
    fn forecasts_are_intact(&mut self, systems: &[System]) {
        let mut verified = Verified::default();
        for system in systems {
            verified.add(&self.shared.root, &system.id);
        }
        if verified.intact > 0 && verified.damaged.is_empty() && verified.unreadable.is_empty() {
            self.checked.facts.push(format!(
                "forecasts: {}, each is what was written",
                plural(verified.intact as i64, "file")
            ));
        }
        self.checked.notes.extend(verified.damaged);
        self.checked.faults.extend(verified.unreadable);
    }

    fn system(&mut self, system: &System) -> Result<(), StoreError> {
        let before = self.checked.faults.len();
        let archives = catalog::archives(self.catalog, &system.id, ArchiveFilter::All)?;
        let files = catalog::files(self.catalog, Some(&system.id))?;
        let totals = catalog::totals_with_cube(self.catalog, &system.id)?;
        let mut ids = IdCheck::new(&files);
        let mut sum = Totals::default();
        let loaded = archives.len();
        let mut is_whole = true;
        for mut archive in archives {
            let sequence = archive.entry.sequence;
            archive.totals.cube = catalog::cube(self.catalog, &system.id, sequence, Parts::ALL)?;
            let files = files.iter().filter(|file| file.archive == sequence);
            is_whole &= self.archive(&archive.entry, &archive.totals, files, &mut ids);
            if archive.totals.has_incomplete_aliases() {
                self.checked.notes.push(format!(
                    "{}: {} was loaded by an older program, which did not keep the names or positions of \
                     stations with trips: stations that share an id and a name are one place until it is loaded again",
                    system.id, archive.entry.id.name
                ));
            }
            sum.merge(&archive.totals);
        }
        self.expect(system, sum == totals, || {
            "the totals are not the sum of the archives'".into()
        });
        let wrong = ids.find(&self.shared.root, &files, is_whole);
        for id in wrong.repeated {
            self.expect(system, false, || format!("trip {id} is stored twice"));
        }
        if let Some(id) = wrong.without_stored_copy.first() {
            let n = wrong.without_stored_copy.len();
            self.expect(system, false, || {
                format!("{n} trips have duplicates and are not stored, such as {id}")
            });
        }
        self.departures(system, &totals)?;
        let counts = self.counts(system, &totals)?;
        if is_whole && self.checked.faults.len() == before {
            self.checked.facts.push(format!(
                "{}: {} of {}, each stored once; tallies equal a recount",
                system.id,
                plural(totals.trips, "trip"),
                plural(loaded as i64, "archive"),
            ));
            self.checked.facts.push(format!("{}: {counts}", system.id));
        }
        Ok(())
    }

    fn expect(&mut self, system: &System, holds: bool, fault: impl FnOnce() -> String) {
        self.checked
            .expect(holds, || format!("{}: {}", system.id, fault()));
    }

    /// Counts the trips of an archive again, and compares its entry and its totals with them. Returns
    /// whether all its files could be read.
    fn archive<'f>(
        &mut self,
        entry: &LedgerEntry,
        totals: &Totals,
        files: impl Iterator<Item = &'f FileRow>,
        ids: &mut IdCheck,
    ) -> bool {
        let name = &entry.id.name;
        let mut recount = Totals::default();
        let mut duplicates = 0;
        let mut is_whole = true;
        for file in files {
            let mut count = Totals::default();
            let counted = read_file(&self.shared.root, file, &mut |batch| {
                count.count(batch, 1);
                ids.add(file.kind, batch);
                self.rows_read += batch.len() as u64;
                (self.on_rows)(self.rows_read, self.rows_in_all);
            });
            let counted = counted.and_then(|()| self.index(file));
            match counted {
                Ok(()) if file.kind == FileKind::Trips => recount.merge(&count),
                Ok(()) => duplicates += file.rows,
                Err(error) => {
                    is_whole = false;
                    let error = error.to_string();
                    // A missing file has been reported already.
                    let mut faults = self.checked.faults.iter();
                    if !faults.any(|fault| error.starts_with(fault)) {
                        self.checked.faults.push(error);
                    }
                }
            }
        }
        let read = entry.rows_read;
        self.checked
            .expect(read == entry.stored + entry.rejected_total(), || {
                format!("{name}: {read} rows read are not stored and rejected ones together")
            });
        if !is_whole {
            return false;
        }
        let rejected = entry.rejected.get(&Reason::Duplicate).copied().unwrap_or(0);
        self.checked.expect(rejected == duplicates, || {
            format!("{name}: {rejected} duplicates in the ledger, {duplicates} in their files")
        });
        // Station names cannot be counted again from trips.
        recount.names = totals.names.clone();
        self.checked.expect(recount == *totals, || {
            format!(
                "{name}: its tallies ({} trips) are not what its files hold ({})",
                totals.trips, recount.trips
            )
        });
        true
    }

    /// Compares the id index of a file with its trips.
    fn index(&self, file: &FileRow) -> Result<(), StoreError> {
        let trips = TripsFile::open(&self.shared.root.join(&file.path))?;
        compare(&index_path(&self.shared.root, &file.path), &trips)
    }

    /// Compares the table of departures with the totals, in both directions.
    fn departures(&mut self, system: &System, totals: &Totals) -> Result<(), StoreError> {
        let mut kept = catalog::all_departures(self.catalog, &system.id)?;
        for origin in totals.stations.origins() {
            let counted = totals.stations.departures(&origin);
            let kept = kept.remove(&origin).unwrap_or(0);
            self.expect(system, kept == counted, || {
                format!("{kept} departures kept for station {origin}, {counted} counted")
            });
        }
        for (origin, kept) in kept {
            self.expect(system, false, || {
                format!("{kept} departures kept for station {origin}, 0 counted")
            });
        }
        Ok(())
    }

    /// Compares FromStationCounts with the totals: every station has its count. Returns the fact to
    /// report if it has.
    fn counts(&mut self, system: &System, totals: &Totals) -> Result<String, StoreError> {
        let waiting = catalog::changes(self.catalog, COUNTS_CONSUMER, 1)?;
        if !waiting.is_empty() {
            return Ok("changes wait for `divvy refresh`, so counts were not compared".into());
        }
        let counts = catalog::counts(self.catalog, &system.id)?;
        let counted: BTreeMap<&StationId, u64> = counts
            .iter()
            .map(|count| (&count.from_station_id, count.from_count))
            .collect();
        for (origin, count) in &counted {
            let stored = totals.stations.departures(origin);
            self.expect(system, *count == stored, || {
                format!("from_count of station {origin} is {count}, and {stored} trips start there")
            });
        }
        let stations = catalog::station_data(self.catalog, &system.id)?;
        for station in stations.stations() {
            for id in station.counted_ids() {
                self.expect(system, counted.contains_key(&id), || {
                    format!("station {id} has no count: `divvy refresh` makes it")
                });
            }
        }
        for origin in totals.stations.origins() {
            self.expect(system, counted.contains_key(&origin), || {
                format!("trips start at station {origin}, and it has no count")
            });
        }
        let verb = if counts.len() == 1 {
            "is that"
        } else {
            "are those"
        };
        let counts = plural(counts.len() as i64, "count");
        Ok(format!("{counts} {verb} of the trips"))
    }
}

/// Visits the batches of a file.
///
/// # Errors
///
/// `Damaged` if it cannot be read, or has another number of rows than in the catalog.
pub(super) fn read_file(
    root: &Path,
    file: &FileRow,
    visit: &mut dyn FnMut(&TripBatch),
) -> Result<(), StoreError> {
    let path = root.join(&file.path);
    if !path.exists() {
        let message = format!("{} is missing", path.display());
        return Err(StoreError::new(StoreErrorKind::Damaged, message));
    }
    let trips = TripsFile::open(&path)?;
    let mut rows = 0;
    for group in 0..trips.groups().len() {
        let batch = trips.read(group)?;
        rows += batch.len() as u64;
        visit(&batch);
    }
    if rows == file.rows {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Damaged,
        format!(
            "{} holds {rows} rows, and the ledger has {}",
            path.display(),
            file.rows
        ),
    ))
}
