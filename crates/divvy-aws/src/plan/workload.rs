//! How much there is to write: every item weighed, every block made.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use divvy::tally::{Tally, Totals};
use xxhash_rust::xxh3::xxh3_64;

use crate::blocks::{self, Month, Rows};
use crate::buckets::Buckets;
use crate::item::packed;
use crate::item::size::write_units;
use crate::item::trip::TripRow;
use crate::sift::{Share, Sifted, on_all_cores};

/// Bytes that a read unit reads where reads need not see the newest write.
const READ_UNIT: u64 = 8192;
/// Half of one: what the bytes of a page are rounded up to.
const HALF_READ_UNIT: u64 = 4096;
/// A page of a query holds at most this.
const PAGE: u64 = 1 << 20;
/// Bytes that DynamoDB adds to every item and every index entry, for storage alone.
const STORAGE_OVERHEAD: u64 = 100;
/// Bytes of an item as the proof of concept wrote it, on average, half of them names: measured.
const SEED_ITEM_BYTES: u64 = 276;
/// Ids that are held to be sorted; of more, some stand for all.
const IDS_HELD: usize = 4_000_000;
/// The level at which the ledger packs its parts.
const LEDGER_LEVEL: i32 = 9;

/// What a load has to write and a refresh to read, whichever way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// Trips, each once.
    pub rows: u64,
    /// Copies of trips, left out.
    pub copies: u64,
    /// Those with an origin: the index has them.
    pub rows_with_origin: u64,
    /// As one item a trip.
    pub items: Items,
    /// As blocks. `None` where they were not asked for.
    pub blocks: Option<Items>,
    /// Read units to count all origins where the index has whole items, as the proof of concept's.
    pub whole_items_read_units: f64,
    /// Bytes of the items as DynamoDB JSON, unpacked.
    pub json_bytes: u64,
    /// Origins: each has a row in StationData and one in FromStationCounts.
    pub origins: u64,
    /// Bytes of what LoadLedger keeps: totals (of the archives, and once more of all) and ids.
    pub ledger_bytes: u64,
    /// Bytes of the cube among them, from which reports are answered.
    pub cube_bytes: u64,
    /// Bytes of totals over all archives that a later archive's take the place of: they are
    /// written, and deleted again.
    pub ledger_replaced_bytes: u64,
}

/// Items of TripData and entries of its index.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Items {
    /// Items.
    pub n: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Write units of the table.
    pub write_units: u64,
    /// Entries of the index.
    pub index_n: u64,
    /// Their bytes, keys and what is projected.
    pub index_bytes: u64,
    /// Write units of the index.
    pub index_write_units: u64,
    /// Units to read the entries of all origins once, as a recount does.
    pub count_read_units: f64,
}

impl Items {
    /// Bytes that are stored, and billed for.
    pub fn stored_bytes(&self) -> u64 {
        self.bytes + self.index_bytes + STORAGE_OVERHEAD * (self.n + self.index_n)
    }

    fn add(&mut self, bytes: u64, entry: Option<u64>) {
        self.n += 1;
        self.bytes += bytes;
        self.write_units += write_units(bytes);
        if let Some(bytes) = entry {
            self.index_n += 1;
            self.index_bytes += bytes;
            self.index_write_units += write_units(bytes);
        }
    }

    fn merge(&mut self, other: &Self) {
        let Self {
            n,
            bytes,
            write_units,
            index_n,
            index_bytes,
            index_write_units,
            count_read_units,
        } = other;
        self.n += n;
        self.bytes += bytes;
        self.write_units += write_units;
        self.index_n += index_n;
        self.index_bytes += index_bytes;
        self.index_write_units += index_write_units;
        self.count_read_units += count_read_units;
    }
}

/// Returns the units to read that many bytes of one key, page by page.
fn read_units(bytes: u64) -> f64 {
    let pages = bytes / PAGE * (PAGE / HALF_READ_UNIT);
    let halves = pages + (bytes % PAGE).div_ceil(HALF_READ_UNIT);
    halves.max(1) as f64 / (READ_UNIT / HALF_READ_UNIT) as f64
}

/// Bytes of one origin, as a count reads them.
#[derive(Clone, Copy, Default)]
struct Origin {
    entries: u64,
    whole_items: u64,
    blocks: u64,
}

type Origins = HashMap<Box<str>, Origin>;

/// One bucket's part.
#[derive(Default)]
struct Part {
    items: Items,
    copies: u64,
    json_bytes: u64,
    origins: Origins,
}

/// Ids one after another.
#[derive(Default)]
struct Ids {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    left_out: u64,
}

/// Weighs the trips of archives. Blocks, which take longest to make, are made if `packed`.
///
/// The sizes of items, blocks and JSON are those that a load writes. The ids in the ledger are
/// packed as the ledger packs them, up to 4 million; of more, as many stand for all.
///
/// # Errors
///
/// Those of reading back what was sifted.
pub fn measure(sifted: &Sifted, packed: bool) -> io::Result<Workload> {
    let ids = Mutex::new(Ids::default());
    let by_month = match packed {
        true => Some(Buckets::new(sifted.buckets())?),
        false => None,
    };
    let parts = on_all_cores(sifted.buckets(), |bucket| {
        let share = sifted.share(bucket)?;
        ids.lock()
            .expect("no holder of this lock panics")
            .add(&share);
        if let Some(by_month) = &by_month {
            let group = |row: u32| group(&share.rows, row as usize);
            by_month.put(&share.rows, share.kept.iter().copied(), group)?;
        }
        Ok::<_, io::Error>(weigh(sifted, &share))
    })?;
    let mut workload = Workload::default();
    let mut origins = Origins::new();
    for part in parts {
        workload.copies += part.copies;
        workload.json_bytes += part.json_bytes;
        workload.items.merge(&part.items);
        merge(&mut origins, part.origins);
    }
    if let Some(by_month) = by_month {
        let parts = on_all_cores(by_month.len(), |bucket| {
            Ok::<_, io::Error>(weigh_blocks(sifted, &by_month.read(bucket)?))
        })?;
        let mut blocks = Items::default();
        for part in parts {
            blocks.merge(&part.items);
            merge(&mut origins, part.origins);
        }
        blocks.count_read_units = origins
            .values()
            .map(|origin| read_units(origin.blocks))
            .sum();
        workload.blocks = Some(blocks);
    }
    workload.rows = workload.items.n;
    workload.rows_with_origin = workload.items.index_n;
    workload.origins = origins.len() as u64;
    let of = |bytes: fn(&Origin) -> u64| origins.values().map(|o| read_units(bytes(o))).sum();
    workload.items.count_read_units = of(|origin| origin.entries);
    workload.whole_items_read_units = of(|origin| origin.whole_items);
    let ids = ids.into_inner().expect("nobody panicked with it");
    weigh_totals(sifted, &mut workload);
    workload.ledger_bytes += ids.packed_bytes();
    Ok(workload)
}

/// Tells origin, month and archive of a row, in a number: what is packed together must meet.
fn group(rows: &Rows, row: usize) -> u64 {
    let (archive, _) = Sifted::origin_of(rows.member[row]);
    let month = Month::of(rows.batch.started_ms[row]).0;
    let origin = xxh3_64(rows.batch.stations.text(rows.batch.origin[row]).as_bytes());
    let of = [
        origin.to_le_bytes(),
        month.to_le_bytes(),
        archive.to_le_bytes(),
    ];
    xxh3_64(of.as_flattened())
}

fn merge(all: &mut Origins, some: Origins) {
    for (id, origin) in some {
        let sum = all.entry(id).or_default();
        sum.entries += origin.entries;
        sum.whole_items += origin.whole_items;
        sum.blocks += origin.blocks;
    }
}

fn weigh(sifted: &Sifted, share: &Share) -> Part {
    let batch = &share.rows.batch;
    let mut part = Part {
        copies: (share.rows.len() - share.kept.len()) as u64,
        ..Part::default()
    };
    let mut origins = vec![Origin::default(); batch.stations.len()];
    let mut json = Vec::new();
    for row in &share.kept {
        let row = *row as usize;
        let (archive, member) = Sifted::origin_of(share.rows.member[row]);
        let trip = TripRow {
            batch,
            row,
            member,
            archive: &sifted.sources[archive].tag,
        };
        let (bytes, entry) = (trip.bytes(), trip.index_bytes());
        part.items.add(bytes, entry);
        json.clear();
        trip.write_json(&mut json);
        part.json_bytes += (json.len() + "{\"Item\":}\n".len()) as u64;
        if let Some(entry) = entry {
            let origin = &mut origins[batch.origin[row] as usize];
            origin.entries += entry;
            origin.whole_items += SEED_ITEM_BYTES;
        }
    }
    let named = batch.stations.iter().zip(origins);
    let there = named.filter(|(_, origin)| origin.entries > 0);
    part.origins = there.map(|(id, origin)| (id.into(), origin)).collect();
    part
}

fn weigh_blocks(sifted: &Sifted, rows: &Rows) -> Part {
    let mut part = Part::default();
    let mut by_archive: Vec<Vec<u32>> = vec![Vec::new(); sifted.sources.len()];
    for (row, member) in rows.member.iter().enumerate() {
        by_archive[Sifted::origin_of(*member).0].push(row as u32);
    }
    for (source, some) in sifted.sources.iter().zip(&by_archive) {
        blocks::pack_some(rows, some, &mut |block| {
            let entry = packed::index_bytes(&block, &source.tag);
            part.items.add(packed::bytes(&block, &source.tag), entry);
            if let (Some(id), Some(entry)) = (block.origin, entry) {
                part.origins.entry(id.as_str().into()).or_default().blocks += entry;
            }
        });
    }
    part
}

fn packed_len(bytes: &[u8]) -> u64 {
    let packed = zstd::bulk::compress(bytes, LEDGER_LEVEL);
    packed.expect("memory takes any bytes").len() as u64
}

/// Weighs the totals of each archive, and of all that are loaded when it is.
fn weigh_totals(sifted: &Sifted, workload: &mut Workload) {
    let mut all = Totals::default();
    let (mut last, mut all_cube) = (0, 0);
    for source in &sifted.sources {
        all.merge(&source.read.totals);
        let [own, own_cube] = totals_bytes(&source.read.totals);
        let [sum, sum_cube] = totals_bytes(&all);
        workload.ledger_bytes += own + own_cube;
        workload.cube_bytes += own_cube;
        workload.ledger_replaced_bytes += std::mem::replace(&mut last, sum + sum_cube);
        all_cube = sum_cube;
    }
    workload.ledger_bytes += last;
    workload.cube_bytes += all_cube;
}

/// Returns the bytes of totals, packed as the ledger packs them, and of their cube.
fn totals_bytes(totals: &Totals) -> [u64; 2] {
    let mut totals = totals.clone();
    let cube = std::mem::take(&mut totals.cube);
    let [base, cube] = [postcard::to_stdvec(&totals), postcard::to_stdvec(&cube)]
        .map(|bytes| packed_len(&bytes.expect("totals are maps, lists and numbers")));
    [base, cube]
}

impl Ids {
    fn add(&mut self, share: &Share) {
        for row in &share.kept {
            if self.ends.len() == IDS_HELD {
                self.left_out += 1;
                continue;
            }
            self.bytes
                .extend_from_slice(share.rows.batch.id_raw(*row as usize));
            self.ends.push(self.bytes.len());
        }
    }

    /// Sorted, each as what it shares with the one before and the rest, and packed: as the ledger
    /// keeps them.
    fn packed_bytes(&self) -> u64 {
        let start = |place: usize| place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut ids: Vec<&[u8]> = (0..self.ends.len())
            .map(|place| &self.bytes[start(place)..self.ends[place]])
            .collect();
        ids.sort_unstable();
        let mut bytes = Vec::with_capacity(self.bytes.len() / 2);
        let mut before: &[u8] = &[];
        for id in &ids {
            let shared = before.iter().zip(*id).take_while(|(a, b)| a == b).count();
            bytes.extend([shared as u8, (id.len() - shared) as u8]);
            bytes.extend_from_slice(&id[shared..]);
            before = id;
        }
        let held = ids.len().max(1) as f64;
        (packed_len(&bytes) as f64 * (1.0 + self.left_out as f64 / held)) as u64
    }
}
