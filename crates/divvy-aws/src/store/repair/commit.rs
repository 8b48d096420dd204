//! The commit of a repair.

use divvy::store::{FromStationCount, StoreError};

use super::Repair;
use super::mend::Mended;
use crate::ledger::{
    ArchiveChanges, ArchiveSections, Commit, LedgerTable, Obsolete, ObsoleteSections, SectionKind,
    SectionOwner, SectionRef, State,
};
use crate::store::load::lease::Lease;
use crate::store::load::{changed_meanwhile, obsolete};

impl Repair<'_> {
    /// Writes what was repaired and commits it.
    pub(super) async fn commit(
        &self,
        lease: &Lease<'_>,
        mut state: State,
        mended: Mended,
        counts: Vec<FromStationCount>,
    ) -> Result<(), StoreError> {
        let shared = lease.shared;
        let ledger = &shared.ledger;
        LedgerTable::refuse_too_many(mended.archives.len())?;
        let generation = state.newest_generation() + 1;
        lease
            .update(|load| {
                load.revision = state.revision;
                load.generation = generation;
            })
            .await?;
        let mut obsolete = Obsolete::default();
        let mut put = Vec::new();
        for (before, mut now) in mended.archives {
            let content = now.content();
            let owner = SectionOwner::Archive(&content);
            if let Some(totals) = mended.totals.get(&content) {
                now.sections.totals = ledger.put_totals(owner, generation, totals).await?;
            }
            if let Some(ids) = mended.ids.get(&content) {
                now.sections.ids = if ids.is_empty() {
                    SectionRef::default()
                } else {
                    let put = ledger.put_section(owner, SectionKind::Ids, generation, ids);
                    put.await?
                };
            }
            if before.sections != now.sections {
                obsolete.archives.push(ObsoleteSections {
                    content: content.clone(),
                    before: ArchiveSections {
                        keys: now.sections.keys,
                        ..before.sections
                    },
                    now: now.sections,
                });
            }
            put.push(now);
        }
        let before = state.totals;
        if mended.is_all_new {
            let put_totals = ledger.put_totals(SectionOwner::Store, generation, &mended.all);
            state.totals = Some(put_totals.await?);
            obsolete.totals = before;
        }
        let owner = lease.record().await.owner;
        // From here on counts are compared with the new totals, as at the end of a load.
        lease
            .update(|load| {
                load.is_ending = true;
                // The archives keep their trips and their lists of keys.
                load.changes = Some(ArchiveChanges::default());
            })
            .await?;
        let pending = State {
            totals: before,
            pending_totals: state.totals,
            ..state.clone()
        };
        let changed = || changed_meanwhile("divvy check --repair");
        if !ledger.put_state(&pending, &owner).await? {
            return Err(changed());
        }
        self.put_counts(&state.system.id, counts, &mended.all)
            .await?;
        state.last_generation = generation;
        let commit = Commit {
            state: &state,
            put: put.iter().collect(),
            delete: Vec::new(),
            obsolete: &obsolete,
        };
        lease.close().await;
        if !ledger.commit(&owner, &commit).await? {
            // A commit that is repeated because its response was lost fails on its own state.
            let now = self.state().await?;
            if now.last_generation != generation || now.pending_totals.is_some() {
                return Err(changed());
            }
        }
        obsolete::delete(shared, &obsolete).await
    }
}
