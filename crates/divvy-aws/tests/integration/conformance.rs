//! The laws of all stores, on the store on DynamoDB with an emulator that throttles.

use std::future::Future;

use divvy_aws::tables::Layout;
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::cases::system;
use divvy_testkit::conforms;
use throttling_dynamodb::{Emulator, Options};

/// Runs a future on a paused clock, on which waits for capacity take no time.
fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
}

/// Opens a store on a new emulator.
fn fresh(layout: Layout) -> (DynamoStore, Emulator) {
    block_on(async {
        let local = Emulator::open(Options {
            scratch: true,
            ..Options::default()
        });
        let local = local.expect("memory is there");
        let store = DynamoStore::open(OpenOptions {
            http_client: Some(local.http_client()),
            layout: Some(layout),
            ..OpenOptions::default()
        });
        (store.await.expect("an emulator makes tables"), local)
    })
}

conforms!(rows, fresh(Layout::Rows), block_on: super::block_on, cases: 24);
conforms!(packed, fresh(Layout::Packed), block_on: super::block_on, cases: 12);

#[test]
fn the_tables_of_a_prefix_belong_to_one_system() {
    use divvy::model::{Station, System};
    use divvy::store::StationTable;

    let (store, _local) = fresh(Layout::Rows);
    let listed = [Station::unknown("35".into())];
    block_on(store.describe(&system(), &listed)).unwrap();
    let other = System::named("citibike").unwrap();
    let refused = block_on(store.describe(&other, &listed)).unwrap_err();
    insta::assert_snapshot!(refused, @"these tables (LoadLedger and those with its prefix) hold divvy, and each system needs its own: give citibike another prefix");
    assert_eq!(block_on(store.stations(&other.id)).unwrap(), []);
    assert_eq!(block_on(store.stations(&system().id)).unwrap().len(), 1);
}
