//! Troubles that people reported in public, as small inputs (`shared/data/cases`): each is read, or
//! refused in a sentence, as its README says. Every file of the folder is tried.

mod archives;
mod feeds;
mod server;

use std::collections::BTreeSet;
use std::path::Path;

use divvy_testkit::inputs::published;

use crate::program::{divvy, succeed};

/// Files that no case tries, and why.
const NOT_TRIED: &[(&str, &str)] = &[
    ("README.md", "says what is right"),
    (
        "serve_feeds.py",
        "serves feeds by hand; here it is the module `server`",
    ),
    (
        "70-killed-load/minimal-failing-input.txt",
        "a test of divvy-aws, printed: its seed is in proptest-regressions",
    ),
];

/// Calls a function with the folder of the cases and each case, if the folder is there.
fn walk<C>(cases: &[C], test: impl Fn(&Path, &C)) {
    if let Some(folder) = published("cases") {
        cases.iter().for_each(|case| test(&folder, case));
    }
}

#[test]
fn every_file_of_the_folder_is_tried() {
    let Some(folder) = published("cases") else {
        return;
    };
    let tried: BTreeSet<&str> = archives::files()
        .chain(feeds::files())
        .chain(NOT_TRIED.iter().map(|(file, _)| *file))
        .collect();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            assert!(tried.contains(file), "{file} is not tried");
        }
    }
}

/// Case 12: one rack has the ids 5379.10 and, written as a number, 5379.1.
#[test]
fn ids_of_one_name_are_one_station_with_and_without_a_feed() {
    let Some(case) = published("cases/12-citibike-5379.10") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let files = arguments.iter().map(|it| {
            let file = case.join(it);
            if file.exists() { file } else { it.into() }
        });
        succeed(divvy(folder.path()).args(files)).0
    };
    run(&[
        "load",
        "202309-citibike-tripdata.csv",
        "202310-citibike-tripdata.csv",
    ]);
    for is_polled in [false, true] {
        if is_polled {
            let system = ["--system", "citibike"];
            let feed = ["poll", "station_information.json", "station_status.json"];
            run(&[&feed[..], &system].concat());
        }
        let stations = run(&["report", "stations", "--format", "csv"]);
        let header: Vec<&str> = stations.lines().next().unwrap().split(',').collect();
        let column = header.iter().position(|it| *it == "from_count").unwrap();
        let rows = stations
            .lines()
            .filter(|row| row.contains("W 21 St & 6 Ave"));
        let counts: Vec<&str> = rows.filter_map(|row| row.split(',').nth(column)).collect();
        assert_eq!(counts, ["10"], "{stations}");
    }
}
