//! DuckDB reads the Parquet files of `trips/` without the catalog, and counts the same trips as the
//! reports. Skipped where DuckDB is not installed.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use divvy::sources::archive::Archive;
use divvy_testkit::inputs::has_python_module;
use serde_json::Value;

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
