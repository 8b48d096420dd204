//! The items of TripData, compared with the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use divvy::store::StoreError;
use divvy::tally::{Tally, Totals};

use super::if_readable;
use crate::item::Item;
use crate::ledger::Archive;
use crate::store::{Shared, layout};
use crate::tables::Layout;

/// The items of TripData that belong to archives of the ledger, as far as it can be read.
#[derive(Default)]
pub(super) struct KnownItems {
    /// The archive tags.
    tags: HashSet<String>,
    /// In the packed layout: the hashes of the keys of blocks.
    keys: HashSet<u128>,
    /// The number of keys, by archive tag.
    blocks: HashMap<String, u64>,
    /// The tags of archives whose list of keys cannot be read: their blocks are not deleted.
    pub(super) unlisted: HashSet<String>,
}

/// Whether an item belongs to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemStatus {
    /// It belongs to an archive.
    Committed,
    /// It may belong to an archive whose list of keys cannot be read.
    Unknown,
    /// It belongs to no archive.
    Stray,
}

impl KnownItems {
    /// Reads the known items of all archives.
    pub(super) async fn of(shared: &Shared, archives: &[Archive]) -> Result<Self, StoreError> {
        let mut known = Self::default();
        for archive in archives {
            let tag = archive.tag();
            if shared.tables.trip_data.layout == Layout::Packed {
                match if_readable(layout::keys_of(shared, archive).await)? {
                    Some(keys) => {
                        known.blocks.insert(tag.clone(), keys.len() as u64);
                        known
                            .keys
                            .extend(keys.iter().map(|key| layout::hash_of(key)));
                    }
                    None => {
                        known.unlisted.insert(tag.clone());
                    }
                }
            }
            known.tags.insert(tag);
        }
        Ok(known)
    }

    /// Returns the status of an item with an archive tag.
    pub(super) fn status(&self, layout: Layout, tag: &str, item: &Item) -> ItemStatus {
        if self.unlisted.contains(tag) {
            return ItemStatus::Unknown;
        }
        let is_known = match layout {
            Layout::Rows => self.tags.contains(tag),
            Layout::Packed => {
                layout::key_of(item).is_some_and(|key| self.keys.contains(&layout::hash_of(key)))
            }
        };
        if is_known {
            ItemStatus::Committed
        } else {
            ItemStatus::Stray
        }
    }
}

/// The contents of TripData, by archive tag.
#[derive(Default)]
pub(super) struct StoredItems {
    /// The totals of committed trips.
    pub(super) counted: HashMap<String, Totals>,
    /// The number of committed items.
    items: HashMap<String, u64>,
    /// The number of items that cannot be read.
    pub(super) damaged: BTreeMap<String, u64>,
    /// The number of items that belong to no archive.
    pub(super) strays: BTreeMap<String, u64>,
}

impl StoredItems {
    /// Reads all of TripData; deletes the items that belong to no archive, except in a dry run.
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
            let mut deletes = Vec::new();
            for item in items {
                let tag = layout::tag_of_item(layout, &item).to_owned();
                match known.status(layout, &tag, &item) {
                    ItemStatus::Committed => {
                        *found.items.entry(tag).or_default() += 1;
                        committed.push(item);
                    }
                    ItemStatus::Unknown => {}
                    ItemStatus::Stray => {
                        *found.strays.entry(tag).or_default() += 1;
                        deletes.extend(layout::key_of(&item).map(layout::delete));
                    }
                }
            }
            found.count(layout, &committed);
            if !dry_run {
                shared.trips.write_all(deletes).await?;
            }
        }
        Ok(found)
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
