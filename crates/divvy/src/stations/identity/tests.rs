use super::*;
use crate::model::{Cell, StationName, Trip, TripBatch, comparable_name};
use crate::stations::corrections::Named;
use crate::tally::Tally;

/// An id at which a trip starts, its name and position.
type NamedId<'a> = (&'a str, &'a str, Option<(f64, f64)>);

fn trips(origins: &[NamedId<'_>]) -> Totals {
    let mut totals = Totals::default();
    for origin in origins {
        totals.count(&trip(origin, (0, 0)), 1);
    }
    totals
}

/// Makes a batch of one trip, whose origin the file names on some days.
fn trip((id, name, at): &NamedId<'_>, days: (i32, i32)) -> TripBatch {
    let micro = |degrees: f64| (degrees * 1e6).round() as i32;
    let from = at.map(|(latitude, longitude)| (micro(latitude), micro(longitude)));
    let cell = Cell::of_end(from, false);
    let trip = Trip {
        origin: Some(StationAlias::new(id, name).in_cell(cell)),
        from,
        ..Trip::new("trip", 0, 60_000, 0)
    };
    let mut batch: TripBatch = [trip].into_iter().collect();
    if !name.is_empty() {
        batch.names.push(StationName {
            station: 1,
            name: (*name).into(),
            days,
        });
    }
    batch
}

fn station(id: &str, name: &str, at: Option<(&str, &str)>) -> Station {
    let degrees = |text: &str| text.parse().unwrap();
    Station {
        source: StationSource::Feed,
        name: (!name.is_empty()).then(|| name.into()),
        latitude: at.map(|at| degrees(at.0)),
        longitude: at.map(|at| degrees(at.1)),
        ..Station::unknown(id.into())
    }
}

fn found(feed: &[Station], known: &Totals) -> Vec<String> {
    let listed = feed.iter().map(|station| station.id.clone()).collect();
    found_of(&resolve(feed, &listed, known, &Corrections::default()))
}

fn found_of(matches: &Matches) -> Vec<String> {
    let mut lines: Vec<String> = matches
        .iter()
        .map(|(station, alias, key)| {
            let (id, key) = (alias.id_str(), key.as_str());
            format!("{id} = {station} by {key}")
        })
        .collect();
    lines.extend(
        matches
            .unmatched()
            .map(|alias| format!("{} unmatched", alias.id_str())),
    );
    lines
}

const CLARK: (&str, &str) = ("42.015", "-87.675");
const NEAR_CLARK: Option<(f64, f64)> = Some((42.017123, -87.675001)); // 236 m
const PULASKI: Option<(f64, f64)> = Some((41.917213, -87.726321)); // 11.7 km

#[test]
fn an_equal_id_matches_unless_position_or_name_contradicts() {
    let feed = [station("517", "Clark & Jarvis", Some(CLARK))];
    for (name, at, joins) in [
        ("", None, true),
        ("Pulaski & Armitage", None, false),
        ("Pulaski & Armitage", NEAR_CLARK, true),
        ("clark & jarvis (*) ", NEAR_CLARK, true),
        ("clark & jarvis (*) ", PULASKI, false),
        ("Pulaski & Armitage", PULASKI, false),
        ("", PULASKI, false),
    ] {
        let line = if joins {
            "517 = 517 by station_id"
        } else {
            "517 unmatched"
        };
        assert_eq!(found(&feed, &trips(&[("517", name, at)])), [line], "{name}");
    }
}

#[test]
fn a_position_of_two_decimals_confirms_nothing_and_contradicts_others() {
    let mut feed = [station("u-1", "Clark & Jarvis", Some(("42.02", "-87.68")))];
    feed[0].short_name = Some("13059".into());
    for (name, at, joins) in [
        ("Pulaski & Armitage", NEAR_CLARK, false),
        ("Clark & Jarvis", NEAR_CLARK, true),
    ] {
        let line = if joins {
            "13059 = u-1 by short_name"
        } else {
            "13059 unmatched"
        };
        assert_eq!(
            found(&feed, &trips(&[("13059", name, at)])),
            [line],
            "{name}"
        );
    }
    feed[0].short_name = None;
    let far = trips(&[("13059", "Clark & Jarvis", PULASKI)]);
    assert_eq!(found(&feed, &far), ["13059 unmatched"]);
}

#[test]
fn listed_stations_take_what_is_theirs_before_retired_ones() {
    let old = station("13059", "Clark & Jarvis", Some(CLARK));
    let new = station("u-1", "Clark & Jarvis", Some(CLARK));
    let feed = [old, new];
    let known = trips(&[
        ("13059", "Clark & Jarvis", NEAR_CLARK),
        ("7", "Elsewhere", None),
    ]);
    let with = |listed: &[&str]| {
        let listed = listed.iter().map(|id| StationId::from(*id)).collect();
        found_of(&resolve(&feed, &listed, &known, &Corrections::default()))
    };
    assert_eq!(with(&["u-1"]), ["13059 = u-1 by name", "7 unmatched"]);
    assert_eq!(
        with(&["13059", "u-1"]),
        ["13059 = 13059 by station_id", "7 unmatched"]
    );
    // What no listed station can be stays with a station of an earlier snapshot.
    assert_eq!(with(&[]), ["13059 = 13059 by station_id", "7 unmatched"]);
}

#[test]
fn names_are_compared_without_spelling_that_publishers_vary() {
    for (one, other, same) in [
        ("Clark St & Elm St", "clark st and elm st", true),
        ("Clark St/Elm St", "Clark St - Elm St", true),
        ("Public Rack - Lake St", "Lake St", true),
        ("Lake St (Temp)", "Lake St (*)", true),
        ("Lake St", "Lake Street", false),
        ("Public Racks", "s", false),
        ("St-Denis / Rachel", "St Denis Rachel", true),
    ] {
        assert_eq!(
            comparable_name(one) == comparable_name(other),
            same,
            "{one} | {other}"
        );
    }
    assert_eq!(comparable_name(" - "), None);
    // Of two stations with one name as names are compared, the one that is spelled so.
    let feed = [
        station("rack", "Public Rack - Lake St", Some(CLARK)),
        station("dock", "Lake St", Some(("42.016", "-87.675"))),
    ];
    let known = trips(&[("1", "Lake St", Some((42.015, -87.675)))]);
    assert_eq!(found(&feed, &known), ["1 = dock by name"]);
}

#[test]
fn a_short_name_or_legacy_id_alone_matches_nothing() {
    for key in ["short_name", "legacy_id"] {
        let mut feed = [station("a3a36d9e", "Clark & Jarvis", Some(CLARK))];
        match key {
            "short_name" => feed[0].short_name = Some("13059".into()),
            _ => feed[0].legacy_id = Some("13059".into()),
        }
        for (name, at, joins) in [
            ("", None, false),
            ("", PULASKI, false),
            ("Pulaski & Armitage", PULASKI, false),
            ("Pulaski & Armitage", None, false),
            ("Pulaski & Armitage", NEAR_CLARK, true),
            ("Clark & Jarvis(Temp)", None, true),
            ("Clark & Jarvis(Temp)", PULASKI, false),
        ] {
            let line = if joins {
                format!("13059 = a3a36d9e by {key}")
            } else {
                "13059 unmatched".into()
            };
            assert_eq!(found(&feed, &trips(&[("13059", name, at)])), [line]);
        }
    }
}

#[test]
fn an_id_and_name_far_apart_are_two_places() {
    let feed = [station("517", "Clark & Jarvis", Some(CLARK))];
    let near = [
        ("517", "Clark & Jarvis", NEAR_CLARK),
        ("517", "Clark & Jarvis", Some((42.020123, -87.675001))), // 570 m, and 334 m from the other
        ("517", "Clark & Jarvis", None),
    ];
    let all = [&near[..], &[("517", "Clark & Jarvis", PULASKI)]].concat();
    let joined = "517 = 517 by station_id";
    assert_eq!(found(&feed, &trips(&near)), [joined, joined, joined]);
    assert_eq!(
        found(&feed, &trips(&all)),
        [joined, joined, joined, "517 unmatched"]
    );
    // Without a feed.
    let matches = resolve([], &BTreeSet::new(), &trips(&all), &Corrections::default());
    let sizes: Vec<usize> = matches.other_places().iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 2, "{matches:?}");
    // Apart by hand, the cells of the name are still one place within 500 m.
    let mut corrections = Corrections::default();
    corrections.split(Named {
        id: "517".into(),
        name: Some("Clark & Jarvis".into()),
    });
    let listed = ["517".into()].into();
    let matches = resolve(&feed, &listed, &trips(&all), &corrections);
    assert_eq!(matches.unmatched().count(), 4);
    assert_eq!(matches.other_places().len(), 2);
}

#[test]
fn single_ends_far_away_are_errors_of_positions() {
    for (times, day, places) in [
        (1, (20, 20), 1),
        (5, (20, 20), 1),
        (6, (20, 20), 2),
        // A day on which it may have been moved.
        (2, (30, 30), 1),
        (3, (30, 30), 2),
        (1, (31, 31), 2),
    ] {
        let mut all = Totals::default();
        all.count(&trip(&("517", "Clark & Jarvis", NEAR_CLARK), (10, 30)), 100);
        all.count(&trip(&("517", "Clark & Jarvis", PULASKI), day), times);
        let matches = resolve([], &BTreeSet::new(), &all, &Corrections::default());
        assert_eq!(matches.other_places().len(), places, "{times} on {day:?}");
    }
}

/// Counts trips of one id and name: how many start at a latitude, and on which days.
fn plaza(spots: &[(i64, f64, (i32, i32))]) -> Totals {
    let mut totals = Totals::default();
    for (times, latitude, days) in spots {
        let origin = ("517", "Plaza", Some((*latitude, -87.675001)));
        totals.count(&trip(&origin, *days), *times);
    }
    totals
}

#[test]
fn a_single_end_between_two_places_does_not_join_them() {
    // 890 m apart.
    let [a, c] = [(100, 42.015001, (0, 90)), (80, 42.023001, (91, 180))];
    let places = |spots: &[_]| {
        let known = plaza(spots);
        let matches = resolve([], &BTreeSet::new(), &known, &Corrections::default());
        matches.other_places().len()
    };
    assert_eq!(places(&[a, c]), 2);
    assert_eq!(places(&[a, c, (1, 42.019001, (50, 50))]), 2);
    assert_eq!(
        places(&[a, c, (90, 42.019001, (0, 90))]),
        1,
        "many ends are between them"
    );
}

#[test]
fn ends_where_a_feed_has_the_station_are_no_errors() {
    let known = plaza(&[(177, 42.040001, (0, 90)), (8, 42.015001, (79, 88))]);
    let feed = [station("517", "Plaza", Some(CLARK))];
    let matches = resolve(
        &feed,
        &["517".into()].into(),
        &known,
        &Corrections::default(),
    );
    assert_eq!(matches.of(&"517".into()).len(), 1);
    assert_eq!(matches.unmatched().count(), 1);
    assert!(matches.of(&"517".into())[0].0.as_str().contains("42.015"));
}

#[test]
fn a_station_without_a_position_has_the_newest_of_two() {
    let known = plaza(&[(100, 42.040001, (91, 180)), (100, 42.015001, (0, 90))]);
    let feed = [station("517", "Plaza", None)];
    let matches = resolve(
        &feed,
        &["517".into()].into(),
        &known,
        &Corrections::default(),
    );
    assert!(
        matches.of(&"517".into())[0].0.as_str().contains("42.039"),
        "{matches:?}"
    );
    assert_eq!(matches.unmatched().count(), 1);
}

#[test]
fn an_id_and_name_all_over_a_city_are_one_place() {
    let spots: Vec<_> = (0..100)
        .map(|n| (3, 41.0 + 0.01 * f64::from(n), (0, 9)))
        .collect();
    let known = plaza(&spots);
    let matches = resolve([], &BTreeSet::new(), &known, &Corrections::default());
    assert_eq!(matches.other_places().len(), 1);
}

#[test]
fn a_list_that_places_an_id_and_name_elsewhere_is_another_place() {
    let list = |at: (&str, &str)| Station {
        source: StationSource::List,
        ..station("517", "Clark & Jarvis", Some(at))
    };
    let known = trips(&[("517", "Clark & Jarvis", NEAR_CLARK)]);
    for (at, places) in [(CLARK, 1), (("41.917213", "-87.726321"), 2)] {
        let rows = [list(at)];
        let matches = resolve(&rows, &BTreeSet::new(), &known, &Corrections::default());
        assert_eq!(matches.other_places().len(), places, "{at:?}");
    }
}

#[test]
fn cells_of_a_row_are_shortened_to_the_name() {
    let aliases = |of: &[NamedId<'_>]| -> BTreeSet<StationAlias> {
        trips(of).stations.0.keys().cloned().collect()
    };
    let near = aliases(&[
        ("517", "Clark", NEAR_CLARK),
        ("517", "Clark", Some((42.020123, -87.675001))),
        ("86", "", NEAR_CLARK),
    ]);
    let far = aliases(&[("517", "Clark", PULASKI), ("517", "Clark", None)]);
    let rows = [("a".into(), near), ("b".into(), far.clone())].into();
    let shortened = shortened(rows);
    let names = |row: &str| shortened[&StationId::from(row)].clone();
    assert_eq!(
        names("a"),
        [StationAlias::new("517", "Clark"), "86".into()].into()
    );
    // Of equally many the first row; the other has the cell alone.
    let cells: BTreeSet<StationAlias> = far.into_iter().filter(StationAlias::has_cell).collect();
    assert_eq!(names("b"), cells);
    // No row is too large for a database.
    let many = (0..300).map(|n| StationAlias::new("517", &format!("{n} Lake St")));
    let more = many.chain([StationAlias::new("86", "Clark")]).collect();
    let shortened = super::shortened([("a".into(), more)].into());
    assert_eq!(
        shortened[&StationId::from("a")].len(),
        MAX_ALIASES_OF_ROW + 1
    );
}

#[test]
fn the_strongest_key_wins_then_the_nearest_then_the_smaller_id() {
    let mut by_id = station("13059", "Clark & Jarvis", None);
    let mut by_short_name = station("u-1", "Clark & Jarvis", Some(CLARK));
    by_short_name.short_name = Some("13059".into());
    let known = trips(&[("13059", "Clark & Jarvis", NEAR_CLARK)]);
    let feed = [by_id.clone(), by_short_name.clone()];
    assert_eq!(found(&feed, &known), ["13059 = 13059 by station_id"]);

    by_id.id = "other".into();
    let feed = [by_id, by_short_name];
    assert_eq!(found(&feed, &known), ["13059 = u-1 by short_name"]);

    let far = station("a-far", "Clark & Jarvis", Some(("41.9", "-87.6")));
    let twin = |id| station(id, "Clark & Jarvis *", Some(CLARK));
    let feed = [far, twin("c"), twin("b")];
    assert_eq!(found(&feed, &known), ["13059 = b by name"]);
}

#[test]
fn any_name_ever_used_agrees_and_an_empty_one_never_does() {
    let feed = [
        station("u-1", "Malcolm X College", None),
        station("u-2", " (*)", None),
    ];
    let known = trips(&[
        ("631", "Malcolm X College Vaccination Site", None),
        ("631", "Malcolm X College", None),
        ("632", "*", None),
    ]);
    assert_eq!(
        found(&feed, &known),
        ["631 = u-1 by name", "631 = u-1 by alias", "632 unmatched"]
    );
}

#[test]
fn ids_of_rows_are_looked_up_without_trips() {
    let mut row = Station::unknown("35".into());
    row.aliases.insert("35".into());
    let feed = [row, station("2", "Clark & Jarvis", None)];
    assert_eq!(found(&feed, &Totals::default()), ["35 unmatched"]);
}

#[test]
fn a_name_of_many_stations_matches_none() {
    let known = trips(&[("13059", "Station", NEAR_CLARK)]);
    let feed = |stations: usize| -> Vec<Station> {
        let ids = (0..stations).map(|n| format!("u-{n:03}"));
        ids.map(|id| station(&id, "Station", Some(CLARK))).collect()
    };
    assert_eq!(
        found(&feed(MAX_SAME_NAME), &known),
        ["13059 = u-000 by name"]
    );
    assert_eq!(found(&feed(MAX_SAME_NAME + 1), &known), ["13059 unmatched"]);
    // With an equal short name, the name still counts as agreeing.
    let mut feed = feed(MAX_SAME_NAME + 1);
    feed[40].short_name = Some("13059".into());
    assert_eq!(found(&feed, &known), ["13059 = u-040 by short_name"]);
}

/// Lists the places of aliases that no station of a feed has, by their names.
fn other_places(feed: &[Station], known: &Totals, corrections: &Corrections) -> Vec<String> {
    let matches = resolve(feed, &BTreeSet::new(), known, corrections);
    let places = matches.other_places().iter();
    let places = places.map(|place| {
        let aliases: Vec<String> = place.iter().map(ToString::to_string).collect();
        aliases.join(" + ")
    });
    places.collect()
}

const NEAR_PULASKI: Option<(f64, f64)> = Some((41.918213, -87.726321)); // 111 m

#[test]
fn two_racks_under_one_id_are_two_places() {
    let known = trips(&[
        ("517", "Clark & Jarvis", NEAR_CLARK),
        ("517", "Pulaski & Armitage", PULASKI),
        ("517", "Pulaski & Armitage West", NEAR_PULASKI),
    ]);
    let none = Corrections::default();
    assert_eq!(
        other_places(&[], &known, &none),
        [
            "517 (clark and jarvis)",
            "517 (pulaski and armitage) + 517 (pulaski and armitage west)",
        ]
    );
    // Each goes its own way, also where the feed has the id.
    let feed = [
        station("517", "Clark & Jarvis", Some(CLARK)),
        station(
            "u-1",
            "Pulaski & Armitage",
            Some(("41.917213", "-87.726321")),
        ),
    ];
    assert_eq!(
        found(&feed, &known),
        [
            "517 = 517 by station_id",
            "517 = u-1 by name",
            "517 = u-1 by alias"
        ]
    );
}

#[test]
fn ids_with_the_same_name_are_one_place_unless_positions_contradict() {
    for (at, places) in [(NEAR_CLARK, 1), (None, 1), (PULASKI, 2)] {
        let known = trips(&[
            ("5379.10", "Clark & Jarvis", NEAR_CLARK),
            ("5379.1", "Clark & Jarvis", at),
        ]);
        let found = other_places(&[], &known, &Corrections::default());
        assert_eq!(found.len(), places, "{at:?}: {found:?}");
    }
}

#[test]
fn a_name_without_a_position_stays_with_its_id() {
    let known = trips(&[
        ("35", "Streeter Dr", NEAR_CLARK),
        ("35", "Streeter Dr (old)", None),
    ]);
    let found = other_places(&[], &known, &Corrections::default());
    assert_eq!(found, ["35 (streeter dr) + 35 (streeter dr (old))"]);
}

#[test]
fn a_name_that_comes_years_later_without_a_position_is_not_taken_for_the_same() {
    let mut known = trips(&[("340", "Clark & Wrightwood", NEAR_CLARK)]);
    let mut batch: TripBatch = [Trip {
        origin: Some(StationAlias::new("340", "Pulaski & Ann Lurie Pl")),
        ..Trip::new("trip", 0, 60_000, 0)
    }]
    .into_iter()
    .collect();
    batch.names.push(StationName {
        station: 1,
        name: "Pulaski & Ann Lurie Pl".into(),
        days: (700, 800),
    });
    known.count(&batch, 1);
    let places = [
        "340 (clark and wrightwood)",
        "340 (pulaski and ann lurie pl)",
    ];
    let none = Corrections::default();
    assert_eq!(other_places(&[], &known, &none), places);
    let feed = [station("u-1", "Clark & Wrightwood", Some(CLARK))];
    assert_eq!(found(&feed, &known), ["340 = u-1 by name", "340 unmatched"]);
}

#[test]
fn a_list_gives_positions_to_the_names_of_its_ids() {
    let mut listed = station(
        "517",
        "Pulaski & Armitage",
        Some(("41.917213", "-87.726321")),
    );
    listed.source = StationSource::List;
    let known = trips(&[
        ("517", "Pulaski & Armitage", None),
        ("517", "Clark & Jarvis", NEAR_CLARK),
    ]);
    let found = other_places(&[listed], &known, &Corrections::default());
    assert_eq!(
        found,
        ["517 (clark and jarvis)", "517 (pulaski and armitage)"]
    );
}

#[test]
fn corrections_decide_before_the_rules() {
    let named = |id: &str, name: Option<&str>| Named {
        id: id.into(),
        name: name.map(Into::into),
    };
    let feed = [station("u-1", "Clark & Jarvis", Some(CLARK))];
    let known = trips(&[
        ("35", "Clark & Jarvis", NEAR_CLARK),
        ("76", "Elsewhere", PULASKI),
        ("77", "Elsewhere", PULASKI),
    ]);
    let mut corrections = Corrections::default();
    corrections.split(named("35", Some("CLARK and Jarvis")));
    corrections.link(named("76", None), "u-1".into());
    let matches = resolve(&feed, &BTreeSet::new(), &known, &corrections);
    assert_eq!(
        found_of(&matches),
        ["76 = u-1 by correction", "35 unmatched", "77 unmatched"]
    );
    // A link to the id of other trips.
    corrections.link(named("76", None), "35".into());
    assert_eq!(
        other_places(&feed, &known, &corrections),
        ["35 (clark and jarvis) + 76 (elsewhere)", "77 (elsewhere)"]
    );
    assert!(corrections.forget(&named("35", Some("Clark & Jarvis"))));
    let matches = resolve(&feed, &BTreeSet::new(), &known, &corrections);
    assert_eq!(
        found_of(&matches),
        ["35 = u-1 by name", "76 = u-1 by correction", "77 unmatched"]
    );
}

#[test]
fn links_may_lead_to_linked_ids() {
    let id = |id: &str| Named {
        id: id.into(),
        name: None,
    };
    let feed = [station("u-c", "Gamma", None)];
    let known = trips(&[
        ("A1", "Alpha", None),
        ("B1", "Beta", None),
        ("C1", "Gamma", None),
    ]);
    for chain in [["A1", "B1", "C1"], ["B1", "A1", "C1"]] {
        let mut corrections = Corrections::default();
        corrections.link(id(chain[0]), chain[1].into());
        corrections.link(id(chain[1]), chain[2].into());
        let matches = resolve(&feed, &BTreeSet::new(), &known, &corrections);
        assert_eq!(matches.unmatched().count(), 0, "{chain:?}");
    }
    // A link to nothing decides nothing.
    let mut corrections = Corrections::default();
    corrections.link(id("C1"), "nothing".into());
    let matches = resolve(&feed, &BTreeSet::new(), &known, &corrections);
    assert_eq!(
        found_of(&matches),
        ["C1 = u-c by name", "A1 unmatched", "B1 unmatched"]
    );
}

#[test]
fn a_split_id_keeps_its_names_together() {
    let known = trips(&[
        ("517", "Clark & Jarvis", NEAR_CLARK),
        ("517", "Clark & Jarvis North", NEAR_CLARK),
        ("517", "Pulaski & Armitage", PULASKI),
    ]);
    let feed = [station("u-1", "Clark & Jarvis", Some(CLARK))];
    let mut corrections = Corrections::default();
    corrections.split(Named {
        id: "517".into(),
        name: None,
    });
    assert_eq!(
        other_places(&feed, &known, &corrections),
        [
            "517 (clark and jarvis) + 517 (clark and jarvis north)",
            "517 (pulaski and armitage)",
        ]
    );
}

/// Names of an id at these days, without positions.
fn dated(names: &[(&str, i32)]) -> Totals {
    let mut totals = Totals::default();
    for (name, day) in names {
        let mut batch: TripBatch = [Trip {
            origin: Some(StationAlias::new("7", name)),
            ..Trip::new("trip", 0, 60_000, 0)
        }]
        .into_iter()
        .collect();
        batch.names.push(StationName {
            station: 1,
            name: (*name).into(),
            days: (*day, *day),
        });
        totals.count(&batch, 1);
    }
    totals
}

#[test]
fn places_do_not_depend_on_the_alphabet() {
    let days = [0, 354, 670, 943];
    for names in [
        ["Ash", "Birch", "Cedar", "Dogwood"],
        ["Dogwood", "Birch", "Cedar", "Elm"],
        ["Elm", "Cedar", "Birch", "Ash"],
    ] {
        let dated: Vec<(&str, i32)> = names.into_iter().zip(days).collect();
        let places = other_places(&[], &self::dated(&dated), &Corrections::default());
        assert_eq!(places.len(), 1, "{places:?}");
    }
}

#[test]
fn an_id_of_too_many_names_is_none() {
    let names: Vec<String> = (0..=MAX_SAME_NAME).map(|n| format!("Name {n}")).collect();
    let named: Vec<NamedId<'_>> = names.iter().map(|name| ("17", &**name, None)).collect();
    let none = Corrections::default();
    assert_eq!(other_places(&[], &trips(&named), &none).len(), named.len());
    assert_eq!(other_places(&[], &trips(&named[1..]), &none).len(), 1);
}
