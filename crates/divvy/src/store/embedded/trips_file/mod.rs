//! Trips files: Parquet files of trips, one row group for each batch.
//!
//! The pages are encoded here and the file around them by the library: its writers take each value
//! by itself and copy a column several times, while a [`TripBatch`](crate::model::TripBatch) has
//! whole columns.
//!
//! Beside `ArrowWriter` of parquet 60 with the same encodings (2026-11-27, April 2020 and January 2021;
//! `scripts/alternatives`): it takes 2.2 to 2.3 times the processor time to write and 1 % more bytes, and
//! has no checksums of pages; with its defaults and zstd 1 three times, and 11 to 18 %. Arrow reads times
//! of the same file as fast, and stations of its own file in 0.6 to 0.8 of the time: docs/BENCHMARKS.md.

mod checksums;
mod delta;
mod dictionary;
mod pages;
mod reader;
mod row_groups;
mod schema;
mod writer;

pub(super) use self::reader::TripsFile;
pub(super) use self::row_groups::{SCAN_THREADS, for_each_row_group};
pub(super) use self::writer::{Finished, TripsWriter};

/// The reported duration in a file for a trip whose publisher states none. A missing value stands
/// for the time elapsed between start and end.
const NOT_STATED: i32 = -1;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use parquet::errors::ParquetError;

    use super::*;
    use crate::model::{Flags, Rider, Trip, TripBatch};
    use crate::store::embedded::index::Index;
    use crate::store::embedded::testing::trip;
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
        let mut writer = TripsWriter::create(path.clone()).unwrap();
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
        let mut writer = TripsWriter::create(path.clone()).unwrap();
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
            origin: Some(["TA1", "86", "KA15"][n as usize % 3].into()),
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
            reported_s: Some(600 + (n % 9) as i32),
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
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&varied_trips(40)).unwrap();
        writer.write(&varied_trips(25)).unwrap();
        let finished = writer.finish().unwrap();
        let sound = std::fs::read(&path).unwrap();
        assert_eq!(xxhash_rust::xxh3::xxh3_128(&sound), finished.hash);
        let trips = read_all(&path).unwrap();
        for offset in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[offset] ^= 1 << (offset % 8);
            std::fs::write(&path, &bytes).unwrap();
            match read_all(&path) {
                // Only the first four bytes are not read.
                Ok(read) => assert!(offset < 4 && read == trips, "byte {offset}"),
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
        let rebuilt =
            crate::store::embedded::index_rebuild::rebuild(&file, &index, &again).unwrap();
        assert_eq!(rebuilt.lines_lost, 0);
        let lines = Index::open(&again).unwrap().lines(0..17).unwrap();
        assert_eq!(
            lines,
            [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
        );
    }

    /// Other programs verify only the CRC of each page.
    #[test]
    fn the_library_finds_a_flipped_bit_in_any_page() {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let mut writer = TripsWriter::create(path.clone()).unwrap();
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
            let mut writer = TripsWriter::create(path.clone()).unwrap();
            writer.write(&trips.iter().cloned().collect()).unwrap();
            writer.finish().unwrap();
            let read: Vec<Trip> = TripsFile::open(&path).unwrap().read(0).unwrap().trips().collect();
            trips.sort_by_key(|trip| trip.started_ms);
            proptest::prop_assert_eq!(read, trips);
        }
    }
}
