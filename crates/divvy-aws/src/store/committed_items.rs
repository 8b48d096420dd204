//! The items of TripData that belong to archives of the ledger.

use std::collections::HashSet;

use divvy::store::StoreError;
use xxhash_rust::xxh3::xxh3_128;

use super::layout::{is_block_key, key_of, keys_of, text};
use super::{Shared, item};
use crate::item::Item;
use crate::ledger::{Archive, ArchiveChanges, SectionRef};
use crate::tables::Layout;

/// The items of TripData that belong to archives of the ledger.
#[derive(Debug)]
pub(super) enum CommittedItems {
    /// Rows with one of these archive tags.
    Tags(HashSet<String>),
    /// Blocks whose keys have one of these hashes.
    Keys(HashSet<u128>),
}

/// To what an item of TripData belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// To an archive of the ledger.
    Committed,
    /// To a load that was not finished, or is in progress; or to an archive that was unloaded.
    Uncommitted,
    /// To no archive: another program has written it.
    Foreign,
}

/// An archive with its list of keys.
struct ListedArchive {
    content: String,
    keys: SectionRef,
}

impl CommittedItems {
    /// Reads which items belong to some archives.
    pub(super) async fn of(shared: &Shared, archives: &[Archive]) -> Result<Self, StoreError> {
        Self::after(shared, archives, &ArchiveChanges::default()).await
    }

    /// Reads which items will belong to the archives after a commit that changes some of them. The
    /// archives may be those before or after that commit.
    pub(super) async fn after(
        shared: &Shared,
        archives: &[Archive],
        changes: &ArchiveChanges,
    ) -> Result<Self, StoreError> {
        let is_changed = |content: &String| {
            changes.delete.contains(content) || changes.put.iter().any(|(put, _)| put == content)
        };
        let kept = archives.iter().map(|archive| ListedArchive {
            content: archive.content(),
            keys: archive.sections.keys,
        });
        let put = changes.put.iter().map(|(content, keys)| ListedArchive {
            content: content.clone(),
            keys: *keys,
        });
        let listed = kept
            .filter(|archive| !is_changed(&archive.content))
            .chain(put);
        if shared.tables.trip_data.layout == Layout::Rows {
            let tags = listed.map(|archive| item::trip::tag_of_content(&archive.content));
            return Ok(Self::Tags(tags.collect()));
        }
        let mut keys = HashSet::new();
        for archive in listed {
            let of_archive = keys_of(shared, &archive.content, archive.keys).await?;
            keys.extend(of_archive.iter().map(hash_of));
        }
        Ok(Self::Keys(keys))
    }

    /// Returns to what an item, or an entry of the index, belongs.
    pub(super) fn membership(&self, item: &Item) -> Membership {
        let is_committed = match self {
            Self::Tags(tags) => match text(item, item::trip::ARCHIVE) {
                None => return Membership::Foreign,
                Some(tag) => tags.contains(tag),
            },
            Self::Keys(keys) => match key_of(item) {
                Some(key) if keys.contains(&hash_of(key)) => true,
                Some(key) if is_block_key(key) => false,
                _ => return Membership::Foreign,
            },
        };
        if is_committed {
            Membership::Committed
        } else {
            Membership::Uncommitted
        }
    }

    /// Returns whether an item belongs to an archive.
    pub(super) fn has(&self, item: &Item) -> bool {
        self.membership(item) == Membership::Committed
    }
}

/// Returns the hash of a key of a block, or of the id of a trip.
pub(super) fn hash_of(key: impl AsRef<[u8]>) -> u128 {
    xxh3_128(key.as_ref())
}
