//! Counts of many series over many periods, of which few count anything.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Departures and arrivals of a series in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The index of the series, then the period.
    key: u64,
    pub(super) ends: [i32; 2],
}

impl Cell {
    fn new(place: u32, period: i32, ends: [i32; 2]) -> Self {
        // Periods before 1970 come first.
        let period = (period as u32) ^ (1 << 31);
        let key = u64::from(place) << 32 | u64::from(period);
        Self { key, ends }
    }

    pub(super) fn place(&self) -> usize {
        (self.key >> 32) as usize
    }

    pub(super) fn period(&self) -> i32 {
        (self.key as u32 ^ (1 << 31)) as i32
    }
}

/// Slots by series and period.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    /// In order, each once; none counts nothing.
    cells: Vec<Cell>,
    /// In no order.
    waiting: Vec<Cell>,
}

/// Cells that may wait. More wait where more are in order, so that each is moved a few times only.
const MOST_WAITING: usize = 1 << 18;

impl Sparse {
    /// Makes it of slots by period and series.
    pub(super) fn of(periods: &BTreeMap<i32, Vec<[i32; 2]>>) -> Self {
        let mut sparse = Self::default();
        let most = periods.values().map(Vec::len).max().unwrap_or(0);
        for place in 0..most {
            for (period, cells) in periods {
                let ends = cells.get(place).copied().unwrap_or_default();
                if ends != [0, 0] {
                    sparse.cells.push(Cell::new(place as u32, *period, ends));
                }
            }
        }
        sparse
    }

    /// Adds to a cell.
    pub(super) fn add(&mut self, place: u32, period: i32, ends: [i32; 2]) {
        if ends == [0, 0] {
            return;
        }
        self.waiting.push(Cell::new(place, period, ends));
        if self.waiting.len() >= MOST_WAITING.max(self.cells.len() / 2) {
            self.settle();
        }
    }

    /// Puts in order what waits.
    pub(super) fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable_by_key(|cell| cell.key);
        let old = std::mem::take(&mut self.cells);
        let mut all = Vec::with_capacity(old.len() + waiting.len());
        let (mut old, mut new) = (old.into_iter().peekable(), waiting.into_iter().peekable());
        loop {
            let next = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if b.key < a.key => new.next(),
                (Some(_), _) => old.next(),
                (None, _) => new.next(),
            };
            let Some(mut sum) = next else { break };
            while let Some(more) = new.next_if(|cell| cell.key == sum.key) {
                sum.ends[0] += more.ends[0];
                sum.ends[1] += more.ends[1];
            }
            if sum.ends != [0, 0] {
                all.push(sum);
            }
        }
        self.cells = all;
    }

    /// Returns it with nothing waiting.
    pub(super) fn settled(&self) -> Cow<'_, Self> {
        if self.waiting.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    /// Lists the cells of which none waits.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter()
    }

    /// Lists the series with any count, each with its slots in the order of periods.
    pub(super) fn by_place(&self) -> impl Iterator<Item = (usize, &[Cell])> {
        let places = self.cells.chunk_by(|a, b| a.place() == b.place());
        places.map(|cells| (cells[0].place(), cells))
    }

    /// Lists the periods that count something, in order.
    pub(super) fn periods(&self) -> Vec<i32> {
        let mut periods: Vec<i32> = self.cells.iter().map(Cell::period).collect();
        periods.sort_unstable();
        periods.dedup();
        periods
    }
}
