//! From rows to trips.

use std::borrow::Cow;
use std::io::Read;

use super::batch_builder::{BatchBuilder, RowWords, StationUse};
use super::column_names::Column;
use super::forms::{IdKind, StationIds};
use super::offsets::{OffsetResolver, RowTimes};
use super::rows::Rows;
use super::time::{self, LocalTime, TimeParser};
use super::values::{self, DerivedId, InvalidCell};
use super::{ColumnMapping, TripsError};
use crate::issue::{READABLE_CHARS, Reason, RejectSink, Rejected, RejectedCounts};
use crate::model::civil_date::day_of_ms;
use crate::model::{
    BoundingBox, Flag, MAX_STATION_ID_BYTES, NONE_I32, Position, System, TripBatch,
};

/// How many trips a batch holds at most.
pub const BATCH_ROWS: usize = 128 * 1024;

/// Reads one trip file, batch by batch.
pub struct TripReader<R> {
    rows: Rows<R>,
    file: String,
    mapping: ColumnMapping,
    columns: Columns,
    starts: TimeParser,
    ends: TimeParser,
    offsets: OffsetResolver,
    system: String,
    area: Option<BoundingBox>,
    rows_read: u64,
    rejected: RejectedCounts,
}

impl<R: Read> TripReader<R> {
    /// Begins to read a file as trips of `system`. `input` starts with the header.
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
            rows: Rows::new(input),
            file: file.into(),
            columns: Columns::of(&mapping),
            starts: TimeParser::new(mapping.order, system.zone()),
            ends: TimeParser::new(mapping.order, system.zone()),
            mapping,
            offsets: OffsetResolver::new(system.zone()),
            system: system.id.as_str().into(),
            area: system.area,
            rows_read: 0,
            rejected: RejectedCounts::new(),
        };
        reader.advance()?;
        Ok(reader)
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
        while batch.trips.len() < BATCH_ROWS && self.advance()? {
            self.rows_read += 1;
            if self.rows.contains_rows(self.columns.needed.max(2)) {
                self.rows.take_first_line();
            }
            if let Err(invalid) = self.take_row(&mut batch) {
                *self.rejected.entry(invalid.reason).or_default() += 1;
                rejects.reject(self.rejected_row(invalid));
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

    /// Appends the current row to the batch, or leaves the batch unchanged where it is invalid.
    fn take_row(&mut self, batch: &mut BatchBuilder) -> Result<(), InvalidRow> {
        let Self {
            rows,
            mapping,
            columns,
            starts,
            ends,
            ..
        } = self;
        // Parse the values that a trip must have.
        columns.check_cell_count(rows)?;
        let id_kind = mapping.header.form.id;
        let id = match id_kind {
            IdKind::Hex16 => values::hex_id(rows.cell(columns.id)),
            IdKind::Digits => values::digits_id(rows.cell(columns.id)),
            IdKind::Text => values::text_id(rows.cell(columns.id)),
            IdKind::Derived => Ok(Cow::Borrowed(&b""[..])),
        }
        .map_err(|invalid| InvalidRow::cell(Column::Id, invalid))?;
        let started = parse_start(
            starts,
            columns.time(rows, columns.started_at, columns.start_clock),
        )?;
        let ended = ends
            .parse(&columns.time(rows, columns.ended_at, columns.end_clock))
            .ok_or_else(|| InvalidRow::time(Column::EndedAt, Reason::Unparsable))?;
        columns.check_station_ids(rows)?;

        // Derive the others. From here on nothing fails, so the columns stay equally long.
        let reported_s =
            values::seconds(&rows.cell(columns.duration), mapping.durations_per_second);
        let times = RowTimes {
            started,
            ended,
            reported_s,
            offsets: self.offsets.resolve(started, ended, reported_s),
        };
        let mut flags = times.flags();
        let strips_point_zero = mapping.ids_were_numbers || id_kind == IdKind::Digits;
        let day = day_of_ms(started.ms);
        let mut station = |id: usize, name: usize| {
            let name = values::null_as_empty(rows.cell(name));
            let id = values::null_as_empty(rows.cell(id));
            let (mut id, mut name) = (&id[..], &name[..]);
            if columns.station_ids != StationIds::Columns {
                (id, name) = columns.uncommon_station(mapping, id, name);
            }
            if strips_point_zero {
                id = values::without_point_zero(id);
            }
            if id.is_empty() {
                let (index, is_test) = (0, false);
                return StationUse { index, is_test };
            }
            batch.find_station(id, name, day)
        };
        let origin = station(columns.origin_id, columns.origin_name);
        let destination = station(columns.destination_id, columns.destination_name);
        flags.insert_if(Flag::NoOrigin, origin.index == 0);
        flags.insert_if(Flag::NoDestination, destination.index == 0);
        flags.insert_if(Flag::TestStation, origin.is_test || destination.is_test);
        let (from, to) = columns.coordinates(rows);
        if columns.has_coordinates {
            flags.insert_if(Flag::NoCoordinates, from.is_none() || to.is_none());
            let is_far = |point: Point| point.is_outside(self.area);
            flags.insert_if(Flag::FarAway, is_far(from) || is_far(to));
        }
        let vehicle = values::null_as_empty(rows.cell(columns.vehicle));
        let vehicle = values::without_point_zero(&vehicle);

        // Append them to the columns.
        if id_kind == IdKind::Derived {
            let id = DerivedId {
                system: &self.system,
                vehicle,
                origin: batch.trips.stations.text(origin.index),
                destination: batch.trips.stations.text(destination.index),
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
                let text = String::from_utf8_lossy(&cell).into_owned();
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
fn parse_start(starts: &mut TimeParser, cell: Cow<'_, [u8]>) -> Result<LocalTime, InvalidRow> {
    let text = values::null_as_empty(cell);
    if text.is_empty() {
        return Err(InvalidRow::time(Column::StartedAt, Reason::NoStart));
    }
    starts
        .parse(&text)
        .ok_or_else(|| InvalidRow::time(Column::StartedAt, Reason::Unparsable))
}

/// Why a row is no trip.
struct InvalidRow {
    reason: Reason,
    /// `None` where the row as a whole is invalid.
    column: Option<Column>,
    expected: Cow<'static, str>,
}

impl InvalidRow {
    fn cell(column: Column, invalid: InvalidCell) -> Self {
        Self {
            reason: invalid.reason,
            column: Some(column),
            expected: invalid.expected.into(),
        }
    }

    fn time(column: Column, reason: Reason) -> Self {
        let expected = time::EXPECTED;
        Self::cell(column, InvalidCell { reason, expected })
    }

    fn row(expected: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: Reason::Unparsable,
            column: None,
            expected: expected.into(),
        }
    }
}

/// The coordinates of the start or end of a row, in millionths of a degree. Both are [`NONE_I32`]
/// where there are none.
#[derive(Clone, Copy)]
struct Point {
    latitude: i32,
    longitude: i32,
}

impl Point {
    const NONE: Self = Self {
        latitude: NONE_I32,
        longitude: NONE_I32,
    };

    #[inline(always)]
    fn is_none(self) -> bool {
        self.latitude == NONE_I32
    }

    #[inline(always)]
    fn is_outside(self, area: Option<BoundingBox>) -> bool {
        let position = || Position::from_micro(self.latitude, self.longitude);
        !self.is_none() && area.is_some_and(|area| !area.contains(position()))
    }
}

/// The index of each column; [`usize::MAX`] for one that the file lacks, so that its cells are
/// empty.
struct Columns {
    id: usize,
    started_at: usize,
    ended_at: usize,
    start_clock: usize,
    end_clock: usize,
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
    has_coordinates: bool,
    station_ids: StationIds,
    /// How many cells a row must have.
    needed: usize,
    /// How many cells the header has.
    named: usize,
}

impl Columns {
    fn of(mapping: &ColumnMapping) -> Self {
        let header = &mapping.header;
        let index = |column| header.index(column).unwrap_or(usize::MAX);
        let station_ids = header.form.station_ids;
        let id_or_name = |id, name| {
            index(if station_ids == StationIds::Names {
                name
            } else {
                id
            })
        };
        Self {
            id: index(Column::Id),
            started_at: index(Column::StartedAt),
            ended_at: index(Column::EndedAt),
            start_clock: index(Column::StartClock),
            end_clock: index(Column::EndClock),
            duration: index(Column::Duration),
            origin_id: id_or_name(Column::OriginId, Column::OriginName),
            origin_name: index(Column::OriginName),
            destination_id: id_or_name(Column::DestinationId, Column::DestinationName),
            destination_name: index(Column::DestinationName),
            vehicle: index(Column::Vehicle),
            bike: index(Column::Bike),
            rider: index(Column::Rider),
            gender: index(Column::Gender),
            birth_year: index(Column::BirthYear),
            from_latitude: index(Column::FromLatitude),
            from_longitude: index(Column::FromLongitude),
            to_latitude: index(Column::ToLatitude),
            to_longitude: index(Column::ToLongitude),
            has_coordinates: header.index(Column::FromLatitude).is_some(),
            station_ids,
            needed: header.cells_needed(),
            named: header.names.len(),
        }
    }

    /// Refuses a row without a closing quote, with too few cells, or with values beyond the header.
    #[inline(always)]
    fn check_cell_count<R: Read>(&self, rows: &Rows<R>) -> Result<(), InvalidRow> {
        if rows.has_unclosed_quote() {
            return Err(InvalidRow::row("a closing quote"));
        }
        let cells = rows.len();
        let is_empty = |index| rows.cell(index).is_empty();
        if cells < self.needed || (cells > self.named && !(self.named..cells).all(is_empty)) {
            return Err(InvalidRow::row(format!("{} cells", self.named)));
        }
        Ok(())
    }

    /// Returns the text of a time, which some forms have in two columns.
    #[inline(always)]
    fn time<'a, R: Read>(&self, rows: &'a Rows<R>, date: usize, clock: usize) -> Cow<'a, [u8]> {
        let date = rows.cell(date);
        if clock == usize::MAX || date.is_empty() {
            return date;
        }
        Cow::Owned([&date, &b" "[..], &rows.cell(clock)].concat())
    }

    /// Returns id and name of a station in a form whose ids are not simply those of a column.
    fn uncommon_station<'a>(
        &self,
        mapping: &ColumnMapping,
        id: &'a [u8],
        name: &'a [u8],
    ) -> (&'a [u8], &'a [u8]) {
        match self.station_ids {
            StationIds::Columns => (id, name),
            StationIds::Padded => (values::without_padding(id), name),
            StationIds::Names if mapping.names_have_numbers => {
                values::name_and_number(name).map_or((&b""[..], name), |(name, id)| (id, name))
            }
            StationIds::Names => (name, name),
        }
    }

    /// Refuses a row with a station id of more than [`MAX_STATION_ID_BYTES`].
    #[inline(always)]
    fn check_station_ids<R: Read>(&self, rows: &Rows<R>) -> Result<(), InvalidRow> {
        // Nearly all rows are shorter as a whole.
        if rows.length() <= MAX_STATION_ID_BYTES {
            return Ok(());
        }
        for (column, index) in [
            (Column::OriginId, self.origin_id),
            (Column::DestinationId, self.destination_id),
        ] {
            if rows.cell(index).len() > MAX_STATION_ID_BYTES {
                return Err(InvalidRow {
                    reason: Reason::Unparsable,
                    column: Some(column),
                    expected: format!("an id of at most {MAX_STATION_ID_BYTES} bytes").into(),
                });
            }
        }
        Ok(())
    }

    /// Reads the coordinates of start and end.
    #[inline(always)]
    fn coordinates<R: Read>(&self, rows: &Rows<R>) -> (Point, Point) {
        if !self.has_coordinates {
            return (Point::NONE, Point::NONE);
        }
        let point = |latitude: usize, longitude: usize| {
            let latitude = values::micro_degrees(&rows.cell(latitude));
            let longitude = values::micro_degrees(&rows.cell(longitude));
            match (latitude, longitude) {
                // 0, 0 stands for unknown coordinates.
                (Some(0), Some(0)) | (None, _) | (_, None) => Point::NONE,
                (Some(latitude), Some(longitude)) => Point {
                    latitude,
                    longitude,
                },
            }
        };
        let from = point(self.from_latitude, self.from_longitude);
        (from, point(self.to_latitude, self.to_longitude))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads rows of Divvy's newest form. Returns the trips, the number of rows, and lines and
    /// reasons of the rejected ones.
    fn read(rows: &[String]) -> (TripBatch, u64, Vec<(u64, String)>) {
        const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
            start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,\
            end_lng,member_casual";
        let text = format!("{HEADER}\n{}\n", rows.join("\n"));
        let bytes = text.clone().into_bytes();
        let mut open = || -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::io::Cursor::new(bytes.clone())))
        };
        let mapping = ColumnMapping::detect(&mut open, "trips.csv", false).unwrap();
        let divvy = System::named("divvy").unwrap();
        let mut reader = TripReader::new(text.as_bytes(), mapping, &divvy, "trips.csv").unwrap();
        let rejected = std::sync::Mutex::default();
        let batch = reader.next_batch(&rejected).unwrap().unwrap_or_default();
        let rejected: Vec<Rejected> = rejected.into_inner().unwrap();
        let described = |row: Rejected| (row.line, format!("{}: {}", row.column, row.expected));
        (
            batch,
            reader.rows_read(),
            rejected.into_iter().map(described).collect(),
        )
    }

    /// A row; `origin` has the cells with name and id of the origin.
    fn row(n: usize, origin: &str) -> String {
        format!(
            "{n:016X},classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,{origin},B,13002,41.88,\
             -87.63,41.89,-87.64,member"
        )
    }

    #[test]
    fn an_unclosed_quote_costs_its_own_row() {
        for open in ["A,\"13009", "\"A,13009"] {
            // Closed by the quote of a cell, by one within a cell, by one that opens.
            for close in ["A,13001\"", "A\"x,13001", "\"A\",13001"] {
                let mut rows: Vec<String> = (0..34).map(|n| row(n, "A,13001")).collect();
                rows[1] = row(1, open);
                rows[32] = row(32, close);
                let (trips, rows_read, rejected) = read(&rows);
                assert_eq!((trips.len(), rows_read), (33, 34), "{open} {close}");
                let expected = [(3, ": a closing quote".to_owned())];
                assert_eq!(rejected, expected, "{open} {close}");
            }
        }
        // A line end within a name is part of the name.
        let (trips, rows_read, rejected) =
            read(&[row(0, "\"A\nwest, side\",13001"), row(1, "A,2")]);
        assert_eq!((trips.len(), rows_read, rejected.len()), (2, 2, 0));
    }

    #[test]
    fn an_id_that_is_too_long_costs_its_row() {
        let id = |length: usize| format!("A,{}", "9".repeat(length));
        let (trips, rows_read, rejected) = read(&[
            row(0, &id(MAX_STATION_ID_BYTES)),
            row(1, &id(MAX_STATION_ID_BYTES + 1)),
            row(2, "A,7"),
        ]);
        assert_eq!((trips.len(), rows_read), (2, 3));
        let expected = "start_station_id: an id of at most 1024 bytes";
        assert_eq!(rejected, [(3, expected.to_owned())]);
    }

    #[test]
    fn names_that_alternate_are_each_listed_once() {
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
