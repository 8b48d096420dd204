//! Rules that another run had under the same names with another meaning.

use jiff::Timestamp;

use super::{About, Evaluator, Event, FEED};
use crate::alarms::notice::{Ending, NoticeState, Values};
use crate::alarms::state::RuleState;
use crate::alarms::track::Step;
use crate::model::StationId;

impl Evaluator {
    /// Compares the meaning of each rule with the one that its state is of. Where it is another, the rule begins
    /// anew. A state without a meaning, of an earlier version of this program, is taken to be of the rule.
    pub(super) fn note_changed(&mut self) {
        for (name, meaning) in std::mem::take(&mut self.unchecked) {
            let Some(state) = self.state.rules.get_mut(&name) else {
                continue;
            };
            let before = state.meaning.get_or_insert_with(|| meaning.clone());
            if *before != meaning {
                state.replace(meaning);
            }
        }
    }

    /// Resolves the open notices of earlier meanings. Those about stations wait for a snapshot: before it stations
    /// have no names, and the notices of the new meaning have the times of snapshots, which may be before that
    /// of a poll.
    pub(super) fn resolve_replaced(&mut self, at: Timestamp, event: Event<'_>) {
        let snapshot = match event {
            Event::Snapshot { taken_at, .. } => Some(taken_at),
            Event::Unchanged | Event::Failed { .. } | Event::Moved { .. } => None,
        };
        let mut due = Vec::new();
        for (rule, state) in &mut self.state.rules {
            let old = state
                .replaced
                .extract_if(.., |old| snapshot.is_some() || !is_of_stations(old));
            due.extend(old.map(|old| (rule.clone(), old)));
        }
        for (rule, old) in due {
            let at = snapshot.filter(|_| is_of_stations(&old)).unwrap_or(at);
            self.resolve_all(&rule, &old, at);
        }
    }

    fn resolve_all(&mut self, rule: &str, old: &RuleState, at: Timestamp) {
        let Some(before) = &old.meaning else {
            return;
        };
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
                _ if about.is_station => {
                    let name = self.name_of(&StationId::from(subject.as_str()));
                    format!(" about {name}")
                }
                FEED if !before.is_of_stations() => " about the feed".into(),
                _ => String::new(),
            };
            let text = format!("rule {rule} was changed: its open alarm{what} is closed");
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

/// Returns whether the notices of a state are about stations.
fn is_of_stations(state: &RuleState) -> bool {
    let meaning = state.meaning.as_ref();
    meaning.is_some_and(|meaning| meaning.is_of_stations())
}
