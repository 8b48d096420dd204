//! The conditions of a watched system, or of a target of notices, and when a line is printed about them: when
//! one begins, each hour while it lasts, and when it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::in_words;

/// A state of a system, or of a target of notices, that lasts and is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// No snapshot can be read or stored.
    Failing,
    /// One of the feeds cannot be fetched; the previous one is used in its place.
    Incomplete,
    /// Snapshots are older than the last one that was taken.
    Older,
    /// The time of the feed stands still, although stations change.
    ClockStandsStill,
    /// The time of the feed is long ago.
    Stale,
    /// The time of the feed is ahead of this computer's clock.
    Ahead,
    /// Each snapshot is in the store before this program writes it.
    StoredElsewhere,
    /// The counts cannot be refreshed.
    CountsOutdated,
    /// Forecasts cannot be issued or scored.
    ForecastsOutdated,
    /// Bodies cannot be written to the recording.
    NotRecorded,
    /// Alarms cannot be kept on the disk.
    AlarmsNotKept,
    /// A target does not take its notices: they are sent again.
    NoticesFailing,
    /// A target refuses notices for good.
    NoticesRefused,
}

impl Condition {
    /// Returns the words for its end, before the time that it took.
    fn end(self) -> &'static str {
        match self {
            Self::Failing => "works again after",
            Self::Incomplete => "all feeds can be fetched again after",
            Self::Older => "snapshots are newer than the last one again after",
            Self::ClockStandsStill => "the time of the feed advances again after",
            Self::Stale => "the feed is up to date again after",
            Self::Ahead => "the time of the feed is no longer ahead of this computer's clock after",
            Self::StoredElsewhere => {
                "no other program has stored the snapshot before; this was so for"
            }
            Self::CountsOutdated => "counts are refreshed again after",
            Self::ForecastsOutdated => "forecasts are updated again after",
            Self::NotRecorded => "bodies are recorded again after",
            Self::AlarmsNotKept => "alarms are kept again after",
            Self::NoticesFailing => "notices are taken again after",
            Self::NoticesRefused => "notices are no longer refused after",
        }
    }
}

/// What a poll shows about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is present. The text is a sentence about it.
    Present(String),
    /// It is not present.
    Absent,
}

/// After what time a condition that lasts is printed again.
const REMIND_AFTER: Duration = Duration::from_secs(60 * 60);

/// After what time a condition is printed that has begun within [`REMIND_AFTER`] of the last line about
/// it. One that comes and goes more often is printed once an hour.
const PERSISTENT_AFTER: Duration = Duration::from_secs(5 * 60);

/// One condition that is present, or was.
#[derive(Clone, Debug, Default)]
struct Course {
    /// Since when it is present. `None` where it is not.
    since: Option<Duration>,
    /// Whether its present occurrence has been printed.
    is_printed: bool,
    last_printed: Option<Duration>,
    /// How often it has begun since the last line.
    begun: u64,
}

/// The conditions of one system, or of one target.
#[derive(Clone, Debug, Default)]
pub struct Health(BTreeMap<Condition, Course>);

impl Health {
    /// Returns since when a condition is present. `None` where it is not.
    pub fn since(&self, condition: Condition) -> Option<Duration> {
        self.0.get(&condition)?.since
    }

    /// Takes what a poll, or an attempt to send, at `now` has found. Returns the line that is to be printed, if any.
    pub fn update(
        &mut self,
        condition: Condition,
        finding: Finding,
        now: Duration,
    ) -> Option<String> {
        match finding {
            Finding::Present(text) => self.0.entry(condition).or_default().go_on(&text, now),
            Finding::Absent => self.0.get_mut(&condition)?.end(condition, now),
        }
    }
}

impl Course {
    fn go_on(&mut self, text: &str, now: Duration) -> Option<String> {
        let begins = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        self.begun += u64::from(begins);
        let unprinted_for = self.last_printed.map(|last| now.saturating_sub(last));
        let is_due = unprinted_for.is_none_or(|unprinted| unprinted >= REMIND_AFTER);
        let is_persistent = !self.is_printed && now.saturating_sub(since) >= PERSISTENT_AFTER;
        if !is_due && !is_persistent {
            return None;
        }
        let lasted = now.saturating_sub(since);
        let line = match self.begun {
            0 | 1 if lasted.is_zero() => text.to_owned(),
            0 | 1 => format!("for {} now: {text}", in_words(lasted)),
            begun => format!("{begun} times since the last message: {text}"),
        };
        self.is_printed = true;
        self.last_printed = Some(now);
        self.begun = 0;
        Some(line)
    }

    fn end(&mut self, condition: Condition, now: Duration) -> Option<String> {
        let since = self.since.take()?;
        let was_printed = std::mem::take(&mut self.is_printed);
        was_printed.then(|| {
            format!(
                "{} {}",
                condition.end(),
                in_words(now.saturating_sub(since))
            )
        })
    }
}

/// Sentences about single events, none of which is printed twice within some time.
#[derive(Clone, Debug)]
pub struct Events {
    pause: Duration,
    printed: BTreeMap<String, Duration>,
}

/// The number of different sentences that are remembered.
const MAX_EVENTS: usize = 100;

impl Events {
    /// Makes events of which each is printed once in that time at most.
    pub fn every(pause: Duration) -> Self {
        Self {
            pause,
            printed: BTreeMap::new(),
        }
    }

    /// Returns whether a sentence is to be printed: none that differs only in its numbers was printed
    /// lately.
    pub fn is_new(&mut self, sentence: &str, now: Duration) -> bool {
        let pause = self.pause;
        self.printed
            .retain(|_, printed| now.saturating_sub(*printed) < pause);
        let words: String = sentence.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.printed.contains_key(&words) || self.printed.len() >= MAX_EVENTS {
            return false;
        }
        self.printed.insert(words, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the minute and the line of each line, where the letters are polls a minute: `x` where
    /// the condition is present.
    fn lines(polls: &str) -> Vec<String> {
        let mut health = Health::default();
        let mut line = |(minute, poll): (usize, char)| {
            let finding = match poll {
                'x' => Finding::Present("it fails".into()),
                _ => Finding::Absent,
            };
            let now = Duration::from_secs(60 * minute as u64);
            let line = health.update(Condition::Failing, finding, now)?;
            Some(format!("{minute}: {line}"))
        };
        polls.chars().enumerate().filter_map(&mut line).collect()
    }

    #[test]
    fn a_condition_is_printed_when_it_begins_each_hour_and_when_it_ends() {
        let polls = format!("..{}..", "x".repeat(150));
        insta::assert_snapshot!(lines(&polls).join("\n"), @r"
        2: it fails
        62: for 1 h now: it fails
        122: for 2 h now: it fails
        152: works again after 2 h 30 min
        ");
    }

    #[test]
    fn a_condition_that_comes_and_goes_is_printed_once_an_hour() {
        let polls = "x.".repeat(100);
        insta::assert_snapshot!(lines(&polls).join("\n"), @r"
        0: it fails
        1: works again after 1 minute
        60: 30 times since the last message: it fails
        61: works again after 1 minute
        120: 30 times since the last message: it fails
        121: works again after 1 minute
        180: 30 times since the last message: it fails
        181: works again after 1 minute
        ");
    }

    #[test]
    fn one_that_begins_again_within_the_hour_is_printed_when_it_persists() {
        let polls = format!("x.....{}.", "x".repeat(20));
        insta::assert_snapshot!(lines(&polls).join("\n"), @r"
        0: it fails
        1: works again after 1 minute
        11: for 5 minutes now: it fails
        26: works again after 20 minutes
        ");
    }

    #[test]
    fn an_event_is_printed_once_an_hour_whatever_its_numbers() {
        let hour = Duration::from_secs(3600);
        let mut events = Events::every(hour);
        assert!(events.is_new("3 of the 10 stations are gone", Duration::ZERO));
        assert!(!events.is_new("4 of the 10 stations are gone", hour / 2));
        assert!(events.is_new("the feed has moved", hour / 2));
        assert!(events.is_new("4 of the 10 stations are gone", hour));
    }
}
