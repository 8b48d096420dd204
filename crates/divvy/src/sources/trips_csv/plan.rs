//! What must be known of a trip file before its first row is read.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::schema::{Column, Header};
use super::time::{self, DateOrder};
use super::{TripsError, reader::micro_degrees, rows::Rows};
use crate::model::{Position, System};

/// How many rows are looked at for what a few rows can tell.
const SAMPLE_ROWS: usize = 1000;

/// How one trip file is to be read: its columns, and what only its own rows could tell.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) header: Header,
    pub(super) order: DateOrder,
    /// Units of the duration column in a second: 1, or 1000 where it counts milliseconds.
    pub(super) durations_per_second: f64,
    /// Every station id of the sample ends in `.0`: a column that was once read as numbers.
    pub(super) ids_were_numbers: bool,
    system: Option<System>,
}

impl Plan {
    /// Opens a file, looks at its header and its first rows, and decides how to read it.
    ///
    /// Where the order of day and month is open, it is read on until a row tells: dates are never
    /// guessed row by row. `day_first` settles it beforehand.
    ///
    /// # Errors
    ///
    /// [`TripsError`] for a file that is no trip file, and for dates that stay ambiguous.
    pub fn make(
        open: &mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>,
        file: &str,
        day_first: bool,
    ) -> Result<Self, TripsError> {
        let reading = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        let mut rows = Rows::new(open().map_err(reading)?);
        if !rows.advance().map_err(reading)? {
            return Err(TripsError::Empty { file: file.into() });
        }
        let header = read_header(&rows, file)?;
        let mut sample = Sample::default();
        while sample.rows < SAMPLE_ROWS && rows.advance().map_err(reading)? {
            sample.look(&rows, &header);
        }
        let order = if day_first || header.form.day_first {
            DateOrder::DayFirst
        } else {
            while sample.order.is_none()
                && sample.order_matters
                && rows.advance().map_err(reading)?
            {
                sample.look_at_dates(&rows, &header);
            }
            match sample.order {
                Some(order) => order,
                None if sample.dashes => {
                    return Err(TripsError::AmbiguousDates {
                        file: file.into(),
                        column: header.name(Column::StartedAt).into(),
                        found: sample.date,
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
            durations_per_second: if sample.in_milliseconds(order) {
                1000.0
            } else {
                1.0
            },
            ids_were_numbers: sample.ids > 0 && sample.ids == sample.ids_with_point,
            system,
            header,
        })
    }

    /// Returns the system whose trips these are, by schema or coordinates. `None` where neither
    /// tells.
    pub fn system(&self) -> Option<&System> {
        self.system.as_ref()
    }

    /// Returns what `docs/FORMATS.md` calls the form of the file, such as `M`.
    pub fn form(&self) -> &'static str {
        self.header.form.name
    }
}

fn read_header<R: Read>(rows: &Rows<R>, file: &str) -> Result<Header, TripsError> {
    let names: Vec<String> = (0..rows.len())
        .map(|place| {
            let cell = rows.cell(place);
            let text = String::from_utf8_lossy(&cell);
            // Names stand in messages, which are to stay on one line.
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
    let first_line = || {
        rows.text()
            .trim_start_matches('\u{feff}')
            .chars()
            .take(80)
            .collect()
    };
    Header::recognise(names).ok_or_else(|| TripsError::NotTrips {
        file: file.into(),
        first_line: first_line(),
    })
}

/// What the first rows tell.
#[derive(Default)]
struct Sample {
    rows: usize,
    order: Option<DateOrder>,
    /// A date was seen that two orders read differently.
    order_matters: bool,
    dashes: bool,
    /// Such a date.
    date: String,
    /// Durations as stated, with both times, of the first rows.
    durations: Vec<(f64, Vec<u8>, Vec<u8>)>,
    ids: usize,
    ids_with_point: usize,
    /// Starts by the system in whose area they lie.
    areas: BTreeMap<String, usize>,
}

impl Sample {
    fn look<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
        self.rows += 1;
        self.look_at_dates(rows, header);
        let cell = |column| {
            header
                .place(column)
                .map(|place| rows.cell(place))
                .unwrap_or_default()
        };
        for column in [Column::OriginId, Column::DestinationId] {
            let id = cell(column);
            self.ids += usize::from(!id.is_empty());
            self.ids_with_point += usize::from(id.ends_with(b".0"));
        }
        let stated = String::from_utf8_lossy(&cell(Column::Duration)).replace(',', "");
        if let Ok(stated) = stated.parse() {
            let times = (
                cell(Column::StartedAt).into_owned(),
                cell(Column::EndedAt).into_owned(),
            );
            self.durations.push((stated, times.0, times.1));
        }
        let latitude = micro_degrees(&cell(Column::FromLatitude));
        let longitude = micro_degrees(&cell(Column::FromLongitude));
        if let (Some(latitude), Some(longitude)) = (latitude, longitude)
            && let Some(system) = System::at(Position::from_micro(latitude, longitude))
        {
            *self.areas.entry(system.id.as_str().to_owned()).or_default() += 1;
        }
    }

    fn look_at_dates<R: Read>(&mut self, rows: &Rows<R>, header: &Header) {
        for column in [Column::StartedAt, Column::EndedAt] {
            let Some(place) = header.place(column) else {
                continue;
            };
            let text = rows.cell(place);
            if self.order.is_none() {
                self.order = time::order_told_by(&text);
            }
            let other_way = |order| time::parse(&text, order).map(|time| time.ms);
            if !self.order_matters
                && other_way(DateOrder::DayFirst) != other_way(DateOrder::MonthFirst)
            {
                self.order_matters = true;
                self.dashes = time::is_ambiguous_dash_date(&text);
                self.date = String::from_utf8_lossy(&text).into_owned();
            }
        }
    }

    /// Tells whether durations are stated in milliseconds: half of them are more than a hundred
    /// times what the clocks say.
    fn in_milliseconds(&self, order: DateOrder) -> bool {
        let too_long = |(stated, start, end): &&(f64, Vec<u8>, Vec<u8>)| {
            let clock = |text: &[u8]| time::parse(text, order).map_or(0, |time| time.ms);
            // A minute more, because a clock without seconds may be that far off.
            let seconds = (clock(end) - clock(start)) as f64 / 1000.0 + 60.0;
            *stated > 100.0 * seconds.max(1.0)
        };
        let long = self.durations.iter().filter(too_long).count();
        2 * long > self.durations.len()
    }

    fn system(&self) -> Option<System> {
        let most = self.areas.iter().max_by_key(|(_, n)| **n)?;
        System::named(most.0)
    }
}
