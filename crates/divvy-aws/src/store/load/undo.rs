//! Undoing an unfinished load that does not continue.

use std::sync::atomic::Ordering;

use divvy::store::StoreError;

use super::changed_meanwhile;
use super::lease::{Lease, LoadRequest, REPAIR, UNLOAD};
use crate::blocks::Rows;
use crate::ledger::{Note, State};
use crate::store::copies::Copies;
use crate::store::temp_file::Scratch;
use crate::store::{Shared, duplicates, layout};
use crate::tables::Layout;

/// Undoes the unfinished load in the record of the lease, and makes the record that of `request`.
pub(in crate::store) async fn undo(
    lease: &Lease<'_>,
    request: &LoadRequest,
    mut state: State,
) -> Result<(), StoreError> {
    let shared = lease.shared;
    // From here on no process can continue it.
    lease
        .update(|load| {
            load.is_undone = true;
            load.is_ending = false;
            load.changes = None;
        })
        .await?;
    let load = lease.record().await;
    match shared.tables.trip_data.layout {
        // Rows that overwrote nothing are left: the same archive writes them again, and other
        // archives overwrite them. They have its tag: before it is loaded with other settings, which
        // may give its trips other ids, they are deleted.
        Layout::Rows => {
            if ![UNLOAD, REPAIR].contains(&load.settings.as_str()) {
                let note = Note::Abandoned(&load.content);
                shared.ledger.put_note(note, &load.settings).await?;
            }
            let archives = shared.ledger.archives().await?;
            let scratch = Scratch::new()?;
            for archive in &archives {
                let mut copies = Copies::new(&scratch);
                let mut push = |some: Vec<_>| copies.push(&some);
                duplicates::visit_set_aside(shared, &load, archive, 0, &mut push).await?;
                for rows in copies.chunks() {
                    write_rows(shared, &rows?, &archive.tag()).await?;
                }
            }
        }
        // Its blocks are in no list of keys.
        Layout::Packed => {
            layout::delete_generation(shared, load.generation).await?;
        }
    }
    if state.pending_totals.is_some() {
        // Some counts may be based on the pending totals.
        let committed = shared.totals(state.totals).await?;
        let pending = shared.totals(state.pending_totals).await?;
        let origins = committed.stations.origins();
        let origins = origins.chain(pending.stations.origins());
        let different = origins
            .filter(|id| committed.stations.departures(id) != pending.stations.departures(id))
            .collect();
        shared.trips_changed(&different, &pending).await?;
    }
    state.pending_totals = None;
    state.last_generation = state.newest_generation().max(load.generation);
    if !shared.ledger.put_state(&state, &load.owner).await? {
        return Err(changed_meanwhile(&request.archive));
    }
    lease
        .update(|load| *load = request.new_record(&load.owner, load.renewals))
        .await?;
    lease.done.store(0, Ordering::Relaxed);
    Ok(())
}

/// Writes rows of an archive, in the layout of rows.
async fn write_rows(shared: &Shared, rows: &Rows, tag: &str) -> Result<(), StoreError> {
    /// Items in memory, some kilobytes each.
    const AT_ONCE: usize = 1000;
    let mut writes = layout::put_rows(rows, tag).peekable();
    while writes.peek().is_some() {
        let some = writes.by_ref().take(AT_ONCE).collect();
        shared.trips.write_all(some).await?;
    }
    Ok(())
}
