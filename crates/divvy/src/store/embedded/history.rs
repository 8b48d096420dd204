//! The history of states: appended to by each snapshot, sealed as Parquet files.
//!
//! ```text
//!  apply ─► transaction: stations, snapshot, changes, latest states
//!  a day is over, or many changes ─► part in staging ─► leftover noted ─► moved ─► transaction: named,
//!  its changes deleted
//! ```

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_128;

use super::EmbeddedStore;
use super::catalog::{self, Moment, PartRow};
use super::commit::move_into_place;
use super::error::{damaged, io_error};
use super::folder;
use super::hashed_file::HashedFile;
use super::lock::ReadersLock;
use super::shared::Shared;
use super::staging::Staging;
use crate::history::{AsOf, SnapshotEntry, StateChange, apply_change, diff, part_file, states_of};
use crate::model::{Snapshot, StationId, SystemId};
use crate::store::{StatusHistory, StoreError, StoreErrorKind};

/// Changes of days that are over (UTC) are sealed if they are at least as many.
const SEALED_OF_A_DAY: u64 = 4_096;

/// Changes of a day that is not over are sealed if they are at least as many.
const SEALED_WITHIN_A_DAY: u64 = 262_144;

/// The number of snapshots of a day after which the changes are counted again.
const COUNT_EVERY: u64 = 32;

/// Adds a snapshot whose states were taken, and the changes that it makes, to the history. Within the
/// transaction of the caller.
pub(super) fn append(
    catalog: &Connection,
    snapshot: &Snapshot,
    fetched_at: Timestamp,
) -> Result<(), StoreError> {
    let system = &snapshot.system.id;
    let last = catalog::last_snapshot(catalog, system)?;
    let entry = SnapshotEntry {
        number: last.map_or(1, |last| last.number + 1),
        taken_at: snapshot.taken_at,
        fetched_at: Some(fetched_at),
        stations: Some(snapshot.stations.len() as u64),
    };
    catalog::put_snapshot(catalog, system, &entry)?;
    let before = catalog::states(catalog, system, Moment::Latest)?;
    let changes = diff(&before, snapshot, entry.number);
    for change in &changes {
        catalog::put_state_change(catalog, system, change)?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    catalog::put_states(catalog, system, Moment::Latest, &states_of(snapshot))
}

/// Seals the changes of a system if enough have come before a snapshot made at `taken_at`.
pub(super) fn seal_if_due(
    shared: &Shared,
    system: &SystemId,
    taken_at: Timestamp,
) -> Result<(), StoreError> {
    if shared.is_absent()? || !is_due(shared, system, taken_at)? {
        return Ok(());
    }
    let _lock = shared.writer_lock()?;
    // Again under the lock: another process may have sealed them.
    if is_due(shared, system, taken_at)? {
        seal(shared, system)?;
    }
    Ok(())
}

fn is_due(shared: &Shared, system: &SystemId, taken_at: Timestamp) -> Result<bool, StoreError> {
    let catalog = shared.catalog()?;
    let Some((first, first_at)) = catalog::first_recent(&catalog, system)? else {
        return Ok(false);
    };
    let is_over = day(taken_at) > day(first_at);
    let last = catalog::last_snapshot(&catalog, system)?.map_or(first, |last| last.number);
    if !is_over && !(last - first + 1).is_multiple_of(COUNT_EVERY) {
        return Ok(false);
    }
    let recent = catalog::count_recent(&catalog, system)?;
    let needed = if is_over {
        SEALED_OF_A_DAY
    } else {
        SEALED_WITHIN_A_DAY
    };
    Ok(recent >= needed)
}

/// Returns the day of an instant (UTC).
fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

/// Writes all changes that are in no part as parts of about [`SEALED_WITHIN_A_DAY`] changes. The caller
/// holds the writer lock.
fn seal(shared: &Shared, system: &SystemId) -> Result<(), StoreError> {
    let mut catalog = shared.catalog()?;
    loop {
        let end = catalog::recent_after(&catalog, system, SEALED_WITHIN_A_DAY)?;
        if !seal_before(shared, &mut catalog, system, end.unwrap_or(ANY_NUMBER))? {
            return Ok(());
        }
    }
}

/// A number that no snapshot reaches: integers of SQLite have a sign.
pub(super) const ANY_NUMBER: u64 = u64::MAX >> 1;

/// Writes the changes that are in no part, of snapshots with numbers below `end`, as a part. Returns whether
/// there were any.
fn seal_before(
    shared: &Shared,
    catalog: &mut Connection,
    system: &SystemId,
    end: u64,
) -> Result<bool, StoreError> {
    let mut changes = catalog::recent_changes(catalog, system, None, end)?;
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
        return Ok(false);
    };
    let snapshots = (first.snapshot, last.snapshot);
    let times = (first.taken_at, last.taken_at);
    let before = catalog::states(catalog, system, Moment::Before)?;
    let mut after = before.clone();
    for change in changes.iter().cloned() {
        apply_change(&mut after, change);
    }
    changes.sort_by(|a, b| (&a.station, a.snapshot).cmp(&(&b.station, b.snapshot)));
    // A file must not be in place before the catalog has a durable note of it.
    catalog::defer_sync(catalog, false)?;
    let staging = Staging::create(&shared.root)?;
    let staged = staging.path.join("history.parquet");
    let file = HashedFile::create(&staged)?;
    let file = part_file::write(file, &changes).map_err(|error| damaged(&staged, error))?;
    let part = PartRow {
        path: folder::history_part(system, day(times.0), snapshots),
        system: system.clone(),
        rows: changes.len() as u64,
        snapshots,
        times,
        hash: file.finish()?,
    };
    let target = shared.root.join(&part.path);
    if target.exists() && !catalog::leftovers(catalog)?.contains(&part.path) {
        let text = format!(
            "{} is in no ledger, and another file of that name is to be written: divvy check --repair",
            target.display()
        );
        return Err(StoreError::new(StoreErrorKind::Damaged, text));
    }
    catalog::in_transaction(catalog, |catalog| {
        catalog::put_leftover(catalog, &part.path)
    })?;
    move_into_place(&shared.root, &[(staged, target)])?;
    catalog::in_transaction(catalog, |catalog| {
        catalog::put_part(catalog, &part, &before)?;
        catalog::delete_leftover(catalog, &part.path)?;
        catalog::delete_recent(catalog, system, end)?;
        catalog::put_states(catalog, system, Moment::Before, &after)
    })?;
    Ok(true)
}

/// Reads the changes of a part.
pub(super) fn read_part(
    shared: &Shared,
    part: &PartRow,
    station: Option<&StationId>,
) -> Result<Vec<StateChange>, StoreError> {
    let path = shared.root.join(&part.path);
    let bytes = std::fs::read(&path).map_err(|error| io_error("read", &path, error))?;
    // A file has at most a few megabytes, which are hashed faster than they are read.
    if xxh3_128(&bytes) != part.hash {
        let text = format!("{} is damaged: it is not what was written", path.display());
        return Err(StoreError::new(StoreErrorKind::Damaged, text));
    }
    part_file::read(bytes.into(), station).map_err(|error| damaged(&path, error))
}

/// Returns the instant a millisecond before: times of snapshots are in milliseconds.
fn just_before(at: Timestamp) -> Timestamp {
    let millisecond = SignedDuration::from_millis(1);
    at.checked_sub(millisecond).unwrap_or(Timestamp::MIN)
}

#[async_trait]
impl StatusHistory for EmbeddedStore {
    async fn as_of(&self, system: &SystemId, at: Timestamp) -> Result<Option<AsOf>, StoreError> {
        let _reading = self.reading()?;
        let from_catalog = self.in_catalog(|catalog| {
            let after = catalog::first_snapshot_after(catalog, system, at)?;
            let Some(snapshot) = catalog::snapshot_before(catalog, system, after)? else {
                return Ok(None);
            };
            let mut parts = catalog::history_parts(catalog, Some(system))?.into_iter();
            // The first part that does not end before the snapshot: its rows begin with the states before it.
            let part = parts.find(|part| part.snapshots.1 >= snapshot.number);
            let (states, changes) = match &part {
                Some(part) => (
                    catalog::states_before_part(catalog, &part.path)?,
                    Vec::new(),
                ),
                None => (
                    catalog::states(catalog, system, Moment::Before)?,
                    catalog::recent_changes(catalog, system, None, after)?,
                ),
            };
            Ok(Some((snapshot, after, states, changes, part)))
        })?;
        let Some((snapshot, after, mut states, mut changes, part)) = from_catalog else {
            return Ok(None);
        };
        if let Some(part) = part {
            changes = read_part(&self.shared, &part, None)?;
        }
        changes.retain(|change| change.snapshot < after);
        // Those of a part are sorted by station: the order of one station's is what counts.
        for change in changes {
            apply_change(&mut states, change);
        }
        Ok(Some(AsOf { snapshot, states }))
    }

    async fn state_changes(
        &self,
        system: &SystemId,
        station: &StationId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StateChange>, StoreError> {
        let _reading = self.reading()?;
        let (parts, recent) = self.in_catalog(|catalog| {
            let parts = catalog::history_parts(catalog, Some(system))?;
            let recent = catalog::recent_changes(catalog, system, Some(station), ANY_NUMBER)?;
            Ok((parts, recent))
        })?;
        let mut changes = Vec::new();
        for part in parts {
            if part.times.0 < to && part.times.1 >= from {
                changes.extend(read_part(&self.shared, &part, Some(station))?);
            }
        }
        changes.extend(recent);
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
        let _reading = self.reading()?;
        let (parts, recent) = self.in_catalog(|catalog| {
            let parts = catalog::history_parts_between(catalog, system, from, to)?;
            let first = catalog::first_snapshot_after(catalog, system, just_before(from))?;
            let recent = catalog::recent_changes_from(catalog, system, first)?;
            Ok((parts, recent))
        })?;
        let mut pass_all = |changes: Vec<StateChange>| {
            for change in &changes {
                if change.taken_at >= from && change.taken_at < to {
                    pass(change);
                }
            }
        };
        for part in parts {
            pass_all(read_part(&self.shared, &part, None)?);
        }
        pass_all(recent);
        Ok(())
    }

    async fn snapshots(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SnapshotEntry>, StoreError> {
        let mut catalog = self.shared.catalog()?;
        let catalog = catalog::read(&mut catalog)?;
        let first = catalog::first_snapshot_after(&catalog, system, just_before(from))?;
        let end = catalog::first_snapshot_after(&catalog, system, just_before(to))?;
        catalog::snapshots(&catalog, system, first, end)
    }

    async fn first_snapshot_from(
        &self,
        system: &SystemId,
        from: Timestamp,
    ) -> Result<Option<SnapshotEntry>, StoreError> {
        let mut catalog = self.shared.catalog()?;
        let catalog = catalog::read(&mut catalog)?;
        let first = catalog::first_snapshot_after(&catalog, system, just_before(from))?;
        catalog::snapshot_from(&catalog, system, first)
    }

    async fn count_state_changes(&self, system: &SystemId) -> Result<u64, StoreError> {
        let mut catalog = self.shared.catalog()?;
        let catalog = catalog::read(&mut catalog)?;
        let parts = catalog::history_parts(&catalog, Some(system))?;
        let sealed: u64 = parts.iter().map(|part| part.rows).sum();
        Ok(sealed + catalog::count_recent(&catalog, system)?)
    }
}

impl EmbeddedStore {
    /// Writes all changes of a system's states that are in no file of `history/` yet as one. Snapshots
    /// do this by themselves when a day is over.
    ///
    /// # Errors
    ///
    /// The file or the catalog cannot be written.
    pub fn seal_history(&self, system: &SystemId) -> Result<(), StoreError> {
        if self.shared.is_absent()? {
            return Ok(());
        }
        let _lock = self.shared.writer_lock()?;
        seal(&self.shared, system)
    }

    /// Reads the catalog in one transaction, and unlocks it. Parts are read after that: other threads of
    /// the process may use the catalog meanwhile. Changes that are in no part yet are read together with
    /// the list of parts, so that each change is in one of them.
    fn in_catalog<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut catalog = self.shared.catalog()?;
        read(&*catalog::read(&mut catalog)?)
    }

    /// Keeps the files that the catalog names: superseded ones are not removed before the lock is
    /// released. `None` for a store that does not exist yet or cannot be written to.
    fn reading(&self) -> Result<Option<ReadersLock>, StoreError> {
        if self.shared.is_absent()? {
            return Ok(None);
        }
        ReadersLock::share(&self.shared.root)
    }
}
