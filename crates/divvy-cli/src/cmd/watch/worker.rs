//! Polls one system until the watch ends.

mod print;

use std::time::Instant;

use divvy::ingest::watch::{Condition, Outcome, PollReport, Stores, SystemWatch};
use divvy::refresh;
use divvy::store::{Applied, Store, StoreError};

use super::lock::lock;
use super::now;
use super::shared::Shared;
use crate::messages;

/// Polls a system until the gate closes, and keeps its forecasts then.
pub fn follow(shared: &Shared<'_>, watch: &mut SystemWatch, index: usize) {
    poll_until_the_end(shared, watch, index);
    shared.keep_forecasts(watch);
}

fn poll_until_the_end(shared: &Shared<'_>, watch: &mut SystemWatch, index: usize) {
    loop {
        let due = shared.clock.instant(watch.next_poll_at());
        shared.metrics.plan(index, watch, due);
        if !shared.gate.wait_until(due) {
            return;
        }
        shared.note_clock_step();
        let Some(report) = shared.poll(index, watch) else {
            return;
        };
        // A training, once a day, delays the alarms and the next poll of this system alone.
        shared.forecast(watch, &report);
        if shared.add_to_alarms(index, watch, &report).is_none() {
            return;
        }
    }
}

impl Shared<'_> {
    /// Polls a system: from its requests to the refreshed counts, with what is recorded and printed about it. `None`
    /// where the watch ends before the snapshot is stored.
    fn poll(&self, index: usize, watch: &mut SystemWatch) -> Option<PollReport> {
        let began = Instant::now();
        let fetched = watch.fetch(self.clock.now());
        // The lock comes first: a worker that waits for it ends at once when the watch ends.
        let folder_lock = self.writes_a_folder().then(|| lock(&self.folder_lock));
        let _storing = self.gate.begin_storing()?;
        let now = self.clock.now();
        let stores = Stores {
            store: self.opened.store(),
            history: self.history.map(|history| history as &dyn Store),
        };
        let applying = watch.apply(fetched, stores, now);
        let report = self.opened.run(applying);
        self.refresh_counts(watch, &report);
        drop(folder_lock);
        self.record(watch, &report);
        self.print(watch, &report, began.elapsed());
        self.metrics.add(index, watch, &report, began.elapsed());
        Some(report)
    }

    fn writes_a_folder(&self) -> bool {
        self.is_folder || self.history.is_some()
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
        self.note_forecasts(watch, self.opened.run(followed));
    }

    fn keep_forecasts(&self, watch: &mut SystemWatch) {
        let Some(system) = watch.system().map(|system| system.id.clone()) else {
            return;
        };
        let kept = self.forecasts.keep(self.history_store(), &system);
        self.note_forecasts(watch, self.opened.run(kept));
    }

    fn note_forecasts(&self, watch: &mut SystemWatch, done: Result<(), StoreError>) {
        let found = done.map_err(|error| {
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

    /// Evaluates the rules after a poll. `None` where the watch has ended.
    fn add_to_alarms(
        &self,
        index: usize,
        watch: &mut SystemWatch,
        report: &PollReport,
    ) -> Option<()> {
        let _storing = self.gate.begin_storing()?;
        let Some(alarms) = &self.alarms else {
            return Some(());
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
        Some(())
    }
}
