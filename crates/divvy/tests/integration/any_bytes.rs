//! The readers on random bytes: no panic, every row a trip or rejected, every error a sentence.
//!
//! One run has 200 inputs for each reader. With `DIVVY_FUZZ_SECONDS=600` it takes ten minutes each,
//! with new inputs each time.

use std::env;
use std::fmt::{self, Debug};
use std::io::{self, Cursor, Read, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use divvy::issue::Rejected;
use divvy::model::System;
use divvy::sources::archive::Archive;
use divvy::sources::station_feed::{self, Document};
use divvy::sources::trips_csv::{ColumnMapping, TimeHints, TripReader, TripsError};
use divvy::tally::{Tally, Totals};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// An input, shown as text where it fails.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Checks inputs for `DIVVY_FUZZ_SECONDS`, at least one round of them.
fn check_all(inputs: impl Strategy<Value = Vec<u8>>, check: impl Fn(Vec<u8>) + Copy) {
    let seconds = env::var("DIVVY_FUZZ_SECONDS").map_or(0, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let inputs = inputs.prop_map(Bytes);
    loop {
        let config = Config {
            cases: 200,
            failure_persistence: None,
            ..Config::default()
        };
        let round = TestRunner::new(config).run(&inputs, |Bytes(bytes)| {
            check(bytes);
            Ok(())
        });
        if let Err(failure) = round {
            panic!("{failure}");
        }
        if Instant::now() >= end {
            return;
        }
    }
}

#[test]
fn trip_reader() {
    let inputs = prop_oneof![
        1 => vec(any::<u8>(), 0..500),
        2 => tables(),
        4 => edited(tables()),
    ];
    check_all(inputs, |bytes| {
        let _ = read_trips(&mut || Ok(Box::new(Cursor::new(bytes.clone()))));
    });
}

#[test]
fn archive_reader() {
    let inputs = prop_oneof![
        1 => vec(any::<u8>(), 0..500),
        2 => archives(),
        6 => edited(archives()),
    ];
    check_all(inputs, |bytes| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        std::fs::write(&path, bytes).unwrap();
        read_archive(&path);
    });
}

#[test]
fn feed_reader() {
    let inputs = prop_oneof![
        1 => vec(any::<u8>(), 0..500),
        2 => feeds(),
        6 => edited(feeds()),
    ];
    check_all(inputs, |bytes| {
        let divvy = System::named("divvy").unwrap();
        match station_feed::read(&bytes, "feed.json") {
            Ok(Document::Discovery(_) | Document::VehicleTypes(_)) => {}
            Ok(Document::Feed(feed)) => {
                for fault in &feed.faults {
                    assert_sentence(&fault.to_string());
                }
                if let Err(error) = station_feed::snapshot(vec![feed], &divvy, None) {
                    assert_sentence(&error.to_string());
                }
            }
            Err(error) => assert_sentence(&error.to_string()),
        }
    });
}

/// Small feeds of every version.
fn feeds() -> impl Strategy<Value = Vec<u8>> {
    let station = r#"{"station_id":"7","name":"Heron St","lat":41.88,"lon":-87.63,"capacity":15,
        "num_bikes_available":3,"num_docks_available":11,"is_installed":1,"is_renting":true,
        "is_returning":"1","last_reported":1700000000,"legacy_id":12,"short_name":"HR-1"}"#;
    let bean = r#"{"id":7,"stationName":"Heron St","availableDocks":11,"totalDocks":15,
        "latitude":41.88,"longitude":-87.63,"statusValue":"In Service","statusKey":1,
        "availableBikes":3,"testStation":false,"lastCommunicationTime":null}"#;
    select(vec![
        format!(r#"{{"last_updated":1700000000,"ttl":5,"data":{{"stations":[{station}]}}}}"#),
        format!(
            r#"{{"last_updated":"2026-02-03T04:05:06Z","ttl":60,"version":"3.0","data":{{
            "stations":[{{"station_id":"7","name":[{{"text":"Heron St","language":"en"}}],
            "lat":41.88,"lon":-87.63}},{station}]}}}}"#
        ),
        format!(
            r#"{{"executionTime":"2013-11-03 01:30:00 AM","stationBeanList":[{bean},{bean}]}}"#
        ),
        r#"{"last_updated":1,"ttl":0,"data":{"en":{"feeds":[{"name":"station_status",
        "url":"https://example.org/s"}]}}}"#
            .to_owned(),
    ])
    .prop_map(String::into_bytes)
}

fn read_archive(path: &std::path::Path) {
    let archive = match Archive::open(path) {
        Ok(archive) => archive,
        Err(error) => return assert_sentence(&error.to_string()),
    };
    assert!(!archive.members().is_empty());
    archive.content();
    for left_out in archive.left_out() {
        assert_sentence(&left_out.to_string());
    }
    for (index, member) in archive.members().iter().enumerate() {
        let mut bytes = Vec::new();
        let whole = archive.read(index).unwrap().read_to_end(&mut bytes);
        match (&whole, member.size_bytes) {
            (Ok(_), Some(size_bytes)) => assert_eq!(bytes.len() as u64, size_bytes),
            (Ok(_), None) => {}
            (Err(error), _) => assert_sentence(&error.to_string()),
        }
        let trips = read_trips(&mut || archive.read(index).map_err(io::Error::other));
        // A member that ends in an error may not be read as trips. One with another header is not
        // read to the end.
        if whole.is_err() {
            assert!(trips.is_err());
        }
    }
}

type Open<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>;

/// Reads trips as [`read_rows`] does, and checks that an error is a sentence.
fn read_trips(open: Open<'_>) -> Result<(), TripsError> {
    let outcome = read_rows(open);
    if let Err(error) = &outcome {
        assert_sentence(&error.to_string());
    }
    outcome
}

/// Reads trips, and checks that every row is a trip or rejected.
fn read_rows(open: Open<'_>) -> Result<(), TripsError> {
    let mapping = ColumnMapping::detect(open, "trips.csv", TimeHints::default())?;
    let divvy = || System::named("divvy").unwrap();
    let system = mapping.system().unwrap_or_else(divvy);
    let rejects: Mutex<Vec<Rejected>> = Mutex::default();
    let mut reader = TripReader::new(open().unwrap(), mapping, &system, "trips.csv")?;
    let mut trips = 0;
    let mut totals = Totals::default();
    while let Some(batch) = reader.next_batch(&rejects)? {
        trips += batch.len() as u64;
        assert_eq!(batch.trips().count(), batch.len());
        totals.count(&batch, 1);
    }
    let rejects = rejects.into_inner().unwrap();
    let rejected = rejects.len() as u64;
    assert_eq!(reader.rows_read(), trips + rejected);
    assert_eq!(reader.rejected().values().sum::<u64>(), rejected);
    assert_eq!(totals.trips, trips as i64);
    for rejected in &rejects {
        assert_sentence(&rejected.to_string());
    }
    Ok(())
}

/// Checks that a message is one line without control characters.
fn assert_sentence(text: &str) {
    assert!(text.len() > 10, "{text:?}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// Tables with published headers, and valid and invalid cells.
fn tables() -> impl Strategy<Value = Vec<u8>> {
    const HEADERS: &[&str] = &[
        "ride_id,rideable_type,started_at,ended_at,start_station_name,start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,end_lng,member_casual",
        "trip_id,starttime,stoptime,bikeid,tripduration,from_station_id,from_station_name,to_station_id,to_station_name,usertype,gender,birthday",
        "\"trip_id\",\"start_time\",\"end_time\",\"bikeid\",\"tripduration\",\"from_station_id\",\"from_station_name\",\"to_station_id\",\"to_station_name\",\"usertype\",\"gender\",\"birthyear\"",
        "Trip Duration,Start Time,Stop Time,Start Station ID,Start Station Name,Start Station Latitude,Start Station Longitude,End Station ID,End Station Name,End Station Latitude,End Station Longitude,Bike ID,User Type,Birth Year,Gender",
        "Duration,Start date,End date,Start station number,Start station,End station number,End station,Bike number,Member Type",
        "Rental Id,Duration,Bike Id,End Date,EndStation Id,EndStation Name,Start Date,StartStation Id,StartStation Name",
    ];
    // Cells for a column, by words in its name.
    const TIMES: &[&str] = &[
        "2020-04-26 17:45:14",
        "2024-06-01 00:00:00.123",
        "4/26/2020 5:45 PM",
        "1/2/19 0:00",
        "13-01-2019 00:20",
        "01-07-2019 00:20",
        "44562.51985",
        "44642",
        "2020-11-01 01:30:00",
        "2020-03-08 02:30:00",
        "1969-12-31 23:59:59",
        "99999999/1/1 0:00",
        "9999-12-31 23:59:59",
        "0000-01-01 00:00",
        "99999.99999",
        "2020-02-30 10:00:00",
    ];
    const NUMBERS: &[&str] = &[
        "0123456789ABCDEF",
        "1.23E+15",
        "17536701",
        "1,048.0",
        "-1",
        "99999999999999999999",
        "86.0",
        "NaN",
        "1e308",
        "inf",
        "TA1307000039",
        "HQ QR",
        "0",
    ];
    const DEGREES: &[&str] = &[
        "41.88",
        "-87.6278231",
        "0",
        "180.0000001",
        "1e2",
        "-",
        "40.7",
        "-74.0",
    ];
    const WORDS: &[&str] = &[
        "",
        "NULL",
        "\\N",
        "\"\"",
        "Lake & Shore",
        "\"a, b\"",
        "\"say \"\"hi\"\"\"",
        "\"open",
        " padded ",
        "caf\u{e9}",
        "member",
        "Subscriber",
        "Male",
        "1984",
        "1899.0",
        "\u{1b}[31m",
        "\"two\nlines\"",
    ];
    let cell = |name: &'static str| {
        let name = name.to_ascii_lowercase();
        let fitting = if ["_at", "time", "date"]
            .iter()
            .any(|end| name.trim_matches('"').ends_with(end))
        {
            TIMES
        } else if ["lat", "lng", "itude"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            DEGREES
        } else {
            NUMBERS
        };
        prop_oneof![8 => select(fitting), 2 => select(WORDS)]
    };
    select(HEADERS).prop_flat_map(move |header| {
        let row: Vec<_> = header.split(',').map(cell).collect();
        let line_end = select(vec!["\n", "\r\n"]);
        (vec(row, 0..30), line_end).prop_map(move |(rows, line_end)| {
            let rows = rows.iter().map(|row| row.join(","));
            let lines: Vec<String> = std::iter::once(header.to_owned()).chain(rows).collect();
            lines.join(line_end).into_bytes()
        })
    })
}

/// Zips, gzips and plain tables.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "a.csv",
        "folder/b.csv",
        "folder/",
        "__MACOSX/._a.csv",
        ".DS_Store",
        "README.txt",
        "c",
        "stations.xlsx",
        "two\nlines.csv",
        "\u{1b}[31mred.csv",
    ];
    let methods = vec![CompressionMethod::Deflated, CompressionMethod::Stored];
    let member = (select(NAMES), select(methods), tables());
    let zip = (vec(member, 0..4), any::<bool>()).prop_map(|(members, streamed)| {
        let mut bytes = Vec::new();
        if streamed {
            pack(ZipWriter::new_stream(&mut bytes), members);
        } else {
            pack(ZipWriter::new(Cursor::new(&mut bytes)), members);
        }
        bytes
    });
    let gzip = vec(tables(), 0..3).prop_map(|tables| {
        let pack = |table: Vec<u8>| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&table).unwrap();
            gzip.finish().unwrap()
        };
        tables.into_iter().flat_map(pack).collect()
    });
    prop_oneof![4 => zip, 2 => gzip, 1 => tables()]
}

fn pack(
    mut zip: ZipWriter<impl Write + io::Seek>,
    members: Vec<(&str, CompressionMethod, Vec<u8>)>,
) {
    for (name, method, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        // The writer refuses a name that is in the zip already.
        if zip.start_file(name, options).is_ok() {
            zip.write_all(&bytes).unwrap();
        }
    }
    zip.finish().unwrap();
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, Index, usize),
    Cut(Index),
}

/// Valid bytes with a few changes.
fn edited(sound: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = || prop_oneof![any::<u8>(), select(b"\",\n\r;\0\xff0123456789".to_vec())];
    let edit = prop_oneof![
        6 => (any::<Index>(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<Index>(), vec(byte(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (any::<Index>(), any::<Index>(), 1..200_usize)
            .prop_map(|(from, to, length)| Edit::Repeat(from, to, length)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ];
    (sound, vec(edit, 1..5)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            if !bytes.is_empty() {
                apply(edit, &mut bytes);
            }
        }
        bytes
    })
}

fn apply(edit: Edit, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    match edit {
        Edit::Set(at, byte) => bytes[at.index(length)] = byte,
        Edit::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new);
        }
        Edit::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..length.min(at + count));
        }
        Edit::Repeat(from, to, count) => {
            let (from, to) = (from.index(length), to.index(length));
            let copy = bytes[from..length.min(from + count)].to_vec();
            bytes.splice(to..to, copy);
        }
        Edit::Cut(at) => bytes.truncate(at.index(length)),
    }
}
