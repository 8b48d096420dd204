use super::*;

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
    let score = crate::outlook::scores::Tally::default().score(60, Event::FullAt);
    assert_eq!((score.n, score.brier, score.log_score), (0, None, None));
    assert_eq!((score.reliability, score.skill_persistence), (None, None));
}

/// Programs read these names.
#[test]
fn the_json_of_a_score_is_a_contract() {
    let score = crate::outlook::scores::Tally::default().score(60, Event::FullWithin);
    assert_eq!(
        serde_json::to_string(&score).unwrap(),
        r#"{"horizon_min":60,"event":"full_within","n":0,"events":0,"brier":null,"skill_persistence":null,"skill_climatology":null,"skill_bikes_table":null,"log_score":null,"calibration":[],"log_score_bikes_table":null,"reliability":null,"resolution":null,"uncertainty":null}"#
    );
    assert_eq!(
        serde_json::to_string(&Bin::default()).unwrap(),
        r#"{"from":0.0,"until":0.0,"n":0,"forecast":0.0,"observed":0.0}"#
    );
}

/// Levels, stations and online corrections of the first days are the same without the days after them.
#[test]
fn nothing_depends_on_later_observations() {
    let model = Model::train(&random(10 * 1440, 1), &[30, 120], 5_000, 1).unwrap();
    let (all, cut) = (random(5 * 1440, 1), random(3 * 1440, 1));
    let (mut of_all, mut of_cut) = (model.conditions(&all), model.conditions(&cut));
    assert_eq!(of_all.levels[..of_cut.levels.len()], of_cut.levels[..]);
    for minute in [0, 1, 700, 3 * 1440 - 1] {
        let both = [&mut of_all, &mut of_cut].map(|of| of.recents.until(2, minute).recent());
        assert_eq!(both[0], both[1], "{minute}");
    }
    let online = OnlineOptions::default();
    let lines = crate::outlook::backtest::lines(&model, &all, &mut of_all, online);
    let cut_lines = crate::outlook::backtest::lines(&model, &cut, &mut of_cut, online);
    assert_eq!(lines[..cut_lines.len()], cut_lines[..]);
    assert_ne!(lines.last().unwrap()[0][0], Line::IDENTITY);
    // The first forecast is made at minute 0, and its outcome at 120 minutes is known three minutes after
    // it: in the hour from minute 180.
    let at_120 = |hour: usize| lines[hour][1][Event::EmptyAt as usize];
    assert_eq!([0, 1, 2].map(at_120), [Line::IDENTITY; 3]);
    assert_ne!(at_120(3), Line::IDENTITY);
    let at_30 = |hour: usize| lines[hour][0][Event::EmptyAt as usize];
    assert!(at_30(0) == Line::IDENTITY && at_30(1) != Line::IDENTITY);
}

#[test]
fn the_parts_of_the_brier_score_add_up_where_forecasts_of_a_bin_are_equal() {
    use crate::outlook::baselines::Baseline;
    let baseline = Baseline {
        persistence: 0.0,
        climatology: 0.2,
        bikes_table: 0.3,
    };
    let mut tally = crate::outlook::scores::Tally::default();
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
