//! Where a follower begins: it continues its log, or begins with the newest snapshot.

use jiff::{SignedDuration, Timestamp};

use super::super::log::Log;
use super::super::walk::walk;
use super::Follower;
use crate::history::SnapshotEntry;
use crate::outlook::{Vehicles, minute_of};
use crate::store::{StatusHistory, StoreError};

/// A log that ends so long before the newest snapshot is not followed further: forecasts begin again with
/// the newest.
const MAX_BEHIND: SignedDuration = SignedDuration::from_hours(24);
/// A fault of the feed in the newest snapshot has begun within so long a time before it.
const FAULT_BEFORE: SignedDuration = SignedDuration::from_hours(3);

impl Follower {
    /// Returns the snapshots from the last one on that was followed. `None` where the history does not go on from
    /// it, or went on for too long: one without that snapshot was repaired, was restored from a backup, or lost what was
    /// not on the disk yet when the computer stopped.
    pub(super) async fn entries_from_last(
        &self,
        history: &dyn StatusHistory,
    ) -> Result<Option<Vec<SnapshotEntry>>, StoreError> {
        let Some(log) = &self.log else {
            return Ok(None);
        };
        let from = log.taken_at;
        let entries = history
            .snapshots(&self.system.id, from, Timestamp::MAX)
            .await?;
        let is_in_history = entries
            .iter()
            .any(|entry| (entry.number, entry.taken_at) == (log.number, from));
        let is_behind = |newest: &SnapshotEntry| newest.taken_at.duration_since(from) > MAX_BEHIND;
        let goes_on = is_in_history && !entries.last().is_some_and(is_behind);
        Ok(goes_on.then_some(entries))
    }

    /// Begins with the newest snapshot, or the last one before it where it has a fault. Where that is one that
    /// was followed before, it is followed again, but no forecast is issued twice: see [`Log::issued_until`].
    pub(super) async fn follow_newest(
        &mut self,
        history: &dyn StatusHistory,
    ) -> Result<(), StoreError> {
        let at = self.newest_without_fault(history).await?;
        let newest = history.as_of(&self.system.id, at).await?;
        let Some(newest) = newest else {
            return Ok(());
        };
        self.begin(&newest.snapshot);
        for (station, state) in &newest.states {
            self.set(station, Some(state));
        }
        self.snapshot(history, &newest.snapshot).await
    }

    /// Returns an instant as of which the states are those of the newest snapshot without a fault.
    async fn newest_without_fault(
        &self,
        history: &dyn StatusHistory,
    ) -> Result<Timestamp, StoreError> {
        let Some(newest) = history.as_of(&self.system.id, Timestamp::MAX).await? else {
            return Ok(Timestamp::MAX);
        };
        let newest = newest.snapshot.taken_at;
        let period = newest - FAULT_BEFORE..newest + SignedDuration::from_mins(1);
        let walked = walk(history, &self.system, &period, Vehicles::All, 1, &[]).await?;
        if walked.faults.last() != Some(&minute_of(newest)) {
            return Ok(Timestamp::MAX);
        }
        let entries = history
            .snapshots(&self.system.id, period.start, period.end)
            .await?;
        let is_fault = |at: Timestamp| walked.faults.binary_search(&minute_of(at)).is_ok();
        let mut before = entries.iter().rev().map(|entry| entry.taken_at);
        Ok(before.find(|at| !is_fault(*at)).unwrap_or(Timestamp::MAX))
    }

    /// Begins a log, or continues one that ends elsewhere than the history that is followed: after a time
    /// that was not followed, or at a snapshot that the history does not have. Forecasts that were not due
    /// are dropped, and the record is kept.
    fn begin(&mut self, first: &SnapshotEntry) {
        let before = self.log.take();
        let since = before.as_ref().map_or(first.taken_at, |log| log.since);
        let issued_until = before
            .as_ref()
            .map(|log| minute_of(log.taken_at).max(log.issued_until.unwrap_or(i64::MIN)));
        let tried = before.as_ref().and_then(|log| log.tried.clone());
        self.indexes.clear();
        self.minutes_of_hour.clear();
        self.current.clear();
        self.claims.clear();
        // The levels of the time that was skipped are not known: a training calculates them.
        self.models = None;
        self.log = Some(Log {
            since,
            number: 0,
            taken_at: first.taken_at,
            issued_until,
            stations: Vec::new(),
            readings: Vec::new(),
            levels: Default::default(),
            recents: Vec::new(),
            followed_minute: None,
            followed_readings: Vec::new(),
            tried: tried.filter(|(at, _)| *at <= first.taken_at),
            issues: Vec::new(),
            record: before.map(|log| log.record).unwrap_or_default(),
        });
    }
}
