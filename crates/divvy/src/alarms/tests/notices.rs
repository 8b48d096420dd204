//! Notices of small histories, one rule each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::Happening::{Failed, Moved, Snapshot, Unchanged};
use super::{
    Happening, MAX_GAP, evaluator, likely, minute, rules, run, stations, step, step_all, unnamed,
};
use crate::alarms::notice::Ending;
use crate::alarms::{Evaluator, Expectation, Forecasts, NoticeState, SavedState, Setting};
use crate::model::{StationId, System, SystemId};

/// Writes the notices: the minute of the day, the rule, its subject, the state, the sentence.
fn written(text: &str, happenings: &[(i64, Happening)]) -> String {
    let notices = run(&rules(text), happenings, &[]);
    let lines = notices.iter().map(|notice| {
        let state = notice.state.as_str();
        format!(
            "{} {} {state}: {}",
            &notice.at[11..16],
            notice.subject,
            notice.text
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn at(minutes: impl IntoIterator<Item = i64>, bikes: &[Option<u32>]) -> Vec<(i64, Happening)> {
    let snapshot = |minute| (minute, Snapshot(0, bikes.to_vec()));
    minutes.into_iter().map(snapshot).collect()
}

#[test]
fn a_group_has_one_alarm() {
    let rule = |combine: &str| {
        format!(
            "[[group]]\nname = \"loop\"\nstations = [\"Place 0\", \"PLACE 1\", \"s2\"]\n\
             [[rule]]\nname = \"loop-empty\"\nwhen = \"empty\"\nstations = [\"loop\"]\n\
             combine = \"{combine}\"\nfor = \"0s\""
        )
    };
    let mut happenings = at(0..2, &[Some(3), Some(0), Some(11), Some(0)]);
    happenings.extend(at(2..4, &[Some(0), Some(0), Some(11), Some(5)]));
    happenings.extend(at(4..6, &[Some(1), Some(2), Some(0), Some(5)]));
    happenings.extend(at(6..8, &[Some(1), Some(2), Some(3), Some(0)]));
    insta::assert_snapshot!(written(&rule("any"), &happenings), @r#"
    12:00 loop-empty raised: loop-empty: 1 of 2 stations in service are empty: Place 1
    12:06 loop-empty resolved: loop-empty: 0 of 3 stations in service are empty now; the alarm lasted for 6 minutes
    "#);
    insta::assert_snapshot!(written(&rule("all"), &happenings), @r#"
    12:02 loop-empty raised: loop-empty: 2 of 2 stations in service are empty: Place 0, Place 1
    12:04 loop-empty resolved: loop-empty: 1 of 3 stations in service are empty now; the alarm lasted for 2 minutes
    "#);
}

#[test]
fn a_station_that_is_closed_or_gone_is_no_longer_empty() {
    let rule = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"2m\"";
    let mut happenings = at(0..5, &[Some(0), Some(0), Some(3)]);
    happenings.extend(at(5..9, &[Some(11), None, Some(3)]));
    insta::assert_snapshot!(written(rule, &happenings), @r#"
    12:02 s0 raised: Place 0 has had no bike for 2 minutes
    12:02 s1 raised: Place 1 has had no bike for 2 minutes
    12:07 s0 resolved: Place 0 is out of service; it was empty for 5 minutes
    12:07 s1 resolved: Place 1 is not in the list any more; it was empty for 5 minutes
    "#);
}

#[test]
fn a_station_that_a_rule_no_longer_names_has_an_ending_of_its_own() {
    let rule = rules(
        "[[rule]]\nname = \"low\"\nwhen = \"empty\"\nfor = \"0s\"\nstations = [\"Place 0\", \"Place 1\"]",
    );
    let mut evaluator = evaluator(&rule, SavedState::default());
    step_all(&mut evaluator, &at(0..2, &[Some(0), Some(0)]));
    let mut renamed = super::stations(2);
    renamed[0].name = Some("Elm St".into());
    renamed[1].name = Some("Oak St".into());
    let system = crate::model::System::named("divvy").unwrap();
    evaluator.name_stations(&system, &renamed);
    // The first is still empty, the second is not in the list any more.
    let notices = step_all(&mut evaluator, &at(2..4, &[Some(0), None]));
    let found: Vec<_> = notices
        .iter()
        .map(|notice| (notice.text.as_str(), notice.values.ending))
        .collect();
    assert_eq!(
        found,
        [
            (
                "the rule no longer names Elm St: its alarm is closed",
                Some(Ending::NotNamed)
            ),
            (
                "Oak St is not in the list any more; it was empty for 2 minutes",
                Some(Ending::Over)
            ),
        ]
    );
}

#[test]
fn a_feed_is_stale_whatever_polls_say_and_down_where_they_fail() {
    let rules = "[[rule]]\nname = \"stale\"\nwhen = \"feed_stale\"\nafter = \"3m\"\n\
                 [[rule]]\nname = \"down\"\nwhen = \"feed_down\"\nafter = \"3m\"\nrepeat = \"4m\"";
    let mut happenings = at(0..2, &[Some(1)]);
    happenings.extend((2..6).map(|minute| (minute, Unchanged)));
    happenings.extend((6..16).map(|minute| (minute, Failed)));
    happenings.extend(at(16..21, &[Some(1)]));
    insta::assert_snapshot!(written(rules, &happenings), @r#"
    12:04 feed raised: the newest states of the feed are 3 minutes old
    12:08 feed raised: no poll has succeeded for 3 minutes
    12:12 feed reminder: no poll has succeeded for 7 minutes
    12:19 feed resolved: the feed is up to date again; its states were not for 15 minutes
    12:19 feed resolved: polls succeed again; they failed for 11 minutes
    "#);
}

#[test]
fn a_poll_that_fails_does_not_end_staleness() {
    let rule = "[[rule]]\nname = \"stale\"\nwhen = \"feed_stale\"\nafter = \"3m\"";
    let mut happenings = at([0], &[Some(1)]);
    happenings.extend((1..6).map(|minute| (minute, Failed)));
    happenings.extend(at(6..9, &[Some(1)]));
    // States are less than 3 minutes old until minute 11, and none is newer.
    happenings.extend((9..13).map(|minute| (minute, Failed)));
    happenings.extend(at(13..17, &[Some(1)]));
    insta::assert_snapshot!(written(rule, &happenings), @r#"
    12:03 feed raised: the newest states of the feed are 3 minutes old
    12:16 feed resolved: the feed is up to date again; its states were not for 13 minutes
    "#);
}

#[test]
fn polls_that_were_not_made_have_not_failed() {
    let rule = "[[rule]]\nname = \"down\"\nwhen = \"feed_down\"\nafter = \"3m\"";
    let mut happenings = at(0..2, &[Some(1)]);
    happenings.extend([(100, Failed), (101, Failed), (104, Failed)]);
    insta::assert_snapshot!(written(rule, &happenings), @"13:44 feed raised: no poll has succeeded for 4 minutes");
}

#[test]
fn a_moved_feed_and_another_list_are_events() {
    let rules = "[[rule]]\nname = \"moved\"\nwhen = \"feed_moved\"\n\
                 [[rule]]\nname = \"list\"\nwhen = \"stations_changed\"";
    let mut happenings = at(0..2, &[Some(1), Some(1), None]);
    happenings.push((2, Moved));
    happenings.extend(at(3..5, &[Some(1), None, Some(4)]));
    insta::assert_snapshot!(written(rules, &happenings), @r#"
    12:02 feed event: moved to https://h/?…
    12:03 stations event: 1 station new in the list, 1 not in it any more
    "#);
}

#[test]
fn what_is_likely_has_its_probability() {
    let rule = "[[rule]]\nname = \"soon\"\nwhen = \"likely_empty\"\nfor = \"0s\"\nwithin = \"30m\"\nprobability = 0.6";
    let mut happenings = at(0..2, &[Some(1), Some(1)]);
    happenings.extend(at(2..4, &[Some(0), Some(1)]));
    insta::assert_snapshot!(written(rule, &happenings), @r#"
    12:00 s0 raised: Place 0 will have no bike within 30 minutes, with a probability of 75 %
    12:02 s0 resolved: Place 0 has become empty; that was likely for 2 minutes
    "#);
}

/// A rule about what is likely, of which the notices state how they end.
fn soon(combine: &str, hold: &str) -> String {
    format!(
        "[[rule]]\nname = \"soon\"\nwhen = \"likely_empty\"\nfor = \"{hold}\"\nwithin = \"30m\"\n\
         probability = 0.6\ncombine = \"{combine}\""
    )
}

/// Writes the resolved notices: the minute of the day, how they end, the sentence. They are the same when the
/// evaluator begins again, from its state, before each happening.
fn endings(text: &str, happenings: &[(i64, Happening)]) -> String {
    let notices = run(&rules(text), happenings, &[]);
    let restarts: Vec<usize> = (0..happenings.len()).collect();
    assert_eq!(run(&rules(text), happenings, &restarts), notices);
    let resolved = notices
        .iter()
        .filter(|notice| notice.state == NoticeState::Resolved);
    let lines = resolved.map(|notice| {
        let ending = serde_json::to_string(&notice.values.ending).unwrap();
        format!("{} {ending} {}", &notice.at[11..16], notice.text)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_likely_and_has_happened_is_not_called_unlikely() {
    // Station s0 is likely to be empty while it is in service and is not.
    let likely = || at(0..4, &[Some(1), Some(1)]);
    let became_empty = [likely(), at(4..9, &[Some(0), Some(1)])].concat();
    insta::assert_snapshot!(endings(&soon("each", "2m"), &became_empty), @r#"12:06 "came_true" Place 0 has become empty; that was likely for 4 minutes"#);
    let was_empty = [
        likely(),
        at([4], &[Some(0), Some(1)]),
        at(5..9, &[Some(11), Some(1)]),
    ]
    .concat();
    insta::assert_snapshot!(endings(&soon("each", "2m"), &was_empty), @r#"12:06 "came_true" Place 0 has become empty; that was likely for 4 minutes"#);
    let closed = [likely(), at(4..9, &[Some(11), Some(1)])].concat();
    insta::assert_snapshot!(endings(&soon("each", "2m"), &closed), @r#"12:06 "over" Place 0 is out of service; it was likely to become empty for 4 minutes"#);
    let again = [
        likely(),
        at([4], &[Some(0), Some(1)]),
        at(5..7, &[Some(1), Some(1)]),
        at(7..12, &[Some(11), Some(1)]),
    ]
    .concat();
    insta::assert_snapshot!(endings(&soon("each", "2m"), &again), @r#"12:09 "over" Place 0 is out of service; it was likely to become empty for 7 minutes"#);
}

#[test]
fn of_several_stations_those_that_were_likely_decide_how_it_ends() {
    let rule = &soon("any", "0s");
    let likely = || at(0..4, &[Some(1), Some(0)]);
    let came_true = [likely(), at(4..6, &[Some(0), Some(0)])].concat();
    insta::assert_snapshot!(endings(rule, &came_true), @r#"12:04 "came_true" soon: what was likely has happened, a station has become empty; 0 of 2 stations in service are likely to be empty soon now; the alarm lasted for 4 minutes"#);
    // Station s1 was empty before, and was never likely to become so.
    let closed = [likely(), at(4..6, &[Some(11), Some(0)])].concat();
    insta::assert_snapshot!(endings(rule, &closed), @r#"12:04 "over" soon: 0 of 1 station in service are likely to be empty soon now; the alarm lasted for 4 minutes"#);
}

#[test]
fn what_has_happened_to_one_of_several_stations_counts_until_the_alarm_ends() {
    // Stations s0 and s2 are likely to be empty while they are in service and are not.
    let rule = &soon("any", "0s");
    let both = || at(0..2, &[Some(1), Some(0), Some(1)]);
    let one_is_empty_at = |minutes| at(minutes, &[Some(0), Some(0), Some(1)]);
    let one_is_empty = || one_is_empty_at(2..4);
    let other_closes = [
        both(),
        one_is_empty(),
        at(4..6, &[Some(0), Some(0), Some(11)]),
    ];
    insta::assert_snapshot!(endings(rule, &other_closes.concat()), @r#"12:04 "came_true" soon: what was likely has happened, a station has become empty; 0 of 2 stations in service are likely to be empty soon now; the alarm lasted for 4 minutes"#);
    // The station that was empty is out of service when the alarm ends.
    let all_close = [
        both(),
        one_is_empty(),
        at(4..6, &[Some(11), Some(0), Some(1)]),
        at(6..8, &[Some(11), Some(0), Some(11)]),
    ];
    insta::assert_snapshot!(endings(rule, &all_close.concat()), @r#"12:06 "came_true" soon: what was likely has happened, a station has become empty; 0 of 1 station in service are likely to be empty soon now; the alarm lasted for 6 minutes"#);
    // It was likely for the station at an earlier snapshot than the last one.
    let closed_before = [
        both(),
        at(2..4, &[Some(11), Some(0), Some(1)]),
        one_is_empty_at(4..6),
        at(6..8, &[Some(0), Some(0), Some(11)]),
    ];
    insta::assert_snapshot!(endings(rule, &closed_before.concat()), @r#"12:06 "came_true" soon: what was likely has happened, a station has become empty; 0 of 2 stations in service are likely to be empty soon now; the alarm lasted for 6 minutes"#);
    // It does not count for the next alarm.
    let again = [
        both(),
        one_is_empty(),
        at(4..6, &[Some(0), Some(0), Some(11)]),
        one_is_empty_at(6..8),
        at(8..10, &[Some(0), Some(0), Some(11)]),
    ];
    insta::assert_snapshot!(endings(rule, &again.concat()), @r#"
    12:04 "came_true" soon: what was likely has happened, a station has become empty; 0 of 2 stations in service are likely to be empty soon now; the alarm lasted for 4 minutes
    12:08 "over" soon: 0 of 2 stations in service are likely to be empty soon now; the alarm lasted for 2 minutes
    "#);
}

/// Evaluates three minutes of empty stations with one rule, and then, after a restart, what follows with another.
fn after_a_change(before: &str, after: &str, happenings: &[(i64, Happening)]) -> String {
    let empty = at(0..3, &[Some(0), Some(4)]);
    let mut first = evaluator(&rules(before), SavedState::default());
    let mut notices = step_all(&mut first, &empty);
    let saved = serde_json::to_string(first.state()).unwrap();
    let mut second = evaluator(&rules(after), serde_json::from_str(&saved).unwrap());
    notices.extend(step_all(&mut second, happenings));
    let lines = notices.iter().map(|notice| {
        let ending = serde_json::to_string(&notice.values.ending).unwrap();
        let (state, since, at) = (notice.state.as_str(), &notice.since, &notice.at);
        let (since, at) = (&since[11..16], &at[11..16]);
        format!(
            "{at} {} {state} since {since} {ending}: {}",
            notice.when, notice.text
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_rule_that_was_changed_under_its_name_begins_anew() {
    let before = "[[rule]]\nname = \"low\"\nwhen = \"empty\"\nfor = \"2m\"";
    let empty = at(3..7, &[Some(0), Some(4)]);
    // The same rule: its alarm goes on. So does one with other reminders.
    let open = "12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes";
    assert_eq!(after_a_change(before, before, &empty), open);
    let reminded = &format!("{before}\nrepeat = \"1h\"");
    assert_eq!(after_a_change(before, reminded, &empty), open);
    // Other conditions, stations, systems, combinations and times.
    let full = &before.replace("\"empty\"", "\"full\"");
    let named = &format!("{before}\nstations = [\"s0\"]");
    let elsewhere = &format!("{before}\nsystem = \"citibike\"");
    let any = &format!("{before}\ncombine = \"any\"");
    let sooner = &before.replace("2m", "1m");
    let down = "[[rule]]\nname = \"low\"\nwhen = \"feed_down\"\nafter = \"1m\"";
    let changes = [
        after_a_change(before, full, &at(3..7, &[Some(10), Some(4)])),
        after_a_change(before, named, &empty),
        after_a_change(before, elsewhere, &empty),
        after_a_change(any, before, &empty),
        after_a_change(before, sooner, &empty[..1]),
        // Alarms about stations wait for a snapshot, those about the feed do not.
        after_a_change(before, sooner, &[(3, Failed)]),
        after_a_change(
            before,
            down,
            &[vec![(3, Failed)], empty[1..].to_vec()].concat(),
        ),
    ];
    insta::assert_snapshot!(changes.join("\n\n"), @r#"
    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes
    12:03 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm about Place 0 is closed
    12:05 full raised since 12:03 null: Place 0 has had no free dock for 2 minutes

    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes
    12:03 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm about Place 0 is closed
    12:05 empty raised since 12:03 null: Place 0 has had no bike for 2 minutes

    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes
    12:03 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm about Place 0 is closed

    12:02 empty raised since 12:00 null: low: 1 of 2 stations in service are empty: Place 0
    12:03 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm is closed
    12:05 empty raised since 12:03 null: Place 0 has had no bike for 2 minutes

    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes
    12:03 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm about Place 0 is closed

    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes

    12:02 empty raised since 12:00 null: Place 0 has had no bike for 2 minutes
    12:03 feed_down raised since 12:02 null: no poll has succeeded for 1 minute
    12:04 empty resolved since 12:00 "rule_changed": rule low was changed: its open alarm about Place 0 is closed
    12:05 feed_down resolved since 12:02 "over": polls succeed again; they failed for 2 minutes
    "#);
}

#[test]
fn a_changed_rule_resolves_by_the_first_snapshot_at_its_time_and_with_names() {
    let rule = "[[rule]]\nname = \"low\"\nwhen = \"empty\"\nfor = \"0s\"";
    let mut first = evaluator(&rules(rule), SavedState::default());
    step_all(&mut first, &at(0..2, &[Some(0)]));
    let saved = serde_json::to_string(first.state()).unwrap();
    // After the restart there are no names until the first snapshot, which is older than the poll.
    let changed = &rules(&format!("{rule}\nstations = [\"s0\"]"));
    let mut second = unnamed(changed, serde_json::from_str(&saved).unwrap());
    assert_eq!(step_all(&mut second, &[(5, Moved), (5, Failed)]), []);
    assert_eq!(second.state().open(), 1);
    let saved = serde_json::to_string(second.state()).unwrap();
    let mut third = evaluator(changed, serde_json::from_str(&saved).unwrap());
    step(&mut third, 6, &Snapshot(2, vec![Some(0)]));
    let notices = third.take_unsent();
    let found: Vec<_> = notices
        .iter()
        .map(|notice| {
            (
                notice.state.as_str(),
                notice.name.as_deref(),
                notice.text.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "resolved",
                Some("Place 0"),
                "rule low was changed: its open alarm about Place 0 is closed"
            ),
            ("raised", Some("Place 0"), "Place 0 has no bike"),
        ]
    );
    let taken_at = minute(4);
    for notice in &notices {
        assert_eq!(notice.at.parse::<Timestamp>().unwrap(), taken_at);
    }
}

#[test]
fn a_changed_rule_about_the_feed_resolves_by_the_first_poll() {
    let rule = "[[rule]]\nname = \"down\"\nwhen = \"feed_down\"\nafter = \"1m\"";
    let mut first = evaluator(&rules(rule), SavedState::default());
    step_all(&mut first, &[(0, Failed), (1, Failed)]);
    let saved = serde_json::to_string(first.state()).unwrap();
    let changed = &rules(&rule.replace("1m", "9m"));
    let mut second = unnamed(changed, serde_json::from_str(&saved).unwrap());
    let notices = step_all(&mut second, &[(2, Failed)]);
    let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(
        texts,
        ["rule down was changed: its open alarm about the feed is closed"]
    );
    assert_eq!(second.state().open(), 0);
}

#[test]
fn open_notices_of_a_changed_rule_are_counted_where_it_is_removed() {
    let rule = "[[rule]]\nname = \"low\"\nwhen = \"empty\"\nfor = \"0s\"";
    let mut first = evaluator(&rules(rule), SavedState::default());
    step_all(&mut first, &at(0..2, &[Some(0)]));
    let changed = &rules(&rule.replace("0s", "1m"));
    let mut second = unnamed(changed, first.state().clone());
    step(&mut second, 3, &Failed);
    let mut state = second.state().clone();
    assert_eq!(state.keep_rules(&rules(&rule.replace("low", "other"))), 1);
}

#[test]
fn a_state_of_an_earlier_version_is_of_the_rule() {
    let rule = &rules("[[rule]]\nname = \"low\"\nwhen = \"empty\"\nfor = \"0s\"");
    let mut first = evaluator(rule, SavedState::default());
    step_all(&mut first, &at(0..3, &[Some(0)]));
    let mut saved = serde_json::to_value(first.state()).unwrap();
    let state = saved["rules"]["low"].as_object_mut().unwrap();
    state.remove("meaning").unwrap();
    let mut second = evaluator(rule, serde_json::from_value(saved).unwrap());
    assert_eq!(step_all(&mut second, &at(3..6, &[Some(0)])), []);
    assert_eq!(second.state().open(), 1);
}

#[test]
fn a_rule_of_another_system_yields_nothing() {
    let rule = "[[rule]]\nname = \"empty\"\nsystem = \"citibike\"\nwhen = \"empty\"\nfor = \"0s\"";
    assert_eq!(written(rule, &at(0..5, &[Some(0)])), "");
}

#[test]
fn a_station_that_the_system_lacks_is_named() {
    let text = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nstations = [\"Place 1\", \"Clark St\", \"s9\"]";
    let mut evaluator = evaluator(&rules(text), SavedState::default());
    let system = crate::model::System::named("divvy").unwrap();
    let sentences = evaluator.name_stations(&system, &super::stations(3));
    assert_eq!(
        sentences,
        [
            "rule empty: no station has the id or the name \"Clark St\"",
            "rule empty: no station has the id or the name \"s9\""
        ]
    );
}

#[test]
fn a_notice_as_json() {
    let rule = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"1m\"";
    let notices = run(&rules(rule), &at(0..2, &[Some(0)]), &[]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&notices).unwrap(), @r#"
    [
      {
        "id": "1c2d08c8dd7a651a75f41903d1c1a2b8",
        "rule": "empty",
        "when": "empty",
        "system": "divvy",
        "subject": "s0",
        "name": "Place 0",
        "state": "raised",
        "since": "2025-01-15T12:00:00-06:00",
        "at": "2025-01-15T12:01:00-06:00",
        "text": "Place 0 has had no bike for 1 minute",
        "values": {
          "bikes": 0,
          "docks": 10
        }
      }
    ]
    "#);
}

#[test]
fn open_notices_of_a_rule_that_is_removed_are_counted() {
    let text = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"0s\"";
    let rule = rules(text);
    let mut evaluator = evaluator(&rule, SavedState::default());
    let stations = &super::readings(&[Some(0), Some(0)]);
    let taken_at = super::minute(0);
    evaluator.step(
        taken_at,
        crate::alarms::Event::Snapshot { taken_at, stations },
    );
    let mut state = evaluator.state().clone();
    assert_eq!(state.open(), 2);
    assert_eq!(state.keep_rules(&rule), 0);
    assert_eq!(
        state.keep_rules(&rules(&text.replace("\"empty\"\nwhen", "\"other\"\nwhen"))),
        2
    );
    assert_eq!(state.open(), 0);
}

/// Forecasts that do not begin with the newest snapshot while they are paused.
#[derive(Default)]
struct Pausing(AtomicBool);

impl Forecasts for Pausing {
    fn probability(
        &self,
        system: &SystemId,
        station: &StationId,
        expected: Expectation,
        within: SignedDuration,
    ) -> Option<f64> {
        likely(system, station, expected, within)
    }

    fn is_paused(&self, _: &SystemId) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A feed that states 0 bikes by a fault neither resolves what was likely nor makes it come true.
#[test]
fn rules_about_what_is_likely_are_not_evaluated_in_a_fault() {
    let forecasts = Arc::new(Pausing::default());
    let setting = Setting {
        rules: rules(&soon("each", "0s")),
        max_gap: SignedDuration::from_mins(MAX_GAP),
        forecasts: Some(Arc::clone(&forecasts) as Arc<dyn Forecasts>),
        system: None,
        address: "https://h.example/gbfs.json".into(),
    };
    let mut evaluator = Evaluator::new(setting, SavedState::default());
    evaluator.name_stations(&System::named("divvy").unwrap(), &stations(4));
    let mut notices = |paused: bool, happenings: Vec<(i64, Happening)>| {
        forecasts.0.store(paused, Ordering::Relaxed);
        for (at, happening) in &happenings {
            step(&mut evaluator, *at, happening);
        }
        let texts = evaluator.take_unsent().into_iter();
        texts.map(|notice| notice.text).collect::<Vec<_>>()
    };
    assert_eq!(notices(false, at(0..3, &[Some(3), Some(1)])).len(), 1);
    assert_eq!(notices(true, at(3..8, &[Some(0), Some(0)])), [""; 0]);
    assert_eq!(notices(false, at(8..10, &[Some(3), Some(1)])), [""; 0]);
    // A station that becomes empty after it resolves the notice.
    assert_eq!(notices(false, at(10..12, &[Some(0), Some(1)])).len(), 1);
}
