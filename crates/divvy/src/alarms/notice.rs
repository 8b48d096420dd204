//! What is sent.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// What a notice states about its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// The condition has begun.
    Raised,
    /// It still holds.
    Reminder,
    /// It is over.
    Resolved,
    /// Something has happened that has no end: a feed has moved, the stations have changed.
    Event,
}

impl NoticeState {
    /// All states, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Raised, Self::Reminder, Self::Resolved, Self::Event];

    /// Returns the name in notices.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Event => "event",
        }
    }
}

/// Why a notice is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The condition does not hold any more.
    Over,
    /// What was likely has happened: the station has become empty, or full. Of several stations, at least one
    /// of those for which it was likely.
    CameTrue,
    /// The rule was changed under the same name.
    RuleChanged,
    /// The rule no longer names the station, which was renamed or has another short name.
    NotNamed,
}

/// One notice. As JSON its fields have the names of this struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for equal notices, another one for each other notice: 32 hexadecimal digits.
    pub id: String,
    /// The name of the rule.
    pub rule: String,
    /// What the rule looks for, as in the file of rules.
    pub when: String,
    /// The id of the system; its address, without a query, where the id is not known yet.
    pub system: String,
    /// What the notice is about: the id of a station, the name of the rule for several stations together,
    /// `feed`, or `stations` for the list.
    pub subject: String,
    /// The name of the station. `None` for other subjects, and where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the notice states.
    pub state: NoticeState,
    /// When the condition began, as RFC 3339.
    pub since: String,
    /// The time of the snapshot or of the poll that caused the notice, as RFC 3339.
    pub at: String,
    /// A sentence for people.
    pub text: String,
    /// Numbers and names that belong to it.
    pub values: Values,
}

/// What a notice has beside its sentence. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Values {
    /// When the condition ended, as RFC 3339: of resolved notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why it ended: of resolved notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Bikes that can be rented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bikes: Option<u32>,
    /// Free docks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docks: Option<u32>,
    /// The probability of what is likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The age of the newest states, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
    /// Why the last poll failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where the feed has moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
    /// The number of stations for which the condition holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Ids of these, the first [`MAX_LISTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<String>,
    /// The number of stations that are new in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_count: Option<usize>,
    /// Ids of these, the first [`MAX_LISTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// The number of stations that are not in the list any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_count: Option<usize>,
    /// Ids of these, the first [`MAX_LISTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// How many ids a list in a notice has at most.
pub const MAX_LISTED: usize = 20;

impl Notice {
    /// Returns the id of a notice. A rule yields one notice of a state about a subject at a time at most; of events
    /// one with the same text.
    pub(super) fn id_of(
        system: &str,
        rule: &str,
        subject: &str,
        state: NoticeState,
        at: &str,
        text: &str,
    ) -> String {
        // No text has the separator: ids and names with a zero byte are no text of a feed.
        let mut key = [system, rule, subject, state.as_str(), at].join("\0");
        if state == NoticeState::Event {
            // Two feeds may move at once.
            key = [&key, text].join("\0");
        }
        format!("{:032x}", xxh3_128(key.as_bytes()))
    }
}
