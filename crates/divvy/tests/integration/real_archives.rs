//! Published files: each is read with counts that add up, or refused with a message.
//!
//! The files are not in the repository, but in the folder `DIVVY_REAL_DATA`, or else beside the
//! workspace.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use divvy::issue::RejectedCounts;
use divvy::model::System;
use divvy::sources::archive::Archive;
use divvy::sources::trips_csv::{ColumnMapping, TimeHints, TripReader, TripsError};
use divvy_testkit::inputs::published;

/// Rows of each trip file without the header, as counted when the files were collected.
const ROWS: &[(&str, u64)] = &[
    ("divvy_2013_trips_small.csv.gz", 10_000),
    ("trips_2016_h1_sample.csv", 1_520),
    ("sample-divvy-trips.zip", 200),
    ("Divvy_Trips_2019_Q2.csv.gz", 9_999),
    ("Divvy_Trips_2019_Q4.csv.gz", 9_999),
    ("ddmm_Divvy_Trips_2019_Q3.csv", 19),
    ("Divvy_Trips_2020_Q1.csv.gz", 9_998),
    ("202004-divvy-tripdata.zip", 84_776),
    ("202101-divvy-tripdata.zip", 96_834),
    ("excel_202101-divvy-tripdata.zip", 96_834),
    ("excel_202109-divvy-tripdata.csv.gz", 10_904),
    ("excel_202111-divvy-tripdata.csv.gz", 16_367),
    ("excel_202201-divvy-tripdata.csv.gz", 16_374),
    ("excel_202202-divvy-tripdata.csv.gz", 16_369),
    ("excel_202203-divvy-tripdata.csv.gz", 16_376),
    ("excel_202205-divvy-tripdata.csv.gz", 16_365),
    ("excel_202207-divvy-tripdata.csv.gz", 16_383),
    ("excel_202208-divvy-tripdata.csv.gz", 16_383),
    ("202306-divvy-tripdata_sample.csv", 999),
    ("JC-201701-citibike-tripdata.csv.gz", 12_926),
    ("JC-201703-citibike-tripdata.csv.gz", 12_201),
    ("JC-201704-citibike-tripdata.csv.gz", 21_186),
    ("JC-201711-citibike-tripdata.csv.gz", 23_582),
    ("201802_citibikejc_tripdata.csv.gz", 15_104),
    ("201803_citibikejc_tripdata.csv.gz", 17_109),
    ("JC-201901-citibike-tripdata.csv.gz", 19_676),
    ("JC-202003-citibike-tripdata.csv.gz", 17_719),
    ("JC-202101-citibike-tripdata.csv.gz", 11_624),
    ("JC-202102-citibike-tripdata.csv.gz", 4_881),
    ("JC-202103-citibike-tripdata.csv.gz", 17_123),
    ("201501-hubway-tripdata.csv.gz", 7_840),
    ("sample-citibike-tripdata.zip", 200),
    ("sample-cabi-dc-trips-history-data.zip", 200),
    ("sample-JourneyDataExtract-london.csv.zip", 200),
];

/// The systems of files that do not identify them.
const SYSTEMS: &[(&str, &str)] = &[("trips/divvy", "divvy"), ("trips/citibike", "citibike")];

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The result of reading one table.
struct Outcome {
    form: &'static str,
    system: System,
    rows_read: u64,
    trips: u64,
    rejected: RejectedCounts,
}

/// Reads a member to the end. `file` is the path of the archive in the collection.
fn read(
    archive: &Archive,
    member: usize,
    file: &str,
    day_first: bool,
) -> Result<Outcome, TripsError> {
    let name = &archive.members()[member].name;
    let mut open = || archive.read(member).map_err(io::Error::other);
    let hints = TimeHints {
        day_first,
        utc_times: None,
    };
    let mapping = ColumnMapping::detect(&mut open, name, hints)?;
    let named = || {
        let (_, system) = SYSTEMS
            .iter()
            .find(|(folder, _)| file.starts_with(folder))?;
        System::named(system)
    };
    let system = mapping
        .system()
        .or_else(named)
        .expect("its system is identified or listed");
    let form = mapping.form();
    let mut reader = TripReader::new(open().unwrap(), mapping, &system, name)?;
    let mut trips = 0;
    while let Some(batch) = reader.next_batch(&())? {
        trips += batch.len() as u64;
    }
    Ok(Outcome {
        form,
        system,
        rows_read: reader.rows_read(),
        trips,
        rejected: reader.rejected().clone(),
    })
}

#[test]
fn every_file_is_read_or_refused_in_a_sentence() {
    let Some(root) = published("") else { return };
    let mut files = Vec::new();
    for folder in ["trips", "stations"] {
        files_below(&root.join(folder), &mut files);
    }
    files.sort();
    let mut table = String::new();
    let mut counted: Vec<(String, u64)> = Vec::new();
    for path in files {
        let file = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        writeln!(table, "{file}").unwrap();
        let archive = match Archive::open(&path) {
            Ok(archive) => archive,
            Err(error) => {
                writeln!(table, "    refused: {error}").unwrap();
                continue;
            }
        };
        for left_out in archive.left_out() {
            writeln!(table, "    left out: {left_out}").unwrap();
        }
        for (index, member) in archive.members().iter().enumerate() {
            let mut outcome = read(&archive, index, &file, false);
            if let Err(error @ TripsError::AmbiguousDates { .. }) = &outcome {
                writeln!(table, "    refused, then read as it says: {error}").unwrap();
                outcome = read(&archive, index, &file, true);
            }
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    writeln!(table, "    refused: {error}").unwrap();
                    continue;
                }
            };
            let Outcome {
                form,
                system,
                rows_read,
                trips,
                rejected,
            } = outcome;
            assert_eq!(rows_read, trips + rejected.values().sum::<u64>(), "{file}");
            counted.push((archive.name().into(), rows_read));
            writeln!(
                table,
                "    {}: {form}, {}, {rows_read} rows, {trips} trips, rejected {rejected:?}",
                member.name, system.id
            )
            .unwrap();
        }
    }
    for (file, rows) in ROWS {
        let of_file = counted.iter().filter(|(name, _)| name == file);
        let found: Vec<u64> = of_file.map(|(_, rows)| *rows).collect();
        assert_eq!(found, [*rows], "{file}");
    }
    assert_eq!(counted.len(), ROWS.len(), "no other file holds trips");
    insta::assert_snapshot!(table);
}
