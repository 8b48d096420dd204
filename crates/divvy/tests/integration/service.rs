//! The service level is that of a count minute by minute.

use std::collections::BTreeMap;

use divvy::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System,
};
use divvy::reports::{self, Filters, Table};
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{StationTable, Store};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// A station in a snapshot: bikes, e-bikes among them, docks, whether it is in service.
type State = (Option<u32>, Option<u32>, Option<u32>, bool);

/// The minutes since midnight (UTC) of snapshots, each with the stations that it lists.
type Snapshots = Vec<(i64, BTreeMap<u8, State>)>;

fn system() -> System {
    System::named("divvy").unwrap()
}

fn instant(minute: i64) -> Timestamp {
    "2024-06-03T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn snapshot(minute: i64, stations: &BTreeMap<u8, State>) -> Snapshot {
    let station = |(id, (vehicles, ebikes, docks, is_open)): (&u8, &State)| {
        let mut station = Station::unknown(StationId::from(format!("s{id}")));
        station.name = Some(format!("Station {id}"));
        // From west to east.
        station.latitude = Some("41.9".parse().unwrap());
        station.longitude = Some(format!("-87.{}", 9 - id).parse().unwrap());
        station.status = Some(match is_open {
            true => StationStatus::InService,
            false => StationStatus::NotRenting,
        });
        station.available = Availability {
            vehicles: *vehicles,
            ebikes: *ebikes,
            docks: *docks,
            ..Availability::default()
        };
        station
    };
    Snapshot {
        system: system(),
        taken_at: instant(minute),
        kind: SnapshotKind::Full,
        stations: stations.iter().map(station).collect(),
        by_type: BTreeMap::new().into_iter().collect(),
    }
}

fn snapshots() -> impl Strategy<Value = Snapshots> {
    let count = || prop_oneof![4 => (0..3_u32).prop_map(Some), 1 => Just(None)];
    let state = (count(), count(), count(), prop::bool::weighted(0.8));
    let stations = prop::collection::btree_map(0..4_u8, state, 0..4);
    let ahead = prop_oneof![6 => 1..9_i64, 1 => 10..40_i64, 1 => 50..400_i64];
    prop::collection::vec((ahead, stations), 2..40).prop_map(|steps| {
        let mut minute = 0;
        let step = |(ahead, stations)| {
            minute += ahead;
            (minute, stations)
        };
        steps.into_iter().map(step).collect()
    })
}

/// Minutes: listed, observed, unusable, in service, empty, full.
type Minutes = [i64; 6];

/// Counts minute by minute, by station and by hour of the day at UTC-5.
fn counted(snapshots: &Snapshots) -> (BTreeMap<String, Minutes>, BTreeMap<i64, Minutes>) {
    let mut between: Vec<i64> = snapshots
        .windows(2)
        .map(|two| two[1].0 - two[0].0)
        .collect();
    between.sort_unstable();
    let gap = (15.0_f64).max(1.5 * between[between.len() / 2] as f64);
    let (mut stations, mut hours) = (BTreeMap::new(), BTreeMap::new());
    for two in snapshots.windows(2) {
        let is_gap = (two[1].0 - two[0].0) as f64 > gap;
        for minute in two[0].0..two[1].0 {
            for (id, (bikes, _, docks, is_open)) in &two[0].1 {
                let is_known = !is_gap && (!is_open || bikes.is_some());
                let is_empty = *bikes == Some(0);
                let is_full = *docks == Some(0);
                let in_service = is_known && *is_open && !(is_empty && is_full);
                let is_unusable = is_known && (!is_open || is_empty || is_full);
                let [empty, full] = [is_empty, is_full].map(|it| in_service && it);
                let row = [true, is_known, is_unusable, in_service, empty, full].map(i64::from);
                let add = |sums: &mut Minutes| (0..6).for_each(|at| sums[at] += row[at]);
                add(stations.entry(format!("s{id}")).or_default());
                add(hours.entry((minute / 60 + 19) % 24).or_default());
            }
        }
    }
    (stations, hours)
}

fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1e6).round() / 1e6)
}

fn answer(store: &dyn Store, filters: &Filters) -> Table {
    block_on(reports::report("service", store, &system(), filters)).unwrap()
}

/// The rows by the value of a column, with the shares that [`counted`] returns.
fn rows(table: &Table, key: &str) -> BTreeMap<String, (Option<f64>, [Option<f64>; 4])> {
    let at = |name: &str| {
        table
            .columns
            .iter()
            .position(|column| column.name == name)
            .unwrap()
    };
    let row = |row: &Vec<divvy::reports::Value>| {
        let number = |name: &str| row[at(name)].number();
        let shares = ["unknown", "unusable", "empty", "full"].map(number);
        let key = match &row[at(key)] {
            divvy::reports::Value::Text(text) => text.clone(),
            other => other.number().unwrap().to_string(),
        };
        (key, (number("minutes"), shares))
    };
    table.rows.iter().map(row).collect()
}

fn expected(minutes: &Minutes) -> (Option<f64>, [Option<f64>; 4]) {
    let [listed, observed, unusable, in_service, empty, full] = *minutes;
    let shares = [
        share(listed - observed, listed),
        share(unusable, observed),
        share(empty, in_service),
        share(full, in_service),
    ];
    (Some(listed as f64), shares)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_service_level_is_that_of_a_count_by_minute(snapshots in snapshots()) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryStore::default();
        let embedded = EmbeddedStore::open(folder.path()).unwrap();
        for (number, (minute, stations)) in snapshots.iter().enumerate() {
            let snapshot = snapshot(*minute, stations);
            block_on(memory.apply(&snapshot, snapshot.taken_at)).unwrap();
            block_on(embedded.apply(&snapshot, snapshot.taken_at)).unwrap();
            if number % 7 == 3 {
                embedded.seal_history(&system().id).unwrap();
            }
        }
        let (stations, hours) = counted(&snapshots);
        let by_station = answer(&memory, &Filters::default());
        let stations = stations.iter().map(|(id, sums)| (id.clone(), expected(sums)));
        prop_assert_eq!(rows(&by_station, "station_id"), stations.collect());
        prop_assert_eq!(&answer(&embedded, &Filters::default()), &by_station);
        let by_hour = Filters { by: vec!["hour".parse().unwrap()], ..Filters::default() };
        let hours = hours.iter().map(|(hour, sums)| (hour.to_string(), expected(sums)));
        prop_assert_eq!(rows(&answer(&embedded, &by_hour), "hour"), hours.collect());
    }
}

fn cells(table: &Table, names: &[&str]) -> Vec<Vec<String>> {
    let at = |name: &&str| {
        table
            .columns
            .iter()
            .position(|column| column.name == *name)
            .unwrap()
    };
    let at: Vec<usize> = names.iter().map(at).collect();
    let row = |row: &Vec<divvy::reports::Value>| {
        let cell = |at: &usize| match &row[*at] {
            divvy::reports::Value::Text(text) => text.clone(),
            divvy::reports::Value::Empty => String::new(),
            other => other.number().unwrap().to_string(),
        };
        at.iter().map(cell).collect()
    };
    table.rows.iter().map(row).collect()
}

#[test]
fn spells_end_in_gaps_and_minutes_beyond_a_share_are_counted() {
    let store = MemoryStore::default();
    let state = |bikes: u32, ebikes: u32| (Some(bikes), Some(ebikes), Some(5), true);
    // Station 0 is empty from minute 5 to 20, where a gap of an hour begins, and from 80 to 85.
    let bikes = |minute: i64| if (5..85).contains(&minute) { 0 } else { 2 };
    for minute in (0..=20).step_by(5).chain((80..=100).step_by(5)) {
        let stations = [(0, state(bikes(minute), 0)), (1, state(3, 3))].into();
        let snapshot = snapshot(minute, &stations);
        block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    }
    let filters = Filters {
        max_unusable: Some("10%".parse().unwrap()),
        ..Filters::default()
    };
    let names = [
        "station_id",
        "minutes",
        "unknown",
        "empty",
        "no_ebikes",
        "no_classic_bikes",
        "minutes_beyond",
        "empty_spells",
        "empty_median_s",
        "empty_longest_s",
        "full_spells",
        "full_longest_s",
    ];
    let found = cells(&answer(&store, &filters), &names);
    let expected = [
        [
            "s0", "100", "0.6", "0.5", "1", "0.5", "16", "2", "300", "900", "0", "",
        ],
        ["s1", "100", "0.6", "0", "0", "1", "0", "0", "", "", "0", ""],
    ];
    assert_eq!(found, expected);
    let monday = Filters {
        weekdays: Some("mon".parse().unwrap()),
        ..filters
    };
    assert_eq!(
        answer(&store, &monday).rows.len(),
        0,
        "it is Sunday evening in Chicago"
    );
}

#[test]
fn stations_are_grouped_by_the_areas_in_which_they_lie() {
    let store = MemoryStore::default();
    // Station 0 is empty, 1 is not, 2 is full.
    let stations = [
        (0, (Some(0), None, Some(5), true)),
        (1, (Some(2), None, Some(3), true)),
        (2, (Some(5), None, Some(0), true)),
    ];
    for minute in [0, 10] {
        let snapshot = snapshot(minute, &stations.into());
        block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    }
    let west = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"West"},
        "geometry":{"type":"Polygon","coordinates":[[[-88,41],[-87.75,41],[-87.75,42],[-88,42],[-88,41]]]}}]}"#;
    let mut filters = Filters {
        areas: Some(reports::Areas::parse("west.geojson", west).unwrap()),
        ..Filters::default()
    };
    let names = ["station_id", "area", "minutes", "empty", "full"];
    let by_area = answer(&store, &filters);
    let expected = [["", "", "10", "0", "1"], ["", "West", "20", "0.5", "0"]];
    assert_eq!(cells(&by_area, &names), expected);
    let outside = "1 station in no area of west.geojson, or without a position";
    assert!(
        by_area
            .notes
            .iter()
            .any(|note| format!("{note:?}").contains(outside))
    );
    filters.by = vec!["station".parse().unwrap()];
    let expected = [
        ["s0", "West", "10", "1", "0"],
        ["s2", "", "10", "0", "1"],
        ["s1", "West", "10", "0", "0"],
    ];
    assert_eq!(cells(&answer(&store, &filters), &names), expected);
}

#[test]
fn a_station_that_changes_no_more_is_counted() {
    let store = MemoryStore::default();
    // Both change every hour; station 1 does not from the fourth day on. Station 2 changes once in five days.
    for hour in 0..10 * 24 {
        let bikes = |n: i64| Some((n % 2 + 2) as u32);
        let state = |n: i64| (bikes(n), None, Some(5), true);
        let stations = [
            (0, state(hour)),
            (1, state(hour.min(72))),
            (2, state(hour / 120)),
        ];
        let snapshot = snapshot(60 * hour, &stations.into());
        block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    }
    let table = answer(&store, &Filters::default());
    let notes = format!("{:?}", table.notes);
    assert!(
        notes.contains("1 station in service did not change for much longer than usual"),
        "{notes}"
    );
    let unchanged = cells(&table, &["station_id", "unchanged_busy_s"]);
    let hours: Vec<_> = unchanged
        .iter()
        .map(|row| (row[0].as_str(), row[1].parse::<i64>().unwrap() / 3_600))
        .collect();
    let stuck = hours.iter().find(|(id, _)| *id == "s1").unwrap();
    assert!(stuck.1 > 24, "{hours:?}");
    assert!(hours.contains(&("s0", 1)), "{hours:?}");
}
