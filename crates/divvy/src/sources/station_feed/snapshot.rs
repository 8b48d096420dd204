//! Makes a snapshot of one or two feeds.

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::error::FeedError;
use super::time::{self, FeedTime};
use super::{Feed, FeedKind};
use crate::model::{Snapshot, SnapshotKind, Station, StationId, System};

/// Makes a snapshot of one feed, or of `station_information` and `station_status` in any order.
///
/// A pair is joined by station id and has the time of its status. A station that is in only one of
/// the two has the fields of that one, since they may be fetched a minute apart. `after` is the time
/// of the last snapshot, which decides between the two instants of a local time in autumn's repeated
/// hour.
///
/// # Errors
///
/// [`FeedError::NoPair`] for any other feeds, [`FeedError::NoTime`] for a time out of range.
pub fn snapshot(
    mut feeds: Vec<Feed>,
    system: &System,
    after: Option<Timestamp>,
) -> Result<Snapshot, FeedError> {
    // Information before status, so that two feeds have one order.
    feeds.sort_by_key(|feed| feed.kind);
    let kinds: Vec<FeedKind> = feeds.iter().map(|feed| feed.kind).collect();
    let kind = match kinds[..] {
        [FeedKind::StationBeanList] | [FeedKind::StationInformation, FeedKind::StationStatus] => {
            SnapshotKind::Full
        }
        [FeedKind::StationInformation] => SnapshotKind::Information,
        [FeedKind::StationStatus] => SnapshotKind::Status,
        _ => return Err(no_pair(&feeds)),
    };
    let clock = Clock { system, after };
    let status = feeds.pop().expect("every kind of snapshot has a feed");
    let by_type = status.by_type();
    let (taken_at, states) = clock.resolve(status)?;
    let stations = match feeds.pop() {
        None => states,
        Some(information) => join(information.stations, states),
    };
    Ok(Snapshot {
        system: system.clone(),
        taken_at,
        kind,
        stations,
        by_type,
    })
}

fn no_pair(feeds: &[Feed]) -> FeedError {
    let name = |feed: &Feed| format!("{} ({})", feed.file, feed.kind);
    let names: Vec<String> = feeds.iter().map(name).collect();
    FeedError::NoPair {
        given: match &names[..] {
            [] => "no feed at all".into(),
            [one] => one.clone(),
            [most @ .., last] => format!("{} and {last}", most.join(", ")),
        },
    }
}

/// Adds the states to the stations of the same ids. The order is that of the information.
fn join(mut stations: Vec<Station>, states: Vec<Station>) -> Vec<Station> {
    let mut indexes: FxHashMap<StationId, usize> = FxHashMap::default();
    for (index, station) in stations.iter().enumerate() {
        indexes.insert(station.id.clone(), index);
    }
    for state in states {
        match indexes.get(&state.id) {
            None => stations.push(state),
            Some(index) => {
                let station = &mut stations[*index];
                station.status = state.status;
                station.available = state.available;
                station.reported_at = state.reported_at;
            }
        }
    }
    stations
}

/// Converts local times to instants.
struct Clock<'a> {
    system: &'a System,
    after: Option<Timestamp>,
}

impl Clock<'_> {
    /// Returns the instant of a feed, and its stations with the instants of their reports.
    fn resolve(&self, feed: Feed) -> Result<(Timestamp, Vec<Station>), FeedError> {
        let mut stations = feed.stations;
        if let (FeedTime::Instant(taken_at), true) = (feed.time, feed.local_reports.is_empty()) {
            return Ok((taken_at, stations));
        }
        let zone = self.system.zone();
        let taken_at = match feed.time {
            FeedTime::Instant(instant) => instant,
            FeedTime::Local { ms } => {
                time::instant(ms, &zone, self.after).ok_or_else(|| FeedError::NoTime {
                    file: feed.file,
                    field: feed.kind.time_field(),
                    found: "one out of range".into(),
                })?
            }
        };
        for (index, ms) in feed.local_reports {
            stations[index].reported_at = time::instant_until(ms, &zone, taken_at);
        }
        Ok((taken_at, stations))
    }
}
