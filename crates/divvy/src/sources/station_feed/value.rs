//! Single values of a feed, in every spelling that publishers use.

use std::borrow::Cow;

use serde_json::Value;

use super::time::{self, FeedTime};
use crate::model::{Degrees, StationId};

/// A JSON value. Numbers are kept as their digits.
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
    /// Reads well-formed JSON.
    pub(super) fn of(raw: &'a str) -> Self {
        match raw.as_bytes() {
            b"null" => Self::Null,
            b"true" => Self::Flag(true),
            b"false" => Self::Flag(false),
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Self::Text(raw[1..raw.len() - 1].into())
            }
            // Only a text with half a surrogate pair is well formed and cannot be read.
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

/// A parsed value, and whether it has the form of the specification.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed<T> {
    /// Absent, null or empty.
    Missing,
    /// In the specified form.
    Valid(T),
    /// In another form that can be read.
    Tolerated(T),
    /// Cannot be read.
    Invalid,
}

impl<T> Parsed<T> {
    /// Returns the value, in whatever form it was.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Valid(value) | Self::Tolerated(value) => Some(value),
            Self::Missing | Self::Invalid => None,
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Missing => Parsed::Missing,
            Self::Valid(value) => Parsed::Valid(change(value)),
            Self::Tolerated(value) => Parsed::Tolerated(change(value)),
            Self::Invalid => Parsed::Invalid,
        }
    }
}

/// Reads a text: plain, a number, or one per language (GBFS 3), of which English is taken, else
/// the first.
pub(super) fn text(json: &Json) -> Parsed<String> {
    let filled = |text: &str| match text.trim() {
        "" => Parsed::Missing,
        text => Parsed::Valid(text.to_owned()),
    };
    match json {
        Json::Null => Parsed::Missing,
        Json::Text(text) => filled(text),
        Json::Number(digits) => Parsed::Tolerated((*digits).to_owned()),
        Json::Flag(_) => Parsed::Invalid,
        Json::Nested(nested) => {
            let Some(languages) = nested.as_array() else {
                return Parsed::Invalid;
            };
            let english = languages.iter().find(|text| {
                let language = text["language"].as_str();
                language.is_some_and(|language| language.starts_with("en"))
            });
            match english.or(languages.first()) {
                None => Parsed::Missing,
                Some(chosen) => chosen["text"].as_str().map_or(Parsed::Invalid, filled),
            }
        }
    }
}

/// Reads an id: a text or a number, never a text per language.
pub(super) fn id(json: &Json) -> Parsed<StationId> {
    match json {
        Json::Nested(_) => Parsed::Invalid,
        _ => text(json).map(StationId::from),
    }
}

/// Reads a whole number that is not negative: `12`, `12.0` or `"12"`.
pub(super) fn count(json: &Json) -> Parsed<u32> {
    numeric(json, |digits| {
        if let Ok(count) = digits.parse() {
            return Some(Parsed::Valid(count));
        }
        let number: f64 = digits.parse().ok()?;
        let is_count = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        is_count.then_some(Parsed::Tolerated(number as u32))
    })
}

/// Reads a flag. 0 and 1 are the specified form of GBFS 1, and tolerated in later versions.
pub(super) fn flag(json: &Json) -> Parsed<bool> {
    if let Json::Flag(flag) = json {
        return Parsed::Valid(*flag);
    }
    numeric(json, |word| match word.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(Parsed::Tolerated(true)),
        "0" | "0.0" | "false" => Some(Parsed::Tolerated(false)),
        _ => None,
    })
}

/// Reads a coordinate of at most `limit` degrees either way, as text.
pub(super) fn degrees(json: &Json, limit: f64) -> Parsed<Degrees> {
    numeric(json, |digits| {
        let degrees: Degrees = digits.parse().ok()?;
        let is_on_globe = degrees.to_f64().abs() <= limit;
        is_on_globe.then_some(Parsed::Valid(degrees))
    })
}

/// Reads a time: POSIX seconds (GBFS 1 and 2), RFC 3339 (GBFS 3), or a local time
/// (`stationBeanList`). A time before 2010 is invalid: feeds write one for "never".
pub(super) fn time(json: &Json) -> Parsed<FeedTime> {
    if let Json::Text(text) = json
        && let Some(time) = time::parse(text.trim())
    {
        return Parsed::Valid(time);
    }
    numeric(json, |digits| time::posix(digits).map(Parsed::Valid))
}

/// Reads a number, or a text with one, which is tolerated.
fn numeric<T>(json: &Json, read: impl FnOnce(&str) -> Option<Parsed<T>>) -> Parsed<T> {
    match json {
        Json::Null => Parsed::Missing,
        Json::Number(digits) => read(digits).unwrap_or(Parsed::Invalid),
        Json::Text(text) if text.trim().is_empty() => Parsed::Missing,
        Json::Text(text) => match read(text.trim()) {
            Some(Parsed::Valid(value)) => Parsed::Tolerated(value),
            parsed => parsed.unwrap_or(Parsed::Invalid),
        },
        Json::Flag(_) | Json::Nested(_) => Parsed::Invalid,
    }
}
