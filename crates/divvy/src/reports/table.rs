//! The table that every report returns and every format writes.

use std::cmp::Ordering;
use std::str::FromStr;

use super::picture::Map;
use crate::model::Degrees;

/// The declaration of one column of a report. Its name and type are stable: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name, with the unit at its end where it has one: `median_s`.
    pub name: &'static str,
    /// The type and unit of its values.
    pub kind: ValueKind,
    /// The order in which a narrow table leaves columns out, the largest first. 0 for a column that
    /// is always shown.
    pub spare: u8,
    /// The definition, which `--explain` prints. Empty for a column of a table that is no report.
    pub definition: &'static str,
}

impl Column {
    /// Makes a column that every table shows, without a definition.
    pub const fn new(name: &'static str, kind: ValueKind) -> Self {
        Self {
            name,
            kind,
            spare: 0,
            definition: "",
        }
    }

    /// Sets the definition.
    pub const fn defined(self, definition: &'static str) -> Self {
        Self { definition, ..self }
    }

    /// Returns the heading for people: the name in words, without the unit, which the values have.
    pub fn heading(&self) -> String {
        let name = match self.kind {
            ValueKind::Seconds => self.name.trim_end_matches("_s"),
            ValueKind::Dollars => self.name.trim_end_matches("_usd"),
            ValueKind::Meters => self.name.trim_end_matches("_m"),
            _ => self.name,
        };
        name.replace('_', " ")
    }

    /// Sets the order in which a narrow table leaves it out.
    pub const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }
}

/// The type and unit of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A word or an id: a short text that is never cut.
    Text,
    /// A name for people; a narrow table may cut it.
    Name,
    /// A number of things.
    Count,
    /// An ordinal number, such as an hour or a year; without separators of thousands.
    Ordinal,
    /// A duration in seconds.
    Seconds,
    /// A share of the whole, from 0 to 1.
    Share,
    /// Money in US dollars.
    Dollars,
    /// A distance in metres.
    Meters,
    /// A number for each of something, such as a day.
    Rate,
    /// A date or a month.
    Date,
    /// Decimal degrees, exactly as published.
    Degrees,
    /// An instant as RFC 3339 with the offset of the system's clocks.
    Instant,
    /// Yes or no.
    Truth,
}

impl ValueKind {
    /// Returns whether its values are aligned at their right ends.
    pub fn is_numeric(self) -> bool {
        !matches!(
            self,
            Self::Text | Self::Name | Self::Date | Self::Instant | Self::Truth
        )
    }
}

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
}

impl Value {
    /// Returns it as a number. `None` for what is none.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Decimal(degrees) => Some(degrees.to_f64()),
            Self::Empty | Self::Text(_) | Self::Truth(_) => None,
        }
    }

    fn cmp_values(&self, other: &Self) -> Ordering {
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

/// One row of one report.
pub trait Row {
    /// Lists the columns.
    fn columns() -> Vec<Column>;

    /// Lists the values, one a column.
    fn values(self) -> Vec<Value>;
}

/// A sentence below a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What was counted, and what was left out.
    Scope(String),
    /// A reason why the numbers may mislead.
    Warning(String),
}

impl Note {
    /// Returns the sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Scope(text) | Self::Warning(text) => text,
        }
    }
}

/// A report, answered: every format shows the same one.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one value a column.
    pub rows: Vec<Vec<Value>>,
    /// The number of rows that are left out.
    pub more: usize,
    /// A table for people may show the first rows only: they are the most important ones, and no
    /// number of rows was requested.
    pub may_be_cut: bool,
    /// What was counted and what was left out.
    pub notes: Vec<Note>,
    /// How it was counted, which `-v` prints: from the cube, or from the trips.
    pub how: String,
    /// The positions of its stations, for a picture. `None` for a report without stations.
    pub map: Option<Map>,
}

impl Table {
    /// Makes a table of rows of one type.
    pub fn new<R: Row>(rows: impl IntoIterator<Item = R>, notes: Vec<Note>) -> Self {
        let rows = rows.into_iter().map(R::values).collect();
        Self::of(R::columns(), rows, notes)
    }

    /// Makes a table of rows that have a value for each of the columns.
    pub fn of(columns: Vec<Column>, rows: Vec<Vec<Value>>, notes: Vec<Note>) -> Self {
        Self {
            columns,
            rows,
            more: 0,
            may_be_cut: false,
            notes,
            how: String::new(),
            map: None,
        }
    }

    /// Sets how it was counted.
    pub(super) fn counted_by(self, how: String) -> Self {
        Self { how, ..self }
    }

    /// Sorts the rows by a column. `None` if there is no such column.
    pub(super) fn sort(&mut self, sort: &Sort) -> Option<()> {
        let place = self.columns.iter();
        let place = place
            .clone()
            .position(|column| column.name == sort.column)?;
        let numeric = self.columns[place].kind.is_numeric();
        let descending = sort.descending.unwrap_or(numeric);
        self.rows.sort_by(|a, b| {
            let (a, b) = (&a[place], &b[place]);
            // Rows without a value come last in both directions.
            let unknown = |value: &Value| matches!(value, Value::Empty);
            unknown(a).cmp(&unknown(b)).then_with(|| {
                if descending {
                    b.cmp_values(a)
                } else {
                    a.cmp_values(b)
                }
            })
        });
        Some(())
    }

    /// Keeps the first rows only.
    pub fn keep(&mut self, rows: usize) {
        self.more += self.rows.len().saturating_sub(rows);
        self.rows.truncate(rows);
    }
}

/// An order of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: String,
    /// The direction. `None` for numbers from the largest down and texts from A on.
    pub descending: Option<bool>,
}

impl FromStr for Sort {
    type Err = std::convert::Infallible;

    /// Takes a column's name, and `:asc` or `:desc` behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, descending) = match text.rsplit_once(':') {
            Some((column, "asc")) => (column, Some(false)),
            Some((column, "desc")) => (column, Some(true)),
            _ => (text, None),
        };
        Ok(Self {
            column: column.into(),
            descending,
        })
    }
}

/// Formats a whole number with separators of thousands: `1,048,576`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of things: `1 trip`, `2,000 trips`.
pub fn plural(number: i64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1_000, -12_345, 1_048_576].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "-12,345", "1,048,576"]);
        assert_eq!(plural(1, "trip"), "1 trip");
        assert_eq!(plural(84_776, "trip"), "84,776 trips");
    }
}
