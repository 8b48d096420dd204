//! From rows to trips.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::io::Read;

use rustc_hash::FxHashMap;

use super::schema::{Column, IdKind};
use super::test_stations::is_test_station;
use super::time::{self, LocalTime, Times};
use super::{Plan, TripsError, rows::Rows};
use crate::issue::{Reason, RejectSink, Rejected, RejectedCounts};
use crate::model::{
    BoundingBox, Dictionary, Flag, Flags, Fold, NONE_I16, NONE_I32, Position, Rider, StationName,
    System, TripBatch, Zone,
};

/// How many trips a batch holds at most.
pub const BATCH_ROWS: usize = 128 * 1024;

/// No id of a station is longer: what is was something else once, and not every store can keep it.
pub const LONGEST_ID: usize = 1024;

/// Reads one trip file, batch by batch.
pub struct TripReader<R> {
    rows: Rows<R>,
    file: String,
    plan: Plan,
    columns: Columns,
    starts: Times,
    ends: Times,
    clock: Clock,
    system: String,
    area: Option<BoundingBox>,
    rows_read: u64,
    rejected: RejectedCounts,
}

impl<R: Read> TripReader<R> {
    /// Begins to read a file by its plan, as trips of `system`. `input` starts with the header.
    ///
    /// # Errors
    ///
    /// [`TripsError::Read`] where not even the header can be read.
    pub fn new(input: R, plan: Plan, system: &System, file: &str) -> Result<Self, TripsError> {
        let mut rows = Rows::new(input);
        let reading = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        rows.advance().map_err(reading)?;
        Ok(Self {
            rows,
            file: file.into(),
            columns: Columns::of(&plan),
            starts: Times::new(plan.order),
            ends: Times::new(plan.order),
            plan,
            clock: Clock::new(system.zone()),
            system: system.id.as_str().into(),
            area: system.area,
            rows_read: 0,
            rejected: RejectedCounts::new(),
        })
    }

    /// Reads the next trips, at most [`BATCH_ROWS`]. `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`TripsError::Read`] when the bytes end in an error: nothing of the file may be kept then.
    pub fn next_batch(
        &mut self,
        rejects: &dyn RejectSink,
    ) -> Result<Option<TripBatch>, TripsError> {
        let mut batch = Builder {
            trips: TripBatch::with_capacity(BATCH_ROWS),
            ..Builder::default()
        };
        while batch.trips.len() < BATCH_ROWS && self.advance()? {
            self.rows_read += 1;
            if self.rows.has_swallowed_rows(self.columns.needed.max(2)) {
                self.rows.take_first_line();
            }
            if let Err(wrong) = self.take_row(&mut batch) {
                *self.rejected.entry(wrong.reason).or_default() += 1;
                rejects.reject(self.blame(wrong));
            }
        }
        let batch = batch.finish();
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn advance(&mut self) -> Result<bool, TripsError> {
        self.rows.advance().map_err(|source| TripsError::Read {
            file: self.file.clone(),
            source,
        })
    }

    /// Returns the number of data rows read so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// Returns the rows rejected so far, by reason.
    pub fn rejected(&self) -> &RejectedCounts {
        &self.rejected
    }

    /// Makes the row at hand a trip of the batch. The batch is left as it was where that fails.
    fn take_row(&mut self, batch: &mut Builder) -> Result<(), Wrong> {
        let Self {
            rows,
            plan,
            columns,
            starts,
            ends,
            clock,
            ..
        } = self;
        if rows.is_broken() {
            return Err(Wrong::row("a closing quote"));
        }
        let cells = rows.len();
        if cells < columns.needed || cells > columns.named {
            let surplus = cells.saturating_sub(columns.named);
            let empty = (columns.named..cells).all(|place| rows.cell(place).is_empty());
            if cells < columns.needed || (surplus > 0 && !empty) {
                return Err(Wrong::row(format!("{} cells", columns.named)));
            }
        }
        let id = match plan.header.form.id {
            IdKind::Hex16 => hex_id(rows.cell(columns.id))?,
            IdKind::Digits => digits_id(rows.cell(columns.id))?,
            IdKind::Derived => Cow::Borrowed(&b""[..]),
        };
        let started = {
            let text = value(rows.cell(columns.started_at));
            if text.is_empty() {
                return Err(Wrong::cell(
                    Reason::NoStart,
                    Column::StartedAt,
                    time::EXPECTED,
                ));
            }
            starts
                .parse(&text)
                .ok_or_else(|| Wrong::cell(Reason::Unparsable, Column::StartedAt, time::EXPECTED))?
        };
        let ended = ends
            .parse(&rows.cell(columns.ended_at))
            .ok_or_else(|| Wrong::cell(Reason::Unparsable, Column::EndedAt, time::EXPECTED))?;
        // Nearly all rows are shorter as a whole.
        if rows.length() > LONGEST_ID {
            for (column, place) in [
                (Column::OriginId, columns.origin_id),
                (Column::DestinationId, columns.destination_id),
            ] {
                if rows.cell(place).len() > LONGEST_ID {
                    let expected = "an id of at most 1024 bytes";
                    return Err(Wrong::cell(Reason::Unparsable, column, expected));
                }
            }
        }
        // From here on nothing fails, so columns stay equally long.

        let reported_s = seconds(&rows.cell(columns.duration), plan.durations_per_second);
        let times = clock.place(started, ended, reported_s);
        let mut flags = Flags::NONE;
        flags.insert_if(Flag::ClockChange, times.clock_change);
        let elapsed_ms = times.elapsed_ms(started, ended);
        let duration_s = reported_s.map_or(elapsed_ms.div_euclid(1000), i64::from);
        if elapsed_ms < 0 {
            flags.insert(Flag::EndsBeforeStart);
        } else if duration_s < 60 {
            let none = elapsed_ms == 0 && duration_s <= 0;
            flags.insert(if none {
                Flag::ZeroLength
            } else {
                Flag::Under60S
            });
        } else {
            flags.insert_if(Flag::Over24H, duration_s > 86_400);
        }

        let strip = plan.ids_were_numbers || plan.header.form.id == IdKind::Digits;
        let day = started.ms.div_euclid(86_400_000) as i32;
        let trips = &mut batch.trips;
        let mut end = |id: usize, name: usize| {
            let id = value(rows.cell(id));
            let id = if strip { without_point_zero(&id) } else { &id };
            if id.is_empty() {
                return (0, false);
            }
            batch
                .places
                .find(&mut trips.stations, id, &rows.cell(name), day)
        };
        let (origin, origin_tests) = end(columns.origin_id, columns.origin_name);
        let (destination, destination_tests) =
            end(columns.destination_id, columns.destination_name);
        flags.insert_if(Flag::NoOrigin, origin == 0);
        flags.insert_if(Flag::NoDestination, destination == 0);
        flags.insert_if(Flag::TestStation, origin_tests || destination_tests);

        let point = |latitude: usize, longitude: usize| {
            let latitude = micro_degrees(&rows.cell(latitude)).unwrap_or(NONE_I32);
            let longitude = micro_degrees(&rows.cell(longitude)).unwrap_or(NONE_I32);
            let nowhere =
                latitude == NONE_I32 || longitude == NONE_I32 || (latitude, longitude) == (0, 0);
            if nowhere {
                (NONE_I32, NONE_I32)
            } else {
                (latitude, longitude)
            }
        };
        let mut from = (NONE_I32, NONE_I32);
        let mut to = from;
        if columns.coordinates {
            from = point(columns.from_latitude, columns.from_longitude);
            to = point(columns.to_latitude, columns.to_longitude);
            flags.insert_if(Flag::NoCoordinates, from.0 == NONE_I32 || to.0 == NONE_I32);
            let far = |(latitude, longitude): (i32, i32)| {
                latitude != NONE_I32
                    && self.area.is_some_and(|area| {
                        !area.contains(Position::from_micro(latitude, longitude))
                    })
            };
            flags.insert_if(Flag::FarAway, far(from) || far(to));
        }

        let vehicle = value(rows.cell(columns.vehicle));
        let vehicle = without_point_zero(&vehicle);
        if plan.header.form.id == IdKind::Derived {
            let ids = [
                trips.stations.text(origin),
                trips.stations.text(destination),
            ];
            let id = derived_id(&self.system, vehicle, started.ms, ended.ms, ids);
            trips.id_bytes.extend_from_slice(&id);
        } else {
            trips.id_bytes.extend_from_slice(&id);
        }
        trips.id_ends.push(trips.id_bytes.len() as u32);
        trips.started_ms.push(started.ms);
        trips.started_offset_s.push(times.started_offset_s);
        trips.ended_ms.push(ended.ms);
        trips.ended_offset_s.push(times.ended_offset_s);
        trips
            .precision_ms
            .push(started.precision_ms.max(ended.precision_ms));
        trips.reported_s.push(reported_s.unwrap_or(NONE_I32));
        trips.origin.push(origin);
        trips.destination.push(destination);
        trips.vehicle.push(
            batch
                .vehicles
                .find(vehicle, |id| add(&mut trips.vehicles, id)),
        );
        let meanings = &mut batch.meanings;
        let mut word = |seen: &mut Interned, place: usize, meaning: fn(&str) -> Cow<'_, str>| {
            seen.find(&value(rows.cell(place)), |word| {
                meanings.find(&mut trips.words, &meaning(word))
            })
        };
        let bike = word(&mut batch.bikes, columns.bike, |text| Cow::Borrowed(text));
        let rider = word(&mut batch.riders, columns.rider, |text| {
            Cow::Owned(Rider::parse(text).as_str().to_owned())
        });
        let gender = word(&mut batch.genders, columns.gender, gender);
        trips.bike.push(bike);
        trips.rider.push(rider);
        trips.gender.push(gender);
        trips.birth_year.push(year(&rows.cell(columns.birth_year)));
        trips.from_latitude.push(from.0);
        trips.from_longitude.push(from.1);
        trips.to_latitude.push(to.0);
        trips.to_longitude.push(to.1);
        trips.flags.push(flags);
        trips.line.push(rows.line());
        Ok(())
    }

    /// Points at the cell of the row at hand that is wrong.
    fn blame(&self, wrong: Wrong) -> Rejected {
        const READABLE: usize = 80;
        let header = &self.plan.header;
        let (column, found) = match wrong.column {
            None => (String::new(), self.rows.text()),
            Some(column) => {
                let cell = header
                    .place(column)
                    .map(|place| self.rows.cell(place))
                    .unwrap_or_default();
                let text = String::from_utf8_lossy(&cell).into_owned();
                (header.name(column).to_owned(), Cow::Owned(text))
            }
        };
        Rejected {
            file: self.file.clone(),
            line: self.rows.line(),
            column,
            reason: wrong.reason,
            expected: wrong.expected.into_owned(),
            found: found.chars().take(READABLE).collect(),
        }
    }
}

/// Why a row is no trip.
struct Wrong {
    reason: Reason,
    /// `None` for the row as a whole.
    column: Option<Column>,
    expected: Cow<'static, str>,
}

impl Wrong {
    fn cell(reason: Reason, column: Column, expected: &'static str) -> Self {
        Self {
            reason,
            column: Some(column),
            expected: expected.into(),
        }
    }

    fn row(expected: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: Reason::Unparsable,
            column: None,
            expected: expected.into(),
        }
    }
}

/// Where each column stands, or a place that no row reaches.
struct Columns {
    id: usize,
    started_at: usize,
    ended_at: usize,
    duration: usize,
    origin_id: usize,
    origin_name: usize,
    destination_id: usize,
    destination_name: usize,
    vehicle: usize,
    bike: usize,
    rider: usize,
    gender: usize,
    birth_year: usize,
    from_latitude: usize,
    from_longitude: usize,
    to_latitude: usize,
    to_longitude: usize,
    /// The file has coordinates.
    coordinates: bool,
    /// Cells a row must have.
    needed: usize,
    /// Cells of the header.
    named: usize,
}

impl Columns {
    fn of(plan: &Plan) -> Self {
        let place = |column| plan.header.place(column).unwrap_or(usize::MAX);
        Self {
            id: place(Column::Id),
            started_at: place(Column::StartedAt),
            ended_at: place(Column::EndedAt),
            duration: place(Column::Duration),
            origin_id: place(Column::OriginId),
            origin_name: place(Column::OriginName),
            destination_id: place(Column::DestinationId),
            destination_name: place(Column::DestinationName),
            vehicle: place(Column::Vehicle),
            bike: place(Column::Bike),
            rider: place(Column::Rider),
            gender: place(Column::Gender),
            birth_year: place(Column::BirthYear),
            from_latitude: place(Column::FromLatitude),
            from_longitude: place(Column::FromLongitude),
            to_latitude: place(Column::ToLatitude),
            to_longitude: place(Column::ToLongitude),
            coordinates: plan.header.place(Column::FromLatitude).is_some(),
            needed: plan.header.cells_needed(),
            named: plan.header.names.len(),
        }
    }
}

/// Takes a value, unless it is one of the words that programs write for "none".
#[inline(always)]
fn value(cell: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match cell.first() {
        Some(b'N' | b'n' | b'\\') if is_none(&cell) => Cow::Borrowed(b""),
        _ => cell,
    }
}

#[cold]
fn is_none(cell: &[u8]) -> bool {
    matches!(
        cell,
        b"NULL" | b"null" | b"\\N" | b"NA" | b"NaN" | b"nan" | b"None"
    )
}

/// Takes `86.0` for `86`: a whole number that went through a program that knows only floats.
#[inline]
fn without_point_zero(id: &[u8]) -> &[u8] {
    match id {
        [digits @ .., b'.', b'0'] if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => id,
    }
}

fn hex_id(cell: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, Wrong> {
    const EXPECTED: &str = "16 hexadecimal digits";
    let cell = value(cell);
    if cell.is_empty() {
        return Err(Wrong::cell(Reason::NoId, Column::Id, EXPECTED));
    }
    if cell.len() == 16 && cell.iter().all(u8::is_ascii_hexdigit) {
        return Ok(cell);
    }
    Err(Wrong::cell(Reason::DamagedId, Column::Id, EXPECTED))
}

fn digits_id(cell: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, Wrong> {
    const EXPECTED: &str = "a whole number";
    let cell = value(cell);
    let whole = |id: &[u8]| !id.is_empty() && id.len() < 20 && id.iter().all(u8::is_ascii_digit);
    if whole(&cell) {
        return Ok(cell);
    }
    if cell.is_empty() {
        return Err(Wrong::cell(Reason::NoId, Column::Id, EXPECTED));
    }
    let digits: Vec<u8> = cell.iter().copied().filter(|b| *b != b',').collect();
    let digits = without_point_zero(&digits).to_vec();
    if whole(&digits) {
        return Ok(Cow::Owned(digits));
    }
    Err(Wrong::cell(Reason::DamagedId, Column::Id, EXPECTED))
}

/// Derives an id where the file has none: the hash of everything that tells two trips apart.
///
/// 64 bits of XXH3 as 16 lower-case hexadecimal digits. Stable for ever: it is in stores.
fn derived_id(
    system: &str,
    vehicle: &[u8],
    started_ms: i64,
    ended_ms: i64,
    [origin, destination]: [&str; 2],
) -> [u8; 16] {
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    for part in [
        system.as_bytes(),
        vehicle,
        origin.as_bytes(),
        destination.as_bytes(),
    ] {
        hash.update(part);
        hash.update(&[0]);
    }
    hash.update(&started_ms.to_le_bytes());
    hash.update(&ended_ms.to_le_bytes());
    let hash = hash.digest();
    let mut text = [0; 16];
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (60 - 4 * place) & 15) as usize];
    }
    text
}

/// Reads a duration: `316`, `390.0`, `1,048.0`. `None` for anything else.
#[inline]
fn seconds(cell: &[u8], per_second: f64) -> Option<i32> {
    if per_second == 1.0
        && !cell.is_empty()
        && cell.len() < 10
        && cell.iter().all(u8::is_ascii_digit)
    {
        return Some(
            cell.iter()
                .fold(0, |n, digit| n * 10 + i32::from(digit - b'0')),
        );
    }
    let digits: String = std::str::from_utf8(cell).ok()?.replace(',', "");
    let value = digits.parse::<f64>().ok()? / per_second;
    (value.abs() < f64::from(i32::MAX)).then_some(value.round() as i32)
}

fn year(cell: &[u8]) -> i16 {
    let digits = match cell {
        [a, b, c, d] | [a, b, c, d, b'.', b'0'] => [*a, *b, *c, *d],
        _ => return NONE_I16,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return NONE_I16;
    }
    digits
        .iter()
        .fold(0, |n, digit| n * 10 + i16::from(digit - b'0'))
}

/// Citi Bike and Hubway write 0, 1 and 2.
fn gender(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(match text {
        "0" => "",
        "1" => "Male",
        "2" => "Female",
        other => other,
    })
}

/// Reads decimal degrees as millionths, rounded half up. `None` for what is no latitude or
/// longitude.
#[inline]
pub(super) fn micro_degrees(cell: &[u8]) -> Option<i32> {
    let (negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut value = 0_i64;
    let mut after_point = None;
    let mut any = false;
    for byte in digits {
        match (byte.wrapping_sub(b'0'), after_point) {
            (digit @ 0..=9, None) => {
                any = true;
                value = value * 10 + i64::from(digit);
                if value > 180 {
                    return None;
                }
            }
            (digit @ 0..=9, Some(places)) => {
                any = true;
                if places < 6 {
                    value = value * 10 + i64::from(digit);
                } else if places == 6 {
                    value += i64::from(digit >= 5);
                }
                after_point = Some(places + 1);
            }
            _ if *byte == b'.' && after_point.is_none() => after_point = Some(0_u32),
            _ => return None,
        }
    }
    let places = after_point.unwrap_or(0).min(6);
    let micro = value * 10_i64.pow(6 - places);
    let micro = i32::try_from(micro)
        .ok()
        .filter(|micro| *micro <= 180_000_000)?;
    any.then_some(if negative { -micro } else { micro })
}

/// Wall clocks of one system, with the offset last used at hand.
struct Clock {
    zone: Zone,
    /// Local times in which the offset is sure.
    steady: (i64, i64, i32),
}

/// Where two local times lie on the line of instants.
struct Instants {
    started_offset_s: i32,
    ended_offset_s: i32,
    clock_change: bool,
}

impl Instants {
    fn elapsed_ms(&self, started: LocalTime, ended: LocalTime) -> i64 {
        (ended.ms - started.ms) - 1000 * i64::from(self.ended_offset_s - self.started_offset_s)
    }
}

impl Clock {
    fn new(zone: Zone) -> Self {
        Self {
            zone,
            steady: (0, 0, 0),
        }
    }

    #[inline]
    fn place(&mut self, started: LocalTime, ended: LocalTime, reported_s: Option<i32>) -> Instants {
        let steady = |(from, until, _): (i64, i64, i32)| {
            (from..until).contains(&started.ms) && (from..until).contains(&ended.ms)
        };
        if !steady(self.steady)
            && let Some(stretch) = self.zone.steady_around(started.ms)
        {
            self.steady = stretch;
        }
        if steady(self.steady) {
            let offset_s = self.steady.2;
            return Instants {
                started_offset_s: offset_s,
                ended_offset_s: offset_s,
                clock_change: false,
            };
        }
        self.place_near_change(started, ended, reported_s)
    }

    /// Chooses among the meanings of times near a change of the clocks: with a stated duration
    /// the pair that fits it best, else the first occurrence of each, but the second one for an
    /// end that would come before its start.
    fn place_near_change(
        &self,
        started: LocalTime,
        ended: LocalTime,
        reported_s: Option<i32>,
    ) -> Instants {
        let (start, end) = (self.zone.resolve(started.ms), self.zone.resolve(ended.ms));
        let meanings = |resolved: crate::model::Resolved| match resolved.fold {
            Fold::Twice { later_offset_s } => vec![resolved.offset_s, later_offset_s],
            Fold::None | Fold::Never => vec![resolved.offset_s],
        };
        let clock_change =
            start.fold != Fold::None || end.fold != Fold::None || start.offset_s != end.offset_s;
        let mut pairs = Vec::new();
        for started_offset_s in meanings(start) {
            for ended_offset_s in meanings(end) {
                pairs.push(Instants {
                    started_offset_s,
                    ended_offset_s,
                    clock_change,
                });
            }
        }
        let unfit = |times: &Instants| {
            let elapsed_ms = times.elapsed_ms(started, ended);
            match reported_s {
                Some(reported_s) => (elapsed_ms - 1000 * i64::from(reported_s)).abs(),
                None => i64::from(elapsed_ms < 0),
            }
        };
        // The first of equals, and there is always one.
        pairs
            .into_iter()
            .min_by_key(unfit)
            .expect("each time has a meaning")
    }
}

/// A text of at most 16 bytes as numbers: two texts are equal if and only if these are. Looking
/// one up then follows no pointer, which for millions of short ids is most of the cost.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Short {
    low: u64,
    high: u64,
    len: u8,
}

impl Hash for Short {
    /// One number for all three: hashing is then one multiplication.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low ^ self.high.rotate_left(27) ^ u64::from(self.len) << 56);
    }
}

impl Short {
    /// Packs a text; `None` for a longer one.
    #[inline]
    fn pack(text: &[u8]) -> Option<Self> {
        // The two halves may overlap: with the length, they still say every byte.
        let (low, high) = match text {
            [] => (0, 0),
            [a] => (u64::from(*a), 0),
            [a, b] => (u64::from(*a), u64::from(*b)),
            [a, b, c] => (u64::from(*a), u64::from(*b) << 8 | u64::from(*c)),
            _ if text.len() < 8 => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                let number = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
                (number(first), number(last))
            }
            _ if text.len() <= 16 => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
            }
            _ => return None,
        };
        let len = text.len() as u8;
        Some(Self { low, high, len })
    }
}

/// Texts that stand in many rows, each kept once.
#[derive(Default)]
struct Interned {
    /// Places of small whole numbers, by number: most ids are, and a table of them stays in the
    /// cache where a map would not. 0 for none yet, else one more than the place.
    numbers: Vec<u32>,
    short: FxHashMap<Short, u32>,
    long: FxHashMap<Box<[u8]>, u32>,
    /// The short text met last.
    last: Option<(Short, u32)>,
}

/// Reads a whole number below 100,000 that is written in one way only.
#[inline]
fn small_number(text: &[u8]) -> Option<usize> {
    let plain = matches!(text, [b'1'..=b'9', ..]) && text.len() <= 5;
    if !plain {
        return None;
    }
    text.iter().try_fold(0, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(number * 10 + usize::from(digit))
    })
}

impl Interned {
    /// Finds the place of a text. One that is met for the first time gets it from `add`.
    #[inline]
    fn find(&mut self, raw: &[u8], add: impl FnOnce(&str) -> u32) -> u32 {
        let new = || add(&String::from_utf8_lossy(raw));
        if let Some(number) = small_number(raw) {
            if self.numbers.len() <= number {
                self.numbers.resize(number + 1, 0);
            }
            let slot = &mut self.numbers[number];
            if *slot == 0 {
                *slot = new() + 1;
            }
            return *slot - 1;
        }
        let Some(short) = Short::pack(raw) else {
            return match self.long.get(raw) {
                Some(place) => *place,
                None => *self.long.entry(raw.into()).or_insert_with(new),
            };
        };
        match self.last {
            Some((last, place)) if last == short => place,
            _ => {
                let place = match self.short.get(&short) {
                    Some(place) => *place,
                    None => *self.short.entry(short).or_insert_with(new),
                };
                self.last = Some((short, place));
                place
            }
        }
    }
}

/// Gives a text its place in a dictionary; the empty text has one already.
fn add(texts: &mut Dictionary, text: &str) -> u32 {
    if text.is_empty() { 0 } else { texts.push(text) }
}

/// The stations of a batch, with the names that its rows give them.
#[derive(Default)]
struct Places {
    ids: Interned,
    /// By place in the dictionary, the name that was met last.
    names: Vec<Named>,
    /// Other names of a place: few stations have any.
    others: FxHashMap<u32, FxHashMap<Box<[u8]>, Borne>>,
}

#[derive(Default)]
struct Named {
    raw: Box<[u8]>,
    borne: Borne,
}

/// What is known of a name that a station bears.
struct Borne {
    /// First and last day of a trip under that name.
    days: (i32, i32),
    is_test: bool,
}

impl Borne {
    /// The days of a name that no trip has borne yet.
    const NEVER: (i32, i32) = (i32::MAX, i32::MIN);
}

impl Default for Borne {
    fn default() -> Self {
        Self {
            days: Self::NEVER,
            is_test: false,
        }
    }
}

impl Places {
    /// Finds a station, notes its name and tells whether it serves tests.
    #[inline]
    fn find(&mut self, stations: &mut Dictionary, id: &[u8], name: &[u8], day: i32) -> (u32, bool) {
        let place = self.ids.find(id, |id| add(stations, id));
        if self.names.len() <= place as usize {
            self.names.resize_with(place as usize + 1, Named::default);
        }
        let named = &mut self.names[place as usize];
        if *named.raw != *name || named.borne.days == Borne::NEVER {
            self.rename(stations, place, name);
        }
        let borne = &mut self.names[place as usize].borne;
        borne.days = (borne.days.0.min(day), borne.days.1.max(day));
        (place, borne.is_test)
    }

    /// Puts another name of a station in the first place.
    #[cold]
    fn rename(&mut self, stations: &Dictionary, place: u32, name: &[u8]) {
        let named = &mut self.names[place as usize];
        let others = self.others.entry(place).or_default();
        if named.borne.days != Borne::NEVER {
            let Named { raw, borne } = std::mem::take(named);
            others.insert(raw, borne);
        }
        let (raw, borne) = others.remove_entry(name).unwrap_or_else(|| {
            let is_test = is_test_station(stations.text(place), &String::from_utf8_lossy(name));
            let days = Borne::NEVER;
            (name.into(), Borne { days, is_test })
        });
        *named = Named { raw, borne };
    }

    /// Lists every name with the place it belongs to.
    fn names(&self) -> impl Iterator<Item = (u32, &[u8], (i32, i32))> {
        let last = self.names.iter().map(|named| (&*named.raw, &named.borne));
        let others = self.others.iter().flat_map(|(place, names)| {
            let names = names.iter();
            names.map(move |(raw, borne)| (*place, &**raw, borne.days))
        });
        (0..)
            .zip(last)
            .map(|(place, (raw, borne))| (place, raw, borne.days))
            .chain(others)
    }
}

/// The words of a batch by their meaning. Spellings of one meaning share a place.
#[derive(Default)]
struct Meanings(FxHashMap<Box<str>, u32>);

impl Meanings {
    /// Finds the place of a meaning; one that is new is added to `words`.
    fn find(&mut self, words: &mut Dictionary, meaning: &str) -> u32 {
        if let Some(place) = self.0.get(meaning) {
            return *place;
        }
        let place = add(words, meaning);
        self.0.insert(meaning.into(), place);
        place
    }
}

/// A batch in the making.
#[derive(Default)]
struct Builder {
    trips: TripBatch,
    places: Places,
    vehicles: Interned,
    bikes: Interned,
    riders: Interned,
    genders: Interned,
    meanings: Meanings,
}

impl Builder {
    fn finish(mut self) -> TripBatch {
        for (station, raw, days) in self.places.names() {
            if !raw.is_empty() {
                self.trips.names.push(StationName {
                    station,
                    name: String::from_utf8_lossy(raw).into(),
                    days,
                });
            }
        }
        // A map has no order of its own, and loads are to come out the same each time.
        self.trips
            .names
            .sort_by(|a, b| (a.station, a.days, &a.name).cmp(&(b.station, b.days, &b.name)));
        self.trips
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_texts_are_equal_only_when_their_numbers_are(
            a in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'1'), any::<u8>()], 0..20),
            b in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'1'), any::<u8>()], 0..20),
        ) {
            prop_assert_eq!(Short::pack(&a).is_some(), a.len() <= 16);
            if let (Some(one), Some(other)) = (Short::pack(&a), Short::pack(&b)) {
                prop_assert_eq!(one == other, a == b);
            }
        }
    }

    /// Reads rows of Divvy's newest form; returns the trips, and lines and reasons of the others.
    fn read(rows: &[String]) -> (TripBatch, u64, Vec<(u64, String)>) {
        const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
            start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,\
            end_lng,member_casual";
        let text = format!("{HEADER}\n{}\n", rows.join("\n"));
        let bytes = text.clone().into_bytes();
        let mut open = || -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::io::Cursor::new(bytes.clone())))
        };
        let plan = Plan::make(&mut open, "trips.csv", false).unwrap();
        let divvy = System::named("divvy").unwrap();
        let mut reader = TripReader::new(text.as_bytes(), plan, &divvy, "trips.csv").unwrap();
        let rejected = std::sync::Mutex::default();
        let batch = reader.next_batch(&rejected).unwrap().unwrap_or_default();
        let rejected: Vec<Rejected> = rejected.into_inner().unwrap();
        let told = |row: Rejected| (row.line, format!("{}: {}", row.column, row.expected));
        (
            batch,
            reader.rows_read(),
            rejected.into_iter().map(told).collect(),
        )
    }

    /// A row with the cells for the origin, name and id.
    fn row(n: usize, origin: &str) -> String {
        format!(
            "{n:016X},classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,{origin},B,13002,41.88,\
             -87.63,41.89,-87.64,member"
        )
    }

    #[test]
    fn a_quote_that_the_next_quote_closes_costs_its_own_row() {
        let broken = ("".to_owned(), "a closing quote");
        for open in ["A,\"13009", "\"A,13009"] {
            // Closed by the quote of a cell, by one within a cell, by one that opens.
            for close in ["A,13001\"", "A\"x,13001", "\"A\",13001"] {
                let mut rows: Vec<String> = (0..34).map(|n| row(n, "A,13001")).collect();
                rows[1] = row(1, open);
                rows[32] = row(32, close);
                let (trips, rows_read, rejected) = read(&rows);
                assert_eq!((trips.len(), rows_read), (33, 34), "{open} {close}");
                let expected = vec![(3, format!("{}: {}", broken.0, broken.1))];
                assert_eq!(rejected, expected, "{open} {close}");
            }
        }
        // A line within a name is none of a row.
        let (trips, rows_read, rejected) =
            read(&[row(0, "\"A\nwest, side\",13001"), row(1, "A,2")]);
        assert_eq!((trips.len(), rows_read, rejected.len()), (2, 2, 0));
    }

    #[test]
    fn an_id_that_is_too_long_costs_its_row() {
        let id = |length: usize| format!("A,{}", "9".repeat(length));
        let (trips, rows_read, rejected) = read(&[
            row(0, &id(LONGEST_ID)),
            row(1, &id(LONGEST_ID + 1)),
            row(2, "A,7"),
        ]);
        assert_eq!((trips.len(), rows_read), (2, 3));
        let expected = "start_station_id: an id of at most 1024 bytes";
        assert_eq!(rejected, [(3, expected.to_owned())]);
    }

    #[test]
    fn names_that_alternate_are_each_kept_once() {
        let names = ["Lake St", "Lake St (Temp)", "Lake Street"];
        let rows: Vec<String> = (0..30)
            .map(|n| row(n, &format!("{},13001", names[n % 3])))
            .collect();
        let (trips, ..) = read(&rows);
        let mut found: Vec<&str> = trips.names.iter().map(|name| &*name.name).collect();
        found.sort_unstable();
        assert_eq!(found, ["B", "Lake St", "Lake St (Temp)", "Lake Street"]);
    }
}
