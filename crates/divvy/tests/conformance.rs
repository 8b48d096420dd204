//! Every store is held to the same laws.

use divvy::conforms;
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

/// Systems know nothing of each other, in a store that keeps several.
macro_rules! keeps_several_systems {
    ($name:ident, $fresh:expr, cases: $cases:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig {
                cases: $cases,
                failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/proptest-regressions/conformance.txt"
                )))),
                ..ProptestConfig::default()
            })]

            #[test]
            fn $name(archives in cases::archives(), poll in cases::snapshot()) {
                let (store, _kept) = $fresh;
                block_on(conformance::systems_are_apart(&store, &archives, &poll)).unwrap();
            }
        }
    };
}

// One line a store.
#[cfg(feature = "embedded")]
conforms!(embedded, embedded_store(), block_on: futures_executor::block_on, cases: 12);
conforms!(memory, (MemoryStore::default(), ()), block_on: futures_executor::block_on, cases: 256);
#[cfg(feature = "embedded")]
keeps_several_systems!(embedded_keeps_several_systems, embedded_store(), cases: 12);
keeps_several_systems!(memory_keeps_several_systems, (MemoryStore::default(), ()), cases: 256);

/// Law 7: stores are held against each other.
#[cfg(feature = "embedded")]
mod embedded_and_memory {
    use divvy::model::Rider;
    use divvy::refresh;
    use divvy::reports::{self, Filters, REPORTS};
    use divvy::store::conformance::cases::{Step, minute, system};
    use divvy::store::{Store, StoreError};

    use super::*;

    /// Lets everything happen to a store, then drains the stream.
    async fn undergo(store: &dyn Store, steps: &[Step]) -> Result<(), StoreError> {
        for step in steps {
            match step {
                Step::Load(archive) => {
                    let incoming = store.begin(&archive.id()).await?;
                    for (member, batch) in archive.batches() {
                        incoming.write(member, batch)?;
                    }
                    incoming.commit(archive.read(minute(0)), &()).await?;
                }
                Step::Poll(snapshot) => {
                    store.apply(snapshot, snapshot.taken_at).await?;
                }
                Step::Describe(listed) => {
                    store.describe(&system(), listed).await?;
                }
                Step::TouchAll => {
                    store.touch_all(&system().id).await?;
                }
                // What is delivered again changes nothing: that is a law of its own.
                Step::Drain | Step::Redeliver { .. } => {
                    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
                }
            }
        }
        refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
        Ok(())
    }

    /// Answers every report as it may be asked for; one that refuses a filter says so.
    fn answers(store: &dyn Store) -> Vec<String> {
        let all = Filters::default();
        let narrowed = [
            all.clone(),
            Filters {
                rider: Some(Rider::parse("member")),
                ..all.clone()
            },
            Filters {
                bike: Some("electric".into()),
                to: Some(jiff::civil::date(2024, 1, 1)),
                ..all.clone()
            },
            Filters {
                station: Some("35".into()),
                ..all.clone()
            },
            Filters {
                top: Some(2),
                ..all
            },
        ];
        let mut answers = Vec::new();
        for report in REPORTS {
            for filters in &narrowed {
                let name = report.name();
                let mut answer = block_on(reports::report(name, store, &system(), filters));
                if let Ok(table) = &mut answer {
                    table.how.clear(); // one store may read fewer trips than another
                }
                answers.push(format!("{name} {filters:?}: {answer:#?}"));
            }
        }
        answers
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 24,
            failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/proptest-regressions/conformance.txt"
                )))),
            ..ProptestConfig::default()
        })]

        /// The same input gives the same reports.
        #[test]
        fn stores_give_the_same_reports(steps in cases::steps()) {
            let (embedded, _kept) = embedded_store();
            let memory = MemoryStore::default();
            block_on(undergo(&embedded, &steps)).unwrap();
            block_on(undergo(&memory, &steps)).unwrap();
            for (one, other) in answers(&embedded).into_iter().zip(answers(&memory)) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
