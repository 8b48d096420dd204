//! A batch while it is filled, with the indexes of its dictionaries.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::interner::Interner;
use super::offsets::RowTimes;
use super::test_stations::is_test_station;
use crate::model::{Cell, Dictionary, NONE_I32, Rider, StationAlias, StationName, TripBatch};
use crate::sources::text::decode;

/// A batch that is being filled.
#[derive(Default)]
pub(super) struct BatchBuilder {
    pub(super) trips: TripBatch,
    /// The cells of riders are 1 for members and 0 for others.
    pub(super) riders_are_flags: bool,
    stations: StationIndex,
    vehicles: Interner,
    bikes: Interner,
    riders: Interner,
    genders: Interner,
    words: WordIndex,
}

/// The station at the start or end of a row.
#[derive(Clone, Copy)]
pub(super) struct StationUse {
    /// Its index in [`TripBatch::stations`]; 0 for none.
    pub(super) index: u32,
    /// It serves the operator's tests.
    pub(super) is_test: bool,
}

/// What a row states of the station at its start or end.
pub(super) struct StationCells<'a> {
    pub(super) id: &'a [u8],
    pub(super) name: &'a [u8],
    /// Its position, if it has a [`Cell`]; millionths of a degree.
    pub(super) point: Option<(i32, i32)>,
    /// The local day of the start of the trip.
    pub(super) day: i32,
}

/// The cells with words of a row.
pub(super) struct RowWords<'a> {
    pub(super) bike: Cow<'a, [u8]>,
    pub(super) rider: Cow<'a, [u8]>,
    pub(super) gender: Cow<'a, [u8]>,
}

impl BatchBuilder {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            trips: TripBatch::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Finds a station, and notes that the file calls it so on the day.
    #[inline]
    pub(super) fn find_station(&mut self, row: &StationCells<'_>) -> StationUse {
        self.stations.find(&mut self.trips.stations, row)
    }

    #[inline(always)]
    pub(super) fn push_id(&mut self, id: &[u8]) {
        self.trips.id_bytes.extend_from_slice(id);
        self.trips.id_ends.push(self.trips.id_bytes.len() as u32);
    }

    #[inline(always)]
    pub(super) fn push_times(&mut self, times: &RowTimes) {
        let RowTimes {
            started,
            ended,
            reported_s,
            offsets,
        } = times;
        let trips = &mut self.trips;
        trips.started_ms.push(started.ms);
        trips.started_offset_s.push(offsets.started_s);
        trips.ended_ms.push(ended.ms);
        trips.ended_offset_s.push(offsets.ended_s);
        trips
            .precision_ms
            .push(started.precision_ms.max(ended.precision_ms));
        trips.reported_s.push(reported_s.unwrap_or(NONE_I32));
    }

    #[inline(always)]
    pub(super) fn push_vehicle(&mut self, vehicle: &[u8]) {
        let vehicles = &mut self.trips.vehicles;
        let index = self.vehicles.find(vehicle, |id| add(vehicles, id));
        self.trips.vehicle.push(index);
    }

    #[inline(always)]
    pub(super) fn push_words(&mut self, row: &RowWords<'_>) {
        let (trips, words) = (&mut self.trips, &mut self.words);
        let mut find = |known: &mut Interner, cell: &[u8], meaning: fn(&str) -> Cow<'_, str>| {
            known.find(cell, |word| words.find(&mut trips.words, &meaning(word)))
        };
        let bike = find(&mut self.bikes, &row.bike, |text| Cow::Borrowed(text));
        let rider = if self.riders_are_flags {
            find(&mut self.riders, &row.rider, super::values::rider_of_flag)
        } else {
            find(&mut self.riders, &row.rider, |text| {
                Cow::Owned(Rider::parse(text).as_str().to_owned())
            })
        };
        let gender = find(&mut self.genders, &row.gender, super::values::gender);
        trips.bike.push(bike);
        trips.rider.push(rider);
        trips.gender.push(gender);
    }

    /// Returns whether a text is not UTF-8: it was taken for Windows-1252.
    pub(super) fn has_other_encoding(&self) -> bool {
        let interners = [
            &self.stations.interner,
            &self.vehicles,
            &self.bikes,
            &self.riders,
            &self.genders,
        ];
        interners.iter().any(|texts| texts.has_other_encoding)
            || self
                .stations
                .names()
                .any(|(_, raw)| std::str::from_utf8(raw).is_err())
    }

    /// Returns the batch, with the names of its stations.
    pub(super) fn finish(mut self) -> TripBatch {
        let mut names: Vec<Box<str>> = vec!["".into(); self.stations.names as usize];
        for (number, raw) in self.stations.names() {
            names[number as usize] = decode(raw).into();
        }
        let uses = self.stations.uses.iter();
        let uses = uses.map(|used| (used, &names[used.name as usize]));
        for (used, name) in uses.filter(|(_, name)| !name.is_empty()) {
            self.trips.names.push(StationName {
                station: used.alias,
                name: name.clone(),
                days: used.days,
            });
        }
        // Sorted because the order of a map varies, and equal files are to give equal batches.
        self.trips
            .names
            .sort_by(|a, b| (a.station, a.days, &a.name).cmp(&(b.station, b.days, &b.name)));
        self.trips
    }
}

/// Adds a text to a dictionary and returns its index; the empty text has index 0.
fn add(texts: &mut Dictionary, text: &str) -> u32 {
    if text.is_empty() { 0 } else { texts.push(text) }
}

/// The stations of a batch, with the names that its rows give them.
#[derive(Default)]
struct StationIndex {
    /// The published ids.
    ids: Dictionary,
    interner: Interner,
    /// By index in `ids`, the name in the last row.
    last_names: Vec<LastName>,
    /// Other names, by index in `ids`: few stations have any.
    other_names: FxHashMap<u32, FxHashMap<Box<[u8]>, Named>>,
    /// How many pairs of an id and a name there are.
    names: u32,
    /// The cells in which rows place each pair of an id and a name.
    uses: Vec<Use>,
    /// The indexes in `uses`, by the number of the pair.
    use_of: FxHashMap<(u32, Option<Cell>), u32>,
    /// The indexes of aliases in the batch's dictionary.
    aliases: FxHashMap<StationAlias, u32>,
}

/// The name of an id in the last row with the id.
#[derive(Default)]
struct LastName {
    raw: Box<[u8]>,
    /// `None` before the first row.
    named: Option<Named>,
}

/// A pair of an id and a name.
#[derive(Clone, Copy)]
struct Named {
    /// Its number among all pairs.
    number: u32,
    is_test: bool,
    /// The cell of the last row, and its index in [`StationIndex::uses`].
    last: (Option<Cell>, u32),
}

impl Named {
    /// Returns whether a point is in the cell of the last row.
    #[inline]
    fn is_in_last_cell(&self, point: Option<(i32, i32)>) -> bool {
        match (self.last.0, point) {
            (None, None) => true,
            (Some(cell), Some(point)) => cell.contains(point),
            _ => false,
        }
    }
}

/// The rows of an id and a name with one cell.
struct Use {
    /// The number of the pair.
    name: u32,
    /// The index of the alias in the batch's dictionary.
    alias: u32,
    /// First and last day of a trip.
    days: (i32, i32),
}

impl StationIndex {
    #[inline]
    fn find(&mut self, stations: &mut Dictionary, row: &StationCells<'_>) -> StationUse {
        let Self { ids, interner, .. } = self;
        let index = interner.find(row.id, |id| add(ids, id));
        if self.last_names.len() <= index as usize {
            self.last_names
                .resize_with(index as usize + 1, LastName::default);
        }
        let last = &self.last_names[index as usize];
        let named = match last.named {
            Some(named) if *last.raw == *row.name && named.is_in_last_cell(row.point) => named,
            _ => self.find_other(stations, index, row),
        };
        let used = &mut self.uses[named.last.1 as usize];
        used.days = (used.days.0.min(row.day), used.days.1.max(row.day));
        StationUse {
            index: used.alias,
            is_test: named.is_test,
        }
    }

    /// Finds the name and the cell of a row that has others than the last row with the id.
    fn find_other(
        &mut self,
        stations: &mut Dictionary,
        index: u32,
        row: &StationCells<'_>,
    ) -> Named {
        let last = &self.last_names[index as usize];
        let known = last.named.filter(|_| *last.raw == *row.name);
        let mut named = known.unwrap_or_else(|| self.change_name(index, row.name));
        if known.is_none() || !named.is_in_last_cell(row.point) {
            let cell = row.point.map(Cell::at);
            let next = self.uses.len() as u32;
            let used = *(self.use_of.entry((named.number, cell))).or_insert(next);
            if used == next {
                let alias = StationAlias::new(self.ids.text(index), &decode(row.name));
                let alias = alias.in_cell(cell);
                let alias = *(self.aliases.entry(alias))
                    .or_insert_with_key(|alias| add(stations, alias.as_str()));
                self.uses.push(Use {
                    name: named.number,
                    alias,
                    days: (row.day, row.day),
                });
            }
            named.last = (cell, used);
            self.last_names[index as usize].named = Some(named);
        }
        named
    }

    /// Makes another name of a station the last one.
    #[cold]
    fn change_name(&mut self, index: u32, name: &[u8]) -> Named {
        let last = &mut self.last_names[index as usize];
        let others = self.other_names.entry(index).or_default();
        let LastName { raw, named } = std::mem::take(last);
        if let Some(named) = named {
            others.insert(raw, named);
        }
        let (raw, named) = others.remove_entry(name).unwrap_or_else(|| {
            let number = self.names;
            self.names += 1;
            let named = Named {
                number,
                is_test: is_test_station(self.ids.text(index), &decode(name)),
                last: (None, u32::MAX),
            };
            (name.into(), named)
        });
        *last = LastName {
            raw,
            named: Some(named),
        };
        named
    }

    /// Lists every name of an id, with the number of the pair.
    fn names(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let last = (self.last_names.iter()).filter_map(|last| Some((last.named?, &*last.raw)));
        let others = self.other_names.values().flat_map(|names| names.iter());
        let others = others.map(|(raw, named)| (*named, &**raw));
        last.chain(others).map(|(named, raw)| (named.number, raw))
    }
}

/// The indexes of words by their meaning: spellings of one meaning have one index.
#[derive(Default)]
struct WordIndex(FxHashMap<Box<str>, u32>);

impl WordIndex {
    /// Finds the index of a meaning; a new one is added to `words`.
    fn find(&mut self, words: &mut Dictionary, meaning: &str) -> u32 {
        if let Some(index) = self.0.get(meaning) {
            return *index;
        }
        let index = add(words, meaning);
        self.0.insert(meaning.into(), index);
        index
    }
}
