//! Numbers in messages, and lengths of time in messages, files and arguments.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo};

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

/// Writes a length of time to the second: `40 s`, `12 minutes`, `1 min 30 s`, `1 day 23 h 59 min`.
pub fn exactly_in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let days = seconds / 86_400;
    let parts = [
        (days, if days == 1 { "day" } else { "days" }),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match parts.len() {
        0 | 1 => in_words(length),
        _ => parts.join(" "),
    }
}

/// Writes a length of time for people, without its smaller parts: `40 s`, `12 minutes`, `2 h 30 min`, `3 days 4 h`.
pub fn in_words(length: Duration) -> String {
    let seconds = length.as_secs_f64().round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let plural = |count: u64, unit: &str| match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => plural(minutes, "minute"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => plural(days, "day"),
        _ => format!("{} {hours} h", plural(days, "day")),
    }
}

/// Lengths of time that [`parse_length`] reads, for messages.
pub const LENGTH_EXAMPLES: &str = "90s, 5m, 2h30m or 1d";

/// Reads a length of time that a user writes: `90s`, `5m`, `2h30m`, `1d`, also with the units that [`in_words`]
/// writes and others of jiff's friendly format. A day has 24 hours. `None` where it is none, has no unit, is negative
/// or is no whole number of seconds.
pub fn parse_length(text: &str) -> Option<SignedDuration> {
    let span = SpanParser::new().parse_span(text).ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!length.is_negative() && length.subsec_nanos() == 0).then_some(length)
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

    #[test]
    fn lengths_of_time_are_read() {
        let seconds = |text: &str| parse_length(text).map(|length| length.as_secs());
        for (text, expected) in [
            ("0s", 0),
            ("90s", 90),
            ("5m", 300),
            ("5min", 300),
            ("2h", 7_200),
            ("1d", 86_400),
            ("2h30m", 9_000),
            ("1.5h", 5_400),
            ("5 minutes", 300),
            ("32d", 32 * 86_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        let refused = [
            "",
            "5",
            "m",
            "-5m",
            "5m ago",
            "1.5s",
            "100ms",
            "5x",
            "1 month",
            "99999999999999999999s",
        ];
        for refused in refused {
            assert_eq!(seconds(refused), None, "{refused}");
        }
        // What is written can be read.
        for length in [0, 59, 60, 90, 3_599, 3_600, 3_690, 9_000, 86_400, 172_740] {
            let exactly = exactly_in_words(Duration::from_secs(length));
            assert_eq!(seconds(&exactly), Some(length as i64), "{exactly}");
        }
        for length in [0, 59, 60, 150, 3_600, 9_000, 86_400, 100_800, 198_000] {
            let written = in_words(Duration::from_secs(length));
            let read = seconds(&written).unwrap();
            assert_eq!(in_words(Duration::from_secs(read as u64)), written);
        }
    }

    #[test]
    fn lengths_of_time() {
        let lengths = [0, 59, 60, 150, 3_600, 9_000, 86_400, 100_000, 200_000];
        let texts = lengths.map(|seconds| in_words(Duration::from_secs(seconds)));
        let expected = [
            "0 s",
            "59 s",
            "1 minute",
            "2 minutes",
            "1 h",
            "2 h 30 min",
            "1 day",
            "1 day 3 h",
            "2 days 7 h",
        ];
        assert_eq!(texts, expected);
    }
}
