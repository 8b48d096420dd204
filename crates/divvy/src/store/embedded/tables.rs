//! The tables of the store, behind the traits of all stores.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;

use super::catalog::{self, ArchiveFilter, FileKind};
use super::error::{corrupt_catalog, sqlite_error};
use super::incoming::EmbeddedIncoming;
use super::lock::ReadersLock;
use super::trips_file::{SCAN_THREADS, for_each_row_group};
use super::{EmbeddedStore, commit, history, places_file};
use crate::model::{Snapshot, Station, StationId, System, SystemId, TripBatch};
use crate::stations::data::{StationData, Write};
use crate::store::{
    Applied, ArchiveId, Change, ChangeStream, Check, Checked, ContentHash, Corrections,
    CorrectionsChange, CountsTable, Departures, FeedState, Forecasts, FromStationCount, Incoming,
    Ledger, LedgerEntry, LoadedArchive, PlaceCorrections, Projection, Repair, Repaired, Republish,
    StationTable, StatusHistory, StoreError, TotalsReader, Trips, Unload, Unloaded,
};
use crate::tally::{Parts, Totals};

/// Threads of a scan of all columns. Each holds a row group, of which whole rows take some 20 MB.
const WHOLE_ROW_THREADS: usize = 4;

/// The trips files of a system.
struct TripsFiles {
    paths: Vec<PathBuf>,
    /// The archive of each file.
    archives: Vec<ContentHash>,
}

impl EmbeddedStore {
    /// Changes stations of a system in one transaction, under the writer lock. `taken_at` is the time
    /// of the snapshot that changes them, if one does.
    fn write_stations<T>(
        &self,
        system: &System,
        taken_at: Option<Timestamp>,
        change: impl FnOnce(&Connection, &mut StationData) -> Result<(T, Vec<Write>), StoreError>,
    ) -> Result<T, StoreError> {
        self.shared.write(|catalog| {
            let mut stations = catalog::station_data(catalog, &system.id)?;
            let (result, writes) = change(catalog, &mut stations)?;
            catalog::put_system(catalog, system)?;
            catalog::write_stations(catalog, &system.id, &writes, taken_at)?;
            if let Some(feed) = stations.feed() {
                catalog::put_feed(catalog, &system.id, feed)?;
            }
            catalog::prune_changes(catalog)?;
            Ok(result)
        })
    }

    /// Lists the trips files of a system, and the content of the archive of each by its sequence.
    fn trips_files(&self, system: &SystemId) -> Result<TripsFiles, StoreError> {
        let mut catalog = self.shared.catalog()?;
        // One transaction, so that every file is of an archive that is listed.
        let catalog = catalog
            .transaction()
            .map_err(sqlite_error("read the catalog"))?;
        catalog::expect_all_files(&catalog, system, &BTreeSet::new())?;
        let mut files = catalog::files(&catalog, Some(system))?;
        files.retain(|file| file.kind == FileKind::Trips);
        let paths = files.iter().map(|file| self.shared.root.join(&file.path));
        let keys = catalog::archive_keys(&catalog, system)?.into_iter();
        let contents: HashMap<u64, ContentHash> =
            keys.map(|key| (key.sequence, key.content)).collect();
        Ok(TripsFiles {
            paths: paths.collect(),
            archives: files.iter().map(|file| contents[&file.archive]).collect(),
        })
    }
}

#[async_trait]
impl Trips for EmbeddedStore {
    async fn begin(&self, archive: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        self.shared.prepare_folder()?;
        Ok(Box::new(EmbeddedIncoming::new(
            self.shared.clone(),
            archive.system.id.clone(),
        )?))
    }

    async fn scan_by_archive(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(ContentHash, TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if self.shared.is_absent()? {
            return Ok(());
        }
        let _reading = ReadersLock::share(&self.shared.root)?;
        let files = self.trips_files(system)?;
        for_each_row_group(&files.paths, WHOLE_ROW_THREADS, &|_| true, &|group| {
            let batch = group.trips.read(group.group)?;
            Ok(visit(files.archives[group.file], batch))
        })
    }

    async fn scan_projection(
        &self,
        system: &SystemId,
        projection: &Projection,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if self.shared.is_absent()? {
            return Ok(());
        }
        let _reading = ReadersLock::share(&self.shared.root)?;
        for_each_row_group(
            &self.trips_files(system)?.paths,
            SCAN_THREADS,
            &|group| group.trips.may_hold(group.group, projection),
            &|group| Ok(visit(group.trips.read_projection(group.group, projection)?)),
        )
    }
}

#[async_trait]
impl StationTable for EmbeddedStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        let stations = catalog::station_data(&*self.shared.catalog()?, system)?;
        Ok(stations.stations().cloned().collect())
    }

    async fn apply(
        &self,
        snapshot: &Snapshot,
        fetched_at: Timestamp,
    ) -> Result<Applied, StoreError> {
        let system = &snapshot.system;
        // Before the snapshot, so that a part ends with the last snapshot of a day.
        history::seal_if_due(&self.shared, &system.id, snapshot.taken_at)?;
        self.write_stations(system, Some(snapshot.taken_at), |catalog, stations| {
            let applied = stations.apply(snapshot, || catalog::totals(catalog, &system.id))?;
            if stations.has_taken_states(snapshot, &applied.0) {
                history::append(catalog, snapshot, fetched_at)?;
            }
            Ok(applied)
        })
    }

    async fn defer_sync(&self, is_deferred: bool) -> Result<(), StoreError> {
        self.shared.defer_sync(is_deferred)
    }

    fn forecasts(&self) -> Option<&dyn Forecasts> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn StatusHistory> {
        Some(self)
    }

    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError> {
        catalog::feed(&*self.shared.catalog()?, system)
    }

    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError> {
        self.write_stations(system, None, |catalog, stations| {
            let writes = stations.describe(listed, || catalog::totals(catalog, &system.id))?;
            Ok((writes.len() as u64, writes))
        })
    }
}

#[async_trait]
impl Republish for EmbeddedStore {
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError> {
        let known = catalog::systems(&*self.shared.catalog()?)?;
        let Some(system) = known.into_iter().find(|known| known.id == *system) else {
            return Ok(0);
        };
        self.write_stations(&system, None, |catalog, stations| {
            let version = catalog::next_version(catalog, &system.id, stations)?;
            let writes = stations.republish_all(version);
            Ok((writes.len() as u64, writes))
        })
    }
}

#[async_trait]
impl ChangeStream for EmbeddedStore {
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        catalog::changes(&*self.shared.catalog()?, consumer, limit)
    }

    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError> {
        self.shared
            .write(|catalog| catalog::acknowledge(catalog, consumer, sequence))
    }
}

#[async_trait]
impl TotalsReader for EmbeddedStore {
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError> {
        self.totals_with(system, Parts::ALL).await
    }

    async fn totals_with(&self, system: &SystemId, parts: Parts) -> Result<Totals, StoreError> {
        let mut catalog = self.shared.catalog()?;
        // One transaction, so that both are of the same archives.
        let catalog = catalog
            .transaction()
            .map_err(sqlite_error("read the catalog"))?;
        let mut totals = catalog::totals(&catalog, system)?;
        if parts != Parts::NONE {
            totals.cube = catalog::cube(&catalog, system, catalog::ALL_ARCHIVES, parts)?;
            // A damaged page of the catalog can hide rows. Each trip has an hour.
            if parts.day_hours && totals.trips > 0 && totals.cube.day_hours.is_empty() {
                let lost = std::io::Error::other("a part of the cube is not there");
                return Err(corrupt_catalog(lost));
            }
        }
        Ok(totals)
    }
}

#[async_trait]
impl PlaceCorrections for EmbeddedStore {
    async fn corrections(&self, system: &SystemId) -> Result<Corrections, StoreError> {
        let mut by_system = places_file::read(&self.shared.root)?;
        Ok(by_system.remove(system).unwrap_or_default())
    }

    async fn change_corrections(
        &self,
        system: &SystemId,
        change: &CorrectionsChange<'_>,
    ) -> Result<(), StoreError> {
        self.shared.write(|_| {
            let mut by_system = places_file::read(&self.shared.root)?;
            change(by_system.entry(system.clone()).or_default());
            by_system.retain(|_, corrections| !corrections.is_empty());
            places_file::write(&self.shared.root, &by_system)
        })
    }
}

#[async_trait]
impl Departures for EmbeddedStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let catalog = self.shared.catalog()?;
        origins
            .iter()
            .map(|origin| catalog::departures(&catalog, system, origin).map(Some))
            .collect()
    }
}

#[async_trait]
impl CountsTable for EmbeddedStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        catalog::counts(&*self.shared.catalog()?, system)
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        let catalog = self.shared.catalog()?;
        origins
            .iter()
            .map(|origin| catalog::count(&catalog, system, origin))
            .collect()
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        self.shared.write(|catalog| {
            let mut counts = counts.iter();
            counts.try_for_each(|count| catalog::put_count(catalog, system, count))
        })
    }
}

#[async_trait]
impl Ledger for EmbeddedStore {
    async fn systems(&self) -> Result<Vec<System>, StoreError> {
        catalog::systems(&*self.shared.catalog()?)
    }

    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError> {
        let archives = catalog::archives(&*self.shared.catalog()?, system, ArchiveFilter::All)?;
        Ok(archives.into_iter().map(|archive| archive.entry).collect())
    }

    async fn archives(&self, system: &SystemId) -> Result<Vec<LoadedArchive>, StoreError> {
        catalog::loaded_archives(&*self.shared.catalog()?, system)
    }

    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let which = ArchiveFilter::Content(content);
        let held = catalog::archives(&*self.shared.catalog()?, system, which)?.pop();
        Ok(held.map(|archive| archive.entry))
    }

    async fn is_intact(&self, entry: &LedgerEntry) -> Result<bool, StoreError> {
        let _reading = ReadersLock::share(&self.shared.root)?;
        commit::is_intact(&self.shared, &*self.shared.catalog()?, entry.sequence)
    }
}

#[async_trait]
impl Unload for EmbeddedStore {
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError> {
        let known = catalog::systems(&*self.shared.catalog()?)?;
        match known.into_iter().find(|known| known.id == *system) {
            Some(system) => commit::unload(&self.shared, &system, archives, dry_run),
            None => Ok(Unloaded::default()),
        }
    }
}

#[async_trait]
impl Check for EmbeddedStore {
    async fn check(
        &self,
        on_rows: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Checked, StoreError> {
        EmbeddedStore::check(self, on_rows)
    }

    fn size_bytes(&self) -> Result<Option<u64>, StoreError> {
        EmbeddedStore::size_bytes(self).map(Some)
    }
}

#[async_trait]
impl Repair for EmbeddedStore {
    async fn repair(&self, dry_run: bool, _now: Timestamp) -> Result<Repaired, StoreError> {
        EmbeddedStore::repair(self, dry_run)
    }
}
