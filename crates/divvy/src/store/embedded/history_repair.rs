//! Repairs the history of states.
//!
//! What is damaged is taken out of the history with its snapshots, so that the rest is exact and what is
//! missing is a gap. A part that no row names is named again if it fits between the others; any other
//! file is moved aside.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_128;

use super::catalog::{self, Moment, PartRow};
use super::error::io_error;
use super::folder;
use super::history::{ANY_NUMBER, read_part};
use super::shared::Shared;
use super::verify;
use crate::history::{SnapshotEntry, States, apply_change, part_file};
use crate::model::{System, SystemId};
use crate::numerals::plural;
use crate::store::StoreError;

/// Repairs the history of all systems, within the transaction of the caller. `lost_changes`: damaged
/// changes that are in no part have been removed. Returns what was done; a dry run moves no file.
pub(super) fn repair_history(
    shared: &Shared,
    catalog: &Connection,
    systems: &[System],
    lost_changes: bool,
    dry_run: bool,
) -> Result<Vec<String>, StoreError> {
    let mut repair = HistoryRepair {
        shared,
        catalog,
        dry_run,
        moved: BTreeSet::new(),
        done: Vec::new(),
    };
    let parts_are_whole = repair.remove_damaged_parts()?;
    let named = catalog::history_parts(catalog, None)?.into_iter();
    let mut named: BTreeSet<String> = named.map(|part| part.path).collect();
    named.extend(catalog::leftovers(catalog)?);
    // A dry run leaves them where they are.
    named.append(&mut repair.moved);
    for path in folder::unnamed_history(&shared.root, &named)? {
        let part = repair.part_of(&path, systems);
        match part.filter(|_| parts_are_whole) {
            Some(part) if repair.fits(&part)? => repair.name_again(&part)?,
            _ if shared.root.join(&path).exists() => {
                repair.move_aside(&path, "it is in no ledger")?
            }
            _ => {}
        }
    }
    for system in systems {
        repair.restore_states(&system.id, lost_changes)?;
    }
    Ok(repair.done)
}

struct HistoryRepair<'a> {
    shared: &'a Shared,
    catalog: &'a Connection,
    dry_run: bool,
    /// The damaged files that were moved aside.
    moved: BTreeSet<String>,
    done: Vec<String>,
}

/// Numbers and times of the first and the last snapshot.
type Span = ((u64, u64), (Timestamp, Timestamp));

impl HistoryRepair<'_> {
    /// Removes the parts whose files are not what was written, with their snapshots: the states of these
    /// are lost. Returns whether there were none.
    fn remove_damaged_parts(&mut self) -> Result<bool, StoreError> {
        let parts = catalog::history_parts(self.catalog, None)?;
        let faulty = |part: &&PartRow| verify::part_fault(&self.shared.root, part).is_some();
        let faulty: Vec<&PartRow> = parts.iter().filter(faulty).collect();
        for part in &faulty {
            let (first, last) = part.snapshots;
            catalog::delete_snapshots(self.catalog, &part.system, first, last + 1)?;
            catalog::delete_part(self.catalog, &part.path)?;
            self.done.push(format!(
                "{}: {} of states lost, from {} to {}",
                part.path,
                plural(part.rows as i64, "change"),
                part.times.0,
                part.times.1
            ));
            if self.shared.root.join(&part.path).exists() {
                self.move_aside(&part.path, "it is not what was written")?;
            }
        }
        Ok(faulty.is_empty())
    }

    /// Renames a file, so that neither this program nor another engine reads it.
    fn move_aside(&mut self, path: &str, why: &str) -> Result<(), StoreError> {
        let from = self.shared.root.join(path);
        let names = (1..).map(|n| match n {
            1 => format!("{path}.aside"),
            n => format!("{path}.aside-{n}"),
        });
        let mut free = names.filter(|name| !self.shared.root.join(name).exists());
        let name = free.next().expect("there are names without end");
        if !self.dry_run {
            let to = self.shared.root.join(&name);
            std::fs::rename(&from, &to).map_err(|e| io_error("move to", &to, e))?;
            let changed: [PathBuf; 2] = [from, to];
            folder::sync_names(&self.shared.root, changed.iter().map(PathBuf::as_path))?;
        }
        self.moved.insert(path.to_owned());
        self.done.push(format!("{path} moved to {name}: {why}"));
        Ok(())
    }

    /// Reads a file as a part of one of the systems. `None` if it is not one.
    fn part_of(&self, path: &str, systems: &[System]) -> Option<PartRow> {
        let id = path.split('/').nth(1)?;
        let system = systems.iter().find(|system| system.id.as_str() == id)?;
        let file = self.shared.root.join(path);
        let bytes = std::fs::read(&file).ok()?;
        let hash = xxh3_128(&bytes);
        let changes = part_file::read(bytes.into(), None).ok()?;
        let by_number = |change: &&crate::history::StateChange| change.snapshot;
        let first = changes.iter().min_by_key(by_number)?;
        let last = changes.iter().max_by_key(by_number)?;
        Some(PartRow {
            path: path.to_owned(),
            system: system.id.clone(),
            rows: changes.len() as u64,
            snapshots: (first.snapshot, last.snapshot),
            times: (first.taken_at, last.taken_at),
            hash,
        })
    }

    /// Returns whether a part is before or after each of the others, by numbers and by times.
    fn fits(&self, part: &PartRow) -> Result<bool, StoreError> {
        let others = catalog::history_parts(self.catalog, Some(&part.system))?;
        let mut spans: Vec<Span> = others
            .iter()
            .map(|other| (other.snapshots, other.times))
            .collect();
        if let Some((first, first_at)) = catalog::first_recent(self.catalog, &part.system)? {
            spans.push(((first, ANY_NUMBER), (first_at, Timestamp::MAX)));
        }
        let is_apart = |(numbers, times): &Span| {
            (numbers.1 < part.snapshots.0 && times.1 <= part.times.0)
                || (numbers.0 > part.snapshots.1 && times.0 >= part.times.1)
        };
        Ok(spans.iter().all(is_apart))
    }

    /// Adds a part to the catalog, and those of its snapshots that the catalog lacks.
    fn name_again(&mut self, part: &PartRow) -> Result<(), StoreError> {
        let parts = catalog::history_parts(self.catalog, Some(&part.system))?;
        let earlier = parts.iter().rev();
        let mut earlier = earlier.filter(|other| other.snapshots.0 < part.snapshots.0);
        let before = match earlier.next() {
            Some(earlier) => self.states_after(earlier)?,
            None => States::new(),
        };
        catalog::put_part(self.catalog, part, &before)?;
        let changes = read_part(self.shared, part, None)?;
        let snapshots = changes.iter().map(|it| (it.snapshot, it.taken_at));
        for (number, taken_at) in BTreeSet::from_iter(snapshots) {
            let entry = SnapshotEntry {
                number,
                taken_at,
                fetched_at: None,
                stations: None,
            };
            catalog::put_snapshot_unless_there(self.catalog, &part.system, &entry)?;
        }
        let changes = plural(part.rows as i64, "change");
        self.done.push(format!(
            "{}: {changes} of states are in the history again",
            part.path
        ));
        Ok(())
    }

    /// Returns the states after the last change of a part.
    fn states_after(&self, part: &PartRow) -> Result<States, StoreError> {
        let mut states = catalog::states_before_part(self.catalog, &part.path)?;
        for change in read_part(self.shared, part, None)? {
            apply_change(&mut states, change);
        }
        Ok(states)
    }

    /// Rebuilds the states before and after the changes that are in no part. Where such changes were
    /// lost, the rest of them is removed with their snapshots.
    fn restore_states(&mut self, system: &SystemId, lost_changes: bool) -> Result<(), StoreError> {
        let (catalog, id) = (self.catalog, system);
        let recent = catalog::first_recent(catalog, id)?;
        let parts = catalog::history_parts(catalog, Some(id))?;
        if recent.is_none() && parts.is_empty() && !lost_changes {
            return Ok(());
        }
        let after_parts = || match parts.last() {
            Some(last) => self.states_after(last),
            None => Ok(States::new()),
        };
        if !catalog::has_states(catalog, id, Moment::Before)? && !parts.is_empty() {
            catalog::put_states(catalog, id, Moment::Before, &after_parts()?)?;
        }
        if !catalog::has_states(catalog, id, Moment::Latest)? {
            let mut latest = catalog::states(catalog, id, Moment::Before)?;
            for change in catalog::last_changes(catalog, id)? {
                apply_change(&mut latest, change);
            }
            catalog::put_states(catalog, id, Moment::Latest, &latest)?;
        }
        if lost_changes {
            let end = parts.last().map_or(0, |last| last.snapshots.1);
            catalog::delete_snapshots(catalog, id, end + 1, ANY_NUMBER)?;
            catalog::delete_recent(catalog, id, ANY_NUMBER)?;
            let latest = catalog::states(catalog, id, Moment::Latest)?;
            catalog::put_states(catalog, id, Moment::Before, &latest)?;
            self.done.push(format!(
                "{id}: the history of states after snapshot {end} removed: rows of it were lost"
            ));
        }
        Ok(())
    }
}
