//! What several unit tests of the store use.

use std::sync::Mutex;

use futures_executor::block_on;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::EmbeddedStore;
use crate::model::{System, Trip, TripBatch};
use crate::refresh;
use crate::store::{ArchiveId, ArchiveRead, ContentHash, LedgerEntry, Trips};
use crate::tally::{Tally, Totals};

pub(super) fn divvy() -> System {
    System::named("divvy").unwrap()
}

/// Returns a trip without stations, bike and rider.
pub(super) fn trip(id: &str, started_ms: i64) -> Trip {
    Trip::new(id, started_ms, started_ms + 600_000, -18_000)
}

/// Loads an archive with these members, in batches of seven rows.
pub(super) fn load(
    store: &EmbeddedStore,
    name: &str,
    members: &[&[Trip]],
    replace: bool,
) -> LedgerEntry {
    let mut bytes = name.as_bytes().to_vec();
    for trip in members.iter().copied().flatten() {
        bytes.extend(trip.row_text().into_bytes());
    }
    let id = ArchiveId {
        system: divvy(),
        name: name.into(),
        content: ContentHash(xxh3_128(&bytes)),
    };
    let incoming = block_on(store.begin(&id)).unwrap();
    let mut totals = Totals::default();
    for (member, trips) in members.iter().enumerate() {
        let mut line = 2;
        for trips in trips.chunks(7) {
            let mut batch: TripBatch = trips.iter().cloned().collect();
            batch.line = (line..).take(trips.len()).collect();
            line += trips.len() as u64;
            totals.count(&batch, 1);
            incoming.write(member, batch).unwrap();
        }
        incoming.end_member(member).unwrap();
    }
    let read = ArchiveRead {
        id,
        members: (0..members.len()).map(|n| format!("{n}.csv")).collect(),
        rows_read: members.iter().map(|trips| trips.len() as u64).sum(),
        rejected: Default::default(),
        skipped: Vec::new(),
        forced_from: None,
        totals,
        loaded_at: Timestamp::UNIX_EPOCH,
        replace,
    };
    block_on(incoming.commit(read, &())).unwrap()
}

/// Returns the stored trips, by id.
pub(super) fn stored(store: &EmbeddedStore) -> Vec<Trip> {
    let all = Mutex::new(Vec::new());
    let visit = |batch: TripBatch| {
        all.lock().unwrap().extend(batch.trips());
        true
    };
    block_on(store.scan(&divvy().id, &visit)).unwrap();
    let mut all = all.into_inner().unwrap();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

pub(super) fn drain(store: &EmbeddedStore) {
    block_on(refresh::drain(
        store,
        refresh::CONSUMER,
        Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
}

pub(super) fn faults(store: &EmbeddedStore) -> Vec<String> {
    store.check(&|_, _| ()).unwrap().faults
}
