//! What rules and targets state.

use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The rules of a file, with the targets of their notices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The rules, each with another name.
    pub rules: Vec<Rule>,
    /// The targets, each with another name.
    pub targets: Vec<Target>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name. Notices and the state over a restart refer to it.
    pub name: String,
    /// The id of the system that it is about. `None`: every system.
    pub system: Option<String>,
    /// What it looks for.
    pub when: When,
    /// Ids and names of the stations that it is about. `None`: every station.
    pub stations: Option<Vec<String>>,
    /// How several stations become one alarm or many.
    pub combine: Combine,
    /// For how long the condition must hold before a notice, and must not hold before it counts as over.
    pub hold: SignedDuration,
    /// After what time without its end a reminder is sent, again and again. `None`: no reminders.
    pub repeat: Option<SignedDuration>,
    /// The names of the targets of its notices. `None`: all targets.
    pub to: Option<Vec<String>>,
}

/// What a rule looks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// A station in service has no bike to rent.
    Empty,
    /// A station in service has no free dock.
    Full,
    /// A station in service that is not empty will have no bike within a time, with at least a probability.
    LikelyEmpty {
        /// The time.
        within: SignedDuration,
        /// The least probability, from 0 to 1.
        probability: f64,
    },
    /// A station in service that is not full will have no free dock within a time, with at least a probability.
    LikelyFull {
        /// The time.
        within: SignedDuration,
        /// The least probability, from 0 to 1.
        probability: f64,
    },
    /// The newest states of the feed are of this long ago, by its own clock.
    FeedStale {
        /// The least age.
        after: SignedDuration,
    },
    /// No poll has succeeded for this long.
    FeedDown {
        /// The least time.
        after: SignedDuration,
    },
    /// The discovery file names another address of a feed.
    FeedMoved,
    /// The list has other stations than before.
    StationsChanged,
}

impl When {
    /// The names of all conditions in a file of rules.
    pub const NAMES: [&'static str; 8] = [
        "empty",
        "full",
        "likely_empty",
        "likely_full",
        "feed_stale",
        "feed_down",
        "feed_moved",
        "stations_changed",
    ];

    /// Returns the name in a file of rules.
    pub fn name(self) -> &'static str {
        let index = match self {
            Self::Empty => 0,
            Self::Full => 1,
            Self::LikelyEmpty { .. } => 2,
            Self::LikelyFull { .. } => 3,
            Self::FeedStale { .. } => 4,
            Self::FeedDown { .. } => 5,
            Self::FeedMoved => 6,
            Self::StationsChanged => 7,
        };
        Self::NAMES[index]
    }

    /// Returns whether it is a condition of single stations.
    pub fn is_of_stations(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::Full | Self::LikelyEmpty { .. } | Self::LikelyFull { .. }
        )
    }

    /// Returns whether it needs probabilities.
    pub fn is_likely(self) -> bool {
        matches!(self, Self::LikelyEmpty { .. } | Self::LikelyFull { .. })
    }
}

/// How several stations become alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// An alarm for each station.
    #[default]
    Each,
    /// One alarm while any of them is so.
    Any,
    /// One alarm while the condition holds for all of them that are in service, and at least one is in service.
    All,
}

impl Combine {
    /// The names of all values in a file of rules.
    pub const NAMES: [&'static str; 3] = ["each", "any", "all"];
}

impl FromStr for Combine {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "each" => Ok(Self::Each),
            "any" => Ok(Self::Any),
            "all" => Ok(Self::All),
            _ => Err(()),
        }
    }
}

/// Where notices are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name, of letters, digits, `-` and `_`.
    pub name: String,
    /// How they are sent.
    pub delivery: Delivery,
}

/// How notices are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As a line of JSON on stdout.
    Stdout,
    /// To a program, which is started for each notice.
    Exec {
        /// The program and its arguments. No shell reads them.
        command: Vec<String>,
    },
    /// As a POST request.
    Webhook {
        /// The address.
        url: String,
        /// The environment variable with the secret that requests are signed with. `None`: they are not signed.
        secret_env: Option<String>,
    },
}

impl Rule {
    /// Returns whether it is about a system. `None` is one whose id is not known yet.
    pub fn is_about(&self, system: Option<&str>) -> bool {
        self.system.is_none() || self.system.as_deref() == system
    }

    /// Returns whether its notices go to a target.
    pub fn sends_to(&self, target: &str) -> bool {
        let named = self.to.as_ref();
        named.is_none_or(|names| names.iter().any(|name| name == target))
    }
}
