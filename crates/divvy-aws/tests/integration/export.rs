//! An export has the items that a store would have, of the sizes that a plan measures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aws_sdk_dynamodb::types::AttributeValue;
use divvy::ingest::{self, LoadOptions};
use divvy::model::{System, Trip};
use divvy::new_folder::NewFolderError;
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::Trips;
use divvy_aws::duplicate_estimate::{
    DuplicateEstimate, DuplicateEstimateError, estimate_duplicates,
};
use divvy_aws::export::{Compression, ExportError, ExportOptions, Exported, export};
use divvy_aws::item::{Item, trip};
use divvy_aws::plan::{Prices, measure};
use divvy_testkit::MemoryStore;
use jiff::Timestamp;

/// Returns options under which the sample is of the same system as the other files.
fn options() -> LoadOptions {
    LoadOptions {
        system: System::named("divvy"),
        ..LoadOptions::new(Timestamp::UNIX_EPOCH)
    }
}

fn estimate(paths: &[PathBuf]) -> Result<DuplicateEstimate, DuplicateEstimateError> {
    let archives: Vec<Archive> = paths
        .iter()
        .map(|path| Archive::open(path).unwrap())
        .collect();
    estimate_duplicates(&archives, &options(), &(), &())
}

/// Writes a sample of 2016, and a file with some of its trips again: two copies are equal, one is
/// better.
fn archives(folder: &Path) -> Vec<PathBuf> {
    let zip = folder.join("Divvy_Trips_2016_Q3Q4.zip");
    let sample = Sample {
        era: Era::Y2016,
        trips: 3000,
        seed: 7,
    };
    sample
        .write_zip(File::create(&zip).unwrap(), &mut |_| {})
        .unwrap();
    let mut text = String::new();
    let archive = Archive::open(&zip).unwrap();
    archive.read(0).unwrap().read_to_string(&mut text).unwrap();
    let mut lines: Vec<&str> = text.lines().take(40).collect();
    let again = lines[7];
    lines.push(again);
    // This word sorts before the others: of two copies the smaller text is the better one.
    let other = lines[9].replace("Subscriber", "Customer");
    lines[9] = &other;
    let csv = folder.join("again.csv");
    fs::write(&csv, lines.join("\n") + "\n").unwrap();
    vec![zip, csv]
}

fn unpacked(path: &Path) -> String {
    let file = File::open(path).unwrap();
    let mut text = String::new();
    match path.extension().unwrap().to_str() {
        Some("gz") => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        _ => zstd::stream::read::Decoder::new(file)
            .unwrap()
            .read_to_string(&mut text),
    }
    .unwrap();
    text
}

/// Reads the trips of an export in the order of its objects, with the tags of their archives.
fn exported(folder: &Path) -> Vec<(Trip, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let text: String = paths.iter().map(|path| unpacked(path)).collect();
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let attributes = line["Item"].as_object().unwrap();
            let item: Item = attributes
                .iter()
                .map(|(name, value)| {
                    let value = match (value["S"].as_str(), value["N"].as_str()) {
                        (Some(text), None) => AttributeValue::S(text.into()),
                        (None, Some(number)) => AttributeValue::N(number.into()),
                        _ => panic!("{value}"),
                    };
                    (name.clone(), value)
                })
                .collect();
            let stored = trip::trip(&item).unwrap();
            (stored.trip, stored.archive)
        })
        .collect()
}

fn run(
    estimate: &DuplicateEstimate,
    folder: &Path,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    export(estimate, folder, options, &Prices::default())
}

#[tokio::test]
async fn an_export_holds_what_a_store_would() {
    let folder = tempfile::tempdir().unwrap();
    let paths = archives(folder.path());
    let store = MemoryStore::default();
    for path in &paths {
        let archive = Archive::open(path).unwrap();
        ingest::load(&archive, &store, &options(), &(), &())
            .await
            .unwrap();
    }
    let stored = Mutex::new(BTreeMap::new());
    let estimate = estimate(&paths).unwrap();
    let system = estimate.system.clone();
    store
        .scan(&system.id, &|batch| {
            let trips = batch.trips().map(|trip| (trip.id.to_string(), trip));
            stored.lock().unwrap().extend(trips);
            true
        })
        .await
        .unwrap();
    let stored = stored.into_inner().unwrap();

    for compression in [Compression::Gzip, Compression::Zstd] {
        let out = folder.path().join(format!("{compression:?}"));
        let options = ExportOptions {
            compression,
            object_bytes: 100_000,
            ..ExportOptions::default()
        };
        let told = run(&estimate, &out, &options).unwrap();
        let trips = exported(&out);
        assert_eq!((told.rows, told.copies), (3000, 40));
        assert!(told.objects > 3, "{told:?}");
        let by_id: BTreeMap<String, Trip> = trips
            .iter()
            .map(|(trip, _)| (trip.id.to_string(), trip.clone()))
            .collect();
        assert_eq!(trips.len(), 3000);
        assert_eq!(by_id, stored);
        // Of equal copies that of the first archive is stored; one other was better.
        let second = &estimate.sources[1].tag;
        assert_eq!(trips.iter().filter(|(_, tag)| tag == second).count(), 1);
        // No sequence of sorted ids.
        let numbers: Vec<u64> = trips
            .iter()
            .map(|(trip, _)| trip.id.as_str().parse().unwrap())
            .collect();
        let rising = numbers.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((1300..1700).contains(&rising), "{rising}");
    }
}

#[test]
fn a_plan_weighs_what_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let estimate = estimate(&archives(folder.path())).unwrap();
    let told = run(
        &estimate,
        &folder.path().join("out"),
        &ExportOptions::default(),
    )
    .unwrap();
    let workload = measure(&estimate, true).unwrap();
    assert_eq!(workload.json_bytes, told.json_bytes);
    assert_eq!((workload.rows, workload.copies), (told.rows, told.copies));
    assert_eq!(workload.items.write_units, workload.rows);
    let blocks = workload.blocks.unwrap();
    assert!(blocks.n >= workload.origins, "{blocks:?}");
    // Fewer than two trips a block: blocks are cheaper all the same.
    assert!(blocks.bytes < workload.items.bytes / 2, "{blocks:?}");
    assert_eq!(measure(&estimate, false).unwrap().blocks, None);
}

#[test]
fn the_same_trips_are_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let paths = archives(folder.path());
    let files = |name: &str| {
        let out = folder.path().join(name);
        run(&estimate(&paths).unwrap(), &out, &ExportOptions::default()).unwrap();
        let data = fs::read(out.join("data/00000.json.gz")).unwrap();
        (data, fs::read_to_string(out.join("README.txt")).unwrap())
    };
    assert_eq!(files("once"), files("twice"));
}

#[test]
fn the_table_is_defined_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let estimate = estimate(&archives(folder.path())).unwrap();
    let out = folder.path().join("deep/down/out");
    let options = ExportOptions {
        capacity: Some((5, 6)),
        table: "prod-TripData".into(),
        compression: Compression::Zstd,
        ..ExportOptions::default()
    };
    fs::create_dir_all(&out).unwrap();
    run(&estimate, &out, &options).unwrap();
    insta::assert_snapshot!(fs::read_to_string(out.join("table.json")).unwrap());
    insta::assert_snapshot!(fs::read_to_string(out.join("README.txt")).unwrap());
}

#[test]
fn what_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let paths = archives(folder.path());
    let refused = run(
        &estimate(&paths).unwrap(),
        folder.path(),
        &ExportOptions::default(),
    );
    assert!(
        matches!(
            refused,
            Err(ExportError::Folder(NewFolderError::NotEmpty { .. }))
        ),
        "{refused:?}"
    );
}

#[test]
fn a_bad_checksum_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let paths = archives(folder.path());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&fs::read(&paths[1]).unwrap()).unwrap();
    let mut packed = packed.finish().unwrap();
    let checksum = packed.len() - 6;
    packed[checksum] ^= 1;
    let path = folder.path().join("damaged.csv.gz");
    fs::write(&path, packed).unwrap();
    let failed = estimate(&[paths[0].clone(), path]).err().unwrap();
    assert!(
        matches!(failed, DuplicateEstimateError::Load(_)),
        "{failed}"
    );
}

#[test]
fn systems_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let divvy = archives(folder.path()).pop().unwrap();
    let path = folder.path().join("JC-202101-citibike-tripdata.csv");
    let header = "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,\
                  end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual";
    let row = "0000000000000001,docked_bike,2021-01-01 00:03:35,2021-01-01 00:08:01,Grove St PATH,\
               JC005,Hamilton Park,JC009,40.71958,-74.04312,40.72759,-74.04424,casual";
    fs::write(&path, format!("{header}\n{row}\n")).unwrap();
    let archives = [divvy, path].map(|path| Archive::open(&path).unwrap());
    let options = LoadOptions {
        system: None,
        ..options()
    };
    let failed = estimate_duplicates(&archives, &options, &(), &())
        .err()
        .unwrap();
    assert!(
        matches!(failed, DuplicateEstimateError::TwoSystems { .. }),
        "{failed}"
    );
}
