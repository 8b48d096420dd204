//! Trips from station to station, with how long they take in outline.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, Unpacker};
use crate::model::{Flags, StationId, TripBatch};

/// Trips by origin, destination and bucket of the duration. Trips without a station at an end are on
/// no route.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    stations: Vec<StationId>,
    places: FxHashMap<StationId, u32>,
    /// By the place of the origin.
    rows: Vec<Row>,
    /// Keys that wait in all rows.
    waiting: usize,
}

/// The trips from one station.
#[derive(Clone, Debug, Default)]
struct Row {
    /// In the order of their keys, each once.
    cells: Vec<Cell>,
    /// Trips that are not yet among the cells: a row is put in order at once, in a near cache.
    waiting: Vec<u32>,
}

/// A key (place of the destination, and the bucket) and how many trips.
type Cell = (u32, i32);

const BUCKET_BITS: u32 = 8;

/// Stations that keys have room for.
const MOST_STATIONS: u32 = 1 << (32 - BUCKET_BITS);

/// Trips that may wait, 4 bytes each, before they are put in order.
const MOST_WAITING: usize = 1 << 23;

fn key(to: u32, bucket: u8) -> u32 {
    to << BUCKET_BITS | u32::from(bucket)
}

fn destination(key: u32) -> u32 {
    key >> BUCKET_BITS
}

impl Row {
    /// Puts in order what waits.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        let same = waiting.chunk_by(|a, b| a == b);
        let new: Vec<Cell> = same.map(|same| (same[0], same.len() as i32)).collect();
        self.add(new);
    }

    /// Adds cells that are in order.
    fn add(&mut self, new: Vec<Cell>) {
        if self.cells.is_empty() {
            self.cells = new;
            return;
        }
        let old = std::mem::take(&mut self.cells);
        let mut all: Vec<Cell> = Vec::with_capacity(old.len() + new.len());
        let mut new = new.into_iter().peekable();
        for cell in old {
            while let Some(less) = new.next_if(|new| new.0 < cell.0) {
                all.push(less);
            }
            let more = new.next_if(|new| new.0 == cell.0).map_or(0, |new| new.1);
            if cell.1 + more != 0 {
                all.push((cell.0, cell.1 + more));
            }
        }
        all.extend(new);
        self.cells = all;
    }

    /// Renames destinations: `to` tells the new place of each old one.
    fn renamed(&self, to: &[u32]) -> Self {
        let new = |key: u32| to[destination(key) as usize] << BUCKET_BITS | key & 0xff;
        let mut cells: Vec<Cell> = self.cells.iter().map(|(key, n)| (new(*key), *n)).collect();
        if !cells.is_sorted_by_key(|cell| cell.0) {
            cells.sort_unstable_by_key(|cell| cell.0);
        }
        Self {
            cells,
            waiting: self.waiting.iter().map(|key| new(*key)).collect(),
        }
    }
}

/// The first second of each bucket from 1 on: each is a twelfth or so longer than the one before.
/// Bucket 0 holds what durations leave out ([`Flags::IMPLAUSIBLE_DURATION`]).
static BUCKETS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    const DAY_S: u32 = 86_400;
    let next = |first: &u32| Some((first * 109).div_ceil(100)).filter(|next| *next <= DAY_S);
    std::iter::successors(Some(60), next).collect()
});

/// By seconds, the bucket.
static BUCKET_OF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bucket = |second| BUCKETS.partition_point(|first| *first <= second) as u8;
    (0..=86_400).map(bucket).collect()
});

/// How far a duration told by its bucket may be from the true one, as a share of it.
pub const DURATION_ERROR: f64 = 0.05;

/// Returns the middle of a bucket in seconds: the geometric mean of its first and last second.
fn middle_s(bucket: u8) -> i64 {
    let first = f64::from(BUCKETS[usize::from(bucket) - 1]);
    let next = BUCKETS.get(usize::from(bucket)).copied().unwrap_or(86_401);
    (first * f64::from(next - 1)).sqrt().round() as i64
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The place of its origin in [`Routes::stations`].
    pub from: u32,
    /// The place of its destination.
    pub to: u32,
    /// Trips.
    pub trips: i64,
    cells: &'a [Cell],
}

impl Route<'_> {
    /// Lists its trips with a plausible duration, by bucket.
    pub fn durations(&self) -> impl Iterator<Item = (u8, i64)> {
        let cells = self.cells.iter();
        let cells = cells.map(|(key, n)| (*key as u8, i64::from(*n)));
        cells.filter(|(bucket, _)| *bucket != 0)
    }
}

/// Returns the median of durations that are known by their buckets, to within [`DURATION_ERROR`].
/// `None` where there is none. `counts` holds the number of durations by bucket.
pub fn median_s(counts: &[i64; 256]) -> Option<i64> {
    let timed = &counts[1..];
    let rank = (timed.iter().sum::<i64>() + 1) / 2;
    let mut seen = 0;
    let bucket = timed.iter().position(|n| {
        seen += n;
        seen >= rank && rank > 0
    })?;
    Some(middle_s(bucket as u8 + 1))
}

impl Routes {
    /// Lists the stations, by the places that routes name.
    pub fn stations(&self) -> &[StationId] {
        &self.stations
    }

    /// Hands each route to `visit`, once it has been settled.
    pub fn each<'a>(&'a self, mut visit: impl FnMut(Route<'a>)) {
        debug_assert_eq!(
            self.waiting, 0,
            "what waits is put in order before it is read"
        );
        for (from, row) in (0..).zip(&self.rows) {
            for cells in row
                .cells
                .chunk_by(|a, b| destination(a.0) == destination(b.0))
            {
                visit(Route {
                    from,
                    to: destination(cells[0].0),
                    trips: cells.iter().map(|(_, n)| i64::from(*n)).sum(),
                    cells,
                });
            }
        }
    }

    /// Puts in order what waits.
    pub(super) fn settle(&mut self) {
        self.rows.iter_mut().for_each(Row::settle);
        self.waiting = 0;
    }

    fn place(&mut self, id: &str) -> u32 {
        let id = StationId::from(id);
        if let Some(place) = self.places.get(&id) {
            return *place;
        }
        let place = self.stations.len() as u32;
        assert!(
            place < MOST_STATIONS,
            "a store has fewer than 16 million station ids"
        );
        self.places.insert(id.clone(), place);
        self.stations.push(id);
        self.rows.push(Row::default());
        place
    }

    pub(super) fn count(&mut self, batch: &TripBatch, times: i64) {
        let ids = batch.stations.iter();
        let place_of: Vec<u32> = ids
            .map(|id| if id.is_empty() { 0 } else { self.place(id) })
            .collect();
        if times < 0 {
            // What is taken back is rare: it is counted by itself.
            let mut back = Self::default();
            back.count(batch, 1);
            back.settle();
            for cell in back.rows.iter_mut().flat_map(|row| &mut row.cells) {
                cell.1 *= times as i32;
            }
            self.merge(&back);
            return;
        }
        let bucket_of = &**BUCKET_OF;
        for row in 0..batch.len() {
            let (from, to) = (batch.origin[row], batch.destination[row]);
            if from == 0 || to == 0 {
                continue;
            }
            let bucket = match batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                true => 0,
                false => {
                    let seconds = usize::try_from(batch.duration_s(row)).unwrap_or(0);
                    bucket_of.get(seconds).copied().unwrap_or(0)
                }
            };
            let key = key(place_of[to as usize], bucket);
            let row = &mut self.rows[place_of[from as usize] as usize];
            row.waiting.push(key);
            self.waiting += 1;
        }
        if self.waiting > MOST_WAITING {
            self.settle();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let ids = other.stations.iter();
        let place_of: Vec<u32> = ids.map(|id| self.place(id.as_str())).collect();
        for (from, row) in place_of.iter().zip(&other.rows) {
            let renamed = row.renamed(&place_of);
            let mine = &mut self.rows[*from as usize];
            mine.add(renamed.cells);
            self.waiting += renamed.waiting.len();
            mine.waiting.extend(renamed.waiting);
        }
        if self.waiting > MOST_WAITING {
            self.settle();
        }
    }
}

impl Pack for Routes {
    fn pack(&self, out: &mut Packer) {
        // Places in the order of ids, whatever the order in which they were met.
        let mut by_id: Vec<usize> = (0..self.stations.len()).collect();
        by_id.sort_by_key(|place| &self.stations[*place]);
        let mut rank_of = vec![0; by_id.len()];
        for (rank, place) in by_id.iter().enumerate() {
            rank_of[*place] = rank as u32;
        }
        let rows = by_id.iter().map(|place| {
            let mut row = self.rows[*place].renamed(&rank_of);
            row.settle();
            row.cells.retain(|(_, n)| *n != 0);
            row.cells
        });
        let mut rows: Vec<Vec<Cell>> = rows.collect();
        let mut is_used = vec![false; by_id.len()];
        for (from, cells) in rows.iter().enumerate() {
            is_used[from] |= !cells.is_empty();
            for (key, _) in cells {
                is_used[destination(*key) as usize] = true;
            }
        }
        if is_used.iter().all(|is_used| !is_used) {
            return;
        }
        if !is_used.iter().all(|is_used| *is_used) {
            // Stations that no trip names any more leave their ranks to those behind them.
            let mut left = 0;
            let new: Vec<u32> = (is_used.iter())
                .map(|is_used| {
                    left += u32::from(*is_used);
                    left.saturating_sub(1)
                })
                .collect();
            for (key, _) in rows.iter_mut().flatten() {
                *key = new[destination(*key) as usize] << BUCKET_BITS | *key & 0xff;
            }
        }
        let used = (0..by_id.len()).filter(|rank| is_used[*rank]);
        let used: Vec<usize> = used.collect();
        out.texts(used.iter().map(|rank| self.stations[by_id[*rank]].as_str()));
        let rows: Vec<&Vec<Cell>> = used.iter().map(|rank| &rows[*rank]).collect();
        // Numbers of one kind stand together: they are alike, and so compress.
        let routes = |cells: &[Cell]| -> Vec<std::ops::Range<usize>> {
            let mut start = 0;
            let routes = cells.chunk_by(|a, b| destination(a.0) == destination(b.0));
            routes
                .map(|route| {
                    start += route.len();
                    start - route.len()..start
                })
                .collect()
        };
        let all_routes: Vec<Vec<std::ops::Range<usize>>> =
            rows.iter().map(|cells| routes(cells)).collect();
        for (cells, routes) in rows.iter().zip(&all_routes) {
            out.size(routes.len());
            let mut last = 0;
            for route in routes {
                let to = destination(cells[route.start].0);
                out.number(u64::from(to - last));
                last = to;
            }
        }
        for route in all_routes.iter().flatten() {
            out.size(route.len());
        }
        for (cells, routes) in rows.iter().zip(&all_routes) {
            for route in routes {
                let mut last = 0;
                for (key, _) in &cells[route.clone()] {
                    out.number(u64::from(*key as u8 - last));
                    last = *key as u8;
                }
            }
        }
        for (_, n) in rows.iter().flat_map(|cells| cells.iter()) {
            out.signed(i64::from(*n));
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let stations: Vec<StationId> = bytes.texts()?.into_iter().map(Into::into).collect();
        let mut routes: Vec<Vec<u32>> = Vec::with_capacity(stations.len());
        for _ in 0..stations.len() {
            let mut to = 0;
            let mut row = Vec::new();
            for _ in 0..bytes.size()? {
                to += u32::try_from(bytes.number()?).ok()?;
                if to as usize >= stations.len() {
                    return None;
                }
                row.push(to);
            }
            routes.push(row);
        }
        let mut sizes = Vec::new();
        for _ in routes.iter().flatten() {
            sizes.push(bytes.size()?);
        }
        let mut sizes = sizes.into_iter();
        let mut rows = Vec::with_capacity(stations.len());
        for routes in &routes {
            let mut cells = Vec::with_capacity(routes.len() * 2);
            for (to, size) in routes.iter().zip(&mut sizes) {
                let mut bucket = 0_u8;
                for _ in 0..size {
                    bucket = bucket.checked_add(u8::try_from(bytes.number()?).ok()?)?;
                    cells.push((key(*to, bucket), 0));
                }
            }
            rows.push(Row {
                cells,
                waiting: Vec::new(),
            });
        }
        for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
            cell.1 = bytes.signed()? as i32;
        }
        Some(Self {
            places: stations.iter().cloned().zip(0..).collect(),
            stations,
            rows,
            waiting: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_tells_a_duration_to_a_twentieth() {
        for second in 60..=86_400_u32 {
            let middle = middle_s(BUCKET_OF[second as usize]) as f64;
            let error = (middle / f64::from(second) - 1.0).abs();
            assert!(error <= DURATION_ERROR, "{second} s: {middle}");
        }
        assert_eq!(BUCKET_OF[59], 0);
        assert!(BUCKETS.len() < 255);
    }
}
