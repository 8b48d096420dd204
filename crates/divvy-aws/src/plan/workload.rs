//! The sizes of all items and blocks of a load.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use divvy::model::StationAlias;
use divvy::tally::{Tally, Totals};
use xxhash_rust::xxh3::xxh3_64;

use crate::blocks::{self, Month, Rows};
use crate::duplicate_estimate::{DuplicateEstimate, Partition, PartitionFiles, on_all_cores};
use crate::item::packed;
use crate::item::size::{CONSISTENT_READ_UNIT_BYTES, PAGE_BYTES, write_units};
use crate::item::trip::TripRow;
use crate::ledger::{SECTION_LEVEL, encode_ids, encode_totals};

/// Bytes that DynamoDB adds to every item and every index entry for storage.
const STORAGE_OVERHEAD: u64 = 100;
/// The measured average size of the items of the original program, half of it names.
const PROOF_OF_CONCEPT_ITEM_BYTES: u64 = 276;
/// The most ids in memory. The size of further ones is estimated from these.
const MAX_IDS: usize = 4_000_000;

/// The sizes of what a load writes and a refresh reads, for all methods of loading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// Stored trips.
    pub rows: u64,
    /// Duplicates.
    pub copies: u64,
    /// Stored trips with an origin: the entries of the index.
    pub rows_with_origin: u64,
    /// One item for each trip.
    pub items: Items,
    /// Blocks. `None` where they were not measured.
    pub blocks: Option<Items>,
    /// Read units to count all origins by an index of whole items, as in the original program.
    pub whole_items_read_units: f64,
    /// Bytes of the items as DynamoDB JSON, unpacked.
    pub json_bytes: u64,
    /// Origins. Each has a row in StationData and one in FromStationCounts.
    pub origins: u64,
    /// Bytes of LoadLedger: totals of each archive and of all, and ids.
    pub ledger_bytes: u64,
    /// Bytes of the cubes among them.
    pub cube_bytes: u64,
    /// Bytes of totals over all archives that the next archive replaces: they are written and
    /// deleted.
    pub ledger_replaced_bytes: u64,
}

/// Items of TripData and entries of its index.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Items {
    /// The number of items.
    pub n: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Write units of the table.
    pub write_units: u64,
    /// The number of entries of the index.
    pub index_n: u64,
    /// Their bytes: keys and projected attributes.
    pub index_bytes: u64,
    /// Write units of the index.
    pub index_write_units: u64,
    /// Read units to count all origins once by the index.
    pub count_read_units: f64,
}

impl Items {
    /// Returns the bytes of storage that are billed.
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

/// Returns the units to read the entries of one key, page by page.
fn read_units(bytes: u64) -> f64 {
    let pages = bytes / PAGE_BYTES * (PAGE_BYTES / CONSISTENT_READ_UNIT_BYTES);
    let halves = pages + (bytes % PAGE_BYTES).div_ceil(CONSISTENT_READ_UNIT_BYTES);
    halves.max(1) as f64 / 2.0
}

/// The bytes of an origin that a count reads, for each form of index.
#[derive(Clone, Copy, Default)]
struct Origin {
    entries: u64,
    whole_items: u64,
    blocks: u64,
}

type Origins = HashMap<Box<str>, Origin>;

/// The sizes of one partition.
#[derive(Default)]
struct Sizes {
    items: Items,
    copies: u64,
    json_bytes: u64,
    origins: Origins,
}

/// The ids of stored trips, one after another.
#[derive(Default)]
struct Ids {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    left_out: u64,
}

/// Measures the trips of archives; as blocks, which takes longest, only if `packed`.
///
/// The sizes of items, blocks and JSON are exactly those that a load writes. So is the size of the
/// ids in the ledger, up to 4 million of them.
///
/// # Errors
///
/// The temporary files cannot be read or written.
pub fn measure(estimate: &DuplicateEstimate, packed: bool) -> io::Result<Workload> {
    let ids = Mutex::new(Ids::default());
    let by_month = if packed {
        Some(PartitionFiles::new(estimate.partitions())?)
    } else {
        None
    };
    let all_sizes = on_all_cores(estimate.partitions(), |index| {
        let partition = estimate.partition(index)?;
        ids.lock()
            .expect("no holder of this lock panics")
            .add(&partition);
        if let Some(by_month) = &by_month {
            let rows = &partition.rows;
            let group = |row: u32| group_hash(rows, row as usize);
            by_month.put(rows, partition.kept.iter().copied(), group)?;
        }
        Ok::<_, io::Error>(item_sizes(estimate, &partition))
    })?;
    let mut workload = Workload::default();
    let mut origins = Origins::new();
    for sizes in all_sizes {
        workload.copies += sizes.copies;
        workload.json_bytes += sizes.json_bytes;
        workload.items.merge(&sizes.items);
        merge(&mut origins, sizes.origins);
    }
    if let Some(by_month) = by_month {
        let all_sizes = on_all_cores(by_month.len(), |index| {
            Ok::<_, io::Error>(block_sizes(estimate, &by_month.read(index)?))
        })?;
        let mut blocks = Items::default();
        for sizes in all_sizes {
            blocks.merge(&sizes.items);
            merge(&mut origins, sizes.origins);
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
    let ids = ids.into_inner().expect("no holder of this lock panics");
    add_totals(estimate, &mut workload);
    workload.ledger_bytes += ids.packed_bytes();
    Ok(workload)
}

/// Returns a hash of origin, month and archive of a row: rows that are packed together have the
/// same.
fn group_hash(rows: &Rows, row: usize) -> u64 {
    let (archive, _) = DuplicateEstimate::source_of(rows.member[row]);
    let month = Month::of(rows.batch.started_ms[row]).0;
    let origin = xxh3_64(rows.batch.origin_id(row).as_bytes());
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

fn item_sizes(estimate: &DuplicateEstimate, partition: &Partition) -> Sizes {
    let Partition { rows, kept } = partition;
    let batch = &rows.batch;
    let mut sizes = Sizes {
        copies: (rows.len() - kept.len()) as u64,
        ..Sizes::default()
    };
    let mut origins = vec![Origin::default(); batch.stations.len()];
    let mut json = Vec::new();
    for row in kept {
        let row = *row as usize;
        let (archive, member) = DuplicateEstimate::source_of(rows.member[row]);
        let trip = TripRow {
            batch,
            row,
            member,
            archive: &estimate.sources[archive].tag,
        };
        let (bytes, entry) = (trip.bytes(), trip.index_bytes());
        sizes.items.add(bytes, entry);
        json.clear();
        trip.write_json(&mut json);
        sizes.json_bytes += (json.len() + "{\"Item\":}\n".len()) as u64;
        if let Some(entry) = entry {
            let origin = &mut origins[batch.origin[row] as usize];
            origin.entries += entry;
            origin.whole_items += PROOF_OF_CONCEPT_ITEM_BYTES;
        }
    }
    let named = batch.stations.iter().zip(origins);
    let used = named.filter(|(_, origin)| origin.entries > 0);
    for (alias, origin) in used {
        let (id, _) = StationAlias::split(alias);
        merge(&mut sizes.origins, Origins::from([(id.into(), origin)]));
    }
    sizes
}

fn block_sizes(estimate: &DuplicateEstimate, rows: &Rows) -> Sizes {
    let mut sizes = Sizes::default();
    let mut by_archive: Vec<Vec<u32>> = vec![Vec::new(); estimate.sources.len()];
    for (row, member) in rows.member.iter().enumerate() {
        by_archive[DuplicateEstimate::source_of(*member).0].push(row as u32);
    }
    for (source, some) in estimate.sources.iter().zip(&by_archive) {
        blocks::pack_some(rows, some, &mut |block| {
            let entry = packed::index_bytes(&block, &source.tag);
            sizes.items.add(packed::bytes(&block, &source.tag), entry);
            if let (Some(id), Some(entry)) = (block.origin, entry) {
                sizes.origins.entry(id.as_str().into()).or_default().blocks += entry;
            }
        });
    }
    sizes
}

/// Returns the bytes of a section of the ledger.
fn section_bytes(bytes: &[u8]) -> u64 {
    let packed = zstd::bulk::compress(bytes, SECTION_LEVEL);
    packed.expect("memory takes any bytes").len() as u64
}

/// Adds the totals of each archive, and those over all archives up to it.
fn add_totals(estimate: &DuplicateEstimate, workload: &mut Workload) {
    let mut all = Totals::default();
    let (mut last, mut all_cube) = (0, 0);
    for source in &estimate.sources {
        all.merge(&source.read.totals);
        let [own, own_cube] = encode_totals(&source.read.totals).map(|bytes| section_bytes(&bytes));
        let [sum, sum_cube] = encode_totals(&all).map(|bytes| section_bytes(&bytes));
        workload.ledger_bytes += own + own_cube;
        workload.cube_bytes += own_cube;
        workload.ledger_replaced_bytes += std::mem::replace(&mut last, sum + sum_cube);
        all_cube = sum_cube;
    }
    workload.ledger_bytes += last;
    workload.cube_bytes += all_cube;
}

impl Ids {
    fn add(&mut self, partition: &Partition) {
        for row in &partition.kept {
            if self.ends.len() == MAX_IDS {
                self.left_out += 1;
                continue;
            }
            let id = partition.rows.batch.id_raw(*row as usize);
            self.bytes.extend_from_slice(id);
            self.ends.push(self.bytes.len());
        }
    }

    /// Returns the bytes of the section of ids in the ledger.
    fn packed_bytes(&self) -> u64 {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        let mut ids: Vec<&[u8]> = ranges
            .map(|(start, end)| &self.bytes[start..*end])
            .collect();
        ids.sort_unstable();
        let measured = ids.len().max(1) as f64;
        let bytes = section_bytes(&encode_ids(ids.into_iter())) as f64;
        (bytes * (1.0 + self.left_out as f64 / measured)) as u64
    }
}
