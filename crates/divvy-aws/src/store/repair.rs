//! Rebuilds what can be rebuilt from the trips in the tables, and lists what has to be loaded
//! again.
//!
//! ```text
//!  the right to load ─► what a killed load left is undone ─► all trips read ─► strays deleted
//!  ─► totals, ids and entries written under a new generation ─► counts ─► one transaction
//! ```
//!
//! What is deleted is in force nowhere, and what is written comes into force with the transaction.
//! A repair that is killed leaves a record as a load does, and the next command undoes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use divvy::model::{StationId, SystemId};
use divvy::store::{
    CountsTable, DamagedArchive, FromStationCount, Repaired, StoreError, StoreErrorKind,
};
use divvy::tally::{Tally, Totals};
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::incoming::{self, changed_meanwhile, delete_gone, set_counts};
use super::lease::{Lease, Wanted};
use super::{DynamoStore, Shared, boost, layout, plan};
use crate::item::{self, Item};
use crate::ledger::{Archive, Gone, GoneOf, LedgerTable, Part, PartsOf, State, Stored, encode_ids};
use crate::tables::Layout;

/// The way of a load that is none.
pub(super) const WAY: &str = "repair";

impl DynamoStore {
    /// Mends what [`check`](Self::check) finds, as far as the trips allow it: deletes trips and
    /// parts that the ledger does not name, writes totals and lists of ids anew, and corrects the
    /// counts. Reads all tables, at the pace of their capacity. With `dry_run` nothing is changed.
    ///
    /// Trips that were imported from S3 and are not loaded yet are in no ledger either: they are
    /// deleted.
    ///
    /// # Errors
    ///
    /// Those of the service; the state or an entry of the ledger cannot be read; a load that
    /// supersedes archives was interrupted, and has to be given again first.
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
            repair.look_at_load().await?;
            repair.run(None, state).await?;
            return Ok(repair.repaired);
        }
        let wanted = Wanted {
            content: WAY.into(),
            archive: "divvy check --repair".into(),
            way: WAY.into(),
            replace: false,
            unloads: None,
        };
        let lease = Lease::take(shared, &wanted).await?;
        let done = tokio::select! {
            biased;
            done = repair.begin(&lease, &wanted) => done,
            lost = lease.keep() => Err(lost),
        };
        match done {
            // The transaction has given the right back.
            Ok(true) => Ok(repair.repaired),
            Ok(false) => {
                lease.end().await?;
                Ok(repair.repaired)
            }
            Err(error) => {
                lease.leave().await;
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

/// What lies in TripData.
#[derive(Default)]
struct Found {
    /// The trips in force, by the mark of their archive.
    counted: HashMap<String, Totals>,
    /// Items in force, by mark.
    items: HashMap<String, u64>,
    /// Items that cannot be read, by mark.
    damaged: BTreeMap<String, u64>,
    /// Trips or blocks that the ledger does not name, by mark.
    strays: BTreeMap<String, u64>,
}

/// The items of TripData that are in force, as far as the ledger can be read.
#[derive(Default)]
struct Named {
    /// The marks of the archives.
    marks: HashSet<String>,
    /// In the packed layout: the hashes of the keys of their blocks.
    keys: HashSet<u128>,
    /// How many keys, by mark.
    blocks: HashMap<String, u64>,
    /// Marks of archives whose list of keys cannot be read: their blocks are left alone.
    unlisted: HashSet<String>,
}

/// What is known of an item.
enum Standing {
    InForce,
    Unknown,
    Stray,
}

/// Archives and totals that come into force.
#[derive(Default)]
struct Mended {
    /// Each archive that changes, as it was and as it is to be.
    archives: Vec<(Archive, Archive)>,
    /// New totals of archives that change, by content.
    totals: BTreeMap<String, Totals>,
    /// New lists of ids, by content.
    ids: BTreeMap<String, Vec<u8>>,
    /// The totals over all archives.
    all: Totals,
    /// They are not those in the ledger.
    is_all_new: bool,
}

/// Takes what can be read. `None` where it is damaged.
fn if_whole<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
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

    /// Says what a killed load has left, where nothing is changed.
    async fn look_at_load(&mut self) -> Result<(), StoreError> {
        let load = self.shared().ledger.load().await?;
        if let Some(load) = load.filter(|load| load.generation > 0) {
            self.done(format!(
                "{}: its load undone, unless it goes on at this moment",
                load.archive
            ));
        }
        Ok(())
    }

    /// Undoes what a killed load has left, then repairs. Returns whether a transaction has ended
    /// the right to load.
    async fn begin(&mut self, lease: &Lease<'_>, wanted: &Wanted) -> Result<bool, StoreError> {
        let shared = lease.shared;
        boost::restore_left_behind(shared).await?;
        if let Some(gone) = shared.ledger.gone().await? {
            delete_gone(shared, &gone).await?;
        }
        let state = self.state().await?;
        let found = lease.load().await;
        if found.generation > 0 {
            incoming::undo(lease, wanted, state).await?;
            if found.way != WAY {
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
        let named = self.named(&archives).await?;
        let found = self.read_trips(&named).await?;
        for (mark, n) in &found.strays {
            let what = match self.shared().tables.trip_data.layout {
                Layout::Rows => "trips",
                Layout::Packed => "blocks of trips",
            };
            self.done(format!(
                "{n} {what} of no archive in the ledger deleted (archive {mark})"
            ));
        }
        self.delete_parts(&state, &archives).await?;
        let mended = self.mend(&state, &archives, &named, found).await?;
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

    async fn named(&self, archives: &[Archive]) -> Result<Named, StoreError> {
        let mut named = Named::default();
        for archive in archives {
            let mark = archive.mark();
            if self.shared().tables.trip_data.layout == Layout::Packed {
                match if_whole(layout::keys_of(self.shared(), archive).await)? {
                    Some(keys) => {
                        named.blocks.insert(mark.clone(), keys.len() as u64);
                        named
                            .keys
                            .extend(keys.iter().map(|key| xxh3_128(key.as_bytes())));
                    }
                    None => {
                        named.unlisted.insert(mark.clone());
                    }
                }
            }
            named.marks.insert(mark);
        }
        Ok(named)
    }

    /// Reads all of TripData; deletes what the ledger does not name.
    async fn read_trips(&self, named: &Named) -> Result<Found, StoreError> {
        let shared = self.shared();
        let layout = shared.tables.trip_data.layout;
        let mut found = Found::default();
        let mut from = None;
        loop {
            let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
            let mut in_force: Vec<Item> = Vec::new();
            let mut deletes = Vec::new();
            for item in items {
                let mark = layout::mark_of_item(layout, &item).to_owned();
                match named.standing(layout, &mark, &item) {
                    Standing::InForce => {
                        *found.items.entry(mark).or_default() += 1;
                        in_force.push(item);
                    }
                    Standing::Unknown => {}
                    Standing::Stray => {
                        *found.strays.entry(mark).or_default() += 1;
                        let key = item.get(item::trip::KEY).and_then(|key| key.as_s().ok());
                        deletes.extend(key.map(|key| layout::delete(key)));
                    }
                }
            }
            found.count(layout, &in_force);
            if !self.dry_run {
                shared.trips.write_all(deletes).await?;
            }
            from = next;
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes parts that nothing names.
    async fn delete_parts(
        &mut self,
        state: &State,
        archives: &[Archive],
    ) -> Result<(), StoreError> {
        let ledger = &self.shared().ledger;
        let strays = ledger.stray_parts(state, archives).await?;
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

    /// Works out what is to come into force.
    async fn mend(
        &mut self,
        state: &State,
        archives: &[Archive],
        named: &Named,
        mut found: Found,
    ) -> Result<Mended, StoreError> {
        let mut mended = Mended::default();
        // Lists of ids to be made anew: of the stored trips, and of the copies that lost.
        let mut lists: BTreeMap<String, (Archive, bool)> = BTreeMap::new();
        for archive in archives {
            let shared = self.shared();
            let (mark, content) = (archive.mark(), archive.content());
            let name = archive.entry.id.name.clone();
            let told = shared
                .ledger
                .totals(Some(&content), Some(archive.parts.totals));
            let told = if_whole(told.await)?;
            let lost = if_whole(plan::count_lost(shared, archive).await)?;
            let mut ids = 0_u64;
            let read = plan::visit_ids(shared, archive, &mut |_| {
                ids += 1;
                Ok(())
            })
            .await;
            let ids = if_whole(read)?.map(|()| ids);

            let mut recount = found.counted.remove(&mark).unwrap_or_default();
            recount.names = told
                .as_ref()
                .map(|told| told.names.clone())
                .unwrap_or_default();
            let stored = recount.trips.max(0) as u64;
            let of_ids = ids.zip(lost).and_then(|(ids, lost)| ids.checked_sub(lost));
            let of_totals = told.as_ref().map(|told| told.trips.max(0) as u64);
            let is_of_its_size = archive.entry.stored == stored
                || of_totals == Some(stored)
                || of_ids == Some(stored);
            let blocks = found.items.get(&mark).copied().unwrap_or(0);
            let has_blocks = named.blocks.get(&mark).is_none_or(|named| *named == blocks);
            let is_whole = is_of_its_size
                && has_blocks
                && !named.unlisted.contains(&mark)
                && !found.damaged.contains_key(&mark);
            if !is_whole || lost.is_none() {
                self.repaired.to_load_again.push(DamagedArchive {
                    system: state.system.id.clone(),
                    name: name.clone(),
                    unload_first: true,
                });
            }

            let mut new = archive.clone();
            new.lost = lost.unwrap_or(0);
            if lost.is_none() {
                new.parts.lost = Stored::default();
                self.done(format!(
                    "{name}: its copies that lost cannot be read, and are dropped"
                ));
            }
            let is_told = told.as_ref() == Some(&recount);
            let is_recounted = !is_told && (is_whole || told.is_none());
            let totals = match (is_recounted, told) {
                (false, Some(told)) => told,
                _ => recount,
            };
            if is_recounted {
                self.done(format!("{name}: its tallies counted again from its trips"));
                mended.totals.insert(content.clone(), totals.clone());
            }
            if is_recounted || is_whole {
                set_counts(&mut new, &totals);
            }
            let expected = new.entry.stored + new.lost;
            let are_ids_right = match lost {
                Some(_) => ids.is_some_and(|ids| ids == expected || !is_whole),
                // The list has to be without those that nothing is known of any more.
                None => false,
            };
            if !are_ids_right {
                self.done(format!("{name}: its list of ids made again from its trips"));
                lists.insert(mark, (new.clone(), lost.is_some()));
            }
            mended.all.merge(&totals);
            if new != *archive || is_recounted || !are_ids_right {
                if new.entry != archive.entry && !is_recounted {
                    self.done(format!("{name}: its entry corrected"));
                }
                mended.archives.push((archive.clone(), new));
            }
        }
        for (mark, list) in self.lists(named, &lists).await? {
            let content = lists[&mark].0.content();
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
        let told = self.shared().ledger.totals(None, state.totals);
        mended.is_all_new = if_whole(told.await)?.as_ref() != Some(&mended.all);
        if mended.is_all_new {
            self.done("the totals over all archives added up again".into());
        }
        Ok(mended)
    }

    /// Makes sorted lists of ids of some archives, by their marks: of their trips in the table, and
    /// of their copies that lost where these can be read. They are in memory: few lists are ever
    /// damaged.
    async fn lists(
        &self,
        named: &Named,
        wanted: &BTreeMap<String, (Archive, bool)>,
    ) -> Result<BTreeMap<String, Vec<Box<[u8]>>>, StoreError> {
        let shared = self.shared();
        let mut lists: BTreeMap<String, Vec<Box<[u8]>>> = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(lists);
        }
        let layout = shared.tables.trip_data.layout;
        for (mark, (archive, has_lost)) in wanted {
            let list = lists.entry(mark.clone()).or_default();
            if *has_lost {
                let content = archive.content();
                plan::visit_lost(shared, &content, archive.parts.lost, &mut |rows| {
                    list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    Ok(())
                })
                .await?;
            }
        }
        let mut from = None;
        loop {
            let (mut items, next) = shared.trips.scan_page((0, 1), from, true).await?;
            items.retain(|item| {
                let mark = layout::mark_of_item(layout, item);
                wanted.contains_key(mark)
                    && matches!(named.standing(layout, mark, item), Standing::InForce)
            });
            for item in &items {
                let Ok(rows) = layout::rows_of_items(layout, std::slice::from_ref(item)) else {
                    continue; // its archive has to be loaded again
                };
                for (mark, rows) in rows {
                    if let Some(list) = lists.get_mut(&mark) {
                        list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    }
                }
            }
            from = next;
            if from.is_none() {
                break;
            }
        }
        lists.values_mut().for_each(|list| list.sort());
        Ok(lists)
    }

    /// Finds the counts that are wrong or missing, as they have to be. Those that wait for the
    /// stream are left to it.
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

    /// Writes counts, and the stations that are missing beside them.
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

    /// Brings what was mended into force.
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
            .put(|load| {
                load.revision = state.revision;
                load.generation = generation;
            })
            .await?;
        let mut gone = Gone::default();
        let mut put = Vec::new();
        for (before, mut now) in mended.archives {
            let content = now.content();
            if let Some(totals) = mended.totals.get(&content) {
                now.parts.totals = ledger
                    .put_totals(Some(&content), generation, totals)
                    .await?;
            }
            if let Some(ids) = mended.ids.get(&content) {
                now.parts.ids = match ids.is_empty() {
                    true => Stored::default(),
                    false => {
                        let put = ledger.put_parts(Some(&content), generation, Part::Ids, ids);
                        put.await?
                    }
                };
            }
            if before.parts != now.parts {
                gone.archives.push(GoneOf {
                    content,
                    before: PartsOf {
                        keys: now.parts.keys,
                        ..before.parts
                    },
                    now: now.parts,
                });
            }
            put.push(now);
        }
        let before = state.totals;
        if mended.is_all_new {
            state.totals = Some(ledger.put_totals(None, generation, &mended.all).await?);
            gone.totals = before;
        }
        let owner = lease.load().await.owner;
        // Counts that are made from here on go by the new totals, as with a load that ends.
        lease.put(|load| load.is_ending = true).await?;
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
        let put: Vec<&Archive> = put.iter().collect();
        lease.close().await;
        if !ledger.commit(&state, &owner, &put, &[], &gone).await? {
            // The answer to a commit may have been lost, and it is asked for again.
            let now = self.state().await?;
            if now.last_generation != generation || now.pending_totals.is_some() {
                return Err(changed());
            }
        }
        delete_gone(shared, &gone).await
    }
}

impl Named {
    fn standing(&self, layout: Layout, mark: &str, item: &Item) -> Standing {
        if self.unlisted.contains(mark) {
            return Standing::Unknown;
        }
        let is_named = match layout {
            Layout::Rows => self.marks.contains(mark),
            Layout::Packed => {
                let key = item.get(item::trip::KEY).and_then(|key| key.as_s().ok());
                key.is_some_and(|key| self.keys.contains(&xxh3_128(key.as_bytes())))
            }
        };
        match is_named {
            true => Standing::InForce,
            false => Standing::Stray,
        }
    }
}

impl Found {
    fn count(&mut self, layout: Layout, items: &[Item]) {
        let rows = match layout::rows_of_items(layout, items) {
            Ok(rows) => rows,
            // One of them: each is looked at alone.
            Err(_) if items.len() > 1 => {
                return items.chunks(1).for_each(|item| self.count(layout, item));
            }
            Err(_) => {
                let mark = layout::mark_of_item(layout, &items[0]).to_owned();
                *self.damaged.entry(mark).or_default() += 1;
                return;
            }
        };
        for (mark, rows) in rows {
            self.counted.entry(mark).or_default().count(&rows.batch, 1);
        }
    }
}
