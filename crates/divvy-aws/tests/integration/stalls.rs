//! Loads whose requests make no progress: the reasons are reported.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use divvy::ingest::{self, LoadOptions};
use divvy::sample::{Era, Sample};
use divvy::sources::archive::Archive;
use divvy_aws::store::{Listener, LoadSettings, Written};
use divvy_aws::tables::Capacity;
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Emulator, Faults, Options};
use tokio::time::Instant;

use crate::paused::block_on;

const FIFTY: Capacity = Capacity::Provisioned { wcu: 50, rcu: 50 };

/// Keeps the sentences of a load, with the minutes since its begin.
struct Notes {
    began: Instant,
    notes: Mutex<Vec<String>>,
}

impl Listener for Notes {
    fn written(&self, _: &Written) {}

    fn note(&self, note: &str) {
        let minutes = self.began.elapsed().as_secs() / 60;
        self.notes
            .lock()
            .unwrap()
            .push(format!("{minutes}: {note}"));
    }
}

/// Loads 3,000 trips while all requests of some minutes meet faults. Returns what was reported.
async fn noted(capacity: Capacity, faults: Faults, minutes: u64) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Divvy_Trips_2016_Q3Q4.zip");
    let sample = Sample {
        era: Era::Y2016,
        trips: 3_000,
        seed: 3,
    };
    let file = File::create(&path).unwrap();
    sample.write_zip(file, &mut |_| {}).unwrap();
    let archive = Archive::open(&path).unwrap();
    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    let local = local.unwrap();
    let notes = Arc::new(Notes {
        began: Instant::now(),
        notes: Mutex::default(),
    });
    let store = DynamoStore::open(OpenOptions {
        http_client: Some(local.http_client()),
        capacity,
        ..OpenOptions::default()
    });
    let listener: Arc<dyn Listener> = notes.clone();
    let store = store.await.unwrap();
    let store = store.with_loads(LoadSettings::default(), listener);
    let options = LoadOptions::new(Timestamp::UNIX_EPOCH);
    let loading = ingest::load(&archive, &store, &options, &(), &());
    let faulty = async {
        while store.used().trip_data.write < 1_000.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        local.set_faults(faults);
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        local.set_faults(Faults::default());
    };
    let (loaded, ()) = tokio::join!(loading, faulty);
    assert_eq!(loaded.unwrap().entry.unwrap().stored, 3_000);
    let notes = notes.notes.lock().unwrap();
    notes.clone()
}

/// Replaces the digits of counts, which depend on random waits.
fn without_counts(notes: &[String]) -> String {
    let mut text = notes.join("\n");
    for (n, _) in text
        .clone()
        .match_indices(" times")
        .collect::<Vec<_>>()
        .iter()
        .rev()
    {
        let start = text[..*n].rfind(' ').unwrap() + 1;
        text.replace_range(start..*n, "N");
    }
    for (n, _) in text
        .clone()
        .match_indices(" requests failed")
        .collect::<Vec<_>>()
        .iter()
        .rev()
    {
        let start = text[..*n].rfind(' ').unwrap() + 1;
        text.replace_range(start..*n, "N");
    }
    text
}

#[test]
fn a_load_that_is_throttled_for_minutes_says_by_what_and_when_it_goes_on() {
    let throttled = Faults {
        throttle: 1.0,
        ..Faults::default()
    };
    let notes = block_on(noted(FIFTY, throttled, 3));
    // Some of the first requests have written a part of a batch; others were throttled as a whole.
    let of_trips: Vec<&String> = notes.iter().filter(|n| n.contains(" TripData: ")).collect();
    let [stalled, ended] = of_trips.as_slice() else {
        panic!("once in three minutes, and at the end: {notes:?}");
    };
    let begin = "1: TripData: no request has succeeded for 1 min: throttled ";
    assert!(stalled.starts_with(begin), "{stalled}");
    let reason = " by the provisioned write capacity of table TripData";
    assert!(stalled.contains(reason), "{stalled}");
    let end = "; they are repeated, and nothing is lost";
    assert!(stalled.ends_with(end), "{stalled}");
    assert_eq!(
        ended.as_str(),
        "3: TripData: requests succeed again, after 3 min"
    );
}

#[test]
fn a_load_without_answers_says_so_with_the_last_failure() {
    let silent = Faults {
        timeout: 1.0,
        ..Faults::default()
    };
    let notes = block_on(noted(FIFTY, silent, 2));
    // Some of the first requests may have written a part of a batch.
    let notes = without_counts(&notes);
    let notes = match (notes.find("throttled "), notes.find(" requests failed")) {
        (Some(start), Some(end)) if start < end => {
            let kept = notes[..end].rfind("N").unwrap();
            format!("{}{}", &notes[..start], &notes[kept..])
        }
        _ => notes,
    };
    insta::assert_snapshot!(notes, @r"
    1: TripData: no request has succeeded for 1 min: N requests failed (the last: no answer in time); they are repeated, and nothing is lost
    1: LoadLedger: no request has succeeded for 1 min: N requests failed (the last: no answer in time); they are repeated, and nothing is lost
    2: TripData: requests succeed again, after 2 min
    2: LoadLedger: requests succeed again, after 1 min
    ");
}

#[test]
fn a_load_with_few_units_is_no_stall() {
    let few = Capacity::Provisioned { wcu: 5, rcu: 5 };
    let notes = block_on(noted(few, Faults::default(), 1));
    assert_eq!(notes, Vec::<String>::new());
}
