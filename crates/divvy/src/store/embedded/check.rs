//! Proves the laws on the store at hand: every file read, every tally counted anew.

use std::collections::BTreeSet;

use super::catalog::{self, FileRow, Kind};
use super::index::{self, Index};
use super::lock::WriterLock;
use super::trips_file::TripsFile;
use super::{EmbeddedStore, Shared, folder, index_path, sweep};
use crate::issue::Reason;
use crate::model::System;
use crate::store::{Checked, StoreError};
use crate::tally::{Parts, Tally, Totals};

impl EmbeddedStore {
    /// Proves the laws on this store. Sweeps what a killed process left, unless another process is
    /// writing at this moment.
    ///
    /// # Errors
    ///
    /// Where the catalog cannot be read; a damaged trips file is a fault, not an error.
    pub fn check(&self) -> Result<Checked, StoreError> {
        let shared = &*self.shared;
        let mut checked = Checked::default();
        let lock = WriterLock::attempt(&shared.root)?;
        if lock.is_some() {
            sweep::sweep(&shared.root, &shared.catalog())?;
            files_are_named(shared, &mut checked)?;
        } else {
            let waiting = "another divvy is writing: files it has not named yet were left alone";
            checked.facts.push(waiting.into());
        }
        let systems = catalog::systems(&shared.catalog())?;
        for system in &systems {
            check_system(shared, system, &mut checked)?;
        }
        if systems.is_empty() {
            checked.facts.push("the store is empty".into());
        }
        Ok(checked)
    }
}

fn files_are_named(shared: &Shared, checked: &mut Checked) -> Result<(), StoreError> {
    let named: BTreeSet<_> = catalog::files(&shared.catalog(), None)?
        .iter()
        .filter(|file| file.kind == Kind::Trips)
        .map(|file| shared.root.join(&file.path))
        .collect();
    for path in named.iter().filter(|path| !path.exists()) {
        checked.faults.push(format!("{} is missing", path.display()));
    }
    let mut foreign = Vec::new();
    folder::walk(&shared.root.join(folder::TRIPS), &mut |path| {
        if !named.contains(path) {
            foreign.push(path.to_path_buf());
        }
    })?;
    foreign.sort();
    for path in foreign {
        checked.facts.push(format!(
            "note: {} is no file of the store; it is left alone, and other engines may count it",
            path.display()
        ));
    }
    let n = named.len();
    checked.facts.push(format!("trips/ holds the files of the ledger ({n})"));
    Ok(())
}

fn check_system(shared: &Shared, system: &System, checked: &mut Checked) -> Result<(), StoreError> {
    let (archives, files, totals, counts) = {
        let connection = shared.catalog();
        let mut totals = catalog::totals(&connection, &system.id)?;
        let all = catalog::ALL_ARCHIVES;
        totals.cube = catalog::cube(&connection, &system.id, all, Parts::ALL)?;
        (
            catalog::archives(&connection, &system.id)?,
            catalog::files(&connection, Some(&system.id))?,
            totals,
            catalog::counts(&connection, &system.id, None)?,
        )
    };
    let mut sum = Totals::default();
    let loaded = archives.len();
    for mut archive in archives {
        let entry = &archive.entry;
        let name = &entry.id.name;
        let sequence = entry.sequence;
        let connection = shared.catalog();
        archive.totals.cube = catalog::cube(&connection, &system.id, sequence, Parts::ALL)?;
        drop(connection);
        let mut recount = Totals::default();
        let mut duplicates = 0;
        for file in files.iter().filter(|file| file.archive == entry.sequence) {
            match recount_file(shared, file) {
                Ok(counted) if file.kind == Kind::Trips => recount.merge(&counted),
                Ok(counted) => duplicates += counted.trips as u64,
                Err(error) => checked.faults.push(error.to_string()),
            }
        }
        let read = entry.rows_read;
        let law = read == entry.stored + entry.rejected_total();
        checked.expect(law, || {
            format!("{name}: {read} rows read are not stored and rejected ones together")
        });
        let rejected = entry.rejected.get(&Reason::Duplicate).copied().unwrap_or(0);
        checked.expect(rejected == duplicates, || {
            format!("{name}: {rejected} duplicates in the ledger, {duplicates} in their files")
        });
        // What files call their stations cannot be recounted from trips.
        recount.names = archive.totals.names.clone();
        checked.expect(recount == archive.totals, || {
            format!(
                "{name}: its tallies ({} trips) are not what its files hold ({})",
                archive.totals.trips, recount.trips
            )
        });
        sum.merge(&archive.totals);
    }
    checked.expect(sum == totals, || {
        format!("{}: the totals are not the sum of the archives'", system.id)
    });
    let twice = stored_twice(shared, &files)?;
    checked.expect(twice.is_empty(), || {
        format!("{}: trip {} is stored twice", system.id, twice[0])
    });
    let connection = shared.catalog();
    for (origin, station) in &totals.stations.0 {
        let kept = catalog::departures(&connection, &system.id, origin)?;
        checked.expect(kept == station.departures as u64, || {
            format!(
                "{}: {kept} departures kept for station {origin}, {} counted",
                system.id, station.departures
            )
        });
    }
    let drained = catalog::changes(&connection, crate::refresh::CONSUMER, 1)?.is_empty();
    if drained {
        for count in &counts {
            let stored = totals.stations.departures(&count.from_station_id) as u64;
            checked.expect(count.from_count == stored, || {
                format!(
                    "{}: from_count of station {} is {}, and {stored} trips start there",
                    system.id, count.from_station_id, count.from_count
                )
            });
        }
    }
    checked.facts.push(format!(
        "{}: {} trips, each stored once (ledger: {}); tallies equal a recount{}",
        system.id,
        totals.trips,
        loaded,
        if drained {
            format!("; {} counts are those of the trips", counts.len())
        } else {
            "; changes wait for `divvy refresh`".into()
        }
    ));
    Ok(())
}

fn recount_file(shared: &Shared, file: &FileRow) -> Result<Totals, StoreError> {
    let path = shared.root.join(&file.path);
    let trips = TripsFile::open(&path)?;
    let mut totals = Totals::default();
    for group in 0..trips.groups().len() {
        totals.count(&trips.read(group)?, 1);
    }
    if trips.rows() != file.rows || totals.trips as u64 != file.rows {
        let message = format!(
            "{} holds {} rows, and the ledger says {}",
            path.display(),
            trips.rows(),
            file.rows
        );
        return Err(StoreError::new(
            crate::store::StoreErrorKind::Damaged,
            message,
        ));
    }
    Ok(totals)
}

/// Lists ids that stand in two rows of trips files.
fn stored_twice(shared: &Shared, files: &[FileRow]) -> Result<Vec<String>, StoreError> {
    let trips: Vec<&FileRow> = files.iter().filter(|f| f.kind == Kind::Trips).collect();
    let mut indexes = Vec::new();
    for file in &trips {
        indexes.push(Index::open(&index_path(&shared.root, &file.path))?);
    }
    let whole: Vec<_> = indexes
        .iter()
        .map(|index| (index.clone(), (0, u64::MAX)))
        .collect();
    let keys = index::contested(&whole, &[])?;
    let mut ids = Vec::new();
    for (file, index) in trips.iter().zip(&indexes) {
        let entries = index.among(&keys)?;
        super::duplicates::read_rows(&shared.root.join(&file.path), &entries, |_, trip| {
            ids.push(trip.id.to_string());
        })?;
    }
    ids.sort();
    let twice = ids.windows(2).filter(|pair| pair[0] == pair[1]);
    Ok(twice.map(|pair| pair[0].clone()).collect())
}
