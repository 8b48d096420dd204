//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use ureq::http::HeaderMap;

/// Returns for how long the server asks not to be asked again. `None` where the header is missing or
/// is neither a number of seconds nor a date.
///
/// A date is compared with the server's own clock (the header `Date`), which may differ from the one of
/// this computer; `now` is taken where the server states none.
pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(value)?;
    let now = text("date").and_then(date).unwrap_or(now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// Reads a date of HTTP, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let wait = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            of(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "120")]), Some(120));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "-5")]), None);
        let date = ("retry-after", "Thu, 01 Jan 2026 00:02:00 GMT");
        assert_eq!(wait(&[date]), Some(120));
        let past = ("retry-after", "Wed, 31 Dec 2025 23:00:00 GMT");
        assert_eq!(wait(&[past]), Some(0));
        let its_clock = ("date", "Thu, 01 Jan 2026 00:01:30 GMT");
        assert_eq!(wait(&[date, its_clock]), Some(30));
    }
}
