//! How an archive becomes part of the store.
//!
//! ```text
//!  the right to load ─► what a killed load set aside is put back ─► plan
//!  ─► copies set aside ─► trips ─► tallies, ids ─► versions ─► one transaction: entries, state
//! ```
//!
//! Killed before the transaction, the ledger is as it was. Trips that are there already are
//! written again, or passed over where the load goes on from where it was; stored copies that were
//! overwritten by better ones have been set aside before, and whoever loads next puts them back.
//! Trips of a load that never ends carry a mark that no entry names: no report counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use divvy::issue::{Reason, RejectSink};
use divvy::model::{StationId, TripBatch};
use divvy::store::{ArchiveRead, Incoming, LedgerEntry, StoreError, StoreErrorKind};
use divvy::tally::{Tally, Totals};
use xxhash_rust::xxh3::xxh3_64;

use super::layout::{self, Trips, Writes};
use super::lease::{self, Lease};
use super::plan::{self, Copy, Plan, batch_of, rows_of};
use super::spool::{Sorted, Spool};
use super::{Shared, Written, boost, string_key};
use crate::blocks::{PACKED_LEVEL, encode};
use crate::item;
use crate::ledger::{Archive, Load, Part, PartsOf, State, Stored, encode_ids, mark_of};
use crate::pace::{Used, Write, Writer};
use crate::tables::Layout;

/// An archive on its way in.
pub(super) struct DynamoIncoming {
    shared: Arc<Shared>,
    spool: Mutex<Spool>,
}

impl DynamoIncoming {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, StoreError> {
        Ok(Self {
            shared,
            spool: Mutex::new(Spool::new()?),
        })
    }
}

#[async_trait]
impl Incoming for DynamoIncoming {
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError> {
        self.spool
            .lock()
            .expect("no holder of this lock panics")
            .push(member, batch)
    }

    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError> {
        let spool = self.spool.into_inner();
        let spool = spool.expect("no holder of this lock panics").sorted();
        let shared = &*self.shared;
        shared.ledger.begin(&archive.id.system).await?;
        let content = archive.id.content.to_string();
        let mut lease = Lease::take(shared, &content, &archive.id.name).await?;
        let done = load(shared, &mut lease, archive, spool, rejects).await;
        match done {
            // The transaction has given the right back together with everything else.
            Ok(Done::Committed(entry)) => Ok(entry),
            Ok(Done::Already(entry)) => {
                lease.end(shared).await?;
                Ok(entry)
            }
            Err(error) => {
                lease.leave(shared).await;
                Err(error)
            }
        }
    }
}

/// Mends what a killed load has left behind, then loads.
async fn load(
    shared: &Shared,
    lease: &mut Lease,
    archive: ArchiveRead,
    spool: Sorted,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    let left = boost::restore_left_behind(shared).await?;
    put_back(shared, lease).await?;
    let is_same =
        lease.load.content == archive.id.content.to_string() && lease.load.way == way_of(&archive);
    if lease.load.generation > 0 && !is_same {
        if lease.load.replaces && !archive.replace {
            return Err(lease::unfinished(&lease.load.archive));
        }
        undo(shared, lease).await?;
    }
    let boosted = boost::raise(shared, left).await?;
    let done = commit(shared, lease, archive, spool, rejects).await;
    if boosted {
        boost::restore_left_behind(shared).await?;
    }
    done
}

/// Tells by what flags change whether a load would write the same: `--replace` and `--day-first`,
/// which is seen by the days.
fn way_of(archive: &ArchiveRead) -> String {
    let days = postcard::to_stdvec(&archive.totals.days).expect("days are a map of numbers");
    format!("{:016x}{}", xxh3_64(&days), u8::from(archive.replace))
}

enum Done {
    Committed(LedgerEntry),
    Already(LedgerEntry),
}

/// Does some work while the right to load is kept. `done` are the writes that are done meanwhile.
async fn holding<T>(
    shared: &Shared,
    lease: &mut Lease,
    done: &AtomicU64,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        worked = work => worked,
        lost = lease.keep(shared, done) => Err(lost),
    }
}

/// Puts back what a killed load has overwritten.
async fn put_back(shared: &Shared, lease: &mut Lease) -> Result<(), StoreError> {
    if lease.load.set_aside.is_empty() {
        return Ok(());
    }
    let (load, done) = (lease.load.clone(), AtomicU64::new(lease.load.done));
    holding(shared, lease, &done, put_copies_back(shared, &load)).await?;
    lease.load.set_aside.clear();
    lease.put(shared).await
}

async fn put_copies_back(shared: &Shared, load: &Load) -> Result<(), StoreError> {
    let archives = shared.ledger.archives().await?;
    let set_aside = |archive: &&Archive| load.set_aside.contains(&archive.content());
    for archive in archives.iter().filter(set_aside) {
        // Parts of its generation say how many they are in no entry, so they are looked for.
        let found = shared
            .ledger
            .find_parts(&archive.content(), Part::Lost, load.generation)
            .await?;
        let pending = PartsOf {
            lost: found,
            ..PartsOf::default()
        };
        let lost = plan::lost_of(shared, archive, 0).await?;
        let mut copies = plan::lost_at(shared, &archive.content(), &pending, 0).await?;
        copies.retain(|copy| !lost.contains(copy));
        match shared.tables.trip_data.layout {
            Layout::Rows => {
                let puts = layout::put_copies(&copies, &archive.mark());
                shared.trips.write_all(puts).await?;
            }
            Layout::Packed => {
                layout::repack(shared, archive, &[], &copies).await?;
            }
        }
    }
    Ok(())
}

/// Undoes what else a load of another archive has left behind, that was killed and is given up.
async fn undo(shared: &Shared, lease: &mut Lease) -> Result<(), StoreError> {
    if lease.load.is_ending {
        lease.load.is_ending = false;
        lease.put(shared).await?;
    }
    let (load, done) = (lease.load.clone(), AtomicU64::new(lease.load.done));
    holding(shared, lease, &done, take_back(shared, &load)).await
}

async fn take_back(shared: &Shared, load: &Load) -> Result<(), StoreError> {
    if shared.tables.trip_data.layout == Layout::Packed {
        // Loaded some day after all, it may have other blocks, and these would be among them. A
        // row is no trouble: either it is written anew, or a better copy has taken its place.
        let mark = mark_of(&load.content);
        let left = layout::keys_marked(shared, &mark).await?;
        let left = left.iter().map(|key| string_key(item::trip::KEY, key));
        shared
            .trips
            .write_all(left.map(Write::Delete).collect())
            .await?;
    }
    let Some(mut state) = shared.ledger.state().await? else {
        return Ok(());
    };
    if state.pending_totals.is_none() {
        return Ok(());
    }
    // Counts may have been made by totals that never came into force.
    let now = shared.totals(state.totals).await?;
    let never = shared.totals(state.pending_totals).await?;
    let origins = now.stations.origins().chain(never.stations.origins());
    let differ = origins
        .filter(|id| now.stations.departures(id) != never.stations.departures(id))
        .collect();
    shared.trips_changed(&differ, &never).await?;
    state.pending_totals = None;
    shared.ledger.put_state(&state).await?;
    Ok(())
}

/// What a load brings into force.
struct Outcome {
    /// The archives that change, the new one last.
    archives: Vec<Archive>,
    /// As they were, for what they leave behind.
    before: Vec<Archive>,
    superseded: Vec<Archive>,
    /// Where trips of those began.
    left: BTreeSet<StationId>,
    /// The totals of each of `archives`.
    own: Vec<Totals>,
    /// The totals over all archives.
    totals: Totals,
}

async fn commit(
    shared: &Shared,
    lease: &mut Lease,
    archive: ArchiveRead,
    mut spool: Sorted,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    let state = shared.ledger.begin(&archive.id.system).await?;
    let archives = shared.ledger.archives().await?;
    let content = archive.id.content;
    if let Some(held) = archives
        .iter()
        .find(|held| held.entry.id.content == content)
    {
        return Ok(Done::Already(held.entry.clone()));
    }
    let is_superseded = |old: &Archive| archive.replace && old.entry.id.name == archive.id.name;
    let (superseded, kept): (Vec<Archive>, Vec<Archive>) =
        archives.into_iter().partition(is_superseded);
    let done = AtomicU64::new(lease.load.done);
    let planned = Plan::make(shared, &mut spool, &archive.members, &kept, &superseded);
    let plan = holding(shared, lease, &done, planned).await?;

    let way = way_of(&archive);
    let goes_on = lease.load.content == content.to_string()
        && lease.load.way == way
        && lease.load.revision == state.revision
        && lease.load.generation > 0;
    // Never one that another load has used: whoever has read its parts may have kept them.
    let generation = match goes_on {
        true => lease.load.generation,
        false => state.newest_generation().max(lease.load.generation) + 1,
    };
    lease.load.content = content.to_string();
    lease.load.way = way;
    lease.load.archive.clone_from(&archive.id.name);
    lease.load.revision = state.revision;
    lease.load.generation = generation;
    if !goes_on {
        lease.load.done = 0;
        lease.load.is_ending = false;
    }
    lease.load.replaces = !superseded.is_empty();
    let mut outcome = outcome(
        shared, &plan, &archive, &state, &kept, superseded, generation,
    )
    .await?;
    // From here on stored copies may be overwritten: what a killed load leaves is known.
    lease.load.set_aside = plan
        .demoted
        .keys()
        .map(|place| kept[*place].content())
        .collect();
    lease.put(shared).await?;

    let mine = kept.len();
    let ids = encode_ids(spool.ids());
    // Two tables, each with its capacity: neither waits for the other.
    let done = AtomicU64::new(lease.load.done);
    let written = async {
        let (keys, parts) = tokio::try_join!(
            write_trips(shared, &done, &mut spool, &plan, &kept, &outcome, mine),
            write_tallies(shared, &plan, &outcome, &ids, mine, generation),
        )?;
        let totals_at = parts.all;
        parts.into_force(&mut outcome, &spool);
        write_keys(shared, &mut outcome, &plan, keys, &kept, generation).await?;
        Ok(totals_at)
    };
    let totals_at = holding(shared, lease, &done, written).await?;
    lease.load.done = done.load(Ordering::Relaxed);
    let mut state = state;
    let old_totals = state.totals;
    lease.load.is_ending = true;
    lease.put(shared).await?;
    state.pending_totals = Some(totals_at);
    if !shared.ledger.put_state(&state).await? {
        return Err(changed_meanwhile(&archive.id.name));
    }
    let origins = origins(&plan, &archive, &outcome);
    if !plan.deletes.is_empty() || !outcome.superseded.is_empty() {
        // Fewer trips than before: a count of an index that lags would be too high, and nothing
        // would show it. Indexes follow within a second.
        tokio::time::sleep(INDEX_LAG).await;
    }
    shared.trips_changed(&origins, &outcome.totals).await?;

    state.pending_totals = None;
    state.totals = Some(totals_at);
    state.next_sequence += 1;
    let put: Vec<&Archive> = outcome.archives.iter().collect();
    let delete: Vec<String> = outcome.superseded.iter().map(Archive::content).collect();
    let owner = lease.load.owner.clone();
    if !shared.ledger.commit(&state, &owner, &put, &delete).await? {
        // The answer to a commit may have been lost, and it is asked for again.
        let archives = shared.ledger.archives().await?;
        if !archives.iter().any(|held| held.entry.id.content == content) {
            return Err(changed_meanwhile(&archive.id.name));
        }
    }
    clean(shared, &outcome, old_totals).await?;
    for told in plan.told {
        rejects.reject(told);
    }
    let entry = outcome
        .archives
        .pop()
        .expect("the new one is the last")
        .entry;
    Ok(Done::Committed(entry))
}

/// How long indexes lag at the most, by experience.
const INDEX_LAG: Duration = Duration::from_secs(2);

fn changed_meanwhile(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!("another divvy has loaded something while {archive} was loading: load it again"),
    )
}

/// Works out entries and totals; writes what other archives set aside.
async fn outcome(
    shared: &Shared,
    plan: &Plan,
    archive: &ArchiveRead,
    state: &State,
    kept: &[Archive],
    superseded: Vec<Archive>,
    generation: u64,
) -> Result<Outcome, StoreError> {
    let place = kept.len();
    let mut mine = archive.totals.clone();
    let none: &[Copy] = &[];
    let of = |copies: &BTreeMap<usize, Vec<Copy>>, place: usize| -> Vec<Copy> {
        copies.get(&place).map_or(none, Vec::as_slice).to_vec()
    };
    let my_lost = of(&plan.lost, place);
    mine.count(&batch_of(&my_lost), -1);

    let mut totals = match superseded.is_empty() {
        true => shared.ledger.totals(None, state.totals).await?,
        false => Totals::default(),
    };
    let mut changed = Vec::new();
    let mut all_own = Vec::new();
    let mut before = Vec::new();
    for (place, old) in kept.iter().enumerate() {
        let (demoted, promoted) = (of(&plan.demoted, place), of(&plan.promoted, place));
        let is_changed = !demoted.is_empty() || !promoted.is_empty();
        if superseded.is_empty() && !is_changed {
            continue;
        }
        let content = old.content();
        let mut own = shared
            .ledger
            .totals(Some(&content), Some(old.parts.totals))
            .await?;
        own.count(&batch_of(&demoted), -1);
        own.count(&batch_of(&promoted), 1);
        match superseded.is_empty() {
            true => {
                totals.count(&batch_of(&demoted), -1);
                totals.count(&batch_of(&promoted), 1);
            }
            false => totals.merge(&own),
        }
        if !is_changed {
            continue;
        }
        let lost = of(&plan.lost, place);
        let mut new = old.clone();
        let rows = encode(&rows_of(&lost), PACKED_LEVEL);
        let put = shared
            .ledger
            .put_parts(Some(&content), generation, Part::Lost, &rows);
        new.parts.lost = put.await?;
        new.lost = lost.len() as u64;
        set_counts(&mut new, &own);
        changed.push(new);
        all_own.push(own);
        before.push(old.clone());
    }
    totals.merge(&mine);
    let mut left = BTreeSet::new();
    for old in &superseded {
        let content = old.content();
        let own = shared.ledger.totals(Some(&content), Some(old.parts.totals));
        left.extend(own.await?.stations.origins());
    }

    let mut new = Archive {
        entry: LedgerEntry {
            id: archive.id.clone(),
            sequence: state.next_sequence,
            loaded_at: archive.loaded_at,
            rows_read: archive.rows_read,
            stored: 0,
            rejected: archive.rejected.clone(),
            flagged: Default::default(),
        },
        members: archive.members.clone(),
        parts: PartsOf::default(),
        ids: None,
        lost: my_lost.len() as u64,
    };
    set_counts(&mut new, &mine);
    changed.push(new);
    all_own.push(mine);
    Ok(Outcome {
        archives: changed,
        before,
        superseded,
        left,
        own: all_own,
        totals,
    })
}

/// Brings an entry up to the totals of its stored trips.
fn set_counts(archive: &mut Archive, totals: &Totals) {
    archive.entry.stored = totals.trips.try_into().unwrap_or(0);
    archive.entry.flagged = totals.flags.clone();
    match archive.lost {
        0 => archive.entry.rejected.remove(&Reason::Duplicate),
        n => archive.entry.rejected.insert(Reason::Duplicate, n),
    };
}

/// Writes trips: the archive's own, then those whose copies changed sides. Returns the keys of its
/// blocks.
async fn write_trips(
    shared: &Shared,
    done: &AtomicU64,
    spool: &mut Sorted,
    plan: &Plan,
    kept: &[Archive],
    outcome: &Outcome,
    mine: usize,
) -> Result<Vec<String>, StoreError> {
    let layout = shared.tables.trip_data.layout;
    let new = outcome.archives.last().expect("the new one is the last");
    let mark = new.mark();
    let my_puts: Vec<Copy> = plan
        .puts
        .iter()
        .filter(|copy| copy.archive == mine)
        .cloned()
        .collect();
    let mut writes = Writes::of(layout, spool, mark.clone(), &plan.decided, &my_puts)?;
    // In the layout of rows: what was decided one by one, and what goes.
    let mut last: Vec<Trips> = Vec::new();
    if layout == Layout::Rows {
        for (place, old) in kept.iter().enumerate() {
            let promoted = plan.promoted.get(&place).map_or(&[][..], Vec::as_slice);
            last.extend(
                layout::put_copies(promoted, &old.mark())
                    .into_iter()
                    .map(|w| (w, 1)),
            );
        }
        last.extend(
            layout::put_copies(&my_puts, &mark)
                .into_iter()
                .map(|w| (w, 1)),
        );
        let gone = plan
            .deletes
            .iter()
            .map(|id| string_key(item::trip::KEY, id));
        last.extend(gone.map(|key| (Write::Delete(key), 1)));
    }
    let of = (spool.len() - decided_rows(plan, mine)) as u64 + last.len() as u64;
    let mut meter = Meter::new(shared, &new.entry.id.name, of);
    match shared.settings.imported {
        true if layout == Layout::Packed => {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                "an import from S3 has a row a trip, and these tables are packed",
            ));
        }
        true => verify_import(shared, spool, &mut writes, &outcome.totals).await?,
        false => {
            let mut sending = Sending::new(shared, done.load(Ordering::Relaxed));
            while let Some(write) = writes.next(spool)? {
                sending.send(write, &mut meter).await?;
                done.store(sending.writer.done(), Ordering::Relaxed);
            }
            sending.finish(&mut meter).await?;
            done.store(sending.writer.done(), Ordering::Relaxed);
        }
    }
    // Never passed over: they are few, and may lie on either side of a kill.
    let mut sending = Sending::new(shared, 0);
    for write in last {
        sending.send_unmarked(write, &mut meter).await?;
    }
    sending
        .writer
        .write(std::mem::take(&mut sending.batch))
        .await?;
    sending.writer.finish().await?;
    meter.tell(u64::MAX);

    if layout == Layout::Packed {
        for old in &outcome.superseded {
            let keys = layout::keys_of(shared, old).await?;
            let keys = keys.iter().map(|key| string_key(item::trip::KEY, key));
            shared
                .trips
                .write_all(keys.map(Write::Delete).collect())
                .await?;
        }
    }
    Ok(writes.keys())
}

/// Counts the archive's rows that are decided one by one.
fn decided_rows(plan: &Plan, mine: usize) -> usize {
    let puts = plan.puts.iter().filter(|copy| copy.archive == mine).count();
    puts + plan.lost.get(&mine).map_or(0, Vec::len)
}

/// Where the parts are that are not of blocks.
struct Parts {
    /// Totals of each archive that changes.
    own: Vec<Stored>,
    /// Totals over all archives.
    all: Stored,
    /// Ids of the new archive.
    ids: Stored,
    /// Copies of the new archive that lost.
    lost: Stored,
}

/// Writes tallies and ids, beside the trips.
async fn write_tallies(
    shared: &Shared,
    plan: &Plan,
    outcome: &Outcome,
    ids: &[u8],
    mine: usize,
    generation: u64,
) -> Result<Parts, StoreError> {
    let ledger = &shared.ledger;
    let mut own = Vec::with_capacity(outcome.archives.len());
    for (archive, totals) in outcome.archives.iter().zip(&outcome.own) {
        let content = archive.content();
        own.push(
            ledger
                .put_totals(Some(&content), generation, totals)
                .await?,
        );
    }
    let new = outcome.archives.last().expect("the new one is the last");
    let content = new.content();
    let mut parts = Parts {
        own,
        all: ledger.put_totals(None, generation, &outcome.totals).await?,
        ids: Stored::default(),
        lost: Stored::default(),
    };
    if !ids.is_empty() {
        let put = ledger.put_parts(Some(&content), generation, Part::Ids, ids);
        parts.ids = put.await?;
    }
    if let Some(lost) = plan.lost.get(&mine).filter(|lost| !lost.is_empty()) {
        let rows = encode(&rows_of(lost), PACKED_LEVEL);
        let put = ledger.put_parts(Some(&content), generation, Part::Lost, &rows);
        parts.lost = put.await?;
    }
    Ok(parts)
}

impl Parts {
    /// Names the parts in the entries that are about to be committed.
    fn into_force(self, outcome: &mut Outcome, spool: &Sorted) {
        for (archive, totals) in outcome.archives.iter_mut().zip(self.own) {
            archive.parts.totals = totals;
        }
        let new = outcome
            .archives
            .last_mut()
            .expect("the new one is the last");
        new.parts.ids = self.ids;
        new.parts.lost = self.lost;
        new.ids = spool.range().map(|(first, last)| {
            let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
            (text(first), text(last))
        });
    }
}

/// In the packed layout: rebuilds the blocks of other archives whose trips changed sides, and writes
/// the keys of all.
async fn write_keys(
    shared: &Shared,
    outcome: &mut Outcome,
    plan: &Plan,
    keys: Vec<String>,
    kept: &[Archive],
    generation: u64,
) -> Result<(), StoreError> {
    if shared.tables.trip_data.layout != Layout::Packed {
        return Ok(());
    }
    let none: &[Copy] = &[];
    let mut written = Vec::new();
    for (place, old) in kept.iter().enumerate() {
        let demoted = plan.demoted.get(&place).map_or(none, Vec::as_slice);
        let promoted = plan.promoted.get(&place).map_or(none, Vec::as_slice);
        if !demoted.is_empty() || !promoted.is_empty() {
            let keys = layout::repack(shared, old, demoted, promoted).await?;
            written.push((old.content(), keys));
        }
    }
    let new = outcome.archives.last().expect("the new one is the last");
    written.push((new.content(), keys));
    for (content, keys) in written {
        let bytes = encode_ids(keys.iter().map(String::as_bytes));
        let put = shared
            .ledger
            .put_parts(Some(&content), generation, Part::Keys, &bytes);
        let put = put.await?;
        let mut changed = outcome.archives.iter_mut();
        let changed = changed.find(|changed| changed.content() == content);
        changed.expect("it changes").parts.keys = put;
    }
    Ok(())
}

/// Lists the origins whose trips change.
fn origins(plan: &Plan, archive: &ArchiveRead, outcome: &Outcome) -> BTreeSet<StationId> {
    let mut origins = plan.origins.clone();
    origins.extend(archive.totals.stations.origins());
    origins.extend(outcome.left.iter().cloned());
    origins
}

/// Deletes what is no longer in force. A process killed before leaves some parts that nothing
/// names.
async fn clean(
    shared: &Shared,
    outcome: &Outcome,
    totals: Option<Stored>,
) -> Result<(), StoreError> {
    shared.ledger.delete_totals(totals).await?;
    for old in &outcome.before {
        let content = old.content();
        let mut now = outcome.archives.iter();
        let now = now
            .find(|now| now.content() == content)
            .expect("it changed");
        shared
            .ledger
            .delete_parts(&content, &old.parts, &now.parts)
            .await?;
    }
    for old in &outcome.superseded {
        let none = PartsOf::default();
        shared
            .ledger
            .delete_parts(&old.content(), &old.parts, &none)
            .await?;
    }
    Ok(())
}

/// Writes on their way, those that were done before passed over.
struct Sending {
    writer: Writer,
    batch: Vec<Write>,
    bytes: u64,
    /// Writes to pass over.
    skip: u64,
    /// Trips of the writes handed in.
    trips: u64,
}

impl Sending {
    fn new(shared: &Shared, done: u64) -> Self {
        Self {
            writer: Writer::new(Arc::clone(&shared.trips), done),
            batch: Vec::new(),
            bytes: 0,
            skip: done,
            trips: 0,
        }
    }

    async fn send(&mut self, write: Trips, meter: &mut Meter<'_>) -> Result<(), StoreError> {
        if self.skip > 0 {
            self.skip -= 1;
            self.trips += write.1;
            meter.passed_over(write.1);
            return Ok(());
        }
        self.send_unmarked(write, meter).await
    }

    async fn send_unmarked(
        &mut self,
        (write, trips): Trips,
        meter: &mut Meter<'_>,
    ) -> Result<(), StoreError> {
        self.trips += trips;
        self.bytes += match &write {
            Write::Put(item) => item::size::item_bytes(item),
            Write::Delete(_) => 0,
        };
        self.batch.push(write);
        if self.batch.len() >= self.writer.batch() || self.bytes >= crate::pace::BATCH_BYTES {
            self.bytes = 0;
            self.writer.write(std::mem::take(&mut self.batch)).await?;
            meter.tell(self.trips);
        }
        Ok(())
    }

    async fn finish(&mut self, meter: &mut Meter<'_>) -> Result<(), StoreError> {
        self.writer.write(std::mem::take(&mut self.batch)).await?;
        self.writer.finish().await?;
        meter.tell(self.trips);
        Ok(())
    }
}

/// Tells how far a load has come.
struct Meter<'a> {
    shared: &'a Shared,
    archive: String,
    of: u64,
    /// Trips passed over, because they were written before.
    passed_over: u64,
    start: tokio::time::Instant,
    used_before: Used,
    told: Option<Instant>,
}

impl<'a> Meter<'a> {
    fn new(shared: &'a Shared, archive: &str, of: u64) -> Self {
        Self {
            shared,
            archive: archive.into(),
            of,
            passed_over: 0,
            start: tokio::time::Instant::now(),
            used_before: shared.trips.used(),
            told: None,
        }
    }

    fn passed_over(&mut self, trips: u64) {
        self.passed_over += trips;
    }

    /// Tells, not more than some times a second; all where `done` is no number of trips.
    fn tell(&mut self, done: u64) {
        const EVERY: Duration = Duration::from_millis(200);
        let is_last = done == u64::MAX;
        if !is_last && self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let done = done.min(self.of);
        let elapsed_s = self.start.elapsed().as_secs_f64();
        let written = done.saturating_sub(self.passed_over);
        let pace = written as f64 / elapsed_s.max(1e-9);
        self.shared.listener.written(&Written {
            archive: self.archive.clone(),
            done,
            of: self.of,
            used: self.shared.trips.used().since(&self.used_before),
            rate: self.shared.trips.write.rate(),
            rest_s: (written > 0 && !is_last).then(|| (self.of - done) as f64 / pace),
        });
    }
}

/// Looks whether the trips of an archive are in the table, as an import from S3 left them: all of
/// them counted by origin, some hundred compared attribute by attribute.
async fn verify_import(
    shared: &Shared,
    spool: &mut Sorted,
    writes: &mut Writes,
    totals: &Totals,
) -> Result<(), StoreError> {
    /// Of so many, one is compared.
    const SAMPLES: u64 = 500;
    let of = spool.len() as u64;
    let step = (of / SAMPLES).max(1);
    let mut expected = Vec::new();
    let mut n = 0;
    while let Some((write, _)) = writes.next(spool)? {
        if let Write::Put(item) = write
            && n % step == 0
        {
            expected.push(item);
        }
        n += 1;
    }
    let mut keys = Vec::new();
    for item in &expected {
        let key = item.get(item::trip::KEY).cloned();
        keys.push([(item::trip::KEY.to_owned(), key.expect("items have keys"))].into());
    }
    let found = shared.trips.get_all(keys).await?;
    let by_key: std::collections::HashMap<&String, &item::Item> = found
        .iter()
        .filter_map(|item| Some((item.get(item::trip::KEY)?.as_s().ok()?, item)))
        .collect();
    for item in &expected {
        let id = item.get(item::trip::KEY).and_then(|key| key.as_s().ok());
        let id = id.expect("items have keys");
        let fault = match by_key.get(id) {
            None => "is not there",
            Some(found) if *found != item => "is another",
            Some(_) => continue,
        };
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{}: trip {id} {fault}: the import is not of this archive, or not done; import it \
                 (divvy export --dynamodb-import), or load it without --imported",
                shared.trips.name
            ),
        ));
    }
    for origin in totals.stations.origins() {
        let least = totals.stations.departures(&origin).max(0) as u64;
        let key = item::trip::INDEX_KEY;
        let found = shared.trips.count(key, origin.as_str(), false).await?;
        if found < least {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "{}: {found} trips start at {origin}, and the archive has {least}: some were \
                     not imported",
                    shared.trips.name
                ),
            ));
        }
    }
    Ok(())
}
