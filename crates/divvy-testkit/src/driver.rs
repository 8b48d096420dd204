//! Loads and reads of a store, as the laws do them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;

use divvy::issue::Rejected;
use divvy::model::{Trip, TripBatch};
use divvy::store::{ArchiveRead, Change, ContentHash, LedgerEntry, Store, StoreError};

use crate::cases::{Archive, minute, system};

/// Loads an archive. Rejected rows are added to `rejected`.
pub(crate) async fn load(
    store: &dyn Store,
    archive: &Archive,
    rejected: &Mutex<Vec<Rejected>>,
) -> Result<LedgerEntry, StoreError> {
    load_as(store, archive, archive.read(minute(0)), rejected).await
}

/// Loads an archive with other totals or other settings than its own.
pub(crate) async fn load_as(
    store: &dyn Store,
    archive: &Archive,
    read: ArchiveRead,
    rejected: &Mutex<Vec<Rejected>>,
) -> Result<LedgerEntry, StoreError> {
    let incoming = store.begin(&read.id).await?;
    // The last member first, since members may be written in any order.
    let mut batches = archive.batches();
    batches.sort_by_key(|(member, _)| Reverse(*member));
    for (member, batch) in batches {
        incoming.write(member, batch)?;
    }
    incoming.commit(read, rejected).await
}

/// Reads and acknowledges the change stream to its end, three changes at a time.
pub(crate) async fn drain_changes(
    store: &dyn Store,
    consumer: &str,
) -> Result<Vec<Change>, StoreError> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let some = store.changes(consumer, 3).await?;
        let Some(last) = some.last() else {
            return Ok(all);
        };
        store.acknowledge(consumer, last.sequence).await?;
        all.extend(some);
    }
}

/// Counts the stored trips by the content of their archive.
pub(crate) async fn stored_by_archive(
    store: &dyn Store,
) -> Result<BTreeMap<ContentHash, u64>, StoreError> {
    let counts: Mutex<BTreeMap<ContentHash, u64>> = Mutex::default();
    let count = |archive: ContentHash, batch: TripBatch| {
        let mut counts = counts.lock().expect("no holder of this lock panics");
        *counts.entry(archive).or_default() += batch.len() as u64;
        true
    };
    store.scan_by_archive(&system().id, &count).await?;
    Ok(counts.into_inner().expect("no holder of this lock panics"))
}

/// Returns the stored trips by id.
pub(crate) async fn stored(store: &dyn Store) -> Result<Vec<Trip>, StoreError> {
    let trips = Mutex::new(Vec::new());
    let keep = |batch: TripBatch| {
        let mut trips = trips.lock().expect("no holder of this lock panics");
        trips.extend(batch.trips());
        true
    };
    store.scan(&system().id, &keep).await?;
    let mut trips = trips.into_inner().expect("no holder of this lock panics");
    trips.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(trips)
}
