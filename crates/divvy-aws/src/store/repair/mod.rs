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

mod commit;
mod counts;
mod mend;
mod stored_items;

use divvy::reports::plural;
use divvy::store::{Repaired, StoreError, StoreErrorKind};
use jiff::Timestamp;

use self::stored_items::{KnownItems, StoredItems};
use super::load::lease::{Lease, LoadRequest, REPAIR};
use super::load::{boost, obsolete, undo};
use super::{DynamoStore, Shared};
use crate::ledger::{Archive, State};
use crate::tables::Layout;

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
            let fault = self.trips_without_ledger().await?;
            let damaged = |fault| Err(StoreError::new(StoreErrorKind::Damaged, fault));
            return fault.map_or(Ok(Repaired::default()), damaged);
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
        boost::restore_any(shared).await?;
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
        let mut known = KnownItems::of(self.shared(), &archives).await?;
        let mut found = StoredItems::read(self.shared(), &known, self.dry_run).await?;
        if known.list_ids(self.shared(), &archives, &found).await? {
            let again = StoredItems::read(self.shared(), &known, self.dry_run).await?;
            found = found.replaced_by(again);
        }
        let foreign = std::mem::take(&mut found.foreign);
        if found.misplaced > 0 {
            let n = plural(found.misplaced as i64, "block");
            self.done(format!("{n} given started_at and n as its trips have them"));
        }
        for (tag, n) in &found.strays {
            let what = match self.shared().tables.trip_data.layout {
                Layout::Rows => "trip",
                Layout::Packed => "block",
            };
            let n = plural(*n as i64, what);
            let archive = archives.iter().find(|archive| archive.tag() == *tag);
            self.done(match archive {
                None => format!("{n} of no archive in the ledger deleted (archive {tag})"),
                Some(archive) => format!(
                    "{}: {n} deleted that another program has copied",
                    archive.entry.id.name
                ),
            });
        }
        self.delete_stray_chunks(&state, &archives).await?;
        let mended = self.mend(&state, &archives, &known, found).await?;
        let counts = self.counts(&mended.all, &foreign).await?;
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
        let n = plural(strays.len() as i64, "part");
        if !self.dry_run {
            ledger.delete_all(strays).await?;
        }
        self.done(format!("{n} of the ledger deleted that nothing names"));
        Ok(())
    }
}
