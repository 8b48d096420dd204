//! DuckDB reads the Parquet files of `trips/` without the catalog, and counts the same trips as the
//! reports; so do DuckDB and pyarrow with exported tables. Skipped where they are not installed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use divvy::sources::archive::Archive;
use divvy_testkit::inputs::has_python_module;
use serde_json::{Value, json};

use crate::program::{divvy, succeed};

/// Counts the trips of `argv[1]`, their ids, and those of the origin `argv[2]`.
const QUESTIONS: &str = r#"
import duckdb, json, sys
files, origin = sys.argv[1:]
duckdb.read_parquet(files).create_view("trips")
def ask(question, values=[]):
    return duckdb.execute(question, values).fetchall()[0][0]
print(json.dumps({
    "trips": ask("select count(*) from trips"),
    "ids": ask("select count(distinct trip_id) from trips"),
    "departures": ask("select count(*) from trips where from_station_id = ?", [origin]),
}))
"#;

fn run(folder: &Path, arguments: &[&str]) -> String {
    succeed(divvy(folder).args(arguments)).0
}

fn report(folder: &Path, name: &str) -> Vec<Value> {
    let report = run(folder, &["report", name, "--format", "json", "--quiet"]);
    serde_json::from_str(&report).unwrap()
}

fn sample(folder: &Path, archive: &str, trips: u32, seed: u32) {
    let (trips, seed) = (trips.to_string(), seed.to_string());
    let arguments = [
        "sample", "--trips", &trips, "--era", "2024", "--seed", &seed, "--force", archive,
    ];
    run(folder, &arguments);
}

/// Writes every second row of an archive, with casual riders. Of copies that differ, the one with the
/// smaller text is stored: some trips move to the new archive.
fn overlap(folder: &Path, archive: &str, csv: &str) {
    let archive = Archive::open(&folder.join(archive)).unwrap();
    let mut text = String::new();
    archive.read(0).unwrap().read_to_string(&mut text).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let half: String = rows.split_inclusive('\n').step_by(2).collect();
    let half = half.replace("\"member\"\n", "\"casual\"\n");
    std::fs::write(folder.join(csv), format!("{header}\n{half}")).unwrap();
}

/// Asserts that DuckDB counts the same as the reports. Returns the number of trips.
fn assert_agrees(folder: &Path) -> u64 {
    let total = |rows: &[Value], column: &str| -> u64 {
        rows.iter().map(|row| row[column].as_u64().unwrap()).sum()
    };
    let stored = total(&report(folder, "quality"), "stored");
    let counts = report(folder, "from-counts");
    let most = counts.iter().max_by_key(|row| row["from_count"].as_u64());
    let most = most.unwrap();

    let output = Command::new("python3")
        .current_dir(folder)
        .args(["-c", QUESTIONS, "divvy-data/trips/**/*.parquet"])
        .arg(most["from_station_id"].as_str().unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["trips"], stored, "the ledger's trips");
    assert_eq!(found["ids"], stored, "each stored once");
    assert_eq!(found["departures"], most["from_count"], "of {most}");
    stored
}

#[test]
fn duckdb_counts_the_same_as_the_reports() {
    if !has_python_module("duckdb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();

    // Two archives, some of their trips again in a third, and new content under an old name.
    sample(folder, "first.zip", 3000, 1);
    sample(folder, "second.zip", 2000, 2);
    run(folder, &["load", "first.zip", "second.zip"]);
    assert_eq!(assert_agrees(folder), 5000);

    overlap(folder, "first.zip", "overlap.csv");
    run(folder, &["load", "overlap.csv", "--system", "sample"]);
    let moved = report(folder, "quality")[2]["stored"].as_u64().unwrap();
    assert!((1..1500).contains(&moved), "{moved} trips moved over");
    assert_eq!(assert_agrees(folder), 5000, "duplicates lie elsewhere");

    sample(folder, "second.zip", 4000, 3);
    run(folder, &["load", "--replace", "second.zip"]);
    assert_eq!(assert_agrees(folder), 7000);

    // Loads that are killed, then one that is not.
    sample(folder, "third.zip", 60_000, 4);
    let start = Instant::now();
    run(folder, &["load", "third.zip", "--store", "rehearsal"]);
    let whole = start.elapsed();
    for sixth in 1..=4 {
        let mut load = divvy(folder).args(["load", "third.zip"]).spawn().unwrap();
        std::thread::sleep((whole * sixth / 6).max(Duration::from_millis(1)));
        let _ = load.kill();
        load.wait().unwrap();
        // Killed before its commit, a load leaves files that the catalog does not name, until the
        // next writer or check removes them; killed after it, counts that are out of date.
        run(folder, &["check"]);
        run(folder, &["refresh"]);
        let stored = assert_agrees(folder);
        assert!(stored == 7000 || stored == 67_000, "{stored}");
    }
    run(folder, &["load", "third.zip"]);
    assert_eq!(assert_agrees(folder), 67_000);
}

/// Reads the tables that were exported into `argv[1]`.
const EXPORTED_BY_DUCKDB: &str = r#"
import duckdb, json, sys
folder = sys.argv[1]
for table in ["trips", "from_station_counts", "stations"]:
    types = ", hive_types = {year: int, month: int}" if table == "trips" else ""
    duckdb.execute(f"""create view {table} as from
        read_parquet('{folder}/{table}/**/*.parquet', hive_partitioning = true{types})""")
def ask(question):
    return duckdb.execute(question).fetchall()
print(json.dumps({
    "types": dict(ask("select column_name, column_type from (describe trips)")),
    "months": ask("select concat(system, ' ', year, '-', month), count(*) from trips group by all"),
    "misplaced": ask("""select count(*) from trips
        where (year, month) <> (year(started_at), month(started_at))""")[0][0],
    "origins": ask("""select from_station_id, count(*) from trips
        where system = 'divvy' and from_station_id is not null group by all"""),
    "counts": ask("""select from_station_id, from_count from from_station_counts
        where system = 'divvy' and from_count > 0"""),
    "offsets": ask("""select distinct started_offset_s = epoch(started_at) - epoch(started_at_utc)
        from trips"""),
    "flagged": ask("select count(*) from trips where list_contains(flags, 'no_origin')")[0][0],
    "archives": [row[0] for row in ask("select distinct archive from trips order by all")],
    "joined": ask("""select count(*) from trips t where exists (from stations s
        where s.system = t.system and list_contains(s.trip_station_ids, t.from_station_id))""")[0][0],
}))
"#;

/// Reads the trips that were exported into `argv[1]`.
const EXPORTED_BY_PYARROW: &str = r#"
import json, sys
import pyarrow.dataset as dataset
trips = dataset.dataset(sys.argv[1] + "/trips", partitioning="hive")
groups = trips.to_table(["system", "year", "month"]).group_by(["system", "year", "month"])
months = groups.aggregate([([], "count_all")]).to_pylist()
print(json.dumps({
    "types": {field.name: str(field.type) for field in trips.schema},
    "months": [[f"{m['system']} {m['year']}-{m['month']}", m["count_all"]] for m in months],
}))
"#;

fn ask_python(folder: &Path, program: &str, exported: &str) -> Value {
    let mut python = Command::new("python3");
    let python = python.current_dir(folder).args(["-c", program, exported]);
    serde_json::from_str(&succeed(python).0).unwrap()
}

/// Returns the numbers of a JSON array of pairs, by name.
fn by_name(pairs: &Value) -> BTreeMap<String, u64> {
    let pairs = pairs.as_array().unwrap().iter();
    pairs
        .map(|pair| {
            (
                pair[0].as_str().unwrap().to_owned(),
                pair[1].as_u64().unwrap(),
            )
        })
        .collect()
}

/// Returns the trips of each month as the report of a system has them.
fn months(folder: &Path, system: &str, store: &str) -> BTreeMap<String, u64> {
    let arguments = [
        "report", "months", "--system", system, "--store", store, "--format", "json", "--quiet",
    ];
    let rows: Vec<Value> = serde_json::from_str(&run(folder, &arguments)).unwrap();
    let mut months = BTreeMap::new();
    for row in rows {
        let month = row["month"].as_str().unwrap().replace("-0", "-");
        *months.entry(format!("{system} {month}")).or_default() += row["trips"].as_u64().unwrap();
    }
    months
}

/// Two trips of Chicago on either side of a New Year, of which one has no origin.
const NEW_YEAR: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
    start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual\n\
    0000003300000014,classic_bike,2023-12-31 23:59:59,2024-01-01 00:10:00,A,13001,B,13002,41.88,\
    -87.63,41.89,-87.64,member\n\
    0000003300000015,electric_bike,2024-01-01 00:00:00,2024-01-01 00:10:00,,,B,13002,41.88,\
    -87.63,41.89,-87.64,casual\n";

/// Loads two archives into a store, exports it, and compares the export with the reports.
fn export_agrees(folder: &Path, store: &str) {
    std::fs::write(folder.join("new-year.csv"), NEW_YEAR).unwrap();
    run(folder, &["load", "new-year.csv", "--store", store]);
    let mut expected = months(folder, "divvy", store);
    // On DynamoDB a store has one system.
    let is_folder = !store.starts_with("dynamodb");
    if is_folder {
        sample(folder, "sample.zip", 3000, 1);
        run(folder, &["load", "sample.zip", "--store", store]);
        expected.append(&mut months(folder, "sample", store));
    }
    let lake = format!("lake-{}", if is_folder { "folder" } else { "dynamodb" });
    run(folder, &["export", "--parquet", &lake, "--store", store]);
    if has_python_module("duckdb") {
        let found = ask_python(folder, EXPORTED_BY_DUCKDB, &lake);
        assert_eq!(by_name(&found["months"]), expected);
        assert_eq!(expected["divvy 2023-12"], 1);
        assert_eq!(found["misplaced"], 0);
        assert_eq!(by_name(&found["origins"]), by_name(&found["counts"]));
        assert_eq!(found["offsets"], json!([[true]]));
        assert!(found["flagged"].as_u64().unwrap() >= 1);
        let mut archives = vec!["new-year.csv"];
        archives.extend(is_folder.then_some("sample.zip"));
        assert_eq!(found["archives"], json!(archives));
        let trips: u64 = expected.values().sum();
        let joined = trips - found["flagged"].as_u64().unwrap();
        assert_eq!(
            found["joined"], joined,
            "every trip with an origin has a station"
        );
        let types = &found["types"];
        for (column, expected) in [
            ("started_at", "TIMESTAMP"),
            ("started_at_utc", "TIMESTAMP WITH TIME ZONE"),
            ("from_latitude", "DECIMAL(9,6)"),
            ("flags", "VARCHAR[]"),
            ("ride_duration_s", "BIGINT"),
            ("month", "INTEGER"),
        ] {
            assert_eq!(types[column], expected, "{column}");
        }
    }
    if has_python_module("pyarrow") {
        let found = ask_python(folder, EXPORTED_BY_PYARROW, &lake);
        assert_eq!(by_name(&found["months"]), expected);
        let types = &found["types"];
        for (column, expected) in [
            ("started_at", "timestamp[ms]"),
            ("started_at_utc", "timestamp[ms, tz=UTC]"),
            ("from_latitude", "decimal128(9, 6)"),
            ("month", "int32"),
        ] {
            assert_eq!(types[column], expected, "{column}");
        }
    }
}

#[test]
fn exported_tables_are_read_as_partitions() {
    let folder = tempfile::tempdir().unwrap();
    export_agrees(folder.path(), "store");
    export_agrees(folder.path(), "dynamodb-local:store.db");
}
