//! Splits rows of CSV into cells byte by byte: where quotes or line ends are not plain.

use memchr::memchr3;

/// A cell, as offsets into the buffer, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) start: u32,
    pub(super) end: u32,
    /// It has quotes inside, doubled or stray: see [`unquote`].
    pub(super) has_quotes: bool,
}

/// A row that was split.
pub(super) struct Split {
    /// The offset of the next row.
    pub(super) next: usize,
    /// Line ends in this row, its own included.
    pub(super) lines: u64,
    /// A cell lacks its closing quote, and was closed by the opening quote of another cell.
    pub(super) is_torn: bool,
}

/// Splits the row that begins at `start` into cells. `None` where the buffer ends before it does.
#[inline]
pub(super) fn split(
    buffer: &[u8],
    start: usize,
    separator: u8,
    cells: &mut Vec<Cell>,
) -> Option<Split> {
    cells.clear();
    let mut at = start;
    let mut lines = 1;
    let mut is_torn = false;
    loop {
        let (cell, end) = if *buffer.get(at)? == b'"' {
            quoted_cell(buffer, at, separator, &mut lines, &mut is_torn)?
        } else {
            let end = find_end(buffer, at, separator)?;
            let cell = Cell {
                start: at as u32,
                end: end as u32,
                has_quotes: false,
            };
            (cell, end)
        };
        cells.push(cell);
        match buffer[end] {
            b'\n' => {
                let next = end + 1;
                return Some(Split {
                    next,
                    lines,
                    is_torn,
                });
            }
            b'\r' => {
                let is_pair = *buffer.get(end + 1)? == b'\n';
                let next = end + 1 + usize::from(is_pair);
                return Some(Split {
                    next,
                    lines,
                    is_torn,
                });
            }
            _ => at = end + 1,
        }
    }
}

/// Finds the end of the cell that opens with a quote at `at`, and the separator or line end after it.
#[inline]
fn quoted_cell(
    buffer: &[u8],
    at: usize,
    separator: u8,
    lines: &mut u64,
    is_torn: &mut bool,
) -> Option<(Cell, usize)> {
    let mut has_quotes = false;
    let mut from = at + 1;
    loop {
        let found = from + memchr3(b'"', b'\n', b'\r', buffer.get(from..)?)?;
        if buffer[found] != b'"' {
            // The two bytes of CRLF end one line.
            let is_pair = buffer[found] == b'\r' && *buffer.get(found + 1)? == b'\n';
            *lines += 1;
            from = found + 1 + usize::from(is_pair);
            continue;
        }
        let cell = Cell {
            start: at as u32 + 1,
            end: found as u32,
            has_quotes,
        };
        match *buffer.get(found + 1)? {
            b'\n' | b'\r' => return Some((cell, found + 1)),
            byte if byte == separator => return Some((cell, found + 1)),
            b'"' => {
                has_quotes = true;
                from = found + 2;
            }
            // Text after the closing quote belongs to the cell, up to the next separator. The quote is that
            // of the next cell where a separator stands before it, as in `"13001,"B"`.
            _ => {
                *is_torn |= buffer[found - 1] == separator && found > at + 1;
                let end = find_end(buffer, found + 1, separator)?;
                return Some((
                    Cell {
                        start: at as u32,
                        end: end as u32,
                        has_quotes: true,
                    },
                    end,
                ));
            }
        }
    }
}

/// Finds the next separator or line end, eight bytes at a time. Cells are so short that the start of a
/// vectorised search would take longer.
#[inline]
fn find_end(buffer: &[u8], start: usize, separator: u8) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let ends = [separator, b'\n', b'\r'];
    let mut at = start;
    while let Some(word) = buffer.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let found = ends
            .map(|end| zero_bytes(word ^ (ONES * u64::from(end))))
            .into_iter()
            .fold(0, |all, one| all | one);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let found = buffer[at..].iter().position(|byte| ends.contains(byte))?;
    Some(at + found)
}

/// Removes quotes from a cell: doubled quotes become one, others are dropped.
pub(super) fn unquote(raw: &[u8]) -> Vec<u8> {
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
