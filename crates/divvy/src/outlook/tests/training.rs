use super::*;

#[test]
fn a_regular_station_has_the_rates_that_were_observed() {
    // A bike leaves every tenth minute and comes back five minutes later.
    let observations = observed(
        &[&|minute| Some(5 - u32::from(minute % 10 < 5))],
        20 * 24 * 60,
    );
    let model = Model::train(&observations, &[30], 2_000, 1).unwrap();
    for slot in [0, 20, 60] {
        let rates = model.rates(&StationId::from("0")).at(slot);
        assert!((rates.departures - 0.1).abs() < 0.005, "{rates:?}");
        assert!((rates.arrivals - 0.1).abs() < 0.005, "{rates:?}");
    }
    assert_eq!(
        model.rates(&StationId::from("new")),
        model.rates(&StationId::from("newer"))
    );
}

#[test]
fn trucks_are_no_departures() {
    // Once an hour a truck takes 8 bikes, and another one brings them.
    let observations = observed(
        &[&|minute| Some(if minute % 60 < 30 { 9 } else { 1 })],
        10 * 24 * 60,
    );
    let model = Model::train(&observations, &[30], 500, 1).unwrap();
    let rates = model.rates(&StationId::from("0")).at(10);
    assert_eq!(
        rates,
        FlowRates {
            departures: 0.0,
            arrivals: 0.0
        }
    );
}

#[test]
fn the_online_correction_follows_outcomes_and_forgets_them() {
    let mut correction = OnlineCorrection::new(OnlineOptions {
        tau_h: 24.0,
        intercept_precision: 10.0,
        slope_precision: 10.0,
    });
    assert_eq!(correction.hour(), Line::IDENTITY);
    let line = Line {
        intercept: -0.8,
        slope: 0.7,
    };
    let mut rng = crate::sample::Rng::of(1, 1);
    for _ in 0..20_000 {
        let logit = 6.0 * rng.unit() - 4.0;
        correction.add(logit, rng.happens(1.0 / (1.0 + (-line.logit(logit)).exp())));
    }
    let found = correction.hour();
    assert!((found.intercept - line.intercept).abs() < 0.1, "{found:?}");
    assert!((found.slope - line.slope).abs() < 0.05, "{found:?}");
    let later = (0..24 * 30).map(|_| correction.hour()).last().unwrap();
    assert!((later.logit(-2.0) + 2.0).abs() < 0.01, "{later:?}");
}

#[test]
fn a_level_is_the_ratio_of_flows_to_rates() {
    let mut tracker = LevelTracker::default();
    assert_eq!(tracker.level(), Level::USUAL);
    for _ in 0..3 * 24 * 60 {
        tracker.add(20.0, 10.0, rates(10.0, 10.0));
    }
    let level = tracker.level();
    assert!((level.departures - 2.0).abs() < 0.05, "{level:?}");
    assert!((level.arrivals - 1.0).abs() < 1e-9, "{level:?}");
}

#[test]
fn training_without_outcomes_to_calibrate_by_is_an_error_or_leaves_the_horizon_out() {
    // The recording ends after 14 of 20 days: the last days that have readings are held out.
    let half = observed_at(&[&falling], 20 * 1440, 0..14 * 1440);
    let model = Model::train(&half, &[60], 3_000, 1).unwrap();
    assert_eq!(model.horizons(), [60]);
    assert_ne!(model.calibration(0, Event::EmptyAt), Correction::IDENTITY);
    // The last day has readings for an hour.
    let short = observed_at(&[&falling], 2 * 1440, 0..1440 + 60);
    let model = Model::train(&short, &[15, 1000], 3_000, 1).unwrap();
    assert!(model.horizons().is_empty());
    let reasons: Vec<String> = model.left_out().iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "15 minutes: the last days of the training have 48 outcomes to calibrate by, 100 are needed",
            "1000 minutes: the last days of the training have 0 outcomes to calibrate by, 100 are needed"
        ]
    );
    let day = observed(&[&falling], 1440);
    assert_eq!(
        Model::train(&day, &[60], 3_000, 1).unwrap_err(),
        OutlookError::TooFewDays { days: 1 }
    );
}

/// Departures begin with a slot, and a forecast that goes beyond its start has them from there on.
#[test]
fn a_horizon_that_crosses_a_slot_has_the_rates_of_both() {
    // Six bikes leave from 09:00 to 09:30, and they come back after 20:00.
    let bikes = |minute: usize| match minute % 1440 {
        minute @ 540..570 => 7 - (minute as u32 - 540) / 5,
        570..1200 => 1,
        minute @ 1200..1230 => 2 + (minute as u32 - 1200) / 5,
        _ => 8,
    };
    let observations = observed(&[&move |minute| Some(bikes(minute))], 20 * 1440);
    let model = Model::train(&observations, &[15, 60], 5_000, 1).unwrap();
    let rates = model.rates(&StationId::from("0"));
    let quiet = rates.at(8).departures;
    assert!(rates.at(18).departures > 10.0 * quiet, "{rates:?}");
    let now = Reading { bikes: 8, docks: 2 };
    let outlooks = |start: usize| {
        let slot = |ahead: usize| (start + ahead) / 30 % 48;
        outlooks_of(&model, now, slot)
    };
    let (early, before) = (outlooks(240), outlooks(509));
    assert!(before[1].expected() < early[1].expected() - 1.0);
    let claims = model.claims(
        &StationId::from("0"),
        (Vehicles::All, now),
        (Level::USUAL, Recent::USUAL),
        &[15, 60],
        |ahead| (509 + ahead) / 30 % 48,
    );
    let p = claims[1].probability(Event::EmptyAt).unwrap();
    let correction = model.calibration(1, Event::EmptyAt);
    let corrected = correction.correct(before[1].empty(), Event::EmptyAt, Recent::USUAL);
    assert_eq!(p, corrected);
    assert!((0.0..=1.0).contains(&p));
}

/// The outlooks of the first station at the horizons of a model, before calibration.
fn outlooks_of(model: &Model, now: Reading, slot: impl Fn(usize) -> usize) -> Vec<Outlook> {
    let rates = model.rates(&StationId::from("0"));
    let mut outlooks = Vec::new();
    let horizons = model.horizons();
    super::super::model::run_to(horizons, rates, now, Level::USUAL, slot, |_, outlook| {
        outlooks.push(outlook);
    });
    outlooks
}

/// A flow is of the minutes between two snapshots, and a long gap has none.
#[test]
fn flows_are_spread_over_the_minutes_between_two_snapshots() {
    // A bike leaves every tenth minute and comes back five minutes later: snapshots at 0, 5, 10, …
    let regular = |minute: usize| Some(5 - u32::from(minute % 10 < 5));
    let every = |interval: usize| {
        let days = 20 * 1440;
        let observations = observed_at(&[&regular], days, (0..days).step_by(interval));
        let model = Model::train(&observations, &[30], 20_000, 1).unwrap();
        model.rates(&StationId::from("0")).at(20)
    };
    for interval in [1, 5] {
        let rates = every(interval);
        assert!(
            (rates.departures - 0.1).abs() < 0.005,
            "{interval}: {rates:?}"
        );
        assert!(
            (rates.arrivals - 0.1).abs() < 0.005,
            "{interval}: {rates:?}"
        );
    }
    let flow = |taken: &[usize], bikes: Bikes<'_>, snapshot: usize| {
        let observations = observed_at(&[bikes], 60, taken.iter().copied());
        crate::outlook::flows::flow(&observations, 0, true, snapshot)
    };
    let minutely = [0, 1, 2, 3, 4, 5, 8, 12];
    assert!(flow(&minutely, &|_| Some(5), 6).is_some(), "3 minutes");
    assert!(flow(&minutely, &|_| Some(5), 7).is_none(), "4 minutes");
    let left = |at: usize, n: u32| move |minute: usize| Some(10 - if minute >= at { n } else { 0 });
    assert!(flow(&minutely, &left(3, 4), 3).is_some());
    assert!(flow(&minutely, &left(3, 5), 3).is_none(), "a truck");
    // In 9 minutes a change of 15 is counted as one.
    let rare = [0, 9, 18, 27];
    assert_eq!(flow(&rare, &left(18, 9), 2).unwrap().departures, 9);
}

#[test]
fn a_rack_without_docks_takes_more_bikes() {
    let bikes: Vec<u32> = random_bikes(10 * 1440, 1);
    let mut builder = builder(10 * 1440);
    for (minute, bikes) in bikes.iter().enumerate() {
        builder.add(&snapshot(minute as f64, vec![station(0, Some(*bikes), 0)]));
    }
    let model = Model::train(&builder.finish(), &[60], 5_000, 1).unwrap();
    let rates = model.rates(&StationId::from("0"));
    assert!((rates.at(3).arrivals - 0.1).abs() < 0.03, "{rates:?}");
    let now = Reading { bikes: 2, docks: 0 };
    let outlooks = outlooks_of(&model, now, |_| 3);
    assert!(outlooks[0].at_least(3) > 0.1, "{outlooks:?}");
}
