//! The rules of a watch: each poll is evaluated, and its notices go to the outboxes of their targets.
//!
//! ```text
//!  open     rules, and the states and notices that earlier runs have left
//!  system   the polls of one system → events of its evaluator
//!  metrics  counters
//! ```

mod metrics;
mod open;
mod system;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Context;
use divvy::alarms::{Notice, NoticeState, Rules};
use divvy::ingest::watch::{Outcome, PollReport, SystemWatch};
use divvy::reports::plural;
use divvy::store::Store;

pub use open::folder;

use super::gate::Gate;
use super::lock::lock;
use crate::cmd::notices::{Delivery, Folder, Listener, refused_file};
use crate::open::Common;
use crate::runtime::block_on;
use system::SystemAlarms;

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

impl Alarms {
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
        let mut sentences = block_on(system.step(report, watch.interval(), store))?;
        if let Outcome::Taken(polled) = &report.outcome {
            sentences.extend(self.note_system(index, polled.system.id.as_str()));
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
                    "target {}: too many notices wait: the oldest {moved} moved to {}",
                    delivery.target,
                    refused_file(&delivery.target)
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
