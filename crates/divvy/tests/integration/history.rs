//! The history of states, split over files anywhere, is that of the raw snapshots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// A history with three parts and recent changes, and the snapshots that it is made of.
fn three_days(folder: &Path) -> (EmbeddedStore, MemoryStore, Vec<Step>) {
    let (memory, embedded) = (MemoryStore::default(), EmbeddedStore::open(folder).unwrap());
    let mut steps = Vec::new();
    for at in 0..40 {
        let listed: Listed = (0..6_u8)
            .filter(|id| (u32::from(*id) + at) % 7 > 0)
            .map(|id| (id, u32::from(id) * at % 8))
            .collect();
        let snapshot = snapshot(i64::from(at) * 100, SnapshotKind::Full, &listed);
        for store in [&memory as &dyn StationTable, &embedded] {
            block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
        }
        let is_sealed = at % 10 == 9 && at < 39;
        if is_sealed {
            embedded.seal_history(&system().id).unwrap();
        }
        steps.push(Step {
            snapshot,
            is_sealed,
        });
    }
    (embedded, memory, steps)
}

/// Runs SQL on the catalog of a store, as damage does: without new checksums.
fn alter(folder: &Path, sql: &str) {
    let catalog = rusqlite::Connection::open(folder.join("catalog.db")).unwrap();
    assert!(catalog.execute(sql, []).unwrap() > 0, "{sql}");
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let parts = std::fs::read_dir(folder.join("history/divvy")).unwrap();
    let mut parts: Vec<PathBuf> = parts.map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    parts
}

/// Repairs a store, dry at first. Returns what was done.
fn repaired(store: &EmbeddedStore, folder: &Path) -> Vec<String> {
    assert_ne!(store.check(&|_, _| ()).unwrap().faults, [""; 0]);
    let before = parts(folder);
    let dry = store.repair(true).unwrap().done;
    assert_eq!(parts(folder), before, "a dry run moves no file");
    let done = store.repair(false).unwrap().done;
    assert_eq!(done, dry);
    assert_eq!(store.check(&|_, _| ()).unwrap().faults, [""; 0]);
    done
}

#[test]
fn what_the_catalog_has_lost_of_the_history_is_rebuilt_from_its_files() {
    for damage in [
        "UPDATE status_part SET rows = rows + 1",
        "UPDATE status_part SET last_at = 0 WHERE first_snapshot > 10",
        "UPDATE status_states SET states = x'00'",
        "UPDATE status_states SET states = x'00' WHERE moment = 'before'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (store, memory, steps) = three_days(folder);
        std::fs::write(
            folder.join("history/divvy/mine.parquet"),
            "not of the store",
        )
        .unwrap();
        alter(folder, damage);
        let done = repaired(&store, folder);
        assert!(!done.is_empty(), "{damage}");
        assert_eq!(parts(folder).len(), 4, "{damage}: {done:?}");
        expect_same(&store, &memory, &steps);
        // The states after the last change are those that the next snapshot is compared with.
        let listed: Listed = [(1, 7), (2, 2)].into();
        let next = snapshot(9_000, SnapshotKind::Full, &listed);
        for store in [&memory as &dyn StationTable, &store] {
            block_on(store.apply(&next, next.taken_at)).unwrap();
        }
        let step = Step {
            snapshot: next,
            is_sealed: false,
        };
        expect_same(&store, &memory, &[step]);
    }
}

/// Expects the states of the snapshots that are left, and returns their numbers.
fn left(store: &EmbeddedStore, memory: &MemoryStore) -> Vec<u64> {
    let id = system().id;
    let (from, to) = (Timestamp::MIN, Timestamp::MAX);
    let snapshots = block_on(store.snapshots(&id, from, to)).unwrap();
    for snapshot in &snapshots {
        let at = snapshot.taken_at;
        let (found, expected) = (store.as_of(&id, at), memory.as_of(&id, at));
        assert_eq!(block_on(found).unwrap(), block_on(expected).unwrap());
    }
    snapshots
        .into_iter()
        .map(|snapshot| snapshot.number)
        .collect()
}

#[test]
fn what_is_lost_of_the_history_is_a_gap_and_the_rest_is_exact() {
    for lost in 0..3_usize {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (store, memory, _) = three_days(folder);
        let part = &parts(folder)[lost];
        let mut bytes = std::fs::read(part).unwrap();
        bytes[100] ^= 1;
        std::fs::write(part, &bytes).unwrap();
        let done = repaired(&store, folder);
        assert!(
            done.iter().any(|what| what.contains("of states lost")),
            "{done:?}"
        );
        let kept = left(&store, &memory);
        assert!(kept.len() >= 29 && kept.len() < 40, "{kept:?}");
        let aside = PathBuf::from(format!("{}.aside", part.display()));
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (store, memory, _) = three_days(folder);
    alter(
        folder,
        "UPDATE status_change SET vehicles = 9 WHERE snapshot = 33",
    );
    repaired(&store, folder);
    assert_eq!(left(&store, &memory), (1..=30).collect::<Vec<u64>>());
}

#[test]
fn a_foreign_file_is_not_overwritten_by_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = EmbeddedStore::open(folder).unwrap();
    let snapshot = snapshot(0, SnapshotKind::Full, &[(1_u8, 1_u32)].into());
    block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
    let date = snapshot.taken_at.to_string()[..10].to_owned();
    let path = folder.join(format!("history/divvy/{date}-1-1.parquet"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let error = store.seal_history(&system().id).unwrap_err();
    assert!(
        error.to_string().contains("divvy check --repair"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    repaired(&store, folder);
    store.seal_history(&system().id).unwrap();
    assert_eq!(parts(folder).len(), 2);
}

#[test]
fn the_catalog_may_be_used_while_changes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    let listed = |vehicles| Listed::from([(0, vehicles), (1, vehicles + 1)]);
    for at in 0..20_i64 {
        let snapshot = snapshot(at, SnapshotKind::Full, &listed(at as u32));
        block_on(store.apply(&snapshot, minute(at))).unwrap();
        if at == 10 {
            store.seal_history(&system().id).unwrap();
        }
    }
    let (asked, to_answer) = std::sync::mpsc::channel();
    let (answered, answer) = std::sync::mpsc::channel();
    let system = system().id;
    std::thread::scope(|scope| {
        let (store, system) = (&store, &system);
        let counting = scope.spawn(move || {
            let answer = |()| {
                let entries = store.snapshots(system, minute(0), minute(20));
                let _ = answered.send(block_on(entries).unwrap().len());
            };
            to_answer.into_iter().map(answer).count()
        });
        let mut pass = move |_: &StateChange| {
            asked.send(()).unwrap();
            let found = answer.recv_timeout(std::time::Duration::from_secs(20));
            assert_eq!(found, Ok(20), "the catalog is locked");
        };
        let read = store.each_state_change(system, minute(0), minute(20), &mut pass);
        block_on(read).unwrap();
        drop(pass);
        assert_eq!(counting.join().unwrap(), 40);
    });
}
