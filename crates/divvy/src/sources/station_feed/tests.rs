//! A small feed for every departure from the specification.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::entry::FIELDS;
use super::*;
use crate::model::{Availability, Snapshot, SnapshotKind, StationStatus};

fn read_text(text: &str) -> Result<Document, FeedError> {
    read(text.as_bytes(), "feed.json")
}

fn feed_of(json: serde_json::Value) -> Feed {
    match read_text(&json.to_string()).unwrap() {
        Document::Feed(feed) => feed,
        other => panic!("expected a feed with stations, found {other:?}"),
    }
}

/// Makes a `station_status` of that version with these entries.
fn status_of(version: &str, stations: serde_json::Value) -> Feed {
    feed_of(json!({
        "last_updated": 1_700_000_000, "ttl": 60, "version": version,
        "data": {"stations": stations}
    }))
}

/// Makes an entry of a `station_status` as specified, with `changes`.
fn state(changes: serde_json::Value) -> serde_json::Value {
    let mut state = json!({
        "station_id": "a", "num_bikes_available": 3, "num_docks_available": 9,
        "is_installed": true, "is_renting": true, "is_returning": true,
        "last_reported": 1_699_999_990
    });
    for (field, value) in changes.as_object().unwrap() {
        state[field] = value.clone();
    }
    state
}

fn information_entry(id: &str, name: &str) -> serde_json::Value {
    json!({"station_id": id, "name": name, "lat": 41.9, "lon": -87.6, "capacity": 15})
}

fn information_of(stations: serde_json::Value) -> Feed {
    feed_of(json!({"last_updated": 1_700_000_030, "ttl": 60, "data": {"stations": stations}}))
}

fn bean(changes: serde_json::Value) -> serde_json::Value {
    let mut bean = json!({
        "id": 5, "stationName": "Lake St & First Ave", "availableDocks": 11, "totalDocks": 19,
        "latitude": 41.87, "longitude": -87.62, "statusValue": "In Service", "statusKey": 1,
        "availableBikes": 8, "testStation": false, "lastCommunicationTime": null,
        "landMark": "030"
    });
    for (field, value) in changes.as_object().unwrap() {
        bean[field] = value.clone();
    }
    bean
}

fn beans_at(time: &str, beans: serde_json::Value) -> Feed {
    feed_of(json!({"executionTime": time, "stationBeanList": beans}))
}

fn beans(list: serde_json::Value) -> Feed {
    beans_at("2013-11-02 07:45:01 PM", list)
}

fn divvy() -> System {
    System::named("divvy").unwrap()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn faults(feed: &Feed) -> Vec<String> {
    feed.faults.iter().map(Fault::to_string).collect()
}

/// Reads a feed with one station and checks that it has no fault.
fn only(feed: &Feed) -> &Station {
    assert_eq!(faults(feed), [""; 0]);
    let [station] = &feed.stations[..] else {
        panic!("one station, found {}", feed.stations.len());
    };
    station
}

#[test]
fn a_station_bean_list_has_names_places_and_states() {
    let feed = beans(json!([bean(json!({}))]));
    assert_eq!(feed.kind, FeedKind::StationBeanList);
    assert_eq!(feed.systems(&Systems::default()), [divvy()]);
    let station = only(&feed);
    assert_eq!(station.id.as_str(), "5");
    assert_eq!(station.name.as_deref(), Some("Lake St & First Ave"));
    assert_eq!(station.short_name, None, "landMark is another number");
    assert_eq!(station.capacity, Some(19));
    assert_eq!(station.status, Some(StationStatus::InService));
    let expected = Availability {
        vehicles: Some(8),
        docks: Some(11),
        ..Availability::default()
    };
    assert_eq!(station.available, expected);
    let snapshot = snapshot(vec![feed], &divvy(), None).unwrap();
    assert_eq!(snapshot.kind, SnapshotKind::Full);
    assert_eq!(snapshot.taken_at, instant("2013-11-03T00:45:01Z"));
}

#[test]
fn a_bean_has_its_status_as_a_word_or_as_a_key() {
    let status = |changes| only(&beans(json!([bean(changes)]))).status.clone().unwrap();
    for (word, expected) in [
        ("In Service", StationStatus::InService),
        ("Not In Service", StationStatus::NotInService),
        ("Planned", StationStatus::Planned),
        (
            "De-registered",
            StationStatus::Unknown("De-registered".into()),
        ),
    ] {
        assert_eq!(status(json!({"statusValue": word})), expected);
    }
    assert_eq!(
        status(json!({"statusValue": null, "statusKey": 3})),
        StationStatus::NotInService
    );
    assert_eq!(
        status(json!({"statusValue": null, "status": "NOT_IN_SERVICE"})),
        StationStatus::NotInService
    );
    assert_eq!(status(json!({"renting": false})), StationStatus::NotRenting);
}

#[test]
fn a_test_station_is_left_out() {
    let list = json!([bean(json!({})), bean(json!({"id": 6, "testStation": true}))]);
    let feed = beans(list);
    assert_eq!(feed.stations.len(), 1);
    assert_eq!(
        faults(&feed),
        ["station 6: testStation: expected false; the station is left out, found true"]
    );
}

#[test]
fn a_field_renamed_for_a_minute_does_no_harm() {
    let mut renamed = bean(json!({}));
    let flag = renamed.as_object_mut().unwrap().remove("testStation");
    renamed["testSStation"] = flag.unwrap();
    assert_eq!(only(&beans(json!([renamed]))).id.as_str(), "5");
}

#[test]
fn a_bean_reports_by_the_wall_clock_of_its_system() {
    let reported = |at: &str, reported: &str| {
        let feed = beans_at(
            at,
            json!([bean(json!({"lastCommunicationTime": reported}))]),
        );
        let snapshot = snapshot(vec![feed], &divvy(), None).unwrap();
        snapshot.stations[0].reported_at.unwrap()
    };
    assert_eq!(
        reported("2019-01-27 02:39:27 PM", "2019-01-27 02:35:23 PM"),
        instant("2019-01-27T20:35:23Z")
    );
    // After the clock was turned back, reports of an hour and of a minute ago have the same time.
    assert_eq!(
        reported("2019-11-03 02:00:00 AM", "2019-11-03 01:59:00 AM"),
        instant("2019-11-03T07:59:00Z")
    );
    assert_eq!(
        reported("2019-11-03 01:30:00 AM", "2019-11-03 01:29:00 AM"),
        instant("2019-11-03T06:29:00Z")
    );
}

#[test]
fn information_and_status_are_distinguished_by_content() {
    let information = information_of(json!([information_entry("a", "Lake St")]));
    assert_eq!(information.kind, FeedKind::StationInformation);
    assert_eq!(information.version, None);
    assert_eq!(information.systems(&Systems::default()), [divvy()]);
    assert_eq!(only(&information).name.as_deref(), Some("Lake St"));
    let status = status_of("2.3", json!([state(json!({}))]));
    assert_eq!(status.kind, FeedKind::StationStatus);
    assert_eq!(status.version.as_deref(), Some("2.3"));
    assert_eq!(status.systems(&Systems::default()), []);
    assert_eq!(only(&status).status, Some(StationStatus::InService));
}

#[test]
fn a_feed_belongs_to_the_system_where_most_of_its_stations_lie() {
    let mut test_stations = vec![
        information_entry("a", "Lake St"),
        information_entry("b", "Oak St"),
    ];
    for id in ["c", "d", "e"] {
        let mut test_station = information_entry(id, "Warehouse");
        test_station["lat"] = json!(0);
        test_station["lon"] = json!(0);
        test_stations.push(test_station);
    }
    test_stations[2]["lat"] = json!(40.7);
    test_stations[2]["lon"] = json!(-74.0);
    assert_eq!(
        information_of(test_stations.into()).systems(&Systems::default()),
        [divvy()]
    );
}

#[test]
fn a_pair_is_joined_and_neither_erases_what_the_other_knows() {
    let information = information_of(json!([
        information_entry("a", "Lake St"),
        {"station_id": "b", "name": "Oak St", "lat": 41.8, "lon": -87.7,
         "short_name": "TA13", "legacy_id": 7}
    ]));
    let status = status_of(
        "2.3",
        json!([
            state(json!({"station_id": "c"})),
            state(json!({"name": null}))
        ]),
    );
    let joined = snapshot(vec![status, information], &divvy(), None).unwrap();
    assert_eq!(joined.kind, SnapshotKind::Full);
    assert_eq!(joined.taken_at, instant("2023-11-14T22:13:20Z"));
    insta::assert_snapshot!(table(&joined), @"
    a | Lake St - - | 15 | in service | 3
    b | Oak St TA13 7 | - | - | -
    c | - - - | - | in service | 3
    ");
}

/// Writes a snapshot as a table, `-` for `None`.
fn table(snapshot: &Snapshot) -> String {
    let mut rows = String::new();
    for s in &snapshot.stations {
        let text = |text: &Option<String>| text.clone().unwrap_or("-".into());
        let status = s.status.as_ref().map_or("-".into(), ToString::to_string);
        let number = |n: Option<u32>| n.map_or("-".into(), |n| n.to_string());
        rows += &format!(
            "{} | {} {} {} | {} | {} | {}\n",
            s.id,
            text(&s.name),
            text(&s.short_name),
            text(&s.legacy_id),
            number(s.capacity),
            status,
            number(s.available.vehicles)
        );
    }
    rows
}

#[test]
fn single_feeds_make_half_a_snapshot() {
    let information = information_of(json!([information_entry("a", "Lake St")]));
    let made = snapshot(vec![information], &divvy(), None).unwrap();
    assert_eq!(made.kind, SnapshotKind::Information);
    let status = status_of(
        "2.3",
        json!([state(json!({"lat": 41.9, "legacy_id": "1"}))]),
    );
    let made = snapshot(vec![status], &divvy(), None).unwrap();
    assert_eq!(made.kind, SnapshotKind::Status);
    assert_eq!(made.stations[0].latitude, None);
    assert_eq!(made.stations[0].legacy_id, None);
}

#[test]
fn feeds_that_make_no_pair_are_refused() {
    let status = || status_of("2.3", json!([state(json!({}))]));
    let sentence = |feeds| snapshot(feeds, &divvy(), None).unwrap_err().to_string();
    insta::assert_snapshot!(sentence(vec![status(), status()]), @"no snapshot can be made of feed.json (station_status) and feed.json (station_status): expected one stationBeanList, or station_information and station_status, one of each at most");
    insta::assert_snapshot!(sentence(vec![]), @"no snapshot can be made of no feed at all: expected one stationBeanList, or station_information and station_status, one of each at most");
}

#[test]
fn positions_that_cannot_be_right_are_mended_or_named() {
    let at = |id: &str, lat: f64, lon: f64| json!({"station_id": id, "name": id, "lat": lat, "lon": lon});
    let information = information_of(json!([
        at("right", 41.9, -87.6),
        at("exchanged", -87.6, 41.9),
        at("nowhere", 0.0, 0.0),
        at("Montreal", 45.5, -73.6)
    ]));
    let mut made = snapshot(vec![information], &divvy(), None).unwrap();
    let faults = mend_positions(&mut made.stations, divvy().area);
    let positions = made.stations.iter().map(|station| {
        let degrees =
            |degrees: &Option<crate::model::Degrees>| degrees.as_ref().map(ToString::to_string);
        format!(
            "{} {:?} {:?}",
            station.id,
            degrees(&station.latitude),
            degrees(&station.longitude)
        )
    });
    insta::assert_snapshot!(positions.collect::<Vec<_>>().join("\n"), @r#"
    right Some("41.9") Some("-87.6")
    exchanged Some("41.9") Some("-87.6")
    nowhere None None
    Montreal Some("45.5") Some("-73.6")
    "#);
    insta::assert_snapshot!(in_short(&faults).join("\n"), @"
    latitude, longitude: expected latitude before longitude; they are exchanged, found -87.6, 41.9
    latitude, longitude: expected a position; the station is stored without one, found 0.0, 0.0
    station Montreal: latitude, longitude: expected a position in the area of the system, found 45.5, -73.6
    ");
    assert!(
        mend_positions(&mut made.stations, divvy().area)
            .iter()
            .all(|fault| fault.station.is_some()),
        "mended once"
    );
}

#[test]
fn states_that_cannot_be_right_are_mended_or_named() {
    let status = status_of(
        "2.3",
        json!([
            state(json!({"last_reported": 4_070_908_800_i64})),
            state(json!({"station_id": "b", "num_bikes_available": 5, "num_ebikes_available": 9})),
        ]),
    );
    let mut made = snapshot(vec![status], &divvy(), None).unwrap();
    let taken_at = made.taken_at;
    // The time of the feed may stand still for years.
    let later = "2099-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(mend_states(&mut made.clone(), later).len(), 1);
    insta::assert_snapshot!(in_short(&mend_states(&mut made, taken_at)).join("\n"), @r"
    station a: last_reported: expected a time up to that of the feed; it counts as never, found 2099-01-01T00:00:00Z
    station b: num_ebikes_available: expected no more e-bikes than bikes, found 9 of 5
    ");
    let late = made.stations.iter().filter(|it| it.reported_at.is_none());
    assert_eq!(late.count(), 1);
}

#[test]
fn exchanged_positions_identify_the_system() {
    let at = |id: &str| json!({"station_id": id, "name": id, "lat": -87.6, "lon": 41.9});
    let feed = information_of(json!([at("a"), at("b")]));
    assert_eq!(feed.systems(&Systems::default()), [divvy()]);
}

#[test]
fn two_feeds_that_list_other_stations_are_compared() {
    let fault = |named: &[&str], reporting: &[&str]| {
        let named: Vec<_> = named
            .iter()
            .map(|id| information_entry(id, "Lake St"))
            .collect();
        let reporting: Vec<_> = reporting
            .iter()
            .map(|id| state(json!({"station_id": id})))
            .collect();
        let feeds = [
            information_of(named.into()),
            status_of("2.3", reporting.into()),
        ];
        compare_lists(&feeds).map(|fault| fault.to_string())
    };
    assert_eq!(fault(&["a", "b"], &["b", "a"]), None);
    insta::assert_snapshot!(fault(&["a", "b"], &["c"]).unwrap(), @"station_id: expected the same stations in station_information and station_status, found no station in both");
    insta::assert_snapshot!(fault(&["a", "b"], &["b", "c", "d"]).unwrap(), @"station_id: expected the same stations in station_information and station_status, found 1 in the first alone and 2 in the second alone");
}

#[test]
fn e_bikes_are_counted_by_vehicle_types() {
    let types = json!({"last_updated": 1, "data": {"vehicle_types": [
        {"vehicle_type_id": "e", "form_factor": "bicycle", "propulsion_type": "electric_assist"},
        {"vehicle_type_id": "c", "form_factor": "cargo_bicycle", "propulsion_type": "electric"},
        {"vehicle_type_id": "b", "form_factor": "bicycle", "propulsion_type": "human"},
        {"vehicle_type_id": "s", "form_factor": "scooter_standing", "propulsion_type": "electric"}
    ]}});
    let Document::VehicleTypes(types) = read_text(&types.to_string()).unwrap() else {
        panic!("vehicle types");
    };
    let ebikes = |counts: serde_json::Value| {
        let mut feed = status_of(
            "2.3",
            json!([state(json!({"vehicle_types_available": counts}))]),
        );
        assert!(feed.needs_vehicle_types());
        feed.set_vehicle_types(&types);
        feed.stations[0].available.ebikes
    };
    let of = |id: &str, count: u32| json!({"vehicle_type_id": id, "count": count});
    assert_eq!(
        ebikes(json!([of("e", 3), of("b", 5), of("s", 7), of("c", 1)])),
        Some(4)
    );
    assert_eq!(ebikes(json!([of("b", 5)])), Some(0));
    // A type that is not listed may be anything.
    assert_eq!(ebikes(json!([of("e", 3), of("unknown", 1)])), None);
    let counted = status_of(
        "2.3",
        json!([state(json!({"num_ebikes_available": 2,
        "vehicle_types_available": [of("e", 3)]}))]),
    );
    assert!(!counted.needs_vehicle_types());
}

#[test]
fn other_spellings_of_free_docks_and_models_with_a_motor_are_read() {
    let available = |changes: serde_json::Value| {
        let state = state(changes);
        status_of("2.3", json!([state]))
            .stations
            .swap_remove(0)
            .available
    };
    let docks = json!({"num_docks_available": null, "vehicle_docks_available": [
        {"vehicle_type_ids": ["a"], "count": 7}, {"vehicle_type_ids": ["b"], "count": 2}]});
    assert_eq!(available(docks).docks, Some(9));
    let camel_case = json!({"num_docks_available": null, "num_bikes_available": null,
        "numBikesAvailable": 4, "numDocksAvailable": 30});
    let camel_case = available(camel_case);
    assert_eq!((camel_case.vehicles, camel_case.docks), (Some(4), Some(30)));
    let models = json!({"num_bikes_available_types": {"ICONIC": 5, "EFIT": 3, "BOOST": 1}});
    assert_eq!(available(models).ebikes, Some(4));
    let unknown = json!({"num_bikes_available_types": {"ICONIC": 5}});
    assert_eq!(available(unknown).ebikes, None);
}

#[test]
fn coordinates_keep_every_digit() {
    let text = r#"{"last_updated":1700000000,"data":{"stations":[
        {"station_id":"a","name":"A","lat":41.870000000000000000001,"lon":-87.60},
        {"station_id":"b","name":"B","lat":41,"lon":-8.76E1}]}}"#;
    let Document::Feed(feed) = read_text(text).unwrap() else {
        panic!("a feed");
    };
    let digits = |at: usize| {
        let station = &feed.stations[at];
        let text =
            |degrees: &Option<crate::model::Degrees>| degrees.as_ref().unwrap().as_str().to_owned();
        [text(&station.latitude), text(&station.longitude)]
    };
    assert_eq!(digits(0), ["41.870000000000000000001", "-87.60"]);
    assert_eq!(digits(1), ["41", "-8.76E1"]);
}

#[test]
fn coordinates_off_the_globe_are_faults() {
    let mut off = information_entry("a", "Lake St");
    off["lat"] = json!(-87.6);
    off["lon"] = json!(241.9);
    let mut text = information_entry("b", "Oak St");
    text["lat"] = json!("41.9");
    text["lon"] = json!("west");
    let feed = information_of(json!([off, text]));
    insta::assert_snapshot!(faults(&feed).join("\n"), @r#"
    lat: expected degrees from -90 to 90, found "41.9"
    station a: lon: expected degrees from -180 to 180, found 241.9
    station b: lon: expected degrees from -180 to 180, found "west"
    "#);
    assert_eq!(feed.stations[0].longitude, None);
    assert_eq!(feed.stations[1].latitude.as_ref().unwrap().as_str(), "41.9");
}

#[test]
fn flags_are_read_in_every_spelling() {
    let status = |version: &str, flag: serde_json::Value| {
        let feed = status_of(version, json!([state(json!({"is_renting": flag}))]));
        (feed.stations[0].status.clone().unwrap(), feed.faults.len())
    };
    use StationStatus::{InService, NotRenting};
    assert_eq!(status("2.3", json!(false)), (NotRenting, 0));
    assert_eq!(status("2.3", json!(0)), (NotRenting, 1));
    assert_eq!(status("1.1", json!(0)), (NotRenting, 0));
    assert_eq!(status("2.3", json!(1.0)), (InService, 1));
    assert_eq!(status("2.3", json!("0")), (NotRenting, 1));
    assert_eq!(status("2.3", json!("True")), (InService, 1));
    assert_eq!(status("2.3", json!("maybe")), (InService, 1));
    assert_eq!(status("2.3", json!(null)), (InService, 1));
}

#[test]
fn a_spelling_that_all_stations_share_is_one_fault() {
    let list = json!([
        state(json!({"station_id": 1, "is_renting": 1})),
        state(json!({"station_id": 2_232_759_736_070_696_510_u64, "is_renting": 0}))
    ]);
    let feed = status_of("2.3", list);
    assert_eq!(feed.stations[1].id.as_str(), "2232759736070696510");
    insta::assert_snapshot!(faults(&feed).join("\n"), @"
    station_id: expected a text, found 1 (2 times)
    is_renting: expected true or false, found 1 (2 times)
    ");
}

#[test]
fn faults_of_one_kind_are_reported_in_one_sentence() {
    let flags = |id: &str, flag: serde_json::Value, reported: u64| {
        state(json!({
            "station_id": id, "is_installed": flag, "is_renting": flag, "is_returning": flag,
            "last_reported": reported
        }))
    };
    let mut list = vec![flags("a", json!(1), 0), flags("b", json!(0), 18001)];
    let short =
        |list: &[serde_json::Value]| in_short(&status_of("2.3", list.into()).faults).join("\n");
    insta::assert_snapshot!(short(&list), @"
    is_installed, is_renting, is_returning: expected true or false, found 1 (at 2 stations)
    last_reported: expected a time since 2010, found 0 (at station a, and at 1 more)
    ");
    list[1]["is_renting"] = json!(true);
    list[1]["last_reported"] = json!(1_699_999_990);
    list[1]["num_bikes_available"] = json!(-1);
    list[1]["num_docks_available"] = json!("none");
    insta::assert_snapshot!(short(&list), @r#"
    is_installed, is_renting, is_returning: expected true or false, found 1 (each at up to 2 stations)
    station a: last_reported: expected a time since 2010, found 0
    station b: num_bikes_available, num_docks_available: expected a whole number from 0, found -1
    "#);
}

#[test]
fn a_station_that_never_reported_has_no_report_time() {
    for never in [
        json!(0),
        json!(18001),
        json!(86400),
        json!("1970-01-01T00:00:00Z"),
    ] {
        let feed = status_of("2.3", json!([state(json!({"last_reported": never}))]));
        assert_eq!(feed.stations[0].reported_at, None);
        let expected =
            format!("station a: last_reported: expected a time since 2010, found {never}");
        assert_eq!(faults(&feed), [expected]);
    }
}

#[test]
fn control_characters_of_a_feed_do_not_reach_the_terminal() {
    let unusual = json!({"station_id": "\u{1b}[31mred", "last_reported": "so\u{7f}on"});
    let feed = status_of("2.3", json!([state(unusual)]));
    assert_eq!(feed.stations[0].id.as_str(), "\u{1b}[31mred");
    assert_eq!(
        faults(&feed),
        ["station  [31mred: last_reported: expected a time since 2010, found \"so on\""]
    );
    let timeless = json!({"last_updated": "so\u{85}on", "data": {"stations": []}}).to_string();
    assert_eq!(
        read_text(&timeless).unwrap_err().to_string(),
        "feed.json does not say when it was made: expected a time in last_updated, found \"so on\""
    );
}

#[test]
fn gbfs_3_writes_times_as_text_and_names_by_language() {
    let information = feed_of(json!({
        "last_updated": "2026-02-22T09:39:02.2711283+01:00", "ttl": 0, "version": "3.0",
        "data": {"stations": [{
            "station_id": "a", "lat": 48.8, "lon": 2.3,
            "name": [{"text": "Gare", "language": "fr"}, {"text": "Station", "language": "en"}],
            "short_name": [{"text": "G1", "language": "fr"}]
        }]}
    }));
    let time = FeedTime::Instant(instant("2026-02-22T08:39:02.2711283Z"));
    assert_eq!(information.time, time);
    let station = only(&information);
    assert_eq!(station.name.as_deref(), Some("Station"));
    assert_eq!(station.short_name.as_deref(), Some("G1"));

    let mut state = state(json!({
        "num_vehicles_available": 4, "num_vehicles_disabled": 1,
        "last_reported": "2026-02-22T09:38:00+01:00"
    }));
    state.as_object_mut().unwrap().remove("num_bikes_available");
    let status = status_of("3.0", json!([state]));
    let station = only(&status);
    assert_eq!(station.available.vehicles, Some(4));
    assert_eq!(station.available.vehicles_disabled, Some(1));
    assert_eq!(station.reported_at, Some(instant("2026-02-22T08:38:00Z")));
}

#[test]
fn e_bikes_are_counted_by_their_field_else_by_lyfts_type_ids() {
    let ebikes = |changes| {
        let feed = status_of("2.3", json!([state(changes)]));
        only(&feed).available.ebikes
    };
    let types = |one: &str, count: u32| json!([{"vehicle_type_id": one, "count": 1}, {"vehicle_type_id": "2", "count": count}]);
    let both = json!({"num_ebikes_available": 1, "vehicle_types_available": types("1", 2)});
    assert_eq!(ebikes(both), Some(1));
    assert_eq!(
        ebikes(json!({"vehicle_types_available": types("1", 2)})),
        Some(2)
    );
    assert_eq!(
        ebikes(json!({"vehicle_types_available": types("cargo", 2)})),
        None
    );
    let zeros = json!([{"vehicle_type_id": "1", "count": 0}, {"vehicle_type_id": "2", "count": 0}]);
    assert_eq!(ebikes(json!({"vehicle_types_available": zeros})), None);
    let pbsc = json!([{"mechanical": 1}, {"ebike": 2}]);
    assert_eq!(ebikes(json!({"num_bikes_available_types": pbsc})), Some(2));
    let pbsc = json!({"mechanical": 1, "ebike": 2});
    assert_eq!(ebikes(json!({"num_bikes_available_types": pbsc})), Some(2));
    assert_eq!(ebikes(json!({})), None);
}

#[test]
fn counts_that_are_none_are_unknown() {
    let feed = status_of(
        "2.3",
        json!([
            state(json!({"num_bikes_available": -1, "num_docks_available": 999})),
            state(json!({"station_id": "b", "num_bikes_available": 2.0})),
            state(json!({
                "station_id": "c", "num_bikes_available": null, "num_docks_available": null,
                "vehicle_types_available": [{"vehicle_type_id": "x", "count": 6}]
            }))
        ]),
    );
    let counts: Vec<_> = feed
        .stations
        .iter()
        .map(|s| (s.available.vehicles, s.available.docks))
        .collect();
    assert_eq!(counts, [(None, None), (Some(2), Some(9)), (Some(6), None)]);
    insta::assert_snapshot!(faults(&feed).join("\n"), @"
    num_bikes_available: expected a whole number from 0, found 2.0
    station a: num_bikes_available: expected a whole number from 0, found -1
    station a: num_docks_available: expected a true number, found 999
    station c: num_bikes_available: expected a whole number from 0, found nothing
    ");
}

#[test]
fn of_a_station_listed_twice_the_last_is_kept() {
    let feed = status_of(
        "2.3",
        json!([
            state(json!({})),
            state(json!({"station_id": "b"})),
            state(json!({"num_bikes_available": 7}))
        ]),
    );
    let kept: Vec<_> = feed
        .stations
        .iter()
        .map(|s| (s.id.as_str(), s.available.vehicles))
        .collect();
    assert_eq!(kept, [("a", Some(7)), ("b", Some(3))]);
    assert_eq!(
        faults(&feed),
        ["station a: station_id: expected each station once; the last is kept, found it again"]
    );
}

#[test]
fn an_entry_that_is_no_station_does_not_cost_the_others() {
    let unusual = json!([null, 7, -1, 0.5, "x", [1], true, {"name": "no id"}, {"station_id": {}}]);
    let mut list = unusual.as_array().unwrap().clone();
    list.push(state(json!({})));
    let feed = status_of("2.3", list.into());
    assert_eq!(feed.stations.len(), 1);
    assert_eq!(
        faults(&feed),
        ["station_id: expected the id of a station, found nothing (9 times)"]
    );
}

#[test]
fn no_stations_is_a_feed_too() {
    let empty = json!({"last_updated": 1_700_000_000, "data": {"stations": []}}).to_string();
    for (file, kind) in [
        ("station_status.json", FeedKind::StationStatus),
        (
            "lyon/station_information.json",
            FeedKind::StationInformation,
        ),
    ] {
        let Document::Feed(feed) = read(empty.as_bytes(), file).unwrap() else {
            panic!("a feed");
        };
        assert_eq!((feed.kind, feed.stations.len()), (kind, 0));
        assert_eq!(feed.systems(&Systems::default()), []);
        assert!(
            snapshot(vec![feed], &divvy(), None)
                .unwrap()
                .stations
                .is_empty()
        );
    }
}

#[test]
fn discovery_lists_feeds_by_language_until_gbfs_3() {
    let of = |json: serde_json::Value| match read_text(&json.to_string()).unwrap() {
        Document::Discovery(discovery) => discovery,
        other => panic!("expected a discovery file, found {other:?}"),
    };
    let list = |language: &str| {
        json!({"feeds": [
            {"name": "station_status", "url": format!("https://a.example/{language}/7")},
            {"name": "without address"}
        ]})
    };
    let english = of(json!({
        "last_updated": 1, "version": "2.3", "data": {"de": list("de"), "en": list("en")}
    }));
    assert_eq!(english.feeds["station_status"], "https://a.example/en/7");
    assert_eq!(english.feeds.len(), 1);
    let none_english = of(json!({"data": {"fr": list("fr"), "es": list("es")}}));
    assert_eq!(
        none_english.feeds["station_status"],
        "https://a.example/es/7"
    );
    let third = of(json!({"version": "3.0", "data": list("all")}));
    assert_eq!(third.feeds["station_status"], "https://a.example/all/7");
}

#[test]
fn every_other_file_is_refused_in_a_sentence() {
    let sentence = |text: &str| {
        let refused = read_text(text).unwrap_err();
        format!(
            "{}{refused}\n",
            if refused.is_other_feed() {
                "(other) "
            } else {
                ""
            }
        )
    };
    let sentences: String = [
        "",
        " \n",
        "404 Not Found",
        "<!DOCTYPE html><html><body>Bad Gateway</body></html>",
        "station_id,num_bikes_available,num_docks_available\n1,2,3\n",
        "Service is down, sorry.\nTry again later.\n",
        "{\"last_updated\": 1700000000, \"data\": {\"stations\": [{\"station_id\": \"a\"",
        "{\"last_updated\": 1700000000,, \"data\": 1}",
        "{\"message\": \"Forbidden\"}",
        "{}",
        "[1, 2]",
        "[package]\nname = \"divvy\"\n",
        "{\"data\": \"none\"}",
        "{\"data\": {\"stations\": {\"a\": 1}}}",
        "{\"data\": {\"bikes\": []}, \"last_updated\": 1}",
        "{\"data\": {\"alerts\": []}}",
        "{\"data\": {\"system_id\": \"lyft_chi\", \"timezone\": \"America/Chicago\"}}",
        "{\"data\": {\"stations\": [{\"id\": 1}]}, \"last_updated\": 1700000000}",
        "{\"data\": {\"stations\": []}}",
        "{\"data\": {\"stations\": []}, \"last_updated\": 0}",
        "{\"stationBeanList\": [], \"executionTime\": \"soon\"}",
    ]
    .into_iter()
    .map(sentence)
    .collect();
    insta::assert_snapshot!(sentences, @r#"
    feed.json is empty: the download failed; fetch it again
    feed.json is empty: the download failed; fetch it again
    feed.json holds no station feed but the message "404 Not Found": check the address, then fetch it again
    feed.json is a web page, not the JSON of a station feed: check the address, then fetch it again
    feed.json is a table (CSV), not the JSON of a station feed
    feed.json is no JSON: it begins with "Service is down, sorry."; expected a station feed
    feed.json ends in the middle (line 1): it was not downloaded whole; fetch it again
    feed.json is damaged: key must be a string at line 1 column 29; fetch it again
    feed.json is JSON but no station feed: expected stationBeanList or data.stations, found "message"
    feed.json is JSON but no station feed: expected stationBeanList or data.stations, found an empty object
    feed.json is JSON but no station feed: expected stationBeanList or data.stations, found a list
    feed.json is no JSON: it begins with "[package]"; expected a station feed
    feed.json is JSON but no station feed: expected stationBeanList or data.stations, found "data"
    feed.json is JSON but no station feed: expected stationBeanList or data.stations, found data.stations that is no list: {"a":1}
    (other) feed.json is free_bike_status, which holds no stations: expected station_information, station_status or gbfs.json
    (other) feed.json is system_alerts, which holds no stations: expected station_information, station_status or gbfs.json
    (other) feed.json is system_information, which holds no stations: expected station_information, station_status or gbfs.json
    feed.json: none of its 1 entries is a station that can be used: station_id: expected the id of a station, found nothing
    feed.json does not say when it was made: expected a time in last_updated, found nothing
    feed.json does not say when it was made: expected a time in last_updated, found 0
    feed.json does not say when it was made: expected a time in executionTime, found "soon"
    "#);
    let latin_1 = read(b"{\"name\": \"Caf\xe9\"}", "x.json").unwrap_err();
    assert!(matches!(latin_1, FeedError::NotText { .. }));
}

#[test]
fn a_deep_nest_costs_one_value_at_most() {
    let nest = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let alerts = format!("{{\"data\": {{\"alerts\": {nest}}}}}");
    assert!(matches!(read_text(&alerts), Err(FeedError::Damaged { .. })));
    let valid =
        json!({"last_updated": 1_700_000_000, "data": {"stations": [information_entry("a", "X")]}});
    let nested = valid.to_string().replace("\"X\"", &nest);
    let Document::Feed(feed) = read_text(&nested).unwrap() else {
        panic!("a feed");
    };
    assert_eq!(feed.stations[0].name, None);
    assert_eq!(feed.stations[0].capacity, Some(15));
}

#[test]
fn texts_are_unescaped() {
    let text = r#"{"last_updated":1700000000,"data":{"stations":[
        {"station_id":"a\"b","name":"Caf\u00e9","lat":41.9,"lon":-87.6},
        {"station_id":"c","name":"half \ud83d","lat":41.9,"lon":-87.6}]}}"#;
    let Document::Feed(feed) = read_text(text).unwrap() else {
        panic!("a feed");
    };
    assert_eq!(feed.stations[0].id.as_str(), "a\"b");
    assert_eq!(feed.stations[0].name.as_deref(), Some("Café"));
    assert_eq!(feed.stations[1].name.as_deref(), Some("\"half \\ud83d\""));
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    let text = json!({"last_updated": 1_700_000_000, "data": {"stations": [state(json!({}))]}});
    assert!(read_text(&format!("\u{feff}{text}\r\n")).is_ok());
}

/// Two valid feeds in one file, so that mutations change either.
fn valid_file() -> String {
    json!({
        "last_updated": 1_700_000_000, "ttl": 60, "version": "2.3",
        "executionTime": "2013-11-02 07:45:01 PM",
        "data": {"stations": [
            {"station_id": "a", "name": [{"text": "A", "language": "en"}], "lat": 41.9,
             "lon": -87.6, "capacity": 15, "num_bikes_available": 3, "is_installed": 1,
             "vehicle_types_available": [{"vehicle_type_id": "2", "count": 1}],
             "last_reported": "2026-02-22T09:38:00+01:00"},
            {"id": 5, "stationName": "B", "latitude": 41.87, "longitude": -87.62}
        ]}
    })
    .to_string()
}

/// Reads any bytes, and makes a snapshot where they are a feed.
fn read_through(bytes: &[u8]) {
    if let Ok(Document::Feed(feed)) = read(bytes, "x.json") {
        let _ = feed.systems(&Systems::default());
        let listed = feed.stations.len();
        if let Ok(made) = snapshot(vec![feed], &divvy(), Some(Timestamp::MAX)) {
            assert_eq!(made.stations.len(), listed);
        }
    }
}

/// Any JSON of limited depth.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9:.e TZ+-]{0,20}|AM|[a-z]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::hash_map("text|language|count|stations|[a-z]", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        read_through(&bytes);
    }

    #[test]
    fn no_damage_to_a_sound_feed_makes_it_panic(
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        for text in [valid_file(), valid_file().replace("\"data\":{\"stations\"", "\"stationBeanList\"").replace("]},\"exec", "],\"exec")] {
            let mut damaged = text.into_bytes();
            let at = at.index(damaged.len());
            damaged.splice(at..at + bytes.len().min(damaged.len() - at), bytes.iter().copied());
            read_through(&damaged);
            damaged.truncate(cut.index(damaged.len()));
            read_through(&damaged);
        }
    }

    #[test]
    fn no_value_in_any_field_makes_it_panic(value in any_json(), field in 0..FIELDS.len()) {
        let field = FIELDS[field];
        let mut state = state(json!({}));
        let mut bean = bean(json!({}));
        state[field] = value.clone();
        bean[field] = value.clone();
        let mut gbfs = json!({"last_updated": 1_700_000_000, "data": {"stations": [state]}});
        read_through(gbfs.to_string().as_bytes());
        let mut beans = json!({"executionTime": "2013-11-03 01:45:01 AM", "stationBeanList": [bean]});
        read_through(beans.to_string().as_bytes());
        for top in ["last_updated", "ttl", "version", "data", "executionTime", "stationBeanList"] {
            gbfs[top] = value.clone();
            beans[top] = value.clone();
            read_through(gbfs.to_string().as_bytes());
            read_through(beans.to_string().as_bytes());
        }
    }
}
