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

/// Euler's method errs by a part of the rate of a step: 16 times less in steps a sixteenth as long.
#[test]
fn the_chain_is_the_matrix_exponential() {
    for (bikes, places, of, minutes) in [
        (0, 4, rates(0.05, 0.1), 30),
        (3, 6, rates(0.1, 0.1), 60),
        (5, 5, rates(0.02, 0.15), 15),
        (2, 8, rates(0.2, 0.05), 120),
        (1, 1, rates(0.1, 0.1), 10),
    ] {
        let distribution = exact(bikes, places, of, minutes as f64, None);
        let empty = exact(bikes, places, of, minutes as f64, Some(0))[0];
        let full = exact(bikes, places, of, minutes as f64, Some(places))[places];
        for parts in [1, 16] {
            let step = rates(of.arrivals / parts as f64, of.departures / parts as f64);
            let outlook = chain(bikes, places, step, parts * minutes);
            let close = |a: f64, b: f64| (a - b).abs() < 0.04 / parts as f64;
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

    #[test]
    fn more_departures_never_make_an_empty_station_less_likely(
        places in 1_usize..25, share in 0.0..=1.0, up in 0.0..0.2, down in 0.0..0.2,
        more in 0.0..0.1, minutes in 1_usize..100,
    ) {
        let bikes = (share * places as f64) as usize;
        let outlook = chain(bikes, places, rates(up, down), minutes);
        let faster = chain(bikes, places, rates(up, down + more), minutes);
        prop_assert!(faster.empty() >= outlook.empty() - 1e-12);
        prop_assert!(faster.empty_within >= outlook.empty_within - 1e-12);
        prop_assert!(faster.full_within <= outlook.full_within + 1e-12);
        prop_assert!(faster.expected() <= outlook.expected() + 1e-12);
    }
}

/// Observations of stations, one snapshot for each item of `minutes`: bikes, or `None` for out of service. A
/// station has 10 places.
fn observed(stations: &[&dyn Fn(usize) -> Option<u32>], minutes: usize) -> Observations {
    let system = System::named("divvy").unwrap();
    let calendar = Calendar {
        zone: Zone::named("America/Chicago").unwrap(),
        holidays: ["2013-10-14".parse().unwrap()].into(),
    };
    let start: Timestamp = "2013-10-01T05:00:00Z".parse().unwrap();
    let at =
        |minute: usize| Timestamp::from_second(start.as_second() + 60 * minute as i64).unwrap();
    let mut builder = ObservationsBuilder::new(calendar, start..at(minutes));
    for minute in 0..minutes {
        let station = |(index, bikes): (usize, &&dyn Fn(usize) -> Option<u32>)| {
            let bikes = bikes(minute);
            Station {
                status: Some(match bikes {
                    Some(_) => StationStatus::InService,
                    None => StationStatus::NotInService,
                }),
                available: Availability {
                    vehicles: Some(bikes.unwrap_or(0)),
                    docks: Some(10 - bikes.unwrap_or(0)),
                    ..Availability::default()
                },
                ..Station::unknown(StationId::from(index.to_string().as_str()))
            }
        };
        builder.add(&Snapshot {
            system: system.clone(),
            taken_at: at(minute),
            kind: SnapshotKind::Full,
            by_type: Default::default(),
            stations: stations.iter().enumerate().map(station).collect(),
        });
    }
    builder.finish()
}

#[test]
fn minutes_out_of_service_have_no_reading_and_no_outcome() {
    let observations = observed(
        &[&|minute| (!(10..40).contains(&minute)).then_some(u32::from(minute < 5))],
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
    let model = Model::train(&observations, &[30], 2_000, 1);
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
    let model = Model::train(&observations, &[30], 100, 1);
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

#[test]
fn a_backtest_scores_every_horizon_and_event_and_is_the_same_for_the_same_seed() {
    // Bikes leave through the day and are back in the morning: at the same minutes each day.
    let falling = |minute: usize| Some(9 - ((minute % 1440) / 150) as u32);
    let steady = |_: usize| Some(5);
    let stations: [&dyn Fn(usize) -> Option<u32>; 2] = [&falling, &steady];
    let (train, test) = (
        observed(&stations, 14 * 1440),
        observed(&stations, 5 * 1440),
    );
    let options = BacktestOptions {
        horizons: vec![120, 60],
        samples: 3_000,
        ..BacktestOptions::default()
    };
    let scores = backtest(&train, &test, &options);
    let of: Vec<_> = scores
        .iter()
        .map(|score| (score.horizon_min, score.event))
        .collect();
    let both = [60, 120]
        .into_iter()
        .flat_map(|h| Event::ALL.map(|event| (h, event)));
    assert_eq!(of, both.collect::<Vec<_>>());
    for score in &scores {
        assert!(
            score.n > 1_000 && (0.0..0.25).contains(&score.brier),
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
    assert_eq!(backtest(&train, &test, &options), scores);
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
    let parts = score.reliability - score.resolution + score.uncertainty;
    assert!((score.brier - parts).abs() < 1e-12, "{score:?}");
    assert_eq!(
        (score.n, score.events, score.calibration.len()),
        (110, 36, 2)
    );
    // Persistence errs by 1 for each event.
    let skill = 1.0 - score.brier / (36.0 / 110.0);
    assert!((score.skill_persistence.unwrap() - skill).abs() < 1e-12);
}
