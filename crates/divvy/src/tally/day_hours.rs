//! Trips by day, hour, rider and bike type.

use std::collections::BTreeMap;

use super::packed::{Pack, Packer, Unpacker};
use super::rows::Rows;
use crate::model::Rider;

/// Trips by the local day of the start, rider and bike type, and within these by hour.
#[derive(Clone, Debug, Default)]
pub struct DayHours {
    /// Riders and bike types; the type is empty if the file states none.
    kinds: Vec<(Rider, Box<str>)>,
    /// By day (since 1970-01-01) and index in `kinds`.
    days: BTreeMap<(i32, u32), DayCounts>,
}

/// The counts of one day's trips of one rider and bike type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayCounts {
    /// Trips by the hour in which they start.
    pub starts: [i64; 24],
    /// The same trips by the hour in which they end, be that on a later day.
    pub stops: [i64; 24],
    /// Trips without a station at the start.
    pub no_origin: i64,
    /// Trips without one at the end.
    pub no_destination: i64,
    /// Trips without one at either end, or at both.
    pub dockless: i64,
    /// Trips that end at the station where they start.
    pub round_trips: i64,
}

/// How many numbers [`DayCounts`] are.
const NUMBERS: usize = 52;

impl DayCounts {
    const NONE: Self = Self::of([0; NUMBERS]);

    const fn of(numbers: [i64; NUMBERS]) -> Self {
        let (mut starts, mut stops) = ([0; 24], [0; 24]);
        let mut hour = 0;
        while hour < 24 {
            starts[hour] = numbers[hour];
            stops[hour] = numbers[24 + hour];
            hour += 1;
        }
        Self {
            starts,
            stops,
            no_origin: numbers[48],
            no_destination: numbers[49],
            dockless: numbers[50],
            round_trips: numbers[51],
        }
    }

    fn numbers(&self) -> [i64; NUMBERS] {
        let mut numbers = [0; NUMBERS];
        numbers[..24].copy_from_slice(&self.starts);
        numbers[24..48].copy_from_slice(&self.stops);
        numbers[48..].copy_from_slice(&[
            self.no_origin,
            self.no_destination,
            self.dockless,
            self.round_trips,
        ]);
        numbers
    }
}

impl DayHours {
    /// Lists the counts by day, rider and bike type.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Rider, &str, &DayCounts)> {
        self.days.iter().map(|((day, kind), counts)| {
            let (rider, bike) = &self.kinds[*kind as usize];
            (*day, rider, &**bike, counts)
        })
    }

    fn kind(&mut self, rider: &Rider, bike: &str) -> u32 {
        let known = |(r, b): &(Rider, Box<str>)| r == rider && **b == *bike;
        match self.kinds.iter().position(known) {
            Some(place) => place as u32,
            None => {
                self.kinds.push((rider.clone(), bike.into()));
                self.kinds.len() as u32 - 1
            }
        }
    }

    fn add(&mut self, day: i32, kind: u32, numbers: [i64; NUMBERS]) {
        let counts = self.days.entry((day, kind)).or_insert(DayCounts::NONE);
        let mut sum = counts.numbers();
        for (mine, theirs) in sum.iter_mut().zip(numbers) {
            *mine += theirs;
        }
        *counts = DayCounts::of(sum);
        if *counts == DayCounts::NONE {
            self.days.remove(&(day, kind));
        }
    }

    pub(super) fn count(&mut self, rows: &Rows<'_>, times: i64) {
        let batch = rows.batch;
        let kinds = rows.kinds.iter();
        let kind_of: Vec<u32> = kinds
            .map(|(rider, bike)| self.kind(rider, batch.words.text(*bike)))
            .collect();
        let name_of = batch.without_cells();
        let is_round =
            |from: u32, to: u32| from != 0 && name_of[from as usize] == name_of[to as usize];
        rows.by_day(kind_of.len() * NUMBERS, |piece, places, days| {
            let mut dense = vec![[0_i32; NUMBERS]; days.len() * kind_of.len()];
            for (row, place) in piece.zip(places) {
                let kind = rows.kind[row] as usize;
                let cells = &mut dense[*place as usize * kind_of.len() + kind];
                let (from, to) = (batch.origin[row], batch.destination[row]);
                cells[usize::from(rows.hour[row])] += 1;
                cells[24 + usize::from(rows.end_hour_of_week[row] % 24)] += 1;
                cells[48] += i32::from(from == 0);
                cells[49] += i32::from(to == 0);
                cells[50] += i32::from(from == 0 || to == 0);
                cells[51] += i32::from(is_round(from, to));
            }
            for (place, cells) in dense.iter().enumerate() {
                if cells.iter().any(|n| *n != 0) {
                    let kind = kind_of[place % kind_of.len()];
                    let numbers = cells.map(|n| times * i64::from(n));
                    self.add(days[place / kind_of.len()], kind, numbers);
                }
            }
        });
    }
}

impl Pack for DayHours {
    fn pack(&self, out: &mut Packer) {
        if self.days.is_empty() {
            return;
        }
        let mut used: Vec<u32> = self.days.keys().map(|(_, kind)| *kind).collect();
        used.sort_unstable();
        used.dedup();
        used.sort_by_key(|kind| &self.kinds[*kind as usize]);
        let kinds = || used.iter().map(|kind| &self.kinds[*kind as usize]);
        out.texts(kinds().map(|(rider, _)| rider.as_str()));
        out.texts(kinds().map(|(_, bike)| &**bike));
        let mut days: Vec<i32> = self.days.keys().map(|(day, _)| *day).collect();
        days.dedup();
        out.size(days.len());
        let mut last = 0;
        for day in days {
            out.signed(i64::from(day) - last);
            last = i64::from(day);
            for kind in &used {
                let counts = self.days.get(&(day, *kind));
                out.number(u64::from(counts.is_some()));
                for number in counts.iter().flat_map(|counts| counts.numbers()) {
                    out.signed(number);
                }
            }
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let riders = bytes.texts()?;
        let bikes = bytes.texts()?;
        let kinds: Vec<(Rider, Box<str>)> = (riders.into_iter().zip(bikes))
            .map(|(rider, bike)| (Rider::parse(rider), bike.into()))
            .collect();
        let mut days = BTreeMap::new();
        let mut day = 0;
        for _ in 0..bytes.size()? {
            day += bytes.signed()?;
            for kind in 0..kinds.len() as u32 {
                if bytes.number()? == 0 {
                    continue;
                }
                let mut numbers = [0; NUMBERS];
                for number in &mut numbers {
                    *number = bytes.signed()?;
                }
                days.insert((i32::try_from(day).ok()?, kind), DayCounts::of(numbers));
            }
        }
        Some(Self { kinds, days })
    }

    fn merge(&mut self, other: &Self) {
        let kinds = other.kinds.iter();
        let kind_of: Vec<u32> = kinds.map(|(rider, bike)| self.kind(rider, bike)).collect();
        for ((day, kind), counts) in &other.days {
            self.add(*day, kind_of[*kind as usize], counts.numbers());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, StationAlias, Trip, TripBatch};

    #[test]
    fn a_round_trip_may_end_in_another_cell() {
        let lake = |point| StationAlias::new("35", "Lake St").in_cell(Cell::of_end(point, false));
        let (here, next) = (
            Some((41_881_300, -87_629_700)),
            Some((41_881_300, -87_633_700)),
        );
        let ends = [
            (lake(here), lake(next)),
            (lake(here), lake(None)),
            (lake(here), StationAlias::new("35", "State St")),
            (lake(here), StationAlias::new("36", "Lake St")),
        ];
        let trips = ends.into_iter().map(|(origin, destination)| Trip {
            origin: Some(origin),
            destination: Some(destination),
            ..Trip::new("trip", 0, 60_000, 0)
        });
        let batch: TripBatch = trips.collect();
        let mut hours = DayHours::default();
        hours.count(&Rows::new(&batch), 1);
        let counts = hours.days.values();
        assert_eq!(counts.map(|counts| counts.round_trips).sum::<i64>(), 2);
    }
}
