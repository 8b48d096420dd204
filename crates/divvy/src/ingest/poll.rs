//! Updating of StationData from station feeds.

use std::collections::HashSet;
use std::ffi::OsStr;

use jiff::{SignedDuration, Timestamp};

use super::PollError;
use super::feed_sources::FeedSources;
use super::snapshot_time::SnapshotTime;
use crate::model::{Snapshot, SnapshotKind, StationId, System, Systems};
use crate::numerals::grouped;
use crate::sample;
use crate::sources::http::Client;
use crate::sources::station_feed::{self, Fault, Feed, FeedError};
use crate::store::{Applied, FeedState, Store};

/// The result of a poll.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The system of the stations.
    pub system: System,
    /// When the snapshot was made.
    pub time: SnapshotTime,
    /// Number of stations in the snapshot.
    pub stations: usize,
    /// The snapshot, as it was passed to the store.
    pub snapshot: Box<Snapshot>,
    /// What the store did with it.
    pub applied: Applied,
    /// Departures of the feed from its specification, and what cannot be true.
    pub faults: Vec<Fault>,
    /// What differs from the snapshot before in a way that matters to a user, as sentences.
    pub notes: Vec<String>,
}

/// How to poll.
#[derive(Clone, Debug)]
pub struct PollOptions {
    /// The system whose stations these are. `None`: the one in whose area they lie, else the one that
    /// the feed names, else the store's only system.
    pub system: Option<System>,
    /// The systems that are known.
    pub systems: Systems,
    /// What fetches all addresses: those given, and those in a discovery file.
    pub client: Client,
    /// The present moment.
    pub now: Timestamp,
}

impl PollOptions {
    /// Makes the options of a poll that detects the system, among the built-in ones.
    pub fn new(now: Timestamp) -> Self {
        Self {
            system: None,
            systems: Systems::default(),
            client: Client::new(),
            now,
        }
    }
}

/// Reads one snapshot of stations from files, a folder, or addresses, and updates StationData with
/// it.
///
/// # Errors
///
/// [`PollError`]; the store is then unchanged.
pub async fn poll(
    sources: &[impl AsRef<OsStr>],
    store: &dyn Store,
    options: &PollOptions,
) -> Result<Polled, PollError> {
    let sources: Vec<&OsStr> = sources.iter().map(AsRef::as_ref).collect();
    let sources = FeedSources::read(&sources, &options.client)?;
    let system = system(&sources, options, store).await?;
    apply(sources.feeds, store, &system, options.now).await
}

/// Decides to which system the stations belong.
pub(super) async fn system(
    sources: &FeedSources,
    options: &PollOptions,
    store: &dyn Store,
) -> Result<System, PollError> {
    if sources.feeds.is_empty() {
        return Err(FeedError::NoPair {
            given: "no feed at all".into(),
        }
        .into());
    }
    let given = options.system.as_ref();
    let is_sample = |feed: &Feed| feed.made_by.as_deref() == Some(sample::LABEL);
    if sources.feeds.iter().any(is_sample) || given.is_some_and(System::is_sample) {
        // Invented stations lie in the area of a real system, so that is not compared.
        return Ok(given.cloned().unwrap_or_else(System::sample));
    }
    let feeds = sources.feeds.iter();
    let mut found = feeds.map(|feed| feed.systems(&options.systems));
    let found = found.find(|found| !found.is_empty()).unwrap_or_default();
    if let Some(given) = given {
        let is_in_its_area = |feed: &Feed| given.area.is_some_and(|area| feed.is_mostly_in(area));
        let is_found = found.is_empty() || found.iter().any(|system| system.id == given.id);
        return if is_found || sources.feeds.iter().any(is_in_its_area) {
            Ok(given.clone())
        } else {
            Err(PollError::Contradiction {
                source_name: sources.name.clone(),
                given: given.id.to_string(),
                found: found[0].id.to_string(),
            })
        };
    }
    let named = sources.system_id.as_deref();
    let named = named.and_then(|name| options.systems.named(name));
    let stored = store.systems().await?;
    let mut candidates = found;
    if candidates.len() > 1 {
        // Areas that users state may overlap: what the feed names decides, then what is stored.
        let ids = |systems: &[System]| systems.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
        for ids in [ids(named.as_slice()), ids(&stored)] {
            if candidates.iter().any(|it| ids.contains(&it.id)) {
                candidates.retain(|it| ids.contains(&it.id));
            }
        }
    }
    match <[System; 1]>::try_from(candidates) {
        Ok([only]) => return Ok(only),
        Err(several) if !several.is_empty() => {
            let ids: Vec<&str> = several.iter().map(|system| system.id.as_str()).collect();
            return Err(PollError::SeveralSystems {
                source_name: sources.name.clone(),
                systems: ids.join(" and "),
            });
        }
        Err(_) => {}
    }
    if let Some(named) = named {
        return Ok(named);
    }
    match <[System; 1]>::try_from(stored) {
        Ok([only]) if !sources.feeds.iter().any(has_positions) => Ok(only),
        _ => Err(PollError::UnknownSystem {
            source_name: sources.name.clone(),
        }),
    }
}

/// Returns whether a feed has the position of any station.
fn has_positions(feed: &Feed) -> bool {
    feed.stations.iter().any(|s| s.position().is_some())
}

/// How far the time of a feed may be ahead of the present. A wrong zone is at most 14 hours off.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Updates StationData with feeds that have been read: one feed, or a pair of GBFS.
///
/// The snapshot gets the time of the feed, or another one where that is ahead of `fetched_at`: [`SnapshotTime`].
///
/// # Errors
///
/// [`PollError`] where the feeds make no snapshot, where it lists no station, where it was made more than a day after
/// `fetched_at`, and where the store fails.
pub async fn apply(
    feeds: Vec<Feed>,
    store: &dyn Store,
    system: &System,
    fetched_at: Timestamp,
) -> Result<Polled, PollError> {
    let fetched = Fetched::At {
        now: fetched_at,
        before: None,
    };
    apply_fetched(feeds, store, system, fetched).await
}

/// When feeds were fetched.
#[derive(Clone, Copy)]
pub(super) enum Fetched {
    /// At the present moment. `before` is the time of the last snapshot of the same feed.
    At {
        now: Timestamp,
        before: Option<SnapshotTime>,
    },
    /// They are recorded: about when they were made, and before `now`.
    WhenMade { now: Timestamp },
}

/// Updates StationData as [`apply`] does.
pub(super) async fn apply_fetched(
    feeds: Vec<Feed>,
    store: &dyn Store,
    system: &System,
    fetched: Fetched,
) -> Result<Polled, PollError> {
    let (Fetched::At { now, .. } | Fetched::WhenMade { now }) = fetched;
    let state = store.feed(&system.id).await?;
    let last = state.as_ref();
    let last = last.and_then(|state| state.status_at.max(state.information_at));
    let of_feeds: Vec<Fault> = feeds
        .iter()
        .flat_map(|feed| feed.faults.iter().cloned())
        .collect();
    // What cannot be true comes before spellings: not all are shown.
    let mut faults = Vec::from_iter(station_feed::compare_lists(&feeds));
    let newest = feeds.iter().max_by_key(|feed| feed.kind);
    let file = newest.map_or_else(String::new, |feed| feed.file.clone());
    if let Some(empty) = feeds.iter().find(|feed| feed.stations.is_empty()) {
        let file = empty.file.clone();
        return Err(PollError::NoStations { file });
    }
    let mut snapshot = station_feed::snapshot(feeds, system, last)?;
    faults.extend(station_feed::mend_positions(
        &mut snapshot.stations,
        system.area,
    ));
    faults.extend(station_feed::mend_states(&mut snapshot, now));
    faults.extend(of_feeds);
    let made_at = snapshot.taken_at;
    if made_at.duration_since(now) > MAX_AHEAD {
        let zone = system.zone();
        return Err(PollError::FeedTimeAheadOfClock {
            file,
            taken_at: zone.rfc3339(made_at),
            fetched_at: zone.rfc3339(now),
        });
    }
    let (time, fetched_at) = match fetched {
        Fetched::At { now, before } => (SnapshotTime::at_poll(made_at, now, last, before), now),
        Fetched::WhenMade { .. } => (SnapshotTime::as_made(made_at), made_at),
    };
    snapshot.taken_at = time.taken_at;
    let applied = store.apply(&snapshot, fetched_at).await?;
    let notes = match (&applied, &state) {
        (Applied::Accepted { .. }, Some(before)) => compare(&snapshot, before),
        _ => Vec::new(),
    };
    Ok(Polled {
        system: system.clone(),
        time,
        stations: snapshot.stations.len(),
        snapshot: Box::new(snapshot),
        applied,
        faults,
        notes,
    })
}

/// The note about a snapshot with changes that has the time of the last one.
pub(super) const CLOCK_STANDS_STILL: &str = "the time of the feed is that of the last snapshot, although \
     stations have changed: the publisher's clock stands still";

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
        notes.push(CLOCK_STANDS_STILL.into());
    }
    // Where states are known, names alone do not show which stations are in use.
    if snapshot.kind == SnapshotKind::Information && before.status_at.is_some() {
        return notes;
    }
    let now: HashSet<&StationId> = snapshot.stations.iter().map(|it| &it.id).collect();
    let gone = before.listed.iter().filter(|id| !now.contains(id)).count();
    if gone == 0 {
        return notes;
    }
    let all = before.listed.len();
    let all_text = grouped(all as i64);
    notes.push(if gone == all && !now.is_empty() {
        format!(
            "none of the {all_text} ids of the last snapshot is in this one: the feed has new ids"
        )
    } else {
        let verb = if gone == 1 { "is" } else { "are" };
        let gone = grouped(gone as i64);
        format!("{gone} of the {all_text} stations of the last snapshot {verb} not in this one")
    });
    notes
}
