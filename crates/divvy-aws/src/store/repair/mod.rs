//! Rebuilds what can be rebuilt from the trips in the tables, and lists the archives that have to be
//! loaded again.
//!
//! ```text
//!  lease ─► an unfinished load is undone ─► all trips read ─► strays deleted
//!  ─► totals, ids and entries written under a new generation ─► counts ─► one transaction
//! ```
//!
//! What is deleted belongs to no archive, and what is written becomes current with the transaction.
//! A killed repair leaves a record as a load does, and the next command undoes it.

mod stored_items;

use std::collections::{BTreeMap, BTreeSet};

use self::stored_items::{ItemStatus, KnownItems, StoredItems};
use super::load::lease::{Lease, LoadRequest, REPAIR};
use super::load::{boost, changed_meanwhile, obsolete, set_counts, undo};
use super::{DynamoStore, Shared, duplicates, layout};
use crate::ledger::{
    Archive, ArchiveSections, Commit, LedgerTable, Obsolete, ObsoleteSections, SectionKind,
    SectionOwner, SectionRef, State, encode_ids,
};
use crate::tables::Layout;
use divvy::model::{StationId, SystemId};
use divvy::store::{
    CountsTable, DamagedArchive, FromStationCount, Repaired, StoreError, StoreErrorKind,
};
use divvy::tally::{Tally, Totals};
use jiff::Timestamp;

impl DynamoStore {
    /// Repairs what [`check`](Self::check) finds, as far as the trips allow it: deletes trips and
    /// chunks that belong to no archive, writes totals and lists of ids again, and corrects counts.
    /// Reads all tables, at the rate of their capacity. With `dry_run` nothing is changed.
    ///
    /// Trips that were imported from S3 and are not loaded yet belong to no archive either: they are
    /// deleted.
    ///
    /// # Errors
    ///
    /// Those of the service; the state or an entry of the ledger cannot be read; an unfinished load
    /// supersedes archives, and has to be finished first.
    pub async fn repair(&self, dry_run: bool, now: Timestamp) -> Result<Repaired, StoreError> {
        let shared = &*self.shared;
        let Some(state) = shared.ledger.state().await? else {
            return Ok(Repaired::default());
        };
        let mut repair = Repair {
            store: self,
            dry_run,
            now,
            repaired: Repaired::default(),
        };
        if dry_run {
            repair.describe_load().await?;
            repair.run(None, state).await?;
            return Ok(repair.repaired);
        }
        let request = LoadRequest {
            content: REPAIR.into(),
            archive: "divvy check --repair".into(),
            settings: REPAIR.into(),
            replace: false,
            unloads: None,
        };
        let lease = Lease::take(shared, &request).await?;
        let done = tokio::select! {
            biased;
            done = repair.begin(&lease, &request) => done,
            lost = lease.keep() => Err(lost),
        };
        match done {
            // The transaction has ended the lease.
            Ok(true) => Ok(repair.repaired),
            Ok(false) => {
                lease.end().await?;
                Ok(repair.repaired)
            }
            Err(error) => {
                lease.abandon().await;
                Err(error)
            }
        }
    }
}

struct Repair<'a> {
    store: &'a DynamoStore,
    dry_run: bool,
    now: Timestamp,
    repaired: Repaired,
}

/// The archives and totals after the repair.
#[derive(Default)]
struct Mended {
    /// Each archive that changes, before and after.
    archives: Vec<(Archive, Archive)>,
    /// The new totals of archives that change, by content hash.
    totals: BTreeMap<String, Totals>,
    /// The new lists of ids, by content hash.
    ids: BTreeMap<String, Vec<u8>>,
    /// The totals over all archives.
    all: Totals,
    /// Whether these differ from the ones in the ledger.
    is_all_new: bool,
}

/// An archive whose list of ids is made again.
struct MissingIds {
    archive: Archive,
    /// Whether its duplicates can be read.
    has_duplicates: bool,
}

/// Returns what was read. `None` where it is damaged.
fn if_readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == StoreErrorKind::Damaged => Ok(None),
        Err(error) => Err(error),
    }
}

impl Repair<'_> {
    fn shared(&self) -> &Shared {
        &self.store.shared
    }

    fn done(&mut self, what: String) {
        self.repaired.done.push(what);
    }

    /// Reports the unfinished load, for a dry run.
    async fn describe_load(&mut self) -> Result<(), StoreError> {
        let load = self.shared().ledger.load().await?;
        if let Some(load) = load.filter(|load| load.generation > 0) {
            self.done(format!(
                "{}: its load undone, unless it goes on at this moment",
                load.archive
            ));
        }
        Ok(())
    }

    /// Undoes an unfinished load, then repairs. Returns whether a transaction has ended the lease.
    async fn begin(
        &mut self,
        lease: &Lease<'_>,
        request: &LoadRequest,
    ) -> Result<bool, StoreError> {
        let shared = lease.shared;
        boost::restore(shared).await?;
        if let Some(obsolete) = shared.ledger.obsolete().await? {
            obsolete::delete(shared, &obsolete).await?;
        }
        let state = self.state().await?;
        let found = lease.record().await;
        if found.generation > 0 {
            undo(lease, request, state).await?;
            if found.settings != REPAIR {
                self.done(format!(
                    "{}: its load, which was killed, undone",
                    found.archive
                ));
            }
        }
        let state = self.state().await?;
        self.run(Some(lease), state).await
    }

    async fn state(&self) -> Result<State, StoreError> {
        let state = self.shared().ledger.state().await?;
        state.ok_or_else(|| StoreError::new(StoreErrorKind::Damaged, "the store's state is gone"))
    }

    async fn run(&mut self, lease: Option<&Lease<'_>>, state: State) -> Result<bool, StoreError> {
        let archives = self.shared().ledger.archives().await?;
        let known = KnownItems::of(self.shared(), &archives).await?;
        let found = StoredItems::read(self.shared(), &known, self.dry_run).await?;
        for (tag, n) in &found.strays {
            let what = match self.shared().tables.trip_data.layout {
                Layout::Rows => "trips",
                Layout::Packed => "blocks of trips",
            };
            self.done(format!(
                "{n} {what} of no archive in the ledger deleted (archive {tag})"
            ));
        }
        self.delete_stray_chunks(&state, &archives).await?;
        let mended = self.mend(&state, &archives, &known, found).await?;
        let counts = self.counts(&state.system.id, &mended.all).await?;
        let Some(lease) = lease else {
            return Ok(false);
        };
        let is_changed = mended.is_all_new || !mended.archives.is_empty();
        if !is_changed {
            self.put_counts(&state.system.id, counts, &mended.all)
                .await?;
            return Ok(false);
        }
        self.commit(lease, state, mended, counts).await?;
        Ok(true)
    }

    /// Deletes chunks that belong to no section.
    async fn delete_stray_chunks(
        &mut self,
        state: &State,
        archives: &[Archive],
    ) -> Result<(), StoreError> {
        let ledger = &self.shared().ledger;
        let strays = ledger.stray_chunks(state, archives).await?;
        if strays.is_empty() {
            return Ok(());
        }
        let n = strays.len();
        if !self.dry_run {
            ledger.delete_all(strays).await?;
        }
        self.done(format!(
            "{n} parts of the ledger deleted that nothing names"
        ));
        Ok(())
    }

    /// Computes the archives and totals after the repair.
    async fn mend(
        &mut self,
        state: &State,
        archives: &[Archive],
        known: &KnownItems,
        mut found: StoredItems,
    ) -> Result<Mended, StoreError> {
        let mut mended = Mended::default();
        // By archive tag.
        let mut missing_ids: BTreeMap<String, MissingIds> = BTreeMap::new();
        for archive in archives {
            let shared = self.shared();
            let (tag, content) = (archive.tag(), archive.content());
            let name = archive.entry.id.name.clone();
            let totals = shared.ledger.totals(
                SectionOwner::Archive(&content),
                Some(archive.sections.totals),
            );
            let totals = if_readable(totals.await)?;
            let duplicates = if_readable(duplicates::count_duplicates(shared, archive).await)?;
            let mut ids = 0_u64;
            let read = duplicates::visit_ids(shared, archive, &mut |_| {
                ids += 1;
                Ok(())
            })
            .await;
            let ids = if_readable(read)?.map(|()| ids);

            let mut recount = found.counted.remove(&tag).unwrap_or_default();
            recount.names = totals
                .as_ref()
                .map(|totals| totals.names.clone())
                .unwrap_or_default();
            // The archive is complete where its trips are as many as one of three records states.
            let stored = recount.trips.max(0) as u64;
            let of_ids = ids
                .zip(duplicates)
                .and_then(|(ids, duplicates)| ids.checked_sub(duplicates));
            let of_totals = totals.as_ref().map(|totals| totals.trips.max(0) as u64);
            let has_all_trips = archive.entry.stored == stored
                || of_totals == Some(stored)
                || of_ids == Some(stored);
            let is_complete = has_all_trips
                && found.has_blocks_of(known, &tag)
                && !known.unlisted.contains(&tag)
                && !found.damaged.contains_key(&tag);
            if !is_complete || duplicates.is_none() {
                self.repaired.to_load_again.push(DamagedArchive {
                    system: state.system.id.clone(),
                    name: name.clone(),
                    unload_first: true,
                });
            }

            let mut new = archive.clone();
            new.duplicates = duplicates.unwrap_or(0);
            if duplicates.is_none() {
                new.sections.duplicates = SectionRef::default();
                self.done(format!(
                    "{name}: its copies that lost cannot be read, and are dropped"
                ));
            }
            let is_equal = totals.as_ref() == Some(&recount);
            let is_recounted = !is_equal && (is_complete || totals.is_none());
            let totals = totals.filter(|_| !is_recounted).unwrap_or(recount);
            if is_recounted {
                self.done(format!("{name}: its tallies counted again from its trips"));
                mended.totals.insert(content.clone(), totals.clone());
            }
            if is_recounted || is_complete {
                set_counts(&mut new, &totals);
            }
            let expected = new.entry.stored + new.duplicates;
            // Without its duplicates their ids must not be in the list.
            let has_duplicates = duplicates.is_some();
            let are_ids_right =
                has_duplicates && ids.is_some_and(|ids| ids == expected || !is_complete);
            if !are_ids_right {
                self.done(format!("{name}: its list of ids made again from its trips"));
                let missing = MissingIds {
                    archive: new.clone(),
                    has_duplicates,
                };
                missing_ids.insert(tag, missing);
            }
            mended.all.merge(&totals);
            if new != *archive || is_recounted || !are_ids_right {
                if new.entry != archive.entry && !is_recounted {
                    self.done(format!("{name}: its entry corrected"));
                }
                mended.archives.push((archive.clone(), new));
            }
        }
        for (tag, list) in self.lists_of_ids(known, &missing_ids).await? {
            let content = missing_ids[&tag].archive.content();
            let ids = list.iter().map(AsRef::as_ref);
            let bytes = encode_ids(ids);
            let range = list.first().zip(list.last()).map(|(first, last)| {
                let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
                (text(first), text(last))
            });
            let mut archives = mended.archives.iter_mut();
            if let Some((_, new)) = archives.find(|(_, new)| new.content() == content) {
                new.ids = range;
            }
            mended.ids.insert(content, bytes);
        }
        let ledger = &self.shared().ledger;
        let totals = ledger.totals(SectionOwner::Store, state.totals).await;
        mended.is_all_new = if_readable(totals)?.as_ref() != Some(&mended.all);
        if mended.is_all_new {
            self.done("the totals over all archives added up again".into());
        }
        Ok(mended)
    }

    /// Makes sorted lists of ids of some archives, by archive tag, from their trips in the table and
    /// their duplicates. The lists are in memory: few are ever damaged.
    async fn lists_of_ids(
        &self,
        known: &KnownItems,
        missing: &BTreeMap<String, MissingIds>,
    ) -> Result<BTreeMap<String, Vec<Box<[u8]>>>, StoreError> {
        let shared = self.shared();
        let mut lists: BTreeMap<String, Vec<Box<[u8]>>> = BTreeMap::new();
        if missing.is_empty() {
            return Ok(lists);
        }
        let layout = shared.tables.trip_data.layout;
        for (tag, missing) in missing {
            let list = lists.entry(tag.clone()).or_default();
            if missing.has_duplicates {
                let content = missing.archive.content();
                let section = missing.archive.sections.duplicates;
                duplicates::visit_duplicates(shared, &content, section, &mut |rows| {
                    list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    Ok(())
                })
                .await?;
            }
        }
        let mut scan = shared.trips.scan();
        while let Some(mut items) = scan.next().await? {
            items.retain(|item| {
                let tag = layout::tag_of_item(layout, item);
                missing.contains_key(tag)
                    && known.status(layout, tag, item) == ItemStatus::Committed
            });
            for item in &items {
                let Ok(rows) = layout::rows_of_items(layout, std::slice::from_ref(item)) else {
                    continue; // its archive has to be loaded again
                };
                for (tag, rows) in rows {
                    if let Some(list) = lists.get_mut(&tag) {
                        list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    }
                }
            }
        }
        lists.values_mut().for_each(|list| list.sort());
        Ok(lists)
    }

    /// Computes the counts that are wrong or missing, without those that wait for the stream.
    async fn counts(
        &mut self,
        system: &SystemId,
        all: &Totals,
    ) -> Result<Vec<FromStationCount>, StoreError> {
        let kept = self.store.counts(system).await?;
        let versions = self.shared().station_versions().await?;
        let mut missing: BTreeSet<StationId> = all.stations.origins().collect();
        let mut counts = Vec::new();
        let mut wrong = 0;
        let stored = |origin: &StationId| all.stations.departures(origin).max(0) as u64;
        for count in kept {
            missing.remove(&count.from_station_id);
            let version = versions.get(&count.from_station_id).copied().flatten();
            let right = stored(&count.from_station_id);
            if count.from_count != right && count.trips_version >= version {
                wrong += 1;
                counts.push(FromStationCount {
                    from_count: right,
                    refreshed_at: self.now,
                    ..count
                });
            }
        }
        let n = missing.len();
        counts.extend(missing.into_iter().map(|origin| FromStationCount {
            from_count: stored(&origin),
            trips_version: versions.get(&origin).copied().flatten(),
            refreshed_at: self.now,
            from_station_id: origin,
        }));
        if wrong > 0 {
            self.done(format!("{wrong} counts of stations corrected"));
        }
        if n > 0 {
            self.done(format!("{n} missing counts of stations made"));
        }
        Ok(counts)
    }

    /// Writes counts, and stations that are missing for them.
    async fn put_counts(
        &self,
        system: &SystemId,
        mut counts: Vec<FromStationCount>,
        all: &Totals,
    ) -> Result<(), StoreError> {
        if counts.is_empty() {
            return Ok(());
        }
        let used = |count: &&FromStationCount| count.from_count > 0;
        let origins = counts.iter().filter(used);
        let origins: BTreeSet<StationId> =
            origins.map(|count| count.from_station_id.clone()).collect();
        self.shared().trips_changed(&origins, all).await?;
        let versions = self.shared().station_versions().await?;
        for count in &mut counts {
            let version = versions.get(&count.from_station_id).copied().flatten();
            count.trips_version = count.trips_version.max(version);
        }
        self.store.put_counts(system, &counts).await
    }

    /// Writes what was repaired and commits it.
    async fn commit(
        &self,
        lease: &Lease<'_>,
        mut state: State,
        mended: Mended,
        counts: Vec<FromStationCount>,
    ) -> Result<(), StoreError> {
        let shared = lease.shared;
        let ledger = &shared.ledger;
        LedgerTable::refuse_too_many(mended.archives.len())?;
        let generation = state.newest_generation() + 1;
        lease
            .update(|load| {
                load.revision = state.revision;
                load.generation = generation;
            })
            .await?;
        let mut obsolete = Obsolete::default();
        let mut put = Vec::new();
        for (before, mut now) in mended.archives {
            let content = now.content();
            let owner = SectionOwner::Archive(&content);
            if let Some(totals) = mended.totals.get(&content) {
                now.sections.totals = ledger.put_totals(owner, generation, totals).await?;
            }
            if let Some(ids) = mended.ids.get(&content) {
                now.sections.ids = if ids.is_empty() {
                    SectionRef::default()
                } else {
                    let put = ledger.put_section(owner, SectionKind::Ids, generation, ids);
                    put.await?
                };
            }
            if before.sections != now.sections {
                obsolete.archives.push(ObsoleteSections {
                    content: content.clone(),
                    before: ArchiveSections {
                        keys: now.sections.keys,
                        ..before.sections
                    },
                    now: now.sections,
                });
            }
            put.push(now);
        }
        let before = state.totals;
        if mended.is_all_new {
            let put_totals = ledger.put_totals(SectionOwner::Store, generation, &mended.all);
            state.totals = Some(put_totals.await?);
            obsolete.totals = before;
        }
        let owner = lease.record().await.owner;
        // From here on counts are compared with the new totals, as at the end of a load.
        lease.update(|load| load.is_ending = true).await?;
        let pending = State {
            totals: before,
            pending_totals: state.totals,
            ..state.clone()
        };
        let changed = || changed_meanwhile("divvy check --repair");
        if !ledger.put_state(&pending, &owner).await? {
            return Err(changed());
        }
        self.put_counts(&state.system.id, counts, &mended.all)
            .await?;
        state.last_generation = generation;
        let commit = Commit {
            state: &state,
            put: put.iter().collect(),
            delete: Vec::new(),
            obsolete: &obsolete,
        };
        lease.close().await;
        if !ledger.commit(&owner, &commit).await? {
            // A commit that is repeated because its answer was lost fails on its own state.
            let now = self.state().await?;
            if now.last_generation != generation || now.pending_totals.is_some() {
                return Err(changed());
            }
        }
        obsolete::delete(shared, &obsolete).await
    }
}
