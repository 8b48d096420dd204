//! The states of an instant are those of the recorded bodies: recordings of real systems are replayed
//! into a store, and random instants of its history are compared with the JSON and the tables, read
//! here by other means.
//!
//! A few days are replayed; all of them, with 10,000 instants, with `DIVVY_HISTORY=all`.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use divvy::history::StationState;
use divvy::ingest::{PollOptions, Replay};
use divvy::model::System;
use divvy::sources::recordings::Recording;
use divvy::store::StatusHistory;
use divvy::store::embedded::EmbeddedStore;
use divvy_testkit::inputs::{has_programs, published};
use futures_executor::block_on;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::divvy_history;
use crate::recordings::unpack;

/// What a station states: bikes, e-bikes, disabled bikes, docks, disabled docks, the status.
type Stated = ([Option<u32>; 5], Option<String>);

/// A recorded snapshot: when it was made, and what its stations state, by id.
struct Raw {
    at: Timestamp,
    states: BTreeMap<String, Stated>,
}

/// A recording, and how its files are read here.
struct Series {
    system: &'static str,
    folder: &'static str,
    /// Which archives of the folder are replayed unless all are.
    few: &'static [&'static str],
    /// Which files of the archives are replayed unless all are, by their names.
    days: &'static [&'static str],
    /// How many instants are compared if everything is replayed.
    checks: usize,
    raw: fn(&[PathBuf], &mut dyn FnMut(Raw)),
}

const SERIES: [Series; 5] = [
    Series {
        system: "divvy",
        folder: "feeds/legacy/divvy-history",
        few: &["2013-11"],
        days: &["2013-11-02", "2013-11-03"],
        checks: 6_600,
        raw: read_days,
    },
    Series {
        system: "baywheels",
        folder: "feeds/gbfs/baywheels_series",
        few: &["2022-08-08"],
        days: &[],
        checks: 1_800,
        raw: read_bodies,
    },
    Series {
        system: "ecobici",
        folder: "feeds/gbfs/ecobici_series",
        few: &["2024"],
        days: &[],
        checks: 800,
        raw: read_bodies,
    },
    Series {
        system: "baywheels",
        folder: "feeds/gbfs/fordgobike_series",
        few: &["2018"],
        days: &[],
        checks: 100,
        raw: read_bodies,
    },
    Series {
        system: "divvy",
        folder: "feeds/derived/divvy_station_status_csv",
        few: &["2023"],
        days: &[],
        checks: 700,
        raw: read_tables,
    },
];

#[test]
fn the_states_of_random_instants_are_those_of_the_recorded_bodies() {
    if !has_programs(&["tar", "xz"]) {
        return;
    }
    let all = std::env::var("DIVVY_HISTORY").is_ok_and(|which| which == "all");
    let (mut checked, mut snapshots) = (0, 0);
    let started = Instant::now();
    for series in &SERIES {
        let Some(folder) = published(series.folder) else {
            return;
        };
        let entries = fs::read_dir(folder).unwrap();
        let mut archives: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let is_of = |path: &Path, names: &[&str]| {
            let name = path.file_name().unwrap().to_str().unwrap();
            names.iter().any(|of| name.contains(of))
        };
        archives.retain(|path| all || is_of(path, series.few));
        archives.sort();
        let checks = if all { series.checks } else { 40 };
        for archive in &archives {
            let unpacked = tempfile::tempdir().unwrap();
            unpack(archive, unpacked.path());
            let mut files = Vec::new();
            list(unpacked.path(), &mut files);
            for file in files.extract_if(.., |file| {
                !all && !series.days.is_empty() && !is_of(file, series.days)
            }) {
                fs::remove_file(file).unwrap();
            }
            let of_archive = checks.div_ceil(archives.len());
            let (found, of) = compare(series, unpacked.path(), &files, of_archive);
            checked += found;
            snapshots += of;
        }
    }
    println!(
        "{checked} instants among {snapshots} snapshots are as recorded, in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    assert!(checked >= if all { 10_000 } else { 100 }, "{checked}");
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Numbers that look random and are the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Replays a folder, and compares instants. Returns how many, and how many snapshots there are.
fn compare(series: &Series, folder: &Path, files: &[PathBuf], checks: usize) -> (usize, usize) {
    let system = System::named(series.system).unwrap();
    let place = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(place.path()).unwrap();
    replay(&store, &system, folder);

    // The times that the history has: each not before the one before it.
    let mut times: Vec<Timestamp> = Vec::new();
    (series.raw)(files, &mut |raw| {
        if times.last().is_none_or(|last| *last <= raw.at) {
            times.push(raw.at);
        }
    });
    let mut random = Random(times.len() as u64);
    let mut chosen: BTreeMap<usize, usize> = BTreeMap::new();
    for _ in 0..checks {
        *chosen
            .entry(random.below(times.len() as u64) as usize)
            .or_default() += 1;
    }
    let (mut next, mut checked) = (0, 0);
    let mut last = Timestamp::MIN;
    (series.raw)(files, &mut |raw| {
        if raw.at < last {
            return;
        }
        last = raw.at;
        let index = next;
        next += 1;
        let until = times.get(index + 1).copied();
        let until = until.unwrap_or(raw.at + SignedDuration::from_hours(1));
        let length = until.duration_since(raw.at).as_millis() as u64;
        for _ in 0..chosen.get(&index).copied().unwrap_or(0) {
            checked += 1;
            // Of several bodies of one time the last one counts.
            if length > 0 {
                let later = random.below(length) as i64;
                let at = raw.at + SignedDuration::from_millis(later);
                assert_same(&store, &system, at, &raw);
            }
        }
    });
    assert_eq!(next, times.len());
    (checked, times.len())
}

fn replay(store: &EmbeddedStore, system: &System, folder: &Path) {
    let options = PollOptions {
        system: Some(system.clone()),
        ..PollOptions::new(Timestamp::now())
    };
    let mut replay = Replay::new(store, options);
    let _: ControlFlow<()> = Recording::open(folder).unwrap().visit(|recorded| {
        if let Ok(feeds) = recorded.feeds {
            block_on(replay.apply(feeds, &recorded.file)).unwrap();
        }
        ControlFlow::Continue(())
    });
    block_on(replay.finish()).unwrap();
}

fn assert_same(store: &EmbeddedStore, system: &System, at: Timestamp, raw: &Raw) {
    let found = block_on(store.as_of(&system.id, at)).unwrap().unwrap();
    assert_eq!(found.snapshot.taken_at, raw.at, "as of {at}");
    let stated = |state: StationState| {
        let available = state.available;
        let counts = [
            available.vehicles,
            available.ebikes,
            available.vehicles_disabled,
            available.docks,
            available.docks_disabled,
        ];
        (counts, state.status.map(|status| status.to_string()))
    };
    let states = found.states.into_iter();
    let states: BTreeMap<String, Stated> = states
        .map(|(id, state)| (id.to_string(), stated(state)))
        .collect();
    for (id, expected) in &raw.states {
        assert_eq!(states.get(id), Some(expected), "{id} as of {at}");
    }
    assert_eq!(states.len(), raw.states.len(), "as of {at}");
}

fn count(fields: &Value, name: &str) -> Option<u32> {
    fields[name].as_u64().map(|n| u32::try_from(n).unwrap())
}

/// Reads days of first states and patches.
fn read_days(files: &[PathBuf], take: &mut dyn FnMut(Raw)) {
    let is_first = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "json");
    let mut first: Vec<&PathBuf> = files.iter().filter(is_first).collect();
    first.sort();
    let mut clock = Clock::default();
    for file in first {
        divvy_history::replay_day(file, &mut |state| {
            let Some(time) = state.time.as_str() else {
                return;
            };
            let local = DateTime::strptime("%Y-%m-%d %I:%M:%S %p", time).unwrap();
            let stated = |recorded: &divvy_history::Recorded| {
                let (bikes, docks) = recorded.counts;
                let status = match recorded.fields["statusValue"].as_str() {
                    Some("In Service") => "in service",
                    Some("Not In Service") => "not in service",
                    Some("Planned") => "planned",
                    // Such as De-registered.
                    Some(other) => other,
                    None => panic!("{}: no statusValue", state.name),
                };
                let stated = ([bikes, None, None, docks, None], Some(status.to_owned()));
                (recorded.id.clone(), stated)
            };
            take(Raw {
                at: clock.instant(local),
                states: state.stations.iter().map(stated).collect(),
            });
        });
    }
}

/// Local times of Chicago as instants.
#[derive(Default)]
struct Clock {
    last: Option<Timestamp>,
}

impl Clock {
    /// Of an hour that autumn repeats, the first one is meant until the clock goes back by more than 5
    /// minutes.
    fn instant(&mut self, local: DateTime) -> Timestamp {
        let zone = jiff::tz::TimeZone::get("America/Chicago").unwrap();
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let (earlier, later) = (ambiguous.earlier().unwrap(), ambiguous.later().unwrap());
        let is_back = |last: Timestamp| last.duration_since(earlier) > SignedDuration::from_mins(5);
        let in_autumn = later > earlier && zone.to_datetime(earlier) == local;
        let at = match self.last {
            Some(last) if in_autumn && is_back(last) => later,
            _ if in_autumn || later == earlier => earlier,
            // A skipped time, as if the clock had not been turned.
            _ => zone.to_ambiguous_timestamp(local).compatible().unwrap(),
        };
        self.last = self.last.max(Some(at));
        at
    }
}

/// Reads bodies of `station_status`.
fn read_bodies(files: &[PathBuf], take: &mut dyn FnMut(Raw)) {
    let is_status = |file: &&PathBuf| {
        file.to_str().unwrap().contains("status/station_status")
            || file
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("station_status")
    };
    let mut bodies: Vec<&PathBuf> = files.iter().filter(is_status).collect();
    // `status9` is before `status10`.
    bodies.sort_by_key(|file| (file.as_os_str().len(), file.to_path_buf()));
    for body in bodies {
        let Ok(document) = serde_json::from_slice::<Value>(&fs::read(body).unwrap()) else {
            continue;
        };
        let Some(seconds) = document["last_updated"].as_i64() else {
            continue;
        };
        let stations = document["data"]["stations"].as_array().unwrap().iter();
        take(Raw {
            at: Timestamp::from_second(seconds).unwrap(),
            states: stations.map(stated_by_gbfs).collect(),
        });
    }
}

fn stated_by_gbfs(fields: &Value) -> (String, Stated) {
    let flag = |name: &str| match &fields[name] {
        Value::Bool(flag) => *flag,
        number => number.as_u64().unwrap() == 1,
    };
    let flags = ["is_installed", "is_renting", "is_returning"].map(flag);
    let status = match flags {
        [false, ..] => "not installed",
        [_, true, true] => "in service",
        [_, false, true] => "not renting",
        [_, true, false] => "not returning",
        [_, false, false] => "not in service",
    };
    let counts = [
        "num_bikes_available",
        "num_ebikes_available",
        "num_bikes_disabled",
        "num_docks_available",
        "num_docks_disabled",
    ];
    let id = fields["station_id"].as_str().unwrap().to_owned();
    (
        id,
        (counts.map(|name| count(fields, name)), Some(status.into())),
    )
}

/// Reads tables of `station_status`.
fn read_tables(files: &[PathBuf], take: &mut dyn FnMut(Raw)) {
    let zone = jiff::tz::TimeZone::get("America/Chicago").unwrap();
    let mut timed = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let time = name.strip_prefix("station_status_").unwrap();
        let local = DateTime::strptime("%Y_%m_%d_%I%M%p", time).unwrap();
        timed.push((zone.to_timestamp(local).unwrap(), file));
    }
    timed.sort();
    for (at, file) in timed {
        let mut states = BTreeMap::new();
        let text = fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        for line in lines {
            // Cells with commas are lists in quotes, which hold none of the fields.
            let unquoted: String = line.split('"').step_by(2).collect();
            let cells = unquoted.split(',');
            let fields = header.iter().zip(cells).map(|(name, cell)| {
                let value = match *name {
                    "station_id" => cell.into(),
                    _ => serde_json::from_str(&cell.to_lowercase()).unwrap_or(Value::Null),
                };
                ((*name).to_owned(), value)
            });
            let (id, stated) = stated_by_gbfs(&Value::Object(fields.collect()));
            states.insert(id, stated);
        }
        take(Raw { at, states });
    }
}
