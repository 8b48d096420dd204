//! Tests of trips files, by their own reader and by those of others.

use std::path::Path;

use bytes::Bytes;
use parquet::basic::PageType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::schema::column;
use super::*;
use crate::model::{Flags, Rider, StationAlias, Trip, TripBatch};
use crate::store::embedded::index::Index;
use crate::store::embedded::testing::{divvy, trip};
use crate::store::{StoreError, StoreErrorKind};

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let mut trips = [trip("17", 9_000), trip("18", 4_000), trip("19", 5_000)];
    trips[0].reported_s = Some(600);
    trips[1].reported_s = Some(599);
    trips[1].origin = Some("TA1".into());
    trips[2].origin = Some("86".into());
    trips[2].destination = Some("TA1".into());
    trips[2].birth_year = Some(1984);
    trips[0].from = Some((41_881_832, -87_623_177));
    trips[0].rider = Rider::Member;
    let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
    writer.write(&trips.iter().cloned().collect()).unwrap();
    writer
        .write(&[trip("20", 1)].into_iter().collect())
        .unwrap();
    let finished = writer.finish().unwrap();
    let mut in_order: Vec<&Trip> = trips.iter().collect();
    in_order.sort_by_key(|trip| trip.started_ms);

    let file = TripsFile::open(&path).unwrap();
    assert_eq!(file.groups(), [0..3, 3..4]);
    let read: Vec<Trip> = file.read(0).unwrap().trips().collect();
    assert_eq!(read.iter().collect::<Vec<_>>(), in_order);
    assert_eq!(file.read(1).unwrap().trip(0), trip("20", 1));
    assert_eq!((finished.rows, finished.keys.bounds), (4, (17, 20)));
    let index = Index::open(&path.with_extension("index")).unwrap();
    let mut cursor = index.cursor((0, u64::MAX)).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = cursor.entry() {
        entries.push((entry.key, entry.row));
        cursor.advance().unwrap();
    }
    assert_eq!(entries, [(17, 2), (18, 0), (19, 1), (20, 3)]);
}

#[test]
fn another_programs_file_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    std::fs::write(&path, b"PAR1 but no more than that").unwrap();
    let error = TripsFile::open(&path).err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Damaged);
}

#[test]
fn many_texts_and_nulls_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let trips: Vec<Trip> = (0..5000)
        .map(|n| {
            let mut trip = trip(&n.to_string(), n);
            trip.origin = (n % 3 != 0).then(|| format!("S{}", n % 701).as_str().into());
            trip.vehicle = Some((n % 997).to_string().as_str().into());
            trip
        })
        .collect();
    let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
    writer.write(&trips.iter().cloned().collect()).unwrap();
    writer.finish().unwrap();
    let read: Vec<Trip> = TripsFile::open(&path)
        .unwrap()
        .read(0)
        .unwrap()
        .trips()
        .collect();
    assert_eq!(read, trips);
}

/// Trips of which some have a value in each column.
fn varied_trips(n: i64) -> TripBatch {
    let trip = |n: i64| Trip {
        origin: Some(["TA1\u{1f}clark st", "TA1", "86"][n as usize % 3].into()),
        destination: (n % 4 != 0).then(|| "TA1".into()),
        vehicle: Some((n % 7).to_string().as_str().into()),
        bike: (n % 2 == 0).then(|| "classic_bike".into()),
        rider: if n % 3 == 0 {
            Rider::Member
        } else {
            Rider::Casual
        },
        gender: (n % 5 == 0).then(|| "Male".into()),
        birth_year: (n % 5 == 0).then_some(1960 + n as i16 % 40),
        from: Some((41_881_832 + n as i32 * 977 % 5_000, -87_623_177)),
        to: (n % 6 != 0).then_some((41_900_000, -87_600_000 - n as i32)),
        reported_s: (n % 4 != 0).then_some(600 + (n % 9) as i32),
        ..trip(&(n * 31 % 4_096).to_string(), n * 60_000)
    };
    (0..n).map(trip).collect()
}

fn read_all(path: &Path) -> Result<Vec<TripBatch>, StoreError> {
    let file = TripsFile::open(path)?;
    (0..file.groups().len())
        .map(|group| file.read(group))
        .collect()
}

#[test]
fn a_flipped_bit_never_changes_trips() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
    writer.write(&varied_trips(40)).unwrap();
    let mut all_stated = varied_trips(25);
    all_stated.reported_s.fill(600);
    writer.write(&all_stated).unwrap();
    let finished = writer.finish().unwrap();
    let sound = std::fs::read(&path).unwrap();
    assert_eq!(xxhash_rust::xxh3::xxh3_128(&sound), finished.hash);
    let trips = read_all(&path).unwrap();
    let metadata = TripsFile::open(&path).unwrap().metadata;
    // The first four bytes, and columns that only other programs read.
    let is_not_read = |offset: usize| {
        let is_in = |group: usize, column: usize| {
            let (start, len) = metadata.row_group(group).column(column).byte_range();
            (start..start + len).contains(&(offset as u64))
        };
        // In the second group the durations of the rule share the pages of those stated.
        offset < 4 || is_in(0, column::RIDE_S) || (0..2).any(|group| is_in(group, column::SYSTEM))
    };
    for offset in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[offset] ^= 1 << (offset % 8);
        std::fs::write(&path, &bytes).unwrap();
        match read_all(&path) {
            Ok(read) => assert!(is_not_read(offset) && read == trips, "byte {offset}"),
            Err(error) => {
                assert_eq!(
                    error.kind,
                    StoreErrorKind::Damaged,
                    "byte {offset}: {error}"
                );
                assert!(error.message.contains("trips.parquet"), "{error}");
            }
        }
    }
    for size in (0..sound.len()).step_by(97) {
        std::fs::write(&path, &sound[..size]).unwrap();
        assert!(read_all(&path).is_err(), "cut off at {size}");
    }
}

/// The trips of a file of layout 2: two row groups, stated durations of each kind.
fn layout_2_trips() -> [TripBatch; 2] {
    // 600 is the time elapsed.
    let stated = [None, Some(600), Some(540), Some(0), Some(-2), None];
    let trip = |(n, reported_s): (i64, Option<i32>)| Trip {
        reported_s,
        origin: (n != 4).then(|| ["35", "517"][n as usize % 2].into()),
        destination: (n != 5).then(|| "35".into()),
        rider: Rider::Member,
        ..trip(&(100 + n).to_string(), 1_467_331_200_000 + 60_000 * n)
    };
    let mut batch: TripBatch = (0..).zip(stated).map(trip).collect();
    batch.line = (2..8).collect();
    let halves = [[0, 1, 2], [3, 4, 5]];
    halves.map(|rows| batch.select(&rows))
}

/// Files of layout 1 with invented trips, as an older program wrote them.
#[test]
fn layout_1_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, index) = (
        folder.path().join("a.parquet"),
        folder.path().join("a.index"),
    );
    std::fs::write(&path, include_bytes!("../layout_1/trips.parquet")).unwrap();
    std::fs::write(&index, include_bytes!("../layout_1/trips.index")).unwrap();
    let file = TripsFile::open(&path).unwrap();
    assert_eq!(file.rows(), 17);
    assert_eq!(file.groups(), std::iter::once(0..17).collect::<Vec<_>>());
    let batch = file.read(0).unwrap();
    assert_eq!((batch.id(0), batch.id(17 - 1)), ("10400046", "10400059"));
    assert!(batch.started_ms.is_sorted());

    let again = folder.path().join("again.index");
    let rebuilt = crate::store::embedded::index_rebuild::rebuild(&file, &index, &again).unwrap();
    assert_eq!(rebuilt.lines_lost, 0);
    let lines = Index::open(&again).unwrap().lines(0..17).unwrap();
    assert_eq!(
        lines,
        [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    );
}

/// A file of layout 2 with invented trips, as an older program wrote it.
#[test]
fn layout_2_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, index) = (
        folder.path().join("a.parquet"),
        folder.path().join("a.index"),
    );
    std::fs::write(&path, include_bytes!("../layout_2/trips.parquet")).unwrap();
    std::fs::write(&index, include_bytes!("../layout_2/trips.index")).unwrap();
    let file = TripsFile::open(&path).unwrap();
    assert!(!file.has_current_layout());
    for (group, written) in layout_2_trips().iter().enumerate() {
        let read: Vec<Trip> = file.read(group).unwrap().trips().collect();
        assert_eq!(read, written.trips().collect::<Vec<_>>());
    }
    let lines = Index::open(&index).unwrap().lines(0..6).unwrap();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
}

/// Trips of which the publisher states each kind of duration, or none. The first batch states all.
fn stated_and_not() -> [TripBatch; 2] {
    let trip = |(n, reported_s): (i64, Option<i32>)| Trip {
        reported_s,
        // Every third ends before its start, by half a second more than a minute.
        ended_ms: 60_000 * n + if n % 3 == 0 { -60_500 } else { 600_500 },
        ..trip(&n.to_string(), 60_000 * n)
    };
    let batch = |stated: &[Option<i32>]| (0..).zip(stated.iter().copied()).map(trip).collect();
    [
        batch(&[Some(600), Some(-1), Some(0), Some(i32::MAX), Some(599)]),
        batch(&[None, Some(-1), None, Some(600), Some(601), None]),
    ]
}

/// Returns the durations that a file is to have: of the rule, and as stated.
fn durations(batches: &[TripBatch]) -> Vec<(i64, Option<i64>)> {
    let trips = batches.iter().flat_map(TripBatch::trips);
    trips
        .map(|trip| (trip.duration_s(), trip.reported_s.map(i64::from)))
        .collect()
}

fn write(path: &Path, batches: &[TripBatch]) {
    let mut writer = TripsWriter::create(path.into(), &divvy().id).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
}

/// Reads rows as the library does, without the reader of this module.
fn library_rows(path: &Path) -> Vec<Row> {
    let file = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = file.get_row_iter(None).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Returns a value of a row. `None` where it is missing.
fn value<'a>(row: &'a Row, column: &str) -> Option<&'a Field> {
    let mut columns = row.get_column_iter();
    let (_, value) = columns.find(|(name, _)| *name == column).unwrap();
    (*value != Field::Null).then_some(value)
}

fn long(row: &Row, column: &str) -> Option<i64> {
    value(row, column).map(|value| match value {
        Field::Long(value) => *value,
        other => panic!("{column} is {other}"),
    })
}

#[test]
fn durations_are_those_of_the_trips() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let batches = stated_and_not();
    write(&path, &batches);
    let file = TripsFile::open(&path).unwrap();
    for (group, batch) in batches.iter().enumerate() {
        assert_eq!(file.read(group).unwrap().reported_s, batch.reported_s);
    }
    // Equal columns share their pages, others do not.
    let shares_pages = |group: usize| {
        let columns = file.metadata.row_group(group).columns();
        columns[column::RIDE_S].byte_range() == columns[column::REPORTED_S].byte_range()
    };
    assert_eq!([shares_pages(0), shares_pages(1)], [true, false]);
    let found: Vec<_> = library_rows(&path)
        .iter()
        .map(|row| {
            assert_eq!(value(row, "system"), Some(&Field::Str("divvy".into())));
            let ride = long(row, "ride_duration_s").unwrap();
            (ride, long(row, "reported_duration_s"))
        })
        .collect();
    assert_eq!(found, durations(&batches));
}

/// A century has more seconds than 32 bits hold.
#[test]
fn any_duration_has_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let century_s = 3_155_760_000;
    let trip = Trip {
        ended_ms: century_s * 1000,
        ..trip("1", 0)
    };
    write(&path, &[[trip].into_iter().collect()]);
    let rows = library_rows(&path);
    assert_eq!(long(&rows[0], "ride_duration_s"), Some(century_s));
    assert_eq!(long(&rows[0], "reported_duration_s"), None);
}

#[test]
fn duckdb_reads_the_same_durations() {
    const QUESTION: &str = "
import duckdb, json, sys
rows = duckdb.execute('''
    select ride_duration_s, reported_duration_s
    from read_parquet(?, file_row_number = true)
    order by file_row_number''', [sys.argv[1]]).fetchall()
print(json.dumps(rows))
";
    if !divvy_testkit::inputs::has_python_module("duckdb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let batches = stated_and_not();
    write(&path, &batches);
    let output = std::process::Command::new("python3")
        .args(["-c", QUESTION])
        .arg(&path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Vec<(i64, Option<i64>)> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found, durations(&batches));
}

/// Returns the stations of each row, as the batch has them.
fn stations(batch: &TripBatch) -> Vec<(&str, &str)> {
    let text = |index: &u32| batch.stations.text(*index);
    (batch.origin.iter().map(text))
        .zip(batch.destination.iter().map(text))
        .collect()
}

/// Two row groups in which a station has three aliases, and some trips none.
fn batches_of_aliases() -> [TripBatch; 2] {
    let alias = |id: &str, name: &str| StationAlias::new(id, name).as_str().to_owned();
    let clark = alias("517", "Clark St & Jarvis Ave");
    let pulaski = alias("517", "Pulaski Rd");
    let plain = alias("517", "");
    let other = alias("86", "Clark St & Jarvis Ave");
    let groups: [&[[&str; 2]]; 2] = [
        &[[&clark, &other], [&clark, ""], ["", &clark], ["75", &other]],
        &[[&plain, &other], [&pulaski, &clark], ["", ""], ["75", "75"]],
    ];
    let id = |text: &str| (!text.is_empty()).then(|| text.into());
    groups.map(|rows| {
        let trip = |(n, [origin, destination]): (i64, &[&str; 2])| Trip {
            origin: id(origin),
            destination: id(destination),
            ..trip(&n.to_string(), n)
        };
        (0..).zip(rows).map(trip).collect()
    })
}

#[test]
fn stations_keep_their_aliases() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let batches = batches_of_aliases();
    write(&path, &batches);
    let file = TripsFile::open(&path).unwrap();
    for (group, batch) in batches.iter().enumerate() {
        assert_eq!(stations(&file.read(group).unwrap()), stations(batch));
    }

    let found: Vec<String> = library_rows(&path)
        .iter()
        .map(|row| {
            let end = |id: &str, alias: &str| {
                let (id, alias) = (value(row, id), value(row, alias).unwrap());
                format!("{} {alias}", id.map_or("-".into(), Field::to_string))
            };
            let from = end("from_station_id", "from_station_alias");
            let to = end("to_station_id", "to_station_alias");
            format!("{from}, {to}")
        })
        .collect();
    let expected = [
        r#""517" 0, "86" 0"#,
        r#""517" 0, - 0"#,
        r#"- 0, "517" 0"#,
        r#""75" 0, "86" 0"#,
        r#""517" 1, "86" 0"#,
        r#""517" 2, "517" 0"#,
        r#"- 0, - 0"#,
        r#""75" 0, "75" 0"#,
    ];
    assert_eq!(found, expected);

    let pairs = file.metadata.file_metadata().key_value_metadata().unwrap();
    let names = pairs
        .iter()
        .find(|pair| pair.key == "divvy.station_aliases");
    let expected =
        r#"{"517":["clark st and jarvis ave","","pulaski rd"],"86":["clark st and jarvis ave"]}"#;
    assert_eq!(names.unwrap().value.as_deref(), Some(expected));
    // Each id once: 517, which has two aliases in the second group, and 75.
    let library = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let group = library.get_row_group(1).unwrap();
    let mut pages = group.get_column_page_reader(column::ORIGIN).unwrap();
    let first = pages.next().unwrap().unwrap();
    let found = (first.page_type(), first.num_values());
    assert_eq!(found, (PageType::DICTIONARY_PAGE, 2));
}

/// Other programs verify only the CRC of each page.
#[test]
fn the_library_finds_a_flipped_bit_in_any_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.parquet");
    let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
    writer.write(&varied_trips(64)).unwrap();
    writer.finish().unwrap();
    let sound = std::fs::read(&path).unwrap();
    let read_all = |bytes: Vec<u8>| -> Result<usize, ParquetError> {
        let reader = SerializedFileReader::new(Bytes::from(bytes))?;
        let rows = reader.get_row_iter(None)?;
        rows.map(|row| row.map(|_| 1)).sum()
    };
    assert_eq!(read_all(sound.clone()).unwrap(), 64);
    let file = TripsFile::open(&path).unwrap();
    for column in file.metadata.row_group(0).columns() {
        let (start, len) = column.byte_range();
        let mut bytes = sound.clone();
        // The last byte belongs to the data of the last page.
        bytes[(start + len) as usize - 1] ^= 16;
        let error = read_all(bytes).unwrap_err().to_string();
        assert!(error.contains("CRC"), "{}: {error}", column.column_path());
    }
}

proptest::proptest! {
    /// The library reads back the pages of any numbers.
    #[test]
    fn any_numbers_survive(
        rows in proptest::collection::vec(
            (
                proptest::prop_oneof![-9_000_000_i64..9_000_000, -(1_i64 << 60)..1 << 60],
                proptest::option::of(0..i32::MAX),
                proptest::option::of((-90_000_000..90_000_000, -180_000_000..=180_000_000)),
                proptest::option::of(1900_i16..2020),
                0_u16..1024,
                "[A-Z0-9]{1,18}",
            ),
            1..400,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let mut trips: Vec<Trip> = rows
            .into_iter()
            .map(|(started_ms, reported_s, from, birth_year, flags, id)| Trip {
                started_offset_s: started_ms as i32 % 86_400,
                reported_s,
                from,
                birth_year,
                flags: Flags::from_bits(flags),
                ..trip(&id, started_ms)
            })
            .collect();
        let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
        writer.write(&trips.iter().cloned().collect()).unwrap();
        writer.finish().unwrap();
        let read: Vec<Trip> = TripsFile::open(&path).unwrap().read(0).unwrap().trips().collect();
        trips.sort_by_key(|trip| trip.started_ms);
        proptest::prop_assert_eq!(read, trips);
    }
}
