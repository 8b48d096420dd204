//! `check` finds damage in the tables, a dry run changes nothing, and `repair` removes the damage:
//! after it the store is equal to an undamaged model. Also loads of archives that share more ids
//! than one partition of copies has.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::refresh;
use divvy::store::{Republish as _, Store, Trips as _, Unload as _};
use divvy::tally::Totals;
use divvy_aws::DynamoStore;
use divvy_aws::tables::Layout;
use divvy_testkit::cases::{minute, system};
use divvy_testkit::{MemoryStore, contents};
use throttling_dynamodb::Emulator;

use crate::fixture::{
    Item, LAYOUTS, archive, delete, drain, emulator, items, load, open, put, row, text,
};

#[tokio::test(start_paused = true)]
async fn archives_that_repeat_more_ids_than_one_partition_has_are_as_in_the_model() {
    // A partition has the copies of 8,192 trips, two each; a segment of duplicates 8,192 copies.
    const N: u64 = 9_000;
    let first = archive("a.zip", (0..N).map(|n| row(n, 1000 - n as i32 % 2)));
    let second = archive("b.zip", (0..N + 10).map(|n| row(n, 999 + n as i32 % 2)));
    let third = archive("c.zip", (0..N).map(|n| row(n, 2000)));
    for layout in LAYOUTS {
        let local = emulator();
        let store = open(&local, layout).await;
        let model = MemoryStore::default();
        for archive in [&first, &second, &third] {
            for store in [&store as &dyn Store, &model] {
                load(store, archive).await;
                drain(store).await;
            }
        }
        assert!(
            contents(&store).await == contents(&model).await,
            "{layout} loaded"
        );
        // The duplicates of the first archive become stored again: more than one partition has.
        for gone in [&second, &first] {
            let content = [gone.id().content];
            store.unload(&system().id, &content, false).await.unwrap();
            model.unload(&system().id, &content, false).await.unwrap();
            drain(&store).await;
            drain(&model).await;
            assert!(
                contents(&store).await == contents(&model).await,
                "{layout} unloaded"
            );
        }
        assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    }
}

/// Reads all items of all tables in a form that can be compared.
async fn everything(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["TripData", "LoadLedger", "FromStationCounts", "StationData"] {
        for item in items(client, table).await {
            let sorted: BTreeMap<_, _> = item.into_iter().collect();
            all.push(format!("{table} {sorted:?}"));
        }
    }
    all.sort();
    all
}

/// Finds the first chunk of a kind of section, of the store or of an archive.
async fn part(client: &Client, kind: &str, of_store: bool) -> Item {
    let parts = items(client, "LoadLedger").await.into_iter();
    let mut parts = parts.filter(|item| {
        text(item, "part").contains(&format!("#{kind}#"))
            && (text(item, "archive") == "#store") == of_store
    });
    parts.next().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    StrayTrip,
    StrayPart,
    TotalsOfStore,
    TotalsOfArchive,
    CubeOfArchive,
    Ids,
    WrongCount,
    MissingCount,
    UnreadableCount,
    UnreadableStation,
    MissingStation,
    CopiedTrip,
    StartOfBlock,
    NumberOfBlock,
}

const DAMAGES: [Damage; 14] = [
    Damage::StrayTrip,
    Damage::StrayPart,
    Damage::TotalsOfStore,
    Damage::TotalsOfArchive,
    Damage::CubeOfArchive,
    Damage::Ids,
    Damage::WrongCount,
    Damage::MissingCount,
    Damage::UnreadableCount,
    Damage::UnreadableStation,
    Damage::MissingStation,
    Damage::CopiedTrip,
    Damage::StartOfBlock,
    Damage::NumberOfBlock,
];

/// Damages the tables.
async fn damage(client: &Client, what: Damage) {
    // Readable, but wrong.
    let other = zstd::bulk::compress(&postcard::to_stdvec(&Totals::default()).unwrap(), 3).unwrap();
    match what {
        Damage::StrayTrip => {
            let mut item = items(client, "TripData").await.remove(0);
            let key = text(&item, "trip_id");
            // A block of an abandoned generation; a row of an abandoned archive.
            let key = match item.contains_key("block") {
                true => {
                    let (rest, part) = key.rsplit_once('#').unwrap();
                    format!("{}-99#{part}", rest.rsplit_once('-').unwrap().0)
                }
                false => format!("X{key}"),
            };
            item.insert("trip_id".into(), AttributeValue::S(key));
            if !item.contains_key("block") {
                let mark = AttributeValue::S("0123456789abcdef".into());
                item.insert("archive".into(), mark);
            }
            put(client, "TripData", item).await;
        }
        Damage::StrayPart => {
            let mut item = part(client, "ids", false).await;
            item.insert("part".into(), AttributeValue::S("000099#ids#000".into()));
            put(client, "LoadLedger", item).await;
        }
        Damage::TotalsOfStore => {
            let mut item = part(client, "totals", true).await;
            item.insert("bytes".into(), AttributeValue::B(Blob::new(other)));
            put(client, "LoadLedger", item).await;
        }
        Damage::TotalsOfArchive => {
            let mut item = part(client, "totals", false).await;
            item.insert("bytes".into(), AttributeValue::B(Blob::new(other)));
            put(client, "LoadLedger", item).await;
        }
        Damage::CubeOfArchive => {
            delete(client, "LoadLedger", &part(client, "cube", false).await).await;
        }
        Damage::Ids => {
            delete(client, "LoadLedger", &part(client, "ids", false).await).await;
        }
        Damage::WrongCount => {
            let mut item = items(client, "FromStationCounts").await.remove(0);
            item.insert("from_count".into(), AttributeValue::N("7".into()));
            put(client, "FromStationCounts", item).await;
        }
        Damage::MissingCount => {
            let item = items(client, "FromStationCounts").await.remove(0);
            delete(client, "FromStationCounts", &item).await;
        }
        Damage::UnreadableCount => {
            let mut item = items(client, "FromStationCounts").await.remove(0);
            item.insert("from_count".into(), AttributeValue::S("many".into()));
            put(client, "FromStationCounts", item).await;
        }
        Damage::UnreadableStation => {
            let mut item = items(client, "StationData").await.remove(0);
            item.insert("origin_ids".into(), AttributeValue::S("35".into()));
            item.remove("aliases");
            put(client, "StationData", item).await;
        }
        Damage::MissingStation => {
            let item = items(client, "StationData").await.remove(0);
            delete(client, "StationData", &item).await;
        }
        Damage::CopiedTrip => {
            let mut item = items(client, "TripData").await.remove(0);
            let key = match text(&item, "trip_id").rsplit_once('#') {
                Some((key, _)) => format!("{key}#99"),
                None => "X".into(),
            };
            item.insert("trip_id".into(), AttributeValue::S(key));
            put(client, "TripData", item).await;
        }
        Damage::StartOfBlock => {
            let mut item = items(client, "TripData").await.remove(0);
            let start = AttributeValue::S("2019-01-01T00:00:00+00:00".into());
            item.insert("started_at".into(), start);
            put(client, "TripData", item).await;
        }
        Damage::NumberOfBlock => {
            let mut item = items(client, "TripData").await.remove(0);
            item.insert("n".into(), AttributeValue::N("999".into()));
            put(client, "TripData", item).await;
        }
    }
}

/// Loads two archives that have copies of the same trips, into a store and into a model.
async fn loaded(local: &Emulator, layout: Layout) -> (DynamoStore, MemoryStore) {
    let store = open(local, layout).await;
    let model = MemoryStore::default();
    let archives = [
        archive("a.zip", (0..60).map(|n| row(n, 1000))),
        archive("b.zip", (40..90).map(|n| row(n, 1000 - n as i32 % 2))),
    ];
    for archive in &archives {
        for store in [&store as &dyn Store, &model] {
            load(store, archive).await;
            drain(store).await;
        }
    }
    (store, model)
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_found_and_mended() {
    for (layout, what) in LAYOUTS
        .into_iter()
        .flat_map(|layout| DAMAGES.map(|what| (layout, what)))
        .filter(|(layout, what)| {
            let is_of_block = matches!(what, Damage::StartOfBlock | Damage::NumberOfBlock);
            !is_of_block || *layout == Layout::Packed
        })
    {
        let local = emulator();
        let client = Client::new(&local.sdk_config());
        let (store, model) = loaded(&local, layout).await;
        let sound = store.check().await.unwrap();
        assert_eq!(sound.faults, Vec::<String>::new());
        let none = store.repair(false, minute(1)).await.unwrap();
        assert_eq!(none.done, Vec::<String>::new(), "{layout}");

        damage(&client, what).await;
        // Another process, without cached values.
        let store = open(&local, layout).await;
        let found = store.check().await.unwrap();
        assert_ne!(found, sound, "{layout} {what:?}");

        let before = everything(&client).await;
        let dry = store.repair(true, minute(1)).await.unwrap();
        assert_eq!(everything(&client).await, before, "{layout} {what:?}");
        assert_ne!(dry.done, Vec::<String>::new(), "{layout} {what:?}");

        let repaired = store.repair(false, minute(1)).await.unwrap();
        assert_eq!(repaired, dry, "{layout} {what:?}");
        assert_eq!(repaired.to_load_again, []);
        drain(&store).await;
        let checked = store.check().await.unwrap();
        assert_eq!(checked, sound, "{layout} {what:?}: {:?}", repaired.done);
        let names = contents(&model).await.totals.names;
        let mut repaired_contents = contents(&store).await;
        if what == Damage::TotalsOfArchive || what == Damage::CubeOfArchive {
            repaired_contents.totals.names = names; // no trip has names: they are lost with the totals
        }
        assert_eq!(
            repaired_contents,
            contents(&model).await,
            "{layout} {what:?}"
        );
        let again = store.repair(false, minute(2)).await.unwrap();
        assert_eq!(again.done, Vec::<String>::new(), "{layout} {what:?}");

        // Later loads are not affected.
        let last = archive("c.zip", (80..95).map(|n| row(n, 1)));
        load(&store, &last).await;
        load(&model, &last).await;
        drain(&store).await;
        drain(&model).await;
        assert_eq!(contents(&store).await.trips, contents(&model).await.trips);
        assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn an_archive_whose_trips_are_gone_is_to_be_loaded_again() {
    for layout in LAYOUTS {
        let local = emulator();
        let client = Client::new(&local.sdk_config());
        let (store, model) = loaded(&local, layout).await;
        let second = archive("b.zip", (40..90).map(|n| row(n, 1000 - n as i32 % 2)));
        let mark: String = second.id().content.to_string().chars().take(16).collect();
        let trips = items(&client, "TripData").await;
        let of_second = trips.iter().find(|item| match layout {
            Layout::Rows => text(item, "archive") == mark,
            Layout::Packed => text(item, "trip_id").contains(&mark),
        });
        delete(&client, "TripData", of_second.unwrap()).await;
        assert_ne!(store.check().await.unwrap().faults, Vec::<String>::new());

        let repaired = store.repair(false, minute(1)).await.unwrap();
        assert_eq!(repaired.to_load_again.len(), 1, "{layout}");
        assert_eq!(repaired.to_load_again[0].name, "b.zip", "{layout}");
        let content = [second.id().content];
        store.unload(&system().id, &content, false).await.unwrap();
        load(&store, &second).await;
        drain(&store).await;
        assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
        assert_eq!(contents(&store).await, contents(&model).await, "{layout}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trip_under_another_id_is_found() {
    let local = emulator();
    let client = Client::new(&local.sdk_config());
    let (_, model) = loaded(&local, Layout::Rows).await;
    let mut trip = items(&client, "TripData").await.remove(0);
    delete(&client, "TripData", &trip).await;
    trip.insert("trip_id".into(), AttributeValue::S("X".into()));
    put(&client, "TripData", trip).await;
    let store = open(&local, Layout::Rows).await;
    let faults = store.check().await.unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");

    let repaired = store.repair(false, minute(1)).await.unwrap();
    let name = &repaired.to_load_again[0].name;
    let archives = [
        archive("a.zip", (0..60).map(|n| row(n, 1000))),
        archive("b.zip", (40..90).map(|n| row(n, 1000 - n as i32 % 2))),
    ];
    let damaged = archives.iter().find(|archive| archive.name == *name);
    let damaged = damaged.unwrap();
    let content = [damaged.id().content];
    store.unload(&system().id, &content, false).await.unwrap();
    load(&store, damaged).await;
    drain(&store).await;
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    assert_eq!(contents(&store).await.trips, contents(&model).await.trips);
}

#[tokio::test(start_paused = true)]
async fn a_copied_trip_of_an_archive_that_repeats_ids_is_deleted() {
    let local = emulator();
    let client = Client::new(&local.sdk_config());
    let store = open(&local, Layout::Rows).await;
    let repeated = (0..60).chain(0..8).map(|n| row(n, 1000));
    load(&store, &archive("a.zip", repeated)).await;
    drain(&store).await;
    let sound = store.check().await.unwrap();
    let mut trip = items(&client, "TripData").await.remove(0);
    trip.insert("trip_id".into(), AttributeValue::S("X".into()));
    put(&client, "TripData", trip).await;
    assert_ne!(store.check().await.unwrap().faults, Vec::<String>::new());
    let repaired = store.repair(false, minute(1)).await.unwrap();
    assert_eq!(repaired.to_load_again, []);
    assert_eq!(store.check().await.unwrap(), sound);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_without_its_state_is_refused() {
    for layout in LAYOUTS {
        let local = emulator();
        let client = Client::new(&local.sdk_config());
        drop(loaded(&local, layout).await);
        let mut state = items(&client, "LoadLedger").await;
        state.retain(|item| text(item, "archive") == "#store" && text(item, "part") == "state");
        delete(&client, "LoadLedger", &state[0]).await;
        let store = open(&local, layout).await;
        let damaged = divvy::store::StoreErrorKind::Damaged;
        assert_eq!(store.check().await.unwrap_err().kind, damaged);
        assert_eq!(
            store.repair(false, minute(1)).await.unwrap_err().kind,
            damaged
        );
        let third = archive("c.zip", (90..99).map(|n| row(n, 1000)));
        let incoming = store.begin(&third.id()).await.unwrap();
        for (member, batch) in third.batches() {
            incoming.write(member, batch).unwrap();
        }
        let refused = incoming.commit(third.read(minute(0)), &()).await;
        assert_eq!(refused.unwrap_err().kind, damaged);

        // The whole ledger.
        for item in items(&client, "LoadLedger").await {
            delete(&client, "LoadLedger", &item).await;
        }
        let faults = store.check().await.unwrap().faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(
            store.repair(false, minute(1)).await.unwrap_err().kind,
            damaged
        );
    }
}

/// Counts the requests so far.
fn requests(local: &Emulator) -> u64 {
    local.meter().operations.values().sum()
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_is_killed_is_repeated() {
    for layout in LAYOUTS {
        // At each of its requests, until one is not killed.
        for steps in 1.. {
            let local = emulator();
            let client = Client::new(&local.sdk_config());
            let (_, model) = loaded(&local, layout).await;
            for what in [
                Damage::StrayTrip,
                Damage::StrayPart,
                Damage::TotalsOfStore,
                Damage::Ids,
                Damage::WrongCount,
            ] {
                damage(&client, what).await;
            }
            let killed = open(&local, layout).await;
            let before = requests(&local);
            let over = async {
                while requests(&local) < before + 5 * steps {
                    tokio::task::yield_now().await;
                }
            };
            let is_done = tokio::select! {
                biased;
                () = over => false,
                repaired = killed.repair(false, minute(1)) => {
                    repaired.unwrap();
                    true
                }
            };
            let store = open(&local, layout).await;
            store.repair(false, minute(1)).await.unwrap();
            drain(&store).await;
            let checked = store.check().await.unwrap();
            assert_eq!(checked.faults, Vec::<String>::new(), "{layout} {steps}");
            assert_eq!(checked.facts.len(), 2, "{checked:?}");
            assert_eq!(
                contents(&store).await,
                contents(&model).await,
                "{layout} {steps}"
            );
            if is_done {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_never_catches_up_is_waited_for_a_quarter_of_an_hour() {
    for layout in LAYOUTS {
        let local = emulator();
        let client = Client::new(&local.sdk_config());
        let (store, model) = loaded(&local, layout).await;
        // As if the index lagged: it has fewer trips from this station than the ledger states.
        let trips = items(&client, "TripData").await;
        let from_35 = |item: &&Item| text(item, "from_station_id") == "35";
        delete(&client, "TripData", trips.iter().find(from_35).unwrap()).await;
        store.republish_all(&system().id).await.unwrap();

        let uncounted = |refreshed: refresh::Refreshed| -> Vec<String> {
            let ids = refreshed.uncounted.into_iter();
            ids.map(|uncounted| uncounted.id.to_string()).collect()
        };
        let right = contents(&model).await.counts["35"];
        for _ in 0..2 {
            let refreshed = store.refresh_missing(minute(1)).await.unwrap();
            assert_eq!(uncounted(refreshed), ["35"], "{layout}");
            assert_eq!(contents(&store).await.counts["35"], right);
            assert_eq!(store.lagging_counts().await.unwrap(), Vec::<String>::new());
        }

        let notes = items(&client, "LoadLedger").await.into_iter();
        let mut notes = notes.filter(|item| text(item, "archive") == "#behind");
        let mut note = notes.next().unwrap();
        let mut said: serde_json::Value = serde_json::from_str(text(&note, "said")).unwrap();
        let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(16);
        said["since"] = ago.to_string().into();
        note.insert("said".into(), AttributeValue::S(said.to_string()));
        put(&client, "LoadLedger", note).await;
        let refreshed = store.refresh_missing(minute(2)).await.unwrap();
        assert_eq!(uncounted(refreshed), Vec::<String>::new(), "{layout}");
        assert!(contents(&store).await.counts["35"] < right, "{layout}");
        let given_up = store.lagging_counts().await.unwrap();
        assert!(
            given_up[0].starts_with("from_count of 35 is "),
            "{given_up:?}"
        );
        let faults = store.check().await.unwrap().faults;
        assert!(faults.contains(&given_up[0]), "{faults:?}");

        store.repair(false, minute(3)).await.unwrap();
        assert_eq!(contents(&store).await.counts["35"], right, "{layout}");
        assert_eq!(store.lagging_counts().await.unwrap(), Vec::<String>::new());
    }
}
