//! Departures and arrivals by station and rider, over days or over the hours of a week.

mod kept;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use kept::KeptGrid;
use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, Unpacker};
use super::rows::Rows;
use super::sparse::{Cell, Sparse};
use crate::model::{Rider, StationAlias};

/// Departures and arrivals by station, rider and period: a day since 1970-01-01, or an hour of the
/// week from Monday 0 h.
#[derive(Clone, Debug, Default)]
pub struct StationGrid {
    series: Vec<(StationAlias, Rider)>,
    places: FxHashMap<(StationAlias, Rider), u32>,
    cells: Cells,
}

/// Departures and arrivals by index in the series and by period.
#[derive(Clone, Debug)]
enum Cells {
    /// By period, then by series: fast, and most slots have a count. What lies behind the end
    /// of a period is 0.
    Dense(BTreeMap<i32, Vec<[i32; 2]>>),
    /// From [`MANY_SERIES`] on, where most would count nothing.
    Sparse(Sparse),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Dense(BTreeMap::new())
    }
}

/// Series from which on cells are kept and packed one by one. No system has half as many: these are
/// files whose station ids are something else. A cell for each of them and each hour of the week
/// would take more memory than a load may.
const MANY_SERIES: usize = 1 << 14;

/// A pair of station and rider as [`Rows::series`] gives them, by row.
pub(super) struct Series {
    origin: Vec<u32>,
    destination: Vec<u32>,
    all: Vec<(StationAlias, Rider)>,
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
    fn place(&mut self, series: &(StationAlias, Rider)) -> usize {
        if let Some(place) = self.places.get(series) {
            return *place as usize;
        }
        self.places.insert(series.clone(), self.series.len() as u32);
        self.series.push(series.clone());
        self.series.len() - 1
    }

    fn places_of(&mut self, series: &[(StationAlias, Rider)]) -> Vec<usize> {
        let places = series.iter().map(|series| self.place(series)).collect();
        if self.series.len() >= MANY_SERIES
            && let Cells::Dense(periods) = &self.cells
        {
            let mut sparse = Sparse::default();
            for (period, cells) in periods {
                for (place, cell) in (0..).zip(cells) {
                    sparse.add(place, *period, *cell);
                }
            }
            self.cells = Cells::Sparse(sparse);
        }
        places
    }

    /// Adds the slots of one period; `place_of` has the series of each.
    fn add(&mut self, period: i32, cells: impl Iterator<Item = ([i32; 2], usize)>) {
        match &mut self.cells {
            Cells::Dense(periods) => {
                let len = self.series.len();
                let mine = periods.entry(period).or_default();
                mine.resize(len.max(mine.len()), [0, 0]);
                for (cell, place) in cells {
                    mine[place][0] += cell[0];
                    mine[place][1] += cell[1];
                }
            }
            Cells::Sparse(sparse) => {
                for (cell, place) in cells {
                    sparse.add(place as u32, period, cell);
                }
            }
        }
    }

    /// Adds one end of one trip: 0 for its start, 1 for its stop.
    fn add_one(&mut self, period: i32, place: usize, end: usize, times: i64) {
        let mut cell = [0, 0];
        cell[end] = times as i32;
        self.add(period, [(cell, place)].into_iter());
    }

    /// Counts ends of trips by the hour of the week in which they fall.
    pub(super) fn count_hours(&mut self, rows: &Rows<'_>, series: &Series, times: i64) {
        const HOURS: usize = 168;
        let across = series.all.len();
        if across >= MANY_SERIES {
            let place_of = self.places_of(&series.all);
            let ends = [
                (&rows.start_hour_of_week, &series.origin),
                (&rows.end_hour_of_week, &series.destination),
            ];
            for (end, (hours, places)) in ends.into_iter().enumerate() {
                for (hour, place) in hours.iter().zip(places) {
                    if series.is_somewhere[*place as usize] {
                        self.add_one(i32::from(*hour), place_of[*place as usize], end, times);
                    }
                }
            }
            return;
        }
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
            // Rows of a month are mostly consecutive.
            let month = month(*day);
            if last != Some(month) {
                (last, place) = (Some(month), months.entry(month).or_default());
            }
            place.push(row);
        }
        for (month, some) in &months {
            month_of(*month, &mut |grid| {
                if some.len() < MANY || across >= MANY_SERIES {
                    for row in some.iter().map(|row| *row as usize) {
                        let ends = [series.origin[row], series.destination[row]];
                        for (end, at) in ends.into_iter().enumerate() {
                            if series.is_somewhere[at as usize] {
                                let place = std::slice::from_ref(&series.all[at as usize]);
                                let place = grid.places_of(place)[0];
                                grid.add_one(rows.day[row], place, end, times);
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
    fn settle(&mut self) {
        if let Cells::Sparse(sparse) = &mut self.cells {
            sparse.settle();
        }
    }

    fn pack(&self, out: &mut Packer) {
        let cells = match &self.cells {
            Cells::Dense(periods) => Cow::Owned(Sparse::of(periods)),
            Cells::Sparse(sparse) => sparse.settled(),
        };
        let mut used: Vec<(usize, &[Cell])> = cells.by_place().collect();
        if used.is_empty() {
            return;
        }
        used.sort_by_key(|(place, _)| &self.series[*place]);
        let is_sparse = used.len() >= MANY_SERIES;
        if is_sparse {
            // A dense grid has its number of riders here, which is at least one.
            out.size(0);
        }
        let series = || used.iter().map(|(place, _)| &self.series[*place]);
        let mut riders: Vec<&Rider> = series().map(|(_, rider)| rider).collect();
        riders.sort();
        riders.dedup();
        let mut stations: Vec<&StationAlias> = series().map(|(station, _)| station).collect();
        stations.dedup();
        out.texts(riders.iter().map(|rider| rider.as_str()));
        out.texts(stations.iter().map(|station| station.as_str()));
        out.size(used.len());
        let mut last = None;
        for (station, rider) in series() {
            // The series of a station are consecutive: 1 where the next station begins.
            out.number(u64::from(
                last.replace(station).is_some_and(|last| last != station),
            ));
            let rider = riders.binary_search(&rider);
            out.size(rider.expect("the list has been made of all of them"));
        }
        let periods = match &self.cells {
            Cells::Dense(periods) => {
                let counts = |cells: &Vec<[i32; 2]>| cells.iter().any(|cell| *cell != [0, 0]);
                let some = periods.iter().filter(|(_, cells)| counts(cells));
                some.map(|(period, _)| *period).collect()
            }
            Cells::Sparse(_) => cells.periods(),
        };
        out.size(periods.len());
        let mut last = 0;
        for period in &periods {
            out.signed(i64::from(*period) - last);
            last = i64::from(*period);
        }
        if is_sparse {
            for (_, cells) in &used {
                out.size(cells.len());
                let mut last = 0;
                for cell in *cells {
                    let place = periods.binary_search(&cell.period());
                    let place = place.expect("the list has been made of all of them");
                    out.size(place - last);
                    last = place;
                    cell.ends.iter().for_each(|n| out.signed(i64::from(*n)));
                }
            }
            return;
        }
        for end in 0..2 {
            let mut ends = Packer::default();
            for (_, cells) in &used {
                let mut cells = cells.iter().peekable();
                for period in &periods {
                    let cell = cells.next_if(|cell| cell.period() == *period);
                    ends.signed(cell.map_or(0, |cell| i64::from(cell.ends[end])));
                }
            }
            out.bytes(ends.written());
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let kept = KeptGrid::of(Cow::Borrowed(bytes.rest()))?;
        let mut cells = if kept.series.len() >= MANY_SERIES {
            Cells::Sparse(Sparse::default())
        } else {
            let none = vec![[0, 0]; kept.series.len()];
            let periods = kept.periods.iter();
            Cells::Dense(periods.map(|period| (*period, none.clone())).collect())
        };
        let mut places = 0..;
        kept.try_each(|_, _, some| {
            let place = places.next().unwrap_or_default();
            match &mut cells {
                Cells::Dense(periods) => {
                    for (mine, (_, cell)) in periods.values_mut().zip(some) {
                        mine[place] = cell.map(|n| n as i32);
                    }
                }
                Cells::Sparse(sparse) => {
                    for (period, cell) in some {
                        sparse.add(place as u32, *period, cell.map(|n| n as i32));
                    }
                }
            }
        })?;
        Some(Self {
            places: kept.series.iter().cloned().zip(0..).collect(),
            series: kept.series,
            cells,
        })
    }

    fn merge(&mut self, other: &Self) {
        let place_of = self.places_of(&other.series);
        match &other.cells {
            Cells::Dense(periods) => {
                for (period, cells) in periods {
                    let cells = cells.iter().copied().zip(place_of.iter().copied());
                    self.add(*period, cells.filter(|(cell, _)| *cell != [0, 0]));
                }
            }
            Cells::Sparse(sparse) => {
                for cell in sparse.settled().iter() {
                    let place = place_of[cell.place()];
                    self.add(cell.period(), [(cell.ends, place)].into_iter());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::packed::Sealed;

    /// A grid of so many stations, counted in an order of its own.
    fn grid(stations: impl Iterator<Item = usize>) -> StationGrid {
        let mut grid = StationGrid::default();
        for n in stations {
            let series = (StationAlias::from(format!("S{n}")), Rider::Member);
            let place = grid.places_of(&[series])[0];
            for period in [n as i32 % 168, n as i32 % 7] {
                grid.add_one(period, place, n % 2, 1);
            }
        }
        grid
    }

    fn packed(grid: StationGrid) -> Sealed<StationGrid> {
        let mut sealed = Sealed::default();
        *sealed.open() = grid;
        sealed.seal();
        sealed
    }

    fn listed(sealed: &Sealed<StationGrid>) -> Vec<(StationAlias, i32, [i64; 2])> {
        let mut listed = Vec::new();
        sealed.kept().each(|station, _, cells| {
            let some = cells.iter().filter(|(_, cell)| *cell != [0, 0]);
            listed.extend(some.map(|(period, cell)| (station.clone(), *period, *cell)));
        });
        listed
    }

    #[test]
    fn many_stations_are_counted_as_few_are() {
        for stations in [MANY_SERIES - 1, MANY_SERIES, MANY_SERIES + 1] {
            let all = packed(grid(0..stations));
            let mut expected: BTreeMap<(StationAlias, i32), [i64; 2]> = BTreeMap::new();
            for n in 0..stations {
                for period in [n as i32 % 168, n as i32 % 7] {
                    let id = StationAlias::from(format!("S{n}"));
                    expected.entry((id, period)).or_default()[n % 2] += 1;
                }
            }
            let expected: Vec<_> = (expected.into_iter())
                .map(|((id, period), cell)| (id, period, cell))
                .collect();
            assert_eq!(listed(&all), expected);
            // In whatever order and parts they are counted, the bytes are the same.
            assert_eq!(packed(grid((0..stations).rev())).to_bytes(), all.to_bytes());
            let mut parts = packed(grid(0..stations / 3));
            parts.merge(&packed(grid(stations / 3..stations)));
            parts.seal();
            assert_eq!(parts.to_bytes(), all.to_bytes());
            // Taken back, they leave nothing.
            let few = packed(grid(0..9));
            let mut rest = all.clone();
            for n in 9..stations {
                let series = (StationAlias::from(format!("S{n}")), Rider::Member);
                let place = rest.open().places_of(&[series])[0];
                for period in [n as i32 % 168, n as i32 % 7] {
                    rest.open().add_one(period, place, n % 2, -1);
                }
            }
            rest.seal();
            assert_eq!(rest.to_bytes(), few.to_bytes());
        }
    }
}
