//! What a rule means, as it is kept with its state.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rule::{Combine, Rule, When};

/// The parts of a rule that define when it has an alarm, and about what. Two rules with equal ones have the same
/// alarms, whatever their targets and reminders are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meaning {
    /// The name of the condition.
    pub(super) when: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    /// Without an order: the stations of a group may be listed in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stations: Option<BTreeSet<String>>,
    /// `None` for conditions that are not of single stations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    combine: Option<Combine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within_s: Option<i64>,
    /// As text: a number of JSON may differ in its last digit when it is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<String>,
    /// The key `for`; `after` of conditions that have it.
    for_s: i64,
}

impl Meaning {
    /// Returns what a rule means.
    pub(super) fn of(rule: &Rule) -> Self {
        let (within, probability) = match rule.when {
            When::LikelyEmpty {
                within,
                probability,
            }
            | When::LikelyFull {
                within,
                probability,
            } => (Some(within), Some(probability)),
            When::Empty
            | When::Full
            | When::FeedStale { .. }
            | When::FeedDown { .. }
            | When::FeedMoved
            | When::StationsChanged => (None, None),
        };
        Self {
            when: rule.when.name().to_owned(),
            system: rule.system.clone(),
            stations: rule
                .stations
                .as_ref()
                .map(|named| named.iter().cloned().collect()),
            combine: rule.when.is_of_stations().then_some(rule.combine),
            within_s: within.map(|within| within.as_secs()),
            probability: probability.map(|it| it.to_string()),
            for_s: rule.hold.as_secs(),
        }
    }

    /// Returns whether it is of single stations, or of several of them together.
    pub(super) fn is_of_stations(&self) -> bool {
        self.combine.is_some()
    }

    /// Returns whether each station has an alarm of its own.
    pub(super) fn is_of_each_station(&self) -> bool {
        self.combine == Some(Combine::Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarms::Rules;

    const TEXT: &str = "[[rule]]\nname = \"a\"\nsystem = \"divvy\"\nwhen = \"likely_empty\"\n\
                        stations = [\"x\", \"y\"]\ncombine = \"any\"\nfor = \"2m\"\nwithin = \"30m\"\n\
                        probability = 0.1\nrepeat = \"1h\"\nto = [\"ops\"]\n\
                        [[target]]\nname = \"ops\"\nstdout = true\n\
                        [[target]]\nname = \"log\"\nexec = [\"log\"]";

    fn meaning(text: &str) -> Meaning {
        Meaning::of(&Rules::parse(text).unwrap().rules[0])
    }

    #[test]
    fn each_part_that_defines_a_rule_is_in_its_meaning_and_no_other() {
        let same = [
            ("repeat = \"1h\"", "repeat = \"2h\""),
            ("to = [\"ops\"]", "to = [\"log\"]"),
            ("[\"x\", \"y\"]", "[\"y\", \"x\"]"),
            ("30m", "1800s"),
        ];
        for (from, to) in same {
            assert_eq!(meaning(&TEXT.replace(from, to)), meaning(TEXT), "{to}");
        }
        let other = [
            ("likely_empty", "likely_full"),
            ("\"divvy\"", "\"citibike\""),
            ("\"y\"]", "\"z\"]"),
            ("\"any\"", "\"all\""),
            ("\"2m\"", "\"3m\""),
            ("30m", "31m"),
            ("0.1", "0.11"),
        ];
        for (from, to) in other {
            assert_ne!(meaning(&TEXT.replace(from, to)), meaning(TEXT), "{to}");
        }
        for when in ["feed_stale", "feed_down"] {
            let after = |time: &str| {
                let text = format!("[[rule]]\nname = \"a\"\nwhen = \"{when}\"\nafter = \"{time}\"");
                meaning(&text)
            };
            assert_eq!(after("10m"), after("600s"), "{when}");
            assert_ne!(after("10m"), after("11m"), "{when}");
        }
    }

    #[test]
    fn a_meaning_is_the_same_after_it_is_written_and_read() {
        for probability in ["0.1", "0.3", "0.30000000000000004", "0.8999999999999999"] {
            let meaning = meaning(&TEXT.replace("0.1", probability));
            let written = serde_json::to_string(&meaning).unwrap();
            assert_eq!(serde_json::from_str::<Meaning>(&written).unwrap(), meaning);
        }
    }
}
