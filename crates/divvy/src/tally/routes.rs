//! Trips from station to station, with how long they take in outline.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, Unpacker};
use crate::model::{Flags, StationId, TripBatch};

/// Trips by origin, destination and [`bucket`] of the duration. Trips without a station at an end
/// are on no route.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    stations: Vec<StationId>,
    places: FxHashMap<StationId, u32>,
    /// Each in the order of its keys, the longer ones first; a key may stand in several.
    runs: Vec<Vec<Cell>>,
}

/// A key (places of origin and destination, and the bucket) and how many trips.
type Cell = (u64, i32);

const PLACE_BITS: u32 = 24;
const BUCKET_BITS: u32 = 8;

fn key(from: u32, to: u32, bucket: u8) -> u64 {
    (u64::from(from) << PLACE_BITS | u64::from(to)) << BUCKET_BITS | u64::from(bucket)
}

fn ends(key: u64) -> (u32, u32) {
    let mask = (1 << PLACE_BITS) - 1;
    let (from, to) = (key >> (PLACE_BITS + BUCKET_BITS), key >> BUCKET_BITS);
    (from as u32, (to & mask) as u32)
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// Where its trips start.
    pub from: &'a StationId,
    /// Where they end.
    pub to: &'a StationId,
    /// How many.
    pub trips: i64,
    cells: &'a [Cell],
}

impl Route<'_> {
    /// Returns how many of its trips have a plausible duration.
    pub fn timed(&self) -> i64 {
        timed(self.cells).map(|(_, n)| i64::from(n)).sum()
    }

    /// Hands on its trips with a plausible duration, by bucket.
    pub fn durations(&self) -> impl Iterator<Item = (u8, i64)> {
        timed(self.cells).map(|(bucket, n)| (bucket, i64::from(n)))
    }
}

fn timed(cells: &[Cell]) -> impl Iterator<Item = (u8, i32)> {
    cells
        .iter()
        .map(|(key, n)| (*key as u8, *n))
        .filter(|(bucket, _)| *bucket != 0)
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

/// Bits of a station's rank in half a key.
const RANK_BITS: u32 = 12;

/// Counts the routes of a batch by keys, in the order of these.
fn sorted<K: Ord + Copy>(batch: &TripBatch, key: impl Fn(usize, usize, u8) -> K) -> Vec<(K, i32)> {
    let bucket_of = &**BUCKET_OF;
    let mut keys = Vec::with_capacity(batch.len());
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
        keys.push(key(from as usize, to as usize, bucket));
    }
    keys.sort_unstable();
    let same = keys.chunk_by(|a, b| a == b);
    same.map(|same| (same[0], same.len() as i32)).collect()
}

/// Puts cells in the order of their keys: first each to its origin, then those of an origin, which
/// fit into a near cache.
fn sort(cells: &mut [Cell], stations: usize) {
    let origin = |cell: &Cell| ends(cell.0).0 as usize;
    let mut ends_at = vec![0; stations + 1];
    for cell in cells.iter() {
        ends_at[origin(cell) + 1] += 1;
    }
    for at in 1..ends_at.len() {
        ends_at[at] += ends_at[at - 1];
    }
    let mut moved = vec![(0, 0); cells.len()];
    for cell in cells.iter() {
        let slot = &mut ends_at[origin(cell)];
        moved[*slot] = *cell;
        *slot += 1;
    }
    for cells in moved.chunk_by_mut(|a, b| origin(a) == origin(b)) {
        cells.sort_unstable_by_key(|cell| cell.0);
    }
    cells.copy_from_slice(&moved);
}

impl Routes {
    /// Hands each route to `visit`, in no promised order.
    pub fn each<'a>(&'a self, mut visit: impl FnMut(Route<'a>)) {
        let [cells] = &self.runs[..] else {
            debug_assert!(self.runs.is_empty(), "they are merged before they are read");
            return;
        };
        for cells in cells.chunk_by(|a, b| a.0 >> BUCKET_BITS == b.0 >> BUCKET_BITS) {
            let (from, to) = ends(cells[0].0);
            visit(Route {
                from: &self.stations[from as usize],
                to: &self.stations[to as usize],
                trips: cells.iter().map(|(_, n)| i64::from(*n)).sum(),
                cells,
            });
        }
    }

    /// Makes one run of all.
    pub(super) fn settle(&mut self) {
        while self.runs.len() > 1 {
            self.merge_last_two();
        }
    }

    fn place(&mut self, id: &str) -> u32 {
        // A key has room for 16 million stations; the files of a broken publisher, for fewer.
        let id = StationId::from(id);
        if let Some(place) = self.places.get(&id) {
            return *place;
        }
        let place = self.stations.len() as u32;
        assert!(
            place < 1 << PLACE_BITS,
            "a store has fewer than 16 million station ids"
        );
        self.places.insert(id.clone(), place);
        self.stations.push(id);
        place
    }

    pub(super) fn count(&mut self, batch: &TripBatch, times: i64) {
        let ids = batch.stations.iter();
        let place_of: Vec<u32> = ids
            .map(|id| if id.is_empty() { 0 } else { self.place(id) })
            .collect();
        // By place in the batch, its rank by place here: ranks are in the order of keys, and two
        // of them and a bucket mostly fit into half a key, which is sorted in half the time.
        let mut ranked: Vec<u32> = (1..place_of.len() as u32).collect();
        ranked.sort_unstable_by_key(|at| place_of[*at as usize]);
        let mut rank_of = vec![0; place_of.len()];
        for (rank, at) in ranked.iter().enumerate() {
            rank_of[*at as usize] = rank as u32;
        }
        let run: Vec<Cell> = match ranked.len() <= 1 << RANK_BITS {
            true => {
                let short = sorted(batch, |from, to, bucket| {
                    let ends = rank_of[from] << RANK_BITS | rank_of[to];
                    ends << BUCKET_BITS | u32::from(bucket)
                });
                let place = |rank: u32| place_of[ranked[rank as usize] as usize];
                let long = |short: u32| {
                    let from = place(short >> (RANK_BITS + BUCKET_BITS));
                    let to = place(short >> BUCKET_BITS & ((1 << RANK_BITS) - 1));
                    key(from, to, short as u8)
                };
                short
                    .into_iter()
                    .map(|(short, n)| (long(short), n))
                    .collect()
            }
            false => sorted(batch, |from, to, bucket| {
                key(place_of[from], place_of[to], bucket)
            }),
        };
        let run = run.into_iter().map(|(key, n)| (key, n * times as i32));
        self.push(run.collect());
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let ids = other.stations.iter();
        let place_of: Vec<u32> = ids.map(|id| self.place(id.as_str())).collect();
        let in_order = place_of.is_sorted();
        for run in &other.runs {
            let mut run: Vec<Cell> = run
                .iter()
                .map(|(old, n)| {
                    let (from, to) = ends(*old);
                    let (from, to) = (place_of[from as usize], place_of[to as usize]);
                    (key(from, to, *old as u8), *n)
                })
                .collect();
            if !in_order {
                sort(&mut run, self.stations.len());
            }
            self.push(run);
        }
        self.settle();
    }

    /// Takes a run, and merges it with those that are not much longer.
    fn push(&mut self, run: Vec<Cell>) {
        if run.is_empty() {
            return;
        }
        self.runs.push(run);
        while let [.., before, last] = &self.runs[..]
            && before.len() < 2 * last.len()
        {
            self.merge_last_two();
        }
    }

    fn merge_last_two(&mut self) {
        let (Some(b), Some(a)) = (self.runs.pop(), self.runs.pop()) else {
            return;
        };
        let mut merged = Vec::with_capacity(a.len() + b.len());
        let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
        loop {
            let cell = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => {
                    let sum = (x.0, x.1 + y.1);
                    (a.next(), b.next());
                    sum
                }
                (Some(x), Some(y)) if x.0 < y.0 => {
                    let cell = *x;
                    a.next();
                    cell
                }
                (Some(_), None) => {
                    merged.extend(a);
                    break;
                }
                (_, Some(y)) => {
                    let cell = *y;
                    b.next();
                    cell
                }
                (None, None) => break,
            };
            if cell.1 != 0 {
                merged.push(cell);
            }
        }
        if !merged.is_empty() {
            self.runs.push(merged);
        }
    }
}

impl Pack for Routes {
    fn pack(&self, out: &mut Packer) {
        let mut settled;
        let cells = match &self.runs[..] {
            [] => return,
            [one] => one,
            _ => {
                settled = self.clone();
                settled.settle();
                match settled.runs.first() {
                    Some(cells) => cells,
                    None => return,
                }
            }
        };
        let mut is_used = vec![false; self.stations.len()];
        for (key, _) in cells {
            let (from, to) = ends(*key);
            is_used[from as usize] = true;
            is_used[to as usize] = true;
        }
        let mut used: Vec<usize> = (0..is_used.len()).filter(|place| is_used[*place]).collect();
        used.sort_by_key(|place| &self.stations[*place]);
        let mut rank_of = vec![0; is_used.len()];
        for (rank, place) in used.iter().enumerate() {
            rank_of[*place] = rank as u32;
        }
        let mut ranked: Vec<Cell> = Vec::with_capacity(cells.len());
        for (old, n) in cells.iter().filter(|(_, n)| *n != 0) {
            let (from, to) = ends(*old);
            let (from, to) = (rank_of[from as usize], rank_of[to as usize]);
            ranked.push((key(from, to, *old as u8), *n));
        }
        if ranked.is_empty() {
            return;
        }
        if !ranked.is_sorted_by_key(|cell| cell.0) {
            sort(&mut ranked, used.len());
        }
        out.texts(used.iter().map(|place| self.stations[*place].as_str()));
        // Numbers of one kind stand together: they are alike, and so compress.
        let origin = |cell: &Cell| ends(cell.0).0;
        let route = |cell: &Cell| cell.0 >> BUCKET_BITS;
        let origins = ranked.chunk_by(|a, b| origin(a) == origin(b));
        out.size(origins.clone().count());
        let mut last = 0;
        for cells in origins {
            out.number(u64::from(origin(&cells[0]) - last));
            last = origin(&cells[0]);
            let routes = cells.chunk_by(|a, b| route(a) == route(b));
            out.size(routes.clone().count());
            let mut last = 0;
            for cells in routes {
                let to = ends(cells[0].0).1;
                out.number(u64::from(to - last));
                last = to;
            }
        }
        let routes = ranked.chunk_by(|a, b| route(a) == route(b));
        for cells in routes.clone() {
            out.size(cells.len());
        }
        for cells in routes {
            let mut last = 0;
            for (key, _) in cells {
                out.number(u64::from(*key as u8 - last));
                last = *key as u8;
            }
        }
        for (_, n) in &ranked {
            out.signed(i64::from(*n));
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let stations: Vec<StationId> = bytes.texts()?.into_iter().map(Into::into).collect();
        let mut routes = Vec::new();
        let mut from = 0;
        for _ in 0..bytes.size()? {
            from += bytes.number()?;
            let mut to = 0;
            for _ in 0..bytes.size()? {
                to += bytes.number()?;
                if from.max(to) >= stations.len() as u64 {
                    return None;
                }
                routes.push(key(from as u32, to as u32, 0));
            }
        }
        let sizes: Vec<usize> = routes.iter().map(|_| bytes.size()).collect::<Option<_>>()?;
        let mut run: Vec<Cell> = Vec::with_capacity(sizes.iter().sum());
        for (route, size) in routes.into_iter().zip(sizes) {
            let mut bucket = 0;
            for _ in 0..size {
                bucket += bytes.number()?;
                run.push((route | u64::from(u8::try_from(bucket).ok()?), 0));
            }
        }
        for cell in &mut run {
            cell.1 = bytes.signed()? as i32;
        }
        Some(Self {
            places: stations.iter().cloned().zip(0..).collect(),
            stations,
            runs: if run.is_empty() {
                Vec::new()
            } else {
                vec![run]
            },
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
