//! Blocks of archives whose trips change, in the packed layout.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use divvy::model::{StationAlias, StationId};
use divvy::store::StoreError;
use xxhash_rust::xxh3::xxh3_64;

use super::writes::block_key;
use super::{block_tag, blocks_at, damaged_block, keys_of};
use crate::blocks::{self, Month};
use crate::item;
use crate::ledger::Archive;
use crate::pace::Write;
use crate::store::Shared;
use crate::store::copies::{Copies, Copy, copies_of, rows_of};
use crate::store::temp_file::Scratch;

/// The origin and the month of a block.
type Group = (Option<StationId>, Month);

fn group_of(copy: &Copy) -> Group {
    let origin = copy.trip.origin.as_ref().map(StationAlias::id);
    (origin, Month::of(copy.trip.started_ms))
}

/// Returns whether a text is the end of a key after the archive tag: a generation, which is missing
/// in the first version of the layout, and the number of the block.
fn is_end_of_key(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((generation, part)) = text.split_once('#') else {
        return false;
    };
    let generation = generation.strip_prefix('-');
    is_number(part) && generation.map_or(text.starts_with('#'), is_number)
}

/// Writes new blocks of an archive under a generation, in place of those of which copies are
/// removed or to which copies are added. Returns the keys of all its blocks after the commit of that
/// generation; the earlier blocks are not changed.
///
/// The copies are partitioned by station and month; in memory is one partition.
pub(in crate::store) async fn repack(
    shared: &Shared,
    archive: &Archive,
    generation: u64,
    remove: Option<&Copies>,
    add: Option<&Copies>,
) -> Result<Vec<String>, StoreError> {
    let tag = block_tag(&archive.tag(), generation);
    let mut keys: BTreeSet<String> = keys_of(shared, &archive.content(), archive.sections.keys)
        .await?
        .into_iter()
        .collect();
    for changes in partition_changes(remove, add)? {
        let GroupedChanges { removed, groups } = changes.grouped()?;
        let mut puts = Vec::new();
        for (group, added) in groups {
            let old = keys_of_group(&keys, &group, &archive.tag());
            let mut copies: Vec<Copy> = Vec::new();
            for block in blocks_at(shared, &old).await? {
                let rows = blocks::decode(&block.block).map_err(damaged_block)?;
                copies.extend(copies_of(&rows, 0));
            }
            copies.retain(|copy| !removed.contains(&copy.location()));
            copies.extend(added);
            for key in old {
                keys.remove(&key);
            }
            if !copies.is_empty() {
                blocks::pack(&rows_of(&copies), &mut |packed| {
                    keys.insert(block_key(&packed, &tag));
                    puts.push(Write::Put(item::packed::item(&packed, &tag)));
                });
            }
            if puts.len() >= PUTS_AT_ONCE {
                shared.trips.write_all(std::mem::take(&mut puts)).await?;
            }
        }
        shared.trips.write_all(puts).await?;
    }
    Ok(keys.into_iter().collect())
}

/// Copies to be removed from blocks, and to be added to blocks.
struct BlockChanges {
    removed: Copies,
    added: Copies,
}

/// The changes of one partition in memory.
struct GroupedChanges {
    /// The locations of removed copies.
    removed: HashSet<(u32, u64)>,
    /// All groups with changes, with their added copies.
    groups: BTreeMap<Group, Vec<Copy>>,
}

/// Partitions changes so that the copies of a group are in the same partition.
fn partition_changes(
    remove: Option<&Copies>,
    add: Option<&Copies>,
) -> Result<Vec<BlockChanges>, StoreError> {
    /// The usual number of copies of a partition.
    const PARTITION_COPIES: u64 = 1 << 14;
    const MAX_PARTITIONS: u64 = 1 << 10;
    let n = [remove, add].into_iter().flatten().map(Copies::len);
    let n = (n.sum::<u64>() / PARTITION_COPIES + 1).min(MAX_PARTITIONS) as usize;
    let scratch = Scratch::new()?;
    let empty = || BlockChanges {
        removed: Copies::new(&scratch),
        added: Copies::new(&scratch),
    };
    let mut partitions: Vec<BlockChanges> = (0..n).map(|_| empty()).collect();
    for (copies, is_added) in [(remove, false), (add, true)] {
        for rows in copies.into_iter().flat_map(Copies::chunks) {
            let mut assigned: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
            for copy in copies_of(&rows?, 0) {
                let (station, month) = group_of(&copy);
                let station = station.as_ref().map_or("", StationId::as_str);
                let hash = xxh3_64(format!("{month} {station}").as_bytes());
                assigned.entry(hash as usize % n).or_default().push(copy);
            }
            for (partition, copies) in assigned {
                let BlockChanges { removed, added } = &mut partitions[partition];
                if is_added { added } else { removed }.push(&copies)?;
            }
        }
    }
    Ok(partitions)
}

impl BlockChanges {
    fn grouped(&self) -> Result<GroupedChanges, StoreError> {
        let mut groups: BTreeMap<Group, Vec<Copy>> = BTreeMap::new();
        let mut removed = HashSet::new();
        for rows in self.removed.chunks() {
            for copy in copies_of(&rows?, 0) {
                groups.entry(group_of(&copy)).or_default();
                removed.insert(copy.location());
            }
        }
        for rows in self.added.chunks() {
            for copy in copies_of(&rows?, 0) {
                groups.entry(group_of(&copy)).or_default().push(copy);
            }
        }
        Ok(GroupedChanges { removed, groups })
    }
}

/// Blocks that are written at once: at most 3 MB.
const PUTS_AT_ONCE: usize = 100;

/// Lists the keys of the blocks of a group of an archive.
fn keys_of_group(
    keys: &BTreeSet<String>,
    (station, month): &Group,
    archive_tag: &str,
) -> Vec<String> {
    let station = station.as_ref().map_or("", StationId::as_str);
    let prefix = format!("{station}#{month}#{archive_tag}");
    let from = keys.range(prefix.clone()..);
    from.take_while(|key| key.starts_with(&prefix))
        .filter(|key| is_end_of_key(&key[prefix.len()..]))
        .cloned()
        .collect()
}
