//! Alarms on history: rules over a recorded feed, compared with another count.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{divvy, succeed};

/// The bikes of a station at a minute: a sequence without a pattern, often 0, of ten docks.
fn bikes(station: u64, minute: u64) -> u64 {
    let mixed = (station + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (minute / 4).wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
    (mixed % 14).saturating_sub(3).min(10)
}

const STATIONS: u64 = 6;

/// Returns whether a station is open at a minute.
fn is_open(station: u64, minute: u64) -> bool {
    !(minute / 17 + station).is_multiple_of(5)
}

/// The minutes of a day that have a snapshot: every other one, but for a gap of 40 minutes.
fn minutes() -> Vec<u64> {
    (0..240)
        .step_by(2)
        .filter(|minute| !(100..140).contains(minute))
        .collect()
}

/// Writes a recording of some invented stations.
fn write_recording(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let information: Vec<String> = (0..STATIONS)
        .map(|n| {
            format!(r#"{{"station_id":"s{n}","name":"Place {n}","lat":41.88{n},"lon":-87.63,"capacity":10}}"#)
        })
        .collect();
    let body = |at: u64, stations: &[String]| {
        let stations = stations.join(",");
        format!(
            r#"{{"version":"2.3","last_updated":{at},"ttl":60,"data":{{"stations":[{stations}]}}}}"#
        )
    };
    // 2025-01-29T06:00:00Z
    const START: u64 = 1_738_130_400;
    let name = |kind: &str, minute: u64| {
        format!(
            "{kind}_20250129T{:02}{:02}00Z.json",
            6 + minute / 60,
            minute % 60
        )
    };
    fs::write(
        folder.join(name("station_information", 0)),
        body(START, &information),
    )
    .unwrap();
    for minute in minutes() {
        let at = START + 60 * minute;
        let stations: Vec<String> = (0..STATIONS)
            .map(|n| {
                let (bikes, is_open) = (bikes(n, minute), is_open(n, minute));
                format!(
                    r#"{{"station_id":"s{n}","num_bikes_available":{bikes},"num_docks_available":{},"is_installed":true,"is_renting":{is_open},"is_returning":{is_open},"last_reported":{at}}}"#,
                    10 - bikes
                )
            })
            .collect();
        fs::write(
            folder.join(name("station_status", minute)),
            body(at, &stations),
        )
        .unwrap();
    }
}

/// Recounts from the invented numbers when a station is empty (or full) for `hold` minutes, and when not.
fn recount(is_so: impl Fn(u64, u64) -> bool, hold: u64) -> BTreeSet<(u64, String, &'static str)> {
    let mut found = BTreeSet::new();
    for station in 0..STATIONS {
        let mut is_raised = false;
        for minute in minutes() {
            // All snapshots of the last `hold` minutes, without a gap, are other than what is notified.
            let window = minute.saturating_sub(hold)..=minute;
            let is_whole = minute >= hold && !(window.contains(&99) || (window.contains(&139)));
            let mut snapshots = minutes().into_iter().filter(|it| window.contains(it));
            if is_whole && snapshots.all(|it| is_so(station, it) != is_raised) {
                is_raised = !is_raised;
                let state = if is_raised { "raised" } else { "resolved" };
                found.insert((minute, format!("s{station}"), state));
            }
        }
    }
    found
}

#[test]
fn rules_on_a_recorded_feed_give_each_notice_once() {
    let folder = tempfile::tempdir().unwrap();
    write_recording(&folder.path().join("recorded"));
    succeed(divvy(folder.path()).args(["--system", "divvy", "replay", "recorded"]));
    let rules = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"6m\"\n\
                 [[rule]]\nname = \"full\"\nwhen = \"full\"\nfor = \"0s\"\n\
                 [[rule]]\nname = \"down\"\nwhen = \"feed_down\"\nafter = \"20m\"\n\
                 [[rule]]\nname = \"moved\"\nwhen = \"feed_moved\"\n\
                 [[target]]\nname = \"pager\"\nexec = [\"must-not-run\"]\n";
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let arguments = [
        "alarms",
        "--rules",
        "rules.toml",
        "--replay",
        "--format",
        "json",
    ];
    let (out, errors) = succeed(divvy(folder.path()).args(arguments));
    let notices: Vec<Value> = serde_json::from_str(&out).unwrap();
    let of_rule = |rule: &str| -> BTreeSet<(u64, String, String)> {
        let own: Vec<&Value> = notices
            .iter()
            .filter(|notice| notice["rule"] == rule)
            .collect();
        let keys: BTreeSet<(u64, String, String)> = own
            .iter()
            .map(|notice| {
                let text = |key: &str| notice[key].as_str().unwrap().to_owned();
                let at = text("at");
                let number = |from: usize| at[from..from + 2].parse::<u64>().unwrap();
                (number(11) * 60 + number(14), text("subject"), text("state"))
            })
            .collect();
        assert_eq!(own.len(), keys.len(), "{rule} gives notices twice");
        keys
    };
    let expected = |found: BTreeSet<(u64, String, &str)>| -> BTreeSet<(u64, String, String)> {
        found
            .into_iter()
            .map(|(at, subject, state)| (at, subject, state.to_owned()))
            .collect()
    };
    let is_empty = |station, minute| is_open(station, minute) && bikes(station, minute) == 0;
    let is_full = |station, minute| is_open(station, minute) && bikes(station, minute) == 10;
    let found = of_rule("empty");
    assert!(found.len() > 10, "{found:?}");
    assert_eq!(found, expected(recount(is_empty, 6)));
    assert_eq!(of_rule("full"), expected(recount(is_full, 0)));
    let down = [(118, "feed", "raised"), (160, "feed", "resolved")];
    let down = down.map(|(at, subject, state)| (at, subject.to_owned(), state.to_owned()));
    assert_eq!(of_rule("down"), BTreeSet::from(down));
    assert!(
        errors.contains("rule moved: addresses of feeds are not in the history"),
        "{errors}"
    );

    let mut written = String::new();
    for notice in notices.iter().filter(|notice| notice["rule"] != "full") {
        let text = |key: &str| notice[key].as_str().unwrap_or_default();
        writeln!(
            written,
            "{} {} {}: {}",
            text("at"),
            text("rule"),
            text("state"),
            text("text")
        )
        .unwrap();
    }
    insta::assert_snapshot!(written);
}
