//! Rules that another run had under the same names with another meaning.

use jiff::Timestamp;

use super::{About, Evaluator, FEED, LIST};
use crate::alarms::meaning::Meaning;
use crate::alarms::notice::{Ending, NoticeState, Values};
use crate::alarms::state::RuleState;
use crate::alarms::track::Step;
use crate::model::StationId;

impl Evaluator {
    /// Resolves the open notices of rules that have another meaning than the one that their state is of, and
    /// drops that state, so that these rules begin anew. A state without a meaning, of an earlier version of
    /// this program, is taken to be of the rule.
    pub(super) fn resolve_changed(&mut self, at: Timestamp) {
        for (name, meaning) in std::mem::take(&mut self.unchecked) {
            let Some(state) = self.state.rules.get_mut(&name) else {
                continue;
            };
            let before = state.meaning.replace(meaning.clone());
            if let Some(before) = before.filter(|before| *before != meaning) {
                let old = std::mem::replace(state, RuleState::of(meaning));
                self.resolve_all(&name, &before, &old, at);
            }
        }
    }

    fn resolve_all(&mut self, rule: &str, before: &Meaning, old: &RuleState, at: Timestamp) {
        for (subject, track) in &old.tracks {
            let Some(since) = track.raised_since() else {
                continue;
            };
            let about = About {
                rule,
                when: &before.when,
                subject,
                is_station: before.is_of_each_station(),
            };
            let what = match subject.as_str() {
                _ if about.is_station => self.name_of(&StationId::from(subject.as_str())),
                FEED | LIST => format!("the {subject}"),
                _ => "its stations".into(),
            };
            let text = format!(
                "rule {rule} was changed: the alarm about {what} that it had raised before is closed"
            );
            let step = Step {
                state: NoticeState::Resolved,
                since,
                until: Some(at),
                came_true: false,
            };
            let values = Values {
                ending: Some(Ending::RuleChanged),
                ..Values::default()
            };
            self.push(about, step, at, text, values);
        }
    }
}
