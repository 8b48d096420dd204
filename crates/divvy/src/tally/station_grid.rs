//! Departures and arrivals by station and rider, over days or over the hours of a week.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, SOUND, Sealed, Unpacker};
use super::rows::Rows;
use crate::model::{Rider, StationId};

/// Departures and arrivals by station, rider and period: a day since 1970-01-01, or an hour of the
/// week from Monday 0 h.
#[derive(Clone, Debug, Default)]
pub struct StationGrid {
    series: Vec<(StationId, Rider)>,
    places: FxHashMap<(StationId, Rider), u32>,
    /// By place in `series`; what lies behind the end is 0.
    periods: BTreeMap<i32, Vec<[i32; 2]>>,
}

/// A pair of station and rider as [`Rows::series`] gives them, by row.
pub(super) struct Series {
    origin: Vec<u32>,
    destination: Vec<u32>,
    all: Vec<(StationId, Rider)>,
    /// Whether it is of a station at all.
    is_somewhere: Vec<bool>,
}

impl Series {
    pub(super) fn new(rows: &Rows<'_>) -> Self {
        let (origin, destination, all) = rows.series();
        let is_somewhere = all.iter().map(|(id, _)| !id.as_str().is_empty()).collect();
        Self {
            origin,
            destination,
            all,
            is_somewhere,
        }
    }
}

impl StationGrid {
    fn place(&mut self, series: &(StationId, Rider)) -> usize {
        if let Some(place) = self.places.get(series) {
            return *place as usize;
        }
        self.places.insert(series.clone(), self.series.len() as u32);
        self.series.push(series.clone());
        self.series.len() - 1
    }

    fn places_of(&mut self, series: &[(StationId, Rider)]) -> Vec<usize> {
        series.iter().map(|series| self.place(series)).collect()
    }

    /// Adds the cells of one period; `place_of` tells where each belongs.
    fn add(&mut self, period: i32, cells: impl Iterator<Item = ([i32; 2], usize)>) {
        let len = self.series.len();
        let mine = self.periods.entry(period).or_default();
        mine.resize(len.max(mine.len()), [0, 0]);
        for (cell, place) in cells {
            mine[place][0] += cell[0];
            mine[place][1] += cell[1];
        }
    }

    /// Counts ends of trips by the hour of the week in which they fall.
    pub(super) fn count_hours(&mut self, rows: &Rows<'_>, series: &Series, times: i64) {
        const HOURS: usize = 168;
        let across = series.all.len();
        let mut dense = vec![[0_i32; 2]; HOURS * across];
        let starts = rows.start_hour_of_week.iter().zip(&series.origin);
        for (hour, place) in starts {
            dense[usize::from(*hour) * across + *place as usize][0] += 1;
        }
        let ends = rows.end_hour_of_week.iter().zip(&series.destination);
        for (hour, place) in ends {
            dense[usize::from(*hour) * across + *place as usize][1] += 1;
        }
        let place_of = self.places_of(&series.all);
        for (hour, cells) in dense.chunks_exact(across.max(1)).enumerate() {
            self.add_dense(hour as i32, cells, series, &place_of, times);
        }
    }

    fn add_dense(
        &mut self,
        period: i32,
        cells: &[[i32; 2]],
        series: &Series,
        place_of: &[usize],
        times: i64,
    ) {
        let some = (cells.iter().zip(place_of).zip(&series.is_somewhere))
            .filter(|((cell, _), is_somewhere)| **is_somewhere && **cell != [0, 0])
            .map(|((cell, place), _)| (cell.map(|n| n * times as i32), *place));
        self.add(period, some);
    }

    /// Counts trips by the day of their start, at both of their ends, into the grid of each month.
    pub(super) fn count_days(
        rows: &Rows<'_>,
        series: &Series,
        times: i64,
        mut month_of: impl FnMut(i32, &mut dyn FnMut(&mut Self)),
        month: impl Fn(i32) -> i32,
    ) {
        // From so many trips of a month on, an array of all its cells is quicker.
        const MANY: usize = 256;
        let across = series.all.len();
        let mut months: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        let (mut last, mut place) = (None, &mut Vec::new());
        for (row, day) in (0..).zip(&rows.day) {
            // Rows of a month mostly stand together.
            let month = month(*day);
            if last != Some(month) {
                (last, place) = (Some(month), months.entry(month).or_default());
            }
            place.push(row);
        }
        for (month, some) in &months {
            month_of(*month, &mut |grid| {
                if some.len() < MANY {
                    for row in some.iter().map(|row| *row as usize) {
                        let ends = [series.origin[row], series.destination[row]];
                        for (end, at) in ends.into_iter().enumerate() {
                            if series.is_somewhere[at as usize] {
                                let mut cell = [0, 0];
                                cell[end] = times as i32;
                                let place = grid.place(&series.all[at as usize]);
                                grid.add(rows.day[row], [(cell, place)].into_iter());
                            }
                        }
                    }
                    return;
                }
                let days = || some.iter().map(|row| rows.day[*row as usize]);
                let first = days().min().unwrap_or(0);
                let last = days().max().unwrap_or(0);
                let mut dense = vec![[0_i32; 2]; (last - first + 1) as usize * across];
                for row in some.iter().map(|row| *row as usize) {
                    let day = (rows.day[row] - first) as usize * across;
                    dense[day + series.origin[row] as usize][0] += 1;
                    dense[day + series.destination[row] as usize][1] += 1;
                }
                let place_of = grid.places_of(&series.all);
                for (day, cells) in (first..).zip(dense.chunks_exact(across.max(1))) {
                    grid.add_dense(day, cells, series, &place_of, times);
                }
            });
        }
    }
}

impl Pack for StationGrid {
    fn pack(&self, out: &mut Packer) {
        let is_empty = |cells: &&Vec<[i32; 2]>| cells.iter().all(|cell| *cell == [0, 0]);
        let periods: Vec<(&i32, &Vec<[i32; 2]>)> = (self.periods.iter())
            .filter(|(_, cells)| !is_empty(cells))
            .collect();
        if periods.is_empty() {
            return;
        }
        let mut is_used = vec![false; self.series.len()];
        for (_, cells) in &periods {
            for (used, cell) in is_used.iter_mut().zip(cells.iter()) {
                *used |= *cell != [0, 0];
            }
        }
        let mut used: Vec<usize> = (0..is_used.len()).filter(|place| is_used[*place]).collect();
        used.sort_by_key(|place| &self.series[*place]);
        let series = || used.iter().map(|place| &self.series[*place]);
        let mut riders: Vec<&Rider> = series().map(|(_, rider)| rider).collect();
        riders.sort();
        riders.dedup();
        let mut stations: Vec<&StationId> = series().map(|(station, _)| station).collect();
        stations.dedup();
        out.texts(riders.iter().map(|rider| rider.as_str()));
        out.texts(stations.iter().map(|station| station.as_str()));
        out.size(used.len());
        let mut last = None;
        for (station, rider) in series() {
            // A station's series stand together: 1 where the next station begins.
            out.number(u64::from(
                last.replace(station).is_some_and(|last| last != station),
            ));
            let rider = riders.binary_search(&rider);
            out.size(rider.expect("the list has been made of all of them"));
        }
        out.size(periods.len());
        let mut last = 0;
        for (period, _) in &periods {
            out.signed(i64::from(**period) - last);
            last = i64::from(**period);
        }
        for end in 0..2 {
            let mut ends = Packer::default();
            for place in &used {
                for (_, cells) in &periods {
                    ends.signed(cells.get(*place).map_or(0, |cell| i64::from(cell[end])));
                }
            }
            out.bytes(ends.written());
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let kept = KeptGrid::of(Cow::Borrowed(bytes.rest()))?;
        let none = vec![[0, 0]; kept.series.len()];
        let mut grid = Self {
            places: kept.series.iter().cloned().zip(0..).collect(),
            series: kept.series.clone(),
            periods: kept
                .periods
                .iter()
                .map(|period| (*period, none.clone()))
                .collect(),
        };
        let mut places = 0..;
        kept.try_each(|_, _, cells| {
            let place = places.next().unwrap_or_default();
            for (mine, (_, cell)) in grid.periods.values_mut().zip(cells) {
                mine[place] = cell.map(|n| n as i32);
            }
        })?;
        Some(grid)
    }

    fn merge(&mut self, other: &Self) {
        let place_of = self.places_of(&other.series);
        for (period, cells) in &other.periods {
            let cells = cells.iter().copied().zip(place_of.iter().copied());
            self.add(*period, cells.filter(|(cell, _)| *cell != [0, 0]));
        }
    }
}

/// A packed grid, read series by series.
pub struct KeptGrid<'a> {
    bytes: Cow<'a, [u8]>,
    series: Vec<(StationId, Rider)>,
    periods: Vec<i32>,
    /// Where departures and arrivals are, by series and period.
    ends: [Range<usize>; 2],
}

impl Sealed<StationGrid> {
    /// Opens as little as reports need.
    pub fn kept(&self) -> KeptGrid<'_> {
        KeptGrid::of(self.packed()).expect(SOUND)
    }
}

impl<'a> KeptGrid<'a> {
    fn of(bytes: Cow<'a, [u8]>) -> Option<Self> {
        let mut kept = Self {
            bytes: Cow::default(),
            series: Vec::new(),
            periods: Vec::new(),
            ends: [0..0, 0..0],
        };
        if bytes.is_empty() {
            return Some(kept);
        }
        let mut rest = Unpacker::new(&bytes);
        let riders: Vec<Rider> = rest.texts()?.into_iter().map(Rider::parse).collect();
        let stations: Vec<StationId> = rest.texts()?.into_iter().map(Into::into).collect();
        let mut station = 0;
        for _ in 0..rest.size()? {
            station += usize::try_from(rest.number()?).ok()?;
            let rider = usize::try_from(rest.number()?).ok()?;
            let series = (stations.get(station)?.clone(), riders.get(rider)?.clone());
            kept.series.push(series);
        }
        let mut last = 0;
        for _ in 0..rest.size()? {
            last += rest.signed()?;
            kept.periods.push(i32::try_from(last).ok()?);
        }
        for ends in &mut kept.ends {
            let size = rest.bytes()?.len();
            let end = bytes.len() - rest.rest().len();
            *ends = end - size..end;
        }
        kept.bytes = bytes;
        Some(kept)
    }

    /// Hands each series to `visit`: a station, a rider, and departures and arrivals by period, in
    /// the order of periods; some periods may have none.
    pub fn each(&self, visit: impl FnMut(&StationId, &Rider, &[(i32, [i64; 2])])) {
        self.try_each(visit).expect(SOUND);
    }

    fn try_each(
        &self,
        mut visit: impl FnMut(&StationId, &Rider, &[(i32, [i64; 2])]),
    ) -> Option<()> {
        let ends = self.ends.each_ref();
        let [mut departures, mut arrivals] =
            ends.map(|place| Unpacker::new(&self.bytes[place.clone()]));
        let mut cells: Vec<(i32, [i64; 2])> = self
            .periods
            .iter()
            .map(|period| (*period, [0, 0]))
            .collect();
        for (station, rider) in &self.series {
            for (_, cell) in &mut cells {
                *cell = [departures.signed()?, arrivals.signed()?];
            }
            visit(station, rider, &cells);
        }
        Some(())
    }
}
