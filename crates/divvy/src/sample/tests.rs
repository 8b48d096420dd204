use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::issue::Rejected;
use crate::model::{Flag, Rider, System, TripBatch};
use crate::sources::trips_csv::{ColumnMapping, TimeHints, TripReader};

fn archive(era: Era, trips: u64, seed: u64) -> Vec<u8> {
    let mut zip = Cursor::new(Vec::new());
    let sample = Sample { era, trips, seed };
    let written = sample.write_zip(&mut zip, &mut |_| {}).unwrap();
    assert_eq!(written.trips, trips);
    zip.into_inner()
}

fn members(zip: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    (0..zip.len())
        .map(|nth| {
            let mut file = zip.by_index(nth).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            (file.name().unwrap().into_owned(), content)
        })
        .collect()
}

fn is_trip_file(name: &str) -> bool {
    let (_, name) = name.rsplit_once('/').unwrap_or(("", name));
    name.ends_with(".csv") && !name.starts_with("Divvy_Stations") && !name.starts_with("._")
}

struct Taken {
    form: &'static str,
    system: String,
    batches: Vec<TripBatch>,
}

/// Reads a member as the program would; every row must become a trip.
fn read(name: &str, content: &[u8]) -> Taken {
    let owned = content.to_vec();
    let mapping = ColumnMapping::detect(
        &mut || Ok(Box::new(Cursor::new(owned.clone()))),
        name,
        TimeHints::default(),
    )
    .unwrap();
    let system = mapping.system().or(System::named("divvy")).unwrap();
    let form = mapping.form();
    let rejects = std::sync::Mutex::new(Vec::<Rejected>::new());
    let mut reader = TripReader::new(content, mapping, &system, name).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(&rejects).unwrap() {
        batches.push(batch);
    }
    assert_eq!(rejects.into_inner().unwrap(), []);
    Taken {
        form,
        system: system.id.as_str().into(),
        batches,
    }
}

fn all_trips(era: Era, trips: u64, seed: u64) -> Vec<TripBatch> {
    members(archive(era, trips, seed))
        .iter()
        .filter(|(name, _)| is_trip_file(name))
        .flat_map(|(name, content)| read(name, content).batches)
        .collect()
}

#[test]
fn every_era_is_read_back_whole() {
    let cases = [
        (Era::Y2016, "L1", 2),
        (Era::Y2018, "L2", 1),
        (Era::Y2020, "M", 1),
        (Era::Y2024, "M", 1),
    ];
    for (era, form, files) in cases {
        let members = members(archive(era, 3000, 7));
        let files_of_trips: Vec<_> = members
            .iter()
            .filter(|(name, _)| is_trip_file(name))
            .collect();
        assert_eq!(files_of_trips.len(), files, "{era}");
        let mut trips = 0;
        let mut ids = BTreeSet::new();
        for (name, content) in files_of_trips {
            let taken = read(name, content);
            assert_eq!((taken.form, taken.system.as_str()), (form, "divvy"));
            for batch in taken.batches {
                trips += batch.len();
                ids.extend(batch.trips().map(|trip| trip.id));
            }
        }
        assert_eq!((trips, ids.len()), (3000, 3000), "{era}: trips, ids");
    }
}

#[test]
fn a_sample_of_nothing_has_its_files() {
    for era in Era::ALL {
        let members = members(archive(era, 0, 1));
        for (name, content) in members.iter().filter(|(name, _)| is_trip_file(name)) {
            // The header alone, which a load refuses.
            assert_eq!(content.split(|byte| *byte == b'\n').count(), 2, "{name}");
        }
    }
}

#[test]
fn the_seed_decides_everything() {
    for era in Era::ALL {
        assert!(archive(era, 500, 1) == archive(era, 500, 1), "{era}");
        assert!(archive(era, 500, 1) != archive(era, 500, 2), "{era}");
    }
}

#[test]
fn archives_are_packed_as_published() {
    let names = |era| members(archive(era, 10, 1)).into_keys().collect::<Vec<_>>();
    assert_eq!(
        names(Era::Y2016),
        [
            "Divvy_Trips_2016_Q3Q4/",
            "Divvy_Trips_2016_Q3Q4/Divvy_Stations_2016_Q4.csv",
            "Divvy_Trips_2016_Q3Q4/Divvy_Trips_2016_Q3.csv",
            "Divvy_Trips_2016_Q3Q4/Divvy_Trips_2016_Q4.csv",
            "Divvy_Trips_2016_Q3Q4/README_2016_Q3Q4.txt",
        ]
    );
    assert_eq!(names(Era::Y2018), ["Divvy_Trips_2018_Q3.csv"]);
    assert_eq!(
        names(Era::Y2020),
        [
            "202006-divvy-tripdata.csv",
            "__MACOSX/._202006-divvy-tripdata.csv"
        ]
    );
    assert_eq!(names(Era::Y2024), ["202406-divvy-tripdata.csv"]);
}

/// Shows the form of each era.
#[test]
fn rows_look_as_published() {
    let mut text = String::new();
    for era in Era::ALL {
        for (name, content) in members(archive(era, 40, 3)) {
            if is_trip_file(&name) || name.contains("Stations") {
                let rows = String::from_utf8(content).unwrap();
                let first: String = rows.split_inclusive('\n').take(4).collect();
                text += &format!("--- {name}\n{}", first.replace('\r', "␍"));
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn members_ride_at_rush_hours_and_casual_riders_later() {
    let batches = all_trips(Era::Y2018, 40_000, 11);
    let mut working_day_hours = [0_u32; 24];
    let (mut members, mut casuals_at_ease, mut casuals) = (0, 0, 0);
    let mut seconds = [Vec::new(), Vec::new()];
    for trip in batches.iter().flat_map(TripBatch::trips) {
        let day = trip.started_ms.div_euclid(86_400_000);
        let at_ease = matches!((day + 3).rem_euclid(7), 5 | 6); // 1970-01-01 was a Thursday
        let is_member = trip.rider == Rider::Member;
        if is_member {
            members += 1;
        } else {
            casuals += 1;
            casuals_at_ease += u32::from(at_ease);
        }
        if !at_ease {
            let hour = trip.started_ms.rem_euclid(86_400_000) / 3_600_000;
            working_day_hours[hour as usize] += 1;
        }
        seconds[usize::from(is_member)].push(trip.duration_s());
    }
    assert!((27_600..30_000).contains(&members), "{members}");
    assert!(
        10 * casuals_at_ease > 4 * casuals,
        "{casuals_at_ease} of {casuals}"
    );
    let at = |hour: usize| working_day_hours[hour];
    assert!(at(8) > at(10) && at(8) > 4 * at(5), "{working_day_hours:?}");
    assert!(
        at(17) > at(8) && at(17) > 2 * at(20),
        "{working_day_hours:?}"
    );
    let [casual_s, member_s] = seconds.map(|mut all| {
        all.sort_unstable();
        assert!(all[0] >= 60 && all[all.len() - 1] < 86_400);
        all[all.len() / 2]
    });
    assert!((420..780).contains(&member_s), "median {member_s} s");
    assert!((1000..1700).contains(&casual_s), "median {casual_s} s");
}

#[test]
fn some_stations_are_far_busier_than_others() {
    let mut starts: BTreeMap<String, u32> = BTreeMap::new();
    for trip in all_trips(Era::Y2016, 40_000, 2)
        .iter()
        .flat_map(TripBatch::trips)
    {
        *starts
            .entry(trip.origin.unwrap().as_str().into())
            .or_default() += 1;
    }
    let mut counts: Vec<u32> = starts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let busiest: u32 = counts.iter().take(58).sum();
    assert!((14_000..26_000).contains(&busiest), "a tenth has {busiest}");
    assert!(counts.len() > 500, "{} stations", counts.len());
}

#[test]
fn the_latest_era_has_the_oddities_of_its_files() {
    let mut flags: BTreeMap<&str, u32> = BTreeMap::new();
    for trip in all_trips(Era::Y2024, 40_000, 4)
        .iter()
        .flat_map(TripBatch::trips)
    {
        for flag in trip.flags.iter() {
            *flags.entry(flag.as_str()).or_default() += 1;
        }
    }
    let some = |flag: Flag| flags.get(flag.as_str()).copied().unwrap_or(0);
    for flag in [Flag::NoOrigin, Flag::NoDestination] {
        assert!((6_400..9_600).contains(&some(flag)), "{flags:?}");
    }
    assert!((400..900).contains(&some(Flag::Under60S)), "{flags:?}");
    for flag in [Flag::EndsBeforeStart, Flag::Over24H, Flag::NoCoordinates] {
        assert!((5..200).contains(&some(flag)), "{flags:?}");
    }
    assert_eq!(some(Flag::FarAway), 0);
}

#[test]
fn clocks_are_turned_in_the_autumn_of_2016() {
    let batches = all_trips(Era::Y2016, 60_000, 9);
    let changed = batches
        .iter()
        .flat_map(TripBatch::trips)
        .filter(|trip| trip.flags.contains(Flag::ClockChange));
    let mut some = 0;
    for trip in changed {
        assert_eq!(trip.elapsed_ms(), 1000 * trip.duration_s());
        some += 1;
    }
    assert!(some > 0);
}

#[test]
fn no_row_is_missed_whatever_the_order() {
    for trips in 1..200 {
        for order in [Order::OldestFirst, Order::NewestFirst, Order::None] {
            let numbers: BTreeSet<u64> = (0..trips)
                .map(|row| order.trip_in_row(row, trips))
                .collect();
            assert_eq!(numbers.len() as u64, trips, "{order:?}");
            assert_eq!(numbers.last(), Some(&(trips - 1)), "{order:?}");
        }
    }
}

#[test]
fn eras_are_called_by_their_year() {
    for era in Era::ALL {
        assert_eq!(era.to_string().parse(), Ok(era));
    }
    let unknown = "2017".parse::<Era>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there are no samples of \"2017\": choose 2016, 2018, 2020 or 2024"
    );
}

fn stations(files: &[(&str, Vec<u8>)], name: &str) -> BTreeMap<String, Value> {
    let (_, json) = files.iter().find(|(file, _)| *file == name).unwrap();
    let json: Value = serde_json::from_slice(json).unwrap();
    json["data"]["stations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|station| {
            (
                station["station_id"].as_str().unwrap().into(),
                station.clone(),
            )
        })
        .collect()
}

#[test]
fn most_origins_are_in_the_feed_under_their_other_ids() {
    let at = Timestamp::from_second(1_738_144_059).unwrap();
    for (era, key) in [(Era::Y2016, "legacy_id"), (Era::Y2024, "short_name")] {
        let files = feed(era, 6, at);
        let information = stations(&files, "station_information.json");
        let status = stations(&files, "station_status.json");
        assert!(information.keys().eq(status.keys()));
        let known: BTreeSet<&str> = information
            .values()
            .filter_map(|station| station[key].as_str())
            .collect();
        let (mut matched, mut trips) = (0, 0);
        for trip in all_trips(era, 5000, 6).iter().flat_map(TripBatch::trips) {
            if let Some(origin) = trip.origin {
                trips += 1;
                matched += usize::from(known.contains(origin.id_str()));
                assert!(!information.contains_key(origin.id_str()));
            }
        }
        assert!(matched < trips, "{era}: {matched} of {trips}");
        assert!(100 * matched > 95 * trips, "{era}: {matched} of {trips}");
    }
}

#[test]
fn a_minute_changes_some_stations() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let status = |second| stations(&feed(Era::Y2024, 6, at(second)), "station_status.json");
    let (now, again, later) = (
        status(1_738_144_000),
        status(1_738_144_000),
        status(1_738_144_060),
    );
    assert_eq!(now, again);
    let changed = now.iter().filter(|(id, was)| later[*id] != **was).count();
    assert!((10..300).contains(&changed), "{changed} of {}", now.len());
    for station in now.values() {
        let count = |name: &str| station[name].as_u64().unwrap();
        assert!(count("num_ebikes_available") <= count("num_bikes_available"));
        assert_eq!(station["is_installed"].as_u64(), Some(1));
    }
}
