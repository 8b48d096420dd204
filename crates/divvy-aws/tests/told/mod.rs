//! What a store holds, so that a test can compare it with a model.

use std::collections::BTreeMap;
use std::sync::Mutex;

use divvy::store::conformance::cases::system;
use divvy::store::{LedgerEntry, Store};
use divvy::tally::Totals;

/// What is in a store, in a form in which two stores can be compared.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub trips: Vec<String>,
    pub totals: Totals,
    pub counts: BTreeMap<String, u64>,
    pub entries: Vec<LedgerEntry>,
}

pub async fn tell(store: &dyn Store) -> Told {
    let id = system().id;
    let rows = Mutex::new(Vec::new());
    let visit = |batch: divvy::model::TripBatch| {
        let texts = batch.trips().map(|trip| trip.row_text());
        rows.lock().unwrap().extend(texts.collect::<Vec<_>>());
        true
    };
    store.scan(&id, &visit).await.unwrap();
    let mut trips = rows.into_inner().unwrap();
    trips.sort();
    // A station that only a load had named which was given up has a count, of 0.
    let counts = store.counts(&id).await.unwrap().into_iter();
    let counts = counts.filter(|count| count.from_count > 0);
    let mut entries = store.entries(&id).await.unwrap();
    // Where loads were killed, the order may have become another.
    entries.sort_by_key(|entry| entry.id.content);
    for entry in &mut entries {
        entry.sequence = 0;
    }
    Told {
        trips,
        totals: store.totals(&id).await.unwrap(),
        counts: counts
            .map(|count| (count.from_station_id.to_string(), count.from_count))
            .collect(),
        entries,
    }
}
