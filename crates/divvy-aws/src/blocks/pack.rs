//! The blocks of the packed layout: the rows of an origin and a month, cut to a size.

use divvy::model::{StationAlias, StationId, TripBatch};

use super::{Month, Rows, encode_some};

/// The usual size of a block in bytes: 24 write units.
pub const TARGET_BLOCK: usize = 24 * 1024;
/// The largest size of a block in bytes, unless a single row is larger.
pub const MAX_BLOCK: usize = 32 * 1024;
/// The zstd level of blocks.
pub const PACKED_LEVEL: i32 = 19;
/// The number of rows from whose size that of more rows is estimated.
const PROBE: usize = 2048;

/// A block with the rows of one origin and one month, or with some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// The origin. `None` for trips without an origin.
    pub origin: Option<StationId>,
    /// The local month of the start.
    pub month: Month,
    /// The number of this block among those of the origin and month, from 0.
    pub part: u32,
    /// The number of rows.
    pub n: u32,
    /// The earliest start of its trips: local milliseconds since 1970-01-01T00:00, and seconds east
    /// of UTC. `None` for a block that an older program wrote, whose item does not have it.
    pub first_start: Option<(i64, i32)>,
    /// The encoded rows, by member and line.
    pub block: Vec<u8>,
}

/// Packs rows into blocks of about [`TARGET_BLOCK`] bytes, each with rows of one origin and month
/// in the order of members and lines. The same rows give the same blocks, whatever their order.
pub fn pack(rows: &Rows, each: &mut dyn FnMut(Packed)) {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    pack_some(rows, &all, each);
}

/// Packs some of the rows; see [`pack`].
pub fn pack_some(rows: &Rows, some: &[u32], each: &mut dyn FnMut(Packed)) {
    let batch = &rows.batch;
    // The empty id, of trips without an origin, comes first.
    let ids: Vec<&str> = batch
        .stations
        .iter()
        .map(|text| StationAlias::split(text).0)
        .collect();
    let mut ranks = ids.clone();
    ranks.sort_unstable();
    ranks.dedup();
    let rank_of: Vec<usize> = (ids.iter())
        .map(|id| ranks.binary_search(id).expect("it has all ids"))
        .collect();
    let group = |row: u32| {
        let row = row as usize;
        (
            rank_of[batch.origin[row] as usize],
            Month::of(batch.started_ms[row]),
        )
    };
    let mut order = some.to_vec();
    order.sort_unstable_by_key(|row| {
        let at = *row as usize;
        (group(*row), rows.member[at], batch.line[at], *row)
    });
    for group_rows in order.chunk_by(|a, b| group(*a) == group(*b)) {
        let (rank, month) = group(group_rows[0]);
        let origin = Some(ranks[rank])
            .filter(|id| !id.is_empty())
            .map(StationId::from);
        let mut rest = group_rows;
        for (part, (n, block)) in cut(rows, group_rows).into_iter().enumerate() {
            let (own, others) = rest.split_at(n);
            rest = others;
            each(Packed {
                origin: origin.clone(),
                month,
                part: part as u32,
                n: n as u32,
                first_start: first_start(batch, own),
                block,
            });
        }
    }
}

/// Returns the earliest start of some rows. `None` without rows.
pub fn first_start(batch: &TripBatch, rows: &[u32]) -> Option<(i64, i32)> {
    let start = |row: &u32| {
        let row = *row as usize;
        (batch.started_ms[row], batch.started_offset_s[row])
    };
    rows.iter().map(start).min()
}

/// Encodes rows in as few blocks as possible, all with about the same number of rows. Returns the
/// number of rows of each, and its bytes.
fn cut(rows: &Rows, order: &[u32]) -> Vec<(usize, Vec<u8>)> {
    let encode =
        |some: &[u32]| encode_some(&rows.batch, |row| rows.member[row], some, PACKED_LEVEL);
    let probe = &order[..order.len().min(PROBE)];
    let first = encode(probe);
    let size = first.len() * order.len() / probe.len();
    if size <= TARGET_BLOCK && probe.len() == order.len() {
        return vec![(order.len(), first)];
    }
    let mut n = size.div_ceil(TARGET_BLOCK).clamp(1, order.len());
    loop {
        let rows_each = order.len().div_ceil(n);
        let chunks = order.chunks(rows_each);
        let blocks: Vec<_> = chunks.map(|some| (some.len(), encode(some))).collect();
        let largest = blocks.iter().map(|(_, block)| block.len()).max();
        if rows_each == 1 || largest <= Some(MAX_BLOCK) {
            return blocks;
        }
        // More blocks by the factor by which the largest is too large, and at least one more.
        let factor = largest.unwrap_or(MAX_BLOCK).div_ceil(MAX_BLOCK);
        n = (n * factor).max(n + 1).min(order.len());
    }
}
