//! Chunks that belong to no section: those of failed loads.

use std::collections::HashSet;

use divvy::store::StoreError;

use super::sections::chunk_key;
use super::{Archive, LedgerTable, SectionKind, SectionOwner, SectionRef, State, key, text_of};
use crate::pace::Key;

impl LedgerTable {
    /// Lists the keys of chunks that belong to no section: those of failed loads. Reads the whole
    /// table.
    pub(crate) async fn stray_chunks(
        &self,
        state: &State,
        archives: &[Archive],
    ) -> Result<Vec<Key>, StoreError> {
        let mut known: HashSet<(String, String)> = HashSet::new();
        let mut add = |owner: SectionOwner<'_>, kind, section: SectionRef| {
            let keys = (0..section.chunks).map(|n| chunk_key(kind, section, n));
            known.extend(keys.map(|key| (owner.key().to_owned(), key)));
        };
        for archive in archives {
            let content = archive.content();
            for (kind, section) in archive.sections.list() {
                add(SectionOwner::Archive(&content), kind, section);
            }
        }
        for totals in [state.totals, state.pending_totals].into_iter().flatten() {
            add(SectionOwner::Store, SectionKind::Totals, totals);
            add(SectionOwner::Store, SectionKind::Cube, totals.cube());
        }
        for obsolete in self.obsolete().await?.unwrap_or_default().archives {
            for (kind, section) in obsolete.before.list() {
                add(SectionOwner::Archive(&obsolete.content), kind, section);
            }
        }
        // The sections of an unfinished load belong to it.
        let unfinished = self.load().await?.map_or(0, |load| load.generation);
        let mut strays = Vec::new();
        let mut scan = self.table.scan();
        while let Some(items) = scan.next().await? {
            for item in &items {
                let archive = text_of(item, "archive").unwrap_or_default();
                let part = text_of(item, "part").unwrap_or_default();
                let Some(generation) = generation_of(part) else {
                    continue; // a record
                };
                let is_of_load = unfinished > 0 && generation == unfinished;
                if !is_of_load && !known.contains(&(archive.to_owned(), part.to_owned())) {
                    strays.push(key(archive, part));
                }
            }
        }
        Ok(strays)
    }
}

/// Reads the generation in the key of a chunk. `None` for other items.
fn generation_of(part: &str) -> Option<u64> {
    let (generation, rest) = part.split_once('#')?;
    let (kind, n) = rest.split_once('#')?;
    let mut kinds = SectionKind::ALL.into_iter();
    let is_chunk = kinds.any(|known| known.as_str() == kind) && n.parse::<u32>().is_ok();
    is_chunk.then(|| generation.parse().ok()).flatten()
}
