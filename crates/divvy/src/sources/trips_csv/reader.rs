//! From rows to trips.

use std::borrow::Cow;
use std::io::Read;

use super::batch_builder::{BatchBuilder, RowWords, StationCells, StationUse};
use super::column_names::Column;
use super::columns::{Columns, InvalidRow, Point};
use super::forms::{IdKind, StationIds};
use super::offsets::{OffsetResolver, RowTimes};
use super::rows::Rows;
use super::schema::Header;
use super::time::{LocalTime, TimeParser};
use super::values::{self, DerivedId};
use super::{ColumnMapping, TripsError, zoned};
use crate::issue::{READABLE_CHARS, Reason, RejectSink, Rejected, RejectedCounts};
use crate::model::civil_date::day_of_ms;
use crate::model::{BoundingBox, Cell, Flag, StationAlias, System, TripBatch, Zone};
use crate::sources::text::decode;

/// How many trips a batch holds at most.
pub const BATCH_ROWS: usize = 128 * 1024;

/// How many headers of the same columns are examined in a file: to examine one, the file is read from
/// its beginning.
const MAX_EXAMINED: usize = 16;

/// Decides anew how to read the columns, where another header stands at an offset of the file.
pub type DetectAt<'a> = Box<dyn FnMut(u64) -> Result<ColumnMapping, TripsError> + 'a>;

/// Reads one trip file, batch by batch.
pub struct TripReader<'a, R> {
    rows: Rows<R>,
    file: String,
    mapping: ColumnMapping,
    columns: Columns,
    starts: TimeParser,
    ends: TimeParser,
    offsets: OffsetResolver,
    zone: Zone,
    system: String,
    area: Option<BoundingBox>,
    detect_at: Option<DetectAt<'a>>,
    /// How many lines before the header are still to be read.
    before_header: usize,
    rows_read: u64,
    rejected: RejectedCounts,
    first_rejected: Option<Rejected>,
    other_encoding: bool,
    /// How many headers have followed among the rows.
    headers: usize,
    /// Warnings on the rows after these, one sentence each.
    warnings: Vec<String>,
}

impl<'a, R: Read> TripReader<'a, R> {
    /// Begins to read a file as trips of `system`. `input` starts where the detection of `mapping`
    /// started.
    ///
    /// # Errors
    ///
    /// [`TripsError::Read`] where the header cannot be read.
    pub fn new(
        input: R,
        mapping: ColumnMapping,
        system: &System,
        file: &str,
    ) -> Result<Self, TripsError> {
        let mut reader = Self {
            rows: Rows::new(input, mapping.separator),
            file: file.into(),
            columns: Columns::of(&mapping.header),
            starts: TimeParser::new(mapping.order.order),
            ends: TimeParser::new(mapping.order.order),
            before_header: mapping.lines_before,
            mapping,
            offsets: OffsetResolver::new(system.zone()),
            zone: system.zone(),
            system: system.id.as_str().into(),
            area: system.area,
            detect_at: None,
            rows_read: 0,
            rejected: RejectedCounts::new(),
            first_rejected: None,
            other_encoding: false,
            headers: 0,
            warnings: Vec::new(),
        };
        reader.advance()?;
        Ok(reader)
    }

    /// Uses `detect` where a header with other columns stands among the rows. Without it, only the
    /// columns of that header are taken.
    pub fn detecting_with(mut self, detect: DetectAt<'a>) -> Self {
        self.detect_at = Some(detect);
        self
    }

    /// Reads the next trips, at most [`BATCH_ROWS`]. `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`TripsError::Read`] where the bytes end in an error. The trips read before are then not to
    /// be used either.
    pub fn next_batch(
        &mut self,
        rejects: &dyn RejectSink,
    ) -> Result<Option<TripBatch>, TripsError> {
        let mut batch = BatchBuilder::with_capacity(BATCH_ROWS);
        batch.riders_are_flags = self.mapping.header.riders_are_flags();
        self.pass_lines_before_header(rejects)?;
        while batch.trips.len() < BATCH_ROWS && self.advance()? {
            self.rows_read += 1;
            if self.rows.contains_rows(self.columns.needed.max(2)) {
                self.rows.take_first_line();
            }
            if let Err(invalid) = self.take_row(&mut batch) {
                let header = self.header_again();
                let invalid = if header.is_some() {
                    InvalidRow::row("a trip, not a header again")
                } else {
                    invalid
                };
                self.reject(invalid, rejects);
                if let Some(header) = header {
                    self.follow(header)?;
                }
            }
        }
        self.other_encoding |= batch.has_other_encoding();
        let batch = batch.finish();
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Moves to the header. Lines before it that are as full as rows are rejected; others are titles.
    fn pass_lines_before_header(&mut self, rejects: &dyn RejectSink) -> Result<(), TripsError> {
        while self.before_header > 0 {
            self.before_header -= 1;
            let cells = 0..self.rows.len();
            let filled = cells.filter(|index| !self.rows.cell(*index).is_empty());
            if 2 * filled.count() > self.columns.named {
                self.rows_read += 1;
                self.reject(InvalidRow::row("a header before it"), rejects);
            }
            self.advance()?;
        }
        Ok(())
    }

    fn reject(&mut self, invalid: InvalidRow, rejects: &dyn RejectSink) {
        *self.rejected.entry(invalid.reason).or_default() += 1;
        let rejected = self.rejected_row(invalid);
        self.first_rejected.get_or_insert_with(|| rejected.clone());
        rejects.reject(rejected);
    }

    /// Returns the header that the current row is. `None` for a row of another kind.
    fn header_again(&self) -> Option<Header> {
        // Nearly all rejected rows have a clock here, or nothing.
        let time = self.rows.cell(self.columns.started_at);
        if time.contains(&b':') || !time.iter().any(u8::is_ascii_alphabetic) {
            return None;
        }
        let cells = (0..self.rows.len()).map(|index| self.rows.cell(index));
        let names = cells.map(|cell| decode(&cell).into_owned()).collect();
        Header::recognise(names, &self.mapping.systems)
    }

    /// Reads the rows after a header by it: it may come from another file, so that units, the order of
    /// dates and the system are found again.
    fn follow(&mut self, header: Header) -> Result<(), TripsError> {
        self.headers += 1;
        let is_same = header.is_same(&self.mapping.header);
        if is_same && self.headers > MAX_EXAMINED {
            return Ok(());
        }
        let Some(detect) = &mut self.detect_at else {
            self.mapping.header = header;
            self.apply_mapping();
            return Ok(());
        };
        let mut mapping = match detect(self.rows.offset()) {
            Ok(mapping) => mapping,
            // The header is the last line.
            Err(TripsError::NoRows { .. }) => return Ok(()),
            // Rows that cannot be read are rejected. Others, far behind, are read as those before.
            Err(TripsError::LostTimes { .. } | TripsError::UnreadableTimes { .. }) => {
                self.mapping.header = header;
                self.apply_mapping();
                return Ok(());
            }
            Err(TripsError::AmbiguousDates { .. })
                if self.mapping.order.is_decided && header.has_form_of(&self.mapping.header) =>
            {
                self.mapping.header = header;
                self.apply_mapping();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (before, now) = (self.mapping.system(), mapping.system());
        if let (Some(before), Some(now)) = (before, now)
            && before.id != now.id
        {
            return Err(TripsError::TwoSystems {
                file: self.file.clone(),
                line: self.rows.line(),
                first: before.id.to_string(),
                second: now.id.to_string(),
            });
        }
        mapping.complete_from(&self.mapping);
        // Numbers of rows aside.
        let words = |warning: &String| warning.replace(|c: char| c.is_ascii_digit(), "");
        let known: Vec<String> = self.mapping.warnings().iter().map(words).collect();
        let new = mapping.warnings().into_iter();
        let line = self.rows.line();
        let new = new.filter(|warning| !known.contains(&words(warning)));
        self.warnings
            .extend(new.map(|warning| format!("from line {line} on: {warning}")));
        self.mapping = mapping;
        self.apply_mapping();
        Ok(())
    }

    fn apply_mapping(&mut self) {
        self.columns = Columns::of(&self.mapping.header);
        self.starts = TimeParser::new(self.mapping.order.order);
        self.ends = TimeParser::new(self.mapping.order.order);
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

    /// Returns the first row that was rejected.
    pub fn first_rejected(&self) -> Option<&Rejected> {
        self.first_rejected.as_ref()
    }

    /// Returns warnings on rows after further headers, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns whether bytes read so far are not UTF-8, and were taken for Windows-1252.
    pub fn has_other_encoding(&self) -> bool {
        self.other_encoding
    }

    /// Appends the current row to the batch, or leaves the batch unchanged where it is invalid.
    fn take_row(&mut self, batch: &mut BatchBuilder) -> Result<(), InvalidRow> {
        let Self {
            rows,
            mapping,
            columns,
            starts,
            ends,
            zone,
            ..
        } = self;
        // Parse the values that a trip must have.
        columns.check_cell_count(rows)?;
        columns.check_line_ends(rows, &mapping.header)?;
        let id_kind = mapping.header.form.id;
        let id = match id_kind {
            IdKind::Hex16 => values::hex_id(rows.cell(columns.id)),
            IdKind::Digits => values::digits_id(rows.cell(columns.id)),
            IdKind::Text => values::text_id(rows.cell(columns.id)),
            IdKind::Derived => Ok(Cow::Borrowed(&b""[..])),
        }
        .map_err(|invalid| InvalidRow::cell(Column::Id, invalid))?;
        let order = mapping.order.order;
        let zoned = |text: &[u8]| zoned::parse(text, order, mapping.utc_times, zone);
        let text = columns.time(rows, columns.started_at, columns.start_clock);
        let (started, started_s) = parse_start(starts, text, zoned)?;
        let text = columns.time(rows, columns.ended_at, columns.end_clock);
        let (ended, ended_s) = ends
            .parse(&text)
            .map(|time| (time, None))
            .or_else(|| zoned(&text))
            .ok_or_else(|| InvalidRow::time(Column::EndedAt, Reason::Unparsable))?;
        columns.check_station_ids(rows)?;

        // Derive the others. From here on nothing fails, so the columns stay equally long.
        let per_second = mapping.durations_per_second;
        let reported_s = per_second
            .and_then(|per_second| values::seconds(&rows.cell(columns.duration), per_second));
        let mut offsets = self.offsets.resolve(started, ended, reported_s);
        if let (Some(started_s), Some(ended_s)) = (started_s, ended_s) {
            (offsets.started_s, offsets.ended_s) = (started_s, ended_s);
        }
        let times = RowTimes {
            started,
            ended,
            reported_s,
            offsets,
        };
        let mut flags = times.flags();
        let day = day_of_ms(started.ms);
        let strips_point_zero = mapping.ids_were_numbers || id_kind == IdKind::Digits;
        let (from, to) = columns.coordinates(rows);
        if columns.has_coordinates {
            flags.insert_if(Flag::NoCoordinates, from.is_none() || to.is_none());
            let is_far = |point: Point| point.is_outside(self.area);
            flags.insert_if(Flag::FarAway, is_far(from) || is_far(to));
        }
        let is_far_away = flags.contains(Flag::FarAway);
        let usable = |point: Point| {
            let point = (!point.is_none()).then_some((point.latitude, point.longitude));
            Cell::usable(point, is_far_away)
        };
        let mut station = |id: usize, name: usize, point: Option<(i32, i32)>| {
            let name = values::null_as_empty(rows.cell(name));
            let id = values::null_as_empty(rows.cell(id));
            let (mut id, mut name) = (&id[..], &name[..]);
            if columns.station_ids != StationIds::Columns {
                (id, name) = columns.uncommon_station(mapping.names_have_numbers, id, name);
            }
            if strips_point_zero {
                id = values::without_point_zero(id);
            }
            if id.is_empty() {
                let (index, is_test) = (0, false);
                return StationUse { index, is_test };
            }
            batch.find_station(&StationCells {
                id,
                name,
                point,
                day,
            })
        };
        let origin = station(columns.origin_id, columns.origin_name, usable(from));
        let destination = station(columns.destination_id, columns.destination_name, usable(to));
        flags.insert_if(Flag::NoOrigin, origin.index == 0);
        flags.insert_if(Flag::NoDestination, destination.index == 0);
        flags.insert_if(Flag::TestStation, origin.is_test || destination.is_test);
        let vehicle = values::null_as_empty(rows.cell(columns.vehicle));
        let vehicle = values::without_point_zero(&vehicle);

        // Append them to the columns.
        if id_kind == IdKind::Derived {
            let id = DerivedId {
                system: &self.system,
                vehicle,
                origin: StationAlias::split(batch.trips.stations.text(origin.index)).0,
                destination: StationAlias::split(batch.trips.stations.text(destination.index)).0,
                started_ms: started.ms,
                ended_ms: ended.ms,
            };
            batch.push_id(&id.digits());
        } else {
            batch.push_id(&id);
        }
        batch.push_times(&times);
        batch.trips.origin.push(origin.index);
        batch.trips.destination.push(destination.index);
        batch.push_vehicle(vehicle);
        batch.push_words(&RowWords {
            bike: values::null_as_empty(rows.cell(columns.bike)),
            rider: values::null_as_empty(rows.cell(columns.rider)),
            gender: values::null_as_empty(rows.cell(columns.gender)),
        });
        let trips = &mut batch.trips;
        trips
            .birth_year
            .push(values::year(&rows.cell(columns.birth_year)));
        trips.from_latitude.push(from.latitude);
        trips.from_longitude.push(from.longitude);
        trips.to_latitude.push(to.latitude);
        trips.to_longitude.push(to.longitude);
        trips.flags.push(flags);
        trips.line.push(rows.line());
        Ok(())
    }

    /// Describes the current row, which is invalid.
    fn rejected_row(&self, invalid: InvalidRow) -> Rejected {
        let header = &self.mapping.header;
        let (column, found) = match invalid.column {
            None => (String::new(), self.rows.text()),
            Some(column) => {
                let cell = header
                    .index(column)
                    .map(|index| self.rows.cell(index))
                    .unwrap_or_default();
                let text = decode(&cell).into_owned();
                (header.name(column).to_owned(), Cow::Owned(text))
            }
        };
        Rejected {
            file: self.file.clone(),
            line: self.rows.line(),
            column,
            reason: invalid.reason,
            expected: invalid.expected.into_owned(),
            found: found.chars().take(READABLE_CHARS).collect(),
        }
    }
}

#[inline(always)]
fn parse_start(
    starts: &mut TimeParser,
    cell: Cow<'_, [u8]>,
    zoned: impl FnOnce(&[u8]) -> Option<(LocalTime, Option<i32>)>,
) -> Result<(LocalTime, Option<i32>), InvalidRow> {
    let text = values::null_as_empty(cell);
    if text.is_empty() {
        return Err(InvalidRow::time(Column::StartedAt, Reason::NoStart));
    }
    starts
        .parse(&text)
        .map(|time| (time, None))
        .or_else(|| zoned(&text))
        .ok_or_else(|| InvalidRow::time(Column::StartedAt, Reason::Unparsable))
}

#[cfg(test)]
mod tests;
