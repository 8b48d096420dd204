//! Stores to be exported.

use divvy::model::civil_date::day_of;
use divvy::model::{
    Flag, Flags, Rider, Snapshot, SnapshotKind, Station, StationAlias, StationId, StationName,
    System, Trip, TripBatch,
};
use divvy::store::{ArchiveId, ArchiveRead, ContentHash, Store};
use divvy::tally::{Tally, Totals};
use futures_executor::block_on;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};

pub(super) fn system(id: &str) -> System {
    System::named(id).unwrap()
}

fn local_ms(text: &str) -> i64 {
    let at: DateTime = text.parse().unwrap();
    let of_day = at.time().duration_since(Time::midnight()).as_millis() as i64;
    i64::from(day_of(at.date())) * 86_400_000 + of_day
}

/// Makes a trip of ten minutes in Chicago's winter.
pub(super) fn trip(id: &str, start: &str) -> Trip {
    let started_ms = local_ms(start);
    Trip::new(id, started_ms, started_ms + 600_000, -21_600)
}

/// Loads an archive. Its trips call station 35 `Clark St & Lake St`.
pub(super) fn load(store: &dyn Store, system: &System, name: &str, trips: &[Trip]) {
    let id = ArchiveId {
        system: system.clone(),
        name: name.into(),
        content: ContentHash(
            name.bytes()
                .fold(1, |hash, byte| hash * 31 + u128::from(byte)),
        ),
    };
    let mut batch: TripBatch = trips.iter().cloned().collect();
    batch.line = (2..).take(trips.len()).collect();
    let stations = batch.stations.iter().zip(0..);
    let called = stations.filter(|(text, _)| StationAlias::split(text).0 == "35");
    batch.names = called
        .map(|(_, station)| StationName {
            station,
            name: "Clark St & Lake St".into(),
            days: (17_000, 17_001),
        })
        .collect();
    let mut totals = Totals::default();
    totals.count(&batch, 1);
    let incoming = block_on(store.begin(&id)).unwrap();
    incoming.write(0, batch).unwrap();
    let read = ArchiveRead {
        id,
        members: vec!["0.csv".into()],
        rows_read: trips.len() as u64,
        rejected: Default::default(),
        skipped: Vec::new(),
        forced_from: None,
        totals,
        loaded_at: Timestamp::UNIX_EPOCH,
        replace: false,
    };
    block_on(incoming.commit(read, &())).unwrap();
}

/// Returns trips with and without each value: around New Year, on the day of a clock change, of old and
/// new form.
pub(super) fn trips() -> Vec<Trip> {
    let old = Trip {
        reported_s: Some(601),
        origin: Some(StationAlias::new("35", "Clark St & Lake St")),
        destination: Some(StationAlias::new("99", "")),
        vehicle: Some("3225".into()),
        rider: Rider::Member,
        gender: Some("Female".into()),
        birth_year: Some(1984),
        precision_ms: 60_000,
        ..trip("10400035", "2015-12-31T23:59")
    };
    let new = Trip {
        destination: Some(StationAlias::new("35", "Clark St & Lake St")),
        bike: Some("electric_bike".into()),
        rider: Rider::Casual,
        from: Some((41_880_000, -87_630_000)),
        to: Some((41_885_600, -87_641_831)),
        precision_ms: 1,
        ..trip("937C26C219E98CCD", "2016-01-01T00:00:00.123")
    };
    let mut flags = Flags::NONE;
    flags.insert(Flag::ClockChange);
    flags.insert(Flag::NoOrigin);
    flags.insert_all(Flags::OTHER_WORDS);
    let clock_change = Trip {
        ended_offset_s: -18_000,
        rider: Rider::Other("Walk-up".into()),
        flags,
        ..trip("spring", "2016-03-13T01:55")
    };
    vec![old, new, clock_change, trip("last", "2016-12-31T23:59:59")]
}

/// Makes a store of two systems; an archive of the first has duplicates of another.
pub(super) fn fill(store: &dyn Store) {
    load(store, &system("divvy"), "first.csv", &trips());
    let mut again = trips();
    again[0].id = "another".into();
    load(store, &system("divvy"), "second.csv", &again[..3]);
    let mut more: Vec<Trip> = (0..40)
        .map(|n| {
            trip(
                &format!("jersey-{n:02}"),
                &format!("20{:02}-07-04T12:00", n % 20 + 5),
            )
        })
        .collect();
    more[0].origin = Some(StationAlias::new("JC002", "Newport"));
    load(store, &system("citibike"), "JC.csv", &more);
    let mut station = Station::unknown(StationId::from("a1"));
    station.name = Some("Clark St & Lake St".into());
    station.latitude = Some("41.885637".parse().unwrap());
    station.longitude = Some("-87.641823".parse().unwrap());
    station.capacity = Some(31);
    station.short_name = Some("35".into());
    let snapshot = Snapshot {
        system: system("divvy"),
        taken_at: Timestamp::UNIX_EPOCH,
        kind: SnapshotKind::Full,
        stations: vec![station],
        by_type: Default::default(),
    };
    block_on(store.apply(&snapshot, Timestamp::UNIX_EPOCH)).unwrap();
}
