//! Single values of a feed, in every spelling that publishers use.

use serde_json::Value;

use super::time::{self, FeedTime};
use crate::model::{Degrees, StationId};

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
pub(super) fn text(value: &Value) -> Reading<String> {
    let filled = |text: &str| match text.trim() {
        "" => Reading::Nothing,
        text => Reading::Good(text.to_owned()),
    };
    match value {
        Value::Null => Reading::Nothing,
        Value::String(text) => filled(text),
        Value::Number(number) => Reading::Odd(number.as_str().to_owned()),
        Value::Array(languages) => {
            let english = languages.iter().find(|text| {
                text["language"]
                    .as_str()
                    .is_some_and(|l| l.starts_with("en"))
            });
            match english.or(languages.first()) {
                None => Reading::Nothing,
                Some(chosen) => chosen["text"].as_str().map_or(Reading::Bad, filled),
            }
        }
        _ => Reading::Bad,
    }
}

/// Reads an id: a text or a number, never a text per language.
pub(super) fn id(value: &Value) -> Reading<StationId> {
    match value {
        Value::Array(_) => Reading::Bad,
        _ => text(value).map(StationId::from),
    }
}

/// Reads a whole number that is not negative: `12`, `12.0` or `"12"`.
pub(super) fn count(value: &Value) -> Reading<u32> {
    let digits = match value {
        Value::Null => return Reading::Nothing,
        Value::Number(number) => number.as_str(),
        Value::String(text) => text.trim(),
        _ => return Reading::Bad,
    };
    if let Ok(count) = digits.parse() {
        return match value {
            Value::Number(_) => Reading::Good(count),
            _ => Reading::Odd(count),
        };
    }
    match digits.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) => {
            Reading::Odd(number as u32)
        }
        _ => Reading::Bad,
    }
}

/// Reads yes or no. 0 and 1 are what GBFS 1 specifies, and odd in any later version.
pub(super) fn flag(value: &Value) -> Reading<bool> {
    let word = match value {
        Value::Null => return Reading::Nothing,
        Value::Bool(flag) => return Reading::Good(*flag),
        Value::Number(number) => number.as_str(),
        Value::String(text) => text.trim(),
        _ => return Reading::Bad,
    };
    match word.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Reading::Odd(true),
        "0" | "0.0" | "false" => Reading::Odd(false),
        _ => Reading::Bad,
    }
}

/// Reads a coordinate of at most `limit` degrees either way, digit by digit.
pub(super) fn degrees(value: &Value, limit: f64) -> Reading<Degrees> {
    let digits = match value {
        Value::Null => return Reading::Nothing,
        Value::Number(number) => number.as_str(),
        Value::String(text) => text.trim(),
        _ => return Reading::Bad,
    };
    match digits.parse::<Degrees>() {
        Ok(degrees) if degrees.to_f64().abs() <= limit => match value {
            Value::Number(_) => Reading::Good(degrees),
            _ => Reading::Odd(degrees),
        },
        _ => Reading::Bad,
    }
}

/// Reads a time: POSIX seconds (GBFS 1 and 2), RFC 3339 (GBFS 3), or a wall clock
/// (`stationBeanList`). A time before 2010 is bad: it is how feeds say "never".
pub(super) fn time(value: &Value) -> Reading<FeedTime> {
    let reading = match value {
        Value::Null => return Reading::Nothing,
        Value::Number(number) => time::posix(number.as_str()).map(Reading::Good),
        Value::String(text) if text.trim().is_empty() => return Reading::Nothing,
        Value::String(text) => time::written(text.trim())
            .map(Reading::Good)
            .or_else(|| time::posix(text.trim()).map(Reading::Odd)),
        _ => None,
    };
    reading.unwrap_or(Reading::Bad)
}
