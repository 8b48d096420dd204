//! Where the values of a row stand, and what makes a row invalid.

use std::borrow::Cow;
use std::io::Read;

use super::column_names::{Column, NAMES};
use super::forms::StationIds;
use super::rows::Rows;
use super::schema::Header;
use super::time;
use super::values::{self, InvalidCell};
use crate::issue::Reason;
use crate::model::{BoundingBox, MAX_STATION_ID_BYTES, NONE_I32, Position};

/// Why a row is no trip.
pub(super) struct InvalidRow {
    pub(super) reason: Reason,
    /// `None` where the row as a whole is invalid.
    pub(super) column: Option<Column>,
    pub(super) expected: Cow<'static, str>,
}

impl InvalidRow {
    pub(super) fn cell(column: Column, invalid: InvalidCell) -> Self {
        Self {
            reason: invalid.reason,
            column: Some(column),
            expected: invalid.expected.into(),
        }
    }

    pub(super) fn time(column: Column, reason: Reason) -> Self {
        let expected = time::EXPECTED;
        Self::cell(column, InvalidCell { reason, expected })
    }

    pub(super) fn row(expected: impl Into<Cow<'static, str>>) -> Self {
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
pub(super) struct Point {
    pub(super) latitude: i32,
    pub(super) longitude: i32,
}

impl Point {
    const NONE: Self = Self {
        latitude: NONE_I32,
        longitude: NONE_I32,
    };

    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.latitude == NONE_I32
    }

    #[inline(always)]
    pub(super) fn is_outside(self, area: Option<BoundingBox>) -> bool {
        let position = || Position::from_micro(self.latitude, self.longitude);
        !self.is_none() && area.is_some_and(|area| !area.contains(position()))
    }
}

/// The index of each column; [`usize::MAX`] for one that the file lacks, so that its cells are
/// empty.
pub(super) struct Columns {
    pub(super) id: usize,
    pub(super) started_at: usize,
    pub(super) ended_at: usize,
    pub(super) start_clock: usize,
    pub(super) end_clock: usize,
    pub(super) duration: usize,
    pub(super) origin_id: usize,
    pub(super) origin_name: usize,
    pub(super) destination_id: usize,
    pub(super) destination_name: usize,
    pub(super) vehicle: usize,
    pub(super) bike: usize,
    pub(super) rider: usize,
    pub(super) gender: usize,
    pub(super) birth_year: usize,
    pub(super) from_latitude: usize,
    pub(super) from_longitude: usize,
    pub(super) to_latitude: usize,
    pub(super) to_longitude: usize,
    pub(super) has_coordinates: bool,
    pub(super) station_ids: StationIds,
    /// How many cells a row must have.
    pub(super) needed: usize,
    /// How many cells the header has.
    pub(super) named: usize,
}

impl Columns {
    pub(super) fn of(header: &Header) -> Self {
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
    pub(super) fn check_cell_count<R: Read>(&self, rows: &Rows<R>) -> Result<(), InvalidRow> {
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

    /// Refuses a row of which a value goes over several lines. Names may.
    #[inline(always)]
    pub(super) fn check_line_ends<R: Read>(
        &self,
        rows: &Rows<R>,
        header: &Header,
    ) -> Result<(), InvalidRow> {
        if !rows.spans_lines() {
            return Ok(());
        }
        let is_split = |column: &Column| {
            let index = header.index(*column).unwrap_or(usize::MAX);
            let cell = rows.cell(index);
            cell.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        };
        let columns = NAMES.iter().map(|names| names.column);
        let mut columns = columns.filter(|column| !column.is_name());
        columns.find(is_split).map_or(Ok(()), |column| {
            Err(InvalidRow {
                reason: Reason::Unparsable,
                column: Some(column),
                expected: "a value on one line".into(),
            })
        })
    }

    /// Returns the text of a time, which some forms have in two columns.
    #[inline(always)]
    pub(super) fn time<'a, R: Read>(
        &self,
        rows: &'a Rows<R>,
        date: usize,
        clock: usize,
    ) -> Cow<'a, [u8]> {
        let date = rows.cell(date);
        if clock == usize::MAX || date.is_empty() {
            return date;
        }
        Cow::Owned([&date, &b" "[..], &rows.cell(clock)].concat())
    }

    /// Returns id and name of a station in a form whose ids are not simply those of a column.
    /// `names_have_numbers`: the numbers in brackets in the names are the ids.
    pub(super) fn uncommon_station<'a>(
        &self,
        names_have_numbers: bool,
        id: &'a [u8],
        name: &'a [u8],
    ) -> (&'a [u8], &'a [u8]) {
        match self.station_ids {
            StationIds::Columns => (id, name),
            StationIds::Padded => (values::without_padding(id), name),
            StationIds::Names if names_have_numbers => {
                values::name_and_number(name).map_or((&b""[..], name), |(name, id)| (id, name))
            }
            StationIds::Names => (name, name),
        }
    }

    /// Refuses a row with a station id of more than [`MAX_STATION_ID_BYTES`].
    #[inline(always)]
    pub(super) fn check_station_ids<R: Read>(&self, rows: &Rows<R>) -> Result<(), InvalidRow> {
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
    pub(super) fn coordinates<R: Read>(&self, rows: &Rows<R>) -> (Point, Point) {
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
