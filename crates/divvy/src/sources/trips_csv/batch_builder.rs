//! A batch while it is filled, with the indexes of its dictionaries.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::interner::Interner;
use super::offsets::RowTimes;
use super::test_stations::is_test_station;
use crate::model::{Dictionary, NONE_I32, Rider, StationAlias, StationName, TripBatch};
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

    /// Finds a station, and notes that the file calls it `name` on a day.
    #[inline]
    pub(super) fn find_station(&mut self, id: &[u8], name: &[u8], day: i32) -> StationUse {
        self.stations.find(&mut self.trips.stations, id, name, day)
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
                .any(|(_, raw, _)| std::str::from_utf8(raw).is_err())
    }

    /// Returns the batch, with the names of its stations.
    pub(super) fn finish(mut self) -> TripBatch {
        for (station, raw, days) in self.stations.names() {
            if !raw.is_empty() {
                self.trips.names.push(StationName {
                    station,
                    name: decode(raw).into(),
                    days,
                });
            }
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
    other_names: FxHashMap<u32, FxHashMap<Box<[u8]>, NameUse>>,
    /// The indexes of aliases in the batch's dictionary.
    aliases: FxHashMap<StationAlias, u32>,
}

#[derive(Default)]
struct LastName {
    raw: Box<[u8]>,
    used: NameUse,
}

/// How a station's name is used.
struct NameUse {
    /// The index of the id with this name in the batch's dictionary.
    alias: u32,
    /// First and last day of a trip with that name.
    days: (i32, i32),
    is_test: bool,
}

impl NameUse {
    /// The days of a name that no trip has had yet.
    const NO_DAYS: (i32, i32) = (i32::MAX, i32::MIN);
}

impl Default for NameUse {
    fn default() -> Self {
        Self {
            alias: 0,
            days: Self::NO_DAYS,
            is_test: false,
        }
    }
}

impl StationIndex {
    #[inline]
    fn find(&mut self, stations: &mut Dictionary, id: &[u8], name: &[u8], day: i32) -> StationUse {
        let Self { ids, interner, .. } = self;
        let index = interner.find(id, |id| add(ids, id));
        if self.last_names.len() <= index as usize {
            self.last_names
                .resize_with(index as usize + 1, LastName::default);
        }
        let last = &mut self.last_names[index as usize];
        if *last.raw != *name || last.used.days == NameUse::NO_DAYS {
            self.change_name(stations, index, name);
        }
        let used = &mut self.last_names[index as usize].used;
        used.days = (used.days.0.min(day), used.days.1.max(day));
        StationUse {
            index: used.alias,
            is_test: used.is_test,
        }
    }

    /// Makes another name of a station the last one.
    #[cold]
    fn change_name(&mut self, stations: &mut Dictionary, index: u32, name: &[u8]) {
        let last = &mut self.last_names[index as usize];
        let others = self.other_names.entry(index).or_default();
        if last.used.days != NameUse::NO_DAYS {
            let LastName { raw, used } = std::mem::take(last);
            others.insert(raw, used);
        }
        let (raw, used) = others.remove_entry(name).unwrap_or_else(|| {
            let id = self.ids.text(index);
            let text = decode(name);
            let alias = StationAlias::new(id, &text);
            let used = NameUse {
                is_test: is_test_station(id, &text),
                days: NameUse::NO_DAYS,
                alias: *(self.aliases.entry(alias))
                    .or_insert_with_key(|alias| add(stations, alias.as_str())),
            };
            (name.into(), used)
        });
        *last = LastName { raw, used };
    }

    /// Lists every name with the index of its alias and its days.
    fn names(&self) -> impl Iterator<Item = (u32, &[u8], (i32, i32))> {
        let last = self.last_names.iter().map(|name| (&*name.raw, &name.used));
        let others = self.other_names.values().flat_map(|names| names.iter());
        let others = others.map(|(raw, used)| (&**raw, used));
        last.chain(others)
            .map(|(raw, used)| (used.alias, raw, used.days))
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
