//! A file of rules and targets, as TOML. docs/ALARMS.md describes it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use super::length;
use super::rule::{Combine, Delivery, Rule, Rules, Target, When};

/// A mistake in a file of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What was found, and what is expected.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<RuleEntry>>,
    #[serde(default)]
    group: Vec<GroupEntry>,
    #[serde(default)]
    target: Vec<Spanned<TargetEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    name: Spanned<String>,
    stations: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: Spanned<String>,
    system: Option<Spanned<String>>,
    when: Spanned<String>,
    stations: Option<Spanned<Vec<String>>>,
    combine: Option<Spanned<String>>,
    #[serde(rename = "for")]
    hold: Option<Spanned<String>>,
    within: Option<Spanned<String>>,
    probability: Option<Spanned<f64>>,
    after: Option<Spanned<String>>,
    repeat: Option<Spanned<String>>,
    to: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetEntry {
    name: Spanned<String>,
    stdout: Option<Spanned<bool>>,
    exec: Option<Spanned<Vec<String>>>,
    webhook: Option<Spanned<String>>,
    secret_env: Option<Spanned<String>>,
}

/// A mistake, and where it is in the text.
struct Mistake {
    at: Range<usize>,
    problem: String,
}

type Parsed<T> = Result<T, Mistake>;

/// Makes a mistake at something that was read.
fn mistake<T, V>(at: &Spanned<T>, problem: impl fmt::Display) -> Parsed<V> {
    Err(Mistake {
        at: at.span(),
        problem: problem.to_string(),
    })
}

/// For how long a station must be so, where a rule does not state it.
const DEFAULT_HOLD: SignedDuration = SignedDuration::from_mins(5);

/// After what time a feed is stale or down, where a rule does not state it.
const DEFAULT_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The shortest time between reminders.
const MIN_REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// The longest time ahead of which forecasts are made.
const MAX_WITHIN: SignedDuration = SignedDuration::from_hours(24);

impl Rules {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let read = toml::from_str::<File>(text).map_err(|error| Mistake {
            at: error.span().unwrap_or_default(),
            problem: in_words(error.message()),
        });
        let rules = read.and_then(|file| rules(&file));
        rules.map_err(|mistake| {
            let before = &text[..mistake.at.start.min(text.len())];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            RulesError {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                problem: mistake.problem,
            }
        })
    }
}

/// Adds a suggestion to the message of the TOML reader about an unknown key.
fn in_words(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = match message.starts_with("unknown field") {
        true => names.next(),
        false => None,
    };
    let near = unknown.and_then(|unknown| nearest(unknown, names));
    let suggestion = near.map(|name| format!("; did you mean `{name}`?"));
    let message = message.replace("unknown field", "unknown key");
    let message = message.replace("missing field", "missing key");
    message + suggestion.as_deref().unwrap_or_default()
}

/// Returns the name that is spelled most like a text. `None` where none is similar.
fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const MIN_SIMILARITY: f64 = 0.7;
    let similar = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(text, name), name));
    let near = similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Writes that a name is none of those that are expected.
fn not_among<'a>(what: &str, found: &str, names: &[&'a str]) -> String {
    let suggestion = nearest(found, names.iter().copied());
    let suggestion = suggestion.map(|name| format!("; did you mean {name:?}?"));
    let expected = match names {
        [] => "the file has none".to_owned(),
        _ => format!("expected one of {}", names.join(", ")),
    };
    let suggestion = suggestion.unwrap_or_default();
    format!("there is no {what} {found:?}: {expected}{suggestion}")
}

fn rules(file: &File) -> Parsed<Rules> {
    let targets: Vec<Target> = file.target.iter().map(target).collect::<Parsed<_>>()?;
    expect_different("target", file.target.iter().map(|it| &it.as_ref().name))?;
    expect_different("rule", file.rule.iter().map(|it| &it.as_ref().name))?;
    expect_different("group", file.group.iter().map(|it| &it.name))?;
    for group in &file.group {
        expect_some(&group.stations)?;
    }
    let rules = file.rule.iter().map(|entry| rule(entry, file));
    let rules: Vec<Rule> = rules.collect::<Parsed<_>>()?;
    if rules.is_empty() {
        return Err(Mistake {
            at: 0..0,
            problem: "there is no rule in this file: expected [[rule]]".into(),
        });
    }
    Ok(Rules { rules, targets })
}

fn expect_different<'a>(
    what: &str,
    names: impl IntoIterator<Item = &'a Spanned<String>>,
) -> Parsed<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let text = name.as_ref();
        if text.trim().is_empty() {
            return mistake(
                name,
                format_args!("a {what} without a name: expected a text"),
            );
        }
        if !seen.insert(text) {
            return mistake(
                name,
                format_args!("another {what} has the name {text:?}: expected another name"),
            );
        }
    }
    Ok(())
}

fn expect_some<T>(list: &Spanned<Vec<T>>) -> Parsed<()> {
    match list.as_ref().is_empty() {
        true => mistake(list, "an empty list: expected at least one text"),
        false => Ok(()),
    }
}

fn rule(entry: &Spanned<RuleEntry>, file: &File) -> Parsed<Rule> {
    let own = entry.as_ref();
    let when = when(own)?;
    if let (Some(stations), false) = (
        &own.stations,
        when.is_of_stations() || when == When::StationsChanged,
    ) {
        let name = when.name();
        return mistake(
            stations,
            format_args!("a rule with when = {name:?} has no stations"),
        );
    }
    let stations = match &own.stations {
        None => None,
        Some(named) => {
            expect_some(named)?;
            Some(
                named
                    .as_ref()
                    .iter()
                    .flat_map(|text| expanded(text, file))
                    .collect(),
            )
        }
    };
    let combine = match &own.combine {
        None => Combine::default(),
        Some(text) if !when.is_of_stations() => {
            return mistake(
                text,
                format_args!("a rule with when = {:?} has no combine", when.name()),
            );
        }
        Some(text) => text.as_ref().parse().or_else(|()| {
            mistake(
                text,
                not_among("way to combine", text.as_ref(), &Combine::NAMES),
            )
        })?,
    };
    Ok(Rule {
        name: own.name.as_ref().clone(),
        system: own.system.as_ref().map(|it| it.as_ref().clone()),
        when,
        stations,
        combine,
        hold: hold(own, when)?,
        repeat: repeat(own, when)?,
        to: to(own, file)?,
    })
}

/// Replaces the name of a group by its stations.
fn expanded(text: &str, file: &File) -> Vec<String> {
    let group = file.group.iter().find(|group| group.name.as_ref() == text);
    group.map_or_else(
        || vec![text.to_owned()],
        |group| group.stations.as_ref().clone(),
    )
}

fn when(own: &RuleEntry) -> Parsed<When> {
    let name = own.when.as_ref().as_str();
    let is_likely = name.starts_with("likely_");
    let is_of_feed = matches!(name, "feed_stale" | "feed_down");
    if let (Some(within), false) = (&own.within, is_likely) {
        return mistake(
            within,
            "within is for rules with when = \"likely_empty\" or \"likely_full\"",
        );
    }
    if let (Some(probability), false) = (&own.probability, is_likely) {
        return mistake(
            probability,
            "probability is for rules with when = \"likely_empty\" or \"likely_full\"",
        );
    }
    if let (Some(after), false) = (&own.after, is_of_feed) {
        return mistake(
            after,
            "after is for rules with when = \"feed_stale\" or \"feed_down\"; others have for",
        );
    }
    Ok(match name {
        "empty" => When::Empty,
        "full" => When::Full,
        "likely_empty" => {
            let (within, probability) = likely(own)?;
            When::LikelyEmpty {
                within,
                probability,
            }
        }
        "likely_full" => {
            let (within, probability) = likely(own)?;
            When::LikelyFull {
                within,
                probability,
            }
        }
        "feed_stale" => When::FeedStale { after: after(own)? },
        "feed_down" => When::FeedDown { after: after(own)? },
        "feed_moved" => When::FeedMoved,
        "stations_changed" => When::StationsChanged,
        _ => return mistake(&own.when, not_among("condition", name, &When::NAMES)),
    })
}

fn likely(own: &RuleEntry) -> Parsed<(SignedDuration, f64)> {
    let Some(within) = &own.within else {
        return mistake(
            &own.when,
            "missing key `within`: in what time, such as within = \"30m\"",
        );
    };
    let length = positive(within)?;
    if length > MAX_WITHIN {
        return mistake(
            within,
            "longer than a day: forecasts are made for 24 hours at most",
        );
    }
    let Some(probability) = &own.probability else {
        return mistake(
            &own.when,
            "missing key `probability`: from which on, such as probability = 0.5",
        );
    };
    let value = *probability.as_ref();
    match value > 0.0 && value <= 1.0 {
        true => Ok((length, value)),
        false => mistake(
            probability,
            format_args!("{value} is no probability: expected more than 0 and at most 1"),
        ),
    }
}

fn after(own: &RuleEntry) -> Parsed<SignedDuration> {
    own.after.as_ref().map_or(Ok(DEFAULT_AFTER), positive)
}

fn positive(text: &Spanned<String>) -> Parsed<SignedDuration> {
    match length(text)? {
        length if length.is_zero() => mistake(text, "no time at all: expected at least 1s"),
        length => Ok(length),
    }
}

fn length(text: &Spanned<String>) -> Parsed<SignedDuration> {
    let found = text.as_ref();
    match length::parse(found) {
        Some(length) => Ok(length),
        None => mistake(
            text,
            format_args!(
                "{found:?} is no length of time up to 31 days: expected {}",
                length::EXPECTED
            ),
        ),
    }
}

fn hold(own: &RuleEntry, when: When) -> Parsed<SignedDuration> {
    match (&own.hold, when) {
        (Some(hold), When::FeedStale { .. } | When::FeedDown { .. }) => mistake(
            hold,
            format_args!(
                "a rule with when = {:?} has after instead of for",
                when.name()
            ),
        ),
        (Some(hold), When::FeedMoved) => mistake(
            hold,
            "a feed that has moved has moved at once: expected no for",
        ),
        (Some(hold), _) => length(hold),
        (None, When::FeedStale { after } | When::FeedDown { after }) => Ok(after),
        (None, When::FeedMoved | When::StationsChanged) => Ok(SignedDuration::ZERO),
        (None, _) => Ok(DEFAULT_HOLD),
    }
}

fn repeat(own: &RuleEntry, when: When) -> Parsed<Option<SignedDuration>> {
    let Some(repeat) = &own.repeat else {
        return Ok(None);
    };
    if matches!(when, When::FeedMoved | When::StationsChanged) {
        return mistake(
            repeat,
            "an event has no end, and so no reminders: expected no repeat",
        );
    }
    match length(repeat)? {
        length if length < MIN_REPEAT => mistake(
            repeat,
            "reminders less than a minute apart: expected at least 1m",
        ),
        length => Ok(Some(length)),
    }
}

fn to(own: &RuleEntry, file: &File) -> Parsed<Option<Vec<String>>> {
    let Some(to) = &own.to else {
        return Ok(None);
    };
    expect_some(to)?;
    let names: Vec<&str> = file
        .target
        .iter()
        .map(|it| it.as_ref().name.as_ref().as_str())
        .collect();
    for name in to.as_ref() {
        if !names.contains(&name.as_ref().as_str()) {
            return mistake(name, not_among("target", name.as_ref(), &names));
        }
    }
    Ok(Some(
        to.as_ref()
            .iter()
            .map(|name| name.as_ref().clone())
            .collect(),
    ))
}

fn target(entry: &Spanned<TargetEntry>) -> Parsed<Target> {
    const EXPECTED: &str =
        "expected one of stdout = true, exec = [\"program\", …] and webhook = \"https://…\"";
    const MAX_NAME: usize = 64;
    let own = entry.as_ref();
    let name = own.name.as_ref();
    let is_simple = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.chars().all(is_simple) || name.len() > MAX_NAME {
        return mistake(
            &own.name,
            format_args!(
                "{name:?} is no name of a target: expected up to {MAX_NAME} letters, digits, - and _"
            ),
        );
    }
    if let (Some(secret), None) = (&own.secret_env, &own.webhook) {
        return mistake(secret, "secret_env is for webhooks");
    }
    let delivery = match (&own.stdout, &own.exec, &own.webhook) {
        (Some(is_on), None, None) => match is_on.as_ref() {
            true => Delivery::Stdout,
            false => return mistake(is_on, format_args!("a target that is off: {EXPECTED}")),
        },
        (None, Some(command), None) => match command.as_ref().first() {
            Some(program) if !program.is_empty() => Delivery::Exec {
                command: command.as_ref().clone(),
            },
            _ => {
                return mistake(
                    command,
                    "a command without a program: expected [\"program\", \"argument\", …]",
                );
            }
        },
        (None, None, Some(url)) => webhook(url, own.secret_env.as_ref())?,
        (None, None, None) => {
            return mistake(
                &own.name,
                format_args!("a target without a way to send: {EXPECTED}"),
            );
        }
        _ => {
            return mistake(
                &own.name,
                format_args!("a target with several ways to send: {EXPECTED}"),
            );
        }
    };
    Ok(Target {
        name: name.clone(),
        delivery,
    })
}

fn webhook(url: &Spanned<String>, secret_env: Option<&Spanned<String>>) -> Parsed<Delivery> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| url.as_ref().starts_with(scheme));
    if !is_web {
        return mistake(url, "no address of the web: expected http://… or https://…");
    }
    if let Some(variable) = secret_env {
        let is_name = |text: &str| !text.is_empty() && !text.contains(['=', '\0']);
        if !is_name(variable.as_ref()) {
            return mistake(variable, "no name of an environment variable");
        }
    }
    Ok(Delivery::Webhook {
        url: url.as_ref().clone(),
        secret_env: secret_env.map(|it| it.as_ref().clone()),
    })
}
