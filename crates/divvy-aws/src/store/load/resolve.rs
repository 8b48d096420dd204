//! The first phase of a load: finds the archives that it supersedes, and resolves its duplicates.

use divvy::store::{ArchiveRead, LedgerEntry, StoreError};

use super::lease::{Lease, LoadRequest};
use crate::ledger::{Archive, LedgerTable, State};
use crate::store::duplicates::{DuplicateResolution, Existing};
use crate::store::spool::SpooledRows;
use crate::tables::Layout;

/// The result of the resolution of a load.
pub(super) enum Resolved<'a> {
    /// There is nothing to do: see [`Done::Already`](super::Done).
    Already(Option<Box<LedgerEntry>>),
    New(Box<ResolvedLoad<'a>>),
}

/// A load whose duplicates are resolved. Nothing is written yet.
pub(super) struct ResolvedLoad<'a> {
    pub(super) lease: &'a Lease<'a>,
    pub(super) request: &'a LoadRequest,
    pub(super) archive: ArchiveRead,
    pub(super) state: State,
    /// The archives that stay.
    pub(super) kept: Vec<Archive>,
    pub(super) superseded: Vec<Archive>,
    pub(super) resolution: DuplicateResolution,
    /// The generation of all that it writes.
    pub(super) generation: u64,
}

/// Resolves the duplicates of a load, and notes in its record what it is about to write.
pub(super) async fn resolve<'a>(
    lease: &'a Lease<'a>,
    request: &'a LoadRequest,
    archive: ArchiveRead,
    rows: &mut SpooledRows,
) -> Result<Resolved<'a>, StoreError> {
    let shared = lease.shared;
    let state = shared.ledger.begin(&archive.id.system).await?;
    let archives = shared.ledger.archives().await?;
    let mut loaded = archives.iter();
    let loaded = loaded.find(|loaded| loaded.entry.id.content == archive.id.content);
    if loaded.is_some() != request.unloads.is_some() {
        let entry = loaded.map(|loaded| Box::new(loaded.entry.clone()));
        return Ok(Resolved::Already(entry));
    }
    let is_superseded = |old: &Archive| match &request.unloads {
        Some(content) => old.content() == *content,
        None => archive.replace && old.entry.id.name == archive.id.name,
    };
    let (superseded, kept): (Vec<Archive>, Vec<Archive>) =
        archives.into_iter().partition(is_superseded);
    let record = lease.record().await;
    let existing = Existing {
        kept: &kept,
        superseded: &superseded,
        load: &record,
    };
    let name = &archive.id.name;
    let resolution = DuplicateResolution::make(shared, rows, name, existing).await?;
    let changed = (0..kept.len()).filter(|index| resolution.changes(*index));
    LedgerTable::refuse_too_many(changed.count() + superseded.len() + 1)?;

    // A new generation, unless the load continues: other processes may have cached sections of
    // earlier ones.
    let generation = match record.generation {
        0 => state.newest_generation() + 1,
        continued => continued,
    };
    let is_rows = shared.tables.trip_data.layout == Layout::Rows;
    let replaces = is_rows && !superseded.is_empty();
    lease
        .update(|load| {
            load.revision = state.revision;
            load.generation = generation;
            load.replaces = replaces;
        })
        .await?;
    Ok(Resolved::New(Box::new(ResolvedLoad {
        lease,
        request,
        archive,
        state,
        kept,
        superseded,
        resolution,
        generation,
    })))
}
