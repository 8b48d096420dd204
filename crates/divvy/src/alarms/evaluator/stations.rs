//! Rules about stations.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{About, Evaluator, Readings};
use crate::alarms::condition::{self, Found};
use crate::alarms::notice::{Ending, NoticeState, Values};
use crate::alarms::rule::{Combine, Rule};
use crate::alarms::sentence::{self, Facts, Presence};
use crate::alarms::track::Sample;
use crate::history::StationState;
use crate::model::StationId;

impl Evaluator {
    /// Looks whether the condition of a rule holds for a station.
    fn find(&self, rule: &Rule, id: &StationId, state: &StationState) -> Found {
        condition::find(rule.when, state, &|expected, within| {
            let forecasts = self.setting.forecasts.as_ref()?;
            forecasts.probability(self.system.as_ref()?, id, expected, within)
        })
    }

    /// Evaluates a rule with an alarm for each station.
    pub(super) fn add_each(
        &mut self,
        index: usize,
        rule: &Rule,
        at: Timestamp,
        stations: &Readings,
        is_after_gap: bool,
    ) {
        let state = self.state.rules.get(&rule.name);
        // Stations that have an open notice and are not listed, or not named any more, are not empty.
        let tracked = state.into_iter().flat_map(|state| state.tracks.keys());
        let tracked = tracked.map(|id| StationId::from(id.as_str()));
        let selected = stations
            .keys()
            .filter(|id| self.selections[index].contains(id));
        let ids: BTreeSet<StationId> = tracked.chain(selected.cloned()).collect();
        for id in ids {
            let listed = stations.get(&id);
            let state = listed.filter(|_| self.selections[index].contains(&id));
            let found = state.map_or_else(Found::default, |state| self.find(rule, &id, state));
            let sample = Sample {
                at,
                holds: found.holds,
                since: None,
                is_after_gap,
                came_true: found.came_true,
            };
            let Some(step) = self.track(rule, id.as_str(), sample) else {
                continue;
            };
            let presence = match (listed, state) {
                (None, _) => Presence::NotListed,
                (Some(_), None) => Presence::NotNamed,
                _ if found.is_in_service => Presence::InService,
                _ => Presence::OutOfService,
            };
            let facts = Facts {
                when: rule.when,
                state: step.state,
                came_true: step.came_true,
                subject: &self.name_of(&id),
                lasted: step.until.unwrap_or(at).duration_since(step.since),
                probability: found.probability,
            };
            let text = sentence::of_station(&facts, presence);
            let is_unnamed = presence == Presence::NotNamed
                && step.state == NoticeState::Resolved
                && !step.came_true;
            let available = state.map(|state| state.available);
            let values = Values {
                bikes: available.and_then(|it| it.vehicles),
                docks: available.and_then(|it| it.docks),
                probability: found.probability.filter(|_| found.holds),
                ending: is_unnamed.then_some(Ending::NotNamed),
                ..Values::default()
            };
            self.push(About::new(rule, id.as_str()), step, at, text, values);
        }
    }

    /// Evaluates a rule with one alarm for several stations.
    pub(super) fn add_group(
        &mut self,
        index: usize,
        rule: &Rule,
        at: Timestamp,
        stations: &Readings,
        is_after_gap: bool,
    ) {
        let selected = stations.iter();
        let selected = selected.filter(|(id, _)| self.selections[index].contains(id));
        let (mut in_service, mut holding, mut probability) = (0, Vec::new(), None);
        let own = self.state.rules.get(&rule.name);
        let own = own.filter(|own| own.tracks.contains_key(&rule.name));
        let mut came_true = own.is_some_and(|own| own.came_true);
        for (id, state) in selected {
            let found = self.find(rule, id, state);
            in_service += usize::from(found.is_in_service);
            came_true |= found.came_true && own.is_some_and(|own| own.likely.contains(id));
            if found.holds {
                holding.push(id.clone());
                let others = probability.unwrap_or(0.0);
                probability = found.probability.map(|own| own.max(others));
            }
        }
        let holds = match rule.combine {
            Combine::All => in_service > 0 && holding.len() == in_service,
            Combine::Any | Combine::Each => !holding.is_empty(),
        };
        let sample = Sample {
            at,
            holds,
            since: None,
            is_after_gap,
            came_true: came_true && !holds,
        };
        let step = self.track(rule, &rule.name, sample);
        if rule.when.is_likely() {
            self.note_likely(rule, &holding, came_true);
        }
        let Some(step) = step else {
            return;
        };
        let facts = Facts {
            when: rule.when,
            state: step.state,
            came_true: step.came_true,
            subject: &rule.name,
            lasted: step.until.unwrap_or(at).duration_since(step.since),
            probability,
        };
        let names: Vec<String> = holding.iter().map(|id| self.name_of(id)).collect();
        let text = sentence::of_group(&facts, &names, in_service);
        let values = Values {
            count: Some(holding.len()),
            stations: sentence::first(&holding),
            probability,
            ..Values::default()
        };
        self.push(About::new(rule, &rule.name), step, at, text, values);
    }

    /// Notes for which of several stations something is likely, and whether it has happened to one for which it was,
    /// until the track of the rule ends.
    fn note_likely(&mut self, rule: &Rule, holding: &[StationId], came_true: bool) {
        let own = self.state_of(rule);
        if own.tracks.contains_key(&rule.name) {
            own.likely.extend(holding.iter().cloned());
            own.came_true = came_true;
        } else {
            own.likely.clear();
            own.came_true = false;
        }
    }
}
