//! The values of reports.

use std::cmp::Ordering;

use crate::model::Degrees;

/// One value of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Empty,
    /// Words, an id or an instant.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number, rounded to as many digits as are worth reading.
    Float(f64),
    /// A decimal number, exactly as published.
    Decimal(Degrees),
    /// Yes or no.
    Truth(bool),
    /// The probabilities of 0, 1, 2 and so on.
    Distribution(Vec<f64>),
}

impl Value {
    /// Returns the JSON text of a distribution. `None` for other values.
    pub fn distribution_text(&self) -> Option<String> {
        let Self::Distribution(probabilities) = self else {
            return None;
        };
        serde_json::to_string(probabilities).ok()
    }

    /// Returns it as a number. `None` for what is none.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Decimal(degrees) => Some(degrees.to_f64()),
            Self::Empty | Self::Text(_) | Self::Truth(_) | Self::Distribution(_) => None,
        }
    }

    /// Compares values of one column. Values that have no order are equal.
    pub(super) fn cmp_values(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Truth(a), Self::Truth(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => Ordering::Equal,
            },
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Degrees> for Value {
    fn from(degrees: Degrees) -> Self {
        Self::Decimal(degrees)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}
