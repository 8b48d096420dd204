use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::sources::station_feed::{FeedKind, FeedTime};

/// Writes files into a new folder.
fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Describes every snapshot: file, line, and the bikes of each station or the error.
fn described(folder: &Path) -> Vec<String> {
    let mut described = Vec::new();
    let recording = Recording::open(folder).unwrap();
    let _: ControlFlow<()> = recording.visit(|recorded| {
        let file = recorded
            .file
            .strip_prefix(folder.to_str().unwrap())
            .unwrap();
        let line = recorded
            .line
            .map_or(String::new(), |line| format!(":{line}"));
        let what = match recorded.feeds {
            Ok(feeds) => {
                let bikes = |feed: &Feed| {
                    let of = |s: &crate::model::Station| {
                        let count = s.available.vehicles.map_or("-".into(), |n| n.to_string());
                        format!("{}={count}", s.id)
                    };
                    feed.stations.iter().map(of).collect::<Vec<_>>().join(" ")
                };
                feeds.iter().map(bikes).collect::<Vec<_>>().join(" | ")
            }
            Err(error) => error.to_string().replace(folder.to_str().unwrap(), ""),
        };
        described.push(format!("{}{line} {what}", &file[1..]));
        ControlFlow::Continue(())
    });
    described
}

fn status(bikes: u32) -> Vec<u8> {
    format!(
        r#"{{"last_updated":1700000000,"data":{{"stations":[{{"station_id":"a",
        "num_bikes_available":{bikes},"num_docks_available":3,"is_installed":1,"is_renting":1,
        "is_returning":1,"last_reported":1700000000}}]}}}}"#
    )
    .into_bytes()
}

const INFORMATION: &[u8] = br#"{"last_updated":1700000000,"data":{"stations":[
    {"station_id":"a","name":"A","lat":41.9,"lon":-87.6}]}}"#;

#[test]
fn bodies_are_in_natural_order_and_may_be_compressed() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&status(2)).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&status(3)[..], 1).unwrap();
    let folder = folder_of(&[
        ("status10.json.zst", &zstd),
        ("status2.json.gz", &gzip),
        ("status1.json", &status(1)),
        ("alerts.json", br#"{"last_updated":1,"data":{"alerts":[]}}"#),
        ("status3.json", b"404 Not Found"),
        ("notes.txt", b"not of the recording"),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @r#"
    status1.json a=1
    status2.json.gz a=2
    status3.json /status3.json holds no station feed but the message "404 Not Found": check the address, then fetch it again
    status10.json.zst a=3
    "#);
}

#[test]
fn information_is_before_the_status_of_its_time_and_times_decide_over_folders() {
    let folder = folder_of(&[
        ("z/station_status_20240405210456.json", &status(1)),
        (
            "station_status/station_status_20240405220534.json",
            &status(2),
        ),
        (
            "station_information/station_information_20240405220534.json",
            INFORMATION,
        ),
        ("a/station_status_20240406T000000Z.json", &status(3)),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    z/station_status_20240405210456.json a=1
    station_information/station_information_20240405220534.json a=-
    station_status/station_status_20240405220534.json a=2
    a/station_status_20240406T000000Z.json a=3
    ");
}

/// A feed before GBFS with these stations.
fn beans(stations: &[(u32, u32)]) -> Vec<u8> {
    let bean = |(id, bikes): &(u32, u32)| {
        format!(
            r#"{{"id":{id},"stationName":"S{id}","availableDocks":5,"totalDocks":19,"latitude":41.87,
            "longitude":-87.62,"statusValue":"In Service","statusKey":1,"availableBikes":{bikes},
            "testStation":false,"lastCommunicationTime":"2013-09-30 06:58:0{id} PM"}}"#
        )
    };
    let beans: Vec<String> = stations.iter().map(bean).collect();
    format!(
        r#"{{"executionTime":"2013-09-30 06:59:02 PM","stationBeanList":[{}]}}"#,
        beans.join(",")
    )
    .into_bytes()
}

const PATCHES: &str = concat!(
    // Two stations change.
    r#"[{"op":"replace","path":"/executionTime","value":"2013-09-30 07:00:01 PM"},"#,
    r#"{"op":"replace","path":"/stationBeanList/1/availableBikes","value":8},"#,
    r#"{"op":"replace","path":"/stationBeanList/1/lastCommunicationTime","value":"2013-09-30 06:59:59 PM"},"#,
    r#"{"op":"replace","path":"/stationBeanList/2/availableBikes","value":9}]"#,
    "\n",
    // Nothing but the time changes.
    r#"[{"op":"replace","path":"/executionTime","value":"2013-09-30 07:01:01 PM"}]"#,
    "\n\n",
    // A station leaves the list, and those behind it move up.
    r#"[{"op":"remove","path":"/stationBeanList/0"}]"#,
    "\n",
    r#"[{"op":"replace","path":"/stationBeanList/0/availableBikes","value":1}]"#,
    "\n",
    // A station takes the id of another one: the last of the two is kept.
    r#"[{"op":"replace","path":"/stationBeanList/1/id","value":2}]"#,
    "\n",
    r#"[{"op":"replace","path":"/stationBeanList/0/availableBikes","value":7},"#,
    r#"{"op":"replace","path":"/stationBeanList/1/id","value":3}]"#,
    "\n",
    // The time is removed, and the state is no feed for one minute.
    r#"[{"op":"replace","path":"/executionTime","value":null}]"#,
    "\n",
    r#"[{"op":"replace","path":"/executionTime","value":"2013-09-30 07:06:01 PM"}]"#,
    "\n",
);

#[test]
fn each_line_of_patches_is_the_next_minute() {
    let folder = folder_of(&[
        ("2013-10/2013-10-01.json", &beans(&[(1, 4), (2, 5), (3, 6)])),
        ("2013-10/2013-10-01.patches", PATCHES.as_bytes()),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    2013-10/2013-10-01.json 1=4 2=5 3=6
    2013-10/2013-10-01.patches:1 1=4 2=8 3=9
    2013-10/2013-10-01.patches:2 1=4 2=8 3=9
    2013-10/2013-10-01.patches:4 2=8 3=9
    2013-10/2013-10-01.patches:5 2=1 3=9
    2013-10/2013-10-01.patches:6 2=9
    2013-10/2013-10-01.patches:7 2=7 3=9
    2013-10/2013-10-01.patches:8 /2013-10/2013-10-01.patches does not say when it was made: expected a time in executionTime, found nothing
    2013-10/2013-10-01.patches:9 2=7 3=9
    ");
}

#[test]
fn a_patched_feed_is_the_one_read_as_a_whole() {
    let folder = folder_of(&[
        ("2013-10-01.json", &beans(&[(1, 4), (2, 5), (3, 6)])),
        ("2013-10-01.patches", PATCHES.as_bytes()),
    ]);
    let mut document: serde_json::Value =
        serde_json::from_slice(&beans(&[(1, 4), (2, 5), (3, 6)])).unwrap();
    let mut patches = PATCHES.lines().filter(|line| !line.is_empty());
    let mut compared = 0;
    let recording = Recording::open(folder.path()).unwrap();
    let _: ControlFlow<()> = recording.visit(|recorded| {
        if recorded.line.is_some() {
            let patch: json_patch::Patch = serde_json::from_str(patches.next().unwrap()).unwrap();
            json_patch::patch(&mut document, &patch).unwrap();
        }
        let whole = station_feed::read(document.to_string().as_bytes(), &recorded.file);
        match (recorded.feeds, whole) {
            (Ok(feeds), Ok(Document::Feed(whole))) => {
                let [feed] = <[Feed; 1]>::try_from(feeds).unwrap();
                assert_eq!(feed, whole, "line {:?}", recorded.line);
                compared += 1;
            }
            (Err(_), Err(_)) => {}
            (patched, whole) => panic!("{patched:?} is not {whole:?}"),
        }
        ControlFlow::Continue(())
    });
    assert_eq!((compared, patches.next()), (8, None));
}

#[test]
fn damage_ends_a_day_and_the_next_one_is_read() {
    let folder = folder_of(&[
        ("2013-10-01.json", b""),
        ("2013-10-01.patches", PATCHES.as_bytes()),
        ("2013-10-02.json", &beans(&[(1, 4)])),
        (
            "2013-10-02.patches",
            b"[{\"op\":\"replace\",\"path\":\"/stationBeanList/0/availableBikes\",\"value\":3}]\n\
              [{\"op\":\"replace\",\"path\":\"/stationBean\n[]\n",
        ),
        ("2013-10-03.json", &beans(&[(1, 4)])),
        (
            "2013-10-03.patches",
            b"[{\"op\":\"remove\",\"path\":\"/stationBeanList/9\"}]\n",
        ),
        ("2013-10-04.json", &beans(&[(1, 2)])),
        ("2013-10-04.patches", b""),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    2013-10-01.json the day is left out, because its first state cannot be read: /2013-10-01.json is empty: the download failed; fetch it again
    2013-10-02.json 1=4
    2013-10-02.patches:1 1=3
    2013-10-02.patches:2 line 2 of /2013-10-02.patches is damaged, and the day ends there: EOF while parsing a string at column 37
    2013-10-03.json 1=4
    2013-10-03.patches:1 line 1 of /2013-10-03.patches is damaged, and the day ends there: operation '/0' failed at path '/stationBeanList/9': path is invalid
    2013-10-04.json 1=2
    ");
}

#[test]
fn tables_of_both_forms_are_read_in_the_order_of_their_times() {
    let folder = folder_of(&[
        (
            "station_status_2024_01_01_0107PM.csv",
            b"station_id,is_renting,is_returning,num_docks_available,num_bikes_available,\
              num_ebikes_available,is_installed,timestamp,n_classic\n\
              a,1,1,4,7,2,1,01/01/2024 01:05 PM,5\nb,0,0,0,0,0,0,01/01/1970 06:00 PM,0\n",
        ),
        (
            "station_status_2024_01_01_0108AM.csv",
            b"vehicle_types_available,num_bikes_available,last_reported,station_id,is_renting,\
              is_returning,is_installed,num_docks_available\n\
              \"[{'count': 4, 'vehicle_type_id': '1'}, {'count': 1, 'vehicle_type_id': '2'}]\",\
              5,1704092880,a,1,1,1,6\n",
        ),
        ("trips.csv", b"ride_id,started_at\n1,2024-01-01\n"),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    station_status_2024_01_01_0108AM.csv a=5
    station_status_2024_01_01_0107PM.csv a=7 b=0
    trips.csv /trips.csv is no table of station_status: expected station_id and num_bikes_available among its columns
    ");
    let mut feeds = Vec::new();
    let _: ControlFlow<()> = Recording::open(folder.path()).unwrap().visit(|recorded| {
        feeds.extend(recorded.feeds.into_iter().flatten());
        ControlFlow::Continue(())
    });
    let [first, second] = &feeds[..] else {
        panic!("{feeds:?}");
    };
    assert_eq!(first.kind, FeedKind::StationStatus);
    assert_eq!(first.stations[0].available.ebikes, Some(1));
    assert!(first.stations[0].reported_at.is_some());
    let noon = "2024-01-01T13:07:00Z".parse::<jiff::Timestamp>().unwrap();
    let ms = noon.as_millisecond();
    assert_eq!(second.time, FeedTime::Local { ms });
    assert_eq!(second.stations[0].available.ebikes, Some(2));
}

#[test]
fn files_of_equal_times_and_running_numbers_are_in_natural_order() {
    let folder = folder_of(&[
        ("b/status_20240101_2.json", &status(12)),
        ("a/status_20240101_10.json", &status(10)),
        ("a/status_20240101_9.json", &status(9)),
        ("status_20240102T0000Z.json", &status(20)),
        ("2024-01-03.json", &status(30)),
        ("c/status_20240102T0000Z.json", &status(19)),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    a/status_20240101_9.json a=9
    a/status_20240101_10.json a=10
    b/status_20240101_2.json a=12
    c/status_20240102T0000Z.json a=19
    status_20240102T0000Z.json a=20
    2024-01-03.json a=30
    ");
}

#[test]
fn copies_and_manifests_are_left_out_and_patches_without_a_first_state_are_named() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&beans(&[(1, 4)])).unwrap();
    let gzip = gzip.finish().unwrap();
    let folder = folder_of(&[
        ("2013-10-01.json", &beans(&[(1, 4)])),
        ("2013-10-01.json.gz", &gzip),
        ("2013-10-01.patches", b""),
        ("2013-10-02.patches.gz", &gzip),
        ("2013-10-03.json.gz", &gzip),
        ("manifest.json", b"{}"),
        ("manifest.ndjson", b"{}"),
    ]);
    insta::assert_snapshot!(described(folder.path()).join("\n"), @"
    2013-10-01.json 1=4
    2013-10-02.json the day is left out, because its first state cannot be read: /2013-10-02.json cannot be read: No such file or directory (os error 2)
    2013-10-03.json.gz 1=4
    ");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_passed_as_an_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_of(&[("a/1.json", &status(1)), ("b/2.json", &status(2))]);
    let set = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path().join("a"), mode).unwrap();
    };
    set(0);
    // Root may list every folder.
    let is_root = fs::read_dir(folder.path().join("a")).is_ok();
    let described = described(folder.path());
    set(0o755);
    if !is_root {
        assert_eq!(
            described,
            [
                "a /a cannot be read: Permission denied (os error 13)",
                "b/2.json a=2"
            ]
        );
    }
}

#[test]
fn a_table_has_the_time_of_its_name_or_of_its_newest_report() {
    let table = b"station_id,num_bikes_available,last_reported\na,5,1704092880.0\nb,5,1704092000\n";
    let folder = folder_of(&[
        ("20240101T060000Z.csv", table),
        ("status_2024-01-01_1.csv", table),
    ]);
    let mut times = Vec::new();
    let _: ControlFlow<()> = Recording::open(folder.path()).unwrap().visit(|recorded| {
        let [feed] = <[Feed; 1]>::try_from(recorded.feeds.unwrap()).unwrap();
        assert!(feed.stations[0].reported_at.is_some());
        times.push(feed.time);
        ControlFlow::Continue(())
    });
    let instant = |text: &str| FeedTime::Instant(text.parse().unwrap());
    assert_eq!(
        times,
        [
            instant("2024-01-01T07:08:00Z"),
            instant("2024-01-01T06:00:00Z")
        ]
    );
}

#[test]
fn a_period_keeps_the_files_of_its_days_and_their_neighbours() {
    let folder = folder_of(&[
        ("2013-09-29.json", &beans(&[(1, 1)])),
        ("2013-09-30.json", &beans(&[(1, 2)])),
        ("20131001T000000Z.json", &beans(&[(1, 3)])),
        ("2013_10_03.json", &beans(&[(1, 4)])),
        ("status7.json", &beans(&[(1, 5)])),
    ]);
    let late: Date = "2014-10-01".parse().unwrap();
    let dated = folder_of(&[("2013-09-29.json", &beans(&[(1, 1)]))]);
    let error = Recording::open(dated.path()).unwrap().between(late, late);
    assert!(matches!(error, Err(RecordingError::NothingBetween { .. })));
    let day: Date = "2013-10-01".parse().unwrap();
    let recording = Recording::open(folder.path())
        .unwrap()
        .between(day, day)
        .unwrap();
    let names = recording
        .parts
        .iter()
        .map(|part| part.path.file_name().unwrap().to_owned());
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        ["2013-09-30.json", "20131001T000000Z.json", "status7.json"]
    );
}

#[test]
fn a_folder_without_feeds_is_refused_and_a_visitor_may_stop() {
    let folder = folder_of(&[("notes.txt", b"nothing")]);
    let error = Recording::open(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("has no recorded feeds"),
        "{error}"
    );
    let folder = folder_of(&[("1.json", &status(1)), ("2.json", &status(2))]);
    let stopped = Recording::open(folder.path())
        .unwrap()
        .visit(ControlFlow::Break);
    assert!(matches!(
        stopped,
        ControlFlow::Break(Recorded { line: None, .. })
    ));
}
