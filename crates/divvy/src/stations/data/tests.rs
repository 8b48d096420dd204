mod orders;

use std::convert::Infallible;

use super::*;
use crate::model::{
    Availability, FilledByLists, SnapshotKind, StationName, StationStatus, System, Trip, TripBatch,
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

fn trip_from(origin: &str) -> Trip {
    Trip {
        origin: Some(StationId::from(origin)),
        ..Trip::new("trip", 0, 60_000, 0)
    }
}

/// Trips that start at the ids, each under its name.
fn trips(origins: &[(&str, &str)]) -> Totals {
    let mut totals = Totals::default();
    for (id, name) in origins {
        let mut batch: TripBatch = [trip_from(id)].into_iter().collect();
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
        let origins: Vec<&str> = station.origin_ids.iter().map(StationId::as_str).collect();
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
        ..trip_from("517")
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

/// Makes a list's station with a position.
fn placed(id: &str, name: &str, at: (&str, &str)) -> Station {
    Station {
        latitude: at.0.parse().ok(),
        longitude: at.1.parse().ok(),
        ..named(id, name)
    }
}

#[test]
fn an_older_snapshot_names_the_stations_that_no_newer_one_names() {
    let totals = trips(&[("35", "Streeter Dr"), ("76", "Lake Shore Dr")]);
    let mut data = StationData::default();
    data.trips_changed(&ids(&["35", "76"]), 1, &totals);
    let newest = [with_bikes(named("u-1", "Streeter Dr"), 7, 20)];
    apply(
        &mut data,
        &snapshot(SnapshotKind::Full, 20, &newest),
        &totals,
    );
    let feed = data.feed().cloned();
    let row = data.stations().last().cloned();

    let older = [
        with_bikes(named("u-1", "Streeter Drive"), 3, 5),
        with_bikes(named("u-0", "Lake Shore Dr"), 4, 5),
    ];
    let older = snapshot(SnapshotKind::Full, 5, &older);
    let refused = |added| Applied::Refused {
        last: at(20),
        added,
    };
    let (applied, writes) = apply(&mut data, &older, &totals);
    assert_eq!(applied, refused(1));
    assert_eq!(lines(&writes), ["delete 76", "insert u-0 [76] v1"]);
    let inserted = writes[1].row().unwrap();
    assert_eq!(inserted.written_at, None);
    assert_eq!(inserted.station.named_at, Some(at(5)));
    assert_eq!(inserted.station.status, None);
    assert_eq!(data.feed().cloned(), feed);
    assert_eq!(data.stations().last().cloned(), row);
    assert_eq!(apply(&mut data, &older, &totals), (refused(0), Vec::new()));

    // Of two older ones the newer decides, in whatever order they come.
    for (minute, name, added) in [(7, "Lake Shore Drive", 1), (6, "Lake Shore", 0)] {
        let between = snapshot(SnapshotKind::Information, minute, &[named("u-0", name)]);
        assert_eq!(apply(&mut data, &between, &totals).0, refused(added));
        let row = data
            .stations()
            .find(|row| row.id.as_str() == "u-0")
            .unwrap();
        assert_eq!(row.name.as_deref(), Some("Lake Shore Drive"));
        assert_eq!(row.named_at, Some(at(7)));
    }
}

#[test]
fn a_station_that_vanished_keeps_the_newest_of_its_names() {
    use SnapshotKind::{Full, Status};
    let none = Totals::default();
    let mut data = StationData::default();
    let name = |data: &StationData| {
        let row = data.stations().next().unwrap();
        (row.name.clone().unwrap(), row.named_at)
    };
    apply(&mut data, &snapshot(Full, 10, &[named("2", "new")]), &none);
    // States alone say nothing about names.
    apply(&mut data, &snapshot(Status, 15, &[]), &none);
    assert_eq!(name(&data), ("new".into(), None));
    apply(&mut data, &snapshot(Full, 20, &[]), &none);
    assert_eq!(name(&data), ("new".into(), Some(at(10))));
    apply(&mut data, &snapshot(Full, 5, &[named("2", "old")]), &none);
    assert_eq!(name(&data), ("new".into(), Some(at(10))));
    apply(
        &mut data,
        &snapshot(Full, 15, &[named("2", "newer")]),
        &none,
    );
    assert_eq!(name(&data), ("newer".into(), Some(at(15))));
    apply(
        &mut data,
        &snapshot(Full, 30, &[named("2", "newest")]),
        &none,
    );
    assert_eq!(name(&data), ("newest".into(), None));
}

#[test]
fn the_best_form_of_all_lists_is_shown_whichever_came_first() {
    let coarse = Station {
        capacity: Some(19),
        ..placed("5", "State St", ("41.87", "-87.63"))
    };
    let fine = placed("5", "State St & Harrison St", ("41.8739", "-87.6277"));
    let without = named("5", "A");
    let lists = [&coarse, &fine, &without];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut data = StationData::default();
        for list in order {
            describe(&mut data, &[lists[list].clone()], &Totals::default());
        }
        let row = data.stations().next().unwrap();
        assert_eq!(row.name, fine.name);
        assert_eq!(row.latitude, fine.latitude);
        assert_eq!(row.capacity, Some(19), "of the best form that has one");
        assert_eq!(row.listed_as.len(), 3);
    }
}

#[test]
fn lists_fill_in_what_the_feed_does_not_state() {
    use SnapshotKind::{Full, Status};
    let none = Totals::default();
    let listed = |capacity| Station {
        capacity: Some(capacity),
        ..placed("5", "State St", ("41.87", "-87.63"))
    };
    let mut data = StationData::default();
    let mut shown = |act: &dyn Fn(&mut StationData)| {
        act(&mut data);
        let row = data.stations().next().unwrap();
        let name = row.name.clone().unwrap_or_default();
        (name, row.capacity, row.filled_by_lists)
    };
    let poll = |kind, minute, station: &Station| {
        let snapshot = snapshot(kind, minute, &[station.clone()]);
        move |data: &mut StationData| drop(apply(data, &snapshot, &Totals::default()))
    };
    let states = with_bikes(Station::unknown("5".into()), 1, 0);
    let unnamed = shown(&poll(Status, 0, &states));
    assert_eq!(unnamed, (String::new(), None, FilledByLists::Nothing));
    let described = shown(&|data| drop(describe(data, &[listed(15)], &none)));
    assert_eq!(
        described,
        ("State St".into(), Some(15), FilledByLists::Everything)
    );
    let named = shown(&poll(Full, 1, &named("5", "State")));
    assert_eq!(named, ("State".into(), Some(15), FilledByLists::Capacity));
    let described = shown(&|data| drop(describe(data, &[listed(27)], &none)));
    assert_eq!(
        described,
        ("State".into(), Some(27), FilledByLists::Capacity)
    );
    let stated = Station {
        capacity: Some(11),
        ..super::tests::named("5", "State")
    };
    let named = shown(&poll(Full, 2, &stated));
    assert_eq!(named, ("State".into(), Some(11), FilledByLists::Nothing));
}

#[test]
fn a_row_of_an_older_program_keeps_what_it_shows() {
    let listed = Station {
        source: StationSource::List,
        ..placed("5", "State St", ("41.8739", "-87.6277"))
    };
    let row = Row {
        station: listed.clone(),
        written_at: None,
    };
    let mut data = StationData::new([row], None);
    assert!(describe(&mut data, &[listed.clone()], &Totals::default()).is_empty());
    let coarse = placed("5", "State", ("41.87", "-87.63"));
    describe(&mut data, &[coarse], &Totals::default());
    let row = data.stations().next().unwrap();
    assert_eq!((&row.name, row.listed_as.len()), (&listed.name, 2));
}
