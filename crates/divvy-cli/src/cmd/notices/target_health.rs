//! What is printed about a target that does not take its notices: once when that begins, once an hour, and once when
//! it ends.

use std::time::Duration;

use divvy::ingest::watch::{Condition, Finding, Health};
use divvy::reports::plural;

/// The state of one target. Times are counted from any moment, by a clock that is never set.
#[derive(Default)]
pub struct TargetHealth {
    health: Health,
    refused: Refused,
}

/// The notices that the target has refused since the last line about them.
#[derive(Default)]
struct Refused {
    count: u64,
    /// Why it refused the last one.
    reason: String,
}

impl TargetHealth {
    /// Notes that an attempt has failed and is made again, while so many notices wait. Returns the line to print, if
    /// any.
    pub fn note_failure(&mut self, reason: &str, waiting: usize, now: Duration) -> Option<String> {
        let text = format!("{reason}; it is sent again, and {waiting} wait");
        let failing = Finding::Present(text);
        (self.health).update(Condition::NoticesFailing, failing, now)
    }

    /// Notes that the target has refused a notice for good. Returns the line to print, if any.
    pub fn note_refusal(&mut self, reason: &str, now: Duration) -> Option<String> {
        self.refused.count += 1;
        reason.clone_into(&mut self.refused.reason);
        self.refusals_due(now)
    }

    /// Returns the line about refusals of which none was printed for an hour, if there are any.
    pub fn refusals_due(&mut self, now: Duration) -> Option<String> {
        let Refused { count, reason } = &self.refused;
        if *count == 0 {
            return None;
        }
        let text = format!(
            "{reason}: {} moved to the file of refused ones",
            plural(*count as i64, "notice")
        );
        let refused = Finding::Present(text);
        let line = (self.health).update(Condition::NoticesRefused, refused, now)?;
        self.refused.count = 0;
        Some(line)
    }

    /// Notes that the target has taken a notice. Returns the lines to print.
    pub fn note_taken(&mut self, now: Duration) -> Vec<String> {
        let health = &mut self.health;
        let mut lines =
            Vec::from_iter(health.update(Condition::NoticesFailing, Finding::Absent, now));
        let end = health.update(Condition::NoticesRefused, Finding::Absent, now);
        lines.extend(
            end.map(|end| match std::mem::take(&mut self.refused.count) {
                0 => end,
                count => format!("{end}; {count} more were refused"),
            }),
        );
        lines
    }

    /// Returns a line about the refusals of which none was printed, when the watch ends.
    pub fn end(&mut self) -> Option<String> {
        let count = std::mem::take(&mut self.refused.count);
        (count > 0).then(|| {
            let count = plural(count as i64, "more notice");
            format!("{count} moved to the file of refused ones")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines with their minutes, where each letter is a notice a minute: `r` where it is refused, `f`
    /// where an attempt fails, `t` where it is taken, `.` for none.
    fn lines(notices: &str) -> String {
        let mut target = TargetHealth::default();
        let mut lines = Vec::new();
        for (minute, notice) in notices.chars().enumerate() {
            let now = Duration::from_secs(60 * minute as u64);
            let found = match notice {
                'r' => Vec::from_iter(target.note_refusal("the webhook answers 400", now)),
                'f' => Vec::from_iter(target.note_failure("no answer", 3, now)),
                't' => target.note_taken(now),
                _ => Vec::from_iter(target.refusals_due(now)),
            };
            lines.extend(found.into_iter().map(|line| format!("{minute}: {line}")));
        }
        lines.extend(target.end().map(|line| format!("end: {line}")));
        lines.join("\n")
    }

    #[test]
    fn refusals_are_printed_when_they_begin_each_hour_and_when_they_end() {
        let notices = format!("t{}tt", "r".repeat(90));
        insta::assert_snapshot!(lines(&notices), @r"
        1: the webhook answers 400: 1 notice moved to the file of refused ones
        61: for 1 h now: the webhook answers 400: 60 notices moved to the file of refused ones
        91: notices are no longer refused after 1 h 30 min; 29 more were refused
        ");
    }

    #[test]
    fn refusals_are_counted_though_no_notice_comes_after_them() {
        let notices = format!("rrr{}", ".".repeat(100));
        insta::assert_snapshot!(lines(&notices), @r"
        0: the webhook answers 400: 1 notice moved to the file of refused ones
        60: for 1 h now: the webhook answers 400: 2 notices moved to the file of refused ones
        ");
        insta::assert_snapshot!(lines("rrr"), @r"
        0: the webhook answers 400: 1 notice moved to the file of refused ones
        end: 2 more notices moved to the file of refused ones
        ");
    }

    #[test]
    fn a_target_that_refuses_some_notices_is_printed_once_an_hour() {
        insta::assert_snapshot!(lines(&"rt".repeat(62)), @r"
        0: the webhook answers 400: 1 notice moved to the file of refused ones
        1: notices are no longer refused after 1 minute
        60: 30 times since the last message: the webhook answers 400: 30 notices moved to the file of refused ones
        61: notices are no longer refused after 1 minute
        120: 30 times since the last message: the webhook answers 400: 30 notices moved to the file of refused ones
        121: notices are no longer refused after 1 minute
        end: 1 more notice moved to the file of refused ones
        ");
    }

    #[test]
    fn failures_are_printed_when_they_begin_and_when_they_end() {
        insta::assert_snapshot!(lines("tffffrft"), @r"
        1: no answer; it is sent again, and 3 wait
        5: the webhook answers 400: 1 notice moved to the file of refused ones
        7: notices are taken again after 6 minutes
        7: notices are no longer refused after 2 minutes
        ");
    }
}
