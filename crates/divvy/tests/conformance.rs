//! Every store is held to the same laws.

use divvy::store::conformance::{self, cases};
use divvy::store::memory::MemoryStore;
use futures_executor::block_on;
use proptest::prelude::*;

#[cfg(feature = "embedded")]
fn embedded_store() -> (divvy::store::embedded::EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("the disk has room");
    let store = divvy::store::embedded::EmbeddedStore::open(folder.path()).expect("a new folder");
    (store, folder)
}

/// Holds a store to every law. `$fresh` makes a new one, with what has to outlive it.
macro_rules! conforms {
    ($store:ident, $fresh:expr, cases: $cases:expr) => {
        mod $store {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig {
                    cases: $cases,
                    failure_persistence: None,
                    ..ProptestConfig::default()
                })]

                #[test]
                fn one_copy_of_each_trip_is_stored(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::one_copy_of_each_trip_is_stored(&store, &archives)).unwrap();
                }

                #[test]
                fn loading_twice_changes_nothing(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::loading_twice_changes_nothing(&store, &archives)).unwrap();
                }

                #[test]
                fn any_split_in_any_order_is_the_same(
                    archives in cases::archives(),
                    deal in prop::collection::vec(0..3_usize, 1..30),
                ) {
                    let (store, _kept) = $fresh;
                    let (other, _other_kept) = $fresh;
                    block_on(conformance::any_split_in_any_order_is_the_same(
                        &store, &other, &archives, &deal,
                    )).unwrap();
                }

                #[test]
                fn counts_follow_the_stream(steps in cases::steps()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::counts_follow_the_stream(&store, &steps)).unwrap();
                }

                #[test]
                fn only_stations_whose_trips_changed_are_recounted(
                    archives in cases::archives(),
                    polls in prop::collection::vec(cases::snapshot(), 1..4),
                ) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::only_stations_whose_trips_changed_are_recounted(
                        &store, &archives, &polls,
                    )).unwrap();
                }

                #[test]
                fn what_is_not_committed_does_not_exist(archives in cases::archives()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::what_is_not_committed_does_not_exist(
                        &store, &archives,
                    )).unwrap();
                }

                #[test]
                fn systems_are_apart(archives in cases::archives(), poll in cases::snapshot()) {
                    let (store, _kept) = $fresh;
                    block_on(conformance::systems_are_apart(&store, &archives, &poll)).unwrap();
                }
            }

            #[test]
            fn an_older_count_undoes_nothing() {
                let (store, _kept) = $fresh;
                block_on(conformance::an_older_count_undoes_nothing(&store)).unwrap();
            }

            #[test]
            fn a_checkpoint_never_moves_back() {
                let (store, _kept) = $fresh;
                block_on(conformance::a_checkpoint_never_moves_back(&store)).unwrap();
            }
        }
    };
}

// One line a store.
#[cfg(feature = "embedded")]
conforms!(embedded, embedded_store(), cases: 12);
conforms!(memory, (MemoryStore::default(), ()), cases: 256);
