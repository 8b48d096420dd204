//! A replay that is killed at any moment leaves the history of the snapshots that were stored, and goes on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use divvy::history::{AsOf, SnapshotEntry};
use divvy::model::SystemId;
use divvy::store::StatusHistory;
use divvy::store::embedded::EmbeddedStore;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::program::{divvy, succeed};

/// Kills, at moments that look random.
const KILLS: u32 = 50;
const SNAPSHOTS: u32 = 300;
const STATIONS: u32 = 120;
/// Between snapshots: 300 of them last two days.
const STEP_S: i64 = 600;

/// Writes a recording. Most stations change with each snapshot, so that days are sealed.
fn record(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let first = 1_717_200_000;
    let body = |at: i64, stations: Vec<Value>| {
        json!({ "last_updated": at, "ttl": 60, "data": { "stations": stations } }).to_string()
    };
    let information = (0..STATIONS).map(|id| {
        json!({
            "station_id": format!("s{id}"),
            "name": format!("Station {id}"),
            "lat": 41.8 + f64::from(id) / 1e3,
            "lon": -87.6,
            "capacity": 30,
        })
    });
    let information = body(first, information.collect());
    fs::write(
        folder.join("station_information_20240601T000000Z.json"),
        information,
    )
    .unwrap();
    for snapshot in 0..SNAPSHOTS {
        let at = first + i64::from(snapshot) * STEP_S;
        let listed = (0..STATIONS).filter(|id| !(snapshot + id).is_multiple_of(97));
        let states = listed.map(|id| {
            let bikes = (snapshot * (id + 1) / 3) % 31;
            json!({
                "station_id": format!("s{id}"),
                "num_bikes_available": bikes,
                "num_docks_available": 30 - bikes,
                "is_installed": 1,
                "is_renting": u32::from(bikes != 7),
                "is_returning": 1,
                "last_reported": at,
            })
        });
        let time = Timestamp::from_second(at)
            .unwrap()
            .strftime("%Y%m%dT%H%M%SZ");
        let name = format!("station_status_{time}.json");
        fs::write(folder.join(name), body(at, states.collect())).unwrap();
    }
}

fn snapshots(store: &EmbeddedStore) -> Vec<SnapshotEntry> {
    let system = system();
    let all = store.snapshots(&system, Timestamp::MIN, Timestamp::MAX);
    futures_executor::block_on(all).unwrap()
}

fn as_of(store: &EmbeddedStore, at: Timestamp) -> Option<AsOf> {
    futures_executor::block_on(store.as_of(&system(), at)).unwrap()
}

fn system() -> SystemId {
    "divvy".into()
}

#[test]
fn a_replay_killed_at_any_moment_leaves_an_exact_history() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    record(&folder.join("recorded"));
    let replay = |store| ["--system", "divvy", "--store", store, "replay", "recorded"];
    let start = Instant::now();
    succeed(divvy(folder).args(replay("whole")));
    let whole = start.elapsed();
    let expected = EmbeddedStore::open(&folder.join("whole")).unwrap();
    let all = snapshots(&expected);
    assert_eq!(all.len(), SNAPSHOTS as usize);

    let place = folder.join("killed");
    let (mut landed, mut finished, mut seed) = (0, 0, 7_u32);
    for kill in 0..KILLS {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole * (seed >> 16) / 0xffff;
        let mut child = divvy(folder).args(replay("killed")).spawn().unwrap();
        std::thread::sleep(moment.max(Duration::from_millis(1)));
        let _ = child.kill();
        landed += u32::from(!child.wait().unwrap().success());
        if !place.exists() {
            continue;
        }
        succeed(divvy(folder).args(["--store", "killed", "check"]));
        let store = EmbeddedStore::open(&place).unwrap();
        let found = snapshots(&store);
        assert_eq!(found, all[..found.len()], "after kill {kill}");
        // The last one, and every 13th before it.
        for entry in found.iter().rev().step_by(13) {
            let at = entry.taken_at;
            assert_eq!(as_of(&store, at), as_of(&expected, at), "after kill {kill}");
        }
        if found.len() == all.len() {
            finished += 1;
            fs::remove_dir_all(&place).unwrap();
        }
    }
    println!(
        "{landed} of {KILLS} replays were killed before they ended; {finished} histories are whole"
    );
    // How many depends on what else the computer does.
    assert!(landed >= KILLS / 5 && finished > 0, "{landed}, {finished}");

    succeed(divvy(folder).args(replay("killed")));
    let store = EmbeddedStore::open(&place).unwrap();
    assert_eq!(snapshots(&store), all);
    succeed(divvy(folder).args(["--store", "killed", "check"]));
}
