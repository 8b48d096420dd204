//! How trips lie in TripData: an item each, or in blocks of a station and a month.
//!
//! A block is never changed. Where the trips of a station and month of an archive change, they are
//! written as new blocks under keys of their own: the key holds the generation of the load that
//! wrote it, and no generation is used twice. The list of an archive's keys, which a commit puts
//! into force, says which blocks are its blocks; what no list has does not exist. So whatever a
//! killed load has written, or writes after its end, changes nothing that is in force.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use divvy::model::StationId;
use divvy::store::{StoreError, StoreErrorKind};
use xxhash_rust::xxh3::xxh3_128;

use super::plan::{Copy, Owned, copies_of, copy_at, rows_of};
use super::spool::{Bits, Chunk, Chunks, Copies, Scratch, Sorted};
use super::{Compared, Shared, foreign, string_key};
use crate::blocks::{self, Gatherer, Month, Packed, Rows, SPOOL_LEVEL, encode_some};
use crate::item::{self, Item};
use crate::ledger::{Archive, Part, decode_ids};
use crate::pace::Write;
use crate::tables::Layout;

/// Files that rows are dealt to before they are packed: each fits into memory.
const HANDS: usize = 64;

fn broken(error: blocks::BlockError) -> StoreError {
    StoreError::because(
        StoreErrorKind::Damaged,
        "a block of trips cannot be read",
        error,
    )
}

/// Which items of TripData are in force.
pub(super) enum InForce {
    /// Those that carry one of these marks: rows.
    Marks(HashSet<String>),
    /// Those whose keys have these hashes: blocks.
    Keys(HashSet<u128>),
}

impl InForce {
    /// Finds out what is in force of some archives.
    pub(super) async fn of(shared: &Shared, archives: &[Archive]) -> Result<Self, StoreError> {
        if shared.tables.trip_data.layout == Layout::Rows {
            return Ok(Self::Marks(archives.iter().map(Archive::mark).collect()));
        }
        let mut keys = HashSet::new();
        for archive in archives {
            let of_archive = keys_of(shared, archive).await?;
            keys.extend(of_archive.iter().map(|key| xxh3_128(key.as_bytes())));
        }
        Ok(Self::Keys(keys))
    }

    /// Tells whether an item is.
    pub(super) fn has(&self, item: &Item) -> bool {
        match self {
            Self::Marks(marks) => text(item, "archive").is_some_and(|mark| marks.contains(mark)),
            Self::Keys(keys) => {
                let key = text(item, item::trip::KEY);
                key.is_some_and(|key| keys.contains(&xxh3_128(key.as_bytes())))
            }
        }
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str)
}

/// What the keys of blocks carry as archive: its mark, and the generation that wrote them.
pub(super) fn tag(mark: &str, generation: u64) -> String {
    format!("{mark}-{generation}")
}

/// Reads a tag: the mark, and the generation. `None` for blocks of the first version of the
/// layout, which have none.
fn of_tag(tag: &str) -> (&str, Option<u64>) {
    match tag.split_once('-') {
        Some((mark, generation)) => (mark, generation.parse().ok()),
        None => (tag, None),
    }
}

/// Returns the mark of the archive that an item says it is of; empty where it says none.
pub(super) fn mark_of_item(layout: Layout, item: &Item) -> &str {
    match layout {
        Layout::Rows => text(item, "archive").unwrap_or(""),
        Layout::Packed => {
            let key = text(item, item::trip::KEY).unwrap_or("");
            of_tag(key.rsplit('#').nth(1).unwrap_or("")).0
        }
    }
}

/// Reads the rows of a page of items, by the mark of their archive.
pub(super) fn rows_of_items(
    layout: Layout,
    items: &[Item],
) -> Result<BTreeMap<String, Rows>, StoreError> {
    let mut rows: BTreeMap<String, Vec<Copy>> = BTreeMap::new();
    let mut packed: BTreeMap<String, Gatherer> = BTreeMap::new();
    for item in items {
        match layout {
            Layout::Rows => {
                let stored = item::trip::trip(item).map_err(foreign)?;
                rows.entry(stored.archive).or_default().push(Copy {
                    archive: 0,
                    trip: stored.trip,
                    member: stored.member,
                    line: stored.line,
                });
            }
            Layout::Packed => {
                let (block, tag) = item::packed::packed(item).map_err(foreign)?;
                let rows = blocks::decode(&block.block).map_err(broken)?;
                let gathered = packed.entry(of_tag(&tag).0.to_owned()).or_default();
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

/// Hands all trips that are in force to `visit`, until it returns `false`. All else belongs to a
/// load that was never finished, and does not exist.
pub(super) async fn scan(
    shared: &Shared,
    in_force: &InForce,
    visit: &mut (dyn FnMut(Rows) -> bool + Send),
) -> Result<(), StoreError> {
    let mut from = None;
    loop {
        let (mut items, next) = shared.trips.scan_page((0, 1), from, true).await?;
        items.retain(|item| in_force.has(item));
        for rows in rows_of_items(shared.tables.trip_data.layout, &items)?.into_values() {
            if !visit(rows) {
                return Ok(());
            }
        }
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Deletes the blocks that a load has written: those of its generation, of whatever archive. Reads
/// the whole table.
pub(super) async fn delete_generation(shared: &Shared, wanted: u64) -> Result<(), StoreError> {
    let mut from = None;
    loop {
        let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
        let mut deletes = Vec::new();
        for item in &items {
            let (_, tag) = item::packed::packed(item).map_err(foreign)?;
            if of_tag(&tag).1 == Some(wanted) {
                deletes.extend(text(item, item::trip::KEY).map(delete));
            }
        }
        shared.trips.write_all(deletes).await?;
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Makes the deletion of an item.
pub(super) fn delete(key: &str) -> Write {
    Write::Delete(string_key(item::trip::KEY, key))
}

/// Finds the stored copies of ids that an archive on its way in shares with others, and hands them
/// to `each` some at a time.
pub(super) async fn stored(
    shared: &Shared,
    name: &str,
    archives: &[Archive],
    owned: &Owned<'_>,
    each: &mut (dyn FnMut(Vec<Copy>) -> Result<(), StoreError> + Send),
) -> Result<(), StoreError> {
    let of = owned.len();
    if of == 0 {
        return Ok(());
    }
    let mut done = 0;
    let mut tell = |more: u64| {
        done += more;
        shared.listener.compared(&Compared {
            archive: name.to_owned(),
            done,
            of,
        });
    };
    match shared.tables.trip_data.layout {
        Layout::Rows => {
            /// Rows in memory as items, each some kilobytes.
            const AT_ONCE: usize = 1000;
            let places: HashMap<String, usize> = archives
                .iter()
                .enumerate()
                .map(|(place, archive)| (archive.mark(), place))
                .collect();
            let mut ids = owned.ids();
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
                    let stored = item::trip::trip(&item).map_err(foreign)?;
                    if let Some(place) = places.get(&stored.archive) {
                        copies.push(Copy {
                            archive: *place,
                            trip: stored.trip,
                            member: stored.member,
                            line: stored.line,
                        });
                    }
                }
                each(copies)?;
                tell(n);
            }
        }
        Layout::Packed => {
            for place in owned.owners {
                for key in keys_of(shared, &archives[*place]).await?.chunks(100) {
                    let mut n = 0;
                    for block in blocks_at(shared, key).await? {
                        let rows = blocks::decode(&block.block).map_err(broken)?;
                        let shared_ids =
                            (0..rows.len()).filter(|row| owned.has(rows.batch.id_raw(*row)));
                        let copies = shared_ids.map(|row| copy_at(&rows, row, *place));
                        let copies: Vec<Copy> = copies.collect();
                        n += copies.len() as u64;
                        each(copies)?;
                    }
                    tell(n);
                }
            }
            Ok(())
        }
    }
}

/// Lists the keys of the blocks of an archive.
pub(super) async fn keys_of(shared: &Shared, archive: &Archive) -> Result<Vec<String>, StoreError> {
    let content = archive.content();
    let bytes = shared
        .ledger
        .parts(Some(&content), Part::Keys, archive.parts.keys)
        .await?;
    decode_keys(&bytes)
}

/// Reads a list of keys.
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
        let (block, _) = item::packed::packed(item).map_err(foreign)?;
        Ok(block)
    });
    blocks.collect()
}

/// A write of trips, and how many of them it holds.
pub(super) type Trips = (Write, u64);

/// Hands out the writes of an archive's own rows, in an order that is the same whenever the same
/// archive is loaded beside the same others.
pub(super) enum Writes {
    /// An item each, in the order of the file.
    Rows {
        mark: String,
        blocks: std::vec::IntoIter<super::spool::SpoolBlock>,
        decided: Bits,
        ready: std::vec::IntoIter<Trips>,
    },
    /// Blocks, by hands.
    Packed {
        mark: String,
        chunks: Chunks,
        hands: std::vec::IntoIter<Vec<Chunk>>,
        ready: std::vec::IntoIter<Trips>,
        keys: Vec<String>,
    },
}

impl Writes {
    /// Prepares the writes of all rows but the `decided` ones. In the packed layout also of `mine`
    /// among those, since blocks hold both. `mark` is what they carry: in the packed layout the
    /// [`tag`] of the load.
    pub(super) fn of(
        layout: Layout,
        spool: &mut Sorted,
        mark: String,
        decided: &Bits,
        mine: &Copies,
    ) -> Result<Self, StoreError> {
        let blocks = spool.in_order();
        if layout == Layout::Rows {
            return Ok(Self::Rows {
                mark,
                blocks: blocks.into_iter(),
                decided: decided.clone(),
                ready: Vec::new().into_iter(),
            });
        }
        let mut chunks = Chunks::new()?;
        let mut hands: Vec<Vec<Chunk>> = vec![Vec::new(); HANDS];
        let mut deal = |rows: &Rows, is_decided: &dyn Fn(usize) -> bool| {
            let mut dealt: Vec<Vec<u32>> = vec![Vec::new(); HANDS];
            for row in (0..rows.len()).filter(|row| !is_decided(*row)) {
                dealt[hand(rows, row)].push(row as u32);
            }
            for (hand, dealt) in hands.iter_mut().zip(dealt) {
                if !dealt.is_empty() {
                    let member = |row: usize| rows.member[row];
                    let bytes = encode_some(&rows.batch, member, &dealt, SPOOL_LEVEL);
                    hand.push(chunks.push(&bytes)?);
                }
            }
            Ok::<_, StoreError>(())
        };
        for block in blocks {
            let rows = spool.read(block)?;
            let first = block.places().start;
            deal(&rows, &|row| decided.has(first + row))?;
        }
        for rows in mine.chunks() {
            deal(&rows?, &|_| false)?;
        }
        Ok(Self::Packed {
            mark,
            chunks,
            hands: hands.into_iter(),
            ready: Vec::new().into_iter(),
            keys: Vec::new(),
        })
    }

    /// Returns the next write. `None` after the last.
    pub(super) fn next(&mut self, spool: &mut Sorted) -> Result<Option<Trips>, StoreError> {
        loop {
            match self {
                Self::Rows {
                    mark,
                    blocks,
                    decided,
                    ready,
                } => {
                    if let Some(write) = ready.next() {
                        return Ok(Some(write));
                    }
                    let Some(block) = blocks.next() else {
                        return Ok(None);
                    };
                    let rows = spool.read(block)?;
                    let first = block.places().start;
                    let free = (0..rows.len()).filter(|row| !decided.has(first + row));
                    let writes = free.map(|row| (put_row(&rows, row, mark), 1));
                    *ready = writes.collect::<Vec<_>>().into_iter();
                }
                Self::Packed {
                    mark,
                    chunks,
                    hands,
                    ready,
                    keys,
                } => {
                    if let Some(write) = ready.next() {
                        return Ok(Some(write));
                    }
                    let Some(hand) = hands.next() else {
                        return Ok(None);
                    };
                    let mut gathered = Gatherer::default();
                    for chunk in hand {
                        gathered.add(&chunks.rows(chunk)?);
                    }
                    let mut writes = Vec::new();
                    blocks::pack(&gathered.into_rows(), &mut |packed| {
                        keys.push(key(&packed, mark));
                        let n = u64::from(packed.n);
                        writes.push((Write::Put(item::packed::item(&packed, mark)), n));
                    });
                    *ready = writes.into_iter();
                }
            }
        }
    }

    /// Lists the keys of the blocks that were handed out, sorted. Empty for rows.
    pub(super) fn keys(self) -> Vec<String> {
        match self {
            Self::Rows { .. } => Vec::new(),
            Self::Packed { mut keys, .. } => {
                keys.sort();
                keys
            }
        }
    }
}

fn hand(rows: &Rows, row: usize) -> usize {
    let batch = &rows.batch;
    let month = Month::of(batch.started_ms[row]);
    let text = format!("{month} {}", batch.stations.text(batch.origin[row]));
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as usize % HANDS
}

fn key(packed: &Packed, mark: &str) -> String {
    item::packed::key(packed.origin.as_ref(), packed.month, mark, packed.part)
}

fn put_row(rows: &Rows, row: usize, mark: &str) -> Write {
    let row = item::trip::TripRow {
        batch: &rows.batch,
        row,
        member: rows.member[row],
        archive: mark,
    };
    Write::Put(row.item())
}

/// Makes the items of single copies, in the layout of rows.
pub(super) fn put_rows(rows: &Rows, mark: &str) -> impl Iterator<Item = Write> {
    (0..rows.len()).map(move |row| put_row(rows, row, mark))
}

/// Where a copy lies in the packed layout.
fn group_of(copy: &Copy) -> (Option<StationId>, Month) {
    (copy.trip.origin.clone(), Month::of(copy.trip.started_ms))
}

/// Tells whether a text is what follows the mark in a key: a generation, but in the first version
/// of the layout, and the part.
fn is_end_of_key(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((generation, part)) = text.split_once('#') else {
        return false;
    };
    let generation = generation.strip_prefix('-');
    is_number(part) && generation.map_or(text.starts_with('#'), is_number)
}

/// Writes the blocks of an archive anew from which copies go, or to which others come, under the
/// keys of a generation. Returns the keys of all its blocks, should that generation come into
/// force; the blocks before stay as they are.
///
/// The copies are dealt by their stations and months first: what is in memory are those of one of
/// some hundred shares.
pub(super) async fn repack(
    shared: &Shared,
    archive: &Archive,
    generation: u64,
    remove: Option<&Copies>,
    add: Option<&Copies>,
) -> Result<Vec<String>, StoreError> {
    /// Copies of a share, about.
    const SHARE: u64 = 1 << 14;
    let new_tag = tag(&archive.mark(), generation);
    let mut keys: BTreeSet<String> = keys_of(shared, archive).await?.into_iter().collect();
    let n = [remove, add].into_iter().flatten().map(Copies::len);
    let n = (n.sum::<u64>() / SHARE + 1).min(1 << 10) as usize;
    let scratch = Scratch::new()?;
    let mut shares: Vec<(Copies, Copies)> = (0..n)
        .map(|_| (Copies::new(&scratch), Copies::new(&scratch)))
        .collect();
    for (copies, is_added) in [(remove, false), (add, true)] {
        for rows in copies.into_iter().flat_map(Copies::chunks) {
            let mut dealt: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
            for copy in copies_of(&rows?, 0) {
                let (station, month) = group_of(&copy);
                let text = format!("{month} {}", station.as_ref().map_or("", StationId::as_str));
                let share = xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as usize % n;
                dealt.entry(share).or_default().push(copy);
            }
            for (share, copies) in dealt {
                let (removed, added) = &mut shares[share];
                if is_added { added } else { removed }.push(&copies)?;
            }
        }
    }
    for (removed, added) in shares {
        let mut groups: BTreeMap<_, Vec<Copy>> = BTreeMap::new();
        let mut remove: HashSet<(u32, u64)> = HashSet::new();
        for rows in removed.chunks() {
            for copy in copies_of(&rows?, 0) {
                groups.entry(group_of(&copy)).or_default();
                remove.insert((copy.member, copy.line));
            }
        }
        for rows in added.chunks() {
            for copy in copies_of(&rows?, 0) {
                groups.entry(group_of(&copy)).or_default().push(copy);
            }
        }
        let mut puts = Vec::new();
        for (group, added) in groups {
            let old = blocks_of_group(&keys, &group, &archive.mark());
            let mut copies: Vec<Copy> = Vec::new();
            for block in blocks_at(shared, &old).await? {
                let rows = blocks::decode(&block.block).map_err(broken)?;
                copies.extend(copies_of(&rows, 0));
            }
            copies.retain(|copy| !remove.contains(&(copy.member, copy.line)));
            copies.extend(added);
            for key in old {
                keys.remove(&key);
            }
            if !copies.is_empty() {
                blocks::pack(&rows_of(&copies), &mut |packed| {
                    keys.insert(key(&packed, &new_tag));
                    puts.push(Write::Put(item::packed::item(&packed, &new_tag)));
                });
            }
            if puts.len() >= PUTS {
                shared.trips.write_all(std::mem::take(&mut puts)).await?;
            }
        }
        shared.trips.write_all(puts).await?;
    }
    Ok(keys.into_iter().collect())
}

/// Blocks that are written at once where some are written anew: 3 MB at the most.
const PUTS: usize = 100;

/// Lists the keys of the blocks of a station and month of an archive.
fn blocks_of_group(
    keys: &BTreeSet<String>,
    (station, month): &(Option<StationId>, Month),
    mark: &str,
) -> Vec<String> {
    let station = station.as_ref().map_or("", StationId::as_str);
    let prefix = format!("{station}#{month}#{mark}");
    let from = keys.range(prefix.clone()..);
    from.take_while(|key| key.starts_with(&prefix))
        .filter(|key| is_end_of_key(&key[prefix.len()..]))
        .cloned()
        .collect()
}
