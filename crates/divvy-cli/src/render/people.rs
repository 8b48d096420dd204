//! Values with units, for people.

use std::borrow::Cow;

use anstyle::Style;
use divvy::model::Rider;
use divvy::reports::{Column, Dim, NOT_IN_FEED, Note, Role, Table, Value, ValueKind, grouped};

use crate::screen::{DIM, GOOD, WARNING};

/// The text of a group of trips whose files do not state it.
const NOT_STATED: &str = "not stated";

/// Lists the indexes of the columns that a table for people shows: those with a value in any row. The
/// first column is shown if trips are grouped by it, since its rows are then those not stated.
pub fn columns_in_use(table: &Table) -> impl Iterator<Item = usize> {
    let is_stated = |at: usize| table.rows.iter().any(|row| row[at] != Value::Empty);
    let is_key = |at: usize| at == 0 && may_be_unstated(table.columns[at].role);
    let columns = 0..table.columns.len();
    columns.filter(move |at| table.rows.is_empty() || is_stated(*at) || is_key(*at))
}

/// Formats one value of a row, as [`text`] does. A blank group reads "not stated"; an estimate has
/// `≈` before it.
pub fn cell(table: &Table, row: &[Value], at: usize) -> String {
    let (column, value) = (&table.columns[at], &row[at]);
    match value {
        _ if is_unstated(column.role, value) && !is_implausible_age(table, row, at) => {
            NOT_STATED.into()
        }
        Value::Empty => String::new(),
        _ if column.is_approximate => format!("≈ {}", text(column.kind, value)),
        _ => text(column.kind, value),
    }
}

/// Returns whether a group of trips is blank where files do not state it.
fn may_be_unstated(role: Role) -> bool {
    use Dim::{Age, Bike, BirthYear, Gender, Rider};
    matches!(role, Role::Group(Rider | Bike | Gender | BirthYear | Age))
}

/// Returns whether a value is the group of the trips whose files do not state it.
fn is_unstated(role: Role, value: &Value) -> bool {
    match value {
        Value::Empty => may_be_unstated(role),
        Value::Text(rider) => {
            role == Role::Group(Dim::Rider) && *rider == Rider::Unknown.to_string()
        }
        _ => false,
    }
}

/// Returns whether an age is blank although the year of birth is stated: it is none that a rider has.
fn is_implausible_age(table: &Table, row: &[Value], at: usize) -> bool {
    let is_birth = |column: &Column| column.role == Role::Group(Dim::BirthYear);
    table.columns[at].role == Role::Group(Dim::Age)
        && (table.columns.iter().zip(row))
            .any(|(column, value)| is_birth(column) && *value != Value::Empty)
}

/// Returns the style of a value: that of a station's status; none for others.
pub fn style(column: &Column, value: &Value) -> Style {
    match value {
        Value::Text(status) if column.name == "status" => match status.as_str() {
            "in service" => GOOD,
            NOT_IN_FEED => DIM,
            _ => WARNING,
        },
        _ => Style::new(),
    }
}

/// Formats a value with its unit on one line. Empty for an unknown value.
pub fn text(kind: ValueKind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Empty) => String::new(),
        (ValueKind::Instant, Value::Text(instant)) => minute(instant),
        // Published names may have line breaks and escape sequences of terminals.
        (_, Value::Text(text)) => text.replace(char::is_control, " "),
        (ValueKind::Seconds, Value::Integer(seconds)) => duration(*seconds),
        (ValueKind::Seconds, Value::Float(seconds)) => duration(seconds.round() as i64),
        (ValueKind::Meters, Value::Integer(metres)) => distance(*metres as f64),
        (ValueKind::Meters, Value::Float(metres)) => distance(*metres),
        (ValueKind::Score, Value::Float(score)) => format!("{score:.4}"),
        (ValueKind::Rate, Value::Float(rate)) => decimals(*rate),
        (_, Value::Distribution(_)) => value.distribution_text().unwrap_or_default(),
        (_, Value::Truth(truth)) => if *truth { "yes" } else { "no" }.into(),
        (ValueKind::Ordinal, Value::Integer(number)) => number.to_string(),
        (_, Value::Integer(number)) => grouped(*number),
        (ValueKind::Share, Value::Float(share)) => format!("{:.1} %", share * 100.0),
        (ValueKind::Dollars, Value::Float(dollars)) => format!("${dollars:.2}"),
        (_, Value::Float(number)) => number.to_string(),
        // The fifth decimal of a degree is about a metre.
        (_, Value::Decimal(degrees)) => format!("{:.5}", degrees.to_f64()),
    }
}

/// Formats metres as `840 m` or `3.2 km`.
fn distance(metres: f64) -> String {
    if metres < 1000.0 {
        format!("{metres:.0} m")
    } else {
        format!("{:.1} km", metres / 1000.0)
    }
}

/// Formats a rate with about three digits: `0.25`, `31.5`, `2,754`.
fn decimals(rate: f64) -> String {
    match rate {
        ..10.0 => format!("{rate:.2}"),
        10.0..100.0 => format!("{rate:.1}"),
        _ => grouped(rate.round() as i64),
    }
}

/// Formats an RFC 3339 instant without seconds and offset: `2021-03-02 02:00`.
fn minute(rfc3339: &str) -> String {
    match rfc3339.get(..16) {
        Some(minute) => minute.replace('T', " "),
        None => rfc3339.to_owned(),
    }
}

/// Formats seconds as `45 s`, `12 min 05 s` or `2 h 03 min`: values of a column, in two units that are padded, and not
/// rounded to one as in sentences ([`divvy::numerals::in_words`]).
fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600.. => format!("{hours} h {:02} min", minutes % 60),
    }
}

/// Returns a note as a sentence that stands by itself.
pub fn sentence(note: &Note) -> Cow<'_, str> {
    match note {
        Note::Warning(text) => format!("warning: {text}").into(),
        _ => note.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0, 59, 60, 725, 3_599, 3_600, 86_400].map(duration);
        let expected = [
            "0 s",
            "59 s",
            "1 min 00 s",
            "12 min 05 s",
            "59 min 59 s",
            "1 h 00 min",
            "24 h 00 min",
        ];
        assert_eq!(texts, expected);
    }
}
