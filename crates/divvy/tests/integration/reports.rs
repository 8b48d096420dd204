//! Reports over a small invented Chicago:
//!
//! | id of the trips | station of the feed | joined by |
//! |---|---|---|
//! | `TA01` | `uuid-canal`, short name `TA01`, same name | short_name |
//! | `35` | `uuid-lake`, legacy id `35`, same name; gone from the newest snapshot | legacy_id |
//! | `gone` | none | - |
//! | - | `uuid-quiet`: no trips | - |

use std::collections::BTreeSet;
use std::fmt::Write;

use futures_executor::block_on;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use divvy::issue::Reason;
use divvy::model::*;
use divvy::reports::*;
use divvy::store::{
    ArchiveId, ArchiveRead, ContentHash, FromStationCount, StationTable as _, Store,
};
use divvy::tally::{Tally, Totals};
use divvy_testkit::MemoryStore;

const NAMES: [(&str, &str); 3] = [
    ("TA01", "Canal St & Adams St"),
    ("35", "Lake St"),
    ("gone", "Gone St"),
];

fn chicago() -> System {
    System::named("divvy").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id(text: &str) -> Option<StationAlias> {
    (!text.is_empty()).then(|| text.into())
}

/// `id start seconds origin destination rider bike`
fn trip(row: &str) -> Trip {
    let [name, start, seconds, from, to, rider, bike] =
        row.split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("seven words: {row}")
    };
    let blank = |text: &str| if text == "-" { "" } else { text }.to_owned();
    let start: DateTime = start.parse().unwrap();
    let started_ms = TimeZone::UTC.to_timestamp(start).unwrap().as_millisecond();
    let seconds: i64 = seconds.parse().unwrap();
    let mut flags = Flags::NONE;
    flags.insert_if(Flag::NoOrigin, from == "-");
    flags.insert_if(Flag::Over24H, seconds > 86_400);
    flags.insert_if(Flag::Under60S, seconds < 60);
    Trip {
        origin: id(&blank(from)),
        destination: id(&blank(to)),
        bike: (bike != "-").then(|| bike.into()),
        rider: Rider::parse(rider),
        from: (from != "-").then_some((41_879_255, -87_639_904)),
        flags,
        ..Trip::new(name, started_ms, started_ms + seconds * 1000, -21_600)
    }
}

const TRIPS: &str = "
    a1 2021-01-04T08:10:00 600    TA01 35   member classic_bike
    a2 2021-01-04T08:50:00 900    TA01 gone member classic_bike
    a3 2021-01-31T17:05:00 725    TA01 35   casual electric_bike
    a4 2021-02-01T09:00:00 30     35   TA01 casual electric_bike
    a5 2021-02-02T10:00:00 172800 35   TA01 casual docked_bike
    a6 2021-02-03T10:00:00 1200   gone TA01 member -
    a7 2021-02-03T23:50:00 1201   -    35   member electric_bike";

fn load(store: &dyn Store, rows: &str) {
    let rows = rows.lines().filter(|row| !row.trim().is_empty());
    let mut batch: TripBatch = rows.map(trip).collect();
    let names = NAMES.iter().filter_map(|(id, name)| {
        let station = batch.stations.iter().position(|text| text == *id)? as u32;
        Some(StationName {
            station,
            name: (*name).into(),
            days: (18_631, 18_661),
        })
    });
    batch.names = names.collect();
    load_batch(store, batch);
}

fn load_batch(store: &dyn Store, batch: TripBatch) {
    let archive = ArchiveId {
        system: chicago(),
        name: "winter.zip".into(),
        content: ContentHash(7),
    };
    let mut totals = Totals::default();
    totals.count(&batch, 1);
    let read = ArchiveRead {
        id: archive.clone(),
        members: vec!["winter.csv".into()],
        rows_read: batch.len() as u64 + 2,
        rejected: [(Reason::NoStart, 2)].into(),
        skipped: Vec::new(),
        forced_from: None,
        totals,
        loaded_at: at("2021-03-01T12:00:00Z"),
        replace: false,
    };
    let incoming = block_on(store.begin(&archive)).unwrap();
    incoming.write(0, batch).unwrap();
    block_on(incoming.commit(read, &())).unwrap();
}

/// Does what the consumer of the change stream does.
fn refresh(store: &dyn Store) {
    let totals = block_on(store.totals(&chicago().id)).unwrap();
    let counts: Vec<FromStationCount> = totals
        .stations
        .0
        .iter()
        .map(|(id, totals)| FromStationCount {
            from_station_id: id.id(),
            from_count: totals.departures as u64,
            trips_version: Some(9),
            refreshed_at: at("2021-03-01T12:00:05Z"),
        })
        .collect();
    block_on(store.put_counts(&chicago().id, &counts)).unwrap();
}

fn station(id: &str, name: &str, short_name: Option<&str>, legacy_id: Option<&str>) -> Station {
    Station {
        name: Some(name.into()),
        short_name: short_name.map(Into::into),
        legacy_id: legacy_id.map(Into::into),
        latitude: Some("41.87925500".parse().unwrap()),
        longitude: Some("-87.639904".parse().unwrap()),
        capacity: Some(47),
        status: Some(StationStatus::InService),
        available: Availability {
            vehicles: Some(7),
            ebikes: Some(2),
            docks: Some(38),
            ..Availability::default()
        },
        reported_at: Some(at("2021-03-02T08:00:00Z")),
        ..Station::unknown(id.into())
    }
}

fn poll(store: &dyn Store, taken_at: &str, ids: &[&str]) {
    let all = [
        station("uuid-canal", "Canal St & Adams St", Some("TA01"), None),
        station("uuid-lake", "Lake St", None, Some("35")),
        station("uuid-quiet", "Quiet Ct", Some("KA99"), None),
    ];
    let snapshot = Snapshot {
        system: chicago(),
        taken_at: at(taken_at),
        kind: SnapshotKind::Full,
        stations: all
            .into_iter()
            .filter(|station| ids.contains(&station.id.as_str()))
            .collect(),
        by_type: Default::default(),
    };
    block_on(store.apply(&snapshot, at(taken_at))).unwrap();
}

/// A store with everything in it.
fn winter() -> MemoryStore {
    let store = MemoryStore::default();
    load(&store, TRIPS);
    refresh(&store);
    let all = ["uuid-canal", "uuid-lake", "uuid-quiet"];
    poll(&store, "2021-03-02T09:00:00Z", &all);
    poll(
        &store,
        "2021-03-02T09:05:00Z",
        &["uuid-canal", "uuid-quiet"],
    );
    store
}

/// Shows rows as text, a blank column as `_`, and the notes below.
fn show(table: &Table) -> String {
    let mut text = String::new();
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|value| match value {
                Value::Empty => "_".into(),
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Decimal(degrees) => degrees.to_string(),
                Value::Truth(truth) => truth.to_string(),
                Value::Distribution(_) => value.distribution_text().unwrap_or_default(),
            })
            .collect();
        writeln!(text, "{}", cells.join(" | ")).unwrap();
    }
    for note in &table.notes {
        writeln!(text, "{note:?}").unwrap();
    }
    text
}

fn ask(store: &dyn Store, name: &str, filters: Filters) -> Table {
    block_on(report(name, store, &chicago(), &filters)).unwrap()
}

fn answer(store: &dyn Store, name: &str) -> String {
    show(&ask(store, name, Filters::default()))
}

#[test]
fn names_types_and_units_are_a_contract() {
    let mut schema = String::new();
    for report in REPORTS {
        writeln!(schema, "{}", report.name()).unwrap();
        for column in report.columns() {
            writeln!(schema, "  {:?} {}", column.kind, column.name).unwrap();
        }
    }
    insta::assert_snapshot!(schema);
}

#[test]
fn snapshots_are_compared_with_the_trips_of_days_that_have_both() {
    let store = MemoryStore::default();
    load(&store, TRIPS);
    // 2021-01-04 is observed from midnight to midnight, the day after has no trips, and 31 January is not observed.
    let midnight = at("2021-01-04T06:00:00Z");
    for minute in (0..=2 * 24 * 60).step_by(10) {
        let taken_at = midnight + jiff::SignedDuration::from_mins(minute);
        let mut canal = station("uuid-canal", "Canal St & Adams St", Some("TA01"), None);
        // Both trips of the morning, and one that ends in no archive.
        canal.available.vehicles = Some(match minute {
            0..500 => 7,
            500..540 => 6,
            540..1_200 => 5,
            _ => 6,
        });
        let mut lake = station("uuid-lake", "Lake St", None, Some("35"));
        (canal.reported_at, lake.reported_at) = (Some(taken_at), Some(midnight));
        let snapshot = Snapshot {
            system: chicago(),
            taken_at,
            kind: SnapshotKind::Full,
            stations: vec![canal, lake],
            by_type: Default::default(),
        };
        block_on(store.apply(&snapshot, taken_at)).unwrap();
    }
    insta::assert_snapshot!(answer(&store, "reconcile"));
    let by_date = Filters {
        by: vec![Dim::Date],
        ..Filters::default()
    };
    insta::assert_snapshot!(show(&ask(&store, "reconcile", by_date)));
    insta::assert_snapshot!(answer(&store, "feed"));
}

#[test]
fn reports_of_the_history_are_of_the_stations_of_the_feed() {
    let store = MemoryStore::default();
    // Trips use the id of a station of the feed for another place.
    let mut batch: TripBatch = TRIPS
        .replace("TA01", "uuid-quiet")
        .replace(" a", " b")
        .lines()
        .filter(|row| !row.trim().is_empty())
        .map(|row| Trip {
            from: Some((41_700_000, -87_500_000)),
            ..trip(row)
        })
        .collect();
    let station = batch.stations.iter().position(|id| id == "uuid-quiet");
    batch.names = vec![StationName {
        station: station.unwrap() as u32,
        name: "Far Lagoon".into(),
        days: (18_631, 18_661),
    }];
    load_batch(&store, batch);
    let all = ["uuid-canal", "uuid-lake", "uuid-quiet"];
    poll(&store, "2021-03-02T09:00:00Z", &all);
    poll(&store, "2021-03-02T09:05:00Z", &all);
    let names = answer(&store, "stations");
    assert!(names.contains("uuid-quiet (trips)"), "{names}");
    for report in ["service", "flows"] {
        let answer = answer(&store, report);
        assert!(
            answer.contains("uuid-quiet | Quiet Ct"),
            "{report}: {answer}"
        );
        assert!(!answer.contains("Far Lagoon"), "{report}: {answer}");
    }
}

#[test]
fn every_answer_has_the_columns_it_promises() {
    let store = winter();
    for report in REPORTS {
        let table = ask(&store, report.name(), Filters::default());
        assert_eq!(table.columns, report.columns());
        let is_empty =
            ["distance", "history", "reconcile", "outlook", "calibration"].contains(&report.name());
        assert_eq!(table.rows.is_empty(), is_empty, "{}", report.name());
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}", report.name());
        }
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let undefined = table
            .columns
            .iter()
            .find(|column| column.definition.is_empty());
        assert_eq!(undefined, None, "{}", report.name());
    }
}

#[test]
fn stations_join_counts_to_what_the_feed_says() {
    let store = winter();
    insta::assert_snapshot!(answer(&store, "stations"), @r#"
    uuid-canal | Canal St & Adams St | 41.87925500 | -87.639904 | in service | 7 | 2 | 38 | 47 | 2021-03-02T02:00:00-06:00 | 3 | XS | 3 | XS | 0.6 | 0.064 | uuid-canal
    uuid-lake | Lake St | 41.87925500 | -87.639904 | not in feed | _ | _ | _ | _ | _ | 2 | XS | 3 | XS | 0.4 | _ | uuid-lake
    gone | Gone St | 41.879255 | -87.639904 | not in feed | _ | _ | _ | _ | _ | 1 | XS | 1 | XS | 0.2 | _ | gone
    uuid-quiet | Quiet Ct | 41.87925500 | -87.639904 | in service | 7 | 2 | 38 | 47 | 2021-03-02T02:00:00-06:00 | 0 | XS | 0 | XS | _ | 0 | uuid-quiet
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Scope("1 trip starts away from a station")
    Scope("Live status of 2021-03-02T03:05:00-06:00 (2 stations) matched for 2 of 3 station ids (83 % of trips)")
    "#);
}

#[test]
fn stations_are_known_from_trips_alone() {
    let store = MemoryStore::default();
    load(&store, TRIPS);
    insta::assert_snapshot!(answer(&store, "stations"), @r#"
    35 | Lake St | 41.879255 | -87.639904 | _ | _ | _ | _ | _ | _ | 0 | XS | 3 | XS | 0 | _ | 35
    TA01 | Canal St & Adams St | 41.879255 | -87.639904 | _ | _ | _ | _ | _ | _ | 0 | XS | 3 | XS | 0 | _ | TA01
    gone | Gone St | 41.879255 | -87.639904 | _ | _ | _ | _ | _ | _ | 0 | XS | 1 | XS | 0 | _ | gone
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Scope("1 trip starts away from a station")
    Warning("the counts of 3 station ids are behind the trips stored: divvy refresh brings them up to date")
    Scope("no live data yet: divvy poll URL")
    "#);
}

#[test]
fn a_join_that_finds_little_says_so() {
    let store = MemoryStore::default();
    load(&store, TRIPS);
    refresh(&store);
    poll(&store, "2021-03-02T09:00:00Z", &["uuid-lake", "uuid-quiet"]);
    let notes = ask(&store, "stations", Filters::default()).notes;
    let loud = notes.iter().filter(|note| matches!(note, Note::Warning(_)));
    let loud: Vec<_> = loud.map(Note::text).collect();
    assert_eq!(loud.len(), 1);
    assert!(loud[0].starts_with("only 33 % of the trips"), "{loud:?}");
}

#[test]
fn the_other_reports() {
    let store = winter();
    insta::assert_snapshot!(answer(&store, "from-counts"), @r#"
    TA01 | 3 | 2021-03-01T06:00:05-06:00
    35 | 2 | 2021-03-01T06:00:05-06:00
    gone | 1 | 2021-03-01T06:00:05-06:00
    uuid-quiet | 0 | _
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Scope("6 departures from 4 station ids")
    "#);
    insta::assert_snapshot!(answer(&store, "durations"), @r#"
    member | 4 | 600 | 975.25 | 900 | 1201 | 1201 | 1201
    casual | 1 | 725 | 725 | 725 | 725 | 725 | 725
    all | 5 | 600 | 925.2 | 900 | 1201 | 1201 | 1201
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    LeftOut { trips: 2, reasons: [("under_60_s", Some(1)), ("over_24_h", Some(1))] }
    "#);
    insta::assert_snapshot!(answer(&store, "riders"), @r#"
    member | classic_bike | 2 | 0.285714
    casual | electric_bike | 2 | 0.285714
    member | electric_bike | 1 | 0.142857
    member | _ | 1 | 0.142857
    casual | docked_bike | 1 | 0.142857
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    "#);
    insta::assert_snapshot!(answer(&store, "quality"), @r#"
    winter.zip | 9 | 7 | 0 | 0 | 0 | 2 | 0 | 0 | 0 | 1 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0
    Scope("Divvy (Chicago): 1 archive, 9 rows read = 7 stored + 2 rejected; flagged trips are stored and counted")
    "#);
}

#[test]
fn hours_count_both_ends() {
    let store = winter();
    let rows = ask(&store, "hours", Filters::default()).rows;
    assert_eq!(rows.len(), 24);
    let hour = |hour: usize| rows[hour].clone();
    assert_eq!(hour(8), [8_i64, 2, 1].map(Value::from));
    assert_eq!(hour(0), [0_i64, 0, 1].map(Value::from)); // over midnight
    assert_eq!(hour(23), [23_i64, 1, 0].map(Value::from));
}

#[test]
fn filters_count_the_same_way_over_fewer_trips() {
    let store = winter();
    let january: Period = "2021-01".parse().unwrap();
    let trips = |filters: Filters| {
        let table = ask(&store, "riders", filters);
        let trips = table.rows.iter().map(|row| match row[2] {
            Value::Integer(trips) => trips,
            _ => panic!("trips are counted"),
        });
        trips.sum::<i64>()
    };
    let all = Filters::default;
    assert_eq!(trips(all()), 7);
    let (from, to) = (Some(january.first), Some(january.last));
    assert_eq!(trips(Filters { from, to, ..all() }), 3);
    assert_eq!(trips(Filters { from, ..all() }), 7);
    assert_eq!(trips(Filters { to, ..all() }), 3);
    let rider = Some(Rider::parse("Subscriber"));
    assert_eq!(trips(Filters { rider, ..all() }), 4);
    let bike = Some("electric".into());
    assert_eq!(trips(Filters { bike, ..all() }), 3);
    for (text, expected) in [
        ("TA01", 3),
        ("uuid-canal", 3),
        ("canal st & adams st", 3),
        ("35", 2),
        ("KA99", 0),
    ] {
        let station = Some(text.to_owned());
        assert_eq!(trips(Filters { station, ..all() }), expected, "{text}");
    }
}

#[test]
fn a_value_that_nothing_in_the_store_has_is_refused_with_suggestions() {
    let store = winter();
    let refusal = |filters: Filters| {
        let system = chicago();
        let answer = report("hours", &store, &system, &filters);
        block_on(answer).unwrap_err().to_string()
    };
    let station = |text: &str| Filters {
        station: Some(text.into()),
        ..Filters::default()
    };
    let rider = Filters {
        rider: Some(Rider::parse("foo")),
        ..Filters::default()
    };
    let bike = Filters {
        bike: Some("cargo".into()),
        ..Filters::default()
    };
    let refusals = [
        refusal(rider),
        refusal(bike),
        refusal(station("st")),
        refusal(station("Lake Str")),
        refusal(station("nowhere")),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    no rider type "foo": the trips have casual, member
    no bike type "cargo": the trips have classic_bike, docked_bike, electric_bike
    no station "st": 3 stations contain it: Canal St & Adams St, Lake St, Gone St
    no station "Lake Str" (did you mean "Lake St"?)
    no station "nowhere", by id or by name: the report places lists all of them
    "#);
    // A known value of which the dates let nothing through is no mistake.
    let year: Period = "2030".parse().unwrap();
    let later = Filters {
        from: Some(year.first),
        rider: Some(Rider::parse("member")),
        ..Filters::default()
    };
    let notes = ask(&store, "hours", later).notes;
    assert!(notes.iter().any(Note::is_warning), "{notes:?}");
}

/// The feed uses an id of the trips for another place, 20 km away.
#[test]
fn of_two_places_with_one_id_the_one_that_is_meant_is_counted() {
    let store = MemoryStore::default();
    load(
        &store,
        "a1 2021-01-04T08:10:00 600 35 TA01 member -
         a2 2021-01-04T08:50:00 900 35 35   member -",
    );
    refresh(&store);
    let mut far = station("35", "Far Place", None, None);
    far.latitude = Some("42.05".parse().unwrap());
    let snapshot = Snapshot {
        system: chicago(),
        taken_at: at("2021-03-02T09:00:00Z"),
        kind: SnapshotKind::Full,
        stations: vec![far],
        by_type: Default::default(),
    };
    let all: &dyn Store = &store;
    block_on(all.apply(&snapshot, snapshot.taken_at)).unwrap();
    for (text, expected) in [("Far Place", 0), ("Lake St", 2)] {
        let filters = Filters {
            station: Some(text.into()),
            ..Filters::default()
        };
        let counted = |name: &str, column: &str| {
            let table = ask(&store, name, filters.clone());
            let names = table.columns.iter().map(|column| column.name);
            let at = names.clone().position(|name| name == column).unwrap();
            let numbers = table.rows.iter().map(|row| match row[at] {
                Value::Integer(number) => number,
                _ => panic!("{column} is a count"),
            });
            numbers.sum::<i64>()
        };
        for (name, column) in [
            ("hours", "starts"),
            ("balance", "departures"),
            ("routes", "trips"),
            ("stations", "from_count"),
        ] {
            assert_eq!(counted(name, column), expected, "{name} of {text}");
        }
    }
    // And none beside the two.
    assert_eq!(ask(&store, "stations", Filters::default()).rows.len(), 3);
}

#[test]
fn growth_counts_whole_months_and_says_so() {
    let filters = Filters {
        from: Some("2021-01-20".parse().unwrap()),
        to: Some("2021-02-02".parse().unwrap()),
        ..Filters::default()
    };
    insta::assert_snapshot!(show(&ask(&winter(), "growth", filters)), @r#"
    2021-01 | all | 3 | _ | _ | false
    2021-02 | all | 4 | _ | _ | false
    Scope("7 trips counted (from 2021-01-01, to 2021-02-28), of Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Warning("not all days are stored of 2021-01 (2 of 31 days), 2021-02 (3 of 28 days): no growth is shown for such a month")
    Scope("for none of these months is the same month a year before stored: there is no growth to show")
    "#);
}

#[test]
fn growth_is_of_two_complete_months() {
    let store = MemoryStore::default();
    let mut rows = String::new();
    let mut date = jiff::civil::date(2023, 1, 1);
    // All of January 2023; all of January 2024, and two days of February.
    while date <= jiff::civil::date(2024, 2, 2) {
        if date.year() == 2024 || date.month() == 1 {
            rows += &format!("t{date} {date}T08:00:00 600 TA01 35 member -\n");
        }
        date = date.tomorrow().unwrap();
    }
    rows += "twice 2024-01-05T09:00:00 600 TA01 35 member -\n";
    rows += "feb 2023-02-01T09:00:00 600 TA01 35 member -";
    load(&store, &rows);
    insta::assert_snapshot!(answer(&store, "growth"), @r#"
    2023-01 | all | 31 | _ | _ | true
    2023-02 | all | 1 | _ | _ | false
    2024-01 | all | 32 | 31 | 0.032258 | true
    2024-02 | all | 2 | 1 | _ | false
    Scope("Divvy (Chicago): 66 trips from 1 archive, 2023-01-01 to 2024-02-02")
    Warning("not all days are stored of 2023-02 (1 of 28 days), 2024-02 (2 of 29 days): no growth is shown for such a month")
    "#);
}

#[test]
fn stops_are_counted_by_the_weekday_and_hour_of_the_stop() {
    let store = MemoryStore::default();
    load(
        &store,
        "s 2021-01-31T23:50:00 1200 TA01 35 member -\nm 2021-02-01T00:05:00 600 TA01 35 casual -",
    );
    let by = |by: &[Dim]| {
        show(&ask(
            &store,
            "hours",
            Filters {
                by: by.to_vec(),
                ..Filters::default()
            },
        ))
    };
    insta::assert_snapshot!(by(&[Dim::Weekday, Dim::Hour]), @r#"
    Monday | 0 | 1 | 2
    Sunday | 23 | 1 | 0
    Scope("Divvy (Chicago): 2 trips from 1 archive, 2021-01-31 to 2021-02-01")
    "#);
    insta::assert_snapshot!(by(&[Dim::Month, Dim::Rider]), @r#"
    2021-01 | member | 1 | 0
    2021-02 | member | 0 | 1
    2021-02 | casual | 1 | 1
    Scope("Divvy (Chicago): 2 trips from 1 archive, 2021-01-31 to 2021-02-01")
    "#);
}

#[test]
fn weekdays_are_sorted_in_the_order_of_the_week() {
    for (sort, first) in [("weekday", "Monday"), ("weekday:desc", "Sunday")] {
        let filters = Filters {
            by: vec![Dim::Weekday],
            sort: Some(sort.parse().unwrap()),
            ..Filters::default()
        };
        let table = ask(&winter(), "weekdays", filters);
        assert_eq!(table.rows[0][0], Value::from(first), "{sort}");
    }
}

#[test]
fn distances_are_of_plausible_fine_coordinates() {
    const CANAL: (i32, i32) = (41_879_255, -87_639_904);
    let to = |name: &str, to: (i32, i32), flags: Flags| Trip {
        from: Some(CANAL),
        to: Some(to),
        flags,
        ..Trip::new(name, 0, 600_000, -21_600)
    };
    let far = Flags::from_bits(Flag::FarAway as u16);
    let rows = [
        to("near", (41_889_255, -87_639_904), Flags::NONE),
        to("coarse", (41_890_000, -87_640_000), Flags::NONE),
        to("beyond the border", (42_210_001, -87_640_001), far),
        to("Moscow", (55_751_001, 37_618_001), far),
    ];
    let store = MemoryStore::default();
    load_batch(&store, rows.into_iter().collect());
    insta::assert_snapshot!(answer(&store, "distance"), @r#"
    unknown | 2 | 18944.5 | 1112 | 36777 | 36777
    all | 2 | 18944.5 | 1112 | 36777 | 36777
    Scope("Divvy (Chicago): 4 trips from 1 archive, of 1970-01-01")
    LeftOut { trips: 2, reasons: [("with coordinates of two decimals", Some(1)), ("far outside of the system's area", Some(1))] }
    "#);
}

#[test]
fn an_age_is_1_to_100() {
    let born = |name: &str, year: i16| Trip {
        birth_year: Some(year),
        ..Trip::new(name, 0, 600_000, -21_600)
    };
    let rows = [
        born("a", 1940),
        born("b", 1970),
        born("c", 1869),
        born("d", 1969),
    ];
    let store = MemoryStore::default();
    load_batch(&store, rows.into_iter().collect());
    insta::assert_snapshot!(answer(&store, "ages"), @r#"
    1869 | _ | unknown | 1
    1940 | 30 | unknown | 1
    1969 | 1 | unknown | 1
    1970 | _ | unknown | 1
    Scope("Divvy (Chicago): 4 trips from 1 archive, of 1970-01-01")
    Scope("2 trips of an age below 1 or above 100 by the year of birth: shown without age")
    "#);
}

#[test]
fn trips_without_an_origin_are_reported_where_stations_are_groups() {
    let by = vec![Dim::Station];
    let filters = Filters {
        by,
        ..Filters::default()
    };
    insta::assert_snapshot!(show(&ask(&winter(), "hours", filters.clone())), @r#"
    uuid-canal | Canal St & Adams St | 3 | 3
    uuid-lake | Lake St | 2 | 2
    gone | Gone St | 1 | 1
    Scope("Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Scope("1 trip without an origin: at no station")
    "#);
    let members = Filters {
        rider: Some(Rider::Member),
        ..filters
    };
    insta::assert_snapshot!(show(&ask(&winter(), "hours", members)), @r#"
    uuid-canal | Canal St & Adams St | 2 | 2
    gone | Gone St | 1 | 1
    Scope("3 trips with an origin counted (rider member), of Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    "#);
}

#[test]
fn filtered_stations_are_counted_from_the_trips_themselves() {
    let store = winter();
    let filters = Filters {
        rider: Some(Rider::Casual),
        station: Some("Canal St & Adams St".into()),
        ..Filters::default()
    };
    insta::assert_snapshot!(show(&ask(&store, "stations", filters)), @r#"
    uuid-canal | Canal St & Adams St | 41.87925500 | -87.639904 | in service | 7 | 2 | 38 | 47 | 2021-03-02T02:00:00-06:00 | 1 | XS | 2 | XS | 0.2 | 0.021 | uuid-canal
    Scope("3 trips counted (rider casual), of Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    "#);
}

#[test]
fn a_filter_that_matches_nothing_says_what_there_is() {
    let store = winter();
    let filters = Filters {
        bike: Some("docked".into()),
        rider: Some(Rider::parse("member")),
        ..Filters::default()
    };
    insta::assert_snapshot!(show(&ask(&store, "riders", filters)), @r#"
    Scope("0 trips counted (rider member, bike docked), of Divvy (Chicago): 7 trips from 1 archive, 2021-01-04 to 2021-02-03")
    Warning("no stored trip matches rider member, bike docked; riders are casual, member; bikes are classic_bike, docked_bike, electric_bike")
    "#);
}

#[test]
fn what_cannot_be_asked_is_refused_in_a_sentence() {
    let store = winter();
    let refuse = |name: &str, filters: Filters| {
        block_on(report(name, &store, &chicago(), &filters))
            .unwrap_err()
            .to_string()
    };
    let rider = Filters {
        rider: Some(Rider::Member),
        ..Filters::default()
    };
    let swapped = Filters {
        from: Some("2021-02-01".parse().unwrap()),
        to: Some("2021-01-01".parse().unwrap()),
        ..Filters::default()
    };
    insta::assert_snapshot!(refuse("quality", rider.clone()), @r#"the report "quality" cannot be narrowed by rider: it takes top"#);
    insta::assert_snapshot!(refuse("from-counts", rider), @r#"the report "from-counts" cannot be narrowed by rider: it takes station, top"#);
    insta::assert_snapshot!(refuse("hours", swapped), @"no date is both from 2021-02-01 on and up to 2021-01-01: the first date comes after the last");
    insta::assert_snapshot!(refuse("station", Filters::default()), @r#"there is no report "station" (did you mean stations?): expected one of stations, from-counts, places, hours, weekdays, months, days, durations, riders, genders, ages, routes, balance, growth, distance, dockless, roundtrips, quality, history, coverage, service, flows, reconcile, feed, outlook, calibration"#);
}

#[test]
fn top_keeps_the_first_rows_and_counts_the_rest() {
    let store = winter();
    let top = Filters {
        top: Some(1),
        ..Filters::default()
    };
    let table = ask(&store, "stations", top);
    assert_eq!((table.rows.len(), table.more), (1, 3));
    assert!(!table.may_be_cut);
    let may_be_cut = |name| ask(&store, name, Filters::default()).may_be_cut;
    assert!(may_be_cut("stations") && !may_be_cut("hours"));
}

#[test]
fn stations_have_the_states_of_an_instant() {
    let store = winter();
    let as_of = |text: &str| {
        let filters = Filters {
            as_of: Some(text.parse().unwrap()),
            ..Filters::default()
        };
        show(&ask(&store, "stations", filters))
    };
    insta::assert_snapshot!(as_of("2021-03-02T03:04"));
    let of_the_last = "States as of 2021-03-02T03:20:00-06:00: those of the snapshot made \
                       2021-03-02T03:05:00-06:00\")";
    assert!(as_of("2021-03-02T09:20:00Z").contains(of_the_last));
    let later = as_of("2021-03-04");
    assert!(
        later.contains("1 day 20 h before; no later snapshot is stored"),
        "{later}"
    );
    let before = as_of("2021-03-02");
    assert!(
        !before.contains("InService") && !before.contains("in service"),
        "{before}"
    );
    assert!(
        before.contains("the first snapshot was made 2021-03-02T03:00:00-06:00"),
        "{before}"
    );
}

#[test]
fn an_empty_system_has_empty_reports() {
    let store = MemoryStore::default();
    for report in REPORTS {
        let table = ask(&store, report.name(), Filters::default());
        assert!(!table.notes.is_empty(), "{}", report.name());
    }
}

/// Any trip of a small city, over a year and more.
fn any_trip() -> impl Strategy<Value = Trip> {
    let station = || prop::sample::select(vec!["", "TA01", "35", "gone", "x"]);
    let rider = prop::sample::select(vec!["member", "casual", "Dependent"]);
    let bike = prop::sample::select(vec!["", "classic_bike", "electric_bike"]);
    let gender = prop::sample::select(vec!["", "Female", "Male"]);
    let start = 1_577_836_800_i64..1_612_137_600; // 2020-01-01 to 2021-01-31
    let seconds = prop::sample::select(vec![-5_i64, 0, 30, 60, 61, 700, 3_600, 86_400, 90_000]);
    let born = prop::option::of(prop_oneof![
        1950_i16..2000,
        Just(1889),
        Just(1890),
        Just(2017),
        Just(2018)
    ]);
    let to = prop::option::of(Just((41_889_000, -87_620_000)));
    let ends = (station(), station(), to);
    ((start, seconds), ends, (rider, bike, gender, born)).prop_map(
        |((start, seconds), (from, to, at), (rider, bike, gender, born))| {
            let mut flags = Flags::NONE;
            flags.insert_if(Flag::NoOrigin, from.is_empty());
            flags.insert_if(Flag::NoDestination, to.is_empty());
            flags.insert_if(Flag::EndsBeforeStart, seconds < 0);
            flags.insert_if(Flag::ZeroLength, seconds == 0);
            flags.insert_if(Flag::Under60S, (1..60).contains(&seconds));
            flags.insert_if(Flag::Over24H, seconds > 86_400);
            Trip {
                started_ms: start * 1000,
                ended_ms: (start + seconds) * 1000,
                origin: id(from),
                destination: id(to),
                bike: (!bike.is_empty()).then(|| bike.into()),
                rider: Rider::parse(rider),
                gender: (!gender.is_empty()).then(|| gender.into()),
                birth_year: born,
                to: at,
                flags,
                ..trip("t 2021-01-04T08:10:00 600 TA01 35 member -")
            }
        },
    )
}

fn any_filters() -> impl Strategy<Value = Filters> {
    let period = prop::sample::select(vec!["2020", "2020-06", "2020-12", "2021-01", "2021-01-05"]);
    let dates = prop::option::of((period.clone(), period)).prop_map(|dates| {
        let period = |text: &str| text.parse::<Period>().unwrap();
        match dates {
            Some((a, b)) => {
                let (a, b) = (period(a), period(b));
                (Some(a.first.min(b.first)), Some(a.last.max(b.last)))
            }
            None => (None, None),
        }
    });
    let rider = prop::option::weighted(0.3, Just(Rider::Casual));
    let bike = prop::option::weighted(0.2, Just("electric".to_owned()));
    let station = prop::option::weighted(0.3, Just("TA01".to_owned()));
    let weekdays = prop::option::weighted(0.3, Just("fri-mon"));
    let hours = prop::option::weighted(0.3, Just("6-18"));
    let by = prop::collection::vec(prop::sample::select(Dim::ALL.to_vec()), 0..=2);
    (dates, rider, bike, station, weekdays, hours, by).prop_map(
        |((from, to), rider, bike, station, weekdays, hours, by)| Filters {
            from,
            to,
            rider,
            bike,
            station,
            weekdays: weekdays.map(|days| days.parse().unwrap()),
            hours: hours.map(|hours| hours.parse().unwrap()),
            by,
            ..Filters::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// Every report has the same rows from the cube as from the trips, with any filter and grouping.
    #[test]
    fn the_cube_has_the_counts_of_the_trips(
        trips in prop::collection::vec(any_trip(), 0..40),
        filters in prop::collection::vec(any_filters(), 4),
    ) {
        let store = MemoryStore::default();
        let trips = trips.into_iter().enumerate().map(|(n, trip)| Trip {
            id: format!("t{n}").as_str().into(),
            ..trip
        });
        load_batch(&store, trips.collect());
        refresh(&store);
        let system = chicago();
        for report in REPORTS {
            for filters in &filters {
                let mut filters = filters.clone();
                filters.by.retain(|dim| report.groups_by().contains(dim));
                filters.by.dedup();
                let takes = |filter| report.takes().contains(&filter);
                if !takes(Filter::Dates) || !takes(Filter::Rider) {
                    continue;
                }
                let answer = |reads_trips| {
                    let mut question = Question::new(&store, &system, &filters);
                    question.reads_trips = reads_trips;
                    block_on(divvy::reports::ask(*report, &question))
                };
                let (kept, read) = match (answer(false), answer(true)) {
                    (Ok(kept), Ok(read)) => (kept, read),
                    // No trip has the rider or the bike of the filters.
                    (Err(kept), Err(read)) => {
                        prop_assert!(matches!(kept, ReportError::UnknownValue(_)), "{}", kept);
                        prop_assert_eq!(kept.to_string(), read.to_string());
                        continue;
                    }
                    (kept, read) => panic!("{kept:?} / {read:?}"),
                };
                let context = format!("{} {filters:?}: {} / {}", report.name(), kept.how, read.how);
                prop_assert_eq!(&kept.rows, &read.rows, "{}", context);
                prop_assert_eq!(&kept.notes[0], &read.notes[0], "{}", context);
            }
        }
    }
}
