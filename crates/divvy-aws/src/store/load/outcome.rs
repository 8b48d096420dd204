//! The entries and totals after a load.

use std::collections::BTreeSet;

use divvy::issue::Reason;
use divvy::model::StationId;
use divvy::store::{LedgerEntry, StoreError};
use divvy::tally::{Tally, Totals};

use super::resolve::ResolvedLoad;
use crate::ledger::{
    Archive, ArchiveSections, Obsolete, ObsoleteSections, SectionOwner, SectionRef,
};
use crate::store::copies::Copies;
use crate::store::duplicates;

/// An archive that changes, with its totals.
pub(super) struct ChangedArchive {
    pub(super) archive: Archive,
    pub(super) totals: Totals,
}

/// The entries and totals after a load.
pub(super) struct Outcome {
    /// Archives that stay and whose stored copies change.
    pub(super) others: Vec<ChangedArchive>,
    /// The same archives before the load.
    before: Vec<Archive>,
    /// The incoming archive. Not committed where an archive is unloaded.
    pub(super) incoming: ChangedArchive,
    /// The origins of trips of superseded archives.
    pub(super) superseded_origins: BTreeSet<StationId>,
    /// The totals over all archives.
    pub(super) totals: Totals,
}

impl Outcome {
    /// Computes the entries and totals. Writes the duplicates of other archives under the
    /// generation of the load.
    pub(super) async fn compute(load: &ResolvedLoad<'_>) -> Result<Self, StoreError> {
        let ResolvedLoad {
            resolution,
            archive,
            kept,
            superseded,
            ..
        } = load;
        let ledger = &load.lease.shared.ledger;
        let mut own = archive.totals.clone();
        let duplicates = resolution.duplicates.get(&kept.len());
        count(&mut [&mut own], duplicates, -1)?;
        let incoming = load.incoming_archive(duplicates.map_or(0, Copies::len), &own);

        // Without superseded archives the totals change by the changed copies; else they are added
        // up again from the archives that stay.
        let added_up = !superseded.is_empty();
        let mut totals = if added_up {
            Totals::default()
        } else {
            ledger
                .totals(SectionOwner::Store, load.state.totals)
                .await?
        };
        let mut others = Vec::new();
        let mut before = Vec::new();
        for (index, old) in kept.iter().enumerate() {
            let is_changed = resolution.changes(index);
            if !added_up && !is_changed {
                continue;
            }
            let content = old.content();
            let owner = SectionOwner::Archive(&content);
            let mut own = ledger.totals(owner, Some(old.sections.totals)).await?;
            let mut counted = vec![&mut own];
            if !added_up {
                counted.push(&mut totals);
            }
            count(&mut counted, resolution.demoted.get(&index), -1)?;
            count(&mut counted, resolution.promoted.get(&index), 1)?;
            if added_up {
                totals.merge(&own);
            }
            if is_changed {
                let archive = load.changed_archive(old, index, &own).await?;
                others.push(ChangedArchive {
                    archive,
                    totals: own,
                });
                before.push(old.clone());
            }
        }
        totals.merge(&own);
        let mut superseded_origins = BTreeSet::new();
        for old in superseded {
            let content = old.content();
            let owner = SectionOwner::Archive(&content);
            let own = ledger.totals(owner, Some(old.sections.totals)).await?;
            superseded_origins.extend(own.stations.origins());
        }
        Ok(Self {
            others,
            before,
            incoming: ChangedArchive {
                archive: incoming,
                totals: own,
            },
            superseded_origins,
            totals,
        })
    }

    /// Lists what the commit makes obsolete. `totals` are the earlier ones over all archives.
    pub(super) fn obsolete(&self, totals: Option<SectionRef>, superseded: &[Archive]) -> Obsolete {
        let changed = self.before.iter().zip(&self.others);
        let changed = changed.map(|(before, now)| ObsoleteSections {
            content: before.content(),
            before: before.sections,
            now: now.archive.sections,
        });
        let removed = superseded.iter().map(|old| ObsoleteSections {
            content: old.content(),
            before: old.sections,
            now: ArchiveSections::default(),
        });
        Obsolete {
            totals,
            archives: changed.chain(removed).collect(),
        }
    }
}

impl ResolvedLoad<'_> {
    /// Makes the incoming archive, without its sections.
    fn incoming_archive(&self, duplicates: u64, totals: &Totals) -> Archive {
        let archive = &self.archive;
        let mut incoming = Archive {
            entry: LedgerEntry {
                id: archive.id.clone(),
                sequence: self.state.next_sequence,
                loaded_at: archive.loaded_at,
                rows_read: archive.rows_read,
                stored: 0,
                rejected: archive.rejected.clone(),
                flagged: Default::default(),
                skipped: archive.skipped.clone(),
                forced_from: archive.forced_from.clone(),
            },
            members: archive.members.clone(),
            sections: ArchiveSections::default(),
            ids: None,
            duplicates,
        };
        set_counts(&mut incoming, totals);
        incoming
    }

    /// Makes the changed archive of one that stays; writes its duplicates.
    async fn changed_archive(
        &self,
        old: &Archive,
        index: usize,
        totals: &Totals,
    ) -> Result<Archive, StoreError> {
        let copies = &self.resolution.duplicates[&index];
        let put =
            duplicates::put_duplicates(self.lease.shared, &old.content(), self.generation, copies)
                .await?;
        let mut archive = old.clone();
        archive.sections.duplicates = put;
        archive.duplicates = copies.len();
        set_counts(&mut archive, totals);
        Ok(archive)
    }
}

/// Adds copies to totals, `times` each.
fn count(
    totals: &mut [&mut Totals],
    copies: Option<&Copies>,
    times: i64,
) -> Result<(), StoreError> {
    for rows in copies.into_iter().flat_map(Copies::chunks) {
        let rows = rows?;
        for totals in &mut *totals {
            totals.count(&rows.batch, times);
        }
    }
    Ok(())
}

/// Sets the counts of an entry to those of the totals of its stored trips.
pub(in crate::store) fn set_counts(archive: &mut Archive, totals: &Totals) {
    archive.entry.stored = totals.trips.try_into().unwrap_or(0);
    archive.entry.flagged = totals.flags.clone();
    match archive.duplicates {
        0 => archive.entry.rejected.remove(&Reason::Duplicate),
        n => archive.entry.rejected.insert(Reason::Duplicate, n),
    };
}
