//! One rule of a file.

use jiff::SignedDuration;
use serde::Deserialize;
use toml::Spanned;

use super::{File, Parsed, expect_some, mistake, not_among};
use crate::alarms::rule::{Combine, Rule, When};
use crate::numerals::{LENGTH_EXAMPLES, parse_length};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: Spanned<String>,
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

/// For how long a station must be so, where a rule does not state it.
const DEFAULT_HOLD: SignedDuration = SignedDuration::from_mins(5);

/// After what time a feed is stale or down, where a rule does not state it.
const DEFAULT_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The shortest time between reminders.
const MIN_REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// The longest length of time: rules are about minutes and hours.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The longest time ahead of which forecasts are made.
const MAX_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Reads a rule.
pub(super) fn read(entry: &Spanned<Entry>, file: &File) -> Parsed<Rule> {
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

fn when(own: &Entry) -> Parsed<When> {
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

fn likely(own: &Entry) -> Parsed<(SignedDuration, f64)> {
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

fn after(own: &Entry) -> Parsed<SignedDuration> {
    own.after.as_ref().map_or(Ok(DEFAULT_AFTER), positive)
}

fn positive(text: &Spanned<String>) -> Parsed<SignedDuration> {
    match length(text)? {
        length if length.is_zero() => mistake(text, "0 is too short: expected at least 1s"),
        length => Ok(length),
    }
}

fn length(text: &Spanned<String>) -> Parsed<SignedDuration> {
    let found = text.as_ref();
    match parse_length(found).filter(|length| *length <= MAX_LENGTH) {
        Some(length) => Ok(length),
        None => mistake(
            text,
            format_args!(
                "{found:?} is no length of time up to 31 days: expected whole seconds, such as {LENGTH_EXAMPLES}"
            ),
        ),
    }
}

fn hold(own: &Entry, when: When) -> Parsed<SignedDuration> {
    match (&own.hold, when) {
        (Some(hold), When::FeedStale { .. } | When::FeedDown { .. }) => mistake(
            hold,
            format_args!(
                "a rule with when = {:?} has after instead of for",
                when.name()
            ),
        ),
        (Some(hold), When::FeedMoved) => mistake(hold, "feed_moved is an event and takes no for"),
        (Some(hold), _) => length(hold),
        (None, When::FeedStale { after } | When::FeedDown { after }) => Ok(after),
        (None, When::FeedMoved | When::StationsChanged) => Ok(SignedDuration::ZERO),
        (None, _) => Ok(DEFAULT_HOLD),
    }
}

fn repeat(own: &Entry, when: When) -> Parsed<Option<SignedDuration>> {
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

fn to(own: &Entry, file: &File) -> Parsed<Option<Vec<String>>> {
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
