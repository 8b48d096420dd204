//! Values with units, for people.

use std::borrow::Cow;

use divvy::reports::{Note, Value, ValueKind, grouped};

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
        (ValueKind::Rate, Value::Float(rate)) => decimals(*rate),
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

/// Formats seconds as `45 s`, `12 min 05 s` or `2 h 03 min`.
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
