//! A packed grid, of which reports read only what they need.

use std::borrow::Cow;
use std::ops::Range;

use super::StationGrid;
use crate::model::{Rider, StationAlias};
use crate::tally::packed::{SOUND, Sealed, Unpacker};

/// A packed grid, read series by series.
pub struct KeptGrid<'a> {
    bytes: Cow<'a, [u8]>,
    pub(super) series: Vec<(StationAlias, Rider)>,
    pub(super) periods: Vec<i32>,
    /// Where departures and arrivals are, by series and period; where each series has its own
    /// periods, the first range holds both.
    ends: [Range<usize>; 2],
    is_sparse: bool,
}

impl Sealed<StationGrid> {
    /// Opens as little as reports need.
    pub fn kept(&self) -> KeptGrid<'_> {
        KeptGrid::of(self.packed()).expect(SOUND)
    }
}

impl<'a> KeptGrid<'a> {
    pub(super) fn of(bytes: Cow<'a, [u8]>) -> Option<Self> {
        let mut kept = Self {
            bytes: Cow::default(),
            series: Vec::new(),
            periods: Vec::new(),
            ends: [0..0, 0..0],
            is_sparse: false,
        };
        if bytes.is_empty() {
            return Some(kept);
        }
        let mut rest = Unpacker::new(&bytes);
        if let [0, ..] = *bytes {
            kept.is_sparse = true;
            rest.number()?;
        }
        let riders: Vec<Rider> = rest.texts()?.into_iter().map(Rider::parse).collect();
        let stations: Vec<StationAlias> = rest.texts()?.into_iter().map(Into::into).collect();
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
        if kept.is_sparse {
            kept.ends[0] = bytes.len() - rest.rest().len()..bytes.len();
            kept.bytes = bytes;
            return Some(kept);
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
    pub fn each(&self, visit: impl FnMut(&StationAlias, &Rider, &[(i32, [i64; 2])])) {
        self.try_each(visit).expect(SOUND);
    }

    pub(super) fn try_each(
        &self,
        mut visit: impl FnMut(&StationAlias, &Rider, &[(i32, [i64; 2])]),
    ) -> Option<()> {
        if self.is_sparse {
            return self.try_each_sparse(visit);
        }
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

    fn try_each_sparse(
        &self,
        mut visit: impl FnMut(&StationAlias, &Rider, &[(i32, [i64; 2])]),
    ) -> Option<()> {
        let mut numbers = Unpacker::new(&self.bytes[self.ends[0].clone()]);
        let mut cells: Vec<(i32, [i64; 2])> = Vec::new();
        for (station, rider) in &self.series {
            cells.clear();
            let mut place = 0;
            for _ in 0..numbers.size()? {
                place += usize::try_from(numbers.number()?).ok()?;
                let period = *self.periods.get(place)?;
                cells.push((period, [numbers.signed()?, numbers.signed()?]));
            }
            visit(station, rider, &cells);
        }
        Some(())
    }
}
