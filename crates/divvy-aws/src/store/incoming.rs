//! How an archive becomes part of the store.
//!
//! ```text
//!  the right to load ─► what a killed load of another archive left is undone ─► plan
//!  ─► copies set aside ─► trips ─► tallies, ids ─► versions ─► one transaction: entries, state
//!  ─► what is out of force is deleted
//! ```
//!
//! Killed before the transaction, the ledger is as it was. Trips that are there already are
//! written again, or passed over where the load goes on from where it was. In the layout of rows,
//! stored copies that are overwritten by better ones are set aside before: a load that goes on
//! finds them there, and one of another archive puts them back first. In the packed layout nothing
//! is overwritten. Trips of a load that never ends carry a mark that no entry names, or lie in
//! blocks that no list names: no report counts them.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use divvy::issue::{Reason, RejectSink, RejectedCounts};
use divvy::model::{StationId, TripBatch};
use divvy::store::{ArchiveId, ArchiveRead, Incoming, LedgerEntry, StoreError, StoreErrorKind};
use divvy::tally::{Tally, Totals};
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::layout::{self, Trips, Writes};
use super::lease::{Lease, Wanted};
use super::plan::{self, Beside, Plan};
use super::spool::{Copies, Scratch, Sorted, Spool};
use super::{Shared, Written, boost};
use crate::blocks::Rows;
use crate::item;
use crate::ledger::{Archive, Gone, GoneOf, LedgerTable, Part, PartsOf, State, Stored, encode_ids};
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
        let wanted = Wanted {
            content: archive.id.content.to_string(),
            archive: archive.id.name.clone(),
            way: way_of(&archive),
            replace: archive.replace,
            unloads: None,
        };
        let entry = run(shared, &wanted, archive, spool, rejects).await?;
        Ok(entry.expect("an archive that is loaded has an entry"))
    }
}

/// Takes an archive out of the store: it is superseded by nothing. Returns its entry; `None` where
/// it is not there.
pub(super) async fn unload(
    shared: &Shared,
    id: ArchiveId,
) -> Result<Option<LedgerEntry>, StoreError> {
    let content = id.content.to_string();
    let wanted = Wanted {
        // Not that of a load of the archive: neither goes on where the other ends.
        content: format!("unload {content}"),
        archive: id.name.clone(),
        way: "unload".into(),
        replace: true,
        unloads: Some(content),
    };
    let nothing = ArchiveRead {
        id,
        members: Vec::new(),
        rows_read: 0,
        rejected: RejectedCounts::new(),
        totals: Totals::default(),
        loaded_at: Timestamp::UNIX_EPOCH,
        replace: true,
    };
    run(shared, &wanted, nothing, Spool::new()?.sorted(), &()).await
}

/// Loads or unloads an archive under the right to load. Returns its entry; `None` for one to be
/// unloaded that is not there.
async fn run(
    shared: &Shared,
    wanted: &Wanted,
    archive: ArchiveRead,
    spool: Sorted,
    rejects: &dyn RejectSink,
) -> Result<Option<LedgerEntry>, StoreError> {
    let lease = Lease::take(shared, wanted).await?;
    // The right is renewed through all that follows.
    let done = tokio::select! {
        biased;
        done = load(&lease, wanted, archive, spool, rejects) => done,
        lost = lease.keep() => Err(lost),
    };
    match done {
        // The transaction has given the right back together with everything else.
        Ok(Done::Committed(entry)) => Ok(Some(entry)),
        Ok(Done::Already(entry)) => {
            lease.end().await?;
            Ok(entry)
        }
        Err(error) => {
            lease.leave().await;
            Err(error)
        }
    }
}

/// Mends what a killed load has left behind, then loads.
async fn load(
    lease: &Lease<'_>,
    wanted: &Wanted,
    archive: ArchiveRead,
    spool: Sorted,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    let shared = lease.shared;
    let left = boost::restore_left_behind(shared).await?;
    if let Some(gone) = shared.ledger.gone().await? {
        delete_gone(shared, &gone).await?;
    }
    let state = shared.ledger.begin(&archive.id.system).await?;
    let found = lease.load().await;
    let is_packed = shared.tables.trip_data.layout == Layout::Packed;
    let is_of_first_format = state.format == 1 && is_packed;
    if is_of_first_format && !found.set_aside.is_empty() {
        // It has changed blocks of other archives where they lie.
        return Err(StoreError::new(
            StoreErrorKind::Busy,
            format!(
                "{}: its load by an older divvy was interrupted: give that command again to the \
                 older one first",
                found.archive
            ),
        ));
    }
    let is_same_plan = found.revision == state.revision && !is_of_first_format;
    let goes_on = wanted.is_of(&found) && !found.is_undone && is_same_plan;
    if found.generation > 0 && !goes_on {
        undo(lease, wanted, state).await?;
    }
    let boosted = boost::raise(shared, left).await?;
    let done = commit(lease, wanted, archive, spool, rejects).await;
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
    /// Nothing was to be done: the entry of what is loaded already, or `None` for what is to be
    /// unloaded and not there.
    Already(Option<LedgerEntry>),
}

/// Undoes what an interrupted load has left behind that does not go on.
pub(super) async fn undo(
    lease: &Lease<'_>,
    wanted: &Wanted,
    mut state: State,
) -> Result<(), StoreError> {
    let shared = lease.shared;
    // From here on it cannot go on either: another that comes has to wait for what is done here.
    lease
        .put(|load| {
            load.is_undone = true;
            load.is_ending = false;
        })
        .await?;
    let load = lease.load().await;
    match shared.tables.trip_data.layout {
        // A row of it that overwrote nothing is no trouble: either it is written anew, or a better
        // copy takes its place.
        Layout::Rows => {
            let archives = shared.ledger.archives().await?;
            let scratch = Scratch::new()?;
            for archive in &archives {
                let mut copies = Copies::new(&scratch);
                plan::visit_set_aside(shared, &load, archive, 0, &mut |some| copies.push(&some))
                    .await?;
                for rows in copies.chunks() {
                    write_rows(shared, &rows?, &archive.mark()).await?;
                }
            }
        }
        // No list will ever name its blocks.
        Layout::Packed => {
            layout::delete_generation(shared, load.generation).await?;
        }
    }
    if state.pending_totals.is_some() {
        // Counts may have been made by totals that never came into force.
        let now = shared.totals(state.totals).await?;
        let never = shared.totals(state.pending_totals).await?;
        let origins = now.stations.origins().chain(never.stations.origins());
        let differ = origins
            .filter(|id| now.stations.departures(id) != never.stations.departures(id))
            .collect();
        shared.trips_changed(&differ, &never).await?;
    }
    state.pending_totals = None;
    state.last_generation = state.newest_generation().max(load.generation);
    if !shared.ledger.put_state(&state, &load.owner).await? {
        return Err(changed_meanwhile(&wanted.archive));
    }
    lease
        .put(|load| *load = wanted.fresh(&load.owner, load.beat))
        .await?;
    lease.done.store(0, Ordering::Relaxed);
    Ok(())
}

/// What a load brings into force.
struct Outcome {
    /// The archives that change, the new one last.
    archives: Vec<Archive>,
    /// Whether the new one is an archive, and not the nothing that takes the place of one.
    is_new_kept: bool,
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
    lease: &Lease<'_>,
    wanted: &Wanted,
    archive: ArchiveRead,
    mut spool: Sorted,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    let shared = lease.shared;
    let mut state = shared.ledger.begin(&archive.id.system).await?;
    let archives = shared.ledger.archives().await?;
    let content = archive.id.content;
    let unloads = wanted.unloads.is_some();
    let held = archives
        .iter()
        .find(|held| held.entry.id.content == content);
    if held.is_some() != unloads {
        return Ok(Done::Already(held.map(|held| held.entry.clone())));
    }
    let is_superseded = |old: &Archive| match &wanted.unloads {
        Some(content) => old.content() == *content,
        None => archive.replace && old.entry.id.name == archive.id.name,
    };
    let (superseded, kept): (Vec<Archive>, Vec<Archive>) =
        archives.into_iter().partition(is_superseded);
    let found = lease.load().await;
    let beside = Beside {
        kept: &kept,
        superseded: &superseded,
        load: &found,
    };
    let plan = Plan::make(shared, &mut spool, &archive.id.name, beside).await?;
    LedgerTable::refuse_too_many(plan.changed() + superseded.len() + 1)?;

    // Never one that another load has used: another process may have cached its parts. A load
    // that does not go on where this record ends has been undone.
    let generation = match found.generation {
        0 => state.newest_generation() + 1,
        known => known,
    };
    let is_rows = shared.tables.trip_data.layout == Layout::Rows;
    let replaces = is_rows && !superseded.is_empty();
    lease
        .put(|load| {
            load.revision = state.revision;
            load.generation = generation;
            load.replaces = replaces;
        })
        .await?;
    let mut outcome = outcome(
        shared, &plan, &archive, &state, &kept, superseded, generation,
    )
    .await?;
    outcome.is_new_kept = !unloads;
    if is_rows {
        // From here on stored copies may be overwritten: what a killed load leaves is known.
        let of = |place: &usize| kept[*place].content();
        let set_aside: Vec<String> = plan.demoted.keys().map(of).collect();
        lease.put(|load| load.set_aside = set_aside).await?;
    }

    let mine = kept.len();
    let ids = encode_ids(spool.ids());
    // Two tables, each with its capacity: neither waits for the other.
    let (keys, parts) = tokio::try_join!(
        write_trips(lease, &mut spool, &plan, &kept, &outcome, generation),
        write_tallies(shared, &plan, &outcome, &ids, mine, generation),
    )?;
    let totals_at = parts.all;
    parts.into_force(&mut outcome, &spool);
    write_keys(shared, &mut outcome, &plan, keys, &kept, generation).await?;
    if is_rows {
        lease.settled().await;
    }
    let done = lease.done.load(Ordering::Relaxed);
    lease
        .put(|load| {
            load.done = done;
            load.is_ending = true;
        })
        .await?;
    let owner = lease.load().await.owner;
    let old_totals = state.totals;
    state.pending_totals = Some(totals_at);
    if !shared.ledger.put_state(&state, &owner).await? {
        return Err(changed_meanwhile(&wanted.archive));
    }
    let origins = origins(&plan, &archive, &outcome);
    if plan.deletes.len() > 0 || !outcome.superseded.is_empty() {
        // Fewer trips than before: a count of an index that lags would be too high, and nothing
        // would show it. Indexes follow within a second.
        tokio::time::sleep(INDEX_LAG).await;
    }
    shared.trips_changed(&origins, &outcome.totals).await?;

    state.pending_totals = None;
    state.totals = Some(totals_at);
    state.next_sequence += u64::from(!unloads);
    state.last_generation = generation;
    let put: Vec<&Archive> = outcome.put().iter().collect();
    let delete: Vec<String> = outcome.superseded.iter().map(Archive::content).collect();
    let gone = outcome.gone(old_totals);
    let ledger = &shared.ledger;
    lease.close().await;
    if !ledger.commit(&state, &owner, &put, &delete, &gone).await? {
        // The answer to a commit may have been lost, and it is asked for again.
        let archives = ledger.archives().await?;
        let is_there = archives.iter().any(|held| held.entry.id.content == content);
        if is_there == unloads {
            return Err(changed_meanwhile(&wanted.archive));
        }
    }
    delete_gone(shared, &gone).await?;
    plan.told(&archive.members, &kept, &mut |told| rejects.reject(told))?;
    let changed = match unloads {
        true => outcome.superseded.pop(),
        false => outcome.archives.pop(),
    };
    let changed = changed.expect("the new one is the last, and one is superseded by nothing");
    Ok(Done::Committed(changed.entry))
}

/// How long indexes lag at the most, by experience.
const INDEX_LAG: Duration = Duration::from_secs(2);

pub(super) fn changed_meanwhile(archive: &str) -> StoreError {
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
    count(&mut [&mut mine], plan.lost.get(&place), -1)?;
    let my_lost = plan.lost.get(&place).map_or(0, Copies::len);

    let mut totals = match superseded.is_empty() {
        true => shared.ledger.totals(None, state.totals).await?,
        false => Totals::default(),
    };
    let mut changed = Vec::new();
    let mut all_own = Vec::new();
    let mut before = Vec::new();
    for (place, old) in kept.iter().enumerate() {
        let (demoted, promoted) = (plan.demoted.get(&place), plan.promoted.get(&place));
        let is_changed = demoted.is_some() || promoted.is_some();
        if superseded.is_empty() && !is_changed {
            continue;
        }
        let content = old.content();
        let mut own = shared
            .ledger
            .totals(Some(&content), Some(old.parts.totals))
            .await?;
        let mut counted = vec![&mut own];
        if superseded.is_empty() {
            counted.push(&mut totals);
        }
        count(&mut counted, demoted, -1)?;
        count(&mut counted, promoted, 1)?;
        if !superseded.is_empty() {
            totals.merge(&own);
        }
        if !is_changed {
            continue;
        }
        let lost = &plan.lost[&place];
        let mut new = old.clone();
        new.parts.lost = plan::put_lost(shared, &content, generation, lost).await?;
        new.lost = lost.len();
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
        lost: my_lost,
    };
    set_counts(&mut new, &mine);
    changed.push(new);
    all_own.push(mine);
    Ok(Outcome {
        archives: changed,
        is_new_kept: true,
        before,
        superseded,
        left,
        own: all_own,
        totals,
    })
}

/// Counts copies into totals, or takes them out.
fn count(
    totals: &mut [&mut Totals],
    copies: Option<&Copies>,
    times: i64,
) -> Result<(), StoreError> {
    for rows in copies.into_iter().flat_map(Copies::chunks) {
        let rows = rows?;
        for totals in &mut *totals {
            totals.count(&rows.batch, times);
        }
    }
    Ok(())
}

/// Writes copies of an archive, in the layout of rows.
async fn write_rows(shared: &Shared, rows: &Rows, mark: &str) -> Result<(), StoreError> {
    /// Items that are made at once, each some kilobytes in memory.
    const AT_ONCE: usize = 1000;
    let mut writes = layout::put_rows(rows, mark).peekable();
    while writes.peek().is_some() {
        let some = writes.by_ref().take(AT_ONCE).collect();
        shared.trips.write_all(some).await?;
    }
    Ok(())
}

/// Brings an entry up to the totals of its stored trips.
pub(super) fn set_counts(archive: &mut Archive, totals: &Totals) {
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
    lease: &Lease<'_>,
    spool: &mut Sorted,
    plan: &Plan,
    kept: &[Archive],
    outcome: &Outcome,
    generation: u64,
) -> Result<Vec<String>, StoreError> {
    let shared = lease.shared;
    let done = &lease.done;
    let layout = shared.tables.trip_data.layout;
    let new = outcome.archives.last().expect("the new one is the last");
    let mark = match layout {
        Layout::Rows => new.mark(),
        Layout::Packed => layout::tag(&new.mark(), generation),
    };
    let mut writes = Writes::of(layout, spool, mark.clone(), &plan.decided, &plan.puts)?;
    let mut of = spool.len() as u64 - plan.decided.len() + plan.puts.len();
    if layout == Layout::Rows {
        of += plan.promoted.values().map(Copies::len).sum::<u64>() + plan.deletes.len();
    }
    let mut meter = Meter::new(shared, &new.entry.id.name, of);
    let imported = shared.settings.imported;
    // Of what was imported nothing has been written, so nothing of the rest is known to be done.
    let before = if imported {
        0
    } else {
        done.load(Ordering::Relaxed)
    };
    let mut sending = Sending::new(shared, before);
    let note = |sending: &Sending| {
        if !imported {
            done.store(sending.writer.done(), Ordering::Relaxed);
        }
    };
    match imported {
        true if layout == Layout::Packed => {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                "an import from S3 has a row a trip, and these tables are packed",
            ));
        }
        true => verify_import(shared, spool, &mut writes, &outcome.totals).await?,
        false => {
            while let Some(write) = writes.next(spool)? {
                sending.send(write, &mut meter).await?;
                note(&sending);
            }
        }
    }
    if layout == Layout::Rows {
        // What was decided one by one, and what goes: in an order that is the same each time.
        for (place, old) in kept.iter().enumerate() {
            let promoted = plan.promoted.get(&place);
            for rows in promoted.into_iter().flat_map(Copies::chunks) {
                for write in layout::put_rows(&rows?, &old.mark()) {
                    sending.send((write, 1), &mut meter).await?;
                }
            }
        }
        for rows in plan.puts.chunks() {
            for write in layout::put_rows(&rows?, &mark) {
                sending.send((write, 1), &mut meter).await?;
                note(&sending);
            }
        }
        for ids in plan.deleted() {
            for id in ids? {
                sending.send((layout::delete(&id), 1), &mut meter).await?;
                note(&sending);
            }
        }
    }
    sending.finish(&mut meter).await?;
    note(&sending);
    meter.tell(u64::MAX);
    Ok(writes.keys())
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
    for (archive, totals) in outcome.put().iter().zip(&outcome.own) {
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
    if let Some(lost) = plan.lost.get(&mine).filter(|lost| lost.len() > 0) {
        parts.lost = plan::put_lost(shared, &content, generation, lost).await?;
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
    let mut written = Vec::new();
    for (place, old) in kept.iter().enumerate() {
        let (demoted, promoted) = (plan.demoted.get(&place), plan.promoted.get(&place));
        if demoted.is_some() || promoted.is_some() {
            let keys = layout::repack(shared, old, generation, demoted, promoted).await?;
            written.push((old.content(), keys));
        }
    }
    if outcome.is_new_kept {
        let new = outcome.archives.last().expect("the new one is the last");
        written.push((new.content(), keys));
    }
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

impl Outcome {
    /// The archives whose entries are written.
    fn put(&self) -> &[Archive] {
        let n = self.archives.len() - usize::from(!self.is_new_kept);
        &self.archives[..n]
    }

    /// Lists what the commit puts out of force.
    fn gone(&self, totals: Option<Stored>) -> Gone {
        let mut archives = Vec::new();
        for old in &self.before {
            let content = old.content();
            let mut now = self.archives.iter();
            let now = now.find(|now| now.content() == content);
            archives.push(GoneOf {
                before: old.parts,
                now: now.map(|now| now.parts).unwrap_or_default(),
                content,
            });
        }
        archives.extend(self.superseded.iter().map(|old| GoneOf {
            content: old.content(),
            before: old.parts,
            now: PartsOf::default(),
        }));
        Gone { totals, archives }
    }
}

/// Deletes what a commit has put out of force. Two processes may do it at once: no key and no
/// generation ever comes back.
pub(super) async fn delete_gone(shared: &Shared, gone: &Gone) -> Result<(), StoreError> {
    if *gone == Gone::default() {
        return Ok(());
    }
    let ledger = &shared.ledger;
    for of in &gone.archives {
        if of.before.keys != of.now.keys {
            delete_blocks(shared, of).await?;
        }
        ledger
            .delete_parts(&of.content, &of.before, &of.now)
            .await?;
    }
    ledger.delete_totals(gone.totals).await?;
    ledger.forget_gone(gone).await
}

/// Deletes the blocks of an archive that are out of force.
async fn delete_blocks(shared: &Shared, of: &GoneOf) -> Result<(), StoreError> {
    let list = |stored| {
        shared
            .ledger
            .parts_if_there(&of.content, Part::Keys, stored)
    };
    // Either list may be gone where another process was faster, and then so are the blocks.
    let (Some(before), Some(now)) = (list(of.before.keys).await?, list(of.now.keys).await?) else {
        return Ok(());
    };
    let now: BTreeSet<String> = layout::decode_keys(&now)?.into_iter().collect();
    let before = layout::decode_keys(&before)?.into_iter();
    let out = before.filter(|key| !now.contains(key));
    let deletes = out.map(|key| layout::delete(&key)).collect();
    shared.trips.write_all(deletes).await
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

    async fn send(
        &mut self,
        (write, trips): Trips,
        meter: &mut Meter<'_>,
    ) -> Result<(), StoreError> {
        self.trips += trips;
        if self.skip > 0 {
            self.skip -= 1;
            meter.passed_over(trips);
            return Ok(());
        }
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
