//! Departures of a feed from its specification.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::issue::READABLE_CHARS;
use crate::model::StationId;
use crate::numerals::plural;

/// A departure from the specification: a value in another form, a value that could not be read, or
/// a station that was left out.
///
/// A value that could not be read makes a fault of its station. One in another form makes one fault
/// of the whole feed, since publishers use the form for all of their stations.
///
/// ```
/// use divvy::sources::station_feed::Fault;
/// let fault = Fault {
///     station: Some("73".into()),
///     field: "last_reported".into(),
///     found: "18001".into(),
///     expected: "a time since 2010".into(),
///     times: 1,
/// };
/// assert_eq!(
///     fault.to_string(),
///     "station 73: last_reported: expected a time since 2010, found 18001"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The station. `None` for a fault of the whole feed, and where the station has no id.
    pub station: Option<StationId>,
    /// The field or column, as the publisher names it.
    pub field: Cow<'static, str>,
    /// The first such value as JSON, cut to a readable length; `nothing` where it is missing.
    pub found: String,
    /// The specified form.
    pub expected: Cow<'static, str>,
    /// How often it occurs in the file.
    pub times: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(station) = &self.station {
            write!(f, "station {}: ", printable(station.as_str()))?;
        }
        let Self {
            field,
            expected,
            times,
            ..
        } = self;
        let found = printable(&self.found);
        write!(f, "{field}: expected {expected}, found {found}")?;
        if *times > 1 {
            write!(f, " ({times} times)")?;
        }
        Ok(())
    }
}

/// Summarises faults: one sentence for those of one kind, with their fields, the number of stations
/// and the first value.
///
/// ```
/// use divvy::sources::station_feed::{Fault, in_short};
/// let fault = |field| Fault {
///     station: None,
///     field,
///     found: "1".into(),
///     expected: "true or false".into(),
///     times: 1998,
/// };
/// assert_eq!(
///     in_short(&[fault("is_renting".into()), fault("is_returning".into())]),
///     ["is_renting, is_returning: expected true or false, found 1 (at 1,998 stations)"]
/// );
/// ```
pub fn in_short(faults: &[Fault]) -> Vec<String> {
    let mut kinds: Vec<Vec<&Fault>> = Vec::new();
    for fault in faults {
        let same = |kind: &&mut Vec<&Fault>| {
            let first = kind[0];
            first.expected == fault.expected && first.station.is_some() == fault.station.is_some()
        };
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.push(fault),
            None => kinds.push(vec![fault]),
        }
    }
    kinds.iter().map(|kind| sentence(kind)).collect()
}

/// Writes faults of one kind: all of stations, or all of the whole feed.
fn sentence(kind: &[&Fault]) -> String {
    let first = kind[0];
    if kind.len() == 1 {
        return first.to_string();
    }
    let mut fields: Vec<&str> = Vec::new();
    for fault in kind {
        if !fields.contains(&fault.field.as_ref()) {
            fields.push(&fault.field);
        }
    }
    let all = Fault {
        field: fields.join(", ").into(),
        times: 1,
        ..first.clone()
    };
    let Some(station) = &first.station else {
        let most = kind.iter().map(|fault| fault.times).max().unwrap_or(1);
        let is_each = kind.iter().all(|fault| fault.times == most);
        // The stations are not known, only their number for each field.
        let at = if is_each { "at" } else { "each at up to" };
        return format!("{all} ({at} {})", plural(most as i64, "station"));
    };
    let stations: BTreeSet<_> = kind.iter().filter_map(|f| f.station.as_ref()).collect();
    if stations.len() == 1 {
        return all.to_string();
    }
    let all = Fault {
        station: None,
        ..all
    };
    let (station, more) = (printable(station.as_str()), stations.len() - 1);
    format!("{all} (at station {station}, and at {more} more)")
}

/// Collects the faults of a file.
#[derive(Debug, Default)]
pub(in crate::sources) struct Faults {
    /// Faults of the whole feed, each with its count.
    general: Vec<Fault>,
    /// Faults of single stations.
    of_stations: Vec<Fault>,
}

impl Faults {
    /// Adds a fault of one station.
    pub(in crate::sources) fn of_station(
        &mut self,
        station: &StationId,
        field: &'static str,
        found: impl Into<String>,
        expected: &'static str,
    ) {
        self.of_stations.push(Fault {
            station: Some(station.clone()),
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
            times: 1,
        });
    }

    /// Adds a fault of the whole feed, or counts it where the same one was added before.
    pub(in crate::sources) fn general(
        &mut self,
        field: &'static str,
        found: impl FnOnce() -> String,
        expected: &'static str,
    ) {
        let same = |fault: &&mut Fault| fault.field == field && fault.expected == expected;
        if let Some(fault) = self.general.iter_mut().find(same) {
            fault.times += 1;
            return;
        }
        self.general.push(Fault {
            station: None,
            field: field.into(),
            found: found(),
            expected: expected.into(),
            times: 1,
        });
    }

    /// Returns all faults, those of the whole feed first.
    pub(in crate::sources) fn into_vec(self) -> Vec<Fault> {
        let mut all = self.general;
        all.extend(self.of_stations);
        all
    }
}

/// Returns the JSON of a value in one line, cut to a readable length.
pub(super) fn shown(json: &str) -> String {
    if json == "null" {
        return "nothing".into();
    }
    let json = printable(json);
    let json = json.split_whitespace().collect::<Vec<_>>().join(" ");
    match json.char_indices().nth(READABLE_CHARS) {
        None => json,
        Some((end, _)) => format!("{}…", &json[..end]),
    }
}

/// Replaces control characters by blanks, since they could control the user's terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, " ").into()
    } else {
        text.into()
    }
}
