//! The state of the feed in the ledger: its times, and the list of its stations in parts.

use divvy::model::StationId;
use divvy::store::{FeedState, StoreError, StoreErrorKind};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::Note;
use crate::store::Shared;

/// The most bytes of a part of the list of stations, as JSON. An item has at most 400 KB.
const PART_BYTES: usize = 100_000;
/// The time after which an eventually consistent read has what was written. Usually within a second:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html>.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// The times of a feed, as stored in the ledger. Both are `None` before the first snapshot: every
/// change of the rows writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FeedTimes {
    status_at: Option<Timestamp>,
    information_at: Option<Timestamp>,
    /// Grows with each write, so that a process notices what another has written, also of the same
    /// times. 0 and absent in ledgers of older programs: what is written is compared as text.
    #[serde(default, skip_serializing_if = "is_default")]
    version: u64,
    /// The number of parts of the list of stations beside the first.
    #[serde(default, skip_serializing_if = "is_default")]
    more_parts: u32,
    /// The time of the last write, by the clock of the service.
    #[serde(default, skip_serializing_if = "is_default")]
    changed_at: Option<Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl FeedTimes {
    /// Returns whether the last change of the rows is some time ago, so that an eventually consistent
    /// read has it. `false` also where the time is not known.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        let age = self.changed_at.map(|at| now.duration_since(at));
        age.is_some_and(|age| age >= SETTLED_AFTER)
    }

    /// Returns whether each change of the rows has another version.
    pub(super) fn has_version(&self) -> bool {
        self.version > 0
    }
}

/// The state of the feed as it was read: a write is conditional on its times.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredFeed {
    pub(super) times: Option<FeedTimes>,
    pub(super) state: Option<FeedState>,
}

impl Shared {
    /// Reads the times of the feed. `None` before the first change of rows.
    pub(super) async fn feed_times(&self) -> Result<Option<FeedTimes>, StoreError> {
        self.ledger.note(Note::Clock).await
    }

    /// Reads the state of the feed of these times. `None` where another process has changed it since.
    pub(super) async fn feed_of(
        &self,
        times: Option<FeedTimes>,
    ) -> Result<Option<StoredFeed>, StoreError> {
        let Some(times) = times else {
            return Ok(Some(StoredFeed::default()));
        };
        if times.status_at.is_none() && times.information_at.is_none() {
            return Ok(Some(StoredFeed {
                times: Some(times),
                state: None,
            }));
        }
        let mut listed: Vec<String> = Vec::new();
        for part in 0..=times.more_parts {
            let ids = self.ledger.note::<Vec<String>>(Note::Listed(part)).await?;
            listed.extend(ids.unwrap_or_default());
        }
        if times.more_parts > 0 && self.feed_times().await?.as_ref() != Some(&times) {
            // The parts may be of different writes.
            return Ok(None);
        }
        let state = FeedState {
            status_at: times.status_at,
            information_at: times.information_at,
            listed: listed.into_iter().map(StationId::from).collect(),
        };
        Ok(Some(StoredFeed {
            times: Some(times),
            state: Some(state),
        }))
    }

    /// Reads the state of the feed.
    ///
    /// # Errors
    ///
    /// Others change it all the time.
    pub(super) async fn feed(&self) -> Result<StoredFeed, StoreError> {
        for _ in 0..super::ATTEMPTS {
            // The times first: they are the older ones if another process writes meanwhile, and the
            // condition of a write then fails.
            let times = self.feed_times().await?;
            if let Some(kept) = self.kept_feed(times.as_ref()) {
                return Ok(kept);
            }
            if let Some(feed) = self.feed_of(times).await? {
                return Ok(feed);
            }
        }
        Err(self.too_many_writers())
    }

    /// Stores the state of the feed, if it has not changed since it was read. Returns the times that
    /// were written; `None` where it had changed.
    pub(super) async fn put_feed(
        &self,
        before: &StoredFeed,
        now: Option<&FeedState>,
    ) -> Result<Option<FeedTimes>, StoreError> {
        // The list is long and rarely changes, unlike the times.
        let listed = now.map(|now| &now.listed);
        let is_new = before.state.as_ref().map(|feed| &feed.listed) != listed;
        let parts = match listed.filter(|_| is_new) {
            Some(listed) => in_parts(listed.iter().map(StationId::as_str)),
            None => Vec::new(),
        };
        let times = before.times.as_ref();
        let more_parts = match parts.len() {
            0 => times.map_or(0, |times| times.more_parts),
            n => n as u32 - 1,
        };
        let times = FeedTimes {
            status_at: now.and_then(|now| now.status_at),
            information_at: now.and_then(|now| now.information_at),
            version: times.map_or(0, |times| times.version) + 1,
            more_parts,
            changed_at: Some(self.connection.clock.now()),
        };
        let parts: Vec<(Note<'_>, &Vec<&str>)> = (0..)
            .zip(&parts)
            .map(|(part, ids)| (Note::Listed(part), ids))
            .collect();
        let is_written = self
            .ledger
            .replace_note(Note::Clock, (before.times.as_ref(), &times), &parts)
            .await?;
        Ok(is_written.then_some(times))
    }

    pub(super) fn too_many_writers(&self) -> StoreError {
        StoreError::new(
            StoreErrorKind::Busy,
            format!(
                "{} is being written by others all the time: try again",
                self.stations.name
            ),
        )
    }
}

/// Cuts a list of ids into parts of at most [`PART_BYTES`] as JSON. There is at least one.
fn in_parts<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for id in ids {
        // Quotes and a comma; a character of JSON takes at most six bytes.
        let size = 3 + id
            .chars()
            .map(|c| if c.is_control() { 6 } else { 2 * c.len_utf8() })
            .sum::<usize>();
        if bytes + size > PART_BYTES && bytes > 0 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        let last = parts.len() - 1;
        parts[last].push(id);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times are the condition of a write, as text.
    #[test]
    fn times_of_older_programs_keep_their_text() {
        for old in [
            r#"{"status_at":"2024-01-01T00:00:00Z","information_at":null}"#,
            r#"{"status_at":null,"information_at":"2024-01-01T00:00:00Z"}"#,
            r#"{"status_at":null,"information_at":null,"version":7}"#,
        ] {
            let times: FeedTimes = serde_json::from_str(old).unwrap();
            assert_eq!(serde_json::to_string(&times).unwrap(), old);
        }
    }

    #[test]
    fn a_long_list_is_cut_into_parts() {
        assert_eq!(in_parts([].into_iter()), [Vec::<&str>::new()]);
        let ids: Vec<String> = (0..12_000)
            .map(|n| format!("3e5f7c1a-0000-4000-8000-{n:012}"))
            .collect();
        let parts = in_parts(ids.iter().map(String::as_str));
        assert!(parts.len() > 4);
        for part in &parts {
            assert!(serde_json::to_string(part).unwrap().len() <= PART_BYTES);
        }
        assert!(parts.concat().iter().eq(ids.iter()));
    }
}
