//! The arguments of a watch.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::bail;
use divvy::ingest::watch::MAX_INTERVAL;
use divvy::numerals::parse_length;
use divvy::sources::http;
use jiff::SignedDuration;

/// A system to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of the system. `None` where it is to be detected.
    pub system: Option<String>,
    /// The address of its discovery file, or of its only feed.
    pub url: String,
}

impl Source {
    /// Reads `URL` or `SYSTEM=URL`.
    ///
    /// # Errors
    ///
    /// It is no address.
    pub fn parse(text: &str) -> Result<Self, String> {
        // An address may have the sign in its query.
        let (system, url) = match text.split_once('=') {
            Some((system, url)) if !system.contains("://") => (Some(system), url),
            _ => (None, text),
        };
        if !http::is_url(url) {
            return Err(
                "expected an address that begins with http:// or https://; divvy poll reads files"
                    .into(),
            );
        }
        if system == Some("") {
            return Err("expected the name of a system before =".into());
        }
        Ok(Self {
            system: system.map(str::to_owned),
            url: url.into(),
        })
    }
}

/// Refuses an address, or a system, that occurs twice.
pub fn expect_different(sources: &[Source]) -> anyhow::Result<()> {
    let (mut seen, mut systems) = (HashSet::new(), HashSet::new());
    for source in sources {
        if !seen.insert(&source.url) {
            bail!("{} is named twice", source.url);
        }
        if let Some(system) = &source.system
            && !systems.insert(system)
        {
            bail!("{system} is named twice: the snapshots of two feeds would replace each other");
        }
    }
    Ok(())
}

/// Reads a length of time from a second to an hour, as [`parse_length`] does. A number alone is one of seconds.
///
/// # Errors
///
/// It is none.
pub fn parse_every(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(SignedDuration::from_secs);
    let length = seconds.ok().or_else(|| parse_length(text));
    let length = length.and_then(|length| Duration::try_from(length).ok());
    length
        .filter(|length| !length.is_zero() && *length <= MAX_INTERVAL)
        .ok_or_else(|| "expected a time from 1s to 1h, such as 30s or 5m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_have_the_name_of_a_system() {
        let parsed = |text: &str| Source::parse(text).map(|it| (it.system, it.url));
        let url = "https://h.example/gbfs.json?key=1".to_owned();
        assert_eq!(parsed(&url), Ok((None, url.clone())));
        let named = parsed(&format!("velov@Europe/Paris={url}"));
        assert_eq!(named, Ok((Some("velov@Europe/Paris".into()), url)));
        assert!(parsed("stations.json").is_err());
        assert!(parsed("=https://h.example").is_err());
    }

    #[test]
    fn times_have_units() {
        let seconds = |text: &str| parse_every(text).ok().map(|time| time.as_secs());
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("30"), Some(30));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("1h"), Some(3_600));
        for refused in [
            "",
            "0s",
            "s",
            "-1",
            "2h",
            "1d",
            "99999999999999999999h",
            "1.5s",
        ] {
            assert_eq!(seconds(refused), None, "{refused}");
        }
    }
}
