//! The export as Parquet files in Hive partitions: the rows of the files are those of the store.
#![cfg(all(feature = "embedded", feature = "export"))]

mod inputs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use divvy::export::{
    ExportError, ExportOptions, Exported, FROM_STATION_COUNTS, STATIONS, Step, TABLES, TRIPS,
    export,
};
use divvy::model::civil_date::{date_of, day_of_ms};
use divvy::model::{Flag, Flags, StationAlias, Trip};
use divvy::new_folder::NewFolderError;
use divvy::refresh;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{CountsTable, Store};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::Timestamp;
use jiff::civil::Date;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use self::inputs::{fill, load, system, trip, trips};

const PAGE: &str = include_str!("../../../../docs/FORMATS.md");

/// A file's partition keys, such as `system=divvy/year=2016/month=07`, and its rows by column.
type Rows = Vec<(String, BTreeMap<String, String>)>;

fn refreshed(store: &EmbeddedStore) {
    fill(store);
    block_on(refresh::drain(
        store,
        refresh::CONSUMER,
        Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
}

fn export_all(store: &dyn Store, folder: &Path, budget: usize) -> Result<Exported, ExportError> {
    let options = ExportOptions {
        budget_bytes: budget,
        ..ExportOptions::default()
    };
    let systems = block_on(store.systems())?;
    block_on(export(store, &systems, folder, &options, &|_, _, _| ()))
}

fn shown(field: &Field) -> String {
    match field {
        Field::Null => "NULL".into(),
        Field::Str(text) => text.clone(),
        Field::Int(number) => number.to_string(),
        Field::Long(number) | Field::TimestampMillis(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Decimal(number) => {
            let bytes = number.data().try_into().unwrap();
            i32::from_be_bytes(bytes).to_string()
        }
        Field::ListInternal(list) => {
            let texts: Vec<String> = list.elements().iter().map(shown).collect();
            format!("[{}]", texts.join(" "))
        }
        other => panic!("{other:?}"),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads the rows of an exported table.
fn read(folder: &Path, table: &str) -> Rows {
    let folder = folder.join(table);
    let mut rows = Rows::new();
    for path in files(&folder) {
        let keys = path.parent().unwrap().strip_prefix(&folder).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let columns = row.get_column_iter();
            let columns = columns.map(|(name, field)| (name.clone(), shown(field)));
            rows.push((keys.to_str().unwrap().into(), columns.collect()));
        }
    }
    rows
}

/// Returns the row that a trip is to have, and its partition.
fn expected(system: &str, archive: &str, trip: &Trip) -> (String, BTreeMap<String, String>) {
    let date: Date = date_of(day_of_ms(trip.started_ms));
    let keys = format!(
        "system={system}/year={}/month={:02}",
        date.year(),
        date.month()
    );
    let some = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
    let text = |value: Option<&str>| some(value.map(Into::into));
    let id = |alias: &Option<StationAlias>| text(alias.as_ref().map(StationAlias::id_str));
    let name = |alias: &Option<StationAlias>| match id(alias).as_str() {
        "35" => "Clark St & Lake St".into(),
        _ => text(alias.as_ref().and_then(StationAlias::name)),
    };
    let degrees = |point: Option<(i32, i32)>| point.map(|(north, east)| [north, east]);
    let degree = |point, index: usize| some(degrees(point).map(|both| both[index].to_string()));
    let mut flags: Vec<&str> = trip.flags.iter().map(Flag::as_str).collect();
    if trip.flags.intersects(Flags::OTHER_WORDS) {
        flags.push("other_words");
    }
    let utc = |local: i64, offset: i32| (local - 1000 * i64::from(offset)).to_string();
    let row = [
        ("trip_id", trip.id.to_string()),
        ("started_at", trip.started_ms.to_string()),
        ("ended_at", trip.ended_ms.to_string()),
        (
            "started_at_utc",
            utc(trip.started_ms, trip.started_offset_s),
        ),
        ("ended_at_utc", utc(trip.ended_ms, trip.ended_offset_s)),
        ("started_offset_s", trip.started_offset_s.to_string()),
        ("ended_offset_s", trip.ended_offset_s.to_string()),
        ("precision_ms", trip.precision_ms.to_string()),
        ("ride_duration_s", trip.duration_s().to_string()),
        (
            "reported_duration_s",
            some(trip.reported_s.map(|s| s.to_string())),
        ),
        ("from_station_id", id(&trip.origin)),
        ("from_station_name", name(&trip.origin)),
        ("to_station_id", id(&trip.destination)),
        ("to_station_name", name(&trip.destination)),
        (
            "vehicle_id",
            some(trip.vehicle.as_ref().map(ToString::to_string)),
        ),
        ("rideable_type", text(trip.bike.as_deref())),
        ("rider", trip.rider.to_string()),
        ("gender", text(trip.gender.as_deref())),
        (
            "birth_year",
            some(trip.birth_year.map(|year| year.to_string())),
        ),
        ("from_latitude", degree(trip.from, 0)),
        ("from_longitude", degree(trip.from, 1)),
        ("to_latitude", degree(trip.to, 0)),
        ("to_longitude", degree(trip.to, 1)),
        ("flags", format!("[{}]", flags.join(" "))),
        ("archive", archive.into()),
    ];
    (keys, row.map(|(name, value)| (name.into(), value)).into())
}

/// Lists the rows that the trips of [`fill`] are to have.
fn all_expected() -> BTreeSet<(String, BTreeMap<String, String>)> {
    let mut all = BTreeSet::new();
    for trip in trips() {
        all.insert(expected("divvy", "first.csv", &trip));
    }
    let mut another = trips().swap_remove(0);
    another.id = "another".into();
    all.insert(expected("divvy", "second.csv", &another));
    for n in 0..40 {
        let start = format!("20{:02}-07-04T12:00", n % 20 + 5);
        let mut trip = trip(&format!("jersey-{n:02}"), &start);
        if n == 0 {
            trip.origin = Some(StationAlias::new("JC002", "Newport"));
        }
        all.insert(expected("citibike", "JC.csv", &trip));
    }
    all
}

#[test]
fn each_trip_is_in_the_partition_of_its_local_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    refreshed(&store);
    // With and without a spool.
    for (name, budget) in [("in-memory", usize::MAX), ("spooled", 0)] {
        let out = folder.path().join(name);
        let exported = export_all(&store, &out, budget).unwrap();
        let rows = read(&out, "trips");
        assert_eq!(exported.trips, 45, "{name}");
        assert_eq!(rows.len(), 45, "{name}: each once");
        assert_eq!(exported.trip_files, files(&out.join("trips")).len() as u64);
        assert_eq!(
            rows.into_iter().collect::<BTreeSet<_>>(),
            all_expected(),
            "{name}"
        );
        let parquet = TABLES.iter().flat_map(|table| files(&out.join(table.name)));
        let sizes = parquet.map(|path| fs::metadata(path).unwrap().len());
        assert_eq!(exported.bytes, sizes.sum::<u64>());
    }
    let at_midnight = expected("divvy", "first.csv", &trips()[1]);
    assert_eq!(at_midnight.0, "system=divvy/year=2016/month=01");
}

#[test]
fn a_store_in_memory_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::default();
    fill(&store);
    let out = folder.path().join("out");
    export_all(&store, &out, 1000).unwrap();
    let rows: BTreeSet<_> = read(&out, "trips").into_iter().collect();
    // This store keeps no names of stations but those of aliases of files.
    assert_eq!(rows, all_expected());
}

#[test]
fn rows_of_a_file_are_in_the_order_of_their_starts() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    let days = (1..=28).rev();
    let trips: Vec<Trip> = days
        .map(|day| trip(&format!("{day}"), &format!("2016-02-{day:02}T00:00")))
        .collect();
    let halves: Vec<&[Trip]> = trips.chunks(14).collect();
    load(&store, &system("divvy"), "late.csv", halves[0]);
    load(&store, &system("divvy"), "early.csv", halves[1]);
    let out = folder.path().join("out");
    export_all(&store, &out, 0).unwrap();
    let starts = read(&out, "trips").into_iter();
    let starts: Vec<i64> = starts
        .map(|(_, row)| row["started_at"].parse().unwrap())
        .collect();
    assert_eq!(starts.len(), 28);
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn files_have_the_columns_of_the_definitions_and_no_partition_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    refreshed(&store);
    let out = folder.path().join("out");
    export_all(&store, &out, 0).unwrap();
    for table in [TRIPS, FROM_STATION_COUNTS, STATIONS] {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        for path in files(&out.join(table.name)) {
            let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
            let schema = reader.metadata().file_metadata().schema().clone();
            let found: Vec<&str> = schema
                .get_fields()
                .iter()
                .map(|field| field.name())
                .collect();
            assert_eq!(found, names, "{}", path.display());
        }
        // The definition for Glue has the same columns, and the keys apart.
        let glue = fs::read(out.join(format!("glue/{}.json", table.name))).unwrap();
        let glue: serde_json::Value = serde_json::from_slice(&glue).unwrap();
        let defined = |columns: &serde_json::Value| -> Vec<String> {
            let columns = columns.as_array().unwrap().iter();
            columns
                .map(|column| column["Name"].as_str().unwrap().to_owned())
                .collect()
        };
        let input = &glue["TableInput"];
        assert_eq!(defined(&input["StorageDescriptor"]["Columns"]), names);
        let keys: Vec<&str> = table.partitions.iter().map(|key| key.name()).collect();
        assert_eq!(defined(&input["PartitionKeys"]), keys);
    }
    let athena = fs::read_to_string(out.join("athena.sql")).unwrap();
    insta::assert_snapshot!(athena);
}

#[test]
fn counts_and_stations_are_beside_the_trips() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    refreshed(&store);
    let out = folder.path().join("out");
    let exported = export_all(&store, &out, 0).unwrap();
    let counts = read(&out, "from_station_counts");
    let kept: usize = ["divvy", "citibike"]
        .map(|id| block_on(store.counts(&system(id).id)).unwrap().len())
        .iter()
        .sum();
    assert_eq!((counts.len(), exported.counts), (kept, kept as u64));
    let of_35 = counts
        .iter()
        .find(|(_, row)| row["from_station_id"] == "35")
        .unwrap();
    assert_eq!(
        (of_35.0.as_str(), of_35.1["from_count"].as_str()),
        ("system=divvy", "2")
    );

    let stations = read(&out, "stations");
    assert_eq!(exported.stations, stations.len() as u64);
    let lake = stations
        .iter()
        .find(|(_, row)| row["station_id"] == "a1")
        .unwrap();
    assert_eq!(lake.0, "system=divvy");
    for (column, value) in [
        ("name", "Clark St & Lake St"),
        ("latitude", "41.885637"),
        ("total_docks", "31"),
        ("available_bikes", "NULL"),
        ("reported_at", "NULL"),
        ("from_count", "2"),
        ("to_count", "1"),
        ("trip_station_ids", "[35]"),
    ] {
        assert_eq!(lake.1[column], value, "{column}");
    }
}

#[test]
fn an_empty_store_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = export_all(&MemoryStore::default(), &out, 0);
    assert!(matches!(refused, Err(ExportError::Nothing)), "{refused:?}");
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.txt"), "").unwrap();
    let store = MemoryStore::default();
    fill(&store);
    let refused = export_all(&store, folder.path(), 0);
    assert!(
        matches!(
            refused,
            Err(ExportError::Folder(NewFolderError::NotEmpty { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn an_archive_that_is_loaded_meanwhile_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    fill(&store);
    let out = folder.path().join("out");
    let is_loaded = AtomicBool::new(false);
    let on_trips = |step: Step, _, _| {
        if step == Step::Reading && !is_loaded.swap(true, Ordering::Relaxed) {
            load(
                &store,
                &system("divvy"),
                "third.csv",
                &[trip("third", "2017-01-01T00:00")],
            );
        }
    };
    let (systems, options) = ([system("divvy")], ExportOptions::default());
    let refused = block_on(export(&store, &systems, &out, &options, &on_trips));
    assert!(
        matches!(refused, Err(ExportError::Changed { .. })),
        "{refused:?}"
    );
    assert!(!out.exists());
    block_on(export(&store, &systems, &out, &options, &on_trips)).unwrap();
}

#[test]
fn the_page_describes_every_column() {
    let (_, section) = PAGE.split_once("\n## Exported tables\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for table in TABLES {
        let (_, text) = section
            .split_once(&format!("\n### {}\n", table.name))
            .unwrap();
        let text = text.split("\n### ").next().unwrap();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
        let mut found = Vec::new();
        for cells in cells {
            for name in cells[0].split(", ") {
                let null = cells[3].trim_end_matches(" |") != "never";
                found.push((name.trim_matches('`'), cells[1], !null));
            }
        }
        let columns = table.columns.iter();
        let columns = columns.map(|column| (column.name, column.kind.athena(), column.is_required));
        assert_eq!(found, columns.collect::<Vec<_>>(), "{}", table.name);
    }
}
