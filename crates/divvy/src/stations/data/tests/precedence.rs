//! Which of several snapshots and lists a row shows.

use std::slice::from_ref;

use super::*;
use crate::model::FilledByLists;

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
    // States alone have no names.
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
        let snapshot = snapshot(kind, minute, from_ref(station));
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
        ..super::named("5", "State")
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
    assert!(describe(&mut data, from_ref(&listed), &Totals::default()).is_empty());
    let coarse = placed("5", "State", ("41.87", "-87.63"));
    describe(&mut data, &[coarse], &Totals::default());
    let row = data.stations().next().unwrap();
    assert_eq!((&row.name, row.listed_as.len()), (&listed.name, 2));
}
