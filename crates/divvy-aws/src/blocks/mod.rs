//! Rows of trips as small, checked, repeatable bytes: for packed items, for the spool of a load,
//! and for copies that lost against a better one.
//!
//! ```text
//!  version (1 byte), XXH3-64 of all that follows (8, little-endian), varint(raw length), zstd frame
//! ```
//!
//! The same rows give the same bytes, whatever batch they come from: dictionaries hold what the
//! rows use, and nothing else. Each column is written as what its neighbours do not tell already:
//! starts as differences, ends as lengths, stated durations as what they differ from the length,
//! numbered ids as what they differ from a straight line over the lines of the file, positions as
//! what they differ from the one before at that station. `planes` tells how numbers become bytes.

#[cfg(test)]
pub(crate) mod any;
mod gather;
mod pack;
mod planes;

use std::collections::HashMap;

use divvy::model::{Dictionary, Flags, NONE_I16, NONE_I32, TripBatch};
use xxhash_rust::xxh3::xxh3_64;

pub use gather::Gatherer;
pub use pack::{MAX_BLOCK, Month, PACKED_LEVEL, Packed, TARGET_BLOCK, pack, pack_some};
use planes::{Reader, Writer, decimal, unzigzag, zigzag};

/// The version that [`encode`] writes.
const VERSION: u8 = 1;

/// The level for bytes that are soon read again.
pub const SPOOL_LEVEL: i32 = 1;

/// Rows of trips, and where they stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The trips, with their lines. Its names are not kept: they are a fact about the file.
    pub batch: TripBatch,
    /// The archive's member of each row, by its place among those with trips.
    pub member: Vec<u32>,
}

impl Rows {
    /// Makes rows of a batch of one member.
    pub fn of_member(batch: TripBatch, member: u32) -> Self {
        Self {
            member: vec![member; batch.len()],
            batch,
        }
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.member.len()
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.member.is_empty()
    }
}

/// Why bytes are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Another program wrote it.
    #[error("the block has version {0}, and this program reads version {VERSION}: use a newer one")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("the block is damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, and still it is no block.
    #[error("the block is damaged: {0} cannot be read")]
    Damaged(&'static str),
}

/// Encodes rows in their order, at a level of zstd.
pub fn encode(rows: &Rows, level: i32) -> Vec<u8> {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    encode_some(&rows.batch, |row| rows.member[row], &all, level)
}

/// Encodes some rows of a batch, in the order given. `member` tells the member of a row.
pub fn encode_some(
    batch: &TripBatch,
    member: impl Fn(usize) -> u32,
    rows: &[u32],
    level: i32,
) -> Vec<u8> {
    let mut columns = Columns {
        batch,
        rows,
        writer: Writer::default(),
        scratch: Vec::with_capacity(rows.len()),
    };
    columns.write(member);
    let mut block = vec![VERSION; 9];
    columns.writer.compress(&mut block, level);
    let checksum = xxh3_64(&block[9..]);
    block[1..9].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Decodes a block.
///
/// # Errors
///
/// [`BlockError`]; no bytes make it panic, or take more memory than what they unpack to.
pub fn decode(block: &[u8]) -> Result<Rows, BlockError> {
    let (version, rest) = block.split_first().ok_or(BlockError::Damaged("the head"))?;
    if *version != VERSION {
        return Err(BlockError::Version(*version));
    }
    let (checksum, packed) = rest
        .split_first_chunk()
        .ok_or(BlockError::Damaged("the head"))?;
    if u64::from_le_bytes(*checksum) != xxh3_64(packed) {
        return Err(BlockError::Checksum);
    }
    read(&planes::unpack(packed)?)
}

/// Forms of ids.
const IDS_TEXT: u8 = 0;
const IDS_DECIMAL: u8 = 1;
const IDS_HEX_LOWER: u8 = 2;
const IDS_HEX_UPPER: u8 = 3;

/// Units in which times may be told, in milliseconds.
const UNITS: [i64; 3] = [60_000, 1000, 1];

/// Binary digits behind the point of a slope.
const SLOPE_BITS: u32 = 16;

struct Columns<'a> {
    batch: &'a TripBatch,
    rows: &'a [u32],
    writer: Writer,
    scratch: Vec<u64>,
}

impl<'a> Columns<'a> {
    fn write(&mut self, member: impl Fn(usize) -> u32) {
        let batch = self.batch;
        self.writer.count(self.rows.len() as u64);
        self.ids();
        self.column(|row| u64::from(member(row)));
        let mut line_before = 0;
        self.column(|row| {
            let line = batch.line[row];
            let step = line.wrapping_sub(std::mem::replace(&mut line_before, line));
            zigzag(step as i64)
        });
        self.times();
        let (texts, station) = in_use(
            &batch.stations,
            self.rows,
            &[&batch.origin, &batch.destination],
        );
        self.writer.texts(&texts);
        self.column(|row| u64::from(station[batch.origin[row] as usize]));
        self.column(|row| u64::from(station[batch.destination[row] as usize]));
        let (texts, vehicle) = in_use(&batch.vehicles, self.rows, &[&batch.vehicle]);
        self.writer.texts(&texts);
        self.column(|row| u64::from(vehicle[batch.vehicle[row] as usize]));
        self.kinds();
        self.birth_years();
        for (latitude, longitude, at) in [
            (&batch.from_latitude, &batch.from_longitude, &batch.origin),
            (&batch.to_latitude, &batch.to_longitude, &batch.destination),
        ] {
            for degrees in [latitude, longitude] {
                let mut before = Before::new(batch.stations.len());
                self.column(|row| before.difference(at[row], degrees[row]));
            }
        }
    }

    fn column(&mut self, mut value: impl FnMut(usize) -> u64) {
        self.scratch.clear();
        let values = self.rows.iter().map(|row| value(*row as usize));
        self.scratch.extend(values);
        self.writer.numbers(&self.scratch, 0);
    }

    fn ids(&mut self) {
        let (batch, rows) = (self.batch, self.rows);
        let ids = || rows.iter().map(|row| batch.id_raw(*row as usize));
        let numbers: Option<Vec<u64>> = ids().map(decimal).collect();
        if let Some(numbers) = numbers {
            self.writer.count(u64::from(IDS_DECIMAL));
            return self.numbered(&numbers);
        }
        let length = ids().next().map_or(0, <[u8]>::len);
        let alike = length > 0 && length % 2 == 0 && ids().all(|id| id.len() == length);
        for (form, digits) in [
            (IDS_HEX_UPPER, b"0123456789ABCDEF"),
            (IDS_HEX_LOWER, b"0123456789abcdef"),
        ] {
            if !alike {
                break;
            }
            let mut values = [u8::MAX; 256];
            for (value, digit) in digits.iter().enumerate() {
                values[usize::from(*digit)] = value as u8;
            }
            let mut bytes = Vec::with_capacity(rows.len() * length / 2);
            let all = ids().all(|id| {
                id.chunks_exact(2).all(|pair| {
                    let pair = (values[usize::from(pair[0])], values[usize::from(pair[1])]);
                    bytes.push(pair.0 << 4 | pair.1 & 15);
                    pair.0 < 16 && pair.1 < 16
                })
            });
            if all {
                self.writer.count(u64::from(form));
                self.writer.count(length as u64);
                return self.writer.bytes(&bytes);
            }
        }
        self.writer.count(u64::from(IDS_TEXT));
        let lengths: Vec<u64> = ids().map(|id| id.len() as u64).collect();
        self.writer.numbers(&lengths, 1);
        let bytes: Vec<u8> = ids().flatten().copied().collect();
        self.writer.bytes(&bytes);
    }

    /// Ids that are numbers grow (or fall) with the lines of their file: each is told by how far
    /// it is from where a straight line through the first and the last would have it.
    fn numbered(&mut self, numbers: &[u64]) {
        let line = |row: u32| self.batch.line[row as usize];
        let (ids, lines) = match (numbers, self.rows) {
            ([first, .., last], [top, .., bottom]) => (
                i128::from(*last) - i128::from(*first),
                i128::from(line(*bottom)) - i128::from(line(*top)),
            ),
            _ => (0, 0),
        };
        let slope = match lines {
            0 => 0,
            lines => i64::try_from((ids << SLOPE_BITS) / lines).unwrap_or(0),
        };
        let mut foreseen = Foreseen::new(slope);
        let steps: Vec<u64> = numbers
            .iter()
            .zip(self.rows)
            .map(|(number, row)| zigzag(foreseen.difference(*number, line(*row))))
            .collect();
        self.writer.signed(slope);
        self.writer.numbers(&steps, 1);
    }

    fn times(&mut self) {
        let batch = self.batch;
        let unit = |of: &dyn Fn(usize) -> i64| {
            UNITS
                .into_iter()
                .find(|unit| self.rows.iter().all(|row| of(*row as usize) % unit == 0))
                .expect("1 divides every number")
        };
        let started = unit(&|row| batch.started_ms[row]);
        let length = unit(&|row| batch.ended_ms[row].wrapping_sub(batch.started_ms[row]));
        let first = self
            .rows
            .first()
            .map_or(0, |row| batch.started_ms[*row as usize] / started);
        self.writer.count(started as u64);
        self.writer.count(length as u64);
        self.writer.signed(first);
        let mut before = first;
        self.column(|row| {
            let start = batch.started_ms[row] / started;
            zigzag(start.wrapping_sub(std::mem::replace(&mut before, start)))
        });
        self.column(|row| zigzag(batch.ended_ms[row].wrapping_sub(batch.started_ms[row]) / length));
        self.column(|row| zigzag(batch.started_offset_s[row].into()));
        self.column(|row| {
            zigzag(i64::from(batch.ended_offset_s[row]) - i64::from(batch.started_offset_s[row]))
        });
        self.column(|row| zigzag(batch.precision_ms[row].into()));
        self.column(|row| match batch.reported_s[row] {
            NONE_I32 => 0,
            reported => {
                let length = batch.ended_ms[row].wrapping_sub(batch.started_ms[row]);
                let offsets =
                    i64::from(batch.ended_offset_s[row]) - i64::from(batch.started_offset_s[row]);
                zigzag(i64::from(reported) - elapsed_s(length, offsets)) + 1
            }
        });
    }

    /// Bike, rider, gender and flags: few combinations, and they go together.
    fn kinds(&mut self) {
        let batch = self.batch;
        let kind = |row: u32| {
            let row = row as usize;
            (
                batch.bike[row],
                batch.rider[row],
                batch.gender[row],
                batch.flags[row].bits(),
            )
        };
        let mut codes: HashMap<_, u64> = HashMap::new();
        let mut kinds = Vec::new();
        let mut last = None;
        self.scratch.clear();
        for row in self.rows {
            let kind = kind(*row);
            let code = match last {
                Some((same, code)) if same == kind => code,
                _ => *codes.entry(kind).or_insert_with(|| {
                    kinds.push(kind);
                    kinds.len() as u64 - 1
                }),
            };
            last = Some((kind, code));
            self.scratch.push(code);
        }
        let mut places: HashMap<u32, u64> = HashMap::from([(0, 0)]);
        let mut texts = Vec::new();
        let mut columns: [Vec<u64>; 4] = Default::default();
        for (bike, rider, gender, flags) in &kinds {
            for (place, column) in [bike, rider, gender].into_iter().zip(&mut columns) {
                column.push(*places.entry(*place).or_insert_with(|| {
                    texts.push(batch.words.text(*place));
                    texts.len() as u64
                }));
            }
            columns[3].push(u64::from(*flags));
        }
        self.writer.texts(&texts);
        self.writer.count(kinds.len() as u64);
        for column in &columns {
            self.writer.numbers(column, 1);
        }
        self.writer.numbers(&self.scratch, 0);
    }

    fn birth_years(&mut self) {
        let years = &self.batch.birth_year;
        let stated = self.rows.iter().map(|row| years[*row as usize]);
        let first = stated.filter(|year| *year != NONE_I16).min().unwrap_or(0);
        self.writer.signed(first.into());
        self.column(|row| match years[row] {
            NONE_I16 => 0,
            year => (i64::from(year) - i64::from(first)) as u64 + 1,
        });
    }
}

/// Returns the time between two instants in seconds, fractions cut off, from what the clocks
/// differ and their offsets differ.
fn elapsed_s(clocks_ms: i64, offsets_s: i64) -> i64 {
    clocks_ms.wrapping_sub(1000 * offsets_s).div_euclid(1000)
}

/// Lists the texts that rows use, shorter ones first, and the code of each place: 0 for none, 1
/// for the first text.
fn in_use<'a>(
    dictionary: &'a Dictionary,
    rows: &[u32],
    columns: &[&Vec<u32>],
) -> (Vec<&'a str>, Vec<u32>) {
    let mut codes = vec![0; dictionary.len()];
    for column in columns {
        for row in rows {
            codes[column[*row as usize] as usize] = 1;
        }
    }
    let mut places: Vec<usize> = (1..codes.len())
        .filter(|place| codes[*place] == 1)
        .collect();
    let text = |place: &usize| dictionary.text(*place as u32);
    // Decimals are then in the order of their numbers.
    places.sort_by_key(|place| (text(place).len(), text(place)));
    codes[0] = 0;
    for (before, place) in places.iter().enumerate() {
        codes[*place] = before as u32 + 1;
    }
    (places.iter().map(text).collect(), codes)
}

/// Tells numbers by how far they are from a straight line over the lines of a file.
struct Foreseen {
    slope: i64,
    number: u64,
    line: u64,
}

impl Foreseen {
    fn new(slope: i64) -> Self {
        Self {
            slope,
            number: 0,
            line: 0,
        }
    }

    /// Where the number of a line should be.
    fn at(&self, line: u64) -> u64 {
        let lines = line.wrapping_sub(self.line) as i64;
        let step = (i128::from(self.slope) * i128::from(lines)) >> SLOPE_BITS;
        self.number.wrapping_add(step as u64)
    }

    fn difference(&mut self, number: u64, line: u64) -> i64 {
        let difference = number.wrapping_sub(self.at(line)) as i64;
        (self.number, self.line) = (number, line);
        difference
    }

    fn number(&mut self, difference: i64, line: u64) -> u64 {
        self.number = self.at(line).wrapping_add(difference as u64);
        self.line = line;
        self.number
    }
}

/// Tells positions by how far they are from the last one at the same station.
struct Before {
    by_place: Vec<Option<i32>>,
    last: i32,
}

impl Before {
    fn new(places: usize) -> Self {
        Self {
            by_place: vec![None; places],
            last: 0,
        }
    }

    fn difference(&mut self, place: u32, degrees: i32) -> u64 {
        if degrees == NONE_I32 {
            return 0;
        }
        let before = self.by_place[place as usize].unwrap_or(self.last);
        self.see(place, degrees);
        zigzag(i64::from(degrees) - i64::from(before)) + 1
    }

    fn degrees(&mut self, place: u32, difference: u64) -> Option<i32> {
        if difference == 0 {
            return Some(NONE_I32);
        }
        let before = self.by_place[place as usize].unwrap_or(self.last);
        let degrees = i64::from(before).checked_add(unzigzag(difference - 1))?;
        let degrees = i32::try_from(degrees).ok()?;
        self.see(place, degrees);
        Some(degrees)
    }

    fn see(&mut self, place: u32, degrees: i32) {
        self.by_place[place as usize] = Some(degrees);
        self.last = degrees;
    }
}

fn read(raw: &[u8]) -> Result<Rows, BlockError> {
    let mut reader = Reader::new(raw)?;
    let rows = reader.length()?;
    let mut batch = TripBatch::default();
    let ids = read_ids(&mut reader, rows, &mut batch)?;
    let member = reader.numbers(rows)?;
    let member = narrow(member, |value| value.try_into().ok(), "a member")?;
    let mut line = 0_u64;
    batch.line = reader.numbers(rows)?;
    for step in &mut batch.line {
        line = line.wrapping_add(unzigzag(*step) as u64);
        *step = line;
    }
    if let Some((slope, steps)) = ids {
        let mut foreseen = Foreseen::new(slope);
        for (step, line) in steps.into_iter().zip(&batch.line) {
            let number = foreseen.number(unzigzag(step), *line);
            push_decimal(&mut batch.id_bytes, number);
            batch.id_ends.push(end(&batch.id_bytes)?);
        }
    }
    read_times(&mut reader, rows, &mut batch)?;
    read_texts(&mut reader, &mut batch.stations)?;
    batch.origin = places(reader.numbers(rows)?, &batch.stations)?;
    batch.destination = places(reader.numbers(rows)?, &batch.stations)?;
    read_texts(&mut reader, &mut batch.vehicles)?;
    batch.vehicle = places(reader.numbers(rows)?, &batch.vehicles)?;
    read_kinds(&mut reader, rows, &mut batch)?;
    let first = reader.signed()?;
    batch.birth_year = narrow(
        reader.numbers(rows)?,
        |year| match year {
            0 => Some(NONE_I16),
            year => first
                .checked_add(i64::try_from(year - 1).ok()?)?
                .try_into()
                .ok(),
        },
        "a year of birth",
    )?;
    let stations = batch.stations.len();
    let mut degrees = |at: &[u32]| {
        let mut before = Before::new(stations);
        let mut place = at.iter();
        narrow(
            reader.numbers(rows)?,
            |difference| before.degrees(*place.next()?, difference),
            "a position",
        )
    };
    batch.from_latitude = degrees(&batch.origin)?;
    batch.from_longitude = degrees(&batch.origin)?;
    batch.to_latitude = degrees(&batch.destination)?;
    batch.to_longitude = degrees(&batch.destination)?;
    if !reader.is_at_end() {
        return Err(BlockError::Damaged("what is behind the columns"));
    }
    Ok(Rows { batch, member })
}

/// Reads ids, or what tells them once the lines are known: a slope, and differences.
fn read_ids(
    reader: &mut Reader,
    rows: usize,
    batch: &mut TripBatch,
) -> Result<Option<(i64, Vec<u64>)>, BlockError> {
    batch.id_ends.reserve(rows);
    match u8::try_from(reader.count()?) {
        Ok(IDS_DECIMAL) => return Ok(Some((reader.signed()?, reader.numbers(rows)?))),
        Ok(form @ (IDS_HEX_LOWER | IDS_HEX_UPPER)) => {
            let digits = match form {
                IDS_HEX_LOWER => b"0123456789abcdef",
                _ => b"0123456789ABCDEF",
            };
            let length = usize::try_from(reader.count()?).unwrap_or(usize::MAX);
            let size = (length / 2).checked_mul(rows);
            let bytes = reader.bytes(size.ok_or(BlockError::Damaged("the ids"))?)?;
            if length % 2 == 1 || length == 0 {
                return Err(BlockError::Damaged("the ids"));
            }
            batch.id_bytes.reserve(2 * bytes.len());
            for id in bytes.chunks_exact(length / 2) {
                let pairs = id.iter().map(|byte| (byte >> 4, byte & 15));
                let pairs = pairs.map(|(a, b)| [digits[usize::from(a)], digits[usize::from(b)]]);
                batch.id_bytes.extend(pairs.flatten());
                batch.id_ends.push(end(&batch.id_bytes)?);
            }
        }
        Ok(IDS_TEXT) => {
            for length in reader.numbers(rows)? {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let id = reader.bytes(length)?;
                std::str::from_utf8(id).map_err(|_| BlockError::Damaged("an id"))?;
                batch.id_bytes.extend_from_slice(id);
                batch.id_ends.push(end(&batch.id_bytes)?);
            }
        }
        _ => return Err(BlockError::Damaged("the form of ids")),
    }
    Ok(None)
}

fn end(bytes: &[u8]) -> Result<u32, BlockError> {
    u32::try_from(bytes.len()).map_err(|_| BlockError::Damaged("the ids"))
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

fn read_times(reader: &mut Reader, rows: usize, batch: &mut TripBatch) -> Result<(), BlockError> {
    let mut unit = || match i64::try_from(reader.count()?) {
        Ok(unit) if UNITS.contains(&unit) => Ok(unit),
        _ => Err(BlockError::Damaged("a unit of time")),
    };
    let (started, length) = (unit()?, unit()?);
    let mut start = reader.signed()?;
    let steps = reader.numbers(rows)?;
    let starts = steps.into_iter().map(|step| {
        start = start.wrapping_add(unzigzag(step));
        start.wrapping_mul(started)
    });
    batch.started_ms = starts.collect();
    let lengths = reader.numbers(rows)?.into_iter();
    let lengths: Vec<i64> = lengths.map(|n| unzigzag(n).wrapping_mul(length)).collect();
    let ends = batch.started_ms.iter().zip(&lengths);
    batch.ended_ms = ends
        .map(|(start, length)| start.wrapping_add(*length))
        .collect();
    let signed = |value| i32::try_from(unzigzag(value)).ok();
    batch.started_offset_s = narrow(reader.numbers(rows)?, signed, "an offset")?;
    let offsets = reader.numbers(rows)?;
    let mut from = batch.started_offset_s.iter();
    batch.ended_offset_s = narrow(
        offsets.clone(),
        |offset| {
            let from = i64::from(*from.next()?);
            from.checked_add(unzigzag(offset))?.try_into().ok()
        },
        "an offset",
    )?;
    batch.precision_ms = narrow(reader.numbers(rows)?, signed, "a precision")?;
    let mut told = lengths.iter().zip(&offsets);
    batch.reported_s = narrow(
        reader.numbers(rows)?,
        |difference| {
            let (length, offset) = told.next()?;
            if difference == 0 {
                return Some(NONE_I32);
            }
            elapsed_s(*length, unzigzag(*offset))
                .checked_add(unzigzag(difference - 1))?
                .try_into()
                .ok()
        },
        "a duration",
    )?;
    Ok(())
}

fn read_kinds(reader: &mut Reader, rows: usize, batch: &mut TripBatch) -> Result<(), BlockError> {
    read_texts(reader, &mut batch.words)?;
    let kinds = reader.length()?;
    let mut column = || places(reader.numbers(kinds)?, &batch.words);
    let (bikes, riders, genders) = (column()?, column()?, column()?);
    let flags = narrow(
        reader.numbers(kinds)?,
        |bits| bits.try_into().ok(),
        "a flag",
    )?;
    let codes = reader.numbers(rows)?;
    if codes.iter().any(|code| *code >= kinds as u64) {
        return Err(BlockError::Damaged("a kind of trip"));
    }
    fn pick<T: Copy>(kinds: &[T], codes: &[u64]) -> Vec<T> {
        codes.iter().map(|code| kinds[*code as usize]).collect()
    }
    batch.bike = pick(&bikes, &codes);
    batch.rider = pick(&riders, &codes);
    batch.gender = pick(&genders, &codes);
    let flags = pick::<u16>(&flags, &codes);
    batch.flags = flags.into_iter().map(Flags::from_bits).collect();
    Ok(())
}

fn read_texts(reader: &mut Reader, into: &mut Dictionary) -> Result<(), BlockError> {
    reader.texts(|text| {
        into.push(text);
    })
}

fn places(values: Vec<u64>, dictionary: &Dictionary) -> Result<Vec<u32>, BlockError> {
    let known = |place| {
        u32::try_from(place)
            .ok()
            .filter(|place| (*place as usize) < dictionary.len())
    };
    narrow(values, known, "a place in a dictionary")
}

fn narrow<T>(
    values: Vec<u64>,
    narrow: impl FnMut(u64) -> Option<T>,
    what: &'static str,
) -> Result<Vec<T>, BlockError> {
    let narrowed: Option<Vec<T>> = values.into_iter().map(narrow).collect();
    narrowed.ok_or(BlockError::Damaged(what))
}

#[cfg(test)]
mod tests;
