//! The history of states, split over files anywhere, is that of the raw snapshots.

use std::collections::BTreeMap;

use divvy::history::StateChange;
use divvy::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System,
};
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{StationTable, StatusHistory};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn system() -> System {
    System::named("divvy").unwrap()
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(28_000_000 + minute)
}

/// The stations of a snapshot: which of six are listed, with how many vehicles.
type Listed = BTreeMap<u8, u32>;

fn snapshot(at: i64, kind: SnapshotKind, listed: &Listed) -> Snapshot {
    let station = |(id, vehicles): (&u8, &u32)| {
        let mut station = Station::unknown(StationId::from(format!("s{id}")));
        station.name = Some(format!("Station {id}"));
        if kind != SnapshotKind::Information {
            station.status = (vehicles % 5 > 0).then_some(StationStatus::InService);
            station.available = Availability {
                vehicles: Some(*vehicles),
                ebikes: (vehicles % 2 > 0).then_some(1),
                ..Availability::default()
            };
            station.reported_at = Some(minute(at));
        }
        station
    };
    let counted = listed.iter().filter(|(_, vehicles)| *vehicles % 3 > 0);
    let by_type = |(id, vehicles): (&u8, &u32)| {
        let types = [("1".to_owned(), *vehicles)];
        (StationId::from(format!("s{id}")), types.into())
    };
    Snapshot {
        system: system(),
        taken_at: minute(at),
        kind,
        stations: listed.iter().map(station).collect(),
        by_type: counted.map(by_type).collect(),
    }
}

/// One snapshot, and whether the changes are sealed behind it.
#[derive(Clone, Debug)]
struct Step {
    snapshot: Snapshot,
    is_sealed: bool,
}

/// Steps whose times mostly grow, and sometimes repeat or go back; some are days later.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        3 => Just(SnapshotKind::Full),
        3 => Just(SnapshotKind::Status),
        1 => Just(SnapshotKind::Information),
    ];
    let ahead = prop_oneof![8 => 1..4_i64, 1 => Just(0), 1 => -6..0_i64, 1 => 1_000..4_000_i64];
    let listed = prop::collection::btree_map(0..6_u8, 0..8_u32, 0..6);
    let step = (kind, ahead, listed, prop::bool::weighted(0.2));
    prop::collection::vec(step, 1..30).prop_map(|steps| {
        let mut at = 0;
        let mut made = Vec::new();
        for (kind, ahead, listed, is_sealed) in steps {
            at += ahead;
            made.push(Step {
                snapshot: snapshot(at, kind, &listed),
                is_sealed,
            });
        }
        made
    })
}

/// Compares two histories at every minute around a snapshot, and over periods.
fn expect_same(found: &dyn StatusHistory, expected: &dyn StatusHistory, steps: &[Step]) {
    let system = system().id;
    let times = steps.iter().map(|step| step.snapshot.taken_at);
    let times: Vec<Timestamp> = times
        .flat_map(|at| [-1, 0, 1].map(|ms| at + SignedDuration::from_millis(ms)))
        .collect();
    let count =
        |history: &dyn StatusHistory| block_on(history.count_state_changes(&system)).unwrap();
    assert_eq!(count(found), count(expected));
    for at in &times {
        let found = block_on(found.as_of(&system, *at)).unwrap();
        assert_eq!(found, block_on(expected.as_of(&system, *at)).unwrap());
    }
    for pair in times.windows(5).step_by(3) {
        let (from, to) = (pair[0].min(pair[4]), pair[0].max(pair[4]));
        let of = |history: &dyn StatusHistory| {
            let snapshots = block_on(history.snapshots(&system, from, to)).unwrap();
            let stations = (0..6).map(|id| StationId::from(format!("s{id}")));
            let changes = stations.map(|station| {
                block_on(history.state_changes(&system, &station, from, to)).unwrap()
            });
            let changes: Vec<StateChange> = changes.flatten().collect();
            let mut all = Vec::new();
            let mut pass = |change: &StateChange| all.push(change.clone());
            block_on(history.each_state_change(&system, from, to, &mut pass)).unwrap();
            all.sort_by(|a, b| (&a.station, a.snapshot).cmp(&(&b.station, b.snapshot)));
            assert_eq!(all, changes);
            (snapshots, changes)
        };
        assert_eq!(of(found), of(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_history_is_that_of_the_raw_snapshots(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let (memory, embedded) = (MemoryStore::default(), EmbeddedStore::open(folder.path()).unwrap());
        for step in &steps {
            let snapshot = &step.snapshot;
            let expected = block_on(memory.apply(snapshot, snapshot.taken_at)).unwrap();
            let applied = block_on(embedded.apply(snapshot, snapshot.taken_at)).unwrap();
            prop_assert_eq!(applied, expected);
            if step.is_sealed {
                embedded.seal_history(&system().id).unwrap();
            }
        }
        expect_same(&embedded, &memory, &steps);
        let checked = embedded.check(&|_, _| ()).unwrap();
        prop_assert_eq!(checked.faults, [""; 0]);
        // As it is for another process.
        drop(embedded);
        let again = EmbeddedStore::open(folder.path()).unwrap();
        expect_same(&again, &memory, &steps);
    }
}

#[test]
fn a_day_is_sealed_by_the_first_snapshot_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let all = |vehicles: u32| -> Listed { (0..255).map(|id| (id, vehicles)).collect() };
    for at in 0..20 {
        let snapshot = snapshot(at, SnapshotKind::Status, &all(at as u32));
        block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    }
    let parts = || {
        let parts = std::fs::read_dir(folder.path().join("history/divvy"));
        parts.map_or(0, Iterator::count)
    };
    assert_eq!(parts(), 0);
    let snapshot = snapshot(1_440, SnapshotKind::Status, &all(1));
    block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    assert_eq!(parts(), 1);
    let path = std::fs::read_dir(folder.path().join("history/divvy"));
    let path = path.unwrap().next().unwrap().unwrap().path();
    let checked = |store: &EmbeddedStore| store.check(&|_, _| ()).unwrap().faults;
    assert_eq!(checked(&store), [""; 0]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(checked(&store)[0].ends_with("is damaged: it is not what was written"));
}
