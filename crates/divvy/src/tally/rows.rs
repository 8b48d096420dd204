//! Values of each trip that several tallies use, calculated once for each batch.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::model::{Rider, StationAlias, TripBatch};

/// Milliseconds in an hour.
const HOUR_MS: i64 = 3_600_000;

/// No index yet.
const UNSEEN: u32 = u32::MAX;

/// A batch with its rows' days, hours, riders and bikes as small numbers.
pub(super) struct Rows<'a> {
    pub(super) batch: &'a TripBatch,
    /// The local day of the start, days since 1970-01-01.
    pub(super) day: Vec<i32>,
    /// By row, the index of its day in `days`.
    day_places: Vec<u32>,
    /// The days on which trips start, each once.
    days: Vec<i32>,
    /// The local hour of the start, 0 to 23.
    pub(super) hour: Vec<u8>,
    /// The hour of the week in which it starts, from Monday 0 h.
    pub(super) start_hour_of_week: Vec<u8>,
    /// The hour of the week in which it ends.
    pub(super) end_hour_of_week: Vec<u8>,
    /// The distinct riders.
    pub(super) riders: Vec<Rider>,
    /// By index in the batch's words, the index in `riders`.
    pub(super) rider_of: Vec<u32>,
    /// The distinct pairs of rider and word for the bike.
    pub(super) kinds: Vec<(Rider, u32)>,
    /// By row, the index in `kinds`.
    pub(super) kind: Vec<u32>,
}

/// Hours before 1970 from which hours are counted here, so that they are never negative: whole
/// weeks, and from a Monday on (1970-01-01 was a Thursday).
const BEFORE: i64 = 168 * 1_000_000 + 72;

/// Returns a local time in hours since [`BEFORE`] 1970; sums and quotients of small numbers without
/// a sign are the fastest.
fn hours(local_ms: i64) -> u32 {
    (local_ms.wrapping_add(BEFORE * HOUR_MS) as u64 / HOUR_MS as u64) as u32
}

/// Returns the day of such an hour, days since 1970-01-01.
fn day_of(hours: u32) -> i32 {
    (hours / 24) as i32 - (BEFORE / 24) as i32
}

/// Returns the hour of the week of such an hour, from Monday 0 h.
fn hour_of_week(hours: u32) -> u8 {
    (hours % 168) as u8
}

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a TripBatch) -> Self {
        let rows = batch.len();
        let mut day = Vec::with_capacity(rows);
        let mut hour_of_day = Vec::with_capacity(rows);
        let mut start_hour_of_week = Vec::with_capacity(rows);
        for started_ms in &batch.started_ms {
            let hours = hours(*started_ms);
            day.push(day_of(hours));
            hour_of_day.push((hours % 24) as u8);
            start_hour_of_week.push(hour_of_week(hours));
        }
        assert_eq!(batch.ended_ms.len(), rows, "end times are read");
        let ended = batch.ended_ms.iter();
        let end_hour_of_week = ended.map(|ended_ms| hour_of_week(hours(*ended_ms)));
        let mut riders: Vec<Rider> = Vec::new();
        let rider_of = batch.words.iter().map(|word| {
            let rider = Rider::parse(word);
            match riders.iter().position(|known| *known == rider) {
                Some(place) => place as u32,
                None => {
                    riders.push(rider);
                    riders.len() as u32 - 1
                }
            }
        });
        let rider_of: Vec<u32> = rider_of.collect();
        let (day_places, days) = places_of(&day);
        let (kind, pairs) = if batch.rider.is_empty() || batch.bike.is_empty() {
            Default::default()
        } else {
            pairs(
                (&batch.rider, &rider_of),
                &batch.bike,
                riders.len(),
                batch.words.len(),
            )
        };
        let kinds = pairs
            .into_iter()
            .map(|(rider, bike)| (riders[rider as usize].clone(), bike))
            .collect();
        Self {
            batch,
            day,
            day_places,
            days,
            hour: hour_of_day,
            start_hour_of_week,
            end_hour_of_week: end_hour_of_week.collect(),
            riders,
            rider_of,
            kinds,
            kind,
        }
    }

    /// Assigns an index to each pair of a station and a rider. Returns the indexes of the origins by row,
    /// those of the destinations, and the pairs.
    pub(super) fn series(&self) -> (Vec<u32>, Vec<u32>, Vec<(StationAlias, Rider)>) {
        let batch = self.batch;
        let ends = [&batch.origin, &batch.destination].map(|ends| {
            pairs(
                (&batch.rider, &self.rider_of),
                ends,
                self.riders.len(),
                batch.stations.len(),
            )
        });
        // One list for both: pairs of destinations that origins have too get the same index.
        let [(origin, mut all), (destination, others)] = ends;
        let places: FxHashMap<(u32, u32), u32> = all.iter().copied().zip(0..).collect();
        let mut place_of = Vec::with_capacity(others.len());
        for pair in others {
            place_of.push(match places.get(&pair) {
                Some(place) => *place,
                None => {
                    all.push(pair);
                    all.len() as u32 - 1
                }
            });
        }
        let destination = destination
            .into_iter()
            .map(|place| place_of[place as usize]);
        let series = all.into_iter().map(|(rider, station)| {
            let id = StationAlias::from(batch.stations.text(station));
            (id, self.riders[rider as usize].clone())
        });
        (origin, destination.collect(), series.collect())
    }

    /// Cuts the rows so that a dense array with a cell for each day and each of `across` things
    /// stays small, and assigns an index to each day of a piece.
    pub(super) fn by_day(&self, across: usize, mut each: impl FnMut(Range<usize>, &[u32], &[i32])) {
        const MOST_CELLS: usize = 1 << 22;
        const FEW_ROWS: usize = 256;
        let rows = self.day.len();
        if self.days.len().saturating_mul(across) <= MOST_CELLS {
            each(0..rows, &self.day_places, &self.days);
            return;
        }
        for start in (0..rows).step_by(FEW_ROWS) {
            let piece = start..rows.min(start + FEW_ROWS);
            let (places, days) = places_of(&self.day[piece.clone()]);
            each(piece, &places, &days);
        }
    }
}

/// Assigns an index to each distinct day. Returns the index by row, and the days.
fn places_of(days: &[i32]) -> (Vec<u32>, Vec<i32>) {
    const NEAR: i64 = 1 << 16;
    let first = days.iter().min().copied().unwrap_or(0);
    let last = days.iter().max().copied().unwrap_or(0);
    let mut distinct = Vec::new();
    let mut places = Vec::with_capacity(days.len());
    if i64::from(last) - i64::from(first) < NEAR {
        let mut place_of = vec![UNSEEN; (last - first) as usize + 1];
        for day in days {
            let place = &mut place_of[(day - first) as usize];
            if *place == UNSEEN {
                *place = distinct.len() as u32;
                distinct.push(*day);
            }
            places.push(*place);
        }
        return (places, distinct);
    }
    let mut place_of: FxHashMap<i32, u32> = FxHashMap::default();
    for day in days {
        places.push(*place_of.entry(*day).or_insert_with(|| {
            distinct.push(*day);
            distinct.len() as u32 - 1
        }));
    }
    (places, distinct)
}

/// Assigns an index to each distinct pair of a rider and something else.
fn pairs(
    (words, rider_of): (&[u32], &[u32]),
    others: &[u32],
    riders: usize,
    others_len: usize,
) -> (Vec<u32>, Vec<(u32, u32)>) {
    const MOST: usize = 1 << 22;
    assert_eq!(words.len(), others.len(), "both columns are read");
    let mut all = Vec::new();
    let mut places = Vec::with_capacity(words.len());
    let rows = words
        .iter()
        .map(|word| rider_of[*word as usize])
        .zip(others);
    if riders.saturating_mul(others_len) <= MOST {
        let mut place_of = vec![UNSEEN; riders * others_len];
        for (rider, other) in rows {
            let place = &mut place_of[*other as usize * riders + rider as usize];
            if *place == UNSEEN {
                *place = all.len() as u32;
                all.push((rider, *other));
            }
            places.push(*place);
        }
        return (places, all);
    }
    let mut place_of: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    for (rider, other) in rows {
        places.push(*place_of.entry((rider, *other)).or_insert_with(|| {
            all.push((rider, *other));
            all.len() as u32 - 1
        }));
    }
    (places, all)
}
