//! Recorded feeds, applied one after another as if they were polled.

use jiff::Timestamp;

use super::PollError;
use super::feed_sources::FeedSources;
use super::poll::{self, Fetched, PollOptions};
use crate::model::System;
use crate::refresh;
use crate::sources::station_feed::Feed;
use crate::store::{Applied, Store, StoreError};

/// What a replay did with the recorded snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Snapshots that could be read.
    pub snapshots: u64,
    /// Snapshots that were taken, in whole or in part.
    pub accepted: u64,
    /// Snapshots of the time of the last one that changed nothing.
    pub repeated: u64,
    /// Snapshots that are older than the last one: their states were not taken.
    pub refused: u64,
    /// Snapshots that could not be read, or were not a snapshot of a known system.
    pub unreadable: u64,
    /// When the first snapshot with a taken state was made. `None` before.
    pub first: Option<Timestamp>,
    /// When the last one was made.
    pub last: Option<Timestamp>,
}

/// A replay that is going on.
pub struct Replay<'a> {
    store: &'a dyn Store,
    options: PollOptions,
    system: Option<System>,
    summary: ReplaySummary,
}

/// After how many snapshots the changes of stations are read, so that their table stays small.
const DRAIN_EVERY: u64 = 16;

impl<'a> Replay<'a> {
    /// Begins a replay. The system is that of the options, else that of the first snapshot.
    pub fn new(store: &'a dyn Store, options: PollOptions) -> Self {
        Self {
            store,
            options,
            system: None,
            summary: ReplaySummary::default(),
        }
    }

    /// Applies the feeds of one recorded snapshot. `name` is where they come from, for messages.
    /// Returns why they are left out. `None` if they were applied.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn apply(
        &mut self,
        feeds: Vec<Feed>,
        name: &str,
    ) -> Result<Option<PollError>, StoreError> {
        self.store.defer_sync(true).await?;
        let applied = self.try_apply(feeds, name).await;
        let polled = match applied {
            Ok(polled) => polled,
            Err(PollError::Store(error)) => return Err(error),
            Err(error) => {
                self.summary.unreadable += 1;
                return Ok(Some(error));
            }
        };
        let summary = &mut self.summary;
        summary.snapshots += 1;
        match polled.applied {
            Applied::Accepted { .. } => {
                summary.accepted += 1;
                summary.first = summary.first.or(Some(polled.taken_at));
                summary.last = summary.last.max(Some(polled.taken_at));
            }
            Applied::Repeated => summary.repeated += 1,
            Applied::Refused { .. } => summary.refused += 1,
        }
        if self.summary.snapshots.is_multiple_of(DRAIN_EVERY) {
            self.drain().await?;
        }
        Ok(None)
    }

    async fn try_apply(&mut self, feeds: Vec<Feed>, name: &str) -> Result<poll::Polled, PollError> {
        let sources = FeedSources::of(feeds, name);
        let system = match self.system.clone() {
            Some(system) => system,
            None => poll::system(&sources, &self.options, self.store).await?,
        };
        let fetched = Fetched::WhenMade {
            now: self.options.now,
        };
        let polled = poll::apply_fetched(sources.feeds, self.store, &system, fetched).await?;
        self.system = Some(system);
        Ok(polled)
    }

    /// Counts a snapshot that could not be read.
    pub fn skip(&mut self) {
        self.summary.unreadable += 1;
    }

    async fn drain(&self) -> Result<(), StoreError> {
        refresh::drain(self.store, refresh::CONSUMER, self.options.now).await?;
        Ok(())
    }

    /// Returns what has been done so far.
    pub fn summary(&self) -> &ReplaySummary {
        &self.summary
    }

    /// Returns the system. `None` before the first snapshot that was applied.
    pub fn system(&self) -> Option<&System> {
        self.system.as_ref()
    }

    /// Ends the replay: brings the counts up to date, and waits until all is on the disk.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn finish(self) -> Result<ReplaySummary, StoreError> {
        self.drain().await?;
        self.store.defer_sync(false).await?;
        Ok(self.summary)
    }
}
