//! The sentences of notices.

use std::time::Duration;

use jiff::SignedDuration;

use super::notice::{MAX_LISTED, NoticeState};
use super::rule::When;
use super::station_set::Difference;
use crate::numerals::{in_words, plural};

/// Writes a length of time for people.
pub(super) fn length(length: SignedDuration) -> String {
    in_words(Duration::try_from(length).unwrap_or_default())
}

/// What the sentence about one station, or several together, is made of.
pub(super) struct Facts<'a> {
    pub(super) when: When,
    pub(super) state: NoticeState,
    /// Whether what was likely has happened.
    pub(super) came_true: bool,
    /// The name of the station, or of the rule: `Clark St & Elm St`.
    pub(super) subject: &'a str,
    /// How long the condition has held, or did hold.
    pub(super) lasted: SignedDuration,
    pub(super) probability: Option<f64>,
}

/// What a snapshot has of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is in service.
    InService,
    /// It is listed, and out of service.
    OutOfService,
    /// It is not listed.
    NotListed,
    /// It is listed, and the rule does not name it.
    NotNamed,
}

/// Writes the sentence about one station.
pub(super) fn of_station(facts: &Facts<'_>, presence: Presence) -> String {
    let subject = facts.subject;
    let lasted = length(facts.lasted);
    if facts.state == NoticeState::Resolved {
        return of_end(facts, presence);
    }
    let lacks = |what: &str| match facts.lasted.is_zero() {
        true => format!("{subject} has no {what}"),
        false => format!("{subject} has had no {what} for {lasted}"),
    };
    let will_lack = |what: &str, within: SignedDuration| {
        let percent = facts.probability.unwrap_or_default() * 100.0;
        let within = length(within);
        format!(
            "{subject} will have no {what} within {within}, with a probability of {percent:.0} %"
        )
    };
    match facts.when {
        When::Full => lacks("free dock"),
        When::LikelyEmpty { within, .. } => will_lack("bike", within),
        When::LikelyFull { within, .. } => will_lack("free dock", within),
        _ => lacks("bike"),
    }
}

/// Writes the sentence about a station of which the condition is over.
fn of_end(facts: &Facts<'_>, presence: Presence) -> String {
    let subject = facts.subject;
    let lasted = length(facts.lasted);
    if facts.came_true {
        let what = expected(facts.when);
        return format!("{subject} has become {what}; that was likely for {lasted}");
    }
    let what = match facts.when {
        When::Empty => "empty",
        When::Full => "full",
        When::LikelyEmpty { .. } => "likely to become empty",
        _ => "likely to become full",
    };
    match presence {
        Presence::InService => format!("{subject} is no longer {what}; it was for {lasted}"),
        Presence::OutOfService => {
            format!("{subject} is out of service; it was {what} for {lasted}")
        }
        Presence::NotListed => {
            format!("{subject} is not in the list any more; it was {what} for {lasted}")
        }
        Presence::NotNamed => {
            format!("the rule no longer names {subject}: its alarm is closed")
        }
    }
}

/// Returns what a rule about what is likely expects stations to become.
fn expected(when: When) -> &'static str {
    match when {
        When::LikelyFull { .. } => "full",
        _ => "empty",
    }
}

/// Writes the sentence about several stations together.
pub(super) fn of_group(facts: &Facts<'_>, holding: &[String], in_service: usize) -> String {
    let what = match facts.when {
        When::Empty => "empty",
        When::Full => "full",
        When::LikelyEmpty { .. } => "likely to be empty soon",
        _ => "likely to be full soon",
    };
    let subject = facts.subject;
    let lasted = length(facts.lasted);
    let count = holding.len();
    let stations = plural(in_service as i64, "station");
    if facts.state == NoticeState::Resolved {
        let came_true = match facts.came_true {
            true => format!(
                "what was likely has happened, a station has become {}; ",
                expected(facts.when)
            ),
            false => String::new(),
        };
        return format!(
            "{subject}: {came_true}{count} of {stations} in service are {what} now; the alarm lasted for {lasted}"
        );
    }
    let named = listed(holding);
    format!("{subject}: {count} of {stations} in service are {what}: {named}")
}

/// Joins names; of many, the first ones.
fn listed(names: &[String]) -> String {
    const MAX: usize = 5;
    match names.len().checked_sub(MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MAX].join(", ")),
    }
}

/// Writes the sentence about a change of the list.
pub(super) fn of_change(change: &Difference) -> String {
    let (added, removed) = (change.added.len(), change.removed.len());
    let count = |count: usize| plural(count as i64, "station");
    match (added, removed) {
        (_, 0) => format!("{} new in the list", count(added)),
        (0, _) => format!("{} not in the list any more", count(removed)),
        _ => format!(
            "{} new in the list, {removed} not in it any more",
            count(added)
        ),
    }
}

/// Returns the first ids of a list.
pub(super) fn first<T: ToString>(ids: impl IntoIterator<Item = T>) -> Vec<String> {
    let ids = ids.into_iter().take(MAX_LISTED);
    ids.map(|id| id.to_string()).collect()
}

/// Removes the queries of addresses, which may have keys, from a text.
pub(super) fn without_queries(text: &str) -> String {
    let word = |word: &str| match (word.contains("://"), word.split_once('?')) {
        (true, Some((address, _))) => format!("{address}?…"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(word).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_addresses_are_removed() {
        let text = "https://h.example/a.json?key=secret: is it there?";
        assert_eq!(
            without_queries(text),
            "https://h.example/a.json?… is it there?"
        );
    }
}
