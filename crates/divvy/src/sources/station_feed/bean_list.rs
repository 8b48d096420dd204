//! `stationBeanList`: the feed before GBFS, retired by 2022 and alive in recordings.
//!
//! One list with names, places and states; wall clocks without a zone. No specification was ever
//! published: this is what eight years of recordings hold.

use super::entry::Entry;
use super::error::FeedError;
use super::stations::{Fields, Listed, Presence, Stations};
use super::value::{self, Json, Reading};
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
            Reading::Odd(number) => Reading::Good(number),
            reading => reading,
        };
        let is_test = value::flag(&entry.get("testStation")).value() == Some(true);
        match id {
            Reading::Good(id) if is_test => stations.leave_out(&id, "testStation"),
            id => stations.take(entry, ("id", id), fill),
        }
    }
    let Listed {
        stations,
        local_reports,
        faults,
    } = stations.finish(file)?;
    Ok(Feed {
        file: file.into(),
        kind: FeedKind::StationBeanList,
        version: None,
        time,
        ttl_s: None,
        stations,
        faults,
        made_by: None,
        local_reports,
    })
}

/// `landMark`, the number of the terminal, is not read: it looks like GBFS's `short_name`, and
/// is another one at most stations.
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

/// How a status is written, letters only: `statusValue`, `status` and `statusKey`.
const STATUSES: &[(&str, StationStatus)] = &[
    ("inservice", StationStatus::InService),
    ("1", StationStatus::InService),
    ("planned", StationStatus::Planned),
    ("2", StationStatus::Planned),
    ("notinservice", StationStatus::NotInService),
    ("3", StationStatus::NotInService),
];

/// Tells the status by word, else by key. A word that no table lists stays as it is.
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
