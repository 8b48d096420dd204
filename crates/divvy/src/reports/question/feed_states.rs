//! The states of all stations, the newest ones or those of an instant, as the history has them.

use jiff::{SignedDuration, Timestamp};

use super::Question;
use crate::history::{AsOf, SnapshotEntry, States};
use crate::numerals::plural;
use crate::reports::gaps::SHORTEST_GAP;
use crate::reports::table::Note;
use crate::store::{FeedState, StatusHistory, StoreError};

/// The newest states, or those of an instant.
pub(in crate::reports) struct FeedStates {
    /// The feed: when its states are from, which stations are listed. `None` without a snapshot.
    pub(in crate::reports) feed: Option<FeedState>,
    /// The states of an instant. `None` for the newest ones, which StationData has.
    pub(in crate::reports) by_station: Option<States>,
    /// How old the states are, and what the history lacks.
    pub(in crate::reports) notes: Vec<Note>,
}

impl Question<'_> {
    /// Reads the newest states, or those of the instant that the filters name. `None` where the store
    /// keeps no history.
    pub(in crate::reports) async fn feed_states(&self) -> Result<Option<FeedStates>, StoreError> {
        let Some(time) = self.filters.as_of else {
            return Ok(Some(FeedStates {
                feed: self.store.feed(&self.system.id).await?,
                by_station: None,
                notes: Vec::new(),
            }));
        };
        let Some(history) = self.store.history() else {
            return Ok(None);
        };
        let at = time.instant(&self.zone);
        let as_of = history.as_of(&self.system.id, at).await?;
        let notes = vec![self.age(history, at, as_of.as_ref()).await?];
        let feed = as_of.as_ref().map(|as_of| FeedState {
            status_at: Some(as_of.snapshot.taken_at),
            information_at: None,
            listed: as_of.states.keys().cloned().collect(),
        });
        Ok(Some(FeedStates {
            feed,
            by_station: as_of.map(|as_of| as_of.states),
            notes,
        }))
    }

    /// Writes which snapshot the states of an instant are from, and whether that lies in a gap.
    async fn age(
        &self,
        history: &dyn StatusHistory,
        at: Timestamp,
        as_of: Option<&AsOf>,
    ) -> Result<Note, StoreError> {
        let asked = self.instant(at);
        let next = self.next_snapshot(history, at).await?;
        let Some(AsOf { snapshot, .. }) = as_of else {
            return Ok(Note::Warning(match next {
                Some(first) => format!(
                    "no states of {asked}: the first snapshot was made {}",
                    self.instant(first.taken_at)
                ),
                None => "no snapshot with states is stored: divvy poll URL".into(),
            }));
        };
        let made = self.instant(snapshot.taken_at);
        let old = at.duration_since(snapshot.taken_at);
        let states = format!("as of {asked}: those of the snapshot made {made}");
        if old <= SHORTEST_GAP {
            return Ok(Note::Scope(format!("States {states}")));
        }
        let gap = match next {
            Some(next) => format!(
                "it is in a gap of {} without a snapshot, which ends {}",
                length(next.taken_at.duration_since(snapshot.taken_at)),
                self.instant(next.taken_at)
            ),
            None => "no later snapshot is stored".into(),
        };
        Ok(Note::Warning(format!(
            "states {states}, {} before; {gap}",
            length(old)
        )))
    }

    /// Returns the first snapshot made after an instant.
    async fn next_snapshot(
        &self,
        history: &dyn StatusHistory,
        at: Timestamp,
    ) -> Result<Option<SnapshotEntry>, StoreError> {
        let millisecond = SignedDuration::from_millis(1);
        let Ok(from) = at.checked_add(millisecond) else {
            return Ok(None);
        };
        history.first_snapshot_from(&self.system.id, from).await
    }
}

/// Writes a duration in its two largest units: `3 days 4 h`, `5 h 20 min`, `16 min`.
pub(in crate::reports) fn length(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    match (days, hours, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{} {hours} h", plural(days, "day")),
    }
}

/// Makes the note of a store without a history.
pub(in crate::reports) fn no_history() -> Note {
    Note::Warning("this store keeps no history of states: stores in a folder do".into())
}
