//! Single values of a feed, in every spelling that publishers use.

use std::borrow::Cow;

use serde_json::Value;

use super::time::{self, FeedTime};
use crate::model::{Degrees, StationId};

/// What a value is in JSON. Numbers are the digits that stand there, and never a float.
#[derive(Clone, Debug)]
pub(super) enum Json<'a> {
    Null,
    Flag(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    /// A list or an object.
    Nested(Cow<'a, Value>),
}

impl<'a> Json<'a> {
    /// Reads JSON that is known to be well formed.
    pub(super) fn of(raw: &'a str) -> Self {
        match raw.as_bytes() {
            b"null" => Self::Null,
            b"true" => Self::Flag(true),
            b"false" => Self::Flag(false),
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Self::Text(raw[1..raw.len() - 1].into())
            }
            // Half a surrogate pair is the one text that is well formed and cannot be read.
            [b'"', ..] => Self::Text(serde_json::from_str(raw).map_or(raw.into(), Cow::Owned)),
            [b'[' | b'{', ..] => {
                Self::Nested(Cow::Owned(serde_json::from_str(raw).unwrap_or_default()))
            }
            _ => Self::Number(raw),
        }
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(number.as_str()),
            Value::String(text) => Self::Text(text.as_str().into()),
            nested => Self::Nested(Cow::Borrowed(nested)),
        }
    }
}

/// What a value says, and how well it keeps to its specification.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading<T> {
    /// Nothing: absent, null or empty.
    Nothing,
    /// As specified.
    Good(T),
    /// Understood, though spelled otherwise than specified.
    Odd(T),
    /// Not understood.
    Bad,
}

impl<T> Reading<T> {
    /// Returns what was understood.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Good(value) | Self::Odd(value) => Some(value),
            Self::Nothing | Self::Bad => None,
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Nothing => Reading::Nothing,
            Self::Good(value) => Reading::Good(change(value)),
            Self::Odd(value) => Reading::Odd(change(value)),
            Self::Bad => Reading::Bad,
        }
    }
}

/// Reads a text: plain, a number, or one per language (GBFS 3), of which English is taken, else
/// the first.
pub(super) fn text(json: &Json) -> Reading<String> {
    let filled = |text: &str| match text.trim() {
        "" => Reading::Nothing,
        text => Reading::Good(text.to_owned()),
    };
    match json {
        Json::Null => Reading::Nothing,
        Json::Text(text) => filled(text),
        Json::Number(digits) => Reading::Odd((*digits).to_owned()),
        Json::Flag(_) => Reading::Bad,
        Json::Nested(nested) => {
            let Some(languages) = nested.as_array() else {
                return Reading::Bad;
            };
            let english = languages.iter().find(|text| {
                let language = text["language"].as_str();
                language.is_some_and(|language| language.starts_with("en"))
            });
            match english.or(languages.first()) {
                None => Reading::Nothing,
                Some(chosen) => chosen["text"].as_str().map_or(Reading::Bad, filled),
            }
        }
    }
}

/// Reads an id: a text or a number, never a text per language.
pub(super) fn id(json: &Json) -> Reading<StationId> {
    match json {
        Json::Nested(_) => Reading::Bad,
        _ => text(json).map(StationId::from),
    }
}

/// Reads a whole number that is not negative: `12`, `12.0` or `"12"`.
pub(super) fn count(json: &Json) -> Reading<u32> {
    numeric(json, |digits| {
        if let Ok(count) = digits.parse() {
            return Some(Reading::Good(count));
        }
        let number: f64 = digits.parse().ok()?;
        let is_count = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        is_count.then_some(Reading::Odd(number as u32))
    })
}

/// Reads yes or no. 0 and 1 are what GBFS 1 specifies, and odd in any later version.
pub(super) fn flag(json: &Json) -> Reading<bool> {
    if let Json::Flag(flag) = json {
        return Reading::Good(*flag);
    }
    numeric(json, |word| match word.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(Reading::Odd(true)),
        "0" | "0.0" | "false" => Some(Reading::Odd(false)),
        _ => None,
    })
}

/// Reads a coordinate of at most `limit` degrees either way, digit by digit.
pub(super) fn degrees(json: &Json, limit: f64) -> Reading<Degrees> {
    numeric(json, |digits| {
        let degrees: Degrees = digits.parse().ok()?;
        let is_on_globe = degrees.to_f64().abs() <= limit;
        is_on_globe.then_some(Reading::Good(degrees))
    })
}

/// Reads a time: POSIX seconds (GBFS 1 and 2), RFC 3339 (GBFS 3), or a wall clock
/// (`stationBeanList`). A time before 2010 is bad: it is how feeds say "never".
pub(super) fn time(json: &Json) -> Reading<FeedTime> {
    if let Json::Text(text) = json
        && let Some(time) = time::written(text.trim())
    {
        return Reading::Good(time);
    }
    numeric(json, |digits| time::posix(digits).map(Reading::Good))
}

/// Reads a number, or the text of one, which is odd even where the number is good.
fn numeric<T>(json: &Json, read: impl FnOnce(&str) -> Option<Reading<T>>) -> Reading<T> {
    match json {
        Json::Null => Reading::Nothing,
        Json::Number(digits) => read(digits).unwrap_or(Reading::Bad),
        Json::Text(text) if text.trim().is_empty() => Reading::Nothing,
        Json::Text(text) => match read(text.trim()) {
            Some(Reading::Good(value)) => Reading::Odd(value),
            reading => reading.unwrap_or(Reading::Bad),
        },
        Json::Flag(_) | Json::Nested(_) => Reading::Bad,
    }
}
