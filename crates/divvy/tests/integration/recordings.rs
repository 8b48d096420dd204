//! Recorded feeds of real systems: every snapshot is found and read.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use divvy::sources::recordings::Recording;
use divvy_testkit::inputs::{has_programs, published};

/// How many snapshots the archives of a folder have, and how many of their files are damaged.
fn counted(folder: &str, is_wanted: &dyn Fn(&str) -> bool) -> Option<(usize, usize)> {
    let archives = published(folder)?;
    if !has_programs(&["tar", "xz"]) {
        return None;
    }
    let mut counts = (0, 0);
    let mut entries: Vec<_> = archives
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.retain(|entry| is_wanted(entry.file_name().to_str().unwrap()));
    let started = Instant::now();
    for entry in entries {
        let unpacked = tempfile::tempdir().unwrap();
        unpack(&entry.path(), unpacked.path());
        let recording = Recording::open(unpacked.path()).unwrap();
        let _: ControlFlow<()> = recording.visit(|recorded| {
            match recorded.feeds {
                Ok(_) => counts.0 += 1,
                Err(error) => {
                    eprintln!("{error}");
                    counts.1 += 1;
                }
            }
            ControlFlow::Continue(())
        });
    }
    eprintln!(
        "{folder}: {counts:?} in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Some(counts)
}

pub fn unpack(archive: &Path, folder: &Path) {
    let status = Command::new("tar")
        .arg("xJf")
        .args([archive, Path::new("-C"), folder])
        .status();
    assert!(
        status.unwrap().success(),
        "tar unpacks {}",
        archive.display()
    );
}

/// August 2013 has a day whose first state is empty. `DIVVY_HISTORY=all` reads all eleven months.
#[test]
fn every_minute_of_divvys_history_is_found() {
    let all = std::env::var("DIVVY_HISTORY").is_ok_and(|which| which == "all");
    let is_wanted = |name: &str| all || name.starts_with("2013-08");
    if let Some(counts) = counted("feeds/legacy/divvy-history", &is_wanted) {
        assert_eq!(counts, if all { (267_234, 1) } else { (30_541, 1) });
    }
}

#[test]
fn every_body_of_the_series_is_found() {
    for (folder, expected) in [
        ("feeds/gbfs/fordgobike_series", (20, 0)),
        ("feeds/gbfs/ecobici_series", (420, 2)),
        ("feeds/gbfs/baywheels_series", (107, 0)),
    ] {
        // Of Bay Wheels one day: all have half a gigabyte.
        let is_wanted =
            |name: &str| !folder.contains("baywheels") || name.starts_with("2022-08-08");
        if let Some(counts) = counted(folder, &is_wanted) {
            assert_eq!(counts, expected, "{folder}");
        }
    }
}

#[test]
fn every_table_of_states_is_found() {
    let is_wanted = |name: &str| name.starts_with("2023") || name.starts_with("2024_04");
    if let Some(counts) = counted("feeds/derived/divvy_station_status_csv", &is_wanted) {
        assert_eq!(counts, (50, 0));
    }
}
