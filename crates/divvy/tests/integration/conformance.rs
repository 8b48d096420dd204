//! Every store fulfils the same laws.

use divvy_testkit::MemoryStore;
use divvy_testkit::conforms;
use divvy_testkit::{cases, conformance};
use futures_executor::block_on;
use proptest::prelude::*;

#[cfg(feature = "embedded")]
fn embedded_store() -> (divvy::store::embedded::EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("the disk has room");
    let store = divvy::store::embedded::EmbeddedStore::open(folder.path()).expect("a new folder");
    (store, folder)
}

/// What is stored of one system does not change another, in a store that keeps several.
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
    use divvy::refresh;
    use divvy::reports::REPORTS;
    use divvy::store::{Store, StoreError, Unload};
    use divvy_testkit::cases::{Step, minute, system};
    use divvy_testkit::simulator;

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
                    store.republish_all(&system().id).await?;
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

    /// Answers every report to every question; a refused filter is an answer, too.
    fn answers(store: &dyn Store) -> Vec<String> {
        let questions = 0..simulator::questions().len();
        (0..REPORTS.len())
            .flat_map(|report| questions.clone().map(move |question| (report, question)))
            .map(|(report, question)| {
                block_on(simulator::answer(store, report, question)).expect("no store fails here")
            })
            .collect()
    }

    /// Makes archives differ in name, so that none supersedes another.
    fn keep_all(steps: &mut [Step]) {
        for (place, step) in steps.iter_mut().enumerate() {
            if let Step::Load(archive) = step {
                archive.name = format!("{place}.zip");
                archive.replace = false;
            }
        }
    }

    /// What a store holds, versions and times aside.
    fn holdings(store: &dyn Store) -> Result<Vec<String>, StoreError> {
        let id = system().id;
        let mut held = answers(store);
        // It lists a feed's own id, too, where it was polled before trips were found to be its.
        held.retain(|answer| !answer.starts_with("from-counts"));
        let counts = block_on(store.counts(&id))?;
        let totals = block_on(store.totals(&id))?;
        // A store may keep the row of a station whose last trip was replaced by a better copy.
        let stations = divvy::stations::identity::in_use(block_on(store.stations(&id))?, &totals);
        for station in &stations {
            for id in station.counted_ids() {
                let count = counts.iter().find(|count| count.from_station_id == id);
                // An id without a count has 0, as in the report. Whether a 0 is stored depends on
                // the order in which trips and feeds came.
                let from_count = count.map_or(0, |count| count.from_count);
                held.push(format!("{id}: {from_count}"));
            }
        }
        for entry in block_on(store.entries(&id))? {
            let (name, n, rejected) = (&entry.id.name, entry.stored, &entry.rejected);
            held.push(format!("{name}: {n} {rejected:?} {:?}", entry.flagged));
        }
        for mut station in stations {
            station.trips_version = None;
            held.push(format!("{station:?}"));
        }
        held.push(format!("{totals:?}"));
        Ok(held)
    }

    /// Law 8: unloaded archives leave the store as if they had never been loaded.
    fn unloaded_is_never_loaded<S: Store + Unload>(
        store: &S,
        without: &S,
        mut steps: Vec<Step>,
        goes: &[bool],
    ) -> Result<(), StoreError> {
        keep_all(&mut steps);
        // Of two archives of one content the first is loaded, so both go or both stay.
        let mut stay = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            if let Step::Load(archive) = step
                && !goes[place % goes.len()]
            {
                stay.push(archive.id().content);
            }
        }
        let (mut rest, mut gone) = (Vec::new(), Vec::new());
        for step in &steps {
            match step {
                Step::Load(archive) if !stay.contains(&archive.id().content) => {
                    gone.push(archive.id().content);
                }
                _ => rest.push(step.clone()),
            }
        }
        block_on(undergo(store, &steps))?;
        let before = holdings(store)?;
        let dry = block_on(store.unload(&system().id, &gone, true))?;
        assert_eq!(holdings(store)?, before, "a dry run changes nothing");
        assert_eq!(block_on(store.unload(&system().id, &gone, false))?, dry);
        block_on(undergo(store, &[]))?;
        block_on(undergo(without, &rest))?;
        let (unloaded, never_loaded) = (holdings(store)?, holdings(without)?);
        for (one, other) in unloaded.iter().zip(&never_loaded) {
            assert_eq!(one, other);
        }
        assert_eq!(unloaded.len(), never_loaded.len());
        Ok(())
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

        #[test]
        fn unloaded_in_a_folder_is_never_loaded(
            steps in cases::steps(),
            goes in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let (store, _kept) = embedded_store();
            let (without, _kept_too) = embedded_store();
            unloaded_is_never_loaded(&store, &without, steps, &goes).unwrap();
            let checked = store.check(&|_, _| ()).unwrap();
            prop_assert_eq!(checked.faults, [""; 0]);
        }

        #[test]
        fn unloaded_from_memory_is_never_loaded(
            steps in cases::steps(),
            goes in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let (store, without) = (MemoryStore::default(), MemoryStore::default());
            unloaded_is_never_loaded(&store, &without, steps, &goes).unwrap();
        }
    }
}
