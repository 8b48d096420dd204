//! How trips lie in TripData: an item each, or in blocks of a station and a month.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use divvy::model::{StationId, TripId};
use divvy::store::{StoreError, StoreErrorKind};

use super::plan::{Copy, copies_of, rows_of};
use super::spool::{Chunk, Chunks, Sorted};
use super::{Shared, foreign, string_key};
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

/// Reads the rows of a page of items, by archive.
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
                let (block, archive) = item::packed::packed(item).map_err(foreign)?;
                let rows = blocks::decode(&block.block).map_err(broken)?;
                packed.entry(archive).or_default().add(&rows);
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

/// Hands all trips of the archives with these marks to `visit`, until it returns `false`. What
/// carries another mark belongs to a load that was never finished, and does not exist.
pub(super) async fn scan(
    shared: &Shared,
    marks: &HashSet<String>,
    visit: &mut (dyn FnMut(Rows) -> bool + Send),
) -> Result<(), StoreError> {
    let mut from = None;
    loop {
        let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
        for (archive, rows) in rows_of_items(shared.tables.trip_data.layout, &items)? {
            if marks.contains(&archive) && !visit(rows) {
                return Ok(());
            }
        }
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Lists the keys of the items that carry a mark. Reads the whole table.
pub(super) async fn keys_marked(shared: &Shared, mark: &str) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    let mut from = None;
    loop {
        let (items, next) = shared.trips.scan_page((0, 1), from, true).await?;
        for item in &items {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            if text("archive").is_some_and(|archive| archive == mark) {
                keys.extend(text(item::trip::KEY).cloned());
            }
        }
        from = next;
        if from.is_none() {
            return Ok(keys);
        }
    }
}

/// Finds the stored copies of some ids, each with the places of the archives that have it.
pub(super) async fn stored(
    shared: &Shared,
    archives: &[Archive],
    owned: &HashMap<&[u8], &[usize]>,
) -> Result<HashMap<TripId, Copy>, StoreError> {
    let mut found = HashMap::new();
    if owned.is_empty() {
        return Ok(found);
    }
    match shared.tables.trip_data.layout {
        Layout::Rows => {
            let places: HashMap<String, usize> = archives
                .iter()
                .enumerate()
                .map(|(place, archive)| (archive.mark(), place))
                .collect();
            let ids: BTreeSet<&[u8]> = owned.keys().copied().collect();
            let keys = ids
                .into_iter()
                .map(|id| string_key(item::trip::KEY, &String::from_utf8_lossy(id)));
            for item in shared.trips.get_all(keys.collect()).await? {
                let stored = item::trip::trip(&item).map_err(foreign)?;
                if let Some(place) = places.get(&stored.archive) {
                    let copy = Copy {
                        archive: *place,
                        trip: stored.trip,
                        member: stored.member,
                        line: stored.line,
                    };
                    found.insert(copy.trip.id.clone(), copy);
                }
            }
        }
        Layout::Packed => {
            let owners: BTreeSet<usize> = owned.values().copied().flatten().copied().collect();
            for place in owners {
                for key in keys_of(shared, &archives[place]).await?.chunks(100) {
                    for block in blocks_at(shared, key).await? {
                        let rows = blocks::decode(&block.block).map_err(broken)?;
                        for row in 0..rows.len() {
                            if owned.contains_key(rows.batch.id_raw(row)) {
                                let copy = copy_at(&rows, row, place);
                                found.insert(copy.trip.id.clone(), copy);
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

fn copy_at(rows: &Rows, row: usize, archive: usize) -> Copy {
    Copy {
        archive,
        trip: rows.batch.trip(row),
        member: rows.member[row],
        line: rows.batch.line[row],
    }
}

/// Lists the keys of the blocks of an archive.
pub(super) async fn keys_of(shared: &Shared, archive: &Archive) -> Result<Vec<String>, StoreError> {
    let content = archive.content();
    let bytes = shared
        .ledger
        .parts(Some(&content), Part::Keys, archive.parts.keys)
        .await?;
    let mut keys = Vec::new();
    decode_ids(&bytes, |key| {
        keys.push(String::from_utf8_lossy(key).into_owned());
    })?;
    Ok(keys)
}

/// Reads blocks by their keys; those that are not there are left out.
async fn blocks_at(shared: &Shared, keys: &[String]) -> Result<Vec<Packed>, StoreError> {
    let keys = keys.iter().map(|key| string_key(item::trip::KEY, key));
    let items = shared.trips.get_all(keys.collect()).await?;
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
        decided: HashSet<Box<[u8]>>,
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
    /// Prepares the writes of all rows but those of `decided` ids, and of `mine` among the decided.
    pub(super) fn of(
        layout: Layout,
        spool: &mut Sorted,
        mark: String,
        decided: &HashSet<Box<[u8]>>,
        mine: &[Copy],
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
            deal(&rows, &|row| decided.contains(rows.batch.id_raw(row)))?;
        }
        if !mine.is_empty() {
            deal(&rows_of(mine), &|_| false)?;
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
                    let free = (0..rows.len()).filter(|row| {
                        decided.is_empty() || !decided.contains(rows.batch.id_raw(*row))
                    });
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
pub(super) fn put_copies(copies: &[Copy], mark: &str) -> Vec<Write> {
    let rows = rows_of(copies);
    (0..rows.len())
        .map(|row| put_row(&rows, row, mark))
        .collect()
}

/// Where a copy lies in the packed layout.
fn group_of(copy: &Copy) -> (Option<StationId>, Month) {
    (copy.trip.origin.clone(), Month::of(copy.trip.started_ms))
}

/// Takes copies out of the blocks of an archive, and puts others in: the blocks of each station
/// and month in one transaction. Returns the keys of all its blocks from then on.
pub(super) async fn repack(
    shared: &Shared,
    archive: &Archive,
    remove: &[Copy],
    add: &[Copy],
) -> Result<Vec<String>, StoreError> {
    let mark = archive.mark();
    let mut keys: BTreeSet<String> = keys_of(shared, archive).await?.into_iter().collect();
    let groups: BTreeSet<_> = remove.iter().chain(add).map(group_of).collect();
    for group in groups {
        let prefix = item::packed::key(group.0.as_ref(), group.1, &mark, 0);
        let prefix = &prefix[..prefix.len() - 3];
        let of_group = |key: &&String| {
            let part = key.strip_prefix(prefix);
            part.is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let old: Vec<String> = keys.iter().filter(of_group).cloned().collect();
        let mut copies: Vec<Copy> = Vec::new();
        for block in blocks_at(shared, &old).await? {
            let rows = blocks::decode(&block.block).map_err(broken)?;
            copies.extend(copies_of(&rows, 0));
        }
        let same =
            |a: &Copy, b: &Copy| (&a.trip.id, a.member, a.line) == (&b.trip.id, b.member, b.line);
        copies.retain(|copy| !remove.iter().any(|gone| same(copy, gone)));
        for copy in add.iter().filter(|copy| group_of(copy) == group) {
            if !copies.iter().any(|known| same(known, copy)) {
                copies.push(copy.clone());
            }
        }
        let mut puts = Vec::new();
        let mut new = BTreeSet::new();
        if !copies.is_empty() {
            blocks::pack(&rows_of(&copies), &mut |packed| {
                new.insert(key(&packed, &mark));
                puts.push(item::packed::item(&packed, &mark));
            });
        }
        let gone: Vec<String> = old
            .iter()
            .filter(|key| !new.contains(*key))
            .cloned()
            .collect();
        shared
            .trips
            .replace_together(
                puts,
                gone.iter()
                    .map(|key| string_key(item::trip::KEY, key))
                    .collect(),
            )
            .await?;
        for key in gone {
            keys.remove(&key);
        }
        keys.extend(new);
    }
    Ok(keys.into_iter().collect())
}
