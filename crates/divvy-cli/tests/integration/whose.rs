//! Files of which people reported that a program took them for another system's, or misread their
//! columns: each is attributed and read as its README says, or refused with candidates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::program::{divvy, succeed};
use divvy::ingest::{LoadOptions, read};
use divvy::model::{Systems, Trip, TripBatch};
use divvy::sources::archive::Archive;
use divvy_testkit::inputs::published;
use jiff::Timestamp;
use serde_json::Value;

/// Loads a file into a store of its own. Returns the exit status, the JSON, and the messages.
fn load(path: &Path, arguments: &[&str], folder: &Path) -> (i32, Value, String) {
    let mut command = divvy(folder);
    let command = command
        .arg("load")
        .arg(path)
        .args(["--format", "json"])
        .args(arguments);
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Reads all trips of a file.
fn trips(path: PathBuf) -> Vec<Trip> {
    let archive = Archive::open(&path).unwrap();
    let options = LoadOptions::new(Timestamp::UNIX_EPOCH);
    let trips: Mutex<Vec<Trip>> = Mutex::default();
    let sink = |_: usize, batch: TripBatch| {
        trips.lock().unwrap().extend(batch.trips());
        Ok(())
    };
    read(&archive, &options, &sink, &(), &()).unwrap();
    trips.into_inner().unwrap()
}

#[test]
fn values_are_those_of_the_files() {
    let Some(cases) = published("cases") else {
        return;
    };
    let durations = |file: &str| -> Vec<i64> {
        trips(cases.join(file))
            .iter()
            .map(Trip::duration_s)
            .collect()
    };
    let riders = |file: &str| -> Vec<String> {
        let trips = trips(cases.join(file));
        trips.iter().map(|trip| trip.rider.to_string()).collect()
    };
    let origins = |file: &str| -> Vec<String> {
        let trips = trips(cases.join(file)).into_iter();
        trips
            .map(|trip| trip.origin.unwrap().id_str().to_owned())
            .collect()
    };
    let starts = |file: &str| -> Vec<String> {
        let local = |trip: &Trip| {
            Timestamp::from_millisecond(trip.started_ms)
                .unwrap()
                .to_string()
        };
        trips(cases.join(file)).iter().map(local).collect()
    };
    let [january, august] = [
        "01-london-2024/386JourneyDataExtract01Jan2024-14Jan2024.csv",
        "01-london-2024/400JourneyDataExtract01Aug2024-12Aug2024.csv",
    ];
    assert_eq!(durations(january), [408, 481, 1622]);
    assert_eq!(durations(august), [2454, 294, 9]);
    assert_eq!(origins(january), ["1108", "1108", "3423"]);
    assert_eq!(origins(august), ["1108", "3423", "1108"]);
    assert_eq!(starts(august)[0], "2024-08-05T23:59:00Z");

    assert_eq!(
        durations("02-pronto-seattle/2015_trip_data.csv"),
        [986, 926, 2401]
    );
    let indego = "05-indego-metro/indego-trips-2017-q1.csv";
    assert_eq!(durations(indego), [360, 1860, 900]);
    assert_eq!(riders(indego), ["Indego30", "Walk-up", "Indego30"]);
    assert!(
        trips(cases.join(indego))
            .iter()
            .all(|trip| trip.from.is_some())
    );
    let toronto = "06-toronto/bike share ridership 2022-01.csv";
    assert_eq!(riders(toronto), ["casual", "member", "member"]);
    let cabi = "07-cabi-2010-2014/2010-Q4-Trips-History-Data.csv";
    assert_eq!(durations(cabi), [51_962, 514]);
    assert_eq!(origins(cabi), ["31111", "31111"]);
    assert_eq!(
        origins("07-cabi-2010-2014/2014-Q4-Trips-History-Data.csv"),
        ["Wren Ave & O St NW"]
    );
    assert_eq!(riders("08-bixi/OD_2014-04.csv"), ["member", "member"]);
    // 1653343831220 is 22:10:31 in UTC.
    assert_eq!(
        starts("08-bixi/DonneesOuverte2022.csv"),
        ["2022-05-23T18:10:31.22Z"]
    );
    assert_eq!(starts("10-ecobici/2023-01.csv")[0], "2022-09-30T23:22:32Z");
    assert_eq!(durations("35-london-variants/schema6.csv"), [602]);
}

#[test]
fn a_name_null_is_no_name() {
    let Some(cases) = published("cases") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = cases.join("06-toronto/bike share ridership 2022-01.csv");
    load(&file, &[], folder.path());
    let report = ["report", "stations", "--format", "csv"];
    let (stations, _) = succeed(divvy(folder.path()).args(report));
    assert!(stations.contains("7686"), "{stations}");
    assert!(!stations.contains("NULL"), "{stations}");
}

const LEGACY: &str = "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,to_station_id,\
     to_station_name,usertype,gender,birthyear";

/// Writes a file of the form L1 whose stations have these ids and names.
fn legacy(path: &Path, header: &str, stations: &[(&str, &str)], first_id: usize) {
    let mut text = format!("{header}\n");
    for (n, (id, name)) in stations.iter().enumerate() {
        let trip = first_id + n;
        text += &format!(
            "{trip},2015-05-01 10:00,2015-05-01 10:10,7,600,{id},{name},{id},{name},Customer,,"
        );
        text += &",x".repeat(header.matches(',').count() - LEGACY.matches(',').count());
        text.push('\n');
    }
    fs::write(path, text).unwrap();
}

#[test]
fn a_legacy_header_alone_is_not_divvy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let load = |arguments: &[&str]| load(&path, arguments, folder.path());
    legacy(
        &path,
        LEGACY,
        &[("1000", "Wren Ave"), ("1001", "Quill St")],
        1,
    );
    let (status, _, messages) = load(&[]);
    assert_eq!(status, 2);
    for words in ["1000, 1001", "2 to 999", "--system NAME@Area/City"] {
        assert!(messages.contains(words), "{messages}");
    }
    legacy(&path, &format!("{LEGACY},plan"), &[("82", "Wren Ave")], 1);
    let (status, _, messages) = load(&[]);
    assert!(status == 2 && messages.contains("\"plan\""), "{messages}");
    legacy(&path, LEGACY, &[("82", "Wren Ave")], 1);
    let (status, json, messages) = load(&[]);
    assert_eq!((status, json[0]["system"].as_str()), (0, Some("divvy")));
    assert!(
        messages.contains("divvy by header and station ids"),
        "{messages}"
    );
}

#[test]
fn the_system_of_a_file_is_found_by_stations_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
    let stations = [("82", "Wren Ave"), ("83", "Quill St"), ("84", "Plover Sq")];
    legacy(&first, LEGACY, &stations, 1);
    legacy(&second, LEGACY, &stations, 4);
    let given = ["--system", "rainy@America/Los_Angeles"];
    let (status, ..) = load(&first, &given, folder.path());
    assert_eq!(status, 0);
    let (status, json, messages) = load(&second, &[], folder.path());
    assert_eq!(
        (status, json[0]["system"].as_str()),
        (0, Some("rainy")),
        "{messages}"
    );
    assert!(messages.contains("rainy by station names"), "{messages}");
    // The store knows the name from now on, and keeps its time zone.
    let report = ["report", "months", "--system", "rainy"];
    let (months, _) = succeed(divvy(folder.path()).args(report));
    assert!(months.contains("6 trips"), "{months}");
    let other = ["--system", "rainy@Europe/Paris"];
    let (status, _, messages) = load(&second, &other, folder.path());
    assert!(
        status == 0 && messages.contains("loaded before"),
        "{messages}"
    );
    legacy(&second, LEGACY, &stations, 7);
    let (status, _, messages) = load(&second, &other, folder.path());
    assert!(
        status == 2 && messages.contains("America/Los_Angeles"),
        "{messages}"
    );
}

#[test]
fn systems_are_added_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let systems = folder.path().join("mine.toml");
    fs::write(
        &systems,
        r#"
        [[system]]
        id = "wren"
        zone = "Europe/Paris"
        box = [45.6, 4.7, 45.9, 5.0]
        [system.columns]
        started_at = ["Depart le"]
        ended_at = ["Retour le"]
        origin_id = ["Station A"]
        destination_id = ["Station B"]

        [[system]]
        id = "harbour"
        zone = "Australia/Sydney"
        ids = ["HB-###"]
        "#,
    )
    .unwrap();
    let trips = folder.path().join("a.csv");
    fs::write(
        &trips,
        "Depart le,Retour le,Station A,Station B\n2024-05-01 10:00:00,2024-05-01 10:10:00,7,8\n",
    )
    .unwrap();
    let given = ["--systems", systems.to_str().unwrap()];
    let (status, json, messages) = load(&trips, &given, folder.path());
    assert_eq!(
        (status, json[0]["system"].as_str()),
        (0, Some("wren")),
        "{messages}"
    );
    assert_eq!(json[0]["stored"], 1);
    // It may lie in the folder of a store that is not there yet, and decides over published names.
    let new = folder.path().join("new");
    fs::create_dir(&new).unwrap();
    let columns = r#"
        started_at = ["StartDate"]
        start_clock = ["StartTime"]
        ended_at = ["EndDate"]
        end_clock = ["EndTime"]
        "#;
    let system = "[[system]]\nid = \"biketown2\"\nzone = \"America/Los_Angeles\"\n[system.columns]";
    fs::write(new.join("systems.toml"), format!("{system}{columns}")).unwrap();
    let clocks = folder.path().join("clocks.csv");
    let row = "5/14/2016,9:05,5/14/2016,9:15";
    fs::write(
        &clocks,
        format!("StartDate,StartTime,EndDate,EndTime\n{row}\n"),
    )
    .unwrap();
    let given = ["--store", "new", "--system", "biketown2"];
    let (status, json, messages) = load(&clocks, &given, folder.path());
    assert_eq!((status, &json[0]["stored"]), (0, &1.into()), "{messages}");
    // Beside the catalog the file needs no flag.
    fs::copy(&systems, folder.path().join("divvy-data/systems.toml")).unwrap();
    legacy(
        &trips,
        LEGACY,
        &[("HB-001", "Wren Ave"), ("HB-002", "Quill St")],
        1,
    );
    let (_, json, messages) = load(&trips, &["--system", "harbour"], folder.path());
    assert_eq!(json[0]["system"], "harbour", "{messages}");
}

#[test]
fn a_header_with_a_column_that_its_publisher_never_had_is_not_its() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let header = "Start date,Start station,Start station number,End date,End station,End station number,\
        Account type,Total duration (Seconds)";
    let row = "11/6/2016 22:56,Wren Park,30104,11/6/2016 23:08,Quill,30183,Member,717";
    fs::write(&path, format!("{header}\n{row}\n")).unwrap();
    let (status, _, messages) = load(&path, &[], folder.path());
    assert_eq!(status, 2, "{messages}");
    assert!(messages.contains("Total duration (Seconds)"), "{messages}");
    let given = ["--system", "rainy@America/Chicago"];
    let (_, json, messages) = load(&path, &given, folder.path());
    assert_eq!(json[0]["stored"], 1, "{messages}");
}

#[test]
fn columns_that_look_like_ours_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(
        &path,
        "ride_id,started_at,ended_at,start_dock_code,end_station_id,start_lat,start_lng\n\
         0000000000000001,2024-05-01 10:00:00,2024-05-01 10:10:00,7,8,41.88,-87.63\n",
    )
    .unwrap();
    let (status, _, messages) = load(&path, &[], folder.path());
    assert_eq!(status, 0, "{messages}");
    let expected = "column \"start_dock_code\" looks like origin_id and is not read";
    assert!(messages.contains(expected), "{messages}");
}

#[test]
fn every_built_in_system_can_be_named() {
    for known in Systems::default().iter() {
        for name in known.names() {
            let found = Systems::default().parse(name).unwrap();
            assert_eq!(found.id, known.system.id);
        }
    }
}

#[test]
fn an_id_and_name_at_two_positions_are_two_stations() {
    let folder = tempfile::tempdir().unwrap();
    let header = "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,\
                  end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual\n";
    let month = |month: u32, latitude: &str, rows: usize| {
        let path = folder
            .path()
            .join(format!("20240{month}-divvy-tripdata.csv"));
        let rows = (0..rows).map(|row| {
            format!(
                "{month:08X}{row:08X},classic_bike,2024-0{month}-10 08:00:00,2024-0{month}-10 08:10:00,\
                 Lake St,TA1307000039,State St,TA1305000032,{latitude},-87.6400{row},41.8900,-87.6278{row},\
                 member\n"
            )
        });
        fs::write(&path, header.to_owned() + &rows.collect::<String>()).unwrap();
        path
    };
    // 670 m apart, in archives of two months and in one.
    for rows in [[3, 3], [3, 0]] {
        let store = folder.path().join(format!("store-{}", rows[1]));
        let run = |arguments: &[&str]| {
            let mut command = divvy(folder.path());
            succeed(command.env("DIVVY_STORE", &store).args(arguments)).0
        };
        let mut april = month(4, "41.8831", rows[0]);
        if rows[1] == 0 {
            let may = fs::read_to_string(month(5, "41.8891", 3)).unwrap();
            let both = fs::read_to_string(&april).unwrap() + may.split_once('\n').unwrap().1;
            april = folder.path().join("2024-divvy-tripdata.csv");
            fs::write(&april, both).unwrap();
        }
        run(&["load", "--system", "divvy", april.to_str().unwrap()]);
        if rows[1] > 0 {
            run(&[
                "load",
                "--system",
                "divvy",
                month(5, "41.8891", rows[1]).to_str().unwrap(),
            ]);
        }
        let stations = run(&["report", "stations", "--format", "csv"]);
        let found: Vec<Vec<&str>> = (stations.lines().skip(1))
            .map(|line| line.split(',').collect())
            .collect();
        let found: Vec<_> = found.iter().map(|row| (row[16], row[2], row[10])).collect();
        assert_eq!(
            found,
            [
                ("TA1307000039", "41.8891", "3"),
                ("TA1307000039 (until 2024-04-10)", "41.8831", "3"),
                ("TA1305000032", "41.89", "0"),
            ]
        );
        let one = run(&[
            "report",
            "routes",
            "--station",
            "TA1307000039 (until 2024-04-10)",
            "--format",
            "csv",
        ]);
        assert_eq!(one.lines().count(), 2, "{one}");
    }
}
