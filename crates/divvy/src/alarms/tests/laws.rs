//! What holds for all histories.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Happening, MAX_GAP, rules, run};
use crate::alarms::{Notice, NoticeState};

pub(super) const RULES: &str = r#"
[[rule]]
name = "empty"
when = "empty"
for = "4m"

[[rule]]
name = "at-once"
when = "empty"
for = "0s"
repeat = "3m"

[[rule]]
name = "full"
when = "full"
for = "2m"
stations = ["Place 1", "s2"]

[[rule]]
name = "any"
when = "empty"
combine = "any"
for = "3m"

[[rule]]
name = "all"
when = "empty"
combine = "all"
stations = ["s0", "s1"]
for = "0s"

[[rule]]
name = "likely"
when = "likely_empty"
within = "30m"
probability = 0.5

[[rule]]
name = "any-likely"
when = "likely_empty"
within = "30m"
probability = 0.5
combine = "any"
for = "2m"

[[rule]]
name = "down"
when = "feed_down"
after = "3m"

[[rule]]
name = "stale"
when = "feed_stale"
after = "6m"
repeat = "5m"

[[rule]]
name = "moved"
when = "feed_moved"

[[rule]]
name = "list"
when = "stations_changed"
for = "2m"
"#;

/// Makes what happens, with the minutes of each.
fn happenings() -> impl Strategy<Value = Vec<(i64, Happening)>> {
    let bikes = prop_oneof![
        6 => Just(Some(0_u32)),
        2 => Just(Some(4)),
        3 => Just(Some(10)),
        1 => Just(Some(11)),
        1 => Just(None),
    ];
    let snapshot = prop::collection::vec(bikes, 4);
    let happening = prop_oneof![
        12 => snapshot.prop_map(|bikes| Happening::Snapshot(0, bikes)),
        1 => Just(Happening::Unchanged),
        2 => Just(Happening::Failed),
        1 => Just(Happening::Moved),
    ];
    let step = prop_oneof![12 => 1..3_i64, 1 => 10..40_i64];
    prop::collection::vec((step, happening), 1..60).prop_map(|steps| {
        let mut at = 0;
        let mut add = |(step, happening): (i64, Happening)| {
            at += step;
            (at, happening)
        };
        steps.into_iter().map(&mut add).collect()
    })
}

/// Returns the minutes since the first notice could be.
fn minute_of(text: &str) -> i64 {
    let at: Timestamp = text.parse().unwrap();
    at.duration_since(super::minute(0)).as_mins()
}

/// The snapshots: the minute, and the bikes.
fn snapshots(happenings: &[(i64, Happening)]) -> Vec<(i64, &[Option<u32>])> {
    let snapshots = happenings
        .iter()
        .filter_map(|(at, happening)| match happening {
            Happening::Snapshot(_, bikes) => Some((*at, bikes.as_slice())),
            _ => None,
        });
    snapshots.collect()
}

/// Recounts the notices of a rule on empty stations, each by itself, by the definition: a notice is raised
/// at a snapshot if all snapshots of a stretch that ends with it, is at least as long as `hold` and has no
/// gap, found the station empty; it is resolved likewise.
fn recount(happenings: &[(i64, Happening)], hold: i64) -> BTreeSet<(i64, usize, NoticeState)> {
    let snapshots = snapshots(happenings);
    let is_empty = |index: usize, station: usize| snapshots[index].1[station] == Some(0);
    let mut found = BTreeSet::new();
    for station in 0..4 {
        let mut is_open = false;
        for last in 0..snapshots.len() {
            let mut first = last;
            while first > 0
                && is_empty(first - 1, station) == is_empty(last, station)
                && snapshots[first].0 - snapshots[first - 1].0 <= MAX_GAP
            {
                first -= 1;
            }
            let is_long = snapshots[last].0 - snapshots[first].0 >= hold;
            if is_long && is_empty(last, station) != is_open {
                is_open = !is_open;
                let state = match is_open {
                    true => NoticeState::Raised,
                    false => NoticeState::Resolved,
                };
                found.insert((snapshots[last].0, station, state));
            }
        }
    }
    found
}

fn of_rule<'a>(notices: &'a [Notice], rule: &str) -> impl Iterator<Item = &'a Notice> {
    notices.iter().filter(move |notice| notice.rule == rule)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn raised_and_resolved_alternate(happenings in happenings()) {
        let notices = run(&rules(RULES), &happenings, &[]);
        let mut open: BTreeMap<(&str, &str), bool> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for notice in &notices {
            prop_assert!(ids.insert(&notice.id), "{notice:?} has the id of another");
            let is_open = open.entry((&notice.rule, &notice.subject)).or_default();
            match notice.state {
                NoticeState::Raised => prop_assert!(!std::mem::replace(is_open, true)),
                NoticeState::Resolved => prop_assert!(std::mem::replace(is_open, false)),
                NoticeState::Reminder => prop_assert!(*is_open),
                NoticeState::Event => prop_assert!(["moved", "list"].contains(&&*notice.rule)),
            }
        }
    }

    #[test]
    fn a_restart_anywhere_changes_nothing(
        happenings in happenings(),
        restarts in prop::collection::vec(0..60_usize, 0..8),
    ) {
        let rules = rules(RULES);
        let whole = run(&rules, &happenings, &[]);
        prop_assert_eq!(run(&rules, &happenings, &restarts), whole);
    }

    #[test]
    fn each_station_that_is_empty_long_enough_is_raised_once(happenings in happenings()) {
        let notices = run(&rules(RULES), &happenings, &[]);
        for (rule, hold) in [("empty", 4), ("at-once", 0)] {
            let found: BTreeSet<(i64, usize, NoticeState)> = of_rule(&notices, rule)
                .filter(|notice| notice.state != NoticeState::Reminder)
                .map(|notice| {
                    let station = notice.subject[1..].parse().unwrap();
                    (minute_of(&notice.at), station, notice.state)
                })
                .collect();
            prop_assert_eq!(found, recount(&happenings, hold), "{}", rule);
        }
    }

    #[test]
    fn no_notice_about_stations_is_in_a_gap_and_none_counts_one(happenings in happenings()) {
        let notices = run(&rules(RULES), &happenings, &[]);
        let snapshots = snapshots(&happenings);
        for notice in &notices {
            if ["down", "stale", "moved"].contains(&&*notice.rule) {
                continue;
            }
            let (since, at) = (minute_of(&notice.since), minute_of(&notice.at));
            prop_assert!(snapshots.iter().any(|(minute, _)| *minute == at), "{notice:?}");
            prop_assert!(since <= at);
            if notice.state == NoticeState::Raised {
                let within = snapshots.iter().filter(|(minute, _)| (since..=at).contains(minute));
                let minutes: Vec<i64> = within.map(|(minute, _)| *minute).collect();
                let has_gap = minutes.windows(2).any(|two| two[1] - two[0] > MAX_GAP);
                prop_assert!(!has_gap, "{notice:?}");
            }
        }
    }
}
