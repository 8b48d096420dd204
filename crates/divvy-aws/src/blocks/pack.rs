//! Rows cut into the blocks of the packed layout.

use std::fmt;
use std::str::FromStr;

use divvy::model::StationId;

use super::{Rows, encode_some};

/// Blocks are cut to about this size in bytes: 24 write units.
pub const TARGET_BLOCK: usize = 24 * 1024;
/// No block is larger, unless a single row is.
pub const MAX_BLOCK: usize = 32 * 1024;
/// The level of zstd for blocks that stay.
pub const PACKED_LEVEL: i32 = 19;
/// Rows by which the size of more rows is foretold.
const PROBE: usize = 2048;

/// A month on the system's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(
    /// Months since January 1970.
    pub i64,
);

impl Month {
    /// Returns the month of a wall-clock time, in milliseconds since 1970-01-01T00:00.
    ///
    /// Days to months as in <https://howardhinnant.github.io/date_algorithms.html>, since no
    /// calendar reaches as far as the numbers do.
    pub fn of(local_ms: i64) -> Self {
        const DAYS_OF_400_YEARS: i64 = 146_097;
        let days = local_ms.div_euclid(86_400_000) + 719_468;
        let era = days.div_euclid(DAYS_OF_400_YEARS);
        let day = days.rem_euclid(DAYS_OF_400_YEARS);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Years begin in March there.
        let month = (5 * day + 2) / 153;
        Self((400 * era + year) * 12 + month + 2 - 1970 * 12)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = (1970 + self.0.div_euclid(12), self.0.rem_euclid(12) + 1);
        write!(f, "{year:04}-{month:02}")
    }
}

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a month such as 2016-07, found {found:?}")]
pub struct NoMonth {
    found: String,
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let read = || {
            let (year, month) = text.rsplit_once('-')?;
            let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
            let month = Self((year.checked_sub(1970)?).checked_mul(12)? + month - 1);
            (month.to_string() == text).then_some(month)
        };
        read().ok_or_else(|| NoMonth { found: text.into() })
    }
}

/// The rows of one origin and one month, or a part of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Where all of them start. `None` for trips without an origin.
    pub origin: Option<StationId>,
    /// The local month in which all of them start.
    pub month: Month,
    /// Which part of that month, from 0.
    pub part: u32,
    /// How many rows.
    pub n: u32,
    /// The rows, by member and line.
    pub block: Vec<u8>,
}

/// Packs rows: all of one origin and month go together, in the order of members and lines, cut
/// into blocks of about [`TARGET_BLOCK`] bytes. The same rows make the same blocks, in whatever
/// order they come.
pub fn pack(rows: &Rows, each: &mut dyn FnMut(Packed)) {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    pack_some(rows, &all, each);
}

/// Packs some of the rows; see [`pack`].
pub fn pack_some(rows: &Rows, some: &[u32], each: &mut dyn FnMut(Packed)) {
    let batch = &rows.batch;
    let mut ranks: Vec<u32> = (0..batch.stations.len() as u32).collect();
    ranks.sort_by_key(|place| (*place != 0, batch.stations.text(*place)));
    let mut rank_of = vec![0; ranks.len()];
    for (rank, place) in ranks.iter().enumerate() {
        rank_of[*place as usize] = rank;
    }
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
        let origin = batch.stations.get(ranks[rank]).map(StationId::from);
        for (part, (n, block)) in cut(rows, group_rows).into_iter().enumerate() {
            each(Packed {
                origin: origin.clone(),
                month,
                part: part as u32,
                n: n as u32,
                block,
            });
        }
    }
}

/// Encodes rows in as few parts as it takes, all of about the same number of rows.
fn cut(rows: &Rows, order: &[u32]) -> Vec<(usize, Vec<u8>)> {
    let encode =
        |some: &[u32]| encode_some(&rows.batch, |row| rows.member[row], some, PACKED_LEVEL);
    let probe = &order[..order.len().min(PROBE)];
    let first = encode(probe);
    let size = first.len() * order.len() / probe.len();
    if size <= TARGET_BLOCK && probe.len() == order.len() {
        return vec![(order.len(), first)];
    }
    let mut parts = size.div_ceil(TARGET_BLOCK).clamp(1, order.len());
    loop {
        let rows_a_part = order.len().div_ceil(parts);
        let chunks = order.chunks(rows_a_part);
        let blocks: Vec<_> = chunks.map(|some| (some.len(), encode(some))).collect();
        let largest = blocks.iter().map(|(_, block)| block.len()).max();
        if rows_a_part == 1 || largest <= Some(MAX_BLOCK) {
            return blocks;
        }
        // By what the largest is too large, and by one part at least.
        let factor = largest.unwrap_or(MAX_BLOCK).div_ceil(MAX_BLOCK);
        parts = (parts * factor).max(parts + 1).min(order.len());
    }
}
