//! Routes as they are kept: packed by origin, so that two packs are added up, and the busiest routes
//! found, without opening them all.
//!
//! ```text
//!  heads    station ids; by origin how many routes; by route its destination and its trips
//!  blocks   by route how many buckets its durations fall into, these, and the trips of each
//! ```
//!
//! Heads and blocks are compressed here, or none could be read by itself. Stations are places among
//! the ids, which are in order. Numbers of one kind stand together: they are alike, and so compress.

use std::borrow::Cow;
use std::ops::Range;

use super::super::packed::{Packer, SOUND, Unpacker};
use super::{Cell, Routes, Row, bucket, destination, key};
use crate::model::StationAlias;

/// Cells from which on a block is full.
const FULL: usize = 1 << 14;

/// How much larger a column may be than its compressed bytes: else it is none of ours, and would
/// only fill the memory.
const MOST_SAVED: usize = 1 << 14;

/// Three columns of numbers that are packed together.
type Columns<T> = [T; 3];

/// Columns that have been opened, one behind the other.
#[derive(Default)]
struct Opened {
    bytes: Vec<u8>,
    columns: Columns<Range<usize>>,
}

impl Opened {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Unpacker::new(bytes);
        let size = usize::try_from(bytes.number()?).ok()?;
        if size / MOST_SAVED > bytes.rest().len() {
            return None;
        }
        let bytes = zstd::bulk::decompress(bytes.rest(), size).ok()?;
        let mut rest = Unpacker::new(&bytes);
        let mut column = || {
            let size = rest.bytes()?.len();
            let end = bytes.len() - rest.rest().len();
            Some(end - size..end)
        };
        let columns = [column()?, column()?, column()?];
        Some(Self { bytes, columns })
    }

    fn read(&self) -> Columns<Unpacker<'_>> {
        let columns = self.columns.clone();
        columns.map(|place| Unpacker::new(&self.bytes[place]))
    }
}

/// Packs the routes of one origin after another.
pub(super) struct Writer {
    /// Routes by origin; destinations and trips by route.
    heads: Columns<Packer>,
    /// Buckets by route; buckets and their trips.
    block: Columns<Packer>,
    /// Routes and cells of the block.
    routes: usize,
    cells: usize,
    /// How long each block is, and how many routes it has.
    sizes: Packer,
    blocks: Vec<u8>,
    zstd: zstd::bulk::Compressor<'static>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            heads: Default::default(),
            block: Default::default(),
            routes: 0,
            cells: 0,
            sizes: Packer::default(),
            blocks: Vec::new(),
            zstd: zstd::bulk::Compressor::new(1).expect("it has a level 1"),
        }
    }

    /// Packs the routes of the next origin. Its cells are in order, and none counts nothing.
    pub(super) fn origin(&mut self, cells: &[Cell]) {
        let routes = || cells.chunk_by(|a, b| destination(a.0) == destination(b.0));
        let [sizes, ..] = &mut self.heads;
        sizes.size(routes().count());
        let mut last = 0;
        for route in routes() {
            let to = destination(route[0].0);
            let [_, tos, trips] = &mut self.heads;
            tos.number(u64::from(to - last));
            last = to;
            trips.signed(route.iter().map(|(_, n)| i64::from(*n)).sum());
            let [sizes, buckets, trips] = &mut self.block;
            sizes.size(route.len());
            let mut last = 0;
            for (key, n) in route {
                buckets.number(u64::from(bucket(*key) - last));
                last = bucket(*key);
                trips.signed(i64::from(*n));
            }
            self.routes += 1;
            self.cells += route.len();
            if self.cells >= FULL {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        let bytes = self.compressed(block);
        self.sizes.size(bytes.len());
        self.sizes.size(self.routes);
        self.blocks.extend(bytes);
        (self.routes, self.cells) = (0, 0);
    }

    fn compressed(&mut self, columns: Columns<Packer>) -> Vec<u8> {
        let mut all = Packer::default();
        for column in &columns {
            all.bytes(column.written());
        }
        let mut out = Packer::default();
        out.size(all.written().len());
        let compressed = self.zstd.compress(all.written());
        let mut bytes = out.written().to_vec();
        bytes.extend(compressed.expect("memory is written to without fail"));
        bytes
    }

    /// Ends with the ids of the stations. Writes nothing where there is no route.
    pub(super) fn finish<'a>(
        mut self,
        stations: impl ExactSizeIterator<Item = &'a str>,
        out: &mut Packer,
    ) {
        if self.routes > 0 {
            self.end_block();
        }
        if self.blocks.is_empty() {
            return;
        }
        out.texts(stations);
        let heads = std::mem::take(&mut self.heads);
        out.bytes(&self.compressed(heads));
        out.bytes(self.sizes.written());
        out.raw(&self.blocks);
    }
}

/// Packed routes, of which only the requested parts are unpacked.
pub struct KeptRoutes<'a> {
    bytes: Cow<'a, [u8]>,
    stations: Vec<StationAlias>,
    heads: Opened,
    /// How many routes each block has, and where it is.
    blocks: Vec<(usize, Range<usize>)>,
}

/// A block that is open.
#[derive(Default)]
struct Block {
    /// Buckets by route.
    sizes: Vec<usize>,
    /// Each with its trips.
    buckets: Vec<(u8, i32)>,
}

impl Block {
    fn open(bytes: &[u8], routes: usize) -> Option<Self> {
        let columns = Opened::of(bytes)?;
        let [mut sizes, mut buckets, mut trips] = columns.read();
        let mut block = Block::default();
        for _ in 0..routes {
            let size = usize::try_from(sizes.number()?).ok()?;
            let mut bucket = 0_u8;
            for _ in 0..size {
                bucket = bucket.checked_add(u8::try_from(buckets.number()?).ok()?)?;
                let trips = i32::try_from(trips.signed()?).ok()?;
                block.buckets.push((bucket, trips));
            }
            block.sizes.push(size);
        }
        Some(block)
    }
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of its origin in [`KeptRoutes::stations`].
    pub from: u32,
    /// The index of its destination.
    pub to: u32,
    /// Trips.
    pub trips: i64,
}

impl<'a> KeptRoutes<'a> {
    pub(super) fn of(bytes: Cow<'a, [u8]>) -> Option<Self> {
        let (mut stations, mut heads, mut blocks) = Default::default();
        if !bytes.is_empty() {
            let mut rest = Unpacker::new(&bytes);
            stations = rest.texts()?.into_iter().map(StationAlias::from).collect();
            heads = Opened::of(rest.bytes()?)?;
            blocks = Self::blocks(rest.bytes()?, rest.rest().len(), bytes.len())?;
        }
        Some(Self {
            bytes,
            stations,
            heads,
            blocks,
        })
    }

    /// Finds the blocks, which take the last of all bytes.
    fn blocks(sizes: &[u8], last: usize, all: usize) -> Option<Vec<(usize, Range<usize>)>> {
        let mut sizes = Unpacker::new(sizes);
        let mut start = all - last;
        let mut blocks = Vec::new();
        while !sizes.rest().is_empty() {
            let end = start.checked_add(usize::try_from(sizes.number()?).ok()?)?;
            blocks.push((usize::try_from(sizes.number()?).ok()?, start..end));
            start = end;
        }
        (start == all).then_some(blocks)
    }

    fn open_block(&self, (routes, place): &(usize, Range<usize>)) -> Option<Block> {
        Block::open(&self.bytes[place.clone()], *routes)
    }

    /// Lists the stations, by the indexes in routes.
    pub fn stations(&self) -> &[StationAlias] {
        &self.stations
    }

    /// Hands each route to `visit`, in the order of origins and destinations.
    pub fn each(&self, visit: impl FnMut(Route)) {
        self.try_each(visit).expect(SOUND);
    }

    fn try_each(&self, mut visit: impl FnMut(Route)) -> Option<()> {
        let [mut sizes, mut tos, mut trips] = self.heads.read();
        for from in 0..self.stations.len() as u32 {
            let mut to = 0;
            for _ in 0..sizes.number()? {
                to = self.next_destination(to, &mut tos)?;
                let trips = trips.signed()?;
                visit(Route { from, to, trips });
            }
        }
        Some(())
    }

    fn next_destination(&self, last: u32, tos: &mut Unpacker<'_>) -> Option<u32> {
        let to = last + u32::try_from(tos.number()?).ok()?;
        ((to as usize) < self.stations.len()).then_some(to)
    }

    /// Hands the plausible durations of some routes to `visit`, one after another, as buckets and
    /// the trips of each. `wanted` are places in the order of [`each`](Self::each), each behind the
    /// one before; only the blocks that have them are opened.
    pub fn durations(&self, wanted: &[u32], visit: impl FnMut(&[(u8, i32)])) {
        self.try_durations(wanted, visit).expect(SOUND);
    }

    fn try_durations(&self, wanted: &[u32], mut visit: impl FnMut(&[(u8, i32)])) -> Option<()> {
        let mut wanted = wanted.iter().copied().peekable();
        let mut place = 0;
        for packed in &self.blocks {
            let next = place + packed.0 as u32;
            if wanted.peek().is_none_or(|wanted| *wanted >= next) {
                place = next;
                continue;
            }
            let block = self.open_block(packed)?;
            let mut buckets = &block.buckets[..];
            for size in block.sizes {
                let (route, rest) = buckets.split_at(size);
                buckets = rest;
                if wanted.next_if_eq(&place).is_some() {
                    // What durations leave out comes first.
                    let plausible = route.iter().position(|(bucket, _)| *bucket != 0);
                    visit(&route[plausible.unwrap_or(route.len())..]);
                }
                place += 1;
            }
        }
        Some(())
    }

    fn origins(&self) -> Origins<'_> {
        let [sizes, tos, _] = self.heads.read();
        Origins {
            kept: self,
            sizes,
            tos,
            blocks: self.blocks.iter(),
            block: Block::default(),
            routes: 0,
            buckets: 0,
        }
    }

    /// Opens all routes.
    pub(super) fn open(&self) -> Option<Routes> {
        let mut origins = self.origins();
        let mut rows = Vec::with_capacity(self.stations.len());
        for _ in 0..self.stations.len() {
            let mut row = Row::default();
            origins.next(&mut row.cells)?;
            rows.push(row);
        }
        Some(Routes {
            places: self.stations.iter().cloned().zip(0..).collect(),
            stations: self.stations.clone(),
            rows,
            waiting: 0,
        })
    }
}

/// Opens one origin after another.
struct Origins<'k> {
    kept: &'k KeptRoutes<'k>,
    sizes: Unpacker<'k>,
    tos: Unpacker<'k>,
    blocks: std::slice::Iter<'k, (usize, Range<usize>)>,
    block: Block,
    /// Routes and buckets of the block that have been read.
    routes: usize,
    buckets: usize,
}

impl Origins<'_> {
    /// Adds the cells of the next origin.
    fn next(&mut self, cells: &mut Vec<Cell>) -> Option<()> {
        let mut to = 0;
        for _ in 0..self.sizes.number()? {
            to = self.kept.next_destination(to, &mut self.tos)?;
            if self.routes == self.block.sizes.len() {
                self.block = self.kept.open_block(self.blocks.next()?)?;
                (self.routes, self.buckets) = (0, 0);
            }
            let end = self.buckets + self.block.sizes[self.routes];
            let buckets = self.block.buckets[self.buckets..end].iter();
            cells.extend(buckets.map(|(bucket, n)| (key(to, *bucket), *n)));
            self.routes += 1;
            self.buckets = end;
        }
        Some(())
    }
}

/// Adds two packs up, origin by origin: neither is ever open as a whole. `None` where counts cancel
/// out: stations may have to go then.
pub(super) fn sum(a: &KeptRoutes<'_>, b: &KeptRoutes<'_>, out: &mut Packer) -> Option<()> {
    let mut stations: Vec<&StationAlias> = a.stations.iter().chain(&b.stations).collect();
    stations.sort_unstable();
    stations.dedup();
    let mut sides = [a, b].map(|kept| Side::new(kept, &stations));
    let mut writer = Writer::new();
    let mut both = Vec::new();
    for place in 0..stations.len() as u32 {
        let [a, b] = &mut sides;
        let [a, b] = [a.cells_of(place), b.cells_of(place)];
        both.clear();
        if !merge(a, b, &mut both) {
            return None;
        }
        writer.origin(&both);
    }
    writer.finish(stations.iter().map(|id| id.as_str()), out);
    Some(())
}

/// Returns whether two packs have the same counts.
pub(super) fn same(a: &KeptRoutes<'_>, b: &KeptRoutes<'_>) -> bool {
    let (mut origins, mut others) = (a.origins(), b.origins());
    let (mut cells, mut other) = (Vec::new(), Vec::new());
    a.stations == b.stations
        && a.stations.iter().all(|_| {
            cells.clear();
            other.clear();
            let read = [origins.next(&mut cells), others.next(&mut other)];
            read == [Some(()); 2] && cells == other
        })
}

/// One of two packs that are added up.
struct Side<'k> {
    /// The new index of each of its stations.
    places: Vec<u32>,
    origins: Origins<'k>,
    next: usize,
    cells: Vec<Cell>,
}

impl<'k> Side<'k> {
    fn new(kept: &'k KeptRoutes<'k>, stations: &[&StationAlias]) -> Self {
        // Both lists are in order, and so are the indexes.
        let mut all = (0..).zip(stations);
        let ids = kept.stations.iter();
        let place = |id| all.find(|(_, other)| **other == id).map(|(place, _)| place);
        Self {
            places: ids.filter_map(place).collect(),
            origins: kept.origins(),
            next: 0,
            cells: Vec::new(),
        }
    }

    /// Opens the cells of an origin; none where it does not have it.
    fn cells_of(&mut self, place: u32) -> &[Cell] {
        self.cells.clear();
        if self.places.get(self.next) == Some(&place) {
            self.next += 1;
            self.origins.next(&mut self.cells).expect(SOUND);
            for (cell, _) in &mut self.cells {
                *cell = key(self.places[destination(*cell) as usize], bucket(*cell));
            }
        }
        &self.cells
    }
}

/// Adds up cells that are in order. Returns whether none of them cancel out.
pub(super) fn merge(a: &[Cell], b: &[Cell], out: &mut Vec<Cell>) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut all_are_left = true;
    while let Some(key) = [a.peek(), b.peek()]
        .into_iter()
        .flatten()
        .map(|c| c.0)
        .min()
    {
        let mut n = 0;
        for side in [&mut a, &mut b] {
            n += side.next_if(|cell| cell.0 == key).map_or(0, |cell| cell.1);
        }
        match n {
            0 => all_are_left = false,
            _ => out.push((key, n)),
        }
    }
    all_are_left
}
