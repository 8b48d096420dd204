//! The rules of a watch: each poll is evaluated, and its notices go to the outboxes of their targets.

mod metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Context;
use divvy::alarms::{Evaluator, Event, Forecasts, Notice, NoticeState, Readings, Rules, Setting};
use divvy::history::StationState;
use divvy::ingest::watch::{Outcome, PollReport, SystemWatch};
use divvy::ingest::{PollError, Polled};
use divvy::model::{Snapshot, SnapshotKind, StationId};
use divvy::reports::{SHORTEST_GAP, plural};
use divvy::store::{Applied, Store};
use jiff::{SignedDuration, Timestamp};

use super::gate::Gate;
use super::source::Source;
use crate::cmd::notices::{self, Delivery, Folder, Listener, Sender};
use crate::flags;
use crate::open::Common;
use crate::runtime::block_on;

/// The rules of all systems of a watch.
pub struct Alarms {
    rules: Arc<Rules>,
    folder: Folder,
    /// In the order of the arguments.
    systems: Vec<Mutex<SystemAlarms>>,
    /// The ids of systems of which a snapshot has come, by the index of their argument.
    known: Mutex<BTreeMap<usize, String>>,
    /// In the order of the file.
    deliveries: Vec<Delivery>,
    /// Notices by rule and state.
    counts: Mutex<BTreeMap<(String, NoticeState), u64>>,
}

/// The rules of one system.
struct SystemAlarms {
    evaluator: Evaluator,
    /// The address that the user gave. Files of states are named by a hash of it.
    url: String,
    /// The stations of the last snapshot.
    listed: BTreeSet<StationId>,
    /// Sentences about names in rules, each of which is printed once.
    said: BTreeSet<String>,
}

impl Alarms {
    /// Reads the rules, and opens the folder with what earlier runs have left.
    ///
    /// `forecasts` are for rules about what is likely.
    ///
    /// # Errors
    ///
    /// The rules have a mistake, or need forecasts and there are none; a secret is missing; the folder cannot
    /// be opened, or another process holds it.
    pub fn open(
        rules_path: &Path,
        folder: &Path,
        watches: &[(&Source, &SystemWatch)],
        forecasts: Option<Arc<dyn Forecasts>>,
        common: &Common,
    ) -> anyhow::Result<Self> {
        let rules = notices::read_rules(rules_path)?;
        if forecasts.is_none() {
            notices::expect_no_forecasts(rules_path, &rules)?;
        }
        let senders = rules.targets.iter().map(Sender::new);
        let senders: Vec<Sender> = senders.collect::<anyhow::Result<_>>()?;
        let folder = Folder::open(folder)?;
        let mut deliveries = Vec::new();
        for (target, sender) in rules.targets.iter().zip(senders) {
            let outbox = folder.outbox(&target.name)?;
            if outbox.len() > 0 {
                let waiting = plural(outbox.len() as i64, "notice");
                common.say(format_args!(
                    "target {}: {waiting} of an earlier run waiting",
                    target.name
                ));
            }
            deliveries.push(Delivery::new(&target.name, outbox, sender));
        }
        say_of_removed_targets(&folder, &rules, common)?;
        let rules = Arc::new(rules);
        let mut systems = Vec::new();
        for (source, watch) in watches {
            let name = watch.name();
            let mut state = folder.read_state(&source.url)?.unwrap_or_default();
            let open = state.keep_rules(&rules);
            if open > 0 {
                common.say(format_args!(
                    "{} of rules that are no longer in the file will not be resolved",
                    plural(open as i64, "open notice")
                ));
            }
            let setting = Setting {
                rules: Arc::clone(&rules),
                max_gap: SHORTEST_GAP,
                forecasts: forecasts.clone(),
                // Its address, where no system is named.
                system: (name != source.url).then(|| name.as_str().into()),
                address: source.url.split('?').next().unwrap_or_default().to_owned(),
            };
            systems.push(Mutex::new(SystemAlarms {
                evaluator: Evaluator::new(setting, state),
                url: source.url.clone(),
                listed: BTreeSet::new(),
                said: BTreeSet::new(),
            }));
        }
        Ok(Self {
            rules,
            folder,
            systems,
            known: Mutex::default(),
            deliveries,
            counts: Mutex::default(),
        })
    }

    /// Starts a thread for each target, until the watch ends.
    ///
    /// # Errors
    ///
    /// There are too few threads.
    pub fn start<'scope, 'env>(
        &'scope self,
        scope: &'scope Scope<'scope, 'env>,
        gate: &'scope Gate,
        common: &'scope Common,
    ) -> anyhow::Result<()> {
        for delivery in &self.deliveries {
            let inside = gate.enter();
            let deliver = move || {
                let _inside = inside;
                delivery.run(&Listener {
                    goes_on_after: &|wait: Duration| gate.goes_on_after(wait),
                    // A notice that is being sent when the watch ends would be sent again at the next start.
                    begin_sending: &|| gate.begin_storing(),
                    say: &|sentence| common.say(sentence),
                    on_closed: &|| gate.stop(),
                });
            };
            let spawned = thread::Builder::new().spawn_scoped(scope, deliver);
            spawned.context("the system provides too few threads")?;
        }
        Ok(())
    }

    /// Evaluates the rules after a poll of the system with that index. Returns sentences to print.
    ///
    /// # Errors
    ///
    /// The state or the notices cannot be written. They are written after the next poll.
    pub fn add(
        &self,
        index: usize,
        watch: &SystemWatch,
        report: &PollReport,
        store: &dyn Store,
    ) -> anyhow::Result<Vec<String>> {
        let mut system = lock(&self.systems[index]);
        let mut sentences = Vec::new();
        system.evaluator.set_max_gap(max_gap(watch.interval()));
        let at = report.fetched_at;
        for text in &report.moved {
            system.evaluator.step(at, Event::Moved { text });
        }
        match &report.outcome {
            Outcome::Failed(error) => system.step_failed(at, error),
            Outcome::Unchanged => system.evaluator.step(at, Event::Unchanged),
            Outcome::Taken(polled) => {
                sentences = system.step_snapshot(at, polled, store)?;
                sentences.extend(self.note_system(index, polled.system.id.as_str()));
            }
        }
        self.pass_on(&mut system, &mut sentences)?;
        Ok(sentences)
    }

    /// Notes the system of an argument. When all are known, returns a sentence for each rule about a system that
    /// is not watched.
    fn note_system(&self, index: usize, id: &str) -> Vec<String> {
        let mut known = lock(&self.known);
        if known.insert(index, id.to_owned()).is_some() || known.len() < self.systems.len() {
            return Vec::new();
        }
        let rules = self.rules.rules.iter();
        let unwatched = rules.filter_map(|rule| {
            let system = rule.system.as_deref()?;
            let is_watched = known.values().any(|id| id == system);
            (!is_watched).then(|| format!("rule {}: no system {system} is watched", rule.name))
        });
        unwatched.collect()
    }

    /// Writes the state with the notices, then the notices to the outboxes of their targets, then the state
    /// without them. A process that is killed between passes them on when it starts again.
    fn pass_on(
        &self,
        system: &mut SystemAlarms,
        sentences: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let SystemAlarms { evaluator, url, .. } = system;
        let writing = "the state of alarms cannot be written";
        self.folder
            .write_state(url, evaluator.state())
            .context(writing)?;
        let unsent = &evaluator.state().unsent;
        if unsent.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        for delivery in &self.deliveries {
            let own: Vec<&Notice> = unsent
                .iter()
                .filter(|it| self.sends(it, &delivery.target))
                .collect();
            let moved = delivery.outbox.add(&own).unwrap_or_else(|error| {
                let context = format!("notices for {} cannot be written", delivery.target);
                failed.get_or_insert(anyhow::Error::new(error).context(context));
                0
            });
            if moved > 0 {
                let moved = plural(moved as i64, "notice");
                sentences.push(format!(
                    "target {}: too many notices wait: the oldest {moved} moved to the refused ones",
                    delivery.target
                ));
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let passed = evaluator.take_unsent();
        for delivery in &self.deliveries {
            delivery.outbox.forget_added(&passed);
        }
        let dropped = evaluator.take_dropped();
        if dropped > 0 {
            let dropped = plural(dropped as i64, "notice");
            sentences.push(format!("{dropped} lost: too many could not be written"));
        }
        let mut counts = lock(&self.counts);
        for notice in passed {
            *counts.entry((notice.rule, notice.state)).or_default() += 1;
        }
        drop(counts);
        self.folder
            .write_state(url, evaluator.state())
            .context(writing)
    }

    fn sends(&self, notice: &Notice, target: &str) -> bool {
        let mut rules = self.rules.rules.iter();
        let rule = rules.find(|rule| rule.name == notice.rule);
        // A rule that was removed since: all targets that there are.
        rule.is_none_or(|rule| rule.sends_to(target))
    }

    /// Counts the notices that wait for their targets.
    pub fn waiting(&self) -> usize {
        self.deliveries
            .iter()
            .map(|delivery| delivery.outbox.len())
            .sum()
    }
}

impl SystemAlarms {
    fn step_failed(&mut self, at: Timestamp, error: &PollError) {
        let error = &flags::message(error);
        self.evaluator.step(at, Event::Failed { error });
    }

    /// Evaluates a snapshot, unless its states are not newer than those of the last one. Another program may
    /// have stored it before. Returns what rules name and the system lacks.
    fn step_snapshot(
        &mut self,
        at: Timestamp,
        polled: &Polled,
        store: &dyn Store,
    ) -> anyhow::Result<Vec<String>> {
        let last = self.evaluator.state().last_snapshot();
        let is_newer = last.is_none_or(|last| polled.taken_at > last);
        let is_evaluated = match polled.applied {
            Applied::Accepted { .. } => true,
            Applied::Repeated => is_newer,
            Applied::Refused { .. } => false,
        };
        if let Applied::Refused { last, .. } = polled.applied {
            let zone = polled.system.zone();
            let error = &format!(
                "the states of {} are older than the last ones ({})",
                zone.rfc3339(polled.taken_at),
                zone.rfc3339(last)
            );
            self.evaluator.step(at, Event::Failed { error });
            return Ok(Vec::new());
        }
        if !is_evaluated || polled.snapshot.kind == SnapshotKind::Information {
            self.evaluator.step(at, Event::Unchanged);
            return Ok(Vec::new());
        }
        let stations = &readings(&polled.snapshot);
        let taken_at = polled.taken_at;
        let mut sentences = Vec::new();
        if !stations.keys().eq(&self.listed) {
            // Also those that have left the list have names.
            let known = match block_on(store.stations(&polled.system.id)) {
                Ok(known) => known,
                Err(error) => {
                    // The states count, with the names that are known.
                    self.evaluator
                        .step(at, Event::Snapshot { taken_at, stations });
                    return Err(error.into());
                }
            };
            sentences = self.evaluator.name_stations(&polled.system, &known);
            sentences.retain(|sentence| self.said.insert(sentence.clone()));
            self.listed = stations.keys().cloned().collect();
        }
        self.evaluator
            .step(at, Event::Snapshot { taken_at, stations });
        Ok(sentences)
    }
}

/// Returns how long a time between two snapshots may be without being a gap.
fn max_gap(interval: Duration) -> SignedDuration {
    let interval = SignedDuration::try_from(interval).unwrap_or(SHORTEST_GAP);
    SHORTEST_GAP.max(interval * 3 / 2)
}

fn readings(snapshot: &Snapshot) -> Readings {
    let stations = snapshot.stations.iter();
    let state = |station: &divvy::model::Station| {
        let state = StationState::of(station, snapshot.by_type.get(&station.id));
        (station.id.clone(), state)
    };
    stations.map(state).collect()
}

/// Prints how many notices wait for targets that the file does not have any more.
fn say_of_removed_targets(folder: &Folder, rules: &Rules, common: &Common) -> anyhow::Result<()> {
    for name in folder.targets()? {
        if rules.targets.iter().all(|target| target.name != name) {
            let waiting = folder.outbox(&name)?.len();
            if waiting > 0 {
                let waiting = plural(waiting as i64, "notice");
                common.say(format_args!(
                    "{waiting} for {name} will not be sent: the rules have no such target"
                ));
            }
        }
    }
    Ok(())
}

/// Returns the folder of alarms: the one that is named, else one in the store's folder.
///
/// # Errors
///
/// The store has no folder, and none is named.
pub fn folder(named: Option<&Path>, common: &Common) -> anyhow::Result<PathBuf> {
    const NAME: &str = "alarms";
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    match &common.store {
        crate::store_name::StoreName::Folder(folder) => Ok(folder.join(NAME)),
        _ => anyhow::bail!(
            "a store on DynamoDB has no folder: name one for the alarms with --alarms DIR"
        ),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
