//! Recorded feeds, applied one after another as if they were polled.

use jiff::Timestamp;

use super::PollError;
use super::feed_sources::FeedSources;
use super::poll::{self, Fetched, PollOptions};
use crate::forecast::Follower;
use crate::model::System;
use crate::refresh;
use crate::sources::station_feed::{Feed, FeedKind, FeedTime};
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
    /// Snapshots whose time is hours ahead of the one before and of the one after: they were not applied.
    pub ahead: u64,
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
    /// The time of the last states that were applied, in milliseconds by the feed's clock.
    last_ms: Option<i64>,
    /// The feeds of a snapshot, and where they come from, that is applied if the next one is not older.
    held: Option<(Vec<Feed>, String)>,
    /// Issues and scores forecasts. `None` before the first snapshot that was applied.
    follower: Option<Follower>,
}

/// A snapshot that is so much later than the one before is held until the next one has come: either nothing
/// was recorded meanwhile, or its clock was wrong, and all snapshots after it would be older than the last.
const LONG_STEP_MS: i64 = 6 * 3_600_000;

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
            last_ms: None,
            held: None,
            follower: None,
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
        let Some(time_ms) = time_of_states(&feeds) else {
            return self.apply_now(feeds, name).await;
        };
        let mut failed = None;
        if let Some((held, held_name)) = self.held.take() {
            if time_of_states(&held).is_some_and(|held_ms| held_ms > time_ms) {
                self.summary.ahead += 1;
            } else {
                failed = self.apply_now(held, &held_name).await?;
            }
        }
        if self
            .last_ms
            .is_some_and(|last| time_ms - last > LONG_STEP_MS)
        {
            self.held = Some((feeds, name.to_owned()));
            return Ok(failed);
        }
        Ok(self.apply_now(feeds, name).await?.or(failed))
    }

    async fn apply_now(
        &mut self,
        feeds: Vec<Feed>,
        name: &str,
    ) -> Result<Option<PollError>, StoreError> {
        let time_ms = time_of_states(&feeds);
        let applied = self.try_apply(feeds, name).await;
        let polled = match applied {
            Ok(polled) => polled,
            Err(PollError::Store(error)) => return Err(error),
            Err(error) => {
                self.summary.unreadable += 1;
                return Ok(Some(error));
            }
        };
        self.last_ms = self.last_ms.max(time_ms);
        let summary = &mut self.summary;
        summary.snapshots += 1;
        match polled.applied {
            Applied::Accepted { .. } => {
                summary.accepted += 1;
                summary.first = summary.first.or(Some(polled.time.taken_at));
                summary.last = summary.last.max(Some(polled.time.taken_at));
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
        // Positions of another system than that of the feeds before are refused.
        let system = poll::system(&sources, &self.options, self.store).await?;
        self.options.system = Some(system.clone());
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

    async fn drain(&mut self) -> Result<(), StoreError> {
        refresh::drain(self.store, refresh::CONSUMER, self.options.now).await?;
        if self.follower.is_none()
            && let Some(system) = &self.system
        {
            self.follower = Some(Follower::open(self.store, system).await?);
        }
        match &mut self.follower {
            Some(follower) => follower.follow_and_keep(self.store).await,
            None => Ok(()),
        }
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
    pub async fn finish(mut self) -> Result<ReplaySummary, StoreError> {
        if let Some((feeds, name)) = self.held.take() {
            // The last snapshot: nothing contradicts its time. An error is counted.
            self.apply_now(feeds, &name).await?;
        }
        self.drain().await?;
        if let Some(follower) = &mut self.follower {
            follower.keep(self.store).await?;
        }
        self.store.defer_sync(false).await?;
        Ok(self.summary)
    }
}

/// Returns when states were made, in milliseconds by the feed's clock. `None` for feeds without states.
fn time_of_states(feeds: &[Feed]) -> Option<i64> {
    let with_states = feeds
        .iter()
        .filter(|feed| feed.kind != FeedKind::StationInformation);
    let ms = with_states.map(|feed| match feed.time {
        FeedTime::Instant(at) => at.as_millisecond(),
        FeedTime::Local { ms } => ms,
    });
    ms.max()
}
