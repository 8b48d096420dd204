//! The departures and arrivals that snapshots show, compared with those that happened.

use std::collections::BTreeMap;

use divvy::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System,
};
use divvy::reports::{self, Filters, Table, Value};
use divvy::store::Store;
use divvy_testkit::MemoryStore;
use futures_executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// What happens at a station within a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Nothing,
    /// A classic bike or an e-bike leaves.
    Departure(bool),
    Arrival(bool),
    /// A truck takes six classic bikes away.
    Truck,
    /// An e-bike breaks.
    Breaks,
}

fn system() -> System {
    System::named("divvy").unwrap()
}

fn instant(minute: usize) -> Timestamp {
    let start: Timestamp = "2024-06-03T05:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minute as i64)
}

/// Classic bikes, e-bikes, broken ones.
type Bikes = [u32; 3];

fn poll(store: &dyn Store, minute: usize, [classic, ebikes, broken]: Bikes) {
    let mut station = Station::unknown(StationId::from("s"));
    station.name = Some("Station".into());
    station.status = Some(StationStatus::InService);
    station.available = Availability {
        vehicles: Some(classic + ebikes),
        ebikes: Some(ebikes),
        vehicles_disabled: Some(broken),
        docks: Some(10),
        ..Availability::default()
    };
    let snapshot = Snapshot {
        system: system(),
        taken_at: instant(minute),
        kind: SnapshotKind::Full,
        stations: vec![station],
        by_type: BTreeMap::new().into_iter().collect(),
    };
    block_on(store.apply(&snapshot, snapshot.taken_at)).unwrap();
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Nothing),
        3 => any::<bool>().prop_map(Event::Departure),
        3 => any::<bool>().prop_map(Event::Arrival),
        1 => Just(Event::Truck),
        1 => Just(Event::Breaks),
    ]
}

/// The number of a column in the first row; 0 where it is empty.
fn number(table: &Table, name: &str) -> i64 {
    let mut columns = table.columns.iter();
    let at = columns.position(|column| column.name == name).unwrap();
    let value: &Value = &table.rows[0][at];
    value.number().unwrap_or(0.0) as i64
}

fn ask(store: &dyn Store, report: &str) -> Table {
    block_on(reports::report(
        report,
        store,
        &system(),
        &Filters::default(),
    ))
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn snapshots_show_what_happens_between_them(
        events in prop::collection::vec(event(), 1..120),
        every in 1..5_usize,
    ) {
        let every_minute = MemoryStore::default();
        let sometimes = MemoryStore::default();
        let mut bikes: Bikes = [20, 20, 0];
        poll(&every_minute, 0, bikes);
        poll(&sometimes, 0, bikes);
        // Departures, arrivals, those of e-bikes, bikes taken by trucks.
        let mut happened = [0_i64; 5];
        for (event, minute) in events.iter().zip(1..) {
            match event {
                Event::Departure(is_ebike) if bikes[usize::from(*is_ebike)] > 0 => {
                    bikes[usize::from(*is_ebike)] -= 1;
                    happened[0] += 1;
                    happened[2] += i64::from(*is_ebike);
                }
                Event::Arrival(is_ebike) => {
                    bikes[usize::from(*is_ebike)] += 1;
                    happened[1] += 1;
                    happened[3] += i64::from(*is_ebike);
                }
                Event::Truck if bikes[0] >= 6 => {
                    bikes[0] -= 6;
                    happened[4] += 6;
                }
                Event::Breaks if bikes[1] > 0 => {
                    bikes[1] -= 1;
                    bikes[2] += 1;
                }
                _ => {}
            }
            poll(&every_minute, minute, bikes);
            if minute % every == 0 {
                poll(&sometimes, minute, bikes);
            }
        }
        let names = ["departures", "arrivals", "ebike_departures", "ebike_arrivals", "bikes_removed"];
        let found = ask(&every_minute, "flows");
        let found = names.map(|name| number(&found, name));
        prop_assert_eq!(found, happened);
        if events.len() >= every {
            let fewer = ask(&sometimes, "flows");
            // Bikes of a truck may hide arrivals, and be taken for departures.
            let all = |of: [i64; 5]| of[0] + of[4];
            let fewer = names.map(|name| number(&fewer, name));
            prop_assert!(all(fewer) <= all(happened) && fewer[1] <= happened[1]);
        }
    }
}
