//! Recorded feeds and station lists, read or refused: one line for each kind of outcome.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use divvy::model::{SnapshotKind, Station, System, Systems};
use divvy::sources::station_feed::{self, Document, Feed};
use divvy::sources::station_list;
use divvy_testkit::inputs::{has_programs, published};

/// What files of one folder were read as.
#[derive(Default)]
struct Outcome {
    files: usize,
    stations: usize,
    faults: u32,
}

/// Outcomes by folder, or archive, and by what the files are.
type Outcomes = BTreeMap<(String, String), Outcome>;

#[test]
fn every_recorded_feed_is_read_or_refused_in_a_sentence() {
    let Some(data) = published("") else { return };
    if !has_programs(&["tar", "xz"]) {
        return;
    }
    let mut outcomes = Outcomes::new();
    walk(&data.join("feeds"), &mut |file| {
        let folder = file.parent().unwrap().strip_prefix(&data).unwrap();
        if !file.to_str().unwrap().ends_with(".tar.xz") {
            return note(&mut outcomes, &folder.display().to_string(), file);
        }
        let archive = file.strip_prefix(&data).unwrap().display().to_string();
        let unpacked = unpack(file);
        walk(unpacked.path(), &mut |member| {
            note(&mut outcomes, &archive, member);
        });
    });
    insta::assert_snapshot!(table(&outcomes));
}

#[test]
fn every_published_station_list_is_read() {
    let Some(data) = published("") else { return };
    let mut lines = String::new();
    walk(&data.join("stations"), &mut |file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".csv") {
            return;
        }
        let bytes = fs::read(file).unwrap();
        let form = station_list::recognise(&bytes).expect(name);
        let list = station_list::read(&bytes[..], form, name).unwrap();
        assert_all(&list.stations, |s| {
            s.position().is_some() && s.capacity.is_some()
        });
        lines += &format!("{name} | {} | {}\n", list.stations.len(), list.faults.len());
    });
    insta::assert_snapshot!(lines, @"
    Divvy_Stations_2013.csv | 300 | 0
    Divvy_Stations_2014-Q3Q4.csv | 300 | 0
    Divvy_Stations_2015.csv | 474 | 0
    Divvy_Stations_2016_Q3.csv | 581 | 0
    Divvy_Stations_2017_Q3Q4.csv | 585 | 0
    crlf_Divvy_Stations_2016_Q1Q2.csv | 535 | 0
    uic_stations_2016.csv | 582 | 0
    unquoted_Divvy_Stations_2017_Q1Q2.csv | 582 | 0
    ");
}

/// Pairs fetched together: how many stations are in only one of the two feeds.
#[test]
fn recorded_pairs_join() {
    let Some(data) = published("") else { return };
    let mut lines = String::new();
    for folder in [
        "hubway_1.0_2017-12-12",
        "citibike_1.0_2019-07-05",
        "divvy_2.3_2025-01-29",
        "lamassu_fixtures_v2",
        "lamassu_fixtures_v3",
    ] {
        let feed = |name: &str| {
            let file = data.join("feeds/gbfs").join(folder).join(name);
            match station_feed::read(&fs::read(file).unwrap(), name).unwrap() {
                Document::Feed(feed) => feed,
                other => panic!("{name}: expected stations, found {other:?}"),
            }
        };
        let pair = [
            feed("station_information.json"),
            feed("station_status.json"),
        ];
        let known = pair[0].systems(&Systems::default()).pop();
        let system = known.unwrap_or_else(|| System::parse("atlantis@UTC").unwrap());
        let reversed = pair.clone().into_iter().rev().collect();
        let snapshot = station_feed::snapshot(pair.into(), &system, None).unwrap();
        let again = station_feed::snapshot(reversed, &system, None).unwrap();
        assert_eq!(snapshot, again, "the order of the files does not matter");
        assert_eq!(snapshot.kind, SnapshotKind::Full);
        let without =
            |is_none: fn(&Station) -> bool| snapshot.stations.iter().filter(|s| is_none(s)).count();
        lines += &format!(
            "{folder} | {} | {} | {} stations, {} without a name, {} without a state, {} never \
             reported\n",
            system.id,
            snapshot.taken_at,
            snapshot.stations.len(),
            without(|s| s.name.is_none()),
            without(|s| s.status.is_none()),
            without(|s| s.reported_at.is_none()),
        );
    }
    insta::assert_snapshot!(lines, @"
    hubway_1.0_2017-12-12 | bluebikes | 2017-12-12T16:21:19Z | 195 stations, 0 without a name, 0 without a state, 10 never reported
    citibike_1.0_2019-07-05 | citibike | 2019-07-05T15:54:17Z | 845 stations, 0 without a name, 0 without a state, 15 never reported
    divvy_2.3_2025-01-29 | divvy | 2025-01-29T09:47:40Z | 1811 stations, 0 without a name, 0 without a state, 0 never reported
    lamassu_fixtures_v2 | atlantis | 2015-06-11T20:31:18Z | 4 stations, 2 without a name, 2 without a state, 2 never reported
    lamassu_fixtures_v3 | biketown | 2021-12-30T17:59:23Z | 4 stations, 2 without a name, 2 without a state, 2 never reported
    ");
}

/// The digits of all coordinates are those of the file, found there by plain search.
#[test]
fn recorded_coordinates_keep_their_digits() {
    let Some(data) = published("") else { return };
    for file in [
        "gbfs/divvy_2.3_2025-01-29/station_information.json",
        "gbfs/baywheels_1.x_2020-05/station_information.json",
        "legacy/divvy_2013-11-02_stations.json",
        "legacy/citibike_2013-11-18_stations.json",
    ] {
        let text = fs::read_to_string(data.join("feeds").join(file)).unwrap();
        let Document::Feed(feed) = station_feed::read(text.as_bytes(), file).unwrap() else {
            panic!("{file} has stations");
        };
        let numbers: std::collections::HashSet<&str> = text
            .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
            .collect();
        assert_all(&feed.stations, |station| {
            [&station.latitude, &station.longitude]
                .into_iter()
                .all(|degrees| numbers.contains(degrees.as_ref().unwrap().as_str()))
        });
    }
}

fn assert_all(stations: &[Station], holds: impl Fn(&Station) -> bool) {
    for station in stations {
        assert!(holds(station), "{station:?}");
    }
}

/// Reads a file and counts the outcome.
fn note(outcomes: &mut Outcomes, folder: &str, file: &Path) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let (what, stations, faults) = match station_feed::read(&fs::read(file).unwrap(), name) {
        Ok(Document::Discovery(discovery)) => {
            let feeds = discovery.feeds.len();
            (format!("gbfs.json: {feeds} feeds"), 0, 0)
        }
        Ok(Document::Feed(feed)) => {
            let faults = feed.faults.iter().map(|fault| fault.times).sum();
            (described(&feed), feed.stations.len(), faults)
        }
        Ok(Document::VehicleTypes(_)) => ("vehicle_types".into(), 0, 0),
        Err(refused) => (refused.to_string().replace(name, "FILE"), 0, 0),
    };
    let outcome = outcomes.entry((folder.into(), what)).or_default();
    outcome.files += 1;
    outcome.stations += stations;
    outcome.faults += faults;
}

/// Describes a feed, and checks that a snapshot can be made of it.
fn described(feed: &Feed) -> String {
    let known = feed.systems(&Systems::default()).pop();
    let system = known
        .clone()
        .unwrap_or_else(|| System::parse("atlantis@UTC").unwrap());
    let snapshot = station_feed::snapshot(vec![feed.clone()], &system, None).unwrap();
    assert_eq!(snapshot.stations.len(), feed.stations.len());
    let version = feed.version.as_deref().unwrap_or("without version");
    let whose = known.map_or(String::new(), |system| format!(" of {}", system.id));
    format!("{} {version}{whose}", feed.kind)
}

fn table(outcomes: &Outcomes) -> String {
    let mut table = String::new();
    let mut last = "";
    for ((folder, what), outcome) in outcomes {
        if folder != last {
            table += &format!("{folder}\n");
            last = folder;
        }
        let Outcome {
            files,
            stations,
            faults,
        } = outcome;
        table += &format!("    {files} files, {stations} stations, {faults} faults: {what}\n");
    }
    table
}

/// Hands every file below a folder to `visit`, by name.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            walk(&entry, visit);
        } else {
            visit(&entry);
        }
    }
}

fn unpack(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("xJf")
        .args([archive, Path::new("-C"), folder.path()])
        .status();
    assert!(
        status.unwrap().success(),
        "tar unpacks {}",
        archive.display()
    );
    folder
}
