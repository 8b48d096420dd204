//! A store in memory: the simplest implementation, against which the others are tested.
//!
//! It keeps every copy of every trip, the stored one first, and calculates everything else from them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;

use divvy::history::{AsOf, SnapshotEntry, StateChange};
use divvy::issue::{Reason, RejectSink, Rejected};
use divvy::model::{
    Snapshot, Station, StationAlias, StationId, System, SystemId, Trip, TripBatch, TripId,
};
use divvy::stations::data::{StationData, Write};
use divvy::store::{
    Applied, ArchiveId, ArchiveRead, Change, ChangeStream, ContentHash, Corrections,
    CorrectionsChange, CountsTable, Departures, FeedState, ForecastPart, Forecasts,
    FromStationCount, Incoming, Ledger, LedgerEntry, PlaceCorrections, Republish, StationTable,
    StatusHistory, StoreError, TotalsReader, Trips, Unload, Unloaded,
};
use divvy::tally::{FlagCounts, Tally, Totals};

use crate::memory_history::MemoryHistory;

/// Trips in a batch of a scan.
const BATCH: usize = 4096;

/// A store in memory. Clones share their contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    systems: BTreeMap<SystemId, SystemHeld>,
    /// The change stream: sequence `n` is at index `n - 1`.
    changes: Vec<Change>,
    checkpoints: BTreeMap<String, u64>,
    /// What [`SystemHeld::forgotten`] was of systems that were unloaded as a whole: the stream may
    /// still hold changes of them.
    forgotten: BTreeMap<SystemId, BTreeMap<StationId, u64>>,
}

/// All of one system.
#[derive(Debug)]
struct SystemHeld {
    system: System,
    /// The archives by their sequence.
    archives: BTreeMap<u64, ArchiveRead>,
    last_sequence: u64,
    /// Every copy of every trip. The first is the one stored; no list is empty.
    trips: BTreeMap<TripId, Vec<TripCopy>>,
    stations: StationData,
    history: MemoryHistory,
    forecasts: BTreeMap<ForecastPart, Vec<u8>>,
    corrections: Corrections,
    counts: BTreeMap<StationId, FromStationCount>,
    /// Ids that no trip uses any more: counts of them before this version, but 0, are of trips
    /// that are gone.
    forgotten: BTreeMap<StationId, u64>,
}

/// One row of an archive.
#[derive(Clone, Debug)]
struct TripCopy {
    trip: Trip,
    place: Place,
    /// The line of the member on which it begins.
    line: u64,
}

/// Where a copy comes from. Of equal copies the first is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    archive: u64,
    member: usize,
    row: u64,
}

impl TripCopy {
    fn cmp_copies(&self, other: &Self) -> Ordering {
        self.trip
            .cmp_copies(&other.trip)
            .then(self.place.cmp(&other.place))
    }
}

impl SystemHeld {
    fn new(system: System) -> Self {
        Self {
            system,
            archives: BTreeMap::new(),
            last_sequence: 0,
            trips: BTreeMap::new(),
            stations: StationData::default(),
            history: MemoryHistory::default(),
            forecasts: BTreeMap::new(),
            corrections: Corrections::default(),
            counts: BTreeMap::new(),
            forgotten: BTreeMap::new(),
        }
    }

    fn stored(&self) -> impl Iterator<Item = &TripCopy> {
        self.trips.values().map(|copies| &copies[0])
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let trips: TripBatch = self.stored().map(|copy| copy.trip.clone()).collect();
        totals.count(&trips, 1);
        for archive in self.archives.values() {
            totals.names.merge(&archive.totals.names);
        }
        totals
    }

    fn entry(&self, sequence: u64) -> LedgerEntry {
        let archive = &self.archives[&sequence];
        let is_ours = |copy: &&TripCopy| copy.place.archive == sequence;
        let stored: TripBatch = self
            .stored()
            .filter(is_ours)
            .map(|copy| copy.trip.clone())
            .collect();
        let losers = self.trips.values().flat_map(|copies| &copies[1..]);
        let duplicates = losers.filter(is_ours).count() as u64;
        let mut rejected = archive.rejected.clone();
        if duplicates > 0 {
            rejected.insert(Reason::Duplicate, duplicates);
        }
        let mut flagged = FlagCounts::default();
        flagged.count(&stored, 1);
        LedgerEntry {
            id: archive.id.clone(),
            sequence,
            loaded_at: archive.loaded_at,
            rows_read: archive.rows_read,
            stored: stored.len() as u64,
            rejected,
            flagged,
            skipped: archive.skipped.clone(),
            forced_from: archive.forced_from.clone(),
        }
    }

    fn holding(&self, content: ContentHash) -> Option<LedgerEntry> {
        let held = self
            .archives
            .iter()
            .find(|(_, archive)| archive.id.content == content);
        held.map(|(sequence, _)| self.entry(*sequence))
    }

    /// Takes an archive in. Returns its sequence and what became of the stations.
    fn load(&mut self, archive: ArchiveRead, batches: &[(usize, TripBatch)]) -> (u64, Vec<Write>) {
        let before: Vec<TripCopy> = self.stored().cloned().collect();
        if archive.replace {
            self.supersede(&archive.id.name);
        }
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        self.archives.insert(sequence, archive);
        self.put(sequence, batches);

        let changed = origins_changed(&before, self);
        let version = self.next_version();
        let totals = self.totals();
        let writes = self.stations.trips_changed(&changed, version, &totals);
        (sequence, writes)
    }

    /// Returns a version newer than any of its stations, those forgotten included.
    fn next_version(&self) -> u64 {
        let forgotten = self
            .forgotten
            .values()
            .max()
            .map_or(0, |version| version + 1);
        self.stations.next_version().max(forgotten)
    }

    /// Takes archives out. Returns what became of the stations.
    fn unload(&mut self, sequences: &BTreeSet<u64>) -> Vec<Write> {
        let before: Vec<TripCopy> = self.stored().cloned().collect();
        self.take_away(|sequence, _| sequences.contains(&sequence));
        let changed = origins_changed(&before, self);
        let totals = self.totals();
        let version = self.next_version();
        for id in self.stations.forget_unused(&totals, version) {
            self.counts.remove(&id);
            self.forgotten.insert(id, version);
        }
        self.stations.trips_changed(&changed, version, &totals)
    }

    /// Takes away every archive of that name; copies that lost against theirs move up.
    fn supersede(&mut self, name: &str) {
        self.take_away(|_, archive| archive.id.name == name);
    }

    fn take_away(&mut self, goes: impl Fn(u64, &ArchiveRead) -> bool) {
        self.archives
            .retain(|sequence, archive| !goes(*sequence, archive));
        let archives = &self.archives;
        self.trips.retain(|_, copies| {
            copies.retain(|copy| archives.contains_key(&copy.place.archive));
            !copies.is_empty()
        });
    }

    fn put(&mut self, archive: u64, batches: &[(usize, TripBatch)]) {
        let mut rows: BTreeMap<usize, u64> = BTreeMap::new();
        for (member, batch) in batches {
            let next_row = rows.entry(*member).or_default();
            for (trip, line) in batch.trips().zip(&batch.line) {
                let place = Place {
                    archive,
                    member: *member,
                    row: *next_row,
                };
                *next_row += 1;
                let copies = self.trips.entry(trip.id.clone()).or_default();
                copies.push(TripCopy {
                    trip,
                    place,
                    line: *line,
                });
                copies.sort_by(TripCopy::cmp_copies);
            }
        }
    }

    /// Lists the copies that were stored before or are new, and are not stored now.
    fn new_losers(&self, before: &BTreeSet<Place>, sequence: u64) -> Vec<Rejected> {
        let losers = self.trips.values().flat_map(|copies| &copies[1..]);
        losers
            .filter(|copy| copy.place.archive == sequence || before.contains(&copy.place))
            .map(|copy| {
                let archive = &self.archives[&copy.place.archive];
                let member = archive.members.get(copy.place.member);
                Rejected {
                    file: member.unwrap_or(&archive.id.name).clone(),
                    line: copy.line,
                    column: String::new(),
                    reason: Reason::Duplicate,
                    expected: "one copy of each trip".into(),
                    found: copy.trip.id.to_string(),
                }
            })
            .collect()
    }
}

/// Lists the origins of all trips that are stored now and were not, or the other way round.
fn origins_changed(before: &[TripCopy], now: &SystemHeld) -> BTreeSet<StationId> {
    let was: BTreeMap<&TripId, &Trip> = before.iter().map(|c| (&c.trip.id, &c.trip)).collect();
    let is: BTreeMap<&TripId, &Trip> = now.stored().map(|c| (&c.trip.id, &c.trip)).collect();
    let gone = was.iter().filter(|(id, trip)| is.get(*id) != Some(trip));
    let come = is.iter().filter(|(id, trip)| was.get(*id) != Some(trip));
    gone.chain(come)
        .filter_map(|(_, trip)| trip.origin.as_ref())
        .map(StationAlias::id)
        .collect()
}

impl Held {
    fn system(&mut self, system: &System) -> &mut SystemHeld {
        let Self {
            systems, forgotten, ..
        } = self;
        systems.entry(system.id.clone()).or_insert_with(|| {
            let mut held = SystemHeld::new(system.clone());
            held.forgotten = forgotten.remove(&system.id).unwrap_or_default();
            held
        })
    }

    /// Appends what was written to the change stream. Returns how many entries that makes.
    fn record(&mut self, system: &SystemId, writes: Vec<Write>) -> u64 {
        let before = self.changes.len();
        for write in writes {
            let Some(row) = write.row() else { continue };
            self.changes.push(Change {
                sequence: self.changes.len() as u64 + 1,
                system: system.clone(),
                station: row.station.clone(),
                report_time_only: matches!(write, Write::Report(_)),
            });
        }
        (self.changes.len() - before) as u64
    }
}

impl MemoryStore {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }

    /// Reads something of a system; the default value for an unknown system.
    fn ask<T: Default>(&self, system: &SystemId, question: impl FnOnce(&SystemHeld) -> T) -> T {
        self.held()
            .systems
            .get(system)
            .map(question)
            .unwrap_or_default()
    }
}

#[async_trait]
impl Trips for MemoryStore {
    async fn begin(&self, _: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        Ok(Box::new(MemoryIncoming {
            store: self.clone(),
            batches: Mutex::default(),
        }))
    }

    async fn scan_by_archive(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(ContentHash, TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        let by_archive: BTreeMap<ContentHash, Vec<Trip>> = self.ask(system, |held| {
            let mut trips: BTreeMap<ContentHash, Vec<Trip>> = BTreeMap::new();
            for copy in held.stored() {
                let content = held.archives[&copy.place.archive].id.content;
                trips.entry(content).or_default().push(copy.trip.clone());
            }
            trips
        });
        for (content, trips) in by_archive {
            for batch in trips.chunks(BATCH) {
                if !visit(content, batch.iter().cloned().collect()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// An archive that is being stored.
struct MemoryIncoming {
    store: MemoryStore,
    batches: Mutex<Vec<(usize, TripBatch)>>,
}

#[async_trait]
impl Incoming for MemoryIncoming {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self.batches
            .lock()
            .expect("no holder of this lock panics")
            .push((member, batch));
        Ok(())
    }

    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError> {
        let batches = self
            .batches
            .into_inner()
            .expect("no holder of this lock panics");
        let (entry, losers) = {
            let mut held = self.store.held();
            let system = held.system(&archive.id.system);
            if let Some(entry) = system.holding(archive.id.content) {
                return Ok(entry);
            }
            let id = archive.id.system.id.clone();
            let before = system.stored().map(|copy| copy.place).collect();
            let (sequence, writes) = system.load(archive, &batches);
            let losers = system.new_losers(&before, sequence);
            let entry = system.entry(sequence);
            held.record(&id, writes);
            (entry, losers)
        };
        for loser in losers {
            rejects.reject(loser);
        }
        Ok(entry)
    }
}

#[async_trait]
impl StationTable for MemoryStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        Ok(self.ask(system, |held| held.stations.stations().cloned().collect()))
    }

    async fn apply(
        &self,
        snapshot: &Snapshot,
        fetched_at: Timestamp,
    ) -> Result<Applied, StoreError> {
        let mut held = self.held();
        let system = held.system(&snapshot.system);
        // Taken out, because the totals are calculated from the other fields of the system.
        let mut stations = std::mem::take(&mut system.stations);
        let Ok((applied, writes)) =
            stations.apply(snapshot, || Ok::<_, Infallible>(system.totals()));
        if stations.has_taken_states(snapshot, &applied) {
            system.history.push(snapshot, fetched_at);
        }
        system.stations = stations;
        held.record(&snapshot.system.id, writes);
        Ok(applied)
    }

    fn forecasts(&self) -> Option<&dyn Forecasts> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn StatusHistory> {
        Some(self)
    }

    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError> {
        Ok(self.ask(system, |held| held.stations.feed().cloned()))
    }

    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError> {
        let mut held = self.held();
        let known = held.system(system);
        // Taken out, because the totals are calculated from the other fields of the system.
        let mut stations = std::mem::take(&mut known.stations);
        let Ok(writes) = stations.describe(listed, || Ok::<_, Infallible>(known.totals()));
        known.stations = stations;
        Ok(held.record(&system.id, writes))
    }
}

#[async_trait]
impl Forecasts for MemoryStore {
    async fn kept_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.ask(system, |held| held.forecasts.get(&part).cloned()))
    }

    async fn keep_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        if let Some(held) = self.held().systems.get_mut(system) {
            held.forecasts.insert(part, bytes.to_vec());
        }
        Ok(())
    }
}

#[async_trait]
impl StatusHistory for MemoryStore {
    async fn as_of(&self, system: &SystemId, at: Timestamp) -> Result<Option<AsOf>, StoreError> {
        Ok(self.ask(system, |held| held.history.as_of(at)))
    }

    async fn state_changes(
        &self,
        system: &SystemId,
        station: &StationId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StateChange>, StoreError> {
        let mut changes = self.ask(system, |held| held.history.changes(station));
        changes.retain(|change| change.taken_at >= from && change.taken_at < to);
        Ok(changes)
    }

    async fn each_state_change(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
        pass: &mut (dyn for<'c> FnMut(&'c StateChange) + Send),
    ) -> Result<(), StoreError> {
        for station in self.ask(system, |held| held.history.stations()) {
            let changes = self.state_changes(system, &station, from, to).await?;
            changes.iter().for_each(&mut *pass);
        }
        Ok(())
    }

    async fn snapshots(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SnapshotEntry>, StoreError> {
        let mut entries = self.ask(system, |held| held.history.snapshots());
        entries.retain(|entry| entry.taken_at >= from && entry.taken_at < to);
        Ok(entries)
    }

    async fn first_snapshot_from(
        &self,
        system: &SystemId,
        from: Timestamp,
    ) -> Result<Option<SnapshotEntry>, StoreError> {
        Ok(self.ask(system, |held| held.history.first_snapshot_from(from)))
    }

    async fn count_state_changes(&self, system: &SystemId) -> Result<u64, StoreError> {
        Ok(self.ask(system, |held| held.history.count_changes()))
    }
}

#[async_trait]
impl Republish for MemoryStore {
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError> {
        let mut held = self.held();
        let Some(known) = held.systems.get_mut(system) else {
            return Ok(0);
        };
        let version = known.next_version();
        let writes = known.stations.republish_all(version);
        Ok(held.record(system, writes))
    }
}

#[async_trait]
impl ChangeStream for MemoryStore {
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        let held = self.held();
        let checkpoint = held.checkpoints.get(consumer).copied().unwrap_or(0);
        let ahead = held.changes.iter().skip(checkpoint as usize);
        Ok(ahead.take(limit).cloned().collect())
    }

    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError> {
        let mut held = self.held();
        let checkpoint = held.checkpoints.entry(consumer.into()).or_default();
        *checkpoint = sequence.max(*checkpoint);
        Ok(())
    }
}

#[async_trait]
impl PlaceCorrections for MemoryStore {
    async fn corrections(&self, system: &SystemId) -> Result<Corrections, StoreError> {
        Ok(self.ask(system, |held| held.corrections.clone()))
    }

    async fn change_corrections(
        &self,
        system: &SystemId,
        change: &CorrectionsChange<'_>,
    ) -> Result<(), StoreError> {
        if let Some(held) = self.held().systems.get_mut(system) {
            change(&mut held.corrections);
        }
        Ok(())
    }
}

#[async_trait]
impl TotalsReader for MemoryStore {
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError> {
        Ok(self.ask(system, SystemHeld::totals))
    }
}

#[async_trait]
impl Departures for MemoryStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let mut departures: BTreeMap<StationId, u64> = BTreeMap::new();
        self.ask(system, |held| {
            for origin in held.stored().filter_map(|copy| copy.trip.origin.as_ref()) {
                *departures.entry(origin.id()).or_default() += 1;
            }
        });
        let of = |origin| Some(departures.get(origin).copied().unwrap_or(0));
        Ok(origins.iter().map(of).collect())
    }
}

#[async_trait]
impl CountsTable for MemoryStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        Ok(self.ask(system, |held| held.counts.values().cloned().collect()))
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        let held = self.held();
        let counts = held.systems.get(system).map(|system| &system.counts);
        let of = |origin| counts.and_then(|counts| counts.get(origin)).cloned();
        Ok(origins.iter().map(of).collect())
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        let mut held = self.held();
        let Some(system) = held.systems.get_mut(system) else {
            return Ok(());
        };
        for count in counts {
            let kept = system.counts.get(&count.from_station_id);
            let forgotten = system.forgotten.get(&count.from_station_id).copied();
            if count.from_count > 0 && forgotten > Some(count.trips_version.unwrap_or(0)) {
                continue;
            }
            if kept.is_none_or(|kept| kept.trips_version <= count.trips_version) {
                let id = count.from_station_id.clone();
                system.counts.insert(id, count.clone());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Unload for MemoryStore {
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError> {
        let mut held = self.held();
        let Some(known) = held.systems.get_mut(system) else {
            return Ok(Unloaded::default());
        };
        let entries: Vec<LedgerEntry> = archives
            .iter()
            .filter_map(|content| known.holding(*content))
            .collect();
        let goes: BTreeSet<u64> = entries.iter().map(|entry| entry.sequence).collect();
        let promoted = known.trips.values().filter(|copies| {
            let stays = |copy: &&TripCopy| !goes.contains(&copy.place.archive);
            goes.contains(&copies[0].place.archive) && copies.iter().any(|copy| stays(&copy))
        });
        let unloaded = Unloaded {
            promoted: Some(promoted.count() as u64),
            entries,
        };
        if !dry_run && !goes.is_empty() {
            let writes = known.unload(&goes);
            let is_empty = known.archives.is_empty()
                && known.stations.stations().next().is_none()
                && known.stations.feed().is_none();
            held.record(system, writes);
            if is_empty && let Some(gone) = held.systems.remove(system) {
                held.forgotten.insert(system.clone(), gone.forgotten);
            }
        }
        Ok(unloaded)
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn systems(&self) -> Result<Vec<System>, StoreError> {
        let held = self.held();
        Ok(held.systems.values().map(|s| s.system.clone()).collect())
    }

    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError> {
        Ok(self.ask(system, |held| {
            let sequences = held.archives.keys();
            sequences.map(|sequence| held.entry(*sequence)).collect()
        }))
    }

    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        Ok(self.ask(system, |held| held.holding(content)))
    }
}
