//! What is printed about a target that does not take its notices: once when that begins, once an hour, and once when
//! it ends.

use std::time::Duration;

use divvy::ingest::watch::{Condition, Finding, Health};
use divvy::reports::plural;

use super::folder::refused_file;

/// The longest time without a notice in which a condition counts as lasting.
const MAX_IDLE: Duration = Duration::from_secs(30 * 60);

/// The state of one target. Times are counted from any moment, by a clock that is never set.
pub struct TargetHealth {
    health: Health,
    refused: Refused,
    /// The name of the file of refused notices.
    file: String,
    /// Since when no notice has waited. `None` where the last call was about one.
    idle_since: Option<Duration>,
}

/// The notices that the target has refused since the last line about them.
#[derive(Default)]
struct Refused {
    count: u64,
    /// Why it refused the last one.
    reason: String,
}

impl TargetHealth {
    /// Begins with a target that has taken all notices until now.
    pub fn new(target: &str) -> Self {
        Self {
            health: Health::default(),
            refused: Refused::default(),
            file: refused_file(target),
            idle_since: None,
        }
    }

    /// Notes that no notice waits. After [`MAX_IDLE`] of this, failures and refusals do not count as lasting any
    /// more: whether they would go on is not known. Returns the line to print, if any.
    pub fn note_idle(&mut self, now: Duration) -> Option<String> {
        let since = *self.idle_since.get_or_insert(now);
        if now.saturating_sub(since) < MAX_IDLE {
            return None;
        }
        for condition in [Condition::NoticesFailing, Condition::NoticesRefused] {
            // The line for its end would state that the target takes notices.
            let _ = self.health.update(condition, Finding::Absent, now);
        }
        self.unprinted_refusals()
    }

    /// Notes that an attempt has failed and is made again, while so many notices wait. Returns the line to print, if
    /// any.
    pub fn note_failure(&mut self, reason: &str, waiting: usize, now: Duration) -> Option<String> {
        self.idle_since = None;
        let text = format!("{reason}; it is sent again, and {waiting} wait");
        let failing = Finding::Present(text);
        (self.health).update(Condition::NoticesFailing, failing, now)
    }

    /// Notes that the target has refused a notice for good. Returns the line to print, if any.
    pub fn note_refusal(&mut self, reason: &str, now: Duration) -> Option<String> {
        self.idle_since = None;
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
            "{reason}: {} moved to {}",
            plural(*count as i64, "notice"),
            self.file
        );
        let refused = Finding::Present(text);
        let line = (self.health).update(Condition::NoticesRefused, refused, now)?;
        self.refused.count = 0;
        Some(line)
    }

    /// Notes that the target has taken a notice. Returns the lines to print.
    pub fn note_taken(&mut self, now: Duration) -> Vec<String> {
        self.idle_since = None;
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

    /// Returns a line about the refusals since the last line about them, if there are any. It is printed when the
    /// watch ends, too.
    pub fn unprinted_refusals(&mut self) -> Option<String> {
        let count = std::mem::take(&mut self.refused.count);
        (count > 0).then(|| {
            let count = plural(count as i64, "more notice");
            format!("{count} moved to {}", self.file)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines with their minutes, where each letter is a notice a minute: `r` where it is refused, `f`
    /// where an attempt fails, `t` where it is taken, `.` for none.
    fn lines(notices: &str) -> String {
        let mut target = TargetHealth::new("ops");
        let mut lines = Vec::new();
        for (minute, notice) in notices.chars().enumerate() {
            let now = Duration::from_secs(60 * minute as u64);
            let found = match notice {
                'r' => Vec::from_iter(target.note_refusal("the webhook answers 400", now)),
                'f' => Vec::from_iter(target.note_failure("no answer", 3, now)),
                't' => target.note_taken(now),
                _ => {
                    let due = target.refusals_due(now);
                    due.into_iter().chain(target.note_idle(now)).collect()
                }
            };
            lines.extend(found.into_iter().map(|line| format!("{minute}: {line}")));
        }
        lines.extend(
            target
                .unprinted_refusals()
                .map(|line| format!("end: {line}")),
        );
        lines.join("\n")
    }

    #[test]
    fn refusals_are_printed_when_they_begin_each_hour_and_when_they_end() {
        let notices = format!("t{}tt", "r".repeat(90));
        insta::assert_snapshot!(lines(&notices), @r"
        1: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        61: for 1 h now: the webhook answers 400: 60 notices moved to refused/ops.ndjson
        91: notices are no longer refused after 1 h 30 min; 29 more were refused
        ");
    }

    #[test]
    fn refusals_are_counted_though_no_notice_comes_after_them() {
        let notices = format!("rrr{}", ".".repeat(100));
        insta::assert_snapshot!(lines(&notices), @r"
        0: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        33: 2 more notices moved to refused/ops.ndjson
        ");
        insta::assert_snapshot!(lines("rrr"), @r"
        0: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        end: 2 more notices moved to refused/ops.ndjson
        ");
    }

    #[test]
    fn a_time_without_notices_does_not_count_as_lasting() {
        let idle = ".".repeat(300);
        insta::assert_snapshot!(lines(&format!("r{idle}rt")), @r"
        0: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        301: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        302: notices are no longer refused after 1 minute
        ");
        insta::assert_snapshot!(lines(&format!("fr{idle}ft")), @r"
        0: no answer; it is sent again, and 3 wait
        1: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        302: no answer; it is sent again, and 3 wait
        303: notices are taken again after 1 minute
        ");
    }

    #[test]
    fn refusals_with_short_times_between_them_last() {
        insta::assert_snapshot!(lines(&"r.........".repeat(7)), @r"
        0: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        60: for 1 h now: the webhook answers 400: 6 notices moved to refused/ops.ndjson
        ");
    }

    #[test]
    fn a_target_that_refuses_some_notices_is_printed_once_an_hour() {
        insta::assert_snapshot!(lines(&"rt".repeat(62)), @r"
        0: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        1: notices are no longer refused after 1 minute
        60: 30 times since the last message: the webhook answers 400: 30 notices moved to refused/ops.ndjson
        61: notices are no longer refused after 1 minute
        120: 30 times since the last message: the webhook answers 400: 30 notices moved to refused/ops.ndjson
        121: notices are no longer refused after 1 minute
        end: 1 more notice moved to refused/ops.ndjson
        ");
    }

    #[test]
    fn failures_are_printed_when_they_begin_and_when_they_end() {
        insta::assert_snapshot!(lines("tffffrft"), @r"
        1: no answer; it is sent again, and 3 wait
        5: the webhook answers 400: 1 notice moved to refused/ops.ndjson
        7: notices are taken again after 6 minutes
        7: notices are no longer refused after 2 minutes
        ");
    }
}
