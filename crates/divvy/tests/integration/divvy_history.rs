//! Divvy's feed as recorded minute by minute from 2013 to 2015: the first state of each day, and RFC
//! 6902 patches for the following minutes.
//!
//! Two days of each month are replayed; all 216 with `DIVVY_HISTORY=all`.

use std::fs;
use std::path::Path;
use std::process::Command;

use divvy::ingest;
use divvy::model::{Station, StationId, System};
use divvy::sources::station_feed::{self, Document, FeedError};
use divvy::store::{Applied, StationTable};
use divvy_testkit::MemoryStore;
use divvy_testkit::inputs::{has_programs, published};
use futures_executor::block_on;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The days of each month that are always replayed. Among them: a failed download (2013-08-20)
/// and a count of -1 (2013-08-21), the nights on which clocks change (2013-11-03, of whose
/// repeated hour only one half was recorded, and 2014-03-09), servers that lag behind each other
/// (2014-02 to 2015-01), and a field renamed for a minute (2015-01-29).
const DAYS: [(&str, [&str; 2]); 11] = [
    ("2013-07", ["03", "04"]),
    ("2013-08", ["20", "21"]),
    ("2013-10", ["01", "02"]),
    ("2013-11", ["03", "04"]),
    ("2014-02", ["13", "14"]),
    ("2014-03", ["08", "09"]),
    ("2014-04", ["01", "02"]),
    ("2014-09", ["08", "09"]),
    ("2014-12", ["01", "02"]),
    ("2015-01", ["29", "30"]),
    ("2015-03", ["09", "10"]),
];

/// The results of polling the recorded states of a month.
#[derive(Default)]
struct Outcome {
    snapshots: u32,
    /// Newer than the last accepted one.
    accepted: u32,
    /// Of the same time.
    repeated: u32,
    /// Older.
    refused: u32,
    /// No snapshot.
    unreadable: u32,
    /// The most stations in one snapshot.
    stations: usize,
    faults: usize,
}

#[test]
fn every_recorded_minute_is_accepted_repeated_or_refused() {
    let Some(archives) = published("feeds/legacy/divvy-history") else {
        return;
    };
    if !has_programs(&["tar", "xz"]) {
        return;
    }
    let all = std::env::var("DIVVY_HISTORY").is_ok_and(|which| which == "all");
    let archives = &archives;
    let lines: Vec<String> = std::thread::scope(|scope| {
        let months = DAYS.map(|(month, days)| {
            scope.spawn(move || {
                let is_wanted = |day: &str| all || days.contains(&day);
                month_of_polls(archives, month, &is_wanted).line(month)
            })
        });
        months
            .into_iter()
            .map(|month| month.join().unwrap())
            .collect()
    });
    let title =
        "month | snapshots = accepted + repeated + refused | unreadable | stations | faults";
    let table = format!("{title}\n{}", lines.join("\n"));
    if all {
        println!("{table}");
    } else {
        insta::assert_snapshot!(table, @"
        month | snapshots = accepted + repeated + refused | unreadable | stations | faults
        2013-07 | 1871 = 1871 + 0 + 0 | 0 | 69 | 0
        2013-08 | 1381 = 1381 + 0 + 0 | 1 | 178 | 12
        2013-10 | 2860 = 2860 + 0 + 0 | 0 | 283 | 0
        2013-11 | 2804 = 2804 + 0 + 0 | 0 | 300 | 0
        2014-02 | 2036 = 2034 + 0 + 2 | 0 | 300 | 0
        2014-03 | 1988 = 1954 + 4 + 30 | 0 | 300 | 0
        2014-04 | 1940 = 1932 + 1 + 7 | 0 | 300 | 0
        2014-09 | 2135 = 2083 + 0 + 52 | 0 | 300 | 0
        2014-12 | 1926 = 1926 + 0 + 0 | 0 | 300 | 0
        2015-01 | 2867 = 2865 + 1 + 1 | 0 | 301 | 0
        2015-03 | 2735 = 2735 + 0 + 0 | 0 | 300 | 0
        ");
    }
}

/// Polls every recorded state of the chosen days of a month into a new store.
fn month_of_polls(archives: &Path, month: &str, is_wanted: &dyn Fn(&str) -> bool) -> Outcome {
    let divvy = System::named("divvy").unwrap();
    let store = MemoryStore::default();
    let mut last: Option<Timestamp> = None;
    let mut outcome = Outcome::default();
    replay(archives, month, is_wanted, &mut |state| {
        let feed = match station_feed::read(&state.json, &state.name) {
            Ok(Document::Feed(feed)) => feed,
            Ok(other) => panic!("{}: expected stations, found {other:?}", state.name),
            Err(FeedError::Empty { .. }) => return outcome.unreadable += 1,
            Err(error) => panic!("{error}"),
        };
        outcome.faults += feed.faults.len();
        let fetched_at = Timestamp::MAX;
        let polled = block_on(ingest::apply(vec![feed], &store, &divvy, fetched_at)).unwrap();
        outcome.snapshots += 1;
        outcome.stations = outcome.stations.max(polled.stations);
        match polled.applied {
            Applied::Accepted { .. } => {
                assert!(
                    last.is_none_or(|last| last <= polled.time.taken_at),
                    "{}",
                    state.name
                );
                outcome.accepted += 1;
                last = Some(polled.time.taken_at);
                assert_same_stations(&block_on(store.stations(&divvy.id)).unwrap(), state);
            }
            Applied::Repeated => {
                assert_eq!(last, Some(polled.time.taken_at), "{}", state.name);
                outcome.repeated += 1;
            }
            Applied::Refused { last: newer, .. } => {
                assert!(
                    newer > polled.time.taken_at && last == Some(newer),
                    "{}",
                    state.name
                );
                outcome.refused += 1;
            }
        }
    });
    outcome
}

impl Outcome {
    /// Writes the outcome of a month, after checking that it adds up.
    fn line(&self, month: &str) -> String {
        let Self {
            snapshots,
            accepted,
            repeated,
            refused,
            unreadable,
            stations,
            faults,
        } = self;
        assert_eq!(*snapshots, accepted + repeated + refused);
        format!(
            "{month} | {snapshots} = {accepted} + {repeated} + {refused} | {unreadable} \
             | {stations} | {faults}"
        )
    }
}

/// Checks that every station of the recorded state is in the store as recorded.
fn assert_same_stations(stations: &[Station], state: &State) {
    for recorded in &state.stations {
        let id = StationId::from(recorded.id.as_str());
        let index = stations.binary_search_by(|station| station.id.cmp(&id));
        let station = &stations[index.unwrap_or_else(|_| panic!("{}: no {id}", state.name))];
        let counts = (station.available.vehicles, station.available.docks);
        assert_eq!(counts, recorded.counts, "{}: {id}", state.name);
    }
}

/// The feed at one minute.
pub struct State {
    /// The minute, for messages.
    pub name: String,
    /// The document as the publisher sent it.
    json: Vec<u8>,
    /// The stations of the document.
    pub stations: Vec<Recorded>,
    pub time: Value,
}

/// A station of the document, with its text: a patch changes few stations.
pub struct Recorded {
    pub fields: Value,
    text: String,
    pub id: String,
    /// Bikes and free docks.
    pub counts: (Option<u32>, Option<u32>),
}

impl Recorded {
    fn new(fields: Value) -> Self {
        let number = |name: &str| fields[name].as_u64().map(|n| u32::try_from(n).unwrap());
        Self {
            text: fields.to_string(),
            id: fields["id"].to_string(),
            counts: (number("availableBikes"), number("availableDocks")),
            fields,
        }
    }
}

/// One step of a patch. The recordings have add, remove and replace.
#[derive(Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// Passes every recorded state of the chosen days of a month to `take`, in order.
fn replay(
    archives: &Path,
    month: &str,
    is_wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(&State),
) {
    let folder = tempfile::tempdir().unwrap();
    let archive = archives.join(format!("{month}.tar.xz"));
    let unpacked = Command::new("tar")
        .arg("xJf")
        .args([&archive, Path::new("-C"), folder.path()])
        .status();
    assert!(unpacked.unwrap().success(), "tar unpacks {month}");
    for day in (1..=31).map(|day| format!("{day:02}")) {
        let file = folder.path().join(format!("{month}/{month}-{day}.json"));
        if is_wanted(&day) && file.exists() {
            replay_day(&file, take);
        }
    }
}

pub fn replay_day(file: &Path, take: &mut dyn FnMut(&State)) {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let json = fs::read(file).unwrap();
    let mut state = State {
        name: format!("{name} at first"),
        stations: Vec::new(),
        time: Value::Null,
        json,
    };
    let Ok(mut first) = serde_json::from_slice::<Value>(&state.json) else {
        return take(&state);
    };
    state.time = first["executionTime"].take();
    let stations = first["stationBeanList"].as_array_mut().unwrap();
    state.stations = stations.drain(..).map(Recorded::new).collect();
    take(&state);
    let patches = fs::read_to_string(file.with_extension("patches")).unwrap();
    for (line, patch) in patches.lines().enumerate() {
        state.name = format!("{name} patch {}", line + 1);
        for step in serde_json::from_str::<Vec<Operation>>(patch).unwrap() {
            state.apply(step);
        }
        state.write();
        take(&state);
    }
}

impl State {
    fn apply(&mut self, step: Operation) {
        let Operation { op, path, value } = step;
        let path: Vec<&str> = path.split('/').skip(1).collect();
        match (op.as_str(), &path[..]) {
            ("replace", ["executionTime"]) => self.time = value,
            ("add", ["stationBeanList", index]) => {
                self.stations
                    .insert(index.parse().unwrap(), Recorded::new(value));
            }
            ("remove", ["stationBeanList", index]) => {
                self.stations.remove(index.parse().unwrap());
            }
            (op, ["stationBeanList", index, field]) => {
                let station = &mut self.stations[index.parse::<usize>().unwrap()];
                let fields = station.fields.as_object_mut().unwrap();
                match op {
                    "add" | "replace" => fields.insert((*field).into(), value),
                    "remove" => fields.remove(*field),
                    _ => panic!("{} has an operation {op}", self.name),
                };
                *station = Recorded::new(station.fields.take());
            }
            _ => panic!("{} has an operation {op} on {path:?}", self.name),
        }
    }

    /// Writes the document.
    fn write(&mut self) {
        let Self {
            json,
            stations,
            time,
            ..
        } = self;
        json.clear();
        json.extend_from_slice(format!("{{\"executionTime\":{time},").as_bytes());
        json.extend_from_slice(b"\"stationBeanList\":[");
        for (index, station) in stations.iter().enumerate() {
            json.extend_from_slice(if index == 0 { b"" } else { b"," });
            json.extend_from_slice(station.text.as_bytes());
        }
        json.extend_from_slice(b"]}");
    }
}
