//! Trips from station to station, with how long they take in outline.

mod kept;

use std::borrow::Cow;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

pub use self::kept::{KeptRoutes, Route};
use super::packed::{Pack, Packer, SOUND, Sealed, Unpacker};
use crate::model::{Flags, StationAlias, TripBatch};

/// Trips by origin, destination and bucket of the duration. Trips without a station at an end are on
/// no route.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    stations: Vec<StationAlias>,
    places: FxHashMap<StationAlias, u32>,
    /// By the index of the origin.
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

/// A key (index of the destination, and the bucket) and the number of trips.
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

fn bucket(key: u32) -> u8 {
    key as u8
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
        kept::merge(&old, &new, &mut self.cells);
    }

    /// Renumbers destinations: `to` has the new index of each old one.
    fn renamed(&self, to: &[u32]) -> Self {
        let new = |old: u32| key(to[destination(old) as usize], bucket(old));
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

/// The largest relative error of a duration that is known by its bucket.
pub const DURATION_ERROR: f64 = 0.05;

/// Returns the middle of a bucket in seconds: the geometric mean of its first and last second.
fn middle_s(bucket: u8) -> i64 {
    let first = f64::from(BUCKETS[usize::from(bucket) - 1]);
    let next = BUCKETS.get(usize::from(bucket)).copied().unwrap_or(86_401);
    (first * f64::from(next - 1)).sqrt().round() as i64
}

/// Returns the median of durations that are known by their buckets, to within [`DURATION_ERROR`].
/// `None` where there is none. `counts` are buckets and the trips of each, in order.
pub fn median_s(counts: &[(u8, i32)]) -> Option<i64> {
    let all: i64 = counts.iter().map(|(_, n)| i64::from(*n)).sum();
    let mut seen = 0;
    let (bucket, _) = counts.iter().find(|(_, n)| {
        seen += i64::from(*n);
        seen >= (all + 1) / 2 && all > 0
    })?;
    Some(middle_s(*bucket))
}

impl Routes {
    /// Puts in order what waits.
    fn settle(&mut self) {
        self.rows.iter_mut().for_each(Row::settle);
        self.waiting = 0;
    }

    fn place(&mut self, id: &str) -> u32 {
        let id = StationAlias::from(id);
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
            let bucket = if batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                0
            } else {
                let seconds = usize::try_from(batch.duration_s(row)).unwrap_or(0);
                bucket_of.get(seconds).copied().unwrap_or(0)
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
}

impl Pack for Routes {
    fn pack(&self, out: &mut Packer) {
        // Indexes in the order of ids, independent of the order of counting.
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
                *key = self::key(new[destination(*key) as usize], bucket(*key));
            }
        }
        let used: Vec<usize> = (0..by_id.len()).filter(|rank| is_used[*rank]).collect();
        let mut writer = kept::Writer::new();
        for rank in &used {
            writer.origin(&rows[*rank]);
        }
        let ids = used.iter().map(|rank| self.stations[by_id[*rank]].as_str());
        writer.finish(ids, out);
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        KeptRoutes::of(Cow::Borrowed(bytes.rest()))?.open()
    }

    fn merge(&mut self, other: &Self) {
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

    fn sum(a: &[u8], b: &[u8], out: &mut Packer) -> Option<()> {
        let [a, b] = [a, b].map(|bytes| KeptRoutes::of(Cow::Borrowed(bytes)));
        kept::sum(&a?, &b?, out)
    }

    // Compressed, and that may differ from one release of the library to the next.
    fn same(a: &[u8], b: &[u8]) -> bool {
        let [a, b] = [a, b].map(|bytes| KeptRoutes::of(Cow::Borrowed(bytes)));
        a.zip(b).is_some_and(|(a, b)| kept::same(&a, &b))
    }
}

impl Sealed<Routes> {
    /// Opens as little as reports need.
    pub fn kept(&self) -> KeptRoutes<'_> {
        KeptRoutes::of(self.packed()).expect(SOUND)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Flag, Rider, Trip};

    #[test]
    fn a_bucket_is_within_a_twentieth_of_its_durations() {
        for second in 60..=86_400_u32 {
            let middle = middle_s(BUCKET_OF[second as usize]) as f64;
            let error = (middle / f64::from(second) - 1.0).abs();
            assert!(error <= DURATION_ERROR, "{second} s: {middle}");
        }
        assert_eq!(BUCKET_OF[59], 0);
        assert!(BUCKETS.len() < 255);
    }

    /// Invented trips between `stations` stations, enough of them for many blocks.
    fn batch(rows: std::ops::Range<u64>, stations: u64) -> TripBatch {
        let trip = |row: u64| {
            let random = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let station = |random: u64| {
                let id = random % (stations + 1);
                (id > 0).then(|| format!("S{id}").as_str().into())
            };
            let seconds = (random >> 3) % 5_000;
            let mut flags = Flags::NONE;
            flags.insert_if(Flag::Under60S, seconds < 60);
            Trip {
                origin: station(random),
                destination: station(random / 1_000),
                rider: Rider::Member,
                flags,
                ..Trip::new(row.to_string().as_str(), 0, seconds as i64 * 1000, 0)
            }
        };
        rows.map(trip).collect()
    }

    fn counted(batch: &TripBatch) -> Sealed<Routes> {
        let mut routes = Sealed::<Routes>::default();
        routes.open().count(batch, 1);
        routes.seal();
        routes
    }

    #[test]
    fn packs_are_added_up_as_if_all_had_been_counted_at_once() {
        for (rows, stations) in [(90_000, 230), (300, 9), (0, 9)] {
            let all = counted(&batch(0..rows, stations));
            let mut sum = counted(&batch(0..rows / 3, stations));
            let mut opened = sum.clone();
            sum.merge(&counted(&batch(rows / 3..rows, stations)));
            assert_eq!(sum.to_bytes(), all.to_bytes(), "{rows} rows");
            // And the same by counting on.
            opened.open().count(&batch(rows / 3..rows, stations), 1);
            assert_eq!(opened, all, "{rows} rows");
            opened.open().count(&batch(0..rows / 3, stations), -1);
            assert_eq!(opened, counted(&batch(rows / 3..rows, stations)));
        }
    }

    #[test]
    fn the_kept_part_has_each_route() {
        let batch = batch(0..90_000, 230);
        let mut expected: BTreeMap<(StationAlias, StationAlias), Vec<u8>> = BTreeMap::new();
        for trip in batch.trips() {
            if let Some(ends) = trip.origin.clone().zip(trip.destination.clone()) {
                let seconds = (trip.ended_ms / 1000) as usize;
                expected.entry(ends).or_default().push(BUCKET_OF[seconds]);
            }
        }
        let routes = counted(&batch);
        let kept = routes.kept();
        let mut seen = Vec::new();
        kept.each(|route| {
            let id = |place: u32| kept.stations()[place as usize].clone();
            seen.push(((id(route.from), id(route.to)), route.trips));
        });
        let trips = expected.iter();
        let trips: Vec<_> = trips
            .map(|(ends, all)| (ends.clone(), all.len() as i64))
            .collect();
        assert_eq!(seen, trips);
        // Every seventh: some blocks have none of them.
        let wanted: Vec<u32> = (0..seen.len() as u32).step_by(7).collect();
        let mut durations = expected.into_values().step_by(7);
        kept.durations(&wanted, |told| {
            let mut all = durations.next().unwrap();
            all.sort_unstable();
            let told = told.iter();
            let told: Vec<u8> = told
                .flat_map(|(bucket, n)| vec![*bucket; *n as usize])
                .collect();
            all.retain(|bucket| *bucket != 0);
            assert_eq!(told, all);
        });
        assert_eq!(durations.next(), None);
    }
}
