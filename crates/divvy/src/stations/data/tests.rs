mod orders;
mod precedence;

use std::convert::Infallible;

use super::*;
use crate::model::{
    Availability, SnapshotKind, StationAlias, StationName, StationStatus, System, Trip, TripBatch,
};
use crate::stations::Applied;
use crate::tally::Tally;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap()
}

fn snapshot(kind: SnapshotKind, minute: i64, stations: &[Station]) -> Snapshot {
    Snapshot {
        system: System::named("divvy").unwrap(),
        taken_at: at(minute),
        kind,
        stations: stations.to_vec(),
        by_type: Default::default(),
    }
}

fn named(id: &str, name: &str) -> Station {
    Station {
        name: Some(name.into()),
        ..Station::unknown(id.into())
    }
}

fn with_bikes(station: Station, bikes: u32, reported: i64) -> Station {
    Station {
        status: Some(StationStatus::InService),
        available: Availability {
            vehicles: Some(bikes),
            ..Availability::default()
        },
        reported_at: Some(at(reported)),
        ..station
    }
}

fn trip_from(origin: &str, name: &str) -> Trip {
    Trip {
        origin: Some(StationAlias::new(origin, name)),
        ..Trip::new("trip", 0, 60_000, 0)
    }
}

/// Trips that start at the ids, each under its name.
fn trips(origins: &[(&str, &str)]) -> Totals {
    let mut totals = Totals::default();
    for (id, name) in origins {
        let mut batch: TripBatch = [trip_from(id, name)].into_iter().collect();
        batch.names.push(StationName {
            station: 1,
            name: (*name).into(),
            days: (0, 0),
        });
        totals.count(&batch, 1);
    }
    totals
}

fn ids(texts: &[&str]) -> BTreeSet<StationId> {
    texts.iter().map(|text| StationId::from(*text)).collect()
}

fn apply(data: &mut StationData, snapshot: &Snapshot, totals: &Totals) -> (Applied, Vec<Write>) {
    let Ok(done) = data.apply(snapshot, || Ok::<_, Infallible>(totals));
    done
}

fn describe(data: &mut StationData, listed: &[Station], totals: &Totals) -> Vec<Write> {
    let Ok(writes) = data.describe(listed, || Ok::<_, Infallible>(totals));
    writes
}

/// Applies a snapshot in which no name is new, so that the totals are not read.
fn poll(data: &mut StationData, kind: SnapshotKind, minute: i64, stations: &[Station]) -> String {
    let no_totals = || -> Result<Totals, &str> { Err("totals were read") };
    match data.apply(&snapshot(kind, minute, stations), no_totals) {
        Ok((applied, writes)) => format!("{applied:?} {}", lines(&writes).join(", ")),
        Err(error) => error.into(),
    }
}

/// Formats each write on a line: what, the row, its ids of trips, their version.
fn lines(writes: &[Write]) -> Vec<String> {
    let line = |what: &str, Row { station, .. }: &Row| {
        let origins: Vec<&str> = station.aliases.iter().map(StationAlias::id_str).collect();
        let version = station
            .trips_version
            .map_or(String::new(), |v| format!(" v{v}"));
        format!("{what} {} [{}]{version}", station.id, origins.join(" "))
    };
    let one = |write: &Write| match write {
        Write::Insert(row) => line("insert", row),
        Write::Change(row) => line("change", row),
        Write::Report(row) => line("report", row),
        Write::Delete(id) => format!("delete {id}"),
    };
    writes.iter().map(one).collect()
}

#[test]
fn names_and_states_have_times_of_their_own() {
    use SnapshotKind::{Full, Information, Status};
    let none = Totals::default();
    let mut data = StationData::default();
    let mut outcome = |kind, minute| {
        let (applied, _) = apply(&mut data, &snapshot(kind, minute, &[]), &none);
        match applied {
            Applied::Accepted { .. } => "accepted".to_owned(),
            Applied::Repeated => "repeated".to_owned(),
            Applied::Refused { last, .. } => {
                format!("refused by {}", last.duration_since(at(0)).as_mins())
            }
        }
    };
    assert_eq!(outcome(Status, 10), "accepted");
    assert_eq!(outcome(Status, 10), "repeated");
    assert_eq!(outcome(Status, 9), "refused by 10");
    assert_eq!(outcome(Information, 5), "accepted");
    assert_eq!(outcome(Full, 5), "refused by 10");
    assert_eq!(outcome(Full, 10), "accepted"); // its names are newer
    assert_eq!(outcome(Full, 10), "repeated");
    assert_eq!(outcome(Information, 9), "refused by 10");
    assert_eq!(outcome(Full, 11), "accepted");
    assert_eq!(outcome(Status, 11), "repeated");
}

#[test]
fn names_are_not_erased_by_states_nor_states_by_names() {
    let none = Totals::default();
    let mut data = StationData::default();
    let full = with_bikes(named("2", "Clark & Jarvis"), 7, 0);
    apply(&mut data, &snapshot(SnapshotKind::Full, 0, &[full]), &none);
    let states = with_bikes(Station::unknown("2".into()), 8, 1);
    assert_eq!(
        poll(&mut data, SnapshotKind::Status, 1, &[states]),
        "Accepted { inserted: 0, changed: 1, reported: 0 } change 2 []"
    );
    let renamed = named("2", "Clark & Howard");
    apply(
        &mut data,
        &snapshot(SnapshotKind::Information, 1, &[renamed]),
        &none,
    );
    let row = data.stations().next().unwrap();
    let expected = Station {
        source: StationSource::Feed,
        ..with_bikes(named("2", "Clark & Howard"), 8, 1)
    };
    assert_eq!(*row, expected);
}

#[test]
fn a_station_that_the_snapshot_lacks_is_kept_and_gives_its_trips_to_listed_ones() {
    let none = Totals::default();
    let mut data = StationData::default();
    let both = [named("2", "Clark & Jarvis"), named("3", "Shedd Aquarium")];
    apply(&mut data, &snapshot(SnapshotKind::Full, 0, &both), &none);
    let next = snapshot(SnapshotKind::Full, 1, &both[1..]);
    let refused = data
        .clone()
        .apply(&next, || Err::<Totals, _>("totals were read"));
    assert_eq!(refused.unwrap_err(), "totals were read");
    let (applied, writes) = apply(&mut data, &next, &none);
    assert!(matches!(applied, Applied::Accepted { changed: 0, .. }));
    // Nothing but which snapshot its name comes from.
    assert_eq!(lines(&writes), ["report 2 []"]);
    assert_eq!(data.stations().count(), 2);
    assert_eq!(data.feed().unwrap().listed, ids(&["3"]));
}

#[test]
fn a_report_time_alone_waits_for_a_change_or_15_minutes() {
    let none = Totals::default();
    let mut data = StationData::default();
    let station = |bikes, reported| [with_bikes(named("2", "Clark & Jarvis"), bikes, reported)];
    apply(
        &mut data,
        &snapshot(SnapshotKind::Full, 0, &station(7, 0)),
        &none,
    );
    let mut poll =
        |minute, stations: &[Station]| poll(&mut data, SnapshotKind::Full, minute, stations);
    let one = "Accepted { inserted: 0, changed: 0, reported: 1 } ";
    assert_eq!(poll(14, &station(7, 13)), one);
    assert_eq!(poll(15, &station(7, 14)), format!("{one}report 2 []"));
    assert_eq!(poll(16, &station(7, 15)), one);
    assert_eq!(
        poll(17, &station(6, 16)),
        "Accepted { inserted: 0, changed: 1, reported: 0 } change 2 []"
    );
    assert_eq!(poll(31, &station(6, 30)), one);
    assert_eq!(data.stations().next().unwrap().reported_at, Some(at(16)));
}

#[test]
fn an_id_has_a_row_of_its_own_until_a_feed_names_its_station() {
    let totals = trips(&[("35", "Streeter Dr"), ("76", "Lake Shore Dr")]);
    let mut data = StationData::default();
    let loaded = data.trips_changed(&ids(&["35", "76"]), 1, &totals);
    assert_eq!(lines(&loaded), ["insert 35 [35] v1", "insert 76 [76] v1"]);

    let feed = [named("76", "Lake Shore Dr"), named("u-1", "Streeter Dr")];
    let (applied, writes) = apply(&mut data, &snapshot(SnapshotKind::Full, 0, &feed), &totals);
    assert_eq!(
        lines(&writes),
        ["delete 35", "change 76 [76] v1", "insert u-1 [35] v1"]
    );
    let expected = Applied::Accepted {
        inserted: 1,
        changed: 1,
        reported: 0,
    };
    assert_eq!(applied, expected);

    assert_eq!(data.next_version(), 2);
    let loaded = data.trips_changed(&ids(&["35"]), 2, &totals);
    assert_eq!(lines(&loaded), ["change u-1 [35] v2"]);
}

#[test]
fn an_id_used_for_two_stations_has_two_rows() {
    let totals = trips(&[("517", "Pulaski & Armitage")]);
    let mut data = StationData::default();
    data.trips_changed(&ids(&["517"]), 1, &totals);
    let mut elsewhere = totals.clone();
    let far = Trip {
        from: Some((41_917_213, -87_726_321)),
        ..trip_from("517", "Pulaski & Armitage")
    };
    elsewhere.count(&[far].into_iter().collect(), 1);
    let mut reused = named("517", "Clark & Jarvis");
    reused.latitude = Some("42.015".parse().unwrap());
    reused.longitude = Some("-87.675".parse().unwrap());
    let (_, writes) = apply(
        &mut data,
        &snapshot(SnapshotKind::Full, 0, &[reused]),
        &elsewhere,
    );
    assert_eq!(
        lines(&writes),
        ["change 517 [] v1", "insert 517 (trips) [517] v1"]
    );
    let loaded = data.trips_changed(&ids(&["517"]), 2, &elsewhere);
    assert_eq!(lines(&loaded), ["change 517 (trips) [517] v2"]);
}

#[test]
fn an_id_whose_trips_are_removed_keeps_its_row() {
    let mut data = StationData::default();
    data.trips_changed(&ids(&["35"]), 1, &trips(&[("35", "Streeter Dr")]));
    let replaced = data.trips_changed(&ids(&["35"]), 2, &Totals::default());
    assert_eq!(lines(&replaced), ["change 35 [35] v2"]);
}

#[test]
fn a_list_adds_names_and_never_overwrites_those_of_a_feed() {
    let totals = trips(&[("35", "Streeter Dr"), ("76", "Lake Shore Dr")]);
    let mut data = StationData::default();
    data.trips_changed(&ids(&["35", "76"]), 1, &totals);
    let feed = [named("u-1", "Streeter Dr")];
    apply(&mut data, &snapshot(SnapshotKind::Full, 0, &feed), &totals);

    let list = [
        named("35", "Streeter Dr"),
        named("76", "Lake Shore Dr"),
        named("5", "State St"),
        named("u-1", "Nowhere"),
    ];
    let described = describe(&mut data, &list, &totals);
    assert_eq!(
        lines(&described),
        [
            "insert 35 []",
            "insert 5 []",
            "change 76 [76] v1",
            "change u-1 [35] v1"
        ]
    );
    let again = data.describe(&list, || Err::<Totals, _>("totals were read"));
    assert_eq!(again, Ok(Vec::new()));
    let row = data.stations().last().unwrap();
    assert_eq!(row.name.as_deref(), Some("Streeter Dr"));

    let feed = [named("u-2", "Lake Shore Dr"), named("5", "State St (*)")];
    let (_, writes) = apply(&mut data, &snapshot(SnapshotKind::Full, 1, &feed), &totals);
    assert_eq!(
        lines(&writes),
        [
            "change 5 []",
            "change 76 [] v1",
            "report u-1 [35] v1",
            "insert u-2 [76] v1"
        ]
    );
    let rows = data.stations().cloned().collect();
    let in_use = identity::in_use(rows, &totals);
    let ids: Vec<&str> = in_use.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["5", "u-1", "u-2"]);
}

#[test]
fn everything_can_be_republished() {
    let mut data = StationData::default();
    let totals = trips(&[("35", "Streeter Dr")]);
    data.trips_changed(&ids(&["35"]), 1, &totals);
    describe(&mut data, &[named("5", "State St")], &totals);
    let version = data.next_version();
    assert_eq!(
        lines(&data.republish_all(version)),
        ["change 35 [35] v2", "change 5 [] v2"]
    );
}
