//! Trips as columns, without the dictionaries of a batch.

use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;
use parquet::data_type::ByteArray;

use super::parquet_file::ColumnValues;
use super::words::Words;
use crate::model::{Flag, Flags, NONE_I16, NONE_I32, TripBatch};

/// Indexes of the columns of texts. An empty text is NULL.
mod text {
    pub(super) const ID: usize = 0;
    pub(super) const VEHICLE: usize = 1;
    pub(super) const BIKE: usize = 2;
    pub(super) const RIDER: usize = 3;
    pub(super) const GENDER: usize = 4;
    pub(super) const COLUMNS: usize = 5;
}

/// Indexes of the columns of times.
mod time {
    pub(super) const STARTED: usize = 0;
    pub(super) const ENDED: usize = 1;
    pub(super) const COLUMNS: usize = 2;
}

/// Indexes of the columns of numbers. [`NONE_I32`] is NULL.
mod number {
    pub(super) const STARTED_OFFSET: usize = 0;
    pub(super) const ENDED_OFFSET: usize = 1;
    pub(super) const PRECISION: usize = 2;
    pub(super) const REPORTED: usize = 3;
    /// The number of the alias in [`Words`](super::Words), 0 for none.
    pub(super) const ORIGIN: usize = 4;
    pub(super) const DESTINATION: usize = 5;
    pub(super) const BIRTH_YEAR: usize = 6;
    pub(super) const FROM_LATITUDE: usize = 7;
    pub(super) const FROM_LONGITUDE: usize = 8;
    pub(super) const TO_LATITUDE: usize = 9;
    pub(super) const TO_LONGITUDE: usize = 10;
    /// The bits of [`Flags`](super::Flags).
    pub(super) const FLAGS: usize = 11;
    /// The number of the archive in [`Words`](super::Words).
    pub(super) const ARCHIVE: usize = 12;
    pub(super) const COLUMNS: usize = 13;
}

/// The name of [`Flags::OTHER_WORDS`] among the flags of a trip.
const OTHER_WORDS: &str = "other_words";

/// Some trips.
#[derive(Default)]
pub(super) struct TripRows {
    texts: [Texts; text::COLUMNS],
    times: [Vec<i64>; time::COLUMNS],
    numbers: [Vec<i32>; number::COLUMNS],
}

/// Texts one after another.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1)
            .map_or(0, |previous| self.ends[previous] as usize)
    }

    fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.start(row)..self.ends[row] as usize]
    }
}

impl TripRows {
    /// Counts the trips.
    pub(super) fn len(&self) -> usize {
        self.times[time::STARTED].len()
    }

    /// Returns the bytes of memory that it occupies.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.texts.iter();
        let texts = texts.map(|texts| texts.bytes.capacity() + 4 * texts.ends.capacity());
        let times = self.times.iter().map(|times| 8 * times.capacity());
        let numbers = self.numbers.iter().map(|numbers| 4 * numbers.capacity());
        texts.chain(times).chain(numbers).sum()
    }

    /// Returns the local start of a row in milliseconds.
    pub(super) fn started_ms(&self, row: usize) -> i64 {
        self.times[time::STARTED][row]
    }

    /// Adds some rows of a batch. `aliases` has the numbers of its stations in [`Words`], and `archive` is
    /// that of their archive.
    pub(super) fn add(
        &mut self,
        batch: &TripBatch,
        rows: Range<usize>,
        aliases: &[i32],
        archive: i32,
    ) {
        for row in rows.clone() {
            self.texts[text::ID].push(batch.id_raw(row));
            let vehicle = batch.vehicles.text(batch.vehicle[row]);
            self.texts[text::VEHICLE].push(vehicle.as_bytes());
            for (column, words) in [
                (text::BIKE, &batch.bike),
                (text::RIDER, &batch.rider),
                (text::GENDER, &batch.gender),
            ] {
                self.texts[column].push(batch.words.text(words[row]).as_bytes());
            }
        }
        self.times[time::STARTED].extend_from_slice(&batch.started_ms[rows.clone()]);
        self.times[time::ENDED].extend_from_slice(&batch.ended_ms[rows.clone()]);
        for (column, values) in [
            (number::STARTED_OFFSET, &batch.started_offset_s),
            (number::ENDED_OFFSET, &batch.ended_offset_s),
            (number::PRECISION, &batch.precision_ms),
            (number::REPORTED, &batch.reported_s),
            (number::FROM_LATITUDE, &batch.from_latitude),
            (number::FROM_LONGITUDE, &batch.from_longitude),
            (number::TO_LATITUDE, &batch.to_latitude),
            (number::TO_LONGITUDE, &batch.to_longitude),
        ] {
            self.numbers[column].extend_from_slice(&values[rows.clone()]);
        }
        for (column, stations) in [
            (number::ORIGIN, &batch.origin),
            (number::DESTINATION, &batch.destination),
        ] {
            let stations = stations[rows.clone()].iter();
            self.numbers[column].extend(stations.map(|station| aliases[*station as usize]));
        }
        let years = batch.birth_year[rows.clone()].iter();
        self.numbers[number::BIRTH_YEAR].extend(years.map(|year| match *year {
            NONE_I16 => NONE_I32,
            year => i32::from(year),
        }));
        let flags = batch.flags[rows.clone()].iter();
        self.numbers[number::FLAGS].extend(flags.map(|flags| i32::from(flags.bits())));
        self.numbers[number::ARCHIVE].extend(rows.map(|_| archive));
    }

    /// Adds all rows of others.
    pub(super) fn append(&mut self, others: Self) {
        if self.len() == 0 {
            *self = others;
            return;
        }
        for (texts, others) in self.texts.iter_mut().zip(others.texts) {
            let start = texts.bytes.len() as u32;
            texts.bytes.extend(others.bytes);
            texts.ends.extend(others.ends.iter().map(|end| start + end));
        }
        for (times, others) in self.times.iter_mut().zip(others.times) {
            times.extend(others);
        }
        for (numbers, others) in self.numbers.iter_mut().zip(others.numbers) {
            numbers.extend(others);
        }
    }

    /// Writes some rows for [`read`](Self::read).
    pub(super) fn write(&self, rows: Range<usize>, out: &mut impl Write) -> io::Result<()> {
        for texts in &self.texts {
            let start = texts.start(rows.start);
            let lengths = rows.clone().map(|row| texts.get(row).len() as u32);
            write_all(lengths.map(u32::to_le_bytes), out)?;
            out.write_all(&texts.bytes[start..texts.start(rows.end)])?;
        }
        for times in &self.times {
            write_all(
                times[rows.clone()].iter().map(|time| time.to_le_bytes()),
                out,
            )?;
        }
        for numbers in &self.numbers {
            write_all(
                numbers[rows.clone()]
                    .iter()
                    .map(|number| number.to_le_bytes()),
                out,
            )?;
        }
        Ok(())
    }

    /// Adds so many rows that [`write`](Self::write) has written.
    pub(super) fn read(&mut self, rows: usize, from: &mut impl Read) -> io::Result<()> {
        for texts in &mut self.texts {
            let mut end = texts.bytes.len();
            for _ in 0..rows {
                end += u32::from_le_bytes(read_array(from)?) as usize;
                texts.ends.push(end as u32);
            }
            let start = texts.bytes.len();
            texts.bytes.resize(end, 0);
            from.read_exact(&mut texts.bytes[start..])?;
        }
        for times in &mut self.times {
            for _ in 0..rows {
                times.push(i64::from_le_bytes(read_array(from)?));
            }
        }
        for numbers in &mut self.numbers {
            for _ in 0..rows {
                numbers.push(i32::from_le_bytes(read_array(from)?));
            }
        }
        Ok(())
    }

    /// Returns the rows in the order of their local starts, those of equal start by id.
    fn ordered(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by_key(|row| {
            let row = *row as usize;
            (self.started_ms(row), self.texts[text::ID].get(row))
        });
        order
    }

    /// Prepares the columns of a row group.
    pub(super) fn into_row_group(mut self, words: &Words) -> RowGroup<'_> {
        let order = self.ordered();
        let texts = self.texts.each_mut();
        RowGroup {
            texts: texts.map(|texts| std::mem::take(&mut texts.bytes).into()),
            rows: self,
            words,
            order,
        }
    }
}

fn write_all<const N: usize>(
    values: impl Iterator<Item = [u8; N]>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut values = values;
    values.try_for_each(|bytes| out.write_all(&bytes))
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Trips as a row group of [`TRIPS`](super::shape::TRIPS).
pub(super) struct RowGroup<'a> {
    /// The trips, without the bytes of their texts.
    rows: TripRows,
    words: &'a Words,
    /// The rows in the order in which they are written.
    order: Vec<u32>,
    /// The bytes of each column of texts, of which values are slices.
    texts: [Bytes; text::COLUMNS],
}

impl RowGroup<'_> {
    /// Makes the values of a column.
    pub(super) fn column(&self, name: &str) -> ColumnValues {
        match name {
            "trip_id" => ColumnValues::required(self.texts(text::ID)),
            "started_at" => ColumnValues::required(self.times(time::STARTED)),
            "ended_at" => ColumnValues::required(self.times(time::ENDED)),
            "started_at_utc" => {
                ColumnValues::required(self.instants(time::STARTED, number::STARTED_OFFSET))
            }
            "ended_at_utc" => {
                ColumnValues::required(self.instants(time::ENDED, number::ENDED_OFFSET))
            }
            "started_offset_s" => ColumnValues::required(self.numbers(number::STARTED_OFFSET)),
            "ended_offset_s" => ColumnValues::required(self.numbers(number::ENDED_OFFSET)),
            "precision_ms" => ColumnValues::required(self.numbers(number::PRECISION)),
            "ride_duration_s" => ColumnValues::required(self.durations()),
            "reported_duration_s" => {
                let stated = self.present(number::REPORTED);
                ColumnValues::optional(stated.map(|stated| stated.map(i64::from)))
            }
            "from_station_id" => self.stations(number::ORIGIN, Words::station_id),
            "from_station_name" => self.stations(number::ORIGIN, Words::station_name),
            "to_station_id" => self.stations(number::DESTINATION, Words::station_id),
            "to_station_name" => self.stations(number::DESTINATION, Words::station_name),
            "vehicle_id" => self.optional_texts(text::VEHICLE),
            "rideable_type" => self.optional_texts(text::BIKE),
            "rider" => ColumnValues::required(self.texts(text::RIDER)),
            "gender" => self.optional_texts(text::GENDER),
            "birth_year" => ColumnValues::optional(self.present(number::BIRTH_YEAR)),
            "from_latitude" => ColumnValues::optional(self.present(number::FROM_LATITUDE)),
            "from_longitude" => ColumnValues::optional(self.present(number::FROM_LONGITUDE)),
            "to_latitude" => ColumnValues::optional(self.present(number::TO_LATITUDE)),
            "to_longitude" => ColumnValues::optional(self.present(number::TO_LONGITUDE)),
            "flags" => self.flags(),
            "archive" => {
                let archives = self.numbers(number::ARCHIVE);
                ColumnValues::required(archives.map(|archive| self.words.archive(archive)))
            }
            other => unreachable!("{other} is no column of trips"),
        }
    }

    fn rows(&self) -> impl Iterator<Item = usize> {
        self.order.iter().map(|row| *row as usize)
    }

    fn texts(&self, column: usize) -> impl Iterator<Item = ByteArray> {
        let (bytes, texts) = (&self.texts[column], &self.rows.texts[column]);
        self.rows().map(move |row| {
            bytes
                .slice(texts.start(row)..texts.ends[row] as usize)
                .into()
        })
    }

    fn optional_texts(&self, column: usize) -> ColumnValues {
        let texts = self.texts(column);
        ColumnValues::optional(texts.map(|text| Some(text).filter(|text| !text.is_empty())))
    }

    fn times(&self, column: usize) -> impl Iterator<Item = i64> {
        self.rows().map(move |row| self.rows.times[column][row])
    }

    fn numbers(&self, column: usize) -> impl Iterator<Item = i32> {
        self.rows().map(move |row| self.rows.numbers[column][row])
    }

    fn present(&self, column: usize) -> impl Iterator<Item = Option<i32>> {
        let numbers = self.numbers(column);
        numbers.map(|number| Some(number).filter(|number| *number != NONE_I32))
    }

    fn instants(&self, time: usize, offset: usize) -> impl Iterator<Item = i64> {
        let offsets = self.numbers(offset);
        let times = self.times(time).zip(offsets);
        times.map(|(local_ms, offset_s)| local_ms - 1000 * i64::from(offset_s))
    }

    /// Makes the durations, as [`TripBatch::duration_s`] does.
    fn durations(&self) -> impl Iterator<Item = i64> {
        let starts = self.instants(time::STARTED, number::STARTED_OFFSET);
        let ends = self.instants(time::ENDED, number::ENDED_OFFSET);
        let elapsed_ms = starts.zip(ends).map(|(start, end)| end - start);
        let stated = self.present(number::REPORTED).zip(elapsed_ms);
        stated.map(|(stated, ms)| stated.map_or(ms.div_euclid(1000), i64::from))
    }

    fn stations(
        &self,
        column: usize,
        text: impl Fn(&Words, i32) -> Option<ByteArray>,
    ) -> ColumnValues {
        let stations = self.numbers(column);
        ColumnValues::optional(stations.map(|station| text(self.words, station)))
    }

    fn flags(&self) -> ColumnValues {
        let names = Flag::ALL.map(|flag| (flag, ByteArray::from(flag.as_str())));
        let other_words = ByteArray::from(OTHER_WORDS);
        ColumnValues::lists(self.numbers(number::FLAGS).map(|bits| {
            let flags = Flags::from_bits(bits as u16);
            let named = names.iter().filter(move |(flag, _)| flags.contains(*flag));
            let other = flags.intersects(Flags::OTHER_WORDS);
            let other = other.then(|| other_words.clone());
            named.map(|(_, name)| name.clone()).chain(other)
        }))
    }
}
