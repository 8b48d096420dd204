//! What is wrong with data, as values: counted, kept, and carried on.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Why a row does not become a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The id is empty.
    NoId,
    /// The id is not what its publisher wrote: `1.23E+15` after a spreadsheet.
    DamagedId,
    /// Another copy of the same trip was kept.
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

/// A row that did not become a trip, and the cell to blame.
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
    /// The column, as its header names it. Empty where the whole row is meant.
    pub column: String,
    /// Why.
    pub reason: Reason,
    /// What would have been understood.
    pub expected: String,
    /// What stands there, cut to a readable length.
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

/// How many rows were rejected, by reason. Reasons that never occurred are absent.
pub type RejectedCounts = BTreeMap<Reason, u64>;

/// Receives each rejected row as it is met; a program may write them to a file.
/// Called from several threads.
pub trait RejectSink: Sync {
    /// Takes one.
    fn reject(&self, rejected: Rejected);
}

/// Drops them: they are counted all the same.
impl RejectSink for () {
    fn reject(&self, _: Rejected) {}
}

/// Keeps them: for tests and small files.
impl RejectSink for std::sync::Mutex<Vec<Rejected>> {
    fn reject(&self, rejected: Rejected) {
        self.lock()
            .expect("no holder of this lock panics")
            .push(rejected);
    }
}
