//! `stationBeanList`: the feed before GBFS, retired by 2022.
//!
//! One list with names, coordinates and states; local times without an offset. It has no published
//! specification: the fields are those of eight years of recordings.

use super::entry::Entry;
use super::error::FeedError;
use super::stations::{Fields, Presence, Stations, StationsRead};
use super::value::{self, Json, Parsed};
use super::{Feed, FeedKind};
use crate::model::{Availability, Station, StationStatus};

/// Reads the list.
pub(super) fn read(
    execution_time: &str,
    entries: &[Entry<'_>],
    file: &str,
) -> Result<Feed, FeedError> {
    let time = value::time(&Json::of(execution_time))
        .value()
        .ok_or_else(|| FeedError::no_time(file, "executionTime", execution_time))?;
    let mut stations = Stations::default();
    for entry in entries {
        let id = match value::id(&entry.get("id")) {
            Parsed::Tolerated(number) => Parsed::Valid(number),
            parsed => parsed,
        };
        let is_test = value::flag(&entry.get("testStation")).value() == Some(true);
        match id {
            Parsed::Valid(id) if is_test => stations.leave_out(&id, "testStation"),
            id => {
                stations.take(entry, ("id", id), fill);
            }
        }
    }
    let StationsRead {
        stations,
        local_reports,
        faults,
    } = stations.finish(file)?;
    Ok(Feed {
        file: file.into(),
        kind: FeedKind::StationBeanList,
        version: None,
        time,
        stations,
        faults,
        made_by: None,
        ttl_s: None,
        local_reports,
        by_type: Default::default(),
    })
}

/// `landMark`, the number of the terminal, is not read: it resembles the `short_name` of GBFS, and
/// differs from it at most stations.
fn fill(station: &mut Station, fields: &mut Fields) {
    use Presence::{Optional, Required};
    station.name = fields.text("stationName", Required);
    station.latitude = fields.latitude("latitude");
    station.longitude = fields.longitude("longitude");
    station.capacity = fields.count("totalDocks", Required);
    station.status = status(fields);
    station.available = Availability {
        vehicles: fields.count("availableBikes", Required),
        docks: fields.count("availableDocks", Required),
        ..Availability::default()
    };
    station.reported_at = fields.report_time("lastCommunicationTime", Optional);
}

/// The values of `statusValue`, `status` and `statusKey`, reduced to letters and digits.
const STATUSES: &[(&str, StationStatus)] = &[
    ("inservice", StationStatus::InService),
    ("1", StationStatus::InService),
    ("planned", StationStatus::Planned),
    ("2", StationStatus::Planned),
    ("notinservice", StationStatus::NotInService),
    ("3", StationStatus::NotInService),
];

/// Reads the status, by word or else by key. An unknown word becomes [`StationStatus::Unknown`].
fn status(fields: &mut Fields) -> Option<StationStatus> {
    let word = ["statusValue", "status", "statusKey"]
        .into_iter()
        .find_map(|field| fields.other_id(field));
    let Some(word) = word else {
        fields.fault("statusValue", "a word such as In Service");
        return None;
    };
    let letters: String = word
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let status = STATUSES
        .iter()
        .find(|(known, _)| *known == letters)
        .map(|(_, status)| status.clone())
        .unwrap_or_else(|| StationStatus::Unknown(word.into()));
    let renting = ["renting", "is_renting"]
        .into_iter()
        .find_map(|field| fields.flag(field, true, Presence::Optional));
    match (status, renting) {
        (StationStatus::InService, Some(false)) => Some(StationStatus::NotRenting),
        (status, _) => Some(status),
    }
}
