//! Tables (CSV) of `station_status`, one snapshot a file.
//!
//! A recorder wrote the fields of GBFS as columns, in an order that differs from file to file, and
//! either `last_reported` (POSIX seconds) or `timestamp` (the same as a local time, `01/09/2024 05:05
//! PM`). The table is written as the JSON that it was made of, and read as that.

use csv::StringRecord;
use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use super::RecordingError;
use super::files::{self, Part};
use crate::sources::station_feed::{self, Document, Feed, FeedError};

/// The columns without which a table is no `station_status`.
const REQUIRED: [&str; 2] = ["station_id", "num_bikes_available"];
/// The local time of a station's report.
const LOCAL_REPORT: &str = "timestamp";
const REPORT: &str = "last_reported";

/// Reads a table.
pub(super) fn read(part: &Part) -> Result<Feed, RecordingError> {
    let file = part.name();
    let bytes = files::read(&part.path)?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(false)
        .from_reader(&bytes[..]);
    let row_error = |error: csv::Error| RecordingError::Row {
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
        file: file.clone(),
    };
    let header = reader.headers().map_err(row_error)?.clone();
    let lacking: Vec<&str> = REQUIRED
        .into_iter()
        .filter(|required| !header.iter().any(|column| column == *required))
        .collect();
    if !lacking.is_empty() {
        return Err(RecordingError::Columns {
            lacking: lacking.join(" and "),
            file,
        });
    }
    let mut stations = Vec::new();
    for row in reader.records() {
        stations.push(station(&header, &row.map_err(row_error)?));
    }
    let taken_at =
        time_of(part, &stations).ok_or_else(|| RecordingError::NoTime { file: file.clone() })?;
    let document = json!({ "last_updated": taken_at, "data": { "stations": stations } });
    match station_feed::read(document.to_string().as_bytes(), &file)? {
        Document::Feed(feed) => Ok(feed),
        Document::Discovery(_) | Document::VehicleTypes(_) => Err(FeedError::NotAFeed {
            found: "a table of another kind".into(),
            file,
        }
        .into()),
    }
}

/// Returns the time of a table: the clock time of its name, which is local unless it ends with `Z`, else
/// the newest report.
fn time_of(part: &Part, stations: &[Value]) -> Option<Value> {
    let name = part.time().filter(|time| time.clock.is_some());
    if let Some(time) = name {
        let zone = if time.is_utc { "Z" } else { "" };
        return Some(json!(format!("{}{zone}", time.earliest())));
    }
    let reports = stations.iter().map(|station| &station[REPORT]);
    let newest = reports.max_by_key(|report| match report {
        Value::Number(seconds) => (0, seconds.as_i64(), ""),
        Value::String(local) => (1, None, local.as_str()),
        _ => (-1, None, ""),
    });
    newest.filter(|report| !report.is_null()).cloned()
}

/// Writes a row as a station of `station_status`.
fn station(header: &StringRecord, row: &StringRecord) -> Value {
    let mut fields = Map::new();
    for (column, cell) in header.iter().zip(row) {
        match (column, cell.trim()) {
            (_, "") => {}
            ("station_id", id) => _ = fields.insert(column.into(), json!(id)),
            (LOCAL_REPORT, local) => {
                let local = DateTime::strptime("%m/%d/%Y %I:%M %p", local);
                // The start of 1970, which recorders write for "never", is no local time.
                let local = local.ok().filter(|local| local.year() >= 2000);
                if let Some(local) = local {
                    fields.insert(REPORT.into(), json!(local.to_string()));
                }
            }
            // Some recorders write `1704092880.0`.
            (REPORT, seconds) if seconds.parse::<f64>().is_ok() => {
                let seconds = seconds.parse::<f64>().unwrap_or_default() as i64;
                fields.insert(REPORT.into(), json!(seconds));
            }
            (_, cell) => _ = fields.insert(column.into(), value(cell)),
        }
    }
    Value::Object(fields)
}

/// Reads a cell: JSON, a list as Python prints it, or else a text.
fn value(cell: &str) -> Value {
    serde_json::from_str(cell)
        .or_else(|_| serde_json::from_str(&cell.replace('\'', "\"")))
        .unwrap_or_else(|_| cell.into())
}
