//! Updating of StationData from station feeds.

use std::collections::HashSet;
use std::ffi::OsStr;

use jiff::{SignedDuration, Timestamp};

use super::PollError;
use super::feed_sources::{self, FeedSources};
use crate::model::{Snapshot, SnapshotKind, StationId, System};
use crate::sources::http::Client;
use crate::sources::station_feed::{self, Fault, Feed};
use crate::store::{Applied, FeedState, Store};

/// The result of a poll.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The system of the stations.
    pub system: System,
    /// When the feed was made, by its own clock.
    pub taken_at: Timestamp,
    /// Number of stations in the snapshot.
    pub stations: usize,
    /// What the store did with it.
    pub applied: Applied,
    /// Departures of the feed from its specification, and what cannot be true.
    pub faults: Vec<Fault>,
    /// What differs from the snapshot before in a way that a user should know, as sentences.
    pub notes: Vec<String>,
}

/// Reads one snapshot of stations from files, a folder, or addresses, and updates StationData with
/// it.
///
/// The system is `system` where given; else the one in whose area the stations lie, else the one
/// that the feed names, else the store's only system.
///
/// # Errors
///
/// [`PollError`]; the store is then unchanged.
pub async fn poll(
    sources: &[impl AsRef<OsStr>],
    store: &dyn Store,
    system: Option<&System>,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    poll_by(&Client::new(), sources, store, system, fetched_at).await
}

/// As [`poll`], with `client` for all addresses: those given, and those in a discovery file.
///
/// # Errors
///
/// As [`poll`].
pub async fn poll_by(
    client: &Client,
    sources: &[impl AsRef<OsStr>],
    store: &dyn Store,
    system: Option<&System>,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let sources: Vec<&OsStr> = sources.iter().map(AsRef::as_ref).collect();
    let sources = FeedSources::read(&sources, client)?;
    let system = feed_sources::system(&sources, system, store).await?;
    apply(sources.feeds, store, &system, fetched_at).await
}

/// How far the time of a feed may be ahead of the present. A wrong zone is at most 14 hours off.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Updates StationData with feeds that have been read: one feed, or a pair of GBFS.
///
/// # Errors
///
/// [`PollError`] where the feeds make no snapshot, where it was made more than a day after
/// `fetched_at`, and where the store fails.
pub async fn apply(
    feeds: Vec<Feed>,
    store: &dyn Store,
    system: &System,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let state = store.feed(&system.id).await?;
    let last = state.as_ref();
    let last = last.and_then(|state| state.status_at.max(state.information_at));
    let mut faults: Vec<Fault> = feeds
        .iter()
        .flat_map(|feed| feed.faults.iter().cloned())
        .collect();
    faults.extend(station_feed::compare_lists(&feeds));
    let newest = feeds.iter().max_by_key(|feed| feed.kind);
    let file = newest.map_or_else(String::new, |feed| feed.file.clone());
    let mut snapshot = station_feed::snapshot(feeds, system, last)?;
    faults.extend(station_feed::mend_positions(&mut snapshot));
    if snapshot.taken_at.duration_since(fetched_at) > MAX_AHEAD {
        let zone = system.zone();
        return Err(PollError::FeedTimeAheadOfClock {
            file,
            taken_at: zone.rfc3339(snapshot.taken_at),
            fetched_at: zone.rfc3339(fetched_at),
        });
    }
    let applied = store.apply(&snapshot, fetched_at).await?;
    let notes = match (&applied, &state) {
        (Applied::Accepted { .. }, Some(before)) => compare(&snapshot, before),
        _ => Vec::new(),
    };
    Ok(Polled {
        system: system.clone(),
        taken_at: snapshot.taken_at,
        stations: snapshot.stations.len(),
        applied,
        faults,
        notes,
    })
}

/// Writes in what way an accepted snapshot differs from the one before it: a time that stands still, and
/// stations that are not listed any more.
fn compare(snapshot: &Snapshot, before: &FeedState) -> Vec<String> {
    let mut notes = Vec::new();
    let last = match snapshot.kind {
        SnapshotKind::Information => before.information_at,
        SnapshotKind::Status => before.status_at,
        SnapshotKind::Full => before.status_at.min(before.information_at),
    };
    if last == Some(snapshot.taken_at) {
        notes.push(
            "the time of the feed is that of the last snapshot, although stations have changed: the \
             publisher's clock stands still"
                .into(),
        );
    }
    // Names alone say nothing about which stations are in use where states are known.
    if snapshot.kind == SnapshotKind::Information && before.status_at.is_some() {
        return notes;
    }
    let now: HashSet<&StationId> = snapshot.stations.iter().map(|it| &it.id).collect();
    let gone = before.listed.iter().filter(|id| !now.contains(id)).count();
    if gone == 0 {
        return notes;
    }
    let all = before.listed.len();
    notes.push(if gone == all && !now.is_empty() {
        format!("none of the {all} ids of the last snapshot is in this one: the feed has new ids")
    } else {
        format!("{gone} of the {all} stations of the last snapshot are not in this one")
    });
    notes
}
