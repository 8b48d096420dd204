//! What the first rows of a trip file show: the order of days and months, the unit of durations, which
//! ids were numbers, and evidence of the system.

use std::borrow::Cow;
use std::io::Read;

use super::column_names::Column;
use super::date_order::{Dates, is_time, ms_of};
use super::duration_unit::{FoundUnit, UnitVotes};
use super::forms::StationIds;
use super::rows::Rows;
use super::schema::Header;
use super::time::DateOrder;
use super::values;
use crate::attribution::{Evidence, HeaderEvidence};
use crate::model::{Position, Systems};
use crate::sources::text::decode;

/// What is found in the first rows.
pub(super) struct FirstRows {
    pub(super) rows: usize,
    pub(super) dates: Dates,
    /// Durations as stated, each with the texts of its start and end.
    durations: Vec<(f64, Vec<u8>, Vec<u8>)>,
    /// The first duration that is not understood, and how many are.
    unknown_duration: Option<String>,
    unknown_durations: usize,
    /// Ids of origins and destinations, and those of them that end in `.0`.
    ids: [usize; 2],
    ids_with_point: [usize; 2],
    /// An id has another fraction, such as `5379.10`.
    has_fractions: bool,
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
            unknown_duration: None,
            unknown_durations: 0,
            ids: [0; 2],
            ids_with_point: [0; 2],
            has_fractions: false,
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
        for (end, (id, name)) in [
            (Column::OriginId, Column::OriginName),
            (Column::DestinationId, Column::DestinationName),
        ]
        .into_iter()
        .enumerate()
        {
            let id = values::null_as_empty(cell(id));
            let is_whole = id.ends_with(b".0");
            self.ids[end] += usize::from(!id.is_empty());
            self.ids_with_point[end] += usize::from(is_whole);
            self.has_fractions |= !is_whole && id.contains(&b'.');
            self.examine_station(header, &id, values::null_as_empty(cell(name)));
        }
        let duration = values::null_as_empty(cell(Column::Duration));
        if !duration.is_empty() && values::seconds(&duration, 1.0).is_none() {
            self.unknown_durations += 1;
            self.unknown_duration
                .get_or_insert_with(|| decode(&duration).into_owned());
        }
        if let Some(stated) = values::number(&decode(&duration)) {
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

    /// Returns whether every id of origins, or of destinations, ends in `.0`, and no id in another
    /// fraction: a program has read that column as floats. Both columns have the same ids.
    pub(super) fn ids_were_numbers(&self) -> bool {
        let were = |end: usize| self.ids[end] > 0 && self.ids[end] == self.ids_with_point[end];
        (were(0) || were(1)) && !self.has_fractions
    }

    /// Returns a duration that is not understood, where most are not.
    pub(super) fn unknown_duration(&self) -> Option<&str> {
        let unknown = self.unknown_duration.as_deref()?;
        (2 * self.unknown_durations > self.rows).then_some(unknown)
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
