//! Which archives and totals a repair corrects, and their new lists of ids.

use std::collections::BTreeMap;

use divvy::store::{DamagedArchive, LedgerEntry, StoreError};
use divvy::tally::{Tally, Totals};

use super::stored_items::{ItemStatus, KnownItems, StoredItems};
use super::{Repair, if_readable};
use crate::ledger::{Archive, SectionOwner, SectionRef, State, encode_ids};
use crate::store::load::set_counts;
use crate::store::{Shared, duplicates, layout};

/// The archives and totals after the repair.
#[derive(Default)]
pub(super) struct Mended {
    /// Each archive that changes, before and after.
    pub(super) archives: Vec<(Archive, Archive)>,
    /// The new totals of archives that change, by content hash.
    pub(super) totals: BTreeMap<String, Totals>,
    /// The new lists of ids, by content hash.
    pub(super) ids: BTreeMap<String, Vec<u8>>,
    /// The totals over all archives.
    pub(super) all: Totals,
    /// Whether these differ from the ones in the ledger.
    pub(super) is_all_new: bool,
}

/// An archive whose list of ids is made again.
struct MissingIds {
    archive: Archive,
    /// Whether its duplicates can be read.
    has_duplicates: bool,
}

/// The sections of an archive, as far as they can be read. `None`: damaged.
struct ReadSections {
    totals: Option<Totals>,
    /// The number of duplicates.
    duplicates: Option<u64>,
    /// The number of ids.
    ids: Option<u64>,
}

/// An archive after the repair.
struct MendedArchive {
    archive: Archive,
    totals: Totals,
    /// Whether the totals are counted from its trips.
    is_recounted: bool,
    /// Whether its list of ids is made again.
    has_new_ids: bool,
}

impl ReadSections {
    async fn of(shared: &Shared, archive: &Archive) -> Result<Self, StoreError> {
        let content = archive.content();
        let owner = SectionOwner::Archive(&content);
        let totals = shared.ledger.totals(owner, Some(archive.sections.totals));
        let totals = if_readable(totals.await)?;
        let duplicates = if_readable(duplicates::count_duplicates(shared, archive).await)?;
        let mut ids = 0_u64;
        let read = duplicates::visit_ids(shared, archive, &mut |_| {
            ids += 1;
            Ok(())
        })
        .await;
        Ok(Self {
            totals,
            duplicates,
            ids: if_readable(read)?.map(|()| ids),
        })
    }

    /// Returns whether the stored trips are as many as one of three records states: the entry, the
    /// list of ids, the totals.
    fn confirm(&self, entry: &LedgerEntry, stored: u64) -> bool {
        let of_ids = self
            .ids
            .zip(self.duplicates)
            .and_then(|(ids, duplicates)| ids.checked_sub(duplicates));
        let of_totals = self
            .totals
            .as_ref()
            .map(|totals| totals.trips.max(0) as u64);
        entry.stored == stored || of_totals == Some(stored) || of_ids == Some(stored)
    }
}

impl Repair<'_> {
    /// Computes the archives and totals after the repair.
    pub(super) async fn mend(
        &mut self,
        state: &State,
        archives: &[Archive],
        known: &KnownItems,
        mut found: StoredItems,
    ) -> Result<Mended, StoreError> {
        let mut mended = Mended::default();
        // By archive tag.
        let mut missing_ids: BTreeMap<String, MissingIds> = BTreeMap::new();
        for archive in archives {
            let tag = archive.tag();
            let read = ReadSections::of(self.shared(), archive).await?;
            let has_duplicates = read.duplicates.is_some();
            let mut recount = found.counted.remove(&tag).unwrap_or_default();
            let names = read.totals.as_ref().map(|totals| totals.names.clone());
            recount.names = names.unwrap_or_default();
            let is_complete = read.confirm(&archive.entry, recount.trips.max(0) as u64)
                && found.has_blocks_of(known, &tag)
                && !known.unlisted.contains(&tag)
                && !found.damaged.contains_key(&tag);
            let entry = &archive.entry;
            let adds_up = entry.rows_read == entry.stored + entry.rejected_total();
            if !is_complete || !has_duplicates || !adds_up {
                self.repaired.to_load_again.push(DamagedArchive {
                    system: state.system.id.clone(),
                    name: archive.entry.id.name.clone(),
                    unload_first: true,
                });
            }
            let new = self.mend_archive(archive, read, recount, is_complete);
            mended.all.merge(&new.totals);
            if new.has_new_ids {
                let missing = MissingIds {
                    archive: new.archive.clone(),
                    has_duplicates,
                };
                missing_ids.insert(tag, missing);
            }
            if new.archive != *archive || new.is_recounted || new.has_new_ids {
                mended.archives.push((archive.clone(), new.archive));
            }
            if new.is_recounted {
                mended.totals.insert(archive.content(), new.totals);
            }
        }
        for (tag, list) in self.lists_of_ids(known, &missing_ids).await? {
            let content = missing_ids[&tag].archive.content();
            let ids = list.iter().map(AsRef::as_ref);
            let bytes = encode_ids(ids);
            let range = list.first().zip(list.last()).map(|(first, last)| {
                let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
                (text(first), text(last))
            });
            let mut archives = mended.archives.iter_mut();
            if let Some((_, new)) = archives.find(|(_, new)| new.content() == content) {
                new.ids = range;
            }
            mended.ids.insert(content, bytes);
        }
        let ledger = &self.shared().ledger;
        let totals = ledger.totals(SectionOwner::Store, state.totals).await;
        mended.is_all_new = if_readable(totals)?.as_ref() != Some(&mended.all);
        if mended.is_all_new {
            self.done("the totals over all archives added up again".into());
        }
        Ok(mended)
    }

    /// Computes an archive and its totals after the repair. `recount` are the totals of its trips.
    fn mend_archive(
        &mut self,
        archive: &Archive,
        read: ReadSections,
        recount: Totals,
        is_complete: bool,
    ) -> MendedArchive {
        let name = &archive.entry.id.name;
        let mut new = archive.clone();
        new.duplicates = read.duplicates.unwrap_or(0);
        if read.duplicates.is_none() {
            new.sections.duplicates = SectionRef::default();
            self.done(format!(
                "{name}: its copies that lost cannot be read, and are dropped"
            ));
        }
        let is_equal = read.totals.as_ref() == Some(&recount);
        let is_recounted = !is_equal && (is_complete || read.totals.is_none());
        let totals = read.totals.filter(|_| !is_recounted).unwrap_or(recount);
        if is_recounted {
            self.done(format!("{name}: its tallies counted again from its trips"));
        }
        if is_recounted || is_complete {
            set_counts(&mut new, &totals);
        }
        let expected = new.entry.stored + new.duplicates;
        // Without its duplicates their ids must not be in the list.
        let are_ids_right = read.duplicates.is_some()
            && read.ids.is_some_and(|ids| ids == expected || !is_complete);
        if !are_ids_right {
            self.done(format!("{name}: its list of ids made again from its trips"));
        }
        if new.entry != archive.entry && !is_recounted {
            self.done(format!("{name}: its entry corrected"));
        }
        MendedArchive {
            archive: new,
            totals,
            is_recounted,
            has_new_ids: !are_ids_right,
        }
    }

    /// Makes sorted lists of ids of some archives, by archive tag, from their trips in the table and
    /// their duplicates. The lists are in memory: few are ever damaged.
    async fn lists_of_ids(
        &self,
        known: &KnownItems,
        missing: &BTreeMap<String, MissingIds>,
    ) -> Result<BTreeMap<String, Vec<Box<[u8]>>>, StoreError> {
        let shared = self.shared();
        let mut lists: BTreeMap<String, Vec<Box<[u8]>>> = BTreeMap::new();
        if missing.is_empty() {
            return Ok(lists);
        }
        let layout = shared.tables.trip_data.layout;
        for (tag, missing) in missing {
            let list = lists.entry(tag.clone()).or_default();
            if missing.has_duplicates {
                let content = missing.archive.content();
                let section = missing.archive.sections.duplicates;
                duplicates::visit_duplicates(shared, &content, section, &mut |rows| {
                    list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    Ok(())
                })
                .await?;
            }
        }
        let mut scan = shared.trips.scan();
        while let Some(mut items) = scan.next().await? {
            items.retain(|item| {
                let tag = layout::tag_of_item(layout, item);
                missing.contains_key(tag) && known.status(tag, item) == ItemStatus::Committed
            });
            for item in &items {
                let Ok(rows) = layout::rows_of_items(layout, std::slice::from_ref(item)) else {
                    continue; // its archive has to be loaded again
                };
                for (tag, rows) in rows {
                    if let Some(list) = lists.get_mut(&tag) {
                        list.extend((0..rows.len()).map(|row| Box::from(rows.batch.id_raw(row))));
                    }
                }
            }
        }
        lists.values_mut().for_each(|list| list.sort());
        Ok(lists)
    }
}
