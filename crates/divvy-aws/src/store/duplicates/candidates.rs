//! The ids that are resolved one by one, and all their copies.

use std::collections::BTreeSet;

use divvy::model::TripId;
use divvy::store::{StoreError, StoreErrorKind};

use super::Existing;
use super::partitions::{Partition, Partitions, SourceKind};
use super::section::{visit_duplicates, visit_ids, visit_set_aside};
use crate::ledger::Archive;
use crate::store::Shared;
use crate::store::copies::{Copy, copies_of};
use crate::store::spool::{Bits, SharedIds, SpooledRows};

/// Finds the ids that an incoming archive shares with others. Returns their ranks, and the indexes
/// of the others.
pub(super) async fn find_shared_ids(
    shared: &Shared,
    rows: &SpooledRows,
    kept: &[Archive],
) -> Result<(Bits, BTreeSet<usize>), StoreError> {
    let mut ranks = Bits::below(rows.len());
    let mut archives: BTreeSet<usize> = BTreeSet::new();
    for (index, archive) in kept.iter().enumerate() {
        if !overlap(rows, archive) {
            continue;
        }
        visit_ids(shared, archive, &mut |id| {
            if let Some(rank) = rows.rank(id) {
                ranks.insert(rank);
                archives.insert(index);
            }
            Ok(())
        })
        .await?;
    }
    Ok((ranks, archives))
}

/// Returns whether the ranges of ids overlap.
fn overlap(rows: &SpooledRows, archive: &Archive) -> bool {
    let (Some((first, last)), Some((other_first, other_last))) = (rows.range(), &archive.ids)
    else {
        return false;
    };
    first <= other_last.as_bytes() && other_first.as_bytes() <= last
}

/// Returns the rows with shared or repeated ids.
pub(super) fn rows_to_resolve(rows: &SpooledRows, shared_ranks: &Bits) -> Bits {
    let mut resolved = Bits::below(rows.len());
    for rank in shared_ranks.iter().chain(rows.repeated()) {
        for row in rows.rows_at(rank) {
            resolved.insert(row);
        }
    }
    resolved
}

/// Lists the archives whose duplicates may become stored, or may lose against an incoming copy.
pub(super) fn archives_with_duplicates(
    existing: Existing<'_>,
    sharing: &BTreeSet<usize>,
) -> Vec<usize> {
    let Existing {
        kept, superseded, ..
    } = existing;
    (0..kept.len())
        .filter(|archive| kept[*archive].duplicates > 0)
        .filter(|archive| !superseded.is_empty() || sharing.contains(archive))
        .collect()
}

/// Returns about how many copies there are to partition; sixteen ids without a copy take as much
/// as one copy.
pub(super) fn expected_copies(
    existing: Existing<'_>,
    resolved: &Bits,
    shared_ranks: &Bits,
    duplicates_of: &[usize],
) -> u64 {
    let duplicates = duplicates_of.iter();
    let duplicates: u64 = duplicates
        .map(|archive| existing.kept[*archive].duplicates)
        .sum();
    let superseded = existing.superseded.iter();
    let ids: u64 = superseded
        .map(|old| old.entry.stored + 2 * old.duplicates)
        .sum();
    resolved.len() + shared_ranks.len() + duplicates + ids / 16
}

/// Adds the resolved rows of the incoming archive.
pub(super) fn add_incoming(
    rows: &mut SpooledRows,
    resolved: &Bits,
    incoming: usize,
    partitions: &mut Partitions,
) -> Result<(), StoreError> {
    for block in rows.in_order() {
        if !block.row_indexes().any(|row| resolved.has(row)) {
            continue;
        }
        let read = rows.read(block)?;
        for (row, index) in block.row_indexes().enumerate() {
            if resolved.has(index) {
                let copy = Copy::of_row(&read, row, incoming);
                partitions.push(SourceKind::Incoming, copy)?;
            }
        }
    }
    Ok(())
}

/// Adds the duplicates of an archive that stays.
pub(super) async fn add_duplicates(
    shared: &Shared,
    archive: &Archive,
    index: usize,
    partitions: &mut Partitions,
) -> Result<(), StoreError> {
    let section = archive.sections.duplicates;
    visit_duplicates(shared, &archive.content(), section, &mut |rows| {
        copies_of(&rows, index)
            .try_for_each(|copy| partitions.push(SourceKind::Duplicates(index), copy))
    })
    .await
}

/// Adds the ids of a superseded archive that the incoming one does not have.
pub(super) async fn add_superseded(
    shared: &Shared,
    archive: &Archive,
    index: usize,
    rows: &SpooledRows,
    partitions: &mut Partitions,
) -> Result<(), StoreError> {
    visit_ids(shared, archive, &mut |id| {
        if rows.has(id) {
            Ok(())
        } else {
            partitions.push_id(SourceKind::SupersededIds(index), id)
        }
    })
    .await?;
    let section = archive.sections.duplicates;
    visit_duplicates(shared, &archive.content(), section, &mut |duplicates| {
        let ids = (0..duplicates.len()).map(|row| duplicates.batch.id_raw(row));
        ids.filter(|id| !rows.has(id))
            .try_for_each(|id| partitions.push_id(SourceKind::SupersededDuplicateIds(index), id))
    })
    .await
}

/// Adds the copies that an unfinished load has set aside, of ids of the incoming archive.
pub(super) async fn add_set_aside(
    shared: &Shared,
    existing: Existing<'_>,
    rows: &SpooledRows,
    partitions: &mut Partitions,
) -> Result<(), StoreError> {
    for (index, archive) in existing.kept.iter().enumerate() {
        visit_set_aside(shared, existing.load, archive, index, &mut |copies| {
            let copies = copies.into_iter();
            copies
                .filter(|copy| rows.has(copy.trip.id.as_str().as_bytes()))
                .try_for_each(|copy| partitions.push(SourceKind::SetAside(index), copy))
        })
        .await?;
    }
    Ok(())
}

/// Finds an id that another archive has according to the ledger, and of which it has no copy.
pub(super) fn unstored_id<'a>(partition: &'a Partition, ids: &SharedIds<'_>) -> Option<&'a TripId> {
    partition.incoming.keys().find(|id| {
        ids.has(id.as_str().as_bytes())
            && !partition.stored.contains_key(*id)
            && !partition.duplicates.contains_key(*id)
    })
}

/// Makes the error for an unstored id: finds the archive that has it according to the ledger.
pub(super) async fn unstored(
    shared: &Shared,
    kept: &[Archive],
    ids: &SharedIds<'_>,
    wanted: &TripId,
) -> Result<StoreError, StoreError> {
    for index in ids.archives {
        let archive = &kept[*index];
        let mut has_id = false;
        visit_ids(shared, archive, &mut |id| {
            has_id |= id == wanted.as_str().as_bytes();
            Ok(())
        })
        .await?;
        if has_id {
            return Ok(StoreError::new(
                StoreErrorKind::Busy,
                format!(
                    "trip {wanted} of {} is stored under no archive of the ledger: either another \
                     divvy is loading it, or what was imported was exported together with others: \
                     divvy check prints them",
                    archive.entry.id.name
                ),
            ));
        }
    }
    Ok(StoreError::new(
        StoreErrorKind::Busy,
        format!("the archive that has trip {wanted} is gone: try again"),
    ))
}
