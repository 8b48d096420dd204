//! Deleting what a commit has made obsolete.

use std::collections::BTreeSet;

use divvy::store::StoreError;

use crate::ledger::{Obsolete, ObsoleteSections, SectionKind, SectionOwner};
use crate::store::{Shared, layout};

/// Deletes obsolete blocks and sections. Two processes may do so at the same time: no key and no
/// generation is used twice.
pub(in crate::store) async fn delete(
    shared: &Shared,
    obsolete: &Obsolete,
) -> Result<(), StoreError> {
    if *obsolete == Obsolete::default() {
        return Ok(());
    }
    let ledger = &shared.ledger;
    for archive in &obsolete.archives {
        if archive.before.keys != archive.now.keys {
            delete_blocks(shared, archive).await?;
        }
        ledger.delete_sections(archive).await?;
    }
    ledger.delete_totals(obsolete.totals).await?;
    ledger.end_obsolete(obsolete).await
}

/// Deletes the blocks of an archive that are in its earlier list of keys only.
async fn delete_blocks(shared: &Shared, archive: &ObsoleteSections) -> Result<(), StoreError> {
    let owner = SectionOwner::Archive(&archive.content);
    let keys = |section| {
        shared
            .ledger
            .section_if_complete(owner, SectionKind::Keys, section)
    };
    let before = keys(archive.before.keys).await?;
    let now = keys(archive.now.keys).await?;
    // Where a list is missing, another process has deleted the blocks.
    let (Some(before), Some(now)) = (before, now) else {
        return Ok(());
    };
    let now: BTreeSet<String> = layout::decode_keys(&now)?.into_iter().collect();
    let before = layout::decode_keys(&before)?.into_iter();
    let obsolete = before.filter(|key| !now.contains(key));
    let deletes = obsolete.map(|key| layout::delete(&key)).collect();
    shared.trips.write_all(deletes).await
}
