//! GBFS 1.0 to 3.0: `station_information` and `station_status`.
//!
//! <https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md#station_informationjson>

use std::collections::BTreeMap;

use serde_json::Value;

use super::entry::Entry;
use super::error::FeedError;
use super::stations::{Fields, Presence, Stations, StationsRead};
use super::value::{self, Json};
use super::{Envelope, Feed, FeedKind, raw};
use crate::model::{Availability, Station, StationStatus};

/// Reads either feed.
pub(super) fn read(
    envelope: &Envelope<'_>,
    entries: &[Entry<'_>],
    file: &str,
) -> Result<Feed, FeedError> {
    let last_updated = raw(envelope.last_updated);
    let time = value::time(&Json::of(last_updated))
        .value()
        .ok_or_else(|| FeedError::no_time(file, "last_updated", last_updated))?;
    let version = value::text(&Json::of(raw(envelope.version))).value();
    // Only 1.1 and later state their version.
    let flags_are_digits = version.as_ref().is_none_or(|v| v.starts_with("1."));
    let kind = kind(entries, file);
    let mut stations = Stations::default();
    let mut by_type: BTreeMap<usize, Vec<(String, u32)>> = BTreeMap::new();
    for entry in entries {
        let id = value::id(&entry.get("station_id"));
        let mut counted = None;
        let index = stations.take(entry, ("station_id", id), |station, fields| match kind {
            FeedKind::StationStatus => {
                counted = fill_status(station, fields, flags_are_digits);
            }
            _ => fill_information(station, fields),
        });
        // An entry replaces an earlier one of the same id.
        match (index, counted) {
            (Some(index), Some(counts)) => _ = by_type.insert(index, counts),
            (Some(index), None) => _ = by_type.remove(&index),
            (None, _) => {}
        }
    }
    let StationsRead {
        stations,
        local_reports,
        faults,
    } = stations.finish(file)?;
    Ok(Feed {
        file: file.into(),
        kind,
        version,
        time,
        stations,
        faults,
        made_by: value::text(&Json::of(raw(envelope.made_by))).value(),
        ttl_s: ttl_s(raw(envelope.ttl)),
        local_reports,
        by_type,
    })
}

/// Reads a number of seconds, which some publishers write as a text.
fn ttl_s(json: &str) -> Option<u64> {
    json.trim_matches('"').trim().parse().ok()
}

/// Recognises the feed by the fields that only one of the two has. For an empty list the name of the
/// file decides.
fn kind(entries: &[Entry<'_>], file: &str) -> FeedKind {
    const STATES: &[&str] = &[
        "num_bikes_available",
        "num_vehicles_available",
        "num_docks_available",
        "numBikesAvailable",
        "numDocksAvailable",
        "vehicle_types_available",
        "last_reported",
    ];
    const PROPERTIES: &[&str] = &["name", "lat", "lon"];
    const FLAGS: &[&str] = &["is_installed", "is_renting", "is_returning"];
    let have = |fields| entries.iter().any(|entry| entry.has_any(fields));
    let is_status = if entries.is_empty() {
        file.to_ascii_lowercase().contains("status")
    } else {
        have(STATES) || (!have(PROPERTIES) && have(FLAGS))
    };
    if is_status {
        FeedKind::StationStatus
    } else {
        FeedKind::StationInformation
    }
}

fn fill_information(station: &mut Station, fields: &mut Fields) {
    use Presence::{Optional, Required};
    station.name = fields.text("name", Required);
    station.short_name = fields.other_id("short_name");
    station.legacy_id = fields.other_id("legacy_id");
    station.latitude = fields.latitude("lat");
    station.longitude = fields.longitude("lon");
    station.capacity = fields.count("capacity", Optional);
}

/// Sets the state of a station. Returns its vehicles by type, where it counts them so.
fn fill_status(
    station: &mut Station,
    fields: &mut Fields,
    flags_are_digits: bool,
) -> Option<Vec<(String, u32)>> {
    use Presence::{Optional, Required};
    let types = CountsByType::of(&fields.json("vehicle_types_available"));
    let vehicles = fields.count_of(
        &[
            "num_vehicles_available",
            "numBikesAvailable",
            "num_bikes_available",
        ],
        Required,
    );
    let vehicles = vehicles.or(types.total());
    let ebikes = fields
        .count("num_ebikes_available", Optional)
        .or_else(|| types.lyft_ebikes(vehicles))
        .or_else(|| pbsc_ebikes(&fields.json("num_bikes_available_types")));
    station.available = Availability {
        vehicles,
        ebikes,
        vehicles_disabled: fields
            .count_of(&["num_vehicles_disabled", "num_bikes_disabled"], Optional),
        docks: docks(fields),
        docks_disabled: fields.count("num_docks_disabled", Optional),
    };
    station.status = status(fields, flags_are_digits);
    station.reported_at = fields.report_time("last_reported", Required);
    (!types.0.is_empty()).then_some(types.0)
}

/// Reads the number of free docks. `None` for a station without docks, which lacks the field.
fn docks(fields: &mut Fields) -> Option<u32> {
    /// What some publishers write for an unknown number.
    const UNKNOWN: u32 = 999;
    let names = ["numDocksAvailable", "num_docks_available"];
    let docks = fields.count_of(&names, Presence::Optional);
    let docks = docks.or_else(|| docks_by_type(&fields.json("vehicle_docks_available")))?;
    if docks == UNKNOWN {
        fields.fault("num_docks_available", "a true number");
        return None;
    }
    Some(docks)
}

/// Makes the status of the flags. A missing flag counts as true, its usual value; `None` where all
/// are missing.
fn status(fields: &mut Fields, flags_are_digits: bool) -> Option<StationStatus> {
    let [installed, renting, returning] = ["is_installed", "is_renting", "is_returning"]
        .map(|field| fields.flag(field, flags_are_digits, Presence::Required));
    if installed.is_none() && renting.is_none() && returning.is_none() {
        return None;
    }
    let or_true = |flag: Option<bool>| flag.unwrap_or(true);
    Some(StationStatus::from_flags(
        or_true(installed),
        or_true(renting),
        or_true(returning),
    ))
}

/// Adds up `vehicle_docks_available`, the free docks for each list of vehicle types. `None` without
/// that field.
fn docks_by_type(list: &Json) -> Option<u32> {
    let Json::Nested(list) = list else {
        return None;
    };
    let count = |item: &Value| value::count(&Json::from(&item["count"])).value();
    let mut counts = list.as_array()?.iter().filter_map(count);
    let first = counts.next()?;
    Some(counts.fold(first, u32::saturating_add))
}

/// `vehicle_types_available`: how many of each type.
struct CountsByType(Vec<(String, u32)>);

impl CountsByType {
    fn of(list: &Json) -> Self {
        let counted = |item: &Value| {
            let id = value::text(&Json::from(&item["vehicle_type_id"])).value()?;
            Some((id, value::count(&Json::from(&item["count"])).value()?))
        };
        let list = match list {
            Json::Nested(list) => list.as_array(),
            _ => None,
        };
        Self(list.into_iter().flatten().filter_map(counted).collect())
    }

    /// Counts the vehicles of all types. `None` without a list.
    fn total(&self) -> Option<u32> {
        let add = |sum: u32, (_, count): &(String, u32)| sum.saturating_add(*count);
        (!self.0.is_empty()).then(|| self.0.iter().fold(0, add))
    }

    /// Counts e-bikes by Lyft's ids: 1 is a bike, 2 an e-bike, 3 a scooter. `None` for ids of other
    /// publishers, which are defined in their `vehicle_types`, and for a list of zeros at a station
    /// with vehicles, which Lyft has sent.
    fn lyft_ebikes(&self, vehicles: Option<u32>) -> Option<u32> {
        let lyft = self
            .0
            .iter()
            .all(|(id, _)| matches!(id.as_str(), "1" | "2" | "3"));
        let zeros = self.total() == Some(0) && vehicles.is_some_and(|n| n > 0);
        if !lyft || zeros {
            return None;
        }
        self.0
            .iter()
            .find(|(id, _)| id == "2")
            .map(|(_, count)| *count)
    }
}

/// Counts e-bikes in `num_bikes_available_types`, an extension by PBSC: an object such as
/// `{"mechanical": 3, "ebike": 2}`, or a list of such objects. Other systems of PBSC name the models:
/// the ICONIC and FIT have no motor, the EFIT and BOOST have one.
fn pbsc_ebikes(types: &Json) -> Option<u32> {
    let Json::Nested(types) = types else {
        return None;
    };
    let objects = match types.as_ref() {
        Value::Array(objects) => objects.as_slice(),
        object => std::slice::from_ref(object),
    };
    let counts = objects.iter().flat_map(|object| {
        const WITH_MOTOR: [&str; 3] = ["ebike", "EFIT", "BOOST"];
        let counts = WITH_MOTOR.iter().filter_map(|key| object.get(key));
        counts.filter_map(|count| value::count(&Json::from(count)).value())
    });
    counts.reduce(u32::saturating_add)
}
