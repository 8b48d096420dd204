//! Many trips, column by column: the unit in which trips are read, counted and stored.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Flags, OTHER, Rider, StationAlias, Trip, TripId, VehicleId};

/// The distinct texts of some columns of a batch, by index. Index 0 is always the empty text, which
/// means "none".
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    texts: Vec<Box<str>>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            texts: vec!["".into()],
        }
    }
}

impl Dictionary {
    /// Returns the text at an index.
    pub fn text(&self, index: u32) -> &str {
        &self.texts[index as usize]
    }

    /// Returns the text at an index, `None` for index 0.
    pub fn get(&self, index: u32) -> Option<&str> {
        (index != 0).then(|| self.text(index))
    }

    /// Adds a text that the dictionary does not hold yet and returns its index.
    pub fn push(&mut self, text: &str) -> u32 {
        let index = self.texts.len() as u32;
        self.texts.push(text.into());
        index
    }

    /// Counts the texts, the empty one included.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns whether there is only the empty text.
    pub fn is_empty(&self) -> bool {
        self.texts.len() == 1
    }

    /// Lists the texts by index.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }
}

/// A name that a file gives to a station, and on which days.
#[derive(Clone, Debug, PartialEq)]
pub struct StationName {
    /// Index in [`TripBatch::stations`].
    pub station: u32,
    /// The name, without blanks around it.
    pub name: Box<str>,
    /// First and last day of a trip with that name, days since 1970-01-01.
    pub days: (i32, i32),
}

/// Up to some hundred thousand trips as columns. Row `i` of every column is trip `i`; a column has
/// the meaning of the field of the same name in [`Trip`].
///
/// In a batch that was read back with some columns only
/// ([`Projection`](crate::store::Projection)), the other columns are empty. `started_ms` is always
/// there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TripBatch {
    /// The bytes of all ids, one after another.
    pub id_bytes: Vec<u8>,
    /// Where each id ends in `id_bytes`.
    pub id_ends: Vec<u32>,
    /// See [`Trip::started_ms`].
    pub started_ms: Vec<i64>,
    /// See [`Trip::started_offset_s`].
    pub started_offset_s: Vec<i32>,
    /// See [`Trip::ended_ms`].
    pub ended_ms: Vec<i64>,
    /// See [`Trip::ended_offset_s`].
    pub ended_offset_s: Vec<i32>,
    /// See [`Trip::precision_ms`].
    pub precision_ms: Vec<i32>,
    /// See [`Trip::reported_s`]; [`i32::MIN`] for none.
    pub reported_s: Vec<i32>,
    /// Index in `stations`.
    pub origin: Vec<u32>,
    /// Index in `stations`.
    pub destination: Vec<u32>,
    /// Index in `vehicles`.
    pub vehicle: Vec<u32>,
    /// Index in `words`.
    pub bike: Vec<u32>,
    /// Index in `words`: [`Rider::as_str`].
    pub rider: Vec<u32>,
    /// Index in `words`.
    pub gender: Vec<u32>,
    /// [`i16::MIN`] for none.
    pub birth_year: Vec<i16>,
    /// Latitude of the start, millionths of a degree; [`i32::MIN`] for none.
    pub from_latitude: Vec<i32>,
    /// Longitude of the start.
    pub from_longitude: Vec<i32>,
    /// Latitude of the end.
    pub to_latitude: Vec<i32>,
    /// Longitude of the end.
    pub to_longitude: Vec<i32>,
    /// Data quirks.
    pub flags: Vec<Flags>,
    /// The line of the file on which the row begins, 1 for the header. 0 where not known.
    pub line: Vec<u64>,
    /// Stations: the texts of their aliases ([`StationAlias::as_str`]).
    pub stations: Dictionary,
    /// Ids of vehicles.
    pub vehicles: Dictionary,
    /// Types of bikes, riders and genders.
    pub words: Dictionary,
    /// The names that the file gives its stations, in all of its rows, duplicates included. Empty in
    /// a batch read back from a store.
    pub names: Vec<StationName>,
}

/// The words for types of bikes that publishers use.
const BIKES: [&str; 7] = [
    "classic_bike",
    "electric_bike",
    "docked_bike",
    "electric_scooter",
    "cargo_bike",
    "adaptive_bike",
    "scooter",
];

/// The words for genders that publishers use.
const GENDERS: [&str; 3] = ["Male", "Female", "Other"];

/// Returns whether a word for a rider is unlisted.
fn is_other_rider(word: &str) -> bool {
    matches!(Rider::parse(word), Rider::Other(_))
}

/// Returns whether a word for a type of bike is unlisted.
fn is_other_bike(word: &str) -> bool {
    !word.is_empty() && !BIKES.contains(&word)
}

/// Returns whether a word for a gender is unlisted.
fn is_other_gender(word: &str) -> bool {
    !word.is_empty() && !GENDERS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Stands for "no value" in columns of `i32`.
pub const NONE_I32: i32 = i32::MIN;
/// Stands for "no value" in columns of `i16`.
pub const NONE_I16: i16 = i16::MIN;

impl TripBatch {
    /// Counts the trips.
    pub fn len(&self) -> usize {
        self.started_ms.len()
    }

    /// Returns whether there is no trip.
    pub fn is_empty(&self) -> bool {
        self.started_ms.is_empty()
    }

    /// Returns the id of a row.
    pub fn id(&self, row: usize) -> &str {
        std::str::from_utf8(self.id_raw(row)).expect("ids are pushed as text")
    }

    /// Returns the bytes of the id of a row.
    pub fn id_raw(&self, row: usize) -> &[u8] {
        let start = row
            .checked_sub(1)
            .map_or(0, |previous| self.id_ends[previous] as usize);
        &self.id_bytes[start..self.id_ends[row] as usize]
    }

    /// Returns the published id of the station at the start of a row. Empty for none.
    pub fn origin_id(&self, row: usize) -> &str {
        StationAlias::split(self.stations.text(self.origin[row])).0
    }

    /// Returns by index in `stations` the first index with the same id and name: ends of a round trip may be in
    /// two cells.
    pub fn without_cells(&self) -> Vec<u32> {
        let mut first_of: HashMap<(&str, &str), u32> = HashMap::with_capacity(self.stations.len());
        let texts = self.stations.iter().zip(0..);
        let first = texts.map(|(text, index)| {
            let id_and_name = StationAlias::split_name(text);
            *first_of.entry(id_and_name).or_insert(index)
        });
        first.collect()
    }

    /// Returns the time between the instants of a row in milliseconds.
    pub fn elapsed_ms(&self, row: usize) -> i64 {
        (self.ended_ms[row] - self.started_ms[row])
            - 1000 * i64::from(self.ended_offset_s[row] - self.started_offset_s[row])
    }

    /// Returns the duration of a row: see [`Trip::duration_s`].
    pub fn duration_s(&self, row: usize) -> i64 {
        match self.reported_s[row] {
            NONE_I32 => self.elapsed_ms(row).div_euclid(1000),
            reported => i64::from(reported),
        }
    }

    /// Returns a row as a [`Trip`].
    pub fn trip(&self, row: usize) -> Trip {
        let point = |latitude: i32, longitude: i32| {
            (latitude != NONE_I32 && longitude != NONE_I32).then_some((latitude, longitude))
        };
        let word = |index: u32| self.words.get(index).map(Into::into);
        Trip {
            id: TripId::from(self.id(row)),
            started_ms: self.started_ms[row],
            started_offset_s: self.started_offset_s[row],
            ended_ms: self.ended_ms[row],
            ended_offset_s: self.ended_offset_s[row],
            precision_ms: self.precision_ms[row],
            reported_s: some(self.reported_s[row]),
            origin: self.stations.get(self.origin[row]).map(StationAlias::from),
            destination: self
                .stations
                .get(self.destination[row])
                .map(StationAlias::from),
            vehicle: self.vehicles.get(self.vehicle[row]).map(VehicleId::from),
            bike: word(self.bike[row]),
            rider: Rider::parse(self.words.text(self.rider[row])),
            gender: word(self.gender[row]),
            birth_year: (self.birth_year[row] != NONE_I16).then_some(self.birth_year[row]),
            from: point(self.from_latitude[row], self.from_longitude[row]),
            to: point(self.to_latitude[row], self.to_longitude[row]),
            flags: self.flags[row],
        }
    }

    /// Makes an empty batch with room for some rows.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            id_bytes: Vec::with_capacity(rows * 8),
            id_ends: Vec::with_capacity(rows),
            started_ms: Vec::with_capacity(rows),
            started_offset_s: Vec::with_capacity(rows),
            ended_ms: Vec::with_capacity(rows),
            ended_offset_s: Vec::with_capacity(rows),
            precision_ms: Vec::with_capacity(rows),
            reported_s: Vec::with_capacity(rows),
            origin: Vec::with_capacity(rows),
            destination: Vec::with_capacity(rows),
            vehicle: Vec::with_capacity(rows),
            bike: Vec::with_capacity(rows),
            rider: Vec::with_capacity(rows),
            gender: Vec::with_capacity(rows),
            birth_year: Vec::with_capacity(rows),
            from_latitude: Vec::with_capacity(rows),
            from_longitude: Vec::with_capacity(rows),
            to_latitude: Vec::with_capacity(rows),
            to_longitude: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            line: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Makes a batch of some of the rows, in the order given. It has the same dictionaries, and no
    /// names, which are those of the whole file.
    pub fn select(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
            if column.is_empty() {
                return Vec::new();
            }
            rows.iter().map(|row| column[*row as usize]).collect()
        }
        let mut id_bytes = Vec::with_capacity(self.id_bytes.len());
        let mut id_ends = Vec::with_capacity(rows.len());
        if !self.id_ends.is_empty() {
            for row in rows {
                id_bytes.extend_from_slice(self.id_raw(*row as usize));
                id_ends.push(id_bytes.len() as u32);
            }
        }
        Self {
            id_bytes,
            id_ends,
            started_ms: pick(&self.started_ms, rows),
            started_offset_s: pick(&self.started_offset_s, rows),
            ended_ms: pick(&self.ended_ms, rows),
            ended_offset_s: pick(&self.ended_offset_s, rows),
            precision_ms: pick(&self.precision_ms, rows),
            reported_s: pick(&self.reported_s, rows),
            origin: pick(&self.origin, rows),
            destination: pick(&self.destination, rows),
            vehicle: pick(&self.vehicle, rows),
            bike: pick(&self.bike, rows),
            rider: pick(&self.rider, rows),
            gender: pick(&self.gender, rows),
            birth_year: pick(&self.birth_year, rows),
            from_latitude: pick(&self.from_latitude, rows),
            from_longitude: pick(&self.from_longitude, rows),
            to_latitude: pick(&self.to_latitude, rows),
            to_longitude: pick(&self.to_longitude, rows),
            flags: pick(&self.flags, rows),
            line: pick(&self.line, rows),
            stations: self.stations.clone(),
            vehicles: self.vehicles.clone(),
            words: self.words.clone(),
            names: Vec::new(),
        }
    }

    /// Lists the unlisted words for riders, types of bikes and genders.
    pub fn other_words(&self) -> impl Iterator<Item = &str> {
        let is_other =
            |word: &&str| is_other_rider(word) && is_other_bike(word) && is_other_gender(word);
        self.words.iter().filter(is_other)
    }

    /// Sets [`Flags::OTHER_WORDS`] of each trip that has an unlisted word.
    pub fn flag_other_words(&mut self) {
        let [riders, bikes, genders] = self.is_other_by_index();
        let words = self.rider.iter().zip(&self.bike).zip(&self.gender);
        for (flags, ((rider, bike), gender)) in self.flags.iter_mut().zip(words) {
            if riders[*rider as usize] || bikes[*bike as usize] || genders[*gender as usize] {
                flags.insert_all(Flags::OTHER_WORDS);
            }
        }
    }

    /// Returns by index which words are unlisted: as riders, as bikes, as genders.
    fn is_other_by_index(&self) -> [Vec<bool>; 3] {
        [is_other_rider, is_other_bike, is_other_gender]
            .map(|is_other| self.words.iter().map(is_other).collect())
    }

    /// Returns the batch as tallies and reports count it: with [`OTHER`] in place of the unlisted
    /// words of trips with [`Flags::OTHER_WORDS`]. Borrowed where no trip has the flag.
    pub fn counted(&self) -> Cow<'_, Self> {
        let is_flagged = |flags: &Flags| flags.intersects(Flags::OTHER_WORDS);
        if !self.flags.iter().any(is_flagged) {
            return Cow::Borrowed(self);
        }
        let mut batch = self.clone();
        // Holds only the remaining words, because dense counters have a slot for each.
        let mut words = Dictionary::default();
        let mut other = None;
        let mut kept: Vec<Option<u32>> = vec![None; self.words.len()];
        kept[0] = Some(0);
        let columns = [&mut batch.rider, &mut batch.bike, &mut batch.gender];
        for (column, is_other) in columns.into_iter().zip(self.is_other_by_index()) {
            for (index, flags) in column.iter_mut().zip(&self.flags) {
                let word = *index as usize;
                *index = if is_other[word] && is_flagged(flags) {
                    *other.get_or_insert_with(|| words.push(OTHER))
                } else {
                    *kept[word].get_or_insert_with(|| words.push(self.words.text(word as u32)))
                };
            }
        }
        batch.words = words;
        Cow::Owned(batch)
    }

    /// Lists the trips.
    pub fn trips(&self) -> impl Iterator<Item = Trip> {
        (0..self.len()).map(|row| self.trip(row))
    }
}

fn some(value: i32) -> Option<i32> {
    (value != NONE_I32).then_some(value)
}

/// Collects single trips into a batch. The reader of trip files fills the columns itself.
impl FromIterator<Trip> for TripBatch {
    fn from_iter<I: IntoIterator<Item = Trip>>(trips: I) -> Self {
        let mut batch = Self::default();
        let (mut stations, mut vehicles, mut words) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        let index_of = |known: &mut HashMap<Box<str>, u32>, all: &mut Dictionary, text: &str| {
            if text.is_empty() {
                return 0;
            }
            *known.entry(text.into()).or_insert_with(|| all.push(text))
        };
        for trip in trips {
            batch
                .id_bytes
                .extend_from_slice(trip.id.as_str().as_bytes());
            batch.id_ends.push(batch.id_bytes.len() as u32);
            batch.started_ms.push(trip.started_ms);
            batch.started_offset_s.push(trip.started_offset_s);
            batch.ended_ms.push(trip.ended_ms);
            batch.ended_offset_s.push(trip.ended_offset_s);
            batch.precision_ms.push(trip.precision_ms);
            batch.reported_s.push(trip.reported_s.unwrap_or(NONE_I32));
            for (column, id) in [
                (&mut batch.origin, &trip.origin),
                (&mut batch.destination, &trip.destination),
            ] {
                let text = id.as_ref().map_or("", StationAlias::as_str);
                column.push(index_of(&mut stations, &mut batch.stations, text));
            }
            let vehicle = trip.vehicle.as_ref().map_or("", VehicleId::as_str);
            batch
                .vehicle
                .push(index_of(&mut vehicles, &mut batch.vehicles, vehicle));
            for (column, word) in [
                (&mut batch.bike, trip.bike.as_deref().unwrap_or_default()),
                (&mut batch.rider, trip.rider.as_str()),
                (
                    &mut batch.gender,
                    trip.gender.as_deref().unwrap_or_default(),
                ),
            ] {
                column.push(index_of(&mut words, &mut batch.words, word));
            }
            batch.birth_year.push(trip.birth_year.unwrap_or(NONE_I16));
            let (latitude, longitude) = trip.from.unwrap_or((NONE_I32, NONE_I32));
            batch.from_latitude.push(latitude);
            batch.from_longitude.push(longitude);
            let (latitude, longitude) = trip.to.unwrap_or((NONE_I32, NONE_I32));
            batch.to_latitude.push(latitude);
            batch.to_longitude.push(longitude);
            batch.flags.push(trip.flags);
            batch.line.push(0);
        }
        batch
    }
}
