//! Lengths of time in rules.

use jiff::SignedDuration;

/// What a length is, for messages.
pub(super) const EXPECTED: &str =
    "a length of time: a whole number with s, m, h or d, such as \"90s\" or \"5m\"";

/// The longest length: rules are about minutes and hours.
const MAX: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Reads a length: `90s`, `5m`, `2h`, `1d`. `None` where it is none, or longer than 31 days.
pub(super) fn parse(text: &str) -> Option<SignedDuration> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let unit_s = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = digits.parse::<i64>().ok()?.checked_mul(unit_s)?;
    let length = SignedDuration::from_secs(seconds);
    (length <= MAX).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_a_unit() {
        let seconds = |text: &str| parse(text).map(|length| length.as_secs());
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("5min"), Some(300));
        assert_eq!(seconds("2h"), Some(7_200));
        assert_eq!(seconds("1d"), Some(86_400));
        for refused in [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "5 m",
            "32d",
            "9999999999999999999s",
            "5w",
        ] {
            assert_eq!(seconds(refused), None, "{refused}");
        }
    }
}
