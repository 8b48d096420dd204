//! The contents of a store, in a form in which two stores can be compared.

use std::collections::BTreeMap;
use std::sync::Mutex;

use divvy::store::{LedgerEntry, Store};
use divvy::tally::Totals;

use crate::cases::system;

/// The contents of one system in a store.
#[derive(Debug, PartialEq)]
pub struct Contents {
    /// Each trip as text, in the order of the texts.
    pub trips: Vec<String>,
    /// The totals of all archives.
    pub totals: Totals,
    /// FromStationCounts that are not 0, by station.
    pub counts: BTreeMap<String, u64>,
    /// The ledger, in the order of contents, without sequence numbers.
    pub entries: Vec<LedgerEntry>,
}

/// Reads all of a store.
///
/// # Panics
///
/// The store cannot be read.
pub async fn contents(store: &dyn Store) -> Contents {
    let id = system().id;
    let rows = Mutex::new(Vec::new());
    let visit = |batch: divvy::model::TripBatch| {
        let texts = batch.trips().map(|trip| trip.row_text());
        rows.lock()
            .expect("no holder of this lock panics")
            .extend(texts.collect::<Vec<_>>());
        true
    };
    let readable = "the store can be read";
    store.scan(&id, &visit).await.expect(readable);
    let mut trips = rows.into_inner().expect("no holder of this lock panics");
    trips.sort();
    // Stations of a load that was abandoned may have a count, of 0.
    let counts = store.counts(&id).await.expect(readable).into_iter();
    let counts = counts.filter(|count| count.from_count > 0);
    let mut entries = store.entries(&id).await.expect(readable);
    // The order of loading may differ after loads that were killed.
    entries.sort_by_key(|entry| entry.id.content);
    for entry in &mut entries {
        entry.sequence = 0;
    }
    Contents {
        trips,
        totals: store.totals(&id).await.expect(readable),
        counts: counts
            .map(|count| (count.from_station_id.to_string(), count.from_count))
            .collect(),
        entries,
    }
}
