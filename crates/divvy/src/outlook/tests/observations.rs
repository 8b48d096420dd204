use super::*;

#[test]
fn minutes_out_of_service_have_no_reading_and_no_outcome() {
    let observations = observed(
        &[
            &|minute| (!(10..40).contains(&minute)).then_some(u32::from(minute < 5)),
            &|_| Some(0),
        ],
        120,
    );
    assert_eq!(
        observations.reading(0, 3),
        Some(Reading { bikes: 1, docks: 9 })
    );
    assert_eq!(observations.reading(0, 20), None);
    assert_eq!(observations.outcome(0, 0, 8, Event::EmptyAt), Some(true));
    assert_eq!(
        observations.outcome(0, 0, 8, Event::EmptyWithin),
        Some(true)
    );
    assert_eq!(
        observations.outcome(0, 0, 20, Event::EmptyAt),
        None,
        "out of service then"
    );
    assert_eq!(
        observations.outcome(0, 0, 30, Event::EmptyWithin),
        None,
        "mostly out of service"
    );
    assert_eq!(
        observations.outcome(0, 6, 2, Event::EmptyWithin),
        None,
        "empty at the start"
    );
    assert_eq!(observations.outcome(0, 6, 2, Event::EmptyAt), Some(true));
    assert_eq!(
        observations.outcome(0, 0, 4, Event::FullWithin),
        Some(false)
    );
    assert_eq!(
        observations.outcome(0, 119, 2, Event::EmptyAt),
        None,
        "behind the end"
    );
}

#[test]
fn slots_are_half_hours_of_the_local_day_and_holidays_are_weekends() {
    let observations = observed(&[&|_| Some(1)], 14 * 24 * 60);
    let slot = |day: usize, hour: usize, minute: usize| {
        observations.slot((day - 1) * 24 * 60 + hour * 60 + minute)
    };
    assert_eq!(
        (slot(1, 0, 0), slot(1, 8, 31), slot(4, 23, 59)),
        (0, 17, 47)
    );
    assert_eq!((slot(5, 0, 0), slot(14, 8, 31)), (48, 65));
}

/// With hourly snapshots, persistence cannot be better at an hour than it is with a snapshot a minute.
#[test]
fn a_snapshot_is_no_outcome_of_its_own_forecast() {
    let hourly = observed_at(
        &[&|m| Some(u32::from(m % 120 == 0))],
        1440,
        (0..1440).step_by(60),
    );
    assert_eq!(hourly.interval(), 60);
    assert_eq!(hourly.outcome(0, 0, 60, Event::EmptyAt), Some(true));
    assert_eq!(hourly.outcome(0, 60, 60, Event::EmptyAt), Some(false));
    assert_eq!(hourly.outcome(0, 0, 120, Event::EmptyWithin), Some(true));
    assert_eq!(hourly.outcome(0, 0, 60, Event::EmptyWithin), Some(true));
    assert_eq!(
        hourly.outcome(0, 0, 15, Event::EmptyAt),
        None,
        "the snapshot near the horizon is that of the start"
    );
    assert_eq!(hourly.outcome(0, 0, 15, Event::EmptyWithin), None);
}

#[test]
fn a_snapshot_with_a_wrong_clock_takes_no_other_with_it() {
    let mut builder = builder(600);
    let mut add =
        |minute: f64, bikes: u32| builder.add(&snapshot(minute, vec![station(0, Some(bikes), 3)]));
    assert_eq!(add(-1.0, 1), Added::OutsidePeriod);
    assert_eq!(add(0.0, 1), Added::Taken);
    assert_eq!(add(1.0, 2), Added::Taken);
    assert_eq!(add(500.0, 9), Added::Taken);
    assert_eq!(add(2.0, 3), Added::LastRevoked);
    assert_eq!(add(1.0, 9), Added::Older);
    assert_eq!(add(3.2, 4), Added::Taken);
    // The later one of a minute is kept, whatever their order.
    assert_eq!(add(3.8, 5), Added::Taken);
    assert_eq!(add(3.5, 9), Added::Older);
    // A gap in the recording is confirmed by the next snapshot.
    assert_eq!(add(400.0, 6), Added::Taken);
    assert_eq!(add(401.0, 7), Added::Taken);
    assert_eq!(add(700.0, 1), Added::OutsidePeriod);
    let observations = builder.finish();
    let bikes = |minute| observations.reading(0, minute).map(|reading| reading.bikes);
    assert_eq!(
        [0, 1, 2, 3, 6, 7, 400, 401, 500].map(bikes),
        [
            Some(1),
            Some(2),
            Some(3),
            Some(5),
            Some(5),
            None,
            Some(6),
            Some(7),
            None
        ]
    );
}

#[test]
fn stations_without_docks_are_not_full_and_implausible_ones_are_not_read() {
    let mut builder = builder(60);
    for minute in 0..60 {
        let bikes = u32::from(minute < 30);
        builder.add(&snapshot(
            f64::from(minute),
            vec![
                station(0, Some(bikes), 0),
                station(1, Some(2), u32::from(minute < 30)),
                station(2, Some(40_000), 40_000),
                station(3, Some(u32::MAX), 1),
                station(4, Some(0), if minute < 10 { 5 } else { 0 }),
                Station {
                    reported_at: Some(at(-24.0 * 60.0 + 20.0)),
                    ..station(5, Some(4), 4)
                },
            ],
        ));
    }
    let observations = builder.finish();
    let outcome = |station, event| observations.outcome(station, 25, 10, event);
    assert_eq!(outcome(0, Event::EmptyAt), Some(true), "a rack");
    assert_eq!(outcome(0, Event::EmptyWithin), Some(true));
    assert_eq!(
        (outcome(0, Event::FullAt), outcome(0, Event::FullWithin)),
        (None, None)
    );
    assert_eq!(outcome(1, Event::FullAt), Some(true), "docks");
    assert_eq!(outcome(1, Event::FullWithin), Some(true));
    assert_eq!(
        (observations.reading(2, 0), observations.reading(3, 0)),
        (None, None)
    );
    assert_eq!(
        outcome(4, Event::EmptyAt),
        Some(true),
        "neither bikes nor docks"
    );
    assert_eq!(outcome(4, Event::FullAt), None);
    // The report of the last one is a day old after 20 minutes.
    assert!(observations.reading(5, 20).is_some() && observations.reading(5, 21).is_none());
}
