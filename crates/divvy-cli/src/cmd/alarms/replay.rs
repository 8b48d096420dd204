//! The notices that the history of a store yields.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use divvy::alarms::{
    Evaluator, Event, Notice, NoticeState, Readings, Rules, SavedState, Setting, When,
};
use divvy::history::{SnapshotEntry, StateChange};
use divvy::model::System;
use divvy::reports::{Column, Period, Table, Value, ValueKind, grouped, plural, shortest_gap};
use divvy::store::StatusHistory;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::open::Common;
use crate::outputs;
use crate::render::Format;
use crate::runtime::block_on;

/// The time between two polls that fail, in gaps of the history.
const FAILED_POLLS_APART: SignedDuration = SignedDuration::from_mins(1);

/// How many snapshots have their changes in memory at a time.
const SNAPSHOTS_AT_A_TIME: usize = 1_000;

/// Evaluates rules on the history of a system, and prints the notices.
pub fn run(
    rules: Rules,
    from: Option<Period>,
    to: Option<Period>,
    format: Format,
    common: &Common,
) -> anyhow::Result<ExitCode> {
    let opened = common.open_existing()?;
    let store = opened.store();
    let system = common.system_of(store)?;
    let Some(history) = store.history() else {
        bail!("the store keeps no history of stations: stores in a folder do");
    };
    let (from, to) = instants(&system, from, to)?;
    // What is a gap does not depend on the period.
    let all = block_on(history.snapshots(&system.id, Timestamp::UNIX_EPOCH, Timestamp::MAX))?;
    let first = all.partition_point(|entry| entry.taken_at < from);
    let snapshots = &all[first..all.partition_point(|entry| entry.taken_at < to)];
    let [first, .., last] = snapshots else {
        bail!(
            "the history of {} has fewer than two snapshots in this time",
            system.id
        );
    };
    let rules = Arc::new(rules);
    say_of_idle_rules(&rules, &system, common);
    let setting = Setting {
        rules: Arc::clone(&rules),
        max_gap: shortest_gap(&all),
        forecasts: None,
        system: Some(system.id.clone()),
        address: system.id.to_string(),
    };
    let mut replay = Replay {
        max_gap: setting.max_gap,
        evaluator: Evaluator::new(setting, SavedState::default()),
        last: None,
        notices: Vec::new(),
    };
    let stations = block_on(store.stations(&system.id))?;
    for sentence in replay.evaluator.name_stations(&system, &stations) {
        common.say(sentence);
    }
    visit(history, &system, snapshots, |entry, stations| {
        replay.add(entry, stations)
    })?;
    let zone = system.zone();
    let of = |state| {
        replay
            .notices
            .iter()
            .filter(|notice| notice.state == state)
            .count()
    };
    let [raised, reminders, resolved, events] = NoticeState::ALL.map(|state| of(state) as i64);
    common.say(format_args!(
        "{}: {} over {} from {} to {}: {} raised, {}, {} resolved, {}",
        system.id,
        plural(rules.rules.len() as i64, "rule"),
        plural(snapshots.len() as i64, "snapshot"),
        zone.rfc3339(first.taken_at),
        zone.rfc3339(last.taken_at),
        grouped(raised),
        plural(reminders, "reminder"),
        grouped(resolved),
        plural(events, "event"),
    ));
    let rows = replay.notices.into_iter().map(row).collect();
    let mut table = Table::of(columns(), rows, Vec::new());
    if format == Format::Table {
        table = table.with_columns(&["at", "rule", "state", "text", "since"]);
    }
    outputs::print(&table, format)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints which rules yield nothing on a history, whatever is in it.
fn say_of_idle_rules(rules: &Rules, system: &System, common: &Common) {
    for rule in &rules.rules {
        if !rule.is_about(Some(system.id.as_str())) {
            let other = rule.system.as_deref().unwrap_or_default();
            common.say(format_args!(
                "rule {}: it is about {other}, not {}",
                rule.name, system.id
            ));
        } else if rule.when == When::FeedMoved {
            common.say(format_args!(
                "rule {}: addresses of feeds are not in the history",
                rule.name
            ));
        }
    }
}

/// Returns the first instant of a period, and the one after its last.
fn instants(
    system: &System,
    from: Option<Period>,
    to: Option<Period>,
) -> anyhow::Result<(Timestamp, Timestamp)> {
    let zone = TimeZone::get(&system.time_zone).context("the time zone of the system")?;
    let midnight = |date: jiff::civil::Date| zone.to_timestamp(date.at(0, 0, 0, 0));
    let from = match from {
        Some(period) => midnight(period.first)?,
        None => Timestamp::UNIX_EPOCH,
    };
    let to = match to {
        Some(period) => midnight(period.last.tomorrow()?)?,
        None => Timestamp::MAX,
    };
    if from >= to {
        bail!("--from is after --to");
    }
    Ok((from, to))
}

/// An evaluation of a history that is going on.
struct Replay {
    evaluator: Evaluator,
    max_gap: SignedDuration,
    /// The times of the last snapshot and of its poll.
    last: Option<(Timestamp, Timestamp)>,
    notices: Vec<Notice>,
}

impl Replay {
    fn add(&mut self, entry: &SnapshotEntry, stations: &Readings) {
        let taken_at = entry.taken_at;
        let at = entry.fetched_at.unwrap_or(taken_at);
        if let Some((last_taken_at, last_at)) = self.last
            && taken_at.duration_since(last_taken_at) > self.max_gap
        {
            const ERROR: &str = "the history has no snapshot of this time";
            let mut poll = last_at + FAILED_POLLS_APART;
            while poll < at {
                self.evaluator.step(poll, Event::Failed { error: ERROR });
                poll += FAILED_POLLS_APART;
            }
        }
        self.evaluator
            .step(at, Event::Snapshot { taken_at, stations });
        self.notices.extend(self.evaluator.take_unsent());
        self.last = Some((taken_at, at));
    }
}

/// Passes each snapshot with the states of the stations that it lists.
fn visit(
    history: &dyn StatusHistory,
    system: &System,
    snapshots: &[SnapshotEntry],
    mut pass: impl FnMut(&SnapshotEntry, &Readings),
) -> anyhow::Result<()> {
    let mut states = BTreeMap::new();
    if let Some(first) = snapshots.first() {
        let before = block_on(history.as_of(&system.id, first.taken_at))?;
        // Of several snapshots of one time, the states are those of the last one.
        states = before.map(|before| before.states).unwrap_or_default();
    }
    let mut chunks = snapshots.chunks(SNAPSHOTS_AT_A_TIME).peekable();
    while let Some(chunk) = chunks.next() {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else {
            continue;
        };
        let next = chunks.peek().and_then(|next| next.first());
        let end = next.map_or(last.taken_at + SignedDuration::from_millis(1), |next| {
            next.taken_at
        });
        let mut changes: Vec<StateChange> = Vec::new();
        let mut keep = |change: &StateChange| changes.push(change.clone());
        block_on(history.each_state_change(&system.id, first.taken_at, end, &mut keep))?;
        changes.sort_by_key(|change| change.snapshot);
        let mut changes = changes.into_iter().peekable();
        for entry in chunk {
            while let Some(change) = changes.next_if(|change| change.snapshot <= entry.number) {
                match change.state {
                    Some(state) => states.insert(change.station, state),
                    None => states.remove(&change.station),
                };
            }
            pass(entry, &states);
        }
    }
    Ok(())
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("at", ValueKind::Instant),
        Column::new("rule", ValueKind::Text),
        Column::new("state", ValueKind::Text),
        Column::new("text", ValueKind::Name),
        Column::new("subject", ValueKind::Text).spare(3),
        Column::new("name", ValueKind::Name).spare(3),
        Column::new("since", ValueKind::Instant).spare(1),
        // When the condition ended. Empty but for resolved notices.
        Column::new("until", ValueKind::Instant).spare(2),
        Column::new("bikes", ValueKind::Count).spare(3),
        Column::new("docks", ValueKind::Count).spare(3),
        // The age of the newest states.
        Column::new("age_s", ValueKind::Seconds).spare(3),
        // Stations for which the condition holds; for lists, stations in the list.
        Column::new("stations", ValueKind::Count).spare(3),
        Column::new("added", ValueKind::Count).spare(3),
        Column::new("removed", ValueKind::Count).spare(3),
        Column::new("system", ValueKind::Text).spare(4),
        Column::new("id", ValueKind::Text).spare(4),
    ]
}

fn row(notice: Notice) -> Vec<Value> {
    let count = |count: Option<usize>| Value::from(count.and_then(|it| i64::try_from(it).ok()));
    let text = |text: Option<String>| text.map_or(Value::Empty, Value::from);
    let values = notice.values;
    vec![
        notice.at.into(),
        notice.rule.into(),
        notice.state.as_str().into(),
        notice.text.into(),
        notice.subject.into(),
        text(notice.name),
        notice.since.into(),
        text(values.until),
        Value::from(values.bikes.map(i64::from)),
        Value::from(values.docks.map(i64::from)),
        Value::from(values.age_s),
        count(values.count),
        count(values.added_count),
        count(values.removed_count),
        notice.system.into(),
        notice.id.into(),
    ]
}
