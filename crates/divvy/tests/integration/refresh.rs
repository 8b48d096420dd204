//! Counts that follow the change stream.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use divvy::model::{Station, StationId, System, SystemId};
use divvy::refresh::{
    CONSUMER, OutdatedCount, Recounter, Refreshed, classify, drain, follow, handle,
};
use divvy::store::{Change, CountsTable, Departures, StationTable, StoreError, StoreErrorKind};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::Timestamp;

/// More changes than are handled at once, by one.
const MANY: usize = 4097;

fn divvy() -> System {
    System::named("divvy").unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Returns a store with so many stations of one system.
fn store(stations: usize) -> MemoryStore {
    let store = MemoryStore::default();
    let listed: Vec<Station> = (0..stations)
        .map(|n| Station::unknown(StationId::from(n.to_string())))
        .collect();
    block_on(store.describe(&divvy(), &listed)).unwrap();
    store
}

fn change(trips_version: u64) -> Change {
    Change {
        sequence: trips_version,
        system: divvy().id,
        station: Station {
            trips_version: Some(trips_version),
            ..Station::unknown("0".into())
        },
        report_time_only: false,
    }
}

fn version(store: &MemoryStore) -> Option<u64> {
    block_on(store.counts(&divvy().id)).unwrap()[0].trips_version
}

#[test]
fn a_late_change_does_not_hide_a_newer_one() {
    let store = store(1);
    block_on(handle(Recounter::of(&store), &[change(3)], at(0))).unwrap();
    let done = block_on(handle(
        Recounter::of(&store),
        &[change(5), change(2)],
        at(1),
    ))
    .unwrap();
    let expected = Refreshed {
        changes: 2,
        stations: 1,
        recounted: 1,
        ..Refreshed::default()
    };
    assert_eq!(done, expected);
    assert_eq!(version(&store), Some(5));
    let late = block_on(handle(Recounter::of(&store), &[change(4)], at(2))).unwrap();
    assert_eq!((late.recounted, late.skipped), (0, 1));
    assert_eq!(version(&store), Some(5));
}

#[test]
fn an_id_is_asked_for_once_at_its_newest_version() {
    let store = store(2);
    let other = |version| {
        let mut other = change(version);
        other.station.id = "1".into();
        other
    };
    let changes = [change(3), other(4), change(5), change(2)];
    let plan = block_on(classify(&store, &changes)).unwrap();
    let outdated = |id: &str, version, change_index| OutdatedCount {
        id: id.into(),
        version: Some(version),
        change_index,
    };
    let expected = [
        vec![outdated("0", 5, 2)],
        vec![outdated("1", 4, 1)],
        Vec::new(),
        Vec::new(),
    ];
    assert_eq!(plan.outdated, expected);
    assert_eq!((plan.refreshed.changes, plan.refreshed.stations), (4, 2));
    assert_eq!(block_on(store.counts(&divvy().id)).unwrap(), []);
}

#[test]
fn a_new_report_time_alone_causes_no_recount() {
    let store = store(1);
    let reported = Change {
        report_time_only: true,
        ..change(1)
    };
    let done = block_on(handle(Recounter::of(&store), &[reported], at(0))).unwrap();
    let expected = Refreshed {
        changes: 1,
        ..Refreshed::default()
    };
    assert_eq!(done, expected);
    assert_eq!(block_on(store.counts(&divvy().id)).unwrap(), []);
}

#[test]
fn a_long_stream_is_drained_to_its_end() {
    let store = store(MANY);
    let done = block_on(drain(&store, CONSUMER, at(0))).unwrap();
    assert_eq!(done.recounted, MANY as u64);
    assert_eq!(
        block_on(drain(&store, CONSUMER, at(0))).unwrap(),
        Refreshed::default()
    );
}

#[test]
fn a_change_that_could_not_be_handled_comes_again() {
    let store = store(3);
    let index = LaggingIndex::new(&store, ["0", "1"].as_slice());
    let follow = |at| block_on(index.follow(at)).unwrap();
    let done = follow(at(0));
    // The others are counted all the same.
    assert_eq!((done.changes, done.recounted), (3, 1));
    let uncounted: Vec<&str> = done.uncounted.iter().map(|u| u.id.as_str()).collect();
    assert_eq!(uncounted, ["0", "1"]);
    assert_eq!(done.uncounted[0].why, "not caught up");
    let counts = block_on(store.counts(&divvy().id)).unwrap();
    assert_eq!(counts.len(), 1);

    index.behind.lock().unwrap().clear();
    let done = follow(at(1));
    assert_eq!((done.changes, done.recounted, done.skipped), (3, 2, 1));
    assert_eq!(follow(at(2)), Refreshed::default());
}

#[test]
fn a_station_that_is_never_counted_holds_up_no_other() {
    let store = store(2 * MANY + 1);
    let index = LaggingIndex::new(&store, ["0"].as_slice());
    for second in 0..2 {
        let done = block_on(index.follow(at(second))).unwrap();
        assert_eq!(done.uncounted.len(), 1);
        let counts = block_on(store.counts(&divvy().id)).unwrap();
        assert_eq!(counts.len(), 2 * MANY);
    }
}

/// Departures of a store whose index lags behind its trips.
struct LaggingIndex<'a> {
    store: &'a MemoryStore,
    behind: Mutex<BTreeSet<StationId>>,
}

impl<'a> LaggingIndex<'a> {
    fn new(store: &'a MemoryStore, behind: &[&str]) -> Self {
        let behind = behind.iter().map(|id| StationId::from(*id)).collect();
        Self {
            store,
            behind: Mutex::new(behind),
        }
    }

    async fn follow(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let recounter = Recounter {
            departures: self,
            counts: self.store,
        };
        follow(self.store, CONSUMER, recounter, now).await
    }
}

#[async_trait]
impl Departures for LaggingIndex<'_> {
    async fn departures(
        &self,
        system: &SystemId,
        ids: &[StationId],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let is_behind = {
            let behind = self.behind.lock().unwrap();
            ids.iter().any(|id| behind.contains(id))
        };
        if is_behind {
            return Err(StoreError::new(StoreErrorKind::Behind, "not caught up"));
        }
        self.store.departures(system, ids).await
    }
}
