//! The items of TripData, compared with the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use divvy::model::StationId;
use divvy::store::StoreError;
use divvy::tally::{Tally, Totals};

use super::if_readable;
use crate::item::Item;
use crate::item::trip::INDEX_KEY;
use crate::ledger::Archive;
use crate::pace::Write;
use crate::store::committed_items::{CommittedItems, Membership, hash_of};
use crate::store::departures::trips_of;
use crate::store::duplicates::IdSum;
use crate::store::upgrade::corrected_block;
use crate::store::{Shared, duplicates, layout};
use crate::tables::Layout;

/// The items of TripData that belong to archives of the ledger, as far as it can be read.
pub(super) struct KnownItems {
    committed: CommittedItems,
    /// The number of keys, by archive tag.
    blocks: HashMap<String, u64>,
    /// The tags of archives whose list of keys cannot be read: their blocks are not deleted.
    pub(super) unlisted: HashSet<String>,
    /// The hashes of the ids of archives of which the table has too many rows, by archive tag.
    ids: HashMap<String, HashSet<u128>>,
}

/// Whether an item belongs to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemStatus {
    /// It belongs to an archive.
    Committed,
    /// It may belong to an archive whose list of keys cannot be read.
    Unknown,
    /// It is of a load that was not finished, or of an archive that is no longer loaded; or it has the tag
    /// of an archive and an id that the archive does not have.
    Stray,
    /// It belongs to no archive, and divvy has not written it.
    Foreign,
}

impl KnownItems {
    /// Reads the known items of all archives.
    pub(super) async fn of(shared: &Shared, archives: &[Archive]) -> Result<Self, StoreError> {
        let (mut blocks, mut unlisted) = (HashMap::new(), HashSet::new());
        if shared.tables.trip_data.layout == Layout::Rows {
            let committed = CommittedItems::of(shared, archives).await?;
            return Ok(Self {
                committed,
                blocks,
                unlisted,
                ids: HashMap::new(),
            });
        }
        let mut hashes = HashSet::new();
        for archive in archives {
            let tag = archive.tag();
            let keys = layout::keys_of(shared, &archive.content(), archive.sections.keys).await;
            match if_readable(keys)? {
                Some(keys) => {
                    blocks.insert(tag, keys.len() as u64);
                    hashes.extend(keys.iter().map(hash_of));
                }
                None => {
                    unlisted.insert(tag);
                }
            }
        }
        Ok(Self {
            committed: CommittedItems::Keys(hashes),
            blocks,
            unlisted,
            ids: HashMap::new(),
        })
    }

    /// Reads the ids of the archives of which `found` has other ids than their lists: rows with an id that
    /// is not in the list are strays from then on. Returns whether there are such archives; those whose list
    /// of ids is damaged are left out. Blocks are never too many: they belong to a list of keys.
    pub(super) async fn list_ids(
        &mut self,
        shared: &Shared,
        archives: &[Archive],
        found: &StoredItems,
    ) -> Result<bool, StoreError> {
        if shared.tables.trip_data.layout == Layout::Packed {
            return Ok(false);
        }
        for archive in archives {
            let tag = archive.tag();
            let listed = if_readable(duplicates::stored_ids(shared, archive).await)?;
            let found = found.ids.get(&tag).copied().unwrap_or_default();
            if listed.is_none_or(|listed| listed == found) {
                continue;
            }
            let (mut ids, mut n) = (HashSet::new(), 0);
            duplicates::visit_ids(shared, archive, &mut |id| {
                ids.insert(hash_of(id));
                n += 1;
                Ok(())
            })
            .await?;
            // A list that was shortened would make strays of good rows.
            if n == archive.entry.stored + archive.duplicates {
                self.ids.insert(tag, ids);
            }
        }
        Ok(!self.ids.is_empty())
    }

    /// Returns the status of an item with an archive tag.
    pub(super) fn status(&self, tag: &str, item: &Item) -> ItemStatus {
        let is_listed = |ids: &HashSet<u128>| {
            let key = layout::key_of(item).unwrap_or_default();
            ids.contains(&hash_of(key))
        };
        match self.committed.membership(item) {
            Membership::Committed if !self.ids.get(tag).is_none_or(is_listed) => ItemStatus::Stray,
            _ if self.unlisted.contains(tag) => ItemStatus::Unknown,
            Membership::Committed => ItemStatus::Committed,
            Membership::Uncommitted => ItemStatus::Stray,
            Membership::Foreign => ItemStatus::Foreign,
        }
    }
}

/// The contents of TripData, by archive tag.
#[derive(Default)]
pub(super) struct StoredItems {
    /// The totals of committed trips.
    pub(super) counted: HashMap<String, Totals>,
    /// The ids of committed trips.
    ids: HashMap<String, IdSum>,
    /// The number of committed items.
    items: HashMap<String, u64>,
    /// The number of items that cannot be read.
    pub(super) damaged: BTreeMap<String, u64>,
    /// The number of blocks whose first start or number of trips, which the index has, is missing or wrong.
    pub(super) misplaced: u64,
    /// The number of trips of no archive, which another program has written, by origin.
    pub(super) foreign: BTreeMap<StationId, u64>,
    /// The number of items that are left over of loads, by archive tag.
    pub(super) strays: BTreeMap<String, u64>,
}

impl StoredItems {
    /// Reads all of TripData; deletes the items that are left over of loads, and adds the first
    /// start to blocks that lack it, except in a dry run.
    pub(super) async fn read(
        shared: &Shared,
        known: &KnownItems,
        dry_run: bool,
    ) -> Result<Self, StoreError> {
        let layout = shared.tables.trip_data.layout;
        let mut found = Self::default();
        let mut scan = shared.trips.scan();
        while let Some(items) = scan.next().await? {
            let mut committed: Vec<Item> = Vec::new();
            let mut writes = Vec::new();
            for item in items {
                let tag = layout::tag_of_item(layout, &item).to_owned();
                match known.status(&tag, &item) {
                    ItemStatus::Committed => {
                        if let Some(block) = corrected_block(&item) {
                            found.misplaced += 1;
                            writes.push(Write::Put(block));
                        }
                        *found.items.entry(tag).or_default() += 1;
                        committed.push(item);
                    }
                    ItemStatus::Unknown => {}
                    ItemStatus::Foreign => {
                        if let Some(origin) = layout::text(&item, INDEX_KEY) {
                            *found.foreign.entry(origin.into()).or_default() +=
                                trips_of(layout, &item);
                        }
                    }
                    ItemStatus::Stray => {
                        *found.strays.entry(tag).or_default() += 1;
                        writes.extend(layout::key_of(&item).map(layout::delete));
                    }
                }
            }
            found.count(layout, &committed);
            if !dry_run {
                shared.trips.write_all(writes).await?;
            }
        }
        Ok(found)
    }

    /// Returns what a second reading with lists of ids has found, with what the first one deleted.
    pub(super) fn replaced_by(self, again: Self) -> Self {
        let mut strays = again.strays;
        strays.extend(self.strays);
        Self {
            strays,
            misplaced: self.misplaced,
            ..again
        }
    }

    fn count(&mut self, layout: Layout, items: &[Item]) {
        let rows = match layout::rows_of_items(layout, items) {
            Ok(rows) => rows,
            // One of them cannot be read: each is counted alone.
            Err(_) if items.len() > 1 => {
                return items.chunks(1).for_each(|item| self.count(layout, item));
            }
            Err(_) => {
                let tag = layout::tag_of_item(layout, &items[0]).to_owned();
                *self.damaged.entry(tag).or_default() += 1;
                return;
            }
        };
        for (tag, rows) in rows {
            self.ids.entry(tag.clone()).or_default().add_rows(&rows);
            self.counted.entry(tag).or_default().count(&rows.batch, 1);
        }
    }

    /// Returns whether an archive has as many blocks as its list of keys. True in the layout of
    /// rows.
    pub(super) fn has_blocks_of(&self, known: &KnownItems, tag: &str) -> bool {
        let blocks = self.items.get(tag).copied().unwrap_or(0);
        known.blocks.get(tag).is_none_or(|listed| *listed == blocks)
    }
}
