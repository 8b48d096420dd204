use proptest::prelude::*;

use super::*;

/// Runs a chain with constant rates.
fn chain(bikes: usize, places: usize, rates: FlowRates, minutes: usize) -> Outlook {
    let mut chain = Chain::new(bikes, places);
    (0..minutes).for_each(|_| chain.minute(rates));
    chain.outlook()
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
