//! Times in the names of files.

use jiff::civil::{Date, DateTime, Time};

/// The time that a name states: a date, and a clock time if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameTime {
    pub(super) date: Date,
    pub(super) clock: Option<Time>,
    /// Whether `Z` is behind the clock time: it is of UTC. Others are of the recorder.
    pub(super) is_utc: bool,
}

impl NameTime {
    /// Finds the first date in a name, as `2013-10-01`, `20131001` or `2013_10_01`. A clock time behind it
    /// has 4 or 6 digits, as `210456`, `21-04`, or `0107PM`: fewer are a running number.
    pub(super) fn find(name: &str) -> Option<Self> {
        let starts = name.char_indices().filter(|(at, c)| {
            let before = name[..*at].chars().next_back();
            c.is_ascii_digit() && !before.is_some_and(|before| before.is_ascii_digit())
        });
        starts
            .filter_map(|(start, _)| Self::at_start(&name[start..]))
            .next()
    }

    /// Returns the earliest instant that the name may state.
    pub(super) fn earliest(self) -> DateTime {
        self.date
            .to_datetime(self.clock.unwrap_or(Time::midnight()))
    }

    fn at_start(text: &str) -> Option<Self> {
        let (year, rest) = (text.get(..4)?, text.get(4..)?);
        let year: i16 = year.parse().ok()?;
        let ([month, day], rest) = pairs::<2>(rest)?;
        let date = Date::new(year, month, day).ok()?;
        if !(2000..2100).contains(&year) {
            return None;
        }
        let (clock, is_utc) = match clock(rest) {
            Some((clock, is_utc)) => (Some(clock), is_utc),
            None => (None, false),
        };
        Some(Self {
            date,
            clock,
            is_utc,
        })
    }
}

/// Reads a clock time behind a date, and whether it is of UTC.
fn clock(text: &str) -> Option<(Time, bool)> {
    let text = text.strip_prefix('T').unwrap_or(text);
    let (hour, minute, second, rest) = match pairs::<3>(text) {
        // Digits behind the seconds are parts of a second.
        Some(([hour, minute, second], rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (hour, minute, second, rest)
        }
        None => {
            let ([hour, minute], rest) = pairs::<2>(text)?;
            (hour, minute, 0, rest)
        }
    };
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let half = rest.trim_start().get(..2).map(str::to_ascii_lowercase);
    let hour = match half.as_deref() {
        Some("am") => hour % 12,
        Some("pm") => hour % 12 + 12,
        _ => hour,
    };
    let time = Time::new(hour, minute, second, 0).ok()?;
    Some((time, rest.starts_with(['Z', 'z'])))
}

/// Reads `N` numbers of two digits, each of which may have a separator before it. Returns them with what
/// is behind them.
fn pairs<const N: usize>(text: &str) -> Option<([i8; N], &str)> {
    let mut rest = text;
    let mut numbers = [0; N];
    for number in &mut numbers {
        let digits = rest.strip_prefix(['-', '_', ':', ' ']).unwrap_or(rest);
        let pair = digits.get(..2)?;
        if !pair.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = pair.parse().ok()?;
        rest = &digits[2..];
    }
    Some((numbers, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_dates_and_clock_times_and_running_numbers() {
        let found = |name: &str| {
            NameTime::find(name).map(|time| {
                let clock = time.clock.map_or("-".into(), |clock| clock.to_string());
                let zone = if time.is_utc { "Z" } else { "" };
                format!("{} {clock}{zone}", time.date)
            })
        };
        for (name, expected) in [
            ("status_20220808T002342Z.json", "2022-08-08 00:23:42Z"),
            ("station_status_20240405210456.json", "2024-04-05 21:04:56"),
            ("20240405210456789.json", "2024-04-05 21:04:56"),
            (
                "station_status_2024_01_01_0107PM.csv",
                "2024-01-01 13:07:00",
            ),
            (
                "station_status_2024_01_01_1207 am.csv",
                "2024-01-01 00:07:00",
            ),
            ("2024-01-01T01:07:09Z.json", "2024-01-01 01:07:09Z"),
            ("2024-01-01 13-07.json", "2024-01-01 13:07:00"),
            ("2013-10-01.json", "2013-10-01 -"),
            ("status_20240101_1.json", "2024-01-01 -"),
            ("status_20240101_30.json", "2024-01-01 -"),
            ("status_20240101_9999.json", "2024-01-01 -"),
            ("status_20240101_12345.json", "2024-01-01 -"),
            ("3_20240101.json", "2024-01-01 -"),
        ] {
            assert_eq!(found(name).as_deref(), Some(expected), "{name}");
        }
        for name in [
            "status12.json",
            "19991231.json",
            "20241301.json",
            "2024é.json",
        ] {
            assert_eq!(found(name), None, "{name}");
        }
    }
}
