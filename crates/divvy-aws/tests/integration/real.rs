//! Published archives and a published feed on DynamoDB, in an emulator: every report is equal to that
//! of the store in a folder, in any order of trips and stations.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use divvy::ingest::{self, LoadOptions, PollOptions};
use divvy::model::{Rider, System};
use divvy::refresh;
use divvy::reports::{self, Filters, REPORTS};
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{Applied, Store, TotalsReader as _};
use divvy_aws::tables::Layout;
use divvy_aws::{DynamoStore, OpenOptions};
use divvy_testkit::inputs::published;
use jiff::Timestamp;
use jiff::civil::date;
use throttling_dynamodb::{Emulator, Options};

use crate::paused::block_on;

fn divvy() -> System {
    System::named("divvy").unwrap()
}

/// Returns the time one minute after that of the feed.
fn now() -> Timestamp {
    "2025-01-29T09:48:40Z".parse().unwrap()
}

/// A step of a test.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// Loads the archive with an index, and drains the stream.
    Load(usize),
    /// Polls the stations, and drains the stream.
    Poll,
}

/// Archives to load, and their rows.
struct Input {
    archives: Vec<(PathBuf, u64)>,
    feed: String,
    /// The folder of the sample.
    _folder: tempfile::TempDir,
}

impl Input {
    fn new(data: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample {
            era: Era::Y2016,
            trips: 5_000,
            seed: 2016,
        };
        let path = folder.path().join(Era::Y2016.archive_name());
        sample
            .write_zip(File::create(&path).unwrap(), &mut |_| {})
            .unwrap();
        let published = data.join("trips/divvy");
        let feed = data.join("feeds/gbfs/divvy_2.3_2025-01-29");
        Self {
            archives: vec![
                (published.join("202004-divvy-tripdata.zip"), 84_776),
                (published.join("202101-divvy-tripdata.zip"), 96_834),
                (path, 5_000),
            ],
            feed: feed.to_str().unwrap().to_owned(),
            _folder: folder,
        }
    }

    async fn undergo(&self, store: &dyn Store, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Load(place) => {
                    let (path, rows) = &self.archives[*place];
                    let options = LoadOptions {
                        system: Some(divvy()),
                        ..LoadOptions::new(now())
                    };
                    let archive = Archive::open(path).unwrap();
                    let loaded = ingest::load(&archive, store, &options, &(), &()).await;
                    let entry = loaded.unwrap().entry.unwrap();
                    assert_eq!((entry.rows_read, entry.stored), (*rows, *rows));
                }
                Step::Poll => {
                    let sources = [self.feed.clone()];
                    let polled = ingest::poll(&sources, store, &PollOptions::new(now()))
                        .await
                        .unwrap();
                    assert_eq!(polled.stations, 1811);
                    assert!(matches!(polled.applied, Applied::Accepted { .. }));
                }
            }
            refresh::drain(store, refresh::CONSUMER, now())
                .await
                .unwrap();
        }
    }
}

/// The filters of the reports. With a filter all trips are read, which takes long in a large table:
/// only some tests do so.
fn all_filters() -> Vec<Filters> {
    let all = Filters::default();
    vec![
        all.clone(),
        Filters {
            rider: Some(Rider::parse("member")),
            to: Some(date(2020, 4, 15)),
            ..all.clone()
        },
        Filters {
            bike: Some("electric".into()),
            ..all.clone()
        },
        Filters {
            station: Some("Clark St & Elm St".into()),
            ..all
        },
    ]
}

/// Makes every report; the text of the error where a report refuses the filters.
async fn answers(store: &dyn Store, filters: &[Filters]) -> Vec<String> {
    let mut answers = Vec::new();
    // DynamoDB keeps no history of states.
    let of_history = ["history", "coverage", "service", "outlook", "calibration"];
    for report in REPORTS {
        if of_history.contains(&report.name()) {
            continue;
        }
        for filters in filters {
            let name = report.name();
            let mut answer = reports::report(name, store, &divvy(), filters).await;
            if let Ok(table) = &mut answer {
                table.how.clear(); // one store reads fewer trips than another
            }
            answers.push(format!("{name} {filters:?}: {answer:#?}"));
        }
    }
    answers
}

/// Returns the counts that the handler of the stream has written.
async fn counts(store: &dyn Store) -> BTreeMap<String, u64> {
    let counts = store.counts(&divvy().id).await.unwrap().into_iter();
    counts
        .map(|count| (count.from_station_id.to_string(), count.from_count))
        .collect()
}

/// Compares DynamoDB with the folder, and the counts with those of a folder with the same steps in
/// another order.
async fn are_the_same(layout: Layout, steps: &[Step], other: &[Step], filters: &[Filters]) {
    let Some(data) = published("") else { return };
    let input = Input::new(&data);
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let embedded = EmbeddedStore::open(place.path()).unwrap();
    input.undergo(&embedded, steps).await;
    let otherwise = EmbeddedStore::open(elsewhere.path()).unwrap();
    input.undergo(&otherwise, other).await;

    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    let local = local.unwrap();
    let store = DynamoStore::open(OpenOptions {
        http_client: Some(local.http_client()),
        layout: Some(layout),
        ..OpenOptions::default()
    });
    let store = store.await.unwrap();
    input.undergo(&store, steps).await;

    let mut counted = counts(&store).await;
    assert_eq!(counted, counts(&embedded).await);
    let archives = steps.iter().filter_map(|step| match step {
        Step::Load(place) => Some(input.archives[*place].1),
        Step::Poll => None,
    });
    let nowhere = embedded.totals(&divvy().id).await.unwrap().flags;
    let nowhere = nowhere.get(divvy::model::Flag::NoOrigin) as u64;
    assert_eq!(
        counted.values().sum::<u64>() + nowhere,
        archives.sum::<u64>()
    );
    // A station that had no trips when it was first polled has a count of 0.
    let mut others = counts(&otherwise).await;
    counted.retain(|_, n| *n > 0);
    others.retain(|_, n| *n > 0);
    assert_eq!(counted, others);
    let expected = answers(&embedded, filters).await;
    for (found, expected) in answers(&store, filters).await.into_iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
}

#[test]
fn rows_give_the_reports_of_the_folder() {
    // The first archive is loaded before the stations are polled, the others after that.
    let steps = [Step::Load(0), Step::Poll, Step::Load(1), Step::Load(2)];
    let other = [Step::Load(0), Step::Load(1), Step::Load(2), Step::Poll];
    // Each page of a scan makes the emulator read its whole table.
    let filters = &all_filters()[..1];
    block_on(are_the_same(Layout::Rows, &steps, &other, filters));
}

#[test]
fn blocks_give_the_reports_of_the_folder_stations_first() {
    let steps = [Step::Poll, Step::Load(0), Step::Load(1), Step::Load(2)];
    let other = [Step::Load(0), Step::Load(1), Step::Load(2), Step::Poll];
    let filters = &all_filters();
    block_on(are_the_same(Layout::Packed, &steps, &other, filters));
}

#[test]
fn blocks_give_the_reports_of_the_folder_trips_first() {
    let steps = [Step::Load(1), Step::Poll];
    let other = [Step::Poll, Step::Load(1)];
    let filters = &all_filters();
    block_on(are_the_same(Layout::Packed, &steps, &other, filters));
}
