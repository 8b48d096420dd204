//! How the columns of one trip file are read: detected from its header and first rows.

use std::collections::BTreeMap;
use std::io::Read;

use super::found_header::{FoundHeader, Open};
use super::schema::{Column, Header};
use super::time::{self, DateOrder};
use super::zoned::{self, Suffix, UtcTimes};
use super::{TripsError, rows::Rows, values};
use crate::model::{Position, System};
use crate::sources::text::decode;

/// How many rows are examined to detect units and the system.
const SAMPLE_ROWS: usize = 1000;

/// What the user says about the times of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeHints {
    /// Dates have the day first.
    pub day_first: bool,
    /// How to read times that end in `Z`. `None` refuses a file with such times.
    pub utc_times: Option<UtcTimes>,
}

/// How the columns of one trip file are read.
#[derive(Clone, Debug)]
pub struct ColumnMapping {
    pub(super) header: Header,
    /// How many lines stand before the header.
    pub(super) lines_before: usize,
    /// What separates the cells.
    pub(super) separator: u8,
    pub(super) utc_times: Option<UtcTimes>,
    pub(super) order: DateOrder,
    /// Units of the duration column in a second: 1, or 1000 where it counts milliseconds.
    pub(super) durations_per_second: f64,
    /// Every station id of the sample ends in `.0`: a program has read the column as floats.
    pub(super) ids_were_numbers: bool,
    system: Option<System>,
}

impl ColumnMapping {
    /// Reads the header and the first rows of a file, and decides how to read its columns.
    ///
    /// While the order of day and month is ambiguous, further rows are read until one is not: the
    /// order is one for the whole file. `hints` may state it beforehand.
    ///
    /// # Errors
    ///
    /// [`TripsError`] for a file that is no trip file or has no rows, and for times of which the first
    /// rows do not tell what they mean.
    pub fn detect(open: Open<'_>, file: &str, hints: TimeHints) -> Result<Self, TripsError> {
        let read_error = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        let FoundHeader {
            header,
            mut rows,
            lines_before,
            separator,
        } = FoundHeader::find(open, file)?;
        let mut sample = Sample::default();
        while sample.rows < SAMPLE_ROWS && rows.advance().map_err(read_error)? {
            sample.examine(&rows, &header);
        }
        sample.refuse_times(file, &header, hints)?;
        let order = if hints.day_first || header.form.day_first {
            DateOrder::DayFirst
        } else {
            while sample.order.is_none()
                && sample.order_matters
                && rows.advance().map_err(read_error)?
            {
                sample.examine_dates(&rows, &header);
            }
            match sample.order {
                Some(order) => order,
                None if sample.has_dashes => {
                    return Err(TripsError::AmbiguousDates {
                        file: file.into(),
                        column: header.name(Column::StartedAt).into(),
                        found: sample.ambiguous_date,
                    });
                }
                None => DateOrder::MonthFirst,
            }
        };
        let system = match header.form.system {
            Some(id) => System::named(id),
            None => sample.system(),
        };
        Ok(Self {
            order,
            durations_per_second: if sample.is_in_milliseconds(order) {
                1000.0
            } else {
                1.0
            },
            ids_were_numbers: sample.ids > 0 && sample.ids == sample.ids_with_point,
            system,
            header,
            lines_before,
            separator,
            utc_times: hints.utc_times,
        })
    }

    /// Returns what the user should know of how the file is read, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let lacks = |column| self.header.index(column).is_none();
        let missing: Vec<&str> = [
            (Column::OriginId, "start (such as start_station_id)"),
            (Column::DestinationId, "end (such as end_station_id)"),
        ]
        .into_iter()
        .filter_map(|(column, end)| lacks(column).then_some(end))
        .collect();
        if !missing.is_empty() {
            warnings.push(format!(
                "it has no column for the station id of the {}: no trip has a station there",
                missing.join(", none for that of the ")
            ));
        }
        if self.lines_before > 0 {
            warnings.push(format!(
                "its header is preceded by {} other line{}",
                self.lines_before,
                if self.lines_before == 1 { "" } else { "s" }
            ));
        }
        warnings
    }

    /// Returns what separates the cells.
    pub fn separator(&self) -> u8 {
        self.separator
    }

    /// Returns the system whose trips these are, by the header or by coordinates. `None` where
    /// neither identifies it.
    pub fn system(&self) -> Option<&System> {
        self.system.as_ref()
    }

    /// Returns the name of the file's form in `docs/FORMATS.md`, such as `M`.
    pub fn form(&self) -> &'static str {
        self.header.form.name
    }
}

/// What is found in the first rows.
#[derive(Default)]
struct Sample {
    rows: usize,
    order: Option<DateOrder>,
    /// Some date means another day in each order.
    order_matters: bool,
    /// The first such date has dashes.
    has_dashes: bool,
    /// The first such date.
    ambiguous_date: String,
    /// Durations as stated, each with the texts of its start and end.
    durations: Vec<(f64, Vec<u8>, Vec<u8>)>,
    ids: usize,
    ids_with_point: usize,
    /// Starts that can be read.
    times: usize,
    /// The first time that ends in `Z`, with its column.
    utc_time: Option<(Column, String)>,
    /// The first start that cannot be read.
    unreadable_time: String,
    /// Number of starts by the id of the system in whose area they lie.
    areas: BTreeMap<String, usize>,
}

impl Sample {
    fn examine<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
        self.rows += 1;
        self.examine_dates(rows, header);
        let cell = |column| {
            header
                .index(column)
                .map(|index| rows.cell(index))
                .unwrap_or_default()
        };
        for column in [Column::OriginId, Column::DestinationId] {
            let id = cell(column);
            self.ids += usize::from(!id.is_empty());
            self.ids_with_point += usize::from(id.ends_with(b".0"));
        }
        if let Some(stated) = values::number(&decode(&cell(Column::Duration))) {
            let start = cell(Column::StartedAt).into_owned();
            let end = cell(Column::EndedAt).into_owned();
            self.durations.push((stated, start, end));
        }
        let latitude = values::micro_degrees(&cell(Column::FromLatitude));
        let longitude = values::micro_degrees(&cell(Column::FromLongitude));
        if let (Some(latitude), Some(longitude)) = (latitude, longitude)
            && let Some(system) = System::at(Position::from_micro(latitude, longitude))
        {
            *self.areas.entry(system.id.as_str().to_owned()).or_default() += 1;
        }
    }

    fn examine_dates<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
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
            let read_as = |order| time::parse(text, order).map(|time| time.ms);
            if !self.order_matters && read_as(DateOrder::DayFirst) != read_as(DateOrder::MonthFirst)
            {
                self.order_matters = true;
                self.has_dashes = time::is_ambiguous_dash_date(text);
                self.ambiguous_date = decode(text).into_owned();
            }
            if column == Column::StartedAt {
                let orders = [DateOrder::MonthFirst, DateOrder::DayFirst];
                let is_time = orders.into_iter().any(|order| read_as(order).is_some());
                self.times += usize::from(is_time);
                if !is_time && self.unreadable_time.is_empty() {
                    self.unreadable_time = decode(text).into_owned();
                }
            }
        }
    }

    /// Refuses a file without rows, and times that cannot be read or have two meanings.
    fn refuse_times(
        &self,
        file: &str,
        header: &Header,
        hints: TimeHints,
    ) -> Result<(), TripsError> {
        if self.rows == 0 {
            return Err(TripsError::NoRows { file: file.into() });
        }
        if self.times == 0 && zoned::is_clock_without_hour(self.unreadable_time.as_bytes()) {
            return Err(TripsError::LostTimes {
                file: file.into(),
                column: header.name(Column::StartedAt).into(),
                found: self.unreadable_time.clone(),
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

    /// Returns whether durations are stated in milliseconds: more than half of them exceed the time
    /// between start and end a hundred times.
    fn is_in_milliseconds(&self, order: DateOrder) -> bool {
        let is_too_long = |(stated, start, end): &&(f64, Vec<u8>, Vec<u8>)| {
            let local_ms = |text: &[u8]| time::parse(text, order).map_or(0, |time| time.ms);
            // One minute is added because times without seconds may be that far off.
            let seconds = (local_ms(end) - local_ms(start)) as f64 / 1000.0 + 60.0;
            *stated > 100.0 * seconds.max(1.0)
        };
        let too_long = self.durations.iter().filter(is_too_long).count();
        2 * too_long > self.durations.len()
    }

    fn system(&self) -> Option<System> {
        let most = self.areas.iter().max_by_key(|(_, n)| **n)?;
        System::named(most.0)
    }
}
