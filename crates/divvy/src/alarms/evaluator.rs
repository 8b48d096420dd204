//! Events of one system → notices.

mod changed;
mod stations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::condition::Forecasts;
use super::meaning::Meaning;
use super::notice::{Ending, Notice, NoticeState, Values};
use super::rule::{Combine, Rule, Rules, When};
use super::selection::Selection;
use super::sentence;
use super::state::{RuleState, SavedState};
use super::station_set::{Difference, StationSet};
use super::track::{Sample, Step, Timing, Track};
use crate::history::StationState;
use crate::model::{Station, StationId, System, SystemId, Zone};

/// The states of a snapshot.
pub type Readings = BTreeMap<StationId, StationState>;

/// What has happened to a system.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A snapshot with newer states.
    Snapshot {
        /// Its time in the store: that of the feed's clock, or of the poll where that clock is ahead. Not before the
        /// snapshots before it.
        taken_at: Timestamp,
        /// The stations that it lists.
        stations: &'a Readings,
    },
    /// A poll succeeded and gave no newer states.
    Unchanged,
    /// A poll failed.
    Failed {
        /// Why, as a sentence.
        error: &'a str,
    },
    /// The discovery file names another address of a feed. An event beside that of its poll.
    Moved {
        /// A sentence about it.
        text: &'a str,
    },
}

/// How a system is evaluated.
#[derive(Clone)]
pub struct Setting {
    /// The rules of all systems.
    pub rules: Arc<Rules>,
    /// The longest time between two snapshots that is no gap. In a longer one no condition
    /// counts as held.
    pub max_gap: SignedDuration,
    /// Forecasts, for rules about what is likely. `None`: these rules yield nothing.
    pub forecasts: Option<Arc<dyn Forecasts>>,
    /// The id of the system, where it is known before the first snapshot.
    pub system: Option<SystemId>,
    /// What the system is called in notices until its id is known: its address without a query.
    pub address: String,
}

/// The rules of one system.
pub struct Evaluator {
    setting: Setting,
    /// `None` before [`name_stations`](Self::name_stations).
    system: Option<SystemId>,
    zone: Option<Zone>,
    /// The stations of each rule.
    selections: Vec<Selection>,
    names: BTreeMap<StationId, String>,
    state: SavedState,
    /// The meanings of the rules of which the state is not compared with them yet, by the names of the rules.
    unchecked: BTreeMap<String, Meaning>,
    /// How many notices were dropped, because too many were unsent.
    dropped: u64,
}

/// How many notices are held until they are taken. A caller that cannot write them for long loses the oldest.
const MAX_UNSENT: usize = 10_000;

/// The subject of notices about a feed.
const FEED: &str = "feed";

/// The subject of notices about the list of stations.
const LIST: &str = "stations";

/// Which rule a notice is of, and what it is about.
#[derive(Clone, Copy)]
struct About<'a> {
    rule: &'a str,
    when: &'a str,
    subject: &'a str,
    /// Whether the subject is the id of a station.
    is_station: bool,
}

impl<'a> About<'a> {
    fn new(rule: &'a Rule, subject: &'a str) -> Self {
        Self {
            rule: &rule.name,
            when: rule.when.name(),
            subject,
            is_station: rule.when.is_of_stations() && rule.combine == Combine::Each,
        }
    }
}

impl Evaluator {
    /// Begins with the state of an earlier run, or the default. Open notices of rules that had another meaning then
    /// are resolved: those about stations by the first snapshot, those about the feed by the first
    /// [`step`](Self::step).
    pub fn new(setting: Setting, mut state: SavedState) -> Self {
        state.keep_rules(&setting.rules);
        let rules = setting.rules.rules.iter();
        let unchecked = rules.map(|rule| (rule.name.clone(), Meaning::of(rule)));
        let unchecked = unchecked.collect();
        let known = state.system.as_deref().map(SystemId::from);
        Self {
            system: known.or(setting.system.clone()),
            selections: vec![Selection::default(); setting.rules.rules.len()],
            setting,
            zone: None,
            names: BTreeMap::new(),
            state,
            unchecked,
            dropped: 0,
        }
    }

    /// Takes the system and its stations: before the first snapshot, and again when the ids, names or short names
    /// of the list have changed. Returns a sentence for each station that a rule names and that is not among them.
    pub fn name_stations(&mut self, system: &System, stations: &[Station]) -> Vec<String> {
        self.system = Some(system.id.clone());
        self.state.system = Some(system.id.to_string());
        self.zone = Some(system.zone());
        let named = stations.iter();
        let named = named.filter_map(|it| Some((it.id.clone(), it.name.clone()?)));
        self.names = named.collect();
        let rules = &self.setting.rules.rules;
        let select = |rule: &Rule| Selection::of(rule.stations.as_deref(), stations);
        self.selections = rules.iter().map(select).collect();
        let mut sentences = Vec::new();
        for (rule, selection) in rules.iter().zip(&self.selections) {
            if rule.is_about(Some(system.id.as_str())) {
                sentences.extend(selection.unmatched.iter().map(|text| {
                    format!(
                        "rule {}: no station has the id or the name {text:?}",
                        rule.name
                    )
                }));
            }
        }
        sentences
    }

    /// Returns the state that the next run begins with.
    pub fn state(&self) -> &SavedState {
        &self.state
    }

    /// Takes the notices that earlier calls of [`step`](Self::step) yielded. They are in the state until
    /// then, so that a caller that keeps the state first, and passes them on afterwards, loses none.
    pub fn take_unsent(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.state.unsent)
    }

    /// Takes the number of notices that were dropped since the last call, because too many were unsent.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Changes the longest time between two snapshots that is no gap.
    pub fn set_max_gap(&mut self, max_gap: SignedDuration) {
        self.setting.max_gap = max_gap;
    }

    /// Evaluates the rules. `at` is the time of the poll. Adds the notices that follow to those that are
    /// unsent.
    pub fn step(&mut self, at: Timestamp, event: Event<'_>) {
        self.note_changed();
        self.resolve_replaced(at, event);
        let is_after_gap = self.note_poll(at, event);
        let rules = Arc::clone(&self.setting.rules);
        for (index, rule) in rules.rules.iter().enumerate() {
            if !rule.is_about(self.system.as_ref().map(SystemId::as_str)) {
                continue;
            }
            match (rule.when, event) {
                (When::FeedMoved, Event::Moved { text }) => self.add_moved(rule, at, text),
                (_, Event::Moved { .. }) | (When::FeedMoved, _) => {}
                (When::FeedDown { after } | When::FeedStale { after }, _) => {
                    self.add_feed(rule, at, after, event);
                }
                (When::StationsChanged, Event::Snapshot { taken_at, stations }) => {
                    self.add_list(index, rule, taken_at, stations, is_after_gap);
                }
                (when, Event::Snapshot { .. }) if when.is_likely() && self.is_paused() => {}
                (_, Event::Snapshot { taken_at, stations }) if rule.combine == Combine::Each => {
                    self.add_each(index, rule, taken_at, stations, is_after_gap);
                }
                (_, Event::Snapshot { taken_at, stations }) => {
                    self.add_group(index, rule, taken_at, stations, is_after_gap);
                }
                _ => {}
            }
        }
    }

    /// Returns whether forecasts do not begin with the newest snapshot.
    fn is_paused(&self) -> bool {
        let forecasts = self.setting.forecasts.as_ref().zip(self.system.as_ref());
        forecasts.is_some_and(|(forecasts, system)| forecasts.is_paused(system))
    }

    /// Notes the times of a poll. Returns whether a snapshot comes after a gap.
    fn note_poll(&mut self, at: Timestamp, event: Event<'_>) -> bool {
        let state = &mut self.state;
        match event {
            Event::Moved { .. } => false,
            Event::Failed { .. } => {
                // Polls that were not made, because no program ran, have not failed.
                let last = state.last_success;
                let last = last.filter(|it| at.duration_since(*it) <= self.setting.max_gap);
                state.failing_since.get_or_insert(last.unwrap_or(at));
                false
            }
            Event::Unchanged | Event::Snapshot { .. } => {
                state.failing_since = None;
                state.last_success = Some(at);
                let Event::Snapshot { taken_at, .. } = event else {
                    return false;
                };
                let last = state.last_snapshot.replace(taken_at);
                last.is_some_and(|it| taken_at.duration_since(it) > self.setting.max_gap)
            }
        }
    }

    fn add_moved(&mut self, rule: &Rule, at: Timestamp, text: &str) {
        let text = sentence::without_queries(text);
        let values = Values {
            moved: Some(text.clone()),
            ..Values::default()
        };
        let step = Step {
            state: NoticeState::Event,
            since: at,
            until: None,
            came_true: false,
        };
        self.push(About::new(rule, FEED), step, at, text, values);
    }

    /// Evaluates a rule about the feed itself.
    fn add_feed(&mut self, rule: &Rule, at: Timestamp, after: SignedDuration, event: Event<'_>) {
        let is_down = matches!(rule.when, When::FeedDown { .. });
        let since = match is_down {
            true => self.state.failing_since,
            false => self.state.last_snapshot,
        };
        let age = since.map(|since| at.duration_since(since));
        let holds = age.is_some_and(|age| is_down || age >= after);
        if !holds && matches!(event, Event::Failed { .. }) {
            // A poll that fails is no evidence that the feed is up to date.
            return;
        }
        let sample = Sample {
            at,
            holds,
            since: since.filter(|_| is_down || age >= Some(after)),
            is_after_gap: false,
            came_true: false,
        };
        let Some(step) = self.track(rule, FEED, sample) else {
            return;
        };
        let lasted = sentence::length(step.until.unwrap_or(at).duration_since(step.since));
        let text = match (is_down, step.state) {
            (true, NoticeState::Resolved) => {
                format!("polls succeed again; they failed for {lasted}")
            }
            (true, _) => format!("no poll has succeeded for {lasted}"),
            (false, NoticeState::Resolved) => {
                format!("the feed is up to date again; its states were not for {lasted}")
            }
            (false, _) => format!("the newest states of the feed are {lasted} old"),
        };
        let is_resolved = step.state == NoticeState::Resolved;
        let error = match event {
            Event::Failed { error } => Some(sentence::without_queries(error)),
            _ => None,
        };
        let values = Values {
            age_s: age
                .filter(|_| !is_down && !is_resolved)
                .map(|age| age.as_secs()),
            error,
            ..Values::default()
        };
        self.push(About::new(rule, FEED), step, at, text, values);
    }

    /// Evaluates a rule about the list of stations.
    fn add_list(
        &mut self,
        index: usize,
        rule: &Rule,
        at: Timestamp,
        stations: &Readings,
        is_after_gap: bool,
    ) {
        let selection = &self.selections[index];
        let ids = stations.keys().filter(|id| selection.contains(id));
        let ids: BTreeSet<StationId> = ids.cloned().collect();
        let state = self.state_of(rule);
        let Some(set) = &mut state.stations else {
            state.stations = Some(StationSet::new(ids));
            return;
        };
        let Some((change, since)) = set.add(&ids, at, is_after_gap, rule.hold) else {
            return;
        };
        let Difference { added, removed } = &change;
        let values = Values {
            count: Some(ids.len()),
            added_count: Some(added.len()),
            added: sentence::first(added),
            removed_count: Some(removed.len()),
            removed: sentence::first(removed),
            ..Values::default()
        };
        let step = Step {
            state: NoticeState::Event,
            since,
            until: None,
            came_true: false,
        };
        let text = sentence::of_change(&change);
        self.push(About::new(rule, LIST), step, at, text, values);
    }

    fn name_of(&self, id: &StationId) -> String {
        match self.names.get(id) {
            Some(name) => name.clone(),
            None => format!("station {id}"),
        }
    }

    /// Adds a reading to the track of a subject.
    fn track(&mut self, rule: &Rule, subject: &str, sample: Sample) -> Option<Step> {
        let timing = Timing {
            hold: rule.hold,
            repeat: rule.repeat,
        };
        let tracks = self.state.rules.get_mut(&rule.name);
        let mut track = tracks.and_then(|state| state.tracks.remove(subject));
        let step = Track::add(&mut track, sample, timing);
        if let Some(track) = track {
            let tracks = &mut self.state_of(rule).tracks;
            tracks.insert(subject.to_owned(), track);
        }
        step
    }

    /// Returns the state of a rule, to be changed.
    fn state_of(&mut self, rule: &Rule) -> &mut RuleState {
        let rules = &mut self.state.rules;
        rules
            .entry(rule.name.clone())
            .or_insert_with(|| RuleState::of(Meaning::of(rule)))
    }

    fn push(
        &mut self,
        about: About<'_>,
        step: Step,
        at: Timestamp,
        text: String,
        mut values: Values,
    ) {
        let written = |at: Timestamp| match &self.zone {
            Some(zone) => zone.rfc3339(at),
            None => at.to_string(),
        };
        let system = self.system.as_ref();
        let system = system.map_or(self.setting.address.as_str(), SystemId::as_str);
        values.until = step.until.map(written);
        if step.state == NoticeState::Resolved {
            values.ending.get_or_insert(match step.came_true {
                true => Ending::CameTrue,
                false => Ending::Over,
            });
        }
        let id = Notice::id_of(
            system,
            about.rule,
            about.subject,
            step.state,
            &at.to_string(),
            &text,
        );
        let station = about
            .is_station
            .then(|| self.names.get(&StationId::from(about.subject)).cloned());
        if self.state.unsent.len() >= MAX_UNSENT {
            self.state.unsent.remove(0);
            self.dropped += 1;
        }
        self.state.unsent.push(Notice {
            id,
            rule: about.rule.to_owned(),
            when: about.when.to_owned(),
            system: system.to_owned(),
            subject: about.subject.to_owned(),
            name: station.flatten(),
            state: step.state,
            since: written(step.since),
            at: written(at),
            text,
            values,
        });
    }
}
