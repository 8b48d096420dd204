//! What a snapshot states and cannot be true: positions, and two feeds that list other stations.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::fault::{Fault, Faults};
use super::{Feed, FeedKind};
use crate::model::{BoundingBox, Position, Snapshot, Station, StationId};

/// Mends the positions of stations where that is possible, and returns a fault for each kind that is
/// implausible. `area` is that of their system:
///
/// - 0° north, 0° east is no position: it is taken away.
/// - Latitude and longitude that lie in the area once they are exchanged are exchanged.
/// - A position outside of the area stays as it is published.
pub fn mend_positions(stations: &mut [Station], area: Option<BoundingBox>) -> Vec<Fault> {
    let mut faults = Faults::default();
    for station in stations {
        let (Some(latitude), Some(longitude)) = (&station.latitude, &station.longitude) else {
            continue;
        };
        let found = || format!("{latitude}, {longitude}");
        let Some(position) = station.position() else {
            let expected = "a position; the station is stored without one";
            faults.general(POSITION, found, expected);
            (station.latitude, station.longitude) = (None, None);
            continue;
        };
        let Some(area) = area.filter(|area| !area.contains(position)) else {
            continue;
        };
        if area.contains(exchanged(position)) {
            let expected = "latitude before longitude; they are exchanged";
            faults.general(POSITION, found, expected);
            std::mem::swap(&mut station.latitude, &mut station.longitude);
        } else {
            let expected = "a position in the area of the system";
            faults.of_station(&station.id, POSITION, found(), expected);
        }
    }
    faults.into_vec()
}

/// How far the report of a station may be ahead of its feed: the clocks of stations differ.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Removes times of reports that are more than a day after the snapshot and after `fetched_at`: the time
/// of a feed may stand still. Returns a fault for these, and
/// for stations with more e-bikes than bikes.
pub fn mend_states(snapshot: &mut Snapshot, fetched_at: Timestamp) -> Vec<Fault> {
    let mut faults = Faults::default();
    let now = snapshot.taken_at.max(fetched_at);
    let is_late = |at: &mut Timestamp| at.duration_since(now) > MAX_AHEAD;
    for station in &mut snapshot.stations {
        if let Some(at) = station.reported_at.take_if(is_late) {
            let expected = "a time up to that of the feed; it counts as never";
            faults.of_station(&station.id, "last_reported", at.to_string(), expected);
        }
        let available = &station.available;
        if let (Some(ebikes), Some(all)) = (available.ebikes, available.vehicles)
            && ebikes > all
        {
            let expected = "no more e-bikes than bikes";
            let found = format!("{ebikes} of {all}");
            faults.of_station(&station.id, "num_ebikes_available", found, expected);
        }
    }
    faults.into_vec()
}

/// The fields of a position, in faults.
const POSITION: &str = "latitude, longitude";

/// Returns a position whose latitude and longitude were written in the other order.
pub(super) fn exchanged(position: Position) -> Position {
    Position {
        latitude: position.longitude,
        longitude: position.latitude,
    }
}

/// Returns a fault where `station_information` and `station_status` do not list the same stations: such
/// stations are stored without a name, or without a state. `None` for one feed alone.
pub fn compare_lists(feeds: &[Feed]) -> Option<Fault> {
    let ids = |kind| {
        let feed = feeds.iter().find(|feed| feed.kind == kind)?;
        let ids = feed.stations.iter().map(|station: &Station| &station.id);
        Some(ids.collect::<HashSet<&StationId>>())
    };
    let named = ids(FeedKind::StationInformation)?;
    let reporting = ids(FeedKind::StationStatus)?;
    let common = named.intersection(&reporting).count();
    let (nameless, silent) = (reporting.len() - common, named.len() - common);
    if nameless + silent == 0 {
        return None;
    }
    let found = if common == 0 {
        "no station in both".to_owned()
    } else {
        format!("{silent} in the first alone and {nameless} in the second alone")
    };
    Some(Fault {
        station: None,
        field: "station_id".into(),
        found,
        expected: "the same stations in station_information and station_status".into(),
        times: 1,
    })
}
