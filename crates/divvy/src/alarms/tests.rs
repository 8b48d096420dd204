//! The evaluator over random histories, and the reader of rules.

mod laws;
mod mistakes;
mod notices;
mod page;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Evaluator, Event, Forecasts, Notice, Readings, Rules, SavedState, Setting};
use crate::history::StationState;
use crate::model::{Availability, Station, StationId, StationStatus, System};

/// The longest time between snapshots that is no gap, in minutes.
const MAX_GAP: i64 = 15;

fn minute(minute: i64) -> Timestamp {
    "2025-01-15T12:00:00-06:00".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

/// What happens at a minute.
#[derive(Clone, Debug)]
enum Happening {
    /// A snapshot of so many minutes ago: the bikes at each station, in its ten docks. `None`: the station
    /// is not listed; 11: it is out of service.
    Snapshot(i64, Vec<Option<u32>>),
    Unchanged,
    Failed,
    Moved,
}

fn readings(bikes: &[Option<u32>]) -> Readings {
    let stations = bikes.iter().enumerate();
    let listed = stations.filter_map(|(index, bikes)| {
        let bikes = (*bikes)?;
        let is_open = bikes <= 10;
        let state = StationState {
            status: Some(match is_open {
                true => StationStatus::InService,
                false => StationStatus::NotRenting,
            }),
            available: Availability {
                vehicles: Some(if is_open { bikes } else { 0 }),
                docks: Some(10 - bikes.min(10)),
                ..Availability::default()
            },
            ..StationState::default()
        };
        Some((StationId::from(format!("s{index}")), state))
    });
    listed.collect()
}

fn stations(count: usize) -> Vec<Station> {
    let station = |index| {
        let mut station = Station::unknown(StationId::from(format!("s{index}")));
        station.name = Some(format!("Place {index}"));
        station
    };
    (0..count).map(station).collect()
}

fn evaluator(rules: &Arc<Rules>, state: SavedState) -> Evaluator {
    let mut evaluator = unnamed(rules, state);
    evaluator.name_stations(&System::named("divvy").unwrap(), &stations(4));
    evaluator
}

/// Makes an evaluator that has no names of stations yet, as it is before the first snapshot.
fn unnamed(rules: &Arc<Rules>, state: SavedState) -> Evaluator {
    let setting = Setting {
        rules: Arc::clone(rules),
        max_gap: SignedDuration::from_mins(MAX_GAP),
        forecasts: Some(Arc::new(likely)),
        system: None,
        address: "https://h.example/gbfs.json".into(),
    };
    Evaluator::new(setting, state)
}

/// Stations s0 and s2 are likely to be empty.
fn likely(
    _: &crate::model::SystemId,
    station: &StationId,
    expected: super::Expectation,
    _: SignedDuration,
) -> Option<f64> {
    let is_likely =
        ["s0", "s2"].contains(&station.as_str()) && expected == super::Expectation::Empty;
    Some(if is_likely { 0.75 } else { 0.25 })
}

const _: fn() = || {
    fn is_a_forecast(_: impl Forecasts) {}
    is_a_forecast(likely);
};

/// Evaluates what happens at which minute. The evaluator begins again, from its state as JSON, before each
/// happening of which `restarts` has the index.
fn run(rules: &Arc<Rules>, happenings: &[(i64, Happening)], restarts: &[usize]) -> Vec<Notice> {
    let mut evaluator = self::evaluator(rules, SavedState::default());
    let mut notices = Vec::new();
    for (index, (at, happening)) in happenings.iter().enumerate() {
        if restarts.contains(&index) {
            let saved = serde_json::to_string(evaluator.state()).unwrap();
            evaluator = self::evaluator(rules, serde_json::from_str(&saved).unwrap());
        }
        step(&mut evaluator, *at, happening);
        // Notices stay in the state until they are taken, also over a restart.
        if index % 3 == 0 {
            notices.extend(evaluator.take_unsent());
        }
    }
    notices.extend(evaluator.take_unsent());
    notices
}

/// Evaluates what happens at a minute.
fn step(evaluator: &mut Evaluator, at: i64, happening: &Happening) {
    let now = minute(at);
    match happening {
        Happening::Snapshot(age, bikes) => {
            let (taken_at, stations) = (minute(at - age), &readings(bikes));
            evaluator.step(now, Event::Snapshot { taken_at, stations });
        }
        Happening::Unchanged => evaluator.step(now, Event::Unchanged),
        Happening::Failed => evaluator.step(now, Event::Failed { error: "no answer" }),
        Happening::Moved => evaluator.step(
            now,
            Event::Moved {
                text: "moved to https://h/?key=1",
            },
        ),
    }
}

/// Evaluates what happens. Returns the notices.
fn step_all(evaluator: &mut Evaluator, happenings: &[(i64, Happening)]) -> Vec<Notice> {
    for (at, happening) in happenings {
        step(evaluator, *at, happening);
    }
    evaluator.take_unsent()
}

fn rules(text: &str) -> Arc<Rules> {
    Arc::new(Rules::parse(text).unwrap())
}

/// The rules of the laws: one of each kind.
fn laws_rules() -> &'static str {
    laws::RULES
}
