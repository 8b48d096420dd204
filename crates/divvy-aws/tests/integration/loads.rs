//! Loads with features of DynamoDB alone: capacity that is raised during a load, and trips that were
//! imported from S3.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use divvy::ingest::{self, LoadOptions, Loaded};
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::{CountsTable, Ledger};
use divvy_aws::duplicate_estimate::estimate_duplicates;
use divvy_aws::export::{Compression, ExportOptions, export};
use divvy_aws::plan::Prices;
use divvy_aws::store::LoadSettings;
use divvy_aws::tables::Capacity;
use divvy_aws::{DynamoStore, OpenOptions};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use throttling_dynamodb::{Emulator, Options};

fn options() -> LoadOptions {
    LoadOptions::new(Timestamp::UNIX_EPOCH)
}

fn archive(folder: &Path, trips: u64) -> Archive {
    archive_of(folder, "Divvy_Trips_2016_Q3Q4.zip", trips, 3)
}

fn archive_of(folder: &Path, name: &str, trips: u64, seed: u64) -> Archive {
    let path = folder.join(name);
    let sample = Sample {
        era: Era::Y2016,
        trips,
        seed,
    };
    let file = File::create(&path).unwrap();
    sample.write_zip(file, &mut |_| {}).unwrap();
    Archive::open(&path).unwrap()
}

fn local() -> Emulator {
    Emulator::open(Options {
        scratch: true,
        ..Options::default()
    })
    .unwrap()
}

async fn store(local: &Emulator, wcu: Option<u32>, loads: LoadSettings) -> DynamoStore {
    let store = DynamoStore::open(OpenOptions {
        http_client: Some(local.http_client()),
        capacity: match wcu {
            None => Capacity::OnDemand,
            Some(wcu) => Capacity::Provisioned { wcu, rcu: wcu },
        },
        ..OpenOptions::default()
    });
    store.await.unwrap().with_loads(loads, Arc::new(()))
}

async fn load(store: &DynamoStore, archive: &Archive) -> Result<Loaded, ingest::LoadError> {
    ingest::load(archive, store, &options(), &(), &()).await
}

async fn capacity(local: &Emulator) -> f64 {
    let store = store(local, None, LoadSettings::default()).await;
    store.tables().trip_data.table.write.rate
}

#[tokio::test(start_paused = true)]
async fn a_boost_ends_with_the_load_and_with_the_next_run_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 8000);
    let local = local();
    let boosted = LoadSettings {
        boost: Some(100),
        ..LoadSettings::default()
    };
    let first = store(&local, Some(5), boosted).await;
    // Killed in the middle: the future is dropped.
    let written = async {
        while first.used().trip_data.write < 5000.0 {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        _ = load(&first, &archive) => panic!("it is done before it could be killed"),
        () = written => {}
    }
    assert_eq!(capacity(&local).await, 100.0);

    // Other commands leave it while the load may still run, and restore it later.
    let other = store(&local, Some(5), LoadSettings::default()).await;
    let now = Timestamp::now();
    assert!(!other.restore_left_boost(now).await.unwrap());
    assert_eq!(capacity(&local).await, 100.0);

    let start = tokio::time::Instant::now();
    let second = store(&local, Some(5), LoadSettings::default()).await;
    let loaded = load(&second, &archive).await.unwrap();
    assert_eq!(loaded.entry.unwrap().stored, 8000);
    assert_eq!(capacity(&local).await, 5.0);
    // Progress is stored every half minute, at 100 writes a second; the others are done at 5.
    let seconds = start.elapsed().as_secs_f64();
    assert!((100.0..1300.0).contains(&seconds), "{seconds}");
    assert!(second.check().await.unwrap().faults.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_boost_is_raised_once_and_restored_at_the_end_or_by_a_later_command() {
    let folder = tempfile::tempdir().unwrap();
    let local = local();
    let boosted = || LoadSettings {
        boost: Some(100),
        ..LoadSettings::default()
    };
    let updates = |local: &Emulator| local.meter().operations["UpdateTable"];
    // Six archives of one command: one rise and one decrease. DynamoDB refuses the fifth of a day.
    let command = store(&local, Some(5), boosted()).await;
    for (n, seed) in (0..6).enumerate() {
        let archive = archive_of(folder.path(), &format!("{n}.zip"), 50, seed);
        load(&command, &archive).await.unwrap();
        assert_eq!(capacity(&local).await, 100.0);
    }
    assert_eq!(updates(&local), 1);
    command.end_boost().await.unwrap();
    command.end_boost().await.unwrap();
    assert_eq!((capacity(&local).await, updates(&local)), (5.0, 2));

    // Killed: the next command with a boost goes on with what is raised, and still knows the 5 units.
    let killed = store(&local, Some(5), boosted()).await;
    load(&killed, &archive_of(folder.path(), "6.zip", 50, 6))
        .await
        .unwrap();
    let again = store(&local, Some(5), boosted()).await;
    load(&again, &archive_of(folder.path(), "7.zip", 50, 7))
        .await
        .unwrap();
    assert_eq!(capacity(&local).await, 100.0);
    drop((killed, again));
    let later = Timestamp::now() + jiff::SignedDuration::from_mins(16);
    let other = store(&local, Some(5), LoadSettings::default()).await;
    assert!(other.restore_left_boost(later).await.unwrap());
    assert!(!other.restore_left_boost(later).await.unwrap());
    assert_eq!(capacity(&local).await, 5.0);

    // The fifth decrease within an hour is refused, in the words of the service. What is raised is
    // restored by a command an hour later.
    for decrease in 3..=5 {
        let command = store(&local, Some(5), boosted()).await;
        let name = format!("{}.zip", 10 + decrease);
        load(
            &command,
            &archive_of(folder.path(), &name, 50, 10 + decrease),
        )
        .await
        .unwrap();
        let ended = command.end_boost().await.map_err(|error| error.to_string());
        match decrease {
            5 => {
                insta::assert_snapshot!(ended.unwrap_err(), @r"TripData and its index keep the write units to which a load raised them, and these are paid for: change the capacity of TripData: DynamoDB refuses for now: Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. (LimitExceededException). The next divvy command tries again")
            }
            _ => ended.unwrap(),
        }
    }
    assert_eq!(capacity(&local).await, 100.0);
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert!(other.restore_left_boost(later).await.unwrap());
    assert_eq!(capacity(&local).await, 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_warmed_table_takes_the_load_at_once_and_is_warmed_once() {
    let folder = tempfile::tempdir().unwrap();
    let local = local();
    let archives = [
        archive_of(folder.path(), "1.zip", 40_000, 1),
        archive_of(folder.path(), "2.zip", 50, 2),
    ];
    let warm = |units| LoadSettings {
        warm: Some(units),
        ..LoadSettings::default()
    };
    let command = store(&local, None, warm(20_000)).await;
    let start = tokio::time::Instant::now();
    load(&command, &archives[0]).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    // A new table takes 4,000 write units a second: 10 s.
    assert!(seconds < 7.0, "{seconds}");
    load(&command, &archives[1]).await.unwrap();
    let updates = |local: &Emulator| local.meter().operations["UpdateTable"];
    assert_eq!(updates(&local), 1);
    let warmed = store(&local, None, warm(20_000)).await;
    let trips = &warmed.tables().trip_data;
    let rates = (trips.table.write.rate, trips.index.unwrap().write.rate);
    assert_eq!(rates, (20_000.0, 20_000.0));
    // What is warm enough is left.
    load(&warmed, &archive_of(folder.path(), "3.zip", 50, 3))
        .await
        .unwrap();
    assert_eq!(updates(&local), 1);
    let colder = store(&local, None, warm(100)).await;
    load(&colder, &archive_of(folder.path(), "4.zip", 50, 4))
        .await
        .unwrap();
    assert_eq!(updates(&local), 1);
    assert_eq!(colder.check().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_warmed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 50);
    let warm = || LoadSettings {
        warm: Some(50_000),
        ..LoadSettings::default()
    };
    let mut refused = Vec::new();
    for wcu in [Some(5), None] {
        let local = local();
        let store = store(&local, wcu, warm()).await;
        refused.push(load(&store, &archive).await.unwrap_err().to_string());
        assert_eq!(store.used().trip_data.write, 0.0);
    }
    insta::assert_snapshot!(refused.join("\n"), @r"
    TripData has provisioned capacity, which limits it whatever its warm throughput
    TripData or its index takes at most 40000 write units a second (a maximum that is configured, or the quota of an account): to be warm for more would be paid for in vain
    ");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_stores_its_progress() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 8000);
    let local = local();
    let store = store(&local, Some(100), LoadSettings::default()).await;
    let client = store.connection().retrying.clone();
    // Requests that can never succeed, at a moment that is no renewal of the lease.
    let broken = async {
        while store.used().trip_data.write < 40_500.0 / 8.0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let table = &store.tables().trip_data.name;
        client
            .delete_table()
            .table_name(table)
            .send()
            .await
            .unwrap();
    };
    let (loaded, ()) = tokio::join!(load(&store, &archive), broken);
    loaded.unwrap_err();
    let key = |text: &str| AttributeValue::S(text.into());
    let record = client.get_item().table_name(&store.tables().ledger.name);
    let record = record
        .key("archive", key("#store"))
        .key("part", key("load"));
    let record = record.send().await.unwrap().item.unwrap();
    let record: serde_json::Value = serde_json::from_str(record["said"].as_s().unwrap()).unwrap();
    let (done, written) = (
        record["done"].as_f64().unwrap(),
        store.used().trip_data.write,
    );
    // Not all writes that are sent are known to be done.
    assert!(
        (written - 200.0..=written).contains(&done),
        "{done} of {written}"
    );
}

/// Imports the objects of an export, as the service does.
async fn import(store: &DynamoStore, folder: &Path, leave_out: Option<&str>) {
    let table = &store.tables().trip_data.name;
    for object in fs::read_dir(folder.join("data")).unwrap() {
        let file = File::open(object.unwrap().path()).unwrap();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let attributes = line["Item"].as_object().unwrap().iter();
            let item: divvy_aws::item::Item = attributes
                .map(|(name, value)| {
                    let (kind, text) = value.as_object().unwrap().iter().next().unwrap();
                    let text = text.as_str().unwrap().to_owned();
                    let value = match kind.as_str() {
                        "S" => AttributeValue::S(text),
                        _ => AttributeValue::N(text),
                    };
                    (name.clone(), value)
                })
                .collect();
            let id = item["trip_id"].as_s().unwrap();
            if Some(id.as_str()) == leave_out {
                continue;
            }
            let client = &store.connection().retrying;
            let put = client.put_item().table_name(table).set_item(Some(item));
            put.send().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_is_verified_and_brought_into_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 300);
    let estimate =
        estimate_duplicates(std::slice::from_ref(&archive), &options(), &(), &()).unwrap();
    let ready = folder.path().join("s3-ready");
    let how = ExportOptions {
        compression: Compression::Gzip,
        ..ExportOptions::default()
    };
    export(&estimate, &ready, &how, &Prices::default()).unwrap();
    let imported = || LoadSettings {
        imported: true,
        ..LoadSettings::default()
    };

    // Nothing has been imported yet.
    let nothing = local();
    let empty = store(&nothing, None, imported()).await;
    let refused = load(&empty, &archive).await.unwrap_err().to_string();
    assert!(refused.contains("is not there"), "{refused}");

    let there = local();
    let tables = store(&there, None, imported()).await;
    import(&tables, &ready, None).await;
    let before = tables.used().trip_data.write;
    let loaded = load(&tables, &archive).await.unwrap();
    assert_eq!(loaded.entry.unwrap().stored, 300);
    assert_eq!(tables.used().trip_data.write, before, "no trip is written");
    tables.handle_stream(Timestamp::UNIX_EPOCH).await.unwrap();
    let system = &tables.systems().await.unwrap()[0];
    let counts = tables.counts(&system.id).await.unwrap();
    let counted: u64 = counts.iter().map(|count| count.from_count).sum();
    assert_eq!(counted, 300);
    assert_eq!(tables.check().await.unwrap().faults, Vec::<String>::new());
}
