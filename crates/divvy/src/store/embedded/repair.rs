//! Rebuilds what can be rebuilt from the trips, and lists what has to be loaded again.
//!
//! All of it is one transaction: a dry run does the same and takes it back. Files are removed
//! after it, as those of a killed process are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;

use super::catalog::{self, ArchiveRow, FileRow, Kind, Which};
use super::check::read_file;
use super::index::Rebuilt;
use super::lock::Staging;
use super::trips_file::TripsFile;
use super::{
    EmbeddedStore, Shared, cannot, catalog_failed, folder, index, index_path, is_in_memory, sweep,
};
use crate::model::System;
use crate::store::StoreError;
use crate::tally::{Parts, Tally, Totals};

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was rebuilt or removed, one sentence each.
    pub done: Vec<String>,
    /// Archives to be loaded again with `--replace`, since their trips cannot be read: the system
    /// and the name of each.
    pub to_load_again: Vec<(String, String)>,
}

impl EmbeddedStore {
    /// Mends what [`check`](Self::check) finds, as far as the trips allow it: removes files that
    /// no ledger names, rebuilds id indexes, tallies and departures, and has every count made
    /// again with the next [`drain`](crate::refresh::drain). With `dry_run` nothing is changed.
    ///
    /// # Errors
    ///
    /// Where the catalog cannot be read even without its damaged rows; nothing is changed then.
    pub fn repair(&self, dry_run: bool) -> Result<Repaired, StoreError> {
        let shared = &*self.shared;
        if is_in_memory(&shared.catalog()) {
            return Ok(Repaired::default());
        }
        let _lock = shared.writer_lock()?;
        let mut connection = shared.catalog();
        let transaction = catalog::begin(&mut connection)?;
        let mut repair = Repair {
            shared,
            catalog: &transaction,
            dry_run,
            repaired: Repaired::default(),
        };
        repair.drop_damaged_rows()?;
        repair.note_unnamed_files()?;
        for system in catalog::systems(&transaction)? {
            repair.system(&system)?;
        }
        let repaired = repair.repaired;
        if dry_run {
            return Ok(repaired);
        }
        transaction
            .commit()
            .map_err(catalog_failed("write the catalog"))?;
        sweep::sweep(&shared.root, &mut connection)?;
        Ok(repaired)
    }
}

struct Repair<'a> {
    shared: &'a Shared,
    catalog: &'a Connection,
    dry_run: bool,
    repaired: Repaired,
}

impl Repair<'_> {
    fn done(&mut self, what: String) {
        self.repaired.done.push(what);
    }

    /// Removes rows that are not what was written: what they held is rebuilt, or comes with the
    /// next poll; an archive has to be loaded again.
    fn drop_damaged_rows(&mut self) -> Result<(), StoreError> {
        for (name, system) in catalog::damaged_archives(self.catalog)? {
            self.repaired.to_load_again.push((system, name));
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
            sum.cube.seal();
            // As if there had been none before, so that every row is written.
            catalog::clear_totals(self.catalog, id)?;
            catalog::put_totals(self.catalog, id, &mut sum, &Totals::default())?;
            let cells = catalog::cells(&sum.cube, &Default::default());
            catalog::put_cells(self.catalog, id, catalog::ALL_ARCHIVES, &cells)?;
            self.done(format!("{id}: totals added up again"));
        }
        let mut stations = catalog::station_data(self.catalog, id)?;
        let version = catalog::next_version(self.catalog, id, &stations)?;
        let all: BTreeSet<_> = sum.stations.origins().collect();
        let mut writes = stations.trips_changed(&all, version, &sum);
        writes.extend(stations.touch_all(version));
        catalog::write_stations(self.catalog, id, &writes, None)?;
        Ok(())
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
            let counted = read_file(self.shared, file, &mut |batch| {
                if file.kind == Kind::Trips {
                    recount.count(batch, 1);
                }
            });
            let trips = self.shared.root.join(&file.path).display().to_string();
            if counted.is_err() || faults.iter().any(|fault| fault.starts_with(&trips)) {
                let again = (system.id.to_string(), name.clone());
                if !self.repaired.to_load_again.contains(&again) {
                    self.repaired.to_load_again.push(again);
                }
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
            None
        } else {
            Some(rebuild_index(&self.shared.root, file)?)
        };
        let lost = rebuilt.as_ref().map_or(0, |rebuilt| rebuilt.lines_lost);
        let lines = if lost > 0 {
            format!("; the lines of {lost} rows in their archive are not known any more")
        } else {
            String::new()
        };
        self.done(format!(
            "{} built again from its trips{lines}",
            path.display()
        ));
        match rebuilt {
            Some(rebuilt) => catalog::put_index_hash(self.catalog, file.id, rebuilt.written.hash),
            None => Ok(()),
        }
    }
}

/// Makes the id index of a trips file anew: beside the old one first, which it takes the lines of
/// rows from, then in its place.
pub(super) fn rebuild_index(root: &Path, file: &FileRow) -> Result<Rebuilt, StoreError> {
    let path = index_path(root, &file.path);
    let staging = Staging::make(root)?;
    let beside = staging.path.join("rebuilt.index");
    let trips = TripsFile::open(&root.join(&file.path))?;
    let rebuilt = index::rebuild(&trips, &path, &beside)?;
    if let Some(folder) = path.parent() {
        folder::make_folder(folder)?;
    }
    std::fs::rename(&beside, &path).map_err(|e| cannot("move to", &path, e))?;
    folder::make_names_durable(root, [path.as_path()])?;
    Ok(rebuilt)
}
