//! Every row becomes a trip or a rejected row, and a file that may be a table and was not loaded is
//! reported. Tested on reported troubles (`shared/data/cases`) and on invented files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use crate::program::{divvy, succeed};
use divvy_testkit::inputs::published;
use serde_json::Value;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Loads a file into the store `store` of a folder, and returns the objects of `--format json`.
fn load(folder: &Path, file: &Path, arguments: &[&str]) -> (Output, Vec<Value>) {
    let mut command = divvy(folder);
    command.args(["load", "--format", "json", "--store", "store"]);
    let output = command.args(arguments).arg(file).output().unwrap();
    let summaries = serde_json::from_slice(&output.stdout).unwrap();
    (output, summaries)
}

fn errors_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the lines of a CSV without its header.
fn rows_of(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).collect()
}

/// Returns what a command on the store `store` of a folder prints to stdout.
fn ask(folder: &Path, arguments: &[&str]) -> String {
    succeed(divvy(folder).args(arguments).args(["--store", "store"])).0
}

/// Returns the hours in which trips of the store in a folder start.
fn hours(folder: &Path) -> Vec<String> {
    let report = ask(folder, &["report", "hours", "--format", "csv"]);
    let rows = rows_of(&report).into_iter();
    let cells = rows.map(|row| row.split(',').collect::<Vec<_>>());
    let started = cells.filter(|cells| cells[1] != "0");
    started.map(|cells| cells[0].to_owned()).collect()
}

#[test]
fn offsets_are_converted_to_the_clock_of_the_system() {
    let Some(cases) = published("cases/11-offset-times") else {
        return;
    };
    for (file, arguments, expected) in [
        ("iso-offset.csv", &[][..], ["9", "20"]),
        ("iso-z.csv", &["--utc-times", "convert"], ["9", "23"]),
        ("iso-z.csv", &["--utc-times", "local"], ["3", "13"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (output, _) = load(folder.path(), &cases.join(file), arguments);
        assert!(output.status.success(), "{}", errors_of(&output));
        assert_eq!(hours(folder.path()), expected, "{file} {arguments:?}");
    }
}

const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
    start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual";

fn row(n: usize) -> String {
    format!(
        "{n:016X},classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,A,13001,B,13002,41.88,-87.63,\
         41.89,-87.64,member"
    )
}

fn csv(rows: &[String]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// Writes a zip with one readable member, and others that may be tables.
fn write_zip(path: &Path) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in [
        (
            "april.csv",
            csv(&[row(1), row(2).replace("2024-04-01 10:00:00", "?")]),
        ),
        (
            "may.csv",
            csv(&[row(3).replace("2024-04-01 10:00:00", "10:50.9")]),
        ),
        ("june.csv", String::new()),
        ("july.csv", HEADER.into()),
        ("page.csv", "<html>Not here</html>".into()),
        ("feed.json", "{\"data\": {}}".into()),
        ("readme.txt", "This, in short, is a readme.\n".into()),
        ("map.png", "\u{89}PNG".into()),
        (".hidden.csv", "a,b".into()),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn what_was_not_loaded_is_said_each_time_on_both_stores() {
    let folder = tempfile::tempdir().unwrap();
    write_zip(&folder.path().join("2024.zip"));
    for store in ["folder", "dynamodb-local:tables.db"] {
        for already in [false, true] {
            let mut command = divvy(folder.path());
            let command = command.args(["load", "2024.zip", "--format", "json", "--store", store]);
            let output = command.output().unwrap();
            let errors = errors_of(&output);
            assert_eq!(output.status.code(), Some(1), "{store}: {errors}");
            let summaries: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(summaries[0]["already"], already);
            assert_eq!(summaries[0]["rows_read"], 2);
            let skipped = summaries[0]["skipped"].as_array().unwrap();
            let reasons: BTreeMap<&str, &str> = skipped
                .iter()
                .map(|skipped| {
                    let text = |key: &str| skipped[key].as_str().unwrap();
                    let line = format!("{} was not loaded: it is {}", text("member"), text("why"));
                    assert!(errors.contains(&line), "{line} in {errors}");
                    assert!(!text("what_to_do").is_empty());
                    (text("member"), text("why"))
                })
                .collect();
            let members: Vec<&str> = reasons.keys().copied().collect();
            let expected = ["feed.json", "july.csv", "june.csv", "may.csv", "page.csv"];
            assert_eq!(members, expected, "{store}");
            assert_eq!(reasons["july.csv"], "a header without rows");
        }
    }
}

#[test]
fn a_folder_says_which_of_its_files_are_no_archives() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir_all(files.join("below")).unwrap();
    for (name, text) in [
        ("april.csv", csv(&[row(1)])),
        ("may.tsv", csv(&[row(2)]).replace(',', "\t")),
        ("june.txt", csv(&[row(3), row(4)])),
        ("below/other.txt", "a,b,c\n1,2,3\n".into()),
        ("below/feed.json", "{}".into()),
        ("below/prose.txt", "Here, as said,\nare trips.\n".into()),
        ("notes.md", "|a|b|c|\n|1|2|3|\n".into()),
    ] {
        std::fs::write(files.join(name), text).unwrap();
    }
    // The store lies in the folder that is loaded: none of its files is named.
    for _ in 0..2 {
        let mut command = divvy(&files);
        let output = command.args(["load", ".", "--format", "json"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", errors_of(&output));
        let summaries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let stored: u64 = summaries.iter().filter_map(|s| s["stored"].as_u64()).sum();
        assert_eq!((summaries.len(), stored), (4, 4));
        let skipped = summaries[3]["skipped"].as_array().unwrap();
        let members: Vec<&str> = skipped
            .iter()
            .filter_map(|s| s["member"].as_str())
            .collect();
        assert_eq!(members, ["./below/feed.json", "./below/other.txt"]);
    }
}

#[test]
fn a_loaded_archive_writes_its_rejected_rows_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [row(1), row(2).replace("2024-04-01 10:00:00", "?"), row(1)];
    let file = folder.path().join("april.csv");
    std::fs::write(&file, csv(&rows)).unwrap();
    let (output, _) = load(folder.path(), &file, &[]);
    let errors = errors_of(&output);
    assert!(
        errors.contains("1 unparsable; --rejects FILE lists"),
        "{errors}"
    );
    let (output, _) = load(folder.path(), &file, &["--rejects", "rejected.csv"]);
    let errors = errors_of(&output);
    let line = "1 rejected is in rejected.csv without 1 duplicate, which only the first load lists";
    assert!(errors.contains(line), "{errors}");
    let rejected = std::fs::read_to_string(folder.path().join("rejected.csv")).unwrap();
    let lines = rows_of(&rejected);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("april.csv,3,started_at,unparsable,"),
        "{}",
        lines[0]
    );
}

#[test]
fn odd_years_are_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("april.csv");
    let rows = [
        row(1),
        row(2).replace("2024", "1970"),
        row(3).replace("2024", "2099"),
    ];
    std::fs::write(&file, csv(&rows)).unwrap();
    let (_, summaries) = load(folder.path(), &file, &[]);
    assert_eq!(summaries[0]["flagged"]["odd_year"], 2);
    ask(folder.path(), &["check"]);
}

#[test]
fn a_header_of_another_form_among_the_rows_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.csv");
    let older = "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,\
        to_station_id,to_station_name,usertype,gender,birthyear\n\
        7000001,13/7/2016 0:05,13/7/2016 0:10,10,300,82,Kinglet,542,Lapwing,Subscriber,Male,1980\n";
    std::fs::write(&file, csv(&[row(1)]) + older + &csv(&[row(2)])).unwrap();
    let (output, summaries) = load(folder.path(), &file, &["--rejects", "rejected.csv"]);
    assert!(output.status.success(), "{}", errors_of(&output));
    assert_eq!(
        (&summaries[0]["rows_read"], &summaries[0]["stored"]),
        (&5.into(), &3.into())
    );
    let rejected = std::fs::read_to_string(folder.path().join("rejected.csv")).unwrap();
    assert_eq!(rows_of(&rejected).len(), 2);
    let report = ask(folder.path(), &["report", "months", "--format", "csv"]);
    let months: Vec<&str> = rows_of(&report)
        .into_iter()
        .filter_map(|row| row.split(',').next())
        .collect();
    assert_eq!(months, ["2016-07", "2024-04"]);
}

/// A file that people joined, or changed, and the outcome of its load.
struct Changed {
    what: &'static str,
    text: String,
    exit: i32,
    /// Rows read and trips stored.
    counts: (u64, u64),
    /// What stderr has.
    says: &'static str,
    /// What one of the trips has, as `started_at duration_s` in the rows that `--rejects` does not list.
    durations: Option<&'static str>,
}

const LEGACY: &str = "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,\
    to_station_id,to_station_name,usertype,gender,birthyear";

fn legacy(n: usize, start: &str, end: &str, duration: &str) -> String {
    format!("{n},{start},{end},10,{duration},82,Kinglet,542,Lapwing,Subscriber,Male,1980")
}

fn changed() -> Vec<Changed> {
    let case = |what, text: String, exit, counts, says| Changed {
        what,
        text,
        exit,
        counts,
        says,
        durations: None,
    };
    let rides = |n: std::ops::Range<usize>, duration: &str| -> Vec<String> {
        let ride = |n| {
            legacy(
                n,
                &format!("7/{n}/2015 9:05"),
                &format!("7/{n}/2015 9:15"),
                duration,
            )
        };
        n.map(ride).collect()
    };
    let joined = |parts: &[&[String]]| {
        let parts = parts
            .iter()
            .map(|rows| format!("{LEGACY}\n{}\n", rows.join("\n")));
        parts.collect::<String>()
    };
    let mistyped = || legacy(40, "7/3/2015 9:05", "13/3/2015 9:15", "600");
    let day_first = |n: usize| {
        legacy(
            50 + n,
            &format!("{n}/7/2015 9:05"),
            &format!("{n}/7/2015 9:15"),
            "600",
        )
    };
    let elsewhere = row(3).replace("41.8", "40.7").replace("-87.6", "-74.0");
    let pandas = rides(1..9, "0 days 00:10:00");
    vec![
        case(
            "a long ride shows the order",
            joined(&[&[
                legacy(1, "5-1-2019 9:05", "5-1-2019 9:15", "600"),
                legacy(2, "13-1-2019 9:05", "14-1-2019 12:30", "98700"),
            ]]),
            0,
            (2, 2),
            "read day first: 1 row can be read in no other way",
        ),
        case(
            "floats in one column, and no id",
            "tripduration,starttime,stoptime,start station id,start station name,start station latitude,\
             start station longitude,end station id,end station name,end station latitude,\
             end station longitude,bikeid,usertype,birth year,gender\n\
             600,2019-07-01 9:05:00,2019-07-01 9:15:00,67.0,A,40.72,-73.99,67,A,40.72,-73.99,7,Customer,,0\n\
             600,2019-07-02 9:05:00,2019-07-02 9:15:00,67.0,A,40.72,-73.99,NULL,,40.72,-73.99,7,Customer,,0\n"
                .into(),
            0,
            (2, 2),
            "citibike",
        ),
        case("a mistyped date", joined(&[&[rides(1..13, "600"), vec![mistyped()]].concat()]), 0, (13, 12), "1 unparsable"),
        case("a date the other way", joined(&[&[rides(1..31, "600"), vec![day_first(14)]].concat()]), 0, (31, 30), "read month first"),
        case("dates of both orders", joined(&[&[rides(10..20, "600"), (10..20).map(day_first).collect()].concat()]), 2, (0, 0), "others the day, such as"),
        case("months of both orders", joined(&[&rides(10..20, "600"), &(10..20).map(day_first).collect::<Vec<_>>()]), 0, (21, 20), ""),
        case("a header at the end", csv(&[row(1), row(2)]) + LEGACY + "\n", 0, (3, 2), "1 unparsable"),
        case("a header without rows before another", format!("{LEGACY}\n") + &csv(&[row(1), row(2)]), 0, (3, 2), "(divvy"),
        case("two systems under one header", csv(&[row(1), row(2)]) + &csv(&[elsewhere]), 2, (0, 0), "from line 4 on trips of citibike"),
        case("unreadable times", csv(&[row(1).replace("2024-04-01 10:", "01-Apr-2024 10:")]), 2, (0, 0), "none of the first 1 times can be read"),
        case("no ids of stations", "trip_id,starttime,stoptime,bikeid,tripduration,from_station_name,to_station_name,usertype\n\
              1,7/14/2015 9:05,7/14/2015 9:15,1,600,A,B,Subscriber\n".into(), 2, (0, 0), "--system"),
        case("columns that end", csv(&[row(1)]) + "ride_id,started_at,ended_at\n00000000000000AA,2024-04-01 10:00:00,2024-04-01 10:10:00\n", 0, (3, 2), "from line 3 on: it has no column for the station id"),
        case("durations in words", joined(&[&pandas]), 0, (8, 8), "are not understood, such as \"0 days 00:10:00\""),
        case("durations in hours", joined(&[&rides(1..9, "0.1667")]), 0, (8, 8), "are not used: in no unit"),
        Changed {
            durations: Some("10 min 00 s"),
            ..case("seconds, then minutes", joined(&[&rides(1..9, "600"), &rides(9..17, "10")]), 0, (17, 16), "are in minutes")
        },
    ]
}

#[test]
fn files_that_people_changed_are_read_rightly_or_refused() {
    for case in changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, &case.text).unwrap();
        let (output, summaries) = load(folder.path(), &file, &[]);
        let errors = errors_of(&output);
        let context = format!("{}: {errors}", case.what);
        assert_eq!(output.status.code(), Some(case.exit), "{context}");
        let sum = |key: &str| {
            summaries
                .iter()
                .filter_map(|it| it[key].as_u64())
                .sum::<u64>()
        };
        assert_eq!((sum("rows_read"), sum("stored")), case.counts, "{context}");
        assert!(errors.contains(case.says), "{context}");
        if let Some(mean) = case.durations {
            let report = ask(folder.path(), &["report", "durations"]);
            let all = report.lines().find(|line| line.starts_with("all")).unwrap();
            assert!(
                !all.contains("0 min 10 s") && all.contains(mean),
                "{context}\n{report}"
            );
        }
    }
    // A legacy header needs no column of ids, if the system is known.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    let no_ids = changed()
        .into_iter()
        .find(|case| case.what == "no ids of stations");
    std::fs::write(&file, no_ids.unwrap().text).unwrap();
    let (output, summaries) = load(folder.path(), &file, &["--system", "divvy"]);
    let errors = errors_of(&output);
    assert!(errors.contains("no column for the station id"), "{errors}");
    assert_eq!(summaries[0]["stored"], 1);
}

#[test]
fn files_named_as_tables_are_skipped_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in [
        ("april.csv", csv(&[row(1)])),
        ("may.zip", "NoSuchKey".into()),
        ("june.csv.gz", "Not Found".into()),
        ("july.dat", "a,b,c\n1,2,3\n".into()),
        ("august.feather", "ARROW1\0\0\u{1}".into()),
        ("README.csv", csv(&[row(2)])),
        ("notes.txt", "Not a table.".into()),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let (output, summaries) = load(folder.path(), &path, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", errors_of(&output));
    assert_eq!(summaries[0]["stored"], 2);
    let skipped = summaries[0]["skipped"].as_array().unwrap().iter();
    let mut members: Vec<&str> = skipped.filter_map(|it| it["member"].as_str()).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        ["august.feather", "july.dat", "june.csv.gz", "may.zip"]
    );
}
