use super::*;
use crate::outlook::recent::Recents;

/// The model of a station where a bike leaves every tenth minute and comes back five minutes later.
fn regular() -> Model {
    let bikes = |minute: usize| Some(5 - u32::from(minute % 10 < 5));
    Model::train(&observed(&[&bikes], 10 * 1440), &[30], 2_000, 1).unwrap()
}

/// The last day and hour of a station, at the end of a day.
fn after_a_day(model: &Model, bikes: Bikes<'_>) -> Recent {
    let day = observed(&[bikes], 1440);
    let trackers = model.recent_trackers(&day);
    trackers[&StationId::from("0")].recent()
}

#[test]
fn a_station_as_usual_has_flows_of_1_and_was_never_empty() {
    let recent = after_a_day(&regular(), &|minute| Some(5 - u32::from(minute % 10 < 5)));
    assert!((recent.flows - 1.0).abs() < 0.05, "{recent:?}");
    assert_eq!((recent.without_bikes, recent.without_docks), (0.0, 0.0));
    // No flow at all: 2 / (2 + the flows of an hour, 0.2 a minute).
    let quiet = after_a_day(&regular(), &|_| Some(5));
    assert!((quiet.flows - 2.0 / 14.0).abs() < 0.01, "{quiet:?}");
    let twice = after_a_day(&regular(), &|minute| Some(5 - u32::from(minute % 5 < 2)));
    assert!((twice.flows - 26.0 / 14.0).abs() < 0.05, "{twice:?}");
}

#[test]
fn shares_of_the_last_day_weigh_the_last_hours_more() {
    let model = regular();
    let early = after_a_day(&model, &|minute| Some(if minute < 720 { 0 } else { 10 }));
    let late = after_a_day(&model, &|minute| Some(if minute < 720 { 10 } else { 0 }));
    // 910 minutes by their weights, and 60 before the first.
    let both = early.without_bikes + early.without_docks;
    assert!((both - 910.0 / 970.0).abs() < 0.001, "{early:?}");
    assert!((early.without_bikes - late.without_docks).abs() < 0.01);
    // By exp(-age / 1 day): (e^-0.5 - e^-1) / (1 - e^-1) of these.
    assert!(
        (early.without_bikes / both - 0.378).abs() < 0.005,
        "{early:?}"
    );
}

#[test]
fn minutes_out_of_service_and_trucks_are_left_out() {
    let model = regular();
    let bikes = |minute: usize| match minute {
        0..720 => Some(5),
        720..1439 => None,
        _ => Some(0),
    };
    let recent = after_a_day(&model, &bikes);
    // One minute in about half a day.
    assert!(recent.without_bikes < 0.005, "{recent:?}");
    assert!(
        recent.flows > 0.99,
        "no flow is expected out of service: {recent:?}"
    );
    let truck = after_a_day(&model, &|minute| Some(if minute < 1435 { 9 } else { 1 }));
    assert!(truck.flows < 0.2, "{truck:?}");
    assert_eq!(RecentTracker::default().recent(), Recent::USUAL);
}

/// The order in which minutes are asked for changes nothing, nor does what comes after them.
#[test]
fn the_last_day_and_hour_depend_on_the_past_alone() {
    let (all, cut) = (random(3 * 1440, 3), random(2 * 1440, 3));
    let model = Model::train(&all, &[30], 2_000, 1).unwrap();
    let rates = |of: &Observations| -> Vec<&StationRates> {
        let stations = of.stations().iter();
        stations.map(|station| model.rates(station)).collect()
    };
    let mut recents = Recents::new(&all, rates(&all));
    let mut of_cut = Recents::new(&cut, rates(&cut));
    for minute in [0, 5, 2_000, 1_999, 3, 2_879, 0] {
        let both = (recents.until(1, minute), of_cut.until(1, minute));
        assert_eq!(both.0, both.1, "{minute}");
        assert_eq!(both.0, Recents::new(&all, rates(&all)).until(1, minute));
    }
    assert_ne!(recents.until(1, 4_000), recents.until(1, 3_000));
}
