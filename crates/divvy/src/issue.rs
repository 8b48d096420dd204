//! Rejected rows with their reasons, and tables that were not loaded.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a row does not become a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The id is empty.
    NoId,
    /// The id was changed by a program, such as `1.23E+15` by a spreadsheet.
    DamagedId,
    /// Another copy of the same trip is stored.
    Duplicate,
    /// The start time is empty.
    NoStart,
    /// The row cannot be read.
    Unparsable,
}

impl Reason {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::NoId,
        Self::DamagedId,
        Self::Duplicate,
        Self::NoStart,
        Self::Unparsable,
    ];

    /// Returns the name used in reports and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoId => "no_id",
            Self::DamagedId => "damaged_id",
            Self::Duplicate => "duplicate",
            Self::NoStart => "no_start",
            Self::Unparsable => "unparsable",
        }
    }

    /// Finds the reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A row that did not become a trip, and the cell that is wrong.
///
/// ```
/// use divvy::issue::{Reason, Rejected};
/// let rejected = Rejected {
///     file: "Divvy_Trips_2016_Q3.csv".into(),
///     line: 1042,
///     column: "starttime".into(),
///     reason: Reason::Unparsable,
///     expected: "M/D/YYYY H:MM[:SS]".into(),
///     found: "2016-09-31 0:04".into(),
/// };
/// assert_eq!(
///     rejected.to_string(),
///     "Divvy_Trips_2016_Q3.csv:1042: starttime: expected M/D/YYYY H:MM[:SS], found \"2016-09-31 0:04\""
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The file, or the member of an archive.
    pub file: String,
    /// The line on which the row begins; the header is on line 1.
    pub line: u64,
    /// The column, as its header names it. Empty where the row as a whole is wrong.
    pub column: String,
    /// Why it was rejected.
    pub reason: Reason,
    /// What a valid value looks like.
    pub expected: String,
    /// The value, cut to [`READABLE_CHARS`].
    pub found: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.column.is_empty() {
            write!(f, "{}: ", self.column)?;
        }
        write!(f, "expected {}, found {:?}", self.expected, self.found)
    }
}

/// A member of an archive, or a file of a folder, that may be a table and was not loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// The member with the folders that it has in the archive, or the file.
    pub member: String,
    /// What it is, or what is wrong with it: `a spreadsheet workbook`.
    pub why: String,
    /// How the user can load its data.
    pub what_to_do: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            member,
            why,
            what_to_do,
        } = self;
        write!(f, "{member} was not loaded: it is {why}; {what_to_do}")
    }
}

/// The longest value shown in an error or issue, in characters; longer ones are cut.
pub const READABLE_CHARS: usize = 80;

/// How many rows were rejected, by reason. Reasons that never occurred are absent.
pub type RejectedCounts = BTreeMap<Reason, u64>;

/// Receives the rejected rows while a file is read. Called from several threads.
pub trait RejectSink: Sync {
    /// Receives one row.
    fn reject(&self, rejected: Rejected);
}

/// Drops the rows; counts are kept elsewhere.
impl RejectSink for () {
    fn reject(&self, _: Rejected) {}
}

/// Collects the rows.
impl RejectSink for std::sync::Mutex<Vec<Rejected>> {
    fn reject(&self, rejected: Rejected) {
        self.lock()
            .expect("no holder of this lock panics")
            .push(rejected);
    }
}
