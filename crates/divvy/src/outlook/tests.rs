use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Availability, Snapshot, SnapshotKind, Station, StationId, StationStatus, System, Zone,
};

/// Runs a chain with constant rates.
fn chain(bikes: usize, places: usize, rates: FlowRates, minutes: usize) -> Outlook {
    let mut chain = Chain::new(bikes, places);
    (0..minutes).for_each(|_| chain.minute(rates));
    chain.outlook()
}

fn rates(arrivals: f64, departures: f64) -> FlowRates {
    FlowRates {
        departures,
        arrivals,
    }
}

/// The distribution of the chain after `minutes`, by the matrix exponential: its series at a small
/// part of the time, squared. `holds` is a state that is never left.
fn exact(
    bikes: usize,
    places: usize,
    rates: FlowRates,
    minutes: f64,
    holds: Option<usize>,
) -> Vec<f64> {
    const SQUARINGS: i32 = 12;
    let states = places + 1;
    let time = minutes / 2_f64.powi(SQUARINGS);
    let mut generator = vec![vec![0.0; states]; states];
    for (from, row) in generator.iter_mut().enumerate() {
        if holds == Some(from) {
            continue;
        }
        if from < places {
            row[from + 1] = rates.arrivals * time;
        }
        if from > 0 {
            row[from - 1] = rates.departures * time;
        }
        row[from] = -row.iter().sum::<f64>();
    }
    let identity = |row: usize, column: usize| f64::from(u8::from(row == column));
    let product = |a: &Vec<Vec<f64>>, b: &Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let cell = |row: usize, column: usize| (0..states).map(|k| a[row][k] * b[k][column]).sum();
        (0..states)
            .map(|row| (0..states).map(|column| cell(row, column)).collect())
            .collect()
    };
    let start: Vec<Vec<f64>> = (0..states)
        .map(|row| (0..states).map(|column| identity(row, column)).collect())
        .collect();
    let (mut sum, mut term) = (start.clone(), start);
    for n in 1..12 {
        term = product(&term, &generator);
        term.iter_mut()
            .flatten()
            .for_each(|cell| *cell /= f64::from(n));
        for (row, terms) in sum.iter_mut().zip(&term) {
            row.iter_mut()
                .zip(terms)
                .for_each(|(cell, term)| *cell += term);
        }
    }
    for _ in 0..SQUARINGS {
        sum = product(&sum, &sum);
    }
    sum[bikes].clone()
}

/// The Taylor series of second order errs by the square of a step: 16 times less in steps a quarter as
/// long. Rates reach the largest ones that are still done in one or two steps.
#[test]
fn the_chain_is_the_matrix_exponential() {
    for (bikes, places, of, minutes) in [
        (0, 4, rates(0.05, 0.1), 30),
        (3, 6, rates(0.1, 0.1), 60),
        (5, 5, rates(0.02, 0.15), 15),
        (2, 8, rates(0.2, 0.05), 120),
        (1, 1, rates(0.1, 0.1), 10),
        (5, 15, rates(0.05, 0.44), 15),
        (5, 15, rates(0.04, 0.209), 15),
        (2, 4, rates(0.12, 0.129), 5),
        (1, 1, rates(0.125, 0.124), 3),
        (10, 20, rates(0.8, 0.19), 30),
    ] {
        let distribution = exact(bikes, places, of, minutes as f64, None);
        let empty = exact(bikes, places, of, minutes as f64, Some(0))[0];
        let full = exact(bikes, places, of, minutes as f64, Some(places))[places];
        for parts in [1, 4] {
            let step = rates(of.arrivals / parts as f64, of.departures / parts as f64);
            let outlook = chain(bikes, places, step, parts * minutes);
            let close = |a: f64, b: f64| (a - b).abs() < 0.01 / (parts * parts) as f64;
            for (approximate, exact) in outlook.bikes.iter().zip(&distribution) {
                let what = format!("{parts}: {outlook:?} is not {distribution:?}");
                assert!(close(*approximate, *exact), "{what}");
            }
            assert!(
                close(outlook.empty_within, empty),
                "{outlook:?}: not {empty}"
            );
            assert!(close(outlook.full_within, full), "{outlook:?}: not {full}");
        }
    }
}

#[test]
fn fast_rates_are_halved_until_they_fit_a_step() {
    let outlook = chain(5, 10, rates(3.0, 40.0), 2);
    assert!((outlook.bikes.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(outlook.bikes.iter().all(|p| *p >= 0.0));
    // The stationary distribution of the queue.
    assert!(
        (outlook.empty() - (1.0 - 3.0 / 40.0)).abs() < 1e-6,
        "{}",
        outlook.empty()
    );
}

proptest! {
    #[test]
    fn the_distribution_is_one_and_within_is_more_than_at(
        places in 1_usize..30, share in 0.0..=1.0, up in 0.0..1.5, down in 0.0..1.5,
        minutes in 1_usize..150,
    ) {
        let bikes = (share * places as f64) as usize;
        let outlook = chain(bikes, places, rates(up, down), minutes);
        prop_assert!((outlook.bikes.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(outlook.bikes.iter().all(|p| (-1e-12..=1.0 + 1e-9).contains(p)));
        prop_assert!(outlook.empty_within >= outlook.empty() - 1e-12);
        prop_assert!(outlook.full_within >= outlook.full() - 1e-12);
        prop_assert!((outlook.at_least(1) - (1.0 - outlook.empty())).abs() < 1e-9);
        prop_assert!((0.0..=places as f64 + 1e-9).contains(&outlook.expected()));
    }

    #[test]
    fn full_is_the_mirror_of_empty(
        places in 1_usize..30, share in 0.0..=1.0, up in 0.0..1.5, down in 0.0..1.5,
        minutes in 1_usize..100,
    ) {
        let bikes = (share * places as f64) as usize;
        let outlook = chain(bikes, places, rates(up, down), minutes);
        let mirror = chain(places - bikes, places, rates(down, up), minutes);
        prop_assert!((outlook.empty() - mirror.full()).abs() < 1e-12);
        prop_assert!((outlook.empty_within - mirror.full_within).abs() < 1e-12);
    }

    /// But for the error of the steps, of which more departures may need more.
    #[test]
    fn more_departures_never_make_an_empty_station_less_likely(
        places in 1_usize..25, share in 0.0..=1.0, up in 0.0..0.2, down in 0.0..0.2,
        more in 0.0..0.1, minutes in 1_usize..100,
    ) {
        let bikes = (share * places as f64) as usize;
        let outlook = chain(bikes, places, rates(up, down), minutes);
        let faster = chain(bikes, places, rates(up, down + more), minutes);
        prop_assert!(faster.empty() >= outlook.empty() - 0.01);
        prop_assert!(faster.empty_within >= outlook.empty_within - 0.01);
        prop_assert!(faster.full_within <= outlook.full_within + 0.01);
        prop_assert!(faster.expected() <= outlook.expected() + 0.01 * places as f64);
    }
}

/// The bikes of a station by minute, or `None` for out of service.
type Bikes<'a> = &'a dyn Fn(usize) -> Option<u32>;

/// Midnight in Chicago.
const START: &str = "2013-10-01T05:00:00Z";

fn at(minute: f64) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    Timestamp::from_second(start.as_second() + (60.0 * minute) as i64).unwrap()
}

fn builder(minutes: usize) -> ObservationsBuilder {
    let calendar = Calendar {
        zone: Zone::named("America/Chicago").unwrap(),
        holidays: ["2013-10-14".parse().unwrap()].into(),
    };
    ObservationsBuilder::new(calendar, at(0.0)..at(minutes as f64))
}

fn station(index: usize, bikes: Option<u32>, docks: u32) -> Station {
    Station {
        status: Some(match bikes {
            Some(_) => StationStatus::InService,
            None => StationStatus::NotInService,
        }),
        available: Availability {
            vehicles: Some(bikes.unwrap_or(0)),
            docks: Some(docks),
            ..Availability::default()
        },
        ..Station::unknown(StationId::from(index.to_string().as_str()))
    }
}

fn snapshot(minute: f64, stations: Vec<Station>) -> Snapshot {
    Snapshot {
        system: System::named("divvy").unwrap(),
        taken_at: at(minute),
        kind: SnapshotKind::Full,
        by_type: Default::default(),
        stations,
    }
}

/// Observations of stations with 10 places, one snapshot in each of the minutes `taken` of a period.
fn observed_at(
    stations: &[Bikes<'_>],
    minutes: usize,
    taken: impl IntoIterator<Item = usize>,
) -> Observations {
    let mut builder = builder(minutes);
    for minute in taken {
        let stations = stations.iter().enumerate().map(|(index, bikes)| {
            let bikes = bikes(minute);
            station(index, bikes, 10 - bikes.unwrap_or(0))
        });
        let added = builder.add(&snapshot(minute as f64, stations.collect()));
        assert_eq!(added, Added::Taken);
    }
    builder.finish()
}

/// The same with a snapshot in each minute.
fn observed(stations: &[Bikes<'_>], minutes: usize) -> Observations {
    observed_at(stations, minutes, 0..minutes)
}

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
fn a_platt_line_is_found_again() {
    let line = Platt {
        alpha: -0.7,
        c: 0.6,
    };
    let mut rng = crate::sample::Rng::of(1, 1);
    let draw = |_| {
        let logit = 8.0 * rng.unit() - 4.0;
        let p = 1.0 / (1.0 + (-line.logit(logit)).exp());
        (logit, rng.happens(p))
    };
    let forecasts: Vec<_> = (0..40_000).map(draw).collect();
    let fitted = Platt::fit(&forecasts);
    assert!((fitted.alpha - line.alpha).abs() < 0.05, "{fitted:?}");
    assert!((fitted.c - line.c).abs() < 0.03, "{fitted:?}");
    assert_eq!(Platt::fit(&[]), Platt::IDENTITY);
    let one_kind = Platt::fit(&[(-2.0, false); 50]);
    assert!(
        one_kind.alpha.is_finite() && one_kind.c.is_finite(),
        "{one_kind:?}"
    );
}

#[test]
fn the_online_intercept_follows_outcomes_and_forgets_them() {
    let mut intercept = OnlineIntercept::new(24.0, 10.0);
    assert_eq!(intercept.hour(), 0.0);
    for _ in 0..2_000 {
        // Said to be 12 %, and half of them happen.
        intercept.add(-2.0, true);
        intercept.add(-2.0, false);
    }
    let shifted = intercept.hour();
    assert!((shifted - 2.0).abs() < 0.1, "{shifted}");
    let later = (0..24 * 30).map(|_| intercept.hour()).last().unwrap();
    assert!(later.abs() < 0.01, "{later}");
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

/// Bikes leave through the day and are back in the morning: at the same minutes each day.
fn falling(minute: usize) -> Option<u32> {
    Some(9 - ((minute % 1440) / 150) as u32)
}

#[test]
fn a_backtest_scores_every_horizon_and_event_and_is_the_same_for_the_same_seed() {
    let stations: [Bikes<'_>; 2] = [&falling, &|_| Some(5)];
    let (train, test) = (
        observed(&stations, 14 * 1440),
        observed(&stations, 5 * 1440),
    );
    let options = BacktestOptions {
        horizons: vec![120, 60],
        samples: 3_000,
        ..BacktestOptions::default()
    };
    let tested = backtest(&train, &test, &options).unwrap();
    let scores = &tested.scores;
    assert_eq!((tested.samples, &tested.left_out[..]), (3_000, &[][..]));
    let of: Vec<_> = scores
        .iter()
        .map(|score| (score.horizon_min, score.event))
        .collect();
    let both = [60, 120]
        .into_iter()
        .flat_map(|h| Event::ALL.map(|event| (h, event)));
    assert_eq!(of, both.collect::<Vec<_>>());
    for score in scores {
        assert!(
            score.n > 1_000 && (0.0..0.25).contains(&score.brier.unwrap()),
            "{score:?}"
        );
        let counted: usize = score.calibration.iter().map(|bin| bin.n).sum();
        assert_eq!(counted, score.n);
        if score.event == Event::EmptyWithin {
            assert!(
                score.events > 0 && score.skill_persistence > Some(0.0),
                "{score:?}"
            );
        }
    }
    assert_eq!(backtest(&train, &test, &options).unwrap(), tested);
}

/// A chain of bikes at 10 places, which goes up and down at random each minute.
fn random_bikes(minutes: usize, station: u64) -> Vec<u32> {
    let mut rng = crate::sample::Rng::of(5, station);
    let mut bikes = 3_u32;
    let mut next = |_| {
        let (up, down) = (rng.happens(0.1), rng.happens(0.12));
        bikes = (bikes + u32::from(up)).min(10);
        bikes = bikes.saturating_sub(u32::from(down));
        bikes
    };
    (0..minutes).map(&mut next).collect()
}

/// Observations of 6 random stations, one snapshot in `interval` minutes.
fn random(minutes: usize, interval: usize) -> Observations {
    let bikes: Vec<Vec<u32>> = (0..6).map(|s| random_bikes(minutes, s)).collect();
    let of: Vec<Box<dyn Fn(usize) -> Option<u32>>> = bikes
        .into_iter()
        .map(|bikes| -> Box<dyn Fn(usize) -> Option<u32>> { Box::new(move |m| Some(bikes[m])) })
        .collect();
    let stations: Vec<Bikes<'_>> = of.iter().map(|bikes| &**bikes).collect();
    observed_at(&stations, minutes, (0..minutes).step_by(interval))
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
fn horizons_below_the_interval_are_left_out_and_named() {
    let (train, test) = (random(20 * 1440, 30), random(20 * 1440, 30));
    let options = |horizons: &[usize]| BacktestOptions {
        horizons: horizons.to_vec(),
        ..BacktestOptions::default()
    };
    let tested = backtest(&train, &test, &options(&[15, 60])).unwrap();
    let left_out: Vec<String> = tested.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(left_out, ["15 minutes: snapshots are 30 minutes apart"]);
    assert!(tested.scores.iter().all(|score| score.horizon_min == 60));
    // All are drawn, each once.
    assert_eq!(tested.samples, test.count_readings());
    let error = backtest(&train, &test, &options(&[15])).unwrap_err();
    assert!(matches!(error, OutlookError::NoHorizon { .. }), "{error}");
}

#[test]
fn training_without_outcomes_to_calibrate_by_is_an_error_or_leaves_the_horizon_out() {
    // The recording ends after 14 of 20 days: the last days that have readings are held out.
    let half = observed_at(&[&falling], 20 * 1440, 0..14 * 1440);
    let model = Model::train(&half, &[60], 3_000, 1).unwrap();
    assert_eq!(model.horizons(), [60]);
    assert_ne!(model.calibration(0, Event::EmptyAt), Platt::IDENTITY);
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

#[test]
fn a_horizon_without_outcomes_in_the_test_is_named() {
    let (train, test) = (random(10 * 1440, 1), random(1440, 1));
    let options = BacktestOptions {
        horizons: vec![60, 1440],
        samples: 5_000,
        ..BacktestOptions::default()
    };
    let tested = backtest(&train, &test, &options).unwrap();
    let left_out: Vec<String> = tested.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(left_out, ["1440 minutes: the test has no outcome"]);
    assert_eq!(tested.scores.len(), 4);
}

#[test]
fn a_score_without_forecasts_is_null() {
    let score = super::scores::Tally::default().score(60, Event::FullAt);
    assert_eq!((score.n, score.brier, score.log_score), (0, None, None));
    assert_eq!((score.reliability, score.skill_persistence), (None, None));
}

/// Programs read these names.
#[test]
fn the_json_of_a_score_is_a_contract() {
    let score = super::scores::Tally::default().score(60, Event::FullWithin);
    assert_eq!(
        serde_json::to_string(&score).unwrap(),
        r#"{"horizon_min":60,"event":"full_within","n":0,"events":0,"brier":null,"skill_persistence":null,"skill_climatology":null,"skill_bikes_table":null,"log_score":null,"calibration":[],"log_score_bikes_table":null,"reliability":null,"resolution":null,"uncertainty":null}"#
    );
    assert_eq!(
        serde_json::to_string(&Bin::default()).unwrap(),
        r#"{"from":0.0,"until":0.0,"n":0,"forecast":0.0,"observed":0.0}"#
    );
}

/// Levels and intercepts of the first days are the same without the days after them.
#[test]
fn nothing_depends_on_later_observations() {
    let model = Model::train(&random(10 * 1440, 1), &[30, 120], 5_000, 1).unwrap();
    let (all, cut) = (random(5 * 1440, 1), random(3 * 1440, 1));
    let (levels, cut_levels) = (model.levels(&all), model.levels(&cut));
    assert_eq!(levels[..cut_levels.len()], cut_levels[..]);
    let online = OnlineOptions::default();
    let shifts = super::backtest::shifts(&model, &all, &levels, online);
    let cut_shifts = super::backtest::shifts(&model, &cut, &cut_levels, online);
    assert_eq!(shifts[..cut_shifts.len()], cut_shifts[..]);
    assert!(shifts.last().unwrap()[0][0] != 0.0, "{shifts:?}");
    // The first forecast is made at minute 0, and its outcome at 120 minutes is known three minutes after
    // it: in the hour from minute 180.
    let at_120 = |hour: usize| shifts[hour][1][Event::EmptyAt as usize];
    assert_eq!((at_120(0), at_120(1), at_120(2)), (0.0, 0.0, 0.0));
    assert_ne!(at_120(3), 0.0);
    let at_30 = |hour: usize| shifts[hour][0][Event::EmptyAt as usize];
    assert!(at_30(0) == 0.0 && at_30(1) != 0.0);
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
        model.outlooks(&StationId::from("0"), now, Level::USUAL, slot)
    };
    let (early, before) = (outlooks(240), outlooks(509));
    assert!(before[1].expected() < early[1].expected() - 1.0);
    let p = model.probability(1, Event::EmptyAt, &before[1]);
    let line = model.calibration(1, Event::EmptyAt);
    assert_eq!(p, line.correct(before[1].empty()));
    assert!((0.0..=1.0).contains(&p));
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
        super::flows::flow(&observations, 0, true, snapshot)
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
    let outlooks = model.outlooks(&StationId::from("0"), now, Level::USUAL, |_| 3);
    assert!(outlooks[0].at_least(3) > 0.1, "{outlooks:?}");
}

#[test]
fn the_parts_of_the_brier_score_add_up_where_forecasts_of_a_bin_are_equal() {
    use super::baselines::Baseline;
    let baseline = Baseline {
        persistence: 0.0,
        climatology: 0.2,
        bikes_table: 0.3,
    };
    let mut tally = super::scores::Tally::default();
    for (p, happened, n) in [
        (0.15, true, 30),
        (0.15, false, 70),
        (0.75, true, 6),
        (0.75, false, 4),
    ] {
        (0..n).for_each(|_| tally.add(p, baseline, happened));
    }
    let score = tally.score(60, Event::EmptyAt);
    let parts = score.reliability.unwrap() - score.resolution.unwrap() + score.uncertainty.unwrap();
    assert!((score.brier.unwrap() - parts).abs() < 1e-12, "{score:?}");
    assert_eq!(
        (score.n, score.events, score.calibration.len()),
        (110, 36, 2)
    );
    // Persistence errs by 1 for each event.
    let skill = 1.0 - score.brier.unwrap() / (36.0 / 110.0);
    assert!((score.skill_persistence.unwrap() - skill).abs() < 1e-12);
}
