//! Polls one system until the watch ends.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use divvy::ingest::watch::{
    ClockSteps, Condition, Finding, Moment, Outcome, PollReport, Recorder, Stores, SystemWatch,
};
use divvy::refresh;
use divvy::reports::plural;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{Applied, Store};

use super::alarms::Alarms;
use super::forecasts::LiveForecasts;
use super::gate::Gate;
use super::metrics::Metrics;
use super::now;
use super::snapshot_line::{self, SnapshotLine};
use crate::messages;
use crate::open::{Common, Opened};

/// The two clocks of a watch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins to count.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Returns the present moment.
    pub fn now(self) -> Moment {
        Moment {
            since_start: self.start.elapsed(),
            wall: now(),
        }
    }
}

/// What all workers use.
pub struct Shared<'a> {
    pub common: &'a Common,
    pub opened: &'a Opened,
    /// Where the history of states is kept, if the store keeps none.
    pub history: Option<&'a EmbeddedStore>,
    /// Whether the store is a folder: it has one writer at a time.
    pub is_folder: bool,
    /// Whether each snapshot is a line on stdout.
    pub prints_snapshots: bool,
    pub gate: Gate,
    pub clock: Clock,
    pub clock_steps: Mutex<ClockSteps>,
    /// Held by the worker that writes to a folder, of the store or of its history, so that one of them waits
    /// for other processes.
    pub turn: Mutex<()>,
    pub recorder: Option<Mutex<Recorder>>,
    pub alarms: Option<Alarms>,
    pub metrics: Metrics,
    pub forecasts: Arc<LiveForecasts>,
}

/// Polls a system until the gate closes.
pub fn follow(shared: &Shared<'_>, watch: &mut SystemWatch, index: usize) {
    loop {
        let due = shared.clock.start + watch.next_poll_at();
        shared.metrics.plan(index, watch, due);
        if !shared.gate.wait_until(due) {
            return;
        }
        shared.note_clock_step();
        let began = Instant::now();
        let fetched = watch.fetch(shared.clock.now());
        // The turn comes first: a worker that waits for it ends at once when the watch ends.
        let turn = shared.writes_a_folder().then(|| lock(&shared.turn));
        let Some(storing) = shared.gate.begin_storing() else {
            return;
        };
        let now = shared.clock.now();
        let stores = Stores {
            store: shared.opened.store(),
            history: shared.history.map(|history| history as &dyn Store),
        };
        let applying = watch.apply(fetched, stores, now);
        let report = shared.opened.run(applying);
        shared.refresh_counts(watch, &report);
        drop(turn);
        shared.record(watch, &report);
        shared.print(watch, &report, began.elapsed());
        shared.metrics.add(index, watch, &report, began.elapsed());
        drop(storing);
        // A training, once a day, delays the alarms and the next poll of this system alone.
        shared.forecast(watch, &report);
        let Some(storing) = shared.gate.begin_storing() else {
            return;
        };
        shared.add_to_alarms(index, watch, &report);
        drop(storing);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}

impl Shared<'_> {
    fn writes_a_folder(&self) -> bool {
        self.is_folder || self.history.is_some()
    }

    fn note_clock_step(&self) {
        let now = self.clock.now();
        let step = lock(&self.clock_steps).since_last(now);
        if let Some(step) = step {
            self.common.say(step);
        }
    }

    fn say(&self, watch: &SystemWatch, line: &str) {
        self.common.say(format_args!("{}: {line}", watch.name()));
    }

    /// Prints a line about a condition, if one is due.
    fn note(&self, watch: &mut SystemWatch, condition: Condition, found: Result<(), String>) {
        let finding = match found {
            Ok(()) => Finding::Absent,
            Err(text) => Finding::Present(text),
        };
        if let Some(line) = watch.note(condition, finding, self.clock.now()) {
            self.say(watch, &line);
        }
    }

    /// Brings the counts up to date with the snapshot. On DynamoDB a Lambda may do that.
    fn refresh_counts(&self, watch: &mut SystemWatch, report: &PollReport) {
        let is_written = matches!(
            &report.outcome,
            Outcome::Taken(polled) if !matches!(polled.applied, Applied::Repeated)
        );
        if is_written {
            let mut refreshed = self.opened.follow_stream(now());
            if let Some(history) = self.history {
                // It has no trips: its stream is read so that it does not grow.
                let read = self
                    .opened
                    .run(refresh::drain(history, refresh::CONSUMER, now()));
                refreshed = refreshed.and_then(|of_store| {
                    read?;
                    Ok(of_store)
                });
            }
            let found = match refreshed {
                Ok(_) => Ok(()),
                Err(error) => Err(format!(
                    "the counts are not refreshed: {}",
                    messages::sentence(&error)
                )),
            };
            self.note(watch, Condition::CountsOutdated, found);
        }
    }

    /// Issues forecasts and scores those that are due.
    fn forecast(&self, watch: &mut SystemWatch, report: &PollReport) {
        let Outcome::Taken(polled) = &report.outcome else {
            return;
        };
        let store = self.history_store();
        let followed = self.forecasts.follow(store, &polled.system);
        let found = self.opened.run(followed).map_err(|error| {
            format!(
                "the forecasts are not updated: {}",
                messages::sentence(&error.into())
            )
        });
        self.note(watch, Condition::ForecastsOutdated, found);
    }

    /// Returns the store that keeps the history of states, if any does.
    fn history_store(&self) -> &dyn Store {
        match self.history {
            Some(history) => history,
            None => self.opened.store(),
        }
    }

    fn record(&self, watch: &mut SystemWatch, report: &PollReport) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let recorded = lock(recorder).record(&watch.name(), &report.exchanges);
        let found = recorded.map_err(|error| format!("nothing is recorded: {error}"));
        self.note(watch, Condition::NotRecorded, found);
    }

    /// Evaluates the rules after a poll.
    fn add_to_alarms(&self, index: usize, watch: &mut SystemWatch, report: &PollReport) {
        let Some(alarms) = &self.alarms else {
            return;
        };
        let added = alarms.add(index, watch, report, self.opened.store());
        let found = match added {
            Ok(sentences) => {
                for sentence in sentences {
                    self.say(watch, &sentence);
                }
                Ok(())
            }
            Err(error) => Err(format!(
                "alarms are not kept: {}",
                messages::sentence(&error)
            )),
        };
        self.note(watch, Condition::AlarmsNotKept, found);
    }

    fn print(&self, watch: &SystemWatch, report: &PollReport, took: Duration) {
        for line in &report.notices {
            self.say(watch, line);
        }
        let Outcome::Taken(polled) = &report.outcome else {
            return;
        };
        if self.common.verbose {
            let (inserted, changed, reported) = snapshot_line::counts(&polled.applied);
            let line = format!(
                "{} at {}: {inserted} new, {changed} changed, {reported} with a newer report time alone",
                plural(polled.stations as i64, "station"),
                polled.system.zone().rfc3339(polled.taken_at),
            );
            self.say(watch, &line);
        }
        if self.prints_snapshots {
            let line = SnapshotLine::new(polled, report.fetched_at, took.as_secs_f64());
            self.print_snapshot(&line);
        }
    }

    /// Prints a line to stdout. Where its reader has closed it, the watch ends; any other failure is one
    /// of the watch.
    fn print_snapshot(&self, line: &SnapshotLine) {
        let printed = serde_json::to_vec(line).map_err(io::Error::from);
        let printed = printed.and_then(|mut text| {
            text.push(b'\n');
            let mut out = io::stdout().lock();
            out.write_all(&text).and_then(|()| out.flush())
        });
        match printed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.gate.stop(),
            Err(error) => {
                messages::print_error(format_args!("cannot write to stdout: {error}"));
                self.gate.stop_as_broken();
            }
        }
    }
}
