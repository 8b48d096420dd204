use super::*;

/// Observations of stations with 5 bikes and 5 free docks, of which some have no bike in some minutes: those below
/// a number.
fn with_empty(
    stations: usize,
    taken: impl IntoIterator<Item = usize>,
    empty: &dyn Fn(usize) -> usize,
) -> Observations {
    let mut builder = builder(600);
    for minute in taken {
        let bikes = |index| if index < empty(minute) { 0 } else { 5 };
        let stations = (0..stations).map(|index| station(index, Some(bikes(index)), 5));
        let added = builder.add(&snapshot(minute as f64, stations.collect()));
        assert_eq!(added, Added::Taken);
    }
    builder.finish()
}

#[test]
fn snapshots_in_which_most_stations_lose_all_bikes_at_once_are_left_out() {
    // 24 of 30 stations have bikes, and they come back a few at a time.
    let observations = with_empty(30, 0..600, &|minute| match minute {
        100..104 => 30,
        104 => 16,
        105 => 10,
        _ => 6,
    });
    assert_eq!(observations.faults(), [100, 101, 102, 103, 104]);
    assert_eq!(observations.count_snapshots(), 595);
    let bikes = |minute| Some(observations.reading(20, minute)?.bikes);
    // A reading holds for three minutes.
    assert_eq!(
        [99, 102, 103, 105].map(bikes),
        [Some(5), Some(5), None, Some(5)]
    );
    // No bike departed, and nothing was empty.
    for horizon in [8, 60] {
        let outcome = observations.outcome(20, 96, horizon, Event::EmptyWithin);
        assert_eq!(outcome, (horizon == 60).then_some(false), "{horizon}");
    }
}

#[test]
fn a_system_that_stays_empty_is_taken_as_it_is() {
    let observations = with_empty(30, 0..600, &|minute| if minute < 100 { 0 } else { 30 });
    // The last snapshot without a fault is that of minute 99.
    assert_eq!(observations.faults().len(), 120);
    let bikes = observations.reading(3, 220).map(|reading| reading.bikes);
    assert_eq!(bikes, Some(0));
}

/// A fault ends when the stations that lost their bikes have some again, however many others are empty by then.
#[test]
fn a_fault_ends_in_a_rush_hour_too() {
    let mut builder = builder(600);
    for minute in 0..600_usize {
        let bikes = |index: usize| match minute {
            100..102 if index < 30 => 0,
            // Half of all stations run empty in the hour after it.
            100.. if index >= 15 && index < 15 + (minute - 100) / 4 => 0,
            _ => 5,
        };
        let stations = (0..50).map(|index| station(index, Some(bikes(index)), 5));
        builder.add(&snapshot(minute as f64, stations.collect()));
    }
    assert_eq!(builder.finish().faults(), [100, 101]);
}

#[test]
fn what_riders_may_do_is_no_fault() {
    let after = |minute: usize, n: usize| move |at: usize| if at < minute { 0 } else { n };
    let faults = |stations: usize, step: usize, lost: usize| {
        let observations = with_empty(stations, (0..600).step_by(step), &after(300, lost));
        observations.faults().len()
    };
    // Half of the stations, and more.
    assert_eq!((faults(30, 1, 15), faults(30, 1, 16)), (0, 120));
    // Few stations.
    assert_eq!((faults(19, 1, 19), faults(20, 1, 20)), (0, 120));
    // Snapshots 20 and 15 minutes apart.
    assert_eq!((faults(30, 20, 30), faults(30, 15, 30)), (0, 8));
}

#[test]
fn docks_are_lost_at_once_likewise() {
    let mut builder = builder(60);
    for minute in 0..60 {
        let docks = if minute == 30 { 0 } else { 4 };
        let stations = (0..25).map(|index| station(index, Some(3), docks));
        builder.add(&snapshot(f64::from(minute), stations.collect()));
    }
    assert_eq!(builder.finish().faults(), [30]);
}

#[test]
fn a_period_without_snapshots_has_no_faults() {
    let calendar = Calendar {
        zone: Zone::named("America/Chicago").unwrap(),
        holidays: Default::default(),
    };
    let mut columns = ColumnsBuilder::new(calendar, &(at(0.0)..at(60.0)), &[]);
    columns.set(
        &StationId::from("1"),
        0,
        Some(Reading { bikes: 2, docks: 3 }),
    );
    assert_eq!(columns.finish(true).faults(), [0; 0]);
}
