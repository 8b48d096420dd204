//! How trips are stored in TripData: one item for each, or in blocks of a station and a month.
//!
//! A block is never changed. Where the trips of a station and a month of an archive change, they are
//! written as new blocks under new keys: a key contains the generation of the load that wrote it,
//! and no generation is used twice. The blocks of an archive are those in its list of keys, which a
//! commit replaces. So blocks that an unfinished load has written, or writes after it was killed,
//! belong to no archive.

mod repack;
mod writes;

use std::collections::{BTreeMap, HashMap};

use divvy::store::{ContentHash, StoreError, StoreErrorKind};

pub(super) use self::repack::repack;
pub(super) use self::writes::{TripWrite, TripWrites, put_rows};
use super::copies::{Copy, rows_of};
use super::spool::SharedIds;
use super::{Compared, Shared, damaged_item, string_key};
use crate::blocks::{self, Gatherer, Month, Packed, Rows};
use crate::item::{self, Item};
use crate::ledger::{Archive, SectionKind, SectionOwner, SectionRef, decode_ids};
use crate::pace::{MAX_BATCH_KEYS, Write};
use crate::tables::Layout;

fn damaged_block(error: blocks::BlockError) -> StoreError {
    StoreError::with_source(
        StoreErrorKind::Damaged,
        "a block of trips cannot be read",
        error,
    )
}

/// Returns the key of an item. `None` where it is not a text.
pub(super) fn key_of(item: &Item) -> Option<&str> {
    text(item, item::trip::KEY)
}

/// Returns an attribute that is a text. `None` where it is missing or of another type.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str)
}

/// Returns the tag in the keys of blocks: that of the archive, and the generation that wrote them.
pub(super) fn block_tag(archive_tag: &str, generation: u64) -> String {
    format!("{archive_tag}-{generation}")
}

/// Splits the tag of a block: that of the archive, and the generation. `None` for blocks of the
/// first version of the layout, whose keys have no generation.
fn split_block_tag(tag: &str) -> (&str, Option<u64>) {
    match tag.split_once('-') {
        Some((archive_tag, generation)) => (archive_tag, generation.parse().ok()),
        None => (tag, None),
    }
}

/// Returns whether a key has the form of the keys of blocks, whatever archive it names.
pub(super) fn is_block_key(key: &str) -> bool {
    let mut parts = key.rsplitn(4, '#');
    let (part, tag, month) = (parts.next(), parts.next(), parts.next());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_tag = |tag: &str| {
        let (archive, generation) = split_block_tag(tag);
        let is_hex = archive.len() == 16 && archive.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex && (generation.is_some() || tag == archive)
    };
    parts.next().is_some()
        && part.is_some_and(is_number)
        && tag.is_some_and(is_tag)
        && month.is_some_and(|month| month.parse::<Month>().is_ok())
}

/// Returns the archive tag of an item; empty where it has none.
pub(super) fn tag_of_item(layout: Layout, item: &Item) -> &str {
    match layout {
        Layout::Rows => text(item, item::trip::ARCHIVE).unwrap_or(""),
        Layout::Packed => {
            let key = key_of(item).unwrap_or("");
            split_block_tag(key.rsplit('#').nth(1).unwrap_or("")).0
        }
    }
}

/// Reads the rows of a page of items, by the tag of their archive.
pub(super) fn rows_of_items(
    layout: Layout,
    items: &[Item],
) -> Result<BTreeMap<String, Rows>, StoreError> {
    let mut rows: BTreeMap<String, Vec<Copy>> = BTreeMap::new();
    let mut packed: BTreeMap<String, Gatherer> = BTreeMap::new();
    for item in items {
        match layout {
            Layout::Rows => {
                let stored = item::trip::trip(item).map_err(damaged_item)?;
                rows.entry(stored.archive).or_default().push(Copy {
                    archive: 0,
                    trip: stored.trip,
                    member: stored.member,
                    line: stored.line,
                });
            }
            Layout::Packed => {
                let (block, tag) = item::packed::packed(item).map_err(damaged_item)?;
                let rows = blocks::decode(&block.block).map_err(damaged_block)?;
                let gathered = packed
                    .entry(split_block_tag(&tag).0.to_owned())
                    .or_default();
                gathered.add(&rows);
            }
        }
    }
    Ok(match layout {
        Layout::Rows => rows
            .into_iter()
            .map(|(archive, copies)| (archive, rows_of(&copies)))
            .collect(),
        Layout::Packed => packed
            .into_iter()
            .map(|(archive, gathered)| (archive, gathered.into_rows()))
            .collect(),
    })
}

/// Passes all trips of some archives to `visit`, with the content of their archive, until it returns
/// `false`. `is_committed` returns whether an item belongs to one of the archives.
pub(super) async fn scan(
    shared: &Shared,
    is_committed: &(dyn Fn(&Item) -> bool + Send + Sync),
    archives: &[Archive],
    visit: &mut (dyn FnMut(ContentHash, Rows) -> bool + Send),
) -> Result<(), StoreError> {
    let mut scan = shared.trips.scan();
    while let Some(mut items) = scan.next().await? {
        items.retain(|item| is_committed(item));
        for (tag, rows) in rows_of_items(shared.tables.trip_data.layout, &items)? {
            let mut archives = archives.iter();
            let archive = archives.find(|archive| archive.tag() == tag);
            let archive = archive.ok_or_else(|| {
                let table = &shared.trips.name;
                let message = format!("{table}: an archive lists trips of another one, {tag}");
                StoreError::new(StoreErrorKind::Damaged, message)
            })?;
            if !visit(archive.entry.id.content, rows) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Deletes the blocks of all archives that were written under a generation. Reads the whole table.
pub(super) async fn delete_generation(shared: &Shared, generation: u64) -> Result<(), StoreError> {
    let mut scan = shared.trips.scan();
    while let Some(items) = scan.next().await? {
        let mut deletes = Vec::new();
        for item in &items {
            let (_, tag) = item::packed::packed(item).map_err(damaged_item)?;
            if split_block_tag(&tag).1 == Some(generation) {
                deletes.extend(key_of(item).map(delete));
            }
        }
        shared.trips.write_all(deletes).await?;
    }
    Ok(())
}

/// Deletes the rows with an archive tag. Reads the whole table.
pub(super) async fn delete_rows_of(shared: &Shared, tag: &str) -> Result<(), StoreError> {
    let mut scan = shared.trips.scan();
    while let Some(items) = scan.next().await? {
        let own = items
            .iter()
            .filter(|item| text(item, item::trip::ARCHIVE) == Some(tag));
        let deletes = own.filter_map(key_of).map(delete).collect();
        shared.trips.write_all(deletes).await?;
    }
    Ok(())
}

/// Makes the delete of an item.
pub(super) fn delete(key: &str) -> Write {
    Write::Delete(string_key(item::trip::KEY, key))
}

/// Reads the stored copies of the ids that the incoming archive `name` shares with others, and
/// passes them to `each`, some at a time.
pub(super) async fn visit_stored(
    shared: &Shared,
    name: &str,
    archives: &[Archive],
    ids: &SharedIds<'_>,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let of = ids.len();
    if of == 0 {
        return Ok(());
    }
    let mut done = 0;
    let mut progress = |more: u64| {
        done += more;
        shared.listener.compared(&Compared {
            archive: name.to_owned(),
            done,
            of,
        });
    };
    match shared.tables.trip_data.layout {
        Layout::Rows => visit_stored_rows(shared, archives, ids, each, &mut progress).await,
        Layout::Packed => visit_stored_blocks(shared, archives, ids, each, &mut progress).await,
    }
}

async fn visit_stored_rows(
    shared: &Shared,
    archives: &[Archive],
    ids: &SharedIds<'_>,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), StoreError> {
    /// Items in memory, some kilobytes each.
    const AT_ONCE: usize = 1000;
    let archives = archives.iter().enumerate();
    let by_tag: HashMap<String, usize> = archives
        .map(|(index, archive)| (archive.tag(), index))
        .collect();
    let mut ids = ids.ids();
    loop {
        let some = ids.by_ref().take(AT_ONCE);
        let keys = some.map(|id| string_key(item::trip::KEY, &String::from_utf8_lossy(id)));
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return Ok(());
        }
        let n = keys.len() as u64;
        let mut copies = Vec::new();
        for item in shared.trips.get_all(keys).await? {
            let stored = item::trip::trip(&item).map_err(damaged_item)?;
            if let Some(archive) = by_tag.get(&stored.archive) {
                copies.push(Copy {
                    archive: *archive,
                    trip: stored.trip,
                    member: stored.member,
                    line: stored.line,
                });
            }
        }
        each(copies)?;
        progress(n);
    }
}

async fn visit_stored_blocks(
    shared: &Shared,
    archives: &[Archive],
    ids: &SharedIds<'_>,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), StoreError> {
    for archive in ids.archives {
        let archive = *archive;
        let listed = &archives[archive];
        for keys in keys_of(shared, &listed.content(), listed.sections.keys)
            .await?
            .chunks(MAX_BATCH_KEYS)
        {
            let mut n = 0;
            for block in blocks_at(shared, keys).await? {
                let rows = blocks::decode(&block.block).map_err(damaged_block)?;
                let found = (0..rows.len()).filter(|row| ids.has(rows.batch.id_raw(*row)));
                let copies = found.map(|row| Copy::of_row(&rows, row, archive));
                let copies: Vec<Copy> = copies.collect();
                n += copies.len() as u64;
                each(copies)?;
            }
            progress(n);
        }
    }
    Ok(())
}

/// Reads the keys of the blocks of an archive: its content hash, and its list of keys.
pub(super) async fn keys_of(
    shared: &Shared,
    content: &str,
    keys: SectionRef,
) -> Result<Vec<String>, StoreError> {
    let owner = SectionOwner::Archive(content);
    let bytes = shared.ledger.section(owner, SectionKind::Keys, keys);
    let bytes = bytes.await?;
    decode_keys(&bytes)
}

/// Decodes a list of keys.
pub(super) fn decode_keys(bytes: &[u8]) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    decode_ids(bytes, |key| {
        keys.push(String::from_utf8_lossy(key).into_owned());
    })?;
    Ok(keys)
}

/// Reads blocks by their keys.
async fn blocks_at(shared: &Shared, keys: &[String]) -> Result<Vec<Packed>, StoreError> {
    let wanted = keys.iter().map(|key| string_key(item::trip::KEY, key));
    let items = shared.trips.get_all(wanted.collect()).await?;
    if items.len() != keys.len() {
        let of = keys.len();
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{}: of {of} blocks that the ledger names only {} are there",
                shared.trips.name,
                items.len()
            ),
        ));
    }
    let blocks = items.iter().map(|item| {
        let (block, _) = item::packed::packed(item).map_err(damaged_item)?;
        Ok(block)
    });
    blocks.collect()
}
