//! Departures and arrivals by station and rider, over days or over the hours of a week.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, Unpacker};
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
    /// Hands each series to `visit`: a station, a rider, and departures and arrivals by period, in
    /// the order of periods.
    pub fn each(
        &self,
        mut visit: impl FnMut(&StationId, &Rider, &mut dyn Iterator<Item = (i32, [i64; 2])>),
    ) {
        for (place, (station, rider)) in self.series.iter().enumerate() {
            let mut cells = self.periods.iter().filter_map(|(period, cells)| {
                let cell = cells.get(place).filter(|cell| **cell != [0, 0])?;
                Some((*period, cell.map(i64::from)))
            });
            visit(station, rider, &mut cells);
        }
    }

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
    pub(super) fn count_days<'a>(
        rows: &Rows<'_>,
        series: &Series,
        times: i64,
        mut month_of: impl FnMut(i32, &mut dyn FnMut(&mut Self)),
        month: impl Fn(i32) -> i32 + 'a,
    ) {
        let across = series.all.len();
        rows.by_day(2 * across, |piece, places, days| {
            let mut dense = vec![[0_i32; 2]; days.len() * across];
            for (row, place) in piece.zip(places) {
                let day = *place as usize * across;
                dense[day + series.origin[row] as usize][0] += 1;
                dense[day + series.destination[row] as usize][1] += 1;
            }
            let mut months: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for (place, day) in days.iter().enumerate() {
                months.entry(month(*day)).or_default().push(place);
            }
            for (month, its_days) in months {
                month_of(month, &mut |grid| {
                    let place_of = grid.places_of(&series.all);
                    for place in &its_days {
                        let cells = &dense[place * across..(place + 1) * across];
                        grid.add_dense(days[*place], cells, series, &place_of, times);
                    }
                });
            }
        });
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
            for place in &used {
                for (_, cells) in &periods {
                    out.signed(cells.get(*place).map_or(0, |cell| i64::from(cell[end])));
                }
            }
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let riders: Vec<Rider> = bytes.texts()?.into_iter().map(Rider::parse).collect();
        let stations: Vec<StationId> = bytes.texts()?.into_iter().map(Into::into).collect();
        let mut series = Vec::new();
        let mut station = 0;
        for _ in 0..bytes.size()? {
            station += usize::try_from(bytes.number()?).ok()?;
            let rider = usize::try_from(bytes.number()?).ok()?;
            series.push((stations.get(station)?.clone(), riders.get(rider)?.clone()));
        }
        let mut last = 0;
        let mut periods: Vec<(i32, Vec<[i32; 2]>)> = Vec::new();
        for _ in 0..bytes.size()? {
            last += bytes.signed()?;
            periods.push((i32::try_from(last).ok()?, vec![[0, 0]; series.len()]));
        }
        for end in 0..2 {
            for place in 0..series.len() {
                for (_, cells) in &mut periods {
                    cells[place][end] = bytes.signed()? as i32;
                }
            }
        }
        Some(Self {
            places: series.iter().cloned().zip(0..).collect(),
            series,
            periods: periods.into_iter().collect(),
        })
    }

    fn merge(&mut self, other: &Self) {
        let place_of = self.places_of(&other.series);
        for (period, cells) in &other.periods {
            let cells = cells.iter().copied().zip(place_of.iter().copied());
            self.add(*period, cells.filter(|(cell, _)| *cell != [0, 0]));
        }
    }
}
