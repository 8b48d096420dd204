//! What is wrong with a feed that was read all the same.

use std::borrow::Cow;
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
