//! Counters of a watch, in the text format of Prometheus.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use divvy::ingest::watch::{FailureKind, Outcome, PollReport, SystemWatch};
use jiff::Timestamp;

use super::now;
use super::snapshot_line;
use super::totals::Totals;

/// The upper bounds of the histogram of poll durations, in seconds.
const BUCKETS_S: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How late a poll may be before the watch counts as stuck. Loads hold the lock of the store for an
/// archive at a time.
const MAX_LATE: Duration = Duration::from_secs(10 * 60);

/// The outcomes of successful polls: those of snapshots, and one for feeds that have not changed.
const OUTCOMES: [&str; 4] = ["accepted", "repeated", REFUSED, UNCHANGED];
/// A snapshot whose states are older than those of the last one.
const REFUSED: &str = "refused";
const UNCHANGED: &str = "unchanged";

/// The counters of all systems, in the order of the arguments.
pub struct Metrics(Vec<Mutex<SystemMetrics>>);

#[derive(Clone, Debug, Default)]
struct SystemMetrics {
    name: String,
    /// When the next poll is due. `None` before the first is planned.
    due: Option<Instant>,
    polls: BTreeMap<&'static str, u64>,
    failures: BTreeMap<FailureKind, u64>,
    changes: u64,
    stations: Option<u64>,
    is_failing: bool,
    last_success: Option<Instant>,
    taken_at: Option<Timestamp>,
    /// Polls by the first bucket that they are in.
    durations: [u64; BUCKETS_S.len()],
    duration_sum_s: f64,
    duration_count: u64,
}

impl Metrics {
    /// Makes the counters of a number of systems.
    pub fn new(systems: usize) -> Self {
        Self((0..systems).map(|_| Mutex::default()).collect())
    }

    fn system(&self, index: usize) -> MutexGuard<'_, SystemMetrics> {
        self.0[index].lock().expect("no holder of this lock panics")
    }

    /// Notes when a system is polled next.
    pub fn plan(&self, index: usize, watch: &SystemWatch, due: Instant) {
        let mut system = self.system(index);
        system.name = watch.name();
        system.due = Some(due);
    }

    /// Adds a poll.
    pub fn add(&self, index: usize, watch: &SystemWatch, report: &PollReport, took: Duration) {
        let mut system = self.system(index);
        system.name = watch.name();
        system.taken_at = watch.taken_at();
        system.is_failing = watch.is_failing();
        let seconds = took.as_secs_f64();
        system.duration_sum_s += seconds;
        system.duration_count += 1;
        if let Some(bucket) = BUCKETS_S.iter().position(|bound| seconds <= *bound) {
            system.durations[bucket] += 1;
        }
        let outcome = match &report.outcome {
            Outcome::Failed(error) => {
                *system.failures.entry(FailureKind::of(error)).or_default() += 1;
                return;
            }
            Outcome::Unchanged => UNCHANGED,
            Outcome::Taken(polled) => {
                let (inserted, changed, _) = snapshot_line::counts(&polled.applied);
                system.changes += inserted + changed;
                system.stations = Some(polled.stations as u64);
                snapshot_line::outcome(&polled.applied)
            }
        };
        *system.polls.entry(outcome).or_default() += 1;
        if outcome != REFUSED {
            system.last_success = Some(Instant::now());
        }
    }

    /// Returns the sums over all systems.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for index in 0..self.0.len() {
            let system = self.system(index);
            let unchanged = system.polls.get(UNCHANGED).copied().unwrap_or(0);
            totals += Totals {
                snapshots: system.polls.values().sum::<u64>() - unchanged,
                unchanged,
                changes: system.changes,
                failures: system.failures.values().sum(),
            };
        }
        totals
    }

    /// Returns the names of systems whose polls are late by more than [`MAX_LATE`].
    pub fn stuck(&self) -> Vec<String> {
        let is_stuck =
            |system: &SystemMetrics| system.due.is_some_and(|due| due.elapsed() > MAX_LATE);
        let systems = (0..self.0.len()).map(|index| self.system(index));
        let stuck = systems.filter(|system| is_stuck(system));
        stuck.map(|system| system.name.clone()).collect()
    }

    /// Writes all counters.
    pub fn text(&self) -> String {
        let mut systems: Vec<SystemMetrics> = Vec::new();
        for index in 0..self.0.len() {
            let mut system = self.system(index).clone();
            // A series occurs once: two addresses may be of the same system.
            let same = systems.iter().filter(|it| it.name == system.name).count();
            if same > 0 {
                system.name = format!("{} ({})", system.name, same + 1);
            }
            systems.push(system);
        }
        text(&systems, Instant::now(), now())
    }
}

/// A family of series that has one value a system. `None` leaves a system out.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&SystemMetrics, Instant, Timestamp) -> Option<f64>,
}

const FAMILIES: [Family; 6] = [
    Family {
        name: "divvy_station_changes_total",
        kind: "counter",
        help: "Stations that snapshots inserted or changed.",
        value: |system, _, _| Some(system.changes as f64),
    },
    Family {
        name: "divvy_stations",
        kind: "gauge",
        help: "Stations in the last snapshot.",
        value: |system, _, _| system.stations.map(|stations| stations as f64),
    },
    Family {
        name: "divvy_failing",
        kind: "gauge",
        help: "1 where the last poll failed.",
        value: |system, _, _| Some(f64::from(u8::from(system.is_failing))),
    },
    Family {
        name: "divvy_seconds_since_last_success",
        kind: "gauge",
        help: "Time since the last poll whose states were not older than the stored ones.",
        value: |system, now, _| {
            let last = system.last_success?;
            Some(now.saturating_duration_since(last).as_secs_f64())
        },
    },
    Family {
        name: "divvy_feed_age_seconds",
        kind: "gauge",
        help: "Time since the feed was made, by its own clock.",
        value: |system, _, wall| Some(wall.duration_since(system.taken_at?).as_secs_f64()),
    },
    Family {
        name: "divvy_poll_due_seconds",
        kind: "gauge",
        help: "Time until the next poll is due; negative where it is late.",
        value: |system, now, _| {
            let due = system.due?;
            let late = now.saturating_duration_since(due).as_secs_f64();
            Some(due.saturating_duration_since(now).as_secs_f64() - late)
        },
    },
];

fn text(systems: &[SystemMetrics], at: Instant, wall: Timestamp) -> String {
    let mut out = String::new();
    head(
        &mut out,
        "divvy_polls_total",
        "counter",
        "Polls that succeeded, by what the store did.",
    );
    for system in systems {
        let label = label(&system.name);
        for outcome in OUTCOMES {
            let polls = system.polls.get(outcome).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "divvy_polls_total{{system=\"{label}\",outcome=\"{outcome}\"}} {polls}"
            );
        }
    }
    head(
        &mut out,
        "divvy_poll_failures_total",
        "counter",
        "Polls that failed, by kind.",
    );
    for system in systems {
        let label = label(&system.name);
        for (kind, failures) in &system.failures {
            let _ = writeln!(
                out,
                "divvy_poll_failures_total{{system=\"{label}\",kind=\"{kind}\"}} {failures}"
            );
        }
    }
    for family in &FAMILIES {
        head(&mut out, family.name, family.kind, family.help);
        for system in systems {
            if let Some(value) = (family.value)(system, at, wall) {
                let label = label(&system.name);
                let _ = writeln!(out, "{}{{system=\"{label}\"}} {value}", family.name);
            }
        }
    }
    durations(&mut out, systems);
    out
}

fn durations(out: &mut String, systems: &[SystemMetrics]) {
    const NAME: &str = "divvy_poll_duration_seconds";
    head(
        out,
        NAME,
        "histogram",
        "Time from the first request of a poll until its snapshot was stored.",
    );
    for system in systems {
        let label = label(&system.name);
        let mut below = 0;
        for (bound, polls) in BUCKETS_S.iter().zip(system.durations) {
            below += polls;
            let _ = writeln!(
                out,
                "{NAME}_bucket{{system=\"{label}\",le=\"{bound}\"}} {below}"
            );
        }
        let count = system.duration_count;
        let sum = system.duration_sum_s;
        let _ = writeln!(
            out,
            "{NAME}_bucket{{system=\"{label}\",le=\"+Inf\"}} {count}"
        );
        let _ = writeln!(out, "{NAME}_sum{{system=\"{label}\"}} {sum}");
        let _ = writeln!(out, "{NAME}_count{{system=\"{label}\"}} {count}");
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Escapes the value of a label. The query of an address, which may be a key, is left out.
pub fn label(name: &str) -> String {
    let name = name.split('?').next().unwrap_or(name);
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    escaped.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_written_in_the_format_of_prometheus() {
        let at = Instant::now();
        let wall: Timestamp = "2026-01-01T00:01:40Z".parse().unwrap();
        let mut divvy = SystemMetrics {
            name: "divvy".into(),
            due: Some(at + Duration::from_secs(20)),
            changes: 345,
            stations: Some(1_811),
            last_success: Some(at),
            taken_at: Some("2026-01-01T00:01:00Z".parse().unwrap()),
            duration_sum_s: 31.75,
            duration_count: 3,
            ..SystemMetrics::default()
        };
        divvy.polls.insert("accepted", 2);
        divvy.failures.insert(FailureKind::Timeout, 1);
        divvy.durations = [0, 0, 1, 0, 1, 0, 0, 0];
        let unknown = SystemMetrics {
            name: "https://h.example/\"x\"/gbfs.json?key=secret".into(),
            is_failing: true,
            ..SystemMetrics::default()
        };
        insta::assert_snapshot!(text(&[divvy, unknown], at, wall));
    }
}
