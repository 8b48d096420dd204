//! Station feeds of a sample at a given instant.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::city::{self, DEGREE, Station};
use super::rng::Rng;
use super::{Era, LABEL};
use crate::model::civil_date::DAY_S;

/// The address of the feeds, under a name that no server has (RFC 2606).
const BASE_URL: &str = "https://gbfs.example/2.3/en";

/// Makes the feeds that fit a sample's trips, as `(file name, JSON)`: `gbfs.json`,
/// `system_information.json`, `station_information.json` and `station_status.json`, in GBFS 2.3
/// as Lyft writes it: flags as 0 and 1, `station_id`s that no trip uses, with the ids of the
/// trips in `short_name` and `legacy_id`.
///
/// The feeds are newer than the trips: a few stations are closed, renamed or new, or have the ids of
/// another station. Some stations change from minute to minute.
pub fn feed(era: Era, seed: u64, at: Timestamp) -> Vec<(&'static str, Vec<u8>)> {
    let stations = stations_today(era, seed);
    let names = [
        "system_information",
        "station_information",
        "station_status",
    ];
    let feeds: Vec<Value> = names
        .iter()
        .map(|name| json!({ "name": name, "url": format!("{BASE_URL}/{name}.json") }))
        .collect();
    let information: Vec<Value> = stations.iter().map(information).collect();
    let status: Vec<Value> = stations
        .iter()
        .map(|station| status(station, seed, at))
        .collect();
    let system = json!({
        "system_id": "lyft_chi",
        "name": "Divvy (an invented sample)",
        "language": "en",
        "timezone": "America/Chicago",
    });
    [
        ("gbfs.json", json!({ "en": { "feeds": feeds } })),
        ("system_information.json", system),
        (
            "station_information.json",
            json!({ "stations": information }),
        ),
        ("station_status.json", json!({ "stations": status })),
    ]
    .into_iter()
    .map(|(name, data)| {
        let file = json!({
            "last_updated": at.as_second(),
            "ttl": 60,
            "version": "2.3",
            "made_by": LABEL,
            "data": data,
        });
        (name, file.to_string().into_bytes())
    })
    .collect()
}

/// Returns the stations of an era as they are at present.
fn stations_today(era: Era, seed: u64) -> Vec<Station> {
    const NEW: usize = 20;
    let (stations, later) = city::stations(era, seed);
    let mut later = later.into_iter();
    let mut today = Vec::new();
    for mut station in stations {
        let mut rng = Rng::of(seed ^ TODAY, u64::from(station.legacy_id));
        match rng.below(1000) {
            // Closed.
            0..15 => continue,
            // Its ids are those of another station now.
            15..20 => {
                if let Some(other) = later.next() {
                    station.name = other.name;
                    station.position = other.position;
                }
            }
            // Renamed.
            20..40 => {
                let corner = station.name.trim_end_matches(" (*)");
                station.name = format!("{corner} - Charging");
            }
            _ => {}
        }
        today.push(station);
    }
    today.extend(later.take(NEW));
    today
}

const TODAY: u64 = 0x746f_6461_7900;

fn information(station: &Station) -> Value {
    let degrees = |at: i64| at as f64 / DEGREE as f64;
    let mut json = json!({
        "station_id": station.feed_id,
        "name": station.name,
        "short_name": station.short_name,
        "lat": degrees(station.position.0),
        "lon": degrees(station.position.1),
        "capacity": station.docks,
        "station_type": if station.is_rack { "lightweight" } else { "classic" },
        "rental_uris": {
            "android": "https://gbfs.example/app",
            "ios": "https://gbfs.example/app",
        },
    });
    // Racks are newer than the feed that had these ids.
    if !station.is_rack {
        json["legacy_id"] = station.legacy_id.to_string().into();
    }
    json
}

fn status(station: &Station, seed: u64, at: Timestamp) -> Value {
    let mut fixed = Rng::of(seed ^ TODAY ^ 1, u64::from(station.legacy_id));
    let in_service = !fixed.happens(0.01);
    // Each station changes at its own interval of 1 to 40 minutes.
    let interval_s = fixed.between(60, 2400);
    let interval = at.as_second().div_euclid(interval_s);
    let changed_at = interval * interval_s;
    let mut rng = Rng::of(seed ^ interval as u64, u64::from(station.legacy_id));
    let capacity = if station.is_rack { 6 } else { station.docks };
    let disabled = u32::from(rng.happens(0.15));
    let usual = 0.15 + 0.6 * fixed.unit();
    let filled = (usual + 0.15 * rng.bell()).clamp(0.0, 1.0);
    let bikes = (f64::from(capacity - disabled) * filled) as u32;
    let ebikes = if station.is_rack {
        bikes
    } else {
        (f64::from(bikes) * 0.5 * rng.unit()) as u32
    };
    let last_reported = match fixed.below(200) {
        // Feeds have stations that never reported, and some that have not for weeks.
        0 => 86_400,
        1 => at.as_second() - 40 * DAY_S,
        _ => changed_at,
    };
    json!({
        "station_id": station.feed_id,
        "is_installed": 1,
        "is_renting": u8::from(in_service),
        "is_returning": u8::from(in_service),
        "last_reported": last_reported,
        "num_bikes_available": bikes,
        "num_bikes_disabled": disabled,
        "num_ebikes_available": ebikes,
        "num_docks_available": station.docks.saturating_sub(bikes + disabled),
        "num_docks_disabled": 0,
        "vehicle_types_available": [
            { "vehicle_type_id": "1", "count": bikes - ebikes },
            { "vehicle_type_id": "2", "count": ebikes },
        ],
    })
}
