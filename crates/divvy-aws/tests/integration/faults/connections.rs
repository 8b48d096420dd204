//! Connections that are half-open or slow, and clocks that are wrong.

use std::sync::Arc;

use divvy_aws::store::LoadSettings;
use jiff::SignedDuration;

use super::*;

#[test]
fn half_open_and_slow_connections_delay_a_load_and_a_poll_and_change_no_count() {
    let folder = tempfile::tempdir().unwrap();
    let archives = [(Era::Y2016, archive(folder.path(), Era::Y2016, 300))];
    let model = MemoryStore::default();
    block_on(undergo(&model, &archives));
    for (seed, layout) in (1..).zip([Layout::Rows, Layout::Packed]) {
        block_on(async {
            let local = emulator();
            let client = local.http_client();
            let store = open(client, layout, Capacity::OnDemand).await.unwrap();
            local.set_faults(Faults {
                seed,
                unanswered: 0.1,
                slow_reply: 0.4,
                dropped_reply: 0.1,
                ..Faults::default()
            });
            let start = tokio::time::Instant::now();
            undergo(&store, &archives).await;
            // A connection without an answer ends with the time limit of the client.
            assert!(start.elapsed() > Duration::from_secs(60));
            let faults = local.meter().faults;
            assert!(
                faults.unanswered > 5 && faults.slow_replies > 20,
                "{faults:?}"
            );
            local.set_faults(Faults::default());
            is_right(&store, &model).await;
        });
    }
}

/// Opens a store in a process whose clock is wrong.
async fn open_at(local: &Emulator, clock: fn() -> Timestamp, boost: Option<u32>) -> DynamoStore {
    let store = DynamoStore::open(OpenOptions {
        http_client: Some(local.http_client()),
        capacity: FIVE,
        clock: Some(clock),
        ..OpenOptions::default()
    });
    let loads = LoadSettings {
        boost,
        ..LoadSettings::default()
    };
    store.await.unwrap().with_loads(loads, Arc::new(()))
}

#[test]
fn clocks_that_are_an_hour_off_change_no_count_and_no_capacity_of_a_load() {
    fn early() -> Timestamp {
        Timestamp::now() - SignedDuration::from_hours(1)
    }
    fn late() -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(1)
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), Era::Y2016, 1_200);
    let model = MemoryStore::default();
    block_on(async {
        poll(&model, Era::Y2016, at(0)).await;
        load(&model, &archive).await;
        poll(&model, Era::Y2016, at(1)).await;
        drain(&model).await;
    });
    let clocks: [fn() -> Timestamp; 2] = [early, late];
    for (loads_by, polls_by) in [(clocks[0], clocks[1]), (clocks[1], clocks[0])] {
        block_on(async {
            let local = emulator();
            let loader = open_at(&local, loads_by, Some(100)).await;
            let other = open_at(&local, polls_by, None).await;
            poll(&other, Era::Y2016, at(0)).await;
            let looking = async {
                while loader.used().trip_data.write < 600.0 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                // The load has written that it loads by another clock.
                let is_restored = other.restore_left_boost(polls_by()).await.unwrap();
                assert!(!is_restored, "a load is under way");
            };
            tokio::join!(load(&loader, &archive), looking);
            loader.end_boost().await.unwrap();
            poll(&other, Era::Y2016, at(1)).await;
            drain(&other).await;
            is_right(&other, &model).await;
        });
    }
}
