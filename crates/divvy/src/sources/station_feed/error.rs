//! Errors of reading station feeds.

use serde_json::Value;

use super::fault::{Fault, shown};
use crate::sources::sniff::begins_as_json;

/// Why a file is no station feed, or feeds make no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file is empty or has only blanks.
    #[error("{file} is empty: the download failed; fetch it again")]
    Empty {
        /// The file or address.
        file: String,
    },
    /// Not text, or text in another encoding.
    #[error("{file} is no UTF-8 text: expected the JSON of a station feed, not compressed")]
    NotText {
        /// The file or address.
        file: String,
    },
    /// HTML or XML.
    #[error(
        "{file} is a web page, not the JSON of a station feed: check the address, then fetch it again"
    )]
    WebPage {
        /// The file or address.
        file: String,
    },
    /// A line of text such as `404 Not Found`.
    #[error(
        "{file} holds no station feed but the message {message:?}: check the address, then fetch it again"
    )]
    Message {
        /// The file or address.
        file: String,
        /// What it holds.
        message: String,
    },
    /// A table in CSV: a station list, or recorded states.
    #[error("{file} is a table (CSV), not the JSON of a station feed")]
    Table {
        /// The file or address.
        file: String,
    },
    /// Longer text that is no JSON.
    #[error("{file} is no JSON: it begins with {begins:?}; expected a station feed")]
    NotJson {
        /// The file or address.
        file: String,
        /// How it begins.
        begins: String,
    },
    /// The JSON ends too early.
    #[error("{file} ends in the middle (line {line}): it was not downloaded whole; fetch it again")]
    Truncated {
        /// The file or address.
        file: String,
        /// The last line.
        line: usize,
    },
    /// The JSON is not well formed.
    #[error("{file} is damaged: {reason}; fetch it again")]
    Damaged {
        /// The file or address.
        file: String,
        /// What is wrong and where. It is part of the message, and therefore not named `source`: causes
        /// are printed after the message.
        reason: serde_json::Error,
    },
    /// A file of GBFS that holds no stations.
    #[error(
        "{file} is {feed}, which holds no stations: expected station_information, station_status or gbfs.json"
    )]
    OtherFeed {
        /// The file or address.
        file: String,
        /// Its name in GBFS.
        feed: &'static str,
    },
    /// JSON of something else.
    #[error(
        "{file} is JSON but no station feed: expected stationBeanList or data.stations, found {found}"
    )]
    NotAFeed {
        /// The file or address.
        file: String,
        /// What it holds instead.
        found: String,
    },
    /// No entry of its list can be used.
    #[error("{file}: none of its {stations} entries is a station that can be used: {fault}")]
    NoUsableStation {
        /// The file or address.
        file: String,
        /// How many it lists.
        stations: usize,
        /// What is wrong with the first.
        fault: Box<Fault>,
    },
    /// It has no valid time, without which feeds cannot be ordered.
    #[error("{file} does not say when it was made: expected a time in {field}, found {found}")]
    NoTime {
        /// The file or address.
        file: String,
        /// The field for the time.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// These feeds do not make up a snapshot.
    #[error(
        "no snapshot can be made of {given}: expected one stationBeanList, or station_information \
         and station_status, one of each at most"
    )]
    NoPair {
        /// The feeds and their files.
        given: String,
    },
}

impl FeedError {
    /// Returns whether the file is a valid one of GBFS without stations, such as `system_alerts`, which
    /// is skipped in a folder.
    pub fn is_other_feed(&self) -> bool {
        matches!(self, Self::OtherFeed { .. })
    }

    pub(super) fn damaged(file: &str, source: serde_json::Error) -> Self {
        let file = file.to_owned();
        if source.is_eof() {
            Self::Truncated {
                file,
                line: source.line(),
            }
        } else {
            Self::Damaged {
                file,
                reason: source,
            }
        }
    }

    pub(super) fn no_time(file: &str, field: &'static str, found: &str) -> Self {
        Self::NoTime {
            file: file.into(),
            field,
            found: shown(found),
        }
    }

    /// Makes the error for JSON without stations.
    pub(super) fn not_stations(file: &str, json: &Value) -> Self {
        let file = file.to_owned();
        let other = OTHER_FEEDS
            .iter()
            .find(|(key, _)| json["data"].get(key).is_some());
        if let Some((_, feed)) = other {
            return Self::OtherFeed { file, feed };
        }
        if let Some(stations) = json["data"].get("stations") {
            let found = match stations {
                Value::Null => "data.stations without a list: null".into(),
                other => shown(&format!("data.stations that is no list: {other}")),
            };
            return Self::NotAFeed { file, found };
        }
        let names: Vec<&str> = match json.as_object() {
            Some(fields) => fields.keys().take(5).map(String::as_str).collect(),
            None => Vec::new(),
        };
        let found = match names[..] {
            [] => "an empty object".into(),
            _ => shown(&format!("{:?}", names.join(", "))),
        };
        Self::NotAFeed { file, found }
    }
}

/// A field of `data` in each other file of GBFS, and the name of the file.
const OTHER_FEEDS: &[(&str, &str)] = &[
    ("bikes", "free_bike_status"),
    ("vehicles", "vehicle_status"),
    ("vehicle_types", "vehicle_types"),
    ("vehicle_availability", "vehicle_availability"),
    ("versions", "gbfs_versions"),
    ("datasets", "manifest"),
    ("regions", "system_regions"),
    ("plans", "system_pricing_plans"),
    ("alerts", "system_alerts"),
    ("calendars", "system_calendar"),
    ("rental_hours", "system_hours"),
    ("geofencing_zones", "geofencing_zones"),
    ("system_id", "system_information"),
];

/// Returns the text of a file that may be JSON.
pub(super) fn json_text<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, FeedError> {
    /// The longest message of a server that is shown in full.
    const MESSAGE_BYTES: usize = 120;
    let file = || file.to_owned();
    let text = std::str::from_utf8(bytes).map_err(|_| FeedError::NotText { file: file() })?;
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.as_bytes().first() {
        None => Err(FeedError::Empty { file: file() }),
        Some(b'{') => Ok(text),
        Some(b'[') if begins_as_json(text.as_bytes()) => Err(FeedError::NotAFeed {
            file: file(),
            found: "a list".into(),
        }),
        Some(b'<') => Err(FeedError::WebPage { file: file() }),
        Some(_) if is_table(text) => Err(FeedError::Table { file: file() }),
        Some(_) if text.len() <= MESSAGE_BYTES && !text.contains('\n') => Err(FeedError::Message {
            file: file(),
            message: text.into(),
        }),
        Some(_) => Err(FeedError::NotJson {
            file: file(),
            begins: text.chars().take_while(|c| *c != '\n').take(40).collect(),
        }),
    }
}

/// Recognises CSV by at least two commas in its header, and a second line.
fn is_table(text: &str) -> bool {
    let header_end = text.split_once('\n');
    header_end.is_some_and(|(header, _)| header.matches(',').count() >= 2)
}
