//! Rules and targets as sentences.

use std::time::Duration;

use jiff::SignedDuration;

use super::rule::{Combine, Delivery, Rule, Rules, Target, When};
use crate::numerals::exactly_in_words;

/// Writes a length of time of a rule.
fn length(length: SignedDuration) -> String {
    exactly_in_words(Duration::try_from(length).unwrap_or_default())
}

/// Writes what a rule does in a sentence, with the names of its targets.
pub fn describe_rule(rule: &Rule, rules: &Rules) -> String {
    let system = match &rule.system {
        Some(system) => format!("of {system}"),
        None => "of any system".into(),
    };
    let what = match rule.when {
        When::FeedStale { after } => format!(
            "the newest states of the feed {system} are {} old",
            length(after)
        ),
        When::FeedDown { after } => format!(
            "polls of the feed {system} have failed for {}",
            length(after)
        ),
        When::FeedMoved => format!("the discovery file {system} names another address of a feed"),
        When::StationsChanged => {
            let which = match &rule.stations {
                None => String::new(),
                Some(named) => format!(", of those that are named ({})", named.len()),
            };
            format!("the list {system} has other stations{which}{}", held(rule))
        }
        When::Empty | When::Full | When::LikelyEmpty { .. } | When::LikelyFull { .. } => {
            format!(
                "{} {}{}",
                stations(rule, &system),
                state(rule.when),
                held(rule)
            )
        }
    };
    let targets = rules
        .targets
        .iter()
        .filter(|target| rule.sends_to(&target.name));
    let targets: Vec<&str> = targets.map(|target| target.name.as_str()).collect();
    let to = match targets.as_slice() {
        [] => "no target".into(),
        names => names.join(", "),
    };
    let repeat = rule
        .repeat
        .map(|repeat| format!(", again every {}", length(repeat)));
    let repeat = repeat.unwrap_or_default();
    let end = match rule.when {
        When::FeedMoved | When::StationsChanged => "",
        _ => ", and when that is over",
    };
    format!("notifies {to} when {what}{repeat}{end}")
}

fn held(rule: &Rule) -> String {
    match rule.hold.is_zero() {
        true => String::new(),
        false => format!(" for {}", length(rule.hold)),
    }
}

fn stations(rule: &Rule, system: &str) -> String {
    let named = rule.stations.as_ref().map(Vec::len);
    match (rule.combine, named) {
        (Combine::Each, None) => format!("a station {system} is"),
        (Combine::Each, Some(1)) => format!("the named station {system} is"),
        (Combine::Each, Some(count)) => format!("one of the {count} named stations {system} is"),
        (Combine::Any, None) => format!("at least one station {system} is"),
        (Combine::Any, Some(count)) => {
            format!("at least one of the {count} named stations {system} is")
        }
        (Combine::All, None) => format!("all stations in service {system} are"),
        (Combine::All, Some(count)) => {
            format!("all of the {count} named stations {system} that are in service are")
        }
    }
}

fn state(when: When) -> String {
    let likely = |what: &str, within, probability: f64| {
        let percent = probability * 100.0;
        format!(
            "{what} within {} with a probability of {percent:.0} % or more",
            length(within)
        )
    };
    match when {
        When::LikelyEmpty {
            within,
            probability,
        } => likely("likely to be empty", within, probability),
        When::LikelyFull {
            within,
            probability,
        } => likely("likely to be full", within, probability),
        other => other.name().to_owned(),
    }
}

/// Writes how a target sends notices. Of an address only the host is written: the rest may be a secret.
pub fn describe_target(target: &Target) -> String {
    match &target.delivery {
        Delivery::Stdout => "a line of JSON on stdout".into(),
        Delivery::Exec { command } => {
            format!("the program {}, started for each notice", command[0])
        }
        Delivery::Webhook { url, secret_env } => {
            let signed = match secret_env {
                Some(variable) => format!("signed with the secret in {variable}"),
                None => "not signed".into(),
            };
            format!("POST requests to {}, {signed}", host(url))
        }
    }
}

/// Returns the scheme and the host of an address, without names of users.
fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}")
}
