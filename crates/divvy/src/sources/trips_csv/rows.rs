//! Rows and cells of CSV (RFC 4180, and files that break its rules). Rows end in LF, CRLF or CR.
//!
//! This is one of two CSV readers in the program; all other CSV is read and written by the `csv`
//! crate. Trip files have their own because loading is bound by it: the cells of a row are offsets
//! into one buffer, nothing is copied, and an unclosed quote costs its own row alone.
//!
//! The cells of each buffer are found at once by [`CellOffsets`] where its quoting is plain, which
//! is nearly always; else its rows are [`split`] one by one.

use std::borrow::Cow;
use std::io::{self, Read};

use memchr::memchr2;

use super::cell_scanner::CellOffsets;
use super::cell_splitter::{Cell, Split, split, unquote};
use crate::sources::text::decode;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The longest row that is read, so that a quote that is never closed does not hide the rest of the
/// file.
const MAX_ROW_BYTES: usize = 1024 * 1024;

/// The rows of one file.
pub(super) struct Rows<R> {
    input: R,
    /// What separates cells.
    separator: u8,
    buffer: Vec<u8>,
    /// The end of what has been read into `buffer`.
    filled: usize,
    /// The offset of the next row.
    next: usize,
    /// The offset of the buffer in the file.
    buffer_offset: u64,
    /// The line on which the next row begins; the first is 1.
    next_line: u64,
    ended: bool,
    read_bytes: usize,
    /// The cells of all rows of the buffer. Empty where it has to be split row by row.
    scanned: CellOffsets,
    /// The index of the next row in `scanned.row_ends`.
    next_scanned: usize,
    /// The current row in `scanned.starts`: the index of its first cell, and its number of cells.
    /// `None` where `cells` holds the row.
    scanned_row: Option<(usize, usize)>,
    /// The cells of the current row where it was split by itself.
    cells: Vec<Cell>,
    /// Start and end of the current row in the buffer.
    row: (usize, usize),
    line: u64,
    /// How many lines the current row has.
    lines: u64,
    /// The current row opens a quote that is not closed.
    unclosed: bool,
}

impl<R: Read> Rows<R> {
    /// Begins to read cells that `separator` separates.
    pub(super) fn new(input: R, separator: u8) -> Self {
        Self::with_read_bytes(input, separator, READ_BYTES)
    }

    fn with_read_bytes(input: R, separator: u8, read_bytes: usize) -> Self {
        Self {
            input,
            separator,
            buffer: Vec::new(),
            filled: 0,
            next: 0,
            buffer_offset: 0,
            next_line: 1,
            ended: false,
            read_bytes,
            scanned: CellOffsets::default(),
            next_scanned: 0,
            scanned_row: None,
            cells: Vec::with_capacity(32),
            row: (0, 0),
            line: 0,
            lines: 0,
            unclosed: false,
        }
    }

    /// Moves to the next row that is not blank. `false` at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        while let Some(end) = self.scanned.row_ends.get(self.next_scanned).copied() {
            let first = match self.next_scanned {
                0 => 0,
                next => self.scanned.row_ends[next - 1],
            };
            self.next_scanned += 1;
            self.scanned_row = Some((first as usize, (end - first) as usize));
            let next = self.scanned.starts[end as usize] as usize;
            self.step(next, 1, false);
            if end - first > 1 || !self.cell(0).is_empty() {
                return Ok(true);
            }
        }
        self.advance_by_split()
    }

    /// Moves to the next row where the buffer has no scanned row left: after its last whole row, or
    /// where its quoting is not plain.
    fn advance_by_split(&mut self) -> io::Result<bool> {
        self.scanned_row = None;
        loop {
            let buffer = &self.buffer[..self.filled];
            match split(buffer, self.next, self.separator, &mut self.cells) {
                Some(Split {
                    next,
                    lines,
                    is_torn,
                }) => {
                    self.step(next, lines, is_torn);
                    if self.cells.len() > 1 || !self.cell(0).is_empty() {
                        return Ok(true);
                    }
                }
                None if self.filled - self.next > MAX_ROW_BYTES || self.ended => {
                    if self.next == self.filled {
                        return Ok(false);
                    }
                    self.take_unclosed_line();
                    return Ok(true);
                }
                None => {
                    self.fill()?;
                    if self
                        .scanned
                        .scan(&self.buffer[..self.filled], self.separator)
                        && !self.scanned.row_ends.is_empty()
                    {
                        return self.advance();
                    }
                }
            }
        }
    }

    /// Makes the next line a row without cells, because it opens a quote that is never closed.
    fn take_unclosed_line(&mut self) {
        let rest = &self.buffer[self.next..self.filled];
        let length = memchr2(b'\n', b'\r', rest).map_or(rest.len(), |end| {
            end + if rest[end..].starts_with(b"\r\n") {
                2
            } else {
                1
            }
        });
        self.cells.clear();
        self.step(self.next + length, 1, true);
    }

    fn step(&mut self, next: usize, lines: u64, unclosed: bool) {
        self.row = (self.next, next);
        self.next = next;
        self.line = self.next_line;
        self.lines = lines;
        self.next_line += lines;
        self.unclosed = unclosed;
    }

    /// Moves the begun row to the start of the buffer and reads on after it.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.next..self.filled, 0);
        self.buffer_offset += self.next as u64;
        self.filled -= self.next;
        self.next = 0;
        self.scanned.clear();
        self.next_scanned = 0;
        if self.buffer.len() < self.filled + self.read_bytes {
            self.buffer.resize(self.filled + self.read_bytes, 0);
        }
        // One byte stays free for the line end that the last row may lack.
        let end = self.buffer.len() - 1;
        while self.filled < end {
            match self.input.read(&mut self.buffer[self.filled..end]) {
                Ok(0) => {
                    self.ended = true;
                    if self.filled > 0 && self.buffer[self.filled - 1] != b'\n' {
                        self.buffer[self.filled] = b'\n';
                        self.filled += 1;
                    }
                    break;
                }
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the line on which the current row begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Returns the offset in the file at which the current row begins.
    pub(super) fn offset(&self) -> u64 {
        self.buffer_offset + self.row.0 as u64
    }

    /// Returns whether a cell of the current row contains a line end.
    #[inline]
    pub(super) fn spans_lines(&self) -> bool {
        self.lines > 1
    }

    /// Returns whether the current row opens a quote that is not closed. Its cells are of no use then.
    pub(super) fn has_unclosed_quote(&self) -> bool {
        self.unclosed
    }

    /// Returns whether the current row contains other rows: it has several lines, and one after the
    /// first has as many cells as a row. Its first line opens a quote that is not closed, and was
    /// ended by the next quote, some rows later. A line end within a name, which some publishers do
    /// write, is followed by fewer separators.
    pub(super) fn contains_rows(&self, cells_of_a_row: usize) -> bool {
        if self.lines < 2 {
            return false;
        }
        let row = &self.buffer[self.row.0..self.row.1];
        let lines = row.split(|byte| matches!(byte, b'\n' | b'\r'));
        let separators = |line: &[u8]| {
            let bytes = line.iter();
            bytes.filter(|byte| **byte == self.separator).count()
        };
        lines
            .skip(1)
            .any(|line| separators(line) + 1 >= cells_of_a_row)
    }

    /// Makes the first line of the current row a row without cells; the next row begins with the line
    /// after it.
    pub(super) fn take_first_line(&mut self) {
        self.next = self.row.0;
        self.next_line = self.line;
        self.take_unclosed_line();
    }

    /// Returns the length of the current row in bytes, its line end included.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.row.1 - self.row.0
    }

    /// Returns the text of the current row as it is in the file, without its line end.
    pub(super) fn text(&self) -> Cow<'_, str> {
        let row = &self.buffer[self.row.0..self.row.1];
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        decode(row.strip_suffix(b"\r").unwrap_or(row))
    }

    /// Counts the cells of the current row.
    pub(super) fn len(&self) -> usize {
        self.scanned_row
            .map_or(self.cells.len(), |(_, cells)| cells)
    }

    /// Returns the bytes of a cell of the current row, without blanks around it. Empty for a cell that
    /// the row lacks.
    #[inline(always)]
    pub(super) fn cell(&self, index: usize) -> Cow<'_, [u8]> {
        let Some((first, cells)) = self.scanned_row else {
            return self.split_cell(index);
        };
        if index >= cells {
            return Cow::Borrowed(b"");
        }
        let (start, end) = (
            self.scanned.starts[first + index],
            self.scanned.starts[first + index + 1],
        );
        let raw = &self.buffer[start as usize..end as usize - 1];
        Cow::Borrowed(match raw {
            [b'"', inside @ .., b'"'] => trim(inside),
            [b'"', inside @ .., b'"', b'\r'] => trim(inside),
            _ => trim(raw),
        })
    }

    #[inline(never)]
    fn split_cell(&self, index: usize) -> Cow<'_, [u8]> {
        let Some(cell) = self.cells.get(index) else {
            return Cow::Borrowed(b"");
        };
        let raw = &self.buffer[cell.start as usize..cell.end as usize];
        if cell.has_quotes {
            return Cow::Owned(unquote(raw).trim_ascii().to_vec());
        }
        Cow::Borrowed(trim(raw))
    }
}

/// Removes blanks at both ends, which almost no cell has.
#[inline(always)]
fn trim(raw: &[u8]) -> &[u8] {
    match raw {
        [first, .., last] if *first > b' ' && *last > b' ' => raw,
        _ => raw.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows::new(text, b',');
        let mut found = Vec::new();
        while rows.advance().unwrap() {
            let cells = (0..rows.len())
                .map(|index| String::from_utf8_lossy(&rows.cell(index)).into_owned())
                .collect();
            found.push((rows.line(), cells));
        }
        found
    }

    #[test]
    fn quotes_line_ends_and_blank_lines() {
        let text = b"a,\"b, c\",d\r\n\r\n\"say \"\"hi\"\"\",\"\",x \n\"two\nlines\",2,3\n\"odd\"er,\"5\",\"6\"\r\nlast,,";
        let rows = all(text);
        let cells = |row: usize| rows[row].1.join("|");
        assert_eq!(cells(0), "a|b, c|d");
        assert_eq!(cells(1), "say \"hi\"||x");
        assert_eq!(cells(2), "two\nlines|2|3");
        assert_eq!(cells(3), "odder|5|6");
        assert_eq!(cells(4), "last||");
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 6, 7]);
    }

    #[test]
    fn an_unclosed_quote_costs_its_own_line() {
        let text = b"1,a\n\"2,b\n3,c\n4,d\n";
        let mut rows = Rows::new(&text[..], b',');
        let mut seen = Vec::new();
        while rows.advance().unwrap() {
            seen.push((
                rows.line(),
                rows.has_unclosed_quote(),
                rows.text().into_owned(),
            ));
        }
        assert_eq!(
            seen,
            [
                (1, false, "1,a".into()),
                (2, true, "\"2,b".into()),
                (3, false, "3,c".into()),
                (4, false, "4,d".into())
            ]
        );
    }

    proptest! {
        #[test]
        fn scanned_and_split_cells_are_the_same(
            text in proptest::collection::vec(
                prop_oneof![
                    8 => "[a-z ]{0,3}",
                    4 => "\"[a-z ,]{0,5}\"",
                    6 => Just(",".to_owned()),
                    4 => Just("\n".to_owned()),
                    1 => Just("\r\n".to_owned()),
                    1 => "[\",\n\r]{1,3}",
                ], 0..120),
            read_bytes in 2_usize..300,
        ) {
            let text = text.concat().into_bytes();
            let mut split = Rows::new(&text[..], b',');
            let mut by_split = Vec::new();
            split.fill().unwrap();
            while split.advance_by_split().unwrap() {
                let cells: Vec<_> = (0..split.len()).map(|index| split.cell(index).into_owned()).collect();
                by_split.push((split.line(), split.has_unclosed_quote(), cells));
            }
            let mut scanned = Rows::with_read_bytes(&text[..], b',', read_bytes);
            let mut by_scan = Vec::new();
            while scanned.advance().unwrap() {
                let cells: Vec<_> = (0..scanned.len()).map(|index| scanned.cell(index).into_owned()).collect();
                by_scan.push((scanned.line(), scanned.has_unclosed_quote(), cells));
            }
            prop_assert_eq!(by_scan, by_split);
        }

        #[test]
        fn cells_are_those_of_the_csv_crate(
            table in proptest::collection::vec(
                proptest::collection::vec("[a-z0-9,\"\n ]{0,12}", 3..6), 1..20),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let ours: Vec<Vec<String>> = all(&text).into_iter().map(|(_, cells)| cells).collect();
            let theirs: Vec<Vec<String>> = table
                .iter()
                .map(|row| row.iter().map(|cell| cell.trim_ascii().to_owned()).collect())
                .collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200)) {
            all(&bytes);
        }
    }
}
