use proptest::prelude::*;

use super::*;
use crate::outlook::calibration::{CLIP, Raw, logit, sigmoid};
use crate::outlook::regression::solve;

fn raw(logit: f64, share: f64, flows: f64) -> Raw {
    let recent = Recent {
        without_bikes: share,
        without_docks: 0.0,
        flows,
    };
    Raw::new(logit, Event::EmptyAt, recent)
}

#[test]
fn a_correction_is_found_again() {
    let correction = Correction::of([-0.7, 0.6, -0.2, 0.3, 0.8]);
    let mut rng = crate::sample::Rng::of(1, 1);
    let draw = |_| {
        let raw = raw(8.0 * rng.unit() - 6.0, rng.unit(), 0.2 + 3.0 * rng.unit());
        (raw, rng.happens(sigmoid(correction.logit(raw))))
    };
    let forecasts: Vec<_> = (0..80_000).map(draw).collect();
    let fitted = Correction::fit(&forecasts);
    for (logit, share, flows) in [(-6.0, 0.0, 0.3), (-3.0, 0.5, 1.0), (1.5, 0.9, 3.0)] {
        let raw = raw(logit, share, flows);
        let both = [correction, fitted].map(|of| sigmoid(of.logit(raw)));
        assert!((both[0] - both[1]).abs() < 0.02, "{both:?}");
    }
    assert_eq!(Correction::fit(&[]), Correction::IDENTITY);
    let one_kind = Correction::fit(&[(raw(-2.0, 0.0, 1.0), false); 50]);
    assert!(
        one_kind.logit(raw(-2.0, 0.0, 1.0)).is_finite(),
        "{one_kind:?}"
    );
}

/// Forecasts of which so many in a thousand come true.
fn of_thousand(raw: Raw, n: usize, came_true: usize) -> impl Iterator<Item = (Raw, bool)> {
    (0..n).map(move |index| (raw, index * 7919 % 1000 < came_true))
}

#[test]
fn forecasts_close_to_0_are_corrected_whatever_their_share() {
    let lowest = logit(CLIP);
    let mean = |correction: Correction, logit: f64| sigmoid(correction.logit(raw(logit, 0.0, 1.0)));
    // All of them are close to 0, and 2 % happen.
    let forecasts: Vec<_> = of_thousand(raw(lowest, 0.0, 1.0), 2_000, 20).collect();
    let fitted = Correction::fit(&forecasts);
    assert!((mean(fitted, lowest) - 0.02).abs() < 0.005, "{fitted:?}");
    // Nearly all are, and the others are spread.
    for came_true in [1, 3, 5] {
        let mut forecasts: Vec<_> = of_thousand(raw(lowest, 0.0, 1.0), 2_000, came_true).collect();
        let mut rng = crate::sample::Rng::of(1, 1);
        for _ in 0..60 {
            let logit = 8.0 * rng.unit() - 7.0;
            forecasts.push((raw(logit, 0.0, 1.0), rng.happens(sigmoid(logit))));
        }
        let fitted = Correction::fit(&forecasts);
        let expected = came_true as f64 / 1_000.0;
        let found = mean(fitted, lowest);
        assert!(
            (found - expected).abs() < 0.002,
            "{came_true}: {found} {fitted:?}"
        );
    }
}

#[test]
fn a_correction_depends_on_the_number_that_its_event_is_about() {
    let correction = Correction::of([0.0, 1.0, 0.0, 0.5, 0.0]);
    let of = |event, without_bikes| {
        let recent = Recent {
            without_bikes,
            ..Recent::USUAL
        };
        correction.correct(0.3, event, recent)
    };
    assert!(of(Event::EmptyWithin, 0.4) > of(Event::EmptyWithin, 0.0) + 0.1);
    assert_eq!(of(Event::FullWithin, 0.4), of(Event::FullWithin, 0.0));
}

proptest! {
    #[test]
    fn a_correction_never_falls_where_the_chain_rises(
        seed in 0_u64..1_000, n in 20_usize..400, of_clip in 0.0..0.9_f64, glitches in 0.0..0.05_f64
    ) {
        let mut rng = crate::sample::Rng::of(seed, 1);
        let draw = |_| {
            let logit = if rng.happens(of_clip) { logit(CLIP) } else { 10.0 * rng.unit() - 8.0 };
            // Some events happen whatever was forecast.
            let happened = rng.happens(sigmoid(logit)) || rng.happens(glitches);
            (raw(logit, 0.0, 1.0), happened)
        };
        let forecasts: Vec<_> = (0..n).map(draw).collect();
        let fitted = Correction::fit(&forecasts);
        prop_assume!(fitted.logit(raw(0.0, 0.0, 1.0)) < fitted.logit(raw(1.0, 0.0, 1.0)));
        let logits: Vec<f64> = (-115..=115).map(|tenths| f64::from(tenths) / 10.0).collect();
        let corrected = logits.iter().map(|logit| fitted.logit(raw(*logit, 0.0, 1.0)));
        let corrected: Vec<f64> = corrected.collect();
        prop_assert!(corrected.windows(2).all(|two| two[0] <= two[1] + 1e-9), "{fitted:?}");
    }

    #[test]
    fn half_way_between_two_corrections_is_their_mean(
        a in prop::array::uniform5(-2.0..2.0_f64), b in prop::array::uniform5(-2.0..2.0_f64)
    ) {
        let mean = std::array::from_fn(|index| (a[index] + b[index]) / 2.0);
        let half = Correction::of(a).towards(Correction::of(b), 0.5);
        let of = |correction: Correction| correction.logit(raw(-3.0, 0.2, 2.0));
        prop_assert!((of(half) - of(Correction::of(mean))).abs() < 1e-9);
    }

    #[test]
    fn a_solution_fulfils_its_equations(
        rows in prop::array::uniform5(prop::array::uniform5(-2.0..2.0_f64)),
        right in prop::array::uniform5(-5.0..5.0_f64),
    ) {
        // A matrix times its transposed one, and 1 on the diagonal, is positive definite.
        let cell = |row: usize, column: usize| {
            let product: f64 = (0..5).map(|k| rows[row][k] * rows[column][k]).sum();
            product + f64::from(u8::from(row == column))
        };
        let matrix = std::array::from_fn(|row| std::array::from_fn(|column| cell(row, column)));
        let solution = solve(matrix, right);
        for row in 0..5 {
            let left: f64 = (0..5).map(|column| matrix[row][column] * solution[column]).sum();
            prop_assert!((left - right[row]).abs() < 1e-6, "{row}: {left} {}", right[row]);
        }
    }
}
