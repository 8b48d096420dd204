//! Published archives loaded into the store in a folder, in any order, whole or in pieces, and
//! compared with independent totals.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;

use divvy::ingest::{self, LoadOptions, Loaded};
use divvy::issue::Reason;
use divvy::model::{System, SystemId};
use divvy::refresh;
use divvy::sources::archive::{self, Archive};
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{CountsTable, Ledger, Store, TotalsReader};
use divvy_testkit::inputs::published;
use futures_executor::block_on;
use jiff::Timestamp;

fn store() -> (EmbeddedStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (EmbeddedStore::open(folder.path()).unwrap(), folder)
}

fn try_load(store: &dyn Store, path: &Path, system: Option<&str>) -> Result<Loaded, String> {
    let options = LoadOptions {
        system: system.map(|name| System::named(name).unwrap()),
        ..LoadOptions::new(Timestamp::UNIX_EPOCH)
    };
    let archive = Archive::open(path).map_err(|error| error.to_string())?;
    let loaded = block_on(ingest::load(&archive, store, &options, &(), &()));
    loaded.map_err(|error| error.to_string())
}

fn load(store: &dyn Store, path: &Path) -> Loaded {
    let loaded = try_load(store, path, None).unwrap();
    block_on(refresh::drain(
        store,
        refresh::CONSUMER,
        Timestamp::UNIX_EPOCH,
    ))
    .unwrap();
    loaded
}

fn divvy() -> SystemId {
    "divvy".into()
}

/// Returns all stored trips as sorted texts.
fn trips_of(store: &dyn Store) -> Vec<String> {
    let rows = Mutex::new(Vec::new());
    let visit = |batch: divvy::model::TripBatch| {
        let texts = batch.trips().map(|trip| trip.row_text());
        rows.lock().unwrap().extend(texts.collect::<Vec<_>>());
        true
    };
    block_on(store.scan(&divvy(), &visit)).unwrap();
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    rows
}

/// Reads the departures by station id of an independent count; the empty id stands for no station.
fn oracle(path: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in csv::Reader::from_path(path).unwrap().records() {
        let row = row.unwrap();
        *counts.entry(row[1].to_owned()).or_default() += row[5].parse::<u64>().unwrap();
    }
    counts
}

#[test]
fn every_station_has_the_departures_that_others_counted() {
    let Some(trips) = published("trips") else {
        return;
    };
    for (archive, totals, rows) in [
        ("202004-divvy-tripdata.zip", "2020_April.csv", 84_776),
        ("202101-divvy-tripdata.zip", "2021_January.csv", 96_834),
    ] {
        let (store, _folder) = store();
        let entry = load(&store, &trips.join("divvy").join(archive))
            .entry
            .unwrap();
        assert_eq!((entry.rows_read, entry.stored), (rows, rows));

        let mut expected = oracle(&trips.join("divvy/oracle_station_totals").join(totals));
        assert_eq!(expected.values().sum::<u64>(), rows);
        // The count has a row for each name of a station; rows of one id are added up. Trips without
        // a station have no id.
        let nowhere = expected.remove("").unwrap_or(0);
        expected.retain(|_, n| *n > 0);
        let counts = block_on(store.counts(&divvy())).unwrap();
        let counted: BTreeMap<String, u64> = counts
            .into_iter()
            .filter(|count| count.from_count > 0)
            .map(|count| (count.from_station_id.to_string(), count.from_count))
            .collect();
        assert_eq!(counted.values().sum::<u64>() + nowhere, rows);
        assert_eq!(counted, expected, "{archive}");
    }
}

#[test]
fn a_month_and_its_spreadsheet_copy_are_the_same_trips_in_either_order() {
    let Some(trips) = published("trips") else {
        return;
    };
    let published = trips.join("divvy/202101-divvy-tripdata.zip");
    let copy = trips.join("divvy/excel_202101-divvy-tripdata.zip");
    let ((one, _one_folder), (other, _other_folder)) = (store(), store());
    load(&one, &published);
    let late = load(&one, &copy).entry.unwrap();
    load(&other, &copy);
    let early = load(&other, &published).entry.unwrap();
    // The published file has the finer times, so all its trips are stored, in either order.
    assert_eq!((early.stored, late.stored), (96_834, 0));
    assert_eq!(
        late.rejected[&Reason::Duplicate],
        96_834 - late.rejected[&Reason::DamagedId]
    );
    assert!(trips_of(&one) == trips_of(&other));
    let totals = |store: &EmbeddedStore| block_on(store.totals(&divvy())).unwrap();
    assert_eq!(totals(&one), totals(&other));
    for store in [one, other] {
        assert_eq!(
            store.check(&|_, _| ()).unwrap().faults,
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_month_in_shuffled_pieces_is_the_month() {
    let Some(trips) = published("trips") else {
        return;
    };
    let whole_path = trips.join("divvy/202004-divvy-tripdata.zip");
    let ((whole, _whole_folder), (pieces, folder)) = (store(), store());
    load(&whole, &whole_path);

    let archive = Archive::open(&whole_path).unwrap();
    let mut text = String::new();
    archive.read(0).unwrap().read_to_string(&mut text).unwrap();
    let (header, rows) = text.split_once("\r\n").unwrap();
    // Rows are assigned to pieces by a fixed stride, so that no piece is in order, and every piece
    // repeats some rows of another.
    const PIECES: usize = 5;
    let rows: Vec<&str> = rows.lines().collect();
    let shuffled = (0..rows.len()).map(|n| rows[n * 7_919 % rows.len()]);
    let mut texts = vec![format!("{header}\r\n"); PIECES];
    for (n, row) in shuffled.enumerate() {
        let also = (n % 10 == 0).then_some((n + 1) % PIECES);
        for piece in [Some(n % PIECES), also].into_iter().flatten() {
            texts[piece].push_str(row);
            texts[piece].push_str("\r\n");
        }
    }
    for (n, text) in texts.iter().enumerate().rev() {
        let path = folder.path().join(format!("piece-{n}.csv"));
        File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let entry = load(&pieces, &path).entry.unwrap();
        assert_eq!(entry.rows_read, entry.stored + entry.rejected_total());
    }
    assert!(trips_of(&whole) == trips_of(&pieces));
    let totals = |store: &EmbeddedStore| block_on(store.totals(&divvy())).unwrap();
    assert_eq!(totals(&whole), totals(&pieces));
    assert_eq!(
        pieces.check(&|_, _| ()).unwrap().faults,
        Vec::<String>::new()
    );
}

#[test]
fn every_published_archive_goes_into_one_store() {
    let Some(trips) = published("trips") else {
        return;
    };
    let (store, _folder) = store();
    let mut outcomes = Vec::new();
    for folder in ["divvy", "citibike", "other"] {
        for found in archive::expand(&trips.join(folder)).unwrap() {
            let path = found.path;
            let name = path.file_name().unwrap().to_str().unwrap();
            // Hubway's files have coordinates; the order of dates in the day-first quarter is
            // ambiguous.
            let outcome = match try_load(&store, &path, None) {
                Ok(Loaded { entry: None, .. }) => "station lists".into(),
                Ok(Loaded {
                    entry: Some(entry), ..
                }) => {
                    assert_eq!(entry.rows_read, entry.stored + entry.rejected_total());
                    let rejected: Vec<String> = entry
                        .rejected
                        .iter()
                        .map(|(reason, n)| format!("{n} {reason}"))
                        .collect();
                    let system = &entry.id.system.id;
                    let (rows, stored) = (entry.rows_read, entry.stored);
                    format!(
                        "{system}: {rows} rows, {stored} trips {}",
                        rejected.join(", ")
                    )
                }
                Err(sentence) => format!("refused: {sentence}"),
            };
            outcomes.push(format!("{name}: {}", outcome.trim_end()));
        }
    }
    insta::assert_snapshot!("every_published_archive", outcomes.join("\n"));
    assert_eq!(
        store.check(&|_, _| ()).unwrap().faults,
        Vec::<String>::new()
    );

    let mut rows = BTreeSet::new();
    for system in block_on(store.systems()).unwrap() {
        for entry in block_on(store.entries(&system.id)).unwrap() {
            rows.insert((entry.id.name, entry.stored));
        }
    }
    let glob: u64 = rows.iter().map(|(_, stored)| stored).sum();
    assert_eq!(parquet_rows(&store.root().join("trips")), glob);
}

/// Counts the rows of all trips files by their own footers, without the catalog.
fn parquet_rows(folder: &Path) -> u64 {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let mut rows = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        rows += if path.is_dir() {
            parquet_rows(&path)
        } else {
            let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
            reader.metadata().file_metadata().num_rows() as u64
        };
    }
    rows
}
