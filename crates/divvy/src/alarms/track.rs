//! One condition over time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::notice::NoticeState;

/// The condition of a rule for one subject, as it was read last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    holds: bool,
    /// Since when all readings have been the same, without a gap between them.
    since: Timestamp,
    /// `None` where no notice is open.
    raised: Option<Raised>,
    /// Whether what was likely has happened since the condition held last.
    #[serde(default)]
    came_true: bool,
}

/// A notice that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    /// When the condition began.
    since: Timestamp,
    /// When it was raised, or the last reminder was sent.
    noticed: Timestamp,
}

/// What a track yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) state: NoticeState,
    /// When the condition began.
    pub(super) since: Timestamp,
    /// When the condition ended: of [`NoticeState::Resolved`].
    pub(super) until: Option<Timestamp>,
    /// Whether what was likely has happened: of [`NoticeState::Resolved`].
    pub(super) came_true: bool,
}

/// When a track yields something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// For how long a condition must hold, and must not hold.
    pub(super) hold: SignedDuration,
    /// How often reminders are due.
    pub(super) repeat: Option<SignedDuration>,
}

/// One reading of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) holds: bool,
    /// Since when the condition has been so, where the reading itself states that. `None`: since this
    /// reading, if it was otherwise before.
    pub(super) since: Option<Timestamp>,
    /// Whether there was a gap before the reading: a condition that held before the gap does not count.
    pub(super) is_after_gap: bool,
    /// Whether what the condition expects has happened. Never where it holds.
    pub(super) came_true: bool,
}

impl Track {
    /// Adds a reading to a track, which is `None` where the condition does not hold and no notice is open.
    /// Returns what is to be sent.
    pub(super) fn add(track: &mut Option<Self>, sample: Sample, timing: Timing) -> Option<Step> {
        if track.is_none() && !sample.holds {
            return None;
        }
        let since = sample.since.unwrap_or(sample.at);
        let own = track.get_or_insert(Self {
            holds: sample.holds,
            since,
            raised: None,
            came_true: false,
        });
        own.came_true = !sample.holds && (own.came_true || sample.came_true);
        if own.holds != sample.holds || sample.is_after_gap {
            own.holds = sample.holds;
            own.since = since;
        }
        let step = own.step(sample.at, timing);
        if !own.holds && own.raised.is_none() {
            *track = None;
        }
        step
    }

    fn step(&mut self, at: Timestamp, timing: Timing) -> Option<Step> {
        let is_long_enough = at.duration_since(self.since) >= timing.hold;
        match (&mut self.raised, self.holds) {
            (None, true) if is_long_enough => {
                self.raised = Some(Raised {
                    since: self.since,
                    noticed: at,
                });
                Some(Step {
                    state: NoticeState::Raised,
                    since: self.since,
                    until: None,
                    came_true: false,
                })
            }
            (Some(raised), true) => {
                let quiet = at.duration_since(raised.noticed);
                let is_due = timing.repeat.is_some_and(|repeat| quiet >= repeat);
                is_due.then(|| {
                    raised.noticed = at;
                    Step {
                        state: NoticeState::Reminder,
                        since: raised.since,
                        until: None,
                        came_true: false,
                    }
                })
            }
            (Some(raised), false) if is_long_enough => {
                let since = raised.since;
                self.raised = None;
                Some(Step {
                    state: NoticeState::Resolved,
                    since,
                    until: Some(self.since),
                    came_true: self.came_true,
                })
            }
            _ => None,
        }
    }

    /// Returns whether a notice is open.
    pub(super) fn is_raised(&self) -> bool {
        self.raised.is_some()
    }

    /// Returns when the condition began of which a notice is open. `None` where none is.
    pub(super) fn raised_since(&self) -> Option<Timestamp> {
        self.raised.map(|raised| raised.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is sent at which minute, where the letters are readings a minute: `x` where the
    /// condition holds, `_` for none.
    fn steps(readings: &str, hold: i64, repeat: Option<i64>) -> String {
        let timing = Timing {
            hold: SignedDuration::from_mins(hold),
            repeat: repeat.map(SignedDuration::from_mins),
        };
        let minute = |minute: usize| Timestamp::from_second(60 * minute as i64).unwrap();
        let mut track = None;
        let mut steps = Vec::new();
        let mut is_after_gap = false;
        for (index, reading) in readings.chars().enumerate() {
            if reading == '_' {
                is_after_gap = true;
                continue;
            }
            let sample = Sample {
                at: minute(index),
                holds: reading == 'x',
                since: None,
                is_after_gap: std::mem::take(&mut is_after_gap),
                came_true: false,
            };
            if let Some(step) = Track::add(&mut track, sample, timing) {
                let since = step.since.as_second() / 60;
                let until = step
                    .until
                    .map_or(String::new(), |it| format!("-{}", it.as_second() / 60));
                steps.push(format!("{index}:{}({since}{until})", step.state.as_str()));
            }
        }
        steps.join(" ")
    }

    #[test]
    fn a_condition_is_raised_once_and_resolved_once() {
        assert_eq!(
            steps("..xxxxxxxx....", 3, None),
            "5:raised(2) 13:resolved(2-10)"
        );
        assert_eq!(steps(".x.", 0, None), "1:raised(1) 2:resolved(1-2)");
    }

    #[test]
    fn one_that_comes_and_goes_is_not_raised_and_not_resolved() {
        assert_eq!(steps("xx.xx.xx.xx.", 3, None), "");
        assert_eq!(steps("xxxx.xx..x.xxxx", 3, None), "3:raised(0)");
    }

    #[test]
    fn time_in_a_gap_does_not_count() {
        assert_eq!(steps("xx____xxxx", 3, None), "9:raised(6)");
        assert_eq!(steps("xxxx.___...x", 3, None), "3:raised(0)");
        assert_eq!(
            steps("xxxx.___....", 3, None),
            "3:raised(0) 11:resolved(0-8)"
        );
    }

    #[test]
    fn reminders_are_sent_while_it_holds() {
        let readings = format!("{}....", "x".repeat(12));
        assert_eq!(
            steps(&readings, 1, Some(4)),
            "1:raised(0) 5:reminder(0) 9:reminder(0) 13:resolved(0-12)"
        );
    }
}
