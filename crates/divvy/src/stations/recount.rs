//! Which counts of FromStationCounts a change makes outdated.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, FromStationCount};
use crate::model::{StationId, SystemId};

/// An id that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// The system.
    pub system: SystemId,
    /// The id as the trips use it.
    pub id: StationId,
    /// Why: one sentence.
    pub why: String,
}

/// What a refresh did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Changes read, including those of the report time alone.
    pub changes: u64,
    /// Stations of the other changes.
    pub stations: u64,
    /// Ids of these stations that were counted again.
    pub recounted: u64,
    /// Ids of these stations whose count was up to date.
    pub skipped: u64,
    /// Ids of these stations that could not be counted, and keep their stored count.
    pub uncounted: Vec<Uncounted>,
}

impl Refreshed {
    /// Adds the numbers of another refresh.
    pub fn add(&mut self, other: Self) {
        self.changes += other.changes;
        self.stations += other.stations;
        self.recounted += other.recounted;
        self.skipped += other.skipped;
        self.uncounted.extend(other.uncounted);
    }

    /// Returns whether a change concerns an id that could not be counted.
    pub(crate) fn is_held_by(&self, change: &Change) -> bool {
        !change.report_time_only
            && self.uncounted.iter().any(|uncounted| {
                uncounted.system == change.system
                    && change.station.counted_ids().contains(&uncounted.id)
            })
    }
}

/// Which counts changes make outdated.
#[derive(Clone, Debug, Default)]
pub struct RefreshPlan {
    /// The numbers of changes, stations and skipped ids; nothing has been recounted yet.
    pub refreshed: Refreshed,
    /// For each change, the ids to count again. Each id is listed once, at the first change that
    /// concerns it.
    pub outdated: Vec<Vec<OutdatedCount>>,
}

/// An id to count again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutdatedCount {
    /// The id as the trips use it.
    pub id: StationId,
    /// The newest version of its trips among the changes.
    pub version: Option<u64>,
    /// The index of the last change of that version.
    pub change_index: usize,
}

/// The ids that changes concern, by system.
pub struct Requests<'a> {
    changes: usize,
    stations: usize,
    by_system: BTreeMap<&'a SystemId, BTreeMap<StationId, Request>>,
}

/// One id that changes concern.
struct Request {
    first_change: usize,
    newest: OutdatedCount,
}

impl<'a> Requests<'a> {
    /// Lists the ids of changes. Changes of a report time alone concern none.
    pub fn of(changes: &'a [Change]) -> Self {
        let mut stations: BTreeSet<(&SystemId, &StationId)> = BTreeSet::new();
        let mut by_system: BTreeMap<_, BTreeMap<_, Request>> = BTreeMap::new();
        for (change_index, change) in changes.iter().enumerate() {
            if change.report_time_only {
                continue;
            }
            stations.insert((&change.system, &change.station.id));
            let requests = by_system.entry(&change.system).or_default();
            for id in change.station.counted_ids() {
                let count = OutdatedCount {
                    id: id.clone(),
                    version: change.station.trips_version,
                    change_index,
                };
                let request = requests.entry(id).or_insert_with(|| Request {
                    first_change: change_index,
                    newest: count.clone(),
                });
                if request.newest.version <= count.version {
                    request.newest = count;
                }
            }
        }
        Self {
            changes: changes.len(),
            stations: stations.len(),
            by_system,
        }
    }

    /// Lists the systems, each with its ids.
    pub fn ids(&self) -> impl Iterator<Item = (&'a SystemId, Vec<StationId>)> {
        let systems = self.by_system.iter();
        systems.map(|(system, ids)| (*system, ids.keys().cloned().collect()))
    }

    /// Compares the requested versions with those of the stored counts.
    pub fn plan<'c>(
        self,
        stored: impl Fn(&'a SystemId, &StationId) -> Option<&'c FromStationCount>,
    ) -> RefreshPlan {
        let mut plan = RefreshPlan {
            refreshed: Refreshed {
                changes: self.changes as u64,
                stations: self.stations as u64,
                ..Refreshed::default()
            },
            outdated: vec![Vec::new(); self.changes],
        };
        for (system, requests) in self.by_system {
            for (id, request) in requests {
                let is_outdated = stored(system, &id)
                    .is_none_or(|count| count.trips_version < request.newest.version);
                if is_outdated {
                    plan.outdated[request.first_change].push(request.newest);
                } else {
                    plan.refreshed.skipped += 1;
                }
            }
        }
        plan
    }
}
