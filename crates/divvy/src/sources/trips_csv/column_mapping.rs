//! How the columns of one trip file are read: detected from its header and first rows.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::schema::{Column, Header};
use super::time::{self, DateOrder};
use super::{TripsError, rows::Rows, values};
use crate::issue::READABLE_CHARS;
use crate::model::{Position, System};

/// How many rows are examined to detect units and the system.
const SAMPLE_ROWS: usize = 1000;

/// How the columns of one trip file are read.
#[derive(Clone, Debug)]
pub struct ColumnMapping {
    pub(super) header: Header,
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
    /// order is one for the whole file. `day_first` states it beforehand.
    ///
    /// # Errors
    ///
    /// [`TripsError`] for a file that is no trip file, and for dates that stay ambiguous.
    pub fn detect(
        open: &mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>,
        file: &str,
        day_first: bool,
    ) -> Result<Self, TripsError> {
        let read_error = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        let mut rows = Rows::new(open().map_err(read_error)?);
        if !rows.advance().map_err(read_error)? {
            return Err(TripsError::Empty { file: file.into() });
        }
        let header = read_header(&rows, file)?;
        let mut sample = Sample::default();
        while sample.rows < SAMPLE_ROWS && rows.advance().map_err(read_error)? {
            sample.examine(&rows, &header);
        }
        let order = if day_first || header.form.day_first {
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
        })
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

fn read_header<R: Read>(rows: &Rows<R>, file: &str) -> Result<Header, TripsError> {
    let names: Vec<String> = (0..rows.len())
        .map(|index| {
            let cell = rows.cell(index);
            let text = String::from_utf8_lossy(&cell);
            // Names are shown in error messages, which have one line.
            text.trim_start_matches('\u{feff}')
                .trim_matches('"')
                .trim()
                .replace(char::is_control, " ")
        })
        .collect();
    if let [only] = names.as_slice() {
        let inside: Vec<String> = only.split(',').map(|name| name.trim().to_owned()).collect();
        if Header::recognise(inside).is_some() {
            return Err(TripsError::QuotedLines { file: file.into() });
        }
        for (separator, name) in [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")] {
            let inside: Vec<String> = only
                .split(separator)
                .map(|n| n.trim_matches('"').to_owned())
                .collect();
            if Header::recognise(inside).is_some() {
                return Err(TripsError::Separator {
                    file: file.into(),
                    name,
                });
            }
        }
    }
    Header::recognise(names).ok_or_else(|| {
        let line = rows.text();
        let line = line.trim_start_matches('\u{feff}').chars();
        TripsError::NotTrips {
            file: file.into(),
            first_line: line.take(READABLE_CHARS).collect(),
        }
    })
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
        let stated = String::from_utf8_lossy(&cell(Column::Duration)).replace(',', "");
        if let Ok(stated) = stated.parse() {
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
            let text = rows.cell(index);
            if self.order.is_none() {
                self.order = time::detect_order(&text);
            }
            let read_as = |order| time::parse(&text, order).map(|time| time.ms);
            if !self.order_matters && read_as(DateOrder::DayFirst) != read_as(DateOrder::MonthFirst)
            {
                self.order_matters = true;
                self.has_dashes = time::is_ambiguous_dash_date(&text);
                self.ambiguous_date = String::from_utf8_lossy(&text).into_owned();
            }
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
