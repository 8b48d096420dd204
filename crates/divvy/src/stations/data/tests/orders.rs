//! Any order of loads, lists and snapshots ends in the same rows.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Something that changes stations.
#[derive(Clone, Debug)]
enum Event {
    Load(Vec<Departure>),
    List(Vec<Station>),
    Poll(Snapshot),
}

/// A trip: where it starts, by id, name and position.
type Departure = (&'static str, &'static str, (i32, i32));

const IDS: &[&str] = &["35", "517", "u-1", "u-2"];
const NAMES: &[&str] = &["Streeter Dr", "Lake Shore Dr", "Clark & Jarvis"];
/// Two are at one station; the third is 12 km away. One has two decimals.
const PLACES: &[(&str, &str)] = &[
    ("42.017123", "-87.675001"),
    ("42.02", "-87.68"),
    ("41.917213", "-87.726321"),
];
const STARTS: &[(i32, i32)] = &[(42_017_123, -87_675_001), (41_917_213, -87_726_321)];

/// Any station of a feed or a list, with an id of its own.
fn stations() -> impl Strategy<Value = Vec<Station>> {
    let id = || option::weighted(0.3, select(IDS));
    let fields = (
        option::weighted(0.8, select(NAMES)),
        (id(), id()),
        option::of(select(PLACES)),
        option::of(1..4_u32),
    );
    let station = fields.prop_map(|(name, (short_name, legacy_id), place, capacity)| Station {
        name: name.map(Into::into),
        short_name: short_name.map(Into::into),
        legacy_id: legacy_id.map(Into::into),
        latitude: place.and_then(|at| at.0.parse().ok()),
        longitude: place.and_then(|at| at.1.parse().ok()),
        capacity,
        ..Station::unknown("".into())
    });
    prop::collection::btree_map(select(IDS), station, 0..4).prop_map(|stations| {
        let with_id = |(id, station): (&str, Station)| Station {
            id: id.into(),
            ..station
        };
        stations.into_iter().map(with_id).collect()
    })
}

/// Any snapshots, each of a time of its own: of two of one time the last one read counts.
fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    use SnapshotKind::{Full, Information, Status};
    let one = (select(&[Full, Information, Status]), stations(), 0..9_u32);
    prop::collection::vec(one, 1..6).prop_map(|snapshots| {
        let make = |(n, (kind, mut stations, bikes)): (i64, (_, Vec<Station>, u32))| {
            for station in &mut stations {
                if kind == Status {
                    *station = Station::unknown(station.id.clone());
                }
                if kind != Information {
                    *station = with_bikes(station.clone(), bikes, n);
                }
            }
            snapshot(kind, n, &stations)
        };
        (0..).zip(snapshots).map(make).collect()
    })
}

/// The same events in two orders.
fn orders() -> impl Strategy<Value = (Vec<Event>, Vec<Event>)> {
    let departure = (select(IDS), select(NAMES), select(STARTS));
    let loads = prop::collection::vec(prop::collection::vec(departure, 1..4), 0..3);
    let lists = prop::collection::vec(stations(), 0..3);
    (snapshots(), lists, loads).prop_flat_map(|(snapshots, lists, loads)| {
        let polls = snapshots.into_iter().map(Event::Poll);
        let lists = lists.into_iter().map(Event::List);
        let loads = loads.into_iter().map(Event::Load);
        let events: Vec<Event> = polls.chain(lists).chain(loads).collect();
        let shuffled = || Just(events.clone()).prop_shuffle();
        (shuffled(), shuffled())
    })
}

/// Lets the events happen to no stations, and returns what does not depend on their order.
fn outcome(events: &[Event]) -> (Vec<Station>, Option<FeedState>) {
    let mut data = StationData::default();
    let mut totals = Totals::default();
    for event in events {
        match event {
            Event::Load(departures) => {
                for (id, name, start) in departures {
                    totals.merge(&trips(&[(id, name)]));
                    let placed = Trip {
                        from: Some(*start),
                        ..trip_from(id, name)
                    };
                    totals.count(&[placed].into_iter().collect(), 1);
                }
                let origins = departures.iter().map(|(id, ..)| StationId::from(*id));
                let version = data.next_version();
                data.trips_changed(&origins.collect(), version, &totals);
            }
            Event::List(listed) => drop(describe(&mut data, listed, &totals)),
            Event::Poll(snapshot) => drop(apply(&mut data, snapshot, &totals)),
        }
    }
    let feed = data.feed().cloned();
    let is_listed = |id| listed(&feed).is_some_and(|listed| listed.contains(id));
    let mut stations: Vec<Station> = data.stations().cloned().collect();
    for station in &mut stations {
        station.trips_version = None;
        station.reported_at = None;
        if !is_listed(&station.id) {
            station.status = None;
            station.available = Availability::default();
        }
    }
    (stations, feed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_ends_in_the_same_stations((one, other) in orders()) {
        prop_assert_eq!(outcome(&one), outcome(&other));
    }
}
