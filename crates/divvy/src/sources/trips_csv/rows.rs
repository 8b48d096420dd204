//! Rows and cells of CSV (RFC 4180 and what publishers make of it), at the speed of memory.
//!
//! Our own, because the reader of trips is what the program is about: the cells of a row are
//! offsets into one buffer, nothing is copied, and a row that is broken costs that row alone.
//!
//! Each stretch that is read is [marked](Marks) at once where its quoting is plain, which is
//! nearly always; else its rows are [`split`] one by one.

use std::borrow::Cow;
use std::io::{self, Read};

use memchr::memchr2;

use super::marks::Marks;

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

/// No row of a trip file is longer; a quote that is never closed must not swallow the file.
const LONGEST_ROW: usize = 1024 * 1024;

/// A cell, as offsets into the buffer, quotes stripped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    start: u32,
    end: u32,
    /// Has quotes within, doubled or stray: see [`unquote`].
    quotes: bool,
}

/// The rows of one file.
pub(super) struct Rows<R> {
    input: R,
    buffer: Vec<u8>,
    /// The end of what has been read into `buffer`.
    filled: usize,
    /// Where the next row begins.
    at: usize,
    /// The line on which the next row begins; the first is 1.
    next_line: u64,
    ended: bool,
    block: usize,
    /// The cells of all rows of the buffer. Empty where it has to be split row by row.
    marks: Marks,
    /// The next row of `marks`.
    next_mark: usize,
    /// The first mark of the row at hand, and how many cells follow. `None`: see `cells`.
    marked: Option<(usize, usize)>,
    /// The cells of the row at hand where it was split by itself.
    cells: Vec<Cell>,
    /// The row at hand.
    row: (usize, usize),
    line: u64,
    /// How many lines it goes over.
    lines: u64,
    /// The row at hand opens a quote that is never closed.
    broken: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        Self::by_blocks(input, BLOCK)
    }

    fn by_blocks(input: R, block: usize) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            filled: 0,
            at: 0,
            next_line: 1,
            ended: false,
            block,
            marks: Marks::default(),
            next_mark: 0,
            marked: None,
            cells: Vec::with_capacity(32),
            row: (0, 0),
            line: 0,
            lines: 0,
            broken: false,
        }
    }

    /// Moves to the next row that is not blank. `false` at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        while let Some(behind) = self.marks.rows.get(self.next_mark).copied() {
            let first = match self.next_mark {
                0 => 0,
                next => self.marks.rows[next - 1],
            };
            self.next_mark += 1;
            self.marked = Some((first as usize, (behind - first) as usize));
            let next = self.marks.starts[behind as usize] as usize;
            self.step(next, 1, false);
            if behind - first > 1 || !self.cell(0).is_empty() {
                return Ok(true);
            }
        }
        self.advance_unmarked()
    }

    /// Moves to the next row where none is marked: behind the last whole row of the buffer, or
    /// where its quoting is odd.
    fn advance_unmarked(&mut self) -> io::Result<bool> {
        self.marked = None;
        loop {
            match split(&self.buffer[..self.filled], self.at, &mut self.cells) {
                Some(Split { next, lines }) => {
                    self.step(next, lines, false);
                    if self.cells.len() > 1 || !self.cell(0).is_empty() {
                        return Ok(true);
                    }
                }
                None if self.filled - self.at > LONGEST_ROW || self.ended => {
                    if self.at == self.filled {
                        return Ok(false);
                    }
                    self.take_broken_line();
                    return Ok(true);
                }
                None => {
                    self.fill()?;
                    if self.marks.scan(&self.buffer[..self.filled]) && !self.marks.rows.is_empty() {
                        return self.advance();
                    }
                }
            }
        }
    }

    /// Takes the line at hand for a row of its own, whatever its quotes say.
    fn take_broken_line(&mut self) {
        let rest = &self.buffer[self.at..self.filled];
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        self.cells.clear();
        self.step(self.at + length, 1, true);
    }

    fn step(&mut self, next: usize, lines: u64, broken: bool) {
        self.row = (self.at, next);
        self.at = next;
        self.line = self.next_line;
        self.lines = lines;
        self.next_line += lines;
        self.broken = broken;
    }

    /// Reads on, behind the part of a row that is there.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.at = 0;
        self.marks.clear();
        self.next_mark = 0;
        if self.buffer.len() < self.filled + self.block {
            self.buffer.resize(self.filled + self.block, 0);
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

    /// The line on which the row at hand begins.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The row at hand opens a quote that is never closed, and has no cells.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Tells whether the row at hand has swallowed others: it goes over several lines, and one of
    /// those behind the first has as many cells as a row of its own. A quote was opened there that
    /// nobody closed, and the next quote, rows later, was taken for its end. A line within a
    /// name, which some publishers do write, has no such number of commas.
    pub(super) fn has_swallowed_rows(&self, cells_of_a_row: usize) -> bool {
        if self.lines < 2 {
            return false;
        }
        let lines = self.buffer[self.row.0..self.row.1].split(|byte| *byte == b'\n');
        let commas = |line: &[u8]| line.iter().filter(|byte| **byte == b',').count();
        lines.skip(1).any(|line| commas(line) + 1 >= cells_of_a_row)
    }

    /// Takes the first line of the row at hand for a broken row of its own, and goes on with the
    /// line behind it.
    pub(super) fn take_first_line(&mut self) {
        self.at = self.row.0;
        self.next_line = self.line;
        self.take_broken_line();
    }

    /// The length of the row at hand in bytes, its line end included.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.row.1 - self.row.0
    }

    /// The text of the row at hand, as it stands in the file, without its line end.
    pub(super) fn text(&self) -> Cow<'_, str> {
        let row = &self.buffer[self.row.0..self.row.1];
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        String::from_utf8_lossy(row.strip_suffix(b"\r").unwrap_or(row))
    }

    /// How many cells the row at hand has.
    pub(super) fn len(&self) -> usize {
        self.marked.map_or(self.cells.len(), |(_, cells)| cells)
    }

    /// The bytes of a cell of the row at hand; blanks around it are cut off. Empty for a cell
    /// that the row lacks.
    #[inline(always)]
    pub(super) fn cell(&self, place: usize) -> Cow<'_, [u8]> {
        let Some((first, cells)) = self.marked else {
            return self.split_cell(place);
        };
        if place >= cells {
            return Cow::Borrowed(b"");
        }
        let (start, end) = (
            self.marks.starts[first + place],
            self.marks.starts[first + place + 1],
        );
        let raw = &self.buffer[start as usize..end as usize - 1];
        Cow::Borrowed(match raw {
            [b'"', inside @ .., b'"'] => trim(inside),
            [b'"', inside @ .., b'"', b'\r'] => trim(inside),
            _ => trim(raw),
        })
    }

    #[inline(never)]
    fn split_cell(&self, place: usize) -> Cow<'_, [u8]> {
        let Some(cell) = self.cells.get(place) else {
            return Cow::Borrowed(b"");
        };
        let raw = &self.buffer[cell.start as usize..cell.end as usize];
        if cell.quotes {
            return Cow::Owned(unquote(raw).trim_ascii().to_vec());
        }
        Cow::Borrowed(trim(raw))
    }
}

/// Cuts blanks off, which almost no cell has.
#[inline(always)]
fn trim(raw: &[u8]) -> &[u8] {
    match raw {
        [first, .., last] if *first > b' ' && *last > b' ' => raw,
        _ => raw.trim_ascii(),
    }
}

struct Split {
    /// Where the next row begins.
    next: usize,
    /// Line ends in this row, its own included.
    lines: u64,
}

/// Splits the row that begins at `start` into cells. `None` where the buffer ends before it does.
#[inline]
fn split(buffer: &[u8], start: usize, cells: &mut Vec<Cell>) -> Option<Split> {
    cells.clear();
    let mut at = start;
    let mut lines = 1;
    loop {
        let (cell, end) = if *buffer.get(at)? == b'"' {
            quoted_cell(buffer, at, &mut lines)?
        } else {
            let end = find_end(buffer, at)?;
            let line_end = buffer[end] == b'\n' && end > at && buffer[end - 1] == b'\r';
            (
                Cell {
                    start: at as u32,
                    end: (end - usize::from(line_end)) as u32,
                    quotes: false,
                },
                end,
            )
        };
        cells.push(cell);
        if buffer[end] == b'\n' {
            return Some(Split {
                next: end + 1,
                lines,
            });
        }
        at = end + 1;
    }
}

/// Finds the end of the cell that opens with a quote at `at`, and the comma or line end behind it.
#[inline]
fn quoted_cell(buffer: &[u8], at: usize, lines: &mut u64) -> Option<(Cell, usize)> {
    let mut quotes = false;
    let mut from = at + 1;
    loop {
        let found = from + memchr2(b'"', b'\n', buffer.get(from..)?)?;
        if buffer[found] == b'\n' {
            *lines += 1;
            from = found + 1;
            continue;
        }
        let cell = Cell {
            start: at as u32 + 1,
            end: found as u32,
            quotes,
        };
        match *buffer.get(found + 1)? {
            b',' | b'\n' => return Some((cell, found + 1)),
            b'\r' if *buffer.get(found + 2)? == b'\n' => return Some((cell, found + 2)),
            b'"' => {
                quotes = true;
                from = found + 2;
            }
            // Text behind the closing quote: keep it, as far as the next comma.
            _ => {
                let end = find_end(buffer, found + 1)?;
                return Some((
                    Cell {
                        start: at as u32,
                        end: end as u32,
                        quotes: true,
                    },
                    end,
                ));
            }
        }
    }
}

/// Finds the next comma or line end, eight bytes at a time: cells are too short for a search
/// that first has to choose its vectors.
#[inline]
fn find_end(buffer: &[u8], start: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = start;
    while let Some(word) = buffer.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let commas = zero_bytes(word ^ (ONES * b',' as u64));
        let line_ends = zero_bytes(word ^ (ONES * b'\n' as u64));
        let found = commas | line_ends;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let found = buffer[at..]
        .iter()
        .position(|b| matches!(b, b',' | b'\n'))?;
    Some(at + found)
}

/// Takes quotes out of a cell: pairs become one, and those around the text go.
fn unquote(raw: &[u8]) -> Vec<u8> {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'"' {
            text.push(byte);
        } else if bytes.peek() == Some(&b'"') {
            text.push(b'"');
            bytes.next();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows::new(text);
        let mut found = Vec::new();
        while rows.advance().unwrap() {
            let cells = (0..rows.len())
                .map(|place| String::from_utf8_lossy(&rows.cell(place)).into_owned())
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
    fn a_quote_left_open_costs_its_own_line() {
        let text = b"1,a\n\"2,b\n3,c\n4,d\n";
        let mut rows = Rows::new(&text[..]);
        let mut seen = Vec::new();
        while rows.advance().unwrap() {
            seen.push((rows.line(), rows.is_broken(), rows.text().into_owned()));
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
        fn marked_or_split_the_cells_are_the_same(
            text in proptest::collection::vec(
                prop_oneof![
                    8 => "[a-z ]{0,3}",
                    4 => "\"[a-z ,]{0,5}\"",
                    6 => Just(",".to_owned()),
                    4 => Just("\n".to_owned()),
                    1 => Just("\r\n".to_owned()),
                    1 => "[\",\n\r]{1,3}",
                ], 0..120),
            block in 2_usize..300,
        ) {
            let text = text.concat().into_bytes();
            let mut split = Rows::new(&text[..]);
            let mut by_split = Vec::new();
            split.fill().unwrap();
            while split.advance_unmarked().unwrap() {
                let cells: Vec<_> = (0..split.len()).map(|place| split.cell(place).into_owned()).collect();
                by_split.push((split.line(), split.is_broken(), cells));
            }
            let mut marked = Rows::by_blocks(&text[..], block);
            let mut by_marks = Vec::new();
            while marked.advance().unwrap() {
                let cells: Vec<_> = (0..marked.len()).map(|place| marked.cell(place).into_owned()).collect();
                by_marks.push((marked.line(), marked.is_broken(), cells));
            }
            prop_assert_eq!(by_marks, by_split);
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
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200)) {
            all(&bytes);
        }
    }
}
