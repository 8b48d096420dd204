//! Every report on published archives, beside the same numbers from a plain loop over the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use divvy::ingest::{self, LoadOptions};
use divvy::model::{Position, System};
use divvy::refresh;
use divvy::reports::{self, Filters, Table, Value};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use divvy_testkit::inputs::published;
use futures_executor::block_on;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// A trip as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    start: DateTime,
    end: DateTime,
    /// By the clocks.
    elapsed_ms: i64,
    /// As stated, else by the clocks.
    seconds: i64,
    from: String,
    to: String,
    rider: &'static str,
    bike: String,
    gender: String,
    born: Option<i64>,
    /// Digits as published: from and to.
    places: [String; 4],
    vehicle: String,
}

fn time(text: &str) -> DateTime {
    if let Some((date, clock)) = text.split_once(' ')
        && date.contains('/')
    {
        let date: Vec<i16> = date.split('/').map(|part| part.parse().unwrap()).collect();
        let clock: Vec<i8> = clock.split(':').map(|part| part.parse().unwrap()).collect();
        return jiff::civil::date(2000 + date[2], date[0] as i8, date[1] as i8)
            .at(clock[0], clock[1], 0, 0);
    }
    text.replace(' ', "T").parse().unwrap()
}

/// Reads the rows of a file in the plainest way.
fn rows(path: &Path) -> Vec<Row> {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "zip") {
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let member = (0..zip.len())
            .map(|at| zip.by_index(at).unwrap().name().unwrap().into_owned())
            .find(|name| name.ends_with(".csv") && !name.contains("MACOSX"))
            .unwrap();
        zip.by_name(&member)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
    } else {
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    }
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = csv
        .headers()
        .unwrap()
        .iter()
        .map(str::to_lowercase)
        .collect();
    let place = |names: &[&str]| {
        header
            .iter()
            .position(|name| names.contains(&name.as_str()))
    };
    let start = place(&["starttime", "started_at"]).unwrap();
    let end = place(&["stoptime", "ended_at"]).unwrap();
    let from = place(&["start station id", "start_station_id"]).unwrap();
    let to = place(&["end station id", "end_station_id"]).unwrap();
    let rider = place(&["usertype", "member_casual"]).unwrap();
    let [seconds, bike, gender, born, vehicle] = [
        "tripduration",
        "rideable_type",
        "gender",
        "birth year",
        "bikeid",
    ]
    .map(|name| place(&[name]));
    let places = [
        ["start station latitude", "start_lat"],
        ["start station longitude", "start_lng"],
        ["end station latitude", "end_lat"],
        ["end station longitude", "end_lng"],
    ]
    .map(|names| place(&names).unwrap());
    csv.records()
        .map(|record| {
            let record = record.unwrap();
            let cell = |at: Option<usize>| at.map_or("", |at| record[at].trim()).to_owned();
            let (start, end) = (time(&record[start]), time(&record[end]));
            let mut elapsed_ms = end.duration_since(start).as_millis() as i64;
            // The clocks went forward these nights.
            for jump in ["2017-03-12", "2018-03-11", "2020-03-08", "2021-03-14"] {
                let jump: DateTime = format!("{jump}T02:00:00").parse().unwrap();
                if start < jump && end >= jump {
                    elapsed_ms -= 3_600_000;
                }
            }
            let stated = cell(seconds);
            Row {
                start,
                end,
                elapsed_ms,
                seconds: if stated.is_empty() {
                    elapsed_ms.div_euclid(1000)
                } else {
                    stated.parse().unwrap()
                },
                from: cell(Some(from)),
                to: cell(Some(to)),
                rider: match &record[rider] {
                    "member" | "Subscriber" => "member",
                    "casual" | "Customer" => "casual",
                    _ => "unknown",
                },
                bike: cell(bike),
                gender: match cell(gender).as_str() {
                    "1" => "Male".into(),
                    "2" => "Female".into(),
                    _ => String::new(),
                },
                born: cell(born).split('.').next().unwrap().parse().ok(),
                places: places.map(|at| cell(Some(at))),
                vehicle: cell(vehicle),
            }
        })
        .collect()
}

fn load(paths: &[PathBuf]) -> (EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for path in paths {
        let options = LoadOptions::new(Timestamp::UNIX_EPOCH);
        let archive = Archive::open(path).unwrap();
        block_on(ingest::load(&archive, &store, &options, &(), &())).unwrap();
    }
    block_on(refresh::drain(
        &store,
        refresh::CONSUMER,
        Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
    (store, folder)
}

/// A report's rows as texts, each value as CSV has it.
fn shown(table: &Table, columns: &[&str]) -> BTreeSet<String> {
    let places: Vec<usize> = columns
        .iter()
        .map(|name| {
            table
                .columns
                .iter()
                .position(|column| column.name == *name)
                .unwrap()
        })
        .collect();
    table
        .rows
        .iter()
        .map(|row| {
            let values = places.iter().map(|at| match &row[*at] {
                Value::Empty => String::new(),
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => format!("{number:.3}"),
                Value::Decimal(degrees) => degrees.to_string(),
                Value::Truth(truth) => truth.to_string(),
                of_more @ Value::Distribution(_) => of_more.distribution_text().unwrap_or_default(),
            });
            values.collect::<Vec<_>>().join("|")
        })
        .collect()
}

/// Counts rows by a key, and writes `key|count`.
fn counted<K: std::fmt::Display + Ord>(keys: impl Iterator<Item = K>) -> BTreeSet<String> {
    let mut counts: BTreeMap<K, u64> = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(key, n)| format!("{key}|{n}"))
        .collect()
}

fn rank(sorted: &[i64], percent: usize) -> i64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// Holds every report against the rows.
fn hold(paths: &[PathBuf], system: &str) {
    let (store, _folder) = load(paths);
    let system = System::named(system).unwrap();
    let answer =
        |name: &str| block_on(reports::report(name, &store, &system, &Filters::default())).unwrap();
    let degrees = |row: &Row| row.places.clone().map(|text| text.parse::<f64>().ok());
    let inside = |latitude: f64, longitude: f64| {
        let area = system.area.unwrap();
        area.contains(Position {
            latitude,
            longitude,
        })
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut quality = BTreeSet::new();
    for path in paths {
        let mut archive = self::rows(path);
        let read = archive.len();
        // Where a file has no trip ids, rows equal in all are one trip.
        if archive.iter().any(|row| !row.vehicle.is_empty()) {
            archive.sort();
            archive.dedup();
        }
        let is_placed = |row: &Row| match degrees(row) {
            [Some(a), Some(b), Some(c), Some(d)] => (a, b) != (0.0, 0.0) && (c, d) != (0.0, 0.0),
            _ => false,
        };
        let is_far = |row: &Row| {
            let [a, b, c, d] = degrees(row);
            let out = |ends: (Option<f64>, Option<f64>)| {
                let end = ends.0.zip(ends.1).filter(|end| *end != (0.0, 0.0));
                end.is_some_and(|(latitude, longitude)| !inside(latitude, longitude))
            };
            out((a, b)) || out((c, d))
        };
        let is_zero = |row: &Row| row.elapsed_ms == 0 && row.seconds <= 0;
        let flags: [&dyn Fn(&Row) -> bool; 8] = [
            &|row| row.elapsed_ms < 0,
            &is_zero,
            &|row| row.elapsed_ms >= 0 && row.seconds < 60 && !is_zero(row),
            &|row| row.elapsed_ms >= 0 && row.seconds > 86_400,
            &|row| row.from.is_empty(),
            &|row| row.to.is_empty(),
            &|row| !is_placed(row),
            &is_far,
        ];
        let flagged = flags.map(|flag| archive.iter().filter(|row| flag(row)).count());
        let name = path.file_name().unwrap().to_str().unwrap();
        let stored = archive.len();
        let numbers = [read, stored, read - stored].into_iter().chain(flagged);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        quality.insert(format!("{name}|{}", numbers.join("|")));
        rows.extend(archive);
    }
    let columns = [
        "archive",
        "rows_read",
        "stored",
        "duplicate",
        "ends_before_start",
        "zero_length",
        "under_60_s",
        "over_24_h",
        "no_origin",
        "no_destination",
        "no_coordinates",
        "far_away",
    ];
    assert_eq!(shown(&answer("quality"), &columns), quality);
    let day = |row: &Row| row.start.date();

    let hours = answer("hours");
    let by_hour = |hour: i8, of: fn(&Row) -> DateTime| {
        rows.iter().filter(|row| of(row).hour() == hour).count()
    };
    let expected: BTreeSet<String> = (0..24)
        .map(|hour| {
            format!(
                "{hour}|{}|{}",
                by_hour(hour, |row| row.start),
                by_hour(hour, |row| row.end)
            )
        })
        .collect();
    assert_eq!(shown(&hours, &["hour", "starts", "stops"]), expected);

    let weekday = |date: Date| format!("{:?}", date.weekday());
    let expected = counted(
        rows.iter()
            .map(|row| format!("{}|{}", weekday(day(row)), row.rider)),
    );
    assert_eq!(
        shown(&answer("weekdays"), &["weekday", "rider", "trips"]),
        expected
    );
    let month = |row: &Row| row.start.strftime("%Y-%m").to_string();
    let expected = counted(
        rows.iter()
            .map(|row| format!("{}|{}", month(row), row.rider)),
    );
    assert_eq!(
        shown(&answer("months"), &["month", "rider", "trips"]),
        expected
    );
    let expected = counted(rows.iter().map(|row| format!("{}|{}", day(row), row.rider)));
    assert_eq!(
        shown(&answer("days"), &["date", "rider", "trips"]),
        expected
    );
    let expected = counted(rows.iter().map(|row| format!("{}|{}", row.rider, row.bike)));
    assert_eq!(
        shown(&answer("riders"), &["rider", "bike", "trips"]),
        expected
    );
    let expected = counted(
        rows.iter()
            .map(|row| format!("{}|{}", row.gender, row.rider)),
    );
    assert_eq!(
        shown(&answer("genders"), &["gender", "rider", "trips"]),
        expected
    );
    let expected = counted(rows.iter().map(|row| {
        let text = |number: Option<i64>| number.map_or(String::new(), |it| it.to_string());
        let age = row.born.map(|born| i64::from(row.start.year()) - born);
        let age = age.filter(|age| (1..=100).contains(age));
        format!("{}|{}|{}", text(row.born), text(age), row.rider)
    }));
    assert_eq!(
        shown(&answer("ages"), &["birth_year", "age", "rider", "trips"]),
        expected
    );

    // Exact to the second.
    let mut expected = BTreeSet::new();
    for rider in ["member", "casual", "unknown", "all"] {
        let of_rider = rows
            .iter()
            .filter(|row| rider == "all" || row.rider == rider);
        let mut seconds: Vec<i64> = of_rider
            .map(|row| row.seconds)
            .filter(|seconds| (60..=86_400).contains(seconds))
            .collect();
        seconds.sort_unstable();
        if !seconds.is_empty() {
            let mean = seconds.iter().sum::<i64>() as f64 / seconds.len() as f64;
            let [median, p90, p99] = [50, 90, 99].map(|percent| rank(&seconds, percent));
            let (first, last) = (seconds[0], seconds[seconds.len() - 1]);
            expected.insert(format!(
                "{rider}|{}|{first}|{mean:.3}|{median}|{p90}|{p99}|{last}",
                seconds.len()
            ));
        }
    }
    let columns = [
        "rider", "trips", "min_s", "mean_s", "median_s", "p90_s", "p99_s", "max_s",
    ];
    assert_eq!(shown(&answer("durations"), &columns), expected);

    // Ids with the same name are one place.
    let place_of: BTreeMap<String, String> =
        shown(&answer("places"), &["id_space", "id", "place_id"])
            .iter()
            .filter_map(|line| line.strip_prefix("trips|")?.split_once('|'))
            .map(|(id, place)| (id.to_owned(), place.to_owned()))
            .collect();
    let place = |id: &String| place_of.get(id).cloned().unwrap_or_default();
    let by_place: Vec<Row> = rows
        .iter()
        .map(|row| Row {
            from: place(&row.from),
            to: place(&row.to),
            ..row.clone()
        })
        .collect();

    let routes = || {
        by_place
            .iter()
            .filter(|row| !row.from.is_empty() && !row.to.is_empty())
    };
    let expected =
        counted(routes().map(|row| format!("{}|{}|{}", row.from, row.to, row.from == row.to)));
    let table = answer("routes");
    let turned = |text: String| {
        let (route, trips) = text.rsplit_once('|').unwrap();
        let (route, round) = route.rsplit_once('|').unwrap();
        format!("{route}|{trips}|{round}")
    };
    let expected: BTreeSet<String> = expected.into_iter().map(turned).collect();
    let columns = ["from_station_id", "to_station_id", "trips", "round_trip"];
    assert_eq!(shown(&table, &columns), expected);
    let mut durations: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in routes().filter(|row| (60..=86_400).contains(&row.seconds)) {
        let route = format!("{}|{}", row.from, row.to);
        durations.entry(route).or_default().push(row.seconds);
    }
    for text in shown(&table, &["from_station_id", "to_station_id", "median_s"]) {
        let (route, median) = text.rsplit_once('|').unwrap();
        match durations.get_mut(route) {
            None => assert_eq!(median, "", "{route}"),
            Some(seconds) => {
                seconds.sort_unstable();
                let exact = rank(seconds, 50) as f64;
                let told: f64 = median.parse().unwrap();
                assert!(
                    (told / exact - 1.0).abs() <= 0.05,
                    "{route}: {told} for {exact}"
                );
            }
        }
    }

    let mut ends: BTreeMap<String, [i64; 2]> = BTreeMap::new();
    let mut in_all: BTreeMap<&str, [i64; 2]> = BTreeMap::new();
    let mut departures: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &rows {
        for (id, starts) in [(&row.from, 1), (&row.to, 0)] {
            if !id.is_empty() {
                *departures.entry(id).or_default() += starts;
            }
        }
    }
    for row in &by_place {
        for (end, (id, at)) in [(&row.from, row.start), (&row.to, row.end)]
            .into_iter()
            .enumerate()
        {
            if !id.is_empty() {
                let key = format!("{id}|{}|{}", weekday(at.date()), at.hour());
                ends.entry(key).or_default()[end] += 1;
                in_all.entry(id).or_default()[end] += 1;
            }
        }
    }
    let expected: BTreeSet<String> = ends
        .into_iter()
        .map(|(key, [from, to])| format!("{key}|{from}|{to}|{}", to - from))
        .collect();
    let columns = [
        "station_id",
        "weekday",
        "hour",
        "departures",
        "arrivals",
        "net",
    ];
    assert_eq!(shown(&answer("balance"), &columns), expected);
    let expected: BTreeSet<String> = (departures.iter())
        .map(|(id, from)| format!("{id}|{from}"))
        .collect();
    assert_eq!(
        shown(&answer("from-counts"), &["from_station_id", "from_count"]),
        expected
    );
    let expected: BTreeSet<String> = in_all
        .into_iter()
        .map(|(id, [from, to])| format!("{id}|{from}|{to}"))
        .collect();
    assert_eq!(
        shown(
            &answer("stations"),
            &["station_id", "from_count", "to_count"]
        ),
        expected
    );

    let kinds: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.rider, &*row.bike)).collect();
    let (mut round, mut dockless) = (BTreeSet::new(), BTreeSet::new());
    for (rider, bike) in kinds {
        let of_kind = || {
            rows.iter()
                .filter(|row| row.rider == rider && row.bike == bike)
        };
        let there = of_kind()
            .filter(|row| row.from == row.to && !row.from.is_empty())
            .count();
        round.insert(format!("{rider}|{bike}|{}|{there}", of_kind().count()));
        let [from, to, either]: [fn(&Row) -> bool; 3] = [
            |row| row.from.is_empty(),
            |row| row.to.is_empty(),
            |row| row.from.is_empty() || row.to.is_empty(),
        ];
        let [from, to, either] =
            [from, to, either].map(|is| of_kind().filter(|row| is(row)).count());
        dockless.insert(format!(
            "{rider}|{bike}|{}|{from}|{to}|{either}",
            of_kind().count()
        ));
    }
    assert_eq!(
        shown(
            &answer("roundtrips"),
            &["rider", "bike", "trips", "round_trips"]
        ),
        round
    );
    let columns = [
        "rider",
        "bike",
        "trips",
        "no_origin",
        "no_destination",
        "dockless",
    ];
    assert_eq!(shown(&answer("dockless"), &columns), dockless);

    // Positions are kept to a millionth of a degree, 0.11 m.
    let mut metres: Vec<i64> = rows
        .iter()
        .filter_map(|row| {
            let [Some(a), Some(b), Some(c), Some(d)] = degrees(row) else {
                return None;
            };
            let at = |latitude: f64, longitude: f64| Position {
                latitude,
                longitude,
            };
            let (from, to) = (at(a, b), at(c, d));
            // A bike that was parked away from stations has two decimals.
            let is_coarse = |latitude: f64, longitude: f64| {
                [latitude, longitude]
                    .iter()
                    .all(|degrees| (degrees * 100.0 - (degrees * 100.0).round()).abs() < 1e-7)
            };
            let inside = inside(a, b) && inside(c, d);
            let is_counted = inside && !is_coarse(a, b) && !is_coarse(c, d);
            is_counted.then(|| from.distance_m(to).round() as i64)
        })
        .collect();
    metres.sort_unstable();
    let table = answer("distance");
    let all = shown(&table, &["rider", "trips", "median_m", "p90_m"]);
    let all = all.iter().find(|row| row.starts_with("all|")).unwrap();
    let numbers: Vec<i64> = all
        .split('|')
        .skip(1)
        .map(|it| it.parse().unwrap())
        .collect();
    assert_eq!(numbers[0], metres.len() as i64);
    assert!((numbers[1] - rank(&metres, 50)).abs() <= 1, "{numbers:?}");
    assert!((numbers[2] - rank(&metres, 90)).abs() <= 1, "{numbers:?}");

    let months: BTreeMap<String, i64> = rows.iter().fold(BTreeMap::new(), |mut months, row| {
        *months.entry(month(row)).or_default() += 1;
        months
    });
    let expected: BTreeSet<String> = months
        .iter()
        .map(|(month, trips)| {
            let (year, rest) = month.split_at(4);
            let before = format!("{}{rest}", year.parse::<i32>().unwrap() - 1);
            match months.get(&before) {
                Some(before) => {
                    let growth = *trips as f64 / *before as f64 - 1.0;
                    format!("{month}|all|{trips}|{before}|{growth:.3}")
                }
                None => format!("{month}|all|{trips}||"),
            }
        })
        .collect();
    let columns = ["month", "rider", "trips", "year_before", "growth"];
    assert_eq!(shown(&answer("growth"), &columns), expected);
}

#[test]
fn april_2020_and_january_2021_of_divvy() {
    let Some(trips) = published("trips") else {
        return;
    };
    let months = ["202004-divvy-tripdata.zip", "202101-divvy-tripdata.zip"];
    for month in months {
        hold(&[trips.join("divvy").join(month)], "divvy");
    }
    hold(
        &months.map(|month| trips.join("divvy").join(month)),
        "divvy",
    );
}

#[test]
fn every_month_of_jersey_city() {
    let Some(trips) = published("trips") else {
        return;
    };
    let files = std::fs::read_dir(trips.join("citibike")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    hold(&paths, "citibike");
}
