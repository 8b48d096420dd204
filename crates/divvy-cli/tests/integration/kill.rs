//! Law 6: a process killed at any moment loses nothing that was acknowledged and counts nothing
//! twice. The program is killed while it loads.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use crate::program::{divvy, succeed};

/// Kills, spread evenly over the duration of a load and a little more.
const KILLS: u32 = 50;
const TRIPS: u64 = 60_000;

fn run(folder: &Path, arguments: &[&str]) -> String {
    succeed(divvy(folder).args(arguments)).0
}

/// Counts the rows of all Parquet files in a folder, as another engine does.
fn parquet_rows(folder: &Path) -> u64 {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        rows += if path.is_dir() {
            parquet_rows(&path)
        } else {
            let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
            reader.metadata().file_metadata().num_rows() as u64
        };
    }
    rows
}

fn stored(summary: &str) -> u64 {
    let summary: Value = serde_json::from_str(summary).unwrap();
    summary[0]["stored"].as_u64().unwrap()
}

#[test]
fn a_load_killed_at_any_moment_leaves_a_sound_store() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trips = TRIPS.to_string();
    for (seed, name) in [("1", "first.zip"), ("2", "second.zip")] {
        let sample = [
            "sample", "--trips", &trips, "--era", "2024", "--seed", seed, name,
        ];
        run(folder, &sample);
    }
    let load = ["load", "--format", "json", "first.zip"];
    assert_eq!(stored(&run(folder, &load)), TRIPS);

    // The duration of the second load, measured on another store.
    let second = ["load", "--format", "json", "second.zip"];
    let start = Instant::now();
    run(folder, &["--store", "rehearsal", "load", "second.zip"]);
    let whole = start.elapsed();

    let mut landed = 0;
    for kill in 0..KILLS {
        let moment = whole * (kill + 1) / (KILLS - 5);
        let mut child = divvy(folder).args(second).spawn().unwrap();
        std::thread::sleep(moment.max(Duration::from_millis(1)));
        let _ = child.kill();
        landed += u32::from(!child.wait().unwrap().success());

        run(folder, &["check"]);
        let rows = parquet_rows(&folder.join("divvy-data/trips"));
        let sound = rows == TRIPS || rows == 2 * TRIPS;
        assert!(sound, "{rows} rows after kill {kill}");
        if rows == 2 * TRIPS {
            // The next load has to store all of its trips again.
            run(folder, &["unload", "second.zip"]);
        }
    }
    println!("{landed} of {KILLS} loads were killed before they ended");
    assert!(landed >= KILLS / 2, "{landed} of {KILLS}");

    assert_eq!(stored(&run(folder, &second)), TRIPS);
    run(folder, &["check"]);
    let rows = parquet_rows(&folder.join("divvy-data/trips"));
    assert_eq!(rows, 2 * TRIPS);
    let staging = std::fs::read_dir(folder.join("divvy-data/staging")).unwrap();
    assert_eq!(staging.count(), 0, "files of killed loads are removed");
}
