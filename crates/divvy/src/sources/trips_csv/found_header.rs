//! Finds the header of a trip file, and what separates its cells.

use std::io::{self, Read};

use super::TripsError;
use super::rows::Rows;
use super::schema::Header;
use super::time::{self, DateOrder};
use crate::issue::READABLE_CHARS;
use crate::model::Systems;
use crate::sources::sniff::SEPARATORS;
use crate::sources::text::decode;

/// How many lines may stand before a header: titles, and the `sep=;` of spreadsheets.
const MAX_LINES_BEFORE: usize = 5;

/// Opens a file from its beginning.
pub type Open<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>;

/// A header, and the rows after it.
pub(super) struct FoundHeader {
    pub(super) header: Header,
    /// The current row is the header.
    pub(super) rows: Rows<Box<dyn Read + Send>>,
    /// How many lines stand before the header, without blank ones.
    pub(super) lines_before: usize,
    pub(super) separator: u8,
}

impl FoundHeader {
    /// Tries each separator, the most frequent first.
    pub(super) fn find(open: Open<'_>, file: &str, systems: &Systems) -> Result<Self, TripsError> {
        let read_error = |source| TripsError::Read {
            file: file.into(),
            source,
        };
        let mut first: Option<FirstLine> = None;
        for separator in SEPARATORS {
            let mut rows = Rows::new(open().map_err(read_error)?, separator);
            for lines_before in 0..=MAX_LINES_BEFORE {
                if !rows.advance().map_err(read_error)? {
                    break;
                }
                let names = names(&rows);
                first.get_or_insert_with(|| FirstLine::new(&rows, &names));
                if let Some(header) = Header::recognise(names, systems) {
                    return Ok(Self {
                        header,
                        rows,
                        lines_before,
                        separator,
                    });
                }
            }
        }
        Err(match first {
            None => TripsError::Empty { file: file.into() },
            Some(line) => line.error(file, systems),
        })
    }
}

/// Returns the cells of a row as names of columns.
pub(super) fn names<R: Read>(rows: &Rows<R>) -> Vec<String> {
    (0..rows.len())
        .map(|index| {
            let cell = rows.cell(index);
            let text = decode(&cell);
            // Names are shown in error messages, which have one line.
            text.trim_start_matches('\u{feff}')
                .trim_matches('"')
                .trim()
                .replace(char::is_control, " ")
        })
        .collect()
}

/// The first line of a file without a known header.
struct FirstLine {
    text: String,
    names: Vec<String>,
}

impl FirstLine {
    fn new<R: Read>(rows: &Rows<R>, names: &[String]) -> Self {
        let text = rows.text();
        let text = text.trim_start_matches('\u{feff}').chars();
        Self {
            text: text.take(READABLE_CHARS).collect(),
            names: names.to_vec(),
        }
    }

    /// Returns why the file is not read.
    fn error(self, file: &str, systems: &Systems) -> TripsError {
        let file = file.to_owned();
        if let [only] = self.names.as_slice() {
            let inside: Vec<String> = only.split(',').map(|name| name.trim().to_owned()).collect();
            if Header::recognise(inside, systems).is_some() {
                return TripsError::QuotedLines { file };
            }
        }
        if let Some(missing) = Header::missing_in(&self.names) {
            return TripsError::MissingColumn { file, missing };
        }
        let is_time = |name: &String| time::parse(name.as_bytes(), DateOrder::MonthFirst).is_some();
        let first_line = self.text;
        if self.names.len() > 2 && self.names.iter().any(is_time) {
            return TripsError::NoHeader { file, first_line };
        }
        TripsError::NotTrips { file, first_line }
    }
}
