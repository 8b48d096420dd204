//! Files of trips, and station lists.

use std::path::Path;

use serde_json::Value;

use super::walk;
use crate::program::divvy;

/// A load of one file into an empty store.
struct Case {
    /// Below `shared/data/cases`.
    file: &'static str,
    arguments: &'static [&'static str],
    exit: i32,
    /// The system, where it is not obvious.
    system: Option<&'static str>,
    /// Rows read and trips stored, over all archives. `None` where nothing is in the ledger.
    counts: Option<(u64, u64)>,
    /// A flag, and how many trips have it.
    flagged: Option<(&'static str, u64)>,
    /// Parts of what is printed to stderr.
    says: &'static [&'static str],
}

const fn loads(file: &'static str, rows: u64, trips: u64) -> Case {
    Case {
        file,
        arguments: &[],
        exit: 0,
        system: None,
        counts: Some((rows, trips)),
        flagged: None,
        says: &[],
    }
}

const fn refused(file: &'static str, says: &'static [&'static str]) -> Case {
    Case {
        exit: 2,
        counts: None,
        says,
        ..loads(file, 0, 0)
    }
}

impl Case {
    const fn with(self, arguments: &'static [&'static str]) -> Self {
        Self { arguments, ..self }
    }

    const fn of(self, system: &'static str) -> Self {
        Self {
            system: Some(system),
            ..self
        }
    }

    const fn flagging(self, flag: &'static str, trips: u64) -> Self {
        Self {
            flagged: Some((flag, trips)),
            ..self
        }
    }

    const fn saying(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    const fn skipping(self, says: &'static [&'static str]) -> Self {
        Self {
            exit: 1,
            says,
            ..self
        }
    }
}

const REJECTED: &[&str] = &["--rejects FILE lists"];
const PRONTO: &[&str] = &["--system", "pronto@America/Los_Angeles"];
const TORONTO: &[&str] = &["--system", "toronto@America/Toronto"];

const CASES: &[Case] = &[
    loads(
        "01-london-2024/386JourneyDataExtract01Jan2024-14Jan2024.csv",
        3,
        3,
    )
    .of("santander"),
    loads(
        "01-london-2024/400JourneyDataExtract01Aug2024-12Aug2024.csv",
        3,
        3,
    )
    .of("santander"),
    loads("02-pronto-seattle/2015_trip_data.csv", 3, 3).of("pronto"),
    loads("02-pronto-seattle/2015_trip_data.csv", 3, 3)
        .of("pronto")
        .with(PRONTO),
    loads("02-pronto-seattle/2015_trip_data.csv", 3, 3)
        .of("rainy")
        .with(&["--system", "rainy@America/Los_Angeles"]),
    loads("02-pronto-seattle/Divvy_Trips_2013.csv", 3, 3).of("divvy"),
    loads("02-pronto-seattle/joined_lines.csv", 3, 2)
        .of("pronto")
        .with(PRONTO),
    loads("05-indego-metro/indego-trips-2017-q1.csv", 3, 3).of("indego"),
    refused(
        "05-indego-metro/indego-trips-2017-q1.csv",
        &["area of indego", "--force-system"],
    )
    .with(&["--system", "divvy"]),
    loads("05-indego-metro/indego-trips-2017-q1.csv", 3, 3)
        .of("divvy")
        .with(&["--system", "divvy", "--force-system"]),
    loads("05-indego-metro/indego-trips-2021-q2.csv", 2, 2).of("indego"),
    loads("06-toronto/2017 Data Q1.csv", 1, 1)
        .of("toronto")
        .with(TORONTO),
    loads("06-toronto/bike share ridership 2022-01.csv", 3, 3)
        .of("toronto")
        .with(TORONTO),
    loads("07-cabi-2010-2014/2010-Q4-Trips-History-Data.csv", 2, 2).of("capitalbikeshare"),
    loads("07-cabi-2010-2014/2014-Q4-Trips-History-Data.csv", 1, 1).of("capitalbikeshare"),
    loads("08-bixi/2021_donnees_ouvertes.csv", 1, 1).of("bixi"),
    // The second row has no end.
    loads("08-bixi/DonneesOuverte2022.csv", 2, 1).of("bixi"),
    loads("08-bixi/OD_2014-04.csv", 2, 2).of("bixi"),
    loads("09-mibici/datos_abiertos_2021_05.csv", 2, 2).of("mibici"),
    loads("09-mibici/datos_abiertos_2021_06.csv", 1, 1).of("mibici"),
    loads("10-ecobici/2023-01.csv", 2, 2).of("ecobici"),
    refused(
        "11-offset-times/bigquery-citibike.csv",
        &["starttime", "--utc-times local"],
    ),
    loads("11-offset-times/bigquery-citibike.csv", 2, 2).with(&["--utc-times", "local"]),
    loads("11-offset-times/iso-offset.csv", 2, 2),
    refused(
        "11-offset-times/iso-z.csv",
        &["started_at", "--utc-times convert"],
    ),
    loads("11-offset-times/iso-z.csv", 2, 2).with(&["--utc-times", "convert"]),
    loads("11-offset-times/r-write_csv.csv", 5, 5).with(&["--utc-times", "local"]),
    loads("12-citibike-5379.10/202309-citibike-tripdata.csv", 6, 6).of("citibike"),
    loads("12-citibike-5379.10/202310-citibike-tripdata.csv", 4, 4).of("citibike"),
    refused(
        "13-excel-mmss/202406-divvy-tripdata.csv",
        &["lost their date and hour"],
    ),
    loads("13-excel-mmss/202406-half.csv", 6, 3).saying(REJECTED),
    loads("15-concatenated/other-order.csv", 5, 4).saying(REJECTED),
    loads("15-concatenated/same-header.csv", 4, 3).saying(REJECTED),
    loads("16-cr-only/202404-divvy-tripdata.csv", 5, 5),
    loads("17-utf16/unicode-text.txt", 1, 1),
    loads("17-utf16/utf16be-nobom.csv", 1, 1),
    loads("18-latin1/cp1252.csv", 4, 4).saying(&["read as Windows-1252"]),
    loads("19-zips/2018-twice.zip", 8, 4),
    loads("19-zips/2023-citibike-tripdata.zip", 9, 9),
    loads("19-zips/backslash.zip", 3, 3),
    loads("19-zips/csv-and-other.zip", 4, 4).skipping(&["d.csv was not loaded", "\"x,y\""]),
    refused("19-zips/cut.csv.gz", &["cut off"]),
    loads("19-zips/empty-member.zip", 2, 2)
        .skipping(&["202301-citibike-tripdata.csv was not loaded: it is empty"]),
    refused("19-zips/encrypted.zip", &["password"]),
    refused("19-zips/html-renamed.zip", &["web page"]),
    refused("19-zips/junk-before.zip", &["binary file"]),
    refused("19-zips/method-bzip2.zip", &["bzip2"]),
    refused("19-zips/method-lzma.zip", &["lzma"]),
    loads("19-zips/no-extension.zip", 3, 3),
    refused("19-zips/no-members.zip", &["it is empty"]),
    refused(
        "19-zips/same-name-twice.zip",
        &["two members of the same name"],
    ),
    refused("19-zips/truncated.zip", &["its end is missing"]),
    loads("19-zips/two-members.csv.gz", 5, 5),
    loads("19-zips/utf8-name.zip", 3, 3),
    refused("19-zips/zero-bytes.zip", &["is empty"]),
    loads("19-zips/zip-in-gz.zip.gz", 5, 5),
    loads("19-zips/zip64.zip", 3, 3),
    loads("20-quotes/backslash-quotes.csv", 3, 2).saying(REJECTED),
    loads("20-quotes/comma-unquoted.csv", 2, 1).saying(REJECTED),
    loads("20-quotes/newline-in-name.csv", 2, 2),
    loads("20-quotes/single-quotes.csv", 2, 1).saying(REJECTED),
    loads("21-coordinates/202404-divvy-tripdata.csv", 10, 10).flagging("far_away", 3),
    loads("24-little-files/blank-before-header.csv", 1, 1),
    refused("24-little-files/blank-lines.csv", &["is empty"]),
    refused("24-little-files/bom-only.csv", &["is empty"]),
    refused("24-little-files/empty.csv", &["is empty"]),
    loads("24-little-files/footer.csv", 4, 3).saying(REJECTED),
    refused(
        "24-little-files/header-only-noeol.csv",
        &["a header and no rows"],
    ),
    loads("24-little-files/no-coordinates.csv", 3, 3).with(&["--system", "divvy"]),
    loads("24-little-files/no-end-id.csv", 3, 3).saying(&["end_station_id"]),
    refused(
        "24-little-files/no-end-time.csv",
        &["no column with the time of the end"],
    ),
    refused("24-little-files/no-header.csv", &["has no header"]),
    loads("24-little-files/no-station-ids.csv", 3, 3)
        .saying(&["start_station_id", "end_station_id"]),
    loads("24-little-files/one-row-noeol.csv", 1, 1),
    loads("24-little-files/sep-line.csv", 1, 1),
    loads("24-little-files/title-before-header.csv", 1, 1),
    loads("25-separators/semicolon-decimal-comma.csv", 3, 3),
    loads("25-separators/tab.tsv", 3, 3),
    loads(
        "26-empty-rows/9a Journey Data Extract 17Aug14-31Aug14.csv",
        5,
        2,
    )
    .saying(REJECTED),
    loads("26-empty-rows/legacy2.csv", 1, 1).of("santander"),
    loads("26-empty-rows/logical-terminal.csv", 1, 1).of("santander"),
    loads("27-riders/riders.csv", 9, 9).of("citibike"),
    loads("28-dockless/201904-citibike-dockless.csv", 2, 2).flagging("no_origin", 1),
    loads("28-dockless/202003-baywheels-tripdata.csv", 4, 3).flagging("no_origin", 2),
    loads("32-damaged-ids/202404-divvy-tripdata.csv", 10, 3).saying(&["1 no_id, 6 damaged_id"]),
    loads("32-damaged-ids/all-float-stations.csv", 5, 5).flagging("no_origin", 2),
    loads("32-damaged-ids/float-stations.csv", 5, 5).flagging("no_origin", 1),
    loads("32-damaged-ids/sci-stations.csv", 4, 4),
    loads("33-silent-skips/utf16-member.zip", 2, 2),
    loads("33-silent-skips/xlsx-member.zip", 1, 1)
        .skipping(&["may.xlsx was not loaded: it is a spreadsheet workbook"]),
    loads("34-station-lists/Hubway_Stations_2011_2016.csv", 0, 0).saying(&["1 station"]),
    loads("34-station-lists/current_bluebikes_stations.csv", 0, 0).saying(&["1 station"]),
    loads("34-station-lists/divvy-excel-es.csv", 0, 0).saying(&["1 station"]),
    loads("34-station-lists/metro-stations.csv", 0, 0)
        .with(&["--system", "metro@America/Los_Angeles"])
        .saying(&["1 station"]),
    loads("34-station-lists/pronto_station.csv", 0, 0)
        .with(&["--system", "pronto@America/Los_Angeles"])
        .saying(&["1 station"]),
    // One row has no end.
    loads("35-london-variants/odd-times.csv", 6, 5).of("santander"),
    loads("35-london-variants/schema3-no-end-id.csv", 1, 1).of("santander"),
    loads("35-london-variants/schema6.csv", 1, 1).of("santander"),
    loads("60-dynamo-dups/202404-divvy-tripdata.csv", 92, 60).saying(&["32 duplicate"]),
    loads("60-dynamo-dups/odd-ids.csv", 13, 12).saying(REJECTED),
    loads("61-dynamo-limits/long-name.csv", 3, 3),
    loads("61-dynamo-limits/swallowed-id.csv", 34, 33).saying(REJECTED),
];

/// Lists the files that are tried, below `shared/data/cases`.
pub(super) fn files() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.file)
}

/// Loads a file into a new store. Returns the exit status, the objects of `--format json`, and what
/// is printed to stderr.
fn load(folder: &Path, file: &Path, arguments: &[&str]) -> (i32, Vec<Value>, String) {
    let mut command = divvy(folder);
    command.args(["load", "--format", "json"]);
    let output = command.args(arguments).arg(file).output().unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn every_file_is_read_or_refused_in_a_sentence() {
    walk(CASES, |cases, case| {
        let folder = tempfile::tempdir().unwrap();
        let file = cases.join(case.file);
        let (exit, summaries, errors) = load(folder.path(), &file, case.arguments);
        let context = format!("{} {:?}: {errors}", case.file, case.arguments);
        assert_eq!(exit, case.exit, "{context}");
        for part in case.says {
            assert!(errors.contains(part), "{part} in {context}");
        }
        let sum = |key: &str| -> u64 {
            let numbers = summaries.iter().map(|summary| summary[key].as_u64());
            numbers.map(Option::unwrap).sum()
        };
        let counts = (sum("rows_read"), sum("stored"));
        assert_eq!(counts, case.counts.unwrap_or_default(), "{context}");
        if case.counts.is_none() {
            let ledger = divvy(folder.path())
                .args(["ls", "--format", "csv"])
                .output();
            let ledger = String::from_utf8(ledger.unwrap().stdout).unwrap();
            assert!(summaries.is_empty(), "{context}");
            assert_eq!(ledger.lines().skip(1).count(), 0, "{context}");
        }
        for summary in &summaries {
            assert!(
                case.system.is_none_or(|it| summary["system"] == it),
                "{context}"
            );
        }
        if let Some((flag, trips)) = case.flagged {
            assert_eq!(summaries[0]["flagged"][flag], trips, "{context}");
        }
        let has_skipped = |summary: &Value| !summary["skipped"].as_array().unwrap().is_empty();
        assert_eq!(
            summaries.iter().any(has_skipped),
            case.exit == 1,
            "{context}"
        );
    });
}
