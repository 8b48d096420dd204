//! What the workers of a watch share: stores, clocks, messages.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use divvy::ingest::watch::{ClockSteps, Condition, Finding, Moment, Recorder, SystemWatch};
use divvy::store::embedded::EmbeddedStore;

use super::alarms::Alarms;
use super::forecasts::LiveForecasts;
use super::gate::Gate;
use super::lock::lock;
use super::metrics::Metrics;
use super::now;
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

    /// Returns the instant that is so long after the start of the watch.
    pub fn instant(self, since_start: Duration) -> Instant {
        self.start + since_start
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
    pub folder_lock: Mutex<()>,
    pub recorder: Option<Mutex<Recorder>>,
    pub alarms: Option<Alarms>,
    pub metrics: Metrics,
    pub forecasts: Arc<LiveForecasts>,
}

impl Shared<'_> {
    /// Prints a step of the clock of this computer, if there was one.
    pub fn note_clock_step(&self) {
        let now = self.clock.now();
        let step = lock(&self.clock_steps).since_last(now);
        if let Some(step) = step {
            self.common.say(step);
        }
    }

    /// Prints a line about a system. Before its system is known it is named by its address, with which many
    /// sentences begin.
    pub fn say(&self, watch: &SystemWatch, line: &str) {
        let name = watch.name();
        match watch.system().is_none() && line.starts_with(&name) {
            true => self.common.say(line),
            false => self.common.say(format_args!("{name}: {line}")),
        }
    }

    /// Prints a line about a condition, if one is due.
    pub fn note(&self, watch: &mut SystemWatch, condition: Condition, found: Result<(), String>) {
        let finding = match found {
            Ok(()) => Finding::Absent,
            Err(text) => Finding::Present(text),
        };
        if let Some(line) = watch.note(condition, finding, self.clock.now()) {
            self.say(watch, &line);
        }
    }
}
