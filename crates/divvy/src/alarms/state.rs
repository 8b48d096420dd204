//! What an evaluator has to keep over a restart.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::meaning::Meaning;
use super::notice::Notice;
use super::rule::Rules;
use super::station_set::StationSet;
use super::track::Track;
use crate::model::StationId;

/// The state of an evaluator. It is bounded by the number of rules and stations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedState {
    /// The id of the system. `None` before the first snapshot.
    pub system: Option<String>,
    /// Notices that have not been passed on yet: see [`Evaluator::take_unsent`](super::Evaluator::take_unsent).
    pub unsent: Vec<Notice>,
    /// The time of the newest snapshot, as it is stored.
    pub(super) last_snapshot: Option<Timestamp>,
    /// When a poll succeeded last.
    pub(super) last_success: Option<Timestamp>,
    /// Since when polls fail. `None` where the last one succeeded.
    pub(super) failing_since: Option<Timestamp>,
    /// By the names of rules.
    pub(super) rules: BTreeMap<String, RuleState>,
}

/// The state of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RuleState {
    /// What the rule meant when this was written. `None` in states of programs that did not keep it.
    pub(super) meaning: Option<Meaning>,
    /// Conditions that hold or have an open notice, by their subjects.
    pub(super) tracks: BTreeMap<String, Track>,
    /// The stations of the list, for rules about it.
    pub(super) stations: Option<StationSet>,
    /// Of rules about several stations together and what is likely: those for which it has been since the track
    /// of the rule began.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) likely: BTreeSet<StationId>,
    /// Whether what was likely has happened to one of these stations after it was likely.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) came_true: bool,
    /// The states of earlier meanings of the rule whose open notices are not resolved yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<RuleState>,
}

impl RuleState {
    /// Makes the state of a rule that begins.
    pub(super) fn of(meaning: Meaning) -> Self {
        Self {
            meaning: Some(meaning),
            ..Self::default()
        }
    }

    /// Begins anew with another meaning. The state until now is kept where it has open notices.
    pub(super) fn replace(&mut self, meaning: Meaning) {
        let mut old = std::mem::replace(self, Self::of(meaning));
        self.replaced = std::mem::take(&mut old.replaced);
        if old.open() > 0 {
            self.replaced.push(old);
        }
    }

    /// Counts the notices that are open.
    fn open(&self) -> usize {
        let tracks = self.tracks.values();
        let own = tracks.filter(|track| track.is_raised()).count();
        own + self.replaced.iter().map(Self::open).sum::<usize>()
    }
}

impl SavedState {
    /// Returns the name of a file for the state of the system at an address. The address, which may have a
    /// key, cannot be read from it.
    pub fn file_name(address: &str) -> String {
        format!("{:032x}.json", xxh3_128(address.as_bytes()))
    }

    /// Returns the time of the newest snapshot that was evaluated. `None` before the first.
    pub fn last_snapshot(&self) -> Option<Timestamp> {
        self.last_snapshot
    }

    /// Removes what belongs to no rule. Returns the number of open notices that nothing will resolve any
    /// more.
    pub fn keep_rules(&mut self, rules: &Rules) -> usize {
        let is_there = |name: &String| rules.rules.iter().any(|rule| rule.name == *name);
        let gone = self.rules.extract_if(.., |name, _| !is_there(name));
        gone.map(|(_, state)| state.open()).sum()
    }

    /// Counts the notices that are open.
    pub fn open(&self) -> usize {
        self.rules.values().map(RuleState::open).sum()
    }
}
