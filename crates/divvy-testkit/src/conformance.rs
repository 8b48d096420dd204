//! The laws that every store has to fulfil, as functions. A store's tests call each of them on an
//! empty store, with inputs from [`cases`](crate::cases). The expected result is computed here by
//! the simplest possible code.
//!
//! The functions panic where the store breaks the law.

use std::collections::BTreeMap;
use std::sync::Mutex;

use divvy::model::{
    Availability, Snapshot, SnapshotKind, Station, StationAlias, StationSource, System,
};
use divvy::refresh::{self, Recounter};
use divvy::stations::corrections::{Correction, Named};
use divvy::store::{Change, ContentHash, FromStationCount, Store, StoreError};
use divvy::tally::Totals;

use crate::assertions::{
    assert_aliases, assert_counts, assert_rejected, assert_same, assert_stream, assert_versions,
    changed_origins,
};
use crate::cases::{Archive, Row, Step, minute, system};
use crate::driver::{drain_changes, load, load_as, stored, stored_by_archive};
use crate::model::{FeedModel, Model};

/// A failure of the store itself is returned. A broken law is a panic.
type Done = Result<(), StoreError>;

/// Laws 1 to 3 against a plain count: after every archive the store holds one copy of each trip,
/// the right one; its totals are those of the trips it holds; every row of every archive is
/// stored or rejected; and a scan finds as many trips of each archive as its ledger entry says.
pub async fn one_copy_of_each_trip_is_stored(store: &dyn Store, archives: &[Archive]) -> Done {
    let mut model = Model::default();
    for archive in archives {
        let told = Mutex::default();
        let before = model.clone();
        let entry = load(store, archive, &told).await?;
        model.load(archive);
        assert_same(store, &model).await?;

        let listed = store.entries(&system().id).await?;
        assert!(listed.contains(&entry), "an entry as it was returned");
        let content = archive.id().content;
        assert_eq!(store.holding(&system().id, content).await?, Some(entry));
        let stored = listed.iter().map(|entry| (entry.id.content, entry.stored));
        let stored: BTreeMap<ContentHash, u64> = stored.filter(|(_, trips)| *trips > 0).collect();
        assert_eq!(stored_by_archive(store).await?, stored);
        let told = told.into_inner().expect("nobody panicked with it");
        assert_rejected(&told, &before, &model, archive);
    }
    Ok(())
}

/// Law 2: loading an archive a second time changes nothing, and returns the same ledger entry as
/// the first time.
pub async fn loading_twice_changes_nothing(store: &dyn Store, archives: &[Archive]) -> Done {
    let mut model = Model::default();
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
        model.load(archive);
    }
    let changes = drain_changes(store, "once").await?;
    let entries = store.entries(&system().id).await?;
    let stations = store.stations(&system().id).await?;
    for archive in archives {
        if !model.contains(archive) {
            continue;
        }
        let again = Archive {
            name: "another name.zip".into(),
            ..archive.clone()
        };
        let told = Mutex::default();
        let entry = load(store, &again, &told).await?;
        assert_eq!(told.into_inner().expect("nobody panicked with it"), []);
        assert!(entries.contains(&entry));
    }
    assert_same(store, &model).await?;
    assert_eq!(store.entries(&system().id).await?, entries);
    assert_eq!(store.stations(&system().id).await?, stations);
    assert_eq!(drain_changes(store, "twice").await?, changes);
    Ok(())
}

/// Law 3: the same rows, dealt to other archives and loaded from the last to the first, make the
/// same trips and the same totals.
pub async fn any_split_in_any_order_is_the_same(
    store: &dyn Store,
    other: &dyn Store,
    archives: &[Archive],
    deal: &[usize],
) -> Done {
    let keep_all = |archive: &Archive| Archive {
        replace: false,
        ..archive.clone()
    };
    let mut dealt: Vec<Vec<Row>> = vec![Vec::new(); 3];
    let rows = archives.iter().flat_map(Archive::rows);
    for ((_, row), hand) in rows.zip(deal.iter().cycle()) {
        dealt[hand % 3].push(row.clone());
    }
    for archive in archives {
        load(store, &keep_all(archive), &Mutex::default()).await?;
    }
    for (hand, mut rows) in dealt.into_iter().enumerate() {
        rows.reverse();
        let middle = rows.len() / 2;
        let second = rows.split_off(middle);
        let archive = Archive {
            name: format!("{hand}.csv"),
            members: vec![second, rows],
            unreadable: 0,
            batch: hand + 1,
            replace: false,
        };
        load(other, &archive, &Mutex::default()).await?;
    }
    assert_eq!(stored(store).await?, stored(other).await?);
    let (totals, others) = (
        store.totals(&system().id).await?,
        other.totals(&system().id).await?,
    );
    assert_eq!(totals, others);
    Ok(())
}

/// Does some steps, and returns the stations that they end in. Left out is what depends on their order:
/// versions of trips, report times, which are written late, and states of stations that the newest
/// snapshot lacks.
///
/// # Errors
///
/// Those of the store.
pub async fn stations_after(
    store: &dyn Store,
    steps: impl IntoIterator<Item = Step>,
) -> Result<Vec<Station>, StoreError> {
    let id = system().id;
    for step in steps {
        match step {
            Step::Load(archive) => {
                load(store, &archive, &Mutex::default()).await?;
            }
            Step::Describe(listed) => {
                store.describe(&system(), &listed).await?;
            }
            Step::Poll(snapshot) => {
                store.apply(&snapshot, snapshot.taken_at).await?;
            }
            other => panic!("{other:?} changes no station"),
        }
    }
    let listed = store.feed(&id).await?.map(|feed| feed.listed);
    let mut stations = store.stations(&id).await?;
    for station in &mut stations {
        station.trips_version = None;
        station.reported_at = None;
        if listed
            .as_ref()
            .is_some_and(|listed| !listed.contains(&station.id))
        {
            station.status = None;
            station.available = Availability::default();
        }
    }
    Ok(stations)
}

/// Laws 4 and 5, and the promises of the change stream: whatever happens in whatever order, the
/// stream tells exactly what changed, and once it is drained every count is that of the trips,
/// even where the handler got changes twice or late.
pub async fn counts_follow_the_stream(store: &dyn Store, steps: &[Step]) -> Done {
    let id = system().id;
    let mut model = Model::default();
    let mut feed = FeedModel::default();
    let mut history: Vec<Change> = Vec::new();
    for step in steps {
        let before = store.stations(&id).await?;
        let trips_before = model.trips();
        match step {
            Step::Load(archive) => {
                load(store, archive, &Mutex::default()).await?;
                model.load(archive);
            }
            Step::Poll(snapshot) => {
                let applied = store.apply(snapshot, snapshot.taken_at).await?;
                feed.assert_applied(snapshot, &applied);
                feed.assert_reported(&store.stations(&id).await?);
                let known = store.feed(&id).await?.expect("a snapshot has been applied");
                assert_eq!(known.status_at, feed.status_at);
                assert_eq!(known.information_at, feed.information_at);
                assert_eq!(known.listed, feed.listed);
            }
            Step::Describe(listed) => {
                store.describe(&system(), listed).await?;
                feed.assert_reported(&store.stations(&id).await?);
            }
            Step::TouchAll => {
                let touched = store.republish_all(&id).await?;
                assert_eq!(touched, before.len() as u64);
            }
            Step::Drain => {
                refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
                assert_counts(store, &model).await?;
            }
            Step::Redeliver { skip, take } => {
                let late = history.iter().skip(*skip).take(*take).rev().cloned();
                refresh::handle(Recounter::of(store), &late.collect::<Vec<_>>(), minute(0)).await?;
            }
        }
        let after = store.stations(&id).await?;
        let changes = drain_changes(store, "watch").await?;
        assert_stream(&before, &after, &changes);
        let feed = store.feed(&id).await?;
        let listed = feed.map(|feed| feed.listed).unwrap_or_default();
        assert_aliases(&after, &listed, &store.totals(&id).await?);
        assert_versions(
            &before,
            &after,
            &changed_origins(&trips_before, &model.trips()),
        );
        history.extend(changes);
    }
    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_counts(store, &model).await?;

    // All of it once more, from the start, by a consumer that has acknowledged nothing.
    refresh::drain(store, "newcomer", minute(0)).await?;
    refresh::handle(Recounter::of(store), &history, minute(0)).await?;
    assert_counts(store, &model).await?;
    let again = refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_eq!(again, refresh::Refreshed::default());
    Ok(())
}

/// Polls cost no recount where no trips changed, and a refresh of everything recounts everything.
pub async fn only_stations_whose_trips_changed_are_recounted(
    store: &dyn Store,
    archives: &[Archive],
    polls: &[Snapshot],
) -> Done {
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
    }
    for snapshot in polls {
        store.apply(snapshot, snapshot.taken_at).await?;
    }
    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    for round in 0..3_u32 {
        let mut stations = store.stations(&system().id).await?;
        stations.retain(|row| row.source == StationSource::Feed);
        for station in &mut stations {
            station.available.docks = Some(100 + round);
        }
        let poll = Snapshot {
            system: system(),
            taken_at: minute(1000 + i64::from(round)),
            kind: SnapshotKind::Status,
            stations,
            by_type: Default::default(),
        };
        store.apply(&poll, poll.taken_at).await?;
        let refreshed = refresh::drain(store, refresh::CONSUMER, minute(1)).await?;
        if round == 0 {
            // Stations that are listed again take trips from rows that are not in the poll: these
            // change, too.
            assert!(
                refreshed.stations >= poll.stations.len() as u64,
                "{refreshed:?}"
            );
        } else {
            assert_eq!(refreshed.stations, poll.stations.len() as u64);
            assert_eq!(refreshed.recounted, 0);
        }
    }
    let stations = store.stations(&system().id).await?;
    let all = refresh::refresh_all(store, &system().id, minute(2)).await?;
    assert_eq!(all.stations, stations.len() as u64);
    assert_eq!(all.skipped, 0);
    for count in store.counts(&system().id).await? {
        let carried = |row: &Station| row.counted_ids().contains(&count.from_station_id);
        if stations.iter().any(carried) {
            assert_eq!(count.refreshed_at, minute(2), "{count:?}");
        }
    }
    Ok(())
}

/// Law 6, as far as one process can show it: what is not committed does not exist.
pub async fn what_is_not_committed_does_not_exist(store: &dyn Store, archives: &[Archive]) -> Done {
    for archive in archives {
        let incoming = store.begin(&archive.id()).await?;
        for (member, batch) in archive.batches() {
            incoming.write(member, batch)?;
        }
    }
    assert_same(store, &Model::default()).await?;
    assert_eq!(store.systems().await?, []);
    assert_eq!(store.stations(&system().id).await?, []);
    assert_eq!(store.changes("watch", 10).await?, []);
    one_copy_of_each_trip_is_stored(store, archives).await
}

/// What is stored of one system does not change another, and all share one change stream.
pub async fn systems_are_apart(store: &dyn Store, archives: &[Archive], poll: &Snapshot) -> Done {
    let other = System::named("citibike").expect("the table has it");
    let mut model = Model::default();
    for archive in archives {
        load(store, archive, &Mutex::default()).await?;
        model.load(archive);
    }
    let mut elsewhere = poll.clone();
    elsewhere.system = other.clone();
    store.apply(&elsewhere, elsewhere.taken_at).await?;
    assert_same(store, &model).await?;
    assert_eq!(store.feed(&system().id).await?, None);
    assert_eq!(store.totals(&other.id).await?, Totals::default());
    assert_eq!(store.entries(&other.id).await?, []);
    let rows = store.stations(&other.id).await?;
    assert_eq!(rows.len(), elsewhere.stations.len());

    let archive = Archive {
        replace: false,
        ..archives[0].clone()
    };
    let mut read = archive.read(minute(0));
    read.id.system = other.clone();
    load_as(store, &archive, read, &Mutex::default()).await?;
    let mut alone = Model::default();
    alone.load(&archive);
    assert_eq!(store.totals(&other.id).await?, alone.totals());
    assert_same(store, &model).await?;

    refresh::drain(store, refresh::CONSUMER, minute(0)).await?;
    assert_counts(store, &model).await?;
    let systems: Vec<_> = store.systems().await?.into_iter().map(|s| s.id).collect();
    assert_eq!(systems, [other.id, system().id]);
    Ok(())
}

/// A count of an older version undoes nothing; a newer one, or one of the same, replaces.
pub async fn an_older_count_undoes_nothing(store: &dyn Store) -> Done {
    let id = system().id;
    store
        .describe(&system(), &[Station::unknown("35".into())])
        .await?;
    let count = |from_count, trips_version, at| FromStationCount {
        from_station_id: "35".into(),
        from_count,
        trips_version,
        refreshed_at: minute(at),
    };
    for (put, kept) in [
        (count(0, None, 1), count(0, None, 1)),
        (count(7, Some(2), 2), count(7, Some(2), 2)),
        (count(5, Some(1), 3), count(7, Some(2), 2)),
        (count(0, None, 4), count(7, Some(2), 2)),
        (count(8, Some(2), 5), count(8, Some(2), 5)),
        (count(9, Some(10), 6), count(9, Some(10), 6)),
        (count(8, Some(9), 7), count(9, Some(10), 6)),
    ] {
        store.put_counts(&id, &[put]).await?;
        let found = store.counts_of(&id, &["76".into(), "35".into()]).await?;
        assert_eq!(found, [None, Some(kept.clone())]);
        assert_eq!(store.counts(&id).await?, [kept]);
    }
    Ok(())
}

/// Corrections of places are kept, and a change does not lose an earlier one.
pub async fn corrections_are_kept(store: &dyn Store) -> Done {
    store
        .describe(&system(), &[Station::unknown("35".into())])
        .await?;
    let id = system().id;
    assert!(store.corrections(&id).await?.is_empty());
    let named = |id: &str| Named {
        id: id.into(),
        name: Some("Lake St".into()),
    };
    let (split, link) = (named("35"), named("76"));
    store
        .change_corrections(&id, &|corrections| corrections.split(split.clone()))
        .await?;
    store
        .change_corrections(&id, &|corrections| {
            corrections.link(link.clone(), "35".into())
        })
        .await?;
    let kept = store.corrections(&id).await?;
    let alias = |id| StationAlias::new(id, "LAKE St");
    assert_eq!(
        kept.of(&alias("35")),
        Some(Correction::Split { is_named: true })
    );
    assert_eq!(kept.of(&alias("76")), Some(Correction::Link(&"35".into())));
    assert_eq!(kept.of(&StationAlias::from("35")), None);
    store
        .change_corrections(&id, &|corrections| {
            corrections.forget(&split);
            corrections.forget(&link);
        })
        .await?;
    assert!(store.corrections(&id).await?.is_empty());
    Ok(())
}

/// A checkpoint moves forward only, and each consumer has its own.
pub async fn a_checkpoint_never_moves_back(store: &dyn Store) -> Done {
    let listed: Vec<Station> = ["35", "517", "76"]
        .map(|id| Station::unknown(id.into()))
        .into();
    assert_eq!(store.describe(&system(), &listed).await?, 3);
    let all = store.changes("one", 10).await?;
    assert_eq!(all.len(), 3);
    assert_eq!(store.changes("one", 2).await?, all[..2]);
    store.acknowledge("one", all[1].sequence).await?;
    store.acknowledge("one", all[0].sequence).await?;
    assert_eq!(store.changes("one", 10).await?, all[2..]);
    assert_eq!(store.changes("two", 10).await?, all);
    store.acknowledge("one", all[2].sequence).await?;
    assert_eq!(store.changes("one", 10).await?, []);
    Ok(())
}

/// Holds a store to every law, as tests in a module of its name. `$fresh` makes a new one, with
/// what has to outlive it; `$block_on` runs a future to its end.
#[macro_export]
macro_rules! conforms {
    ($store:ident, $fresh:expr, block_on: $block_on:path, cases: $cases:expr) => {
        mod $store {
            use $block_on as block_on;
            use $crate::{cases, conformance};
            use proptest::prelude::*;

            use super::*;

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
            }

            #[test]
            fn an_older_count_undoes_nothing() {
                let (store, _kept) = $fresh;
                block_on(conformance::an_older_count_undoes_nothing(&store)).unwrap();
            }

            #[test]
            fn loads_lists_and_polls_in_any_order_end_in_the_same_stations() {
                let steps = cases::steps_of_any_order();
                let ends = cases::ORDERS.map(|order| {
                    let (store, _kept) = $fresh;
                    let steps = order.map(|step| steps[step].clone());
                    block_on(conformance::stations_after(&store, steps)).unwrap()
                });
                assert!(ends[0].len() >= 5, "{:#?}", ends[0]);
                for end in &ends[1..] {
                    assert_eq!(*end, ends[0]);
                }
            }

            #[test]
            fn corrections_are_kept() {
                let (store, _kept) = $fresh;
                block_on(conformance::corrections_are_kept(&store)).unwrap();
            }

            #[test]
            fn a_checkpoint_never_moves_back() {
                let (store, _kept) = $fresh;
                block_on(conformance::a_checkpoint_never_moves_back(&store)).unwrap();
            }
        }
    };
}
