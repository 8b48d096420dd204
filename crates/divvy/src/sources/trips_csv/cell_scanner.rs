//! Finds the cells of a buffer of CSV, 64 bytes at a time.
//!
//! The method is that of Geoff Langdale and Daniel Lemire, "Parsing Gigabytes of JSON per Second"
//! (2019): a bit for each byte is set where it is a quote, a separator or a line end; bits between
//! quotes are cleared; the remaining bits are the ends of cells.
//!
//! It reads plain quoting, which nearly all files have: a cell is in quotes as a whole or not at
//! all, and holds neither quotes nor line ends, which are LF or CRLF. Any other text is refused, and is read by the
//! splitter in [`rows`](super::rows), which goes byte by byte.

use wide::u8x16;

/// The offsets of the cells of some whole rows, and of the beginning of one more.
#[derive(Default)]
pub(super) struct CellOffsets {
    /// The offset of each cell: 0, then the one after each separator and line end.
    pub(super) starts: Vec<u32>,
    /// For each row, the index in `starts` of the first cell of the next row.
    pub(super) row_ends: Vec<u32>,
}

/// What one group of 64 bytes passes to the next.
struct Carry {
    /// All ones between quotes.
    inside: u64,
    /// The last byte was the end of a cell.
    end: u64,
    /// The last byte was a closing quote.
    closing: u64,
    /// The last byte was a carriage return.
    cr: u64,
}

impl CellOffsets {
    /// Removes all offsets.
    pub(super) fn clear(&mut self) {
        self.starts.clear();
        self.row_ends.clear();
    }

    /// Finds the cells of a text that begins with a row. Returns `false`, and has no offsets, where
    /// the quoting is not plain.
    pub(super) fn scan(&mut self, text: &[u8], separator: u8) -> bool {
        self.clear();
        self.starts.push(0);
        let mut carry = Carry {
            inside: 0,
            end: 1,
            closing: 0,
            cr: 0,
        };
        let (blocks, rest) = text.as_chunks::<64>();
        let mut irregular = 0;
        for (index, block) in blocks.iter().enumerate() {
            irregular |= self.scan_64(block, separator, 64 * index, &mut carry);
        }
        if !rest.is_empty() {
            let mut last = [0; 64];
            last[..rest.len()].copy_from_slice(rest);
            // The bytes after the text are not known yet, so they are not judged.
            let known = (1 << rest.len()) - 1;
            irregular |= self.scan_64(&last, separator, 64 * blocks.len(), &mut carry) & known;
        }
        if irregular != 0 {
            self.clear();
        }
        irregular == 0
    }

    /// Adds the offsets of 64 bytes. Returns a bit for each byte that plain quoting does not have.
    #[inline(always)]
    fn scan_64(
        &mut self,
        block: &[u8; 64],
        separator: u8,
        offset: usize,
        carry: &mut Carry,
    ) -> u64 {
        let (sixteens, _) = block.as_chunks::<16>();
        let lanes = [0, 1, 2, 3].map(|lane: usize| u8x16::from(sixteens[lane]));
        let find = |byte: u8| {
            let byte = u8x16::splat(byte);
            let bits = lanes.map(|lane| u64::from(lane.simd_eq(byte).to_bitmask()));
            bits[0] | bits[1] << 16 | bits[2] << 32 | bits[3] << 48
        };
        let (quotes, line_ends, crs) = (find(b'"'), find(b'\n'), find(b'\r'));
        let inside = parity(quotes) ^ carry.inside;
        let ends = (find(separator) | line_ends) & !inside;
        let (opening, closing) = (quotes & inside, quotes & !inside);
        let irregular = ((line_ends | crs) & inside)
            | (opening & !(ends << 1 | carry.end))
            | ((closing << 1 | carry.closing) & !(ends | crs))
            | (((crs & !inside) << 1 | carry.cr) & !line_ends);
        *carry = Carry {
            inside: ((inside as i64) >> 63) as u64,
            end: ends >> 63,
            closing: closing >> 63,
            cr: (crs & !inside) >> 63,
        };
        let mut left = ends;
        while left != 0 {
            let bit = left.trailing_zeros();
            self.starts.push(offset as u32 + bit + 1);
            if line_ends >> bit & 1 != 0 {
                self.row_ends.push(self.starts.len() as u32 - 1);
            }
            left &= left - 1;
        }
        irregular
    }
}

/// Returns for each bit whether the number of ones up to and with it is odd.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
