//! What the first rows of a trip file tell: the order of days and months, the unit of durations, and
//! evidence of the system.

use std::borrow::Cow;
use std::io::Read;

use super::TripsError;
use super::column_names::Column;
use super::duration_unit::{FoundUnit, UnitVotes};
use super::forms::StationIds;
use super::rows::Rows;
use super::schema::Header;
use super::time::{self, DateOrder};
use super::values;
use super::zoned::{self, Suffix, TimeHints};
use crate::attribution::{Evidence, HeaderEvidence};
use crate::model::{Position, Systems};
use crate::sources::text::decode;

/// What is found in the first rows.
pub(super) struct FirstRows {
    pub(super) rows: usize,
    pub(super) dates: Dates,
    /// Durations as stated, each with the texts of its start and end.
    durations: Vec<(f64, Vec<u8>, Vec<u8>)>,
    ids: usize,
    ids_with_point: usize,
    names: usize,
    names_with_number: usize,
    evidence: Evidence,
}

impl FirstRows {
    pub(super) fn new(header: HeaderEvidence) -> Self {
        Self {
            rows: 0,
            dates: Dates::default(),
            durations: Vec::new(),
            ids: 0,
            ids_with_point: 0,
            names: 0,
            names_with_number: 0,
            evidence: Evidence {
                header: Some(header),
                ..Evidence::default()
            },
        }
    }

    /// Examines the current row.
    pub(super) fn examine<R: Read>(&mut self, rows: &Rows<R>, header: &Header, systems: &Systems) {
        self.rows += 1;
        self.dates.examine(rows, header);
        let cell = |column| {
            header
                .index(column)
                .map(|index| rows.cell(index))
                .unwrap_or_default()
        };
        if !is_time(&cell(Column::StartedAt)) {
            // No trip: a header again, or cells in the wrong columns.
            return;
        }
        for (id, name) in [
            (Column::OriginId, Column::OriginName),
            (Column::DestinationId, Column::DestinationName),
        ] {
            self.examine_station(header, &cell(id), values::null_as_empty(cell(name)));
        }
        if let Some(stated) = values::number(&decode(&cell(Column::Duration))) {
            let start = cell(Column::StartedAt).into_owned();
            let end = cell(Column::EndedAt).into_owned();
            self.durations.push((stated, start, end));
        }
        let latitude = values::micro_degrees(&cell(Column::FromLatitude));
        let longitude = values::micro_degrees(&cell(Column::FromLongitude));
        if let (Some(latitude), Some(longitude)) = (latitude, longitude)
            && (latitude, longitude) != (0, 0)
        {
            let position = Position::from_micro(latitude, longitude);
            self.evidence.see_position(position, systems);
        }
    }

    fn examine_station(&mut self, header: &Header, id: &[u8], name: Cow<'_, [u8]>) {
        self.ids += usize::from(!id.is_empty());
        self.ids_with_point += usize::from(id.ends_with(b".0"));
        self.names += usize::from(!name.is_empty());
        let (name, number) = match values::name_and_number(&name) {
            Some((name, number)) if header.form.station_ids == StationIds::Names => {
                self.names_with_number += 1;
                (name, number)
            }
            _ => (&name[..], id),
        };
        let number = values::null_as_empty(Cow::Borrowed(number));
        let number = values::without_point_zero(&number);
        if !number.is_empty() {
            let number = decode(number).into_owned();
            self.evidence.ids.insert(number);
        }
        self.evidence.see_name(&decode(name));
    }

    /// Returns whether every station id ends in `.0`.
    pub(super) fn ids_were_numbers(&self) -> bool {
        self.ids > 0 && self.ids == self.ids_with_point
    }

    /// Returns whether most station names have a number in brackets at their end.
    pub(super) fn names_have_numbers(&self) -> bool {
        2 * self.names_with_number > self.names
    }

    /// Returns the unit of the durations. `None` for a file that states none as numbers.
    pub(super) fn duration_unit(&self, order: DateOrder, header: &Header) -> Option<FoundUnit> {
        let column = header.index(Column::Duration)?;
        if self.durations.is_empty() {
            return None;
        }
        let mut votes = UnitVotes::default();
        for (stated, start, end) in &self.durations {
            if let (Some(start), Some(end)) = (ms_of(start, order), ms_of(end, order)) {
                votes.add(*stated, end - start);
            }
        }
        Some(votes.decide(&header.normal[column]))
    }

    /// Returns what was found of the system. Names that stand for ids have no shape.
    pub(super) fn evidence(mut self, header: &Header) -> Evidence {
        if header.form.station_ids == StationIds::Names && !self.names_have_numbers() {
            self.evidence.ids.clear();
        }
        self.evidence
    }
}

/// Reads a time as milliseconds, for differences alone.
fn ms_of(text: &[u8], order: DateOrder) -> Option<i64> {
    let text = zoned::split(text).map_or(text, |(text, _)| text);
    zoned::epoch_ms(text).or_else(|| time::parse(text, order).map(|time| time.ms))
}

/// Returns whether a text is a time in any order of day and month.
fn is_time(text: &[u8]) -> bool {
    let orders = [DateOrder::MonthFirst, DateOrder::DayFirst];
    orders.into_iter().any(|order| ms_of(text, order).is_some())
}

/// What dates tell of the order of day and month.
#[derive(Default)]
pub(super) struct Dates {
    order: Option<DateOrder>,
    /// Some date means another day in each order.
    order_matters: bool,
    /// The first such date has dashes.
    has_dashes: bool,
    /// The first such date.
    ambiguous: String,
    /// Starts that can be read.
    times: usize,
    /// The first time that ends in `Z`, with its column.
    utc_time: Option<(Column, String)>,
    /// The first start that cannot be read.
    unreadable: String,
}

impl Dates {
    /// Returns whether further rows may tell the order, and it matters.
    pub(super) fn is_open(&self) -> bool {
        self.order.is_none() && self.order_matters
    }

    /// Returns the order.
    ///
    /// # Errors
    ///
    /// The first date that is ambiguous, where dates have dashes and none tells the order.
    pub(super) fn order(&self) -> Result<DateOrder, String> {
        match self.order {
            Some(order) => Ok(order),
            None if self.has_dashes => Err(self.ambiguous.clone()),
            None => Ok(DateOrder::MonthFirst),
        }
    }

    /// Refuses times that cannot be read or have two meanings.
    pub(super) fn refuse(
        &self,
        file: &str,
        header: &Header,
        hints: TimeHints,
    ) -> Result<(), TripsError> {
        if self.times == 0 && zoned::is_clock_without_hour(self.unreadable.as_bytes()) {
            return Err(TripsError::LostTimes {
                file: file.into(),
                column: header.name(Column::StartedAt).into(),
                found: self.unreadable.clone(),
            });
        }
        match &self.utc_time {
            Some((column, found)) if hints.utc_times.is_none() => Err(TripsError::UtcTimes {
                file: file.into(),
                column: header.name(*column).into(),
                found: found.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Examines the dates of the current row.
    pub(super) fn examine<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
        for column in [Column::StartedAt, Column::EndedAt] {
            let Some(index) = header.index(column) else {
                continue;
            };
            let cell = rows.cell(index);
            let (text, suffix) = match zoned::split(&cell) {
                Some((text, suffix)) => (text, Some(suffix)),
                None => (&*cell, None),
            };
            if suffix == Some(Suffix::Utc) && self.utc_time.is_none() {
                self.utc_time = Some((column, decode(&cell).into_owned()));
            }
            if self.order.is_none() {
                self.order = time::detect_order(text);
            }
            let read_as = |order| ms_of(text, order);
            if !self.order_matters && read_as(DateOrder::DayFirst) != read_as(DateOrder::MonthFirst)
            {
                self.order_matters = true;
                self.has_dashes = time::is_ambiguous_dash_date(text);
                self.ambiguous = decode(text).into_owned();
            }
            if column == Column::StartedAt {
                let is_time = is_time(text);
                self.times += usize::from(is_time);
                if !is_time && self.unreadable.is_empty() {
                    self.unreadable = decode(text).into_owned();
                }
            }
        }
    }
}
