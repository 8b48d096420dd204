//! What is wrong with a feed that was read all the same.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::model::StationId;

/// A departure from the specification that was tolerated, a value that could not be used, or a
/// station that was left out.
///
/// A value that cannot be used names its station. A mere spelling, which publishers tend to use
/// for all their stations, makes one fault for the whole feed.
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
    /// The station. `None` where the feed as a whole is meant, or the station has no id.
    pub station: Option<StationId>,
    /// The field or column, as the publisher names it.
    pub field: Cow<'static, str>,
    /// What stands there first, as JSON, cut to a readable length; `nothing` where nothing does.
    pub found: String,
    /// What would have been as specified.
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

/// Tells faults in short: those of one kind in one sentence, with their fields and how many
/// stations they concern. What was found first stands for all.
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
///     ["is_renting, is_returning: expected true or false, found 1 (at 1998 stations)"]
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

/// Writes faults of one kind: all of stations, or all of the feed as a whole.
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
        // Which stations these are is not known, only how many have it in each of the fields.
        let at = if is_each { "at" } else { "each at up to" };
        return format!("{all} ({at} {most} stations)");
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

/// Gathers the faults of a file.
#[derive(Debug, Default)]
pub(in crate::sources) struct Faults {
    /// Of the feed as a whole: few, each counted.
    general: Vec<Fault>,
    /// Of single stations.
    of_stations: Vec<Fault>,
}

impl Faults {
    /// Notes a fault of one station.
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

    /// Notes a fault that many stations may share; the first found stands for all.
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

    /// Returns all, those of the feed as a whole first.
    pub(in crate::sources) fn into_vec(self) -> Vec<Fault> {
        let mut all = self.general;
        all.extend(self.of_stations);
        all
    }
}

/// Returns the JSON of a value in one line, cut to a readable length.
pub(super) fn shown(json: &str) -> String {
    const READABLE: usize = 80;
    if json == "null" {
        return "nothing".into();
    }
    let json = printable(json);
    let json = json.split_whitespace().collect::<Vec<_>>().join(" ");
    match json.char_indices().nth(READABLE) {
        None => json,
        Some((end, _)) => format!("{}…", &json[..end]),
    }
}

/// Makes blanks of control characters: what a publisher wrote may not move a terminal about.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, " ").into()
    } else {
        text.into()
    }
}
