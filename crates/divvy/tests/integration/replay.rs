//! What a replay does with recorded feeds that cannot be of the same system, or of that time.

use divvy::ingest::{PollError, PollOptions, Replay};
use divvy::sources::station_feed::{self, Document, Feed};
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A feed of GBFS with three stations, made some minutes after the beginning of 2024.
fn feed(minute: i64, station: impl Fn(i64) -> Value) -> Vec<Feed> {
    let stations: Vec<Value> = (0..3).map(station).collect();
    let body = json!({
        "last_updated": 1_704_067_200 + 60 * minute,
        "ttl": 60,
        "data": { "stations": stations },
    });
    match station_feed::read(body.to_string().as_bytes(), "body.json").unwrap() {
        Document::Feed(feed) => vec![feed],
        other => panic!("{other:?}"),
    }
}

fn status(minute: i64) -> Vec<Feed> {
    feed(minute, |station| {
        json!({
            "station_id": station.to_string(),
            "num_bikes_available": (minute + station) % 7,
            "num_docks_available": 5,
            "is_installed": true, "is_renting": true, "is_returning": true,
            "last_reported": 1_704_067_200 + 60 * minute,
        })
    })
}

fn information(minute: i64, latitude: f64, longitude: f64) -> Vec<Feed> {
    feed(minute, |station| {
        json!({
            "station_id": station.to_string(),
            "name": format!("Station {station}"),
            "lat": latitude + station as f64 / 1_000.0,
            "lon": longitude,
        })
    })
}

const CHICAGO: (f64, f64) = (41.88, -87.63);
const SAN_FRANCISCO: (f64, f64) = (37.77, -122.42);

#[test]
fn a_lone_leap_of_time_is_left_out_and_a_gap_is_not() {
    let store = MemoryStore::default();
    let mut replay = Replay::new(&store, PollOptions::new(Timestamp::now()));
    let mut apply = |feeds| {
        assert!(
            block_on(replay.apply(feeds, "body.json"))
                .unwrap()
                .is_none()
        )
    };
    apply(information(0, CHICAGO.0, CHICAGO.1));
    // The clock of the fourth was two days ahead; for ten hours nothing was recorded.
    for minute in [0, 1, 2, 2_880, 3, 4, 604, 605, 1_300] {
        apply(status(minute));
    }
    let summary = block_on(replay.finish()).unwrap();
    assert_eq!((summary.accepted, summary.ahead), (9, 1), "{summary:?}");
    assert_eq!((summary.refused, summary.unreadable), (0, 0), "{summary:?}");
    let last = "2024-01-01T21:40:00Z".parse().unwrap();
    assert_eq!(summary.last, Some(last));
}

#[test]
fn positions_of_another_system_are_refused() {
    let store = MemoryStore::default();
    let mut replay = Replay::new(&store, PollOptions::new(Timestamp::now()));
    let mut apply = |feeds| block_on(replay.apply(feeds, "body.json")).unwrap();
    assert!(apply(information(0, CHICAGO.0, CHICAGO.1)).is_none());
    assert!(apply(status(1)).is_none());
    let refused = apply(information(2, SAN_FRANCISCO.0, SAN_FRANCISCO.1));
    assert!(
        matches!(refused, Some(PollError::Contradiction { .. })),
        "{refused:?}"
    );
}
