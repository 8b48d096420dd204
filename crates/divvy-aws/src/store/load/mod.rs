//! Loading an archive, and unloading one: an archive superseded by nothing.
//!
//! ```text
//!  lease ─► an unfinished load of another archive is undone ─► resolve duplicates
//!  ─► write: copies set aside, trips, tallies, ids ─► publish: versions, one transaction with
//!  entries and state ─► what is obsolete is deleted
//! ```
//!
//! If the process is killed before the transaction, the ledger is unchanged. Loaded again, the
//! archive's trips are written again, or the load continues from its record. In the layout of rows,
//! stored copies are set aside before better copies overwrite them: a load that continues reads them
//! from there, and a load of another archive restores them first. In the packed layout nothing is
//! overwritten. Trips of an unfinished load have a tag that no entry has, or are in blocks that no
//! list of keys has: no report counts them.

pub(super) mod boost;
mod commit;
mod import;
pub(super) mod lease;
pub(super) mod obsolete;
mod outcome;
mod refusal;
mod resolve;
mod trips;
mod undo;
mod warm;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use divvy::issue::{RejectSink, RejectedCounts};
use divvy::model::TripBatch;
use divvy::store::{ArchiveId, ArchiveRead, Incoming, LedgerEntry, StoreError, StoreErrorKind};
use divvy::tally::Totals;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use self::lease::{Lease, LoadRequest};
pub(super) use self::outcome::set_counts;
pub use self::refusal::LoadRefusal;
pub(super) use self::undo::undo;
use super::spool::{Spool, SpooledRows};
use super::{Shared, layout};
use crate::item::trip::tag_of_content;
use crate::ledger::Note;
use crate::tables::Layout;

/// An archive whose rows are arriving.
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
        let rows = spool.expect("no holder of this lock panics").sorted();
        let shared = &*self.shared;
        let request = LoadRequest {
            content: archive.id.content.to_string(),
            archive: archive.id.name.clone(),
            settings: settings_of(&archive),
            replace: archive.replace,
            unloads: None,
        };
        let entry = shared.reporting_stalls(async {
            shared.ledger.begin(&archive.id.system).await?;
            run(shared, &request, archive, rows, rejects).await
        });
        let entry = entry.await?;
        Ok(entry.expect("an archive that is loaded has an entry"))
    }
}

/// Returns the settings on which the writes of a load depend, as a text: whether archives of the same
/// name are superseded, and the order of days and months, which the days of the trips depend on.
fn settings_of(archive: &ArchiveRead) -> String {
    let days = postcard::to_stdvec(&archive.totals.days).expect("days are a map of numbers");
    format!("{:016x}{}", xxh3_64(&days), u8::from(archive.replace))
}

/// Unloads an archive. Returns its entry; `None` where it is not loaded.
pub(super) async fn unload(
    shared: &Shared,
    id: ArchiveId,
) -> Result<Option<LedgerEntry>, StoreError> {
    let content = id.content.to_string();
    let request = LoadRequest {
        // Another one than for a load of the archive, so that neither continues the other.
        content: format!("unload {content}"),
        archive: id.name.clone(),
        settings: lease::UNLOAD.into(),
        replace: true,
        unloads: Some(content),
    };
    let nothing = ArchiveRead {
        id,
        members: Vec::new(),
        rows_read: 0,
        rejected: RejectedCounts::new(),
        skipped: Vec::new(),
        forced_from: None,
        totals: Totals::default(),
        loaded_at: Timestamp::UNIX_EPOCH,
        replace: true,
    };
    let rows = Spool::new()?.sorted();
    let unloaded = run(shared, &request, nothing, rows, &());
    shared.reporting_stalls(unloaded).await
}

/// The outcome of a load.
enum Done {
    /// It was committed.
    Committed(LedgerEntry),
    /// There was nothing to do. The entry of the loaded archive; `None` where the archive to be
    /// unloaded is not loaded.
    Already(Option<LedgerEntry>),
}

/// Loads or unloads an archive under the lease. Returns its entry; `None` where the archive to be
/// unloaded is not loaded.
async fn run(
    shared: &Shared,
    request: &LoadRequest,
    archive: ArchiveRead,
    rows: SpooledRows,
    rejects: &dyn RejectSink,
) -> Result<Option<LedgerEntry>, StoreError> {
    let lease = Lease::take(shared, request).await?;
    let done = tokio::select! {
        biased;
        done = load(&lease, request, archive, rows, rejects) => done,
        lost = lease.keep() => Err(lost),
    };
    match done {
        // The transaction has ended the lease.
        Ok(Done::Committed(entry)) => Ok(Some(entry)),
        Ok(Done::Already(entry)) => {
            lease.end().await?;
            Ok(entry)
        }
        Err(error) => {
            lease.abandon().await;
            Err(error)
        }
    }
}

/// Cleans up after an unfinished load, then loads.
async fn load(
    lease: &Lease<'_>,
    request: &LoadRequest,
    archive: ArchiveRead,
    rows: SpooledRows,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    let shared = lease.shared;
    if let Some(obsolete) = shared.ledger.obsolete().await? {
        obsolete::delete(shared, &obsolete).await?;
    }
    let state = shared.ledger.begin(&archive.id.system).await?;
    let found = lease.record().await;
    let is_packed = shared.tables.trip_data.layout == Layout::Packed;
    let is_first_format = state.format == 1 && is_packed;
    if is_first_format && !found.set_aside.is_empty() {
        // That version changed blocks of other archives in place.
        return Err(StoreError::new(
            StoreErrorKind::Busy,
            format!(
                "{}: its load by an older divvy was interrupted: give that command again to the \
                 older one first",
                found.archive
            ),
        ));
    }
    let same_writes = found.revision == state.revision && !is_first_format;
    let continues = request.is_same_as(&found) && !found.is_undone && same_writes;
    if found.generation > 0 && !continues {
        undo(lease, request, state).await?;
    }
    warm::warm(shared).await?;
    boost::raise(shared, found.generation > 0).await?;
    let has_abandoned = !is_packed && delete_abandoned(shared, request, continues).await?;
    let done = commit::commit(lease, request, archive, rows, rejects).await?;
    if has_abandoned {
        let note = Note::Abandoned(&request.content);
        shared.ledger.delete_note(note).await?;
    }
    Ok(done)
}

/// Deletes the rows of a load of the same archive that was given up, if it had other settings: their
/// ids may be others. Does not do so for a load that continues, whose rows are its own, and where the
/// archive is loaded. Returns whether there was such a load, whatever its settings. Reads the whole
/// table.
async fn delete_abandoned(
    shared: &Shared,
    request: &LoadRequest,
    continues: bool,
) -> Result<bool, StoreError> {
    let note = Note::Abandoned(&request.content);
    let Some(settings) = shared.ledger.note::<String>(note).await? else {
        return Ok(false);
    };
    let is_other = settings != request.settings && !continues;
    let mut archives = shared.ledger.archives().await?.into_iter();
    if is_other && !archives.any(|loaded| loaded.content() == request.content) {
        shared.listener.note(&format!(
            "{}: deleting the trips that a load of it with other settings has left",
            request.archive
        ));
        layout::delete_rows_of(shared, &tag_of_content(&request.content)).await?;
        // From here on rows of it are of these settings.
        shared.ledger.put_note(note, &request.settings).await?;
    }
    Ok(true)
}

/// Makes the error for a store that another process has changed.
pub(super) fn changed_meanwhile(archive: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        format!("another divvy has loaded something while {archive} was loading: load it again"),
    )
}
