//! A load in three phases: resolve its duplicates, write, publish.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use divvy::issue::RejectSink;
use divvy::model::StationId;
use divvy::store::{ArchiveRead, LedgerEntry, StoreError};

use super::lease::{Lease, LoadRequest};
use super::outcome::Outcome;
use super::resolve::{Resolved, ResolvedLoad, resolve};
use super::{Done, changed_meanwhile, obsolete};
use crate::ledger::{
    Archive, ArchiveChanges, Commit, SectionKind, SectionOwner, SectionRef, encode_ids,
};
use crate::store::duplicates;
use crate::store::layout;
use crate::store::spool::SpooledRows;
use crate::tables::Layout;

/// Loads or unloads an archive.
pub(super) async fn commit(
    lease: &Lease<'_>,
    request: &LoadRequest,
    archive: ArchiveRead,
    mut rows: SpooledRows,
    rejects: &dyn RejectSink,
) -> Result<Done, StoreError> {
    match resolve(lease, request, archive, &mut rows).await? {
        Resolved::Already(entry) => Ok(Done::Already(entry.map(|entry| *entry))),
        Resolved::New(load) => {
            let written = load.write(&mut rows).await?;
            Ok(Done::Committed(written.publish(rejects).await?))
        }
    }
}

/// A load whose trips and sections are written under its generation.
struct WrittenLoad<'a> {
    load: ResolvedLoad<'a>,
    outcome: Outcome,
    /// The totals over all archives.
    totals: SectionRef,
}

impl<'a> ResolvedLoad<'a> {
    /// Writes trips and sections.
    async fn write(self, rows: &mut SpooledRows) -> Result<WrittenLoad<'a>, StoreError> {
        let shared = self.lease.shared;
        let is_rows = shared.tables.trip_data.layout == Layout::Rows;
        let mut outcome = Outcome::compute(&self).await?;
        if is_rows {
            // From here on stored copies may be overwritten.
            let demoted = self.resolution.demoted.keys();
            let set_aside: Vec<String> = demoted.map(|index| self.kept[*index].content()).collect();
            self.lease.update(|load| load.set_aside = set_aside).await?;
        }
        let ids = encode_ids(rows.ids());
        // Two tables, each with its own capacity.
        let (keys, sections) = tokio::try_join!(
            self.write_trips(rows, &outcome),
            self.write_sections(&outcome, &ids),
        )?;
        let totals = sections.totals;
        sections.assign(&mut outcome, rows);
        if !is_rows {
            self.write_keys(&mut outcome, keys).await?;
        }
        if is_rows {
            self.lease.wait_for_late_requests().await;
        }
        let done = self.lease.done.load(Ordering::Relaxed);
        let changes = self.archive_changes(&outcome);
        self.lease
            .update(|load| {
                load.done = done;
                load.is_ending = true;
                load.changes = Some(changes);
            })
            .await?;
        Ok(WrittenLoad {
            load: self,
            outcome,
            totals,
        })
    }

    /// Writes tallies, ids and duplicates.
    async fn write_sections(
        &self,
        outcome: &Outcome,
        ids: &[u8],
    ) -> Result<WrittenSections, StoreError> {
        let shared = self.lease.shared;
        let ledger = &shared.ledger;
        let generation = self.generation;
        let mut others = Vec::with_capacity(outcome.others.len());
        for other in &outcome.others {
            let content = other.archive.content();
            let owner = SectionOwner::Archive(&content);
            others.push(ledger.put_totals(owner, generation, &other.totals).await?);
        }
        let content = outcome.incoming.archive.content();
        let owner = SectionOwner::Archive(&content);
        let mut written = WrittenSections {
            others,
            ..WrittenSections::default()
        };
        if self.request.unloads.is_none() {
            let totals = &outcome.incoming.totals;
            written.incoming_totals = ledger.put_totals(owner, generation, totals).await?;
        }
        written.totals = ledger
            .put_totals(SectionOwner::Store, generation, &outcome.totals)
            .await?;
        if !ids.is_empty() {
            let put = ledger.put_section(owner, SectionKind::Ids, generation, ids);
            written.ids = put.await?;
        }
        let duplicates = self.resolution.duplicates.get(&self.kept.len());
        if let Some(copies) = duplicates.filter(|copies| copies.len() > 0) {
            written.duplicates =
                duplicates::put_duplicates(shared, &content, generation, copies).await?;
        }
        Ok(written)
    }

    /// In the packed layout: writes new blocks of other archives whose stored copies change, and the
    /// lists of keys. `incoming` are the keys of the incoming archive.
    async fn write_keys(
        &self,
        outcome: &mut Outcome,
        incoming: Vec<String>,
    ) -> Result<(), StoreError> {
        let changed = (0..self.kept.len()).filter(|index| self.resolution.changes(*index));
        for (index, other) in changed.zip(&mut outcome.others) {
            let keys = layout::repack(
                self.lease.shared,
                &self.kept[index],
                self.generation,
                self.resolution.demoted.get(&index),
                self.resolution.promoted.get(&index),
            )
            .await?;
            other.archive.sections.keys = self.put_keys(&other.archive, &keys).await?;
        }
        if self.request.unloads.is_none() {
            let archive = &mut outcome.incoming.archive;
            archive.sections.keys = self.put_keys(archive, &incoming).await?;
        }
        Ok(())
    }

    async fn put_keys(&self, archive: &Archive, keys: &[String]) -> Result<SectionRef, StoreError> {
        let bytes = encode_ids(keys.iter().map(String::as_bytes));
        let content = archive.content();
        let owner = SectionOwner::Archive(&content);
        let ledger = &self.lease.shared.ledger;
        ledger
            .put_section(owner, SectionKind::Keys, self.generation, &bytes)
            .await
    }

    /// Returns how the commit will change the archives.
    fn archive_changes(&self, outcome: &Outcome) -> ArchiveChanges {
        let incoming = Some(&outcome.incoming).filter(|_| self.request.unloads.is_none());
        let changed = outcome.others.iter().chain(incoming);
        let put = changed.map(|changed| (changed.archive.content(), changed.archive.sections.keys));
        ArchiveChanges {
            put: put.collect(),
            delete: self.superseded.iter().map(Archive::content).collect(),
        }
    }

    /// Lists the origins whose trips change.
    fn changed_origins(&self, outcome: &Outcome) -> BTreeSet<StationId> {
        let mut origins = self.resolution.origins.clone();
        origins.extend(self.archive.totals.stations.origins());
        origins.extend(outcome.superseded_origins.iter().cloned());
        origins
    }
}

/// The written sections, without keys of blocks.
#[derive(Default)]
struct WrittenSections {
    /// The totals of each other archive that changes.
    others: Vec<SectionRef>,
    /// The totals over all archives.
    totals: SectionRef,
    /// The totals of the incoming archive.
    incoming_totals: SectionRef,
    /// The ids of the incoming archive.
    ids: SectionRef,
    /// The duplicates of the incoming archive.
    duplicates: SectionRef,
}

impl WrittenSections {
    /// Assigns the sections to the archives.
    fn assign(self, outcome: &mut Outcome, rows: &SpooledRows) {
        for (other, totals) in outcome.others.iter_mut().zip(self.others) {
            other.archive.sections.totals = totals;
        }
        let incoming = &mut outcome.incoming.archive;
        incoming.sections.totals = self.incoming_totals;
        incoming.sections.ids = self.ids;
        incoming.sections.duplicates = self.duplicates;
        incoming.ids = rows.range().map(|(first, last)| {
            let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
            (text(first), text(last))
        });
    }
}

impl WrittenLoad<'_> {
    /// Makes the load current: new versions for the stations, then the transaction. Deletes what is
    /// obsolete. Returns the entry of the loaded or unloaded archive.
    async fn publish(self, rejects: &dyn RejectSink) -> Result<LedgerEntry, StoreError> {
        let Self {
            load,
            outcome,
            totals,
        } = self;
        let shared = load.lease.shared;
        let ledger = &shared.ledger;
        let unloads = load.request.unloads.is_some();
        let owner = load.lease.record().await.owner;
        let mut state = load.state.clone();
        let earlier_totals = state.totals;
        state.pending_totals = Some(totals);
        if !ledger.put_state(&state, &owner).await? {
            return Err(changed_meanwhile(&load.request.archive));
        }
        let origins = load.changed_origins(&outcome);
        shared.trips_changed(&origins, &outcome.totals).await?;

        state.pending_totals = None;
        state.totals = Some(totals);
        state.next_sequence += u64::from(!unloads);
        state.last_generation = load.generation;
        let obsolete = outcome.obsolete(earlier_totals, &load.superseded);
        let mut put: Vec<&Archive> = outcome.others.iter().map(|other| &other.archive).collect();
        if !unloads {
            put.push(&outcome.incoming.archive);
        }
        let commit = Commit {
            state: &state,
            put,
            delete: load.superseded.iter().map(Archive::content).collect(),
            obsolete: &obsolete,
        };
        load.lease.close().await;
        if !ledger.commit(&owner, &commit).await? {
            // A commit that is repeated because its response was lost fails on its own state.
            let content = load.archive.id.content;
            let mut archives = ledger.archives().await?.into_iter();
            let is_loaded = archives.any(|loaded| loaded.entry.id.content == content);
            if is_loaded == unloads {
                return Err(changed_meanwhile(&load.request.archive));
            }
        }
        obsolete::delete(shared, &obsolete).await?;
        let members = &load.archive.members;
        let mut reject = |rejected| rejects.reject(rejected);
        load.resolution
            .visit_rejected(members, &load.kept, &mut reject)?;
        let changed = match load.superseded.into_iter().last() {
            Some(unloaded) if unloads => unloaded,
            _ => outcome.incoming.archive,
        };
        Ok(changed.entry)
    }
}
